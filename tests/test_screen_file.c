/* Texts that are edited, files that are opened and saved, and lists to choose from. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "app/file.h"
#include "app/mention.h"
#include "app/picker.h"

/* ---- texts ---- */

static void check_lines(const struct text *text)
{
    const char *bytes = text_bytes(text);
    size_t n = 0;
    assert_int_equal(text->lines[0], 0);
    for (size_t at = 0; at < text->bytes.size; at++)
        if (bytes[at] == '\n') {
            assert_true(++n < text->n_lines);
            assert_int_equal(text->lines[n], at + 1);
        }
    assert_int_equal(text->n_lines, n + 1);
}

/* What was there before an edit becomes what is there now by what text_take_edit tells, and by nothing else. */
static void check_edit(struct text *text, struct buffer *known)
{
    size_t begin, old_end, new_end;
    struct buffer made = {0};
    const char *bytes = text_bytes(text);
    if (text_take_edit(text, &begin, &old_end, &new_end)) {
        assert_true(begin <= old_end && old_end <= known->size && begin <= new_end && new_end <= text->bytes.size);
        buffer_append(&made, buffer_text(known), begin);
        buffer_append(&made, bytes + begin, new_end - begin);
        buffer_append(&made, buffer_text(known) + old_end, known->size - old_end);
        assert_int_equal(made.size, text->bytes.size);
        assert_memory_equal(buffer_text(&made), bytes, made.size);
        buffer_deinit(known);
        *known = made;
    }
    assert_int_equal(known->size, text->bytes.size);
}

static uint32_t next_random(uint32_t *state)
{
    *state = *state * 1664525 + 1013904223;
    return *state >> 8;
}

static void test_text_by_chance(void **state)
{
    (void)state;
    static const char *const pieces[] = {"a", "\n", "\r\n", "bc\nd", "\xff\xfe", "", "\xe6\x97\xa5", " x"};
    struct text text = {0};
    struct buffer states[200] = {0}, known = {0};
    uint32_t seed = 7;
    size_t n = 0, cursor = 0;
    assert_int_equal(text_set(&text, "one\ntwo\r\nthree", 14, NULL), STATUS_OK);
    buffer_append(&known, "one\ntwo\r\nthree", 14);
    for (; n < 199; n++) {
        const char *piece = pieces[next_random(&seed) % 8];
        size_t size = text.bytes.size, begin = next_random(&seed) % (size + 1), most = size - begin;
        size_t end = begin + (next_random(&seed) % 3 == 0 ? next_random(&seed) % (most + 1) : 0);
        buffer_append(&states[n], text_bytes(&text), size);
        if (begin == end && !*piece)
            piece = "z";
        assert_true(text_replace(&text, begin, end, piece, strlen(piece), cursor, false));
        cursor = begin + strlen(piece);
        check_lines(&text);
        if (next_random(&seed) % 3 == 0) /* several edits are told as one */
            check_edit(&text, &known);
    }
    buffer_append(&states[n], text_bytes(&text), text.bytes.size);
    check_edit(&text, &known);
    for (size_t i = n; i-- > 0;) {
        assert_true(text_undo(&text, &cursor));
        assert_int_equal(text.bytes.size, states[i].size);
        assert_memory_equal(text_bytes(&text), buffer_text(&states[i]), states[i].size);
        check_lines(&text);
        if (i % 5 == 0)
            check_edit(&text, &known);
    }
    assert_false(text_undo(&text, &cursor));
    assert_false(text_is_changed(&text));
    for (size_t i = 1; i <= n; i++) {
        assert_true(text_redo(&text, &cursor));
        assert_int_equal(text.bytes.size, states[i].size);
        assert_memory_equal(text_bytes(&text), buffer_text(&states[i]), states[i].size);
    }
    assert_false(text_redo(&text, &cursor));
    check_edit(&text, &known);
    for (size_t i = 0; i <= n; i++)
        buffer_deinit(&states[i]);
    buffer_deinit(&known);
    text_deinit(&text);
}

static void test_typing_is_undone_by_word(void **state)
{
    (void)state;
    struct editor editor = {.goal = -1};
    assert_int_equal(text_set(&editor.text, "", 0, NULL), STATUS_OK);
    for (const char *c = "int x"; *c; c++)
        assert_true(editor_insert(&editor, c, 1, true));
    assert_true(editor_act(&editor, EDITOR_UNDO));
    assert_string_equal(text_bytes(&editor.text), "int");
    assert_int_equal(editor.cursor, 3);
    assert_true(editor_act(&editor, EDITOR_UNDO));
    assert_string_equal(text_bytes(&editor.text), "");
    assert_true(editor_act(&editor, EDITOR_REDO) && editor_act(&editor, EDITOR_REDO));
    assert_string_equal(text_bytes(&editor.text), "int x");
    editor_deinit(&editor);
}

static void test_editor(void **state)
{
    (void)state;
    struct editor editor = {.goal = -1, .rows = 10};
    static const char source[] = "f(a)\r\n\tlong_name = 1;\r\n\xe6\x97\xa5x\xff\r\n";
    assert_int_equal(text_set(&editor.text, source, sizeof source - 1, NULL), STATUS_OK);
    editor_act(&editor, EDITOR_LINE_END);
    assert_int_equal(editor.cursor, 4); /* before CR LF, which is one step */
    editor_act(&editor, EDITOR_RIGHT);
    assert_int_equal(editor.cursor, 6);
    editor_act(&editor, EDITOR_LEFT);
    assert_int_equal(editor.cursor, 4);
    editor_act(&editor, EDITOR_DOWN);
    assert_int_equal(editor_column(&editor.text, editor.cursor), 4);
    editor_act(&editor, EDITOR_LINE_END);
    editor_act(&editor, EDITOR_NEWLINE); /* as the text's lines end, indented as the line is */
    assert_memory_equal(text_bytes(&editor.text) + editor.cursor - 3, "\r\n\t", 3);
    editor_act(&editor, EDITOR_UNDO);
    editor_act(&editor, EDITOR_DELETE_RIGHT); /* the whole line end */
    assert_non_null(strstr(text_bytes(&editor.text), "= 1;\xe6\x97\xa5x"));
    editor_act(&editor, EDITOR_UNDO);
    editor_go(&editor, sizeof source - 1);
    editor_act(&editor, EDITOR_LEFT);
    editor_act(&editor, EDITOR_DELETE_LEFT); /* one byte that is no text */
    assert_int_equal(editor.text.bytes.size, sizeof source - 2);
    editor_act(&editor, EDITOR_UNDO);
    assert_memory_equal(text_bytes(&editor.text), source, sizeof source - 1);
    buffer_append_text(&editor.pattern, "long");
    assert_true(editor_search(&editor, 1) && text_line_of(&editor.text, editor.cursor) == 1);
    assert_true(editor_search(&editor, -1) && text_line_of(&editor.text, editor.cursor) == 1);
    size_t at;
    assert_true(slice_equals(editor_word(&editor, &at), "long_name"));
    editor_deinit(&editor);
}

/* Wide, broken, hostile and long: what is drawn stays in its area and is harmless. */
static void test_drawing(void **state)
{
    (void)state;
    static const char source[] =
        "\xe6\x97\xa5\xe6\x9c\xac\t\x1b[31m\xc2\x9b\xe2\x80\xae\xff\n\nlast line that is longer than the area\n";
    struct editor editor = {.goal = -1};
    struct cells cells = {0};
    size_t begin, end;
    assert_int_equal(text_set(&editor.text, source, sizeof source - 1, NULL), STATUS_OK);
    for (int columns = 1; columns < 60; columns += 7) {
        assert_int_equal(cells_resize(&cells, 5, columns, NULL), STATUS_OK);
        for (size_t at = 0; at <= editor.text.bytes.size; at += 3) {
            editor_go(&editor, at);
            editor_place(&editor, 5, columns, &begin, &end);
            struct editor_look look = {.ghost = {"ghost\x1b\n  text\n", 14}, .has_focus = true};
            editor_draw(&editor, &look, &cells, cells_area(&cells));
            assert_in_range(cells.cursor_column, 0, columns - 1);
            for (int i = 0; i < 5 * columns; i++)
                assert_true(cells.at[i].code[0] == 0 || cells.at[i].code[0] >= 0x20);
        }
    }
    cells_deinit(&cells);
    editor_deinit(&editor);
}

/* ---- files ---- */

static char folder[64];

static const char *path_in(const char *name)
{
    static char path[200];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void write_file(const char *name, const char *bytes, size_t size)
{
    FILE *file = fopen(path_in(name), "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    fclose(file);
}

static void expect_file(const char *name, const char *bytes, size_t size)
{
    char read[4096];
    FILE *file = fopen(path_in(name), "rb");
    assert_non_null(file);
    assert_int_equal(fread(read, 1, sizeof read, file), size);
    assert_memory_equal(read, bytes, size);
    fclose(file);
}

static struct file *open_file(const char *name)
{
    struct file *file = NULL;
    struct error error = {0};
    if (file_open(NULL, path_in(name), folder, &file, &error) != STATUS_OK)
        fail_msg("%s", error.text);
    return file;
}

static int make_folder(void **state)
{
    (void)state;
    const char *outer = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%.40s/fathom-file-XXXXXX", outer && strlen(outer) <= 40 ? outer : "/tmp");
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    static const char *const names[] = {"a.c", "link", "new.txt", "read-only"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        unlink(path_in(names[i]));
    return rmdir(folder); /* nothing else was left there */
}

static void test_file_keeps_its_bytes(void **state)
{
    (void)state;
    static const char source[] = "a\r\nb\0\xff\xfe\nno newline at the end";
    struct stat about;
    write_file("a.c", source, sizeof source - 1);
    chmod(path_in("a.c"), 0640);
    struct file *file = open_file("a.c");
    assert_string_equal(file->name, "a.c");
    assert_int_equal(file_save(file, false, NULL), STATUS_OK);
    expect_file("a.c", source, sizeof source - 1);
    editor_act(&file->editor, EDITOR_DOWN);
    editor_insert(&file->editor, "X", 1, true);
    assert_true(text_is_changed(&file->editor.text));
    assert_int_equal(file_save(file, false, NULL), STATUS_OK);
    assert_false(text_is_changed(&file->editor.text));
    expect_file("a.c", "a\r\nXb\0\xff\xfe\nno newline at the end", sizeof source);
    assert_int_equal(stat(path_in("a.c"), &about), 0);
    assert_int_equal(about.st_mode & 0777, 0640);
    editor_act(&file->editor, EDITOR_UNDO);
    assert_true(text_is_changed(&file->editor.text));
    editor_act(&file->editor, EDITOR_REDO);
    assert_false(text_is_changed(&file->editor.text));
    file_close(file);
}

static void test_file_that_changed_elsewhere(void **state)
{
    (void)state;
    struct error error;
    write_file("a.c", "ours\n", 5);
    struct file *file = open_file("a.c");
    editor_insert(&file->editor, "my ", 3, false);
    write_file("a.c", "their text\n", 11);
    assert_int_equal(file_save(file, false, &error), STATUS_CANCELLED);
    assert_non_null(strstr(error.text, "changed on the disk"));
    expect_file("a.c", "their text\n", 11);
    assert_int_equal(file_save(file, true, NULL), STATUS_OK);
    expect_file("a.c", "my ours\n", 8);
    write_file("a.c", "other\n", 6);
    assert_int_equal(file_reload(file, NULL), STATUS_OK);
    assert_string_equal(text_bytes(&file->editor.text), "other\n");
    unlink(path_in("a.c"));
    assert_int_equal(file_save(file, false, NULL), STATUS_CANCELLED); /* gone is changed, too */
    file_close(file);
}

static void test_links_and_new_files(void **state)
{
    (void)state;
    struct stat about;
    struct file *file;
    write_file("a.c", "x\n", 2);
    assert_int_equal(symlink("a.c", path_in("link")), 0);
    file = open_file("link");
    editor_insert(&file->editor, "y", 1, true);
    assert_int_equal(file_save(file, false, NULL), STATUS_OK);
    file_close(file);
    assert_true(lstat(path_in("link"), &about) == 0 && S_ISLNK(about.st_mode));
    expect_file("a.c", "yx\n", 3);
    file = open_file("new.txt");
    editor_insert(&file->editor, "new", 3, false);
    assert_int_equal(file_save(file, false, NULL), STATUS_OK);
    expect_file("new.txt", "new", 3);
    file_close(file);
    assert_int_not_equal(file_open(NULL, folder, folder, &file, NULL), STATUS_OK);
    assert_int_not_equal(file_open(NULL, path_in("none/at/all"), folder, &file, NULL), STATUS_OK);
    if (geteuid() != 0) { /* whom no mode keeps out */
        write_file("read-only", "x", 1);
        chmod(path_in("read-only"), 0444);
        file = open_file("read-only");
        assert_int_equal(file_save(file, false, NULL), STATUS_IO);
        file_close(file);
    }
}

/* ---- lists ---- */

static void test_picker(void **state)
{
    (void)state;
    static const char *const paths[] = {"app/screen_edit.c", "ui/editor.c", "tests/edits/one.txt", "README.md",
                                        "ui/text.c"};
    struct picker picker = {0};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
        assert_true(
            picker_add(&picker, &(struct picker_item){.text = paths[i], .path = paths[i], .line = (uint32_t)i}));
    picker_filter(&picker, slice_from("edit.c"));
    assert_int_equal(view_update(&picker.view, &picker.doc, 40, 10, NULL), STATUS_OK);
    assert_string_equal(picker_chosen(&picker)->path, "ui/editor.c");
    assert_int_equal(picker.n_found, 2);
    picker_filter(&picker, slice_from("rdm"));
    assert_int_equal(view_update(&picker.view, &picker.doc, 40, 10, NULL), STATUS_OK);
    assert_string_equal(picker_chosen(&picker)->path, "README.md");
    picker_filter(&picker, slice_from("zzz"));
    assert_int_equal(view_update(&picker.view, &picker.doc, 40, 10, NULL), STATUS_OK);
    assert_null(picker_chosen(&picker));
    assert_true(picker_score(slice_from("src/lease.c"), slice_from("lease")) >
                picker_score(slice_from("lease/src.c"), slice_from("lease")));
    /* Of many the best, in order. */
    for (int i = 0; i < 1000; i++) {
        char name[32];
        snprintf(name, sizeof name, "many/x%dq%s", i, i == 777 ? "" : "-and-more");
        assert_true(picker_add(&picker, &(struct picker_item){.text = name}));
    }
    picker_filter(&picker, slice_from("xq"));
    assert_int_equal(picker.n_matches, PICKER_SHOWN);
    assert_int_equal(picker.n_found, 1000);
    assert_string_equal(picker.items[picker.matches[0]].text, "many/x777q");
    for (size_t i = 1; i < picker.n_matches; i++)
        assert_true(picker_score(slice_from(picker.items[picker.matches[i - 1]].text), slice_from("xq")) >=
                    picker_score(slice_from(picker.items[picker.matches[i]].text), slice_from("xq")));
    picker_deinit(&picker);
}

/* ---- what a question names ---- */

static void test_mentions(void **state)
{
    (void)state;
    static const struct {
        const char *text, *name;
        uint32_t line, end_line;
    } rows[] = {
        {"see @src/a.c.", "src/a.c", 0, 0},  {"@a.c:10-40 x", "a.c", 10, 40},
        {"(@name)", "name", 0, 0},           {"@x:7, and", "x", 7, 7},
        {"me@host.org @y", "y", 0, 0},       {"@ @. @z", "z", 0, 0},
        {"@a:99999999999999999", "a", 0, 0}, {"\n@q:0", "q", 0, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct mention mention;
        size_t at = 0;
        assert_true(mention_next(slice_from(rows[i].text), &at, &mention));
        assert_true(slice_equals(mention.name, rows[i].name));
        if (i != 6) { /* whose line is cut somewhere */
            assert_int_equal(mention.line, rows[i].line);
            assert_int_equal(mention.end_line, rows[i].end_line);
        }
        assert_false(mention_next(slice_from(rows[i].text), &at, &mention));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text_by_chance),
        cmocka_unit_test(test_typing_is_undone_by_word),
        cmocka_unit_test(test_editor),
        cmocka_unit_test(test_drawing),
        cmocka_unit_test_setup_teardown(test_file_keeps_its_bytes, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_file_that_changed_elsewhere, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_links_and_new_files, make_folder, remove_folder),
        cmocka_unit_test(test_picker),
        cmocka_unit_test(test_mentions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
