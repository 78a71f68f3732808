/* Tests the two ways of latent attention against each other: absorbed and expanded must give the same, for every kind of
 * file and cache; and expanding cells against its formula. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "engine/kvcache.h"
#include "tests/cpu_fixture.h"
#include "tests/engine_fixture.h"
#include "tests/synth.h"
#include "tests/synth_shapes.h"

enum { ALWAYS = 1, NEVER = INT32_MAX }; /* for session_options.expand_from */

/* ---- whole models ---- */

struct change {
    const char *field;
    int32_t value;
};

static struct engine *open_shape(const char *name, const struct change *changes, size_t n_changes, const char *cpu)
{
    struct synth_shape shape = *synth_shape_find(name);
    for (size_t i = 0; i < n_changes; i++)
        assert_true(synth_shape_set(&shape, changes[i].field, changes[i].value));
    const char *folder = getenv("TMPDIR");
    char path[512];
    snprintf(path, sizeof path, "%s/latent-XXXXXX", folder ? folder : "/tmp");
    int descriptor = mkstemp(path);
    assert_true(descriptor >= 0);
    close(descriptor);
    struct engine *engine = NULL;
    struct error error = {0};
    if (synth_save(path, &shape, &(struct synth_options){.seed = 3}, &error) ||
        engine_open(&(struct engine_options){.model_path = path, .cpu = cpu, .n_threads = 2}, &engine, &error))
        fail_msg("%s: %s", name, error.text);
    unlink(path);
    return engine;
}

/* Log-probabilities (n_vocab) after n arbitrary tokens, the last n_single of which come one by one; yours to free. */
static double *logprobs_after(struct engine *engine, int32_t n, int32_t n_single, int32_t n_slice, int32_t expand_from,
                              enum kv_type kv)
{
    struct tokens ids = {0};
    uint64_t seed = 5;
    for (int32_t i = 0; i < n; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u; /* Knuth's MMIX */
        tokens_append(&ids, (int32_t)((seed >> 33) % 256));
    }
    struct session *session = open_session(
        engine, (struct session_options){.n_ctx = n, .n_slice = n_slice, .kv = kv, .expand_from = expand_from});
    ids.n -= (size_t)n_single;
    sync_all(session, &ids, NULL);
    for (int32_t i = 0; i < n_single; i++)
        assert_int_equal(session_append(session, ids.ids[ids.n + (size_t)i], NULL), STATUS_OK);
    double *logprobs = next_logprobs(engine, session);
    session_close(session);
    tokens_deinit(&ids);
    return logprobs;
}

static double difference(struct engine *engine, double *ours, double *other)
{
    double worst = 0;
    for (int32_t id = 0; id < engine_n_vocab(engine); id++)
        worst = fmax(worst, fabs(ours[id] - other[id]));
    free(ours);
    free(other);
    return worst;
}

/* Files of every kind.  Where weights are quantised, fast kernels round the input of some products and not of others: so
 * these are held on plain C alone. */
static const struct kind {
    const char *shape, *cpu;
    bool has_own_path; /* through latent attention: the others are tried where it doesn't take long */
} kinds[] = {
    {"lite-old", NULL, true},
    {"lite-new", NULL, true},
    {"lite-fused", NULL, false},
    {"lite-f16", NULL, false},
    {"lite-q8_0", "scalar", false},
    {"lite-q4_k_m", "scalar", true},
    {"v2", NULL, false},
    {"v3", NULL, true},
    {"v3-plain", NULL, false},
    {"v3-nextn", NULL, false},
};

/* Tolerances of log-probabilities.  In one layer both ways read the very same cells.  In later ones they read cells made of
 * sums that differ in their last bits, and where these fall on either side of a step of the cache's type, a cell differs by that
 * step: half of 2^-10 of a number, or of 1/127 of the greatest among 32. */
static const struct {
    enum kv_type kv;
    const char *name;
    double one_layer, all_layers;
} caches[] = {{KV_F32, "f32", 1e-4, 1e-4}, {KV_F16, "f16", 1e-4, 5e-3}, {KV_Q8_0, "q8_0", 1e-4, 5e-2}};

static double worst_of_runs(struct engine *engine, enum kv_type kv)
{
    static const struct {
        int32_t n, n_single,
            n_slice; /* a prompt in one piece, in pieces that meet earlier cells, with tokens behind it */
    } runs[] = {{70, 0, 70}, {70, 0, 26}, {12, 0, 3}, {50, 2, 32}};
    double worst = 0;
    for (size_t i = 0; i < sizeof runs / sizeof *runs; i++) {
        int32_t n = runs[i].n, single = runs[i].n_single, n_slice = runs[i].n_slice;
        /* With 2, single tokens are absorbed over what was expanded. */
        worst = fmax(worst, difference(engine, logprobs_after(engine, n, single, n_slice, 2, kv),
                                       logprobs_after(engine, n, single, n_slice, NEVER, kv)));
    }
    return worst;
}

static void both_ways_give_the_same(void **state)
{
    (void)state;
    /* Blocks of Q8_0 want widths of a multiple of 32. */
    static const struct change changes[] = {{"n_rot", 32}, {"n_layer", 1}, {"n_dense_lead", 1}};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        for (int one = test_slowness() > 1 && !kinds[i].has_own_path ? 2 : 0; one < 2; one++) {
            struct engine *engine = open_shape(kinds[i].shape, changes, one ? 3 : 1, kinds[i].cpu);
            for (size_t c = 0; c < sizeof caches / sizeof *caches; c++) {
                double worst = worst_of_runs(engine, caches[c].kv);
                print_message("  %s, %s, %s cache: %.2g\n", kinds[i].shape, one ? "one layer" : "all layers",
                              caches[c].name, worst);
                if (!(worst <= (one ? caches[c].one_layer : caches[c].all_layers)))
                    fail_msg("%s, %s cache: expanded differs by %g from absorbed", kinds[i].shape, caches[c].name,
                             worst);
            }
            engine_close(engine);
        }
}

/* More than is expanded at once: some heads after the others, the last ones fewer; and one head that is too much by itself. */
static void heads_may_be_expanded_in_parts(void **state)
{
    (void)state;
    static const struct change many[] = {{"n_layer", 1}, {"n_embd", 64},   {"n_head", 61},      {"n_nope", 512},
                                         {"n_rot", 16},  {"n_value", 500}, {"kv_lora_rank", 64}};
    static const struct change wide[] = {{"n_layer", 1}, {"n_embd", 64},    {"n_head", 2},       {"n_nope", 4080},
                                         {"n_rot", 16},  {"n_value", 4096}, {"kv_lora_rank", 32}};
    for (int k = 0; k < 2; k++) {
        struct engine *engine = open_shape("lite-new", k ? wide : many, 7, NULL);
        int32_t n = k ? 260 : 100, n_slice = k ? 200 : 70; /* 20 heads of 61 at once; 260 · 8192 numbers of one */
        double worst = difference(engine, logprobs_after(engine, n, 0, n_slice, ALWAYS, KV_F32),
                                  logprobs_after(engine, n, 0, n_slice, NEVER, KV_F32));
        print_message("  %s heads: %.2g\n", k ? "wide" : "many", worst);
        if (!(worst <= 1e-4))
            fail_msg("expanded in parts differs by %g from absorbed", worst);
        engine_close(engine);
    }
}

/* lite-new: rank 64, nope 32, rotated 16, value 24: in the latent space a query and a cell take 2 · 64 + 16 multiplications,
 * expanded 48 + 24 and a cell 64 · 56 once: 3584 / 72 = 49.8 tokens make up for it. */
static void the_cheaper_way_is_taken(void **state)
{
    (void)state;
    struct engine *engine = open_shape("lite-new", NULL, 0, NULL);
    const int32_t lengths[] = {49, 50};
    for (size_t i = 0; i < 2; i++) {
        int32_t n = lengths[i];
        double to_absorbed = difference(engine, logprobs_after(engine, n, 0, n, 0, KV_F32),
                                        logprobs_after(engine, n, 0, n, NEVER, KV_F32));
        double to_expanded = difference(engine, logprobs_after(engine, n, 0, n, 0, KV_F32),
                                        logprobs_after(engine, n, 0, n, ALWAYS, KV_F32));
        assert_true(i == 0 ? to_absorbed == 0 && to_expanded > 0 : to_absorbed > 0 && to_expanded == 0);
    }
    struct session *session = NULL;
    struct error error = {0};
    assert_int_equal(session_open(engine, &(struct session_options){.n_ctx = 8, .expand_from = -1}, &session, &error),
                     STATUS_ARGUMENT);
    assert_non_null(strstr(error.text, "-1"));
    engine_close(engine);
}

/* ---- the operation ---- */

enum { HEADS = 5, FIRST_HEAD = 2, TAKEN = 3, RANK = 96, ROT = 32, NOPE = 40, VALUE = 33 };

/* Numbers of -1..1 as a weight, whose bytes are yours to free; the numbers become what the weight has of them. */
static struct weight weight_of(enum quant_type type, float *numbers, int64_t n_rows, int64_t n_cols)
{
    const struct quant_info *info = quant_info(type);
    size_t n = (size_t)(HEADS * n_rows * n_cols), n_bytes = n / info->block_elements * info->block_bytes;
    unsigned char *data = malloc(n_bytes);
    assert_non_null(data);
    for (size_t i = 0; i < n; i++) {
        uint16_t half = half_from_float(numbers[i]), scale = half_from_float(1.0f / 127);
        unsigned char *block = data + i / 32 * 34;
        if (type == QUANT_F32)
            memcpy(data + 4 * i, &numbers[i], 4);
        else if (type == QUANT_F16)
            memcpy(data + 2 * i, &half, 2);
        else
            memcpy(block, &scale, 2), block[2 + i % 32] = (unsigned char)(int8_t)lrintf(numbers[i] * 127);
    }
    info->unpack(data, numbers, n);
    return (struct weight){.name = "w",
                           .type = type,
                           .n_cols = n_cols,
                           .n_rows = n_rows,
                           .n_mats = HEADS,
                           .row_bytes = n_bytes / (size_t)(HEADS * n_rows),
                           .mat_bytes = n_bytes / HEADS,
                           .data = data};
}

static void assert_close(float ours, double expected, double tolerance, const char *what, int32_t cell, int32_t head,
                         int32_t i)
{
    if (!(fabs((double)ours - expected) <= tolerance))
        fail_msg("%s of cell %d, head %d, number %d is %g, not %g", what, cell, head, i, (double)ours, expected);
}

/* Chunks of cells meet the values as one slice each. */
static void hold_values(const struct machine *machine, const struct kvcache *cache, const struct weight *values,
                        const float *ours, int32_t n_cells)
{
    enum { CHUNK = 256, WIDTH = RANK + ROT };
    float *cells = malloc(sizeof *cells * CHUNK * WIDTH);
    assert_non_null(cells);
    for (int32_t first = 0; first < n_cells; first += CHUNK) {
        int32_t n = n_cells - first < CHUNK ? n_cells - first : CHUNK;
        for (int32_t i = 0; i < n; i++)
            quant_info(cache->type)
                ->unpack(kvcache_keys(cache, 1) + (size_t)(first + i) * cache->k_row_bytes, cells + i * WIDTH, WIDTH);
        for (int32_t head = 0; head < TAKEN; head++) {
            struct plain *plain = new_plain(values, FIRST_HEAD + head, cells, WIDTH, n);
            char what[64];
            snprintf(what, sizeof what, "%s: values of head %d from cell %d on", kernels_of(machine)->name, head,
                     first);
            assert_plain(ours + (first * TAKEN + head) * VALUE, TAKEN * VALUE, plain, n, VALUE, what);
            for (int32_t i = 0; values->type == QUANT_F32 && i < n * VALUE; i++)
                assert_close(ours[(first + i / VALUE) * TAKEN * VALUE + head * VALUE + i % VALUE], plain[i].value, 1e-4,
                             "the value", first + i / VALUE, head, i % VALUE);
            free(plain);
        }
    }
    free(cells);
}

/* n_cells cells of random numbers in the second layer of a cache, expanded for some heads, and what the formula says. */
static void hold_expansion(const struct machine *machine, enum kv_type kv, enum quant_type keys_type,
                           enum quant_type values_type, int32_t n_cells)
{
    struct backend *backend = machine->backend;
    float *numbers = new_floats(1, (size_t)n_cells * (RANK + ROT));
    float *keys = new_floats(2, HEADS * RANK * NOPE), *values = new_floats(3, HEADS * VALUE * RANK);
    struct kvcache cache;
    assert_int_equal(kvcache_init(&cache, kv, n_cells + 2, 2, 1, RANK + ROT, 0, RANK, NULL), STATUS_OK);
    backend->ops->kv_store(backend, &cache, 1, 0, n_cells, numbers, NULL);
    int32_t k_elements = TAKEN * (NOPE + ROT), v_elements = TAKEN * VALUE;
    float *memory = backend->ops->alloc(backend, (size_t)n_cells * (size_t)(k_elements + v_elements));
    struct kvcache out = kvcache_of_floats(memory, n_cells, k_elements, v_elements);
    const struct weight k = weight_of(keys_type, keys, RANK, NOPE), v = weight_of(values_type, values, VALUE, RANK);
    const struct expansion expansion = {&k, &v, FIRST_HEAD, TAKEN, n_cells};
    backend->ops->expand(backend, &out, &cache, 1, &expansion);
    struct error error;
    float first;
    assert_int_equal(backend->ops->read(backend, &first, memory, 1, &error), STATUS_OK);
    for (int32_t cell = 0; cell < n_cells; cell++) {
        float c[RANK + ROT];
        quant_info(cache.type)->unpack(kvcache_keys(&cache, 1) + (size_t)cell * cache.k_row_bytes, c, RANK + ROT);
        for (int32_t head = 0; head < TAKEN; head++) {
            const float *key = memory + cell * k_elements + head * (NOPE + ROT);
            for (int32_t i = 0; i < NOPE + ROT; i++) {
                double expected = i < NOPE ? 0 : (double)c[RANK + i - NOPE];
                for (int32_t r = 0; i < NOPE && r < RANK; r++)
                    expected += (double)c[r] * (double)keys[((FIRST_HEAD + head) * RANK + r) * NOPE + i];
                assert_close(key[i], expected, 1e-4, "the key", cell, head, i);
            }
        }
    }
    hold_values(machine, &cache, &v, memory + n_cells * k_elements, n_cells);
    backend->ops->release(backend, memory);
    kvcache_deinit(&cache);
    free(numbers);
    free(keys);
    free(values);
    free((void *)(uintptr_t)k.data);
    free((void *)(uintptr_t)v.data);
}

static void expand_all(const struct machine *truth, const struct machine *fast)
{
    (void)truth;
    static const int32_t lengths[] = {1,   3,   16, 17,
                                      255, 257, 515}; /* chunks are of 256, few cells take another input */
    for (size_t k = 0; k < sizeof lengths / sizeof *lengths; k++)
        for (size_t c = 0; c < (test_slowness() > 1 && k ? 1 : sizeof caches / sizeof *caches); c++) {
            hold_expansion(fast, caches[c].kv, QUANT_F32, QUANT_F32, lengths[k]);
            hold_expansion(fast, caches[c].kv, QUANT_F16, QUANT_Q8_0, lengths[k]);
        }
}

static void expanding_is_the_formula(void **state)
{
    (void)state;
    on_every_set(expand_all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(expanding_is_the_formula),
        cmocka_unit_test(both_ways_give_the_same),
        cmocka_unit_test(heads_may_be_expanded_in_parts),
        cmocka_unit_test(the_cheaper_way_is_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
