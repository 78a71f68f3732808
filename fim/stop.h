/* stop: where a middle ends.
 *
 *   line        something stands before or behind the cursor on its line: to the line's end, or to where what stands behind
 *               it begins
 *   statement   the line is empty: one line, and where that opens a bracket or a block, to its end
 *   block       what stands before the cursor opens a block: to where the block closes
 *
 * A bracket closes what it opened; a block closes also with a line that is indented less than its beginning; nothing goes on
 * where the suffix begins.  Strings and comments are told apart from code well enough to count brackets; whoever has a
 * syntax tree says more by struct fim_syntax. */
#ifndef FATHOM_FIM_STOP_H
#define FATHOM_FIM_STOP_H

#include "engine/base.h"

enum fim_stop {
    FIM_GOES_ON,
    FIM_STOP_END,      /* the model ended it */
    FIM_STOP_LINE,     /* the line, or the statement */
    FIM_STOP_BLOCK,    /* the block closed */
    FIM_STOP_SUFFIX,   /* the suffix begins */
    FIM_STOP_LIMIT,    /* as many tokens as were allowed, or as the context holds */
    FIM_STOP_DEADLINE, /* as long as was allowed */
};
const char *fim_stop_name(enum fim_stop stop); /* "eot", "line", "block", "suffix", "limit", "deadline" */

enum fim_extent { FIM_LINE, FIM_STATEMENT, FIM_BLOCK };

struct fim_place {
    enum fim_extent extent;
    size_t indent; /* columns of the cursor's line, a tab counting to the next multiple of 8 */
    bool is_inner; /* lines of the middle must be indented more than indent, not as much */
    bool has_hash_comments, ends_by_indent;
    bool has_crlf;
    struct slice before;    /* the cursor's line before it */
    struct slice rest;      /* the cursor's line behind it, without white space at its end */
    struct slice next_line; /* the suffix's first line behind that with something on it, without white space around */
    char next;              /* the first byte of the suffix that is no white space; 0: there is none */
};

/* path says the language where it counts.  Borrows. */
void fim_place_of(struct slice path, struct slice prefix, struct slice suffix, struct fim_place *out);

/* A syntax tree's say.  Both may be NULL. */
struct fim_syntax {
    void *context;
    /* Syntax errors of the whole text with this at the hole; < 0: unknown. */
    long (*errors)(void *context, const char *middle, size_t size);
    /* The innermost node that the hole lies in ends within this: *end bytes belong to it. */
    bool (*closes)(void *context, const char *middle, size_t size, size_t *end);
};

/* Whether a middle that begins so is at its end, and how much of it counts.  is_whole: nothing will follow, so that a last
 * line counts as ended. */
enum fim_stop fim_stop_find(const struct fim_place *place, const char *text, size_t size, bool is_whole, size_t *end);

#endif
