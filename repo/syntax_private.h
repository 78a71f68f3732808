/* syntax_private: what the files of the module syntax share: a loaded language, its compiled tag query, and lists that
 * grow up to a bound. */
#ifndef FATHOM_REPO_SYNTAX_PRIVATE_H
#define FATHOM_REPO_SYNTAX_PRIVATE_H

#include <tree_sitter/api.h>

#include "repo/syntax.h"

enum {
    SYNTAX_MAX_TEXT = 8 << 20,        /* a larger text is indexed as text alone */
    SYNTAX_MAX_DEFINITIONS = 1 << 18, /* of one text; what is beyond is left out */
    SYNTAX_MAX_REFERENCES = 1 << 20,
    SYNTAX_MAX_IMPORTS = 1 << 14,
    SYNTAX_MAX_SIGNATURE = 512,
    SYNTAX_CHUNK = 1500,     /* bytes: a chunk ends before it is longer, unless one line alone is */
    SYNTAX_CHUNK_LINE = 6000 /* bytes: a line that is longer is cut */
};

/* ---- tag query: see tagquery.c for the dialect ---- */

enum {
    CAPTURE_DEFINITION = 1,
    CAPTURE_NAME = 2, /* of a definition */
    CAPTURE_DOC = 4,
    CAPTURE_COMMENT = 8,
    CAPTURE_REFERENCE = 16,
    CAPTURE_CALL = 32,
    CAPTURE_IMPORT = 64,
    CAPTURE_LOCAL = 128,  /* the name of a parameter or local variable */
    CAPTURE_WORDS = 256,  /* a text whose identifiers are references: a macro's body */
    CAPTURE_MEMBER = 512, /* of a field: never a local variable */
    CAPTURE_TARGETS = CAPTURE_NAME | CAPTURE_CALL | CAPTURE_IMPORT | CAPTURE_LOCAL | CAPTURE_REFERENCE,
    CAPTURE_LEAVES = CAPTURE_REFERENCE | CAPTURE_COMMENT | CAPTURE_WORDS | CAPTURE_MEMBER,
    PATTERN_MAX_DEPTH = 10
};

/* One node of a pattern.  Links are indexes into tag_query.patterns; 0 ends a list. */
struct pattern {
    TSSymbol symbol;
    bool any;        /* (_): every named node */
    bool is_first;   /* only the first named child (an anchor stands before it) */
    bool has_target; /* it or what lies below holds the capture that is looked for in every place */
    bool leads;      /* it or one of its alternatives has a target */
    TSFieldId field, absent;
    uint16_t captures;
    enum tag_kind kind;
    uint16_t child, next;    /* first child; next sibling, or for a root the next root of the same symbol */
    uint16_t other;          /* the next of alternatives in this place */
    uint16_t texts, n_texts; /* the node's text must be one of these (#eq?, #any-of?) */
};

struct tag_query {
    struct arena arena;
    struct pattern *patterns;
    struct slice *texts;
    size_t n_patterns, n_texts;
    uint16_t *roots;  /* by symbol: the first pattern that begins there */
    uint16_t *leaves; /* by symbol: captures of patterns that are one node alone */
    uint32_t n_symbols;
    TSFieldId body, values[2];
};

/* STATUS_FORMAT says what in the text isn't understood, and where. */
enum status tag_query_new(const TSLanguage *grammar, struct slice text, struct tag_query **out, struct error *error);
void tag_query_free(struct tag_query *query);

void syntax_memory_guard(void); /* before anything else of tree-sitter's is called */

/* ---- languages ---- */

struct language {
    const TSLanguage *grammar; /* NULL: there is none that fits */
    struct tag_query *tags;    /* NULL: there is none */
    bool is_c, is_cpp;         /* lexical_c helps; in C++ with macros alone */
    bool is_markdown, is_lua;  /* markdown.c and lua.c read them, without a grammar */
    uint8_t *colours;          /* enum highlight by symbol; NULL without grammar */
};

/* The language, loaded at the first call; never NULL for 0 <= index < languages_count().  Thread-safe. */
const struct language *languages_get(struct languages *languages, int index);
/* Appends the text of a language's tag query; false where there is none. */
bool languages_query_text(const struct languages *languages, int index, struct buffer *text);
uint8_t *highlight_table_new(const TSLanguage *grammar); /* document.c; NULL where memory ran out */

/* ---- what a walk collects ---- */

struct found_definition {
    struct definition definition;
    uint16_t rank; /* of its pattern: the first of the query's patterns wins where two name the same place */
};

struct found_name {
    struct span span;
    uint32_t line;
    uint16_t captures;
};

struct list { /* of items of one size */
    void *items;
    size_t n, capacity, size, most;
    bool failed;
};

void *list_add(struct list *list); /* zeroed item; NULL where the bound is reached or memory ran out (failed) */
void list_clear(struct list *list);
void list_deinit(struct list *list);

struct found {
    struct list definitions; /* found_definition */
    struct list names;       /* found_name: references, calls, locals */
    struct list comments;    /* found_name */
    struct list imports;     /* import */
    bool is_lexical;         /* lexical_c added to the definitions */
    struct list rows; /* uint8_t: for chunks, how deep the node lies that begins a line; ROW_NONE: don't cut there */
};

enum { ROW_NONE = 255 };

/* Walks the tree once.  cursors are scratch. */
struct tag_walk;
enum status tag_walk_new(struct tag_walk **out, struct error *error);
void tag_walk_free(struct tag_walk *walk);
/* Only nodes that have a byte in range are looked at. */
void tag_walk_run(struct tag_walk *walk, const struct tag_query *query, TSNode root, const char *text, uint32_t size,
                  struct span range, struct found *found);

/* Adds what a look without a grammar finds in C (found_definition of LEXICAL_RANK). */
enum { LEXICAL_RANK = 0 }; /* before all patterns, which count from 1 */
void lexical_c_run(const char *text, uint32_t size, bool macros_only, struct list *definitions);
bool lexical_c_is_keyword(const char *text, struct span name); /* that stands before parentheses */

/* Headings, links and names in backticks; code, which may be NULL, gets found_name of code spans and fences. */
void markdown_read(const char *text, uint32_t size, struct found *found, struct list *code);
void lua_read(const char *text, uint32_t size, struct found *found);

/* ---- what is made of it ---- */

struct syntax {
    struct languages *languages;
    TSParser *parser;
    struct tag_walk *walk;
    struct found found;
    struct list definitions; /* definition */
    struct list references;  /* reference */
    struct list chunks;      /* chunk */
    struct list locals;      /* found_local */
};

/* NULL where the text takes longer than that, 0 standing for 2 s.  old may be NULL. */
TSTree *syntax_parse(TSParser *parser, const TSLanguage *grammar, const TSTree *old, const char *text, uint32_t size,
                     uint64_t limit_ns);
/* Reads a text of a language without grammar, as syntax_read_tree does one with; code as markdown_read's. */
void syntax_read_plain(struct syntax *syntax, const struct language *language, const char *text, uint32_t size,
                       struct list *code);
/* Puts in order what found has. */
void syntax_put(struct syntax *syntax, const char *text, uint32_t size);
void syntax_clear(struct syntax *syntax);
/* Fills definitions, references and found.imports from what of the tree has a byte in range; syntax was cleared. */
void syntax_read_tree(struct syntax *syntax, const struct language *language, TSNode root, const char *text,
                      uint32_t size, struct span range);

/* Chunks of the whole text into list (struct chunk).  row_depth may be NULL: then cut at blank lines. */
void chunk_text(const char *text, uint32_t size, const struct definition *definitions, size_t n,
                const uint8_t *row_depth, size_t n_rows, struct list *chunks);

#endif
