/* watch: see watch.h.
 *
 * Folders are found by the number that the kernel gives a watch.  Events are read to their end before anything is done
 * about them, so that a thousand new folders cost one walk. */
#include "repo/watch.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "repo/repo_internal.h"

enum {
    FILE_EVENTS = IN_CREATE | IN_DELETE | IN_CLOSE_WRITE | IN_MOVED_FROM | IN_MOVED_TO | IN_ATTRIB,
    FOLDER_EVENTS = IN_ONLYDIR | IN_DONT_FOLLOW | IN_EXCL_UNLINK,
    READS = 256, /* of PIECE bytes in one call: who writes without end mustn't hold it for ever */
    PIECE = 16 * 1024,
};

enum watched { WATCHED_NOTHING, WATCHED_FOLDER, WATCHED_GIT /* the repository's own */, WATCHED_INFO /* its info/ */ };

struct slot {
    int number;        /* the kernel's; 0 is never given */
    enum watched what; /* WATCHED_NOTHING with a number: was removed */
    char *path;        /* of a folder, with '/' at its end; "" is the root */
};

struct paths { /* terminated strings, each allocated */
    char **items;
    size_t n, capacity;
};

struct watch {
    struct repo *repo;
    int fd;
    struct repo_walk_options options;
    char *ignore;
    struct slot *slots; /* by number, open addressing; capacity is a power of two */
    size_t n_slots, n_used, capacity;
    bool is_full;                   /* the system has no more watches */
    bool is_partial, git_changed;   /* since the last call */
    bool needs_scan;                /* folders may have appeared anywhere */
    struct paths changed, appeared; /* appeared: folders, with '/' */
};

/* ---- slots ---- */

static struct slot *slot_of(const struct watch *watch, int number)
{
    size_t mask = watch->capacity - 1, i = (uint32_t)number * 2654435761u & mask;
    while (watch->slots[i].number && watch->slots[i].number != number)
        i = (i + 1) & mask;
    return &watch->slots[i];
}

static bool make_room(struct watch *watch)
{
    if (watch->n_used * 2 < watch->capacity)
        return true;
    /* Removed ones are left behind, so that it grows only with the folders. */
    size_t capacity = 256;
    while (capacity < watch->n_slots * 4)
        capacity *= 2;
    struct slot *old = watch->slots, *fresh = calloc(capacity, sizeof *fresh);
    size_t old_capacity = watch->capacity;
    if (!fresh)
        return false;
    watch->slots = fresh;
    watch->capacity = capacity;
    watch->n_used = watch->n_slots;
    for (size_t i = 0; i < old_capacity; i++)
        if (old[i].what != WATCHED_NOTHING)
            *slot_of(watch, old[i].number) = old[i];
    free(old);
    return true;
}

static void drop_slot(struct watch *watch, struct slot *slot)
{
    if (slot->what == WATCHED_NOTHING)
        return;
    free(slot->path);
    slot->path = NULL;
    slot->what = WATCHED_NOTHING;
    watch->n_slots--;
}

/* Watches a folder.  True where it wasn't watched before under this path. */
static enum status add_watch(struct watch *watch, enum watched what, const char *base, const char *path, bool *is_new,
                             struct error *error)
{
    struct buffer full = {0};
    *is_new = false;
    buffer_printf(&full, "%s/%s", base, path);
    if (full.failed || !make_room(watch)) {
        buffer_deinit(&full);
        return error_set(error, STATUS_MEMORY, "out of memory");
    }
    uint32_t events = FILE_EVENTS | FOLDER_EVENTS | (*path ? 0 : IN_MOVE_SELF);
    int number = inotify_add_watch(watch->fd, full.data, events);
    int failed = errno;
    buffer_deinit(&full);
    if (number < 0) {
        /* Gone or no folder any more: an event of the one above says so. */
        if (failed == ENOSPC || failed == ENOMEM)
            watch->is_full = true;
        else if (failed != ENOENT && failed != ENOTDIR && failed != ELOOP)
            watch->is_partial = true;
        return STATUS_OK;
    }
    struct slot *slot = slot_of(watch, number);
    if (slot->what == what && slot->path && strcmp(slot->path, path) == 0)
        return STATUS_OK;
    char *copy = strdup(path);
    if (!copy)
        return error_set(error, STATUS_MEMORY, "out of memory");
    if (slot->what == WATCHED_NOTHING) {
        watch->n_slots++;
        watch->n_used += slot->number == 0;
    }
    free(slot->path);
    slot->number = number;
    slot->what = what;
    slot->path = copy;
    *is_new = true;
    return STATUS_OK;
}

/* A folder was moved away: its watches would go on telling of its old path. */
static void drop_below(struct watch *watch, const char *path)
{
    size_t size = strlen(path);
    for (size_t i = 0; i < watch->capacity; i++) {
        struct slot *slot = &watch->slots[i];
        if (slot->what != WATCHED_FOLDER || strncmp(slot->path, path, size) != 0)
            continue;
        inotify_rm_watch(watch->fd, slot->number);
        drop_slot(watch, slot);
    }
}

/* ---- lists of paths ---- */

static void paths_clear(struct paths *paths)
{
    while (paths->n)
        free(paths->items[--paths->n]);
}

static int compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void paths_sort(struct paths *paths)
{
    size_t n = 0;
    if (paths->n)
        qsort(paths->items, paths->n, sizeof *paths->items, compare);
    for (size_t i = 0; i < paths->n; i++) {
        if (n && strcmp(paths->items[n - 1], paths->items[i]) == 0)
            free(paths->items[i]);
        else
            paths->items[n++] = paths->items[i];
    }
    paths->n = n;
}

/* Adds folder, name and, for a folder, '/'.  False where there are too many. */
static bool paths_add(struct paths *paths, const char *folder, const char *name, bool is_folder)
{
    if (paths->n >= WATCH_PATHS * 2) {
        paths_sort(paths);
        if (paths->n > WATCH_PATHS)
            return false;
    }
    if (paths->n == paths->capacity) {
        size_t capacity = paths->capacity ? paths->capacity * 2 : 64;
        char **grown = reallocarray(paths->items, capacity, sizeof *grown);
        if (!grown)
            return false;
        paths->items = grown;
        paths->capacity = capacity;
    }
    size_t folder_size = strlen(folder), name_size = strlen(name);
    char *path = malloc(folder_size + name_size + 2);
    if (!path)
        return false;
    memcpy(path, folder, folder_size);
    memcpy(path + folder_size, name, name_size);
    memcpy(path + folder_size + name_size, is_folder ? "/" : "", is_folder ? 2 : 1);
    paths->items[paths->n++] = path;
    return true;
}

static void paths_deinit(struct paths *paths)
{
    paths_clear(paths);
    free(paths->items);
    *paths = (struct paths){0};
}

/* ---- events ---- */

/* More than can be told: a walk will show it. */
static void lose(struct watch *watch)
{
    watch->is_partial = true;
    watch->needs_scan = true;
    paths_clear(&watch->changed);
    paths_clear(&watch->appeared);
}

static void on_git(struct watch *watch, enum watched what, const char *name)
{
    if (what == WATCHED_GIT && (strcmp(name, "HEAD") == 0 || strcmp(name, "index") == 0))
        watch->git_changed = true;
    if (what == WATCHED_INFO && (strcmp(name, "exclude") == 0 || strcmp(name, "attributes") == 0)) {
        watch->is_partial = true;
        watch->needs_scan = true;
    }
}

static void on_name(struct watch *watch, const char *folder, const char *name, uint32_t mask)
{
    bool is_folder = (mask & IN_ISDIR) != 0;
    if (watch->repo->git && strcmp(name, ".git") == 0) {
        /* At the root it is what WATCHED_GIT sees; elsewhere a folder became a repository, or was one. */
        if (*folder) {
            watch->is_partial = true;
            watch->needs_scan = true;
        }
        return;
    }
    if (is_folder && (mask & IN_ATTRIB) && !(mask & (IN_CREATE | IN_MOVED_TO)))
        return;
    if (strcmp(name, ".gitignore") == 0 || strcmp(name, ".gitattributes") == 0 || strcmp(name, ".fathomignore") == 0) {
        watch->is_partial = true;
        watch->needs_scan = true;
    }
    if (!paths_add(&watch->changed, folder, name, is_folder)) {
        lose(watch);
        return;
    }
    if (is_folder && (mask & IN_MOVED_FROM))
        drop_below(watch, watch->changed.items[watch->changed.n - 1]);
    if (is_folder && (mask & (IN_CREATE | IN_MOVED_TO)) && !watch->needs_scan &&
        !paths_add(&watch->appeared, folder, name, true))
        lose(watch);
}

static void on_event(struct watch *watch, const struct inotify_event *event)
{
    if (event->mask & IN_Q_OVERFLOW) {
        lose(watch);
        return;
    }
    struct slot *slot = slot_of(watch, event->wd);
    if (slot->what == WATCHED_NOTHING)
        return;
    if (event->mask & (IN_IGNORED | IN_UNMOUNT)) {
        /* The root is gone, or the repository's own folder: nothing more will be told. */
        if (slot->what != WATCHED_FOLDER || !*slot->path)
            watch->is_partial = true;
        drop_slot(watch, slot);
        return;
    }
    if (event->mask & IN_MOVE_SELF)
        watch->is_partial = true;
    if (event->len == 0)
        return;
    if (slot->what == WATCHED_FOLDER)
        on_name(watch, slot->path, event->name, event->mask);
    else
        on_git(watch, slot->what, event->name);
}

static enum status read_events(struct watch *watch, struct error *error)
{
    _Alignas(struct inotify_event) char piece[PIECE];
    for (int i = 0; i < READS; i++) {
        ssize_t n = read(watch->fd, piece, sizeof piece);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return STATUS_OK;
        if (n <= 0)
            return error_set(error, STATUS_IO, "inotify: %s", n < 0 ? strerror(errno) : "it ended");
        for (size_t at = 0; at + sizeof(struct inotify_event) <= (size_t)n;) {
            const struct inotify_event *event = (const void *)(piece + at);
            on_event(watch, event);
            at += sizeof *event + event->len;
        }
    }
    return STATUS_OK;
}

/* ---- folders ---- */

/* Watches the folders of a walk until a walk finds no new one: what was made before its folder was watched shows then. */
static enum status watch_folders(struct watch *watch, const char *const *paths, size_t n, struct error *error)
{
    enum { ROUNDS = 8 };
    for (int round = 0; round < ROUNDS; round++) {
        struct repo_files folders;
        bool any = false;
        enum status status = repo_walk_folders(watch->repo, &watch->options, paths, n, &folders, error);
        for (size_t i = 0; i < folders.n && status == STATUS_OK; i++) {
            bool is_new = false;
            if (!watch->is_full)
                status = add_watch(watch, WATCHED_FOLDER, watch->repo->root, folders.files[i].path, &is_new, error);
            any = any || is_new;
        }
        repo_files_deinit(&folders);
        if (status != STATUS_OK || !any)
            return status;
    }
    watch->is_partial = true; /* somebody makes folders faster than they can be found */
    return STATUS_OK;
}

static enum status watch_git(struct watch *watch, struct error *error)
{
    bool is_new;
    if (!watch->repo->git)
        return STATUS_OK;
    enum status status = add_watch(watch, WATCHED_GIT, watch->repo->git_folder, "", &is_new, error);
    return status == STATUS_OK ? add_watch(watch, WATCHED_INFO, watch->repo->common_folder, "info", &is_new, error)
                               : status;
}

enum status watch_open(struct repo *repo, const struct repo_walk_options *options, struct watch **out,
                       struct error *error)
{
    bool is_new;
    *out = NULL;
    if (repo->is_bare || options->revision)
        return error_set(error, STATUS_ARGUMENT, "%.150s: there is no worktree to watch", repo->root);
    struct watch *watch = calloc(1, sizeof *watch);
    if (!watch)
        return error_set(error, STATUS_MEMORY, "out of memory");
    watch->repo = repo;
    watch->options = *options;
    watch->options.cancel = NULL;
    watch->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    enum status status = STATUS_OK;
    if (watch->fd < 0)
        status = error_set(error, STATUS_IO, "inotify: %s", strerror(errno));
    if (status == STATUS_OK && options->ignore) {
        watch->options.ignore = watch->ignore = strdup(options->ignore);
        if (!watch->ignore)
            status = error_set(error, STATUS_MEMORY, "out of memory");
    }
    if (status == STATUS_OK)
        status = add_watch(watch, WATCHED_FOLDER, repo->root, "", &is_new, error);
    if (status == STATUS_OK)
        status = watch_git(watch, error);
    if (status == STATUS_OK)
        status = watch_folders(watch, NULL, 0, error);
    if (status != STATUS_OK) {
        watch_close(watch);
        return status;
    }
    *out = watch;
    return STATUS_OK;
}

void watch_close(struct watch *watch)
{
    if (!watch)
        return;
    if (watch->fd >= 0)
        close(watch->fd);
    for (size_t i = 0; i < watch->capacity; i++)
        free(watch->slots[i].path);
    free(watch->slots);
    free(watch->ignore);
    paths_deinit(&watch->changed);
    paths_deinit(&watch->appeared);
    free(watch);
}

int watch_fd(const struct watch *watch)
{
    return watch->fd;
}

size_t watch_count(const struct watch *watch, bool *is_whole)
{
    if (is_whole)
        *is_whole = !watch->is_full;
    return watch->n_slots;
}

enum status watch_take(struct watch *watch, struct watch_changes *out, struct error *error)
{
    *out = (struct watch_changes){0};
    paths_clear(&watch->changed);
    enum status status = read_events(watch, error);
    if (status == STATUS_OK && watch->needs_scan) {
        watch->needs_scan = false;
        paths_clear(&watch->appeared);
        status = watch_folders(watch, NULL, 0, error);
    } else if (status == STATUS_OK && watch->appeared.n) {
        paths_sort(&watch->appeared);
        status = watch_folders(watch, (const char *const *)watch->appeared.items, watch->appeared.n, error);
        paths_clear(&watch->appeared);
    }
    if (status != STATUS_OK) {
        lose(watch);
        return status;
    }
    paths_sort(&watch->changed);
    if (watch->changed.n > WATCH_PATHS)
        lose(watch);
    *out = (struct watch_changes){(const char *const *)watch->changed.items, watch->changed.n,
                                  watch->is_partial || watch->is_full, watch->git_changed};
    watch->is_partial = watch->git_changed = false;
    return STATUS_OK;
}
