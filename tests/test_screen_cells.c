/* Cells, styles and painting: hostile text becomes marks, and the bytes sent make a terminal show what the cells say.  The
 * terminal here is a small one of our own, which takes no sequence but those that paint.h promises. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ui/paint.h"

enum { ROWS = 12, COLUMNS = 40 };

/* ---- a terminal ---- */

struct terminal {
    uint32_t code[ROWS][COLUMNS];
    int row, column, top, bottom;
};

static void scroll(struct terminal *terminal)
{
    for (int row = terminal->top; row < terminal->bottom; row++)
        memcpy(terminal->code[row], terminal->code[row + 1], sizeof terminal->code[row]);
    for (int i = 0; i < COLUMNS; i++)
        terminal->code[terminal->bottom][i] = ' ';
}

static void erase(struct terminal *terminal, int row, int column)
{
    for (int i = column; i < COLUMNS; i++)
        terminal->code[row][i] = ' ';
}

static const char *sequence(struct terminal *terminal, const char *text)
{
    int numbers[8] = {0}, n = 0;
    bool is_private = *text == '?';
    text += is_private;
    for (; (*text >= '0' && *text <= '9') || *text == ';'; text++)
        if (*text == ';')
            assert_true(++n < 8);
        else
            numbers[n] = numbers[n] * 10 + (*text - '0');
    switch (*text) {
    case 'H':
        terminal->row = numbers[0] ? numbers[0] - 1 : 0;
        terminal->column = numbers[1] ? numbers[1] - 1 : 0;
        break;
    case 'J':
        for (int row = 0; row < ROWS; row++)
            erase(terminal, row, 0);
        break;
    case 'K':
        erase(terminal, terminal->row, terminal->column);
        break;
    case 'r':
        terminal->top = numbers[0] - 1;
        terminal->bottom = numbers[1] - 1;
        terminal->row = terminal->column = 0;
        break;
    case 'h':
    case 'l':
        assert_true(is_private && (numbers[0] == 25 || numbers[0] == 2026));
        break;
    default:
        assert_int_equal(*text, 'm');
    }
    return text + 1;
}

static void feed(struct terminal *terminal, const struct buffer *bytes)
{
    const char *text = buffer_text(bytes), *end = text + bytes->size;
    while (text < end) {
        uint32_t code = 0;
        int length = utf8_decode(text, (size_t)(end - text), &code);
        assert_true(length > 0);
        text += length;
        if (code == 0x1b) {
            assert_int_equal(*text, '[');
            text = sequence(terminal, text + 1);
        } else if (code == '\r') {
            terminal->column = 0;
        } else if (code == '\n') {
            if (terminal->row == terminal->bottom)
                scroll(terminal);
            else
                terminal->row++;
        } else {
            assert_true(code >= 0x20 && code != 0x7f);
            assert_in_range(terminal->row, 0, ROWS - 1);
            assert_in_range(terminal->column, 0, COLUMNS - 1);
            terminal->code[terminal->row][terminal->column++] = code;
            if (code == 0x65e5) { /* the one wide character of these tests */
                assert_in_range(terminal->column, 1, COLUMNS - 1);
                terminal->code[terminal->row][terminal->column++] = 0;
            }
        }
    }
}

static void check_shown(const struct terminal *terminal, const struct cells *cells)
{
    for (int row = 0; row < ROWS; row++)
        for (int i = 0; i < COLUMNS; i++)
            assert_int_equal(terminal->code[row][i], cells->at[row * COLUMNS + i].code[0]);
}

/* ---- tests ---- */

static void cell_text(const struct cells *cells, int row, struct buffer *out)
{
    buffer_clear(out);
    for (int i = 0; i < cells->columns; i++) {
        const struct cell *cell = &cells->at[row * cells->columns + i];
        for (int k = 0; k < 3 && cell->code[k]; k++)
            buffer_append_code_point(out, cell->code[k]);
    }
    while (out->size && out->data[out->size - 1] == ' ')
        out->data[--out->size] = 0;
}

struct shown {
    const char *text, *as;
    bool ascii_only;
};

static void test_text_becomes_cells(void **state)
{
    (void)state;
    static const struct shown rows[] = {
        {"plain", "plain", false},
        {"a\x1b[31mb", "a^[[31mb", false},
        {"\a\b\x7f\r", "^G^H^?^M", false},
        {"tab\tnew\nline", "tab new line", false},
        {"\xc2\x9b", "<U+009B>", false},
        {"\xe2\x80\xaex", "<U+202E>x", false},
        {"\xff\xfe z", "\xef\xbf\xbd\xef\xbf\xbd z", false},
        {"cut \xe2\x82", "cut \xef\xbf\xbd", false},
        {"e\xcc\x81!", "e\xcc\x81!", false},
        {"\xcc\x81x", " \xcc\x81x", false},
        {"a\xef\xb8\x8f"
         "b",
         "ab", false},                                                 /* a variation selector */
        {"\xf0\x9f\x98\x80\xe2\x80\x8d!", "\xf0\x9f\x98\x80!", false}, /* a joiner behind an emoji */
        {"e\xcc\x81\xcc\x82\xcc\x83\xcc\x84.", "e\xcc\x81\xcc\x82.", false},
        {"caf\xc3\xa9 \xff", "caf<U+00E9> ?", true},
    };
    struct cells cells = {0};
    struct buffer text = {0};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_int_equal(cells_resize(&cells, 1, 30, NULL), STATUS_OK);
        cells.ascii_only = rows[i].ascii_only;
        size_t size = strlen(rows[i].text);
        int column = cells_put(&cells, cells_area(&cells), 0, 0, STYLE_TEXT, rows[i].text, size);
        assert_int_equal(column, cells_width(rows[i].text, size, rows[i].ascii_only));
        cell_text(&cells, 0, &text);
        assert_string_equal(buffer_text(&text), rows[i].as);
    }
    buffer_deinit(&text);
    cells_deinit(&cells);
}

static void test_wide_characters_stay_whole(void **state)
{
    (void)state;
    struct cells cells = {0};
    struct buffer text = {0};
    assert_int_equal(cells_resize(&cells, 1, 6, NULL), STATUS_OK);
    struct area all = cells_area(&cells);
    cells_put_text(&cells, all, 0, 0, STYLE_TEXT, "\xe6\x97\xa5\xe6\x97\xa5\xe6\x97\xa5");
    assert_int_equal(cells.at[4].width, 2);
    assert_int_equal(cells.at[5].width, 0);
    cells_put_text(&cells, all, 0, 1, STYLE_TEXT, "x"); /* the second half of the first */
    cell_text(&cells, 0, &text);
    assert_string_equal(buffer_text(&text), " x\xe6\x97\xa5\xe6\x97\xa5");
    cells_put_text(&cells, all, 0, 2, STYLE_TEXT, "y"); /* the first half of the second */
    cell_text(&cells, 0, &text);
    assert_string_equal(buffer_text(&text), " xy \xe6\x97\xa5");
    cells_put_text(&cells, all, 0, 5, STYLE_TEXT, "\xe6\x97\xa5"); /* no room for it */
    assert_int_equal(cells.at[5].code[0], ' ');
    assert_int_equal(cells.at[4].width, 1);
    struct area middle = {0, 2, 1, 2};
    assert_int_equal(cells_put_text(&cells, middle, 0, 0, STYLE_TEXT, "abcdef"), 2);
    cell_text(&cells, 0, &text);
    assert_string_equal(buffer_text(&text), " xab");
    buffer_deinit(&text);
    cells_deinit(&cells);
}

/* Random screens, one after another, each by what differs from the last. */
static void test_painting_ends_in_the_cells(void **state)
{
    (void)state;
    struct painter painter = {.scrolls = true, .depth = DEPTH_256, .theme = THEME_DARK};
    struct terminal terminal = {.bottom = ROWS - 1};
    struct cells cells = {0};
    struct buffer out = {0};
    unsigned seed = 1;
    size_t sent = 0;
    assert_int_equal(cells_resize(&cells, ROWS, COLUMNS, NULL), STATUS_OK);
    struct area all = cells_area(&cells);
    for (int frame = 0; frame < 2000; frame++) {
        int what = rand_r(&seed) % 4;
        if (what == 0) { /* rows move up, as streamed text does */
            int by = 1 + rand_r(&seed) % 3;
            memmove(cells.at + 2 * COLUMNS, cells.at + (2 + by) * COLUMNS,
                    (size_t)((ROWS - 2 - by) * COLUMNS) * sizeof *cells.at);
            for (int i = 0; i < by; i++)
                cells_blank(&cells, all, ROWS - 1 - i, 0, STYLE_TEXT);
        } else if (what == 1) {
            cells_blank(&cells, all, rand_r(&seed) % ROWS, rand_r(&seed) % COLUMNS, STYLE_TEXT);
        }
        for (int i = rand_r(&seed) % 3; i >= 0; i--)
            cells_put_text(&cells, all, rand_r(&seed) % ROWS, rand_r(&seed) % COLUMNS, (enum style)(rand_r(&seed) % 4),
                           rand_r(&seed) % 2 ? "some words " : "\xe6\x97\xa5x\xe6\x97\xa5");
        cells.cursor_row = rand_r(&seed) % (ROWS + 1) - 1;
        cells.cursor_column = rand_r(&seed) % COLUMNS;
        if (rand_r(&seed) % 100 == 0)
            painter.is_known = false;
        buffer_clear(&out);
        assert_int_equal(paint_frame(&painter, &cells, &out, NULL), STATUS_OK);
        sent += out.size;
        feed(&terminal, &out);
        check_shown(&terminal, &cells);
        if (cells.cursor_row >= 0) {
            assert_int_equal(terminal.row, cells.cursor_row);
            assert_int_equal(terminal.column, cells.cursor_column);
        }
        buffer_clear(&out);
        assert_int_equal(paint_frame(&painter, &cells, &out, NULL), STATUS_OK);
        assert_int_equal(out.size, 0); /* nothing changed, nothing is sent */
    }
    assert_true(sent < 2000 * 250);
    buffer_deinit(&out);
    painter_deinit(&painter);
    cells_deinit(&cells);
}

static void check_style(enum style_theme theme, enum style_depth depth, enum style style, const char *expected)
{
    struct buffer out = {0};
    style_append(&out, theme, depth, style);
    assert_string_equal(buffer_text(&out), expected);
    buffer_deinit(&out);
}

static void test_styles_by_depth(void **state)
{
    (void)state;
    check_style(THEME_TERMINAL, DEPTH_TRUE, STYLE_TEXT, "\x1b[0m");
    check_style(THEME_TERMINAL, DEPTH_TRUE, STYLE_ERROR, "\x1b[0;1;31m");
    check_style(THEME_DARK, DEPTH_TRUE, STYLE_ERROR, "\x1b[0;1;38;2;242;139;130m");
    check_style(THEME_DARK, DEPTH_256, STYLE_ERROR, "\x1b[0;1;38;5;210m");
    check_style(THEME_DARK, DEPTH_16, STYLE_ERROR, "\x1b[0;1;31m");
    check_style(THEME_LIGHT, DEPTH_NONE, STYLE_ERROR, "\x1b[0;1m");
    check_style(THEME_LIGHT, DEPTH_NONE, STYLE_WARN, "\x1b[0;1m");
    assert_int_equal(style_theme_for("15;0"), THEME_DARK);
    assert_int_equal(style_theme_for("0;default;15"), THEME_LIGHT);
    assert_int_equal(style_theme_for("default;default"), THEME_TERMINAL);
    assert_int_equal(style_theme_for(NULL), THEME_TERMINAL);
    assert_int_equal(style_depth_for("truecolor", 256), DEPTH_TRUE);
    assert_int_equal(style_depth_for(NULL, 256), DEPTH_256);
    assert_int_equal(style_depth_for("", 8), DEPTH_16);
    assert_int_equal(style_depth_for("24bit", 0), DEPTH_NONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text_becomes_cells),
        cmocka_unit_test(test_wide_characters_stay_whole),
        cmocka_unit_test(test_painting_ends_in_the_cells),
        cmocka_unit_test(test_styles_by_depth),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
