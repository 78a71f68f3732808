/* repo_head: what is said of commits: their ids and subjects. */
#ifndef FATHOM_REPO_REPO_HEAD_H
#define FATHOM_REPO_REPO_HEAD_H

#include "repo/repo.h"

void repo_head_id(struct repo *repo, char id[41]); /* of HEAD's commit; "" where there is none */

/* Appends a commit's whole message.  STATUS_NOT_FOUND. */
enum status repo_commit_message(struct repo *repo, const char *revision, struct buffer *out, struct error *error);
/* Appends the first line of a commit's message.  STATUS_NOT_FOUND. */
enum status repo_commit_subject(struct repo *repo, const char *revision, struct buffer *out, struct error *error);

/* Appends the subjects of the last n commits, one a line after "- ", without merges and fixups; nothing where there are none. */
enum status repo_recent_subjects(struct repo *repo, size_t n, struct buffer *out, struct error *error);

#endif
