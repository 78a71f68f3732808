/* test_fim_stop: what a place asks for, where middles end there, and what is cut from them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "fim/trim.h"

/* The text with | at the cursor, what a model goes on with, what of it counts, and why it ends there (GOES_ON: it doesn't). */
static const struct stop_case {
    const char *path, *text, *middle, *counts;
    enum fim_stop stop;
} stops[] = {
    /* the rest of a line */
    {"a.c", "int x = |\nint y;\n", "1 + 2;\nint y;\n", "1 + 2;", FIM_STOP_LINE},
    {"a.c", "int x = |\nint y;\n", "1 + ", "1 + ", FIM_GOES_ON},
    {"a.c", "int x = |;\nint y;\n", "1 + 2;\n", "1 + 2", FIM_STOP_SUFFIX},
    {"a.c", "f(|);\n", "a, g(b), c);\n", "a, g(b), c", FIM_STOP_SUFFIX},
    {"a.c", "f(|)\n", "g(1), \")\"", "g(1), \")\"", FIM_GOES_ON},
    {"a.c", "if (|) {\n    x();\n}\n", "a(b) && c) {\n", "a(b) && c", FIM_STOP_SUFFIX},
    {"a.c", "s = \"|\";\n", "word\";\n", "word", FIM_STOP_SUFFIX},
    {"a.c", "pri|nt(x);\n", "nt(x);\n", "", FIM_STOP_SUFFIX},
    {"a.py", "x = [|]\n", "a[0], b]\n", "a[0], b", FIM_STOP_SUFFIX},
    {"a.py", "from a import |\nimport b\n", "c\nimport b\n", "c", FIM_STOP_LINE},
    {"a.c", "int x = |\r\nint y;\r\n", "1;\r\nint", "1;", FIM_STOP_LINE},
    /* a statement on an empty line */
    {"a.c", "{\n    a();\n    |\n}\n", "b(1,\n      2);\n    c();\n", "b(1,\n      2);", FIM_STOP_BLOCK},
    {"a.c", "{\n    a();\n    |\n}\n", "b();\n    c();\n", "b();", FIM_STOP_LINE},
    {"a.c", "{\n    a();\n    |\n}\n", "if (x) {\n        y();\n    }\n    z();\n", "if (x) {\n        y();\n    }",
     FIM_STOP_BLOCK},
    {"a.c", "{\n    a();\n    |\n}\n", "}\n", "", FIM_STOP_SUFFIX},
    {"a.py", "def f():\n    a()\n    |\n    c()\n", "if x:\n        y()\n    z()\n", "if x:\n        y()",
     FIM_STOP_BLOCK},
    {"a.py", "def f():\n    a()\n    |\n\ndef g():\n", "return 1\n\n\ndef h", "return 1", FIM_STOP_LINE},
    /* a block */
    {"a.c", "int f(void)\n{\n    |\n}\n", "int x = g(\"}\");\n    return x;\n}\n", "int x = g(\"}\");\n    return x;",
     FIM_STOP_SUFFIX},
    {"a.c", "int f(void) {|\n", "\n    return 1;\n}\n\nint g", "\n    return 1;\n}", FIM_STOP_BLOCK},
    {"a.c", "int f(void) {|\n\nint g;\n", "\n    /* } */\n    return 1; // }\n", "", FIM_GOES_ON},
    {"a.py", "def f(x):|\n\nclass B:\n", "\n    return x\n\nclass C:\n", "\n    return x", FIM_STOP_BLOCK},
    {"a.py", "def f(x):\n    |\n\nx = 1\n", "y = x  # :\n    return y\ny = 2\n", "y = x  # :\n    return y",
     FIM_STOP_BLOCK},
    {"a.py", "for a in b:\n    |\nlast_line = 1\n", "c(a)\n    d(a)\nlast_line = 1\n", "c(a)\n    d(a)",
     FIM_STOP_BLOCK},
    {"a.py", "def f():\n    |\n    return value\n", "value = 1\n    return value\n", "value = 1", FIM_STOP_SUFFIX},
    {"a.c", "{\n    |\n", "a();\n\n\n\n    b();\n", "a();", FIM_STOP_BLOCK},
    {"a.c", "", "x", "x", FIM_GOES_ON},
};

static void split(const char *text, struct slice *prefix, struct slice *suffix)
{
    const char *cursor = strchr(text, '|');
    size_t at = cursor ? (size_t)(cursor - text) : 0;
    *prefix = (struct slice){text, at};
    *suffix = slice_from(cursor ? cursor + 1 : text);
}

static void test_stops(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof stops / sizeof *stops; i++) {
        const struct stop_case *one = &stops[i];
        struct slice prefix, suffix;
        struct fim_place place;
        size_t end = 99999, size = strlen(one->middle);
        split(one->text, &prefix, &suffix);
        fim_place_of(slice_from(one->path), prefix, suffix, &place);
        enum fim_stop stop = fim_stop_find(&place, one->middle, size, false, &end);
        if (stop != one->stop)
            fail_msg("%zu: \"%s\" + \"%s\": %d, not %d (end %zu)", i, one->text, one->middle, stop, one->stop, end);
        if (!stop)
            continue;
        if (end != strlen(one->counts) || memcmp(one->middle, one->counts, end) != 0)
            fail_msg("%zu: \"%s\" + \"%.*s\", not \"%s\"", i, one->text, (int)end, one->middle, one->counts);
        /* It ends no sooner: no beginning of what counts is at an end that says so, up to where the reason begins. */
        for (size_t n = 0; n < end; n++) {
            size_t sooner;
            if (fim_stop_find(&place, one->middle, n, false, &sooner) && sooner != end)
                fail_msg("%zu: \"%.*s\" ends already", i, (int)n, one->middle);
        }
    }
}

static void test_places(void **state)
{
    static const struct {
        const char *path, *text;
        enum fim_extent extent;
        size_t indent;
        bool is_inner;
    } places[] = {
        {"a.c", "int x = |\n", FIM_LINE, 0, false},
        {"a.c", "  |x;\n", FIM_LINE, 2, false},
        {"a.c", "{\n\t|\n}\n", FIM_BLOCK, 8, false},
        {"a.c", "{\n|\n}\n", FIM_BLOCK, 0, true},
        {"a.c", "f() { // {\n  a();\n  |\n", FIM_STATEMENT, 2, false},
        {"a.py", "if x:|\n", FIM_BLOCK, 0, true},
        {"a.py", "# why:\n|\n", FIM_STATEMENT, 0, false},
        {"a.c", "case 1:\n    |\n", FIM_STATEMENT, 4, false},
        {"", "|", FIM_STATEMENT, 0, false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        struct slice prefix, suffix;
        struct fim_place place;
        split(places[i].text, &prefix, &suffix);
        fim_place_of(slice_from(places[i].path), prefix, suffix, &place);
        if (place.extent != places[i].extent || place.indent != places[i].indent ||
            place.is_inner != places[i].is_inner)
            fail_msg("%zu: %d, %zu, %d", i, place.extent, place.indent, place.is_inner);
    }
}

static const struct trim_case {
    const char *path, *text, *middle, *left;
} trims[] = {
    {"a.c", "int x = |\n", "1;   ", "1;"},
    {"a.c", "    return foo(|\n", "return foo(a)", "a)"}, /* what stands before the cursor */
    {"a.c", "f(|);\n", "a, b);", "a, b"},                 /* behind it */
    {"a.c", "f(|);\n", "g(a)", "g(a)"},                   /* its own bracket stays */
    {"a.c", "f(|)\n", "a)", "a"},
    {"a.c", "x|yz = 1;\n", "_yz", "_yz"}, /* half a word is nobody's beginning */
    {"a.c", "{\n    |\n    return value;\n}\n", "value = 1;\n    return value;", "value = 1;"},
    {"a.c", "{\n    |\n}\n", "a();\n}", "a();"},
    {"a.c", "{\n    |\n}\n", "if (a) {\n        b();\n    }", "if (a) {\n        b();\n    }"},
    {"a.py", "    |\n", "x = f(1)\n    x = f(1)\n    x = f(1)", "x = f(1)"},
    {"a.py", "    |\n", "aaaa()\n    bbbb()\n    cccc()\n    bbbb()\n    cccc()", "aaaa()\n    bbbb()\n    cccc()"},
    {"a.c", "a;\r\n|\r\nb;\r\n", "c;\nd;", "c;\r\nd;"}, /* the file's own line ends */
    {"a.c", "|\n", "  \n ", ""},
    {"a.c", "x|\n", "", ""},
};

static void test_trims(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof trims / sizeof *trims; i++) {
        const struct trim_case *one = &trims[i];
        struct slice prefix, suffix;
        struct fim_place place;
        struct buffer middle = {0};
        split(one->text, &prefix, &suffix);
        fim_place_of(slice_from(one->path), prefix, suffix, &place);
        buffer_append_text(&middle, one->middle);
        fim_trim(&place, suffix, &middle);
        if (strcmp(buffer_text(&middle), one->left) != 0)
            fail_msg("%zu: \"%s\", not \"%s\"", i, buffer_text(&middle), one->left);
        buffer_deinit(&middle);
    }
}

/* Brackets must be even; what else a language asks for doesn't count here. */
static long count_open(void *context, const char *middle, size_t size)
{
    long open = 0, errors = 0;
    ++*(int *)context;
    for (size_t i = 0; i < size; i++) {
        open += middle[i] == '(' ? 1 : middle[i] == ')' ? -1 : 0;
        if (open < 0)
            errors++, open = 0;
    }
    return errors + open;
}

static void test_cut_back(void **state)
{
    static const struct {
        const char *middle, *left;
    } all[] = {{"a();\n    b(;\n    c();", "a();"}, {"a(b, c", "a"}, {"f(1)", "f(1)"}, {"(", ""}, {"", ""}};
    int calls = 0;
    const struct fim_syntax syntax = {&calls, count_open, NULL};
    const struct fim_place place = {0};
    (void)state;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        struct buffer middle = {0};
        buffer_append_text(&middle, all[i].middle);
        assert_int_equal(fim_cut_back(&place, &syntax, &middle), 0);
        assert_string_equal(buffer_text(&middle), all[i].left);
        buffer_deinit(&middle);
    }
    assert_true(calls > 0);
    struct buffer long_line = {0};
    for (int i = 0; i < 100000; i++)
        buffer_append_byte(&long_line, '(');
    calls = 0;
    assert_int_equal(fim_cut_back(&place, &syntax, &long_line), 0);
    assert_int_equal(long_line.size, 0);
    assert_true(calls < 100); /* however much there is to cut */
    buffer_deinit(&long_line);
    assert_true(fim_cut_back(&place, NULL, &long_line) < 0);
}

/* Any bytes at all: an end within the text, and trimming never makes it longer than line ends ask for. */
static void test_any_bytes(void **state)
{
    static const char letters[] = "ab \t\n\r(){}[]\"'#/*:;\xc3\xa9,";
    (void)state;
    uint64_t seed = 42;
    for (int round = 0; round < 3000; round++) {
        char text[3][64];
        size_t sizes[3];
        for (int k = 0; k < 3; k++) {
            seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
            sizes[k] = seed % 64;
            for (size_t i = 0; i < sizes[k]; i++) {
                seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
                text[k][i] = round % 5 ? letters[seed % (sizeof letters - 1)] : (char)(seed >> 9);
            }
        }
        struct fim_place place;
        struct slice prefix = {text[0], sizes[0]}, suffix = {text[1], sizes[1]};
        size_t end;
        struct buffer middle = {0};
        fim_place_of(slice_from(round % 2 ? "a.py" : "a.c"), prefix, suffix, &place);
        fim_stop_find(&place, text[2], sizes[2], round % 7 == 0, &end);
        assert_true(end <= sizes[2]);
        buffer_append(&middle, text[2], end);
        fim_trim(&place, suffix, &middle);
        assert_true(middle.size <= 2 * end);
        buffer_deinit(&middle);
    }
}

static size_t draw(uint64_t *seed, size_t n)
{
    *seed ^= *seed << 13, *seed ^= *seed >> 7, *seed ^= *seed << 17;
    return (size_t)(*seed % n);
}

/* Pieces that often repeat each other: what middles are trimmed of. */
static void write_pieces(uint64_t *seed, size_t most, struct buffer *out)
{
    static const char *const pieces[] = {
        "x = f(a)", "return", " ",   "    ",  "\n",       "\n",   "\n    ", ")", "}",   "{",  "(",          "a, ", ";",
        "y",        "\n\n",   "end", "\n}\n", "if (x) {", "\r\n", "[i]",    "'", "// ", "# ", "\n  return", ":",   "x"};
    for (size_t n = draw(seed, most); n > 0; n--)
        buffer_append_text(out, pieces[draw(seed, sizeof pieces / sizeof *pieces)]);
}

/* What was previewed while a middle came is how it begins in the end, wherever it ends. */
static void test_preview(void **state)
{
    uint64_t seed = 7;
    size_t n_previewed = 0, n_final = 0, n_wrong = 0;
    (void)state;
    for (int round = 0; round < 20000; round++) {
        struct buffer prefix = {0}, suffix = {0}, text = {0}, seen = {0}, preview = {0}, final = {0};
        struct fim_place place;
        size_t end = 0, size = 0;
        write_pieces(&seed, 12, &prefix);
        write_pieces(&seed, 8, &suffix);
        write_pieces(&seed, 24, &text);
        struct slice behind = {buffer_text(&suffix), suffix.size};
        fim_place_of(slice_from(round % 2 ? "a.py" : "a.c"), (struct slice){buffer_text(&prefix), prefix.size}, behind,
                     &place);
        enum fim_stop stop = FIM_GOES_ON;
        while (size < text.size && !stop) {
            size += 1 + draw(&seed, 5);
            size = size < text.size ? size : text.size;
            stop = fim_stop_find(&place, buffer_text(&text), size, false, &end);
            if (stop)
                break;
            fim_preview(&place, behind, (struct slice){buffer_text(&text), size}, &preview);
            if (preview.size > seen.size) {
                buffer_clear(&seen);
                buffer_append(&seen, preview.data, preview.size);
            }
        }
        if (!stop)
            fim_stop_find(&place, buffer_text(&text), size, true, &end);
        buffer_append(&final, buffer_text(&text), stop ? end : size);
        fim_trim(&place, behind, &final);
        n_previewed += seen.size;
        n_final += final.size;
        if (seen.size > final.size || (seen.size && memcmp(seen.data, final.data, seen.size) != 0)) {
            if (!n_wrong++)
                print_message("# extent %d: before \"%s\" behind \"%s\": \"%s\" was told of \"%s\" (of \"%.*s\")\n",
                              (int)place.extent, buffer_text(&prefix), buffer_text(&suffix), buffer_text(&seen),
                              buffer_text(&final), (int)size, buffer_text(&text));
        }
        buffer_deinit(&prefix);
        buffer_deinit(&suffix);
        buffer_deinit(&text);
        buffer_deinit(&seen);
        buffer_deinit(&preview);
        buffer_deinit(&final);
    }
    print_message("# told before the end: %zu of %zu bytes\n", n_previewed, n_final);
    assert_int_equal(n_wrong, 0);
    assert_true(n_previewed * 5 > n_final);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stops),    cmocka_unit_test(test_places),    cmocka_unit_test(test_trims),
        cmocka_unit_test(test_cut_back), cmocka_unit_test(test_any_bytes), cmocka_unit_test(test_preview),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
