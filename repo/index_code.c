/* index_code: see index_code.h. */
#include "repo/index_code.h"

#include <string.h>

struct code_reader code_reader_make(const void *bytes, size_t size)
{
    return (struct code_reader){bytes, size ? (const uint8_t *)bytes + size : bytes, false};
}

size_t code_write(uint8_t *out, uint64_t value)
{
    size_t n = 0;
    for (; value >= 0x80; value >>= 7)
        out[n++] = (uint8_t)(value | 0x80);
    out[n++] = (uint8_t)value;
    return n;
}

void code_put(struct buffer *out, uint64_t value)
{
    uint8_t bytes[10];
    buffer_append(out, bytes, code_write(bytes, value));
}

void code_put_signed(struct buffer *out, int64_t value)
{
    code_put(out, value < 0 ? ~((uint64_t)value << 1) : (uint64_t)value << 1);
}

uint64_t code_get(struct code_reader *reader)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64 && reader->at < reader->end; shift += 7) {
        uint8_t byte = *reader->at++;
        if (shift == 63 && byte > 1)
            break;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80)
            return value;
    }
    reader->failed = true;
    reader->at = reader->end;
    return 0;
}

int64_t code_get_signed(struct code_reader *reader)
{
    uint64_t value = code_get(reader);
    return (int64_t)(value >> 1 ^ (0 - (value & 1)));
}

uint32_t code_get_32(struct code_reader *reader)
{
    uint64_t value = code_get(reader);
    if (value <= UINT32_MAX)
        return (uint32_t)value;
    reader->failed = true;
    reader->at = reader->end;
    return 0;
}

const uint8_t *code_get_bytes(struct code_reader *reader, size_t size)
{
    if (size > (size_t)(reader->end - reader->at)) {
        reader->failed = true;
        reader->at = reader->end;
        return NULL;
    }
    const uint8_t *bytes = reader->at;
    reader->at += size;
    return bytes;
}

void code_put_name(struct buffer *out, struct code_name *last, const char *name, size_t size)
{
    size_t shared = 0, most = size < last->size ? size : last->size;
    while (shared < most && name[shared] == last->bytes[shared])
        shared++;
    code_put(out, shared);
    code_put(out, size - shared);
    buffer_append(out, name + shared, size - shared);
    memcpy(last->bytes + shared, name + shared, size - shared);
    last->size = size;
}

bool code_get_name(struct code_reader *reader, struct code_name *last)
{
    uint64_t shared = code_get(reader), more = code_get(reader);
    const uint8_t *bytes = NULL;
    if (shared <= last->size && more <= CODE_NAME_MAX - shared)
        bytes = code_get_bytes(reader, (size_t)more);
    if (!bytes || reader->failed) {
        reader->failed = true;
        reader->at = reader->end;
        return false;
    }
    memcpy(last->bytes + shared, bytes, (size_t)more);
    last->size = (size_t)(shared + more);
    last->bytes[last->size] = 0;
    return true;
}

int code_compare(const void *a, size_t a_size, const void *b, size_t b_size)
{
    size_t least = a_size < b_size ? a_size : b_size;
    int order = least ? memcmp(a, b, least) : 0;
    return order ? order : (a_size > b_size) - (a_size < b_size);
}

uint32_t code_hash(const void *bytes, size_t size)
{
    const uint8_t *at = bytes;
    uint64_t hash = 0x9e3779b97f4a7c15u ^ size;
    for (; size >= 8; at += 8, size -= 8) {
        uint64_t word;
        memcpy(&word, at, 8);
        hash = (hash ^ word) * 0xff51afd7ed558ccdu;
        hash ^= hash >> 32;
    }
    uint64_t tail = 0;
    if (size)
        memcpy(&tail, at, size);
    hash = (hash ^ tail) * 0xc4ceb9fe1a85ec53u;
    return (uint32_t)(hash ^ hash >> 32);
}
