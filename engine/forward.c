/* forward: see forward.h.  A layer of a decoder-only transformer, read from top to bottom:
 *
 *   x ──► norm ──► q, k, v ──► rotate q, k ──► store k, v ──► attention ──► output ──(+)──► norm ──► ffn ──(+)──► x
 *   └──────────────────────────────────────────────────────────────────────────────┘ └──────────────────────┘
 *
 * Families differ in how q, k and v are made (plain heads, or a latent that is cached in place of keys and values) and in
 * what the ffn is (one, or a mixture of experts). */
#include "engine/forward.h"

#include <math.h>

/* ---- workspace ---- */

struct workspace_part {
    float **memory;
    int64_t width; /* numbers a token; 0: not needed */
};

enum { N_PARTS = 17 };

static void list_parts(struct workspace *w, const struct model *model, struct workspace_part parts[N_PARTS])
{
    const struct hparams *h = &model->hparams;
    const struct expert_hparams *experts = &h->experts;
    int64_t n_head = h->n_head, shared = (int64_t)experts->n_ff * experts->n_shared;
    int64_t latent = h->kv_lora_rank, n_rot = latent ? h->rope.n_rot : 0;
    int64_t ffn = h->n_ff > shared ? h->n_ff : shared;
    const struct workspace_part all[] = {
        {&w->x, h->n_embd},
        {&w->before, h->n_embd},
        {&w->normed, h->n_embd},
        {&w->q, n_head * h->n_embd_head_k},
        {&w->k, h->cache_k},
        {&w->v, h->cache_v},
        {&w->attended, n_head * h->n_embd_head_v},
        {&w->gate, ffn},
        {&w->up, ffn},
        {&w->lora, model->n_lora_rank},
        {&w->q_bottleneck, h->q_lora_rank},
        {&w->latent, latent},
        {&w->k_rope, n_rot},
        {&w->router_logits, experts->n_expert},
        {&w->pairs_gate, (int64_t)experts->n_used * experts->n_ff},
        {&w->pairs_up, (int64_t)experts->n_used * experts->n_ff},
        {&w->pairs_out, (int64_t)experts->n_used * h->n_embd},
    };
    _Static_assert(sizeof all / sizeof *all == N_PARTS, "no part is forgotten");
    for (size_t i = 0; i < N_PARTS; i++)
        parts[i] = all[i];
}

/* Work is counted in multiplications, for one head and a slice of n tokens behind many others.  In the latent space a token
 * and a cell cost 2 · rank + n_rot; expanded, they cost k + v, and each cell rank · (nope + v) once. */
static int32_t settle_expand_from(const struct hparams *h, int32_t expand_from)
{
    int64_t rank = h->kv_lora_rank, k = h->n_embd_head_k, v = h->n_embd_head_v, n_rot = h->rope.n_rot;
    int64_t saved = 2 * rank + n_rot - k - v, spent = rank * (k - n_rot + v);
    if (!rank || expand_from)
        return rank ? expand_from : INT32_MAX;
    return saved > 0 && spent / saved < INT32_MAX ? (int32_t)(spent / saved) + 1 : INT32_MAX;
}

enum status workspace_init(struct workspace *workspace, struct backend *backend, const struct model *model,
                           int32_t n_slice, int32_t expand_from, struct error *error)
{
    const struct hparams *h = &model->hparams;
    expand_from = settle_expand_from(h, expand_from);
    *workspace = (struct workspace){.backend = backend, .n_slice = n_slice, .n_logits = 1, .expand_from = expand_from};
    struct workspace_part parts[N_PARTS];
    list_parts(workspace, model, parts);
    for (size_t i = 0; i < N_PARTS; i++) {
        if (parts[i].width == 0)
            continue;
        *parts[i].memory = backend->ops->alloc(backend, (size_t)n_slice * (size_t)parts[i].width);
        if (!*parts[i].memory)
            return error_set(error, STATUS_MEMORY, "no memory for slices of %d tokens (take a smaller --slice)",
                             n_slice);
    }
    workspace->logits = backend->ops->alloc(backend, (size_t)h->n_vocab);
    return workspace->logits ? STATUS_OK : error_set(error, STATUS_MEMORY, "out of memory");
}

void workspace_deinit(struct workspace *workspace)
{
    if (!workspace->backend)
        return;
    const struct model none = {0};
    struct workspace_part parts[N_PARTS];
    list_parts(workspace, &none, parts);
    for (size_t i = 0; i < N_PARTS; i++)
        workspace->backend->ops->release(workspace->backend, *parts[i].memory);
    workspace->backend->ops->release(workspace->backend, workspace->logits);
    workspace->backend->ops->release(workspace->backend, workspace->attention);
    *workspace = (struct workspace){0};
}

enum status workspace_reserve_logits(struct workspace *workspace, const struct model *model, int32_t n,
                                     struct error *error)
{
    if (n <= workspace->n_logits)
        return STATUS_OK;
    struct backend *backend = workspace->backend;
    float *logits = backend->ops->alloc(backend, (size_t)n * (size_t)model->hparams.n_vocab);
    if (!logits)
        return error_set(error, STATUS_MEMORY, "no memory for the logits of %d tokens", n);
    backend->ops->release(backend, workspace->logits);
    workspace->logits = logits;
    workspace->n_logits = n;
    return STATUS_OK;
}

/* ---- memory of latent attention ---- */

/* Expanded keys and values take so many numbers at a time, unless one head's are more. */
enum { EXPANDED_NUMBERS = 2 << 20 };

/* Memory for them grows by so many cells. */
enum { EXPANDED_CELLS = 4096 };

static int64_t expanded_width(const struct hparams *h)
{
    return (int64_t)h->n_embd_head_k + h->n_embd_head_v;
}

static int32_t heads_at_once(const struct hparams *h, int32_t n_cells)
{
    int64_t fitting = EXPANDED_NUMBERS / (n_cells * expanded_width(h));
    return fitting < 1 ? 1 : fitting > h->n_head ? h->n_head : (int32_t)fitting;
}

/* Enough for heads_at_once of n_cells cells, and of fewer. */
static size_t expanded_numbers(const struct hparams *h, int32_t n_cells)
{
    int64_t of_head = n_cells * expanded_width(h), all = of_head * h->n_head;
    int64_t some = all < EXPANDED_NUMBERS ? all : EXPANDED_NUMBERS;
    return (size_t)(of_head > some ? of_head : some);
}

/* Queries, and what becomes of them, in the latent space. */
static size_t absorbed_numbers(const struct hparams *h, int32_t n_tokens)
{
    return (size_t)n_tokens * (size_t)h->n_head * (2 * (size_t)h->kv_lora_rank + (size_t)h->rope.n_rot);
}

static enum status reserve_attention(struct workspace *w, const struct hparams *h, const struct slice_of_tokens *slice,
                                     struct error *error)
{
    struct backend *backend = w->backend;
    int32_t n_ctx = slice->parts[0].cache->n_ctx;
    int64_t n_cells = (int64_t)slice->parts[0].first + slice->n; /* expanded ones are of one part */
    int64_t rounded = (n_cells + EXPANDED_CELLS - 1) / EXPANDED_CELLS * EXPANDED_CELLS;
    size_t n = slice->n < w->expand_from ? absorbed_numbers(h, slice->n)
                                         : expanded_numbers(h, rounded < n_ctx ? (int32_t)rounded : n_ctx);
    if (n <= w->n_attention)
        return STATUS_OK;
    backend->ops->release(backend, w->attention);
    w->attention = backend->ops->alloc(backend, n);
    w->n_attention = w->attention ? n : 0;
    return w->attention ? STATUS_OK
                        : error_set(error, STATUS_MEMORY, "no memory to attend to %lld cells", (long long)n_cells);
}

/* What the backend takes for a token: the inputs of experts brought together, and what products read rounded to 16 bits. */
static uint64_t backend_bytes(const struct hparams *h)
{
    const struct expert_hparams *experts = &h->experts;
    uint64_t gathered = (uint64_t)experts->n_used * (uint64_t)h->n_embd,
             pairs = (uint64_t)experts->n_used * (uint64_t)experts->n_ff;
    uint64_t widest = (uint64_t)h->n_head * (uint64_t)h->n_embd_head_v;
    const uint64_t inputs[] = {gathered, pairs, (uint64_t)h->n_embd, (uint64_t)h->n_ff};
    for (size_t i = 0; i < sizeof inputs / sizeof *inputs; i++)
        widest = inputs[i] > widest ? inputs[i] : widest;
    return gathered * sizeof(float) + widest * sizeof(int16_t);
}

uint64_t workspace_bytes(const struct model *model, int32_t n_slice, int32_t n_ctx)
{
    const struct hparams *h = &model->hparams;
    int32_t expand_from = settle_expand_from(h, 0);
    struct workspace none = {0};
    struct workspace_part parts[N_PARTS];
    list_parts(&none, model, parts);
    uint64_t n = (uint64_t)h->n_vocab;
    for (size_t i = 0; i < N_PARTS; i++)
        n += (uint64_t)n_slice * (uint64_t)parts[i].width;
    if (h->kv_lora_rank) {
        size_t absorbed = absorbed_numbers(h, n_slice < expand_from ? n_slice : expand_from - 1);
        size_t expanded = n_slice < expand_from ? 0 : expanded_numbers(h, n_ctx);
        n += absorbed > expanded ? absorbed : expanded;
        /* The backend turns round the keys' matrices of the heads at hand. */
        if (expanded)
            n += (uint64_t)heads_at_once(h, expand_from) * (uint64_t)h->kv_lora_rank *
                 (uint64_t)(h->n_embd_head_k - h->rope.n_rot);
    }
    return n * sizeof(float) + (uint64_t)n_slice * backend_bytes(h);
}

/* ---- products ---- */

/* The products of one input, and what adapters add to them: b · (a · x). */
static void multiply(struct workspace *w, const struct product *products, int32_t n_products, const float *x,
                     int32_t n_tokens)
{
    const struct backend_ops *ops = w->backend->ops;
    ops->matmul(w->backend, products, n_products, x, n_tokens);
    for (int32_t i = 0; i < n_products; i++)
        for (const struct lora_pair *pair = products[i].weight->lora; pair; pair = pair->next) {
            const struct product down = {&pair->a, NULL, w->lora, false}, up = {&pair->b, NULL, products[i].out, true};
            ops->matmul(w->backend, &down, 1, x, n_tokens);
            ops->matmul(w->backend, &up, 1, w->lora, n_tokens);
        }
}

/* ---- attention ---- */

static const struct weight *if_there(const struct weight *weight)
{
    return weight->data ? weight : NULL;
}

static struct rope_settings rope_of(const struct model *model)
{
    return (struct rope_settings){model->family->rope, &model->hparams.rope, if_there(&model->rope_factors)};
}

/* Queries, keys and values by head, as they are. */
static void attend_plain(const struct model *model, const struct layer *layer, int32_t index, struct workspace *w,
                         const struct slice_of_tokens *slice)
{
    const struct hparams *h = &model->hparams;
    const struct backend_ops *ops = w->backend->ops;
    const struct product projections[] = {
        {&layer->attn_q, if_there(&layer->attn_q_bias), w->q, false},
        {&layer->attn_k, if_there(&layer->attn_k_bias), w->k, false},
        {&layer->attn_v, if_there(&layer->attn_v_bias), w->v, false},
    };
    multiply(w, projections, 3, w->normed, slice->n);
    if (layer->attn_q_norm.data) {
        ops->norm(w->backend, w->q, w->q, &layer->attn_q_norm, NULL, slice->n * h->n_head, h->norm_epsilon, index);
        ops->norm(w->backend, w->k, w->k, &layer->attn_k_norm, NULL, slice->n * h->n_head_kv, h->norm_epsilon, index);
    }
    const struct rope_settings rope = rope_of(model);
    int64_t at = 0;
    for (int32_t i = 0; i < slice->n_parts; at += slice->parts[i++].n) {
        const struct slice_part *part = &slice->parts[i];
        float *q = w->q + at * h->n_head * h->n_embd_head_k, *k = w->k + at * h->cache_k;
        ops->rope(w->backend, q, part->n, part->first, h->n_head, h->n_embd_head_k, &rope);
        ops->rope(w->backend, k, part->n, part->first, h->n_head_kv, h->n_embd_head_k, &rope);
        ops->kv_store(w->backend, part->cache, index, part->first, part->n, k, w->v + at * h->cache_v);
        const struct attention_settings attention = {
            .n_tokens = part->n,
            .first_position = part->first,
            .n_head = h->n_head,
            .n_head_kv = h->n_head_kv,
            .n_embd_head_k = h->n_embd_head_k,
            .n_embd_head_v = h->n_embd_head_v,
            .window = h->sliding_window,
            .scale = h->attention_scale,
        };
        ops->attention(w->backend, w->attended + at * h->n_head * h->n_embd_head_v, q, part->cache, index, &attention);
    }
}

/* Multi-head latent attention (DeepSeek-V2, section 2.1.2 and appendix C).  A cell holds c, the normed latent of kv_lora
 * numbers, and r, one rotated key part for all heads.  A head's key is [K c, r] and its value V c, with matrices K and V of
 * the head.  There are two ways to the same result.
 *
 * Absorbed: since q · K c = (Kᵀ q) · c, the queries go into the latent space, where c is key and value of all heads at once,
 * and V is applied to the sum.  Nothing is computed of a cell, but a query's numbers are many: for few tokens. */
static void attend_absorbed(const struct model *model, const struct layer *layer, int32_t index, struct workspace *w,
                            const struct slice_of_tokens *slice)
{
    const struct hparams *h = &model->hparams;
    const struct backend_ops *ops = w->backend->ops;
    int32_t rank = h->kv_lora_rank, n_rot = h->rope.n_rot, width = rank + n_rot, nope = h->n_embd_head_k - n_rot;
    int64_t n_queries = (int64_t)slice->n * h->n_head;
    float *queries = w->attention, *attended = queries + n_queries * width;
    ops->matmul_heads(w->backend, queries, width, &layer->attn_k_b, w->q, h->n_embd_head_k, slice->n);
    ops->copy_columns(w->backend, queries + rank, width, w->q + nope, h->n_embd_head_k, n_queries, n_rot);
    int64_t at = 0;
    for (int32_t i = 0; i < slice->n_parts; at += slice->parts[i++].n) {
        const struct attention_settings attention = {
            .n_tokens = slice->parts[i].n,
            .first_position = slice->parts[i].first,
            .n_head = h->n_head,
            .n_head_kv = 1,
            .n_embd_head_k = width,
            .n_embd_head_v = rank,
            .scale = h->attention_scale,
        };
        ops->attention(w->backend, attended + at * h->n_head * rank, queries + at * h->n_head * width,
                       slice->parts[i].cache, index, &attention);
    }
    ops->matmul_heads(w->backend, w->attended, h->n_embd_head_v, &layer->attn_v_b, attended, rank, slice->n);
}

/* Expanded: keys and values are computed of every cell, some heads at a time, and met by the queries as they are.  Each cell
 * costs two products with a head's matrices, but a query's numbers are few: for many tokens. */
static void attend_expanded(const struct model *model, const struct layer *layer, int32_t index, struct workspace *w,
                            const struct slice_of_tokens *slice)
{
    const struct hparams *h = &model->hparams;
    const struct backend_ops *ops = w->backend->ops;
    const struct slice_part *part = &slice->parts[0];
    int32_t k = h->n_embd_head_k, v = h->n_embd_head_v, n_cells = part->first + part->n;
    int32_t at_once = heads_at_once(h, n_cells);
    for (int32_t head = 0; head < h->n_head; head += at_once) {
        int32_t n = h->n_head - head < at_once ? h->n_head - head : at_once;
        struct kvcache expanded = kvcache_of_floats(w->attention, n_cells, n * k, n * v);
        const struct expansion expansion = {&layer->attn_k_b, &layer->attn_v_b, head, n, n_cells};
        ops->expand(w->backend, &expanded, part->cache, index, &expansion);
        const struct attention_settings attention = {
            .n_tokens = part->n,
            .first_position = part->first,
            .n_head = n,
            .n_head_kv = n,
            .n_embd_head_k = k,
            .n_embd_head_v = v,
            .scale = h->attention_scale,
            .n_head_row = h->n_head,
        };
        ops->attention(w->backend, w->attended + (int64_t)head * v, w->q + (int64_t)head * k, &expanded, 0, &attention);
    }
}

static void attend_latent(const struct model *model, const struct layer *layer, int32_t index, struct workspace *w,
                          const struct slice_of_tokens *slice)
{
    const struct hparams *h = &model->hparams;
    const struct backend_ops *ops = w->backend->ops;
    int32_t rank = h->kv_lora_rank, n_rot = h->rope.n_rot, width = rank + n_rot, nope = h->n_embd_head_k - n_rot;
    struct weight latent_rows = layer->attn_kv_a, rope_rows = layer->attn_kv_a;
    latent_rows.n_rows = rank;
    rope_rows.n_rows = n_rot;
    rope_rows.data += (size_t)rank * rope_rows.row_bytes;
    const struct product projections[] = {
        {&latent_rows, NULL, w->latent, false},
        {&rope_rows, NULL, w->k_rope, false},
        {h->q_lora_rank ? &layer->attn_q_a : &layer->attn_q, NULL, h->q_lora_rank ? w->q_bottleneck : w->q, false},
    };
    multiply(w, projections, 3, w->normed, slice->n);
    if (h->q_lora_rank) {
        ops->norm(w->backend, w->q_bottleneck, w->q_bottleneck, &layer->attn_q_a_norm, NULL, slice->n, h->norm_epsilon,
                  index);
        const struct product queries = {&layer->attn_q_b, NULL, w->q, false};
        multiply(w, &queries, 1, w->q_bottleneck, slice->n);
    }
    ops->norm(w->backend, w->latent, w->latent, &layer->attn_kv_a_norm, NULL, slice->n, h->norm_epsilon, index);
    const struct rope_settings rope = rope_of(model);
    int64_t at = 0;
    for (int32_t i = 0; i < slice->n_parts; at += slice->parts[i++].n) {
        const struct slice_part *part = &slice->parts[i];
        float *q = w->q + at * h->n_head * h->n_embd_head_k, *k_rope = w->k_rope + at * n_rot, *k = w->k + at * width;
        ops->rope(w->backend, q + nope, part->n, part->first, h->n_head, h->n_embd_head_k, &rope);
        ops->rope(w->backend, k_rope, part->n, part->first, 1, n_rot, &rope);
        ops->copy_columns(w->backend, k, width, w->latent + at * rank, rank, part->n, rank);
        ops->copy_columns(w->backend, k + rank, width, k_rope, n_rot, part->n, n_rot);
        ops->kv_store(w->backend, part->cache, index, part->first, part->n, k, NULL);
    }
    (slice->n >= w->expand_from ? attend_expanded : attend_absorbed)(model, layer, index, w, slice);
}

/* ---- ffn ---- */

static void ffn_dense(const struct model *model, const struct layer *layer, struct workspace *w, int32_t n_tokens)
{
    const struct backend_ops *ops = w->backend->ops;
    size_t n = (size_t)n_tokens * (size_t)layer->ffn_up.n_rows;
    const struct product up = {&layer->ffn_up, if_there(&layer->ffn_up_bias), w->up, false};
    const struct product down = {&layer->ffn_down, if_there(&layer->ffn_down_bias), w->x, true};
    if (model->family->ffn == FFN_GELU) {
        multiply(w, &up, 1, w->normed, n_tokens);
        ops->gelu(w->backend, w->up, n);
        multiply(w, &down, 1, w->up, n_tokens);
        return;
    }
    const struct product gate_up[] = {{&layer->ffn_gate, NULL, w->gate, false}, up};
    multiply(w, gate_up, 2, w->normed, n_tokens);
    ops->silu_gate(w->backend, w->gate, w->up, n);
    multiply(w, &down, 1, w->gate, n_tokens);
}

/* The experts that the router chose for each token, weighted, and what all tokens share. */
static void ffn_experts(const struct model *model, const struct layer *layer, struct workspace *w, int32_t n_tokens)
{
    const struct expert_hparams *experts = &model->hparams.experts;
    const struct backend_ops *ops = w->backend->ops;
    const struct product router = {&layer->router, NULL, w->router_logits, false};
    multiply(w, &router, 1, w->normed, n_tokens);
    ops->route(w->backend, w->router_logits, if_there(&layer->router_bias), n_tokens, experts);
    const struct product gate_up[] = {{&layer->experts_gate, NULL, w->pairs_gate, false},
                                      {&layer->experts_up, NULL, w->pairs_up, false}};
    ops->matmul_experts(w->backend, gate_up, 2, w->normed, true);
    ops->silu_gate(w->backend, w->pairs_gate, w->pairs_up,
                   (size_t)n_tokens * (size_t)experts->n_used * (size_t)experts->n_ff);
    const struct product down = {&layer->experts_down, NULL, w->pairs_out, false};
    ops->matmul_experts(w->backend, &down, 1, w->pairs_gate, false);
    ops->sum_experts(w->backend, w->x, w->pairs_out, model->hparams.n_embd);
    if (!layer->shared_gate.data)
        return;
    const struct product shared[] = {{&layer->shared_gate, NULL, w->gate, false},
                                     {&layer->shared_up, NULL, w->up, false}};
    multiply(w, shared, 2, w->normed, n_tokens);
    ops->silu_gate(w->backend, w->gate, w->up, (size_t)n_tokens * (size_t)layer->shared_up.n_rows);
    const struct product shared_down = {&layer->shared_down, NULL, w->x, true};
    multiply(w, &shared_down, 1, w->gate, n_tokens);
}

/* ---- all layers ---- */

static void evaluate_layer(const struct model *model, int32_t index, struct workspace *w,
                           const struct slice_of_tokens *slice)
{
    const struct hparams *h = &model->hparams;
    const struct layer *layer = &model->layers[index];
    const struct backend_ops *ops = w->backend->ops;
    ops->norm(w->backend, w->normed, w->x, &layer->attn_norm, if_there(&layer->attn_norm_bias), slice->n,
              h->norm_epsilon, index - 1);
    (model->family->latent ? attend_latent : attend_plain)(model, layer, index, w, slice);
    const struct product output = {&layer->attn_output, if_there(&layer->attn_output_bias), w->x, true};
    multiply(w, &output, 1, w->attended, slice->n);
    ops->norm(w->backend, w->normed, w->x, &layer->ffn_norm, if_there(&layer->ffn_norm_bias), slice->n, h->norm_epsilon,
              index);
    (layer->router.data ? ffn_experts : ffn_dense)(model, layer, w, slice->n);
}

/* Layers that take longer are stopped in the middle when cancel is set: 50 ms are the most that anybody should wait. */
enum { LONG_LAYER_NS = 15 * 1000 * 1000 };

/* Whether a layer of n tokens may take long, going by the slice before: more tokens take longer, fewer perhaps as long. */
static bool may_take_long(const struct workspace *w, int32_t n)
{
    uint64_t times = n > w->layer_tokens ? (uint64_t)(n / (w->layer_tokens ? w->layer_tokens : 1)) + 1 : 1;
    return w->layer_ns == 0 || w->layer_ns * times > LONG_LAYER_NS;
}

static bool is_set(const atomic_bool *cancel)
{
    return cancel && atomic_load_explicit(cancel, memory_order_relaxed);
}

static void copy_rows(struct workspace *w, float *to, const float *from, int32_t n, int32_t n_embd)
{
    w->backend->ops->copy_columns(w->backend, to, n_embd, from, n_embd, n, n_embd);
}

/* All that are not done yet.  STATUS_CANCELLED: w->n_done are, and w->x is what the last of them made. */
static enum status evaluate_layers(const struct model *model, struct workspace *w, const struct slice_of_tokens *slice,
                                   const atomic_bool *cancel)
{
    const struct hparams *h = &model->hparams;
    struct backend *backend = w->backend;
    bool stops_within = cancel && may_take_long(w, slice->n), was_stopped = false;
    uint64_t began = clock_now_ns();
    if (slice->n_done == 0)
        backend->ops->embed(backend, w->x, &model->token_embd, slice->ids, slice->n);
    atomic_store(&backend->was_stopped, false);
    backend->cancel = stops_within ? cancel : NULL;
    for (w->n_done = slice->n_done; w->n_done < h->n_layer && !was_stopped && !is_set(cancel);) {
        if (stops_within)
            copy_rows(w, w->before, w->x, slice->n, h->n_embd);
        evaluate_layer(model, w->n_done, w, slice);
        was_stopped = atomic_load(&backend->was_stopped);
        w->n_done += !was_stopped;
    }
    backend->cancel = NULL;
    if (was_stopped)
        copy_rows(w, w->x, w->before, slice->n, h->n_embd);
    if (w->n_done < h->n_layer)
        return STATUS_CANCELLED;
    if (w->n_done > slice->n_done) {
        w->layer_ns = (clock_now_ns() - began) / (uint64_t)(w->n_done - slice->n_done);
        w->layer_tokens = slice->n;
    }
    return STATUS_OK;
}

enum status forward_slice(const struct model *model, struct workspace *w, const struct slice_of_tokens *slice,
                          const atomic_bool *cancel, float *logits, struct error *error)
{
    const struct hparams *h = &model->hparams;
    const struct backend_ops *ops = w->backend->ops;
    enum status status = h->kv_lora_rank ? reserve_attention(w, h, slice, error) : STATUS_OK;
    if (status)
        return status;
    w->backend->as_alone = slice->as_alone;
    status = evaluate_layers(model, w, slice, cancel);
    if (status) {
        ops->read(w->backend, logits, w->logits, 0, NULL); /* waits, and forgets what this slice did */
        return error_set(error, status, "cancelled");
    }
    if (slice->n_logits > 0) {
        const float *last = w->x + (int64_t)(slice->n - slice->n_logits) * h->n_embd;
        ops->norm(w->backend, w->normed, last, &model->output_norm, if_there(&model->output_norm_bias), slice->n_logits,
                  h->norm_epsilon, h->n_layer - 1);
        const struct product output = {&model->output, NULL, w->logits, false};
        multiply(w, &output, 1, w->normed, slice->n_logits);
    }
    size_t n_numbers = (size_t)slice->n_logits * (size_t)h->n_vocab;
    status = ops->read(w->backend, logits, w->logits, n_numbers, error);
    for (size_t i = 0; !status && i < n_numbers; i++)
        if (!isfinite(logits[i]))
            status = error_set(error, STATUS_NUMERIC, "the output layer computes numbers that are not finite");
    /* Weights that a shrinking file took away read as zeros: such a result is void. */
    if ((status == STATUS_OK || status == STATUS_NUMERIC) && gguf_is_broken(model->gguf))
        status = error_set(error, STATUS_IO, "the model's file was cut short while it was in use");
    return status;
}
