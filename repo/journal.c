/* journal: see journal.h.  The folder of records. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "repo/journal_internal.h"

enum { LIMIT_DEFAULT = 512 << 20, LOCK_TRIES = 50, LOCK_PAUSE_NS = 10 * 1000 * 1000 };

struct journal {
    int fd;      /* the repository's folder of records */
    int lock_fd; /* a file in it */
    uint64_t limit;
    char *path;
};

/* ---- the folder ---- */

static uint64_t hash_text(const char *text)
{
    uint64_t hash = 0xcbf29ce484222325u;
    for (; *text; text++)
        hash = (hash ^ (unsigned char)*text) * 0x100000001b3u;
    return hash;
}

static enum status fail(const struct journal *journal, struct error *error)
{
    return error_set(error, STATUS_IO, "the undo journal in %.120s: %s (nothing was changed)", journal->path,
                     strerror(errno));
}

enum status journal_open(const char *folder, const struct repo *repo, uint64_t limit, struct journal **out,
                         struct error *error)
{
    const char *of = repo_git_folder(repo);
    struct buffer path = {0};
    if (!of)
        return error_set(error, STATUS_UNSUPPORTED, "%.150s is no git repository", repo_root(repo));
    buffer_printf(&path, "%s/undo", folder);
    if (!path.failed)
        (void)mkdir(path.data, 0700);
    buffer_printf(&path, "/%016" PRIx64, hash_text(of));
    struct journal *journal = path.failed ? NULL : calloc(1, sizeof *journal);
    if (!journal) {
        buffer_deinit(&path);
        return error_set(error, STATUS_MEMORY, "out of memory");
    }
    (void)mkdir(path.data, 0700);
    *journal = (struct journal){.limit = limit ? limit : LIMIT_DEFAULT, .path = path.data, .lock_fd = -1};
    journal->fd = open(journal->path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (journal->fd >= 0)
        journal->lock_fd = openat(journal->fd, "lock", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (journal->lock_fd < 0) {
        enum status status = fail(journal, error);
        journal_close(journal);
        return status;
    }
    *out = journal;
    return STATUS_OK;
}

void journal_close(struct journal *journal)
{
    if (!journal)
        return;
    if (journal->fd >= 0)
        close(journal->fd);
    if (journal->lock_fd >= 0)
        close(journal->lock_fd);
    free(journal->path);
    free(journal);
}

enum status journal_lock(struct journal *journal, struct error *error)
{
    for (int i = 0; i < LOCK_TRIES; i++) {
        if (flock(journal->lock_fd, LOCK_EX | LOCK_NB) == 0)
            return STATUS_OK;
        if (errno != EWOULDBLOCK && errno != EINTR)
            return fail(journal, error);
        nanosleep(&(struct timespec){.tv_nsec = LOCK_PAUSE_NS}, NULL);
    }
    return error_set(error, STATUS_IO, "another fathom is staging in this repository");
}

void journal_unlock(struct journal *journal)
{
    (void)flock(journal->lock_fd, LOCK_UN);
}

/* ---- records ---- */

struct found {
    uint64_t number, size;
    bool is_pending;
};

struct listing {
    struct found *found; /* oldest first */
    size_t n;
};

/* "0000000012.undo": its number, 0 where the name is another. */
static uint64_t number_of(const char *name, bool *is_pending)
{
    char *end = NULL;
    if (name[0] < '0' || name[0] > '9')
        return 0;
    errno = 0;
    uint64_t number = strtoull(name, &end, 10);
    *is_pending = strcmp(end, ".pending") == 0;
    return errno == 0 && (*is_pending || strcmp(end, ".undo") == 0) ? number : 0;
}

static void name_of(char name[40], uint64_t number, const char *kind)
{
    snprintf(name, 40, "%012" PRIu64 ".%s", number, kind);
}

static int compare_found(const void *a, const void *b)
{
    const struct found *x = a, *y = b;
    return (x->number > y->number) - (x->number < y->number);
}

static enum status list_records(const struct journal *journal, struct listing *out, struct error *error)
{
    size_t capacity = 0;
    *out = (struct listing){0};
    int fd = openat(journal->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *folder = fd >= 0 ? fdopendir(fd) : NULL;
    if (!folder) {
        enum status status = fail(journal, error);
        if (fd >= 0)
            close(fd);
        return status;
    }
    for (struct dirent *each; (each = readdir(folder));) {
        struct stat about;
        bool is_pending;
        uint64_t number = number_of(each->d_name, &is_pending);
        if (strncmp(each->d_name, "new.", 4) == 0) /* of one that was ended while it wrote: we hold the lock */
            (void)unlinkat(journal->fd, each->d_name, 0);
        if (!number || fstatat(journal->fd, each->d_name, &about, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(about.st_mode))
            continue;
        if (out->n == capacity) {
            capacity = capacity ? capacity * 2 : 32;
            struct found *grown = reallocarray(out->found, capacity, sizeof *grown);
            if (!grown) {
                closedir(folder);
                free(out->found);
                return error_set(error, STATUS_MEMORY, "out of memory");
            }
            out->found = grown;
        }
        out->found[out->n++] = (struct found){number, (uint64_t)about.st_size, is_pending};
    }
    closedir(folder);
    if (out->n)
        qsort(out->found, out->n, sizeof *out->found, compare_found);
    return STATUS_OK;
}

static bool write_all(int fd, const char *bytes, size_t size)
{
    while (size) {
        ssize_t n = write(fd, bytes, size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        bytes += n;
        size -= (size_t)n;
    }
    return true;
}

/* On disk under its name once this returns, or not at all. */
static enum status write_record(const struct journal *journal, uint64_t number, const struct buffer *bytes,
                                struct error *error)
{
    char temporary[64], name[40];
    snprintf(temporary, sizeof temporary, "new.%ld", (long)getpid());
    name_of(name, number, "pending");
    int fd = openat(journal->fd, temporary, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return fail(journal, error);
    bool ok = write_all(fd, bytes->data, bytes->size) && fsync(fd) == 0;
    int failed = errno;
    if (close(fd) != 0 && ok) {
        ok = false;
        failed = errno;
    }
    if (ok && (renameat(journal->fd, temporary, journal->fd, name) != 0 || fsync(journal->fd) != 0)) {
        ok = false;
        failed = errno;
        (void)unlinkat(journal->fd, name, 0);
    }
    if (ok)
        return STATUS_OK;
    (void)unlinkat(journal->fd, temporary, 0);
    errno = failed;
    return fail(journal, error);
}

/* The oldest go until there is room for one more of that size. */
static size_t make_room(const struct journal *journal, const struct listing *listing, uint64_t size)
{
    uint64_t total = size;
    size_t n_dropped = 0;
    for (size_t i = 0; i < listing->n; i++)
        total += listing->found[i].size;
    for (; n_dropped < listing->n && total > journal->limit; n_dropped++) {
        char name[40];
        const struct found *oldest = &listing->found[n_dropped];
        name_of(name, oldest->number, oldest->is_pending ? "pending" : "undo");
        (void)unlinkat(journal->fd, name, 0);
        total -= oldest->size;
    }
    return n_dropped;
}

enum status journal_begin(struct journal *journal, struct journal_record *record, size_t *n_dropped,
                          struct error *error)
{
    struct buffer bytes = {0};
    struct listing listing;
    journal_write_record(record, &bytes);
    enum status status = buffer_status(&bytes, error);
    if (!status && bytes.size > journal->limit)
        status = error_set(error, STATUS_RANGE,
                           "what would be lost is larger (%zu bytes) than the undo journal may be (%" PRIu64
                           "): nothing was changed",
                           bytes.size, journal->limit);
    if (!status)
        status = list_records(journal, &listing, error);
    if (!status) {
        record->number = listing.n ? listing.found[listing.n - 1].number + 1 : 1;
        record->is_pending = true;
        status = write_record(journal, record->number, &bytes, error);
        *n_dropped = status ? 0 : make_room(journal, &listing, bytes.size);
        free(listing.found);
    }
    buffer_deinit(&bytes);
    return status;
}

void journal_done(struct journal *journal, struct journal_record *record)
{
    char pending[40], done[40];
    name_of(pending, record->number, "pending");
    name_of(done, record->number, "undo");
    if (renameat(journal->fd, pending, journal->fd, done) == 0)
        record->is_pending = false;
}

void journal_drop(struct journal *journal, const struct journal_record *record)
{
    char name[40];
    name_of(name, record->number, record->is_pending ? "pending" : "undo");
    (void)unlinkat(journal->fd, name, 0);
}

static enum status read_record(struct journal *journal, const struct found *found, struct journal_record *out,
                               struct error *error)
{
    char name[40], piece[32 * 1024];
    struct buffer bytes = {0};
    name_of(name, found->number, found->is_pending ? "pending" : "undo");
    int fd = openat(journal->fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : 1;
    while (n > 0 && !bytes.failed) {
        n = read(fd, piece, sizeof piece);
        if (n < 0 && errno == EINTR)
            n = 1;
        else if (n > 0)
            buffer_append(&bytes, piece, (size_t)n);
    }
    enum status status = n < 0 ? fail(journal, error) : buffer_status(&bytes, error);
    if (fd >= 0)
        close(fd);
    if (!status)
        status = journal_read_record(buffer_text(&bytes), bytes.size, out, error);
    buffer_deinit(&bytes);
    if (!status) {
        out->number = found->number;
        out->is_pending = found->is_pending;
    }
    return status;
}

bool journal_is_pending(struct journal *journal)
{
    struct listing listing;
    if (list_records(journal, &listing, NULL) != STATUS_OK)
        return false;
    bool is_pending = listing.n && listing.found[listing.n - 1].is_pending;
    free(listing.found);
    return is_pending;
}

enum status journal_last(struct journal *journal, struct journal_record *out, struct error *error)
{
    struct listing listing;
    memset(out, 0, sizeof *out);
    enum status status = list_records(journal, &listing, error);
    if (status)
        return status;
    status = listing.n ? read_record(journal, &listing.found[listing.n - 1], out, error)
                       : error_set(error, STATUS_NOT_FOUND, "there is nothing to take back");
    if (status && listing.n)
        out->number = listing.found[listing.n - 1].number, out->is_pending = listing.found[listing.n - 1].is_pending;
    free(listing.found);
    return status;
}

size_t journal_count(struct journal *journal)
{
    struct listing listing;
    if (list_records(journal, &listing, NULL) != STATUS_OK)
        return 0;
    free(listing.found);
    return listing.n;
}
