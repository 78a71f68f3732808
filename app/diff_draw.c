/* diff_draw: the rows of a diff pane as cells: numbers, signs, text with its colours and what differs. */
#include <stdio.h>
#include <string.h>

#include "app/coloring.h"
#include "app/diff_pane.h"

enum { TAB_COLUMNS = 8, NUMBERS_FROM_COLUMNS = 50 };

/* ---- one line's text ---- */

struct painted {
    const struct diff_pane *pane;
    struct cells *cells;
    struct area area; /* the row's part that the text has */
    int row, column;  /* within it; may be negative, where the line is moved to the left */
    enum ground ground;
};

static void put(struct painted *at, enum style style, const char *text, size_t size, int width)
{
    if (at->column >= 0 && at->column + width <= at->area.columns)
        cells_put(at->cells, at->area, at->row, at->column, style, text, size);
    else if (at->column < 0 && at->column + width > 0) /* a wide one that is cut */
        cells_put_text(at->cells, at->area, at->row, 0, style, " ");
    at->column += width;
}

/* The kind of colour at a byte of the side's text; *at moves along the spans. */
static enum highlight kind_at(const struct hunk_side *side, size_t *at, uint32_t byte)
{
    while (*at < side->n_spans && side->spans[*at].text.end <= byte)
        (*at)++;
    return *at < side->n_spans && side->spans[*at].text.begin <= byte ? side->spans[*at].kind : HL_PLAIN;
}

static size_t first_span(const struct hunk_side *side, uint32_t byte)
{
    size_t low = 0, high = side->n_spans;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (side->spans[middle].text.end <= byte)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static size_t first_word(const struct diff_words *words, uint32_t line)
{
    size_t low = 0, high = words->n;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (words->at[middle].line < line)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void put_line(struct painted *at, const struct diff_line *line, const struct hunk_look *look, uint32_t in_hunk)
{
    struct slice text = line->text;
    while (text.size && (text.data[text.size - 1] == '\n' ||
                         (text.data[text.size - 1] == '\r' && text.size > 1 && line->text.size > text.size)))
        text.size--;
    static const struct hunk_look plain;
    look = look ? look : &plain;
    const struct hunk_side *side = &look->sides[line->kind != DIFF_DELETE];
    bool has_colors = side->n_spans != 0;
    uint32_t base = has_colors ? side->begins[in_hunk] : 0;
    size_t span = has_colors ? first_span(side, base) : 0;
    size_t word = !at->pane->hides_words ? first_word(&look->words, in_hunk) : 0;
    int origin = at->column;
    for (size_t byte = 0; byte < text.size && at->column < at->area.columns;) {
        int width;
        size_t taken = cells_next(text.data + byte, text.size - byte, at->cells->ascii_only, &width);
        enum ground ground = at->ground;
        enum style role = has_colors ? coloring_style(kind_at(side, &span, base + (uint32_t)byte)) : STYLE_TEXT;
        if (!at->pane->hides_words) {
            while (word < look->words.n && look->words.at[word].line == in_hunk && look->words.at[word].end <= byte)
                word++;
            if (word < look->words.n && look->words.at[word].line == in_hunk && look->words.at[word].begin <= byte)
                ground = line->kind == DIFF_ADD ? GROUND_ADDED_WORD : GROUND_DELETED_WORD;
        }
        if (text.data[byte] == '\t') {
            do
                put(at, style_on(role, ground), " ", 1, 1);
            while ((at->column - origin) % TAB_COLUMNS);
        } else {
            put(at, style_on(role, ground), text.data + byte, taken, width);
        }
        byte += taken;
    }
    if (at->ground != GROUND_NONE)
        cells_blank(at->cells, at->area, at->row, at->column > 0 ? at->column : 0, style_on(STYLE_TEXT, at->ground));
}

/* ---- rows ---- */

static enum ground ground_of(const struct diff_pane *pane, uint32_t number, bool is_chosen)
{
    const struct diff_line *line = &pane->shared->diff->lines[number];
    bool is_moved = pane->shared->moved && pane->shared->moved[number];
    if (is_chosen)
        return GROUND_CHOSEN;
    switch (line->kind) {
    case DIFF_ADD:
        return is_moved ? GROUND_MOVED_HERE : GROUND_ADDED;
    case DIFF_DELETE:
        return is_moved ? GROUND_MOVED_AWAY : GROUND_DELETED;
    default:
        return GROUND_NONE;
    }
}

static int digits(uint32_t number)
{
    int n = 1;
    while (number >= 10) {
        number /= 10;
        n++;
    }
    return n;
}

/* Columns of line numbers in a hunk's file. */
static int number_columns(const struct diff *diff, uint32_t file)
{
    const struct diff_file *at = &diff->files[file];
    if (!at->n_hunks)
        return 1;
    const struct diff_hunk *last = &diff->hunks[at->first_hunk + at->n_hunks - 1];
    uint32_t old_end = last->old_start + last->old_n, new_end = last->new_start + last->new_n;
    return digits(old_end > new_end ? old_end : new_end);
}

/* A number, "" for 0, right-aligned; returns the column behind it and a blank. */
static int put_number(struct cells *cells, struct area area, int row, int column, int columns, uint32_t number)
{
    char text[16];
    snprintf(text, sizeof text, "%*u", columns, (unsigned)number);
    if (number)
        cells_put_text(cells, area, row, column, STYLE_DIM, text);
    return column + columns + 1;
}

/* A line's sign, which says without colours what they say. */
static const char *sign_of(const struct diff_pane *pane, uint32_t number)
{
    const struct diff_line *line = &pane->shared->diff->lines[number];
    bool is_moved = pane->shared->moved && pane->shared->moved[number];
    return line->kind == DIFF_ADD ? is_moved ? ">" : "+" : line->kind == DIFF_DELETE ? is_moved ? "<" : "-" : " ";
}

static enum style sign_style(const char *sign)
{
    return *sign == '+' ? STYLE_YOU : *sign == '-' ? STYLE_ERROR : STYLE_ACCENT;
}

/* A line from column on: its sign and its text. */
static void put_signed(struct diff_pane *pane, struct cells *cells, struct area area, int row, int column,
                       uint32_t number, uint32_t hunk, bool is_chosen)
{
    const struct diff *diff = pane->shared->diff;
    const char *sign = sign_of(pane, number);
    enum ground ground = ground_of(pane, number, is_chosen);
    cells_put_text(cells, area, row, column, style_on(*sign == ' ' ? STYLE_TEXT : sign_style(sign), ground), sign);
    /* How unusual the line is, in four steps. */
    static const char *const heats[] = {" ", " ", ".", ":", "#"};
    const char *heat = heats[pane->heat ? pane->heat[number] : 0];
    cells_put_text(cells, area, row, column + 1, style_on(STYLE_WARN, ground), heat);
    column += 2;
    if (column >= area.columns)
        return;
    struct painted at = {.pane = pane, .cells = cells, .row = row, .column = -pane->shift, .ground = ground};
    at.area = (struct area){area.row, area.column + column, area.rows, area.columns - column};
    put_line(&at, &diff->lines[number], diff_pane_look(pane, hunk), number - diff->hunks[hunk].first_line);
}

static void draw_line(struct diff_pane *pane, struct cells *cells, struct area area, int at, const struct diff_row *row,
                      bool is_chosen)
{
    const struct diff *diff = pane->shared->diff;
    int columns = number_columns(diff, row->file), column = 1;
    if (!pane->is_side_by_side) {
        const struct diff_line *line = &diff->lines[row->left];
        if (area.columns >= NUMBERS_FROM_COLUMNS) {
            column = put_number(cells, area, at, column, columns, line->old_line);
            column = put_number(cells, area, at, column, columns, line->new_line);
        }
        put_signed(pane, cells, area, at, column, row->left, row->hunk, is_chosen);
        return;
    }
    int half = (area.columns - 1) / 2;
    bool has_numbers = half >= NUMBERS_FROM_COLUMNS / 2;
    struct area sides[2] = {{area.row, area.column, area.rows, half},
                            {area.row, area.column + half + 1, area.rows, area.columns - half - 1}};
    for (int side = 0; side < 2; side++) {
        uint32_t number = side ? row->right : row->left;
        column = side ? 0 : 1;
        if (number == DIFF_NO_LINE)
            continue;
        const struct diff_line *line = &diff->lines[number];
        if (has_numbers)
            column = put_number(cells, sides[side], at, column, columns, side ? line->new_line : line->old_line);
        put_signed(pane, cells, sides[side], at, column, number, row->hunk, is_chosen);
    }
    cells_put_text(cells, area, at, half, STYLE_RULE, cells->ascii_only ? "|" : "\u2502");
}

/* ---- headers ---- */

static void put_counts(struct cells *cells, struct area area, int row, int column, uint32_t n_added, uint32_t n_deleted)
{
    char added[16], deleted[16];
    snprintf(added, sizeof added, "+%u", (unsigned)n_added);
    snprintf(deleted, sizeof deleted, "-%u", (unsigned)n_deleted);
    int width = (n_added ? (int)strlen(added) : 0) + (n_deleted ? (int)strlen(deleted) : 0) + 1;
    int at = area.columns - width - 1;
    if (at <= column)
        return;
    if (n_added)
        at = cells_put_text(cells, area, row, at, STYLE_YOU, added) + 1;
    if (n_deleted)
        cells_put_text(cells, area, row, at, STYLE_ERROR, deleted);
}

static void draw_file(struct diff_pane *pane, struct cells *cells, struct area area, int at, const struct diff_row *row)
{
    const struct diff_file *file = &pane->shared->diff->files[row->file];
    char text[64];
    int column = cells_put_text(cells, area, at, 1, STYLE_STRONG, pane->is_folded[row->file] ? "> " : "v ");
    const char *path = diff_path(file);
    column = cells_put(cells, area, at, column, STYLE_STRONG, path, strlen(path));
    if (file->status == DIFF_RENAMED || file->status == DIFF_COPIED) {
        snprintf(text, sizeof text, "  %s %u %% from ", diff_status_name(file->status), (unsigned)file->similarity);
        column = cells_put_text(cells, area, at, column, STYLE_DIM, text);
        column = cells_put(cells, area, at, column, STYLE_DIM, file->old.path, strlen(file->old.path));
    } else if (file->status != DIFF_MODIFIED) {
        column = cells_put_text(cells, area, at, column, STYLE_DIM, "  ");
        column = cells_put_text(cells, area, at, column, STYLE_DIM, diff_status_name(file->status));
    }
    if (file->old.mode && file->new.mode && file->old.mode != file->new.mode) {
        snprintf(text, sizeof text, "  mode %o, was %o", (unsigned)file->new.mode, (unsigned)file->old.mode);
        column = cells_put_text(cells, area, at, column, STYLE_DIM, text);
    }
    put_counts(cells, area, at, column, file->n_added, file->n_deleted);
}

static const char *note_of(const struct diff_file *file)
{
    return file->status == DIFF_UNMERGED ? "in conflict: solve it in the worktree, then it can be staged"
           : file->is_submodule          ? "a submodule"
           : file->is_binary             ? "binary"
           : file->is_large              ? "too large to compare by lines"
           : file->status == DIFF_ADDED || file->status == DIFF_DELETED ? "empty"
                                                                        : "no line changed";
}

static void draw_hunk(struct diff_pane *pane, struct cells *cells, struct area area, int at, const struct diff_row *row)
{
    const struct diff *diff = pane->shared->diff;
    const struct diff_hunk *hunk = &diff->hunks[row->hunk];
    const struct diff_file *file = &diff->files[row->file];
    char text[96];
    snprintf(text, sizeof text, "@@ -%u,%u +%u,%u @@ ", (unsigned)hunk->old_start, (unsigned)hunk->old_n,
             (unsigned)hunk->new_start, (unsigned)hunk->new_n);
    int column = cells_put_text(cells, area, at, 1, STYLE_LINK, text);
    column = cells_put(cells, area, at, column, STYLE_TEXT, hunk->function.data, hunk->function.size);
    snprintf(text, sizeof text, "hunk %u/%u", (unsigned)(row->hunk - file->first_hunk + 1), (unsigned)file->n_hunks);
    if (column + 2 + (int)strlen(text) < area.columns)
        cells_put_text(cells, area, at, area.columns - (int)strlen(text) - 1, STYLE_DIM, text);
}

/* "! medium  title        confidence 0.71", and below it the detail. */
static void draw_finding(struct diff_pane *pane, struct cells *cells, struct area area, int at,
                         const struct diff_row *row)
{
    const struct review_finding *finding = &pane->review->findings[row->left];
    struct slice text = diff_pane_finding_row(pane, row->left, row->right);
    char confidence[32];
    if (row->right) {
        cells_put(cells, area, at, 4, STYLE_TEXT, text.data, text.size);
        return;
    }
    int column = cells_put_text(cells, area, at, 2, STYLE_WARN, "! ");
    column = cells_put_text(cells, area, at, column, STYLE_WARN, review_severity_name(finding->severity));
    column = cells_put_text(cells, area, at, column, STYLE_TEXT, "  ");
    column = cells_put(cells, area, at, column, STYLE_STRONG, text.data, text.size);
    snprintf(confidence, sizeof confidence, "confidence %.2f", finding->confidence);
    if (column + 2 + (int)strlen(confidence) < area.columns)
        cells_put_text(cells, area, at, area.columns - (int)strlen(confidence) - 1, STYLE_DIM, confidence);
}

static void draw_row(struct diff_pane *pane, struct cells *cells, struct area area, int at, size_t number,
                     bool has_focus)
{
    const struct diff_row *row = &pane->rows.at[number];
    size_t first = pane->has_anchor && pane->anchor < pane->cursor ? pane->anchor : pane->cursor;
    size_t last = pane->has_anchor && pane->anchor > pane->cursor ? pane->anchor : pane->cursor;
    bool is_chosen = number >= first && number <= last && has_focus;
    if (row->kind == DIFF_ROW_FILE)
        draw_file(pane, cells, area, at, row);
    else if (row->kind == DIFF_ROW_NOTE)
        cells_put_text(cells, area, at, 3, STYLE_DIM, note_of(&pane->shared->diff->files[row->file]));
    else if (row->kind == DIFF_ROW_HUNK)
        draw_hunk(pane, cells, area, at, row);
    else if (row->kind == DIFF_ROW_FINDING)
        draw_finding(pane, cells, area, at, row);
    else
        draw_line(pane, cells, area, at, row, is_chosen);
    if (is_chosen)
        cells_put_text(cells, area, at, 0, STYLE_ACCENT, pane->has_anchor ? "*" : ">");
}

/* ---- all of it ---- */

static const char *what_is_shown(const struct diff_pane *pane, char *text, size_t size)
{
    const char *to = pane->options.to ? pane->options.to : "", *from = pane->options.from ? pane->options.from : "";
    switch (pane->options.of) {
    case DIFF_STAGED:
        return "staged";
    case DIFF_WORKTREE:
        return "worktree";
    case DIFF_RANGE:
        snprintf(text, size, "%.60s..%.60s", from, to);
        return text;
    default:
        snprintf(text, size, "%.60s", to);
        return text;
    }
}

void diff_pane_title(const struct diff_pane *pane, char *left, size_t left_size, char *right, size_t right_size)
{
    char what[128];
    const char *shown = what_is_shown(pane, what, sizeof what);
    right[0] = 0;
    if (!pane->shared) {
        snprintf(left, left_size, "diff \u00b7 %s%s", shown, pane->is_reading ? "  reading..." : "");
        return;
    }
    const struct diff *diff = pane->shared->diff;
    uint64_t n_added = 0, n_deleted = 0;
    for (size_t i = 0; i < diff->n_files; i++) {
        n_added += diff->files[i].n_added;
        n_deleted += diff->files[i].n_deleted;
    }
    snprintf(left, left_size, "diff \u00b7 %s  %zu file%s, %zu hunk%s  +%llu -%llu%s%s", shown, diff->n_files,
             diff->n_files == 1 ? "" : "s", diff->n_hunks, diff->n_hunks == 1 ? "" : "s", (unsigned long long)n_added,
             (unsigned long long)n_deleted, pane->options.ignores_space ? "  white space ignored" : "",
             pane->is_reading ? "  reading..." : "");
    if (pane->rows.n)
        snprintf(right, right_size, "%zu/%zu", pane->cursor + 1, pane->rows.n);
}

void diff_pane_draw(struct diff_pane *pane, struct cells *cells, struct area area, bool has_focus)
{
    pane->height = area.rows;
    if (area.rows <= 0)
        return;
    if (pane->trouble[0]) {
        cells_put_text(cells, area, 0, 1, STYLE_ERROR, pane->trouble);
        return;
    }
    if (!pane->shared || !pane->rows.n) {
        cells_put_text(cells, area, 0, 1, STYLE_DIM,
                       !pane->shared                       ? "reading what changed..."
                       : pane->options.of == DIFF_WORKTREE ? "Nothing changed in the worktree. t shows what is staged."
                       : pane->options.of == DIFF_STAGED   ? "Nothing is staged. t shows the worktree's changes."
                                                           : "No differences.");
        return;
    }
    size_t height = (size_t)area.rows;
    if (pane->top + height > pane->rows.n)
        pane->top = pane->rows.n > height ? pane->rows.n - height : 0;
    if (pane->cursor < pane->top)
        pane->top = pane->cursor;
    if (pane->cursor >= pane->top + height)
        pane->top = pane->cursor - height + 1;
    for (int i = 0; i < area.rows && pane->top + (size_t)i < pane->rows.n; i++)
        draw_row(pane, cells, area, i, pane->top + (size_t)i, has_focus);
}
