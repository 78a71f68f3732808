/* repo_entries: git's own index as a sorted table, and what its stamps prove. */
#include <stdlib.h>
#include <string.h>

#include "repo/repo_internal.h"

static int compare_entries(const void *a, const void *b)
{
    const git_index_entry *x = *(const git_index_entry *const *)a, *y = *(const git_index_entry *const *)b;
    int order = strcmp(x->path, y->path);
    return order ? order : git_index_entry_stage(x) - git_index_entry_stage(y);
}

static int64_t index_mtime_ns(const struct repo *repo)
{
    struct stat about;
    const char *path = git_index_path(repo->index);
    return path && stat(path, &about) == 0 ? repo_stamp_of(&about).mtime_ns : 0;
}

enum status repo_load_entries(struct repo *repo, struct error *error)
{
    int64_t before = index_mtime_ns(repo);
    int code = git_index_read(repo->index, 0);
    if (code != 0)
        return repo_git_fail(code, repo->git_folder, error);
    /* Where another process wrote it just now, nothing is known of when. */
    repo->index_mtime_ns = index_mtime_ns(repo) == before ? before : 0;
    size_t n = git_index_entrycount(repo->index);
    const git_index_entry **entries = n ? calloc(n, sizeof *entries) : NULL;
    if (n && !entries)
        return error_set(error, STATUS_MEMORY, "out of memory");
    bool is_sorted = true;
    for (size_t i = 0; i < n; i++) {
        entries[i] = git_index_get_byindex(repo->index, i);
        is_sorted = is_sorted && (i == 0 || compare_entries(&entries[i - 1], &entries[i]) < 0);
    }
    /* Sorted otherwise with core.ignoreCase, and who knows how in a file that isn't git's. */
    if (!is_sorted)
        qsort(entries, n, sizeof *entries, compare_entries);
    free(repo->entries);
    repo->entries = entries;
    repo->n_entries = n;
    return STATUS_OK;
}

size_t repo_entry_at(const struct repo *repo, const char *path, size_t size)
{
    size_t low = 0, high = repo->n_entries;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strncmp(repo->entries[middle]->path, path, size);
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

bool repo_entry_is_clean(const struct repo *repo, const git_index_entry *entry, const struct stat *about)
{
    static const unsigned char empty[20] = {0xe6, 0x9d, 0xe2, 0x9b, 0xb2, 0xd1, 0xd6, 0x43, 0x4b, 0x8b,
                                            0x29, 0xae, 0x77, 0x5a, 0xd8, 0xc2, 0xe4, 0x8c, 0x53, 0x91};
    struct repo_stamp stamp = repo_stamp_of(about);
    if (git_index_entry_stage(entry) != 0 || (entry->flags_extended & GIT_INDEX_ENTRY_INTENT_TO_ADD))
        return false;
    if ((entry->mode & S_IFMT) != (about->st_mode & S_IFMT) || entry->file_size != (uint32_t)stamp.size ||
        entry->ino != (uint32_t)about->st_ino || entry->uid != about->st_uid || entry->gid != about->st_gid)
        return false;
    if (entry->mtime.seconds != (int32_t)about->st_mtim.tv_sec ||
        entry->ctime.seconds != (int32_t)about->st_ctim.tv_sec ||
        entry->mtime.nanoseconds != (uint32_t)about->st_mtim.tv_nsec ||
        entry->ctime.nanoseconds != (uint32_t)about->st_ctim.tv_nsec)
        return false;
    /* Git takes the size away from an entry that it knows to be too young to be trusted. */
    if (entry->file_size == 0 && memcmp(entry->id.id, empty, sizeof empty) != 0)
        return false;
    /* Written in the same moment as the index: it may have changed since without a trace. */
    return repo->index_mtime_ns != 0 && stamp.mtime_ns < repo->index_mtime_ns;
}
