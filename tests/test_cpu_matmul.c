/* Tests the CPU's matrix products, of all types, shapes and sets of kernels, against sums worked out plainly; and that a
 * token's numbers depend neither on its company nor on the threads. */
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/cpu_private.h"
#include "tests/cpu_fixture.h"

/* Tiles are of 16, 12, 8, 4, 2 and 1 tokens.  Up to 16 meet another form of the input than more do, or a few alone where it
 * needn't be what they would have by themselves. */
static const int32_t token_counts[] = {1, 2, 3, 4, 5, 15, 16, 17, 20, 24, 31, 50};
enum { N_COUNTS = sizeof token_counts / sizeof *token_counts, MOST_TOKENS = 50 };

/* Calls check for every type with weights. */
static void on_every_type(const struct machine *fast, void (*check)(const struct machine *fast, enum quant_type type))
{
    for (int type = 0; type < QUANT_LIMIT; type++)
        if (quant_info((enum quant_type)type) && quant_info((enum quant_type)type)->unpack)
            check(fast, (enum quant_type)type);
}

static const char *describe(const struct machine *fast, const struct weight *weight, int32_t n_tokens)
{
    static char text[128];
    snprintf(text, sizeof text, "%s %s (%ld x %ld) for %d tokens%s", kernels_of(fast)->name,
             quant_info(weight->type)->name, (long)weight->n_rows, (long)weight->n_cols, n_tokens,
             fast->backend->as_alone ? ", as alone" : "");
    return text;
}

static void multiply(const struct machine *machine, const struct weight *weight, const float *x, int32_t n_tokens,
                     float *out)
{
    const struct product product = {weight, NULL, out, false};
    machine->backend->ops->matmul(machine->backend, &product, 1, x, n_tokens);
}

/* Results that nothing has been written to yet. */
static float *new_blank(size_t n)
{
    float *x = malloc(n * sizeof *x);
    assert_non_null(x);
    memset(x, 0xff, n * sizeof *x); /* NaN */
    return x;
}

static void assert_same(const float *a, const float *b, size_t n, const char *what)
{
    if (is_same(a, b, n * sizeof *a))
        return;
    for (size_t i = 0; i < n; i++)
        if (!is_same(a + i, b + i, sizeof *a))
            fail_msg("%s: number %zu is %.9g and %.9g", what, i, (double)a[i], (double)b[i]);
}

/* ---- one matrix ---- */

/* Holds the first n tokens of each count, once with a bias and once added to what is there. */
static void hold_matmul(const struct machine *fast, enum quant_type type, int64_t n_cols, int64_t n_rows,
                        const int32_t *counts, size_t n_counts)
{
    int32_t most = counts[n_counts - 1];
    size_t n = (size_t)most * (size_t)n_rows;
    const struct weight weight = new_weight((uint64_t)type * 977 + (uint64_t)n_cols, type, n_cols, n_rows, 1);
    float *x = new_floats(3, (size_t)(most * n_cols)), *bias_numbers = new_floats(7, (size_t)n_rows);
    float *before = new_floats(8, n);
    const struct weight bias = {.type = QUANT_F32, .n_cols = n_rows, .data = (const unsigned char *)bias_numbers};
    struct plain *biased = new_plain(&weight, 0, x, n_cols, most), *added = malloc(n * sizeof *added);
    assert_non_null(added);
    memcpy(added, biased, n * sizeof *added);
    for (size_t i = 0; i < n; i++) {
        biased[i].value += (double)bias_numbers[i % (size_t)n_rows];
        biased[i].magnitude += fabs((double)bias_numbers[i % (size_t)n_rows]);
        added[i].value += (double)before[i];
        added[i].magnitude += fabs((double)before[i]);
    }
    for (size_t c = 0; c < n_counts; c++) {
        size_t used = (size_t)counts[c] * (size_t)n_rows;
        float *first = new_blank(used), *second = new_blank(used);
        memcpy(second, before, used * sizeof *before);
        const struct product products[] = {{&weight, &bias, first, false}, {&weight, NULL, second, true}};
        fast->backend->ops->matmul(fast->backend, products, 2, x, counts[c]);
        assert_plain(first, n_rows, biased, counts[c], n_rows, describe(fast, &weight, counts[c]));
        assert_plain(second, n_rows, added, counts[c], n_rows, describe(fast, &weight, counts[c]));
        free(first);
        free(second);
    }
    free(biased);
    free(added);
    free(before);
    free(bias_numbers);
    free(x);
    free_weight(&weight);
}

static void matmul_of_type(const struct machine *fast, enum quant_type type)
{
    size_t block = quant_info(type)->block_elements;
    hold_matmul(fast, type, 256, 37, token_counts, N_COUNTS);
    hold_matmul(fast, type, 1280, 16, token_counts, N_COUNTS);
    if (block <= 32) {
        static const int64_t widths[] = {32, 64, 96, 128, 160, 192, 224, 480, 1408}; /* parts of eight blocks */
        for (size_t i = 0; i < sizeof widths / sizeof *widths; i++)
            hold_matmul(fast, type, widths[i], i % 2 ? 21 : 70, token_counts, N_COUNTS);
    }
    if (block == 1)
        hold_matmul(fast, type, 43, 6, token_counts, N_COUNTS);
}

static void matmul_of_every_type(const struct machine *truth, const struct machine *fast)
{
    (void)truth;
    on_every_type(fast, matmul_of_type);
    static const int32_t few[] = {3}, both[] = {7, 19};
    hold_matmul(fast, QUANT_Q4_1, 4096, 130, few, 1);
    hold_matmul(fast, QUANT_Q6_K, 16384, 18, both, 2);
    hold_matmul(fast, QUANT_Q8_0, 17024, 18, both, 2); /* too wide to be split */
    hold_matmul(fast, QUANT_Q5_K, 17152, 35, both, 2);
}

static void matmul_agrees_with_the_truth(void **state)
{
    (void)state;
    on_every_set(matmul_of_every_type);
}

/* Which sets take split bytes, or the tests of many tokens would hold less than they say. */
static void split_taken(const struct machine *truth, const struct machine *fast)
{
    (void)truth;
    const struct cpu_kernels *kernels = kernels_of(fast);
    static const enum quant_type types[] = {QUANT_Q8_0,   QUANT_Q4_0,   QUANT_Q4_1, QUANT_Q5_0, QUANT_Q5_1,
                                            QUANT_Q2_K,   QUANT_Q3_K,   QUANT_Q4_K, QUANT_Q5_K, QUANT_Q6_K,
                                            QUANT_IQ4_NL, QUANT_IQ4_XS, QUANT_MXFP4};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        assert_int_equal(kernels->takes(types[i], 16384, INPUT_SPLIT), strcmp(kernels->name, "avx512") == 0);
        assert_false(kernels->takes(types[i], 16640, INPUT_SPLIT));
    }
    assert_false(kernels->takes(QUANT_F32, 256, INPUT_SPLIT) || kernels->takes(QUANT_IQ2_S, 256, INPUT_SPLIT));
}

static void split_bytes_are_taken_by_the_widest(void **state)
{
    (void)state;
    on_every_set(split_taken);
}

/* A router in floats beside quantised matrices, in any order: each reads the form that it takes. */
static void mixed_types(const struct machine *truth, const struct machine *fast)
{
    (void)truth;
    enum { COLS = 256, KINDS = 6 };
    static const enum quant_type types[KINDS] = {QUANT_F32,  QUANT_Q4_K,   QUANT_IQ2_XXS,
                                                 QUANT_BF16, QUANT_IQ4_XS, QUANT_Q8_0};
    float *x = new_floats(9, MOST_TOKENS * COLS);
    for (int turn = 0; turn < KINDS; turn++)
        for (size_t c = 0; c < N_COUNTS; c++) {
            int32_t n_tokens = token_counts[c];
            struct weight weights[KINDS];
            struct product products[KINDS];
            for (int i = 0; i < KINDS; i++) {
                weights[i] = new_weight((uint64_t)i, types[(i + turn) % KINDS], COLS, 8 + 9 * i, 1);
                products[i] =
                    (struct product){&weights[i], NULL, new_blank((size_t)n_tokens * (size_t)weights[i].n_rows), false};
            }
            fast->backend->ops->matmul(fast->backend, products, KINDS, x, n_tokens);
            for (int i = 0; i < KINDS; i++) {
                struct plain *plain = new_plain(&weights[i], 0, x, COLS, n_tokens);
                assert_plain(products[i].out, weights[i].n_rows, plain, n_tokens, weights[i].n_rows,
                             describe(fast, &weights[i], n_tokens));
                free(plain);
                free(products[i].out);
                free_weight(&weights[i]);
            }
        }
    free(x);
}

static void products_of_one_input_may_differ_in_type(void **state)
{
    (void)state;
    on_every_set(mixed_types);
}

static void extreme_inputs(const struct machine *truth, const struct machine *fast)
{
    (void)truth;
    enum { COLS = 64 };
    struct weight weight = new_weight(1, QUANT_Q8_0, COLS, 1, 1);
    unsigned char *row = (void *)(uintptr_t)weight.data;
    uint16_t one = half_from_float(1.0f);
    for (int b = 0; b < 2; b++) {
        memcpy(row + 34 * b, &one, 2);
        memset(row + 34 * b + 2, 0x80, 32); /* -128, the byte whose magnitude no byte has */
    }
    for (size_t c = 0; c < N_COUNTS; c++) {
        float x[MOST_TOKENS * COLS], out[MOST_TOKENS];
        for (int sign = -1; sign <= 1; sign++) {
            for (int i = 0; i < MOST_TOKENS * COLS; i++)
                x[i] = (float)sign * 1e6f;
            multiply(fast, &weight, x, token_counts[c], out);
            for (int32_t t = 0; t < token_counts[c]; t++)
                assert_true(sign ? fabsf(out[t] / ((float)sign * -128.0f * COLS * 1e6f) - 1) < 1e-4f : out[t] == 0);
        }
    }
    free_weight(&weight);
}

static void extreme_inputs_do_not_saturate(void **state)
{
    (void)state;
    on_every_set(extreme_inputs);
}

/* ---- a token and its company ---- */

enum { COMPANY = 16 };

/* Tokens of different sizes, so that one token's scale would show in another's numbers. */
static float *new_tokens(int32_t n, int64_t n_cols)
{
    float *x = new_floats(21, (size_t)(n * n_cols));
    for (int64_t i = 0; i < n * n_cols; i++)
        x[i] *= ldexpf(1, (int)(i / n_cols * 5 % 9) - 4);
    return x;
}

/* Slices of n tokens, each slice from another token on, against every token's numbers in the first slice size: bit for
 * bit. */
static void hold_company(const struct machine *fast, enum quant_type type, int64_t n_cols, int64_t n_rows,
                         const int32_t *sizes, size_t n_sizes, int32_t n_all)
{
    const struct weight weight = new_weight(31 + (uint64_t)type, type, n_cols, n_rows, 1);
    size_t row = (size_t)n_rows, width = (size_t)n_cols;
    float *x = new_tokens(2 * n_all, n_cols), *first = new_blank((size_t)n_all * row);
    memcpy(x + (size_t)n_all * width, x, (size_t)n_all * width * sizeof *x); /* round and round */
    for (int32_t t = 0; t < n_all; t += sizes[0]) {
        float *out = new_blank((size_t)sizes[0] * row);
        int32_t n = n_all - t < sizes[0] ? n_all - t : sizes[0];
        multiply(fast, &weight, x + (size_t)t * width, sizes[0], out);
        memcpy(first + (size_t)t * row, out, (size_t)n * row * sizeof *out);
        free(out);
    }
    for (size_t k = 0; k < n_sizes; k++) {
        int32_t from = (int32_t)k * 5 % n_all;
        float *out = new_blank((size_t)sizes[k] * row);
        multiply(fast, &weight, x + (size_t)from * width, sizes[k], out);
        for (int32_t t = 0; t < sizes[k]; t++)
            assert_same(out + (size_t)t * row, first + (size_t)((from + t) % n_all) * row, row,
                        describe(fast, &weight, sizes[k]));
        free(out);
    }
    free(first);
    free(x);
    free_weight(&weight);
}

static void company_of_type(const struct machine *fast, enum quant_type type)
{
    size_t block = quant_info(type)->block_elements;
    static const int32_t few[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}, many[] = {17, 24, 31, 50};
    hold_company(fast, type, 512, 37, few, COMPANY, COMPANY);
    hold_company(fast, type, 512, 37, many, 4, MOST_TOKENS);
    if (block <= 32) {
        hold_company(fast, type, 160, 21, few, COMPANY, COMPANY);
        hold_company(fast, type, 224, 21, many, 4, MOST_TOKENS);
    }
    if (block == 1)
        hold_company(fast, type, 43, 6, few, COMPANY, COMPANY);
}

static void company_of_every_type(const struct machine *truth, const struct machine *fast)
{
    (void)truth;
    assert_true(kernels_of(fast)->few_tokens >= COMPANY);
    if (!fast->backend->as_alone)
        return;
    on_every_type(fast, company_of_type);
}

static void a_token_has_the_same_numbers_in_any_company(void **state)
{
    (void)state;
    on_every_set(company_of_every_type);
}

static void company_of_heads(const struct machine *fast, enum quant_type type)
{
    enum { HEADS = 3, COLS = 256, ROWS = 21 };
    const struct weight weight = new_weight(33 + (uint64_t)type, type, COLS, ROWS, HEADS);
    float *x = new_tokens(COMPANY, HEADS * COLS), *alone = new_blank(COMPANY * HEADS * ROWS);
    for (int32_t t = 0; t < COMPANY; t++)
        fast->backend->ops->matmul_heads(fast->backend, alone + t * HEADS * ROWS, ROWS, &weight, x + t * HEADS * COLS,
                                         COLS, 1);
    for (int32_t n = 2; n <= COMPANY; n++) {
        int32_t from = n * 5 % (COMPANY - n + 1);
        float *out = new_blank((size_t)(n * HEADS * ROWS));
        fast->backend->ops->matmul_heads(fast->backend, out, ROWS, &weight, x + from * HEADS * COLS, COLS, n);
        assert_same(out, alone + from * HEADS * ROWS, (size_t)(n * HEADS * ROWS), describe(fast, &weight, n));
        free(out);
    }
    free(x);
    free(alone);
    free_weight(&weight);
}

static void heads_of_every_type(const struct machine *truth, const struct machine *fast)
{
    (void)truth;
    if (!fast->backend->as_alone)
        return;
    on_every_type(fast, company_of_heads);
}

static void heads_have_the_same_numbers_in_any_company(void **state)
{
    (void)state;
    on_every_set(heads_of_every_type);
}

/* The same by one thread and by several, in slices of any size: held to plain numbers elsewhere. */
static void a_token_has_the_same_numbers_by_any_threads(void **state)
{
    (void)state;
    static const enum quant_type types[] = {QUANT_F16, QUANT_Q4_1, QUANT_Q4_K, QUANT_Q6_K, QUANT_Q8_0, QUANT_IQ3_S};
    enum { COLS = 1024, ROWS = 333 };
    for (size_t set = 0; cpu_kernels_at(set); set++)
        for (size_t k = 0; cpu_kernels_at(set)->is_available() && k < sizeof types / sizeof *types; k++)
            for (size_t c = 0; c < N_COUNTS; c++) {
                const struct weight weight = new_weight(3, types[k], COLS, ROWS, 1);
                size_t n = (size_t)token_counts[c] * ROWS;
                float *x = new_tokens(token_counts[c], COLS), *out[4];
                for (int n_threads = 1; n_threads < 4; n_threads++) {
                    struct machine machine = open_machine(cpu_kernels_at(set)->name, n_threads);
                    machine.backend->as_alone = (c + k) % 2;
                    out[n_threads] = new_blank(n);
                    multiply(&machine, &weight, x, token_counts[c], out[n_threads]);
                    assert_same(out[n_threads], out[1], n, describe(&machine, &weight, token_counts[c]));
                    close_machine(&machine);
                }
                for (int n_threads = 1; n_threads < 4; n_threads++)
                    free(out[n_threads]);
                free(x);
                free_weight(&weight);
            }
}

/* ---- inputs that are hard to round ---- */

/* Holds an input of n_tokens tokens, each alone and all together, to half a step of 16 bits for each number beside what
 * floats lose; gives the results of all together, yours to free. */
static float *hold_input(const struct machine *fast, const struct weight *weight, const float *x, int32_t n_tokens)
{
    int64_t n_rows = weight->n_rows, n = n_tokens * n_rows;
    struct plain *plain = new_plain(weight, 0, x, weight->n_cols, n_tokens);
    float *alone = new_blank((size_t)n), *together = new_blank((size_t)n);
    for (int32_t t = 0; t < n_tokens; t++)
        multiply(fast, weight, x + t * weight->n_cols, 1, alone + t * n_rows);
    multiply(fast, weight, x, n_tokens, together);
    for (int64_t i = 0; i < 2 * n; i++) {
        const struct plain *sum = &plain[i % n];
        double ours = (double)(i < n ? alone : together)[i % n], bound = 1e-5 * sum->magnitude + sum->rounding;
        if (!(fabs(ours - sum->value) <= bound))
            fail_msg("%s: row %ld of token %ld is %g, not %g (bound %g)", describe(fast, weight, i < n ? 1 : n_tokens),
                     (long)(i % n_rows), (long)(i % n / n_rows), ours, sum->value, bound);
    }
    free(plain);
    free(alone);
    return together;
}

/* What the product would be if the input were rounded to a byte for each number. */
static double product_of_bytes(const float *w, const float *x, int64_t n)
{
    double sum = 0;
    for (int64_t b = 0; b + ACTIVATION_BLOCK <= n; b += ACTIVATION_BLOCK) {
        double greatest = 0;
        for (int i = 0; i < ACTIVATION_BLOCK; i++)
            greatest = fmax(greatest, fabs((double)x[b + i]));
        for (int i = 0; i < ACTIVATION_BLOCK && greatest > 0; i++)
            sum += (double)w[b + i] * nearbyint((double)x[b + i] / greatest * 127) * greatest / 127;
    }
    return sum;
}

/* That hold_input would refuse the product of bytes, of every token: its bound is not so wide that anything passes. */
static void assert_bytes_are_not_enough(const struct weight *weight, const float *x, int32_t n_tokens)
{
    int64_t n = weight->n_cols, n_rows = weight->n_rows;
    float *row = malloc((size_t)n * sizeof *row);
    assert_non_null(row);
    struct plain *plain = new_plain(weight, 0, x, n, n_tokens);
    for (int32_t t = 0; t < n_tokens; t++) {
        int n_refused = 0;
        for (int64_t r = 0; r < n_rows; r++) {
            const struct plain *sum = &plain[t * n_rows + r];
            quant_info(weight->type)->unpack(weight->data + (size_t)r * weight->row_bytes, row, (size_t)n);
            n_refused += fabs(product_of_bytes(row, x + t * n, n) - sum->value) > 1e-5 * sum->magnitude + sum->rounding;
        }
        assert_true(n_refused > 0);
    }
    free(plain);
    free(row);
}

/* Token t has a number a thousand times the others at place t of some blocks, the first and the last among them; the last
 * token has none. */
static void outliers_of_type(const struct machine *fast, enum quant_type type)
{
    enum { PLACES = ACTIVATION_BLOCK, N_TOKENS = PLACES + 1, ROWS = 37 };
    const struct quant_info *info = quant_info(type);
    if (info->block_elements == 1)
        return;
    int64_t n_cols = info->block_elements <= 32 ? 224 : 512, n_blocks = n_cols / ACTIVATION_BLOCK;
    const struct weight weight = new_weight(41 + (uint64_t)type, type, n_cols, ROWS, 1);
    float *x = new_floats(42, (size_t)(N_TOKENS * n_cols));
    for (int32_t t = 0; t < PLACES; t++)
        for (int64_t b = 0; b < n_blocks; b++)
            if (b % 3 == 0 || b == n_blocks - 1)
                x[t * n_cols + b * ACTIVATION_BLOCK + t] = (b + t) % 2 ? 1000.0f : -1000.0f;
    free(hold_input(fast, &weight, x, N_TOKENS));
    assert_bytes_are_not_enough(&weight, x, N_TOKENS);
    free(x);
    free_weight(&weight);
}

static void outliers_of_every_type(const struct machine *truth, const struct machine *fast)
{
    (void)truth;
    on_every_type(fast, outliers_of_type);
}

static void numbers_beside_great_ones_are_multiplied_right(void **state)
{
    (void)state;
    on_every_set(outliers_of_every_type);
}

/* Numbers whose sizes differ widely. */
static void wide_of_type(const struct machine *fast, enum quant_type type)
{
    enum { COLS = 512, N_TOKENS = 31, ROWS = 20 };
    const struct weight weight = new_weight(43 + (uint64_t)type, type, COLS, ROWS, 1);
    float *x = new_floats(44, N_TOKENS * COLS);
    for (int i = 0; i < N_TOKENS * COLS; i++)
        x[i] = x[i] / (1.01f - fabsf(x[i]));
    free(hold_input(fast, &weight, x, N_TOKENS));
    free(x);
    free_weight(&weight);
}

/* Blocks of nothing, of one number at each place, of equal numbers. */
static void sparse_of_type(const struct machine *fast, enum quant_type type)
{
    enum { COLS = 256, N_TOKENS = ACTIVATION_BLOCK + 2, ROWS = 20 };
    const struct weight weight = new_weight(45 + (uint64_t)type, type, COLS, ROWS, 1);
    float *x = calloc(N_TOKENS * COLS, sizeof *x);
    assert_non_null(x);
    for (int t = 0; t < ACTIVATION_BLOCK; t++) {
        x[t * COLS + t] = 0.3f;
        x[t * COLS + 3 * ACTIVATION_BLOCK + t] = -2e-3f;
        for (int i = 0; i < ACTIVATION_BLOCK; i++)
            x[t * COLS + 5 * ACTIVATION_BLOCK + i] = i % 2 ? 0.7f : -0.7f;
        x[t * COLS + COLS - ACTIVATION_BLOCK + t] = 5;
    }
    for (int i = 0; i < COLS; i++) /* the last token but one is of ones, the last of nothing */
        x[ACTIVATION_BLOCK * COLS + i] = 1;
    float *out = hold_input(fast, &weight, x, N_TOKENS);
    for (int64_t r = 0; r < ROWS; r++)
        assert_true(out[(N_TOKENS - 1) * ROWS + r] == 0);
    free(out);
    free(x);
    free_weight(&weight);
}

/* The greatest and the smallest numbers.  Blocks below what has an inverse may become nothing: less than the smallest normal
 * number times the steps of a word. */
static void sizes_of_type(const struct machine *fast, enum quant_type type)
{
    enum { COLS = 256, N_TOKENS = 20, ROWS = 20 };
    static const float sizes[] = {1e30f, 1e-30f, 1e-33f, 1e-35f, 1e-37f, 3e-39f, 5e-41f, 1e-44f};
    const struct weight weight = new_weight(47 + (uint64_t)type, type, COLS, ROWS, 1);
    float *row = malloc(COLS * sizeof *row);
    assert_non_null(row);
    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
        float *x = new_floats(48, N_TOKENS * COLS), *out = new_blank(N_TOKENS * ROWS);
        for (int i = 0; i < N_TOKENS * COLS; i++)
            x[i] = i % 5 ? x[i] * sizes[k] : 0;
        struct plain *plain = new_plain(&weight, 0, x, COLS, N_TOKENS);
        for (int32_t n_tokens = 1; n_tokens <= N_TOKENS; n_tokens += N_TOKENS - 1) {
            multiply(fast, &weight, x, n_tokens, out);
            for (int64_t i = 0; i < n_tokens * ROWS; i++) {
                quant_info(type)->unpack(weight.data + (size_t)(i % ROWS) * weight.row_bytes, row, COLS);
                double sum = 0;
                for (int c = 0; c < COLS; c++)
                    sum += fabs((double)row[c]);
                double bound = 1e-5 * plain[i].magnitude + plain[i].rounding + sum * 32768 * (double)FLT_MIN;
                if (!(fabs((double)out[i] - plain[i].value) <= bound))
                    fail_msg("%s: %g, not %g (bound %g), of numbers of %g", describe(fast, &weight, n_tokens),
                             (double)out[i], plain[i].value, bound, (double)sizes[k]);
            }
        }
        free(plain);
        free(out);
        free(x);
    }
    free(row);
    free_weight(&weight);
}

/* What is not finite shows in all rows of its token, and in no other token. */
static void not_finite_of_type(const struct machine *fast, enum quant_type type)
{
    enum { COLS = 256, ROWS = 19 };
    static const float bad[] = {NAN, INFINITY, -INFINITY};
    static const int32_t counts[] = {1, 3, 16, 17, 31};
    const struct weight weight = new_weight(49 + (uint64_t)type, type, COLS, ROWS, 1);
    for (size_t c = 0; c < sizeof counts / sizeof *counts; c++)
        for (size_t k = 0; k < 3; k++) {
            int32_t n_tokens = counts[c], token = n_tokens / 2;
            size_t n = (size_t)(n_tokens * ROWS);
            float *x = new_floats(50, (size_t)(n_tokens * COLS)), *before = new_blank(n), *out = new_blank(n);
            multiply(fast, &weight, x, n_tokens, before);
            x[token * COLS + (37 * (int)(c + k) + 11) % COLS] = bad[k];
            multiply(fast, &weight, x, n_tokens, out);
            for (int r = 0; r < ROWS; r++)
                assert_true(isfinite(out[token * ROWS + r]) == 0);
            memcpy(out + token * ROWS, before + token * ROWS, ROWS * sizeof *out);
            assert_same(out, before, n, describe(fast, &weight, n_tokens));
            free(x);
            free(before);
            free(out);
        }
    free_weight(&weight);
}

static void strange_inputs(const struct machine *truth, const struct machine *fast)
{
    (void)truth;
    on_every_type(fast, wide_of_type);
    on_every_type(fast, sparse_of_type);
    on_every_type(fast, sizes_of_type);
    on_every_type(fast, not_finite_of_type);
}

static void strange_inputs_are_multiplied_right(void **state)
{
    (void)state;
    on_every_set(strange_inputs);
}

/* ---- a matrix for each head ---- */

static void hold_heads(const struct machine *fast, enum quant_type type, int64_t n_cols, int32_t n_tokens)
{
    enum { HEADS = 3, ROWS = 20, OUT_STRIDE = 25 };
    int32_t x_stride = (int32_t)n_cols + 6;
    struct weight weight = new_weight(8, type, n_cols, ROWS + 2, HEADS);
    weight.n_rows = ROWS; /* matrices stand apart */
    float *x = new_floats(9, (size_t)(n_tokens * HEADS * x_stride));
    float *out = calloc((size_t)(n_tokens * HEADS * OUT_STRIDE), sizeof *out);
    assert_non_null(out);
    fast->backend->ops->matmul_heads(fast->backend, out, OUT_STRIDE, &weight, x, x_stride, n_tokens);
    for (int64_t head = 0; head < HEADS; head++) {
        struct plain *plain = new_plain(&weight, head, x + head * x_stride, HEADS * x_stride, n_tokens);
        assert_plain(out + head * OUT_STRIDE, HEADS * OUT_STRIDE, plain, n_tokens, ROWS,
                     describe(fast, &weight, n_tokens));
        free(plain);
    }
    for (int i = 0; i < n_tokens * HEADS * OUT_STRIDE; i++)
        assert_true(i % OUT_STRIDE < ROWS || out[i] == 0); /* nothing between the heads */
    free(x);
    free(out);
    free_weight(&weight);
}

static void heads_multiply(const struct machine *truth, const struct machine *fast)
{
    (void)truth;
    for (size_t c = 0; c < N_COUNTS; c++) {
        hold_heads(fast, QUANT_Q8_0, 64, token_counts[c]);
        hold_heads(fast, QUANT_Q4_K, 512, token_counts[c]);
        hold_heads(fast, QUANT_F16, 48, token_counts[c]);
    }
}

static void heads_agree_with_the_truth(void **state)
{
    (void)state;
    on_every_set(heads_multiply);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(split_bytes_are_taken_by_the_widest),
        cmocka_unit_test(matmul_agrees_with_the_truth),
        cmocka_unit_test(products_of_one_input_may_differ_in_type),
        cmocka_unit_test(extreme_inputs_do_not_saturate),
        cmocka_unit_test(a_token_has_the_same_numbers_in_any_company),
        cmocka_unit_test(heads_have_the_same_numbers_in_any_company),
        cmocka_unit_test(a_token_has_the_same_numbers_by_any_threads),
        cmocka_unit_test(numbers_beside_great_ones_are_multiplied_right),
        cmocka_unit_test(strange_inputs_are_multiplied_right),
        cmocka_unit_test(heads_agree_with_the_truth),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
