/* diff_rows: see diff_rows.h. */
#include "app/diff_rows.h"

#include <stdlib.h>

enum { PARTNERS_MOST = 50000 /* lines of a diff: in longer ones what was changed stands side by side in order */ };

static bool add(struct diff_rows *rows, struct diff_row row)
{
    if (rows->n == rows->capacity) {
        size_t wanted = rows->capacity ? 2 * rows->capacity : 256;
        struct diff_row *at = realloc(rows->at, wanted * sizeof *at);
        if (!at)
            return false;
        rows->at = at;
        rows->capacity = wanted;
    }
    rows->at[rows->n++] = row;
    return true;
}

void diff_rows_deinit(struct diff_rows *rows)
{
    free(rows->at);
    *rows = (struct diff_rows){0};
}

/* A change side by side: deleted lines at from .. deleted_end, added ones up to added_end.  Partners stand in one row, what
 * lies between two pairs stands side by side from the top. */
static bool add_change(struct diff_rows *rows, struct diff_row row, const struct diff_words *words, uint32_t first_line,
                       uint32_t from, uint32_t deleted_end, uint32_t added_end)
{
    uint32_t left = from, right = deleted_end;
    while (left < deleted_end || right < added_end) {
        bool has_left = left < deleted_end, has_right = right < added_end;
        bool left_waits = has_left && words->partner && words->partner[left] != DIFF_NO_PARTNER;
        bool right_waits = has_right && words->partner && words->partner[right] != DIFF_NO_PARTNER;
        /* A line with a partner waits until the other side has come to it. */
        bool takes_left = has_left && (!left_waits || right_waits || !has_right);
        bool takes_right = has_right && (!right_waits || left_waits || !has_left);
        row.left = takes_left ? first_line + left++ : DIFF_NO_LINE;
        row.right = takes_right ? first_line + right++ : DIFF_NO_LINE;
        if (!add(rows, row))
            return false;
    }
    return true;
}

static bool add_hunk_side_by_side(struct diff_rows *rows, const struct diff *diff, struct diff_row row)
{
    const struct diff_hunk *hunk = &diff->hunks[row.hunk];
    const struct diff_line *lines = diff->lines + hunk->first_line;
    struct diff_words words = {0};
    if (diff->n_lines <= PARTNERS_MOST && diff_words_of_hunk(diff, row.hunk, &words, NULL) != STATUS_OK)
        return false;
    bool is_fine = true;
    for (uint32_t at = 0; is_fine && at < hunk->n_lines;) {
        uint32_t deleted_end = at;
        while (deleted_end < hunk->n_lines && lines[deleted_end].kind == DIFF_DELETE)
            deleted_end++;
        uint32_t added_end = deleted_end;
        while (added_end < hunk->n_lines && lines[added_end].kind == DIFF_ADD)
            added_end++;
        if (added_end == at) {
            row.left = row.right = hunk->first_line + at++;
            is_fine = add(rows, row);
        } else {
            is_fine = add_change(rows, row, &words, hunk->first_line, at, deleted_end, added_end);
            at = added_end;
        }
    }
    diff_words_deinit(&words);
    return is_fine;
}

/* Puts the inserts behind the rows that show their lines, from row `first` on; *next moves along the inserts. */
static bool add_inserts(struct diff_rows *rows, size_t first, const struct diff_shape *shape, size_t *next,
                        uint32_t lines_end)
{
    size_t n_extra = 0, from = *next, old_n = rows->n;
    for (; *next < shape->n_inserts && shape->inserts[*next].line < lines_end; ++*next)
        n_extra += shape->inserts[*next].n_rows;
    for (size_t i = 0; i < n_extra; i++)
        if (!add(rows, (struct diff_row){0}))
            return false;
    /* From the end, as rows move down by what is put before them.  Side by side an added line may stand above a deleted one
     * that comes before it: what has not found its line goes behind the hunk's header. */
    size_t to = rows->n, insert = *next;
    for (size_t i = old_n; i > first && insert > from; i--) {
        const struct diff_row row = rows->at[i - 1];
        while (insert > from) {
            const struct diff_insert *at = &shape->inserts[insert - 1];
            bool is_line = row.kind == DIFF_ROW_LINE && (row.left == at->line || row.right == at->line);
            if (!is_line && i - 1 > first)
                break;
            for (uint32_t k = at->n_rows; k-- > 0;)
                rows->at[--to] = (struct diff_row){DIFF_ROW_FINDING, row.file, row.hunk, at->number, k};
            insert--;
        }
        rows->at[--to] = row;
    }
    return true;
}

static bool add_hunk(struct diff_rows *rows, const struct diff *diff, uint32_t file, uint32_t number,
                     const struct diff_shape *shape, size_t *next)
{
    const struct diff_hunk *hunk = &diff->hunks[number];
    struct diff_row row = {DIFF_ROW_HUNK, file, number, DIFF_NO_LINE, DIFF_NO_LINE};
    size_t first = rows->n;
    if (!add(rows, row))
        return false;
    row.kind = DIFF_ROW_LINE;
    bool is_fine = !shape->is_side_by_side || add_hunk_side_by_side(rows, diff, row);
    for (uint32_t i = 0; is_fine && !shape->is_side_by_side && i < hunk->n_lines; i++) {
        row.left = hunk->first_line + i;
        is_fine = add(rows, row);
    }
    return is_fine && add_inserts(rows, first, shape, next, hunk->first_line + hunk->n_lines);
}

/* Passes over what stands in a folded file. */
static void skip_inserts(const struct diff *diff, const struct diff_file *file, const struct diff_shape *shape,
                         size_t *next)
{
    if (!file->n_hunks)
        return;
    const struct diff_hunk *last = &diff->hunks[file->first_hunk + file->n_hunks - 1];
    while (*next < shape->n_inserts && shape->inserts[*next].line < last->first_line + last->n_lines)
        ++*next;
}

enum status diff_rows_make(const struct diff *diff, const struct diff_shape *shape, struct diff_rows *rows,
                           struct error *error)
{
    struct diff_rows made = {0};
    bool is_fine = true;
    size_t next = 0;
    for (uint32_t file = 0; is_fine && file < diff->n_files; file++) {
        const struct diff_file *at = &diff->files[file];
        is_fine = add(&made, (struct diff_row){DIFF_ROW_FILE, file, 0, DIFF_NO_LINE, DIFF_NO_LINE});
        if (shape->is_folded && shape->is_folded[file]) {
            skip_inserts(diff, at, shape, &next);
            continue;
        }
        if (is_fine && !at->n_hunks)
            is_fine = add(&made, (struct diff_row){DIFF_ROW_NOTE, file, 0, DIFF_NO_LINE, DIFF_NO_LINE});
        for (uint32_t i = 0; is_fine && i < at->n_hunks; i++)
            is_fine = add_hunk(&made, diff, file, at->first_hunk + i, shape, &next);
    }
    if (!is_fine) {
        diff_rows_deinit(&made);
        return error_set(error, STATUS_MEMORY, "out of memory");
    }
    diff_rows_deinit(rows);
    *rows = made;
    return STATUS_OK;
}

size_t diff_rows_find_file(const struct diff_rows *rows, uint32_t file)
{
    for (size_t i = 0; i < rows->n; i++)
        if (rows->at[i].file == file && rows->at[i].kind == DIFF_ROW_FILE)
            return i;
    return 0;
}

size_t diff_rows_find_line(const struct diff_rows *rows, const struct diff *diff, uint32_t line)
{
    size_t best = 0;
    for (size_t i = 0; i < rows->n; i++) {
        const struct diff_row *row = &rows->at[i];
        if (row->kind == DIFF_ROW_LINE && (row->left == line || row->right == line))
            return i;
        uint32_t first = row->kind == DIFF_ROW_HUNK ? diff->hunks[row->hunk].first_line : DIFF_NO_LINE;
        if (row->kind == DIFF_ROW_FILE && diff->files[row->file].n_hunks)
            first = diff->hunks[diff->files[row->file].first_hunk].first_line;
        if (first <= line)
            best = i;
    }
    return best;
}

size_t diff_rows_next(const struct diff_rows *rows, size_t at, enum diff_row_kind kind, int direction)
{
    if (direction > 0) {
        for (size_t i = at + 1; i < rows->n; i++)
            if (rows->at[i].kind == kind)
                return i;
    } else {
        for (size_t i = at < rows->n ? at : rows->n; i-- > 0;)
            if (rows->at[i].kind == kind)
                return i;
    }
    return SIZE_MAX;
}
