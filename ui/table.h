/* table: a markdown table, gathered cell by cell, laid out when it is whole.  Columns that don't fit side by side are cut to
 * what there is, and their cells wrap within. */
#ifndef FATHOM_UI_TABLE_H
#define FATHOM_UI_TABLE_H

#include "ui/doc.h"

enum table_align { TABLE_DEFAULT, TABLE_LEFT, TABLE_CENTER, TABLE_RIGHT }; /* as md4c numbers them */

struct table_cell {
    size_t begin, end; /* of text; it is one style: mixed ones are the first's */
    size_t row, column;
    enum table_align align;
    enum style style;
    bool is_head;
};

struct table {
    struct buffer text;
    struct table_cell *cells;
    size_t n, capacity, n_rows, n_columns, column;
};

void table_clear(struct table *table);
void table_deinit(struct table *table);
void table_begin_row(struct table *table);
void table_begin_cell(struct table *table, enum table_align align, bool is_head);
void table_add(struct table *table, enum style style, const char *text, size_t size);

/* Appends its lines, at most `columns` wide where that leaves a few for each column. */
void table_draw(const struct table *table, int columns, struct doc_format format, struct doc *doc);

#endif
