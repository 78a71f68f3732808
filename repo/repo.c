/* repo: opening a repository or a folder, and what it says of itself.  See repo.h. */
#include "repo/repo_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- errors ---- */

static enum status fail_owner(const char *path, struct error *error)
{
    return error_set(error, STATUS_UNSUPPORTED,
                     "%.100s: it belongs to another user (git config --global --add safe.directory and its path says "
                     "that you trust it)",
                     path);
}

enum status repo_git_fail(int code, const char *what, struct error *error)
{
    const git_error *last = git_error_last();
    const char *why = last && last->message ? last->message : "unknown error";
    switch (code) {
    case GIT_ENOTFOUND:
        return error_set(error, STATUS_NOT_FOUND, "%.100s: %s", what, why);
    case GIT_EOWNER:
        return fail_owner(what, error);
    default:
        break;
    }
    if (last && last->klass == GIT_ERROR_NOMEMORY)
        return error_set(error, STATUS_MEMORY, "out of memory");
    return error_set(error, STATUS_IO, "%.100s: %s", what, why);
}

enum status repo_cancelled(const atomic_bool *cancel, struct error *error)
{
    return cancel && atomic_load_explicit(cancel, memory_order_relaxed)
               ? error_set(error, STATUS_CANCELLED, "interrupted")
               : STATUS_OK;
}

/* What libgit2 can't open, in our words: it has one code for all of it. */
static enum status open_fail(int code, const char *path, struct error *error)
{
    const git_error *last = git_error_last();
    const char *why = last && last->message ? last->message : "";
    if (strstr(why, "objectformat"))
        return error_set(error, STATUS_UNSUPPORTED, "%.100s: a SHA-256 repository, which can't be read yet", path);
    if (strstr(why, "unsupported extension") || strstr(why, "unsupported repository version"))
        return error_set(error, STATUS_UNSUPPORTED, "%.100s: a kind of repository that can't be read: %s", path, why);
    if (strstr(why, "mandatory extension: 'sdir'"))
        return error_set(error, STATUS_UNSUPPORTED,
                         "%.100s: a sparse index, which can't be read (git sparse-checkout reapply --no-sparse-index "
                         "writes a whole one)",
                         path);
    if (strstr(why, "mandatory extension: 'link'"))
        return error_set(error, STATUS_UNSUPPORTED,
                         "%.100s: a split index, which can't be read (git update-index --no-split-index joins it)",
                         path);
    return repo_git_fail(code, path, error);
}

/* ---- opening ---- */

/* libgit2 must be told which extensions of a repository we can live with: these change where configuration lies and
 * which objects are there, not what an object is.  What it was told, it keeps until it is shut down; it is told once,
 * before another thread may read it. */
static pthread_mutex_t library_lock = PTHREAD_MUTEX_INITIALIZER;

static int library_open(void)
{
    const char *known[] = {"worktreeconfig", "partialclone", "preciousobjects"};
    pthread_mutex_lock(&library_lock);
    int count = git_libgit2_init();
    if (count == 1)
        count = git_libgit2_opts(GIT_OPT_SET_EXTENSIONS, known, sizeof known / sizeof *known);
    pthread_mutex_unlock(&library_lock);
    return count;
}

static void library_close(void)
{
    pthread_mutex_lock(&library_lock);
    git_libgit2_shutdown();
    pthread_mutex_unlock(&library_lock);
}

static char *resolved(const char *path)
{
    return path ? realpath(path, NULL) : NULL;
}

/* The configuration of one worktree alone (extensions.worktreeConfig), which libgit2 doesn't look for. */
static void add_worktree_config(struct repo *repo)
{
    git_config *config;
    int is_set = 0;
    struct buffer path = {0};
    if (git_repository_config(&config, repo->git) != 0)
        return;
    buffer_printf(&path, "%s/config.worktree", repo->git_folder);
    if (!path.failed && git_config_get_bool(&is_set, config, "extensions.worktreeconfig") == 0 && is_set &&
        access(path.data, R_OK) == 0)
        (void)git_config_add_file_ondisk(config, path.data, GIT_CONFIG_LEVEL_APP, repo->git, 0);
    git_config_free(config);
    buffer_deinit(&path);
}

static enum status open_git(struct repo *repo, const char *path, struct error *error)
{
    int code;
    repo->is_bare = git_repository_is_bare(repo->git) != 0;
    repo->git_folder = resolved(git_repository_path(repo->git));
    repo->common_folder = resolved(git_repository_commondir(repo->git));
    repo->root = repo->is_bare ? resolved(git_repository_path(repo->git)) : resolved(git_repository_workdir(repo->git));
    if (!repo->git_folder || !repo->common_folder || !repo->root)
        return error_set(error, errno == ENOMEM ? STATUS_MEMORY : STATUS_IO, "%.100s: %s", path, strerror(errno));
    add_worktree_config(repo);
    if ((code = git_repository_odb(&repo->odb, repo->git)) != 0)
        return repo_git_fail(code, path, error);
    if (repo->is_bare)
        return STATUS_OK;
    /* Read now, so that what can't be read is refused here and not in the middle of something. */
    if ((code = git_repository_index(&repo->index, repo->git)) != 0 || (code = git_index_read(repo->index, 0)) != 0)
        return open_fail(code, path, error);
    return STATUS_OK;
}

/* Where libgit2 says that there is no repository.  Version 1.5 also says so of one that belongs to another user, if the
 * configuration has no safe.directory: so the search alone is asked, too. */
static enum status open_folder(struct repo *repo, const char *path, struct error *error)
{
    git_buf found = {0};
    if (git_repository_discover(&found, path, 0, NULL) == 0) {
        struct stat about;
        bool is_foreign = stat(found.ptr, &about) == 0 && about.st_uid != geteuid();
        git_buf_dispose(&found);
        return is_foreign ? fail_owner(path, error)
                          : error_set(error, STATUS_IO, "%.150s: its repository can't be opened", path);
    }
    repo->root = strdup(path);
    return repo->root ? STATUS_OK : error_set(error, STATUS_MEMORY, "out of memory");
}

/* The folder of a path: itself, or the one that a file lies in.  Yours to free. */
static char *folder_of(const char *path, struct error *error)
{
    struct stat about;
    char *folder = resolved(path);
    if (!folder || stat(folder, &about) != 0) {
        error_set(error, errno == ENOENT || errno == ENOTDIR ? STATUS_NOT_FOUND : STATUS_IO, "%.150s: %s", path,
                  strerror(errno));
        free(folder);
        return NULL;
    }
    char *slash = S_ISDIR(about.st_mode) ? NULL : strrchr(folder, '/');
    if (slash)
        slash[slash == folder] = 0;
    return folder;
}

enum status repo_open(const char *path, struct repo **out, struct error *error)
{
    *out = NULL;
    struct repo *repo = calloc(1, sizeof *repo);
    if (!repo)
        return error_set(error, STATUS_MEMORY, "out of memory");
    repo->root_fd = -1;
    int code = library_open();
    if (code < 0 || pthread_mutex_init(&repo->lock, NULL) != 0) {
        enum status failed =
            code < 0 ? repo_git_fail(code, path, error) : error_set(error, STATUS_MEMORY, "out of memory");
        if (code >= 0)
            library_close();
        free(repo);
        return failed;
    }
    char *folder = folder_of(path, error);
    enum status status = folder ? STATUS_OK : error ? error->status : STATUS_IO;
    if (status == STATUS_OK) {
        code = git_repository_open_ext(&repo->git, folder, 0, NULL);
        status = code == 0               ? open_git(repo, folder, error)
                 : code == GIT_ENOTFOUND ? open_folder(repo, folder, error)
                                         : open_fail(code, folder, error);
    }
    if (status == STATUS_OK && !repo->is_bare) {
        repo->root_fd = open(repo->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (repo->root_fd < 0)
            status = error_set(error, STATUS_IO, "%.150s: %s", repo->root, strerror(errno));
    }
    free(folder);
    if (status != STATUS_OK) {
        repo_free(repo);
        return status;
    }
    *out = repo;
    return STATUS_OK;
}

void repo_free(struct repo *repo)
{
    if (!repo)
        return;
    if (repo->root_fd >= 0)
        close(repo->root_fd);
    free(repo->entries);
    git_index_free(repo->index);
    git_odb_free(repo->odb);
    git_repository_free(repo->git);
    free(repo->root);
    free(repo->git_folder);
    free(repo->common_folder);
    pthread_mutex_destroy(&repo->lock);
    library_close();
    free(repo);
}

/* ---- what it says of itself ---- */

const char *repo_root(const struct repo *repo)
{
    return repo->root;
}

const char *repo_git_folder(const struct repo *repo)
{
    return repo->git_folder;
}

bool repo_is_bare(const struct repo *repo)
{
    return repo->is_bare;
}

void repo_branch_name(const struct repo *repo, char *out, size_t size)
{
    git_reference *head = NULL;
    const char *name = "";
    if (size == 0)
        return;
    if (repo->git && git_repository_head_unborn(repo->git) == 0 &&
        git_reference_lookup(&head, repo->git, "HEAD") == 0) {
        const char *target = git_reference_symbolic_target(head);
        name = target ? target : "HEAD";
        if (strncmp(name, "refs/heads/", 11) == 0)
            name += 11;
    }
    size_t length = strnlen(name, size - 1);
    memcpy(out, name, length);
    out[length] = 0;
    git_reference_free(head);
}

const char *repo_skip_name(enum repo_skip skip)
{
    static const char *const names[REPO_N_SKIPS] = {
        [REPO_KEEP] = "kept",
        [REPO_SKIP_LINK] = "link",
        [REPO_SKIP_SUBMODULE] = "submodule",
        [REPO_SKIP_SPECIAL] = "special",
        [REPO_SKIP_GONE] = "gone",
        [REPO_SKIP_LARGE] = "large",
        [REPO_SKIP_SECRET] = "secret",
        [REPO_SKIP_VENDORED] = "vendored",
        [REPO_SKIP_IGNORED] = "ignored",
        [REPO_SKIP_BINARY] = "binary",
        [REPO_SKIP_GENERATED] = "generated",
        [REPO_SKIP_MINIFIED] = "minified",
        [REPO_SKIP_UNREADABLE] = "unreadable",
    };
    return (unsigned)skip < REPO_N_SKIPS ? names[skip] : "unknown";
}

/* ---- lists of files ---- */

struct repo_file *repo_list_add(struct repo_list *list, const char *path, size_t size, struct error *error)
{
    enum { ROOM = 60 * 1024 };
    struct repo_files *files = &list->files;
    if (files->n >= REPO_FILES_LIMIT || size > UINT32_MAX / 2) {
        error_set(error, STATUS_RANGE, "more than %d files", REPO_FILES_LIMIT);
        return NULL;
    }
    if (files->n == list->capacity) {
        size_t capacity = list->capacity ? list->capacity * 2 : 256;
        struct repo_file *grown = reallocarray(files->files, capacity, sizeof *grown);
        if (!grown) {
            error_set(error, STATUS_MEMORY, "out of memory");
            return NULL;
        }
        files->files = grown;
        list->capacity = capacity;
    }
    if (list->room_size < size + 1) {
        size_t room = size + 1 > ROOM / 8 ? size + 1 : ROOM;
        char *fresh = arena_alloc(&files->arena, room);
        if (!fresh) {
            error_set(error, STATUS_MEMORY, "out of memory");
            return NULL;
        }
        list->room = fresh;
        list->room_size = room;
    }
    char *copy = list->room;
    memcpy(copy, path, size);
    copy[size] = 0;
    list->room += size + 1;
    list->room_size -= size + 1;
    if (files->n && strcmp(files->files[files->n - 1].path, copy) >= 0)
        list->is_unsorted = true;
    struct repo_file *file = &files->files[files->n++];
    *file = (struct repo_file){.path = copy, .path_size = (uint32_t)size};
    return file;
}

static int compare_files(const void *a, const void *b)
{
    return strcmp(((const struct repo_file *)a)->path, ((const struct repo_file *)b)->path);
}

void repo_list_finish(struct repo_list *list, struct repo_files *out)
{
    struct repo_files *files = &list->files;
    if (list->is_unsorted) {
        size_t n = 0;
        qsort(files->files, files->n, sizeof *files->files, compare_files);
        for (size_t i = 0; i < files->n; i++)
            if (n == 0 || strcmp(files->files[n - 1].path, files->files[i].path) != 0)
                files->files[n++] = files->files[i];
        files->n = n;
    }
    *out = *files;
    *list = (struct repo_list){0};
}

void repo_list_deinit(struct repo_list *list)
{
    repo_files_deinit(&list->files);
    *list = (struct repo_list){0};
}

void repo_files_deinit(struct repo_files *files)
{
    free(files->files);
    arena_deinit(&files->arena);
    *files = (struct repo_files){0};
}

/* ---- walks ---- */

enum status repo_walk(struct repo *repo, const struct repo_walk_options *options, struct repo_files *out,
                      struct error *error)
{
    *out = (struct repo_files){0};
    if (options->revision || repo->is_bare)
        return repo_walk_tree(repo, options, out, error);
    return repo_walk_worktree(repo, options, NULL, 0, out, error);
}

enum status repo_walk_paths(struct repo *repo, const struct repo_walk_options *options, const char *const *paths,
                            size_t n, struct repo_files *out, struct error *error)
{
    *out = (struct repo_files){0};
    if (options->revision || repo->is_bare)
        return error_set(error, STATUS_ARGUMENT, "single paths of a revision can't be walked");
    return n ? repo_walk_worktree(repo, options, paths, n, out, error) : STATUS_OK;
}
