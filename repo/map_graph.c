/* map_graph: see map_graph.h. */
#include "repo/map_graph.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { DEFINERS_MOST = 24 };

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

static uint64_t hash_path(const char *path, size_t size)
{
    uint64_t hash = 0xcbf29ce484222325u;
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ (unsigned char)path[i]) * 0x100000001b3u;
    return hash;
}

static bool grow(void **memory, size_t n, size_t size)
{
    void *grown = reallocarray(*memory, n, size);
    if (!grown)
        return false;
    *memory = grown;
    return true;
}

static bool make_room(struct node_reader *reader, uint32_t content)
{
    struct map_graph *graph = reader->graph;
    if (graph->n == reader->capacity) {
        size_t capacity = reader->capacity ? reader->capacity * 2 : 1024;
        void *paths = graph->paths, *contents = graph->contents, *hashes = graph->path_hashes;
        bool ok = grow(&paths, capacity, sizeof *graph->paths) && grow(&contents, capacity, sizeof *graph->contents) &&
                  grow(&hashes, capacity, sizeof *graph->path_hashes);
        graph->paths = paths;
        graph->contents = contents;
        graph->path_hashes = hashes;
        if (!ok)
            return false;
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
        graph->contents[graph->n] = content;
        graph->path_hashes[graph->n] = hash_path(path, size);
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

void map_graph_move(struct map_graph *to, struct map_graph *from)
{
    map_graph_forget(to);
    to->first_edge = from->first_edge;
    to->first_name = from->first_name;
    to->edges = from->edges;
    to->names = from->names;
    to->rank = from->rank;
    from->first_edge = from->first_name = NULL;
    from->edges = NULL;
    from->names = NULL;
    from->rank = NULL;
}

void map_graph_deinit(struct map_graph *graph)
{
    map_graph_forget(graph);
    free(graph->paths);
    free(graph->nodes);
    free(graph->contents);
    free(graph->path_hashes);
    arena_deinit(&graph->arena);
    *graph = (struct map_graph){0};
}

/* ---- counting ---- */

enum { FOLDERS = 4 };

struct map_home {              /* where a file lies */
    uint32_t folders[FOLDERS]; /* hashes of the path up to each of the first folders; 0: no more */
    uint8_t n;                 /* folders, also those beyond */
    bool is_source;            /* of C or C++: what others can't include */
};

static int by_weight(const void *a, const void *b)
{
    const struct map_slot *x = a, *y = b;
    if (x->weight != y->weight)
        return x->weight < y->weight ? 1 : -1;
    return (x->number > y->number) - (x->number < y->number);
}

static struct map_slot *place_of(struct map_counter *counter, uint32_t number)
{
    uint32_t i = number * 2654435761u >> 26;
    while (counter->slots[i].number && counter->slots[i].number != number)
        i = (i + 1) % MAP_SLOTS;
    return &counter->slots[i];
}

/* Drops what is lighter than the average; where that is little, the lighter half.  In order of weight, so that the sum
 * depends on no number. */
static void forget(struct map_counter *counter, uint8_t *n)
{
    enum { KEPT = 24 };
    struct map_slot all[MAP_SLOTS] = {0};
    size_t n_all = 0, n_kept = 0;
    float sum = 0;
    for (size_t i = 0; i < MAP_SLOTS; i++)
        if (counter->slots[i].number)
            all[n_all++] = counter->slots[i];
    qsort(all, n_all, sizeof *all, by_weight);
    for (size_t i = 0; i < n_all; i++)
        sum += all[i].weight;
    while (n_kept < n_all && n_kept < KEPT && all[n_kept].weight * (float)n_all >= sum)
        n_kept++;
    memset(counter->slots, 0, sizeof counter->slots);
    for (size_t i = 0; i < n_kept; i++)
        *place_of(counter, all[i].number) = all[i];
    *n = (uint8_t)n_kept;
}

static void count(struct map_counter *counter, uint8_t *n, uint32_t number, float weight)
{
    struct map_slot *slot = place_of(counter, number);
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

static struct map_home home_of(const char *path)
{
    static const char *const endings[] = {".c", ".cc", ".cpp", ".cxx", ".cu"};
    struct map_home home = {0};
    for (const char *slash = path; (slash = strchr(slash, '/')) && home.n < UINT8_MAX; slash++, home.n++)
        if (home.n < FOLDERS)
            home.folders[home.n] = map_hash(path, (size_t)(slash - path)) | 1;
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++)
        home.is_source = home.is_source || ends_with(path, endings[i]);
    return home;
}

/* Where several files define a name, the one that lies nearer is likelier meant. */
static float nearness(const struct map_home *user, const struct map_home *definer)
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
static size_t definers_of(const struct map_builder *builder, const struct index_name *name, float quality,
                          uint32_t *nodes, float *kinds)
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
    for (size_t i = 1; i < n; i++) /* in order of path, whatever the contents' numbers are */
        for (size_t k = i; k && nodes[k - 1] > nodes[k]; k--) {
            uint32_t node = nodes[k];
            float kind = kinds[k];
            nodes[k] = nodes[k - 1];
            kinds[k] = kinds[k - 1];
            nodes[k - 1] = node;
            kinds[k - 1] = kind;
        }
    return n;
}

static size_t count_users(const struct map_graph *graph, const struct index_name *name)
{
    size_t n = 0;
    for (size_t i = 0; i < name->n_users; i++)
        n += name->users[i] < graph->n_contents && graph->nodes[name->users[i]] != UINT32_MAX;
    return n;
}

unsigned map_size_step(uint32_t n)
{
    unsigned step = 0;
    while (step < 31 && UINT32_C(1) << step < n)
        step++;
    return step;
}

/* 0: none uses it, or so many that it says nothing; else by doubling. */
unsigned map_step_of(const struct map_graph *graph, size_t n_users)
{
    uint64_t n = n_users, all = UINT64_C(1) << map_size_step(graph->n);
    unsigned step = 0;
    if (n == 0 || n > UINT32_MAX || (n > 64 && n > all / 16 * 3))
        return 0;
    while (n >> (step + 1))
        step++;
    return step + 1;
}

/* 1 for a name that one file uses, 0 nearly for one that all do. */
static float rarity_of(const struct map_graph *graph, unsigned step)
{
    float all = (float)(UINT64_C(1) << map_size_step(graph->n)), users = 1.4f * (float)(UINT64_C(1) << (step - 1));
    return log2f(1 + all / users) / log2f(1 + all);
}

static uint32_t counter_at(const uint32_t *at, uint32_t node)
{
    return at ? at[node] : node;
}

bool map_builder_take(void *context, const struct index_name *name)
{
    static const float times[4] = {1, 1.5f, 2, 3};
    struct map_builder *builder = context;
    const struct map_graph *graph = builder->graph;
    uint32_t nodes[DEFINERS_MOST];
    float kinds[DEFINERS_MOST], own[DEFINERS_MOST] = {0}, sum = 0;
    float quality = weight_of_name(name->name, name->size);
    unsigned step = map_step_of(graph, count_users(graph, name));
    size_t n = step ? definers_of(builder, name, quality, nodes, kinds) : 0;
    if (n == 0)
        return true;
    float rarity = rarity_of(graph, step), damp = 1 / ((float)n * sqrtf((float)n));
    for (size_t i = 0; i < name->n_users; i++) {
        uint32_t content = name->users[i];
        uint32_t user = content < graph->n_contents ? graph->nodes[content] : UINT32_MAX;
        if (user == UINT32_MAX)
            continue;
        uint32_t at = counter_at(builder->edges_at, user);
        float weight = times[name->weights[i] & 3] * rarity * quality * damp;
        sum += times[name->weights[i] & 3];
        for (size_t d = 0; d < n; d++)
            if (nodes[d] == user)
                own[d] += times[name->weights[i] & 3];
            else if (at != UINT32_MAX)
                count(&builder->edges[at], &builder->n_edges[at], nodes[d] + 1,
                      weight * kinds[d] * (n == 1 ? 1 : nearness(&builder->homes[user], &builder->homes[nodes[d]])));
    }
    uint32_t hash = map_hash(name->name, name->size);
    for (size_t d = 0; d < n && hash; d++) {
        uint32_t at = counter_at(builder->names_at, nodes[d]);
        if (sum > own[d] && at != UINT32_MAX)
            count(&builder->names[at], &builder->n_names[at], hash,
                  kinds[d] * quality * log2f(1 + sum - own[d]) / (float)n);
    }
    return true;
}

/* ---- the graph from the counts ---- */

static int by_number(const void *a, const void *b)
{
    const struct map_slot *x = a, *y = b;
    return (x->number > y->number) - (x->number < y->number);
}

/* Full slots to the front, in order of number; returns how many. */
static size_t order(struct map_counter *counter)
{
    size_t n = 0;
    for (size_t i = 0; i < MAP_SLOTS; i++)
        if (counter->slots[i].number)
            counter->slots[n++] = counter->slots[i];
    qsort(counter->slots, n, sizeof *counter->slots, by_number);
    return n;
}

size_t map_counter_edges(struct map_counter *counter, struct map_edge *room)
{
    size_t n = order(counter);
    float sum = 0;
    for (size_t k = 0; k < n; k++)
        sum += counter->slots[k].weight;
    for (size_t k = 0; k < n; k++)
        room[k] = (struct map_edge){counter->slots[k].number - 1, counter->slots[k].weight / sum};
    return n;
}

size_t map_counter_names(struct map_counter *counter, struct map_name *room)
{
    size_t n = order(counter);
    for (size_t k = 0; k < n; k++)
        room[k] = (struct map_name){counter->slots[k].number, counter->slots[k].weight};
    return n;
}

static bool pack(struct map_builder *builder)
{
    struct map_graph *graph = builder->graph;
    size_t n_edges = 0, n_names = 0;
    for (uint32_t i = 0; i < graph->n; i++) {
        n_edges += builder->n_edges[i];
        n_names += builder->n_names[i];
    }
    graph->first_edge = calloc((size_t)graph->n + 1, sizeof *graph->first_edge);
    graph->first_name = calloc((size_t)graph->n + 1, sizeof *graph->first_name);
    graph->edges = calloc(n_edges + MAP_SLOTS, sizeof *graph->edges);
    graph->names = calloc(n_names + MAP_SLOTS, sizeof *graph->names);
    if (!graph->first_edge || !graph->first_name || !graph->edges || !graph->names)
        return false;
    size_t edge = 0, name = 0;
    for (uint32_t i = 0; i < graph->n; i++) {
        edge += map_counter_edges(&builder->edges[i], &graph->edges[edge]);
        name += map_counter_names(&builder->names[i], &graph->names[name]);
        graph->first_edge[i + 1] = (uint32_t)edge;
        graph->first_name[i + 1] = (uint32_t)name;
    }
    return true;
}

enum status map_builder_init(struct map_builder *builder, struct map_graph *graph, size_t n_edges, size_t n_names,
                             struct error *error)
{
    *builder = (struct map_builder){.graph = graph};
    builder->homes = calloc((size_t)graph->n + 1, sizeof *builder->homes);
    builder->edges = calloc(n_edges + 1, sizeof *builder->edges);
    builder->names = calloc(n_names + 1, sizeof *builder->names);
    builder->n_edges = calloc(n_edges + 1, 1);
    builder->n_names = calloc(n_names + 1, 1);
    if (!builder->homes || !builder->edges || !builder->names || !builder->n_edges || !builder->n_names) {
        map_builder_deinit(builder);
        return error_set(error, STATUS_MEMORY, "out of memory");
    }
    for (uint32_t i = 0; i < graph->n; i++)
        builder->homes[i] = home_of(graph->paths[i]);
    return STATUS_OK;
}

void map_builder_deinit(struct map_builder *builder)
{
    free(builder->homes);
    free(builder->edges);
    free(builder->names);
    free(builder->n_edges);
    free(builder->n_names);
    *builder = (struct map_builder){0};
}

enum status map_graph_build(struct index *index, struct map_graph *graph, const atomic_bool *cancel,
                            struct error *error)
{
    struct map_builder builder;
    enum status status = map_builder_init(&builder, graph, graph->n, graph->n, error);
    if (status != STATUS_OK)
        return status;
    status = index_each_name(index, map_builder_take, &builder, cancel, error);
    if (status == STATUS_OK && !pack(&builder))
        status = error_set(error, STATUS_MEMORY, "out of memory");
    map_builder_deinit(&builder);
    return status == STATUS_OK ? map_graph_settle(graph, NULL, NULL, error) : status;
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

/* One round of the graph's own rank, in double; returns by how much it moved in all. */
static double settle_once(const struct map_graph *graph, double *rank, double *next, double stay)
{
    double lost = 0, moved = 0;
    memset(next, 0, graph->n * sizeof *next);
    for (uint32_t i = 0; i < graph->n; i++) {
        if (graph->first_edge[i] == graph->first_edge[i + 1])
            lost += rank[i];
        for (uint32_t e = graph->first_edge[i]; e < graph->first_edge[i + 1]; e++)
            next[graph->edges[e].to] += rank[i] * (double)graph->edges[e].share;
    }
    double anew = (1 - stay + stay * lost) / (double)graph->n;
    for (uint32_t i = 0; i < graph->n; i++) {
        double value = stay * next[i] + anew;
        moved += fabs(value - rank[i]);
        rank[i] = value;
    }
    return moved;
}

enum status map_graph_settle(struct map_graph *graph, const struct map_graph *old, const uint32_t *new_of_old,
                             struct error *error)
{
    /* Much less than the customary 0.85: what is used a lot is more to the point than where all ways end, which is the
     * headers of plain types.  Each round leaves 0.3 of what is still to move, so that 64 leave nothing. */
    const double stay = 0.3;
    enum { ROUNDS_MOST = 64 };
    double *rank = calloc((size_t)graph->n + 1, sizeof *rank), *next = calloc((size_t)graph->n + 1, sizeof *next);
    graph->rank = calloc((size_t)graph->n + 1, sizeof *graph->rank);
    enum status status = rank && next && graph->rank ? STATUS_OK : error_set(error, STATUS_MEMORY, "out of memory");
    for (uint32_t i = 0; status == STATUS_OK && i < graph->n; i++)
        rank[i] = 1 / (double)graph->n;
    for (uint32_t i = 0; status == STATUS_OK && old && i < old->n; i++)
        if (new_of_old[i] != UINT32_MAX)
            rank[new_of_old[i]] = (double)old->rank[i];
    for (int round = 0; status == STATUS_OK && graph->n && round < ROUNDS_MOST; round++)
        if (settle_once(graph, rank, next, stay) < MAP_STILL)
            break;
    for (uint32_t i = 0; status == STATUS_OK && i < graph->n; i++)
        graph->rank[i] = (float)rank[i];
    free(rank);
    free(next);
    return status;
}
