/* paint: from the cells that a terminal shows to those that it should show, in as few bytes as it takes.
 *
 * Only cells that differ are sent; rows that moved are moved by the terminal, where that spares repainting them.  What is sent
 * is made of nothing but the sequences below and the cells' code points, which cells.h keeps harmless.
 *
 * Sequences are those that every terminal with cursor addressing of the last forty years takes: CUP, SGR, EL, ED, and
 * DECSTBM with line feeds at the bottom for moving.  terminal.h looks whether terminfo agrees. */
#ifndef FATHOM_UI_PAINT_H
#define FATHOM_UI_PAINT_H

#include "ui/cells.h"

struct painter {
    struct cells shown; /* what the terminal has */
    bool is_known;      /* false: nobody knows what it shows, everything is sent */
    enum style_theme theme;
    enum style_depth depth;
    bool synchronizes;      /* the terminal can show a frame at once (mode 2026) */
    bool scrolls;           /* it has a region that scrolls */
    int row, column, style; /* where the terminal's cursor is, and the style in force; -1: unknown */
    char code[48];          /* what set that style */
    bool is_cursor_shown;
    struct buffer frame; /* the one that is being made */
};

void painter_deinit(struct painter *painter);

/* Appends what turns the screen into wanted; nothing where it is that already.  STATUS_MEMORY. */
enum status paint_frame(struct painter *painter, const struct cells *wanted, struct buffer *out, struct error *error);

#endif
