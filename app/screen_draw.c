/* screen_draw: from the state of the screen to its cells. */
#include <stdio.h>
#include <string.h>

#include "app/screen.h"

enum { TITLE_FROM_ROWS = 12, RULE_FROM_ROWS = 6, ENTRY_FROM_ROWS = 3 };

/* Where everything goes, from top to bottom; rows 0: not shown. */
struct plan {
    struct area title, panes, entry, status;
    bool has_title_rule, has_entry_rule, has_status_rule;
};

static const char *prompt_of(const struct screen *screen)
{
    return screen->typing == TYPING_COMMAND  ? ":"
           : screen->typing == TYPING_SEARCH ? "/"
           : screen->typing == TYPING_PICK   ? "choose: "
                                             : "> ";
}

static bool is_line(const struct screen *screen)
{
    return screen->typing == TYPING_COMMAND || screen->typing == TYPING_SEARCH || screen->typing == TYPING_PICK;
}

static const struct input *input_of(const struct screen *screen)
{
    return is_line(screen) ? &screen->line : &screen->question;
}

static struct plan make_plan(const struct screen *screen)
{
    struct plan plan = {0};
    int rows = screen->cells.rows, columns = screen->cells.columns, top = 0, row, column;
    int text_columns = columns - (int)strlen(prompt_of(screen));
    int entry = input_layout(input_of(screen), text_columns, screen->cells.ascii_only, &row, &column);
    int most = rows / 3 > 1 ? rows / 3 : 1;
    entry = entry < most ? entry : most;
    if (rows >= TITLE_FROM_ROWS) {
        plan.title = (struct area){0, 0, 1, columns};
        plan.has_title_rule = true;
        top = 2;
    }
    int bottom = rows;
    if (rows >= 2)
        plan.status = (struct area){--bottom, 0, 1, columns};
    plan.has_status_rule = rows >= TITLE_FROM_ROWS;
    bottom -= plan.has_status_rule;
    if (rows >= ENTRY_FROM_ROWS || rows == 1) {
        bottom -= entry;
        plan.entry = (struct area){bottom, 0, entry, columns};
    }
    plan.has_entry_rule = rows >= RULE_FROM_ROWS;
    bottom -= plan.has_entry_rule;
    plan.panes = (struct area){top, 0, bottom > top ? bottom - top : 0, columns};
    return plan;
}

/* ---- title ---- */

/* The first question, in one line. */
static struct slice title_of(const struct screen *screen)
{
    for (size_t i = 0; i < screen->transcript.n; i++)
        if (screen->transcript.entries[i].kind == ENTRY_QUESTION) {
            const struct buffer *text = &screen->transcript.entries[i].text;
            return (struct slice){buffer_text(text), strcspn(buffer_text(text), "\n")};
        }
    return (struct slice){"", 0};
}

static void draw_title(struct screen *screen, const struct plan *plan)
{
    struct cells *cells = &screen->cells;
    struct slice title = title_of(screen);
    char place[360];
    snprintf(place, sizeof place, *screen->branch ? "%s  %s" : "%s", screen->place, screen->branch);
    int width = cells_width(place, strlen(place), cells->ascii_only);
    int column = cells_put_text(cells, plan->title, 0, 1, STYLE_STRONG, "fathom");
    if (title.size) {
        struct area left = plan->title;
        left.columns = left.columns > width + 4 ? left.columns - width - 4 : left.columns;
        column = cells_put_text(cells, left, 0, column, STYLE_DIM, "  ");
        column = cells_put(cells, left, 0, column, STYLE_DIM, title.data, title.size);
    }
    if (column + 2 + width < plan->title.columns)
        cells_put_text(cells, plan->title, 0, plan->title.columns - width - 1, STYLE_DIM, place);
    cells_rule(cells, cells_area(cells), 1, 0, cells->columns, STYLE_RULE);
}

/* ---- panes ---- */

static void draw_hints(struct screen *screen, struct area area)
{
    static const char *const lines[] = {"Ask about this repository or anything else, or press ? in a pane for keys.",
                                        "Tab goes from the entry to the panes and back. Ctrl-W v splits.",
                                        "/help lists the commands; Ctrl-C twice leaves."};
    for (int i = 0; i < 3 && i < area.rows; i++)
        cells_put_text(&screen->cells, area, i, 1, i ? STYLE_DIM : STYLE_TEXT, lines[i]);
}

/* "chat", "src/lease.c  changed" on the left, where one is on the right. */
static void draw_pane_title(struct screen *screen, const struct pane *pane, struct area area, bool has_focus)
{
    static const char *const names[] = {
        [PANE_CHAT] = "chat", [PANE_HELP] = "help", [PANE_FILE] = "", [PANE_WHY] = "what was read for it"};
    struct cells *cells = &screen->cells;
    char text[160] = "";
    const struct view *view = &pane->view;
    const struct file *file = pane->file;
    if (file) {
        size_t line = text_line_of(&file->editor.text, file->editor.cursor);
        snprintf(text, sizeof text, "%s %zu:%d", language_name(file->language), line + 1,
                 editor_column(&file->editor.text, file->editor.cursor) + 1);
    } else if (view->n_rows > (size_t)(view->height > 0 ? view->height : 0)) {
        snprintf(text, sizeof text, "%zu/%zu", view->top + 1, view->n_rows);
    }
    int width = (int)strlen(text);
    struct area left = area;
    left.columns = left.columns > width + 16 ? left.columns - width - 3 : left.columns;
    enum style style = has_focus ? STYLE_ACCENT : STYLE_DIM;
    if (pane->kind == PANE_DIFF) {
        screen_draw_diff_title(screen, area, style);
        return;
    }
    int column = cells_put_text(cells, left, 0, 1, style, file ? file->name : names[pane->kind]);
    if (file && text_is_changed(&file->editor.text))
        column = cells_put_text(cells, left, 0, column, STYLE_WARN, "  changed");
    if (file && !file->stamp.is_there)
        column = cells_put_text(cells, left, 0, column, STYLE_DIM, "  new");
    if (has_focus && screen->typing == TYPING_FILE)
        column = cells_put_text(cells, left, 0, column, STYLE_ACCENT, "  editing");
    if (*text && column + width + 2 < area.columns)
        cells_put_text(cells, area, 0, area.columns - width - 1, STYLE_DIM, text);
}

static enum status draw_picker(struct screen *screen, struct area area, struct error *error)
{
    struct picker *picker = &screen->picker;
    char text[160];
    snprintf(text, sizeof text, screen->looking ? "%s  looking..." : "%s  %zu of %zu", screen->looks_for,
             picker->n_found, picker->n);
    cells_put_text(&screen->cells, area, 0, 1, STYLE_ACCENT, text);
    if (area.rows < 2)
        return STATUS_OK;
    area.row++;
    area.rows--;
    enum status status = view_update(&picker->view, &picker->doc, area.columns, area.rows, error);
    if (status == STATUS_OK) {
        view_move(&picker->view, 0);
        view_draw(&picker->view, &picker->doc, &screen->cells, area);
    }
    return status;
}

static void draw_file(struct screen *screen, const struct pane *pane, struct area area, bool has_focus)
{
    struct file *file = pane->file;
    size_t begin, end;
    editor_place(&file->editor, area.rows, area.columns, &begin, &end);
    file_color(file, begin, end);
    struct editor_look look = {
        .spans = file->spans, .n_spans = file->n_spans, .ghost = screen_ghost(screen, file), .has_focus = has_focus};
    editor_draw(&file->editor, &look, &screen->cells, area);
}

static enum status draw_pane(struct screen *screen, int index, bool has_title, struct error *error)
{
    struct pane *pane = &screen->panes[index];
    struct area area = layout_area(&screen->layout, index);
    bool is_focused = layout_focused_pane(&screen->layout) == index;
    bool has_focus = is_focused && (screen->typing == TYPING_NOTHING || screen->typing == TYPING_FILE);
    if (area.rows == 0)
        return STATUS_OK;
    if (is_focused && screen->typing == TYPING_PICK)
        return draw_picker(screen, area, error);
    if ((has_title || pane->file) && area.rows > 2) {
        draw_pane_title(screen, pane, area, has_focus);
        area.row++;
        area.rows--;
    }
    if (pane->kind == PANE_DIFF) {
        diff_pane_draw(&screen->diff, &screen->cells, area, has_focus);
        return STATUS_OK;
    }
    if (pane->file) {
        draw_file(screen, pane, area, has_focus);
        return STATUS_OK;
    }
    /* A column of air on the left, where there is one to spare. */
    if (area.columns >= 40) {
        area.column++;
        area.columns -= 2;
    }
    const struct doc *doc = screen_doc(screen, pane);
    enum status status = view_update(&pane->view, doc, area.columns, area.rows, error);
    if (status != STATUS_OK)
        return status;
    view_draw(&pane->view, doc, &screen->cells, area);
    if (pane->kind == PANE_CHAT && screen->transcript.n == 0)
        draw_hints(screen, area);
    return STATUS_OK;
}

/* ---- entry ---- */

static void draw_entry(struct screen *screen, const struct plan *plan)
{
    struct cells *cells = &screen->cells;
    const char *prompt = prompt_of(screen);
    const struct input *input = input_of(screen);
    int row, column, indent = (int)strlen(prompt);
    bool has_focus = screen->typing != TYPING_NOTHING && screen->typing != TYPING_FILE;
    if (plan->has_entry_rule)
        cells_rule(cells, cells_area(cells), plan->entry.row - 1, 0, cells->columns,
                   has_focus ? STYLE_ACCENT : STYLE_RULE);
    if (plan->entry.rows == 0)
        return;
    struct area area = plan->entry;
    cells_put_text(cells, area, 0, 0, has_focus ? STYLE_ACCENT : STYLE_DIM, prompt);
    area.column += indent;
    area.columns -= indent;
    if (area.columns < 1)
        return;
    input_layout(input, area.columns, cells->ascii_only, &row, &column);
    int top = row >= area.rows ? row - area.rows + 1 : 0;
    input_draw(input, cells, area, top);
    if (has_focus) {
        cells->cursor_row = area.row + row - top;
        cells->cursor_column = area.column + (column < area.columns ? column : area.columns - 1);
    }
}

/* ---- status ---- */

static void add_part(struct buffer *out, size_t *parts, size_t *n, const char *format, ...) PRINTF_LIKE(4, 5);
static void add_part(struct buffer *out, size_t *parts, size_t *n, const char *format, ...)
{
    char text[200];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    parts[(*n)++] = out->size;
    buffer_append(out, text, strlen(text) + 1);
}

/* "5.1k" */
static const char *short_number(uint64_t n, char text[24])
{
    if (n < 1000)
        snprintf(text, 24, "%llu", (unsigned long long)n);
    else
        snprintf(text, 24, n < 10000 ? "%.1fk" : "%.0fk", (double)n / 1000);
    return text;
}

static void add_context(const struct screen *screen, struct buffer *out, size_t *parts, size_t *n)
{
    char bar[11], used[24], room[24];
    if (screen->n_context <= 0)
        return;
    int filled = (int)((int64_t)screen->n_past * 10 / screen->n_context);
    for (int i = 0; i < 10; i++)
        bar[i] = i < filled ? '#' : '.';
    bar[10] = 0;
    add_part(out, parts, n, "[%s] %s/%s", bar, short_number((uint64_t)screen->n_past, used),
             short_number((uint64_t)screen->n_context, room));
}

/* What there is to say, the most important first; each part ends by a NUL, parts holds where they begin. */
static void gather_parts(const struct screen *screen, struct buffer *out, size_t *parts, size_t *n)
{
    const struct turn_result *result = &screen->result;
    if (screen->cost.n_tokens && screen->typing == TYPING_QUESTION)
        add_part(out, parts, n, "this question %llu tokens%s", (unsigned long long)screen->cost.n_tokens,
                 screen->cost.has_missing ? ", an @name stands for nothing" : "");
    if (screen->is_unopened)
        add_part(out, parts, n, "no model (:model NAME opens one)");
    else if (!screen->is_open)
        add_part(out, parts, n, "opening %.100s...", screen->model);
    else
        add_part(out, parts, n, "%.100s", screen->model);
    if (screen->running && screen->is_open && !screen->first_text_ns && screen->n_to_read) {
        add_part(out, parts, n, "reading %d %%", (int)(screen->n_read * 100 / screen->n_to_read));
        add_part(out, parts, n, "Esc stops");
    } else if (screen->running && screen->is_open) {
        if (screen->rate > 0)
            add_part(out, parts, n, "%.0f tok/s", screen->rate);
        add_part(out, parts, n, "Esc stops");
    } else if (screen->has_result && turn_speed(result) > 0) {
        add_part(out, parts, n, "%.0f tok/s", turn_speed(result));
    }
    if (screen->is_open)
        add_context(screen, out, parts, n);
    const struct freshness_state *fresh = &screen->fresh;
    if (fresh->is_refreshing && fresh->total)
        add_part(out, parts, n, "index %llu/%llu files", (unsigned long long)fresh->done,
                 (unsigned long long)fresh->total);
    size_t n_read = result->n_reused + result->n_evaluated;
    if (screen->has_result && !screen->running && n_read)
        add_part(out, parts, n, "%zu %% reused", result->n_reused * 100 / n_read);
}

static const char *file_hint(const struct screen *screen)
{
    if (screen->typing == TYPING_FILE && screen_ghost(screen, screen_file(screen)).size)
        return screen->ghost.n_ways > 1 ? "Tab all  Ctrl-Right word  Ctrl-Down line  Alt-] next  Alt-W why"
                                        : "Tab all  Ctrl-Right word  Ctrl-Down line  Alt-W why";
    if (screen->typing == TYPING_FILE)
        return "Esc ends editing  Ctrl-S saves  Alt-/ proposes";
    return "i edit  s save  d definition  r references  ? keys";
}

static const char *hint_of(const struct screen *screen)
{
    if (screen->is_window_key)
        return "v s split  arrows go  < > + - = resize  z zoom  q close";
    switch (screen->typing) {
    case TYPING_QUESTION:
        return "Enter sends  Alt-Enter new line  Tab panes";
    case TYPING_COMMAND:
    case TYPING_SEARCH:
        return "Enter does it  Tab completes  Esc back";
    case TYPING_PICK:
        return "letters choose  Up Down  Enter opens  Esc back";
    case TYPING_FILE:
        return file_hint(screen);
    case TYPING_NOTHING:
        break;
    }
    if (screen_file(screen))
        return file_hint(screen);
    if (screen->panes[layout_focused_pane(&screen->layout)].kind == PANE_DIFF)
        return screen->diff.options.of == DIFF_STAGED
                   ? "s unstage  u undo  v lines  | side by side  R review  c commit  ? keys"
                   : "s stage  u undo  x discard  v lines  | side by side  R review  ? keys";
    return "? keys  / search  : command  i ask";
}

static void draw_status(struct screen *screen, const struct plan *plan)
{
    struct cells *cells = &screen->cells;
    struct buffer text = {0};
    size_t parts[12], n = 0;
    int column = 1, columns = plan->status.columns;
    if (plan->has_status_rule)
        cells_rule(cells, cells_area(cells), plan->status.row - 1, 0, cells->columns, STYLE_RULE);
    if (plan->status.rows == 0)
        return;
    if (*screen->note || screen->offers.size) {
        const char *what = *screen->note ? screen->note : buffer_text(&screen->offers);
        cells_put_text(cells, plan->status, 0, 1, *screen->note ? STYLE_WARN : STYLE_TEXT, what);
        return;
    }
    gather_parts(screen, &text, parts, &n);
    const char *hint = hint_of(screen);
    int hint_width = (int)strlen(hint);
    /* Where keys mean something special, they matter more than the meters. */
    bool is_hint_first = (screen->is_window_key || screen->typing != TYPING_QUESTION) && hint_width + 2 < columns;
    if (is_hint_first)
        columns -= hint_width + 1;
    for (size_t i = 0; i < n && !text.failed; i++) {
        const char *part = text.data + parts[i];
        int width = cells_width(part, strlen(part), cells->ascii_only);
        if (column + (i ? 3 : 0) + width >= columns)
            break;
        if (i)
            column =
                cells_put_text(cells, plan->status, 0, column, STYLE_RULE, cells->ascii_only ? " | " : " \xc2\xb7 ");
        column = cells_put_text(cells, plan->status, 0, column, i ? STYLE_DIM : STYLE_TEXT, part);
    }
    buffer_deinit(&text);
    columns = plan->status.columns;
    if (is_hint_first || column + 3 + hint_width < columns)
        cells_put_text(cells, plan->status, 0, columns - hint_width - 1, STYLE_DIM, hint);
}

/* ---- all of it ---- */

/* What a table may take: the narrowest pane that shows the conversation. */
static int table_columns(const struct screen *screen)
{
    int least = screen->cells.columns;
    for (int i = 0; i < LAYOUT_PANES; i++) {
        struct area area = layout_area(&screen->layout, i);
        if (screen->panes[i].is_used && screen->panes[i].kind == PANE_CHAT && area.rows && area.columns < least)
            least = area.columns;
    }
    return least > 4 ? least - 2 : 4;
}

enum status screen_draw(struct screen *screen, struct error *error)
{
    int rows, columns;
    terminal_size(screen->terminal, &rows, &columns);
    enum status status = STATUS_OK;
    if (rows != screen->cells.rows || columns != screen->cells.columns)
        status = cells_resize(&screen->cells, rows, columns, error);
    if (status != STATUS_OK)
        return status;
    cells_clear(&screen->cells);
    struct plan plan = make_plan(screen);
    if (plan.title.rows)
        draw_title(screen, &plan);
    layout_place(&screen->layout, plan.panes);
    transcript_render(&screen->transcript, table_columns(screen));
    for (int i = 0; i < LAYOUT_PANES && plan.panes.rows && status == STATUS_OK; i++)
        if (screen->panes[i].is_used)
            status = draw_pane(screen, i, layout_count(&screen->layout) > 1, error);
    if (status != STATUS_OK)
        return status;
    layout_draw(&screen->layout, &screen->cells);
    draw_entry(screen, &plan);
    draw_status(screen, &plan);
    return terminal_show(screen->terminal, &screen->cells, error);
}
