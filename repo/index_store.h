/* index_store: the index's tables, for the files index_*.c and search_*.c alone.
 *
 *   meta      root: whose index it is; versions: languages_version of each language when all was last compared; collected:
 *             while dead contents are being collected, the last one whose postings are gone; whole: a refresh of all
 *             files has ended
 *   files     by path: content (0: skipped, with the reason), stamp, when it was edited (index_edited), stem
 *             (facts_path_stem)
 *   contents  by number: blob id, language and its version, size, first chunk, counts; numbers only ascend and are never
 *             used again
 *   facts     by the same number: what index_facts.h describes
 *   segments, terms, blocks: index_segment.h
 *
 * Contents that no file names stay for a while, since branches come back; they are collected once they are larger than
 * half of what lives.  Their postings go a few segments at a time, so readers drop documents without a row in files. */
#ifndef FATHOM_REPO_INDEX_STORE_H
#define FATHOM_REPO_INDEX_STORE_H

#include "repo/index.h"
#include "repo/index_facts.h"

enum index_statement {
    INDEX_BEGIN,      /* a write */
    INDEX_BEGIN_READ, /* one state of the index for several reads */
    INDEX_COMMIT,
    INDEX_ROLLBACK,
    INDEX_EACH_FILE,   /* path, content, skip, size, mtime, ctime, inode, mode, symbols, refs, bytes, edited */
    INDEX_FILE,        /* the same of path ?1 */
    INDEX_FILES_BELOW, /* the same of path ?1, and from ?2 to before ?3 */
    INDEX_PUT_FILE,
    INDEX_DROP_FILE,
    INDEX_EACH_CONTENT, /* id, blob, language, n_definitions, n_references, bytes, version */
    INDEX_FIND_CONTENT, /* the same of blob ?1, language ?2, version ?3 */
    INDEX_CONTENT,      /* the same of number ?1 */
    INDEX_PUT_CONTENT,
    INDEX_PUT_FACTS,
    INDEX_DEAD,      /* bytes of contents that no file names, bytes of all */
    INDEX_EACH_KEPT, /* content, first chunk, number of chunks: of all contents */
    INDEX_DROP_CONTENTS,
    INDEX_DROP_FACTS,
    INDEX_LAST,        /* highest content, highest end of chunks */
    INDEX_PATHS_OF,    /* path of content ?1, at most ?2 */
    INDEX_CONTENT_AT,  /* content, first chunk, number: the one that chunk ?1 lies in */
    INDEX_DEFINITIONS, /* of content ?1: definitions, language */
    INDEX_REFERENCES,  /* references */
    INDEX_CHUNKS,      /* chunks, first chunk, language */
    INDEX_IMPORTS,     /* imports, language */
    INDEX_STEM,        /* path, content of stem ?1, at most ?2 */
    INDEX_LANGUAGE,    /* language, size of content ?1 */
    INDEX_EACH_PLACE,  /* path, content, language, first chunk, number of chunks */
    INDEX_EDITED,      /* path, edited: after ?1, at most ?2, the latest first */
    INDEX_PUT_EDIT,    /* path ?1 was edited at ?2 */
    INDEX_CHUNKS_OF,   /* first chunk, number of path ?1 */
    INDEX_GET_META,    /* value of key ?1 */
    INDEX_PUT_META,
    INDEX_DROP_META,
    INDEX_OUTDATE, /* files of language ?1 in another version than ?2 lose their stamps */
    INDEX_N_STATEMENTS,
};

struct index {
    sqlite3 *database;
    sqlite3_stmt *statements[INDEX_N_STATEMENTS];
    struct segment_store *segments;
    struct buffer path, root; /* terminated */
    int lock;                 /* descriptor of the lock's file */
    unsigned n_readers;       /* index_begin_read within one another */
};

/* The prepared statement, reset and without values; NULL with the error where it can't be had. */
sqlite3_stmt *index_statement(struct index *index, enum index_statement statement, struct error *error);
/* The first column of the one row that a statement gives for a number; empty, and *is_there (may be NULL) false, where there is
 * none.  index_symbols.c. */
enum status index_read_blob(struct index *index, enum index_statement which, int64_t content, bool *is_there,
                            struct buffer *out, struct error *error);

/* The number of a path's content; 0 where the index has none of it (index_symbols.c). */
enum status index_find_content(struct index *index, const char *path, int64_t *content, struct error *error);

/* Runs one that gives no rows, and resets it. */
enum status index_run(struct index *index, sqlite3_stmt *statement, struct error *error);

/* What the database said last; STATUS_FORMAT where it is damaged. */
enum status index_failed(struct index *index, struct error *error);
enum status index_damaged(struct error *error);

/* Reads between these see one state.  They nest. */
enum status index_begin_read(struct index *index, struct error *error);
void index_end_read(struct index *index);

/* Waits until no other process refreshes this index. */
enum status index_lock(struct index *index, const atomic_bool *cancel, struct error *error);
void index_unlock(struct index *index);

/* Deletes the file and makes it anew, within the lock. */
enum status index_make_anew(struct index *index, struct error *error);

/* ---- writing (index_write.c) ---- */

struct index_writer {
    struct index *index;
    struct postings *postings;
    struct buffer lengths;
    uint32_t first_content, next_content, first_chunk, next_chunk;
    uint64_t begun_ns, n_bytes; /* of the batch */
    uint64_t longest_ns;        /* that a batch gathers */
    bool is_open;               /* in a transaction */
};

/* longest_ns 0: 15 s. */
enum status writer_init(struct index_writer *writer, struct index *index, uint64_t longest_ns, struct error *error);
void writer_deinit(struct index_writer *writer); /* rolls back what wasn't committed */
enum status writer_put_content(struct index_writer *writer, const struct facts *facts, uint64_t version,
                               uint32_t *content, struct error *error);
enum status writer_put_edit(struct index_writer *writer, const char *path, size_t size, int64_t edited_ns,
                            struct error *error);
/* Files whose contents were read by other grammars or queries than are there now are to be read again; whether there may be
 * some. */
enum status writer_outdate(struct index_writer *writer, struct languages *languages, bool *is_outdated,
                           struct error *error);
struct index_file_row {
    const char *path;
    size_t path_size;
    uint32_t content;
    enum repo_skip skip;
    struct repo_stamp stamp;
    uint64_t n_symbols, n_references, n_bytes;
    int64_t edited_ns; /* 0: not since it was indexed first */
};
enum status writer_put_file(struct index_writer *writer, const struct index_file_row *row, struct error *error);
enum status writer_drop_file(struct index_writer *writer, const char *path, size_t size, struct error *error);
bool writer_is_full(const struct index_writer *writer); /* time to commit */
enum status writer_commit(struct index_writer *writer, struct error *error);
/* Reads a row of INDEX_FILE or INDEX_EACH_FILE; path borrowed from the statement. */
void index_file_row_read(sqlite3_stmt *statement, struct index_file_row *row);

/* ---- tidying (index_tidy.c) ---- */

/* Segments that are left at most: after a whole refresh and between its batches; and before anything is written, however
 * many runs were cut off.  So there are never more than SEGMENTS_EVER + 1. */
enum { SEGMENTS_MOST = 12, SEGMENTS_EVER = 24, SEGMENTS_PACKED = 8 };

/* Beyond small merges: all that are due; and what is dead goes, if that pays; and after a large part was written, so many
 * places are made free that edits find some. */
enum tidy { TIDY_BRIEF, TIDY_MERGE, TIDY_COLLECT, TIDY_PACK };

/* Which segments are to become one: run of them from first on; run 0 where there are few enough.  TIDY_BRIEF: none but
 * small ones, as long as there are no more than SEGMENTS_EVER. */
struct merge {
    size_t first, run;
};
struct merge index_merge_choose(const struct segment *segments, size_t n, enum tidy how);

/* In transactions of its own, each of which leaves the index whole: killed or cancelled, the next one goes on. */
enum status index_tidy(struct index *index, enum tidy how, const atomic_bool *cancel, struct error *error);

#endif
