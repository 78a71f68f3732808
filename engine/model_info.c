/* model_info: see model_info.h. */
#include "engine/model_info.h"
#include "engine/forward.h"
#include "engine/kvcache.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The public struct, and the memory that its texts lie in. */
struct owned_info {
    struct model_info info;
    struct hparams hparams; /* where is_supported */
    uint64_t made_bytes;
    struct arena arena;
};

/* "dir/name-00001-of-00002.gguf" → "name" */
static struct slice name_of_path(const char *path)
{
    const char *slash = strrchr(path, '/');
    struct slice name = slice_from(slash ? slash + 1 : path);
    if (name.size > 5 && memcmp(name.data + name.size - 5, ".gguf", 5) == 0)
        name.size -= 5;
    unsigned part, parts;
    int used = 0;
    const char *numbers = name.size > 15 ? name.data + name.size - 15 : NULL;
    if (numbers && sscanf(numbers, "-%5u-of-%5u%n", &part, &parts, &used) == 2 && used == 15)
        name.size -= 15;
    return name;
}

static void count_quants(struct model_info *info, const struct gguf *gguf)
{
    for (size_t i = 0; i < gguf_n_tensors(gguf); i++) {
        const struct quant_info *quant = quant_info(gguf_tensor_at(gguf, i)->type);
        const char *name = quant ? quant->name : "?";
        size_t k = 0;
        while (k < info->n_quants && strcmp(info->quants[k].name, name) != 0)
            k++;
        if (k == sizeof info->quants / sizeof *info->quants)
            continue;
        if (k == info->n_quants)
            info->quants[info->n_quants++] = (struct model_quant){name, 0};
        info->quants[k].n++;
    }
}

static void add_number(struct model_info *info, const char *name, double value, bool is_integer)
{
    if (info->n_numbers < sizeof info->numbers / sizeof *info->numbers)
        info->numbers[info->n_numbers++] = (struct model_number){name, value, is_integer};
}

static void add_hparams(struct model_info *info, const struct hparams *h)
{
    const struct expert_hparams *x = &h->experts;
    const struct {
        const char *name;
        int32_t value;
        bool counts; /* else left out where it is 0 */
    } integers[] = {
        {"n_layer", h->n_layer, true},
        {"n_embd", h->n_embd, true},
        {"n_ff", h->n_ff, true},
        {"n_head", h->n_head, true},
        {"n_head_kv", h->n_head_kv, true},
        {"n_embd_head_k", h->n_embd_head_k, true},
        {"n_embd_head_v", h->n_embd_head_v, true},
        {"n_rot", h->rope.n_rot, true},
        {"kv_lora_rank", h->kv_lora_rank, false},
        {"q_lora_rank", h->q_lora_rank, false},
        {"sliding_window", h->sliding_window, false},
        {"n_expert", x->n_expert, false},
        {"n_expert_used", x->n_used, false},
        {"n_expert_shared", x->n_shared, false},
        {"n_expert_group", x->n_group, false},
        {"n_expert_group_used", x->n_group_used, false},
        {"n_ff_exp", x->n_ff, false},
        {"n_layer_dense_lead", x->n_dense_layers, false},
        {"n_layer_nextn", h->n_layer_predict, false},
    };
    for (size_t i = 0; i < sizeof integers / sizeof *integers; i++)
        if (integers[i].counts || integers[i].value)
            add_number(info, integers[i].name, integers[i].value, true);
    if (x->n_expert)
        add_number(info, "expert_weights_scale", (double)x->weights_scale, false);
    add_number(info, "rope_theta", (double)h->rope.theta, false);
    add_number(info, "rope_scale", (double)h->rope.scale, false);
    add_number(info, "norm_epsilon", (double)h->norm_epsilon, false);
}

/* Enough of them for a form: Codestral's, suffix before prefix, needs none for the middle. */
static bool has_fim_tokens(const struct tokenizer *tokenizer)
{
    const struct special_tokens *special = tokenizer_special(tokenizer);
    if (special->fim_prefix < 0 || special->fim_suffix < 0)
        return false;
    return special->fim_middle >= 0 || slice_equals(tokenizer_piece(tokenizer, special->fim_prefix, true), "[PREFIX]");
}

/* A text of the file, or fallback where it has none. */
static const char *copy_key(struct arena *arena, const struct gguf *gguf, const char *key, const char *fallback)
{
    struct slice text = slice_from(fallback);
    if (gguf_read_text(gguf, key, &text, NULL) != STATUS_OK)
        text = slice_from(fallback);
    return arena_copy_text(arena, text.data, text.size);
}

enum status model_info_new(const char *path, const struct gguf *gguf, const struct model *model,
                           const struct tokenizer *tokenizer, const struct chat_template *chat, enum kv_type kv,
                           const char *why, struct model_info **out, struct error *error)
{
    struct owned_info *owned = calloc(1, sizeof *owned);
    if (!owned)
        return error_set(error, STATUS_MEMORY, "out of memory");
    struct model_info *info = &owned->info;
    struct slice name = name_of_path(path);
    info->path = arena_copy_text(&owned->arena, path, strlen(path));
    info->name = arena_copy_text(&owned->arena, name.data, name.size);
    info->arch = copy_key(&owned->arena, gguf, "general.architecture", "");
    info->title = copy_key(&owned->arena, gguf, "general.name", "");
    const char *kind = copy_key(&owned->arena, gguf, "tokenizer.ggml.model", "none");
    const char *pre = copy_key(&owned->arena, gguf, "tokenizer.ggml.pre", "");
    if (!info->path || !info->name || !info->arch || !info->title || !kind || !pre) {
        model_info_free(info);
        return error_set(error, STATUS_MEMORY, "out of memory");
    }
    char both[256];
    int size = snprintf(both, sizeof both, "%.100s%s%.100s", kind, *pre ? "/" : "", pre);
    info->tokenizer = arena_copy_text(&owned->arena, both, (size_t)size);
    if (!info->tokenizer) {
        model_info_free(info);
        return error_set(error, STATUS_MEMORY, "out of memory");
    }
    info->chat = chat ? chat_template_name(chat) : NULL;
    info->n_bytes = gguf_n_bytes(gguf);
    for (size_t i = 0; i < gguf_n_tensors(gguf); i++)
        info->n_params += gguf_tensor_at(gguf, i)->n_elements;
    info->n_active = info->n_params;
    count_quants(info, gguf);
    info->is_supported = model && tokenizer;
    snprintf(info->why, sizeof info->why, "%s", info->is_supported || !why ? "" : why);
    if (model) {
        info->n_active = model->n_active;
        info->bytes_per_token_weights = model->bytes_per_token;
        info->multiply_adds_layers = model->multiply_adds_layers;
        info->multiply_adds_logits = model->multiply_adds_logits;
        info->kv_bytes_per_token =
            kv_bytes_per_token(kv, model->hparams.n_layer, model->hparams.cache_k, model->hparams.cache_v);
        info->n_ctx_train = model->hparams.n_ctx_train;
        info->n_vocab = model->hparams.n_vocab;
        add_hparams(info, &model->hparams);
        owned->hparams = model->hparams;
        owned->made_bytes = model->made_bytes;
    }
    info->has_fim = tokenizer && has_fim_tokens(tokenizer);
    *out = info;
    return STATUS_OK;
}

uint64_t model_info_work_bytes(const struct model_info *info, int32_t n_slice, int32_t n_ctx)
{
    const struct owned_info *owned = (const struct owned_info *)(const void *)info;
    if (!info->is_supported || n_slice < 0 || n_ctx < 1)
        return 0;
    n_slice = n_slice ? n_slice : DEFAULT_SLICE;
    const struct model model = {.hparams = owned->hparams};
    return owned->made_bytes + workspace_bytes(&model, n_slice < n_ctx ? n_slice : n_ctx, n_ctx);
}

void model_info_free(struct model_info *info)
{
    if (!info)
        return;
    struct owned_info *owned = (struct owned_info *)(void *)info;
    arena_deinit(&owned->arena);
    free(owned);
}
