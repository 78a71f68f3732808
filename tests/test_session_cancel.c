/* Tests slices that are cancelled after any number of operations: what goes on from there is, to the bit, what an evaluation
 * without interruption gives, and no layer that was done is computed again.
 *
 * The flag is raised by the backend itself: its norm, which every half of a layer begins with, counts its calls. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/engine_private.h"
#include "tests/engine_fixture.h"

enum { N_CTX = 96, N_TOKENS = 50, N_SLICE = 40 };

static struct {
    const struct backend_ops *real;
    struct backend_ops counting;
    atomic_bool cancel;
    int n_norms, raise_at; /* the flag goes up in the raise_at-th call; 0: never */
    int n_attentions;
} t;

static void count_norm(struct backend *backend, float *out, const float *x, const struct weight *weight,
                       const struct weight *bias, int32_t n, float epsilon, int32_t layer)
{
    if (++t.n_norms == t.raise_at)
        atomic_store(&t.cancel, true);
    t.real->norm(backend, out, x, weight, bias, n, epsilon, layer);
}

static void count_attention(struct backend *backend, float *out, const float *q, const struct kvcache *cache,
                            int32_t layer, const struct attention_settings *settings)
{
    t.n_attentions++;
    t.real->attention(backend, out, q, cache, layer, settings);
}

static struct engine *open_counting(const char *shape, int n_threads)
{
    struct engine *engine = open_small(shape, NULL, n_threads);
    t.real = engine->backend->ops;
    t.counting = *t.real;
    t.counting.norm = count_norm;
    t.counting.attention = count_attention;
    engine->backend->ops = &t.counting;
    return engine;
}

static void raise_at(int n)
{
    t.n_norms = t.n_attentions = 0;
    t.raise_at = n;
    atomic_store(&t.cancel, false);
}

static struct session *open_cancellable(struct engine *engine)
{
    return open_session(engine, (struct session_options){.n_ctx = N_CTX, .n_slice = N_SLICE, .cancel = &t.cancel});
}

static struct tokens make_tokens(size_t n, int32_t seed)
{
    struct tokens tokens = {0};
    for (size_t i = 0; i < n; i++)
        tokens_append(&tokens, ((int32_t)i * 37 + seed) % 251);
    assert_false(tokens.failed);
    return tokens;
}

static double greatest_difference(struct engine *engine, const struct session *a, const struct session *b)
{
    double greatest = 0;
    for (int32_t i = 0; i < engine_n_vocab(engine); i++)
        greatest = fmax(greatest, fabs((double)session_logits(a)[i] - (double)session_logits(b)[i]));
    return greatest;
}

/* True where the flag was seen before the end. */
static bool cancelled_at(struct session *session, const struct tokens *tokens, int at)
{
    raise_at(at);
    enum status status = session_sync(session, tokens->ids, tokens->n, NULL, NULL);
    assert_true(status == STATUS_OK || status == STATUS_CANCELLED);
    return status == STATUS_CANCELLED;
}

/* is_warm: the session knows how long its layers take, so that most aren't stopped in the middle. */
static void go_on_from_anywhere(const char *shape, int n_threads, bool is_warm)
{
    struct engine *engine = open_counting(shape, n_threads);
    struct session *whole = open_cancellable(engine);
    struct tokens tokens = make_tokens(N_TOKENS, 11), other = make_tokens(N_TOKENS, 5);
    raise_at(0);
    sync_all(whole, &tokens, NULL);
    int n_norms = t.n_norms, n_attentions = t.n_attentions, least = n_attentions;
    for (int at = 1; at <= n_norms; at++) {
        struct session *session = open_cancellable(engine);
        raise_at(0);
        if (is_warm)
            sync_all(session, &other, NULL);
        bool was_cancelled = cancelled_at(session, &tokens, at);
        int before = t.n_attentions;
        raise_at(0);
        sync_all(session, &tokens, NULL);
        if (was_cancelled) {
            /* One layer at most was begun in vain. */
            assert_true(before + t.n_attentions <= n_attentions + 1);
            least = t.n_attentions < least ? t.n_attentions : least;
        }
        if (greatest_difference(engine, session, whole) != 0)
            fail_msg("%s: going on after operation %d gives other numbers", shape, at);
        session_close(session);
    }
    assert_true(least <= 2); /* the last layers were done, too */
    session_close(whole);
    tokens_deinit(&tokens);
    tokens_deinit(&other);
    engine_close(engine);
}

static void a_cancelled_slice_goes_on(void **state)
{
    (void)state;
    const char *const shapes[] = {"llama-gqa", "lite-q8_0", "qwen3moe", "starcoder2"};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (int warm = 0; warm < 2; warm++)
            go_on_from_anywhere(shapes[i], 1 + (int)i % 2, warm == 1);
}

/* Only what is the same goes on: another text after the cut, a fork, another session on the same workspace. */
static void something_else_comes_next(void **state)
{
    (void)state;
    struct engine *engine = open_counting("lite-q8_0", 1);
    struct session *fresh = open_cancellable(engine), *session = open_cancellable(engine), *fork = NULL;
    struct tokens tokens = make_tokens(30, 11), other = make_tokens(30, 5);
    for (int change = 0; change < 30; change += 4) {
        struct tokens wanted = make_tokens(30, 11);
        wanted.ids[change] = 99;
        raise_at(0);
        sync_all(fresh, &other, NULL);
        sync_all(fresh, &wanted, NULL);
        sync_all(session, &other, NULL);
        assert_true(cancelled_at(session, &tokens, 5));
        raise_at(0);
        sync_all(session, &wanted, NULL);
        assert_true(greatest_difference(engine, session, fresh) < 2e-2);
        tokens_deinit(&wanted);
    }
    for (int way = 0; way < 3; way++) {
        raise_at(0);
        sync_all(fresh, &other, NULL);
        sync_all(fresh, &tokens, NULL);
        sync_all(session, &other, NULL);
        if (way == 2)
            assert_int_equal(session_fork(session, &fork, NULL), STATUS_OK);
        assert_true(cancelled_at(session, &tokens, 5));
        raise_at(0);
        if (way == 1) {
            assert_int_equal(session_fork(session, &fork, NULL), STATUS_OK);
            assert_int_equal(session_append(fork, 7, NULL), STATUS_OK);
        }
        if (way == 2)
            sync_all(fork, &tokens, NULL);
        sync_all(session, &tokens, NULL);
        assert_true(greatest_difference(engine, session, fresh) == 0);
        session_close(fork);
        fork = NULL;
    }
    session_close(session);
    session_close(fresh);
    tokens_deinit(&tokens);
    tokens_deinit(&other);
    engine_close(engine);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_cancelled_slice_goes_on),
        cmocka_unit_test(something_else_comes_next),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
