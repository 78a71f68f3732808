/* repo_walk: the files of a worktree, as `git ls-files --cached --others --exclude-standard` lists them.
 *
 * One pass, depth first: the sorted names of each folder are merged with the entries of git's index that begin with its
 * path.  What both have is tracked; what the folder alone has is untracked, and shown unless ignored; what the index alone
 * has is gone.  Names are compared as git orders paths, a folder's with a '/' behind it: so the list comes out sorted.
 * Each file costs one fstatat below an open folder.
 *
 * What git itself does is followed in the details, too: an untracked folder that is a repository is one name with '/' at
 * its end; pipes, sockets and devices that aren't tracked don't exist; a link is never a folder. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "repo/repo_internal.h"
#include "repo/walk_folder.h"

/* ---- what git ignores ---- */

struct rules { /* of one folder's .gitignore */
    struct ignore_list *list;
    size_t base; /* the paths it speaks of begin behind so many bytes */
};

struct frame {
    struct walk_folder folder;
    size_t path_size;         /* of the folder's path with its '/', in walk.path */
    size_t name, name_end;    /* in walk.names, what is left */
    size_t name_begin;        /* where they began */
    size_t entry, entry_end;  /* in repo.entries, what is left */
    unsigned attribute_rules; /* REPO_RULES_* */
    bool has_rules;           /* the last of walk.rules is its own */
    bool is_excluded;         /* git ignores it: only what is tracked counts */
    bool is_vendored;         /* or a folder above */
    bool is_dropped;          /* .fathomignore says so of it or of a folder above */
    bool is_unreadable;
    bool is_single; /* in a walk of single paths: within one of them, so that all of it is meant */
};

struct walk {
    struct repo *repo;
    const struct repo_walk_options *options;
    struct error *error;
    uint64_t large;
    const char *const *paths; /* the only ones that are meant; NULL: all */
    size_t n_paths;
    struct repo_list list;
    bool wants_folders; /* the list is of the folders that are entered, and of nothing else */
    struct buffer path; /* of the frame that is being walked, then of its child */
    struct walk_names names;
    struct frame *frames;
    size_t n_frames, frame_capacity;
    struct rules *rules;
    size_t n_rules, rule_capacity;
    struct ignore_list *excludes[2]; /* the repository's own, then the user's */
    struct ignore_list *trusted;     /* .fathomignore */
    struct walk_folded *folded;      /* with core.ignoreCase: the index's names without case */
    bool folds;
    dev_t device; /* of a plain folder, which isn't left */
};

/* ---- what is meant in a walk of single paths ---- */

static size_t first_path_at(const struct walk *walk, const char *path, size_t size)
{
    size_t low = 0, high = walk->n_paths;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strncmp(walk->paths[middle], path, size) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Of a file: it is named.  Of a folder, whose path ends in '/': something below it is, or it is itself (*is_whole). */
static bool is_meant(const struct walk *walk, const struct frame *frame, const char *path, size_t size, bool *is_whole)
{
    *is_whole = !walk->paths || (frame && frame->is_single);
    if (*is_whole)
        return true;
    size_t at = first_path_at(walk, path, size);
    bool is_begun = at < walk->n_paths && strncmp(walk->paths[at], path, size) == 0;
    *is_whole = is_begun && walk->paths[at][size] == 0;
    if (*is_whole || (is_begun && path[size - 1] == '/'))
        return true;
    /* Below a folder that is meant, and that isn't there. */
    for (const char *slash = path + (frame ? frame->path_size : 0);
         (slash = memchr(slash, '/', size - (size_t)(slash - path))); slash++) {
        size_t length = (size_t)(slash - path) + 1;
        at = first_path_at(walk, path, length);
        if (at < walk->n_paths && strncmp(walk->paths[at], path, length) == 0 && walk->paths[at][length] == 0)
            return true;
    }
    return false;
}

/* ---- adding ---- */

static enum status status_of(const struct walk *walk)
{
    return walk->error->status;
}

static enum status out_of_memory(struct walk *walk)
{
    return error_set(walk->error, STATUS_MEMORY, "out of memory");
}

/* What git ignores: the nearest .gitignore that says something, then the repository's list, then the user's. */
static bool is_ignored(const struct walk *walk, const char *path, size_t size, bool is_folder)
{
    for (size_t i = walk->n_rules; i-- > 0;) {
        const struct rules *rules = &walk->rules[i];
        enum ignore_verdict verdict = ignore_list_match(rules->list, path + rules->base, size - rules->base, is_folder);
        if (verdict != IGNORE_UNSAID)
            return verdict == IGNORE_YES;
    }
    for (int i = 0; i < 2; i++) {
        enum ignore_verdict verdict = ignore_list_match(walk->excludes[i], path, size, is_folder);
        if (verdict != IGNORE_UNSAID)
            return verdict == IGNORE_YES;
    }
    return false;
}

static enum ignore_verdict trusted_verdict(const struct walk *walk, const struct frame *frame, const char *path,
                                           size_t size)
{
    return frame->is_dropped ? IGNORE_YES : ignore_list_match(walk->trusted, path, size, false);
}

/* A file that is there. */
static enum status add_present(struct walk *walk, const struct frame *frame, const char *path, size_t size,
                               const git_index_entry *entry, const struct stat *about)
{
    struct repo_marks marks = {0};
    struct repo_file *file = repo_list_add(&walk->list, path, size, walk->error);
    if (!file)
        return status_of(walk);
    bool is_converted = walk->repo->git && (frame->attribute_rules & REPO_RULES_CONVERT);
    if (walk->repo->git && (frame->attribute_rules & (REPO_RULES_SKIP | REPO_RULES_BLOCKED)) == REPO_RULES_SKIP)
        repo_marks_of(walk->repo, NULL, file->path, &marks);
    file->is_tracked = entry != NULL;
    file->stamp = repo_stamp_of(about);
    repo_judge(file, &(struct repo_facts){.mode = about->st_mode,
                                          .size = (uint64_t)about->st_size,
                                          .large = walk->large,
                                          .is_below_vendored = frame->is_vendored,
                                          .verdict = trusted_verdict(walk, frame, path, size),
                                          .marks = &marks});
    file->is_clean = entry && repo_entry_is_clean(walk->repo, entry, about);
    file->has_id = file->is_clean && S_ISREG(about->st_mode) && !is_converted;
    file->is_converted = is_converted && !(frame->attribute_rules & REPO_RULES_BLOCKED);
    if (file->has_id)
        memcpy(file->id.bytes, entry->id.id, sizeof file->id.bytes);
    return STATUS_OK;
}

static enum status add_skipped(struct walk *walk, const char *path, size_t size, bool is_tracked, enum repo_skip skip)
{
    struct repo_file *file = repo_list_add(&walk->list, path, size, walk->error);
    if (!file)
        return status_of(walk);
    file->is_tracked = is_tracked;
    file->skip = skip;
    return STATUS_OK;
}

/* An entry of the index that the folder doesn't show. */
static enum status add_absent(struct walk *walk, const struct frame *frame, const git_index_entry *entry)
{
    struct stat about;
    size_t size = strlen(entry->path);
    bool is_whole;
    if (!is_meant(walk, frame, entry->path, size, &is_whole))
        return STATUS_OK;
    if ((entry->mode & S_IFMT) == GIT_FILEMODE_COMMIT)
        return add_skipped(walk, entry->path, size, true, REPO_SKIP_SUBMODULE);
    if (walk->folds && size <= REPO_PATH_LIMIT) {
        /* The folder may show it in other letters. */
        int fd = repo_open_below(walk->repo->root_fd, entry->path, size, O_PATH);
        bool is_there = fd >= 0 && fstat(fd, &about) == 0 && !S_ISDIR(about.st_mode);
        if (fd >= 0)
            close(fd);
        if (is_there)
            return add_present(walk, frame, entry->path, size, entry, &about);
    }
    return add_skipped(walk, entry->path, size, true, frame->is_unreadable ? REPO_SKIP_UNREADABLE : REPO_SKIP_GONE);
}

/* ---- frames ---- */

static bool grow(void *memory, size_t *capacity, size_t n, size_t width)
{
    void **data = memory;
    if (n < *capacity)
        return true;
    size_t wanted = *capacity ? *capacity * 2 : 16;
    void *grown = reallocarray(*data, wanted, width);
    if (!grown)
        return false;
    *data = grown;
    *capacity = wanted;
    return true;
}

/* The text of a file of rules that lies in the frame's folder, or that only git's index has there (a sparse checkout, and
 * always_index: where the worktree's was removed). */
static bool read_rules(struct walk *walk, const struct frame *frame, const char *name, bool always_index,
                       struct buffer *out)
{
    buffer_clear(out);
    if (walk_names_hold(&walk->names, frame->name_begin, frame->name_end, name))
        return repo_read_small(walk_folder_fd(&frame->folder), name, false, REPO_RULES_LIMIT, out);
    bool found = false;
    size_t name_size = strlen(name);
    buffer_append(&walk->path, name, name_size);
    if (walk->path.failed)
        return false;
    size_t at = repo_entry_at(walk->repo, walk->path.data, walk->path.size);
    const git_index_entry *entry = at < walk->repo->n_entries ? walk->repo->entries[at] : NULL;
    if (entry && strcmp(entry->path, walk->path.data) == 0 && (entry->mode & S_IFMT) == S_IFREG &&
        (always_index || (entry->flags_extended & GIT_INDEX_ENTRY_SKIP_WORKTREE))) {
        git_odb_object *object;
        if (git_odb_read(&object, walk->repo->odb, &entry->id) == 0) {
            found = git_odb_object_type(object) == GIT_OBJECT_BLOB && git_odb_object_size(object) <= REPO_RULES_LIMIT;
            if (found)
                buffer_append(out, git_odb_object_data(object), git_odb_object_size(object));
            git_odb_object_free(object);
        }
    }
    walk->path.size -= name_size;
    walk->path.data[walk->path.size] = 0;
    return found;
}

static enum status push_rules(struct walk *walk, struct frame *frame)
{
    struct buffer text = {0};
    enum status status = STATUS_OK;
    if (!walk->repo->git)
        return STATUS_OK;
    if (read_rules(walk, frame, ".gitattributes", true, &text))
        frame->attribute_rules |= repo_rules_of(buffer_text(&text), text.size);
    else if (walk_names_hold(&walk->names, frame->name_begin, frame->name_end, ".gitattributes"))
        frame->attribute_rules |= REPO_RULES_BLOCKED;
    if (!frame->is_excluded && read_rules(walk, frame, ".gitignore", false, &text)) {
        struct ignore_list *list;
        status = ignore_list_new(buffer_text(&text), text.size, walk->folds, &list, walk->error);
        if (status == STATUS_OK && list) {
            if (grow(&walk->rules, &walk->rule_capacity, walk->n_rules, sizeof *walk->rules)) {
                walk->rules[walk->n_rules++] = (struct rules){list, frame->path_size};
                frame->has_rules = true;
            } else {
                ignore_list_free(list);
                status = out_of_memory(walk);
            }
        }
    }
    buffer_deinit(&text);
    return status;
}

static void pop_frame(struct walk *walk)
{
    struct frame *frame = &walk->frames[--walk->n_frames];
    walk_folder_close(&frame->folder);
    walk_names_drop(&walk->names, frame->name_begin);
    if (frame->has_rules)
        ignore_list_free(walk->rules[--walk->n_rules].list);
}

/* The folder of a frame stays open while its child is walked, but not at every depth: descriptors are few. */
static int frame_fd(struct walk *walk, struct frame *frame)
{
    if (walk_folder_fd(&frame->folder) < 0 && !frame->is_unreadable)
        walk_folder_reopen(&frame->folder, walk->repo->root_fd, walk->path.data, frame->path_size);
    return walk_folder_fd(&frame->folder);
}

/* Whether a change in the last frame's folder can concern anybody. */
static bool is_worth_watching(const struct walk *walk)
{
    const struct frame *frame = &walk->frames[walk->n_frames - 1];
    bool may_be_unmarked = (frame->attribute_rules & REPO_RULES_SKIP) != 0; /* -linguist-vendored */
    return !frame->is_dropped && (!frame->is_vendored || may_be_unmarked);
}

/* Enters the folder whose path, with '/' at its end, lies in walk.path; frame says what is known of it.  Nothing is
 * entered where it is a repository of its own. */
static enum status push_frame(struct walk *walk, struct frame *frame, const char *name)
{
    enum { OPEN_FRAMES = 64 };
    struct stat about;
    if (!grow(&walk->frames, &walk->frame_capacity, walk->n_frames, sizeof *walk->frames))
        return out_of_memory(walk);
    bool is_root = walk->n_frames == 0, is_plain = !walk->repo->git;
    int above = is_root ? walk->repo->root_fd : frame_fd(walk, &walk->frames[walk->n_frames - 1]);
    bool is_open = walk_folder_open(&frame->folder, above, name);
    frame->is_unreadable = !is_open && errno != ENOENT && errno != ENOTDIR && errno != ELOOP;
    if (is_plain && !is_root && frame->is_unreadable)
        return add_skipped(walk, walk->path.data, walk->path.size, false, REPO_SKIP_UNREADABLE);
    if (is_plain && !is_root && is_open && fstat(walk_folder_fd(&frame->folder), &about) == 0 &&
        about.st_dev != walk->device) {
        walk_folder_close(&frame->folder);
        return add_skipped(walk, walk->path.data, walk->path.size, false, REPO_SKIP_SPECIAL);
    }
    frame->name_begin = walk_names_mark(&walk->names);
    if (is_open && !walk_names_read(&walk->names, &frame->folder)) {
        if (walk->names.failed) {
            walk_folder_close(&frame->folder);
            walk_names_drop(&walk->names, frame->name_begin);
            return out_of_memory(walk);
        }
        frame->is_unreadable = true;
    }
    frame->name = frame->name_begin;
    frame->name_end = walk_names_mark(&walk->names);
    if (is_open && !is_plain && !is_root && frame->entry == frame->entry_end &&
        walk_folder_is_repository(&frame->folder, walk->repo->git_folder)) {
        walk_folder_close(&frame->folder);
        walk_names_drop(&walk->names, frame->name_begin);
        return add_skipped(walk, walk->path.data, walk->path.size, false, REPO_SKIP_SUBMODULE);
    }
    if (walk->n_frames >= OPEN_FRAMES) /* the last one's */
        walk_folder_close(&walk->frames[walk->n_frames - 1].folder);
    walk->frames[walk->n_frames++] = *frame;
    enum status status = push_rules(walk, &walk->frames[walk->n_frames - 1]);
    if (status != STATUS_OK || !walk->wants_folders || is_root || !is_open || !is_worth_watching(walk))
        return status;
    return add_skipped(walk, walk->path.data, walk->path.size, false, REPO_KEEP);
}

/* ---- the merge ---- */

/* What the index has next below a frame: a file, or a folder with all entries up to end. */
struct child {
    const char *name;
    size_t size, end;
    bool is_folder;
};

static bool next_child(const struct walk *walk, const struct frame *frame, struct child *out)
{
    const struct repo *repo = walk->repo;
    if (frame->entry >= frame->entry_end)
        return false;
    const char *path = repo->entries[frame->entry]->path;
    out->name = path + frame->path_size;
    const char *slash = strchr(out->name, '/');
    out->is_folder = slash != NULL;
    out->size = slash ? (size_t)(slash - out->name) : strlen(out->name);
    /* How far it goes: by doubling steps, then by halves. */
    size_t prefix = frame->path_size + out->size + 1; /* with the '/' or the NUL */
    size_t low = frame->entry, step = 1;
    while (low + step < frame->entry_end && strncmp(repo->entries[low + step]->path, path, prefix) == 0) {
        low += step;
        step *= 2;
    }
    size_t high = low + step < frame->entry_end ? low + step : frame->entry_end;
    while (low + 1 < high) {
        size_t middle = low + (high - low) / 2;
        if (strncmp(repo->entries[middle]->path, path, prefix) == 0)
            low = middle;
        else
            high = middle;
    }
    out->end = low + 1;
    return true;
}

/* Every entry up to end is gone. */
static enum status add_all_absent(struct walk *walk, struct frame *frame, size_t end)
{
    enum status status = STATUS_OK;
    if (walk->wants_folders)
        frame->entry = end;
    for (; frame->entry < end && status == STATUS_OK; frame->entry++) {
        const git_index_entry *entry = walk->repo->entries[frame->entry];
        if (frame->entry == 0 || strcmp(walk->repo->entries[frame->entry - 1]->path, entry->path) != 0)
            status = add_absent(walk, frame, entry);
    }
    return status;
}

/* Of an untracked folder: that the index has a submodule of that name. */
static bool is_submodule(const struct walk *walk, const char *path, size_t size)
{
    const struct repo *repo = walk->repo;
    for (size_t at = repo_entry_at(repo, path, size); at < repo->n_entries; at++) {
        const git_index_entry *entry = repo->entries[at];
        if (strncmp(entry->path, path, size) != 0 || entry->path[size] != 0)
            break;
        if ((entry->mode & S_IFMT) == GIT_FILEMODE_COMMIT)
            return true;
    }
    return walk->folded && walk_folded_is_submodule(walk->folded, path, size);
}

/* A folder below the last frame, with the entries [entry, end) of the index. */
static enum status enter_folder(struct walk *walk, const struct walk_name *name, size_t entry, size_t end)
{
    struct frame *parent = &walk->frames[walk->n_frames - 1];
    struct frame child = {.folder = WALK_FOLDER_CLOSED, .entry = entry, .entry_end = end};
    const char *text = walk_names_text(&walk->names, name);
    walk->path.size = parent->path_size;
    buffer_append(&walk->path, text, name->size);
    buffer_append_byte(&walk->path, '/');
    if (walk->path.failed)
        return out_of_memory(walk);
    const char *path = walk->path.data;
    size_t size = walk->path.size - 1;
    if (size >= REPO_PATH_LIMIT || !is_meant(walk, parent, path, size + 1, &child.is_single))
        return STATUS_OK;
    if (entry == end && walk->repo->git && is_submodule(walk, path, size))
        return STATUS_OK;
    child.is_excluded = parent->is_excluded || (walk->repo->git && is_ignored(walk, path, size, true));
    if (child.is_excluded && entry == end)
        return STATUS_OK;
    child.path_size = size + 1;
    child.attribute_rules = parent->attribute_rules;
    enum ignore_verdict verdict = ignore_list_match(walk->trusted, path, size, true);
    child.is_dropped = parent->is_dropped || verdict == IGNORE_YES;
    child.is_vendored = verdict != IGNORE_NO && (parent->is_vendored || repo_is_vendored_folder(text, name->size));
    char copy[NAME_MAX + 1];
    memcpy(copy, text, name->size + 1); /* names may move while the folder is read */
    return push_frame(walk, &child, copy);
}

/* A file that the folder of the last frame shows; entry is NULL where it isn't tracked. */
static enum status take_file(struct walk *walk, const struct walk_name *name, const git_index_entry *entry)
{
    struct frame *frame = &walk->frames[walk->n_frames - 1];
    const char *text = walk_names_text(&walk->names, name);
    struct stat about;
    bool is_whole;
    if (walk->wants_folders)
        return STATUS_OK;
    if (!entry && walk->repo->git && (frame->is_excluded || (name->kind != DT_REG && name->kind != DT_LNK)))
        return STATUS_OK;
    walk->path.size = frame->path_size;
    buffer_append(&walk->path, text, name->size);
    if (walk->path.failed)
        return out_of_memory(walk);
    const char *path = walk->path.data;
    size_t size = walk->path.size;
    if (size > REPO_PATH_LIMIT || !is_meant(walk, frame, path, size, &is_whole))
        return STATUS_OK;
    if (!entry && walk->repo->git &&
        ((walk->folded && walk_folded_has_file(walk->folded, path, size)) || is_ignored(walk, path, size, false)))
        return STATUS_OK;
    int fd = frame_fd(walk, frame);
    if (fd < 0 || fstatat(fd, text, &about, AT_SYMLINK_NOFOLLOW) != 0) {
        /* It has just been removed. */
        enum repo_skip skip = fd >= 0 && errno == ENOENT ? REPO_SKIP_GONE : REPO_SKIP_UNREADABLE;
        if (entry && (entry->mode & S_IFMT) == GIT_FILEMODE_COMMIT)
            skip = REPO_SKIP_SUBMODULE;
        return entry || skip != REPO_SKIP_GONE ? add_skipped(walk, path, size, entry != NULL, skip) : STATUS_OK;
    }
    if (S_ISDIR(about.st_mode))
        return entry ? add_skipped(walk, path, size, true, REPO_SKIP_GONE) : STATUS_OK;
    return add_present(walk, frame, path, size, entry, &about);
}

/* One step of the last frame: its next name, of the folder or of the index. */
static enum status step(struct walk *walk)
{
    struct frame *frame = &walk->frames[walk->n_frames - 1];
    struct child child;
    bool has_child = next_child(walk, frame, &child), has_name = frame->name < frame->name_end;
    struct walk_name name = has_name ? *walk_names_at(&walk->names, frame->name) : (struct walk_name){0};
    if (!has_child && !has_name) {
        pop_frame(walk);
        return STATUS_OK;
    }
    bool is_folder = name.kind == DT_DIR;
    int order = !has_child  ? -1
                : !has_name ? 1
                            : walk_names_compare(walk_names_text(&walk->names, &name), name.size, is_folder, child.name,
                                                 child.size, child.is_folder);
    if (order > 0)
        return add_all_absent(walk, frame, child.end);
    size_t entry = frame->entry, end = order == 0 ? child.end : entry;
    frame->name++;
    frame->entry = end;
    if (is_folder)
        return enter_folder(walk, &name, entry, end);
    return take_file(walk, &name, order == 0 ? walk->repo->entries[entry] : NULL);
}

/* ---- beginning and end ---- */

static enum status read_list(struct walk *walk, const char *path, struct ignore_list **out)
{
    struct buffer text = {0};
    enum status status = STATUS_OK;
    if (repo_read_small(walk->repo->root_fd, path, true, REPO_RULES_LIMIT, &text))
        status = ignore_list_new(buffer_text(&text), text.size, walk->folds, out, walk->error);
    buffer_deinit(&text);
    return status;
}

/* The lists that hold for the whole repository, and how names are compared. */
static enum status read_settings(struct walk *walk, unsigned *attribute_rules)
{
    struct repo *repo = walk->repo;
    git_config *config = NULL;
    git_buf found = {0};
    struct buffer path = {0};
    int is_set = 0;
    if (git_repository_config_snapshot(&config, repo->git) == 0) {
        walk->folds = git_config_get_bool(&is_set, config, "core.ignorecase") == 0 && is_set;
        (void)git_config_get_path(&found, config, "core.excludesfile");
    }
    git_config_free(config);
    if (found.ptr)
        buffer_append_text(&path, found.ptr);
    else
        repo_user_file("ignore", &path);
    git_buf_dispose(&found);
    enum status status = path.size ? read_list(walk, path.data, &walk->excludes[1]) : STATUS_OK;
    buffer_clear(&path);
    buffer_printf(&path, "%s/info/exclude", repo->common_folder);
    if (status == STATUS_OK)
        status = path.failed ? out_of_memory(walk) : read_list(walk, path.data, &walk->excludes[0]);
    buffer_deinit(&path);
    *attribute_rules = repo_rules_global(repo);
    return status;
}

static enum status begin(struct walk *walk)
{
    struct repo *repo = walk->repo;
    struct frame root = {.folder = WALK_FOLDER_CLOSED};
    struct stat about;
    enum status status = STATUS_OK;
    buffer_append_text(&walk->path, "");
    if (walk->path.failed)
        return out_of_memory(walk);
    if (repo->git) {
        status = repo_load_entries(repo, walk->error);
        if (status == STATUS_OK)
            status = read_settings(walk, &root.attribute_rules);
        if (status == STATUS_OK && walk->folds)
            status = walk_folded_new(repo, &walk->folded, walk->error);
        root.entry_end = repo->n_entries;
    } else if (fstat(repo->root_fd, &about) == 0) {
        walk->device = about.st_dev;
    }
    const char *trusted = walk->options->ignore;
    if (status == STATUS_OK && trusted)
        status = ignore_list_new(trusted, strlen(trusted), walk->folds, &walk->trusted, walk->error);
    if (status == STATUS_OK)
        status = push_frame(walk, &root, ".");
    if (status == STATUS_OK && walk->frames[0].is_unreadable)
        status = error_set(walk->error, STATUS_IO, "%.150s: it can't be read", repo->root);
    return status;
}

static void end(struct walk *walk)
{
    while (walk->n_frames)
        pop_frame(walk);
    free(walk->frames);
    while (walk->n_rules)
        ignore_list_free(walk->rules[--walk->n_rules].list);
    free(walk->rules);
    ignore_list_free(walk->excludes[0]);
    ignore_list_free(walk->excludes[1]);
    ignore_list_free(walk->trusted);
    walk_folded_free(walk->folded);
    walk_names_deinit(&walk->names);
    buffer_deinit(&walk->path);
    repo_list_deinit(&walk->list);
}

static enum status run(struct walk *walk, struct repo_files *out)
{
    pthread_mutex_lock(&walk->repo->lock);
    enum status status = begin(walk);
    while (status == STATUS_OK && walk->n_frames) {
        status = repo_cancelled(walk->options->cancel, walk->error);
        if (status == STATUS_OK)
            status = step(walk);
    }
    if (status == STATUS_OK)
        repo_list_finish(&walk->list, out);
    end(walk);
    pthread_mutex_unlock(&walk->repo->lock);
    return status;
}

enum status repo_walk_worktree(struct repo *repo, const struct repo_walk_options *options, const char *const *paths,
                               size_t n_paths, struct repo_files *out, struct error *error)
{
    struct error unasked = {0};
    struct walk walk = {.repo = repo,
                        .options = options,
                        .error = error ? error : &unasked,
                        .large = options->large ? options->large : REPO_LARGE_DEFAULT,
                        .paths = paths,
                        .n_paths = n_paths};
    return run(&walk, out);
}

enum status repo_walk_folders(struct repo *repo, const struct repo_walk_options *options, const char *const *paths,
                              size_t n_paths, struct repo_files *out, struct error *error)
{
    struct error unasked = {0};
    struct walk walk = {.repo = repo,
                        .options = options,
                        .error = error ? error : &unasked,
                        .paths = paths,
                        .n_paths = n_paths,
                        .wants_folders = true};
    *out = (struct repo_files){0};
    return run(&walk, out);
}
