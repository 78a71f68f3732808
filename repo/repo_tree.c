/* repo_tree: the files of a revision, out of its tree. */
#include <stdlib.h>
#include <string.h>

#include "repo/repo_internal.h"

struct level {
    git_tree *tree;
    size_t next;
    size_t path_size; /* of the folder's path with its '/' */
    unsigned attribute_rules;
    bool is_vendored, is_dropped;
};

struct descent {
    struct repo *repo;
    const struct repo_walk_options *options;
    struct error *error;
    git_oid commit;
    bool has_commit;
    struct ignore_list *trusted;
    struct repo_list list;
    struct buffer path;
    struct level *levels;
    size_t n, capacity;
    uint64_t large;
};

static enum status fail(struct descent *descent, int code, const char *what)
{
    return repo_git_fail(code, what, descent->error);
}

/* A name that a checkout could make: others are found in trees that nobody made by git add. */
static bool is_possible(const char *name)
{
    return *name && strcmp(name, ".") != 0 && strcmp(name, "..") != 0 && !strchr(name, '/') &&
           strcasecmp(name, ".git") != 0;
}

static unsigned rules_of_tree(struct repo *repo, const git_tree *tree)
{
    git_odb_object *object;
    unsigned rules = 0;
    const git_tree_entry *entry = git_tree_entry_byname(tree, ".gitattributes");
    if (!entry || git_tree_entry_type(entry) != GIT_OBJECT_BLOB ||
        git_odb_read(&object, repo->odb, git_tree_entry_id(entry)) != 0)
        return 0;
    if (git_odb_object_size(object) <= REPO_RULES_LIMIT)
        rules = repo_rules_of(git_odb_object_data(object), git_odb_object_size(object));
    git_odb_object_free(object);
    return rules;
}

/* Takes the tree. */
static enum status push(struct descent *descent, git_tree *tree, struct level level)
{
    if (descent->n == descent->capacity) {
        size_t capacity = descent->capacity ? descent->capacity * 2 : 16;
        struct level *grown = reallocarray(descent->levels, capacity, sizeof *grown);
        if (!grown) {
            git_tree_free(tree);
            return error_set(descent->error, STATUS_MEMORY, "out of memory");
        }
        descent->levels = grown;
        descent->capacity = capacity;
    }
    level.tree = tree;
    level.path_size = descent->path.size;
    level.attribute_rules |= rules_of_tree(descent->repo, tree);
    descent->levels[descent->n++] = level;
    return STATUS_OK;
}

static enum status enter(struct descent *descent, const git_tree_entry *entry)
{
    const struct level *above = &descent->levels[descent->n - 1];
    const char *name = git_tree_entry_name(entry);
    git_tree *tree;
    enum ignore_verdict verdict = ignore_list_match(descent->trusted, descent->path.data, descent->path.size, true);
    struct level level = {.attribute_rules = above->attribute_rules};
    level.is_dropped = above->is_dropped || verdict == IGNORE_YES;
    level.is_vendored = verdict != IGNORE_NO && (above->is_vendored || repo_is_vendored_folder(name, strlen(name)));
    buffer_append_byte(&descent->path, '/');
    if (descent->path.failed)
        return error_set(descent->error, STATUS_MEMORY, "out of memory");
    int code = git_tree_lookup(&tree, descent->repo->git, git_tree_entry_id(entry));
    return code == 0 ? push(descent, tree, level) : fail(descent, code, descent->path.data);
}

static enum status add(struct descent *descent, const git_tree_entry *entry)
{
    const struct level *level = &descent->levels[descent->n - 1];
    struct repo_marks marks = {0};
    size_t size = 0;
    git_object_t kind;
    git_filemode_t mode = git_tree_entry_filemode(entry);
    struct repo_file *file = repo_list_add(&descent->list, descent->path.data, descent->path.size, descent->error);
    if (!file)
        return descent->error->status;
    memcpy(file->id.bytes, git_tree_entry_id(entry)->id, sizeof file->id.bytes);
    file->has_id = true;
    file->is_tracked = true;
    file->is_clean = true;
    if (mode == GIT_FILEMODE_COMMIT) {
        file->skip = REPO_SKIP_SUBMODULE;
        return STATUS_OK;
    }
    if (git_odb_read_header(&size, &kind, descent->repo->odb, git_tree_entry_id(entry)) != 0 ||
        kind != GIT_OBJECT_BLOB) {
        file->skip = REPO_SKIP_UNREADABLE; /* not here, as in a partial clone */
        return STATUS_OK;
    }
    if ((level->attribute_rules & REPO_RULES_SKIP) && descent->has_commit)
        repo_marks_of(descent->repo, &descent->commit, file->path, &marks);
    repo_judge(file, &(struct repo_facts){.mode = mode == GIT_FILEMODE_LINK ? S_IFLNK : S_IFREG,
                                          .size = size,
                                          .large = descent->large,
                                          .is_below_vendored = level->is_vendored,
                                          .verdict = level->is_dropped
                                                         ? IGNORE_YES
                                                         : ignore_list_match(descent->trusted, descent->path.data,
                                                                             descent->path.size, false),
                                          .marks = &marks});
    return STATUS_OK;
}

static enum status step(struct descent *descent)
{
    struct level *level = &descent->levels[descent->n - 1];
    const git_tree_entry *entry = git_tree_entry_byindex(level->tree, level->next++);
    if (!entry) {
        git_tree_free(level->tree);
        descent->n--;
        return STATUS_OK;
    }
    const char *name = git_tree_entry_name(entry);
    descent->path.size = level->path_size;
    buffer_append_text(&descent->path, name);
    if (descent->path.failed)
        return error_set(descent->error, STATUS_MEMORY, "out of memory");
    if (!is_possible(name) || descent->path.size > REPO_PATH_LIMIT)
        return error_set(descent->error, STATUS_FORMAT, "%.150s: a name that no file can have", descent->path.data);
    return git_tree_entry_type(entry) == GIT_OBJECT_TREE ? enter(descent, entry) : add(descent, entry);
}

/* The tree that a revision means: a branch, a tag, an id, "HEAD~3" or "HEAD:folder". */
static enum status find_tree(struct descent *descent, git_tree **tree)
{
    const char *revision = descent->options->revision ? descent->options->revision : "HEAD";
    git_object *object = NULL, *commit = NULL;
    int code = git_revparse_single(&object, descent->repo->git, revision);
    if (code != 0) {
        if (code == GIT_ENOTFOUND || code == GIT_EINVALIDSPEC || code == GIT_EAMBIGUOUS)
            return error_set(descent->error, STATUS_NOT_FOUND, "%.100s: no such revision", revision);
        return fail(descent, code, revision);
    }
    if (git_object_peel(&commit, object, GIT_OBJECT_COMMIT) == 0) {
        descent->commit = *git_object_id(commit);
        descent->has_commit = true;
    }
    code = git_object_peel((git_object **)tree, object, GIT_OBJECT_TREE);
    git_object_free(commit);
    git_object_free(object);
    if (code != 0)
        return error_set(descent->error, STATUS_NOT_FOUND, "%.100s: it is no revision with files", revision);
    return STATUS_OK;
}

enum status repo_walk_tree(struct repo *repo, const struct repo_walk_options *options, struct repo_files *out,
                           struct error *error)
{
    struct error unasked = {0};
    git_tree *tree = NULL;
    struct descent descent = {.repo = repo,
                              .options = options,
                              .error = error ? error : &unasked,
                              .large = options->large ? options->large : REPO_LARGE_DEFAULT};
    if (!repo->git)
        return error_set(error, STATUS_NOT_FOUND, "%.100s: no revision, since this is no git repository",
                         options->revision);
    pthread_mutex_lock(&repo->lock);
    enum status status = find_tree(&descent, &tree);
    if (status == STATUS_OK && options->ignore)
        status = ignore_list_new(options->ignore, strlen(options->ignore), false, &descent.trusted, descent.error);
    if (status == STATUS_OK)
        status = push(&descent, tree, (struct level){.attribute_rules = repo_rules_global(repo)});
    else
        git_tree_free(tree);
    while (status == STATUS_OK && descent.n) {
        status = repo_cancelled(options->cancel, descent.error);
        if (status == STATUS_OK)
            status = step(&descent);
    }
    if (status == STATUS_OK)
        repo_list_finish(&descent.list, out);
    while (descent.n)
        git_tree_free(descent.levels[--descent.n].tree);
    free(descent.levels);
    ignore_list_free(descent.trusted);
    buffer_deinit(&descent.path);
    repo_list_deinit(&descent.list);
    pthread_mutex_unlock(&repo->lock);
    return status;
}
