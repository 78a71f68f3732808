/* tokenizer_merge: from the bytes of one piece to tokens, by merging neighbours.
 *
 * Both kinds do the same: of all neighbours that may be merged, take the best, the leftmost among equals, until none is
 * left.  Byte-level BPE begins with bytes and ranks pairs by the file's list of merges; SentencePiece begins with code
 * points and ranks by the score of the token that the pair makes.  A heap of candidates makes it O(n log n). */
#ifndef FATHOM_ENGINE_TOKENIZER_MERGE_H
#define FATHOM_ENGINE_TOKENIZER_MERGE_H

#include "engine/tokenizer_lexicon.h"

struct merges {
    struct merge_slot *slots; /* byte-level: pair of tokens -> rank and result */
    uint32_t mask;
    uint32_t *ranks; /* SentencePiece: n_vocab, the lower the better */
    size_t longest;  /* SentencePiece: bytes of the longest token */
};

/* Zero-initialised is empty.  Merges that name a text that is no word are left out: they could never apply.  On failure
 * deinit must still be called. */
enum status merges_init(struct merges *merges, const struct gguf *gguf, const struct lexicon *lexicon,
                        struct error *error);
void merges_deinit(struct merges *merges);

/* Memory that merging needs, kept from piece to piece.  Zero-initialised is empty. */
struct merge_scratch {
    struct merge_symbol *symbols;
    struct merge_candidate *heap;
    size_t capacity, heap_used; /* bytes of text there is room for; candidates that are waiting */
};

void merge_scratch_deinit(struct merge_scratch *scratch);

/* Appends the tokens of piece (at most 2 GiB).  A byte that no token stands for becomes the unknown token where that is
 * one of kind TOKEN_UNKNOWN, else it is left out, as the vocabulary's own library does. */
enum status merges_encode(const struct merges *merges, const struct lexicon *lexicon, struct merge_scratch *scratch,
                          const char *piece, size_t size, struct tokens *out, struct error *error);

#endif
