/* fuzz_selection: whatever diff is given, and whatever lines of it are marked: what a selection makes of a file and back again
 * agrees, its patch says the same as it does, and a hunk that comes back from an editor unchanged is that hunk.  Records of the undo
 * journal are read from the same bytes.
 *
 * The first byte's number of bytes behind it say by their bits which lines are marked.
 *
 * With FATHOM_PLANT_BUG a marked line is taken to be shorter than 40 bytes, which the seeds' are not.  The fuzzer must find it. */
#include <stdlib.h>
#include <string.h>

#include "repo/journal.h"
#include "repo/selection.h"

enum { MOST_LINES_BEFORE = 2000 };

static void require(bool condition)
{
    if (!condition)
        abort();
}

static struct slice slice_of(const struct buffer *buffer)
{
    return (struct slice){buffer_text(buffer), buffer->size};
}

/* A file that the diff can have been made from: its old side's lines, and others between the hunks.  False where there is none. */
static bool make_base(const struct diff *diff, size_t index, struct buffer *out)
{
    const struct diff_file *file = &diff->files[index];
    uint64_t n_lines = 0;
    for (size_t k = 0; k < file->n_hunks; k++) {
        const struct diff_hunk *hunk = &diff->hunks[file->first_hunk + k];
        uint64_t before = hunk->old_n && hunk->old_start ? hunk->old_start - 1 : hunk->old_start;
        if (before < n_lines || before > MOST_LINES_BEFORE)
            return false;
        for (; n_lines < before; n_lines++)
            buffer_append_text(out, "between\n");
        for (size_t i = 0; i < hunk->n_lines; i++) {
            const struct diff_line *line = &diff->lines[hunk->first_line + i];
            if (line->kind == DIFF_ADD)
                continue;
            if (line->text.size == 0 || (out->size && out->data[out->size - 1] != '\n'))
                return false; /* a line without an end, and another one behind it */
            buffer_append(out, line->text.data, line->text.size);
            n_lines++;
        }
    }
    return !out->failed;
}

/* All of the printed patch does what the marked lines do. */
static void check_printed(const struct selection *selection, size_t file, struct slice base, struct slice expected)
{
    struct buffer text = {0}, out = {0};
    struct diff *again = NULL;
    struct selection *all = NULL;
    selection_print(selection, file, false, &text);
    if (text.size && diff_parse(text.data, text.size, &again, NULL) == STATUS_OK && again->n_files == 1 &&
        again->files[0].n_hunks && selection_new(again, &all, NULL) == STATUS_OK) {
        selection_mark_file(all, 0, true);
        if (selection_apply(all, 0, false, base, &out, NULL) == STATUS_OK)
            require(out.size == expected.size && memcmp(buffer_text(&out), expected.data, out.size) == 0);
    }
    selection_free(all);
    diff_free(again);
    buffer_deinit(&text);
    buffer_deinit(&out);
}

static void check_file(struct selection *selection, size_t file)
{
    struct buffer base = {0}, marked = {0}, all = {0}, back = {0};
    const struct diff *diff = selection->diff;
    if (make_base(diff, file, &base) &&
        selection_apply(selection, file, false, slice_of(&base), &marked, NULL) == STATUS_OK) {
        check_printed(selection, file, slice_of(&base), slice_of(&marked));
        struct selection *whole = NULL;
        if (selection_new(diff, &whole, NULL) == STATUS_OK) {
            require(selection_apply(whole, file, false, slice_of(&base), &back, NULL) == STATUS_OK);
            require(back.size == base.size);
            selection_mark_file(whole, file, true);
            require(selection_apply(whole, file, false, slice_of(&base), &all, NULL) == STATUS_OK);
            (void)selection_apply(whole, file, true, slice_of(&all), &back, NULL);
            selection_free(whole);
        }
    }
    /* A base that has nothing to do with it. */
    (void)selection_apply(selection, file, true, slice_from("a\nb\nc"), &back, NULL);
    buffer_deinit(&base);
    buffer_deinit(&marked);
    buffer_deinit(&all);
    buffer_deinit(&back);
}

static void check_edited(const struct diff *diff, size_t hunk, bool reverse, const char *other, size_t other_size)
{
    struct buffer text = {0};
    struct diff *edited = NULL;
    struct selection *selection = NULL;
    selection_print_hunk(diff, hunk, reverse, &text);
    if (selection_edit_hunk(diff, hunk, reverse, buffer_text(&text), text.size, &edited, &selection, NULL) ==
        STATUS_OK) {
        const struct diff_hunk *was = &diff->hunks[hunk], *is = &edited->hunks[0];
        require(is->old_n == was->old_n && is->new_n == was->new_n && is->n_lines == was->n_lines);
        require(selection_of_hunk(selection, 0) != SELECTION_NONE);
        selection_free(selection);
        diff_free(edited);
    }
    if (selection_edit_hunk(diff, hunk, reverse, other, other_size, &edited, &selection, NULL) == STATUS_OK) {
        buffer_clear(&text);
        selection_print(selection, 0, reverse, &text);
        selection_free(selection);
        diff_free(edited);
    }
    buffer_deinit(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct journal_record record;
    struct diff *diff = NULL;
    struct selection *selection = NULL;
    if (journal_read_record((const char *)data, size, &record, NULL) == STATUS_OK)
        journal_record_deinit(&record);
    size_t n_marks = size ? data[0] : 0;
    if (size < 2 || size - 1 < n_marks || n_marks == 0)
        return 0;
    const uint8_t *marks = data + 1;
    const char *text = (const char *)data + 1 + n_marks;
    size -= 1 + n_marks;
    if (diff_parse(text, size, &diff, NULL) != STATUS_OK)
        return 0;
    if (selection_new(diff, &selection, NULL) == STATUS_OK) {
        for (size_t i = 0; i < diff->n_hunks; i++)
            for (size_t k = 0; k < diff->hunks[i].n_lines; k++) {
                size_t line = diff->hunks[i].first_line + k;
                bool is_marked = marks[line / 8 % n_marks] >> line % 8 & 1;
                selection_mark_lines(selection, i, k, 1, is_marked);
#ifdef FATHOM_PLANT_BUG
                char *copy = malloc(40);
                for (volatile size_t c = 0; copy && is_marked && c < diff->lines[line].text.size; c++)
                    copy[c] = diff->lines[line].text.data[c];
                free(copy);
#endif
            }
        for (size_t i = 0; i < diff->n_files && i < 20; i++)
            check_file(selection, i);
        for (size_t i = 0; i < diff->n_hunks && i < 20; i++)
            check_edited(diff, i, i % 2 != 0, text, size);
        (void)selection_mark_range(selection, 0, 1, 9, true);
        selection_free(selection);
    }
    diff_free(diff);
    return 0;
}
