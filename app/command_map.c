/* command_map: the ranked outline of the repository, in a number of tokens that is never exceeded. */
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "app/models.h"
#include "app/project.h"
#include "repo/map.h"
#include "ui/visible.h"

enum { CHANGED_MOST = 32 }; /* edited files that count as open */

static void print_json(const struct command_context *context, const struct map_result *map, double ms)
{
    cJSON *object = cJSON_CreateObject(), *files = cJSON_CreateArray();
    json_add_integer(object, "tokens", (int64_t)map->n_tokens);
    for (size_t i = 0; i < map->n_files; i++) {
        const struct map_file *file = &map->files[i];
        cJSON *entry = cJSON_CreateObject(), *lines = cJSON_CreateArray();
        json_add(entry, "path", json_text(file->path, strlen(file->path)));
        json_add_real(entry, "rank", file->rank, 6);
        for (size_t k = 0; k < file->n_lines; k++) {
            cJSON *line = cJSON_CreateObject();
            json_add_integer(line, "line", file->lines[k].line);
            json_add(line, "text", json_text(file->lines[k].text, strlen(file->lines[k].text)));
            if (!cJSON_AddItemToArray(lines, line))
                cJSON_Delete(line);
        }
        json_add(entry, "lines", cJSON_GetArraySize(lines) == (int)file->n_lines ? lines : NULL);
        if (!cJSON_AddItemToArray(files, entry))
            cJSON_Delete(entry);
    }
    json_add(object, "files", cJSON_GetArraySize(files) == (int)map->n_files ? files : NULL);
    json_add_real(object, "ms", ms, 3);
    output_json(context->out, object);
}

static void print_text(const struct command_context *context, const struct map_result *map)
{
    struct buffer safe = {0};
    if (context->out->is_terminal)
        visible_append(&safe, buffer_text(&map->text), map->text.size, false);
    else
        buffer_append(&safe, buffer_text(&map->text), map->text.size);
    output_write(context->out, buffer_text(&safe), safe.size);
    buffer_deinit(&safe);
}

struct counter {
    const struct vocabulary *vocabulary;
    struct tokens tokens;
};

static size_t count_tokens(void *context, const char *text, size_t size)
{
    struct counter *counter = context;
    tokens_clear(&counter->tokens);
    if (vocabulary_tokenize(counter->vocabulary, text, size, 0, &counter->tokens, NULL) != STATUS_OK)
        return SIZE_MAX;
    return counter->tokens.failed ? SIZE_MAX : counter->tokens.n;
}

static enum status open_vocabulary(const struct command_context *context, struct vocabulary **out, struct error *error)
{
    struct buffer path = {0};
    enum status status = models_resolve(context->settings->model, &path, error);
    if (status == STATUS_OK)
        status = vocabulary_open(buffer_text(&path), out, error);
    buffer_deinit(&path);
    return status;
}

/* Edited files count as open ones do. */
static size_t edited_files(const struct repo_files *changed, const char *paths[CHANGED_MOST])
{
    size_t n = 0;
    for (size_t i = 0; i < changed->n && n < CHANGED_MOST; i++)
        if (!changed->files[i].skip)
            paths[n++] = changed->files[i].path;
    return n;
}

static enum status make(const struct command_context *context, struct project *project, struct counter *counter,
                        struct map_result *out, double *ms, struct error *error)
{
    struct buffer path = {0};
    struct index_place place = {0};
    struct repo_files changed = {0};
    struct map *map = NULL;
    const char *edited[CHANGED_MOST];
    struct map_request request = {
        .files = edited, .budget = (size_t)context->settings->map_tokens, .count = count_tokens, .context = counter};
    enum status status = STATUS_OK;
    if (context->settings->near) {
        status = project_place(project, context->settings->near, &path, &place, error);
        request.near = &place;
    }
    if (status == STATUS_OK && !context->settings->no_refresh)
        status = project_refresh(context, project, NULL, error);
    /* Without what was edited the map is less to the point, and still right. */
    if (status == STATUS_OK && repo_changed(project->repo, context->cancel, &changed, NULL) == STATUS_OK)
        request.n_files = edited_files(&changed, edited);
    uint64_t started = clock_now_ns();
    if (status == STATUS_OK)
        status = map_open(project->index, context->cancel, &map, error);
    if (status == STATUS_OK)
        status = map_make(map, project->repo, &request, out, error);
    *ms = (double)(clock_now_ns() - started) / 1e6;
    map_close(map);
    repo_files_deinit(&changed);
    buffer_deinit(&path);
    return status;
}

static enum exit_status run(const struct command_context *context)
{
    struct project project = {0};
    struct vocabulary *vocabulary = NULL;
    struct map_result result = {0};
    struct error error = {0};
    double ms = 0;
    enum status status = project_open(context, context->n_arguments ? context->arguments[0] : NULL, &project, &error);
    if (status == STATUS_OK)
        status = open_vocabulary(context, &vocabulary, &error);
    struct counter counter = {.vocabulary = vocabulary};
    if (status == STATUS_OK)
        status = make(context, &project, &counter, &result, &ms, &error);
    if (status == STATUS_OK && context->settings->json)
        print_json(context, &result, ms);
    else if (status == STATUS_OK)
        print_text(context, &result);
    tokens_deinit(&counter.tokens);
    map_result_deinit(&result);
    if (vocabulary)
        vocabulary_close(vocabulary);
    project_close(&project);
    return status == STATUS_OK ? EXIT_DONE : command_fail(context, &error, NULL);
}

static const enum option_id options[] = {OPTION_MAP_TOKENS, OPTION_NEAR, OPTION_NO_REFRESH};

const struct command command_map = {
    .name = "map",
    .synopsis = "[--tokens N] [--near FILE[:LINE]] [PATH]",
    .summary = "the repository's outline, best first, in N tokens",
    .help =
        "Prints the signatures that matter most in the repository that PATH lies in, file by file, as many as fit into "
        "N tokens of the model's tokenizer, never one more. Files rank by who refers to whom (PageRank): for the whole "
        "repository, or for a place (--near), for the names that stand there, and for the files that were edited since "
        "the last commit. The same files give the same map.\n"
        "\n"
        "  fathom map --tokens 2048\n"
        "  fathom map --near src/main.c:120 --json",
    .options = options,
    .n_options = sizeof options / sizeof *options,
    .n_arguments_max = 1,
    .completes = "file",
    .run = run,
};
