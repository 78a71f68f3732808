/* map: the outline of a repository that matters most for a place, in as many tokens as there are.
 *
 * Files are ranked by personalised PageRank over who refers to whom (map_graph.h); what is personal is the place's own
 * file, the files that are open, edited or named, and those that define the names that stand near the cursor.  A
 * definition's worth is its file's rank times its part in how much that file is used; names that the place itself uses
 * count several times.  The best are written as an outline of signatures, as many as fit.
 *
 * The same index and the same request give the same map.  The graph is kept beside the index's file, so that the next
 * process has it, too; where files changed since, what they have a part in is counted again, and the rank is followed from
 * what it was (map_graph.h): the outcome is that of a graph made anew. */
#ifndef FATHOM_REPO_MAP_H
#define FATHOM_REPO_MAP_H

#include "repo/index.h"

struct map;

/* For an index of 78,000 files 2.5 s the first time, then 0.09 s with the map that is made of it, 0.15 s after an edit of a
 * file, and up to 2.5 s once more than 64 files changed, or a name that thousands use.  STATUS_CANCELLED, STATUS_MEMORY, STATUS_IO.  The
 * index must outlive the map. */
enum status map_open(struct index *index, const atomic_bool *cancel, struct map **out, struct error *error);
void map_close(struct map *map);

struct map_request {
    const struct index_place *near; /* or NULL: the repository as a whole */
    const char *const *files;       /* open, edited or mentioned: relative paths */
    size_t n_files;
    const char *const *names; /* that were mentioned */
    size_t n_names;
    size_t budget; /* tokens */
    /* How many tokens a text is; asked of the whole text each time, since tokens cross lines.  SIZE_MAX: it failed. */
    size_t (*count)(void *context, const char *text, size_t size);
    void *context;
};

struct map_line {
    uint32_t line; /* 1-based */
    const char *text;
};

struct map_file {
    const char *path;
    double rank; /* of all ranks, which sum to 1 */
    const struct map_line *lines;
    size_t n_lines;
};

struct map_result {
    struct map_file *files; /* best first */
    size_t n_files, n_tokens;
    struct buffer
        text; /* "PATH:\n" and "LINE: SIGNATURE\n" for each (two spaces more within a scope): what was counted; n_tokens <= budget */
    struct arena arena; /* holds all but the text */
};

/* Of what the index holds now; what has changed since in files is left out of the text.  STATUS_IO where count failed. */
enum status map_make(struct map *map, struct repo *repo, const struct map_request *request, struct map_result *out,
                     struct error *error);
void map_result_deinit(struct map_result *result);

#endif
