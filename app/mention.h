/* mention: what a question names by @: files, lines of them, definitions, the pending diff, the map.
 *
 *     @src/lease.c   @src/lease.c:10-40   @src/lease.c:12   @lease_sweep   @diff   @map
 *
 * An @ begins a word (a mail address is none).  What is meant is looked for in this order: diff and map, a file below the
 * root, a definition in the index.  Each is put behind the question as a fenced block under its name, once. */
#ifndef FATHOM_APP_MENTION_H
#define FATHOM_APP_MENTION_H

#include "app/project.h"

enum { MENTION_FILE_MOST = 512 << 10, MENTION_ALL_MOST = 2 << 20, MENTION_MAP_TOKENS = 1024 };

struct mention {
    struct slice whole;      /* with its @, within the text */
    struct slice name;       /* without, and without lines */
    uint32_t line, end_line; /* 1-based; 0: none */
};

/* The first mention at or behind *at, which then stands behind it; false where there is none. */
bool mention_next(struct slice text, size_t *at, struct mention *out);

struct mention_request {
    struct project *project; /* NULL: nothing can be named */
    struct slice question;
    const atomic_bool *cancel;
    size_t (*count)(void *context, const char *text, size_t size); /* tokens, for the map; SIZE_MAX: it failed */
    void *context;
};

/* Appends the blocks to out, and a line for each name that stands for nothing here to missing.  STATUS_CANCELLED and
 * STATUS_MEMORY alone are errors. */
enum status mention_expand(const struct mention_request *request, struct buffer *out, struct buffer *missing,
                           struct error *error);

#endif
