/* review_unusual: which added lines are unusual to the model, beside the lines that they take the place of. */
#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "app/review_private.h"

struct unusual {
    struct review *review;
    struct surprise *surprise;
    size_t room;
};

static bool says_something(struct slice text)
{
    for (size_t i = 0; i < text.size; i++)
        if (!isspace((unsigned char)text.data[i]))
            return true;
    return false;
}

/* From the first to the last line of a kind in a hunk, by their numbers; false where there are none. */
static bool find_range(const struct diff *diff, const struct diff_hunk *hunk, enum diff_line_kind kind, uint32_t *first,
                       uint32_t *last)
{
    bool is_found = false;
    for (uint32_t i = 0; i < hunk->n_lines; i++) {
        const struct diff_line *line = &diff->lines[hunk->first_line + i];
        uint32_t number = kind == DIFF_DELETE ? line->old_line : line->new_line;
        if (line->kind != kind)
            continue;
        *first = is_found ? *first : number;
        *last = number;
        is_found = true;
    }
    return is_found;
}

/* Scores the lines of a kind, and those between them. */
static enum status score(struct unusual *unusual, const struct diff_hunk *hunk, const struct review_side *side,
                         enum diff_line_kind kind, uint32_t *first, struct surprise_text *out)
{
    uint32_t last = 0;
    *out = (struct surprise_text){0};
    if (!find_range(unusual->review->diff, hunk, kind, first, &last) || *first < side->first_line)
        return STATUS_OK;
    return surprise_read(unusual->surprise, side->text, *first - side->first_line, last - *first + 1, out,
                         unusual->review->error);
}

/* The mean over the tokens of the hunk's lines of a kind; NAN without any. */
static double mean(const struct diff *diff, const struct diff_hunk *hunk, enum diff_line_kind kind, uint32_t first,
                   const struct surprise_text *text)
{
    double nats = 0;
    size_t n = 0;
    for (uint32_t i = 0; i < hunk->n_lines && text->n_lines; i++) {
        const struct diff_line *line = &diff->lines[hunk->first_line + i];
        uint32_t number = kind == DIFF_DELETE ? line->old_line : line->new_line;
        if (line->kind != kind || number < first || number - first >= text->n_lines)
            continue;
        nats += text->lines[number - first].nats;
        n += text->lines[number - first].n_tokens;
    }
    return n ? nats / (double)n : NAN;
}

static enum status add_line(struct unusual *unusual, const struct review_line *line)
{
    struct review_result *out = unusual->review->out;
    if (out->n_lines == unusual->room) {
        size_t room = unusual->room ? 2 * unusual->room : 64;
        struct review_line *lines = realloc(out->lines, room * sizeof *lines);
        if (!lines)
            return error_set(unusual->review->error, STATUS_MEMORY, "out of memory");
        out->lines = lines;
        unusual->room = room;
    }
    out->lines[out->n_lines++] = *line;
    return STATUS_OK;
}

static enum status add_lines(struct unusual *unusual, size_t hunk, uint32_t first, double deleted,
                             const struct surprise_text *text)
{
    const struct diff *diff = unusual->review->diff;
    const struct diff_hunk *about = &diff->hunks[hunk];
    enum status status = STATUS_OK;
    for (uint32_t i = 0; !status && i < about->n_lines; i++) {
        const struct diff_line *line = &diff->lines[about->first_line + i];
        uint32_t at = line->new_line - first;
        if (line->kind != DIFF_ADD || at >= text->n_lines || !text->lines[at].n_tokens || !says_something(line->text))
            continue;
        const struct surprise_token *peak = surprise_peak(text, &text->lines[at]);
        struct review_line found = {.hunk = (uint32_t)hunk,
                                    .line = line->new_line,
                                    .at = about->first_line + i,
                                    .n_tokens = text->lines[at].n_tokens,
                                    .surprise = surprise_of(&text->lines[at]),
                                    .deleted = deleted,
                                    .peak = peak->id,
                                    .peak_logprob = peak->logprob};
        memcpy(found.top, peak->top, sizeof found.top);
        status = add_line(unusual, &found);
    }
    return status;
}

static enum status read_hunk(struct unusual *unusual, size_t hunk)
{
    struct review *review = unusual->review;
    const struct diff_hunk *about = &review->diff->hunks[hunk];
    struct review_side old, new;
    struct surprise_text added = {0}, removed = {0};
    struct arena arena = {0};
    uint32_t first_new = 0, first_old = 0;
    enum status status = review_sides(review, hunk, &arena, &old, &new);
    if (!status)
        status = score(unusual, about, &new, DIFF_ADD, &first_new, &added);
    if (!status && added.n_lines)
        status = score(unusual, about, &old, DIFF_DELETE, &first_old, &removed);
    if (!status && review->request->no_findings)
        review->out->hunks[hunk].state = REVIEW_WEIGHED;
    if (!status) {
        double own = mean(review->diff, about, DIFF_ADD, first_new, &added);
        review->out->hunks[hunk].has_surprise = !isnan(own);
        review->out->hunks[hunk].surprise = isnan(own) ? 0 : own;
        status =
            add_lines(unusual, hunk, first_new, mean(review->diff, about, DIFF_DELETE, first_old, &removed), &added);
    }
    surprise_text_deinit(&added);
    surprise_text_deinit(&removed);
    arena_deinit(&arena);
    return status;
}

/* ---- ranks ---- */

static int compare(const struct review_line *a, const struct review_line *b)
{
    if (a->surprise != b->surprise)
        return a->surprise > b->surprise ? -1 : 1;
    return (a->at > b->at) - (a->at < b->at);
}

static int by_surprise(const void *a, const void *b)
{
    return compare(a, b);
}

/* The most unusual first: what comes later of a file's lines has the next rank. */
static enum status rank(struct review *review)
{
    struct review_result *out = review->out;
    const struct diff *diff = review->diff;
    uint32_t *n = calloc(diff->n_files + 1, sizeof *n);
    if (!n)
        return error_set(review->error, STATUS_MEMORY, "out of memory");
    if (out->n_lines)
        qsort(out->lines, out->n_lines, sizeof *out->lines, by_surprise);
    for (size_t i = 0; i < out->n_lines; i++)
        out->lines[i].rank = ++n[diff->hunks[out->lines[i].hunk].file];
    for (size_t i = 0; i < out->n_lines; i++)
        out->lines[i].n_rank = n[diff->hunks[out->lines[i].hunk].file];
    free(n);
    return STATUS_OK;
}

enum status review_unusual(struct review *review)
{
    const struct review_request *request = review->request;
    struct session_options options = request->session;
    struct unusual unusual = {.review = review};
    enum status status = surprise_open(request->engine, &options, &unusual.surprise, review->error);
    for (size_t i = 0; !status && i < review->diff->n_hunks; i++) {
        if (review->out->hunks[i].state != REVIEW_SKIPPED)
            status = read_hunk(&unusual, i);
        if (!status && request->progress)
            request->progress(request->progress_context, "weighing", i + 1, review->diff->n_hunks);
    }
    enum status ranked = rank(review);
    surprise_close(unusual.surprise);
    return status ? status : ranked;
}
