/* paint: see paint.h. */
#include "ui/paint.h"

#include <stdio.h>
#include <string.h>

/* Cells that are right already are sent again where that is shorter than moving over them. */
enum { LEAST_MOVE = 6 };

void painter_deinit(struct painter *painter)
{
    cells_deinit(&painter->shown);
    buffer_deinit(&painter->frame);
    painter->is_known = false;
}

static bool same(const struct cell *a, const struct cell *b)
{
    return a->code[0] == b->code[0] && a->code[1] == b->code[1] && a->code[2] == b->code[2] && a->style == b->style &&
           a->width == b->width;
}

static bool same_row(const struct cells *a, int row_a, const struct cells *b, int row_b)
{
    for (int i = 0; i < a->columns; i++)
        if (!same(&a->at[row_a * a->columns + i], &b->at[row_b * b->columns + i]))
            return false;
    return true;
}

/* One of those that EL leaves behind. */
static bool is_blank(const struct cell *cell)
{
    return cell->code[0] == ' ' && !cell->code[1] && cell->style == STYLE_TEXT && cell->width == 1;
}

static void move(struct painter *painter, struct buffer *out, int row, int column)
{
    if (painter->row == row && painter->column == column)
        return;
    if (painter->row >= 0 && row == painter->row + 1 && column == 0)
        buffer_append_text(out, "\r\n");
    else if (column == 0)
        buffer_printf(out, "\x1b[%dH", row + 1);
    else
        buffer_printf(out, "\x1b[%d;%dH", row + 1, column + 1);
    painter->row = row;
    painter->column = column;
}

/* Styles that look the same here are one. */
static void set_style(struct painter *painter, struct buffer *out, uint8_t style)
{
    struct buffer code = {0};
    if (painter->style == style)
        return;
    painter->style = style;
    style_append(&code, painter->theme, painter->depth, style);
    if (strcmp(buffer_text(&code), painter->code) != 0)
        buffer_append(out, buffer_text(&code), code.size);
    snprintf(painter->code, sizeof painter->code, "%s", buffer_text(&code));
    buffer_deinit(&code);
}

static void send(struct painter *painter, struct buffer *out, const struct cell *cell)
{
    set_style(painter, out, cell->style);
    for (int i = 0; i < 3 && cell->code[i]; i++)
        buffer_append_code_point(out, cell->code[i]);
    painter->column += cell->width;
    /* After the last column terminals differ on where the cursor is, and on how wide some characters are. */
    bool is_line = cell->code[0] >= 0x2500 && cell->code[0] < 0x2580;
    if (painter->column >= painter->shown.columns || cell->code[1] || (cell->code[0] >= 0x2190 && !is_line))
        painter->row = painter->column = -1;
}

/* The next column from `column` on whose cell differs, or columns. */
static int next_difference(const struct cell *wanted, const struct cell *shown, int column, int columns)
{
    while (column < columns && same(&wanted[column], &shown[column]))
        column++;
    return column;
}

static void paint_row(struct painter *painter, const struct cells *cells, int row, struct buffer *out)
{
    int columns = cells->columns, end = columns;
    const struct cell *wanted = &cells->at[row * columns];
    struct cell *shown = &painter->shown.at[row * columns];
    while (end > 0 && is_blank(&wanted[end - 1]))
        end--;
    for (int column = next_difference(wanted, shown, 0, columns); column < columns;) {
        if (column >= end) {
            move(painter, out, row, column);
            set_style(painter, out, STYLE_TEXT);
            buffer_append_text(out, "\x1b[K");
            break;
        }
        /* A character is sent as a whole. */
        if (wanted[column].width == 0 && column > 0)
            column--;
        if (painter->row == row && painter->column >= 0 && column > painter->column &&
            column - painter->column <= LEAST_MOVE && wanted[painter->column].width) {
            for (int i = painter->column; i < column && painter->column >= 0;
                 i += wanted[i].width ? wanted[i].width : 1)
                send(painter, out, &wanted[i]);
        }
        move(painter, out, row, column);
        send(painter, out, &wanted[column]);
        int next = column + (wanted[column].width == 2 ? 2 : 1);
        column = next_difference(wanted, shown, next, columns);
    }
    memcpy(shown, wanted, (size_t)columns * sizeof *shown);
}

/* ---- rows that moved up ---- */

/* How many rows from top on are what stands `by` rows below; those that are blank before and after don't count as gain. */
static int count_moved(const struct painter *painter, const struct cells *wanted, int top, int by, int *gain)
{
    int n = 0;
    *gain = 0;
    while (top + n + by < wanted->rows && same_row(wanted, top + n, &painter->shown, top + n + by)) {
        *gain += !same_row(wanted, top + n, &painter->shown, top + n);
        n++;
    }
    return n;
}

/* Where text grew at the bottom, its rows moved up by a few: the terminal moves them. */
static void move_rows(struct painter *painter, const struct cells *wanted, struct buffer *out)
{
    int best_gain = 2, best_top = 0, best_by = 0, best_n = 0;
    int top = 0, columns = wanted->columns;
    while (top < wanted->rows && same_row(wanted, top, &painter->shown, top))
        top++;
    for (int from = top; from < wanted->rows && from < top + 2; from++)
        for (int by = 1; by < wanted->rows - from; by++) {
            int gain, n = count_moved(painter, wanted, from, by, &gain);
            if (gain > best_gain) {
                best_gain = gain;
                best_top = from;
                best_by = by;
                best_n = n;
            }
        }
    if (!best_by)
        return;
    set_style(painter, out, STYLE_TEXT);
    int bottom = best_top + best_n + best_by;
    buffer_printf(out, "\x1b[%d;%dr\x1b[%dH", best_top + 1, bottom, bottom);
    for (int i = 0; i < best_by; i++)
        buffer_append_byte(out, '\n');
    buffer_printf(out, "\x1b[1;%dr", wanted->rows); /* without numbers some keep the bottom */
    painter->row = painter->column = -1;
    struct cell *at = &painter->shown.at[best_top * columns];
    memmove(at, at + best_by * columns, (size_t)best_n * (size_t)columns * sizeof *at);
    at += best_n * columns;
    for (int i = 0; i < best_by * columns; i++)
        at[i] = (struct cell){.code = {' '}, .width = 1};
}

/* ---- a frame ---- */

static bool has_changed(const struct painter *painter, const struct cells *wanted)
{
    const struct cells *shown = &painter->shown;
    if (!painter->is_known || wanted->cursor_row != shown->cursor_row)
        return true;
    if (wanted->cursor_row >= 0 && wanted->cursor_column != shown->cursor_column)
        return true;
    for (int i = 0; i < wanted->rows * wanted->columns; i++)
        if (!same(&wanted->at[i], &shown->at[i]))
            return true;
    return false;
}

/* A cursor that runs over the screen is seen where a frame is longer. */
enum { LONG_FRAME = 160 };

/* Puts the cursor in its place, and what a frame begins and ends with around it. */
static void finish(struct painter *painter, const struct cells *wanted, struct buffer *out)
{
    struct buffer *frame = &painter->frame;
    bool is_shown = wanted->cursor_row >= 0, is_long = frame->size > LONG_FRAME;
    if (is_shown)
        move(painter, frame, wanted->cursor_row, wanted->cursor_column);
    if (painter->synchronizes && is_long)
        buffer_append_text(out, "\x1b[?2026h");
    if (painter->is_cursor_shown && (is_long || !is_shown))
        buffer_append_text(out, "\x1b[?25l");
    buffer_append(out, buffer_text(frame), frame->size);
    if (is_shown && (is_long || !painter->is_cursor_shown))
        buffer_append_text(out, "\x1b[?25h");
    if (painter->synchronizes && is_long)
        buffer_append_text(out, "\x1b[?2026l");
    painter->is_cursor_shown = is_shown;
    painter->shown.cursor_row = wanted->cursor_row;
    painter->shown.cursor_column = wanted->cursor_column;
    if (frame->failed)
        out->failed = true;
}

enum status paint_frame(struct painter *painter, const struct cells *wanted, struct buffer *out, struct error *error)
{
    struct cells *shown = &painter->shown;
    if (shown->rows != wanted->rows || shown->columns != wanted->columns) {
        enum status status = cells_resize(shown, wanted->rows, wanted->columns, error);
        if (status != STATUS_OK)
            return status;
        painter->is_known = false;
    }
    if (!has_changed(painter, wanted))
        return STATUS_OK;
    struct buffer *frame = &painter->frame;
    buffer_clear(frame);
    if (!painter->is_known) {
        painter->row = painter->column = painter->style = -1;
        painter->code[0] = 0;
        painter->is_cursor_shown = true; /* it may be */
        set_style(painter, frame, STYLE_TEXT);
        buffer_append_text(frame, "\x1b[H\x1b[2J");
        cells_clear(shown);
        painter->row = painter->column = 0;
    } else if (painter->scrolls) {
        move_rows(painter, wanted, frame);
    }
    for (int row = 0; row < wanted->rows; row++)
        paint_row(painter, wanted, row, frame);
    finish(painter, wanted, out);
    painter->is_known = true;
    return buffer_status(out, error);
}
