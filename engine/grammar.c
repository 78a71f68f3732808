/* grammar: how far an answer has come in its grammar's graph.
 *
 * A thread is a node and a stack of nodes to return to; what may come next is a set of threads.  Stacks are linked frames, of
 * which there are no two equal ones, so that equal sets of threads are equal numbers, and get one number, too: a state.  Where a
 * byte leads from a state is computed once, then looked up: an automaton that is made as far as it is needed (as in
 * R. Cox, "Regular Expression Matching in the Wild", 2010), though of a language that is not regular: so stacks have a limit. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/engine_private.h"
#include "engine/grammar_private.h"

enum {
    DEEPEST = 400,            /* calls within calls */
    MOST_THREADS = 1 << 14,   /* of one state */
    MOST_STATES = 20000,      /* then all but the current one are forgotten, before the next token */
    MOST_STATES_EVER = 60000, /* and with so many, within one token, nothing more goes on */
    MOST_FRAMES = 1 << 21,    /* likewise */
    FORGET_FRAMES = 1 << 18,
    UNKNOWN = UINT16_MAX, /* where a byte leads, before anybody asked */
    DEAD = 0,             /* the state that nothing leads out of */
    REFUSALS = 12,        /* that are borne before all tokens are masked */
    LONGEST_PIECE = 1 << 12,
};

struct frame {
    uint32_t node, parent; /* frame 0 is the bottom */
    uint16_t depth;
};

struct thread {
    uint32_t node, stack;
};

struct state {
    size_t first; /* of its threads, in threads */
    uint32_t n;   /* they read bytes, all of them; sorted */
    uint32_t hash;
    bool is_whole;  /* the root's rule may return here */
    uint16_t *next; /* (256), made when asked */
};

/* A table of numbers of things, by their hash; 0 is none. */
struct table {
    uint32_t *slots;
    size_t size, n; /* size is a power of two */
};

struct grammar_match {
    const struct grammar *grammar;
    struct engine *engine; /* may be NULL */
    struct frame *frames;
    size_t n_frames, frames_capacity;
    struct table frame_table, state_table;
    struct state *states;
    size_t n_states, states_capacity;
    struct thread *threads;
    size_t n_threads, threads_capacity;
    struct thread *work; /* threads to be followed, and from their end on those that were found */
    size_t work_capacity;
    uint16_t now, start;
    bool failed;   /* no memory: nothing goes on */
    float *masked; /* (n_vocab) */
};

/* ---- tables ---- */

static uint32_t mix(uint32_t a, uint32_t b)
{
    uint64_t h = ((uint64_t)a << 32 | b) * 0x9e3779b97f4a7c15u;
    h ^= h >> 29;
    return (uint32_t)((h * 0xbf58476d1ce4e5b9u) >> 32);
}

static bool array_reserve(void *array, size_t *capacity, size_t n, size_t width)
{
    if (n <= *capacity)
        return true;
    size_t more = *capacity ? *capacity : 64;
    while (more < n)
        more *= 2;
    void **items = array, *grown = realloc(*items, more * width);
    if (!grown)
        return false;
    *items = grown;
    *capacity = more;
    return true;
}

/* Doubles the table where it is half full; hash gives the hash of a thing. */
static bool table_reserve(struct grammar_match *match, struct table *table,
                          uint32_t (*hash)(const struct grammar_match *match, uint32_t thing))
{
    if (table->n * 2 < table->size)
        return true;
    size_t size = table->size ? table->size * 2 : 256;
    uint32_t *slots = calloc(size, sizeof *slots);
    if (!slots)
        return false;
    for (size_t i = 0; i < table->size; i++) {
        if (!table->slots[i])
            continue;
        size_t at = hash(match, table->slots[i]) & (size - 1);
        while (slots[at])
            at = (at + 1) & (size - 1);
        slots[at] = table->slots[i];
    }
    free(table->slots);
    table->slots = slots;
    table->size = size;
    return true;
}

static void table_clear(struct table *table)
{
    if (table->slots)
        memset(table->slots, 0, table->size * sizeof *table->slots);
    table->n = 0;
}

/* ---- frames ---- */

static uint32_t frame_hash(const struct grammar_match *match, uint32_t frame)
{
    return mix(match->frames[frame].node, match->frames[frame].parent);
}

/* UINT32_MAX where the stack is too deep, or there is no memory. */
static uint32_t push_frame(struct grammar_match *match, uint32_t node, uint32_t parent)
{
    uint16_t depth = match->frames[parent].depth;
    if (depth >= DEEPEST || match->n_frames >= MOST_FRAMES)
        return UINT32_MAX;
    if (!table_reserve(match, &match->frame_table, frame_hash) ||
        !array_reserve(&match->frames, &match->frames_capacity, match->n_frames + 1, sizeof *match->frames)) {
        match->failed = true;
        return UINT32_MAX;
    }
    struct table *table = &match->frame_table;
    size_t at = mix(node, parent) & (table->size - 1);
    for (; table->slots[at]; at = (at + 1) & (table->size - 1)) {
        const struct frame *frame = &match->frames[table->slots[at]];
        if (frame->node == node && frame->parent == parent)
            return table->slots[at];
    }
    uint32_t made = (uint32_t)match->n_frames++;
    match->frames[made] = (struct frame){node, parent, (uint16_t)(depth + 1)};
    table->slots[at] = made;
    table->n++;
    return made;
}

/* ---- states ---- */

static int compare_threads(const void *a, const void *b)
{
    const struct thread *x = a, *y = b;
    if (x->node != y->node)
        return x->node < y->node ? -1 : 1;
    return (x->stack > y->stack) - (x->stack < y->stack);
}

static uint32_t state_hash(const struct grammar_match *match, uint32_t state)
{
    return match->states[state].hash;
}

/* The state of these threads, sorted and each once; DEAD where there are none, or no memory. */
static uint16_t find_state(struct grammar_match *match, const struct thread *threads, size_t n, bool is_whole)
{
    if (n == 0 && !is_whole)
        return DEAD;
    uint32_t hash = is_whole ? 7 : 3;
    for (size_t i = 0; i < n; i++)
        hash = mix(hash ^ threads[i].node, threads[i].stack);
    if (match->n_states >= MOST_STATES_EVER || !table_reserve(match, &match->state_table, state_hash) ||
        !array_reserve(&match->states, &match->states_capacity, match->n_states + 1, sizeof *match->states)) {
        match->failed = match->failed || match->n_states < MOST_STATES_EVER;
        return DEAD;
    }
    struct table *table = &match->state_table;
    size_t at = hash & (table->size - 1);
    for (; table->slots[at]; at = (at + 1) & (table->size - 1)) {
        const struct state *state = &match->states[table->slots[at]];
        if (state->hash == hash && state->n == n && state->is_whole == is_whole &&
            (n == 0 || memcmp(match->threads + state->first, threads, n * sizeof *threads) == 0))
            return (uint16_t)table->slots[at];
    }
    if (!array_reserve(&match->threads, &match->threads_capacity, match->n_threads + n, sizeof *match->threads)) {
        match->failed = true;
        return DEAD;
    }
    if (n)
        memcpy(match->threads + match->n_threads, threads, n * sizeof *threads);
    uint16_t made = (uint16_t)match->n_states++;
    match->states[made] = (struct state){match->n_threads, (uint32_t)n, hash, is_whole, NULL};
    match->n_threads += n;
    table->slots[at] = made;
    table->n++;
    return made;
}

static bool add_work(struct grammar_match *match, size_t *n, struct thread thread)
{
    if (!array_reserve(&match->work, &match->work_capacity, *n + 1, sizeof *match->work)) {
        match->failed = true;
        return false;
    }
    match->work[(*n)++] = thread;
    return true;
}

/* Follows work[0, n) through all that reads no byte.  The same thread is followed again where two ways lead to it, which is
 * harmless but in number. */
static uint16_t close_over(struct grammar_match *match, size_t n)
{
    const struct grammar *grammar = match->grammar;
    bool is_whole = false;
    struct thread *found = NULL;
    size_t n_found = 0, capacity = 0, n_steps = 0;
    while (n > 0 && n_steps++ < 4 * MOST_THREADS && n_found < MOST_THREADS && !match->failed) {
        struct thread thread = match->work[--n];
        const struct grammar_node *node = &grammar->nodes[thread.node];
        uint32_t frame;
        switch (node->kind) {
        case NODE_BYTES:
            if (!array_reserve(&found, &capacity, n_found + 1, sizeof *found))
                match->failed = true;
            else
                found[n_found++] = thread;
            break;
        case NODE_EITHER:
            add_work(match, &n, (struct thread){node->other, thread.stack});
            add_work(match, &n, (struct thread){node->next, thread.stack});
            break;
        case NODE_CALL:
            /* What only returns behind its call needs no frame: lists and loops don't pile them up. */
            frame = grammar->nodes[node->next].kind == NODE_RETURN ? thread.stack
                                                                   : push_frame(match, node->next, thread.stack);
            if (frame != UINT32_MAX)
                add_work(match, &n, (struct thread){grammar->rules[node->other], frame});
            break;
        case NODE_RETURN:
            if (thread.stack == 0)
                is_whole = true;
            else
                add_work(match, &n,
                         (struct thread){match->frames[thread.stack].node, match->frames[thread.stack].parent});
            break;
        }
    }
    if (n_found)
        qsort(found, n_found, sizeof *found, compare_threads);
    size_t n_once = 0;
    for (size_t i = 0; i < n_found; i++)
        if (found[i].node != NOWHERE && (n_once == 0 || compare_threads(&found[n_once - 1], &found[i]) != 0))
            found[n_once++] = found[i];
    uint16_t state = match->failed ? DEAD : find_state(match, found, n_once, is_whole);
    free(found);
    return state;
}

static uint16_t step(struct grammar_match *match, uint16_t from, unsigned char byte)
{
    struct state *state = &match->states[from];
    if (from == DEAD)
        return DEAD;
    if (!state->next) {
        state->next = malloc(256 * sizeof *state->next);
        if (!state->next) {
            match->failed = true;
            return DEAD;
        }
        memset(state->next, 0xff, 256 * sizeof *state->next);
    }
    if (state->next[byte] != UNKNOWN)
        return state->next[byte];
    const struct grammar *grammar = match->grammar;
    size_t n = 0;
    for (uint32_t i = 0; i < state->n; i++) {
        struct thread thread = match->threads[state->first + i];
        const struct grammar_node *node = &grammar->nodes[thread.node];
        if (byte_set_has(&grammar->sets[node->other], byte))
            add_work(match, &n, (struct thread){node->next, thread.stack});
    }
    uint16_t to = n ? close_over(match, n) : DEAD;
    if (!match->failed)
        match->states[from].next[byte] = to; /* states may have moved */
    return to;
}

static uint16_t walk(struct grammar_match *match, uint16_t from, const char *text, size_t size)
{
    for (size_t i = 0; i < size && from != DEAD; i++)
        from = step(match, from, (unsigned char)text[i]);
    return from;
}

static void free_states(struct grammar_match *match)
{
    for (size_t i = 0; i < match->n_states; i++)
        free(match->states[i].next);
    table_clear(&match->state_table);
    table_clear(&match->frame_table);
    match->n_states = match->n_threads = match->n_frames = 0;
}

/* States DEAD and start, frame 0. */
static enum status begin(struct grammar_match *match, struct error *error)
{
    match->failed = false;
    if (!array_reserve(&match->frames, &match->frames_capacity, 1, sizeof *match->frames) ||
        !array_reserve(&match->states, &match->states_capacity, 1, sizeof *match->states))
        return error_set(error, STATUS_MEMORY, "out of memory");
    match->frames[0] = (struct frame){0, 0, 0};
    match->states[0] = (struct state){0};
    match->n_frames = match->n_states = 1;
    size_t n = 0;
    add_work(match, &n, (struct thread){match->grammar->rules[RULE_ROOT], 0});
    match->now = match->start = match->failed ? DEAD : close_over(match, n);
    return match->failed ? error_set(error, STATUS_MEMORY, "out of memory") : STATUS_OK;
}

/* ---- forgetting ---- */

/* Copies a stack of old frames: its frames from the top, then pushed from the bottom. */
static uint32_t copy_stack(struct grammar_match *match, const struct frame *old, uint32_t top)
{
    uint32_t nodes[DEEPEST], stack = 0;
    size_t n = 0;
    for (uint32_t at = top; at != 0 && n < DEEPEST; at = old[at].parent)
        nodes[n++] = old[at].node;
    while (n > 0 && stack != UINT32_MAX)
        stack = push_frame(match, nodes[--n], stack);
    return stack;
}

/* Begins anew with the current state alone. */
static void forget(struct grammar_match *match)
{
    struct state now = match->states[match->now];
    struct frame *old = match->frames;
    struct thread *kept = malloc((now.n + 1) * sizeof *kept);
    if (!kept)
        return; /* later, then */
    if (now.n)
        memcpy(kept, match->threads + now.first, now.n * sizeof *kept);
    free_states(match);
    match->frames = NULL;
    match->frames_capacity = 0;
    enum status status = begin(match, NULL);
    for (uint32_t i = 0; !status && i < now.n; i++) {
        kept[i].stack = copy_stack(match, old, kept[i].stack);
        match->failed = match->failed || kept[i].stack == UINT32_MAX;
    }
    qsort(kept, now.n, sizeof *kept, compare_threads);
    match->failed = match->failed || status;
    match->now = match->failed ? DEAD : find_state(match, kept, now.n, now.is_whole);
    free(kept);
    free(old);
}

/* ---- the contract ---- */

enum status grammar_match_new(const struct grammar *grammar, struct engine *engine, struct grammar_match **out,
                              struct error *error)
{
    struct grammar_match *match = calloc(1, sizeof *match);
    if (!match)
        return error_set(error, STATUS_MEMORY, "out of memory");
    match->grammar = grammar;
    match->engine = engine;
    enum status status = begin(match, error);
    if (status)
        grammar_match_free(match);
    else
        *out = match;
    return status;
}

void grammar_match_free(struct grammar_match *match)
{
    if (!match)
        return;
    free_states(match);
    free(match->frames);
    free(match->states);
    free(match->threads);
    free(match->work);
    free(match->frame_table.slots);
    free(match->state_table.slots);
    free(match->masked);
    free(match);
}

void grammar_match_reset(struct grammar_match *match)
{
    if (match->failed || match->n_states > MOST_STATES || match->n_frames > FORGET_FRAMES) {
        free_states(match);
        begin(match, NULL);
    }
    match->now = match->start;
}

bool grammar_match_is_whole(const struct grammar_match *match)
{
    return match->states[match->now].is_whole;
}

bool grammar_match_is_finished(const struct grammar_match *match)
{
    return match->states[match->now].is_whole && match->states[match->now].n == 0;
}

enum status grammar_match_accept_bytes(struct grammar_match *match, const char *text, size_t size, struct error *error)
{
    if (match->n_states > MOST_STATES || match->n_frames > FORGET_FRAMES)
        forget(match);
    uint16_t to = walk(match, match->now, text, size);
    if (match->failed)
        return error_set(error, STATUS_MEMORY, "out of memory");
    if (to == DEAD)
        return error_set(error, STATUS_ARGUMENT, "the grammar doesn't go on like this");
    match->now = to;
    return STATUS_OK;
}

enum status grammar_match_accept(struct grammar_match *match, int32_t id, struct error *error)
{
    if (engine_token_is_end(match->engine, id))
        return grammar_match_is_whole(match) ? STATUS_OK
                                             : error_set(error, STATUS_ARGUMENT, "the answer is not whole yet");
    struct slice piece = engine_piece(match->engine, id, false);
    if (piece.size == 0)
        return error_set(error, STATUS_ARGUMENT, "a token without text can't go on");
    return grammar_match_accept_bytes(match, piece.data, piece.size, error);
}

static bool goes_on(struct grammar_match *match, int32_t id)
{
    if (engine_token_is_end(match->engine, id))
        return grammar_match_is_whole(match);
    struct slice piece = engine_piece(match->engine, id, false);
    return piece.size > 0 && walk(match, match->now, piece.data, piece.size) != DEAD;
}

/* In masked, -inf for each token that can't go on.  Pieces come in the order of their bytes, so that what one shares with the
 * one before is not walked again, nor anything behind a byte where all go wrong. */
static enum status mask_all(struct grammar_match *match, const float *logits, struct error *error)
{
    int32_t n_vocab = engine_n_vocab(match->engine);
    const struct piece_order *order;
    enum status status = engine_piece_order(match->engine, &order, error);
    if (status)
        return status;
    for (int32_t id = 0; id < n_vocab; id++)
        match->masked[id] =
            grammar_match_is_whole(match) && engine_token_is_end(match->engine, id) ? logits[id] : -INFINITY;
    uint16_t states[LONGEST_PIECE + 1];
    states[0] = match->now;
    uint32_t alive = 0; /* bytes of the piece before that were walked and lead somewhere */
    for (size_t i = 0; i < order->n; i++) {
        int32_t id = order->ids[i];
        struct slice piece = engine_piece(match->engine, id, false);
        uint32_t size = piece.size < LONGEST_PIECE ? (uint32_t)piece.size : LONGEST_PIECE;
        uint32_t at = order->shared[i];
        if (at > alive)
            continue; /* it begins with the bytes that went wrong */
        for (alive = at; at < size; at++, alive++)
            if ((states[at + 1] = step(match, states[at], (unsigned char)piece.data[at])) == DEAD)
                break;
        if (alive == piece.size && !engine_token_is_end(match->engine, id))
            match->masked[id] = logits[id];
    }
    return match->failed ? error_set(error, STATUS_MEMORY, "out of memory") : STATUS_OK;
}

enum status grammar_match_pick(struct grammar_match *match, struct sampler *sampler, const float *logits, int32_t *id,
                               struct error *error)
{
    size_t n_bytes = (size_t)engine_n_vocab(match->engine) * sizeof *match->masked;
    enum status status = sampler_pick(sampler, logits, id, error);
    if (status || goes_on(match, *id))
        return status;
    if (!match->masked && !(match->masked = malloc(n_bytes)))
        return error_set(error, STATUS_MEMORY, "out of memory");
    memcpy(match->masked, logits, n_bytes);
    for (int refused = 1; refused < REFUSALS; refused++) {
        match->masked[*id] = -INFINITY;
        if (sampler_pick(sampler, match->masked, id, NULL))
            break;
        if (goes_on(match, *id))
            return STATUS_OK;
    }
    status = mask_all(match, logits, error);
    if (!status && sampler_pick(sampler, match->masked, id, NULL))
        status = error_set(error, STATUS_NOT_FOUND, "no token of the vocabulary goes on as the schema wants");
    return status;
}
