/* session_batch: the next tokens of several sessions at once, so that weights are read once for all of them.
 *
 * No more sessions go together than the backend promises the same numbers for, to the bit, as alone: what a session answers
 * doesn't depend on its company.  Products are common; rotation, cells and attention are each session's own. */
#include "engine/session_private.h"

#include <stdlib.h>
#include <string.h>

enum { BATCH_MOST = 64 }; /* sessions at once, whatever the backend promises: what is kept on the stack */

static enum status check_batch(struct session *const *sessions, const int32_t *ids, size_t n, struct error *error)
{
    for (size_t i = 0; i < n; i++) {
        const struct session *session = sessions[i];
        enum status status = session_check_ids(session, &ids[i], 1, error);
        if (status)
            return status;
        if (session->engine != sessions[0]->engine)
            return error_set(error, STATUS_ARGUMENT, "sessions of two engines can't be evaluated together");
        if (session->tokens.n >= (size_t)session->options.n_ctx)
            return error_set(error, STATUS_RANGE, "the context of %d tokens is full", session->options.n_ctx);
        for (size_t k = 0; k < i; k++)
            if (sessions[k] == session)
                return error_set(error, STATUS_ARGUMENT, "a session can't have two next tokens");
    }
    return STATUS_OK;
}

static enum status reserve_rows(struct shared_workspace *shared, const struct model *model, size_t n,
                                struct error *error)
{
    if (n <= shared->n_rows)
        return STATUS_OK;
    float *rows = realloc(shared->rows, n * (size_t)model->hparams.n_vocab * sizeof *rows);
    if (!rows)
        return error_set(error, STATUS_MEMORY, "no memory for the logits of %zu sessions", n);
    shared->rows = rows;
    shared->n_rows = n;
    return STATUS_OK;
}

/* Sessions that have none of these tokens yet, and may go together.  None of them changes but by STATUS_OK; what lay ahead of
 * their tokens is void anyway. */
static enum status evaluate_together(struct session *const *sessions, const int32_t *ids, size_t n,
                                     const atomic_bool *cancel, struct error *error)
{
    struct shared_workspace *shared = sessions[0]->shared;
    const struct model *model = sessions[0]->engine->model;
    size_t n_vocab = (size_t)model->hparams.n_vocab;
    struct slice_part parts[BATCH_MOST];
    enum status status = workspace_reserve_logits(&shared->workspace, model, (int32_t)n, error);
    if (!status)
        status = reserve_rows(shared, model, n, error);
    shared->cut.session = NULL;
    for (size_t i = 0; !status && i < n; i++) {
        struct session *session = sessions[i];
        session_forget_cut(session);
        ahead_void(session);
        parts[i] = (struct slice_part){&session->cache, 1, (int32_t)session->tokens.n};
        status = kvcache_write(&session->cache, parts[i].first, 1, error);
    }
    const struct slice_of_tokens slice = {ids, parts, (int32_t)n, (int32_t)n, (int32_t)n, .as_alone = true};
    if (!status)
        status = forward_slice(model, &shared->workspace, &slice, cancel, shared->rows, error);
    for (size_t i = 0; !status && i < n; i++) {
        struct session *session = sessions[i];
        memcpy(session->logits, shared->rows + i * n_vocab, n_vocab * sizeof *session->logits);
        session->has_logits = true;
        tokens_append(&session->tokens, ids[i]); /* there is room for the whole context */
    }
    return status;
}

enum status session_append_many(struct session *const *sessions, const int32_t *ids, size_t n,
                                const atomic_bool *cancel, struct error *error)
{
    enum status status = n ? check_batch(sessions, ids, n, error) : STATUS_OK;
    struct session *together[BATCH_MOST];
    int32_t next[BATCH_MOST];
    size_t n_together = 0, most = BATCH_MOST;
    for (size_t i = 0; !status && i < n; i++) {
        if (ahead_take(sessions[i], ids[i]))
            continue;
        size_t own = (size_t)ahead_exact_tokens(sessions[i]), fewer = own < most ? own : most;
        if (n_together >= fewer && n_together > 0) {
            status = evaluate_together(together, next, n_together, cancel, error);
            n_together = 0;
            fewer = own < BATCH_MOST ? own : BATCH_MOST;
        }
        most = fewer;
        together[n_together] = sessions[i];
        next[n_together++] = ids[i];
    }
    return status || n_together == 0 ? status : evaluate_together(together, next, n_together, cancel, error);
}
