/* repo_head: see repo_head.h. */
#include "repo/repo_head.h"

#include <string.h>

#include "repo/repo_internal.h"

void repo_head_id(struct repo *repo, char id[41])
{
    git_oid oid;
    id[0] = 0;
    pthread_mutex_lock(&repo->lock);
    if (repo->git && git_reference_name_to_id(&oid, repo->git, "HEAD") == 0)
        git_oid_tostr(id, 41, &oid);
    pthread_mutex_unlock(&repo->lock);
}

typedef const char *text_of_fn(const git_commit *commit);

static enum status append_text(struct repo *repo, const char *revision, text_of_fn *text_of, struct buffer *out,
                               struct error *error)
{
    git_object *object = NULL, *commit = NULL;
    pthread_mutex_lock(&repo->lock);
    int code = git_revparse_single(&object, repo->git, revision);
    if (!code)
        code = git_object_peel(&commit, object, GIT_OBJECT_COMMIT);
    if (!code) {
        const char *text = text_of((git_commit *)commit);
        buffer_append_text(out, text ? text : "");
    }
    enum status status = code ? repo_git_fail(code, revision, error) : buffer_status(out, error);
    git_object_free(object);
    git_object_free(commit);
    pthread_mutex_unlock(&repo->lock);
    return status;
}

static const char *summary_of(const git_commit *commit)
{
    return git_commit_summary((git_commit *)(uintptr_t)commit);
}

enum status repo_commit_subject(struct repo *repo, const char *revision, struct buffer *out, struct error *error)
{
    return append_text(repo, revision, summary_of, out, error);
}

enum status repo_commit_message(struct repo *repo, const char *revision, struct buffer *out, struct error *error)
{
    return append_text(repo, revision, git_commit_message, out, error);
}

enum status repo_recent_subjects(struct repo *repo, size_t n, struct buffer *out, struct error *error)
{
    enum { SUBJECT_BYTES = 120, LOOKED_AT = 200 };
    git_revwalk *walk = NULL;
    git_oid oid;
    size_t looked_at = 0;
    pthread_mutex_lock(&repo->lock);
    /* Without a commit there is no style. */
    int code = repo->git ? git_revwalk_new(&walk, repo->git) : -1;
    if (!code)
        code = git_revwalk_push_head(walk);
    while (!code && n && looked_at++ < LOOKED_AT && git_revwalk_next(&oid, walk) == 0) {
        git_commit *commit = NULL;
        if (git_commit_lookup(&commit, repo->git, &oid) != 0)
            break;
        const char *subject = git_commit_summary(commit);
        if (subject && *subject && git_commit_parentcount(commit) < 2 && strncmp(subject, "fixup! ", 7) != 0 &&
            strncmp(subject, "squash! ", 8) != 0) {
            buffer_printf(out, "- %.*s\n", SUBJECT_BYTES, subject);
            n--;
        }
        git_commit_free(commit);
    }
    git_revwalk_free(walk);
    pthread_mutex_unlock(&repo->lock);
    return buffer_status(out, error);
}
