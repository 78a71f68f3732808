/* cpu_private: what the files of the CPU backend share.  For cpu*.c alone. */
#ifndef FATHOM_ENGINE_CPU_PRIVATE_H
#define FATHOM_ENGINE_CPU_PRIVATE_H

#include <stdatomic.h>

#include "engine/backend.h"
#include "engine/cpu_kernels.h"
#include "engine/threads.h"

/* Positions and frequencies are the same for all heads and layers of a slice, so their table is kept between calls. */
struct rope_table {
    const struct rope_hparams *hparams;
    const struct weight *factors;
    int32_t first_position, n_tokens;
    float *cos_sin; /* (n_tokens, n_rot / 2, 2) */
    size_t capacity;
};

/* Which token goes to which experts: a pair is one token at one of its experts.  Pairs are sorted by expert, then token. */
struct expert_plan {
    int32_t n_tokens, n_used, n_expert;
    int32_t *chosen; /* (n_tokens, n_used) the experts of a token, best first */
    float *weight;   /* (n_tokens, n_used) */
    int32_t *pair;   /* (n_tokens, n_used) where its results stand */
    int32_t *token;  /* (n_pairs) */
    int32_t *begin;  /* (n_expert + 1) the first pair of each expert */
    float *gathered; /* (n_pairs, n_cols) the input of each pair */
    size_t pair_capacity, expert_capacity, gathered_capacity;
};

/* What is at hand while latent cells are expanded. */
struct expand_memory {
    float *keys;  /* (n_heads, nope, kv_lora) the keys' matrices in the order of products */
    float *cells; /* (EXPAND_CELLS, kv_lora + n_rot) */
    size_t keys_capacity, cells_capacity;
};

enum { NO_LAYER = -2 };

struct cpu_backend {
    struct backend backend;
    struct thread_pool *pool;
    const struct cpu_kernels *kernels;
    float *scratch; /* (n_threads, CPU_SCRATCH_FLOATS) */
    struct activation activation;
    size_t words_capacity, blocks_capacity; /* numbers */
    struct rope_table rope;
    struct expert_plan plan;
    struct expand_memory expand;
    float *spans; /* of attention to many cells by few tokens: what each span of cells came to */
    size_t spans_capacity;
    struct residency *residency; /* borrowed; NULL: all weights are in memory */
    int32_t bad_layer;           /* the first that made a number that is not finite; NO_LAYER: none */
    bool out_of_memory;
};

static inline struct cpu_backend *cpu_of(struct backend *backend)
{
    return (struct cpu_backend *)(void *)backend;
}

static inline const float *floats_of(const struct weight *weight)
{
    return weight ? (const float *)(const void *)weight->data : NULL;
}

static inline float *cpu_scratch(const struct cpu_backend *cpu, int thread)
{
    return cpu->scratch + (size_t)thread * CPU_SCRATCH_FLOATS;
}

/* Runs on all threads, or on this one alone where there are few numbers to compute. */
void cpu_run(struct cpu_backend *cpu, size_t n_numbers, thread_fn *job, void *context);

/* To be asked before each piece of work that takes some time, and that nothing but numbers depends on. */
static inline bool cpu_is_stopped(struct cpu_backend *cpu)
{
    const atomic_bool *cancel = cpu->backend.cancel;
    bool is_stopped = cancel && atomic_load_explicit(cancel, memory_order_relaxed);
    if (is_stopped)
        atomic_store_explicit(&cpu->backend.was_stopped, true, memory_order_relaxed);
    return is_stopped;
}

/* Parts of a job that threads take as they come to them: cores that others slow down take fewer.  The parts are numbered
 * from 0; what a part computes must not depend on who takes it. */
struct deal {
    struct cpu_backend *cpu;
    atomic_llong next;
    int64_t grain; /* rows of a part */
};

/* For n_rows rows in all.  Parts are whole panels of rows, and there are several for each thread. */
static inline struct deal deal_rows(struct cpu_backend *cpu, int64_t n_rows)
{
    enum { PANEL = 16, PARTS = 8 };
    int64_t grain = n_rows / ((int64_t)thread_pool_size(cpu->pool) * PARTS) / PANEL * PANEL;
    return (struct deal){.cpu = cpu, .grain = grain > PANEL ? grain : PANEL};
}

/* Beyond all parts where the work is to stop. */
static inline int64_t deal_next(struct deal *deal)
{
    if (cpu_is_stopped(deal->cpu))
        return INT64_MAX;
    return atomic_fetch_add_explicit(&deal->next, 1, memory_order_relaxed);
}

/* Rows [*begin, *end) of n_rows are part number `part`. */
static inline void deal_part(const struct deal *deal, int64_t n_rows, int64_t part, int64_t *begin, int64_t *end)
{
    *begin = part * deal->grain;
    *end = *begin + deal->grain < n_rows ? *begin + deal->grain : n_rows;
}

static inline int64_t deal_parts(const struct deal *deal, int64_t n_rows)
{
    return (n_rows + deal->grain - 1) / deal->grain;
}

/* Aligned to 64 bytes; NULL where there is no memory. */
void *cpu_alloc_aligned(size_t n, size_t width);

/* Makes *memory hold n numbers, whatever they are; false, and noted in cpu, where there is no memory. */
bool cpu_reserve(struct cpu_backend *cpu, float **memory, size_t *capacity, size_t n);

/* ---- cpu_matmul.c ---- */

void cpu_matmul(struct backend *backend, const struct product *products, int32_t n_products, const float *x,
                int32_t n_tokens);
void cpu_matmul_heads(struct backend *backend, float *out, int32_t out_stride, const struct weight *weight,
                      const float *x, int32_t x_stride, int32_t n_tokens);
void cpu_activation_free(struct cpu_backend *cpu);

/* n_rows rows of n_cols numbers, row r at x + r / n_inner * outer_stride + r % n_inner * inner_stride. */
struct activation_source {
    const float *x;
    int64_t n_rows, n_cols, n_inner, inner_stride, outer_stride;
};

/* Prepares all rows, one after another, in the form that the products of a slice of n_tokens tokens take; cpu->activation
 * is the input then, but for x, x_stride and n_tokens.  False where there is no memory. */
bool cpu_prepare(struct cpu_backend *cpu, enum input_form form, const struct activation_source *source);

/* The form that such a weight's product with a slice of n_tokens tokens takes. */
enum input_form cpu_choose_form(const struct cpu_backend *cpu, const struct weight *weight, int32_t n_tokens);

/* ---- cpu_attention.c ---- */

void cpu_kv_store(struct backend *backend, struct kvcache *cache, int32_t layer, int32_t first_cell, int32_t n_tokens,
                  const float *keys, const float *values);
void cpu_attention(struct backend *backend, float *out, const float *q, const struct kvcache *cache, int32_t layer,
                   const struct attention_settings *s);

/* ---- cpu.c, cpu_move.c ---- */

/* How far pair i of n_rot / 2 turns from one position to the next, in radians. */
double cpu_rope_frequency(const struct rope_settings *settings, int32_t i);
void cpu_kv_move(struct backend *backend, struct kvcache *to, const struct kvcache *from, const struct cell_move *move,
                 const struct rope_settings *rope);

/* ---- cpu_expand.c ---- */

void cpu_expand(struct backend *backend, struct kvcache *out, const struct kvcache *cache, int32_t layer,
                const struct expansion *expansion);
void cpu_expand_free(struct cpu_backend *cpu);

/* ---- cpu_experts.c ---- */

void cpu_route(struct backend *backend, const float *logits, const struct weight *bias, int32_t n_tokens,
               const struct expert_hparams *experts);
void cpu_matmul_experts(struct backend *backend, const struct product *products, int32_t n_products, const float *x,
                        bool x_by_token);
void cpu_sum_experts(struct backend *backend, float *out, const float *x, int32_t n_cols);
void cpu_plan_free(struct expert_plan *plan);

#endif
