/* coloring: the colours of code in answers, by repo/syntax.h, kept from one rendering to the next.
 *
 * A streamed answer is rendered many times a second, and of its code only the end is new: the tree of what was there is
 * kept and told of what was added.  Blocks that are whole are remembered with their colours.  Blocks that are longer than
 * COLORING_MOST, or in languages that there is no grammar for, stay plain.
 *
 * Belongs to one thread. */
#ifndef FATHOM_APP_COLORING_H
#define FATHOM_APP_COLORING_H

#include "repo/syntax.h"
#include "ui/markdown.h"

enum { COLORING_MOST = 64 << 10, COLORING_BLOCKS = 16 };

struct coloring;

/* languages must outlive it.  STATUS_MEMORY. */
enum status coloring_new(struct languages *languages, struct coloring **out, struct error *error);
void coloring_free(struct coloring *coloring); /* NULL is fine */

/* A markdown_color_fn; context is a struct coloring.  language is a fence's word: a language's name, a suffix or a path. */
void coloring_color(void *context, struct slice language, struct slice code, markdown_span_fn *add, void *out);

enum style coloring_style(enum highlight kind);

#endif
