/* fill_private: what fill.c and fill_rank.c share. */
#ifndef FATHOM_FIM_FILL_PRIVATE_H
#define FATHOM_FIM_FILL_PRIVATE_H

#include "fim/fill.h"
#include "fim/scan.h"

/* One way, while it is followed. */
struct branch {
    struct session *session;
    bool is_fork; /* close it */
    bool is_given_up;
    struct heal heal;
    struct tokens ids; /* behind the prompt; the session has n_appended of them */
    double *logprobs;  /* (ids.n) */
    size_t n_appended;
    struct buffer text; /* what the ids spell, without what was taken back */
    double own;
    int32_t next;
    enum fim_stop stop;
    size_t end; /* of text, what counts */
};

struct fill {
    const struct engine *engine;
    const struct fim_format *format;
    const struct healer *healer;
    struct slice heal, suffix;
    const struct fim_place *place;
    const struct fim_fill_options *options;
    int32_t n_vocab;
    size_t n_prompt, n_predict;
    struct branch branches[FIM_WAYS_MOST];
    size_t n_branches, n_decoded;
    struct sampler *sampler; /* of the first way */
    float *masked;           /* (n_vocab) */
    struct buffer told;      /* of the one way, by on_text */
};

/* A way's score: the suffix's log-probability behind it, and so much of its own, over the square root of its tokens: the sum
 * would prefer the shortest, the mean the longest.  (274 holes, default model, edit similarity: the likeliest way 0.486, this 0.498,
 * the best of all ways 0.630.  The weight was chosen on these same holes, so 0.498 flatters it; other weights are within 0.01.) */
#define FIM_WEIGHT_OWN 0.3

/* ---- fill.c ---- */

/* One token more for each of the sessions, in one batch. */
enum status fill_append(struct fill *fill, struct session *const *sessions, const int32_t *ids, size_t n,
                        struct error *error);
bool fill_is_late(const struct fill *fill);

/* ---- fill_rank.c ---- */

/* What the branches came to, best first. */
enum status fill_rank(struct fill *fill, struct fim_ways *out, struct error *error);

#endif
