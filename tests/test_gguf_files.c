/* Tests of engine/gguf on files: paths that name no model, a real model cut off, split models, a file that shrinks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "engine/gguf.h"
#include "engine/mapping.h"
#include "tests/gguf_writer.h"

static char folder[256];

static void path_of(char path[512], const char *name)
{
    snprintf(path, 512, "%s/%s", folder, name);
}

static int setup(void **state)
{
    (void)state;
    const char *base = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%s/gguf-XXXXXX", base && *base ? base : "/tmp");
    return mkdtemp(folder) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    return rmdir(folder); /* fails where a test left something */
}

static void refuse(const char *path, enum status status, const char *named, const char *reason)
{
    struct gguf *gguf;
    struct error error = {0};
    enum status got = gguf_open(path, &gguf, &error);
    if (got != status)
        fail_msg("status %d, not %d, for \"%s\": %s", (int)got, (int)status, reason, error.text);
    assert_null(gguf);
    named = path_end_shown(named);
    if (!strstr(error.text, reason) || !strstr(error.text, named) || strchr(error.text, '\n'))
        fail_msg("\"%s\" lacks \"%s\" or \"%s\"", error.text, named, reason);
}

static void write_text(const char *path, const char *text)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
}

/* ---- paths ---- */

static void what_is_no_model_is_refused_by_its_path(void **state)
{
    (void)state;
    char path[512];
    path_of(path, "file");
    refuse(path, STATUS_NOT_FOUND, path, "no such file");
    refuse(folder, STATUS_IO, folder, "is a directory");
    write_text(path, "");
    refuse(path, STATUS_FORMAT, path, "the file is empty");
    write_text(path, "# Notes\n\nThis is a text, and no model.\n");
    refuse(path, STATUS_FORMAT, path, "not a GGUF file");
    unlink(path);
    assert_int_equal(mkfifo(path, 0600), 0);
    alarm(20); /* opening it must not wait for a writer */
    refuse(path, STATUS_IO, path, "not a regular file");
    alarm(0);
    unlink(path);
}

static void a_message_survives_a_long_path(void **state)
{
    (void)state;
    char path[512], name[256];
    memset(name, 'n', 230);
    name[230] = 0;
    path_of(path, name);
    write_text(path, "text");
    refuse(path, STATUS_FORMAT, "nnnn: ", "not a GGUF file");
    unlink(path);
}

/* ---- a real model ---- */

static const char *model_path(void)
{
    const char *path = getenv("FATHOM_TEST_MODEL");
    if (!path)
        fail_msg("FATHOM_TEST_MODEL is not set");
    return path;
}

static void the_default_model_is_read(void **state)
{
    (void)state;
    struct gguf *gguf;
    struct error error;
    if (gguf_open(model_path(), &gguf, &error) != STATUS_OK)
        fail_msg("%s", error.text);
    struct slice text;
    uint32_t n;
    unsigned n_types[QUANT_LIMIT] = {0};
    assert_int_equal(gguf_read_text(gguf, "general.architecture", &text, NULL), STATUS_OK);
    assert_true(slice_equals(text, "llama"));
    assert_int_equal(gguf_read_u32(gguf, "llama.block_count", &n, NULL), STATUS_OK);
    assert_int_equal(n, 30);
    assert_int_equal(gguf_n_tensors(gguf), 272);
    for (size_t i = 0; i < 272; i++)
        n_types[gguf_tensor_at(gguf, i)->type]++;
    assert_int_equal(n_types[QUANT_F32], 61);
    assert_int_equal(n_types[QUANT_Q4_1], 210);
    assert_int_equal(n_types[QUANT_Q8_0], 1);
    const struct gguf_value *tokens = gguf_find_key(gguf, "tokenizer.ggml.tokens");
    assert_non_null(tokens);
    size_t position = 0, n_texts = 0;
    while (gguf_array_next_text(tokens, &position, &text))
        n_texts++;
    assert_int_equal(n_texts, 49152);
    const struct gguf_tensor *norm = gguf_find_tensor(gguf, "output_norm.weight");
    assert_true(norm && norm->shape[0] == 576 && norm->n_bytes == 4 * 576);
    assert_false(gguf_is_broken(gguf));
    gguf_close(gguf);
}

static int later_first(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? 1 : x > y ? -1 : 0;
}

static uint64_t copy_file(const char *from, const char *to)
{
    static char bytes[1 << 16];
    FILE *source = fopen(from, "rb"), *target = fopen(to, "wb");
    assert_non_null(source);
    assert_non_null(target);
    uint64_t size = 0;
    for (size_t n; (n = fread(bytes, 1, sizeof bytes, source)) > 0; size += n)
        assert_int_equal(fwrite(bytes, 1, n, target), n);
    fclose(source);
    assert_int_equal(fclose(target), 0);
    return size;
}

/* Of this process, so that a busy machine makes no difference. */
static double cpu_seconds(void)
{
    return (double)clock() / CLOCKS_PER_SEC;
}

/* Half of the cuts lie in the header, where most of what can go wrong is; the others anywhere. */
static void a_model_cut_anywhere_is_refused_at_once(void **state)
{
    (void)state;
    enum { N_CUTS = 200 };
    char path[512];
    uint64_t cuts[N_CUTS], random = 20250207;
    const char *slowness = getenv("TEST_SLOWNESS"); /* of sanitizers and valgrind */
    double allowed = slowness ? atof(slowness) : 1;
    struct gguf *gguf;
    path_of(path, "cut.gguf");
    uint64_t size = copy_file(model_path(), path);
    assert_int_equal(gguf_open(path, &gguf, NULL), STATUS_OK);
    const struct gguf_value *last = gguf_value_at(gguf, gguf_n_keys(gguf) - 1, NULL);
    const struct gguf_value *first = gguf_value_at(gguf, 0, NULL);
    uint64_t header = (uint64_t)(last->data.data - first->data.data) + last->data.size;
    gguf_close(gguf);
    for (size_t i = 0; i < N_CUTS; i++) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        cuts[i] = (random >> 16) % (i % 2 ? size : header);
    }
    cuts[0] = 0;
    cuts[1] = size - 1;
    qsort(cuts, N_CUTS, sizeof *cuts, later_first);
    for (size_t i = 0; i < N_CUTS; i++) {
        assert_int_equal(truncate(path, (off_t)cuts[i]), 0);
        double begin = cpu_seconds();
        refuse(path, STATUS_FORMAT, path, cuts[i] ? "cut off" : "the file is empty");
        if (cpu_seconds() - begin > allowed)
            fail_msg("a cut at %llu took longer than a second", (unsigned long long)cuts[i]);
    }
    unlink(path);
}

static void a_model_that_shrinks_is_noticed(void **state)
{
    (void)state;
    char path[512];
    struct gguf_writer writer = {0};
    struct gguf *gguf;
    unsigned sum = 0;
    uint64_t u64;
    struct slice text;
    size_t position = 0;
    path_of(path, "shrinks.gguf");
    gguf_writer_u64(&writer, "number", 7);
    gguf_writer_texts(&writer, "texts", (const char *const[]){"a", "b"}, 2);
    gguf_writer_tensor(&writer, "large", QUANT_I8, 1, (uint64_t[]){100000}, NULL);
    memset(writer.data.data, 1, writer.data.size);
    assert_true(gguf_writer_save(&writer, path));
    gguf_writer_deinit(&writer);
    assert_int_equal(gguf_open(path, &gguf, NULL), STATUS_OK);
    assert_int_equal(truncate(path, 50000), 0);
    const struct gguf_tensor *large = gguf_find_tensor(gguf, "large");
    for (size_t i = 0; i < large->n_bytes; i++)
        sum += large->data[i];
    assert_true(sum > 40000 && sum < 50000);
    assert_true(gguf_is_broken(gguf));
    /* With nothing left of the header, look-ups go wrong, but safely. */
    assert_int_equal(truncate(path, 0), 0);
    assert_null(gguf_find_tensor(gguf, "large"));
    assert_int_equal(gguf_read_u64(gguf, "number", &u64, NULL), STATUS_NOT_FOUND);
    assert_true(gguf_array_next_text(gguf_value_at(gguf, 1, NULL), &position, &text));
    assert_int_equal(text.size, 0);
    gguf_close(gguf);
    unlink(path);
}

/* ---- split models ---- */

enum { N_PARTS = 3, N_IN_PART = 4 };

struct parts {
    struct gguf_writer writers[N_PARTS];
    char paths[N_PARTS][512];
};

/* Part k holds tensors t4k .. t4k+3, tensor ti filled with byte i + 1; as gguf-split of llama.cpp writes the keys. */
static void parts_begin(struct parts *parts)
{
    memset(parts, 0, sizeof *parts);
    for (int k = 0; k < N_PARTS; k++) {
        struct gguf_writer *writer = &parts->writers[k];
        char name[64];
        snprintf(name, sizeof name, "big-%05d-of-%05d.gguf", k + 1, N_PARTS);
        path_of(parts->paths[k], name);
        if (k == 0)
            gguf_writer_text(writer, "general.architecture", "llama");
        gguf_writer_u16(writer, "split.no", (uint16_t)k);
        gguf_writer_u16(writer, "split.count", N_PARTS);
        gguf_writer_i32(writer, "split.tensors.count", N_PARTS * N_IN_PART);
        for (int i = 0; i < N_IN_PART; i++) {
            unsigned char bytes[10];
            snprintf(name, sizeof name, "t%d", k * N_IN_PART + i);
            memset(bytes, k * N_IN_PART + i + 1, sizeof bytes);
            gguf_writer_tensor(writer, name, QUANT_I8, 1, (uint64_t[]){sizeof bytes}, bytes);
        }
    }
}

static void parts_save(struct parts *parts)
{
    for (int k = 0; k < N_PARTS; k++) {
        assert_true(gguf_writer_save(&parts->writers[k], parts->paths[k]));
        gguf_writer_deinit(&parts->writers[k]);
    }
}

static void parts_remove(struct parts *parts)
{
    for (int k = 0; k < N_PARTS; k++)
        unlink(parts->paths[k]);
}

static void any_part_opens_the_whole(void **state)
{
    (void)state;
    struct parts parts;
    parts_begin(&parts);
    parts_save(&parts);
    for (int k = 0; k < N_PARTS; k++) {
        struct gguf *gguf;
        struct error error;
        struct slice text;
        uint64_t bytes = 0;
        if (gguf_open(parts.paths[k], &gguf, &error) != STATUS_OK)
            fail_msg("%s", error.text);
        assert_int_equal(gguf_n_tensors(gguf), N_PARTS * N_IN_PART);
        assert_int_equal(gguf_n_keys(gguf), 4);
        assert_int_equal(gguf_read_text(gguf, "general.architecture", &text, NULL), STATUS_OK);
        for (int i = 0; i < N_PARTS * N_IN_PART; i++) {
            char name[16];
            snprintf(name, sizeof name, "t%d", i);
            const struct gguf_tensor *tensor = gguf_find_tensor(gguf, name);
            assert_non_null(tensor);
            assert_int_equal(tensor->data[0], i + 1);
            assert_int_equal(tensor->data[9], i + 1);
        }
        for (int i = 0; i < N_PARTS; i++) {
            struct stat about;
            assert_int_equal(stat(parts.paths[i], &about), 0);
            bytes += (uint64_t)about.st_size;
        }
        assert_int_equal(gguf_n_bytes(gguf), bytes);
        assert_false(gguf_is_broken(gguf));
        assert_int_equal(truncate(parts.paths[2], 100), 0);
        assert_true(gguf_is_broken(gguf));
        gguf_close(gguf);
        parts_begin(&parts);
        parts_save(&parts);
    }
    parts_remove(&parts);
}

static void a_missing_part_is_named(void **state)
{
    (void)state;
    struct parts parts;
    for (int k = 0; k < N_PARTS; k++) {
        char reason[64];
        parts_begin(&parts);
        parts_save(&parts);
        unlink(parts.paths[k]);
        snprintf(reason, sizeof reason, "part %d of 3 of a split model is missing", k + 1);
        refuse(parts.paths[(k + 1) % N_PARTS], STATUS_NOT_FOUND, parts.paths[k], reason);
        parts_remove(&parts);
    }
}

static void a_damaged_part_is_named(void **state)
{
    (void)state;
    struct parts parts;
    parts_begin(&parts);
    parts_save(&parts);
    assert_int_equal(truncate(parts.paths[1], 200), 0);
    refuse(parts.paths[0], STATUS_FORMAT, parts.paths[1], "cut off");
    write_text(parts.paths[1], "text");
    refuse(parts.paths[2], STATUS_FORMAT, parts.paths[1], "not a GGUF file");
    parts_remove(&parts);
}

static void parts_that_do_not_fit_are_refused(void **state)
{
    (void)state;
    struct parts parts;
    /* Parts 2 and 3 exchanged. */
    parts_begin(&parts);
    struct gguf_writer second = parts.writers[1];
    parts.writers[1] = parts.writers[2];
    parts.writers[2] = second;
    parts_save(&parts);
    refuse(parts.paths[0], STATUS_FORMAT, parts.paths[1], "is part 3 of 3, not 2 of 3 as its name says");
    refuse(parts.paths[2], STATUS_ARGUMENT, parts.paths[2], "is part 2 of 3 of a split model: open the first one");
    parts_remove(&parts);
    /* Parts 1 and 2 exchanged: the name of the first holds another. */
    parts_begin(&parts);
    second = parts.writers[1];
    parts.writers[1] = parts.writers[0];
    parts.writers[0] = second;
    parts_save(&parts);
    refuse(parts.paths[2], STATUS_FORMAT, parts.paths[0], "is part 2 of 3, not 1 of 3");
    refuse(parts.paths[1], STATUS_FORMAT, parts.paths[1], "name doesn't end in -00001-of-00003.gguf");
    parts_remove(&parts);
    /* A tensor in two parts. */
    parts_begin(&parts);
    gguf_writer_tensor(&parts.writers[2], "t0", QUANT_I8, 1, (uint64_t[]){1}, NULL);
    parts_save(&parts);
    refuse(parts.paths[0], STATUS_FORMAT, parts.paths[0], "split.tensors.count is 12, the parts hold 13");
    parts_remove(&parts);
    parts_begin(&parts);
    parts.writers[2].tensors.data[8 + 1] = '0'; /* "t8" becomes "t0" */
    parts_save(&parts);
    refuse(parts.paths[0], STATUS_FORMAT, parts.paths[0], "tensor 't0' comes twice");
    parts_remove(&parts);
}

static void a_renamed_part_is_refused(void **state)
{
    (void)state;
    struct parts parts;
    char path[512];
    static const char *const names[] = {"big.gguf", "x", "big-00001-of-00004.gguf"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        parts_begin(&parts);
        parts_save(&parts);
        path_of(path, names[i]);
        assert_int_equal(rename(parts.paths[0], path), 0);
        refuse(path, STATUS_FORMAT, path, "name doesn't end in -00001-of-00003.gguf");
        assert_int_equal(rename(parts.paths[1], path), 0);
        refuse(path, STATUS_ARGUMENT, path, "is part 2 of 3 of a split model: open the first one");
        unlink(path);
        parts_remove(&parts);
    }
}

static void refuse_split(uint32_t number, uint32_t count, enum status status, const char *reason)
{
    char path[512];
    struct gguf_writer writer = {0};
    path_of(path, "odd.gguf");
    gguf_writer_u32(&writer, "split.no", number);
    gguf_writer_u32(&writer, "split.count", count);
    assert_true(gguf_writer_save(&writer, path));
    gguf_writer_deinit(&writer);
    refuse(path, status, path, reason);
    unlink(path);
}

static void split_keys_are_checked(void **state)
{
    (void)state;
    refuse_split(3, 3, STATUS_FORMAT, "split.no is 3, split.count 3");
    refuse_split(UINT32_MAX, UINT32_MAX, STATUS_FORMAT, "split.no is 4294967295");
    refuse_split(0, UINT32_MAX, STATUS_UNSUPPORTED, "at most 200");
    refuse_split(1, 0, STATUS_FORMAT, "split.no is 1, split.count 1");
    char path[512];
    struct gguf *gguf;
    struct gguf_writer writer = {0};
    path_of(path, "odd.gguf");
    gguf_writer_text(&writer, "split.count", "3");
    assert_true(gguf_writer_save(&writer, path));
    gguf_writer_deinit(&writer);
    refuse(path, STATUS_FORMAT, path, "'split.count' is not an integer");
    /* What is left where parts were merged: no split. */
    gguf_writer_u16(&writer, "split.count", 0);
    assert_true(gguf_writer_save(&writer, path));
    gguf_writer_deinit(&writer);
    assert_int_equal(gguf_open(path, &gguf, NULL), STATUS_OK);
    gguf_close(gguf);
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_no_model_is_refused_by_its_path),
        cmocka_unit_test(a_message_survives_a_long_path),
        cmocka_unit_test(the_default_model_is_read),
        cmocka_unit_test(a_model_cut_anywhere_is_refused_at_once),
        cmocka_unit_test(a_model_that_shrinks_is_noticed),
        cmocka_unit_test(any_part_opens_the_whole),
        cmocka_unit_test(a_missing_part_is_named),
        cmocka_unit_test(a_damaged_part_is_named),
        cmocka_unit_test(parts_that_do_not_fit_are_refused),
        cmocka_unit_test(a_renamed_part_is_refused),
        cmocka_unit_test(split_keys_are_checked),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
