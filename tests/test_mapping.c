/* Tests of engine/mapping: what can't be opened, truncation under a mapping, and signals that are not ours. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/mapping.h"

enum { PAGES = 8 };

static char folder[256];

static const char *in_folder(const char *name)
{
    static char path[512];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static size_t page_size(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

/* A file of PAGES pages and 100 bytes, byte i being i % 251. */
static const char *make_file(const char *name)
{
    const char *path = in_folder(name);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    for (size_t i = 0; i < PAGES * page_size() + 100; i++)
        fputc((int)(i % 251), file);
    assert_int_equal(fclose(file), 0);
    return path;
}

static int setup(void **state)
{
    (void)state;
    const char *base = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%s/mapping-XXXXXX", base && *base ? base : "/tmp");
    return mkdtemp(folder) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    static const char *const names[] = {"file", "empty", "fifo", "other", "secret"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        unlink(in_folder(names[i]));
    return rmdir(folder);
}

/* ---- opening ---- */

static void a_file_is_mapped_whole(void **state)
{
    (void)state;
    struct mapping *mapping;
    assert_int_equal(mapping_open(make_file("file"), &mapping, NULL), STATUS_OK);
    size_t size = mapping_size(mapping);
    assert_int_equal(size, PAGES * page_size() + 100);
    const unsigned char *data = mapping_data(mapping);
    assert_int_equal((uintptr_t)data % page_size(), 0);
    for (size_t i = 0; i < size; i++)
        if (data[i] != i % 251)
            fail_msg("byte %zu is %d", i, data[i]);
    assert_false(mapping_is_broken(mapping));
    mapping_close(mapping);
    mapping_close(NULL);
}

static void an_empty_file_has_no_data(void **state)
{
    (void)state;
    struct mapping *mapping;
    assert_int_equal(close(open(in_folder("empty"), O_CREAT | O_WRONLY, 0600)), 0);
    assert_int_equal(mapping_open(in_folder("empty"), &mapping, NULL), STATUS_OK);
    assert_null(mapping_data(mapping));
    assert_int_equal(mapping_size(mapping), 0);
    assert_false(mapping_is_broken(mapping));
    mapping_close(mapping);
}

static void refuse(const char *path, enum status status, const char *reason)
{
    struct mapping *mapping = (struct mapping *)folder;
    struct error error = {0};
    assert_int_equal(mapping_open(path, &mapping, &error), status);
    assert_null(mapping);
    assert_int_equal(error.status, status);
    if (!strstr(error.text, reason) || !strstr(error.text, path_end_shown(path)))
        fail_msg("\"%s\" lacks the path or \"%s\"", error.text, reason);
}

static void what_is_no_file_is_refused(void **state)
{
    (void)state;
    refuse(in_folder("nowhere"), STATUS_NOT_FOUND, "no such file");
    refuse(in_folder("file/below-a-file"), STATUS_NOT_FOUND, "no such file");
    refuse(folder, STATUS_IO, "is a directory");
    refuse("/dev/null", STATUS_IO, "not a regular file");
    refuse("", STATUS_NOT_FOUND, "no such file");
    /* Opening a FIFO that nobody writes to must not wait: the alarm would kill this test. */
    assert_int_equal(mkfifo(in_folder("fifo"), 0600), 0);
    alarm(20);
    refuse(in_folder("fifo"), STATUS_IO, "not a regular file");
    alarm(0);
}

static void a_long_path_keeps_the_reason_readable(void **state)
{
    (void)state;
    char path[2000] = "";
    while (strlen(path) < 1900)
        strcat(path, "/a-folder-\xc3\xa9");
    refuse(path, STATUS_NOT_FOUND, "no such file");
    const char *shown = path_end_shown(path);
    assert_true(strlen(shown) <= 120 && strlen(shown) > 100);
    assert_int_not_equal((unsigned char)shown[0] & 0xc0, 0x80);
    assert_string_equal(path_end_shown("short"), "short");
}

/* The superuser may read everything, so a child becomes nobody first. */
static void a_file_without_permission_is_refused(void **state)
{
    (void)state;
    char path[512];
    snprintf(path, sizeof path, "%s", in_folder("secret"));
    assert_int_equal(close(open(path, O_CREAT | O_WRONLY, 0)), 0);
    assert_int_equal(chmod(folder, 0755), 0);
    pid_t child = fork();
    if (child == 0) {
        struct mapping *mapping;
        struct error error = {0};
        if (geteuid() == 0 && setresuid(65534, 65534, 65534))
            _exit(2);
        enum status status = mapping_open(path, &mapping, &error);
        bool is_right = status == STATUS_IO && strstr(error.text, "Permission denied") && strstr(error.text, path);
        _exit(is_right ? 0 : 1);
    }
    int result;
    assert_int_equal(waitpid(child, &result, 0), child);
    assert_true(WIFEXITED(result));
    assert_int_equal(WEXITSTATUS(result), 0);
}

static void as_many_as_the_limit_may_be_open(void **state)
{
    (void)state;
    static struct mapping *mappings[MAPPING_LIMIT];
    const char *path = make_file("file");
    for (size_t i = 0; i < MAPPING_LIMIT; i++)
        assert_int_equal(mapping_open(path, &mappings[i], NULL), STATUS_OK);
    refuse(path, STATUS_MEMORY, "files mapped at a time");
    mapping_close(mappings[7]);
    assert_int_equal(mapping_open(path, &mappings[7], NULL), STATUS_OK);
    for (size_t i = 0; i < MAPPING_LIMIT; i++)
        mapping_close(mappings[i]);
}

/* ---- truncation ---- */

static unsigned sum(const unsigned char *data, size_t size)
{
    unsigned total = 0;
    for (size_t i = 0; i < size; i++)
        total += ((const volatile unsigned char *)data)[i];
    return total;
}

static void what_vanished_reads_as_zeros(void **state)
{
    (void)state;
    struct mapping *mapping, *other;
    char path[512];
    snprintf(path, sizeof path, "%s", make_file("file"));
    assert_int_equal(mapping_open(make_file("other"), &other, NULL), STATUS_OK);
    assert_int_equal(mapping_open(path, &mapping, NULL), STATUS_OK);
    size_t size = mapping_size(mapping), kept = 2 * page_size();
    const unsigned char *data = mapping_data(mapping);
    unsigned before = sum(data, kept), whole = sum(mapping_data(other), size);
    assert_int_equal(truncate(path, (off_t)kept), 0);
    /* From the middle first: what lies before it vanished too, and comes by a signal of its own. */
    assert_int_equal(sum(data + 5 * page_size(), size - 5 * page_size()), 0);
    assert_int_equal(sum(data + kept, size - kept), 0);
    assert_int_equal(sum(data, kept), before);
    assert_true(mapping_is_broken(mapping));
    assert_false(mapping_is_broken(other));
    assert_int_equal(sum(mapping_data(other), size), whole);
    mapping_close(mapping);
    mapping_close(other);
}

static void a_cut_within_the_last_page_is_noticed(void **state)
{
    (void)state;
    struct mapping *mapping;
    const char *path = make_file("file");
    assert_int_equal(mapping_open(path, &mapping, NULL), STATUS_OK);
    assert_int_equal(truncate(path, (off_t)mapping_size(mapping) - 50), 0);
    assert_true(mapping_is_broken(mapping));
    mapping_close(mapping);
}

static void a_broken_mapping_stays_broken(void **state)
{
    (void)state;
    struct mapping *mapping;
    char path[512];
    snprintf(path, sizeof path, "%s", make_file("file"));
    assert_int_equal(mapping_open(path, &mapping, NULL), STATUS_OK);
    assert_int_equal(truncate(path, 0), 0);
    assert_int_equal(sum(mapping_data(mapping), mapping_size(mapping)), 0);
    make_file("file"); /* grown again, but the zeros were read */
    assert_true(mapping_is_broken(mapping));
    mapping_close(mapping);
    assert_int_equal(mapping_open(path, &mapping, NULL), STATUS_OK);
    assert_false(mapping_is_broken(mapping));
    mapping_close(mapping);
}

struct reading {
    const struct mapping *mapping;
    unsigned total;
};

static void *read_all(void *context)
{
    struct reading *reading = context;
    reading->total = sum(mapping_data(reading->mapping), mapping_size(reading->mapping));
    return NULL;
}

/* Threads that read what vanished, while others open and close: each slot is read by the handler as it changes. */
static void *open_and_close(void *context)
{
    for (int i = 0; i < 300; i++) {
        struct mapping *mapping;
        if (mapping_open(context, &mapping, NULL) == STATUS_OK)
            mapping_close(mapping);
    }
    return NULL;
}

static void threads_may_read_what_vanished(void **state)
{
    (void)state;
    char path[512], other[512];
    snprintf(other, sizeof other, "%s", make_file("other"));
    for (int round = 0; round < 20; round++) {
        struct mapping *mapping;
        snprintf(path, sizeof path, "%s", make_file("file"));
        assert_int_equal(mapping_open(path, &mapping, NULL), STATUS_OK);
        assert_int_equal(truncate(path, 0), 0);
        struct reading readings[3];
        pthread_t readers[3], opener;
        assert_int_equal(pthread_create(&opener, NULL, open_and_close, other), 0);
        for (int i = 0; i < 3; i++) {
            readings[i] = (struct reading){mapping, 1};
            assert_int_equal(pthread_create(&readers[i], NULL, read_all, &readings[i]), 0);
        }
        for (int i = 0; i < 3; i++) {
            assert_int_equal(pthread_join(readers[i], NULL), 0);
            assert_int_equal(readings[i].total, 0);
        }
        assert_int_equal(pthread_join(opener, NULL), 0);
        assert_true(mapping_is_broken(mapping));
        mapping_close(mapping);
    }
}

/* ---- signals that are not ours ---- */

static volatile sig_atomic_t n_plain, n_detailed, detailed_code;

static void plain_handler(int number)
{
    (void)number;
    n_plain++;
}

static void detailed_handler(int number, siginfo_t *info, void *context)
{
    (void)number;
    (void)context;
    n_detailed++;
    detailed_code = info->si_code;
}

static void set_handler(void (*handler)(int))
{
    struct sigaction action = {.sa_handler = handler};
    sigemptyset(&action.sa_mask);
    assert_int_equal(sigaction(SIGBUS, &action, NULL), 0);
}

static void the_handler_before_is_called_and_put_back(void **state)
{
    (void)state;
    struct sigaction saved, now;
    struct mapping *one, *two;
    const char *path = make_file("file");
    assert_int_equal(sigaction(SIGBUS, NULL, &saved), 0);

    set_handler(plain_handler);
    assert_int_equal(mapping_open(path, &one, NULL), STATUS_OK);
    assert_int_equal(mapping_open(path, &two, NULL), STATUS_OK);
    n_plain = 0;
    raise(SIGBUS);
    assert_int_equal(n_plain, 1);
    mapping_close(one);
    raise(SIGBUS);
    assert_int_equal(n_plain, 2);
    mapping_close(two);
    assert_int_equal(sigaction(SIGBUS, NULL, &now), 0);
    assert_true(now.sa_handler == plain_handler);

    struct sigaction detailed = {.sa_sigaction = detailed_handler, .sa_flags = SA_SIGINFO};
    sigemptyset(&detailed.sa_mask);
    assert_int_equal(sigaction(SIGBUS, &detailed, NULL), 0);
    assert_int_equal(mapping_open(path, &one, NULL), STATUS_OK);
    n_detailed = 0;
    raise(SIGBUS);
    assert_int_equal(n_detailed, 1);
    assert_int_equal(detailed_code, SI_TKILL);
    mapping_close(one);

    set_handler(SIG_IGN);
    assert_int_equal(mapping_open(path, &one, NULL), STATUS_OK);
    raise(SIGBUS); /* ignored still */
    mapping_close(one);
    assert_int_equal(sigaction(SIGBUS, &saved, NULL), 0);
}

/* Somebody who comes after us keeps their handler when we leave, and there is no circle when we come back. */
static void a_later_handler_is_left_alone(void **state)
{
    (void)state;
    struct sigaction saved, now;
    struct mapping *mapping;
    const char *path = make_file("file");
    assert_int_equal(sigaction(SIGBUS, NULL, &saved), 0);
    assert_int_equal(mapping_open(path, &mapping, NULL), STATUS_OK);
    struct sigaction ours;
    assert_int_equal(sigaction(SIGBUS, NULL, &ours), 0);
    set_handler(plain_handler);
    mapping_close(mapping);
    assert_int_equal(sigaction(SIGBUS, NULL, &now), 0);
    assert_true(now.sa_handler == plain_handler);
    assert_int_equal(mapping_open(path, &mapping, NULL), STATUS_OK);
    n_plain = 0;
    raise(SIGBUS);
    assert_int_equal(n_plain, 1);
    assert_int_equal(sigaction(SIGBUS, &ours, NULL), 0); /* they leave, in good order */
    mapping_close(mapping);
    assert_int_equal(sigaction(SIGBUS, NULL, &now), 0);
    assert_memory_equal(&now.sa_sigaction, &saved.sa_sigaction, sizeof now.sa_sigaction);
}

/* What a child does with a mapping open, and the signal that has to end it. */
enum death { SENT_SIGNAL, FOREIGN_FAULT };

static int death_of_child(enum death death, void (*handler)(int))
{
    char ours[512], other[512];
    snprintf(ours, sizeof ours, "%s", make_file("file"));
    snprintf(other, sizeof other, "%s", make_file("other"));
    pid_t child = fork();
    if (child == 0) {
        struct mapping *mapping;
        setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
        set_handler(handler);
        alarm(20); /* a fault that comes again and again would never end */
        if (mapping_open(ours, &mapping, NULL) != STATUS_OK)
            _exit(2);
        if (death == SENT_SIGNAL) {
            raise(SIGBUS);
            _exit(3);
        }
        int descriptor = open(other, O_RDWR);
        const unsigned char *data = mmap(NULL, page_size(), PROT_READ, MAP_SHARED, descriptor, 0);
        if (data == MAP_FAILED || ftruncate(descriptor, 0))
            _exit(4);
        sum(data, page_size());
        _exit(5);
    }
    int result;
    assert_int_equal(waitpid(child, &result, 0), child);
    return WIFSIGNALED(result) ? WTERMSIG(result) : -WEXITSTATUS(result);
}

static void a_foreign_signal_still_kills(void **state)
{
    (void)state;
    assert_int_equal(death_of_child(SENT_SIGNAL, SIG_DFL), SIGBUS);
    assert_int_equal(death_of_child(FOREIGN_FAULT, SIG_DFL), SIGBUS);
    assert_int_equal(death_of_child(FOREIGN_FAULT, SIG_IGN), SIGBUS);
    assert_int_equal(death_of_child(SENT_SIGNAL, SIG_IGN), -3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_is_mapped_whole),
        cmocka_unit_test(an_empty_file_has_no_data),
        cmocka_unit_test(what_is_no_file_is_refused),
        cmocka_unit_test(a_long_path_keeps_the_reason_readable),
        cmocka_unit_test(a_file_without_permission_is_refused),
        cmocka_unit_test(as_many_as_the_limit_may_be_open),
        cmocka_unit_test(what_vanished_reads_as_zeros),
        cmocka_unit_test(a_cut_within_the_last_page_is_noticed),
        cmocka_unit_test(a_broken_mapping_stays_broken),
        cmocka_unit_test(threads_may_read_what_vanished),
        cmocka_unit_test(the_handler_before_is_called_and_put_back),
        cmocka_unit_test(a_later_handler_is_left_alone),
        cmocka_unit_test(a_foreign_signal_still_kills),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
