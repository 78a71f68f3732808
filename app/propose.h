/* propose: a commit message for what is staged, by a model, in the style of the log.
 *
 *   subjects of the log ─┐
 *   files and counts ────┼──► one question ──► answer ──► propose_clean ──► subject, empty line, body
 *   the staged diff ─────┘    (its middle is left out where it doesn't fit)
 *
 * Of secrets, binary and generated files only the names go before the model. */
#ifndef FATHOM_APP_PROPOSE_H
#define FATHOM_APP_PROPOSE_H

#include "engine/engine.h"
#include "repo/diff.h"

enum { PROPOSE_SUBJECT = 72, PROPOSE_LINE = 72, PROPOSE_TOKENS = 200 };

struct propose_request {
    struct repo *repo;
    const struct diff *staged;
    struct engine *engine;
    struct session *session;
    struct sampler_options sampling;
    int64_t n_predict; /* tokens; < 0: PROPOSE_TOKENS */
    bool strict;       /* refuse what doesn't fit */
    const atomic_bool *cancel;
    void (*on_notice)(void *context, const char *text); /* what was left out; may be NULL */
    void *context;
};

/* STATUS_NOT_FOUND: the model proposed nothing; STATUS_CANCELLED. */
enum status propose_message(const struct propose_request *request, struct buffer *out, struct error *error);

/* What a model said, as a message: without fences, quotes, labels and marks of lists before the subject; the subject at most PROPOSE_SUBJECT
 * characters, cut between words, the body wrapped, and no more than a dozen lines of it; no line that git would take for a comment, no control bytes. */
void propose_clean(const char *text, size_t size, struct buffer *out);

#endif
