/* test_complete_syntax: what a syntax tree says of middles: errors with and without, and whether a block has closed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "app/complete_syntax.h"
#include "fim/trim.h"

static struct languages *languages;

static int set_up(void **state)
{
    static const char *const grammars[] = {"build/lib", NULL}, *const queries[] = {"assets/tags", NULL};
    struct error error;
    (void)state;
    return languages_new(grammars, queries, &languages, &error) != STATUS_OK;
}

static int tear_down(void **state)
{
    (void)state;
    languages_free(languages);
    return 0;
}

static struct complete_syntax *open_at(const char *path, const char *text, struct slice *suffix)
{
    struct complete_syntax *syntax = NULL;
    struct error error = {0};
    const char *cursor = strchr(text, '|');
    assert_non_null(cursor);
    struct slice prefix = {text, (size_t)(cursor - text)};
    *suffix = slice_from(cursor + 1);
    if (complete_syntax_new(languages, slice_from(path), prefix, *suffix, &syntax, &error))
        fail_msg("%s", error.text);
    return syntax;
}

/* More, fewer or as many errors with the middle as without. */
static void test_errors(void **state)
{
    static const struct {
        const char *path, *text, *middle;
        int sign;
    } all[] = {
        {"a.c", "int f(void)\n{\n    |\n    return 1;\n}\n", "int x = 1;", 0},
        {"a.c", "int f(void)\n{\n    |\n    return 1;\n}\n", "int x = (1;", 1},
        {"a.c", "int f(void)\n{\n    |\n    return 1;\n}\n", "if (a) {", 1},
        {"a.c", "int f(void)\n{\n    int x = |\n    return 1;\n}\n", "1;", -1},
        {"a.py", "def f():\n    |\n    return 1\n", "x = [1, 2]", 0},
        {"a.py", "def f():\n    |\n    return 1\n", "x = [1, 2", 1},
        {"a.py", "x = f(|\n", "1)", -1},
    };
    (void)state;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        struct slice suffix;
        struct complete_syntax *syntax = open_at(all[i].path, all[i].text, &suffix);
        const struct fim_syntax *asked = complete_syntax_asked(syntax);
        assert_non_null(asked);
        /* asked again and again: each answer is of the whole text, whatever was asked before */
        for (int round = 0; round < 3; round++) {
            long without = asked->errors(asked->context, "", 0);
            long with = asked->errors(asked->context, all[i].middle, strlen(all[i].middle));
            int sign = (with > without) - (with < without);
            if (without < 0 || with < 0 || sign != all[i].sign)
                fail_msg("%zu: %ld errors without, %ld with \"%s\"", i, without, with, all[i].middle);
        }
        complete_syntax_free(syntax);
    }
}

static void test_cut_back(void **state)
{
    (void)state;
    struct slice suffix;
    struct complete_syntax *syntax = open_at("a.c", "int f(void)\n{\n    |\n    return 1;\n}\n", &suffix);
    const struct fim_place place = {0};
    struct buffer middle = {0};
    buffer_append_text(&middle, "g(1);\n    h(2);\n    if (a) {");
    assert_int_equal(fim_cut_back(&place, complete_syntax_asked(syntax), &middle), 0);
    assert_string_equal(buffer_text(&middle), "g(1);\n    h(2);");
    buffer_deinit(&middle);
    complete_syntax_free(syntax);
}

static void test_closes(void **state)
{
    static const struct {
        const char *path, *text, *middle, *inside; /* NULL: it goes on */
    } all[] = {
        {"a.c", "int f(void)\n{\n    |", "return 1;\n}\nint g;\n", "return 1;\n}"},
        {"a.c", "int f(void)\n{\n    |", "if (a) {\n        b();\n    }\n", NULL},
        {"a.c", "int f(void)\n{\n    |", "return 1;\n", NULL},
        {"a.sh", "if true; then\n  |", "echo a\nfi\necho b\n", "echo a\nfi"},
        {"a.rb", "def f\n  |", "1\nend\nputs 2\n", "1\nend"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        struct slice suffix;
        size_t end = 0;
        struct complete_syntax *syntax = open_at(all[i].path, all[i].text, &suffix);
        const struct fim_syntax *asked = complete_syntax_asked(syntax);
        assert_non_null(asked);
        bool closes = asked->closes(asked->context, all[i].middle, strlen(all[i].middle), &end);
        if (closes != (all[i].inside != NULL) || (closes && end != strlen(all[i].inside)))
            fail_msg("%zu: %d, %zu bytes", i, closes, end);
        complete_syntax_free(syntax);
    }
}

static void test_no_language(void **state)
{
    (void)state;
    struct slice suffix;
    assert_null(open_at("a.unknown", "x |\n", &suffix));
    assert_null(complete_syntax_asked(NULL));
    complete_syntax_free(NULL);
    struct buffer text = {0};
    for (int i = 0; i < 200000; i++)
        buffer_append_text(&text, "x = 1\n");
    buffer_append_text(&text, "|\n");
    assert_null(open_at("a.py", buffer_text(&text), &suffix)); /* too long to be worth it */
    buffer_deinit(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_cut_back),
        cmocka_unit_test(test_closes),
        cmocka_unit_test(test_no_language),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
