/* screen_keys: what keys do, by one table, which the help pane shows; screen_act.c and screen_file.c do it. */
#include <string.h>

#include "app/screen_actions.h"

#define EDITS (PLACE_ENTRY | PLACE_LINE)

static const struct key_row rows[] = {
    {PLACE_WINDOW, {'v', KEY_WITH_CTRL('v')}, ACT_SPLIT_COLUMNS, "split the pane: another one beside it"},
    {PLACE_WINDOW, {'s', KEY_WITH_CTRL('s')}, ACT_SPLIT_ROWS, "split the pane: another one below it"},
    {PLACE_WINDOW, {KEY_LEFT, 'h'}, ACT_GO_LEFT, "go to the pane on the left"},
    {PLACE_WINDOW, {KEY_RIGHT, 'l'}, ACT_GO_RIGHT, "go to the pane on the right"},
    {PLACE_WINDOW, {KEY_UP, 'k'}, ACT_GO_UP, "go to the pane above"},
    {PLACE_WINDOW, {KEY_DOWN, 'j'}, ACT_GO_DOWN, "go to the pane below"},
    {PLACE_WINDOW, {'w', KEY_WITH_CTRL('w')}, ACT_NEXT_PANE, "go to the next pane"},
    {PLACE_WINDOW, {'<'}, ACT_NARROWER, "make the pane narrower"},
    {PLACE_WINDOW, {'>'}, ACT_WIDER, "make the pane wider"},
    {PLACE_WINDOW, {'+'}, ACT_TALLER, "make the pane taller"},
    {PLACE_WINDOW, {'-'}, ACT_SHORTER, "make the pane shorter"},
    {PLACE_WINDOW, {'='}, ACT_EQUAL, "make all panes equal"},
    {PLACE_WINDOW, {'z', KEY_WITH_CTRL('z')}, ACT_ZOOM, "give the pane all the room, or take it back"},
    {PLACE_WINDOW, {'q', 'c', KEY_WITH_CTRL('q')}, ACT_CLOSE, "close the pane"},

    {PLACE_ENTRY, {KEY_ENTER}, ACT_SEND, "send the question; /word is a command"},
    {PLACE_ENTRY, {KEY_WITH_ALT(KEY_ENTER), KEY_WITH_CTRL('j')}, ACT_INPUT + INPUT_NEWLINE, "begin a new line"},
    {PLACE_ENTRY, {KEY_WITH_ALT('e')}, ACT_EDIT, "write the question in $VISUAL or $EDITOR"},
    {PLACE_ENTRY, {KEY_TAB}, ACT_COMPLETE, "complete a command, or behind @ a file; else go to the panes"},
    {PLACE_ENTRY, {KEY_PAGE_UP}, ACT_CHAT_PAGE_UP, "scroll the conversation up"},
    {PLACE_ENTRY, {KEY_PAGE_DOWN}, ACT_CHAT_PAGE_DOWN, "scroll the conversation down"},
    {PLACE_ENTRY, {KEY_WITH_CTRL('d')}, ACT_END_INPUT, "leave, where nothing is typed"},

    {PLACE_LINE, {KEY_ENTER}, ACT_LINE_DO, "do it"},
    {PLACE_LINE, {KEY_ESCAPE}, ACT_LINE_BACK, "go back without doing it"},
    {PLACE_LINE, {KEY_TAB}, ACT_COMPLETE, "complete"},

    {EDITS, {KEY_LEFT, KEY_WITH_CTRL('b')}, ACT_INPUT + INPUT_LEFT, NULL},
    {EDITS, {KEY_RIGHT, KEY_WITH_CTRL('f')}, ACT_INPUT + INPUT_RIGHT, NULL},
    {EDITS, {KEY_WITH_CTRL(KEY_LEFT), KEY_WITH_ALT('b')}, ACT_INPUT + INPUT_WORD_LEFT, "go a word to the left"},
    {EDITS, {KEY_WITH_CTRL(KEY_RIGHT), KEY_WITH_ALT('f')}, ACT_INPUT + INPUT_WORD_RIGHT, "go a word to the right"},
    {EDITS, {KEY_HOME, KEY_WITH_CTRL('a')}, ACT_INPUT + INPUT_LINE_BEGIN, "go to the line's begin"},
    {EDITS, {KEY_END, KEY_WITH_CTRL('e')}, ACT_INPUT + INPUT_LINE_END, "go to the line's end"},
    {EDITS, {KEY_UP}, ACT_INPUT + INPUT_UP, "go a line up; from the first one, to older questions"},
    {EDITS, {KEY_DOWN}, ACT_INPUT + INPUT_DOWN, "go a line down; from the last one, to newer questions"},
    {EDITS, {KEY_WITH_CTRL('p')}, ACT_INPUT + INPUT_OLDER, "older question"},
    {EDITS, {KEY_WITH_CTRL('n')}, ACT_INPUT + INPUT_NEWER, "newer question"},
    {EDITS, {KEY_WITH_CTRL('r')}, ACT_INPUT + INPUT_SEARCH_OLDER, "next older question that holds what is typed"},
    {EDITS, {KEY_BACKSPACE}, ACT_INPUT + INPUT_DELETE_LEFT, NULL},
    {EDITS, {KEY_DELETE}, ACT_INPUT + INPUT_DELETE_RIGHT, NULL},
    {EDITS,
     {KEY_WITH_ALT(KEY_BACKSPACE), KEY_WITH_CTRL(KEY_BACKSPACE)},
     ACT_INPUT + INPUT_DELETE_WORD_LEFT,
     "delete the word on the left"},
    {EDITS, {KEY_WITH_ALT('d')}, ACT_INPUT + INPUT_DELETE_WORD_RIGHT, "delete the word on the right"},
    {EDITS, {KEY_WITH_CTRL('u')}, ACT_INPUT + INPUT_DELETE_LINE_BEGIN, "delete up to the line's begin"},
    {EDITS, {KEY_WITH_CTRL('k')}, ACT_INPUT + INPUT_DELETE_LINE_END, "delete up to the line's end"},
    {EDITS, {KEY_WITH_CTRL('y')}, ACT_INPUT + INPUT_PUT_BACK, "put back what was deleted last by word or line"},
    {EDITS, {KEY_WITH_CTRL('_'), KEY_WITH_ALT('u')}, ACT_INPUT + INPUT_UNDO, "undo"},
    {EDITS, {KEY_WITH_ALT('r')}, ACT_INPUT + INPUT_REDO, "redo"},

    {PLACE_DIFF, {'j', KEY_DOWN}, ACT_DIFF + DIFF_DOWN, "a line down"},
    {PLACE_DIFF, {'k', KEY_UP}, ACT_DIFF + DIFF_UP, "a line up"},
    {PLACE_DIFF, {KEY_PAGE_DOWN, KEY_WITH_CTRL('f')}, ACT_DIFF + DIFF_PAGE_DOWN, "a page down"},
    {PLACE_DIFF, {KEY_PAGE_UP, KEY_WITH_CTRL('b')}, ACT_DIFF + DIFF_PAGE_UP, "a page up"},
    {PLACE_DIFF, {'g', KEY_HOME}, ACT_DIFF + DIFF_TOP, "to the beginning"},
    {PLACE_DIFF, {'G', KEY_END}, ACT_DIFF + DIFF_BOTTOM, "to the end"},
    {PLACE_DIFF, {KEY_LEFT}, ACT_DIFF + DIFF_LEFT, "move long lines to the right again"},
    {PLACE_DIFF, {KEY_RIGHT}, ACT_DIFF + DIFF_RIGHT, "see more of long lines"},
    {PLACE_DIFF, {']'}, ACT_DIFF + DIFF_NEXT_HUNK, "to the next hunk"},
    {PLACE_DIFF, {'['}, ACT_DIFF + DIFF_PREVIOUS_HUNK, "to the hunk before"},
    {PLACE_DIFF, {'}'}, ACT_DIFF + DIFF_NEXT_FILE, "to the next file"},
    {PLACE_DIFF, {'{'}, ACT_DIFF + DIFF_PREVIOUS_FILE, "to the file before"},
    {PLACE_DIFF, {'s'}, ACT_DIFF + DIFF_STAGE, "stage the hunk, file or chosen lines; of what is staged: unstage"},
    {PLACE_DIFF, {'S'}, ACT_DIFF + DIFF_STAGE_FILE, "stage or unstage the whole file"},
    {PLACE_DIFF, {'v'}, ACT_DIFF + DIFF_MARK_LINES, "choose lines from here on, or no more"},
    {PLACE_DIFF, {'x'}, ACT_DIFF + DIFF_DISCARD, "discard it from the worktree; asks once"},
    {PLACE_DIFF, {'u'}, ACT_DIFF + DIFF_UNDO, "take back what was staged, unstaged or discarded last"},
    {PLACE_DIFF, {'c'}, ACT_COMMIT, "commit what is staged: the message in $VISUAL or $EDITOR"},
    {PLACE_DIFF, {'R'}, ACT_REVIEW, "let the model read it: findings, and how unusual each added line is to it"},
    {PLACE_DIFF, {'f'}, ACT_DIFF + DIFF_NEXT_FINDING, "to the next finding"},
    {PLACE_DIFF, {'o'}, ACT_DIFF + DIFF_NEXT_UNUSUAL, "to the most unusual line, and then the next"},
    {PLACE_DIFF, {'d'}, ACT_DISMISS, "dismiss the finding: it isn't shown again while its hunk stays as it is"},
    {PLACE_DIFF, {'t'}, ACT_DIFF + DIFF_OTHER, "the worktree's changes, or what is staged"},
    {PLACE_DIFF, {'r'}, ACT_DIFF + DIFF_AGAIN, "read it again"},
    {PLACE_DIFF, {'|'}, ACT_DIFF + DIFF_SIDES, "side by side, or one below the other"},
    {PLACE_DIFF, {'w'}, ACT_DIFF + DIFF_WORDS, "show the words that differ, or not"},
    {PLACE_DIFF, {'W'}, ACT_DIFF + DIFF_SPACE, "ignore changes of white space, or not"},
    {PLACE_DIFF, {'+', '='}, ACT_DIFF + DIFF_WIDER, "more lines around changes"},
    {PLACE_DIFF, {'-'}, ACT_DIFF + DIFF_CLOSER, "fewer lines around changes"},
    {PLACE_DIFF, {'F'}, ACT_DIFF + DIFF_WHOLE, "whole files, or changes alone"},
    {PLACE_DIFF, {KEY_ENTER, ' '}, ACT_DIFF + DIFF_FOLD, "fold the file, or unfold it"},
    {PLACE_DIFF, {'z'}, ACT_DIFF + DIFF_FOLD_ALL, "fold all files, or none"},

    {PLACE_READ, {'j', KEY_DOWN, KEY_ENTER}, ACT_DOWN, "a line down"},
    {PLACE_READ, {'k', KEY_UP}, ACT_UP, "a line up"},
    {PLACE_READ, {KEY_PAGE_DOWN, ' ', KEY_WITH_CTRL('f')}, ACT_PAGE_DOWN, "a page down"},
    {PLACE_READ, {KEY_PAGE_UP, 'b', KEY_WITH_CTRL('b')}, ACT_PAGE_UP, "a page up"},
    {PLACE_READ, {'g', KEY_HOME}, ACT_TOP, "to the beginning"},
    {PLACE_READ, {'G', KEY_END}, ACT_BOTTOM, "to the end"},
    {PLACE_FILE, {'h', KEY_LEFT}, ACT_EDITOR + EDITOR_LEFT, NULL},
    {PLACE_FILE, {'l', KEY_RIGHT}, ACT_EDITOR + EDITOR_RIGHT, NULL},
    {PLACE_FILE, {'j', KEY_DOWN, KEY_ENTER}, ACT_EDITOR + EDITOR_DOWN, "a line down; h and l go left and right"},
    {PLACE_FILE, {'k', KEY_UP}, ACT_EDITOR + EDITOR_UP, "a line up"},
    {PLACE_FILE, {'w', KEY_WITH_CTRL(KEY_RIGHT)}, ACT_EDITOR + EDITOR_WORD_RIGHT, "a word to the right"},
    {PLACE_FILE, {'b', KEY_WITH_CTRL(KEY_LEFT)}, ACT_EDITOR + EDITOR_WORD_LEFT, "a word to the left"},
    {PLACE_FILE, {'0', '^', KEY_HOME}, ACT_EDITOR + EDITOR_LINE_BEGIN, "to the line's begin"},
    {PLACE_FILE, {'$', KEY_END}, ACT_EDITOR + EDITOR_LINE_END, "to the line's end"},
    {PLACE_FILE, {KEY_PAGE_DOWN, ' ', KEY_WITH_CTRL('f')}, ACT_EDITOR + EDITOR_PAGE_DOWN, "a page down"},
    {PLACE_FILE, {KEY_PAGE_UP, KEY_WITH_CTRL('b')}, ACT_EDITOR + EDITOR_PAGE_UP, "a page up"},
    {PLACE_FILE, {'g', KEY_WITH_CTRL(KEY_HOME)}, ACT_EDITOR + EDITOR_BEGIN, "to the beginning; :123 goes to a line"},
    {PLACE_FILE, {'G', KEY_WITH_CTRL(KEY_END)}, ACT_EDITOR + EDITOR_END, "to the end"},
    {PLACE_FILE, {'i', KEY_INSERT}, ACT_FILE_EDIT, "edit: what is typed goes into the file; Esc ends that"},
    {PLACE_FILE, {'u'}, ACT_EDITOR + EDITOR_UNDO, "undo"},
    {PLACE_FILE, {'U', KEY_WITH_CTRL('r')}, ACT_EDITOR + EDITOR_REDO, "redo"},
    {PLACE_FILE, {'s', KEY_WITH_CTRL('s')}, ACT_FILE_SAVE, "save"},
    {PLACE_FILE, {'d', KEY_WITH_CTRL(']')}, ACT_FILE_DEFINITION, "to the definition of the name under the cursor"},
    {PLACE_FILE, {'r'}, ACT_FILE_REFERENCES, "the places that use the name under the cursor"},
    {PLACE_FILE, {KEY_BACKSPACE}, ACT_FILE_BACK, "back to where the last jump came from"},

    {PLACE_EDIT, {KEY_ESCAPE}, ACT_FILE_LEAVE, "drop the proposal; where none is shown, end editing"},
    {PLACE_EDIT, {KEY_TAB}, ACT_FILE_TAB, "take what is proposed; else indent"},
    {PLACE_EDIT,
     {KEY_WITH_CTRL(KEY_RIGHT), KEY_WITH_ALT('f')},
     ACT_FILE_WORD,
     "take a word of it; else go a word right"},
    {PLACE_EDIT, {KEY_WITH_CTRL(KEY_DOWN)}, ACT_FILE_LINE, "take a line of it"},
    {PLACE_EDIT, {KEY_WITH_ALT(']')}, ACT_FILE_NEXT_WAY, "the next proposal"},
    {PLACE_EDIT, {KEY_WITH_ALT('/')}, ACT_FILE_COMPLETE, "propose something now"},
    {PLACE_EDIT, {KEY_WITH_ALT('w')}, ACT_FILE_WHY, "what the proposal was made of, or close that"},
    {PLACE_EDIT, {KEY_WITH_CTRL('s')}, ACT_FILE_SAVE, "save"},
    {PLACE_EDIT, {KEY_ENTER}, ACT_EDITOR + EDITOR_NEWLINE, NULL},
    {PLACE_EDIT, {KEY_LEFT, KEY_WITH_CTRL('b')}, ACT_EDITOR + EDITOR_LEFT, NULL},
    {PLACE_EDIT, {KEY_RIGHT, KEY_WITH_CTRL('f')}, ACT_EDITOR + EDITOR_RIGHT, NULL},
    {PLACE_EDIT, {KEY_UP, KEY_WITH_CTRL('p')}, ACT_EDITOR + EDITOR_UP, NULL},
    {PLACE_EDIT, {KEY_DOWN, KEY_WITH_CTRL('n')}, ACT_EDITOR + EDITOR_DOWN, NULL},
    {PLACE_EDIT, {KEY_WITH_CTRL(KEY_LEFT), KEY_WITH_ALT('b')}, ACT_EDITOR + EDITOR_WORD_LEFT, "go a word left"},
    {PLACE_EDIT, {KEY_HOME, KEY_WITH_CTRL('a')}, ACT_EDITOR + EDITOR_LINE_BEGIN, "go to the line's begin"},
    {PLACE_EDIT, {KEY_END, KEY_WITH_CTRL('e')}, ACT_EDITOR + EDITOR_LINE_END, "go to the line's end"},
    {PLACE_EDIT, {KEY_PAGE_UP}, ACT_EDITOR + EDITOR_PAGE_UP, NULL},
    {PLACE_EDIT, {KEY_PAGE_DOWN}, ACT_EDITOR + EDITOR_PAGE_DOWN, NULL},
    {PLACE_EDIT, {KEY_WITH_CTRL(KEY_HOME)}, ACT_EDITOR + EDITOR_BEGIN, NULL},
    {PLACE_EDIT, {KEY_WITH_CTRL(KEY_END)}, ACT_EDITOR + EDITOR_END, NULL},
    {PLACE_EDIT, {KEY_BACKSPACE}, ACT_EDITOR + EDITOR_DELETE_LEFT, NULL},
    {PLACE_EDIT, {KEY_DELETE, KEY_WITH_CTRL('d')}, ACT_EDITOR + EDITOR_DELETE_RIGHT, NULL},
    {PLACE_EDIT,
     {KEY_WITH_ALT(KEY_BACKSPACE), KEY_WITH_CTRL(KEY_BACKSPACE)},
     ACT_EDITOR + EDITOR_DELETE_WORD_LEFT,
     "delete the word on the left"},
    {PLACE_EDIT, {KEY_WITH_ALT('d')}, ACT_EDITOR + EDITOR_DELETE_WORD_RIGHT, "delete the word on the right"},
    {PLACE_EDIT, {KEY_WITH_CTRL('u')}, ACT_EDITOR + EDITOR_DELETE_LINE_BEGIN, "delete up to the line's begin"},
    {PLACE_EDIT,
     {KEY_WITH_CTRL('k')},
     ACT_EDITOR + EDITOR_DELETE_LINE_END,
     "delete up to the line's end, or the line's end"},
    {PLACE_EDIT, {KEY_WITH_CTRL('y')}, ACT_EDITOR + EDITOR_PUT_BACK, "put back what was deleted last by word or line"},
    {PLACE_EDIT, {KEY_WITH_CTRL('_'), KEY_WITH_ALT('u')}, ACT_EDITOR + EDITOR_UNDO, "undo"},
    {PLACE_EDIT, {KEY_WITH_ALT('r')}, ACT_EDITOR + EDITOR_REDO, "redo"},

    {PLACE_PICK, {KEY_UP, KEY_WITH_CTRL('p'), (uint32_t)KEY_SHIFT | KEY_TAB}, ACT_PICK_UP, "the one above"},
    {PLACE_PICK, {KEY_DOWN, KEY_WITH_CTRL('n'), KEY_TAB}, ACT_PICK_DOWN, "the one below"},
    {PLACE_PICK, {KEY_PAGE_UP}, ACT_PICK_PAGE_UP, "a page up"},
    {PLACE_PICK, {KEY_PAGE_DOWN}, ACT_PICK_PAGE_DOWN, "a page down"},

    {PLACE_CHAT, {'o'}, ACT_OPEN_NAMED, "open a file that is named here, as src/lease.c:121"},
    {PLACE_CHAT, {']'}, ACT_NEXT_THING, "to the next question or answer"},
    {PLACE_CHAT, {'['}, ACT_PREVIOUS_THING, "to the one before"},
    {PLACE_CHAT, {'}'}, ACT_NEXT_CODE, "to the next code block"},
    {PLACE_CHAT, {'{'}, ACT_PREVIOUS_CODE, "to the code block before"},
    {PLACE_CHAT, {'y'}, ACT_COPY_CODE, "copy the lowest code block on the screen, its source"},
    {PLACE_CHAT, {'Y'}, ACT_COPY_ANSWER, "copy the last answer"},
    {PLACE_CHAT, {'t'}, ACT_THOUGHTS, "show or fold the thoughts of a reasoning model"},
    {PLACE_READ, {'/'}, ACT_SEARCH, "search; letters match in any case unless there is a capital"},
    {PLACE_READ, {'n'}, ACT_SEARCH_NEXT, "the next match"},
    {PLACE_READ, {'N'}, ACT_SEARCH_PREVIOUS, "the match before"},
    {PLACE_READ, {':'}, ACT_COMMAND, "a command"},
    {PLACE_READ, {'?', KEY_F1}, ACT_HELP, "these keys, or close them"},
    {PLACE_READ, {'i', 'a'}, ACT_ASK, "ask: go to the entry"},
    {PLACE_READ, {'q'}, ACT_CLOSE, "close this pane"},
    {PLACE_READ, {KEY_TAB}, ACT_NEXT_PANE, "to the next pane, and then the entry"},
    {PLACE_READ, {(uint32_t)KEY_SHIFT | KEY_TAB}, ACT_PREVIOUS_PANE, "to the pane before"},
    {PLACE_ENTRY, {KEY_F1}, ACT_HELP, "the keys of this place, or close them"},

    {PLACE_ALL, {KEY_ESCAPE}, ACT_STOP, "stop the answer; where none is given, leave or enter the panes"},
    {PLACE_ALL, {KEY_WITH_CTRL('c')}, ACT_INTERRUPT, "stop the answer, or clear the entry; twice: leave"},
    {PLACE_ALL, {KEY_WITH_CTRL('w')}, ACT_WINDOW, "panes: v s split, arrows go, < > + - = resize, z zooms, q closes"},
    {PLACE_ALL, {KEY_WITH_CTRL('o')}, ACT_FILES, "open a file: some letters of its path choose it"},
    {PLACE_ALL, {KEY_WITH_ALT('x')}, ACT_PALETTE, "all commands: some letters choose one"},
    {PLACE_ALL, {KEY_WITH_CTRL('z')}, ACT_SUSPEND, "suspend: fg comes back"},
    {PLACE_ALL, {KEY_WITH_CTRL('l')}, ACT_REDRAW, "draw everything again"},
};
enum { N_ROWS = sizeof rows / sizeof *rows };

/* ---- help ---- */

static void explain(struct screen *screen, unsigned place, const char *title)
{
    doc_blank(&screen->help, 0);
    doc_begin(&screen->help, (struct doc_format){0});
    doc_add_text(&screen->help, STYLE_HEADING, title);
    keys_explain(rows, N_ROWS, place, &screen->help);
}

void screen_explain(struct screen *screen)
{
    static const struct {
        unsigned place, with;
        const char *title;
    } parts[] = {
        {PLACE_ENTRY, PLACE_ENTRY, "In the entry"},
        {PLACE_CHAT, PLACE_CHAT, "In the conversation"},
        {PLACE_FILE, PLACE_FILE, "In a file"},
        {PLACE_DIFF, PLACE_DIFF, "In a diff"},
        {PLACE_FILE, PLACE_EDIT, "While a file is edited"},
        {0, PLACE_READ, "In a pane"},
        {0, PLACE_ALL, "Everywhere"},
        {0, PLACE_WINDOW, "After Ctrl-W"},
        {0, PLACE_PICK, "In a list to choose from"},
    };
    doc_cut(&screen->help, 0);
    /* First where one is, then what holds anywhere, then the rest. */
    for (int round = 0; round < 3; round++)
        for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
            int when = parts[i].place == screen->help_place ? 0 : parts[i].place == 0 ? 1 : 2;
            if (when == round)
                explain(screen, parts[i].with, parts[i].title);
        }
    screen_explain_commands(&screen->help);
}

void screen_toggle_help(struct screen *screen)
{
    for (int i = 0; i < LAYOUT_PANES; i++)
        if (screen->panes[i].is_used && screen->panes[i].kind == PANE_HELP) {
            int leaf = layout_find(&screen->layout, i);
            if (leaf < 0)
                return;
            screen->layout.focus = leaf;
            screen_close_pane(screen, false);
            return;
        }
    screen->help_place = screen->typing == TYPING_QUESTION           ? PLACE_ENTRY
                         : screen_focused(screen)->kind == PANE_CHAT ? PLACE_CHAT
                         : screen_focused(screen)->kind == PANE_FILE ? PLACE_FILE
                         : screen_focused(screen)->kind == PANE_DIFF ? PLACE_DIFF
                                                                     : PLACE_READ;
    screen_explain(screen);
    bool is_wide = layout_area(&screen->layout, layout_focused_pane(&screen->layout)).columns > 100;
    if (screen_split(screen, is_wide ? SPLIT_COLUMNS : SPLIT_ROWS, PANE_HELP))
        screen->typing = TYPING_NOTHING;
}

/* ---- */

static int find(const struct screen *screen, uint32_t key)
{
    const struct pane *pane = &screen->panes[layout_focused_pane(&screen->layout)];
    unsigned places[3] = {0};
    switch (screen->typing) {
    case TYPING_QUESTION:
        places[0] = PLACE_ENTRY;
        break;
    case TYPING_COMMAND:
    case TYPING_SEARCH:
        places[0] = PLACE_LINE;
        break;
    case TYPING_PICK:
        places[0] = PLACE_PICK;
        places[1] = PLACE_LINE;
        break;
    case TYPING_FILE:
        places[0] = PLACE_EDIT;
        break;
    case TYPING_NOTHING:
        places[0] = pane->kind == PANE_CHAT   ? PLACE_CHAT
                    : pane->kind == PANE_FILE ? PLACE_FILE
                    : pane->kind == PANE_DIFF ? PLACE_DIFF
                                              : 0;
        places[1] = PLACE_READ;
        break;
    }
    places[2] = PLACE_ALL;
    int action = -1;
    for (size_t i = 0; i < 3 && action < 0; i++)
        action = places[i] ? keys_find(rows, N_ROWS, places[i], key) : -1;
    return action;
}

static void insert_into_file(struct screen *screen, const char *bytes, size_t size, bool is_typed)
{
    struct file *file = screen_file(screen);
    struct buffer converted = {0};
    const char *newline = file ? text_newline(&file->editor.text) : "";
    for (size_t i = 0; file && i < size; i++)
        if (bytes[i] == '\n')
            buffer_append_text(&converted, newline);
        else
            buffer_append_byte(&converted, bytes[i]);
    if (file && !converted.failed && editor_insert(&file->editor, buffer_text(&converted), converted.size, is_typed))
        screen_ghost_typed(screen, buffer_text(&converted), converted.size);
    else
        screen_note(screen, "out of memory");
    buffer_deinit(&converted);
}

/* Text that is typed or pasted. */
static void insert(struct screen *screen, uint32_t key)
{
    struct buffer text = {0};
    if (key == KEY_PASTE) {
        /* What is pasted where letters are keys is meant for the entry. */
        if (screen->typing == TYPING_NOTHING)
            screen->typing = TYPING_QUESTION;
        buffer_append(&text, buffer_text(&screen->keyboard.paste), screen->keyboard.paste.size);
    } else if (screen->typing != TYPING_NOTHING && key >= 0x20 && key < 0x110000 && key != KEY_BACKSPACE) {
        buffer_append_code_point(&text, key);
    }
    bool is_line = screen->typing != TYPING_QUESTION && screen->typing != TYPING_FILE;
    for (size_t i = 0; is_line && i < text.size; i++)
        if (text.data[i] == '\n')
            text.data[i] = ' ';
    if (text.size && !text.failed && screen->typing == TYPING_FILE)
        insert_into_file(screen, text.data, text.size, key != KEY_PASTE);
    else if (text.size && !text.failed)
        input_insert(is_line ? &screen->line : &screen->question, text.data, text.size, key != KEY_PASTE);
    buffer_deinit(&text);
}

static void do_key(struct screen *screen, uint32_t key, bool was_interrupt)
{
    int action = find(screen, key);
    bool is_empty = screen->typing == TYPING_QUESTION && screen->question.text.size == 0;
    if (action == ACT_INTERRUPT) {
        screen->was_interrupt = true;
        screen_interrupt(screen, was_interrupt);
    } else if (action >= 0) {
        screen_act(screen, (enum action)action);
    } else if (key == ':' && is_empty) {
        screen_begin_line(screen, TYPING_COMMAND);
    } else if (key == '?' && is_empty) {
        screen_toggle_help(screen);
    } else {
        insert(screen, key);
    }
}

void screen_key(struct screen *screen, uint32_t key)
{
    bool was_interrupt = screen->was_interrupt, is_window_key = screen->is_window_key;
    *screen->note = 0;
    buffer_clear(&screen->offers);
    screen->was_interrupt = screen->is_window_key = false;
    if (!is_window_key) {
        do_key(screen, key, was_interrupt);
    } else {
        int action = keys_find(rows, N_ROWS, PLACE_WINDOW, key);
        if (action >= 0)
            screen_act(screen, (enum action)action);
    }
    if (screen->typing == TYPING_FILE && !screen_file(screen))
        screen->typing = TYPING_NOTHING; /* another pane has the focus now */
    if (screen->typing == TYPING_PICK)
        screen_pick_filter(screen);
}
