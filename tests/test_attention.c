/* Tests attention and its cache on the CPU: every instruction set against the scalar truth, the scalar truth against the
 * formula, and that a token's numbers depend neither on the number of threads nor on what it is evaluated with. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/cpu.h"
#include "engine/cpu_private.h"
#include "engine/kvcache.h"
#include "tests/cpu_fixture.h"

static const enum kv_type kv_types[] = {KV_F32, KV_F16, KV_Q8_0, KV_Q4_0};

enum { N_KV_TYPES = sizeof kv_types / sizeof *kv_types };

/* Each set of kernels that runs here, with 1 and with 3 threads. */
static void on_each_set(void (*check)(const struct machine *truth, const struct machine *fast))
{
    struct machine truth = open_machine("scalar", 1);
    for (size_t i = 0; set_at(i); i++)
        for (int n_threads = 1; set_at(i)->is_available() && n_threads <= 3; n_threads += 2) {
            struct machine fast = open_machine_of(set_at(i), n_threads);
            check(&truth, &fast);
            close_machine(&fast);
        }
    close_machine(&truth);
}

/* ---- a cache full of numbers, and queries ---- */

struct shape {
    int32_t n_head, n_head_kv, k_width, v_width;
    int32_t window;
    bool is_latent; /* the values are the beginning of the keys */
};

struct scene {
    struct kvcache cache;
    struct attention_settings settings;
    float *q, *out; /* (n_tokens, n_head * width) */
    size_t n_out;
};

/* Cells of first + n_tokens tokens in the second of two layers, with room for some more. */
static struct scene new_scene(const struct machine *machine, enum kv_type kv, const struct shape *shape, int32_t first,
                              int32_t n_tokens)
{
    struct scene scene = {.settings = {.n_tokens = n_tokens,
                                       .first_position = first,
                                       .n_head = shape->n_head,
                                       .n_head_kv = shape->n_head_kv,
                                       .n_embd_head_k = shape->k_width,
                                       .n_embd_head_v = shape->v_width,
                                       .window = shape->window,
                                       .scale = 1.0f / sqrtf((float)shape->k_width)}};
    int32_t n_cells = first + n_tokens, k = shape->n_head_kv * shape->k_width,
            v = shape->is_latent ? 0 : shape->n_head_kv * shape->v_width;
    assert_int_equal(kvcache_init(&scene.cache, kv, n_cells + 3, 2, shape->n_head_kv, k, v, shape->v_width, NULL),
                     STATUS_OK);
    assert_int_equal(kvcache_write(&scene.cache, 0, n_cells, NULL), STATUS_OK);
    float *keys = new_floats(1, (size_t)(n_cells * k)), *values = new_floats(2, (size_t)(n_cells * (v ? v : 1)));
    machine->backend->ops->kv_store(machine->backend, &scene.cache, 1, 0, n_cells, keys, values);
    free(keys);
    free(values);
    size_t n_q = (size_t)(n_tokens * shape->n_head * shape->k_width);
    scene.q = new_floats(3, n_q);
    for (size_t i = 0; i < n_q; i++)
        scene.q[i] *= 6;
    scene.n_out = (size_t)(n_tokens * shape->n_head * shape->v_width);
    scene.out = calloc(scene.n_out, sizeof *scene.out);
    assert_non_null(scene.out);
    return scene;
}

static void free_scene(struct scene *scene)
{
    kvcache_deinit(&scene->cache);
    free(scene->q);
    free(scene->out);
}

static void attend(const struct machine *machine, const struct scene *scene, float *out)
{
    machine->backend->ops->attention(machine->backend, out, scene->q, &scene->cache, 1, &scene->settings);
}

/* ---- against the truth ---- */

/* Values are of -1..1, and so are results: the tolerance is 1e-5 of that. */
static void check_attention(const struct machine *truth, const struct machine *fast, enum kv_type kv,
                            const struct shape *shape, int32_t first, int32_t n_tokens)
{
    struct scene scene = new_scene(truth, kv, shape, first, n_tokens);
    float *ours = calloc(scene.n_out, sizeof *ours), *ones = malloc(scene.n_out * sizeof *ones);
    assert_non_null(ours);
    assert_non_null(ones);
    for (size_t i = 0; i < scene.n_out; i++)
        ones[i] = 1;
    attend(truth, &scene, scene.out);
    attend(fast, &scene, ours);
    char what[128];
    snprintf(what, sizeof what, "%s attention: kv %d, heads %d/%d of %d/%d, window %d, tokens %d from %d",
             cpu_backend_kernels(fast->backend), (int)kv, shape->n_head, shape->n_head_kv, shape->k_width,
             shape->v_width, shape->window, n_tokens, first);
    assert_near(ours, scene.out, ones, scene.n_out, 1e-5, what);
    free(ours);
    free(ones);
    free_scene(&scene);
}

static const struct shape small = {9, 3, 64, 64, 0, false}, latent = {16, 1, 96, 64, 0, true};

static void attention_of_every_shape(const struct machine *truth, const struct machine *fast)
{
    static const struct {
        struct shape shape;
        int32_t first, n_tokens;
    } cases[] = {
        /* few tokens: one span, a block that ends, several spans, longer spans */
        {{9, 3, 64, 64, 0, false}, 0, 1},
        {{9, 3, 64, 64, 0, false}, 63, 1},
        {{9, 3, 64, 64, 0, false}, 100, 1},
        {{9, 3, 64, 64, 0, false}, 1023, 2},
        {{14, 2, 64, 64, 0, false}, 2200, 5},
        {{9, 3, 64, 64, 0, false}, 60, 16},
        {{32, 1, 192, 128, 0, false}, 5, 3},
        {{16, 1, 576, 512, 0, true}, 40, 2},
        {{16, 1, 576, 512, 0, true}, 130, 1},
        {{40, 1, 96, 64, 0, true}, 70, 16},
        {{4, 2, 32, 32, 8, false}, 90, 1},
        {{4, 2, 32, 32, 100, false}, 1150, 7},
        {{4, 4, 160, 96, 0, false}, 80, 4},
        /* many: tiles of one and of several tokens, blocks and keys in parts */
        {{9, 3, 64, 64, 0, false}, 0, 70},
        {{9, 3, 64, 64, 0, false}, 130, 17},
        {{4, 4, 32, 96, 0, false}, 31, 33},
        {{4, 2, 32, 32, 33, false}, 20, 70},
        {{4, 2, 32, 32, 100, false}, 200, 120},
        {{8, 1, 576, 512, 0, true}, 30, 20},
        {{100, 1, 64, 64, 0, false}, 3, 18},
        {{2, 2, 192, 128, 0, false}, 0, 100},
    };
    for (size_t i = 0; i < N_KV_TYPES; i++)
        for (size_t k = 0; k < sizeof cases / sizeof *cases; k++)
            check_attention(truth, fast, kv_types[i], &cases[k].shape, cases[k].first, cases[k].n_tokens);
    /* Heads that are no whole vectors, of types without blocks. */
    static const struct shape odd[] = {{2, 1, 20, 12, 0, false}, {7, 7, 5, 3, 0, false}, {4, 2, 80, 112, 0, false}};
    for (size_t k = 0; k < sizeof odd / sizeof *odd; k++) {
        check_attention(truth, fast, KV_F16, &odd[k], 7, 9);
        check_attention(truth, fast, KV_F32, &odd[k], 100, 40);
    }
}

static void attention_agrees_with_the_truth(void **state)
{
    (void)state;
    on_each_set(attention_of_every_shape);
}

/* Attention once more from its formula, without a cache type in the way. */
static void scalar_attention_is_the_formula(void **state)
{
    (void)state;
    enum { CELLS = 5, HEADS = 4, GROUP = 2, WIDTH = 8 };
    struct machine machine = open_machine("scalar", 1);
    const struct shape shape = {HEADS, HEADS / GROUP, WIDTH, WIDTH, 0, false};
    struct scene scene = new_scene(&machine, KV_F32, &shape, CELLS - 2, 2);
    scene.settings.scale = 0.5f;
    attend(&machine, &scene, scene.out);
    const float *k = (const float *)(const void *)kvcache_keys(&scene.cache, 1),
                *v = (const float *)(const void *)kvcache_values(&scene.cache, 1), *q = scene.q;
    for (int t = 0; t < 2; t++)
        for (int h = 0; h < HEADS; h++)
            for (int i = 0; i < WIDTH; i++) {
                double sum = 0, total = 0;
                for (int c = 0; c <= CELLS - 2 + t; c++) {
                    double score = 0;
                    const float *key = k + (c * HEADS / GROUP + h / GROUP) * WIDTH;
                    for (int j = 0; j < WIDTH; j++)
                        score += (double)q[(t * HEADS + h) * WIDTH + j] * (double)key[j];
                    total += exp(0.5 * score);
                    sum += exp(0.5 * score) * (double)v[(c * HEADS / GROUP + h / GROUP) * WIDTH + i];
                }
                assert_true(fabs(sum / total - (double)scene.out[(t * HEADS + h) * WIDTH + i]) < 1e-6);
            }
    free_scene(&scene);
    close_machine(&machine);
}

/* What is not a number must stay so, or a wrong model answers as if it were a right one. */
static void nan_goes_through(const struct machine *truth, const struct machine *fast)
{
    (void)truth;
    enum { HEADS = 2, CELLS = 40, WIDTH = 32 };
    const int32_t lengths[] = {1, 30};
    for (size_t k = 0; k < N_KV_TYPES; k++)
        for (int which = 0; which < 3; which++)
            for (size_t l = 0; l < 2; l++) {
                int32_t n = lengths[l];
                struct kvcache cache;
                assert_int_equal(kvcache_init(&cache, kv_types[k], CELLS, 1, 1, WIDTH, WIDTH, WIDTH, NULL), STATUS_OK);
                float *inputs[3] = {new_floats(1, (size_t)(n * HEADS * WIDTH)), new_floats(2, CELLS * WIDTH),
                                    new_floats(3, CELLS * WIDTH)},
                      *out = new_floats(4, (size_t)(n * HEADS * WIDTH));
                /* Of the last token's second head, or of a cell that it sees. */
                int64_t last = (int64_t)(n * HEADS - 1) * WIDTH;
                inputs[which][which ? 35 * WIDTH + 3 : last + 3] = NAN;
                fast->backend->ops->kv_store(fast->backend, &cache, 0, 0, CELLS, inputs[1], inputs[2]);
                const struct attention_settings settings = {n, CELLS - n, HEADS, 1, WIDTH, WIDTH, 0, 0.2f, 0};
                fast->backend->ops->attention(fast->backend, out, inputs[0], &cache, 0, &settings);
                assert_true(isnan(out[last + 3]));
                for (int i = 0; i < 3; i++)
                    free(inputs[i]);
                free(out);
                kvcache_deinit(&cache);
            }
}

static void what_is_no_number_stays_so(void **state)
{
    (void)state;
    on_each_set(nan_goes_through);
}

/* ---- the same numbers, however it is computed ---- */

static uint32_t bits_of(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static void assert_same(const float *ours, const float *other, size_t n, const char *what, int32_t a, int32_t b)
{
    for (size_t i = 0; i < n; i++)
        if (bits_of(ours[i]) != bits_of(other[i]))
            fail_msg("%s %d, %d: number %zu is %.9g, not %.9g", what, a, b, i, (double)ours[i], (double)other[i]);
}

/* A slice's tokens one by one, each with the cells that it sees and no more. */
static void hold_company(const struct machine *machine, enum kv_type kv, const struct shape *shape, int32_t first,
                         int32_t n_tokens)
{
    struct scene scene = new_scene(machine, kv, shape, first, n_tokens);
    size_t n_row = scene.n_out / (size_t)n_tokens;
    float *alone = calloc(n_row, sizeof *alone);
    assert_non_null(alone);
    attend(machine, &scene, scene.out);
    for (int32_t t = 0; t < n_tokens; t++) {
        struct attention_settings one = scene.settings;
        one.n_tokens = 1;
        one.first_position += t;
        machine->backend->ops->attention(machine->backend, alone, scene.q + t * shape->n_head * shape->k_width,
                                         &scene.cache, 1, &one);
        assert_same(scene.out + (size_t)t * n_row, alone, n_row, "a token in company, slice of, token", n_tokens, t);
    }
    free(alone);
    free_scene(&scene);
}

static void company_changes_nothing(const struct machine *truth, const struct machine *fast)
{
    if (cpu_of(fast->backend)->kernels == cpu_of(truth->backend)->kernels)
        return; /* one token after another, anyway */
    static const struct shape windowed = {8, 2, 32, 32, 70, false};
    const struct shape *shapes[] = {&small, &latent, &windowed};
    /* Over the end of a block, which is a span; into longer spans. */
    const int32_t starts[] = {60, 1015}, lengths[] = {2, 3, 5, CPU_FEW_TOKENS};
    for (size_t k = 0; k < N_KV_TYPES; k++)
        for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
            for (size_t i = 0; i < 2; i++)
                for (size_t l = 0; l < sizeof lengths / sizeof *lengths; l++)
                    if (starts[i] < 100 || lengths[l] != 3)
                        hold_company(fast, kv_types[k], shapes[s], starts[i], lengths[l]);
}

static void a_token_gets_the_same_alone_and_in_company(void **state)
{
    (void)state;
    on_each_set(company_changes_nothing);
}

static void threads_change_nothing(void **state)
{
    (void)state;
    const int counts[] = {2, 3, 4, 7, 16};
    const int32_t slices[] = {1, 3, 16, 40};
    const struct shape *shapes[] = {&small, &latent};
    for (size_t i = 0; set_at(i); i++) {
        if (!set_at(i)->is_available() || set_at(i) == &cpu_scalar_kernels)
            continue;
        struct machine one = open_machine_of(set_at(i), 1);
        for (size_t s = 0; s < 2; s++)
            for (size_t l = 0; l < sizeof slices / sizeof *slices; l++) {
                struct scene scene = new_scene(&one, KV_F16, shapes[s], s ? 150 : 1200, slices[l]);
                float *ours = calloc(scene.n_out, sizeof *ours);
                assert_non_null(ours);
                attend(&one, &scene, scene.out);
                for (size_t c = 0; c < sizeof counts / sizeof *counts; c++) {
                    struct machine many = open_machine_of(set_at(i), counts[c]);
                    attend(&many, &scene, ours);
                    assert_same(ours, scene.out, scene.n_out, "threads, tokens:", counts[c], slices[l]);
                    close_machine(&many);
                }
                free(ours);
                free_scene(&scene);
            }
        close_machine(&one);
    }
}

/* ---- cells ---- */

/* The bytes of cells are those of the truth, for numbers of every size: also halves that are subnormal or too large. */
static void the_same_bytes(const struct machine *truth, const struct machine *fast)
{
    enum { CELLS = 300, WIDTH = 96 };
    float *keys = new_floats(1, CELLS * WIDTH), *values = new_floats(2, CELLS * WIDTH);
    for (int c = 0; c < CELLS; c++)
        for (int i = 0; i < WIDTH; i++)
            keys[c * WIDTH + i] *= ldexpf(1, c % 60 - 42);
    memset(values + 5 * WIDTH, 0, WIDTH * sizeof *values);
    values[7 * WIDTH + 40] = -values[7 * WIDTH + 41]; /* two greatest */
    values[8 * WIDTH + 3] = INFINITY;
    values[9 * WIDTH + 3] = NAN;
    for (size_t k = 0; k < N_KV_TYPES; k++) {
        struct kvcache caches[2];
        for (int m = 0; m < 2; m++) {
            struct backend *backend = m ? fast->backend : truth->backend;
            assert_int_equal(kvcache_init(&caches[m], kv_types[k], CELLS, 1, 1, WIDTH, WIDTH, WIDTH, NULL), STATUS_OK);
            backend->ops->kv_store(backend, &caches[m], 0, 0, 10, keys, values); /* one thread's */
            backend->ops->kv_store(backend, &caches[m], 0, 10, CELLS - 10, keys + 10 * WIDTH, values + 10 * WIDTH);
        }
        size_t n_bytes = caches[0].k_row_bytes * CELLS;
        assert_memory_equal(kvcache_keys(&caches[0], 0), kvcache_keys(&caches[1], 0), n_bytes);
        assert_memory_equal(kvcache_values(&caches[0], 0), kvcache_values(&caches[1], 0), n_bytes);
        float row[WIDTH];
        quant_info(caches[1].type)->unpack(kvcache_values(&caches[1], 0) + 9 * caches[1].v_row_bytes, row, WIDTH);
        assert_true(isnan(row[3]));
        for (int m = 0; m < 2; m++)
            kvcache_deinit(&caches[m]);
    }
    free(keys);
    free(values);
}

/* A number is off by at most half a step of its block, in Q4_0 by a whole one at the end that has no ninth step; and by the
 * step's own rounding to a half. */
static void cells_are_near(void **state)
{
    (void)state;
    enum { CELLS = 50, WIDTH = 64 };
    static const struct {
        enum kv_type kv;
        float steps, most;
    } types[] = {{KV_Q8_0, 127, 0.5f}, {KV_Q4_0, 8, 1.0f}};
    struct machine machine = open_machine("scalar", 1);
    float *keys = new_floats(1, CELLS * WIDTH), row[WIDTH];
    for (size_t k = 0; k < 2; k++) {
        struct kvcache cache;
        assert_int_equal(kvcache_init(&cache, types[k].kv, CELLS, 1, 1, WIDTH, WIDTH, WIDTH, NULL), STATUS_OK);
        machine.backend->ops->kv_store(machine.backend, &cache, 0, 0, CELLS, keys, keys);
        for (int c = 0; c < CELLS; c++) {
            quant_info(cache.type)->unpack(kvcache_keys(&cache, 0) + (size_t)c * cache.k_row_bytes, row, WIDTH);
            for (int block = 0; block < WIDTH; block += 32) {
                const float *x = keys + c * WIDTH + block;
                float greatest = 0, worst = 0, sum = 0;
                for (int i = 0; i < 32; i++) {
                    greatest = fmaxf(greatest, fabsf(x[i]));
                    worst = fmaxf(worst, fabsf(x[i] - row[block + i]));
                    sum += fabsf(x[i] - row[block + i]);
                }
                assert_true(worst <= greatest * (types[k].most / types[k].steps + 1e-3f));
                assert_true(sum / 32 < greatest * 0.4f / types[k].steps);
            }
        }
        kvcache_deinit(&cache);
    }
    free(keys);
    close_machine(&machine);
}

static void cells_hold_the_same_bytes(void **state)
{
    (void)state;
    on_each_set(the_same_bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(attention_agrees_with_the_truth), cmocka_unit_test(scalar_attention_is_the_formula),
        cmocka_unit_test(what_is_no_number_stays_so),      cmocka_unit_test(a_token_gets_the_same_alone_and_in_company),
        cmocka_unit_test(threads_change_nothing),          cmocka_unit_test(cells_are_near),
        cmocka_unit_test(cells_hold_the_same_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
