/* command_eval: which tokens come next after a list of tokens, with their log-probabilities. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include <cjson/cJSON.h>

#include "app/command.h"

static void print_json(const struct command_context *context, const struct engine *engine,
                       const struct token_probability *top, size_t n)
{
    cJSON *object = cJSON_CreateObject(), *list = cJSON_CreateArray();
    json_add_integer(object, "n_vocab", engine_n_vocab(engine));
    for (size_t i = 0; i < n; i++) {
        struct slice piece = engine_piece(engine, top[i].id, true);
        cJSON *entry = cJSON_CreateObject();
        json_add_integer(entry, "id", top[i].id);
        json_add(entry, "piece", json_text(piece.data, piece.size));
        json_add_real(entry, "logprob", top[i].logprob, 6);
        if (!cJSON_AddItemToArray(list, entry))
            cJSON_Delete(entry);
    }
    json_add(object, "top", cJSON_GetArraySize(list) == (int)n ? list : NULL);
    output_json(context->out, object);
}

static void print_table(const struct command_context *context, const struct engine *engine,
                        const struct token_probability *top, size_t n)
{
    struct buffer text = {0};
    for (size_t i = 0; i < n; i++) {
        struct slice piece = engine_piece(engine, top[i].id, true);
        buffer_clear(&text);
        json_append_string(&text, piece.data, piece.size);
        output_printf(context->out, "%8d  %10.4f  %7.3f %%  %s\n", top[i].id, (double)top[i].logprob,
                      100 * exp((double)top[i].logprob), buffer_text(&text));
    }
    buffer_deinit(&text);
}

static enum exit_status print_top(const struct command_context *context, const struct engine *engine,
                                  const float *logits)
{
    int32_t n_vocab = engine_n_vocab(engine);
    size_t n = context->settings->top < n_vocab ? (size_t)context->settings->top : (size_t)n_vocab;
    struct token_probability *top = calloc(n, sizeof *top);
    if (!top)
        return command_fail_with(context, STATUS_MEMORY, "eval: out of memory");
    n = logits_top(logits, n_vocab, top, n);
    if (context->settings->json)
        print_json(context, engine, top, n);
    else
        print_table(context, engine, top, n);
    free(top);
    return EXIT_DONE;
}

static enum exit_status evaluate(const struct command_context *context, struct engine *engine,
                                 const struct tokens *tokens)
{
    struct error error;
    struct session *session;
    struct session_options options = command_session_options(context);
    /* A context just large enough: the default one may be many times what these tokens need. */
    if (!settings_is_given(context->settings, OPTION_CONTEXT) && tokens->n <= INT32_MAX)
        options.n_ctx = (int32_t)tokens->n;
    enum status status = session_open(engine, &options, &session, &error);
    if (status != STATUS_OK)
        return command_fail(context, &error, NULL);
    status = session_sync(session, tokens->ids, tokens->n, NULL, &error);
    enum exit_status result =
        status == STATUS_OK ? print_top(context, engine, session_logits(session)) : command_fail(context, &error, NULL);
    session_close(session);
    return result;
}

static enum exit_status run(const struct command_context *context)
{
    struct engine *engine;
    struct error error;
    struct tokens tokens = {0};
    if (!settings_is_given(context->settings, OPTION_TOKENS))
        return command_fail_with(context, STATUS_ARGUMENT, "eval: no tokens (name them: --tokens 1,2,3)");
    enum status status = settings_open_engine(context->settings, &engine, &error);
    if (status != STATUS_OK)
        return command_fail(context, &error, NULL);
    status = command_read_ids(context, OPTION_TOKENS, engine_n_vocab(engine), &tokens, &error);
    if (status == STATUS_OK && tokens.n == 0)
        status = error_set(&error, STATUS_ARGUMENT, "--tokens: the list is empty (it takes at least one id)");
    enum exit_status result =
        status == STATUS_OK ? evaluate(context, engine, &tokens) : command_fail(context, &error, NULL);
    tokens_deinit(&tokens);
    engine_close(engine);
    return result;
}

static const enum option_id options[] = {OPTION_TOKENS, OPTION_TOP};

const struct command command_eval = {
    .name = "eval",
    .synopsis = "--tokens IDS [--top N]",
    .summary = "print the most likely next tokens",
    .help =
        "Evaluates the tokens and prints what the model expects next: id, natural logarithm of the probability, the "
        "probability, the token's text. Nothing is put before the tokens; fathom tokenize gives ids.\n"
        "\n"
        "  fathom eval --tokens \"$(fathom tokenize 'The capital of France is')\" --top 5",
    .options = options,
    .n_options = sizeof options / sizeof *options,
    .run = run,
};
