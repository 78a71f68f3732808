/* cpu_attention: the KV cache and attention on the CPU: how cells and queries are split among the threads.
 *
 * Many tokens: tiles of tokens and heads, each with all the cells it sees; the longest are dealt first.
 *
 * Few tokens: there are few queries and perhaps many cells, so cells are split, too, into spans (Dao et al. 2023, flash
 * decoding).  A span's cells are read once, row after row, for all heads that are dealt together:
 *
 *   cells   0    64   128 ...        1024          1152 ...
 *           |span|span|  16 of 64    |    span     |  16 of 128, then 16 of 256, ...
 *
 *   sums of span 0 ─┐
 *   sums of span 1 ─┼──► merged in the order of the spans: the result
 *   sums of span 2 ─┘
 *
 * Invariants, since the same tokens must come out whatever the number of threads and whatever a token is evaluated with:
 * where spans begin depends on nothing at all; a query's sums in a span don't depend on the other queries; a span in which
 * a query sees nothing adds exact zeros.  So a token of a slice of up to CPU_FEW_TOKENS tokens gets the numbers that it gets
 * alone. */
#include "engine/cpu_private.h"
#include "engine/kvcache.h"

#include <math.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

/* Parts of the work for each thread: parts differ in length, and threads in speed. */
enum { TILES_PER_THREAD = 6, SPANS_PER_THREAD = 3 };

enum { FIRST_SPAN_CELLS = CPU_BLOCK_CELLS, SPANS_PER_OCTAVE = 16, LAST_OCTAVE = 20 };

/* ---- cache ---- */

struct store_job {
    const struct cpu_backend *cpu;
    const struct kvcache *cache;
    unsigned char *to_keys, *to_values; /* of the first token */
    const float *keys, *values;
    int32_t n_tokens;
};

static void store_cells(void *context, int thread, int n_threads)
{
    const struct store_job *job = context;
    const struct kvcache *cache = job->cache;
    const struct cpu_kernels *kernels = job->cpu->kernels;
    int64_t begin, end;
    thread_share(job->n_tokens, 1, thread, n_threads, &begin, &end);
    for (int64_t t = begin; t < end; t++) {
        kernels->pack_cell(cache->type, job->to_keys + (size_t)t * cache->k_row_bytes,
                           job->keys + t * cache->k_elements, cache->k_elements);
        if (cache->v_elements)
            kernels->pack_cell(cache->type, job->to_values + (size_t)t * cache->v_row_bytes,
                               job->values + t * cache->v_elements, cache->v_elements);
    }
}

void cpu_kv_store(struct backend *backend, struct kvcache *cache, int32_t layer, int32_t first_cell, int32_t n_tokens,
                  const float *keys, const float *values)
{
    struct cpu_backend *cpu = cpu_of(backend);
    struct store_job job = {cpu,
                            cache,
                            kvcache_keys(cache, layer) + (size_t)first_cell * cache->k_row_bytes,
                            kvcache_values(cache, layer) + (size_t)first_cell * cache->v_row_bytes,
                            keys,
                            values,
                            n_tokens};
    cpu_run(cpu, (size_t)n_tokens * (size_t)(cache->k_elements + cache->v_elements), store_cells, &job);
}

/* ---- attention, many tokens ---- */

struct attention_job {
    struct cpu_backend *cpu;
    const struct attention_settings *settings;
    struct attention_tile tile; /* what all tiles share */
    const float *q;
    float *out;
    int32_t tokens_a_tile, heads_a_tile; /* heads_a_tile divides the query heads of a KV head */
    struct deal deal;
};

/* The tile of some tokens and heads, all on one KV head. */
static struct attention_tile tile_at(const struct attention_job *job, int32_t first_token, int32_t n_tokens,
                                     int32_t first_head, int32_t n_heads)
{
    const struct attention_settings *s = job->settings;
    int32_t kv_head = first_head / (s->n_head / s->n_head_kv);
    struct attention_tile tile = job->tile;
    tile.keys += kv_row_bytes(tile.type, tile.k_width) * (size_t)kv_head;
    tile.values += kv_row_bytes(tile.type, tile.v_width) * (size_t)kv_head;
    tile.n_tokens = n_tokens;
    tile.n_heads = n_heads;
    tile.position = s->first_position + first_token;
    tile.q = job->q + first_token * tile.q_stride + (int64_t)first_head * tile.k_width;
    tile.out = job->out + first_token * tile.out_stride + (int64_t)first_head * tile.v_width;
    return tile;
}

static void attend_tiles(void *context, int thread, int n_threads)
{
    struct attention_job *job = context;
    const struct attention_settings *s = job->settings;
    (void)n_threads;
    int64_t n_head_tiles = s->n_head / job->heads_a_tile;
    int64_t n_tiles = (s->n_tokens + job->tokens_a_tile - 1) / job->tokens_a_tile * n_head_tiles;
    for (int64_t i = deal_next(&job->deal); i < n_tiles; i = deal_next(&job->deal)) {
        int64_t part = n_tiles - 1 - i; /* those of the last tokens are the longest */
        int32_t first = (int32_t)(part / n_head_tiles) * job->tokens_a_tile;
        int32_t n_tokens = s->n_tokens - first < job->tokens_a_tile ? s->n_tokens - first : job->tokens_a_tile;
        struct attention_tile tile =
            tile_at(job, first, n_tokens, (int32_t)(part % n_head_tiles) * job->heads_a_tile, job->heads_a_tile);
        job->cpu->kernels->attention(&tile, cpu_scratch(job->cpu, thread));
    }
}

/* Few heads and many tokens, so that a tile's tokens end near each other: enough tiles for every thread. */
static void choose_tile(struct attention_job *job, int n_threads)
{
    const struct attention_settings *s = job->settings;
    int32_t group = s->n_head / s->n_head_kv, heads = group < CPU_TILE_QUERIES ? group : CPU_TILE_QUERIES;
    while (group % heads)
        heads--;
    int32_t tokens = CPU_TILE_QUERIES / heads;
    int64_t n_wanted = n_threads == 1 ? 1 : (int64_t)n_threads * TILES_PER_THREAD;
    while (tokens > 1 && (int64_t)(s->n_tokens + tokens - 1) / tokens * (s->n_head / heads) < n_wanted)
        tokens = (tokens + 1) / 2;
    while (heads > 1 && (int64_t)(s->n_tokens + tokens - 1) / tokens * (s->n_head / heads) < n_wanted) {
        heads--;
        while (group % heads)
            heads--;
    }
    job->heads_a_tile = heads;
    job->tokens_a_tile = tokens;
}

/* ---- attention, few tokens ---- */

struct span_job {
    struct attention_job *attention;
    int32_t first_span, n_spans, n_cells;
    int32_t n_kv_parts, n_group_parts; /* parts of the KV heads, and of the query heads of each */
    int64_t n_queries, next;           /* of all heads; numbers of a span: sums, greatest, total */
    atomic_llong n_done;               /* parts */
};

/* Span i begins here. */
static int32_t span_begin(int32_t i)
{
    if (i < SPANS_PER_OCTAVE)
        return i * FIRST_SPAN_CELLS;
    /* Cells are counted by 32 bits, which the last octave fills. */
    int32_t octave = i / SPANS_PER_OCTAVE - 1,
            cells = FIRST_SPAN_CELLS << (octave < LAST_OCTAVE ? octave : LAST_OCTAVE);
    return (SPANS_PER_OCTAVE + i % SPANS_PER_OCTAVE) * cells;
}

/* The span of a cell. */
static int32_t span_of(int32_t cell)
{
    int32_t octave = 0;
    while (cell >> octave >= 2 * SPANS_PER_OCTAVE * FIRST_SPAN_CELLS)
        octave++;
    return octave * SPANS_PER_OCTAVE + (cell >> octave) / FIRST_SPAN_CELLS;
}

/* Heads [first_head, end) of a KV head and a block of cells. */
static void attend_block(const struct span_job *job, float *sums, int32_t cell, int32_t n, int32_t first_head,
                         int32_t end, float *scratch)
{
    const struct attention_job *all = job->attention;
    const struct attention_settings *s = all->settings;
    int32_t at_once = CPU_TILE_QUERIES / s->n_tokens;
    for (int32_t head = first_head; head < end; head += at_once) {
        int32_t n_heads = end - head < at_once ? end - head : at_once;
        struct attention_tile tile = tile_at(all, 0, s->n_tokens, head, n_heads);
        tile.out = sums + (int64_t)head * tile.v_width;
        tile.out_stride = (int64_t)s->n_head * tile.v_width;
        tile.greatest = sums + job->n_queries * tile.v_width + head;
        tile.total = tile.greatest + job->n_queries;
        tile.state_next = s->n_head;
        all->cpu->kernels->attention_block(&tile, cell, n, scratch);
    }
}

static void clear_heads(const struct span_job *job, float *sums, int32_t first_head, int32_t end)
{
    const struct attention_settings *s = job->attention->settings;
    int64_t width = s->n_embd_head_v;
    for (int64_t t = 0; t < s->n_tokens; t++) {
        float *of_token = sums + (t * s->n_head + first_head) * width;
        memset(of_token, 0, (size_t)((end - first_head) * width) * sizeof *sums);
        for (int64_t k = t * s->n_head + first_head; k < t * s->n_head + end; k++) {
            sums[job->n_queries * width + k] = -INFINITY;
            sums[job->n_queries * (width + 1) + k] = 0;
        }
    }
}

/* One span for a part of the heads: block after block, each for one KV head after the other. */
static void attend_span(const struct span_job *job, int32_t span, int32_t kv_part, int32_t group_part, float *scratch)
{
    const struct attention_settings *s = job->attention->settings;
    int32_t group = s->n_head / s->n_head_kv, end = span_begin(span + 1);
    int64_t first_kv, end_kv, first_query, end_query;
    thread_share(s->n_head_kv, 1, kv_part, job->n_kv_parts, &first_kv, &end_kv);
    thread_share(group, 1, group_part, job->n_group_parts, &first_query, &end_query);
    float *sums = job->attention->cpu->spans + (span - job->first_span) * job->next;
    for (int64_t kv = first_kv; kv < end_kv; kv++)
        clear_heads(job, sums, (int32_t)(kv * group + first_query), (int32_t)(kv * group + end_query));
    for (int32_t cell = span_begin(span); cell < end && cell < job->n_cells; cell += CPU_BLOCK_CELLS) {
        int32_t n = job->n_cells - cell < CPU_BLOCK_CELLS ? job->n_cells - cell : CPU_BLOCK_CELLS;
        for (int64_t kv = first_kv; kv < end_kv; kv++)
            attend_block(job, sums, cell, n, (int32_t)(kv * group + first_query), (int32_t)(kv * group + end_query),
                         scratch);
    }
}

static void merge_spans(const struct span_job *job, int thread, int n_threads)
{
    const struct attention_job *all = job->attention;
    const struct attention_settings *s = all->settings;
    int64_t begin, end, width = s->n_embd_head_v;
    thread_share(job->n_queries, 1, thread, n_threads, &begin, &end);
    for (int64_t k = begin; k < end; k++) {
        const float *state = all->cpu->spans + job->n_queries * width + k;
        const struct attention_spans spans = {
            job->n_spans, width, job->next, all->cpu->spans + k * width, state, state + job->n_queries};
        float *out = all->out + k / s->n_head * all->tile.out_stride + k % s->n_head * width;
        all->cpu->kernels->attention_merge(&spans, out, cpu_scratch(all->cpu, thread));
    }
}

/* The last spans are the longest, so they come first.  A span's parts follow each other: they read the same memory. */
static void attend_spans(void *context, int thread, int n_threads)
{
    struct span_job *job = context;
    struct deal *deal = &job->attention->deal;
    int64_t n_heads_parts = (int64_t)job->n_kv_parts * job->n_group_parts, n_parts = job->n_spans * n_heads_parts;
    for (int64_t i = deal_next(deal); i < n_parts; i = deal_next(deal)) {
        int32_t part = (int32_t)(i % n_heads_parts);
        attend_span(job, job->first_span + job->n_spans - 1 - (int32_t)(i / n_heads_parts), part / job->n_group_parts,
                    part % job->n_group_parts, cpu_scratch(job->attention->cpu, thread));
        atomic_fetch_add_explicit(&job->n_done, 1, memory_order_release);
    }
    enum { SPINS = 2000 };
    for (int spins = 0; atomic_load_explicit(&job->n_done, memory_order_acquire) < n_parts; spins++) {
        if (cpu_is_stopped(job->attention->cpu))
            return; /* there are parts that nobody takes */
        if (spins > SPINS)
            sched_yield(); /* the thread that we wait for may need this core */
    }
    merge_spans(job, thread, n_threads);
}

static bool attend_few(struct cpu_backend *cpu, struct attention_job *all, size_t n_numbers)
{
    const struct attention_settings *s = all->settings;
    int32_t first = s->window && s->first_position >= s->window ? s->first_position - s->window + 1 : 0;
    int32_t n_cells = s->first_position + s->n_tokens, n_threads = thread_pool_size(cpu->pool);
    struct span_job job = {.attention = all,
                           .first_span = span_of(first),
                           .n_spans = span_of(n_cells - 1) - span_of(first) + 1,
                           .n_cells = n_cells,
                           .n_queries = (int64_t)s->n_tokens * s->n_head};
    job.next = job.n_queries * (s->n_embd_head_v + 2);
    /* Heads are split where there are not enough spans, those of one KV head only where they must. */
    int32_t wanted = n_threads == 1 ? 1 : n_threads * SPANS_PER_THREAD;
    int32_t of_span = (wanted + job.n_spans - 1) / job.n_spans;
    job.n_kv_parts = of_span < s->n_head_kv ? of_span : s->n_head_kv;
    int32_t group = s->n_head / s->n_head_kv, of_group = of_span / job.n_kv_parts;
    job.n_group_parts = of_group < group ? of_group : group;
    if (!cpu_reserve(cpu, &cpu->spans, &cpu->spans_capacity, (size_t)(job.n_spans * job.next)))
        return false;
    cpu_run(cpu, n_numbers, attend_spans, &job);
    return true;
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
        .deal = {.cpu = cpu},
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
    size_t n_cells = (size_t)s->first_position + (size_t)s->n_tokens;
    size_t n_numbers = n_cells * (size_t)s->n_tokens * (size_t)s->n_head * (size_t)s->n_embd_head_k;
    if (s->n_tokens <= CPU_FEW_TOKENS && cpu->kernels->attention_block) {
        attend_few(cpu, &job, n_numbers);
        return;
    }
    choose_tile(&job, thread_pool_size(cpu->pool));
    cpu_run(cpu, n_numbers, attend_tiles, &job);
}
