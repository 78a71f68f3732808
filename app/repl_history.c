/* repl_history: see repl_history.h. */
#include "app/repl_history.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILE_LIMIT = 8 * 1024 * 1024, SHORTEN_AT = 2 * 1024 * 1024 };

static void append_escaped(struct buffer *out, const char *entry)
{
    for (; *entry; entry++) {
        if (*entry == '\\' || *entry == '\n')
            buffer_append_byte(out, '\\');
        buffer_append_byte(out, *entry == '\n' ? 'n' : *entry);
    }
    buffer_append_byte(out, '\n');
}

static void append_unescaped(struct buffer *out, const char *line, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (line[i] == '\\' && i + 1 < size)
            buffer_append_byte(out, line[++i] == 'n' ? '\n' : line[i]);
        else
            buffer_append_byte(out, line[i]);
    }
}

/* The end of the file, at most FILE_LIMIT bytes, from the beginning of a line on. */
static enum status read_end(const char *path, struct buffer *out, struct error *error)
{
    FILE *file = fopen(path, "rbe");
    if (!file)
        return errno == ENOENT ? STATUS_OK : error_set(error, STATUS_IO, "%s: %s", path, strerror(errno));
    char chunk[4096];
    size_t n;
    bool is_cut = fseek(file, -(long)FILE_LIMIT, SEEK_END) == 0;
    if (!is_cut)
        rewind(file);
    while (out->size <= FILE_LIMIT && (n = fread(chunk, 1, sizeof chunk, file)) > 0)
        buffer_append(out, chunk, n);
    bool failed = ferror(file) != 0;
    fclose(file);
    if (failed)
        return error_set(error, STATUS_IO, "%s: it can't be read", path);
    char *newline = is_cut && out->size ? memchr(out->data, '\n', out->size) : NULL;
    if (newline)
        buffer_remove_front(out, (size_t)(newline - out->data) + 1);
    return buffer_status(out, error);
}

/* Where the last REPL_HISTORY_LIMIT lines begin. */
static size_t last_lines(const struct buffer *text)
{
    size_t at = text->size, n = 0;
    while (at) {
        if (text->data[at - 1] == '\n' && n++ == REPL_HISTORY_LIMIT)
            break;
        at--;
    }
    return at;
}

enum status repl_history_load(const char *path, void (*each)(void *context, const char *entry), void *context,
                              struct error *error)
{
    struct buffer text = {0}, entry = {0};
    enum status status = read_end(path, &text, error);
    for (size_t at = last_lines(&text); status == STATUS_OK && at < text.size;) {
        const char *line = text.data + at, *end = memchr(line, '\n', text.size - at);
        size_t size = end ? (size_t)(end - line) : text.size - at;
        buffer_clear(&entry);
        append_unescaped(&entry, line, size);
        if (entry.size && strlen(entry.data) == entry.size)
            each(context, entry.data);
        at += size + 1;
    }
    buffer_deinit(&text);
    buffer_deinit(&entry);
    return status;
}

static enum status write_file(const char *path, int flags, const char *text, size_t size, struct error *error)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | flags, 0600);
    if (fd < 0)
        return error_set(error, STATUS_IO, "%s: %s", path, strerror(errno));
    ssize_t n = write(fd, text, size);
    int problem = n < 0 ? errno : ENOSPC;
    if (close(fd) != 0 && n == (ssize_t)size)
        return error_set(error, STATUS_IO, "%s: %s", path, strerror(errno));
    return n == (ssize_t)size ? STATUS_OK : error_set(error, STATUS_IO, "%s: %s", path, strerror(problem));
}

/* Keeps the last entries alone, by way of a new file. */
static enum status shorten(const char *path, struct error *error)
{
    struct buffer text = {0}, fresh = {0};
    enum status status = read_end(path, &text, error);
    size_t at = last_lines(&text);
    buffer_printf(&fresh, "%s.new", path);
    if (status == STATUS_OK)
        status = buffer_status(&fresh, error);
    if (status == STATUS_OK)
        status = write_file(fresh.data, O_TRUNC, buffer_text(&text) + at, text.size - at, error);
    if (status == STATUS_OK && rename(fresh.data, path) != 0)
        status = error_set(error, STATUS_IO, "%s: %s", path, strerror(errno));
    buffer_deinit(&text);
    buffer_deinit(&fresh);
    return status;
}

enum status repl_history_append(const char *path, const char *entry, struct error *error)
{
    struct stat about;
    struct buffer line = {0};
    enum status status = STATUS_OK;
    append_escaped(&line, entry);
    if (stat(path, &about) == 0 && about.st_size > SHORTEN_AT)
        status = shorten(path, error);
    if (status == STATUS_OK)
        status = buffer_status(&line, error);
    if (status == STATUS_OK)
        status = write_file(path, O_APPEND, line.data, line.size, error);
    buffer_deinit(&line);
    return status;
}
