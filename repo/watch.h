/* watch: which paths may have changed since it was last asked, by inotify, for a program that stays open.
 *
 * The watch holds one descriptor to poll.  Every folder that a walk enters is watched, vendored and ignored ones aside, and
 * those that appear, which are looked through only after they are watched: nothing that comes into being in between is
 * missed.  A file counts as changed once it was closed, renamed, made or removed; one that is held open and written to,
 * when it is closed.
 *
 * Where the system's watches run out, or events were lost, it says so (is_partial) and the caller falls back to a walk,
 * which compares stamps.  Memory: a path for each folder, and for at most WATCH_PATHS changes. */
#ifndef FATHOM_REPO_WATCH_H
#define FATHOM_REPO_WATCH_H

#include "repo/repo.h"

struct watch;

enum { WATCH_PATHS = 16384 }; /* changes beyond are not told one by one: is_partial */

/* Options: those of the walks that it is to go with (revision is NULL); ignore is copied.  The repository must outlive
 * the watch and belongs to the same thread.  STATUS_MEMORY, STATUS_IO (a system without inotify, or too many users of it). */
enum status watch_open(struct repo *repo, const struct repo_walk_options *options, struct watch **out,
                       struct error *error);
void watch_close(struct watch *watch);
int watch_fd(const struct watch *watch); /* readable when something changed */
/* Folders that are watched.  is_whole: false once watches ran out; what lies in the others shows in a walk alone, which
 * is then worth doing now and then. */
size_t watch_count(const struct watch *watch, bool *is_whole);

struct watch_changes {
    const char *const *paths; /* relative, sorted, each once; valid until the next call */
    size_t n;                 /* a path that ends in '/' means all below it, as repo_walk_paths takes it */
    bool is_partial;          /* more may have changed: walk */
    bool git_changed;         /* HEAD or the index: walk, too */
};

/* Takes what is there without waiting. */
enum status watch_take(struct watch *watch, struct watch_changes *out, struct error *error);

#endif
