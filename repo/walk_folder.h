/* walk_folder: what repo_walk needs of the file system: folders that are open, their sorted names, whether one is a
 * repository, and names without case. */
#ifndef FATHOM_REPO_WALK_FOLDER_H
#define FATHOM_REPO_WALK_FOLDER_H

#include <dirent.h>
#include <limits.h>

#include "repo/repo_internal.h"

/* ---- a folder that is open ---- */

struct walk_folder {
    int fd; /* -1: closed */
};
#define WALK_FOLDER_CLOSED                                                                                             \
    {                                                                                                                  \
        -1                                                                                                             \
    }

/* name lies in the folder above; false with errno. */
bool walk_folder_open(struct walk_folder *folder, int above_fd, const char *name);
/* By its path below root_fd, with '/' at its end ("" is the root). */
bool walk_folder_reopen(struct walk_folder *folder, int root_fd, const char *path, size_t size);
void walk_folder_close(struct walk_folder *folder);
int walk_folder_fd(const struct walk_folder *folder);
/* Whether it is the worktree of another repository than the one of git_folder, as git looks for it: by its .git. */
bool walk_folder_is_repository(const struct walk_folder *folder, const char *git_folder);

/* ---- the names of folders, one above the other ---- */

struct walk_name {
    uint32_t text; /* in walk_names.text */
    uint16_t size;
    uint8_t kind; /* DT_REG, DT_DIR, DT_LNK or another; never DT_UNKNOWN */
};

struct walk_names {
    struct walk_name *names;
    size_t n, capacity;
    struct buffer text;
    bool failed; /* out of memory */
};

size_t walk_names_mark(const struct walk_names *names);
/* Adds a folder's names, sorted as git orders paths, without ".", ".." and ".git".  False where it can't be read to its
 * end (what was read stays), or memory ran out (failed). */
bool walk_names_read(struct walk_names *names, struct walk_folder *folder);
void walk_names_drop(struct walk_names *names, size_t mark);
const struct walk_name *walk_names_at(const struct walk_names *names, size_t i);
const char *walk_names_text(const struct walk_names *names, const struct walk_name *name); /* terminated */
/* Whether a file of that name is among [begin, end). */
bool walk_names_hold(const struct walk_names *names, size_t begin, size_t end, const char *name);
void walk_names_deinit(struct walk_names *names);
int walk_names_compare(const char *a, size_t a_size, bool a_is_folder, const char *b, size_t b_size, bool b_is_folder);

/* ---- the paths of git's index without case ---- */

struct walk_folded;
enum status walk_folded_new(const struct repo *repo, struct walk_folded **out, struct error *error);
bool walk_folded_has_file(const struct walk_folded *folded, const char *path, size_t size);
bool walk_folded_is_submodule(const struct walk_folded *folded, const char *path, size_t size);
void walk_folded_free(struct walk_folded *folded);

#endif
