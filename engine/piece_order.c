/* piece_order: the vocabulary in the order of its pieces' bytes, made when it is first asked for. */
#include "engine/piece_order.h"

#include <stdlib.h>
#include <string.h>

static int compare_pieces(const void *a, const void *b, void *engine)
{
    struct slice x = engine_piece(engine, *(const int32_t *)a, false),
                 y = engine_piece(engine, *(const int32_t *)b, false);
    int order = memcmp(x.data, y.data, x.size < y.size ? x.size : y.size);
    return order ? order : (x.size > y.size) - (x.size < y.size);
}

static uint32_t shared_bytes(struct slice a, struct slice b)
{
    uint32_t n = 0;
    while (n < a.size && n < b.size && a.data[n] == b.data[n])
        n++;
    return n;
}

enum status piece_order_new(struct engine *engine, struct piece_order **out, struct error *error)
{
    int32_t n_vocab = engine_n_vocab(engine);
    struct piece_order *order = calloc(1, sizeof *order);
    if (order) {
        order->ids = calloc((size_t)n_vocab, sizeof *order->ids);
        order->shared = calloc((size_t)n_vocab, sizeof *order->shared);
    }
    if (!order || !order->ids || !order->shared) {
        piece_order_free(order);
        return error_set(error, STATUS_MEMORY, "out of memory");
    }
    for (int32_t id = 0; id < n_vocab; id++)
        if (engine_piece(engine, id, false).size > 0)
            order->ids[order->n++] = id;
    qsort_r(order->ids, order->n, sizeof *order->ids, compare_pieces, engine);
    for (size_t i = 1; i < order->n; i++)
        order->shared[i] =
            shared_bytes(engine_piece(engine, order->ids[i - 1], false), engine_piece(engine, order->ids[i], false));
    *out = order;
    return STATUS_OK;
}

void piece_order_free(struct piece_order *order)
{
    if (!order)
        return;
    free(order->ids);
    free(order->shared);
    free(order);
}
