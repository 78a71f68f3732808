/* cpu_expand: keys and values by head out of latent cells, on the CPU.
 *
 *   cells ──unpack──► c, r ──► keys[h]ᵀ c, and r behind it ──► key of head h
 *                        └───► values[h] c ─────────────────► value of head h
 *
 * The keys' matrices stand in the file (or the model's arena) for the way of the queries, so they are turned round first: as
 * floats, and no more heads than are expanded at once.  Then a chunk of cells at a time is unpacked and multiplied. */
#include "engine/cpu_private.h"
#include "engine/kvcache.h"

#include <stdlib.h>
#include <string.h>

/* EXPAND_ROWS rows of a head's matrix are one piece of work; TURN_ROWS make a cache line when they have become columns. */
enum { EXPAND_CELLS = 256, EXPAND_ROWS = 32, TURN_ROWS = 16 };

struct expand_job {
    struct cpu_backend *cpu;
    const struct expansion *expansion;
    const struct kvcache *cache;
    struct kvcache *out;
    int32_t layer, first_cell, n_cells; /* of the chunk */
    int64_t rank, n_rot, nope, k_width, v_width;
    struct weight keys; /* n_heads x (nope, kv_lora) */
    struct activation x;
};

void cpu_expand_free(struct cpu_backend *cpu)
{
    free(cpu->expand.keys);
    free(cpu->expand.cells);
    cpu->expand = (struct expand_memory){0};
}

/* ---- the keys' matrices, turned round ---- */

_Static_assert(TURN_ROWS *MODEL_MAX_HEAD_WIDTH <= CPU_SCRATCH_FLOATS, "some rows of a head fit");

static void turn_keys(void *context, int thread, int n_threads)
{
    const struct expand_job *job = context;
    const struct weight *from = job->expansion->keys;
    const struct quant_info *info = quant_info(from->type);
    float *rows = cpu_scratch(job->cpu, thread);
    int64_t rank = job->rank, nope = job->nope, begin, end;
    thread_share(job->expansion->n_heads * rank, TURN_ROWS, thread, n_threads, &begin, &end);
    while (begin < end) {
        int64_t head = begin / rank, first = begin % rank;
        int64_t n = end - begin < TURN_ROWS ? end - begin : TURN_ROWS;
        n = rank - first < n ? rank - first : n;
        const unsigned char *data = from->data + (size_t)(job->expansion->first_head + head) * from->mat_bytes;
        for (int64_t r = 0; r < n; r++)
            info->unpack(data + (size_t)(first + r) * from->row_bytes, rows + r * nope, (size_t)nope);
        float *to = job->cpu->expand.keys + head * nope * rank + first;
        for (int64_t i = 0; i < nope; i++)
            for (int64_t r = 0; r < n; r++)
                to[i * rank + r] = rows[r * nope + i];
        begin += n;
    }
}

/* ---- a chunk of cells ---- */

/* The cells as floats; what they have rotated goes to every head's key. */
static void unpack_cells(void *context, int thread, int n_threads)
{
    const struct expand_job *job = context;
    const struct quant_info *info = quant_info(job->cache->type);
    const unsigned char *cells = kvcache_keys(job->cache, job->layer);
    float *keys = (float *)(void *)kvcache_keys(job->out, 0);
    int64_t begin, end, width = job->rank + job->n_rot;
    thread_share(job->n_cells, 1, thread, n_threads, &begin, &end);
    for (int64_t i = begin; i < end; i++) {
        float *to = job->cpu->expand.cells + i * width;
        int64_t cell = job->first_cell + i;
        info->unpack(cells + (size_t)cell * job->cache->k_row_bytes, to, (size_t)width);
        for (int64_t head = 0; head < job->expansion->n_heads; head++)
            memcpy(keys + cell * job->out->k_elements + head * job->k_width + job->nope, to + job->rank,
                   (size_t)job->n_rot * sizeof *keys);
    }
}

/* Rows of one head's matrix against the chunk. */
static void multiply_piece(const struct expand_job *job, bool is_value, int64_t head, int64_t begin, float *scratch)
{
    const struct weight *weight = is_value ? job->expansion->values : &job->keys;
    const struct kvcache *to = job->out;
    unsigned char *memory = is_value ? kvcache_values(to, 0) : kvcache_keys(to, 0);
    int64_t stride = is_value ? to->v_elements : to->k_elements, width = is_value ? job->v_width : job->k_width;
    float *cells = (float *)(void *)memory + job->first_cell * stride;
    const struct matmul_out out = {cells + head * width, stride, NULL, false};
    int64_t end = weight->n_rows - begin < EXPAND_ROWS ? weight->n_rows : begin + EXPAND_ROWS;
    int64_t mat = is_value ? job->expansion->first_head + head : head;
    job->cpu->kernels->matmul(weight, mat, begin, end, &job->x, &out, scratch);
}

static void multiply_pieces(void *context, int thread, int n_threads)
{
    const struct expand_job *job = context;
    int64_t of_key = (job->nope + EXPAND_ROWS - 1) / EXPAND_ROWS;
    int64_t of_head = of_key + (job->v_width + EXPAND_ROWS - 1) / EXPAND_ROWS;
    int64_t begin, end;
    thread_share(job->expansion->n_heads * of_head, 1, thread, n_threads, &begin, &end);
    for (int64_t i = begin; i < end && !cpu_is_stopped(job->cpu); i++) {
        int64_t piece = i % of_head;
        bool is_value = piece >= of_key;
        multiply_piece(job, is_value, i / of_head, (is_value ? piece - of_key : piece) * EXPAND_ROWS,
                       cpu_scratch(job->cpu, thread));
    }
}

static bool expand_chunk(struct cpu_backend *cpu, struct expand_job *job)
{
    const struct weight *values = job->expansion->values;
    int64_t width = job->rank + job->n_rot;
    cpu_run(cpu, (size_t)(job->n_cells * (width + job->expansion->n_heads * job->n_rot)), unpack_cells, job);
    const struct activation_source source = {cpu->expand.cells, job->n_cells, job->rank, job->n_cells, width, 0};
    if (!cpu_prepare(cpu, cpu_choose_form(cpu, values, job->n_cells), &source))
        return false;
    job->x = cpu->activation;
    job->x.n_tokens = job->n_cells;
    job->x.x = cpu->expand.cells;
    job->x.x_stride = width;
    cpu_run(cpu, (size_t)(job->n_cells * job->rank * job->expansion->n_heads * (job->nope + job->v_width)),
            multiply_pieces, job);
    return true;
}

void cpu_expand(struct backend *backend, struct kvcache *out, const struct kvcache *cache, int32_t layer,
                const struct expansion *expansion)
{
    struct cpu_backend *cpu = cpu_of(backend);
    struct expand_job job = {
        .cpu = cpu,
        .expansion = expansion,
        .cache = cache,
        .out = out,
        .layer = layer,
        .rank = expansion->keys->n_rows,
        .n_rot = cache->k_elements - expansion->keys->n_rows,
        .nope = expansion->keys->n_cols,
        .k_width = out->k_elements / expansion->n_heads,
        .v_width = expansion->values->n_rows,
    };
    size_t n_keys = (size_t)(expansion->n_heads * job.nope * job.rank);
    if (!cpu_reserve(cpu, &cpu->expand.keys, &cpu->expand.keys_capacity, n_keys) ||
        !cpu_reserve(cpu, &cpu->expand.cells, &cpu->expand.cells_capacity,
                     (size_t)EXPAND_CELLS * (size_t)cache->k_elements))
        return;
    job.keys = (struct weight){.name = expansion->keys->name,
                               .type = QUANT_F32,
                               .n_cols = job.rank,
                               .n_rows = job.nope,
                               .n_mats = expansion->n_heads,
                               .row_bytes = (size_t)job.rank * sizeof(float),
                               .mat_bytes = (size_t)(job.nope * job.rank) * sizeof(float),
                               .data = (const unsigned char *)cpu->expand.keys};
    cpu_run(cpu, n_keys, turn_keys, &job);
    for (; job.first_cell < expansion->n_cells; job.first_cell += EXPAND_CELLS) {
        int32_t left = expansion->n_cells - job.first_cell;
        job.n_cells = left < EXPAND_CELLS ? left : EXPAND_CELLS;
        if (!expand_chunk(cpu, &job))
            return;
    }
}
