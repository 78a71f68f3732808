/* commit: `git commit -F FILE`, the only git command that this program ever runs, so that hooks and signing are git's own.
 *
 * No shell; git by PATH; the environment as it is, but for what would lead git to another repository.  The message lies in
 * FATHOM_EDITMSG in the repository's folder until the commit is made: a hook or a signer that fails keeps it, and the index is
 * as git leaves it. */
#ifndef FATHOM_APP_COMMIT_H
#define FATHOM_APP_COMMIT_H

#include "repo/diff.h"

struct commit_request {
    struct slice message;
    bool amend;            /* the last commit is made anew */
    bool sign_off;         /* Signed-off-by */
    bool no_verify;        /* without the hooks pre-commit and commit-msg */
    bool allow_empty;      /* also where nothing is staged */
    bool edit;             /* git opens the user's editor, on our own terminal: nothing of what is said is taken */
    bool takes_index_file; /* what is committed is of GIT_INDEX_FILE, where that is set: git gets it, too */
    const char *fixup; /* the id of a commit that this one mends: the message is then made of its subject; or NULL */
};

struct commit_result {
    int exit_status;         /* git's; 128 + n where a signal n ended it */
    struct buffer output;    /* what git, hooks and signer said: text whose control bytes are made visible */
    char id[41];             /* the new commit; "" where there is none */
    char message_path[1024]; /* where the message lies after a failure; "" otherwise */
};

/* STATUS_OK also where git refused (exit_status); errors: STATUS_IO (git can't be run, the message can't be written),
 * STATUS_ARGUMENT (an empty message), STATUS_NOT_FOUND (fixup), STATUS_CANCELLED (git was sent SIGTERM).  cancel may be NULL. */
enum status commit_run(struct repo *repo, const struct commit_request *request, const atomic_bool *cancel,
                       struct commit_result *result, struct error *error);
void commit_result_deinit(struct commit_result *result);

/* The commit that last touched what a staged diff changes: of deleted lines those, of added ones their neighbours.
 * STATUS_NOT_FOUND where there is none (new files alone). */
enum status commit_find_fixup(struct repo *repo, const struct diff *staged, char id[41], struct error *error);

#endif
