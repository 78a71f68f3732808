/* index_prune: keeps the cache folder within a size: the indexes that weren't used for the longest time go (index.h).
 *
 * index_open sets the time of the lock's file, which says when an index was used last.  An index that is being refreshed is
 * left alone; a reader keeps the file that it has open. */
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "repo/index_store.h"

struct old_index {
    char name[128];
    uint64_t size;
    int64_t used_ns;
};

static const char *const suffixes[] = {"-wal", "-shm", ""};
enum { N_SUFFIXES = 3, MAX_INDEXES = 10000 };

/* NAME.index with a suffix; the whole in name's place. */
static bool append(char out[160], const char *name, const char *suffix)
{
    size_t a = strlen(name), b = strlen(suffix);
    if (a + b >= 160)
        return false;
    memcpy(out, name, a);
    memcpy(out + a, suffix, b + 1);
    return true;
}

static void measure(int folder, struct old_index *it)
{
    char path[160];
    struct stat about;
    for (int i = 0; i < N_SUFFIXES; i++)
        if (append(path, it->name, suffixes[i]) && fstatat(folder, path, &about, AT_SYMLINK_NOFOLLOW) == 0)
            it->size += (uint64_t)about.st_size;
    if (append(path, it->name, ".lock") && fstatat(folder, path, &about, AT_SYMLINK_NOFOLLOW) == 0)
        it->used_ns = about.st_mtim.tv_sec * INT64_C(1000000000) + about.st_mtim.tv_nsec;
}

static int compare_used(const void *a, const void *b)
{
    const struct old_index *one = a, *other = b;
    return (one->used_ns > other->used_ns) - (one->used_ns < other->used_ns);
}

static bool remove_index(int folder, const char *name)
{
    char path[160];
    int lock = append(path, name, ".lock") ? openat(folder, path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600) : -1;
    bool is_free = lock >= 0 && flock(lock, LOCK_EX | LOCK_NB) == 0;
    for (int i = 0; is_free && i < N_SUFFIXES; i++)
        if (append(path, name, suffixes[i]))
            (void)unlinkat(folder, path, 0);
    if (lock >= 0)
        close(lock);
    return is_free;
}

static bool is_index(const char *name)
{
    size_t size = strlen(name);
    return size > 6 && size < 128 && strcmp(name + size - 6, ".index") == 0;
}

enum status index_prune(const char *cache_folder, uint64_t limit, const struct index *keep, uint64_t *n_removed,
                        struct error *error)
{
    struct old_index *list = NULL;
    size_t n = 0, capacity = 0;
    uint64_t sum = 0;
    const char *own = keep ? strrchr(buffer_text(&keep->path), '/') : NULL;
    *n_removed = 0;
    DIR *folder = opendir(cache_folder);
    if (!folder)
        return error_set(error, STATUS_IO, "%s: it can't be read", cache_folder);
    for (struct dirent *entry; (entry = readdir(folder)) && n < MAX_INDEXES;) {
        if (!is_index(entry->d_name))
            continue;
        if (n == capacity) {
            capacity = capacity ? capacity * 2 : 16;
            struct old_index *moved = realloc(list, capacity * sizeof *moved);
            if (!moved)
                break;
            list = moved;
        }
        list[n] = (struct old_index){.size = 0};
        memcpy(list[n].name, entry->d_name, strlen(entry->d_name) + 1);
        measure(dirfd(folder), &list[n]);
        sum += list[n++].size;
    }
    if (n)
        qsort(list, n, sizeof *list, compare_used);
    for (size_t i = 0; i < n && sum > limit; i++) {
        if ((own && strcmp(own + 1, list[i].name) == 0) || !remove_index(dirfd(folder), list[i].name))
            continue;
        sum -= list[i].size;
        ++*n_removed;
    }
    free(list);
    closedir(folder);
    return STATUS_OK;
}
