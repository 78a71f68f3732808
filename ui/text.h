/* text: a file's bytes while they are edited: where its lines begin, and what was changed, to be undone.
 *
 * Bytes are kept as they are, whatever they are: nothing is decoded, converted or added.  A line ends before "\n" or "\r\n";
 * what is typed as a new line is what most of the text has.  Places are bytes.  A text of 100 MB with a million lines takes an
 * insertion at its beginning in some 20 ms. */
#ifndef FATHOM_UI_TEXT_H
#define FATHOM_UI_TEXT_H

#include "engine/base.h"

enum { TEXT_LIMIT = 1 << 30, TEXT_CHANGES_MOST = 10000, TEXT_UNDO_BYTES = 64 << 20 };

struct text_change {
    size_t at, n_removed, n_inserted;
    char *bytes;                        /* what was removed, then what was inserted */
    size_t cursor_before, cursor_after; /* where the cursor was, and is */
    bool is_typed, joins;               /* joins: undone together with the one before */
};

/* Zero-initialised is empty; text_set before all else. */
struct text {
    struct buffer bytes;
    size_t *lines; /* where each begins; at least one */
    size_t n_lines, capacity;
    struct text_change *changes; /* n_undo that can be undone, then n_redo that can be done again */
    size_t n_undo, n_redo, changes_capacity, undo_bytes;
    size_t saved;  /* n_undo when it was saved; SIZE_MAX: no way back there */
    bool has_crlf; /* what is typed as a new line */
    bool is_typing;
    uint64_t version;                      /* another one after every change */
    size_t edit_begin, edit_old, edit_new; /* what text_take_edit gives */
    bool has_edit;
};

void text_deinit(struct text *text);

/* Takes a copy of bytes; nothing can be undone.  STATUS_MEMORY, STATUS_RANGE (beyond TEXT_LIMIT) leave it as it was. */
enum status text_set(struct text *text, const char *bytes, size_t size, struct error *error);

/* Replaces what is between begin and end.  is_typed: a letter, that is undone with those before it.  False, and nothing is
 * changed, where there is no memory. */
bool text_replace(struct text *text, size_t begin, size_t end, const char *bytes, size_t size, size_t cursor,
                  bool is_typed);
/* One step back or forth; *cursor is where it was then.  False where there is none. */
bool text_undo(struct text *text, size_t *cursor);
bool text_redo(struct text *text, size_t *cursor);
void text_rest(struct text *text); /* what is typed next is undone by itself */

bool text_is_changed(const struct text *text); /* since text_set, or text_saved */
void text_saved(struct text *text);

/* What was replaced since the last call, all of it as one: up to old_end before, up to new_end now.  False: nothing, or the
 * text is another one (text_set). */
bool text_take_edit(struct text *text, size_t *begin, size_t *old_end, size_t *new_end);

const char *text_bytes(const struct text *text);
size_t text_line_of(const struct text *text, size_t at);
size_t text_line_begin(const struct text *text, size_t line);
size_t text_line_end(const struct text *text, size_t line); /* before its "\n" or "\r\n" */
const char *text_newline(const struct text *text);

/* The place behind, or before, one character as it is drawn (cells_next); a line's end is one. */
size_t text_next(const struct text *text, size_t at);
size_t text_previous(const struct text *text, size_t at);

#endif
