/* diff_git: diffs of a repository's index, worktree and revisions, through libgit2.
 *
 * libgit2 says which blobs differ, and compares the lines of two of them.  It is told no paths there, since it would look for
 * attributes and read them from whatever lies in the worktree under that name, a pipe for instance.  The worktree is walked by
 * repo_changed, which knows better. */
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "repo/diff_internal.h"
#include "repo/repo_internal.h"

enum { LARGE_DEFAULT = 8 << 20, MOST_RENAMES = 1000, BINARY_LOOK = 8000 };

struct source {
    struct repo *repo;
    struct diff *diff;
    const struct diff_options *options;
    uint64_t large;
    bool has_modes; /* the worktree's files say whether they are executable */
    struct error *error;
};

/* ---- lines ---- */

static git_diff_options line_options(const struct source *source)
{
    return (git_diff_options){.version = GIT_DIFF_OPTIONS_VERSION,
                              .flags = GIT_DIFF_INDENT_HEURISTIC |
                                       (source->options->ignores_space ? GIT_DIFF_IGNORE_WHITESPACE : 0),
                              .context_lines = source->options->context,
                              .interhunk_lines = 0,
                              .max_size = -1};
}

/* What stands behind the second "@@". */
static struct slice function_of(struct diff *diff, const git_diff_hunk *hunk)
{
    const char *at = memmem(hunk->header, hunk->header_len, " @@", 3);
    const char *end = hunk->header + hunk->header_len;
    if (!at)
        return (struct slice){"", 0};
    at += 3;
    at += at < end && *at == ' ';
    while (end > at && (end[-1] == '\n' || end[-1] == '\r'))
        end--;
    return diff_keep_text(diff, at, (size_t)(end - at));
}

static enum status take_hunk(struct source *source, git_patch *patch, size_t index)
{
    const git_diff_hunk *theirs;
    size_t n_lines;
    int code = git_patch_get_hunk(&theirs, &n_lines, patch, index);
    if (code)
        return repo_git_fail(code, "diff", source->error);
    struct diff_hunk *hunk = diff_add_hunk(source->diff, source->error);
    if (!hunk)
        return source->error->status;
    hunk->old_start = (uint32_t)theirs->old_start, hunk->old_n = (uint32_t)theirs->old_lines;
    hunk->new_start = (uint32_t)theirs->new_start, hunk->new_n = (uint32_t)theirs->new_lines;
    hunk->function = function_of(source->diff, theirs);
    for (size_t i = 0; i < n_lines; i++) {
        const git_diff_line *line;
        if ((code = git_patch_get_line_in_hunk(&line, patch, index, i)))
            return repo_git_fail(code, "diff", source->error);
        if (line->origin != ' ' && line->origin != '+' && line->origin != '-')
            continue; /* "\ No newline": the text says so itself */
        struct slice text = diff_keep_text(source->diff, line->content, line->content_len);
        if (!text.data)
            return error_set(source->error, STATUS_MEMORY, "out of memory");
        if (!diff_add_line(source->diff, (enum diff_line_kind)line->origin, text, source->error))
            return source->error->status;
    }
    return repo_cancelled(source->options->cancel, source->error);
}

static bool looks_binary(const void *bytes, size_t size)
{
    return size && memchr(bytes, 0, size < BINARY_LOOK ? size : BINARY_LOOK);
}

/* Compares a file's two contents, either of which may be NULL. */
static enum status compare(struct source *source, struct diff_file *file, struct slice old, struct slice new)
{
    if (old.size == new.size && memcmp(old.data, new.data, old.size) == 0)
        return STATUS_OK; /* a mode, a name */
    file->is_large = old.size > source->large || new.size > source->large;
    file->is_binary = looks_binary(old.data, old.size) || looks_binary(new.data, new.size);
    if (file->is_large || file->is_binary)
        return STATUS_OK;
    git_patch *patch = NULL;
    git_diff_options options = line_options(source);
    int code = git_patch_from_buffers(&patch, old.data, old.size, NULL, new.data, new.size, NULL, &options);
    if (code)
        return repo_git_fail(code, "diff", source->error);
    enum status status = STATUS_OK;
    size_t n = git_patch_num_hunks(patch);
    for (size_t i = 0; !status && i < n; i++)
        status = take_hunk(source, patch, i);
    git_patch_free(patch);
    return status;
}

/* ---- sides ---- */

static bool is_blob_mode(uint32_t mode)
{
    return mode && (mode & S_IFMT) != 0160000 && (mode & S_IFMT) != S_IFDIR;
}

/* A submodule is shown by its commit, as git does. */
static void submodule_text(const struct diff_side *side, char text[64], struct slice *out)
{
    char hex[GIT_OID_HEXSZ + 1];
    git_oid id;
    memcpy(id.id, side->id.bytes, sizeof id.id);
    git_oid_tostr(hex, sizeof hex, &id);
    out->size = (size_t)snprintf(text, 64, "Subproject commit %s\n", hex);
    out->data = text;
}

/* The content of a side that git stores.  *blob is to be freed. */
static enum status read_side(struct source *source, const struct diff_side *side, git_blob **blob, char text[64],
                             struct slice *out)
{
    *out = (struct slice){"", 0};
    if ((side->mode & S_IFMT) == 0160000)
        submodule_text(side, text, out);
    if (!is_blob_mode(side->mode) || !side->has_id)
        return STATUS_OK;
    git_oid id;
    memcpy(id.id, side->id.bytes, sizeof id.id);
    int code = git_blob_lookup(blob, source->repo->git, &id);
    if (code)
        return repo_git_fail(code, side->path, source->error);
    *out = (struct slice){git_blob_rawcontent(*blob), (size_t)git_blob_rawsize(*blob)};
    return STATUS_OK;
}

static enum status set_side(struct source *source, struct diff_side *side, const char *path, uint32_t mode,
                            const git_oid *id)
{
    side->mode = mode;
    side->has_id = id && !git_oid_is_zero(id);
    if (side->has_id)
        memcpy(side->id.bytes, id->id, sizeof side->id.bytes);
    return diff_set_path(source->diff, side, path, strlen(path), source->error);
}

/* ---- trees and index ---- */

static enum diff_status status_of(const git_diff_delta *delta)
{
    switch (delta->status) {
    case GIT_DELTA_ADDED:
    case GIT_DELTA_UNTRACKED:
        return DIFF_ADDED;
    case GIT_DELTA_DELETED:
        return DIFF_DELETED;
    case GIT_DELTA_RENAMED:
        return DIFF_RENAMED;
    case GIT_DELTA_COPIED:
        return DIFF_COPIED;
    case GIT_DELTA_CONFLICTED:
        return DIFF_UNMERGED;
    default:
        return DIFF_MODIFIED;
    }
}

static enum status take_delta(struct source *source, const git_diff_delta *delta)
{
    if (delta->status == GIT_DELTA_TYPECHANGE) { /* as git has it: one goes, another comes */
        git_diff_delta part = *delta;
        part.status = GIT_DELTA_DELETED;
        enum status status = take_delta(source, &part);
        part.status = GIT_DELTA_ADDED;
        return status ? status : take_delta(source, &part);
    }
    struct diff_file *file = diff_add_file(source->diff, source->error);
    if (!file)
        return source->error->status;
    file->status = status_of(delta);
    file->similarity = delta->similarity;
    enum status status = STATUS_OK;
    if (file->status != DIFF_ADDED && delta->old_file.path)
        status = set_side(source, &file->old, delta->old_file.path, delta->old_file.mode, &delta->old_file.id);
    if (!status && file->status != DIFF_DELETED && delta->new_file.path)
        status = set_side(source, &file->new, delta->new_file.path, delta->new_file.mode, &delta->new_file.id);
    file->is_submodule = (file->old.mode & S_IFMT) == 0160000 || (file->new.mode &S_IFMT) == 0160000;
    if (status || file->status == DIFF_UNMERGED)
        return status;
    git_blob *old = NULL, *new = NULL;
    char texts[2][64];
    struct slice contents[2];
    status = read_side(source, &file->old, &old, texts[0], &contents[0]);
    if (!status)
        status = read_side(source, &file->new, &new, texts[1], &contents[1]);
    if (!status)
        status = compare(source, file, contents[0], contents[1]);
    git_blob_free(old);
    git_blob_free(new);
    return status;
}

/* A file that was renamed away, by its old path. */
struct moved {
    const char *path;
    const git_diff_delta *delta;
};

static int compare_moved(const void *a, const void *b)
{
    return strcmp(((const struct moved *)a)->path, ((const struct moved *)b)->path);
}

static const git_diff_delta *find_moved(const struct moved *moved, size_t n, const char *path)
{
    const struct moved key = {path, NULL}, *found = n ? bsearch(&key, moved, n, sizeof *moved, compare_moved) : NULL;
    return found ? found->delta : NULL;
}

static enum status take_as(struct source *source, const git_diff_delta *delta, git_delta_t status)
{
    git_diff_delta other = *delta;
    other.status = status;
    return take_delta(source, &other);
}

/* Whether as many files are there as were asked for, and more to come. */
static bool has_enough(struct source *source)
{
    if (source->options->max_files && source->diff->n_files >= source->options->max_files)
        source->diff->is_partial = true;
    return source->diff->is_partial;
}

/* In their order.  But where another file comes in place of one that was renamed away or copied, that isn't shown: the new name
 * is added, and behind all others the file goes and the other one comes.  `git apply` wants it so. */
static enum status take_in_order(struct source *source, git_diff *theirs)
{
    size_t n = git_diff_num_deltas(theirs), n_moved = 0, n_added = 0;
    struct moved *moved = malloc((n + 1) * sizeof *moved), *added = malloc((n + 1) * sizeof *added);
    enum status status = moved && added ? STATUS_OK : error_set(source->error, STATUS_MEMORY, "out of memory");
    for (size_t i = 0; !status && i < n; i++) {
        const git_diff_delta *delta = git_diff_get_delta(theirs, i);
        if (delta->status == GIT_DELTA_RENAMED)
            moved[n_moved++] = (struct moved){delta->old_file.path, delta};
        if (delta->status == GIT_DELTA_ADDED || delta->status == GIT_DELTA_TYPECHANGE)
            added[n_added++] = (struct moved){delta->new_file.path, delta};
    }
    if (moved && added) {
        qsort(moved, n_moved, sizeof *moved, compare_moved);
        qsort(added, n_added, sizeof *added, compare_moved);
    }
    for (size_t i = 0; !status && i < n && !has_enough(source); i++) {
        const git_diff_delta *delta = git_diff_get_delta(theirs, i);
        bool has_source = delta->status == GIT_DELTA_RENAMED || delta->status == GIT_DELTA_COPIED;
        if (has_source && find_moved(added, n_added, delta->old_file.path))
            status = take_as(source, delta, GIT_DELTA_ADDED);
        else if (delta->status != GIT_DELTA_ADDED || !find_moved(moved, n_moved, delta->new_file.path))
            status = take_delta(source, delta);
    }
    for (size_t i = 0; !status && i < n_added && !source->diff->is_partial; i++) {
        const git_diff_delta *gone = find_moved(moved, n_moved, added[i].path);
        if (gone)
            status = take_as(source, gone, GIT_DELTA_DELETED);
        if (gone && !status)
            status = take_delta(source, added[i].delta);
    }
    free(moved);
    free(added);
    return status;
}

/* Takes theirs. */
static enum status take_deltas(struct source *source, git_diff *theirs)
{
    git_diff_find_options similar = {.version = GIT_DIFF_FIND_OPTIONS_VERSION,
                                     .flags = GIT_DIFF_FIND_RENAMES | GIT_DIFF_FIND_COPIES,
                                     .rename_limit = MOST_RENAMES};
    int code = source->options->no_renames ? 0 : git_diff_find_similar(theirs, &similar);
    enum status status = code ? repo_git_fail(code, "diff", source->error) : take_in_order(source, theirs);
    git_diff_free(theirs);
    return status;
}

/* The tree of a revision, and the commit's id where it is one. */
static enum status find_tree(struct source *source, const char *revision, git_tree **tree, char id[41])
{
    git_object *object = NULL, *peeled = NULL, *commit = NULL;
    int code = git_revparse_single(&object, source->repo->git, revision);
    if (!code && git_object_peel(&commit, object, GIT_OBJECT_COMMIT) == 0)
        git_oid_tostr(id, 41, git_object_id(commit));
    if (!code)
        code = git_object_peel(&peeled, object, GIT_OBJECT_TREE);
    git_object_free(object);
    git_object_free(commit);
    *tree = (git_tree *)peeled;
    return code ? repo_git_fail(code, revision, source->error) : STATUS_OK;
}

static git_diff_options delta_options(void)
{
    return (git_diff_options){.version = GIT_DIFF_OPTIONS_VERSION,
                              .flags = GIT_DIFF_INCLUDE_TYPECHANGE | GIT_DIFF_SKIP_BINARY_CHECK,
                              .ignore_submodules = GIT_SUBMODULE_IGNORE_DIRTY};
}

static enum status diff_staged(struct source *source)
{
    struct diff *diff = source->diff;
    git_tree *head = NULL;
    git_diff *theirs = NULL;
    git_reference *reference = NULL;
    enum status status = STATUS_OK;
    int code = git_repository_head(&reference, source->repo->git);
    git_reference_free(reference);
    if (code == 0)
        status = find_tree(source, "HEAD", &head, diff->base);
    else if (code != GIT_EUNBORNBRANCH && code != GIT_ENOTFOUND)
        status = repo_git_fail(code, "HEAD", source->error);
    strcpy(diff->head, "index");
    git_diff_options options = delta_options();
    git_index *other = NULL;
    const char *file = source->options->index_file;
    if (!status && file) {
        code = git_index_open(&other, file);
        status = code ? repo_git_fail(code, file, source->error) : STATUS_OK;
    }
    if (!status) {
        git_index *index = other ? other : source->repo->index;
        code = git_diff_tree_to_index(&theirs, source->repo->git, head, index, &options);
        status = code ? repo_git_fail(code, "the index", source->error) : take_deltas(source, theirs);
    }
    git_index_free(other);
    git_tree_free(head);
    return status;
}

/* A commit's first parent's tree; none for a root commit. */
static enum status find_parent(struct source *source, const char *revision, git_tree **tree, char id[41])
{
    git_object *object = NULL, *commit = NULL;
    int code = git_revparse_single(&object, source->repo->git, revision);
    if (!code)
        code = git_object_peel(&commit, object, GIT_OBJECT_COMMIT);
    git_object_free(object);
    if (code)
        return repo_git_fail(code, revision, source->error);
    enum status status = STATUS_OK;
    if (git_commit_parentcount((git_commit *)commit) > 0) {
        char parent[GIT_OID_HEXSZ + 1];
        git_oid_tostr(parent, sizeof parent, git_commit_parent_id((git_commit *)commit, 0));
        status = find_tree(source, parent, tree, id);
    }
    git_object_free(commit);
    return status;
}

static enum status diff_revisions(struct source *source)
{
    struct diff *diff = source->diff;
    git_tree *old = NULL, *new = NULL;
    git_diff *theirs = NULL;
    const struct diff_options *options = source->options;
    enum status status = options->of == DIFF_COMMIT ? find_parent(source, options->to, &old, diff->base)
                                                    : find_tree(source, options->from, &old, diff->base);
    if (!status)
        status = find_tree(source, options->to, &new, diff->head);
    if (!status) {
        git_diff_options theirs_options = delta_options();
        int code = git_diff_tree_to_tree(&theirs, source->repo->git, old, new, &theirs_options);
        status = code ? repo_git_fail(code, "diff", source->error) : take_deltas(source, theirs);
    }
    git_tree_free(old);
    git_tree_free(new);
    return status;
}

/* ---- the worktree ---- */

/* What lies there, as git would store it; out's content is void for what isn't to be shown by lines. */
static enum status read_worktree(struct source *source, const struct repo_file *file, struct buffer *out)
{
    struct repo *repo = source->repo;
    buffer_clear(out);
    if (S_ISLNK(file->stamp.mode)) {
        char target[PATH_MAX];
        int fd = repo_open_below(repo->root_fd, file->path, file->path_size, O_PATH | O_CLOEXEC);
        ssize_t n = fd < 0 ? -1 : readlinkat(fd, "", target, sizeof target);
        if (fd >= 0)
            close(fd);
        if (n > 0)
            buffer_append(out, target, (size_t)n);
        return STATUS_OK;
    }
    enum status status = repo_read_file(repo, file, source->large + 1, out, NULL);
    if (status == STATUS_RANGE || status == STATUS_IO || status == STATUS_NOT_FOUND)
        return status;
    if (!status && file->is_converted)
        repo_convert(repo, file->path, out);
    return status ? status : buffer_status(out, source->error);
}

/* Where the file system knows no executable files (core.fileMode), the index says which are. */
static uint32_t mode_of(const struct source *source, const struct repo_file *file, const git_index_entry *entry)
{
    if (!source->has_modes && S_ISREG(file->stamp.mode))
        return entry && S_ISREG(entry->mode) ? entry->mode : 0100644;
    return S_ISLNK(file->stamp.mode) ? 0120000 : file->stamp.mode & S_IXUSR ? 0100755 : 0100644;
}

/* A file of the worktree and what is staged of it. */
struct pair {
    const char *path;
    const git_index_entry *entry; /* NULL: nothing, or no more than the intent */
    bool is_unmerged, is_there, is_large;
    uint32_t mode;
    struct repo_stamp stamp;
    struct slice before, after;
};

static enum status add_pair(struct source *source, const struct pair *pair)
{
    bool is_retyped =
        pair->entry && pair->is_there && !pair->is_unmerged && (pair->entry->mode & S_IFMT) != (pair->mode & S_IFMT);
    if (is_retyped) {
        struct pair gone = *pair, come = *pair;
        gone.is_there = false;
        gone.after = (struct slice){"", 0};
        come.entry = NULL;
        come.before = gone.after;
        enum status status = add_pair(source, &gone);
        return status ? status : add_pair(source, &come);
    }
    struct diff_file *file = diff_add_file(source->diff, source->error);
    if (!file)
        return source->error->status;
    file->status = pair->is_unmerged ? DIFF_UNMERGED
                   : !pair->entry    ? DIFF_ADDED
                   : !pair->is_there ? DIFF_DELETED
                                     : DIFF_MODIFIED;
    enum status status = STATUS_OK;
    if (pair->entry && !pair->is_unmerged)
        status = set_side(source, &file->old, pair->path, pair->entry->mode, &pair->entry->id);
    if (!status && (pair->is_there || pair->is_unmerged))
        status = set_side(source, &file->new, pair->path, pair->mode, NULL);
    file->new.stamp = pair->stamp;
    file->is_large = pair->is_large;
    return status || pair->is_unmerged || pair->is_large ? status : compare(source, file, pair->before, pair->after);
}

static enum status take_changed(struct source *source, const struct repo_file *file, struct buffer *text)
{
    struct repo *repo = source->repo;
    size_t at = repo_entry_at(repo, file->path, file->path_size);
    const git_index_entry *entry = at < repo->n_entries ? repo->entries[at] : NULL;
    if (entry && strcmp(entry->path, file->path) != 0)
        entry = NULL;
    struct pair pair = {.path = file->path, .before = {"", 0}, .after = {"", 0}};
    pair.is_unmerged = entry && git_index_entry_stage(entry) != 0;
    pair.entry = entry && !(entry->flags_extended & GIT_INDEX_ENTRY_INTENT_TO_ADD) ? entry : NULL;
    pair.is_there =
        file->skip != REPO_SKIP_GONE && file->skip != REPO_SKIP_SUBMODULE && file->skip != REPO_SKIP_SPECIAL;
    pair.mode = pair.is_there ? mode_of(source, file, pair.entry) : 0;
    if (pair.is_there)
        pair.stamp = file->stamp;
    if ((!pair.is_there && !pair.entry) || (entry && (entry->mode & S_IFMT) == 0160000))
        return STATUS_OK;
    git_blob *blob = NULL;
    char unused[64];
    enum status status = STATUS_OK;
    if (pair.entry && !pair.is_unmerged) {
        struct diff_side old = {.path = file->path, .mode = entry->mode, .has_id = true};
        memcpy(old.id.bytes, entry->id.id, sizeof old.id.bytes);
        status = read_side(source, &old, &blob, unused, &pair.before);
    }
    enum status reading = !status && pair.is_there ? read_worktree(source, file, text) : STATUS_OK;
    pair.is_large = reading == STATUS_RANGE;
    if (pair.is_there && reading == STATUS_OK)
        pair.after = (struct slice){buffer_text(text), text->size};
    bool is_same = pair.entry && pair.is_there && !pair.is_unmerged && !pair.is_large && entry->mode == pair.mode &&
                   pair.before.size == pair.after.size &&
                   memcmp(pair.before.data, pair.after.data, pair.before.size) == 0;
    /* What went away in between is left out. */
    if (reading == STATUS_MEMORY)
        status = error_set(source->error, reading, "out of memory");
    else if (!status && (!reading || pair.is_large) && !is_same)
        status = add_pair(source, &pair);
    git_blob_free(blob);
    return status;
}

/* Submodules at another commit than the staged one, or gone; those from *next on whose path comes before `until` ("": all). */
static enum status take_submodules(struct source *source, size_t *next, const char *until)
{
    struct repo *repo = source->repo;
    enum status status = STATUS_OK;
    for (; !status && *next < repo->n_entries; ++*next) {
        const git_index_entry *entry = repo->entries[*next];
        if (*until && strcmp(entry->path, until) >= 0)
            break;
        if ((entry->mode & S_IFMT) != 0160000 || git_index_entry_stage(entry) != 0)
            continue;
        struct repo_id head;
        git_oid id;
        struct stat about;
        bool is_there = repo_submodule_head(repo, entry->path, &head);
        bool is_gone = !is_there && fstatat(repo->root_fd, entry->path, &about, AT_SYMLINK_NOFOLLOW) != 0;
        if (!is_gone && (!is_there || memcmp(head.bytes, entry->id.id, sizeof head.bytes) == 0))
            continue;
        memcpy(id.id, head.bytes, sizeof id.id);
        struct diff_file *file = diff_add_file(source->diff, source->error);
        if (!file)
            return source->error->status;
        file->status = is_gone ? DIFF_DELETED : DIFF_MODIFIED;
        file->is_submodule = true;
        status = set_side(source, &file->old, entry->path, entry->mode, &entry->id);
        if (!status && is_there)
            status = set_side(source, &file->new, entry->path, entry->mode, &id);
        char texts[2][64];
        struct slice old, new = {"", 0};
        submodule_text(&file->old, texts[0], &old);
        if (is_there)
            submodule_text(&file->new, texts[1], &new);
        if (!status)
            status = compare(source, file, old, new);
    }
    return status;
}

static enum status diff_worktree(struct source *source)
{
    struct repo_files files;
    struct buffer text = {0};
    strcpy(source->diff->base, "index");
    strcpy(source->diff->head, "worktree");
    pthread_mutex_unlock(&source->repo->lock); /* the walk takes it itself */
    enum status status = repo_changed(source->repo, source->options->cancel, &files, source->error);
    pthread_mutex_lock(&source->repo->lock);
    if (status)
        return status;
    status = repo_load_entries(source->repo, source->error);
    size_t next = 0; /* entry that may be a submodule */
    source->has_modes = repo_has_modes(source->repo);
    for (size_t i = 0; !status && i < files.n && !has_enough(source); i++) {
        status = take_submodules(source, &next, files.files[i].path);
        if (!status && (files.files[i].skip != REPO_SKIP_SECRET || files.files[i].is_tracked))
            status = take_changed(source, &files.files[i], &text);
    }
    if (!status && !source->diff->is_partial)
        status = take_submodules(source, &next, "");
    buffer_deinit(&text);
    repo_files_deinit(&files);
    return status;
}

/* ---- the contract ---- */

enum status diff_of_repo(struct repo *repo, const struct diff_options *options, struct diff **out, struct error *error)
{
    struct error own = {0};
    bool needs_worktree = options->of == DIFF_STAGED || options->of == DIFF_WORKTREE;
    if (!repo->git)
        return error_set(error, STATUS_UNSUPPORTED, "%s is no git repository: there is nothing to compare with",
                         repo->root);
    if (needs_worktree && repo->is_bare)
        return error_set(error, STATUS_UNSUPPORTED, "%s is a bare repository: name a revision", repo->root);
    struct source source = {.repo = repo,
                            .diff = calloc(1, sizeof *source.diff),
                            .options = options,
                            .large = options->large ? options->large : LARGE_DEFAULT,
                            .error = error ? error : &own};
    if (!source.diff)
        return error_set(error, STATUS_MEMORY, "out of memory");
    pthread_mutex_lock(&repo->lock);
    enum status status = needs_worktree ? repo_load_entries(repo, source.error) : STATUS_OK;
    if (!status)
        status = options->of == DIFF_STAGED     ? diff_staged(&source)
                 : options->of == DIFF_WORKTREE ? diff_worktree(&source)
                                                : diff_revisions(&source);
    pthread_mutex_unlock(&repo->lock);
    if (!status)
        status = diff_finish(source.diff, error);
    if (status)
        diff_free(source.diff);
    else
        *out = source.diff;
    return status;
}
