/* review_text: both sides of the files of a diff: from the same diff with all lines around, from the worktree where it is what
 * the diff says, else from the hunks alone. */
#include <stdlib.h>
#include <string.h>

#include "app/review_private.h"

enum { FILE_BYTES = 1 << 20 };

bool review_hunk_range(const struct diff_hunk *hunk, uint32_t *first, uint32_t *last)
{
    bool is_old = hunk->new_n == 0;
    *first = is_old ? hunk->old_start : hunk->new_start;
    *last = *first + (is_old ? hunk->old_n : hunk->new_n);
    *last -= *last > *first;
    return is_old;
}

bool review_shown_range(const struct review *review, size_t hunk, uint32_t *first, uint32_t *last)
{
    const struct diff_hunk *about = &review->diff->hunks[hunk];
    uint32_t n_shown = review->out->hunks[hunk].n_shown, end = 0;
    bool is_old = review_hunk_range(about, first, last);
    for (uint32_t i = 0; i < n_shown && i < about->n_lines; i++) {
        const struct diff_line *line = &review->diff->lines[about->first_line + i];
        uint32_t number = is_old ? line->old_line : line->new_line;
        end = number ? number : end;
    }
    *last = end >= *first && end < *last ? end : *last;
    return is_old;
}

struct slice review_side_lines(const struct review_side *side, uint32_t line, uint32_t end_line)
{
    uint32_t from = line > side->first_line ? line - side->first_line + 1 : 1;
    if (end_line < side->first_line || !side->text.size)
        return (struct slice){"", 0};
    return gather_slice_lines(side->text, from, end_line - side->first_line + 1);
}

static void append_lines(const struct diff *diff, const struct diff_hunk *hunk, struct buffer *old, struct buffer *new)
{
    for (uint32_t i = 0; i < hunk->n_lines; i++) {
        const struct diff_line *line = &diff->lines[hunk->first_line + i];
        if (line->kind != DIFF_ADD)
            buffer_append(old, line->text.data, line->text.size);
        if (line->kind != DIFF_DELETE)
            buffer_append(new, line->text.data, line->text.size);
    }
}

static bool is_same_file(const struct diff_file *a, const struct diff_file *b)
{
    return strcmp(a->old.path, b->old.path) == 0 && strcmp(a->new.path, b->new.path) == 0;
}

/* From the diff with all lines around: files come in the same order there, but may be fewer here. */
static void take_whole(struct review *review, size_t file, size_t *at)
{
    const struct diff *whole = review->request->whole;
    struct review_file *out = &review->files[file];
    for (; *at < whole->n_files; ++*at) {
        const struct diff_file *theirs = &whole->files[*at];
        if (!is_same_file(theirs, &review->diff->files[file]))
            continue;
        const struct diff_hunk *hunk = &whole->hunks[theirs->first_hunk];
        if (theirs->n_hunks != 1 || hunk->old_start > 1 || hunk->new_start > 1)
            return;
        append_lines(whole, hunk, &out->old, &out->new);
        out->is_whole = true;
        return;
    }
}

/* Where the lines of a text begin; n + 1 of them. */
static size_t *find_lines(struct slice text, size_t *n)
{
    size_t count = 0;
    for (size_t i = 0; i < text.size; i++)
        count += text.data[i] == '\n';
    size_t *begins = calloc(count + 2, sizeof *begins);
    *n = 0;
    for (size_t at = 0; begins && at < text.size;) {
        const char *newline = memchr(text.data + at, '\n', text.size - at);
        begins[(*n)++] = at;
        at = newline ? (size_t)(newline + 1 - text.data) : text.size;
        begins[*n] = at;
    }
    return begins;
}

/* Takes the file's hunks back from text into old; false where text isn't what they lead to. */
static bool take_back(const struct diff *diff, const struct diff_file *file, struct slice text, struct buffer *old)
{
    size_t n, done = 0;
    size_t *begins = find_lines(text, &n);
    bool fits = begins != NULL;
    for (uint32_t k = 0; fits && k < file->n_hunks; k++) {
        const struct diff_hunk *hunk = &diff->hunks[file->first_hunk + k];
        struct buffer before = {0}, after = {0};
        /* An empty side says the line before it. */
        size_t first = hunk->new_n ? hunk->new_start - (size_t)(hunk->new_start > 0) : hunk->new_start;
        append_lines(diff, hunk, &before, &after);
        fits = first >= done && first <= n && hunk->new_n <= n - first &&
               after.size == begins[first + hunk->new_n] - begins[first] &&
               memcmp(buffer_text(&after), text.data + begins[first], after.size) == 0;
        if (fits) {
            buffer_append(old, text.data + begins[done], begins[first] - begins[done]);
            buffer_append(old, buffer_text(&before), before.size);
            done = first + hunk->new_n;
        }
        buffer_deinit(&before);
        buffer_deinit(&after);
    }
    if (fits)
        buffer_append(old, text.data + begins[done], text.size - begins[done]);
    free(begins);
    return fits && !old->failed;
}

static void take_worktree(struct review *review, size_t file)
{
    const struct diff_file *about = &review->diff->files[file];
    struct review_file *out = &review->files[file];
    struct project *project = review->request->project;
    struct repo_file there = {.path = about->new.path, .path_size = about->new.path_size};
    struct repo_id id;
    enum repo_skip skip = REPO_KEEP;
    there.stamp.mode = 0100000; /* a regular file: of the worktree, not of a revision */
    if (!project || !about->new.path_size || repo_is_bare(project->repo))
        return;
    if (repo_read(project->repo, &there, FILE_BYTES, &out->new, &id, &skip, NULL) == STATUS_OK && skip == REPO_KEEP &&
        !out->new.failed)
        out->is_whole =
            take_back(review->diff, about, (struct slice){buffer_text(&out->new), out->new.size}, &out->old);
    if (!out->is_whole) {
        buffer_clear(&out->old);
        buffer_clear(&out->new);
    }
}

enum status review_texts_read(struct review *review)
{
    const struct diff *diff = review->diff;
    bool failed = false;
    size_t at = 0;
    review->files = calloc(diff->n_files + 1, sizeof *review->files);
    if (!review->files)
        return error_set(review->error, STATUS_MEMORY, "out of memory");
    for (size_t i = 0; i < diff->n_files; i++) {
        if (!diff->files[i].n_hunks)
            continue;
        if (review->request->whole)
            take_whole(review, i, &at);
        else
            take_worktree(review, i);
        failed |= review->files[i].old.failed || review->files[i].new.failed;
    }
    return failed ? error_set(review->error, STATUS_MEMORY, "out of memory") : STATUS_OK;
}

void review_texts_free(struct review *review)
{
    for (size_t i = 0; review->files && i < review->diff->n_files; i++) {
        buffer_deinit(&review->files[i].old);
        buffer_deinit(&review->files[i].new);
    }
    free(review->files);
    review->files = NULL;
}

enum status review_sides(struct review *review, size_t hunk, struct arena *arena, struct review_side *old,
                         struct review_side *new)
{
    const struct diff_hunk *about = &review->diff->hunks[hunk];
    const struct review_file *file = &review->files[about->file];
    if (file->is_whole) {
        *old = (struct review_side){{buffer_text(&file->old), file->old.size}, 1};
        *new = (struct review_side){{buffer_text(&file->new), file->new.size}, 1};
        return STATUS_OK;
    }
    struct buffer before = {0}, after = {0};
    append_lines(review->diff, about, &before, &after);
    const char *a = arena_copy_text(arena, buffer_text(&before), before.size);
    const char *b = arena_copy_text(arena, buffer_text(&after), after.size);
    bool failed = before.failed || after.failed || !a || !b;
    *old = (struct review_side){{a, before.size}, about->old_start ? about->old_start : 1};
    *new = (struct review_side){{b, after.size}, about->new_start ? about->new_start : 1};
    buffer_deinit(&before);
    buffer_deinit(&after);
    return failed ? error_set(review->error, STATUS_MEMORY, "out of memory") : STATUS_OK;
}
