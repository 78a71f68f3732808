/* input: a text that is typed: several lines, undo, history.
 *
 * The cursor stands between characters as they are drawn (cells_next), never within one.  History belongs to the caller's
 * lifetime: entries are copied in, the newest last. */
#ifndef FATHOM_UI_INPUT_H
#define FATHOM_UI_INPUT_H

#include "ui/cells.h"

enum input_action {
    INPUT_LEFT,
    INPUT_RIGHT,
    INPUT_WORD_LEFT,
    INPUT_WORD_RIGHT,
    INPUT_LINE_BEGIN,
    INPUT_LINE_END,
    INPUT_UP, /* a line of the text; on its first one, the history */
    INPUT_DOWN,
    INPUT_DELETE_LEFT,
    INPUT_DELETE_RIGHT,
    INPUT_DELETE_WORD_LEFT,
    INPUT_DELETE_WORD_RIGHT,
    INPUT_DELETE_LINE_BEGIN, /* up to the line's begin */
    INPUT_DELETE_LINE_END,
    INPUT_PUT_BACK, /* what was last deleted by word or line */
    INPUT_NEWLINE,
    INPUT_UNDO,
    INPUT_REDO,
    INPUT_OLDER, /* the history's */
    INPUT_NEWER,
    INPUT_SEARCH_OLDER, /* the next older one that holds what was typed */
};

struct input_state {
    char *text;
    size_t size, cursor;
};

enum { INPUT_UNDO_MOST = 128, INPUT_HISTORY_MOST = 1000, INPUT_LIMIT = 8 << 20 };

/* Zero-initialised is empty. */
struct input {
    struct buffer text;
    size_t cursor;
    struct input_state undo[INPUT_UNDO_MOST];
    size_t n_undo, n_redo; /* undo[n_undo ..] is what can be done again */
    bool is_typing;        /* the last change was a letter: the next one is undone with it */
    char **history;
    size_t n_history, capacity;
    size_t at; /* the entry that is shown; n_history: none, but what is being typed */
    bool is_searching;
    struct buffer draft; /* what is being typed, while an entry is shown */
    struct buffer killed;
};

void input_deinit(struct input *input);
void input_set(struct input *input, const char *text, size_t size); /* can be undone; the cursor at the end */
void input_clear(struct input *input);                              /* cannot: the next one is another text */
void input_insert(struct input *input, const char *text, size_t size, bool is_typed);
void input_act(struct input *input, enum input_action action);
void input_remember(struct input *input, const char *text); /* as the history's newest, unless it is that already */

/* Rows that the text takes in so many columns (at least 1), and where the cursor is. */
int input_layout(const struct input *input, int columns, bool ascii_only, int *row, int *column);
/* Draws the rows from top on. */
void input_draw(const struct input *input, struct cells *cells, struct area area, int top);

#endif
