/* kvcache: see kvcache.h. */
#include "engine/kvcache.h"

enum quant_type kv_quant_type(enum kv_type kv)
{
    static const enum quant_type types[] = {
        [KV_F16] = QUANT_F16, [KV_F32] = QUANT_F32, [KV_Q8_0] = QUANT_Q8_0, [KV_Q4_0] = QUANT_Q4_0};
    return types[kv];
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

/* Of n_ctx rows, up to where the next band may begin. */
static bool band_bytes(size_t row_bytes, int32_t n_ctx, size_t *out)
{
    uint64_t bytes, chunk = kvpages_chunk();
    if (!checked_mul(row_bytes, (uint64_t)n_ctx, &bytes) || !checked_add(bytes, chunk - 1, &bytes) ||
        bytes > SIZE_MAX / 4)
        return false;
    *out = (size_t)(bytes / chunk * chunk);
    return true;
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
    if (!band_bytes(cache->k_row_bytes, n_ctx, &cache->k_bytes) ||
        !band_bytes(cache->v_row_bytes, n_ctx, &cache->v_bytes) ||
        !checked_mul(cache->k_bytes + cache->v_bytes, (uint64_t)n_layer, &bytes) || bytes > SIZE_MAX / 2)
        return error_set(error, STATUS_MEMORY, "a context of %d tokens overflows memory", n_ctx);
    struct error inner = {0};
    enum status status = kvpages_new((size_t)n_layer, cache->k_bytes + cache->v_bytes, &cache->pages, &inner);
    if (status)
        return error_set(error, status, "%s: %.1f MB for %d tokens (take a smaller -c)", inner.text,
                         (double)bytes / 1e6, n_ctx);
    cache->memory = kvpages_memory(cache->pages);
    return STATUS_OK;
}

void kvcache_deinit(struct kvcache *cache)
{
    kvpages_free(cache->pages);
    *cache = (struct kvcache){0};
}

/* ---- forks ---- */

/* What of each layer no cell before `first` needs: of the keys, and of the values where there are some. */
static size_t void_from(const struct kvcache *cache, int32_t first, struct kvpages_span spans[2])
{
    size_t k = (size_t)first * cache->k_row_bytes, v = cache->k_bytes + (size_t)first * cache->v_row_bytes;
    spans[0] = (struct kvpages_span){k, cache->k_bytes};
    spans[1] = (struct kvpages_span){v, cache->k_bytes + cache->v_bytes};
    return cache->v_elements ? 2 : 1;
}

enum status kvcache_fork(const struct kvcache *cache, int32_t n_cells, struct kvcache *out, struct error *error)
{
    struct kvpages_span spans[2];
    size_t n = void_from(cache, n_cells, spans);
    *out = *cache;
    out->pages = NULL;
    enum status status = kvpages_fork(cache->pages, spans, n, &out->pages, error);
    out->memory = status ? NULL : kvpages_memory(out->pages);
    return status;
}

enum status kvcache_write(struct kvcache *cache, int32_t first, int32_t n, struct error *error)
{
    struct kvpages_span spans[2];
    size_t n_spans = void_from(cache, first, spans);
    const size_t n_writing[] = {(size_t)n * cache->k_row_bytes, (size_t)n * cache->v_row_bytes};
    enum status status = kvpages_own(cache->pages, spans, n_spans, n_writing, error);
    cache->memory = kvpages_memory(cache->pages);
    return status;
}

size_t kvcache_held(const struct kvcache *cache, size_t *n_shared)
{
    return kvpages_held(cache->pages, n_shared);
}

/* ---- where cells lie ---- */

struct kvcache kvcache_of_floats(float *memory, int32_t n_cells, int32_t k_elements, int32_t v_elements)
{
    return (struct kvcache){.type = QUANT_F32,
                            .n_ctx = n_cells,
                            .n_layer = 1,
                            .k_elements = k_elements,
                            .v_elements = v_elements,
                            .k_row_bytes = kv_row_bytes(QUANT_F32, k_elements),
                            .v_row_bytes = kv_row_bytes(QUANT_F32, v_elements),
                            .k_bytes = (size_t)n_cells * kv_row_bytes(QUANT_F32, k_elements),
                            .v_bytes = (size_t)n_cells * kv_row_bytes(QUANT_F32, v_elements),
                            .memory = (unsigned char *)memory};
}

unsigned char *kvcache_keys(const struct kvcache *cache, int32_t layer)
{
    return cache->memory + (size_t)layer * (cache->k_bytes + cache->v_bytes);
}

unsigned char *kvcache_values(const struct kvcache *cache, int32_t layer)
{
    unsigned char *keys = kvcache_keys(cache, layer);
    return cache->v_elements ? keys + cache->k_bytes : keys;
}
