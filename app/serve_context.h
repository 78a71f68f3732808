/* serve_context: what the repository of --repo adds to a completion that an editor asks for.  All of it on the desk's thread;
 * the index is kept fresh by another (app/freshness.h).
 *
 * Editors don't say which file they are in.  It is looked for by its lines: the file of the repository that holds some of
 * those around the cursor. */
#ifndef FATHOM_APP_SERVE_CONTEXT_H
#define FATHOM_APP_SERVE_CONTEXT_H

#include "app/command.h"
#include "app/gather.h"

struct serve_context;

/* path: the repository's, or a folder in it. */
enum status serve_context_open(const struct command_context *context, struct engine *engine, const char *path,
                               struct serve_context **out, struct error *error);
void serve_context_close(struct serve_context *repository); /* NULL is fine */

struct languages *serve_context_languages(const struct serve_context *repository); /* borrowed */

/* What was found for one request; all of it is its own. */
struct serve_found {
    struct buffer text; /* prefix and suffix */
    struct buffer path; /* the file's; empty where it isn't known */
    struct gathered gathered;
};
void serve_found_deinit(struct serve_found *found);

/* Fills *out's path, prefix, suffix, pieces, borders and signatures; they lie in found.  repository NULL: the text alone. */
enum status serve_context_find(struct serve_context *repository, const char *prefix, const char *suffix,
                               struct serve_found *found, struct fim_request *out, struct error *error);

#endif
