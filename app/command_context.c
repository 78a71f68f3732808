/* command_context: what would be put before the model for a completion, what each piece costs, and why it is there. */
#include <stdlib.h>
#include <string.h>

#include "app/context_list.h"
#include "app/place.h"

static void print_json(const struct command_context *context, const struct fim_prompt *prompt,
                       const struct fim_format *format)
{
    cJSON *object = cJSON_CreateObject();
    json_add_integer(object, "tokens", (int64_t)prompt->tokens.n);
    json_add_integer(object, "budget", context->settings->budget);
    json_add(object, "pieces", context_list_json_texts(prompt));
    json_add_integer(object, "left_out", (int64_t)prompt->n_left_out);
    json_add_text(object, "family", format->name);
    output_json(context->out, object);
}

static enum exit_status run(const struct command_context *context)
{
    struct place place = {0};
    struct project project = {0};
    struct engine *engine = NULL;
    struct gathered gathered = {0};
    struct fim_request request = {0};
    struct fim_prompt *prompt = NULL;
    struct fim_format format = {0};
    struct error error = {0};
    if (!context->n_arguments)
        return command_fail_with(context, STATUS_ARGUMENT, "context: it takes a place, FILE:LINE:COL");
    enum status status = place_read(context, context->arguments[0], &place, &error);
    if (status == STATUS_OK)
        status = place_project(context, &place, &project, &error);
    if (status == STATUS_OK)
        status = settings_open_engine(context->settings, &engine, &error);
    if (status == STATUS_OK) {
        format = fim_format_of(engine);
        status = place_gather(context, &project, engine, &place, &gathered, &request, &error);
    }
    if (status == STATUS_OK)
        status = fim_prompt_build(engine, &format, &request, &prompt, &error);
    if (status == STATUS_OK && context->settings->json)
        print_json(context, prompt, &format);
    else if (status == STATUS_OK)
        context_list_print(context, prompt, (size_t)context->settings->budget);
    fim_prompt_free(prompt);
    gathered_deinit(&gathered);
    if (engine)
        engine_close(engine);
    project_close(&project);
    place_deinit(&place);
    return status == STATUS_OK ? EXIT_DONE : command_fail(context, &error, NULL);
}

static const enum option_id options[] = {OPTION_STDIN, OPTION_NO_REFRESH};

const struct command command_context = {
    .name = "context",
    .synopsis = "[--stdin] [--budget N] FILE:LINE:COL",
    .summary = "what is put before the model to complete a place, and why",
    .help =
        "Shows what `fathom complete` puts before the model for a place in a file: the windows of the file around it, "
        "and pieces from elsewhere in its repository, in their order, with the tokens that each costs and the reason "
        "for it. LINE and COL count from 1, COL in bytes. All together are never more than the budget.\n"
        "\n"
        "Pieces are definitions of the names used near the cursor, similar code, what was edited since the last "
        "commit, and the signatures that matter most (fathom map). Nothing is taken from the place itself, nor "
        "from files that the index leaves out: ignored ones, keys, .env. In a folder without git, pieces come from "
        "what `fathom index` has read there.\n"
        "\n"
        "  fathom context src/main.c:120:9\n"
        "  fathom context --stdin --json --budget 4096 src/main.c:120:9 < editor-buffer",
    .options = options,
    .n_options = sizeof options / sizeof *options,
    .n_arguments_max = 1,
    .completes = "file",
    .run = run,
};
