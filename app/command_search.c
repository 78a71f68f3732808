/* command_search: symbols and text of the repository, ranked. */
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "app/project.h"
#include "repo/search.h"
#include "ui/visible.h"

enum { SHOWN_LINES = 3 };

static void print_json(const struct command_context *context, const struct search_results *results, double ms)
{
    cJSON *object = cJSON_CreateObject(), *list = cJSON_CreateArray();
    for (size_t i = 0; i < results->n; i++) {
        const struct search_hit *hit = &results->hits[i];
        cJSON *entry = cJSON_CreateObject(), *lines = cJSON_CreateArray();
        json_add(entry, "path", json_text(hit->path, hit->path_size));
        cJSON_AddItemToArray(lines, cJSON_CreateNumber(hit->line));
        cJSON_AddItemToArray(lines, cJSON_CreateNumber(hit->end_line));
        json_add(entry, "lines", cJSON_GetArraySize(lines) == 2 ? lines : NULL);
        json_add_text(entry, "kind", hit->kind);
        json_add(entry, "name", json_text(hit->name, strlen(hit->name)));
        json_add_real(entry, "score", hit->score, 6);
        json_add(entry, "text", json_text(hit->text, hit->text_size));
        json_add_integer(entry, "best_line", hit->best_line);
        if (!cJSON_AddItemToArray(list, entry))
            cJSON_Delete(entry);
    }
    json_add(object, "results", cJSON_GetArraySize(list) == (int)results->n ? list : NULL);
    json_add_real(object, "ms", ms, 3);
    json_add(object, "partial", cJSON_CreateBool(results->is_partial));
    output_json(context->out, object);
}

/* Text of the repository: as it is for a pipe, made visible for a terminal; a newline in a path never ends the line. */
static void put(const struct command_context *context, const char *text, size_t size, bool is_line)
{
    struct buffer safe = {0};
    if (context->out->is_terminal)
        visible_append(&safe, text, size, false);
    else
        buffer_append(&safe, text, size);
    for (size_t i = 0; is_line && i < safe.size; i++)
        if (safe.data[i] == '\n')
            safe.data[i] = '?';
    output_write(context->out, buffer_text(&safe), safe.size);
    buffer_deinit(&safe);
}

/* The lines around the best one, as many as are shown. */
static void print_lines(const struct command_context *context, const struct search_hit *hit)
{
    const char *at = hit->text, *end = hit->text + hit->text_size;
    uint32_t first = hit->best_line > hit->line ? hit->best_line - 1 : hit->line, shown = 0;
    bool is_colored = context->out->is_colored;
    for (uint32_t line = hit->line; at < end && shown < SHOWN_LINES; line++) {
        const char *newline = memchr(at, '\n', (size_t)(end - at)), *next = newline ? newline + 1 : end;
        size_t size = (size_t)((newline ? newline : end) - at);
        if (size && at[size - 1] == '\r')
            size--;
        if (line >= first) {
            output_printf(context->out, is_colored ? "\x1b[32m%6u\x1b[0m  " : "%6u  ", line);
            put(context, at, size < 400 ? size : 400, true);
            output_text(context->out, "\n");
            shown++;
        }
        at = next;
    }
}

static void print_text(const struct command_context *context, const struct search_results *results)
{
    bool is_colored = context->out->is_colored;
    for (size_t i = 0; i < results->n; i++) {
        const struct search_hit *hit = &results->hits[i];
        output_text(context->out, is_colored ? "\x1b[35m" : "");
        put(context, hit->path, hit->path_size, true);
        output_printf(context->out, is_colored ? "\x1b[0m:\x1b[32m%u\x1b[0m" : ":%u", hit->best_line);
        if (strcmp(hit->kind, "text") != 0) {
            output_printf(context->out, is_colored ? "  %s \x1b[1m" : "  %s ", hit->kind);
            put(context, hit->name, strlen(hit->name), true);
            output_text(context->out, is_colored ? "\x1b[0m" : "");
        }
        output_text(context->out, "\n");
        print_lines(context, hit);
    }
}

static enum status search(const struct command_context *context, struct project *project, struct search_results *out,
                          double *ms, struct error *error)
{
    struct buffer query = {0}, path = {0};
    struct index_place place;
    struct repo_files changed = {0};
    struct search_options options = {.max = (size_t)context->settings->results,
                                     .cancel = context->cancel,
                                     .rank = (enum search_rank)context->settings->rank};
    enum status status = STATUS_OK;
    for (size_t i = 0; i < context->n_arguments; i++) {
        buffer_append_text(&query, i ? " " : "");
        buffer_append_text(&query, context->arguments[i]);
    }
    status = buffer_status(&query, error);
    options.query = buffer_text(&query);
    if (status == STATUS_OK && context->settings->near) {
        status = project_place(project, context->settings->near, &path, &place, error);
        options.near = &place;
    }
    if (status == STATUS_OK && !context->settings->no_refresh)
        status = project_refresh(context, project, NULL, error);
    /* What is about to be committed counts more; without it the answer is still right. */
    if (status == STATUS_OK && (context->settings->near || !context->settings->no_refresh) &&
        repo_changed(project->repo, context->cancel, &changed, NULL) == STATUS_OK)
        options.changed = &changed;
    uint64_t started = clock_now_ns();
    if (status == STATUS_OK)
        status = search_run(project->index, project->repo, &options, out, error);
    *ms = (double)(clock_now_ns() - started) / 1e6;
    if (options.changed)
        repo_files_deinit(&changed);
    buffer_deinit(&query);
    buffer_deinit(&path);
    return status;
}

static enum exit_status run(const struct command_context *context)
{
    struct project project;
    struct search_results results = {0};
    struct error error = {0};
    double ms = 0;
    if (!context->n_arguments)
        return command_fail_with(context, STATUS_ARGUMENT, "search: it takes a QUERY");
    enum status status = project_open(context, NULL, &project, &error);
    if (status == STATUS_OK)
        status = search(context, &project, &results, &ms, &error);
    enum exit_status exit = results.n ? EXIT_DONE : EXIT_FOUND; /* 1: no match */
    if (status == STATUS_OK && context->settings->json)
        print_json(context, &results, ms);
    else if (status == STATUS_OK)
        print_text(context, &results);
    if (status == STATUS_OK && results.is_partial)
        command_notice(context, "not all files were looked at: the time for it ran out");
    search_results_deinit(&results);
    project_close(&project);
    return status == STATUS_OK ? exit : command_fail(context, &error, NULL);
}

static const enum option_id options[] = {OPTION_RESULTS, OPTION_NEAR, OPTION_RANK, OPTION_NO_REFRESH};

const struct command command_search = {
    .name = "search",
    .synopsis = "[-k N] [--near FILE[:LINE]] QUERY...",
    .summary = "find symbols and text in the repository",
    .help = "Finds what the words of QUERY may mean in the repository that the current folder lies in: symbols of that "
            "name, "
            "that begin so, or that hold its letters in order; and pieces of text by their words (BM25), identifiers "
            "also by "
            "their parts. Both rankings are fused. The index is brought up to date first.\n"
            "\n"
            "  word...            symbols and text\n"
            "  \"some text\"        exactly these bytes\n"
            "  /expression/       a regular expression (PCRE2)\n"
            "  def:NAME ref:NAME  where exactly this name is defined, or used\n"
            "  path:PART          in files whose path holds PART, or fits it as a glob\n"
            "  lang:NAME          in files of this language: c, python, rust and so on\n"
            "  kind:KIND          symbols of this kind (function, struct...), or text\n"
            "\n"
            "Exit status 1: nothing was found.\n"
            "\n"
            "  fathom search kmalloc array path:mm/\n"
            "  fathom search --near mm/slub.c:100 '/alloc\\w+\\(.*GFP_ATOMIC/'",
    .options = options,
    .n_options = sizeof options / sizeof *options,
    .n_arguments_max = 64,
    .run = run,
};
