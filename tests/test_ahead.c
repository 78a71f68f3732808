/* Tests tokens evaluated in advance: the numbers are to the bit those of tokens one by one, for every small shape and every
 * instruction set of this machine; what is sampled is the same with and without drafts; and what voids what lies ahead. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/cpu_kernels.h"
#include "engine/session_private.h"
#include "tests/engine_fixture.h"
#include "tests/synth_shapes.h"

enum { SMALL_VOCABULARY = 1000, LONGEST = DRAFT_MAX + 1 };

/* ---- the same numbers ---- */

static struct tokens arbitrary(int32_t n)
{
    struct tokens ids = {0};
    uint64_t seed = 11;
    for (int32_t i = 0; i < n; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u; /* Knuth's MMIX */
        tokens_append(&ids, (int32_t)((seed >> 33) % 256));
    }
    return ids;
}

static struct session *open_drafting(struct engine *engine, enum kv_type kv)
{
    return open_session(engine, (struct session_options){.n_ctx = 128, .n_slice = 64, .kv = kv, .drafts = true});
}

/* Rows of logits after each of the last n tokens of ids, evaluated one by one; yours to free. */
static float *one_by_one(struct engine *engine, enum kv_type kv, const struct tokens *ids, size_t n)
{
    size_t n_vocab = (size_t)engine_n_vocab(engine);
    float *rows = calloc(n * n_vocab, sizeof *rows);
    assert_non_null(rows);
    struct session *session = open_session(engine, (struct session_options){.n_ctx = 128, .n_slice = 64, .kv = kv});
    const struct tokens prompt = {.ids = ids->ids, .n = ids->n - n};
    sync_all(session, &prompt, NULL);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(session_append(session, ids->ids[prompt.n + i], NULL), STATUS_OK);
        memcpy(rows + i * n_vocab, session_logits(session), n_vocab * sizeof *rows);
    }
    session_close(session);
    return rows;
}

/* Slices of 2 tokens and more behind n_past others: each row as in `rows`, and the token after them too, which meets the cells
 * that they left. */
static void check_slices(struct engine *engine, enum kv_type kv, int32_t n_past, int32_t step, const char *what)
{
    size_t n_vocab = (size_t)engine_n_vocab(engine);
    struct tokens ids = arbitrary(n_past + LONGEST + 1);
    float *rows = one_by_one(engine, kv, &ids, LONGEST + 1);
    const struct tokens prompt = {.ids = ids.ids, .n = (size_t)n_past};
    int32_t longest = 2;
    for (int32_t n = 2; n <= longest; n += step) {
        struct session *session = open_drafting(engine, kv); /* reads its prompt in one slice, as the other did */
        longest = session->ahead.n_most + 1;
        assert_true(longest >= 2);
        sync_all(session, &prompt, NULL);
        assert_int_equal(ahead_evaluate(session, ids.ids + n_past, n, NULL), STATUS_OK);
        for (int32_t i = 0; i <= n; i++) {
            if (i > 0)
                assert_int_equal(session_append(session, ids.ids[n_past + i], NULL), STATUS_OK);
            size_t n_tokens;
            assert_int_equal(session_tokens(session, &n_tokens)[n_past + i], ids.ids[n_past + i]);
            assert_int_equal(n_tokens, n_past + i + 1);
            if (memcmp(session_logits(session), rows + (size_t)i * n_vocab, n_vocab * sizeof *rows) != 0)
                fail_msg("%s: behind %d tokens, of a slice of %d the token %d has other logits than alone", what,
                         n_past, n, i);
        }
        session_close(session);
    }
    free(rows);
    tokens_deinit(&ids);
}

/* Caches that the shape's widths fit. */
static bool fits(const struct synth_shape *shape, enum kv_type kv)
{
    int32_t k = shape->kv_lora_rank   ? shape->kv_lora_rank + shape->n_rot
                : shape->n_head_width ? shape->n_head_width
                                      : shape->n_embd / shape->n_head;
    return kv != KV_Q8_0 || (k % 32 == 0 && (!shape->kv_lora_rank || shape->kv_lora_rank % 32 == 0));
}

static void check_shape(const struct synth_shape *shape, const char *cpu)
{
    /* Attention takes cells in blocks of 32: within the first, across its end, behind it. */
    static const struct {
        enum kv_type kv;
        int32_t n_past, step;
    } runs[] = {{KV_F16, 24, 1}, {KV_F16, 3, 7}, {KV_F16, 40, 7}, {KV_F32, 20, 7}, {KV_Q8_0, 20, 7}};
    struct engine *engine = open_small(shape->name, cpu, 1);
    size_t n_runs = test_slowness() < 50 ? sizeof runs / sizeof *runs : 1;
    for (size_t i = 0; i < n_runs; i++) {
        char what[96];
        snprintf(what, sizeof what, "%s, %s, cache %d", shape->name, cpu, (int)runs[i].kv);
        /* Plain C, slow as it is, has no two ways to a number. */
        int32_t step = strcmp(cpu, "scalar") == 0 || n_runs == 1 ? 7 : runs[i].step;
        if (fits(shape, runs[i].kv))
            check_slices(engine, runs[i].kv, runs[i].n_past, step, what);
    }
    engine_close(engine);
}

static void slices_give_the_numbers_of_single_tokens(void **state)
{
    (void)state;
    size_t n_checked = 0;
    for (size_t set = 0; cpu_kernels_at(set); set++)
        for (size_t i = 0; cpu_kernels_at(set)->is_available() && synth_shape_at(i); i++)
            if (synth_shape_at(i)->n_vocab < SMALL_VOCABULARY) {
                check_shape(synth_shape_at(i), cpu_kernels_at(set)->name);
                n_checked++;
            }
    assert_true(n_checked >= 20);
}

/* ---- the same answers ---- */

static const struct sampler_options samplings[] = {
    {.top_p = 1, .repeat_penalty = 1, .penalty_window = -1},
    {.temperature = 0.3f, .top_k = 40, .top_p = 0.95f, .repeat_penalty = 1, .penalty_window = -1, .seed = 1},
    {.temperature = 0.05f, .top_p = 1, .min_p = 0.05f, .repeat_penalty = 1.1f, .penalty_window = 16, .seed = 2},
    {.temperature = 0.7f,
     .top_p = 0.9f,
     .repeat_penalty = 1,
     .frequency_penalty = 0.1f,
     .penalty_window = -1,
     .seed = 3},
};

/* A prompt of a small language that repeats itself. */
static struct tokens repetitive(uint64_t seed, int32_t n)
{
    struct tokens ids = {0};
    for (int32_t i = 0; i < n; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u; /* Knuth's MMIX */
        tokens_append(&ids, i < 20 || (seed >> 33) % 9 == 0 ? (int32_t)((seed >> 33) % 200) : ids.ids[i - 20]);
    }
    return ids;
}

/* n tokens after prompt.  With `answer`, what is known to come is drafted, now and then with a wrong token in it: more is taken
 * and more is thrown away than a session's own drafts would risk. */
static struct tokens sample(struct engine *engine, struct session *session, const struct sampler_options *sampling,
                            const struct tokens *prompt, size_t n, const struct tokens *answer)
{
    struct tokens said = {0};
    struct sampler *sampler = NULL;
    uint64_t seed = 17;
    assert_int_equal(sampler_new(sampling, engine_n_vocab(engine), &sampler, NULL), STATUS_OK);
    sync_all(session, prompt, NULL);
    while (said.n < n) {
        int32_t id, ids[LONGEST], n_ids = 1;
        const struct ahead *ahead = &session->ahead;
        assert_int_equal(sampler_pick(sampler, session_logits(session), &id, NULL), STATUS_OK);
        sampler_accept(sampler, id);
        tokens_append(&said, id);
        bool is_ahead = ahead->n_taken < ahead->n && ahead->ids[ahead->n_taken] == id;
        if (!answer || is_ahead) {
            assert_int_equal(session_append(session, id, NULL), STATUS_OK);
            continue;
        }
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        int32_t wanted = (int32_t)(seed >> 33) % LONGEST;
        for (ids[0] = id; n_ids <= wanted && n_ids <= ahead->n_most && said.n + (size_t)n_ids < n; n_ids++)
            ids[n_ids] = (seed >> (n_ids + 8)) % 8 == 0 ? 7 : answer->ids[said.n + (size_t)n_ids - 1];
        assert_int_equal(ahead_evaluate(session, ids, n_ids, NULL), STATUS_OK);
    }
    sampler_free(sampler);
    return said;
}

static void expect_same(const struct tokens *a, const struct tokens *b, const char *what)
{
    if (a->n != b->n || memcmp(a->ids, b->ids, a->n * sizeof *a->ids) != 0)
        fail_msg("%s: other tokens with drafts than without", what);
}

static void answers_are_the_same(void **state)
{
    (void)state;
    static const char *const shapes[] = {"llama-gqa", "qwen3moe", "starcoder2-window", "lite-q4_k_m", "v3"};
    uint64_t n_drafted = 0, n_accepted = 0;
    size_t n = test_slowness() < 50 ? 200 : 30;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        struct engine *engine = open_small(shapes[i], NULL, 2);
        struct session_options options = {.n_ctx = 400, .n_slice = 64};
        struct session *without = open_session(engine, options);
        options.drafts = true;
        struct session *with = open_session(engine, options);
        for (size_t k = 0; k < sizeof samplings / sizeof *samplings; k++) {
            struct tokens prompt = repetitive(k + 1, 120), nothing = {0};
            struct tokens plain = sample(engine, without, &samplings[k], &prompt, n, NULL);
            struct tokens own = sample(engine, with, &samplings[k], &prompt, n, NULL);
            /* From the beginning again, as the others: how a prompt is cut into slices shows in the last bits. */
            tokens_append(&nothing, 0);
            sync_all(with, &nothing, NULL);
            struct tokens told = sample(engine, with, &samplings[k], &prompt, n, &plain);
            expect_same(&plain, &own, shapes[i]);
            expect_same(&plain, &told, shapes[i]);
            sync_all(with, &nothing, NULL);
            sync_all(without, &nothing, NULL);
            tokens_deinit(&prompt);
            tokens_deinit(&plain);
            tokens_deinit(&own);
            tokens_deinit(&told);
            tokens_deinit(&nothing);
        }
        n_drafted += session_draft_counts(with).n_drafted;
        n_accepted += session_draft_counts(with).n_accepted;
        session_close(with);
        session_close(without);
        engine_close(engine);
    }
    print_message("  drafted %llu tokens, of which %llu came, the told ones too\n", (unsigned long long)n_drafted,
                  (unsigned long long)n_accepted);
    assert_true(n_accepted > 0);
}

/* ---- what voids what lies ahead ---- */

/* The session's logits are those of its tokens read by a session without drafts. */
static void expect_true_logits(struct engine *engine, const struct session *session)
{
    size_t n;
    const int32_t *ids = session_tokens(session, &n);
    struct session *other = open_session(engine, (struct session_options){.n_ctx = 128, .n_slice = 64});
    sync_all(other, &(struct tokens){.ids = (int32_t[]){ids[0]}, .n = 1}, NULL);
    for (size_t i = 1; i < n; i++)
        assert_int_equal(session_append(other, ids[i], NULL), STATUS_OK);
    assert_memory_equal(session_logits(session), session_logits(other), (size_t)engine_n_vocab(engine) * sizeof(float));
    session_close(other);
}

static void another_token_voids_what_lies_ahead(void **state)
{
    (void)state;
    struct engine *engine = open_small("qwen3moe", NULL, 2);
    struct session *session = open_drafting(engine, KV_F16);
    const int32_t first = 1, ids[] = {2, 3};
    sync_all(session, &(struct tokens){.ids = (int32_t[]){first}, .n = 1}, NULL);
    assert_int_equal(ahead_evaluate(session, ids, 2, NULL), STATUS_OK);
    expect_true_logits(engine, session);
    assert_int_equal(session_append(session, 9, NULL), STATUS_OK);
    expect_true_logits(engine, session);
    assert_int_equal(session_append(session, 3, NULL), STATUS_OK); /* it lay ahead of another token */
    expect_true_logits(engine, session);
    session_close(session);
    engine_close(engine);
}

static void a_sync_voids_what_lies_ahead(void **state)
{
    (void)state;
    struct engine *engine = open_small("lite-new", NULL, 2);
    struct session *session = open_drafting(engine, KV_F16);
    sync_all(session, &(struct tokens){.ids = (int32_t[]){1}, .n = 1}, NULL);
    assert_int_equal(ahead_evaluate(session, (const int32_t[]){2, 3}, 2, NULL), STATUS_OK);
    sync_all(session, &(struct tokens){.ids = (int32_t[]){1, 8}, .n = 2}, NULL); /* as long, and another end */
    expect_true_logits(engine, session);
    assert_int_equal(session_append(session, 3, NULL), STATUS_OK);
    expect_true_logits(engine, session);
    /* One that changes nothing leaves it. */
    assert_int_equal(ahead_evaluate(session, (const int32_t[]){4, 5}, 2, NULL), STATUS_OK);
    struct sync_report report;
    sync_all(session, &(struct tokens){.ids = (int32_t[]){1, 8, 3, 4}, .n = 4}, &report);
    assert_int_equal(report.n_evaluated, 0);
    assert_int_equal(session_append(session, 5, NULL), STATUS_OK);
    assert_int_equal(session->ahead.n_taken, 1);
    expect_true_logits(engine, session);
    session_close(session);
    engine_close(engine);
}

/* A fork goes its own way from the tokens that both have. */
static void a_fork_has_what_lies_ahead_of_nobody(void **state)
{
    (void)state;
    struct engine *engine = open_small("qwen3moe", NULL, 2);
    struct session *session = open_drafting(engine, KV_F16), *fork = NULL;
    sync_all(session, &(struct tokens){.ids = (int32_t[]){1}, .n = 1}, NULL);
    assert_int_equal(ahead_evaluate(session, (const int32_t[]){2, 3, 4}, 3, NULL), STATUS_OK);
    assert_int_equal(session_append(session, 3, NULL), STATUS_OK);
    assert_int_equal(session_fork(session, &fork, NULL), STATUS_OK);
    expect_true_logits(engine, fork);
    assert_int_equal(session_append(fork, 7, NULL), STATUS_OK);
    expect_true_logits(engine, fork);
    assert_int_equal(session_append(session, 4, NULL), STATUS_OK);
    assert_int_equal(session->ahead.n_taken, 2);
    expect_true_logits(engine, session);
    session_close(session);
    assert_int_equal(session_append(fork, 4, NULL), STATUS_OK);
    expect_true_logits(engine, fork);
    session_close(fork);
    engine_close(engine);
}

static void drafts_end_with_the_context(void **state)
{
    (void)state;
    struct engine *engine = open_small("llama", NULL, 2);
    struct session *session = open_session(engine, (struct session_options){.n_ctx = 60, .drafts = true});
    struct error error = {0};
    sync_all(session, &(struct tokens){.ids = (int32_t[]){1}, .n = 1}, NULL);
    for (int32_t i = 1; i < 60; i++)
        assert_int_equal(session_append(session, 1 + i % 3, &error), STATUS_OK);
    assert_int_equal(session_append(session, 1, &error), STATUS_RANGE);
    expect_true_logits(engine, session);
    session_close(session);
    engine_close(engine);
}

static void a_cancelled_draft_leaves_the_tokens(void **state)
{
    (void)state;
    struct engine *engine = open_small("llama", NULL, 2);
    atomic_bool cancel = false;
    struct session *session =
        open_session(engine, (struct session_options){.n_ctx = 128, .drafts = true, .cancel = &cancel});
    size_t n;
    sync_all(session, &(struct tokens){.ids = (int32_t[]){1, 2, 3}, .n = 3}, NULL);
    atomic_store(&cancel, true);
    assert_int_equal(ahead_evaluate(session, (const int32_t[]){4, 5}, 2, NULL), STATUS_CANCELLED);
    session_tokens(session, &n);
    assert_int_equal(n, 3);
    assert_null(session_logits(session));
    atomic_store(&cancel, false);
    assert_int_equal(session_append(session, 4, NULL), STATUS_OK);
    assert_int_equal(session_append(session, 5, NULL), STATUS_OK);
    expect_true_logits(engine, session);
    session_close(session);
    engine_close(engine);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slices_give_the_numbers_of_single_tokens), cmocka_unit_test(answers_are_the_same),
        cmocka_unit_test(another_token_voids_what_lies_ahead),      cmocka_unit_test(a_sync_voids_what_lies_ahead),
        cmocka_unit_test(a_fork_has_what_lies_ahead_of_nobody),     cmocka_unit_test(drafts_end_with_the_context),
        cmocka_unit_test(a_cancelled_draft_leaves_the_tokens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
