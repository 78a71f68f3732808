/* base: what every module stands on: status and error, checked arithmetic, buffer, arena, token list, UTF-8, clock.
 *
 * A function that can fail returns an enum status and takes a struct error last, which may be NULL.  Nothing here or
 * above prints, exits or aborts.  Sizes are bytes unless a name says otherwise. */
#ifndef FATHOM_ENGINE_BASE_H
#define FATHOM_ENGINE_BASE_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FATHOM_VERSION "0.1.0"

#if defined(__GNUC__)
#define PRINTF_LIKE(string, first) __attribute__((format(printf, string, first)))
#else
#define PRINTF_LIKE(string, first)
#endif

/* ---- status and error ---- */

enum status {
    STATUS_OK = 0,
    STATUS_ARGUMENT,    /* the caller asked for something that makes no sense: command line, option value */
    STATUS_MEMORY,      /* not enough memory, or more than the limits allow */
    STATUS_IO,          /* a file or socket operation failed */
    STATUS_NOT_FOUND,   /* a file, key, tensor or name is not there */
    STATUS_FORMAT,      /* malformed input */
    STATUS_UNSUPPORTED, /* well-formed, but not something this program can do */
    STATUS_RANGE,       /* a value beyond its limits, such as more tokens than the context holds */
    STATUS_NUMERIC,     /* a computation gave something that is not finite */
    STATUS_CANCELLED,   /* the caller's cancel flag was seen */
};

struct error {
    enum status status;
    char text[256]; /* one line, no newline at its end; what failed and why, control bytes made visible */
};

/* Writes the message and returns status.  error may be NULL. */
enum status error_set(struct error *error, enum status status, const char *format, ...) PRINTF_LIKE(3, 4);

/* ---- checked arithmetic: every offset, count, length and product read from outside goes through these ---- */

/* False, with *out untouched, where the result doesn't fit. */
bool checked_add(uint64_t a, uint64_t b, uint64_t *out);
bool checked_mul(uint64_t a, uint64_t b, uint64_t *out);

/* ---- slice: borrowed bytes ---- */

struct slice {
    const char *data; /* not terminated */
    size_t size;
};

struct slice slice_from(const char *text); /* of a terminated string; NULL gives an empty slice */
bool slice_equals(struct slice a, const char *text);

/* ---- buffer: growing bytes ----
 * Zero-initialised is empty.  data is always terminated by a NUL beyond size once something was appended.  When memory
 * runs out the buffer keeps what it has, sets failed, and takes no more: check failed once, at the end. */

struct buffer {
    char *data;
    size_t size, capacity;
    bool failed;
};

void buffer_append(struct buffer *buffer, const void *bytes, size_t size);
void buffer_append_text(struct buffer *buffer, const char *text);
void buffer_append_byte(struct buffer *buffer, char byte);
void buffer_append_code_point(struct buffer *buffer, uint32_t code_point); /* as UTF-8 */
void buffer_printf(struct buffer *buffer, const char *format, ...) PRINTF_LIKE(2, 3);
void buffer_remove_front(struct buffer *buffer, size_t size); /* size <= buffer->size */
void buffer_clear(struct buffer *buffer);                     /* size 0, memory and failed kept */
const char *buffer_text(const struct buffer *buffer);         /* terminated; "" where nothing was appended */
void buffer_deinit(struct buffer *buffer);                    /* frees; the buffer is empty again */
enum status buffer_status(const struct buffer *buffer, struct error *error); /* STATUS_MEMORY where it failed */

/* ---- arena: many small allocations with one end ----
 * Zero-initialised is empty.  Returns zeroed memory aligned to 64 bytes, or NULL where there is none. */

struct arena_block;
struct arena {
    struct arena_block *blocks;
};

void *arena_alloc(struct arena *arena, size_t size);
char *arena_copy_text(struct arena *arena, const char *text, size_t size); /* terminated copy */
void arena_deinit(struct arena *arena);

/* ---- tokens: a growing list of token ids ---- */

struct tokens {
    int32_t *ids;
    size_t n, capacity;
    bool failed; /* as in struct buffer */
};

void tokens_append(struct tokens *tokens, int32_t id);
void tokens_append_all(struct tokens *tokens, const int32_t *ids, size_t n);
void tokens_clear(struct tokens *tokens);
void tokens_deinit(struct tokens *tokens);
enum status tokens_status(const struct tokens *tokens, struct error *error);

/* ---- UTF-8 ---- */

/* Decodes the code point that text begins with, by RFC 3629 (no surrogates, no overlong forms, at most U+10FFFF).
 * Returns its length 1..4; 0 where text ends in the middle of a sequence that is right so far (also for size 0);
 * -n where the first n bytes are invalid as a maximal subpart (Unicode 15, 3.9), so that one U+FFFD stands for them. */
int utf8_decode(const char *text, size_t size, uint32_t *code_point);

/* ---- clock ---- */

uint64_t clock_now_ns(void); /* monotonic */

#endif
