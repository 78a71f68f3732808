/* command_perplexity: how well a model foretells a text.  How it is measured is said in perplexity.h. */
#include <math.h>

#include <cjson/cJSON.h>

#include "app/perplexity.h"

static void print(const struct command_context *context, const struct perplexity_text *text,
                  const struct perplexity *score)
{
    if (!context->settings->json) {
        output_printf(context->out, "ppl %.4f  nll %.6f  (%zu tokens scored, in %zu chunk%s of %zu)\n", exp(score->nll),
                      score->nll, score->n_scored, text->n_chunks, text->n_chunks == 1 ? "" : "s", text->chunk);
        return;
    }
    cJSON *object = cJSON_CreateObject();
    json_add_real(object, "ppl", exp(score->nll), 6);
    json_add_real(object, "nll", score->nll, 8);
    json_add_integer(object, "n_scored", (int64_t)score->n_scored);
    json_add_integer(object, "n_chunks", (int64_t)text->n_chunks);
    json_add_integer(object, "chunk", (int64_t)text->chunk);
    output_json(context->out, object);
}

static enum exit_status run(const struct command_context *context)
{
    struct perplexity_text text;
    struct perplexity score;
    struct error error;
    enum status status = perplexity_text_init(&text, context, "perplexity", &error);
    if (status == STATUS_OK)
        status = perplexity_measure(&text, context, settings_kv_type(context->settings), &score, &error);
    if (status == STATUS_OK)
        print(context, &text, &score);
    perplexity_text_deinit(&text);
    return status == STATUS_OK ? EXIT_DONE : command_fail(context, &error, NULL);
}

static const enum option_id options[] = {OPTION_FILE};

const struct command command_perplexity = {
    .name = "perplexity",
    .synopsis = "-f FILE [-c N]",
    .summary = "measure how well a model foretells a text",
    .help =
        "Prints the perplexity of a text: e to the mean negative log-probability (nll) of its tokens. The text is cut "
        "into chunks of -c tokens (512) that don't overlap; each begins with BOS where the model adds one, and its "
        "first "
        "half is read but not scored. What is left over at the end and fills no chunk is dropped.\n"
        "\n"
        "  fathom perplexity -f README.md\n"
        "  git show HEAD:main.c | fathom perplexity -f - -c 1024",
    .options = options,
    .n_options = sizeof options / sizeof *options,
    .run = run,
};
