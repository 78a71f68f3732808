/* complete: many completions with one loaded model, for tests/eval_fim.py:
 *
 *     complete MODEL ROOT CACHE GRAMMARS QUERIES < requests > replies
 *
 * A request is a line of JSON: {"path", "text", "at", "truth", "typed", "sources", "budget", "form", "plain", "predict", "cold"}.
 * The file of that path, below ROOT, must be as the text is: the index is brought up to date first, so that nothing of what
 * once stood at the hole is known.  The reply tells the answer, what it cost, the syntax errors that it has more than the truth and more than nothing ("added"), and as
 * "next" how many tokens are read when another keystroke ("typed", of the truth) follows. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "app/complete.h"
#include "app/complete_syntax.h"
#include "app/context_list.h"
#include "app/gather.h"

enum { N_CTX = 8192 };

struct tool {
    struct project project;
    struct engine *engine;
    struct completer *completer;
    struct gatherer *gatherer;
    struct output out;
};

struct request {
    const cJSON *json;
    const char *path;
    struct slice text, truth;
    size_t at;
};

static void fail(const char *what, const struct error *error)
{
    fprintf(stderr, "complete: %s: %s\n", what, error->text);
    exit(EXIT_FAILURE);
}

static const char *text_of(const cJSON *json, const char *key)
{
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(json, key));
    return text ? text : "";
}

static double number_of(const cJSON *json, const char *key, double usual)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(json, key);
    return cJSON_IsNumber(item) ? item->valuedouble : usual;
}

static void open_all(struct tool *tool, char **arguments)
{
    struct error error = {0};
    const char *grammars[] = {arguments[4], NULL}, *queries[] = {arguments[5], NULL};
    struct engine_options engine = {.model_path = arguments[1], .cpu = getenv("FATHOM_CPU")};
    struct completer_options options = {.session = {.n_ctx = N_CTX}};
    enum status status = repo_open(arguments[2], &tool->project.repo, &error);
    if (!status)
        status = languages_new(grammars, queries, &tool->project.languages, &error);
    if (!status)
        status = index_open(arguments[3], repo_root(tool->project.repo), &tool->project.index, &error);
    if (!status)
        status = engine_open(&engine, &tool->engine, &error);
    if (!status)
        status = completer_open(tool->engine, &options, &tool->completer, &error);
    if (!status)
        status = gather_open(&tool->project, &tool->gatherer, &error);
    if (status)
        fail("opening", &error);
    tool->out.fd = 1;
}

static void refresh(struct tool *tool)
{
    struct index_options options = {.languages = tool->project.languages, .n_threads = 2};
    struct index_report report;
    struct error error = {0};
    enum status status = index_refresh(tool->project.index, tool->project.repo, &options, &report, &error);
    if (status)
        fail("the index", &error);
    gather_forget(tool->gatherer);
}

static unsigned sources_of(const char *words)
{
    unsigned sources = 0;
    for (const char *at = words; *at; at += strspn(at, ",")) {
        size_t size = strcspn(at, ",");
        sources |= gather_source_of(at, size);
        at += size;
    }
    return sources;
}

/* Gathers and completes; syntax may be NULL. */
static void complete(struct tool *tool, const struct request *request, struct slice text, size_t at, bool reads_only,
                     const struct fim_syntax *syntax, struct gathered *gathered, struct complete_result *result)
{
    struct error error = {0};
    struct gather_request gather = {.path = request->path,
                                    .text = text,
                                    .at = at,
                                    .sources = sources_of(text_of(request->json, "sources")),
                                    .engine = tool->engine};
    struct complete_request complete = {.sampling = sampler_options_default(),
                                        .n_predict = reads_only ? 0 : (int64_t)number_of(request->json, "predict", -1),
                                        .plain = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(request->json, "plain")),
                                        .afresh = true,
                                        .syntax = syntax};
    complete.sampling.temperature = 0;
    enum status status = gather_run(tool->gatherer, &gather, gathered, &error);
    if (status)
        fail("gathering", &error);
    gathered_request(gathered, &gather, &complete.prompt);
    complete.prompt.budget = (size_t)number_of(request->json, "budget", 2048);
    complete.prompt.form = strcmp(text_of(request->json, "form"), "seeded") == 0 ? FIM_SEEDED : FIM_PLAIN;
    status = complete_run(tool->completer, &complete, result, &error);
    if (status)
        fail("completing", &error);
}

/* How many tokens are read when the text's next bytes are typed. */
static size_t type_on(struct tool *tool, const struct request *request)
{
    struct buffer text = {0};
    const char *typed = text_of(request->json, "typed");
    struct gathered gathered;
    struct complete_result result;
    buffer_append(&text, request->text.data, request->at);
    buffer_append_text(&text, typed);
    buffer_append(&text, request->text.data + request->at, request->text.size - request->at);
    complete(tool, request, (struct slice){buffer_text(&text), text.size}, request->at + strlen(typed), true, NULL,
             &gathered, &result);
    size_t n = result.n_prefilled;
    complete_result_deinit(&result);
    gathered_deinit(&gathered);
    buffer_deinit(&text);
    return n;
}

/* Nothing that was read for an earlier request is of use any more. */
static void forget(struct tool *tool, const struct tokens *prompt)
{
    struct session *session = completer_session(tool->completer);
    struct sync_report report;
    struct error error = {0};
    if (prompt->n && session_sync(session, prompt->ids + prompt->n - 1, 1, &report, &error))
        fail("forgetting", &error);
}

static void answer(struct tool *tool, const struct request *request)
{
    struct slice prefix, suffix;
    struct complete_syntax *tree = NULL;
    struct gathered gathered;
    struct complete_result result;
    struct error error = {0};
    complete_split(request->text, request->at, &prefix, &suffix);
    if (complete_syntax_new(tool->project.languages, slice_from(request->path), prefix, suffix, &tree, &error))
        fail("its syntax", &error);
    const struct fim_syntax *syntax = complete_syntax_asked(tree);
    complete(tool, request, request->text, request->at, false, syntax, &gathered, &result);
    const struct buffer *way = result.n_ways ? &result.ways[0].text : NULL;
    struct slice text = {way ? buffer_text(way) : "", way ? way->size : 0};
    long broken = 0, added = 0;
    if (syntax) {
        long errors = syntax->errors(syntax->context, text.data, text.size);
        broken = errors - syntax->errors(syntax->context, request->truth.data, request->truth.size);
        added = errors - syntax->errors(syntax->context, "", 0);
    }
    cJSON *reply = cJSON_CreateObject();
    json_add(reply, "text", json_text(text.data, text.size));
    json_add_text(reply, "stop", result.n_ways ? fim_stop_name(result.ways[0].stop) : "eot");
    json_add_integer(reply, "errors", broken);
    json_add_integer(reply, "added", added);
    json_add_integer(reply, "prompt", (int64_t)result.prompt->tokens.n);
    json_add_integer(reply, "prefilled", (int64_t)result.n_prefilled);
    json_add_integer(reply, "decoded", (int64_t)result.n_decoded);
    json_add_real(reply, "ttft_ms", result.ttft_ms, 3);
    json_add_real(reply, "total_ms", result.total_ms, 3);
    json_add(reply, "context", context_list_json(result.prompt));
    json_add_integer(reply, "next", (int64_t)type_on(tool, request));
    if (cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(request->json, "cold")))
        forget(tool, &result.prompt->tokens);
    output_json(&tool->out, reply);
    output_flush(&tool->out);
    complete_result_deinit(&result);
    gathered_deinit(&gathered);
    complete_syntax_free(tree);
}

int main(int argc, char **argv)
{
    struct tool tool = {0};
    char *line = NULL;
    size_t capacity = 0;
    if (argc != 6)
        return fprintf(stderr, "usage: complete MODEL ROOT CACHE GRAMMARS QUERIES < requests\n"), 2;
    open_all(&tool, argv);
    while (getline(&line, &capacity, stdin) > 0) {
        cJSON *json = cJSON_Parse(line);
        struct request request = {.json = json,
                                  .path = text_of(json, "path"),
                                  .text = slice_from(text_of(json, "text")),
                                  .truth = slice_from(text_of(json, "truth")),
                                  .at = (size_t)number_of(json, "at", 0)};
        if (!json || request.at > request.text.size)
            fail("a request", &(struct error){.text = "is not of that form"});
        refresh(&tool);
        answer(&tool, &request);
        cJSON_Delete(json);
    }
    free(line);
    gather_close(tool.gatherer);
    completer_close(tool.completer);
    engine_close(tool.engine);
    index_close(tool.project.index);
    languages_free(tool.project.languages);
    repo_free(tool.project.repo);
    output_deinit(&tool.out);
    return 0;
}
