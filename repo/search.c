/* search: the ways of finding, fused into one ranking, and the text of what was found (search.h). */
#include "repo/search.h"

#include <stdlib.h>
#include <string.h>

#include "repo/search_private.h"

enum { MAX_TEXT = 4000, DEFAULT_MAX = 10 };

static enum status out_of_memory(struct error *error)
{
    return error_set(error, STATUS_MEMORY, "out of memory");
}

/* ---- candidates ---- */

struct candidate *candidates_add(struct candidates *list)
{
    if (list->n == list->capacity) {
        size_t capacity = list->capacity ? list->capacity * 2 : 64;
        struct candidate *moved = realloc(list->items, capacity * sizeof *moved);
        if (!moved)
            return NULL;
        list->items = moved;
        list->capacity = capacity;
    }
    list->items[list->n] = (struct candidate){0};
    return &list->items[list->n++];
}

static int compare_quality(const void *a, const void *b)
{
    const struct candidate *one = a, *other = b;
    if (one->quality != other->quality)
        return one->quality > other->quality ? -1 : 1;
    int order =
        code_compare(one->path ? one->path : "", one->path_size, other->path ? other->path : "", other->path_size);
    if (order)
        return order;
    if (one->content != other->content)
        return one->content < other->content ? -1 : 1;
    if (one->line != other->line)
        return one->line < other->line ? -1 : 1;
    return (one->ordinal > other->ordinal) - (one->ordinal < other->ordinal);
}

void candidates_sort(struct candidates *list)
{
    if (list->n)
        qsort(list->items, list->n, sizeof *list->items, compare_quality);
}

static int compare_score(const void *a, const void *b)
{
    const struct candidate *one = a, *other = b;
    if (one->score != other->score)
        return one->score > other->score ? -1 : 1;
    return compare_quality(a, b);
}

/* ---- what all ways use ---- */

enum status search_copy_blob(struct index *index, enum index_statement which, uint32_t content, struct buffer *out,
                             struct error *error)
{
    sqlite3_stmt *row = index_statement(index, which, error);
    buffer_clear(out);
    if (!row)
        return index_failed(index, error);
    sqlite3_bind_int64(row, 1, content);
    int code = sqlite3_step(row);
    if (code == SQLITE_ROW)
        buffer_append(out, sqlite3_column_blob(row, 0), (size_t)sqlite3_column_bytes(row, 0));
    sqlite3_reset(row);
    return code == SQLITE_ROW || code == SQLITE_DONE ? buffer_status(out, error) : index_failed(index, error);
}

enum status search_find_path(struct search *search, struct candidate *it, struct error *error)
{
    enum { MOST = 64 };
    sqlite3_stmt *rows = index_statement(search->index, INDEX_PATHS_OF, error);
    it->path = NULL;
    if (!rows)
        return index_failed(search->index, error);
    sqlite3_bind_int64(rows, 1, it->content);
    sqlite3_bind_int(rows, 2, search->nearness || search->query.n_paths || search_has_lift(search) ? MOST : 1);
    double best = -1;
    int code;
    while ((code = sqlite3_step(rows)) == SQLITE_ROW) {
        const char *path = sqlite3_column_blob(rows, 0);
        size_t size = (size_t)sqlite3_column_bytes(rows, 0);
        double near = path ? index_nearness_of(search->nearness, path, size) + search_lift(search, path, size) : -1;
        if (near <= best || !search_path_fits(&search->query, path, size))
            continue;
        best = near;
        it->path = arena_copy_text(search->arena, path, size);
        it->path_size = (uint32_t)size;
        if (!it->path) {
            sqlite3_reset(rows);
            return out_of_memory(error);
        }
    }
    sqlite3_reset(rows);
    return code == SQLITE_DONE ? STATUS_OK : index_failed(search->index, error);
}

static bool language_fits(const struct search_query *query, const char *name)
{
    for (size_t i = 0; i < query->n_languages; i++)
        if (name && strcmp(language_name(query->languages[i]), name) == 0)
            return true;
    return query->n_languages == 0;
}

enum status search_filter(struct search *search, struct error *error)
{
    const struct segment *segments;
    size_t n;
    enum status status = segment_list(search->index->segments, &segments, &n, error);
    if (status != STATUS_OK)
        return status;
    search->n_contents = n ? segments[n - 1].last_content + 1 : 1;
    search->n_chunks = n ? segments[n - 1].end_chunk : 0;
    search->contents = calloc((size_t)search->n_contents + 1, 1);
    search->chunks = calloc((size_t)search->n_chunks + 1, 1);
    if (!search->contents || !search->chunks)
        return out_of_memory(error);
    sqlite3_stmt *rows = index_statement(search->index, INDEX_EACH_PLACE, error);
    if (!rows)
        return index_failed(search->index, error);
    int code;
    while ((code = sqlite3_step(rows)) == SQLITE_ROW) {
        const char *path = sqlite3_column_blob(rows, 0);
        int64_t content = sqlite3_column_int64(rows, 1), chunk = sqlite3_column_int64(rows, 3);
        int64_t count = sqlite3_column_int64(rows, 4);
        if (!path || content <= 0 || content >= search->n_contents || chunk < 0 || count < 0 ||
            chunk > search->n_chunks || count > search->n_chunks - chunk)
            continue;
        if (!language_fits(&search->query, (const char *)sqlite3_column_text(rows, 2)) ||
            !search_path_fits(&search->query, path, (size_t)sqlite3_column_bytes(rows, 0)))
            continue;
        search->contents[content] = 1;
        memset(search->chunks + chunk, 1, (size_t)count);
    }
    sqlite3_reset(rows);
    return code == SQLITE_DONE ? STATUS_OK : index_failed(search->index, error);
}

/* ---- references ---- */

struct reference_hunt {
    struct search *search;
    struct candidates *out;
    const char *path; /* of the last one, copied */
    uint32_t path_size;
    bool failed;
};

static bool add_reference(void *context, const struct index_reference *reference)
{
    struct reference_hunt *hunt = context;
    if (!search_path_fits(&hunt->search->query, reference->path, reference->path_size))
        return true;
    if (!hunt->path || code_compare(hunt->path, hunt->path_size, reference->path, reference->path_size) != 0) {
        hunt->path = arena_copy_text(hunt->search->arena, reference->path, reference->path_size);
        hunt->path_size = reference->path_size;
    }
    struct candidate *it = hunt->path ? candidates_add(hunt->out) : NULL;
    if (!it) {
        hunt->failed = true;
        return false;
    }
    *it = (struct candidate){.path = hunt->path,
                             .path_size = hunt->path_size,
                             .line = reference->line,
                             .end_line = reference->line,
                             .kind = -2,
                             .name = hunt->search->query.reference,
                             .quality = 1.0 / (double)hunt->out->n};
    return hunt->out->n < hunt->search->options->max + SEARCH_MAX_LIST;
}

/* In the order that index_references gives: nearest files first. */
static enum status find_references(struct search *search, struct candidates *out, struct error *error)
{
    struct reference_hunt hunt = {.search = search, .out = out};
    enum status status =
        index_references(search->index, search->query.reference, search->options->near, add_reference, &hunt, error);
    for (size_t i = 0; status == STATUS_OK && i < out->n; i++) {
        sqlite3_stmt *row = index_statement(search->index, INDEX_FILE, error);
        if (!row)
            return index_failed(search->index, error);
        sqlite3_bind_blob(row, 1, out->items[i].path, (int)out->items[i].path_size, SQLITE_STATIC);
        if (sqlite3_step(row) == SQLITE_ROW)
            out->items[i].content = (uint32_t)sqlite3_column_int64(row, 1);
        sqlite3_reset(row);
    }
    return hunt.failed ? out_of_memory(error) : status;
}

/* ---- fusion ---- */

/* Adds a list to the fused one; weighs: each by its quality, since letters in order are no more than a guess.  A place that is there already (the same path, and lines within one another) gains by it
 * and isn't listed again. */
static enum status fuse(struct candidates *fused, const struct candidates *list, bool weighs, bool adds,
                        struct error *error)
{
    size_t before = fused->n;
    for (size_t rank = 0; rank < list->n; rank++) {
        const struct candidate *it = &list->items[rank];
        double score = (weighs ? it->quality : 1) / (60.0 + (double)rank);
        bool is_there = false;
        for (size_t i = 0; i < before && !is_there; i++) {
            struct candidate *other = &fused->items[i];
            is_there = other->path_size == it->path_size && memcmp(other->path, it->path, it->path_size) == 0 &&
                       other->line <= it->end_line && it->line <= other->end_line;
            if (is_there)
                other->score += score;
        }
        if (is_there || !adds)
            continue;
        struct candidate *added = candidates_add(fused);
        if (!added)
            return out_of_memory(error);
        *added = *it;
        added->score = score;
    }
    return STATUS_OK;
}

static enum status find_all(struct search *search, struct candidates *fused, struct error *error)
{
    const struct search_query *query = &search->query;
    struct candidates symbols = {0}, text = {0}, scanned = {0};
    bool has_patterns = query->n_phrases || query->n_expressions;
    bool wants_symbols =
        search->options->rank != SEARCH_RANK_TEXT && !query->reference && (!query->wants_text || query->kinds);
    bool wants_text = !query->definition && !query->reference;
    enum status status = STATUS_OK;
    if (query->reference)
        status = find_references(search, fused, error);
    for (size_t i = 0; i < fused->n; i++)
        fused->items[i].score = fused->items[i].quality;
    if (status == STATUS_OK && has_patterns)
        status = search_scan(search, &scanned, error);
    if (status == STATUS_OK && wants_symbols)
        status = search_symbols(search, &symbols, error);
    if (status == STATUS_OK && wants_text)
        status = search_text(search, &text, error);
    if (status == STATUS_OK)
        status = fuse(fused, &scanned, false, true, error);
    if (status == STATUS_OK)
        status = fuse(fused, &symbols, true, !has_patterns, error);
    if (status == STATUS_OK)
        status = fuse(fused, &text, false, !has_patterns, error);
    free(symbols.items);
    free(text.items);
    free(scanned.items);
    return status;
}

static void rank(struct search *search, struct candidates *fused)
{
    for (size_t i = 0; i < fused->n; i++) {
        struct candidate *it = &fused->items[i];
        double near = search_nearness(search, it->path, it->path_size);
        it->score *= (1 + near) * (1 + search_lift(search, it->path, it->path_size));
    }
    if (fused->n)
        qsort(fused->items, fused->n, sizeof *fused->items, compare_score);
}

/* ---- texts ---- */

static const char *line_at(const char *text, const char *end, uint32_t line)
{
    for (uint32_t i = 1; i < line && text; i++) {
        text = text < end ? memchr(text, '\n', (size_t)(end - text)) : NULL;
        text = text ? text + 1 : NULL;
    }
    return text;
}

/* How many of the query's words a line holds, letters' case aside. */
static int count_words(const struct search_query *query, const char *line, size_t size)
{
    char lower[512], word[80];
    int n = 0;
    if (size > sizeof lower)
        size = sizeof lower;
    facts_lower(lower, line, size);
    for (size_t i = 0; i < query->n_words; i++) {
        if (query->words[i].size > sizeof word)
            continue;
        facts_lower(word, query->words[i].data, query->words[i].size);
        n += memmem(lower, size, word, query->words[i].size) != NULL;
    }
    return n;
}

static enum status fill_hit(struct search *search, const struct candidate *it, struct search_hit *hit,
                            struct buffer *text, struct error *error)
{
    *hit = (struct search_hit){.path = it->path,
                               .path_size = it->path_size,
                               .line = it->line,
                               .end_line = it->end_line < it->line ? it->line : it->end_line,
                               .best_line = it->line,
                               .kind = it->kind >= 0    ? tag_kind_name((enum tag_kind)it->kind)
                                       : it->kind == -2 ? "reference"
                                                        : "text",
                               .name = it->name,
                               .score = it->score,
                               .text = ""};
    enum status status = search_read(search, it, text, error);
    const char *end = buffer_text(text) + text->size, *begin = line_at(buffer_text(text), end, it->line);
    if (status != STATUS_OK || !text->size || !begin)
        return status;
    const char *at = begin;
    int best = -1;
    for (uint32_t line = hit->line; line <= hit->end_line && at < end; line++) {
        const char *newline = memchr(at, '\n', (size_t)(end - at)), *next = newline ? newline + 1 : end;
        if (next - begin > MAX_TEXT && at > begin)
            break;
        int n = it->kind == -1 ? count_words(&search->query, at, (size_t)(next - at)) : 0;
        if (n > best) {
            best = n;
            hit->best_line = line;
        }
        at = next;
    }
    hit->text_size = (size_t)(at - begin) < MAX_TEXT ? (size_t)(at - begin) : MAX_TEXT;
    hit->text = arena_copy_text(search->arena, begin, hit->text_size);
    return hit->text ? STATUS_OK : out_of_memory(error);
}

static enum status fill(struct search *search, const struct candidates *fused, struct search_results *out,
                        struct error *error)
{
    size_t max = search->options->max ? search->options->max : DEFAULT_MAX;
    struct buffer text = {0};
    enum status status = STATUS_OK;
    size_t n = fused->n < max ? fused->n : max;
    out->hits = calloc(n + 1, sizeof *out->hits);
    if (!out->hits)
        status = out_of_memory(error);
    for (size_t i = 0; status == STATUS_OK && i < n; i++) {
        status = fill_hit(search, &fused->items[i], &out->hits[i], &text, error);
        out->n = i + 1;
    }
    buffer_deinit(&text);
    return status;
}

enum status search_run(struct index *index, struct repo *repo, const struct search_options *options,
                       struct search_results *out, struct error *error)
{
    *out = (struct search_results){0};
    struct search search = {.index = index, .repo = repo, .options = options, .arena = &out->arena};
    struct candidates fused = {0};
    enum status status = search_parse(options->query, &out->arena, &search.query, error);
    if (status == STATUS_OK)
        status = index_begin_read(index, error);
    if (status != STATUS_OK) {
        search_results_deinit(out);
        return status;
    }
    if (options->near && options->near->path && (options->rank == SEARCH_RANK_ALL || options->rank == SEARCH_RANK_NEAR))
        status = index_nearness_new(index, options->near->path, &search.nearness, error);
    if (status == STATUS_OK && search_is_lifted(&search))
        status = search_edits_new(&search, error);
    if (status == STATUS_OK && search_is_filtered(&search.query))
        status = search_filter(&search, error);
    if (status == STATUS_OK)
        status = find_all(&search, &fused, error);
    if (status == STATUS_OK) {
        rank(&search, &fused);
        status = fill(&search, &fused, out, error);
    }
    if (status == STATUS_OK && search_is_cancelled(&search))
        status = error_set(error, STATUS_CANCELLED, "cancelled");
    index_end_read(index);
    out->is_partial = search.is_partial;
    index_nearness_free(search.nearness);
    free(search.edits);
    free(search.contents);
    free(search.chunks);
    free(fused.items);
    if (status != STATUS_OK)
        search_results_deinit(out);
    return status;
}

void search_results_deinit(struct search_results *results)
{
    free(results->hits);
    arena_deinit(&results->arena);
    *results = (struct search_results){0};
}
