/* Tests the CPU backend: every instruction set that this machine has against the scalar truth, and the scalar truth against
 * formulas written down here once more, plainly.  Matrix products: test_cpu_matmul.c. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/cpu.h"
#include "engine/cpu_private.h"
#include "engine/engine.h"
#include "tests/cpu_fixture.h"

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
            const struct rope_hparams hparams = {
                .n_rot = ROT, .theta = 10000.0f, .scale = 0.25f, .magnitude = 2, .yarn_high = -1};
            const struct rope_settings settings = {(enum rope_kind)kind, &hparams, with_factors ? &factors : NULL};
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
                        expected = 2 * (expected * cos(angle) + (is_second ? 1 : -1) * partner * sin(angle));
                    }
                    assert_true(fabs(expected - (double)x[row * WIDTH + i]) < 1e-6);
                }
            free(x);
            free(before);
        }
    close_machine(&machine);
}

/* YaRN's three parts: fast pairs as they are, slow ones scaled, a line between. */
static void yarn_is_the_formula(void **state)
{
    (void)state;
    enum { ROT = 16, POSITION = 100 };
    struct machine machine = open_machine(NULL, 1);
    const struct rope_hparams hparams = {
        .n_rot = ROT, .theta = 10000.0f, .scale = 1.0f / 40, .magnitude = 1, .yarn_low = 2, .yarn_high = 5};
    const struct rope_settings settings = {ROPE_NORM, &hparams, NULL};
    float x[ROT];
    for (int i = 0; i < ROT; i++)
        x[i] = i % 2 == 0;
    machine.backend->ops->rope(machine.backend, x, 1, POSITION, 1, ROT, &settings);
    for (int pair = 0; pair < ROT / 2; pair++) {
        double share = pair <= 2 ? 0 : pair >= 5 ? 1 : (pair - 2) / 3.0;
        double angle = POSITION * pow(10000.0, -2.0 * pair / ROT) * (share / 40 + 1 - share);
        assert_true(fabs((double)x[2 * pair] - cos(angle)) < 1e-5);
        assert_true(fabs((double)x[2 * pair + 1] - sin(angle)) < 1e-5);
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
    for (int i = 0; i < N; i++) {
        double x = (i - N / 2) * 0.0625, z = sqrt(2 / 3.14159265358979) * (x + 0.044715 * x * x * x);
        gate[i] = (float)x;
        expected[i] = (float)(x * (1 + tanh(z)) / 2);
    }
    fast->backend->ops->gelu(fast->backend, gate, N);
    for (int i = 0; i < N; i++)
        assert_true(fabs((double)gate[i] - (double)expected[i]) < 2e-6 * (1 + fabs((double)expected[i])));
    free(gate);
    free(up);
}

static void silu_is_the_formula(void **state)
{
    (void)state;
    on_every_set(gates_agree);
}

static void a_layer_norm_is_the_formula(void **state)
{
    (void)state;
    struct machine machine = open_machine(NULL, 1);
    float x[4] = {1, 2, 4, 9}, ones[4] = {1, 2, 1, 1}, bias_numbers[4] = {0, 0, 0, 5}, out[4];
    const struct weight weight = {.type = QUANT_F32, .n_cols = 4, .data = (const unsigned char *)ones};
    const struct weight bias = {.type = QUANT_F32, .n_cols = 4, .data = (const unsigned char *)bias_numbers};
    machine.backend->ops->norm(machine.backend, out, x, &weight, &bias, 1, 0.25f, 0);
    double deviation = sqrt((9 + 4 + 0 + 25) / 4.0 + 0.25);
    const double expected[4] = {-3 / deviation, 2 * -2 / deviation, 0, 5 / deviation + 5};
    for (int i = 0; i < 4; i++)
        assert_true(fabs((double)out[i] - expected[i]) < 1e-6);
    close_machine(&machine);
}

/* ---- experts ---- */

enum { TOKENS = 5, EXPERTS = 8, USED = 3 };

/* What route chose, read back by sending the numbers of the experts through it: each pair's value is its expert's row. */
static void routed(const struct expert_hparams *experts, const float *logits, const struct weight *bias, double *share)
{
    struct machine machine = open_machine(NULL, 2);
    float identity[EXPERTS][EXPERTS] = {{0}}, one = 1, pairs[TOKENS * USED * EXPERTS], out[TOKENS * EXPERTS] = {0},
          x[TOKENS];
    for (int e = 0; e < EXPERTS; e++)
        identity[e][e] = 1; /* matrix e is (EXPERTS rows, 1 col) with a one in row e */
    for (int t = 0; t < TOKENS; t++)
        x[t] = one;
    const struct weight weight = {.type = QUANT_F32,
                                  .n_cols = 1,
                                  .n_rows = EXPERTS,
                                  .n_mats = EXPERTS,
                                  .row_bytes = 4,
                                  .mat_bytes = 4 * EXPERTS,
                                  .data = (const unsigned char *)identity};
    const struct product product = {&weight, NULL, pairs, false};
    machine.backend->ops->route(machine.backend, logits, bias, TOKENS, experts);
    machine.backend->ops->matmul_experts(machine.backend, &product, 1, x, true);
    machine.backend->ops->sum_experts(machine.backend, out, pairs, EXPERTS);
    for (int i = 0; i < TOKENS * EXPERTS; i++)
        share[i] = (double)out[i];
    close_machine(&machine);
}

/* The choice once more, plainly: experts of kept groups by their score, one after another. */
static void check_route(const struct expert_hparams *experts, const float *bias_numbers)
{
    float *logits = new_floats(77, TOKENS * EXPERTS);
    const struct weight bias = {.type = QUANT_F32, .n_cols = EXPERTS, .data = (const unsigned char *)bias_numbers};
    double share[TOKENS * EXPERTS];
    for (int i = 0; i < TOKENS * EXPERTS; i++)
        logits[i] *= 3;
    routed(experts, logits, bias_numbers ? &bias : NULL, share);
    for (int t = 0; t < TOKENS; t++) {
        double p[EXPERTS], score[EXPERTS], total = 0, expected[EXPERTS] = {0}, chosen_sum = 0;
        for (int e = 0; e < EXPERTS; e++)
            total += exp((double)logits[t * EXPERTS + e]);
        for (int e = 0; e < EXPERTS; e++) {
            double z = (double)logits[t * EXPERTS + e];
            p[e] = experts->gating == GATING_SIGMOID ? 1 / (1 + exp(-z)) : exp(z) / total;
            score[e] = p[e] + (bias_numbers ? (double)bias_numbers[e] : 0);
        }
        int n_group = experts->n_group > 1 ? experts->n_group : 1, width = EXPERTS / n_group;
        bool kept[EXPERTS] = {false};
        for (int round = 0; round < (n_group > 1 ? experts->n_group_used : 1); round++) {
            int best = -1;
            double best_score = 0;
            for (int g = 0; g < n_group; g++) {
                double first = -1e9, second = -1e9;
                for (int e = g * width; e < (g + 1) * width; e++) {
                    second = score[e] > first ? first : fmax(second, score[e]);
                    first = fmax(first, score[e]);
                }
                double value = experts->gating == GATING_SIGMOID ? first + second : first;
                if (!kept[g] && (best < 0 || value > best_score)) {
                    best = g;
                    best_score = value;
                }
            }
            assert_true(best >= 0);
            kept[best] = true;
        }
        for (int round = 0; round < USED; round++) {
            int best = -1;
            for (int e = 0; e < EXPERTS; e++)
                if (kept[e / width] && expected[e] == 0 && (best < 0 || score[e] > score[best]))
                    best = e;
            assert_true(best >= 0);
            expected[best] = p[best];
            chosen_sum += p[best];
        }
        for (int e = 0; e < EXPERTS; e++) {
            double right = expected[e] / (experts->normalises ? chosen_sum : 1) * (double)experts->weights_scale;
            assert_true(fabs(share[t * EXPERTS + e] - right) < 1e-5);
        }
    }
    free(logits);
}

static void experts_are_chosen_by_the_rules(void **state)
{
    (void)state;
    const float bias[EXPERTS] = {0.5f, -0.5f, 0, 0.9f, 0, -2, 0.1f, 0};
    struct expert_hparams experts = {.n_expert = EXPERTS, .n_used = USED, .gating = GATING_SOFTMAX, .weights_scale = 1};
    check_route(&experts, NULL);
    experts.normalises = true;
    check_route(&experts, NULL);
    experts = (struct expert_hparams){.n_expert = EXPERTS,
                                      .n_used = USED,
                                      .gating = GATING_SOFTMAX,
                                      .weights_scale = 16,
                                      .n_group = 4,
                                      .n_group_used = 2};
    check_route(&experts, NULL);
    experts.gating = GATING_SIGMOID;
    experts.normalises = true;
    experts.weights_scale = 2.5f;
    check_route(&experts, bias);
    experts.n_group = 2;
    experts.n_group_used = 1;
    check_route(&experts, bias);
}

/* What is not a number must stay so, or a wrong model answers as if it were a right one. */
static void nan_goes_through(const struct machine *truth, const struct machine *fast)
{
    (void)truth;
    enum { COLS = 64 };
    const enum quant_type types[] = {QUANT_F32, QUANT_Q8_0};
    for (size_t k = 0; k < 2; k++)
        for (int n_tokens = 1; n_tokens <= 5; n_tokens += 4) {
            struct weight weight = {.type = types[k], .n_cols = COLS, .n_rows = 5, .n_mats = 1};
            weight.row_bytes = COLS / quant_info(types[k])->block_elements * quant_info(types[k])->block_bytes;
            weight.mat_bytes = 5 * weight.row_bytes;
            unsigned char *data = new_weights(4, types[k], weight.mat_bytes);
            weight.data = data;
            float *x = new_floats(5, (size_t)(n_tokens * COLS)), out[5 * 5];
            x[(n_tokens - 1) * COLS + 40] = NAN;
            const struct product product = {&weight, NULL, out, false};
            fast->backend->ops->matmul(fast->backend, &product, 1, x, n_tokens);
            assert_true(isnan(out[(n_tokens - 1) * 5 + 2]));
            free(x);
            free(data);
        }
    float gate[9] = {1, 2, NAN, 4, 5, 6, 7, 8, NAN}, up[9] = {1, 1, 1, 1, 1, 1, 1, 1, 1};
    fast->backend->ops->silu_gate(fast->backend, gate, up, 9);
    assert_true(isnan(gate[2]) && isnan(gate[8]) && !isnan(gate[3]));
}

static void what_is_no_number_stays_so(void **state)
{
    (void)state;
    on_every_set(nan_goes_through);
}

/* A router that gives no numbers still chooses different experts, so that nothing is read twice. */
static void experts_differ_whatever_the_router_says(void **state)
{
    (void)state;
    const float bad[] = {NAN, INFINITY, -INFINITY};
    for (size_t k = 0; k < 3; k++) {
        float *logits = new_floats(1, TOKENS * EXPERTS);
        for (int i = 0; i < EXPERTS; i++)
            logits[EXPERTS + i] = bad[k];
        const struct expert_hparams experts = {.n_expert = EXPERTS,
                                               .n_used = USED,
                                               .gating = GATING_SIGMOID,
                                               .weights_scale = 1,
                                               .n_group = 2,
                                               .n_group_used = 1};
        struct machine machine = open_machine(NULL, 2);
        machine.backend->ops->route(machine.backend, logits, NULL, TOKENS, &experts);
        const int32_t *chosen = cpu_of(machine.backend)->plan.chosen;
        for (int t = 0; t < TOKENS; t++)
            for (int i = 0; i < USED; i++)
                for (int j = 0; j < i; j++)
                    assert_int_not_equal(chosen[t * USED + i], chosen[t * USED + j]);
        close_machine(&machine);
        free(logits);
    }
}

static void a_norm_names_the_layer_that_went_wrong(void **state)
{
    (void)state;
    struct machine machine = open_machine(NULL, 2);
    float x[8] = {1, 2, 3, 4, 5, 6, 7, 8}, out[8], ones[8] = {1, 1, 1, 1, 2, 2, 2, 2};
    const struct weight weight = {.type = QUANT_F32, .n_cols = 8, .data = (const unsigned char *)ones};
    struct error error;
    machine.backend->ops->norm(machine.backend, out, x, &weight, NULL, 1, 0.5f, 3);
    for (int i = 0; i < 8; i++)
        assert_true(fabs((double)out[i] - (i + 1) / sqrt(204.0 / 8 + 0.5) * (double)ones[i]) < 1e-6);
    assert_int_equal(machine.backend->ops->read(machine.backend, out, x, 8, &error), STATUS_OK);
    x[2] = INFINITY;
    machine.backend->ops->norm(machine.backend, out, x, &weight, NULL, 1, 0.5f, 17);
    machine.backend->ops->norm(machine.backend, out, x, &weight, NULL, 1, 0.5f, 18);
    assert_int_equal(machine.backend->ops->read(machine.backend, out, x, 8, &error), STATUS_NUMERIC);
    assert_non_null(strstr(error.text, "layer 17"));
    x[2] = 0;
    machine.backend->ops->norm(machine.backend, out, x, &weight, NULL, 1, 0.5f, 19);
    assert_int_equal(machine.backend->ops->read(machine.backend, out, x, 8, &error), STATUS_OK);
    close_machine(&machine);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rope_is_the_formula),
        cmocka_unit_test(yarn_is_the_formula),
        cmocka_unit_test(a_layer_norm_is_the_formula),
        cmocka_unit_test(experts_are_chosen_by_the_rules),
        cmocka_unit_test(silu_is_the_formula),
        cmocka_unit_test(what_is_no_number_stays_so),
        cmocka_unit_test(experts_differ_whatever_the_router_says),
        cmocka_unit_test(a_norm_names_the_layer_that_went_wrong),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
