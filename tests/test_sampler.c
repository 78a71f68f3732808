/* test_sampler: picks against a plain computation that sorts everything, penalties by hand, draws by chi-square. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/sampler.h"

/* ---- the plain truth ---- */

struct entry {
    int32_t id;
    double logit, weight;
};

static int entry_compare(const void *left, const void *right)
{
    const struct entry *a = left, *b = right;
    if (a->logit != b->logit)
        return a->logit > b->logit ? -1 : 1;
    return a->id < b->id ? -1 : 1;
}

/* The probability of each of the n tokens after top-k, temperature, top-p and min-p. */
static void plain_distribution(const float *logits, size_t n, const struct sampler_options *options,
                               double *probabilities)
{
    struct entry *entries = calloc(n, sizeof *entries);
    assert_non_null(entries);
    for (size_t i = 0; i < n; i++)
        entries[i] = (struct entry){(int32_t)i, (double)logits[i], 0};
    qsort(entries, n, sizeof *entries, entry_compare);
    size_t kept = n;
    if (options->top_k > 0 && (size_t)options->top_k < kept)
        kept = (size_t)options->top_k;
    double sum = 0;
    for (size_t i = 0; i < kept; i++) {
        entries[i].weight = exp((entries[i].logit - entries[0].logit) / (double)options->temperature);
        sum += entries[i].weight;
    }
    if (options->top_p < 1) {
        double reached = 0;
        size_t i = 0;
        do
            reached += entries[i++].weight;
        while (i < kept && reached < (double)options->top_p * sum);
        kept = i;
    }
    while (kept > 1 && entries[kept - 1].weight < (double)options->min_p * entries[0].weight)
        kept--;
    sum = 0;
    for (size_t i = 0; i < kept; i++)
        sum += entries[i].weight;
    for (size_t i = 0; i < n; i++)
        probabilities[i] = 0;
    for (size_t i = 0; i < kept; i++)
        probabilities[entries[i].id] = entries[i].weight / sum;
    free(entries);
}

static struct sampler *sampler_make(const struct sampler_options *options, int32_t n_vocab)
{
    struct sampler *sampler = NULL;
    struct error error = {0};
    if (sampler_new(options, n_vocab, &sampler, &error))
        fail_msg("sampler_new: %s", error.text);
    return sampler;
}

static int32_t pick(struct sampler *sampler, const float *logits)
{
    int32_t id = -1;
    struct error error = {0};
    if (sampler_pick(sampler, logits, &id, &error))
        fail_msg("sampler_pick: %s", error.text);
    return id;
}

static int32_t pick_once(const struct sampler_options *options, const float *logits, int32_t n_vocab)
{
    struct sampler *sampler = sampler_make(options, n_vocab);
    int32_t id = pick(sampler, logits);
    sampler_free(sampler);
    return id;
}

static double next_unit(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (double)(*state >> 11) * 0x1p-53;
}

/* Draws and compares with expected: what is impossible is never drawn, and the squared deviations, weighted, stay below what
 * chance exceeds once in about 10^6 times (Wilson and Hilferty's approximation of the chi-square distribution). */
static void assert_draws(const struct sampler_options *options, const float *logits, size_t n, size_t n_draws)
{
    double *expected = calloc(n, sizeof *expected);
    size_t *seen = calloc(n, sizeof *seen);
    assert_non_null(expected);
    assert_non_null(seen);
    plain_distribution(logits, n, options, expected);
    struct sampler *sampler = sampler_make(options, (int32_t)n);
    for (size_t i = 0; i < n_draws; i++)
        seen[pick(sampler, logits)]++;
    sampler_free(sampler);
    double chi = 0, pooled = 0, pooled_seen = 0;
    int freedom = -1;
    for (size_t i = 0; i < n; i++) {
        double mean = expected[i] * (double)n_draws;
        if (expected[i] == 0 && seen[i])
            fail_msg("token %zu was drawn %zu times, but was cut off", i, seen[i]);
        if (mean >= 5) {
            chi += ((double)seen[i] - mean) * ((double)seen[i] - mean) / mean;
            freedom++;
        } else {
            pooled += mean;
            pooled_seen += (double)seen[i];
        }
    }
    if (pooled >= 1) {
        chi += (pooled_seen - pooled) * (pooled_seen - pooled) / pooled;
        freedom++;
    }
    if (freedom > 0) {
        double k = freedom, root = 1 - 2 / (9 * k) + 4.75 * sqrt(2 / (9 * k)), limit = k * root * root * root;
        if (chi > limit)
            fail_msg("chi-square %g with %d degrees of freedom, more than %g", chi, freedom, limit);
    }
    free(expected);
    free(seen);
}

/* ---- distributions ---- */

static void test_draws_follow_the_distribution(void **state)
{
    (void)state;
    enum { N = 50 };
    float logits[N];
    uint64_t seed = 5;
    for (size_t i = 0; i < N; i++)
        logits[i] = (float)(next_unit(&seed) * 6 - 3);
    static const struct {
        float temperature;
        int32_t top_k;
        float top_p, min_p;
    } rows[] = {
        {1, 0, 1, 0},        {0.5f, 0, 1, 0},        {3, 0, 1, 0},
        {1, 7, 1, 0},        {1, 0, 0.8f, 0},        {1, 0, 1, 0.2f},
        {0.7f, 20, 0.9f, 0}, {1.5f, 10, 0.5f, 0.1f}, {0.7f, 40, 0.95f, 0.05f},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct sampler_options options = sampler_options_default();
        options.temperature = rows[i].temperature;
        options.top_k = rows[i].top_k;
        options.top_p = rows[i].top_p;
        options.min_p = rows[i].min_p;
        options.seed = 1000 + i;
        assert_draws(&options, logits, N, 10000);
    }
}

/* Which tokens stay, exactly: so many draws that each kept one appears. */
static void assert_kept(const struct sampler_options *options, const float *logits, size_t n, const char *expected)
{
    struct sampler *sampler = sampler_make(options, (int32_t)n);
    char kept[64] = {0};
    assert_true(n < sizeof kept);
    memset(kept, '.', n);
    for (int i = 0; i < 1000; i++)
        kept[pick(sampler, logits)] = 'x';
    sampler_free(sampler);
    assert_string_equal(kept, expected);
}

static struct sampler_options drawing(void)
{
    struct sampler_options options = sampler_options_default();
    options.temperature = 1;
    options.seed = 42;
    return options;
}

static void test_top_k(void **state)
{
    (void)state;
    const float logits[] = {0.1f, 2, -1, 2, 0.5f, -0.0f, 0.0f, 2};
    struct sampler_options options = drawing();
    options.temperature = 4;
    static const char *const expected[] = {"xxxxxxxx", ".x......", ".x.x....", ".x.x...x", ".x.xx..x",
                                           "xx.xx..x", "xx.xxx.x", "xx.xxxxx", "xxxxxxxx", "xxxxxxxx"};
    for (int32_t k = 0; k < 10; k++) {
        options.top_k = k;
        assert_kept(&options, logits, 8, expected[k]);
    }
    options.top_k = INT32_MAX;
    assert_kept(&options, logits, 8, "xxxxxxxx");
}

static void test_top_p_edges(void **state)
{
    (void)state;
    /* Probabilities 1/2, 1/4, 1/8, 1/16, 1/16, in a mixed order. */
    const float logits[] = {-3 * 0.69314718f, -1 * 0.69314718f, -4 * 0.69314718f, -2 * 0.69314718f, -4 * 0.69314718f};
    struct sampler_options options = drawing();
    options.top_p = 0;
    assert_kept(&options, logits, 5, ".x...");
    options.top_p = 0.49f;
    assert_kept(&options, logits, 5, ".x...");
    options.top_p = 0.51f;
    assert_kept(&options, logits, 5, ".x.x.");
    options.top_p = 0.76f;
    assert_kept(&options, logits, 5, "xx.x.");
    options.top_p = 0.9f; /* of two equals the lower id */
    assert_kept(&options, logits, 5, "xxxx.");
    options.top_p = 0.95f;
    assert_kept(&options, logits, 5, "xxxxx");
    options.top_p = 1;
    assert_kept(&options, logits, 5, "xxxxx");
    const float flat[] = {1, 1, 1, 1, 1, 1, 1, 1};
    options.top_p = 0.45f;
    assert_kept(&options, flat, 8, "xxxx....");
    options.top_p = 0.5f; /* 4/8 reaches it */
    assert_kept(&options, flat, 8, "xxxx....");
    const float one[] = {3};
    assert_kept(&options, one, 1, "x");
    /* After top-k, of what that left. */
    options.top_k = 2;
    options.top_p = 0.65f;
    assert_kept(&options, logits, 5, ".x...");
    options.top_p = 0.68f;
    assert_kept(&options, logits, 5, ".x.x.");
}

static void test_min_p(void **state)
{
    (void)state;
    const float logits[] = {0, -1, -2, -3, -4};
    struct sampler_options options = drawing();
    options.min_p = 0.1f; /* ln 0.1 = -2.30 */
    assert_kept(&options, logits, 5, "xxx..");
    options.min_p = 1;
    assert_kept(&options, logits, 5, "x....");
    options.min_p = 0.1f;
    options.temperature = 2;
    assert_kept(&options, logits, 5, "xxxxx");
    options.min_p = 0.2f; /* -1.61 * 2 = -3.22 */
    assert_kept(&options, logits, 5, "xxxx.");
}

/* A vocabulary of real size, many equal logits: what top-k and top-p keep, against sorting, by which ids are drawn. */
static void test_large_vocabulary(void **state)
{
    (void)state;
    enum { N = 100000 };
    float *logits = calloc(N, sizeof *logits);
    double *expected = calloc(N, sizeof *expected);
    assert_non_null(logits);
    assert_non_null(expected);
    uint64_t seed = 11;
    for (size_t i = 0; i < N; i++)
        logits[i] = (float)floor(next_unit(&seed) * 1000) / 50;
    for (size_t round = 0; round < 6; round++) {
        struct sampler_options options = drawing();
        options.top_k = round % 2 ? 777 : 0;
        options.top_p = round < 4 ? 0.37f : 1;
        options.min_p = round == 3 ? 0.3f : 0;
        options.temperature = 1 + (float)round / 2;
        options.seed = round;
        plain_distribution(logits, N, &options, expected);
        struct sampler *sampler = sampler_make(&options, N);
        for (int i = 0; i < 40; i++)
            assert_true(expected[pick(sampler, logits)] > 0);
        sampler_free(sampler);
    }
    free(logits);
    free(expected);
}

/* ---- greedy ---- */

static void test_greedy(void **state)
{
    (void)state;
    struct sampler_options options = sampler_options_default();
    assert_int_equal(pick_once(&options, (const float[]){1, 3, 2}, 3), 1);
    assert_int_equal(pick_once(&options, (const float[]){-5, -3, -3, -3}, 4), 1);
    assert_int_equal(pick_once(&options, (const float[]){-0.0f, 0.0f}, 2), 0);
    assert_int_equal(pick_once(&options, (const float[]){7}, 1), 0);
    options.seed = 99; /* no randomness */
    struct sampler *sampler = sampler_make(&options, 3);
    for (int i = 0; i < 50; i++)
        assert_int_equal(pick(sampler, (const float[]){1, 1, 0}), 0);
    sampler_free(sampler);
    /* Nearly no temperature is nearly greedy, and nothing overflows. */
    options.temperature = 1e-30f;
    assert_int_equal(pick_once(&options, (const float[]){1, 3, 2}, 3), 1);
}

static void test_not_finite(void **state)
{
    (void)state;
    struct sampler_options greedy = sampler_options_default(), random = drawing();
    const struct sampler_options *both[] = {&greedy, &random};
    for (size_t i = 0; i < 2; i++) {
        struct sampler *sampler = sampler_make(both[i], 3);
        int32_t id = -7;
        struct error error = {0};
        assert_int_equal(sampler_pick(sampler, (const float[]){1, NAN, 2}, &id, &error), STATUS_NUMERIC);
        assert_non_null(strstr(error.text, "token 1"));
        assert_int_equal(sampler_pick(sampler, (const float[]){-INFINITY, -INFINITY, -INFINITY}, &id, &error),
                         STATUS_NUMERIC);
        assert_int_equal(sampler_pick(sampler, (const float[]){INFINITY, -INFINITY, INFINITY}, &id, NULL),
                         STATUS_NUMERIC);
        assert_int_equal(id, -7);
        assert_int_equal(pick(sampler, (const float[]){-INFINITY, 1, -INFINITY}), 1);
        assert_int_equal(pick(sampler, (const float[]){3e38f, INFINITY, 1}), 1);
        sampler_free(sampler);
    }
    random.top_p = 0.9f;
    random.min_p = 0.1f;
    random.top_k = 3;
    assert_kept(&random, (const float[]){INFINITY, 3, INFINITY, -INFINITY}, 4, "x.x.");
}

/* ---- bias and penalties ---- */

static void test_bias(void **state)
{
    (void)state;
    struct logit_bias biases[] = {{1, -INFINITY}, {2, 1.5f}, {2, 1.0f}};
    struct sampler_options options = sampler_options_default();
    options.biases = biases;
    options.n_biases = 1;
    assert_int_equal(pick_once(&options, (const float[]){1, 9, 2}, 3), 2);
    assert_int_equal(pick_once(&options, (const float[]){1, INFINITY, 2}, 3), 2);
    options.n_biases = 2;
    assert_int_equal(pick_once(&options, (const float[]){3, 9, 2}, 3), 2); /* 3.5 */
    assert_int_equal(pick_once(&options, (const float[]){4, 9, 2}, 3), 0);
    options.n_biases = 3;
    assert_int_equal(pick_once(&options, (const float[]){4, 9, 2}, 3), 2); /* both count: 4.5 */
    struct sampler *sampler = sampler_make(&options, 3);
    biases[0] = (struct logit_bias){2, -INFINITY}; /* they were copied */
    assert_int_equal(pick(sampler, (const float[]){4, 9, 2}), 2);
    int32_t id;
    assert_int_equal(sampler_pick(sampler, (const float[]){-INFINITY, 9, -INFINITY}, &id, NULL), STATUS_NUMERIC);
    sampler_free(sampler);
}

/* Greedy with two tokens tells where a penalised logit crosses another: just below and just above the value by hand. */
static void assert_adjusted(const struct sampler_options *options, const int32_t *accepted, size_t n, float logit,
                            float expected)
{
    struct sampler *sampler = sampler_make(options, 3);
    for (size_t i = 0; i < n; i++)
        sampler_accept(sampler, accepted[i]);
    float slack = 1e-4f;
    assert_int_equal(pick(sampler, (const float[]){expected - slack, logit, -INFINITY}), 1);
    assert_int_equal(pick(sampler, (const float[]){expected + slack, logit, -INFINITY}), 0);
    sampler_free(sampler);
}

static void test_penalties(void **state)
{
    (void)state;
    static const int32_t once[] = {2, 1, 2}, thrice[] = {1, 1, 2, 1}, never[] = {2, 2};
    struct sampler_options options = sampler_options_default();
    options.repeat_penalty = 2;
    assert_adjusted(&options, once, 3, 3.0f, 1.5f);
    assert_adjusted(&options, thrice, 4, 3.0f, 1.5f); /* once, however often seen */
    assert_adjusted(&options, once, 3, -3.0f, -6.0f);
    assert_adjusted(&options, once, 3, 0.0f, 0.0f);
    assert_adjusted(&options, never, 2, 3.0f, 3.0f);
    options.repeat_penalty = 1;
    options.presence_penalty = 0.75f;
    assert_adjusted(&options, once, 3, 3.0f, 2.25f);
    assert_adjusted(&options, thrice, 4, 3.0f, 2.25f);
    options.presence_penalty = 0;
    options.frequency_penalty = 0.5f;
    assert_adjusted(&options, once, 3, 3.0f, 2.5f);
    assert_adjusted(&options, thrice, 4, 3.0f, 1.5f);
    options.frequency_penalty = -0.5f;
    assert_adjusted(&options, thrice, 4, 3.0f, 4.5f);
    options.repeat_penalty = 2;
    options.presence_penalty = 0.25f;
    options.frequency_penalty = 0.5f;
    assert_adjusted(&options, thrice, 4, 4.0f, 0.25f);   /* 4/2 - 0.25 - 3 * 0.5 */
    assert_adjusted(&options, thrice, 4, -4.0f, -9.75f); /* -4*2 - 0.25 - 3 * 0.5 */
    assert_adjusted(&options, never, 2, 4.0f, 4.0f);
    options.penalty_window = 0;
    assert_adjusted(&options, thrice, 4, 4.0f, 4.0f);
}

static void test_penalty_window(void **state)
{
    (void)state;
    struct sampler_options options = sampler_options_default();
    options.frequency_penalty = 1;
    options.penalty_window = 3;
    static const int32_t ids[] = {1, 1, 1, 1, 2, 2, 2, 1};
    static const float expected[] = {10, 9, 8, 7, 7, 8, 9, 10, 9};
    for (size_t n = 0; n <= 8; n++)
        assert_adjusted(&options, ids, n, 10, expected[n]);
    /* Ids that are none change nothing. */
    struct sampler *sampler = sampler_make(&options, 3);
    sampler_accept(sampler, -1);
    sampler_accept(sampler, 3);
    sampler_accept(sampler, INT32_MIN);
    assert_int_equal(pick(sampler, (const float[]){0.9f, 1, 0}), 1);
    sampler_free(sampler);
}

/* ---- determinism ---- */

static void test_seed_and_reset(void **state)
{
    (void)state;
    enum { N = 64, DRAWS = 200 };
    float logits[N];
    for (size_t i = 0; i < N; i++)
        logits[i] = (float)(i % 7) / 3;
    struct sampler_options options = drawing();
    options.repeat_penalty = 1.3f;
    struct sampler *a = sampler_make(&options, N), *b = sampler_make(&options, N);
    options.seed++;
    struct sampler *c = sampler_make(&options, N);
    int32_t first[DRAWS];
    size_t n_different = 0;
    for (size_t i = 0; i < DRAWS; i++) {
        first[i] = pick(a, logits);
        assert_int_equal(pick(b, logits), first[i]);
        n_different += pick(c, logits) != first[i];
        sampler_accept(a, first[i]);
        sampler_accept(b, first[i]);
    }
    assert_true(n_different > DRAWS / 2);
    sampler_reset(a);
    for (size_t i = 0; i < DRAWS; i++) {
        assert_int_equal(pick(a, logits), first[i]);
        sampler_accept(a, first[i]);
    }
    sampler_free(a);
    sampler_free(b);
    sampler_free(c);
}

/* The generator's own numbers: splitmix64 from 0 begins e220a8397b1dcdaf, 6e789e6aa1b965f4, 06c45d188009454f,
 * f88bb8a8724c81ec (the authors' reference program); xoshiro256** on that state begins 99ec5f36cb75f2b4. */
static void test_generator_reference(void **state)
{
    (void)state;
    enum { N = 1 << 16 };
    float *logits = calloc(N, sizeof *logits);
    assert_non_null(logits);
    struct sampler_options options = drawing();
    options.seed = 0;
    /* With equal logits the token is the unit number times n_vocab: the first 16 bits of what was generated. */
    uint64_t s[4] = {0xe220a8397b1dcdafu, 0x6e789e6aa1b965f4u, 0x06c45d188009454fu, 0xf88bb8a8724c81ecu};
    struct sampler *sampler = sampler_make(&options, N);
    assert_int_equal(pick(sampler, logits), 0x99ec);
    sampler_reset(sampler);
    for (int i = 0; i < 20; i++) {
        uint64_t product = s[1] * 5, result = (product << 7 | product >> 57) * 9, t = s[1] << 17;
        s[2] ^= s[0];
        s[3] ^= s[1];
        s[1] ^= s[2];
        s[0] ^= s[3];
        s[2] ^= t;
        s[3] = s[3] << 45 | s[3] >> 19;
        assert_int_equal(pick(sampler, logits), result >> 48);
    }
    sampler_free(sampler);
    free(logits);
}

/* ---- options ---- */

static void assert_refused(struct sampler_options options, const char *named)
{
    struct sampler *sampler = NULL;
    struct error error = {0};
    assert_int_equal(sampler_new(&options, 10, &sampler, &error), STATUS_ARGUMENT);
    assert_null(sampler);
    if (!strstr(error.text, named))
        fail_msg("\"%s\" doesn't name %s", error.text, named);
}

static void test_wrong_options(void **state)
{
    (void)state;
    static const float wrong_units[] = {-0.1f, 1.1f, NAN, INFINITY};
    static const float wrong_penalties[] = {NAN, INFINITY, -INFINITY, 1e9f};
    struct sampler_options good = sampler_options_default(), options;
    for (size_t i = 0; i < 4; i++) {
        options = good;
        options.top_p = wrong_units[i];
        assert_refused(options, "top-p");
        options = good;
        options.min_p = wrong_units[i];
        assert_refused(options, "min-p");
        options = good;
        options.presence_penalty = wrong_penalties[i];
        assert_refused(options, "presence");
        options = good;
        options.frequency_penalty = wrong_penalties[i];
        assert_refused(options, "frequency");
    }
    static const float wrong_temperatures[] = {-1, NAN, INFINITY}, wrong_repeats[] = {0, -1, NAN, INFINITY};
    for (size_t i = 0; i < 3; i++) {
        options = good;
        options.temperature = wrong_temperatures[i];
        assert_refused(options, "temperature");
    }
    for (size_t i = 0; i < 4; i++) {
        options = good;
        options.repeat_penalty = wrong_repeats[i];
        assert_refused(options, "repeat");
    }
    options = good;
    options.top_k = -1;
    assert_refused(options, "top-k");
    options = good;
    options.penalty_window = -2;
    assert_refused(options, "window");
    options.penalty_window = INT32_MAX;
    assert_refused(options, "window");
    static const struct logit_bias wrong_biases[] = {{-1, 0}, {10, 0}, {3, NAN}, {3, INFINITY}};
    for (size_t i = 0; i < 4; i++) {
        options = good;
        options.biases = &wrong_biases[i];
        options.n_biases = 1;
        assert_refused(options, "bias");
    }
    options = good;
    options.n_biases = 1;
    assert_refused(options, "bias");
    struct sampler *sampler = NULL;
    assert_int_equal(sampler_new(&good, 0, &sampler, NULL), STATUS_ARGUMENT);
    sampler_free(NULL);
}

/* ---- looking at logits ---- */

static void test_logprob(void **state)
{
    (void)state;
    const float logits[] = {1, 2, 3, -INFINITY};
    double sum = log(exp(1) + exp(2) + exp(3));
    for (int32_t i = 0; i < 3; i++)
        assert_true(fabs(logits_logprob(logits, 4, i) - (i + 1 - sum)) < 1e-12);
    assert_true(logits_logprob(logits, 4, 3) == -INFINITY);
    assert_true(logits_logprob(logits, 4, 4) == -INFINITY);
    assert_true(logits_logprob(logits, 4, -1) == -INFINITY);
    const float large[] = {3e38f, 3e38f};
    assert_true(fabs(logits_logprob(large, 2, 0) - log(0.5)) < 1e-12);
    const float infinite[] = {INFINITY, 5, INFINITY};
    assert_true(fabs(logits_logprob(infinite, 3, 2) - log(0.5)) < 1e-12);
    assert_true(logits_logprob(infinite, 3, 1) == -INFINITY);
}

static void test_top(void **state)
{
    (void)state;
    enum { N = 500 };
    float logits[N];
    struct entry entries[N];
    struct token_probability top[N + 5];
    uint64_t seed = 23;
    for (size_t i = 0; i < N; i++) {
        logits[i] = (float)floor(next_unit(&seed) * 40) / 8;
        entries[i] = (struct entry){(int32_t)i, (double)logits[i], 0};
    }
    qsort(entries, N, sizeof *entries, entry_compare);
    static const size_t sizes[] = {1, 2, 3, 10, 499, 500, 505};
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        size_t n = logits_top(logits, N, top, sizes[s]);
        assert_int_equal(n, sizes[s] < N ? sizes[s] : N);
        for (size_t i = 0; i < n; i++) {
            assert_int_equal(top[i].id, entries[i].id);
            assert_true(fabs((double)top[i].logprob - logits_logprob(logits, N, top[i].id)) < 1e-5);
        }
    }
    assert_int_equal(logits_top(logits, N, top, 0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_draws_follow_the_distribution),
        cmocka_unit_test(test_top_k),
        cmocka_unit_test(test_top_p_edges),
        cmocka_unit_test(test_min_p),
        cmocka_unit_test(test_large_vocabulary),
        cmocka_unit_test(test_greedy),
        cmocka_unit_test(test_not_finite),
        cmocka_unit_test(test_bias),
        cmocka_unit_test(test_penalties),
        cmocka_unit_test(test_penalty_window),
        cmocka_unit_test(test_seed_and_reset),
        cmocka_unit_test(test_generator_reference),
        cmocka_unit_test(test_wrong_options),
        cmocka_unit_test(test_logprob),
        cmocka_unit_test(test_top),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
