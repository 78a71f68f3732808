/* index_import: from what a file imports to files, and back; and how near files are by it (index.h). */
#include <stdlib.h>
#include <string.h>

#include "repo/index_store.h"

enum {
    MAX_CANDIDATES = 300, /* files of one stem that are looked at */
    MAX_IMPORTERS = 2000,
    MAX_PATH = 4096,
};

/* ---- what an import may mean ---- */

static size_t folder_size(const char *path, size_t size)
{
    while (size && path[size - 1] != '/')
        size--;
    return size;
}

static size_t without_suffix(const char *path, size_t size)
{
    size_t folder = folder_size(path, size);
    for (size_t i = size; i > folder + 1; i--)
        if (path[i - 1] == '.')
            return i - 1;
    return size;
}

/* Appends text to a path, resolving "." and "..". */
static size_t join(char out[MAX_PATH], const char *folder, size_t n_folder, const char *text, size_t size)
{
    size_t n = n_folder < MAX_PATH / 2 ? n_folder : 0;
    memcpy(out, folder, n);
    for (size_t i = 0; i < size;) {
        size_t end = i;
        while (end < size && text[end] != '/')
            end++;
        size_t length = end - i;
        if (length == 2 && text[i] == '.' && text[i + 1] == '.') {
            if (n)
                n = folder_size(out, n - 1);
        } else if (length && !(length == 1 && text[i] == '.') && n + length + 1 < MAX_PATH) {
            memcpy(out + n, text + i, length);
            n += length;
            out[n++] = '/';
        }
        i = end + 1;
    }
    return n ? n - 1 : 0; /* without the last '/' */
}

static bool ends_with(const char *path, size_t size, const char *end, size_t n)
{
    return n && size >= n && memcmp(path + size - n, end, n) == 0 && (size == n || path[size - n - 1] == '/');
}

/* The path itself, without its suffix, or the folder for which it stands (index.js, __init__.py, mod.rs, Go's files). */
static bool is_meant(const char *path, size_t size, const char *wanted, size_t n, bool is_whole)
{
    size_t stem = without_suffix(path, size), folder = folder_size(path, size);
    size_t forms[3] = {size, stem, folder ? folder - 1 : 0};
    struct code_name key, own;
    facts_path_stem(path, size, &key);
    facts_path_stem(path + folder, size - folder, &own);
    int n_forms = code_compare(key.bytes, key.size, own.bytes, own.size) != 0 ? 3 : 2;
    for (int i = 0; i < n_forms; i++)
        if (is_whole ? forms[i] == n && memcmp(path, wanted, n) == 0 : ends_with(path, forms[i], wanted, n))
            return true;
    return false;
}

/* How well a file fits an import of from; 0: not at all. */
static int fit(const char *from, size_t n_from, int language, const struct fact_import *import, const char *path,
               size_t size)
{
    char target[MAX_PATH], joined[MAX_PATH];
    size_t n = import->target.size < MAX_PATH / 2 ? import->target.size : MAX_PATH / 2;
    const char *text = import->target.data;
    size_t folder = folder_size(from, n_from), joined_size = join(joined, from, folder, text, n);
    if (!import->is_system && is_meant(path, size, joined, joined_size, true))
        return 4;
    /* A file's name with suffix, as C names it. */
    size_t plain = join(target, "", 0, text, n);
    if (ends_with(path, size, target, plain))
        return 3;
    if (!facts_is_dotted(language))
        return n && *text != '.' && is_meant(path, size, target, plain, false) ? 2 : 0;
    /* Parts parted by dots or colons; leading dots are folders upwards. */
    size_t dots = 0;
    while (dots < n && text[dots] == '.')
        dots++;
    plain = 0;
    for (size_t i = dots; i < n; i++) {
        bool is_joint = text[i] == '.' || text[i] == ':' || text[i] == '\\';
        if (!is_joint || (plain && target[plain - 1] != '/'))
            target[plain++] = is_joint ? '/' : text[i];
    }
    for (size_t skip = 1; skip < dots && folder; skip++)
        folder = folder_size(from, folder - 1);
    for (int turn = 0; turn < 2 && plain; turn++) {
        joined_size = join(joined, from, dots ? folder : 0, target, plain);
        if (dots ? is_meant(path, size, joined, joined_size, true) : is_meant(path, size, target, plain, false))
            return 2 - turn;
        plain = folder_size(target, plain);
        plain -= plain != 0;
    }
    return 0;
}

static size_t shared_size(const char *a, size_t n_a, const char *b, size_t n_b)
{
    size_t shared = 0, i = 0;
    for (; i < n_a && i < n_b && a[i] == b[i]; i++)
        if (a[i] == '/')
            shared = i + 1;
    return shared;
}

/* ---- imports of a file ---- */

/* Copies a blob of a row, since other statements run before it is used up. */
static enum status read_imports(struct index *index, int64_t content, struct buffer *out, int *language,
                                struct error *error)
{
    sqlite3_stmt *row = index_statement(index, INDEX_IMPORTS, error);
    if (!row)
        return index_failed(index, error);
    sqlite3_bind_int64(row, 1, content);
    int code = sqlite3_step(row);
    *language = -1;
    buffer_clear(out);
    if (code == SQLITE_ROW) {
        const char *name = (const char *)sqlite3_column_text(row, 1);
        *language = language_by_name(name ? name : "");
        buffer_append(out, sqlite3_column_blob(row, 0), (size_t)sqlite3_column_bytes(row, 0));
    }
    sqlite3_reset(row);
    return code == SQLITE_ROW || code == SQLITE_DONE ? buffer_status(out, error) : index_failed(index, error);
}

/* The file that fits best; of equals the one that shares most folders with from, then include/, then the shortest. */
static enum status resolve(struct index *index, const char *from, int language, const struct fact_import *import,
                           struct buffer *out, struct error *error)
{
    struct code_name keys[2];
    size_t n = facts_import_keys(language, import->target.data, import->target.size, keys), n_from = strlen(from);
    double best = 0;
    buffer_clear(out);
    for (size_t i = 0; i < n; i++) {
        sqlite3_stmt *rows = index_statement(index, INDEX_STEM, error);
        if (!rows)
            return index_failed(index, error);
        sqlite3_bind_blob(rows, 1, keys[i].bytes, (int)keys[i].size, SQLITE_STATIC);
        sqlite3_bind_int(rows, 2, MAX_CANDIDATES);
        int code;
        while ((code = sqlite3_step(rows)) == SQLITE_ROW) {
            const char *path = sqlite3_column_blob(rows, 0);
            size_t size = (size_t)sqlite3_column_bytes(rows, 0);
            int fits = path ? fit(from, n_from, language, import, path, size) : 0;
            if (!fits)
                continue;
            bool is_root = size > 8 && memcmp(path, "include/", 8) == 0;
            double score = fits * 1000.0 + (double)shared_size(from, n_from, path, size) + (is_root ? 4 : 0) -
                           (double)size / MAX_PATH;
            if (score <= best && out->size)
                continue;
            best = score;
            buffer_clear(out);
            buffer_append(out, path, size);
        }
        sqlite3_reset(rows);
        if (code != SQLITE_DONE)
            return index_failed(index, error);
    }
    return buffer_status(out, error);
}

enum status index_imports(struct index *index, const char *path,
                          bool (*each)(void *context, const char *path, size_t size, uint32_t line), void *context,
                          struct error *error)
{
    struct buffer imports = {0}, found = {0};
    int64_t content;
    int language = -1;
    enum status status = index_begin_read(index, error);
    if (status != STATUS_OK)
        return status;
    status = index_find_content(index, path, &content, error);
    if (status == STATUS_OK && content > 0)
        status = read_imports(index, content, &imports, &language, error);
    struct code_reader reader = code_reader_make(imports.data, imports.size);
    struct fact_import import;
    while (status == STATUS_OK && facts_next_import(&reader, &import)) {
        status = resolve(index, path, language, &import, &found, error);
        if (status == STATUS_OK && found.size && !each(context, found.data, found.size, import.line))
            break;
    }
    index_end_read(index);
    buffer_deinit(&imports);
    buffer_deinit(&found);
    return status;
}

/* Whether one of the content's imports, seen from one of its files, can mean path. */
static enum status imports_path(struct index *index, uint32_t content, const char *path, struct buffer *scratch,
                                struct buffer *from, bool *out, struct error *error)
{
    int language = -1;
    *out = false;
    sqlite3_stmt *row = index_statement(index, INDEX_PATHS_OF, error);
    if (!row)
        return index_failed(index, error);
    sqlite3_bind_int64(row, 1, content);
    sqlite3_bind_int(row, 2, 1);
    buffer_clear(from);
    int code = sqlite3_step(row);
    if (code == SQLITE_ROW)
        buffer_append(from, sqlite3_column_blob(row, 0), (size_t)sqlite3_column_bytes(row, 0));
    sqlite3_reset(row);
    if (code != SQLITE_ROW) /* no file has it any more */
        return code == SQLITE_DONE ? STATUS_OK : index_failed(index, error);
    enum status status = read_imports(index, content, scratch, &language, error);
    struct code_reader reader = code_reader_make(scratch->data, scratch->size);
    struct fact_import import;
    while (status == STATUS_OK && !*out && facts_next_import(&reader, &import))
        *out = fit(buffer_text(from), from->size, language, &import, path, strlen(path)) > 0;
    return status;
}

/* Looks at most most files that may import it. */
static enum status each_importer(struct index *index, const char *path, size_t most,
                                 bool (*each)(void *context, const char *path, size_t size), void *context,
                                 struct error *error)
{
    struct buffer scratch = {0}, from = {0};
    struct code_name stem;
    const struct segment *segments;
    size_t n = 0, n_seen = 0;
    facts_path_stem(path, strlen(path), &stem);
    enum status status = index_begin_read(index, error);
    if (status != STATUS_OK)
        return status;
    status = segment_list(index->segments, &segments, &n, error);
    bool goes_on = true;
    for (size_t i = n; status == STATUS_OK && i && goes_on; i--) {
        struct posting_list list;
        status = segment_find(index->segments, &segments[i - 1], stem.bytes, stem.size, 0, &list, error);
        uint32_t last = 0;
        while (status == STATUS_OK && goes_on && n_seen < most && posting_next(&list)) {
            bool is_importer;
            if (list.document == last)
                continue;
            last = list.document;
            n_seen++;
            status = imports_path(index, list.document, path, &scratch, &from, &is_importer, error);
            if (status == STATUS_OK && is_importer)
                goes_on = each(context, buffer_text(&from), from.size);
        }
    }
    index_end_read(index);
    buffer_deinit(&scratch);
    buffer_deinit(&from);
    return status;
}

enum status index_importers(struct index *index, const char *path,
                            bool (*each)(void *context, const char *path, size_t size), void *context,
                            struct error *error)
{
    return each_importer(index, path, MAX_IMPORTERS, each, context, error);
}

static bool stop_at_first(void *context, const char *path, size_t size)
{
    bool *is_any = context;
    (void)path;
    (void)size;
    *is_any = true;
    return false;
}

enum status index_is_imported(struct index *index, const char *path, bool *is_imported, struct error *error)
{
    enum { TRIED_MOST = 4 };
    *is_imported = false;
    return each_importer(index, path, TRIED_MOST, stop_at_first, is_imported, error);
}

/* ---- nearness ---- */

enum { N_SLOTS = 4096, MAX_NEAR = N_SLOTS / 2 };

struct index_nearness {
    char *path;
    size_t size;
    struct arena arena;
    struct near_file {
        const char *path;
        size_t size;
        double score;
    } slots[N_SLOTS]; /* by the path's hash */
    size_t n;
    double adding;
};

static struct near_file *near_slot(const struct index_nearness *nearness, const char *path, size_t size)
{
    size_t at = code_hash(path, size) % N_SLOTS;
    while (nearness->slots[at].path &&
           (nearness->slots[at].size != size || memcmp(nearness->slots[at].path, path, size) != 0))
        at = (at + 1) % N_SLOTS;
    return (struct near_file *)&nearness->slots[at];
}

static bool add_near(void *context, const char *path, size_t size)
{
    struct index_nearness *nearness = context;
    struct near_file *slot = near_slot(nearness, path, size);
    if (slot->path)
        return true;
    char *copy = arena_copy_text(&nearness->arena, path, size);
    if (!copy || nearness->n >= MAX_NEAR)
        return false;
    *slot = (struct near_file){copy, size, nearness->adding};
    nearness->n++;
    return true;
}

static bool add_near_import(void *context, const char *path, size_t size, uint32_t line)
{
    (void)line;
    return add_near(context, path, size);
}

enum status index_nearness_new(struct index *index, const char *path, struct index_nearness **out, struct error *error)
{
    struct index_nearness *nearness = *out = calloc(1, sizeof **out);
    if (!nearness)
        return error_set(error, STATUS_MEMORY, "out of memory");
    nearness->size = strlen(path);
    nearness->path = arena_copy_text(&nearness->arena, path, nearness->size);
    enum status status = nearness->path ? STATUS_OK : error_set(error, STATUS_MEMORY, "out of memory");
    nearness->adding = 0.8;
    if (status == STATUS_OK)
        status = index_imports(index, path, add_near_import, nearness, error);
    nearness->adding = 0.7;
    if (status == STATUS_OK)
        status = index_importers(index, path, add_near, nearness, error);
    if (status != STATUS_OK) {
        index_nearness_free(nearness);
        *out = NULL;
    }
    return status;
}

void index_nearness_free(struct index_nearness *nearness)
{
    if (nearness)
        arena_deinit(&nearness->arena);
    free(nearness);
}

static double depth_of(const char *path, size_t size)
{
    double depth = 0;
    for (size_t i = 0; i < size; i++)
        depth += path[i] == '/';
    return depth;
}

double index_nearness_of(const struct index_nearness *nearness, const char *path, size_t size)
{
    if (!nearness)
        return 0;
    if (code_compare(nearness->path, nearness->size, path, size) == 0)
        return 1;
    const struct near_file *slot = near_slot(nearness, path, size);
    if (slot->path)
        return slot->score;
    size_t folder = folder_size(nearness->path, nearness->size),
           shared = shared_size(nearness->path, nearness->size, path, size);
    if (shared == folder && folder_size(path, size) == folder)
        return 0.6;
    double most = depth_of(nearness->path, folder), other = depth_of(path, folder_size(path, size));
    if (other > most)
        most = other;
    return most > 0 ? 0.5 * depth_of(path, shared) / most : 0;
}
