/* model_hparams: see model_hparams.h.  Keys are "ARCH.name"; https://github.com/ggml-org/ggml/blob/master/docs/gguf.md */
#include "engine/model_hparams.h"

#include <math.h>
#include <stdio.h>

enum { MAX_HEADS = 4096, MAX_LAYERS = 4096, MAX_EXPERTS = 4096, KEY_SIZE = 128 };

static void key_name(const struct model *model, const char *name, char key[KEY_SIZE])
{
    snprintf(key, KEY_SIZE, "%s.%s", model->family->arch, name);
}

static bool has_key(const struct model *model, const char *name)
{
    char key[KEY_SIZE];
    key_name(model, name, key);
    return gguf_find_key(model->gguf, key) != NULL;
}

static enum status read_i32(const struct model *model, const char *name, int32_t low, int32_t high, int32_t *out,
                            struct error *error)
{
    char key[KEY_SIZE];
    key_name(model, name, key);
    enum status status = gguf_read_i32(model->gguf, key, out, error);
    if (status == STATUS_OK && (*out < low || *out > high))
        return error_set(error, STATUS_FORMAT, "key %s is %d, not within %d to %d", key, *out, low, high);
    return status;
}

/* The same where a missing key means fallback. */
static enum status read_i32_or(const struct model *model, const char *name, int32_t low, int32_t high, int32_t fallback,
                               int32_t *out, struct error *error)
{
    *out = fallback;
    return has_key(model, name) ? read_i32(model, name, low, high, out, error) : STATUS_OK;
}

/* Zero stands for a missing key in some files. */
static enum status read_f32_or(const struct model *model, const char *name, float fallback, float *out,
                               struct error *error)
{
    char key[KEY_SIZE];
    key_name(model, name, key);
    *out = fallback;
    if (!has_key(model, name))
        return STATUS_OK;
    enum status status = gguf_read_f32(model->gguf, key, out, error);
    if (status == STATUS_OK && (!isfinite(*out) || *out < 0))
        return error_set(error, STATUS_FORMAT, "key %s is not a positive number", key);
    if (*out == 0)
        *out = fallback;
    return status;
}

static enum status read_sizes(struct model *model, struct error *error)
{
    struct hparams *h = &model->hparams;
    enum status status;
    if ((status = read_i32(model, "block_count", 1, MAX_LAYERS, &h->n_layer, error)) ||
        (status = read_i32(model, "embedding_length", 1, MODEL_MAX_WIDTH, &h->n_embd, error)) ||
        (status = read_i32(model, "feed_forward_length", 1, MODEL_MAX_WIDTH, &h->n_ff, error)) ||
        (status = read_i32(model, "context_length", 1, INT32_MAX, &h->n_ctx_train, error)))
        return status;
    /* The last of a file's blocks may be heads that predict further tokens: they are not layers. */
    if ((status = read_i32_or(model, "nextn_predict_layers", 0, h->n_layer - 1, 0, &h->n_layer_predict, error)))
        return status;
    h->n_layer -= h->n_layer_predict;
    const char *epsilon =
        model->family->norm == NORM_LAYER ? "attention.layer_norm_epsilon" : "attention.layer_norm_rms_epsilon";
    if ((status = read_f32_or(model, epsilon, 0, &h->norm_epsilon, error)))
        return status;
    if (h->norm_epsilon == 0)
        return error_set(error, STATUS_FORMAT, "key %s.%s is missing", model->family->arch, epsilon);
    const struct gguf_tensor *table = gguf_find_tensor(model->gguf, "token_embd.weight");
    if (!table)
        return error_set(error, STATUS_FORMAT, "tensor token_embd.weight is missing");
    if (table->shape[1] < 1 || table->shape[1] > (1 << 24))
        return error_set(error, STATUS_FORMAT, "tensor token_embd.weight has %llu rows",
                         (unsigned long long)table->shape[1]);
    h->n_vocab = (int32_t)table->shape[1];
    return STATUS_OK;
}

static enum status check_head_widths(const struct model *model, struct error *error)
{
    const struct hparams *h = &model->hparams;
    if (h->n_embd_head_k < 1 || h->n_embd_head_v < 1 || h->n_embd_head_k > MODEL_MAX_HEAD_WIDTH ||
        h->n_embd_head_v > MODEL_MAX_HEAD_WIDTH || (int64_t)h->n_head * h->n_embd_head_k > MODEL_MAX_WIDTH ||
        (int64_t)h->n_head * h->n_embd_head_v > MODEL_MAX_WIDTH)
        return error_set(error, STATUS_FORMAT, "key %s.attention.head_count is %d, with heads of %d and %d numbers",
                         model->family->arch, h->n_head, h->n_embd_head_k, h->n_embd_head_v);
    return STATUS_OK;
}

static enum status read_plain_attention(struct model *model, struct error *error)
{
    struct hparams *h = &model->hparams;
    enum status status;
    if ((status = read_i32_or(model, "attention.head_count_kv", 1, MAX_HEADS, h->n_head, &h->n_head_kv, error)))
        return status;
    if (h->n_head % h->n_head_kv)
        return error_set(error, STATUS_FORMAT, "key %s.attention.head_count_kv is %d, no divisor of %d heads",
                         model->family->arch, h->n_head_kv, h->n_head);
    int32_t width = h->n_embd / h->n_head;
    if ((status =
             read_i32_or(model, "attention.key_length", 1, MODEL_MAX_HEAD_WIDTH, width, &h->n_embd_head_k, error)) ||
        (status =
             read_i32_or(model, "attention.value_length", 1, MODEL_MAX_HEAD_WIDTH, width, &h->n_embd_head_v, error)) ||
        (status = check_head_widths(model, error)) ||
        (status = read_i32_or(model, "attention.sliding_window", 0, INT32_MAX, 0, &h->sliding_window, error)))
        return status;
    h->cache_k = h->n_head_kv * h->n_embd_head_k;
    h->cache_v = h->n_head_kv * h->n_embd_head_v;
    return read_i32_or(model, "rope.dimension_count", 2, h->n_embd_head_k, h->n_embd_head_k, &h->rope.n_rot, error);
}

/* Files of the new generation give the widths of the cache in key_length, and those of a head in key_length_mla. */
static enum status read_latent_attention(struct model *model, struct error *error)
{
    struct hparams *h = &model->hparams;
    bool is_new = has_key(model, "attention.key_length_mla") && has_key(model, "attention.value_length_mla");
    const char *key_length = is_new ? "attention.key_length_mla" : "attention.key_length";
    const char *value_length = is_new ? "attention.value_length_mla" : "attention.value_length";
    enum status status;
    if ((status = read_i32(model, key_length, 2, MODEL_MAX_HEAD_WIDTH, &h->n_embd_head_k, error)) ||
        (status = read_i32(model, value_length, 1, MODEL_MAX_HEAD_WIDTH, &h->n_embd_head_v, error)) ||
        (status = check_head_widths(model, error)) ||
        (status = read_i32(model, "attention.kv_lora_rank", 1, MODEL_MAX_HEAD_WIDTH, &h->kv_lora_rank, error)) ||
        (status = read_i32_or(model, "attention.q_lora_rank", 0, MODEL_MAX_WIDTH, 0, &h->q_lora_rank, error)) ||
        (status = read_i32(model, "rope.dimension_count", 2, h->n_embd_head_k - 1, &h->rope.n_rot, error)))
        return status;
    if (h->kv_lora_rank + h->rope.n_rot > MODEL_MAX_HEAD_WIDTH ||
        (int64_t)h->n_head * (h->kv_lora_rank + h->rope.n_rot) > MODEL_MAX_WIDTH)
        return error_set(error, STATUS_FORMAT, "key %s.attention.kv_lora_rank is %d, with %d rotated numbers",
                         model->family->arch, h->kv_lora_rank, h->rope.n_rot);
    h->n_head_kv = 1;
    h->cache_k = h->kv_lora_rank + h->rope.n_rot;
    return STATUS_OK;
}

/* YaRN's borders in pairs: where a pair turns beta times within the original context (Peng et al. 2023, appendix A.2). */
static float yarn_border(const struct rope_hparams *rope, int32_t n_original, float turns)
{
    double pair = rope->n_rot * log((double)n_original / ((double)turns * 2 * 3.14159265358979323846));
    return (float)(pair / (2 * log((double)rope->theta)));
}

/* Sets the borders and the magnitudes.  DeepSeek's models scale the scores instead of cosine and sine, by the square of
 * 1 + multiplier · ln(factor), where the file holds a tenth of the paper's mscale_all_dim as the multiplier. */
static enum status read_yarn(struct model *model, float factor, struct error *error)
{
    struct hparams *h = &model->hparams;
    int32_t n_original;
    float fast, slow, attention_factor, multiplier;
    enum status status;
    if ((status = read_i32_or(model, "rope.scaling.original_context_length", 1, INT32_MAX, h->n_ctx_train, &n_original,
                              error)) ||
        (status = read_f32_or(model, "rope.scaling.yarn_beta_fast", 32, &fast, error)) ||
        (status = read_f32_or(model, "rope.scaling.yarn_beta_slow", 1, &slow, error)) ||
        (status = read_f32_or(model, "rope.scaling.attn_factor", 1, &attention_factor, error)) ||
        (status = read_f32_or(model, "rope.scaling.yarn_log_multiplier", 0, &multiplier, error)))
        return status;
    float low = floorf(yarn_border(&h->rope, n_original, fast)), high = ceilf(yarn_border(&h->rope, n_original, slow));
    float last = (float)(h->rope.n_rot - 1);
    h->rope.yarn_low = fmaxf(low, 0);
    h->rope.yarn_high = fmaxf(fminf(high, last), 0);
    float growth = factor > 1 ? logf(factor) : 0;
    if (model->family->latent && multiplier > 0) {
        float magnitude = 1 + multiplier * growth;
        h->attention_scale *= magnitude * magnitude;
    } else {
        h->rope.magnitude = attention_factor * (1 + 0.1f * growth);
    }
    return STATUS_OK;
}

static enum status read_rope(struct model *model, struct error *error)
{
    struct hparams *h = &model->hparams;
    enum status status;
    float factor;
    h->rope.magnitude = 1;
    h->rope.yarn_high = -1;
    if ((status = read_f32_or(model, "rope.freq_base", 10000.0f, &h->rope.theta, error)) ||
        (status = read_f32_or(model, "rope.scale_linear", 1.0f, &factor, error)) ||
        (status = read_f32_or(model, "rope.scaling.factor", factor, &factor, error)))
        return status;
    if (h->rope.n_rot % 2)
        return error_set(error, STATUS_FORMAT, "key %s.rope.dimension_count is %d, not even", model->family->arch,
                         h->rope.n_rot);
    char key[KEY_SIZE];
    key_name(model, "rope.scaling.type", key);
    struct slice type = slice_from("linear");
    if (gguf_find_key(model->gguf, key) && (status = gguf_read_text(model->gguf, key, &type, error)))
        return status;
    if (slice_equals(type, "none"))
        factor = 1.0f;
    else if (slice_equals(type, "yarn"))
        status = read_yarn(model, factor, error);
    else if (!slice_equals(type, "linear"))
        return error_set(error, STATUS_UNSUPPORTED, "key %s is %.*s: only none, linear and yarn are supported", key,
                         (int)(type.size < 40 ? type.size : 40), type.data);
    h->rope.scale = 1.0f / factor;
    return status;
}

static enum status read_groups(struct model *model, struct error *error)
{
    struct expert_hparams *x = &model->hparams.experts;
    enum status status;
    if ((status = read_i32_or(model, "expert_group_count", 0, x->n_expert, 0, &x->n_group, error)) ||
        (status = read_i32_or(model, "expert_group_used_count", 0, x->n_group, x->n_group, &x->n_group_used, error)))
        return status;
    if (x->n_group <= 1)
        return STATUS_OK;
    if (x->n_expert % x->n_group)
        return error_set(error, STATUS_FORMAT, "key %s.expert_group_count is %d, no divisor of %d experts",
                         model->family->arch, x->n_group, x->n_expert);
    if (x->n_group_used < 1 || x->n_expert / x->n_group * x->n_group_used < x->n_used)
        return error_set(error, STATUS_FORMAT, "key %s.expert_group_used_count is %d: too few for %d experts",
                         model->family->arch, x->n_group_used, x->n_used);
    return STATUS_OK;
}

static enum status read_experts(struct model *model, struct error *error)
{
    struct expert_hparams *x = &model->hparams.experts;
    enum status status;
    int32_t gating;
    if ((status = read_i32_or(model, "expert_count", 0, MAX_EXPERTS, 0, &x->n_expert, error)) || x->n_expert == 0)
        return status;
    if (!model->family->has_experts)
        return error_set(error, STATUS_UNSUPPORTED, "key %s.expert_count is %d: this architecture has no experts",
                         model->family->arch, x->n_expert);
    if ((status = read_i32(model, "expert_used_count", 1, x->n_expert, &x->n_used, error)) ||
        (status = read_i32_or(model, "expert_feed_forward_length", 1, MODEL_MAX_WIDTH, model->hparams.n_ff, &x->n_ff,
                              error)) ||
        (status = read_i32_or(model, "expert_shared_count", 0, 64, 0, &x->n_shared, error)) ||
        (status = read_i32_or(model, "leading_dense_block_count", 0, model->hparams.n_layer, 0, &x->n_dense_layers,
                              error)) ||
        (status = read_i32_or(model, "expert_gating_func", 0, 255, GATING_SOFTMAX, &gating, error)) ||
        (status = read_f32_or(model, "expert_weights_scale", 1, &x->weights_scale, error)))
        return status;
    if ((int64_t)x->n_ff * (x->n_shared ? x->n_shared : 1) > MODEL_MAX_WIDTH)
        return error_set(error, STATUS_FORMAT, "key %s.expert_shared_count is %d for a width of %d",
                         model->family->arch, x->n_shared, x->n_ff);
    if ((int64_t)x->n_used * x->n_ff > MODEL_MAX_WIDTH || (int64_t)x->n_used * model->hparams.n_embd > MODEL_MAX_WIDTH)
        return error_set(error, STATUS_FORMAT, "key %s.expert_used_count is %d for widths of %d and %d",
                         model->family->arch, x->n_used, x->n_ff, model->hparams.n_embd);
    if (gating == 0)
        gating = GATING_SOFTMAX;
    if (gating != GATING_SOFTMAX && gating != GATING_SIGMOID)
        return error_set(error, STATUS_UNSUPPORTED, "key %s.expert_gating_func is %d: only 1 and 2 are supported",
                         model->family->arch, gating);
    x->gating = (enum expert_gating)gating;
    x->normalises = model->family->experts_normalise;
    char key[KEY_SIZE];
    key_name(model, "expert_weights_norm", key);
    if (!x->normalises && gguf_find_key(model->gguf, key) &&
        (status = gguf_read_bool(model->gguf, key, &x->normalises, error)))
        return status;
    return read_groups(model, error);
}

enum status model_read_hparams(struct model *model, struct error *error)
{
    struct hparams *h = &model->hparams;
    enum status status;
    if ((status = read_sizes(model, error)) ||
        (status = read_i32(model, "attention.head_count", 1, MAX_HEADS, &h->n_head, error)) ||
        (status = model->family->latent ? read_latent_attention(model, error) : read_plain_attention(model, error)))
        return status;
    h->attention_scale = 1.0f / sqrtf((float)h->n_embd_head_k);
    if ((status = read_rope(model, error)))
        return status;
    return read_experts(model, error);
}
