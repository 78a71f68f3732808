/* saved: see saved.h.  When a file was used is its time of modification: reading it sets that anew. */
#include "app/saved.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "app/store.h"
#include "app/turn_prompt.h"

static const char suffix[] = ".kv";

/* ---- the folder ---- */

/* Appends its path; makes it where it is missing and wanted. */
static enum status folder_path(struct buffer *out, struct error *error)
{
    enum status status = store_make_folder(out, error);
    buffer_append_text(out, "/kv");
    if (status == STATUS_OK)
        status = buffer_status(out, error);
    if (status == STATUS_OK && mkdir(out->data, 0700) != 0 && errno != EEXIST)
        return error_set(error, STATUS_IO, "%s: %s", out->data, strerror(errno));
    return status;
}

static bool ends_with(const char *name, const char *end)
{
    size_t size = strlen(name), n = strlen(end);
    return size >= n && strcmp(name + size - n, end) == 0;
}

typedef void file_fn(void *context, int folder, const char *name);

/* Calls each for every file whose name begins and ends so. */
static void walk(const char *path, const char *begin, const char *end, file_fn *each, void *context)
{
    DIR *folder = opendir(path);
    if (!folder)
        return;
    for (const struct dirent *entry; (entry = readdir(folder));)
        if (strncmp(entry->d_name, begin, strlen(begin)) == 0 && ends_with(entry->d_name, end))
            each(context, dirfd(folder), entry->d_name);
    closedir(folder);
}

/* ---- which file has the most of a prompt ---- */

struct search {
    const struct engine *engine; /* NULL: tokens must be the same ids */
    const struct session *session;
    const char *folder;
    const struct tokens *prompt;
    size_t n_covered; /* of the prompt, by the best so far */
    size_t n_tokens;  /* of the file that do it */
    char best[256];   /* its name; "": none */
};

static size_t common_prefix(const struct tokens *a, const struct tokens *b)
{
    size_t n = 0;
    while (n < a->n && n < b->n && a->ids[n] == b->ids[n])
        n++;
    return n;
}

static void consider(void *context, int folder, const char *name)
{
    struct search *search = context;
    struct buffer path = {0};
    struct tokens tokens = {0};
    size_t covered = 0, matched = 0;
    buffer_printf(&path, "%s/%s", search->folder, name);
    enum status status = path.failed || strlen(name) >= sizeof search->best
                             ? STATUS_MEMORY
                             : session_saved_tokens(search->session, path.data, &tokens, NULL);
    if (status == STATUS_FORMAT)
        (void)unlinkat(folder, name, 0); /* it will never be of use again */
    if (status == STATUS_OK) {
        matched = search->engine ? turn_prompt_match(search->engine, tokens.ids, tokens.n, search->prompt, &covered)
                                 : common_prefix(&tokens, search->prompt);
        covered = search->engine ? covered : matched;
    }
    if (covered > search->n_covered) {
        search->n_covered = covered;
        search->n_tokens = matched;
        snprintf(search->best, sizeof search->best, "%s", name);
    }
    tokens_deinit(&tokens);
    buffer_deinit(&path);
}

static void search_all(struct search *search)
{
    char begin[64];
    snprintf(begin, sizeof begin, "%s-", session_key(search->session).text);
    walk(search->folder, begin, suffix, consider, search);
}

static void mark_used(const char *path)
{
    (void)utimensat(AT_FDCWD, path, NULL, 0);
}

void saved_restore(const struct engine *engine, struct session *session, const struct tokens *prompt)
{
    struct buffer folder = {0};
    size_t n_past, covered;
    const int32_t *past = session_tokens(session, &n_past);
    turn_prompt_match(engine, past, n_past, prompt, &covered);
    if (prompt->n < covered + SAVED_LEAST_TOKENS || folder_path(&folder, NULL) != STATUS_OK) {
        buffer_deinit(&folder);
        return;
    }
    struct search search = {
        .engine = engine, .session = session, .folder = folder.data, .prompt = prompt, .n_covered = covered};
    search_all(&search);
    if (search.best[0] && search.n_covered >= covered + SAVED_LEAST_TOKENS / 2) {
        struct buffer path = {0};
        buffer_printf(&path, "%s/%s", folder.data, search.best);
        enum status status = path.failed ? STATUS_MEMORY : session_restore(session, path.data, search.n_tokens, NULL);
        if (status == STATUS_FORMAT)
            (void)unlink(path.data);
        else if (status == STATUS_OK)
            mark_used(path.data);
        buffer_deinit(&path);
    }
    buffer_deinit(&folder);
}

/* ---- limits ---- */

struct kept {
    char *name;
    uint64_t n_bytes;
    struct timespec used;
};

struct listing {
    struct kept *items;
    size_t n, capacity;
};

static void list_file(void *context, int folder, const char *name)
{
    struct listing *listing = context;
    struct stat about;
    if (fstatat(folder, name, &about, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(about.st_mode))
        return;
    if (listing->n == listing->capacity) {
        size_t capacity = listing->capacity ? 2 * listing->capacity : 64;
        struct kept *items = realloc(listing->items, capacity * sizeof *items);
        if (!items)
            return;
        listing->items = items;
        listing->capacity = capacity;
    }
    struct kept *item = &listing->items[listing->n];
    item->name = strdup(name);
    item->n_bytes = (uint64_t)about.st_blocks * 512;
    item->used = about.st_mtim;
    listing->n += item->name != NULL;
}

/* Latest first. */
static int compare_used(const void *a, const void *b)
{
    const struct timespec *x = &((const struct kept *)a)->used, *y = &((const struct kept *)b)->used;
    if (x->tv_sec != y->tv_sec)
        return x->tv_sec < y->tv_sec ? 1 : -1;
    return x->tv_nsec == y->tv_nsec ? 0 : x->tv_nsec < y->tv_nsec ? 1 : -1;
}

static struct listing list_all(const char *folder)
{
    struct listing listing = {0};
    walk(folder, "", suffix, list_file, &listing);
    if (listing.n)
        qsort(listing.items, listing.n, sizeof *listing.items, compare_used);
    return listing;
}

static void listing_deinit(struct listing *listing)
{
    for (size_t i = 0; i < listing->n; i++)
        free(listing->items[i].name);
    free(listing->items);
}

static uint64_t listing_bytes(const struct listing *listing)
{
    uint64_t n = 0;
    for (size_t i = 0; i < listing->n; i++)
        n += listing->items[i].n_bytes;
    return n;
}

/* Whoever writes such a file holds its lock. */
static void delete_unfinished(void *context, int folder, const char *name)
{
    (void)context;
    int fd = openat(folder, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
    if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0)
        (void)unlinkat(folder, name, 0);
    if (fd >= 0)
        close(fd);
}

void saved_make_room(const char *folder, uint64_t most_bytes, size_t most_files)
{
    walk(folder, "", SESSION_UNFINISHED, delete_unfinished, NULL);
    struct listing listing = list_all(folder);
    uint64_t n_bytes = 0;
    for (size_t i = 0; i < listing.n; i++) {
        n_bytes += listing.items[i].n_bytes;
        struct buffer path = {0};
        buffer_printf(&path, "%s/%s", folder, listing.items[i].name);
        if (!path.failed && (n_bytes > most_bytes || i >= most_files))
            (void)unlink(path.data);
        buffer_deinit(&path);
    }
    listing_deinit(&listing);
}

/* What the files may take together: what they take now is counted as free. */
static uint64_t bytes_allowed(const char *folder)
{
    struct statvfs disk;
    if (statvfs(folder, &disk) != 0)
        return 0;
    struct listing listing = list_all(folder);
    uint64_t tenth = ((uint64_t)disk.f_bavail * disk.f_frsize + listing_bytes(&listing)) / 10;
    listing_deinit(&listing);
    return tenth < SAVED_MOST_BYTES ? tenth : SAVED_MOST_BYTES;
}

/* ---- saving ---- */

enum status saved_keep(const struct session *session, int64_t id, struct error *error)
{
    size_t n;
    const int32_t *ids = session_tokens(session, &n);
    struct buffer folder = {0}, path = {0};
    if (n < SAVED_LEAST_TOKENS || id <= 0)
        return STATUS_OK;
    enum status status = folder_path(&folder, error);
    struct tokens tokens = {0};
    tokens_append_all(&tokens, ids, n);
    if (status == STATUS_OK)
        status = tokens_status(&tokens, error);
    if (status == STATUS_OK) {
        struct search search = {.session = session, .folder = folder.data, .prompt = &tokens};
        uint64_t allowed = bytes_allowed(folder.data);
        search_all(&search);
        buffer_printf(&path, "%s/%s", folder.data, search.best);
        if (search.n_covered + SAVED_LEAST_TOKENS / 2 > n)
            mark_used(buffer_text(&path));
        else if (n * session_kv_bytes_per_token(session) <= allowed) {
            buffer_clear(&path);
            buffer_printf(&path, "%s/%s-%lld%s", folder.data, session_key(session).text, (long long)id, suffix);
            status = path.failed ? buffer_status(&path, error) : session_save(session, path.data, error);
        }
        saved_make_room(folder.data, allowed, SAVED_MOST_FILES);
    }
    tokens_deinit(&tokens);
    buffer_deinit(&path);
    buffer_deinit(&folder);
    return status;
}

static void delete_file(void *context, int folder, const char *name)
{
    (void)context;
    (void)unlinkat(folder, name, 0);
}

void saved_delete(int64_t id)
{
    struct buffer folder = {0};
    char end[40];
    snprintf(end, sizeof end, "-%lld%s", (long long)id, suffix);
    if (folder_path(&folder, NULL) == STATUS_OK)
        walk(folder.data, "", end, delete_file, NULL);
    buffer_deinit(&folder);
}
