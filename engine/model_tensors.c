/* model_tensors: the table of a model's tensors, and binding them: by name, checked by shape and type. */
#include "engine/model_tensors.h"

#include <stdio.h>
#include <string.h>

/* Sizes that shapes are made of. */
enum dim { DIM_NONE, DIM_VOCAB, DIM_EMBD, DIM_FF, DIM_Q, DIM_K, DIM_V, DIM_HEADS_OUT, DIM_HALF_ROT };

enum need { REQUIRED, OPTIONAL };

enum { NAME_SIZE = 128 };

/* cols is the tensor's first dimension, rows its second; a vector has no rows and must be F32. */
struct tensor_row {
    const char *name; /* of a layer's tensor: behind "blk.N." */
    size_t offset;    /* of the struct weight in struct model or struct layer */
    enum dim cols, rows;
    enum need need;
};

static const struct tensor_row model_rows[] = {
    {"token_embd.weight", offsetof(struct model, token_embd), DIM_EMBD, DIM_VOCAB, REQUIRED},
    {"output_norm.weight", offsetof(struct model, output_norm), DIM_EMBD, DIM_NONE, REQUIRED},
    {"output.weight", offsetof(struct model, output), DIM_EMBD, DIM_VOCAB, OPTIONAL},
    {"rope_freqs.weight", offsetof(struct model, rope_factors), DIM_HALF_ROT, DIM_NONE, OPTIONAL},
};

static const struct tensor_row layer_rows[] = {
    {"attn_norm.weight", offsetof(struct layer, attn_norm), DIM_EMBD, DIM_NONE, REQUIRED},
    {"attn_q.weight", offsetof(struct layer, attn_q), DIM_EMBD, DIM_Q, REQUIRED},
    {"attn_k.weight", offsetof(struct layer, attn_k), DIM_EMBD, DIM_K, REQUIRED},
    {"attn_v.weight", offsetof(struct layer, attn_v), DIM_EMBD, DIM_V, REQUIRED},
    {"attn_q.bias", offsetof(struct layer, attn_q_bias), DIM_Q, DIM_NONE, OPTIONAL},
    {"attn_k.bias", offsetof(struct layer, attn_k_bias), DIM_K, DIM_NONE, OPTIONAL},
    {"attn_v.bias", offsetof(struct layer, attn_v_bias), DIM_V, DIM_NONE, OPTIONAL},
    {"attn_output.weight", offsetof(struct layer, attn_output), DIM_HEADS_OUT, DIM_EMBD, REQUIRED},
    {"ffn_norm.weight", offsetof(struct layer, ffn_norm), DIM_EMBD, DIM_NONE, REQUIRED},
    {"ffn_gate.weight", offsetof(struct layer, ffn_gate), DIM_EMBD, DIM_FF, REQUIRED},
    {"ffn_up.weight", offsetof(struct layer, ffn_up), DIM_EMBD, DIM_FF, REQUIRED},
    {"ffn_down.weight", offsetof(struct layer, ffn_down), DIM_FF, DIM_EMBD, REQUIRED},
};

static int64_t dim_size(const struct hparams *h, enum dim dim)
{
    switch (dim) {
    case DIM_VOCAB:
        return h->n_vocab;
    case DIM_EMBD:
        return h->n_embd;
    case DIM_FF:
        return h->n_ff;
    case DIM_Q:
        return (int64_t)h->n_head * h->n_embd_head_k;
    case DIM_K:
        return (int64_t)h->n_head_kv * h->n_embd_head_k;
    case DIM_V:
        return (int64_t)h->n_head_kv * h->n_embd_head_v;
    case DIM_HEADS_OUT:
        return (int64_t)h->n_head * h->n_embd_head_v;
    case DIM_HALF_ROT:
        return h->n_rot / 2;
    case DIM_NONE:
        break;
    }
    return 1;
}

static enum status bind_tensor(struct model *model, const struct tensor_row *row, const char *name,
                               struct weight *weight, struct error *error)
{
    const struct gguf_tensor *tensor = gguf_find_tensor(model->gguf, name);
    if (!tensor)
        return row->need == OPTIONAL ? STATUS_OK : error_set(error, STATUS_FORMAT, "tensor %s is missing", name);
    const struct quant_info *info = quant_info(tensor->type);
    if (!info || !info->unpack)
        return error_set(error, STATUS_UNSUPPORTED, "tensor %s has type %s, which this program cannot compute with",
                         name, info ? info->name : "of unknown number");
    bool is_vector = row->rows == DIM_NONE;
    uint64_t cols = (uint64_t)dim_size(&model->hparams, row->cols),
             rows = (uint64_t)dim_size(&model->hparams, row->rows);
    if (tensor->shape[0] != cols || tensor->shape[1] != rows || tensor->shape[2] != 1 || tensor->shape[3] != 1)
        return error_set(error, STATUS_FORMAT, "tensor %s has shape (%llu, %llu, %llu), not (%llu, %llu)", name,
                         (unsigned long long)tensor->shape[0], (unsigned long long)tensor->shape[1],
                         (unsigned long long)tensor->shape[2], (unsigned long long)cols, (unsigned long long)rows);
    if (is_vector && tensor->type != QUANT_F32)
        return error_set(error, STATUS_UNSUPPORTED, "tensor %s has type %s, not F32", name, info->name);
    /* Kernels read 4-byte numbers of a vector in place; the container aligns every tensor unless its header says less. */
    if ((uintptr_t)tensor->data % 4)
        return error_set(error, STATUS_UNSUPPORTED, "tensor %s is not aligned to 4 bytes", name);
    *weight = (struct weight){
        .name = arena_copy_text(&model->arena, name, strlen(name)),
        .type = tensor->type,
        .n_cols = (int64_t)cols,
        .n_rows = (int64_t)rows,
        .n_mats = 1,
        .row_bytes = (size_t)(cols / info->block_elements) * info->block_bytes,
        .data = tensor->data,
    };
    if (!weight->name)
        return error_set(error, STATUS_MEMORY, "out of memory");
    return STATUS_OK;
}

/* Whether the tables have a tensor of this name, written as binding writes it. */
static bool is_known(const struct model *model, const char *name)
{
    unsigned layer;
    if (sscanf(name, "blk.%8u.", &layer) != 1) {
        for (size_t k = 0; k < sizeof model_rows / sizeof *model_rows; k++)
            if (strcmp(name, model_rows[k].name) == 0)
                return true;
        return false;
    }
    for (size_t k = 0; k < sizeof layer_rows / sizeof *layer_rows; k++) {
        char known[NAME_SIZE];
        snprintf(known, sizeof known, "blk.%u.%s", layer, layer_rows[k].name);
        if (layer < (unsigned)model->hparams.n_layer && strcmp(name, known) == 0)
            return true;
    }
    return false;
}

/* A tensor that nobody reads would be a wrong answer, silently: the file means something that this program doesn't do. */
static enum status refuse_unknown_tensors(const struct model *model, struct error *error)
{
    for (size_t i = 0; i < gguf_n_tensors(model->gguf); i++) {
        struct slice name = gguf_tensor_at(model->gguf, i)->name;
        char text[NAME_SIZE];
        snprintf(text, sizeof text, "%.*s", (int)(name.size < NAME_SIZE ? name.size : NAME_SIZE), name.data);
        if (!is_known(model, text))
            return error_set(error, STATUS_UNSUPPORTED, "tensor %s is not known of architecture %s", text,
                             model->family->arch);
    }
    return STATUS_OK;
}

enum status model_bind_tensors(struct model *model, struct error *error)
{
    for (size_t k = 0; k < sizeof model_rows / sizeof *model_rows; k++) {
        struct weight *weight = (struct weight *)(void *)((char *)model + model_rows[k].offset);
        enum status status = bind_tensor(model, &model_rows[k], model_rows[k].name, weight, error);
        if (status)
            return status;
    }
    model->layers = arena_alloc(&model->arena, (size_t)model->hparams.n_layer * sizeof *model->layers);
    if (!model->layers)
        return error_set(error, STATUS_MEMORY, "out of memory");
    for (int32_t i = 0; i < model->hparams.n_layer; i++) {
        for (size_t k = 0; k < sizeof layer_rows / sizeof *layer_rows; k++) {
            char name[NAME_SIZE];
            snprintf(name, sizeof name, "blk.%d.%s", i, layer_rows[k].name);
            struct weight *weight = (struct weight *)(void *)((char *)&model->layers[i] + layer_rows[k].offset);
            enum status status = bind_tensor(model, &layer_rows[k], name, weight, error);
            if (status)
                return status;
        }
    }
    return refuse_unknown_tensors(model, error);
}

static size_t weight_bytes(const struct weight *weight)
{
    return weight->row_bytes * (size_t)weight->n_rows * (size_t)weight->n_mats;
}

uint64_t model_weight_bytes_per_token(const struct model *model)
{
    uint64_t bytes = model->token_embd.row_bytes + weight_bytes(&model->output_norm) +
                     weight_bytes(model->output.data ? &model->output : &model->token_embd);
    for (int32_t i = 0; i < model->hparams.n_layer; i++)
        for (size_t k = 0; k < sizeof layer_rows / sizeof *layer_rows; k++) {
            const struct weight *weight =
                (const struct weight *)(const void *)((const char *)&model->layers[i] + layer_rows[k].offset);
            if (weight->data)
                bytes += weight_bytes(weight);
        }
    return bytes;
}
