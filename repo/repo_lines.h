/* repo_lines: which lines of a file are not what they were in HEAD: the pending change, as it stands in the file now. */
#ifndef FATHOM_REPO_REPO_LINES_H
#define FATHOM_REPO_REPO_LINES_H

#include "repo/repo.h"

/* Lines [line, end_line] of text (1-based, both included) that HEAD's file of this path doesn't have; where lines are only
 * missing, the one before them.  All of it where HEAD has no such file; nothing where there is no git, or where git stores
 * the file otherwise than it lies there (file->is_converted) or it isn't text.  each returns false to stop.  STATUS_IO,
 * STATUS_MEMORY. */
enum status repo_changed_lines(struct repo *repo, const struct repo_file *file, struct slice text,
                               bool (*each)(void *context, uint32_t line, uint32_t end_line), void *context,
                               struct error *error);

#endif
