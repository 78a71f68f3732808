/* stage: moves what is selected of a diff between worktree and index, or throws it away; all or nothing, and so that it can be taken
 * back.
 *
 *   diff ── selection ──► stage_run ──► read, check, compute ──► blobs ──► journal ──► worktree, index: one step
 *                                                                             └──────► stage_undo
 *
 * Through libgit2's index alone: git isn't run, nor any filter, hook, textconv or monitor of the repository's configuration.
 * A path that an external filter is named for (git-lfs for one), or an encoding of the worktree, is refused where its
 * content would have to pass it.
 *
 * What the selection was made from must still hold: index entry, commit and worktree file are compared with the diff, and
 * the index is locked by index.lock, as git does; where somebody else has it, this fails at once.  Symbolic links are not followed. */
#ifndef FATHOM_REPO_STAGE_H
#define FATHOM_REPO_STAGE_H

#include "repo/journal.h"
#include "repo/selection.h"

enum stage_action {
    STAGE_ADD,     /* of DIFF_WORKTREE into the index */
    STAGE_REMOVE,  /* of DIFF_STAGED out of the index; the worktree stays */
    STAGE_DISCARD, /* of DIFF_WORKTREE out of the worktree; the index stays, but for a mere intent to add */
};

struct stage_report {
    char what[120];   /* what was done or taken back: "stage src/a.c" */
    size_t n_files;   /* paths that changed */
    size_t n_dropped; /* things that can no more be taken back, as the journal is full */
};

/* Errors, all with nothing done: STATUS_ARGUMENT (nothing is selected, or a part of what goes as a whole), STATUS_FORMAT (stale),
 * STATUS_UNSUPPORTED (a filter, a conflict, a path of git's own), STATUS_RANGE (larger than 256 MiB), STATUS_IO (index.lock, a
 * full disk).  Only where the file system fails once more while files are put back, some stay changed: the text names one, and
 * stage_undo brings them back.  report may be NULL. */
enum status stage_run(struct repo *repo, struct journal *journal, enum stage_action action,
                      const struct selection *selection, struct stage_report *report, struct error *error);

/* An entry without content for a file that isn't tracked, so that its lines can be staged (git add -N). */
enum status stage_intend(struct repo *repo, struct journal *journal, const char *path, struct stage_report *report,
                         struct error *error);

/* Takes the last thing back: STATUS_NOT_FOUND (nothing to), STATUS_FORMAT (a path has changed since; nothing is touched). */
enum status stage_undo(struct repo *repo, struct journal *journal, struct stage_report *report, struct error *error);

#endif
