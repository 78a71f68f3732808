/* Tests that tests/model_mutant.c does what the fuzzer of models needs: the empty script is the model as it is, the same
 * script makes the same file, and of random scripts many are refused, by a line, and many still run. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/engine_private.h"
#include "tests/model_mutant.h"

static const char *const shapes[] = {"starcoder2-window", "llama",    "mixtral",  "qwen2-yarn", "qwen3",
                                     "qwen3moe",          "lite-old", "lite-new", "v3-nextn"};
enum { N_SHAPES = sizeof shapes / sizeof *shapes, N_SCRIPTS = 60, SCRIPT = 24 };

static struct mutant_source source_of(const char *shape)
{
    struct mutant_source source = mutant_source_make(synth_shape_find(shape));
    assert_true(source.file.size > 0 && !source.file.failed);
    return source;
}

static enum status run(const struct buffer *file, struct error *error)
{
    const struct engine_options options = {.model_path = "mutant", .n_threads = 1, .force = true};
    struct gguf *gguf;
    struct engine *engine = NULL;
    struct session *session = NULL;
    enum status status = gguf_open_memory(buffer_text(file), file->size, &gguf, error);
    if (!status)
        status = engine_open_gguf(gguf, &options, &engine, error);
    if (!status)
        status = session_open(engine, &(struct session_options){.n_ctx = 8}, &session, error);
    if (!status)
        status = session_sync(session, (int32_t[]){0, 5, 9}, 3, NULL, error);
    session_close(session);
    engine_close(engine);
    return status;
}

static void the_empty_script_changes_nothing(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_SHAPES; i++) {
        struct mutant_source source = source_of(shapes[i]);
        struct buffer file = {0};
        struct error error = {0};
        mutant_write(&source, NULL, 0, &file);
        assert_true(file.size < 256 * 1024);
        if (run(&file, &error))
            fail_msg("%s: %s", shapes[i], error.text);
        buffer_deinit(&file);
        buffer_deinit(&source.file);
    }
}

static void one_step_is_one_change(void **state)
{
    (void)state;
    struct mutant_source source = source_of("llama");
    struct buffer file = {0}, again = {0};
    struct error error = {0};
    /* one step; a tensor; its name; the first one; another layer's; the largest number */
    const uint8_t rename[] = {0, 112, 9, 0, 1, 101};
    mutant_write(&source, rename, sizeof rename, &file);
    mutant_write(&source, rename, sizeof rename, &again);
    assert_int_equal(file.size, again.size);
    assert_memory_equal(file.data, again.data, file.size);
    assert_int_equal(run(&file, &error), STATUS_FORMAT);
    assert_non_null(strstr(error.text, "tensor token_embd.weight is missing"));
    buffer_deinit(&file);
    buffer_deinit(&again);
    buffer_deinit(&source.file);
}

static void random_scripts_are_refused_or_run(void **state)
{
    (void)state;
    uint32_t random = 1;
    for (size_t i = 0; i < N_SHAPES; i++) {
        struct mutant_source source = source_of(shapes[i]);
        int n_run = 0, n_refused = 0;
        for (int k = 0; k < N_SCRIPTS; k++) {
            uint8_t script[SCRIPT];
            for (size_t at = 0; at < SCRIPT; at++) {
                random = random * 1664525 + 1013904223; /* Numerical Recipes' */
                script[at] = (uint8_t)(random >> 24);
            }
            struct buffer file = {0};
            struct error error = {0};
            mutant_write(&source, script, SCRIPT, &file);
            if (file.size) {
                enum status status = run(&file, &error);
                assert_true(status == STATUS_OK || (error.status == status && error.text[0]));
                n_run += status == STATUS_OK;
                n_refused += status != STATUS_OK;
            }
            buffer_deinit(&file);
        }
        if (n_run < N_SCRIPTS / 12 || n_refused < N_SCRIPTS / 3)
            fail_msg("%s: %d run, %d are refused", shapes[i], n_run, n_refused);
        buffer_deinit(&source.file);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_empty_script_changes_nothing),
        cmocka_unit_test(one_step_is_one_change),
        cmocka_unit_test(random_scripts_are_refused_or_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
