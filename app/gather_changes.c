/* gather_changes: what is being worked on, and what matters most: the pending diff as it stands in the files now, and the
 * map's signatures.  Both change with what is saved, not with what is typed. */
#include <stdlib.h>
#include <string.h>

#include "app/gather_private.h"
#include "repo/repo_lines.h"

enum {
    ASKED_AGAIN_NS = 2 * 1000 * 1000 * 1000, /* after so long, files that differ are asked for again */
    ASKED_AGAIN_TIMES = 20,                  /* and after so many times what asking took */
    CHANGED_FILES = 8,
    CHANGED_RANGES = 4, /* of a file */
    LINES_AROUND = 2,
    LINES_MOST = 40,
    MAP_FILES = 12,
    MAP_TOKENS = 400,
    MAP_OPEN_FILES = 16,
};

enum status gather_changed_files(struct gathering *gathering, const struct repo_files **out)
{
    struct gatherer *gatherer = gathering->gatherer;
    uint64_t now = clock_now_ns(), least = ASKED_AGAIN_TIMES * gatherer->changed_cost_ns;
    *out = &gatherer->changed;
    if (gatherer->changed_ns && now - gatherer->changed_ns < (least > ASKED_AGAIN_NS ? least : ASKED_AGAIN_NS))
        return STATUS_OK;
    struct repo_files changed;
    enum status status = repo_changed(gatherer->project->repo, gathering->request->cancel, &changed, gathering->error);
    if (status != STATUS_OK)
        return status;
    repo_files_deinit(&gatherer->changed);
    gatherer->changed = changed;
    gatherer->changed_ns = clock_now_ns();
    gatherer->changed_cost_ns = gatherer->changed_ns - now;
    return STATUS_OK;
}

/* ---- the pending diff ---- */

struct ranges {
    uint32_t line[CHANGED_RANGES], end_line[CHANGED_RANGES];
    size_t n;
};

static bool take_range(void *context, uint32_t line, uint32_t end_line)
{
    struct ranges *ranges = context;
    uint32_t from = line > LINES_AROUND ? line - LINES_AROUND : 1, to = end_line + LINES_AROUND;
    if (ranges->n && from <= ranges->end_line[ranges->n - 1] + 1) {
        ranges->end_line[ranges->n - 1] = to;
        return true;
    }
    if (ranges->n == CHANGED_RANGES)
        return false;
    ranges->line[ranges->n] = from;
    ranges->end_line[ranges->n++] = to;
    return true;
}

static int by_youth(const void *left, const void *right)
{
    const struct repo_file *a = *(const struct repo_file *const *)left, *b = *(const struct repo_file *const *)right;
    if (a->stamp.mtime_ns != b->stamp.mtime_ns)
        return a->stamp.mtime_ns > b->stamp.mtime_ns ? -1 : 1;
    return strcmp(a->path, b->path);
}

static enum status add_changes(struct gathering *gathering, const struct repo_file *about, size_t rank)
{
    const struct gather_file *file = gather_read(gathering, about->path, about->path_size);
    struct ranges ranges = {0};
    if (!file)
        return STATUS_OK;
    struct slice text = {buffer_text(&file->text), file->text.size};
    enum status status =
        repo_changed_lines(gathering->gatherer->project->repo, about, text, take_range, &ranges, gathering->error);
    if (status != STATUS_OK)
        return status == STATUS_MEMORY ? status : STATUS_OK;
    for (size_t i = 0; i < ranges.n && status == STATUS_OK; i++) {
        struct slice range = gather_slice_lines(text, ranges.line[i], ranges.end_line[i]);
        uint32_t line = ranges.line[i], end_line;
        double shared = gather_best_lines(&gathering->words, NULL, range, LINES_MOST, &line, &end_line);
        if (!range.size)
            continue;
        struct fim_piece piece = {
            .path = {about->path, about->path_size},
            .line = line,
            .end_line = end_line,
            .text = gather_slice_lines(text, line, end_line),
            .source = "change",
            .why = about->is_tracked ? "edited since the last commit" : "new, not yet committed",
            .worth = (0.25 + shared * 2) / (1 + (double)rank / 4),
            .stable = true,
        };
        status = gather_add(gathering, &piece);
    }
    return status;
}

enum status gather_changes(struct gathering *gathering)
{
    const struct repo_files *changed;
    enum status status = gather_changed_files(gathering, &changed);
    if (status != STATUS_OK || !changed->n)
        return status;
    const struct repo_file **files = calloc(changed->n, sizeof *files);
    size_t n = 0;
    if (!files)
        return error_set(gathering->error, STATUS_MEMORY, "out of memory");
    for (size_t i = 0; i < changed->n; i++)
        if (changed->files[i].skip == REPO_KEEP &&
            !gather_is_current(gathering, changed->files[i].path, changed->files[i].path_size))
            files[n++] = &changed->files[i];
    qsort(files, n, sizeof *files, by_youth);
    for (size_t i = 0; i < n && i < CHANGED_FILES && status == STATUS_OK; i++)
        status = add_changes(gathering, files[i], i);
    free(files);
    return status;
}

/* ---- the map ---- */

struct counter {
    const struct engine *engine;
    struct tokens tokens;
};

static size_t count_tokens(void *context, const char *text, size_t size)
{
    struct counter *counter = context;
    tokens_clear(&counter->tokens);
    if (engine_tokenize(counter->engine, text, size, ENGINE_NO_PREFIX, &counter->tokens, NULL) != STATUS_OK)
        return SIZE_MAX;
    return counter->tokens.failed ? SIZE_MAX : counter->tokens.n;
}

static enum status add_map_file(struct gathering *gathering, const struct map_file *file)
{
    struct buffer text = {0};
    struct fim_piece piece = {.path = slice_from(file->path), .source = "map", .stable = true};
    for (size_t i = 0; i < file->n_lines; i++) {
        buffer_append_text(&text, file->lines[i].text);
        buffer_append_byte(&text, '\n');
        if (!piece.line || file->lines[i].line < piece.line)
            piece.line = file->lines[i].line;
        if (file->lines[i].line > piece.end_line)
            piece.end_line = file->lines[i].line;
    }
    piece.text = (struct slice){buffer_text(&text), text.size};
    piece.worth = 0.1 + file->rank;
    piece.why = gather_printf(gathering, "map: %zu signature%s of a file that others use", file->n_lines,
                              file->n_lines == 1 ? "" : "s");
    enum status status = buffer_status(&text, gathering->error);
    if (status == STATUS_OK && text.size)
        status = gather_add(gathering, &piece);
    buffer_deinit(&text);
    return status;
}

/* What the place is about: its file, the names that are used there, and the files that are being edited. */
static enum status make_map(struct gathering *gathering, struct counter *counter, struct map_result *out)
{
    const struct gather_request *request = gathering->request;
    struct index_place near = {request->path, 0};
    const struct repo_files *changed = NULL;
    const char *files[MAP_OPEN_FILES];
    struct map_request map = {.near = &near,
                              .files = files,
                              .budget = request->map_tokens ? request->map_tokens : MAP_TOKENS,
                              .count = count_tokens,
                              .context = counter};
    enum status status = gather_changed_files(gathering, &changed);
    for (size_t i = 0; status == STATUS_OK && i < changed->n && map.n_files < MAP_OPEN_FILES; i++)
        if (changed->files[i].skip == REPO_KEEP)
            files[map.n_files++] = changed->files[i].path;
    if (status == STATUS_OK)
        status = map_make(gathering->gatherer->map, gathering->gatherer->project->repo, &map, out, gathering->error);
    return status;
}

enum status gather_map(struct gathering *gathering)
{
    struct gatherer *gatherer = gathering->gatherer;
    struct counter counter = {.engine = gathering->request->engine};
    struct map_result result = {0};
    enum status status = STATUS_OK;
    if (!counter.engine)
        return STATUS_OK;
    if (!gatherer->map)
        status = map_open(gatherer->project->index, gathering->request->cancel, &gatherer->map, gathering->error);
    if (status == STATUS_OK)
        status = make_map(gathering, &counter, &result);
    for (size_t i = 0; status == STATUS_OK && i < result.n_files && i < MAP_FILES; i++)
        if (!gather_is_current(gathering, result.files[i].path, strlen(result.files[i].path)))
            status = add_map_file(gathering, &result.files[i]);
    map_result_deinit(&result);
    tokens_deinit(&counter.tokens);
    return status;
}
