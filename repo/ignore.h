/* ignore: a list of patterns in .gitignore's syntax, and what it says of a path, as git says it.
 *
 * The rules are those of gitignore(5), with what git does where the manual is silent; a list is held against git itself by
 * tests/test_ignore.c.  A match takes time in proportion to pattern times path at worst: no pattern makes it explode. */
#ifndef FATHOM_REPO_IGNORE_H
#define FATHOM_REPO_IGNORE_H

#include "engine/base.h"

struct ignore_list;

enum ignore_verdict {
    IGNORE_UNSAID, /* no pattern matches: a list of less weight may say */
    IGNORE_YES,
    IGNORE_NO, /* the last pattern that matches begins with '!' */
};

/* Copies the text.  folds: upper and lower case of ASCII are the same (core.ignoreCase).  A text without patterns gives
 * *out = NULL, which ignore_list_match takes.  STATUS_MEMORY. */
enum status ignore_list_new(const char *text, size_t size, bool folds, struct ignore_list **out, struct error *error);
void ignore_list_free(struct ignore_list *list);

/* Of a path relative to the folder that the list belongs to; at most 4096 bytes, longer ones are never matched.  Of the
 * folders above it nothing is asked: where one of them is ignored, so is what lies below. */
enum ignore_verdict ignore_list_match(const struct ignore_list *list, const char *path, size_t size, bool is_folder);

#endif
