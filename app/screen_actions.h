/* screen_actions: what keys can do, and where: shared by the table of keys (screen_keys.c) and those who act. */
#ifndef FATHOM_APP_SCREEN_ACTIONS_H
#define FATHOM_APP_SCREEN_ACTIONS_H

#include "app/screen.h"

/* Where a key acts.  What is asked for is one place after another: the special before the general. */
enum place {
    PLACE_ENTRY = 1,   /* the question is being typed */
    PLACE_LINE = 2,    /* a command, or what is searched for */
    PLACE_READ = 4,    /* a pane has the focus */
    PLACE_CHAT = 8,    /* it shows the conversation */
    PLACE_WINDOW = 16, /* Ctrl-W was pressed */
    PLACE_ALL = 32,
    PLACE_FILE = 64,  /* it shows a file */
    PLACE_EDIT = 128, /* the file is typed into */
    PLACE_PICK = 256, /* something is chosen from a list */
    PLACE_DIFF = 512, /* the focused pane shows a diff */
};

enum action {
    ACT_INPUT,       /* + enum input_action */
    ACT_EDITOR = 64, /* + enum editor_action */
    ACT_SEND = 128,
    ACT_EDIT,
    ACT_COMPLETE,
    ACT_NEXT_PANE,
    ACT_PREVIOUS_PANE,
    ACT_STOP,
    ACT_INTERRUPT,
    ACT_END_INPUT,
    ACT_SUSPEND,
    ACT_REDRAW,
    ACT_WINDOW,
    ACT_CHAT_PAGE_UP,
    ACT_CHAT_PAGE_DOWN,
    ACT_LINE_DO,
    ACT_LINE_BACK,
    ACT_DOWN,
    ACT_UP,
    ACT_PAGE_DOWN,
    ACT_PAGE_UP,
    ACT_TOP,
    ACT_BOTTOM,
    ACT_COMMAND,
    ACT_SEARCH,
    ACT_SEARCH_NEXT,
    ACT_SEARCH_PREVIOUS,
    ACT_HELP,
    ACT_ASK,
    ACT_CLOSE,
    ACT_NEXT_THING,
    ACT_PREVIOUS_THING,
    ACT_NEXT_CODE,
    ACT_PREVIOUS_CODE,
    ACT_COPY_CODE,
    ACT_COPY_ANSWER,
    ACT_THOUGHTS,
    ACT_SPLIT_COLUMNS,
    ACT_SPLIT_ROWS,
    ACT_GO_LEFT,
    ACT_GO_RIGHT,
    ACT_GO_UP,
    ACT_GO_DOWN,
    ACT_NARROWER,
    ACT_WIDER,
    ACT_TALLER,
    ACT_SHORTER,
    ACT_EQUAL,
    ACT_ZOOM,
    ACT_FILES,
    ACT_OPEN_NAMED,
    ACT_FILE_EDIT, /* the file pane's, up to ACT_FILE_WHY */
    ACT_FILE_LEAVE,
    ACT_FILE_SAVE,
    ACT_FILE_DEFINITION,
    ACT_FILE_REFERENCES,
    ACT_FILE_BACK,
    ACT_FILE_TAB,
    ACT_FILE_WORD,
    ACT_FILE_LINE,
    ACT_FILE_NEXT_WAY,
    ACT_FILE_COMPLETE,
    ACT_FILE_WHY,
    ACT_PICK_UP,
    ACT_PICK_DOWN,
    ACT_PICK_PAGE_UP,
    ACT_PICK_PAGE_DOWN,
    ACT_COMMIT,
    ACT_REVIEW,
    ACT_DISMISS,
    ACT_PALETTE,
    ACT_NOTHING,
    ACT_DIFF = 512, /* + enum diff_action */
};

void screen_act(struct screen *screen, enum action action);      /* screen_act.c */
void screen_file_act(struct screen *screen, enum action action); /* screen_file.c: from ACT_FILE_EDIT to ACT_FILE_WHY */
void screen_interrupt(struct screen *screen, bool is_second);
void screen_toggle_help(struct screen *screen);

#endif
