/* map_graph: who refers to whom: the files of an index as a graph of weighted references, and the rank that follows.
 *
 * A node is a content; an edge goes from a file that uses a name to a file that defines it.  A name counts the more the
 * fewer use it, and the less the more files define it; names that a large part of all files use, or that dozens define, say
 * nothing and make no edge.  Of each file the heaviest MAP_EDGES edges are kept, by a count that forgets the lightest when
 * it is full, so that the graph of 78,000 files is made in one pass and stays small.
 *
 * All of it is a function of the files alone: the same files give the same graph, whether it was made anew or from an
 * earlier one by what changed since (map_patch.c).  For that, numbers that every file has a part in (how many there are, how
 * many use a name) count by steps: an edit hardly ever takes one, and what is of no such name stays as it is.  Rank is
 * followed until it moves by less than MAP_STILL, wherever it began, and then rounded to 24 bits. */
#ifndef FATHOM_REPO_MAP_GRAPH_H
#define FATHOM_REPO_MAP_GRAPH_H

#include "repo/index.h"

enum { MAP_EDGES = 48, MAP_NAMES = 48 };
#define MAP_STILL 1e-14 /* the sum of all changes of a round; ranks sum to 1 */

struct map_edge {
    uint32_t to;
    float share; /* of a node's edges: they sum to 1 */
};

struct map_name {  /* a definition that others use */
    uint32_t hash; /* map_hash of its name */
    float score;   /* how much it is used */
};

struct map_graph {
    uint32_t n; /* nodes, in order of their first path */
    const char **paths;
    uint32_t *nodes; /* of a content number; UINT32_MAX: none */
    uint32_t n_contents;
    uint32_t *contents;    /* (n) numbers */
    uint64_t *path_hashes; /* (n) */
    uint64_t key[2];       /* of all paths and contents: what the rest depends on */
    struct arena arena;

    uint32_t *first_edge, *first_name; /* n + 1 each */
    struct map_edge *edges;
    struct map_name *names; /* of each node, ascending by hash */
    float *rank;            /* of the graph alone; sums to 1 */
};

uint32_t map_hash(const char *name, size_t size);

/* The nodes: paths and contents.  50 ms for Linux. */
enum status map_graph_nodes(struct index *index, struct map_graph *graph, struct error *error);
/* The rest, from the index.  2 s for Linux. */
enum status map_graph_build(struct index *index, struct map_graph *graph, const atomic_bool *cancel,
                            struct error *error);
/* The same from that of an earlier state of the index, by the files that changed since.  *is_patched false: too many, or
 * the index doesn't hold any more what they were; the graph is as before. */
enum status map_graph_patch(struct index *index, struct map_graph *graph, const struct map_graph *old,
                            const atomic_bool *cancel, bool *is_patched, struct error *error);
void map_graph_forget(struct map_graph *graph);                    /* all but the nodes */
void map_graph_move(struct map_graph *to, struct map_graph *from); /* the same */
void map_graph_deinit(struct map_graph *graph);

/* The node of a path; UINT32_MAX where it has none.  Only a content's first path is found. */
uint32_t map_graph_find(const struct map_graph *graph, const char *path);

/* Personalised PageRank: (n) of start, which sums to 1; out is another (n).  stay: the part that follows an edge, the rest
 * begins anew; the smaller, the nearer to start the rank stays.  scratch: (n). */
void map_graph_rank(const struct map_graph *graph, const float *start, float stay, int rounds, float *out,
                    float *scratch);

/* Fills graph->rank: from that of an earlier graph, by its nodes' numbers here (UINT32_MAX: gone), or from nothing (NULL). */
enum status map_graph_settle(struct map_graph *graph, const struct map_graph *old, const uint32_t *new_of_old,
                             struct error *error);

/* To and from the file beside the index's.  A loaded graph has no paths and is that of the state that its key says; where
 * the file isn't there or is damaged, loading says false and leaves *out zeroed.  Saving may fail without harm. */
bool map_graph_load(struct index *index, struct map_graph *out);
void map_graph_save(struct index *index, const struct map_graph *graph);

/* ---- for map_patch.c alone ---- */

enum { MAP_SLOTS = 64 };

struct map_slot {
    uint32_t number; /* a node + 1, or a name's hash; 0: empty */
    float weight;
};

struct map_counter { /* of one node: open addressing */
    struct map_slot slots[MAP_SLOTS];
};

struct map_builder {
    struct map_graph *graph;
    struct map_home *homes;    /* (n) */
    struct map_counter *edges; /* of each node that edges_at names; (n) where that is NULL */
    struct map_counter *names;
    const uint32_t *edges_at, *names_at; /* (n): which counter; UINT32_MAX: none; NULL: the node's own number */
    uint8_t *n_edges, *n_names;
};

enum status map_builder_init(struct map_builder *builder, struct map_graph *graph, size_t n_edges, size_t n_names,
                             struct error *error);
void map_builder_deinit(struct map_builder *builder);
/* Counts what a name joins: for each node the names must come in the order of index_each_name. */
bool map_builder_take(void *builder, const struct index_name *name);
/* What the number of files that use a name comes to: a change of it is one for all of them. */
unsigned map_step_of(const struct map_graph *graph, size_t n_users);
/* The number of steps that the number of files comes to. */
unsigned map_size_step(uint32_t n);
/* A counter's edges or names in order; returns how many.  room: MAP_SLOTS. */
size_t map_counter_edges(struct map_counter *counter, struct map_edge *room);
size_t map_counter_names(struct map_counter *counter, struct map_name *room);

#endif
