/* diff_words: partners and differing words of a hunk's lines (diff_detail.h).  Partners: the best alignment in order, by
 * dynamic programming over the share of words in common.  Words: the longest common subsequence of two lines' words, behind
 * what they share at both ends. */
#include <stdlib.h>
#include <string.h>

#include "repo/diff_detail.h"

enum {
    ALIGN_MOST = 4096,      /* deleted times added lines that are aligned; larger changes are paired in order */
    WORDS_MOST = 512,       /* words of a line: behind them all is one word */
    TABLE_MOST = 128 * 128, /* cells of the table for what lies between the ends that two lines share */
    ALIKE = 400,            /* thousandths of two lines' words: less makes no partners */
};

struct word {
    uint32_t begin, size;
    uint32_t hash;
};

struct words {
    struct word at[WORDS_MOST];
    size_t n;
    uint32_t weight; /* bytes that are not blank */
};

/* A hunk's deleted and added lines that stand together. */
struct change {
    uint32_t first_deleted, n_deleted, first_added, n_added;
};

struct scratch {
    struct words *deleted, *added; /* the lines that are being compared */
    uint16_t *table;               /* (n + 1, m + 1) of the words, or of the lines */
    uint16_t *alike;               /* (n_deleted, n_added) thousandths */
};

static bool is_word_byte(unsigned char byte)
{
    return byte == '_' || byte >= 0x80 || (byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'z') ||
           (byte >= 'A' && byte <= 'Z');
}

static bool is_blank(char byte)
{
    return byte == ' ' || byte == '\t' || byte == '\r' || byte == '\n';
}

static size_t word_size(struct slice text, size_t at)
{
    size_t end = at + 1;
    if (is_blank(text.data[at]))
        while (end < text.size && is_blank(text.data[end]))
            end++;
    else if (is_word_byte((unsigned char)text.data[at]))
        while (end < text.size && is_word_byte((unsigned char)text.data[end]))
            end++;
    return end - at;
}

/* Without the line's end. */
static struct slice line_body(const struct diff_line *line)
{
    struct slice text = line->text;
    while (text.size && (text.data[text.size - 1] == '\n' || text.data[text.size - 1] == '\r'))
        text.size--;
    return text;
}

static void split_words(struct slice text, struct words *out)
{
    out->n = 0;
    out->weight = 0;
    for (size_t at = 0; at < text.size;) {
        size_t size = out->n + 1 < WORDS_MOST ? word_size(text, at) : text.size - at;
        uint32_t hash = 2166136261u; /* FNV-1a */
        for (size_t i = 0; i < size; i++)
            hash = (hash ^ (unsigned char)text.data[at + i]) * 16777619u;
        out->at[out->n++] = (struct word){(uint32_t)at, (uint32_t)size, hash};
        if (!is_blank(text.data[at]))
            out->weight += (uint32_t)size;
        at += size;
    }
}

static bool same_word(struct slice a, const struct word *x, struct slice b, const struct word *y)
{
    return x->hash == y->hash && x->size == y->size && memcmp(a.data + x->begin, b.data + y->begin, x->size) == 0;
}

/* ---- partners ---- */

static int by_hash(const void *a, const void *b)
{
    const struct word *x = a, *y = b;
    return x->hash < y->hash ? -1 : x->hash > y->hash;
}

/* Splits a line and sorts its words, those that are not blank, for alikeness. */
static void sort_words(const struct diff_line *line, struct words *out)
{
    struct slice text = line_body(line);
    if (text.size > DIFF_WORDS_LONGEST)
        text.size = 0;
    split_words(text, out);
    size_t n = 0;
    for (size_t i = 0; i < out->n; i++)
        if (!is_blank(text.data[out->at[i].begin]))
            out->at[n++] = out->at[i];
    out->n = n;
    qsort(out->at, n, sizeof *out->at, by_hash);
}

/* Thousandths of two lines' bytes that stand in words that both have. */
static uint16_t alikeness(const struct words *a, const struct words *b)
{
    uint64_t both = 0, all = (uint64_t)a->weight + b->weight;
    for (size_t i = 0, j = 0; i < a->n && j < b->n;) {
        if (a->at[i].hash == b->at[j].hash) {
            both += a->at[i].size;
            i++;
            j++;
        } else if (a->at[i].hash < b->at[j].hash) {
            i++;
        } else {
            j++;
        }
    }
    return all ? (uint16_t)(2000 * both / all > 1000 ? 1000 : 2000 * both / all) : 0;
}

static void make_partners(struct diff_words *out, uint32_t deleted, uint32_t added)
{
    out->partner[deleted] = (int32_t)added;
    out->partner[added] = (int32_t)deleted;
}

static void pair_in_order(const struct diff_line *lines, const struct change *change, struct scratch *scratch,
                          struct diff_words *out)
{
    for (uint32_t i = 0; i < change->n_deleted && i < change->n_added; i++) {
        sort_words(&lines[change->first_deleted + i], &scratch->deleted[0]);
        sort_words(&lines[change->first_added + i], &scratch->added[0]);
        if (alikeness(&scratch->deleted[0], &scratch->added[0]) >= ALIKE)
            make_partners(out, change->first_deleted + i, change->first_added + i);
    }
}

/* The pairs in order whose alikeness is most in sum: table[i][j] is the best of the lines from i and j on. */
static void pair_best(const struct diff_line *lines, const struct change *change, struct scratch *scratch,
                      struct diff_words *out)
{
    uint32_t n = change->n_deleted, m = change->n_added;
    for (uint32_t j = 0; j < m; j++)
        sort_words(&lines[change->first_added + j], &scratch->added[j]);
    for (uint32_t i = 0; i < n; i++) {
        sort_words(&lines[change->first_deleted + i], &scratch->deleted[0]);
        for (uint32_t j = 0; j < m; j++)
            scratch->alike[i * m + j] = alikeness(&scratch->deleted[0], &scratch->added[j]);
    }
    uint16_t *table = scratch->table; /* at most min(n, m) * 1000 <= 64,000 */
    memset(table, 0, (size_t)(n + 1) * (m + 1) * sizeof *table);
    for (uint32_t i = n; i-- > 0;)
        for (uint32_t j = m; j-- > 0;) {
            uint16_t best = table[(i + 1) * (m + 1) + j], other = table[i * (m + 1) + j + 1];
            uint16_t alike = scratch->alike[i * m + j];
            uint16_t paired = alike >= ALIKE ? (uint16_t)(table[(i + 1) * (m + 1) + j + 1] + alike) : 0;
            best = other > best ? other : best;
            table[i * (m + 1) + j] = paired > best ? paired : best;
        }
    for (uint32_t i = 0, j = 0; i < n && j < m;) {
        uint16_t here = table[i * (m + 1) + j], alike = scratch->alike[i * m + j];
        if (alike >= ALIKE && here == table[(i + 1) * (m + 1) + j + 1] + alike) {
            make_partners(out, change->first_deleted + i++, change->first_added + j++);
        } else if (here == table[(i + 1) * (m + 1) + j]) {
            i++;
        } else {
            j++;
        }
    }
}

/* ---- words ---- */

static bool add_span(struct diff_words *out, uint32_t line, uint32_t begin, uint32_t end)
{
    struct diff_word *last = out->n ? &out->at[out->n - 1] : NULL;
    if (last && last->line == line && last->end == begin) {
        last->end = end;
        return true;
    }
    if (out->n == out->capacity) {
        size_t wanted = out->capacity ? 2 * out->capacity : 32;
        struct diff_word *at = realloc(out->at, wanted * sizeof *at);
        if (!at)
            return false;
        out->at = at;
        out->capacity = wanted;
    }
    out->at[out->n++] = (struct diff_word){line, begin, end};
    return true;
}

/* A mark for each word between first and end of both lines: 1 where the other line has it, too. */
static void mark_common(struct slice a, const struct words *x, size_t x_end, struct slice b, const struct words *y,
                        size_t y_end, size_t first, uint16_t *table, uint8_t *in_x, uint8_t *in_y)
{
    size_t n = x_end - first, m = y_end - first;
    if (n * m > TABLE_MOST)
        return; /* all between is different */
    memset(table, 0, (n + 1) * (m + 1) * sizeof *table);
    for (size_t i = n; i-- > 0;)
        for (size_t j = m; j-- > 0;) {
            uint16_t down = table[(i + 1) * (m + 1) + j], right = table[i * (m + 1) + j + 1];
            table[i * (m + 1) + j] = same_word(a, &x->at[first + i], b, &y->at[first + j])
                                         ? (uint16_t)(table[(i + 1) * (m + 1) + j + 1] + 1)
                                     : down > right ? down
                                                    : right;
        }
    for (size_t i = 0, j = 0; i < n && j < m;) {
        if (same_word(a, &x->at[first + i], b, &y->at[first + j])) {
            in_x[first + i++] = 1;
            in_y[first + j++] = 1;
        } else if (table[(i + 1) * (m + 1) + j] >= table[i * (m + 1) + j + 1]) {
            i++;
        } else {
            j++;
        }
    }
}

static bool add_differences(struct diff_words *out, uint32_t line, const struct words *words, size_t first, size_t end,
                            const uint8_t *is_common)
{
    for (size_t i = first; i < end; i++)
        if (!is_common[i] && !add_span(out, line, words->at[i].begin, words->at[i].begin + words->at[i].size))
            return false;
    return true;
}

/* What differs between partners, of the one asked for. */
static bool compare_partners(const struct diff_line *lines, uint32_t line, uint32_t other, struct scratch *scratch,
                             struct diff_words *out)
{
    struct slice a = line_body(&lines[line]), b = line_body(&lines[other]);
    struct words *x = &scratch->deleted[0], *y = &scratch->added[0];
    uint8_t in_x[WORDS_MOST] = {0}, in_y[WORDS_MOST] = {0};
    split_words(a, x);
    split_words(b, y);
    size_t first = 0, x_end = x->n, y_end = y->n;
    while (first < x_end && first < y_end && same_word(a, &x->at[first], b, &y->at[first]))
        first++;
    while (x_end > first && y_end > first && same_word(a, &x->at[x_end - 1], b, &y->at[y_end - 1])) {
        x_end--;
        y_end--;
    }
    mark_common(a, x, x_end, b, y, y_end, first, scratch->table, in_x, in_y);
    return add_differences(out, line, x, first, x_end, in_x);
}

/* ---- a hunk ---- */

static void pair_changes(const struct diff_line *lines, uint32_t n_lines, struct scratch *scratch,
                         struct diff_words *out)
{
    for (uint32_t at = 0; at < n_lines;) {
        struct change change = {.first_deleted = at};
        while (at < n_lines && lines[at].kind == DIFF_DELETE)
            at++;
        change.n_deleted = at - change.first_deleted;
        change.first_added = at;
        while (at < n_lines && lines[at].kind == DIFF_ADD)
            at++;
        change.n_added = at - change.first_added;
        if (!change.n_deleted || !change.n_added)
            at += change.n_deleted + change.n_added == 0;
        else if ((uint64_t)change.n_deleted * change.n_added <= ALIGN_MOST && change.n_deleted <= 64 &&
                 change.n_added <= 64)
            pair_best(lines, &change, scratch, out);
        else
            pair_in_order(lines, &change, scratch, out);
    }
}

enum status diff_words_of_hunk(const struct diff *diff, size_t hunk, struct diff_words *out, struct error *error)
{
    const struct diff_hunk *at = &diff->hunks[hunk];
    const struct diff_line *lines = diff->lines + at->first_line;
    struct scratch scratch = {
        .deleted = malloc(sizeof *scratch.deleted),
        .added = malloc(64 * sizeof *scratch.added),
        .table = malloc((TABLE_MOST + 2 * WORDS_MOST + 1) * sizeof *scratch.table),
        .alike = malloc(ALIGN_MOST * sizeof *scratch.alike),
    };
    *out = (struct diff_words){.n_lines = at->n_lines, .partner = malloc((at->n_lines + 1) * sizeof *out->partner)};
    bool is_fine = scratch.deleted && scratch.added && scratch.table && scratch.alike && out->partner;
    for (uint32_t i = 0; is_fine && i < at->n_lines; i++)
        out->partner[i] = DIFF_NO_PARTNER;
    if (is_fine)
        pair_changes(lines, at->n_lines, &scratch, out);
    for (uint32_t i = 0; is_fine && i < at->n_lines; i++)
        if (out->partner[i] != DIFF_NO_PARTNER)
            is_fine = compare_partners(lines, i, (uint32_t)out->partner[i], &scratch, out);
    free(scratch.deleted);
    free(scratch.added);
    free(scratch.table);
    free(scratch.alike);
    if (is_fine)
        return STATUS_OK;
    diff_words_deinit(out);
    return error_set(error, STATUS_MEMORY, "out of memory");
}

void diff_words_deinit(struct diff_words *words)
{
    free(words->partner);
    free(words->at);
    *words = (struct diff_words){0};
}
