/* Tests of app/propose: what becomes of a model's words before they are a commit's message. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

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
    check("Fix it\nat once", "Fix it\n\nat once\n");
    check("Fix it\n\n\n\nWhy.\n\nMore.\n", "Fix it\n\nWhy.\n\nMore.\n");
    check("Fix it\n# a comment for git\n", "Fix it\n\na comment for git\n");
    check("Fix it\n\ndiff --git a/x b/x\n+secret\n", "Fix it\n");
    check("Fix \x1b[31mit\r\n", "Fix ^[[31mit\n");
    check("s\n\n1\n\n2\n3\n4\n5\n6\n7\n8\n9\n10\n11\n12\n13\n", "s\n\n1\n\n2\n3\n4\n5\n6\n7\n8\n9\n10\n11\n12\n");
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
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_clean), cmocka_unit_test(test_width)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
