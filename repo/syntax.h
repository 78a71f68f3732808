/* syntax: what a text of code holds: definitions, references, scopes, chunks, imports and colours, by tree-sitter.
 *
 * Grammars are shared objects that are opened when first needed, from the folders given (build/lib, PREFIX/lib/fathom; the
 * places where Emacs and Neovim keep theirs); Markdown and Lua are read without.  The tag queries are ours
 * (assets/tags/LANG.scm).  Everything is bounded: text size, parse time, depth, number of tags; a text beyond a bound is
 * indexed as text alone (result.is_text), never refused.
 *
 * In C that the grammar doesn't understand (macros that stand for syntax, conditionals in the middle of things) a second
 * look by tokens finds what the tree lost.  A function that a macro defines by its argument, as SYSCALL_DEFINE3(read, ...)
 * does, has the argument's name.  Uses of parameters and local variables are no references.
 *
 * Costs, for C on one core: 8 to 9 MB of text a second to parse, 25 for all the rest; 50 MB of memory for a text of 1 MB.
 * A document's edit costs what must be parsed anew, mostly under a millisecond, at most 10 in 300 KB that stop making
 * sense; colours of a screen 0.2 ms and more, scopes of a place 0.1 to 5 ms.
 *
 * struct languages is shared by all threads once made; struct syntax (one parser and its scratch memory) belongs to one. */
#ifndef FATHOM_REPO_SYNTAX_H
#define FATHOM_REPO_SYNTAX_H

#include "engine/base.h"

struct languages;
struct syntax;

enum tag_kind {
    TAG_FUNCTION,
    TAG_METHOD,
    TAG_CLASS,
    TAG_STRUCT,
    TAG_UNION,
    TAG_ENUM,
    TAG_ENUMERATOR,
    TAG_TYPE /* typedef, alias */,
    TAG_INTERFACE /* trait, protocol */,
    TAG_MODULE /* namespace, package */,
    TAG_MACRO,
    TAG_CONSTANT,
    TAG_VARIABLE,
    TAG_FIELD,
    TAG_PROTOTYPE,
    TAG_HEADING /* Markdown */,
    TAG_KEY /* JSON, YAML, TOML: top levels */,
    TAG_TARGET /* Make */,
    TAG_N_KINDS,
};
const char *tag_kind_name(enum tag_kind kind); /* "function", as search prints it and kind: takes it */

struct span {
    uint32_t begin, end; /* bytes, end beyond the last */
};

struct definition {
    struct span name;        /* within the text */
    struct span whole;       /* with body */
    struct span signature;   /* without body: what an outline shows (may span lines) */
    struct span doc;         /* the comment that belongs to it; empty where there is none */
    uint32_t line, end_line; /* 1-based, of whole */
    int32_t parent;          /* index of the enclosing definition, -1 at top */
    enum tag_kind kind;
};

struct reference {
    struct span name;
    uint32_t line;
    bool is_call;
    int32_t scope; /* index of the definition that it stands in, or -1 */
};

struct import {
    struct span target; /* what is imported, as written without its quotes: "linux/fs.h", "os.path", "../x" */
    uint32_t line;
    bool is_system; /* <...> */
};

struct chunk {
    struct span text; /* cut at syntax borders, whole lines; a definition that fits is one chunk */
    uint32_t line, end_line;
    int32_t scope; /* the definition that it is or lies in, or -1 */
};

struct syntax_result {
    const struct definition *definitions; /* in order of whole.begin, parents before children */
    const struct reference *references;   /* in order */
    const struct import *imports;
    const struct chunk *chunks; /* cover every line that isn't blank, in order, not overlapping */
    size_t n_definitions, n_references, n_imports, n_chunks;
    bool is_text;    /* no grammar, or given up: chunks by lines alone */
    bool has_errors; /* the parser met what it doesn't know */
    uint64_t parse_ns, query_ns;
};

/* folders: NULL-terminated, where grammars and where tag queries are looked for.  Opens nothing yet. */
enum status languages_new(const char *const *grammar_folders, const char *const *query_folders, struct languages **out,
                          struct error *error);
void languages_free(struct languages *languages);
/* What is found in texts of this language (or in plain ones, -1) depends on: our own code, by SYNTAX_VERSION, the grammars
 * that are there, and the tag query.  Another number: found again.  Reads the files once, 2 ms for all.  Thread-safe. */
enum { SYNTAX_VERSION = 2 }; /* one more whenever other definitions, references or chunks come out of the same text */
uint64_t languages_version(struct languages *languages, int language);

/* Whether texts of a language can be read by their syntax: STATUS_NOT_FOUND without a grammar or a tag query,
 * STATUS_FORMAT where the query isn't one for the grammar. */
enum status languages_check(struct languages *languages, int language, struct error *error);

/* By name, then by the first line (#!), as an index into the table of languages; -1 where none fits.  0 <= index <
 * languages_count(). */
int language_of(const char *path, const char *text, size_t size);
int languages_count(void);
const char *language_name(int language); /* "c", "python"...: what lang: takes; "" for -1 */
int language_by_name(const char *name);  /* also common other names and suffixes: "py", "c++"; -1 */

enum status syntax_new(struct languages *languages, struct syntax **out, struct error *error);
void syntax_free(struct syntax *syntax);

/* The result lives in syntax until its next call.  Text is at most 2^31 bytes.  A parse takes at most the time limit
 * (limit_ns of the thread's own time, 0: 2 s), then is_text.  STATUS_MEMORY alone. */
enum status syntax_read(struct syntax *syntax, int language, const char *text, size_t size, uint64_t limit_ns,
                        struct syntax_result *out, struct error *error);

/* ---- a text that is edited and coloured ---- */

enum highlight {
    HL_PLAIN,
    HL_KEYWORD,
    HL_TYPE,
    HL_FUNCTION,
    HL_STRING,
    HL_NUMBER,
    HL_COMMENT,
    HL_CONSTANT,
    HL_OPERATOR,
    HL_PREPROCESSOR,
    HL_HEADING,
    HL_N
};
struct highlight_span {
    struct span text;
    enum highlight kind;
};

struct document; /* one text's tree, kept between edits */
enum status document_new(struct languages *languages, int language, struct document **out, struct error *error);
void document_free(struct document *document);
/* The text is now this; edit says what changed against the last one (NULL: everything).  Re-parses only what must be. */
struct document_edit {
    uint32_t begin, old_end, new_end;
};
enum status document_update(struct document *document, const struct document_edit *edit, const char *text, size_t size,
                            struct error *error);
/* Spans between begin and end, in order, not overlapping; borrowed until the next call. */
enum status document_highlight(struct document *document, uint32_t begin, uint32_t end,
                               const struct highlight_span **spans, size_t *n, struct error *error);
/* The enclosing definitions of a byte, innermost first (parent is -1).  At most max; returns the number. */
size_t document_scopes(struct document *document, uint32_t at, struct definition *scopes, size_t max);

/* Places of the text that its language's grammar doesn't understand, and tokens that it misses there; < 0 where there is no
 * grammar for it. */
long document_count_errors(const struct document *document);
/* The innermost node around a byte that ends by a word or mark of its own (`end`, `fi`, `}`) before the text does: true
 * with where it ends. */
bool document_closes(const struct document *document, uint32_t at, uint32_t *end);

#endif
