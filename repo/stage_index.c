/* stage_index: git's index, changed in a copy and put in its place by one rename.
 *
 *   index ──copy──► fathom-index.PID ──libgit2──► fathom-index.PID ──link──► index.lock ──rename──► index
 *
 * libgit2 locks the index only while it writes, when it may have changed since it was read; so it works on a copy here, and
 * index.lock is taken before the copy takes the index's place.  The lock is a second name of the copy, on which a flock is
 * held: a lock that a killed fathom left behind is told by that from everybody else's, and taken away. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "repo/stage_internal.h"

enum { LEFTOVER_SECONDS = 600 };

struct stage_index {
    char *path, *copy, *lock; /* the index, its copy, index.lock */
    git_index *git;
    int copy_fd; /* holds the flock */
    struct stat seen;
    bool is_new; /* there was no index */
    char seen_end[20];
    bool is_copied, is_linked, is_locked;
};

static enum status fail(const char *path, const char *what, struct error *error)
{
    return error_set(error, errno == ENOMEM ? STATUS_MEMORY : STATUS_IO, "%s %.120s: %s (nothing was changed)", what,
                     path, strerror(errno));
}

/* ---- leftovers ---- */

/* A copy whose flock nobody holds. */
static bool is_abandoned(const char *path)
{
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    bool is_free = fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0;
    if (fd >= 0)
        close(fd);
    return is_free;
}

/* Removes index.lock where it is the second name of a copy that a killed fathom left. */
static bool remove_own_lock(const struct stage_index *index)
{
    struct stat lock, copy;
    bool is_removed = false;
    if (lstat(index->lock, &lock) != 0 || lock.st_nlink < 2)
        return false;
    char *folder_path = strndup(index->path, (size_t)(strrchr(index->path, '/') - index->path));
    DIR *folder = folder_path ? opendir(folder_path) : NULL;
    for (struct dirent *each; folder && !is_removed && (each = readdir(folder));) {
        char path[PATH_MAX];
        int n = snprintf(path, sizeof path, "%s/%s", folder_path, each->d_name);
        if (strncmp(each->d_name, "fathom-index.", 13) != 0 || n < 0 || (size_t)n >= sizeof path ||
            lstat(path, &copy) != 0 || copy.st_ino != lock.st_ino || copy.st_dev != lock.st_dev || !is_abandoned(path))
            continue;
        is_removed = unlink(index->lock) == 0;
        (void)unlink(path);
    }
    if (folder)
        closedir(folder);
    free(folder_path);
    return is_removed;
}

/* Copies of the index and files that were to be exchanged, of a fathom that was ended.  What they hold is in the journal. */
static void remove_leftovers(const struct repo *repo)
{
    DIR *folder = opendir(repo->git_folder);
    time_t now = time(NULL);
    for (struct dirent *each; folder && (each = readdir(folder));) {
        struct stat about;
        bool is_ours =
            strncmp(each->d_name, "fathom-index.", 13) == 0 || strncmp(each->d_name, ".fathom-file.", 13) == 0;
        if (is_ours && fstatat(dirfd(folder), each->d_name, &about, AT_SYMLINK_NOFOLLOW) == 0 &&
            about.st_ctim.tv_sec < now - LEFTOVER_SECONDS)
            (void)unlinkat(dirfd(folder), each->d_name, 0);
    }
    if (folder)
        closedir(folder);
}

/* ---- opening ---- */

static char *join(const char *path, const char *end)
{
    struct buffer out = {0};
    buffer_printf(&out, "%s%s", path, end);
    if (!out.failed)
        return out.data;
    buffer_deinit(&out);
    return NULL;
}

static enum status name_files(struct repo *repo, struct stage_index *index, struct error *error)
{
    const char *path = git_index_path(repo->index);
    index->path = path ? realpath(path, NULL) : NULL; /* a link is followed, as git does */
    if (path && !index->path && errno == ENOENT)
        index->path = strdup(path);
    if (index->path) {
        struct buffer copy = {0};
        buffer_append(&copy, index->path, (size_t)(strrchr(index->path, '/') - index->path));
        buffer_printf(&copy, "/fathom-index.%ld", (long)getpid());
        index->copy = copy.data;
        index->lock = join(index->path, ".lock");
        if (!copy.failed && index->lock)
            return STATUS_OK;
    }
    return error_set(error, STATUS_MEMORY, "the index of %.150s can't be found", repo->root);
}

static enum status read_index(struct stage_index *index, struct buffer *out, struct error *error)
{
    char piece[64 * 1024];
    int fd = open(index->path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT) {
        index->is_new = true;
        return STATUS_OK;
    }
    ssize_t n = fd < 0 || fstat(fd, &index->seen) != 0 ? -1 : 1;
    while (n > 0 && !out->failed) {
        n = read(fd, piece, sizeof piece);
        if (n > 0)
            buffer_append(out, piece, (size_t)n);
        else if (n < 0 && errno == EINTR)
            n = 1;
    }
    enum status status = n < 0 ? fail(index->path, "can't read", error) : buffer_status(out, error);
    if (fd >= 0)
        close(fd);
    if (!status && out->size >= sizeof index->seen_end)
        memcpy(index->seen_end, out->data + out->size - sizeof index->seen_end, sizeof index->seen_end);
    return status;
}

static enum status write_copy(struct stage_index *index, const struct buffer *bytes, struct error *error)
{
    int fd = open(index->copy, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return fail(index->copy, "can't write", error);
    index->is_copied = true;
    size_t at = 0;
    while (at < bytes->size) {
        ssize_t n = write(fd, bytes->data + at, bytes->size - at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            enum status status = fail(index->copy, "can't write", error);
            close(fd);
            return status;
        }
        at += (size_t)n;
    }
    close(fd);
    return STATUS_OK;
}

enum status stage_index_open(struct repo *repo, struct stage_index **out, struct error *error)
{
    struct buffer bytes = {0};
    struct stage_index *index = calloc(1, sizeof *index);
    if (!index)
        return error_set(error, STATUS_MEMORY, "out of memory");
    index->copy_fd = -1;
    enum status status = name_files(repo, index, error);
    if (!status) {
        (void)remove_own_lock(index);
        remove_leftovers(repo);
        (void)unlink(index->copy); /* of an earlier process of the same number */
    }
    if (!status)
        status = read_index(index, &bytes, error);
    if (!status && !index->is_new)
        status = write_copy(index, &bytes, error);
    buffer_deinit(&bytes);
    if (!status) {
        int code = git_index_open(&index->git, index->copy); /* reads it */
        if (code)
            status = repo_git_fail(code, index->path, error);
    }
    if (status) {
        stage_index_close(index);
        return status;
    }
    *out = index;
    return STATUS_OK;
}

void stage_index_close(struct stage_index *index)
{
    if (!index)
        return;
    git_index_free(index->git);
    if (index->is_locked)
        (void)unlink(index->lock);
    if (index->is_copied)
        (void)unlink(index->copy);
    if (index->copy_fd >= 0)
        close(index->copy_fd);
    free(index->path);
    free(index->copy);
    free(index->lock);
    free(index);
}

/* ---- entries ---- */

void stage_index_find(struct stage_index *index, const char *path, struct journal_entry *out, bool *is_unmerged)
{
    *out = (struct journal_entry){0};
    *is_unmerged = false;
    const git_index_entry *entry = git_index_get_bypath(index->git, path, 0);
    for (int stage = 1; !entry && stage <= 3; stage++)
        *is_unmerged = *is_unmerged || git_index_get_bypath(index->git, path, stage);
    if (!entry)
        return;
    out->mode = entry->mode;
    out->is_intent = (entry->flags_extended & GIT_INDEX_ENTRY_INTENT_TO_ADD) != 0;
    memcpy(out->id.bytes, entry->id.id, sizeof out->id.bytes);
}

/* A folder that would have to be a file, or a file that would have to be a folder: libgit2 would throw those entries away. */
static bool collides(struct stage_index *index, const char *path, struct buffer *scratch)
{
    size_t position;
    buffer_clear(scratch);
    buffer_printf(scratch, "%s/", path);
    if (scratch->failed || git_index_find_prefix(&position, index->git, scratch->data) == 0)
        return true;
    for (size_t i = 1; path[i]; i++) {
        if (path[i] != '/')
            continue;
        buffer_clear(scratch);
        buffer_append(scratch, path, i);
        if (scratch->failed || git_index_get_bypath(index->git, scratch->data, 0))
            return true;
    }
    return false;
}

enum status stage_index_set(struct stage_index *index, const char *path, const struct journal_entry *entry,
                            struct error *error)
{
    const git_index_entry *old = git_index_get_bypath(index->git, path, 0);
    git_index_entry fresh = {.path = path, .mode = entry->mode};
    struct buffer scratch = {0};
    int code;
    if (!entry->mode) {
        code = old ? git_index_remove(index->git, path, 0) : 0;
        return code ? repo_git_fail(code, path, error) : STATUS_OK;
    }
    bool is_blocked = !old && collides(index, path, &scratch);
    buffer_deinit(&scratch);
    if (is_blocked)
        return error_set(
            error, STATUS_UNSUPPORTED,
            "%.150s: a folder and a file of that name can't be staged beside each other (the one that goes "
            "comes first)",
            path);
    memcpy(fresh.id.id, entry->id.bytes, sizeof fresh.id.id);
    /* Without times and size: git looks at the file itself, and takes the flags that a user gave the entry as they are. */
    if (old)
        fresh.flags = (uint16_t)(old->flags & GIT_INDEX_ENTRY_VALID),
        fresh.flags_extended = (uint16_t)(old->flags_extended & GIT_INDEX_ENTRY_SKIP_WORKTREE);
    if (entry->is_intent)
        fresh.flags_extended |= GIT_INDEX_ENTRY_INTENT_TO_ADD;
    if (fresh.flags_extended)
        fresh.flags |= GIT_INDEX_ENTRY_EXTENDED;
    code = git_index_add(index->git, &fresh);
    return code ? repo_git_fail(code, path, error) : STATUS_OK;
}

/* ---- writing ---- */

/* An entry as young as the index that it stands in may have changed without a trace; once the index is written anew it would
 * look older than it.  Git's answer is ours: its size goes, so that the content is looked at (racy-git.txt). */
static enum status distrust_young(struct stage_index *index, struct error *error)
{
    size_t n = git_index_entrycount(index->git);
    for (size_t i = 0; !index->is_new && i < n; i++) {
        const git_index_entry *entry = git_index_get_byindex(index->git, i);
        bool is_young = entry->mtime.seconds > index->seen.st_mtim.tv_sec ||
                        (entry->mtime.seconds == index->seen.st_mtim.tv_sec &&
                         (int64_t)entry->mtime.nanoseconds >= (int64_t)index->seen.st_mtim.tv_nsec);
        if (!is_young || !entry->file_size || git_index_entry_stage(entry) != 0)
            continue;
        git_index_entry other = *entry;
        char *path = strdup(entry->path);
        other.path = path;
        other.file_size = 0;
        int code = path ? git_index_add(index->git, &other) : 0;
        free(path);
        if (!path || code)
            return path ? repo_git_fail(code, index->path, error) : error_set(error, STATUS_MEMORY, "out of memory");
    }
    return STATUS_OK;
}

static bool is_unchanged(const struct stage_index *index)
{
    struct stat now;
    char end[sizeof index->seen_end] = {0};
    int fd = open(index->path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT && index->is_new;
    bool is_same = !index->is_new && fstat(fd, &now) == 0 && now.st_ino == index->seen.st_ino &&
                   now.st_size == index->seen.st_size && now.st_mtim.tv_sec == index->seen.st_mtim.tv_sec &&
                   now.st_mtim.tv_nsec == index->seen.st_mtim.tv_nsec && now.st_size >= (off_t)sizeof end &&
                   pread(fd, end, sizeof end, now.st_size - (off_t)sizeof end) == (ssize_t)sizeof end &&
                   memcmp(end, index->seen_end, sizeof end) == 0;
    close(fd);
    return is_same;
}

static enum status take_lock(struct stage_index *index, struct error *error)
{
    for (int i = 0; i < 2; i++) {
        index->is_linked = link(index->copy, index->lock) == 0;
        if (!index->is_linked && errno != EEXIST) { /* a file system without second names */
            int fd = open(index->lock, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
            if (fd >= 0)
                close(fd);
            index->is_locked = fd >= 0;
        } else {
            index->is_locked = index->is_linked;
        }
        if (index->is_locked)
            return STATUS_OK;
        if (errno != EEXIST)
            return fail(index->lock, "can't write", error);
        if (!remove_own_lock(index))
            break;
    }
    return error_set(error, STATUS_IO,
                     "%.150s is there: another git command is at work here (or was ended: then remove that file)",
                     index->lock);
}

enum status stage_index_lock(struct stage_index *index, struct error *error)
{
    enum status status = distrust_young(index, error);
    int code = status ? 0 : git_index_write(index->git);
    if (code)
        status = error_set(error, STATUS_IO, "can't write %.120s: %s (nothing was changed)", index->copy,
                           git_error_last() ? git_error_last()->message : "");
    if (status)
        return status;
    index->is_copied = true;
    index->copy_fd = open(index->copy, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
    if (index->copy_fd < 0 || (!index->is_new && fchmod(index->copy_fd, index->seen.st_mode & 0777) != 0) ||
        fsync(index->copy_fd) != 0)
        return fail(index->copy, "can't write", error);
    (void)flock(index->copy_fd, LOCK_EX | LOCK_NB);
    status = take_lock(index, error);
    if (!status && !is_unchanged(index))
        status =
            error_set(error, STATUS_FORMAT, "the index has changed in the meantime (nothing was changed; look again)");
    return status;
}

enum status stage_index_commit(struct stage_index *index, struct error *error)
{
    if (!index->is_linked && rename(index->copy, index->lock) != 0)
        return fail(index->lock, "can't write", error);
    if (rename(index->lock, index->path) != 0)
        return fail(index->path, "can't write", error);
    index->is_locked = false;
    return STATUS_OK;
}
