/* gguf_writer: see gguf_writer.h. */
#include "tests/gguf_writer.h"

#include <stdio.h>
#include <string.h>

/* ---- raw pieces ---- */

static void append_little(struct buffer *out, uint64_t value, size_t size)
{
    for (size_t i = 0; i < size; i++)
        buffer_append_byte(out, (char)(unsigned char)(value >> (8 * i)));
}

void gguf_append_u32(struct buffer *out, uint32_t value)
{
    append_little(out, value, 4);
}

void gguf_append_u64(struct buffer *out, uint64_t value)
{
    append_little(out, value, 8);
}

void gguf_append_text(struct buffer *out, struct slice text)
{
    gguf_append_u64(out, text.size);
    buffer_append(out, text.data, text.size);
}

static uint64_t alignment_of(const struct gguf_writer *writer)
{
    return writer->alignment ? writer->alignment : 32;
}

static void pad(struct buffer *out, size_t begin, uint64_t alignment)
{
    while ((out->size - begin) % alignment && !out->failed)
        buffer_append_byte(out, 0);
}

/* ---- keys ---- */

void gguf_writer_raw_key(struct gguf_writer *writer, const char *key, uint32_t type)
{
    writer->n_keys++;
    gguf_append_text(&writer->keys, slice_from(key));
    gguf_append_u32(&writer->keys, type);
}

static void add_number(struct gguf_writer *writer, const char *key, enum gguf_type type, uint64_t bits, size_t size)
{
    gguf_writer_raw_key(writer, key, type);
    append_little(&writer->keys, bits, size);
}

void gguf_writer_u8(struct gguf_writer *writer, const char *key, uint8_t value)
{
    add_number(writer, key, GGUF_U8, value, 1);
}

void gguf_writer_i8(struct gguf_writer *writer, const char *key, int8_t value)
{
    add_number(writer, key, GGUF_I8, (uint64_t)value, 1);
}

void gguf_writer_u16(struct gguf_writer *writer, const char *key, uint16_t value)
{
    add_number(writer, key, GGUF_U16, value, 2);
}

void gguf_writer_i16(struct gguf_writer *writer, const char *key, int16_t value)
{
    add_number(writer, key, GGUF_I16, (uint64_t)value, 2);
}

void gguf_writer_u32(struct gguf_writer *writer, const char *key, uint32_t value)
{
    add_number(writer, key, GGUF_U32, value, 4);
}

void gguf_writer_i32(struct gguf_writer *writer, const char *key, int32_t value)
{
    add_number(writer, key, GGUF_I32, (uint64_t)value, 4);
}

void gguf_writer_u64(struct gguf_writer *writer, const char *key, uint64_t value)
{
    add_number(writer, key, GGUF_U64, value, 8);
}

void gguf_writer_i64(struct gguf_writer *writer, const char *key, int64_t value)
{
    add_number(writer, key, GGUF_I64, (uint64_t)value, 8);
}

void gguf_writer_f32(struct gguf_writer *writer, const char *key, float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    add_number(writer, key, GGUF_F32, bits, 4);
}

void gguf_writer_f64(struct gguf_writer *writer, const char *key, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    add_number(writer, key, GGUF_F64, bits, 8);
}

void gguf_writer_bool(struct gguf_writer *writer, const char *key, bool value)
{
    add_number(writer, key, GGUF_BOOL, value ? 1 : 0, 1);
}

void gguf_writer_text(struct gguf_writer *writer, const char *key, const char *value)
{
    gguf_writer_bytes(writer, key, slice_from(value));
}

void gguf_writer_bytes(struct gguf_writer *writer, const char *key, struct slice value)
{
    gguf_writer_raw_key(writer, key, GGUF_STRING);
    gguf_append_text(&writer->keys, value);
}

static void begin_array(struct gguf_writer *writer, const char *key, enum gguf_type type, size_t n)
{
    gguf_writer_raw_key(writer, key, GGUF_ARRAY);
    gguf_append_u32(&writer->keys, type);
    gguf_append_u64(&writer->keys, n);
}

void gguf_writer_array(struct gguf_writer *writer, const char *key, enum gguf_type type, const void *numbers, size_t n)
{
    static const size_t sizes[] = {
        [GGUF_U8] = 1,  [GGUF_I8] = 1,   [GGUF_U16] = 2, [GGUF_I16] = 2, [GGUF_U32] = 4, [GGUF_I32] = 4,
        [GGUF_F32] = 4, [GGUF_BOOL] = 1, [GGUF_U64] = 8, [GGUF_I64] = 8, [GGUF_F64] = 8,
    };
    begin_array(writer, key, type, n);
    buffer_append(&writer->keys, numbers, n * sizes[type]);
}

void gguf_writer_texts(struct gguf_writer *writer, const char *key, const char *const *texts, size_t n)
{
    begin_array(writer, key, GGUF_STRING, n);
    for (size_t i = 0; i < n; i++)
        gguf_append_text(&writer->keys, slice_from(texts[i]));
}

void gguf_writer_slices(struct gguf_writer *writer, const char *key, const struct slice *texts, size_t n)
{
    begin_array(writer, key, GGUF_STRING, n);
    for (size_t i = 0; i < n; i++)
        gguf_append_text(&writer->keys, texts[i]);
}

/* ---- tensors ---- */

void gguf_writer_raw_tensor(struct gguf_writer *writer, const char *name, uint32_t n_dims, const uint64_t *shape,
                            uint32_t type, uint64_t offset)
{
    writer->n_tensors++;
    gguf_append_text(&writer->tensors, slice_from(name));
    gguf_append_u32(&writer->tensors, n_dims);
    for (uint32_t i = 0; i < n_dims; i++)
        gguf_append_u64(&writer->tensors, shape[i]);
    gguf_append_u32(&writer->tensors, type);
    gguf_append_u64(&writer->tensors, offset);
}

void gguf_writer_tensor(struct gguf_writer *writer, const char *name, enum quant_type type, uint32_t n_dims,
                        const uint64_t *shape, const void *bytes)
{
    const struct quant_info *info = quant_info(type);
    uint64_t n = 1;
    for (uint32_t i = 0; i < n_dims; i++)
        n *= shape[i];
    pad(&writer->data, 0, alignment_of(writer));
    gguf_writer_raw_tensor(writer, name, n_dims, shape, type, writer->data.size);
    uint64_t size = n / info->block_elements * info->block_bytes;
    if (bytes)
        buffer_append(&writer->data, bytes, (size_t)size);
    for (uint64_t i = 0; !bytes && i < size && !writer->data.failed; i++)
        buffer_append_byte(&writer->data, 0);
}

/* ---- the file ---- */

void gguf_writer_finish(const struct gguf_writer *writer, struct buffer *out)
{
    size_t begin = out->size;
    buffer_append_text(out, "GGUF");
    gguf_append_u32(out, writer->version ? writer->version : 3);
    gguf_append_u64(out, writer->n_tensors);
    gguf_append_u64(out, writer->n_keys);
    buffer_append(out, buffer_text(&writer->keys), writer->keys.size);
    buffer_append(out, buffer_text(&writer->tensors), writer->tensors.size);
    if (!writer->no_data) {
        pad(out, begin, alignment_of(writer));
        buffer_append(out, buffer_text(&writer->data), writer->data.size);
    }
    out->failed |= writer->keys.failed || writer->tensors.failed || writer->data.failed;
}

bool gguf_writer_save(const struct gguf_writer *writer, const char *path)
{
    struct buffer file = {0};
    gguf_writer_finish(writer, &file);
    FILE *stream = file.failed ? NULL : fopen(path, "wb");
    bool done = stream && fwrite(file.data, 1, file.size, stream) == file.size;
    if (stream && fclose(stream))
        done = false;
    buffer_deinit(&file);
    return done;
}

void gguf_writer_deinit(struct gguf_writer *writer)
{
    buffer_deinit(&writer->keys);
    buffer_deinit(&writer->tensors);
    buffer_deinit(&writer->data);
    *writer = (struct gguf_writer){0};
}
