/* stage_content: what files hold, on either side of git: blobs, HEAD, line ends; and which paths have to be refused.
 *
 * Line ends and $Id$ are converted by libgit2, which knows no other filters; a filter that attributes name is never run. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "repo/stage_internal.h"

static git_oid oid_of(const struct repo_id *id)
{
    git_oid oid = {{0}};
    memcpy(oid.id, id->bytes, sizeof oid.id);
    return oid;
}

bool stage_same_id(const struct repo_id *a, const struct repo_id *b)
{
    return memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}

/* ---- blobs ---- */

enum status stage_hash(struct slice bytes, struct repo_id *id, struct error *error)
{
    git_oid oid;
    if (git_odb_hash(&oid, bytes.data, bytes.size, GIT_OBJECT_BLOB) != 0)
        return error_set(error, STATUS_MEMORY, "out of memory");
    memcpy(id->bytes, oid.id, sizeof id->bytes);
    return STATUS_OK;
}

enum status stage_blob_read(struct repo *repo, const struct repo_id *id, const char *path, struct buffer *out,
                            struct error *error)
{
    git_oid oid = oid_of(id);
    git_odb_object *object = NULL;
    size_t size;
    git_object_t kind;
    buffer_clear(out);
    int code = git_odb_read_header(&size, &kind, repo->odb, &oid);
    if (!code && kind != GIT_OBJECT_BLOB)
        return error_set(error, STATUS_IO, "%.150s: its object is no file", path);
    if (!code && size > STAGE_LIMIT)
        return error_set(error, STATUS_RANGE, "%.150s: more than %d MiB", path, STAGE_LIMIT >> 20);
    if (!code)
        code = git_odb_read(&object, repo->odb, &oid);
    if (code)
        return repo_git_fail(code, path, error);
    buffer_append(out, git_odb_object_data(object), git_odb_object_size(object));
    git_odb_object_free(object);
    return buffer_status(out, error);
}

enum status stage_blob_write(struct repo *repo, struct slice bytes, struct repo_id *id, struct error *error)
{
    git_oid oid;
    if (bytes.size > STAGE_LIMIT)
        return error_set(error, STATUS_RANGE, "a file of more than %d MiB", STAGE_LIMIT >> 20);
    int code = git_odb_write(&oid, repo->odb, bytes.data, bytes.size, GIT_OBJECT_BLOB);
    if (code)
        return repo_git_fail(code, "git's objects", error);
    memcpy(id->bytes, oid.id, sizeof id->bytes);
    return STATUS_OK;
}

enum status stage_head_find(struct repo *repo, const char *path, struct journal_entry *out, struct error *error)
{
    git_object *tree = NULL;
    git_tree_entry *entry = NULL;
    *out = (struct journal_entry){0};
    int code = git_revparse_single(&tree, repo->git, "HEAD^{tree}");
    if (code == GIT_ENOTFOUND || code == GIT_EUNBORNBRANCH)
        return STATUS_OK;
    if (!code)
        code = git_tree_entry_bypath(&entry, (git_tree *)tree, path);
    if (!code && git_tree_entry_type(entry) != GIT_OBJECT_TREE) {
        out->mode = (uint32_t)git_tree_entry_filemode_raw(entry);
        memcpy(out->id.bytes, git_tree_entry_id(entry)->id, sizeof out->id.bytes);
    }
    git_tree_entry_free(entry);
    git_object_free(tree);
    return code && code != GIT_ENOTFOUND ? repo_git_fail(code, path, error) : STATUS_OK;
}

/* ---- filters ---- */

/* libgit2 reads the rules of every folder above a path: one that is a pipe would make it wait, a link lead elsewhere. */
static bool has_plain_rules(struct repo *repo, const char *path)
{
    struct buffer name = {0};
    bool is_plain = true;
    for (size_t i = 0; is_plain; i++) {
        if (i && path[i - 1] != '/' && path[i - 1])
            continue;
        if (i && !path[i - 1])
            break;
        struct stat about;
        buffer_clear(&name);
        buffer_append(&name, path, i);
        buffer_append_text(&name, ".gitattributes");
        is_plain = !name.failed && (fstatat(repo->root_fd, buffer_text(&name), &about, AT_SYMLINK_NOFOLLOW) != 0 ||
                                    S_ISREG(about.st_mode));
    }
    buffer_deinit(&name);
    return is_plain;
}

enum status stage_check_filters(struct repo *repo, const char *path, struct error *error)
{
    enum { FILTER, ENCODING, N };
    const char *names[N] = {"filter", "working-tree-encoding"}, *values[N] = {NULL};
    git_attr_options options = {.version = GIT_ATTR_OPTIONS_VERSION};
    if (!has_plain_rules(repo, path))
        return error_set(error, STATUS_UNSUPPORTED, "%.120s: a .gitattributes above it is no plain file", path);
    int code = git_attr_get_many_ext(values, repo->git, &options, path, N, names);
    if (code)
        return repo_git_fail(code, path, error);
    if (git_attr_value(values[FILTER]) == GIT_ATTR_VALUE_STRING)
        return error_set(error, STATUS_UNSUPPORTED,
                         "%.100s: its attributes name the filter \"%.40s\", a program that fathom doesn't run (git add "
                         "and git checkout do)",
                         path, values[FILTER]);
    if (git_attr_value(values[ENCODING]) == GIT_ATTR_VALUE_STRING)
        return error_set(error, STATUS_UNSUPPORTED,
                         "%.100s: its attributes name the encoding \"%.40s\" (git add and git checkout convert it)",
                         path, values[ENCODING]);
    return STATUS_OK;
}

static enum status convert(struct repo *repo, const char *path, struct slice bytes, git_filter_mode_t mode,
                           struct buffer *out, struct error *error)
{
    git_filter_list *filters = NULL;
    git_buf made = {0};
    buffer_clear(out);
    int code = git_filter_list_load(&filters, repo->git, NULL, path, mode, GIT_FILTER_DEFAULT);
    if (!code && !filters)
        buffer_append(out, bytes.data, bytes.size);
    else if (!code && (code = git_filter_list_apply_to_buffer(&made, filters, bytes.data, bytes.size)) == 0)
        buffer_append(out, made.ptr, made.size);
    git_buf_dispose(&made);
    git_filter_list_free(filters);
    return code ? repo_git_fail(code, path, error) : buffer_status(out, error);
}

enum status stage_to_git(struct repo *repo, const char *path, struct slice bytes, struct buffer *out,
                         struct error *error)
{
    return convert(repo, path, bytes, GIT_FILTER_TO_ODB, out, error);
}

enum status stage_to_worktree(struct repo *repo, const char *path, struct slice bytes, struct buffer *out,
                              struct error *error)
{
    return convert(repo, path, bytes, GIT_FILTER_TO_WORKTREE, out, error);
}
