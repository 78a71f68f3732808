/* bench_kv: what each type of attention cache costs: the perplexity of a text with it, beside the one with f16.
 *
 * The types are those of the option --kv, so a new one appears here by itself. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "app/bench.h"
#include "app/machine.h"
#include "app/perplexity.h"

enum { MOST_TYPES = 16 };

struct kv_row {
    char name[16];
    bool is_supported; /* by this model */
    struct perplexity score;
};

struct kv_table {
    struct kv_row rows[MOST_TYPES];
    size_t n_rows;
    double nll; /* of f16 */
};

/* The i-th word of the option's choices, as a setting of it; false at the end. */
static bool kv_at(int i, struct settings *settings, char name[16])
{
    const char *word = option_row(OPTION_KV)->choices;
    for (int k = 0; k < i && *word; k++) {
        word += strcspn(word, "|");
        word += *word == '|';
    }
    settings->kv = i;
    snprintf(name, 16, "%.*s", (int)strcspn(word, "|"), word);
    return *word;
}

static enum status measure(const struct command_context *context, struct perplexity_text *text, struct kv_table *table,
                           struct error *error)
{
    struct settings settings = *context->settings;
    struct kv_row *row = table->rows;
    enum status status = STATUS_OK;
    for (int i = 0; status == STATUS_OK && i < MOST_TYPES && kv_at(i, &settings, row->name); i++, row++) {
        status = perplexity_measure(text, context, settings_kv_type(&settings), &row->score, error);
        row->is_supported = status == STATUS_OK;
        if (status == STATUS_OK && settings_kv_type(&settings) == KV_F16)
            table->nll = row->score.nll;
        if (status == STATUS_UNSUPPORTED)
            status = STATUS_OK;
        table->n_rows++;
    }
    return status;
}

static void print_text(const struct command_context *context, const struct perplexity_text *text,
                       const struct kv_table *table)
{
    char bytes[32];
    struct buffer name = {0};
    output_visible(&name, engine_info(text->engine)->name);
    output_printf(context->out, "%s, %zu tokens scored, in %zu chunk%s of %zu\n\n", buffer_text(&name),
                  table->rows[0].score.n_scored, text->n_chunks, text->n_chunks == 1 ? "" : "s", text->chunk);
    output_text(context->out, "cache     perplexity   beside f16   takes a token\n");
    for (size_t i = 0; i < table->n_rows; i++) {
        const struct kv_row *row = &table->rows[i];
        size_format(row->score.kv_per_token, bytes, sizeof bytes);
        if (row->is_supported)
            output_printf(context->out, "%-8s %11.4f %+10.3f %% %15s\n", row->name, exp(row->score.nll),
                          100 * (exp(row->score.nll - table->nll) - 1), bytes);
        else
            output_printf(context->out, "%-8s this model's heads don't fit it\n", row->name);
    }
    buffer_deinit(&name);
}

static void print_json(const struct command_context *context, const struct perplexity_text *text,
                       const struct kv_table *table)
{
    cJSON *object = cJSON_CreateObject(), *list = cJSON_CreateArray();
    json_add_text(object, "model", engine_info(text->engine)->name);
    json_add_integer(object, "chunk", (int64_t)text->chunk);
    json_add_integer(object, "n_chunks", (int64_t)text->n_chunks);
    for (size_t i = 0; list && i < table->n_rows; i++) {
        const struct kv_row *row = &table->rows[i];
        cJSON *entry = cJSON_CreateObject();
        json_add_text(entry, "kv", row->name);
        json_add(entry, "supported", cJSON_CreateBool(row->is_supported));
        if (row->is_supported) {
            json_add_real(entry, "ppl", exp(row->score.nll), 6);
            json_add_real(entry, "nll", row->score.nll, 8);
            json_add_real(entry, "ratio", exp(row->score.nll - table->nll), 6);
            json_add_integer(entry, "n_scored", (int64_t)row->score.n_scored);
            json_add_integer(entry, "bytes_per_token", (int64_t)row->score.kv_per_token);
        }
        if (!cJSON_AddItemToArray(list, entry)) {
            cJSON_Delete(entry);
            cJSON_Delete(list);
            list = NULL;
        }
    }
    json_add(object, "kv_cost", list);
    output_json(context->out, object);
}

enum exit_status bench_kv_cost(const struct command_context *context)
{
    struct perplexity_text text;
    struct kv_table table = {0};
    struct error error;
    enum status status = perplexity_text_init(&text, context, "bench: --kv-cost", &error);
    if (status == STATUS_OK)
        status = measure(context, &text, &table, &error);
    if (status == STATUS_OK && context->settings->json)
        print_json(context, &text, &table);
    else if (status == STATUS_OK)
        print_text(context, &text, &table);
    perplexity_text_deinit(&text);
    return status == STATUS_OK ? EXIT_DONE : command_fail(context, &error, NULL);
}
