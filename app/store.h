/* store: conversations on disk, in $XDG_STATE_HOME/fathom/conversations.db (SQLite, folder mode 0700, files 0600).
 *
 * A question is there before its answer begins, and the answer as it comes, in batches of at most 250 ms: kill -9 loses no
 * more than the last batch.  Several programs may use the store at a time.  What is stored is the full text, whatever of it
 * the model could see.
 *
 * A failure never costs the answer: the caller says so once and goes on unsaved. */
#ifndef FATHOM_APP_STORE_H
#define FATHOM_APP_STORE_H

#include "app/conversation.h"

struct store;

/* Appends the folder's path after making it (and its parents) where it is missing.  For whoever keeps state there. */
enum status store_make_folder(struct buffer *out, struct error *error);

/* folder NULL: that one.  A file that is no database, is damaged, or was made by a newer program gives STATUS_FORMAT or
 * STATUS_UNSUPPORTED with its path; it is left as it is. */
enum status store_open(const char *folder, struct store **out, struct error *error);
void store_close(struct store *store); /* NULL is fine */

/* ---- conversations ---- */

struct store_entry {
    int64_t id;
    const char *name;  /* "" where it has none */
    const char *title; /* how its first question begins, one line */
    const char *model;
    int64_t n_questions;
    int64_t updated; /* seconds since 1970 */
};

/* Latest first.  The entry is the callback's until it returns; false ends the walk. */
typedef bool store_entry_fn(void *context, const struct store_entry *entry);
enum status store_list(struct store *store, store_entry_fn *each, void *context, struct error *error);

enum status store_new(struct store *store, const char *model, const char *system, int64_t *id, struct error *error);

/* By its name, else by its number; text NULL or "" is the one used last.  STATUS_NOT_FOUND. */
enum status store_find(struct store *store, const char *text, int64_t *id, struct error *error);

/* Replaces conversation by what is stored. */
enum status store_load(struct store *store, int64_t id, struct conversation *conversation, struct error *error);

/* STATUS_ARGUMENT where another conversation has the name, or it is empty or a number. */
enum status store_name(struct store *store, int64_t id, const char *name, struct error *error);
enum status store_set_system(struct store *store, int64_t id, const char *system, struct error *error);
enum status store_delete(struct store *store, int64_t id, struct error *error); /* STATUS_NOT_FOUND */

/* ---- messages ---- */

/* A message that is complete. */
enum status store_add(struct store *store, int64_t id, const struct conversation_message *message, struct error *error);

/* An answer that is being given.  One at a time. */
enum status store_answer_begin(struct store *store, int64_t id, struct error *error);
/* Takes some of its text; writes what has gathered once the last write is STORE_BATCH_MS ago. */
enum { STORE_BATCH_MS = 250 };
enum status store_answer_push(struct store *store, enum text_part part, const char *text, size_t size,
                              struct error *error);
enum status store_answer_flush(struct store *store, struct error *error);
/* Writes the rest.  The answer is over, also after a failure. */
enum status store_answer_end(struct store *store, struct error *error);

#endif
