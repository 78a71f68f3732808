/* gguf_writer: builds small GGUF files for tests, right ones and, by its fields, wrong ones.
 *
 *   struct gguf_writer writer = {0};
 *   gguf_writer_text(&writer, "general.architecture", "llama");
 *   gguf_writer_tensor(&writer, "token_embd.weight", QUANT_F32, 2, (uint64_t[]){8, 4}, NULL);
 *   struct buffer file = {0};
 *   gguf_writer_finish(&writer, &file);
 *
 * Running out of memory shows in the failed flag of the buffer that finish fills. */
#ifndef FATHOM_TESTS_GGUF_WRITER_H
#define FATHOM_TESTS_GGUF_WRITER_H

#include "engine/base.h"
#include "engine/gguf.h"

/* Zero-initialised is ready.  A test may change any field before finish: append raw bytes, claim other counts. */
struct gguf_writer {
    uint32_t version;            /* 0: 3 */
    uint32_t alignment;          /* 0: 32.  To be set before the first tensor; writes no key */
    uint64_t n_keys, n_tensors;  /* as the head will claim */
    struct buffer keys, tensors; /* the two parts of the header as they will be written */
    struct buffer data;          /* tensor data */
    bool no_data;                /* end behind the header, without padding */
};

void gguf_writer_u8(struct gguf_writer *writer, const char *key, uint8_t value);
void gguf_writer_i8(struct gguf_writer *writer, const char *key, int8_t value);
void gguf_writer_u16(struct gguf_writer *writer, const char *key, uint16_t value);
void gguf_writer_i16(struct gguf_writer *writer, const char *key, int16_t value);
void gguf_writer_u32(struct gguf_writer *writer, const char *key, uint32_t value);
void gguf_writer_i32(struct gguf_writer *writer, const char *key, int32_t value);
void gguf_writer_u64(struct gguf_writer *writer, const char *key, uint64_t value);
void gguf_writer_i64(struct gguf_writer *writer, const char *key, int64_t value);
void gguf_writer_f32(struct gguf_writer *writer, const char *key, float value);
void gguf_writer_f64(struct gguf_writer *writer, const char *key, double value);
void gguf_writer_bool(struct gguf_writer *writer, const char *key, bool value);
void gguf_writer_text(struct gguf_writer *writer, const char *key, const char *value);
void gguf_writer_bytes(struct gguf_writer *writer, const char *key, struct slice value); /* a string of any bytes */

/* n numbers of this type, as they lie in memory (little-endian machines). */
void gguf_writer_array(struct gguf_writer *writer, const char *key, enum gguf_type type, const void *numbers, size_t n);
void gguf_writer_texts(struct gguf_writer *writer, const char *key, const char *const *texts, size_t n);
void gguf_writer_slices(struct gguf_writer *writer, const char *key, const struct slice *texts, size_t n);

/* bytes: as many as type and shape make; NULL: zeros. */
void gguf_writer_tensor(struct gguf_writer *writer, const char *name, enum quant_type type, uint32_t n_dims,
                        const uint64_t *shape, const void *bytes);

/* The raw pieces that the functions above are made of. */
void gguf_writer_raw_key(struct gguf_writer *writer, const char *key, uint32_t type); /* the value is to follow */
void gguf_writer_raw_tensor(struct gguf_writer *writer, const char *name, uint32_t n_dims, const uint64_t *shape,
                            uint32_t type, uint64_t offset);
void gguf_append_u32(struct buffer *out, uint32_t value);
void gguf_append_u64(struct buffer *out, uint64_t value);
void gguf_append_text(struct buffer *out, struct slice text); /* with its length before it */

/* Appends the whole file to out; the writer stays as it is. */
void gguf_writer_finish(const struct gguf_writer *writer, struct buffer *out);

/* Writes the whole file to path.  False where it fails. */
bool gguf_writer_save(const struct gguf_writer *writer, const char *path);

void gguf_writer_deinit(struct gguf_writer *writer);

#endif
