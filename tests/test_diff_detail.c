/* Partners, words and moved lines of a diff (repo/diff_detail.h). */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "repo/diff_detail.h"

static struct diff *parse(const char *text)
{
    struct diff *diff;
    struct error error;
    assert_int_equal(diff_parse(text, strlen(text), &diff, &error), STATUS_OK);
    return diff;
}

/* Partners as "0-2 1-3", and the differing words of each line as "0:old,older". */
static char *describe(const struct diff *diff, size_t hunk)
{
    struct diff_words words;
    struct buffer out = {0};
    struct error error;
    assert_int_equal(diff_words_of_hunk(diff, hunk, &words, &error), STATUS_OK);
    const struct diff_line *lines = diff->lines + diff->hunks[hunk].first_line;
    for (uint32_t i = 0; i < words.n_lines; i++)
        if (words.partner[i] > (int32_t)i) {
            assert_int_equal(words.partner[words.partner[i]], i);
            buffer_printf(&out, "%u-%d ", i, words.partner[i]);
        }
    uint32_t line = UINT32_MAX, end = 0;
    for (size_t i = 0; i < words.n; i++) {
        const struct diff_word *word = &words.at[i];
        assert_true(word->begin < word->end && word->end <= lines[word->line].text.size);
        assert_true(line == UINT32_MAX || word->line > line || (word->line == line && word->begin > end));
        if (word->line != line)
            buffer_printf(&out, "%u:", word->line);
        buffer_append_byte(&out, '[');
        buffer_append(&out, lines[word->line].text.data + word->begin, word->end - word->begin);
        buffer_append_byte(&out, ']');
        line = word->line;
        end = word->end;
    }
    char *text = strdup(buffer_text(&out));
    buffer_deinit(&out);
    diff_words_deinit(&words);
    return text;
}

static void expect_words(const char *patch, const char *expected)
{
    struct diff *diff = parse(patch);
    char *found = describe(diff, 0);
    assert_string_equal(found, expected);
    free(found);
    diff_free(diff);
}

#define FILES "--- a/x.c\n+++ b/x.c\n"

static void test_words(void **state)
{
    (void)state;
    expect_words(FILES "@@ -1,3 +1,3 @@\n a\n-    if (n > limit)\n+    if (n >= limit)\n b\n", "1-2 2:[=]");
    expect_words(FILES "@@ -1 +1 @@\n-int old_name(int a, char *b);\n+long new_name(int a, char *b);\n",
                 "0-1 0:[int][old_name]1:[long][new_name]");
    /* Only the end of the line differs: no word does. */
    expect_words(FILES "@@ -1 +1 @@\n-same words\n\\ No newline at end of file\n+same words\n", "0-1 ");
    /* What shares too little has no partner. */
    expect_words(FILES "@@ -1 +1 @@\n-alpha beta gamma\n+one two three\n", "");
}

static void test_partners(void **state)
{
    (void)state;
    /* An added line before the pair moves the partner down. */
    expect_words(
        FILES "@@ -1,2 +1,3 @@\n-    count = count + 1;\n-    free(list);\n+    check(list);\n+    count = count + 2;\n"
              "+    free(list->next);\n",
        "0-3 1-4 0:[1]3:[2]4:[->next]");
    /* Two changes of one hunk keep apart. */
    expect_words(FILES "@@ -1,3 +1,3 @@\n-first line a\n+first line b\n middle\n-second line a\n+second line b\n",
                 "0-1 3-4 0:[a]1:[b]3:[a]4:[b]");
}

static void test_large_change(void **state)
{
    struct buffer patch = {0};
    (void)state;
    buffer_append_text(&patch, FILES "@@ -1,200 +1,200 @@\n");
    for (int i = 0; i < 200; i++)
        buffer_printf(&patch, "-value number %d of the old list\n", i);
    for (int i = 0; i < 200; i++)
        buffer_printf(&patch, "+value number %d of the new list\n", i);
    struct diff *diff = parse(buffer_text(&patch));
    struct diff_words words;
    struct error error;
    assert_int_equal(diff_words_of_hunk(diff, 0, &words, &error), STATUS_OK);
    for (int32_t i = 0; i < 200; i++)
        assert_int_equal(words.partner[i], 200 + i);
    assert_int_equal(words.n, 400);
    diff_words_deinit(&words);
    diff_free(diff);
    buffer_deinit(&patch);
}

static void test_long_lines(void **state)
{
    struct buffer patch = {0};
    (void)state;
    buffer_append_text(&patch, FILES "@@ -1 +1 @@\n-");
    for (int i = 0; i < 3000; i++)
        buffer_append_text(&patch, "x ");
    buffer_append_text(&patch, "\n+");
    for (int i = 0; i < 2000; i++) /* more words than are told apart, but not too long a line */
        buffer_append_text(&patch, "y ");
    buffer_append_text(&patch, "\n");
    struct diff *diff = parse(buffer_text(&patch));
    char *found = describe(diff, 0);
    assert_string_equal(found, "");
    free(found);
    diff_free(diff);
    buffer_deinit(&patch);
}

static void expect_moved(const char *patch, const char *expected)
{
    struct diff *diff = parse(patch);
    uint8_t *moved;
    struct error error;
    assert_int_equal(diff_find_moved(diff, NULL, &moved, &error), STATUS_OK);
    assert_int_equal(strlen(expected), diff->n_lines);
    for (size_t i = 0; i < diff->n_lines; i++)
        assert_int_equal(moved[i] ? 'm' : '.', expected[i]);
    free(moved);
    diff_free(diff);
}

static void test_moved(void **state)
{
    (void)state;
    /* With another indentation, and from one hunk to the next. */
    expect_moved(FILES "@@ -1,4 +1,1 @@\n kept\n-int helper_of(long value)\n-{\n-}\n"
                       "@@ -20,1 +17,5 @@\n kept\n+    int helper_of(long value)\n+    {\n+    }\n+other\n",
                 ".mmm.mmm.");
    /* Braces alone are chance. */
    expect_moved(FILES "@@ -1,2 +1,2 @@\n-}\n+{\n x\n@@ -9,2 +9,2 @@\n-{\n+}\n x\n", "......");
    /* Taken once: the copy of a moved line is new. */
    expect_moved(FILES "@@ -1,2 +1,1 @@\n-a line that is long enough to mean something\n x\n@@ -9,1 +8,3 @@\n x\n"
                       "+a line that is long enough to mean something\n+a line that is long enough to mean something\n",
                 "m..m.");
}

static void test_moved_cancel(void **state)
{
    struct diff *diff = parse(FILES "@@ -1 +1 @@\n-a\n+b\n");
    atomic_bool cancel = true;
    uint8_t *moved;
    struct error error;
    (void)state;
    assert_int_equal(diff_find_moved(diff, &cancel, &moved, &error), STATUS_CANCELLED);
    assert_null(moved);
    diff_free(diff);
}

/* 20,000 braces on both sides take no quadratic time: the test's limit would be passed. */
static void test_moved_braces(void **state)
{
    struct buffer patch = {0};
    (void)state;
    buffer_append_text(&patch, FILES "@@ -1,20000 +1,20001 @@\n");
    for (int i = 0; i < 20000; i++)
        buffer_append_text(&patch, "-}\n");
    for (int i = 0; i < 20001; i++)
        buffer_append_text(&patch, "+ }\n");
    struct diff *diff = parse(buffer_text(&patch));
    uint8_t *moved;
    struct error error;
    assert_int_equal(diff_find_moved(diff, NULL, &moved, &error), STATUS_OK);
    for (size_t i = 0; i < diff->n_lines; i++)
        assert_int_equal(moved[i], 0);
    free(moved);
    diff_free(diff);
    buffer_deinit(&patch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_words),        cmocka_unit_test(test_partners), cmocka_unit_test(test_large_change),
        cmocka_unit_test(test_long_lines),   cmocka_unit_test(test_moved),    cmocka_unit_test(test_moved_cancel),
        cmocka_unit_test(test_moved_braces),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
