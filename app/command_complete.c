/* command_complete: fills in the middle at a place of a file. */
#include <stdlib.h>
#include <string.h>

#include "app/complete.h"
#include "app/complete_syntax.h"
#include "app/context_list.h"
#include "app/place.h"
#include "ui/visible.h"

/* What one run of the command holds. */
struct work {
    const struct command_context *context;
    struct place place;
    struct project project;
    struct gathered gathered;
    struct complete_syntax *syntax;
    struct engine *engine;
    struct completer *completer;
    struct complete_result result;
};

static cJSON *alternatives_json(const struct complete_result *result)
{
    cJSON *list = cJSON_CreateArray();
    for (size_t i = 1; i < result->n_ways; i++) {
        cJSON *way = cJSON_CreateObject();
        json_add(way, "text", json_text(buffer_text(&result->ways[i].text), result->ways[i].text.size));
        json_add_text(way, "stop", fim_stop_name(result->ways[i].stop));
        if (!cJSON_AddItemToArray(list, way))
            cJSON_Delete(way);
    }
    return list;
}

static void print_json(const struct work *work)
{
    const struct complete_result *result = &work->result;
    cJSON *object = cJSON_CreateObject();
    const struct buffer *text = result->n_ways ? &result->ways[0].text : NULL;
    json_add(object, "text", json_text(text ? buffer_text(text) : "", text ? text->size : 0));
    json_add_text(object, "stop", fim_stop_name(result->stop));
    json_add_integer(object, "tokens", (int64_t)result->n_tokens);
    json_add_integer(object, "cached", (int64_t)result->n_cached);
    json_add_integer(object, "prefilled", (int64_t)result->n_prefilled);
    json_add_integer(object, "decoded", (int64_t)result->n_decoded);
    json_add_real(object, "prompt_ms", result->prompt_ms, 3);
    json_add_real(object, "ttft_ms", result->ttft_ms, 3);
    json_add_real(object, "total_ms", result->total_ms, 3);
    json_add_text(object, "family", completer_format(work->completer)->name);
    json_add(object, "context", context_list_json(result->prompt));
    json_add(object, "alternatives", alternatives_json(result));
    output_json(work->context->out, object);
}

/* The text as it is for a pipe; for a terminal such that it can't act on it. */
static void print_text(const struct work *work)
{
    const struct command_context *context = work->context;
    for (size_t i = 0; i < work->result.n_ways; i++) {
        const struct buffer *text = &work->result.ways[i].text;
        struct buffer shown = {0};
        if (i)
            output_text(context->out, "----\n");
        if (context->out->is_terminal)
            visible_append(&shown, text->data, text->size, true);
        else
            buffer_append(&shown, text->data, text->size);
        if (context->out->is_terminal || work->result.n_ways > 1)
            buffer_append_byte(&shown, '\n');
        output_write(context->out, buffer_text(&shown), shown.size);
        buffer_deinit(&shown);
    }
}

static struct sampler_options sampling_of(const struct settings *settings)
{
    struct sampler_options options = settings_sampler(settings);
    if (!settings_is_given(settings, OPTION_TEMP))
        options.temperature = 0.2f;
    return options;
}

static enum status complete(struct work *work, struct error *error)
{
    const struct settings *settings = work->context->settings;
    struct slice prefix, suffix, text = {buffer_text(&work->place.text), work->place.text.size};
    struct complete_request request = {.sampling = sampling_of(settings),
                                       .n_predict = settings->max_tokens,
                                       .n_alternatives = (size_t)settings->alternatives,
                                       .answer_ms = settings->deadline,
                                       .plain = settings->continue_only};
    struct completer_options options = {.session = command_session_options(work->context)};
    options.session.drafts = false; /* several ways go on in one batch, which drafts nothing */
    complete_split(text, work->place.at, &prefix, &suffix);
    enum status status = place_gather(work->context, &work->project, work->engine, &work->place, &work->gathered,
                                      &request.prompt, error);
    if (status == STATUS_OK)
        status = complete_syntax_new(work->project.languages, slice_from(buffer_text(&work->place.path)), prefix,
                                     suffix, &work->syntax, error);
    request.syntax = complete_syntax_asked(work->syntax);
    if (status == STATUS_OK)
        status = completer_open(work->engine, &options, &work->completer, error);
    if (status == STATUS_OK)
        status = complete_run(work->completer, &request, &work->result, error);
    return status;
}

static enum exit_status run(const struct command_context *context)
{
    struct work work = {.context = context};
    struct error error = {0};
    enum exit_status exit = EXIT_DONE;
    if (!context->n_arguments)
        return command_fail_with(context, STATUS_ARGUMENT, "complete: it takes a place, FILE:LINE:COL");
    enum status status = place_read(context, context->arguments[0], &work.place, &error);
    if (status == STATUS_OK && work.place.text.size && memchr(work.place.text.data, 0, work.place.text.size))
        status = error_set(&error, STATUS_FORMAT, "%s: it is binary: there is a NUL byte in it",
                           buffer_text(&work.place.file));
    if (status == STATUS_OK)
        status = place_project(context, &work.place, &work.project, &error);
    if (status == STATUS_OK)
        status = settings_open_engine(context->settings, &work.engine, &error);
    if (status == STATUS_OK)
        status = complete(&work, &error);
    progress_end(context->progress);
    if (status == STATUS_OK && context->settings->json)
        print_json(&work);
    else if (status == STATUS_OK)
        print_text(&work);
    if (status == STATUS_OK && !work.result.n_ways)
        exit = EXIT_FOUND;
    complete_result_deinit(&work.result);
    completer_close(work.completer);
    if (work.engine)
        engine_close(work.engine);
    complete_syntax_free(work.syntax);
    gathered_deinit(&work.gathered);
    project_close(&work.project);
    place_deinit(&work.place);
    return status == STATUS_OK ? exit : command_fail(context, &error, NULL);
}

static const enum option_id options[] = {OPTION_STDIN, OPTION_ALTERNATIVES, OPTION_DEADLINE, OPTION_CONTINUE_ONLY,
                                         OPTION_NO_REFRESH};

const struct command command_complete = {
    .name = "complete",
    .synopsis = "[--stdin] [--alternatives N] [--json] FILE:LINE:COL",
    .summary = "fill in the middle at a place of a file",
    .help =
        "Prints what may stand at a place in a file: the rest of the line where something stands there already, a "
        "statement on an empty line, a block behind what opens one. LINE and COL count from 1, COL in bytes. What is "
        "put before the model, fathom context shows.\n"
        "\n"
        "Models that were taught to fill in see what stands before and behind the place in their own form. Others go "
        "on from what stands before it, in several ways, of which the one is taken that makes what stands behind it "
        "most likely.\n"
        "\n"
        "What follows is not repeated, and what would add syntax errors, as far as the language is known, is cut off "
        "or comes last. --temp is 0.2 here. "
        "Exit status 1: there is nothing to say.\n"
        "\n"
        "  fathom complete src/main.c:120:9\n"
        "  fathom complete --stdin --alternatives 3 src/main.c:120:9 < editor-buffer",
    .options = options,
    .n_options = sizeof options / sizeof *options,
    .n_arguments_max = 1,
    .completes = "file",
    .run = run,
};
