/* cpu_experts: mixtures of experts on the CPU: which tokens go where, and the products by expert.
 *
 * The choice is made for every token by itself; then pairs (a token at an expert) are sorted by expert, so that an expert's
 * weights are read once for all of its tokens.  Intermediate results stay in that order up to the weighted sum. */
#include "engine/cpu_private.h"
#include "engine/residency.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

void cpu_plan_free(struct expert_plan *plan)
{
    free(plan->chosen);
    free(plan->weight);
    free(plan->pair);
    free(plan->token);
    free(plan->begin);
    free(plan->gathered);
    *plan = (struct expert_plan){0};
}

static bool reserve_pairs(struct expert_plan *plan, size_t n_pairs, size_t n_expert)
{
    if (n_pairs <= plan->pair_capacity && n_expert <= plan->expert_capacity)
        return true;
    cpu_plan_free(plan);
    plan->chosen = cpu_alloc_aligned(n_pairs, sizeof *plan->chosen);
    plan->weight = cpu_alloc_aligned(n_pairs, sizeof *plan->weight);
    plan->pair = cpu_alloc_aligned(n_pairs, sizeof *plan->pair);
    plan->token = cpu_alloc_aligned(n_pairs, sizeof *plan->token);
    plan->begin = cpu_alloc_aligned(n_expert + 1, sizeof *plan->begin);
    if (!plan->chosen || !plan->weight || !plan->pair || !plan->token || !plan->begin) {
        cpu_plan_free(plan);
        return false;
    }
    plan->pair_capacity = n_pairs;
    plan->expert_capacity = n_expert;
    return true;
}

/* ---- the choice ---- */

struct route_job {
    struct expert_plan *plan;
    const struct expert_hparams *experts;
    const float *logits, *bias;
    const struct cpu_backend *cpu;
};

/* Probabilities (n) in place: softmax, or the sigmoid of each. */
static void gate(enum expert_gating gating, float *p, int32_t n)
{
    if (gating == GATING_SIGMOID) {
        for (int32_t i = 0; i < n; i++)
            p[i] = 1.0f / (1.0f + expf(-p[i]));
        return;
    }
    float greatest = p[0], sum = 0;
    for (int32_t i = 1; i < n; i++)
        greatest = fmaxf(greatest, p[i]);
    for (int32_t i = 0; i < n; i++)
        sum += p[i] = expf(p[i] - greatest);
    for (int32_t i = 0; i < n; i++)
        p[i] /= sum;
}

/* The greatest of n, the first among equals; taken out by writing -INFINITY. */
static int32_t take_greatest(float *scores, int32_t n)
{
    int32_t best = 0;
    for (int32_t i = 1; i < n; i++)
        if (scores[i] > scores[best])
            best = i;
    scores[best] = -INFINITY;
    return best;
}

/* How good a group is: the sum of its two best scores where gating is by sigmoid (DeepSeek-V3, section 2.1.2), its best
 * score where it is by softmax (DeepSeek-V2). */
static float group_score(const float *scores, int32_t n, enum expert_gating gating)
{
    float first = -INFINITY, second = -INFINITY;
    for (int32_t i = 0; i < n; i++) {
        if (scores[i] > first) {
            second = first;
            first = scores[i];
        } else if (scores[i] > second) {
            second = scores[i];
        }
    }
    return gating == GATING_SIGMOID && n > 1 ? first + second : first;
}

/* Leaves the scores of the best groups and takes the others out. */
static void keep_best_groups(const struct expert_hparams *x, float *scores, float *groups)
{
    int32_t width = x->n_expert / x->n_group;
    for (int32_t g = 0; g < x->n_group; g++)
        groups[g] = group_score(scores + g * width, width, x->gating);
    for (int32_t k = 0; k < x->n_group_used; k++)
        take_greatest(groups, x->n_group);
    for (int32_t g = 0; g < x->n_group; g++)
        for (int32_t i = 0; groups[g] != -INFINITY && i < width; i++)
            scores[g * width + i] = -INFINITY;
}

static void choose_experts(const struct route_job *job, int64_t token, float *scratch)
{
    const struct expert_hparams *x = job->experts;
    float *probabilities = scratch, *scores = scratch + x->n_expert, *groups = scratch + 2 * x->n_expert;
    int32_t *chosen = job->plan->chosen + token * x->n_used;
    float *weight = job->plan->weight + token * x->n_used;
    memcpy(probabilities, job->logits + token * x->n_expert, (size_t)x->n_expert * sizeof *probabilities);
    gate(x->gating, probabilities, x->n_expert);
    for (int32_t i = 0; i < x->n_expert; i++)
        /* Finite, also where the sum is not a number: -INFINITY alone means that one is taken. */
        scores[i] = fmaxf(probabilities[i] + (job->bias ? job->bias[i] : 0), -1e30f);
    if (x->n_group > 1)
        keep_best_groups(x, scores, groups);
    float sum = 0;
    for (int32_t k = 0; k < x->n_used; k++) {
        chosen[k] = take_greatest(scores, x->n_expert);
        weight[k] = probabilities[chosen[k]];
        sum += weight[k];
    }
    /* The smallest normal half: so the original's sums are kept from zero. */
    float scale = x->weights_scale / (x->normalises ? fmaxf(sum, 6.103515625e-5f) : 1.0f);
    for (int32_t k = 0; k < x->n_used; k++)
        weight[k] *= scale;
}

static void route_tokens(void *context, int thread, int n_threads)
{
    const struct route_job *job = context;
    int64_t begin, end;
    thread_share(job->plan->n_tokens, 1, thread, n_threads, &begin, &end);
    for (int64_t t = begin; t < end; t++)
        choose_experts(job, t, cpu_scratch(job->cpu, thread));
}

/* Counting sort of the pairs by expert; within one, tokens stay in order. */
static void sort_pairs(struct expert_plan *plan)
{
    int32_t n_pairs = plan->n_tokens * plan->n_used;
    memset(plan->begin, 0, ((size_t)plan->n_expert + 1) * sizeof *plan->begin);
    for (int32_t i = 0; i < n_pairs; i++)
        plan->begin[plan->chosen[i] + 1]++;
    for (int32_t e = 0; e < plan->n_expert; e++)
        plan->begin[e + 1] += plan->begin[e];
    for (int32_t i = 0; i < n_pairs; i++) {
        int32_t at = plan->begin[plan->chosen[i]]++;
        plan->pair[i] = at;
        plan->token[at] = i / plan->n_used;
    }
    for (int32_t e = plan->n_expert; e > 0; e--)
        plan->begin[e] = plan->begin[e - 1];
    plan->begin[0] = 0;
}

void cpu_route(struct backend *backend, const float *logits, const struct weight *bias, int32_t n_tokens,
               const struct expert_hparams *experts)
{
    struct cpu_backend *cpu = cpu_of(backend);
    struct expert_plan *plan = &cpu->plan;
    plan->n_tokens = 0;
    if (!reserve_pairs(plan, (size_t)n_tokens * (size_t)experts->n_used, (size_t)experts->n_expert)) {
        cpu->out_of_memory = true;
        return;
    }
    plan->n_tokens = n_tokens;
    plan->n_used = experts->n_used;
    plan->n_expert = experts->n_expert;
    struct route_job job = {.plan = plan, .experts = experts, .logits = logits, .bias = floats_of(bias), .cpu = cpu};
    cpu_run(cpu, (size_t)n_tokens * (size_t)experts->n_expert * (size_t)experts->n_used, route_tokens, &job);
    sort_pairs(plan);
}

/* ---- products by expert ---- */

struct experts_job {
    const struct cpu_backend *cpu;
    const struct product *products;
    int32_t n_products;
    const float *x;      /* row of pair p at x + p * x_stride; NULL: no product reads floats */
    int64_t x_stride;    /* 0: all pairs have one row */
    const int32_t *rows; /* (n_pairs) of cpu->activation; NULL: one row for each pair */
    struct deal deal;
};

/* Rows [begin, end) of product i of expert e, for all of its tokens. */
static void multiply_expert(const struct experts_job *job, int thread, int32_t e, int32_t i, int64_t begin, int64_t end)
{
    const struct expert_plan *plan = &job->cpu->plan;
    const struct weight *weight = job->products[i].weight;
    int64_t first = plan->begin[e];
    struct activation x = job->cpu->activation;
    x.n_tokens = plan->begin[e + 1] - plan->begin[e];
    x.x = job->x ? job->x + first * job->x_stride : NULL;
    x.x_stride = job->x_stride;
    x.rows = job->rows ? job->rows + first : NULL;
    x.first_row = first;
    /* An expert of few tokens is not worth a panel. */
    if (x.form == INPUT_SPLIT && x.n_tokens <= job->cpu->kernels->worth_words)
        x.form = INPUT_WORDS;
    const struct matmul_out out = {job->products[i].out + first * weight->n_rows, weight->n_rows, NULL, false};
    job->cpu->kernels->matmul(weight, e, begin, end, &x, &out, cpu_scratch(job->cpu, thread));
}

static void multiply_experts(void *context, int thread, int n_threads)
{
    (void)n_threads;
    struct experts_job *job = context;
    const struct expert_plan *plan = &job->cpu->plan;
    int64_t part = deal_next(&job->deal), first = 0;
    for (int32_t e = 0; e < plan->n_expert; e++)
        for (int32_t i = 0; plan->begin[e] < plan->begin[e + 1] && i < job->n_products; i++) {
            int64_t begin, end, n_rows = job->products[i].weight->n_rows, n_parts = deal_parts(&job->deal, n_rows);
            for (; part < first + n_parts; part = deal_next(&job->deal)) {
                deal_part(&job->deal, n_rows, part - first, &begin, &end);
                multiply_expert(job, thread, e, i, begin, end);
            }
            first += n_parts;
        }
}

struct gather_job {
    const struct expert_plan *plan;
    const float *x;
    int64_t n_cols;
};

static void gather_rows(void *context, int thread, int n_threads)
{
    const struct gather_job *job = context;
    int64_t begin, end;
    thread_share((int64_t)job->plan->n_tokens * job->plan->n_used, 1, thread, n_threads, &begin, &end);
    for (int64_t pair = begin; pair < end; pair++)
        memcpy(job->plan->gathered + pair * job->n_cols, job->x + job->plan->token[pair] * job->n_cols,
               (size_t)job->n_cols * sizeof *job->x);
}

/* The input of each pair in the order of pairs; NULL where there is no memory. */
static const float *gather(struct cpu_backend *cpu, const float *x, int64_t n_cols)
{
    struct expert_plan *plan = &cpu->plan;
    size_t n = (size_t)plan->n_tokens * (size_t)plan->n_used * (size_t)n_cols;
    if (n > plan->gathered_capacity) {
        free(plan->gathered);
        plan->gathered = cpu_alloc_aligned(n, sizeof *plan->gathered);
        plan->gathered_capacity = plan->gathered ? n : 0;
    }
    if (!plan->gathered) {
        cpu->out_of_memory = true;
        return NULL;
    }
    struct gather_job job = {plan, x, n_cols};
    cpu_run(cpu, n, gather_rows, &job);
    return plan->gathered;
}

void cpu_matmul_experts(struct backend *backend, const struct product *products, int32_t n_products, const float *x,
                        bool x_by_token)
{
    struct cpu_backend *cpu = cpu_of(backend);
    const struct expert_plan *plan = &cpu->plan;
    int64_t n_cols = products[0].weight->n_cols;
    if (plan->n_tokens == 0)
        return;
    if (cpu->residency && residency_expect(cpu->residency, products[0].weight, plan->begin))
        cpu_run(cpu, SIZE_MAX, residency_ask, cpu->residency);
    enum input_form form = INPUT_FLOATS;
    int64_t rows_of_expert = 0;
    bool by_floats = false;
    for (int32_t i = 0; i < n_products; i++) {
        enum input_form its = cpu_choose_form(cpu, products[i].weight, plan->n_tokens);
        by_floats |= its == INPUT_FLOATS;
        form = its == INPUT_FLOATS ? form : its;
        rows_of_expert += products[i].weight->n_rows;
    }
    bool is_shared = x_by_token && plan->n_tokens == 1;
    struct experts_job job = {.cpu = cpu,
                              .products = products,
                              .n_products = n_products,
                              .x = by_floats || !x_by_token ? x : NULL,
                              .x_stride = is_shared ? 0 : n_cols,
                              .rows = x_by_token ? plan->token : NULL,
                              .deal = deal_rows(cpu, rows_of_expert * plan->n_used)};
    if (by_floats && x_by_token && !is_shared && !(job.x = gather(cpu, x, n_cols)))
        return;
    int64_t n_rows = x_by_token ? plan->n_tokens : (int64_t)plan->n_tokens * plan->n_used;
    const struct activation_source source = {x, n_rows, n_cols, n_rows, n_cols, 0};
    if ((form == INPUT_SPLIT && !cpu_prepare(cpu, INPUT_WORDS, &source)) || !cpu_prepare(cpu, form, &source))
        return;
    cpu_run(cpu, SIZE_MAX, multiply_experts, &job);
}

/* ---- the weighted sum ---- */

struct sum_job {
    const struct expert_plan *plan;
    const float *x;
    float *out;
    int32_t n_cols;
};

static void sum_pairs(void *context, int thread, int n_threads)
{
    const struct sum_job *job = context;
    const struct expert_plan *plan = job->plan;
    int64_t begin, end;
    thread_share(plan->n_tokens, 1, thread, n_threads, &begin, &end);
    for (int64_t t = begin; t < end; t++) {
        float *out = job->out + t * job->n_cols;
        for (int32_t k = 0; k < plan->n_used; k++) {
            float weight = plan->weight[t * plan->n_used + k];
            const float *x = job->x + (int64_t)plan->pair[t * plan->n_used + k] * job->n_cols;
            for (int32_t i = 0; i < job->n_cols; i++)
                out[i] += weight * x[i];
        }
    }
}

void cpu_sum_experts(struct backend *backend, float *out, const float *x, int32_t n_cols)
{
    struct cpu_backend *cpu = cpu_of(backend);
    struct sum_job job = {&cpu->plan, x, out, n_cols};
    cpu_run(cpu, (size_t)cpu->plan.n_tokens * (size_t)cpu->plan.n_used * (size_t)n_cols, sum_pairs, &job);
}
