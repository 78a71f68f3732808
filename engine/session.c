/* session: one sequence of tokens and its KV cache.  The contract is in engine.h.
 *
 * Invariant: cells [0, tokens.n) of the cache hold exactly what the model computes of tokens.  logits belong to the last
 * token where has_logits is set.  Whatever changes tokens keeps both, or clears has_logits. */
#include "engine/session_private.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_SLICE = 8192, SCORE_SLICE = 128 };

/* Without cells and workspace. */
static enum status session_new(struct engine *engine, const struct session_options *options, struct session **out,
                               struct error *error)
{
    struct session *session = calloc(1, sizeof *session);
    if (!session)
        return error_set(error, STATUS_MEMORY, "out of memory");
    session->engine = engine;
    session->options = *options;
    /* Room for every token that can come: so that appending one never fails between cells and tokens. */
    session->tokens.ids = calloc((size_t)options->n_ctx, sizeof *session->tokens.ids);
    session->tokens.capacity = session->tokens.ids ? (size_t)options->n_ctx : 0;
    if (!session->tokens.ids) {
        session_close(session);
        return error_set(error, STATUS_MEMORY, "out of memory");
    }
    *out = session;
    return STATUS_OK;
}

static enum status make_workspace(struct session *session, struct error *error)
{
    session->shared = calloc(1, sizeof *session->shared);
    if (!session->shared)
        return error_set(error, STATUS_MEMORY, "out of memory");
    session->shared->n_users = 1;
    session->shared->cut.ids = calloc((size_t)session->options.n_slice, sizeof(int32_t));
    if (!session->shared->cut.ids)
        return error_set(error, STATUS_MEMORY, "out of memory");
    return workspace_init(&session->shared->workspace, session->engine->backend, session->engine->model,
                          session->options.n_slice, session->options.expand_from, error);
}

enum status session_open(struct engine *engine, const struct session_options *options, struct session **out,
                         struct error *error)
{
    const struct hparams *h = &engine->model->hparams;
    struct session_options settled = *options;
    if (settled.n_ctx == 0)
        settled.n_ctx = engine_default_context(engine, settled.kv);
    if (settled.n_slice == 0)
        settled.n_slice = DEFAULT_SLICE;
    if (settled.n_ctx < 1)
        return error_set(error, STATUS_ARGUMENT, "a context of %d tokens: must be at least 1", settled.n_ctx);
    if (settled.n_slice < 1 || settled.n_slice > MAX_SLICE)
        return error_set(error, STATUS_ARGUMENT, "slices of %d tokens: must be 1 to %d", settled.n_slice, MAX_SLICE);
    if (settled.expand_from < 0)
        return error_set(error, STATUS_ARGUMENT, "slices are expanded from %d tokens on: must not be negative",
                         settled.expand_from);
    if (settled.n_slice > settled.n_ctx)
        settled.n_slice = settled.n_ctx;
    struct session *session;
    enum status status = session_new(engine, &settled, &session, error);
    if (status)
        return status;
    status = kvcache_init(&session->cache, settled.kv, settled.n_ctx, h->n_layer, h->n_head_kv, h->cache_k, h->cache_v,
                          h->kv_lora_rank ? h->kv_lora_rank : h->n_embd_head_v, error);
    if (!status)
        status = make_workspace(session, error);
    if (!status)
        status = ahead_init(session, error);
    if (status) {
        session_close(session);
        return status;
    }
    *out = session;
    return STATUS_OK;
}

enum status session_fork(const struct session *session, struct session **out, struct error *error)
{
    struct session *fork;
    enum status status = session_new(session->engine, &session->options, &fork, error);
    if (status)
        return status;
    session_forget_cut(session); /* cells behind the tokens are nobody's */
    status = kvcache_fork(&session->cache, (int32_t)session->tokens.n, &fork->cache, error);
    fork->shared = session->shared;
    fork->shared->n_users++;
    if (!status)
        status = ahead_init(fork, error);
    if (!status && fork->ahead.draft)
        draft_learn_from(fork->ahead.draft, session->ahead.draft);
    if (status) {
        session_close(fork);
        return status;
    }
    tokens_append_all(&fork->tokens, session->tokens.ids, session->tokens.n);
    fork->has_logits = session->has_logits;
    if (fork->has_logits)
        memcpy(fork->logits, session->logits, (size_t)engine_n_vocab(session->engine) * sizeof *fork->logits);
    *out = fork;
    return STATUS_OK;
}

void session_close(struct session *session)
{
    if (!session)
        return;
    if (session->shared && session->shared->cut.session == session)
        session_forget_cut(session);
    if (session->shared && --session->shared->n_users == 0) {
        workspace_deinit(&session->shared->workspace);
        free(session->shared->cut.ids);
        free(session->shared->rows);
        free(session->shared);
    }
    kvcache_deinit(&session->cache);
    tokens_deinit(&session->tokens);
    ahead_deinit(session);
    free(session);
}

int32_t session_n_ctx(const struct session *session)
{
    return session->options.n_ctx;
}

const int32_t *session_tokens(const struct session *session, size_t *n)
{
    *n = session->tokens.n;
    return session->tokens.ids;
}

size_t session_kv_bytes(const struct session *session)
{
    return kvcache_held(&session->cache, NULL);
}

size_t session_kv_shared_bytes(const struct session *session)
{
    size_t n_shared;
    kvcache_held(&session->cache, &n_shared);
    return n_shared;
}

size_t session_kv_bytes_per_token(const struct session *session)
{
    return (session->cache.k_row_bytes + session->cache.v_row_bytes) * (size_t)session->cache.n_layer;
}

const float *session_logits(const struct session *session)
{
    return session->has_logits ? session->logits : NULL;
}

enum status session_check_ids(const struct session *session, const int32_t *ids, size_t n, struct error *error)
{
    int32_t n_vocab = session->engine->model->hparams.n_vocab;
    for (size_t i = 0; i < n; i++)
        if (ids[i] < 0 || ids[i] >= n_vocab)
            return error_set(error, STATUS_RANGE, "token id %d: the vocabulary has 0 to %d", ids[i], n_vocab - 1);
    return STATUS_OK;
}

/* How many of these tokens a cancelled slice has begun. */
static int32_t begun_tokens(const struct session *session, const int32_t *ids, int32_t n)
{
    const struct cut_slice *cut = &session->shared->cut;
    int32_t same = 0;
    if (cut->session == session && cut->first == session->tokens.n)
        while (same < n && same < cut->n && cut->ids[same] == ids[same])
            same++;
    return same;
}

enum status session_evaluate(struct session *session, const int32_t *ids, int32_t n, int32_t n_logits, float *logits,
                             struct error *error)
{
    struct workspace *workspace = &session->shared->workspace;
    struct cut_slice *cut = &session->shared->cut;
    /* A prompt's numbers may depend on how it is cut; those of tokens that are evaluated ahead must not. */
    bool as_alone = n_logits == n && n <= session->engine->backend->n_exact;
    int32_t n_done = !as_alone && begun_tokens(session, ids, n) == n ? cut->n_done : 0;
    const struct slice_part part = {&session->cache, n, (int32_t)session->tokens.n};
    const struct slice_of_tokens slice = {ids, &part, 1, n, n_logits, as_alone, n_done};
    session->has_logits = false;
    session->ahead.n = session->ahead.n_taken = 0;
    session_forget_cut(session);
    enum status status = kvcache_write(&session->cache, part.first, n, error);
    if (!status)
        status = forward_slice(session->engine->model, workspace, &slice, session->options.cancel, logits, error);
    if (status == STATUS_CANCELLED && workspace->n_done > 0) {
        memcpy(cut->ids, ids, (size_t)n * sizeof *ids);
        *cut = (struct cut_slice){session, cut->ids, n, workspace->n_done, session->tokens.n};
    }
    if (status)
        return status;
    tokens_append_all(&session->tokens, ids, (size_t)n);
    return tokens_status(&session->tokens, error);
}

/* Of `left` tokens: what a cancelled slice has begun, unless that is the lesser part of a slice, since weights are read for
 * every slice anew. */
static int32_t next_slice(const struct session *session, const int32_t *ids, size_t left)
{
    int32_t most = left < (size_t)session->options.n_slice ? (int32_t)left : session->options.n_slice;
    int32_t begun = begun_tokens(session, ids, most);
    return begun > most / 2 ? begun : most;
}

static void report_progress(const struct session *session, size_t done, size_t total)
{
    if (session->options.progress)
        session->options.progress(session->options.progress_context, "reading", done, total);
}

static size_t common_prefix(const struct session *session, const int32_t *ids, size_t n)
{
    size_t shared = 0;
    while (shared < n && shared < session->tokens.n && session->tokens.ids[shared] == ids[shared])
        shared++;
    return shared;
}

enum status session_sync(struct session *session, const int32_t *ids, size_t n, struct sync_report *report,
                         struct error *error)
{
    if (report)
        *report = (struct sync_report){0, 0};
    if (n == 0)
        return error_set(error, STATUS_ARGUMENT, "there is nothing to evaluate: no tokens");
    if (n > (size_t)session->options.n_ctx)
        return error_set(error, STATUS_RANGE, "%zu tokens are more than the context of %d", n, session->options.n_ctx);
    enum status status = session_check_ids(session, ids, n, error);
    if (status)
        return status;
    size_t kept = common_prefix(session, ids, n);
    if (kept == n && session->tokens.n == n && session->has_logits) {
        if (report)
            report->n_reused = n;
        return STATUS_OK;
    }
    /* The logits after the last token are wanted: it is evaluated again where they are gone. */
    if (kept == n)
        kept = n - 1;
    if (kept < session->tokens.n) {
        session->tokens.n = kept;
        session->has_logits = false;
    }
    if (report)
        report->n_reused = kept;
    while (session->tokens.n < n) {
        size_t done = session->tokens.n, left = n - done;
        int32_t now = next_slice(session, ids + done, left);
        bool is_last = (size_t)now == left;
        report_progress(session, done - kept, n - kept);
        status = session_evaluate(session, ids + done, now, is_last ? 1 : 0, session->logits, error);
        if (status)
            return status;
        session->has_logits = is_last;
        if (report)
            report->n_evaluated = session->tokens.n - kept;
    }
    report_progress(session, n - kept, n - kept);
    return STATUS_OK;
}

enum status session_score(struct session *session, const int32_t *ids, size_t n, size_t first, score_fn *score,
                          void *context, struct error *error)
{
    int32_t n_vocab = session->engine->model->hparams.n_vocab;
    if (n > (size_t)session->options.n_ctx)
        return error_set(error, STATUS_RANGE, "%zu tokens are more than the context of %d", n, session->options.n_ctx);
    enum status status = session_check_ids(session, ids, n, error);
    int32_t n_slice = session->options.n_slice < SCORE_SLICE ? session->options.n_slice : SCORE_SLICE;
    if (!status)
        status = workspace_reserve_logits(&session->shared->workspace, session->engine->model, n_slice, error);
    if (status)
        return status;
    float *logits = calloc((size_t)n_slice * (size_t)n_vocab, sizeof *logits);
    if (!logits)
        return error_set(error, STATUS_MEMORY, "out of memory");
    tokens_clear(&session->tokens);
    session->has_logits = false;
    bool wants_more = true;
    while (!status && wants_more && session->tokens.n < n) {
        size_t done = session->tokens.n, left = n - done;
        int32_t now = left < (size_t)n_slice ? (int32_t)left : n_slice;
        size_t skipped = first > done ? first - done : 0;
        int32_t n_logits = skipped < (size_t)now ? now - (int32_t)skipped : 0;
        report_progress(session, done, n);
        status = session_evaluate(session, ids + done, now, n_logits, logits, error);
        for (int32_t i = 0; !status && wants_more && i < n_logits; i++)
            wants_more = score(context, done + (size_t)(now - n_logits + i), logits + (int64_t)i * n_vocab);
    }
    free(logits);
    return status;
}
