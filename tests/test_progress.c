/* Tests of app/progress: nothing before its time, a line that is erased, lines that stay, and nothing at all. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "app/progress.h"

static int ends[2];
static char seen[65536];

/* Everything written so far, terminated. */
static const char *drain(void)
{
    size_t size = 0;
    ssize_t n;
    while (size + 1 < sizeof seen && (n = read(ends[0], seen + size, sizeof seen - 1 - size)) > 0)
        size += (size_t)n;
    seen[size] = 0;
    return seen;
}

static void open_pipe(struct progress *progress, enum progress_style style)
{
    assert_int_equal(pipe2(ends, O_NONBLOCK), 0);
    progress_init(progress, ends[1], style);
    progress->delay_ns = 1000000;
}

static void close_pipe(struct progress *progress)
{
    progress_deinit(progress);
    close(ends[0]);
    close(ends[1]);
}

/* Until something was written, at most five seconds. */
static void wait_for_output(void)
{
    for (int i = 0; i < 500 && !*drain(); i++)
        nanosleep(&(struct timespec){0, 10000000}, NULL);
}

static void test_a_line_is_drawn_and_erased(void **state)
{
    (void)state;
    struct progress progress;
    open_pipe(&progress, PROGRESS_LINE);
    progress_update(&progress, "reading", 1234, 5000);
    wait_for_output();
    assert_memory_equal(seen, "\rreading 1,234 of 5,000 tokens, 25 %\x1b[K", 39);
    drain();
    progress_update(&progress, "reading", 5000, 5000);
    drain();
    assert_true(strlen(seen) >= 4);
    assert_string_equal(seen + strlen(seen) - 4, "\r\x1b[K");
    close_pipe(&progress);
    progress_update(&progress, "reading", 5000, 5000); /* nothing runs: nothing to end */
}

static void test_what_cannot_tell_how_far_it_is(void **state)
{
    (void)state;
    struct progress progress;
    open_pipe(&progress, PROGRESS_LINE);
    progress_begin(&progress, "loading a\x1b[31mb");
    wait_for_output();
    assert_memory_equal(seen, "\rloading a^[[31mb, ", 19);
    size_t digits = strspn(seen + 19, "0123456789"); /* 0, or more on a busy machine */
    assert_true(digits > 0);
    assert_memory_equal(seen + 19 + digits, " s\x1b[K", 5);
    progress_end(&progress);
    progress_end(&progress);
    close_pipe(&progress);
}

static void test_nothing_before_its_time(void **state)
{
    (void)state;
    struct progress progress;
    open_pipe(&progress, PROGRESS_LINE);
    progress.delay_ns = 60000000000u;
    progress_begin(&progress, "loading");
    progress_update(&progress, "loading", 1, 2);
    progress_end(&progress);
    assert_string_equal(drain(), "");
    close_pipe(&progress);
}

static void test_plain_lines_stay(void **state)
{
    (void)state;
    struct progress progress;
    open_pipe(&progress, PROGRESS_APPEND);
    progress_update(&progress, "reading", 10, 40);
    wait_for_output();
    assert_string_equal(seen, "fathom: reading 10 of 40 tokens, 25 %\n");
    progress_end(&progress);
    assert_string_equal(drain(), "");
    close_pipe(&progress);
}

static void test_styles(void **state)
{
    (void)state;
    struct progress progress;
    assert_int_equal(progress_style_for(false, false, false), PROGRESS_NONE);
    assert_int_equal(progress_style_for(true, true, false), PROGRESS_NONE);
    assert_int_equal(progress_style_for(true, false, true), PROGRESS_APPEND);
    assert_int_equal(progress_style_for(true, false, false), PROGRESS_LINE);
    open_pipe(&progress, PROGRESS_NONE);
    progress_begin(&progress, "loading");
    nanosleep(&(struct timespec){0, 20000000}, NULL);
    progress_update(&progress, "loading", 1, 2);
    assert_string_equal(drain(), "");
    close_pipe(&progress);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_line_is_drawn_and_erased),
        cmocka_unit_test(test_what_cannot_tell_how_far_it_is),
        cmocka_unit_test(test_nothing_before_its_time),
        cmocka_unit_test(test_plain_lines_stay),
        cmocka_unit_test(test_styles),
    };
    return cmocka_run_group_tests_name("progress", tests, NULL, NULL);
}
