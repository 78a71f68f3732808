/* editor: a text on the screen: a cursor in it, where it is scrolled to, and what keys do to it.
 *
 * Lines aren't wrapped: a text that is wider than its area moves sideways with the cursor.  A ghost is text that isn't there:
 * what might stand at the cursor, drawn dim, its first line behind the cursor and the others below. */
#ifndef FATHOM_UI_EDITOR_H
#define FATHOM_UI_EDITOR_H

#include "ui/cells.h"
#include "ui/text.h"

enum editor_action {
    EDITOR_LEFT,
    EDITOR_RIGHT,
    EDITOR_UP,
    EDITOR_DOWN,
    EDITOR_WORD_LEFT,
    EDITOR_WORD_RIGHT,
    EDITOR_LINE_BEGIN, /* first its first letter, then its first column */
    EDITOR_LINE_END,
    EDITOR_PAGE_UP,
    EDITOR_PAGE_DOWN,
    EDITOR_BEGIN,
    EDITOR_END,
    EDITOR_DELETE_LEFT, /* from here on the text changes */
    EDITOR_DELETE_RIGHT,
    EDITOR_DELETE_WORD_LEFT,
    EDITOR_DELETE_WORD_RIGHT,
    EDITOR_DELETE_LINE_BEGIN,
    EDITOR_DELETE_LINE_END,
    EDITOR_PUT_BACK, /* what was last deleted by word or line */
    EDITOR_NEWLINE,  /* indented as the line is */
    EDITOR_INDENT,   /* a tab, or blanks where the text is indented by those */
    EDITOR_UNDO,
    EDITOR_REDO,
};

struct editor {
    struct text text;
    size_t cursor;
    int goal;          /* the column that up and down go for; -1: the cursor's own */
    size_t top;        /* line */
    int left;          /* column */
    int rows, columns; /* as it was drawn last */
    struct buffer pattern, killed;
};

struct editor_span {
    size_t begin, end; /* of the text's bytes, in order */
    enum style style;
};

void editor_deinit(struct editor *editor);
/* False where there was nothing to do, or no memory. */
bool editor_act(struct editor *editor, enum editor_action action);
/* At the cursor, which is then behind it. */
bool editor_insert(struct editor *editor, const char *bytes, size_t size, bool is_typed);
void editor_go(struct editor *editor, size_t at);                  /* the cursor, and it is shown */
void editor_go_line(struct editor *editor, size_t line);           /* from 0; a third from the top */
bool editor_search(struct editor *editor, int direction);          /* for the pattern, around the end */
struct slice editor_word(const struct editor *editor, size_t *at); /* the name that the cursor is on; borrowed */

/* Scrolls such that the cursor is seen in so many cells, and tells which bytes are. */
void editor_place(struct editor *editor, int rows, int columns, size_t *begin, size_t *end);

struct editor_look {
    const struct editor_span *spans;
    size_t n_spans;
    struct slice ghost;
    bool has_focus; /* the cursor is shown, and the ghost */
};
void editor_draw(const struct editor *editor, const struct editor_look *look, struct cells *cells, struct area area);

/* The column of a place in its line, from 0, tabs expanded. */
int editor_column(const struct text *text, size_t at);
/* The column behind the character at a byte that stands in `column`. */
int editor_step(const struct text *text, size_t at, int column);

#endif
