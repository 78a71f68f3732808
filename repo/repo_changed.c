/* repo_changed: what differs between HEAD and the worktree. */
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "repo/repo_internal.h"

struct pending {
    struct repo *repo;
    const atomic_bool *cancel;
    struct error *error;
    struct repo_files files; /* of the worktree */
    bool *is_changed;        /* of each of them */
    struct repo_list list;   /* the result */
    bool has_modes;          /* core.fileMode */
};

/* ---- what is staged ---- */

static int take_path(struct pending *pending, const char *path)
{
    size_t low = 0, high = pending->files.n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(pending->files.files[middle].path, path);
        if (order == 0) {
            pending->is_changed[middle] = true;
            return 0;
        }
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    struct repo_file *file = repo_list_add(&pending->list, path, strlen(path), pending->error);
    if (!file)
        return GIT_EUSER;
    file->is_tracked = true;
    file->skip = REPO_SKIP_GONE;
    return 0;
}

/* Called by libgit2 for each difference as it is found; what returns 1 isn't collected. */
static int on_difference(const git_diff *diff, const git_diff_delta *delta, const char *pathspec, void *context)
{
    struct pending *pending = context;
    (void)diff;
    (void)pathspec;
    if (repo_cancelled(pending->cancel, pending->error) != STATUS_OK || take_path(pending, delta->old_file.path) != 0)
        return GIT_EUSER;
    return 1;
}

static enum status take_staged(struct pending *pending)
{
    git_object *head = NULL;
    git_diff *diff = NULL;
    git_diff_options options = {.version = GIT_DIFF_OPTIONS_VERSION,
                                .flags = GIT_DIFF_INCLUDE_TYPECHANGE | GIT_DIFF_SKIP_BINARY_CHECK,
                                .ignore_submodules = GIT_SUBMODULE_IGNORE_ALL,
                                .notify_cb = on_difference,
                                .payload = pending};
    /* Without a commit, all that is staged is new. */
    int code = git_revparse_single(&head, pending->repo->git, "HEAD^{tree}");
    if (code != 0 && code != GIT_ENOTFOUND && code != GIT_EUNBORNBRANCH)
        return repo_git_fail(code, "HEAD", pending->error);
    pending->error->status = STATUS_OK;
    code = git_diff_tree_to_index(&diff, pending->repo->git, (git_tree *)head, pending->repo->index, &options);
    git_diff_free(diff);
    git_object_free(head);
    if (code == 0 || pending->error->status != STATUS_OK)
        return pending->error->status;
    return repo_git_fail(code, "HEAD", pending->error);
}

/* ---- what is not ---- */

void repo_convert(struct repo *repo, const char *path, struct buffer *text)
{
    git_filter_list *filters = NULL;
    git_buf stored = {0};
    if (git_filter_list_load(&filters, repo->git, NULL, path, GIT_FILTER_TO_ODB, GIT_FILTER_DEFAULT) != 0 || !filters)
        return;
    if (git_filter_list_apply_to_buffer(&stored, filters, buffer_text(text), text->size) == 0) {
        buffer_clear(text);
        buffer_append(text, stored.ptr, stored.size);
    }
    git_buf_dispose(&stored);
    git_filter_list_free(filters);
}

/* Whether the file's content, read now, is what was staged.  The stamps don't agree, or are too young to tell. */
static bool is_same_content(struct pending *pending, const struct repo_file *file, const git_index_entry *entry,
                            struct buffer *text)
{
    enum { LIMIT = 64 << 20 }; /* larger files count as changed */
    struct repo *repo = pending->repo;
    git_oid id;
    buffer_clear(text);
    if (S_ISLNK(file->stamp.mode)) {
        char target[PATH_MAX];
        int fd = repo_open_below(repo->root_fd, file->path, file->path_size, O_PATH);
        ssize_t n = fd < 0 ? -1 : readlinkat(fd, "", target, sizeof target);
        if (fd >= 0)
            close(fd);
        if (n < 0)
            return false;
        buffer_append(text, target, (size_t)n);
    } else if (repo_read_file(repo, file, LIMIT, text, NULL) != STATUS_OK) {
        return false;
    } else if (file->is_converted) {
        repo_convert(repo, file->path, text);
    }
    return !text->failed && git_odb_hash(&id, buffer_text(text), text->size, GIT_OBJECT_BLOB) == 0 &&
           git_oid_equal(&id, &entry->id);
}

static bool differs(struct pending *pending, const struct repo_file *file, struct buffer *text)
{
    const struct repo *repo = pending->repo;
    if (!file->is_tracked)
        return true;
    size_t at = repo_entry_at(repo, file->path, file->path_size);
    const git_index_entry *entry = at < repo->n_entries ? repo->entries[at] : NULL;
    if (!entry || strcmp(entry->path, file->path) != 0 || git_index_entry_stage(entry) != 0 ||
        (entry->flags_extended & GIT_INDEX_ENTRY_INTENT_TO_ADD))
        return true;
    if (file->skip == REPO_SKIP_SUBMODULE || file->skip == REPO_SKIP_UNREADABLE)
        return false;
    if (file->skip == REPO_SKIP_GONE)
        return !(entry->flags_extended & GIT_INDEX_ENTRY_SKIP_WORKTREE);
    bool is_link = (entry->mode & S_IFMT) == S_IFLNK;
    if (is_link != S_ISLNK(file->stamp.mode) || (!is_link && !S_ISREG(file->stamp.mode)))
        return true;
    if (pending->has_modes && !is_link && ((entry->mode ^ (uint32_t)file->stamp.mode) & S_IXUSR))
        return true;
    return !file->is_clean && !is_same_content(pending, file, entry, text);
}

static enum status take_unstaged(struct pending *pending)
{
    struct buffer text = {0};
    enum status status = STATUS_OK;
    for (size_t i = 0; i < pending->files.n && status == STATUS_OK; i++) {
        status = repo_cancelled(pending->cancel, pending->error);
        if (status == STATUS_OK && !pending->is_changed[i])
            pending->is_changed[i] = differs(pending, &pending->files.files[i], &text);
    }
    buffer_deinit(&text);
    return status;
}

/* ---- both ---- */

static enum status collect(struct pending *pending)
{
    for (size_t i = 0; i < pending->files.n; i++) {
        const struct repo_file *from = &pending->files.files[i];
        if (!pending->is_changed[i])
            continue;
        struct repo_file *file = repo_list_add(&pending->list, from->path, from->path_size, pending->error);
        if (!file)
            return pending->error->status;
        const char *path = file->path;
        *file = *from;
        file->path = path;
    }
    return STATUS_OK;
}

bool repo_has_modes(struct repo *repo)
{
    git_config *config;
    int is_set = 1;
    if (git_repository_config_snapshot(&config, repo->git) == 0) {
        (void)git_config_get_bool(&is_set, config, "core.filemode");
        git_config_free(config);
    }
    return is_set != 0;
}

enum status repo_changed(struct repo *repo, const atomic_bool *cancel, struct repo_files *out, struct error *error)
{
    struct error unasked = {0};
    struct pending pending = {.repo = repo, .cancel = cancel, .error = error ? error : &unasked};
    *out = (struct repo_files){0};
    if (!repo->git || repo->is_bare)
        return STATUS_OK;
    enum status status = repo_walk(repo, &(struct repo_walk_options){.cancel = cancel}, &pending.files, pending.error);
    if (status != STATUS_OK)
        return status;
    pthread_mutex_lock(&repo->lock);
    pending.is_changed = calloc(pending.files.n + 1, sizeof *pending.is_changed);
    if (!pending.is_changed)
        status = error_set(pending.error, STATUS_MEMORY, "out of memory");
    pending.has_modes = repo_has_modes(repo);
    if (status == STATUS_OK)
        status = take_staged(&pending);
    if (status == STATUS_OK)
        status = take_unstaged(&pending);
    if (status == STATUS_OK)
        status = collect(&pending);
    if (status == STATUS_OK)
        repo_list_finish(&pending.list, out);
    pthread_mutex_unlock(&repo->lock);
    repo_list_deinit(&pending.list);
    repo_files_deinit(&pending.files);
    free(pending.is_changed);
    return status;
}
