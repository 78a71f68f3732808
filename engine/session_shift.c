/* session_shift: takes tokens out of the middle of a session, so that a full context goes on without a new evaluation. */
#include <string.h>

#include "engine/session_private.h"

static struct cell_move move_of(const struct hparams *h, size_t to, size_t from, size_t n)
{
    struct cell_move move = {(int32_t)to, (int32_t)from, (int32_t)n, h->n_head_kv, h->n_embd_head_k, 0};
    if (h->kv_lora_rank) { /* one key for all heads: the latent numbers, then what is rotated */
        move.n_heads = 1;
        move.width = h->cache_k;
        move.first_rotated = h->kv_lora_rank;
    }
    return move;
}

/* Moves cells [from, from + n) to `to`; the session then holds the tokens before it, whatever happens.  Where forks have them, too, they are read from a fork of our own, since writing
 * parts from what is shared. */
static enum status move_cells(struct session *session, size_t to, size_t from, size_t n, struct error *error)
{
    const struct model *model = session->engine->model;
    struct backend *backend = session->engine->backend;
    struct kvcache *cache = &session->cache, source = *cache;
    size_t n_shared;
    kvcache_held(cache, &n_shared);
    enum status status = n_shared ? kvcache_fork(cache, (int32_t)session->tokens.n, &source, error) : STATUS_OK;
    if (status)
        return status;
    session_forget_cut(session);
    session->tokens.n = to;
    session->has_logits = false;
    status = kvcache_write(cache, (int32_t)to, (int32_t)n, error);
    if (!status) {
        const struct cell_move move = move_of(&model->hparams, to, from, n);
        const struct rope_settings rope = {model->family->rope, &model->hparams.rope,
                                           model->rope_factors.data ? &model->rope_factors : NULL};
        backend->ops->kv_move(backend, cache, n_shared ? &source : cache, &move, &rope);
        status = backend->ops->read(backend, session->logits, session->logits, 0, error);
    }
    if (n_shared)
        kvcache_deinit(&source);
    return status;
}

enum status session_shift(struct session *session, size_t from, size_t n, struct error *error)
{
    size_t n_past = session->tokens.n;
    if (from > n_past || n > n_past - from)
        return error_set(error, STATUS_RANGE, "tokens %zu to %zu can't be taken out of %zu", from, from + n, n_past);
    size_t n_behind = n_past - from - n;
    bool has_logits = session->has_logits && (n_behind || n == 0);
    enum status status = n && n_behind ? move_cells(session, from, from + n, n_behind, error) : STATUS_OK;
    if (status)
        return status;
    memmove(session->tokens.ids + from, session->tokens.ids + from + n, n_behind * sizeof *session->tokens.ids);
    session->tokens.n = n_past - n;
    session->ahead.n = session->ahead.n_taken = 0; /* their cells stayed where they were */
    session->has_logits = has_logits;
    return STATUS_OK;
}
