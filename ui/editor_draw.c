/* editor_draw: a text on the screen; see editor.h. */
#include <stdio.h>
#include <string.h>

#include "ui/doc.h"
#include "ui/editor.h"

enum { TAB = 4, GUTTER_FROM_COLUMNS = 30, GUTTER_LEAST = 4 };

static int tab_width(int column)
{
    return TAB - column % TAB;
}

int editor_step(const struct text *text, size_t at, int column)
{
    int width;
    cells_next(text_bytes(text) + at, text_next(text, at) - at, false, &width);
    return column + (text->bytes.data[at] == '\t' ? tab_width(column) : width);
}

int editor_column(const struct text *text, size_t at)
{
    int column = 0;
    for (size_t here = text_line_begin(text, text_line_of(text, at)); here < at; here = text_next(text, here))
        column = editor_step(text, here, column);
    return column;
}

/* ---- what is seen ---- */

static int gutter(const struct editor *editor, int columns)
{
    char last[32];
    int digits = snprintf(last, sizeof last, "%zu", editor->text.n_lines);
    digits = digits < GUTTER_LEAST ? GUTTER_LEAST : digits;
    return columns >= GUTTER_FROM_COLUMNS ? digits + 1 : 0;
}

void editor_place(struct editor *editor, int rows, int columns, size_t *begin, size_t *end)
{
    const struct text *text = &editor->text;
    size_t line = text_line_of(text, editor->cursor), height = rows > 0 ? (size_t)rows : 1;
    int column = editor_column(text, editor->cursor), width = columns - gutter(editor, columns);
    width = width > 1 ? width : 1;
    editor->rows = rows;
    editor->columns = columns;
    if (line < editor->top)
        editor->top = line;
    else if (line >= editor->top + height)
        editor->top = line + 1 - height;
    size_t last_top = text->n_lines > height ? text->n_lines - height : 0;
    if (editor->top > last_top)
        editor->top = last_top; /* no room is left empty behind the end */
    /* Sideways in steps, so that not every letter moves the whole. */
    if (column < editor->left || column >= editor->left + width) {
        editor->left = column >= width ? column - width * 2 / 3 : 0;
    }
    size_t last = editor->top + height;
    *begin = text_line_begin(text, editor->top);
    *end = last < text->n_lines ? text_line_begin(text, last) : text->bytes.size;
}

/* ---- drawing ---- */

/* One row that is being drawn: the column is the line's, before it is scrolled. */
struct drawing {
    struct cells *cells;
    struct area area; /* without the gutter */
    int row, column, left;
};

static void put(struct drawing *drawing, enum style style, const char *bytes, size_t size)
{
    size_t at = 0;
    while (at < size && drawing->column - drawing->left < drawing->area.columns) {
        int width;
        size_t taken = cells_next(bytes + at, size - at, drawing->cells->ascii_only, &width);
        bool is_tab = bytes[at] == '\t';
        if (is_tab)
            width = tab_width(drawing->column);
        int column = drawing->column - drawing->left;
        drawing->column += width;
        if (column >= 0 && !is_tab)
            cells_put(drawing->cells, drawing->area, drawing->row, column, style, bytes + at, taken);
        at += taken;
    }
}

/* Bytes of the text from begin to end, each in the style of its span. */
static void put_styled(struct drawing *drawing, const struct editor *editor, const struct editor_look *look,
                       size_t begin, size_t end)
{
    const char *bytes = text_bytes(&editor->text);
    size_t low = 0, high = look->n_spans;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (look->spans[middle].end <= begin)
            low = middle + 1;
        else
            high = middle;
    }
    for (; low < look->n_spans && look->spans[low].begin < end; low++) {
        size_t from = look->spans[low].begin > begin ? look->spans[low].begin : begin;
        size_t to = look->spans[low].end < end ? look->spans[low].end : end;
        put(drawing, STYLE_TEXT, bytes + begin, from - begin);
        put(drawing, look->spans[low].style, bytes + from, to - from);
        begin = to;
    }
    put(drawing, STYLE_TEXT, bytes + begin, end - begin);
}

static void mark_matches(const struct editor *editor, const struct drawing *drawing, size_t line)
{
    const struct text *text = &editor->text;
    const struct buffer *pattern = &editor->pattern;
    size_t begin = text_line_begin(text, line), end = text_line_end(text, line), from = begin, at;
    if (pattern->size == 0 || end - begin > 4096)
        return;
    while ((at = text_find(text_bytes(text) + from, end - from, pattern->data, pattern->size)) != SIZE_MAX) {
        int first = editor_column(text, from + at), last = editor_column(text, from + at + pattern->size);
        first -= drawing->left;
        last -= drawing->left;
        first = first > 0 ? first : 0;
        if (last > first)
            cells_restyle(drawing->cells, drawing->area, drawing->row, first, last - first, STYLE_MATCH);
        from += at + pattern->size;
    }
}

static void draw_number(struct cells *cells, struct area area, int row, int width, size_t line, bool is_current)
{
    char number[32];
    if (width == 0)
        return;
    snprintf(number, sizeof number, "%*zu", width - 1, line + 1);
    cells_put_text(cells, area, row, 0, is_current ? STYLE_ACCENT : STYLE_RULE, number);
}

/* The ghost's first line, which stands within the cursor's; returns the bytes behind its newline. */
static struct slice put_ghost(struct drawing *drawing, struct slice ghost)
{
    const char *newline = ghost.size ? memchr(ghost.data, '\n', ghost.size) : NULL;
    size_t size = newline ? (size_t)(newline - ghost.data) : ghost.size, skipped = size + (newline != NULL);
    if (size && ghost.data[size - 1] == '\r')
        size--;
    put(drawing, STYLE_DIM, ghost.data, size);
    return (struct slice){ghost.data + skipped, ghost.size - skipped};
}

static void draw_ghost_rows(struct drawing *drawing, struct slice ghost, const char *bar)
{
    while (ghost.size && ++drawing->row < drawing->area.rows) {
        struct area whole = drawing->area;
        cells_blank(drawing->cells, whole, drawing->row, 0, STYLE_TEXT);
        drawing->column = 0;
        ghost = put_ghost(drawing, ghost);
        /* A sign beside it, as dim alone may not be seen. */
        whole.column -= 1;
        whole.columns = 1;
        cells_put_text(drawing->cells, whole, drawing->row, 0, STYLE_DIM, bar);
    }
}

static void draw_line(const struct editor *editor, const struct editor_look *look, struct drawing *drawing, size_t line)
{
    const struct text *text = &editor->text;
    size_t begin = text_line_begin(text, line), end = text_line_end(text, line), cursor = editor->cursor;
    bool has_cursor = cursor >= begin && cursor <= end;
    drawing->column = 0;
    if (!has_cursor || !look->has_focus) {
        put_styled(drawing, editor, look, begin, end);
        mark_matches(editor, drawing, line);
        return;
    }
    put_styled(drawing, editor, look, begin, cursor);
    int column = drawing->column - drawing->left;
    struct slice rest = {0};
    if (look->ghost.size)
        rest = put_ghost(drawing, look->ghost);
    put_styled(drawing, editor, look, cursor, end);
    mark_matches(editor, drawing, line);
    if (column >= 0 && column < drawing->area.columns) {
        drawing->cells->cursor_row = drawing->area.row + drawing->row;
        drawing->cells->cursor_column = drawing->area.column + column;
    }
    draw_ghost_rows(drawing, rest, drawing->cells->ascii_only ? "|" : "\xe2\x94\x8a");
}

void editor_draw(const struct editor *editor, const struct editor_look *look, struct cells *cells, struct area area)
{
    const struct text *text = &editor->text;
    int width = gutter(editor, area.columns);
    size_t current = text_line_of(text, editor->cursor);
    struct drawing drawing = {.cells = cells, .area = area, .left = editor->left};
    drawing.area.column += width;
    drawing.area.columns -= width;
    for (int row = 0; row < area.rows; row++)
        cells_blank(cells, area, row, 0, STYLE_TEXT);
    size_t line = editor->top;
    for (; drawing.row < area.rows && line < text->n_lines; drawing.row++, line++) {
        bool is_last_empty = line + 1 == text->n_lines && line > 0 && text_line_begin(text, line) == text->bytes.size;
        if (is_last_empty && current != line)
            break;
        draw_number(cells, area, drawing.row, width, line, line == current && look->has_focus);
        draw_line(editor, look, &drawing, line);
    }
}
