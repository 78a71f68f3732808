/* doc: see doc.h.  Here: the document; view.c has the views. */
#include "ui/doc.h"

#include <stdlib.h>
#include <string.h>

#include "ui/visible.h"

enum { TAB = 4 };

void doc_deinit(struct doc *doc)
{
    buffer_deinit(&doc->text);
    free(doc->spans);
    free(doc->lines);
    *doc = (struct doc){.ascii_only = doc->ascii_only, .last_stamp = doc->last_stamp};
}

void doc_cut(struct doc *doc, size_t n_lines)
{
    if (n_lines >= doc->n_lines)
        return;
    doc->n_spans = doc->lines[n_lines].first_span;
    doc->text.size = doc->lines[n_lines].begin;
    doc->n_lines = n_lines;
}

/* Room for one more item of size bytes. */
static bool grow(struct doc *doc, void **items, size_t n, size_t *capacity, size_t size)
{
    if (n < *capacity)
        return true;
    uint64_t bytes, wanted = *capacity ? (uint64_t)*capacity * 2 : 64;
    void *more = checked_mul(wanted, size, &bytes) ? realloc(*items, (size_t)bytes) : NULL;
    if (!more) {
        doc->failed = true;
        return false;
    }
    *items = more;
    *capacity = (size_t)wanted;
    return true;
}

void doc_begin(struct doc *doc, struct doc_format format)
{
    if (!grow(doc, (void **)&doc->lines, doc->n_lines, &doc->lines_capacity, sizeof *doc->lines))
        return;
    doc->lines[doc->n_lines++] = (struct doc_line){.begin = doc->text.size,
                                                   .end = doc->text.size,
                                                   .first_span = doc->n_spans,
                                                   .format = format,
                                                   .stamp = ++doc->last_stamp};
}

/* Marks what was appended from `begin` on. */
static void add_span(struct doc *doc, enum style style, size_t begin)
{
    struct doc_line *line = &doc->lines[doc->n_lines - 1];
    size_t end = doc->text.size;
    if (end == begin)
        return;
    line->end = end;
    line->stamp = ++doc->last_stamp;
    if (doc->n_spans > line->first_span && doc->spans[doc->n_spans - 1].style == style) {
        doc->spans[doc->n_spans - 1].end = end;
        return;
    }
    if (!grow(doc, (void **)&doc->spans, doc->n_spans, &doc->spans_capacity, sizeof *doc->spans)) {
        doc->text.size = line->end = begin;
        return;
    }
    doc->spans[doc->n_spans++] = (struct doc_span){begin, end, style};
}

/* A piece without newlines. */
static void add_piece(struct doc *doc, enum style style, const char *text, size_t size)
{
    size_t begin = doc->text.size;
    while (size) {
        const char *tab = memchr(text, '\t', size);
        size_t run = tab ? (size_t)(tab - text) : size;
        visible_append(&doc->text, text, run, doc->ascii_only);
        text += run;
        size -= run;
        if (!tab)
            break;
        size_t from = doc->lines[doc->n_lines - 1].begin;
        int column = cells_width(doc->text.data ? doc->text.data + from : "", doc->text.size - from, doc->ascii_only);
        buffer_append(&doc->text, "    ", (size_t)(TAB - column % TAB));
        text++;
        size--;
    }
    doc->failed = doc->failed || doc->text.failed;
    add_span(doc, style, begin);
}

void doc_add(struct doc *doc, enum style style, const char *text, size_t size)
{
    if (doc->n_lines == 0)
        doc_begin(doc, (struct doc_format){0});
    while (doc->n_lines) {
        const char *newline = size ? memchr(text, '\n', size) : NULL;
        size_t run = newline ? (size_t)(newline - text) : size;
        add_piece(doc, style, text, run);
        if (!newline)
            return;
        text += run + 1;
        size -= run + 1;
        doc_begin(doc, doc->lines[doc->n_lines - 1].format);
        if (doc->failed)
            return;
    }
}

void doc_add_text(struct doc *doc, enum style style, const char *text)
{
    doc_add(doc, style, text, strlen(text));
}

void doc_pad(struct doc *doc, int column)
{
    if (doc->n_lines == 0)
        return;
    size_t begin = doc->text.size;
    struct slice line = doc_line_text(doc, doc->n_lines - 1);
    int width = cells_width(line.data, line.size, doc->ascii_only);
    do
        buffer_append_byte(&doc->text, ' ');
    while (++width < column && !doc->text.failed);
    add_span(doc, STYLE_TEXT, begin);
}

void doc_blank(struct doc *doc, int64_t tag)
{
    const struct doc_line *last = doc->n_lines ? &doc->lines[doc->n_lines - 1] : NULL;
    if (last && (last->end > last->begin || last->format.is_rule))
        doc_begin(doc, (struct doc_format){.tag = tag});
}

struct slice doc_line_text(const struct doc *doc, size_t line)
{
    const struct doc_line *at = &doc->lines[line];
    return (struct slice){doc->text.data ? doc->text.data + at->begin : "", at->end - at->begin};
}
