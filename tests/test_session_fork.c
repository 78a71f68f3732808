/* Tests forks of sessions: trees of them, grown and cut on every side, against sessions that never were forked.  Slices are
 * one token long, so that a token's numbers are the same to the last bit however it came into a session. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/engine_fixture.h"

enum { N_CTX = 96, MOST = 7 };

static unsigned next_random(unsigned *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

/* That the session's tokens are those, and its logits what a new session gives. */
static void check_logits(struct engine *engine, const struct session *session, const struct tokens *tokens,
                         enum kv_type kv)
{
    size_t n;
    const int32_t *ids = session_tokens(session, &n);
    assert_int_equal(n, tokens->n);
    if (n == 0)
        return;
    assert_memory_equal(ids, tokens->ids, n * sizeof *ids);
    struct session *fresh = open_session(engine, (struct session_options){.n_ctx = N_CTX, .n_slice = 1, .kv = kv});
    sync_all(fresh, tokens, NULL);
    assert_non_null(session_logits(session));
    assert_memory_equal(session_logits(session), session_logits(fresh),
                        (size_t)engine_n_vocab(engine) * sizeof *session_logits(fresh));
    session_close(fresh);
}

struct branch {
    struct session *session;
    struct tokens tokens; /* what the session should hold */
};

static void grow(struct branch *branch, unsigned *random)
{
    size_t n = 1 + next_random(random) % 12;
    for (size_t i = 0; i < n && branch->tokens.n < N_CTX; i++) {
        int32_t id = (int32_t)(next_random(random) % 256);
        tokens_append(&branch->tokens, id);
        assert_int_equal(session_append(branch->session, id, NULL), STATUS_OK);
    }
}

/* Another text that shares a beginning with the old one. */
static void rewrite(struct branch *branch, unsigned *random)
{
    branch->tokens.n = next_random(random) % (branch->tokens.n + 1);
    tokens_append(&branch->tokens, (int32_t)(next_random(random) % 256));
    if (branch->tokens.n > N_CTX)
        branch->tokens.n = N_CTX;
    sync_all(branch->session, &branch->tokens, NULL);
}

static void random_tree(const char *shape, enum kv_type kv, unsigned random)
{
    struct engine *engine = open_small(shape, NULL, 2);
    struct branch branches[MOST] = {0};
    branches[0].session = open_session(engine, (struct session_options){.n_ctx = N_CTX, .n_slice = 1, .kv = kv});
    for (int round = 0; round < 120; round++) {
        unsigned what = next_random(&random) % 8, at = next_random(&random) % MOST;
        struct branch *branch = &branches[at], *other = &branches[next_random(&random) % MOST];
        if (!branch->session)
            continue;
        if (what < 2 && !other->session) {
            assert_int_equal(session_fork(branch->session, &other->session, NULL), STATUS_OK);
            tokens_clear(&other->tokens);
            tokens_append_all(&other->tokens, branch->tokens.ids, branch->tokens.n);
        } else if (what == 2 && at) {
            session_close(branch->session);
            branch->session = NULL;
        } else if (what == 3) {
            rewrite(branch, &random);
        } else {
            grow(branch, &random);
        }
    }
    for (size_t i = 0; i < MOST; i++) {
        if (branches[i].session)
            check_logits(engine, branches[i].session, &branches[i].tokens, kv);
        /* Closing one leaves the others right. */
        session_close(branches[i].session);
        tokens_deinit(&branches[i].tokens);
    }
    engine_close(engine);
}

static void random_trees_are_right_on_every_side(void **state)
{
    (void)state;
    random_tree("llama-gqa", KV_F16, 1);
    random_tree("qwen3", KV_Q8_0, 2);
    random_tree("qwen3moe", KV_F32, 3);
    random_tree("lite-q8_0", KV_F16, 4);
    random_tree("lite-q8_0", KV_F16, 5);
}

static void a_fork_goes_on_where_it_was(void **state)
{
    (void)state;
    struct engine *engine = open_small("qwen3", NULL, 2);
    struct session *session = open_session(engine, (struct session_options){.n_ctx = N_CTX}), *fork, *empty;
    /* Of nothing, too. */
    assert_int_equal(session_fork(session, &empty, NULL), STATUS_OK);
    assert_null(session_logits(empty));
    struct tokens tokens = {0};
    for (int32_t i = 0; i < 40; i++)
        tokens_append(&tokens, (i * 37 + 11) % 256);
    sync_all(session, &tokens, NULL);
    assert_int_equal(session_fork(session, &fork, NULL), STATUS_OK);
    assert_memory_equal(session_logits(fork), session_logits(session),
                        (size_t)engine_n_vocab(engine) * sizeof *session_logits(fork));
    assert_int_equal(session_n_ctx(fork), N_CTX);
    /* Nothing is evaluated again. */
    struct sync_report report;
    sync_all(fork, &tokens, &report);
    assert_int_equal(report.n_reused, 40);
    assert_int_equal(report.n_evaluated, 0);
    tokens_append(&tokens, 7);
    sync_all(fork, &tokens, &report);
    assert_int_equal(report.n_evaluated, 1);
    sync_all(empty, &tokens, &report);
    assert_int_equal(report.n_evaluated, 41);
    session_close(session);
    tokens_append(&tokens, 8);
    sync_all(fork, &tokens, &report);
    assert_int_equal(report.n_evaluated, 1);
    session_close(fork);
    session_close(empty);
    tokens_deinit(&tokens);
    engine_close(engine);
}

static void memory_is_told(void **state)
{
    (void)state;
    struct engine *engine = open_small("llama-gqa", NULL, 1);
    struct session *session = open_session(engine, (struct session_options){.n_ctx = 2000, .n_slice = 1000}), *fork;
    struct tokens tokens = {0};
    for (int32_t i = 0; i < 1500; i++)
        tokens_append(&tokens, i % 256);
    assert_int_equal(session_kv_bytes(session), 0);
    sync_all(session, &tokens, NULL);
    size_t each = session_kv_bytes_per_token(session), held = session_kv_bytes(session);
    assert_int_equal(each, 2 * 2 * 16 * 2 * 2); /* layers, heads, width, bytes, keys and values */
    assert_true(held >= 1500 * each && held < 1700 * each);
    assert_int_equal(session_kv_shared_bytes(session), 0);
    assert_int_equal(session_fork(session, &fork, NULL), STATUS_OK);
    assert_int_equal(session_kv_bytes(fork), held);
    assert_int_equal(session_kv_shared_bytes(fork), held);
    assert_int_equal(session_append(fork, 1, NULL), STATUS_OK);
    assert_int_equal(session_kv_bytes(fork), held);
    assert_true(session_kv_shared_bytes(fork) < held && session_kv_shared_bytes(fork) > held / 2);
    assert_int_equal(session_kv_shared_bytes(fork), session_kv_shared_bytes(session));
    session_close(session);
    assert_int_equal(session_kv_shared_bytes(fork), 0);
    session_close(fork);
    tokens_deinit(&tokens);
    engine_close(engine);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_trees_are_right_on_every_side),
        cmocka_unit_test(a_fork_goes_on_where_it_was),
        cmocka_unit_test(memory_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
