/* selection: see selection.h.  Marks, and what a file becomes by them. */
#include "repo/selection.h"

#include <stdlib.h>
#include <string.h>

/* ---- marks ---- */

enum status selection_new(const struct diff *diff, struct selection **out, struct error *error)
{
    struct selection *selection = calloc(1, sizeof *selection);
    if (selection) {
        selection->diff = diff;
        selection->lines = calloc(diff->n_lines + 1, 1);
        selection->files = calloc(diff->n_files + 1, 1);
    }
    if (!selection || !selection->lines || !selection->files) {
        selection_free(selection);
        return error_set(error, STATUS_MEMORY, "out of memory");
    }
    *out = selection;
    return STATUS_OK;
}

void selection_free(struct selection *selection)
{
    if (!selection)
        return;
    free(selection->lines);
    free(selection->files);
    free(selection);
}

void selection_clear(struct selection *selection)
{
    memset(selection->lines, 0, selection->diff->n_lines);
    memset(selection->files, 0, selection->diff->n_files);
}

static bool changes_mode(const struct diff_file *file)
{
    return file->old.mode && file->new.mode && file->old.mode != file->new.mode;
}

void selection_mark_mode(struct selection *selection, size_t file, bool mark)
{
    if (file >= selection->diff->n_files)
        return;
    uint8_t *flags = &selection->files[file];
    if (mark && changes_mode(&selection->diff->files[file]))
        *flags |= SELECTION_MODE;
    else if (!mark)
        *flags &= (uint8_t) ~(SELECTION_MODE | SELECTION_WHOLE);
}

void selection_mark_lines(struct selection *selection, size_t hunk, size_t first, size_t n, bool mark)
{
    const struct diff *diff = selection->diff;
    if (hunk >= diff->n_hunks)
        return;
    const struct diff_hunk *of = &diff->hunks[hunk];
    for (size_t i = first; i < of->n_lines && i - first < n; i++)
        if (diff->lines[of->first_line + i].kind != DIFF_CONTEXT)
            selection->lines[of->first_line + i] = mark;
    if (!mark)
        selection->files[of->file] &= (uint8_t)~SELECTION_WHOLE;
}

void selection_mark_hunk(struct selection *selection, size_t hunk, bool mark)
{
    selection_mark_lines(selection, hunk, 0, SIZE_MAX, mark);
}

void selection_mark_file(struct selection *selection, size_t file, bool mark)
{
    if (file >= selection->diff->n_files)
        return;
    const struct diff_file *of = &selection->diff->files[file];
    for (size_t i = 0; i < of->n_hunks; i++)
        selection_mark_hunk(selection, of->first_hunk + i, mark);
    selection_mark_mode(selection, file, mark);
    if (mark)
        selection->files[file] |= SELECTION_WHOLE;
}

size_t selection_mark_range(struct selection *selection, size_t file, uint32_t first, uint32_t last, bool mark)
{
    const struct diff *diff = selection->diff;
    size_t n = 0;
    if (file >= diff->n_files)
        return 0;
    const struct diff_file *of = &diff->files[file];
    for (size_t k = 0; k < of->n_hunks; k++) {
        const struct diff_hunk *hunk = &diff->hunks[of->first_hunk + k];
        /* A deleted line stands before the new side's next one. */
        uint32_t next = hunk->new_n ? hunk->new_start : hunk->new_start + 1;
        for (size_t i = 0; i < hunk->n_lines; i++) {
            const struct diff_line *line = &diff->lines[hunk->first_line + i];
            uint32_t number = of->status == DIFF_DELETED ? line->old_line : next;
            if (line->kind != DIFF_CONTEXT && number >= first && number <= last) {
                selection_mark_lines(selection, of->first_hunk + k, i, 1, mark);
                n++;
            }
            next += line->kind != DIFF_DELETE;
        }
    }
    return n;
}

static void count_hunk(const struct selection *selection, size_t hunk, size_t *n_marked, size_t *n)
{
    const struct diff_hunk *of = &selection->diff->hunks[hunk];
    for (size_t i = 0; i < of->n_lines; i++) {
        *n_marked += selection->lines[of->first_line + i];
        *n += selection->diff->lines[of->first_line + i].kind != DIFF_CONTEXT;
    }
}

static enum selection_extent extent_of(size_t n_marked, size_t n)
{
    return n_marked == 0 ? SELECTION_NONE : n_marked < n ? SELECTION_PART : SELECTION_ALL;
}

enum selection_extent selection_of_hunk(const struct selection *selection, size_t hunk)
{
    size_t n_marked = 0, n = 0;
    if (hunk < selection->diff->n_hunks)
        count_hunk(selection, hunk, &n_marked, &n);
    return extent_of(n_marked, n);
}

enum selection_extent selection_of_file(const struct selection *selection, size_t file)
{
    size_t n_marked = 0, n = 0;
    if (file >= selection->diff->n_files)
        return SELECTION_NONE;
    const struct diff_file *of = &selection->diff->files[file];
    uint8_t flags = selection->files[file];
    if (flags & SELECTION_WHOLE)
        return SELECTION_ALL;
    for (size_t i = 0; i < of->n_hunks; i++)
        count_hunk(selection, of->first_hunk + i, &n_marked, &n);
    if (changes_mode(of)) {
        n_marked += (flags & SELECTION_MODE) != 0;
        n++;
    }
    /* A name is only marked with all. */
    n += of->status == DIFF_RENAMED || of->status == DIFF_COPIED;
    return extent_of(n_marked, n);
}

bool selection_next_part(const struct diff *diff, size_t hunk, size_t at, size_t *first, size_t *n)
{
    if (hunk >= diff->n_hunks)
        return false;
    const struct diff_hunk *of = &diff->hunks[hunk];
    while (at < of->n_lines && diff->lines[of->first_line + at].kind == DIFF_CONTEXT)
        at++;
    *first = at;
    while (at < of->n_lines && diff->lines[of->first_line + at].kind != DIFF_CONTEXT)
        at++;
    *n = at - *first;
    return *n > 0;
}

/* ---- applying ---- */

/* The base as it is read, line by line. */
struct applier {
    struct slice base;
    size_t at;
    uint64_t n_lines; /* that were read */
    struct buffer *out;
};

static struct slice next_line(struct applier *applier)
{
    struct slice rest = {applier->base.data + applier->at, applier->base.size - applier->at};
    if (!rest.size)
        return (struct slice){"", 0};
    const char *end = memchr(rest.data, '\n', rest.size);
    if (end)
        rest.size = (size_t)(end - rest.data) + 1;
    applier->at += rest.size;
    applier->n_lines++;
    return rest;
}

static bool ends_with(struct slice text, const char *end)
{
    size_t n = strlen(end);
    return text.size >= n && memcmp(text.data + text.size - n, end, n) == 0;
}

/* What comes behind a line without an end gives it one. */
static void put_line(struct buffer *out, struct slice line)
{
    if (out->size && line.size && out->data[out->size - 1] != '\n')
        buffer_append_text(out, ends_with(line, "\r\n") ? "\r\n" : "\n");
    buffer_append(out, line.data, line.size);
}

static bool same_text(struct slice a, struct slice b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

static bool apply_hunk(const struct selection *selection, const struct diff_hunk *hunk, bool reverse,
                       struct applier *applier)
{
    const enum diff_line_kind insertion = reverse ? DIFF_DELETE : DIFF_ADD;
    uint32_t start = reverse ? hunk->new_start : hunk->old_start, n = reverse ? hunk->new_n : hunk->old_n;
    uint64_t before = n && start ? start - 1 : start;
    if (before < applier->n_lines)
        return false;
    while (applier->n_lines < before) {
        struct slice line = next_line(applier);
        if (!line.size)
            return false;
        put_line(applier->out, line);
    }
    for (uint32_t i = 0; i < hunk->n_lines; i++) {
        const struct diff_line *line = &selection->diff->lines[hunk->first_line + i];
        bool is_marked = selection->lines[hunk->first_line + i];
        if (line->kind == insertion) {
            if (is_marked)
                put_line(applier->out, line->text);
            continue;
        }
        struct slice found = next_line(applier);
        if (!found.size || !same_text(found, line->text))
            return false;
        if (!is_marked)
            put_line(applier->out, found);
    }
    return true;
}

enum status selection_apply(const struct selection *selection, size_t file, bool reverse, struct slice base,
                            struct buffer *out, struct error *error)
{
    const struct diff *diff = selection->diff;
    struct applier applier = {.base = base, .out = out};
    buffer_clear(out);
    if (file >= diff->n_files)
        return error_set(error, STATUS_ARGUMENT, "there is no such file in the diff");
    const struct diff_file *of = &diff->files[file];
    for (size_t i = 0; i < of->n_hunks; i++)
        if (!apply_hunk(selection, &diff->hunks[of->first_hunk + i], reverse, &applier))
            return error_set(
                error, STATUS_FORMAT,
                "%.100s: it isn't what this diff was made from any more, or the diff leaves white space out",
                diff_path(of));
    struct slice rest = {applier.base.data + applier.at, applier.base.size - applier.at};
    if (rest.size)
        put_line(out, rest);
    return buffer_status(out, error);
}
