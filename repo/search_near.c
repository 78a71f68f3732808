/* search_near: how much more a place counts by where it lies and when it was written: its nearness to the place that is
 * asked from, whether it is about to be committed, whether it was edited lately.  Measured by tests/eval_search.py. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "repo/search_private.h"

enum { EDITS_MOST = 64, PENDING_MOST = 512 /* more say nothing of any one */ };
/* Of a file's scores.  What a change needs in files that are changed already is among the first five for 39 % of 358
 * questions, and without for 30 %; on packages that nobody looked at before, 40 and 37 %. */
static const double pending_lift = 0.2, recent_lift = 0.2;
static const int64_t second_ns = 1000000000, half_life_s = 3600, oldest_s = 12 * 3600;

struct edit {
    const char *path; /* in the results' arena, or the caller's */
    size_t size;
    double lift;
    int64_t first_chunk, end_chunk; /* in the index; none: both 0 */
};

struct search_edits {
    struct edit items[EDITS_MOST + PENDING_MOST]; /* by path */
    size_t n;
    int64_t now_ns;
    struct search *search;
    bool failed;
};

static bool take_edit(void *context, const char *path, size_t size, int64_t edited_ns)
{
    struct search_edits *edits = context;
    const char *copy = arena_copy_text(edits->search->arena, path, size);
    edits->failed = !copy;
    if (!copy)
        return false;
    double age_s = edited_ns < edits->now_ns ? (double)(edits->now_ns - edited_ns) / (double)second_ns : 0;
    edits->items[edits->n++] = (struct edit){copy, size, recent_lift * exp2(-age_s / (double)half_life_s), 0, 0};
    return true;
}

static int compare_edits(const void *a, const void *b)
{
    const struct edit *one = a, *other = b;
    return code_compare(one->path, one->size, other->path, other->size);
}

static void sort_edits(struct search_edits *edits)
{
    if (edits->n)
        qsort(edits->items, edits->n, sizeof *edits->items, compare_edits);
}

static struct edit *find_edit(const struct search_edits *edits, size_t n, const char *path, size_t size)
{
    const struct edit wanted = {.path = path, .size = size};
    return n ? bsearch(&wanted, edits->items, n, sizeof wanted, compare_edits) : NULL;
}

static int64_t wall_now_ns(void)
{
    struct timespec now;
    return clock_gettime(CLOCK_REALTIME, &now) == 0 ? (int64_t)now.tv_sec * second_ns + now.tv_nsec : 0;
}

static enum status find_chunks(struct search_edits *edits, struct error *error)
{
    struct index *index = edits->search->index;
    for (size_t i = 0; i < edits->n; i++) {
        struct edit *edit = &edits->items[i];
        sqlite3_stmt *row = index_statement(index, INDEX_CHUNKS_OF, error);
        if (!row)
            return index_failed(index, error);
        sqlite3_bind_blob64(row, 1, edit->path, edit->size, SQLITE_STATIC);
        int code = sqlite3_step(row);
        if (code == SQLITE_ROW) {
            edit->first_chunk = sqlite3_column_int64(row, 0);
            edit->end_chunk = edit->first_chunk + sqlite3_column_int64(row, 1);
        }
        sqlite3_reset(row);
        if (code != SQLITE_ROW && code != SQLITE_DONE)
            return index_failed(index, error);
    }
    return STATUS_OK;
}

enum status search_edits_new(struct search *search, struct error *error)
{
    struct search_edits *edits = search->edits = calloc(1, sizeof *edits);
    const struct repo_files *changed = search->options->changed;
    if (!edits)
        return error_set(error, STATUS_MEMORY, "out of memory");
    edits->now_ns = search->options->now_ns ? search->options->now_ns : wall_now_ns();
    edits->search = search;
    int64_t after_ns = edits->now_ns - oldest_s * second_ns;
    enum status status = index_edited(search->index, after_ns, EDITS_MOST, take_edit, edits, error);
    if (status == STATUS_OK && edits->failed)
        status = error_set(error, STATUS_MEMORY, "out of memory");
    sort_edits(edits);
    size_t n_recent = edits->n;
    for (size_t i = 0; changed && i < changed->n && i < PENDING_MOST; i++) {
        const struct repo_file *file = &changed->files[i];
        struct edit *edit = find_edit(edits, n_recent, file->path, file->path_size);
        if (!edit) {
            edit = &edits->items[edits->n++];
            *edit = (struct edit){.path = file->path, .size = file->path_size};
        }
        edit->lift += pending_lift;
    }
    sort_edits(edits);
    return status == STATUS_OK ? find_chunks(edits, error) : status;
}

double search_lift(const struct search *search, const char *path, size_t size)
{
    const struct edit *edit = search->edits ? find_edit(search->edits, search->edits->n, path, size) : NULL;
    return edit ? edit->lift : 0;
}

double search_lift_chunk(const struct search *search, uint32_t chunk)
{
    for (size_t i = 0; search->edits && i < search->edits->n; i++)
        if (chunk >= search->edits->items[i].first_chunk && chunk < search->edits->items[i].end_chunk)
            return search->edits->items[i].lift;
    return 0;
}

bool search_has_lift(const struct search *search)
{
    return search->edits && search->edits->n;
}

/* Many words are the text around a place rather than typed: whoever asks so has that file before him, and wants the others. */
double search_nearness(const struct search *search, const char *path, size_t size)
{
    double near = index_nearness_of(search->nearness, path, size);
    if (near >= 1) /* the file itself */
        return search->query.n_words < SEARCH_MANY_WORDS ? 0.4 : 0;
    return near > 0.6 ? 0.3 : near / 3; /* imports and importers; else at most 0.6, for the same folder */
}
