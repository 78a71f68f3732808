/* selection_edit: a hunk that somebody has edited, checked and made a diff of its own.  See selection.h. */
#include <stdlib.h>
#include <string.h>

#include "repo/diff_internal.h"
#include "repo/selection.h"

struct edit {
    const struct diff *diff;
    const struct diff_hunk *hunk;
    bool reverse;
    enum diff_line_kind put; /* lines that aren't on the base's side */
    struct diff *out;
    struct error *error;
    const char *text;
    size_t size, at, line_number;
    const struct diff_line **base; /* the hunk's own lines of the base's side */
    size_t n_base;
    size_t *numbers; /* of the lines that were read: where they stand in the text */
};

static bool next_line(struct edit *edit, struct slice *line)
{
    if (edit->at >= edit->size)
        return false;
    const char *begin = edit->text + edit->at, *end = memchr(begin, '\n', edit->size - edit->at);
    *line = (struct slice){begin, end ? (size_t)(end - begin) + 1 : edit->size - edit->at};
    edit->at += line->size;
    edit->line_number++;
    return true;
}

/* The text of a line behind its sign; with an end, which an editor may have left out of the last one. */
static struct slice keep_line(struct edit *edit, struct slice line)
{
    if (line.size && line.data[line.size - 1] == '\n')
        return diff_keep_text(edit->out, line.data, line.size);
    struct buffer whole = {0};
    buffer_append(&whole, line.data, line.size);
    buffer_append_byte(&whole, '\n');
    struct slice kept = {0};
    if (!whole.failed)
        kept = diff_keep_text(edit->out, whole.data, whole.size);
    buffer_deinit(&whole);
    return kept;
}

static enum status take_line(struct edit *edit, struct slice line)
{
    struct diff *out = edit->out;
    struct diff_hunk *hunk = &out->hunks[0];
    char sign = line.data[0];
    if (sign == '#' || (hunk->n_lines == 0 && sign == '@'))
        return STATUS_OK;
    if (sign == '\\' && hunk->n_lines) {
        struct diff_line *last = &out->lines[out->n_lines - 1];
        if (last->text.size && last->text.data[last->text.size - 1] == '\n')
            last->text.size--;
        return STATUS_OK;
    }
    bool is_stripped = sign == '\n' || sign == '\r'; /* an empty line of context */
    if (!is_stripped && sign != ' ' && sign != '+' && sign != '-')
        return error_set(edit->error, STATUS_FORMAT,
                         "line %zu of the edited hunk begins with none of ' ', '+', '-' and '#'", edit->line_number);
    if (!is_stripped) {
        line.data++;
        line.size--;
    }
    struct slice text = keep_line(edit, line);
    if (!text.data)
        return error_set(edit->error, STATUS_MEMORY, "out of memory");
    if (!diff_add_line(out, is_stripped ? DIFF_CONTEXT : (enum diff_line_kind)sign, text, edit->error))
        return edit->error->status;
    size_t *grown = reallocarray(edit->numbers, out->n_lines, sizeof *grown);
    if (!grown)
        return error_set(edit->error, STATUS_MEMORY, "out of memory");
    edit->numbers = grown;
    grown[out->n_lines - 1] = edit->line_number;
    return STATUS_OK;
}

/* How many of the edited base lines match the hunk's own from the shift-th on; n_lines where all do. */
static size_t match_from(const struct edit *edit, size_t shift)
{
    const struct diff *out = edit->out;
    size_t at = shift;
    for (size_t i = 0; i < out->n_lines; i++) {
        const struct diff_line *line = &out->lines[i];
        if (line->kind == edit->put)
            continue;
        if (at >= edit->n_base || edit->base[at]->text.size != line->text.size ||
            memcmp(edit->base[at]->text.data, line->text.data, line->text.size) != 0)
            return i;
        at++;
    }
    return out->n_lines;
}

/* Where the edited lines stand among the hunk's own, and from that the header. */
static enum status place(struct edit *edit)
{
    struct diff *out = edit->out;
    struct diff_hunk *hunk = &out->hunks[0];
    const struct diff_hunk *own = edit->hunk;
    size_t n_base = 0, n_put = 0, n_context = 0, best = 0, shift = 0;
    for (size_t i = 0; i < out->n_lines; i++) {
        n_base += out->lines[i].kind != edit->put;
        n_put += out->lines[i].kind == edit->put;
        n_context += out->lines[i].kind == DIFF_CONTEXT;
    }
    if (n_put + n_base == n_context)
        return error_set(edit->error, STATUS_CANCELLED, "no change is left of the hunk");
    if (n_base == 0 && edit->n_base > 0)
        return error_set(edit->error, STATUS_FORMAT, "the edited hunk has no line that says where it belongs");
    for (; shift + n_base <= edit->n_base; shift++) {
        size_t n = match_from(edit, shift);
        if (n == out->n_lines)
            break;
        best = n > best ? n : best;
    }
    if (shift + n_base > edit->n_base)
        return error_set(edit->error, STATUS_FORMAT,
                         "line %zu of the edited hunk isn't the file's: only '%c' lines may be written anew",
                         edit->numbers[best], (char)edit->put);
    uint32_t own_start = edit->reverse ? own->new_start : own->old_start;
    uint32_t before = own_start - (edit->n_base > 0) + (uint32_t)shift;
    uint32_t start = before + (n_base > 0), n = (uint32_t)n_base;
    uint32_t other_n = (uint32_t)(n_context + n_put), other = before + (other_n > 0);
    hunk->old_start = edit->reverse ? other : start, hunk->old_n = edit->reverse ? other_n : n;
    hunk->new_start = edit->reverse ? start : other, hunk->new_n = edit->reverse ? n : other_n;
    return STATUS_OK;
}

static enum status copy_file(struct edit *edit)
{
    const struct diff_file *from = &edit->diff->files[edit->hunk->file];
    struct diff_file *file = diff_add_file(edit->out, edit->error);
    if (!file)
        return edit->error->status;
    struct diff_side old = from->old, new = from->new;
    *file = (struct diff_file){.status = from->status, .old = old, .new = new, .similarity = from->similarity};
    enum status status = diff_set_path(edit->out, &file->old, old.path, old.path_size, edit->error);
    if (!status)
        status = diff_set_path(edit->out, &file->new, new.path, new.path_size, edit->error);
    if (!status && !diff_add_hunk(edit->out, edit->error))
        status = edit->error->status;
    return status;
}

/* A file that is gone once the hunk is applied stays where something of it is left. */
static enum status settle_status(struct edit *edit)
{
    struct diff_file *file = &edit->out->files[0];
    const struct diff_hunk *hunk = &edit->out->hunks[0];
    bool is_left = edit->reverse ? hunk->old_n > 0 : hunk->new_n > 0;
    if (!is_left || file->status != (edit->reverse ? DIFF_ADDED : DIFF_DELETED))
        return STATUS_OK;
    struct diff_side *there = edit->reverse ? &file->new : &file->old;
    struct diff_side *gone = edit->reverse ? &file->old : &file->new;
    file->status = DIFF_MODIFIED;
    gone->mode = there->mode;
    return diff_set_path(edit->out, gone, there->path, there->path_size, edit->error);
}

static enum status read_edit(struct edit *edit)
{
    struct slice line;
    const struct diff *diff = edit->diff;
    for (uint32_t i = 0; i < edit->hunk->n_lines; i++)
        if (diff->lines[edit->hunk->first_line + i].kind != edit->put)
            edit->base[edit->n_base++] = &diff->lines[edit->hunk->first_line + i];
    enum status status = copy_file(edit);
    memcpy(edit->out->base, diff->base, sizeof diff->base);
    memcpy(edit->out->head, diff->head, sizeof diff->head);
    while (!status && next_line(edit, &line))
        status = take_line(edit, line);
    if (!status)
        status = place(edit);
    if (!status)
        status = settle_status(edit);
    return status ? status : diff_finish(edit->out, edit->error);
}

enum status selection_edit_hunk(const struct diff *diff, size_t hunk, bool reverse, const char *text, size_t size,
                                struct diff **edited, struct selection **out, struct error *error)
{
    struct error own = {0};
    if (hunk >= diff->n_hunks)
        return error_set(error, STATUS_ARGUMENT, "there is no such hunk");
    struct edit edit = {.diff = diff,
                        .hunk = &diff->hunks[hunk],
                        .reverse = reverse,
                        .put = reverse ? DIFF_DELETE : DIFF_ADD,
                        .error = error ? error : &own,
                        .text = text,
                        .size = size,
                        .out = calloc(1, sizeof *edit.out)};
    edit.base = calloc(edit.hunk->n_lines + (size_t)1, sizeof(struct diff_line *));
    enum status status =
        edit.out && edit.base ? read_edit(&edit) : error_set(edit.error, STATUS_MEMORY, "out of memory");
    if (!status)
        status = selection_new(edit.out, out, edit.error);
    free(edit.base);
    free(edit.numbers);
    if (status) {
        diff_free(edit.out);
        return status;
    }
    selection_mark_hunk(*out, 0, true);
    (*out)->is_edited = true;
    *edited = edit.out;
    return STATUS_OK;
}
