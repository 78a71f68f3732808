/* Tests the measured peak of multiplications: every instruction set does the work that it counts, and the model's own numbers
 * of multiplications are those of its shapes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "engine/cpu.h"
#include "engine/cpu_kernels.h"
#include "engine/engine_private.h"
#include "tests/engine_fixture.h"

static void rounds_are_counted(void **state)
{
    (void)state;
    for (size_t i = 0; cpu_kernels_at(i); i++) {
        const struct cpu_kernels *kernels = cpu_kernels_at(i);
        if (!kernels->is_available())
            continue;
        int64_t one = kernels->multiply_bytes(1);
        assert_true(one > 0);
        assert_int_equal(kernels->multiply_bytes(1000), 1000 * one);
        assert_int_equal(kernels->multiply_bytes(0), 0);
    }
}

/* A loop that the compiler took away would seem to be faster than any CPU is: the widest units multiply some 2,000 bytes a
 * cycle. */
static void peaks_are_such_as_cpus_have(void **state)
{
    (void)state;
    struct error error;
    for (size_t i = 0; cpu_kernels_at(i); i++)
        for (int n_threads = 1; cpu_kernels_at(i)->is_available() && n_threads <= 2; n_threads++) {
            struct thread_pool *pool;
            struct backend *backend;
            double speed = 0;
            assert_int_equal(thread_pool_new(n_threads, &pool, &error), STATUS_OK);
            assert_int_equal(cpu_backend_new(pool, cpu_kernels_at(i)->name, &backend, &error), STATUS_OK);
            assert_int_equal(cpu_measure_compute(backend, &speed, &error), STATUS_OK);
            assert_true(speed > 1e6 && speed < n_threads * 2048 * 8e9);
            backend->ops->free(backend);
            thread_pool_free(pool);
        }
}

static void multiplications_are_those_of_the_shapes(void **state)
{
    (void)state;
    struct error error = {0};
    struct engine *engine = open_small("llama-gqa", NULL, 1);
    const struct hparams *h = &engine->model->hparams;
    const struct model_info *info = engine_info(engine);
    uint64_t width = (uint64_t)h->n_embd, kv = (uint64_t)(h->n_head_kv * h->n_embd_head_k);
    uint64_t layer = 2 * width * width + 2 * width * kv + 3 * width * (uint64_t)h->n_ff;
    assert_true(info->multiply_adds_layers == layer * (uint64_t)h->n_layer);
    assert_true(info->multiply_adds_logits == width * (uint64_t)h->n_vocab);
    double speed = 0;
    assert_int_equal(engine_measure_compute(engine, &speed, &error), STATUS_OK);
    assert_true(speed > 0);
    engine_close(engine);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rounds_are_counted),
        cmocka_unit_test(peaks_are_such_as_cpus_have),
        cmocka_unit_test(multiplications_are_those_of_the_shapes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
