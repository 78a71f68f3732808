/* fill: several ways in which a model goes on from a prompt, each ended where a middle ends, and which of them fits best.
 *
 *   session (the prompt) ─┬─ the likeliest, or a sample ──────────── end
 *                         ├─ another first token ───────────────── end       one batch a step for all of them
 *                         └───┬─ ...                                        (session_append_many)
 *                             └─ another token where it was unsure ─── end
 *
 * Branches are forks: they share the prompt's cells, and their own up to where they part.  A branch is opened where another
 * token is nearly as likely as the one that is taken, the likeliest first, until there are as many as were asked for.
 *
 * A model that was never taught to fill in doesn't see what stands behind the hole.  It is asked afterwards: for each way,
 * how likely does it make the suffix's first tokens?  That and the way's own likelihood rank them, syntax errors first where
 * somebody can tell.  How the two are weighed was chosen on 274 holes (fill_private.h), where it hardly mattered: healing does most of it. */
#ifndef FATHOM_FIM_FILL_H
#define FATHOM_FIM_FILL_H

#include "fim/format.h"
#include "fim/heal.h"
#include "fim/stop.h"

struct fim_fill_options {
    struct sampler_options sampling; /* of the first way; the others take the likeliest tokens */
    size_t n_ways;                   /* >= 1, at most FIM_WAYS_MOST */
    size_t n_predict;                /* tokens of one way at most */
    uint64_t deadline_ns;            /* by clock_now_ns; 0: none */
    double branch_from;              /* another token must be this likely, against the one that is taken; in (0, 1] */
    bool asks_suffix;                /* rank by what the suffix's first tokens say */
    size_t n_suffix;                 /* so many of them; 0: FIM_SUFFIX_TOKENS */
    const struct fim_syntax *syntax; /* may be NULL */
    const char *const *stops;        /* texts that end a middle, and don't belong to it */
    size_t n_stops;
    const atomic_bool *cancel; /* may be NULL */
    /* May be NULL.  The first way's first token is there; a batch of tokens is about to be evaluated (false cancels). */
    void (*on_first)(void *context);
    bool (*between)(void *context);
    /* May be NULL.  Where there is one way alone: its text, as far as that is certain, each time that it grew.  What was told stays, so
     * syntax errors in it aren't cut off any more. */
    void (*on_text)(void *context, const char *text, size_t size);
    void *context;
};

enum { FIM_WAYS_MOST = 16, FIM_SUFFIX_TOKENS = 8 };

struct fim_way {
    struct buffer text; /* the middle */
    enum fim_stop stop;
    size_t n_tokens; /* evaluated for it */
    double own;      /* log-probability of its tokens, and how many those are */
    size_t n_own;
    double suffix; /* of the suffix's first tokens behind it */
    size_t n_suffix;
    long errors; /* struct fim_syntax's errors with it; < 0: unknown */
    double score;
};

struct fim_ways {
    struct fim_way ways[FIM_WAYS_MOST]; /* best first, no two alike */
    size_t n;
    size_t n_decoded; /* tokens evaluated in all */
};

/* session holds the prompt with its logits, and a beginning of some continuation afterwards.  heal: bytes that every way
 * must begin with, and that don't count to its text.  STATUS_CANCELLED; with a deadline, what there is by then. */
enum status fim_fill(const struct engine *engine, struct session *session, const struct fim_format *format,
                     const struct healer *healer, struct slice heal, const struct fim_place *place, struct slice suffix,
                     const struct fim_fill_options *options, struct fim_ways *out, struct error *error);
void fim_ways_deinit(struct fim_ways *ways);

#endif
