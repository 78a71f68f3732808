/* editor: see editor.h.  Here: the cursor and what keys do; editor_draw.c draws. */
#include "ui/editor.h"

#include <string.h>

#include "ui/doc.h"

void editor_deinit(struct editor *editor)
{
    text_deinit(&editor->text);
    buffer_deinit(&editor->pattern);
    buffer_deinit(&editor->killed);
    *editor = (struct editor){0};
}

/* ---- going ---- */

void editor_go(struct editor *editor, size_t at)
{
    editor->cursor = at < editor->text.bytes.size ? at : editor->text.bytes.size;
    editor->goal = -1;
    text_rest(&editor->text);
}

void editor_go_line(struct editor *editor, size_t line)
{
    const struct text *text = &editor->text;
    line = line < text->n_lines ? line : text->n_lines - 1;
    editor_go(editor, text_line_begin(text, line));
    size_t above = editor->rows > 0 ? (size_t)editor->rows / 3 : 5;
    editor->top = line > above ? line - above : 0;
}

static bool is_word(const struct text *text, size_t at)
{
    char c = text->bytes.data[at];
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (c & 0x80);
}

static size_t word_left(const struct editor *editor)
{
    const struct text *text = &editor->text;
    size_t at = editor->cursor;
    while (at > 0 && !is_word(text, at - 1))
        at--;
    while (at > 0 && is_word(text, at - 1))
        at--;
    return at;
}

static size_t word_right(const struct editor *editor)
{
    const struct text *text = &editor->text;
    size_t at = editor->cursor, size = text->bytes.size;
    while (at < size && !is_word(text, at))
        at++;
    while (at < size && is_word(text, at))
        at++;
    return at;
}

struct slice editor_word(const struct editor *editor, size_t *at)
{
    const struct text *text = &editor->text;
    size_t begin = editor->cursor, end = begin;
    while (begin > 0 && is_word(text, begin - 1))
        begin--;
    while (end < text->bytes.size && is_word(text, end))
        end++;
    *at = begin;
    return (struct slice){text_bytes(text) + begin, end - begin};
}

/* The place of a line that is nearest to a column. */
static size_t at_column(const struct text *text, size_t line, int column)
{
    size_t at = text_line_begin(text, line), end = text_line_end(text, line);
    for (int here = 0; at < end && here < column; at = text_next(text, at))
        here = editor_step(text, at, here);
    return at;
}

static void move_lines(struct editor *editor, int64_t n)
{
    const struct text *text = &editor->text;
    size_t line = text_line_of(text, editor->cursor), last = text->n_lines - 1;
    int goal = editor->goal >= 0 ? editor->goal : editor_column(text, editor->cursor);
    if (n < 0)
        line -= (uint64_t)-n < line ? (size_t)-n : line;
    else
        line = last - line > (uint64_t)n ? line + (size_t)n : last;
    editor_go(editor, at_column(text, line, goal));
    editor->goal = goal;
}

static size_t line_begin(const struct editor *editor)
{
    const struct text *text = &editor->text;
    size_t line = text_line_of(text, editor->cursor), begin = text_line_begin(text, line), at = begin;
    while (at < text_line_end(text, line) && memchr(" \t", text->bytes.data[at], 2))
        at++;
    return editor->cursor == at ? begin : at;
}

bool editor_search(struct editor *editor, int direction)
{
    const struct text *text = &editor->text;
    const struct buffer *pattern = &editor->pattern;
    const char *bytes = text_bytes(text);
    size_t found = SIZE_MAX, size = text->bytes.size;
    if (direction > 0) {
        size_t from = editor->cursor < size ? editor->cursor + 1 : size;
        found = text_find(bytes + from, size - from, buffer_text(pattern), pattern->size);
        found = found == SIZE_MAX ? text_find(bytes, size, buffer_text(pattern), pattern->size) : found + from;
    } else {
        /* The last one before the cursor, else the last one of all. */
        size_t last = SIZE_MAX;
        for (size_t from = 0, at;
             (at = text_find(bytes + from, size - from, buffer_text(pattern), pattern->size)) != SIZE_MAX;
             from += at + 1) {
            found = from + at < editor->cursor ? from + at : found;
            last = from + at;
        }
        found = found == SIZE_MAX ? last : found;
    }
    if (found == SIZE_MAX)
        return false;
    editor_go(editor, found);
    return true;
}

/* ---- changing ---- */

bool editor_insert(struct editor *editor, const char *bytes, size_t size, bool is_typed)
{
    if (!text_replace(&editor->text, editor->cursor, editor->cursor, bytes, size, editor->cursor, is_typed))
        return false;
    editor->cursor += size;
    editor->goal = -1;
    return true;
}

static bool cut(struct editor *editor, size_t begin, size_t end, bool is_kept)
{
    if (begin == end)
        return false;
    if (is_kept) {
        buffer_clear(&editor->killed);
        buffer_append(&editor->killed, editor->text.bytes.data + begin, end - begin);
    }
    if (!text_replace(&editor->text, begin, end, "", 0, editor->cursor, false))
        return false;
    editor->cursor = begin;
    editor->goal = -1;
    return true;
}

static bool insert_newline(struct editor *editor)
{
    const struct text *text = &editor->text;
    size_t begin = text_line_begin(text, text_line_of(text, editor->cursor)), at = begin;
    struct buffer made = {0};
    buffer_append_text(&made, text_newline(text));
    while (at < editor->cursor && memchr(" \t", text->bytes.data[at], 2))
        at++;
    buffer_append(&made, text_bytes(text) + begin, at - begin);
    bool is_done = !made.failed && editor_insert(editor, made.data, made.size, false);
    buffer_deinit(&made);
    return is_done;
}

/* Blanks where the first line that is indented is so, as many; else a tab. */
static bool insert_indent(struct editor *editor)
{
    enum { LINES_LOOKED_AT = 2000 };
    const struct text *text = &editor->text;
    for (size_t line = 0; line < text->n_lines && line < LINES_LOOKED_AT; line++) {
        size_t begin = text_line_begin(text, line), n = 0;
        const char *at = text_bytes(text) + begin;
        if (*at == '\t')
            break;
        while (at[n] == ' ')
            n++;
        if (n >= 2 && n <= 8 && at[n] != '*')
            return editor_insert(editor, "        ", n, false);
    }
    return editor_insert(editor, "\t", 1, false);
}

static bool change(struct editor *editor, enum editor_action action)
{
    struct text *text = &editor->text;
    size_t at = editor->cursor, line = text_line_of(text, at), end;
    switch (action) {
    case EDITOR_DELETE_LEFT:
        return cut(editor, text_previous(text, at), at, false);
    case EDITOR_DELETE_RIGHT:
        return cut(editor, at, text_next(text, at), false);
    case EDITOR_DELETE_WORD_LEFT:
        return cut(editor, word_left(editor), at, true);
    case EDITOR_DELETE_WORD_RIGHT:
        return cut(editor, at, word_right(editor), true);
    case EDITOR_DELETE_LINE_BEGIN:
        return cut(editor, text_line_begin(text, line), at, true);
    case EDITOR_DELETE_LINE_END:
        end = text_line_end(text, line);
        return cut(editor, at, end == at ? text_next(text, at) : end, true);
    case EDITOR_PUT_BACK:
        return editor->killed.size && editor_insert(editor, editor->killed.data, editor->killed.size, false);
    case EDITOR_NEWLINE:
        return insert_newline(editor);
    case EDITOR_INDENT:
        return insert_indent(editor);
    case EDITOR_UNDO:
        editor->goal = -1;
        return text_undo(text, &editor->cursor);
    case EDITOR_REDO:
        editor->goal = -1;
        return text_redo(text, &editor->cursor);
    default:
        return false;
    }
}

bool editor_act(struct editor *editor, enum editor_action action)
{
    const struct text *text = &editor->text;
    int64_t page = editor->rows > 2 ? editor->rows - 2 : 1;
    switch (action) {
    case EDITOR_LEFT:
        editor_go(editor, text_previous(text, editor->cursor));
        return true;
    case EDITOR_RIGHT:
        editor_go(editor, text_next(text, editor->cursor));
        return true;
    case EDITOR_UP:
        move_lines(editor, -1);
        return true;
    case EDITOR_DOWN:
        move_lines(editor, 1);
        return true;
    case EDITOR_WORD_LEFT:
        editor_go(editor, word_left(editor));
        return true;
    case EDITOR_WORD_RIGHT:
        editor_go(editor, word_right(editor));
        return true;
    case EDITOR_LINE_BEGIN:
        editor_go(editor, line_begin(editor));
        return true;
    case EDITOR_LINE_END:
        editor_go(editor, text_line_end(text, text_line_of(text, editor->cursor)));
        return true;
    case EDITOR_PAGE_UP:
    case EDITOR_PAGE_DOWN:
        move_lines(editor, action == EDITOR_PAGE_UP ? -page : page);
        return true;
    case EDITOR_BEGIN:
        editor_go(editor, 0);
        return true;
    case EDITOR_END:
        editor_go(editor, text_line_begin(text, text->n_lines - 1));
        return true;
    default:
        return change(editor, action);
    }
}
