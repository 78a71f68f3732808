/* markdown: from what a model writes to lines of a document.  By md4c: headings, lists, tables, quotes, links shown as text,
 * fenced code with a label.  HTML is text like any other.
 *
 * Text that isn't whole yet is rendered as what it is so far (a fence that is open goes to the end), so a streamed answer is
 * rendered again and again.  Text of more than MARKDOWN_LIMIT bytes is shown as it is behind the limit. */
#ifndef FATHOM_UI_MARKDOWN_H
#define FATHOM_UI_MARKDOWN_H

#include "ui/doc.h"

enum { MARKDOWN_LIMIT = 1 << 18 };

/* Gives spans of code (begin, end: its bytes, in order, not overlapping) to `add`, for those whose style isn't plain. */
typedef void markdown_span_fn(void *out, size_t begin, size_t end, enum style style);
typedef void markdown_color_fn(void *context, struct slice language, struct slice code, markdown_span_fn *add,
                               void *out);

struct markdown_options {
    int64_t tag;              /* of every line; those of the n-th code block (from 1) have tag + n */
    markdown_color_fn *color; /* may be NULL */
    void *color_context;
    int columns; /* that a table may take; cells are cut to fit */
};

void markdown_render(const char *text, size_t size, const struct markdown_options *options, struct doc *doc);

/* Appends the n-th code block's source (n from 1); false where there are fewer. */
bool markdown_code_block(const char *text, size_t size, size_t n, struct buffer *out);

#endif
