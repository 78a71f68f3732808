/* Tests of app/propose: what becomes of a model's words before they are a commit's message. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "app/propose.h"

static void check(const char *said, const char *expected)
{
    struct buffer out = {0};
    propose_clean(said, strlen(said), &out);
    assert_string_equal(buffer_text(&out), expected);
    buffer_deinit(&out);
}

static void test_clean(void **state)
{
    (void)state;
    check("", "");
    check(" \n\n```\n```\n", "");
    check("Fix the parser", "Fix the parser\n");
    check("  \"Fix the parser\"  \n", "Fix the parser\n");
    check("Commit message: Fix it\n", "Fix it\n");
    check("**Subject:** Fix it\n", "Fix it\n");
    check("```text\nFix it\n\nBecause it broke.\n```\nHope this helps!\n", "Fix it\n\nBecause it broke.\n");
    check("- Fix it", "Fix it\n");
    check("* Fix it", "Fix it\n");
    check("***\nFix it", "Fix it\n");
    check("**Subject: Fix it**", "Fix it\n");
    check("Subject: \"Fix it\"", "Fix it\n");
    check("Fix it\nat once", "Fix it\n\nat once\n");
    check("Fix it\n\n\n\nWhy.\n\nMore.\n", "Fix it\n\nWhy.\n\nMore.\n");
    check("Fix it\n# a comment for git\n", "Fix it\n\na comment for git\n");
    check("Fix it\n\ndiff --git a/x b/x\n+secret\n", "Fix it\n");
    check("Fix \x1b[31mit\r\n", "Fix ^[[31mit\n");
    check("s\n\n1\n\n2\n3\n4\n5\n6\n7\n8\n9\n10\n11\n12\n13\n", "s\n\n1\n\n2\n3\n4\n5\n6\n7\n8\n9\n10\n11\n12\n");
}

/* Marks go only as a pair around all of the line. */
static void test_marks(void **state)
{
    (void)state;
    static const char *const same[] = {
        "Rename 'foo' to 'bar'",  "'foo' is 'bar'",        "\"a\" or \"b\"", "Use `x`", "`x` and `y`", "**x** is *y*",
        "**Fix** the **parser**", "Port the parser to C#", "Say \"no\"",     "*a = *b", "Drop char *"};
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        char expected[64];
        snprintf(expected, sizeof expected, "%s\n", same[i]);
        check(same[i], expected);
    }
    check("'Don't fail'", "Don't fail\n");
    check("\"Rename \"foo\" to \"bar\"\"", "Rename \"foo\" to \"bar\"\n");
    check("**Fix it**", "Fix it\n");
    check("**`Fix it`**", "Fix it\n");
    check("``Fix it``", "Fix it\n");
    check("# Port it to C#\n\n# From F# to C#\n", "Port it to C#\n\nFrom F# to C#\n");
}

/* No line begins with '#', which git takes for a comment. */
static void test_comments(void **state)
{
    (void)state;
    check("#12: fix", "12: fix\n");
    check("\"#12: fix\"", "12: fix\n");
    check("**\"# #12: fix\"**", "12: fix\n");
    check("\"#\"\nFix it", "Fix it\n");
    check("Fix it\n\n# # a heading\n", "Fix it\n\na heading\n");
    struct buffer said = {0}, out = {0};
    for (size_t n = 40; n < 90; n++) { /* the words behind "see" come to stand everywhere */
        buffer_clear(&said);
        buffer_clear(&out);
        buffer_append_text(&said, "Fix it\n\n");
        for (size_t i = 0; i < n; i++)
            buffer_append_byte(&said, i % 10 == 9 ? ' ' : 'a');
        buffer_append_text(&said, " see #1234 #5678 for it.\n");
        propose_clean(said.data, said.size, &out);
        assert_non_null(strstr(out.data, "see #1234 #5678"));
        assert_null(strstr(out.data, "\n#"));
        buffer_clear(&out);
        buffer_clear(&said);
        buffer_append_text(&said, "Fix it\n\n");
        for (size_t i = 0; i < n; i++) /* nowhere to break */
            buffer_append_byte(&said, 'a');
        buffer_append_text(&said, " #1234#5678");
        propose_clean(said.data, said.size, &out);
        assert_null(strstr(out.data, "\n#"));
        assert_null(strstr(out.data, "\n\n\n"));
    }
    buffer_deinit(&said);
    buffer_deinit(&out);
}

/* Subjects are cut between words, what is left of them is left out; bodies are wrapped. */
static void test_width(void **state)
{
    (void)state;
    struct buffer long_one = {0}, out = {0};
    for (int i = 0; i < 40; i++)
        buffer_append_text(&long_one, "w\xc3\xb6rd "); /* 4 characters, 5 bytes */
    buffer_append_text(&long_one, "\n\n");
    for (int i = 0; i < 40; i++)
        buffer_append_text(&long_one, "body ");
    propose_clean(long_one.data, long_one.size, &out);
    size_t n = 0;
    for (const char *line = out.data; *line; line = strchr(line, '\n') + 1, n++) {
        size_t characters = 0;
        for (const char *c = line; *c != '\n'; c++)
            characters += ((unsigned char)*c & 0xc0) != 0x80;
        assert_true(characters <= PROPOSE_LINE);
        assert_true(n == 1 ? characters == 0 : characters > 0);
    }
    assert_int_equal(n, 5); /* 14 words of 40; then 40 in three lines */
    buffer_clear(&long_one);
    buffer_clear(&out);
    for (int i = 0; i < 100; i++)
        buffer_append_text(&long_one, "\xc3\xb6");
    propose_clean(long_one.data, long_one.size, &out); /* one word that is too long */
    assert_int_equal(out.size, 2 * PROPOSE_SUBJECT + 1);
    buffer_deinit(&long_one);
    buffer_deinit(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_clean), cmocka_unit_test(test_marks),
                                       cmocka_unit_test(test_comments), cmocka_unit_test(test_width)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
