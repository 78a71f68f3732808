/* gguf_write: see gguf_write.h. */
#include "engine/gguf_write.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/mapping.h"

enum { DEFAULT_ALIGNMENT = 32, NAMES_TRIED = 100 };

struct gguf_write {
    uint32_t alignment;
    uint64_t n_keys, n_tensors;
    struct buffer keys, tensors; /* the two parts of the header */
    struct buffer sizes;         /* uint64_t each: bytes of the tensors */
    uint64_t data_bytes;         /* of the tensors so far, padded */
    char *path, *temporary;      /* temporary: NULL where there is none to remove */
    int fd;                      /* -1: closed */
    bool is_nameless;            /* until the commit: see open_nameless */
    bool replace;
    uint64_t at, left, header_bytes; /* at: tensor that comes next or is half written; left: its bytes to come */
};

/* ---- the header ---- */

static void append_little(struct buffer *out, uint64_t value, size_t size)
{
    for (size_t i = 0; i < size; i++)
        buffer_append_byte(out, (char)(unsigned char)(value >> (8 * i)));
}

static void append_text(struct buffer *out, struct slice text)
{
    append_little(out, text.size, 8);
    buffer_append(out, text.data, text.size);
}

static uint64_t padding(uint64_t size, uint32_t alignment)
{
    return (alignment - size % alignment) % alignment;
}

enum status gguf_write_new(uint32_t alignment, struct gguf_write **out, struct error *error)
{
    *out = NULL;
    if (alignment == 0)
        alignment = DEFAULT_ALIGNMENT;
    if (alignment & (alignment - 1))
        return error_set(error, STATUS_ARGUMENT, "an alignment of %u is no power of two", alignment);
    struct gguf_write *file = calloc(1, sizeof *file);
    if (!file)
        return error_set(error, STATUS_MEMORY, "out of memory");
    file->alignment = alignment;
    file->fd = -1;
    *out = file;
    return STATUS_OK;
}

void gguf_write_free(struct gguf_write *file)
{
    if (!file)
        return;
    if (file->fd >= 0)
        close(file->fd);
    if (file->temporary)
        unlink(file->temporary);
    free(file->temporary);
    free(file->path);
    buffer_deinit(&file->keys);
    buffer_deinit(&file->tensors);
    buffer_deinit(&file->sizes);
    free(file);
}

void gguf_write_key(struct gguf_write *file, struct slice name, const struct gguf_value *value)
{
    file->n_keys++;
    append_text(&file->keys, name);
    if (value->is_array) {
        append_little(&file->keys, GGUF_ARRAY, 4);
        append_little(&file->keys, value->type, 4);
        append_little(&file->keys, value->n, 8);
    } else {
        append_little(&file->keys, value->type, 4);
        if (value->type == GGUF_STRING)
            append_little(&file->keys, value->data.size, 8);
    }
    buffer_append(&file->keys, value->data.data, value->data.size);
}

void gguf_write_key_u32(struct gguf_write *file, const char *name, uint32_t value)
{
    file->n_keys++;
    append_text(&file->keys, slice_from(name));
    append_little(&file->keys, GGUF_U32, 4);
    append_little(&file->keys, value, 4);
}

void gguf_write_key_text(struct gguf_write *file, const char *name, struct slice text)
{
    struct gguf_value value = {.type = GGUF_STRING, .n = 1, .data = text};
    gguf_write_key(file, slice_from(name), &value);
}

enum status gguf_write_tensor(struct gguf_write *file, struct slice name, enum quant_type type,
                              const uint64_t shape[GGUF_MAX_DIMS], struct error *error)
{
    const struct quant_info *info = quant_info(type);
    int shown = (int)(name.size < 64 ? name.size : 64);
    uint32_t n_dims = GGUF_MAX_DIMS;
    uint64_t n_bytes = info ? shape[0] / info->block_elements : 0, end;
    bool fits = info && shape[0] % info->block_elements == 0;
    fits = fits && checked_mul(n_bytes, info->block_bytes, &n_bytes);
    for (int i = 1; fits && i < GGUF_MAX_DIMS; i++)
        fits = checked_mul(n_bytes, shape[i], &n_bytes);
    /* Twice the alignment leaves room for the padding. */
    if (!fits || !checked_add(file->data_bytes, n_bytes, &end) || !checked_add(end, 2ull * file->alignment, &end))
        return error_set(error, STATUS_ARGUMENT, "tensor '%.*s': its shape and its type don't go together", shown,
                         name.data);
    while (n_dims > 1 && shape[n_dims - 1] == 1)
        n_dims--;
    file->n_tensors++;
    append_text(&file->tensors, name);
    append_little(&file->tensors, n_dims, 4);
    for (uint32_t i = 0; i < n_dims; i++)
        append_little(&file->tensors, shape[i], 8);
    append_little(&file->tensors, type, 4);
    append_little(&file->tensors, file->data_bytes, 8);
    buffer_append(&file->sizes, &n_bytes, sizeof n_bytes);
    file->data_bytes += n_bytes + padding(n_bytes, file->alignment);
    return STATUS_OK;
}

static uint64_t tensor_bytes(const struct gguf_write *file, uint64_t i)
{
    uint64_t n_bytes;
    memcpy(&n_bytes, file->sizes.data + i * sizeof n_bytes, sizeof n_bytes);
    return n_bytes;
}

static enum status make_header(const struct gguf_write *file, struct buffer *out, struct error *error)
{
    buffer_append_text(out, "GGUF");
    append_little(out, 3, 4);
    append_little(out, file->n_tensors, 8);
    append_little(out, file->n_keys, 8);
    buffer_append(out, buffer_text(&file->keys), file->keys.size);
    buffer_append(out, buffer_text(&file->tensors), file->tensors.size);
    for (uint64_t n = padding(out->size, file->alignment); n; n--)
        buffer_append_byte(out, 0);
    out->failed |= file->keys.failed || file->tensors.failed || file->sizes.failed;
    return buffer_status(out, error);
}

/* ---- the file ---- */

static enum status io_error(const struct gguf_write *file, struct error *error)
{
    int number = errno;
    return error_set(error, number == ENOENT ? STATUS_NOT_FOUND : STATUS_IO, "%s: %s", path_end_shown(file->path),
                     strerror(number));
}

static enum status check_target(const struct gguf_write *file, struct error *error)
{
    struct stat found;
    if (stat(file->path, &found) != 0)
        return errno == ENOENT ? STATUS_OK : io_error(file, error);
    if (!S_ISREG(found.st_mode))
        return error_set(error, STATUS_ARGUMENT, "%s: is there already and is no regular file",
                         path_end_shown(file->path));
    if (!file->replace)
        return error_set(error, STATUS_ARGUMENT, "%s: is there already", path_end_shown(file->path));
    return STATUS_OK;
}

/* How an open file is named to give it another name. */
static void path_of_descriptor(int fd, char path[static 32])
{
    snprintf(path, 32, "/proc/self/fd/%d", fd);
}

/* Where the file system has such, a file without a name in the path's folder: whatever ends the program, SIGKILL too, nothing
 * is left of it.  False where it hasn't, or where no name could be given to the file later. */
static bool open_nameless(struct gguf_write *file)
{
    char link[32], *folder = strdup(file->path);
    if (!folder)
        return false;
    char *slash = strrchr(folder, '/');
    if (slash)
        slash[slash == folder] = '\0';
    int fd = open(slash ? folder : ".", O_TMPFILE | O_WRONLY | O_CLOEXEC, 0666);
    free(folder);
    if (fd < 0)
        return false;
    path_of_descriptor(fd, link);
    if (access(link, F_OK) != 0) {
        close(fd);
        return false;
    }
    file->fd = fd;
    file->is_nameless = true;
    return true;
}

static bool link_nameless(const struct gguf_write *file, const char *path)
{
    char link[32];
    path_of_descriptor(file->fd, link);
    return linkat(AT_FDCWD, link, AT_FDCWD, path, AT_SYMLINK_FOLLOW) == 0;
}

static bool open_named(struct gguf_write *file)
{
    file->fd = open(file->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    return file->fd >= 0;
}

static bool name_nameless(struct gguf_write *file)
{
    return link_nameless(file, file->temporary);
}

/* Makes a file beside the path, which none has taken yet, by make; with the permissions that new files get. */
static enum status make_temporary(struct gguf_write *file, bool (*make)(struct gguf_write *file), struct error *error)
{
    for (unsigned i = 0; i < NAMES_TRIED; i++) {
        free(file->temporary);
        if (asprintf(&file->temporary, "%s.%ld-%u.part", file->path, (long)getpid(), i) < 0) {
            file->temporary = NULL;
            return error_set(error, STATUS_MEMORY, "out of memory");
        }
        if (make(file))
            return STATUS_OK;
        if (errno != EEXIST)
            break;
    }
    enum status status = io_error(file, error);
    free(file->temporary); /* not ours to remove */
    file->temporary = NULL;
    return status;
}

static enum status write_all(struct gguf_write *file, const void *bytes, uint64_t size, struct error *error)
{
    const char *next = bytes;
    while (size) {
        ssize_t n = write(file->fd, next, size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return io_error(file, error);
        next += n;
        size -= (uint64_t)n;
    }
    return STATUS_OK;
}

/* A full disk is better told now than in an hour.  File systems that can't reserve are tried by writing. */
static enum status reserve(const struct gguf_write *file, struct error *error)
{
    uint64_t size = gguf_write_n_bytes(file);
    if (fallocate(file->fd, 0, 0, (off_t)size) == 0 || errno == EOPNOTSUPP || errno == ENOSYS || errno == EINTR)
        return STATUS_OK;
    if (errno == ENOSPC || errno == EDQUOT)
        return error_set(error, STATUS_IO, "%s: %s (the file takes %" PRIu64 " MB)", path_end_shown(file->path),
                         strerror(errno), size / 1000000 + 1);
    return io_error(file, error);
}

enum status gguf_write_begin(struct gguf_write *file, const char *path, bool replace, struct error *error)
{
    struct buffer header = {0};
    char *real = realpath(path, NULL); /* through a link its target is replaced, as when it is written to */
    file->replace = replace;
    file->path = real ? real : strdup(path);
    enum status status = file->path ? STATUS_OK : error_set(error, STATUS_MEMORY, "out of memory");
    if (status == STATUS_OK)
        status = check_target(file, error);
    if (status == STATUS_OK)
        status = make_header(file, &header, error);
    if (status == STATUS_OK && !open_nameless(file))
        status = make_temporary(file, open_named, error);
    file->header_bytes = header.size;
    if (status == STATUS_OK)
        status = reserve(file, error);
    if (status == STATUS_OK)
        status = write_all(file, header.data, header.size, error);
    if (status == STATUS_OK && file->n_tensors)
        file->left = tensor_bytes(file, 0);
    buffer_deinit(&header);
    return status;
}

uint64_t gguf_write_n_bytes(const struct gguf_write *file)
{
    return file->header_bytes + file->data_bytes;
}

static enum status write_padding(struct gguf_write *file, struct error *error)
{
    static const char zeros[4096];
    enum status status = STATUS_OK;
    uint64_t n = padding(tensor_bytes(file, file->at), file->alignment);
    while (n && status == STATUS_OK) {
        uint64_t part = n < sizeof zeros ? n : sizeof zeros;
        status = write_all(file, zeros, part, error);
        n -= part;
    }
    return status;
}

/* Goes on to the next tensor that has bytes. */
static enum status finish_tensors(struct gguf_write *file, struct error *error)
{
    enum status status = STATUS_OK;
    while (file->left == 0 && file->at < file->n_tensors && status == STATUS_OK) {
        status = write_padding(file, error);
        if (++file->at < file->n_tensors)
            file->left = tensor_bytes(file, file->at);
    }
    return status;
}

enum status gguf_write_data(struct gguf_write *file, const void *bytes, size_t size, struct error *error)
{
    enum status status = finish_tensors(file, error);
    if (status == STATUS_OK && size > file->left)
        status = error_set(error, STATUS_ARGUMENT, "%s: more bytes than the tensors have", path_end_shown(file->path));
    if (status == STATUS_OK)
        status = write_all(file, bytes, size, error);
    if (status == STATUS_OK)
        file->left -= size;
    return status;
}

/* RENAME_NOREPLACE keeps a file that came into being meanwhile; not all file systems know it. */
static bool rename_temporary(const struct gguf_write *file)
{
    if (file->replace)
        return rename(file->temporary, file->path) == 0;
    if (renameat2(AT_FDCWD, file->temporary, AT_FDCWD, file->path, RENAME_NOREPLACE) == 0)
        return true;
    if (errno != EINVAL && errno != ENOSYS)
        return false;
    if (link(file->temporary, file->path) == 0) {
        unlink(file->temporary);
        return true;
    }
    return false;
}

/* A name that is taken can't be given to a nameless file: it gets another one first, and the rename replaces. */
static enum status take_name(struct gguf_write *file, struct error *error)
{
    if (file->is_nameless && !file->replace)
        return link_nameless(file, file->path) ? STATUS_OK : io_error(file, error);
    if (file->is_nameless) {
        enum status status = make_temporary(file, name_nameless, error);
        if (status != STATUS_OK)
            return status;
    }
    if (!rename_temporary(file))
        return io_error(file, error);
    free(file->temporary);
    file->temporary = NULL;
    return STATUS_OK;
}

enum status gguf_write_commit(struct gguf_write *file, struct error *error)
{
    enum status status = finish_tensors(file, error);
    if (status == STATUS_OK && file->left)
        status = error_set(error, STATUS_ARGUMENT, "%s: bytes are missing", path_end_shown(file->path));
    if (status == STATUS_OK && fsync(file->fd) != 0 && errno != EINVAL && errno != EROFS)
        status = io_error(file, error);
    if (status == STATUS_OK && !file->is_nameless) { /* some file systems tell only now what went wrong */
        int fd = file->fd;
        file->fd = -1;
        if (close(fd) != 0)
            status = io_error(file, error);
    }
    if (status == STATUS_OK)
        status = take_name(file, error);
    return status;
}
