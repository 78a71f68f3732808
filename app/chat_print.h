/* chat_print: an answer on its way to a terminal or a pipe. */
#ifndef FATHOM_APP_CHAT_PRINT_H
#define FATHOM_APP_CHAT_PRINT_H

#include "app/output.h"
#include "engine/engine.h"
#include "ui/visible.h"

struct chat_print {
    struct output *answer;  /* NULL: nothing is printed */
    struct output *thought; /* NULL: thoughts aren't; may be the same as answer */
    struct visible visible;
    struct buffer scratch;
    enum text_part part; /* of what was printed last */
    bool is_begun;
    char last; /* byte printed to answer */
};

/* Where the parts go: everything to out where that is a terminal; else the answer alone, as it is, and thoughts to err where
 * that is a terminal. */
struct chat_print chat_print_make(struct output *out, struct output *err, bool is_quiet, bool ascii_only);

/* False once answer can't be written any more. */
bool chat_print_push(struct chat_print *print, enum text_part part, const char *text, size_t size);

/* Ends the line that was begun: an answer always ends with a newline.  A line of something else may follow. */
void chat_print_end_line(struct chat_print *print);

void chat_print_deinit(struct chat_print *print);

#endif
