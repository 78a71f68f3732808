/* model: see model.h.  Reads the hyper-parameters and puts a model together. */
#include "engine/model.h"
#include "engine/model_tensors.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static const struct family families[] = {
    {.arch = "llama", .rope = ROPE_NORM, .ffn = FFN_SILU_GATED},
};

const char *model_known_arch(size_t i)
{
    return i < sizeof families / sizeof *families ? families[i].arch : NULL;
}

static const struct family *family_find(struct slice arch)
{
    for (size_t i = 0; i < sizeof families / sizeof *families; i++)
        if (slice_equals(arch, families[i].arch))
            return &families[i];
    return NULL;
}

/* ---- keys: all of "ARCH.name" ---- */

static enum status read_i32(const struct model *model, const char *name, int32_t low, int32_t high, int32_t *out,
                            struct error *error)
{
    char key[128];
    snprintf(key, sizeof key, "%s.%s", model->family->arch, name);
    enum status status = gguf_read_i32(model->gguf, key, out, error);
    if (status == STATUS_OK && (*out < low || *out > high))
        return error_set(error, STATUS_FORMAT, "key %s is %d, not within %d to %d", key, *out, low, high);
    return status;
}

/* The same where a missing key means fallback. */
static enum status read_i32_or(const struct model *model, const char *name, int32_t low, int32_t high, int32_t fallback,
                               int32_t *out, struct error *error)
{
    enum status status = read_i32(model, name, low, high, out, error);
    if (status == STATUS_NOT_FOUND) {
        *out = fallback;
        status = STATUS_OK;
    }
    return status;
}

static enum status read_f32_or(const struct model *model, const char *name, float fallback, float *out,
                               struct error *error)
{
    char key[128];
    snprintf(key, sizeof key, "%s.%s", model->family->arch, name);
    *out = fallback;
    enum status status = gguf_read_f32(model->gguf, key, out, error);
    if (status == STATUS_NOT_FOUND)
        return STATUS_OK;
    if (status == STATUS_OK && (!isfinite(*out) || *out <= 0))
        return error_set(error, STATUS_FORMAT, "key %s is not a positive number", key);
    return status;
}

/* ---- groups of hyper-parameters ---- */

enum { MAX_HEADS = 4096, MAX_HEAD_WIDTH = 4096, MAX_LAYERS = 4096 };

static enum status read_sizes(struct model *model, struct error *error)
{
    struct hparams *h = &model->hparams;
    enum status status;
    if ((status = read_i32(model, "block_count", 1, MAX_LAYERS, &h->n_layer, error)) ||
        (status = read_i32(model, "embedding_length", 1, MODEL_MAX_WIDTH, &h->n_embd, error)) ||
        (status = read_i32(model, "feed_forward_length", 1, MODEL_MAX_WIDTH, &h->n_ff, error)) ||
        (status = read_i32(model, "context_length", 1, INT32_MAX, &h->n_ctx_train, error)))
        return status;
    int32_t n_expert = 0;
    if ((status = read_i32_or(model, "expert_count", 0, 65536, 0, &n_expert, error)))
        return status;
    if (n_expert > 0)
        return error_set(error, STATUS_UNSUPPORTED, "architecture %s with %d experts is not supported",
                         model->family->arch, n_expert);
    const struct gguf_tensor *table = gguf_find_tensor(model->gguf, "token_embd.weight");
    if (!table)
        return error_set(error, STATUS_FORMAT, "tensor token_embd.weight is missing");
    if (table->shape[1] < 1 || table->shape[1] > (1 << 24))
        return error_set(error, STATUS_FORMAT, "tensor token_embd.weight has %llu rows",
                         (unsigned long long)table->shape[1]);
    h->n_vocab = (int32_t)table->shape[1];
    return STATUS_OK;
}

static enum status read_attention(struct model *model, struct error *error)
{
    struct hparams *h = &model->hparams;
    enum status status;
    if ((status = read_i32(model, "attention.head_count", 1, MAX_HEADS, &h->n_head, error)) ||
        (status = read_i32_or(model, "attention.head_count_kv", 1, MAX_HEADS, h->n_head, &h->n_head_kv, error)) ||
        (status = read_f32_or(model, "attention.layer_norm_rms_epsilon", 0, &h->norm_epsilon, error)))
        return status;
    if (h->norm_epsilon == 0)
        return error_set(error, STATUS_FORMAT, "key %s.attention.layer_norm_rms_epsilon is missing",
                         model->family->arch);
    if (h->n_head % h->n_head_kv)
        return error_set(error, STATUS_FORMAT, "key %s.attention.head_count_kv is %d, no divisor of %d heads",
                         model->family->arch, h->n_head_kv, h->n_head);
    int32_t width = h->n_embd / h->n_head;
    if ((status = read_i32_or(model, "attention.key_length", 1, MAX_HEAD_WIDTH, width, &h->n_embd_head_k, error)) ||
        (status = read_i32_or(model, "attention.value_length", 1, MAX_HEAD_WIDTH, width, &h->n_embd_head_v, error)))
        return status;
    if (h->n_embd_head_k < 1 || h->n_embd_head_v < 1)
        return error_set(error, STATUS_FORMAT, "key %s.attention.head_count is %d for a width of %d",
                         model->family->arch, h->n_head, h->n_embd);
    if ((int64_t)h->n_head * h->n_embd_head_k > MODEL_MAX_WIDTH ||
        (int64_t)h->n_head * h->n_embd_head_v > MODEL_MAX_WIDTH)
        return error_set(error, STATUS_FORMAT, "key %s.attention.head_count is %d: too many for their width",
                         model->family->arch, h->n_head);
    h->attention_scale = 1.0f / sqrtf((float)h->n_embd_head_k);
    return STATUS_OK;
}

static enum status read_rope(struct model *model, struct error *error)
{
    struct hparams *h = &model->hparams;
    enum status status;
    float factor;
    if ((status =
             read_i32_or(model, "rope.dimension_count", 2, h->n_embd_head_k, h->n_embd_head_k, &h->n_rot, error)) ||
        (status = read_f32_or(model, "rope.freq_base", 10000.0f, &h->rope_theta, error)) ||
        (status = read_f32_or(model, "rope.scale_linear", 1.0f, &factor, error)) ||
        (status = read_f32_or(model, "rope.scaling.factor", factor, &factor, error)))
        return status;
    if (h->n_rot % 2)
        return error_set(error, STATUS_FORMAT, "key %s.rope.dimension_count is %d, not even", model->family->arch,
                         h->n_rot);
    char key[128];
    snprintf(key, sizeof key, "%s.rope.scaling.type", model->family->arch);
    struct slice type = slice_from("linear");
    status = gguf_read_text(model->gguf, key, &type, error);
    if (status && status != STATUS_NOT_FOUND)
        return status;
    if (slice_equals(type, "none"))
        factor = 1.0f;
    else if (!slice_equals(type, "linear"))
        return error_set(error, STATUS_UNSUPPORTED, "key %s is %.*s: only none and linear are supported", key,
                         (int)(type.size < 40 ? type.size : 40), type.data);
    h->rope_scale = 1.0f / factor;
    return STATUS_OK;
}

/* ---- the model ---- */

static enum status model_load(struct model *model, struct error *error)
{
    struct slice arch;
    enum status status = gguf_read_text(model->gguf, "general.architecture", &arch, error);
    if (status)
        return status;
    model->family = family_find(arch);
    if (!model->family)
        return error_set(error, STATUS_UNSUPPORTED, "architecture %.*s is not supported",
                         (int)(arch.size < 64 ? arch.size : 64), arch.data);
    if ((status = read_sizes(model, error)) || (status = read_attention(model, error)) ||
        (status = read_rope(model, error)) || (status = model_bind_tensors(model, error)))
        return status;
    model->bytes_per_token = model_weight_bytes_per_token(model);
    if (!model->output.data)
        model->output = model->token_embd;
    for (size_t i = 0; i < gguf_n_tensors(model->gguf); i++)
        model->n_params += gguf_tensor_at(model->gguf, i)->n_elements;
    model->n_active = model->n_params;
    return STATUS_OK;
}

enum status model_open(struct gguf *gguf, struct model **out, struct error *error)
{
    struct model *model = calloc(1, sizeof *model);
    if (!model) {
        gguf_close(gguf);
        return error_set(error, STATUS_MEMORY, "out of memory");
    }
    model->gguf = gguf;
    enum status status = model_load(model, error);
    if (status) {
        model_close(model);
        return status;
    }
    *out = model;
    return STATUS_OK;
}

void model_close(struct model *model)
{
    if (!model)
        return;
    gguf_close(model->gguf);
    arena_deinit(&model->arena);
    free(model);
}

uint64_t model_kv_elements_per_token(const struct model *model)
{
    const struct hparams *h = &model->hparams;
    return (uint64_t)h->n_layer * (uint64_t)h->n_head_kv * (uint64_t)(h->n_embd_head_k + h->n_embd_head_v);
}
