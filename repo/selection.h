/* selection: which lines of a diff are meant, and what a file becomes by them.
 *
 *   diff ──► selection_new ──► marks on lines and files ──► selection_apply (bytes) ──► repo/stage.h
 *                                                       └─► selection_print (the patch, recounted)
 *
 * Marks are bytes beside the diff, which never changes: nothing is written before it is asked for.  Forward, a selection is applied to a file's old
 * state: marked lines come and go, all others stay.  In reverse it is applied to the new state, and takes the marked lines
 * back.  Of a line without an end that others come behind, the end is added, as those have it: two lines never become one.
 *
 * Of a file that is binary, too large, a link or a submodule, only all can be marked (selection_mark_file). */
#ifndef FATHOM_REPO_SELECTION_H
#define FATHOM_REPO_SELECTION_H

#include "repo/diff.h"

enum {
    SELECTION_MODE = 1,  /* a file's change of mode */
    SELECTION_WHOLE = 2, /* all there is of it: lines, mode, name */
};

struct selection {
    const struct diff *diff; /* borrowed */
    uint8_t *lines;          /* one for each line: 1 where it is marked; never of context */
    uint8_t *files;          /* one for each file: SELECTION_* */
    bool is_edited;          /* its hunk was written by hand: stage.h doesn't ask whether the worktree has it */
};

enum selection_extent { SELECTION_NONE, SELECTION_PART, SELECTION_ALL };

enum status selection_new(const struct diff *diff, struct selection **out, struct error *error);
void selection_free(struct selection *selection);
void selection_clear(struct selection *selection);

/* mark false takes the mark away.  Numbers beyond the diff's do nothing. */
void selection_mark_file(struct selection *selection, size_t file, bool mark);
void selection_mark_mode(struct selection *selection, size_t file, bool mark);
void selection_mark_hunk(struct selection *selection, size_t hunk, bool mark);
/* n lines of the hunk from its first-th (0-based); context among them is passed over. */
void selection_mark_lines(struct selection *selection, size_t hunk, size_t first, size_t n, bool mark);
/* The changed lines of a file by their numbers: added ones by the new side's, deleted ones by the old side's that stand
 * before or among them.  How many were marked. */
size_t selection_mark_range(struct selection *selection, size_t file, uint32_t first, uint32_t last, bool mark);

enum selection_extent selection_of_file(const struct selection *selection, size_t file);
enum selection_extent selection_of_hunk(const struct selection *selection, size_t hunk);

/* The parts that a hunk can be split into: runs of changes that context parts.  The part that begins at or behind the at-th
 * line of the hunk: its first line and length to *first and *n; false where there is none. */
bool selection_next_part(const struct diff *diff, size_t hunk, size_t at, size_t *first, size_t *n);

/* What the base (the old state's content; in reverse, the new one's) becomes by the marked lines of a file.  STATUS_FORMAT
 * where the base isn't what the diff's lines say: the diff is stale, or white space was ignored. */
enum status selection_apply(const struct selection *selection, size_t file, bool reverse, struct slice base,
                            struct buffer *out, struct error *error);

/* The marked lines of a file as a patch: headers recounted, what isn't marked is context or left out.  Nothing where nothing is
 * marked.  In reverse it is the patch that `git apply -R` takes. */
void selection_print(const struct selection *selection, size_t file, bool reverse, struct buffer *out);

/* ---- a hunk edited by hand ---- */

/* The hunk as it is put into an editor: its header and lines, and behind them what may be done, in lines of '#'. */
void selection_print_hunk(const struct diff *diff, size_t hunk, bool reverse, struct buffer *out);

/* What came back, as a diff of that file with this one hunk, counted anew, all of it marked in *out; both are yours.  Lines of '#' and
 * behind the last one are passed over, the header's numbers aren't read.  Context and deleted lines (in reverse: added ones)
 * must be lines of the hunk's own, in their order and without a gap.  STATUS_FORMAT says which line isn't; STATUS_CANCELLED where
 * nothing is left. */
enum status selection_edit_hunk(const struct diff *diff, size_t hunk, bool reverse, const char *text, size_t size,
                                struct diff **edited, struct selection **out, struct error *error);

#endif
