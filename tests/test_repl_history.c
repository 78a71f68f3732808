/* Tests of app/repl_history: what comes back, the limit, and a file that grew or was damaged. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/repl_history.h"

static char folder[64], path[100];

static int set_up(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/fathom-history-XXXXXX");
    if (!mkdtemp(folder))
        return -1;
    snprintf(path, sizeof path, "%s/history", folder);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(folder);
}

static void collect(void *context, const char *entry)
{
    buffer_printf(context, "<%s>", entry);
}

static void count(void *context, const char *entry)
{
    (void)entry;
    ++*(size_t *)context;
}

static void test_entries_come_back(void **state)
{
    (void)state;
    static const char *const entries[] = {"one", "two\nlines", "back\\slash\\n", "\\", "tab\t\xc3\xa9 \x1b"};
    struct buffer seen = {0};
    struct stat about;
    assert_int_equal(repl_history_load(path, collect, &seen, NULL), STATUS_OK); /* not there: none */
    assert_int_equal(seen.size, 0);
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(repl_history_append(path, entries[i], NULL), STATUS_OK);
    assert_int_equal(repl_history_load(path, collect, &seen, NULL), STATUS_OK);
    assert_string_equal(seen.data, "<one><two\nlines><back\\slash\\n><\\><tab\t\xc3\xa9 \x1b>");
    assert_int_equal(stat(path, &about), 0);
    assert_int_equal(about.st_mode & 0777, 0600);
    buffer_deinit(&seen);
}

static void test_the_last_thousand(void **state)
{
    (void)state;
    struct buffer seen = {0};
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    for (int i = 0; i < 1500; i++)
        fprintf(file, "%d\n", i);
    fclose(file);
    assert_int_equal(repl_history_load(path, collect, &seen, NULL), STATUS_OK);
    assert_memory_equal(seen.data, "<500><501>", 10);
    assert_string_equal(seen.data + seen.size - 6, "<1499>");
    buffer_deinit(&seen);
}

static void test_a_file_that_grew_is_shortened(void **state)
{
    (void)state;
    struct stat about;
    size_t n = 0;
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    for (int i = 0; i < 300000; i++)
        fprintf(file, "entry %d\n", i);
    fclose(file);
    assert_int_equal(repl_history_append(path, "last", NULL), STATUS_OK);
    assert_int_equal(stat(path, &about), 0);
    assert_true(about.st_size < 20000);
    assert_int_equal(repl_history_load(path, count, &n, NULL), STATUS_OK);
    assert_int_equal(n, 1000);
}

static void test_a_file_of_other_bytes(void **state)
{
    (void)state;
    struct buffer seen = {0};
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fwrite("a\0b\n\n\nok\nend\\", 1, 13, file);
    fclose(file);
    assert_int_equal(repl_history_load(path, collect, &seen, NULL), STATUS_OK);
    assert_string_equal(seen.data, "<ok><end\\>");
    buffer_deinit(&seen);
    struct error error = {0};
    assert_int_equal(repl_history_append("/proc/no/such", "x", &error), STATUS_IO);
    assert_non_null(strstr(error.text, "/proc/no/such"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_entries_come_back),
        TEST(test_the_last_thousand),
        TEST(test_a_file_that_grew_is_shortened),
        TEST(test_a_file_of_other_bytes),
    };
    return cmocka_run_group_tests_name("repl_history", tests, NULL, NULL);
}
