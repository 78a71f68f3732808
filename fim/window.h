/* window: which part of a text before or behind the hole is shown, in a number of tokens, cut where syntax is.
 *
 * A text is divided into blocks of equal size from its own beginning, and each block has one place where a window may begin
 * or end: its first border of syntax, else the first beginning of a line, else its first character.  A window that outgrows
 * its tokens therefore moves by a block and then stays for as long as it takes to type another. */
#ifndef FATHOM_FIM_WINDOW_H
#define FATHOM_FIM_WINDOW_H

#include "engine/engine.h"
#include "fim/prompt.h"

struct fim_window {
    size_t begin, end; /* of the text */
    size_t n_tokens;   /* as its blocks have them, each for itself: the whole may have a few more or less */
};

struct fim_window_text {
    struct slice text;
    const size_t *borders; /* ascending */
    size_t n_borders;
};

/* The end of the text, as much as fits into so many tokens: all of it, or from a border on; of a block that is too large
 * by itself, its last tokens. */
enum status fim_window_before(const struct engine *engine, const struct fim_window_text *text, size_t n_tokens,
                              struct fim_window *out, struct error *error);
/* The beginning of the text, likewise. */
enum status fim_window_behind(const struct engine *engine, const struct fim_window_text *text, size_t n_tokens,
                              struct fim_window *out, struct error *error);

/* Where the lines that count as written already begin: of the text before the cursor, whose first line is the first_line-th
 * of its file, at most n_tokens from its end.  It moves by 16 lines at once; in longer lines, by 256 bytes. */
enum status fim_window_anchor(const struct engine *engine, struct slice text, uint32_t first_line, size_t n_tokens,
                              size_t *out, struct error *error);

/* How many tokens a text is by itself. */
enum status fim_count(const struct engine *engine, struct slice text, size_t *out, struct error *error);

#endif
