/* saved: what was evaluated of conversations, on disk: $XDG_STATE_HOME/fathom/kv/ (folder mode 0700, files 0600).
 *
 *   KEY-ID.kv     tokens and cells of conversation ID, KEY being what the cells depend on (session_key): a model, a KV type
 *
 * A prompt is read from there as far as any file of the same key begins with its text, whichever conversation that was.
 * It is a cache: files that don't fit or are damaged are passed over, those that weren't used for the longest time are deleted
 * beyond a limit, and nothing is lost with any of them but time. */
#ifndef FATHOM_APP_SAVED_H
#define FATHOM_APP_SAVED_H

#include "engine/engine.h"

/* All files together take at most a tenth of what is free on the disk without them, and so many bytes. */
#define SAVED_MOST_BYTES UINT64_C(20000000000)
enum { SAVED_MOST_FILES = 256 };

/* Fewer tokens are not worth a file, nor is a file that spares fewer. */
enum { SAVED_LEAST_TOKENS = 64 };

/* Puts cells into the session where a file has more of the prompt's beginning than the session. */
void saved_restore(const struct engine *engine, struct session *session, const struct tokens *prompt);

/* Saves the session as conversation id's, unless a file has nearly as much; then makes room. */
enum status saved_keep(const struct session *session, int64_t id, struct error *error);

/* Removes what is saved of a conversation, of all keys. */
void saved_delete(int64_t id);

/* For saved_keep and tests: deletes what is beyond the limits, first what was used the longest time ago, and what nobody
 * finished writing. */
void saved_make_room(const char *folder, uint64_t most_bytes, size_t most_files);

#endif
