/* perplexity: how well a model foretells a text, for `fathom perplexity` and what compares by it.
 *
 * The text's tokens, BOS first where the model adds one, are cut into chunks of n tokens that don't overlap; a last chunk
 * that is incomplete is dropped.  In each chunk the first token is replaced by BOS (again: where the model adds one) and the
 * tokens n/2 + 1 .. n - 1 are scored, each by the logits after the one before it.  nll is the mean of their negative
 * log-probabilities, perplexity is exp(nll).  So does llama.cpp's llama-perplexity, and figures for the same text compare. */
#ifndef FATHOM_APP_PERPLEXITY_H
#define FATHOM_APP_PERPLEXITY_H

#include "app/command.h"

struct perplexity_text {
    struct engine *engine;
    struct tokens tokens;
    size_t chunk, n_chunks;
};

struct perplexity {
    double nll;
    size_t n_scored;
    uint64_t kv_per_token; /* bytes that a cell of the cache takes */
};

/* Reads the text of -f, opens the model and cuts the tokens; -c on the command line is the chunk's length.  Messages begin
 * with what.  Deinit it also after a failure. */
enum status perplexity_text_init(struct perplexity_text *text, const struct command_context *context, const char *what,
                                 struct error *error);
void perplexity_text_deinit(struct perplexity_text *text);

/* STATUS_UNSUPPORTED where the model's heads don't fit that type of cache. */
enum status perplexity_measure(struct perplexity_text *text, const struct command_context *context, enum kv_type kv,
                               struct perplexity *out, struct error *error);

#endif
