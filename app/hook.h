/* hook: the git hooks that this program writes into a repository, beside those of others.
 *
 * A hook that is there already is never overwritten: it moves to NAME.before-fathom, and ours runs it first, with the same
 * arguments, and ends as it does where it fails.  Removing ours moves it back.  Ours is known by its second line, which holds a hash
 * of all others: one that somebody edited isn't touched. */
#ifndef FATHOM_APP_HOOK_H
#define FATHOM_APP_HOOK_H

#include "engine/base.h"

enum hook_kind { HOOK_PRE_COMMIT, HOOK_PREPARE_MESSAGE, HOOK_N_KINDS };
const char *hook_name(enum hook_kind kind); /* "pre-commit" */
bool hook_find(const char *name, enum hook_kind *kind);

enum hook_state {
    HOOK_ABSENT,
    HOOK_OURS,
    HOOK_EDITED, /* ours, with changes of somebody else's */
    HOOK_OTHER,  /* somebody else's */
};
const char *hook_state_name(enum hook_state state); /* "installed" */

struct hook_about {
    enum hook_state state;
    bool has_before; /* there is a NAME.before-fathom */
};

/* program: absolute, of this program; severity: what the review fails on. */
struct hook_options {
    const char *program, *severity;
};

enum status hook_look(const char *folder, enum hook_kind kind, struct hook_about *out, struct error *error);
/* One that is ours is written anew.  STATUS_ARGUMENT: it was edited, or another NAME.before-fathom is in the way. */
enum status hook_install(const char *folder, enum hook_kind kind, const struct hook_options *options,
                         struct error *error);
/* STATUS_NOT_FOUND: it isn't there, or is somebody else's; STATUS_ARGUMENT: it was edited. */
enum status hook_remove(const char *folder, enum hook_kind kind, struct error *error);

#endif
