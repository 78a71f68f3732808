/* index_facts: what the index keeps of one content, encoded by the thread that parsed it, so that the one writer only
 * copies bytes and looks up keys.
 *
 *   chunks       a row of: bytes between the last chunk's end and this one's begin, bytes, lines since the last end line,
 *                lines beyond its first, scope + 1
 *   definitions  a row of: kind (and 32 where a scope follows the name), own number - parent's (0: none), name (cut by the
 *                last one), the scope that stands before the name in the text (A of void A::f() {}: size, bytes), begin since the last one's
 *                begin, bytes, name's begin relative to begin, signature's begin relative to begin, signature's bytes,
 *                doc's bytes and, where not 0, how far before begin it begins, line since the last one's, lines beyond its
 *                first
 *   references   by name, sorted: name (cut by the last one), number, for each: (line - last line) << 1 | is_call
 *   imports      a row of: bytes, target, line << 1 | is_system
 *
 * All numbers are varints (index_code.h).  Text isn't kept: it lies in the worktree. */
#ifndef FATHOM_REPO_INDEX_FACTS_H
#define FATHOM_REPO_INDEX_FACTS_H

#include "repo/index_segment.h"
#include "repo/repo.h"
#include "repo/syntax.h"

enum { FACT_NAME_MAX = 255 }; /* longer names are left out */
enum { FACT_HAS_SCOPE = 32 }; /* beside a definition's kind */

struct facts {
    struct repo_id id;
    int language;
    bool is_text, has_errors;
    uint64_t n_bytes;
    uint32_t n_definitions, n_references, n_chunks;
    struct buffer chunks, definitions, references, imports;
    struct buffer lengths; /* a byte for each chunk: words in it, in fours */
    struct buffer keys;    /* for facts_add_postings */
};

void facts_clear(struct facts *facts);
void facts_deinit(struct facts *facts);
size_t facts_memory(const struct facts *facts);

struct facts_scratch; /* tables that one thread uses again and again */
enum status facts_scratch_new(struct facts_scratch **out, struct error *error);
void facts_scratch_free(struct facts_scratch *scratch);

/* facts is cleared and filled, but for id and language, which the caller sets before.  Spans are checked against size. */
enum status facts_encode(struct facts_scratch *scratch, const struct syntax_result *result, const char *text,
                         size_t size, struct facts *facts, struct error *error);

/* Adds every key of these facts, as content number content whose first chunk is chunk. */
void facts_add_postings(const struct facts *facts, uint32_t content, uint32_t chunk, struct postings *postings);

/* ---- keys ---- */

/* Lower-case by ASCII alone. */
void facts_lower(char *out, const char *text, size_t size);

/* KEY_DEFINITION or KEY_REFERENCE of a name of at most FACT_NAME_MAX bytes; returns the size.  out holds CODE_NAME_MAX. */
size_t facts_name_key(char *out, char space, const char *name, size_t size);

/* The words of a text in order, as they are indexed: whole identifiers and numbers; false at the end. */
bool facts_next_word(const char *text, size_t size, size_t *at, struct slice *word);

/* The parts of an identifier, cut at '_' and camelCase; at most FACT_PARTS_MAX, not lower-cased; 0 where it is one word. */
enum { FACT_PARTS_MAX = 16 };
size_t facts_split(struct slice word, struct slice parts[FACT_PARTS_MAX]);

/* The language names modules, not files: parts parted by dots or colons. */
bool facts_is_dotted(int language);
/* Keys under which an import is looked for (KEY_IMPORT's byte first); at most 2.  out holds CODE_NAME_MAX each. */
size_t facts_import_keys(int language, const char *target, size_t size, struct code_name out[2]);
/* The key under which importers of a file look: its name without suffix, or its folder's where it stands for that. */
void facts_path_stem(const char *path, size_t size, struct code_name *out);

/* ---- reading ---- */

struct fact_definition {
    struct code_name name;
    struct span whole, signature, name_span, doc;
    uint32_t line, end_line;
    int32_t parent;
    enum tag_kind kind;
    uint32_t ordinal;
    struct slice scope; /* as written before the name; within the reader's bytes */
};
struct fact_definitions {
    struct code_reader reader;
    struct fact_definition now;
    bool is_begun;
};
bool facts_next_definition(struct fact_definitions *list); /* false at the end, or where reader.failed */

struct fact_chunk {
    struct span text;
    uint32_t line, end_line;
    int32_t scope;
};
bool facts_next_chunk(struct code_reader *reader, struct fact_chunk *chunk); /* chunk holds the one before; zeroed */

struct fact_names {
    struct code_reader reader;
    struct code_name name;
    uint32_t n; /* references to it that facts_next_line hasn't given */
};
bool facts_next_name(struct fact_names *names);
bool facts_next_line(struct fact_names *names, uint32_t *line,
                     bool *is_call); /* line holds the one before; 0 at first */

struct fact_import {
    struct slice target;
    uint32_t line;
    bool is_system;
};
bool facts_next_import(struct code_reader *reader, struct fact_import *import);

#endif
