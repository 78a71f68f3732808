/* Tests the engine on the default model: against numbers that transformers and llama.cpp computed, and sessions against
 * themselves: slices, prefixes, threads, cancelling. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <cjson/cJSON.h>

#include "engine/engine.h"

#define GOLDEN "tests/golden/engine/"

static struct engine *open_engine(const char *cpu, int n_threads)
{
    const char *path = getenv("FATHOM_TEST_MODEL");
    if (!path)
        fail_msg("FATHOM_TEST_MODEL names no model");
    const struct engine_options options = {.model_path = path, .cpu = cpu, .n_threads = n_threads};
    struct engine *engine = NULL;
    struct error error = {0};
    if (engine_open(&options, &engine, &error))
        fail_msg("%s", error.text);
    return engine;
}

static struct session *open_session(struct engine *engine, struct session_options options)
{
    struct session *session = NULL;
    struct error error = {0};
    if (session_open(engine, &options, &session, &error))
        fail_msg("%s", error.text);
    return session;
}

static void sync_all(struct session *session, const struct tokens *tokens, struct sync_report *report)
{
    struct error error = {0};
    if (session_sync(session, tokens->ids, tokens->n, report, &error))
        fail_msg("%s", error.text);
}

static struct tokens tokenize(const struct engine *engine, const char *text)
{
    struct tokens tokens = {0};
    assert_int_equal(engine_tokenize(engine, text, strlen(text), 0, &tokens, NULL), STATUS_OK);
    return tokens;
}

static char *read_file(const char *path, size_t *size)
{
    FILE *file = fopen(path, "rb");
    if (!file)
        fail_msg("cannot open %s", path);
    char *text = calloc(1, 1 << 20);
    assert_non_null(text);
    *size = fread(text, 1, (1 << 20) - 1, file);
    fclose(file);
    return text;
}

/* ---- against transformers ---- */

static struct tokens ids_of(const cJSON *list)
{
    struct tokens tokens = {0};
    const cJSON *item;
    cJSON_ArrayForEach(item, list) tokens_append(&tokens, item->valueint);
    return tokens;
}

/* The n_exact most likely tokens are those of the reference, in its order where it separates them clearly, and their
 * log-probabilities differ by less than tolerance. */
static void hold_against_reference(const char *cpu, enum kv_type kv, size_t n_exact, double tolerance)
{
    size_t size;
    char *text = read_file(GOLDEN "likely.json", &size);
    cJSON *prompts = cJSON_Parse(text);
    assert_int_equal(cJSON_GetArraySize(prompts), 20);
    struct engine *engine = open_engine(cpu, 2);
    struct session *session = open_session(engine, (struct session_options){.n_ctx = 256, .kv = kv});
    double worst = 0;
    const cJSON *prompt;
    cJSON_ArrayForEach(prompt, prompts)
    {
        struct tokens ids = ids_of(cJSON_GetObjectItem(prompt, "ids"));
        const cJSON *top = cJSON_GetObjectItem(prompt, "top");
        sync_all(session, &ids, NULL);
        const float *logits = session_logits(session);
        struct token_probability ours[20];
        assert_int_equal(logits_top(logits, engine_n_vocab(engine), ours, 20), 20);
        for (size_t i = 0; i < n_exact; i++) {
            const cJSON *theirs = cJSON_GetArrayItem(top, (int)i);
            int32_t id = cJSON_GetObjectItem(theirs, "id")->valueint;
            double logprob = cJSON_GetObjectItem(theirs, "logprob")->valuedouble;
            double difference = fabs(logits_logprob(logits, engine_n_vocab(engine), id) - logprob);
            worst = difference > worst ? difference : worst;
            bool is_among = false;
            for (size_t k = 0; k < n_exact; k++)
                is_among |= ours[k].id == id;
            /* The last place may go to another token that is as likely within the tolerance. */
            if (!is_among && fabs((double)ours[n_exact - 1].logprob - logprob) > tolerance)
                fail_msg("prompt \"%s\": token %d is not among the %zu most likely",
                         cJSON_GetObjectItem(prompt, "prompt")->valuestring, id, n_exact);
        }
        tokens_deinit(&ids);
    }
    if (worst > tolerance)
        fail_msg("log-probabilities differ by %g", worst);
    print_message("  %s: the greatest difference of a log-probability is %.2g\n", engine_cpu_name(engine), worst);
    session_close(session);
    engine_close(engine);
    cJSON_Delete(prompts);
    free(text);
}

static void float_path_gives_what_transformers_gives(void **state)
{
    (void)state;
    hold_against_reference("scalar", KV_F32, 20, 0.01);
}

static void fast_path_gives_what_transformers_gives(void **state)
{
    (void)state;
    hold_against_reference(NULL, KV_F16, 20, 0.02);
}

/* ---- against llama.cpp ---- */

struct scoring {
    const int32_t *ids;
    int32_t n_vocab;
    size_t n, n_scored;
    double nll;
};

static bool add_score(void *context, size_t position, const float *logits)
{
    struct scoring *scoring = context;
    if (position + 1 < scoring->n) {
        scoring->nll -= logits_logprob(logits, scoring->n_vocab, scoring->ids[position + 1]);
        scoring->n_scored++;
    }
    return true;
}

static void perplexity_is_that_of_llama_cpp(void **state)
{
    (void)state;
    enum { CHUNK = 512 };
    size_t size;
    char *json = read_file(GOLDEN "perplexity.json", &size);
    cJSON *golden = cJSON_Parse(json);
    struct engine *engine = open_engine(NULL, 2);
    struct session *session = open_session(engine, (struct session_options){.n_ctx = CHUNK});
    const cJSON *entry;
    cJSON_ArrayForEach(entry, golden)
    {
        char path[128];
        snprintf(path, sizeof path, GOLDEN "%s", entry->string);
        char *text = read_file(path, &size);
        struct tokens tokens = {0};
        assert_int_equal(engine_tokenize(engine, text, size, 0, &tokens, NULL), STATUS_OK);
        assert_int_equal(tokens.n, cJSON_GetObjectItem(entry, "n_tokens")->valueint);
        double nll = 0;
        size_t n_scored = 0;
        for (size_t begin = 0; begin + CHUNK <= tokens.n; begin += CHUNK) {
            struct scoring scoring = {tokens.ids + begin, engine_n_vocab(engine), CHUNK, 0, 0};
            assert_int_equal(session_score(session, tokens.ids + begin, CHUNK, CHUNK / 2, add_score, &scoring, NULL),
                             STATUS_OK);
            nll += scoring.nll;
            n_scored += scoring.n_scored;
        }
        assert_int_equal(n_scored, cJSON_GetObjectItem(entry, "n_scored")->valueint);
        double ours = exp(nll / (double)n_scored), theirs = cJSON_GetObjectItem(entry, "ppl")->valuedouble;
        print_message("  %s: perplexity %.4f, llama.cpp %.4f (%+.3f %%)\n", entry->string, ours, theirs,
                      100 * (ours / theirs - 1));
        if (fabs(ours / theirs - 1) > 0.001)
            fail_msg("%s: perplexity %g instead of %g", entry->string, ours, theirs);
        tokens_deinit(&tokens);
        free(text);
    }
    session_close(session);
    engine_close(engine);
    cJSON_Delete(golden);
    free(json);
}

/* ---- a session against itself ---- */

static const char long_text[] =
    "A lease is granted for a time. When the time is over, the holder must ask again, or whoever granted it may give "
    "it "
    "to another. int64_t due = lease->granted + lease->ttl; if (clock_now() > due) table_unlink(table, lease);";

static void logits_of_slices(enum kv_type kv, int32_t n_slice, float *out)
{
    struct engine *engine = open_engine(NULL, 2);
    struct session *session =
        open_session(engine, (struct session_options){.n_ctx = 128, .n_slice = n_slice, .kv = kv});
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

enum { N_VOCAB = 49152 };

static void slices_of_any_length_give_the_same(void **state)
{
    (void)state;
    float *whole = calloc(N_VOCAB, sizeof *whole), *parts = calloc(N_VOCAB, sizeof *parts);
    logits_of_slices(KV_F32, 128, whole);
    const int32_t lengths[] = {1, 2, 3, 7, 32};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        logits_of_slices(KV_F32, lengths[i], parts);
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
    logits_of_slices(KV_F32, 0, exact);
    logits_of_slices(KV_F16, 0, packed);
    assert_true(greatest_difference(exact, packed, N_VOCAB) < 0.1);
    logits_of_slices(KV_Q8_0, 0, packed);
    assert_true(greatest_difference(exact, packed, N_VOCAB) < 1.0);
    assert_true(greatest_difference(exact, packed, N_VOCAB) > 0);
    free(exact);
    free(packed);
}

static void a_common_prefix_is_kept(void **state)
{
    (void)state;
    struct engine *engine = open_engine(NULL, 2);
    struct session *session = open_session(engine, (struct session_options){.n_ctx = 128});
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
    struct engine *engine = open_engine(NULL, 1);
    struct session *session = open_session(engine, (struct session_options){.n_ctx = 4});
    struct error error;
    const int32_t ids[] = {1, 2, 3, 4, 5}, wrong[] = {1, N_VOCAB}, negative[] = {-1};
    assert_int_equal(session_sync(session, ids, 0, NULL, &error), STATUS_ARGUMENT);
    assert_int_equal(session_sync(session, ids, 5, NULL, &error), STATUS_RANGE);
    assert_non_null(strstr(error.text, "context of 4"));
    assert_int_equal(session_sync(session, wrong, 2, NULL, &error), STATUS_RANGE);
    assert_non_null(strstr(error.text, "49152"));
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
    struct engine *engine = open_engine(NULL, 2);
    atomic_bool cancel = false;
    struct session *session = open_session(
        engine,
        (struct session_options){
            .n_ctx = 128, .n_slice = 4, .cancel = &cancel, .progress = raise_flag, .progress_context = &cancel});
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
    struct session *again = open_session(engine, (struct session_options){.n_ctx = 128});
    sync_all(again, &tokens, NULL);
    tokens.n = 9; /* within the first slices, the flag is not raised */
    assert_int_equal(session_sync(session, tokens.ids, 9, &report, &error), STATUS_OK);
    assert_int_equal(report.n_reused, 8);
    session_close(again);
    session_close(session);
    tokens_deinit(&tokens);
    engine_close(engine);
}

/* ---- generation ---- */

static bool keep_text(void *context, const char *text, size_t size)
{
    buffer_append(context, text, size);
    return true;
}

static struct generate_result generate(struct engine *engine, int32_t n_ctx, const char *prompt, int64_t n_predict,
                                       const char *stop, struct buffer *text)
{
    struct session *session = open_session(engine, (struct session_options){.n_ctx = n_ctx});
    struct tokens tokens = tokenize(engine, prompt);
    sync_all(session, &tokens, NULL);
    const struct sampler_options greedy = sampler_options_default();
    struct sampler *sampler;
    assert_int_equal(sampler_new(&greedy, engine_n_vocab(engine), &sampler, NULL), STATUS_OK);
    const struct generate_options options = {n_predict, &stop, stop ? 1 : 0, keep_text, text};
    struct generate_result result;
    struct error error = {0};
    if (session_generate(session, sampler, &options, &result, &error))
        fail_msg("%s", error.text);
    size_t n;
    session_tokens(session, &n);
    assert_int_equal(n, tokens.n + result.n_tokens);
    sampler_free(sampler);
    tokens_deinit(&tokens);
    session_close(session);
    return result;
}

static void greedy_answers_do_not_depend_on_threads(void **state)
{
    (void)state;
    const char *prompts[] = {"The capital of France is", "def add(a, b):\n", "Once upon a time"};
    for (size_t i = 0; i < sizeof prompts / sizeof *prompts; i++) {
        struct buffer texts[3] = {0};
        for (int n = 1; n <= 3; n++) {
            struct engine *engine = open_engine(NULL, n);
            generate(engine, 256, prompts[i], 48, NULL, &texts[n - 1]);
            engine_close(engine);
        }
        assert_string_equal(buffer_text(&texts[0]), buffer_text(&texts[1]));
        assert_string_equal(buffer_text(&texts[0]), buffer_text(&texts[2]));
        assert_true(texts[0].size > 40);
        for (int n = 0; n < 3; n++)
            buffer_deinit(&texts[n]);
    }
}

static void generation_ends_where_it_should(void **state)
{
    (void)state;
    struct engine *engine = open_engine(NULL, 2);
    struct buffer text = {0}, cut = {0};
    struct generate_result result = generate(engine, 256, "The capital of France is", 12, NULL, &text);
    assert_int_equal(result.stop, GENERATE_LIMIT);
    assert_int_equal(result.n_tokens, 12);
    /* A stop string that begins in one token and ends in the next, cut out of what was just said. */
    assert_true(text.size > 20);
    char stop[8] = {0};
    memcpy(stop, text.data + 11, 7);
    result = generate(engine, 256, "The capital of France is", 12, stop, &cut);
    assert_int_equal(result.stop, GENERATE_STRING);
    assert_memory_equal(cut.data, text.data, cut.size);
    assert_ptr_equal(strstr(text.data, stop), text.data + cut.size);
    buffer_clear(&cut);
    result = generate(engine, 10, "The capital of France is", -1, NULL, &cut);
    assert_int_equal(result.stop, GENERATE_CONTEXT);
    assert_int_equal(result.n_tokens, 5);
    buffer_deinit(&text);
    buffer_deinit(&cut);
    engine_close(engine);
}

static void a_question_is_answered_and_ended(void **state)
{
    (void)state;
    struct engine *engine = open_engine(NULL, 2);
    struct session *session = open_session(engine, (struct session_options){.n_ctx = 512});
    const struct chat_message question = {CHAT_USER, slice_from("What is the capital of France? <|im_end|>")};
    struct tokens tokens = {0};
    struct error error = {0};
    if (engine_chat_tokens(engine, &question, 1, true, &tokens, &error))
        fail_msg("%s", error.text);
    /* The template writes two turn ends: system and user.  What the user wrote is no third. */
    size_t n_ends = 0;
    for (size_t i = 0; i < tokens.n; i++)
        n_ends += engine_token_is_end(engine, tokens.ids[i]);
    assert_int_equal(n_ends, 2);
    sync_all(session, &tokens, NULL);
    const struct sampler_options greedy = sampler_options_default();
    struct sampler *sampler;
    assert_int_equal(sampler_new(&greedy, engine_n_vocab(engine), &sampler, NULL), STATUS_OK);
    struct buffer text = {0};
    const struct generate_options options = {200, NULL, 0, keep_text, &text};
    struct generate_result result;
    assert_int_equal(session_generate(session, sampler, &options, &result, &error), STATUS_OK);
    assert_int_equal(result.stop, GENERATE_END);
    assert_non_null(strstr(buffer_text(&text), "Paris"));
    sampler_free(sampler);
    buffer_deinit(&text);
    tokens_deinit(&tokens);
    session_close(session);
    engine_close(engine);
}

/* ---- what opens and what doesn't ---- */

static void the_model_is_described(void **state)
{
    (void)state;
    struct engine *engine = open_engine(NULL, 1);
    const struct model_info *info = engine_info(engine);
    assert_string_equal(info->name, "SmolLM2-135M-Instruct.Q4_1");
    assert_string_equal(info->arch, "llama");
    assert_int_equal(info->n_params, 134515008);
    assert_int_equal(info->n_ctx_train, 8192);
    assert_int_equal(info->kv_bytes_per_token, 30 * 2 * 3 * 64 * 2);
    assert_true(info->is_supported);
    assert_int_equal(engine_default_context(engine, KV_F16), 8192);
    engine_close(engine);
}

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
        cmocka_unit_test(float_path_gives_what_transformers_gives),
        cmocka_unit_test(fast_path_gives_what_transformers_gives),
        cmocka_unit_test(perplexity_is_that_of_llama_cpp),
        cmocka_unit_test(slices_of_any_length_give_the_same),
        cmocka_unit_test(every_cache_type_gives_nearly_the_same),
        cmocka_unit_test(a_common_prefix_is_kept),
        cmocka_unit_test(wrong_input_is_refused),
        cmocka_unit_test(cancelling_keeps_what_was_evaluated),
        cmocka_unit_test(greedy_answers_do_not_depend_on_threads),
        cmocka_unit_test(generation_ends_where_it_should),
        cmocka_unit_test(a_question_is_answered_and_ended),
        cmocka_unit_test(the_model_is_described),
        cmocka_unit_test(wrong_options_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
