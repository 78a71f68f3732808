/* diff_rows: the rows that a diff is shown in: headers of files and hunks, and their lines, one below the other or side by
 * side.  A row is a few numbers, so that a diff of 100,000 lines has all of its rows at once; what a row looks like is made
 * when it is drawn (diff_draw.c). */
#ifndef FATHOM_APP_DIFF_ROWS_H
#define FATHOM_APP_DIFF_ROWS_H

#include "repo/diff_detail.h"

enum diff_row_kind {
    DIFF_ROW_FILE,
    DIFF_ROW_NOTE, /* of a file without hunks: why there is nothing to show */
    DIFF_ROW_HUNK,
    DIFF_ROW_LINE,
    DIFF_ROW_FINDING, /* what a review says of the line above */
};

enum { DIFF_NO_LINE = UINT32_MAX };

/* left and right are lines of the diff.  One below the other: left is the line, right DIFF_NO_LINE.  Side by side: what stands
 * on each side, at least one; a context line on both.  Of a finding: its number, and which of its rows this is. */
struct diff_row {
    enum diff_row_kind kind;
    uint32_t file, hunk; /* numbers in the diff; hunk: of hunks, lines and findings */
    uint32_t left, right;
};

struct diff_rows {
    struct diff_row *at;
    size_t n, capacity;
};

/* Rows that stand behind a line. */
struct diff_insert {
    uint32_t line; /* of the diff */
    uint32_t number, n_rows;
};

struct diff_shape {
    const uint8_t *is_folded; /* for each file, 1 where only its header is shown; NULL: none */
    bool is_side_by_side;
    const struct diff_insert *inserts; /* by line */
    size_t n_inserts;
};

/* STATUS_MEMORY leaves *rows as it was. */
enum status diff_rows_make(const struct diff *diff, const struct diff_shape *shape, struct diff_rows *rows,
                           struct error *error);
void diff_rows_deinit(struct diff_rows *rows);

/* The first row that shows a line, or else the nearest header before it; of a file: its header. */
size_t diff_rows_find_line(const struct diff_rows *rows, const struct diff *diff, uint32_t line);
size_t diff_rows_find_file(const struct diff_rows *rows, uint32_t file);
/* The next row of a kind after at (direction 1) or before it (-1); SIZE_MAX where there is none. */
size_t diff_rows_next(const struct diff_rows *rows, size_t at, enum diff_row_kind kind, int direction);

#endif
