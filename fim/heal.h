/* heal: continuing in the middle of a token.
 *
 * A text that ends inside a word, after a space or after a bracket ends with a token that would not stand there if the text
 * went on: "retur" is `ret` `ur`, "return" is one token.  So the last word's tokens are taken back, and the first new ones
 * must spell the bytes that were taken:
 *
 *     prefix   ... x = fo              taken back " fo"
 *     allowed  every token that " fo" begins with (" f"), or that begins with " fo" (" for", " foo")
 *
 * which may take several tokens.  What they spell beyond is the beginning of the answer.  Bytes are bytes: a code point
 * that is cut in the middle is continued like a word.
 *
 * A healer holds the vocabulary in the order of its tokens' bytes, which is a trie laid flat: the tokens below a node are
 * neighbours.  It never changes once made. */
#ifndef FATHOM_FIM_HEAL_H
#define FATHOM_FIM_HEAL_H

#include "engine/engine.h"

enum { HEAL_MOST = 48 }; /* bytes that are taken back at most */

struct healer;

/* Some 10 ms for 50,000 tokens.  Control tokens are never allowed. */
enum status healer_new(const struct engine *engine, struct healer **out, struct error *error);
void healer_free(struct healer *healer); /* NULL is fine */

/* How many bytes at the text's end to take back, at most HEAL_MOST; 0 for an empty text. */
enum status heal_cut(const struct engine *engine, const char *text, size_t size, size_t *n_bytes, struct error *error);

/* What is still to be spelled. */
struct heal {
    char bytes[HEAL_MOST];
    size_t size, at;
};

void heal_start(struct heal *heal, const char *bytes, size_t size); /* size <= HEAL_MOST */
static inline bool heal_is_done(const struct heal *heal)
{
    return heal->at == heal->size;
}

/* Copies logits (n_vocab) to out, with -INFINITY for every token that doesn't fit.  False where none fits (a byte that the
 * vocabulary lacks): out is then a plain copy, and nothing is bound any more. */
bool heal_mask(const struct healer *healer, struct heal *heal, const float *logits, float *out);

/* Token id was taken: returns its bytes beyond those that were to be spelled.  Borrowed. */
struct slice heal_take(const struct engine *engine, struct heal *heal, int32_t id);

#endif
