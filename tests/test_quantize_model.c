/* Tests model_quantize on small files: what is in the result, what is refused, and that no half of a file stays. */
#include <dirent.h>
#include <fcntl.h>
#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "engine/engine.h"
#include "engine/gguf.h"
#include "engine/gguf_write.h"
#include "tests/gguf_writer.h"

/* ---- a folder for each test ---- */

static char folder[64];

static int set_up(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/fathom-quantize-XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    DIR *dir = opendir(folder);
    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        char path[400];
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        unlink(path);
    }
    if (dir)
        closedir(dir);
    return rmdir(folder);
}

/* Borrowed until the third call after. */
static const char *in_folder(const char *name)
{
    static char paths[3][400];
    static int turn;
    turn = (turn + 1) % 3;
    snprintf(paths[turn], sizeof paths[turn], "%s/%s", folder, name);
    return paths[turn];
}

static size_t count_files(void)
{
    size_t n = 0;
    DIR *dir = opendir(folder);
    assert_non_null(dir);
    for (struct dirent *entry; (entry = readdir(dir));)
        n += entry->d_name[0] != '.';
    closedir(dir);
    return n;
}

static char *read_file(const char *path, size_t *size)
{
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    char *bytes = malloc(8u << 20);
    assert_non_null(bytes);
    *size = fread(bytes, 1, 8u << 20, file);
    assert_true(*size < 8u << 20);
    fclose(file);
    return bytes;
}

/* ---- sources ---- */

enum { EMBD = 256, ODD = 64, VOCAB = 96, ROWS = 70 };

static void add_tensor(struct gguf_writer *writer, const char *name, enum quant_type type, uint64_t cols, uint64_t rows,
                       float spoil)
{
    size_t n = (size_t)(cols * rows), size = quant_info(type)->block_bytes;
    unsigned char *bytes = malloc(n * size);
    uint64_t seed = strlen(name) * 77 + (unsigned char)name[4];
    assert_non_null(bytes);
    for (size_t i = 0; i < n; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u; /* Knuth's MMIX */
        float x = (float)((double)(seed >> 33) / (1u << 30) - 1);
        if (spoil != 0 && i == cols * 3 + 5)
            x = spoil;
        uint16_t half = half_from_float(x);
        if (type == QUANT_BF16)
            memcpy(bytes + i * size, (unsigned char *)&x + 2, 2);
        else if (type == QUANT_F16)
            memcpy(bytes + i * size, &half, 2);
        else
            memcpy(bytes + i * size, &x, 4);
    }
    gguf_writer_tensor(writer, name, type, rows > 1 ? 2 : 1, (uint64_t[]){cols, rows}, bytes);
    free(bytes);
}

static void add_keys(struct gguf_writer *writer)
{
    static const char *const texts[] = {"a", "", "\xc3\xa4 b"};
    static const float floats[] = {1.5f, -2};
    static const int32_t numbers[] = {1, 2, -3};
    gguf_writer_text(writer, "general.architecture", "llama");
    gguf_writer_text(writer, "general.name", "");
    gguf_writer_u32(writer, "llama.block_count", 2);
    gguf_writer_u32(writer, "general.file_type", 0);
    gguf_writer_u8(writer, "x.u8", 200);
    gguf_writer_i8(writer, "x.i8", -5);
    gguf_writer_u16(writer, "x.u16", 60000);
    gguf_writer_i16(writer, "x.i16", -6000);
    gguf_writer_i32(writer, "x.i32", -70000);
    gguf_writer_u64(writer, "x.u64", 1ull << 63);
    gguf_writer_i64(writer, "x.i64", -(1ll << 40));
    gguf_writer_f32(writer, "x.f32", 0.1f);
    gguf_writer_f64(writer, "x.f64", 0.1);
    gguf_writer_bool(writer, "x.bool", true);
    gguf_writer_texts(writer, "x.texts", texts, 3);
    gguf_writer_array(writer, "x.floats", GGUF_F32, floats, 2);
    gguf_writer_array(writer, "x.numbers", GGUF_I32, numbers, 3);
    gguf_writer_texts(writer, "x.none", texts, 0);
}

static void add_tensors(struct gguf_writer *writer, enum quant_type type, float spoil)
{
    add_tensor(writer, "token_embd.weight", type, EMBD, VOCAB, 0);
    add_tensor(writer, "output_norm.weight", QUANT_F32, EMBD, 1, 0);
    for (int i = 0; i < 2; i++) {
        char name[64];
        snprintf(name, sizeof name, "blk.%d.attn_v.weight", i);
        add_tensor(writer, name, type, EMBD, ROWS, 0);
        snprintf(name, sizeof name, "blk.%d.attn_v.bias", i);
        add_tensor(writer, name, QUANT_F32, 10, 1, 0); /* 40 bytes: padding follows */
        snprintf(name, sizeof name, "blk.%d.ffn_down.weight", i);
        add_tensor(writer, name, type, ODD, ROWS, i == 1 ? spoil : 0);
        snprintf(name, sizeof name, "blk.%d.ffn_gate_inp.weight", i);
        add_tensor(writer, name, QUANT_F32, EMBD, 8, 0);
    }
}

static const char *write_source(const char *name, enum quant_type type, float spoil)
{
    struct gguf_writer writer = {0};
    add_keys(&writer);
    add_tensors(&writer, type, spoil);
    const char *path = in_folder(name);
    assert_true(gguf_writer_save(&writer, path));
    gguf_writer_deinit(&writer);
    return path;
}

/* ---- calls ---- */

static enum status quantize(const char *in, const char *out, const char *type, struct error *error)
{
    struct quantize_options options = {.in = in, .out = out, .type = type, .n_threads = 2};
    struct quantize_report report;
    return model_quantize(&options, &report, error);
}

static void must_quantize(const char *in, const char *out, const char *type)
{
    struct error error;
    if (quantize(in, out, type, &error) != STATUS_OK)
        fail_msg("%s: %s", type, error.text);
}

/* Fails as told, says all of the words (NULL ends them), and leaves no more than n_files. */
static void must_fail(const char *in, const char *out, const char *type, enum status status, size_t n_files,
                      const char *const *words)
{
    struct error error = {0};
    assert_int_equal(quantize(in, out, type, &error), status);
    assert_int_equal(error.status, status);
    for (; *words; words++)
        if (!strstr(error.text, *words))
            fail_msg("\"%s\" lacks \"%s\"", error.text, *words);
    assert_int_equal(count_files(), n_files);
}

#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})

static struct gguf *must_open(const char *path)
{
    struct gguf *gguf;
    struct error error;
    if (gguf_open(path, &gguf, &error) != STATUS_OK)
        fail_msg("%s", error.text);
    return gguf;
}

/* ---- what is in the result ---- */

static bool is_of_type(struct slice key)
{
    return slice_equals(key, "general.file_type") || slice_equals(key, "general.quantization_version");
}

/* All keys of a are in b with the same bytes, in the same order, but those that tell the type. */
static void expect_same_keys(const struct gguf *a, const struct gguf *b)
{
    size_t j = 0;
    for (size_t i = 0; i < gguf_n_keys(a); i++) {
        struct slice key, other;
        const struct gguf_value *x = gguf_value_at(a, i, &key);
        if (is_of_type(key))
            continue;
        const struct gguf_value *y = gguf_value_at(b, j++, &other);
        while (is_of_type(other))
            y = gguf_value_at(b, j++, &other);
        assert_int_equal(key.size, other.size);
        assert_memory_equal(key.data, other.data, key.size);
        assert_int_equal(x->type, y->type);
        assert_int_equal(x->is_array, y->is_array);
        assert_int_equal(x->n, y->n);
        assert_int_equal(x->data.size, y->data.size);
        assert_memory_equal(x->data.data, y->data.data, x->data.size);
    }
}

static float *unpack(const struct gguf_tensor *tensor)
{
    float *x = malloc((size_t)tensor->n_elements * sizeof *x);
    assert_non_null(x);
    quant_info(tensor->type)->unpack(tensor->data, x, (size_t)tensor->n_elements);
    return x;
}

static double rms_difference(const struct gguf_tensor *a, const struct gguf_tensor *b)
{
    float *x = unpack(a), *y = unpack(b);
    double sum = 0;
    for (uint64_t i = 0; i < a->n_elements; i++)
        sum += ((double)x[i] - (double)y[i]) * ((double)x[i] - (double)y[i]);
    free(x);
    free(y);
    return sqrt(sum / (double)a->n_elements);
}

/* The same tensors in the same order, each as near as its type allows. */
static void expect_near_tensors(const struct gguf *a, const struct gguf *b)
{
    static const double limits[QUANT_LIMIT] = {
        [QUANT_F16] = 2e-4,  [QUANT_BF16] = 2e-3, [QUANT_Q8_0] = 3e-3, [QUANT_Q4_0] = 0.05, [QUANT_Q4_1] = 0.05,
        [QUANT_Q5_0] = 0.02, [QUANT_Q5_1] = 0.02, [QUANT_Q4_K] = 0.05, [QUANT_Q5_K] = 0.02, [QUANT_Q6_K] = 0.01,
    };
    assert_int_equal(gguf_n_tensors(a), gguf_n_tensors(b));
    for (size_t i = 0; i < gguf_n_tensors(a); i++) {
        const struct gguf_tensor *x = gguf_tensor_at(a, i), *y = gguf_tensor_at(b, i);
        assert_int_equal(x->name.size, y->name.size);
        assert_memory_equal(x->name.data, y->name.data, x->name.size);
        assert_memory_equal(x->shape, y->shape, sizeof x->shape);
        double off = rms_difference(x, y);
        if (!(off <= limits[y->type]))
            fail_msg("%.*s as %s is off by %g", (int)x->name.size, x->name.data, quant_info(y->type)->name, off);
    }
}

static const struct {
    const char *name;
    uint32_t file_type; /* of llama.h */
} kinds[] = {
    {"F32", 0},   {"F16", 1},     {"BF16", 32},   {"Q8_0", 7},    {"Q4_0", 2},
    {"Q4_1", 3},  {"Q5_0", 8},    {"Q5_1", 9},    {"Q6_K", 18},   {"Q4_K", 14},
    {"Q5_K", 16}, {"Q4_K_M", 15}, {"Q5_K_M", 17}, {"Q4_K_S", 14}, {"Q5_K_S", 16},
};

static void every_type_of_every_source(void **state)
{
    (void)state;
    static const enum quant_type sources[] = {QUANT_F32, QUANT_F16, QUANT_BF16};
    for (size_t s = 0; s < 3; s++) {
        char in[400];
        snprintf(in, sizeof in, "%s", write_source(quant_info(sources[s])->name, sources[s], 0));
        struct gguf *source = must_open(in);
        for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
            const char *out = in_folder("out.gguf");
            uint32_t file_type = 99, version = 99;
            must_quantize(in, out, kinds[k].name);
            struct gguf *result = must_open(out);
            expect_same_keys(source, result);
            expect_near_tensors(source, result);
            assert_int_equal(gguf_read_u32(result, "general.file_type", &file_type, NULL), STATUS_OK);
            assert_int_equal(gguf_read_u32(result, "general.quantization_version", &version, NULL), STATUS_OK);
            assert_int_equal(file_type, kinds[k].file_type);
            assert_int_equal(version, 2);
            assert_int_equal(gguf_n_keys(result), gguf_n_keys(source) + 1);
            assert_int_equal(gguf_find_tensor(result, "output_norm.weight")->type, QUANT_F32);
            assert_int_equal(gguf_find_tensor(result, "blk.0.ffn_gate_inp.weight")->type, QUANT_F32);
            assert_int_equal(gguf_find_tensor(result, "blk.1.attn_v.bias")->type, QUANT_F32);
            gguf_close(result);
            assert_int_equal(unlink(out), 0);
        }
        gguf_close(source);
    }
}

static void report_tells_what_was_written(void **state)
{
    (void)state;
    struct quantize_report report;
    struct error error;
    char in[400];
    snprintf(in, sizeof in, "%s", write_source("in.gguf", QUANT_F32, 0));
    struct quantize_options options = {.in = in, .out = in_folder("out.gguf"), .type = "q4_k_m", .n_threads = 1};
    assert_int_equal(model_quantize(&options, &report, &error), STATUS_OK);
    struct stat before, after;
    assert_int_equal(stat(in, &before), 0);
    assert_int_equal(stat(options.out, &after), 0);
    assert_int_equal(report.n_bytes_in, before.st_size);
    assert_int_equal(report.n_bytes_out, after.st_size);
    assert_int_equal(report.n_tensors, 10);
    assert_int_equal(report.n_fallbacks, 2); /* ffn_down */
    struct gguf *result = must_open(options.out);
    size_t n = 0;
    for (size_t t = 0; t < report.n_types; t++) {
        uint64_t n_bytes = 0;
        uint32_t count = 0;
        for (size_t i = 0; i < gguf_n_tensors(result); i++) {
            const struct gguf_tensor *tensor = gguf_tensor_at(result, i);
            bool is_it = strcmp(quant_info(tensor->type)->name, report.types[t].name) == 0;
            count += is_it;
            n_bytes += is_it ? tensor->n_bytes : 0;
        }
        assert_int_equal(count, report.types[t].n);
        assert_int_equal(n_bytes, report.types[t].n_bytes);
        n += count;
    }
    assert_int_equal(n, 10);
    gguf_close(result);
}

static void threads_change_nothing(void **state)
{
    (void)state;
    char in[400];
    snprintf(in, sizeof in, "%s", write_source("in.gguf", QUANT_F32, 0));
    static const char *const types[] = {"Q4_K_M", "Q4_0", "Q5_1", "Q6_K", "BF16"};
    for (size_t t = 0; t < sizeof types / sizeof *types; t++) {
        char *bytes[3];
        size_t sizes[3];
        for (int i = 0; i < 3; i++) {
            struct quantize_options options = {
                .in = in, .out = in_folder("out.gguf"), .type = types[t], .n_threads = 1 + 2 * i, .replace = true};
            struct quantize_report report;
            assert_int_equal(model_quantize(&options, &report, NULL), STATUS_OK);
            bytes[i] = read_file(options.out, &sizes[i]);
        }
        for (int i = 1; i < 3; i++) {
            assert_int_equal(sizes[0], sizes[i]);
            assert_memory_equal(bytes[0], bytes[i], sizes[0]);
        }
        for (int i = 0; i < 3; i++)
            free(bytes[i]);
    }
}

/* A float type gives back what a quantised file means, to the bit. */
static void quantised_weights_become_floats(void **state)
{
    (void)state;
    char in[400], q8[400];
    snprintf(in, sizeof in, "%s", write_source("in.gguf", QUANT_F32, 0));
    snprintf(q8, sizeof q8, "%s", in_folder("q8.gguf"));
    must_quantize(in, q8, "Q8_0");
    must_quantize(q8, in_folder("f32.gguf"), "F32");
    struct gguf *packed = must_open(q8), *plain = must_open(in_folder("f32.gguf"));
    for (size_t i = 0; i < gguf_n_tensors(packed); i++) {
        assert_int_equal(gguf_tensor_at(plain, i)->type, QUANT_F32);
        assert_true(rms_difference(gguf_tensor_at(packed, i), gguf_tensor_at(plain, i)) == 0);
    }
    gguf_close(packed);
    gguf_close(plain);
    must_fail(q8, in_folder("x.gguf"), "Q4_0", STATUS_UNSUPPORTED, 3,
              WORDS("q8.gguf", "token_embd.weight", "Q8_0", "F16"));
}

static void split_models_become_one(void **state)
{
    (void)state;
    for (uint16_t part = 0; part < 2; part++) {
        struct gguf_writer writer = {0};
        char name[64];
        if (part == 0)
            add_keys(&writer);
        gguf_writer_u16(&writer, "split.no", part);
        gguf_writer_u16(&writer, "split.count", 2);
        gguf_writer_i32(&writer, "split.tensors.count", 2);
        add_tensor(&writer, part ? "output_norm.weight" : "token_embd.weight", QUANT_F32, EMBD, part ? 1 : VOCAB, 0);
        snprintf(name, sizeof name, "in-%05d-of-00002.gguf", part + 1);
        assert_true(gguf_writer_save(&writer, in_folder(name)));
        gguf_writer_deinit(&writer);
    }
    must_quantize(in_folder("in-00001-of-00002.gguf"), in_folder("out.gguf"), "Q8_0");
    struct gguf *result = must_open(in_folder("out.gguf"));
    assert_int_equal(gguf_n_tensors(result), 2);
    assert_null(gguf_find_key(result, "split.count"));
    assert_null(gguf_find_key(result, "split.no"));
    assert_null(gguf_find_key(result, "split.tensors.count"));
    assert_non_null(gguf_find_key(result, "x.texts"));
    gguf_close(result);
}

static void alignment_of_the_source_holds(void **state)
{
    (void)state;
    struct gguf_writer writer = {.alignment = 128};
    add_keys(&writer);
    gguf_writer_u32(&writer, "general.alignment", 128);
    add_tensors(&writer, QUANT_F32, 0);
    assert_true(gguf_writer_save(&writer, in_folder("in.gguf")));
    gguf_writer_deinit(&writer);
    must_quantize(in_folder("in.gguf"), in_folder("out.gguf"), "Q4_0");
    struct gguf *source = must_open(in_folder("in.gguf")), *result = must_open(in_folder("out.gguf"));
    expect_same_keys(source, result);
    expect_near_tensors(source, result);
    for (size_t i = 0; i < gguf_n_tensors(result); i++) /* a mapping begins with a page */
        assert_int_equal((uintptr_t)gguf_tensor_at(result, i)->data % 128, 0);
    gguf_close(source);
    gguf_close(result);
}

/* ---- what is refused ---- */

static void numbers_that_are_none_are_named(void **state)
{
    (void)state;
    char in[400];
    const char *where[] = {"blk.1.ffn_down.weight", "row 3", " 5 ", NULL};
    snprintf(in, sizeof in, "%s", write_source("nan.gguf", QUANT_F32, NAN));
    must_fail(in, in_folder("out.gguf"), "Q4_K_M", STATUS_NUMERIC, 1, where);
    must_fail(in, in_folder("out.gguf"), "F32", STATUS_NUMERIC, 1, where);
    write_source("nan.gguf", QUANT_F16, -INFINITY);
    must_fail(in, in_folder("out.gguf"), "Q8_0", STATUS_NUMERIC, 1, where);
    write_source("nan.gguf", QUANT_BF16, INFINITY);
    must_fail(in, in_folder("out.gguf"), "F16", STATUS_NUMERIC, 1, where);
    write_source("nan.gguf", QUANT_F32, 1e30f);
    must_fail(in, in_folder("out.gguf"), "Q4_0", STATUS_RANGE, 1,
              WORDS("blk.1.ffn_down.weight", "row 3", "1e+30", "Q4_0"));
    must_fail(in, in_folder("out.gguf"), "F16", STATUS_RANGE, 1, WORDS("blk.1.ffn_down.weight", "F16"));
    must_quantize(in, in_folder("out.gguf"), "BF16");
}

static void names_are_checked_before_the_work(void **state)
{
    (void)state;
    char in[400], link_name[400];
    snprintf(in, sizeof in, "%s", write_source("in.gguf", QUANT_F32, 0));
    must_fail(in, in_folder("out.gguf"), "Q9_Z", STATUS_ARGUMENT, 1,
              WORDS("Q9_Z", "F32 F16 BF16 Q8_0", "Q4_K_M", "Q5_1", "Q6_K"));
    must_fail(in_folder("none.gguf"), in_folder("out.gguf"), "Q8_0", STATUS_NOT_FOUND, 1, WORDS("none.gguf"));
    must_fail(in, in, "Q8_0", STATUS_ARGUMENT, 1, WORDS("in.gguf", "another name"));
    snprintf(link_name, sizeof link_name, "%s", in_folder("link.gguf"));
    assert_int_equal(symlink(in, link_name), 0);
    must_fail(in, link_name, "Q8_0", STATUS_ARGUMENT, 2, WORDS("another name"));
    assert_int_equal(unlink(link_name), 0);
    assert_int_equal(link(in, link_name), 0);
    must_fail(in, link_name, "Q8_0", STATUS_ARGUMENT, 2, WORDS("another name"));
    must_fail(in, in_folder("none/out.gguf"), "Q8_0", STATUS_NOT_FOUND, 2, WORDS("none/out.gguf", "No such file"));
    must_fail(in, in_folder("in.gguf/out.gguf"), "Q8_0", STATUS_IO, 2, WORDS("out.gguf", "Not a directory"));
    must_fail(in, folder, "Q8_0", STATUS_ARGUMENT, 2, WORDS("no regular file"));
    must_fail(in, "/dev/full", "Q8_0", STATUS_ARGUMENT, 2, WORDS("/dev/full", "no regular file"));
    must_fail(folder, in_folder("out.gguf"), "Q8_0", STATUS_IO, 2, WORDS(folder));
}

static void files_are_replaced_only_when_asked(void **state)
{
    (void)state;
    char in[400], out[400];
    size_t size;
    snprintf(in, sizeof in, "%s", write_source("in.gguf", QUANT_F32, 0));
    snprintf(out, sizeof out, "%s", in_folder("out.gguf"));
    FILE *file = fopen(out, "w");
    assert_non_null(file);
    assert_true(fputs("precious", file) >= 0);
    fclose(file);
    must_fail(in, out, "Q8_0", STATUS_ARGUMENT, 2, WORDS("out.gguf", "there already"));
    char *bytes = read_file(out, &size);
    assert_int_equal(size, 8);
    assert_memory_equal(bytes, "precious", 8);
    free(bytes);
    struct quantize_options options = {.in = in, .out = out, .type = "Q8_0", .n_threads = 1, .replace = true};
    struct quantize_report report;
    assert_int_equal(model_quantize(&options, &report, NULL), STATUS_OK);
    gguf_close(must_open(out));
    assert_int_equal(count_files(), 2);
    /* Through a link the target is replaced. */
    assert_int_equal(symlink(out, in_folder("link.gguf")), 0);
    options.out = in_folder("link.gguf");
    options.type = "F16";
    assert_int_equal(model_quantize(&options, &report, NULL), STATUS_OK);
    struct stat status;
    assert_int_equal(lstat(options.out, &status), 0);
    assert_true(S_ISLNK(status.st_mode));
    struct gguf *result = must_open(out);
    assert_int_equal(gguf_tensor_at(result, 0)->type, QUANT_F16);
    gguf_close(result);
    assert_int_equal(count_files(), 3);
}

/* A limit on the size of files stands for a disk that is full. */
static void a_full_disk_leaves_nothing(void **state)
{
    (void)state;
    char in[400];
    struct rlimit before, limit;
    snprintf(in, sizeof in, "%s", write_source("in.gguf", QUANT_F32, 0));
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    signal(SIGXFSZ, SIG_IGN);
    static const rlim_t sizes[] = {0, 100, 4096, 20000, 60000};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        limit = (struct rlimit){sizes[i], before.rlim_max};
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
        struct error error = {0};
        enum status status = quantize(in, in_folder("out.gguf"), "Q8_0", &error);
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
        assert_int_equal(status, STATUS_IO);
        assert_non_null(strstr(error.text, "out.gguf: File too large"));
        assert_int_equal(count_files(), 1);
    }
    must_quantize(in, in_folder("out.gguf"), "Q8_0");
}

/* ---- progress and cancelling ---- */

struct watcher {
    atomic_bool cancel;
    uint64_t cancel_at, done, total;
    size_t n_calls, n_files; /* n_files: most that were there at a time */
};

static void watch(void *context, const char *what, uint64_t done, uint64_t total)
{
    struct watcher *watcher = context;
    size_t n_files = count_files();
    assert_string_equal(what, "quantising");
    assert_true(done >= watcher->done && done <= total);
    watcher->done = done;
    watcher->total = total;
    watcher->n_calls++;
    watcher->n_files = n_files > watcher->n_files ? n_files : watcher->n_files;
    if (watcher->cancel_at && watcher->n_calls >= watcher->cancel_at)
        atomic_store(&watcher->cancel, true);
}

/* The source; and the result, which shows itself before its time only where files must have names. */
static size_t n_files_while_it_works(void)
{
    int nameless = open(folder, O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);
    if (nameless < 0)
        return 2;
    close(nameless);
    return 1;
}

static void progress_comes_to_the_end(void **state)
{
    (void)state;
    char in[400];
    struct watcher watcher = {0};
    struct quantize_report report;
    snprintf(in, sizeof in, "%s", write_source("in.gguf", QUANT_F16, 0));
    struct quantize_options options = {.in = in,
                                       .out = in_folder("out.gguf"),
                                       .type = "Q4_K",
                                       .cancel = &watcher.cancel,
                                       .progress = watch,
                                       .progress_context = &watcher};
    assert_int_equal(model_quantize(&options, &report, NULL), STATUS_OK);
    assert_int_equal(watcher.n_calls, 10);
    assert_int_equal(watcher.done, watcher.total);
    assert_int_equal(watcher.n_files, n_files_while_it_works());
}

static void cancelled_work_leaves_nothing(void **state)
{
    (void)state;
    char in[400];
    snprintf(in, sizeof in, "%s", write_source("in.gguf", QUANT_F32, 0));
    for (uint64_t at = 1; at <= 9; at++) {
        struct watcher watcher = {.cancel_at = at};
        struct quantize_report report;
        struct quantize_options options = {.in = in,
                                           .out = in_folder("out.gguf"),
                                           .type = "Q4_K",
                                           .n_threads = 2,
                                           .cancel = &watcher.cancel,
                                           .progress = watch,
                                           .progress_context = &watcher};
        assert_int_equal(model_quantize(&options, &report, NULL), STATUS_CANCELLED);
        assert_int_equal(watcher.n_files, n_files_while_it_works());
        assert_int_equal(count_files(), 1);
    }
}

/* ---- the writer by itself ---- */

static void the_writer_wants_all_bytes(void **state)
{
    (void)state;
    static const unsigned char bytes[100] = {1, 2, 3};
    struct gguf_write *file;
    struct error error;
    const uint64_t shape[] = {5, 2, 1, 1}, bad[] = {33, 1, 1, 1}, huge[] = {1ull << 40, 1ull << 40, 1, 1};
    assert_int_equal(gguf_write_new(48, &file, &error), STATUS_ARGUMENT);
    for (size_t n = 39; n <= 41; n++) {
        assert_int_equal(gguf_write_new(0, &file, &error), STATUS_OK);
        gguf_write_key_text(file, "general.architecture", slice_from("llama"));
        assert_int_equal(gguf_write_tensor(file, slice_from("a"), QUANT_F32, shape, &error), STATUS_OK);
        assert_int_equal(gguf_write_tensor(file, slice_from("b"), QUANT_Q8_0, bad, &error), STATUS_ARGUMENT);
        assert_int_equal(gguf_write_tensor(file, slice_from("b"), QUANT_F32, huge, &error), STATUS_ARGUMENT);
        assert_int_equal(gguf_write_begin(file, in_folder("out.gguf"), false, &error), STATUS_OK);
        enum status status = gguf_write_data(file, bytes, 20, &error);
        assert_int_equal(status, STATUS_OK);
        status = gguf_write_data(file, bytes, n - 20, &error);
        assert_int_equal(status, n <= 40 ? STATUS_OK : STATUS_ARGUMENT);
        if (status == STATUS_OK)
            assert_int_equal(gguf_write_commit(file, &error), n == 40 ? STATUS_OK : STATUS_ARGUMENT);
        gguf_write_free(file);
        assert_int_equal(count_files(), n == 40);
        unlink(in_folder("out.gguf"));
    }
}

static void a_name_taken_meanwhile_is_kept(void **state)
{
    (void)state;
    struct gguf_write *file;
    struct error error;
    size_t size;
    assert_int_equal(gguf_write_new(0, &file, &error), STATUS_OK);
    assert_int_equal(gguf_write_begin(file, in_folder("out.gguf"), false, &error), STATUS_OK);
    FILE *other = fopen(in_folder("out.gguf"), "w");
    assert_non_null(other);
    assert_true(fputs("new", other) >= 0);
    fclose(other);
    assert_int_equal(gguf_write_commit(file, &error), STATUS_IO);
    assert_non_null(strstr(error.text, "File exists"));
    gguf_write_free(file);
    char *bytes = read_file(in_folder("out.gguf"), &size);
    assert_int_equal(size, 3);
    free(bytes);
    assert_int_equal(count_files(), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_type_of_every_source, set_up, tear_down),
        cmocka_unit_test_setup_teardown(report_tells_what_was_written, set_up, tear_down),
        cmocka_unit_test_setup_teardown(threads_change_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(quantised_weights_become_floats, set_up, tear_down),
        cmocka_unit_test_setup_teardown(split_models_become_one, set_up, tear_down),
        cmocka_unit_test_setup_teardown(alignment_of_the_source_holds, set_up, tear_down),
        cmocka_unit_test_setup_teardown(numbers_that_are_none_are_named, set_up, tear_down),
        cmocka_unit_test_setup_teardown(names_are_checked_before_the_work, set_up, tear_down),
        cmocka_unit_test_setup_teardown(files_are_replaced_only_when_asked, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_full_disk_leaves_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(progress_comes_to_the_end, set_up, tear_down),
        cmocka_unit_test_setup_teardown(cancelled_work_leaves_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_writer_wants_all_bytes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_name_taken_meanwhile_is_kept, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
