/* cells: see cells.h. */
#include "ui/cells.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "ui/visible.h"

/* ---- one character at a time ---- */

/* What a few bytes of text come to: a character with what combines, or a mark of several ASCII characters. */
struct glyph {
    uint32_t code[3];
    int width;     /* of the character, or the mark's length */
    char mark[12]; /* empty: a character */
};

static bool is_emoji(uint32_t code)
{
    return code >= 0x1f000 || (code >= 0x2190 && code <= 0x2bff);
}

/* Code points of no width that a terminal puts into the cell before. */
static bool combines(uint32_t code)
{
    utf8proc_category_t category = utf8proc_category((utf8proc_int32_t)code);
    if (category == UTF8PROC_CATEGORY_MN || category == UTF8PROC_CATEGORY_ME)
        return true;
    return code == 0x200c || code == 0x200d || (code >= 0x1160 && code <= 0x11ff);
}

static bool is_selector(uint32_t code)
{
    return (code >= 0xfe00 && code <= 0xfe0f) || (code >= 0xe0100 && code <= 0xe01ef);
}

/* U+FFFD, or its stand-in. */
static void set_bad(struct glyph *glyph, bool ascii_only)
{
    *glyph = (struct glyph){.code = {ascii_only ? '?' : 0xfffd}, .width = 1};
}

static void set_mark(struct glyph *glyph, uint32_t code)
{
    *glyph = (struct glyph){0};
    if (code < 0x20 || code == 0x7f)
        glyph->width = snprintf(glyph->mark, sizeof glyph->mark, "^%c", (int)(code ^ 0x40));
    else
        glyph->width = snprintf(glyph->mark, sizeof glyph->mark, "<U+%04X>", (unsigned)code);
}

/* Adds what combines with the glyph's character; returns the bytes taken. */
static size_t take_combining(const char *text, size_t size, struct glyph *glyph)
{
    size_t at = 0;
    for (size_t n = 1;;) {
        uint32_t code;
        int length = utf8_decode(text + at, size - at, &code);
        if (length <= 0 || code < 0x300)
            return at;
        bool is_left_out = is_selector(code) || ((code == 0x200d || code == 0x200c) && is_emoji(glyph->code[0]));
        if (!is_left_out &&
            (visible_is_hidden(code) || utf8proc_charwidth((utf8proc_int32_t)code) != 0 || !combines(code)))
            return at;
        if (!is_left_out && n < sizeof glyph->code / sizeof *glyph->code)
            glyph->code[n++] = code;
        at += (size_t)length;
    }
}

static size_t take(const char *text, size_t size, bool ascii_only, struct glyph *glyph)
{
    unsigned char first = (unsigned char)*text;
    *glyph = (struct glyph){.code = {first}, .width = 1};
    if (first == '\n' || first == '\t')
        glyph->code[0] = ' ';
    else if (first < 0x20 || first == 0x7f)
        set_mark(glyph, first);
    if (first < 0x80)
        return !ascii_only && !*glyph->mark && size > 1 && (unsigned char)text[1] >= 0xcc
                   ? 1 + take_combining(text + 1, size - 1, glyph)
                   : 1;
    uint32_t code = 0;
    int length = utf8_decode(text, size, &code);
    if (length <= 0) {
        set_bad(glyph, ascii_only);
        return length < 0 ? (size_t)-length : size;
    }
    if (visible_is_hidden(code) || ascii_only) {
        set_mark(glyph, code);
        return (size_t)length;
    }
    int width = utf8proc_charwidth((utf8proc_int32_t)code);
    if (width <= 0 && (combines(code) || is_selector(code))) /* nothing stands before it */
        *glyph = (struct glyph){.code = {' ', is_selector(code) ? 0 : code}, .width = 1};
    else if (width <= 0 || width > 2)
        set_bad(glyph, false);
    else
        *glyph = (struct glyph){.code = {code}, .width = width};
    return (size_t)length + take_combining(text + length, size - (size_t)length, glyph);
}

size_t cells_next(const char *text, size_t size, bool ascii_only, int *width)
{
    struct glyph glyph;
    *width = 0;
    if (size == 0)
        return 0;
    size_t taken = take(text, size, ascii_only, &glyph);
    *width = glyph.width;
    return taken;
}

int cells_width(const char *text, size_t size, bool ascii_only)
{
    int64_t columns = 0;
    for (size_t at = 0; at < size;) {
        int width;
        at += cells_next(text + at, size - at, ascii_only, &width);
        columns += width;
    }
    return columns > INT32_MAX ? INT32_MAX : (int)columns;
}

/* ---- the grid ---- */

static const struct cell blank = {.code = {' '}, .width = 1};

enum status cells_resize(struct cells *cells, int rows, int columns, struct error *error)
{
    rows = rows < 1 ? 1 : rows > CELLS_MOST ? CELLS_MOST : rows;
    columns = columns < 1 ? 1 : columns > CELLS_MOST ? CELLS_MOST : columns;
    struct cell *at = malloc((size_t)rows * (size_t)columns * sizeof *at);
    if (!at)
        return error_set(error, STATUS_MEMORY, "out of memory");
    free(cells->at);
    cells->at = at;
    cells->rows = rows;
    cells->columns = columns;
    cells_clear(cells);
    return STATUS_OK;
}

void cells_deinit(struct cells *cells)
{
    free(cells->at);
    *cells = (struct cells){0};
}

void cells_clear(struct cells *cells)
{
    for (int i = 0; i < cells->rows * cells->columns; i++)
        cells->at[i] = blank;
    cells->cursor_row = cells->cursor_column = -1;
}

struct area cells_area(const struct cells *cells)
{
    return (struct area){0, 0, cells->rows, cells->columns};
}

/* The cell at a place of the area, or NULL where it is outside. */
static struct cell *cell_at(struct cells *cells, struct area area, int row, int column)
{
    if (row < 0 || row >= area.rows || column < 0 || column >= area.columns)
        return NULL;
    row += area.row;
    column += area.column;
    if (row < 0 || row >= cells->rows || column < 0 || column >= cells->columns)
        return NULL;
    return &cells->at[row * cells->columns + column];
}

/* The other half of a wide character that is about to lose one. */
static void part(struct cells *cells, struct cell *cell)
{
    ptrdiff_t column = (cell - cells->at) % cells->columns;
    if (cell->width == 2 && column + 1 < cells->columns)
        cell[1] = (struct cell){.code = {' '}, .style = cell->style, .width = 1};
    if (cell->width == 0 && column > 0)
        cell[-1] = (struct cell){.code = {' '}, .style = cell->style, .width = 1};
}

static void set(struct cells *cells, struct cell *cell, struct cell value)
{
    part(cells, cell);
    *cell = value;
}

static int put_glyph(struct cells *cells, struct area area, int row, int column, enum style style,
                     const struct glyph *glyph)
{
    struct cell *cell;
    if (*glyph->mark) {
        for (int i = 0; i < glyph->width; i++)
            if ((cell = cell_at(cells, area, row, column + i)))
                set(cells, cell,
                    (struct cell){.code = {(unsigned char)glyph->mark[i]}, .style = (uint8_t)style, .width = 1});
        return column + glyph->width;
    }
    cell = cell_at(cells, area, row, column);
    struct cell *second = glyph->width == 2 ? cell_at(cells, area, row, column + 1) : NULL;
    if (cell && glyph->width == 2 && !second) {
        set(cells, cell, (struct cell){.code = {' '}, .style = (uint8_t)style, .width = 1});
    } else if (cell) {
        if (second)
            part(cells, second);
        set(cells, cell,
            (struct cell){.code = {glyph->code[0], glyph->code[1], glyph->code[2]},
                          .style = (uint8_t)style,
                          .width = (uint8_t)glyph->width});
        if (second)
            *second = (struct cell){.style = (uint8_t)style};
    } else if (second) { /* the first half lies outside */
        set(cells, second, (struct cell){.code = {' '}, .style = (uint8_t)style, .width = 1});
    }
    return column + glyph->width;
}

int cells_put(struct cells *cells, struct area area, int row, int column, enum style style, const char *text,
              size_t size)
{
    for (size_t at = 0; at < size && column < area.columns;) {
        struct glyph glyph;
        at += take(text + at, size - at, cells->ascii_only, &glyph);
        column = put_glyph(cells, area, row, column, style, &glyph);
    }
    return column;
}

int cells_put_text(struct cells *cells, struct area area, int row, int column, enum style style, const char *text)
{
    return cells_put(cells, area, row, column, style, text, strlen(text));
}

static void repeat(struct cells *cells, struct area area, int row, int column, int columns, struct cell value)
{
    for (int i = column < 0 ? 0 : column; i < column + columns && i < area.columns; i++) {
        struct cell *cell = cell_at(cells, area, row, i);
        if (cell)
            set(cells, cell, value);
    }
}

void cells_blank(struct cells *cells, struct area area, int row, int column, enum style style)
{
    repeat(cells, area, row, column, area.columns, (struct cell){.code = {' '}, .style = (uint8_t)style, .width = 1});
}

void cells_rule(struct cells *cells, struct area area, int row, int column, int columns, enum style style)
{
    repeat(cells, area, row, column, columns,
           (struct cell){.code = {cells->ascii_only ? '-' : 0x2500}, .style = (uint8_t)style, .width = 1});
}

void cells_bar(struct cells *cells, struct area area, int column, enum style style)
{
    for (int row = 0; row < area.rows; row++)
        repeat(cells, area, row, column, 1,
               (struct cell){.code = {cells->ascii_only ? '|' : 0x2502}, .style = (uint8_t)style, .width = 1});
}

void cells_restyle(struct cells *cells, struct area area, int row, int column, int columns, enum style style)
{
    for (int i = column; i < column + columns && i < area.columns; i++) {
        struct cell *cell = cell_at(cells, area, row, i);
        if (cell)
            cell->style = (uint8_t)style;
    }
}
