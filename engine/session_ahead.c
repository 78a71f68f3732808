/* session_ahead: one token more, and tokens that are evaluated before anybody asks for them.
 *
 *   the session's tokens          ahead
 *   [0 ............. tokens.n)    ids[n_taken] ... ids[n - 1]      cells of both are in the cache
 *                           │             │
 *        session->logits ───┘             └── the next row of logits, and so on
 *
 * session_append evaluates its token together with a draft of what may follow.  Where the next token that is asked for is the
 * one that was drafted, its cells and logits are there already; any other voids what lies ahead, and its cells are written
 * over.  So whoever appends token by token and samples between, as everybody does, sees no difference but in time: no more
 * tokens are evaluated at once than the backend promises the same numbers for, to the bit, as one by one.
 *
 * Invariant: ids ahead are those of the cells behind the session's tokens.  Whatever evaluates or takes away tokens voids
 * them: session_evaluate does, and tokens go away with has_logits. */
#include "engine/session_private.h"

#include <stdlib.h>
#include <string.h>

int32_t ahead_exact_tokens(const struct session *session)
{
    int32_t n = session->engine->backend->n_exact, expand_from = session->shared->workspace.expand_from;
    /* Latent attention goes another way in longer slices. */
    if (n >= expand_from)
        n = expand_from > 1 ? expand_from - 1 : 1;
    return n < session->options.n_slice ? n : session->options.n_slice;
}

enum status ahead_init(struct session *session, struct error *error)
{
    struct ahead *ahead = &session->ahead;
    const struct model *model = session->engine->model;
    int32_t n = ahead_exact_tokens(session) - 1;
    ahead->n_most = !session->options.drafts ? 0 : n < DRAFT_MAX ? n : DRAFT_MAX;
    size_t n_rows = (size_t)ahead->n_most + 1;
    session->logits_memory = calloc(n_rows * (size_t)model->hparams.n_vocab, sizeof *session->logits_memory);
    session->logits = session->logits_memory;
    if (!session->logits_memory)
        return error_set(error, STATUS_MEMORY, "out of memory");
    if (!ahead->n_most)
        return STATUS_OK;
    bool is_sparse = model->hparams.experts.n_expert > 0;
    enum status status = workspace_reserve_logits(&session->shared->workspace, model, ahead->n_most + 1, error);
    return status ? status : draft_new((size_t)session->options.n_ctx, is_sparse, &ahead->draft, error);
}

void ahead_deinit(struct session *session)
{
    draft_free(session->ahead.draft);
    free(session->logits_memory);
}

/* A draft of what may follow the token that is about to be appended. */
static int32_t propose(struct session *session, int32_t id, int32_t *ids)
{
    struct draft *draft = session->ahead.draft;
    size_t n_past = session->tokens.n, left = (size_t)session->options.n_ctx - n_past - 1;
    draft_follow(draft, session->tokens.ids, n_past);
    draft_push(draft, id, false);
    size_t most = (size_t)session->ahead.n_most < left ? (size_t)session->ahead.n_most : left;
    size_t n = draft_propose(draft, ids, most);
    for (size_t i = 0; i < n; i++)
        if (engine_token_is_end(session->engine, ids[i]))
            return (int32_t)i; /* nobody appends what ends an answer */
    return (int32_t)n;
}

enum status ahead_evaluate(struct session *session, const int32_t *ids, int32_t n, struct error *error)
{
    struct ahead *ahead = &session->ahead;
    enum status status = session_evaluate(session, ids, n, n, session->logits_memory, error);
    if (status)
        return status;
    session->logits = session->logits_memory;
    session->has_logits = true;
    session->tokens.n -= (size_t)n - 1;
    for (int32_t i = 1; i < n; i++)
        ahead->ids[i - 1] = ids[i];
    ahead->n = n - 1;
    ahead->n_taken = 0;
    return STATUS_OK;
}

bool ahead_take(struct session *session, int32_t id)
{
    struct ahead *ahead = &session->ahead;
    if (!session->has_logits || ahead->n_taken >= ahead->n || ahead->ids[ahead->n_taken] != id)
        return false;
    ahead->n_taken++;
    tokens_append(&session->tokens, id);
    session->logits += session->engine->model->hparams.n_vocab;
    draft_push(ahead->draft, id, true);
    return true;
}

void ahead_void(struct session *session)
{
    size_t n_vocab = (size_t)session->engine->model->hparams.n_vocab;
    if (session->has_logits && session->logits != session->logits_memory)
        memmove(session->logits_memory, session->logits, n_vocab * sizeof *session->logits);
    session->logits = session->logits_memory;
    session->ahead.n = session->ahead.n_taken = 0;
}

enum status session_append(struct session *session, int32_t id, struct error *error)
{
    const struct ahead *ahead = &session->ahead;
    enum status status = session_check_ids(session, &id, 1, error);
    if (status)
        return status;
    if (session->tokens.n >= (size_t)session->options.n_ctx)
        return error_set(error, STATUS_RANGE, "the context of %d tokens is full", session->options.n_ctx);
    if (ahead_take(session, id))
        return STATUS_OK;
    if (!ahead->draft)
        return ahead_evaluate(session, &id, 1, error);
    int32_t ids[DRAFT_MAX + 1] = {id};
    int32_t n = 1 + propose(session, id, ids + 1);
    uint64_t began = clock_now_ns();
    status = ahead_evaluate(session, ids, n, error);
    if (!status)
        draft_measured(ahead->draft, (size_t)n - 1, clock_now_ns() - began);
    return status;
}

struct draft_counts session_draft_counts(const struct session *session)
{
    return session->ahead.draft ? draft_counts(session->ahead.draft) : (struct draft_counts){0, 0};
}

enum status session_refer(struct session *session, const int32_t *ids, size_t n, struct error *error)
{
    enum status status = session_check_ids(session, ids, n, error);
    return status || !session->ahead.draft ? status : draft_refer(session->ahead.draft, ids, n, error);
}

void session_forget_references(struct session *session)
{
    if (session->ahead.draft)
        draft_forget(session->ahead.draft);
}
