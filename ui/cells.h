/* cells: the screen as it should be, cell by cell.  All text on its way to the terminal becomes cells first, and nothing but
 * cells is sent, so what holds for them holds for the terminal:
 *
 * 1. A cell's code points are printable: controls, bidirectional overrides and the like are drawn as the marks of visible.h,
 *    bytes that are no UTF-8 as U+FFFD (one "?" each where the terminal takes ASCII alone), and so is what has no width and
 *    doesn't combine.  Newlines and tabs are drawn as one blank.
 * 2. Widths are utf8proc's.  A wide character's second cell has width 0; whoever overwrites one half blanks the other, and
 *    one that doesn't fit before the edge is drawn as a blank.
 * 3. At most two combining code points stay with a cell; variation selectors and joiners between emoji are left out, as
 *    terminals don't agree on what they do to the width. */
#ifndef FATHOM_UI_CELLS_H
#define FATHOM_UI_CELLS_H

#include "ui/style.h"

struct cell {
    uint32_t code[3]; /* the character, and what combines with it; 0: none */
    uint8_t style;    /* enum style */
    uint8_t width;    /* 1, 2; 0 for the second half of a wide one */
};

struct area {
    int row, column, rows, columns;
};

struct cells {
    struct cell *at; /* (rows, columns) */
    int rows, columns;
    int cursor_row, cursor_column; /* of the terminal's cursor; row < 0: hidden */
    bool ascii_only;
};

enum { CELLS_MOST = 1000 }; /* rows, and columns; of larger terminals the upper left part is used */

/* All blank.  Zero-initialised has no cells.  STATUS_MEMORY leaves it as it was. */
enum status cells_resize(struct cells *cells, int rows, int columns, struct error *error);
void cells_deinit(struct cells *cells);
void cells_clear(struct cells *cells);

struct area cells_area(const struct cells *cells); /* the whole */

/* The columns that text takes, drawn by cells_put. */
int cells_width(const char *text, size_t size, bool ascii_only);

/* Takes one character with what combines with it: its bytes (at least 1 for size > 0), and its columns in *width. */
size_t cells_next(const char *text, size_t size, bool ascii_only, int *width);

/* Draws text in row (of the area) from column on, as far as it fits; returns the column behind it. */
int cells_put(struct cells *cells, struct area area, int row, int column, enum style style, const char *text,
              size_t size);
int cells_put_text(struct cells *cells, struct area area, int row, int column, enum style style, const char *text);

/* Blanks from column on to the end of the area's row. */
void cells_blank(struct cells *cells, struct area area, int row, int column, enum style style);

/* Lines, in ASCII where the terminal takes no more. */
void cells_rule(struct cells *cells, struct area area, int row, int column, int columns, enum style style);
void cells_bar(struct cells *cells, struct area area, int column, enum style style);

/* Gives the cells of a row another style. */
void cells_restyle(struct cells *cells, struct area area, int row, int column, int columns, enum style style);

#endif
