/* map_graph: see map_graph.h. */
#include "repo/map_graph.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { SLOTS = 64, DEFINERS_MOST = 24 };

uint32_t map_hash(const char *name, size_t size)
{
    uint32_t hash = 2166136261u;
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ (unsigned char)name[i]) * 16777619u;
    return hash;
}

/* ---- nodes ---- */

struct node_reader {
    struct map_graph *graph;
    size_t capacity, contents_capacity;
    bool failed;
};

static void mix(uint64_t key[2], uint64_t value)
{
    key[0] = (key[0] ^ value) * 0x9e3779b97f4a7c15u;
    key[0] ^= key[0] >> 29;
    key[1] = (key[1] + value) * 0xd6e8feb86659fd93u;
    key[1] ^= key[1] >> 32;
}

static bool make_room(struct node_reader *reader, uint32_t content)
{
    struct map_graph *graph = reader->graph;
    if (graph->n == reader->capacity) {
        size_t capacity = reader->capacity ? reader->capacity * 2 : 1024;
        const char **grown = reallocarray(graph->paths, capacity, sizeof *grown);
        if (!grown)
            return false;
        graph->paths = grown;
        reader->capacity = capacity;
    }
    if (content >= reader->contents_capacity) {
        size_t capacity = (size_t)content + content / 2 + 1024;
        uint32_t *grown = reallocarray(graph->nodes, capacity, sizeof *grown);
        if (!grown)
            return false;
        memset(grown + reader->contents_capacity, 0xff, (capacity - reader->contents_capacity) * sizeof *grown);
        graph->nodes = grown;
        reader->contents_capacity = capacity;
    }
    return true;
}

static bool take_file(void *context, uint32_t content, const char *path, size_t size)
{
    struct node_reader *reader = context;
    struct map_graph *graph = reader->graph;
    mix(graph->key, content);
    for (size_t i = 0; i < size; i += 8) {
        uint64_t piece = 0;
        memcpy(&piece, path + i, size - i < 8 ? size - i : 8);
        mix(graph->key, piece);
    }
    char *copy = NULL;
    if (content >= 1u << 28 || graph->n == UINT32_MAX - 1 || !make_room(reader, content) ||
        (graph->nodes[content] == UINT32_MAX && !(copy = arena_copy_text(&graph->arena, path, size)))) {
        reader->failed = true;
        return false;
    }
    if (content >= graph->n_contents)
        graph->n_contents = content + 1;
    if (copy) {
        graph->nodes[content] = graph->n;
        graph->paths[graph->n++] = copy;
    }
    return true;
}

enum status map_graph_nodes(struct index *index, struct map_graph *graph, struct error *error)
{
    struct node_reader reader = {.graph = graph};
    *graph = (struct map_graph){.key = {1, 2}};
    enum status status = index_each_file(index, take_file, &reader, error);
    if (status == STATUS_OK && reader.failed)
        status = error_set(error, STATUS_MEMORY, "out of memory");
    if (status != STATUS_OK)
        map_graph_deinit(graph);
    return status;
}

uint32_t map_graph_find(const struct map_graph *graph, const char *path)
{
    uint32_t low = 0, high = graph->n;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        int order = strcmp(graph->paths[middle], path);
        if (order == 0)
            return middle;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return UINT32_MAX;
}

void map_graph_forget(struct map_graph *graph)
{
    free(graph->first_edge);
    free(graph->first_name);
    free(graph->edges);
    free(graph->names);
    free(graph->rank);
    graph->first_edge = graph->first_name = NULL;
    graph->edges = NULL;
    graph->names = NULL;
    graph->rank = NULL;
}

void map_graph_deinit(struct map_graph *graph)
{
    map_graph_forget(graph);
    free(graph->paths);
    free(graph->nodes);
    arena_deinit(&graph->arena);
    *graph = (struct map_graph){0};
}

/* ---- counting ---- */

struct slot {
    uint32_t number; /* a node + 1, or a name's hash; 0: empty */
    float weight;
};

struct counter { /* of one node: open addressing */
    struct slot slots[SLOTS];
};

enum { FOLDERS = 4 };

struct home {                  /* where a file lies */
    uint32_t folders[FOLDERS]; /* hashes of the path up to each of the first folders; 0: no more */
    uint8_t n;                 /* folders, also those beyond */
    bool is_source;            /* of C or C++: what others can't include */
};

struct builder {
    struct map_graph *graph;
    struct home *homes;    /* (n) */
    struct counter *edges; /* (n) */
    struct counter *names; /* (n); filled from the front */
    uint8_t *n_edges, *n_names;
    float whole; /* log2(1 + n) */
};

static int by_weight(const void *a, const void *b)
{
    const struct slot *x = a, *y = b;
    if (x->weight != y->weight)
        return x->weight < y->weight ? 1 : -1;
    return (x->number > y->number) - (x->number < y->number);
}

static struct slot *place_of(struct counter *counter, uint32_t number)
{
    uint32_t i = number * 2654435761u >> 26;
    while (counter->slots[i].number && counter->slots[i].number != number)
        i = (i + 1) % SLOTS;
    return &counter->slots[i];
}

/* Drops what is lighter than the average; where that is little, the lighter half. */
static void forget(struct counter *counter, uint8_t *n)
{
    enum { KEPT = 24 };
    struct slot kept[SLOTS];
    size_t n_kept = 0, n_all = 0;
    float sum = 0;
    for (size_t i = 0; i < SLOTS; i++)
        sum += counter->slots[i].weight;
    for (size_t i = 0; i < SLOTS; i++)
        if (counter->slots[i].number && counter->slots[i].weight * (float)*n >= sum)
            kept[n_kept++] = counter->slots[i];
    if (n_kept > KEPT) {
        for (size_t i = 0; i < SLOTS; i++)
            if (counter->slots[i].number)
                kept[n_all++] = counter->slots[i];
        qsort(kept, n_all, sizeof *kept, by_weight);
        n_kept = KEPT;
    }
    memset(counter->slots, 0, sizeof counter->slots);
    for (size_t i = 0; i < n_kept; i++)
        *place_of(counter, kept[i].number) = kept[i];
    *n = (uint8_t)n_kept;
}

static void count(struct counter *counter, uint8_t *n, uint32_t number, float weight)
{
    struct slot *slot = place_of(counter, number);
    if (!slot->number) {
        if (*n >= MAP_EDGES) {
            forget(counter, n);
            slot = place_of(counter, number);
        }
        slot->number = number;
        (*n)++;
    }
    slot->weight += weight;
}

static float weight_of_kind(unsigned kind)
{
    switch ((enum tag_kind)kind) {
    case TAG_FUNCTION:
    case TAG_CLASS:
    case TAG_STRUCT:
    case TAG_INTERFACE:
        return 1;
    case TAG_METHOD:
    case TAG_UNION:
    case TAG_ENUM:
    case TAG_TYPE:
    case TAG_MACRO:
        return 0.7f;
    case TAG_ENUMERATOR:
    case TAG_MODULE:
    case TAG_CONSTANT:
    case TAG_VARIABLE:
    case TAG_PROTOTYPE:
        return 0.4f;
    case TAG_FIELD:
        return 0.1f;
    case TAG_HEADING:
    case TAG_KEY:
    case TAG_TARGET:
    case TAG_N_KINDS:
        break;
    }
    return 0.05f;
}

/* Long names, and those of several words, are chosen to mean one thing. */
static float weight_of_name(const char *name, size_t size)
{
    bool has_upper = false, has_lower = false, has_line = false;
    for (size_t i = 0; i < size; i++) {
        has_upper = has_upper || (name[i] >= 'A' && name[i] <= 'Z');
        has_lower = has_lower || (name[i] >= 'a' && name[i] <= 'z');
        has_line = has_line || (i > 0 && name[i] == '_');
    }
    if (size < 3)
        return 0.1f;
    return size >= 8 && (has_line || (has_upper && has_lower)) ? 2 : 1;
}

static bool ends_with(const char *path, const char *ending)
{
    size_t size = strlen(path), length = strlen(ending);
    return size > length && strcmp(path + size - length, ending) == 0;
}

static struct home home_of(const char *path)
{
    static const char *const endings[] = {".c", ".cc", ".cpp", ".cxx", ".cu"};
    struct home home = {0};
    for (const char *slash = path; (slash = strchr(slash, '/')) && home.n < UINT8_MAX; slash++, home.n++)
        if (home.n < FOLDERS)
            home.folders[home.n] = map_hash(path, (size_t)(slash - path)) | 1;
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++)
        home.is_source = home.is_source || ends_with(path, endings[i]);
    return home;
}

/* Where several files define a name, the one that lies nearer is likelier meant. */
static float nearness(const struct home *user, const struct home *definer)
{
    int shared = 0;
    while (shared < FOLDERS && user->folders[shared] && user->folders[shared] == definer->folders[shared])
        shared++;
    return 1 / (float)(1 + definer->n - shared);
}

/* What only the text that includes it can mean, stands in a header or means nothing to others. */
static bool is_of_one_text(unsigned kind)
{
    return kind == TAG_MACRO || kind == TAG_TYPE || kind == TAG_STRUCT || kind == TAG_UNION || kind == TAG_ENUM ||
           kind == TAG_ENUMERATOR || kind == TAG_FIELD;
}

/* Who defines it, each once with its best kind; 0 where they are too many. */
static size_t definers_of(const struct builder *builder, const struct index_name *name, float quality, uint32_t *nodes,
                          float *kinds)
{
    size_t n = 0;
    uint32_t last = 0;
    for (size_t i = 0; i < name->n_definers; i++) {
        uint32_t content = name->definers[i];
        if (content >= builder->graph->n_contents || builder->graph->nodes[content] == UINT32_MAX)
            continue;
        /* Assembler that is read as C is full of "variables" whose names are words. */
        bool is_doubtful = name->kinds[i] == TAG_VARIABLE && quality < 2;
        uint32_t node = builder->graph->nodes[content];
        float kind = is_doubtful ? 0.02f : weight_of_kind(name->kinds[i]);
        if (builder->homes[node].is_source && is_of_one_text(name->kinds[i]))
            kind *= 0.05f;
        if (n && last == content) {
            kinds[n - 1] = kinds[n - 1] > kind ? kinds[n - 1] : kind;
            continue;
        }
        if (n == DEFINERS_MOST)
            return 0;
        last = content;
        nodes[n] = node;
        kinds[n++] = kind;
    }
    return n;
}

static bool take_name(void *context, const struct index_name *name)
{
    static const float times[4] = {1, 1.5f, 2, 3};
    struct builder *builder = context;
    const struct map_graph *graph = builder->graph;
    uint32_t nodes[DEFINERS_MOST];
    float kinds[DEFINERS_MOST], own[DEFINERS_MOST] = {0}, sum = 0;
    float quality = weight_of_name(name->name, name->size);
    size_t n = name->n_users ? definers_of(builder, name, quality, nodes, kinds) : 0;
    if (n == 0 || (name->n_users > 64 && name->n_users > graph->n / 4))
        return true;
    float rarity = log2f(1 + (float)graph->n / (float)name->n_users) / builder->whole;
    float damp = 1 / ((float)n * sqrtf((float)n));
    for (size_t i = 0; i < name->n_users; i++) {
        uint32_t content = name->users[i];
        uint32_t user = content < graph->n_contents ? graph->nodes[content] : UINT32_MAX;
        if (user == UINT32_MAX)
            continue;
        float weight = times[name->weights[i] & 3] * rarity * quality * damp;
        sum += times[name->weights[i] & 3];
        for (size_t d = 0; d < n; d++)
            if (nodes[d] == user)
                own[d] += times[name->weights[i] & 3];
            else
                count(&builder->edges[user], &builder->n_edges[user], nodes[d] + 1,
                      weight * kinds[d] * (n == 1 ? 1 : nearness(&builder->homes[user], &builder->homes[nodes[d]])));
    }
    uint32_t hash = map_hash(name->name, name->size);
    for (size_t d = 0; d < n && hash; d++)
        if (sum > own[d])
            count(&builder->names[nodes[d]], &builder->n_names[nodes[d]], hash,
                  kinds[d] * quality * log2f(1 + sum - own[d]) / (float)n);
    return true;
}

/* ---- the graph from the counts ---- */

static int by_number(const void *a, const void *b)
{
    const struct slot *x = a, *y = b;
    return (x->number > y->number) - (x->number < y->number);
}

/* Full slots to the front, in order of number; returns how many. */
static size_t order(struct counter *counter)
{
    size_t n = 0;
    for (size_t i = 0; i < SLOTS; i++)
        if (counter->slots[i].number)
            counter->slots[n++] = counter->slots[i];
    qsort(counter->slots, n, sizeof *counter->slots, by_number);
    return n;
}

static bool pack(struct builder *builder)
{
    struct map_graph *graph = builder->graph;
    size_t n_edges = 0, n_names = 0;
    for (uint32_t i = 0; i < graph->n; i++) {
        n_edges += builder->n_edges[i];
        n_names += builder->n_names[i];
    }
    graph->first_edge = calloc((size_t)graph->n + 1, sizeof *graph->first_edge);
    graph->first_name = calloc((size_t)graph->n + 1, sizeof *graph->first_name);
    graph->edges = calloc(n_edges + 1, sizeof *graph->edges);
    graph->names = calloc(n_names + 1, sizeof *graph->names);
    graph->rank = calloc((size_t)graph->n + 1, sizeof *graph->rank);
    if (!graph->first_edge || !graph->first_name || !graph->edges || !graph->names || !graph->rank)
        return false;
    uint32_t edge = 0, name = 0;
    for (uint32_t i = 0; i < graph->n; i++) {
        struct counter *edges = &builder->edges[i], *names = &builder->names[i];
        size_t n = order(edges);
        float sum = 0;
        for (size_t k = 0; k < n; k++)
            sum += edges->slots[k].weight;
        for (size_t k = 0; k < n; k++)
            graph->edges[edge++] = (struct map_edge){edges->slots[k].number - 1, edges->slots[k].weight / sum};
        n = order(names);
        for (size_t k = 0; k < n; k++)
            graph->names[name++] = (struct map_name){names->slots[k].number, names->slots[k].weight};
        graph->first_edge[i + 1] = edge;
        graph->first_name[i + 1] = name;
    }
    return true;
}

enum status map_graph_build(struct index *index, struct map_graph *graph, const atomic_bool *cancel,
                            struct error *error)
{
    enum { ROUNDS = 16 };
    /* Much less than the customary 0.85: what is used a lot is more to the point than where all ways end, which is the
     * headers of plain types. */
    const float stay = 0.3f;
    struct builder builder = {.graph = graph, .whole = log2f(1 + (float)graph->n)};
    size_t n = (size_t)graph->n + 1;
    builder.edges = calloc(n, sizeof *builder.edges);
    builder.names = calloc(n, sizeof *builder.names);
    builder.homes = calloc(n, sizeof *builder.homes);
    builder.n_edges = calloc(n, 1);
    builder.n_names = calloc(n, 1);
    float *start = calloc(n, sizeof *start), *scratch = calloc(n, sizeof *scratch);
    bool ok = builder.homes && builder.edges && builder.names && builder.n_edges && builder.n_names && start && scratch;
    for (uint32_t i = 0; ok && i < graph->n; i++)
        builder.homes[i] = home_of(graph->paths[i]);
    enum status status = ok ? index_each_name(index, take_name, &builder, cancel, error)
                            : error_set(error, STATUS_MEMORY, "out of memory");
    if (status == STATUS_OK && !pack(&builder))
        status = error_set(error, STATUS_MEMORY, "out of memory");
    if (status == STATUS_OK && graph->n) {
        for (uint32_t i = 0; i < graph->n; i++)
            start[i] = 1 / (float)graph->n;
        map_graph_rank(graph, start, stay, ROUNDS, graph->rank, scratch);
    }
    free(builder.edges);
    free(builder.names);
    free(builder.homes);
    free(builder.n_edges);
    free(builder.n_names);
    free(start);
    free(scratch);
    return status;
}

/* ---- rank ---- */

void map_graph_rank(const struct map_graph *graph, const float *start, float stay, int rounds, float *out,
                    float *scratch)
{
    memcpy(out, start, graph->n * sizeof *out);
    for (int round = 0; round < rounds; round++) {
        double lost = 0; /* of nodes that lead nowhere: it begins anew */
        memset(scratch, 0, graph->n * sizeof *scratch);
        for (uint32_t i = 0; i < graph->n; i++) {
            if (out[i] == 0)
                continue;
            if (graph->first_edge[i] == graph->first_edge[i + 1])
                lost += (double)out[i];
            for (uint32_t e = graph->first_edge[i]; e < graph->first_edge[i + 1]; e++)
                scratch[graph->edges[e].to] += out[i] * graph->edges[e].share;
        }
        float anew = 1 - stay + stay * (float)lost;
        for (uint32_t i = 0; i < graph->n; i++)
            out[i] = stay * scratch[i] + anew * start[i];
    }
}
