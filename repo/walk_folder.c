/* walk_folder: see walk_folder.h. */
#include "repo/walk_folder.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

/* ---- a folder that is open ---- */

bool walk_folder_open(struct walk_folder *folder, int above_fd, const char *name)
{
    folder->fd = openat(above_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return folder->fd >= 0;
}

bool walk_folder_reopen(struct walk_folder *folder, int root_fd, const char *path, size_t size)
{
    if (size == 0)
        return walk_folder_open(folder, root_fd, ".");
    folder->fd = repo_open_below(root_fd, path, size - 1, O_RDONLY | O_DIRECTORY);
    return folder->fd >= 0;
}

void walk_folder_close(struct walk_folder *folder)
{
    if (folder->fd >= 0)
        close(folder->fd);
    folder->fd = -1;
}

int walk_folder_fd(const struct walk_folder *folder)
{
    return folder->fd;
}

/* ---- whether it is a repository (git: is_nonbare_repository_dir, is_git_directory) ---- */

static bool is_hex(const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (!strchr("0123456789abcdefABCDEF", text[i]) || !text[i])
            return false;
    return true;
}

/* HEAD: a link below refs/, "ref: refs/..." or an id. */
static bool has_head(int git_fd)
{
    char target[PATH_MAX];
    struct buffer text = {0};
    ssize_t n = readlinkat(git_fd, "HEAD", target, sizeof target);
    if (n >= 0)
        return n >= 5 && memcmp(target, "refs/", 5) == 0;
    bool ok = repo_read_small(git_fd, "HEAD", false, 4096, &text);
    if (ok && text.size >= 4 && memcmp(text.data, "ref:", 4) == 0) {
        const char *name = text.data + 4;
        name += strspn(name, " \t\r\n");
        ok = strncmp(name, "refs/", 5) == 0;
    } else {
        ok = ok && text.size >= 40 && is_hex(text.data, 40);
    }
    buffer_deinit(&text);
    return ok;
}

static bool is_searchable(int fd, const char *name)
{
    return faccessat(fd, name, X_OK, 0) == 0;
}

static void trim_end(struct buffer *text)
{
    while (text->size && (text->data[text->size - 1] == '\n' || text->data[text->size - 1] == '\r'))
        text->data[--text->size] = 0;
}

static bool is_git_folder(int git_fd)
{
    struct buffer common = {0};
    int fd = git_fd;
    if (!has_head(git_fd))
        return false;
    if (repo_read_small(git_fd, "commondir", true, REPO_PATH_LIMIT, &common)) {
        trim_end(&common);
        fd = openat(git_fd, buffer_text(&common), O_PATH | O_DIRECTORY | O_CLOEXEC);
    }
    bool ok = fd >= 0 && is_searchable(fd, "objects") && is_searchable(fd, "refs");
    if (fd >= 0 && fd != git_fd)
        close(fd);
    buffer_deinit(&common);
    return ok;
}

bool walk_folder_is_repository(const struct walk_folder *folder, const char *git_folder)
{
    enum { FILE_LIMIT = 1 << 20 };
    struct stat about, own;
    struct buffer text = {0};
    if (fstatat(folder->fd, ".git", &about, 0) != 0)
        return false;
    /* Not another repository where the one that is walked keeps its own folder (core.worktree). */
    if (stat(git_folder, &own) == 0 && own.st_dev == about.st_dev && own.st_ino == about.st_ino)
        return false;
    int fd = -1;
    if (S_ISDIR(about.st_mode)) {
        fd = openat(folder->fd, ".git", O_PATH | O_DIRECTORY | O_CLOEXEC);
    } else if (S_ISREG(about.st_mode)) {
        if (!repo_read_small(folder->fd, ".git", true, FILE_LIMIT, &text))
            return about.st_size <= FILE_LIMIT; /* what it can't read, git takes for a repository */
        trim_end(&text);
        if (text.size > 8 && memcmp(text.data, "gitdir: ", 8) == 0)
            fd = openat(folder->fd, text.data + 8, O_PATH | O_DIRECTORY | O_CLOEXEC);
    }
    bool ok = fd >= 0 && is_git_folder(fd);
    if (fd >= 0)
        close(fd);
    buffer_deinit(&text);
    return ok;
}

/* ---- names ---- */

size_t walk_names_mark(const struct walk_names *names)
{
    return names->n;
}

const struct walk_name *walk_names_at(const struct walk_names *names, size_t i)
{
    return &names->names[i];
}

const char *walk_names_text(const struct walk_names *names, const struct walk_name *name)
{
    return names->text.data + name->text;
}

int walk_names_compare(const char *a, size_t a_size, bool a_is_folder, const char *b, size_t b_size, bool b_is_folder)
{
    size_t n = a_size < b_size ? a_size : b_size;
    int order = memcmp(a, b, n);
    if (order)
        return order;
    int next_a = a_size > n ? (unsigned char)a[n] : a_is_folder ? '/' : 0;
    int next_b = b_size > n ? (unsigned char)b[n] : b_is_folder ? '/' : 0;
    return next_a != next_b ? next_a - next_b : (a_size > b_size) - (a_size < b_size);
}

static int compare(const void *a, const void *b, void *context)
{
    const struct walk_name *x = a, *y = b;
    const char *text = context;
    return walk_names_compare(text + x->text, x->size, x->kind == DT_DIR, text + y->text, y->size, y->kind == DT_DIR);
}

static uint8_t kind_of(int fd, const char *name)
{
    struct stat about;
    if (fstatat(fd, name, &about, AT_SYMLINK_NOFOLLOW) != 0)
        return DT_REG; /* it has just gone, as will show when it is asked for */
    return S_ISDIR(about.st_mode) ? DT_DIR : S_ISLNK(about.st_mode) ? DT_LNK : S_ISREG(about.st_mode) ? DT_REG : DT_CHR;
}

static bool add_name(struct walk_names *names, int fd, const char *name, uint8_t kind)
{
    size_t size = strlen(name);
    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || strcmp(name, ".git") == 0 || size > NAME_MAX)
        return true;
    if (names->n == names->capacity) {
        size_t capacity = names->capacity ? names->capacity * 2 : 1024;
        struct walk_name *grown = reallocarray(names->names, capacity, sizeof *grown);
        if (!grown)
            return false;
        names->names = grown;
        names->capacity = capacity;
    }
    size_t at = names->text.size;
    if (at > UINT32_MAX - NAME_MAX - 1)
        return false;
    buffer_append(&names->text, name, size + 1);
    if (names->text.failed)
        return false;
    names->names[names->n++] = (struct walk_name){
        .text = (uint32_t)at, .size = (uint16_t)size, .kind = kind == DT_UNKNOWN ? kind_of(fd, name) : kind};
    return true;
}

bool walk_names_read(struct walk_names *names, struct walk_folder *folder)
{
    _Alignas(struct dirent64) char piece[32 * 1024];
    size_t mark = names->n;
    ssize_t n;
    while ((n = getdents64(folder->fd, piece, sizeof piece)) > 0) {
        for (ssize_t at = 0; at < n;) {
            const struct dirent64 *entry = (const struct dirent64 *)(const void *)(piece + at);
            at += entry->d_reclen;
            if (!add_name(names, folder->fd, entry->d_name, entry->d_type)) {
                names->failed = true;
                return false;
            }
        }
    }
    if (names->n > mark)
        qsort_r(names->names + mark, names->n - mark, sizeof *names->names, compare, names->text.data);
    return n == 0;
}

void walk_names_drop(struct walk_names *names, size_t mark)
{
    /* Sorted: the first of them needn't be the one that lies first. */
    size_t text = names->text.size;
    for (size_t i = mark; i < names->n; i++)
        if (names->names[i].text < text)
            text = names->names[i].text;
    names->text.size = text;
    names->n = mark;
}

bool walk_names_hold(const struct walk_names *names, size_t begin, size_t end, const char *name)
{
    size_t size = strlen(name);
    while (begin < end) {
        size_t middle = begin + (end - begin) / 2;
        const struct walk_name *at = &names->names[middle];
        int order = walk_names_compare(walk_names_text(names, at), at->size, at->kind == DT_DIR, name, size, false);
        if (order == 0)
            return true;
        if (order < 0)
            begin = middle + 1;
        else
            end = middle;
    }
    return false;
}

void walk_names_deinit(struct walk_names *names)
{
    free(names->names);
    buffer_deinit(&names->text);
    *names = (struct walk_names){0};
}

/* ---- paths without case ---- */

struct folded {
    const char *path; /* of the index */
    bool is_submodule;
};

struct walk_folded {
    struct folded *paths; /* sorted without case */
    size_t n;
};

static int compare_folded(const void *a, const void *b)
{
    return strcasecmp(((const struct folded *)a)->path, ((const struct folded *)b)->path);
}

enum status walk_folded_new(const struct repo *repo, struct walk_folded **out, struct error *error)
{
    *out = NULL;
    struct walk_folded *folded = calloc(1, sizeof *folded);
    if (folded)
        folded->paths = calloc(repo->n_entries + 1, sizeof *folded->paths);
    if (!folded || !folded->paths) {
        walk_folded_free(folded);
        return error_set(error, STATUS_MEMORY, "out of memory");
    }
    for (size_t i = 0; i < repo->n_entries; i++)
        folded->paths[i] =
            (struct folded){repo->entries[i]->path, (repo->entries[i]->mode & S_IFMT) == GIT_FILEMODE_COMMIT};
    folded->n = repo->n_entries;
    qsort(folded->paths, folded->n, sizeof *folded->paths, compare_folded);
    *out = folded;
    return STATUS_OK;
}

static const struct folded *find(const struct walk_folded *folded, const char *path, size_t size)
{
    size_t low = 0, high = folded->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strncasecmp(folded->paths[middle].path, path, size);
        if (order == 0 && folded->paths[middle].path[size])
            order = 1;
        if (order == 0)
            return &folded->paths[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

bool walk_folded_has_file(const struct walk_folded *folded, const char *path, size_t size)
{
    return find(folded, path, size) != NULL;
}

bool walk_folded_is_submodule(const struct walk_folded *folded, const char *path, size_t size)
{
    const struct folded *found = find(folded, path, size);
    return found && found->is_submodule;
}

void walk_folded_free(struct walk_folded *folded)
{
    if (!folded)
        return;
    free(folded->paths);
    free(folded);
}
