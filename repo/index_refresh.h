/* index_refresh: the threads that read and parse, and the queue between them and the one writer; for index_refresh.c. */
#ifndef FATHOM_REPO_INDEX_REFRESH_H
#define FATHOM_REPO_INDEX_REFRESH_H

#include <pthread.h>

#include "repo/index_store.h"

/* What became of a file that was read. */
struct pipe_result {
    struct pipe_result *next;
    size_t work;         /* which */
    enum repo_skip skip; /* by content */
    bool has_facts;      /* else another file has, or had, the same content: facts.id and language name it */
    uint64_t n_bytes;
    struct facts facts;
    uint64_t parse_ns, query_ns, store_ns; /* CPU time of this file */
};

/* Contents by blob id and language. */
struct known {
    struct known_entry *entries;
    size_t n, capacity;
};
struct known_entry {
    struct repo_id id;
    int32_t language;
    uint32_t content; /* 0 in an empty place; UINT32_MAX while it is being parsed */
    uint32_t n_definitions, n_references;
};
void known_deinit(struct known *known);
const struct known_entry *known_find(const struct known *known, const struct repo_id *id, int language);
/* Adds or replaces.  False where there is no memory. */
bool known_put(struct known *known, const struct repo_id *id, int language, uint32_t content, uint32_t n_definitions,
               uint32_t n_references);

struct pipe;

struct pipe_options {
    struct repo *repo;
    struct languages *languages;
    const struct repo_file *const *work; /* files to read, n of them */
    size_t n;
    uint64_t large;
    int n_threads;
    const struct known *known; /* contents that are there already; copied */
};

/* Starts the threads; with few files there is none, and pipe_take does the work itself. */
enum status pipe_new(const struct pipe_options *options, struct pipe **out, struct error *error);
/* The next result, waiting for it; NULL once all were given (STATUS_OK), or after a failure.  Its memory goes back by
 * pipe_give. */
enum status pipe_take(struct pipe *pipe, struct pipe_result **out, struct error *error);
void pipe_give(struct pipe *pipe, struct pipe_result *result);
void pipe_free(struct pipe *pipe); /* stops the threads at their next file */

#endif
