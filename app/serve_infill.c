/* serve_infill: see serve_infill.h. */
#include "app/serve_infill.h"

#include <stdlib.h>
#include <string.h>

#include "app/output.h"
#include "app/serve_sampling.h"

enum { EXTRA_MAX = 1024, FIELDS_MAX = 64, COMPLETIONS_MAX = 8, PREDICT_USUAL = 128, DAY_MS = 86400000 };

void serve_infill_free(struct serve_infill *infill)
{
    if (!infill)
        return;
    complete_syntax_free(infill->syntax);
    serve_found_deinit(&infill->found);
    free(infill);
}

/* ---- the request ---- */

/* A list of texts, copied. */
static enum status read_texts(const cJSON *body, const char *key, size_t most, struct arena *arena, const char ***out,
                              size_t *n, bool *is_there, struct error *error)
{
    const cJSON *list = NULL, *node;
    enum status status = json_get_array(body, key, &list, error);
    *is_there = list != NULL;
    if (status != STATUS_OK || !list)
        return status;
    size_t n_items = (size_t)cJSON_GetArraySize(list);
    if (n_items > most)
        return error_set(error, STATUS_ARGUMENT, "%s: at most %zu", key, most);
    *out = arena_alloc(arena, (n_items + 1) * sizeof **out);
    if (!*out)
        return error_set(error, STATUS_MEMORY, "out of memory");
    cJSON_ArrayForEach(node, list)
    {
        if (!cJSON_IsString(node))
            return error_set(error, STATUS_ARGUMENT, "%s: each is a text", key);
        (*out)[*n] = arena_copy_text(arena, node->valuestring, strlen(node->valuestring));
        if (!(*out)[(*n)++])
            return error_set(error, STATUS_MEMORY, "out of memory");
    }
    return STATUS_OK;
}

/* The editor's own pieces, oldest first as they come, behind those that were gathered. */
static enum status read_extra(const cJSON *body, struct serve_job *job, struct fim_request *prompt, struct error *error)
{
    const cJSON *list = NULL, *node;
    struct arena *arena = &job->task.texts;
    enum status status = json_get_array(body, "input_extra", &list, error);
    if (status != STATUS_OK || !list)
        return status;
    size_t n_extra = (size_t)cJSON_GetArraySize(list), n = prompt->n_pieces, at = 0;
    if (n_extra > EXTRA_MAX)
        return error_set(error, STATUS_ARGUMENT, "input_extra: at most %d", (int)EXTRA_MAX);
    struct fim_piece *pieces = arena_alloc(arena, (n + n_extra + 1) * sizeof *pieces);
    if (!pieces)
        return error_set(error, STATUS_MEMORY, "out of memory");
    if (n)
        memcpy(pieces, prompt->pieces, n * sizeof *pieces);
    cJSON_ArrayForEach(node, list)
    {
        const char *text = "", *name = "";
        if (!cJSON_IsObject(node))
            return error_set(error, STATUS_ARGUMENT, "input_extra: each is an object");
        status = json_get_text(node, "text", &text, error);
        if (status == STATUS_OK)
            status = json_get_text(node, "filename", &name, error);
        if (status != STATUS_OK)
            return status;
        at++;
        if (!*text)
            continue;
        char *copy = arena_copy_text(arena, text, strlen(text));
        char *path = arena_copy_text(arena, name, strlen(name));
        if (!copy || !path)
            return error_set(error, STATUS_MEMORY, "out of memory");
        /* The younger, the more worth: the editor's ring of what was looked at. */
        pieces[n++] = (struct fim_piece){.path = slice_from(path),
                                         .text = slice_from(copy),
                                         .why = "sent by the editor",
                                         .source = "editor",
                                         .worth = 1 + (double)at / (double)n_extra,
                                         .stable = true};
    }
    prompt->pieces = pieces;
    prompt->n_pieces = n;
    return STATUS_OK;
}

enum { SAMPLER_TOP_K = 1, SAMPLER_TOP_P = 2, SAMPLER_MIN_P = 4, SAMPLER_PENALTIES = 8, SAMPLER_ALWAYS = 16 };

/* The names of llama-server's list, as far as there is such a thing here; the order is the engine's own.  What "infill" does
 * there, ending a middle where it should, is done here in any case, and the temperature always counts. */
static enum status read_samplers(const cJSON *body, unsigned *out, struct error *error)
{
    static const struct {
        const char *name;
        unsigned bit;
    } known[] = {{"top_k", SAMPLER_TOP_K},         {"top_p", SAMPLER_TOP_P},        {"min_p", SAMPLER_MIN_P},
                 {"penalties", SAMPLER_PENALTIES}, {"temperature", SAMPLER_ALWAYS}, {"infill", SAMPLER_ALWAYS}};
    enum { N = sizeof known / sizeof *known };
    const cJSON *list = NULL, *node;
    enum status status = json_get_array(body, "samplers", &list, error);
    if (status != STATUS_OK || !list)
        return status;
    if (cJSON_GetArraySize(list) > FIELDS_MAX)
        return error_set(error, STATUS_ARGUMENT, "samplers: at most %d", (int)FIELDS_MAX);
    cJSON_ArrayForEach(node, list)
    {
        size_t i = 0;
        while (i < N && !(cJSON_IsString(node) && strcmp(node->valuestring, known[i].name) == 0))
            i++;
        if (i == N)
            return error_set(error, STATUS_ARGUMENT,
                             "samplers: \"%.40s\" is none of top_k, top_p, min_p, penalties, temperature, infill",
                             cJSON_IsString(node) ? node->valuestring : "?");
        *out |= known[i].bit;
    }
    return STATUS_OK;
}

static enum status read_sampling(struct serve *serve, const cJSON *body, struct sampler_options *sampling,
                                 struct error *error)
{
    const struct settings *settings = serve->context->settings;
    *sampling = settings_sampler(settings);
    double temperature = settings_is_given(settings, OPTION_TEMP) ? settings->temp : 0.2;
    double top_p = (double)sampling->top_p, min_p = (double)sampling->min_p;
    int64_t top_k = sampling->top_k, seed = -1;
    unsigned samplers = 0;
    enum status status = read_samplers(body, &samplers, error);
    if (status == STATUS_OK)
        status = json_get_real(body, "temperature", 0, 100, &temperature, error);
    if (status == STATUS_OK)
        status = json_get_real(body, "top_p", 0, 1, &top_p, error);
    if (status == STATUS_OK)
        status = json_get_real(body, "min_p", 0, 1, &min_p, error);
    if (status == STATUS_OK)
        status = json_get_integer(body, "top_k", 0, 1 << 20, &top_k, error);
    if (status == STATUS_OK)
        status = json_get_integer(body, "seed", -1, ((int64_t)1 << 53) - 1, &seed, error);
    /* The fields count where nothing is listed, or what they belong to is. */
    sampling->temperature = (float)temperature;
    sampling->top_p = samplers && !(samplers & SAMPLER_TOP_P) ? 1 : (float)top_p;
    sampling->min_p = samplers && !(samplers & SAMPLER_MIN_P) ? 0 : (float)min_p;
    sampling->top_k = samplers && !(samplers & SAMPLER_TOP_K) ? 0 : (int32_t)top_k;
    if (samplers && !(samplers & SAMPLER_PENALTIES)) {
        sampling->repeat_penalty = 1;
        sampling->presence_penalty = sampling->frequency_penalty = 0;
    }
    if (seed >= 0)
        sampling->seed = (uint64_t)seed;
    return status;
}

/* What llama-server needs and this one does by itself: it must be of the right kind all the same. */
static enum status read_unused(const cJSON *body, struct error *error)
{
    bool caches = true;
    int64_t slot = -1;
    const char *model = NULL;
    const cJSON *adapters = NULL;
    enum status status = json_get_flag(body, "cache_prompt", &caches, error);
    if (status == STATUS_OK)
        status = json_get_integer(body, "id_slot", -1, INT32_MAX, &slot, error);
    if (status == STATUS_OK)
        status = json_get_text(body, "model", &model, error);
    if (status == STATUS_OK)
        status = json_get_array(body, "lora", &adapters, error);
    return status;
}

static enum status read_limits(const struct serve *serve, const cJSON *body, struct serve_job *job,
                               struct serve_infill *infill, struct error *error)
{
    struct complete_request *request = &infill->request;
    struct arena *arena = &job->task.texts;
    const char **stops = NULL;
    int64_t n_indent = 0, n_completions = 1;
    bool is_there;
    request->n_predict = PREDICT_USUAL;
    enum status status = json_get_integer(body, "n_predict", -1, INT32_MAX, &request->n_predict, error);
    if (status == STATUS_OK)
        status = json_get_integer(body, "n_indent", 0, 10000, &n_indent, error);
    if (status == STATUS_OK)
        status = json_get_integer(body, "n_cmpl", 1, COMPLETIONS_MAX, &n_completions, error);
    if (status == STATUS_OK)
        status = json_get_real(body, "t_max_prompt_ms", 0, DAY_MS, &request->prompt_ms, error);
    if (status == STATUS_OK)
        status = json_get_real(body, "t_max_predict_ms", 0, DAY_MS, &request->answer_ms, error);
    if (status == STATUS_OK)
        status = json_get_flag(body, "stream", &job->is_streamed, error);
    if (status == STATUS_OK)
        status = read_unused(body, error);
    if (status == STATUS_OK)
        status = read_texts(body, "stop", SERVE_STOPS_MAX, arena, &stops, &request->n_stops, &is_there, error);
    if (status == STATUS_OK)
        status = read_texts(body, "response_fields", FIELDS_MAX, arena, &infill->fields, &infill->n_fields,
                            &infill->has_fields, error);
    for (size_t i = 0; i < request->n_stops && status == STATUS_OK; i++)
        if (!*stops[i])
            status = error_set(error, STATUS_ARGUMENT, "stop: each is a text that is not empty");
    request->stops = stops;
    request->n_alternatives = (size_t)n_completions - 1;
    infill->is_list = n_completions > 1;
    infill->n_indent = (size_t)n_indent;
    request->n_predict = serve_limit_tokens(serve, request->n_predict);
    infill->is_warm_up = request->n_predict == 0;
    bool has_content = !infill->has_fields;
    for (size_t i = 0; i < infill->n_fields; i++)
        has_content = has_content || strcmp(infill->fields[i], "content") == 0;
    infill->is_told = status == STATUS_OK && job->is_streamed && !infill->is_list && !infill->is_warm_up && has_content;
    if (infill->is_warm_up) /* nobody waits for it: it goes on until somebody asks for something */
        request->prompt_ms = 0;
    return status;
}

/* prompt is the beginning of the cursor's line: it belongs to the prefix. */
static enum status read_place(struct serve *serve, const cJSON *body, struct serve_job *job,
                              struct serve_infill *infill, struct error *error)
{
    const struct settings *settings = serve->context->settings;
    const char *before = "", *line = "", *suffix = "";
    struct buffer prefix = {0};
    struct fim_request *prompt = &infill->request.prompt;
    enum status status = json_get_text(body, "input_prefix", &before, error);
    if (status == STATUS_OK)
        status = json_get_text(body, "prompt", &line, error);
    if (status == STATUS_OK)
        status = json_get_text(body, "input_suffix", &suffix, error);
    buffer_printf(&prefix, "%s%s", before, line);
    if (status == STATUS_OK)
        status = buffer_status(&prefix, error);
    bool has_text = prefix.size || *suffix;
    if (status == STATUS_OK)
        status = serve_context_find(has_text ? serve->repository : NULL, buffer_text(&prefix), suffix, &infill->found,
                                    prompt, error);
    buffer_deinit(&prefix);
    if (status == STATUS_OK)
        status = read_extra(body, job, prompt, error);
    prompt->budget = (size_t)settings->budget;
    prompt->form = settings->fim_form == FIM_FORM_SEEDED ? FIM_SEEDED : FIM_PLAIN;
    if (status == STATUS_OK && serve->repository && infill->found.path.size && !infill->is_warm_up)
        status = complete_syntax_new(serve_context_languages(serve->repository), prompt->path, prompt->prefix,
                                     prompt->suffix, &infill->syntax, error);
    infill->request.syntax = complete_syntax_asked(infill->syntax);
    return status;
}

enum status serve_read_infill(struct serve *serve, const struct cJSON *body, struct serve_job *job, bool *for_engine,
                              struct error *error)
{
    struct serve_infill *infill = calloc(1, sizeof *infill);
    if (!infill)
        return error_set(error, STATUS_MEMORY, "out of memory");
    job->form = SERVE_INFILL;
    job->task.infill = infill;
    enum status status = read_sampling(serve, body, &infill->request.sampling, error);
    if (status == STATUS_OK)
        status = read_limits(serve, body, job, infill, error);
    if (status == STATUS_OK)
        status = read_place(serve, body, job, infill, error);
    if (status == STATUS_OK && infill->is_told)
        status = serve_job_open(job, 1, 1, error);
    *for_engine = status == STATUS_OK;
    return status;
}

/* ---- the reply ---- */

static size_t indentation(const char *line, const char *end)
{
    size_t columns = 0;
    for (; line < end && (*line == ' ' || *line == '\t'); line++)
        columns += *line == '\t' ? 8 - columns % 8 : 1;
    return columns;
}

/* What is left of a text when its lines after the first must be indented by n. */
static size_t cut_by_indent(const char *begin, size_t size, size_t n)
{
    const char *end = begin + size;
    for (const char *newline = memchr(begin, '\n', size); newline;) {
        const char *line = newline + 1;
        const char *next = memchr(line, '\n', (size_t)(end - line));
        const char *stop = next ? next : end;
        size_t blank = strspn(line, " \t\r");
        if (line + blank < stop && indentation(line, stop) < n)
            return (size_t)(newline - begin);
        newline = next;
    }
    return size;
}

void serve_infill_text(struct serve_job *job, const char *text, size_t size)
{
    struct serve_infill *infill = job->task.infill;
    size = cut_by_indent(text, size, infill->n_indent);
    if (size <= infill->n_told)
        return;
    serve_choice_text(job->choices, TEXT_ANSWER, text + infill->n_told, size - infill->n_told);
    infill->n_told = size;
    serve_job_pass(job);
}

struct shown {
    const struct complete_result *result;
    const struct complete_way *way; /* NULL: there is none */
    size_t size, n_told;            /* of its text that is shown; of that what went out before */
    bool is_truncated, was_cut;
    const char *model;
    int32_t n_ctx;
};

static double per_second(size_t n, double ms)
{
    return ms > 0 ? (double)n * 1e3 / ms : 0;
}

static size_t n_predicted(const struct shown *shown)
{
    return shown->way ? shown->result->n_tokens : 0;
}

static double predicted_ms(const struct shown *shown)
{
    return shown->result->total_ms > shown->result->prompt_ms ? shown->result->total_ms - shown->result->prompt_ms : 0;
}

static const char *stop_type(const struct shown *shown)
{
    if (shown->was_cut)
        return "word";
    switch (shown->way ? shown->way->stop : shown->result->stop) {
    case FIM_STOP_LIMIT:
    case FIM_STOP_DEADLINE:
        return "limit";
    case FIM_STOP_END:
        return "eos";
    default:
        return "word";
    }
}

static bool append_timing(const struct shown *shown, const char *name, struct buffer *out)
{
    const struct complete_result *result = shown->result;
    size_t n = result->n_prefilled, m = n_predicted(shown);
    double prompt = result->prompt_ms, predicted = predicted_ms(shown);
    if (strcmp(name, "prompt_n") == 0)
        buffer_printf(out, "%zu", n);
    else if (strcmp(name, "prompt_ms") == 0)
        buffer_printf(out, "%.3f", prompt);
    else if (strcmp(name, "prompt_per_token_ms") == 0)
        buffer_printf(out, "%.3f", n ? prompt / (double)n : 0);
    else if (strcmp(name, "prompt_per_second") == 0)
        buffer_printf(out, "%.3f", per_second(n, prompt));
    else if (strcmp(name, "predicted_n") == 0)
        buffer_printf(out, "%zu", m);
    else if (strcmp(name, "predicted_ms") == 0)
        buffer_printf(out, "%.3f", predicted);
    else if (strcmp(name, "predicted_per_token_ms") == 0)
        buffer_printf(out, "%.3f", m ? predicted / (double)m : 0);
    else if (strcmp(name, "predicted_per_second") == 0)
        buffer_printf(out, "%.3f", per_second(m, predicted));
    else
        return false;
    return true;
}

static void append_timings(const struct shown *shown, struct buffer *out)
{
    static const char *const names[] = {
        "prompt_n",    "prompt_ms",    "prompt_per_token_ms",    "prompt_per_second",
        "predicted_n", "predicted_ms", "predicted_per_token_ms", "predicted_per_second"};
    buffer_append_byte(out, '{');
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        buffer_printf(out, "%s\"%s\":", i ? "," : "", names[i]);
        append_timing(shown, names[i], out);
    }
    buffer_append_byte(out, '}');
}

/* The value of a field; false where there is no such field. */
static bool append_field(const struct shown *shown, const char *name, struct buffer *out)
{
    const struct complete_result *result = shown->result;
    if (strncmp(name, "timings/", 8) == 0)
        return append_timing(shown, name + 8, out);
    if (strcmp(name, "content") == 0)
        json_append_string(out, shown->way ? buffer_text(&shown->way->text) + shown->n_told : "",
                           shown->size - shown->n_told);
    else if (strcmp(name, "timings") == 0)
        append_timings(shown, out);
    else if (strcmp(name, "tokens_cached") == 0 || strcmp(name, "tokens_evaluated") == 0)
        buffer_printf(out, "%zu", result->n_cached + result->n_prefilled); /* what the next request may find there */
    else if (strcmp(name, "tokens_predicted") == 0)
        buffer_printf(out, "%zu", n_predicted(shown));
    else if (strcmp(name, "truncated") == 0)
        buffer_append_text(out, shown->is_truncated ? "true" : "false");
    else if (strcmp(name, "stop") == 0)
        buffer_append_text(out, "true");
    else if (strcmp(name, "stop_type") == 0)
        buffer_printf(out, "\"%s\"", stop_type(shown));
    else if (strcmp(name, "model") == 0)
        json_append_string(out, shown->model, strlen(shown->model));
    else if (strcmp(name, "generation_settings") == 0)
        buffer_printf(out, "{\"n_ctx\":%d}", shown->n_ctx);
    else if (strcmp(name, "generation_settings/n_ctx") == 0)
        buffer_printf(out, "%d", shown->n_ctx);
    else
        return false;
    return true;
}

static void append_object(const struct serve_infill *infill, const struct shown *shown, struct buffer *out)
{
    static const char *const all[] = {
        "content",          "stop",      "model",   "truncated",           "tokens_cached",
        "tokens_evaluated", "stop_type", "timings", "generation_settings", "tokens_predicted"};
    const char *const *names = infill->has_fields ? infill->fields : all;
    size_t n = infill->has_fields ? infill->n_fields : sizeof all / sizeof *all, n_written = 0;
    buffer_append_byte(out, '{');
    for (size_t i = 0; i < n; i++) {
        struct buffer value = {0};
        if (append_field(shown, names[i], &value)) {
            buffer_append_text(out, n_written++ ? "," : "");
            json_append_string(out, names[i], strlen(names[i]));
            buffer_append_byte(out, ':');
            buffer_append(out, buffer_text(&value), value.size);
        }
        out->failed = out->failed || value.failed;
        buffer_deinit(&value);
    }
    buffer_append_byte(out, '}');
}

/* Whether of the current file not all could be shown. */
static bool is_truncated(const struct serve_infill *infill, const struct complete_result *result)
{
    const struct fim_request *asked = &infill->request.prompt;
    enum { HEALED = 64 }; /* bytes of a cut token that are asked for anew */
    if (!result->prompt)
        return false;
    const struct fim_parts *parts = &result->prompt->parts;
    return parts->suffix.size < asked->suffix.size ||
           parts->prefix.size + parts->middle.size + HEALED < asked->prefix.size;
}

void serve_infill_reply(struct serve_job *job, const char *model, int32_t n_ctx, struct complete_result *result)
{
    const struct serve_infill *infill = job->task.infill;
    struct buffer out = {0};
    if (job->is_streamed)
        buffer_append_text(&out, "data: ");
    if (infill->is_list)
        buffer_append_byte(&out, '[');
    size_t n = infill->is_list && result->n_ways ? result->n_ways : 1;
    for (size_t i = 0; i < n; i++) {
        struct shown shown = {.result = result, .model = model, .n_ctx = n_ctx};
        shown.way = i < result->n_ways ? &result->ways[i] : NULL;
        shown.size =
            shown.way ? cut_by_indent(buffer_text(&shown.way->text), shown.way->text.size, infill->n_indent) : 0;
        shown.n_told = infill->n_told < shown.size ? infill->n_told : shown.size;
        shown.was_cut = shown.way && shown.size < shown.way->text.size;
        shown.is_truncated = is_truncated(infill, result);
        if (i)
            buffer_append_byte(&out, ',');
        append_object(infill, &shown, &out);
    }
    if (infill->is_list)
        buffer_append_byte(&out, ']');
    if (job->is_streamed)
        buffer_append_text(&out, "\n\n");
    serve_job_reply(job, &out);
}
