/* stage_internal: what the files of repo/stage*.c share.
 *
 *   stage.c          runs a plan, or a record of the journal backwards: index and worktree together
 *   stage_plan.c     what an action on a selection changes, path by path
 *   stage_content.c  contents: blobs, worktree files, line ends, filters
 *   stage_files.c    files of the worktree, exchanged by one rename each
 *   stage_index.c    the index, written by one rename */
#ifndef FATHOM_REPO_STAGE_INTERNAL_H
#define FATHOM_REPO_STAGE_INTERNAL_H

#include "repo/journal_internal.h"
#include "repo/repo_internal.h"
#include "repo/stage.h"

enum { STAGE_LIMIT = 256 << 20 }; /* bytes of a file */

/* ---- the index ---- */

struct stage_index;

/* A copy of the index as it is now, to be changed. */
enum status stage_index_open(struct repo *repo, struct stage_index **out, struct error *error);
/* Removes what was not written, and the lock. */
void stage_index_close(struct stage_index *index);
/* mode 0 where it isn't there; is_unmerged where it is in conflict. */
void stage_index_find(struct stage_index *index, const char *path, struct journal_entry *out, bool *is_unmerged);
enum status stage_index_set(struct stage_index *index, const char *path, const struct journal_entry *entry,
                            struct error *error);
/* Writes the copy, takes index.lock and looks whether the index is still the one that was copied. */
enum status stage_index_lock(struct stage_index *index, struct error *error);
/* The copy becomes the index. */
enum status stage_index_commit(struct stage_index *index, struct error *error);

/* ---- files of the worktree ---- */

/* A file as it lies there; bytes may be NULL.  STATUS_OK with mode 0 where it isn't there; a folder, a device and the like have their
 * mode and no id. */
enum status stage_file_read(struct repo *repo, const char *path, struct journal_file *out, struct buffer *bytes,
                            struct stat *about, struct error *error);
bool stage_file_equals(const struct journal_file *a, const struct journal_file *b); /* type, execution, content */

struct stage_swap;
/* Prepares path's change from one state to the other (bytes: of to).  Nothing is there to be seen yet. */
enum status stage_swap_prepare(struct repo *repo, const char *path, const struct journal_file *from,
                               const struct journal_file *to, struct slice bytes, struct stage_swap **out,
                               struct error *error);
/* Makes it.  STATUS_FORMAT where the file wasn't as from says, and is left so. */
enum status stage_swap_make(struct stage_swap *swap, struct error *error);
/* Takes it back, if it was made.  False: it couldn't be, and what was there before may lie under another name. */
bool stage_swap_revert(struct stage_swap *swap);
/* Of one that couldn't be taken back: error says so, too. */
void stage_swap_say(const struct stage_swap *swap, struct error *error);
void stage_swap_free(struct stage_swap *swap); /* what was there before is gone then */

/* ---- contents ---- */

enum status stage_blob_read(struct repo *repo, const struct repo_id *id, const char *path, struct buffer *out,
                            struct error *error);
enum status stage_blob_write(struct repo *repo, struct slice bytes, struct repo_id *id, struct error *error);
enum status stage_hash(struct slice bytes, struct repo_id *id, struct error *error);
bool stage_same_id(const struct repo_id *a, const struct repo_id *b);

/* STATUS_UNSUPPORTED where the path's content would have to pass an external filter, or an encoding. */
enum status stage_check_filters(struct repo *repo, const char *path, struct error *error);
/* Line ends and $Id$, to what git stores or to what lies in the worktree.  Right, or refused. */
enum status stage_to_git(struct repo *repo, const char *path, struct slice bytes, struct buffer *out,
                         struct error *error);
enum status stage_to_worktree(struct repo *repo, const char *path, struct slice bytes, struct buffer *out,
                              struct error *error);
/* Of a path in HEAD's tree: mode 0 where it isn't there. */
enum status stage_head_find(struct repo *repo, const char *path, struct journal_entry *out, struct error *error);

/* ---- the plan ---- */

/* The changes go to record; blobs are written.  record is to be deinitialised whatever comes. */
enum status stage_plan(struct repo *repo, struct stage_index *index, enum stage_action action,
                       const struct selection *selection, struct journal_record *record, struct error *error);
/* A new change at the record's end; NULL without memory. */
struct journal_change *stage_add_change(struct journal_record *record, const char *path, struct error *error);

#endif
