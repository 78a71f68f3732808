/* Tests LoRA adapters: what one adds equals what weights give that it was merged into; wrong ones are refused by name. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "engine/engine.h"
#include "engine/gguf.h"
#include "tests/gguf_writer.h"
#include "tests/synth.h"

enum { RANK = 3, N_IDS = 9 };

static const struct {
    const char *shape, *first, *second;
} cases[] = {
    {"llama-gqa", "blk.0.attn_q.weight", "blk.1.ffn_down.weight"},
    {"qwen2", "blk.1.attn_v.weight", "blk.0.attn_output.weight"},
    {"lite-old", "blk.0.attn_q.weight", "blk.1.ffn_gate_shexp.weight"},
};

static float number(size_t i)
{
    return (float)((i * 2654435761u) % 1000) / 5000.0f - 0.1f;
}

static void temporary_path(char path[512])
{
    const char *folder = getenv("TMPDIR");
    snprintf(path, 512, "%s/lora-XXXXXX", folder ? folder : "/tmp");
    int descriptor = mkstemp(path);
    assert_true(descriptor >= 0);
    close(descriptor);
}

static void read_whole(const char *path, struct buffer *out)
{
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    char piece[65536];
    size_t n;
    while ((n = fread(piece, 1, sizeof piece, file)) > 0)
        buffer_append(out, piece, n);
    fclose(file);
}

/* Adds factor · b · a to an F32 matrix of the file in memory. */
static void merge(struct buffer *file, const char *name, float factor)
{
    struct gguf *gguf;
    assert_int_equal(gguf_open_memory(file->data, file->size, &gguf, NULL), STATUS_OK);
    const struct gguf_tensor *tensor = gguf_find_tensor(gguf, name);
    assert_non_null(tensor);
    size_t cols = tensor->shape[0], rows = tensor->shape[1];
    char *data = file->data + ((const char *)tensor->data - file->data);
    for (size_t r = 0; r < rows; r++)
        for (size_t c = 0; c < cols; c++) {
            float weight;
            memcpy(&weight, data + (r * cols + c) * 4, 4);
            for (size_t k = 0; k < RANK; k++)
                weight += factor * number(1000 + r * RANK + k) * number(k * cols + c);
            memcpy(data + (r * cols + c) * 4, &weight, 4);
        }
    gguf_close(gguf);
}

static void add_pair(struct gguf_writer *writer, const struct gguf *gguf, const char *name)
{
    const struct gguf_tensor *tensor = gguf_find_tensor(gguf, name);
    assert_non_null(tensor);
    size_t cols = tensor->shape[0], rows = tensor->shape[1];
    float *a = malloc(RANK * cols * sizeof *a), *b = malloc(rows * RANK * sizeof *b);
    for (size_t i = 0; i < RANK * cols; i++)
        a[i] = number(i);
    for (size_t i = 0; i < rows * RANK; i++)
        b[i] = number(1000 + i);
    char full[96];
    snprintf(full, sizeof full, "%s.lora_a", name);
    gguf_writer_tensor(writer, full, QUANT_F32, 2, (uint64_t[]){cols, RANK}, a);
    snprintf(full, sizeof full, "%s.lora_b", name);
    gguf_writer_tensor(writer, full, QUANT_F32, 2, (uint64_t[]){RANK, rows}, b);
    free(a);
    free(b);
}

static void begin_adapter(struct gguf_writer *writer, const char *arch, float alpha)
{
    gguf_writer_text(writer, "general.type", "adapter");
    gguf_writer_text(writer, "adapter.type", "lora");
    gguf_writer_text(writer, "general.architecture", arch);
    if (alpha > 0)
        gguf_writer_f32(writer, "adapter.lora.alpha", alpha);
}

static float *logits_of(const char *path, const char *adapter, float scale, int32_t *n_vocab)
{
    const struct engine_lora lora = {adapter, scale};
    const struct engine_options options = {.model_path = path, .loras = &lora, .n_loras = adapter ? 1 : 0};
    struct engine *engine = NULL;
    struct session *session = NULL;
    struct error error = {0};
    const int32_t ids[N_IDS] = {7, 31, 2, 90, 44, 5, 61, 8, 12};
    if (engine_open(&options, &engine, &error) ||
        session_open(engine, &(struct session_options){.n_ctx = 32, .kv = KV_F32}, &session, &error) ||
        session_sync(session, ids, N_IDS, NULL, &error))
        fail_msg("%s", error.text);
    *n_vocab = engine_n_vocab(engine);
    float *logits = malloc((size_t)*n_vocab * sizeof *logits);
    memcpy(logits, session_logits(session), (size_t)*n_vocab * sizeof *logits);
    session_close(session);
    engine_close(engine);
    return logits;
}

static double difference(const float *a, const float *b, int32_t n)
{
    double greatest = 0;
    for (int32_t i = 0; i < n; i++)
        greatest = fmax(greatest, fabs((double)a[i] - (double)b[i]));
    return greatest;
}

static void an_adapter_gives_what_merged_weights_give(void **state)
{
    (void)state;
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        char base[512], merged[512], adapter[512];
        temporary_path(base);
        temporary_path(merged);
        temporary_path(adapter);
        const struct synth_shape *shape = synth_shape_find(cases[k].shape);
        assert_int_equal(synth_save(base, shape, &(struct synth_options){.seed = 3}, NULL), STATUS_OK);
        struct buffer file = {0};
        read_whole(base, &file);
        struct gguf *gguf;
        assert_int_equal(gguf_open_memory(file.data, file.size, &gguf, NULL), STATUS_OK);
        struct gguf_writer writer = {0};
        begin_adapter(&writer, shape->arch, 6); /* alpha over rank: twice */
        add_pair(&writer, gguf, cases[k].first);
        add_pair(&writer, gguf, cases[k].second);
        assert_true(gguf_writer_save(&writer, adapter));
        gguf_writer_deinit(&writer);
        gguf_close(gguf);
        merge(&file, cases[k].first, 2 * 0.5f);
        merge(&file, cases[k].second, 2 * 0.5f);
        FILE *out = fopen(merged, "wb");
        assert_int_equal(fwrite(file.data, 1, file.size, out), file.size);
        fclose(out);
        buffer_deinit(&file);
        int32_t n;
        float *plain = logits_of(base, NULL, 0, &n), *with = logits_of(base, adapter, 0.5f, &n),
              *truth = logits_of(merged, NULL, 0, &n), *without = logits_of(base, adapter, 0, &n);
        assert_true(difference(with, truth, n) < 1e-3);
        assert_true(difference(plain, truth, n) > 1e-2);
        assert_true(difference(plain, without, n) < 1e-6);
        free(plain);
        free(with);
        free(truth);
        free(without);
        unlink(base);
        unlink(merged);
        unlink(adapter);
    }
}

static void refused(const char *model, struct gguf_writer *writer, enum status expected, const char *named)
{
    char path[512];
    temporary_path(path);
    assert_true(gguf_writer_save(writer, path));
    gguf_writer_deinit(writer);
    *writer = (struct gguf_writer){0};
    const struct engine_lora lora = {path, 1};
    const struct engine_options options = {.model_path = model, .loras = &lora, .n_loras = 1};
    struct engine *engine = NULL;
    struct error error = {0};
    enum status status = engine_open(&options, &engine, &error);
    if (status != expected || !strstr(error.text, named) || !strstr(error.text, path))
        fail_msg("status %d, \"%s\" instead of %d and \"%s\"", status, error.text, expected, named);
    unlink(path);
}

static void wrong_adapters_are_refused(void **state)
{
    (void)state;
    char model[512];
    temporary_path(model);
    assert_int_equal(synth_save(model, synth_shape_find("mixtral"), &(struct synth_options){.seed = 3}, NULL),
                     STATUS_OK);
    const uint64_t a[] = {64, RANK}, b[] = {RANK, 64}, wrong[] = {63, RANK};
    struct gguf_writer writer = {0};
    gguf_writer_text(&writer, "general.architecture", "llama");
    refused(model, &writer, STATUS_UNSUPPORTED, "not a LoRA adapter");
    begin_adapter(&writer, "qwen2", 1);
    refused(model, &writer, STATUS_UNSUPPORTED, "architecture qwen2");
    begin_adapter(&writer, "llama", 1);
    gguf_writer_tensor(&writer, "blk.0.attn_q.weight.lora_a", QUANT_F32, 2, a, NULL);
    refused(model, &writer, STATUS_FORMAT, "blk.0.attn_q.weight.lora_b is missing");
    begin_adapter(&writer, "llama", 1);
    gguf_writer_tensor(&writer, "blk.0.attn_q.weight.lora_b", QUANT_F32, 2, b, NULL);
    refused(model, &writer, STATUS_FORMAT, "blk.0.attn_q.weight.lora_a is missing");
    begin_adapter(&writer, "llama", 1);
    gguf_writer_tensor(&writer, "blk.0.attn_q.weight.lora_a", QUANT_F32, 2, wrong, NULL);
    gguf_writer_tensor(&writer, "blk.0.attn_q.weight.lora_b", QUANT_F32, 2, b, NULL);
    refused(model, &writer, STATUS_FORMAT, "has shape (63, 3)");
    const char *impossible[] = {"token_embd.weight", "blk.0.ffn_down_exps.weight", "blk.99.attn_q.weight",
                                "blk.0.attn_norm.weight"};
    for (size_t i = 0; i < sizeof impossible / sizeof *impossible; i++) {
        char name[96];
        begin_adapter(&writer, "llama", 1);
        snprintf(name, sizeof name, "%s.lora_a", impossible[i]);
        gguf_writer_tensor(&writer, name, QUANT_F32, 2, a, NULL);
        snprintf(name, sizeof name, "%s.lora_b", impossible[i]);
        gguf_writer_tensor(&writer, name, QUANT_F32, 2, b, NULL);
        refused(model, &writer, STATUS_UNSUPPORTED, impossible[i]);
    }
    begin_adapter(&writer, "llama", 1);
    gguf_writer_tensor(&writer, "surprise", QUANT_F32, 2, a, NULL);
    refused(model, &writer, STATUS_UNSUPPORTED, "surprise");
    unlink(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_adapter_gives_what_merged_weights_give),
        cmocka_unit_test(wrong_adapters_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
