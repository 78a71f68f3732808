/* turn_prompt: what of a conversation goes before the model, as tokens, so that it fits.  The inner half of turn.c. */
#ifndef FATHOM_APP_TURN_PROMPT_H
#define FATHOM_APP_TURN_PROMPT_H

#include "app/turn.h"

struct turn_prompt {
    struct engine *engine;
    struct conversation *conversation; /* the last message is the question */
    const struct turn_options *options;
    size_t n_ctx;
    size_t reserve;       /* tokens kept free for the answer */
    struct tokens tokens; /* the prompt */
};

/* The reserve for an answer: a quarter of the context, at most 1024 tokens, at most what was asked for. */
size_t turn_prompt_reserve(size_t n_ctx, int64_t n_predict);

/* Fills tokens with the prompt, after leaving out what has to be. */
enum status turn_prompt_fit(struct turn_prompt *prompt, struct error *error);

/* Drops the oldest turns, if there are any, so that the prompt and n_answer tokens of an answer under way have the reserve
 * beside them, and fills tokens anew.  *dropped tells whether something was. */
enum status turn_prompt_shrink(struct turn_prompt *prompt, size_t n_answer, bool *dropped, struct error *error);

/* How many of the tokens ids (n), from the first on, are the beginning of the prompt's text, up to a border of tokens in
 * both; *n_covered: as many tokens of the prompt are the same text.  Sampled ids need not be those that the tokenizer gives for
 * the same text.  Control tokens only match themselves. */
size_t turn_prompt_match(const struct engine *engine, const int32_t *ids, size_t n, const struct tokens *prompt,
                         size_t *n_covered);

/* Puts the tokens that match in place of those of the prompt.  They are those in the session's cache. */
void turn_prompt_splice(const struct engine *engine, const int32_t *ids, size_t n, struct tokens *prompt);

/* 1234567 as "1,234,567". */
struct grouped {
    char text[32];
};
struct grouped grouped_number(uint64_t value);

#endif
