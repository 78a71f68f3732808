/* backend: the operations that a device offers on whole activations.
 *
 * forward.c is written once against this table.  An activation is a matrix of float, (rows, cols), row after row, in the
 * backend's memory: forward.c passes pointers on and never looks behind them.  cpu.c with the scalar kernels is the truth that every other
 * implementation is tested against.  Operations may run asynchronously and report failure at read. */
#ifndef FATHOM_ENGINE_BACKEND_H
#define FATHOM_ENGINE_BACKEND_H

#include "engine/base.h"
#include "engine/model.h"

struct kvcache;
struct backend;

/* One product of a matmul: out (n_tokens, weight->n_rows) = x · weightᵀ + bias, or is added to what stands in out. */
struct product {
    const struct weight *weight;
    const struct weight *bias; /* F32 (n_rows), or NULL */
    float *out;
    bool accumulate;
};

struct rope_settings {
    enum rope_kind kind;
    int32_t n_rot;
    float theta, scale;
    const struct weight *factors; /* F32 (n_rot / 2), or NULL */
};

/* Which queries meet which cells: token t of n_tokens stands at position first_position + t and sees cells 0..position. */
struct attention_settings {
    int32_t n_tokens, first_position;
    int32_t n_head, n_head_kv, n_embd_head_k, n_embd_head_v;
    float scale; /* of the scores */
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
    /* out (n, n_cols) = x / sqrt(mean(x²) + epsilon) · weight, row by row (Zhang & Sennrich 2019).  layer is for messages. */
    void (*rms_norm)(struct backend *backend, float *out, const float *x, const struct weight *weight, int32_t n,
                     float epsilon, int32_t layer);
    /* All products of one input x (n_tokens, n_cols): what is prepared of x is prepared once. */
    void (*matmul)(struct backend *backend, const struct product *products, int32_t n_products, const float *x,
                   int32_t n_tokens);
    /* Rotates x (n_tokens, n_heads, width) in place; token t stands at first_position + t (Su et al. 2021). */
    void (*rope)(struct backend *backend, float *x, int32_t n_tokens, int32_t first_position, int32_t n_heads,
                 int32_t width, const struct rope_settings *settings);
    /* Puts keys (n_tokens, n_head_kv * k) and values (n_tokens, n_head_kv * v) into the cells from first_cell on. */
    void (*kv_store)(struct backend *backend, struct kvcache *cache, int32_t layer, int32_t first_cell,
                     int32_t n_tokens, const float *keys, const float *values);
    /* out (n_tokens, n_head * v) = softmax(scale · q · keysᵀ) · values for each head; q is (n_tokens, n_head * k). */
    void (*attention)(struct backend *backend, float *out, const float *q, const struct kvcache *cache, int32_t layer,
                      const struct attention_settings *settings);
    /* gate = silu(gate) · up, n numbers. */
    void (*silu_gate)(struct backend *backend, float *gate, const float *up, size_t n);
};

struct backend {
    const struct backend_ops *ops;
};

#endif
