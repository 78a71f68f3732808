/* complete_syntax: what a syntax tree says of a middle: whether it adds errors, and whether what it lies in has closed.
 *
 * Two documents are kept, of the whole text and of what stands before the hole with the middle behind it; each new middle
 * costs what must be parsed anew of them. */
#ifndef FATHOM_APP_COMPLETE_SYNTAX_H
#define FATHOM_APP_COMPLETE_SYNTAX_H

#include "fim/stop.h"
#include "repo/syntax.h"

struct complete_syntax;

/* *out is NULL, and that no error, where the language has no grammar or the text is too long for it to be worth it.  prefix
 * and suffix must outlive it. */
enum status complete_syntax_new(struct languages *languages, struct slice path, struct slice prefix,
                                struct slice suffix, struct complete_syntax **out, struct error *error);
void complete_syntax_free(struct complete_syntax *syntax); /* NULL is fine */

/* What fim asks; NULL for NULL. */
const struct fim_syntax *complete_syntax_asked(const struct complete_syntax *syntax);

#endif
