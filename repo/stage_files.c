/* stage_files: files of the worktree, read without following links and changed by one rename each.
 *
 * The new file is made beside git's own files (or, where the worktree lies on another file system, beside the old one), and
 * the two are exchanged.  Only then is looked at what came out: had somebody written to it, the exchange is taken back.  So
 * there is no moment in which a change of somebody else could be lost. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "repo/stage_internal.h"

/* ---- reading ---- */

static bool read_link(int folder_fd, const char *name, struct buffer *out)
{
    char target[PATH_MAX];
    ssize_t n = readlinkat(folder_fd, name, target, sizeof target);
    if (n < 0)
        return false;
    buffer_append(out, target, (size_t)n);
    return !out->failed;
}

/* A name in a folder that is open.  False with errno. */
static bool read_at(int folder_fd, const char *name, struct journal_file *out, struct buffer *bytes, struct stat *about)
{
    *out = (struct journal_file){0};
    if (fstatat(folder_fd, name, about, AT_SYMLINK_NOFOLLOW) != 0)
        return errno == ENOENT;
    out->mode = about->st_mode;
    if (S_ISLNK(about->st_mode))
        return read_link(folder_fd, name, bytes) &&
               stage_hash((struct slice){buffer_text(bytes), bytes->size}, &out->id, NULL) == STATUS_OK;
    if (!S_ISREG(about->st_mode))
        return true;
    int fd = openat(folder_fd, name, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || fstat(fd, about) != 0 || !S_ISREG(about->st_mode)) {
        int failed = fd < 0 ? errno : EIO;
        if (fd >= 0)
            close(fd);
        errno = failed;
        return false;
    }
    out->mode = about->st_mode;
    char *piece = malloc(1 << 16);
    ssize_t n = piece ? 1 : -1;
    while (n > 0 && bytes->size <= STAGE_LIMIT && !bytes->failed) {
        n = read(fd, piece, 1 << 16);
        if (n > 0)
            buffer_append(bytes, piece, (size_t)n);
        else if (n < 0 && errno == EINTR)
            n = 1;
    }
    int failed = bytes->size > STAGE_LIMIT ? EFBIG : bytes->failed ? ENOMEM : errno;
    free(piece);
    close(fd);
    errno = failed;
    return n == 0 && bytes->size <= STAGE_LIMIT && !bytes->failed &&
           stage_hash((struct slice){buffer_text(bytes), bytes->size}, &out->id, NULL) == STATUS_OK;
}

/* The folder that a path lies in, and its last name; a descriptor that is the caller's, -1 with errno. */
static int open_parent(struct repo *repo, const char *path, const char **name)
{
    const char *slash = strrchr(path, '/');
    *name = slash ? slash + 1 : path;
    if (!slash)
        return fcntl(repo->root_fd, F_DUPFD_CLOEXEC, 0);
    return repo_open_below(repo->root_fd, path, (size_t)(slash - path), O_RDONLY | O_DIRECTORY);
}

static enum status fail(const char *path, struct error *error)
{
    enum status status = errno == ENOMEM ? STATUS_MEMORY : errno == EFBIG ? STATUS_RANGE : STATUS_IO;
    if (errno == EFBIG)
        return error_set(error, status, "%.150s: more than %d MiB", path, STAGE_LIMIT >> 20);
    return error_set(error, status, "%.150s: %s", path, strerror(errno));
}

enum status stage_file_read(struct repo *repo, const char *path, struct journal_file *out, struct buffer *bytes,
                            struct stat *about, struct error *error)
{
    const char *name;
    struct buffer own = {0};
    struct stat unasked;
    struct buffer *into = bytes ? bytes : &own;
    *out = (struct journal_file){0};
    int folder_fd = open_parent(repo, path, &name);
    /* ELOOP, ENOTDIR: a step of the path is a link or a file now, so that what we look for isn't there. */
    if (folder_fd < 0)
        return errno == ENOENT || errno == ENOTDIR || errno == ELOOP ? STATUS_OK : fail(path, error);
    buffer_clear(into);
    bool ok = read_at(folder_fd, name, out, into, about ? about : &unasked);
    enum status status = ok ? STATUS_OK : fail(path, error);
    close(folder_fd);
    buffer_deinit(&own);
    return status;
}

bool stage_file_equals(const struct journal_file *a, const struct journal_file *b)
{
    if ((a->mode & S_IFMT) != (b->mode & S_IFMT))
        return false;
    if (S_ISREG(a->mode) && ((a->mode ^ b->mode) & S_IXUSR))
        return false;
    return a->mode == 0 || stage_same_id(&a->id, &b->id);
}

/* ---- changing ---- */

struct stage_swap {
    char *path;
    const char *name; /* its last step */
    int folder_fd, spare_fd;
    char spare[64]; /* the new file's name until it is in place; then the old one's */
    struct journal_file from;
    bool has_new, is_made, has_spare;
    bool is_beside;  /* the spare lies beside the file, not in git's folder */
    bool is_changed; /* for good: what was there before couldn't be put back */
    bool is_kept;    /* what was there then lies in the spare */
};

/* Folders of the path that aren't there are made; none of them is followed where it is a link. */
static int make_parent(struct repo *repo, const char *path)
{
    for (const char *slash = path; (slash = strchr(slash, '/')); slash++) {
        const char *name;
        char *part = strndup(path, (size_t)(slash - path));
        int above = part ? open_parent(repo, part, &name) : -1;
        bool ok = above >= 0 && (mkdirat(above, name, 0777) == 0 || errno == EEXIST);
        int failed = errno;
        if (above >= 0)
            close(above);
        free(part);
        errno = failed;
        if (!ok)
            return -1;
    }
    const char *name;
    return open_parent(repo, path, &name);
}

static bool write_all(int fd, struct slice bytes)
{
    while (bytes.size) {
        ssize_t n = write(fd, bytes.data, bytes.size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        bytes.data += n;
        bytes.size -= (size_t)n;
    }
    return true;
}

/* Of a file that only goes, an empty one, which keeps the name.  Where permissions are known they are set: a file is restored or edited, and readable then.  One that git brings gets what
 * git would give it. */
static bool make_spare(struct stage_swap *swap, const struct journal_file *to, struct slice bytes)
{
    if (!swap->has_new)
        bytes.size = 0;
    if (S_ISLNK(to->mode)) {
        char *target = strndup(bytes.data, bytes.size);
        swap->has_spare = target && symlinkat(target, swap->spare_fd, swap->spare) == 0;
        free(target);
        return swap->has_spare;
    }
    mode_t made = to->mode & S_IXUSR ? 0777 : 0666;
    int fd = openat(swap->spare_fd, swap->spare, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, made);
    if (fd < 0)
        return false;
    swap->has_spare = true;
    bool ok = write_all(fd, bytes) && ((to->mode & S_IRUSR) == 0 || fchmod(fd, to->mode & 0777) == 0) && fsync(fd) == 0;
    int failed = errno;
    if (close(fd) != 0 && ok) {
        ok = false;
        failed = errno;
    }
    errno = failed;
    return ok;
}

/* The folder for the file that isn't in place: git's, if a file can be renamed from there. */
static int open_spare_folder(struct repo *repo, int folder_fd, bool *is_beside)
{
    struct stat one, two;
    int fd = open(repo->git_folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0 && fstat(fd, &one) == 0 && fstat(folder_fd, &two) == 0 && one.st_dev == two.st_dev)
        return fd;
    if (fd >= 0)
        close(fd);
    *is_beside = true;
    return fcntl(folder_fd, F_DUPFD_CLOEXEC, 0);
}

enum status stage_swap_prepare(struct repo *repo, const char *path, const struct journal_file *from,
                               const struct journal_file *to, struct slice bytes, struct stage_swap **out,
                               struct error *error)
{
    struct stage_swap *swap = calloc(1, sizeof *swap);
    if (!swap)
        return error_set(error, STATUS_MEMORY, "out of memory");
    swap->folder_fd = swap->spare_fd = -1;
    swap->from = *from;
    swap->has_new = to->mode != 0;
    swap->path = strdup(path);
    bool ok = swap->path != NULL;
    if (ok) {
        const char *slash = strrchr(swap->path, '/');
        swap->name = slash ? slash + 1 : swap->path;
        swap->folder_fd = swap->has_new ? make_parent(repo, path) : open_parent(repo, path, &swap->name);
        ok = swap->folder_fd >= 0 && (swap->spare_fd = open_spare_folder(repo, swap->folder_fd, &swap->is_beside)) >= 0;
    }
    for (unsigned i = 0; ok && !swap->has_spare; i++) {
        snprintf(swap->spare, sizeof swap->spare, ".fathom-file.%ld.%u", (long)getpid(), i);
        ok = make_spare(swap, to, bytes) || (errno == EEXIST && i < 10000 && !swap->has_spare);
    }
    if (ok) {
        *out = swap;
        return STATUS_OK;
    }
    enum status status = fail(path, error);
    stage_swap_free(swap);
    return status;
}

/* Puts the spare where no file is. */
static bool put_spare(const struct stage_swap *swap)
{
    if (renameat2(swap->spare_fd, swap->spare, swap->folder_fd, swap->name, RENAME_NOREPLACE) == 0)
        return true;
    if (errno != EINVAL && errno != ENOSYS)
        return false;
    if (linkat(swap->spare_fd, swap->spare, swap->folder_fd, swap->name, 0) != 0)
        return false;
    (void)unlinkat(swap->spare_fd, swap->spare, 0);
    return true;
}

static bool exchange(const struct stage_swap *swap)
{
    if (!swap->has_new)
        return renameat(swap->folder_fd, swap->name, swap->spare_fd, swap->spare) == 0;
    return renameat2(swap->spare_fd, swap->spare, swap->folder_fd, swap->name, RENAME_EXCHANGE) == 0;
}

static bool is_expected(const struct stage_swap *swap, int folder_fd, const char *name)
{
    struct journal_file found;
    struct stat about;
    struct buffer bytes = {0};
    bool ok = read_at(folder_fd, name, &found, &bytes, &about) && stage_file_equals(&found, &swap->from);
    buffer_deinit(&bytes);
    return ok;
}

enum status stage_swap_make(struct stage_swap *swap, struct error *error)
{
    if (!swap->from.mode) {
        swap->is_made = put_spare(swap);
        swap->has_spare = !swap->is_made;
        if (!swap->is_made && errno == EEXIST)
            return error_set(error, STATUS_FORMAT,
                             "%.150s has changed in the meantime (nothing was changed; look again)", swap->path);
        return swap->is_made ? STATUS_OK : fail(swap->path, error);
    }
    /* On file systems that can't exchange: a look, and a rename over it. */
    bool is_exchanged = exchange(swap);
    if (!is_exchanged && swap->has_new && (errno == EINVAL || errno == ENOSYS)) {
        if (is_expected(swap, swap->folder_fd, swap->name)) {
            if (renameat(swap->spare_fd, swap->spare, swap->folder_fd, swap->name) != 0)
                return fail(swap->path, error);
            swap->has_spare = false;
            swap->is_changed = true;
            return STATUS_OK;
        }
    } else if (!is_exchanged && errno != ENOENT) {
        return fail(swap->path, error);
    }
    swap->is_made = is_exchanged;
    swap->has_spare = swap->has_spare || is_exchanged;
    if (is_exchanged && is_expected(swap, swap->spare_fd, swap->spare))
        return STATUS_OK;
    (void)stage_swap_revert(swap);
    return error_set(error, STATUS_FORMAT, "%.150s has changed in the meantime (nothing was changed; look again)",
                     swap->path);
}

/* The spare is what was there before, and maybe all that is left of it: it gets a name that no later run clears away. */
static void keep_spare(struct stage_swap *swap)
{
    char name[sizeof swap->spare];
    snprintf(name, sizeof name, "fathom-kept%s", swap->spare + strlen(".fathom-file"));
    swap->has_spare = false;
    swap->is_kept = true;
    if (linkat(swap->spare_fd, swap->spare, swap->spare_fd, name, 0) != 0)
        return;
    (void)unlinkat(swap->spare_fd, swap->spare, 0);
    memcpy(swap->spare, name, sizeof name);
}

bool stage_swap_revert(struct stage_swap *swap)
{
    if (!swap->is_made)
        return !swap->is_changed;
    swap->is_made = false;
    if (!swap->from.mode) {
        swap->is_changed = unlinkat(swap->folder_fd, swap->name, 0) != 0 && errno != ENOENT;
    } else if (swap->has_new ? !exchange(swap) : !put_spare(swap)) {
        swap->is_changed = true;
        keep_spare(swap);
    } else if (!swap->has_new) {
        swap->has_spare = false;
    }
    return !swap->is_changed;
}

void stage_swap_say(const struct stage_swap *swap, struct error *error)
{
    char why[100], where[128] = "";
    snprintf(why, sizeof why, "%.99s", error->text);
    char *untrue = strstr(why, " (nothing was changed");
    if (untrue)
        *untrue = 0;
    if (swap->is_kept)
        snprintf(where, sizeof where, " (what was there lies %s as %s)",
                 swap->is_beside ? "beside it" : "in git's folder", swap->spare);
    error_set(error, error->status, "%s; %.50s couldn't be put back: undo can%s", why, swap->path, where);
}

void stage_swap_free(struct stage_swap *swap)
{
    if (!swap)
        return;
    if (swap->has_spare)
        (void)unlinkat(swap->spare_fd, swap->spare, 0);
    if (swap->folder_fd >= 0)
        close(swap->folder_fd);
    if (swap->spare_fd >= 0)
        close(swap->spare_fd);
    free(swap->path);
    free(swap);
}
