/* doc: a document of styled lines, and a view that wraps and scrolls it.
 *
 *   doc_begin, doc_add ──► struct doc ──► view_update(width) ──► rows ──► view_draw ──► cells
 *
 * A document only grows at its end, or is cut there (doc_cut) and grows again: a streamed answer renders its last message
 * anew.  Every line has a stamp that is never given twice, so a view finds by itself what it has to wrap again, and several
 * views of different widths share a document.
 *
 * Text is made visible (visible.h) and tabs are expanded when it is added: what a document holds is what is drawn. */
#ifndef FATHOM_UI_DOC_H
#define FATHOM_UI_DOC_H

#include "ui/cells.h"

struct doc_format {
    int64_t tag;          /* what the line stands for; the program's own */
    uint8_t indent, hang; /* columns before the line's first row, and before the others */
    uint8_t quote;        /* how deep it is quoted: bars before it */
    bool keeps;           /* code: cut at the edge, not between words */
    bool is_one_row;      /* not wrapped: what doesn't fit isn't seen */
    bool is_rule;         /* a rule fills the row behind its text */
    enum style rule_style;
};

struct doc_span {
    size_t begin, end; /* of the document's text */
    enum style style;
};

struct doc_line {
    size_t begin, end;
    size_t first_span;
    struct doc_format format;
    uint64_t stamp;
};

struct doc {
    struct buffer text;
    struct doc_span *spans;
    struct doc_line *lines;
    size_t n_spans, spans_capacity, n_lines, lines_capacity;
    uint64_t last_stamp;
    bool ascii_only;
    bool failed; /* memory ran out: what is there stays, the rest is missing */
};

void doc_deinit(struct doc *doc);
void doc_cut(struct doc *doc, size_t n_lines); /* keeps the first n_lines */

void doc_begin(struct doc *doc, struct doc_format format); /* a new line */
/* Appends to the last line; a newline begins another of the same format. */
void doc_add(struct doc *doc, enum style style, const char *text, size_t size);
void doc_add_text(struct doc *doc, enum style style, const char *text);
void doc_pad(struct doc *doc, int column);    /* blanks up to a column of the line's text; at least one */
void doc_blank(struct doc *doc, int64_t tag); /* an empty line, unless the last one is empty or there is none */

struct slice doc_line_text(const struct doc *doc, size_t line); /* borrowed */

/* ---- a view of it ---- */

struct view_row {
    size_t line, begin, end; /* bytes of the document's text */
    uint64_t stamp;          /* of the line */
    bool is_first;           /* of its line */
};

/* Zero-initialised shows the beginning; with follows the end, as it grows. */
struct view {
    struct view_row *rows;
    size_t n_rows, capacity;
    int columns, height; /* of the last update */
    size_t top;          /* the first row that is shown */
    bool follows;
    struct buffer pattern;          /* what is searched for; empty: nothing */
    size_t match_line, match_begin; /* where the last search ended; valid with has_match */
    bool has_match;
    bool has_cursor; /* a row is chosen: keys act on it */
    size_t cursor;   /* that row */
};

void view_deinit(struct view *view);

/* Wraps what has changed, and keeps the first row where it was.  STATUS_MEMORY. */
enum status view_update(struct view *view, const struct doc *doc, int columns, int height, struct error *error);
void view_draw(const struct view *view, const struct doc *doc, struct cells *cells, struct area area);

void view_scroll(struct view *view, int64_t rows);   /* down where positive; follows again at the end */
void view_to_line(struct view *view, size_t line);   /* its first row to the top */
void view_show_line(struct view *view, size_t line); /* scrolls as far as needed */
void view_move(struct view *view, int64_t rows);     /* the cursor, where there is one; else as scroll */
size_t view_top_line(const struct view *view);
size_t view_cursor_line(const struct view *view);
bool view_is_at_end(const struct view *view);

/* The next line below (direction 1) or above (-1) that holds the pattern, from where the last search ended, else from the
 * first row; around the end.  Letters match in any case unless the pattern has a capital.  False where there is none. */
bool view_search(struct view *view, const struct doc *doc, int direction);
void view_set_pattern(struct view *view, const char *text, size_t size);

/* Where pattern begins in text, or SIZE_MAX. */
size_t text_find(const char *text, size_t size, const char *pattern, size_t pattern_size);

#endif
