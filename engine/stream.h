/* stream: from the bytes of tokens to text that may be shown.  Part of the engine's public contract (engine.h includes it).
 *
 * A token may hold half of a code point, or the beginning of what may become a stop string.  What could still become part
 * of either is held back; everything else is passed on at once.  Bytes that are not UTF-8 come out as U+FFFD, one for each
 * maximal subpart, just as Python's bytes.decode("utf-8", "replace") does on the whole. */
#ifndef FATHOM_ENGINE_STREAM_H
#define FATHOM_ENGINE_STREAM_H

#include "engine/base.h"

struct text_stream;

/* stops (n_stops) are copied; empty ones, those that are not UTF-8, and more than 1 MiB of them are refused (STATUS_ARGUMENT).
 * The stop that is complete first counts; of those complete at the same byte, the longest. */
enum status text_stream_new(const char *const *stops, size_t n_stops, struct text_stream **out, struct error *error);
void text_stream_free(struct text_stream *stream);

/* Takes size bytes, appends to out what may be shown now.  Returns true when a stop string was completed: what stands
 * before it has been appended, the stop and what follows it never is, and further pushes append nothing. */
bool text_stream_push(struct text_stream *stream, const char *bytes, size_t size, struct buffer *out);

/* The end of the text: appends what was held back. */
void text_stream_finish(struct text_stream *stream, struct buffer *out);

/* ---- the two parts of a reasoning model's answer ---- */

enum text_part {
    TEXT_ANSWER,
    TEXT_THOUGHT, /* between the template's thinking marks, which belong to neither part */
};

/* Splits a stream at a pair of marks such as <think> and </think>, also where a mark is cut in pieces.  Only a mark at
 * the beginning of the answer (white space before it aside) opens a thought; the first closing mark ends it. */
struct thought_split;

typedef void text_part_fn(void *context, enum text_part part, const char *text, size_t size);

/* starts_inside: the prompt already ended with the opening mark. */
enum status thought_split_new(const char *open, const char *close, bool starts_inside, struct thought_split **out,
                              struct error *error);
void thought_split_free(struct thought_split *split);
void thought_split_push(struct thought_split *split, const char *text, size_t size, text_part_fn *emit, void *context);
void thought_split_finish(struct thought_split *split, text_part_fn *emit, void *context);

#endif
