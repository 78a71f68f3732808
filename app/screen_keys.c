/* screen_keys: what keys do, by one table, which the help pane shows. */
#include <string.h>

#include "app/screen.h"

/* Where a key acts.  What is asked for is one place after another: the special before the general. */
enum place {
    PLACE_ENTRY = 1,   /* the question is being typed */
    PLACE_LINE = 2,    /* a command, or what is searched for */
    PLACE_READ = 4,    /* a pane has the focus */
    PLACE_CHAT = 8,    /* it shows the conversation */
    PLACE_WINDOW = 16, /* Ctrl-W was pressed */
    PLACE_ALL = 32,
    PLACE_DIFF = 512, /* the focused pane shows a diff */
};

enum action {
    ACT_INPUT, /* + enum input_action */
    ACT_SEND = 64,
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
    ACT_COMMIT,
    ACT_NOTHING,
    ACT_DIFF = 512, /* + enum diff_action */
};

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
    {PLACE_ENTRY, {KEY_TAB}, ACT_COMPLETE, "complete a command; else go to the panes"},
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
    doc_cut(&screen->help, 0);
    bool is_entry = screen->help_place & PLACE_ENTRY;
    if (is_entry)
        explain(screen, PLACE_ENTRY, "In the entry");
    if (screen->help_place & PLACE_DIFF)
        explain(screen, PLACE_DIFF, "In a diff");
    explain(screen, screen->help_place & PLACE_CHAT ? PLACE_READ | PLACE_CHAT : PLACE_READ,
            screen->help_place & PLACE_CHAT ? "In the conversation" : "In a pane");
    explain(screen, PLACE_ALL, "Everywhere");
    explain(screen, PLACE_WINDOW, "After Ctrl-W");
    if (!is_entry)
        explain(screen, PLACE_ENTRY, "In the entry");
    screen_explain_commands(&screen->help);
}

static void toggle_help(struct screen *screen)
{
    for (int i = 0; i < LAYOUT_PANES; i++)
        if (screen->panes[i].is_used && screen->panes[i].kind == PANE_HELP) {
            int leaf = layout_find(&screen->layout, i);
            if (leaf < 0)
                return;
            screen->layout.focus = leaf;
            screen_close_pane(screen);
            return;
        }
    screen->help_place = screen->typing == TYPING_QUESTION           ? PLACE_ENTRY
                         : screen_focused(screen)->kind == PANE_CHAT ? PLACE_CHAT
                         : screen_focused(screen)->kind == PANE_DIFF ? PLACE_DIFF
                                                                     : PLACE_READ;
    screen_explain(screen);
    bool is_wide = layout_area(&screen->layout, layout_focused_pane(&screen->layout)).columns > 100;
    if (screen_split(screen, is_wide ? SPLIT_COLUMNS : SPLIT_ROWS, PANE_HELP))
        screen->typing = TYPING_NOTHING;
}

/* ---- lines: commands and searches ---- */

static void begin_line(struct screen *screen, enum typing what)
{
    screen->typing_before = screen->typing;
    screen->typing = what;
    input_clear(&screen->line);
}

static void search(struct screen *screen, int direction)
{
    struct pane *pane = screen_focused(screen);
    if (pane->kind == PANE_DIFF)
        screen_search_diff(screen, NULL, direction);
    else if (pane->view.pattern.size == 0)
        screen_note(screen, "nothing was searched for yet; / begins");
    else if (!view_search(&pane->view, screen_doc(screen, pane), direction))
        screen_note(screen, "%.100s: not found", buffer_text(&pane->view.pattern));
}

static void do_line(struct screen *screen)
{
    struct buffer line = {0};
    enum typing what = screen->typing;
    buffer_append_text(&line, buffer_text(&screen->line.text));
    screen->typing = screen->typing_before;
    if (line.size && what == TYPING_COMMAND) {
        input_remember(&screen->line, line.data);
        screen_run_command(screen, line.data);
    } else if (line.size && screen_focused(screen)->kind == PANE_DIFF) {
        screen_search_diff(screen, line.data, 1);
    } else if (line.size) {
        view_set_pattern(&screen_focused(screen)->view, line.data, line.size);
        search(screen, 1);
    } else if (what == TYPING_SEARCH) {
        view_set_pattern(&screen_focused(screen)->view, "", 0);
    }
    buffer_deinit(&line);
}

/* ---- actions ---- */

static bool is_empty(const struct screen *screen)
{
    return screen->question.text.size == 0;
}

static void stop(struct screen *screen)
{
    if (screen->running) {
        worker_cancel(screen->worker, screen->running);
        screen_note(screen, "stopping");
    } else if (screen->typing == TYPING_QUESTION) {
        screen->typing = TYPING_NOTHING;
    } else {
        screen->typing = TYPING_QUESTION;
    }
}

static void interrupt(struct screen *screen, bool is_second)
{
    if (is_second) {
        screen->is_over = true;
        return;
    }
    if (screen->typing == TYPING_COMMAND || screen->typing == TYPING_SEARCH)
        screen->typing = screen->typing_before;
    else if (screen->running)
        worker_cancel(screen->worker, screen->running);
    else if (!is_empty(screen))
        input_set(&screen->question, "", 0);
    screen_note(screen, "Ctrl-C again leaves");
}

static void next_pane(struct screen *screen, int step)
{
    int before = screen->layout.focus, count = layout_count(&screen->layout);
    layout_next_focus(&screen->layout, step);
    /* After the last pane comes the entry. */
    bool is_around = count == 1 || (step > 0 ? screen->layout.focus < before : screen->layout.focus > before);
    if (is_around && screen->typing == TYPING_NOTHING)
        screen->typing = TYPING_QUESTION;
}

static void jump(struct screen *screen, size_t line, const char *what)
{
    if (line == SIZE_MAX)
        screen_note(screen, "%s", what);
    else
        view_to_line(&screen_focused(screen)->view, line);
}

static void do_chat(struct screen *screen, enum action action)
{
    const struct transcript *transcript = &screen->transcript;
    size_t line = view_top_line(&screen_focused(screen)->view);
    switch (action) {
    case ACT_NEXT_THING:
        jump(screen, transcript_next_entry(transcript, line, 1), "that is the last one");
        break;
    case ACT_PREVIOUS_THING:
        jump(screen, transcript_next_entry(transcript, line, -1), "that is the first one");
        break;
    case ACT_NEXT_CODE:
        jump(screen, transcript_next_code(transcript, line, 1), "there is no code block below");
        break;
    case ACT_PREVIOUS_CODE:
        jump(screen, transcript_next_code(transcript, line, -1), "there is no code block above");
        break;
    case ACT_COPY_CODE:
        screen_copy(screen, false);
        break;
    case ACT_COPY_ANSWER:
        screen_copy(screen, true);
        break;
    default:
        screen->transcript.shows_thoughts = !screen->transcript.shows_thoughts;
        transcript_touch(&screen->transcript, NULL);
        break;
    }
}

static void do_window(struct screen *screen, enum action action)
{
    struct layout *layout = &screen->layout;
    enum pane_kind kind = screen_focused(screen)->kind;
    switch (action) {
    case ACT_SPLIT_COLUMNS:
        screen_split(screen, SPLIT_COLUMNS, kind);
        break;
    case ACT_SPLIT_ROWS:
        screen_split(screen, SPLIT_ROWS, kind);
        break;
    case ACT_GO_LEFT:
    case ACT_GO_RIGHT:
    case ACT_GO_UP:
    case ACT_GO_DOWN:
        layout_move_focus(layout, (enum layout_direction)(action - ACT_GO_LEFT));
        break;
    case ACT_NARROWER:
    case ACT_WIDER:
        layout_resize(layout, SPLIT_COLUMNS, action == ACT_WIDER ? 4 : -4);
        break;
    case ACT_TALLER:
    case ACT_SHORTER:
        layout_resize(layout, SPLIT_ROWS, action == ACT_TALLER ? 2 : -2);
        break;
    case ACT_EQUAL:
        layout_equalize(layout);
        break;
    default:
        layout->is_zoomed = !layout->is_zoomed;
        break;
    }
    if (action <= ACT_GO_DOWN)
        screen->typing = TYPING_NOTHING;
}

static void do_read(struct screen *screen, enum action action)
{
    struct view *view = &screen_focused(screen)->view;
    int64_t page = view->height > 2 ? view->height - 2 : 1;
    switch (action) {
    case ACT_DOWN:
        view_scroll(view, 1);
        break;
    case ACT_UP:
        view_scroll(view, -1);
        break;
    case ACT_PAGE_DOWN:
        view_scroll(view, page);
        break;
    case ACT_PAGE_UP:
        view_scroll(view, -page);
        break;
    case ACT_TOP:
        view_scroll(view, -(int64_t)view->n_rows);
        break;
    case ACT_BOTTOM:
        view_scroll(view, (int64_t)view->n_rows);
        break;
    case ACT_SEARCH:
        begin_line(screen, TYPING_SEARCH);
        break;
    case ACT_SEARCH_NEXT:
        search(screen, 1);
        break;
    case ACT_SEARCH_PREVIOUS:
        search(screen, -1);
        break;
    case ACT_COMMAND:
        begin_line(screen, TYPING_COMMAND);
        break;
    default:
        screen->typing = TYPING_QUESTION;
        break;
    }
}

static void complete(struct screen *screen)
{
    size_t size;
    if (screen->typing == TYPING_COMMAND)
        screen_complete(screen, &screen->line, 0);
    else if (screen->typing == TYPING_QUESTION && screen->question.text.size &&
             (screen_is_command(screen->question.text.data, &size) || strcmp(screen->question.text.data, "/") == 0))
        screen_complete(screen, &screen->question, 1);
    else if (screen->typing == TYPING_QUESTION)
        screen->typing = TYPING_NOTHING;
}

static void do_other(struct screen *screen, enum action action)
{
    struct view *chat = screen_chat_view(screen);
    int64_t page = chat->height > 2 ? chat->height - 2 : 1;
    switch (action) {
    case ACT_SEND:
        screen_ask(screen);
        break;
    case ACT_EDIT:
        screen_edit(screen);
        break;
    case ACT_COMMIT:
        screen_commit(screen, "");
        break;
    case ACT_COMPLETE:
        complete(screen);
        break;
    case ACT_NEXT_PANE:
    case ACT_PREVIOUS_PANE:
        next_pane(screen, action == ACT_NEXT_PANE ? 1 : -1);
        break;
    case ACT_STOP:
        stop(screen);
        break;
    case ACT_END_INPUT:
        screen->is_over = is_empty(screen);
        if (!screen->is_over)
            input_act(&screen->question, INPUT_DELETE_RIGHT);
        break;
    case ACT_SUSPEND:
        terminal_suspend(screen->terminal);
        break;
    case ACT_REDRAW:
        terminal_forget(screen->terminal);
        break;
    case ACT_WINDOW:
        screen->is_window_key = true;
        break;
    case ACT_CHAT_PAGE_UP:
        view_scroll(chat, -page);
        break;
    case ACT_CHAT_PAGE_DOWN:
        view_scroll(chat, page);
        break;
    case ACT_LINE_DO:
        do_line(screen);
        break;
    case ACT_LINE_BACK:
        screen->typing = screen->typing_before;
        break;
    case ACT_HELP:
        toggle_help(screen);
        break;
    case ACT_CLOSE:
        screen_close_pane(screen);
        break;
    default:
        break;
    }
}

static void do_action(struct screen *screen, enum action action)
{
    if (action < ACT_SEND)
        input_act(screen->typing == TYPING_QUESTION ? &screen->question : &screen->line,
                  (enum input_action)(action - ACT_INPUT));
    else if (action >= ACT_DIFF)
        screen_act_on_diff(screen, (enum diff_action)(action - ACT_DIFF));
    else if (action >= ACT_NEXT_THING && action <= ACT_THOUGHTS)
        do_chat(screen, action);
    else if (action >= ACT_SPLIT_COLUMNS && action <= ACT_ZOOM)
        do_window(screen, action);
    else if ((action >= ACT_DOWN && action <= ACT_SEARCH_PREVIOUS) || action == ACT_ASK)
        do_read(screen, action);
    else
        do_other(screen, action);
}

/* ---- */

static int find(const struct screen *screen, uint32_t key)
{
    unsigned place = screen->typing == TYPING_QUESTION ? PLACE_ENTRY : PLACE_LINE;
    if (screen->typing == TYPING_NOTHING)
        place = PLACE_READ;
    const struct pane *pane = &screen->panes[layout_focused_pane(&screen->layout)];
    int action = -1;
    if (place == PLACE_READ && pane->kind != PANE_HELP)
        action = keys_find(rows, N_ROWS, pane->kind == PANE_CHAT ? PLACE_CHAT : PLACE_DIFF, key);
    if (action < 0)
        action = keys_find(rows, N_ROWS, place, key);
    return action < 0 ? keys_find(rows, N_ROWS, PLACE_ALL, key) : action;
}

/* Text that is typed or pasted. */
static void insert(struct screen *screen, uint32_t key)
{
    struct buffer text = {0};
    struct input *input = screen->typing == TYPING_QUESTION ? &screen->question : &screen->line;
    if (key == KEY_PASTE) {
        buffer_append(&text, buffer_text(&screen->keyboard.paste), screen->keyboard.paste.size);
        for (size_t i = 0; input == &screen->line && i < text.size; i++)
            if (text.data[i] == '\n')
                text.data[i] = ' ';
        /* What is pasted where letters are keys is meant for the entry. */
        if (screen->typing == TYPING_NOTHING) {
            screen->typing = TYPING_QUESTION;
            input = &screen->question;
        }
    } else if (screen->typing != TYPING_NOTHING && key >= 0x20 && key < 0x110000 && key != KEY_BACKSPACE) {
        buffer_append_code_point(&text, key);
    }
    if (text.size && !text.failed)
        input_insert(input, text.data, text.size, key != KEY_PASTE);
    buffer_deinit(&text);
}

void screen_key(struct screen *screen, uint32_t key)
{
    bool was_interrupt = screen->was_interrupt, is_window_key = screen->is_window_key;
    *screen->note = 0;
    buffer_clear(&screen->offers);
    screen->was_interrupt = screen->is_window_key = false;
    if (is_window_key) {
        int action = keys_find(rows, N_ROWS, PLACE_WINDOW, key);
        if (action >= 0)
            do_action(screen, (enum action)action);
        return;
    }
    int action = find(screen, key);
    if (action == ACT_INTERRUPT) {
        screen->was_interrupt = true;
        interrupt(screen, was_interrupt);
    } else if (action >= 0) {
        do_action(screen, (enum action)action);
    } else if (key == ':' && screen->typing == TYPING_QUESTION && is_empty(screen)) {
        begin_line(screen, TYPING_COMMAND);
    } else if (key == '?' && screen->typing == TYPING_QUESTION && is_empty(screen)) {
        toggle_help(screen);
    } else {
        insert(screen, key);
    }
}
