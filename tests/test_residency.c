/* Tests of engine/residency: that experts which are asked for come, and only those, by what the system says of the file's pages;
 * what the profile keeps; and that results don't depend on any of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "engine/engine_private.h"
#include "engine/residency.h"
#include "tests/engine_fixture.h"
#include "tests/synth.h"

enum { N_LAYER = 3, N_EXPERT = 8, N_USED = 2, N_EMBD = 256, N_FF = 512, TMPFS = 0x01021994 };
enum { MATRIX_BYTES = N_EMBD * N_FF * 4, EXPERT_BYTES = 3 * MATRIX_BYTES };

static char folder[512], model_path[600], profile_path[600];

/* A model of large enough experts, on a file system whose pages can be let go of. */
static int make_model(void **state)
{
    (void)state;
    const char *temporary = getenv("TMPDIR");
    struct statfs system;
    temporary = temporary ? temporary : "/tmp";
    bool is_memory = statfs(temporary, &system) == 0 && system.f_type == TMPFS;
    snprintf(folder, sizeof folder, "%s/residency-XXXXXX", is_memory ? "build" : temporary);
    if (!mkdtemp(folder))
        return -1;
    snprintf(model_path, sizeof model_path, "%s/model.gguf", folder);
    snprintf(profile_path, sizeof profile_path, "%s/deep/er/profile", folder);
    struct synth_shape shape = *synth_shape_find("qwen3moe");
    struct error error;
    shape.n_embd = N_EMBD;
    shape.n_expert = N_EXPERT;
    shape.n_expert_used = N_USED;
    shape.n_ff_exp = N_FF;
    shape.mix = MIX_F32;
    return synth_save(model_path, &shape, &(struct synth_options){.seed = 3}, &error) ? -1 : 0;
}

static int remove_model(void **state)
{
    (void)state;
    char inner[600];
    unlink(profile_path);
    unlink(model_path);
    snprintf(inner, sizeof inner, "%s/deep/er", folder);
    rmdir(inner);
    snprintf(inner, sizeof inner, "%s/deep", folder);
    rmdir(inner);
    return rmdir(folder);
}

static int forget_profile(void **state)
{
    (void)state;
    unlink(profile_path);
    return 0;
}

static struct model *open_model(void)
{
    struct gguf *gguf;
    struct model *model;
    struct error error;
    int file = open(model_path, O_RDONLY | O_CLOEXEC);
    assert_true(file >= 0);
    assert_int_equal(fsync(file), 0);
    assert_int_equal(posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED), 0);
    close(file);
    assert_int_equal(gguf_open(model_path, &gguf, &error), STATUS_OK);
    assert_int_equal(model_open(gguf, MODEL_TO_RUN, &model, &error), STATUS_OK);
    return model;
}

/* Room for what every token reads, and so many experts. */
static uint64_t memory_for(const struct model *model, int n_experts)
{
    uint64_t hot = gguf_n_bytes(model->gguf) - (uint64_t)N_LAYER * N_EXPERT * EXPERT_BYTES;
    uint64_t wanted = hot + (uint64_t)n_experts * EXPERT_BYTES + EXPERT_BYTES / 2;
    return wanted * 16 / 15 + 16;
}

static struct residency *open_residency(const struct model *model, int n_experts, const char *profile)
{
    struct residency *residency = NULL;
    struct error error;
    assert_int_equal(residency_new(model, memory_for(model, n_experts), profile, &residency, &error), STATUS_OK);
    assert_non_null(residency);
    residency_settle(residency);
    return residency;
}

/* The part of these bytes' pages that is in memory. */
static double resident(const unsigned char *data, size_t size)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), before = (uintptr_t)data % page, n = (size + before + page - 1) / page;
    unsigned char *pages = calloc(n, 1);
    size_t n_there = 0;
    assert_non_null(pages);
    assert_int_equal(mincore((void *)(data - before), size + before, pages), 0);
    for (size_t i = 0; i < n; i++)
        n_there += pages[i] & 1;
    free(pages);
    return (double)n_there / (double)n;
}

/* The least resident of an expert's matrices. */
static double resident_expert(const struct model *model, int layer, int expert)
{
    const struct weight *all[] = {&model->layers[layer].experts_gate, &model->layers[layer].experts_up,
                                  &model->layers[layer].experts_down};
    double least = 1;
    for (int i = 0; i < 3; i++) {
        double part = resident(all[i]->data + (size_t)expert * all[i]->mat_bytes, all[i]->mat_bytes);
        least = part < least ? part : least;
    }
    return least;
}

static bool weight_comes(const struct weight *weight)
{
    for (int i = 0; i < 1000 && resident(weight->data, weight->mat_bytes) < 1; i++)
        usleep(10000);
    return resident(weight->data, weight->mat_bytes) == 1;
}

static bool comes(const struct model *model, int layer, int expert)
{
    for (int i = 0; i < 1000 && resident_expert(model, layer, expert) < 1; i++)
        usleep(10000);
    return resident_expert(model, layer, expert) == 1;
}

/* As a plan's: the experts whose bits are set get a token each.  Gives how many matrices were asked for. */
static int expect(struct residency *residency, const struct model *model, int layer, unsigned experts)
{
    int32_t begin[N_EXPERT + 1] = {0};
    uint64_t before = residency_report(residency).n_asked;
    for (int e = 0; e < N_EXPERT; e++)
        begin[e + 1] = begin[e] + (experts >> e & 1 ? 1 : 0);
    assert_true(residency_expect(residency, &model->layers[layer].experts_gate, begin));
    for (int thread = 0; thread < 2; thread++)
        residency_ask(residency, thread, 2);
    assert_false(residency_expect(residency, &model->layers[layer].experts_down, begin)); /* came with the gate */
    return (int)(residency_report(residency).n_asked - before);
}

/* ---- asking ---- */

static void chosen_experts_come_whole_and_no_others(void **state)
{
    (void)state;
    struct model *model = open_model();
    struct residency *residency = open_residency(model, 8, NULL);
    /* Of the first layer something may be there: it was read ahead of the header. */
    for (int layer = 1; layer < N_LAYER; layer++)
        for (int e = 0; e < N_EXPERT; e++)
            assert_true(resident_expert(model, layer, e) < 0.25); /* a page at a border, at most */
    assert_true(residency_report(residency).sees_pages);
    assert_int_equal(expect(residency, model, 1, 1u << 1 | 1u << 6), 6);
    assert_true(comes(model, 1, 1) && comes(model, 1, 6));
    assert_int_equal(expect(residency, model, 1, 1u << 1 | 1u << 6), 0);
    for (int layer = 1; layer < N_LAYER; layer++)
        for (int e = 0; e < N_EXPERT; e++)
            assert_true((layer == 1 && (e == 1 || e == 6)) || resident_expert(model, layer, e) < 0.25);
    residency_free(residency);
    model_close(model);
}

/* A page that is missing between them is read by itself. */
static void nothing_is_read_ahead_of_experts(void **state)
{
    (void)state;
    struct model *model = open_model();
    struct residency *residency = open_residency(model, 8, NULL);
    const struct weight *gate = &model->layers[2].experts_gate;
    const volatile unsigned char *middle = gate->data + 3 * gate->mat_bytes + gate->mat_bytes / 2;
    (void)*middle;
    assert_true(resident((const unsigned char *)middle, 1) == 1);
    assert_true(resident(gate->data + 3 * gate->mat_bytes, gate->mat_bytes) < 0.25);
    residency_free(residency);
    model_close(model);
}

static void what_every_token_reads_comes_at_load(void **state)
{
    (void)state;
    struct model *model = open_model();
    struct residency *residency = open_residency(model, 8, NULL);
    uint64_t experts = (uint64_t)N_LAYER * N_EXPERT * EXPERT_BYTES, all = 0;
    for (size_t i = 0; i < gguf_n_tensors(model->gguf); i++)
        all += gguf_tensor_at(model->gguf, i)->n_bytes;
    uint64_t embedding = (uint64_t)model->token_embd.n_rows * model->token_embd.row_bytes;
    assert_true(model->output.data != model->token_embd.data);
    assert_true(residency_report(residency).hot_bytes == all - experts - embedding);
    assert_true(weight_comes(&model->output));
    for (int layer = 0; layer < N_LAYER; layer++)
        assert_true(weight_comes(&model->layers[layer].attn_q));
    residency_free(residency);
    model_close(model);
}

/* Whatever took a page away: it is missed. */
static void what_went_away_is_asked_for_again(void **state)
{
    (void)state;
    struct model *model = open_model();
    struct residency *residency = open_residency(model, 8, NULL);
    const struct weight *up = &model->layers[2].experts_up;
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    unsigned char *middle = (unsigned char *)(uintptr_t)up->data + 5 * up->mat_bytes + up->mat_bytes / 2;
    middle -= (uintptr_t)middle % page;
    assert_int_equal(expect(residency, model, 2, 1u << 5), 3);
    assert_true(comes(model, 2, 5));
    int file = open(model_path, O_RDONLY | O_CLOEXEC);
    for (int i = 0; i < 1000 && resident(middle, page) > 0; i++) {
        /* Pages that were read just now are let go of once the system has filed them. */
        assert_int_equal(madvise(middle, page, MADV_DONTNEED), 0);
        assert_int_equal(posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED), 0);
        usleep(1000);
    }
    close(file);
    assert_true(resident(middle, page) == 0);
    assert_true(expect(residency, model, 2, 1u << 5) > 0);
    assert_true(comes(model, 2, 5));
    residency_free(residency);
    model_close(model);
}

static void read_all(const struct model *model)
{
    for (size_t i = 0; i < gguf_n_tensors(model->gguf); i++) {
        const struct gguf_tensor *tensor = gguf_tensor_at(model->gguf, i);
        for (size_t k = 0; k < tensor->n_bytes; k += 512)
            (void)*(const volatile unsigned char *)(tensor->data + k);
    }
}

/* A system that says that all is there, which can't be, says nothing. */
static void where_nobody_tells_it_is_estimated(void **state)
{
    (void)state;
    struct model *model = open_model();
    read_all(model);
    struct residency *residency = open_residency(model, 4, NULL);
    struct residency_report report = residency_report(residency);
    assert_false(report.sees_pages);
    assert_true(report.budget >= 4 * EXPERT_BYTES && report.budget < 5 * EXPERT_BYTES);
    assert_int_equal(expect(residency, model, 0, 1u), 3);
    assert_int_equal(expect(residency, model, 0, 1u), 0);
    assert_int_equal(expect(residency, model, 0, 3u), 3); /* the second of them */
    assert_int_equal(expect(residency, model, 1, 1u), 3); /* another layer's */
    assert_int_equal(expect(residency, model, 0, 1u), 0);
    for (unsigned e = 2; e < 7; e++)
        assert_int_equal(expect(residency, model, 2, 1u << e), 3);
    assert_int_equal(expect(residency, model, 0, 1u), 3); /* five others came since: memory holds four */
    report = residency_report(residency);
    assert_int_equal(report.n_chosen, 3 * 12);
    assert_int_equal(report.n_asked, 3 * 9);
    residency_free(residency);
    model_close(model);
}

static void nothing_is_done_where_all_fits(void **state)
{
    (void)state;
    struct error error;
    struct model *model = open_model();
    struct residency *residency = (struct residency *)model;
    assert_int_equal(residency_new(model, gguf_n_bytes(model->gguf), NULL, &residency, &error), STATUS_OK);
    assert_null(residency);
    assert_int_equal(residency_new(model, 0, NULL, &residency, &error), STATUS_OK); /* nobody knows how much there is */
    assert_null(residency);
    residency_free(NULL);
    model_close(model);
    struct engine *dense = open_small("llama-gqa", NULL, 1);
    assert_int_equal(residency_new(dense->model, 1, NULL, &residency, &error), STATUS_OK);
    assert_null(residency);
    engine_close(dense);
}

/* ---- the profile ---- */

static void write_profile(const char *text)
{
    char path[600];
    snprintf(path, sizeof path, "%s/deep", folder);
    mkdir(path, 0700);
    snprintf(path, sizeof path, "%s/deep/er", folder);
    mkdir(path, 0700);
    FILE *file = fopen(profile_path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void read_profile(char *text, size_t size)
{
    FILE *file = fopen(profile_path, "r");
    assert_non_null(file);
    text[fread(text, 1, size - 1, file)] = 0;
    fclose(file);
}

static void the_profile_keeps_counts(void **state)
{
    (void)state;
    char text[1024], expected[1024];
    struct model *model = open_model();
    struct residency *residency = open_residency(model, 4, profile_path);
    for (int i = 0; i < 9; i++)
        expect(residency, model, 1, 1u << 3 | (i < 4 ? 1u << 7 : 0));
    residency_free(residency);
    read_profile(text, sizeof text);
    snprintf(expected, sizeof expected,
             "fathom experts 1\n3 8 %llu\n0 0 0 0 0 0 0 0\n0 0 0 9 0 0 0 4\n0 0 0 0 0 0 0 0\n",
             (unsigned long long)gguf_n_bytes(model->gguf));
    assert_string_equal(text, expected);
    /* Each run counts half in the next. */
    residency = open_residency(model, 4, profile_path);
    expect(residency, model, 1, 1u);
    residency_free(residency);
    read_profile(text, sizeof text);
    assert_non_null(strstr(text, "\n1 0 0 4 0 0 0 2\n"));
    /* One step: nothing else lies beside it. */
    char beside[600];
    int n = 0;
    snprintf(beside, sizeof beside, "%s/deep/er", folder);
    DIR *entries = opendir(beside);
    assert_non_null(entries);
    for (const struct dirent *entry = readdir(entries); entry; entry = readdir(entries))
        n += entry->d_name[0] != '.';
    closedir(entries);
    assert_int_equal(n, 1);
    model_close(model);
}

static void an_unused_model_keeps_its_profile(void **state)
{
    (void)state;
    char text[64];
    struct model *model = open_model();
    write_profile("as it was");
    residency_free(open_residency(model, 4, profile_path));
    read_profile(text, sizeof text);
    assert_string_equal(text, "as it was");
    model_close(model);
}

static void experts_used_most_come_at_load(void **state)
{
    (void)state;
    char text[1024];
    struct model *model = open_model();
    snprintf(text, sizeof text, "fathom experts 1\n3 8 %llu\n0 0 8 0 0 0 0 0\n0 0 0 9 0 0 0 2\n4 0 0 0 7 0 0 0\n",
             (unsigned long long)gguf_n_bytes(model->gguf));
    write_profile(text);
    struct residency *residency = open_residency(model, 3, profile_path); /* room for three */
    assert_true(comes(model, 1, 3) && comes(model, 0, 2) && comes(model, 2, 4));
    assert_true(resident_expert(model, 2, 0) < 0.25 && resident_expert(model, 1, 7) < 0.25);
    residency_free(residency);
    model_close(model);
}

static void what_is_no_profile_is_not_used(void **state)
{
    (void)state;
    struct model *model = open_model();
    unsigned long long size = gguf_n_bytes(model->gguf);
    static const char *const forms[] = {
        "",
        "fathom",
        "fathom experts 2\n3 8 %llu\n9 9 9 9 9 9 9 9\n9 9 9 9 9 9 9 9\n9 9 9 9 9 9 9 9\n",
        "fathom experts 1\n3 9 %llu\n9 9 9 9 9 9 9 9\n9 9 9 9 9 9 9 9\n9 9 9 9 9 9 9 9\n",
        "fathom experts 1\n3 8 1%llu\n9 9 9 9 9 9 9 9\n9 9 9 9 9 9 9 9\n9 9 9 9 9 9 9 9\n",
        "fathom experts 1\n3 8 %llu\n9 9 9 9 9 9 9 9\n9 9 9 9 9 9 9 9\n9 9 9 9 9 9 9\n",
        "fathom experts 1\n3 8 %llu\n9 9 9 9 9 9 9 9\n9 9 9 9 x 9 9 9\n9 9 9 9 9 9 9 9\n",
        "fathom experts 1\n3 8 %llu\n9 9 9 9 9 9 9 99999999999999999999999\n9 9 9 9 9 9 9 9\n9 9 9 9 9 9 9 9\n",
        "fathom experts 1\n3 8 %llu\n-9 9 9 9 9 9 9 9\n9 9 9 9 9 9 9 9\n9 9 9 9 9 9 9 9\n",
    };
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        char text[512];
        snprintf(text, sizeof text, forms[i], size); /* NOLINT(clang-diagnostic-format-nonliteral) */
        write_profile(text);
        struct residency *residency = open_residency(model, 4, profile_path);
        expect(residency, model, 0, 1u);
        residency_free(residency);
        read_profile(text, sizeof text);
        assert_non_null(strstr(text, "\n1 0 0 0 0 0 0 0\n0 0 0 0 0 0 0 0\n0 0 0 0 0 0 0 0\n"));
    }
    /* A folder in its place costs nothing but the profile. */
    unlink(profile_path);
    assert_int_equal(mkdir(profile_path, 0700), 0);
    struct residency *residency = open_residency(model, 4, profile_path);
    expect(residency, model, 0, 1u);
    residency_free(residency);
    assert_int_equal(rmdir(profile_path), 0);
    model_close(model);
}

/* ---- in the engine ---- */

static struct engine *open_with(uint64_t memory)
{
    struct engine *engine = NULL;
    struct error error = {0};
    const struct engine_options options = {
        .model_path = model_path, .n_threads = 2, .force = true, .memory = memory, .experts_profile = profile_path};
    if (engine_open(&options, &engine, &error))
        fail_msg("%s", error.text);
    return engine;
}

static void results_are_the_same(void **state)
{
    (void)state;
    enum { N = 6 };
    struct engine *whole = open_with(UINT64_MAX), *part = open_with(30 << 20);
    assert_false(engine_reads_experts(whole));
    assert_true(engine_reads_experts(part));
    struct session *a = open_session(whole, (struct session_options){.n_ctx = 32});
    struct session *b = open_session(part, (struct session_options){.n_ctx = 32});
    const int32_t ids[N] = {5, 17, 99, 4, 200, 31};
    size_t bytes = (size_t)engine_n_vocab(whole) * sizeof(float);
    for (size_t n = 1; n <= N; n += n == 1 ? 3 : 1) {
        assert_int_equal(session_sync(a, ids, n, NULL, NULL), STATUS_OK);
        assert_int_equal(session_sync(b, ids, n, NULL, NULL), STATUS_OK);
        assert_memory_equal(session_logits(a), session_logits(b), bytes);
    }
    struct residency_report report = residency_report(part->residency);
    assert_true(report.n_chosen >= 3 * 4 * N_LAYER * N_USED && report.n_asked < report.n_chosen);
    session_close(a);
    session_close(b);
    engine_close(whole);
    engine_close(part);
    char text[1024];
    unsigned long long count, sum = 0;
    int used, at = 0;
    read_profile(text, sizeof text);
    assert_int_equal(sscanf(text, "fathom experts 1 3 8 %llu%n", &count, &at), 1);
    for (; sscanf(text + at, "%llu%n", &count, &used) == 1; at += used)
        sum += count;
    assert_int_equal(sum, N * N_LAYER * N_USED); /* every token at its experts */
}

static void more_than_memory_must_be_forced(void **state)
{
    (void)state;
    struct engine *engine = NULL;
    struct error error = {0};
    const struct engine_options options = {.model_path = model_path, .memory = 30 << 20};
    assert_int_equal(engine_open(&options, &engine, &error), STATUS_MEMORY);
    assert_non_null(strstr(error.text, "(--force tries)"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(chosen_experts_come_whole_and_no_others, forget_profile),
        cmocka_unit_test_setup(nothing_is_read_ahead_of_experts, forget_profile),
        cmocka_unit_test_setup(what_every_token_reads_comes_at_load, forget_profile),
        cmocka_unit_test_setup(what_went_away_is_asked_for_again, forget_profile),
        cmocka_unit_test_setup(where_nobody_tells_it_is_estimated, forget_profile),
        cmocka_unit_test_setup(nothing_is_done_where_all_fits, forget_profile),
        cmocka_unit_test_setup(the_profile_keeps_counts, forget_profile),
        cmocka_unit_test_setup(an_unused_model_keeps_its_profile, forget_profile),
        cmocka_unit_test_setup(experts_used_most_come_at_load, forget_profile),
        cmocka_unit_test_setup(what_is_no_profile_is_not_used, forget_profile),
        cmocka_unit_test_setup(results_are_the_same, forget_profile),
        cmocka_unit_test_setup(more_than_memory_must_be_forced, forget_profile),
    };
    return cmocka_run_group_tests(tests, make_model, remove_model);
}
