/* trust: which files of a repository are in force: those whose exact content the user has accepted, there.
 *
 * A repository may ask for something by a file of its own (.fathomignore: what isn't to be indexed).  It takes effect once
 * `fathom trust` has shown it and the user has accepted it; one byte changed, and it is asked for anew.  What was accepted
 * is kept as a file in $XDG_STATE_HOME/fathom/trust, named by the SHA-256 of root, name and content. */
#ifndef FATHOM_APP_TRUST_H
#define FATHOM_APP_TRUST_H

#include "repo/repo.h"

enum { TRUST_FILES = 1, TRUST_TEXT_MOST = 64 << 10 };

struct trust_file {
    const char *name;    /* ".fathomignore" */
    const char *meaning; /* what it asks for: "paths that are not to be indexed" */
    bool is_there, is_trusted;
    struct buffer text; /* empty where it isn't there */
};

/* The i-th file that a repository may ask by, 0 <= i < TRUST_FILES, as it is now.  STATUS_IO where it is there and can't be
 * read, or is larger than TRUST_TEXT_MOST: then it isn't in force either. */
enum status trust_read(struct repo *repo, int i, struct trust_file *out, struct error *error);
void trust_file_deinit(struct trust_file *file);

/* Accepts this text, not what may have come into its place since. */
enum status trust_accept(const struct repo *repo, const struct trust_file *file, struct error *error);
/* Takes back all that was accepted of this repository. */
enum status trust_revoke(const struct repo *repo, size_t *n_revoked, struct error *error);

#endif
