/* Tests model_check_weights: planted numbers that are not finite are told by tensor, count and place, in every kind of type,
 * in all parts of a split model, for any number of threads; and what stops it. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "engine/engine.h"
#include "tests/gguf_writer.h"

static char folder[256];

static int set_up(void **state)
{
    (void)state;
    const char *base = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%s/check-XXXXXX", base && *base ? base : "/tmp");
    return mkdtemp(folder) ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    return rmdir(folder); /* fails where a test left something */
}

static void path_of(char path[512], const char *name)
{
    snprintf(path, 512, "%s/%s", folder, name);
}

/* Writes what was put into the writer, and empties it. */
static void save(struct gguf_writer *writer, const char *path)
{
    assert_true(gguf_writer_save(writer, path));
    gguf_writer_deinit(writer);
    *writer = (struct gguf_writer){0};
}

static struct weights_report *check(const char *path, int n_threads)
{
    const struct weights_check_options options = {.path = path, .n_threads = n_threads};
    struct weights_report *report = NULL;
    struct error error = {0};
    if (model_check_weights(&options, &report, &error))
        fail_msg("%s", error.text);
    return report;
}

static void expect_fault(const struct weights_fault *fault, const char *tensor, uint64_t n, uint64_t row,
                         uint64_t column)
{
    assert_string_equal(fault->tensor, tensor);
    assert_int_equal(fault->n, n);
    assert_int_equal(fault->row, row);
    assert_int_equal(fault->column, column);
    assert_true(!isfinite(fault->value));
}

/* ---- tensors of zeros, with something planted ---- */

static void add_tensor(struct gguf_writer *writer, const char *name, enum quant_type type, uint64_t cols, uint64_t rows,
                       size_t at, const void *planted, size_t size)
{
    const struct quant_info *info = quant_info(type);
    size_t n_bytes = (size_t)(cols / info->block_elements * info->block_bytes * rows);
    unsigned char *bytes = calloc(1, n_bytes);
    assert_non_null(bytes);
    assert_true(at + size <= n_bytes);
    memcpy(bytes + at, planted, size);
    gguf_writer_tensor(writer, name, type, 2, (uint64_t[]){cols, rows}, bytes);
    free(bytes);
}

static const uint16_t half_infinity = 0x7c00, half_nan = 0x7e01, half_greatest = 0x7bff;

static void finite_weights_are_counted(void **state)
{
    (void)state;
    struct gguf_writer writer = {0};
    char path[512];
    path_of(path, "sound.gguf");
    const float greatest = 3.4028234e38f, least = -3.4028234e38f;
    add_tensor(&writer, "a", QUANT_F32, 7, 5, 16, &greatest, 4);
    add_tensor(&writer, "b", QUANT_F32, 7, 5, 0, &least, 4);
    add_tensor(&writer, "c", QUANT_F16, 32, 2, 0, &half_greatest, 2);
    add_tensor(&writer, "d", QUANT_Q8_0, 64, 3, 0, &half_greatest, 2);
    add_tensor(&writer, "e", QUANT_I32, 3, 1, 0, "\xff\xff\xff\x7f", 4);
    save(&writer, path);
    struct weights_report *report = check(path, 1);
    assert_int_equal(report->n_faults, 0);
    assert_int_equal(report->n_tensors, 5);
    assert_int_equal(report->n_weights, 35 + 35 + 64 + 192 + 3);
    assert_int_equal(report->n_unread, 0);
    weights_report_free(report);
    unlink(path);
}

static void planted_numbers_are_found_in_every_type(void **state)
{
    (void)state;
    const float nan32 = NAN, infinity32 = -INFINITY;
    const double nan64 = NAN;
    const uint16_t bf16_infinity = 0xff80;
    unsigned char mxfp4_block[17];
    memset(mxfp4_block, 0x77, sizeof mxfp4_block);
    mxfp4_block[0] = 0xff;
    const struct {
        const char *name;
        enum quant_type type;
        size_t at;
        const void *planted;
        size_t size;
        uint64_t n, row, column; /* what is to be found */
    } cases[] = {
        {"f32-nan", QUANT_F32, 4 * (2 * 512 + 300), &nan32, 4, 1, 2, 300},
        {"f32-infinity", QUANT_F32, 0, &infinity32, 4, 1, 0, 0},
        {"f32-last", QUANT_F32, 4 * (3 * 512 - 1), &nan32, 4, 1, 2, 511},
        {"f64", QUANT_F64, 8 * 513, &nan64, 8, 1, 1, 1},
        {"f16", QUANT_F16, 2 * (512 + 17), &half_nan, 2, 1, 1, 17},
        {"bf16", QUANT_BF16, 2 * 3, &bf16_infinity, 2, 1, 0, 3},
        {"q8_0", QUANT_Q8_0, 34 * 17, &half_infinity, 2, 32, 1, 32},
        {"q4_0", QUANT_Q4_0, 18 * 16 + 18 * 15, &half_nan, 2, 32, 1, 480},
        {"q4_1-minimum", QUANT_Q4_1, 20 * 32 + 2, &half_infinity, 2, 32, 2, 0},
        {"q5_0", QUANT_Q5_0, 22, &half_nan, 2, 32, 0, 32},
        {"q5_1", QUANT_Q5_1, 24, &half_nan, 2, 32, 0, 32},
        {"q2_k", QUANT_Q2_K, 84 + 80, &half_nan, 2, 256, 0, 256},
        {"q3_k", QUANT_Q3_K, 110 + 108, &half_nan, 2, 256, 0, 256},
        {"q4_k-scale", QUANT_Q4_K, 144 * 3, &half_nan, 2, 256, 1, 256},
        {"q4_k-minimum", QUANT_Q4_K, 144 * 4 + 2, &half_infinity, 2, 256, 2, 0},
        {"q5_k", QUANT_Q5_K, 176 * 5, &half_nan, 2, 256, 2, 256},
        {"q6_k", QUANT_Q6_K, 208, &half_nan, 2, 256, 0, 0},
        {"iq4_nl", QUANT_IQ4_NL, 18, &half_infinity, 2, 32, 0, 32},
        {"iq4_xs", QUANT_IQ4_XS, 136, &half_nan, 2, 256, 0, 256},
        {"mxfp4", QUANT_MXFP4, 17 * 2, mxfp4_block, 17, 32, 0, 64}, /* 6 times 2^127 */
    };
    enum { N = sizeof cases / sizeof *cases };
    struct gguf_writer writer = {0};
    char path[512];
    path_of(path, "bad.gguf");
    for (size_t i = 0; i < N; i++)
        add_tensor(&writer, cases[i].name, cases[i].type, 512, 3, cases[i].at, cases[i].planted, cases[i].size);
    save(&writer, path);
    for (int n_threads = 1; n_threads <= 5; n_threads += 2) {
        struct weights_report *report = check(path, n_threads);
        assert_int_equal(report->n_faults, N);
        for (size_t i = 0; i < N; i++)
            expect_fault(&report->faults[i], cases[i].name, cases[i].n, cases[i].row, cases[i].column);
        assert_int_equal(report->n_weights, N * 512 * 3);
        weights_report_free(report);
    }
    unlink(path);
}

/* More than a chunk: counts add up over chunks and threads, and the first place is the first of all. */
static void a_large_tensor_is_one_finding(void **state)
{
    (void)state;
    enum { COLS = 4096, ROWS = 1500 };
    struct gguf_writer writer = {0};
    char path[512];
    path_of(path, "large.gguf");
    uint16_t *numbers = calloc((size_t)COLS * ROWS, sizeof *numbers);
    assert_non_null(numbers);
    const size_t places[] = {5 * COLS + 9, 700 * COLS, 1100 * COLS + 5, (size_t)COLS * ROWS - 1};
    for (size_t i = 0; i < 4; i++)
        numbers[places[i]] = half_nan;
    gguf_writer_tensor(&writer, "large", QUANT_F16, 2, (uint64_t[]){COLS, ROWS}, numbers);
    free(numbers);
    save(&writer, path);
    for (int n_threads = 1; n_threads <= 4; n_threads += 3) {
        struct weights_report *report = check(path, n_threads);
        assert_int_equal(report->n_faults, 1);
        expect_fault(&report->faults[0], "large", 4, 5, 9);
        assert_int_equal(report->faults[0].n_elements, COLS * ROWS);
        weights_report_free(report);
    }
    unlink(path);
}

static void unknown_types_are_told(void **state)
{
    (void)state;
    struct gguf_writer writer = {0};
    char path[512];
    path_of(path, "unknown.gguf");
    add_tensor(&writer, "a", QUANT_F32, 4, 1, 0, "", 0);
    add_tensor(&writer, "b", QUANT_TQ1_0, 256, 3, 0, "", 0);
    save(&writer, path);
    struct weights_report *report = check(path, 2);
    assert_int_equal(report->n_faults, 0);
    assert_int_equal(report->n_unread, 768);
    assert_int_equal(report->n_unread_tensors, 1);
    weights_report_free(report);
    unlink(path);
}

static void all_parts_of_a_split_model_are_read(void **state)
{
    (void)state;
    const float nan32 = NAN;
    struct gguf_writer writer = {0};
    char paths[2][512];
    for (uint16_t i = 0; i < 2; i++) {
        char name[64];
        snprintf(name, sizeof name, "split-%05d-of-00002.gguf", i + 1);
        path_of(paths[i], name);
        gguf_writer_u16(&writer, "split.no", i);
        gguf_writer_u16(&writer, "split.count", 2);
        gguf_writer_i32(&writer, "split.tensors.count", 2);
        add_tensor(&writer, i ? "second" : "first", QUANT_F32, 8, 2, 40, &nan32, i ? 4 : 0);
        save(&writer, paths[i]);
    }
    for (int i = 0; i < 2; i++) {
        struct weights_report *report = check(paths[i], 1);
        assert_int_equal(report->n_tensors, 2);
        assert_int_equal(report->n_faults, 1);
        expect_fault(&report->faults[0], "second", 1, 1, 2);
        weights_report_free(report);
    }
    unlink(paths[0]);
    unlink(paths[1]);
}

/* ---- what stops it ---- */

struct watch {
    const char *path;    /* to be cut when the first tensor was read, or NULL */
    atomic_bool *cancel; /* to be set then, or NULL */
    uint64_t done, total;
    int n_calls;
};

static void watch_progress(void *context, const char *what, uint64_t done, uint64_t total)
{
    struct watch *watch = context;
    assert_string_equal(what, "checking");
    assert_true(done > watch->done && done <= total);
    watch->done = done;
    watch->total = total;
    if (watch->n_calls++)
        return;
    if (watch->path)
        assert_int_equal(truncate(watch->path, 100000), 0);
    if (watch->cancel)
        atomic_store(watch->cancel, true);
}

static void save_three(const char *path)
{
    struct gguf_writer writer = {0};
    const char *const names[] = {"a", "b", "c"};
    for (int i = 0; i < 3; i++)
        add_tensor(&writer, names[i], QUANT_F32, 1000, 100, 0, "", 0);
    save(&writer, path);
}

static void progress_comes_to_its_end(void **state)
{
    (void)state;
    char path[512];
    path_of(path, "three.gguf");
    save_three(path);
    struct watch watch = {0};
    const struct weights_check_options options = {
        .path = path, .n_threads = 2, .progress = watch_progress, .progress_context = &watch};
    struct weights_report *report;
    assert_int_equal(model_check_weights(&options, &report, NULL), STATUS_OK);
    assert_int_equal(watch.n_calls, 3);
    assert_int_equal(watch.done, 1200000);
    assert_int_equal(watch.total, 1200000);
    weights_report_free(report);
    unlink(path);
}

static void a_file_that_is_cut_short_is_no_sound_one(void **state)
{
    (void)state;
    char path[512];
    path_of(path, "three.gguf");
    save_three(path);
    struct watch watch = {.path = path};
    const struct weights_check_options options = {
        .path = path, .n_threads = 2, .progress = watch_progress, .progress_context = &watch};
    struct weights_report *report = NULL;
    struct error error = {0};
    assert_int_equal(model_check_weights(&options, &report, &error), STATUS_IO);
    assert_null(report);
    assert_non_null(strstr(error.text, "three.gguf: became shorter"));
    unlink(path);
}

static void it_can_be_cancelled(void **state)
{
    (void)state;
    char path[512];
    path_of(path, "three.gguf");
    save_three(path);
    atomic_bool cancel = false;
    struct watch watch = {.cancel = &cancel};
    const struct weights_check_options options = {
        .path = path, .n_threads = 1, .cancel = &cancel, .progress = watch_progress, .progress_context = &watch};
    struct weights_report *report = NULL;
    assert_int_equal(model_check_weights(&options, &report, NULL), STATUS_CANCELLED);
    assert_int_equal(watch.n_calls, 1);
    assert_null(report);
    unlink(path);
}

static void what_is_no_model_is_refused(void **state)
{
    (void)state;
    char path[512];
    path_of(path, "nothing.gguf");
    struct weights_report *report = NULL;
    struct error error = {0};
    assert_int_equal(model_check_weights(&(struct weights_check_options){.path = path}, &report, &error),
                     STATUS_NOT_FOUND);
    assert_non_null(strstr(error.text, "nothing.gguf"));
    assert_null(report);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finite_weights_are_counted),
        cmocka_unit_test(planted_numbers_are_found_in_every_type),
        cmocka_unit_test(a_large_tensor_is_one_finding),
        cmocka_unit_test(unknown_types_are_told),
        cmocka_unit_test(all_parts_of_a_split_model_are_read),
        cmocka_unit_test(progress_comes_to_its_end),
        cmocka_unit_test(a_file_that_is_cut_short_is_no_sound_one),
        cmocka_unit_test(it_can_be_cancelled),
        cmocka_unit_test(what_is_no_model_is_refused),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
