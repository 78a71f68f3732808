#include "tests/cpu_fixture.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/cpu.h"
#include "engine/cpu_private.h"
#include "tests/wide_on_avx2.h"

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

float *new_floats(uint64_t seed, size_t n)
{
    float *x = malloc(n * sizeof *x);
    assert_non_null(x);
    for (size_t i = 0; i < n; i++)
        x[i] = next_float(&seed);
    return x;
}

unsigned char *new_weights(uint64_t seed, enum quant_type type, size_t n_bytes)
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
        {QUANT_F16, {0, -1}, 2},      {QUANT_Q8_0, {0, -1}, 34},    {QUANT_Q4_0, {0, -1}, 18},
        {QUANT_Q4_1, {0, 2}, 20},     {QUANT_Q5_0, {0, -1}, 22},    {QUANT_Q5_1, {0, 2}, 24},
        {QUANT_Q6_K, {208, -1}, 210}, {QUANT_Q4_K, {0, 2}, 144},    {QUANT_Q5_K, {0, 2}, 176},
        {QUANT_Q3_K, {108, -1}, 110}, {QUANT_Q2_K, {80, 82}, 84},   {QUANT_IQ4_NL, {0, -1}, 18},
        {QUANT_IQ4_XS, {0, -1}, 136}, {QUANT_IQ2_XXS, {0, -1}, 66}, {QUANT_IQ2_XS, {0, -1}, 74},
        {QUANT_IQ2_S, {0, -1}, 82},   {QUANT_IQ3_XXS, {0, -1}, 98}, {QUANT_IQ3_S, {0, -1}, 110},
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

struct weight new_weight(uint64_t seed, enum quant_type type, int64_t n_cols, int64_t n_rows, int64_t n_mats)
{
    const struct quant_info *info = quant_info(type);
    struct weight weight = {.name = "w", .type = type, .n_cols = n_cols, .n_rows = n_rows, .n_mats = n_mats};
    weight.row_bytes = (size_t)n_cols / info->block_elements * info->block_bytes;
    weight.mat_bytes = weight.row_bytes * (size_t)n_rows;
    weight.data = new_weights(seed, type, weight.mat_bytes * (size_t)n_mats);
    return weight;
}

void free_weight(const struct weight *weight)
{
    free((void *)(uintptr_t)weight->data);
}

/* ---- backends to compare ---- */

struct machine open_machine(const char *cpu, int n_threads)
{
    struct machine machine;
    struct error error = {0};
    if (thread_pool_new(n_threads, &machine.pool, &error) ||
        cpu_backend_new(machine.pool, cpu, &machine.backend, &error))
        fail_msg("%s", error.text);
    return machine;
}

struct machine open_machine_of(const struct cpu_kernels *kernels, int n_threads)
{
    struct machine machine = open_machine("scalar", n_threads);
    cpu_of(machine.backend)->kernels = kernels;
    return machine;
}

void close_machine(struct machine *machine)
{
    machine->backend->ops->free(machine->backend);
    thread_pool_free(machine->pool);
}

const struct cpu_kernels *kernels_of(const struct machine *machine)
{
    return cpu_of(machine->backend)->kernels;
}

const struct cpu_kernels *set_at(size_t i)
{
#if defined(__x86_64__)
    if (i == 0)
        return &cpu_wide_kernels;
    i--;
#endif
    return cpu_kernels_at(i);
}

void on_every_set(void (*check)(const struct machine *truth, const struct machine *fast))
{
    struct machine truth = open_machine("scalar", 1);
    for (size_t i = 0; set_at(i); i++)
        for (int n_threads = 1; set_at(i)->is_available() && n_threads <= 3; n_threads += 2) {
            struct machine fast = open_machine_of(set_at(i), n_threads);
            fast.backend->as_alone = n_threads > 1;
            check(&truth, &fast);
            close_machine(&fast);
        }
    close_machine(&truth);
}

bool is_same(const void *a, const void *b, size_t n_bytes)
{
    return memcmp(a, b, n_bytes) == 0;
}

void assert_near(const float *ours, const float *truth, const float *magnitude, size_t n, double tolerance,
                 const char *what)
{
    for (size_t i = 0; i < n; i++) {
        double bound = tolerance * (1e-3 + (double)(magnitude ? magnitude[i] : fabsf(truth[i])));
        if (!(fabs((double)ours[i] - (double)truth[i]) <= bound))
            fail_msg("%s: number %zu is %g, not %g (bound %g)", what, i, (double)ours[i], (double)truth[i], bound);
    }
}

/* ---- products, plainly ---- */

/* Half a step for each number of a row. */
static void half_steps(const float *x, int64_t n, double *half_step)
{
    for (int64_t b = 0; b + ACTIVATION_BLOCK <= n; b += ACTIVATION_BLOCK) {
        double greatest = 0;
        for (int i = 0; i < ACTIVATION_BLOCK; i++)
            greatest = fmax(greatest, fabs((double)x[b + i]));
        for (int i = 0; i < ACTIVATION_BLOCK; i++)
            half_step[b + i] = greatest / (127 * 257) / 2;
    }
}

struct plain *new_plain(const struct weight *weight, int64_t mat, const float *x, int64_t x_stride, int32_t n_tokens)
{
    int64_t n = weight->n_cols, n_rows = weight->n_rows;
    float *rows = malloc((size_t)(n_rows * n) * sizeof *rows);
    double *half_step = calloc((size_t)n, sizeof *half_step);
    struct plain *plain = calloc((size_t)(n_tokens * n_rows), sizeof *plain);
    assert_non_null(rows);
    assert_non_null(half_step);
    assert_non_null(plain);
    for (int64_t r = 0; r < n_rows; r++)
        quant_info(weight->type)
            ->unpack(weight->data + (size_t)mat * weight->mat_bytes + (size_t)r * weight->row_bytes, rows + r * n,
                     (size_t)n);
    for (int32_t t = 0; t < n_tokens; t++) {
        half_steps(x + t * x_stride, n, half_step);
        for (int64_t r = 0; r < n_rows; r++) {
            struct plain *sum = &plain[t * n_rows + r];
            for (int64_t i = 0; i < n; i++) {
                double w = (double)rows[r * n + i], product = w * (double)x[t * x_stride + i];
                sum->value += product;
                sum->magnitude += fabs(product);
                sum->rounding += fabs(w) * half_step[i];
            }
        }
    }
    free(rows);
    free(half_step);
    return plain;
}

void assert_plain(const float *ours, int64_t stride, const struct plain *plain, int32_t n_tokens, int64_t n_rows,
                  const char *what)
{
    double error_squares = 0, squares = 0;
    for (int32_t t = 0; t < n_tokens; t++)
        for (int64_t r = 0; r < n_rows; r++) {
            const struct plain *sum = &plain[t * n_rows + r];
            double value = (double)ours[t * stride + r], error = fabs(value - sum->value);
            double bound = 1e-4 * sum->magnitude;
            if (!(error <= bound))
                fail_msg("%s: row %ld of token %d is %g, not %g (bound %g)", what, (long)r, t, value, sum->value,
                         bound);
            error_squares += error * error;
            squares += sum->value * sum->value;
        }
    if (!(sqrt(error_squares) <= 1e-4 * sqrt(squares)))
        fail_msg("%s: the errors are %g of the numbers", what, sqrt(error_squares / squares));
}
