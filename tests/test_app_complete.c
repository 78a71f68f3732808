/* test_app_complete: a completion on the scripted engine: what is read and what is not, what is remembered, and what ends it. */
#include "tests/command_fixture.h"

#include <pthread.h>

#include "app/complete.h"

static struct engine *engine;
static struct completer *completer;

static void open_all(size_t n_slice)
{
    struct error error;
    struct completer_options options = {.session = {.n_slice = (int32_t)n_slice}};
    if (engine_open(&(struct engine_options){.model_path = "README.md"}, &engine, &error) ||
        completer_open(engine, &options, &completer, &error))
        fail_msg("%s", error.text);
}

static int close_all(void **state)
{
    completer_close(completer);
    if (engine)
        engine_close(engine);
    completer = NULL;
    engine = NULL;
    return reset(state);
}

static struct complete_request request_of(const char *prefix, const char *suffix)
{
    return (struct complete_request){.prompt = {.path = slice_from("a.c"),
                                                .prefix = slice_from(prefix),
                                                .suffix = slice_from(suffix),
                                                .budget = 1024},
                                     .sampling = sampler_options_default(),
                                     .n_predict = -1};
}

static struct complete_result run_it(const struct complete_request *request)
{
    struct complete_result result;
    struct error error = {0};
    if (complete_run(completer, request, &result, &error))
        fail_msg("%s", error.text);
    return result;
}

static void expect_text(const char *prefix, const char *suffix, const char *text, bool is_remembered)
{
    struct complete_request request = request_of(prefix, suffix);
    struct complete_result result = run_it(&request);
    assert_int_equal(result.n_ways, *text ? 1 : 0);
    if (*text)
        assert_string_equal(buffer_text(&result.ways[0].text), text);
    assert_int_equal(result.is_remembered, is_remembered);
    if (is_remembered)
        assert_int_equal(result.n_prefilled + result.n_cached + result.n_decoded, 0);
    complete_result_deinit(&result);
}

#define SCRIPT(...)                                                                                                    \
    do {                                                                                                               \
        static const char *const script[] = {__VA_ARGS__};                                                             \
        fake_engine.answers = script;                                                                                  \
        fake_engine.n_answers = sizeof script / sizeof *script;                                                        \
    } while (0)

/* The word at the cursor is taken back, and spelled again by the model. */
static void test_line(void **state)
{
    (void)state;
    SCRIPT(" foobar;\nnext");
    open_all(0);
    struct complete_request request = request_of("int x = foo", "\nint y;\n");
    struct complete_result result = run_it(&request);
    assert_int_equal(result.n_ways, 1);
    assert_string_equal(buffer_text(&result.ways[0].text), "bar;");
    assert_int_equal(result.ways[0].stop, FIM_STOP_LINE);
    assert_true(result.n_prefilled > 0 && result.n_cached == 0 && result.prompt->tokens.n == result.n_prefilled);
    assert_true(result.total_ms >= result.ttft_ms && result.ttft_ms >= result.prompt_ms && result.prompt_ms > 0);
    complete_result_deinit(&result);
}

static void test_plain_takes_nothing_back(void **state)
{
    (void)state;
    SCRIPT("bar;\nnext");
    open_all(0);
    struct complete_request request = request_of("int x = foo", "\nint y;\n");
    request.plain = true;
    struct complete_result result = run_it(&request);
    assert_string_equal(buffer_text(&result.ways[0].text), "bar;");
    /* all of the prefix stands in the prompt, and nothing of the suffix */
    struct buffer text = {0};
    engine_decode(engine, fake_engine.last_sync.ids, fake_engine.last_sync.n, false, &text);
    assert_non_null(strstr(buffer_text(&text), "int x = foo"));
    assert_null(strstr(buffer_text(&text), "int y"));
    buffer_deinit(&text);
    complete_result_deinit(&result);
}

static void test_nothing(void **state)
{
    (void)state;
    SCRIPT("", "  \n  \n");
    open_all(0);
    for (int i = 0; i < 2; i++) {
        struct complete_request request = request_of("int x = foo;", "\n");
        request.plain = true;
        struct complete_result result = run_it(&request);
        assert_int_equal(result.n_ways, 0);
        assert_int_equal(result.n_tokens, 0);
        complete_result_deinit(&result);
    }
}

/* What was shown is remembered, with what has been typed of it since; another suffix, path or wish is not the same. */
static void test_remembered(void **state)
{
    (void)state;
    SCRIPT(" foobar;\nnext", " foobar;\nnext", "barzzz;\nnext", " fooX;\n", " foY;\n");
    open_all(0);
    expect_text("int x = foo", "\nint y;\n", "bar;", false);
    size_t n_syncs = fake_engine.n_syncs;
    expect_text("int x = foo", "\nint y;\n", "bar;", true);
    expect_text("int x = foob", "\nint y;\n", "ar;", true);
    expect_text("int x = foobar", "\nint y;\n", ";", true);
    assert_int_equal(fake_engine.n_syncs, n_syncs);
    struct complete_request request = request_of("int x = foobar", "\nint y;\n");
    request.afresh = true;
    struct complete_result result = run_it(&request);
    assert_false(result.is_remembered);
    complete_result_deinit(&result);
    expect_text("int x = foobarz", "\nint y;\n", "zz;", false); /* typed otherwise */
    expect_text("int x = foo", "\nint z;\n", "X;", false);      /* another suffix */
    expect_text("int X = fo", "\nint y;\n", "Y;", false);       /* another prefix of the same end */
}

/* Typing on reads the few tokens that are new. */
static void test_cached(void **state)
{
    (void)state;
    SCRIPT(" foobar;\n", "fooqux;\n"); /* four tokens are taken back at most */
    open_all(0);
    struct complete_request request = request_of("int aaaa;\nint bbbb;\nint x = foo", "\n");
    struct complete_result result = run_it(&request);
    size_t n = result.n_prefilled;
    complete_result_deinit(&result);
    request = request_of("int aaaa;\nint bbbb;\nint x = fooq", "\n");
    result = run_it(&request);
    assert_string_equal(buffer_text(&result.ways[0].text), "ux;");
    assert_true(result.n_prefilled <= 4 && result.n_cached >= n - 4);
    complete_result_deinit(&result);
}

/* ---- ids ---- */

static void supersede_on_append(size_t n)
{
    if (n == 3)
        complete_supersede(completer, 8);
}

static void supersede_on_slice(size_t done)
{
    (void)done;
    complete_supersede(completer, 9);
}

static void expect_cancelled(uint64_t id)
{
    struct complete_request request = request_of("int aaaaaaaaaaaa;\nint bbbbbbbbbbbb;\nint x = foo", "\n");
    struct complete_result result;
    struct error error = {0};
    request.id = id;
    assert_int_equal(complete_run(completer, &request, &result, &error), STATUS_CANCELLED);
    complete_result_deinit(&result);
}

static void test_superseded(void **state)
{
    (void)state;
    SCRIPT(" foobarbarbarbarbar;\nnext");
    open_all(8);
    fake_engine.on_append = supersede_on_append; /* between tokens */
    expect_cancelled(7);
    fake_engine.on_append = NULL;
    expect_cancelled(7);                       /* it comes too late */
    fake_engine.on_slice = supersede_on_slice; /* between slices */
    expect_cancelled(8);
    size_t n;
    session_tokens(completer_session(completer), &n);
    assert_true(n > 0); /* what was read stays */
    fake_engine.on_slice = NULL;
    struct complete_request request = request_of("int x = foo", "\n");
    request.id = 9;
    struct complete_result result = run_it(&request);
    assert_int_equal(result.n_ways, 1);
    complete_result_deinit(&result);
    request.id = 0; /* not numbered */
    result = run_it(&request);
    assert_true(result.is_remembered);
    complete_result_deinit(&result);
}

static void *supersede_soon(void *context)
{
    (void)context;
    usleep(30000);
    complete_supersede(completer, 100);
    return NULL;
}

static void test_superseded_by_another_thread(void **state)
{
    (void)state;
    SCRIPT(" foobarbarbarbarbarbarbarbarbarbarbarbarbarbarbarbarbarbarbarbarbarbarbar;\nnext");
    open_all(8);
    fake_engine.decode_us = 20000;
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, supersede_soon, NULL), 0);
    expect_cancelled(50);
    pthread_join(thread, NULL);
}

/* ---- limits ---- */

static size_t n_between, between_most;
static bool count_between(void *context)
{
    (void)context;
    return ++n_between <= between_most;
}

static void test_between(void **state)
{
    (void)state;
    SCRIPT(" foobar;\nnext");
    open_all(8);
    struct complete_request request = request_of("int aaaaaaaaaaaa;\nint bbbbbbbbbbbb;\nint x = foo", "\n");
    struct complete_result result;
    struct error error;
    request.between = count_between;
    n_between = 0;
    between_most = 1000;
    result = run_it(&request);
    /* each slice of 8 tokens, and each step of the answer */
    assert_true(n_between >= result.n_prefilled / 8 + strlen(" foobar;"));
    complete_result_deinit(&result);
    for (between_most = 0; between_most < 8; between_most++) {
        n_between = 0;
        request.afresh = true;
        assert_int_equal(complete_run(completer, &request, &result, &error), STATUS_CANCELLED);
        assert_int_equal(n_between, between_most + 1);
        complete_result_deinit(&result);
    }
}

static void test_limits(void **state)
{
    (void)state;
    SCRIPT(" foobarbarbarbar;\nnext", " foobarbarbarbar;\nnext", " foobarbarbarbar;\nnext", " foobarSTOPbar;\n");
    open_all(0);
    struct complete_request request = request_of("int x = foo", "\n");
    request.n_predict = 0; /* only read */
    struct complete_result result = run_it(&request);
    assert_true(result.n_ways == 0 && result.n_prefilled > 0 && result.n_decoded == 0);
    complete_result_deinit(&result);
    request.n_predict = 7;
    result = run_it(&request);
    assert_string_equal(buffer_text(&result.ways[0].text), "bar");
    assert_int_equal(result.ways[0].stop, FIM_STOP_LIMIT);
    complete_result_deinit(&result);
    request.n_predict = -1;
    request.answer_ms = 50;
    fake_engine.decode_us = 8000;
    result = run_it(&request);
    assert_int_equal(result.ways[0].stop, FIM_STOP_DEADLINE);
    assert_true(result.total_ms < 2000);
    complete_result_deinit(&result);
    fake_engine.decode_us = 0;
    request.answer_ms = 0;
    request.stops = (const char *const[]){"none", "STOP"};
    request.n_stops = 2;
    result = run_it(&request);
    assert_string_equal(buffer_text(&result.ways[0].text), "bar");
    assert_int_equal(result.ways[0].stop, FIM_STOP_END);
    complete_result_deinit(&result);
}

static void test_late_prompt(void **state)
{
    (void)state;
    open_all(8);
    struct complete_request request = request_of("int aaaaaaaaaaaa;\nint bbbbbbbbbbbb;\nint x = foo", "\n");
    request.prompt_ms = 10;
    fake_engine.prefill_us = 2000;
    struct complete_result result = run_it(&request);
    assert_true(result.is_late && result.n_ways == 0 && result.n_prefilled > 0 && result.total_ms < 1000);
    complete_result_deinit(&result);
}

/* Other tokens where the model is unsure: the script's second choice is nearly as likely as its first. */
static void test_alternatives(void **state)
{
    (void)state;
    SCRIPT(" foobar;\nnext");
    open_all(0);
    struct complete_request request = request_of("int x = foo", "\nint y;\n");
    request.n_alternatives = 3;
    struct complete_result result = run_it(&request);
    assert_true(result.n_ways >= 2 && result.n_ways <= 4);
    for (size_t i = 0; i < result.n_ways; i++)
        for (size_t k = 0; k < i; k++)
            assert_string_not_equal(buffer_text(&result.ways[i].text), buffer_text(&result.ways[k].text));
    complete_result_deinit(&result);
}

static void test_failures(void **state)
{
    (void)state;
    open_all(0);
    struct complete_request request = request_of("int x = foo", "\n");
    struct complete_result result;
    struct error error;
    fake_engine.sync_status = STATUS_IO;
    assert_int_equal(complete_run(completer, &request, &result, &error), STATUS_IO);
    complete_result_deinit(&result);
    fake_engine.sync_status = STATUS_OK;
    fake_engine.append_fails_after = 2;
    SCRIPT(" foobar;\n");
    assert_int_equal(complete_run(completer, &request, &result, &error), STATUS_NUMERIC);
    complete_result_deinit(&result);
    fake_engine.append_fails_after = 0;
    request.n_alternatives = 99; /* more than there can be */
    result = run_it(&request);
    assert_true(result.n_ways <= FIM_WAYS_MOST);
    complete_result_deinit(&result);
}

static void test_split(void **state)
{
    static const struct {
        const char *text;
        size_t at, begin;
    } all[] = {{"abc", 1, 1},
               {"abc", 9, 3},
               {"a\xc3\xa9z", 2, 1},
               {"a\xc3\xa9z", 3, 3},
               {"\xe6\x97\xa5", 2, 0},
               {"\xe6\x97\xa5", 3, 3},
               {"\xf0\x9f\x98\x80!", 3, 0},
               {"\x97\xa5\x97\xa5", 2, 2},
               {"", 0, 0},
               {"\xc3", 1, 1}};
    (void)state;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        struct slice prefix, suffix;
        complete_split(slice_from(all[i].text), all[i].at, &prefix, &suffix);
        assert_int_equal(prefix.size, all[i].begin);
        assert_int_equal(prefix.size + suffix.size, strlen(all[i].text));
        assert_ptr_equal(suffix.data, all[i].text + prefix.size);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_line, reset, close_all),
        cmocka_unit_test_setup_teardown(test_plain_takes_nothing_back, reset, close_all),
        cmocka_unit_test_setup_teardown(test_nothing, reset, close_all),
        cmocka_unit_test_setup_teardown(test_remembered, reset, close_all),
        cmocka_unit_test_setup_teardown(test_cached, reset, close_all),
        cmocka_unit_test_setup_teardown(test_superseded, reset, close_all),
        cmocka_unit_test_setup_teardown(test_superseded_by_another_thread, reset, close_all),
        cmocka_unit_test_setup_teardown(test_between, reset, close_all),
        cmocka_unit_test_setup_teardown(test_limits, reset, close_all),
        cmocka_unit_test_setup_teardown(test_late_prompt, reset, close_all),
        cmocka_unit_test_setup_teardown(test_alternatives, reset, close_all),
        cmocka_unit_test_setup_teardown(test_failures, reset, close_all),
        cmocka_unit_test(test_split),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
