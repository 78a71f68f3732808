/* freshness: a thread that keeps a repository's index right for as long as the program stays open.
 *
 * It has its own repository, index and watch (repo/watch.h), refreshes the whole index first, then what the watch tells
 * of; where watches run out or the system has none, it walks and compares stamps now and then.  A .fathomignore that
 * changes, or is trusted meanwhile, takes effect at the next look.  Nobody waits for it: freshness_fd becomes readable when
 * there is something to know, and freshness_take tells it.  Readers use indexes of their own and see each refresh once it
 * is written.
 *
 * A saved file is in the index some 70 ms later: 30 ms of it are waited, since a save is several events. */
#ifndef FATHOM_APP_FRESHNESS_H
#define FATHOM_APP_FRESHNESS_H

#include "app/options.h"
#include "repo/index.h"

struct freshness;

struct freshness_options {
    const char *root, *cache_folder;
    const struct settings *settings; /* ignore, max_file */
    struct languages *languages;     /* the last two must outlive it */
    int n_threads;                   /* that parse */
};

/* Returns at once.  STATUS_MEMORY, STATUS_IO. */
enum status freshness_start(const struct freshness_options *options, struct freshness **out, struct error *error);
void freshness_stop(struct freshness *freshness); /* cancels what runs, keeps what was done, waits for the thread */

int freshness_fd(const struct freshness *freshness);

struct freshness_state {
    bool is_refreshing;
    char what[32]; /* of a long refresh: "indexing", and how far it is; total 0: nobody knows */
    uint64_t done, total;
    uint64_t n_refreshes;      /* finished ones that found something, since the start */
    uint64_t n_changed;        /* files that they read anew, or found gone, since the last take */
    uint64_t refresh_ns;       /* of the last refresh that found something */
    struct index_report whole; /* of the last whole refresh */
    bool has_whole;
    bool is_watching; /* all folders are watched; else it looks every poll_ms */
    uint64_t poll_ms;
    bool is_untrusted;  /* the repository has a .fathomignore that isn't in force */
    struct error error; /* of the last try; status OK: none.  It tries again */
};

/* What is so now; the descriptor is then readable at the next news. */
void freshness_take(struct freshness *freshness, struct freshness_state *out);

#endif
