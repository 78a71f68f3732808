/* text: see text.h. */
#include "ui/text.h"

#include <stdlib.h>
#include <string.h>

#include "ui/cells.h"

/* ---- lines ---- */

const char *text_bytes(const struct text *text)
{
    return buffer_text(&text->bytes);
}

size_t text_line_of(const struct text *text, size_t at)
{
    size_t low = 0, high = text->n_lines;
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (text->lines[middle] <= at)
            low = middle;
        else
            high = middle;
    }
    return low;
}

size_t text_line_begin(const struct text *text, size_t line)
{
    return line < text->n_lines ? text->lines[line] : text->bytes.size;
}

size_t text_line_end(const struct text *text, size_t line)
{
    if (line + 1 >= text->n_lines)
        return text->bytes.size;
    size_t end = text->lines[line + 1] - 1;
    return end > text->lines[line] && text->bytes.data[end - 1] == '\r' ? end - 1 : end;
}

const char *text_newline(const struct text *text)
{
    return text->has_crlf ? "\r\n" : "\n";
}

static bool make_room(struct text *text, size_t n)
{
    if (n <= text->capacity)
        return true;
    uint64_t bytes, wanted = n + n / 2 + 64;
    size_t *more = checked_mul(wanted, sizeof *more, &bytes) ? realloc(text->lines, (size_t)bytes) : NULL;
    if (!more)
        return false;
    text->lines = more;
    text->capacity = (size_t)wanted;
    return true;
}

static size_t count_newlines(const char *bytes, size_t size)
{
    size_t n = 0;
    for (const char *at = bytes, *end = bytes + size; size && (at = memchr(at, '\n', (size_t)(end - at))); n++)
        if (++at == end)
            return n + 1;
    return n;
}

/* Writes where lines begin behind the newlines of bytes, which stand at `at` of the text. */
static void list_lines(size_t *lines, const char *bytes, size_t size, size_t at)
{
    const char *end = bytes + size;
    for (const char *here = bytes; here < end && (here = memchr(here, '\n', (size_t)(end - here)));) {
        here++;
        *lines++ = at + (size_t)(here - bytes);
    }
}

/* ---- the whole ---- */

static void drop_changes(struct text *text, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++) {
        text->undo_bytes -= text->changes[i].n_removed + text->changes[i].n_inserted;
        free(text->changes[i].bytes);
    }
}

void text_deinit(struct text *text)
{
    drop_changes(text, 0, text->n_undo + text->n_redo);
    free(text->changes);
    free(text->lines);
    buffer_deinit(&text->bytes);
    *text = (struct text){0};
}

enum status text_set(struct text *text, const char *bytes, size_t size, struct error *error)
{
    struct text made = {.version = text->version + 1};
    if (size > TEXT_LIMIT)
        return error_set(error, STATUS_RANGE, "it has more than %d MB", TEXT_LIMIT >> 20);
    size_t n = count_newlines(bytes, size), n_crlf = 0;
    buffer_append(&made.bytes, bytes, size);
    if (made.bytes.failed || !make_room(&made, n + 1)) {
        text_deinit(&made);
        return error_set(error, STATUS_MEMORY, "out of memory");
    }
    made.lines[0] = 0;
    list_lines(made.lines + 1, bytes, size, 0);
    made.n_lines = n + 1;
    for (size_t i = 1; i < made.n_lines; i++)
        n_crlf += made.lines[i] >= 2 && bytes[made.lines[i] - 2] == '\r';
    made.has_crlf = n_crlf > n / 2;
    text_deinit(text);
    *text = made;
    return STATUS_OK;
}

/* ---- changing ---- */

/* What several changes did, as one: the ones before made [edit_begin, edit_new) of [edit_begin, edit_old); this one is of the
 * text as they left it. */
static void note_edit(struct text *text, size_t begin, size_t old_end, size_t new_end)
{
    size_t end = text->edit_new > old_end ? text->edit_new : old_end;
    if (!text->has_edit) {
        text->edit_begin = begin;
        text->edit_old = old_end;
        text->edit_new = new_end;
    } else {
        text->edit_begin = begin < text->edit_begin ? begin : text->edit_begin;
        text->edit_old = end - text->edit_new + text->edit_old;
        text->edit_new = end - old_end + new_end;
    }
    text->has_edit = true;
}

/* Replaces n_removed bytes at `at`; there is room for lines and bytes. */
static void splice(struct text *text, size_t at, size_t n_removed, const char *bytes, size_t size)
{
    size_t end = at + n_removed, first = text_line_of(text, at) + 1;
    size_t n_old = count_newlines(text_bytes(text) + at, n_removed), n_new = count_newlines(bytes, size);
    size_t *lines = text->lines;
    memmove(lines + first + n_new, lines + first + n_old, (text->n_lines - first - n_old) * sizeof *lines);
    text->n_lines = text->n_lines - n_old + n_new;
    for (size_t i = first + n_new; i < text->n_lines; i++)
        lines[i] = lines[i] - n_removed + size;
    list_lines(lines + first, bytes, size, at);
    char *data = text->bytes.data;
    if (data) {
        memmove(data + at + size, data + end, text->bytes.size - end);
        memcpy(data + at, bytes, size);
        text->bytes.size = text->bytes.size - n_removed + size;
        data[text->bytes.size] = 0;
    }
    text->version++;
    note_edit(text, at, end, at + size);
}

static bool make_byte_room(struct text *text, size_t size)
{
    static const char zeros[256];
    size_t before = text->bytes.size;
    if (size > TEXT_LIMIT || before > TEXT_LIMIT - size)
        return false;
    for (size_t left = size; left > 0 && !text->bytes.failed;) {
        size_t n = left < sizeof zeros ? left : sizeof zeros;
        buffer_append(&text->bytes, zeros, n);
        left -= n;
    }
    bool is_there = !text->bytes.failed;
    text->bytes.failed = false;
    text->bytes.size = before;
    if (text->bytes.data)
        text->bytes.data[before] = 0;
    return is_there;
}

/* Room in the list for one more; the oldest go where there are too many. */
static bool make_change_room(struct text *text)
{
    drop_changes(text, text->n_undo, text->n_undo + text->n_redo);
    text->n_redo = 0;
    if (text->saved != SIZE_MAX && text->saved > text->n_undo)
        text->saved = SIZE_MAX;
    if (text->n_undo >= TEXT_CHANGES_MOST || text->undo_bytes > TEXT_UNDO_BYTES) {
        size_t n = (text->n_undo + 1) / 2;
        drop_changes(text, 0, n);
        memmove(text->changes, text->changes + n, (text->n_undo - n) * sizeof *text->changes);
        text->n_undo -= n;
        text->saved = text->saved == SIZE_MAX || text->saved < n ? SIZE_MAX : text->saved - n;
    }
    if (text->n_undo < text->changes_capacity)
        return true;
    size_t wanted = text->changes_capacity ? text->changes_capacity * 2 : 64;
    struct text_change *more = realloc(text->changes, wanted * sizeof *more);
    if (!more)
        return false;
    text->changes = more;
    text->changes_capacity = wanted;
    return true;
}

bool text_replace(struct text *text, size_t begin, size_t end, const char *bytes, size_t size, size_t cursor,
                  bool is_typed)
{
    size_t n_removed = end - begin;
    if (n_removed == 0 && size == 0)
        return true;
    char *copy = malloc(n_removed + size);
    if (copy) { /* first: bytes may be the text's own */
        memcpy(copy, text_bytes(text) + begin, n_removed);
        memcpy(copy + n_removed, bytes, size);
    }
    bool has_room = copy && make_room(text, text->n_lines + count_newlines(bytes, size)) &&
                    make_byte_room(text, size) && make_change_room(text);
    if (!has_room) {
        free(copy);
        return false;
    }
    const struct text_change *last = text->n_undo ? &text->changes[text->n_undo - 1] : NULL;
    bool joins = is_typed && text->is_typing && last && last->is_typed && last->at + last->n_inserted == begin &&
                 n_removed == 0 && !memchr(" \n\r", copy[0], 3);
    splice(text, begin, n_removed, copy + n_removed, size);
    text->changes[text->n_undo++] = (struct text_change){.at = begin,
                                                         .n_removed = n_removed,
                                                         .n_inserted = size,
                                                         .bytes = copy,
                                                         .cursor_before = cursor,
                                                         .cursor_after = begin + size,
                                                         .is_typed = is_typed,
                                                         .joins = joins};
    text->undo_bytes += n_removed + size;
    text->is_typing = is_typed;
    return true;
}

void text_rest(struct text *text)
{
    text->is_typing = false;
}

bool text_undo(struct text *text, size_t *cursor)
{
    bool joins, is_first = true;
    text->is_typing = false;
    if (text->n_undo == 0)
        return false;
    do {
        const struct text_change *change = &text->changes[text->n_undo - 1];
        if (!make_room(text, text->n_lines + change->n_removed) || !make_byte_room(text, change->n_removed))
            return !is_first;
        splice(text, change->at, change->n_inserted, change->bytes, change->n_removed);
        *cursor = change->cursor_before;
        joins = change->joins;
        is_first = false;
        text->n_undo--;
        text->n_redo++;
    } while (joins && text->n_undo);
    return true;
}

bool text_redo(struct text *text, size_t *cursor)
{
    bool is_first = true;
    text->is_typing = false;
    if (text->n_redo == 0)
        return false;
    do {
        const struct text_change *change = &text->changes[text->n_undo];
        if (!make_room(text, text->n_lines + change->n_inserted) || !make_byte_room(text, change->n_inserted))
            return !is_first;
        splice(text, change->at, change->n_removed, change->bytes + change->n_removed, change->n_inserted);
        *cursor = change->cursor_after;
        is_first = false;
        text->n_undo++;
        text->n_redo--;
    } while (text->n_redo && text->changes[text->n_undo].joins);
    return true;
}

bool text_is_changed(const struct text *text)
{
    return text->saved != text->n_undo;
}

void text_saved(struct text *text)
{
    text->saved = text->n_undo;
    text->is_typing = false;
}

bool text_take_edit(struct text *text, size_t *begin, size_t *old_end, size_t *new_end)
{
    *begin = text->edit_begin;
    *old_end = text->edit_old;
    *new_end = text->edit_new;
    bool has_edit = text->has_edit;
    text->has_edit = false;
    return has_edit;
}

/* ---- characters ---- */

size_t text_next(const struct text *text, size_t at)
{
    size_t line = text_line_of(text, at), end = text_line_end(text, line);
    int width;
    if (at >= end)
        return line + 1 < text->n_lines ? text->lines[line + 1] : text->bytes.size;
    return at + cells_next(text_bytes(text) + at, end - at, false, &width);
}

size_t text_previous(const struct text *text, size_t at)
{
    enum { NEARBY = 256 };
    size_t line = text_line_of(text, at), begin = text->lines[line];
    if (at == begin)
        return line > 0 ? text_line_end(text, line - 1) : 0;
    size_t here = at - begin > NEARBY ? at - NEARBY : begin, last = here;
    while (here > begin && (text->bytes.data[here] & 0xc0) == 0x80)
        here--;
    while (here < at) {
        last = here;
        here = text_next(text, here);
    }
    return last;
}
