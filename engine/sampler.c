/* sampler: see sampler.h.
 *
 * One pick, on arrays that sampler_new allocated once:
 *
 *   logits ─► adjusted (bias, penalties) ─► candidates, in order of id ─► cut by top-k ─► weights exp((l - max) / T)
 *                                                                    ─► cut by top-p ─► cut by min-p ─► draw
 *
 * Both cuts look for the value at which the candidates above it reach a target, which is a count for top-k and a weight for
 * top-p.  That value is found digit by digit on the logits' bits, by a histogram of each digit: three passes, whatever the
 * distribution, so a flat or hostile one costs the same as a peaked one.
 *
 * The generator is xoshiro256**, its state filled by splitmix64 (D. Blackman, S. Vigna, "Scrambled linear pseudorandom
 * number generators", 2018; https://prng.di.unimi.it). */
#include "engine/sampler.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    WINDOW_LIMIT = 1 << 20,
    DIGIT_BITS = 11,
    N_BUCKETS = 1 << DIGIT_BITS,
};

/* Keeps count * penalty far from overflow. */
static const float PENALTY_LIMIT = 1000.0f;

struct sampler {
    struct sampler_options options; /* biases is ours */
    struct logit_bias *biases;
    int32_t n_vocab;
    uint64_t state[4];

    uint32_t *counts; /* (n_vocab) how often a token was accepted, within the window */
    int32_t *window;  /* (penalty_window) the last accepted tokens, a ring; NULL where all or none count */
    size_t n_window, window_next;

    float *adjusted; /* (n_vocab) */
    int32_t *ids;    /* (n_vocab) candidates, ascending */
    double *weights; /* (n_vocab) of the candidates */
};

/* ---- the generator ---- */

static uint64_t splitmix64_next(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static uint64_t rotate_left(uint64_t value, int by)
{
    return value << by | value >> (64 - by);
}

static uint64_t xoshiro_next(uint64_t state[4])
{
    uint64_t result = rotate_left(state[1] * 5, 7) * 9;
    uint64_t shifted = state[1] << 17;
    state[2] ^= state[0];
    state[3] ^= state[1];
    state[1] ^= state[2];
    state[0] ^= state[3];
    state[2] ^= shifted;
    state[3] = rotate_left(state[3], 45);
    return result;
}

/* In [0, 1), 53 bits. */
static double random_unit(struct sampler *sampler)
{
    return (double)(xoshiro_next(sampler->state) >> 11) * 0x1p-53;
}

/* ---- making one ---- */

struct sampler_options sampler_options_default(void)
{
    return (struct sampler_options){.top_p = 1, .repeat_penalty = 1, .penalty_window = -1};
}

/* False for NaN too. */
static bool is_within(float value, float low, float high)
{
    return value >= low && value <= high;
}

static enum status options_check(const struct sampler_options *options, int32_t n_vocab, struct error *error)
{
    if (n_vocab < 1)
        return error_set(error, STATUS_ARGUMENT, "sampler: a vocabulary of %d tokens", (int)n_vocab);
    if (!(options->temperature >= 0) || isinf(options->temperature))
        return error_set(error, STATUS_ARGUMENT, "temperature %g: must be 0 or more", (double)options->temperature);
    if (options->top_k < 0)
        return error_set(error, STATUS_ARGUMENT, "top-k %d: must be 0 or more", (int)options->top_k);
    if (!is_within(options->top_p, 0, 1))
        return error_set(error, STATUS_ARGUMENT, "top-p %g: must be between 0 and 1", (double)options->top_p);
    if (!is_within(options->min_p, 0, 1))
        return error_set(error, STATUS_ARGUMENT, "min-p %g: must be between 0 and 1", (double)options->min_p);
    if (!(options->repeat_penalty > 0) || isinf(options->repeat_penalty))
        return error_set(error, STATUS_ARGUMENT, "repeat penalty %g: must be greater than 0",
                         (double)options->repeat_penalty);
    if (!is_within(options->presence_penalty, -PENALTY_LIMIT, PENALTY_LIMIT))
        return error_set(error, STATUS_ARGUMENT, "presence penalty %g: must be between -1000 and 1000",
                         (double)options->presence_penalty);
    if (!is_within(options->frequency_penalty, -PENALTY_LIMIT, PENALTY_LIMIT))
        return error_set(error, STATUS_ARGUMENT, "frequency penalty %g: must be between -1000 and 1000",
                         (double)options->frequency_penalty);
    if (options->penalty_window < -1 || options->penalty_window > WINDOW_LIMIT)
        return error_set(error, STATUS_ARGUMENT, "penalty window %d: must be between 0 and %d, or -1 for all",
                         (int)options->penalty_window, (int)WINDOW_LIMIT);
    if (options->n_biases && !options->biases)
        return error_set(error, STATUS_ARGUMENT, "logit bias: a count without a list");
    for (size_t i = 0; i < options->n_biases; i++) {
        const struct logit_bias *bias = &options->biases[i];
        if (bias->id < 0 || bias->id >= n_vocab)
            return error_set(error, STATUS_ARGUMENT, "logit bias: token %d is not in the vocabulary of %d",
                             (int)bias->id, (int)n_vocab);
        if (isnan(bias->bias) || bias->bias == INFINITY)
            return error_set(error, STATUS_ARGUMENT, "logit bias of token %d: %g is no bias", (int)bias->id,
                             (double)bias->bias);
    }
    return STATUS_OK;
}

enum status sampler_new(const struct sampler_options *options, int32_t n_vocab, struct sampler **out,
                        struct error *error)
{
    enum status status = options_check(options, n_vocab, error);
    if (status)
        return status;
    struct sampler *sampler = calloc(1, sizeof *sampler);
    if (!sampler)
        return error_set(error, STATUS_MEMORY, "sampler: out of memory");
    size_t n = (size_t)n_vocab;
    bool has_window = options->penalty_window > 0;
    sampler->options = *options;
    sampler->n_vocab = n_vocab;
    sampler->counts = calloc(n, sizeof *sampler->counts);
    sampler->adjusted = calloc(n, sizeof *sampler->adjusted);
    sampler->ids = calloc(n, sizeof *sampler->ids);
    sampler->weights = calloc(n, sizeof *sampler->weights);
    if (has_window)
        sampler->window = calloc((size_t)options->penalty_window, sizeof *sampler->window);
    if (options->n_biases)
        sampler->biases = calloc(options->n_biases, sizeof *sampler->biases);
    if (!sampler->counts || !sampler->adjusted || !sampler->ids || !sampler->weights ||
        (has_window && !sampler->window) || (options->n_biases && !sampler->biases)) {
        sampler_free(sampler);
        return error_set(error, STATUS_MEMORY, "sampler: out of memory");
    }
    if (options->n_biases)
        memcpy(sampler->biases, options->biases, options->n_biases * sizeof *sampler->biases);
    sampler->options.biases = sampler->biases;
    sampler_reset(sampler);
    *out = sampler;
    return STATUS_OK;
}

void sampler_free(struct sampler *sampler)
{
    if (!sampler)
        return;
    free(sampler->counts);
    free(sampler->window);
    free(sampler->adjusted);
    free(sampler->ids);
    free(sampler->weights);
    free(sampler->biases);
    free(sampler);
}

void sampler_reset(struct sampler *sampler)
{
    uint64_t seed = sampler->options.seed;
    for (size_t i = 0; i < 4; i++)
        sampler->state[i] = splitmix64_next(&seed);
    memset(sampler->counts, 0, (size_t)sampler->n_vocab * sizeof *sampler->counts);
    sampler->n_window = sampler->window_next = 0;
}

void sampler_accept(struct sampler *sampler, int32_t id)
{
    if (id < 0 || id >= sampler->n_vocab || sampler->options.penalty_window == 0)
        return;
    if (sampler->window) {
        size_t capacity = (size_t)sampler->options.penalty_window;
        if (sampler->n_window == capacity)
            sampler->counts[sampler->window[sampler->window_next]]--;
        else
            sampler->n_window++;
        sampler->window[sampler->window_next] = id;
        sampler->window_next = (sampler->window_next + 1) % capacity;
    }
    if (sampler->counts[id] < UINT32_MAX)
        sampler->counts[id]++;
}

/* ---- a pick, step by step ---- */

static void logits_adjust(struct sampler *sampler, const float *logits)
{
    const struct sampler_options *options = &sampler->options;
    float *adjusted = sampler->adjusted;
    memcpy(adjusted, logits, (size_t)sampler->n_vocab * sizeof *adjusted);
    for (size_t i = 0; i < options->n_biases; i++) {
        float *logit = &adjusted[options->biases[i].id];
        /* A forbidden token stays so whatever its logit is: infinity minus infinity would be NaN. */
        if (options->biases[i].bias == -INFINITY || *logit == -INFINITY)
            *logit = -INFINITY;
        else
            *logit += options->biases[i].bias;
    }
    if (options->penalty_window == 0 ||
        (options->repeat_penalty == 1 && options->presence_penalty == 0 && options->frequency_penalty == 0))
        return;
    for (int32_t id = 0; id < sampler->n_vocab; id++) {
        if (!sampler->counts[id])
            continue;
        float logit = adjusted[id];
        logit = logit > 0 ? logit / options->repeat_penalty : logit * options->repeat_penalty;
        logit -= options->presence_penalty + options->frequency_penalty * (float)sampler->counts[id];
        adjusted[id] = logit;
    }
}

/* Fills ids with all tokens that are possible at all; *best: the greatest logit, the lowest id among equals. */
static enum status candidates_collect(struct sampler *sampler, size_t *n, int32_t *best, struct error *error)
{
    const float *adjusted = sampler->adjusted;
    size_t kept = 0;
    bool any_finite = false;
    *best = -1;
    for (int32_t id = 0; id < sampler->n_vocab; id++) {
        float logit = adjusted[id];
        if (logit == -INFINITY)
            continue;
        any_finite |= !isinf(logit);
        sampler->ids[kept++] = id;
        if (*best < 0 || logit > adjusted[*best])
            *best = id;
    }
    if (!any_finite)
        return error_set(error, STATUS_NUMERIC,
                         kept ? "no logit is finite" : "no token is possible: every logit is minus infinity");
    *n = kept;
    return STATUS_OK;
}

/* Numbers in the order of the floats, 0.0 and -0.0 being one. */
static uint32_t float_order(float value)
{
    uint32_t bits;
    value += 0.0f;
    memcpy(&bits, &value, sizeof bits);
    return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}

/* Keeps the fewest candidates, greatest logits first and lowest ids first among equals, whose weights reach target; at least
 * one, and all where rounding keeps the sum below it.  weights NULL: each weighs 1.  Returns how many stay, in order of id. */
static size_t candidates_cut(struct sampler *sampler, size_t n, double *weights, double target)
{
    double buckets[N_BUCKETS];
    uint32_t prefix = 0, mask = 0;
    double above = 0; /* the weight of what lies above the digits found so far */
    for (int shift = 32 - DIGIT_BITS, bits = DIGIT_BITS;;) {
        uint32_t n_buckets = 1u << bits;
        memset(buckets, 0, n_buckets * sizeof *buckets);
        for (size_t i = 0; i < n; i++) {
            uint32_t key = float_order(sampler->adjusted[sampler->ids[i]]);
            if ((key & mask) == prefix)
                buckets[key >> shift & (n_buckets - 1)] += weights ? weights[i] : 1;
        }
        uint32_t digit = 0;
        double digit_above = above;
        for (uint32_t b = n_buckets; b-- > 0;) {
            if (!(buckets[b] > 0))
                continue;
            digit = b;
            digit_above = above;
            above += buckets[b];
            if (above >= target)
                break;
        }
        above = digit_above;
        prefix |= digit << shift;
        mask |= (n_buckets - 1) << shift;
        if (shift == 0)
            break;
        bits = shift < DIGIT_BITS ? shift : DIGIT_BITS;
        shift -= bits;
    }
    size_t kept = 0;
    bool has_one = false;
    for (size_t i = 0; i < n; i++) {
        uint32_t key = float_order(sampler->adjusted[sampler->ids[i]]);
        if (key < prefix)
            continue;
        if (key == prefix) {
            if (has_one && above >= target)
                continue;
            has_one = true;
            above += weights ? weights[i] : 1;
        }
        sampler->ids[kept] = sampler->ids[i];
        if (weights)
            weights[kept] = weights[i];
        kept++;
    }
    return kept;
}

/* exp((logit - greatest) / temperature); returns their sum.  Infinite logits share everything among themselves. */
static double candidates_weigh(struct sampler *sampler, size_t n, float greatest)
{
    double sum = 0, temperature = (double)sampler->options.temperature;
    for (size_t i = 0; i < n; i++) {
        float logit = sampler->adjusted[sampler->ids[i]];
        double weight = logit == greatest ? 1 : exp(((double)logit - (double)greatest) / temperature);
        sampler->weights[i] = weight;
        sum += weight;
    }
    return sum;
}

static size_t candidates_cut_by_min_p(struct sampler *sampler, size_t n)
{
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        if (sampler->weights[i] < (double)sampler->options.min_p) /* the greatest weight is 1 */
            continue;
        sampler->ids[kept] = sampler->ids[i];
        sampler->weights[kept++] = sampler->weights[i];
    }
    return kept;
}

static int32_t candidates_draw(struct sampler *sampler, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += sampler->weights[i];
    double left = random_unit(sampler) * sum;
    int32_t last = -1;
    for (size_t i = 0; i < n; i++) {
        if (!(sampler->weights[i] > 0))
            continue;
        last = sampler->ids[i];
        left -= sampler->weights[i];
        if (left < 0)
            break;
    }
    return last; /* where rounding left a rest, the last possible one */
}

enum status sampler_pick(struct sampler *sampler, const float *logits, int32_t *id, struct error *error)
{
    const struct sampler_options *options = &sampler->options;
    size_t n = 0;
    int32_t best = -1;
    /* Here and not later: a bias of minus infinity would hide it; the steps below make none out of numbers. */
    for (int32_t i = 0; i < sampler->n_vocab; i++)
        if (isnan(logits[i]))
            return error_set(error, STATUS_NUMERIC, "the logit of token %d is not a number", (int)i);
    logits_adjust(sampler, logits);
    enum status status = candidates_collect(sampler, &n, &best, error);
    if (status)
        return status;
    if (options->temperature == 0) {
        *id = best;
        return STATUS_OK;
    }
    if (options->top_k > 0 && (size_t)options->top_k < n)
        n = candidates_cut(sampler, n, NULL, options->top_k);
    double sum = candidates_weigh(sampler, n, sampler->adjusted[best]);
    if (options->top_p < 1)
        n = candidates_cut(sampler, n, sampler->weights, (double)options->top_p * sum);
    if (options->min_p > 0)
        n = candidates_cut_by_min_p(sampler, n);
    *id = candidates_draw(sampler, n);
    return STATUS_OK;
}

/* ---- looking at logits ---- */

/* log of the sum of exp; *greatest the greatest logit.  Where that is infinite: the log of how many are. */
static double logits_log_sum(const float *logits, int32_t n_vocab, float *greatest)
{
    *greatest = -INFINITY;
    for (int32_t i = 0; i < n_vocab; i++)
        if (logits[i] > *greatest)
            *greatest = logits[i];
    double sum = 0;
    for (int32_t i = 0; i < n_vocab; i++)
        sum += logits[i] == *greatest ? 1 : exp((double)logits[i] - (double)*greatest);
    return log(sum);
}

/* Relative to the greatest first: a difference of infinities would be NaN. */
static double logit_logprob(float logit, float greatest, double log_sum)
{
    return (logit == greatest ? 0 : (double)logit - (double)greatest) - log_sum;
}

double logits_logprob(const float *logits, int32_t n_vocab, int32_t id)
{
    if (id < 0 || id >= n_vocab)
        return -INFINITY;
    float greatest;
    double log_sum = logits_log_sum(logits, n_vocab, &greatest);
    return logit_logprob(logits[id], greatest, log_sum);
}

/* a is less likely than b, or as likely with the higher id. */
static bool is_behind(struct token_probability a, struct token_probability b)
{
    return a.logprob < b.logprob || (a.logprob == b.logprob && a.id > b.id);
}

/* Restores the heap below i: no child is behind its parent, so heap[0] is behind all. */
static void heap_sink(struct token_probability *heap, size_t n, size_t i)
{
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= n)
            return;
        if (child + 1 < n && is_behind(heap[child + 1], heap[child]))
            child++;
        if (!is_behind(heap[child], heap[i]))
            return;
        struct token_probability swap = heap[i];
        heap[i] = heap[child];
        heap[child] = swap;
        i = child;
    }
}

size_t logits_top(const float *logits, int32_t n_vocab, struct token_probability *out, size_t n)
{
    size_t kept = 0;
    if (n == 0)
        return 0;
    for (int32_t id = 0; id < n_vocab; id++) {
        struct token_probability entry = {id, logits[id]};
        if (isnan(logits[id]))
            continue;
        if (kept < n) {
            out[kept++] = entry;
            if (kept == n)
                for (size_t i = n / 2; i-- > 0;)
                    heap_sink(out, n, i);
        } else if (is_behind(out[0], entry)) {
            out[0] = entry;
            heap_sink(out, n, 0);
        }
    }
    if (kept < n)
        for (size_t i = kept / 2; i-- > 0;)
            heap_sink(out, kept, i);
    for (size_t left = kept; left > 1;) {
        struct token_probability last = out[--left];
        out[left] = out[0];
        out[0] = last;
        heap_sink(out, left, 0);
    }
    float greatest;
    double log_sum = logits_log_sum(logits, n_vocab, &greatest);
    for (size_t i = 0; i < kept; i++)
        out[i].logprob = (float)logit_logprob(out[i].logprob, greatest, log_sum);
    return kept;
}
