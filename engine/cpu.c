/* cpu: the backend's operations on the CPU: splits each among the threads and leaves the inner loops to the kernels of the
 * instruction set that was chosen at run time. */
#include "engine/cpu.h"
#include "engine/cpu_private.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Below so many numbers an operation isn't worth waking the others for. */
enum { FORK_FROM = 16 * 1024 };

void cpu_run(struct cpu_backend *cpu, size_t n_numbers, thread_fn *job, void *context)
{
    if (n_numbers < FORK_FROM)
        job(context, 0, 1);
    else
        thread_pool_run(cpu->pool, job, context);
}

void *cpu_alloc_aligned(size_t n, size_t width)
{
    uint64_t bytes;
    if (!checked_mul(n, width, &bytes) || !checked_add(bytes, 63, &bytes) || bytes > SIZE_MAX / 2)
        return NULL;
    return aligned_alloc(64, (size_t)bytes / 64 * 64);
}

bool cpu_reserve(struct cpu_backend *cpu, float **memory, size_t *capacity, size_t n)
{
    if (n > *capacity) {
        free(*memory);
        *memory = cpu_alloc_aligned(n, sizeof **memory);
        *capacity = *memory ? n : 0;
    }
    cpu->out_of_memory |= *memory == NULL;
    return *memory != NULL;
}

/* ---- memory ---- */

static float *cpu_alloc(struct backend *backend, size_t n)
{
    (void)backend;
    float *memory = cpu_alloc_aligned(n, sizeof *memory);
    if (memory)
        memset(memory, 0, n * sizeof *memory);
    return memory;
}

static void cpu_release(struct backend *backend, float *memory)
{
    (void)backend;
    free(memory);
}

static enum status cpu_read(struct backend *backend, float *host, const float *from, size_t n, struct error *error)
{
    struct cpu_backend *cpu = cpu_of(backend);
    int32_t bad_layer = cpu->bad_layer;
    bool out_of_memory = cpu->out_of_memory;
    cpu->bad_layer = NO_LAYER;
    cpu->out_of_memory = false;
    if (out_of_memory)
        return error_set(error, STATUS_MEMORY, "out of memory for activations (take a smaller --slice)");
    if (bad_layer == EMBEDDING_LAYER)
        return error_set(error, STATUS_NUMERIC, "the token embeddings hold numbers that are not finite");
    if (bad_layer != NO_LAYER)
        return error_set(error, STATUS_NUMERIC, "layer %d computes numbers that are not finite", bad_layer);
    memcpy(host, from, n * sizeof *host);
    return STATUS_OK;
}

/* ---- embed ---- */

static void cpu_embed(struct backend *backend, float *out, const struct weight *table, const int32_t *ids, int32_t n)
{
    (void)backend;
    for (int32_t i = 0; i < n; i++)
        quant_info(table->type)
            ->unpack(table->data + (size_t)ids[i] * table->row_bytes, out + i * table->n_cols, (size_t)table->n_cols);
}

/* ---- norm ---- */

struct norm_job {
    float *out;
    const float *x, *weight, *bias; /* a bias makes it a layer norm */
    int64_t n, n_cols;
    float epsilon;
    int32_t layer;
    struct cpu_backend *cpu;
};

static void norm_rows(void *context, int thread, int n_threads)
{
    struct norm_job *job = context;
    int64_t begin, end;
    thread_share(job->n, 1, thread, n_threads, &begin, &end);
    for (int64_t row = begin; row < end; row++) {
        const float *x = job->x + row * job->n_cols;
        float *out = job->out + row * job->n_cols;
        double mean = 0, squares = 0;
        for (int64_t i = 0; job->bias && i < job->n_cols; i++)
            mean += (double)x[i];
        mean /= (double)job->n_cols;
        for (int64_t i = 0; i < job->n_cols; i++)
            squares += ((double)x[i] - mean) * ((double)x[i] - mean);
        /* Every layer passes here, so this is where numbers that went wrong are noticed.  Which thread writes it doesn't
         * matter: all that do write the same layer. */
        if (!isfinite(squares))
            __atomic_store_n(&job->cpu->bad_layer, job->layer, __ATOMIC_RELAXED);
        float scale = (float)(1.0 / sqrt(squares / (double)job->n_cols + (double)job->epsilon));
        for (int64_t i = 0; i < job->n_cols; i++)
            out[i] = (x[i] - (float)mean) * scale * job->weight[i] + (job->bias ? job->bias[i] : 0);
    }
}

static void cpu_norm(struct backend *backend, float *out, const float *x, const struct weight *weight,
                     const struct weight *bias, int32_t n, float epsilon, int32_t layer)
{
    struct cpu_backend *cpu = cpu_of(backend);
    int32_t bad_before = cpu->bad_layer;
    struct norm_job job = {out, x, floats_of(weight), floats_of(bias), n, weight->n_cols, epsilon, layer, cpu};
    cpu_run(cpu, (size_t)(n * weight->n_cols), norm_rows, &job);
    if (bad_before != NO_LAYER)
        cpu->bad_layer = bad_before;
}

/* ---- rope ---- */

/* How fast pair i of n_rot / 2 turns.  YaRN keeps fast pairs as they are, scales slow ones, and goes over linearly between. */
double cpu_rope_frequency(const struct rope_settings *settings, int32_t i)
{
    const struct rope_hparams *rope = settings->hparams;
    double factor = settings->factors ? (double)floats_of(settings->factors)[i] : 1.0;
    double frequency = pow((double)rope->theta, -2.0 * i / rope->n_rot), scaled = frequency * (double)rope->scale;
    if (rope->yarn_high < 0)
        return scaled / factor;
    double width = fmax((double)rope->yarn_high - (double)rope->yarn_low, 0.001);
    double share = fmin(fmax((i - (double)rope->yarn_low) / width, 0), 1);
    return (scaled * share + frequency * (1 - share)) / factor;
}

static bool rope_prepare(struct rope_table *table, const struct rope_settings *settings, int32_t first_position,
                         int32_t n_tokens)
{
    const struct rope_hparams *rope = settings->hparams;
    if (table->cos_sin && table->first_position == first_position && table->n_tokens >= n_tokens &&
        table->hparams == rope && table->factors == settings->factors)
        return true;
    size_t n = (size_t)n_tokens * (size_t)rope->n_rot;
    if (n > table->capacity) {
        free(table->cos_sin);
        table->cos_sin = cpu_alloc_aligned(n, sizeof *table->cos_sin);
        table->capacity = table->cos_sin ? n : 0;
        if (!table->cos_sin)
            return false;
    }
    table->hparams = rope;
    table->factors = settings->factors;
    table->first_position = first_position;
    table->n_tokens = n_tokens;
    for (int32_t i = 0; i < rope->n_rot / 2; i++) {
        double frequency = cpu_rope_frequency(settings, i);
        for (int32_t t = 0; t < n_tokens; t++) {
            float *pair = table->cos_sin + (int64_t)t * rope->n_rot + 2 * i;
            double angle = (double)(first_position + t) * frequency;
            pair[0] = (float)cos(angle) * rope->magnitude;
            pair[1] = (float)sin(angle) * rope->magnitude;
        }
    }
    return true;
}

struct rope_job {
    float *x;
    int32_t n_tokens, n_heads, width;
    const struct rope_table *table;
    enum rope_kind kind;
};

static void rotate_rows(void *context, int thread, int n_threads)
{
    const struct rope_job *job = context;
    int32_t n_rot = job->table->hparams->n_rot, half = n_rot / 2;
    int32_t step = job->kind == ROPE_NEOX ? half : 1, stride = job->kind == ROPE_NEOX ? 1 : 2;
    int64_t begin, end;
    thread_share(job->n_tokens, 1, thread, n_threads, &begin, &end);
    for (int64_t t = begin; t < end; t++) {
        const float *cos_sin = job->table->cos_sin + t * n_rot;
        for (int32_t head = 0; head < job->n_heads; head++) {
            float *x = job->x + (t * job->n_heads + head) * job->width;
            for (int32_t i = 0; i < half; i++) {
                float *a = x + i * stride, *b = a + step, c = cos_sin[2 * i], s = cos_sin[2 * i + 1];
                float first = *a * c - *b * s;
                *b = *a * s + *b * c;
                *a = first;
            }
        }
    }
}

static void cpu_rope(struct backend *backend, float *x, int32_t n_tokens, int32_t first_position, int32_t n_heads,
                     int32_t width, const struct rope_settings *settings)
{
    struct cpu_backend *cpu = cpu_of(backend);
    if (!rope_prepare(&cpu->rope, settings, first_position, n_tokens)) {
        cpu->out_of_memory = true;
        return;
    }
    struct rope_job job = {x, n_tokens, n_heads, width, &cpu->rope, settings->kind};
    cpu_run(cpu, (size_t)n_tokens * (size_t)n_heads * (size_t)width, rotate_rows, &job);
}

/* ---- activation functions, copies ---- */

struct gate_job {
    const struct cpu_backend *cpu;
    float *gate;
    const float *up; /* NULL: gelu alone */
    size_t n;
};

static void gate_share(void *context, int thread, int n_threads)
{
    const struct gate_job *job = context;
    int64_t begin, end;
    thread_share((int64_t)job->n, 64, thread, n_threads, &begin, &end);
    if (job->up)
        job->cpu->kernels->silu_gate(job->gate + begin, job->up + begin, (size_t)(end - begin));
    else
        job->cpu->kernels->gelu(job->gate + begin, (size_t)(end - begin));
}

static void cpu_silu_gate(struct backend *backend, float *gate, const float *up, size_t n)
{
    struct cpu_backend *cpu = cpu_of(backend);
    struct gate_job job = {cpu, gate, up, n};
    cpu_run(cpu, n, gate_share, &job);
}

static void cpu_gelu(struct backend *backend, float *x, size_t n)
{
    struct cpu_backend *cpu = cpu_of(backend);
    struct gate_job job = {cpu, x, NULL, n};
    cpu_run(cpu, n, gate_share, &job);
}

static void cpu_copy_columns(struct backend *backend, float *out, int64_t out_stride, const float *x, int64_t x_stride,
                             int64_t n_rows, int64_t n_cols)
{
    (void)backend;
    for (int64_t row = 0; row < n_rows; row++)
        memcpy(out + row * out_stride, x + row * x_stride, (size_t)n_cols * sizeof *out);
}

/* ---- the backend ---- */

static void cpu_free(struct backend *backend)
{
    if (!backend)
        return;
    struct cpu_backend *cpu = cpu_of(backend);
    free(cpu->scratch);
    cpu_activation_free(cpu);
    cpu_plan_free(&cpu->plan);
    cpu_expand_free(cpu);
    free(cpu->spans);
    free(cpu->rope.cos_sin);
    free(cpu);
}

static const struct backend_ops cpu_ops = {
    .name = "cpu",
    .free = cpu_free,
    .alloc = cpu_alloc,
    .release = cpu_release,
    .read = cpu_read,
    .embed = cpu_embed,
    .norm = cpu_norm,
    .matmul = cpu_matmul,
    .matmul_heads = cpu_matmul_heads,
    .rope = cpu_rope,
    .kv_store = cpu_kv_store,
    .kv_move = cpu_kv_move,
    .attention = cpu_attention,
    .expand = cpu_expand,
    .silu_gate = cpu_silu_gate,
    .gelu = cpu_gelu,
    .copy_columns = cpu_copy_columns,
    .route = cpu_route,
    .matmul_experts = cpu_matmul_experts,
    .sum_experts = cpu_sum_experts,
};

#if defined(__x86_64__)
bool cpu_has_avx2(void)
{
    unsigned a, b, c, d;
    bool has_f16c = __get_cpuid(1, &a, &b, &c, &d) && (c & bit_F16C);
    return has_f16c && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

bool cpu_has_avx512_vnni(void)
{
    return cpu_has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vnni");
}
#endif

const struct cpu_kernels *cpu_kernels_at(size_t i)
{
    static const struct cpu_kernels *const sets[] = {
#if defined(__x86_64__)
        &cpu_avx512_vnni_kernels,
        &cpu_avx2_kernels,
#endif
        &cpu_scalar_kernels,
    };
    return i < sizeof sets / sizeof *sets ? sets[i] : NULL;
}

static enum status choose_kernels(const char *name, const struct cpu_kernels **out, struct error *error)
{
    char known[96] = "";
    for (size_t i = 0; cpu_kernels_at(i); i++) {
        const struct cpu_kernels *kernels = cpu_kernels_at(i);
        bool is_named = name && strcmp(name, kernels->name) == 0;
        if ((!name || is_named) && kernels->is_available()) {
            *out = kernels;
            return STATUS_OK;
        }
        if (is_named)
            return error_set(error, STATUS_UNSUPPORTED, "this CPU has no %s (--cpu names another)", name);
        size_t used = strlen(known);
        if (used + strlen(kernels->name) + 2 < sizeof known) {
            memcpy(known + used, " ", 2);
            memcpy(known + used + 1, kernels->name, strlen(kernels->name) + 1);
        }
    }
    return error_set(error, STATUS_ARGUMENT, "unknown instruction set %s: known are%s", name, known);
}

enum status cpu_backend_new(struct thread_pool *pool, const char *name, struct backend **out, struct error *error)
{
    const struct cpu_kernels *kernels = NULL;
    enum status status = choose_kernels(name, &kernels, error);
    if (status)
        return status;
    struct cpu_backend *cpu = calloc(1, sizeof *cpu);
    if (!cpu)
        return error_set(error, STATUS_MEMORY, "out of memory");
    cpu->backend.ops = &cpu_ops;
    cpu->backend.n_exact = kernels->few_tokens;
    cpu->backend.as_alone = true;
    cpu->pool = pool;
    cpu->kernels = kernels;
    cpu->bad_layer = NO_LAYER;
    cpu->scratch = cpu_alloc_aligned((size_t)thread_pool_size(pool) * CPU_SCRATCH_FLOATS, sizeof *cpu->scratch);
    if (!cpu->scratch) {
        cpu_free(&cpu->backend);
        return error_set(error, STATUS_MEMORY, "out of memory");
    }
    *out = &cpu->backend;
    return STATUS_OK;
}

void cpu_backend_set_residency(struct backend *backend, struct residency *residency)
{
    cpu_of(backend)->residency = residency;
}

const char *cpu_backend_kernels(const struct backend *backend)
{
    return ((const struct cpu_backend *)(const void *)backend)->kernels->name;
}
