/* serve_answer: one answer as it comes: from logits to tokens, to text, to what the job passes on.  Used by the engine's thread. */
#ifndef FATHOM_APP_SERVE_ANSWER_H
#define FATHOM_APP_SERVE_ANSWER_H

#include "app/serve_job.h"

struct serve_answer;

/* For a choice whose prompt is about to be read; the answer may have room for n_room tokens. */
enum status serve_answer_new(struct engine *engine, struct serve_choice *choice, size_t n_room,
                             struct serve_answer **out, struct error *error);
void serve_answer_free(struct serve_answer *answer);

/* The next token by logits.  *goes_on: id is to be appended and the next one asked for; else the answer is over, and what
 * was held back has been passed on. */
enum status serve_answer_next(struct serve_answer *answer, const float *logits, int32_t *id, bool *goes_on,
                              struct error *error);

/* Tokens so far, an end token not counted. */
size_t serve_answer_n(const struct serve_answer *answer);
enum serve_finish serve_answer_finish(const struct serve_answer *answer);

#endif
