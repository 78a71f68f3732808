/* view: a document wrapped to a width, scrolled, searched and drawn: the second half of doc.h. */
#include <stdlib.h>
#include <string.h>

#include "ui/doc.h"

enum { QUOTE_COLUMNS = 2, LEAST_TEXT = 4 };

void view_deinit(struct view *view)
{
    free(view->rows);
    buffer_deinit(&view->pattern);
    *view = (struct view){0};
}

/* ---- wrapping ---- */

/* Columns that stand before the text of a row; at least a few are left for the text. */
static int before_text(const struct doc_format *format, bool is_first, int columns)
{
    int before = format->quote * QUOTE_COLUMNS + (is_first ? format->indent : format->hang);
    int most = columns - LEAST_TEXT;
    return before <= most ? before : most > 0 ? most : 0;
}

static bool add_row(struct view *view, struct view_row row)
{
    if (view->n_rows == view->capacity) {
        size_t wanted = view->capacity ? view->capacity * 2 : 256;
        struct view_row *rows = realloc(view->rows, wanted * sizeof *rows);
        if (!rows)
            return false;
        view->rows = rows;
        view->capacity = wanted;
    }
    view->rows[view->n_rows++] = row;
    return true;
}

/* The bytes of a row that begins with text, and those to be passed over before the next. */
static size_t row_size(const char *text, size_t size, int columns, const struct doc *doc, bool keeps, size_t *skipped)
{
    size_t at = 0, last_break = 0, break_skip = 0;
    int column = 0;
    *skipped = 0;
    while (at < size) {
        int width;
        size_t taken = cells_next(text + at, size - at, doc->ascii_only, &width);
        bool is_space = text[at] == ' ';
        if (column + width > columns && !(is_space && !keeps)) {
            if (at == 0)
                return taken; /* wider than the row: it goes alone */
            if (keeps || !last_break)
                return at;
            *skipped = break_skip;
            return last_break;
        }
        if (is_space && at > 0 && text[at - 1] != ' ') {
            last_break = at;
            break_skip = 0;
        }
        if (is_space && last_break)
            break_skip = at + 1 - last_break;
        column += width;
        at += taken;
        if (width == 2 && !is_space) { /* between wide characters */
            last_break = at;
            break_skip = 0;
        }
    }
    return at;
}

static bool wrap_line(struct view *view, const struct doc *doc, size_t index)
{
    const struct doc_line *line = &doc->lines[index];
    bool is_first = true;
    size_t at = line->begin;
    do {
        int columns = view->columns - before_text(&line->format, is_first, view->columns);
        size_t skipped, size = row_size(doc->text.data ? doc->text.data + at : "", line->end - at,
                                        columns > 0 ? columns : 1, doc, line->format.keeps, &skipped);
        if (line->format.is_rule || line->format.is_one_row) {
            size = line->end - at;
            skipped = 0;
        }
        struct view_row row = {index, at, at + size, line->stamp, is_first};
        if (!add_row(view, row))
            return false;
        at += size + skipped;
        is_first = false;
    } while (at < line->end);
    return true;
}

/* The first row that begins at or behind a byte of a line. */
static size_t find_row(const struct view *view, size_t line, size_t byte)
{
    size_t low = 0, high = view->n_rows;
    while (low < high) {
        size_t middle = (low + high) / 2;
        const struct view_row *row = &view->rows[middle];
        if (row->line < line || (row->line == line && row->end <= byte && row->end > row->begin))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static size_t last_top(const struct view *view)
{
    size_t height = view->height > 0 ? (size_t)view->height : 0;
    return view->n_rows > height ? view->n_rows - height : 0;
}

enum status view_update(struct view *view, const struct doc *doc, int columns, int height, struct error *error)
{
    struct view_row top = {0}, cursor = {0};
    bool is_new = view->columns != columns;
    if (is_new && view->top < view->n_rows)
        top = view->rows[view->top];
    if (is_new && view->cursor < view->n_rows)
        cursor = view->rows[view->cursor];
    if (is_new)
        view->n_rows = 0;
    view->columns = columns;
    view->height = height;
    while (view->n_rows) {
        const struct view_row *row = &view->rows[view->n_rows - 1];
        if (row->line < doc->n_lines && doc->lines[row->line].stamp == row->stamp)
            break;
        view->n_rows--;
    }
    size_t line = view->n_rows ? view->rows[view->n_rows - 1].line + 1 : 0;
    for (; line < doc->n_lines; line++)
        if (!wrap_line(view, doc, line))
            return error_set(error, STATUS_MEMORY, "out of memory");
    if (is_new) {
        view->top = find_row(view, top.line, top.begin);
        view->cursor = find_row(view, cursor.line, cursor.begin);
    }
    if (view->follows || view->top > last_top(view))
        view->top = last_top(view);
    if (view->cursor >= view->n_rows)
        view->cursor = view->n_rows ? view->n_rows - 1 : 0;
    return STATUS_OK;
}

/* ---- scrolling ---- */

bool view_is_at_end(const struct view *view)
{
    return view->top >= last_top(view);
}

void view_scroll(struct view *view, int64_t rows)
{
    size_t last = last_top(view);
    if (rows < 0)
        view->top -= (uint64_t)-rows < view->top ? (size_t)-rows : view->top;
    else
        view->top = last - view->top > (uint64_t)rows && view->top < last ? view->top + (size_t)rows : last;
    view->follows = rows > 0 ? view->top >= last : false;
}

void view_move(struct view *view, int64_t rows)
{
    if (!view->has_cursor) {
        view_scroll(view, rows);
        return;
    }
    size_t last = view->n_rows ? view->n_rows - 1 : 0;
    if (rows < 0)
        view->cursor -= (uint64_t)-rows < view->cursor ? (size_t)-rows : view->cursor;
    else
        view->cursor = last - view->cursor > (uint64_t)rows ? view->cursor + (size_t)rows : last;
    size_t height = view->height > 0 ? (size_t)view->height : 1;
    if (view->cursor < view->top)
        view->top = view->cursor;
    if (view->cursor >= view->top + height)
        view->top = view->cursor + 1 - height;
}

void view_to_line(struct view *view, size_t line)
{
    size_t row = find_row(view, line, 0), last = last_top(view);
    view->top = row < last ? row : last;
    view->follows = false;
    view->cursor = row < view->n_rows ? row : view->cursor;
}

void view_show_line(struct view *view, size_t line)
{
    size_t row = find_row(view, line, 0), height = view->height > 0 ? (size_t)view->height : 1;
    size_t last = last_top(view);
    if (row >= view->n_rows)
        return;
    view->cursor = row;
    if (row >= view->top && row < view->top + height)
        return;
    view->top = row > height / 3 ? row - height / 3 : 0;
    view->top = view->top < last ? view->top : last;
    view->follows = false;
}

static size_t line_at(const struct view *view, size_t row)
{
    if (row < view->n_rows)
        return view->rows[row].line;
    return view->n_rows ? view->rows[view->n_rows - 1].line : 0;
}

size_t view_top_line(const struct view *view)
{
    return line_at(view, view->top);
}

size_t view_cursor_line(const struct view *view)
{
    return line_at(view, view->cursor);
}

/* ---- searching ---- */

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

size_t text_find(const char *text, size_t size, const char *pattern, size_t pattern_size)
{
    bool is_exact = false;
    for (size_t i = 0; i < pattern_size; i++)
        is_exact = is_exact || (pattern[i] >= 'A' && pattern[i] <= 'Z');
    if (pattern_size == 0 || pattern_size > size)
        return SIZE_MAX;
    for (size_t at = 0; at + pattern_size <= size; at++) {
        size_t i = 0;
        while (i < pattern_size && (text[at + i] == pattern[i] || (!is_exact && lower(text[at + i]) == pattern[i])))
            i++;
        if (i == pattern_size)
            return at;
    }
    return SIZE_MAX;
}

void view_set_pattern(struct view *view, const char *text, size_t size)
{
    buffer_clear(&view->pattern);
    buffer_append(&view->pattern, text, size);
    view->has_match = false;
}

bool view_search(struct view *view, const struct doc *doc, int direction)
{
    if (doc->n_lines == 0 || view->pattern.size == 0)
        return false;
    size_t line = view->has_match && view->match_line < doc->n_lines ? view->match_line
                  : view->has_cursor                                 ? view_cursor_line(view)
                                                                     : view_top_line(view);
    bool skips = view->has_match;
    for (size_t i = 0; i <= doc->n_lines; i++) {
        struct slice text = doc_line_text(doc, line);
        if (!(i == 0 && skips) && text_find(text.data, text.size, view->pattern.data, view->pattern.size) != SIZE_MAX) {
            view->has_match = true;
            view->match_line = line;
            view_show_line(view, line);
            return true;
        }
        line = direction > 0 ? (line + 1) % doc->n_lines : (line + doc->n_lines - 1) % doc->n_lines;
    }
    return false;
}

/* ---- drawing ---- */

/* Marks what was searched for in the row that has been drawn from `column` on. */
static void mark_matches(const struct view *view, const struct doc *doc, struct cells *cells, struct area area, int row,
                         int column, struct slice text)
{
    for (size_t at = 0; view->pattern.size && at < text.size;) {
        size_t found = text_find(text.data + at, text.size - at, view->pattern.data, view->pattern.size);
        if (found == SIZE_MAX)
            return;
        int from = column + cells_width(text.data, at + found, doc->ascii_only);
        cells_restyle(cells, area, row, from, cells_width(text.data + at + found, view->pattern.size, doc->ascii_only),
                      STYLE_MATCH);
        at += found + view->pattern.size;
    }
}

/* The span that holds a byte, or the one behind it. */
static size_t find_span(const struct doc *doc, const struct doc_line *line, size_t byte)
{
    size_t low = line->first_span, high = doc->n_spans;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (doc->spans[middle].end <= byte)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void draw_row(const struct view *view, const struct doc *doc, struct cells *cells, struct area area, int at,
                     const struct view_row *row)
{
    const struct doc_line *line = &doc->lines[row->line];
    int column = 0, start = before_text(&line->format, row->is_first, view->columns);
    for (int i = 0; i < line->format.quote && column + 1 < start; i++, column += QUOTE_COLUMNS)
        cells_put_text(cells, area, at, column, STYLE_RULE, cells->ascii_only ? "|" : "\xe2\x94\x82");
    column = start;
    size_t byte = row->begin;
    for (size_t i = find_span(doc, line, byte); byte < row->end && i < doc->n_spans; i++) {
        size_t end = doc->spans[i].end < row->end ? doc->spans[i].end : row->end;
        column = cells_put(cells, area, at, column, doc->spans[i].style, doc->text.data + byte, end - byte);
        byte = end;
    }
    struct slice text = {doc->text.data ? doc->text.data + row->begin : "", row->end - row->begin};
    if (line->format.is_rule) {
        column += column > start;
        cells_rule(cells, area, at, column, area.columns - column, line->format.rule_style);
    }
    mark_matches(view, doc, cells, area, at, start, text);
}

void view_draw(const struct view *view, const struct doc *doc, struct cells *cells, struct area area)
{
    for (int at = 0; at < area.rows; at++) {
        size_t row = view->top + (size_t)at;
        cells_blank(cells, area, at, 0, STYLE_TEXT);
        if (row >= view->n_rows || view->rows[row].line >= doc->n_lines)
            continue;
        draw_row(view, doc, cells, area, at, &view->rows[row]);
        if (view->has_cursor && row == view->cursor)
            cells_restyle(cells, area, at, 0, area.columns, STYLE_CHOSEN);
    }
}
