/* file: see file.h. */
#include "app/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/coloring.h"

static struct file_stamp stamp_of(const struct stat *about)
{
    return (struct file_stamp){.device = (uint64_t)about->st_dev,
                               .inode = (uint64_t)about->st_ino,
                               .size = (uint64_t)about->st_size,
                               .mtime_ns = about->st_mtim.tv_sec * INT64_C(1000000000) + about->st_mtim.tv_nsec,
                               .ctime_ns = about->st_ctim.tv_sec * INT64_C(1000000000) + about->st_ctim.tv_nsec,
                               .is_there = true};
}

static bool is_same(const struct file_stamp *a, const struct file_stamp *b)
{
    return a->is_there == b->is_there && a->device == b->device && a->inode == b->inode && a->size == b->size &&
           a->mtime_ns == b->mtime_ns && a->ctime_ns == b->ctime_ns;
}

bool file_has_changed(const struct file *file)
{
    struct stat about;
    struct file_stamp now = {0};
    if (stat(file->path, &about) == 0)
        now = stamp_of(&about);
    return !is_same(&now, &file->stamp);
}

/* ---- reading ---- */

static enum status read_bytes(int fd, const char *path, uint64_t size, struct buffer *out, struct error *error)
{
    char bytes[65536];
    if (size > FILE_LIMIT)
        return error_set(error, STATUS_RANGE, "%.160s: it has more than %d MB", path, FILE_LIMIT >> 20);
    for (;;) {
        ssize_t n = read(fd, bytes, sizeof bytes);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return error_set(error, STATUS_IO, "%.160s: %s", path, strerror(errno));
        if (n == 0)
            return buffer_status(out, error);
        if (out->size + (size_t)n > FILE_LIMIT)
            return error_set(error, STATUS_RANGE, "%.160s: it has more than %d MB", path, FILE_LIMIT >> 20);
        buffer_append(out, bytes, (size_t)n);
    }
}

static enum status load(struct file *file, struct error *error)
{
    struct buffer bytes = {0};
    struct stat about;
    int fd = open(file->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0 && errno == ENOENT) {
        file->stamp = (struct file_stamp){0};
        file->mode = 0666;
        file->user = geteuid();
        file->group = getegid();
        return text_set(&file->editor.text, "", 0, error);
    }
    if (fd < 0)
        return error_set(error, STATUS_IO, "%.160s: %s", file->path, strerror(errno));
    enum status status = STATUS_OK;
    if (fstat(fd, &about) != 0 || !S_ISREG(about.st_mode))
        status = error_set(error, STATUS_UNSUPPORTED, "%.160s: it is no plain file", file->path);
    if (status == STATUS_OK)
        status = read_bytes(fd, file->path, (uint64_t)about.st_size, &bytes, error);
    close(fd);
    if (status == STATUS_OK)
        status = text_set(&file->editor.text, buffer_text(&bytes), bytes.size, error);
    if (status == STATUS_OK) {
        file->stamp = stamp_of(&about);
        file->mode = about.st_mode & 07777;
        file->user = about.st_uid;
        file->group = about.st_gid;
    }
    buffer_deinit(&bytes);
    return status;
}

/* Absolute and without links, also of what isn't there yet. */
static char *resolve(const char *path, struct error *error)
{
    char folder[PATH_MAX], found[PATH_MAX];
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    size_t size = slash ? (size_t)(slash - path) + (slash == path) : 1;
    if (realpath(path, found))
        return strdup(found);
    if (errno == ENOENT && *name && size < sizeof folder && strcmp(name, "..") != 0) {
        memcpy(folder, slash ? path : ".", size);
        folder[size] = 0;
        struct buffer whole = {0};
        if (realpath(folder, found) && lstat(path, &(struct stat){0}) != 0) {
            buffer_printf(&whole, "%s/%s", strcmp(found, "/") == 0 ? "" : found, name);
            if (!whole.failed)
                return whole.data;
        }
        buffer_deinit(&whole);
    }
    error_set(error, STATUS_IO, "%.160s: %s", path, strerror(errno ? errno : ENOENT));
    return NULL;
}

enum status file_open(struct languages *languages, const char *path, const char *root, struct file **out,
                      struct error *error)
{
    struct file *file = calloc(1, sizeof *file);
    if (!file)
        return error_set(error, STATUS_MEMORY, "out of memory");
    size_t n_root = root ? strlen(root) : 0;
    file->path = resolve(path, error);
    enum status status = file->path ? load(file, error) : STATUS_IO;
    if (status == STATUS_OK) {
        bool is_below = n_root > 1 && strncmp(file->path, root, n_root) == 0 && file->path[n_root] == '/';
        const struct buffer *bytes = &file->editor.text.bytes;
        file->name = strdup(file->path + (is_below ? n_root + 1 : 0));
        file->language = language_of(file->path, buffer_text(bytes), bytes->size);
        file->editor.goal = -1;
        if (!file->name)
            status = error_set(error, STATUS_MEMORY, "out of memory");
    }
    if (status == STATUS_OK && languages && file->language >= 0 && file->editor.text.bytes.size <= FILE_COLOR_MOST &&
        document_new(languages, file->language, &file->document, NULL) != STATUS_OK)
        file->document = NULL;
    if (status != STATUS_OK)
        file_close(file);
    else
        *out = file;
    return status;
}

void file_close(struct file *file)
{
    if (!file)
        return;
    if (file->document)
        document_free(file->document);
    editor_deinit(&file->editor);
    free(file->spans);
    free(file->path);
    free(file->name);
    free(file);
}

enum status file_reload(struct file *file, struct error *error)
{
    size_t line = text_line_of(&file->editor.text, file->editor.cursor);
    enum status status = load(file, error);
    if (status != STATUS_OK)
        return status;
    file->colored = 0;
    line = line < file->editor.text.n_lines ? line : file->editor.text.n_lines - 1;
    editor_go(&file->editor, text_line_begin(&file->editor.text, line));
    return STATUS_OK;
}

/* ---- saving ---- */

static bool write_all(int fd, const char *bytes, size_t size)
{
    while (size) {
        ssize_t n = write(fd, bytes, size);
        if (n < 0 && errno != EINTR)
            return false;
        bytes += n > 0 ? n : 0;
        size -= n > 0 ? (size_t)n : 0;
    }
    return true;
}

/* The folder's own entry of it, too, is on the disk before anybody is told that it was saved. */
static void sync_folder(const char *path)
{
    char folder[PATH_MAX];
    snprintf(folder, sizeof folder, "%s", path);
    char *slash = strrchr(folder, '/');
    if (slash)
        slash[slash == folder] = 0;
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        (void)fsync(fd);
        close(fd);
    }
}

static bool set_owner(int fd, const struct file *file)
{
    struct stat about;
    if (!file->stamp.is_there) {
        mode_t mask = umask(0);
        umask(mask);
        return fchmod(fd, file->mode & ~mask) == 0;
    }
    bool is_other = fstat(fd, &about) != 0 || about.st_uid != file->user || about.st_gid != file->group;
    return (!is_other || fchown(fd, file->user, file->group) == 0) && fchmod(fd, file->mode) == 0;
}

/* Writes the text to a new file beside the old one, which it then replaces. */
static enum status replace(struct file *file, const char *beside, int fd, bool is_forced, struct error *error)
{
    const struct buffer *bytes = &file->editor.text.bytes;
    struct stat about;
    if (!write_all(fd, buffer_text(bytes), bytes->size) || !set_owner(fd, file) || fsync(fd) != 0)
        return error_set(error, STATUS_IO, "%.160s: %s", file->path, strerror(errno));
    if (!is_forced && file_has_changed(file)) /* meanwhile */
        return error_set(error, STATUS_CANCELLED, "%.160s has changed on the disk", file->name);
    if (rename(beside, file->path) != 0)
        return error_set(error, STATUS_IO, "%.160s: %s", file->path, strerror(errno));
    sync_folder(file->path);
    /* By the descriptor: it is our file, whatever came to that path since. */
    if (fstat(fd, &about) == 0) {
        file->stamp = stamp_of(&about);
        file->mode = about.st_mode & 07777;
        file->user = about.st_uid;
        file->group = about.st_gid;
    }
    text_saved(&file->editor.text);
    return STATUS_OK;
}

enum status file_save(struct file *file, bool is_forced, struct error *error)
{
    struct buffer beside = {0};
    const char *slash = strrchr(file->path, '/');
    if (!is_forced && file_has_changed(file))
        return error_set(error, STATUS_CANCELLED, "%.160s has changed on the disk", file->name);
    if (file->stamp.is_there && access(file->path, W_OK) != 0 && errno != ENOENT)
        return error_set(error, STATUS_IO, "%.160s: %s", file->name, strerror(errno));
    buffer_append(&beside, file->path, slash ? (size_t)(slash - file->path) + 1 : 0);
    buffer_printf(&beside, ".fathom-%.100s-XXXXXX", slash ? slash + 1 : file->path);
    enum status status = buffer_status(&beside, error);
    int fd = status == STATUS_OK ? mkostemp(beside.data, O_CLOEXEC) : -1;
    if (status == STATUS_OK && fd < 0)
        status = error_set(error, STATUS_IO, "%.160s: %s", file->path, strerror(errno));
    if (fd >= 0) {
        status = replace(file, beside.data, fd, is_forced, error);
        close(fd);
        if (status != STATUS_OK)
            unlink(beside.data);
    }
    buffer_deinit(&beside);
    return status;
}

/* ---- colours ---- */

static bool update_document(struct file *file)
{
    struct text *text = &file->editor.text;
    size_t begin, old_end, new_end;
    if (file->colored == text->version)
        return true;
    if (text->bytes.size > FILE_COLOR_MOST)
        return false;
    bool has_edit = text_take_edit(text, &begin, &old_end, &new_end) && file->colored;
    struct document_edit edit = {(uint32_t)begin, (uint32_t)old_end, (uint32_t)new_end};
    file->colored = text->version;
    return document_update(file->document, has_edit ? &edit : NULL, text_bytes(text), text->bytes.size, NULL) ==
           STATUS_OK;
}

void file_color(struct file *file, size_t begin, size_t end)
{
    const struct highlight_span *found;
    size_t n = 0;
    file->n_spans = 0;
    if (!file->document)
        return;
    if (!update_document(file) ||
        document_highlight(file->document, (uint32_t)begin, (uint32_t)end, &found, &n, NULL) != STATUS_OK) {
        document_free(file->document); /* plain from now on */
        file->document = NULL;
        return;
    }
    if (n > file->capacity) {
        struct editor_span *more = realloc(file->spans, n * sizeof *more);
        if (!more)
            return;
        file->spans = more;
        file->capacity = n;
    }
    for (size_t i = 0; i < n; i++)
        file->spans[i] = (struct editor_span){found[i].text.begin, found[i].text.end, coloring_style(found[i].kind)};
    file->n_spans = n;
}
