/* repo: a git repository, or a plain folder, as the list of its files: opened through libgit2, never by running git.
 *
 * A walk gives what `git ls-files --cached --others --exclude-standard` gives, from the worktree, or the tree of a
 * revision.  Outside a repository it gives all files below the folder.  Every file that is no use to a reader of code is
 * kept in the list with the reason (repo_skip), so that nothing is left out invisibly: some reasons show in name, mode and
 * size and come with the walk; the others need the content and come with repo_read.
 *
 * Paths are bytes: relative to the root, '/' between names, any byte but NUL within, not necessarily UTF-8.  A struct repo
 * belongs to one thread at a time; repo_read may be called by several at once. */
#ifndef FATHOM_REPO_REPO_H
#define FATHOM_REPO_REPO_H

#include <stdatomic.h>

#include "engine/base.h"

struct repo;

enum repo_skip {
    REPO_KEEP,
    /* by name, mode and size: */
    REPO_SKIP_LINK,      /* a symbolic link */
    REPO_SKIP_SUBMODULE, /* another repository: listed, entered by opening it */
    REPO_SKIP_SPECIAL,   /* a socket, a device, a pipe */
    REPO_SKIP_GONE,      /* tracked, but not in the worktree (deleted, or left out by a sparse checkout) */
    REPO_SKIP_LARGE,     /* more than the limit */
    REPO_SKIP_SECRET, /* .env, private keys and the like (REPO_SKIP_SECRET never enters an index unless asked by name) */
    REPO_SKIP_VENDORED, /* node_modules/, vendor/ and the like, or marked linguist-vendored */
    REPO_SKIP_IGNORED,  /* named by .fathomignore (in force only once trusted: options.ignore) */
    /* by content: */
    REPO_SKIP_BINARY,    /* a NUL byte in its first 8000, as git tells it, or an attribute that says so */
    REPO_SKIP_GENERATED, /* says so in its first lines ("DO NOT EDIT", "@generated"), or lock files by name */
    REPO_SKIP_MINIFIED,  /* lines of thousands of characters */
    REPO_SKIP_UNREADABLE,
    REPO_N_SKIPS,
};

/* "binary", "large"...: one word, what `index --json` counts by. */
const char *repo_skip_name(enum repo_skip skip);

struct repo_id {
    uint8_t bytes[20]; /* git's id of the blob: SHA-1 of "blob SIZE\0" and the content */
};

/* What tells that a file has not changed since it was read.  All zero: unknown (a file of a revision). */
struct repo_stamp {
    uint64_t size, inode, mode;
    int64_t mtime_ns, ctime_ns;
};

struct repo_file {
    const char *path; /* terminated; owned by the list */
    uint32_t path_size;
    enum repo_skip skip;
    bool is_tracked;
    bool is_clean;     /* git's own index says that it has not changed since it was staged */
    bool has_id;       /* id is known: of a revision's file; and of a clean one that git stores as it lies there */
    bool is_converted; /* git may store it otherwise than it lies there (line ends, filters): has_id is then false */
    bool is_said_text; /* attributes say so (diff): its content isn't asked */
    bool is_said_original; /* likewise (-linguist-generated) */
    struct repo_id id;
    struct repo_stamp stamp;
};

struct repo_files {
    struct repo_file *files; /* sorted by path as memcmp sorts, each path once */
    size_t n;
    struct arena arena; /* holds the paths */
};

struct repo_walk_options {
    const char *revision;      /* NULL: the worktree */
    uint64_t large;            /* bytes; 0: 1 MiB */
    const char *ignore;        /* text of a .fathomignore that the user trusts, in .gitignore's syntax; or NULL */
    const atomic_bool *cancel; /* may be NULL */
};

/* Opens the repository that path lies in (a file or folder), else the folder itself.  One-line refusals
 * (STATUS_UNSUPPORTED): SHA-256 repositories, sparse indexes, a format that libgit2 doesn't know.  A bare repository has
 * no worktree: repo_walk then needs a revision (NULL means HEAD there). */
enum status repo_open(const char *path, struct repo **out, struct error *error);
void repo_free(struct repo *repo);

const char *repo_root(const struct repo *repo);       /* absolute, resolved, no '/' at its end but for "/" itself */
const char *repo_git_folder(const struct repo *repo); /* of this worktree; NULL for a plain folder */
bool repo_is_bare(const struct repo *repo);
/* "main", "HEAD" while detached, "" unborn or no git: for show, at most size - 1 bytes. */
void repo_branch_name(const struct repo *repo, char *out, size_t size);

/* STATUS_CANCELLED, STATUS_IO, STATUS_MEMORY, STATUS_NOT_FOUND (the revision).  *out is zeroed where it fails. */
enum status repo_walk(struct repo *repo, const struct repo_walk_options *options, struct repo_files *out,
                      struct error *error);
/* What a walk of the worktree would say of these paths alone (options->revision is NULL; sorted as memcmp sorts): what
 * isn't in its list is left out.  A path that ends in '/' stands for all that lies below the folder.  Costs a reading of
 * the folders above them, not of the worktree. */
enum status repo_walk_paths(struct repo *repo, const struct repo_walk_options *options, const char *const *paths,
                            size_t n, struct repo_files *out, struct error *error);
void repo_files_deinit(struct repo_files *files);

/* The content of a file of a walk, at most limit bytes, and whether its content says it should be skipped (*skip; out is
 * then still filled).  id gets its blob id.  Never follows a link out of the worktree, never waits on a pipe.
 * Thread-safe.  STATUS_IO (changed into something that is no file, gone), STATUS_RANGE (larger than limit). */
enum status repo_read(struct repo *repo, const struct repo_file *file, uint64_t limit, struct buffer *out,
                      struct repo_id *id, enum repo_skip *skip, struct error *error);

/* What a file of that name would be skipped for, and with that content: a secret, generated, minified, binary.  An empty path
 * asks for the content alone. */
enum repo_skip repo_skip_of_text(const char *path, size_t path_size, const char *text, size_t size);

/* Paths that differ between HEAD and the worktree (staged or not, untracked too): the pending change, for ranking.
 * Sorted.  A plain folder gives none. */
enum status repo_changed(struct repo *repo, const atomic_bool *cancel, struct repo_files *out, struct error *error);

#endif
