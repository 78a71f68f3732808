/* sampler: from logits to the next token.  Part of the engine's public contract (engine.h includes it).
 *
 * The order is fixed: bias, penalties over the accepted tokens, top-k, temperature, top-p, min-p, draw.
 * Temperature 0 is greedy: the highest logit after bias and penalties, the lowest id among equals, no randomness.
 * The generator is the sampler's own (seeded, same numbers on every machine), so the same logits and seed give the same
 * tokens.  Cost of a pick: O(n_vocab) with no sort of the vocabulary. */
#ifndef FATHOM_ENGINE_SAMPLER_H
#define FATHOM_ENGINE_SAMPLER_H

#include "engine/base.h"

struct logit_bias {
    int32_t id;
    float bias; /* added to the logit; -INFINITY forbids the token */
};

struct sampler_options {
    float temperature;       /* >= 0; 0 is greedy */
    int32_t top_k;           /* keep the k most likely; 0: off */
    float top_p;             /* keep the fewest whose probabilities reach p; 1: off */
    float min_p;             /* keep those with at least min_p times the greatest probability; 0: off */
    float repeat_penalty;    /* > 0; positive logits of seen tokens are divided by it, negative multiplied; 1: off */
    float presence_penalty;  /* taken from the logit of a seen token once; 0: off */
    float frequency_penalty; /* taken for each time it was seen; 0: off */
    int32_t penalty_window;  /* how many of the last accepted tokens count, at most 2^20; -1: all of them; 0: none */
    uint64_t seed;
    const struct logit_bias *biases; /* copied */
    size_t n_biases;
};

struct token_probability {
    int32_t id;
    float logprob; /* natural logarithm, of the softmax over the whole vocabulary */
};

struct sampler;

struct sampler_options sampler_options_default(void); /* greedy, everything off, seed 0 */

/* Errors: STATUS_ARGUMENT names the option whose value makes no sense, STATUS_MEMORY. */
enum status sampler_new(const struct sampler_options *options, int32_t n_vocab, struct sampler **out,
                        struct error *error);
void sampler_free(struct sampler *sampler);

/* The next token by logits (n_vocab), which stay untouched.  STATUS_NUMERIC where none is finite or one is NaN. */
enum status sampler_pick(struct sampler *sampler, const float *logits, int32_t *id, struct error *error);

/* Counts id for the penalties.  Prompt tokens may be told as well. */
void sampler_accept(struct sampler *sampler, int32_t id);

/* As freshly made: nothing accepted, the generator at its seed. */
void sampler_reset(struct sampler *sampler);

/* log softmax(logits)[id], accumulated in double. */
double logits_logprob(const float *logits, int32_t n_vocab, int32_t id);

/* The n most likely, most likely first, the lower id first among equals; returns how many were written. */
size_t logits_top(const float *logits, int32_t n_vocab, struct token_probability *out, size_t n);

#endif
