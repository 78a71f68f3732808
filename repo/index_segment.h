/* index_segment: the inverted lists of the index: from a key (a name, a term) to where it stands.
 *
 * FTS5 was measured beside this, on 12 MB of C in 10,000 pieces whose words were cut already: contentless and without
 * detail it took 0.19 s of CPU and 3.6 MB, with detail 0.28 s and 9.6 MB.  This takes 3.4 MB, and all of storing (cutting
 * words, facts, four kinds of lists) 0.34 s.  What decided is what FTS5 leaves out: without detail it has no counts for
 * BM25, contentless it can't forget a text (SQLite 3.40), and definitions, references and imports would need tables of
 * their own, of tens of millions of rows.  Here one dictionary serves all: the first byte of a key is its space.
 *
 *   KEY_DEFINITION  lower-case name, NUL, and the name itself where it isn't the same
 *   KEY_REFERENCE   the same: both in one order, so that one pass joins them
 *   KEY_TERM        lower-case word of the text, or part of an identifier
 *   KEY_IMPORT      last part of what is imported, lower-case, without suffix
 *
 * Lists are built in memory (struct postings), written as one segment a transaction, and segments are merged as they grow
 * in number (index_tidy.c), so a write costs its own size, and log(n) times that later.  A segment covers a range of content and chunk
 * numbers; ranges ascend and don't overlap, so merging two lists is putting them one after the other.
 *
 * A list is a row of varints: (document - last one) << 2 | low.  Documents are chunk numbers for KEY_TERM, else content
 * numbers; low counts occurrences, at most POSTING_LOW_MAX + 1.  In KEY_DEFINITION each is followed by ordinal << 5 | kind,
 * one a definition, so the same document may come again.
 *
 * Segments lie in tables "segments" (ranges; the chunks' lengths), "terms" (segment, first key of a block, block) and
 * "blocks": a block is entries of: key cut by the one before, number of postings, last document, bytes, list. */
#ifndef FATHOM_REPO_INDEX_SEGMENT_H
#define FATHOM_REPO_INDEX_SEGMENT_H

#include <sqlite3.h>
#include <stdatomic.h>

#include "repo/index_code.h"

enum { KEY_DEFINITION = 'd', KEY_REFERENCE = 'r', KEY_TERM = 't', KEY_IMPORT = 'm' };
enum { POSTING_LOW_MAX = 3 };

/* ---- in memory ---- */

struct postings;

enum status postings_new(struct postings **out, struct error *error);
void postings_free(struct postings *postings);
void postings_clear(struct postings *postings);
size_t postings_memory(const struct postings *postings); /* bytes in use */

/* Documents of a key come in ascending order.  with_extra: KEY_DEFINITION's second number.  A failure to get memory, or a
 * document out of order, is kept and given by segment_write. */
uint32_t postings_key(struct postings *postings, const char *key, size_t size);
void postings_add(struct postings *postings, uint32_t key, uint32_t document, unsigned low);
void postings_add_with(struct postings *postings, uint32_t key, uint32_t document, unsigned low, uint32_t extra);

/* Sorts by key; nothing is added until the next clear.  Then entries 0 .. n - 1 can be read. */
enum status postings_sort(struct postings *postings, size_t *n, struct error *error);

struct posting_entry {
    const char *key;
    size_t key_size;
    uint32_t n, last;
    struct slice list; /* borrowed until the next call */
};
void postings_entry(struct postings *postings, size_t i, struct posting_entry *out);

/* ---- on disk ---- */

struct segment {
    int64_t id;
    uint32_t first_content, last_content; /* both included */
    uint32_t first_chunk, end_chunk;
    uint64_t n_bytes; /* of blocks */
    uint64_t n_words; /* sum of the chunks' lengths */
};

struct segment_store; /* the statements for one connection */

enum status segment_store_new(sqlite3 *database, struct segment_store **out, struct error *error);
void segment_store_free(struct segment_store *store);

/* All segments by their ranges, read anew; borrowed until the next call. */
enum status segment_list(struct segment_store *store, const struct segment **segments, size_t *n, struct error *error);

/* Within the caller's transaction.  segment's id, n_bytes and n_words are set here.  lengths has a byte for each chunk. */
enum status segment_write(struct segment_store *store, struct postings *postings, struct segment *segment,
                          const uint8_t *lengths, struct error *error);

/* Which documents to keep when segments are merged; NULL keeps all. */
struct segment_filter {
    const uint8_t *contents; /* one byte for each content number below n_contents: 0 is dropped */
    uint32_t n_contents;
    const uint8_t *chunks;
    uint32_t n_chunks;
};

/* Within the caller's transaction: the segments [first, first + n) of the last list become one. */
enum status segment_merge(struct segment_store *store, size_t first, size_t n, const struct segment_filter *filter,
                          const atomic_bool *cancel, struct error *error);
enum status segment_lengths(struct segment_store *store, const struct segment *segment, struct buffer *out,
                            struct error *error);

/* ---- lists ---- */

struct posting_list {
    uint32_t n; /* as the entry says: an estimate for ranking; never trusted for memory */
    struct code_reader reader;
    uint32_t document; /* of the posting that was read last */
    unsigned low;
    uint32_t extra;
    bool has_extra;
};

/* False at the end. */
bool posting_next(struct posting_list *list);

/* The next n at once, of a list without extra; fewer at the end. */
struct posting {
    uint32_t document, low;
};
size_t posting_take(struct posting_list *list, struct posting *out, size_t n);

/* The list of a key in one segment: empty where it has none.  The bytes are borrowed until the store's next call for the
 * same slot (0..SEGMENT_SLOTS - 1). */
enum { SEGMENT_SLOTS = 4 };
enum status segment_find(struct segment_store *store, const struct segment *segment, const char *key, size_t size,
                         unsigned slot, struct posting_list *out, struct error *error);

/* Goes through the keys of one segment from a key on.  Zeroed, then segment_seek. */
struct segment_cursor {
    struct segment_store *store;
    const struct segment *segment;
    sqlite3_stmt *blocks;
    struct code_reader reader; /* of the block that the statement stands on */
    struct code_name key;
    struct posting_list list; /* of key */
    uint32_t last;            /* document of the list */
    bool is_done;
};
enum status segment_seek(struct segment_cursor *cursor, struct segment_store *store, const struct segment *segment,
                         const char *key, size_t size, struct error *error);
enum status segment_next(struct segment_cursor *cursor, struct error *error); /* is_done at the end */
void segment_cursor_deinit(struct segment_cursor *cursor);

#endif
