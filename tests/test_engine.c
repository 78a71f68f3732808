/* Tests sessions on small models of random weights against themselves: slices, prefixes, threads, cancelling, generation. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/engine_fixture.h"

static struct tokens tokenize(const struct engine *engine, const char *text)
{
    struct tokens tokens = {0};
    assert_int_equal(engine_tokenize(engine, text, strlen(text), 0, &tokens, NULL), STATUS_OK);
    return tokens;
}

/* ---- a session against itself ---- */

static const char long_text[] =
    "A lease is granted for a time. When the time is over, the holder must ask again, or whoever granted it may give "
    "it "
    "to another. int64_t due = lease->granted + lease->ttl; if (clock_now() > due) table_unlink(table, lease);";

static void logits_of_slices(const char *shape, enum kv_type kv, int32_t n_slice, float *out)
{
    struct engine *engine = open_small(shape, NULL, 2);
    struct session *session =
        open_session(engine, (struct session_options){.n_ctx = 256, .n_slice = n_slice, .kv = kv});
    struct tokens tokens = tokenize(engine, long_text);
    sync_all(session, &tokens, NULL);
    memcpy(out, session_logits(session), (size_t)engine_n_vocab(engine) * sizeof *out);
    tokens_deinit(&tokens);
    session_close(session);
    engine_close(engine);
}

static double greatest_difference(const float *a, const float *b, int32_t n)
{
    double greatest = 0;
    for (int32_t i = 0; i < n; i++)
        greatest = fmax(greatest, fabs((double)a[i] - (double)b[i]));
    return greatest;
}

enum { N_VOCAB = 288 };

static void slices_of_any_length_give_the_same(void **state)
{
    (void)state;
    float *whole = calloc(N_VOCAB, sizeof *whole), *parts = calloc(N_VOCAB, sizeof *parts);
    logits_of_slices("lite-q8_0", KV_F32, 256, whole);
    const int32_t lengths[] = {1, 2, 3, 7, 32};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        logits_of_slices("lite-q8_0", KV_F32, lengths[i], parts);
        double difference = greatest_difference(whole, parts, N_VOCAB);
        print_message("  slices of %d: logits differ by at most %.2g\n", lengths[i], difference);
        if (difference > 2e-2)
            fail_msg("slices of %d change a logit by %g", lengths[i], difference);
    }
    free(whole);
    free(parts);
}

static void every_cache_type_gives_nearly_the_same(void **state)
{
    (void)state;
    float *exact = calloc(N_VOCAB, sizeof *exact), *packed = calloc(N_VOCAB, sizeof *packed);
    logits_of_slices("qwen3moe", KV_F32, 0, exact);
    logits_of_slices("qwen3moe", KV_F16, 0, packed);
    assert_true(greatest_difference(exact, packed, N_VOCAB) < 0.1);
    logits_of_slices("qwen3moe", KV_Q8_0, 0, packed);
    assert_true(greatest_difference(exact, packed, N_VOCAB) < 1.0);
    double of_bytes = greatest_difference(exact, packed, N_VOCAB);
    logits_of_slices("qwen3moe", KV_Q4_0, 0, packed);
    assert_true(greatest_difference(exact, packed, N_VOCAB) > of_bytes);
    assert_true(greatest_difference(exact, packed, N_VOCAB) > 0);
    free(exact);
    free(packed);
}

static void a_common_prefix_is_kept(void **state)
{
    (void)state;
    struct engine *engine = open_small("lite-q8_0", NULL, 2);
    struct session *session = open_session(engine, (struct session_options){.n_ctx = 256});
    struct tokens first = tokenize(engine, "The lease is over, and so is the table."),
                  second = tokenize(engine, "The lease is over, but nobody noticed.");
    assert_null(session_logits(session));
    struct sync_report report;
    sync_all(session, &first, &report);
    assert_int_equal(report.n_reused, 0);
    assert_int_equal(report.n_evaluated, first.n);
    float *fresh = malloc(N_VOCAB * sizeof *fresh);
    memcpy(fresh, session_logits(session), N_VOCAB * sizeof *fresh);
    sync_all(session, &first, &report);
    assert_int_equal(report.n_reused, first.n);
    assert_int_equal(report.n_evaluated, 0);
    size_t shared = 0;
    while (first.ids[shared] == second.ids[shared])
        shared++;
    sync_all(session, &second, &report);
    assert_int_equal(report.n_reused, shared);
    assert_int_equal(report.n_evaluated, second.n - shared);
    sync_all(session, &first, &report);
    assert_int_equal(report.n_reused, shared);
    assert_true(greatest_difference(fresh, session_logits(session), N_VOCAB) < 2e-2);
    /* A prefix of what is there: its last token is evaluated again, for its logits. */
    first.n = shared;
    sync_all(session, &first, &report);
    assert_int_equal(report.n_reused, shared - 1);
    assert_int_equal(report.n_evaluated, 1);
    size_t n;
    assert_memory_equal(session_tokens(session, &n), first.ids, shared * sizeof *first.ids);
    assert_int_equal(n, shared);
    free(fresh);
    tokens_deinit(&first);
    tokens_deinit(&second);
    session_close(session);
    engine_close(engine);
}

static void wrong_input_is_refused(void **state)
{
    (void)state;
    struct engine *engine = open_small("lite-q8_0", NULL, 1);
    struct session *session = open_session(engine, (struct session_options){.n_ctx = 4});
    struct error error;
    const int32_t ids[] = {1, 2, 3, 4, 5}, wrong[] = {1, 100000}, negative[] = {-1};
    assert_int_equal(session_sync(session, ids, 0, NULL, &error), STATUS_ARGUMENT);
    assert_int_equal(session_sync(session, ids, 5, NULL, &error), STATUS_RANGE);
    assert_non_null(strstr(error.text, "context of 4"));
    assert_int_equal(session_sync(session, wrong, 2, NULL, &error), STATUS_RANGE);
    assert_non_null(strstr(error.text, "100000"));
    assert_int_equal(session_sync(session, negative, 1, NULL, &error), STATUS_RANGE);
    assert_int_equal(session_sync(session, ids, 4, NULL, &error), STATUS_OK);
    assert_int_equal(session_append(session, 5, &error), STATUS_RANGE);
    assert_non_null(session_logits(session));
    session_close(session);
    const struct session_options bad = {.n_ctx = -1};
    assert_int_equal(session_open(engine, &bad, &session, &error), STATUS_ARGUMENT);
    engine_close(engine);
}

/* The flag is raised by the progress callback, after some slices were evaluated. */
static void raise_flag(void *context, const char *what, uint64_t done, uint64_t total)
{
    (void)what;
    (void)total;
    if (done >= 8)
        atomic_store((atomic_bool *)context, true);
}

static void cancelling_keeps_what_was_evaluated(void **state)
{
    (void)state;
    struct engine *engine = open_small("lite-q8_0", NULL, 2);
    atomic_bool cancel = false;
    struct session *session = open_session(
        engine,
        (struct session_options){
            .n_ctx = 256, .n_slice = 4, .cancel = &cancel, .progress = raise_flag, .progress_context = &cancel});
    struct tokens tokens = tokenize(engine, long_text);
    struct error error;
    struct sync_report report;
    assert_int_equal(session_sync(session, tokens.ids, tokens.n, &report, &error), STATUS_CANCELLED);
    assert_int_equal(report.n_evaluated, 8);
    size_t n;
    assert_memory_equal(session_tokens(session, &n), tokens.ids, 8 * sizeof *tokens.ids);
    assert_int_equal(n, 8);
    assert_null(session_logits(session));
    atomic_store(&cancel, false);
    struct session *again = open_session(engine, (struct session_options){.n_ctx = 256});
    sync_all(again, &tokens, NULL);
    tokens.n = 9; /* within the first slices, the flag is not raised */
    assert_int_equal(session_sync(session, tokens.ids, 9, &report, &error), STATUS_OK);
    assert_int_equal(report.n_reused, 8);
    session_close(again);
    session_close(session);
    tokens_deinit(&tokens);
    engine_close(engine);
}

/* ---- answers ---- */

static struct tokens greedy_tokens(const char *shape, const char *prompt, int n_threads)
{
    struct engine *engine = open_small(shape, NULL, n_threads);
    struct session *session = open_session(engine, (struct session_options){.n_ctx = 256});
    struct tokens tokens = tokenize(engine, prompt);
    sync_all(session, &tokens, NULL);
    struct tokens said = continue_greedily(engine, session, 24);
    size_t n;
    session_tokens(session, &n);
    assert_int_equal(n, tokens.n + said.n);
    tokens_deinit(&tokens);
    session_close(session);
    engine_close(engine);
    return said;
}

static void greedy_answers_do_not_depend_on_threads(void **state)
{
    (void)state;
    const char *shapes[] = {"lite-q8_0", "llama-gqa", "qwen3moe", "starcoder2"};
    const char *prompts[] = {"The capital of France is", "x"};
    size_t n_tokens = 0;
    for (size_t k = 0; k < sizeof shapes / sizeof *shapes; k++)
        for (size_t i = 0; i < sizeof prompts / sizeof *prompts; i++) {
            struct tokens first = greedy_tokens(shapes[k], prompts[i], 1);
            n_tokens += first.n;
            for (int n = 2; n <= 3; n++) {
                struct tokens other = greedy_tokens(shapes[k], prompts[i], n);
                assert_int_equal(first.n, other.n);
                assert_memory_equal(first.ids, other.ids, first.n * sizeof *first.ids);
                tokens_deinit(&other);
            }
            tokens_deinit(&first);
        }
    assert_true(n_tokens > 50);
}

/* ---- what opens and what doesn't ---- */

static void wrong_options_are_refused(void **state)
{
    (void)state;
    struct engine *engine = NULL;
    struct error error;
    struct engine_options options = {.model_path = "/nonexistent/model.gguf"};
    assert_int_equal(engine_open(&options, &engine, &error), STATUS_NOT_FOUND);
    assert_non_null(strstr(error.text, "/nonexistent/model.gguf"));
    options.model_path = "Makefile";
    assert_int_equal(engine_open(&options, &engine, &error), STATUS_FORMAT);
    options = (struct engine_options){.model_path = getenv("FATHOM_TEST_MODEL"), .cpu = "abacus"};
    assert_int_equal(engine_open(&options, &engine, &error), STATUS_ARGUMENT);
    assert_non_null(strstr(error.text, "scalar"));
    options = (struct engine_options){.model_path = getenv("FATHOM_TEST_MODEL"), .backend = "cuda"};
    assert_int_equal(engine_open(&options, &engine, &error), STATUS_UNSUPPORTED);
    options = (struct engine_options){.model_path = getenv("FATHOM_TEST_MODEL"), .chat_template = "nobody"};
    assert_int_equal(engine_open(&options, &engine, &error), STATUS_NOT_FOUND);
    options = (struct engine_options){.model_path = getenv("FATHOM_TEST_MODEL"), .n_threads = 100000};
    assert_int_equal(engine_open(&options, &engine, &error), STATUS_ARGUMENT);
    assert_null(engine);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slices_of_any_length_give_the_same),
        cmocka_unit_test(every_cache_type_gives_nearly_the_same),
        cmocka_unit_test(a_common_prefix_is_kept),
        cmocka_unit_test(wrong_input_is_refused),
        cmocka_unit_test(cancelling_keeps_what_was_evaluated),
        cmocka_unit_test(greedy_answers_do_not_depend_on_threads),
        cmocka_unit_test(wrong_options_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
