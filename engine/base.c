/* base: see base.h. */
#include "engine/base.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* ---- status and error ---- */

enum status error_set(struct error *error, enum status status, const char *format, ...)
{
    if (!error)
        return status;
    /* The arguments may lie in the message that is about to be replaced. */
    char text[sizeof error->text];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    /* Names out of files end up here: no control byte may reach a terminal by way of a message. */
    for (char *c = text; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            *c = '?';
    memcpy(error->text, text, sizeof text);
    error->status = status;
    return status;
}

/* ---- checked arithmetic ---- */

bool checked_add(uint64_t a, uint64_t b, uint64_t *out)
{
    if (a > UINT64_MAX - b)
        return false;
    *out = a + b;
    return true;
}

bool checked_mul(uint64_t a, uint64_t b, uint64_t *out)
{
    if (b && a > UINT64_MAX / b)
        return false;
    *out = a * b;
    return true;
}

/* ---- slice ---- */

struct slice slice_from(const char *text)
{
    return (struct slice){text, text ? strlen(text) : 0};
}

bool slice_equals(struct slice a, const char *text)
{
    size_t size = strlen(text);
    return a.size == size && (size == 0 || memcmp(a.data, text, size) == 0);
}

/* ---- growing lists ---- */

/* Makes room for n elements of width bytes; *capacity counts elements. */
static bool reserve(void **data, size_t *capacity, uint64_t n, size_t width)
{
    if (n <= *capacity)
        return true;
    uint64_t grown = *capacity < 32 ? 64 : *capacity;
    uint64_t bytes;
    if (!checked_add(grown, grown / 2, &grown))
        return false;
    if (grown < n)
        grown = n;
    if (!checked_mul(grown, width, &bytes) || bytes > SIZE_MAX / 2)
        return false;
    void *moved = realloc(*data, (size_t)bytes);
    if (!moved)
        return false;
    *data = moved;
    *capacity = (size_t)grown;
    return true;
}

static bool buffer_reserve(struct buffer *buffer, size_t more)
{
    uint64_t needed;
    void *data = buffer->data;
    if (buffer->failed || !checked_add(buffer->size, more, &needed) || !checked_add(needed, 1, &needed) ||
        !reserve(&data, &buffer->capacity, needed, 1)) {
        buffer->failed = true;
        return false;
    }
    buffer->data = data;
    return true;
}

void buffer_append(struct buffer *buffer, const void *bytes, size_t size)
{
    if (!buffer_reserve(buffer, size))
        return;
    if (size)
        memcpy(buffer->data + buffer->size, bytes, size);
    buffer->size += size;
    buffer->data[buffer->size] = 0;
}

void buffer_append_text(struct buffer *buffer, const char *text)
{
    buffer_append(buffer, text, strlen(text));
}

void buffer_append_byte(struct buffer *buffer, char byte)
{
    buffer_append(buffer, &byte, 1);
}

void buffer_append_code_point(struct buffer *buffer, uint32_t c)
{
    char bytes[4];
    size_t n = 0;
    if (c < 0x80) {
        bytes[n++] = (char)c;
    } else if (c < 0x800) {
        bytes[n++] = (char)(0xc0 | c >> 6);
        bytes[n++] = (char)(0x80 | (c & 0x3f));
    } else if (c < 0x10000) {
        bytes[n++] = (char)(0xe0 | c >> 12);
        bytes[n++] = (char)(0x80 | (c >> 6 & 0x3f));
        bytes[n++] = (char)(0x80 | (c & 0x3f));
    } else {
        bytes[n++] = (char)(0xf0 | (c >> 18 & 7));
        bytes[n++] = (char)(0x80 | (c >> 12 & 0x3f));
        bytes[n++] = (char)(0x80 | (c >> 6 & 0x3f));
        bytes[n++] = (char)(0x80 | (c & 0x3f));
    }
    buffer_append(buffer, bytes, n);
}

void buffer_printf(struct buffer *buffer, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    if (size < 0 || !buffer_reserve(buffer, (size_t)size)) {
        buffer->failed = true;
        return;
    }
    va_start(arguments, format);
    vsnprintf(buffer->data + buffer->size, (size_t)size + 1, format, arguments);
    va_end(arguments);
    buffer->size += (size_t)size;
}

void buffer_remove_front(struct buffer *buffer, size_t size)
{
    if (size == 0 || size > buffer->size)
        return;
    memmove(buffer->data, buffer->data + size, buffer->size - size + 1);
    buffer->size -= size;
}

void buffer_clear(struct buffer *buffer)
{
    buffer->size = 0;
    if (buffer->data)
        buffer->data[0] = 0;
}

const char *buffer_text(const struct buffer *buffer)
{
    return buffer->data ? buffer->data : "";
}

void buffer_deinit(struct buffer *buffer)
{
    free(buffer->data);
    *buffer = (struct buffer){0};
}

enum status buffer_status(const struct buffer *buffer, struct error *error)
{
    return buffer->failed ? error_set(error, STATUS_MEMORY, "out of memory") : STATUS_OK;
}

/* ---- arena ---- */

enum { ARENA_BLOCK = 64 * 1024, ARENA_ALIGN = 64 };

struct arena_block {
    struct arena_block *next;
    size_t used, capacity; /* bytes behind this header */
};

void *arena_alloc(struct arena *arena, size_t size)
{
    uint64_t rounded;
    if (!checked_add(size, ARENA_ALIGN - 1, &rounded))
        return NULL;
    rounded &= ~(uint64_t)(ARENA_ALIGN - 1);
    struct arena_block *block = arena->blocks;
    if (!block || block->capacity - block->used < rounded) {
        uint64_t capacity = rounded > ARENA_BLOCK ? rounded : ARENA_BLOCK, bytes;
        if (!checked_add(capacity, ARENA_ALIGN, &bytes) || bytes > SIZE_MAX / 2)
            return NULL;
        block = aligned_alloc(ARENA_ALIGN, (size_t)bytes);
        if (!block)
            return NULL;
        *block = (struct arena_block){arena->blocks, 0, (size_t)capacity};
        arena->blocks = block;
    }
    unsigned char *memory = (unsigned char *)block + ARENA_ALIGN + block->used;
    block->used += (size_t)rounded;
    memset(memory, 0, (size_t)rounded);
    return memory;
}

char *arena_copy_text(struct arena *arena, const char *text, size_t size)
{
    uint64_t bytes;
    char *copy = checked_add(size, 1, &bytes) ? arena_alloc(arena, (size_t)bytes) : NULL;
    if (copy && size)
        memcpy(copy, text, size);
    return copy;
}

void arena_deinit(struct arena *arena)
{
    while (arena->blocks) {
        struct arena_block *next = arena->blocks->next;
        free(arena->blocks);
        arena->blocks = next;
    }
}

/* ---- tokens ---- */

void tokens_append_all(struct tokens *tokens, const int32_t *ids, size_t n)
{
    uint64_t needed;
    void *data = tokens->ids;
    if (tokens->failed || !checked_add(tokens->n, n, &needed) ||
        !reserve(&data, &tokens->capacity, needed, sizeof *tokens->ids)) {
        tokens->failed = true;
        return;
    }
    tokens->ids = data;
    if (n)
        memcpy(tokens->ids + tokens->n, ids, n * sizeof *ids);
    tokens->n += n;
}

void tokens_append(struct tokens *tokens, int32_t id)
{
    tokens_append_all(tokens, &id, 1);
}

void tokens_clear(struct tokens *tokens)
{
    tokens->n = 0;
}

void tokens_deinit(struct tokens *tokens)
{
    free(tokens->ids);
    *tokens = (struct tokens){0};
}

enum status tokens_status(const struct tokens *tokens, struct error *error)
{
    return tokens->failed ? error_set(error, STATUS_MEMORY, "out of memory") : STATUS_OK;
}

/* ---- UTF-8 ---- */

int utf8_decode(const char *text, size_t size, uint32_t *code_point)
{
    const unsigned char *s = (const unsigned char *)text;
    if (size == 0)
        return 0;
    if (s[0] < 0x80) {
        *code_point = s[0];
        return 1;
    }
    /* The second byte's range excludes overlong forms, surrogates and what lies beyond U+10FFFF (RFC 3629, section 4). */
    int length;
    unsigned char low = 0x80, high = 0xbf;
    if (s[0] >= 0xc2 && s[0] <= 0xdf) {
        length = 2;
    } else if (s[0] >= 0xe0 && s[0] <= 0xef) {
        length = 3;
        low = s[0] == 0xe0 ? 0xa0 : 0x80;
        high = s[0] == 0xed ? 0x9f : 0xbf;
    } else if (s[0] >= 0xf0 && s[0] <= 0xf4) {
        length = 4;
        low = s[0] == 0xf0 ? 0x90 : 0x80;
        high = s[0] == 0xf4 ? 0x8f : 0xbf;
    } else {
        return -1;
    }
    uint32_t c = s[0] & (0x7fu >> length);
    for (int i = 1; i < length; i++) {
        if ((size_t)i >= size)
            return 0;
        if (s[i] < low || s[i] > high)
            return -i;
        c = c << 6 | (s[i] & 0x3fu);
        low = 0x80;
        high = 0xbf;
    }
    *code_point = c;
    return length;
}

/* ---- clock ---- */

uint64_t clock_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}
