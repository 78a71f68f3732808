/* forward: see forward.h.  A layer of a decoder-only transformer, read from top to bottom:
 *
 *   x ──► norm ──► q, k, v ──► rotate q, k ──► store k, v ──► attention ──► output ──(+)──► norm ──► gate, up ──► down ──(+)──► x
 *   └───────────────────────────────────────────────────────────────────────────────┘ └───────────────────────────────────┘
 */
#include "engine/forward.h"

enum status workspace_init(struct workspace *workspace, struct backend *backend, const struct model *model,
                           int32_t n_slice, struct error *error)
{
    const struct hparams *h = &model->hparams;
    *workspace = (struct workspace){.backend = backend, .n_slice = n_slice, .n_logits = 1};
    const struct {
        float **memory;
        int64_t width;
    } parts[] = {
        {&workspace->x, h->n_embd},
        {&workspace->normed, h->n_embd},
        {&workspace->q, (int64_t)h->n_head * h->n_embd_head_k},
        {&workspace->k, (int64_t)h->n_head_kv * h->n_embd_head_k},
        {&workspace->v, (int64_t)h->n_head_kv * h->n_embd_head_v},
        {&workspace->attended, (int64_t)h->n_head * h->n_embd_head_v},
        {&workspace->gate, h->n_ff},
        {&workspace->up, h->n_ff},
    };
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        *parts[i].memory = backend->ops->alloc(backend, (size_t)n_slice * (size_t)parts[i].width);
        if (!*parts[i].memory)
            return error_set(error, STATUS_MEMORY, "no memory for slices of %d tokens (take a smaller --slice)",
                             n_slice);
    }
    workspace->logits = backend->ops->alloc(backend, (size_t)h->n_vocab);
    return workspace->logits ? STATUS_OK : error_set(error, STATUS_MEMORY, "out of memory");
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

void workspace_deinit(struct workspace *workspace)
{
    if (!workspace->backend)
        return;
    float *parts[] = {workspace->x,        workspace->normed, workspace->q,  workspace->k,     workspace->v,
                      workspace->attended, workspace->gate,   workspace->up, workspace->logits};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        workspace->backend->ops->release(workspace->backend, parts[i]);
    *workspace = (struct workspace){0};
}

static const struct weight *bias_of(const struct weight *bias)
{
    return bias->data ? bias : NULL;
}

static void layer_attention(const struct model *model, const struct layer *layer, int32_t index, struct workspace *w,
                            struct kvcache *cache, const struct slice_of_tokens *slice)
{
    const struct hparams *h = &model->hparams;
    const struct backend_ops *ops = w->backend->ops;
    ops->rms_norm(w->backend, w->normed, w->x, &layer->attn_norm, slice->n, h->norm_epsilon, index);
    const struct product projections[] = {
        {&layer->attn_q, bias_of(&layer->attn_q_bias), w->q, false},
        {&layer->attn_k, bias_of(&layer->attn_k_bias), w->k, false},
        {&layer->attn_v, bias_of(&layer->attn_v_bias), w->v, false},
    };
    ops->matmul(w->backend, projections, 3, w->normed, slice->n);
    const struct rope_settings rope = {model->family->rope, h->n_rot, h->rope_theta, h->rope_scale,
                                       bias_of(&model->rope_factors)};
    ops->rope(w->backend, w->q, slice->n, slice->first, h->n_head, h->n_embd_head_k, &rope);
    ops->rope(w->backend, w->k, slice->n, slice->first, h->n_head_kv, h->n_embd_head_k, &rope);
    ops->kv_store(w->backend, cache, index, slice->first, slice->n, w->k, w->v);
    const struct attention_settings attention = {slice->n,         slice->first,     h->n_head,         h->n_head_kv,
                                                 h->n_embd_head_k, h->n_embd_head_v, h->attention_scale};
    ops->attention(w->backend, w->attended, w->q, cache, index, &attention);
    const struct product output = {&layer->attn_output, NULL, w->x, true};
    ops->matmul(w->backend, &output, 1, w->attended, slice->n);
}

static void layer_ffn(const struct model *model, const struct layer *layer, int32_t index, struct workspace *w,
                      int32_t n_tokens)
{
    const struct hparams *h = &model->hparams;
    const struct backend_ops *ops = w->backend->ops;
    ops->rms_norm(w->backend, w->normed, w->x, &layer->ffn_norm, n_tokens, h->norm_epsilon, index);
    const struct product gate_up[] = {{&layer->ffn_gate, NULL, w->gate, false}, {&layer->ffn_up, NULL, w->up, false}};
    ops->matmul(w->backend, gate_up, 2, w->normed, n_tokens);
    ops->silu_gate(w->backend, w->gate, w->up, (size_t)n_tokens * (size_t)h->n_ff);
    const struct product down = {&layer->ffn_down, NULL, w->x, true};
    ops->matmul(w->backend, &down, 1, w->gate, n_tokens);
}

enum status forward_slice(const struct model *model, struct workspace *w, struct kvcache *cache,
                          const struct slice_of_tokens *slice, const atomic_bool *cancel, float *logits,
                          struct error *error)
{
    const struct hparams *h = &model->hparams;
    const struct backend_ops *ops = w->backend->ops;
    ops->embed(w->backend, w->x, &model->token_embd, slice->ids, slice->n);
    for (int32_t i = 0; i < h->n_layer; i++) {
        if (cancel && atomic_load_explicit(cancel, memory_order_relaxed))
            return error_set(error, STATUS_CANCELLED, "cancelled");
        layer_attention(model, &model->layers[i], i, w, cache, slice);
        layer_ffn(model, &model->layers[i], i, w, slice->n);
    }
    if (slice->n_logits > 0) {
        const float *last = w->x + (int64_t)(slice->n - slice->n_logits) * h->n_embd;
        ops->rms_norm(w->backend, w->normed, last, &model->output_norm, slice->n_logits, h->norm_epsilon, h->n_layer);
        const struct product output = {&model->output, NULL, w->logits, false};
        ops->matmul(w->backend, &output, 1, w->normed, slice->n_logits);
    }
    size_t n_numbers = (size_t)slice->n_logits * (size_t)h->n_vocab;
    enum status status = ops->read(w->backend, logits, w->logits, n_numbers, error);
    /* Weights that a shrinking file took away read as zeros: such a result is void. */
    if (status == STATUS_OK && gguf_is_broken(model->gguf))
        status = error_set(error, STATUS_IO, "the model's file was cut short while it was in use");
    return status;
}
