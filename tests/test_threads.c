/* Tests the thread pool: every share is computed once by its thread, for any number of threads, also after it slept. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "engine/threads.h"

enum { N_ITEMS = 1000 };

struct counting {
    int counts[N_ITEMS], owner[N_ITEMS];
};

static void count(void *context, int thread, int n_threads)
{
    struct counting *counting = context;
    int64_t begin, end;
    thread_share(N_ITEMS, 16, thread, n_threads, &begin, &end);
    for (int64_t i = begin; i < end; i++) {
        counting->counts[i]++;
        counting->owner[i] = thread;
    }
}

static void every_share_is_computed_once(void **state)
{
    (void)state;
    for (int n = 1; n <= 9; n++) {
        struct thread_pool *pool;
        struct counting counting;
        memset(&counting, 0, sizeof counting);
        assert_int_equal(thread_pool_new(n, &pool, NULL), STATUS_OK);
        assert_int_equal(thread_pool_size(pool), n);
        for (int round = 1; round <= 300; round++) {
            if (round % 100 == 0)
                usleep(3000); /* longer than the others spin */
            thread_pool_run(pool, count, &counting);
            for (int i = 0; i < N_ITEMS; i++)
                assert_int_equal(counting.counts[i], round);
        }
        for (int i = 1; i < N_ITEMS; i++)
            assert_true(counting.owner[i] == counting.owner[i - 1] || i % 16 == 0);
        assert_int_equal(counting.owner[N_ITEMS - 1], n - 1);
        thread_pool_free(pool);
    }
}

static void shares_cover_everything(void **state)
{
    (void)state;
    for (int64_t n = 0; n < 70; n++)
        for (int64_t grain = 1; grain < 20; grain += 6)
            for (int n_threads = 1; n_threads < 9; n_threads++) {
                int64_t expected = 0;
                for (int thread = 0; thread < n_threads; thread++) {
                    int64_t begin, end;
                    thread_share(n, grain, thread, n_threads, &begin, &end);
                    assert_true(begin == expected && end >= begin);
                    assert_true(begin % grain == 0 || begin == n);
                    expected = end;
                }
                assert_int_equal(expected, n);
            }
}

static void wrong_numbers_are_refused(void **state)
{
    (void)state;
    struct thread_pool *pool = NULL;
    struct error error;
    assert_int_equal(thread_pool_new(0, &pool, &error), STATUS_ARGUMENT);
    assert_int_equal(thread_pool_new(THREADS_MAX + 1, &pool, &error), STATUS_ARGUMENT);
    assert_null(pool);
    assert_true(threads_physical_cores() >= 1);
    thread_pool_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_share_is_computed_once),
        cmocka_unit_test(shares_cover_everything),
        cmocka_unit_test(wrong_numbers_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
