/* gather_similar: code that shares words with the lines around the cursor: what the search finds elsewhere, and the other
 * chunks of the text itself, ranked by the same measure: the part of the words that stands in at most 24 lines, where a word
 * counts the less the more of what was found holds it. */
#include <stdlib.h>
#include <string.h>

#include "app/gather_private.h"
#include "repo/search.h"

enum {
    QUERY_WORDS = 24,
    HITS_MOST = 24,
    OWN_CHUNKS_MOST = 200,
    LINES_MOST = 24,
    PIECES_MOST = 8,
};

struct similar {
    const char *path;
    size_t path_size;
    uint32_t line, end_line;
    struct slice text;
    double score;
};

struct similars {
    struct similar items[HITS_MOST + OWN_CHUNKS_MOST];
    size_t n;
};

/* The words nearest to the cursor. */
static struct gather_words query_words(const struct gathering *gathering)
{
    struct gather_words words = gathering->words;
    if (words.n > QUERY_WORDS)
        words.n = QUERY_WORDS;
    return words;
}

static enum status search(struct gathering *gathering, const struct gather_words *words, struct search_results *out)
{
    const struct project *project = gathering->gatherer->project;
    struct index_place near = {gathering->request->path, 0};
    struct buffer query = {0};
    for (size_t i = 0; i < words->n; i++) {
        buffer_append_text(&query, i ? " " : "");
        buffer_append(&query, words->items[i].text.data, words->items[i].text.size);
    }
    struct search_options options = {
        .query = buffer_text(&query), .near = &near, .max = HITS_MOST, .cancel = gathering->request->cancel};
    enum status status = buffer_status(&query, gathering->error);
    if (status == STATUS_OK)
        status = search_run(project->index, project->repo, &options, out, gathering->error);
    buffer_deinit(&query);
    return status;
}

static void take_hits(struct gathering *gathering, const struct search_results *results, struct similars *chunks)
{
    for (size_t i = 0; i < results->n && chunks->n < HITS_MOST; i++) {
        const struct search_hit *hit = &results->hits[i];
        if (!hit->text_size || gather_is_current(gathering, hit->path, hit->path_size))
            continue;
        chunks->items[chunks->n++] =
            (struct similar){hit->path, hit->path_size, hit->line, hit->end_line, {hit->text, hit->text_size}, 0};
    }
}

/* The text's own chunks, but those that are looked at already. */
static void take_own(struct gathering *gathering, struct similars *chunks)
{
    const struct gather_request *request = gathering->request;
    const struct syntax_result *syntax = &gathering->syntax;
    for (size_t i = 0; i < syntax->n_chunks && chunks->n < sizeof chunks->items / sizeof *chunks->items; i++) {
        const struct span span = syntax->chunks[i].text;
        if (span.end > gathering->area_begin && span.begin < gathering->area_end)
            continue;
        chunks->items[chunks->n++] = (struct similar){request->path,
                                                      strlen(request->path),
                                                      syntax->chunks[i].line,
                                                      syntax->chunks[i].end_line,
                                                      {request->text.data + span.begin, span.end - span.begin},
                                                      0};
    }
}

static bool holds_word(struct slice text, struct slice word)
{
    for (const char *at = text.data, *end = text.data + text.size;
         (at = memmem(at, (size_t)(end - at), word.data, word.size)); at++)
        if ((at == text.data || !gather_is_word_byte(at[-1])) &&
            (at + word.size == end || !gather_is_word_byte(at[word.size])))
            return true;
    return false;
}

static int by_score(const void *left, const void *right)
{
    const struct similar *a = left, *b = right;
    if (a->score != b->score)
        return a->score > b->score ? -1 : 1;
    int order = strncmp(a->path, b->path, a->path_size < b->path_size ? a->path_size : b->path_size);
    return order ? order : (a->line > b->line) - (a->line < b->line);
}

/* Weighs the words by how rare they are, and finds each chunk's best lines. */
static void score(const struct gather_words *words, struct similars *chunks)
{
    double weights[GATHER_WORDS_MOST];
    for (size_t i = 0; i < words->n; i++) {
        size_t n = 0;
        for (size_t k = 0; k < chunks->n; k++)
            n += holds_word(chunks->items[k].text, words->items[i].text);
        weights[i] = (0.3 + words->items[i].weight) / (1 + (double)n / 4);
    }
    for (size_t k = 0; k < chunks->n; k++) {
        struct similar *chunk = &chunks->items[k];
        uint32_t line = chunk->line, end_line = chunk->end_line, first = chunk->line;
        chunk->score = gather_best_lines(words, weights, chunk->text, LINES_MOST, &line, &end_line);
        if (chunk->score > 0) {
            chunk->text = gather_slice_lines(chunk->text, line - first + 1, end_line - first + 1);
            chunk->line = line;
            chunk->end_line = end_line;
        }
    }
    qsort(chunks->items, chunks->n, sizeof *chunks->items, by_score);
}

/* Names two of the words that stand in it, the nearest to the cursor first. */
static const char *reason(struct gathering *gathering, const struct gather_words *words, const struct similar *chunk)
{
    struct slice shared[2] = {{"", 0}, {"", 0}};
    size_t n = 0;
    for (size_t i = 0; i < words->n; i++)
        if (holds_word(chunk->text, words->items[i].text)) {
            if (n < 2)
                shared[n] = words->items[i].text;
            n++;
        }
    int size[2] = {(int)(shared[0].size < 40 ? shared[0].size : 40), (int)(shared[1].size < 40 ? shared[1].size : 40)};
    if (n > 2)
        return gather_printf(gathering, "similar: shares `%.*s`, `%.*s` and %zu more words", size[0], shared[0].data,
                             size[1], shared[1].data, n - 2);
    if (n == 2)
        return gather_printf(gathering, "similar: shares `%.*s` and `%.*s`", size[0], shared[0].data, size[1],
                             shared[1].data);
    return gather_printf(gathering, "similar: shares `%.*s`", size[0], shared[0].data);
}

enum status gather_similar(struct gathering *gathering)
{
    const double score_least = 0.15;
    struct gather_words words = query_words(gathering);
    struct search_results results = {0};
    struct similars *chunks = calloc(1, sizeof *chunks);
    enum status status = STATUS_OK;
    if (!chunks)
        return error_set(gathering->error, STATUS_MEMORY, "out of memory");
    if (words.n)
        status = search(gathering, &words, &results);
    if (status == STATUS_OK && words.n) {
        take_hits(gathering, &results, chunks);
        take_own(gathering, chunks);
        score(&words, chunks);
    }
    for (size_t i = 0; status == STATUS_OK && i < chunks->n && i < PIECES_MOST; i++) {
        const struct similar *chunk = &chunks->items[i];
        if (chunk->score < score_least)
            break;
        struct fim_piece piece = {.path = {chunk->path, chunk->path_size},
                                  .line = chunk->line,
                                  .end_line = chunk->end_line,
                                  .text = chunk->text,
                                  .why = reason(gathering, &words, chunk),
                                  .source = "similar",
                                  .worth = chunk->score * 1.5};
        status = gather_add(gathering, &piece);
    }
    search_results_deinit(&results);
    free(chunks);
    return status;
}
