/* input: see input.h. */
#include "ui/input.h"

#include <stdlib.h>
#include <string.h>

enum { UNDO_TEXT_MOST = 1 << 20 };

static struct slice whole(const struct input *input)
{
    return (struct slice){input->text.data ? input->text.data : "", input->text.size};
}

/* ---- undo ---- */

static void drop_states(struct input *input, size_t from)
{
    for (size_t i = from; i < input->n_undo + input->n_redo; i++)
        free(input->undo[i].text);
    input->n_redo = 0;
    input->n_undo = from < input->n_undo ? from : input->n_undo;
}

static bool state_save(const struct input *input, struct input_state *state)
{
    struct slice text = whole(input);
    char *copy = text.size <= UNDO_TEXT_MOST ? malloc(text.size + 1) : NULL;
    if (!copy)
        return false;
    memcpy(copy, text.data, text.size);
    *state = (struct input_state){copy, text.size, input->cursor};
    return true;
}

/* Before a change. */
static void keep(struct input *input)
{
    struct input_state state;
    drop_states(input, input->n_undo);
    if (!state_save(input, &state))
        return;
    if (input->n_undo == INPUT_UNDO_MOST) {
        free(input->undo[0].text);
        memmove(input->undo, input->undo + 1, (INPUT_UNDO_MOST - 1) * sizeof *input->undo);
        input->n_undo--;
    }
    input->undo[input->n_undo++] = state;
}

static void state_load(struct input *input, struct input_state *state)
{
    buffer_clear(&input->text);
    buffer_append(&input->text, state->text, state->size);
    input->cursor = state->cursor <= input->text.size ? state->cursor : input->text.size;
}

/* Exchanges the text with a state of the list. */
static void swap(struct input *input, size_t i)
{
    struct input_state now;
    if (!state_save(input, &now))
        return;
    state_load(input, &input->undo[i]);
    free(input->undo[i].text);
    input->undo[i] = now;
}

static void undo(struct input *input)
{
    if (input->n_undo == 0)
        return;
    swap(input, --input->n_undo);
    input->n_redo++;
}

static void redo(struct input *input)
{
    if (input->n_redo == 0)
        return;
    swap(input, input->n_undo++);
    input->n_redo--;
}

/* ---- places in the text ---- */

static size_t line_begin(const struct input *input, size_t at)
{
    while (at > 0 && input->text.data[at - 1] != '\n')
        at--;
    return at;
}

static size_t line_end(const struct input *input, size_t at)
{
    while (at < input->text.size && input->text.data[at] != '\n')
        at++;
    return at;
}

static size_t next(const struct input *input, size_t at)
{
    int width;
    return at + cells_next(whole(input).data + at, input->text.size - at, false, &width);
}

static size_t previous(const struct input *input, size_t at)
{
    if (at == 0)
        return 0;
    size_t begin = line_begin(input, at), here = begin;
    if (begin == at)
        return at - 1; /* the newline before */
    while (next(input, here) < at)
        here = next(input, here);
    return here;
}

static bool is_word(const struct input *input, size_t at)
{
    char c = input->text.data[at];
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (c & 0x80);
}

static size_t word_left(const struct input *input)
{
    size_t at = input->cursor;
    while (at > 0 && !is_word(input, previous(input, at)))
        at = previous(input, at);
    while (at > 0 && is_word(input, previous(input, at)))
        at = previous(input, at);
    return at;
}

static size_t word_right(const struct input *input)
{
    size_t at = input->cursor;
    while (at < input->text.size && !is_word(input, at))
        at = next(input, at);
    while (at < input->text.size && is_word(input, at))
        at = next(input, at);
    return at;
}

/* ---- changes ---- */

static void replace(struct input *input, size_t begin, size_t end, const char *text, size_t size)
{
    struct buffer made = {0};
    struct slice before = whole(input);
    buffer_append(&made, before.data, begin);
    buffer_append(&made, text, size);
    buffer_append(&made, before.data + end, before.size - end);
    if (made.failed || made.size > INPUT_LIMIT) {
        buffer_deinit(&made);
        return;
    }
    buffer_deinit(&input->text);
    input->text = made;
    input->cursor = begin + size;
}

static void cut(struct input *input, size_t begin, size_t end, bool is_kept)
{
    if (begin == end)
        return;
    keep(input);
    if (is_kept) {
        buffer_clear(&input->killed);
        buffer_append(&input->killed, input->text.data + begin, end - begin);
    }
    replace(input, begin, end, "", 0);
}

void input_insert(struct input *input, const char *text, size_t size, bool is_typed)
{
    bool joins = is_typed && input->is_typing && size > 0 && *text != ' ';
    if (size == 0)
        return;
    if (!joins)
        keep(input);
    replace(input, input->cursor, input->cursor, text, size);
    input->is_typing = is_typed;
    input->at = input->n_history;
    input->is_searching = false;
}

void input_set(struct input *input, const char *text, size_t size)
{
    keep(input);
    replace(input, 0, input->text.size, text, size);
    input->is_typing = false;
}

void input_clear(struct input *input)
{
    drop_states(input, 0);
    buffer_clear(&input->text);
    input->cursor = 0;
    input->at = input->n_history;
    input->is_typing = input->is_searching = false;
}

void input_deinit(struct input *input)
{
    drop_states(input, 0);
    for (size_t i = 0; i < input->n_history; i++)
        free(input->history[i]);
    free(input->history);
    buffer_deinit(&input->text);
    buffer_deinit(&input->draft);
    buffer_deinit(&input->killed);
    *input = (struct input){0};
}

/* ---- history ---- */

void input_remember(struct input *input, const char *text)
{
    bool is_there = input->n_history && strcmp(input->history[input->n_history - 1], text) == 0;
    char *copy = is_there ? NULL : strdup(text);
    if (copy && input->n_history == INPUT_HISTORY_MOST) {
        free(input->history[0]);
        memmove(input->history, input->history + 1, --input->n_history * sizeof *input->history);
    }
    if (copy && input->n_history == input->capacity) {
        size_t wanted = input->capacity ? input->capacity * 2 : 64;
        char **more = realloc(input->history, wanted * sizeof *more);
        if (more) {
            input->history = more;
            input->capacity = wanted;
        }
    }
    if (copy && input->n_history < input->capacity)
        input->history[input->n_history++] = copy;
    else
        free(copy);
    input->at = input->n_history;
}

static void show_entry(struct input *input, size_t at)
{
    if (input->at == input->n_history) {
        buffer_clear(&input->draft);
        buffer_append(&input->draft, whole(input).data, input->text.size);
    }
    input->at = at;
    if (at == input->n_history)
        input_set(input, buffer_text(&input->draft), input->draft.size);
    else
        input_set(input, input->history[at], strlen(input->history[at]));
}

static void older(struct input *input)
{
    if (input->at > 0)
        show_entry(input, input->at - 1);
}

static void newer(struct input *input)
{
    if (input->at < input->n_history)
        show_entry(input, input->at + 1);
}

/* What was typed when the search began is in draft. */
static void search_older(struct input *input)
{
    if (!input->is_searching) {
        buffer_clear(&input->draft);
        buffer_append(&input->draft, whole(input).data, input->text.size);
        input->at = input->n_history;
    }
    for (size_t i = input->at; i-- > 0;)
        if (input->draft.size == 0 || strstr(input->history[i], buffer_text(&input->draft))) {
            input->at = i;
            input_set(input, input->history[i], strlen(input->history[i]));
            break;
        }
    input->is_searching = true;
}

/* ---- actions ---- */

/* The same column, by bytes, a line above or below; false where there is none. */
static bool move_line(struct input *input, int direction)
{
    size_t begin = line_begin(input, input->cursor), end = line_end(input, input->cursor);
    if (direction < 0 ? begin == 0 : end == input->text.size)
        return false;
    size_t at = direction < 0 ? line_begin(input, begin - 1) : end + 1;
    size_t last = line_end(input, at);
    for (size_t here = begin; here < input->cursor && at < last; here = next(input, here))
        at = next(input, at);
    input->cursor = at;
    return true;
}

static void change(struct input *input, enum input_action action)
{
    size_t at = input->cursor, end;
    switch (action) {
    case INPUT_DELETE_LEFT:
        cut(input, previous(input, at), at, false);
        break;
    case INPUT_DELETE_RIGHT:
        cut(input, at, next(input, at), false);
        break;
    case INPUT_DELETE_WORD_LEFT:
        cut(input, word_left(input), at, true);
        break;
    case INPUT_DELETE_WORD_RIGHT:
        end = word_right(input);
        cut(input, at, end, true);
        break;
    case INPUT_DELETE_LINE_BEGIN:
        cut(input, line_begin(input, at), at, true);
        break;
    case INPUT_DELETE_LINE_END:
        end = line_end(input, at);
        cut(input, at, end == at && at < input->text.size ? at + 1 : end, true);
        break;
    case INPUT_PUT_BACK:
        input_insert(input, buffer_text(&input->killed), input->killed.size, false);
        break;
    case INPUT_NEWLINE:
        input_insert(input, "\n", 1, false);
        break;
    case INPUT_UNDO:
        undo(input);
        break;
    case INPUT_REDO:
        redo(input);
        break;
    default:
        break;
    }
    if (action == INPUT_DELETE_RIGHT || action == INPUT_DELETE_WORD_RIGHT || action == INPUT_DELETE_LINE_END)
        input->cursor = at < input->text.size ? at : input->text.size;
}

void input_act(struct input *input, enum input_action action)
{
    bool was_searching = input->is_searching;
    input->is_typing = false;
    input->is_searching = false;
    switch (action) {
    case INPUT_LEFT:
        input->cursor = previous(input, input->cursor);
        break;
    case INPUT_RIGHT:
        input->cursor = next(input, input->cursor);
        break;
    case INPUT_WORD_LEFT:
        input->cursor = word_left(input);
        break;
    case INPUT_WORD_RIGHT:
        input->cursor = word_right(input);
        break;
    case INPUT_LINE_BEGIN:
        input->cursor = line_begin(input, input->cursor);
        break;
    case INPUT_LINE_END:
        input->cursor = line_end(input, input->cursor);
        break;
    case INPUT_UP:
        if (!move_line(input, -1))
            older(input);
        break;
    case INPUT_DOWN:
        if (!move_line(input, 1))
            newer(input);
        break;
    case INPUT_OLDER:
        older(input);
        break;
    case INPUT_NEWER:
        newer(input);
        break;
    case INPUT_SEARCH_OLDER:
        input->is_searching = was_searching;
        search_older(input);
        break;
    default:
        change(input, action);
        break;
    }
}

/* ---- drawing ---- */

/* Goes over the text as it lies in rows; draws those from top on where cells isn't NULL. */
static int walk(const struct input *input, int columns, bool ascii_only, struct cells *cells, struct area area, int top,
                int *cursor_row, int *cursor_column)
{
    struct slice text = whole(input);
    int row = 0, column = 0;
    *cursor_row = *cursor_column = 0;
    columns = columns > 0 ? columns : 1;
    for (size_t at = 0;;) {
        int width;
        size_t taken = cells_next(text.data + at, text.size - at, ascii_only, &width);
        bool is_newline = taken && text.data[at] == '\n';
        if (!is_newline && column > 0 && column + (taken ? width : 1) > columns && (taken || at == input->cursor)) {
            row++;
            column = 0;
        }
        if (at == input->cursor) {
            *cursor_row = row;
            *cursor_column = column;
        }
        if (!taken)
            return row + 1;
        if (is_newline) {
            row++;
            column = 0;
        } else {
            if (cells && row >= top && row - top < area.rows)
                cells_put(cells, area, row - top, column, STYLE_TEXT, text.data + at, taken);
            column += width;
        }
        at += taken;
    }
}

int input_layout(const struct input *input, int columns, bool ascii_only, int *row, int *column)
{
    return walk(input, columns, ascii_only, NULL, (struct area){0}, 0, row, column);
}

void input_draw(const struct input *input, struct cells *cells, struct area area, int top)
{
    int row, column;
    walk(input, area.columns, cells->ascii_only, cells, area, top, &row, &column);
}
