/* draft: see draft.h.
 *
 *   text     reference │ NONE │ reference │ NONE │ the sequence
 *
 * A gram is GRAM tokens in a row; it is known by the place of its last token.  latest[hash] is the last place of a gram with that
 * hash, previous[place] the one before it, and so on: places only fall along a chain.  Of the first few places of a chain the one
 * wins before which most tokens are those that the sequence ends with, the latest among equals.  So a wrong hash shows at
 * once, and the longest agreement is known with it.
 *
 * A guess that was right goes on with the next token of its place.  After one that was wrong and where no gram is found, the place
 * goes on all the same, one token later: an edit often puts one token in place of another.
 *
 * How often guesses are right is counted by level: how many tokens agreed before, and whether that was since a wrong one. */
#include "engine/draft.h"

#include <stdlib.h>
#include <string.h>

#include "engine/draft_cost.h"

enum {
    NONE = -1,
    GRAM = 3,
    CHAIN = 32,      /* places of a chain that are looked at */
    AGREE_MOST = 48, /* tokens compared at a place */
    RESUME_FROM = 6, /* tokens that agreed before a wrong guess */
    WRONG_MOST = 2,  /* wrong guesses after which a place is given up */
    RECENT = 32,     /* tokens that tell whether the sequence is that of before */
    N_LEVELS = GRAM + 7,
};

struct guess {
    size_t at; /* the place in text whose token is guessed */
    int32_t n_agreed;
    int32_t n_wrong;           /* guesses in a row of places, not counting look-ups */
    bool is_there, is_resumed; /* resumed: n_agreed counts since a wrong guess, and is below GRAM */
};

struct level {
    double n_right, n; /* those long ago count less */
};

struct draft {
    int32_t *text;
    int32_t *previous;
    uint32_t *hash;            /* of the gram that ends at a place; NO_GRAM: none was put into the index */
    size_t n, capacity, begin; /* the sequence is text[begin, n) */
    int32_t *latest;
    uint32_t hash_bits;
    size_t n_most; /* tokens of the sequence */
    struct guess guess;
    struct level levels[N_LEVELS];
    struct draft_cost cost;
    struct draft_counts counts;
};

static const uint32_t NO_GRAM = UINT32_MAX;

/* ---- how often guesses are right ---- */

/* What to expect before anything was counted, as if seen PRIOR_WEIGHT times. */
static const double prior[N_LEVELS] = {0.5, 0.6, 0.7, 0.55, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95};
static const double PRIOR_WEIGHT = 4;
static const double MEMORY = 0.97; /* what each count leaves of those before: about the last thirty matter */

static int32_t level_of(const struct guess *guess, int32_t n_ahead)
{
    static const int32_t from[N_LEVELS] = {0, 1, 2, GRAM, 4, 5, 7, 10, 16, 32};
    int32_t n = guess->n_agreed + n_ahead, level = guess->is_resumed ? 0 : GRAM;
    while (level + 1 < N_LEVELS && n >= from[level + 1])
        level++;
    return level;
}

static void count_guess(struct draft *draft, bool is_right)
{
    struct level *level = &draft->levels[level_of(&draft->guess, 0)];
    level->n_right = level->n_right * MEMORY + is_right;
    level->n = level->n * MEMORY + 1;
}

static double probability(const struct draft *draft, int32_t n_ahead)
{
    int32_t at = level_of(&draft->guess, n_ahead);
    const struct level *level = &draft->levels[at];
    return (level->n_right + prior[at] * PRIOR_WEIGHT) / (level->n + PRIOR_WEIGHT);
}

/* ---- the index ---- */

static uint32_t hash_of(const struct draft *draft, const int32_t *gram)
{
    uint64_t hash = 0;
    for (int i = 0; i < GRAM; i++)
        hash = (hash ^ (uint32_t)gram[i]) * 0x9e3779b97f4a7c15u; /* 2^64 over the golden ratio (Knuth, 6.4) */
    return (uint32_t)(hash >> (64 - draft->hash_bits));
}

/* Whether text[at - GRAM + 1 .. at] are tokens of one text. */
static bool has_gram(const struct draft *draft, size_t at)
{
    if (at + 1 < GRAM)
        return false;
    for (size_t i = 0; i < GRAM; i++)
        if (draft->text[at - i] == NONE)
            return false;
    return true;
}

static void index_put(struct draft *draft, size_t at)
{
    draft->hash[at] = NO_GRAM;
    if (!has_gram(draft, at))
        return;
    uint32_t hash = hash_of(draft, draft->text + at + 1 - GRAM);
    draft->hash[at] = hash;
    draft->previous[at] = draft->latest[hash];
    draft->latest[hash] = (int32_t)at;
}

/* Puts off what was put last. */
static void index_take_back(struct draft *draft, size_t at)
{
    if (draft->hash[at] != NO_GRAM)
        draft->latest[draft->hash[at]] = draft->previous[at];
}

static int32_t agreement(const struct draft *draft, size_t at)
{
    int32_t n = 0;
    size_t end = draft->n - 1;
    while (n < AGREE_MOST && (size_t)n <= at && draft->text[at - (size_t)n] != NONE &&
           draft->text[at - (size_t)n] == draft->text[end - (size_t)n])
        n++;
    return n;
}

/* The best place for the end of the text, whose own gram is not in the index yet. */
static struct guess look_up(const struct draft *draft)
{
    struct guess best = {0};
    if (draft->n == draft->begin || !has_gram(draft, draft->n - 1))
        return best;
    int32_t at = draft->latest[hash_of(draft, draft->text + draft->n - GRAM)];
    for (int i = 0; i < CHAIN && at != NONE; i++, at = draft->previous[at]) {
        int32_t n = agreement(draft, (size_t)at);
        if (n >= GRAM && n > best.n_agreed && draft->text[at + 1] != NONE)
            best = (struct guess){.at = (size_t)at + 1, .n_agreed = n, .is_there = true};
    }
    return best;
}

/* ---- memory ---- */

enum status draft_new(size_t n_tokens, bool is_sparse, struct draft **out, struct error *error)
{
    enum { LEAST_BITS = 8, MOST_BITS = 20 };
    struct draft *draft = calloc(1, sizeof *draft);
    if (!draft || n_tokens > INT32_MAX / 2) {
        free(draft);
        return error_set(error, STATUS_MEMORY, "drafts: out of memory");
    }
    draft->n_most = draft->capacity = n_tokens;
    draft->hash_bits = LEAST_BITS;
    while (draft->hash_bits < MOST_BITS && (size_t)1 << draft->hash_bits < 2 * n_tokens)
        draft->hash_bits++;
    size_t n_hashes = (size_t)1 << draft->hash_bits;
    draft->text = calloc(n_tokens + 1, sizeof *draft->text);
    draft->previous = calloc(n_tokens + 1, sizeof *draft->previous);
    draft->hash = calloc(n_tokens + 1, sizeof *draft->hash);
    draft->latest = calloc(n_hashes, sizeof *draft->latest);
    if (!draft->text || !draft->previous || !draft->hash || !draft->latest) {
        draft_free(draft);
        return error_set(error, STATUS_MEMORY, "drafts: out of memory");
    }
    for (size_t i = 0; i < n_hashes; i++)
        draft->latest[i] = NONE;
    draft_cost_init(&draft->cost, is_sparse);
    *out = draft;
    return STATUS_OK;
}

void draft_free(struct draft *draft)
{
    if (!draft)
        return;
    free(draft->text);
    free(draft->previous);
    free(draft->hash);
    free(draft->latest);
    free(draft);
}

static bool grow(void **memory, size_t n, size_t width)
{
    void *more = realloc(*memory, n * width);
    if (more)
        *memory = more;
    return more != NULL;
}

static bool reserve(struct draft *draft, size_t n)
{
    if (n <= draft->capacity)
        return true;
    void *text = draft->text, *previous = draft->previous, *hash = draft->hash;
    bool is_done = grow(&text, n + 1, sizeof *draft->text) && grow(&previous, n + 1, sizeof *draft->previous) &&
                   grow(&hash, n + 1, sizeof *draft->hash);
    draft->text = text;
    draft->previous = previous;
    draft->hash = hash;
    if (is_done)
        draft->capacity = n;
    return is_done;
}

/* ---- references ---- */

/* Takes all places from `from` on out of the index; the text stays. */
static void take_back_from(struct draft *draft, size_t from)
{
    for (size_t at = draft->n; at > from; at--)
        index_take_back(draft, at - 1);
}

static void put_from(struct draft *draft, size_t from)
{
    for (size_t at = from; at < draft->n; at++)
        index_put(draft, at);
}

enum status draft_refer(struct draft *draft, const int32_t *ids, size_t n, struct error *error)
{
    size_t left = DRAFT_REFERENCES - draft->begin, n_sequence = draft->n - draft->begin;
    if (left < GRAM + 1)
        return STATUS_OK;
    n = n < left - 1 ? n : left - 1;
    if (!reserve(draft, draft->begin + n + 1 + draft->n_most))
        return error_set(error, STATUS_MEMORY, "drafts: out of memory");
    take_back_from(draft, draft->begin);
    memmove(draft->text + draft->begin + n + 1, draft->text + draft->begin, n_sequence * sizeof *draft->text);
    memcpy(draft->text + draft->begin, ids, n * sizeof *ids);
    draft->text[draft->begin + n] = NONE;
    size_t from = draft->begin;
    draft->begin += n + 1;
    draft->n += n + 1;
    put_from(draft, from);
    draft->guess.is_there = false;
    return STATUS_OK;
}

void draft_forget(struct draft *draft)
{
    take_back_from(draft, 0);
    draft->n -= draft->begin;
    memmove(draft->text, draft->text + draft->begin, draft->n * sizeof *draft->text);
    draft->begin = 0;
    put_from(draft, 0);
    draft->guess.is_there = false;
}

/* ---- the sequence ---- */

static bool is_same(const struct draft *draft, const int32_t *ids, size_t n)
{
    size_t recent = n < RECENT ? n : RECENT;
    return draft->n - draft->begin == n &&
           memcmp(draft->text + draft->n - recent, ids + n - recent, recent * sizeof *ids) == 0;
}

void draft_follow(struct draft *draft, const int32_t *ids, size_t n)
{
    n = n < draft->n_most ? n : draft->n_most;
    if (is_same(draft, ids, n))
        return;
    size_t kept = 0, n_before = draft->n - draft->begin;
    while (kept < n && kept < n_before && draft->text[draft->begin + kept] == ids[kept])
        kept++;
    /* The last token's gram comes after the look-up: it would find itself. */
    size_t from = draft->begin + (kept && kept == n ? kept - 1 : kept);
    take_back_from(draft, from);
    memcpy(draft->text + draft->begin + kept, ids + kept, (n - kept) * sizeof *ids);
    draft->n = draft->begin + n;
    for (size_t at = from; at + 1 < draft->n; at++)
        index_put(draft, at);
    draft->guess = look_up(draft);
    if (n)
        index_put(draft, draft->n - 1);
}

/* The same place one token later.  After a wrong guess that is worth a try where much agreed before it. */
static struct guess go_on(const struct guess *guess, bool is_right)
{
    struct guess next = *guess;
    next.at++;
    if (is_right) {
        next.n_agreed++;
        next.is_resumed = guess->is_resumed && next.n_agreed < GRAM;
        next.n_wrong = next.is_resumed ? guess->n_wrong : 0;
    } else {
        next.is_there = guess->is_resumed ? guess->n_wrong < WRONG_MOST : guess->n_agreed >= RESUME_FROM;
        next.is_resumed = true;
        next.n_agreed = 0;
        next.n_wrong++;
    }
    next.is_there = next.is_there && guess->is_there;
    return next;
}

void draft_push(struct draft *draft, int32_t id, bool was_drafted)
{
    struct guess *guess = &draft->guess;
    if (was_drafted) {
        draft->counts.n_accepted++;
        draft_cost_accepted(&draft->cost);
    }
    if (draft->n - draft->begin >= draft->n_most) {
        guess->is_there = false;
        return;
    }
    bool is_right = guess->is_there && draft->text[guess->at] == id;
    if (guess->is_there)
        count_guess(draft, is_right);
    draft->text[draft->n++] = id;
    struct guess next = go_on(guess, is_right);
    if (!next.is_there || next.is_resumed) {
        struct guess found = look_up(draft);
        next = found.is_there ? found : next;
    }
    next.is_there = next.is_there && draft->text[next.at] != NONE;
    *guess = next;
    index_put(draft, draft->n - 1);
}

/* ---- drafts ---- */

size_t draft_propose(struct draft *draft, int32_t *ids, size_t most)
{
    const struct guess *guess = &draft->guess;
    double reach[DRAFT_MAX], all_right = 1;
    size_t n = 0;
    most = most < DRAFT_MAX ? most : DRAFT_MAX;
    for (; guess->is_there && n < most; n++) {
        size_t at = guess->at + n;
        /* What lies beyond the end is what the draft itself puts there. */
        int32_t id = at < draft->n ? draft->text[at] : ids[at - draft->n];
        if (id == NONE)
            break;
        all_right *= probability(draft, (int32_t)n);
        ids[n] = id;
        reach[n] = all_right;
    }
    return draft_cost_choose(&draft->cost, reach, n);
}

void draft_measured(struct draft *draft, size_t n_drafted, uint64_t ns)
{
    draft->counts.n_drafted += n_drafted;
    draft_cost_measured(&draft->cost, n_drafted, ns);
}

void draft_learn_from(struct draft *draft, const struct draft *other)
{
    draft->cost = other->cost;
    memcpy(draft->levels, other->levels, sizeof draft->levels);
}

struct draft_counts draft_counts(const struct draft *draft)
{
    return draft->counts;
}
