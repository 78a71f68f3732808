/* search_read: the text of what was found, if it is still the text that was indexed (search_private.h). */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "repo/repo_internal.h"
#include "repo/search_private.h"

enum { MAX_FILE = 4 << 20 };

bool search_read_file(struct search *search, const char *path, size_t size, struct buffer *out,
                      struct repo_stamp *stamp)
{
    static const char room[65536];
    struct stat about;
    buffer_clear(out);
    int fd = search->repo->root_fd >= 0
                 ? repo_open_below(search->repo->root_fd, path, size, O_RDONLY | O_NONBLOCK | O_NOCTTY)
                 : -1;
    if (fd < 0)
        return false;
    bool is_read = fstat(fd, &about) == 0 && S_ISREG(about.st_mode) && about.st_size <= MAX_FILE;
    while (is_read && out->capacity < (size_t)about.st_size + 1 && !out->failed)
        buffer_append(out, room, sizeof room);
    is_read = is_read && !out->failed;
    out->size = 0;
    while (is_read && out->size < (size_t)about.st_size) {
        ssize_t n = read(fd, out->data + out->size, (size_t)about.st_size - out->size);
        if (n <= 0)
            break;
        out->size += (size_t)n;
    }
    if (is_read && out->data)
        out->data[out->size] = 0;
    if (is_read)
        *stamp = repo_stamp_of(&about);
    close(fd);
    return is_read;
}

/* By its stamp the file is what was indexed. */
static bool has_stamp(struct search *search, const struct candidate *candidate, const struct repo_stamp *stamp)
{
    sqlite3_stmt *row = index_statement(search->index, INDEX_FILE, NULL);
    struct index_file_row file = {0};
    if (!row)
        return false;
    sqlite3_bind_blob(row, 1, candidate->path, (int)candidate->path_size, SQLITE_STATIC);
    if (sqlite3_step(row) == SQLITE_ROW)
        index_file_row_read(row, &file);
    sqlite3_reset(row);
    return file.content == candidate->content && stamp->mtime_ns && file.stamp.size == stamp->size &&
           file.stamp.mtime_ns == stamp->mtime_ns && file.stamp.ctime_ns == stamp->ctime_ns &&
           file.stamp.inode == stamp->inode && file.stamp.mode == stamp->mode;
}

enum status search_read(struct search *search, const struct candidate *candidate, struct buffer *out,
                        struct error *error)
{
    struct repo_id stored = {0}, id;
    struct repo_stamp stamp;
    enum repo_skip skip;
    if (search_read_file(search, candidate->path, candidate->path_size, out, &stamp) &&
        has_stamp(search, candidate, &stamp))
        return buffer_status(out, error);
    buffer_clear(out);
    sqlite3_stmt *row = index_statement(search->index, INDEX_CONTENT, error);
    if (!row)
        return index_failed(search->index, error);
    sqlite3_bind_int64(row, 1, candidate->content);
    if (sqlite3_step(row) == SQLITE_ROW && sqlite3_column_bytes(row, 1) == sizeof stored.bytes)
        memcpy(stored.bytes, sqlite3_column_blob(row, 1), sizeof stored.bytes);
    sqlite3_reset(row);
    char *path = arena_copy_text(search->arena, candidate->path, candidate->path_size);
    if (!path)
        return error_set(error, STATUS_MEMORY, "out of memory");
    struct repo_file file = {.path = path,
                             .path_size = candidate->path_size,
                             .is_said_text = true,
                             .is_said_original = true,
                             .has_id = repo_is_bare(search->repo),
                             .id = stored};
    if (!file.has_id)
        file.stamp.mode = S_IFREG; /* of the worktree, not of a revision */
    enum status status = repo_read(search->repo, &file, MAX_FILE, out, &id, &skip, error);
    if (status == STATUS_MEMORY)
        return status;
    if (status != STATUS_OK || memcmp(&id, &stored, sizeof id) != 0)
        buffer_clear(out); /* changed or gone since it was indexed */
    return STATUS_OK;
}
