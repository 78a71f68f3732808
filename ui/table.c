/* table: see table.h. */
#include "ui/table.h"

#include <stdlib.h>
#include <string.h>

#include "ui/visible.h"

enum { MOST_COLUMNS = 64, LEAST_WIDTH = 3, GAP = 2 };

void table_clear(struct table *table)
{
    buffer_clear(&table->text);
    table->n = table->n_rows = table->n_columns = table->column = 0;
}

void table_deinit(struct table *table)
{
    buffer_deinit(&table->text);
    free(table->cells);
    *table = (struct table){0};
}

void table_begin_row(struct table *table)
{
    table->n_rows++;
    table->column = 0;
}

void table_begin_cell(struct table *table, enum table_align align, bool is_head)
{
    if (table->n == table->capacity) {
        size_t wanted = table->capacity ? table->capacity * 2 : 64;
        struct table_cell *cells = realloc(table->cells, wanted * sizeof *cells);
        if (!cells) {
            table->text.failed = true;
            return;
        }
        table->cells = cells;
        table->capacity = wanted;
    }
    size_t at = table->text.size;
    table->cells[table->n++] = (struct table_cell){.begin = at,
                                                   .end = at,
                                                   .row = table->n_rows ? table->n_rows - 1 : 0,
                                                   .column = table->column++,
                                                   .align = align,
                                                   .style = is_head ? STYLE_STRONG : STYLE_TEXT,
                                                   .is_head = is_head};
    if (table->column > table->n_columns)
        table->n_columns = table->column;
}

void table_add(struct table *table, enum style style, const char *text, size_t size)
{
    if (table->n == 0 || table->text.failed)
        return;
    struct table_cell *cell = &table->cells[table->n - 1];
    if (cell->begin == cell->end && !cell->is_head)
        cell->style = style;
    size_t begin = table->text.size;
    visible_append(&table->text, text, size, false);
    for (size_t i = begin; i < table->text.size; i++)
        if (table->text.data[i] == '\n' || table->text.data[i] == '\t')
            table->text.data[i] = ' ';
    cell->end = table->text.size;
}

/* ---- laying it out ---- */

/* What each column wants, and where that is too much, less of the widest. */
static void choose_widths(const struct table *table, int columns, bool ascii_only, int widths[MOST_COLUMNS])
{
    int n = table->n_columns < MOST_COLUMNS ? (int)table->n_columns : MOST_COLUMNS, total = 0;
    for (int i = 0; i < n; i++)
        widths[i] = 1;
    for (size_t i = 0; i < table->n; i++) {
        const struct table_cell *cell = &table->cells[i];
        if (cell->column >= MOST_COLUMNS)
            continue;
        int width =
            cells_width(table->text.data ? table->text.data + cell->begin : "", cell->end - cell->begin, ascii_only);
        width = width < CELLS_MOST ? width : CELLS_MOST;
        if (width > widths[cell->column])
            widths[cell->column] = width;
    }
    for (int i = 0; i < n; i++)
        total += widths[i] + (i ? GAP : 0);
    while (total > columns) {
        int widest = 0;
        for (int i = 1; i < n; i++)
            if (widths[i] > widths[widest])
                widest = i;
        if (widths[widest] <= LEAST_WIDTH)
            return;
        widths[widest]--;
        total--;
    }
}

/* The next line of a cell: at most width columns, cut between words where there are some. */
static struct slice next_part(struct slice *rest, int width, bool ascii_only)
{
    size_t at = 0, last_space = 0;
    int column = 0;
    while (at < rest->size) {
        int columns;
        size_t taken = cells_next(rest->data + at, rest->size - at, ascii_only, &columns);
        if (rest->data[at] == ' ')
            last_space = at;
        if (column + columns > width && at > 0)
            break;
        column += columns;
        at += taken;
    }
    if (at < rest->size && last_space)
        at = last_space;
    struct slice part = {rest->data, at};
    while (at < rest->size && rest->data[at] == ' ')
        at++;
    *rest = (struct slice){rest->data + at, rest->size - at};
    return part;
}

static void add_blanks(struct doc *doc, int n)
{
    for (; n > 0; n--)
        doc_add_text(doc, STYLE_TEXT, " ");
}

static void draw_part(struct doc *doc, const struct table_cell *cell, struct slice part, int width, bool is_last)
{
    int free_columns = width - cells_width(part.data, part.size, doc->ascii_only);
    int before = cell->align == TABLE_RIGHT ? free_columns : cell->align == TABLE_CENTER ? free_columns / 2 : 0;
    add_blanks(doc, before);
    doc_add(doc, cell->style, part.data, part.size);
    if (!is_last)
        add_blanks(doc, free_columns - before + GAP);
}

/* The cells [first, first + n) of one row, on as many lines as the longest takes. */
static void draw_row(const struct table *table, size_t first, size_t n, const int *widths, struct doc_format format,
                     struct doc *doc)
{
    struct slice rest[MOST_COLUMNS];
    bool has_more = true;
    n = n < MOST_COLUMNS ? n : MOST_COLUMNS;
    for (size_t i = 0; i < n; i++)
        rest[i] = (struct slice){table->text.data ? table->text.data + table->cells[first + i].begin : "",
                                 table->cells[first + i].end - table->cells[first + i].begin};
    while (has_more) {
        has_more = false;
        doc_begin(doc, format);
        for (size_t i = 0; i < n; i++) {
            struct slice part = next_part(&rest[i], widths[i], doc->ascii_only);
            draw_part(doc, &table->cells[first + i], part, widths[i], i + 1 == n);
            has_more = has_more || rest[i].size;
        }
    }
}

void table_draw(const struct table *table, int columns, struct doc_format format, struct doc *doc)
{
    int widths[MOST_COLUMNS] = {0};
    format.keeps = true;
    choose_widths(table, columns, doc->ascii_only, widths);
    for (size_t first = 0; first < table->n;) {
        size_t n = 1;
        while (first + n < table->n && table->cells[first + n].row == table->cells[first].row)
            n++;
        draw_row(table, first, n, widths, format, doc);
        if (table->cells[first].is_head) {
            doc_begin(doc, format);
            for (size_t i = 0; i < n && i < MOST_COLUMNS; i++) {
                for (int k = 0; k < widths[i]; k++)
                    doc_add_text(doc, STYLE_RULE, doc->ascii_only ? "-" : "\xe2\x94\x80");
                if (i + 1 < n)
                    add_blanks(doc, GAP);
            }
        }
        first += n;
    }
}
