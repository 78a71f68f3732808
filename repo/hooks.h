/* hooks: where git looks for a repository's hooks.  Nothing here runs one. */
#ifndef FATHOM_REPO_HOOKS_H
#define FATHOM_REPO_HOOKS_H

#include "repo/repo.h"

struct hooks_place {
    struct buffer folder; /* absolute; need not be there */
    bool is_configured;   /* core.hooksPath says so */
    bool is_shared;       /* and that for all of the user's repositories, not for this one */
};

/* The folder of this worktree's repository, or core.hooksPath (relative to the worktree's root).  STATUS_UNSUPPORTED: no
 * repository, or a bare one. */
enum status hooks_find(struct repo *repo, struct hooks_place *out, struct error *error);
void hooks_place_deinit(struct hooks_place *place);

#endif
