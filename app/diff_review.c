/* diff_review: what a review said, as rows and marks of the diff that is shown now.
 *
 * A review is of one diff; after something was staged another is shown.  A hunk's id is of its content, so where the same id
 * is there again, all that was said of its lines still holds. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/diff_pane.h"

void diff_pane_forget_review(struct diff_pane *pane)
{
    if (pane->review)
        review_result_deinit(pane->review);
    free(pane->review);
    shared_diff_release(pane->reviewed);
    free(pane->inserts);
    free(pane->heat);
    free(pane->unusual);
    free(pane->unusual_of);
    pane->review = NULL;
    pane->reviewed = NULL;
    pane->inserts = NULL;
    pane->heat = NULL;
    pane->unusual = pane->unusual_of = NULL;
    pane->n_inserts = pane->n_unusual = pane->next_unusual = 0;
}

/* ---- hunks, found again ---- */

struct hunk_id {
    const char *id;
    uint32_t hunk;
};

static int by_id(const void *a, const void *b)
{
    return strcmp(((const struct hunk_id *)a)->id, ((const struct hunk_id *)b)->id);
}

/* For each hunk of the reviewed diff, the same one of the diff that is shown, or UINT32_MAX; NULL where memory ran out. */
static uint32_t *find_hunks(const struct diff *from, const struct diff *to)
{
    struct hunk_id *ids = malloc((to->n_hunks + 1) * sizeof *ids);
    uint32_t *found = malloc((from->n_hunks + 1) * sizeof *found);
    for (uint32_t i = 0; ids && i < to->n_hunks; i++)
        ids[i] = (struct hunk_id){to->hunks[i].id, i};
    if (ids)
        qsort(ids, to->n_hunks, sizeof *ids, by_id);
    for (uint32_t i = 0; ids && found && i < from->n_hunks; i++) {
        struct hunk_id wanted = {from->hunks[i].id, 0};
        const struct hunk_id *at = bsearch(&wanted, ids, to->n_hunks, sizeof *ids, by_id);
        bool is_same = at && to->hunks[at->hunk].n_lines == from->hunks[i].n_lines;
        found[i] = is_same ? at->hunk : UINT32_MAX;
    }
    if (!ids) {
        free(found);
        found = NULL;
    }
    free(ids);
    return found;
}

/* The line behind which a finding stands, in its own diff: its last one. */
static uint32_t line_of(const struct diff *diff, const struct review_finding *finding)
{
    const struct diff_hunk *hunk = &diff->hunks[finding->hunk];
    for (uint32_t i = 0; i < hunk->n_lines; i++) {
        const struct diff_line *line = &diff->lines[hunk->first_line + i];
        if ((finding->is_old ? line->old_line : line->new_line) == finding->end_line &&
            (finding->is_old || line->kind != DIFF_DELETE))
            return i;
    }
    return hunk->n_lines ? hunk->n_lines - 1 : 0;
}

static int by_line(const void *a, const void *b)
{
    const struct diff_insert *x = a, *y = b;
    return x->line != y->line ? x->line < y->line ? -1 : 1 : x->number < y->number ? -1 : x->number > y->number;
}

/* ---- texts ---- */

/* The end of the row of the detail that begins at `at`: between words where there are any. */
static size_t row_end(const char *text, size_t size, size_t at)
{
    size_t end = at, last_blank = 0;
    int columns = 0;
    while (end < size) {
        int width;
        size_t taken = cells_next(text + end, size - end, false, &width);
        if (columns + width > FINDING_COLUMNS)
            return last_blank > at ? last_blank : end;
        if (text[end] == ' ')
            last_blank = end + 1;
        columns += width;
        end += taken;
    }
    return size;
}

struct slice diff_pane_finding_row(const struct diff_pane *pane, uint32_t number, uint32_t row)
{
    const struct review_finding *finding = &pane->review->findings[number];
    const char *detail = finding->detail ? finding->detail : "";
    size_t size = strlen(detail), at = 0;
    if (row == 0)
        return slice_from(finding->title);
    for (uint32_t i = 1; i < row; i++)
        at = row_end(detail, size, at);
    return (struct slice){detail + at, row_end(detail, size, at) - at};
}

static uint32_t count_rows(const struct diff_pane *pane, uint32_t number)
{
    uint32_t n = 1;
    while (n < FINDING_ROWS_MOST && diff_pane_finding_row(pane, number, n).size)
        n++;
    return n;
}

/* ---- the map ---- */

static void map_findings(struct diff_pane *pane, const uint32_t *hunks)
{
    const struct diff *from = pane->reviewed->diff, *to = pane->shared->diff;
    for (uint32_t i = 0; i < pane->review->n_findings; i++) {
        const struct review_finding *finding = &pane->review->findings[i];
        if (finding->hunk >= from->n_hunks || hunks[finding->hunk] == UINT32_MAX)
            continue;
        pane->inserts[pane->n_inserts++] = (struct diff_insert){
            to->hunks[hunks[finding->hunk]].first_line + line_of(from, finding), i, count_rows(pane, i)};
    }
    qsort(pane->inserts, pane->n_inserts, sizeof *pane->inserts, by_line);
}

/* Four steps: the twentieth part that is most unusual, the next tenth, the next quarter, the rest. */
static uint8_t heat_of(size_t rank, size_t n)
{
    return rank * 20 < n ? 4 : rank * 20 < n * 3 ? 3 : rank * 20 < n * 8 ? 2 : 1;
}

static void map_lines(struct diff_pane *pane, const uint32_t *hunks)
{
    const struct diff *from = pane->reviewed->diff, *to = pane->shared->diff;
    for (uint32_t i = 0; i < pane->review->n_lines; i++) {
        const struct review_line *line = &pane->review->lines[i];
        if (line->hunk >= from->n_hunks || hunks[line->hunk] == UINT32_MAX)
            continue;
        uint32_t there = to->hunks[hunks[line->hunk]].first_line + (line->at - from->hunks[line->hunk].first_line);
        pane->heat[there] = heat_of(i, pane->review->n_lines);
        pane->unusual_of[pane->n_unusual] = i;
        pane->unusual[pane->n_unusual++] = there;
    }
}

void diff_pane_map_review(struct diff_pane *pane)
{
    free(pane->inserts);
    free(pane->heat);
    free(pane->unusual);
    free(pane->unusual_of);
    pane->inserts = NULL;
    pane->heat = NULL;
    pane->unusual = pane->unusual_of = NULL;
    pane->n_inserts = pane->n_unusual = pane->next_unusual = 0;
    if (!pane->review || !pane->shared)
        return;
    uint32_t *hunks = find_hunks(pane->reviewed->diff, pane->shared->diff);
    pane->inserts = malloc((pane->review->n_findings + 1) * sizeof *pane->inserts);
    pane->heat = calloc(pane->shared->diff->n_lines + 1, 1);
    pane->unusual = malloc((pane->review->n_lines + 1) * sizeof *pane->unusual);
    pane->unusual_of = malloc((pane->review->n_lines + 1) * sizeof *pane->unusual_of);
    if (hunks && pane->inserts && pane->heat && pane->unusual && pane->unusual_of) {
        map_findings(pane, hunks);
        map_lines(pane, hunks);
    }
    free(hunks);
}

void diff_pane_set_review(struct diff_pane *pane, struct shared_diff *shared, struct review_result *review)
{
    diff_pane_forget_review(pane);
    pane->reviewed = shared;
    pane->review = review;
    diff_pane_map_review(pane);
}

uint32_t diff_pane_next_unusual(struct diff_pane *pane)
{
    if (!pane->n_unusual)
        return DIFF_NO_LINE;
    size_t at = pane->next_unusual++ % pane->n_unusual;
    const struct review_line *line = &pane->review->lines[pane->unusual_of[at]];
    snprintf(pane->note, sizeof pane->note, "unusual %zu of %zu: %.2f nats a token, %u of %u in its file", at + 1,
             pane->n_unusual, line->surprise, (unsigned)line->rank, (unsigned)line->n_rank);
    return pane->unusual[at];
}
