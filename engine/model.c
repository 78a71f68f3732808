/* model: see model.h.  The table of families, and putting a model together. */
#include "engine/model.h"
#include "engine/model_hparams.h"
#include "engine/model_tensors.h"

#include <stdlib.h>
#include <string.h>

static const struct family families[] = {
    {.arch = "llama", .rope = ROPE_NORM, .has_experts = true, .experts_normalise = true},
    {.arch = "qwen2", .rope = ROPE_NEOX},
    {.arch = "qwen3", .rope = ROPE_NEOX, .has_qk_norm = true},
    {.arch = "qwen3moe", .rope = ROPE_NEOX, .has_qk_norm = true, .has_experts = true, .experts_normalise = true},
    {.arch = "deepseek2", .rope = ROPE_NORM, .latent = true, .has_experts = true},
    {.arch = "starcoder2", .rope = ROPE_NEOX, .ffn = FFN_GELU, .norm = NORM_LAYER},
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

/* ---- weights that a file has in another form ---- */

static struct weight rows_of(const struct weight *whole, int64_t first_row, int64_t n_rows, int64_t n_mats)
{
    struct weight view = *whole;
    view.data += (size_t)first_row * whole->row_bytes;
    view.n_rows = n_rows;
    view.n_mats = n_mats;
    return view;
}

static enum status split_experts(struct layer *layer, int32_t index, struct error *error)
{
    if (layer->experts_gate_up.data && (layer->experts_gate.data || layer->experts_up.data))
        return error_set(error, STATUS_FORMAT, "tensor blk.%d.ffn_gate_up_exps.weight stands beside its halves", index);
    if (layer->experts_gate_up.data) {
        int64_t half = layer->experts_gate_up.n_rows / 2, n = layer->experts_gate_up.n_mats;
        layer->experts_gate = rows_of(&layer->experts_gate_up, 0, half, n);
        layer->experts_up = rows_of(&layer->experts_gate_up, half, half, n);
    }
    if (!layer->experts_gate.data || !layer->experts_up.data)
        return error_set(error, STATUS_FORMAT, "tensor blk.%d.ffn_%s_exps.weight is missing", index,
                         layer->experts_gate.data ? "up" : "gate");
    return STATUS_OK;
}

/* Kept in F32 where the file is, else in F16, whose rounding is far below that of the type it was. */
static enum quant_type type_of_transposed(const struct layer *layer)
{
    return layer->attn_kv_b.type == QUANT_F32 ? QUANT_F32 : QUANT_F16;
}

static bool has_latent_by_head(const struct layer *layer)
{
    return layer->attn_k_b.data && layer->attn_v_b.data;
}

uint64_t model_transposed_bytes(const struct model *model, const struct layer *layer)
{
    const struct hparams *h = &model->hparams;
    if (!layer->attn_kv_b.data || has_latent_by_head(layer))
        return 0;
    uint64_t width = type_of_transposed(layer) == QUANT_F32 ? 4 : 2;
    return (uint64_t)h->n_head * (uint64_t)h->kv_lora_rank * (uint64_t)(h->n_embd_head_k - h->rope.n_rot) * width;
}

/* k_b[head][rank][i] = kv_b[head · (nope + v) + i][rank]: dequantised and transposed. */
static enum status transpose_keys(struct model *model, struct layer *layer, struct error *error)
{
    const struct hparams *h = &model->hparams;
    const struct weight *whole = &layer->attn_kv_b;
    size_t nope = (size_t)(h->n_embd_head_k - h->rope.n_rot), rank = (size_t)h->kv_lora_rank;
    enum quant_type type = type_of_transposed(layer);
    size_t width = type == QUANT_F32 ? 4 : 2;
    unsigned char *data = arena_alloc(&model->arena, model_transposed_bytes(model, layer));
    float *row = malloc(rank * sizeof *row);
    if (!data || !row) {
        free(row);
        return error_set(error, STATUS_MEMORY, "out of memory");
    }
    for (size_t head = 0; head < (size_t)h->n_head; head++)
        for (size_t i = 0; i < nope; i++) {
            size_t from = head * (nope + (size_t)h->n_embd_head_v) + i;
            quant_info(whole->type)->unpack(whole->data + from * whole->row_bytes, row, rank);
            for (size_t r = 0; r < rank; r++) {
                size_t to = (head * rank + r) * nope + i;
                uint16_t half = half_from_float(row[r]);
                if (type == QUANT_F32)
                    memcpy(data + to * 4, &row[r], 4);
                else
                    memcpy(data + to * 2, &half, 2);
            }
        }
    free(row);
    layer->attn_k_b = (struct weight){.name = whole->name,
                                      .type = type,
                                      .n_cols = (int64_t)nope,
                                      .n_rows = (int64_t)rank,
                                      .n_mats = h->n_head,
                                      .row_bytes = nope * width,
                                      .mat_bytes = rank * nope * width,
                                      .data = data};
    return STATUS_OK;
}

/* Absorbed or expanded, attention needs both halves of kv_b by head, the keys' as the queries meet it. */
static enum status split_latent(struct model *model, struct layer *layer, int32_t index, struct error *error)
{
    const struct hparams *h = &model->hparams;
    if (has_latent_by_head(layer))
        return STATUS_OK;
    if (!layer->attn_kv_b.data)
        return error_set(error, STATUS_FORMAT, "tensor blk.%d.attn_kv_b.weight is missing", index);
    int64_t nope = h->n_embd_head_k - h->rope.n_rot;
    layer->attn_v_b = rows_of(&layer->attn_kv_b, nope, h->n_embd_head_v, h->n_head);
    layer->attn_v_b.mat_bytes = (size_t)(nope + h->n_embd_head_v) * layer->attn_kv_b.row_bytes;
    return transpose_keys(model, layer, error);
}

static enum status make_weights(struct model *model, enum model_use use, struct error *error)
{
    enum status status = STATUS_OK;
    if (!model->output.data)
        model->output = model->token_embd;
    for (int32_t i = 0; !status && i < model->hparams.n_layer; i++) {
        if (model->layers[i].router.data)
            status = split_experts(&model->layers[i], i, error);
        if (!status && model->family->latent && use == MODEL_TO_RUN)
            status = split_latent(model, &model->layers[i], i, error);
    }
    return status;
}

/* ---- the model ---- */

static enum status model_load(struct model *model, enum model_use use, struct error *error)
{
    struct slice arch;
    enum status status = gguf_read_text(model->gguf, "general.architecture", &arch, error);
    if (status)
        return status;
    model->family = family_find(arch);
    if (!model->family)
        return error_set(error, STATUS_UNSUPPORTED, "architecture %.*s is not supported",
                         (int)(arch.size < 64 ? arch.size : 64), arch.data);
    if ((status = model_read_hparams(model, error)) || (status = model_bind_tensors(model, error)))
        return status;
    model_count(model);
    return make_weights(model, use, error);
}

enum status model_open(struct gguf *gguf, enum model_use use, struct model **out, struct error *error)
{
    struct model *model = calloc(1, sizeof *model);
    if (!model) {
        gguf_close(gguf);
        return error_set(error, STATUS_MEMORY, "out of memory");
    }
    model->gguf = gguf;
    enum status status = model_load(model, use, error);
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
