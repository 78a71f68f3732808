/* Tests loading a model: what a small right file gives, and that every wrong one ends in one line that names its fault. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/model.h"
#include "tests/gguf_writer.h"
#include "tests/synth.h"

enum { VOCAB = 48, EMBD = 32, FF = 64, HEADS = 4, HEADS_KV = 2, LAYERS = 2, HEAD = EMBD / HEADS };

/* What to do differently from a right file. */
struct fault {
    const char *skip_key, *skip_tensor; /* leave out */
    const char *key;                    /* write this u32 key as value */
    uint32_t value;
    const char *tensor; /* give this tensor another shape or type */
    uint64_t shape[2];
    enum quant_type type;
    const char *extra_tensor;
    const char *arch;
    const char *rope_scaling;
};

static void write_key(struct gguf_writer *writer, const struct fault *fault, const char *key, uint32_t value)
{
    if (fault->skip_key && strcmp(fault->skip_key, key) == 0)
        return;
    gguf_writer_u32(writer, key, fault->key && strcmp(fault->key, key) == 0 ? fault->value : value);
}

static void write_tensor(struct gguf_writer *writer, const struct fault *fault, const char *name, uint64_t cols,
                         uint64_t rows)
{
    if (fault->skip_tensor && strcmp(fault->skip_tensor, name) == 0)
        return;
    uint64_t shape[2] = {cols, rows};
    enum quant_type type = QUANT_F32;
    if (fault->tensor && strcmp(fault->tensor, name) == 0) {
        if (fault->shape[0])
            memcpy(shape, fault->shape, sizeof shape);
        type = fault->type;
    }
    gguf_writer_tensor(writer, name, type, rows == 1 ? 1 : 2, shape, NULL);
}

static void write_model(struct buffer *file, const struct fault *fault)
{
    struct gguf_writer writer = {0};
    gguf_writer_text(&writer, "general.architecture", fault->arch ? fault->arch : "llama");
    write_key(&writer, fault, "llama.block_count", LAYERS);
    write_key(&writer, fault, "llama.context_length", 128);
    write_key(&writer, fault, "llama.embedding_length", EMBD);
    write_key(&writer, fault, "llama.feed_forward_length", FF);
    write_key(&writer, fault, "llama.attention.head_count", HEADS);
    write_key(&writer, fault, "llama.attention.head_count_kv", HEADS_KV);
    write_key(&writer, fault, "llama.rope.dimension_count", HEAD);
    write_key(&writer, fault, "llama.expert_count", 0);
    if (!fault->skip_key || strcmp(fault->skip_key, "llama.attention.layer_norm_rms_epsilon") != 0)
        gguf_writer_f32(&writer, "llama.attention.layer_norm_rms_epsilon", 1e-5f);
    if (fault->rope_scaling) {
        gguf_writer_text(&writer, "llama.rope.scaling.type", fault->rope_scaling);
        gguf_writer_f32(&writer, "llama.rope.scaling.factor", 4.0f);
    }
    write_tensor(&writer, fault, "token_embd.weight", EMBD, VOCAB);
    write_tensor(&writer, fault, "output_norm.weight", EMBD, 1);
    static const struct {
        const char *name;
        uint64_t cols, rows;
    } tensors[] = {
        {"attn_norm.weight", EMBD, 1},
        {"attn_q.weight", EMBD, EMBD},
        {"attn_k.weight", EMBD, HEADS_KV * HEAD},
        {"attn_v.weight", EMBD, HEADS_KV * HEAD},
        {"attn_output.weight", EMBD, EMBD},
        {"ffn_norm.weight", EMBD, 1},
        {"ffn_gate.weight", EMBD, FF},
        {"ffn_up.weight", EMBD, FF},
        {"ffn_down.weight", FF, EMBD},
    };
    for (int layer = 0; layer < LAYERS; layer++)
        for (size_t i = 0; i < sizeof tensors / sizeof *tensors; i++) {
            char name[64];
            snprintf(name, sizeof name, "blk.%d.%s", layer, tensors[i].name);
            write_tensor(&writer, fault, name, tensors[i].cols, tensors[i].rows);
        }
    if (fault->extra_tensor)
        gguf_writer_tensor(&writer, fault->extra_tensor, QUANT_F32, 1, (uint64_t[]){EMBD, 1}, NULL);
    gguf_writer_finish(&writer, file);
    gguf_writer_deinit(&writer);
    assert_false(file->failed);
}

static enum status load(const struct fault *fault, struct model **model, struct buffer *file, struct error *error)
{
    *model = NULL;
    *error = (struct error){0};
    write_model(file, fault);
    struct gguf *gguf;
    enum status status = gguf_open_memory(file->data, file->size, &gguf, error);
    return status ? status : model_open(gguf, MODEL_TO_RUN, model, error);
}

static void a_right_file_is_bound(void **state)
{
    (void)state;
    struct model *model;
    struct buffer file = {0};
    struct error error;
    if (load(&(struct fault){0}, &model, &file, &error))
        fail_msg("%s", error.text);
    const struct hparams *h = &model->hparams;
    assert_int_equal(h->n_layer, LAYERS);
    assert_int_equal(h->n_vocab, VOCAB);
    assert_int_equal(h->n_embd_head_k, HEAD);
    assert_true(fabs((double)h->attention_scale - 1 / sqrt(HEAD)) < 1e-6);
    assert_true(h->rope.theta == 10000.0f && h->rope.scale == 1.0f);
    assert_ptr_equal(model->output.data, model->token_embd.data); /* tied */
    assert_int_equal(model->layers[1].ffn_down.n_cols, FF);
    assert_int_equal(model->layers[1].ffn_down.row_bytes, FF * 4);
    assert_null(model->layers[0].attn_q_bias.data);
    uint64_t layer = 4 * (2 * EMBD * EMBD + 2 * EMBD * HEADS_KV * HEAD + 3 * EMBD * FF + 2 * EMBD);
    assert_int_equal(model->bytes_per_token, 4 * EMBD + 4 * EMBD + 4 * EMBD * VOCAB + LAYERS * layer);
    assert_int_equal(model->n_params, EMBD + EMBD * VOCAB + LAYERS * layer / 4);
    assert_int_equal(model->n_active, model->n_params);
    assert_int_equal(model->made_bytes, 0);
    model_close(model);
    buffer_deinit(&file);
}

static void linear_scaling_is_taken(void **state)
{
    (void)state;
    struct model *model;
    struct buffer file = {0};
    struct error error;
    assert_int_equal(load(&(struct fault){.rope_scaling = "linear"}, &model, &file, &error), STATUS_OK);
    assert_true(model->hparams.rope.scale == 0.25f);
    model_close(model);
    buffer_deinit(&file);
    assert_int_equal(load(&(struct fault){.rope_scaling = "none"}, &model, &file, &error), STATUS_OK);
    assert_true(model->hparams.rope.scale == 1.0f);
    model_close(model);
    buffer_deinit(&file);
}

static void every_fault_is_named(void **state)
{
    (void)state;
    static const struct {
        struct fault fault;
        enum status status;
        const char *named;
    } faults[] = {
        {{.arch = "abacus"}, STATUS_UNSUPPORTED, "abacus"},
        {{.skip_key = "llama.block_count"}, STATUS_NOT_FOUND, "llama.block_count"},
        {{.skip_key = "llama.context_length"}, STATUS_NOT_FOUND, "llama.context_length"},
        {{.skip_key = "llama.embedding_length"}, STATUS_NOT_FOUND, "llama.embedding_length"},
        {{.skip_key = "llama.feed_forward_length"}, STATUS_NOT_FOUND, "llama.feed_forward_length"},
        {{.skip_key = "llama.attention.head_count"}, STATUS_NOT_FOUND, "llama.attention.head_count"},
        {{.skip_key = "llama.attention.layer_norm_rms_epsilon"}, STATUS_FORMAT, "layer_norm_rms_epsilon"},
        {{.key = "llama.block_count", .value = 0}, STATUS_FORMAT, "llama.block_count"},
        {{.key = "llama.block_count", .value = 3}, STATUS_FORMAT, "blk.2.attn_norm.weight"},
        {{.key = "llama.block_count", .value = 1}, STATUS_UNSUPPORTED, "blk.1."},
        {{.key = "llama.block_count", .value = UINT32_MAX}, STATUS_FORMAT, "llama.block_count"},
        {{.key = "llama.embedding_length", .value = 64}, STATUS_FORMAT, "token_embd.weight"},
        {{.key = "llama.embedding_length", .value = 32768}, STATUS_FORMAT, "attention.head_count"},
        {{.key = "llama.embedding_length", .value = 1u << 31}, STATUS_FORMAT, "llama.embedding_length"},
        {{.key = "llama.feed_forward_length", .value = 65}, STATUS_FORMAT, "ffn_gate.weight"},
        {{.key = "llama.attention.head_count", .value = 0}, STATUS_FORMAT, "llama.attention.head_count"},
        {{.key = "llama.attention.head_count", .value = 3}, STATUS_FORMAT, "head_count_kv"},
        {{.key = "llama.attention.head_count", .value = 64}, STATUS_FORMAT, "head_count"},
        {{.key = "llama.attention.head_count_kv", .value = 4}, STATUS_FORMAT, "attn_k.weight"},
        {{.key = "llama.attention.head_count_kv", .value = 0}, STATUS_FORMAT, "head_count_kv"},
        {{.key = "llama.rope.dimension_count", .value = 3}, STATUS_FORMAT, "rope.dimension_count"},
        {{.key = "llama.rope.dimension_count", .value = 10}, STATUS_FORMAT, "rope.dimension_count"},
        {{.key = "llama.expert_count", .value = 8}, STATUS_NOT_FOUND, "llama.expert_used_count"},
        {{.key = "llama.expert_count", .value = 1u << 31}, STATUS_FORMAT, "llama.expert_count"},
        {{.rope_scaling = "longrope"}, STATUS_UNSUPPORTED, "longrope"},
        {{.skip_tensor = "token_embd.weight"}, STATUS_FORMAT, "token_embd.weight"},
        {{.skip_tensor = "output_norm.weight"}, STATUS_FORMAT, "output_norm.weight"},
        {{.skip_tensor = "blk.1.ffn_down.weight"}, STATUS_FORMAT, "blk.1.ffn_down.weight is missing"},
        {{.extra_tensor = "blk.0.ffn_gate_inp.weight"}, STATUS_UNSUPPORTED, "blk.0.ffn_gate_inp.weight"},
        {{.extra_tensor = "blk.7.attn_norm.weight"}, STATUS_UNSUPPORTED, "blk.7.attn_norm.weight"},
        {{.extra_tensor = "blk.00.attn_norm.weight"}, STATUS_UNSUPPORTED, "blk.00.attn_norm.weight"},
        {{.extra_tensor = "surprise"}, STATUS_UNSUPPORTED, "surprise"},
        {{.tensor = "blk.0.attn_q.weight", .shape = {EMBD, EMBD - 1}}, STATUS_FORMAT, "blk.0.attn_q.weight"},
        {{.tensor = "blk.0.attn_norm.weight", .type = QUANT_F16}, STATUS_UNSUPPORTED, "blk.0.attn_norm.weight"},
        {{.tensor = "blk.0.attn_q.weight", .type = QUANT_I32}, STATUS_UNSUPPORTED, "blk.0.attn_q.weight"},
    };
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        struct model *model;
        struct buffer file = {0};
        struct error error;
        enum status status = load(&faults[i].fault, &model, &file, &error);
        if (status != faults[i].status || !strstr(error.text, faults[i].named) || strchr(error.text, '\n'))
            fail_msg("fault %zu: status %d, \"%s\" instead of %d and \"%s\"", i, status, error.text, faults[i].status,
                     faults[i].named);
        assert_null(model);
        buffer_deinit(&file);
    }
}

static size_t write_shape(const struct synth_shape *shape, char **data)
{
    size_t size;
    FILE *file = open_memstream(data, &size);
    assert_non_null(file);
    assert_int_equal(synth_write(file, shape, &(struct synth_options){.seed = 1}, NULL), STATUS_OK);
    assert_int_equal(fclose(file), 0);
    return size;
}

/* What a token reads of the tensors of a file with n_layer layers that run, by their names. */
static uint64_t active_by_names(const struct gguf *gguf, const struct synth_shape *shape)
{
    uint64_t n = 0;
    for (size_t i = 0; i < gguf_n_tensors(gguf); i++) {
        const struct gguf_tensor *tensor = gguf_tensor_at(gguf, i);
        char name[128];
        int layer;
        snprintf(name, sizeof name, "%.*s", (int)tensor->name.size, tensor->name.data);
        if (sscanf(name, "blk.%d.", &layer) == 1 && layer >= shape->n_layer)
            continue; /* it foretells further tokens */
        if (strcmp(name, "token_embd.weight") == 0 && !shape->is_tied)
            n += (uint64_t)shape->n_embd;
        else if (strstr(name, "_exps."))
            n += tensor->n_elements / (uint64_t)shape->n_expert * (uint64_t)shape->n_expert_used;
        else
            n += tensor->n_elements;
    }
    return n;
}

static void what_a_token_reads_is_counted(void **state)
{
    (void)state;
    static const char *const shapes[] = {"llama-3.1", "qwen2", "starcoder2", "mixtral", "qwen3moe", "v3", "v3-nextn"};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        const struct synth_shape *shape = synth_shape_find(shapes[i]);
        struct gguf *gguf, *second;
        struct model *model;
        char *data;
        size_t size = write_shape(shape, &data);
        assert_int_equal(gguf_open_memory(data, size, &gguf, NULL), STATUS_OK);
        assert_int_equal(gguf_open_memory(data, size, &second, NULL), STATUS_OK);
        assert_int_equal(model_open(second, MODEL_TO_DESCRIBE, &model, NULL), STATUS_OK);
        if (model->n_active != active_by_names(gguf, shape))
            fail_msg("%s: %llu instead of %llu", shapes[i], (unsigned long long)model->n_active,
                     (unsigned long long)active_by_names(gguf, shape));
        assert_true(model->n_active < model->n_params || (shape->is_tied && !shape->n_expert));
        model_close(model);
        gguf_close(gguf);
        free(data);
    }
}

/* Old files of latent attention have the keys' matrices the other way round. */
static void weights_made_at_load_are_counted(void **state)
{
    (void)state;
    static const char *const shapes[] = {"lite-old", "lite-f16", "lite-new"};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        const struct synth_shape *shape = synth_shape_find(shapes[i]);
        struct gguf *gguf;
        struct model *model;
        char *data;
        size_t size = write_shape(shape, &data);
        assert_int_equal(gguf_open_memory(data, size, &gguf, NULL), STATUS_OK);
        assert_int_equal(model_open(gguf, MODEL_TO_RUN, &model, NULL), STATUS_OK);
        size_t made = 0;
        for (int32_t k = 0; i < 2 && k < shape->n_layer; k++)
            made += model->layers[k].attn_k_b.mat_bytes * (size_t)model->layers[k].attn_k_b.n_mats;
        assert_int_equal(model->made_bytes, made);
        assert_true((made > 0) == (i < 2));
        model_close(model);
        free(data);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_right_file_is_bound),
        cmocka_unit_test(linear_scaling_is_taken),
        cmocka_unit_test(every_fault_is_named),
        cmocka_unit_test(what_a_token_reads_is_counted),
        cmocka_unit_test(weights_made_at_load_are_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
