/* serve_context: see serve_context.h. */
#include "app/serve_context.h"

#include <stdlib.h>
#include <string.h>

#include "app/freshness.h"
#include "app/place.h"
#include "repo/search.h"

/* Shorter lines stand in many files. */
enum { LINE_LEAST = 12, LINE_MOST = 200, LINES_LOOKED_AT = 60, CANDIDATES = 8, SCAN_NS = 40 * 1000 * 1000 };

struct serve_context {
    const struct command_context *context;
    struct engine *engine;
    struct project project;
    struct gatherer *gatherer;
    struct freshness *freshness;
    uint64_t n_refreshes;
    /* The last file that was found, and by which line. */
    struct buffer line, path;
};

enum status serve_context_open(const struct command_context *context, struct engine *engine, const char *path,
                               struct serve_context **out, struct error *error)
{
    struct serve_context *repository = calloc(1, sizeof *repository);
    struct buffer folder = {0};
    if (!repository)
        return error_set(error, STATUS_MEMORY, "out of memory");
    repository->context = context;
    repository->engine = engine;
    enum status status = project_open(context, path, &repository->project, error);
    if (status == STATUS_OK)
        status = gather_open(&repository->project, &repository->gatherer, error);
    if (status == STATUS_OK)
        status = project_cache_folder(&folder, error);
    if (status == STATUS_OK) {
        struct freshness_options options = {.root = repo_root(repository->project.repo),
                                            .cache_folder = buffer_text(&folder),
                                            .settings = context->settings,
                                            .languages = repository->project.languages,
                                            .n_threads = 1};
        status = freshness_start(&options, &repository->freshness, error);
    }
    buffer_deinit(&folder);
    if (status != STATUS_OK)
        serve_context_close(repository);
    else
        *out = repository;
    return status;
}

void serve_context_close(struct serve_context *repository)
{
    if (!repository)
        return;
    if (repository->freshness)
        freshness_stop(repository->freshness);
    gather_close(repository->gatherer);
    project_close(&repository->project);
    buffer_deinit(&repository->line);
    buffer_deinit(&repository->path);
    free(repository);
}

struct languages *serve_context_languages(const struct serve_context *repository)
{
    return repository->project.languages;
}

void serve_found_deinit(struct serve_found *found)
{
    gathered_deinit(&found->gathered);
    buffer_deinit(&found->text);
    buffer_deinit(&found->path);
}

/* ---- which file it is ---- */

static struct slice trimmed(struct slice line)
{
    while (line.size && memchr(" \t\r", *line.data, 3))
        line = (struct slice){line.data + 1, line.size - 1};
    while (line.size && memchr(" \t\r", line.data[line.size - 1], 3))
        line.size--;
    return line;
}

/* The longest whole line near the cursor that a phrase can say, other than `but`. */
static struct slice telling_line(const char *prefix, struct slice but)
{
    struct slice best = {0};
    const char *end = strrchr(prefix, '\n'); /* the cursor's own line isn't in the file */
    for (int i = 0; end && i < LINES_LOOKED_AT; i++) {
        const char *begin = end;
        while (begin > prefix && begin[-1] != '\n')
            begin--;
        struct slice line = trimmed((struct slice){begin, (size_t)(end - begin)});
        bool is_other = !but.size || line.size != but.size || memcmp(line.data, but.data, but.size) != 0;
        if (is_other && line.size > best.size && line.size <= LINE_MOST && !memchr(line.data, '"', line.size))
            best = line;
        end = begin > prefix ? begin - 1 : NULL;
    }
    return best.size >= LINE_LEAST ? best : (struct slice){0};
}

static void search_line(struct serve_context *repository, struct slice line, struct search_results *out)
{
    struct buffer query = {0};
    buffer_printf(&query, "\"%.*s\"", (int)line.size, line.data);
    struct search_options options = {
        .query = buffer_text(&query), .max = CANDIDATES, .scan_ns = SCAN_NS, .rank = SEARCH_RANK_FLAT};
    if (query.failed ||
        search_run(repository->project.index, repository->project.repo, &options, out, NULL) != STATUS_OK)
        *out = (struct search_results){0};
    buffer_deinit(&query);
}

static void guess_path(struct serve_context *repository, const char *prefix)
{
    struct slice first = telling_line(prefix, (struct slice){0});
    if (!first.size)
        buffer_clear(&repository->path);
    if (!first.size || slice_equals(first, buffer_text(&repository->line)))
        return; /* typing on: the same file as before */
    struct slice second = telling_line(prefix, first);
    struct search_results a = {0}, b = {0};
    search_line(repository, first, &a);
    if (second.size)
        search_line(repository, second, &b);
    const struct search_hit *found = a.n == 1 ? &a.hits[0] : NULL;
    for (size_t i = 0; i < a.n && !(found && a.n == 1); i++)
        for (size_t k = 0; k < b.n && !found; k++)
            if (a.hits[i].path_size == b.hits[k].path_size &&
                memcmp(a.hits[i].path, b.hits[k].path, a.hits[i].path_size) == 0)
                found = &a.hits[i];
    buffer_clear(&repository->line);
    buffer_clear(&repository->path);
    buffer_append(&repository->line, first.data, first.size);
    if (found)
        buffer_append(&repository->path, found->path, found->path_size);
    search_results_deinit(&a);
    search_results_deinit(&b);
}

/* ---- what helps ---- */

static enum status gather(struct serve_context *repository, struct serve_found *found, size_t at,
                          struct fim_request *out, struct error *error)
{
    struct freshness_state state;
    struct gather_request request = {.path = buffer_text(&found->path),
                                     .text = {buffer_text(&found->text), found->text.size},
                                     .at = at,
                                     .engine = repository->engine};
    freshness_take(repository->freshness, &state);
    if (state.n_refreshes != repository->n_refreshes)
        gather_forget(repository->gatherer);
    repository->n_refreshes = state.n_refreshes;
    enum status status = place_sources(repository->context->settings, &request.sources, error);
    if (status == STATUS_OK)
        status = gather_run(repository->gatherer, &request, &found->gathered, error);
    if (status == STATUS_OK)
        gathered_request(&found->gathered, &request, out);
    const char *slash = strrchr(repo_root(repository->project.repo), '/');
    out->repository = slice_from(slash ? slash + 1 : "");
    return status;
}

enum status serve_context_find(struct serve_context *repository, const char *prefix, const char *suffix,
                               struct serve_found *found, struct fim_request *out, struct error *error)
{
    size_t at = strlen(prefix);
    buffer_append_text(&found->text, prefix);
    buffer_append_text(&found->text, suffix);
    enum status status = buffer_status(&found->text, error);
    if (status != STATUS_OK)
        return status;
    out->prefix = (struct slice){buffer_text(&found->text), at};
    out->suffix = (struct slice){buffer_text(&found->text) + at, found->text.size - at};
    if (!repository)
        return STATUS_OK;
    guess_path(repository, prefix);
    buffer_append(&found->path, buffer_text(&repository->path), repository->path.size);
    if (!found->path.size) /* without its language nothing can be said of it */
        return buffer_status(&found->path, error);
    return gather(repository, found, at, out, error);
}
