/* gather: what in a repository may help to complete a place in it, as pieces for fim/prompt.h, each with its reason.
 *
 *   definition  of the names that are used near the cursor, of types first where they tell what a value holds; those that
 *               its scope and its imports mean come first
 *   similar     code elsewhere that shares rare words with the lines around the cursor
 *   change      what was edited since the last commit (the pending diff, as it is now), the youngest files first
 *   map         the signatures that matter most for the place
 *
 * Nothing of it is taken from where the cursor is: the current file's text is the editor's, the file on disk and in the
 * index isn't looked at, and of the text's own pieces none that holds the cursor.  What the index doesn't hold (.env,
 * keys, ignored files) never comes in.
 *
 * Names and words are taken from whole words only, and the lines that are looked at move in steps, so that typing within
 * a word changes nothing. */
#ifndef FATHOM_APP_GATHER_H
#define FATHOM_APP_GATHER_H

#include "app/project.h"
#include "fim/prompt.h"

enum gather_source {
    GATHER_DEFINITIONS = 1,
    GATHER_SIMILAR = 2,
    GATHER_CHANGES = 4,
    GATHER_MAP = 8,
    GATHER_ALL = 15,
};

/* "definition", "similar", "change", "map": the bit, or 0. */
unsigned gather_source_of(const char *word, size_t size);

/* Keeps what is costly to make (the map's graph, a parser) between requests.  Belongs to the thread of the project's index.
 * The project must outlive it. */
struct gatherer;
enum status gather_open(const struct project *project, struct gatherer **out, struct error *error);
void gather_close(struct gatherer *gatherer); /* NULL is fine */
/* The index was refreshed: what was kept of it is forgotten. */
void gather_forget(struct gatherer *gatherer);

struct gather_request {
    const char *path;          /* relative to the root (project_relative); need not exist */
    struct slice text;         /* the file's, as the editor has it */
    size_t at;                 /* the cursor, <= text.size */
    unsigned sources;          /* GATHER_*; 0: only windows' borders and signatures */
    struct engine *engine;     /* counts tokens for the map; NULL: no map */
    size_t map_tokens;         /* 0: 400 */
    const atomic_bool *cancel; /* may be NULL */
};

/* What fim_request takes: copy the fields over.  All of it lies in the arena. */
struct gathered {
    struct fim_piece *pieces;
    size_t n_pieces;
    size_t *prefix_borders, *suffix_borders; /* of text[0, at) and of text[at, size), from its own beginning */
    size_t n_prefix_borders, n_suffix_borders;
    struct fim_span *signatures;
    size_t n_signatures;
    struct arena arena;
};

/* *out is zeroed first.  What fails for one source leaves that source out; STATUS_CANCELLED and STATUS_MEMORY alone are
 * errors. */
enum status gather_run(struct gatherer *gatherer, const struct gather_request *request, struct gathered *out,
                       struct error *error);
void gathered_deinit(struct gathered *gathered);

/* Sets the fields of *out that gather_run found (texts, borders, signatures, pieces) beside path, prefix, suffix and
 * prefix_line; budget and form are the caller's. */
void gathered_request(const struct gathered *gathered, const struct gather_request *request, struct fim_request *out);

/* The bytes of a text's lines [line, end_line], counted from 1, as far as they are there. */
struct slice gather_slice_lines(struct slice text, uint32_t line, uint32_t end_line);

#endif
