/* serve_openai: what a chat's request says, and what a completion's: from JSON to a task for the engine. */
#include <stdlib.h>
#include <string.h>

#include "app/output.h"
#include "app/serve_sampling.h"
#include "app/serve_tools.h"
#include "fim/format.h"

enum { MESSAGES_MAX = 4096 };

/* ---- messages ---- */

struct messages {
    struct chat_message *items;
    struct buffer *texts; /* (n) what items' contents are */
    size_t n;
    const struct tool_style *style;
    bool ends_with_result; /* of a tool: another one joins it */
};

/* A text, or a list of parts that are texts. */
static enum status read_content(const cJSON *message, struct buffer *out, struct error *error)
{
    const cJSON *content = json_field(message, "content"), *part;
    if (!content)
        return STATUS_OK;
    if (cJSON_IsString(content)) {
        buffer_append_text(out, content->valuestring);
        return STATUS_OK;
    }
    if (!cJSON_IsArray(content))
        return error_set(error, STATUS_ARGUMENT, "messages: content must be a text, or a list of parts");
    cJSON_ArrayForEach(part, content)
    {
        const char *type = NULL, *text = NULL;
        enum status status = cJSON_IsObject(part) ? json_get_text(part, "type", &type, error)
                                                  : error_set(error, STATUS_ARGUMENT, "messages: a part is an object");
        if (status == STATUS_OK)
            status = json_get_text(part, "text", &text, error);
        if (status == STATUS_OK && (!type || strcmp(type, "text") != 0 || !text))
            status = error_set(error, STATUS_ARGUMENT, "messages: this model takes parts of the type \"text\" alone");
        if (status != STATUS_OK)
            return status;
        buffer_append_text(out, text);
    }
    return STATUS_OK;
}

static enum status add_message(struct messages *all, const cJSON *message, struct error *error)
{
    const char *role = NULL, *id = NULL;
    const cJSON *calls = NULL;
    if (!cJSON_IsObject(message))
        return error_set(error, STATUS_ARGUMENT, "messages: each is an object");
    enum status status = json_get_text(message, "role", &role, error);
    if (status == STATUS_OK && !role)
        status = error_set(error, STATUS_ARGUMENT, "messages: each has a role");
    if (status == STATUS_OK)
        status = json_get_array(message, "tool_calls", &calls, error);
    if (status == STATUS_OK)
        status = json_get_text(message, "tool_call_id", &id, error);
    if (status != STATUS_OK)
        return status;
    bool is_result = strcmp(role, "tool") == 0;
    bool joins = is_result && all->ends_with_result;
    if (!joins)
        all->n++;
    struct buffer *text = &all->texts[all->n - 1];
    if (strcmp(role, "system") == 0 || strcmp(role, "developer") == 0)
        all->items[all->n - 1].role = CHAT_SYSTEM;
    else if (strcmp(role, "user") == 0 || is_result)
        all->items[all->n - 1].role = CHAT_USER;
    else if (strcmp(role, "assistant") == 0)
        all->items[all->n - 1].role = CHAT_ASSISTANT;
    else
        return error_set(error, STATUS_ARGUMENT, "messages: \"%.40s\" is no role", role);
    all->ends_with_result = is_result;
    if (calls && all->items[all->n - 1].role != CHAT_ASSISTANT) { /* nobody else calls: they are only looked at */
        struct buffer dropped = {0};
        status = tool_style_write_calls(all->style, calls, &dropped, error);
        buffer_deinit(&dropped);
        if (status != STATUS_OK)
            return status;
        calls = NULL;
    }
    if (is_result) {
        struct buffer result = {0};
        status = read_content(message, &result, error);
        tool_style_write_result(all->style, buffer_text(&result), text);
        buffer_deinit(&result);
    } else {
        status = read_content(message, text, error);
        if (status == STATUS_OK && calls)
            status = tool_style_write_calls(all->style, calls, text, error);
    }
    return status;
}

/* The system text that there is, or a new first message. */
static struct buffer *system_text(struct messages *all)
{
    if (all->n == 0 || all->items[0].role != CHAT_SYSTEM) {
        memmove(all->items + 1, all->items, all->n * sizeof *all->items);
        memmove(all->texts + 1, all->texts, all->n * sizeof *all->texts);
        all->items[0] = (struct chat_message){.role = CHAT_SYSTEM};
        all->texts[0] = (struct buffer){0};
        all->n++;
    }
    return &all->texts[0];
}

static enum status fill_messages(struct messages *all, struct serve *serve, const cJSON *body,
                                 const struct serve_tools *tools, struct error *error)
{
    const cJSON *list = NULL, *node;
    const char *system = serve->context->settings->system;
    enum status status = json_get_array(body, "messages", &list, error);
    int n = list ? cJSON_GetArraySize(list) : 0;
    if (status == STATUS_OK && (n == 0 || n > MESSAGES_MAX))
        status = error_set(error, STATUS_ARGUMENT, "messages: there must be 1 to %d", (int)MESSAGES_MAX);
    if (status != STATUS_OK)
        return status;
    all->items = calloc((size_t)n + 1, sizeof *all->items);
    all->texts = calloc((size_t)n + 1, sizeof *all->texts);
    if (!all->items || !all->texts)
        return error_set(error, STATUS_MEMORY, "out of memory");
    for (node = list->child; node && status == STATUS_OK; node = node->next)
        status = add_message(all, node, error);
    if (status == STATUS_OK && system && all->items[0].role != CHAT_SYSTEM)
        buffer_append_text(system_text(all), system);
    if (status == STATUS_OK && tools)
        serve_tools_describe(tools, system_text(all));
    for (size_t i = 0; i < all->n && status == STATUS_OK; i++) {
        status = buffer_status(&all->texts[i], error);
        all->items[i].content = (struct slice){buffer_text(&all->texts[i]), all->texts[i].size};
    }
    return status;
}

static void messages_deinit(struct messages *all)
{
    for (size_t i = 0; all->texts && i < all->n; i++)
        buffer_deinit(&all->texts[i]);
    free(all->items);
    free(all->texts);
}

/* Text with control text between marks, behind the prompt. */
static enum status append_marked(const struct engine *engine, struct slice text, struct tokens *out,
                                 struct error *error)
{
    enum status status = STATUS_OK;
    for (bool is_control = false; text.size && status == STATUS_OK; is_control = !is_control) {
        const char *end = memchr(text.data, SERVE_TOOL_MARK, text.size);
        size_t size = end ? (size_t)(end - text.data) : text.size;
        status =
            engine_tokenize(engine, text.data, size, ENGINE_NO_PREFIX | (is_control ? ENGINE_SPECIAL : 0), out, error);
        size += end ? 1 : 0;
        text = (struct slice){text.data + size, text.size - size};
    }
    return status;
}

/* ---- a bound answer ---- */

/* What a schema can't be held by is the request's fault. */
static enum status bind_to(const char *schema, size_t size, struct serve_task *task, struct error *error)
{
    struct error why = {0};
    enum status status = grammar_from_schema(schema, size, &task->grammar, &why);
    if (status == STATUS_OK || status == STATUS_MEMORY)
        return error_set(error, status, "%s", why.text);
    return error_set(error, STATUS_ARGUMENT, "%s", why.text);
}

static enum status bind_to_node(const cJSON *schema, struct serve_task *task, struct error *error)
{
    char *text = cJSON_PrintUnformatted(schema);
    if (!text)
        return error_set(error, STATUS_MEMORY, "out of memory");
    enum status status = bind_to(text, strlen(text), task, error);
    cJSON_free(text);
    return status;
}

static enum status read_response_format(const cJSON *body, struct serve_task *task, struct error *error)
{
    static const char any_object[] = "{\"type\":\"object\"}";
    const cJSON *format = NULL, *wrapper = NULL, *schema = NULL;
    const char *type = NULL, *name = NULL;
    bool is_strict = false;
    enum status status = json_get_object(body, "response_format", &format, error);
    if (status != STATUS_OK || !format)
        return status;
    status = json_get_text(format, "type", &type, error);
    if (status != STATUS_OK)
        return status;
    if (type && strcmp(type, "text") == 0)
        return STATUS_OK;
    bool is_object = type && strcmp(type, "json_object") == 0, is_schema = type && strcmp(type, "json_schema") == 0;
    if (!is_object && !is_schema)
        return error_set(error, STATUS_ARGUMENT, "response_format: the type must be text, json_object or json_schema");
    if (task->tools)
        return error_set(error, STATUS_ARGUMENT, "response_format: not together with tools");
    if (is_schema)
        status = json_get_object(format, "json_schema", &wrapper, error);
    if (status == STATUS_OK)
        status = json_get_object(wrapper ? wrapper : format, "schema", &schema, error);
    if (status == STATUS_OK && wrapper)
        status = json_get_text(wrapper, "name", &name, error);
    if (status == STATUS_OK && wrapper)
        status = json_get_flag(wrapper, "strict", &is_strict, error); /* it always is */
    if (status == STATUS_OK && is_schema && !schema)
        status = error_set(error, STATUS_ARGUMENT, "response_format: json_schema has a schema");
    if (status != STATUS_OK)
        return status;
    return schema ? bind_to_node(schema, task, error) : bind_to(any_object, sizeof any_object - 1, task, error);
}

/* A call that must be made: its opening goes behind the prompt, and what comes then is bound to the tools' schemas, as far as
 * those can be held; else to an object. */
static enum status open_call(struct serve *serve, struct serve_task *task, struct tokens *prompt, struct error *error)
{
    struct buffer opening = {0}, schema = {0};
    serve_tools_opening(task->tools, &opening);
    serve_tools_schema(task->tools, &schema);
    enum status status =
        append_marked(serve->engine, (struct slice){buffer_text(&opening), opening.size}, prompt, error);
    if (status == STATUS_OK)
        status = buffer_status(&schema, error);
    if (status == STATUS_OK && schema.size && bind_to(schema.data, schema.size, task, NULL) != STATUS_OK)
        status = bind_to("{\"type\":\"object\"}", strlen("{\"type\":\"object\"}"), task, error);
    buffer_deinit(&opening);
    buffer_deinit(&schema);
    return status;
}

/* A prompt that ends inside of a thought: a bound answer has none. */
static enum status close_thought(struct serve *serve, const struct chat_template *chat, struct tokens *prompt,
                                 struct error *error)
{
    bool starts_inside = false;
    const char *close = chat_template_think_close(chat, &starts_inside);
    if (!close || !starts_inside)
        return STATUS_OK;
    enum status status =
        engine_tokenize(serve->engine, close, strlen(close), ENGINE_NO_PREFIX | ENGINE_SPECIAL, prompt, error);
    return status == STATUS_OK ? engine_tokenize(serve->engine, "\n\n", 2, ENGINE_NO_PREFIX, prompt, error) : status;
}

/* ---- a chat ---- */

static enum status read_chat_limits(const struct serve *serve, const cJSON *body, struct serve_job *job,
                                    struct error *error)
{
    int64_t n_predict = -1, n_top = 0;
    bool wants = false;
    enum status status = json_get_integer(body, "max_tokens", 0, INT32_MAX, &n_predict, error);
    if (status == STATUS_OK)
        status = json_get_integer(body, "max_completion_tokens", 0, INT32_MAX, &n_predict, error);
    if (status == STATUS_OK)
        status = json_get_flag(body, "logprobs", &wants, error);
    if (status == STATUS_OK)
        status = json_get_integer(body, "top_logprobs", 0, SERVE_LOGPROBS_MAX, &n_top, error);
    if (status == STATUS_OK && n_top && !wants)
        status = error_set(error, STATUS_ARGUMENT, "top_logprobs: only together with logprobs");
    job->task.n_logprobs = wants ? (int)n_top : -1;
    job->task.n_predict = serve_limit_tokens(serve, n_predict);
    return status;
}

enum status serve_read_chat(struct serve *serve, const struct cJSON *body, struct serve_job *job, bool *for_engine,
                            struct error *error)
{
    struct serve_task *task = &job->task;
    struct messages all = {0};
    size_t n_choices = 1;
    const struct chat_template *chat = engine_chat(serve->engine, error);
    if (!chat)
        return error && error->status != STATUS_OK ? error->status : STATUS_UNSUPPORTED;
    job->form = SERVE_CHAT;
    all.style = tool_style_of(chat);
    enum status status = serve_read_sampling(serve, body, job, &n_choices, error);
    if (status == STATUS_OK)
        status = serve_job_open(job, 1, n_choices, error);
    if (status == STATUS_OK)
        status = read_chat_limits(serve, body, job, error);
    if (status == STATUS_OK)
        status = serve_tools_read(body, all.style, &task->tools, error);
    if (status == STATUS_OK)
        status = fill_messages(&all, serve, body, task->tools, error);
    if (status == STATUS_OK)
        status =
            engine_chat_tokens_marked(serve->engine, all.items, all.n, true, SERVE_TOOL_MARK, task->prompts, error);
    if (status == STATUS_OK)
        status = read_response_format(body, task, error);
    bool is_bound = task->grammar || (task->tools && serve_tools_must_call(task->tools));
    if (status == STATUS_OK && is_bound)
        status = close_thought(serve, chat, task->prompts, error);
    if (status == STATUS_OK && task->tools)
        status = open_call(serve, task, task->prompts, error);
    messages_deinit(&all);
    task->splits_thoughts = !is_bound;
    task->is_turn = true;
    if (status == STATUS_OK)
        status = serve_check_room(serve, job, error);
    *for_engine = status == STATUS_OK;
    return status;
}

/* As llama-server has it: what would stand before the answer. */
enum status serve_read_template(struct serve *serve, const struct cJSON *body, struct serve_job *job, bool *for_engine,
                                struct error *error)
{
    struct buffer text = {0}, out = {0};
    enum status status = serve_read_chat(serve, body, job, for_engine, error);
    *for_engine = false;
    job->form = SERVE_WHOLE;
    job->is_streamed = false; /* whatever the request says of its answer, this one is whole */
    if (status != STATUS_OK)
        return status;
    engine_decode(serve->engine, job->task.prompts->ids, job->task.prompts->n, true, &text);
    buffer_append_text(&out, "{\"prompt\":");
    json_append_string(&out, buffer_text(&text), text.size);
    buffer_append_text(&out, "}");
    out.failed = out.failed || text.failed;
    serve_job_reply(job, &out);
    buffer_deinit(&text);
    buffer_deinit(&out);
    return STATUS_OK;
}

/* ---- a completion ---- */

static enum status append_ids(const cJSON *list, int32_t n_vocab, struct tokens *out, struct error *error)
{
    const cJSON *node;
    cJSON_ArrayForEach(node, list)
    {
        double id = cJSON_IsNumber(node) ? node->valuedouble : -1;
        if (id < 0 || id >= n_vocab || id != (double)(int32_t)id)
            return error_set(error, STATUS_ARGUMENT, "prompt: a list holds one text, or tokens of this model");
        tokens_append(out, (int32_t)id);
    }
    return tokens_status(out, error);
}

/* A text that is empty, where the model has nothing to begin with: behind what ends texts, another one begins. */
static void begin_text(const struct engine *engine, struct tokens *out)
{
    for (int32_t id = 0; id < engine_n_vocab(engine) && out->n == 0; id++)
        if (engine_token_is_end(engine, id))
            tokens_append(out, id);
}

/* What stands before an answer: a text, or tokens. */
static enum status read_prompt(const struct serve *serve, const cJSON *prompt, const char *suffix, struct tokens *out,
                               struct error *error)
{
    bool is_text = cJSON_IsString(prompt);
    if (!is_text && !cJSON_IsArray(prompt))
        return error_set(error, STATUS_ARGUMENT, "prompt: must be a text, a list of tokens, or a list of these");
    if (!is_text && suffix)
        return error_set(error, STATUS_ARGUMENT, "suffix: only together with a prompt that is a text");
    if (!is_text)
        return append_ids(prompt, engine_n_vocab(serve->engine), out, error);
    const char *text = prompt->valuestring;
    if (!suffix) {
        enum status status = engine_tokenize(serve->engine, text, strlen(text), ENGINE_BEGIN, out, error);
        if (status == STATUS_OK && out->n == 0)
            begin_text(serve->engine, out);
        return status == STATUS_OK ? tokens_status(out, error) : status;
    }
    struct fim_format format = fim_format_of(serve->engine);
    if (!format.has_marks)
        return error_set(error, STATUS_UNSUPPORTED, "suffix: this model has no tokens for filling in a middle");
    struct fim_parts parts = {.prefix = slice_from(text), .suffix = slice_from(suffix)};
    return fim_format_render(serve->engine, &format, &parts, out, NULL, NULL, error);
}

/* The prompt stands before its answers. */
static void echo(const struct serve *serve, const cJSON *prompt, struct serve_job *job, const struct tokens *ids)
{
    struct buffer text = {0};
    if (cJSON_IsString(prompt))
        buffer_append_text(&text, prompt->valuestring);
    else
        engine_decode(serve->engine, ids->ids, ids->n, false, &text);
    for (size_t i = 0; i < job->n_choices; i++)
        if (job->choices[i].prompt == ids)
            serve_choice_text(&job->choices[i], TEXT_ANSWER, buffer_text(&text), text.size);
    buffer_deinit(&text);
}

static bool is_list_of_prompts(const cJSON *prompt)
{
    return cJSON_IsArray(prompt) && prompt->child && !cJSON_IsNumber(prompt->child);
}

static void echo_prompts(const struct serve *serve, const cJSON *prompt, struct serve_job *job)
{
    prompt = is_list_of_prompts(prompt) ? prompt->child : prompt;
    for (size_t i = 0; i < job->task.n_prompts; i++, prompt = prompt->next)
        echo(serve, prompt, job, &job->task.prompts[i]);
}

/* One prompt, or a list of several. */
static enum status read_prompts(const struct serve *serve, const cJSON *body, const char *suffix, size_t n_each,
                                struct serve_job *job, struct error *error)
{
    const cJSON *prompt = json_field(body, "prompt");
    bool is_list = prompt && is_list_of_prompts(prompt);
    size_t n = is_list ? (size_t)cJSON_GetArraySize(prompt) : 1, n_most = SERVE_CHOICES_MAX / SERVE_N_MAX;
    if (!prompt)
        return error_set(error, STATUS_ARGUMENT, "prompt: there must be one");
    if (n > n_most)
        return error_set(error, STATUS_ARGUMENT, "prompt: at most %zu", n_most);
    enum status status = serve_job_open(job, n, n_each, error);
    prompt = is_list ? prompt->child : prompt;
    for (size_t i = 0; i < n && status == STATUS_OK; i++, prompt = prompt->next)
        status = read_prompt(serve, prompt, suffix, &job->task.prompts[i], error);
    return status;
}

enum status serve_read_completion(struct serve *serve, const struct cJSON *body, struct serve_job *job,
                                  bool *for_engine, struct error *error)
{
    const char *suffix = NULL;
    int64_t n_predict = 16, n_logprobs = -1, best_of = 1;
    size_t n_choices = 1;
    bool echoes = false;
    job->form = SERVE_COMPLETION;
    enum status status = serve_read_sampling(serve, body, job, &n_choices, error);
    if (status == STATUS_OK)
        status = json_get_integer(body, "max_tokens", 0, INT32_MAX, &n_predict, error);
    if (status == STATUS_OK)
        status = json_get_integer(body, "logprobs", 0, SERVE_LOGPROBS_MAX, &n_logprobs, error);
    if (status == STATUS_OK)
        status = json_get_integer(body, "best_of", 1, 1, &best_of, error); /* all answers are given */
    if (status == STATUS_OK)
        status = json_get_flag(body, "echo", &echoes, error);
    if (status == STATUS_OK)
        status = json_get_text(body, "suffix", &suffix, error);
    if (status == STATUS_OK && echoes && n_logprobs >= 0)
        status = error_set(error, STATUS_ARGUMENT, "echo: not together with logprobs");
    job->task.n_predict = serve_limit_tokens(serve, n_predict);
    job->task.n_logprobs = (int)n_logprobs;
    if (status == STATUS_OK)
        status = read_prompts(serve, body, suffix, n_choices, job, error);
    if (status == STATUS_OK)
        status = serve_check_room(serve, job, error);
    if (status == STATUS_OK && echoes) /* now that it has room, however many answers it stands before */
        echo_prompts(serve, json_field(body, "prompt"), job);
    *for_engine = status == STATUS_OK;
    return status;
}
