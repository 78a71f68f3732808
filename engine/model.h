/* model: the hyper-parameters and weights of a GGUF file, bound by name and checked by shape.
 *
 * A family is a row of the family table: its name and what its layers are made of.  Which tensors a layer has, their names
 * and shapes stand in one table (model_tensors.c); forward.c reads the same struct for every family.  After model_open every
 * weight that is present has the shape that the hyper-parameters say, and lies inside the mapping or the model's arena. */
#ifndef FATHOM_ENGINE_MODEL_H
#define FATHOM_ENGINE_MODEL_H

#include "engine/base.h"
#include "engine/gguf.h"
#include "engine/quant.h"

struct lora_pair;

/* n_mats matrices (experts; else 1) of n_rows rows of n_cols numbers each: out[row] = sum over col of w[row][col] * in[col]. */
struct weight {
    const char *name; /* of the tensor; NULL: the model has none */
    enum quant_type type;
    int64_t n_cols, n_rows, n_mats;
    size_t row_bytes, mat_bytes;  /* from one row to the next, from one matrix to the next */
    const unsigned char *data;    /* borrowed from the gguf, or in a backend's memory */
    const struct lora_pair *lora; /* what adapters add to the product; NULL: nothing */
};

/* w becomes w + b · a, without being changed: a (rank, n_cols), b (n_rows, rank), whose scale is already in it. */
struct lora_pair {
    struct weight a, b;
    const struct lora_pair *next;
};

/* No row of a weight and no head is wider, so that a thread can unpack one row, or a block of cells, into its scratch. */
enum { MODEL_MAX_WIDTH = 128 * 1024, MODEL_MAX_HEAD_WIDTH = 4096 };

enum rope_kind {
    ROPE_NORM, /* rotates the pairs (0,1), (2,3), ... */
    ROPE_NEOX, /* rotates the pairs (0, n/2), (1, n/2 + 1), ... */
};

enum ffn_kind {
    FFN_SILU_GATED, /* down(silu(gate(x)) * up(x)) */
    FFN_GELU,       /* down(gelu(up(x))) */
};

enum norm_kind {
    NORM_RMS,   /* x / rms(x) * weight */
    NORM_LAYER, /* (x - mean) / deviation * weight + bias */
};

/* How scores of experts become probabilities (the numbers of expert_gating_func). */
enum expert_gating { GATING_SOFTMAX = 1, GATING_SIGMOID = 2 };

struct rope_hparams {
    int32_t n_rot;   /* the first n_rot numbers of a head (or of its rotated part) are rotated */
    float theta;     /* base of the angles */
    float scale;     /* positions are multiplied by it: 1 / factor */
    float magnitude; /* of cosine and sine */
    /* YaRN (Peng et al. 2023): pairs below low keep their frequency, those from high on are scaled; high < 0: no YaRN */
    float yarn_low, yarn_high;
};

struct expert_hparams {
    int32_t n_expert, n_used;      /* 0: none */
    int32_t n_shared;              /* merged into one FFN of n_shared * n_ff that every token passes */
    int32_t n_ff;                  /* width of one expert */
    int32_t n_dense_layers;        /* the first ones have a plain FFN instead */
    int32_t n_group, n_group_used; /* only experts of the best groups may be chosen; n_group <= 1: no groups */
    enum expert_gating gating;
    bool normalises; /* the weights of the chosen are divided by their sum */
    float weights_scale;
};

struct hparams {
    int32_t n_vocab, n_ctx_train, n_layer, n_embd, n_ff;
    int32_t n_layer_predict;              /* blocks behind the layers that predict further tokens: not read */
    int32_t n_head, n_head_kv;            /* query heads; heads of the KV cache, a divisor of n_head */
    int32_t n_embd_head_k, n_embd_head_v; /* width of one head's key and value, as attention is defined */
    int32_t kv_lora_rank;                 /* > 0: latent attention, below */
    int32_t q_lora_rank;                  /* > 0: queries go through a bottleneck of this width */
    int32_t sliding_window;               /* a token sees so many last cells, itself included; 0: all */
    float norm_epsilon;
    float attention_scale;
    struct rope_hparams rope;
    struct expert_hparams experts;
    /* What a cell of the cache holds, one head: with latent attention (DeepSeek-V2, section 2.1) the kv_lora_rank
     * compressed numbers and the n_rot rotated ones, which are the key; the first kv_lora_rank of them are the value. */
    int32_t cache_k, cache_v; /* numbers a cell and layer; cache_v 0: values are the beginning of the keys */
};

struct layer {
    struct weight attn_norm, attn_norm_bias; /* (n_embd) */
    struct weight attn_q, attn_k, attn_v; /* (n_head * k, n_embd), (n_head_kv * k, n_embd), (n_head_kv * v, n_embd) */
    struct weight attn_q_bias, attn_k_bias, attn_v_bias; /* optional */
    struct weight attn_q_norm, attn_k_norm;              /* (k) each head's queries and keys; optional */
    struct weight attn_output, attn_output_bias;         /* (n_embd, n_head * v) */
    /* latent attention; queries by attn_q, or with q_lora_rank by attn_q_b(norm(attn_q_a)) */
    struct weight attn_q_a, attn_q_a_norm, attn_q_b; /* (q_lora, n_embd), (q_lora), (n_head * k, q_lora) */
    struct weight attn_kv_a, attn_kv_a_norm;         /* (kv_lora + n_rot, n_embd), (kv_lora) */
    struct weight attn_kv_b;                         /* (n_head * (nope + v), kv_lora): as old files have it */
    struct weight attn_k_b, attn_v_b;      /* n_head x (kv_lora, nope), n_head x (v, kv_lora): as new files, or made */
    struct weight ffn_norm, ffn_norm_bias; /* (n_embd) */
    struct weight ffn_gate, ffn_up, ffn_down; /* (n_ff, n_embd), (n_ff, n_embd), (n_embd, n_ff) */
    struct weight ffn_up_bias, ffn_down_bias; /* optional */
    struct weight router, router_bias;        /* (n_expert, n_embd); (n_expert), for the choice alone, optional */
    struct weight experts_gate, experts_up, experts_down; /* n_expert x (n_ff, n_embd), ..., (n_embd, n_ff) */
    struct weight experts_gate_up;                     /* n_expert x (2 n_ff, n_embd): gate, then up, in one tensor */
    struct weight shared_gate, shared_up, shared_down; /* one FFN of n_shared * n_ff */
};

struct family {
    const char *arch; /* general.architecture */
    enum rope_kind rope;
    enum ffn_kind ffn;
    enum norm_kind norm;
    bool latent;            /* multi-head latent attention */
    bool has_experts;       /* files may have them */
    bool has_qk_norm;       /* every layer norms queries and keys head by head */
    bool experts_normalise; /* always, whatever the file says */
};

struct model {
    struct gguf *gguf;
    const struct family *family;
    struct hparams hparams;
    struct weight token_embd;                    /* (n_vocab, n_embd) */
    struct weight output_norm, output_norm_bias; /* (n_embd) */
    struct weight output;                        /* (n_vocab, n_embd); token_embd where the file has none (tied) */
    struct weight rope_factors;                  /* (n_rot / 2), optional: divides the frequencies (Llama 3.1) */
    struct layer *layers;                        /* n_layer */
    uint64_t n_params, n_active;                 /* all numbers; those that one token's evaluation uses */
    uint64_t bytes_per_token;                    /* weight bytes read to decode one token */
    uint64_t made_bytes;                         /* of weights that loading makes out of the file's */
    uint64_t multiply_adds_layers, multiply_adds_logits; /* of one token; of the logits after it */
    int32_t n_lora_rank;                                 /* the greatest rank of its adapters; 0: none */
    struct arena arena;                                  /* layers, names, and the weights that were made at load */
};

enum model_use {
    MODEL_TO_RUN,
    MODEL_TO_DESCRIBE, /* hparams and shapes alone: weights that would have to be made are left out */
};

/* Takes ownership of gguf, also on failure.  Errors name the key or tensor: STATUS_UNSUPPORTED for an architecture or type
 * this program doesn't run, STATUS_FORMAT for what contradicts itself. */
enum status model_open(struct gguf *gguf, enum model_use use, struct model **out, struct error *error);
void model_close(struct model *model);

/* Bytes of the keys' matrices that loading makes of attn_kv_b; 0 where the file has them. */
uint64_t model_transposed_bytes(const struct model *model, const struct layer *layer);

/* The i-th supported architecture, NULL at the end. */
const char *model_known_arch(size_t i);

#endif
