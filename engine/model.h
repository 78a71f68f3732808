/* model: the hyper-parameters and weights of a GGUF file, bound by name and checked by shape.
 *
 * A family is a row of the family table: its name and what its layers are made of.  Which tensors a layer has, their names
 * and shapes stand in one table (model_tensors.c); forward.c reads the same struct for every family.  After model_open every
 * weight that is present has the shape that the hyper-parameters say, and lies inside the mapping. */
#ifndef FATHOM_ENGINE_MODEL_H
#define FATHOM_ENGINE_MODEL_H

#include "engine/base.h"
#include "engine/gguf.h"
#include "engine/quant.h"

/* n_mats matrices (experts; else 1) of n_rows rows of n_cols numbers each: out[row] = sum over col of w[row][col] * in[col]. */
struct weight {
    const char *name; /* of the tensor; NULL: the model has none */
    enum quant_type type;
    int64_t n_cols, n_rows, n_mats;
    size_t row_bytes;          /* of one row */
    const unsigned char *data; /* borrowed from the gguf, or in a backend's memory */
};

/* No row of a weight is wider, so that a thread can unpack one into its scratch. */
enum { MODEL_MAX_WIDTH = 128 * 1024 };

enum rope_kind {
    ROPE_NORM, /* rotates the pairs (0,1), (2,3), ... */
    ROPE_NEOX, /* rotates the pairs (0, n/2), (1, n/2 + 1), ... */
};

enum ffn_kind {
    FFN_SILU_GATED, /* down(silu(gate(x)) * up(x)) */
};

struct hparams {
    int32_t n_vocab, n_ctx_train, n_layer, n_embd, n_ff;
    int32_t n_head, n_head_kv;            /* query heads; heads of the KV cache, a divisor of n_head */
    int32_t n_embd_head_k, n_embd_head_v; /* width of one head's key and value */
    int32_t n_rot;                        /* the first n_rot numbers of a head are rotated */
    float norm_epsilon;
    float rope_theta; /* base of the angles */
    float rope_scale; /* positions are multiplied by it (linear scaling); 1: none */
    float attention_scale;
};

struct layer {
    struct weight attn_norm;              /* (n_embd) */
    struct weight attn_q, attn_k, attn_v; /* (n_head * k, n_embd), (n_head_kv * k, n_embd), (n_head_kv * v, n_embd) */
    struct weight attn_q_bias, attn_k_bias, attn_v_bias; /* optional */
    struct weight attn_output;                           /* (n_embd, n_head * v) */
    struct weight ffn_norm;                              /* (n_embd) */
    struct weight ffn_gate, ffn_up, ffn_down;            /* (n_ff, n_embd), (n_ff, n_embd), (n_embd, n_ff) */
};

struct family {
    const char *arch; /* general.architecture */
    enum rope_kind rope;
    enum ffn_kind ffn;
};

struct model {
    struct gguf *gguf;
    const struct family *family;
    struct hparams hparams;
    struct weight token_embd;    /* (n_vocab, n_embd) */
    struct weight output_norm;   /* (n_embd) */
    struct weight output;        /* (n_vocab, n_embd); token_embd where the file has none (tied) */
    struct weight rope_factors;  /* (n_rot / 2), optional: divides the frequencies (Llama 3.1) */
    struct layer *layers;        /* n_layer */
    uint64_t n_params, n_active; /* all numbers; those that one token's evaluation uses */
    uint64_t bytes_per_token;    /* weight bytes read to decode one token */
    struct arena arena;
};

/* Takes ownership of gguf, also on failure.  Errors name the key or tensor: STATUS_UNSUPPORTED for an architecture or type
 * this program doesn't run, STATUS_FORMAT for what contradicts itself. */
enum status model_open(struct gguf *gguf, struct model **out, struct error *error);
void model_close(struct model *model);

/* The i-th supported architecture, NULL at the end. */
const char *model_known_arch(size_t i);

/* Bytes of KV cache that one token takes in all layers, with element_bytes a number. */
uint64_t model_kv_elements_per_token(const struct model *model);

#endif
