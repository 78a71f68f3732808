/* test_serve_calls: calls of tools in the answers of each family, as they come byte by byte: what is a call, what is text, and
 * that a block that is no call after all comes out as the text that it is.  How calls are written is judged by the families'
 * own templates (tests/test_serve_models.py); what is written here is what that writes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "app/serve_tools.h"

static const char request[] =
    "{\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"weather\",\"parameters\":{\"type\":\"object\"}}},"
    "{\"type\":\"function\",\"function\":{\"name\":\"clock\"}}]}";

static const char *const families[] = {"qwen2.5",      "qwen3",         "llama3.1",    "mistral-v3",
                                       "mistral-nemo", "deepseek-v3.1", "deepseek-v3", "chatml"};

struct answer {
    struct chat_template *chat;
    const struct tool_style *style;
    struct serve_tools *tools;
    struct serve_job *job;
    struct serve_calls *calls;
};

static cJSON *parse(const char *text)
{
    cJSON *root = cJSON_Parse(text);
    assert_non_null(root);
    return root;
}

static void start(struct answer *answer, const char *family)
{
    struct error error = {0};
    cJSON *body = parse(request);
    if (chat_template_new_named(family, &answer->chat, &error) != STATUS_OK)
        fail_msg("%s", error.text);
    answer->style = tool_style_of(answer->chat);
    assert_int_equal(serve_tools_read(body, answer->style, &answer->tools, &error), STATUS_OK);
    assert_non_null(answer->tools);
    assert_int_equal(serve_job_new(NULL, &answer->job, &error), STATUS_OK);
    assert_int_equal(serve_job_open(answer->job, 1, 1, &error), STATUS_OK);
    assert_int_equal(serve_calls_new(answer->tools, answer->job->choices, &answer->calls, &error), STATUS_OK);
    cJSON_Delete(body);
}

static void stop(struct answer *answer)
{
    serve_calls_free(answer->calls);
    serve_tools_free(answer->tools);
    serve_job_release(answer->job);
    chat_template_free(answer->chat);
}

/* Pieces of n bytes, so that marks are cut in every way; returns how many calls there were. */
static size_t push(struct answer *answer, const char *text, size_t n)
{
    size_t size = strlen(text);
    for (size_t at = 0; at < size; at += n)
        serve_calls_push(answer->calls, text + at, size - at < n ? size - at : n);
    return serve_calls_finish(answer->calls);
}

/* As the model would give it: without the bytes that say what is control text. */
static void write_calls(const struct answer *answer, const char *calls, struct buffer *out)
{
    struct buffer marked = {0};
    cJSON *list = parse(calls);
    assert_int_equal(tool_style_write_calls(answer->style, list, &marked, NULL), STATUS_OK);
    for (size_t i = 0; i < marked.size; i++)
        if (marked.data[i] != SERVE_TOOL_MARK)
            buffer_append_byte(out, marked.data[i]);
    buffer_deinit(&marked);
    cJSON_Delete(list);
}

static const char one_call[] = "[{\"function\":{\"name\":\"weather\",\"arguments\":\"{\\\"city\\\":\\\"R\\u00f6m } ] "
                               "\\\\\\\"x\\\",\\\"days\\\":2}\"}}]";
static const char two_calls[] = "[{\"function\":{\"name\":\"weather\",\"arguments\":\"{\\\"city\\\":\\\"Rome\\\"}\"}},"
                                "{\"function\":{\"name\":\"clock\",\"arguments\":\"{}\"}}]";

/* The choice's calls are those that were written. */
static void compare(const struct answer *answer, const char *written)
{
    struct buffer list = {0};
    buffer_printf(&list, "[%s]", buffer_text(&answer->job->choices->pending.calls));
    cJSON *got = parse(list.data), *wanted = parse(written);
    assert_int_equal(cJSON_GetArraySize(got), cJSON_GetArraySize(wanted));
    for (int i = 0; i < cJSON_GetArraySize(wanted); i++) {
        const cJSON *a = json_field(cJSON_GetArrayItem(got, i), "function");
        const cJSON *b = json_field(cJSON_GetArrayItem(wanted, i), "function");
        assert_string_equal(json_field(a, "name")->valuestring, json_field(b, "name")->valuestring);
        cJSON *x = parse(json_field(a, "arguments")->valuestring), *y = parse(json_field(b, "arguments")->valuestring);
        assert_true(cJSON_Compare(x, y, true));
        cJSON_Delete(x);
        cJSON_Delete(y);
    }
    cJSON_Delete(got);
    cJSON_Delete(wanted);
    buffer_deinit(&list);
}

static void test_calls(void **state)
{
    static const char *const written[] = {one_call, two_calls};
    static const size_t pieces[] = {1, 2, 3, 7, 4096};
    (void)state;
    for (size_t i = 0; i < sizeof families / sizeof *families; i++)
        for (size_t k = 0; k < 2 * sizeof pieces / sizeof *pieces; k++) {
            struct answer answer;
            struct buffer text = {0};
            start(&answer, families[i]);
            bool is_llama = strcmp(families[i], "llama3.1") == 0;
            if (is_llama && k % 2) { /* its answer is one call, without anything around it */
                stop(&answer);
                continue;
            }
            if (!is_llama)
                buffer_append_text(&text, "Let me < see [.\n\n");
            write_calls(&answer, written[k % 2], &text);
            assert_int_equal(push(&answer, buffer_text(&text), pieces[k / 2]), k % 2 + 1);
            compare(&answer, written[k % 2]);
            assert_string_equal(buffer_text(&answer.job->choices->pending.text), is_llama ? "" : "Let me < see [.");
            buffer_deinit(&text);
            stop(&answer);
        }
}

/* Nothing is lost of what only looks like a call, and of calls of tools that there aren't. */
static void test_text(void **state)
{
    static const char *const texts[] = {"<tool_call>\n{\"name\": \"unknown\", \"arguments\": {}}\n</tool_call> so.",
                                        "<tool_call>",
                                        "a <tool_ca",
                                        "{\"name\": \"unknown\"}",
                                        "[TOOL_CALLS][{\"name\": 5}]",
                                        "[TOOL_CALLS] nothing",
                                        "<｜tool▁calls▁begin｜>x<｜tool▁calls▁end｜>y",
                                        "  leading and trailing \n",
                                        "{\"a\": 1} and {\"b\": 2}"};
    (void)state;
    for (size_t i = 0; i < sizeof families / sizeof *families; i++)
        for (size_t k = 0; k < sizeof texts / sizeof *texts; k++)
            for (size_t n = 1; n < 9; n += 3) {
                struct answer answer;
                start(&answer, families[i]);
                assert_int_equal(push(&answer, texts[k], n), 0);
                assert_string_equal(buffer_text(&answer.job->choices->pending.text), texts[k]);
                stop(&answer);
            }
}

/* What a client sends back of an earlier call goes on to the model, whatever it is; what isn't a call at all doesn't. */
static void test_written(void **state)
{
    static const char *const wrong[] = {"[5]", "[{}]", "[{\"function\":5}]", "[{\"function\":{\"name\":\"a b\"}}]",
                                        "[{\"type\":\"other\",\"function\":{\"name\":\"a\"}}]"};
    struct answer answer;
    struct buffer text = {0};
    (void)state;
    start(&answer, "qwen2.5");
    write_calls(&answer, "[{\"function\":{\"name\":\"weather\",\"arguments\":\"{city: Rome\"}}]", &text);
    assert_non_null(strstr(buffer_text(&text), "\"arguments\": \"{city: Rome\"}"));
    buffer_deinit(&text);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct error error = {0};
        cJSON *list = parse(wrong[i]);
        assert_int_equal(tool_style_write_calls(answer.style, list, &text, &error), STATUS_ARGUMENT);
        cJSON_Delete(list);
    }
    buffer_deinit(&text);
    stop(&answer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_calls), cmocka_unit_test(test_text),
                                       cmocka_unit_test(test_written)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
