/* synth: see synth.h. */
#include "tests/synth.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/quant.h"
#include "tests/gguf_writer.h"

enum { NAME_SIZE = 64, ALIGNMENT = 32, CHUNK = 1 << 20 };

/* ---- the tensors of a file, laid out before anything is written ---- */

enum fill {
    FILL_MATRIX,
    FILL_NORM,    /* about 1 */
    FILL_BIAS,    /* about 0 */
    FILL_FACTORS, /* of rope_freqs: from 1 to 8 */
};

/* Where a number of this tensor lies in the tensor of another form of the model, whose name its random numbers go by. */
enum map { MAP_SAME, MAP_K_B, MAP_V_B, MAP_GATE_UP };

enum role { ROLE_MATRIX, ROLE_FLOAT, ROLE_EMBEDDING, ROLE_OUTPUT, ROLE_VALUE, ROLE_DOWN };

struct plan_tensor {
    char name[NAME_SIZE], source[NAME_SIZE];
    enum quant_type type;
    uint32_t n_dims;
    uint64_t shape[3]; /* unused ones are 1 */
    enum fill fill;
    enum map map;
    float spread; /* standard deviation */
    uint64_t offset, n_bytes;
};

struct plan {
    const struct synth_shape *shape;
    const struct synth_options *options;
    struct plan_tensor *tensors;
    size_t n, capacity;
    bool failed;
};

/* llama.cpp's rule for the layers whose value and down matrices get more bits (llama-quant.cpp, use_more_bits). */
static bool has_more_bits(int32_t layer, int32_t n_layer)
{
    return layer < n_layer / 8 || layer >= 7 * n_layer / 8 || (layer - n_layer / 8) % 3 == 2;
}

static enum quant_type type_for(const struct synth_shape *shape, enum role role, int32_t layer, uint64_t n_cols)
{
    if (role == ROLE_FLOAT)
        return QUANT_F32;
    switch (shape->mix) {
    case MIX_F32:
        return QUANT_F32;
    case MIX_F16:
        return QUANT_F16;
    case MIX_Q8_0:
        return QUANT_Q8_0;
    case MIX_Q4_1:
        return role == ROLE_EMBEDDING ? QUANT_Q8_0 : QUANT_Q4_1;
    case MIX_Q4_K_M:
        break;
    }
    bool is_more = role == ROLE_OUTPUT || (role == ROLE_EMBEDDING && shape->is_tied) ||
                   ((role == ROLE_VALUE || role == ROLE_DOWN) && has_more_bits(layer, shape->n_layer));
    if (n_cols % 256)
        return is_more ? QUANT_Q8_0 : QUANT_Q5_0;
    return is_more ? QUANT_Q6_K : QUANT_Q4_K;
}

/* layer < 0: a tensor of the whole model.  gain 1 keeps the size of what the matrix is multiplied with. */
static struct plan_tensor *plan_add(struct plan *plan, int32_t layer, const char *name, enum role role, int64_t cols,
                                    int64_t rows, int64_t mats, float gain)
{
    static struct plan_tensor none; /* takes what is written after memory ran out; never read */
    if (plan->n == plan->capacity) {
        size_t capacity = plan->capacity ? 2 * plan->capacity : 64;
        struct plan_tensor *tensors = realloc(plan->tensors, capacity * sizeof *tensors);
        if (!tensors) {
            plan->failed = true;
            return &none;
        }
        plan->tensors = tensors;
        plan->capacity = capacity;
    }
    struct plan_tensor *tensor = &plan->tensors[plan->n];
    *tensor = (struct plan_tensor){
        .n_dims = mats   ? 3
                  : rows ? 2
                         : 1,
        .shape = {(uint64_t)cols, rows ? (uint64_t)rows : 1, mats ? (uint64_t)mats : 1},
        .spread = gain / sqrtf((float)cols),
    };
    if (layer < 0)
        snprintf(tensor->name, NAME_SIZE, "%s", name);
    else
        snprintf(tensor->name, NAME_SIZE, "blk.%d.%s", layer, name);
    memcpy(tensor->source, tensor->name, NAME_SIZE);
    const struct synth_fault *fault = plan->options->fault;
    if (fault && fault->skip_tensor && strcmp(fault->skip_tensor, tensor->name) == 0)
        return tensor; /* not counted */
    if (fault && fault->tensor && strcmp(fault->tensor, tensor->name) == 0)
        memcpy(tensor->shape, fault->shape, sizeof tensor->shape);
    tensor->type = type_for(plan->shape, rows ? role : ROLE_FLOAT, layer, tensor->shape[0]);
    plan->n++;
    return tensor;
}

static void add_matrix(struct plan *plan, int32_t layer, const char *name, int64_t cols, int64_t rows, float gain)
{
    plan_add(plan, layer, name, ROLE_MATRIX, cols, rows, 0, gain);
}

static void add_vector(struct plan *plan, int32_t layer, const char *name, int64_t n, enum fill fill)
{
    struct plan_tensor *tensor = plan_add(plan, layer, name, ROLE_FLOAT, n, 0, 0, 1);
    tensor->fill = fill;
    tensor->spread = 0.1f;
}

/* A norm, with its bias where the family's norms have one. */
static void add_norm(struct plan *plan, int32_t layer, const char *name, int64_t n)
{
    char full[NAME_SIZE];
    snprintf(full, sizeof full, "%s.weight", name);
    add_vector(plan, layer, full, n, FILL_NORM);
    snprintf(full, sizeof full, "%s.bias", name);
    if (plan->shape->layer_epsilon > 0)
        add_vector(plan, layer, full, n, FILL_BIAS);
}

static void plan_attention(struct plan *plan, int32_t layer)
{
    const struct synth_shape *s = plan->shape;
    int64_t width = s->n_head_width ? s->n_head_width : s->n_embd / s->n_head;
    int64_t n_q = s->n_head * width, n_kv = s->n_head_kv * width;
    /* Queries and keys are larger, so that attention picks out few places and a wrong angle is seen. */
    add_matrix(plan, layer, "attn_q.weight", s->n_embd, n_q, 1.6f);
    add_matrix(plan, layer, "attn_k.weight", s->n_embd, n_kv, 1.6f);
    plan_add(plan, layer, "attn_v.weight", ROLE_VALUE, s->n_embd, n_kv, 0, 1);
    add_matrix(plan, layer, "attn_output.weight", n_q, s->n_embd, 1.5f);
    if (s->has_qkv_bias || s->has_all_biases) {
        add_vector(plan, layer, "attn_q.bias", n_q, FILL_BIAS);
        add_vector(plan, layer, "attn_k.bias", n_kv, FILL_BIAS);
        add_vector(plan, layer, "attn_v.bias", n_kv, FILL_BIAS);
    }
    if (s->has_all_biases)
        add_vector(plan, layer, "attn_output.bias", s->n_embd, FILL_BIAS);
    if (s->has_qk_norm) {
        add_vector(plan, layer, "attn_q_norm.weight", width, FILL_NORM);
        add_vector(plan, layer, "attn_k_norm.weight", width, FILL_NORM);
    }
}

static void plan_latent_attention(struct plan *plan, int32_t layer)
{
    const struct synth_shape *s = plan->shape;
    int64_t n_q = (int64_t)s->n_head * (s->n_nope + s->n_rot);
    if (s->q_lora_rank) {
        add_matrix(plan, layer, "attn_q_a.weight", s->n_embd, s->q_lora_rank, 1);
        add_vector(plan, layer, "attn_q_a_norm.weight", s->q_lora_rank, FILL_NORM);
        add_matrix(plan, layer, "attn_q_b.weight", s->q_lora_rank, n_q, 1.6f);
    } else {
        add_matrix(plan, layer, "attn_q.weight", s->n_embd, n_q, 1.6f);
    }
    add_matrix(plan, layer, "attn_kv_a_mqa.weight", s->n_embd, s->kv_lora_rank + s->n_rot, 1.6f);
    add_vector(plan, layer, "attn_kv_a_norm.weight", s->kv_lora_rank, FILL_NORM);
    if (s->is_new_form) {
        char source[NAME_SIZE];
        snprintf(source, sizeof source, "blk.%d.attn_kv_b.weight", layer);
        struct plan_tensor *k =
            plan_add(plan, layer, "attn_k_b.weight", ROLE_MATRIX, s->n_nope, s->kv_lora_rank, s->n_head, 1);
        k->spread = 1.6f / sqrtf((float)s->kv_lora_rank); /* that of the form it stands for */
        k->map = MAP_K_B;
        memcpy(k->source, source, NAME_SIZE);
        struct plan_tensor *v =
            plan_add(plan, layer, "attn_v_b.weight", ROLE_MATRIX, s->kv_lora_rank, s->n_value, s->n_head, 1.6f);
        v->map = MAP_V_B;
        memcpy(v->source, source, NAME_SIZE);
    } else {
        add_matrix(plan, layer, "attn_kv_b.weight", s->kv_lora_rank, (int64_t)s->n_head * (s->n_nope + s->n_value),
                   1.6f);
    }
    add_matrix(plan, layer, "attn_output.weight", (int64_t)s->n_head * s->n_value, s->n_embd, 1.5f);
}

static void plan_experts(struct plan *plan, int32_t layer)
{
    const struct synth_shape *s = plan->shape;
    int64_t n_ff = s->n_ff_exp ? s->n_ff_exp : s->n_ff;
    plan_add(plan, layer, "ffn_gate_inp.weight", ROLE_FLOAT, s->n_embd, s->n_expert, 0, 1)->type = QUANT_F32;
    if (s->has_choice_bias)
        add_vector(plan, layer, "exp_probs_b.bias", s->n_expert, FILL_BIAS);
    if (s->is_fused) {
        struct plan_tensor *both =
            plan_add(plan, layer, "ffn_gate_up_exps.weight", ROLE_MATRIX, s->n_embd, 2 * n_ff, s->n_expert, 1.4f);
        both->map = MAP_GATE_UP;
    } else {
        plan_add(plan, layer, "ffn_gate_exps.weight", ROLE_MATRIX, s->n_embd, n_ff, s->n_expert, 1.4f);
        plan_add(plan, layer, "ffn_up_exps.weight", ROLE_MATRIX, s->n_embd, n_ff, s->n_expert, 1.4f);
    }
    plan_add(plan, layer, "ffn_down_exps.weight", ROLE_DOWN, n_ff, s->n_embd, s->n_expert, 1.4f);
    if (s->n_expert_shared) {
        n_ff *= s->n_expert_shared;
        add_matrix(plan, layer, "ffn_gate_shexp.weight", s->n_embd, n_ff, 1);
        add_matrix(plan, layer, "ffn_up_shexp.weight", s->n_embd, n_ff, 1);
        plan_add(plan, layer, "ffn_down_shexp.weight", ROLE_DOWN, n_ff, s->n_embd, 0, 1);
    }
}

static void plan_ffn(struct plan *plan, int32_t layer)
{
    const struct synth_shape *s = plan->shape;
    bool has_gate = !s->has_all_biases;
    if (has_gate)
        add_matrix(plan, layer, "ffn_gate.weight", s->n_embd, s->n_ff, 1.4f);
    add_matrix(plan, layer, "ffn_up.weight", s->n_embd, s->n_ff, 1.4f);
    plan_add(plan, layer, "ffn_down.weight", ROLE_DOWN, s->n_ff, s->n_embd, 0, 1.4f);
    if (s->has_all_biases) {
        add_vector(plan, layer, "ffn_up.bias", s->n_ff, FILL_BIAS);
        add_vector(plan, layer, "ffn_down.bias", s->n_embd, FILL_BIAS);
    }
}

static void plan_layer(struct plan *plan, int32_t layer)
{
    const struct synth_shape *s = plan->shape;
    add_norm(plan, layer, "attn_norm", s->n_embd);
    if (s->kv_lora_rank)
        plan_latent_attention(plan, layer);
    else
        plan_attention(plan, layer);
    add_norm(plan, layer, "ffn_norm", s->n_embd);
    if (s->n_expert && layer >= s->n_dense_lead)
        plan_experts(plan, layer);
    else
        plan_ffn(plan, layer);
    if (layer >= s->n_layer) {
        add_matrix(plan, layer, "nextn.eh_proj.weight", 2 * (int64_t)s->n_embd, s->n_embd, 1);
        add_vector(plan, layer, "nextn.enorm.weight", s->n_embd, FILL_NORM);
        add_vector(plan, layer, "nextn.hnorm.weight", s->n_embd, FILL_NORM);
        add_vector(plan, layer, "nextn.shared_head_norm.weight", s->n_embd, FILL_NORM);
    }
}

/* All tensors, with their places. */
static enum status plan_make(struct plan *plan, struct error *error)
{
    const struct synth_shape *s = plan->shape;
    /* Gain 2 makes logits of standard deviation 2. */
    plan_add(plan, -1, "token_embd.weight", ROLE_EMBEDDING, s->n_embd, s->n_vocab, 0, 2);
    add_norm(plan, -1, "output_norm", s->n_embd);
    if (!s->is_tied)
        plan_add(plan, -1, "output.weight", ROLE_OUTPUT, s->n_embd, s->n_vocab, 0, 2);
    if (s->has_rope_factors)
        add_vector(plan, -1, "rope_freqs.weight", (s->n_head_width ? s->n_head_width : s->n_embd / s->n_head) / 2,
                   FILL_FACTORS);
    for (int32_t i = 0; i < s->n_layer + s->n_nextn; i++)
        plan_layer(plan, i);
    if (plan->options->fault && plan->options->fault->extra_tensor)
        add_vector(plan, -1, plan->options->fault->extra_tensor, s->n_embd, FILL_BIAS);
    if (plan->failed)
        return error_set(error, STATUS_MEMORY, "out of memory");
    uint64_t offset = 0;
    for (size_t i = 0; i < plan->n; i++) {
        struct plan_tensor *tensor = &plan->tensors[i];
        const struct quant_info *info = quant_info(tensor->type);
        if (tensor->shape[0] % info->block_elements)
            return error_set(error, STATUS_ARGUMENT, "%s: rows of %llu are no whole blocks of %s", tensor->name,
                             (unsigned long long)tensor->shape[0], info->name);
        tensor->offset = offset;
        tensor->n_bytes =
            tensor->shape[0] / info->block_elements * info->block_bytes * tensor->shape[1] * tensor->shape[2];
        offset += (tensor->n_bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    }
    return STATUS_OK;
}

/* ---- keys ---- */

struct keys {
    struct gguf_writer *writer;
    const char *arch;
    const struct synth_fault *fault;
    bool is_fault_written;
};

/* The full name in out; false where the key is to be left out, or was written as the fault wants it. */
static bool begin_key(struct keys *keys, const char *name, char out[static NAME_SIZE])
{
    snprintf(out, NAME_SIZE, "%s.%s", keys->arch, name);
    const struct synth_fault *fault = keys->fault;
    if (fault && fault->skip_key && strcmp(fault->skip_key, out) == 0)
        return false;
    if (!fault || !fault->key || strcmp(fault->key, out) != 0)
        return true;
    gguf_writer_u32(keys->writer, out, fault->value);
    keys->is_fault_written = true;
    return false;
}

static void put_u32(struct keys *keys, const char *name, int32_t value)
{
    char key[NAME_SIZE];
    if (begin_key(keys, name, key))
        gguf_writer_u32(keys->writer, key, (uint32_t)value);
}

static void put_u32_if(struct keys *keys, const char *name, int32_t value)
{
    if (value)
        put_u32(keys, name, value);
}

static void put_f32_if(struct keys *keys, const char *name, float value)
{
    char key[NAME_SIZE];
    if (value != 0 && begin_key(keys, name, key))
        gguf_writer_f32(keys->writer, key, value);
}

static void put_bool_if(struct keys *keys, const char *name, bool value)
{
    char key[NAME_SIZE];
    if (value && begin_key(keys, name, key))
        gguf_writer_bool(keys->writer, key, value);
}

static void put_text(struct keys *keys, const char *name, const char *value)
{
    char key[NAME_SIZE];
    if (begin_key(keys, name, key))
        gguf_writer_text(keys->writer, key, value);
}

static void put_attention(struct keys *keys, const struct synth_shape *s)
{
    bool is_latent = s->kv_lora_rank != 0;
    put_u32(keys, "attention.head_count", s->n_head);
    put_u32(keys, "attention.head_count_kv", is_latent && s->is_new_form ? 1 : s->n_head_kv);
    put_f32_if(keys, "attention.layer_norm_rms_epsilon", s->rms_epsilon);
    put_f32_if(keys, "attention.layer_norm_epsilon", s->layer_epsilon);
    put_u32_if(keys, "attention.sliding_window", s->n_window);
    put_u32_if(keys, "attention.q_lora_rank", s->q_lora_rank);
    put_u32_if(keys, "attention.kv_lora_rank", s->kv_lora_rank);
    if (is_latent && s->is_new_form) {
        put_u32(keys, "attention.key_length", s->kv_lora_rank + s->n_rot);
        put_u32(keys, "attention.value_length", s->kv_lora_rank);
        put_u32(keys, "attention.key_length_mla", s->n_nope + s->n_rot);
        put_u32(keys, "attention.value_length_mla", s->n_value);
    } else if (is_latent) {
        put_u32(keys, "attention.key_length", s->n_nope + s->n_rot);
        put_u32(keys, "attention.value_length", s->n_value);
    } else {
        put_u32_if(keys, "attention.key_length", s->n_head_width);
        put_u32_if(keys, "attention.value_length", s->n_head_width);
    }
}

static void put_rope(struct keys *keys, const struct synth_shape *s)
{
    put_f32_if(keys, "rope.freq_base", s->rope_theta);
    if (s->kv_lora_rank)
        put_u32(keys, "rope.dimension_count", s->n_rot);
    else if (strcmp(s->arch, "llama") == 0)
        put_u32(keys, "rope.dimension_count", s->n_embd / s->n_head);
    if (s->scaling != SCALING_NONE) {
        put_text(keys, "rope.scaling.type", s->scaling == SCALING_YARN ? "yarn" : "linear");
        put_f32_if(keys, "rope.scaling.factor", s->rope_factor);
        put_u32_if(keys, "rope.scaling.original_context_length", s->n_ctx_original);
        put_f32_if(keys, "rope.scaling.yarn_log_multiplier", s->yarn_log_multiplier);
    }
}

static void put_experts(struct keys *keys, const struct synth_shape *s)
{
    put_u32_if(keys, "leading_dense_block_count", s->n_dense_lead);
    put_u32_if(keys, "expert_feed_forward_length", s->n_ff_exp);
    put_u32_if(keys, "expert_count", s->n_expert);
    put_u32_if(keys, "expert_used_count", s->n_expert_used);
    put_u32_if(keys, "expert_shared_count", s->n_expert_shared);
    put_u32_if(keys, "expert_group_count", s->n_group);
    put_u32_if(keys, "expert_group_used_count", s->n_group_used);
    put_f32_if(keys, "expert_weights_scale", s->expert_scale);
    put_bool_if(keys, "expert_weights_norm", s->is_normalised);
    put_u32_if(keys, "expert_gating_func", s->gating);
    put_u32_if(keys, "nextn_predict_layers", s->n_nextn);
}

/* ---- vocabulary: every byte, then words of letters, each one letter longer than one before it ---- */

/* The code point that stands for a byte in byte-level BPE (bytes_to_unicode of the GPT-2 release). */
static uint32_t code_point_of(int byte)
{
    if ((byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174)
        return (uint32_t)byte;
    int before = byte < 33 ? byte : byte < 161 ? 33 + byte - 127 : 33 + 34;
    return 256 + (uint32_t)before;
}

/* The n-th word of two or more letters; its length. */
static size_t make_word(uint32_t n, char out[static 16])
{
    size_t size = 2;
    uint32_t count = 26 * 26;
    for (; n >= count; count *= 26, size++)
        n -= count;
    for (size_t i = size; i-- > 0; n /= 26)
        out[i] = (char)('a' + n % 26);
    return size;
}

struct vocabulary_parts {
    struct buffer tokens, types, merges;
    uint64_t n_tokens, n_merges;
};

static void add_token(struct vocabulary_parts *parts, struct slice text, uint32_t type)
{
    gguf_append_text(&parts->tokens, text);
    gguf_append_u32(&parts->types, type);
    parts->n_tokens++;
}

static void make_vocabulary(const struct synth_shape *s, struct vocabulary_parts *parts)
{
    enum { NORMAL = 1, CONTROL = 3, UNUSED = 5 };
    for (int byte = 0; byte < 256; byte++) {
        struct buffer text = {0};
        buffer_append_code_point(&text, code_point_of(byte));
        add_token(parts, (struct slice){buffer_text(&text), text.size}, NORMAL);
        buffer_deinit(&text);
    }
    size_t n_specials = 0;
    while (s->specials[n_specials])
        n_specials++;
    uint64_t special_at = (uint64_t)(s->n_special_at ? s->n_special_at : s->n_vocab - (int32_t)n_specials);
    for (uint32_t i = 0; parts->n_tokens < special_at; i++) {
        char word[16], merge[20];
        size_t size = make_word(i, word);
        add_token(parts, (struct slice){word, size}, NORMAL);
        int n = snprintf(merge, sizeof merge, "%.*s %c", (int)size - 1, word, word[size - 1]);
        gguf_append_text(&parts->merges, (struct slice){merge, (size_t)n});
        parts->n_merges++;
    }
    for (size_t i = 0; i < n_specials; i++)
        add_token(parts, slice_from(s->specials[i]), CONTROL);
    while (parts->n_tokens < (uint64_t)s->n_vocab) {
        char text[32];
        snprintf(text, sizeof text, "[PAD%llu]", (unsigned long long)parts->n_tokens);
        add_token(parts, slice_from(text), UNUSED);
    }
}

static void put_array(struct gguf_writer *writer, const char *key, enum gguf_type type, uint64_t n,
                      const struct buffer *elements)
{
    gguf_writer_raw_key(writer, key, GGUF_ARRAY);
    gguf_append_u32(&writer->keys, type);
    gguf_append_u64(&writer->keys, n);
    buffer_append(&writer->keys, buffer_text(elements), elements->size);
    writer->keys.failed |= elements->failed;
}

static void put_vocabulary(struct gguf_writer *writer, const struct synth_shape *s)
{
    struct vocabulary_parts parts = {0};
    make_vocabulary(s, &parts);
    uint32_t n_specials = 0;
    while (s->specials[n_specials])
        n_specials++;
    uint32_t bos = (uint32_t)(s->n_special_at ? s->n_special_at : s->n_vocab - (int32_t)n_specials);
    gguf_writer_text(writer, "tokenizer.ggml.model", "gpt2");
    gguf_writer_text(writer, "tokenizer.ggml.pre", s->pre);
    put_array(writer, "tokenizer.ggml.tokens", GGUF_STRING, parts.n_tokens, &parts.tokens);
    put_array(writer, "tokenizer.ggml.token_type", GGUF_I32, parts.n_tokens, &parts.types);
    put_array(writer, "tokenizer.ggml.merges", GGUF_STRING, parts.n_merges, &parts.merges);
    gguf_writer_u32(writer, "tokenizer.ggml.bos_token_id", bos);
    gguf_writer_u32(writer, "tokenizer.ggml.eos_token_id", bos + 1);
    gguf_writer_bool(writer, "tokenizer.ggml.add_bos_token", s->kv_lora_rank != 0);
    buffer_deinit(&parts.tokens);
    buffer_deinit(&parts.types);
    buffer_deinit(&parts.merges);
}

static void put_all(struct gguf_writer *writer, const struct synth_shape *s, const struct synth_fault *fault)
{
    static const uint32_t file_types[] = {
        [MIX_F32] = 0, [MIX_F16] = 1, [MIX_Q4_1] = 3, [MIX_Q8_0] = 7, [MIX_Q4_K_M] = 15};
    gguf_writer_text(writer, "general.architecture", s->arch);
    gguf_writer_text(writer, "general.type", "model");
    gguf_writer_text(writer, "general.name", s->name);
    struct keys keys = {writer, s->arch, fault, false};
    put_u32(&keys, "block_count", s->n_layer + s->n_nextn);
    put_u32(&keys, "context_length", s->n_ctx);
    put_u32(&keys, "embedding_length", s->n_embd);
    put_u32(&keys, "feed_forward_length", s->n_ff);
    put_u32(&keys, "vocab_size", s->n_vocab);
    put_attention(&keys, s);
    put_rope(&keys, s);
    put_experts(&keys, s);
    if (fault && fault->key && !keys.is_fault_written)
        gguf_writer_u32(writer, fault->key, fault->value);
    gguf_writer_u32(writer, "general.file_type", file_types[s->mix]);
    gguf_writer_u32(writer, "general.quantization_version", 2);
    put_vocabulary(writer, s);
}

/* ---- random numbers: SplitMix64 (Steele, Lea, Flood 2014) of seed, name and place ---- */

static const uint64_t golden_gamma = 0x9e3779b97f4a7c15;

static uint64_t mix_bits(uint64_t z)
{
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

static uint64_t key_of(uint64_t seed, const char *name)
{
    uint64_t key = mix_bits(seed + golden_gamma);
    for (; *name; name++)
        key = mix_bits((key ^ (unsigned char)*name) + golden_gamma);
    return key;
}

/* Mean 0, standard deviation spread: the sum of four uniform numbers of 16 bits, which is nearly normal and the same on
 * every machine. */
static float normal_at(uint64_t key, uint64_t index, float spread)
{
    uint64_t bits = mix_bits(key + index * golden_gamma);
    int32_t sum = (int32_t)(bits & 0xffff) + (int32_t)(bits >> 16 & 0xffff) + (int32_t)(bits >> 32 & 0xffff) +
                  (int32_t)(bits >> 48);
    return (float)(sum - 2 * 0xffff) * (spread * (1 / 37837.2f));
}

/* ---- plain tensors ---- */

struct number_source {
    const struct plan_tensor *tensor;
    const struct synth_shape *shape;
    uint64_t key, key_gate, key_up;
};

static struct number_source source_of(const struct plan_tensor *tensor, const struct synth_shape *shape, uint64_t seed)
{
    struct number_source source = {tensor, shape, key_of(seed, tensor->source), 0, 0};
    if (tensor->map == MAP_GATE_UP) {
        char name[NAME_SIZE];
        int n_prefix = (int)strcspn(tensor->name + 4, ".") + 5; /* "blk.N." */
        snprintf(name, sizeof name, "%.*sffn_gate_exps.weight", n_prefix, tensor->name);
        source.key_gate = key_of(seed, name);
        snprintf(name, sizeof name, "%.*sffn_up_exps.weight", n_prefix, tensor->name);
        source.key_up = key_of(seed, name);
    }
    return source;
}

static float number_at(const struct number_source *source, uint64_t i)
{
    const struct plan_tensor *t = source->tensor;
    if (t->fill == FILL_FACTORS) /* 1 for the fast quarter, 8 for the slow half, between them between */
        return 4 * i < t->shape[0] ? 1 : 2 * i >= t->shape[0] ? 8 : 1 + 28 * ((float)i / (float)t->shape[0] - 0.25f);
    uint64_t key = source->key;
    uint64_t x = i % t->shape[0], y = i / t->shape[0] % t->shape[1], z = i / t->shape[0] / t->shape[1];
    uint64_t n_nope = (uint64_t)source->shape->n_nope, n_value = (uint64_t)source->shape->n_value;
    uint64_t half = t->shape[1] / 2;
    switch (t->map) {
    case MAP_SAME:
        break;
    case MAP_K_B: /* of head z: row x, column y */
        i = (z * (n_nope + n_value) + x) * t->shape[1] + y;
        break;
    case MAP_V_B:
        i = (z * (n_nope + n_value) + n_nope + y) * t->shape[0] + x;
        break;
    case MAP_GATE_UP:
        key = y < half ? source->key_gate : source->key_up;
        i = (z * half + y % half) * t->shape[0] + x;
        break;
    }
    return normal_at(key, i, t->spread) + (t->fill == FILL_NORM ? 1.0f : 0.0f);
}

static void fill_plain(const struct number_source *source, uint64_t first, size_t n, unsigned char *out)
{
    for (size_t i = 0; i < n; i++) {
        float number = number_at(source, first + i);
        if (source->tensor->type == QUANT_F32) {
            memcpy(out + 4 * i, &number, 4);
        } else {
            uint16_t half = half_from_float(number);
            memcpy(out + 2 * i, &half, 2);
        }
    }
}

/* ---- quantised tensors: random blocks with scales that give the spread ---- */

struct block_layout {
    enum quant_type type;
    float spread;   /* of the numbers, with scale 1 */
    float offset;   /* the minimum that makes their mean 0, in scales */
    int scale_at;   /* places of two half floats in the block */
    int offset_at;  /* -1: the type has none */
    int sub_scales; /* place of the 12 bytes with 6-bit scales and minima; -1: none */
};

static const struct block_layout layouts[] = {
    {QUANT_Q4_0, 4.63f, 0, 0, -1, -1},     {QUANT_Q4_1, 4.61f, -7.5f, 0, 2, -1},  {QUANT_Q5_0, 9.25f, 0, 0, -1, -1},
    {QUANT_Q5_1, 9.23f, -15.5f, 0, 2, -1}, {QUANT_Q8_0, 73.6f, 0, 0, -1, -1},     {QUANT_Q4_K, 168.3f, 7.5f, 0, 2, 4},
    {QUANT_Q5_K, 337.0f, 15.5f, 0, 2, 4},  {QUANT_Q6_K, 1366.0f, 0, 208, -1, -1},
};

static const struct block_layout *layout_of(enum quant_type type)
{
    for (size_t i = 0; i < sizeof layouts / sizeof *layouts; i++)
        if (layouts[i].type == type)
            return &layouts[i];
    return NULL;
}

/* Minima equal to the scales: then every group of 32 has mean 0.  Packing: get_scale_min_k4 of ggml-quants.c. */
static void balance_sub_scales(unsigned char *scales)
{
    memcpy(scales + 4, scales, 4);
    for (int i = 8; i < 12; i++)
        scales[i] = (unsigned char)((scales[i] & 15) * 17);
}

enum { N_SCALES = 64 };

struct block_scales {
    uint16_t scale[N_SCALES], offset[N_SCALES];
};

static struct block_scales scales_of(const struct block_layout *layout, float spread)
{
    struct block_scales scales;
    for (int i = 0; i < N_SCALES; i++) {
        float scale = spread / layout->spread * (0.75f + 0.5f * (float)i / (N_SCALES - 1));
        scales.scale[i] = half_from_float(scale);
        scales.offset[i] = half_from_float(scale * layout->offset);
    }
    return scales;
}

static void fill_blocks(const struct block_layout *layout, const struct block_scales *scales, uint64_t key,
                        size_t block_bytes, size_t n_blocks, unsigned char *out)
{
    size_t n_words = (n_blocks * block_bytes + 7) / 8; /* the buffer has room for a whole last word */
    for (size_t i = 0; i < n_words; i++) {
        uint64_t word = mix_bits(key + i * golden_gamma);
        memcpy(out + 8 * i, &word, 8);
    }
    for (size_t i = 0; i < n_blocks; i++, out += block_bytes) {
        int choice = out[layout->scale_at] % N_SCALES;
        memcpy(out + layout->scale_at, &scales->scale[choice], 2);
        if (layout->offset_at >= 0)
            memcpy(out + layout->offset_at, &scales->offset[choice], 2);
        if (layout->sub_scales >= 0)
            balance_sub_scales(out + layout->sub_scales);
        if (layout->type == QUANT_Q8_0) /* no quantiser writes -128 */
            for (size_t k = 2; k < block_bytes; k++)
                out[k] = out[k] == 0x80 ? 0x81 : out[k];
    }
}

/* ---- the file ---- */

static bool put_bytes(FILE *out, const void *bytes, size_t size)
{
    return fwrite(bytes, 1, size, out) == size;
}

static bool put_padding(FILE *out, uint64_t size)
{
    static const unsigned char zeros[ALIGNMENT];
    return put_bytes(out, zeros, (size_t)((ALIGNMENT - size % ALIGNMENT) % ALIGNMENT));
}

static bool put_tensor(FILE *out, const struct plan *plan, const struct plan_tensor *tensor, unsigned char *chunk)
{
    const struct quant_info *info = quant_info(tensor->type);
    const struct block_layout *layout = layout_of(tensor->type);
    const struct number_source source = source_of(tensor, plan->shape, plan->options->seed);
    struct block_scales scales = {0};
    if (layout)
        scales = scales_of(layout, tensor->spread);
    uint64_t n_blocks = tensor->n_bytes / info->block_bytes;
    for (uint64_t first = 0; first < n_blocks;) {
        size_t n = CHUNK / info->block_bytes;
        n = n_blocks - first < n ? (size_t)(n_blocks - first) : n;
        if (layout)
            fill_blocks(layout, &scales, mix_bits(source.key ^ first), info->block_bytes, n, chunk);
        else
            fill_plain(&source, first, n, chunk);
        if (!put_bytes(out, chunk, n * info->block_bytes))
            return false;
        first += n;
    }
    return put_padding(out, tensor->n_bytes);
}

static enum status put_file(FILE *out, const struct plan *plan, struct error *error)
{
    struct gguf_writer writer = {.no_data = true};
    put_all(&writer, plan->shape, plan->options->fault);
    for (size_t i = 0; i < plan->n; i++) {
        const struct plan_tensor *tensor = &plan->tensors[i];
        gguf_writer_raw_tensor(&writer, tensor->name, tensor->n_dims, tensor->shape, tensor->type, tensor->offset);
    }
    struct buffer head = {0};
    gguf_writer_finish(&writer, &head);
    gguf_writer_deinit(&writer);
    unsigned char *chunk = malloc(CHUNK + 8);
    bool has_memory = chunk && !head.failed;
    bool done = has_memory && put_bytes(out, head.data, head.size) && put_padding(out, head.size);
    for (size_t i = 0; done && i < plan->n && !plan->options->no_data; i++)
        done = put_tensor(out, plan, &plan->tensors[i], chunk);
    free(chunk);
    buffer_deinit(&head);
    if (!has_memory)
        return error_set(error, STATUS_MEMORY, "out of memory");
    if (!done || fflush(out))
        return error_set(error, STATUS_IO, "cannot write: %s", strerror(errno));
    return STATUS_OK;
}

enum status synth_write(FILE *out, const struct synth_shape *shape, const struct synth_options *options,
                        struct error *error)
{
    struct plan plan = {.shape = shape, .options = options};
    enum status status = plan_make(&plan, error);
    if (status == STATUS_OK)
        status = put_file(out, &plan, error);
    free(plan.tensors);
    return status;
}

enum status synth_save(const char *path, const struct synth_shape *shape, const struct synth_options *options,
                       struct error *error)
{
    FILE *out = fopen(path, "wb");
    if (!out)
        return error_set(error, STATUS_IO, "cannot create %s: %s", path, strerror(errno));
    enum status status = synth_write(out, shape, options, error);
    if (fclose(out) && status == STATUS_OK)
        status = error_set(error, STATUS_IO, "cannot write %s: %s", path, strerror(errno));
    return status;
}
