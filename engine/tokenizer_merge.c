/* tokenizer_merge: see tokenizer_merge.h. */
#include "engine/tokenizer_merge.h"

#include <stdlib.h>
#include <string.h>

/* ---- the pairs of byte-level BPE ---- */

struct merge_slot {
    int32_t left, right;
    uint32_t rank;
    int32_t result; /* plus one; 0: free */
};

struct merge_pair {
    int32_t left, right, result;
};

struct pair_list {
    struct merge_pair *pairs;
    size_t n, capacity;
};

static uint32_t pair_hash(int32_t left, int32_t right)
{
    uint64_t key = (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
    key *= UINT64_C(0x9e3779b97f4a7c15);
    key ^= key >> 32;
    key *= UINT64_C(0xff51afd7ed558ccd);
    return (uint32_t)(key >> 32);
}

/* The slot of the pair, or the free one where it would go.  Adds to *probes how many were looked at. */
static struct merge_slot *pair_slot(const struct merges *merges, int32_t left, int32_t right, uint64_t *probes)
{
    for (uint32_t i = pair_hash(left, right) & merges->mask;; i = (i + 1) & merges->mask) {
        struct merge_slot *slot = &merges->slots[i];
        ++*probes;
        if (!slot->result || (slot->left == left && slot->right == right))
            return slot;
    }
}

static bool pair_append(struct pair_list *list, struct merge_pair pair)
{
    if (list->n == list->capacity) {
        size_t grown = list->capacity ? list->capacity * 2 : 1 << 16;
        struct merge_pair *moved = realloc(list->pairs, grown * sizeof *moved);
        if (!moved)
            return false;
        list->pairs = moved;
        list->capacity = grown;
    }
    list->pairs[list->n++] = pair;
    return true;
}

enum { MERGE_LINE_MAX = 1 << 18 };

static bool word_is(const struct lexicon *lexicon, int32_t id, const char *text, size_t size)
{
    if (id < 0 || id >= lexicon->n || lexicon->kinds[id] != TOKEN_NORMAL)
        return false;
    struct slice word = lexicon_text(lexicon, id);
    return word.size == size && memcmp(word.data, text, size) == 0;
}

/* Reads "left right" into *pair, which still holds the pair before, with text as scratch of MERGE_LINE_MAX bytes.  False,
 * with *pair as it was, where one of the three is no word.  Results mostly stay the same or follow one another in the
 * vocabulary, which saves looking them up. */
static bool pair_read(const struct lexicon *lexicon, struct slice line, char *text, struct merge_pair *pair)
{
    const char *space = line.size > 1 ? memchr(line.data + 1, ' ', line.size - 1) : NULL;
    if (!space || line.size > MERGE_LINE_MAX)
        return false;
    struct slice left = {line.data, (size_t)(space - line.data)};
    struct slice right = {space + 1, line.size - left.size - 1};
    size_t n_left, n_right;
    if (!byte_letters_decode(left, text, &n_left) || !byte_letters_decode(right, text + n_left, &n_right))
        return false;
    struct merge_pair found = {.left = lexicon_find_word(lexicon, text, n_left),
                               .right = lexicon_find_word(lexicon, text + n_left, n_right),
                               .result = pair->result};
    if (found.left < 0 || found.right < 0)
        return false;
    size_t size = n_left + n_right;
    if (!word_is(lexicon, found.result, text, size) && !word_is(lexicon, ++found.result, text, size))
        found.result = lexicon_find_word(lexicon, text, size);
    if (found.result < 0)
        return false;
    *pair = found;
    return true;
}

static enum status pairs_read(const struct gguf_value *lines, const struct lexicon *lexicon, struct pair_list *list,
                              struct error *error)
{
    char *text = malloc(MERGE_LINE_MAX);
    size_t position = 0;
    struct slice line;
    struct merge_pair pair = {.result = -1};
    while (text && gguf_array_next_text(lines, &position, &line)) {
        if (!pair_read(lexicon, line, text, &pair))
            continue;
        if (!pair_append(list, pair)) {
            free(text);
            text = NULL;
        }
    }
    enum status status =
        text ? STATUS_OK : error_set(error, STATUS_MEMORY, "not enough memory for the tokenizer's merges");
    free(text);
    return status;
}

static enum status pairs_insert(struct merges *merges, const struct pair_list *list, struct error *error)
{
    uint32_t slots = list->n <= INT32_MAX ? hash_slots_for(list->n) : 0;
    merges->slots = slots ? calloc(slots, sizeof *merges->slots) : NULL;
    if (!merges->slots)
        return error_set(error, STATUS_MEMORY, "not enough memory for the tokenizer's merges");
    merges->mask = slots - 1;
    uint64_t probes = 0;
    for (size_t i = 0; i < list->n; i++) {
        struct merge_pair pair = list->pairs[i];
        struct merge_slot *slot = pair_slot(merges, pair.left, pair.right, &probes);
        if (!slot->result) /* of a pair that is listed twice the first rank counts */
            *slot = (struct merge_slot){pair.left, pair.right, (uint32_t)i, pair.result + 1};
        if (probes > 64 * list->n + 4096)
            return error_set(error, STATUS_FORMAT, "tokenizer.ggml.merges: too many pairs of the same hash");
    }
    return STATUS_OK;
}

static enum status pairs_init(struct merges *merges, const struct gguf *gguf, const struct lexicon *lexicon,
                              struct error *error)
{
    const char *key = "tokenizer.ggml.merges";
    const struct gguf_value *lines = gguf_find_key(gguf, key);
    if (!lines)
        return error_set(error, STATUS_NOT_FOUND, "%s: the file has no merges", key);
    if (!lines->is_array || lines->type != GGUF_STRING)
        return error_set(error, STATUS_FORMAT, "%s: an array of strings was expected", key);
    struct pair_list list = {0};
    enum status status = pairs_read(lines, lexicon, &list, error);
    if (!status)
        status = pairs_insert(merges, &list, error);
    free(list.pairs);
    return status;
}

/* ---- the scores of SentencePiece ---- */

/* Orders floats, the greatest first; -0 is 0 and NaN comes last. */
static uint32_t score_rank(float score)
{
    if (score != score)
        return UINT32_MAX;
    score += 0.0f;
    uint32_t bits;
    memcpy(&bits, &score, sizeof bits);
    uint32_t rising = bits >> 31 ? ~bits : bits | UINT32_C(0x80000000);
    return ~rising;
}

static enum status scores_init(struct merges *merges, const struct gguf *gguf, const struct lexicon *lexicon,
                               struct error *error)
{
    const char *key = "tokenizer.ggml.scores";
    const struct gguf_value *scores = gguf_find_key(gguf, key);
    if (!scores)
        return error_set(error, STATUS_NOT_FOUND, "%s: the file has no scores", key);
    if (!scores->is_array)
        return error_set(error, STATUS_FORMAT, "%s: an array was expected", key);
    if (scores->n < (uint64_t)lexicon->n)
        return error_set(error, STATUS_FORMAT, "%s: %llu values for %d tokens", key, (unsigned long long)scores->n,
                         (int)lexicon->n);
    merges->ranks = malloc((size_t)lexicon->n * sizeof *merges->ranks);
    if (!merges->ranks)
        return error_set(error, STATUS_MEMORY, "not enough memory for the vocabulary's scores");
    for (int32_t id = 0; id < lexicon->n; id++) {
        float score;
        int64_t whole;
        if (!gguf_array_f32(scores, (uint64_t)id, &score)) {
            if (!gguf_array_i64(scores, (uint64_t)id, &whole))
                return error_set(error, STATUS_FORMAT, "%s: an array of numbers was expected", key);
            score = (float)whole;
        }
        merges->ranks[id] = score_rank(score);
        size_t size = lexicon_text(lexicon, id).size;
        if (size > merges->longest)
            merges->longest = size;
    }
    return STATUS_OK;
}

enum status merges_init(struct merges *merges, const struct gguf *gguf, const struct lexicon *lexicon,
                        struct error *error)
{
    return lexicon->byte_level ? pairs_init(merges, gguf, lexicon, error) : scores_init(merges, gguf, lexicon, error);
}

void merges_deinit(struct merges *merges)
{
    free(merges->slots);
    free(merges->ranks);
    *merges = (struct merges){0};
}

/* ---- merging ----
 *
 * Symbols lie at the byte they begin with: the one after symbol i is at i + size.  A symbol that was merged into its left
 * neighbour has size 0.  A candidate is out of date where one of its two symbols has another size than it had then: symbols
 * only grow, and only to the right. */

struct merge_symbol {
    int32_t id;    /* -1: no token stands for it */
    uint32_t size; /* bytes */
    uint32_t previous;
};

struct merge_candidate {
    uint32_t rank, left; /* what they are ordered by */
    uint32_t left_size, right_size;
    int32_t id;
};

static bool candidate_before(const struct merge_candidate *a, const struct merge_candidate *b)
{
    return a->rank != b->rank ? a->rank < b->rank : a->left < b->left;
}

static void heap_push(struct merge_scratch *scratch, struct merge_candidate candidate)
{
    struct merge_candidate *heap = scratch->heap;
    size_t at = scratch->heap_used++;
    while (at) {
        size_t parent = (at - 1) / 2;
        if (!candidate_before(&candidate, &heap[parent]))
            break;
        heap[at] = heap[parent];
        at = parent;
    }
    heap[at] = candidate;
}

static struct merge_candidate heap_pop(struct merge_scratch *scratch)
{
    struct merge_candidate *heap = scratch->heap, top = heap[0];
    size_t n = --scratch->heap_used, at = 0;
    struct merge_candidate last = heap[n];
    for (size_t child; (child = 2 * at + 1) < n; at = child) {
        if (child + 1 < n && candidate_before(&heap[child + 1], &heap[child]))
            child++;
        if (!candidate_before(&heap[child], &last))
            break;
        heap[at] = heap[child];
    }
    heap[at] = last;
    return top;
}

/* Each merge takes one candidate out and puts at most two in, so twice the symbols are enough. */
static bool scratch_reserve(struct merge_scratch *scratch, size_t size)
{
    scratch->heap_used = 0;
    if (size <= scratch->capacity)
        return true;
    size_t grown = size < 256 ? 256 : size;
    struct merge_symbol *symbols = realloc(scratch->symbols, grown * sizeof *symbols);
    if (symbols)
        scratch->symbols = symbols;
    struct merge_candidate *heap = realloc(scratch->heap, 2 * grown * sizeof *heap);
    if (heap)
        scratch->heap = heap;
    if (symbols && heap)
        scratch->capacity = grown;
    return symbols && heap;
}

void merge_scratch_deinit(struct merge_scratch *scratch)
{
    free(scratch->symbols);
    free(scratch->heap);
    *scratch = (struct merge_scratch){0};
}

struct merge_work {
    const struct merges *merges;
    const struct lexicon *lexicon;
    struct merge_scratch *scratch;
    const char *piece;
    size_t size;
};

/* Makes the symbol at left and the one after it a candidate where they may be merged. */
static void candidate_add(const struct merge_work *work, uint32_t left)
{
    const struct merge_symbol *a = &work->scratch->symbols[left];
    size_t right = (size_t)left + a->size;
    if (right >= work->size)
        return;
    const struct merge_symbol *b = &work->scratch->symbols[right];
    struct merge_candidate candidate = {.left = left, .left_size = a->size, .right_size = b->size};
    if (work->lexicon->byte_level) {
        uint64_t probes = 0;
        if (a->id < 0 || b->id < 0)
            return;
        const struct merge_slot *slot = pair_slot(work->merges, a->id, b->id, &probes);
        if (!slot->result)
            return;
        candidate.id = slot->result - 1;
        candidate.rank = slot->rank;
    } else {
        size_t size = (size_t)a->size + b->size;
        candidate.id = size <= work->merges->longest ? lexicon_find_word(work->lexicon, work->piece + left, size) : -1;
        if (candidate.id < 0)
            return;
        candidate.rank = work->merges->ranks[candidate.id];
    }
    heap_push(work->scratch, candidate);
}

static void symbols_fill(const struct merge_work *work)
{
    const struct lexicon *lexicon = work->lexicon;
    uint32_t previous = 0;
    for (size_t i = 0; i < work->size;) {
        struct merge_symbol *symbol = &work->scratch->symbols[i];
        *symbol = (struct merge_symbol){.size = 1, .previous = previous};
        if (lexicon->byte_level) {
            symbol->id = lexicon->bytes[(unsigned char)work->piece[i]];
        } else {
            uint32_t c;
            int n = utf8_decode(work->piece + i, work->size - i, &c);
            symbol->size = n > 0 ? (uint32_t)n : 1;
            symbol->id = lexicon_find_word(lexicon, work->piece + i, symbol->size);
        }
        previous = (uint32_t)i;
        i += symbol->size;
    }
}

static void symbols_merge(const struct merge_work *work)
{
    struct merge_symbol *symbols = work->scratch->symbols;
    for (size_t i = 0; i < work->size; i += symbols[i].size)
        candidate_add(work, (uint32_t)i);
    while (work->scratch->heap_used) {
        struct merge_candidate best = heap_pop(work->scratch);
        struct merge_symbol *left = &symbols[best.left], *right = left + best.left_size;
        if (left->size != best.left_size || right->size != best.right_size)
            continue;
        left->id = best.id;
        left->size += right->size;
        right->size = 0;
        size_t next = (size_t)best.left + left->size;
        if (next < work->size)
            symbols[next].previous = best.left;
        if (best.left)
            candidate_add(work, left->previous);
        candidate_add(work, best.left);
    }
}

/* What no word stands for: its bytes where the vocabulary has tokens for them all, else the unknown token. */
static void symbol_spell(const struct lexicon *lexicon, const char *text, size_t size, struct tokens *out)
{
    bool complete = true;
    for (size_t i = 0; i < size; i++)
        complete = complete && lexicon->bytes[(unsigned char)text[i]] >= 0;
    for (size_t i = 0; complete && i < size; i++)
        tokens_append(out, lexicon->bytes[(unsigned char)text[i]]);
    int32_t unknown = lexicon->special.unknown;
    if (!complete && unknown >= 0 && lexicon->kinds[unknown] == TOKEN_UNKNOWN)
        tokens_append(out, unknown);
}

enum status merges_encode(const struct merges *merges, const struct lexicon *lexicon, struct merge_scratch *scratch,
                          const char *piece, size_t size, struct tokens *out, struct error *error)
{
    if (size > INT32_MAX || size > SIZE_MAX / 64 || !scratch_reserve(scratch, size))
        return error_set(error, STATUS_MEMORY, "not enough memory to tokenize a piece of %zu bytes", size);
    const struct merge_work work = {merges, lexicon, scratch, piece, size};
    symbols_fill(&work);
    symbols_merge(&work);
    for (size_t i = 0; i < size; i += scratch->symbols[i].size) {
        if (scratch->symbols[i].id >= 0)
            tokens_append(out, scratch->symbols[i].id);
        else
            symbol_spell(lexicon, piece + i, scratch->symbols[i].size, out);
    }
    return STATUS_OK;
}
