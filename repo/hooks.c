/* hooks: see hooks.h. */
#include "repo/hooks.h"

#include <string.h>

#include "repo/repo_internal.h"

void hooks_place_deinit(struct hooks_place *place)
{
    buffer_deinit(&place->folder);
}

/* core.hooksPath, as git resolves it (githooks(5)). */
static enum status take_configured(struct repo *repo, git_config *config, struct hooks_place *out, struct error *error)
{
    git_config_entry *entry = NULL;
    git_buf path = GIT_BUF_INIT_CONST(NULL, 0);
    int code = git_config_get_entry(&entry, config, "core.hooksPath");
    if (code == GIT_ENOTFOUND)
        return STATUS_OK;
    if (!code) {
        out->is_shared = entry->level < GIT_CONFIG_LEVEL_LOCAL;
        out->is_configured = true;
        code = git_config_get_path(&path, config, "core.hooksPath");
    }
    if (!code && path.size && *path.ptr != '/')
        buffer_printf(&out->folder, "%s/", repo->root);
    if (!code)
        buffer_append(&out->folder, path.ptr, path.size);
    out->is_configured = out->is_configured && path.size;
    git_buf_dispose(&path);
    git_config_entry_free(entry);
    return code ? repo_git_fail(code, "core.hooksPath", error) : STATUS_OK;
}

enum status hooks_find(struct repo *repo, struct hooks_place *out, struct error *error)
{
    git_config *config = NULL;
    *out = (struct hooks_place){0};
    if (!repo->git)
        return error_set(error, STATUS_UNSUPPORTED, "%s is no git repository: it has no hooks", repo->root);
    if (repo->is_bare)
        return error_set(error, STATUS_UNSUPPORTED, "%s is a bare repository: nobody commits in it", repo->root);
    pthread_mutex_lock(&repo->lock);
    int code = git_repository_config_snapshot(&config, repo->git);
    enum status status = code ? repo_git_fail(code, "configuration", error) : take_configured(repo, config, out, error);
    git_config_free(config);
    pthread_mutex_unlock(&repo->lock);
    if (!status && !out->is_configured)
        buffer_printf(&out->folder, "%s/hooks", repo->common_folder);
    while (out->folder.size > 1 && out->folder.data[out->folder.size - 1] == '/')
        out->folder.data[--out->folder.size] = 0;
    if (!status)
        status = buffer_status(&out->folder, error);
    if (status)
        hooks_place_deinit(out);
    return status;
}
