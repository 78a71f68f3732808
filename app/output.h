/* output: bytes on their way out, and JSON.
 *
 * An output collects bytes and writes them to a descriptor.  The first failure is remembered and everything after it is
 * dropped, so a caller may print freely and ask once at the end.  A reader that went away (EPIPE) is such a failure; the
 * program ends quietly then.  With fd -1 the bytes stay in pending: tests look at them there. */
#ifndef FATHOM_APP_OUTPUT_H
#define FATHOM_APP_OUTPUT_H

#include <stdatomic.h>

#include "engine/base.h"

struct output {
    int fd;
    struct buffer pending;
    int failure;               /* errno of the first write that failed, or 0 */
    bool is_terminal;          /* fd is one */
    bool is_colored;           /* colour is wanted here: --color, NO_COLOR, --plain, the terminal */
    const atomic_bool *cancel; /* may be NULL: a blocked write gives up when set */
};

/* All return false once the output has failed. */
bool output_write(struct output *output, const char *bytes, size_t size);
bool output_text(struct output *output, const char *text);
bool output_printf(struct output *output, const char *format, ...) PRINTF_LIKE(2, 3);
bool output_flush(struct output *output);
void output_deinit(struct output *output); /* flushes */

/* Writes text wrapped at width columns, each line after indent spaces; the first line starts at column.  '\n' in text ends
 * a paragraph's line as it is; lines that begin with a space are kept unwrapped. */
void output_wrapped(struct output *output, const char *text, size_t indent, size_t column, size_t width);

/* Appends text that came from outside, drawn so that it can't act on a terminal. */
void output_visible(struct buffer *out, const char *text);

/* ---- JSON ---- */

struct cJSON;

/* A string node of any bytes: NUL included, invalid UTF-8 as U+FFFD.  NULL where memory ran out. */
struct cJSON *json_text(const char *bytes, size_t size);
void json_add(struct cJSON *object, const char *key, struct cJSON *node); /* takes node; NULL: memory ran out */
void json_add_text(struct cJSON *object, const char *key, const char *text);
void json_add_integer(struct cJSON *object, const char *key, int64_t value); /* exact, never in exponent form */
void json_add_real(struct cJSON *object, const char *key, double value,
                   int digits); /* digits after the point; null if not finite */

/* Appends a quoted JSON string.  Control characters, DEL, C1 and bidirectional controls are escaped: JSON on a terminal
 * must not move its cursor either. */
void json_append_string(struct buffer *out, const char *bytes, size_t size);

/* Writes the object on one line and frees it.  false as output_write; a NULL object counts as memory that ran out. */
bool output_json(struct output *output, struct cJSON *object);

/* ---- input ---- */

/* Appends everything fd gives.  STATUS_RANGE beyond limit bytes, STATUS_CANCELLED, STATUS_IO. */
enum status input_read_all(int fd, const atomic_bool *cancel, size_t limit, struct buffer *out, struct error *error);
/* The same for a file; "-" is stdin. */
enum status input_read_file(const char *path, const atomic_bool *cancel, size_t limit, struct buffer *out,
                            struct error *error);

#endif
