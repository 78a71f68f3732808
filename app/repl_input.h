/* repl_input: where the repl's questions come from: libedit on a terminal; plain lines with --plain, on a dumb terminal,
 * and where stdin or stdout is none.
 *
 * On a terminal a question of several lines is entered by ending a line with a backslash, or by pasting: a bracketed paste
 * goes in as it is, newlines and all, and only Enter sends it.  ~/.editrc holds (vi or emacs keys), except that Tab
 * completes and Ctrl-C clears. */
#ifndef FATHOM_APP_REPL_INPUT_H
#define FATHOM_APP_REPL_INPUT_H

#include "app/command.h"

struct repl_input;

/* What Tab offers for the line up to the cursor: appends to out what each candidate has instead of the line's last word,
 * NUL-terminated one after another, and sets *word to where that word begins.  Nothing appended: Tab is a tab. */
typedef void repl_complete_fn(void *context, const char *line, size_t *word, struct buffer *out);

enum repl_line {
    REPL_LINE,        /* a line, or several */
    REPL_INTERRUPTED, /* Ctrl-C: nothing is to be done */
    REPL_END,         /* Ctrl-D, the end of the input */
};

/* history: path of the file it is kept in; NULL: none.  STATUS_MEMORY. */
enum status repl_input_open(const struct command_context *context, const char *history, repl_complete_fn *complete,
                            void *complete_context, struct repl_input **out, struct error *error);
void repl_input_close(struct repl_input *input);

/* Somebody sits there: prompts and hints make sense. */
bool repl_input_is_dialogue(const struct repl_input *input);

/* Clears line and fills it, without the newline at its end.  A failure of the history is told once, in *error, with the line
 * as it should be. */
enum repl_line repl_input_read(struct repl_input *input, struct buffer *line, struct error *error);

#endif
