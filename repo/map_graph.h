/* map_graph: who refers to whom: the files of an index as a graph of weighted references, and the rank that follows.
 *
 * A node is a content; an edge goes from a file that uses a name to a file that defines it.  A name counts the more the
 * fewer use it, and the less the more files define it; names that a large part of all files use, or that dozens define, say
 * nothing and make no edge.  Of each file the heaviest MAP_EDGES edges are kept, by a count that forgets the lightest when
 * it is full, so that the graph of 78,000 files is made in one pass and stays small.
 *
 * All of it is a function of the index's content alone: the same files give the same graph, the same rank, bit for bit. */
#ifndef FATHOM_REPO_MAP_GRAPH_H
#define FATHOM_REPO_MAP_GRAPH_H

#include "repo/index.h"

enum { MAP_EDGES = 48, MAP_NAMES = 48 };

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
    uint64_t key[2]; /* of all paths and contents: what the rest depends on */
    struct arena arena;

    uint32_t *first_edge, *first_name; /* n + 1 each */
    struct map_edge *edges;
    struct map_name *names; /* of each node, ascending by hash */
    float *rank;            /* of the graph alone; sums to 1 */
};

uint32_t map_hash(const char *name, size_t size);

/* The nodes: paths and contents.  50 ms for Linux. */
enum status map_graph_nodes(struct index *index, struct map_graph *graph, struct error *error);
/* The rest, from the index.  Seconds for Linux. */
enum status map_graph_build(struct index *index, struct map_graph *graph, const atomic_bool *cancel,
                            struct error *error);
void map_graph_forget(struct map_graph *graph); /* all but the nodes */
void map_graph_deinit(struct map_graph *graph);

/* The node of a path; UINT32_MAX where it has none.  Only a content's first path is found. */
uint32_t map_graph_find(const struct map_graph *graph, const char *path);

/* Personalised PageRank: (n) of start, which sums to 1; out is another (n).  stay: the part that follows an edge, the rest
 * begins anew; the smaller, the nearer to start the rank stays.  scratch: (n). */
void map_graph_rank(const struct map_graph *graph, const float *start, float stay, int rounds, float *out,
                    float *scratch);

/* The rest from and to the file beside the index's; where it isn't there, doesn't belong to these nodes or is damaged,
 * loading says false and leaves the graph as it was.  Saving may fail without harm. */
bool map_graph_load(struct index *index, struct map_graph *graph);
void map_graph_save(struct index *index, const struct map_graph *graph);

#endif
