/* blame: see blame.h. */
#include "repo/blame.h"

#include <stdio.h>
#include <string.h>

#include "repo/repo_internal.h"

static void copy_text(char *out, size_t size, const char *text)
{
    size_t n = text ? strcspn(text, "\n") : 0;
    if (n >= size)
        n = size - 1;
    if (n)
        memcpy(out, text, n);
    out[n] = 0;
}

static void fill_line(struct repo *repo, const git_blame_hunk *hunk, uint32_t number, struct blame_line *out)
{
    git_commit *commit = NULL;
    git_oid_tostr(out->id, sizeof out->id, &hunk->final_commit_id);
    out->line = (uint32_t)hunk->orig_start_line_number + (number - (uint32_t)hunk->final_start_line_number);
    if (git_commit_lookup(&commit, repo->git, &hunk->final_commit_id) != 0)
        return;
    out->time = git_commit_time(commit);
    copy_text(out->author, sizeof out->author, git_commit_author(commit)->name);
    copy_text(out->summary, sizeof out->summary, git_commit_summary(commit));
    git_commit_free(commit);
}

enum status blame_lines(struct repo *repo, const char *path, uint32_t first, uint32_t last, struct blame_line *out,
                        struct error *error)
{
    git_blame *blame = NULL;
    git_blame_options options = {.version = GIT_BLAME_OPTIONS_VERSION, .min_line = first, .max_line = last};
    if (!repo->git)
        return error_set(error, STATUS_UNSUPPORTED, "%.150s is no git repository", repo->root);
    if (first == 0 || last < first)
        return error_set(error, STATUS_ARGUMENT, "lines %u to %u", first, last);
    memset(out, 0, (last - first + (size_t)1) * sizeof *out);
    pthread_mutex_lock(&repo->lock);
    int code = git_blame_file(&blame, repo->git, path, &options);
    if (code) { /* a range beyond the file's end */
        options.max_line = 0;
        code = git_blame_file(&blame, repo->git, path, &options);
    }
    enum status status = code ? repo_git_fail(code, path, error) : STATUS_OK;
    for (uint32_t line = first; !status && line <= last; line++) {
        const git_blame_hunk *hunk = git_blame_get_hunk_byline(blame, line);
        if (hunk)
            fill_line(repo, hunk, line, &out[line - first]);
        if (line == UINT32_MAX)
            break;
    }
    git_blame_free(blame);
    pthread_mutex_unlock(&repo->lock);
    return status;
}
