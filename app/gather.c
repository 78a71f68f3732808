/* gather: see gather.h.  Here the order of things: the text's syntax, what stands near the cursor, then each source. */
#include "app/gather.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/gather_private.h"

enum {
    STEP_LINES = 16,           /* the lines that are looked at begin at a multiple of it */
    LINES_BEHIND = 8,          /* and end so many behind the cursor */
    SYNTAX_NS = 100 * 1000000, /* for reading the text's syntax */
    SIGNATURES_MOST = 8,
};

static const struct {
    const char *word;
    unsigned bit;
} sources[] = {
    {"definition", GATHER_DEFINITIONS},
    {"similar", GATHER_SIMILAR},
    {"change", GATHER_CHANGES},
    {"map", GATHER_MAP},
};

unsigned gather_source_of(const char *word, size_t size)
{
    for (size_t i = 0; i < sizeof sources / sizeof *sources; i++)
        if (strlen(sources[i].word) == size && memcmp(sources[i].word, word, size) == 0)
            return sources[i].bit;
    return 0;
}

enum status gather_open(const struct project *project, struct gatherer **out, struct error *error)
{
    struct gatherer *gatherer = calloc(1, sizeof *gatherer);
    *out = NULL;
    if (!gatherer)
        return error_set(error, STATUS_MEMORY, "out of memory");
    gatherer->project = project;
    enum status status = syntax_new(project->languages, &gatherer->syntax, error);
    if (status != STATUS_OK) {
        free(gatherer);
        return status;
    }
    *out = gatherer;
    return STATUS_OK;
}

void gather_forget(struct gatherer *gatherer)
{
    map_close(gatherer->map);
    gatherer->map = NULL;
    gatherer->changed_ns = 0;
}

void gather_close(struct gatherer *gatherer)
{
    if (!gatherer)
        return;
    map_close(gatherer->map);
    repo_files_deinit(&gatherer->changed);
    syntax_free(gatherer->syntax);
    free(gatherer);
}

/* ---- texts ---- */

bool gather_is_word_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || (c & 0x80);
}

bool gather_is_current(const struct gathering *gathering, const char *path, size_t size)
{
    const char *own = gathering->request->path;
    return strlen(own) == size && memcmp(own, path, size) == 0;
}

struct span gather_lines(struct slice text, struct span span)
{
    size_t begin = span.begin < text.size ? span.begin : text.size, end = span.end < text.size ? span.end : text.size;
    while (begin > 0 && text.data[begin - 1] != '\n')
        begin--;
    while (end < text.size && (end == begin || text.data[end - 1] != '\n'))
        end++;
    return (struct span){(uint32_t)begin, (uint32_t)end};
}

uint32_t gather_line_of(struct slice text, size_t at)
{
    uint32_t line = 1;
    for (const char *from = text.data, *end = text.data + at;
         from < end && (from = memchr(from, '\n', (size_t)(end - from))); from++)
        line++;
    return line;
}

struct slice gather_slice_lines(struct slice text, uint32_t line, uint32_t end_line)
{
    const char *at = text.data, *end = text.data + text.size, *begin = end;
    for (uint32_t i = 1; at < end && i <= end_line; i++) {
        if (i == line)
            begin = at;
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        at = newline ? newline + 1 : end;
    }
    return begin < at ? (struct slice){begin, (size_t)(at - begin)} : (struct slice){at, 0};
}

const struct gather_file *gather_read(struct gathering *gathering, const char *path, size_t size)
{
    struct repo *repo = gathering->gatherer->project->repo;
    enum repo_skip skip = REPO_KEEP;
    for (size_t i = 0; i < gathering->n_files; i++)
        if (strlen(gathering->files[i].path) == size && memcmp(gathering->files[i].path, path, size) == 0)
            return gathering->files[i].is_there ? &gathering->files[i] : NULL;
    if (gathering->n_files == GATHER_FILES_MOST || repo_is_bare(repo))
        return NULL;
    struct gather_file *file = &gathering->files[gathering->n_files];
    *file = (struct gather_file){.path = arena_copy_text(&gathering->out->arena, path, size)};
    if (!file->path)
        return NULL;
    gathering->n_files++;
    struct repo_file about = {.path = file->path, .path_size = (uint32_t)size};
    about.stamp.mode = 0100000; /* a regular file: of the worktree, not of a revision */
    file->is_there = repo_read(repo, &about, GATHER_FILE_BYTES, &file->text, &file->id, &skip, NULL) == STATUS_OK &&
                     skip == REPO_KEEP && !file->text.failed && file->text.size;
    return file->is_there ? file : NULL;
}

/* ---- pieces ---- */

const char *gather_printf(struct gathering *gathering, const char *format, ...)
{
    char text[256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    const char *copy = arena_copy_text(&gathering->out->arena, text, strlen(text));
    return copy ? copy : "";
}

enum status gather_add(struct gathering *gathering, const struct fim_piece *piece)
{
    struct gathered *out = gathering->out;
    if (out->n_pieces == gathering->capacity) {
        size_t capacity = gathering->capacity ? 2 * gathering->capacity : 32;
        struct fim_piece *pieces = arena_alloc(&out->arena, capacity * sizeof *pieces);
        if (!pieces)
            return error_set(gathering->error, STATUS_MEMORY, "out of memory");
        if (out->n_pieces)
            memcpy(pieces, out->pieces, out->n_pieces * sizeof *pieces);
        out->pieces = pieces;
        gathering->capacity = capacity;
    }
    struct fim_piece *added = &out->pieces[out->n_pieces];
    *added = *piece;
    /* A long piece takes the place of several short ones. */
    added->worth = piece->worth / sqrt(1 + (double)piece->text.size / 400);
    added->path.data = arena_copy_text(&out->arena, piece->path.data, piece->path.size);
    added->text.data = arena_copy_text(&out->arena, piece->text.data, piece->text.size);
    if (!added->path.data || !added->text.data)
        return error_set(gathering->error, STATUS_MEMORY, "out of memory");
    out->n_pieces++;
    return STATUS_OK;
}

/* ---- the text itself ---- */

/* Where windows may be cut: the beginnings of chunks. */
static enum status find_borders(struct gathering *gathering)
{
    const struct syntax_result *syntax = &gathering->syntax;
    struct gathered *out = gathering->out;
    size_t at = gathering->request->at, n = syntax->n_chunks;
    out->prefix_borders = arena_alloc(&out->arena, (n + 1) * sizeof *out->prefix_borders);
    out->suffix_borders = arena_alloc(&out->arena, (n + 1) * sizeof *out->suffix_borders);
    if (!out->prefix_borders || !out->suffix_borders)
        return error_set(gathering->error, STATUS_MEMORY, "out of memory");
    for (size_t i = 0; i < n && !syntax->is_text; i++) {
        size_t begin = syntax->chunks[i].text.begin;
        if (begin <= at)
            out->prefix_borders[out->n_prefix_borders++] = begin;
        else
            out->suffix_borders[out->n_suffix_borders++] = begin - at;
    }
    return STATUS_OK;
}

/* The signatures of what encloses the cursor and ends before its line. */
static enum status find_signatures(struct gathering *gathering)
{
    const struct syntax_result *syntax = &gathering->syntax;
    const struct gather_request *request = gathering->request;
    struct gathered *out = gathering->out;
    out->signatures = arena_alloc(&out->arena, SIGNATURES_MOST * sizeof *out->signatures);
    if (!out->signatures)
        return error_set(gathering->error, STATUS_MEMORY, "out of memory");
    for (size_t i = 0; i < syntax->n_definitions && out->n_signatures < SIGNATURES_MOST; i++) {
        const struct definition *definition = &syntax->definitions[i];
        if (definition->whole.begin > request->at || definition->whole.end < request->at ||
            definition->kind == TAG_KEY || definition->kind == TAG_VARIABLE)
            continue;
        struct span lines = gather_lines(request->text, definition->signature);
        if (lines.end <= request->at && lines.begin < lines.end)
            out->signatures[out->n_signatures++] = (struct fim_span){lines.begin, lines.end};
    }
    return STATUS_OK;
}

/* The lines that are looked at for names. */
static void find_area(struct gathering *gathering)
{
    const struct gather_request *request = gathering->request;
    uint32_t line = gather_line_of(request->text, request->at), step = (line - 1) / STEP_LINES * STEP_LINES;
    gathering->cursor_line = line;
    gathering->first_line = step >= STEP_LINES ? step - STEP_LINES + 1 : 1;
    gathering->last_line = line + LINES_BEHIND;
    struct slice area = gather_slice_lines(request->text, gathering->first_line, gathering->last_line);
    gathering->area_begin = (size_t)(area.data - request->text.data);
    gathering->area_end = gathering->area_begin + area.size;
}

static enum status read_text(struct gathering *gathering)
{
    const struct gather_request *request = gathering->request;
    int language = language_of(request->path, request->text.data, request->text.size);
    enum status status = STATUS_OK;
    if (request->text.size <= GATHER_FILE_BYTES)
        status = syntax_read(gathering->gatherer->syntax, language, request->text.data, request->text.size, SYNTAX_NS,
                             &gathering->syntax, gathering->error);
    else
        gathering->syntax.is_text = true;
    find_area(gathering);
    if (status == STATUS_OK)
        status = find_borders(gathering);
    if (status == STATUS_OK)
        status = find_signatures(gathering);
    return status;
}

/* ---- the whole ---- */

/* A source that fails for its own reasons is left out. */
static enum status run_source(struct gathering *gathering, unsigned source,
                              enum status (*run)(struct gathering *gathering))
{
    const atomic_bool *cancel = gathering->request->cancel;
    if (cancel && atomic_load(cancel))
        return error_set(gathering->error, STATUS_CANCELLED, "interrupted");
    if (!(gathering->request->sources & source))
        return STATUS_OK;
    enum status status = run(gathering);
    return status == STATUS_MEMORY || status == STATUS_CANCELLED ? status : STATUS_OK;
}

enum status gather_run(struct gatherer *gatherer, const struct gather_request *request, struct gathered *out,
                       struct error *error)
{
    struct gather_request whole = *request;
    struct error unasked = {0};
    *out = (struct gathered){0};
    if (!whole.text.size)
        whole.text.data = "";
    if (whole.at > whole.text.size)
        return error_set(error, STATUS_ARGUMENT, "the cursor lies behind the text");
    struct gathering *gathering = calloc(1, sizeof *gathering);
    if (!gathering)
        return error_set(error, STATUS_MEMORY, "out of memory");
    gathering->gatherer = gatherer;
    gathering->request = &whole;
    gathering->out = out;
    gathering->error = error ? error : &unasked;
    enum status status = read_text(gathering);
    if (status == STATUS_OK && whole.sources)
        status = gather_names(gathering);
    if (status == STATUS_OK)
        status = run_source(gathering, GATHER_DEFINITIONS, gather_definitions);
    if (status == STATUS_OK)
        status = run_source(gathering, GATHER_SIMILAR, gather_similar);
    if (status == STATUS_OK)
        status = run_source(gathering, GATHER_CHANGES, gather_changes);
    if (status == STATUS_OK)
        status = run_source(gathering, GATHER_MAP, gather_map);
    for (size_t i = 0; i < gathering->n_files; i++)
        buffer_deinit(&gathering->files[i].text);
    free(gathering);
    if (status != STATUS_OK)
        gathered_deinit(out);
    return status;
}

void gathered_deinit(struct gathered *gathered)
{
    arena_deinit(&gathered->arena);
    *gathered = (struct gathered){0};
}

void gathered_request(const struct gathered *gathered, const struct gather_request *request, struct fim_request *out)
{
    out->path = slice_from(request->path);
    out->prefix = (struct slice){request->text.data, request->at};
    out->suffix = (struct slice){request->text.data + request->at, request->text.size - request->at};
    out->prefix_line = 1;
    out->prefix_borders = gathered->prefix_borders;
    out->n_prefix_borders = gathered->n_prefix_borders;
    out->suffix_borders = gathered->suffix_borders;
    out->n_suffix_borders = gathered->n_suffix_borders;
    out->signatures = gathered->signatures;
    out->n_signatures = gathered->n_signatures;
    out->pieces = gathered->pieces;
    out->n_pieces = gathered->n_pieces;
}
