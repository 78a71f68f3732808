/* Tests of repo/selection: marks, what a file becomes by them, patches, hunks edited by hand; and of the journal's records. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "repo/journal_internal.h"
#include "repo/selection.h"

static const char old_text[] = "a\nb\nc\nd\ne\nf\ng\nh\n";
static const char new_text[] = "a\nB\nBB\nc\nd\ne\nf\nh\nend";
static const char patch[] = "--- a/x\n+++ b/x\n@@ -1,4 +1,5 @@\n a\n-b\n+B\n+BB\n c\n d\n@@ -6,3 +7,3 @@ e\n f\n-g\n "
                            "h\n+end\n\\ No newline at end of file\n";

static struct diff *parse(const char *text)
{
    struct diff *diff = NULL;
    struct error error = {0};
    assert_int_equal(diff_parse(text, strlen(text), &diff, &error), STATUS_OK);
    return diff;
}

static struct selection *select_none(const struct diff *diff)
{
    struct selection *selection = NULL;
    assert_int_equal(selection_new(diff, &selection, NULL), STATUS_OK);
    return selection;
}

static void check_applied(const struct selection *selection, bool reverse, const char *base, const char *expected)
{
    struct buffer out = {0};
    struct error error = {0};
    enum status status = selection_apply(selection, 0, reverse, slice_from(base), &out, &error);
    if (expected) {
        assert_int_equal(status, STATUS_OK);
        assert_string_equal(buffer_text(&out), expected);
    } else {
        assert_int_equal(status, STATUS_FORMAT);
    }
    buffer_deinit(&out);
}

static void test_marks(void **state)
{
    (void)state;
    struct diff *diff = parse(patch);
    struct selection *selection = select_none(diff);
    size_t first, n;
    assert_int_equal(selection_of_file(selection, 0), SELECTION_NONE);
    selection_mark_lines(selection, 0, 0, 2, true); /* context and "-b" */
    assert_int_equal(selection_of_hunk(selection, 0), SELECTION_PART);
    assert_int_equal(selection->lines[0], 0);
    assert_int_equal(selection->lines[1], 1);
    selection_mark_hunk(selection, 0, true);
    assert_int_equal(selection_of_hunk(selection, 0), SELECTION_ALL);
    assert_int_equal(selection_of_file(selection, 0), SELECTION_PART);
    selection_mark_file(selection, 0, true);
    assert_int_equal(selection_of_file(selection, 0), SELECTION_ALL);
    selection_mark_lines(selection, 1, 1, 1, false);
    assert_int_equal(selection_of_file(selection, 0), SELECTION_PART);
    selection_clear(selection);
    assert_int_equal(selection_of_file(selection, 0), SELECTION_NONE);
    assert_int_equal(selection_mark_range(selection, 0, 2, 3, true), 3); /* "-b" stands before the new line 2 */
    assert_int_equal(selection_of_hunk(selection, 0), SELECTION_ALL);
    assert_int_equal(selection_mark_range(selection, 0, 9, 9, true), 1);
    assert_int_equal(selection_of_hunk(selection, 1), SELECTION_PART);
    /* Beyond what there is. */
    selection_mark_hunk(selection, 99, true);
    selection_mark_file(selection, 99, true);
    selection_mark_lines(selection, 1, 99, 99, true);
    assert_int_equal(selection_mark_range(selection, 7, 1, 9, true), 0);
    assert_true(selection_next_part(diff, 1, 0, &first, &n));
    assert_int_equal(first, 1);
    assert_int_equal(n, 1);
    assert_true(selection_next_part(diff, 1, first + n, &first, &n));
    assert_int_equal(first, 3);
    assert_false(selection_next_part(diff, 1, first + n, &first, &n));
    selection_free(selection);
    diff_free(diff);
}

static void test_apply(void **state)
{
    (void)state;
    struct diff *diff = parse(patch);
    struct selection *selection = select_none(diff);
    check_applied(selection, false, old_text, old_text);
    check_applied(selection, true, new_text, new_text);
    selection_mark_lines(selection, 0, 3, 1, true); /* +BB */
    check_applied(selection, false, old_text, "a\nb\nBB\nc\nd\ne\nf\ng\nh\n");
    check_applied(selection, true, new_text, "a\nB\nc\nd\ne\nf\nh\nend");
    selection_clear(selection);
    selection_mark_lines(selection, 1, 1, 1, true); /* -g */
    check_applied(selection, true, new_text, "a\nB\nBB\nc\nd\ne\nf\ng\nh\nend");
    selection_mark_file(selection, 0, true);
    check_applied(selection, false, old_text, new_text);
    check_applied(selection, true, new_text, old_text);
    /* Not what the diff was made from. */
    check_applied(selection, false, new_text, NULL);
    check_applied(selection, false, "a\n", NULL);
    check_applied(selection, false, "", NULL);
    selection_free(selection);
    diff_free(diff);
}

/* Without context, and where ends of lines are missing. */
static void test_ends(void **state)
{
    (void)state;
    struct diff *diff = parse(
        "--- a/x\n+++ b/x\n@@ -2 +2,2 @@\n-b\n\\ No newline at end of file\n+b\n+c\n\\ No newline at end of file\n");
    struct selection *selection = select_none(diff);
    struct buffer out = {0};
    selection_mark_lines(selection, 0, 2, 1, true); /* +c alone: b gets an end */
    check_applied(selection, false, "a\nb", "a\nb\nc");
    selection_print(selection, 0, false, &out);
    assert_non_null(
        strstr(buffer_text(&out), "@@ -2 +2,2 @@\n-b\n\\ No newline at end of file\n+b\n+c\n\\ No newline"));
    selection_clear(selection);
    selection_mark_lines(selection, 0, 1, 1, true); /* +b behind b */
    check_applied(selection, false, "a\nb", "a\nb\nb\n");
    check_applied(selection, true, "a\nb\nc", "a\nc");
    selection_free(selection);
    diff_free(diff);
    diff = parse("--- a/x\n+++ b/x\n@@ -1,0 +2,1 @@\n+two\r\n@@ -5 +5,0 @@\n-five\n");
    selection = select_none(diff);
    selection_mark_file(selection, 0, true);
    check_applied(selection, false, "one", NULL); /* line 5 isn't there */
    check_applied(selection, false, "1\n3\n4\n\nfive\n", "1\ntwo\r\n3\n4\n\n");
    check_applied(selection, true, "1\ntwo\r\n3\n4\n\n", "1\n3\n4\n\nfive\n");
    selection_free(selection);
    diff_free(diff);
    buffer_deinit(&out);
}

static void test_print(void **state)
{
    (void)state;
    struct diff *diff = parse(patch);
    struct selection *selection = select_none(diff);
    struct buffer out = {0};
    selection_print(selection, 0, false, &out);
    assert_int_equal(out.size, 0);
    selection_mark_lines(selection, 0, 3, 1, true);
    selection_mark_lines(selection, 1, 1, 1, true);
    selection_print(selection, 0, false, &out);
    assert_string_equal(
        buffer_text(&out),
        "diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1,4 +1,5 @@\n a\n b\n+BB\n c\n d\n@@ -6,3 +7,2 @@ e\n f\n-g\n h\n");
    buffer_clear(&out);
    selection_print(selection, 0, true, &out);
    assert_string_equal(buffer_text(&out), "diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1,4 +1,5 @@\n a\n B\n+BB\n c\n "
                                           "d\n@@ -6,4 +7,3 @@ e\n f\n-g\n h\n end\n\\ No newline at end of file\n");
    buffer_deinit(&out);
    selection_free(selection);
    diff_free(diff);
}

static void check_edit(const struct diff *diff, bool reverse, const char *text, enum status expected,
                       const char *header)
{
    struct diff *edited = NULL;
    struct selection *selection = NULL;
    struct buffer out = {0};
    struct error error = {0};
    assert_int_equal(selection_edit_hunk(diff, 1, reverse, text, strlen(text), &edited, &selection, &error), expected);
    if (expected) {
        assert_true(*error.text);
        return;
    }
    selection_print(selection, 0, reverse, &out);
    assert_non_null(strstr(buffer_text(&out), header));
    selection_free(selection);
    diff_free(edited);
    buffer_deinit(&out);
}

static void test_edit(void **state)
{
    (void)state;
    struct diff *diff = parse(patch);
    check_edit(diff, false, "@@ whatever\n f\n-g\n+G\n h\n# said\n", STATUS_OK, "@@ -6,3 +6,3 @@\n f\n-g\n+G\n h\n");
    check_edit(diff, false, " g\n-h\n", STATUS_OK, "@@ -7,2 +7 @@\n g\n-h\n");
    check_edit(diff, false, " f\n-g\n h\n+end", STATUS_OK, "@@ -6,3 +6,3 @@\n f\n-g\n h\n+end\n");
    check_edit(diff, true, " f\n-G\n h\n+end\n\\ No newline\n", STATUS_OK, "@@ -7,3 +7,3 @@");
    check_edit(diff, false, " f\n+x\n h\n", STATUS_FORMAT, NULL); /* a gap */
    check_edit(diff, false, " f\n-g\n h\n i\n+x\n", STATUS_FORMAT, NULL);
    check_edit(diff, false, "+x\n", STATUS_FORMAT, NULL);
    check_edit(diff, false, "f\n", STATUS_FORMAT, NULL);
    check_edit(diff, false, " f\n g\n", STATUS_CANCELLED, NULL);
    check_edit(diff, false, "# all gone\n", STATUS_CANCELLED, NULL);
    struct diff *edited;
    struct selection *selection;
    assert_int_equal(selection_edit_hunk(diff, 9, false, "", 0, &edited, &selection, NULL), STATUS_ARGUMENT);
    diff_free(diff);
}

/* ---- the journal's records ---- */

static void test_record(void **state)
{
    (void)state;
    struct journal_change changes[2] = {{.path = "src/a.c", .has_entry = true, .keeps_blob = true},
                                        {.path = "b", .has_file = true}};
    struct journal_record record = {.what = "stage of src/a.c", .changes = changes, .n = 2}, again;
    struct buffer bytes = {0};
    changes[0].entry_before = (struct journal_entry){.mode = 0100644, .is_intent = true, .id.bytes = {1, 2}};
    changes[0].entry_after.mode = 0100755;
    changes[1].file_before = (struct journal_file){.mode = 0100600, .id.bytes = {9}};
    buffer_append(&changes[0].blob_before, "blob\0x", 6);
    buffer_append_text(&changes[1].bytes_before, "bytes");
    journal_write_record(&record, &bytes);
    assert_int_equal(journal_read_record(bytes.data, bytes.size, &again, NULL), STATUS_OK);
    assert_int_equal(again.n, 2);
    assert_string_equal(again.what, record.what);
    assert_string_equal(again.changes[0].path, "src/a.c");
    assert_memory_equal(&again.changes[0].entry_before.id, &changes[0].entry_before.id, 20);
    assert_true(again.changes[0].entry_before.is_intent);
    assert_int_equal(again.changes[0].entry_after.mode, 0100755);
    assert_int_equal(again.changes[0].blob_before.size, 6);
    assert_int_equal(again.changes[1].file_before.mode, 0100600);
    assert_string_equal(buffer_text(&again.changes[1].bytes_before), "bytes");
    journal_record_deinit(&again);
    const size_t n_magic = strlen("fathom-undo 1\n");
    for (size_t i = 0; i < bytes.size;
         i++) { /* cut anywhere, and any byte another one: another magic is another version's */
        assert_int_equal(journal_read_record(bytes.data, i, &again, NULL), STATUS_FORMAT);
        bytes.data[i] ^= 0x11;
        assert_int_equal(journal_read_record(bytes.data, bytes.size, &again, NULL),
                         i < n_magic ? STATUS_UNSUPPORTED : STATUS_FORMAT);
        bytes.data[i] ^= 0x11;
    }
    changes[1].path = "../etc"; /* whoever wrote that */
    buffer_clear(&bytes);
    journal_write_record(&record, &bytes);
    assert_int_equal(journal_read_record(bytes.data, bytes.size, &again, NULL), STATUS_FORMAT);
    buffer_deinit(&bytes);
    buffer_deinit(&changes[0].blob_before);
    buffer_deinit(&changes[1].bytes_before);
}

static void test_paths(void **state)
{
    (void)state;
    static const char *const safe[] = {"a",   "a/b", ".gitignore", ".github/x", "a.git",
                                       "git", ".gi", "\xff",       "...",       "a/..b"};
    static const char *const unsafe[] = {"",
                                         "/a",
                                         "a/",
                                         "a//b",
                                         ".",
                                         "..",
                                         "a/../b",
                                         "./a",
                                         ".git",
                                         ".GIT/config",
                                         "a/.Git/x",
                                         "git~1",
                                         ".git ",
                                         ".git.",
                                         ".git/x",
                                         ".git::$INDEX_ALLOCATION",
                                         ".g\xe2\x80\x8cit",
                                         "\xef\xbb\xbf.git"};
    for (size_t i = 0; i < sizeof safe / sizeof *safe; i++)
        assert_true(repo_is_safe_path(safe[i], strlen(safe[i])));
    for (size_t i = 0; i < sizeof unsafe / sizeof *unsafe; i++)
        assert_false(repo_is_safe_path(unsafe[i], strlen(unsafe[i])));
    assert_false(repo_is_safe_path("a\0b", 3));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_marks), cmocka_unit_test(test_apply), cmocka_unit_test(test_ends),
        cmocka_unit_test(test_print), cmocka_unit_test(test_edit),  cmocka_unit_test(test_record),
        cmocka_unit_test(test_paths),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
