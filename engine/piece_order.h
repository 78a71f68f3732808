/* piece_order: the vocabulary in the order of its pieces' bytes: a walk over it goes through a trie of the vocabulary. */
#ifndef FATHOM_ENGINE_PIECE_ORDER_H
#define FATHOM_ENGINE_PIECE_ORDER_H

#include "engine/engine.h"

struct piece_order {
    int32_t *ids;     /* (n) tokens that have a text, which no control token has */
    uint32_t *shared; /* (n) how many bytes each begins with that the one before it begins with, too */
    size_t n;
};

enum status piece_order_new(struct engine *engine, struct piece_order **out, struct error *error);
void piece_order_free(struct piece_order *order);

#endif
