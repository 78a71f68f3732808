/* output: see output.h. */
#include "app/output.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ui/visible.h"

enum { FLUSH_AT = 64 * 1024 };

/* ---- bytes ---- */

static bool is_cancelled(const atomic_bool *cancel)
{
    return cancel && atomic_load(cancel);
}

bool output_flush(struct output *output)
{
    size_t written = 0;
    if (output->fd < 0)
        return !output->failure;
    while (!output->failure && written < output->pending.size) {
        ssize_t n = write(output->fd, output->pending.data + written, output->pending.size - written);
        if (n >= 0) {
            written += (size_t)n;
        } else if (errno == EAGAIN) {
            struct pollfd ready = {output->fd, POLLOUT, 0};
            poll(&ready, 1, -1);
        } else if (errno != EINTR) {
            output->failure = errno;
        }
        if (n < 0 && written < output->pending.size && is_cancelled(output->cancel) && !output->failure)
            output->failure = EINTR;
    }
    buffer_clear(&output->pending);
    return !output->failure;
}

bool output_write(struct output *output, const char *bytes, size_t size)
{
    if (output->failure)
        return false;
    buffer_append(&output->pending, bytes, size);
    if (output->pending.failed)
        output->failure = ENOMEM;
    return output->pending.size < FLUSH_AT || output_flush(output);
}

bool output_text(struct output *output, const char *text)
{
    return output_write(output, text, strlen(text));
}

bool output_printf(struct output *output, const char *format, ...)
{
    char *text;
    va_list arguments;
    va_start(arguments, format);
    int size = vasprintf(&text, format, arguments);
    va_end(arguments);
    if (size < 0) {
        output->failure = output->failure ? output->failure : ENOMEM;
        return false;
    }
    bool result = output_write(output, text, (size_t)size);
    free(text);
    return result;
}

void output_deinit(struct output *output)
{
    output_flush(output);
    buffer_deinit(&output->pending);
}

/* ---- wrapped text ---- */

/* One line of a paragraph's text, wrapped; returns the column it ends at. */
static size_t wrap_line(struct output *output, const char *line, size_t size, size_t indent, size_t column,
                        size_t width)
{
    bool is_first = true;
    for (size_t at = 0; at < size;) {
        size_t word = 0;
        while (at + word < size && line[at + word] != ' ')
            word++;
        if (!is_first && column + 1 + word > width) {
            output_printf(output, "\n%*s", (int)indent, "");
            column = indent;
        } else if (!is_first) {
            output_text(output, " ");
            column++;
        }
        output_write(output, line + at, word);
        column += word;
        at += word + (at + word < size);
        is_first = false;
    }
    return column;
}

void output_wrapped(struct output *output, const char *text, size_t indent, size_t column, size_t width)
{
    for (;;) {
        size_t size = strcspn(text, "\n");
        if (size && column < indent)
            output_printf(output, "%*s", (int)(indent - column), "");
        if (*text == ' ')
            output_write(output, text, size);
        else
            wrap_line(output, text, size, indent, column > indent ? column : indent, width);
        output_text(output, "\n");
        if (!text[size])
            return;
        text += size + 1;
        column = 0;
    }
}

void output_visible(struct buffer *out, const char *text)
{
    visible_append(out, text, strlen(text), !visible_locale_is_utf8());
}

/* ---- JSON ---- */

void json_append_string(struct buffer *out, const char *bytes, size_t size)
{
    buffer_append_byte(out, '"');
    for (size_t i = 0; i < size;) {
        uint32_t c = 0;
        int length = utf8_decode(bytes + i, size - i, &c);
        if (length <= 0) {
            buffer_append_code_point(out, 0xfffd);
            i += length ? (size_t)-length : size - i;
            continue;
        }
        if (c == '"' || c == '\\')
            buffer_printf(out, "\\%c", (int)c);
        else if (c == '\n')
            buffer_append_text(out, "\\n");
        else if (c == '\t')
            buffer_append_text(out, "\\t");
        else if (c < 0x20 || (c < 0x10000 && visible_is_hidden(c)))
            buffer_printf(out, "\\u%04x", c);
        else if (visible_is_hidden(c)) /* beyond the first plane: a surrogate pair */
            buffer_printf(out, "\\u%04x\\u%04x", 0xd800 + ((c - 0x10000) >> 10), 0xdc00 + ((c - 0x10000) & 0x3ff));
        else
            buffer_append(out, bytes + i, (size_t)length);
        i += (size_t)length;
    }
    buffer_append_byte(out, '"');
}

cJSON *json_text(const char *bytes, size_t size)
{
    struct buffer quoted = {0};
    json_append_string(&quoted, bytes, size);
    cJSON *node = quoted.failed ? NULL : cJSON_CreateRaw(buffer_text(&quoted));
    buffer_deinit(&quoted);
    return node;
}

/* Memory that runs out must not leave a result that looks complete: the object is marked, output_json looks for marks. */
enum { INCOMPLETE = 1 };

void json_add(cJSON *object, const char *key, cJSON *node)
{
    if (cJSON_AddItemToObject(object, key, node))
        return;
    cJSON_Delete(node);
    if (object)
        object->valueint = INCOMPLETE; /* of no meaning in an object otherwise */
}

static bool is_complete(const cJSON *node)
{
    bool complete = !cJSON_IsObject(node) || node->valueint != INCOMPLETE;
    for (const cJSON *child = node->child; complete && child; child = child->next)
        complete = is_complete(child); /* as deep as our own results are */
    return complete;
}

void json_add_text(cJSON *object, const char *key, const char *text)
{
    json_add(object, key, text ? json_text(text, strlen(text)) : cJSON_CreateNull());
}

void json_add_integer(cJSON *object, const char *key, int64_t value)
{
    char digits[24];
    snprintf(digits, sizeof digits, "%lld", (long long)value);
    json_add(object, key, cJSON_CreateRaw(digits));
}

void json_add_real(cJSON *object, const char *key, double value, int digits)
{
    char text[64];
    snprintf(text, sizeof text, "%.*f", digits, value);
    json_add(object, key, isfinite(value) && fabs(value) < 1e40 ? cJSON_CreateRaw(text) : cJSON_CreateNull());
}

bool output_json(struct output *output, cJSON *object)
{
    char *text = object && is_complete(object) ? cJSON_PrintUnformatted(object) : NULL;
    cJSON_Delete(object);
    if (!text) {
        output->failure = output->failure ? output->failure : ENOMEM;
        return false;
    }
    output_text(output, text);
    cJSON_free(text);
    return output_text(output, "\n");
}

/* ---- input ---- */

enum status input_read_all(int fd, const atomic_bool *cancel, size_t limit, struct buffer *out, struct error *error)
{
    char chunk[64 * 1024];
    size_t total = 0;
    for (;;) {
        ssize_t n = read(fd, chunk, sizeof chunk);
        int problem = errno;
        if (is_cancelled(cancel))
            return error_set(error, STATUS_CANCELLED, "interrupted");
        if (n == 0)
            return buffer_status(out, error);
        if (n < 0 && problem == EINTR)
            continue;
        if (n < 0 && problem == EAGAIN) {
            struct pollfd ready = {fd, POLLIN, 0};
            poll(&ready, 1, -1);
            continue;
        }
        if (n < 0)
            return error_set(error, STATUS_IO, "%s", strerror(problem));
        total += (size_t)n;
        if (total > limit)
            return error_set(error, STATUS_RANGE, "it is longer than %zu MB", limit >> 20);
        buffer_append(out, chunk, (size_t)n);
        if (out->failed)
            return buffer_status(out, error);
    }
}

enum status input_read_file(const char *path, const atomic_bool *cancel, size_t limit, struct buffer *out,
                            struct error *error)
{
    struct error inner = {0};
    if (strcmp(path, "-") == 0) {
        enum status status = input_read_all(STDIN_FILENO, cancel, limit, out, &inner);
        return status == STATUS_OK ? status : error_set(error, status, "standard input: %s", inner.text);
    }
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return error_set(error, errno == ENOENT ? STATUS_NOT_FOUND : STATUS_IO, "%s: %s", path, strerror(errno));
    enum status status = input_read_all(fd, cancel, limit, out, &inner);
    close(fd);
    return status == STATUS_OK ? status : error_set(error, status, "%s: %s", path, inner.text);
}
