/* forward: the layers of a model, for every family and backend. */
#ifndef FATHOM_ENGINE_FORWARD_H
#define FATHOM_ENGINE_FORWARD_H

#include <stdatomic.h>

#include "engine/backend.h"
#include "engine/kvcache.h"
#include "engine/model.h"

/* The activations of one slice, in the backend's memory. */
struct workspace {
    struct backend *backend;
    int32_t n_slice;  /* tokens at most */
    float *x;         /* (n_slice, n_embd) the residual stream */
    float *normed;    /* (n_slice, n_embd) */
    float *q, *k, *v; /* (n_slice, n_head * k), (n_slice, n_head_kv * k), (n_slice, n_head_kv * v) */
    float *attended;  /* (n_slice, n_head * v) */
    float *gate, *up; /* (n_slice, n_ff) */
    float *logits;    /* (n_logits, n_vocab) */
    int32_t n_logits; /* rows of logits that there is memory for */
};

enum status workspace_init(struct workspace *workspace, struct backend *backend, const struct model *model,
                           int32_t n_slice, struct error *error);
void workspace_deinit(struct workspace *workspace);

/* One slice: n tokens (1..n_slice) that stand at positions first.. of the sequence whose earlier cells are in the cache. */
struct slice_of_tokens {
    const int32_t *ids; /* each below n_vocab */
    int32_t n, first;
    int32_t n_logits; /* of the last so many tokens the logits are wanted: 0..n, at most workspace.n_logits */
};

/* Evaluates the slice, writes its cells, and copies (n_logits, n_vocab) logits to the host.  STATUS_CANCELLED when cancel
 * (may be NULL) was seen between two layers: the cells of this slice are then void, and so after any other error. */
enum status forward_slice(const struct model *model, struct workspace *workspace, struct kvcache *cache,
                          const struct slice_of_tokens *slice, const atomic_bool *cancel, float *logits,
                          struct error *error);

/* Makes room for n rows of logits. */
enum status workspace_reserve_logits(struct workspace *workspace, const struct model *model, int32_t n,
                                     struct error *error);

#endif
