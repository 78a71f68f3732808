/* Tests taking tokens out of a session.
 *
 * In a model of one layer a cell depends on its token and position alone, so after a shift the session must be what a new one
 * computes of the tokens that stay: that holds turning keys against rope itself, for every kind of it.  In deeper models the
 * cells remember what was taken out; what is held there is that forks don't notice, and that it is near. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/engine_fixture.h"

enum { N_CTX = 160 };

static struct tokens make_tokens(size_t n)
{
    struct tokens tokens = {0};
    for (size_t i = 0; i < n; i++)
        tokens_append(&tokens, (int32_t)((i * 37 + i / 7 + 11) % 251));
    assert_false(tokens.failed);
    return tokens;
}

static void take_out(struct tokens *tokens, size_t from, size_t n)
{
    memmove(tokens->ids + from, tokens->ids + from + n, (tokens->n - from - n) * sizeof *tokens->ids);
    tokens->n -= n;
}

static void shift(struct session *session, size_t from, size_t n)
{
    struct error error = {0};
    if (session_shift(session, from, n, &error))
        fail_msg("%s", error.text);
}

static double greatest_difference(struct engine *engine, const struct session *a, const struct session *b)
{
    double greatest = 0;
    assert_non_null(session_logits(a));
    assert_non_null(session_logits(b));
    for (int32_t i = 0; i < engine_n_vocab(engine); i++)
        greatest = fmax(greatest, fabs((double)session_logits(a)[i] - (double)session_logits(b)[i]));
    return greatest;
}

/* How far the logits of one more token are from those of a session that never had what was taken out. */
static double distance_from_fresh(struct engine *engine, struct session *session, const struct tokens *tokens,
                                  enum kv_type kv)
{
    struct session *fresh = open_session(engine, (struct session_options){.n_ctx = N_CTX, .n_slice = 1, .kv = kv});
    struct tokens more = {0};
    struct sync_report report;
    tokens_append_all(&more, tokens->ids, tokens->n);
    tokens_append(&more, 77);
    sync_all(session, &more, &report);
    assert_int_equal(report.n_evaluated, 1);
    sync_all(fresh, &more, NULL);
    double difference = greatest_difference(engine, session, fresh);
    session_close(fresh);
    tokens_deinit(&more);
    return difference;
}

static void one_layer_is_exact(const char *name, enum kv_type kv, double tolerance)
{
    struct synth_shape shape = *synth_shape_find(name);
    assert_true(synth_shape_set(&shape, "n_layer", 1));
    if (kv == KV_Q8_0 && shape.kv_lora_rank)
        assert_true(synth_shape_set(&shape, "n_rot", 32)); /* a block */
    struct engine *engine = open_synth(&shape, NULL, 2);
    struct session *session = open_session(engine, (struct session_options){.n_ctx = N_CTX, .n_slice = 1, .kv = kv});
    struct tokens tokens = make_tokens(150);
    const size_t cuts[][2] = {{5, 1}, {0, 20}, {30, 64}, {10, 50}};
    double worst = 0;
    sync_all(session, &tokens, NULL);
    for (size_t i = 0; i < sizeof cuts / sizeof *cuts; i++) {
        shift(session, cuts[i][0], cuts[i][1]);
        take_out(&tokens, cuts[i][0], cuts[i][1]);
        double difference = distance_from_fresh(engine, session, &tokens, kv);
        if (!(difference <= tolerance))
            fail_msg("%s: after cut %zu a logit differs by %g", name, i, difference);
        worst = fmax(worst, difference);
        tokens_append(&tokens, 77);
    }
    print_message("  %s: logits differ by at most %.2g\n", name, worst);
    tokens_deinit(&tokens);
    session_close(session);
    engine_close(engine);
}

static void keys_turn_as_rope_turned_them(void **state)
{
    (void)state;
    const char *const shapes[] = {"llama",    "llama-3.1",  "llama-linear",      "qwen2-yarn", "qwen3",
                                  "qwen3moe", "starcoder2", "starcoder2-window", "lite-old",   "lite-q8_0"};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        one_layer_is_exact(shapes[i], KV_F32, 1e-3);
        one_layer_is_exact(shapes[i], KV_F16, 1e-2);
    }
    one_layer_is_exact("qwen3", KV_Q8_0, 0.2);
    one_layer_is_exact("lite-q8_0", KV_Q8_0, 0.2);
}

/* Rounding adds up slowly, as steps in random directions do: logits are spread over a few units here. */
static void many_shifts_stay_near(void **state)
{
    (void)state;
    struct synth_shape shape = *synth_shape_find("qwen3");
    assert_true(synth_shape_set(&shape, "n_layer", 1));
    struct engine *engine = open_synth(&shape, NULL, 1);
    const enum kv_type kvs[] = {KV_F32, KV_F16, KV_Q8_0};
    const double tolerances[] = {1e-3, 0.2, 1.5};
    for (size_t k = 0; k < 3; k++) {
        struct session *session =
            open_session(engine, (struct session_options){.n_ctx = N_CTX, .n_slice = 1, .kv = kvs[k]});
        struct tokens tokens = make_tokens(150);
        sync_all(session, &tokens, NULL);
        for (int i = 0; i < 100; i++) {
            shift(session, 4, 1);
            take_out(&tokens, 4, 1);
        }
        double difference = distance_from_fresh(engine, session, &tokens, kvs[k]);
        print_message("  100 shifts change a logit by %.2g\n", difference);
        assert_true(difference <= tolerances[k]);
        tokens_deinit(&tokens);
        session_close(session);
    }
    engine_close(engine);
}

static void forks_do_not_notice(void **state)
{
    (void)state;
    const char *const shapes[] = {"llama-gqa", "lite-q8_0"};
    for (size_t i = 0; i < 2; i++) {
        struct engine *engine = open_small(shapes[i], NULL, 2);
        struct session_options options = {.n_ctx = N_CTX, .n_slice = 1};
        struct session *session = open_session(engine, options), *alone = open_session(engine, options), *fork;
        struct tokens tokens = make_tokens(150), whole = make_tokens(150);
        sync_all(session, &tokens, NULL);
        sync_all(alone, &tokens, NULL);
        assert_int_equal(session_fork(session, &fork, NULL), STATUS_OK);
        shift(session, 10, 60);
        shift(alone, 10, 60);
        take_out(&tokens, 10, 60);
        /* The last token's logits stay. */
        assert_memory_equal(session_logits(session), session_logits(fork),
                            (size_t)engine_n_vocab(engine) * sizeof(float));
        tokens_append(&tokens, 5);
        sync_all(session, &tokens, NULL);
        sync_all(alone, &tokens, NULL);
        assert_true(greatest_difference(engine, session, alone) == 0);
        assert_true(distance_from_fresh(engine, fork, &whole, KV_F16) == 0);
        session_close(fork);
        session_close(alone);
        session_close(session);
        tokens_deinit(&tokens);
        tokens_deinit(&whole);
        engine_close(engine);
    }
}

/* Tokens that were evaluated ahead of being asked for stand behind the session's: they are not what follows after a shift,
 * nor in a fork. */
static void what_lies_ahead_is_void(void **state)
{
    (void)state;
    struct engine *engine = open_small("llama-gqa", NULL, 1);
    struct session_options options = {.n_ctx = N_CTX};
    struct session *plain = open_session(engine, options), *drafting, *fork;
    options.drafts = true;
    drafting = open_session(engine, options);
    struct tokens tokens = {0};
    for (int32_t i = 0; i < 100; i++)
        tokens_append(&tokens, 60 + i % 9);
    sync_all(plain, &tokens, NULL);
    sync_all(drafting, &tokens, NULL);
    bool was_ahead = false;
    for (int32_t i = 100; i < 140; i++) {
        assert_int_equal(session_append(plain, 60 + i % 9, NULL), STATUS_OK);
        assert_int_equal(session_append(drafting, 60 + i % 9, NULL), STATUS_OK);
        assert_true(greatest_difference(engine, plain, drafting) == 0);
        was_ahead |= session_draft_counts(drafting).n_accepted > 0;
        if (i % 7)
            continue;
        assert_int_equal(session_fork(drafting, &fork, NULL), STATUS_OK);
        shift(plain, 30, 9);
        shift(drafting, 30, 9);
        shift(fork, 30, 9);
        session_close(drafting);
        drafting = fork;
        assert_true(greatest_difference(engine, plain, drafting) == 0);
    }
    assert_true(was_ahead);
    session_close(plain);
    session_close(drafting);
    tokens_deinit(&tokens);
    engine_close(engine);
}

static void borders(void **state)
{
    (void)state;
    struct engine *engine = open_small("llama-gqa", NULL, 1);
    struct session *session = open_session(engine, (struct session_options){.n_ctx = N_CTX, .n_slice = 1});
    struct tokens tokens = make_tokens(60);
    struct error error = {0};
    sync_all(session, &tokens, NULL);
    assert_int_equal(session_shift(session, 61, 0, &error), STATUS_RANGE);
    assert_int_equal(session_shift(session, 50, 11, &error), STATUS_RANGE);
    assert_int_equal(session_shift(session, 1, SIZE_MAX, &error), STATUS_RANGE);
    shift(session, 60, 0);
    assert_non_null(session_logits(session));
    shift(session, 0, 0);
    assert_non_null(session_logits(session));
    size_t n;
    session_tokens(session, &n);
    assert_int_equal(n, 60);
    /* The end is cut off: then it is exact in any model. */
    shift(session, 40, 20);
    assert_null(session_logits(session));
    tokens.n = 40;
    assert_true(distance_from_fresh(engine, session, &tokens, KV_F16) == 0);
    shift(session, 0, 41);
    session_tokens(session, &n);
    assert_int_equal(n, 0);
    tokens.n = 30;
    sync_all(session, &tokens, NULL);
    assert_true(distance_from_fresh(engine, session, &tokens, KV_F16) == 0);
    tokens_deinit(&tokens);
    session_close(session);
    engine_close(engine);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_turn_as_rope_turned_them),
        cmocka_unit_test(many_shifts_stay_near),
        cmocka_unit_test(forks_do_not_notice),
        cmocka_unit_test(what_lies_ahead_is_void),
        cmocka_unit_test(borders),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
