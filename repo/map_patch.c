/* map_patch: the graph of map_graph.h from that of an earlier state of the index, by the files that changed since.
 *
 * What a file's edges are depends on the names it uses: on who defines them and on the step of how many use them.  So the
 * edges of a file have to be counted again if it changed itself, or if a name that it uses got or lost a definer or took a
 * step; and the names that count in a file, if it changed or somebody uses one of its names otherwise than before.  Those
 * files are counted again as the whole graph is, name by name in the same order, and all others keep what they have: the
 * outcome is the same to the bit (tests/test_map.c). */
#include <stdlib.h>
#include <string.h>

#include "repo/map_graph.h"

enum { CHANGES_MOST = 64, FILES_MOST = 4096 /* to count again */, NAMES_MOST = 400000 };

struct said {         /* of a name, by one content or by all that changed */
    const char *name; /* in the arena */
    size_t size;
    uint32_t n_uses, kinds; /* kinds: bits */
    int users;              /* so many more files use it than before */
    bool redefined;         /* others define it than before */
};

struct said_list {
    struct said *items;
    size_t n, capacity;
    struct arena *arena;
    bool failed;
};

struct patch {
    struct index *index;
    struct map_graph *graph;
    const struct map_graph *old;
    const atomic_bool *cancel;
    struct error *error;
    struct arena arena;
    uint32_t *new_of_old, *old_of_new;
    uint32_t *edges_at, *names_at; /* which counter a file gets; UINT32_MAX: it keeps what it has */
    uint32_t n_edges, n_names;
    size_t n_changes;
    struct said_list changed;
    struct map_builder builder;
};

static enum status out_of_memory(struct patch *patch)
{
    return error_set(patch->error, STATUS_MEMORY, "out of memory");
}

/* ---- which files ---- */

/* Each file of the earlier graph among those of this one, by a table of their paths' hashes.  False where two have one. */
static bool match(struct patch *patch, uint32_t *table, size_t size)
{
    const struct map_graph *graph = patch->graph, *old = patch->old;
    for (uint32_t i = 0; i < graph->n; i++) {
        size_t at = (size_t)graph->path_hashes[i] & (size - 1);
        for (; table[at]; at = (at + 1) & (size - 1))
            if (graph->path_hashes[table[at] - 1] == graph->path_hashes[i])
                return false;
        table[at] = i + 1;
    }
    for (uint32_t i = 0; i < old->n; i++) {
        size_t at = (size_t)old->path_hashes[i] & (size - 1);
        while (table[at] && graph->path_hashes[table[at] - 1] != old->path_hashes[i])
            at = (at + 1) & (size - 1);
        if (!table[at])
            continue;
        uint32_t node = table[at] - 1;
        if (patch->old_of_new[node] != UINT32_MAX)
            return false;
        patch->old_of_new[node] = i;
        patch->new_of_old[i] = node;
    }
    return true;
}

/* Files that both have lie in the same order, so that edges stay sorted. */
static bool keeps_order(const struct patch *patch)
{
    uint32_t last = 0;
    bool is_first = true;
    for (uint32_t i = 0; i < patch->old->n; i++) {
        uint32_t node = patch->new_of_old[i];
        if (node == UINT32_MAX)
            continue;
        if (!is_first && node <= last)
            return false;
        last = node;
        is_first = false;
    }
    return true;
}

static enum status match_nodes(struct patch *patch, bool *is_matched)
{
    size_t n = (size_t)patch->graph->n + 1, m = (size_t)patch->old->n + 1;
    patch->new_of_old = malloc(m * sizeof(uint32_t));
    patch->old_of_new = malloc(n * sizeof(uint32_t));
    patch->edges_at = malloc(n * sizeof(uint32_t));
    patch->names_at = malloc(n * sizeof(uint32_t));
    size_t size = 64;
    while (size < 2 * n)
        size *= 2;
    uint32_t *table = calloc(size, sizeof *table);
    bool ok = patch->new_of_old && patch->old_of_new && patch->edges_at && patch->names_at && table;
    if (ok) {
        memset(patch->new_of_old, 0xff, m * sizeof(uint32_t));
        memset(patch->old_of_new, 0xff, n * sizeof(uint32_t));
        memset(patch->edges_at, 0xff, n * sizeof(uint32_t));
        memset(patch->names_at, 0xff, n * sizeof(uint32_t));
        *is_matched = match(patch, table, size) && keeps_order(patch);
    }
    free(table);
    return ok ? STATUS_OK : out_of_memory(patch);
}

static void again(uint32_t *at, uint32_t *n, uint32_t node)
{
    if (at[node] == UINT32_MAX)
        at[node] = (*n)++;
}

/* ---- what their contents say ---- */

static int by_name(const void *a, const void *b)
{
    const struct said *x = a, *y = b;
    size_t size = x->size < y->size ? x->size : y->size;
    int order = size ? memcmp(x->name, y->name, size) : 0;
    return order ? order : (x->size > y->size) - (x->size < y->size);
}

static struct said *add_said(struct said_list *list, const char *name, size_t size)
{
    if (list->n == list->capacity) {
        size_t capacity = list->capacity ? list->capacity * 2 : 256;
        struct said *grown = list->n < NAMES_MOST ? reallocarray(list->items, capacity, sizeof *grown) : NULL;
        if (!grown) {
            list->failed = true;
            return NULL;
        }
        list->items = grown;
        list->capacity = capacity;
    }
    const char *copy = arena_copy_text(list->arena, name, size);
    if (!copy) {
        list->failed = true;
        return NULL;
    }
    list->items[list->n] = (struct said){.name = copy, .size = size};
    return &list->items[list->n++];
}

static bool take_said(void *context, const char *name, size_t size, int kind, uint32_t n)
{
    struct said *said = add_said(context, name, size);
    if (said && kind >= 0)
        said->kinds = UINT32_C(1) << (kind & 31);
    else if (said)
        said->n_uses = n;
    return said != NULL;
}

/* Sorted, each name once. */
static void merge(struct said_list *list)
{
    size_t n = 0;
    if (list->n)
        qsort(list->items, list->n, sizeof *list->items, by_name);
    for (size_t i = 0; i < list->n; i++) {
        struct said *last = n ? &list->items[n - 1] : NULL, *it = &list->items[i];
        if (!last || by_name(last, it) != 0) {
            list->items[n++] = *it;
            continue;
        }
        last->n_uses += it->n_uses;
        last->kinds |= it->kinds;
        last->users += it->users;
        last->redefined = last->redefined || it->redefined;
    }
    list->n = n;
}

static enum status read_content(struct patch *patch, uint32_t content, struct said_list *out)
{
    *out = (struct said_list){.arena = &patch->arena};
    enum status status = content ? index_each_name_in(patch->index, content, take_said, out, patch->error) : STATUS_OK;
    if (status == STATUS_OK && out->failed)
        status = out_of_memory(patch);
    merge(out);
    return status;
}

/* Notes what differs between what a file said and what it says. */
static void note(struct patch *patch, const struct said *before, const struct said *after)
{
    const struct said none = {0}, *name = before ? before : after;
    before = before ? before : &none;
    after = after ? after : &none;
    if (before->n_uses == after->n_uses && before->kinds == after->kinds)
        return;
    struct said *said = add_said(&patch->changed, name->name, name->size);
    if (!said)
        return;
    said->users = (after->n_uses > 0) - (before->n_uses > 0);
    said->redefined = before->kinds != after->kinds;
}

/* One file: content 0 is none. */
static enum status compare(struct patch *patch, uint32_t old_content, uint32_t content)
{
    struct said_list before, after = {0};
    enum status status = read_content(patch, old_content, &before);
    if (status == STATUS_OK)
        status = read_content(patch, content, &after);
    for (size_t i = 0, k = 0; status == STATUS_OK && (i < before.n || k < after.n);) {
        int order = i == before.n ? 1 : k == after.n ? -1 : by_name(&before.items[i], &after.items[k]);
        note(patch, order <= 0 ? &before.items[i] : NULL, order >= 0 ? &after.items[k] : NULL);
        i += order <= 0;
        k += order >= 0;
    }
    patch->n_changes++;
    free(before.items);
    free(after.items);
    return status == STATUS_OK && patch->changed.failed ? out_of_memory(patch) : status;
}

static enum status compare_all(struct patch *patch)
{
    const struct map_graph *graph = patch->graph, *old = patch->old;
    enum status status = STATUS_OK;
    patch->changed.arena = &patch->arena;
    for (uint32_t i = 0; status == STATUS_OK && i < graph->n && patch->n_changes <= CHANGES_MOST; i++) {
        uint32_t from = patch->old_of_new[i], before = from == UINT32_MAX ? 0 : old->contents[from];
        if (before == graph->contents[i])
            continue;
        again(patch->edges_at, &patch->n_edges, i);
        again(patch->names_at, &patch->n_names, i);
        status = compare(patch, before, graph->contents[i]);
    }
    for (uint32_t i = 0; status == STATUS_OK && i < old->n && patch->n_changes <= CHANGES_MOST; i++)
        if (patch->new_of_old[i] == UINT32_MAX)
            status = compare(patch, old->contents[i], 0);
    merge(&patch->changed);
    return status;
}

/* ---- whom it concerns ---- */

static uint32_t node_of(const struct patch *patch, uint32_t content)
{
    return content < patch->graph->n_contents ? patch->graph->nodes[content] : UINT32_MAX;
}

static bool meet_name(void *context, const struct index_name *name)
{
    struct patch *patch = context;
    const struct said wanted = {.name = name->name, .size = name->size};
    const struct said *said = bsearch(&wanted, patch->changed.items, patch->changed.n, sizeof wanted, by_name);
    size_t n_users = 0;
    for (size_t i = 0; i < name->n_users; i++)
        n_users += node_of(patch, name->users[i]) != UINT32_MAX;
    size_t before = said && (said->users < 0 || n_users >= (size_t)said->users)
                        ? (said->users < 0 ? n_users + (size_t)-said->users : n_users - (size_t)said->users)
                        : 0;
    bool is_other =
        said && (said->redefined || map_step_of(patch->graph, before) != map_step_of(patch->graph, n_users));
    for (size_t i = 0; is_other && i < name->n_users; i++)
        if (node_of(patch, name->users[i]) != UINT32_MAX)
            again(patch->edges_at, &patch->n_edges, node_of(patch, name->users[i]));
    for (size_t i = 0; i < name->n_definers; i++)
        if (node_of(patch, name->definers[i]) != UINT32_MAX)
            again(patch->names_at, &patch->n_names, node_of(patch, name->definers[i]));
    return patch->n_edges <= FILES_MOST && patch->n_names <= FILES_MOST;
}

static enum status look_up(struct patch *patch, const struct said_list *list, bool defined_only,
                           bool (*each)(void *context, const struct index_name *name), void *context)
{
    struct slice *names = calloc(list->n + 1, sizeof *names);
    if (!names)
        return out_of_memory(patch);
    for (size_t i = 0; i < list->n; i++)
        names[i] = (struct slice){list->items[i].name, list->items[i].size};
    enum status status =
        index_each_name_of(patch->index, names, list->n, defined_only, each, context, patch->cancel, patch->error);
    free(names);
    return status;
}

/* ---- counting again ---- */

/* Every name that decides what is counted: all that a file uses, where its edges are; all that it defines, where its names
 * are. */
struct wish {
    struct said_list *list;
    bool wants_uses, wants_definitions;
};

static bool take_wish(void *context, const char *name, size_t size, int kind, uint32_t n)
{
    struct wish *wish = context;
    (void)n;
    if (kind >= 0 ? !wish->wants_definitions : !wish->wants_uses)
        return true;
    return add_said(wish->list, name, size) != NULL;
}

static enum status count_again(struct patch *patch, bool *is_possible)
{
    struct said_list names = {.arena = &patch->arena};
    enum status status = STATUS_OK;
    for (uint32_t i = 0; status == STATUS_OK && i < patch->graph->n && !names.failed; i++) {
        struct wish wish = {&names, patch->edges_at[i] != UINT32_MAX, patch->names_at[i] != UINT32_MAX};
        if (wish.wants_uses || wish.wants_definitions)
            status = index_each_name_in(patch->index, patch->graph->contents[i], take_wish, &wish, patch->error);
        if (names.n > NAMES_MOST / 2)
            merge(&names);
    }
    *is_possible = !names.failed;
    merge(&names);
    if (status == STATUS_OK && *is_possible)
        status = map_builder_init(&patch->builder, patch->graph, patch->n_edges, patch->n_names, patch->error);
    patch->builder.edges_at = patch->edges_at;
    patch->builder.names_at = patch->names_at;
    if (status == STATUS_OK && *is_possible)
        status = look_up(patch, &names, true, map_builder_take, &patch->builder);
    free(names.items);
    return status;
}

/* What a file keeps, under the new numbers; false where an edge leads to a file that is gone. */
static bool keep_edges(const struct patch *patch, uint32_t from, struct map_edge *out, size_t *n)
{
    const struct map_graph *old = patch->old;
    for (uint32_t e = old->first_edge[from]; e < old->first_edge[from + 1]; e++) {
        uint32_t to = patch->new_of_old[old->edges[e].to];
        if (to == UINT32_MAX)
            return false;
        out[(*n)++] = (struct map_edge){to, old->edges[e].share};
    }
    return true;
}

static enum status join(struct patch *patch, bool *is_possible)
{
    struct map_graph *graph = patch->graph;
    const struct map_graph *old = patch->old;
    size_t n = graph->n, n_edges = 0, n_names = 0;
    size_t most_edges = old->first_edge[old->n] + ((size_t)patch->n_edges + 1) * MAP_SLOTS;
    size_t most_names = old->first_name[old->n] + ((size_t)patch->n_names + 1) * MAP_SLOTS;
    graph->first_edge = calloc(n + 1, sizeof *graph->first_edge);
    graph->first_name = calloc(n + 1, sizeof *graph->first_name);
    graph->edges = calloc(most_edges, sizeof *graph->edges);
    graph->names = calloc(most_names, sizeof *graph->names);
    if (!graph->first_edge || !graph->first_name || !graph->edges || !graph->names)
        return out_of_memory(patch);
    for (uint32_t i = 0; i < n && *is_possible; i++) {
        uint32_t from = patch->old_of_new[i], edges = patch->edges_at[i], names = patch->names_at[i];
        if (edges != UINT32_MAX)
            n_edges += map_counter_edges(&patch->builder.edges[edges], graph->edges + n_edges);
        else
            *is_possible = from != UINT32_MAX && keep_edges(patch, from, graph->edges, &n_edges);
        if (names != UINT32_MAX) {
            n_names += map_counter_names(&patch->builder.names[names], graph->names + n_names);
        } else if (*is_possible) {
            size_t count = old->first_name[from + 1] - old->first_name[from];
            memcpy(graph->names + n_names, old->names + old->first_name[from], count * sizeof *graph->names);
            n_names += count;
        }
        graph->first_edge[i + 1] = (uint32_t)n_edges;
        graph->first_name[i + 1] = (uint32_t)n_names;
    }
    return STATUS_OK;
}

static enum status make(struct patch *patch, bool *is_possible)
{
    enum status status = match_nodes(patch, is_possible);
    if (status == STATUS_OK && *is_possible)
        status = compare_all(patch);
    *is_possible = *is_possible && patch->n_changes <= CHANGES_MOST && !patch->changed.failed;
    if (status == STATUS_OK && *is_possible)
        status = look_up(patch, &patch->changed, false, meet_name, patch);
    *is_possible = *is_possible && patch->n_edges <= FILES_MOST && patch->n_names <= FILES_MOST;
    if (status == STATUS_OK && *is_possible)
        status = count_again(patch, is_possible);
    if (status == STATUS_OK && *is_possible)
        status = join(patch, is_possible);
    if (status == STATUS_OK && *is_possible)
        status = map_graph_settle(patch->graph, patch->old, patch->new_of_old, patch->error);
    return status;
}

enum status map_graph_patch(struct index *index, struct map_graph *graph, const struct map_graph *old,
                            const atomic_bool *cancel, bool *is_patched, struct error *error)
{
    struct error unasked = {0};
    struct patch patch = {.index = index, .graph = graph, .old = old, .cancel = cancel};
    patch.error = error ? error : &unasked;
    *is_patched = false;
    if (!graph->n || !old->n || map_size_step(graph->n) != map_size_step(old->n))
        return STATUS_OK;
    enum status status = make(&patch, is_patched);
    *is_patched = *is_patched && status == STATUS_OK;
    if (status == STATUS_NOT_FOUND)
        status = STATUS_OK; /* what a file was is known no more */
    if (!*is_patched)
        map_graph_forget(graph);
    map_builder_deinit(&patch.builder);
    free(patch.new_of_old);
    free(patch.old_of_new);
    free(patch.edges_at);
    free(patch.names_at);
    free(patch.changed.items);
    arena_deinit(&patch.arena);
    return status;
}
