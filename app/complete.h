/* complete: one completion, from an editor's text and what was gathered for it to what may stand at the cursor.
 *
 *   request ─► shown before? ─► heal_cut ─► fim_prompt_build ─► session_sync ─► fim_fill ─► ways, best first ─► result
 *                   │                                                │
 *                   └ the characters typed so far were its own       └ what the last request read stays in the session
 *
 * A completer keeps one session between requests, so that of a prompt only what is new is read, and the last results: a text
 * to which a shown completion's own next characters were added gets the rest of it at once.
 *
 * Requests have ids that rise.  complete_supersede, from any thread, ends all that are older: between tokens, slices and
 * layers.  What was read by then stays.  All else belongs to the engine's thread. */
#ifndef FATHOM_APP_COMPLETE_H
#define FATHOM_APP_COMPLETE_H

#include <stdatomic.h>

#include "engine/engine.h"
#include "fim/fill.h"
#include "fim/prompt.h"

struct completer;

struct completer_options {
    struct session_options session; /* its cancel is the flag that ends what runs; NULL: one of the completer's own */
    size_t n_kept;                  /* results that are remembered; 0: 64 */
};

enum status completer_open(struct engine *engine, const struct completer_options *options, struct completer **out,
                           struct error *error);
void completer_close(struct completer *completer); /* NULL is fine; before the engine */
const struct fim_format *completer_format(const struct completer *completer);
struct session *completer_session(struct completer *completer);

/* A request of this id is on its way: older ones end with STATUS_CANCELLED.  From any thread. */
void complete_supersede(struct completer *completer, uint64_t id);

struct complete_request {
    uint64_t id; /* 0: not numbered, never superseded */
    /* path, prefix, suffix, pieces, borders, signatures, budget, form: gathered_request fills most of it.  budget 0: what the
     * context holds beside n_predict, at most 2048. */
    struct fim_request prompt;
    struct sampler_options sampling;
    int64_t n_predict;           /* tokens at most; < 0: by the place; 0: only read the prompt */
    size_t n_alternatives;       /* beside the best, at most FIM_WAYS_MOST - 1 */
    double prompt_ms, answer_ms; /* longest for reading the prompt, and from then on; 0: no limit */
    const char *const *stops;    /* texts that end a middle, and don't belong to it */
    size_t n_stops;
    bool plain;  /* the likeliest continuation and nothing else: no healing, no other ways.  For comparison */
    bool afresh; /* don't look at remembered results */
    const struct fim_syntax *syntax; /* may be NULL: app/complete_syntax.h */
    /* May be NULL.  Called on the engine's thread between tokens and slices; false cancels. */
    bool (*between)(void *context);
    /* May be NULL: struct fim_fill_options.  Nothing is told before the end where several ways are followed. */
    void (*on_text)(void *context, const char *text, size_t size);
    void *context;
};

struct complete_way {
    struct buffer text;
    enum fim_stop stop;
};

struct complete_result {
    struct complete_way *ways; /* best first; none where nothing is worth saying */
    size_t n_ways;
    enum fim_stop stop;           /* of the best, also where there was nothing to say */
    size_t n_tokens;              /* of the best */
    size_t n_decoded;             /* evaluated behind the prompt, for all ways */
    size_t n_cached, n_prefilled; /* of the prompt: taken from the session, evaluated */
    double prompt_ms, ttft_ms, total_ms;
    bool is_remembered;        /* it is the rest of what was shown before: nothing was evaluated */
    bool is_late;              /* prompt_ms was over before the prompt was read */
    struct fim_prompt *prompt; /* what the model saw; NULL where remembered.  Its texts are the request's */
};

/* *out is zeroed first; free with complete_result_deinit, also after a failure.  No completion is a result without ways. */
enum status complete_run(struct completer *completer, const struct complete_request *request,
                         struct complete_result *out, struct error *error);
void complete_result_deinit(struct complete_result *result);

/* The text before and behind byte `at` (<= text.size), which moves to the beginning of the code point that it lies in. */
void complete_split(struct slice text, size_t at, struct slice *prefix, struct slice *suffix);

#endif
