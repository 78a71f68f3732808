/* cpu_matmul: matrix products on the CPU: prepares the input once, and splits the rows of the weights among the threads. */
#include "engine/cpu_private.h"

#include <stdlib.h>

/* Rows of a weight are dealt in multiples of this. */
enum { ROW_GRAIN = 16 };

/* ---- the forms of the input ---- */

static void free_words(struct cpu_backend *cpu)
{
    struct activation *x = &cpu->activation;
    free(x->q);
    free(x->scale);
    free(x->sum);
    free(x->second_sum);
    x->q = NULL;
    x->scale = x->sum = x->second_sum = NULL;
    cpu->words_capacity = 0;
}

static void free_blocks(struct cpu_backend *cpu)
{
    free(cpu->activation.blocks);
    cpu->activation.blocks = NULL;
    cpu->blocks_capacity = 0;
}

void cpu_activation_free(struct cpu_backend *cpu)
{
    free_words(cpu);
    free_blocks(cpu);
}

/* Room for n numbers, rows counted as they are stored. */
static bool reserve_words(struct cpu_backend *cpu, size_t n)
{
    struct activation *x = &cpu->activation;
    if (n <= cpu->words_capacity)
        return true;
    free_words(cpu);
    size_t blocks = n / ACTIVATION_BLOCK;
    x->q = cpu_alloc_aligned(n, sizeof *x->q);
    x->scale = cpu_alloc_aligned(blocks, sizeof *x->scale);
    x->sum = cpu_alloc_aligned(blocks, sizeof *x->sum);
    x->second_sum = cpu_alloc_aligned(blocks, sizeof *x->second_sum);
    if (!x->q || !x->scale || !x->sum || !x->second_sum) {
        free_words(cpu);
        return false;
    }
    cpu->words_capacity = n;
    return true;
}

static bool reserve_blocks(struct cpu_backend *cpu, size_t n)
{
    if (n <= cpu->blocks_capacity)
        return true;
    free_blocks(cpu);
    cpu->activation.blocks = cpu_alloc_aligned(n / ACTIVATION_BLOCK, sizeof *cpu->activation.blocks);
    cpu->blocks_capacity = cpu->activation.blocks ? n : 0;
    return cpu->activation.blocks != NULL;
}

struct prepare_job {
    const struct cpu_backend *cpu;
    const struct activation_source *source;
    enum input_form form;
};

static void prepare_rows(void *context, int thread, int n_threads)
{
    const struct prepare_job *job = context;
    const struct activation_source *source = job->source;
    const struct activation *to = &job->cpu->activation;
    const struct cpu_kernels *kernels = job->cpu->kernels;
    int64_t begin, end, n = source->n_cols, blocks = n / ACTIVATION_BLOCK;
    thread_share(source->n_rows, 1, thread, n_threads, &begin, &end);
    for (int64_t row = begin; row < end; row++) {
        const float *x =
            source->x + row / source->n_inner * source->outer_stride + row % source->n_inner * source->inner_stride;
        int64_t first = row * blocks;
        if (job->form == INPUT_WORDS)
            kernels->quantise_words(x, n, to->q + row * activation_words(n), to->scale + first, to->sum + first,
                                    to->second_sum + first);
        else
            kernels->quantise_split(x, n, to->blocks + first);
    }
}

bool cpu_prepare(struct cpu_backend *cpu, enum input_form form, const struct activation_source *source)
{
    struct activation *x = &cpu->activation;
    size_t n = (size_t)(source->n_rows * activation_words(source->n_cols));
    x->form = form;
    x->n_cols = source->n_cols;
    x->rows = NULL;
    x->first_row = 0;
    if (form == INPUT_FLOATS)
        return true;
    if (!(form == INPUT_WORDS ? reserve_words(cpu, n) : reserve_blocks(cpu, n))) {
        cpu->out_of_memory = true;
        return false;
    }
    struct prepare_job job = {cpu, source, form};
    cpu_run(cpu, n, prepare_rows, &job);
    return true;
}

enum input_form cpu_choose_form(const struct cpu_backend *cpu, const struct weight *weight, int32_t n_tokens)
{
    int32_t few = cpu->backend.as_alone ? cpu->kernels->few_tokens : cpu->kernels->worth_words;
    enum input_form form = n_tokens <= few ? INPUT_WORDS : INPUT_SPLIT;
    return cpu->kernels->takes(weight->type, weight->n_cols, form) ? form : INPUT_FLOATS;
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
    enum input_form form = INPUT_FLOATS;
    for (int32_t i = 0; i < n_products; i++) {
        if (form == INPUT_FLOATS)
            form = cpu_choose_form(cpu, products[i].weight, n_tokens);
        n_rows += products[i].weight->n_rows;
    }
    const struct activation_source source = {x, n_tokens, n_cols, n_tokens, n_cols, 0};
    if (!cpu_prepare(cpu, form, &source))
        return;
    struct matmul_job job = {cpu, products, n_products, cpu->activation, deal_rows(cpu, n_rows)};
    job.x.n_tokens = n_tokens;
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
        x.x = job->x + head * job->x_stride;
        x.x_stride = weight->n_mats * job->x_stride;
        x.first_row = head * job->n_tokens;
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
    if (!cpu_prepare(cpu, cpu_choose_form(cpu, weight, n_tokens), &source))
        return;
    struct heads_job job = {cpu, weight, x, out, x_stride, out_stride, n_tokens};
    cpu_run(cpu, (size_t)(weight->n_mats * weight->n_rows * weight->n_cols), multiply_heads, &job);
}
