/* search_private: what the files repo/search_*.c share. */
#ifndef FATHOM_REPO_SEARCH_PRIVATE_H
#define FATHOM_REPO_SEARCH_PRIVATE_H

#include "repo/index_store.h"
#include "repo/search.h"

enum { SEARCH_MAX_WORDS = 32, SEARCH_MAX_FILTERS = 16, SEARCH_MAX_LIST = 200 };
enum { SEARCH_MANY_WORDS = 7 /* are text rather than typed */ };

struct search_query {
    struct slice words[SEARCH_MAX_WORDS]; /* as facts_next_word cuts them */
    size_t n_words;
    struct slice phrases[SEARCH_MAX_WORDS], expressions[SEARCH_MAX_WORDS];
    size_t n_phrases, n_expressions;
    const char *paths[SEARCH_MAX_FILTERS]; /* terminated */
    size_t n_paths;
    int languages[SEARCH_MAX_FILTERS];
    size_t n_languages;
    uint32_t kinds; /* bits of tag_kind; 0: all */
    bool wants_text;
    const char *definition, *reference;
};

/* Texts are copied into the arena. */
enum status search_parse(const char *text, struct arena *arena, struct search_query *query, struct error *error);
bool search_path_fits(const struct search_query *query, const char *path, size_t size);
static inline bool search_is_filtered(const struct search_query *query)
{
    return query->n_paths || query->n_languages;
}

/* A place that one of the ways has found. */
struct candidate {
    const char *path; /* in the results' arena; NULL until it is looked up */
    uint32_t path_size, content;
    uint32_t line, end_line;
    int kind; /* tag_kind, -1 text, -2 reference */
    uint32_t ordinal;
    const char *name;
    bool is_local, is_imported; /* within a function; in a file that others import */
    double quality;             /* within its list */
    double score;
};

struct candidates {
    struct candidate *items;
    size_t n, capacity;
};
/* A zeroed one, or NULL where memory ran out. */
struct candidate *candidates_add(struct candidates *list);
void candidates_sort(struct candidates *list); /* by quality, then path and line */

struct search {
    struct index *index;
    struct repo *repo;
    const struct search_options *options;
    struct search_query query;
    struct index_nearness *nearness; /* NULL: none */
    struct search_edits *edits;      /* likewise */
    struct arena *arena;
    uint8_t *contents; /* which may be found, by number, where the query has filters; else NULL */
    uint8_t *chunks;
    uint32_t n_contents, n_chunks;
    bool is_partial;
};

static inline bool search_is_cancelled(const struct search *search)
{
    return search->options->cancel && atomic_load(search->options->cancel);
}

/* Whether it counts what was edited. */
static inline bool search_is_lifted(const struct search *search)
{
    return search->options->rank == SEARCH_RANK_ALL;
}

/* ---- nearness and edits (search_near.c) ---- */

struct search_edits;
enum status search_edits_new(struct search *search, struct error *error); /* into search->edits; freed by free */
/* How much more a place in this file is worth: 0 to 0.4 each. */
double search_nearness(const struct search *search, const char *path, size_t size);
double search_lift(const struct search *search, const char *path, size_t size);
double search_lift_chunk(const struct search *search, uint32_t chunk); /* 1 us */
bool search_has_lift(const struct search *search);                     /* of any file */

/* Places of each list that are worth looking up: nearness or an edit may bring a late one to the front. */
static inline size_t search_depth(const struct search *search)
{
    size_t depth = 20 + 3 * (search->options->max ? search->options->max : 10);
    if (search->nearness || search_has_lift(search))
        depth *= 2;
    return depth < SEARCH_MAX_LIST ? depth : SEARCH_MAX_LIST;
}

/* Fills contents and chunks by the filters. */
enum status search_filter(struct search *search, struct error *error);
/* The candidate's path: the nearest of those that fit; NULL where there is none. */
enum status search_find_path(struct search *search, struct candidate *candidate, struct error *error);
enum status search_copy_blob(struct index *index, enum index_statement which, uint32_t content, struct buffer *out,
                             struct error *error);

/* The ways.  Each appends its candidates, best first, with paths and lines. */
enum status search_symbols(struct search *search, struct candidates *out, struct error *error);
enum status search_text(struct search *search, struct candidates *out, struct error *error);
enum status search_scan(struct search *search, struct candidates *out, struct error *error);

/* A file of the worktree as it is now; false where it can't be read, or is larger than 4 MB. */
bool search_read_file(struct search *search, const char *path, size_t size, struct buffer *out,
                      struct repo_stamp *stamp);
/* The text of a file as the index knows it, or empty where it is another by now. */
enum status search_read(struct search *search, const struct candidate *candidate, struct buffer *out,
                        struct error *error);

#endif
