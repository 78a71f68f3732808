/* index_symbols: names: where they are defined, where they are used, what encloses a place (index.h). */
#include <stdlib.h>
#include <string.h>

#include "repo/index_store.h"

enum { MAX_FOUND = 4096, MAX_PATHS = 8 };

void index_definitions_deinit(struct index_definitions *definitions)
{
    free(definitions->items);
    arena_deinit(&definitions->arena);
    *definitions = (struct index_definitions){0};
}

static enum status out_of_memory(struct error *error)
{
    return error_set(error, STATUS_MEMORY, "out of memory");
}

static struct index_definition *append(struct index_definitions *out)
{
    if (out->n == out->capacity) {
        size_t capacity = out->capacity ? out->capacity * 2 : 16;
        struct index_definition *moved = realloc(out->items, capacity * sizeof *moved);
        if (!moved)
            return NULL;
        out->items = moved;
        out->capacity = capacity;
    }
    out->items[out->n] = (struct index_definition){.ordinal = -1, .parent = -1};
    return &out->items[out->n++];
}

/* ---- rows ---- */

enum status index_read_blob(struct index *index, enum index_statement which, int64_t content, bool *is_there,
                            struct buffer *out, struct error *error)
{
    sqlite3_stmt *row = index_statement(index, which, error);
    if (!row)
        return index_failed(index, error);
    sqlite3_bind_int64(row, 1, content);
    int code = sqlite3_step(row);
    buffer_clear(out);
    if (code == SQLITE_ROW)
        buffer_append(out, sqlite3_column_blob(row, 0), (size_t)sqlite3_column_bytes(row, 0));
    sqlite3_reset(row);
    if (is_there)
        *is_there = code == SQLITE_ROW;
    return code == SQLITE_ROW || code == SQLITE_DONE ? buffer_status(out, error) : index_failed(index, error);
}

static enum status read_blob_id(struct index *index, int64_t content, struct repo_id *id, struct error *error)
{
    sqlite3_stmt *row = index_statement(index, INDEX_CONTENT, error);
    if (!row)
        return index_failed(index, error);
    sqlite3_bind_int64(row, 1, content);
    int code = sqlite3_step(row);
    memset(id, 0, sizeof *id);
    if (code == SQLITE_ROW && sqlite3_column_bytes(row, 1) == sizeof id->bytes)
        memcpy(id->bytes, sqlite3_column_blob(row, 1), sizeof id->bytes);
    sqlite3_reset(row);
    return code == SQLITE_ROW || code == SQLITE_DONE ? STATUS_OK : index_failed(index, error);
}

enum status index_find_content(struct index *index, const char *path, int64_t *content, struct error *error)
{
    sqlite3_stmt *row = index_statement(index, INDEX_FILE, error);
    *content = 0;
    if (!row)
        return index_failed(index, error);
    sqlite3_bind_blob(row, 1, path, (int)strlen(path), SQLITE_STATIC);
    int code = sqlite3_step(row);
    if (code == SQLITE_ROW)
        *content = sqlite3_column_int64(row, 1);
    sqlite3_reset(row);
    return code == SQLITE_ROW || code == SQLITE_DONE ? STATUS_OK : index_failed(index, error);
}

/* The nearest of the files that have a content; path stays NULL where there is none any more. */
static enum status find_path(struct index *index, uint32_t content, const struct index_nearness *nearness,
                             struct arena *arena, const char **path, uint32_t *size, double *near, struct error *error)
{
    sqlite3_stmt *rows = index_statement(index, INDEX_PATHS_OF, error);
    *path = NULL;
    *near = 0;
    if (!rows)
        return index_failed(index, error);
    sqlite3_bind_int64(rows, 1, content);
    sqlite3_bind_int(rows, 2, nearness ? MAX_PATHS : 1);
    int code;
    while ((code = sqlite3_step(rows)) == SQLITE_ROW) {
        const char *it = sqlite3_column_blob(rows, 0);
        size_t n = (size_t)sqlite3_column_bytes(rows, 0);
        double score = it ? index_nearness_of(nearness, it, n) : 0;
        if (!it || (*path && score <= *near))
            continue;
        *path = arena_copy_text(arena, it, n);
        *size = (uint32_t)n;
        *near = score;
        if (!*path) {
            sqlite3_reset(rows);
            return out_of_memory(error);
        }
    }
    sqlite3_reset(rows);
    return code == SQLITE_DONE ? STATUS_OK : index_failed(index, error);
}

/* ---- definitions of one content ---- */

static enum status copy_definition(struct index_definitions *out, const struct fact_definition *now,
                                   struct index_definition *to, struct error *error)
{
    to->name = arena_copy_text(&out->arena, now->name.bytes, now->name.size);
    to->whole = now->whole;
    to->signature = now->signature;
    to->doc = now->doc;
    to->line = now->line;
    to->end_line = now->end_line;
    to->kind = now->kind;
    to->ordinal = (int32_t)now->ordinal;
    to->parent = now->parent;
    return to->name ? STATUS_OK : out_of_memory(error);
}

/* Every definition of a content. */
static enum status decode_all(struct index *index, int64_t content, struct index_definitions *out, struct error *error)
{
    struct buffer blob = {0};
    enum status status = index_read_blob(index, INDEX_DEFINITIONS, content, NULL, &blob, error);
    struct fact_definitions list = {.reader = code_reader_make(blob.data, blob.size)};
    while (status == STATUS_OK && facts_next_definition(&list)) {
        struct index_definition *to = append(out);
        status = to ? copy_definition(out, &list.now, to, error) : out_of_memory(error);
        if (status != STATUS_OK)
            break;
        to->content = (uint32_t)content;
        to->scope = to->parent >= 0 ? out->items[to->parent].name : "";
        if (list.now.scope.size)
            to->scope = arena_copy_text(&out->arena, list.now.scope.data, list.now.scope.size);
        if (!to->scope) {
            status = out_of_memory(error);
            break;
        }
    }
    if (status == STATUS_OK && list.reader.failed)
        status = index_damaged(error);
    buffer_deinit(&blob);
    return status;
}

enum status index_outline(struct index *index, const char *path, struct index_definitions *out, struct error *error)
{
    int64_t content;
    struct repo_id id = {0};
    *out = (struct index_definitions){0};
    enum status status = index_begin_read(index, error);
    if (status != STATUS_OK)
        return status;
    status = index_find_content(index, path, &content, error);
    if (status == STATUS_OK && content > 0)
        status = read_blob_id(index, content, &id, error);
    if (status == STATUS_OK && content > 0)
        status = decode_all(index, content, out, error);
    const char *copy = arena_copy_text(&out->arena, path, strlen(path));
    for (size_t i = 0; status == STATUS_OK && i < out->n; i++) {
        out->items[i].path = copy;
        out->items[i].path_size = (uint32_t)strlen(path);
        out->items[i].blob = id;
    }
    index_end_read(index);
    if (status == STATUS_OK && !copy)
        status = out_of_memory(error);
    if (status != STATUS_OK)
        index_definitions_deinit(out);
    return status;
}

enum status index_scopes_at(struct index *index, const struct index_place *place, struct index_definitions *out,
                            struct error *error)
{
    enum status status = index_outline(index, place->path, out, error);
    if (status != STATUS_OK)
        return status;
    /* The last one that holds the line is the innermost: of two on one line, the later.  Its parents hold it, too. */
    int32_t innermost = -1;
    size_t n = 0;
    for (size_t i = 0; i < out->n; i++)
        if (out->items[i].line <= place->line && place->line <= out->items[i].end_line)
            innermost = (int32_t)i;
    for (int32_t at = innermost; at >= 0; at = out->items[at].parent)
        n++;
    struct index_definition *chosen = calloc(n + 1, sizeof *chosen);
    if (!chosen) {
        index_definitions_deinit(out);
        return out_of_memory(error);
    }
    size_t k = n;
    for (int32_t at = innermost; at >= 0; at = out->items[at].parent)
        chosen[--k] = out->items[at];
    free(out->items);
    out->items = chosen;
    out->n = n;
    out->capacity = n + 1;
    return STATUS_OK;
}

/* ---- definitions of a name ---- */

struct found {
    uint32_t content, ordinal;
    uint8_t kind;
    const char *path;
    uint32_t path_size;
    double near, score;
};

/* What says most comes first: bodies before fields before mere declarations. */
static double weight_of(unsigned kind)
{
    switch (kind) {
    case TAG_PROTOTYPE:
        return 0.3;
    case TAG_FIELD:
    case TAG_KEY:
    case TAG_HEADING:
        return 0.5;
    case TAG_VARIABLE:
    case TAG_ENUMERATOR:
        return 0.7;
    default:
        return 1;
    }
}

static int by_score(const void *a, const void *b)
{
    const struct found *one = a, *other = b;
    if (one->score != other->score)
        return one->score > other->score ? -1 : 1;
    if (one->path && other->path && one->path != other->path) {
        int order = code_compare(one->path, one->path_size, other->path, other->path_size);
        if (order)
            return order;
    }
    if (one->content != other->content)
        return one->content < other->content ? -1 : 1;
    return (one->ordinal > other->ordinal) - (one->ordinal < other->ordinal);
}

static enum status find_all(struct index *index, const char *name, struct found *found, size_t *n, bool *is_cut,
                            struct error *error)
{
    char key[CODE_NAME_MAX];
    const struct segment *segments;
    size_t n_segments, size = strlen(name);
    *n = 0;
    if (size > FACT_NAME_MAX)
        return STATUS_OK;
    enum status status = segment_list(index->segments, &segments, &n_segments, error);
    size = facts_name_key(key, KEY_DEFINITION, name, size);
    for (size_t i = n_segments; status == STATUS_OK && i; i--) {
        struct posting_list list;
        status = segment_find(index->segments, &segments[i - 1], key, size, 0, &list, error);
        while (status == STATUS_OK && posting_next(&list)) {
            if (*n == MAX_FOUND) {
                *is_cut = true;
                return STATUS_OK;
            }
            found[(*n)++] = (struct found){.content = list.document,
                                           .ordinal = list.extra >> 5,
                                           .kind = (uint8_t)(list.extra & 31),
                                           .score = weight_of(list.extra & 31)};
        }
    }
    return status;
}

/* Gives the best ones their paths and what their nearness adds; those without a file go. */
static enum status find_paths(struct index *index, struct found *found, size_t *n,
                              const struct index_nearness *nearness, struct arena *arena, struct error *error)
{
    enum { MOST = 500 };
    enum status status = STATUS_OK;
    size_t kept = 0;
    qsort(found, *n, sizeof *found, by_score);
    for (size_t i = 0; status == STATUS_OK && i < *n && kept < MOST; i++) {
        struct found *it = &found[i];
        if (kept && found[kept - 1].content == it->content) {
            it->path = found[kept - 1].path;
            it->path_size = found[kept - 1].path_size;
            it->near = found[kept - 1].near;
        } else {
            status = find_path(index, it->content, nearness, arena, &it->path, &it->path_size, &it->near, error);
        }
        if (status != STATUS_OK || !it->path)
            continue;
        it->score = weight_of(it->kind) * (1 + it->near);
        found[kept++] = *it;
    }
    *n = kept;
    return status;
}

static enum status fill_definition(struct index *index, const struct found *found, struct index_definitions *out,
                                   struct error *error)
{
    struct index_definitions all = {0};
    enum status status = decode_all(index, found->content, &all, error);
    struct index_definition *to = status == STATUS_OK && found->ordinal < all.n ? append(out) : NULL;
    if (status == STATUS_OK && found->ordinal < all.n) {
        if (to) {
            *to = all.items[found->ordinal];
            to->path = found->path;
            to->path_size = found->path_size;
            to->nearness = found->near;
            to->name = arena_copy_text(&out->arena, to->name, strlen(to->name));
            to->scope = arena_copy_text(&out->arena, to->scope, strlen(to->scope));
            status = read_blob_id(index, found->content, &to->blob, error);
        }
        if (!to || !to->name || !to->scope)
            status = out_of_memory(error);
    }
    index_definitions_deinit(&all);
    return status;
}

enum status index_definitions(struct index *index, const char *name, const struct index_place *from, size_t max,
                              struct index_definitions *out, struct error *error)
{
    struct index_nearness *nearness = NULL;
    size_t n = 0;
    *out = (struct index_definitions){0};
    struct found *found = calloc(MAX_FOUND, sizeof *found);
    enum status status = found ? index_begin_read(index, error) : out_of_memory(error);
    if (status != STATUS_OK) {
        free(found);
        return status;
    }
    status = find_all(index, name, found, &n, &out->is_cut, error);
    if (status == STATUS_OK && from && from->path && n > 1)
        status = index_nearness_new(index, from->path, &nearness, error);
    if (status == STATUS_OK)
        status = find_paths(index, found, &n, nearness, &out->arena, error);
    if (status == STATUS_OK)
        qsort(found, n, sizeof *found, by_score);
    for (size_t i = 0; status == STATUS_OK && i < n && i < max; i++)
        status = fill_definition(index, &found[i], out, error);
    out->is_cut = out->is_cut || n > max;
    index_end_read(index);
    index_nearness_free(nearness);
    free(found);
    if (status != STATUS_OK)
        index_definitions_deinit(out);
    return status;
}

/* ---- references ---- */

static enum status each_line(struct index *index, const struct found *file, const char *name, struct buffer *blob,
                             bool (*each)(void *context, const struct index_reference *reference), void *context,
                             bool *goes_on, struct error *error)
{
    size_t size = strlen(name);
    enum status status = index_read_blob(index, INDEX_REFERENCES, file->content, NULL, blob, error);
    struct fact_names names = {.reader = code_reader_make(blob->data, blob->size)};
    while (status == STATUS_OK && facts_next_name(&names)) {
        if (code_compare(names.name.bytes, names.name.size, name, size) != 0)
            continue;
        struct index_reference reference = {.path = file->path, .path_size = file->path_size};
        while (*goes_on && facts_next_line(&names, &reference.line, &reference.is_call))
            *goes_on = each(context, &reference);
        break;
    }
    return status == STATUS_OK && names.reader.failed ? index_damaged(error) : status;
}

static enum status find_users(struct index *index, const char *name, struct found *found, size_t *n,
                              struct error *error)
{
    char key[CODE_NAME_MAX];
    const struct segment *segments;
    size_t n_segments, size = strlen(name);
    *n = 0;
    if (size > FACT_NAME_MAX)
        return STATUS_OK;
    size = facts_name_key(key, KEY_REFERENCE, name, size);
    enum status status = segment_list(index->segments, &segments, &n_segments, error);
    for (size_t i = n_segments; status == STATUS_OK && i; i--) {
        struct posting_list list;
        status = segment_find(index->segments, &segments[i - 1], key, size, 0, &list, error);
        while (status == STATUS_OK && *n < MAX_FOUND && posting_next(&list))
            found[(*n)++] = (struct found){.content = list.document, .kind = TAG_FUNCTION, .score = 1};
    }
    return status;
}

enum status index_references(struct index *index, const char *name, const struct index_place *from,
                             bool (*each)(void *context, const struct index_reference *reference), void *context,
                             struct error *error)
{
    enum { MOST = 1000 };
    struct index_nearness *nearness = NULL;
    struct arena arena = {0};
    struct buffer blob = {0};
    size_t n = 0;
    bool goes_on = true;
    struct found *found = calloc(MAX_FOUND, sizeof *found);
    enum status status = found ? index_begin_read(index, error) : out_of_memory(error);
    if (status != STATUS_OK) {
        free(found);
        return status;
    }
    status = find_users(index, name, found, &n, error);
    if (status == STATUS_OK && from && from->path && n > 1)
        status = index_nearness_new(index, from->path, &nearness, error);
    size_t kept = 0;
    for (size_t i = 0; status == STATUS_OK && i < n; i++) {
        struct found it = found[i];
        status = find_path(index, it.content, nearness, &arena, &it.path, &it.path_size, &it.near, error);
        it.score = it.near;
        if (it.path)
            found[kept++] = it;
    }
    qsort(found, kept, sizeof *found, by_score);
    for (size_t i = 0; status == STATUS_OK && i < kept && i < MOST && goes_on; i++)
        status = each_line(index, &found[i], name, &blob, each, context, &goes_on, error);
    index_end_read(index);
    index_nearness_free(nearness);
    arena_deinit(&arena);
    buffer_deinit(&blob);
    free(found);
    return status;
}

enum status index_names_of(struct index *index, const char *path,
                           bool (*each)(void *context, const char *name, size_t size, uint32_t n), void *context,
                           struct error *error)
{
    struct buffer blob = {0};
    int64_t content;
    enum status status = index_begin_read(index, error);
    if (status != STATUS_OK)
        return status;
    status = index_find_content(index, path, &content, error);
    if (status == STATUS_OK)
        status = index_read_blob(index, INDEX_REFERENCES, content, NULL, &blob, error);
    index_end_read(index);
    struct fact_names names = {.reader = code_reader_make(blob.data, blob.size)};
    while (status == STATUS_OK && facts_next_name(&names))
        if (!each(context, names.name.bytes, names.name.size, names.n))
            break;
    if (status == STATUS_OK && names.reader.failed)
        status = index_damaged(error);
    buffer_deinit(&blob);
    return status;
}

/* ---- chunks ---- */

enum status index_chunks_at(struct index *index, const struct index_place *place, size_t before, size_t after,
                            struct index_chunk *chunks, size_t max, size_t *n, struct error *error)
{
    struct buffer blob = {0};
    int64_t content;
    size_t at = 0, first;
    *n = 0;
    enum status status = index_begin_read(index, error);
    if (status != STATUS_OK)
        return status;
    status = index_find_content(index, place->path, &content, error);
    if (status == STATUS_OK)
        status = index_read_blob(index, INDEX_CHUNKS, content, NULL, &blob, error);
    index_end_read(index);
    struct code_reader reader = code_reader_make(blob.data, blob.size);
    struct fact_chunk chunk = {0};
    size_t count = 0;
    while (facts_next_chunk(&reader, &chunk)) { /* the last that begins at the line or before it */
        if (count == 0 || chunk.line <= place->line)
            at = count;
        count++;
    }
    first = at > before ? at - before : 0;
    reader = code_reader_make(blob.data, blob.size);
    chunk = (struct fact_chunk){0};
    for (size_t i = 0; i < count && i <= at + after && facts_next_chunk(&reader, &chunk); i++)
        if (i >= first && *n < max)
            chunks[(*n)++] = (struct index_chunk){chunk.text, chunk.line, chunk.end_line};
    buffer_deinit(&blob);
    return status;
}
