/* session_save: sessions on disk.  The file is kvfile's; here is what it must agree with: the model, adapters, instruction
 * set and version that made the cells. */
#include <stdio.h>
#include <string.h>

#include "engine/kvfile.h"
#include "engine/session_private.h"

static struct kvfile_fit fit_of(const struct session *session)
{
    struct model_identity identity = engine_identity(session->engine);
    return (struct kvfile_fit){.model = {identity.sums[0], identity.sums[1]},
                               .n_vocab = session->engine->model->hparams.n_vocab};
}

/* The widths and types of a cache stand in the file itself; for the name one number of them does. */
struct session_key session_key(const struct session *session)
{
    struct model_identity identity = engine_identity(session->engine);
    int32_t type = (int32_t)session->cache.type;
    model_identity_add(&identity, &type, sizeof type);
    struct session_key key;
    snprintf(key.text, sizeof key.text, "%016llx%016llx", (unsigned long long)identity.sums[0],
             (unsigned long long)identity.sums[1]);
    return key;
}

enum status session_save(const struct session *session, const char *path, struct error *error)
{
    struct kvfile_fit fit = fit_of(session);
    return kvfile_write(path, &fit, &session->cache, session->tokens.ids, session->tokens.n, error);
}

enum status session_saved_tokens(const struct session *session, const char *path, struct tokens *out,
                                 struct error *error)
{
    struct kvfile_fit fit = fit_of(session);
    struct kvfile *file;
    enum status status = kvfile_open(path, &fit, &session->cache, &file, error);
    if (status)
        return status;
    size_t n;
    const int32_t *ids = kvfile_tokens(file, &n);
    tokens_append_all(out, ids, n);
    kvfile_close(file);
    return tokens_status(out, error);
}

static enum status restore_from(struct session *session, const struct kvfile *file, size_t n, struct error *error)
{
    size_t n_saved, n_good, same = 0;
    const int32_t *ids = kvfile_tokens(file, &n_saved);
    n = n < n_saved ? n : n_saved;
    if (n > (size_t)session->options.n_ctx)
        return error_set(error, STATUS_RANGE, "%zu tokens are more than the context of %d", n, session->options.n_ctx);
    while (same < n && same < session->tokens.n && session->tokens.ids[same] == ids[same])
        same++;
    if (same == n && session->tokens.n == n)
        return STATUS_OK;
    if (same < n)
        same -= same % KVFILE_CELLS;
    session_forget_cut(session);
    session->tokens.n = same;
    session->has_logits = false;
    enum status status = kvfile_read(file, session->engine->pool, &session->cache, same, n, &n_good, error);
    tokens_append_all(&session->tokens, ids + same, n_good - same);
    return status;
}

enum status session_restore(struct session *session, const char *path, size_t n, struct error *error)
{
    struct kvfile_fit fit = fit_of(session);
    struct kvfile *file;
    enum status status = kvfile_open(path, &fit, &session->cache, &file, error);
    if (status)
        return status;
    status = restore_from(session, file, n, error);
    kvfile_close(file);
    return status;
}
