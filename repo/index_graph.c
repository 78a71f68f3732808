/* index_graph: all names with those who define and use them, in one pass over the inverted lists (index.h). */
#include <stdlib.h>
#include <string.h>

#include "repo/index_store.h"

enum status index_each_file(struct index *index,
                            bool (*each)(void *context, uint32_t content, const char *path, size_t size), void *context,
                            struct error *error)
{
    sqlite3_stmt *rows = index_statement(index, INDEX_EACH_FILE, error);
    int code = SQLITE_DONE;
    if (!rows)
        return index_failed(index, error);
    while ((code = sqlite3_step(rows)) == SQLITE_ROW) {
        struct index_file_row row;
        index_file_row_read(rows, &row);
        if (row.content && !each(context, row.content, row.path, row.path_size))
            break;
    }
    sqlite3_reset(rows);
    return code == SQLITE_DONE || code == SQLITE_ROW ? STATUS_OK : index_failed(index, error);
}

struct name_lists {
    uint32_t *definers, *users;
    uint8_t *kinds, *weights;
    size_t n_definers, n_users, definers_capacity, users_capacity;
};

static bool add(uint32_t **numbers, uint8_t **bytes, size_t *n, size_t *capacity, uint32_t number, uint8_t byte)
{
    if (*n == *capacity) {
        size_t wanted = *capacity ? *capacity * 2 : 1024;
        uint32_t *moved = realloc(*numbers, wanted * sizeof **numbers);
        if (moved)
            *numbers = moved;
        uint8_t *moved_bytes = moved ? realloc(*bytes, wanted) : NULL;
        if (!moved_bytes)
            return false;
        *bytes = moved_bytes;
        *capacity = wanted;
    }
    (*numbers)[*n] = number;
    (*bytes)[(*n)++] = byte;
    return true;
}

static struct index_name name_with(struct slice name, const struct name_lists *lists)
{
    return (struct index_name){.name = name.data,
                               .size = name.size,
                               .definers = lists->definers,
                               .users = lists->users,
                               .kinds = lists->kinds,
                               .weights = lists->weights,
                               .n_definers = lists->n_definers,
                               .n_users = lists->n_users};
}

/* The exact name of a KEY_DEFINITION: what stands behind the NUL, or before it where nothing does. */
static struct slice name_of(const struct code_name *key)
{
    const char *begin = key->bytes + 1, *nul = memchr(begin, 0, key->size - 1);
    size_t size = key->size - 1;
    if (!nul)
        return (struct slice){begin, size};
    size_t lower = (size_t)(nul - begin);
    return lower + 1 < size ? (struct slice){nul + 1, size - lower - 1} : (struct slice){begin, lower};
}

struct graph {
    struct index *index;
    const struct segment *segments;
    struct segment_cursor *cursors, *users;
    size_t n;
    struct name_lists lists;
};

/* All segments' lists of the least key become one; out gets the key. */
static enum status next_definition(struct graph *graph, struct code_name *out, bool *is_done, struct error *error)
{
    const struct code_name *least = NULL;
    for (size_t i = 0; i < graph->n; i++) {
        struct segment_cursor *it = &graph->cursors[i];
        if (!it->is_done && (!it->key.size || it->key.bytes[0] != KEY_DEFINITION))
            it->is_done = true;
        if (!it->is_done && (!least || code_compare(it->key.bytes, it->key.size, least->bytes, least->size) < 0))
            least = &it->key;
    }
    *is_done = !least;
    if (!least)
        return STATUS_OK;
    *out = *least;
    struct name_lists *lists = &graph->lists;
    lists->n_definers = 0;
    for (size_t i = 0; i < graph->n; i++) {
        struct segment_cursor *it = &graph->cursors[i];
        if (it->is_done || code_compare(it->key.bytes, it->key.size, out->bytes, out->size) != 0)
            continue;
        while (posting_next(&it->list))
            if (!add(&lists->definers, &lists->kinds, &lists->n_definers, &lists->definers_capacity, it->list.document,
                     (uint8_t)(it->list.extra & 31)))
                return error_set(error, STATUS_MEMORY, "out of memory");
        enum status status = segment_next(it, error);
        if (status == STATUS_OK && !it->is_done &&
            code_compare(it->key.bytes, it->key.size, out->bytes, out->size) <= 0)
            status = index_damaged(error);
        if (status != STATUS_OK)
            return status;
    }
    return STATUS_OK;
}

/* Those who use the name: the cursors go on to its key, which is the definition's but for the first byte. */
static enum status find_users(struct graph *graph, const struct code_name *key, struct error *error)
{
    struct name_lists *lists = &graph->lists;
    lists->n_users = 0;
    for (size_t i = 0; i < graph->n; i++) {
        struct segment_cursor *it = &graph->users[i];
        int order = -1;
        while (!it->is_done && it->key.size && it->key.bytes[0] == KEY_REFERENCE &&
               (order = code_compare(it->key.bytes + 1, it->key.size - 1, key->bytes + 1, key->size - 1)) < 0) {
            enum status status = segment_next(it, error);
            if (status != STATUS_OK)
                return status;
        }
        while (!it->is_done && order == 0 && posting_next(&it->list))
            if (!add(&lists->users, &lists->weights, &lists->n_users, &lists->users_capacity, it->list.document,
                     (uint8_t)it->list.low))
                return error_set(error, STATUS_MEMORY, "out of memory");
    }
    return STATUS_OK;
}

static enum status walk_names(struct graph *graph, bool (*each)(void *context, const struct index_name *name),
                              void *context, const atomic_bool *cancel, struct error *error)
{
    static const char spaces[] = {KEY_DEFINITION, KEY_REFERENCE};
    enum status status = STATUS_OK;
    struct code_name key;
    bool is_done = false;
    for (size_t i = 0; status == STATUS_OK && i < 2 * graph->n; i++)
        status = segment_seek(&graph->cursors[i], graph->index->segments, &graph->segments[i % graph->n],
                              &spaces[i / graph->n], 1, error);
    for (unsigned turn = 0; status == STATUS_OK; turn++) {
        status = next_definition(graph, &key, &is_done, error);
        if (status != STATUS_OK || is_done)
            break;
        struct slice name = name_of(&key);
        status = find_users(graph, &key, error);
        const struct name_lists *lists = &graph->lists;
        struct index_name it = name_with(name, lists);
        if (status == STATUS_OK && !each(context, &it))
            break;
        if (turn % 1024 == 0 && cancel && atomic_load(cancel))
            return error_set(error, STATUS_CANCELLED, "cancelled");
    }
    return status;
}

/* ---- single names ---- */

struct wanted {
    const char *key; /* KEY_DEFINITION */
    size_t size;
};

static int by_key(const void *a, const void *b)
{
    const struct wanted *one = a, *other = b;
    return code_compare(one->key, one->size, other->key, other->size);
}

static enum status make_keys(const struct slice *names, size_t n, struct arena *arena, struct wanted *out,
                             size_t *n_out, struct error *error)
{
    char key[CODE_NAME_MAX];
    *n_out = 0;
    for (size_t i = 0; i < n; i++) {
        if (names[i].size > FACT_NAME_MAX)
            continue;
        size_t size = facts_name_key(key, KEY_DEFINITION, names[i].data, names[i].size);
        const char *copy = arena_copy_text(arena, key, size);
        if (!copy)
            return error_set(error, STATUS_MEMORY, "out of memory");
        out[(*n_out)++] = (struct wanted){copy, size};
    }
    if (*n_out)
        qsort(out, *n_out, sizeof *out, by_key);
    return STATUS_OK;
}

/* All segments' lists of a key, in one of the graph's two lists. */
static enum status look_up(struct graph *graph, const char *key, size_t size, bool is_definition, struct error *error)
{
    struct name_lists *lists = &graph->lists;
    enum status status = STATUS_OK;
    for (size_t i = 0; status == STATUS_OK && i < graph->n; i++) {
        struct posting_list list;
        bool ok = true;
        status = segment_find(graph->index->segments, &graph->segments[i], key, size, 0, &list, error);
        while (status == STATUS_OK && ok && posting_next(&list))
            ok = is_definition ? add(&lists->definers, &lists->kinds, &lists->n_definers, &lists->definers_capacity,
                                     list.document, (uint8_t)(list.extra & 31))
                               : add(&lists->users, &lists->weights, &lists->n_users, &lists->users_capacity,
                                     list.document, (uint8_t)list.low);
        if (!ok)
            status = error_set(error, STATUS_MEMORY, "out of memory");
    }
    return status;
}

static enum status look_up_all(struct graph *graph, const struct wanted *wanted, size_t n, bool defined_only,
                               bool (*each)(void *context, const struct index_name *name), void *context,
                               const atomic_bool *cancel, struct error *error)
{
    struct name_lists *lists = &graph->lists;
    enum status status = STATUS_OK;
    for (size_t i = 0; status == STATUS_OK && i < n; i++) {
        struct code_name key = {.size = wanted[i].size};
        if (i && by_key(&wanted[i - 1], &wanted[i]) == 0)
            continue;
        if (cancel && atomic_load(cancel))
            return error_set(error, STATUS_CANCELLED, "cancelled");
        memcpy(key.bytes, wanted[i].key, key.size);
        key.bytes[key.size] = 0;
        lists->n_definers = lists->n_users = 0;
        status = look_up(graph, key.bytes, key.size, true, error);
        if (!lists->n_definers && defined_only)
            continue;
        key.bytes[0] = KEY_REFERENCE;
        if (status == STATUS_OK)
            status = look_up(graph, key.bytes, key.size, false, error);
        struct slice name = name_of(&key);
        struct index_name it = name_with(name, lists);
        if (status == STATUS_OK && !each(context, &it))
            break;
    }
    return status;
}

static void free_lists(struct name_lists *lists)
{
    free(lists->definers);
    free(lists->users);
    free(lists->kinds);
    free(lists->weights);
}

enum status index_each_name_of(struct index *index, const struct slice *names, size_t n, bool defined_only,
                               bool (*each)(void *context, const struct index_name *name), void *context,
                               const atomic_bool *cancel, struct error *error)
{
    struct graph graph = {.index = index};
    struct arena arena = {0};
    size_t n_wanted = 0;
    struct wanted *wanted = calloc(n + 1, sizeof *wanted);
    enum status status = wanted ? index_begin_read(index, error) : error_set(error, STATUS_MEMORY, "out of memory");
    if (status != STATUS_OK) {
        free(wanted);
        return status;
    }
    status = segment_list(index->segments, &graph.segments, &graph.n, error);
    if (status == STATUS_OK)
        status = make_keys(names, n, &arena, wanted, &n_wanted, error);
    if (status == STATUS_OK)
        status = look_up_all(&graph, wanted, n_wanted, defined_only, each, context, cancel, error);
    index_end_read(index);
    free_lists(&graph.lists);
    arena_deinit(&arena);
    free(wanted);
    return status;
}

static enum status read_facts(struct index *index, enum index_statement which, uint32_t content, struct buffer *out,
                              struct error *error)
{
    bool is_there;
    enum status status = index_read_blob(index, which, content, &is_there, out, error);
    return status || is_there ? status : error_set(error, STATUS_NOT_FOUND, "a content that was collected");
}

enum status index_each_name_in(struct index *index, uint32_t content,
                               bool (*each)(void *context, const char *name, size_t size, int kind, uint32_t n),
                               void *context, struct error *error)
{
    struct buffer blob = {0};
    bool goes_on = true;
    enum status status = read_facts(index, INDEX_DEFINITIONS, content, &blob, error);
    struct fact_definitions definitions = {.reader = code_reader_make(blob.data, blob.size)};
    while (status == STATUS_OK && goes_on && facts_next_definition(&definitions))
        goes_on = each(context, definitions.now.name.bytes, definitions.now.name.size, (int)definitions.now.kind, 1);
    if (status == STATUS_OK && definitions.reader.failed)
        status = index_damaged(error);
    if (status == STATUS_OK && goes_on)
        status = read_facts(index, INDEX_REFERENCES, content, &blob, error);
    struct fact_names names = {.reader = code_reader_make(blob.data, blob.size)};
    while (status == STATUS_OK && goes_on && facts_next_name(&names))
        goes_on = each(context, names.name.bytes, names.name.size, -1, names.n);
    if (status == STATUS_OK && goes_on && names.reader.failed)
        status = index_damaged(error);
    buffer_deinit(&blob);
    return status;
}

enum status index_each_name(struct index *index, bool (*each)(void *context, const struct index_name *name),
                            void *context, const atomic_bool *cancel, struct error *error)
{
    struct graph graph = {.index = index};
    enum status status = index_begin_read(index, error);
    if (status != STATUS_OK)
        return status;
    status = segment_list(index->segments, &graph.segments, &graph.n, error);
    graph.cursors = status == STATUS_OK ? calloc(2 * graph.n + 1, sizeof *graph.cursors) : NULL;
    graph.users = graph.cursors ? graph.cursors + graph.n : NULL;
    if (status == STATUS_OK && !graph.cursors)
        status = error_set(error, STATUS_MEMORY, "out of memory");
    if (status == STATUS_OK)
        status = walk_names(&graph, each, context, cancel, error);
    for (size_t i = 0; graph.cursors && i < 2 * graph.n; i++)
        segment_cursor_deinit(&graph.cursors[i]);
    index_end_read(index);
    free(graph.cursors);
    free_lists(&graph.lists);
    return status;
}
