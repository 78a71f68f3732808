/* journal_internal: for journal*.c and stage*.c alone. */
#ifndef FATHOM_REPO_JOURNAL_INTERNAL_H
#define FATHOM_REPO_JOURNAL_INTERNAL_H

#include "repo/journal.h"

void journal_write_record(const struct journal_record *record, struct buffer *out);

/* One program at a time changes a repository through its journal.  STATUS_IO where another one does for longer than half a
 * second. */
enum status journal_lock(struct journal *journal, struct error *error);
void journal_unlock(struct journal *journal);

/* A path that names a file below the root, and nothing of git's own: no empty, "." or ".." steps, no ".git" however it is
 * written. */
bool repo_is_safe_path(const char *path, size_t size);

#endif
