/* gguf: the GGUF container, versions 2 and 3, little-endian, of one file or split as NAME-00001-of-0000N.gguf.
 *
 *   "GGUF" u32 version  u64 n_tensors  u64 n_keys
 *   n_keys    x { u64 length, key bytes; u32 type; value }                      string: u64 length, bytes; array: u32 type, u64 n, values
 *   n_tensors x { u64 length, name; u32 n_dims; u64 dims[n_dims]; u32 type; u64 offset }
 *   padding to general.alignment (32); tensor data: offset is relative to here
 *
 * The whole header is walked once at open with overflow-checked arithmetic; after that every accessor may trust what it
 * gives: slices lie inside the mapping, a tensor's bytes lie inside its file, its size is what type and shape make.
 * Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md */
#ifndef FATHOM_ENGINE_GGUF_H
#define FATHOM_ENGINE_GGUF_H

#include "engine/base.h"
#include "engine/quant.h"

enum gguf_type {
    GGUF_U8 = 0,
    GGUF_I8,
    GGUF_U16,
    GGUF_I16,
    GGUF_U32,
    GGUF_I32,
    GGUF_F32,
    GGUF_BOOL,
    GGUF_STRING,
    GGUF_ARRAY,
    GGUF_U64,
    GGUF_I64,
    GGUF_F64,
};

enum { GGUF_MAX_DIMS = 4 };

struct gguf_value {
    enum gguf_type type; /* of the value, or of an array's elements */
    bool is_array;
    uint64_t n;        /* elements; 1 where it is no array */
    struct slice data; /* the bytes of the value or of all elements, little-endian, unaligned; of a string its text,
                          of an array of strings each with its length before it: gguf_array_next_text */
};

struct gguf_tensor {
    struct slice name;
    enum quant_type type;
    uint64_t shape[GGUF_MAX_DIMS]; /* shape[0] runs fastest; unused ones are 1 */
    uint64_t n_elements;
    const unsigned char *data; /* n_bytes, inside the mapping */
    size_t n_bytes;
};

struct gguf;

/* Opens path and, where it is a part of a split model, all parts: the keys are those of the first, the tensors of all.
 * Errors name the file and what is wrong.  Costs time and memory in proportion to the header, whatever it claims. */
enum status gguf_open(const char *path, struct gguf **out, struct error *error);
/* The same on bytes in memory, which are borrowed (tests, fuzzing).  STATUS_UNSUPPORTED for a part of a split model. */
enum status gguf_open_memory(const void *bytes, size_t size, struct gguf **out, struct error *error);
void gguf_close(struct gguf *gguf);

size_t gguf_n_keys(const struct gguf *gguf);
size_t gguf_n_tensors(const struct gguf *gguf);
uint64_t gguf_n_bytes(const struct gguf *gguf);                              /* of all files together */
bool gguf_is_broken(const struct gguf *gguf);                                /* a file shrank while mapped */
const struct gguf_tensor *gguf_tensor_at(const struct gguf *gguf, size_t i); /* i < n_tensors */
const struct gguf_value *gguf_value_at(const struct gguf *gguf, size_t i, struct slice *key); /* i < n_keys */

/* NULL where there is none.  O(1). */
const struct gguf_tensor *gguf_find_tensor(const struct gguf *gguf, const char *name);
const struct gguf_value *gguf_find_key(const struct gguf *gguf, const char *key);

/* Typed reads.  A missing key leaves *out as it was and gives STATUS_NOT_FOUND; a value that is of another kind or doesn't
 * fit gives STATUS_FORMAT; both messages name the key.  Integers of any width are taken; floats take F32 and F64. */
enum status gguf_read_u64(const struct gguf *gguf, const char *key, uint64_t *out, struct error *error);
enum status gguf_read_u32(const struct gguf *gguf, const char *key, uint32_t *out, struct error *error);
enum status gguf_read_i32(const struct gguf *gguf, const char *key, int32_t *out, struct error *error);
enum status gguf_read_f32(const struct gguf *gguf, const char *key, float *out, struct error *error);
enum status gguf_read_bool(const struct gguf *gguf, const char *key, bool *out, struct error *error);
enum status gguf_read_text(const struct gguf *gguf, const char *key, struct slice *out, struct error *error);

/* Element i of an array, i < value->n.  False where the type doesn't fit. */
bool gguf_array_u64(const struct gguf_value *value, uint64_t i,
                    uint64_t *out); /* any integer type that holds no negative number */
bool gguf_array_i64(const struct gguf_value *value, uint64_t i, int64_t *out);
bool gguf_array_f32(const struct gguf_value *value, uint64_t i, float *out);

/* Walks an array of strings in order: *position starts at 0.  False at the end or where it holds no strings. */
bool gguf_array_next_text(const struct gguf_value *value, size_t *position, struct slice *out);

#endif
