/* diff_pane: a diff on the screen: reading it, choosing of it, and staging what was chosen.
 *
 *   diff_pane_show ──► changes (its thread) ──► diff_pane_take ──► rows ──► diff_pane_draw
 *   diff_pane_do(action) ──► cursor, folds, marks; or a selection ──► changes ──► the diff anew
 *
 * It shows at once what is on the screen: rows are numbers (diff_rows.h), and words, colours and cells are made for those
 * alone that are drawn.  After something was staged, the cursor stays with the line, hunk or file that it stood on. */
#ifndef FATHOM_APP_DIFF_PANE_H
#define FATHOM_APP_DIFF_PANE_H

#include "app/changes.h"
#include "app/diff_rows.h"
#include "app/review.h"
#include "repo/syntax.h"
#include "ui/cells.h"

enum {
    DIFF_PANE_LOOKS = 24,   /* hunks whose words and colours are kept */
    DIFF_PANE_WAITING = 64, /* actions that wait for one that is under way */
};

enum diff_action {
    DIFF_DOWN,
    DIFF_UP,
    DIFF_PAGE_DOWN,
    DIFF_PAGE_UP,
    DIFF_TOP,
    DIFF_BOTTOM,
    DIFF_LEFT,
    DIFF_RIGHT,
    DIFF_NEXT_HUNK,
    DIFF_PREVIOUS_HUNK,
    DIFF_NEXT_FILE,
    DIFF_PREVIOUS_FILE,
    DIFF_FOLD,     /* the file under the cursor, or not */
    DIFF_FOLD_ALL, /* all files, or none */
    DIFF_SIDES,
    DIFF_WORDS,
    DIFF_SPACE,  /* changes of white space count, or not */
    DIFF_WIDER,  /* more lines around changes */
    DIFF_CLOSER, /* fewer */
    DIFF_WHOLE,  /* the whole files, or not */
    DIFF_OTHER,  /* worktree or what is staged */
    DIFF_AGAIN,
    DIFF_MARK_LINES, /* begins or ends choosing lines */
    DIFF_STAGE,      /* what the cursor stands on, into the index, or where the staged is shown out of it */
    DIFF_STAGE_FILE,
    DIFF_DISCARD, /* asks first: a second time in a row does it */
    DIFF_UNDO,
    DIFF_NEXT_FINDING,
    DIFF_NEXT_UNUSUAL,
};

/* What is drawn of a hunk beside its text; made when it is first drawn. */
struct hunk_look {
    const struct diff *diff; /* NULL: unused */
    uint32_t hunk;
    uint64_t used;
    struct diff_words words;
    struct hunk_side {
        struct highlight_span *spans; /* of the side's lines, one behind the other */
        size_t n_spans;
        uint32_t *begins; /* for each line of the hunk: where it begins in them */
    } sides[2];           /* old, new */
};

struct diff_pane {
    struct changes *changes;
    struct languages *languages; /* borrowed; NULL: no colours */
    struct diff_options options;
    struct buffer from, to; /* that options show */
    struct shared_diff *shared;
    struct diff_rows rows;
    uint8_t *is_folded; /* for each file */
    struct hunk_look looks[DIFF_PANE_LOOKS];
    uint64_t clock;
    struct review_result *review; /* NULL: none */
    struct shared_diff *reviewed; /* what it is of; hunks are found again by their ids */
    struct diff_insert *inserts;  /* its findings, by line */
    size_t n_inserts;
    uint8_t *heat;     /* for each line: 0, or 1 to 4, how unusual it is; NULL: nobody knows */
    uint32_t *unusual; /* lines, the most unusual first, and what the review says of them */
    uint32_t *unusual_of;
    size_t n_unusual, next_unusual;
    size_t top, cursor, anchor;
    int height, shift; /* rows of the last drawing; columns that lines are moved to the left */
    bool is_open, is_reading, is_side_by_side, hides_words, has_anchor, asks_discard;
    uint32_t context_before_whole;
    bool is_acting; /* something is being staged or taken back: what is asked for meanwhile waits */
    enum diff_action waiting[DIFF_PANE_WAITING];
    size_t n_waiting;
    struct buffer pattern;
    char trouble[256]; /* in place of the rows */
    char note[200];    /* what is to be said once; "" */
};

/* path: of the repository; state_folder: of the program.  languages may be NULL. */
enum status diff_pane_open(struct diff_pane *pane, const char *path, const char *state_folder,
                           struct languages *languages, struct error *error);
void diff_pane_close(struct diff_pane *pane); /* zeroed is fine */

/* what: "" or "--worktree", "--staged", a revision, or A..B.  False with a note where it is none of them. */
bool diff_pane_show(struct diff_pane *pane, const char *what);
void diff_pane_take_review(struct diff_pane *pane, struct shared_diff *shared, struct review_result *review);
void diff_pane_take(struct diff_pane *pane); /* what changes_fd told of */
void diff_pane_do(struct diff_pane *pane, enum diff_action action);
/* The next row below (1) or above (-1) that holds the pattern; false where there is none.  text NULL: the last pattern. */
bool diff_pane_search(struct diff_pane *pane, const char *text, int direction);
/* The place that the cursor stands on: its path in the diff (borrowed) and line in the new state; NULL where it is none. */
const char *diff_pane_place(const struct diff_pane *pane, uint32_t *line);

/* ---- diff_review.c ---- */
/* Takes what a review said of a diff (both become the pane's); diff_pane_take_review makes the rows that show it, too. */
void diff_pane_set_review(struct diff_pane *pane, struct shared_diff *shared, struct review_result *review);
void diff_pane_forget_review(struct diff_pane *pane);
void diff_pane_map_review(struct diff_pane *pane); /* after another diff came */
/* The line that is unusual next, counted from the most unusual one; its number in the diff, or DIFF_NO_LINE.  Says why. */
/* The finding that the cursor stands on, or NULL; and without it. */
const struct review_finding *diff_pane_finding(const struct diff_pane *pane);
void diff_pane_drop_finding(struct diff_pane *pane);
uint32_t diff_pane_next_unusual(struct diff_pane *pane);
/* One of a finding's rows, as text; the first has its title.  Returns what it has. */
enum { FINDING_COLUMNS = 72, FINDING_ROWS_MOST = 6 };
struct slice diff_pane_finding_row(const struct diff_pane *pane, uint32_t number, uint32_t row);

/* ---- diff_draw.c ---- */
void diff_pane_draw(struct diff_pane *pane, struct cells *cells, struct area area, bool has_focus);
/* "worktree, 3 files, +12 -4", and "hunk 2/5". */
void diff_pane_title(const struct diff_pane *pane, char *left, size_t left_size, char *right, size_t right_size);

/* ---- diff_look.c ---- */
/* NULL where memory ran out: the hunk is drawn without. */
const struct hunk_look *diff_pane_look(struct diff_pane *pane, uint32_t hunk);
void hunk_look_deinit(struct hunk_look *look);

#endif
