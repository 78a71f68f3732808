/* repo_lines: see repo_lines.h. */
#include "repo/repo_lines.h"

#include <string.h>

#include "repo/repo_internal.h"

enum { DIFFED_MOST = 4 << 20 }; /* bytes of either side: larger files are looked at by nobody */

struct changed {
    bool (*each)(void *context, uint32_t line, uint32_t end_line);
    void *context;
    bool stopped;
};

static int on_hunk(const git_diff_delta *delta, const git_diff_hunk *hunk, void *context)
{
    struct changed *changed = context;
    (void)delta;
    int first = hunk->new_start > 0 ? hunk->new_start : 1, n = hunk->new_lines > 0 ? hunk->new_lines : 1;
    changed->stopped = !changed->each(changed->context, (uint32_t)first, (uint32_t)(first + n - 1));
    return changed->stopped ? GIT_EUSER : 0;
}

static uint32_t lines_of(struct slice text)
{
    uint32_t n = 0;
    for (const char *at = text.data, *end = at + text.size; at < end; n++) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        at = newline ? newline + 1 : end;
    }
    return n;
}

/* HEAD's blob of a path; NULL where there is none. */
static int find_blob(struct repo *repo, const char *path, git_blob **out)
{
    git_object *tree = NULL;
    git_tree_entry *entry = NULL;
    *out = NULL;
    int code = git_revparse_single(&tree, repo->git, "HEAD^{tree}");
    if (code == 0)
        code = git_tree_entry_bypath(&entry, (git_tree *)tree, path);
    if (code == 0 && git_tree_entry_type(entry) == GIT_OBJECT_BLOB)
        code = git_blob_lookup(out, repo->git, git_tree_entry_id(entry));
    git_tree_entry_free(entry);
    git_object_free(tree);
    return code == GIT_ENOTFOUND || code == GIT_EUNBORNBRANCH ? 0 : code;
}

enum status repo_changed_lines(struct repo *repo, const struct repo_file *file, struct slice text,
                               bool (*each)(void *context, uint32_t line, uint32_t end_line), void *context,
                               struct error *error)
{
    struct changed changed = {each, context, false};
    git_blob *blob = NULL;
    git_diff_options options = {.version = GIT_DIFF_OPTIONS_VERSION, .context_lines = 0, .interhunk_lines = 2};
    if (!repo->git || repo->is_bare || file->is_converted || text.size > DIFFED_MOST)
        return STATUS_OK;
    pthread_mutex_lock(&repo->lock);
    int code = find_blob(repo, file->path, &blob);
    if (code == 0 && blob && git_blob_rawsize(blob) <= DIFFED_MOST)
        code = git_diff_blob_to_buffer(blob, NULL, text.data, text.size, NULL, &options, NULL, NULL, on_hunk, NULL,
                                       &changed);
    else if (code == 0 && !blob && text.size)
        (void)each(context, 1, lines_of(text));
    git_blob_free(blob);
    pthread_mutex_unlock(&repo->lock);
    return code == 0 || changed.stopped ? STATUS_OK : repo_git_fail(code, file->path, error);
}
