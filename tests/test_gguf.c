/* Tests of engine/gguf: values and tensors of right files, the reason given for each wrong one, a real model cut off. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/gguf.h"
#include "tests/gguf_writer.h"

/* ---- what the tests share ---- */

static struct buffer finish(struct gguf_writer *writer)
{
    struct buffer file = {0};
    gguf_writer_finish(writer, &file);
    assert_false(file.failed);
    gguf_writer_deinit(writer);
    return file;
}

/* Opens it from memory of exactly its size. */
static enum status open_exact(const struct buffer *file, size_t size, struct gguf **gguf, char **memory,
                              struct error *error)
{
    *memory = malloc(size ? size : 1);
    assert_non_null(*memory);
    if (size)
        memcpy(*memory, file->data, size);
    return gguf_open_memory(*memory, size, gguf, error);
}

static struct gguf *open_right(struct gguf_writer *writer, struct buffer *file)
{
    struct gguf *gguf;
    struct error error;
    *file = finish(writer);
    if (gguf_open_memory(file->data, file->size, &gguf, &error) != STATUS_OK)
        fail_msg("%s", error.text);
    return gguf;
}

static void close_both(struct gguf *gguf, struct buffer *file)
{
    gguf_close(gguf);
    buffer_deinit(file);
}

static void is_one_line_with(const struct error *error, const char *reason)
{
    if (!strstr(error->text, reason) || strchr(error->text, '\n'))
        fail_msg("\"%s\" lacks \"%s\"", error->text, reason);
}

/* Takes the writer; the file must be refused for this reason. */
static void refuse(struct gguf_writer *writer, enum status status, const char *reason)
{
    struct buffer file = finish(writer);
    struct gguf *gguf;
    struct error error = {0};
    char *memory;
    enum status got = open_exact(&file, file.size, &gguf, &memory, &error);
    if (got != status)
        fail_msg("status %d, not %d, for \"%s\": %s", (int)got, (int)status, reason, error.text);
    assert_null(gguf);
    is_one_line_with(&error, reason);
    is_one_line_with(&error, "GGUF in memory: ");
    free(memory);
    buffer_deinit(&file);
}

/* ---- keys ---- */

static void add_every_kind(struct gguf_writer *writer)
{
    gguf_writer_u8(writer, "u8", 255);
    gguf_writer_i8(writer, "i8", -128);
    gguf_writer_u16(writer, "u16", 65535);
    gguf_writer_i16(writer, "i16", -32768);
    gguf_writer_u32(writer, "u32", UINT32_MAX);
    gguf_writer_i32(writer, "i32", INT32_MIN);
    gguf_writer_u64(writer, "u64", UINT64_MAX);
    gguf_writer_i64(writer, "i64", INT64_MIN);
    gguf_writer_f32(writer, "f32", 0.1f);
    gguf_writer_f64(writer, "f64", -2.5);
    gguf_writer_bool(writer, "yes", true);
    gguf_writer_bool(writer, "no", false);
    gguf_writer_text(writer, "text", "na\xc3\xafve");
    gguf_writer_text(writer, "empty", "");
}

static void integers_of_every_width_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *key;
        enum status u64, u32, i32;
        int64_t value;
    } rows[] = {
        {"u8", STATUS_OK, STATUS_OK, STATUS_OK, 255},
        {"i8", STATUS_FORMAT, STATUS_FORMAT, STATUS_OK, -128},
        {"u16", STATUS_OK, STATUS_OK, STATUS_OK, 65535},
        {"i16", STATUS_FORMAT, STATUS_FORMAT, STATUS_OK, -32768},
        {"u32", STATUS_OK, STATUS_OK, STATUS_FORMAT, UINT32_MAX},
        {"i32", STATUS_FORMAT, STATUS_FORMAT, STATUS_OK, INT32_MIN},
        {"u64", STATUS_OK, STATUS_FORMAT, STATUS_FORMAT, -1},
        {"i64", STATUS_FORMAT, STATUS_FORMAT, STATUS_FORMAT, INT64_MIN},
        {"f32", STATUS_FORMAT, STATUS_FORMAT, STATUS_FORMAT, 0},
        {"yes", STATUS_FORMAT, STATUS_FORMAT, STATUS_FORMAT, 0},
        {"text", STATUS_FORMAT, STATUS_FORMAT, STATUS_FORMAT, 0},
        {"nothing", STATUS_NOT_FOUND, STATUS_NOT_FOUND, STATUS_NOT_FOUND, 0},
    };
    struct gguf_writer writer = {0};
    struct buffer file;
    add_every_kind(&writer);
    struct gguf *gguf = open_right(&writer, &file);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        uint64_t u64 = 77;
        uint32_t u32 = 77;
        int32_t i32 = 77;
        struct error error = {0};
        assert_int_equal(gguf_read_u64(gguf, rows[i].key, &u64, NULL), rows[i].u64);
        assert_true(u64 == (rows[i].u64 == STATUS_OK ? (uint64_t)rows[i].value : 77));
        assert_int_equal(gguf_read_u32(gguf, rows[i].key, &u32, NULL), rows[i].u32);
        assert_true(u32 == (rows[i].u32 == STATUS_OK ? (uint32_t)rows[i].value : 77));
        assert_int_equal(gguf_read_i32(gguf, rows[i].key, &i32, &error), rows[i].i32);
        assert_true(i32 == (rows[i].i32 == STATUS_OK ? (int32_t)rows[i].value : 77));
        if (rows[i].i32 != STATUS_OK)
            is_one_line_with(&error, rows[i].key);
    }
    int64_t wide;
    uint64_t natural;
    assert_true(gguf_array_i64(gguf_find_key(gguf, "i64"), 0, &wide));
    assert_true(wide == INT64_MIN);
    assert_false(gguf_array_i64(gguf_find_key(gguf, "u64"), 0, &wide));
    assert_true(gguf_array_u64(gguf_find_key(gguf, "u64"), 0, &natural));
    assert_true(natural == UINT64_MAX);
    close_both(gguf, &file);
}

static void other_values_are_read(void **state)
{
    (void)state;
    struct gguf_writer writer = {0};
    struct buffer file;
    add_every_kind(&writer);
    gguf_writer_f64(&writer, "huge", 1e300);
    gguf_writer_f64(&writer, "infinite", HUGE_VAL);
    gguf_writer_raw_key(&writer, "maybe", GGUF_BOOL);
    buffer_append_byte(&writer.keys, 2);
    struct gguf *gguf = open_right(&writer, &file);
    float f = 7;
    bool b = false;
    struct slice text = slice_from("untouched");
    struct error error;
    assert_int_equal(gguf_read_f32(gguf, "f32", &f, NULL), STATUS_OK);
    assert_true(f == 0.1f);
    assert_int_equal(gguf_read_f32(gguf, "f64", &f, NULL), STATUS_OK);
    assert_true(f == -2.5f);
    assert_int_equal(gguf_read_f32(gguf, "huge", &f, &error), STATUS_FORMAT);
    is_one_line_with(&error, "'huge' is out of range");
    assert_int_equal(gguf_read_f32(gguf, "u32", &f, NULL), STATUS_FORMAT);
    assert_int_equal(gguf_read_f32(gguf, "nothing", &f, NULL), STATUS_NOT_FOUND);
    assert_true(f == -2.5f);
    assert_int_equal(gguf_read_f32(gguf, "infinite", &f, NULL), STATUS_OK);
    assert_true(isinf(f));

    assert_int_equal(gguf_read_bool(gguf, "yes", &b, NULL), STATUS_OK);
    assert_true(b);
    assert_int_equal(gguf_read_bool(gguf, "nothing", &b, NULL), STATUS_NOT_FOUND);
    assert_true(b);
    assert_int_equal(gguf_read_bool(gguf, "no", &b, NULL), STATUS_OK);
    assert_false(b);
    assert_int_equal(gguf_read_bool(gguf, "u8", &b, NULL), STATUS_FORMAT);
    assert_int_equal(gguf_read_bool(gguf, "maybe", &b, &error), STATUS_FORMAT);
    is_one_line_with(&error, "'maybe' is not true or false");

    assert_int_equal(gguf_read_text(gguf, "yes", &text, NULL), STATUS_FORMAT);
    assert_int_equal(gguf_read_text(gguf, "nothing", &text, NULL), STATUS_NOT_FOUND);
    assert_true(slice_equals(text, "untouched"));
    assert_int_equal(gguf_read_text(gguf, "text", &text, NULL), STATUS_OK);
    assert_true(slice_equals(text, "na\xc3\xafve"));
    assert_int_equal(gguf_read_text(gguf, "empty", &text, NULL), STATUS_OK);
    assert_int_equal(text.size, 0);

    assert_int_equal(gguf_n_keys(gguf), 17);
    assert_int_equal(gguf_n_bytes(gguf), file.size);
    assert_false(gguf_is_broken(gguf));
    assert_true(slice_equals((gguf_value_at(gguf, 12, &text), text), "text"));
    assert_ptr_equal(gguf_value_at(gguf, 12, NULL), gguf_find_key(gguf, "text"));
    assert_null(gguf_find_key(gguf, "tex"));
    assert_null(gguf_find_key(gguf, ""));
    close_both(gguf, &file);
}

static void arrays_are_read(void **state)
{
    (void)state;
    struct gguf_writer writer = {0};
    struct buffer file;
    gguf_writer_array(&writer, "i8", GGUF_I8, (int8_t[]){-1, 2}, 2);
    gguf_writer_array(&writer, "u16", GGUF_U16, (uint16_t[]){1, 65535, 3}, 3);
    gguf_writer_array(&writer, "i32", GGUF_I32, (int32_t[]){-5, INT32_MAX}, 2);
    gguf_writer_array(&writer, "u64", GGUF_U64, (uint64_t[]){UINT64_MAX}, 1);
    gguf_writer_array(&writer, "f32", GGUF_F32, (float[]){0.5f, -1.25f}, 2);
    gguf_writer_array(&writer, "f64", GGUF_F64, (double[]){0.5, 1e300}, 2);
    gguf_writer_array(&writer, "bool", GGUF_BOOL, (uint8_t[]){1, 0}, 2);
    gguf_writer_array(&writer, "none", GGUF_I32, NULL, 0);
    gguf_writer_texts(&writer, "texts", (const char *const[]){"a", "", "\xe2\x82\xac"}, 3);
    gguf_writer_slices(&writer, "bytes", (const struct slice[]){{"\0x", 2}}, 1);
    gguf_writer_u32(&writer, "last", 9);
    struct gguf *gguf = open_right(&writer, &file);
    uint64_t u = 0;
    int64_t i = 0;
    float f = 0;
    struct slice text;
    size_t position = 0;
    const struct gguf_value *value = gguf_find_key(gguf, "i8");
    assert_true(value->is_array && value->type == GGUF_I8 && value->n == 2);
    assert_false(gguf_array_u64(value, 0, &u));
    assert_true(gguf_array_u64(value, 1, &u) && u == 2);
    assert_true(gguf_array_i64(value, 0, &i) && i == -1);
    assert_false(gguf_array_i64(value, 2, &i));
    assert_false(gguf_array_i64(value, UINT64_MAX, &i));
    assert_true(gguf_array_u64(gguf_find_key(gguf, "u16"), 1, &u) && u == 65535);
    assert_true(gguf_array_i64(gguf_find_key(gguf, "i32"), 1, &i) && i == INT32_MAX);
    assert_true(gguf_array_u64(gguf_find_key(gguf, "u64"), 0, &u) && u == UINT64_MAX);
    assert_true(gguf_array_f32(gguf_find_key(gguf, "f32"), 1, &f) && f == -1.25f);
    assert_false(gguf_array_f32(gguf_find_key(gguf, "f32"), 2, &f));
    assert_true(gguf_array_f32(gguf_find_key(gguf, "f64"), 0, &f) && f == 0.5f);
    assert_false(gguf_array_f32(gguf_find_key(gguf, "f64"), 1, &f));
    assert_false(gguf_array_f32(gguf_find_key(gguf, "i32"), 0, &f));
    assert_false(gguf_array_u64(gguf_find_key(gguf, "bool"), 0, &u));
    assert_int_equal(gguf_find_key(gguf, "bool")->data.size, 2);
    assert_false(gguf_array_u64(gguf_find_key(gguf, "none"), 0, &u));

    value = gguf_find_key(gguf, "texts");
    assert_true(gguf_array_next_text(value, &position, &text) && slice_equals(text, "a"));
    assert_true(gguf_array_next_text(value, &position, &text) && text.size == 0);
    assert_true(gguf_array_next_text(value, &position, &text) && slice_equals(text, "\xe2\x82\xac"));
    assert_false(gguf_array_next_text(value, &position, &text));
    position = SIZE_MAX;
    assert_false(gguf_array_next_text(value, &position, &text));
    position = 0;
    assert_true(gguf_array_next_text(gguf_find_key(gguf, "bytes"), &position, &text));
    assert_int_equal(text.size, 2);
    assert_memory_equal(text.data, "\0x", 2);
    position = 0;
    assert_false(gguf_array_next_text(gguf_find_key(gguf, "u16"), &position, &text));
    assert_false(gguf_array_next_text(gguf_find_key(gguf, "last"), &position, &text));

    struct error error;
    uint32_t u32;
    assert_int_equal(gguf_read_u32(gguf, "u16", &u32, &error), STATUS_FORMAT);
    is_one_line_with(&error, "'u16' is an array");
    assert_int_equal(gguf_read_text(gguf, "texts", &text, NULL), STATUS_FORMAT);
    assert_int_equal(gguf_read_u32(gguf, "last", &u32, NULL), STATUS_OK);
    assert_int_equal(u32, 9);
    close_both(gguf, &file);
}

/* A mapped file may be written to by others after it was checked. */
static void lengths_that_change_later_do_no_harm(void **state)
{
    (void)state;
    static const unsigned char wrong[] = {3, 9, 10, 0x7f, 0xff};
    struct gguf_writer writer = {.no_data = true};
    struct buffer file;
    gguf_writer_texts(&writer, "texts", (const char *const[]){"a", "b"}, 2);
    struct gguf *gguf = open_right(&writer, &file);
    const struct gguf_value *value = gguf_find_key(gguf, "texts");
    assert_ptr_equal(value->data.data + value->data.size, file.data + file.size);
    char *length = file.data + (value->data.data - file.data) + 9; /* of "b": one byte is left behind it */
    for (size_t i = 0; i < sizeof wrong; i++) {
        struct slice text;
        size_t position = 0;
        memset(length + 1, i % 2 ? 0xff : 0, 7);
        *length = (char)wrong[i];
        assert_true(gguf_array_next_text(value, &position, &text));
        assert_false(gguf_array_next_text(value, &position, &text));
    }
    close_both(gguf, &file);
}

/* ---- tensors ---- */

static void tensors_lie_where_they_were_put(void **state)
{
    (void)state;
    struct gguf_writer writer = {.alignment = 64};
    struct buffer file;
    float numbers[24];
    for (int i = 0; i < 24; i++)
        numbers[i] = (float)i;
    gguf_writer_u32(&writer, "general.alignment", 64);
    gguf_writer_tensor(&writer, "a", QUANT_F32, 2, (uint64_t[]){8, 3}, numbers);
    gguf_writer_tensor(&writer, "q", QUANT_Q4_K, 3, (uint64_t[]){512, 3, 2}, NULL);
    gguf_writer_tensor(&writer, "scalar", QUANT_F32, 0, NULL, numbers + 5);
    gguf_writer_tensor(&writer, "four", QUANT_I8, 4, (uint64_t[]){3, 1, 2, 5}, NULL);
    gguf_writer_tensor(&writer, "b", QUANT_F16, 1, (uint64_t[]){2}, "\x00\x3c\x00\xc0");
    struct gguf *gguf = open_right(&writer, &file);
    assert_int_equal(gguf_n_tensors(gguf), 5);
    const struct gguf_tensor *a = gguf_find_tensor(gguf, "a"), *q = gguf_find_tensor(gguf, "q");
    const struct gguf_tensor *b = gguf_find_tensor(gguf, "b"), *four = gguf_find_tensor(gguf, "four");
    assert_ptr_equal(a, gguf_tensor_at(gguf, 0));
    assert_memory_equal(a->data, numbers, sizeof numbers);
    assert_int_equal(a->n_bytes, sizeof numbers);
    assert_true(a->shape[0] == 8 && a->shape[1] == 3 && a->shape[2] == 1 && a->shape[3] == 1 && a->n_elements == 24);
    assert_int_equal(q->type, QUANT_Q4_K);
    assert_int_equal(q->n_elements, 512 * 6);
    assert_int_equal(q->n_bytes, 12 * 144);
    assert_int_equal((q->data - (const unsigned char *)file.data) % 64, 0);
    assert_int_equal(gguf_find_tensor(gguf, "scalar")->n_elements, 1);
    assert_memory_equal(gguf_find_tensor(gguf, "scalar")->data, numbers + 5, 4);
    assert_int_equal(four->n_bytes, 30);
    assert_true(four->shape[2] == 2 && four->shape[3] == 5);
    float halves[2];
    quant_info(b->type)->unpack(b->data, halves, 2);
    assert_true(halves[0] == 1 && halves[1] == -2);
    assert_ptr_equal(b->data + 4, file.data + file.size);
    assert_null(gguf_find_tensor(gguf, "c"));
    assert_null(gguf_find_tensor(gguf, ""));
    close_both(gguf, &file);
}

static void every_type_has_the_size_of_its_blocks(void **state)
{
    (void)state;
    struct gguf_writer writer = {0};
    struct buffer file;
    size_t n = 0;
    for (unsigned i = 0; i < QUANT_LIMIT; i++)
        if (quant_info((enum quant_type)i)) {
            gguf_writer_tensor(&writer, quant_info((enum quant_type)i)->name, (enum quant_type)i, 2,
                               (uint64_t[]){256, 2}, NULL);
            n++;
        }
    struct gguf *gguf = open_right(&writer, &file);
    assert_int_equal(gguf_n_tensors(gguf), n);
    for (size_t i = 0; i < n; i++) {
        const struct gguf_tensor *tensor = gguf_tensor_at(gguf, i);
        const struct quant_info *info = quant_info(tensor->type);
        assert_true(slice_equals(tensor->name, info->name));
        assert_int_equal(tensor->n_bytes, 512 / info->block_elements * info->block_bytes);
    }
    close_both(gguf, &file);
}

static void a_file_without_tensors_may_end_behind_its_keys(void **state)
{
    (void)state;
    struct gguf_writer writer = {.no_data = true, .version = 2};
    struct buffer file;
    gguf_writer_text(&writer, "tokenizer.ggml.model", "gpt2");
    struct gguf *gguf = open_right(&writer, &file);
    assert_int_equal(gguf_n_tensors(gguf), 0);
    assert_null(gguf_find_tensor(gguf, "x"));
    close_both(gguf, &file);
    struct gguf_writer nothing = {0};
    gguf = open_right(&nothing, &file);
    assert_int_equal(gguf_n_keys(gguf), 0);
    close_both(gguf, &file);
}

/* Written by the reference's own writer: tests/make_gguf_seeds.py. */
static void files_of_the_reference_are_read(void **state)
{
    (void)state;
    struct gguf *gguf;
    struct error error;
    uint64_t u64;
    int32_t i32;
    float f32;
    struct slice text;
    int64_t i64;
    if (gguf_open("tests/fuzz/seeds/gguf/keys.gguf", &gguf, &error) != STATUS_OK)
        fail_msg("%s", error.text);
    assert_int_equal(gguf_read_u64(gguf, "k.u64", &u64, NULL), STATUS_OK);
    assert_true(u64 == 18000000000000000000u);
    assert_int_equal(gguf_read_i32(gguf, "k.i16", &i32, NULL), STATUS_OK);
    assert_int_equal(i32, -30000);
    assert_true(gguf_array_i64(gguf_find_key(gguf, "k.i64"), 0, &i64) && i64 == -9000000000000000000);
    assert_int_equal(gguf_read_f32(gguf, "k.f64", &f32, NULL), STATUS_OK);
    assert_true(f32 == -2.25f);
    assert_int_equal(gguf_read_text(gguf, "general.architecture", &text, NULL), STATUS_OK);
    assert_true(slice_equals(text, "llama"));
    assert_int_equal(gguf_find_key(gguf, "a.text")->n, 3);
    gguf_close(gguf);
    if (gguf_open("tests/fuzz/seeds/gguf/tensors.gguf", &gguf, &error) != STATUS_OK)
        fail_msg("%s", error.text);
    const struct gguf_tensor *tensor = gguf_find_tensor(gguf, "token_embd.weight");
    assert_true(tensor && tensor->shape[0] == 8 && tensor->shape[1] == 3);
    float row[8];
    quant_info(tensor->type)->unpack(tensor->data + 32, row, 8);
    assert_true(row[0] == 8 && row[7] == 15);
    tensor = gguf_find_tensor(gguf, "blk.0.ffn_up.weight");
    assert_true(tensor && tensor->type == QUANT_Q8_0 && tensor->shape[0] == 64 && tensor->data[67] == 67);
    gguf_close(gguf);
}

/* ---- wrong heads ---- */

static void refuse_text(const char *text, enum status status, const char *reason)
{
    struct gguf *gguf;
    struct error error = {0};
    assert_int_equal(gguf_open_memory(text, strlen(text), &gguf, &error), status);
    assert_null(gguf);
    is_one_line_with(&error, reason);
}

static void what_is_no_gguf_is_refused(void **state)
{
    (void)state;
    refuse_text("", STATUS_FORMAT, "the file is empty");
    refuse_text("x", STATUS_FORMAT, "not a GGUF file");
    refuse_text("GGU", STATUS_FORMAT, "cut off");
    refuse_text("GGUF", STATUS_FORMAT, "cut off in the head");
    refuse_text("# A text\n\nthat was given as a model.\n", STATUS_FORMAT, "not a GGUF file");
    refuse_text("version https://git-lfs.github.com/spec/v1\noid", STATUS_FORMAT, "Git LFS pointer");
    static const uint32_t versions[] = {1, 4, 1000000};
    for (size_t i = 0; i < 3; i++) {
        struct gguf_writer writer = {.version = versions[i]};
        refuse(&writer, STATUS_UNSUPPORTED, "only 2 and 3 are read");
    }
    refuse(&(struct gguf_writer){.version = 0x03000000}, STATUS_UNSUPPORTED, "big-endian");
    refuse(&(struct gguf_writer){.version = 0x02000000}, STATUS_UNSUPPORTED, "big-endian");
}

static void counts_are_not_believed(void **state)
{
    (void)state;
    static const uint64_t counts[] = {3, 1000, 65537, 1u << 31, (uint64_t)1 << 60, UINT64_MAX};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        struct gguf_writer writer = {0};
        gguf_writer_text(&writer, "a", "b");
        writer.n_keys = counts[i];
        refuse(&writer, STATUS_FORMAT, counts[i] < 65537 ? "cut off: its head claims" : "keys; at most 65536");
        writer = (struct gguf_writer){0};
        gguf_writer_tensor(&writer, "a", QUANT_F32, 1, (uint64_t[]){1}, NULL);
        writer.n_tensors = counts[i];
        refuse(&writer, STATUS_FORMAT, counts[i] < 1u << 17 ? "cut off" : "tensors; at most 131072");
    }
}

/* ---- wrong keys ---- */

static struct gguf_writer raw_key(const char *key, uint32_t type, const char *value, size_t size)
{
    struct gguf_writer writer = {0};
    gguf_writer_u8(&writer, "before", 1);
    gguf_writer_raw_key(&writer, key, type);
    buffer_append(&writer.keys, value, size);
    return writer;
}

#define BYTES(text) (text), sizeof(text) - 1

static void wrong_keys_are_named(void **state)
{
    (void)state;
    struct gguf_writer writer;
    writer = raw_key("k", 13, BYTES("12345678"));
    refuse(&writer, STATUS_FORMAT, "key 'k': unknown value type 13");
    writer = raw_key("k", UINT32_MAX, BYTES("12345678"));
    refuse(&writer, STATUS_FORMAT, "key 'k': unknown value type 4294967295");
    writer = raw_key("k", GGUF_ARRAY, BYTES("\x0d\0\0\0\1\0\0\0\0\0\0\0x"));
    refuse(&writer, STATUS_FORMAT, "key 'k': unknown element type 13");
    writer = raw_key("k", GGUF_ARRAY, BYTES("\x09\0\0\0\1\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"));
    refuse(&writer, STATUS_UNSUPPORTED, "key 'k' is an array of arrays");
    writer = raw_key("k", GGUF_ARRAY, BYTES("\x0a\0\0\0\0\0\0\0\0\0\0\x20")); /* 2^61 of 8 bytes: 2^64 */
    refuse(&writer, STATUS_FORMAT, "cut off in key 'k'");
    writer = raw_key("k", GGUF_ARRAY, BYTES("\x08\0\0\0\0\0\0\0\0\0\0\x20"));
    refuse(&writer, STATUS_FORMAT, "cut off in key 'k'");
    writer = raw_key("k", GGUF_ARRAY, BYTES("\x00\0\0\0\xff\0\0\0\0\0\0\0abc"));
    refuse(&writer, STATUS_FORMAT, "cut off in key 'k'");
    writer =
        raw_key("k", GGUF_ARRAY, BYTES("\x08\0\0\0\2\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0x\xff\xff\xff\xff\xff\xff\xff\xff"));
    refuse(&writer, STATUS_FORMAT, "cut off in key 'k'");
    writer = raw_key("k", GGUF_STRING,
                     BYTES("\xff\xff\xff\xff\xff\xff\xff\xff"
                           "abc"));
    refuse(&writer, STATUS_FORMAT, "cut off in key 'k'");
    writer = raw_key("before", GGUF_U8, BYTES("x"));
    refuse(&writer, STATUS_FORMAT, "key 'before' comes twice");
    writer = raw_key("", GGUF_U32, BYTES("1234"));
    refuse(&writer, STATUS_FORMAT, "key number 2 has no name");
    writer = raw_key("a\x1b[31m\xc2\x9b\n", 77, BYTES("12345678"));
    refuse(&writer, STATUS_FORMAT, "key 'a?[31m??\?': unknown value type");
    /* A length of 2^64 - 1 where the name of the second key should be. */
    writer = raw_key("k", GGUF_U8, BYTES("x"));
    writer.keys.size = 8 + 6 + 4 + 1;
    buffer_append(&writer.keys, BYTES("\xff\xff\xff\xff\xff\xff\xff\xff more than enough bytes to stand for a key"));
    refuse(&writer, STATUS_FORMAT, "cut off at key number 2");
}

static void long_names_are_bounded(void **state)
{
    (void)state;
    char *name = calloc(70000, 1);
    assert_non_null(name);
    memset(name, 'n', 65536);
    struct gguf_writer writer = {0};
    gguf_writer_u8(&writer, name, 1);
    refuse(&writer, STATUS_FORMAT, "a key of 65536 bytes");
    name[65535] = 0;
    struct buffer file;
    gguf_writer_u8(&writer, name, 1);
    struct gguf *gguf = open_right(&writer, &file);
    assert_non_null(gguf_find_key(gguf, name));
    close_both(gguf, &file);
    name[256] = 0;
    gguf_writer_tensor(&writer, name, QUANT_F32, 1, (uint64_t[]){8}, NULL);
    refuse(&writer, STATUS_FORMAT, "a tensor name of 256 bytes");
    gguf_writer_raw_key(&writer, name, 99);
    gguf_writer_u8(&writer, "rest", 1);
    refuse(&writer, STATUS_FORMAT, "nnn...': unknown value type 99");
    free(name);
}

static void alignments_are_checked(void **state)
{
    (void)state;
    static const uint32_t wrong[] = {0, 1, 4, 24, 33, 1u << 17, 1u << 31, UINT32_MAX};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct gguf_writer writer = {0};
        gguf_writer_u32(&writer, "general.alignment", wrong[i]);
        gguf_writer_tensor(&writer, "a", QUANT_F32, 1, (uint64_t[]){8}, NULL);
        refuse(&writer, STATUS_FORMAT, "general.alignment is");
    }
    struct gguf_writer writer = {0};
    gguf_writer_text(&writer, "general.alignment", "32");
    refuse(&writer, STATUS_FORMAT, "'general.alignment' is not an integer");
    for (uint32_t right = 8; right <= 1u << 16; right *= 2) {
        struct buffer file;
        writer = (struct gguf_writer){.alignment = right};
        gguf_writer_u32(&writer, "general.alignment", right);
        gguf_writer_tensor(&writer, "a", QUANT_I8, 1, (uint64_t[]){5}, "12345");
        gguf_writer_tensor(&writer, "b", QUANT_I8, 1, (uint64_t[]){5}, "67890");
        struct gguf *gguf = open_right(&writer, &file);
        assert_memory_equal(gguf_find_tensor(gguf, "b")->data, "67890", 5);
        assert_int_equal(gguf_find_tensor(gguf, "b")->data - gguf_find_tensor(gguf, "a")->data, right);
        close_both(gguf, &file);
    }
}

/* ---- wrong tensors ---- */

static void refuse_tensor(uint32_t n_dims, const uint64_t *shape, uint32_t type, uint64_t offset, enum status status,
                          const char *reason)
{
    struct gguf_writer writer = {0};
    gguf_writer_tensor(&writer, "right", QUANT_F32, 1, (uint64_t[]){64}, NULL);
    gguf_writer_raw_tensor(&writer, "wrong", n_dims, shape, type, offset);
    refuse(&writer, status, reason);
}

static void wrong_tensors_are_named(void **state)
{
    (void)state;
    const uint64_t big = (uint64_t)1 << 32, huge = (uint64_t)1 << 62;
    refuse_tensor(5, (uint64_t[]){1, 1, 1, 1, 1}, 0, 0, STATUS_FORMAT, "'wrong': has more than 4 dimensions");
    refuse_tensor(2, (uint64_t[]){8, 0}, 0, 0, STATUS_FORMAT, "'wrong': has an empty dimension");
    refuse_tensor(2, (uint64_t[]){big, big}, 0, 0, STATUS_FORMAT, "'wrong': its dimensions are too large");
    refuse_tensor(3, (uint64_t[]){big, big, 1}, 0, 0, STATUS_FORMAT, "'wrong': its dimensions are too large");
    refuse_tensor(1, (uint64_t[]){UINT64_MAX}, 24, 0, STATUS_FORMAT, "'wrong': its dimensions are too large");
    refuse_tensor(1, (uint64_t[]){huge}, 28, 0, STATUS_FORMAT, "'wrong': its dimensions are too large");
    refuse_tensor(1, (uint64_t[]){huge}, 24, 0, STATUS_FORMAT, "'wrong'");
    static const uint32_t unknown[] = {4, 5, 9, 15, 31, 36, 42, 63, 64, 65, 1u << 31, UINT32_MAX};
    for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++)
        refuse_tensor(1, (uint64_t[]){256}, unknown[i], 0, STATUS_UNSUPPORTED, "tensor 'wrong' has type number");
    refuse_tensor(1, (uint64_t[]){255}, QUANT_Q4_K, 0, STATUS_FORMAT, "'wrong': rows of 255 elements");
    refuse_tensor(2, (uint64_t[]){16, 2}, QUANT_Q8_0, 0, STATUS_FORMAT, "don't divide into blocks of Q8_0");
    refuse_tensor(1, (uint64_t[]){8}, 0, 16, STATUS_FORMAT, "'wrong': its data is not aligned");
    refuse_tensor(1, (uint64_t[]){8}, 0, 256, STATUS_FORMAT, "cut off: tensor 'wrong' ends at byte");
    refuse_tensor(1, (uint64_t[]){72}, 0, 0, STATUS_FORMAT, "cut off: tensor 'wrong' ends at byte");
    refuse_tensor(1, (uint64_t[]){8}, 0, UINT64_MAX - 31, STATUS_FORMAT, "'wrong': its data lies beyond every file");
    refuse_tensor(1, (uint64_t[]){8}, 0, UINT64_MAX - 127, STATUS_FORMAT, "'wrong': its data lies beyond every file");
    refuse_tensor(1, (uint64_t[]){8}, 0, (uint64_t)1 << 63, STATUS_FORMAT, "'wrong': its data lies beyond every file");
    struct gguf_writer writer = {0};
    gguf_writer_tensor(&writer, "same", QUANT_F32, 1, (uint64_t[]){8}, NULL);
    gguf_writer_tensor(&writer, "same", QUANT_F32, 1, (uint64_t[]){8}, NULL);
    refuse(&writer, STATUS_FORMAT, "tensor 'same' comes twice");
    gguf_writer_tensor(&writer, "", QUANT_F32, 1, (uint64_t[]){8}, NULL);
    refuse(&writer, STATUS_FORMAT, "tensor number 1 has no name");
}

static void data_may_overlap(void **state)
{
    (void)state;
    struct gguf_writer writer = {0};
    struct buffer file;
    gguf_writer_tensor(&writer, "one", QUANT_F32, 1, (uint64_t[]){64}, NULL);
    gguf_writer_raw_tensor(&writer, "two", 1, (uint64_t[]){32}, QUANT_F32, 0);
    struct gguf *gguf = open_right(&writer, &file);
    assert_ptr_equal(gguf_find_tensor(gguf, "one")->data, gguf_find_tensor(gguf, "two")->data);
    close_both(gguf, &file);
}

/* As many keys as are taken, in a time that only a table without long chains allows. */
static void many_keys_cost_little(void **state)
{
    (void)state;
    enum { N = 1 << 16 };
    struct gguf_writer writer = {0};
    struct buffer file;
    for (int i = 0; i < N; i++) {
        char key[16];
        snprintf(key, sizeof key, "%x", i);
        gguf_writer_u8(&writer, key, (uint8_t)i);
    }
    struct gguf *gguf = open_right(&writer, &file);
    assert_int_equal(gguf_n_keys(gguf), N);
    for (int i = 0; i < N; i++) {
        char key[16];
        snprintf(key, sizeof key, "%x", i);
        assert_ptr_equal(gguf_find_key(gguf, key), gguf_value_at(gguf, (size_t)i, NULL));
    }
    close_both(gguf, &file);
}

/* ---- cut off and changed ---- */

static struct buffer small_model(void)
{
    struct gguf_writer writer = {0};
    add_every_kind(&writer);
    gguf_writer_texts(&writer, "texts", (const char *const[]){"a", "bc", ""}, 3);
    gguf_writer_array(&writer, "floats", GGUF_F32, (float[]){1, 2, 3}, 3);
    gguf_writer_tensor(&writer, "a.weight", QUANT_F32, 2, (uint64_t[]){8, 2}, NULL);
    gguf_writer_tensor(&writer, "b.weight", QUANT_Q4_1, 2, (uint64_t[]){32, 3}, NULL);
    return finish(&writer);
}

static void every_cut_is_refused(void **state)
{
    (void)state;
    struct buffer file = small_model();
    for (size_t size = 0; size <= file.size; size++) {
        struct gguf *gguf;
        struct error error = {0};
        char *memory;
        enum status status = open_exact(&file, size, &gguf, &memory, &error);
        if (size == file.size) {
            assert_int_equal(status, STATUS_OK);
        } else {
            assert_int_equal(status, STATUS_FORMAT);
            is_one_line_with(&error, size ? "cut off" : "empty");
        }
        gguf_close(gguf);
        free(memory);
    }
    buffer_deinit(&file);
}

/* Whatever is accepted can be read to its last byte. */
static unsigned read_all(const struct gguf *gguf)
{
    unsigned sum = 0;
    for (size_t i = 0; i < gguf_n_keys(gguf); i++) {
        struct slice text;
        size_t position = 0;
        const struct gguf_value *value = gguf_value_at(gguf, i, &text);
        while (gguf_array_next_text(value, &position, &text))
            for (size_t k = 0; k < text.size; k++)
                sum += (unsigned char)text.data[k];
        for (size_t k = 0; k < value->data.size; k++)
            sum += (unsigned char)value->data.data[k];
    }
    for (size_t i = 0; i < gguf_n_tensors(gguf); i++)
        for (size_t k = 0; k < gguf_tensor_at(gguf, i)->n_bytes; k++)
            sum += gguf_tensor_at(gguf, i)->data[k];
    return sum;
}

static void changed_bytes_do_no_harm(void **state)
{
    (void)state;
    static const unsigned char nasty[] = {0, 1, 0x7f, 0x80, 0xff, 9, 8, 13};
    struct buffer file = small_model();
    size_t n_accepted = 0, n_refused = 0;
    uint64_t sum = 0;
    uint64_t random = 1;
    for (int round = 0; round < 20000; round++) {
        struct gguf *gguf;
        struct error error = {0};
        char *memory = malloc(file.size);
        assert_non_null(memory);
        memcpy(memory, file.data, file.size);
        for (int i = 0; i <= round % 3; i++) {
            random = random * 6364136223846793005u + 1442695040888963407u;
            memory[(random >> 33) % file.size] = (char)nasty[(random >> 20) % sizeof nasty];
        }
        enum status status = gguf_open_memory(memory, file.size, &gguf, &error);
        if (status == STATUS_OK) {
            sum += read_all(gguf);
            n_accepted++;
        } else {
            assert_true(status == STATUS_FORMAT || status == STATUS_UNSUPPORTED);
            assert_true(strlen(error.text) > 0);
            n_refused++;
        }
        gguf_close(gguf);
        free(memory);
    }
    assert_true(n_accepted > 1000 && n_refused > 1000 && sum > 0);
    buffer_deinit(&file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers_of_every_width_are_read),
        cmocka_unit_test(other_values_are_read),
        cmocka_unit_test(arrays_are_read),
        cmocka_unit_test(lengths_that_change_later_do_no_harm),
        cmocka_unit_test(tensors_lie_where_they_were_put),
        cmocka_unit_test(every_type_has_the_size_of_its_blocks),
        cmocka_unit_test(a_file_without_tensors_may_end_behind_its_keys),
        cmocka_unit_test(files_of_the_reference_are_read),
        cmocka_unit_test(what_is_no_gguf_is_refused),
        cmocka_unit_test(counts_are_not_believed),
        cmocka_unit_test(wrong_keys_are_named),
        cmocka_unit_test(long_names_are_bounded),
        cmocka_unit_test(alignments_are_checked),
        cmocka_unit_test(wrong_tensors_are_named),
        cmocka_unit_test(data_may_overlap),
        cmocka_unit_test(many_keys_cost_little),
        cmocka_unit_test(every_cut_is_refused),
        cmocka_unit_test(changed_bytes_do_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
