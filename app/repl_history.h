/* repl_history: the questions asked in the repl, kept in the state folder: one a line, a newline as \n, a backslash as \\.
 * Entries are appended one write each, so that several repls share the file. */
#ifndef FATHOM_APP_REPL_HISTORY_H
#define FATHOM_APP_REPL_HISTORY_H

#include "engine/base.h"

enum { REPL_HISTORY_LIMIT = 1000 };

/* Gives the last REPL_HISTORY_LIMIT entries in order.  A file that isn't there has none. */
enum status repl_history_load(const char *path, void (*each)(void *context, const char *entry), void *context,
                              struct error *error);

/* Makes the file with mode 0600 where it is missing.  One that has grown far beyond the limit is shortened first. */
enum status repl_history_append(const char *path, const char *entry, struct error *error);

#endif
