/* surprise: how unlikely a model finds the lines of a text, each in the context of what stands before it.
 *
 *   text, lines [first, first + n) ──► tokens, with up to SURPRISE_BEFORE of what stands before ──► cross-entropy of each
 *
 * A token counts for the line that its first byte stands in; a line's surprise is the mean over its tokens, in nats: so its
 * length doesn't count.  It says what is unusual to the model, and nothing of what is wrong.
 *
 * The same text, lines and model give the same numbers: windows are cut by tokens alone, SURPRISE_AT_ONCE tokens of the text behind
 * SURPRISE_BEFORE others, and the model's BOS before them where it wants one.  A token's number is what `fathom eval` says of it
 * behind the tokens of its window. */
#ifndef FATHOM_APP_SURPRISE_H
#define FATHOM_APP_SURPRISE_H

#include "engine/engine.h"

enum {
    SURPRISE_BEFORE = 192,
    SURPRISE_AT_ONCE = 256,
    SURPRISE_TOP = 4,         /* alternatives that are kept of each token */
    SURPRISE_BYTES = 64 << 10 /* of the lines asked for; what lies beyond isn't scored */
};

struct surprise_token {
    int32_t id;
    uint32_t line;     /* among the lines asked for, from 0 */
    size_t at, window; /* its place in ids, and that of the first token which it was seen behind */
    float logprob;
    struct token_probability top[SURPRISE_TOP]; /* what was most likely there */
};

struct surprise_line {
    double nats; /* sum over its tokens */
    uint32_t first_token, n_tokens;
};

struct surprise_text {
    struct tokens ids; /* the text's, from before the first line on; without BOS */
    struct surprise_token *tokens;
    size_t n_tokens, tokens_capacity;
    struct surprise_line *lines; /* as many as asked for */
    size_t n_lines;
};

struct surprise;

/* options: KV type, cancel and progress count.  The engine must outlive it. */
enum status surprise_open(struct engine *engine, const struct session_options *options, struct surprise **out,
                          struct error *error);
void surprise_close(struct surprise *surprise); /* NULL is fine */

/* Scores lines [first, first + n) of text, counted from 0; lines that aren't there have no tokens, nor have empty ones that
 * share a token with what stands before.  *out is zeroed first.  STATUS_CANCELLED, STATUS_MEMORY, and the engine's. */
enum status surprise_read(struct surprise *surprise, struct slice text, uint32_t first, uint32_t n,
                          struct surprise_text *out, struct error *error);
void surprise_text_deinit(struct surprise_text *text);

/* The mean over a line's tokens; 0 of a line without any. */
double surprise_of(const struct surprise_line *line);
/* The least likely token of a line, or NULL. */
const struct surprise_token *surprise_peak(const struct surprise_text *text, const struct surprise_line *line);

#endif
