/* cpu_matmul: matrix products on the CPU: prepares the input once, and splits the rows of the weights among the threads. */
#include "engine/cpu_private.h"

#include <stdlib.h>

/* Rows of a weight are dealt in multiples of this. */
enum { ROW_GRAIN = 16 };

/* ---- the input's 16-bit form ---- */

void cpu_activation_free(struct cpu_backend *cpu)
{
    free(cpu->activation.q);
    free(cpu->activation.scale);
    free(cpu->activation.sum);
    free(cpu->activation.second_sum);
    cpu->activation = (struct activation){0};
    cpu->activation_capacity = 0;
}

static bool activation_reserve(struct cpu_backend *cpu, size_t n)
{
    struct activation *x = &cpu->activation;
    if (n <= cpu->activation_capacity)
        return true;
    cpu_activation_free(cpu);
    size_t blocks = n / ACTIVATION_BLOCK + 1;
    x->q = cpu_alloc_aligned(n, sizeof *x->q);
    x->scale = cpu_alloc_aligned(blocks, sizeof *x->scale);
    x->sum = cpu_alloc_aligned(blocks, sizeof *x->sum);
    x->second_sum = cpu_alloc_aligned(blocks, sizeof *x->second_sum);
    if (!x->q || !x->scale || !x->sum || !x->second_sum) {
        cpu_activation_free(cpu);
        cpu->out_of_memory = true;
        return false;
    }
    cpu->activation_capacity = n;
    return true;
}

struct words_job {
    const struct cpu_backend *cpu;
    const struct activation_source *source;
};

static void words_of_rows(void *context, int thread, int n_threads)
{
    const struct words_job *job = context;
    const struct activation_source *source = job->source;
    const struct activation *to = &job->cpu->activation;
    int64_t begin, end, blocks = source->n_cols / ACTIVATION_BLOCK;
    thread_share(source->n_rows, 1, thread, n_threads, &begin, &end);
    for (int64_t row = begin; row < end; row++) {
        const float *x =
            source->x + row / source->n_inner * source->outer_stride + row % source->n_inner * source->inner_stride;
        job->cpu->kernels->quantise(x, source->n_cols, to->q + row * source->n_cols, to->scale + row * blocks,
                                    to->sum + row * blocks, to->second_sum + row * blocks);
    }
}

bool cpu_prepare_words(struct cpu_backend *cpu, const struct activation_source *source)
{
    size_t n = (size_t)(source->n_rows * source->n_cols);
    if (!activation_reserve(cpu, n))
        return false;
    struct words_job job = {cpu, source};
    cpu_run(cpu, n, words_of_rows, &job);
    return true;
}

/* ---- products of one input ---- */

struct matmul_job {
    const struct cpu_backend *cpu;
    const struct product *products;
    int32_t n_products;
    struct activation x;
    struct deal deal;
};

static void multiply_rows(void *context, int thread, int n_threads)
{
    (void)n_threads;
    struct matmul_job *job = context;
    int64_t part = deal_next(&job->deal), first = 0;
    for (int32_t i = 0; i < job->n_products; i++) {
        const struct product *product = &job->products[i];
        struct matmul_out out = {product->out, product->weight->n_rows, floats_of(product->bias), product->accumulate};
        int64_t begin, end, n_parts = deal_parts(&job->deal, product->weight->n_rows);
        for (; part < first + n_parts; part = deal_next(&job->deal)) {
            deal_part(&job->deal, product->weight->n_rows, part - first, &begin, &end);
            job->cpu->kernels->matmul(product->weight, 0, begin, end, &job->x, &out, cpu_scratch(job->cpu, thread));
        }
        first += n_parts;
    }
}

void cpu_matmul(struct backend *backend, const struct product *products, int32_t n_products, const float *x,
                int32_t n_tokens)
{
    struct cpu_backend *cpu = cpu_of(backend);
    int64_t n_cols = products[0].weight->n_cols, n_rows = 0;
    bool words = false;
    for (int32_t i = 0; i < n_products; i++) {
        words |= n_tokens <= cpu->kernels->few_tokens && cpu->kernels->takes_words(products[i].weight->type);
        n_rows += products[i].weight->n_rows;
    }
    const struct activation_source source = {x, n_tokens, n_cols, n_tokens, n_cols, 0};
    if (words && !cpu_prepare_words(cpu, &source))
        return;
    struct matmul_job job = {cpu, products, n_products, cpu->activation,
                             deal_rows(n_rows, thread_pool_size(cpu->pool))};
    job.x.n_tokens = n_tokens;
    job.x.n_cols = n_cols;
    job.x.x = x;
    job.x.x_stride = n_cols;
    cpu_run(cpu, (size_t)(n_rows * n_cols * n_tokens), multiply_rows, &job);
}

/* ---- a matrix for each head ---- */

struct heads_job {
    const struct cpu_backend *cpu;
    const struct weight *weight;
    const float *x;
    float *out;
    int32_t x_stride, out_stride, n_tokens;
    bool words;
};

static void multiply_heads(void *context, int thread, int n_threads)
{
    const struct heads_job *job = context;
    const struct weight *weight = job->weight;
    int64_t begin, end;
    thread_share(weight->n_rows, ROW_GRAIN, thread, n_threads, &begin, &end);
    for (int64_t head = 0; head < weight->n_mats; head++) {
        struct activation x = job->cpu->activation; /* the rows of one head stand together */
        x.n_tokens = job->n_tokens;
        x.n_cols = weight->n_cols;
        x.x = job->x + head * job->x_stride;
        x.x_stride = weight->n_mats * job->x_stride;
        if (job->words)
            activation_skip(&x, head * job->n_tokens);
        const struct matmul_out out = {job->out + head * job->out_stride, weight->n_mats * job->out_stride, NULL,
                                       false};
        job->cpu->kernels->matmul(weight, head, begin, end, &x, &out, cpu_scratch(job->cpu, thread));
    }
}

void cpu_matmul_heads(struct backend *backend, float *out, int32_t out_stride, const struct weight *weight,
                      const float *x, int32_t x_stride, int32_t n_tokens)
{
    struct cpu_backend *cpu = cpu_of(backend);
    const struct activation_source source = {x,        n_tokens * weight->n_mats, weight->n_cols,
                                             n_tokens, weight->n_mats * x_stride, x_stride};
    bool words = n_tokens <= cpu->kernels->few_tokens && cpu->kernels->takes_words(weight->type);
    if (words && !cpu_prepare_words(cpu, &source))
        return;
    struct heads_job job = {cpu, weight, x, out, x_stride, out_stride, n_tokens, words};
    cpu_run(cpu, (size_t)(weight->n_mats * weight->n_rows * weight->n_cols), multiply_heads, &job);
}
