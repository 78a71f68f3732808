/* forward: the layers of a model, for every family and backend. */
#ifndef FATHOM_ENGINE_FORWARD_H
#define FATHOM_ENGINE_FORWARD_H

#include <stdatomic.h>

#include "engine/backend.h"
#include "engine/kvcache.h"
#include "engine/model.h"

/* Tokens a slice where nobody says how many. */
enum { DEFAULT_SLICE = 256 };

/* The activations of one slice, in the backend's memory.  What a model doesn't need is NULL. */
struct workspace {
    struct backend *backend;
    int32_t n_slice;  /* tokens at most */
    float *x;         /* (n_slice, n_embd) the residual stream */
    float *before;    /* (n_slice, n_embd) the same before a layer that may be stopped in the middle */
    float *normed;    /* (n_slice, n_embd) */
    float *q, *k, *v; /* (n_slice, n_head * k), (n_slice, cache_k), (n_slice, cache_v) */
    float *attended;  /* (n_slice, n_head * v) */
    float *gate, *up; /* (n_slice, n_ff), or that of the shared experts where it is wider */
    float *lora;      /* (n_slice, n_lora_rank) */
    float *logits;    /* (n_logits, n_vocab) */
    int32_t n_logits; /* rows of logits that there is memory for */
    /* latent attention */
    float *q_bottleneck;    /* (n_slice, q_lora) */
    float *latent, *k_rope; /* (n_slice, kv_lora), (n_slice, n_rot) */
    int32_t expand_from;    /* slices of so many tokens or more are expanded, see forward.c */
    /* Either queries (n, n_head, kv_lora + n_rot) and sums (n, n_head, kv_lora) in the latent space, or keys and values of
     * some heads (n_cells, heads, k), (n_cells, heads, v).  Comes and grows when it is needed. */
    float *attention;
    size_t n_attention; /* numbers that there is memory for */
    /* experts */
    float *router_logits;         /* (n_slice, n_expert) */
    float *pairs_gate, *pairs_up; /* (n_slice * n_used, n_ff_exp) */
    float *pairs_out;             /* (n_slice * n_used, n_embd) */
    /* what a layer took, at how many tokens; and after a slice that was cancelled: how many layers are done, see forward_slice */
    uint64_t layer_ns;
    int32_t layer_tokens;
    int32_t n_done;
};

/* expand_from 0: where expanding becomes less work. */
enum status workspace_init(struct workspace *workspace, struct backend *backend, const struct model *model,
                           int32_t n_slice, int32_t expand_from, struct error *error);
/* Memory of slices of n_slice tokens in a context of n_ctx that is full, in bytes. */
uint64_t workspace_bytes(const struct model *model, int32_t n_slice, int32_t n_ctx);
void workspace_deinit(struct workspace *workspace);

/* Tokens of a slice that stand at positions first.. of the sequence whose earlier cells are in the cache. */
struct slice_part {
    struct kvcache *cache;
    int32_t n, first;
};

/* One slice: n tokens (1..n_slice), part after part.  Several parts are tokens of several sequences, which have nothing in
 * common but that weights are read once for all of them: as_alone only, and n below the workspace's expand_from. */
struct slice_of_tokens {
    const int32_t *ids; /* each below n_vocab */
    const struct slice_part *parts;
    int32_t n_parts, n;
    int32_t n_logits; /* of the last so many tokens the logits are wanted: 0..n, at most workspace.n_logits */
    bool as_alone; /* each token is to get the numbers that it would have alone: n is at most the backend's n_exact */
    int32_t
        n_done; /* so many layers are done: by the slice before this one, which was cancelled then, and began likewise */
};

/* Evaluates the slice, writes its cells, and copies (n_logits, n_vocab) logits to the host.  STATUS_CANCELLED when cancel
 * (may be NULL) was seen, between two layers or, where layers take long, within one: workspace.n_done layers of the slice are
 * then done, and a slice of its tokens, or of the first of them, goes on from there as long as workspace and cells are left
 * alone.  Otherwise the cells of this slice are void, and so after any other error. */
enum status forward_slice(const struct model *model, struct workspace *workspace, const struct slice_of_tokens *slice,
                          const atomic_bool *cancel, float *logits, struct error *error);

/* Makes room for n rows of logits. */
enum status workspace_reserve_logits(struct workspace *workspace, const struct model *model, int32_t n,
                                     struct error *error);

#endif
