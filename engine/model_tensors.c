/* model_tensors: the table of a model's tensors, and binding them: by name, checked by shape and type. */
#include "engine/model_tensors.h"

#include <stdio.h>
#include <string.h>

/* Sizes that shapes are made of. */
enum dim {
    DIM_ONE,
    DIM_VOCAB,
    DIM_EMBD,
    DIM_FF,
    DIM_Q,
    DIM_K,
    DIM_V,
    DIM_HEADS_OUT,
    DIM_HALF_ROT,
    DIM_HEAD_K,
    DIM_Q_LORA,
    DIM_KV_LORA,
    DIM_KV_A,
    DIM_KV_B,
    DIM_NOPE,
    DIM_HEAD_V,
    DIM_HEADS,
    DIM_EXPERTS,
    DIM_FF_EXPERT,
    DIM_FF_EXPERT_TWICE,
    DIM_FF_SHARED,
};

/* What a layer is made of.  A row of the table counts where all of its parts are there. */
enum part {
    PART_PLAIN_HEADS = 1, /* attention with keys and values of their own */
    PART_LATENT = 2,
    PART_Q_DIRECT = 4, /* one matrix makes the queries */
    PART_Q_LORA = 8,   /* two do */
    PART_QK_NORM = 16,
    PART_DENSE = 32,
    PART_GATE = 64,
    PART_EXPERTS = 128,
    PART_SHARED = 256,
    PART_LAYER_NORM = 512,
};

enum need { REQUIRED, OPTIONAL };

enum { NAME_SIZE = 128 };

/* cols is the tensor's first dimension, rows its second, mats its third; a vector has one row and must be F32. */
struct tensor_row {
    const char *name; /* of a layer's tensor: behind "blk.N." */
    size_t offset;    /* of the struct weight in struct model or struct layer */
    enum dim cols, rows, mats;
    enum need need;
    unsigned parts;
};

#define MODEL(member) offsetof(struct model, member)
#define LAYER(member) offsetof(struct layer, member)

static const struct tensor_row model_rows[] = {
    {"token_embd.weight", MODEL(token_embd), DIM_EMBD, DIM_VOCAB, DIM_ONE, REQUIRED, 0},
    {"output_norm.weight", MODEL(output_norm), DIM_EMBD, DIM_ONE, DIM_ONE, REQUIRED, 0},
    {"output_norm.bias", MODEL(output_norm_bias), DIM_EMBD, DIM_ONE, DIM_ONE, REQUIRED, PART_LAYER_NORM},
    {"output.weight", MODEL(output), DIM_EMBD, DIM_VOCAB, DIM_ONE, OPTIONAL, 0},
    {"rope_freqs.weight", MODEL(rope_factors), DIM_HALF_ROT, DIM_ONE, DIM_ONE, OPTIONAL, 0},
};

static const struct tensor_row layer_rows[] = {
    {"attn_norm.weight", LAYER(attn_norm), DIM_EMBD, DIM_ONE, DIM_ONE, REQUIRED, 0},
    {"attn_norm.bias", LAYER(attn_norm_bias), DIM_EMBD, DIM_ONE, DIM_ONE, REQUIRED, PART_LAYER_NORM},
    {"attn_q.weight", LAYER(attn_q), DIM_EMBD, DIM_Q, DIM_ONE, REQUIRED, PART_Q_DIRECT},
    {"attn_k.weight", LAYER(attn_k), DIM_EMBD, DIM_K, DIM_ONE, REQUIRED, PART_PLAIN_HEADS},
    {"attn_v.weight", LAYER(attn_v), DIM_EMBD, DIM_V, DIM_ONE, REQUIRED, PART_PLAIN_HEADS},
    {"attn_q.bias", LAYER(attn_q_bias), DIM_Q, DIM_ONE, DIM_ONE, OPTIONAL, PART_PLAIN_HEADS},
    {"attn_k.bias", LAYER(attn_k_bias), DIM_K, DIM_ONE, DIM_ONE, OPTIONAL, PART_PLAIN_HEADS},
    {"attn_v.bias", LAYER(attn_v_bias), DIM_V, DIM_ONE, DIM_ONE, OPTIONAL, PART_PLAIN_HEADS},
    {"attn_q_norm.weight", LAYER(attn_q_norm), DIM_HEAD_K, DIM_ONE, DIM_ONE, REQUIRED, PART_QK_NORM},
    {"attn_k_norm.weight", LAYER(attn_k_norm), DIM_HEAD_K, DIM_ONE, DIM_ONE, REQUIRED, PART_QK_NORM},
    {"attn_q_a.weight", LAYER(attn_q_a), DIM_EMBD, DIM_Q_LORA, DIM_ONE, REQUIRED, PART_Q_LORA},
    {"attn_q_a_norm.weight", LAYER(attn_q_a_norm), DIM_Q_LORA, DIM_ONE, DIM_ONE, REQUIRED, PART_Q_LORA},
    {"attn_q_b.weight", LAYER(attn_q_b), DIM_Q_LORA, DIM_Q, DIM_ONE, REQUIRED, PART_Q_LORA},
    {"attn_kv_a_mqa.weight", LAYER(attn_kv_a), DIM_EMBD, DIM_KV_A, DIM_ONE, REQUIRED, PART_LATENT},
    {"attn_kv_a_norm.weight", LAYER(attn_kv_a_norm), DIM_KV_LORA, DIM_ONE, DIM_ONE, REQUIRED, PART_LATENT},
    {"attn_kv_b.weight", LAYER(attn_kv_b), DIM_KV_LORA, DIM_KV_B, DIM_ONE, OPTIONAL, PART_LATENT},
    {"attn_k_b.weight", LAYER(attn_k_b), DIM_NOPE, DIM_KV_LORA, DIM_HEADS, OPTIONAL, PART_LATENT},
    {"attn_v_b.weight", LAYER(attn_v_b), DIM_KV_LORA, DIM_HEAD_V, DIM_HEADS, OPTIONAL, PART_LATENT},
    {"attn_output.weight", LAYER(attn_output), DIM_HEADS_OUT, DIM_EMBD, DIM_ONE, REQUIRED, 0},
    {"attn_output.bias", LAYER(attn_output_bias), DIM_EMBD, DIM_ONE, DIM_ONE, OPTIONAL, 0},
    {"ffn_norm.weight", LAYER(ffn_norm), DIM_EMBD, DIM_ONE, DIM_ONE, REQUIRED, 0},
    {"ffn_norm.bias", LAYER(ffn_norm_bias), DIM_EMBD, DIM_ONE, DIM_ONE, REQUIRED, PART_LAYER_NORM},
    {"ffn_gate.weight", LAYER(ffn_gate), DIM_EMBD, DIM_FF, DIM_ONE, REQUIRED, PART_DENSE | PART_GATE},
    {"ffn_up.weight", LAYER(ffn_up), DIM_EMBD, DIM_FF, DIM_ONE, REQUIRED, PART_DENSE},
    {"ffn_down.weight", LAYER(ffn_down), DIM_FF, DIM_EMBD, DIM_ONE, REQUIRED, PART_DENSE},
    {"ffn_up.bias", LAYER(ffn_up_bias), DIM_FF, DIM_ONE, DIM_ONE, OPTIONAL, PART_DENSE},
    {"ffn_down.bias", LAYER(ffn_down_bias), DIM_EMBD, DIM_ONE, DIM_ONE, OPTIONAL, PART_DENSE},
    {"ffn_gate_inp.weight", LAYER(router), DIM_EMBD, DIM_EXPERTS, DIM_ONE, REQUIRED, PART_EXPERTS},
    {"exp_probs_b.bias", LAYER(router_bias), DIM_EXPERTS, DIM_ONE, DIM_ONE, OPTIONAL, PART_EXPERTS},
    {"ffn_gate_up_exps.weight", LAYER(experts_gate_up), DIM_EMBD, DIM_FF_EXPERT_TWICE, DIM_EXPERTS, OPTIONAL,
     PART_EXPERTS},
    {"ffn_gate_exps.weight", LAYER(experts_gate), DIM_EMBD, DIM_FF_EXPERT, DIM_EXPERTS, OPTIONAL, PART_EXPERTS},
    {"ffn_up_exps.weight", LAYER(experts_up), DIM_EMBD, DIM_FF_EXPERT, DIM_EXPERTS, OPTIONAL, PART_EXPERTS},
    {"ffn_down_exps.weight", LAYER(experts_down), DIM_FF_EXPERT, DIM_EMBD, DIM_EXPERTS, REQUIRED, PART_EXPERTS},
    {"ffn_gate_shexp.weight", LAYER(shared_gate), DIM_EMBD, DIM_FF_SHARED, DIM_ONE, REQUIRED, PART_SHARED},
    {"ffn_up_shexp.weight", LAYER(shared_up), DIM_EMBD, DIM_FF_SHARED, DIM_ONE, REQUIRED, PART_SHARED},
    {"ffn_down_shexp.weight", LAYER(shared_down), DIM_FF_SHARED, DIM_EMBD, DIM_ONE, REQUIRED, PART_SHARED},
};

enum { N_MODEL_ROWS = sizeof model_rows / sizeof *model_rows, N_LAYER_ROWS = sizeof layer_rows / sizeof *layer_rows };

static int64_t dim_size(const struct hparams *h, enum dim dim)
{
    const int64_t nope = h->n_embd_head_k - h->rope.n_rot, n_head = h->n_head;
    const int64_t sizes[] = {
        [DIM_ONE] = 1,
        [DIM_VOCAB] = h->n_vocab,
        [DIM_EMBD] = h->n_embd,
        [DIM_FF] = h->n_ff,
        [DIM_Q] = n_head * h->n_embd_head_k,
        [DIM_K] = (int64_t)h->n_head_kv * h->n_embd_head_k,
        [DIM_V] = (int64_t)h->n_head_kv * h->n_embd_head_v,
        [DIM_HEADS_OUT] = n_head * h->n_embd_head_v,
        [DIM_HALF_ROT] = h->rope.n_rot / 2,
        [DIM_HEAD_K] = h->n_embd_head_k,
        [DIM_Q_LORA] = h->q_lora_rank,
        [DIM_KV_LORA] = h->kv_lora_rank,
        [DIM_KV_A] = (int64_t)h->kv_lora_rank + h->rope.n_rot,
        [DIM_KV_B] = n_head * (nope + h->n_embd_head_v),
        [DIM_NOPE] = nope,
        [DIM_HEAD_V] = h->n_embd_head_v,
        [DIM_HEADS] = n_head,
        [DIM_EXPERTS] = h->experts.n_expert,
        [DIM_FF_EXPERT] = h->experts.n_ff,
        [DIM_FF_EXPERT_TWICE] = 2 * (int64_t)h->experts.n_ff,
        [DIM_FF_SHARED] = (int64_t)h->experts.n_ff * h->experts.n_shared,
    };
    return sizes[dim];
}

static unsigned parts_of(const struct model *model, int32_t layer)
{
    const struct hparams *h = &model->hparams;
    unsigned parts = model->family->latent ? PART_LATENT : PART_PLAIN_HEADS;
    parts |= h->q_lora_rank ? PART_Q_LORA : PART_Q_DIRECT;
    parts |= model->family->has_qk_norm ? PART_QK_NORM : 0;
    parts |= model->family->ffn == FFN_SILU_GATED ? PART_GATE : 0;
    parts |= model->family->norm == NORM_LAYER ? PART_LAYER_NORM : 0;
    if (h->experts.n_expert && layer >= h->experts.n_dense_layers)
        parts |= PART_EXPERTS | (h->experts.n_shared ? PART_SHARED : 0);
    else
        parts |= PART_DENSE;
    return parts;
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
    const struct hparams *h = &model->hparams;
    uint64_t cols = (uint64_t)dim_size(h, row->cols), rows = (uint64_t)dim_size(h, row->rows),
             mats = (uint64_t)dim_size(h, row->mats);
    const uint64_t *shape = tensor->shape;
    if (shape[0] != cols || shape[1] != rows || shape[2] != mats || shape[3] != 1)
        return error_set(error, STATUS_FORMAT, "tensor %s has shape (%llu, %llu, %llu), not (%llu, %llu, %llu)", name,
                         (unsigned long long)shape[0], (unsigned long long)shape[1], (unsigned long long)shape[2],
                         (unsigned long long)cols, (unsigned long long)rows, (unsigned long long)mats);
    if (row->rows == DIM_ONE && tensor->type != QUANT_F32)
        return error_set(error, STATUS_UNSUPPORTED, "tensor %s has type %s, not F32", name, info->name);
    /* Kernels read 4-byte numbers of a vector in place; the container aligns every tensor unless its header says less. */
    if ((uintptr_t)tensor->data % 4)
        return error_set(error, STATUS_UNSUPPORTED, "tensor %s is not aligned to 4 bytes", name);
    size_t row_bytes = (size_t)(cols / info->block_elements) * info->block_bytes;
    *weight = (struct weight){
        .name = arena_copy_text(&model->arena, name, strlen(name)),
        .type = tensor->type,
        .n_cols = (int64_t)cols,
        .n_rows = (int64_t)rows,
        .n_mats = (int64_t)mats,
        .row_bytes = row_bytes,
        .mat_bytes = row_bytes * (size_t)rows,
        .data = tensor->data,
    };
    return weight->name ? STATUS_OK : error_set(error, STATUS_MEMORY, "out of memory");
}

/* Whether the tables have a tensor of this name, written as binding writes it. */
static bool is_known(const struct model *model, const char *name)
{
    unsigned layer;
    if (sscanf(name, "blk.%8u.", &layer) != 1) {
        for (size_t k = 0; k < N_MODEL_ROWS; k++)
            if (strcmp(name, model_rows[k].name) == 0)
                return (model_rows[k].parts & ~parts_of(model, 0)) == 0;
        return false;
    }
    if (layer >= (unsigned)model->hparams.n_layer)
        return layer < (unsigned)(model->hparams.n_layer + model->hparams.n_layer_predict);
    unsigned parts = parts_of(model, (int32_t)layer);
    for (size_t k = 0; k < N_LAYER_ROWS; k++) {
        char known[NAME_SIZE];
        snprintf(known, sizeof known, "blk.%u.%s", layer, layer_rows[k].name);
        if (strcmp(name, known) == 0)
            return (layer_rows[k].parts & ~parts) == 0;
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
        if (strlen(text) != name.size || !is_known(model, text))
            return error_set(error, STATUS_UNSUPPORTED, "tensor %s is not known of this kind of %s model", text,
                             model->family->arch);
    }
    return STATUS_OK;
}

static struct weight *weight_at(void *base, const struct tensor_row *row)
{
    return (struct weight *)(void *)((char *)base + row->offset);
}

enum status model_bind_tensors(struct model *model, struct error *error)
{
    unsigned parts = parts_of(model, 0);
    enum status status = STATUS_OK;
    for (size_t k = 0; !status && k < N_MODEL_ROWS; k++)
        if ((model_rows[k].parts & ~parts) == 0)
            status = bind_tensor(model, &model_rows[k], model_rows[k].name, weight_at(model, &model_rows[k]), error);
    model->layers = arena_alloc(&model->arena, (size_t)model->hparams.n_layer * sizeof *model->layers);
    if (!status && !model->layers)
        status = error_set(error, STATUS_MEMORY, "out of memory");
    for (int32_t i = 0; !status && i < model->hparams.n_layer; i++) {
        parts = parts_of(model, i);
        for (size_t k = 0; !status && k < N_LAYER_ROWS; k++) {
            char name[NAME_SIZE];
            snprintf(name, sizeof name, "blk.%d.%s", i, layer_rows[k].name);
            if ((layer_rows[k].parts & ~parts) == 0)
                status = bind_tensor(model, &layer_rows[k], name, weight_at(&model->layers[i], &layer_rows[k]), error);
        }
    }
    return status ? status : refuse_unknown_tensors(model, error);
}

/* The rows of these matrices are used apart, or by head. */
static bool is_split(const struct tensor_row *row)
{
    return row->mats != DIM_ONE || row->cols == DIM_KV_LORA || row->rows == DIM_KV_A;
}

struct weight *model_find_adaptable(struct model *model, const char *name)
{
    if (strcmp(name, "output.weight") == 0)
        return model->output.data && model->output.data != model->token_embd.data ? &model->output : NULL;
    for (int32_t i = 0; i < model->hparams.n_layer; i++)
        for (size_t k = 0; k < N_LAYER_ROWS; k++) {
            struct weight *weight = weight_at(&model->layers[i], &layer_rows[k]);
            if (weight->data && weight->n_rows > 1 && weight->name && strcmp(weight->name, name) == 0)
                return is_split(&layer_rows[k]) ? NULL : weight;
        }
    return NULL;
}

/* ---- what is counted ---- */

static bool is_of_experts(const struct tensor_row *row)
{
    return row->mats == DIM_EXPERTS;
}

/* A weight of which a token's evaluation reads so many matrices. */
static void count_read(struct model *model, const struct weight *weight, int64_t n_mats)
{
    model->bytes_per_token += weight->mat_bytes * (uint64_t)n_mats;
    model->n_active += (uint64_t)n_mats * (uint64_t)(weight->n_rows * weight->n_cols);
}

void model_count(struct model *model)
{
    const struct expert_hparams *experts = &model->hparams.experts;
    for (size_t i = 0; i < gguf_n_tensors(model->gguf); i++)
        model->n_params += gguf_tensor_at(model->gguf, i)->n_elements;
    const struct weight *output = model->output.data ? &model->output : &model->token_embd;
    model->multiply_adds_logits = (uint64_t)(output->n_rows * output->n_cols);
    for (size_t k = 0; k < N_MODEL_ROWS; k++) {
        const struct weight *weight = weight_at(model, &model_rows[k]);
        if (weight->data && (weight == output || weight != &model->token_embd))
            count_read(model, weight, 1);
    }
    /* A token reads a row of this table; where it makes the logits, too, its numbers are counted already. */
    model->bytes_per_token += model->token_embd.row_bytes;
    model->n_active += output == &model->token_embd ? 0 : (uint64_t)model->token_embd.n_cols;
    for (int32_t i = 0; i < model->hparams.n_layer; i++)
        for (size_t k = 0; k < N_LAYER_ROWS; k++) {
            const struct weight *weight = weight_at(&model->layers[i], &layer_rows[k]);
            if (!weight->data)
                continue;
            int64_t used = is_of_experts(&layer_rows[k]) ? experts->n_used : weight->n_mats;
            count_read(model, weight, used);
            if (weight->n_rows > 1)
                model->multiply_adds_layers += (uint64_t)used * (uint64_t)(weight->n_rows * weight->n_cols);
        }
    for (int32_t i = 0; i < model->hparams.n_layer; i++)
        model->made_bytes += model_transposed_bytes(model, &model->layers[i]);
}
