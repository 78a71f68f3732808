/* trust: see trust.h. */
#include "app/trust.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/models.h"
#include "app/sha256.h"
#include "app/store.h"

static const struct {
    const char *name, *meaning;
} asked[TRUST_FILES] = {{".fathomignore", "paths that are not to be indexed"}};

/* Appends $XDG_STATE_HOME/fathom/trust, after making it where that is wanted. */
static enum status find_folder(bool makes, struct buffer *out, struct error *error)
{
    enum status status =
        makes ? store_make_folder(out, error) : xdg_folder("XDG_STATE_HOME", ".local/state", out, error);
    buffer_append_text(out, makes ? "/trust" : "/fathom/trust");
    if (status == STATUS_OK)
        status = buffer_status(out, error);
    if (status == STATUS_OK && makes && mkdir(out->data, 0700) != 0 && errno != EEXIST)
        status = error_set(error, STATUS_IO, "%s: %s", out->data, strerror(errno));
    return status;
}

/* Root and name, each with its NUL: what an entry holds, and what it begins with to be hashed. */
static void describe(const struct repo *repo, const char *name, struct buffer *out)
{
    buffer_append(out, repo_root(repo), strlen(repo_root(repo)) + 1);
    if (name)
        buffer_append(out, name, strlen(name) + 1);
}

static enum status find_entry(const struct repo *repo, const struct trust_file *file, bool makes, struct buffer *path,
                              struct error *error)
{
    struct buffer about = {0};
    struct sha256 hash;
    uint8_t digest[SHA256_SIZE];
    describe(repo, file->name, &about);
    enum status status = buffer_status(&about, error);
    if (status == STATUS_OK)
        status = find_folder(makes, path, error);
    if (status == STATUS_OK) {
        sha256_init(&hash);
        sha256_add(&hash, about.data, about.size);
        sha256_add(&hash, buffer_text(&file->text), file->text.size);
        sha256_end(&hash, digest);
        buffer_append_byte(path, '/');
        for (size_t i = 0; i < sizeof digest; i++)
            buffer_printf(path, "%02x", digest[i]);
        status = buffer_status(path, error);
    }
    buffer_deinit(&about);
    return status;
}

enum status trust_read(struct repo *repo, int i, struct trust_file *out, struct error *error)
{
    struct repo_file file = {.path = asked[i].name, .path_size = (uint32_t)strlen(asked[i].name)};
    struct repo_id id;
    enum repo_skip skip;
    struct buffer path = {0};
    struct stat about;
    *out = (struct trust_file){.name = asked[i].name, .meaning = asked[i].meaning};
    if (repo_is_bare(repo))
        return STATUS_OK;
    buffer_printf(&path, "%s/%s", repo_root(repo), out->name);
    bool is_there = !path.failed && lstat(path.data, &about) == 0;
    buffer_deinit(&path);
    if (!is_there)
        return STATUS_OK;
    if (!S_ISREG(about.st_mode))
        return error_set(error, STATUS_IO, "%s: no plain file, and so not in force", out->name);
    file.stamp.mode = S_IFREG;
    enum status status = repo_read(repo, &file, TRUST_TEXT_MOST, &out->text, &id, &skip, error);
    if (status == STATUS_OK && memchr(buffer_text(&out->text), 0, out->text.size))
        status = error_set(error, STATUS_IO, "%s: binary, and so not in force", out->name);
    if (status == STATUS_OK)
        status = find_entry(repo, out, false, &path, error);
    out->is_there = status == STATUS_OK;
    out->is_trusted = status == STATUS_OK && access(path.data, F_OK) == 0;
    if (status != STATUS_OK)
        buffer_deinit(&out->text);
    buffer_deinit(&path);
    return status;
}

void trust_file_deinit(struct trust_file *file)
{
    buffer_deinit(&file->text);
}

enum status trust_accept(const struct repo *repo, const struct trust_file *file, struct error *error)
{
    struct buffer path = {0}, about = {0};
    describe(repo, file->name, &about);
    enum status status = buffer_status(&about, error);
    if (status == STATUS_OK)
        status = find_entry(repo, file, true, &path, error);
    int fd = status == STATUS_OK ? open(path.data, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600) : -1;
    if (status == STATUS_OK && fd < 0)
        status = error_set(error, STATUS_IO, "%s: %s", path.data, strerror(errno));
    if (fd >= 0) {
        bool is_written = write(fd, about.data, about.size) == (ssize_t)about.size;
        if (close(fd) != 0 || !is_written) {
            status = error_set(error, STATUS_IO, "%s: it can't be written", path.data);
            unlink(path.data);
        }
    }
    buffer_deinit(&path);
    buffer_deinit(&about);
    return status;
}

/* Whether an entry is one of this root's. */
static bool is_of(int folder, const char *name, const struct buffer *root)
{
    char *text = malloc(root->size + 1);
    int fd = text ? openat(folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK) : -1;
    bool is_same =
        fd >= 0 && read(fd, text, root->size) == (ssize_t)root->size && memcmp(text, root->data, root->size) == 0;
    if (fd >= 0)
        close(fd);
    free(text);
    return is_same;
}

enum status trust_revoke(const struct repo *repo, size_t *n_revoked, struct error *error)
{
    struct buffer folder = {0}, root = {0};
    *n_revoked = 0;
    describe(repo, NULL, &root);
    enum status status = buffer_status(&root, error);
    if (status == STATUS_OK)
        status = find_folder(false, &folder, error);
    DIR *entries = status == STATUS_OK ? opendir(folder.data) : NULL;
    if (status == STATUS_OK && !entries && errno != ENOENT)
        status = error_set(error, STATUS_IO, "%s: %s", folder.data, strerror(errno));
    for (struct dirent *entry; entries && status == STATUS_OK && (entry = readdir(entries));) {
        if (entry->d_name[0] == '.' || !is_of(dirfd(entries), entry->d_name, &root))
            continue;
        if (unlinkat(dirfd(entries), entry->d_name, 0) != 0)
            status = error_set(error, STATUS_IO, "%s/%s: %s", folder.data, entry->d_name, strerror(errno));
        else
            ++*n_revoked;
    }
    if (entries)
        closedir(entries);
    buffer_deinit(&folder);
    buffer_deinit(&root);
    return status;
}
