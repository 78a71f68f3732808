/* cpu_attention: the KV cache and attention on the CPU: rows are packed into cells, and queries are split among the threads
 * by tiles. */
#include "engine/cpu_private.h"
#include "engine/kvcache.h"

#include <math.h>
#include <string.h>

/* Attention tiles of many tokens are cut so that each thread gets about this many: they differ in length. */
enum { TILES_PER_THREAD = 4 };

/* ---- cache ---- */

/* Q8_0: blocks of 32 numbers: a half-precision scale, then 32 signed bytes. */
static void pack_q8_0(unsigned char *to, const float *x, int32_t n)
{
    for (int32_t i = 0; i < n; i += 32, to += 34) {
        float greatest = 0;
        bool is_finite = true;
        for (int32_t k = 0; k < 32; k++) {
            greatest = fmaxf(greatest, fabsf(x[i + k]));
            is_finite &= isfinite(x[i + k]) != 0;
        }
        float scale = is_finite ? greatest / 127.0f : NAN, inverse = scale > 1e-38f ? 1.0f / scale : 0;
        uint16_t half = half_from_float(scale);
        memcpy(to, &half, 2);
        for (int32_t k = 0; k < 32; k++)
            to[2 + k] = is_finite ? (unsigned char)(int8_t)lrintf(x[i + k] * inverse) : 1;
    }
}

void cpu_pack_cells(enum quant_type type, unsigned char *to, const float *x, int32_t n)
{
    if (type == QUANT_F32) {
        memcpy(to, x, (size_t)n * sizeof *x);
    } else if (type == QUANT_Q8_0) {
        pack_q8_0(to, x, n);
    } else {
        for (int32_t i = 0; i < n; i++) {
            uint16_t half = half_from_float(x[i]);
            memcpy(to + 2 * (size_t)i, &half, 2);
        }
    }
}

void cpu_kv_store(struct backend *backend, struct kvcache *cache, int32_t layer, int32_t first_cell, int32_t n_tokens,
                  const float *keys, const float *values)
{
    (void)backend;
    for (int32_t t = 0; t < n_tokens; t++) {
        size_t cell = (size_t)(first_cell + t);
        cpu_pack_cells(cache->type, kvcache_keys(cache, layer) + cell * cache->k_row_bytes,
                       keys + t * cache->k_elements, cache->k_elements);
        if (cache->v_elements)
            cpu_pack_cells(cache->type, kvcache_values(cache, layer) + cell * cache->v_row_bytes,
                           values + t * cache->v_elements, cache->v_elements);
    }
}

/* ---- attention ---- */

struct attention_job {
    struct cpu_backend *cpu;
    const struct attention_settings *settings;
    struct attention_tile tile; /* what all tiles share */
    const unsigned char *keys, *values;
    const float *q;
    float *out;
    int32_t tokens_a_tile, heads_a_tile; /* heads_a_tile divides the query heads of a KV head */
};

/* Tiles are dealt in turn: later ones are longer, so shares in a row would not be even. */
static void attend_tiles(void *context, int thread, int n_threads)
{
    const struct attention_job *job = context;
    const struct attention_settings *s = job->settings;
    int32_t group = s->n_head / s->n_head_kv;
    int32_t n_head_tiles = s->n_head / job->heads_a_tile;
    int32_t n_token_tiles = (s->n_tokens + job->tokens_a_tile - 1) / job->tokens_a_tile;
    for (int64_t i = thread; i < (int64_t)n_head_tiles * n_token_tiles && !cpu_is_stopped(job->cpu); i += n_threads) {
        int32_t first_token = (int32_t)(i / n_head_tiles) * job->tokens_a_tile;
        int32_t first_head = (int32_t)(i % n_head_tiles) * job->heads_a_tile;
        int32_t kv_head = first_head / group;
        struct attention_tile tile = job->tile;
        tile.keys += kv_row_bytes(tile.type, tile.k_width) * (size_t)kv_head;
        tile.values += kv_row_bytes(tile.type, tile.v_width) * (size_t)kv_head;
        tile.n_tokens = s->n_tokens - first_token < job->tokens_a_tile ? s->n_tokens - first_token : job->tokens_a_tile;
        tile.n_heads = job->heads_a_tile;
        tile.position = s->first_position + first_token;
        tile.q = job->q + first_token * tile.q_stride + first_head * tile.k_width;
        tile.out = job->out + first_token * tile.out_stride + first_head * tile.v_width;
        job->cpu->kernels->attention(&tile, cpu_scratch(job->cpu, thread));
    }
}

/* The greatest divisor of the group that leaves enough tiles for every thread. */
static int32_t choose_heads_a_tile(const struct attention_settings *s, int n_threads)
{
    int32_t group = s->n_head / s->n_head_kv;
    int64_t n_wanted = s->n_tokens == 1 ? n_threads : (int64_t)n_threads * TILES_PER_THREAD;
    for (int32_t heads = group < CPU_TILE_QUERIES ? group : CPU_TILE_QUERIES; heads > 1; heads--)
        if (group % heads == 0 && (int64_t)s->n_head / heads * s->n_tokens >= n_wanted)
            return heads;
    return 1;
}

void cpu_attention(struct backend *backend, float *out, const float *q, const struct kvcache *cache, int32_t layer,
                   const struct attention_settings *s)
{
    struct cpu_backend *cpu = cpu_of(backend);
    int64_t n_head_row = s->n_head_row ? s->n_head_row : s->n_head;
    struct attention_job job = {
        .cpu = cpu,
        .settings = s,
        .q = q,
        .out = out,
        .heads_a_tile = choose_heads_a_tile(s, thread_pool_size(cpu->pool)),
        .tile = {.type = cache->type,
                 .keys = kvcache_keys(cache, layer),
                 .values = kvcache_values(cache, layer),
                 .k_row_bytes = cache->k_row_bytes,
                 .v_row_bytes = cache->v_elements ? cache->v_row_bytes : cache->k_row_bytes,
                 .k_width = s->n_embd_head_k,
                 .v_width = s->n_embd_head_v,
                 .q_stride = n_head_row * s->n_embd_head_k,
                 .out_stride = n_head_row * s->n_embd_head_v,
                 .window = s->window,
                 .scale = s->scale},
    };
    job.tokens_a_tile = CPU_TILE_QUERIES / job.heads_a_tile;
    size_t n_cells = (size_t)s->first_position + (size_t)s->n_tokens;
    cpu_run(cpu, n_cells * (size_t)s->n_tokens * (size_t)s->n_head * (size_t)s->n_embd_head_k, attend_tiles, &job);
}
