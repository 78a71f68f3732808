/* models: see models.h. */
#include "app/models.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/options.h"

const char *const models_default_name = "SmolLM2-135M-Instruct.Q4_1";

enum { MAX_MODELS = 4096 };

/* ---- folders ---- */

enum status xdg_folder(const char *variable, const char *fallback, struct buffer *out, struct error *error)
{
    const char *folder = getenv(variable), *home = getenv("HOME");
    if (folder && *folder == '/') { /* the XDG specification has relative ones ignored */
        buffer_append_text(out, folder);
        return buffer_status(out, error);
    }
    if (!home || !*home)
        return error_set(error, STATUS_NOT_FOUND, "no home folder: HOME and %s are not set", variable);
    buffer_printf(out, "%s/%s", home, fallback);
    return buffer_status(out, error);
}

enum status models_folder(struct buffer *out, struct error *error)
{
    enum status status = xdg_folder("XDG_DATA_HOME", ".local/share", out, error);
    buffer_append_text(out, "/fathom/models");
    return status == STATUS_OK ? buffer_status(out, error) : status;
}

/* The folder that an installed program shares models in: PREFIX/bin/fathom has PREFIX/share/fathom/models. */
static bool shared_folder(struct buffer *out)
{
    char path[4096];
    ssize_t size = readlink("/proc/self/exe", path, sizeof path - 1);
    if (size <= 0)
        return false;
    path[size] = 0;
    for (int i = 0; i < 2; i++) {
        char *slash = strrchr(path, '/');
        if (!slash)
            return false;
        *slash = 0;
    }
    buffer_printf(out, "%s/share/fathom/models", path);
    return !out->failed;
}

/* ---- listing ---- */

/* A file's name as a model's: without .gguf and without "-00001-of-00003".  0 where it is no model's, else the number
 * of the part (1 where it isn't split). */
static unsigned model_name(const char *file, size_t *size)
{
    size_t length = strlen(file);
    if (length <= 5 || strcasecmp(file + length - 5, ".gguf") != 0)
        return 0;
    length -= 5;
    unsigned part = 1, total;
    int used = 0;
    if (length > 15 && sscanf(file + length - 15, "-%5u-of-%5u%n", &part, &total, &used) == 2 && used == 15)
        length -= 15;
    else
        part = 1;
    *size = length;
    return part;
}

struct listing {
    struct model_list *list;
    size_t capacity;
    size_t n_earlier; /* items of folders that were read before: they win */
};

static struct model_file *find_item(const struct listing *listing, const char *name, size_t size)
{
    for (size_t i = 0; i < listing->list->n; i++)
        if (slice_equals((struct slice){name, size}, listing->list->items[i].name))
            return &listing->list->items[i];
    return NULL;
}

static struct model_file *add_item(struct listing *listing, const char *name, size_t size)
{
    struct model_list *list = listing->list;
    if (list->n == listing->capacity) {
        size_t capacity = listing->capacity ? listing->capacity * 2 : 16;
        struct model_file *grown = arena_alloc(&list->arena, capacity * sizeof *grown);
        if (!grown || list->n >= MAX_MODELS)
            return NULL;
        if (list->n)
            memcpy(grown, list->items, list->n * sizeof *grown);
        list->items = grown;
        listing->capacity = capacity;
    }
    struct model_file *item = &list->items[list->n];
    item->name = arena_copy_text(&list->arena, name, size);
    if (!item->name)
        return NULL;
    list->n++;
    return item;
}

static enum status add_file(struct listing *listing, const char *folder, const char *file, struct error *error)
{
    size_t size;
    unsigned part = model_name(file, &size);
    struct stat status;
    struct buffer path = {0};
    buffer_printf(&path, "%s/%s", folder, file);
    if (!part || path.failed || stat(path.data, &status) != 0 || !S_ISREG(status.st_mode)) {
        buffer_deinit(&path);
        return STATUS_OK;
    }
    struct model_file *item = find_item(listing, file, size);
    enum status result = STATUS_OK;
    if (!item || item >= listing->list->items + listing->n_earlier) {
        if (!item)
            item = add_item(listing, file, size);
        if (item && (part == 1 || !item->path))
            item->path = arena_copy_text(&listing->list->arena, path.data, path.size);
        if (!item || !item->path)
            result = error_set(error, STATUS_MEMORY, "%s: too many models to list", folder);
        else
            item->n_bytes += (uint64_t)status.st_size;
    }
    buffer_deinit(&path);
    return result;
}

static enum status add_folder(struct listing *listing, const char *folder, struct error *error)
{
    listing->n_earlier = listing->list->n;
    DIR *directory = opendir(folder);
    if (!directory)
        return errno == ENOENT || errno == ENOTDIR || errno == EACCES
                   ? STATUS_OK
                   : error_set(error, STATUS_IO, "%s: %s", folder, strerror(errno));
    enum status status = STATUS_OK;
    const struct dirent *entry;
    while (status == STATUS_OK && (entry = readdir(directory)))
        status = add_file(listing, folder, entry->d_name, error);
    closedir(directory);
    return status;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(((const struct model_file *)a)->name, ((const struct model_file *)b)->name);
}

enum status models_list(struct model_list *out, struct error *error)
{
    struct buffer own = {0}, shared = {0};
    *out = (struct model_list){0};
    struct listing listing = {out, 0, 0};
    enum status status = STATUS_OK;
    if (models_folder(&own, NULL) == STATUS_OK) /* without a home there is no such folder: nothing wrong with that */
        status = add_folder(&listing, own.data, error);
    if (status == STATUS_OK && shared_folder(&shared))
        status = add_folder(&listing, shared.data, error);
    buffer_deinit(&own);
    buffer_deinit(&shared);
    if (status == STATUS_OK && out->n)
        qsort(out->items, out->n, sizeof *out->items, compare_names);
    if (status != STATUS_OK)
        model_list_deinit(out);
    return status;
}

void model_list_deinit(struct model_list *list)
{
    arena_deinit(&list->arena);
    *list = (struct model_list){0};
}

/* ---- from what a user wrote to a path ---- */

/* True for what can only be meant as a path, and for what is a file here. */
static bool is_path(const char *text)
{
    struct stat status;
    size_t size = strlen(text);
    return strchr(text, '/') || (size > 5 && strcasecmp(text + size - 5, ".gguf") == 0) ||
           (stat(text, &status) == 0 && S_ISREG(status.st_mode));
}

static enum status not_found(const struct model_list *list, const char *name, struct error *error)
{
    struct buffer folder = {0};
    unsigned best = 99;
    const char *nearest = NULL;
    for (size_t i = 0; i < list->n; i++) {
        unsigned distance = words_distance(name, list->items[i].name);
        if (distance < best) {
            best = distance;
            nearest = list->items[i].name;
        }
    }
    if (models_folder(&folder, NULL) != STATUS_OK) {
        buffer_clear(&folder);
        buffer_append_text(&folder, "the models folder");
    }
    if (strcmp(name, models_default_name) == 0)
        error_set(
            error, STATUS_NOT_FOUND,
            "no default model: %.50s.gguf is not in %.100s (run `make model` in fathom's source, or name a file by "
            "-m)",
            name, buffer_text(&folder));
    else if (nearest && words_are_near(best, name))
        error_set(error, STATUS_NOT_FOUND,
                  "%.80s: no such file, and no model of that name is here (did you mean %.80s?)", name, nearest);
    else
        error_set(error, STATUS_NOT_FOUND,
                  "%.80s: no such file, and no model of that name is here (fathom models lists "
                  "those that are)",
                  name);
    buffer_deinit(&folder);
    return STATUS_NOT_FOUND;
}

enum status models_resolve(const char *text, struct buffer *path, struct error *error)
{
    struct stat about;
    if (text && !*text)
        return error_set(error, STATUS_ARGUMENT, "-m/--model: the name is empty (fathom models lists what is here)");
    if (text && is_path(text)) {
        if (stat(text, &about) != 0 && errno == ENOENT)
            return error_set(error, STATUS_NOT_FOUND, "%.160s: no such file (fathom models lists what is here)", text);
        buffer_append_text(path, text);
        return buffer_status(path, error);
    }
    const char *name = text ? text : models_default_name;
    struct model_list list;
    enum status status = models_list(&list, error);
    if (status != STATUS_OK)
        return status;
    const struct model_file *found = NULL;
    for (size_t i = 0; i < list.n; i++)
        if (strcmp(list.items[i].name, name) == 0 || (!found && strcasecmp(list.items[i].name, name) == 0))
            found = &list.items[i];
    if (found) {
        buffer_append_text(path, found->path);
        status = buffer_status(path, error);
    } else {
        status = not_found(&list, name, error);
    }
    model_list_deinit(&list);
    return status;
}
