/* lookup: the thread that asks the repository, so that the screen waits neither for its walk nor for its index.
 *
 * It has a project of its own.  A question of a kind takes the place of one of that kind which hasn't been begun; answers
 * come as they are ready, each with the question's number.  What the index doesn't hold yet isn't found: whoever keeps it
 * right is another (app/freshness.h). */
#ifndef FATHOM_APP_LOOKUP_H
#define FATHOM_APP_LOOKUP_H

#include "app/command.h"

enum lookup_kind {
    LOOKUP_PATHS,       /* every file that git lists, or that lies below the folder */
    LOOKUP_DEFINITIONS, /* of the name in text */
    LOOKUP_REFERENCES,  /* to it */
    LOOKUP_SEARCH,      /* text as fathom search takes it */
    LOOKUP_KINDS,
};

struct lookup_place {
    const char *path; /* relative to the root */
    uint32_t line;    /* 1-based; 0: none */
    const char *text; /* of the line, or what it is */
};

struct lookup_result {
    struct lookup_result *next;
    uint64_t id;
    enum lookup_kind kind;
    struct lookup_place *places;
    size_t n, capacity;
    bool is_cut; /* there are more */
    struct arena arena;
    struct error error; /* status OK: none */
};

struct lookup;

/* Returns at once; the thread opens the repository that path lies in.  context must outlive it. */
enum status lookup_open(const struct command_context *context, const char *path, struct lookup **out,
                        struct error *error);
void lookup_close(struct lookup *lookup); /* NULL is fine */

int lookup_fd(const struct lookup *lookup); /* readable while there are results */

/* near: where it is asked from, relative to the root; "" for nowhere.  0 without memory. */
uint64_t lookup_ask(struct lookup *lookup, enum lookup_kind kind, const char *text, const char *near_path,
                    uint32_t near_line);

struct lookup_result *lookup_next(struct lookup *lookup); /* the caller's to free; NULL: none */
void lookup_result_free(struct lookup_result *result);

#endif
