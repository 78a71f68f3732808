/* diff: what changed between two states of files, as text that stays and numbers that point into it.
 *
 *   diff_of_repo (index, worktree, revisions) ─┐
 *                                              ├──► struct diff: files ──► hunks ──► lines, all of them spans of one text
 *   diff_parse (a unified diff, as git's) ─────┘
 *
 * Lines keep their bytes, whatever their ends and encoding.  Nothing of a repository's configuration is executed: no textconv,
 * no external diff, no filter but git's own line ends, by libgit2; what is binary is told by the content.  A diff never changes after it was made and may be read by
 * any thread. */
#ifndef FATHOM_REPO_DIFF_H
#define FATHOM_REPO_DIFF_H

#include <stdatomic.h>

#include "repo/repo.h"

enum diff_status {
    DIFF_ADDED,
    DIFF_DELETED,
    DIFF_MODIFIED, /* content, mode or both; where a file becomes a link or a submodule, one is deleted and one added */
    DIFF_RENAMED,
    DIFF_COPIED,
    DIFF_UNMERGED, /* in conflict: no hunks */
    DIFF_N_STATUSES,
};
const char *diff_status_name(enum diff_status status); /* "added" */

/* One of a file's two states. */
struct diff_side {
    const char *path; /* terminated; "" where it isn't there */
    uint32_t path_size;
    uint32_t mode; /* as git's, 0100644; 0 where it isn't there or nobody said */
    bool has_id;   /* its blob, or a submodule's commit */
    bool lacks_newline;
    struct repo_id id;
    struct repo_stamp stamp; /* of a worktree's file as it was looked at; all zero otherwise */
};

struct diff_file {
    enum diff_status status;
    struct diff_side old, new;
    uint16_t similarity; /* percent, of renames and copies */
    bool is_binary, is_submodule;
    bool is_large; /* larger than the limit: not compared by lines */
    uint32_t first_hunk, n_hunks;
    uint32_t n_added, n_deleted; /* lines */
};

struct diff_hunk {
    uint32_t file; /* its number */
    uint32_t first_line, n_lines;
    uint32_t old_start, old_n, new_start, new_n; /* as in "@@ -start,n +start,n @@"; start is 0 of an empty side */
    struct slice function;                       /* what stands behind the second "@@"; without a blank before it */
    char id
        [17]; /* of path and lines alone, so that it stays where the hunk moves; the same hunk again gets another number */
};

enum diff_line_kind { DIFF_CONTEXT = ' ', DIFF_ADD = '+', DIFF_DELETE = '-' };

struct diff_line {
    struct slice text; /* with its end, where it has one */
    enum diff_line_kind kind;
    uint32_t old_line, new_line; /* 1-based; 0 on the side that it isn't on */
};

struct diff {
    struct diff_file *files;
    struct diff_hunk *hunks;
    struct diff_line *lines;
    size_t n_files, n_hunks, n_lines;
    bool is_partial;         /* there are more files than max_files */
    char base[41], head[41]; /* ids of commits where they are such, else "index", "worktree", "" */
    /* owners of what the slices show */
    struct arena arena;
    char *room; /* within the arena: for text */
    size_t room_size;
    size_t files_capacity, hunks_capacity, lines_capacity;
};

enum diff_of {
    DIFF_STAGED,   /* HEAD and the index; on an unborn branch nothing and the index */
    DIFF_WORKTREE, /* the index and the worktree, with files that are not tracked */
    DIFF_COMMIT,   /* a commit and its first parent */
    DIFF_RANGE,    /* two revisions */
};

struct diff_options {
    enum diff_of of;
    const char *from, *to;  /* DIFF_COMMIT: to; DIFF_RANGE: both */
    uint32_t context;       /* lines around changes; 3 is git's */
    bool ignores_space;     /* changes of white space are none */
    bool no_renames;        /* what was renamed or copied is shown as deleted and added */
    uint64_t large;         /* bytes of a file; 0: 8 MiB */
    const char *index_file; /* another index than the repository's, for DIFF_STAGED; NULL: its own */
    size_t max_files;       /* no more than these, the first ones; 0: all */
    const atomic_bool *cancel;
};

/* STATUS_NOT_FOUND (a revision), STATUS_UNSUPPORTED (no repository, bare without revisions), STATUS_CANCELLED, STATUS_RANGE
 * (more than 10 million lines).  Free with diff_free. */
enum status diff_of_repo(struct repo *repo, const struct diff_options *options, struct diff **out, struct error *error);

/* A unified diff, with git's headers or without them; what stands before, between and behind (mail, log messages) is passed
 * over.  STATUS_FORMAT names the line where a hunk is not what its header says.  An empty text is an empty diff. */
enum status diff_parse(const char *text, size_t size, struct diff **out, struct error *error);

/* As git prints it, so that `git apply` takes it: of all files, or of one (its number). */
void diff_print(const struct diff *diff, struct buffer *out);
void diff_print_file(const struct diff *diff, size_t file, struct buffer *out);

void diff_free(struct diff *diff);

/* The path that a reader knows the file by: the new one, or the old one of what was deleted. */
const char *diff_path(const struct diff_file *file);

#endif
