/* Tests the CPU backend: every instruction set that this machine has against the scalar truth, and the scalar truth against
 * formulas written down here once more, plainly. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/cpu.h"
#include "engine/cpu_kernels.h"
#include "engine/engine.h"
#include "engine/kvcache.h"

/* ---- numbers from a seed ---- */

static uint64_t next(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u; /* Knuth's MMIX */
    return *seed >> 33;
}

static float next_float(uint64_t *seed) /* -1..1 */
{
    return (float)((double)next(seed) / (double)(1u << 30) - 1.0);
}

static float *new_floats(uint64_t seed, size_t n)
{
    float *x = malloc(n * sizeof *x);
    assert_non_null(x);
    for (size_t i = 0; i < n; i++)
        x[i] = next_float(&seed);
    return x;
}

/* Random blocks of a type: any bytes are weights, but half-precision scales must be finite and of usual size. */
static unsigned char *new_weights(uint64_t seed, enum quant_type type, size_t n_bytes)
{
    unsigned char *bytes = malloc(n_bytes);
    assert_non_null(bytes);
    if (type == QUANT_F32) {
        for (size_t i = 0; i < n_bytes / 4; i++) {
            float x = next_float(&seed);
            memcpy(bytes + 4 * i, &x, 4);
        }
        return bytes;
    }
    for (size_t i = 0; i < n_bytes; i++)
        bytes[i] = (unsigned char)next(&seed);
    /* Where each type keeps its halves, a block: offsets, -1 for none. */
    static const struct {
        enum quant_type type;
        int halves[2];
        size_t step;
    } places[] = {
        {QUANT_F16, {0, -1}, 2},      {QUANT_Q8_0, {0, -1}, 34},  {QUANT_Q4_0, {0, -1}, 18},
        {QUANT_Q4_1, {0, 2}, 20},     {QUANT_Q5_0, {0, -1}, 22},  {QUANT_Q5_1, {0, 2}, 24},
        {QUANT_Q6_K, {208, -1}, 210}, {QUANT_Q4_K, {0, 2}, 144},  {QUANT_Q5_K, {0, 2}, 176},
        {QUANT_Q3_K, {108, -1}, 110}, {QUANT_Q2_K, {80, 82}, 84}, {QUANT_IQ4_NL, {0, -1}, 18},
        {QUANT_IQ4_XS, {0, -1}, 136},
    };
    for (size_t k = 0; k < sizeof places / sizeof *places; k++)
        for (size_t at = 0; places[k].type == type && at + places[k].step <= n_bytes; at += places[k].step)
            for (int h = 0; h < 2; h++) {
                uint16_t half = half_from_float(next_float(&seed) * 0.1f);
                if (places[k].halves[h] >= 0)
                    memcpy(bytes + at + places[k].halves[h], &half, 2);
            }
    if (type == QUANT_BF16)
        for (size_t i = 0; i < n_bytes / 2; i++) {
            float x = next_float(&seed);
            memcpy(bytes + 2 * i, (const unsigned char *)&x + 2, 2);
        }
    /* MXFP4 keeps an exponent alone: a byte before 16 of nibbles. */
    for (size_t at = 0; type == QUANT_MXFP4 && at < n_bytes; at += 17)
        bytes[at] = (unsigned char)(118 + bytes[at] % 8);
    return bytes;
}

/* ---- backends to compare ---- */

struct machine {
    struct thread_pool *pool;
    struct backend *backend;
};

static struct machine open_machine(const char *cpu, int n_threads)
{
    struct machine machine;
    struct error error = {0};
    if (thread_pool_new(n_threads, &machine.pool, &error) ||
        cpu_backend_new(machine.pool, cpu, &machine.backend, &error))
        fail_msg("%s", error.text);
    return machine;
}

static void close_machine(struct machine *machine)
{
    machine->backend->ops->free(machine->backend);
    thread_pool_free(machine->pool);
}

/* Calls check for each set of this machine, with 1 and with 3 threads. */
static void on_every_set(void (*check)(const struct machine *truth, const struct machine *fast))
{
    struct machine truth = open_machine("scalar", 1);
    for (size_t i = 0; cpu_kernels_at(i); i++)
        for (int n_threads = 1; cpu_kernels_at(i)->is_available() && n_threads <= 3; n_threads += 2) {
            struct machine fast = open_machine(cpu_kernels_at(i)->name, n_threads);
            check(&truth, &fast);
            close_machine(&fast);
        }
    close_machine(&truth);
}

/* Each number differs by at most tolerance times the sum of the magnitudes that went into it. */
static void assert_near(const float *ours, const float *truth, const float *magnitude, size_t n, double tolerance,
                        const char *what)
{
    for (size_t i = 0; i < n; i++) {
        double bound = tolerance * (1e-3 + (double)(magnitude ? magnitude[i] : fabsf(truth[i])));
        if (!(fabs((double)ours[i] - (double)truth[i]) <= bound))
            fail_msg("%s: number %zu is %g, not %g (bound %g)", what, i, (double)ours[i], (double)truth[i], bound);
    }
}

/* ---- matmul ---- */

/* Sums of |w · x|, which is what rounding errors grow with. */
static float *new_magnitudes(const struct weight *weight, const float *x, int32_t n_tokens)
{
    float *row = malloc((size_t)weight->n_cols * sizeof *row);
    float *out = calloc((size_t)(n_tokens * weight->n_rows), sizeof *out);
    assert_non_null(row);
    assert_non_null(out);
    for (int64_t r = 0; r < weight->n_rows; r++) {
        quant_info(weight->type)->unpack(weight->data + (size_t)r * weight->row_bytes, row, (size_t)weight->n_cols);
        for (int32_t t = 0; t < n_tokens; t++)
            for (int64_t i = 0; i < weight->n_cols; i++)
                out[t * weight->n_rows + r] += fabsf(row[i] * x[t * weight->n_cols + i]);
    }
    free(row);
    return out;
}

static void check_matmul(const struct machine *truth, const struct machine *fast, enum quant_type type, int64_t n_cols,
                         int64_t n_rows, int32_t n_tokens)
{
    const struct quant_info *info = quant_info(type);
    struct weight weight = {.name = "w", .type = type, .n_cols = n_cols, .n_rows = n_rows, .n_mats = 1};
    weight.row_bytes = (size_t)n_cols / info->block_elements * info->block_bytes;
    unsigned char *data = new_weights((uint64_t)type * 977 + (uint64_t)n_cols, type, weight.row_bytes * (size_t)n_rows);
    weight.data = data;
    size_t n = (size_t)n_tokens * (size_t)n_rows;
    float *x = new_floats((uint64_t)n_tokens, (size_t)(n_tokens * n_cols)),
          *bias_numbers = new_floats(7, (size_t)n_rows);
    const struct weight bias = {.type = QUANT_F32, .n_cols = n_rows, .data = (const unsigned char *)bias_numbers};
    float *magnitude = new_magnitudes(&weight, x, n_tokens);
    float *expected = calloc(2 * n, sizeof *expected), *ours = calloc(2 * n, sizeof *ours);
    /* The second product adds to what is there, without a bias. */
    for (size_t i = 0; i < n; i++)
        expected[n + i] = ours[n + i] = (float)i;
    for (int k = 0; k < 2; k++) {
        const struct machine *machine = k ? fast : truth;
        float *out = k ? ours : expected;
        const struct product products[] = {{&weight, &bias, out, false}, {&weight, NULL, out + n, true}};
        machine->backend->ops->matmul(machine->backend, products, 2, x, n_tokens);
    }
    char what[96];
    snprintf(what, sizeof what, "%s %s (%ld x %ld) for %d tokens", cpu_backend_kernels(fast->backend), info->name,
             (long)n_rows, (long)n_cols, n_tokens);
    /* 16 bits of input a block, then float sums. */
    assert_near(ours, expected, magnitude, n, 1e-4, what);
    for (size_t i = 0; i < n; i++)
        magnitude[i] += (float)i;
    assert_near(ours + n, expected + n, magnitude, n, 1e-4, what);
    free(expected);
    free(ours);
    free(magnitude);
    free(x);
    free(bias_numbers);
    free(data);
}

static void matmul_of_every_type(const struct machine *truth, const struct machine *fast)
{
    const int32_t token_counts[] = {1, 2, 3, 4, 5, 50};
    for (int type = 0; type < QUANT_LIMIT; type++) {
        const struct quant_info *info = quant_info((enum quant_type)type);
        if (!info || !info->unpack)
            continue;
        for (size_t i = 0; i < sizeof token_counts / sizeof *token_counts; i++) {
            check_matmul(truth, fast, (enum quant_type)type, 256, 37, token_counts[i]);
            if (info->block_elements <= 32)
                check_matmul(truth, fast, (enum quant_type)type, 96, 5, token_counts[i]);
            if (info->block_elements == 1)
                check_matmul(truth, fast, (enum quant_type)type, 43, 6, token_counts[i]);
        }
    }
    check_matmul(truth, fast, QUANT_Q4_1, 4096, 130, 3);
    check_matmul(truth, fast, QUANT_Q6_K, 16384, 18, 7);
}

static void matmul_agrees_with_the_truth(void **state)
{
    (void)state;
    on_every_set(matmul_of_every_type);
}

static void extreme_inputs(const struct machine *truth, const struct machine *fast)
{
    (void)truth;
    const struct quant_info *info = quant_info(QUANT_Q8_0);
    unsigned char row[34 * 2];
    uint16_t one = half_from_float(1.0f);
    for (int b = 0; b < 2; b++) {
        memcpy(row + 34 * b, &one, 2);
        memset(row + 34 * b + 2, 0x80, 32); /* -128, the byte whose magnitude no byte has */
    }
    const struct weight weight = {
        .type = QUANT_Q8_0, .n_cols = 64, .n_rows = 1, .n_mats = 1, .row_bytes = 2 * info->block_bytes, .data = row};
    float x[64], out;
    for (int i = 0; i < 64; i++)
        x[i] = 1e6f;
    const struct product product = {&weight, NULL, &out, false};
    fast->backend->ops->matmul(fast->backend, &product, 1, x, 1);
    assert_true(fabsf(out / (-128.0f * 64 * 1e6f) - 1) < 1e-4f);
    memset(x, 0, sizeof x);
    fast->backend->ops->matmul(fast->backend, &product, 1, x, 1);
    assert_true(out == 0);
}

static void extreme_inputs_do_not_saturate(void **state)
{
    (void)state;
    on_every_set(extreme_inputs);
}

/* ---- attention ---- */

static void check_attention(const struct machine *truth, const struct machine *fast, enum kv_type kv, int32_t n_head,
                            int32_t n_head_kv, int32_t k_width, int32_t v_width, int32_t first, int32_t n_tokens)
{
    struct kvcache cache;
    int32_t n_cells = first + n_tokens;
    assert_int_equal(kvcache_init(&cache, kv, n_cells + 3, 2, n_head_kv * k_width, n_head_kv * v_width, NULL),
                     STATUS_OK);
    float *keys = new_floats(1, (size_t)(n_cells * cache.k_elements));
    float *values = new_floats(2, (size_t)(n_cells * cache.v_elements));
    float *q = new_floats(3, (size_t)(n_tokens * n_head * k_width));
    size_t n = (size_t)(n_tokens * n_head * v_width);
    float *expected = calloc(n, sizeof *expected), *ours = calloc(n, sizeof *ours), *ones = malloc(n * sizeof *ones);
    for (size_t i = 0; i < n; i++)
        ones[i] = 1;
    for (int32_t i = 0; i < n_tokens * n_head * k_width; i++)
        q[i] *= 6;
    const struct attention_settings settings = {
        n_tokens, first, n_head, n_head_kv, k_width, v_width, 1.0f / sqrtf((float)k_width)};
    truth->backend->ops->kv_store(truth->backend, &cache, 1, 0, n_cells, keys, values);
    truth->backend->ops->attention(truth->backend, expected, q, &cache, 1, &settings);
    fast->backend->ops->attention(fast->backend, ours, q, &cache, 1, &settings);
    char what[96];
    snprintf(what, sizeof what, "%s attention: kv %d, heads %d/%d of %d/%d, tokens %d from %d",
             cpu_backend_kernels(fast->backend), (int)kv, n_head, n_head_kv, k_width, v_width, n_tokens, first);
    assert_near(ours, expected, ones, n, 1e-5, what);
    free(keys);
    free(values);
    free(q);
    free(expected);
    free(ours);
    free(ones);
    kvcache_deinit(&cache);
}

static void attention_of_every_shape(const struct machine *truth, const struct machine *fast)
{
    const enum kv_type types[] = {KV_F32, KV_F16, KV_Q8_0};
    for (size_t i = 0; i < 3; i++) {
        check_attention(truth, fast, types[i], 9, 3, 64, 64, 0, 1);
        check_attention(truth, fast, types[i], 9, 3, 64, 64, 100, 1);
        check_attention(truth, fast, types[i], 9, 3, 64, 64, 0, 70);
        check_attention(truth, fast, types[i], 4, 4, 32, 96, 31, 33);
        check_attention(truth, fast, types[i], 32, 1, 192, 128, 5, 3);
        check_attention(truth, fast, types[i], 16, 1, 576, 512, 40, 2);
    }
    check_attention(truth, fast, KV_F16, 2, 1, 20, 12, 7, 9);
    check_attention(truth, fast, KV_F32, 7, 7, 5, 3, 0, 40);
}

static void attention_agrees_with_the_truth(void **state)
{
    (void)state;
    on_every_set(attention_of_every_shape);
}

/* Attention once more from its formula, without a cache type in the way. */
static void scalar_attention_is_the_formula(void **state)
{
    (void)state;
    enum { CELLS = 5, HEADS = 4, GROUP = 2, WIDTH = 8 };
    struct machine machine = open_machine("scalar", 1);
    struct kvcache cache;
    assert_int_equal(kvcache_init(&cache, KV_F32, CELLS, 1, HEADS / GROUP * WIDTH, HEADS / GROUP * WIDTH, NULL),
                     STATUS_OK);
    float *k = new_floats(11, CELLS * HEADS / GROUP * WIDTH), *v = new_floats(12, CELLS * HEADS / GROUP * WIDTH);
    float *q = new_floats(13, 2 * HEADS * WIDTH), out[2 * HEADS * WIDTH];
    machine.backend->ops->kv_store(machine.backend, &cache, 0, 0, CELLS, k, v);
    const struct attention_settings settings = {2, CELLS - 2, HEADS, HEADS / GROUP, WIDTH, WIDTH, 0.5f};
    machine.backend->ops->attention(machine.backend, out, q, &cache, 0, &settings);
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
                assert_true(fabs(sum / total - (double)out[(t * HEADS + h) * WIDTH + i]) < 1e-6);
            }
    free(k);
    free(v);
    free(q);
    kvcache_deinit(&cache);
    close_machine(&machine);
}

/* ---- the small operations ---- */

static void rope_is_the_formula(void **state)
{
    (void)state;
    enum { TOKENS = 3, HEADS = 2, WIDTH = 10, ROT = 8, FIRST = 41 };
    struct machine machine = open_machine(NULL, 2);
    const float factor_numbers[ROT / 2] = {1, 2, 4, 8};
    const struct weight factors = {.type = QUANT_F32, .n_cols = ROT / 2, .data = (const unsigned char *)factor_numbers};
    for (int kind = ROPE_NORM; kind <= ROPE_NEOX; kind++)
        for (int with_factors = 0; with_factors < 2; with_factors++) {
            const struct rope_settings settings = {(enum rope_kind)kind, ROT, 10000.0f, 0.25f,
                                                   with_factors ? &factors : NULL};
            float *x = new_floats(5, TOKENS * HEADS * WIDTH), *before = new_floats(5, TOKENS * HEADS * WIDTH);
            machine.backend->ops->rope(machine.backend, x, TOKENS, FIRST, HEADS, WIDTH, &settings);
            for (int row = 0; row < TOKENS * HEADS; row++)
                for (int i = 0; i < WIDTH; i++) {
                    double expected = (double)before[row * WIDTH + i];
                    if (i < ROT) {
                        int pair = kind == ROPE_NEOX ? i % (ROT / 2) : i / 2;
                        bool is_second = kind == ROPE_NEOX ? i >= ROT / 2 : i % 2;
                        int other = kind == ROPE_NEOX ? (i + ROT / 2) % ROT : i ^ 1;
                        double angle = 0.25 * (FIRST + row / HEADS) / pow(10000.0, 2.0 * pair / ROT);
                        if (with_factors)
                            angle /= (double)factor_numbers[pair];
                        double partner = (double)before[row * WIDTH + other];
                        expected = expected * cos(angle) + (is_second ? 1 : -1) * partner * sin(angle);
                    }
                    assert_true(fabs(expected - (double)x[row * WIDTH + i]) < 1e-6);
                }
            free(x);
            free(before);
        }
    close_machine(&machine);
}

static void gates_agree(const struct machine *truth, const struct machine *fast)
{
    (void)truth;
    enum { N = 1003 };
    float *gate = malloc(N * sizeof *gate), *up = new_floats(9, N), expected[N];
    for (int i = 0; i < N; i++)
        gate[i] = (float)(i - N / 2) * 0.25f; /* far into both ends */
    for (int i = 0; i < N; i++)
        expected[i] = (float)((double)gate[i] / (1 + exp(-(double)gate[i])) * (double)up[i]);
    fast->backend->ops->silu_gate(fast->backend, gate, up, N);
    assert_near(gate, expected, NULL, N, 3e-6, cpu_backend_kernels(fast->backend));
    free(gate);
    free(up);
}

static void silu_is_the_formula(void **state)
{
    (void)state;
    on_every_set(gates_agree);
}

static void a_norm_names_the_layer_that_went_wrong(void **state)
{
    (void)state;
    struct machine machine = open_machine(NULL, 2);
    float x[8] = {1, 2, 3, 4, 5, 6, 7, 8}, out[8], ones[8] = {1, 1, 1, 1, 2, 2, 2, 2};
    const struct weight weight = {.type = QUANT_F32, .n_cols = 8, .data = (const unsigned char *)ones};
    struct error error;
    machine.backend->ops->rms_norm(machine.backend, out, x, &weight, 1, 0.5f, 3);
    for (int i = 0; i < 8; i++)
        assert_true(fabs((double)out[i] - (i + 1) / sqrt(204.0 / 8 + 0.5) * (double)ones[i]) < 1e-6);
    assert_int_equal(machine.backend->ops->read(machine.backend, out, x, 8, &error), STATUS_OK);
    x[2] = INFINITY;
    machine.backend->ops->rms_norm(machine.backend, out, x, &weight, 1, 0.5f, 17);
    machine.backend->ops->rms_norm(machine.backend, out, x, &weight, 1, 0.5f, 18);
    assert_int_equal(machine.backend->ops->read(machine.backend, out, x, 8, &error), STATUS_NUMERIC);
    assert_non_null(strstr(error.text, "layer 17"));
    x[2] = 0;
    machine.backend->ops->rms_norm(machine.backend, out, x, &weight, 1, 0.5f, 19);
    assert_int_equal(machine.backend->ops->read(machine.backend, out, x, 8, &error), STATUS_OK);
    close_machine(&machine);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(matmul_agrees_with_the_truth),
        cmocka_unit_test(extreme_inputs_do_not_saturate),
        cmocka_unit_test(attention_agrees_with_the_truth),
        cmocka_unit_test(scalar_attention_is_the_formula),
        cmocka_unit_test(rope_is_the_formula),
        cmocka_unit_test(silu_is_the_formula),
        cmocka_unit_test(a_norm_names_the_layer_that_went_wrong),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
