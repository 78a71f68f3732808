/* engine_fixture: opening models in tests; whatever fails, fails the test. */
#ifndef FATHOM_TESTS_ENGINE_FIXTURE_H
#define FATHOM_TESTS_ENGINE_FIXTURE_H

#include "engine/engine.h"
#include "tests/synth_shapes.h"

/* How many times as long a computation takes here as in a plain build: above 1 under a sanitizer, some 50 under valgrind. */
double test_slowness(void);
/* The model of FATHOM_TEST_MODEL.  cpu NULL: the best instruction set here. */
struct engine *open_engine(const char *cpu, int n_threads);
/* A small model of random weights, a shape of tests/synth_shapes.c, by its name. */
struct engine *open_small(const char *shape, const char *cpu, int n_threads);
struct engine *open_synth(const struct synth_shape *shape, const char *cpu, int n_threads);
struct session *open_session(struct engine *engine, struct session_options options);
/* report may be NULL. */
void sync_all(struct session *session, const struct tokens *tokens, struct sync_report *report);
/* Log-probabilities (n_vocab) of the token that comes next; yours to free. */
double *next_logprobs(struct engine *engine, struct session *session);
/* Greedy tokens that follow the session's logits, appended to the session: at most n, up to the model's end. */
struct tokens continue_greedily(struct engine *engine, struct session *session, size_t n);

#endif
