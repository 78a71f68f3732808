/* fuzz_diff: whatever bytes are given for a diff, reading them ends, and what is read holds together: hunks have the lines that
 * their headers say, and what is printed can be read again without more of them.
 *
 * With FATHOM_PLANT_BUG whoever reads a diff takes the text behind "@@" to be shorter than 40 bytes, which the seeds' are
 * not.  The fuzzer must find it. */
#include <stdlib.h>
#include <string.h>

#include "repo/diff.h"

static void require(bool condition)
{
    if (!condition)
        abort();
}

static void check_hunk(const struct diff *diff, const struct diff_hunk *hunk)
{
    uint32_t n_old = 0, n_new = 0;
    require(hunk->file < diff->n_files && hunk->first_line + (size_t)hunk->n_lines <= diff->n_lines);
    require(strlen(hunk->id) == 16);
    for (uint32_t i = 0; i < hunk->n_lines; i++) {
        const struct diff_line *line = &diff->lines[hunk->first_line + i];
        n_old += line->kind != DIFF_ADD;
        n_new += line->kind != DIFF_DELETE;
        require((line->old_line == 0) == (line->kind == DIFF_ADD) || line->old_line == 0);
        require(line->text.size == 0 || memchr(line->text.data, '\n', line->text.size - 1) == NULL);
    }
    require(n_old == hunk->old_n && n_new == hunk->new_n);
#ifdef FATHOM_PLANT_BUG
    char *copy = malloc(40);
    for (volatile size_t i = 0; copy && i < hunk->function.size; i++)
        copy[i] = hunk->function.data[i];
    free(copy);
#endif
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct diff *diff = NULL, *again = NULL;
    struct buffer out = {0};
    if (diff_parse((const char *)data, size, &diff, NULL) != STATUS_OK)
        return 0;
    uint32_t next = 0;
    for (size_t i = 0; i < diff->n_files; i++) {
        require(diff->files[i].first_hunk == next && diff->files[i].old.path && diff->files[i].new.path);
        next += diff->files[i].n_hunks;
    }
    require(next == diff->n_hunks);
    for (size_t i = 0; i < diff->n_hunks; i++)
        check_hunk(diff, &diff->hunks[i]);
    diff_print(diff, &out);
    struct error error;
    if (diff_parse(buffer_text(&out), out.size, &again, &error) == STATUS_OK) {
        require(again->n_hunks <= diff->n_hunks && again->n_lines <= diff->n_lines);
        diff_free(again);
    }
    buffer_deinit(&out);
    diff_free(diff);
    return 0;
}
