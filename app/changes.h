/* changes: the thread that reads what changed in a repository, and stages it, so that the screen never waits for git's files.
 *
 *      screen's thread                                   changes' thread
 *   changes_show(what)   ──► the one job that waits ───► diff_of_repo, diff_find_moved
 *   changes_do(action)   ──►                       ────► stage_run or stage_undo, and the diff anew
 *   changes_take  ◄── poll(changes_fd) ◄── the last reply
 *
 * One job is done at a time and one waits.  Another changes_show takes the place of one that waits and stops one that
 * runs; an action is neither stopped nor replaced, and while one is under way others are refused: what they were chosen
 * from is about to change. */
#ifndef FATHOM_APP_CHANGES_H
#define FATHOM_APP_CHANGES_H

#include "repo/stage.h"

/* A diff that pane and thread share. */
struct shared_diff {
    atomic_int n_users;
    struct diff *diff;
    bool ignores_space; /* so it is no diff of all that changed */
    uint8_t *moved;     /* for each line: 1 where it was moved; NULL without lines */
};
struct shared_diff *shared_diff_hold(struct shared_diff *shared);
void shared_diff_release(struct shared_diff *shared); /* NULL is fine */

enum changes_action { CHANGES_STAGE, CHANGES_UNSTAGE, CHANGES_DISCARD, CHANGES_UNDO };

struct changes_reply {
    struct shared_diff *shared; /* yours; NULL where it failed or was cancelled */
    bool is_partial;            /* the first files alone: all of them come in another reply */
    struct error error;         /* of reading the diff */
    enum status status;
    bool was_action; /* it is the reply to an action; what follows is of it */
    enum changes_action action;
    enum status action_status;
    struct error action_error;
    struct stage_report report;
};

struct changes;

/* path: a file or folder of the repository; state_folder: where the undo journal lies.  Both are copied; nothing is opened
 * yet.  STATUS_MEMORY. */
enum status changes_open(const char *path, const char *state_folder, struct changes **out, struct error *error);
void changes_close(struct changes *changes); /* waits for the action that runs; NULL is fine */
int changes_fd(const struct changes *changes);

/* What is to be shown; revisions are copied.  is_new: of a large diff the first files come at once.  False where memory
 * ran out. */
bool changes_show(struct changes *changes, const struct diff_options *options, bool is_new);

/* selection (of shared's diff; NULL for CHANGES_UNDO) becomes the thread's.  False where another action is under way. */
bool changes_do(struct changes *changes, enum changes_action action, struct shared_diff *shared,
                struct selection *selection);

/* The reply that has come; false where there is none. */
bool changes_take(struct changes *changes, struct changes_reply *out);

#endif
