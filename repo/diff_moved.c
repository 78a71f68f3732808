/* diff_moved: lines that were deleted in one place of a diff and added in another (diff_detail.h).
 *
 * Deleted lines are put into a table by a hash of their text without the blanks at its ends.  Runs of added lines are then
 * followed along runs of deleted ones, the longest first found at each line; a line is taken once on each side. */
#include <stdlib.h>
#include <string.h>

#include "repo/diff_detail.h"

enum {
    MEANT_LEAST = 20,     /* letters and digits of a run: fewer are chance */
    CANDIDATES_MOST = 32, /* deleted lines of one text that a run is tried from */
    EMPTY_MOST = 64,      /* lines that a run may begin with before it means something: braces can go on for long */
};

struct table {
    uint32_t *first; /* (size): a line + 1, or 0 */
    uint32_t *next;  /* for each line: the next of the same hash + 1 */
    uint64_t *hash;  /* for each line */
    size_t mask;
};

static bool is_blank(char byte)
{
    return byte == ' ' || byte == '\t' || byte == '\r' || byte == '\n';
}

static struct slice stripped(struct slice text)
{
    while (text.size && is_blank(text.data[text.size - 1]))
        text.size--;
    while (text.size && is_blank(text.data[0])) {
        text.data++;
        text.size--;
    }
    return text;
}

static uint64_t hash_of(struct slice text)
{
    uint64_t hash = 14695981039346656037u; /* FNV-1a */
    for (size_t i = 0; i < text.size; i++)
        hash = (hash ^ (unsigned char)text.data[i]) * 1099511628211u;
    return hash ^ hash >> 32;
}

static uint32_t count_meant(struct slice text)
{
    uint32_t n = 0;
    for (size_t i = 0; i < text.size && n < MEANT_LEAST; i++) {
        unsigned char byte = (unsigned char)text.data[i];
        n += byte >= 0x80 || (byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'z') ||
             (byte >= 'A' && byte <= 'Z');
    }
    return n;
}

static bool same_text(const struct diff *diff, size_t a, size_t b)
{
    struct slice x = stripped(diff->lines[a].text), y = stripped(diff->lines[b].text);
    return x.size == y.size && memcmp(x.data, y.data, x.size) == 0;
}

static bool fill_table(const struct diff *diff, struct table *table)
{
    size_t size = 64;
    while (size < diff->n_lines * 2)
        size *= 2;
    table->mask = size - 1;
    table->first = calloc(size, sizeof *table->first);
    table->next = calloc(diff->n_lines, sizeof *table->next);
    table->hash = calloc(diff->n_lines, sizeof *table->hash);
    if (!table->first || !table->next || !table->hash)
        return false;
    for (size_t i = diff->n_lines; i-- > 0;) { /* so that each list is in order */
        struct slice text = stripped(diff->lines[i].text);
        table->hash[i] = hash_of(text);
        if (diff->lines[i].kind != DIFF_DELETE || !text.size)
            continue;
        uint32_t *first = &table->first[table->hash[i] & table->mask];
        table->next[i] = *first;
        *first = (uint32_t)(i + 1);
    }
    return true;
}

/* How many lines go on alike from a deleted and an added one, none of them taken; and whether they hold enough. */
static size_t follow_run(const struct diff *diff, const struct table *table, const uint8_t *moved, size_t deleted,
                         size_t added, bool *is_meant)
{
    size_t n = 0;
    uint32_t meant = 0;
    while (deleted + n < diff->n_lines && added + n < diff->n_lines) {
        const struct diff_line *from = &diff->lines[deleted + n], *to = &diff->lines[added + n];
        if (from->kind != DIFF_DELETE || to->kind != DIFF_ADD || moved[deleted + n] || moved[added + n] ||
            table->hash[deleted + n] != table->hash[added + n] || !same_text(diff, deleted + n, added + n) ||
            (n == EMPTY_MOST && meant < MEANT_LEAST))
            break;
        meant += count_meant(stripped(to->text));
        n++;
    }
    *is_meant = meant >= MEANT_LEAST;
    return n;
}

static size_t longest_run(const struct diff *diff, const struct table *table, const uint8_t *moved, size_t added,
                          size_t *deleted)
{
    size_t best = 0;
    int n_tried = 0;
    for (uint32_t at = table->first[table->hash[added] & table->mask]; at && n_tried < CANDIDATES_MOST;
         at = table->next[at - 1]) {
        if (table->hash[at - 1] != table->hash[added])
            continue;
        bool is_meant;
        size_t n = follow_run(diff, table, moved, at - 1, added, &is_meant);
        if (is_meant && n > best) {
            best = n;
            *deleted = at - 1;
        }
        n_tried++;
    }
    return best;
}

enum status diff_find_moved(const struct diff *diff, const atomic_bool *cancel, uint8_t **out, struct error *error)
{
    struct table table = {0};
    *out = NULL;
    if (!diff->n_lines)
        return STATUS_OK;
    enum status status = STATUS_OK;
    uint8_t *moved = calloc(diff->n_lines, 1);
    if (!moved || !fill_table(diff, &table))
        status = error_set(error, STATUS_MEMORY, "out of memory");
    for (size_t i = 0; !status && i < diff->n_lines; i++) {
        if ((i & 1023) == 0 && cancel && atomic_load(cancel))
            status = error_set(error, STATUS_CANCELLED, "cancelled");
        if (diff->lines[i].kind != DIFF_ADD || moved[i])
            continue;
        size_t deleted = 0, n = longest_run(diff, &table, moved, i, &deleted);
        memset(moved + i, 1, n);
        memset(moved + deleted, 1, n);
        i += n ? n - 1 : 0;
    }
    free(table.first);
    free(table.next);
    free(table.hash);
    if (status) {
        free(moved);
        moved = NULL;
    }
    *out = moved;
    return status;
}
