/* picker: see picker.h. */
#include "app/picker.h"

#include <stdlib.h>
#include <string.h>

/* ---- the list ---- */

void picker_clear(struct picker *picker)
{
    arena_deinit(&picker->arena);
    picker->arena = (struct arena){0};
    picker->n = picker->n_matches = picker->n_found = 0;
    picker->keeps_order = false;
    doc_cut(&picker->doc, 0);
}

void picker_deinit(struct picker *picker)
{
    picker_clear(picker);
    free(picker->items);
    free(picker->matches);
    doc_deinit(&picker->doc);
    view_deinit(&picker->view);
    *picker = (struct picker){0};
}

static bool copy(struct picker *picker, const char *text, const char **out)
{
    *out = text ? arena_copy_text(&picker->arena, text, strlen(text)) : NULL;
    return !text || *out;
}

bool picker_add(struct picker *picker, const struct picker_item *item)
{
    if (picker->n == picker->capacity) {
        size_t wanted = picker->capacity ? picker->capacity * 2 : 256;
        struct picker_item *more = wanted < UINT32_MAX ? realloc(picker->items, wanted * sizeof *more) : NULL;
        if (!more)
            return false;
        picker->items = more;
        picker->capacity = wanted;
    }
    struct picker_item *added = &picker->items[picker->n];
    *added = *item;
    if (!copy(picker, item->text, &added->text) || !copy(picker, item->more, &added->more) ||
        !copy(picker, item->path, &added->path))
        return false;
    picker->n++;
    return true;
}

/* ---- ranking ---- */

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

static bool begins_word(struct slice text, size_t at)
{
    char before = at ? text.data[at - 1] : '/', here = text.data[at];
    bool is_letter =
        (before >= 'a' && before <= 'z') || (before >= 'A' && before <= 'Z') || (before >= '0' && before <= '9');
    bool is_hump = before >= 'a' && before <= 'z' && here >= 'A' && here <= 'Z';
    return !is_letter || is_hump;
}

/* From the end on, so that the last part of a path is what letters are found in first. */
int picker_score(struct slice text, struct slice letters)
{
    enum { EACH = 1, WORD = 8, RUN = 6, NAME = 4, WHOLE = 12 };
    const char *slash = text.size ? memrchr(text.data, '/', text.size) : NULL;
    size_t name = slash ? (size_t)(slash - text.data) + 1 : 0, at = text.size, n = letters.size;
    int score = 0;
    bool was_last = false;
    while (n > 0) {
        char wanted = letters.data[n - 1];
        if (wanted == ' ') {
            n--;
            continue;
        }
        size_t before = at;
        while (at > 0 && lower(text.data[at - 1]) != lower(wanted))
            at--;
        if (at == 0)
            return -1;
        at--;
        score += EACH + (begins_word(text, at) ? WORD : 0) + (was_last && at + 1 == before ? RUN : 0) +
                 (at >= name ? NAME : 0);
        was_last = true;
        n--;
    }
    score += letters.size && at == name ? WHOLE : 0;
    int length = text.size < 400 ? (int)text.size : 400;
    return score * 400 - length + 400;
}

static void sift(uint32_t *heap, const int *scores, size_t n, size_t at)
{
    for (size_t child; (child = 2 * at + 1) < n; at = child) {
        if (child + 1 < n && scores[heap[child + 1]] < scores[heap[child]])
            child++;
        if (scores[heap[at]] <= scores[heap[child]])
            return;
        uint32_t swap = heap[at];
        heap[at] = heap[child];
        heap[child] = swap;
    }
}

/* The best PICKER_SHOWN of all, best first, by a heap that has the worst of them on top. */
static void choose(struct picker *picker, const int *scores)
{
    uint32_t *heap = picker->matches;
    size_t n = 0;
    for (size_t i = 0; i < picker->n; i++) {
        if (scores[i] < 0)
            continue;
        picker->n_found++;
        if (n < PICKER_SHOWN) {
            heap[n++] = (uint32_t)i;
            for (size_t k = n == PICKER_SHOWN ? n / 2 : 0; k-- > 0;)
                sift(heap, scores, n, k);
        } else if (scores[i] > scores[heap[0]]) {
            heap[0] = (uint32_t)i;
            sift(heap, scores, n, 0);
        }
    }
    for (size_t k = n / 2; n < PICKER_SHOWN && k-- > 0;)
        sift(heap, scores, n, k);
    picker->n_matches = n;
    while (n > 1) { /* the worst goes last */
        uint32_t worst = heap[0];
        heap[0] = heap[--n];
        heap[n] = worst;
        sift(heap, scores, n, 0);
    }
}

static void fill(struct picker *picker)
{
    doc_cut(&picker->doc, 0);
    for (size_t i = 0; i < picker->n_matches; i++) {
        const struct picker_item *item = &picker->items[picker->matches[i]];
        doc_begin(&picker->doc, (struct doc_format){.tag = (int64_t)i, .is_one_row = true});
        doc_add_text(&picker->doc, STYLE_TEXT, item->text);
        if (item->more && *item->more) {
            doc_pad(&picker->doc, 24);
            doc_add_text(&picker->doc, STYLE_DIM, item->more);
        }
    }
    picker->view.has_cursor = true;
    picker->view.cursor = picker->view.top = 0;
}

void picker_filter(struct picker *picker, struct slice letters)
{
    picker->n_matches = picker->n_found = 0;
    if (!picker->matches)
        picker->matches = malloc(PICKER_SHOWN * sizeof *picker->matches);
    int *scores = malloc((picker->n + 1) * sizeof *scores);
    for (size_t i = 0; scores && i < picker->n; i++) {
        scores[i] = picker_score(slice_from(picker->items[i].text), letters);
        if (scores[i] >= 0 && picker->keeps_order)
            scores[i] = INT32_MAX - (int)i;
    }
    if (scores && picker->matches)
        choose(picker, scores);
    free(scores);
    fill(picker);
}

const struct picker_item *picker_chosen(const struct picker *picker)
{
    size_t i = picker->view.cursor; /* an item is one row; rows are made when they are drawn, which may come later */
    return i < picker->n_matches ? &picker->items[picker->matches[i]] : NULL;
}
