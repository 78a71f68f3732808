/* chat_normal: the normal form of a chat template's text, by which it is recognised.
 *
 * Two texts with the same normal form give the same prompt for any conversation of plain messages.  The form forgets what
 * makes no difference there: comments, white space between tags, kinds of quotes, x['role'] against x.role, constants
 * joined by + or written one after another, the words of an exception, and branches that only a call with tools, documents
 * or other extras would take.  Nothing is computed but that last: the truth of conditions that are the same for all of our
 * calls.  Sentences inside of constants (a default system text) are taken out and kept as holes.
 *
 * Syntax of templates: https://jinja.palletsprojects.com/en/stable/templates/, with trim_blocks and lstrip_blocks. */
#ifndef FATHOM_ENGINE_CHAT_NORMAL_H
#define FATHOM_ENGINE_CHAT_NORMAL_H

#include "engine/base.h"

enum { CHAT_MAX_HOLES = 8 };

struct chat_normal {
    struct buffer form;           /* one statement a line; a hole is the byte 1 */
    struct buffer texts;          /* the texts of the holes, each terminated by NUL */
    size_t holes[CHAT_MAX_HOLES]; /* where they begin in texts */
    size_t n_holes;
    uint64_t hash; /* of form, FNV-1a */
};

/* STATUS_UNSUPPORTED where the text is too long or is no template that could have a normal form; STATUS_MEMORY. */
enum status chat_normal_make(const char *text, size_t size, struct chat_normal *out, struct error *error);
void chat_normal_deinit(struct chat_normal *normal);

#endif
