/* lora: see lora.h.  Keys and names as llama.cpp's converter writes them: general.type "adapter", adapter.type "lora",
 * adapter.lora.alpha; for the matrix NAME the tensors NAME.lora_a (n_cols, rank) and NAME.lora_b (rank, n_rows). */
#include "engine/lora.h"
#include "engine/model_tensors.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { MAX_RANK = 4096, NAME_SIZE = 128 };

static enum status check_kind(const struct model *model, const struct gguf *gguf, struct error *error)
{
    struct slice type = {0}, kind = {0}, arch = {0};
    if (gguf_read_text(gguf, "general.type", &type, NULL) || !slice_equals(type, "adapter") ||
        gguf_read_text(gguf, "adapter.type", &kind, NULL) || !slice_equals(kind, "lora"))
        return error_set(error, STATUS_UNSUPPORTED, "not a LoRA adapter (general.type and adapter.type say so)");
    enum status status = gguf_read_text(gguf, "general.architecture", &arch, error);
    if (!status && !slice_equals(arch, model->family->arch))
        return error_set(error, STATUS_UNSUPPORTED, "the adapter is for architecture %.*s, the model is %s",
                         (int)(arch.size < 64 ? arch.size : 64), arch.data, model->family->arch);
    return status;
}

/* The numbers of tensor times scale as F32, in the model's memory. */
static enum status copy_scaled(struct model *model, const struct gguf_tensor *tensor, const char *name, float scale,
                               struct weight *out, struct error *error)
{
    const struct quant_info *info = quant_info(tensor->type);
    if (!info || !info->unpack)
        return error_set(error, STATUS_UNSUPPORTED, "tensor %s has a type that this program cannot compute with", name);
    if (tensor->shape[2] != 1 || tensor->shape[3] != 1 || tensor->shape[0] > MODEL_MAX_WIDTH ||
        tensor->shape[1] > (1 << 24))
        return error_set(error, STATUS_FORMAT, "tensor %s is not a matrix of usual size", name);
    size_t cols = (size_t)tensor->shape[0], rows = (size_t)tensor->shape[1];
    float *numbers = arena_alloc(&model->arena, cols * rows * sizeof *numbers);
    if (!numbers)
        return error_set(error, STATUS_MEMORY, "out of memory");
    for (size_t row = 0; row < rows; row++)
        info->unpack(tensor->data + row * (cols / info->block_elements * info->block_bytes), numbers + row * cols,
                     cols);
    for (size_t i = 0; i < cols * rows; i++) {
        numbers[i] *= scale;
        if (!isfinite(numbers[i]))
            return error_set(error, STATUS_NUMERIC, "tensor %s holds a number that is not finite", name);
    }
    *out = (struct weight){.name = "lora",
                           .type = QUANT_F32,
                           .n_cols = (int64_t)cols,
                           .n_rows = (int64_t)rows,
                           .n_mats = 1,
                           .row_bytes = cols * sizeof *numbers,
                           .mat_bytes = cols * rows * sizeof *numbers,
                           .data = (const unsigned char *)numbers};
    return STATUS_OK;
}

/* base: the name of the matrix, as the adapter's tensors begin. */
static enum status add_pair(struct model *model, const struct gguf *gguf, const char *base, float alpha, float scale,
                            struct error *error)
{
    char name_a[NAME_SIZE + 8], name_b[NAME_SIZE + 8];
    snprintf(name_a, sizeof name_a, "%s.lora_a", base);
    snprintf(name_b, sizeof name_b, "%s.lora_b", base);
    const struct gguf_tensor *a = gguf_find_tensor(gguf, name_a), *b = gguf_find_tensor(gguf, name_b);
    struct weight *weight = model_find_adaptable(model, base);
    if (!a || !b)
        return error_set(error, STATUS_FORMAT, "tensor %s is missing", a ? name_b : name_a);
    if (!weight)
        return error_set(error, STATUS_UNSUPPORTED, "tensor %s: the model has no such matrix that can be adapted",
                         base);
    uint64_t rank = a->shape[1];
    if (rank < 1 || rank > MAX_RANK || b->shape[0] != rank || a->shape[0] != (uint64_t)weight->n_cols ||
        b->shape[1] != (uint64_t)weight->n_rows)
        return error_set(error, STATUS_FORMAT, "tensor %s has shape (%llu, %llu), its base (%lld, %lld)", name_a,
                         (unsigned long long)a->shape[0], (unsigned long long)rank, (long long)weight->n_cols,
                         (long long)weight->n_rows);
    struct lora_pair *pair = arena_alloc(&model->arena, sizeof *pair);
    if (!pair)
        return error_set(error, STATUS_MEMORY, "out of memory");
    enum status status = copy_scaled(model, a, name_a, 1, &pair->a, error);
    if (!status)
        status = copy_scaled(model, b, name_b, alpha > 0 ? scale * alpha / (float)rank : scale, &pair->b, error);
    if (status)
        return status;
    pair->next = weight->lora;
    weight->lora = pair;
    if (model->n_lora_rank < (int32_t)rank)
        model->n_lora_rank = (int32_t)rank;
    return STATUS_OK;
}

static enum status add_all(struct model *model, const struct gguf *gguf, float scale, struct error *error)
{
    float alpha = 0;
    enum status status = check_kind(model, gguf, error);
    if (!status && gguf_find_key(gguf, "adapter.lora.alpha"))
        status = gguf_read_f32(gguf, "adapter.lora.alpha", &alpha, error);
    for (size_t i = 0; !status && i < gguf_n_tensors(gguf); i++) {
        struct slice name = gguf_tensor_at(gguf, i)->name;
        char base[NAME_SIZE];
        snprintf(base, sizeof base, "%.*s", (int)(name.size < NAME_SIZE ? name.size : NAME_SIZE), name.data);
        char *ending = strstr(base, ".lora_");
        if (!ending || name.size >= NAME_SIZE || (strcmp(ending, ".lora_a") != 0 && strcmp(ending, ".lora_b") != 0))
            return error_set(error, STATUS_UNSUPPORTED, "tensor %s is no part of a LoRA adapter", base);
        bool is_second = strcmp(ending, ".lora_b") == 0;
        *ending = 0;
        char first[NAME_SIZE + 8];
        snprintf(first, sizeof first, "%s.lora_a", base);
        /* Each pair once: by its first half, or by the second where the first is missing. */
        if (!is_second || !gguf_find_tensor(gguf, first))
            status = add_pair(model, gguf, base, alpha, scale, error);
    }
    return status;
}

enum status lora_add(struct model *model, const char *path, float scale, struct error *error)
{
    struct gguf *gguf;
    enum status status = gguf_open(path, &gguf, error);
    if (status)
        return status;
    struct error inner = {0};
    status = add_all(model, gguf, scale, &inner);
    if (!status && gguf_is_broken(gguf))
        status = error_set(&inner, STATUS_IO, "the file was cut short while it was read");
    gguf_close(gguf);
    return status ? error_set(error, status, "%s: %s", path, inner.text) : STATUS_OK;
}
