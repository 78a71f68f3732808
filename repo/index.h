/* index: what is known of a repository's files, in one SQLite file (WAL), kept right by comparing stamps, then contents.
 *
 * The file lies in the cache folder, named by the root's path; two processes may use it.  What is known hangs on the
 * content (blob id and language), so a rename, a copy or a branch that comes back costs a row.  A refresh parses on all
 * threads and writes by one, one transaction a batch: killed at any moment, it opens again and goes on.  A file of another
 * version, or a broken one, is made anew.
 *
 * Reads see the last finished batch.  A struct index belongs to one thread; each further thread opens its own. */
#ifndef FATHOM_REPO_INDEX_H
#define FATHOM_REPO_INDEX_H

#include "repo/repo.h"
#include "repo/syntax.h"

struct index;

/* cache_folder exists.  STATUS_IO, STATUS_MEMORY. */
enum status index_open(const char *cache_folder, const char *root, struct index **out, struct error *error);
void index_close(struct index *index);

struct index_options {
    struct languages *languages;
    int n_threads;      /* that parse; >= 1 */
    const char *ignore; /* as repo_walk's */
    uint64_t large;
    const atomic_bool *cancel;                                                        /* may be NULL */
    void (*progress)(void *context, const char *what, uint64_t done, uint64_t total); /* files; may be NULL */
    void *context;
};

struct index_report {
    uint64_t n_files, n_skipped, n_symbols, n_references, n_changed; /* changed: read anew, or gone */
    uint64_t skipped[REPO_N_SKIPS];
    uint64_t n_bytes;                                /* of text indexed */
    uint64_t parse_ns, query_ns, store_ns, total_ns; /* the first three are CPU time, over all threads */
};

/* STATUS_CANCELLED keeps what was done. */
enum status index_refresh(struct index *index, struct repo *repo, const struct index_options *options,
                          struct index_report *report, struct error *error);
/* The same for these paths alone (what a watch tells; sorted). */
enum status index_refresh_paths(struct index *index, struct repo *repo, const char *const *paths, size_t n,
                                const struct index_options *options, struct index_report *report, struct error *error);

/* Calls each with every indexed path, sorted; stops where it returns false. */
enum status index_each_path(struct index *index, bool (*each)(void *context, const char *path, size_t size),
                            void *context, struct error *error);

#endif
