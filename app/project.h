/* project: the repository that a command works on, its languages and its index. */
#ifndef FATHOM_APP_PROJECT_H
#define FATHOM_APP_PROJECT_H

#include "app/command.h"
#include "repo/index.h"

struct project {
    struct repo *repo;
    struct languages *languages;
    struct index *index;
    int n_threads;
    struct buffer ignore; /* what isn't to be indexed: the user's patterns, then the repository's if they are trusted */
    uint64_t large;       /* bytes */
    bool is_untrusted;    /* the repository has a .fathomignore that isn't in force */
};

/* The repository (or plain folder) that path lies in, "." where NULL; its index in $XDG_CACHE_HOME/fathom (mode 0700),
 * where it isn't yet brought up to date. */
enum status project_open(const struct command_context *context, const char *path, struct project *project,
                         struct error *error);
void project_close(struct project *project); /* zeroed is fine */

/* The languages alone, without a repository: the grammars and tag queries that are here.  Opens none of them yet. */
enum status project_open_languages(struct languages **out, struct error *error);

/* Appends the folder that indexes lie in, after making it. */
enum status project_cache_folder(struct buffer *out, struct error *error);

/* What isn't to be indexed, by the settings and by a .fathomignore that is trusted now; appends lines. */
enum status project_read_ignore(const struct settings *settings, struct repo *repo, struct buffer *out,
                                bool *is_untrusted, struct error *error);

/* Brings the index up to date, with progress, until Ctrl-C.  report may be NULL. */
enum status project_refresh(const struct command_context *context, struct project *project, struct index_report *report,
                            struct error *error);

/* What path is called within the repository: relative to its root; appends.  The file need not exist.  STATUS_ARGUMENT
 * where it lies outside. */
enum status project_relative(const struct project *project, const char *path, struct buffer *out, struct error *error);
/* The place that "FILE" or "FILE:LINE" means; path holds its path. */
enum status project_place(const struct project *project, const char *text, struct buffer *path,
                          struct index_place *place, struct error *error);

#endif
