/* journal: what can be taken back.  One file for each thing done, in $XDG_STATE_HOME/fathom/undo/REPOSITORY/, mode 0600.
 *
 *   NUMBER.pending   written and synced before anything changes
 *   NUMBER.undo      the same, once it was done
 *
 * A record holds, of every path that changes, the states before (with bytes) and after (by hash), of index and worktree.
 * Invariants:
 *   1. Nothing changes before its record is on disk: no room for it, nothing done.
 *   2. At any moment each path is in the state before or the one after, never between: files are exchanged by one rename, the index is
 *      written by one.
 *   3. Taking back needs every path to be in one of the two: else somebody has changed it since, and nothing is touched.
 *      So it can be begun again wherever it was interrupted. */
#ifndef FATHOM_REPO_JOURNAL_H
#define FATHOM_REPO_JOURNAL_H

#include "repo/repo.h"

/* A path in git's index. */
struct journal_entry {
    uint32_t mode; /* 0: it isn't there */
    bool is_intent;
    struct repo_id id;
};

/* A path in the worktree. */
struct journal_file {
    uint32_t mode;     /* st_mode, with the file's type; 0: it isn't there */
    struct repo_id id; /* of the bytes as they lie there; a link's are its target */
};

struct journal_change {
    const char *path; /* borrowed; of a record that was read, the record's */
    bool has_entry, has_file;
    struct journal_entry entry_before, entry_after;
    struct journal_file file_before, file_after;
    struct buffer bytes_before; /* of the worktree's file */
    struct buffer bytes_after;  /* likewise; not in the journal */
    bool keeps_blob;            /* blob_before: of entry_before, in case git throws it away */
    struct buffer blob_before;
};

struct journal_record {
    uint64_t number;
    char what[120]; /* "discard src/a.c": one line */
    struct journal_change *changes;
    size_t n;
    bool is_pending;
    struct buffer paths; /* where the paths of one that was read lie */
};

struct journal;

/* folder: the program's state folder, which must be there; limit in bytes for this repository, 0: 512 MiB. */
enum status journal_open(const char *folder, const struct repo *repo, uint64_t limit, struct journal **out,
                         struct error *error);
void journal_close(struct journal *journal); /* NULL is fine */

/* Records what is about to change; number and is_pending are set.  The oldest go where there isn't room within the limit:
 * *n_dropped says how many.  STATUS_RANGE: it alone is larger than the limit. */
enum status journal_begin(struct journal *journal, struct journal_record *record, size_t *n_dropped,
                          struct error *error);
void journal_done(struct journal *journal, struct journal_record *record);
void journal_drop(struct journal *journal, const struct journal_record *record);

/* Whether the latest may never have been carried out, by its name alone. */
bool journal_is_pending(struct journal *journal);
/* The latest; STATUS_NOT_FOUND where there is none, STATUS_FORMAT where it is damaged, STATUS_UNSUPPORTED where it is another
 * fathom's. */
enum status journal_last(struct journal *journal, struct journal_record *out, struct error *error);
size_t journal_count(struct journal *journal);
void journal_record_deinit(struct journal_record *record);

/* The same from bytes, hostile ones too. */
enum status journal_read_record(const char *bytes, size_t size, struct journal_record *out, struct error *error);

#endif
