/* Documents, views, markdown and tables: what is rendered, wrapped, searched and cut. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ui/markdown.h"

/* The rows of a view, one a line, blanks at the end cut. */
static void show(const struct doc *doc, struct view *view, int columns, struct buffer *out)
{
    struct cells cells = {.ascii_only = doc->ascii_only};
    assert_int_equal(view_update(view, doc, columns, 1000, NULL), STATUS_OK);
    assert_int_equal(cells_resize(&cells, view->n_rows ? (int)view->n_rows : 1, columns, NULL), STATUS_OK);
    view_draw(view, doc, &cells, cells_area(&cells));
    buffer_clear(out);
    for (int row = 0; row < cells.rows; row++) {
        for (int i = 0; i < columns; i++)
            if (cells.at[row * columns + i].width)
                buffer_append_code_point(out, cells.at[row * columns + i].code[0]);
        while (out->size && out->data[out->size - 1] == ' ')
            out->size--;
        buffer_append_byte(out, '\n');
    }
    cells_deinit(&cells);
}

static void check_markdown(const char *text, int columns, const char *expected)
{
    struct doc doc = {.ascii_only = true};
    struct view view = {0};
    struct buffer out = {0};
    struct markdown_options options = {.tag = 1 << 16, .columns = columns};
    markdown_render(text, strlen(text), &options, &doc);
    show(&doc, &view, columns, &out);
    assert_string_equal(buffer_text(&out), expected);
    buffer_deinit(&out);
    view_deinit(&view);
    doc_deinit(&doc);
}

static void test_markdown(void **state)
{
    (void)state;
    check_markdown("# A *b*\n\npara one\ngoes on\n\npara two", 30, "A b\n\npara one goes on\n\npara two\n");
    check_markdown("one two three four", 9, "one two\nthree\nfour\n");
    check_markdown("- a\n- b\n  - c\n- d", 30, "- a\n- b\n  - c\n- d\n");
    check_markdown("1. first line wraps\n2. b", 12, "1. first\n   line\n   wraps\n2. b\n");
    check_markdown("7. x\n\n   more\n\n8. y", 20, "7. x\n\n   more\n\n8. y\n");
    check_markdown("- [ ] a\n- [x] b", 20, "- [ ] a\n- [x] b\n");
    check_markdown("> q\n> > r\n\nz", 20, "| q\n\n| | r\n\nz\n");
}

static void test_markdown_code(void **state)
{
    (void)state;
    check_markdown("t:\n```c\nint  x;\n\n\ty\n```\nafter", 14,
                   "t:\n\n  c ----------\n  int  x;\n\n      y\n  ------------\n\nafter\n");
    check_markdown("```\nopen fence", 14, "  code -------\n  open fence\n  ------------\n");
    check_markdown("```c\n0123456789abcdef\n```", 12, "  c --------\n  0123456789\n  abcdef\n  ----------\n");
    check_markdown("- a\n  ```\n  b\n  ```\n  c", 14, "- a\n\n    code -----\n    b\n    ----------\n  c\n");
}

static void test_markdown_inline(void **state)
{
    (void)state;
    check_markdown("[a](http://b/) <http://c/> ![i](j)", 60, "a (http://b/) http://c/ i (j)\n");
    check_markdown("a <b onclick=x>c</b> &amp; &#27;[1m &bogus; x", 60, "a <b onclick=x>c</b> & ^[[1m &bogus; x\n");
    check_markdown("a\x1b]0;t\a", 20, "a^[]0;t^G\n");
    check_markdown("a  \nb", 20, "a\nb\n");
}

static void test_markdown_tables(void **state)
{
    (void)state;
    check_markdown("|n|v|\n|---|--:|\n|a|1|\n|long|22|", 30, "n      v\n----  --\na      1\nlong  22\n");
    check_markdown("|n|v|\n|---|---|\n|some long words here|x|", 14,
                   "n            v\n-----------  -\nsome long    x\nwords here\n");
}

static void test_code_blocks_are_found(void **state)
{
    (void)state;
    static const char text[] = "a\n\n```c\nint x;\n\treturn;\n\t\tdeep\n```\n\n- l\n  ```\n  in\n  ```\n\n~~~\nlast";
    struct buffer out = {0};
    assert_true(markdown_code_block(text, sizeof text - 1, 1, &out));
    assert_string_equal(buffer_text(&out), "int x;\n\treturn;\n\t\tdeep\n");
    buffer_clear(&out);
    assert_true(markdown_code_block(text, sizeof text - 1, 2, &out));
    assert_string_equal(buffer_text(&out), "in\n");
    buffer_clear(&out);
    assert_true(markdown_code_block(text, sizeof text - 1, 3, &out));
    assert_string_equal(buffer_text(&out), "last\n");
    buffer_clear(&out);
    assert_false(markdown_code_block(text, sizeof text - 1, 4, &out));
    buffer_deinit(&out);
}

/* An answer that comes byte by byte, rendered again each time, ends in the rows of one that came at once. */
static void test_streaming_ends_the_same(void **state)
{
    (void)state;
    static const char text[] =
        "# T\n\ntext *em* `c` and words that wrap around\n\n1. a\n2. b\n   - c\n\n|a|b|\n|-|-|\n|1|2|\n\n```py\nx = 1\n"
        "\n\ny\n```\n> quote\n\nend";
    struct doc doc = {0}, whole = {0};
    struct view view = {.follows = true}, fresh = {0};
    struct buffer a = {0}, b = {0};
    struct markdown_options options = {.columns = 24};
    for (size_t size = 0; size <= sizeof text - 1; size++) {
        doc_cut(&doc, 0);
        markdown_render(text, size, &options, &doc);
        show(&doc, &view, 24, &a);
    }
    markdown_render(text, sizeof text - 1, &options, &whole);
    show(&whole, &fresh, 24, &b);
    assert_string_equal(buffer_text(&a), buffer_text(&b));
    buffer_deinit(&a);
    buffer_deinit(&b);
    view_deinit(&view);
    view_deinit(&fresh);
    doc_deinit(&doc);
    doc_deinit(&whole);
}

static void add_lines(struct doc *doc, int n)
{
    struct buffer line = {0};
    for (int i = 0; i < n; i++) {
        buffer_clear(&line);
        buffer_printf(&line, "line %d of the text", i);
        doc_begin(doc, (struct doc_format){.tag = i});
        doc_add_text(doc, STYLE_TEXT, buffer_text(&line));
    }
    buffer_deinit(&line);
}

static void test_views(void **state)
{
    (void)state;
    struct doc doc = {0};
    struct view end = {.follows = true}, top = {0};
    add_lines(&doc, 100);
    assert_int_equal(view_update(&end, &doc, 40, 10, NULL), STATUS_OK);
    assert_int_equal(view_update(&top, &doc, 10, 10, NULL), STATUS_OK);
    assert_int_equal(end.top, 90);
    assert_int_equal(top.n_rows, 200);
    view_scroll(&end, -5);
    add_lines(&doc, 10); /* grows at the bottom; the reader's place is theirs */
    assert_int_equal(view_update(&end, &doc, 40, 10, NULL), STATUS_OK);
    assert_int_equal(end.top, 85);
    view_scroll(&end, 1000);
    assert_true(end.follows);
    assert_int_equal(end.top, 100);
    view_to_line(&top, 50);
    assert_int_equal(view_top_line(&top), 50);
    assert_int_equal(view_update(&top, &doc, 40, 10, NULL), STATUS_OK); /* another width, the same place */
    assert_int_equal(view_top_line(&top), 50);
    view_set_pattern(&top, "LINE 9", 6);
    assert_false(view_search(&top, &doc, 1));
    view_set_pattern(&top, "line 9", 6);
    assert_true(view_search(&top, &doc, 1));
    assert_int_equal(top.match_line, 90);
    assert_true(view_search(&top, &doc, -1));
    assert_int_equal(top.match_line, 9);
    assert_true(view_search(&top, &doc, -1)); /* around */
    assert_int_equal(top.match_line, 109);
    doc_cut(&doc, 3);
    assert_int_equal(view_update(&top, &doc, 40, 10, NULL), STATUS_OK);
    assert_int_equal(top.n_rows, 3);
    assert_int_equal(top.top, 0);
    view_deinit(&end);
    view_deinit(&top);
    doc_deinit(&doc);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_markdown),
        cmocka_unit_test(test_markdown_code),
        cmocka_unit_test(test_markdown_inline),
        cmocka_unit_test(test_markdown_tables),
        cmocka_unit_test(test_code_blocks_are_found),
        cmocka_unit_test(test_streaming_ends_the_same),
        cmocka_unit_test(test_views),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
