/* backend: the operations that a device offers on whole activations.
 *
 * forward.c is written once against this table.  An activation is a matrix of float, (rows, cols), row after row, in the
 * backend's memory: forward.c passes pointers on and never looks behind them.  cpu.c with the scalar kernels is the truth that every other
 * implementation is tested against.  Operations may run asynchronously and report failure at read; what describes them (products, settings,
 * weights, ids) is read before they return. */
#ifndef FATHOM_ENGINE_BACKEND_H
#define FATHOM_ENGINE_BACKEND_H

#include <stdatomic.h>

#include "engine/base.h"
#include "engine/model.h"

struct kvcache;
struct backend;

enum { EMBEDDING_LAYER = -1 };

/* One product of a matmul: out (n_tokens, weight->n_rows) = x · weightᵀ + bias, or is added to what stands in out. */
struct product {
    const struct weight *weight;
    const struct weight *bias; /* F32 (n_rows), or NULL */
    float *out;
    bool accumulate;
};

struct rope_settings {
    enum rope_kind kind;
    const struct rope_hparams *hparams; /* stays where it is while the backend lives */
    const struct weight *factors;       /* F32 (n_rot / 2), or NULL */
};

/* Which queries meet which cells: token t of n_tokens stands at position first_position + t and sees cells 0..position. */
struct attention_settings {
    int32_t n_tokens, first_position;
    int32_t n_head, n_head_kv, n_embd_head_k, n_embd_head_v;
    int32_t window;     /* a token sees so many last cells, its own included; 0: all */
    float scale;        /* of the scores */
    int32_t n_head_row; /* heads of a row of q and of out, of which the first n_head are computed; 0: n_head */
};

/* Which heads' keys and values are made of the latent numbers of cells 0..n_cells - 1: those from first_head on, of each
 * matrix of the weights as many as the cache that takes them has room for. */
struct expansion {
    const struct weight *keys; /* n_head x (kv_lora, nope): transposed, as the queries' way into the latent space is */
    const struct weight *values; /* n_head x (v, kv_lora) */
    int32_t first_head, n_heads, n_cells;
};

/* Cells [from, from + n) become cells [to, to + n), to <= from.  Of each of the n_heads heads (width numbers) of a key the
 * numbers from first_rotated on are rotated. */
struct cell_move {
    int32_t to, from, n;
    int32_t n_heads, width, first_rotated;
};

struct backend_ops {
    const char *name;
    void (*free)(struct backend *backend);

    /* Memory for n floats, zeroed; NULL where there is none. */
    float *(*alloc)(struct backend *backend, size_t n);
    void (*release)(struct backend *backend, float *memory);
    /* Waits for what runs, copies n floats to the host.  STATUS_NUMERIC where a norm met a number that is not finite; the
     * message names the layer. */
    enum status (*read)(struct backend *backend, float *host, const float *from, size_t n, struct error *error);

    /* out (n, n_cols) = rows ids[i] of the table; the caller checked the ids. */
    void (*embed)(struct backend *backend, float *out, const struct weight *table, const int32_t *ids, int32_t n);
    /* Row by row, with a bias a layer norm: out (n, n_cols) = (x - mean(x)) / sqrt(variance(x) + epsilon) · weight + bias (Ba et
     * al. 2016); without one an RMS norm: x / sqrt(mean(x²) + epsilon) · weight (Zhang & Sennrich 2019).  out may be x.  layer is
     * for messages: the one that made x, or EMBEDDING_LAYER. */
    void (*norm)(struct backend *backend, float *out, const float *x, const struct weight *weight,
                 const struct weight *bias, int32_t n, float epsilon, int32_t layer);
    /* All products of one input x (n_tokens, n_cols): what is prepared of x is prepared once. */
    void (*matmul)(struct backend *backend, const struct product *products, int32_t n_products, const float *x,
                   int32_t n_tokens);
    /* A matrix for each head: out (n_tokens, n_mats, out_stride) = x (n_tokens, n_mats, x_stride) · weight[head]ᵀ, of which
     * the first n_rows and n_cols numbers of a head are written and read. */
    void (*matmul_heads)(struct backend *backend, float *out, int32_t out_stride, const struct weight *weight,
                         const float *x, int32_t x_stride, int32_t n_tokens);
    /* Rotates x (n_tokens, n_heads, width) in place; token t stands at first_position + t (Su et al. 2021). */
    void (*rope)(struct backend *backend, float *x, int32_t n_tokens, int32_t first_position, int32_t n_heads,
                 int32_t width, const struct rope_settings *settings);
    /* Puts keys (n_tokens, n_head_kv * k) and values (n_tokens, n_head_kv * v) into the cells from first_cell on. */
    void (*kv_store)(struct backend *backend, struct kvcache *cache, int32_t layer, int32_t first_cell,
                     int32_t n_tokens, const float *keys, const float *values);
    /* Moves cells of all layers, within one cache or to another of the same shape, and turns the keys back by as many positions
     * as they move: what rope gave them at their new positions, up to the cache's rounding. */
    void (*kv_move)(struct backend *backend, struct kvcache *to, const struct kvcache *from,
                    const struct cell_move *move, const struct rope_settings *rope);
    /* out (n_tokens, n_head * v) = softmax(scale · q · keysᵀ) · values for each head; q is (n_tokens, n_head * k). */
    void (*attention)(struct backend *backend, float *out, const float *q, const struct kvcache *cache, int32_t layer,
                      const struct attention_settings *settings);
    /* Latent cells as keys and values by head: with c and r a cell's kv_lora and n_rot numbers, head h gets the key
     * [keys[h]ᵀ c, r] and the value values[h] c.  They go into the only layer of out, which is F32 and has a cell
     * (n_heads * (nope + n_rot)), (n_heads * v). */
    void (*expand)(struct backend *backend, struct kvcache *out, const struct kvcache *cache, int32_t layer,
                   const struct expansion *expansion);
    /* gate = silu(gate) · up, n numbers. */
    void (*silu_gate)(struct backend *backend, float *gate, const float *up, size_t n);
    /* x = gelu(x) in its tanh form, n numbers. */
    void (*gelu)(struct backend *backend, float *x, size_t n);
    /* Copies n_cols numbers of each of n_rows rows. */
    void (*copy_columns)(struct backend *backend, float *out, int64_t out_stride, const float *x, int64_t x_stride,
                         int64_t n_rows, int64_t n_cols);

    /* Mixture of experts.  route chooses each token's experts and their weights by logits (n_tokens, n_expert); bias F32
     * (n_expert) counts for the choice alone, or is NULL.  The backend keeps the choice, and the order in which it lays the
     * n_pairs = n_tokens · n_used pairs of a token and an expert, until the next route. */
    void (*route)(struct backend *backend, const float *logits, const struct weight *bias, int32_t n_tokens,
                  const struct expert_hparams *experts);
    /* Products out (n_pairs, n_rows) of each pair's input with its expert's matrix.  x is (n_tokens, n_cols) with x_by_token,
     * else (n_pairs, n_cols) as an earlier product left it.  No bias, no accumulation. */
    void (*matmul_experts)(struct backend *backend, const struct product *products, int32_t n_products, const float *x,
                           bool x_by_token);
    /* out (n_tokens, n_cols) += the weighted sum of each token's pairs in x (n_pairs, n_cols). */
    void (*sum_experts)(struct backend *backend, float *out, const float *x, int32_t n_cols);
};

/* Once cancel (may be NULL) is set, operations need not compute what they are asked for: those that leave something out set
 * was_stopped. */
struct backend {
    const struct backend_ops *ops;
    const atomic_bool *cancel;
    atomic_bool was_stopped;
    int32_t n_exact; /* see as_alone */
    /* Set before a slice: of at most n_exact tokens, each gets the very numbers, to the bit, that it would have alone. */
    bool as_alone;
};

#endif
