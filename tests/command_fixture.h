/* command_fixture: running a command on the scripted model as main would, and looking at what it printed.
 *
 * For tests/test_app_*.c, each of which gets a copy of its own: state is the test's. */
#ifndef FATHOM_TESTS_COMMAND_FIXTURE_H
#define FATHOM_TESTS_COMMAND_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cjson/cJSON.h>

#include "app/command.h"
#include "tests/fake_engine.h"

struct result {
    enum exit_status status;
    struct output out, err; /* in memory */
    cJSON *json;            /* of out, where it is JSON */
};

static char model_path[] = "/tmp/fathom-test-model-XXXXXX";
static atomic_bool cancel;

static inline struct result run(const char *const *words)
{
    struct result result = {.out = {.fd = -1}, .err = {.fd = -1}};
    struct settings settings;
    struct command_line line;
    struct progress progress;
    struct error error;
    size_t n = 0, word;
    while (words[n])
        n++;
    assert_int_equal(settings_init(&settings, &error), STATUS_OK);
    settings.model = model_path;
    command_line_find_word(words, n, &word);
    assert_true(word < n);
    const struct command *command = command_find(words[word]);
    assert_non_null(command);
    progress_init(&progress, -1, PROGRESS_NONE);
    enum status status = command_line_parse(words, n, word, command->name, command->options, command->n_options,
                                            &settings, &line, &error);
    struct command_context context = {.command = command,
                                      .settings = &settings,
                                      .arguments = line.arguments,
                                      .n_arguments = line.n_arguments,
                                      .in = STDIN_FILENO,
                                      .out = &result.out,
                                      .err = &result.err,
                                      .cancel = &cancel,
                                      .progress = &progress};
    result.status = status == STATUS_OK ? command->run(&context) : command_fail(&context, &error, NULL);
    progress_deinit(&progress);
    settings_deinit(&settings);
    if (settings.json || *buffer_text(&result.out.pending) == '{')
        result.json = cJSON_Parse(buffer_text(&result.out.pending));
    return result;
}

static inline void release(struct result *result)
{
    cJSON_Delete(result->json);
    output_deinit(&result->out);
    output_deinit(&result->err);
}

#define RUN(...) run((const char *const[]){__VA_ARGS__, NULL})

/* Output, no complaint, status 0. */
static inline void expect_output(const char *const *words, const char *output)
{
    struct result result = run(words);
    assert_string_equal(buffer_text(&result.out.pending), output);
    assert_string_equal(buffer_text(&result.err.pending), "");
    assert_int_equal(result.status, EXIT_DONE);
    release(&result);
}

/* One line on err, nothing on out. */
static inline void expect_failure(const char *const *words, enum exit_status status, const char *line)
{
    struct result result = run(words);
    assert_int_equal(result.out.pending.size, 0);
    assert_string_equal(buffer_text(&result.err.pending), line);
    assert_int_equal(result.status, status);
    release(&result);
}

#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})

static inline double number(const cJSON *object, const char *key)
{
    const cJSON *node = cJSON_GetObjectItemCaseSensitive(object, key);
    assert_true(cJSON_IsNumber(node));
    return node->valuedouble;
}

static inline const char *text(const cJSON *object, const char *key)
{
    const cJSON *node = cJSON_GetObjectItemCaseSensitive(object, key);
    assert_true(cJSON_IsString(node));
    return node->valuestring;
}

static inline int reset(void **state)
{
    (void)state;
    fake_engine_reset();
    atomic_store(&cancel, false);
    return 0;
}

#endif
