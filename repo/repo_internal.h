/* repo_internal: what the files of repo/repo_*.c share and nobody else sees. */
#ifndef FATHOM_REPO_REPO_INTERNAL_H
#define FATHOM_REPO_REPO_INTERNAL_H

#include <git2.h>
#include <pthread.h>
#include <sys/stat.h>

#include "repo/ignore.h"
#include "repo/repo.h"

enum {
    REPO_PATH_LIMIT = 4095,           /* bytes of a path that the system takes */
    REPO_FILES_LIMIT = 10000000,      /* in one list */
    REPO_RULES_LIMIT = 16 << 20,      /* bytes of a file of patterns or attributes that are read */
    REPO_LARGE_DEFAULT = 1024 * 1024, /* bytes of a file that are worth reading */
};

struct repo {
    git_repository *git; /* NULL: a plain folder */
    git_index *index;    /* NULL where there is no worktree */
    git_odb *odb;
    char *root, *git_folder, *common_folder; /* common: of all worktrees */
    int root_fd;                             /* -1: bare */
    bool is_bare;
    pthread_mutex_t lock; /* held around what asks libgit2, where several threads may come */

    const git_index_entry **entries; /* of the index in order of path, then stage */
    size_t n_entries;
    int64_t index_mtime_ns; /* of the file they come from; 0: unknown */
};

/* Sets the message to libgit2's, and its kind by the code. */
enum status repo_git_fail(int code, const char *what, struct error *error);
/* STATUS_CANCELLED where the flag is set. */
enum status repo_cancelled(const atomic_bool *cancel, struct error *error);

/* ---- lists of files ---- */

struct repo_list {
    struct repo_files files;
    size_t capacity;
    char *room; /* within the arena: for paths */
    size_t room_size;
    bool is_unsorted; /* a path came that isn't behind the last one */
};

/* A new file with a copy of the path; all else is zero.  NULL with error set where memory or the limit is reached. */
struct repo_file *repo_list_add(struct repo_list *list, const char *path, size_t size, struct error *error);
/* Sorts where that is needed, drops what is there twice, and moves the list to *out. */
void repo_list_finish(struct repo_list *list, struct repo_files *out);
void repo_list_deinit(struct repo_list *list);

/* ---- reading without following anything ---- */

/* Opens a file or folder below folder_fd by its path, each step of it without following a link; flags as open(2)'s.
 * -1 with errno; paths with empty, "." or ".." components: EINVAL. */
int repo_open_below(int folder_fd, const char *path, size_t size, int flags);
/* Appends a regular file's content, as it is now, up to limit bytes.  False where it is none, larger, or unreadable. */
bool repo_read_small(int folder_fd, const char *path, bool follows, size_t limit, struct buffer *out);
/* Appends the content of a file of the worktree: what repo_read does, without looking at it. */
enum status repo_read_file(struct repo *repo, const struct repo_file *file, uint64_t limit, struct buffer *out,
                           struct error *error);
/* The content as git would store it (line ends), in place of text; for files that are converted. */
void repo_convert(struct repo *repo, const char *path, struct buffer *text);
struct repo_stamp repo_stamp_of(const struct stat *about);
/* core.fileMode: files of the worktree say whether they are executable. */
bool repo_has_modes(struct repo *repo);
/* The commit that a submodule's HEAD is at; false where none is checked out. */
bool repo_submodule_head(struct repo *repo, const char *path, struct repo_id *id);

/* ---- git's own index ---- */

/* Reads the index anew where it changed on disk, and brings entries up to date. */
enum status repo_load_entries(struct repo *repo, struct error *error);
/* The place of the first entry that isn't before path. */
size_t repo_entry_at(const struct repo *repo, const char *path, size_t size);
/* Whether the file is, by its stamp, what was staged.  Never where it could have changed within the time that stamps tell
 * apart. */
bool repo_entry_is_clean(const struct repo *repo, const git_index_entry *entry, const struct stat *about);

/* ---- attributes ---- */

/* Which attributes a text of rules may set: the words are looked for, so that files are asked about only where it matters. */
enum {
    REPO_RULES_SKIP = 1,    /* what skipping depends on */
    REPO_RULES_CONVERT = 2, /* that git stores files otherwise than they lie there */
    REPO_RULES_BLOCKED = 4, /* a file of rules is a pipe or a link: libgit2 would wait for it or follow it */
};
unsigned repo_rules_of(const char *text, size_t size);
/* Of the rules outside the worktree: the repository's own, the user's, the system's. */
unsigned repo_rules_global(struct repo *repo);

/* The path of a file beside the user's configuration of git ("ignore"), which needn't be there; "" without a home. */
void repo_user_file(const char *name, struct buffer *out);

struct repo_marks {
    bool is_vendored, is_not_vendored, is_generated, is_not_generated, is_binary, is_text;
};
/* commit: NULL asks the worktree. */
void repo_marks_of(struct repo *repo, const git_oid *commit, const char *path, struct repo_marks *out);

/* ---- what is skipped ---- */

/* By the folder's own name: what lies below is somebody else's. */
bool repo_is_vendored_folder(const char *name, size_t size);
/* By the file's name: REPO_KEEP, _SECRET, _GENERATED or _MINIFIED. */
enum repo_skip repo_skip_by_name(const char *path, size_t size);
/* By the content: REPO_KEEP, _SECRET, _BINARY, _GENERATED or _MINIFIED. */
enum repo_skip repo_skip_by_content(const char *text, size_t size, bool is_said_text, bool is_said_original);

/* What is known of a file but its content. */
struct repo_facts {
    uint32_t mode; /* as st_mode */
    uint64_t size, large;
    bool is_below_vendored;
    enum ignore_verdict verdict; /* of .fathomignore */
    const struct repo_marks *marks;
};
/* Sets skip and the marks that repo_read needs. */
void repo_judge(struct repo_file *file, const struct repo_facts *facts);

/* ---- walks ---- */

/* paths: sorted; n_paths 0 with paths NULL means all. */
enum status repo_walk_worktree(struct repo *repo, const struct repo_walk_options *options, const char *const *paths,
                               size_t n_paths, struct repo_files *out, struct error *error);
/* The folders that a walk of the worktree enters, each with '/' at its end, without the root and without those where no
 * file is of use; paths as above.  Costs no look at any file. */
enum status repo_walk_folders(struct repo *repo, const struct repo_walk_options *options, const char *const *paths,
                              size_t n_paths, struct repo_files *out, struct error *error);
enum status repo_walk_tree(struct repo *repo, const struct repo_walk_options *options, struct repo_files *out,
                           struct error *error);

#endif
