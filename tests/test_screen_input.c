/* Keys from bytes, the entry's text, and the layout of panes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ui/input.h"
#include "ui/keys.h"
#include "ui/layout.h"

/* ---- keys ---- */

/* The names of the keys that bytes mean, cut into chunks of `chunk` bytes. */
static void read_keys(const char *bytes, size_t size, size_t chunk, struct buffer *out)
{
    struct keyboard keyboard = {0};
    uint32_t key;
    buffer_clear(out);
    for (size_t at = 0; at < size; at += chunk) {
        keyboard_push(&keyboard, bytes + at, size - at < chunk ? size - at : chunk);
        bool is_last = at + chunk >= size;
        while (keyboard_next(&keyboard, false, &key) || (is_last && keyboard_next(&keyboard, true, &key))) {
            if (key == KEY_PASTE)
                buffer_printf(out, "{%s} ", buffer_text(&keyboard.paste));
            else {
                key_append_name(out, key);
                buffer_append_byte(out, ' ');
            }
        }
    }
    keyboard_deinit(&keyboard);
}

static void test_keys(void **state)
{
    (void)state;
    static const struct {
        const char *bytes, *keys;
    } rows[] = {
        {"a\xc3\xa9Z", "a \xc3\xa9 Z "},
        {"\x01\x1a\r\t\x7f\x1f", "Ctrl-A Ctrl-Z Enter Tab Bksp Ctrl-_ "},
        {"\x1b[A\x1bOB\x1b[1;5C\x1b[3~\x1b[6;3~", "Up Down Ctrl-Right Del Alt-PgDn "},
        {"\x1bOP\x1b[15~\x1b[Z\x1b[H\x1b[4~", "F1 F5 Shift-Tab Home End "},
        {"\x1b"
         "b\x1b\r\x1b\x7f",
         "Alt-b Alt-Enter Alt-Bksp "},
        {"\x1b", "Esc "},
        {"x\x1b\x1b", "x Esc Esc "},
        {"\x1b[200~a\x1b[31mb\r\nc\rd\x1b[201~z", "{a\x1b[31mb\nc\nd} z "},
        {"\x1b[200~\x1b[201~q", "{} q "},
        {"\x1b]11;rgb:0/0/0\x07y", "y "}, /* answers that nobody asked for */
        {"\x1bP1$r0m\x1b\\y", "y "},
        {"\x1b[?62;4cy\x1b[24;80Ry", "y F3 y "},
        {"\x1b[99999999999999999999~y", "y "},
        {"\xff\xfey", "y "},
        {"\x1b[97;5u", "Ctrl-A "},
    };
    struct buffer keys = {0};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (size_t chunk = 1; chunk < 40; chunk = chunk == 3 ? 39 : chunk + 1) {
            read_keys(rows[i].bytes, strlen(rows[i].bytes), chunk, &keys);
            assert_string_equal(buffer_text(&keys), rows[i].keys);
        }
    buffer_deinit(&keys);
}

static void test_key_table(void **state)
{
    (void)state;
    static const struct key_row rows[] = {
        {1, {'a', KEY_WITH_CTRL('a')}, 7, "does it"}, {2, {'a'}, 8, NULL}, {3, {KEY_UP}, 9, "up"}};
    struct doc doc = {0};
    assert_int_equal(keys_find(rows, 3, 1, 'a'), 7);
    assert_int_equal(keys_find(rows, 3, 2, 'a'), 8);
    assert_int_equal(keys_find(rows, 3, 2, KEY_WITH_CTRL('a')), -1);
    assert_int_equal(keys_find(rows, 3, 2, KEY_UP), 9);
    keys_explain(rows, 3, 1, &doc);
    assert_int_equal(doc.n_lines, 2);
    struct slice line = doc_line_text(&doc, 0);
    assert_int_equal(line.size, 18 + strlen("does it"));
    assert_memory_equal(line.data, "a  Ctrl-A         does it", line.size);
    doc_deinit(&doc);
}

/* ---- the entry ---- */

static void check_input(const struct input *input, const char *text, size_t cursor)
{
    assert_string_equal(buffer_text(&input->text), text);
    assert_int_equal(input->cursor, cursor);
}

static void type(struct input *input, const char *text)
{
    for (; *text; text++)
        input_insert(input, text, 1, true);
}

static void test_editing(void **state)
{
    (void)state;
    struct input input = {0};
    type(&input, "one two");
    input_act(&input, INPUT_WORD_LEFT);
    check_input(&input, "one two", 4);
    input_act(&input, INPUT_DELETE_WORD_LEFT);
    check_input(&input, "two", 0);
    input_act(&input, INPUT_LINE_END);
    input_act(&input, INPUT_PUT_BACK);
    check_input(&input, "twoone ", 7);
    input_act(&input, INPUT_UNDO);
    input_act(&input, INPUT_UNDO);
    check_input(&input, "one two", 4);
    input_act(&input, INPUT_REDO);
    check_input(&input, "two", 3);
    input_act(&input, INPUT_UNDO);
    input_act(&input, INPUT_UNDO); /* " two" was typed in one go, "one" before it */
    check_input(&input, "one", 3);
    input_act(&input, INPUT_UNDO);
    check_input(&input, "", 0);
    input_act(&input, INPUT_UNDO);
    check_input(&input, "", 0);
    input_set(&input,
              "ab\n\xe6\x97\xa5"
              "e\xcc\x81\nlast",
              14);
    input_act(&input, INPUT_UP);
    check_input(&input,
                "ab\n\xe6\x97\xa5"
                "e\xcc\x81\nlast",
                9); /* the end of a shorter line */
    input_act(&input, INPUT_LEFT);
    assert_int_equal(input.cursor, 6); /* before e with its accent */
    input_act(&input, INPUT_DELETE_LEFT);
    check_input(&input, "ab\ne\xcc\x81\nlast", 3);
    input_act(&input, INPUT_DELETE_LINE_END);
    check_input(&input, "ab\n\nlast", 3);
    input_act(&input, INPUT_DELETE_RIGHT);
    check_input(&input, "ab\nlast", 3);
    input_act(&input, INPUT_DELETE_LINE_BEGIN);
    check_input(&input, "ab\nlast", 3);
    input_deinit(&input);
}

static void test_history(void **state)
{
    (void)state;
    struct input input = {0};
    input_remember(&input, "first");
    input_remember(&input, "second");
    input_remember(&input, "second");
    input_remember(&input, "third");
    assert_int_equal(input.n_history, 3);
    type(&input, "s");
    input_act(&input, INPUT_UP);
    check_input(&input, "third", 5);
    input_act(&input, INPUT_UP);
    input_act(&input, INPUT_UP);
    input_act(&input, INPUT_UP);
    check_input(&input, "first", 5);
    input_act(&input, INPUT_NEWER);
    input_act(&input, INPUT_NEWER);
    input_act(&input, INPUT_NEWER);
    check_input(&input, "s", 1); /* what was typed */
    input_act(&input, INPUT_SEARCH_OLDER);
    check_input(&input, "second", 6);
    input_act(&input, INPUT_SEARCH_OLDER);
    check_input(&input, "first", 5);
    input_act(&input, INPUT_SEARCH_OLDER);
    check_input(&input, "first", 5);
    input_deinit(&input);
}

static void test_entry_rows(void **state)
{
    (void)state;
    struct input input = {0};
    int row, column;
    assert_int_equal(input_layout(&input, 10, false, &row, &column), 1);
    input_set(&input, "0123456789", 10);
    assert_int_equal(input_layout(&input, 10, false, &row, &column), 2); /* the cursor needs a place */
    assert_int_equal(row, 1);
    assert_int_equal(column, 0);
    input_set(&input, "ab\n\nc", 5);
    assert_int_equal(input_layout(&input, 10, false, &row, &column), 3);
    assert_int_equal(row, 2);
    assert_int_equal(column, 1);
    assert_true(input_layout(&input, 0, false, &row, &column) >= 3);
    input_deinit(&input);
}

/* ---- panes ---- */

/* Visible panes lie within, don't overlap, and the focused one is among them. */
static void check_layout(const struct layout *layout, struct area area)
{
    bool taken[60][130] = {{false}};
    int focus = layout_focused_pane(layout);
    assert_true(layout_area(layout, focus).rows > 0);
    for (int pane = 0; pane < LAYOUT_PANES; pane++) {
        struct area a = layout_area(layout, pane);
        if (a.rows == 0)
            continue;
        assert_true(a.row >= area.row && a.column >= area.column && a.row + a.rows <= area.row + area.rows &&
                    a.column + a.columns <= area.column + area.columns && a.columns > 0);
        for (int row = a.row; row < a.row + a.rows; row++)
            for (int column = a.column; column < a.column + a.columns; column++) {
                assert_false(taken[row][column]);
                taken[row][column] = true;
            }
    }
}

static void test_layout(void **state)
{
    (void)state;
    static const struct area areas[] = {{2, 0, 50, 120}, {1, 0, 18, 80}, {0, 0, 2, 20}, {0, 0, 1, 1}};
    struct layout layout;
    unsigned seed = 7;
    int next = 1;
    layout_init(&layout, 0);
    for (int step = 0; step < 4000; step++) {
        struct area area = areas[rand_r(&seed) % 4];
        layout_place(&layout, area);
        check_layout(&layout, area);
        switch (rand_r(&seed) % 8) {
        case 0:
        case 1: {
            int pane = next;
            while (layout_find(&layout, pane % LAYOUT_PANES) >= 0 && pane < next + LAYOUT_PANES)
                pane++;
            bool is_full = layout_count(&layout) == LAYOUT_PANES;
            assert_int_equal(
                layout_split_focus(&layout, rand_r(&seed) % 2 ? SPLIT_COLUMNS : SPLIT_ROWS, pane % LAYOUT_PANES),
                !is_full);
            next = pane + 1;
            break;
        }
        case 2: {
            bool is_only = layout_count(&layout) == 1;
            assert_int_equal(layout_close_focus(&layout), !is_only);
            break;
        }
        case 3:
            layout_move_focus(&layout, (enum layout_direction)(rand_r(&seed) % 4));
            break;
        case 4:
            layout_next_focus(&layout, rand_r(&seed) % 2 ? 1 : -1);
            break;
        case 5:
            layout_resize(&layout, rand_r(&seed) % 2 ? SPLIT_COLUMNS : SPLIT_ROWS, rand_r(&seed) % 2 ? 4 : -4);
            break;
        case 6:
            layout_equalize(&layout);
            break;
        default:
            layout.is_zoomed = !layout.is_zoomed;
        }
    }
}

static void test_layout_moves(void **state)
{
    (void)state;
    struct layout layout;
    struct area area = {0, 0, 24, 81};
    layout_init(&layout, 0);
    assert_true(layout_split_focus(&layout, SPLIT_COLUMNS, 1));
    assert_true(layout_split_focus(&layout, SPLIT_ROWS, 2));
    layout_place(&layout, area);
    assert_int_equal(layout_area(&layout, 0).columns, 40);
    assert_int_equal(layout_area(&layout, 2).column, 41);
    assert_int_equal(layout_focused_pane(&layout), 2);
    layout_move_focus(&layout, LAYOUT_UP);
    assert_int_equal(layout_focused_pane(&layout), 1);
    layout_move_focus(&layout, LAYOUT_LEFT);
    assert_int_equal(layout_focused_pane(&layout), 0);
    layout_resize(&layout, SPLIT_COLUMNS, 4);
    layout_place(&layout, area);
    assert_int_equal(layout_area(&layout, 0).columns, 44);
    layout_resize(&layout, SPLIT_COLUMNS, -4);
    layout_place(&layout, area);
    assert_int_equal(layout_area(&layout, 0).columns, 40);
    assert_true(layout_close_focus(&layout));
    layout_place(&layout, area);
    assert_int_equal(layout_area(&layout, 1).columns, 81);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keys),         cmocka_unit_test(test_key_table),  cmocka_unit_test(test_editing),
        cmocka_unit_test(test_history),      cmocka_unit_test(test_entry_rows), cmocka_unit_test(test_layout),
        cmocka_unit_test(test_layout_moves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
