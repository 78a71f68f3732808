/* chat: see chat.h.
 *
 * A template is known by the hash of its text's normal form (chat_normal.h); what it does is a row of the family table
 * (chat_families.h), which the renderer here reads.  A text whose form is not in the table is refused, however much it looks
 * like one that is: a prompt that is slightly wrong makes a model worse without anybody noticing. */
#include "engine/chat.h"

#include <stdlib.h>
#include <string.h>

#include "engine/chat_families.h"
#include "engine/chat_normal.h"

struct chat_template {
    const struct chat_family *family;
    char *default_system; /* NULL where the family has none */
};

/* ---- which template ---- */

const char *chat_template_known_name(size_t i)
{
    size_t n = 0;
    const char *last = "";
    for (size_t row = 0; chat_family_at(row); row++) {
        const char *name = chat_family_at(row)->name;
        if (strcmp(name, last) == 0) /* rows of one name stand together */
            continue;
        last = name;
        if (n++ == i)
            return name;
    }
    return NULL;
}

static enum status unknown_set(enum status status, const char *what, struct error *error)
{
    struct buffer names = {0};
    for (size_t i = 0; error && chat_template_known_name(i); i++)
        buffer_printf(&names, " %s", chat_template_known_name(i));
    error_set(error, status, "%s; known:%s", what, buffer_text(&names));
    buffer_deinit(&names);
    return status;
}

static enum status template_make(const struct chat_family *family, const char *default_system,
                                 struct chat_template **out, struct error *error)
{
    struct chat_template *chat = calloc(1, sizeof *chat);
    if (chat && default_system)
        chat->default_system = strdup(default_system);
    if (!chat || (default_system && !chat->default_system)) {
        free(chat);
        return error_set(error, STATUS_MEMORY, "chat template: out of memory");
    }
    chat->family = family;
    *out = chat;
    return STATUS_OK;
}

enum status chat_template_new_named(const char *name, struct chat_template **out, struct error *error)
{
    for (size_t row = 0; chat_family_at(row); row++)
        if (strcmp(chat_family_at(row)->name, name) == 0)
            return template_make(chat_family_at(row), chat_family_at(row)->default_system, out, error);
    return unknown_set(STATUS_NOT_FOUND, "unknown template", error);
}

enum status chat_template_new_recognised(const char *text, size_t size, struct chat_template **out, struct error *error)
{
    struct chat_normal normal;
    enum status status = chat_normal_make(text, size, &normal, error);
    if (status == STATUS_UNSUPPORTED)
        return unknown_set(status, "unknown template", error);
    if (status)
        return status;
    const char *found = normal.n_holes ? normal.texts.data + normal.holes[0] : "";
    const struct chat_family *family = chat_family_by_form(normal.hash, found);
    if (family)
        status = template_make(family, family->default_system ? found : NULL, out, error);
    else
        status = unknown_set(STATUS_UNSUPPORTED, "unknown template", error);
    chat_normal_deinit(&normal);
    return status;
}

void chat_template_free(struct chat_template *chat)
{
    if (!chat)
        return;
    free(chat->default_system);
    free(chat);
}

const char *chat_template_name(const struct chat_template *chat)
{
    return chat->family->name;
}

const char *chat_template_think_open(const struct chat_template *chat)
{
    return chat->family->think_open;
}

const char *chat_template_think_close(const struct chat_template *chat, bool *starts_inside)
{
    if (starts_inside)
        *starts_inside = chat->family->think_starts_inside;
    return chat->family->think_close;
}

const char *chat_template_turn_end(const struct chat_template *chat)
{
    return chat->family->turn_end;
}

/* ---- the prompt ---- */

void chat_prompt_deinit(struct chat_prompt *prompt)
{
    buffer_deinit(&prompt->text);
    free(prompt->pieces);
    *prompt = (struct chat_prompt){0};
}

/* Running out of memory shows in prompt->text.failed. */
static void prompt_put(struct chat_prompt *prompt, const char *text, size_t size, bool control)
{
    if (size == 0)
        return;
    struct chat_piece *last = prompt->n_pieces ? &prompt->pieces[prompt->n_pieces - 1] : NULL;
    if (last && last->control == control) {
        last->size += size;
    } else {
        if (prompt->n_pieces == prompt->capacity) {
            size_t capacity = prompt->capacity ? prompt->capacity * 2 : 16;
            struct chat_piece *moved =
                capacity < SIZE_MAX / 2 / sizeof *moved ? realloc(prompt->pieces, capacity * sizeof *moved) : NULL;
            if (!moved) {
                prompt->text.failed = true;
                return;
            }
            prompt->pieces = moved;
            prompt->capacity = capacity;
        }
        prompt->pieces[prompt->n_pieces++] = (struct chat_piece){prompt->text.size, size, control};
    }
    buffer_append(&prompt->text, text, size);
}

/* One conversation on its way into a prompt. */
struct render {
    const struct chat_template *chat;
    const struct chat_family *family;
    const struct chat_message *messages;
    size_t n_messages;
    const struct chat_options *options;
    struct chat_prompt *prompt;
};

/* The template's own text, BOS and EOS replaced; size bytes of it. */
static void control_put_some(const struct render *render, const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        const char *token = text[i] == *BOS ? render->options->bos : text[i] == *EOS ? render->options->eos : NULL;
        if (token)
            prompt_put(render->prompt, token, strlen(token), true);
        else
            prompt_put(render->prompt, text + i, 1, true);
    }
}

static void control_put(const struct render *render, const char *text)
{
    if (text)
        control_put_some(render, text, strlen(text));
}

static void content_put(const struct render *render, struct slice content)
{
    bool is_control = false;
    char mark = render->options->mark;
    while (content.size) {
        const char *end = mark ? memchr(content.data, mark, content.size) : NULL;
        size_t size = end ? (size_t)(end - content.data) : content.size;
        prompt_put(render->prompt, content.data, size, is_control);
        size += end ? 1 : 0;
        content = (struct slice){content.data + size, content.size - size};
        is_control = !is_control;
    }
}

/* ---- cutting contents ---- */

/* What Python's str.strip takes away: str.isspace of Unicode. */
static bool is_python_space(uint32_t c)
{
    return (c >= 9 && c <= 13) || (c >= 28 && c <= 32) || c == 0x85 || c == 0xa0 || c == 0x1680 ||
           (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f || c == 0x205f || c == 0x3000;
}

static struct slice slice_drop(struct slice text, size_t size)
{
    return (struct slice){text.data + size, text.size - size};
}

static struct slice trim_left(struct slice text)
{
    uint32_t c;
    for (;;) {
        int n = utf8_decode(text.data, text.size, &c);
        if (n <= 0 || !is_python_space(c))
            return text;
        text = slice_drop(text, (size_t)n);
    }
}

static struct slice trim_right(struct slice text)
{
    while (text.size) {
        size_t n = 1; /* of the last code point */
        while (n < 4 && n < text.size && ((unsigned char)text.data[text.size - n] & 0xc0) == 0x80)
            n++;
        uint32_t c;
        if (utf8_decode(text.data + text.size - n, n, &c) != (int)n || !is_python_space(c))
            break;
        text.size -= n;
    }
    return text;
}

static struct slice newlines_drop_left(struct slice text)
{
    while (text.size && *text.data == '\n')
        text = slice_drop(text, 1);
    return text;
}

static struct slice newlines_drop_right(struct slice text)
{
    while (text.size && text.data[text.size - 1] == '\n')
        text.size--;
    return text;
}

/* Where mark begins in text for the first or the last time; text.size where it doesn't. */
static size_t mark_find(struct slice text, const char *mark, bool last)
{
    size_t size = strlen(mark), found = text.size;
    for (size_t i = 0; i + size <= text.size; i++) {
        if (memcmp(text.data + i, mark, size) != 0)
            continue;
        found = i;
        if (!last)
            break;
    }
    return found;
}

static bool starts_with(struct slice text, const char *prefix)
{
    size_t size = strlen(prefix);
    return text.size >= size && memcmp(text.data, prefix, size) == 0;
}

static bool ends_with(struct slice text, const char *suffix)
{
    size_t size = strlen(suffix);
    return text.size >= size && memcmp(text.data + text.size - size, suffix, size) == 0;
}

/* ---- an assistant's message ---- */

/* What follows the first or last closing mark; all where there is none. */
static struct slice thought_cut(const struct render *render, struct slice content, bool last)
{
    const char *close = render->family->think_close;
    size_t at = mark_find(content, close, last);
    return at < content.size ? slice_drop(content, at + strlen(close)) : content;
}

static bool is_tool_result(const struct render *render, struct slice content)
{
    static const char open[] = "<tool_response>", close[] = "</tool_response>";
    if (render->family->flags & TOOL_MARKS_INSIDE)
        return mark_find(content, open, false) < content.size && mark_find(content, close, false) < content.size;
    return starts_with(content, open) && ends_with(content, close);
}

/* The last user's message that is a question and no result of a tool; n_messages - 1 where there is none. */
static size_t last_question(const struct render *render)
{
    for (size_t i = render->n_messages; i-- > 0;) {
        const struct chat_message *message = &render->messages[i];
        if (message->role == CHAT_USER && !is_tool_result(render, message->content))
            return i;
    }
    return render->n_messages - 1;
}

static void qwen3_put(const struct render *render, size_t i, size_t question)
{
    struct slice content = render->messages[i].content, thought = {content.data, 0};
    size_t close = mark_find(content, "</think>", false);
    if (close < content.size) {
        thought = newlines_drop_right((struct slice){content.data, close});
        size_t open = mark_find(thought, "<think>", true);
        if (open < thought.size)
            thought = slice_drop(thought, open + strlen("<think>"));
        thought = newlines_drop_right(newlines_drop_left(thought));
        content = newlines_drop_left(thought_cut(render, content, true));
    }
    if (i > question && (i + 1 == render->n_messages || thought.size)) {
        control_put(render, "<think>\n");
        content_put(render, thought);
        control_put(render, "\n</think>\n\n");
        content = newlines_drop_left(content);
    }
    content_put(render, content);
}

static void assistant_put(const struct render *render, size_t i, bool after_user, size_t question)
{
    const struct chat_family *family = render->family;
    struct slice content = render->messages[i].content;
    if (family->empty_assistant && content.size == 0) {
        control_put(render, family->empty_assistant);
        return;
    }
    if (after_user || !(family->flags & OPENS_AFTER_USER))
        control_put(render, family->before[CHAT_ASSISTANT]);
    switch (family->think) {
    case THINK_KEPT:
        break;
    case THINK_CUT:
    case THINK_CUT_FIRST:
        content = thought_cut(render, content, family->think == THINK_CUT);
        break;
    case THINK_CUT_PAST:
        if (i + 1 < render->n_messages)
            content = newlines_drop_left(thought_cut(render, content, true));
        break;
    case THINK_QWEN3:
        qwen3_put(render, i, question);
        content.size = 0;
        break;
    }
    if (family->flags & TRIM_ASSISTANT)
        content = trim_right(trim_left(content));
    content_put(render, content);
    control_put(render, family->after[CHAT_ASSISTANT]);
}

/* ---- system texts ---- */

static void turn_put(const struct render *render, const char *before, struct slice content, const char *after)
{
    if (render->family->flags & TRIM_SYSTEM)
        content = trim_right(trim_left(content));
    control_put(render, before);
    content_put(render, content);
    control_put(render, after);
}

static void system_put(const struct render *render, struct slice content)
{
    turn_put(render, render->family->before[CHAT_SYSTEM], content, render->family->after[CHAT_SYSTEM]);
}

static bool default_is_put(const struct render *render)
{
    bool first = render->messages[0].role == CHAT_SYSTEM, any = first;
    for (size_t i = 1; i < render->n_messages; i++)
        any |= render->messages[i].role == CHAT_SYSTEM;
    struct slice content = render->messages[0].content;
    if (!render->chat->default_system || !*render->chat->default_system)
        return false;
    switch (render->family->fallback) {
    case DEFAULT_NEVER:
        return false;
    case DEFAULT_UNLESS_FIRST:
        return !first;
    case DEFAULT_UNLESS_ANY:
        return !any;
    case DEFAULT_ALWAYS:
        return true;
    case DEFAULT_UNLESS_MARKED:
        return !first && mark_find(content, "<<SYS>>", false) == content.size;
    }
    return false;
}

/* All that comes before the first turn. */
static void top_put(const struct render *render)
{
    const struct chat_family *family = render->family;
    const struct chat_message *messages = render->messages;
    struct slice fallback = slice_from(render->chat->default_system);
    control_put(render, family->begin);
    if (family->system == SYSTEM_HEADER) {
        prompt_put(render->prompt, fallback.data, fallback.size, true);
        control_put(render, family->header);
        if (messages[0].role == CHAT_SYSTEM)
            content_put(render, trim_right(trim_left(messages[0].content)));
        control_put(render, family->after[CHAT_SYSTEM]);
        return;
    }
    if (family->system != SYSTEM_IN_FIRST_USER && default_is_put(render)) {
        control_put(render, family->before[CHAT_SYSTEM]);
        prompt_put(render->prompt, fallback.data, fallback.size, true);
        control_put(render, family->after[CHAT_SYSTEM]);
    }
    if (family->system == SYSTEM_TOP_FIRST && messages[0].role == CHAT_SYSTEM) {
        system_put(render, messages[0].content);
    } else if (family->system == SYSTEM_TOP_LAST) {
        for (size_t i = render->n_messages; i-- > 0;)
            if (messages[i].role == CHAT_SYSTEM) {
                system_put(render, messages[i].content);
                break;
            }
    } else if (family->system == SYSTEM_TOP_JOINED) {
        bool is_first = true;
        for (size_t i = 0; i < render->n_messages; i++)
            if (messages[i].role == CHAT_SYSTEM) {
                control_put(render, is_first ? "" : "\n\n");
                system_put(render, messages[i].content);
                is_first = false;
            }
    }
}

/* ---- a user's message ---- */

/* The system text that goes into the turn of message i, which is the user's; false where there is none. */
static bool joined_system(const struct render *render, size_t i, struct slice *system, bool *is_control)
{
    bool has_system = render->messages[0].role == CHAT_SYSTEM;
    bool is_place = render->family->system == SYSTEM_IN_FIRST_USER  ? i == (size_t)has_system
                    : render->family->system == SYSTEM_IN_LAST_USER ? i + 1 == render->n_messages
                                                                    : false;
    if (!is_place)
        return false;
    *is_control = !has_system;
    if (has_system)
        *system = render->messages[0].content;
    else if (default_is_put(render))
        *system = slice_from(render->chat->default_system);
    else
        return false;
    return true;
}

static void user_put(const struct render *render, size_t i)
{
    const struct chat_family *family = render->family;
    struct slice content = render->messages[i].content, system;
    bool is_control;
    control_put(render, family->before[CHAT_USER]);
    if (family->flags & TRIM_JOINED)
        content = trim_right(content);
    if (joined_system(render, i, &system, &is_control)) {
        control_put(render, family->before[CHAT_SYSTEM]);
        if (is_control)
            prompt_put(render->prompt, system.data, system.size, true);
        else
            content_put(render, system);
        struct slice after = slice_from(family->after[CHAT_SYSTEM]);
        if ((family->flags & TRIM_JOINED) && content.size == 0)
            after = trim_right(after);
        control_put_some(render, after.data, after.size);
    } else if (family->flags & TRIM_JOINED) {
        content = trim_left(content);
    }
    if (family->flags & TRIM_USER)
        content = trim_right(trim_left(content));
    content_put(render, content);
    control_put(render, family->after[CHAT_USER]);
}

/* ---- all of it ---- */

/* The exceptions that the family's program would raise. */
static enum status conversation_check(const struct render *render, struct error *error)
{
    const struct chat_family *family = render->family;
    bool takes_first = render->messages[0].role == CHAT_SYSTEM;
    if (takes_first && family->system == SYSTEM_REFUSED)
        return error_set(error, STATUS_ARGUMENT, "the chat template %s takes no system text", family->name);
    for (size_t i = 0; i < render->n_messages; i++) {
        enum chat_role role = render->messages[i].role;
        if (role != CHAT_SYSTEM && role != CHAT_USER && role != CHAT_ASSISTANT)
            return error_set(error, STATUS_ARGUMENT, "message %zu has no role that is known", i + 1);
        if (role == CHAT_SYSTEM && i > 0 && (family->flags & LATE_REFUSED))
            return error_set(error, STATUS_ARGUMENT, "the chat template %s takes no system text in message %zu",
                             family->name, i + 1);
        if (!(family->flags & ALTERNATES) || (i == 0 && takes_first))
            continue;
        if ((role == CHAT_USER) != ((i - takes_first) % 2 == 0))
            return error_set(error, STATUS_ARGUMENT,
                             "the chat template %s wants user and assistant in turn; message %zu is not", family->name,
                             i + 1);
    }
    return STATUS_OK;
}

static bool generation_is_put(const struct render *render, bool after_user)
{
    bool asked = render->options->add_generation;
    switch (render->family->generates) {
    case GENERATION_ASKED:
        return asked;
    case GENERATION_ALWAYS:
        return true;
    case GENERATION_NEVER:
        return false;
    case GENERATION_AFTER_USER:
        return asked && after_user;
    case GENERATION_UNLESS_USER:
        return asked && !after_user;
    }
    return asked;
}

enum status chat_render(const struct chat_template *chat, const struct chat_message *messages, size_t n_messages,
                        const struct chat_options *options, struct chat_prompt *prompt, struct error *error)
{
    const struct chat_family *family = chat->family;
    struct render render = {chat, family, messages, n_messages, options, prompt};
    buffer_clear(&prompt->text);
    prompt->n_pieces = 0;
    if (n_messages == 0)
        return error_set(error, STATUS_ARGUMENT, "a conversation without a message");
    enum status status = conversation_check(&render, error);
    if (status)
        return status;
    top_put(&render);
    size_t question = last_question(&render);
    bool after_user = false; /* the last message that is not a system message is the user's */
    for (size_t i = 0; i < n_messages; i++) {
        switch (messages[i].role) {
        case CHAT_SYSTEM:
            if (i > 0 && family->late_before)
                turn_put(&render, family->late_before, messages[i].content, family->late_after);
            else if (family->system == SYSTEM_TURN)
                system_put(&render, messages[i].content);
            break;
        case CHAT_USER:
            user_put(&render, i);
            after_user = true;
            break;
        case CHAT_ASSISTANT:
            assistant_put(&render, i, after_user, question);
            after_user = false;
            break;
        }
    }
    if (generation_is_put(&render, after_user))
        control_put(&render, family->generation);
    return buffer_status(&prompt->text, error);
}
