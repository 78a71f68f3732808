/* search_text: chunks by BM25 over words and parts of identifiers (search.h).
 *
 * Robertson and Zaragoza, The Probabilistic Relevance Framework: BM25 and Beyond (2009), with k1 = 1.2 and b = 0.6 (chunks
 * are of like length).  Counts are kept as 1, 2, 3 and 4 or more.  A part of an identifier weighs half of a whole word, and
 * chunks that hold all words of the query come before those that hold one often.  A part that stands nearly everywhere is
 * left out where a rarer term finds enough: in a kernel, set and data of set_data_pages are most of the work and tell little. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "repo/search_private.h"

enum { MAX_TERMS = 64, TOP = 400, LONG = 20000, COMMON = 32 /* in one chunk of so many */ };

struct term {
    char key[80]; /* KEY_TERM and the word */
    size_t size;
    unsigned word; /* of the query, for which it stands */
    double weight;
    uint64_t n; /* chunks that hold it */
    bool is_left_out;
    float gain[POSTING_LOW_MAX + 1][256];
};

struct top_chunk {
    float score;
    uint32_t chunk;
};

/* Of a chunk; side by side, since what a long list costs is the way to memory. */
struct cell {
    float score;
    uint32_t words; /* bits of those that it holds */
};

struct ranking {
    struct search *search;
    struct term terms[MAX_TERMS];
    size_t n_terms;
    uint64_t n_chunks;
    float norms[256]; /* by length: k1 * (1 - b + b * length / mean) */
    struct top_chunk top[TOP];
    size_t n_top;
    struct cell *cells;
    uint32_t *touched; /* cells whose score isn't 0 */
    size_t capacity, n_touched, touched_capacity;
};

static void add_term(struct ranking *ranking, struct slice text, unsigned word, double weight)
{
    struct term *term = &ranking->terms[ranking->n_terms];
    if (ranking->n_terms == MAX_TERMS || text.size + 1 > sizeof term->key)
        return;
    term->size = text.size + 1;
    term->word = word;
    term->weight = weight;
    term->key[0] = KEY_TERM;
    facts_lower(term->key + 1, text.data, text.size);
    for (size_t i = 0; i < ranking->n_terms; i++)
        if (code_compare(ranking->terms[i].key, ranking->terms[i].size, term->key, term->size) == 0)
            return;
    ranking->n_terms++;
}

static void list_terms(struct ranking *ranking)
{
    const struct search_query *query = &ranking->search->query;
    for (size_t i = 0; i < query->n_words; i++)
        add_term(ranking, query->words[i], (unsigned)i, 1);
    for (size_t i = 0; i < query->n_words; i++) {
        struct slice parts[FACT_PARTS_MAX];
        size_t n = facts_split(query->words[i], parts);
        for (size_t k = 0; k < n; k++)
            add_term(ranking, parts[k], (unsigned)i, 0.5 / (double)n);
    }
}

/* ---- the best ones: a heap whose root is the least of them ---- */

/* Of two with one score the later one counts less, so that the choice doesn't hang on the order in which they come. */
static bool is_less(const struct top_chunk *one, const struct top_chunk *other)
{
    return one->score < other->score || (one->score == other->score && one->chunk > other->chunk);
}

static void sift(struct top_chunk *heap, size_t n, size_t at)
{
    for (;;) {
        size_t least = at;
        for (size_t child = 2 * at + 1; child <= 2 * at + 2 && child < n; child++)
            if (is_less(&heap[child], &heap[least]))
                least = child;
        if (least == at)
            return;
        struct top_chunk swap = heap[at];
        heap[at] = heap[least];
        heap[least] = swap;
        at = least;
    }
}

static void offer(struct ranking *ranking, float score, uint32_t chunk)
{
    struct top_chunk it = {score, chunk};
    if (ranking->n_top < TOP) {
        ranking->top[ranking->n_top++] = it;
        if (ranking->n_top == TOP)
            for (size_t i = TOP / 2; i; i--)
                sift(ranking->top, TOP, i - 1);
    } else if (is_less(&ranking->top[0], &it)) {
        ranking->top[0] = it;
        sift(ranking->top, TOP, 0);
    }
}

static int compare_top(const void *a, const void *b)
{
    return is_less(a, b) - is_less(b, a);
}

/* ---- scores ---- */

static enum status count(struct ranking *ranking, const struct segment *segments, size_t n, struct error *error)
{
    struct segment_store *store = ranking->search->index->segments;
    for (size_t i = 0; i < n; i++) {
        ranking->n_chunks += segments[i].end_chunk - segments[i].first_chunk;
        for (size_t t = 0; t < ranking->n_terms; t++) {
            struct posting_list list;
            enum status status =
                segment_find(store, &segments[i], ranking->terms[t].key, ranking->terms[t].size, 0, &list, error);
            if (status != STATUS_OK)
                return status;
            ranking->terms[t].n += list.n;
        }
    }
    return STATUS_OK;
}

static bool is_common(const struct ranking *ranking, const struct term *term)
{
    return term->weight < 1 && term->n > LONG && term->n > ranking->n_chunks / COMMON;
}

static void leave_out_common(struct ranking *ranking)
{
    bool is_enough = false;
    for (size_t i = 0; i < ranking->n_terms; i++)
        is_enough = is_enough || (ranking->terms[i].n >= TOP && !is_common(ranking, &ranking->terms[i]));
    for (size_t i = 0; i < ranking->n_terms; i++)
        ranking->terms[i].is_left_out = is_enough && is_common(ranking, &ranking->terms[i]);
}

/* The scores of a segment are an array over its chunks.  Which of them were touched is remembered, so that rare words cost
 * what they cost and not a pass over all. */
static bool touch(struct ranking *ranking, uint32_t at)
{
    if (ranking->cells[at].score > 0)
        return true;
    if (ranking->n_touched == ranking->touched_capacity) {
        size_t capacity = ranking->touched_capacity ? ranking->touched_capacity * 2 : 4096;
        uint32_t *moved = realloc(ranking->touched, capacity * sizeof *moved);
        if (!moved)
            return false;
        ranking->touched = moved;
        ranking->touched_capacity = capacity;
    }
    ranking->touched[ranking->n_touched++] = at;
    return true;
}

/* What a term adds to a chunk, by how often it stands there and by the chunk's length: looked up, since a division for
 * each posting would be a third of the work. */
static void weigh_term(const struct ranking *ranking, struct term *term)
{
    double n = (double)term->n, all = (double)ranking->n_chunks;
    float idf = (float)(term->weight * log(1 + (all - n + 0.5 > 0 ? all - n + 0.5 : 0.5) / (n + 0.5)));
    for (int low = 0; low <= POSTING_LOW_MAX; low++)
        for (int length = 0; length < 256; length++) {
            float times = (float)(low + 1);
            term->gain[low][length] = idf * times * 2.2f / (times + ranking->norms[length]);
        }
}

static bool add_scores(struct ranking *ranking, const struct term *term, const struct segment *segment,
                       struct posting_list *list, const uint8_t *lengths)
{
    uint32_t range = segment->end_chunk - segment->first_chunk, word = 1u << (term->word & 31);
    struct posting some[256];
    for (size_t n; (n = posting_take(list, some, 256)) > 0;)
        for (size_t i = 0; i < n; i++) {
            uint32_t at = some[i].document - segment->first_chunk;
            if (some[i].document < segment->first_chunk || at >= range)
                continue;
            if (!touch(ranking, at))
                return false;
            ranking->cells[at].score += term->gain[some[i].low][lengths[at]];
            ranking->cells[at].words |= word;
        }
    return true;
}

/* Room for a segment's scores, all zero: score_segment leaves them so. */
static bool make_room(struct ranking *ranking, uint32_t range)
{
    if (range <= ranking->capacity)
        return true;
    free(ranking->cells);
    ranking->cells = calloc(range, sizeof *ranking->cells);
    ranking->capacity = ranking->cells ? range : 0;
    return ranking->capacity != 0;
}

static enum status score_segment(struct ranking *ranking, const struct segment *segment, struct buffer *lengths,
                                 struct error *error)
{
    struct search *search = ranking->search;
    bool has_lengths = false;
    enum status status = STATUS_OK;
    ranking->n_touched = 0;
    for (size_t t = 0; status == STATUS_OK && t < ranking->n_terms; t++) {
        struct posting_list list;
        if (ranking->terms[t].is_left_out)
            continue;
        status = segment_find(search->index->segments, segment, ranking->terms[t].key, ranking->terms[t].size, 0, &list,
                              error);
        if (status != STATUS_OK || !list.n)
            continue;
        if (!has_lengths)
            status = segment_lengths(search->index->segments, segment, lengths, error);
        has_lengths = true;
        if (status == STATUS_OK &&
            (!make_room(ranking, segment->end_chunk - segment->first_chunk) ||
             !add_scores(ranking, &ranking->terms[t], segment, &list, (const uint8_t *)lengths->data)))
            status = error_set(error, STATUS_MEMORY, "out of memory");
    }
    float per_word = 0.7f / (float)search->query.n_words;
    for (size_t i = 0; i < ranking->n_touched; i++) {
        uint32_t at = ranking->touched[i], chunk = segment->first_chunk + at;
        struct cell cell = ranking->cells[at];
        float score = cell.score * (0.3f + per_word * (float)__builtin_popcount(cell.words));
        ranking->cells[at] = (struct cell){0};
        bool is_low = ranking->n_top == TOP && score < ranking->top[0].score;
        if (!is_low && (!search->chunks || (chunk < search->n_chunks && search->chunks[chunk])))
            offer(ranking, score, chunk);
    }
    return status;
}

static enum status score_all(struct ranking *ranking, struct error *error)
{
    const struct segment *segments;
    size_t n;
    struct buffer lengths = {0};
    enum status status = segment_list(ranking->search->index->segments, &segments, &n, error);
    if (status == STATUS_OK)
        status = count(ranking, segments, n, error);
    uint64_t sum = 0;
    for (size_t i = 0; status == STATUS_OK && i < n; i++)
        sum += segments[i].n_words;
    double mean = (double)sum / (double)(ranking->n_chunks ? ranking->n_chunks : 1) + 1;
    for (int i = 0; i < 256; i++)
        ranking->norms[i] = (float)(1.2 * (1 - 0.6 + 0.6 * (i + 1) / mean));
    leave_out_common(ranking);
    for (size_t i = 0; i < ranking->n_terms; i++)
        weigh_term(ranking, &ranking->terms[i]);
    for (size_t i = 0; status == STATUS_OK && i < n && !search_is_cancelled(ranking->search); i++)
        status = score_segment(ranking, &segments[i], &lengths, error);
    buffer_deinit(&lengths);
    return status;
}

/* ---- from chunks to places ---- */

/* Where kinds are asked for, a chunk stands for the definition that it is or lies in. */
static enum status take_scope(struct search *search, int32_t scope, struct candidate *it, struct buffer *blob,
                              struct error *error)
{
    const struct search_query *query = &search->query;
    if (!query->kinds)
        return STATUS_OK;
    enum status status =
        scope >= 0 ? search_copy_blob(search->index, INDEX_DEFINITIONS, it->content, blob, error) : STATUS_OK;
    struct fact_definitions list = {0};
    if (scope >= 0)
        list.reader = code_reader_make(blob->data, blob->size);
    while (status == STATUS_OK && facts_next_definition(&list)) {
        if (list.now.ordinal != (uint32_t)scope)
            continue;
        if (!(query->kinds >> list.now.kind & 1))
            break;
        it->kind = (int)list.now.kind;
        it->ordinal = list.now.ordinal;
        it->line = list.now.line;
        it->end_line = list.now.end_line;
        it->name = arena_copy_text(search->arena, list.now.name.bytes, list.now.name.size);
        return it->name ? STATUS_OK : error_set(error, STATUS_MEMORY, "out of memory");
    }
    if (!query->wants_text)
        it->path = NULL;
    return status;
}

static enum status place(struct search *search, const struct top_chunk *top, struct candidate *it, struct buffer *blob,
                         struct error *error)
{
    sqlite3_stmt *row = index_statement(search->index, INDEX_CONTENT_AT, error);
    if (!row)
        return index_failed(search->index, error);
    sqlite3_bind_int64(row, 1, top->chunk);
    int code = sqlite3_step(row);
    int64_t content = 0, first = 0, n = 0;
    if (code == SQLITE_ROW) {
        content = sqlite3_column_int64(row, 0);
        first = sqlite3_column_int64(row, 1);
        n = sqlite3_column_int64(row, 2);
    }
    sqlite3_reset(row);
    if (code != SQLITE_ROW && code != SQLITE_DONE)
        return index_failed(search->index, error);
    if (content <= 0 || content >= UINT32_MAX || top->chunk < first || top->chunk - first >= n)
        return STATUS_OK; /* collected */
    it->content = (uint32_t)content;
    it->kind = -1;
    it->name = "";
    it->quality = top->score;
    enum status status = search_find_path(search, it, error);
    if (status == STATUS_OK && it->path)
        status = search_copy_blob(search->index, INDEX_CHUNKS, it->content, blob, error);
    struct code_reader reader = code_reader_make(blob->data, blob->size);
    struct fact_chunk chunk = {0};
    for (int64_t i = 0; status == STATUS_OK && it->path && i <= top->chunk - first; i++)
        if (!facts_next_chunk(&reader, &chunk))
            it->path = NULL;
    it->line = chunk.line;
    it->end_line = chunk.end_line;
    return status == STATUS_OK && it->path ? take_scope(search, chunk.scope, it, blob, error) : status;
}

enum status search_text(struct search *search, struct candidates *out, struct error *error)
{
    if (!search->query.n_words)
        return STATUS_OK;
    struct ranking *ranking = calloc(1, sizeof *ranking);
    struct buffer blob = {0};
    if (!ranking)
        return error_set(error, STATUS_MEMORY, "out of memory");
    ranking->search = search;
    list_terms(ranking);
    enum status status = score_all(ranking, error);
    for (size_t i = 0; search_has_lift(search) && i < ranking->n_top; i++)
        ranking->top[i].score *= (float)(1 + search_lift_chunk(search, ranking->top[i].chunk));
    qsort(ranking->top, ranking->n_top, sizeof *ranking->top, compare_top);
    size_t n_found = 0;
    for (size_t i = 0; status == STATUS_OK && i < ranking->n_top && n_found < search_depth(search); i++) {
        struct candidate it = {0};
        status = place(search, &ranking->top[i], &it, &blob, error);
        if (status != STATUS_OK || !it.path)
            continue;
        struct candidate *added = candidates_add(out);
        if (!added)
            status = error_set(error, STATUS_MEMORY, "out of memory");
        else
            *added = it;
        n_found++;
    }
    buffer_deinit(&blob);
    free(ranking->cells);
    free(ranking->touched);
    free(ranking);
    return status;
}
