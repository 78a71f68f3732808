/* place: see place.h. */
#include "app/place.h"

#include <stdlib.h>
#include <string.h>

#include "app/complete.h"

enum { TEXT_MOST = 64 << 20 };

/* Takes ":NUMBER" off the end of size bytes; 0 where there is none. */
static uint64_t take_number(const char *text, size_t *size)
{
    size_t at = *size;
    uint64_t number = 0, scale = 1;
    for (; at > 0 && text[at - 1] >= '0' && text[at - 1] <= '9'; at--, scale *= 10) {
        if (*size - at >= 10)
            return 0;
        number += (uint64_t)(text[at - 1] - '0') * scale;
    }
    if (at == *size || at < 2 || text[at - 1] != ':')
        return 0;
    *size = at - 1;
    return number;
}

enum status place_offset(struct slice text, uint64_t line, uint64_t column, size_t *at, struct error *error)
{
    const char *begin = text.data, *end = text.data + text.size;
    uint64_t n = 1;
    for (; n < line; n++) {
        const char *newline = begin < end ? memchr(begin, '\n', (size_t)(end - begin)) : NULL;
        if (!newline)
            return error_set(error, STATUS_ARGUMENT, "there is no line %llu: the text has %llu",
                             (unsigned long long)line, (unsigned long long)n);
        begin = newline + 1;
    }
    const char *newline = begin < end ? memchr(begin, '\n', (size_t)(end - begin)) : NULL,
               *last = newline ? newline : end;
    if (newline && last > begin && last[-1] == '\r')
        last--;
    if (!line || !column || column - 1 > (uint64_t)(last - begin))
        return error_set(error, STATUS_ARGUMENT, "there is no column %llu in line %llu: it has %zu bytes",
                         (unsigned long long)column, (unsigned long long)line, (size_t)(last - begin));
    *at = (size_t)(begin - text.data) + (size_t)(column - 1);
    return STATUS_OK;
}

enum status place_read(const struct command_context *context, const char *text, struct place *out, struct error *error)
{
    size_t size = strlen(text);
    uint64_t column = take_number(text, &size), line = column ? take_number(text, &size) : 0;
    struct error inner = {0};
    *out = (struct place){0};
    if (!line || !size)
        return error_set(error, STATUS_ARGUMENT, "%.160s: a place is FILE:LINE:COL, both counted from 1", text);
    buffer_append(&out->file, text, size);
    enum status status = buffer_status(&out->file, error);
    if (status != STATUS_OK)
        return status;
    const char *file = buffer_text(&out->file);
    status =
        input_read_file(context->settings->from_stdin ? "-" : file, context->cancel, TEXT_MOST, &out->text, &inner);
    if (status == STATUS_OK)
        status = buffer_status(&out->text, &inner);
    if (status != STATUS_OK)
        return error_set(error, status, "%s", inner.text);
    status = place_offset((struct slice){buffer_text(&out->text), out->text.size}, line, column, &out->at, &inner);
    return status == STATUS_OK ? status : error_set(error, status, "%.120s: %s", file, inner.text);
}

void place_deinit(struct place *place)
{
    buffer_deinit(&place->file);
    buffer_deinit(&place->path);
    buffer_deinit(&place->text);
}

enum status place_project(const struct command_context *context, struct place *place, struct project *project,
                          struct error *error)
{
    const char *file = buffer_text(&place->file), *slash = strrchr(file, '/');
    struct buffer folder = {0};
    buffer_append(&folder, file, slash ? (size_t)(slash - file) + (slash == file) : 0);
    if (!slash)
        buffer_append_text(&folder, ".");
    enum status status = buffer_status(&folder, error);
    if (status == STATUS_OK)
        status = project_open(context, buffer_text(&folder), project, error);
    if (status == STATUS_OK)
        status = project_relative(project, file, &place->path, error);
    if (status == STATUS_OK && repo_git_folder(project->repo) && !context->settings->no_refresh)
        status = project_refresh(context, project, NULL, error);
    if (status != STATUS_OK)
        project_close(project);
    buffer_deinit(&folder);
    return status;
}

enum status place_sources(const struct settings *settings, unsigned *sources, struct error *error)
{
    *sources = 0;
    for (const char *at = settings->sources_text; *at;) {
        size_t size = strcspn(at, ",");
        unsigned bit = gather_source_of(at, size);
        if (size == 3 && memcmp(at, "all", 3) == 0)
            bit = GATHER_ALL;
        if (!bit && !(size == 4 && memcmp(at, "none", 4) == 0))
            return error_set(error, STATUS_ARGUMENT,
                             "--sources: '%.*s' is none of definition, similar, change, map, all, none",
                             (int)(size < 60 ? size : 60), at);
        *sources |= bit;
        at += size + (at[size] == ',');
    }
    return STATUS_OK;
}

enum status place_gather(const struct command_context *context, const struct project *project, struct engine *engine,
                         const struct place *place, struct gathered *gathered, struct fim_request *out,
                         struct error *error)
{
    const struct settings *settings = context->settings;
    struct slice prefix, suffix, text = {buffer_text(&place->text), place->text.size};
    struct gatherer *gatherer = NULL;
    complete_split(text, place->at, &prefix, &suffix);
    struct gather_request request = {.path = buffer_text(&place->path),
                                     .text = text,
                                     .at = prefix.size,
                                     .engine = engine,
                                     .cancel = context->cancel};
    enum status status = place_sources(settings, &request.sources, error);
    if (status == STATUS_OK)
        status = gather_open(project, &gatherer, error);
    if (status == STATUS_OK)
        status = gather_run(gatherer, &request, gathered, error);
    if (status == STATUS_OK) {
        const char *slash = strrchr(repo_root(project->repo), '/');
        gathered_request(gathered, &request, out);
        out->repository = slice_from(slash ? slash + 1 : "");
        out->budget = (size_t)settings->budget;
        out->form = settings->fim_form == FIM_FORM_SEEDED ? FIM_SEEDED : FIM_PLAIN;
    }
    gather_close(gatherer);
    return status;
}
