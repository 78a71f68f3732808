/* repo_read: contents of files, read without following a link and without waiting for anything. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "repo/repo_internal.h"

struct repo_stamp repo_stamp_of(const struct stat *about)
{
    return (struct repo_stamp){
        .size = (uint64_t)about->st_size,
        .inode = about->st_ino,
        .mode = about->st_mode,
        .mtime_ns = (int64_t)about->st_mtim.tv_sec * 1000000000 + about->st_mtim.tv_nsec,
        .ctime_ns = (int64_t)about->st_ctim.tv_sec * 1000000000 + about->st_ctim.tv_nsec,
    };
}

/* A name that stays within its folder. */
static bool is_plain_name(const char *name, size_t size)
{
    return size > 0 && size <= NAME_MAX && !(size == 1 && name[0] == '.') &&
           !(size == 2 && name[0] == '.' && name[1] == '.');
}

int repo_open_below(int folder_fd, const char *path, size_t size, int flags)
{
    char name[NAME_MAX + 1];
    int fd = folder_fd;
    for (size_t at = 0;;) {
        const char *slash = memchr(path + at, '/', size - at);
        size_t length = slash ? (size_t)(slash - (path + at)) : size - at;
        int next = -1;
        errno = EINVAL;
        if (is_plain_name(path + at, length) && !memchr(path + at, 0, length)) {
            memcpy(name, path + at, length);
            name[length] = 0;
            next = openat(fd, name,
                          slash ? O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC : flags | O_NOFOLLOW | O_CLOEXEC);
        }
        int failed = errno;
        if (fd != folder_fd)
            close(fd);
        errno = failed;
        if (next < 0 || !slash)
            return next;
        fd = next;
        at += length + 1;
    }
}

/* Appends what the descriptor gives, at most limit bytes; false with errno, EFBIG where there is more. */
static bool read_all(int fd, size_t limit, struct buffer *out)
{
    char piece[32 * 1024];
    for (size_t total = 0;;) {
        ssize_t n = read(fd, piece, sizeof piece);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n == 0;
        if ((size_t)n > limit - total) {
            errno = EFBIG;
            return false;
        }
        total += (size_t)n;
        buffer_append(out, piece, (size_t)n);
        if (out->failed) {
            errno = ENOMEM;
            return false;
        }
    }
}

bool repo_read_small(int folder_fd, const char *path, bool follows, size_t limit, struct buffer *out)
{
    struct stat about;
    int fd = openat(folder_fd, path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC | (follows ? 0 : O_NOFOLLOW));
    bool ok = fd >= 0 && fstat(fd, &about) == 0 && S_ISREG(about.st_mode) && read_all(fd, limit, out);
    if (fd >= 0)
        close(fd);
    return ok;
}

static bool is_git_name(const char *path, size_t size)
{
    return size >= 4 && strncasecmp(path, ".git", 4) == 0 && (size == 4 || path[4] == '/');
}

/* Into the content of a file of the worktree. */
enum status repo_read_file(struct repo *repo, const struct repo_file *file, uint64_t limit, struct buffer *out,
                           struct error *error)
{
    struct stat about;
    size_t most = limit < SIZE_MAX / 2 ? (size_t)limit : SIZE_MAX / 2;
    if (repo->git && is_git_name(file->path, file->path_size))
        return error_set(error, STATUS_IO, "%.150s: it belongs to git", file->path);
    /* O_NONBLOCK: opening a pipe that nobody writes to would wait. */
    int fd = repo_open_below(repo->root_fd, file->path, file->path_size, O_RDONLY | O_NONBLOCK | O_NOCTTY);
    bool ok = fd >= 0 && fstat(fd, &about) == 0;
    if (ok && !S_ISREG(about.st_mode)) {
        close(fd);
        return error_set(error, STATUS_IO, "%.150s: it is no regular file any more", file->path);
    }
    ok = ok && read_all(fd, most, out);
    int failed = errno;
    if (fd >= 0)
        close(fd);
    if (ok)
        return STATUS_OK;
    if (failed == EFBIG)
        return error_set(error, STATUS_RANGE, "%.150s: more than %llu bytes", file->path, (unsigned long long)limit);
    if (failed == ENOMEM)
        return error_set(error, STATUS_MEMORY, "out of memory");
    return error_set(error, STATUS_IO, "%.150s: %s", file->path, strerror(failed));
}

/* Into the content of a blob.  libgit2 keeps its object database safe among threads. */
static enum status read_blob(struct repo *repo, const struct repo_file *file, uint64_t limit, struct buffer *out,
                             struct error *error)
{
    git_oid id;
    git_odb_object *object = NULL;
    size_t size;
    git_object_t kind;
    if (!repo->odb)
        return error_set(error, STATUS_ARGUMENT, "%.150s: a blob outside a repository", file->path);
    memcpy(id.id, file->id.bytes, sizeof file->id.bytes);
    int code = git_odb_read_header(&size, &kind, repo->odb, &id);
    if (code == 0 && kind != GIT_OBJECT_BLOB)
        return error_set(error, STATUS_IO, "%.150s: its object is no file", file->path);
    if (code == 0 && size > limit)
        return error_set(error, STATUS_RANGE, "%.150s: more than %llu bytes", file->path, (unsigned long long)limit);
    if (code == 0)
        code = git_odb_read(&object, repo->odb, &id);
    if (code != 0)
        return repo_git_fail(code, file->path, error) == STATUS_MEMORY ? STATUS_MEMORY : STATUS_IO;
    buffer_append(out, git_odb_object_data(object), git_odb_object_size(object));
    git_odb_object_free(object);
    return buffer_status(out, error);
}

enum status repo_read(struct repo *repo, const struct repo_file *file, uint64_t limit, struct buffer *out,
                      struct repo_id *id, enum repo_skip *skip, struct error *error)
{
    git_oid hash;
    buffer_clear(out);
    *skip = REPO_SKIP_UNREADABLE;
    bool is_of_revision = file->stamp.mode == 0;
    enum status status =
        is_of_revision ? read_blob(repo, file, limit, out, error) : repo_read_file(repo, file, limit, out, error);
    if (status == STATUS_RANGE)
        *skip = REPO_SKIP_LARGE;
    if (status != STATUS_OK)
        return status;
    if (is_of_revision) {
        *id = file->id;
    } else if (git_odb_hash(&hash, buffer_text(out), out->size, GIT_OBJECT_BLOB) == 0) {
        memcpy(id->bytes, hash.id, sizeof id->bytes);
    } else {
        return error_set(error, STATUS_MEMORY, "%.150s: its id can't be computed", file->path);
    }
    *skip = repo_skip_by_content(buffer_text(out), out->size, file->is_said_text, file->is_said_original);
    return STATUS_OK;
}

bool repo_submodule_head(struct repo *repo, const char *path, struct repo_id *id)
{
    git_repository *inner = NULL;
    git_oid oid;
    struct buffer full = {0};
    int fd = repo_open_below(repo->root_fd, path, strlen(path), O_PATH | O_DIRECTORY);
    if (fd < 0)
        return false;
    close(fd);
    buffer_printf(&full, "%s/%s", repo->root, path);
    bool ok = !full.failed && git_repository_open_ext(&inner, full.data, GIT_REPOSITORY_OPEN_NO_SEARCH, NULL) == 0 &&
              git_reference_name_to_id(&oid, inner, "HEAD") == 0;
    if (ok)
        memcpy(id->bytes, oid.id, sizeof id->bytes);
    git_repository_free(inner);
    buffer_deinit(&full);
    return ok;
}
