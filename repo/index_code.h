/* index_code: numbers and names in few bytes, as the index stores them.
 *
 * Numbers are LEB128 varints, signed ones zigzag; a name is cut by what it shares with the one before it.  What is read
 * comes out of a database that anybody may have written: a reader never leaves its bytes, and once something was wrong it
 * stays failed and gives zeros, so that callers check once, at the end. */
#ifndef FATHOM_REPO_INDEX_CODE_H
#define FATHOM_REPO_INDEX_CODE_H

#include "engine/base.h"

enum { CODE_NAME_MAX = 511 }; /* bytes of a name or key */

struct code_reader {
    const uint8_t *at, *end;
    bool failed;
};

struct code_name {
    char bytes[CODE_NAME_MAX + 1]; /* terminated, but may hold NULs */
    size_t size;
};

struct code_reader code_reader_make(const void *bytes, size_t size);

/* At most 10 bytes; returns how many. */
size_t code_write(uint8_t *out, uint64_t value);
void code_put(struct buffer *out, uint64_t value);
void code_put_signed(struct buffer *out, int64_t value);

uint64_t code_get(struct code_reader *reader);
int64_t code_get_signed(struct code_reader *reader);
uint32_t code_get_32(struct code_reader *reader);                       /* fails beyond UINT32_MAX */
const uint8_t *code_get_bytes(struct code_reader *reader, size_t size); /* NULL where there are fewer */

/* size <= CODE_NAME_MAX.  last is what was put before; zeroed at the beginning. */
void code_put_name(struct buffer *out, struct code_name *last, const char *name, size_t size);
bool code_get_name(struct code_reader *reader, struct code_name *last);

/* memcmp's order, a prefix first. */
int code_compare(const void *a, size_t a_size, const void *b, size_t b_size);

uint32_t code_hash(const void *bytes, size_t size); /* for tables in memory */

#endif
