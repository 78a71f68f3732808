/* Tests the CPU's products by expert: whatever tokens an expert gets, however the input is given, and in any form. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/cpu_private.h"
#include "engine/model.h"
#include "tests/cpu_fixture.h"

enum { EXPERTS = 6, USED = 2, COLS = 256 };

static const struct expert_hparams hparams = {
    .n_expert = EXPERTS, .n_used = USED, .gating = GATING_SOFTMAX, .weights_scale = 1};

/* ---- who goes where ---- */

/* How many of 48 tokens go to each expert: never those of a row. */
enum { PLANNED = 48 };
static const int32_t planned[EXPERTS] = {0, 1, 17, 33, 45, 0};

static void plan_token(int32_t token, int32_t chosen[USED])
{
    chosen[0] = 4;
    if (token == 5 || token == 20 || token == 41) {
        chosen[0] = 2;
        chosen[1] = 3;
    } else if (token == 7) {
        chosen[1] = 1;
    } else {
        int32_t i =
            token - (token > 5) - (token > 7) - (token > 20) - (token > 41); /* of 44, of which 14 go to expert 2 */
        chosen[1] = (i + 1) * 14 / 44 > i * 14 / 44 ? 2 : 3;
    }
}

/* Logits for n tokens: as planned, or any. */
static float *new_logits(int32_t n, bool as_planned)
{
    float *logits = new_floats(7, (size_t)(n * EXPERTS));
    for (int32_t t = 0; as_planned && t < n; t++) {
        int32_t chosen[USED];
        plan_token(t, chosen);
        logits[t * EXPERTS + chosen[0]] += 6;
        logits[t * EXPERTS + chosen[1]] += 4;
    }
    return logits;
}

static void the_plan_is_what_it_says(void **state)
{
    (void)state;
    struct machine machine = open_machine("scalar", 1);
    float *logits = new_logits(PLANNED, true);
    machine.backend->ops->route(machine.backend, logits, NULL, PLANNED, &hparams);
    const struct expert_plan *plan = &cpu_of(machine.backend)->plan;
    for (int32_t e = 0; e < EXPERTS; e++) {
        int32_t n = plan->begin[e + 1] - plan->begin[e];
        assert_int_equal(n, planned[e]);
        /* No expert's tokens stand in a row. */
        if (n > 1)
            assert_true(plan->token[plan->begin[e + 1] - 1] - plan->token[plan->begin[e]] >= n);
    }
    free(logits);
    close_machine(&machine);
}

/* ---- products ---- */

/* The input of token t at its k-th expert: a row for each token, or one for each pair. */
static const float *row_of(const float *x, bool by_token, int32_t t, int32_t k)
{
    return x + (by_token ? t : t * USED + k) * COLS;
}

/* The rows as a product by pair wants them: in the order of pairs. */
static float *new_pairs(const struct expert_plan *plan, const float *x)
{
    int32_t n = plan->n_tokens * USED;
    float *pairs = malloc((size_t)(n * COLS) * sizeof *pairs);
    assert_non_null(pairs);
    for (int32_t i = 0; i < n; i++)
        memcpy(pairs + plan->pair[i] * COLS, x + i * COLS, COLS * sizeof *pairs);
    return pairs;
}

/* Routes n tokens and multiplies by all products. */
static void run_experts(const struct machine *machine, const float *logits, const struct product *products,
                        int32_t n_products, const float *x, bool by_token, int32_t n_tokens)
{
    const struct backend_ops *ops = machine->backend->ops;
    ops->route(machine->backend, logits, NULL, n_tokens, &hparams);
    float *pairs = by_token ? NULL : new_pairs(&cpu_of(machine->backend)->plan, x);
    ops->matmul_experts(machine->backend, products, n_products, by_token ? x : pairs, by_token);
    free(pairs);
}

/* Every pair of every product, and the weighted sum of the first product. */
static void hold_experts(const struct machine *fast, const enum quant_type *types, int32_t n_products, int32_t n_tokens,
                         bool by_token)
{
    enum { MOST_PRODUCTS = 4 };
    struct weight weights[MOST_PRODUCTS] = {{0}};
    struct product products[MOST_PRODUCTS];
    float *x = new_floats(6, (size_t)(n_tokens * USED * COLS)), *logits = new_logits(n_tokens, n_tokens == PLANNED);
    for (int32_t i = 0; i < n_products; i++) {
        weights[i] = new_weight((uint64_t)i, types[i], COLS, 21 + 16 * i, EXPERTS);
        size_t n = (size_t)(n_tokens * USED) * (size_t)weights[i].n_rows;
        products[i] = (struct product){&weights[i], NULL, malloc(n * sizeof(float)), false};
        memset(products[i].out, 0xff, n * sizeof(float)); /* NaN */
    }
    run_experts(fast, logits, products, n_products, x, by_token, n_tokens);
    const struct expert_plan *plan = &cpu_of(fast->backend)->plan;
    for (int32_t i = 0; i < n_products; i++) {
        int64_t n_rows = weights[i].n_rows;
        char what[96];
        snprintf(what, sizeof what, "%s experts of %s, product %d, %d tokens%s", kernels_of(fast)->name,
                 quant_info(types[i])->name, i, n_tokens, by_token ? "" : ", by pair");
        struct plain *plain = calloc((size_t)(n_tokens * USED * n_rows), sizeof *plain);
        assert_non_null(plain);
        for (int32_t t = 0; t < n_tokens; t++)
            for (int32_t k = 0; k < USED; k++) {
                int32_t pair = t * USED + k;
                struct plain *its = new_plain(&weights[i], plan->chosen[pair], row_of(x, by_token, t, k), COLS, 1);
                memcpy(plain + plan->pair[pair] * n_rows, its, (size_t)n_rows * sizeof *plain);
                free(its);
            }
        assert_plain(products[i].out, n_rows, plain, n_tokens * USED, n_rows, what);
        free(plain);
    }
    int32_t width = (int32_t)weights[0].n_rows;
    float *sum = calloc((size_t)(n_tokens * width), sizeof *sum);
    assert_non_null(sum);
    fast->backend->ops->sum_experts(fast->backend, sum, products[0].out, width);
    for (int32_t t = 0; t < n_tokens; t++)
        for (int32_t r = 0; r < width; r++) {
            double expected = 0, magnitude = 0;
            for (int32_t k = 0; k < USED; k++) {
                double part =
                    (double)plan->weight[t * USED + k] * (double)products[0].out[plan->pair[t * USED + k] * width + r];
                expected += part;
                magnitude += fabs(part);
            }
            assert_true(fabs((double)sum[t * width + r] - expected) <= 1e-6 * magnitude);
        }
    for (int32_t i = 0; i < n_products; i++) {
        free(products[i].out);
        free_weight(&weights[i]);
    }
    free(sum);
    free(logits);
    free(x);
}

static void experts_multiply(const struct machine *truth, const struct machine *fast)
{
    (void)truth;
    static const int32_t counts[] = {1, 2, 5, 16, 17, PLANNED};
    static const enum quant_type single[] = {QUANT_F32,  QUANT_BF16, QUANT_Q8_0,   QUANT_Q5_0, QUANT_Q4_K,
                                             QUANT_Q6_K, QUANT_Q2_K, QUANT_IQ4_XS, QUANT_IQ2_S};
    static const enum quant_type mixed[][4] = {{QUANT_Q4_K, QUANT_F32, QUANT_Q6_K, QUANT_IQ2_S},
                                               {QUANT_F16, QUANT_Q8_0, QUANT_Q4_K, QUANT_F16},
                                               {QUANT_Q4_K, QUANT_Q4_K, QUANT_Q6_K, QUANT_Q5_K}};
    for (size_t c = 0; c < sizeof counts / sizeof *counts; c++)
        for (int by_token = 0; by_token < 2; by_token++) {
            for (size_t k = 0; k < sizeof single / sizeof *single; k++)
                hold_experts(fast, &single[k], 1, counts[c], by_token);
            for (size_t k = 0; k < sizeof mixed / sizeof *mixed; k++)
                hold_experts(fast, mixed[k], 4, counts[c], by_token);
        }
}

static void experts_agree_with_the_truth(void **state)
{
    (void)state;
    on_every_set(experts_multiply);
}

/* ---- a token and its company ---- */

/* Each token's numbers at its experts, in order of choice, whatever slice of up to 16 it comes in: bit for bit. */
static void hold_company(const struct machine *fast, enum quant_type type, bool by_token)
{
    enum { MOST = 16, ROWS = 37 };
    const struct weight weight = new_weight(11 + (uint64_t)type, type, COLS, ROWS, EXPERTS);
    float *x = new_floats(12, MOST * USED * COLS), *logits = new_logits(MOST, false);
    float *alone = malloc(sizeof *alone * MOST * USED * ROWS), *out = malloc(sizeof *out * MOST * USED * ROWS);
    assert_non_null(alone);
    assert_non_null(out);
    const struct expert_plan *plan = &cpu_of(fast->backend)->plan;
    const struct product product = {&weight, NULL, out, false};
    for (int32_t n = 1; n <= MOST; n++)
        for (int32_t from = 0; from + n <= MOST; from += n == 1 ? 1 : 1 + MOST / 3) {
            memset(out, 0xff, sizeof *out * MOST * USED * ROWS);
            run_experts(fast, logits + from * EXPERTS, &product, 1, row_of(x, by_token, from, 0), by_token, n);
            for (int32_t i = 0; i < n * USED; i++) {
                float *its = alone + (from * USED + i) * ROWS;
                const float *ours = out + plan->pair[i] * ROWS;
                if (n == 1)
                    memcpy(its, ours, ROWS * sizeof *its);
                else if (!is_same(its, ours, ROWS * sizeof *its))
                    fail_msg("%s experts of %s: token %d of %d has other numbers than alone", kernels_of(fast)->name,
                             quant_info(type)->name, i / USED, n);
            }
        }
    free(x);
    free(logits);
    free(alone);
    free(out);
    free_weight(&weight);
}

static void company_of_every_type(const struct machine *truth, const struct machine *fast)
{
    (void)truth;
    if (!fast->backend->as_alone)
        return;
    for (int type = 0; type < QUANT_LIMIT; type++)
        for (int by_token = 0; by_token < 2; by_token++)
            if (quant_info((enum quant_type)type) && quant_info((enum quant_type)type)->unpack)
                hold_company(fast, (enum quant_type)type, by_token);
}

static void a_token_has_the_same_numbers_in_any_company(void **state)
{
    (void)state;
    on_every_set(company_of_every_type);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_plan_is_what_it_says),
        cmocka_unit_test(experts_agree_with_the_truth),
        cmocka_unit_test(a_token_has_the_same_numbers_in_any_company),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
