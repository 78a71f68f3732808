/* gather_private: what the files of app/gather*.c share and nobody else sees. */
#ifndef FATHOM_APP_GATHER_PRIVATE_H
#define FATHOM_APP_GATHER_PRIVATE_H

#include "app/gather.h"
#include "repo/map.h"

enum {
    GATHER_NAMES_MOST = 48,
    GATHER_WORDS_MOST = 64,
    GATHER_FILES_MOST = 48,
    GATHER_FILE_BYTES = 1 << 20,
};

struct gatherer {
    const struct project *project;
    struct syntax *syntax;
    struct map *map;
    struct repo_files changed; /* what differs from HEAD, as of changed_ns */
    uint64_t changed_ns, changed_cost_ns;
};

/* A name or word near the cursor, the whole of it. */
struct gather_word {
    struct slice text;
    double weight;     /* 1 on the cursor's line, less with each line from it */
    uint32_t distance; /* lines */
    bool is_above;
};

struct gather_words {
    struct gather_word items[GATHER_WORDS_MOST];
    size_t n;
};

struct gather_file {
    const char *path;
    struct buffer text;
    struct repo_id id;
    bool is_there;
};

struct gathering {
    struct gatherer *gatherer;
    const struct gather_request *request;
    struct gathered *out;
    struct error *error;
    size_t capacity; /* of out->pieces */
    struct syntax_result syntax;
    uint32_t cursor_line, first_line, last_line; /* 1-based; the lines that are looked at */
    size_t area_begin, area_end;                 /* their bytes */
    struct gather_words names, words;            /* nearest first: what may be defined; what similar code shares */
    struct gather_file files[GATHER_FILES_MOST];
    size_t n_files;
};

/* ---- texts ---- */

/* The file's text as it lies there now; NULL where it isn't there, is too large, or is nothing to show.  Kept. */
const struct gather_file *gather_read(struct gathering *gathering, const char *path, size_t size);

/* The whole lines that a span touches. */
struct span gather_lines(struct slice text, struct span span);
/* The line (1-based) of a byte. */
uint32_t gather_line_of(struct slice text, size_t at);

bool gather_is_word_byte(char c);
/* Whether path is that of the request's file. */
bool gather_is_current(const struct gathering *gathering, const char *path, size_t size);

/* The at most max lines of text (which begins with the line-th of its file) that share most with the words, and how much:
 * 0..1, the part of the words' weight.  weights (words.n) may be NULL: those of the words. */
double gather_best_lines(const struct gather_words *words, const double *weights, struct slice text, uint32_t max,
                         uint32_t *line, uint32_t *end_line);

/* ---- pieces ---- */

/* Copies all texts.  STATUS_MEMORY. */
enum status gather_add(struct gathering *gathering, const struct fim_piece *piece);
/* Text in the arena. */
const char *gather_printf(struct gathering *gathering, const char *format, ...) PRINTF_LIKE(2, 3);

/* What the request's sources ask for.  STATUS_MEMORY, STATUS_CANCELLED; other failures leave the source out. */
enum status gather_names(struct gathering *gathering); /* fills names and words */
enum status gather_definitions(struct gathering *gathering);
enum status gather_similar(struct gathering *gathering);
enum status gather_changes(struct gathering *gathering);
enum status gather_map(struct gathering *gathering);

/* The files that differ from HEAD, asked again after a while. */
enum status gather_changed_files(struct gathering *gathering, const struct repo_files **out);

#endif
