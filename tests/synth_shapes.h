/* synth_shapes: the models that tests/synth.c can write, as rows of hyper-parameters: small ones of every family and branch,
 * and the full shapes of real models. */
#ifndef FATHOM_TESTS_SYNTH_SHAPES_H
#define FATHOM_TESTS_SYNTH_SHAPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum synth_scaling { SCALING_NONE, SCALING_LINEAR, SCALING_YARN };

/* Which types the matrices get.  Vectors and the experts' router are always F32. */
enum synth_mix {
    MIX_F32,
    MIX_F16,
    MIX_Q8_0,
    MIX_Q4_1,   /* with an embedding in Q8_0 */
    MIX_Q4_K_M, /* as llama.cpp mixes it, with the fall-backs for widths that 256 doesn't divide */
};

/* Zero means that the model has no such part and the file no such key, unless a comment says otherwise. */
struct synth_shape {
    const char *name, *arch;
    const char *pre;             /* tokenizer.ggml.pre */
    const char *const *specials; /* control tokens, NULL at the end; the first is BOS, the second EOS */
    int32_t n_special_at;        /* id of the first of them; 0: they are the last of the vocabulary */
    int32_t n_vocab, n_ctx, n_layer, n_embd, n_ff;
    int32_t n_head, n_head_kv;
    int32_t n_head_width;             /* 0: n_embd / n_head, and no key says so */
    float rms_epsilon, layer_epsilon; /* the one that is not zero says which norm */
    float rope_theta;
    enum synth_scaling scaling;
    float rope_factor;
    int32_t n_ctx_original;
    float yarn_log_multiplier;
    bool has_rope_factors;
    int32_t n_window; /* attention.sliding_window */
    bool has_qkv_bias, has_all_biases, has_qk_norm, is_tied;
    enum synth_mix mix;

    /* latent attention, where kv_lora_rank is not zero */
    int32_t q_lora_rank, kv_lora_rank, n_nope, n_rot, n_value;
    bool is_new_form; /* attn_k_b and attn_v_b, and the keys *_mla */

    /* experts, where n_expert is not zero */
    int32_t n_expert, n_expert_used, n_expert_shared, n_dense_lead;
    int32_t n_ff_exp; /* 0: n_ff, and no key says so */
    int32_t gating;   /* expert_gating_func: 1 softmax, 2 sigmoid */
    int32_t n_group, n_group_used;
    bool is_normalised, has_choice_bias, is_fused;
    float expert_scale;
    int32_t n_nextn; /* layers of multi-token prediction behind the others */
};

const struct synth_shape *synth_shape_at(size_t i);           /* NULL at the end */
const struct synth_shape *synth_shape_find(const char *name); /* NULL where there is none */

/* Changes one whole number of a shape by its field's name ("n_layer").  False where there is no such field. */
bool synth_shape_set(struct synth_shape *shape, const char *field, int32_t value);

#endif
