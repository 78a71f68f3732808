/* turn: one turn of a chat, from a question to its answer, within the context.
 *
 *   conversation ──► what fits ──► engine_chat_tokens ──► session_sync ──► sample, append ──► text parts ──► conversation
 *                        ▲                                                      │
 *                        └────────────── the context is full ───────────────────┘
 *
 * Nothing here prints: the line mode, the terminal UI and the server all run their turns here and get text and notices by
 * callbacks, called from the thread that runs the turn.  Cancelling is a flag, the one that the session looks at.
 *
 * What always holds:
 *
 * 1. What goes before the model is the system text, the turns from conversation.first on, and the question.  Where that and
 *    a reserve for the answer don't fit, the oldest turns drop out, and some more so that not every turn drops one (each time
 *    the rest has to be read anew); then the middle of the question's piped part is left out, cut at line borders.  Each
 *    time a notice says what.  Or, with strict, the turn is refused with STATUS_ARGUMENT and nothing changes.
 * 2. An answer is never ended by the context: when it is full, the oldest turns drop out, or the older half of the answer so
 *    far where none is left, a notice says so, and the answer goes on.  Its text, held-back bytes and stop strings know
 *    nothing of that.
 * 3. The session's tokens are the cache: as far as their text is the beginning of the new prompt's text they are taken as
 *    they are, sampled ids included, so that the answer before isn't read again because it would be tokenised differently.
 *    Control tokens are taken for themselves alone: text that spells one never meets it.
 * 4. After a turn that did not fail before its first token the conversation has the answer as its last message: whole, or
 *    what there was of it when it was cancelled or failed. */
#ifndef FATHOM_APP_TURN_H
#define FATHOM_APP_TURN_H

#include "app/conversation.h"
#include "engine/engine.h"

enum turn_notice_kind {
    TURN_DROPPED_TURNS, /* the oldest questions and answers */
    TURN_CUT_QUESTION,  /* the middle of the question */
    TURN_CUT_ANSWER,    /* the older half of the answer that is being given */
};

struct turn_notice {
    enum turn_notice_kind kind;
    size_t n_turns, n_lines, n_tokens; /* what was left out; tokens are approximate where a question was cut */
    char text[256];                    /* one line that says so */
};

struct turn_options {
    int64_t n_predict; /* at most so many tokens; < 0: until the model ends */
    const char *const *stops;
    size_t n_stops;
    bool strict;               /* refuse what doesn't fit, instead of leaving something out */
    bool shift;                /* what is left out is taken out of the session: turn_shift.h */
    const atomic_bool *cancel; /* the session's own flag; may be NULL */

    /* May be NULL.  on_text: answer or thought as it comes, whole code points; false ends the turn as if cancelled. */
    bool (*on_text)(void *context, enum text_part part, const char *text, size_t size);
    void (*on_notice)(void *context, const struct turn_notice *notice);
    /* The prompt, before any of it is evaluated: whoever has a beginning of it in a file may put that into the session. */
    void (*on_prompt)(void *context, const struct tokens *prompt);
    void *context;
};

enum turn_stop {
    TURN_END,       /* the model ended its turn */
    TURN_LIMIT,     /* n_predict tokens */
    TURN_STRING,    /* a stop string */
    TURN_CONTEXT,   /* the context is full */
    TURN_CANCELLED, /* the cancel flag, or the callback said so */
};

struct turn_result {
    enum turn_stop stop; /* TURN_CONTEXT only where not even one token has room beside the system text */
    size_t n_tokens;     /* sampled, an end token not counted */
    size_t n_reused;     /* of the prompt, from the cache */
    size_t n_evaluated;  /* of the prompt */
    size_t n_drafted;    /* evaluated in advance, as the answer repeated text */
    size_t n_accepted;   /* those of them that came */
    double read_ms;      /* the prompt's */
    double decode_ms;    /* from the first sampled token to the last */
};

/* "eot" (the model ended its turn), "limit", "string", "context", "cancelled". */
const char *turn_stop_name(enum turn_stop stop);

/* The template's turn end, where the vocabulary doesn't flag it as one: then its text has to stop the answer.  Else NULL. */
const char *turn_unflagged_end(const struct engine *engine, const struct chat_template *chat);

/* Tokens a second of the answer; 0 where there were too few to tell. */
double turn_speed(const struct turn_result *result);

/* Answers the conversation's last message, which must be a question.  Cancelling is a result, not an error.  Errors: no
 * known template, strict and too long, a system text that leaves no room (STATUS_RANGE), whatever the engine reports. */
enum status turn_run(struct engine *engine, struct session *session, struct sampler *sampler,
                     struct conversation *conversation, const struct turn_options *options, struct turn_result *result,
                     struct error *error);

#endif
