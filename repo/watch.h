/* watch: which paths may have changed since it was last asked, by inotify, for a program that stays open.
 *
 * The watch holds one descriptor to poll.  Where the system's watches run out, or events were lost, it says so
 * (is_partial) and the caller falls back to a walk, which compares stamps. */
#ifndef FATHOM_REPO_WATCH_H
#define FATHOM_REPO_WATCH_H

#include "repo/repo.h"

struct watch;

/* Watches the folders of these files, and those that appear; .git/HEAD and .git/index too, so that a switch of branches
 * shows.  STATUS_MEMORY, STATUS_IO. */
enum status watch_open(struct repo *repo, const struct repo_files *files, struct watch **out, struct error *error);
void watch_close(struct watch *watch);
int watch_fd(const struct watch *watch); /* readable when something changed */

struct watch_changes {
    const char *const *paths; /* relative, sorted, each once; valid until the next call */
    size_t n;
    bool is_partial;  /* more may have changed: walk */
    bool git_changed; /* HEAD or the index: walk, too */
};

/* Takes what is there without waiting. */
enum status watch_take(struct watch *watch, struct watch_changes *out, struct error *error);

#endif
