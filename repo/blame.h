/* blame: which commit last touched lines of a file as HEAD has it.  Through libgit2; renames are followed where it does. */
#ifndef FATHOM_REPO_BLAME_H
#define FATHOM_REPO_BLAME_H

#include "repo/repo.h"

struct blame_line {
    char id[41];
    int64_t time;      /* of the commit, seconds since 1970 */
    char author[80];   /* cut at its end; bytes as git has them */
    char summary[120]; /* likewise: the message's first line */
    uint32_t line;     /* its number in that commit */
};

/* The lines first to last (1-based) of path, one result each, to out; those beyond the file's end have an empty id. */
enum status blame_lines(struct repo *repo, const char *path, uint32_t first, uint32_t last, struct blame_line *out,
                        struct error *error);

#endif
