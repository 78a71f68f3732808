/* Tests answers bound by a schema, token by token: which tokens may come is what bytes alone say, for vocabularies of both
 * kinds, whatever the logits are; and a long answer that makes a match forget what it knew.  (What a schema allows:
 * test_grammar.py.) */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>
#include <cmocka.h>

#include "tests/engine_fixture.h"

static const char NODE[] =
    "{\"$defs\":{\"node\":{\"type\":\"object\",\"additionalProperties\":false,\"required\":[\"name\"],"
    "\"properties\":{\"name\":{\"type\":\"string\",\"maxLength\":9},\"kind\":{\"enum\":[\"leaf\","
    "\"leaves\",\"l\\u00e9\"]},\"size\":{\"type\":\"integer\",\"minimum\":7,\"maximum\":120},"
    "\"children\":{\"type\":\"array\",\"items\":{\"$ref\":\"#/$defs/node\"}}}}},"
    "\"$ref\":\"#/$defs/node\"}";

static struct grammar *grammar_of(const char *schema)
{
    struct grammar *grammar = NULL;
    struct error error = {0};
    if (grammar_from_schema(schema, strlen(schema), &grammar, &error))
        fail_msg("%s", error.text);
    return grammar;
}

static struct grammar_match *match_of(const struct grammar *grammar, struct engine *engine)
{
    struct grammar_match *match = NULL;
    assert_int_equal(grammar_match_new(grammar, engine, &match, NULL), STATUS_OK);
    return match;
}

static float arbitrary_logit(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u; /* Knuth's MMIX */
    return (float)(*state >> 40) / 1e6f;
}

/* Whether bytes may come behind those of an answer so far. */
static bool may_come(struct grammar_match *bytes, const struct buffer *so_far, struct slice piece)
{
    grammar_match_reset(bytes);
    return grammar_match_accept_bytes(bytes, so_far->data, so_far->size, NULL) == STATUS_OK && piece.size > 0 &&
           grammar_match_accept_bytes(bytes, piece.data, piece.size, NULL) == STATUS_OK;
}

/* The best of all tokens that may come, one by one. */
static int32_t best_that_may_come(struct engine *engine, struct grammar_match *bytes, const struct buffer *so_far,
                                  const float *logits, bool is_whole)
{
    int32_t best = -1, n_vocab = engine_n_vocab(engine);
    for (int32_t id = 0; id < n_vocab; id++) {
        if (best >= 0 && logits[id] <= logits[best])
            continue;
        if (engine_token_is_end(engine, id) ? is_whole : may_come(bytes, so_far, engine_piece(engine, id, false)))
            best = id;
    }
    return best;
}

static void check_greedy(struct engine *engine, const char *schema, int n_answers, bool likes_end)
{
    size_t n_vocab = (size_t)engine_n_vocab(engine);
    struct grammar *grammar = grammar_of(schema);
    struct grammar_match *match = match_of(grammar, engine), *bytes = match_of(grammar, NULL);
    struct sampler_options greedy = sampler_options_default();
    struct sampler *sampler;
    assert_int_equal(sampler_new(&greedy, (int32_t)n_vocab, &sampler, NULL), STATUS_OK);
    float *logits = calloc(n_vocab, sizeof *logits);
    assert_non_null(logits);
    uint64_t random = 3;
    int n_whole = 0;
    for (int answer = 0; answer < n_answers; answer++) {
        struct buffer text = {0};
        grammar_match_reset(match);
        for (int n = 0; n < 60; n++) {
            for (size_t id = 0; id < n_vocab; id++) {
                struct slice piece = engine_piece(engine, (int32_t)id, false);
                /* Random text ends no string soon: what closes is liked. */
                bool closes = piece.size > 0 && piece.size < 4 && strchr("\"}]", piece.data[piece.size - 1]);
                logits[id] = arbitrary_logit(&random) + (likes_end && closes ? 15 : 0);
            }
            int32_t id, expected = best_that_may_come(engine, bytes, &text, logits, grammar_match_is_whole(match));
            assert_true(expected >= 0);
            assert_int_equal(grammar_match_pick(match, sampler, logits, &id, NULL), STATUS_OK);
            assert_int_equal(id, expected);
            assert_int_equal(grammar_match_accept(match, id, NULL), STATUS_OK);
            if (engine_token_is_end(engine, id) || grammar_match_is_finished(match))
                break;
            struct slice piece = engine_piece(engine, id, false);
            buffer_append(&text, piece.data, piece.size);
        }
        n_whole += grammar_match_is_whole(match);
        buffer_deinit(&text);
    }
    assert_true(!likes_end || n_whole > 0);
    free(logits);
    sampler_free(sampler);
    grammar_match_free(bytes);
    grammar_match_free(match);
    grammar_free(grammar);
}

static void the_best_token_that_may_come_is_picked(void **state)
{
    (void)state;
    struct engine *small = open_small("llama", NULL, 1), *model = open_engine(NULL, 1);
    check_greedy(small, NODE, 20, true);
    check_greedy(small, "{\"type\":\"object\"}", 20, true);
    int n = test_slowness() < 4 ? 3 : 1;
    check_greedy(model, NODE, n, true);
    check_greedy(model, "{}", n, false);
    engine_close(small);
    engine_close(model);
}

/* With the default model's own logits: what it answers is an object of the schema. */
static void a_model_answers_by_the_schema(void **state)
{
    (void)state;
    static const char schema[] = "{\"type\":\"object\",\"additionalProperties\":false,\"required\":[\"language\","
                                 "\"lines\",\"is_test\"],\"properties\":"
                                 "{\"language\":{\"type\":\"string\",\"maxLength\":12},\"lines\":{\"type\":\"integer\","
                                 "\"minimum\":1,\"maximum\":99},"
                                 "\"is_test\":{\"type\":\"boolean\"}}}";
    struct engine *engine = open_engine(NULL, 2);
    struct session *session = open_session(engine, (struct session_options){.n_ctx = 256});
    const struct chat_message messages[] = {{CHAT_USER, slice_from("Describe this file: def test_a(): assert 1 == 1")}};
    struct tokens prompt = {0};
    assert_int_equal(engine_chat_tokens(engine, messages, 1, true, &prompt, NULL), STATUS_OK);
    struct grammar *grammar = grammar_of(schema);
    struct grammar_match *match = match_of(grammar, engine);
    for (int round = 0; round < 6; round++) {
        struct sampler_options options = sampler_options_default();
        options.temperature = round ? 1.5f : 0;
        options.seed = (uint64_t)round;
        struct sampler *sampler;
        assert_int_equal(sampler_new(&options, engine_n_vocab(engine), &sampler, NULL), STATUS_OK);
        sync_all(session, &prompt, NULL);
        grammar_match_reset(match);
        struct buffer text = {0};
        int32_t id = 0;
        while (text.size < 400 && !grammar_match_is_finished(match)) {
            assert_int_equal(grammar_match_pick(match, sampler, session_logits(session), &id, NULL), STATUS_OK);
            assert_int_equal(grammar_match_accept(match, id, NULL), STATUS_OK);
            if (engine_token_is_end(engine, id))
                break;
            struct slice piece = engine_piece(engine, id, false);
            buffer_append(&text, piece.data, piece.size);
            assert_int_equal(session_append(session, id, NULL), STATUS_OK);
        }
        cJSON *object = cJSON_Parse(buffer_text(&text));
        if (!object)
            fail_msg("no JSON: %s", buffer_text(&text));
        const cJSON *lines = cJSON_GetObjectItem(object, "lines");
        assert_true(cJSON_IsNumber(lines) && lines->valuedouble >= 1 && lines->valuedouble <= 99);
        assert_true(cJSON_IsString(cJSON_GetObjectItem(object, "language")));
        assert_true(cJSON_IsBool(cJSON_GetObjectItem(object, "is_test")));
        assert_int_equal(cJSON_GetArraySize(object), 3);
        cJSON_Delete(object);
        buffer_deinit(&text);
        sampler_free(sampler);
    }
    grammar_match_free(match);
    grammar_free(grammar);
    tokens_deinit(&prompt);
    session_close(session);
    engine_close(engine);
}

/* Nested ever deeper and closed again, many times: stacks come and go, and what was known of them is forgotten in between. */
static void a_long_answer_stays_right(void **state)
{
    (void)state;
    struct grammar *grammar = grammar_of("{\"type\":\"array\",\"items\":{}}");
    struct grammar_match *match = match_of(grammar, NULL);
    struct buffer text = {0};
    buffer_append_text(&text, "[");
    unsigned random = 1;
    for (int round = 0; round < (test_slowness() < 50 ? 400 : 40); round++) {
        char closing[128];
        int depth = 20 + round % 100;
        for (int i = 0; i < depth; i++) {
            random = random * 1664525u + 1013904223u;
            bool is_object = random >> 30 & 1;
            closing[i] = is_object ? '}' : ']';
            buffer_append_text(&text, is_object ? "{\"k\\u00e9y\": " : "[1.5e3,true,");
        }
        buffer_append_text(&text, "\"\xc3\xa9\"");
        for (int i = depth - 1; i >= 0; i--)
            buffer_append_byte(&text, closing[i]);
        buffer_append_byte(&text, ',');
    }
    buffer_append_text(&text, "null]");
    for (size_t i = 0; i < text.size; i++) {
        /* What may not come never does, and changes nothing. */
        assert_int_equal(grammar_match_accept_bytes(match, "\x01", 1, NULL), STATUS_ARGUMENT);
        assert_false(grammar_match_is_whole(match));
        assert_int_equal(grammar_match_accept_bytes(match, text.data + i, 1, NULL), STATUS_OK);
    }
    assert_true(grammar_match_is_finished(match));
    cJSON *json = cJSON_ParseWithLength(text.data, text.size);
    assert_non_null(json);
    cJSON_Delete(json);
    buffer_deinit(&text);
    grammar_match_free(match);
    grammar_free(grammar);
}

/* Deeper than stacks may be, what opens is refused, and what closes goes on. */
static void depth_has_an_end(void **state)
{
    (void)state;
    struct grammar *grammar = grammar_of("{}");
    struct grammar_match *match = match_of(grammar, NULL);
    int depth = 0;
    while (depth < 100000 && grammar_match_accept_bytes(match, "[", 1, NULL) == STATUS_OK)
        depth++;
    assert_in_range(depth, 100, 10000);
    for (int i = 0; i < depth; i++)
        assert_int_equal(grammar_match_accept_bytes(match, "]", 1, NULL), STATUS_OK);
    assert_true(grammar_match_is_finished(match));
    grammar_match_free(match);
    grammar_free(grammar);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_best_token_that_may_come_is_picked),
        cmocka_unit_test(a_model_answers_by_the_schema),
        cmocka_unit_test(a_long_answer_stays_right),
        cmocka_unit_test(depth_has_an_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
