/* Tests of app/store: what comes back, kill -9 in the middle of an answer, damaged and foreign files, modes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "app/store.h"

static char folder[] = "/tmp/fathom-store-XXXXXX";

static void remove_files(void)
{
    static const char *const names[] = {"conversations.db", "conversations.db-wal", "conversations.db-shm"};
    char path[200];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        unlink(path);
    }
}

static int set_up(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/fathom-store-XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    remove_files();
    return rmdir(folder);
}

static struct store *open_store(void)
{
    struct store *store = NULL;
    struct error error = {0};
    if (store_open(folder, &store, &error) != STATUS_OK)
        fail_msg("%s", error.text);
    return store;
}

static void add(struct store *store, int64_t id, enum chat_role role, const char *text, const char *thought)
{
    struct conversation_message message = {.role = role};
    buffer_append_text(&message.text, text);
    buffer_append_text(&message.thought, thought);
    assert_int_equal(store_add(store, id, &message, NULL), STATUS_OK);
    buffer_deinit(&message.text);
    buffer_deinit(&message.thought);
}

static void test_what_is_stored_comes_back(void **state)
{
    (void)state;
    struct store *store = open_store();
    int64_t id;
    assert_int_equal(store_new(store, "model", "be brief", &id, NULL), STATUS_OK);
    add(store, id, CHAT_USER, "what?\nmore", "");
    add(store, id, CHAT_ASSISTANT, "that \xff\x1b[1m", "hm");
    add(store, id, CHAT_USER, "and?", "");
    store_close(store);
    store = open_store();
    struct conversation loaded = {0};
    assert_int_equal(store_load(store, id, &loaded, NULL), STATUS_OK);
    assert_string_equal(loaded.system.data, "be brief");
    assert_int_equal(loaded.n, 3);
    assert_int_equal(loaded.messages[0].role, CHAT_USER);
    assert_string_equal(loaded.messages[0].text.data, "what?\nmore");
    assert_int_equal(loaded.messages[1].role, CHAT_ASSISTANT);
    assert_string_equal(loaded.messages[1].text.data, "that \xff\x1b[1m");
    assert_string_equal(loaded.messages[1].thought.data, "hm");
    assert_string_equal(loaded.messages[2].text.data, "and?");
    conversation_deinit(&loaded);
    store_close(store);
}

static void test_text_with_nul(void **state)
{
    (void)state;
    struct store *store = open_store();
    struct conversation_message message = {.role = CHAT_USER};
    struct conversation loaded = {0};
    int64_t id;
    buffer_append(&message.text, "a\0b", 3);
    assert_int_equal(store_new(store, "m", "", &id, NULL), STATUS_OK);
    assert_int_equal(store_add(store, id, &message, NULL), STATUS_OK);
    assert_int_equal(store_answer_begin(store, id, NULL), STATUS_OK);
    assert_int_equal(store_answer_push(store, TEXT_ANSWER, "c\0", 2, NULL), STATUS_OK);
    assert_int_equal(store_answer_flush(store, NULL), STATUS_OK);
    assert_int_equal(store_answer_push(store, TEXT_ANSWER, "\0d", 2, NULL), STATUS_OK);
    assert_int_equal(store_answer_end(store, NULL), STATUS_OK);
    assert_int_equal(store_load(store, id, &loaded, NULL), STATUS_OK);
    assert_int_equal(loaded.messages[0].text.size, 3);
    assert_memory_equal(loaded.messages[0].text.data, "a\0b", 3);
    assert_int_equal(loaded.messages[1].text.size, 4);
    assert_memory_equal(loaded.messages[1].text.data, "c\0\0d", 4);
    conversation_deinit(&loaded);
    buffer_deinit(&message.text);
    store_close(store);
}

static bool collect(void *context, const struct store_entry *entry)
{
    buffer_printf(context, "%lld|%s|%s|%s|%lld\n", (long long)entry->id, entry->name, entry->title, entry->model,
                  (long long)entry->n_questions);
    return true;
}

static void test_list_find_name_delete(void **state)
{
    (void)state;
    struct store *store = open_store();
    struct error error = {0};
    struct buffer list = {0};
    int64_t first, second, found = 0;
    assert_int_equal(store_find(store, NULL, &found, &error), STATUS_NOT_FOUND);
    assert_string_equal(error.text, "there is no saved conversation yet");
    store_new(store, "m", "", &first, NULL);
    add(store, first, CHAT_USER, "first question\nrest", "");
    nanosleep(&(struct timespec){0, 3000000}, NULL);
    store_new(store, "m2", "", &second, NULL);
    add(store, second, CHAT_USER, "second", "");
    add(store, second, CHAT_ASSISTANT, "answer", "");
    add(store, second, CHAT_USER, "third", "");
    assert_int_equal(store_list(store, collect, &list, NULL), STATUS_OK);
    assert_string_equal(list.data, "2||second|m2|2\n1||first question|m|1\n");
    assert_int_equal(store_find(store, "", &found, NULL), STATUS_OK);
    assert_int_equal(found, second);
    nanosleep(&(struct timespec){0, 3000000}, NULL);
    add(store, first, CHAT_USER, "again", ""); /* the one used last is the latest */
    assert_int_equal(store_find(store, NULL, &found, NULL), STATUS_OK);
    assert_int_equal(found, first);
    assert_int_equal(store_name(store, first, "leases", NULL), STATUS_OK);
    assert_int_equal(store_name(store, first, "leases", NULL), STATUS_OK);
    assert_int_equal(store_name(store, second, "leases", &error), STATUS_ARGUMENT);
    assert_string_equal(error.text, "conversation 1 is already called 'leases'");
    assert_int_equal(store_name(store, second, "12", &error), STATUS_ARGUMENT);
    assert_int_equal(store_name(store, second, "", &error), STATUS_ARGUMENT);
    assert_int_equal(store_find(store, "leases", &found, NULL), STATUS_OK);
    assert_int_equal(found, first);
    assert_int_equal(store_find(store, "2", &found, NULL), STATUS_OK);
    assert_int_equal(found, second);
    assert_int_equal(store_find(store, "99", &found, &error), STATUS_NOT_FOUND);
    assert_int_equal(store_delete(store, first, NULL), STATUS_OK);
    assert_int_equal(store_delete(store, first, &error), STATUS_NOT_FOUND);
    buffer_clear(&list);
    assert_int_equal(store_list(store, collect, &list, NULL), STATUS_OK);
    assert_string_equal(list.data, "2||second|m2|2\n");
    struct conversation loaded = {0};
    assert_int_equal(store_load(store, first, &loaded, &error), STATUS_NOT_FOUND);
    buffer_deinit(&list);
    store_close(store);
}

/* The child answers a piece every 10 ms and tells each one; killed, it may have lost what came within one batch. */
static void test_kill_loses_the_last_batch_at_most(void **state)
{
    (void)state;
    enum { PIECES_BEFORE_KILL = 80, PIECE_MS = 10 };
    int pipe_ends[2];
    assert_int_equal(pipe(pipe_ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct store *store = NULL;
        int64_t id;
        struct conversation_message question = {.role = CHAT_USER};
        buffer_append_text(&question.text, "how long?");
        if (store_open(folder, &store, NULL) != STATUS_OK || store_new(store, "m", "s", &id, NULL) != STATUS_OK ||
            store_add(store, id, &question, NULL) != STATUS_OK || store_answer_begin(store, id, NULL) != STATUS_OK)
            _exit(1);
        for (;;) {
            if (store_answer_push(store, TEXT_ANSWER, "piece ", 6, NULL) != STATUS_OK ||
                write(pipe_ends[1], "x", 1) != 1)
                _exit(1);
            nanosleep(&(struct timespec){0, PIECE_MS * 1000000}, NULL);
        }
    }
    close(pipe_ends[1]);
    char byte;
    size_t n_told = 0;
    while (n_told < PIECES_BEFORE_KILL && read(pipe_ends[0], &byte, 1) == 1)
        n_told++;
    kill(child, SIGKILL);
    while (read(pipe_ends[0], &byte, 1) == 1)
        n_told++;
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    close(pipe_ends[0]);
    assert_true(n_told >= PIECES_BEFORE_KILL);

    struct store *store = open_store();
    struct conversation loaded = {0};
    int64_t id;
    assert_int_equal(store_find(store, NULL, &id, NULL), STATUS_OK);
    assert_int_equal(store_load(store, id, &loaded, NULL), STATUS_OK);
    assert_int_equal(loaded.n, 2);
    assert_string_equal(loaded.messages[0].text.data, "how long?");
    size_t n_kept = loaded.messages[1].text.size / 6;
    assert_int_equal(loaded.messages[1].text.size % 6, 0);
    assert_true(n_kept <= n_told + 1);
    /* A batch's worth of pieces, and two for the clock. */
    assert_true(n_kept + STORE_BATCH_MS / PIECE_MS + 2 >= n_told);
    assert_true(n_kept > 0);
    for (size_t i = 0; i < n_kept; i++)
        assert_memory_equal(loaded.messages[1].text.data + 6 * i, "piece ", 6);
    conversation_deinit(&loaded);
    store_close(store);
}

static void test_question_without_an_answer(void **state)
{
    (void)state;
    struct store *store = open_store();
    struct conversation loaded = {0};
    int64_t id;
    store_new(store, "m", "", &id, NULL);
    add(store, id, CHAT_USER, "question", "");
    assert_int_equal(store_answer_begin(store, id, NULL), STATUS_OK);
    store_close(store);
    store = open_store();
    assert_int_equal(store_load(store, id, &loaded, NULL), STATUS_OK);
    assert_int_equal(loaded.n, 1);
    conversation_deinit(&loaded);
    store_close(store);
}

static void write_database(const void *bytes, size_t size)
{
    char path[200];
    snprintf(path, sizeof path, "%s/conversations.db", folder);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, size), (ssize_t)size);
    close(fd);
}

static void test_no_database(void **state)
{
    (void)state;
    static const char text[] = "this is a shopping list, not a database; it is long enough to have a header, though."
                               "................................................................................";
    struct store *store = NULL;
    struct error error = {0};
    write_database(text, sizeof text);
    assert_int_equal(store_open(folder, &store, &error), STATUS_FORMAT);
    assert_non_null(strstr(error.text, "conversations.db: file is not a database"));
    char path[200], kept[sizeof text] = "";
    snprintf(path, sizeof path, "%s/conversations.db", folder);
    int fd = open(path, O_RDONLY);
    assert_int_equal(read(fd, kept, sizeof kept), (ssize_t)sizeof text);
    close(fd);
    assert_string_equal(kept, text); /* left as it is */
}

/* Every page but the first overwritten: found when it is read, as an error and not as a crash. */
static void test_damaged_database(void **state)
{
    (void)state;
    struct store *store = open_store();
    struct error error = {0};
    struct conversation loaded = {0};
    int64_t id;
    store_new(store, "m", "", &id, NULL);
    for (int i = 0; i < 200; i++)
        add(store, id, CHAT_USER, "a question of some length, so that the table takes several pages of the file", "");
    store_close(store);
    char path[200];
    struct stat about;
    snprintf(path, sizeof path, "%s/conversations.db", folder);
    assert_int_equal(stat(path, &about), 0);
    int fd = open(path, O_WRONLY);
    char junk[4096];
    memset(junk, 0xa5, sizeof junk);
    for (off_t at = 4096; at < about.st_size; at += 4096)
        assert_int_equal(pwrite(fd, junk, sizeof junk, at), (ssize_t)sizeof junk);
    close(fd);
    enum status status = store_open(folder, &store, &error);
    if (status == STATUS_OK) {
        status = store_load(store, id, &loaded, &error);
        assert_int_not_equal(status, STATUS_OK);
        assert_int_not_equal(store_new(store, "m", "", &id, &error), STATUS_OK);
        store_close(store);
    }
    assert_int_equal(error.status, STATUS_FORMAT);
    assert_non_null(strstr(error.text, "conversations.db"));
    assert_int_equal(loaded.n, 0);
}

static void test_newer_version(void **state)
{
    (void)state;
    struct store *store = open_store();
    struct error error = {0};
    store_close(store);
    char path[200];
    snprintf(path, sizeof path, "%s/conversations.db", folder);
    int fd = open(path, O_RDWR);
    /* The header's user version is a big-endian 32-bit number at offset 60 (sqlite.org/fileformat2.html, 1.3). */
    assert_int_equal(pwrite(fd, "\0\0\0\x63", 4, 60), 4);
    close(fd);
    assert_int_equal(store_open(folder, &store, &error), STATUS_UNSUPPORTED);
    assert_non_null(strstr(error.text, "newer version of fathom"));
}

static void test_folder_that_cannot_be_made(void **state)
{
    (void)state;
    struct store *store = NULL;
    struct error error = {0};
    setenv("XDG_STATE_HOME", "/proc/no/such", 1);
    assert_int_equal(store_open(NULL, &store, &error), STATUS_IO);
    assert_non_null(strstr(error.text, "/proc/no"));
    assert_int_equal(store_open("/proc/no/such", &store, &error), STATUS_IO);
}

static void test_modes(void **state)
{
    (void)state;
    struct store *store = NULL;
    struct stat about;
    char path[200];
    mode_t before = umask(0);
    snprintf(path, sizeof path, "%s/state", folder);
    setenv("XDG_STATE_HOME", path, 1);
    assert_int_equal(store_open(NULL, &store, NULL), STATUS_OK);
    umask(before);
    int64_t id;
    store_new(store, "m", "", &id, NULL);
    static const struct {
        const char *name;
        mode_t mode;
    } wanted[] = {{"", 0700}, {"/conversations.db", 0600}, {"/conversations.db-wal", 0600}};
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        snprintf(path, sizeof path, "%s/state/fathom%s", folder, wanted[i].name);
        assert_int_equal(stat(path, &about), 0);
        assert_int_equal(about.st_mode & 0777, wanted[i].mode);
    }
    store_close(store);
    static const char *const made[] = {"/state/fathom/conversations.db", "/state/fathom", "/state"};
    for (size_t i = 0; i < sizeof made / sizeof *made; i++) {
        snprintf(path, sizeof path, "%s%s", folder, made[i]);
        assert_int_equal(remove(path), 0);
    }
}

static void test_two_programs(void **state)
{
    (void)state;
    struct store *a = open_store(), *b = open_store();
    struct conversation loaded = {0};
    int64_t first, second;
    assert_int_equal(store_new(a, "m", "", &first, NULL), STATUS_OK);
    assert_int_equal(store_new(b, "m", "", &second, NULL), STATUS_OK);
    assert_int_not_equal(first, second);
    assert_int_equal(store_answer_begin(a, first, NULL), STATUS_OK);
    assert_int_equal(store_answer_begin(b, second, NULL), STATUS_OK);
    store_answer_push(a, TEXT_ANSWER, "of a", 4, NULL);
    store_answer_push(b, TEXT_THOUGHT, "of b", 4, NULL);
    assert_int_equal(store_answer_end(b, NULL), STATUS_OK);
    assert_int_equal(store_answer_end(a, NULL), STATUS_OK);
    assert_int_equal(store_load(b, first, &loaded, NULL), STATUS_OK);
    assert_string_equal(loaded.messages[0].text.data, "of a");
    assert_int_equal(store_load(a, second, &loaded, NULL), STATUS_OK);
    assert_string_equal(loaded.messages[0].thought.data, "of b");
    conversation_deinit(&loaded);
    store_close(a);
    store_close(b);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_what_is_stored_comes_back),
        TEST(test_text_with_nul),
        TEST(test_list_find_name_delete),
        TEST(test_kill_loses_the_last_batch_at_most),
        TEST(test_question_without_an_answer),
        TEST(test_no_database),
        TEST(test_damaged_database),
        TEST(test_newer_version),
        TEST(test_folder_that_cannot_be_made),
        TEST(test_modes),
        TEST(test_two_programs),
    };
    return cmocka_run_group_tests_name("store", tests, NULL, NULL);
}
