/* diff: see diff.h.  Putting a diff together, naming its hunks, and printing it. */
#include "repo/diff_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_FILES = 1000000, MOST_LINES = 10000000 };

const char *diff_status_name(enum diff_status status)
{
    static const char *const names[DIFF_N_STATUSES] = {"added", "deleted", "modified", "renamed", "copied", "unmerged"};
    return status < DIFF_N_STATUSES ? names[status] : "";
}

const char *diff_path(const struct diff_file *file)
{
    return file->new.path && * file->new.path ? file->new.path : file->old.path ? file->old.path : "";
}

/* ---- putting it together ---- */

static void *add(void *items, size_t *n, size_t *capacity, size_t width, size_t most, struct error *error)
{
    char **array = items;
    if (*n >= most) {
        error_set(error, STATUS_RANGE, "the diff is larger than anybody reads: more than %zu lines or files", most);
        return NULL;
    }
    if (*n == *capacity) {
        size_t more = *capacity ? *capacity * 2 : 64;
        char *grown = realloc(*array, more * width);
        if (!grown) {
            error_set(error, STATUS_MEMORY, "out of memory");
            return NULL;
        }
        *array = grown;
        *capacity = more;
    }
    void *made = *array + (*n)++ * width;
    memset(made, 0, width);
    return made;
}

struct diff_file *diff_add_file(struct diff *diff, struct error *error)
{
    struct diff_file *file = add(&diff->files, &diff->n_files, &diff->files_capacity, sizeof *file, MOST_FILES, error);
    if (file) {
        file->old.path = file->new.path = "";
        file->first_hunk = (uint32_t)diff->n_hunks;
    }
    return file;
}

struct diff_hunk *diff_add_hunk(struct diff *diff, struct error *error)
{
    struct diff_hunk *hunk = add(&diff->hunks, &diff->n_hunks, &diff->hunks_capacity, sizeof *hunk, MOST_LINES, error);
    if (hunk) {
        hunk->file = (uint32_t)(diff->n_files - 1);
        hunk->first_line = (uint32_t)diff->n_lines;
        diff->files[hunk->file].n_hunks++;
    }
    return hunk;
}

struct diff_line *diff_add_line(struct diff *diff, enum diff_line_kind kind, struct slice text, struct error *error)
{
    struct diff_line *line = add(&diff->lines, &diff->n_lines, &diff->lines_capacity, sizeof *line, MOST_LINES, error);
    if (!line)
        return NULL;
    line->kind = kind;
    line->text = text;
    diff->hunks[diff->n_hunks - 1].n_lines++;
    return line;
}

enum status diff_set_path(struct diff *diff, struct diff_side *side, const char *path, size_t size, struct error *error)
{
    if (size > UINT16_MAX)
        return error_set(error, STATUS_RANGE, "a path of %zu bytes", size);
    side->path = arena_copy_text(&diff->arena, path, size);
    side->path_size = (uint32_t)size;
    if (side->path)
        return STATUS_OK;
    side->path = "";
    return error_set(error, STATUS_MEMORY, "out of memory");
}

struct slice diff_keep_text(struct diff *diff, const char *text, size_t size)
{
    enum { ROOM = 1 << 20 };
    if (size == 0)
        return (struct slice){"", 0};
    if (size > diff->room_size) {
        size_t more = size > ROOM ? size : ROOM;
        diff->room = arena_alloc(&diff->arena, more);
        diff->room_size = diff->room ? more : 0;
    }
    if (size > diff->room_size)
        return (struct slice){0};
    char *kept = diff->room;
    memcpy(kept, text, size);
    diff->room += size;
    diff->room_size -= size;
    return (struct slice){kept, size};
}

/* FNV-1a (G. Fowler, L. C. Noll, K.-P. Vo; RFC 9923) of 64 bits: ids need to be stable, not safe. */
static uint64_t hash_bytes(uint64_t hash, const void *bytes, size_t size)
{
    const unsigned char *at = bytes;
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ at[i]) * 0x100000001b3u;
    return hash;
}

static uint64_t hash_hunk(const struct diff *diff, const struct diff_hunk *hunk)
{
    const char *path = diff_path(&diff->files[hunk->file]);
    uint64_t hash = hash_bytes(0xcbf29ce484222325u, path, strlen(path) + 1);
    for (uint32_t i = 0; i < hunk->n_lines; i++) {
        const struct diff_line *line = &diff->lines[hunk->first_line + i];
        if (line->kind == DIFF_CONTEXT)
            continue;
        char kind = (char)line->kind;
        hash = hash_bytes(hash, &kind, 1);
        hash = hash_bytes(hash, line->text.data, line->text.size);
    }
    return hash;
}

struct hunk_hash {
    uint64_t hash;
    uint32_t hunk;
};

static int compare_hashes(const void *a, const void *b)
{
    const struct hunk_hash *x = a, *y = b;
    return x->hash != y->hash ? (x->hash < y->hash ? -1 : 1) : (x->hunk > y->hunk) - (x->hunk < y->hunk);
}

/* Equal hunks of a file get numbers: the same ones as long as none before them comes or goes. */
static enum status name_hunks(struct diff *diff, struct error *error)
{
    struct hunk_hash *hashes = malloc((diff->n_hunks + 1) * sizeof *hashes);
    if (!hashes)
        return error_set(error, STATUS_MEMORY, "out of memory");
    for (size_t i = 0; i < diff->n_hunks; i++)
        hashes[i] = (struct hunk_hash){hash_hunk(diff, &diff->hunks[i]), (uint32_t)i};
    qsort(hashes, diff->n_hunks, sizeof *hashes, compare_hashes);
    for (size_t i = 0, n_same = 0; i < diff->n_hunks; i++) {
        n_same = i > 0 && hashes[i].hash == hashes[i - 1].hash ? n_same + 1 : 0;
        uint64_t hash = n_same ? hash_bytes(hashes[i].hash, &n_same, sizeof n_same) : hashes[i].hash;
        struct diff_hunk *hunk = &diff->hunks[hashes[i].hunk];
        snprintf(hunk->id, sizeof hunk->id, "%016" PRIx64, hash);
    }
    free(hashes);
    return STATUS_OK;
}

static void number_lines(struct diff *diff, const struct diff_hunk *hunk)
{
    struct diff_file *file = &diff->files[hunk->file];
    uint32_t old_line = hunk->old_n ? hunk->old_start : hunk->old_start + 1;
    uint32_t new_line = hunk->new_n ? hunk->new_start : hunk->new_start + 1;
    for (uint32_t i = 0; i < hunk->n_lines; i++) {
        struct diff_line *line = &diff->lines[hunk->first_line + i];
        line->old_line = line->kind == DIFF_ADD ? 0 : old_line++;
        line->new_line = line->kind == DIFF_DELETE ? 0 : new_line++;
        file->n_added += line->kind == DIFF_ADD;
        file->n_deleted += line->kind == DIFF_DELETE;
        bool lacks = line->text.size == 0 || line->text.data[line->text.size - 1] != '\n';
        file->old.lacks_newline = file->old.lacks_newline || (lacks && line->kind != DIFF_ADD);
        file->new.lacks_newline = file->new.lacks_newline || (lacks && line->kind != DIFF_DELETE);
    }
}

enum status diff_finish(struct diff *diff, struct error *error)
{
    for (size_t i = 0; i < diff->n_hunks; i++)
        number_lines(diff, &diff->hunks[i]);
    return name_hunks(diff, error);
}

void diff_free(struct diff *diff)
{
    if (!diff)
        return;
    free(diff->files);
    free(diff->hunks);
    free(diff->lines);
    arena_deinit(&diff->arena);
    free(diff);
}

/* ---- printing ---- */

/* Paths with bytes that git quotes are quoted as git does with core.quotePath. */
void diff_print_path(struct buffer *out, const char *prefix, const char *path)
{
    bool quotes = false;
    for (const unsigned char *c = (const unsigned char *)path; *c && !quotes; c++)
        quotes = *c < 0x20 || *c >= 0x7f || *c == '"' || *c == '\\';
    if (!quotes) {
        buffer_printf(out, "%s%s", prefix, path);
        return;
    }
    static const char named[] = "\a\b\t\n\v\f\r\"\\", names[] = "abtnvfr\"\\";
    buffer_printf(out, "\"%s", prefix);
    for (const unsigned char *c = (const unsigned char *)path; *c; c++) {
        const char *name = strchr(named, *c);
        if (name)
            buffer_printf(out, "\\%c", names[name - named]);
        else if (*c < 0x20 || *c >= 0x7f)
            buffer_printf(out, "\\%03o", *c);
        else
            buffer_append_byte(out, (char)*c);
    }
    buffer_append_byte(out, '"');
}

static void print_id(struct buffer *out, const struct diff_side *side)
{
    for (size_t i = 0; i < sizeof side->id.bytes; i++)
        buffer_printf(out, "%02x", side->has_id ? side->id.bytes[i] : 0);
}

void diff_print_header(const struct diff_file *file, struct buffer *out)
{
    const struct diff_side *old = &file->old, *new = &file->new;
    const char *old_path = *old->path ? old->path : new->path, *new_path = *new->path ? new->path : old->path;
    buffer_append_text(out, "diff --git ");
    diff_print_path(out, "a/", old_path);
    buffer_append_text(out, " ");
    diff_print_path(out, "b/", new_path);
    buffer_append_text(out, "\n");
    if (file->status == DIFF_ADDED)
        buffer_printf(out, "new file mode %06o\n", new->mode ? new->mode : 0100644);
    else if (file->status == DIFF_DELETED)
        buffer_printf(out, "deleted file mode %06o\n", old->mode ? old->mode : 0100644);
    else if (old->mode != new->mode && old->mode &&new->mode)
        buffer_printf(out, "old mode %06o\nnew mode %06o\n", old->mode, new->mode);
    if (file->status == DIFF_RENAMED || file->status == DIFF_COPIED) {
        const char *verb = file->status == DIFF_RENAMED ? "rename" : "copy";
        buffer_printf(out, "similarity index %u%%\n%s from ", file->similarity, verb);
        diff_print_path(out, "", old_path);
        buffer_printf(out, "\n%s to ", verb);
        diff_print_path(out, "", new_path);
        buffer_append_text(out, "\n");
    }
    bool is_same = old->has_id && new->has_id &&memcmp(&old->id, &new->id, sizeof old->id) == 0;
    if (!is_same && (old->has_id || !*old->path) && (new->has_id || !*new->path)) {
        buffer_append_text(out, "index ");
        print_id(out, old);
        buffer_append_text(out, "..");
        print_id(out, new);
        if (old->mode == new->mode && old->mode)
            buffer_printf(out, " %06o", old->mode);
        buffer_append_text(out, "\n");
    }
}

void diff_print_name_line(struct buffer *out, const char *mark, const char *prefix, const char *path)
{
    buffer_append_text(out, mark);
    if (*path)
        diff_print_path(out, prefix, path);
    else
        buffer_append_text(out, "/dev/null");
    /* As git does: behind a name with blanks a tab, so that no date is taken for its end. */
    buffer_append_text(out, strchr(path, ' ') ? "\t\n" : "\n");
}

void diff_print_range(struct buffer *out, char mark, uint32_t start, uint32_t n)
{
    if (n == 1)
        buffer_printf(out, "%c%" PRIu32, mark, start);
    else
        buffer_printf(out, "%c%" PRIu32 ",%" PRIu32, mark, start, n);
}

static void print_hunk(const struct diff *diff, const struct diff_hunk *hunk, struct buffer *out)
{
    buffer_append_text(out, "@@ ");
    diff_print_range(out, '-', hunk->old_start, hunk->old_n);
    buffer_append_text(out, " ");
    diff_print_range(out, '+', hunk->new_start, hunk->new_n);
    buffer_append_text(out, hunk->function.size ? " @@ " : " @@");
    buffer_append(out, hunk->function.data, hunk->function.size);
    buffer_append_text(out, "\n");
    for (uint32_t i = 0; i < hunk->n_lines; i++) {
        const struct diff_line *line = &diff->lines[hunk->first_line + i];
        buffer_append_byte(out, (char)line->kind);
        buffer_append(out, line->text.data, line->text.size);
        if (line->text.size == 0 || line->text.data[line->text.size - 1] != '\n')
            buffer_append_text(out, "\n\\ No newline at end of file\n");
    }
}

void diff_print_file(const struct diff *diff, size_t index, struct buffer *out)
{
    const struct diff_file *file = &diff->files[index];
    if (file->status == DIFF_UNMERGED) {
        buffer_append_text(out, "* Unmerged path ");
        diff_print_path(out, "", diff_path(file));
        buffer_append_text(out, "\n");
        return;
    }
    diff_print_header(file, out);
    if (file->is_binary || file->is_large) {
        buffer_append_text(out, "Binary files ");
        const struct diff_side *sides[] = {&file->old, &file->new};
        for (int i = 0; i < 2; i++) {
            if (*sides[i]->path)
                diff_print_path(out, i ? "b/" : "a/", sides[i]->path);
            else
                buffer_append_text(out, "/dev/null");
            buffer_append_text(out, i ? " differ\n" : " and ");
        }
        return;
    }
    if (file->n_hunks == 0)
        return;
    diff_print_name_line(out, "--- ", "a/", file->old.path);
    diff_print_name_line(out, "+++ ", "b/", file->new.path);
    for (uint32_t i = 0; i < file->n_hunks; i++)
        print_hunk(diff, &diff->hunks[file->first_hunk + i], out);
}

void diff_print(const struct diff *diff, struct buffer *out)
{
    for (size_t i = 0; i < diff->n_files; i++)
        diff_print_file(diff, i, out);
}
