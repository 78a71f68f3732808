/* Tests of app/saved on the scripted engine, whose saved sessions are lists of tokens: which file a prompt is read from,
 * what is kept, what is deleted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/saved.h"
#include "app/turn_prompt.h"
#include "tests/fake_engine.h"

static struct {
    struct engine *engine;
    struct session *session;
    char folder[512];
} t;

static void in_folder(char *out, size_t size, const char *name)
{
    snprintf(out, size, "%s/%s", t.folder, name);
}

/* How many files there are whose name holds a part. */
static size_t count_files(const char *part)
{
    DIR *folder = opendir(t.folder);
    size_t n = 0;
    if (!folder)
        return 0;
    for (const struct dirent *entry; (entry = readdir(folder));)
        n += entry->d_name[0] != '.' && strstr(entry->d_name, part);
    closedir(folder);
    return n;
}

static void delete_files(void)
{
    DIR *folder = opendir(t.folder);
    if (!folder)
        return;
    for (const struct dirent *entry; (entry = readdir(folder));)
        (void)unlinkat(dirfd(folder), entry->d_name, 0);
    closedir(folder);
}

static int set_up(void **state)
{
    (void)state;
    fake_engine_reset();
    const char *home = getenv("XDG_STATE_HOME");
    assert_non_null(home);
    snprintf(t.folder, sizeof t.folder, "%s/fathom/kv", home);
    delete_files();
    struct engine_options options = {.model_path = "Makefile"};
    assert_int_equal(engine_open(&options, &t.engine, NULL), STATUS_OK);
    struct session_options session = {.n_ctx = 4096};
    assert_int_equal(session_open(t.engine, &session, &t.session, NULL), STATUS_OK);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    delete_files();
    session_close(t.session);
    engine_close(t.engine);
    fake_engine_reset();
    return 0;
}

/* n tokens that spell the same text for the same first byte, up to `same` bytes; then another. */
static struct tokens text(size_t n, size_t same, int32_t last)
{
    struct tokens tokens = {0};
    for (size_t i = 0; i < n; i++)
        tokens_append(&tokens, i < same ? 'a' + (int32_t)(i % 26) : last);
    return tokens;
}

static void evaluate(size_t n, size_t same, int32_t last)
{
    struct tokens tokens = text(n, same, last);
    assert_int_equal(session_sync(t.session, tokens.ids, tokens.n, NULL, NULL), STATUS_OK);
    tokens_deinit(&tokens);
}

static void keep(int64_t id)
{
    struct error error = {0};
    if (saved_keep(t.session, id, &error))
        fail_msg("%s", error.text);
}

static size_t restored(size_t n, size_t same, int32_t last)
{
    struct tokens prompt = text(n, same, last);
    struct session_options options = {.n_ctx = 4096};
    session_close(t.session);
    assert_int_equal(session_open(t.engine, &options, &t.session, NULL), STATUS_OK);
    saved_restore(t.engine, t.session, &prompt);
    size_t n_past;
    session_tokens(t.session, &n_past);
    tokens_deinit(&prompt);
    return n_past;
}

/* ---- which file ---- */

static void the_longest_beginning_wins(void **state)
{
    (void)state;
    evaluate(200, 100, '1');
    keep(1);
    evaluate(300, 250, '2');
    keep(2);
    evaluate(150, 150, '3');
    keep(3);
    assert_int_equal(count_files("fake-"), 2); /* what conversation 3 has is the beginning of 2's */
    struct stat about;
    assert_int_equal(stat(t.folder, &about), 0);
    assert_int_equal(about.st_mode & 0777, 0700);
    assert_int_equal(restored(400, 400, 0), 250);
    assert_int_equal(restored(400, 120, '1'), 120);
    assert_int_equal(restored(400, 100, '1'), 200);
    assert_int_equal(restored(400, 0, '9'), 0);
    assert_int_equal(restored(60, 60, 0), 0); /* evaluated in a moment */
    fake_engine.key = "other";
    assert_int_equal(restored(400, 400, 0), 0);
}

static void what_the_session_has_counts(void **state)
{
    (void)state;
    evaluate(300, 300, 0);
    keep(1);
    struct tokens prompt = text(400, 400, 0);
    evaluate(280, 280, 0);
    saved_restore(t.engine, t.session, &prompt);
    assert_int_equal(fake_engine.n_restores, 0); /* twenty more are not worth it */
    evaluate(200, 200, 0);
    saved_restore(t.engine, t.session, &prompt);
    assert_int_equal(fake_engine.n_restores, 1);
    tokens_deinit(&prompt);
}

/* The model wrote "he" as one token, which the tokenizer gives as two. */
static void text_counts_and_not_tokens(void **state)
{
    (void)state;
    struct tokens tokens = text(100, 100, 0), prompt = text(100, 100, 0);
    tokens_append(&tokens, FAKE_PAIR);
    tokens_append(&tokens, 'y');
    const char more[] = "hey, and then";
    for (const char *c = more; *c; c++)
        tokens_append(&prompt, *c);
    assert_int_equal(session_sync(t.session, tokens.ids, tokens.n, NULL, NULL), STATUS_OK);
    keep(1);
    session_close(t.session);
    struct session_options options = {.n_ctx = 4096};
    assert_int_equal(session_open(t.engine, &options, &t.session, NULL), STATUS_OK);
    saved_restore(t.engine, t.session, &prompt);
    size_t n;
    const int32_t *ids = session_tokens(t.session, &n);
    assert_int_equal(n, 102);
    assert_int_equal(ids[100], FAKE_PAIR);
    tokens_deinit(&tokens);
    tokens_deinit(&prompt);
}

/* Text that spells a control token is not the control token, in whichever of the two it stands. */
static void control_tokens_match_only_themselves(void **state)
{
    (void)state;
    struct tokens with = text(80, 80, 0), without = text(80, 80, 0);
    const char *spelled = "<|im_end|>";
    size_t covered;
    tokens_append(&with, FAKE_END);
    for (const char *c = spelled; *c; c++)
        tokens_append(&without, *c);
    tokens_append(&with, 'x');
    tokens_append(&without, 'x');
    assert_int_equal(turn_prompt_match(t.engine, with.ids, with.n, &without, &covered), 80);
    assert_int_equal(covered, 80);
    assert_int_equal(turn_prompt_match(t.engine, without.ids, without.n, &with, &covered), 80);
    assert_int_equal(turn_prompt_match(t.engine, with.ids, with.n, &with, &covered), 82);
    assert_int_equal(covered, 82);
    tokens_deinit(&with);
    tokens_deinit(&without);
}

static void damaged_files_are_passed_over_and_go(void **state)
{
    (void)state;
    evaluate(200, 200, 0);
    keep(1);
    char path[600];
    in_folder(path, sizeof path, "fake-2.kv");
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs("97\n98\nwhat?\n", file);
    fclose(file);
    assert_int_equal(restored(400, 400, 0), 200);
    assert_int_equal(access(path, F_OK), -1);
    assert_int_equal(count_files("fake-"), 1);
}

/* ---- what is kept ---- */

static void a_conversation_has_one_file(void **state)
{
    (void)state;
    evaluate(100, 100, 0);
    keep(7);
    evaluate(110, 110, 0);
    keep(7); /* hardly more */
    assert_int_equal(fake_engine.n_saves, 1);
    evaluate(200, 200, 0);
    keep(7);
    assert_int_equal(fake_engine.n_saves, 2);
    assert_int_equal(count_files("fake-"), 1);
    assert_int_equal(restored(400, 400, 0), 200);
    evaluate(20, 20, 0);
    keep(8); /* too short */
    evaluate(300, 0, 'x');
    keep(0); /* of no conversation */
    assert_int_equal(count_files("fake-"), 1);
    keep(70);
    keep(17);
    fake_engine.key = "other";
    keep(7);
    assert_int_equal(count_files(".kv"), 3); /* 17's is 70's */
    saved_delete(7);
    assert_int_equal(count_files(".kv"), 1);
    assert_int_equal(count_files("fake-70.kv"), 1);
}

/* ---- limits ---- */

static void make_file(const char *name, size_t size, time_t used)
{
    char path[600];
    in_folder(path, sizeof path, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    for (size_t i = 0; i < size; i++)
        fputc('x', file);
    fclose(file);
    const struct timespec times[2] = {{used, 0}, {used, 0}};
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

static bool is_there(const char *name)
{
    char path[600];
    in_folder(path, sizeof path, name);
    return access(path, F_OK) == 0;
}

static void the_least_recently_used_go_first(void **state)
{
    (void)state;
    evaluate(100, 100, 0);
    keep(1);
    delete_files();
    make_file("a-1.kv", 40000, 1000);
    make_file("a-2.kv", 40000, 4000);
    make_file("a-3.kv", 40000, 2000);
    make_file("a-4.kv", 40000, 3000);
    make_file("unrelated", 400000, 1);
    saved_make_room(t.folder, 1 << 20, 10);
    assert_int_equal(count_files(".kv"), 4);
    saved_make_room(t.folder, 100000, 10);
    assert_true(is_there("a-2.kv") && is_there("a-4.kv") && !is_there("a-1.kv") && !is_there("a-3.kv"));
    saved_make_room(t.folder, 1 << 20, 1);
    assert_true(is_there("a-2.kv") && !is_there("a-4.kv"));
    assert_true(is_there("unrelated"));
}

static void reading_a_file_is_using_it(void **state)
{
    (void)state;
    evaluate(200, 200, 0);
    keep(1);
    evaluate(200, 0, 'x');
    keep(2);
    char path[600];
    in_folder(path, sizeof path, "fake-1.kv");
    const struct timespec long_ago[2] = {{1000, 0}, {1000, 0}};
    assert_int_equal(utimensat(AT_FDCWD, path, long_ago, 0), 0);
    struct stat about;
    assert_int_equal(restored(400, 400, 0), 200);
    assert_int_equal(stat(path, &about), 0);
    assert_true(about.st_mtim.tv_sec > 1000);
}

static void what_nobody_finishes_goes(void **state)
{
    (void)state;
    evaluate(100, 100, 0);
    keep(1);
    make_file("a-1.kv.123" SESSION_UNFINISHED, 10, 1000);
    make_file("a-1.kv.124" SESSION_UNFINISHED, 10, 1000);
    char path[600];
    in_folder(path, sizeof path, "a-1.kv.124" SESSION_UNFINISHED);
    int fd = open(path, O_RDWR);
    assert_int_equal(flock(fd, LOCK_EX | LOCK_NB), 0);
    saved_make_room(t.folder, 1 << 20, 10);
    assert_int_equal(count_files(SESSION_UNFINISHED), 1);
    close(fd);
    saved_make_room(t.folder, 1 << 20, 10);
    assert_int_equal(count_files(SESSION_UNFINISHED), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_longest_beginning_wins),
        TEST(what_the_session_has_counts),
        TEST(text_counts_and_not_tokens),
        TEST(control_tokens_match_only_themselves),
        TEST(damaged_files_are_passed_over_and_go),
        TEST(a_conversation_has_one_file),
        TEST(the_least_recently_used_go_first),
        TEST(reading_a_file_is_using_it),
        TEST(what_nobody_finishes_goes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
