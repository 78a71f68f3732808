/* stream: see stream.h.
 *
 *   bytes ─► UTF-8 decoder (pending: at most 3 bytes) ─► stop matcher (held: what may become a stop) ─► out
 *
 * The stops form one Aho-Corasick automaton (A. Aho, M. Corasick, "Efficient string matching", CACM 18(6), 1975).  Its state
 * is the longest end of the text that begins some stop, which is just what must be held back; so every byte is looked at
 * once, and a text made to be almost a stop everywhere costs no more than any other. */
#include "engine/stream.h"

#include <stdlib.h>
#include <string.h>

enum { STOPS_LIMIT = 1 << 20 }; /* bytes of all stop strings together */

static const char REPLACEMENT[] = "\xef\xbf\xbd"; /* U+FFFD */

/* A state: the bytes on the path from the root.  State 0 is the root. */
struct state {
    uint32_t first_child, next_sibling; /* 0: none */
    uint32_t fallback;                  /* the longest proper end of the path that is a path too */
    uint32_t depth;
    uint32_t stop_size; /* of the longest stop that ends the path; 0: none */
    unsigned char byte; /* the last of the path */
};

struct text_stream {
    struct state *states;
    uint32_t n_states;
    uint32_t from_root[256]; /* the root has the most children: found without a search */

    char pending[4]; /* the beginning of a code point */
    size_t n_pending;
    uint32_t state;
    struct buffer held; /* from held_begin on: the path of state */
    size_t held_begin;
    bool is_stopped;
};

/* ---- the automaton ---- */

static uint32_t state_child(const struct text_stream *stream, uint32_t state, unsigned char byte)
{
    if (state == 0)
        return stream->from_root[byte];
    uint32_t child = stream->states[state].first_child;
    while (child && stream->states[child].byte != byte)
        child = stream->states[child].next_sibling;
    return child;
}

static uint32_t state_step(const struct text_stream *stream, uint32_t state, unsigned char byte)
{
    for (;;) {
        uint32_t child = state_child(stream, state, byte);
        if (child || state == 0)
            return child;
        state = stream->states[state].fallback;
    }
}

static void stop_insert(struct text_stream *stream, const char *stop)
{
    uint32_t state = 0;
    for (const char *c = stop; *c; c++) {
        unsigned char byte = (unsigned char)*c;
        uint32_t child = state_child(stream, state, byte);
        if (!child) {
            child = stream->n_states++;
            stream->states[child] = (struct state){.depth = stream->states[state].depth + 1, .byte = byte};
            if (state == 0) {
                stream->from_root[byte] = child;
            }
            stream->states[child].next_sibling = stream->states[state].first_child;
            stream->states[state].first_child = child;
        }
        state = child;
    }
    stream->states[state].stop_size = stream->states[state].depth;
}

/* Breadth first, so that a shorter path's fallback is there before a longer one asks for it.  queue: (n_states). */
static void fallbacks_fill(struct text_stream *stream, uint32_t *queue)
{
    struct state *states = stream->states;
    size_t head = 0, tail = 0;
    queue[tail++] = 0;
    while (head < tail) {
        uint32_t parent = queue[head++];
        for (uint32_t child = states[parent].first_child; child; child = states[child].next_sibling) {
            states[child].fallback = parent ? state_step(stream, states[parent].fallback, states[child].byte) : 0;
            if (!states[child].stop_size)
                states[child].stop_size = states[states[child].fallback].stop_size;
            queue[tail++] = child;
        }
    }
}

static bool is_utf8(const char *text, size_t size)
{
    uint32_t code_point;
    while (size) {
        int n = utf8_decode(text, size, &code_point);
        if (n <= 0)
            return false;
        text += n;
        size -= (size_t)n;
    }
    return true;
}

enum status text_stream_new(const char *const *stops, size_t n_stops, struct text_stream **out, struct error *error)
{
    size_t total = 0;
    for (size_t i = 0; i < n_stops; i++) {
        size_t size = strlen(stops[i]);
        if (size == 0)
            return error_set(error, STATUS_ARGUMENT, "a stop string is empty");
        if (!is_utf8(stops[i], size))
            return error_set(error, STATUS_ARGUMENT, "a stop string is not UTF-8");
        if (size > STOPS_LIMIT - total)
            return error_set(error, STATUS_ARGUMENT, "the stop strings are longer than %d bytes", (int)STOPS_LIMIT);
        total += size;
    }
    struct text_stream *stream = calloc(1, sizeof *stream);
    uint32_t *queue = calloc(total + 1, sizeof *queue);
    if (stream)
        stream->states = calloc(total + 1, sizeof *stream->states);
    if (!stream || !queue || !stream->states) {
        free(queue);
        text_stream_free(stream);
        return error_set(error, STATUS_MEMORY, "stop strings: out of memory");
    }
    stream->n_states = 1;
    for (size_t i = 0; i < n_stops; i++)
        stop_insert(stream, stops[i]);
    fallbacks_fill(stream, queue);
    free(queue);
    *out = stream;
    return STATUS_OK;
}

void text_stream_free(struct text_stream *stream)
{
    if (!stream)
        return;
    free(stream->states);
    buffer_deinit(&stream->held);
    free(stream);
}

/* ---- text through the automaton ---- */

/* Passes on all of what is held but its last keep bytes. */
static void held_release(struct text_stream *stream, size_t keep, struct buffer *out)
{
    struct buffer *held = &stream->held;
    size_t size = held->size - stream->held_begin - keep;
    buffer_append(out, held->data ? held->data + stream->held_begin : "", size);
    stream->held_begin += size;
    /* Moving only what is at most half of the buffer keeps the moves in proportion to the text. */
    if (stream->held_begin >= held->size - stream->held_begin) {
        buffer_remove_front(held, stream->held_begin);
        stream->held_begin = 0;
    }
}

/* Takes decoded text. */
static void text_match(struct text_stream *stream, const char *text, size_t size, struct buffer *out)
{
    if (stream->n_states == 1) {
        buffer_append(out, text, size);
        return;
    }
    for (size_t i = 0; i < size && !stream->is_stopped; i++) {
        stream->state = state_step(stream, stream->state, (unsigned char)text[i]);
        buffer_append_byte(&stream->held, text[i]);
        if (stream->held.failed) {
            out->failed = true;
            return;
        }
        const struct state *state = &stream->states[stream->state];
        if (state->stop_size) {
            held_release(stream, state->stop_size, out);
            stream->is_stopped = true;
        }
    }
    if (!stream->is_stopped)
        held_release(stream, stream->states[stream->state].depth, out);
}

/* Takes one byte into pending and passes on what has become whole. */
static void byte_decode(struct text_stream *stream, char byte, struct buffer *out)
{
    uint32_t code_point;
    stream->pending[stream->n_pending++] = byte;
    while (stream->n_pending) {
        int n = utf8_decode(stream->pending, stream->n_pending, &code_point);
        if (n == 0)
            return;
        size_t used = (size_t)(n > 0 ? n : -n);
        if (n > 0)
            text_match(stream, stream->pending, used, out);
        else
            text_match(stream, REPLACEMENT, sizeof REPLACEMENT - 1, out);
        stream->n_pending -= used;
        memmove(stream->pending, stream->pending + used, stream->n_pending);
    }
}

bool text_stream_push(struct text_stream *stream, const char *bytes, size_t size, struct buffer *out)
{
    size_t i = 0;
    while (i < size && !stream->is_stopped) {
        size_t run = 0;
        uint32_t code_point;
        while (!stream->n_pending && i + run < size) {
            int n = utf8_decode(bytes + i + run, size - i - run, &code_point);
            if (n <= 0)
                break;
            run += (size_t)n;
        }
        if (run)
            text_match(stream, bytes + i, run, out);
        i += run;
        if (i < size && !stream->is_stopped)
            byte_decode(stream, bytes[i++], out);
    }
    return stream->is_stopped;
}

void text_stream_finish(struct text_stream *stream, struct buffer *out)
{
    if (!stream->is_stopped && stream->n_pending) /* all that can be pending here is one sequence cut short */
        text_match(stream, REPLACEMENT, sizeof REPLACEMENT - 1, out);
    stream->n_pending = 0;
    if (!stream->is_stopped)
        held_release(stream, 0, out);
    stream->is_stopped = true;
}

/* ---- thought and answer ---- */

enum split_phase { SPLIT_BEGIN, SPLIT_THOUGHT, SPLIT_ANSWER };

struct thought_split {
    char *open, *close;
    size_t open_size, close_size;
    size_t *fallback; /* (close_size) Knuth-Morris-Pratt: the longest proper border of close[0..i] */
    enum split_phase phase;
    size_t matched;     /* bytes of open or close that the text ends with */
    struct buffer held; /* SPLIT_BEGIN: white space and the beginning of open */
};

enum status thought_split_new(const char *open, const char *close, bool starts_inside, struct thought_split **out,
                              struct error *error)
{
    if (!open || !close || !*open || !*close)
        return error_set(error, STATUS_ARGUMENT, "a thinking mark is empty");
    struct thought_split *split = calloc(1, sizeof *split);
    if (split) {
        split->open_size = strlen(open);
        split->close_size = strlen(close);
        split->phase = starts_inside ? SPLIT_THOUGHT : SPLIT_BEGIN;
        split->open = strdup(open);
        split->close = strdup(close);
        split->fallback = calloc(split->close_size, sizeof *split->fallback);
    }
    if (!split || !split->open || !split->close || !split->fallback) {
        thought_split_free(split);
        return error_set(error, STATUS_MEMORY, "thinking marks: out of memory");
    }
    for (size_t i = 1, border = 0; i < split->close_size; i++) {
        while (border && close[i] != close[border])
            border = split->fallback[border - 1];
        border += close[i] == close[border];
        split->fallback[i] = border;
    }
    *out = split;
    return STATUS_OK;
}

void thought_split_free(struct thought_split *split)
{
    if (!split)
        return;
    free(split->open);
    free(split->close);
    free(split->fallback);
    buffer_deinit(&split->held);
    free(split);
}

static void part_emit(enum text_part part, const char *text, size_t size, text_part_fn *emit, void *context)
{
    if (size)
        emit(context, part, text, size);
}

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* Takes text until the phase is decided; returns how much of it that was. */
static size_t begin_take(struct thought_split *split, const char *text, size_t size, text_part_fn *emit, void *context)
{
    for (size_t i = 0; i < size; i++) {
        bool is_mark = text[i] == split->open[split->matched];
        if (is_mark)
            split->matched++;
        if (split->matched == split->open_size) {
            split->phase = SPLIT_THOUGHT;
            split->matched = 0;
            return i + 1;
        }
        if (!is_mark && (split->matched || !is_space(text[i]))) {
            part_emit(TEXT_ANSWER, split->held.data, split->held.size, emit, context);
            split->phase = SPLIT_ANSWER;
            return i;
        }
        buffer_append_byte(&split->held, text[i]);
    }
    return size;
}

/* Takes thought up to the closing mark; returns how much of text that was. */
static size_t thought_take(struct thought_split *split, const char *text, size_t size, text_part_fn *emit,
                           void *context)
{
    const char *close = split->close;
    size_t before = split->matched; /* bytes of close that earlier pushes ended with and that were not emitted */
    size_t used = 0;
    while (used < size && split->matched < split->close_size) {
        char c = text[used++];
        while (split->matched && c != close[split->matched])
            split->matched = split->fallback[split->matched - 1];
        split->matched += c == close[split->matched];
    }
    /* Of the text before + used, all but the last matched bytes are thought for certain. */
    size_t certain = before + used - split->matched;
    size_t of_before = certain < before ? certain : before;
    part_emit(TEXT_THOUGHT, close, of_before, emit, context);
    part_emit(TEXT_THOUGHT, text, certain - of_before, emit, context);
    if (split->matched == split->close_size)
        split->phase = SPLIT_ANSWER;
    return used;
}

void thought_split_push(struct thought_split *split, const char *text, size_t size, text_part_fn *emit, void *context)
{
    size_t used = 0;
    if (split->phase == SPLIT_BEGIN)
        used += begin_take(split, text, size, emit, context);
    if (split->phase == SPLIT_THOUGHT)
        used += thought_take(split, text + used, size - used, emit, context);
    if (split->phase == SPLIT_ANSWER)
        part_emit(TEXT_ANSWER, text + used, size - used, emit, context);
}

void thought_split_finish(struct thought_split *split, text_part_fn *emit, void *context)
{
    if (split->phase == SPLIT_BEGIN)
        part_emit(TEXT_ANSWER, split->held.data, split->held.size, emit, context);
    else if (split->phase == SPLIT_THOUGHT)
        part_emit(TEXT_THOUGHT, split->close, split->matched, emit, context);
    split->phase = SPLIT_ANSWER;
    split->matched = 0;
}
