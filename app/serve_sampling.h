/* serve_sampling: what OpenAI's two endpoints have in common: sampling, limits, stops, likelihoods, streaming. */
#ifndef FATHOM_APP_SERVE_SAMPLING_H
#define FATHOM_APP_SERVE_SAMPLING_H

#include "app/json_read.h"
#include "app/serve.h"

enum { SERVE_STOPS_MAX = 16, SERVE_LOGPROBS_MAX = 20, SERVE_BIASES_MAX = 4096 };

/* Fills the job's task but for prompts, n_predict and n_logprobs; STATUS_ARGUMENT names the field.  *n_choices: how many answers
 * to a prompt are asked for. */
enum status serve_read_sampling(struct serve *serve, const cJSON *body, struct serve_job *job, size_t *n_choices,
                                struct error *error);

/* How many tokens an answer has at most (< 0: no limit), where so many are asked for: no more than `fathom serve -n` says. */
int64_t serve_limit_tokens(const struct serve *serve, int64_t n_asked);

/* Each prompt has to leave room for an answer: STATUS_RANGE. */
enum status serve_check_room(const struct serve *serve, const struct serve_job *job, struct error *error);

#endif
