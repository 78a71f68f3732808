/* grammar: answers that are bound to be JSON of a schema.  Part of the engine's public contract (engine.h includes it).
 *
 *   schema ──► grammar_from_schema ──► grammar ──► grammar_match_new ──► match ──► grammar_match_pick ──► token
 *                                                                          ▲                               │
 *                                                                          └───── grammar_match_accept ◄───┘
 *
 * What comes out is valid JSON (RFC 8259) that the schema (draft 2020-12) allows, in whatever places tokens are cut.  Not all
 * that it allows comes out: properties come in the order in which the schema lists them, and others than those only where
 * additionalProperties asks for them; between tokens of JSON stands nothing, a space, or a line's end and an indentation;
 * enumerated values are written in one way; whole numbers have at most 16 digits, and oneOf is anyOf.  Keywords that would need
 * more (pattern, multipleOf, not, ...) are refused, never passed over; format is no more than a remark, as the draft has it. */
#ifndef FATHOM_ENGINE_GRAMMAR_H
#define FATHOM_ENGINE_GRAMMAR_H

#include "engine/base.h"

struct engine;
struct sampler;

/* A schema made ready.  Immutable: any number of threads may share one. */
struct grammar;

/* STATUS_FORMAT where text is no JSON or no schema; STATUS_UNSUPPORTED with the keyword that can't be held; STATUS_RANGE where it
 * is larger than anybody would write. */
enum status grammar_from_schema(const char *text, size_t size, struct grammar **out, struct error *error);
void grammar_free(struct grammar *grammar);

/* How far an answer has come.  Of one thread; the grammar stays while it lives. */
struct grammar_match;

/* engine NULL: bytes alone. */
enum status grammar_match_new(const struct grammar *grammar, struct engine *engine, struct grammar_match **out,
                              struct error *error);
void grammar_match_free(struct grammar_match *match);
void grammar_match_reset(struct grammar_match *match); /* to the beginning */

/* The next token by logits among those that can go on: what sampler_pick says as long as that is one of them, which costs a
 * microsecond; after some refusals all others are masked, which costs some milliseconds.  An end token only where the answer is
 * whole.  In the engine's thread.  STATUS_NOT_FOUND where no token goes on. */
enum status grammar_match_pick(struct grammar_match *match, struct sampler *sampler, const float *logits, int32_t *id,
                               struct error *error);
/* STATUS_ARGUMENT, with the match as it was, where the token or the bytes can't go on. */
enum status grammar_match_accept(struct grammar_match *match, int32_t id, struct error *error);
enum status grammar_match_accept_bytes(struct grammar_match *match, const char *text, size_t size, struct error *error);

bool grammar_match_is_whole(const struct grammar_match *match);    /* it may end here */
bool grammar_match_is_finished(const struct grammar_match *match); /* and nothing else may come */

#endif
