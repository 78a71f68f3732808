/* repl_commands: the slash commands of the repl, a const table of them, and their completion. */
#include "app/repl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "app/clipboard.h"
#include "app/models.h"
#include "app/saved.h"

struct repl_command {
    const char *name, *argument, *help;
    void (*run)(struct repl *repl, const char *argument);
    void (*complete)(struct repl *repl, struct buffer *out); /* the arguments there are; or NULL */
};

static const struct repl_command *row_at(size_t i); /* NULL at the end */

/* ---- what they say ---- */

void repl_say(const struct repl *repl, const char *format, ...)
{
    struct buffer shown = {0};
    char *text;
    va_list arguments;
    va_start(arguments, format);
    int size = vasprintf(&text, format, arguments);
    va_end(arguments);
    if (size < 0)
        return;
    visible_append(&shown, text, (size_t)size, repl->chat.is_ascii);
    output_printf(repl->context->out, "%s\n", buffer_text(&shown));
    output_flush(repl->context->out);
    buffer_deinit(&shown);
    free(text);
}

/* A failure stands where the result would have stood, and the repl goes on. */
static void say_error(const struct repl *repl, const struct error *error)
{
    if (error->status == STATUS_CANCELLED)
        repl_say(repl, "stopped");
    else
        repl_say(repl, "%s", error->text);
}

static size_t count_questions(const struct conversation *conversation)
{
    size_t n = 0;
    for (size_t i = 0; i < conversation->n; i++)
        n += conversation->messages[i].role == CHAT_USER;
    return n;
}

void repl_say_loaded(const struct repl *repl)
{
    const struct conversation *conversation = &repl->chat.conversation;
    size_t n = count_questions(conversation), last = conversation->n;
    while (last > 0 && conversation->messages[last - 1].role != CHAT_USER)
        last--;
    const char *question = last ? buffer_text(&conversation->messages[last - 1].text) : "";
    size_t size = strcspn(question, "\n");
    repl_say(repl, "conversation %lld, %zu question%s; the last one: %.*s%s", (long long)repl->chat.id, n,
             n == 1 ? "" : "s", (int)(size < 200 ? size : 200), question,
             question[size < 200 ? size : 200] ? " ..." : "");
}

/* ---- the commands ---- */

static void run_help(struct repl *repl, const char *argument)
{
    (void)argument;
    for (size_t i = 0; row_at(i); i++) {
        char left[40];
        snprintf(left, sizeof left, "/%s %s", row_at(i)->name, row_at(i)->argument);
        repl_say(repl, "  %-18s %s", left, row_at(i)->help);
    }
    repl_say(repl, "  A line that ends with \\ goes on in the next; a paste of several lines is one question.");
    repl_say(repl, "  Ctrl-C stops an answer or clears the line; Ctrl-D leaves; Tab completes a command.");
}

static void list_models(const struct repl *repl)
{
    struct model_list list = {0};
    struct error error = {0};
    const char *current = engine_info(repl->chat.engine)->name;
    if (models_list(&list, &error) != STATUS_OK) {
        say_error(repl, &error);
        return;
    }
    bool is_listed = false;
    for (size_t i = 0; i < list.n; i++) {
        bool is_current = strcmp(list.items[i].name, current) == 0;
        is_listed = is_listed || is_current;
        repl_say(repl, "%s %s", is_current ? "*" : " ", list.items[i].name);
    }
    if (!is_listed)
        repl_say(repl, "* %s", engine_info(repl->chat.engine)->path);
    model_list_deinit(&list);
}

static void run_model(struct repl *repl, const char *argument)
{
    struct error error = {0};
    if (!*argument) {
        list_models(repl);
        return;
    }
    struct buffer name = {0};
    buffer_append_text(&name, argument);
    if (name.failed || chat_switch_model(&repl->chat, name.data, &error) != STATUS_OK) {
        buffer_deinit(&name);
        say_error(repl, &error);
        repl->is_over = repl->is_over || !repl->chat.session;
        return;
    }
    buffer_deinit(&repl->model);
    repl->model = name;
    repl_say(repl, "%s", engine_info(repl->chat.engine)->name);
}

static void run_system(struct repl *repl, const char *argument)
{
    struct error error = {0};
    if (!*argument) {
        const struct buffer *system = &repl->chat.conversation.system;
        repl_say(repl, "%s", system->size ? system->data : "the model's own");
        return;
    }
    if (chat_set_system(&repl->chat, strcmp(argument, "-") == 0 ? NULL : argument, &error) != STATUS_OK)
        say_error(repl, &error);
    else
        repl_say(repl, "it holds from the next question on");
}

static void run_reset(struct repl *repl, const char *argument)
{
    (void)argument;
    chat_reset(&repl->chat);
    repl_say(repl, "a new conversation");
}

static void run_save(struct repl *repl, const char *argument)
{
    struct error error = {0};
    const struct chat *chat = &repl->chat;
    if (chat->conversation.n == 0)
        repl_say(repl, "there is nothing to save yet");
    else if (!*argument && chat->id)
        repl_say(repl, "conversation %lld is saved as it goes; /save NAME gives it a name", (long long)chat->id);
    else if (!*argument)
        repl_say(repl, "this conversation is not saved; /save NAME does it");
    else if (chat_save(&repl->chat, argument, &error) != STATUS_OK)
        say_error(repl, &error);
    else
        repl_say(repl, "saved as %s", argument);
}

struct listing {
    const struct repl *repl;
    size_t n;
};

static bool list_entry(void *context, const struct store_entry *entry)
{
    struct listing *listing = context;
    char date[32] = "";
    struct tm local;
    time_t updated = (time_t)entry->updated;
    if (localtime_r(&updated, &local))
        strftime(date, sizeof date, "%Y-%m-%d %H:%M", &local);
    repl_say(listing->repl, "%5lld  %s  %s%s%.60s", (long long)entry->id, date, entry->name, *entry->name ? ": " : "",
             entry->title);
    return ++listing->n < 20;
}

static void run_load(struct repl *repl, const char *argument)
{
    struct error error = {0};
    enum status status = chat_need_store(&repl->chat, &error);
    if (status == STATUS_OK && *argument) {
        status = chat_load(&repl->chat, argument, &error);
        if (status == STATUS_OK)
            repl_say_loaded(repl);
    } else if (status == STATUS_OK) {
        struct listing listing = {repl, 0};
        status = store_list(repl->chat.store, list_entry, &listing, &error);
        if (status == STATUS_OK && listing.n == 0)
            repl_say(repl, "no conversation is saved yet");
    }
    if (status != STATUS_OK)
        say_error(repl, &error);
}

static void run_delete(struct repl *repl, const char *argument)
{
    struct error error = {0};
    struct chat *chat = &repl->chat;
    int64_t id;
    enum status status = *argument
                             ? chat_need_store(chat, &error)
                             : error_set(&error, STATUS_ARGUMENT, "/delete needs a name or number (/load lists them)");
    if (status == STATUS_OK)
        status = store_find(chat->store, argument, &id, &error);
    if (status == STATUS_OK)
        status = store_delete(chat->store, id, &error);
    if (status == STATUS_OK)
        saved_delete(id);
    if (status != STATUS_OK) {
        say_error(repl, &error);
        return;
    }
    if (id == chat->id) {
        chat->n_unsaved = 0;
        chat_reset(chat);
    }
    repl_say(repl, "deleted conversation %lld", (long long)id);
}

static void run_copy(struct repl *repl, const char *argument)
{
    const struct conversation_message *answer = conversation_last_answer(&repl->chat.conversation);
    struct output *out = repl->context->out;
    struct error error = {0};
    struct slice text;
    bool is_whole = strcmp(argument, "answer") == 0;
    if (!answer) {
        repl_say(repl, "there is no answer to copy yet");
        return;
    }
    bool is_code = !is_whole && clipboard_last_code_block(answer->text.data, answer->text.size, &text);
    if (!is_code)
        text = (struct slice){answer->text.data, answer->text.size};
    const char *tool = NULL;
    struct buffer sequence = {0};
    bool is_sent =
        out->is_terminal && !repl->context->settings->plain && clipboard_append_osc52(&sequence, text.data, text.size);
    if (is_sent)
        output_write(out, sequence.data, sequence.size);
    buffer_deinit(&sequence);
    enum status status = clipboard_run_tool(text.data, text.size, &tool, &error);
    if (tool || is_sent)
        repl_say(repl, "copied the %s, %zu bytes, by %s%s%s", is_code ? "last code block" : "answer", text.size,
                 tool ? tool : "", tool && is_sent ? " and " : "", is_sent ? "the terminal" : "");
    else
        repl_say(repl, "not copied: %s", status == STATUS_OK ? "there is no clipboard here" : error.text);
}

static void run_quit(struct repl *repl, const char *argument)
{
    (void)argument;
    repl->is_over = true;
}

/* ---- what Tab offers ---- */

static void complete_models(struct repl *repl, struct buffer *out)
{
    (void)repl;
    struct model_list list = {0};
    if (models_list(&list, NULL) != STATUS_OK)
        return;
    for (size_t i = 0; i < list.n; i++)
        buffer_append(out, list.items[i].name, strlen(list.items[i].name) + 1);
    model_list_deinit(&list);
}

static bool offer_entry(void *context, const struct store_entry *entry)
{
    if (*entry->name)
        buffer_append(context, entry->name, strlen(entry->name) + 1);
    return true;
}

static void complete_conversations(struct repl *repl, struct buffer *out)
{
    if (chat_need_store(&repl->chat, NULL) == STATUS_OK)
        store_list(repl->chat.store, offer_entry, out, NULL);
}

/* ---- the table ---- */

static const struct repl_command commands[] = {
    {"help", "", "what can be done here", run_help, NULL},
    {"model", "[NAME]", "the models that are here, or another model for this conversation", run_model, complete_models},
    {"system", "[TEXT|-]", "what the model is told beforehand; - is its own", run_system, NULL},
    {"reset", "", "a new conversation", run_reset, NULL},
    {"save", "[NAME]", "give this conversation a name", run_save, NULL},
    {"load", "[NAME|ID]", "the saved conversations, or go on with one", run_load, complete_conversations},
    {"delete", "NAME|ID", "delete a saved conversation", run_delete, complete_conversations},
    {"copy", "[answer]", "the last code block, or the answer, to the clipboard", run_copy, NULL},
    {"quit", "", "leave", run_quit, NULL},
};

static const struct repl_command *row_at(size_t i)
{
    return i < sizeof commands / sizeof *commands ? &commands[i] : NULL;
}

/* The letters after the slash; 0 where line is no command. */
static size_t word_size(const char *line)
{
    if (line[0] != '/')
        return 0;
    size_t size = strspn(line + 1, "abcdefghijklmnopqrstuvwxyz");
    char after = line[1 + size];
    return after == 0 || after == ' ' || after == '\n' || after == '\t' ? size : 0;
}

/* A whole name, or the beginning of a single one. */
static const struct repl_command *find(const char *word, size_t size)
{
    const struct repl_command *found = NULL;
    size_t n = 0;
    for (size_t i = 0; row_at(i); i++)
        if (strncmp(commands[i].name, word, size) == 0) {
            if (strlen(commands[i].name) == size)
                return &commands[i];
            found = &commands[i];
            n++;
        }
    return n == 1 ? found : NULL;
}

bool repl_run_command(struct repl *repl, const char *line)
{
    size_t size = word_size(line);
    if (size == 0)
        return false;
    const struct repl_command *command = find(line + 1, size);
    if (!command) {
        repl_say(repl, "there is no command /%.*s (/help lists them; a question may begin with a space)", (int)size,
                 line + 1);
        return true;
    }
    struct buffer argument = {0};
    const char *rest = line + 1 + size;
    rest += strspn(rest, " \t\n");
    buffer_append_text(&argument, rest);
    while (argument.size && strchr(" \t\n", argument.data[argument.size - 1]))
        argument.data[--argument.size] = 0;
    if (!argument.failed)
        command->run(repl, buffer_text(&argument));
    buffer_deinit(&argument);
    return true;
}

void repl_complete(void *context, const char *line, size_t *word, struct buffer *out)
{
    struct repl *repl = context;
    struct buffer all = {0};
    if (line[0] != '/')
        return;
    const char *space = strchr(line, ' ');
    *word = space ? (size_t)(space - line) + 1 : 1;
    if (!space) {
        for (size_t i = 0; row_at(i); i++)
            buffer_append(&all, commands[i].name, strlen(commands[i].name) + 1);
    } else {
        const struct repl_command *command = find(line + 1, (size_t)(space - line) - 1);
        if (command && command->complete)
            command->complete(repl, &all);
    }
    const char *typed = line + *word;
    for (size_t at = 0; at < all.size; at += strlen(all.data + at) + 1)
        if (strncmp(all.data + at, typed, strlen(typed)) == 0)
            buffer_append(out, all.data + at, strlen(all.data + at) + 1);
    buffer_deinit(&all);
}
