/* map: see map.h. */
#include "repo/map.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "repo/map_graph.h"

enum {
    ROUNDS = 12,          /* of a personal rank, from its start: 0.6 to the 12th is 0.2 % */
    FILES_MOST = 160,     /* whose definitions are looked at */
    LINES_MOST = 48,      /* of one file */
    NAMES_MOST = 64,      /* near the cursor */
    LINES_AROUND = 15,    /* the cursor */
    SIGNATURE_MOST = 200, /* bytes of one that are shown */
    READ_MOST = 8 << 20,
};

struct map {
    struct index *index;
    struct map_graph graph;
};

/* The saved graph, if it is that of the index as it is; else from it; else anew. */
static enum status find_graph(struct map *map, const atomic_bool *cancel, struct error *error)
{
    struct map_graph old, *graph = &map->graph;
    enum status status = STATUS_OK;
    bool is_there = map_graph_load(map->index, &old), is_done = false;
    if (is_there && old.n == graph->n && old.key[0] == graph->key[0] && old.key[1] == graph->key[1]) {
        map_graph_move(graph, &old);
        map_graph_deinit(&old);
        return STATUS_OK;
    }
    if (is_there)
        status = map_graph_patch(map->index, graph, &old, cancel, &is_done, error);
    if (status == STATUS_OK && !is_done)
        status = map_graph_build(map->index, graph, cancel, error);
    if (status == STATUS_OK)
        map_graph_save(map->index, graph);
    map_graph_deinit(&old);
    return status;
}

enum status map_open(struct index *index, const atomic_bool *cancel, struct map **out, struct error *error)
{
    *out = NULL;
    struct map *map = calloc(1, sizeof *map);
    if (!map)
        return error_set(error, STATUS_MEMORY, "out of memory");
    map->index = index;
    enum status status = map_graph_nodes(index, &map->graph, error);
    if (status == STATUS_OK)
        status = find_graph(map, cancel, error);
    if (status != STATUS_OK) {
        map_close(map);
        return status;
    }
    *out = map;
    return STATUS_OK;
}

void map_close(struct map *map)
{
    if (!map)
        return;
    map_graph_deinit(&map->graph);
    free(map);
}

/* ---- a request under way ---- */

struct candidate {
    uint32_t node, line;
    struct span signature;
    struct repo_id blob;
    double score;
    uint32_t hash; /* of its name */
    bool is_function, is_prototype;
    const char *text; /* once its file was read; NULL where it isn't what was indexed */
    bool is_nested;
};

struct making {
    struct map *map;
    struct repo *repo;
    const struct map_request *request;
    struct error *error;
    struct map_result *out;
    float *start, *rank, *scratch;         /* (n) each */
    uint32_t names[NAMES_MOST], n_names;   /* hashes of those near the cursor, ascending */
    uint32_t *used, n_used, used_capacity; /* of all that the place's file uses, ascending */
    uint32_t *order;                       /* nodes by rank, FILES_MOST of them */
    size_t n_order;
    struct candidate *candidates;
    size_t n, capacity;
};

static enum status out_of_memory(struct making *making)
{
    return error_set(making->error, STATUS_MEMORY, "out of memory");
}

/* ---- where to begin ---- */

static int by_value(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static bool holds(const uint32_t *sorted, size_t n, uint32_t value)
{
    return n && bsearch(&value, sorted, n, sizeof value, by_value);
}

/* The node of a path, also of one whose content other files have, too. */
static uint32_t node_of(struct making *making, const char *path)
{
    struct index_definitions outline;
    uint32_t node = map_graph_find(&making->map->graph, path);
    if (node != UINT32_MAX || index_outline(making->map->index, path, &outline, NULL) != STATUS_OK)
        return node;
    if (outline.n && outline.items[0].content < making->map->graph.n_contents)
        node = making->map->graph.nodes[outline.items[0].content];
    index_definitions_deinit(&outline);
    return node;
}

/* A name leads to the files that define it: the more surely, the fewer they are. */
static enum status seed_name(struct making *making, const char *name, float weight)
{
    enum { DEFINITIONS_MOST = 8 };
    struct index_definitions found;
    enum status status =
        index_definitions(making->map->index, name, making->request->near, DEFINITIONS_MOST, &found, making->error);
    if (status != STATUS_OK)
        return status;
    for (size_t i = 0; i < found.n && !found.is_cut; i++) {
        uint32_t content = found.items[i].content;
        uint32_t node = content < making->map->graph.n_contents ? making->map->graph.nodes[content] : UINT32_MAX;
        if (node != UINT32_MAX)
            making->start[node] += weight / (float)found.n;
    }
    index_definitions_deinit(&found);
    return STATUS_OK;
}

static bool is_name_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || (c & 0x80);
}

/* The bytes of the lines around the place. */
static struct slice lines_around(const struct buffer *text, uint32_t line)
{
    const char *at = buffer_text(text), *end = at + text->size, *begin = at;
    uint32_t first = line > LINES_AROUND ? line - LINES_AROUND : 1, last = line + LINES_AROUND;
    for (uint32_t i = 1; at < end; i++) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        if (i == first)
            begin = at;
        at = newline ? newline + 1 : end;
        if (i == last)
            break;
        if (i < first)
            begin = at;
    }
    return (struct slice){begin, (size_t)(at - begin)};
}

static enum status seed_cursor(struct making *making, const struct index_place *near)
{
    struct buffer text = {0};
    struct repo_id id;
    enum repo_skip skip;
    struct repo_file file = {.path = near->path, .path_size = (uint32_t)strlen(near->path)};
    enum status status = STATUS_OK;
    file.stamp.mode = S_IFREG;
    if (near->line == 0 || near->line > UINT32_MAX / 2 ||
        repo_read(making->repo, &file, READ_MOST, &text, &id, &skip, NULL) != STATUS_OK) {
        buffer_deinit(&text);
        return STATUS_OK;
    }
    struct slice rest = lines_around(&text, near->line);
    while (rest.size && making->n_names < NAMES_MOST && status == STATUS_OK) {
        size_t n = 0;
        char name[128];
        while (n < rest.size && is_name_byte(rest.data[n]))
            n++;
        uint32_t hash = map_hash(rest.data, n), i = 0;
        while (i < making->n_names && making->names[i] != hash)
            i++;
        if (n >= 3 && n < sizeof name && i == making->n_names && !(rest.data[0] >= '0' && rest.data[0] <= '9')) {
            memcpy(name, rest.data, n);
            name[n] = 0;
            making->names[making->n_names++] = hash;
            status = seed_name(making, name, 0.05f);
        }
        n += n < rest.size;
        rest.data += n;
        rest.size -= n;
    }
    buffer_deinit(&text);
    return status;
}

static bool take_used(void *context, const char *name, size_t size, uint32_t n)
{
    struct making *making = context;
    (void)n;
    if (making->n_used == making->used_capacity) {
        uint32_t capacity = making->used_capacity ? making->used_capacity * 2 : 256;
        uint32_t *grown = reallocarray(making->used, capacity, sizeof *grown);
        if (!grown)
            return false;
        making->used = grown;
        making->used_capacity = capacity;
    }
    making->used[making->n_used++] = map_hash(name, size);
    return true;
}

static enum status find_start(struct making *making)
{
    const struct map_request *request = making->request;
    const struct map_graph *graph = &making->map->graph;
    enum status status = STATUS_OK;
    if (request->near) {
        uint32_t node = node_of(making, request->near->path);
        if (node != UINT32_MAX)
            making->start[node] += 1;
        status = seed_cursor(making, request->near);
        if (status == STATUS_OK)
            status = index_names_of(making->map->index, request->near->path, take_used, making, making->error);
    }
    for (size_t i = 0; i < request->n_files; i++) {
        uint32_t node = node_of(making, request->files[i]);
        if (node != UINT32_MAX)
            making->start[node] += 0.5f / (float)request->n_files;
    }
    for (size_t i = 0; i < request->n_names && status == STATUS_OK; i++) {
        if (making->n_names < NAMES_MOST)
            making->names[making->n_names++] = map_hash(request->names[i], strlen(request->names[i]));
        status = seed_name(making, request->names[i], 0.3f);
    }
    qsort(making->names, making->n_names, sizeof *making->names, by_value);
    if (making->n_used)
        qsort(making->used, making->n_used, sizeof *making->used, by_value);
    double sum = 0;
    for (uint32_t i = 0; i < graph->n; i++)
        sum += (double)making->start[i];
    for (uint32_t i = 0; i < graph->n; i++)
        making->start[i] = sum > 0 ? (float)((double)making->start[i] / sum) : 0;
    if (sum > 0)
        map_graph_rank(graph, making->start, 0.6f, ROUNDS, making->rank, making->scratch);
    else
        memcpy(making->rank, graph->rank, graph->n * sizeof *making->rank);
    return status;
}

/* ---- what to show ---- */

/* The nodes of highest rank, in order; of equals the one that comes first. */
static void find_order(struct making *making)
{
    const float *rank = making->rank;
    for (uint32_t i = 0; i < making->map->graph.n; i++) {
        if (!(rank[i] > 0))
            continue;
        size_t at = making->n_order;
        if (at == FILES_MOST && rank[making->order[at - 1]] >= rank[i])
            continue;
        if (at < FILES_MOST)
            making->n_order++;
        else
            at--;
        while (at && rank[making->order[at - 1]] < rank[i]) {
            making->order[at] = making->order[at - 1];
            at--;
        }
        making->order[at] = i;
    }
}

static bool is_shown(enum tag_kind kind)
{
    return kind != TAG_FIELD && kind != TAG_ENUMERATOR && kind != TAG_KEY && kind < TAG_N_KINDS;
}

static const struct map_name *find_name(const struct map_graph *graph, uint32_t node, uint32_t hash)
{
    uint32_t low = graph->first_name[node], high = graph->first_name[node + 1];
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (graph->names[middle].hash == hash)
            return &graph->names[middle];
        if (graph->names[middle].hash < hash)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

static int by_score(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;
    if (x->score != y->score)
        return x->score < y->score ? 1 : -1;
    if (x->node != y->node)
        return x->node < y->node ? -1 : 1;
    return (x->line > y->line) - (x->line < y->line);
}

/* The definitions of one file, the best LINES_MOST of them. */
static enum status take_definitions(struct making *making, uint32_t node)
{
    const struct map_graph *graph = &making->map->graph;
    struct index_definitions outline;
    enum status status = index_outline(making->map->index, graph->paths[node], &outline, making->error);
    if (status != STATUS_OK)
        return status;
    if (outline.n == 0) {
        index_definitions_deinit(&outline);
        return STATUS_OK;
    }
    if (making->capacity - making->n < outline.n) {
        size_t capacity = making->capacity * 2 + outline.n;
        struct candidate *grown = reallocarray(making->candidates, capacity, sizeof *grown);
        if (!grown) {
            index_definitions_deinit(&outline);
            return out_of_memory(making);
        }
        making->candidates = grown;
        making->capacity = capacity;
    }
    const double unused = 0.02; /* by other files, or by hardly any */
    struct candidate *first = making->candidates + making->n;
    size_t n = 0;
    double sum = 0;
    for (size_t i = 0; i < outline.n; i++) {
        const struct index_definition *it = &outline.items[i];
        uint32_t hash = map_hash(it->name, strlen(it->name));
        const struct map_name *used = find_name(graph, node, hash);
        bool is_guard = it->kind == TAG_MACRO && !used; /* of a header, or as useless */
        if (is_guard || !is_shown(it->kind) || it->signature.begin >= it->signature.end)
            continue;
        double score = used ? (double)used->score : unused;
        if (holds(making->names, making->n_names, hash))
            score *= 8;
        else if (holds(making->used, making->n_used, hash))
            score *= 3;
        first[n++] = (struct candidate){.node = node,
                                        .line = it->line,
                                        .signature = it->signature,
                                        .blob = it->blob,
                                        .score = score,
                                        .hash = hash,
                                        .is_function = it->kind == TAG_FUNCTION,
                                        .is_prototype = it->kind == TAG_PROTOTYPE,
                                        .is_nested = it->scope && *it->scope};
        sum += score;
    }
    for (size_t i = 0; i < n; i++)
        first[i].score *= (double)making->rank[node] / sum;
    qsort(first, n, sizeof *first, by_score);
    making->n += n < LINES_MOST ? n : LINES_MOST;
    index_definitions_deinit(&outline);
    return STATUS_OK;
}

/* A signature on one line. */
static char *one_line(struct arena *arena, const char *text, size_t size)
{
    char line[SIGNATURE_MOST + 1] = {0};
    size_t n = 0, i = 0;
    for (; i < size && n < SIGNATURE_MOST; i++) {
        bool is_space = text[i] == ' ' || text[i] == '\t' || text[i] == '\n' || text[i] == '\r' || !text[i];
        if (!is_space)
            line[n++] = text[i];
        else if (n && line[n - 1] != ' ')
            line[n++] = ' ';
    }
    /* Cut between characters. */
    bool is_cut_within = i < size && (text[i] & 0xc0) == 0x80;
    while (is_cut_within && n && (line[n - 1] & 0xc0) == 0x80)
        n--;
    n -= is_cut_within && n;
    while (n && line[n - 1] == ' ')
        n--;
    return arena_copy_text(arena, line, n);
}

/* Of a function and its prototypes only the best is worth a line. */
static enum status drop_repeated(struct making *making)
{
    size_t size = 16, n = 0;
    while (size < making->n * 2)
        size *= 2;
    uint32_t *seen = calloc(size, sizeof *seen); /* place of a candidate + 1, by hash */
    if (!seen)
        return out_of_memory(making);
    for (size_t i = 0; i < making->n; i++) {
        const struct candidate *it = &making->candidates[i];
        size_t at = it->hash & (size - 1);
        bool is_either = it->is_function || it->is_prototype, is_repeated = false;
        while (is_either && seen[at] && !is_repeated) {
            const struct candidate *other = &making->candidates[seen[at] - 1];
            is_repeated = other->hash == it->hash && (it->is_prototype || other->is_prototype);
            at = (at + 1) & (size - 1);
        }
        if (is_repeated)
            continue;
        making->candidates[n++] = *it;
        if (is_either)
            seen[at] = (uint32_t)n;
    }
    making->n = n;
    free(seen);
    return STATUS_OK;
}

/* Reads the files of the best candidates, each once, and cuts the signatures out. */
static enum status read_texts(struct making *making, size_t most)
{
    struct buffer text = {0};
    enum status status = STATUS_OK;
    for (size_t i = 0; i < most && status == STATUS_OK; i++) {
        uint32_t node = making->candidates[i].node;
        struct repo_file file = {.path = making->map->graph.paths[node]};
        struct repo_id id;
        enum repo_skip skip;
        bool is_known = false;
        for (size_t k = 0; k < i && !is_known; k++)
            is_known = making->candidates[k].node == node;
        if (is_known)
            continue;
        file.path_size = (uint32_t)strlen(file.path);
        file.stamp.mode = S_IFREG;
        bool ok = repo_read(making->repo, &file, READ_MOST, &text, &id, &skip, NULL) == STATUS_OK;
        for (size_t k = i; ok && k < most; k++) {
            struct candidate *it = &making->candidates[k];
            if (it->node != node || memcmp(&id, &it->blob, sizeof id) != 0 || it->signature.end > text.size)
                continue;
            it->text =
                one_line(&making->out->arena, text.data + it->signature.begin, it->signature.end - it->signature.begin);
            if (!it->text)
                status = out_of_memory(making);
        }
    }
    buffer_deinit(&text);
    /* What can't be shown makes room for what can. */
    size_t n = 0;
    for (size_t i = 0; i < most; i++)
        if (making->candidates[i].text && *making->candidates[i].text)
            making->candidates[n++] = making->candidates[i];
    making->n = n;
    return status;
}

/* ---- writing ---- */

static int by_place(const void *a, const void *b, void *context)
{
    const struct candidate *x = a, *y = b;
    const float *rank = context;
    if (x->node != y->node) {
        if (rank[x->node] != rank[y->node])
            return rank[x->node] < rank[y->node] ? 1 : -1;
        return x->node < y->node ? -1 : 1;
    }
    if (x->line != y->line)
        return x->line < y->line ? -1 : 1;
    return (x->signature.begin > y->signature.begin) - (x->signature.begin < y->signature.begin);
}

/* The outline of the first n candidates; sorted is room for them. */
static enum status write_text(struct making *making, size_t n, struct candidate *sorted)
{
    struct buffer *text = &making->out->text;
    buffer_clear(text);
    memcpy(sorted, making->candidates, n * sizeof *sorted);
    qsort_r(sorted, n, sizeof *sorted, by_place, making->rank);
    for (size_t i = 0; i < n; i++) {
        if (i == 0 || sorted[i - 1].node != sorted[i].node) {
            const char *path = making->map->graph.paths[sorted[i].node];
            for (; *path; path++)
                buffer_append_byte(text, *path == '\n' ? '?' : *path);
            buffer_append_text(text, ":\n");
        }
        buffer_printf(text, "%u: %s%s\n", sorted[i].line, sorted[i].is_nested ? "  " : "", sorted[i].text);
    }
    return buffer_status(text, making->error);
}

/* The number of tokens of the outline of n candidates. */
static enum status measure(struct making *making, size_t n, struct candidate *sorted, size_t *tokens)
{
    enum status status = write_text(making, n, sorted);
    *tokens = 0;
    if (status != STATUS_OK || n == 0)
        return status;
    *tokens = making->request->count(making->request->context, making->out->text.data, making->out->text.size);
    return *tokens == SIZE_MAX ? error_set(making->error, STATUS_IO, "the tokens can't be counted") : STATUS_OK;
}

/* As many candidates as fit, by halves; what is taken has been counted as it is. */
static enum status pack(struct making *making, struct candidate *sorted, size_t *n)
{
    size_t low = 0, high = making->n + 1, tokens;
    enum status status = STATUS_OK;
    while (low + 1 < high && status == STATUS_OK) {
        size_t middle = low + (high - low) / 2;
        status = measure(making, middle, sorted, &tokens);
        if (tokens <= making->request->budget)
            low = middle;
        else
            high = middle;
    }
    if (status == STATUS_OK)
        status = measure(making, low, sorted, &making->out->n_tokens);
    *n = low;
    return status;
}

static enum status fill_result(struct making *making, const struct candidate *sorted, size_t n)
{
    struct map_result *out = making->out;
    struct map_line *lines = arena_alloc(&out->arena, (n + 1) * sizeof *lines);
    out->files = arena_alloc(&out->arena, (n + 1) * sizeof *out->files);
    if (!lines || !out->files)
        return out_of_memory(making);
    for (size_t i = 0; i < n; i++) {
        if (i == 0 || sorted[i - 1].node != sorted[i].node) {
            const char *path = making->map->graph.paths[sorted[i].node];
            char *copy = arena_copy_text(&out->arena, path, strlen(path));
            if (!copy)
                return out_of_memory(making);
            out->files[out->n_files++] =
                (struct map_file){.path = copy, .rank = (double)making->rank[sorted[i].node], .lines = &lines[i]};
        }
        lines[i] = (struct map_line){sorted[i].line, sorted[i].text};
        out->files[out->n_files - 1].n_lines++;
    }
    return STATUS_OK;
}

static enum status make(struct making *making)
{
    size_t n_nodes = making->map->graph.n;
    making->start = calloc(n_nodes + 1, sizeof *making->start);
    making->rank = calloc(n_nodes + 1, sizeof *making->rank);
    making->scratch = calloc(n_nodes + 1, sizeof *making->scratch);
    making->order = calloc(FILES_MOST, sizeof *making->order);
    if (!making->start || !making->rank || !making->scratch || !making->order)
        return out_of_memory(making);
    enum status status = find_start(making);
    if (status == STATUS_OK)
        find_order(making);
    for (size_t i = 0; i < making->n_order && status == STATUS_OK; i++)
        status = take_definitions(making, making->order[i]);
    if (status != STATUS_OK || making->n == 0)
        return status;
    qsort(making->candidates, making->n, sizeof *making->candidates, by_score);
    if ((status = drop_repeated(making)) != STATUS_OK)
        return status;
    /* No line is shorter than two tokens. */
    size_t most = making->request->budget / 2 < making->n ? making->request->budget / 2 : making->n, n = 0;
    status = read_texts(making, most);
    struct candidate *sorted = calloc(making->n + 1, sizeof *sorted);
    if (status == STATUS_OK && !sorted)
        status = out_of_memory(making);
    if (status == STATUS_OK)
        status = pack(making, sorted, &n);
    if (status == STATUS_OK)
        status = fill_result(making, sorted, n);
    free(sorted);
    return status;
}

enum status map_make(struct map *map, struct repo *repo, const struct map_request *request, struct map_result *out,
                     struct error *error)
{
    struct error unasked = {0};
    struct making making = {.map = map, .repo = repo, .request = request, .out = out};
    making.error = error ? error : &unasked;
    *out = (struct map_result){0};
    enum status status = make(&making);
    free(making.start);
    free(making.rank);
    free(making.scratch);
    free(making.order);
    free(making.used);
    free(making.candidates);
    if (status != STATUS_OK)
        map_result_deinit(out);
    return status;
}

void map_result_deinit(struct map_result *result)
{
    buffer_deinit(&result->text);
    arena_deinit(&result->arena);
    *result = (struct map_result){0};
}
