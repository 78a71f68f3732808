/* kvcache: see kvcache.h. */
#include "engine/kvcache.h"

#include <sys/mman.h>

enum quant_type kv_quant_type(enum kv_type kv)
{
    return kv == KV_F32 ? QUANT_F32 : kv == KV_Q8_0 ? QUANT_Q8_0 : QUANT_F16;
}

size_t kv_row_bytes(enum quant_type type, int32_t n)
{
    const struct quant_info *info = quant_info(type);
    if (n < 0 || (uint32_t)n % info->block_elements)
        return 0;
    return (size_t)n / info->block_elements * info->block_bytes;
}

uint64_t kv_bytes_per_token(enum kv_type kv, int32_t n_layer, int32_t k_elements, int32_t v_elements)
{
    size_t k = kv_row_bytes(kv_quant_type(kv), k_elements), v = kv_row_bytes(kv_quant_type(kv), v_elements);
    return k && (v || !v_elements) ? (uint64_t)(k + v) * (uint64_t)n_layer : 0;
}

enum status kvcache_init(struct kvcache *cache, enum kv_type kv, int32_t n_ctx, int32_t n_layer, int32_t n_head,
                         int32_t k_elements, int32_t v_elements, int32_t v_width, struct error *error)
{
    enum quant_type type = kv_quant_type(kv);
    *cache = (struct kvcache){.type = type,
                              .n_ctx = n_ctx,
                              .n_layer = n_layer,
                              .k_elements = k_elements,
                              .v_elements = v_elements,
                              .k_row_bytes = kv_row_bytes(type, k_elements),
                              .v_row_bytes = kv_row_bytes(type, v_elements)};
    if (!kv_row_bytes(type, k_elements / n_head) || !kv_row_bytes(type, v_width))
        return error_set(error, STATUS_UNSUPPORTED, "KV type %s needs heads of a multiple of %u numbers",
                         quant_info(type)->name, quant_info(type)->block_elements);
    uint64_t bytes;
    if (!checked_mul(cache->k_row_bytes + cache->v_row_bytes, (uint64_t)n_ctx, &bytes) ||
        !checked_mul(bytes, (uint64_t)n_layer, &bytes) || bytes > SIZE_MAX / 2)
        return error_set(error, STATUS_MEMORY, "a context of %d tokens overflows memory", n_ctx);
    void *memory =
        mmap(NULL, (size_t)bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED)
        return error_set(error, STATUS_MEMORY, "no memory for the KV cache: %.1f MB for %d tokens (take a smaller -c)",
                         (double)bytes / 1e6, n_ctx);
    cache->memory = memory;
    cache->n_bytes = (size_t)bytes;
    return STATUS_OK;
}

void kvcache_deinit(struct kvcache *cache)
{
    if (cache->memory)
        munmap(cache->memory, cache->n_bytes);
    *cache = (struct kvcache){0};
}

struct kvcache kvcache_of_floats(float *memory, int32_t n_cells, int32_t k_elements, int32_t v_elements)
{
    return (struct kvcache){.type = QUANT_F32,
                            .n_ctx = n_cells,
                            .n_layer = 1,
                            .k_elements = k_elements,
                            .v_elements = v_elements,
                            .k_row_bytes = kv_row_bytes(QUANT_F32, k_elements),
                            .v_row_bytes = kv_row_bytes(QUANT_F32, v_elements),
                            .memory = (unsigned char *)memory};
}

static size_t layer_bytes(const struct kvcache *cache)
{
    return (cache->k_row_bytes + cache->v_row_bytes) * (size_t)cache->n_ctx;
}

unsigned char *kvcache_keys(const struct kvcache *cache, int32_t layer)
{
    return cache->memory + (size_t)layer * layer_bytes(cache);
}

unsigned char *kvcache_values(const struct kvcache *cache, int32_t layer)
{
    unsigned char *keys = kvcache_keys(cache, layer);
    return cache->v_elements ? keys + cache->k_row_bytes * (size_t)cache->n_ctx : keys;
}
