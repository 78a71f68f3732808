/* scan: brackets, strings and comments of code, told apart well enough to count; lines and their indentation. */
#ifndef FATHOM_FIM_SCAN_H
#define FATHOM_FIM_SCAN_H

#include "engine/base.h"

/* Goes through a text byte by byte.  Zero-initialised is the beginning, outside strings and comments. */
struct scan {
    int depth;    /* brackets open; negative where more were closed than opened */
    char quote;   /* the quote that a string is open with, or 0 */
    bool is_long; /* it is three of them */
    bool is_escaped, is_line_comment, is_block_comment;
    bool has_hash_comments;
};

/* Takes the byte at text[at]; returns how many bytes it took (a mark of several bytes is taken whole). */
size_t scan_step(struct scan *scan, const char *text, size_t size, size_t at);
static inline bool scan_is_code(const struct scan *scan)
{
    return !scan->quote && !scan->is_line_comment && !scan->is_block_comment;
}

bool byte_is_space(char byte); /* also line ends */
bool byte_is_word(char byte);  /* letters, digits, _, all beyond ASCII */
bool byte_opens(char byte);    /* ( [ { */
bool byte_closes(char byte);   /* ) ] } */

/* Columns of the white space that a line begins with; a tab counts to the next multiple of 8. */
size_t line_indent(struct slice line);
/* Without white space at both ends, or at the end alone. */
struct slice slice_trim(struct slice text);
struct slice slice_trim_end(struct slice text);
/* The line that begins at `at`, without its end; *next is where the next one begins. */
struct slice line_at(struct slice text, size_t at, size_t *next);
static inline bool slice_same(struct slice a, struct slice b)
{
    return a.size == b.size && (!a.size || __builtin_memcmp(a.data, b.data, a.size) == 0);
}
bool slice_begins(struct slice text, struct slice with);
bool slice_ends(struct slice text, struct slice with);

#endif
