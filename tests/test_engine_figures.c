/* Tests the figures of the default model against those that transformers and llama.cpp computed. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <cjson/cJSON.h>

#include "tests/engine_fixture.h"

#define GOLDEN "tests/golden/engine/"

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
    cJSON_ArrayForEach(item, list)
    {
        tokens_append(&tokens, item->valueint);
    }
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

/* ---- what it says, what it is ---- */

static void greedy_answers_do_not_depend_on_threads(void **state)
{
    (void)state;
    const char prompt[] = "def fibonacci(n):\n";
    struct tokens said[2];
    for (int n = 1; n <= 2; n++) {
        struct engine *engine = open_engine(NULL, n);
        struct session *session = open_session(engine, (struct session_options){.n_ctx = 256});
        struct tokens tokens = {0};
        assert_int_equal(engine_tokenize(engine, prompt, strlen(prompt), 0, &tokens, NULL), STATUS_OK);
        sync_all(session, &tokens, NULL);
        said[n - 1] = continue_greedily(engine, session, 48);
        tokens_deinit(&tokens);
        session_close(session);
        engine_close(engine);
    }
    assert_int_equal(said[0].n, 48);
    assert_int_equal(said[1].n, 48);
    assert_memory_equal(said[0].ids, said[1].ids, 48 * sizeof *said[0].ids);
    tokens_deinit(&said[0]);
    tokens_deinit(&said[1]);
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
    struct tokens said = continue_greedily(engine, session, 200);
    assert_true(said.n < 200); /* the model ended it */
    struct buffer text = {0};
    engine_decode(engine, said.ids, said.n, false, &text);
    assert_non_null(strstr(buffer_text(&text), "Paris"));
    buffer_deinit(&text);
    tokens_deinit(&said);
    tokens_deinit(&tokens);
    session_close(session);
    engine_close(engine);
}

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(float_path_gives_what_transformers_gives),
        cmocka_unit_test(fast_path_gives_what_transformers_gives),
        cmocka_unit_test(perplexity_is_that_of_llama_cpp),
        cmocka_unit_test(greedy_answers_do_not_depend_on_threads),
        cmocka_unit_test(a_question_is_answered_and_ended),
        cmocka_unit_test(the_model_is_described),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
