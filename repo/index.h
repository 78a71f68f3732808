/* index: what is known of a repository's files, in one SQLite file (WAL), kept right by comparing stamps, then contents.
 *
 * The file lies in the cache folder, named by the root's path; two processes may use it.  What is known hangs on the
 * content (blob id, language, and what languages are read by), so a rename, a copy or a branch that comes back costs a row.  A refresh parses on all
 * threads and writes by one, one transaction a batch: killed at any moment, it opens again and goes on.  A file of another
 * version, or a broken one, is made anew.
 *
 * Reads see the last finished batch.  A struct index belongs to one thread; each further thread opens its own. */
#ifndef FATHOM_REPO_INDEX_H
#define FATHOM_REPO_INDEX_H

#include "repo/repo.h"
#include "repo/syntax.h"

struct index;

/* cache_folder exists.  STATUS_IO, STATUS_MEMORY. */
enum status index_open(const char *cache_folder, const char *root, struct index **out, struct error *error);
void index_close(struct index *index);
/* Deletes indexes of that folder, those first that weren't opened for the longest time, until they take at most limit
 * bytes; never keep (may be NULL), nor one that is being refreshed. */
enum status index_prune(const char *cache_folder, uint64_t limit, const struct index *keep, uint64_t *n_removed,
                        struct error *error);

struct index_options {
    struct languages *languages;
    int n_threads;      /* that parse; >= 1 */
    const char *ignore; /* as repo_walk's */
    uint64_t large;
    uint64_t batch_ns;         /* how long one transaction gathers at most; 0: 15 s */
    const atomic_bool *cancel; /* may be NULL */
    void (*progress)(void *context, const char *what, uint64_t done, uint64_t total); /* files; may be NULL */
    void *context;
};

struct index_report {
    uint64_t n_files, n_skipped, n_symbols, n_references, n_changed; /* changed: read anew, or gone */
    uint64_t skipped[REPO_N_SKIPS];
    uint64_t n_bytes;                                /* of text indexed */
    uint64_t parse_ns, query_ns, store_ns, total_ns; /* the first three are CPU time, over all threads */
};

/* STATUS_CANCELLED keeps what was done.  34,000 files of Linux 6.1 (363 MB) on two cores: 33 s the first time (60 s of CPU:
 * parse 36, query 11, store 13; 350 MB of memory).  All of Linux (938 MB): 360 MB of memory, the file is 0.7 of the text;
 * nothing changed 0.25 s; another branch of 500 files 1.5 s, back 0.3 s. */
enum status index_refresh(struct index *index, struct repo *repo, const struct index_options *options,
                          struct index_report *report, struct error *error);
/* The same for these paths alone (what a watch tells; sorted).  One file of Linux with its parse: 4 ms, p95 15 ms.  The report counts
 * these paths' files alone. */
enum status index_refresh_paths(struct index *index, struct repo *repo, const char *const *paths, size_t n,
                                const struct index_options *options, struct index_report *report, struct error *error);

/* Calls each with every indexed path, sorted; stops where it returns false. */
enum status index_each_path(struct index *index, bool (*each)(void *context, const char *path, size_t size),
                            void *context, struct error *error);

/* The files that were edited after a time (ns since 1970), the latest first, at most max: those whose content was another
 * when a refresh looked again, and that were not many at once, as after a checkout.  20 us. */
enum status index_edited(struct index *index, int64_t after_ns, size_t max,
                         bool (*each)(void *context, const char *path, size_t size, int64_t edited_ns), void *context,
                         struct error *error);

/* ---- what is known of names and places ----
 *
 * Costs were measured on Linux 6.1 (78,492 files, 4.3 million definitions), index in the page cache. */

struct index_place {
    const char *path; /* relative to the root; need not be indexed */
    uint32_t line;    /* 1-based; 0: nowhere in it */
};

struct index_definition {
    const char *path; /* of one file that has this content */
    uint32_t path_size;
    const char *name;                  /* "" where the place has none */
    struct span whole, signature, doc; /* bytes of the file, if its id is still blob */
    uint32_t line, end_line;
    enum tag_kind kind;
    const char *scope; /* what it belongs to: as written before its name (A::f), else what encloses it, or "" */
    struct repo_id blob;
    uint32_t content;        /* the index's number of it */
    int32_t ordinal, parent; /* among the content's definitions; of what encloses it, or -1 */
    double nearness;         /* 0..1, as index_nearness_of says */
};

struct index_definitions {
    struct index_definition *items;
    size_t n, capacity;
    bool is_cut; /* there are more */
    struct arena arena;
};
void index_definitions_deinit(struct index_definitions *definitions);

/* Definitions of exactly this name, best first: where from is given those that it is likely to mean (the same file, then
 * what it imports, its folder, and so on), and what defines before what declares.  At most max.  *out is zeroed first.
 * 0.1 ms, p95 0.4 ms; for names that are defined thousands of times some milliseconds. */
enum status index_definitions(struct index *index, const char *name, const struct index_place *from, size_t max,
                              struct index_definitions *out, struct error *error);

/* What encloses a line of a file, outermost first.  Decodes one content's definitions: 20 us and 30 ns a definition. */
enum status index_scopes_at(struct index *index, const struct index_place *place, struct index_definitions *out,
                            struct error *error);

/* All definitions of a file in order (its outline).  scope is what encloses each.  As above. */
enum status index_outline(struct index *index, const char *path, struct index_definitions *out, struct error *error);

/* Lines that use the name.  each returns false to stop; paths are borrowed.  Nearest files come first where from is
 * given, and at most 1000 files are looked at.  20 us a file that uses it. */
struct index_reference {
    const char *path;
    uint32_t path_size, line;
    bool is_call;
};
enum status index_references(struct index *index, const char *name, const struct index_place *from,
                             bool (*each)(void *context, const struct index_reference *reference), void *context,
                             struct error *error);

/* Every name that a file refers to, sorted, with its number of references.  One content's references: 20 us and 20 ns a
 * reference. */
enum status index_names_of(struct index *index, const char *path,
                           bool (*each)(void *context, const char *name, size_t size, uint32_t n), void *context,
                           struct error *error);

/* The graph of references in one pass over the inverted lists, sorted by name: every name that is defined anywhere, with
 * the files' contents that define it and those that refer to it.  Lists are borrowed; they may hold numbers
 * of contents that no file has any more, which index_each_file doesn't list.  1.5 s for all of Linux (2.8 million names). */
struct index_name {
    const char *name;
    size_t size;
    const uint32_t *definers, *users; /* content numbers, ascending; definers once a definition */
    const uint8_t *kinds;             /* of the definitions */
    const uint8_t *weights;           /* of the users: 0..3 for 1, 2, 4 and 10 references or more */
    size_t n_definers, n_users;
};
enum status index_each_name(struct index *index, bool (*each)(void *context, const struct index_name *name),
                            void *context, const atomic_bool *cancel, struct error *error);
/* The same of single names, in that order, whatever the order that they are given in, each once; also those that
 * nobody defines unless defined_only.  100 us each in a dozen segments. */
enum status index_each_name_of(struct index *index, const struct slice *names, size_t n, bool defined_only,
                               bool (*each)(void *context, const struct index_name *name), void *context,
                               const atomic_bool *cancel, struct error *error);
/* What one content says for that graph: first the names it defines, once a definition with its kind, then those that it
 * refers to, with how often (kind -1).  STATUS_NOT_FOUND once the content was collected. */
enum status index_each_name_in(struct index *index, uint32_t content,
                               bool (*each)(void *context, const char *name, size_t size, int kind, uint32_t n),
                               void *context, struct error *error);
/* The files of that graph: content number and path, sorted by path. */
enum status index_each_file(struct index *index,
                            bool (*each)(void *context, uint32_t content, const char *path, size_t size), void *context,
                            struct error *error);

/* Pieces of a file cut at syntax borders: the one that holds the line, up to before ahead of it and up to after behind
 * it.  Lines and bytes alone; at most max. */
struct index_chunk {
    struct span text;
    uint32_t line, end_line;
};
enum status index_chunks_at(struct index *index, const struct index_place *place, size_t before, size_t after,
                            struct index_chunk *chunks, size_t max, size_t *n, struct error *error);

/* How near paths are to a place.  Made once for a place, then asked for many paths (below 1 us each). */
struct index_nearness;
enum status index_nearness_new(struct index *index, const char *path, struct index_nearness **out, struct error *error);
void index_nearness_free(struct index_nearness *nearness);
/* 1 the same file, 0.8 imported by it, 0.7 importing it, 0.6 in its folder or its twin (.h and .c), else less the fewer
 * folders they share; 0 with nearness NULL. */
double index_nearness_of(const struct index_nearness *nearness, const char *path, size_t size);

/* The files that path's imports mean, as plain rules tell: relative to it, else the longest match of the end of a path.
 * Resolved when asked, from an inverted list by last name, so that files which come and go need no repair.  200 us an
 * import at most. */
enum status index_imports(struct index *index, const char *path,
                          bool (*each)(void *context, const char *path, size_t size, uint32_t line), void *context,
                          struct error *error);
enum status index_importers(struct index *index, const char *path,
                            bool (*each)(void *context, const char *path, size_t size), void *context,
                            struct error *error);

/* Whether a file imports it, of the last four that import one of its name. */
enum status index_is_imported(struct index *index, const char *path, bool *is_imported, struct error *error);

#endif
