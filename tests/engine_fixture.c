/* engine_fixture: see engine_fixture.h. */
#include "tests/engine_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "engine/sampler.h"
#include "tests/synth.h"

double test_slowness(void)
{
    const char *slowness = getenv("TEST_SLOWNESS");
    return slowness ? atof(slowness) : 1;
}

static struct engine *open_path(const char *path, const char *cpu, int n_threads)
{
    const struct engine_options options = {.model_path = path, .cpu = cpu, .n_threads = n_threads};
    struct engine *engine = NULL;
    struct error error = {0};
    if (engine_open(&options, &engine, &error))
        fail_msg("%s", error.text);
    return engine;
}

struct engine *open_engine(const char *cpu, int n_threads)
{
    const char *path = getenv("FATHOM_TEST_MODEL");
    if (!path)
        fail_msg("FATHOM_TEST_MODEL names no model");
    return open_path(path, cpu, n_threads);
}

struct engine *open_synth(const struct synth_shape *shape, const char *cpu, int n_threads)
{
    const char *folder = getenv("TMPDIR");
    char path[512];
    snprintf(path, sizeof path, "%s/small-XXXXXX", folder ? folder : "/tmp");
    int descriptor = mkstemp(path);
    assert_true(descriptor >= 0);
    close(descriptor);
    struct error error = {0};
    if (synth_save(path, shape, &(struct synth_options){.seed = 1}, &error))
        fail_msg("%s", error.text);
    struct engine *engine = open_path(path, cpu, n_threads);
    unlink(path);
    return engine;
}

struct engine *open_small(const char *shape, const char *cpu, int n_threads)
{
    return open_synth(synth_shape_find(shape), cpu, n_threads);
}

struct session *open_session(struct engine *engine, struct session_options options)
{
    struct session *session = NULL;
    struct error error = {0};
    if (session_open(engine, &options, &session, &error))
        fail_msg("%s", error.text);
    return session;
}

void sync_all(struct session *session, const struct tokens *tokens, struct sync_report *report)
{
    struct error error = {0};
    if (session_sync(session, tokens->ids, tokens->n, report, &error))
        fail_msg("%s", error.text);
}

double *next_logprobs(struct engine *engine, struct session *session)
{
    int32_t n_vocab = engine_n_vocab(engine);
    double *logprobs = calloc((size_t)n_vocab, sizeof *logprobs);
    assert_non_null(logprobs);
    for (int32_t id = 0; id < n_vocab; id++)
        logprobs[id] = logits_logprob(session_logits(session), n_vocab, id);
    return logprobs;
}

struct tokens continue_greedily(struct engine *engine, struct session *session, size_t n)
{
    struct tokens said = {0};
    struct sampler *sampler = NULL;
    struct error error = {0};
    const struct sampler_options greedy = sampler_options_default();
    assert_int_equal(sampler_new(&greedy, engine_n_vocab(engine), &sampler, &error), STATUS_OK);
    while (said.n < n) {
        int32_t id;
        if (sampler_pick(sampler, session_logits(session), &id, &error))
            fail_msg("%s", error.text);
        if (engine_token_is_end(engine, id))
            break;
        tokens_append(&said, id);
        if (session_append(session, id, &error))
            fail_msg("%s", error.text);
    }
    sampler_free(sampler);
    return said;
}
