/* layout: which pane lies where: a tree whose leaves are panes and whose inner nodes split an area in two.
 *
 *   { side by side, 60 % }            a pane is a small number of the program's own; this knows nothing else of it.
 *      ├── pane 0                     Neighbours are parted by one column or row, which belongs to neither.
 *      └── { stacked, 50 % }
 *             ├── pane 1
 *             └── pane 2
 *
 * Where there is no room for two, the one with the focus has the whole area and the other is hidden; so nothing is ever
 * smaller than a few cells, however small the terminal. */
#ifndef FATHOM_UI_LAYOUT_H
#define FATHOM_UI_LAYOUT_H

#include "ui/cells.h"

enum { LAYOUT_PANES = 8, LAYOUT_LEAST_COLUMNS = 20, LAYOUT_LEAST_ROWS = 4 };

enum layout_split { SPLIT_NONE, SPLIT_COLUMNS, SPLIT_ROWS };

struct layout_node {
    enum layout_split split; /* SPLIT_NONE: a leaf */
    int pane;                /* of a leaf */
    int parent, first, second;
    int share; /* of the first, in thousandths */
    bool is_used;
    struct area area; /* of the last layout_place; rows 0: hidden */
};

struct layout {
    struct layout_node nodes[2 * LAYOUT_PANES - 1];
    int root, focus; /* nodes; focus is a leaf */
    bool is_zoomed;  /* the focus has everything */
};

void layout_init(struct layout *layout, int pane);

/* Gives every node its area. */
void layout_place(struct layout *layout, struct area area);

/* Splits the focused leaf in two; the new pane comes second and gets the focus.  False where there are too many already. */
bool layout_split_focus(struct layout *layout, enum layout_split split, int pane);
/* Removes the focused leaf; false where it is the only one. */
bool layout_close_focus(struct layout *layout);

int layout_focused_pane(const struct layout *layout);
int layout_find(const struct layout *layout, int pane); /* its leaf, or -1 */
struct area layout_area(const struct layout *layout, int pane);
int layout_count(const struct layout *layout); /* leaves */

enum layout_direction { LAYOUT_LEFT, LAYOUT_RIGHT, LAYOUT_UP, LAYOUT_DOWN };
void layout_move_focus(struct layout *layout, enum layout_direction direction); /* to the neighbour there, if any */
void layout_next_focus(struct layout *layout, int step);                        /* around, in the tree's order */

/* Moves the border of the nearest split of that kind by so many cells: positive makes the focused pane larger. */
void layout_resize(struct layout *layout, enum layout_split split, int cells);
void layout_equalize(struct layout *layout);

/* Draws the lines between panes; those beside the focused one in the accent's style. */
void layout_draw(const struct layout *layout, struct cells *cells);

#endif
