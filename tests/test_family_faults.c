/* Tests that a malformed model of any family ends in one line that names the key or tensor at fault, and one whose weights
 * are not finite in one that names the layer. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/engine_private.h"
#include "tests/gguf_writer.h"
#include "tests/synth.h"
#include "tests/synth_shapes.h"

/* A shape, what is wrong with its file, and what the message must name. */
struct fault_case {
    const char *shape;
    struct synth_fault fault;
    const char *named;
};

static const struct fault_case key_cases[] = {
    {"mixtral", {.key = "llama.expert_count", .value = 0}, "blk.0.ffn_gate"},
    {"mixtral", {.key = "llama.expert_count", .value = 7}, "ffn_gate_inp"},
    {"mixtral", {.key = "llama.expert_count", .value = 1u << 31}, "llama.expert_count"},
    {"mixtral", {.key = "llama.expert_used_count", .value = 9}, "llama.expert_used_count"},
    {"mixtral", {.key = "llama.expert_used_count", .value = 0}, "llama.expert_used_count"},
    {"mixtral", {.skip_key = "llama.expert_used_count"}, "llama.expert_used_count"},
    {"mixtral", {.key = "llama.rope.dimension_count", .value = 18}, "llama.rope.dimension_count"},
    {"qwen3moe", {.key = "qwen3moe.expert_count", .value = 0}, "qwen3moe.expert_count|ffn_gate"},
    {"qwen3moe", {.key = "qwen3moe.expert_count", .value = 1u << 31}, "qwen3moe.expert_count"},
    {"qwen3moe", {.key = "qwen3moe.expert_used_count", .value = 17}, "qwen3moe.expert_used_count"},
    {"qwen3moe", {.key = "qwen3moe.expert_feed_forward_length", .value = 65}, "ffn_gate_exps"},
    {"qwen3moe", {.key = "qwen3moe.expert_feed_forward_length", .value = 0}, "expert_feed_forward_length"},
    {"qwen3moe", {.key = "qwen3moe.attention.key_length", .value = 1u << 31}, "qwen3moe.attention.key_length"},
    {"qwen3moe", {.key = "qwen3moe.attention.key_length", .value = 24}, "attn_q.weight"},
    {"qwen3moe", {.skip_key = "qwen3moe.attention.key_length"}, "attn_q.weight"},
    {"starcoder2", {.skip_key = "starcoder2.attention.layer_norm_epsilon"}, "layer_norm_epsilon"},
    {"starcoder2-window", {.key = "starcoder2.attention.sliding_window", .value = 1u << 31}, "sliding_window"},
    {"qwen2-yarn", {.key = "qwen2.rope.scaling.original_context_length", .value = 0}, "original_context_length"},
    {"lite-old", {.key = "deepseek2.attention.kv_lora_rank", .value = 0}, "kv_lora_rank"},
    {"lite-old", {.key = "deepseek2.attention.kv_lora_rank", .value = 65}, "attn_kv_a_mqa"},
    {"lite-old", {.key = "deepseek2.attention.kv_lora_rank", .value = 1u << 31}, "kv_lora_rank"},
    {"lite-old", {.skip_key = "deepseek2.attention.kv_lora_rank"}, "kv_lora_rank"},
    {"lite-old", {.key = "deepseek2.attention.q_lora_rank", .value = 32}, "attn_q_a.weight"},
    {"lite-old", {.key = "deepseek2.rope.dimension_count", .value = 48}, "rope.dimension_count"},
    {"lite-old", {.key = "deepseek2.rope.dimension_count", .value = 15}, "rope.dimension_count|attn_kv_a_mqa"},
    {"lite-old", {.key = "deepseek2.rope.dimension_count", .value = 0}, "rope.dimension_count"},
    {"lite-old", {.skip_key = "deepseek2.rope.dimension_count"}, "rope.dimension_count"},
    {"lite-old", {.key = "deepseek2.attention.key_length", .value = 47}, "attn_q.weight"},
    {"lite-old", {.skip_key = "deepseek2.attention.key_length"}, "attention.key_length"},
    {"lite-old", {.key = "deepseek2.attention.value_length", .value = 0}, "attention.value_length"},
    {"lite-old", {.key = "deepseek2.expert_shared_count", .value = 3}, "ffn_gate_shexp"},
    {"lite-old", {.key = "deepseek2.expert_shared_count", .value = 0}, "ffn_gate_shexp"},
    {"lite-old", {.key = "deepseek2.expert_shared_count", .value = 1u << 31}, "expert_shared_count"},
    {"lite-old", {.key = "deepseek2.leading_dense_block_count", .value = 0}, "blk.0.ffn_gate_inp"},
    {"lite-old", {.key = "deepseek2.leading_dense_block_count", .value = 5}, "leading_dense_block_count"},
    {"lite-old", {.key = "deepseek2.expert_gating_func", .value = 99}, "expert_gating_func"},
    {"lite-old", {.key = "deepseek2.expert_count", .value = 0}, "blk.1.ffn_gate"},
    {"lite-old", {.key = "deepseek2.expert_count", .value = 1u << 31}, "deepseek2.expert_count"},
    {"lite-old", {.key = "deepseek2.expert_used_count", .value = 17}, "deepseek2.expert_used_count"},
    {"lite-new", {.skip_key = "deepseek2.attention.key_length_mla"}, "attn_q.weight|key_length"},
    {"lite-new", {.key = "deepseek2.attention.value_length_mla", .value = 25}, "attn_v_b"},
    {"v2", {.key = "deepseek2.expert_group_count", .value = 7}, "expert_group_count"},
    {"v2", {.key = "deepseek2.expert_group_count", .value = 1u << 31}, "expert_group_count"},
    {"v2", {.key = "deepseek2.expert_group_used_count", .value = 9}, "expert_group_used_count"},
    {"v2", {.key = "deepseek2.expert_group_used_count", .value = 0}, "expert_group_used_count"},
    {"v2", {.key = "deepseek2.expert_group_used_count", .value = 1}, "expert_group_used_count"},
    {"v3", {.key = "deepseek2.attention.q_lora_rank", .value = 95}, "attn_q_a"},
    {"v3", {.skip_key = "deepseek2.attention.q_lora_rank"}, "attn_q.weight"},
    {"v3", {.key = "deepseek2.expert_weights_norm", .value = 7}, "expert_weights_norm"},
    {"v3-nextn", {.key = "deepseek2.nextn_predict_layers", .value = 7}, "nextn_predict_layers"},
    {"v3-nextn", {.key = "deepseek2.nextn_predict_layers", .value = 0}, "nextn"},
    {"v3-nextn", {.key = "deepseek2.nextn_predict_layers", .value = 1u << 31}, "nextn_predict_layers"},
};

static const struct fault_case tensor_cases[] = {
    {"mixtral", {.skip_tensor = "blk.1.ffn_gate_inp.weight"}, "blk.1.ffn_gate_inp.weight"},
    {"mixtral", {.skip_tensor = "blk.2.ffn_up_exps.weight"}, "blk.2.ffn_up_exps.weight"},
    {"mixtral", {.skip_tensor = "blk.2.ffn_gate_exps.weight"}, "blk.2.ffn_gate_exps.weight"},
    {"mixtral", {.tensor = "blk.0.ffn_down_exps.weight", .shape = {96, 64, 7}}, "blk.0.ffn_down_exps.weight"},
    {"mixtral", {.extra_tensor = "blk.0.ffn_gate.weight"}, "blk.0.ffn_gate.weight"},
    {"qwen2", {.tensor = "blk.0.attn_k.bias", .shape = {31, 1, 1}}, "blk.0.attn_k.bias"},
    {"qwen3", {.skip_tensor = "blk.2.attn_k_norm.weight"}, "blk.2.attn_k_norm.weight"},
    {"qwen3", {.tensor = "blk.1.attn_q_norm.weight", .shape = {16, 1, 1}}, "blk.1.attn_q_norm.weight"},
    {"qwen3moe", {.tensor = "blk.1.ffn_gate_inp.weight", .shape = {96, 15, 1}}, "blk.1.ffn_gate_inp.weight"},
    {"starcoder2", {.skip_tensor = "output_norm.bias"}, "output_norm.bias"},
    {"starcoder2", {.skip_tensor = "blk.0.attn_norm.bias"}, "blk.0.attn_norm.bias"},
    {"starcoder2", {.tensor = "blk.1.ffn_up.bias", .shape = {96, 1, 1}}, "blk.1.ffn_up.bias"},
    {"llama-3.1", {.tensor = "rope_freqs.weight", .shape = {16, 1, 1}}, "rope_freqs.weight"},
    {"lite-old", {.skip_tensor = "blk.3.attn_kv_b.weight"}, "blk.3.attn_kv_b.weight"},
    {"lite-old", {.skip_tensor = "blk.0.ffn_gate.weight"}, "blk.0.ffn_gate.weight"},
    {"lite-old", {.skip_tensor = "blk.1.ffn_up_shexp.weight"}, "blk.1.ffn_up_shexp.weight"},
    {"lite-old", {.tensor = "blk.1.attn_kv_a_norm.weight", .shape = {80, 1, 1}}, "blk.1.attn_kv_a_norm.weight"},
    {"lite-old", {.tensor = "blk.1.attn_kv_a_mqa.weight", .shape = {128, 64, 1}}, "blk.1.attn_kv_a_mqa.weight"},
    {"lite-new", {.skip_tensor = "blk.2.attn_k_b.weight"}, "blk.2.attn_k"},
    {"lite-new", {.skip_tensor = "blk.2.attn_v_b.weight"}, "blk.2.attn_"},
    {"lite-new", {.tensor = "blk.0.attn_k_b.weight", .shape = {64, 32, 4}}, "blk.0.attn_k_b.weight"},
    {"lite-new", {.tensor = "blk.0.attn_v_b.weight", .shape = {64, 24, 3}}, "blk.0.attn_v_b.weight"},
    {"lite-fused", {.tensor = "blk.1.ffn_gate_up_exps.weight", .shape = {128, 79, 16}}, "blk.1.ffn_gate_up_exps"},
    {"lite-fused", {.skip_tensor = "blk.1.ffn_gate_up_exps.weight"}, "blk.1.ffn_"},
    {"v2", {.skip_tensor = "blk.0.attn_q_a_norm.weight"}, "blk.0.attn_q_a_norm.weight"},
    {"v2", {.skip_tensor = "blk.0.attn_q_b.weight"}, "blk.0.attn_q_b.weight"},
    {"v3", {.tensor = "blk.4.exp_probs_b.bias", .shape = {31, 1, 1}}, "blk.4.exp_probs_b.bias"},
    {"v3", {.extra_tensor = "blk.0.exp_probs_b.bias"}, "blk.0.exp_probs_b.bias"},
    {"v3", {.extra_tensor = "blk.6.attn_norm.weight"}, "blk.6.attn_norm.weight"},
};

/* The file, to be freed. */
static char *write_model(const char *shape, const struct synth_fault *fault, size_t *size)
{
    char *bytes = NULL;
    struct error error = {0};
    FILE *stream = open_memstream(&bytes, size);
    assert_non_null(stream);
    const struct synth_options options = {.seed = 3, .fault = fault};
    if (synth_write(stream, synth_shape_find(shape), &options, &error))
        fail_msg("%s: %s", shape, error.text);
    assert_int_equal(fclose(stream), 0);
    return bytes;
}

/* STATUS_OK and the model, or the error. */
static enum status load(const char *shape, const struct synth_fault *fault, struct error *error)
{
    size_t size = 0;
    char *bytes = write_model(shape, fault, &size);
    struct gguf *gguf;
    struct model *model = NULL;
    enum status status = gguf_open_memory(bytes, size, &gguf, error);
    if (!status)
        status = model_open(gguf, MODEL_TO_RUN, &model, error);
    if (!status)
        model_close(model);
    free(bytes);
    return status;
}

/* Whether the text contains one of the alternatives between bars. */
static bool names(const char *text, const char *alternatives)
{
    char one[128];
    for (const char *at = alternatives; *at;) {
        size_t size = strcspn(at, "|");
        snprintf(one, sizeof one, "%.*s", (int)size, at);
        if (strstr(text, one))
            return true;
        at += size + (at[size] == '|');
    }
    return false;
}

static void check(const struct fault_case *cases, size_t n)
{
    size_t n_wrong = 0;
    for (size_t i = 0; i < n; i++) {
        const struct fault_case *one = &cases[i];
        struct error error = {0};
        enum status status = load(one->shape, &one->fault, &error);
        if (status != STATUS_OK && names(error.text, one->named) && !strchr(error.text, '\n'))
            continue;
        n_wrong++;
        print_message("  case %zu (%s, %s): status %d, \"%s\"\n", i, one->shape, one->named, status, error.text);
    }
    if (n_wrong)
        fail_msg("%zu faults are not named", n_wrong);
}

static void every_small_shape_loads(void **state)
{
    (void)state;
    for (size_t i = 0; synth_shape_at(i); i++) {
        struct error error = {0};
        if (synth_shape_at(i)->n_vocab < 1000 && load(synth_shape_at(i)->name, NULL, &error))
            fail_msg("%s: %s", synth_shape_at(i)->name, error.text);
    }
}

/* ---- with the vocabulary, and run ---- */

static enum status open_bytes(const char *bytes, size_t size, struct engine **engine, struct error *error)
{
    const struct engine_options options = {.model_path = "small.gguf", .n_threads = 1, .force = true};
    struct gguf *gguf;
    enum status status = gguf_open_memory(bytes, size, &gguf, error);
    return status ? status : engine_open_gguf(gguf, &options, engine, error);
}

/* Tied and untied, with more and fewer rows than the 288 tokens. */
static void a_vocabulary_of_another_size_is_named(void **state)
{
    (void)state;
    static const struct synth_fault cases[] = {
        {.tensor = "token_embd.weight", .shape = {64, 289, 1}},
        {.tensor = "token_embd.weight", .shape = {64, 4096, 1}},
        {.tensor = "token_embd.weight", .shape = {64, 287, 1}},
        {.tensor = "token_embd.weight", .shape = {64, 1, 1}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t size = 0;
        char *bytes = write_model("llama", &cases[i], &size), counts[64];
        struct engine *engine = NULL;
        struct error error = {0};
        assert_int_equal(open_bytes(bytes, size, &engine, &error), STATUS_FORMAT);
        snprintf(counts, sizeof counts, "%d rows, but tokenizer.ggml.tokens 288", (int)cases[i].shape[1]);
        if (!strstr(error.text, "tensor token_embd.weight has") || !strstr(error.text, counts))
            fail_msg("\"%s\"", error.text);
        free(bytes);
    }
    struct error error = {0};
    const struct synth_fault longer = {.tensor = "output.weight", .shape = {64, 289, 1}};
    assert_int_equal(load("mixtral", &longer, &error), STATUS_FORMAT);
    assert_non_null(strstr(error.text, "output.weight"));
}

/* Gives all of a tensor's numbers (F32) the value. */
static void plant(char *bytes, size_t size, const char *name, float value)
{
    struct gguf *gguf = NULL;
    assert_int_equal(gguf_open_memory(bytes, size, &gguf, NULL), STATUS_OK);
    const struct gguf_tensor *tensor = gguf_find_tensor(gguf, name);
    if (!tensor)
        fail_msg("there is no %s", name);
    assert_int_equal(tensor->type, QUANT_F32);
    char *data = bytes + ((const char *)tensor->data - bytes);
    for (size_t at = 0; at < tensor->n_bytes; at += 4)
        memcpy(data + at, &value, 4);
    gguf_close(gguf);
}

static void what_is_not_finite_is_named_by_its_layer(void **state)
{
    (void)state;
    static const struct {
        const char *shape, *tensor;
        float value;
        const char *named;
    } cases[] = {
        {"llama", "token_embd.weight", NAN, "the token embeddings "},
        {"llama", "blk.0.attn_norm.weight", NAN, "layer 0 "},
        {"llama", "blk.0.attn_k.weight", INFINITY, "layer 0 "},
        {"llama", "blk.1.attn_v.weight", NAN, "layer 1 "},
        {"llama", "blk.2.ffn_down.weight", 1e38f, "layer 2 "},
        {"llama", "blk.1.ffn_up.weight", 3e38f, "layer 1 "},
        {"llama", "output_norm.weight", NAN, "the output layer "},
        {"llama-3.1", "rope_freqs.weight", NAN, "layer 0 "},
        {"llama-3.1", "output.weight", NAN, "the output layer "},
        {"mixtral", "blk.1.ffn_gate_inp.weight", NAN, "layer 1 "},
        {"mixtral", "blk.2.ffn_gate_exps.weight", NAN, "layer 2 "},
        {"qwen2", "blk.1.attn_q.bias", NAN, "layer 1 "},
        {"qwen3", "blk.1.attn_k_norm.weight", -INFINITY, "layer 1 "},
        {"qwen3moe", "blk.2.ffn_down_exps.weight", NAN, "layer 2 "},
        {"starcoder2", "blk.0.ffn_down.bias", INFINITY, "layer 0 "},
        {"starcoder2", "blk.2.attn_norm.bias", NAN, "layer 2 "},
        {"lite-old", "blk.3.attn_kv_b.weight", NAN, "layer 3 "},
        {"lite-old", "blk.1.ffn_up_shexp.weight", NAN, "layer 1 "},
        {"lite-new", "blk.2.attn_k_b.weight", NAN, "layer 2 "},
        {"lite-new", "blk.0.attn_kv_a_mqa.weight", NAN, "layer 0 "},
        {"lite-fused", "blk.3.ffn_gate_up_exps.weight", NAN, "layer 3 "},
        {"v3", "blk.1.attn_q_a.weight", NAN, "layer 1 "},
        {"v3", "blk.4.ffn_gate_inp.weight", NAN, "layer 4 "},
    };
    size_t n_wrong = 0;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t size = 0;
        char *bytes = write_model(cases[i].shape, NULL, &size);
        plant(bytes, size, cases[i].tensor, cases[i].value);
        struct engine *engine = NULL;
        struct session *session = NULL;
        struct error error = {0};
        if (open_bytes(bytes, size, &engine, &error) ||
            session_open(engine, &(struct session_options){.n_ctx = 16, .n_slice = 3}, &session, &error))
            fail_msg("%s: %s", cases[i].shape, error.text);
        enum status status = session_sync(session, (int32_t[]){1, 100, 7, 30, 2}, 5, NULL, &error);
        if (status != STATUS_NUMERIC || !strstr(error.text, cases[i].named)) {
            print_message("  %s, %s: status %d, \"%s\"\n", cases[i].shape, cases[i].tensor, status, error.text);
            n_wrong++;
        }
        session_close(session);
        engine_close(engine);
        free(bytes);
    }
    if (n_wrong)
        fail_msg("%zu are not named", n_wrong);
}

static void wrong_keys_are_named(void **state)
{
    (void)state;
    check(key_cases, sizeof key_cases / sizeof *key_cases);
}

static void wrong_tensors_are_named(void **state)
{
    (void)state;
    check(tensor_cases, sizeof tensor_cases / sizeof *tensor_cases);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_small_shape_loads),
        cmocka_unit_test(wrong_keys_are_named),
        cmocka_unit_test(wrong_tensors_are_named),
        cmocka_unit_test(a_vocabulary_of_another_size_is_named),
        cmocka_unit_test(what_is_not_finite_is_named_by_its_layer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
