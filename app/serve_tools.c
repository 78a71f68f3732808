/* serve_tools: see serve_tools.h.  Calls in answers: serve_calls.c. */
#include "app/serve_tools.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/output.h"
#include "app/serve_tools_private.h"

static bool is_named(const char *templates, const char *name)
{
    size_t n = strlen(name);
    for (const char *at = templates; (at = strstr(at, name)) != NULL; at += n)
        if (at > templates && at[-1] == '|' && at[n] == '|')
            return true;
    return false;
}

const struct tool_style *tool_style_of(const struct chat_template *chat)
{
    const struct tool_style *style = tool_styles;
    while (style->templates && !is_named(style->templates, chat_template_name(chat)))
        style++;
    return style;
}

/* As Python's json.dumps writes it, which is what models have seen: a space behind colons and commas. */
static enum status print_spaced(const cJSON *node, struct buffer *out, struct error *error)
{
    char *text = cJSON_PrintUnformatted(node);
    bool is_inside = false;
    if (!text)
        return error_set(error, STATUS_MEMORY, "out of memory");
    for (const char *at = text; *at; at++) {
        buffer_append_byte(out, *at);
        if (*at == '\\' && is_inside)
            buffer_append_byte(out, *++at);
        else if (*at == '"')
            is_inside = !is_inside;
        else if (!is_inside && (*at == ',' || *at == ':'))
            buffer_append_byte(out, ' ');
    }
    cJSON_free(text);
    return buffer_status(out, error);
}

/* ---- messages ---- */

/* name and arguments (JSON) in the style's syntax, without what stands around a block. */
static void write_call(const struct tool_style *style, const char *name, const char *arguments, struct buffer *out)
{
    if (style->name_end)
        buffer_printf(out, "%s%s%s", name, style->name_end, arguments);
    else
        buffer_printf(out, "{\"name\": \"%s\", \"%s\": %s}", name, style->arguments, arguments);
}

static bool is_tool_name(const char *name)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.";
    size_t n = strlen(name);
    return n > 0 && n <= 64 && strspn(name, allowed) == n;
}

/* Arguments as a model wrote them once: JSON, or else whatever they are, as a text. */
static enum status spell_arguments(const char *arguments, struct buffer *out, struct error *error)
{
    cJSON *parsed = NULL;
    if (json_read(arguments, strlen(arguments), &parsed, NULL) != STATUS_OK)
        parsed = cJSON_CreateString(arguments);
    if (!parsed)
        return error_set(error, STATUS_MEMORY, "out of memory");
    enum status status = print_spaced(parsed, out, error);
    cJSON_Delete(parsed);
    return status;
}

enum status tool_style_write_calls(const struct tool_style *style, const cJSON *calls, struct buffer *content,
                                   struct error *error)
{
    const cJSON *call;
    bool is_first = true;
    if (content->size && style->close && calls->child)
        buffer_append_byte(content, '\n');
    cJSON_ArrayForEach(call, calls)
    {
        const cJSON *function = NULL;
        const char *name = NULL, *arguments = "{}", *type = "function", *id = NULL;
        struct buffer spelled = {0};
        enum status status = cJSON_IsObject(call) ? json_get_object(call, "function", &function, error) : STATUS_OK;
        if (status == STATUS_OK && !function)
            status = error_set(error, STATUS_ARGUMENT, "tool_calls: each has a function");
        if (status == STATUS_OK)
            status = json_get_text(call, "id", &id, error);
        if (status == STATUS_OK)
            status = json_get_text(call, "type", &type, error);
        if (status == STATUS_OK)
            status = json_get_text(function, "name", &name, error);
        if (status == STATUS_OK)
            status = json_get_text(function, "arguments", &arguments, error);
        if (status == STATUS_OK && (!name || !is_tool_name(name) || strcmp(type, "function") != 0))
            status = error_set(error, STATUS_ARGUMENT, "tool_calls: a function has a name of letters and digits");
        if (status == STATUS_OK)
            status = spell_arguments(arguments, &spelled, error);
        if (status == STATUS_OK) {
            buffer_append_text(content, is_first ? style->call_open : style->call_between);
            write_call(style, name, buffer_text(&spelled), content);
        }
        buffer_deinit(&spelled);
        if (status != STATUS_OK)
            return status;
        is_first = false;
    }
    if (!is_first)
        buffer_append_text(content, style->call_close);
    return buffer_status(content, error);
}

void tool_style_write_result(const struct tool_style *style, const char *text, struct buffer *content)
{
    if (content->size)
        buffer_append_byte(content, '\n');
    buffer_append_text(content, style->result_open);
    if (style->results_are_json)
        json_append_string(content, text, strlen(text));
    else
        buffer_append_text(content, text);
    buffer_append_text(content, style->result_close);
}

/* ---- the tools of a request ---- */

static enum status read_tool(const cJSON *node, struct serve_tools *tools, struct error *error)
{
    struct tool *tool = &tools->items[tools->n];
    const char *type = NULL, *name = NULL, *description = "";
    const cJSON *function = NULL, *parameters = NULL;
    static const char no_parameters[] = "{\"type\": \"object\"}";
    struct buffer text = {0}, schema = {0};
    if (!cJSON_IsObject(node))
        return error_set(error, STATUS_ARGUMENT, "tools: each is an object");
    enum status status = json_get_text(node, "type", &type, error);
    if (status == STATUS_OK && (!type || strcmp(type, "function") != 0))
        status = error_set(error, STATUS_ARGUMENT, "tools: only those of the type \"function\" can be called");
    if (status == STATUS_OK)
        status = json_get_object(node, "function", &function, error);
    if (status == STATUS_OK && !function)
        status = error_set(error, STATUS_ARGUMENT, "tools: each has a function");
    if (status == STATUS_OK)
        status = json_get_text(function, "name", &name, error);
    if (status == STATUS_OK && (!name || !is_tool_name(name)))
        status = error_set(error, STATUS_ARGUMENT, "tools: a name has 1 to 64 letters, digits, or _-.");
    if (status == STATUS_OK)
        status = json_get_text(function, "description", &description, error);
    if (status == STATUS_OK)
        status = json_get_object(function, "parameters", &parameters, error);
    if (status == STATUS_OK)
        status = print_spaced(node, &text, error);
    if (status == STATUS_OK && parameters)
        status = print_spaced(parameters, &schema, error);
    if (status == STATUS_OK) {
        tool->name = arena_copy_text(&tools->texts, name, strlen(name));
        tool->description = arena_copy_text(&tools->texts, description, strlen(description));
        tool->text = arena_copy_text(&tools->texts, buffer_text(&text), text.size);
        tool->parameters = arena_copy_text(&tools->texts, schema.size ? schema.data : no_parameters,
                                           schema.size ? schema.size : strlen(no_parameters));
        tools->n++;
        if (!tool->name || !tool->description || !tool->text || !tool->parameters)
            status = error_set(error, STATUS_MEMORY, "out of memory");
    }
    buffer_deinit(&text);
    buffer_deinit(&schema);
    return status;
}

const struct tool *serve_tools_find(const struct serve_tools *tools, const char *name)
{
    for (size_t i = 0; i < tools->n; i++)
        if (strcmp(tools->items[i].name, name) == 0)
            return &tools->items[i];
    return NULL;
}

struct choice {
    bool is_none, must_call;
    const char *name; /* of the one that must be called */
};

static enum status read_choice(const cJSON *request, struct choice *out, struct error *error)
{
    const cJSON *choice = json_field(request, "tool_choice");
    if (!choice)
        return STATUS_OK;
    if (cJSON_IsString(choice)) {
        out->is_none = strcmp(choice->valuestring, "none") == 0;
        out->must_call = strcmp(choice->valuestring, "required") == 0;
        if (out->is_none || out->must_call || strcmp(choice->valuestring, "auto") == 0)
            return STATUS_OK;
    } else if (cJSON_IsObject(choice)) {
        const char *type = cJSON_GetStringValue(json_field(choice, "type"));
        const cJSON *function = json_field(choice, "function");
        out->name = cJSON_IsObject(function) ? cJSON_GetStringValue(json_field(function, "name")) : NULL;
        out->must_call = true;
        if (type && strcmp(type, "function") == 0 && out->name)
            return STATUS_OK;
    }
    return error_set(error, STATUS_ARGUMENT,
                     "tool_choice: must be \"none\", \"auto\", \"required\", or name a function");
}

/* What was chosen, of the tools that there are. */
static enum status choose(struct serve_tools *tools, const struct choice *choice, struct error *error)
{
    tools->must_call = choice->must_call;
    if (choice->name)
        tools->chosen = serve_tools_find(tools, choice->name);
    if (choice->name && !tools->chosen)
        return error_set(error, STATUS_ARGUMENT, "tool_choice: there is no such tool");
    if (tools->must_call && tools->n == 1)
        tools->chosen = tools->items;
    return STATUS_OK;
}

enum status serve_tools_read(const cJSON *request, const struct tool_style *style, struct serve_tools **out,
                             struct error *error)
{
    const cJSON *list = NULL, *node;
    struct choice choice = {0};
    bool is_parallel = true;
    *out = NULL;
    enum status status = json_get_array(request, "tools", &list, error);
    if (status == STATUS_OK)
        status = json_get_flag(request, "parallel_tool_calls", &is_parallel, error);
    int n = list ? cJSON_GetArraySize(list) : 0;
    if (status == STATUS_OK && n > TOOLS_MAX)
        status = error_set(error, STATUS_ARGUMENT, "tools: at most %d", (int)TOOLS_MAX);
    if (status == STATUS_OK)
        status = read_choice(request, &choice, error);
    if (status == STATUS_OK && n == 0 && choice.must_call)
        status = error_set(error, STATUS_ARGUMENT, "tool_choice: there are no tools");
    if (status != STATUS_OK || n == 0)
        return status;
    struct serve_tools *tools = calloc(1, sizeof *tools);
    if (!tools)
        return error_set(error, STATUS_MEMORY, "out of memory");
    tools->style = style;
    tools->only_one = !is_parallel;
    for (node = list->child; node && status == STATUS_OK; node = node->next)
        status = read_tool(node, tools, error);
    for (size_t i = 0; i < tools->n && status == STATUS_OK; i++)
        if (serve_tools_find(tools, tools->items[i].name) != &tools->items[i])
            status = error_set(error, STATUS_ARGUMENT, "tools: two have the same name");
    if (status == STATUS_OK)
        status = choose(tools, &choice, error);
    if (status != STATUS_OK || choice.is_none)
        serve_tools_free(tools);
    else
        *out = tools;
    return status;
}

void serve_tools_free(struct serve_tools *tools)
{
    if (!tools)
        return;
    arena_deinit(&tools->texts);
    free(tools);
}

bool serve_tools_must_call(const struct serve_tools *tools)
{
    return tools->must_call;
}

void serve_tools_describe(const struct serve_tools *tools, struct buffer *system)
{
    const struct tool_style *style = tools->style;
    buffer_append_text(system, style->before);
    for (size_t i = 0; i < tools->n; i++) {
        const struct tool *tool = &tools->items[i];
        if (i)
            buffer_append_text(system, style->between);
        if (style->is_listed_by_name)
            buffer_printf(system, "\n### %s\nDescription: %s\n\nParameters: %s\n", tool->name, tool->description,
                          tool->parameters);
        else
            buffer_append_text(system, tool->text);
    }
    buffer_append_text(system, style->after);
}

void serve_tools_opening(const struct serve_tools *tools, struct buffer *out)
{
    const struct tool_style *style = tools->style;
    if (!tools->must_call)
        return;
    buffer_append_text(out, style->call_open);
    if (style->name_end && tools->chosen)
        buffer_printf(out, "%s%s", tools->chosen->name, style->name_end);
    else if (!style->name_end && tools->chosen)
        buffer_printf(out, "{\"name\": \"%s\", \"%s\": ", tools->chosen->name, style->arguments);
}

void serve_tools_schema(const struct serve_tools *tools, struct buffer *out)
{
    if (!tools->must_call || (tools->style->name_end && !tools->chosen))
        return;
    if (tools->chosen) {
        buffer_append_text(out, tools->chosen->parameters);
        return;
    }
    buffer_append_text(out, "{\"anyOf\":[");
    for (size_t i = 0; i < tools->n; i++)
        buffer_printf(out,
                      "%s{\"type\":\"object\",\"properties\":{\"name\":{\"const\":\"%s\"},\"%s\":%s},"
                      "\"required\":[\"name\",\"%s\"],\"additionalProperties\":false}",
                      i ? "," : "", tools->items[i].name, tools->style->arguments, tools->items[i].parameters,
                      tools->style->arguments);
    buffer_append_text(out, "]}");
}
