/* Tests the next tokens of several sessions at once: every session gets the numbers, to the bit, that it gets alone, for every
 * small shape and every instruction set of this machine; and what becomes of them when something is wrong. */
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

enum { SMALL_VOCABULARY = 1000, N_CTX = 96, N_SESSIONS = 19, N_STEPS = 5 };

static int32_t arbitrary_id(unsigned *state)
{
    *state = *state * 1664525u + 1013904223u;
    return (int32_t)(*state >> 8) % 256;
}

static struct tokens prompt_of(int i)
{
    struct tokens ids = {0};
    unsigned state = (unsigned)i * 77 + 5;
    for (int k = 0; k < 1 + i * 4 % 67; k++)
        tokens_append(&ids, arbitrary_id(&state));
    return ids;
}

/* Sessions of different lengths, some of them forks of the one before with another text behind. */
static void open_all(struct engine *engine, struct session *sessions[N_SESSIONS], bool drafts)
{
    for (int i = 0; i < N_SESSIONS; i++) {
        if (i % 3 == 2) {
            assert_int_equal(session_fork(sessions[i - 1], &sessions[i], NULL), STATUS_OK);
            continue;
        }
        sessions[i] = open_session(engine, (struct session_options){.n_ctx = N_CTX, .n_slice = 32, .drafts = drafts});
        struct tokens prompt = prompt_of(i);
        sync_all(sessions[i], &prompt, NULL);
        tokens_deinit(&prompt);
    }
}

static void close_all(struct session *sessions[N_SESSIONS])
{
    for (int i = 0; i < N_SESSIONS; i++)
        session_close(sessions[i]);
}

static void assert_same_logits(const struct session *a, const struct session *b, size_t n_vocab, const char *what)
{
    size_t n_a, n_b;
    const int32_t *ids_a = session_tokens(a, &n_a), *ids_b = session_tokens(b, &n_b);
    assert_int_equal(n_a, n_b);
    assert_memory_equal(ids_a, ids_b, n_a * sizeof *ids_a);
    if (memcmp(session_logits(a), session_logits(b), n_vocab * sizeof(float)) != 0)
        fail_msg("%s: behind %zu tokens, other numbers in company than alone", what, n_a);
}

static void check_shape(const char *shape, const char *cpu, bool drafts)
{
    struct engine *engine = open_small(shape, cpu, 2);
    size_t n_vocab = (size_t)engine_n_vocab(engine);
    struct session *together[N_SESSIONS], *alone[N_SESSIONS];
    open_all(engine, together, drafts);
    open_all(engine, alone, false);
    char what[96];
    snprintf(what, sizeof what, "%s, %s", shape, cpu);
    unsigned state = 1;
    for (int step = 0; step < N_STEPS; step++) {
        int32_t ids[N_SESSIONS];
        for (int i = 0; i < N_SESSIONS; i++) {
            ids[i] = arbitrary_id(&state);
            /* In between some go on alone, where what lies ahead may be what comes next. */
            if (drafts && (i + step) % 4 == 0)
                assert_int_equal(session_append(together[i], ids[i], NULL), STATUS_OK);
        }
        struct session *rest[N_SESSIONS];
        int32_t next[N_SESSIONS];
        size_t n = 0;
        for (int i = 0; i < N_SESSIONS; i++)
            if (!drafts || (i + step) % 4 != 0) {
                rest[n] = together[i];
                next[n++] = ids[i];
            }
        assert_int_equal(session_append_many(rest, next, n, NULL, NULL), STATUS_OK);
        for (int i = 0; i < N_SESSIONS; i++) {
            assert_int_equal(session_append(alone[i], ids[i], NULL), STATUS_OK);
            assert_same_logits(together[i], alone[i], n_vocab, what);
        }
    }
    close_all(together);
    close_all(alone);
    engine_close(engine);
}

static void sessions_get_the_numbers_that_they_get_alone(void **state)
{
    (void)state;
    size_t n_checked = 0, every = test_slowness() < 4 ? 1 : 3;
    for (size_t set = 0; cpu_kernels_at(set); set++)
        for (size_t i = 0; cpu_kernels_at(set)->is_available() && synth_shape_at(i); i++)
            if (synth_shape_at(i)->n_vocab < SMALL_VOCABULARY && (i + set) % every == 0) {
                check_shape(synth_shape_at(i)->name, cpu_kernels_at(set)->name, i % 2);
                n_checked++;
            }
    assert_true(n_checked >= 4);
}

/* What was evaluated ahead of a session is taken in company where it comes, and void where something else does. */
static void what_lies_ahead_is_taken_or_void(void **state)
{
    (void)state;
    struct engine *engine = open_small("llama", NULL, 2);
    size_t n_vocab = (size_t)engine_n_vocab(engine);
    const struct session_options options = {.n_ctx = N_CTX, .n_slice = 32, .drafts = true};
    struct session *pair[2] = {open_session(engine, options), open_session(engine, options)};
    struct session *alone = open_session(engine, (struct session_options){.n_ctx = N_CTX, .n_slice = 32});
    struct tokens prompt = {0};
    for (int i = 0; i < 30; i++)
        tokens_append(&prompt, 40 + i % 6);
    sync_all(pair[0], &prompt, NULL);
    sync_all(alone, &prompt, NULL);
    struct tokens other = prompt_of(3);
    sync_all(pair[1], &other, NULL);
    for (int i = 0; i < 24; i++) {
        int32_t id = i % 8 == 7 ? 3 : 40 + i % 6; /* now and then what nobody guessed */
        const int32_t guessed[] = {id, 40 + (i + 1) % 6, 40 + (i + 2) % 6, 40 + (i + 3) % 6};
        uint64_t before = session_draft_counts(pair[0]).n_accepted;
        size_t n_ahead = (size_t)(pair[0]->ahead.n - pair[0]->ahead.n_taken);
        if (i % 4 == 0)
            assert_int_equal(ahead_evaluate(pair[0], guessed, 4, NULL), STATUS_OK);
        else
            assert_int_equal(session_append_many(pair, (int32_t[]){id, 9}, 2, NULL, NULL), STATUS_OK);
        if (i % 4 != 0 && id != 3) { /* taken: nothing else lies ahead than before, but for one */
            assert_int_equal(n_ahead - 1, pair[0]->ahead.n - pair[0]->ahead.n_taken);
            assert_int_equal(session_draft_counts(pair[0]).n_accepted, before + 1);
        }
        assert_int_equal(session_append(alone, id, NULL), STATUS_OK);
        assert_same_logits(pair[0], alone, n_vocab, "with guesses");
    }
    tokens_deinit(&prompt);
    tokens_deinit(&other);
    session_close(pair[0]);
    session_close(pair[1]);
    session_close(alone);
    engine_close(engine);
}

static void wrong_batches_change_nothing(void **state)
{
    (void)state;
    struct engine *engine = open_small("llama", NULL, 2), *another = open_small("llama", NULL, 1);
    size_t n_vocab = (size_t)engine_n_vocab(engine), n;
    struct session *sessions[3] = {0};
    struct tokens ids = prompt_of(2);
    for (int i = 0; i < 2; i++) {
        sessions[i] = open_session(engine, (struct session_options){.n_ctx = i ? (int32_t)ids.n : N_CTX, .n_slice = 8});
        sync_all(sessions[i], &ids, NULL);
    }
    sessions[2] = open_session(another, (struct session_options){.n_ctx = N_CTX});
    sync_all(sessions[2], &ids, NULL);
    float *before = calloc(n_vocab, sizeof *before);
    assert_non_null(before);
    memcpy(before, session_logits(sessions[0]), n_vocab * sizeof *before);
    struct session *const twice[] = {sessions[0], sessions[0]}, *const engines[] = {sessions[0], sessions[2]};
    struct error error;
    assert_int_equal(session_append_many(twice, (int32_t[]){1, 2}, 2, NULL, &error), STATUS_ARGUMENT);
    assert_int_equal(session_append_many(engines, (int32_t[]){1, 2}, 2, NULL, &error), STATUS_ARGUMENT);
    assert_int_equal(session_append_many(sessions, (int32_t[]){1, 2}, 2, NULL, &error), STATUS_RANGE);
    assert_non_null(strstr(error.text, "full"));
    assert_int_equal(session_append_many(sessions, (int32_t[]){-1}, 1, NULL, &error), STATUS_RANGE);
    atomic_bool cancel = true;
    assert_int_equal(session_append_many(sessions, (int32_t[]){1}, 1, &cancel, &error), STATUS_CANCELLED);
    assert_int_equal(session_append_many(sessions, NULL, 0, NULL, &error), STATUS_OK);
    session_tokens(sessions[0], &n);
    assert_int_equal(n, ids.n);
    assert_memory_equal(session_logits(sessions[0]), before, n_vocab * sizeof *before);
    /* And it goes on as if nothing had been. */
    struct session *fresh = open_session(engine, (struct session_options){.n_ctx = N_CTX, .n_slice = 8});
    sync_all(fresh, &ids, NULL);
    assert_int_equal(session_append(fresh, 7, NULL), STATUS_OK);
    assert_int_equal(session_append_many(sessions, (int32_t[]){7}, 1, NULL, &error), STATUS_OK);
    assert_same_logits(sessions[0], fresh, n_vocab, "after failures");
    session_close(fresh);
    for (int i = 0; i < 3; i++)
        session_close(sessions[i]);
    free(before);
    tokens_deinit(&ids);
    engine_close(engine);
    engine_close(another);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sessions_get_the_numbers_that_they_get_alone),
        cmocka_unit_test(what_lies_ahead_is_taken_or_void),
        cmocka_unit_test(wrong_batches_change_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
