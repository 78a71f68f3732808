/* screen_act: what the keys of panes, lists and the entry do. */
#include <string.h>

#include "app/screen_actions.h"

/* ---- lines: commands and searches ---- */

void screen_begin_line(struct screen *screen, enum typing what)
{
    if (screen->typing != TYPING_COMMAND && screen->typing != TYPING_SEARCH && screen->typing != TYPING_PICK)
        screen->typing_before = screen->typing;
    screen->typing = what;
    input_clear(&screen->line);
}

static void search_file(struct screen *screen, struct editor *editor, int direction)
{
    if (editor->pattern.size == 0)
        screen_note(screen, "nothing was searched for yet; / begins");
    else if (!editor_search(editor, direction))
        screen_note(screen, "%.100s: not found", buffer_text(&editor->pattern));
}

static void search(struct screen *screen, int direction)
{
    struct pane *pane = screen_focused(screen);
    if (pane->kind == PANE_DIFF)
        screen_search_diff(screen, NULL, direction);
    else if (pane->kind == PANE_FILE && pane->file)
        search_file(screen, &pane->file->editor, direction);
    else if (pane->view.pattern.size == 0)
        screen_note(screen, "nothing was searched for yet; / begins");
    else if (!view_search(&pane->view, screen_doc(screen, pane), direction))
        screen_note(screen, "%.100s: not found", buffer_text(&pane->view.pattern));
}

static void set_pattern(struct screen *screen, const struct buffer *line)
{
    struct pane *pane = screen_focused(screen);
    struct buffer *pattern = pane->file ? &pane->file->editor.pattern : NULL;
    if (pattern) {
        buffer_clear(pattern);
        buffer_append(pattern, buffer_text(line), line->size);
    } else {
        view_set_pattern(&pane->view, buffer_text(line), line->size);
    }
}

static void do_line(struct screen *screen)
{
    struct buffer line = {0};
    enum typing what = screen->typing;
    if (what == TYPING_PICK) {
        screen_pick_done(screen);
        return;
    }
    buffer_append_text(&line, buffer_text(&screen->line.text));
    screen->typing = screen->typing_before;
    if (line.size && what == TYPING_COMMAND) {
        input_remember(&screen->line, line.data);
        screen_run_command(screen, line.data);
    } else if (line.size && screen_focused(screen)->kind == PANE_DIFF) {
        screen_search_diff(screen, line.data, 1);
    } else if (line.size) {
        set_pattern(screen, &line);
        search(screen, 1);
    } else if (what == TYPING_SEARCH) {
        set_pattern(screen, &line);
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
    if (screen->reviewing && !screen->running) {
        worker_cancel(screen->worker, screen->reviewing);
        screen_note(screen, "stopping");
    } else if (screen->running) {
        worker_cancel(screen->worker, screen->running);
        screen_note(screen, "stopping");
    } else if (screen->typing == TYPING_QUESTION) {
        screen->typing = TYPING_NOTHING;
    } else {
        screen->typing = TYPING_QUESTION;
    }
}

void screen_interrupt(struct screen *screen, bool is_second)
{
    const struct file *unsaved = is_second ? screen_unsaved(screen) : NULL;
    if (unsaved && !screen->was_warned) {
        screen->was_warned = true;
        screen_note(screen, "%.100s is not saved; Ctrl-C once more leaves without it", unsaved->name);
        return;
    }
    if (is_second) {
        screen->is_over = true;
        return;
    }
    screen->was_warned = false;
    if (screen->typing == TYPING_COMMAND || screen->typing == TYPING_SEARCH || screen->typing == TYPING_PICK)
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
    enum pane_kind kind = screen_focused(screen)->kind == PANE_HELP ? PANE_HELP : PANE_CHAT;
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
        screen_begin_line(screen, TYPING_SEARCH);
        break;
    case ACT_SEARCH_NEXT:
        search(screen, 1);
        break;
    case ACT_SEARCH_PREVIOUS:
        search(screen, -1);
        break;
    case ACT_COMMAND:
        screen_begin_line(screen, TYPING_COMMAND);
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
    else if (screen->typing == TYPING_QUESTION && !screen_mention_complete(screen))
        screen->typing = TYPING_NOTHING;
}

static void do_pick(struct screen *screen, enum action action)
{
    switch (action) {
    case ACT_FILES:
        screen_pick_files(screen);
        break;
    case ACT_OPEN_NAMED:
        screen_pick_named(screen);
        break;
    case ACT_PICK_UP:
    case ACT_PICK_DOWN:
        view_move(&screen->picker.view, action == ACT_PICK_UP ? -1 : 1);
        break;
    case ACT_PICK_PAGE_UP:
    case ACT_PICK_PAGE_DOWN:
        view_move(&screen->picker.view, action == ACT_PICK_PAGE_UP ? -10 : 10);
        break;
    default:
        break;
    }
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
    case ACT_REVIEW:
        screen_review(screen);
        break;
    case ACT_DISMISS:
        screen_dismiss(screen);
        break;
    case ACT_PALETTE:
        screen_pick_commands(screen);
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
        if (is_empty(screen))
            screen_leave(screen);
        else
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
        screen_toggle_help(screen);
        break;
    case ACT_CLOSE:
        screen_close_pane(screen, false);
        break;
    default:
        do_pick(screen, action);
        break;
    }
}

void screen_act(struct screen *screen, enum action action)
{
    if ((action >= ACT_EDITOR && action < ACT_SEND) || (action >= ACT_FILE_EDIT && action <= ACT_FILE_WHY))
        screen_file_act(screen, action);
    else if (action >= ACT_DIFF)
        screen_act_on_diff(screen, (enum diff_action)(action - ACT_DIFF));
    else if (action < ACT_EDITOR)
        input_act(screen->typing == TYPING_QUESTION ? &screen->question : &screen->line,
                  (enum input_action)(action - ACT_INPUT));
    else if (action >= ACT_NEXT_THING && action <= ACT_THOUGHTS)
        do_chat(screen, action);
    else if (action >= ACT_SPLIT_COLUMNS && action <= ACT_ZOOM)
        do_window(screen, action);
    else if ((action >= ACT_DOWN && action <= ACT_SEARCH_PREVIOUS) || action == ACT_ASK)
        do_read(screen, action);
    else
        do_other(screen, action);
}
