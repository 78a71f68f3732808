/* tokenizer_split: pre-tokenizers: how text is cut into the pieces that byte pairs are merged in.
 *
 * A pre-tokenizer is a row of a table: its names and a list of regular expressions.  They are applied one after another,
 * each to the pieces that the one before left, and both the matches and the gaps between them are pieces.  A piece is
 * looked at alone: what stands around it can't be seen by a look-ahead.
 *
 * Bytes that are not UTF-8 are cut as if each were U+FFFD, but stay what they are. */
#ifndef FATHOM_ENGINE_TOKENIZER_SPLIT_H
#define FATHOM_ENGINE_TOKENIZER_SPLIT_H

#include "engine/base.h"

enum { SPLIT_MAX_STEPS = 6 };

struct splitter;

/* STATUS_UNSUPPORTED names a pre-tokenizer that isn't known. */
enum status splitter_new(struct slice name, struct splitter **out, struct error *error);
void splitter_free(struct splitter *splitter);

bool splitter_ignores_merges(const struct splitter *splitter); /* a piece that is a token is taken whole */
bool splitter_adds_bos(const struct splitter *splitter);       /* where the file doesn't say */

struct split_walk;

/* Walks the pieces of one text after the other, in order.  A walk belongs to one thread. */
enum status split_walk_new(const struct splitter *splitter, struct split_walk **out, struct error *error);
void split_walk_free(struct split_walk *walk);

/* Begins with text, which is borrowed until the walk is over. */
enum status split_walk_start(struct split_walk *walk, const char *text, size_t size, struct error *error);

/* The next piece, never empty; *done at the end.  STATUS_MEMORY. */
enum status split_walk_next(struct split_walk *walk, struct slice *piece, bool *done, struct error *error);

#endif
