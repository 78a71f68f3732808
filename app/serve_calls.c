/* serve_calls: tool calls found in an answer's text as it comes: the second half of serve_tools.h.
 *
 * Text goes on at once but for what may be the beginning of a call's mark, and white space before one.  A block of calls is
 * held until it is complete; one that turns out to be none goes on as the text that it is. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "app/output.h"
#include "app/serve_tools_private.h"

struct serve_calls {
    const struct serve_tools *tools;
    struct serve_choice *choice;
    struct buffer held; /* not passed on: possible beginning of a mark, or the block of calls */
    size_t n_searched;  /* of held: no end of the block begins before it */
    size_t n;
    bool is_inside, is_bare, has_text, is_over, is_closed;
};

enum status serve_calls_new(const struct serve_tools *tools, struct serve_choice *choice, struct serve_calls **out,
                            struct error *error)
{
    struct serve_calls *calls = calloc(1, sizeof *calls);
    if (!calls)
        return error_set(error, STATUS_MEMORY, "out of memory");
    calls->tools = tools;
    calls->choice = choice;
    struct buffer opening = {0};
    serve_tools_opening(tools, &opening);
    if (opening.size) {
        /* The mark itself has been put before the model; what stands behind it is the block's beginning. */
        size_t marks = strlen(tools->style->call_open);
        const char *last = strrchr(tools->style->call_open, SERVE_TOOL_MARK);
        size_t skipped = last ? (size_t)(last + 1 - tools->style->call_open) : marks;
        buffer_append(&calls->held, opening.data + skipped, opening.size - skipped);
        calls->is_inside = true;
    }
    if (calls->held.failed || opening.failed) {
        buffer_deinit(&opening);
        serve_calls_free(calls);
        return error_set(error, STATUS_MEMORY, "out of memory");
    }
    buffer_deinit(&opening);
    *out = calls;
    return STATUS_OK;
}

void serve_calls_free(struct serve_calls *calls)
{
    if (!calls)
        return;
    buffer_deinit(&calls->held);
    free(calls);
}

bool serve_calls_is_mark(const struct serve_calls *calls, struct slice text)
{
    const char *marks = calls->tools->style->marks;
    const char *found = text.size ? memmem(marks, strlen(marks), text.data, text.size) : NULL;
    return found && found > marks && found[-1] == '\n' && found[text.size] == '\n';
}

/* ---- a block ---- */

static void emit_call(struct serve_calls *calls, const char *name, const char *arguments)
{
    struct buffer item = {0};
    buffer_printf(&item, "{\"index\":%zu,\"id\":\"call_%.16s%02zx%02zx\",\"type\":\"function\",\"function\":{\"name\":",
                  calls->n, calls->choice->job->id, calls->choice->index, calls->n);
    json_append_string(&item, name, strlen(name));
    buffer_append_text(&item, ",\"arguments\":");
    json_append_string(&item, arguments, strlen(arguments));
    buffer_append_text(&item, "}}");
    if (!item.failed) {
        serve_choice_call(calls->choice, item.data, item.size);
        calls->n++;
    }
    buffer_deinit(&item);
}

/* {"name": ..., "arguments": {...}} of a tool that there is. */
static bool take_object(struct serve_calls *calls, const cJSON *object)
{
    const cJSON *name = json_field(object, "name");
    const cJSON *arguments = json_field(object, "arguments");
    if (!arguments)
        arguments = json_field(object, "parameters");
    if (!cJSON_IsString(name) || !serve_tools_find(calls->tools, name->valuestring))
        return false;
    char *text = arguments ? cJSON_PrintUnformatted(arguments) : NULL;
    emit_call(calls, name->valuestring, text ? text : "{}");
    cJSON_free(text);
    return true;
}

static struct slice trimmed(struct slice text)
{
    while (text.size && memchr(" \t\r\n", *text.data, 4))
        text = (struct slice){text.data + 1, text.size - 1};
    while (text.size && memchr(" \t\r\n", text.data[text.size - 1], 4))
        text.size--;
    return text;
}

static bool take_json(struct serve_calls *calls, struct slice text)
{
    cJSON *root, *node;
    bool is_taken = false;
    if (json_read(text.data, text.size, &root, NULL) != STATUS_OK)
        return false;
    if (cJSON_IsArray(root)) {
        cJSON_ArrayForEach(node, root) is_taken = take_object(calls, node) || is_taken;
    } else {
        is_taken = take_object(calls, root);
    }
    cJSON_Delete(root);
    return is_taken;
}

static bool starts_with(struct slice text, const char *word)
{
    size_t n = strlen(word);
    return text.size >= n && memcmp(text.data, word, n) == 0;
}

static struct slice cut_to(struct slice *text, const char *border, bool *found)
{
    const char *at = memmem(text->data, text->size, border, strlen(border));
    struct slice head = {text->data, at ? (size_t)(at - text->data) : text->size};
    *found = at != NULL;
    size_t used = head.size + (at ? strlen(border) : 0);
    *text = (struct slice){text->data + used, text->size - used};
    return head;
}

/* Qwen3-Coder's: <function=NAME> <parameter=KEY> value </parameter> </function>.  A value that is JSON and no text stays so. */
static bool take_tags(struct serve_calls *calls, struct slice text)
{
    bool found;
    text = (struct slice){text.data + 10, text.size - 10};
    struct slice name = trimmed(cut_to(&text, ">", &found));
    char *copy = found ? strndup(name.data, name.size) : NULL;
    cJSON *arguments = cJSON_CreateObject();
    while (copy && arguments) {
        cut_to(&text, "<parameter=", &found);
        if (!found)
            break;
        struct slice key = trimmed(cut_to(&text, ">", &found));
        struct slice value = trimmed(cut_to(&text, "</parameter>", &found));
        char *key_copy = strndup(key.data, key.size);
        cJSON *node;
        if (json_read(value.data, value.size, &node, NULL) != STATUS_OK)
            node = json_text(value.data, value.size);
        if (key_copy)
            json_add(arguments, key_copy, node);
        else
            cJSON_Delete(node);
        free(key_copy);
    }
    bool is_known = copy && arguments && serve_tools_find(calls->tools, copy);
    char *printed = is_known ? cJSON_PrintUnformatted(arguments) : NULL;
    if (printed)
        emit_call(calls, copy, printed);
    bool is_taken = printed != NULL;
    cJSON_free(printed);
    cJSON_Delete(arguments);
    free(copy);
    return is_taken;
}

/* DeepSeek's: NAME, a separator, arguments, perhaps fenced; calls one after another. */
static bool take_marked(struct serve_calls *calls, struct slice text)
{
    bool is_taken = false, found = true;
    while (text.size) {
        struct slice call = cut_to(&text, "<｜tool▁call▁end｜>", &found);
        const char *begin = memmem(call.data, call.size, "<｜tool▁call▁begin｜>", strlen("<｜tool▁call▁begin｜>"));
        if (begin)
            cut_to(&call, "<｜tool▁call▁begin｜>", &found);
        struct slice name = trimmed(cut_to(&call, "<｜tool▁sep｜>", &found));
        if (found && slice_equals(name, "function")) /* the kind of tool; the name stands on its line's end */
            name = trimmed(cut_to(&call, "\n", &found));
        else if (!found) /* the answer began behind the separator */
            call = name, name = trimmed(cut_to(&call, "\n", &found));
        call = trimmed(call);
        if (starts_with(call, "```json"))
            cut_to(&call, "\n", &found);
        if (call.size >= 3 && memcmp(call.data + call.size - 3, "```", 3) == 0)
            call.size -= 3;
        call = trimmed(call);
        cJSON *arguments;
        char *copy = strndup(name.data, name.size);
        if (copy && serve_tools_find(calls->tools, copy) &&
            json_read(call.data, call.size, &arguments, NULL) == STATUS_OK) {
            char *printed = cJSON_PrintUnformatted(arguments);
            emit_call(calls, copy, printed ? printed : "{}");
            cJSON_free(printed);
            cJSON_Delete(arguments);
            is_taken = true;
        }
        free(copy);
    }
    return is_taken;
}

/* What stands in held, up to size, as a block of calls. */
static bool take_block(struct serve_calls *calls, size_t size)
{
    const struct serve_tools *tools = calls->tools;
    if (tools->must_call && tools->chosen && !tools->style->name_end && calls->n == 0 && size == calls->held.size &&
        !calls->is_closed) {
        /* The opening began an object, and the answer ended with its arguments. */
        calls->is_closed = true;
        buffer_append_byte(&calls->held, '}');
        if (take_block(calls, calls->held.size))
            return true;
        calls->held.size--;
        calls->held.data[calls->held.size] = 0;
    }
    struct slice text = trimmed((struct slice){buffer_text(&calls->held), size});
    if (text.size == 0)
        return false;
    if (starts_with(text, "<function="))
        return take_tags(calls, text);
    if (calls->tools->style->name_end)
        return take_marked(calls, text);
    return take_json(calls, text);
}

/* ---- the text ---- */

static void emit_text(struct serve_calls *calls, size_t size)
{
    if (size) {
        serve_choice_text(calls->choice, TEXT_ANSWER, calls->held.data, size);
        buffer_remove_front(&calls->held, size);
        calls->has_text = true;
    }
}

/* How much of the text's end may belong to a mark, or to white space before one. */
static size_t doubtful_end(const struct serve_calls *calls)
{
    const char *open = calls->tools->style->open;
    const struct buffer *held = &calls->held;
    size_t n = strlen(open) - 1, doubtful = 0;
    for (n = n < held->size ? n : held->size; n > 0 && !doubtful; n--)
        if (memcmp(held->data + held->size - n, open, n) == 0)
            doubtful = n;
    while (doubtful < held->size && memchr(" \t\r\n", held->data[held->size - doubtful - 1], 4))
        doubtful++;
    return doubtful;
}

/* One step: true when there may be another. */
static bool outside(struct serve_calls *calls)
{
    const struct tool_style *style = calls->tools->style;
    struct buffer *held = &calls->held;
    struct slice text = trimmed((struct slice){buffer_text(held), held->size});
    if (style->is_bare && !calls->has_text && calls->n == 0 && starts_with(text, "{")) {
        calls->is_inside = calls->is_bare = true;
        return true;
    }
    const char *open = memmem(buffer_text(held), held->size, style->open, strlen(style->open));
    if (!open) {
        emit_text(calls, held->size - doubtful_end(calls));
        return false;
    }
    size_t before = (size_t)(open - held->data), kept = before;
    while (kept && memchr(" \t\r\n", held->data[kept - 1], 4))
        kept--;
    emit_text(calls, kept);
    buffer_remove_front(held, before - kept + strlen(style->open));
    calls->is_inside = true;
    calls->n_searched = 0;
    return true;
}

static void give_back(struct serve_calls *calls, size_t size)
{
    if (!calls->is_bare && !calls->tools->must_call)
        serve_choice_text(calls->choice, TEXT_ANSWER, calls->tools->style->open, strlen(calls->tools->style->open));
    emit_text(calls, size);
}

static bool inside(struct serve_calls *calls)
{
    const char *close = calls->tools->style->close;
    struct buffer *held = &calls->held;
    if (!close)
        return false;
    size_t n = strlen(close), from = calls->n_searched > n ? calls->n_searched - n : 0;
    const char *end = held->size > from ? memmem(held->data + from, held->size - from, close, n) : NULL;
    calls->n_searched = held->size;
    if (!end)
        return false;
    size_t size = (size_t)(end - held->data);
    if (take_block(calls, size))
        buffer_remove_front(held, size + n);
    else
        give_back(calls, size + n);
    calls->is_inside = false;
    calls->is_over = calls->n && (calls->tools->only_one || calls->tools->must_call);
    return !calls->is_over;
}

bool serve_calls_push(struct serve_calls *calls, const char *text, size_t size)
{
    if (calls->is_over)
        return true;
    buffer_append(&calls->held, text, size);
    while (calls->is_inside ? inside(calls) : outside(calls))
        ;
    return calls->is_over;
}

size_t serve_calls_finish(struct serve_calls *calls)
{
    if (calls->is_over)
        buffer_clear(&calls->held);
    else if (calls->is_inside && !take_block(calls, calls->held.size))
        give_back(calls, calls->held.size);
    else if (!calls->is_inside && calls->n == 0)
        emit_text(calls, calls->held.size);
    buffer_clear(&calls->held);
    return calls->n;
}
