/* diff_internal: how a diff is put together.  For diff*.c alone. */
#ifndef FATHOM_REPO_DIFF_INTERNAL_H
#define FATHOM_REPO_DIFF_INTERNAL_H

#include "repo/diff.h"

/* New ones at the end, zeroed; NULL with error set where there is no memory, or more than anybody reads. */
struct diff_file *diff_add_file(struct diff *diff, struct error *error);
struct diff_hunk *diff_add_hunk(struct diff *diff, struct error *error); /* of the last file */
struct diff_line *diff_add_line(struct diff *diff, enum diff_line_kind kind,
                                struct slice text, /* of the last hunk; borrowed */
                                struct error *error);
/* A copy that lives as long as the diff; data NULL without memory. */
struct slice diff_keep_text(struct diff *diff, const char *text, size_t size);
enum status diff_set_path(struct diff *diff, struct diff_side *side, const char *path, size_t size,
                          struct error *error);
/* Numbers lines, counts, names hunks; whoever made the diff calls it once, at the end. */
enum status diff_finish(struct diff *diff, struct error *error);

/* ---- printing, as git does ---- */

void diff_print_path(struct buffer *out, const char *prefix, const char *path);
void diff_print_header(const struct diff_file *file, struct buffer *out);
void diff_print_name_line(struct buffer *out, const char *mark, const char *prefix, const char *path);
void diff_print_range(struct buffer *out, char mark, uint32_t start, uint32_t n);

#endif
