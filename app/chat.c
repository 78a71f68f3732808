/* chat: see chat.h. */
#include "app/chat.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/chat_print.h"
#include "app/models.h"
#include "app/saved.h"

/* A question that is being answered, and to whom. */
struct asking {
    struct chat *chat;
    const struct chat_listener *listener;
};

/* One whose answer is printed. */
struct printing {
    struct chat *chat;
    struct chat_print print;
    bool is_dialogue;
};

/* Saving what was evaluated takes a moment, so it waits until a conversation is left, but not for more than so many tokens. */
enum { MOST_UNSAVED = 2048 };

/* ---- what was evaluated ---- */

/* A cache: where it can't be kept, the next program reads the conversation again. */
static void keep_evaluated(struct chat *chat)
{
    if (chat->session && chat->is_saving && chat->n_unsaved)
        (void)saved_keep(chat->session, chat->id, NULL);
    chat->n_unsaved = 0;
}

/* Only for what was said before: the same question then gives the same answer to the last bit, whatever was asked earlier. */
static void find_evaluated(void *context, const struct tokens *prompt)
{
    const struct asking *asking = context;
    const struct chat *chat = asking->chat;
    if (chat->conversation.n > 1)
        saved_restore(chat->engine, chat->session, prompt);
}

/* ---- the model ---- */

const char *chat_advice(const struct error *error)
{
    return strstr(error->text, "chat template") && !strstr(error->text, "--chat-template")
               ? "--chat-template NAME chooses one"
               : NULL;
}

/* A name that is none is the command line's fault, and no reason to load a model. */
static enum status check_template_name(const struct settings *settings, struct error *error)
{
    struct chat_template *chat;
    struct error inner = {0};
    if (!settings->chat_template)
        return STATUS_OK;
    if (chat_template_new_named(settings->chat_template, &chat, &inner) != STATUS_OK)
        return error_set(error, STATUS_ARGUMENT, "%s", inner.text);
    chat_template_free(chat);
    return STATUS_OK;
}

/* Opens the model and checks that it can chat at all. */
static enum status open_engine(const struct command_context *context, const struct settings *settings,
                               struct engine **out, struct error *error)
{
    char what[96];
    if (check_template_name(settings, error) != STATUS_OK)
        return STATUS_ARGUMENT;
    const char *model = settings->model ? settings->model : models_default_name;
    const char *slash = strrchr(model, '/');
    snprintf(what, sizeof what, "loading %s", slash && slash[1] ? slash + 1 : model);
    progress_begin(context->progress, what);
    struct engine *engine = NULL;
    enum status status = settings_open_engine(settings, &engine, error);
    progress_end(context->progress);
    if (status != STATUS_OK)
        return status;
    if (!engine_chat(engine, error)) {
        engine_close(engine);
        return error && error->status != STATUS_OK ? error->status : STATUS_UNSUPPORTED;
    }
    *out = engine;
    return STATUS_OK;
}

static enum status open_session(struct chat *chat, struct error *error)
{
    struct session_options options = command_session_options(chat->context);
    options.drafts = chat->context->settings->draft == DRAFT_AUTO;
    return session_open(chat->engine, &options, &chat->session, error);
}

enum status chat_switch_model(struct chat *chat, const char *model, struct error *error)
{
    /* A copy that shares every text with the original: only the model differs. */
    struct settings settings = *chat->context->settings;
    settings.model = model;
    struct engine *engine;
    keep_evaluated(chat);
    /* Two caches may be more than the memory holds, so the present one goes first. */
    session_close(chat->session);
    chat->session = NULL;
    enum status status = open_engine(chat->context, &settings, &engine, error);
    if (status == STATUS_OK) {
        struct engine *before = chat->engine;
        chat->engine = engine;
        status = open_session(chat, error);
        chat->engine = status == STATUS_OK ? engine : before;
        engine_close(status == STATUS_OK ? before : engine);
    }
    if (status != STATUS_OK) {
        struct error again;
        if (open_session(chat, &again) != STATUS_OK)
            return error_set(error, again.status, "%s", again.text);
    }
    return status;
}

/* ---- the store ---- */

enum status chat_need_store(struct chat *chat, struct error *error)
{
    return chat->store ? STATUS_OK : store_open(NULL, &chat->store, error);
}

/* The one notice; from then on nothing is saved. */
static void give_up_saving(struct chat *chat, const struct error *error)
{
    if (!chat->is_saving)
        return;
    chat->is_saving = false;
    store_close(chat->store);
    chat->store = NULL;
    chat->id = 0;
    command_notice(chat->context, "this conversation is not saved: %s", error->text);
}

/* A question as it is kept: of one larger than STORED_LIMIT the ends. */
enum { STORED_LIMIT = 2 * 1024 * 1024 };

static enum status add_to_store(struct chat *chat, const struct conversation_message *message, struct error *error)
{
    if (message->text.size <= STORED_LIMIT)
        return store_add(chat->store, chat->id, message, error);
    struct conversation_message shorter = {.role = message->role};
    size_t half = STORED_LIMIT / 2, left_out = message->text.size - 2 * half;
    buffer_append(&shorter.text, message->text.data, half);
    buffer_printf(&shorter.text, "\n[... %zu bytes not kept ...]\n", left_out);
    buffer_append(&shorter.text, message->text.data + half + left_out, half);
    enum status status = buffer_status(&shorter.text, error);
    if (status == STATUS_OK)
        status = store_add(chat->store, chat->id, &shorter, error);
    buffer_deinit(&shorter.text);
    return status;
}

/* Stores what the store lacks. */
static enum status catch_up(struct chat *chat, struct error *error)
{
    const struct conversation *conversation = &chat->conversation;
    enum status status = chat_need_store(chat, error);
    if (status == STATUS_OK && chat->id == 0) {
        chat->n_messages = 0;
        status = store_new(chat->store, engine_info(chat->engine)->name, buffer_text(&conversation->system), &chat->id,
                           error);
    }
    while (status == STATUS_OK && chat->n_messages < conversation->n) {
        status = add_to_store(chat, &conversation->messages[chat->n_messages], error);
        chat->n_messages += status == STATUS_OK;
    }
    return status;
}

enum status chat_save(struct chat *chat, const char *name, struct error *error)
{
    enum status status = catch_up(chat, error);
    if (status == STATUS_OK)
        status = store_name(chat->store, chat->id, name, error);
    chat->is_saving = chat->is_saving || status == STATUS_OK;
    return status;
}

enum status chat_load(struct chat *chat, const char *name, struct error *error)
{
    int64_t id;
    enum status status = chat_need_store(chat, error);
    if (status == STATUS_OK)
        status = store_find(chat->store, name, &id, error);
    if (status != STATUS_OK)
        return status;
    keep_evaluated(chat);
    status = store_load(chat->store, id, &chat->conversation, error);
    if (status != STATUS_OK)
        return status;
    chat->id = id;
    chat->n_messages = chat->conversation.n;
    return STATUS_OK;
}

/* ---- the conversation ---- */

void chat_reset(struct chat *chat)
{
    keep_evaluated(chat);
    conversation_clear(&chat->conversation);
    chat->id = 0;
    chat->n_messages = 0;
}

enum status chat_set_system(struct chat *chat, const char *text, struct error *error)
{
    enum status status = conversation_set_system(&chat->conversation, text ? text : "", text ? strlen(text) : 0, error);
    struct error why = {0};
    if (status == STATUS_OK && chat->is_saving && chat->id &&
        store_set_system(chat->store, chat->id, text ? text : "", &why) != STATUS_OK)
        give_up_saving(chat, &why);
    return status;
}

enum status chat_open(const struct command_context *context, struct chat *chat, struct error *error)
{
    const struct settings *settings = context->settings;
    *chat = (struct chat){.context = context,
                          .is_saving = !settings->no_save,
                          .seed = settings_seed(settings),
                          .is_ascii = !visible_locale_is_utf8()};
    enum status status = open_engine(context, settings, &chat->engine, error);
    if (status == STATUS_OK)
        status = open_session(chat, error);
    if (status == STATUS_OK && settings->resume)
        status = chat_load(chat, settings->resume, error);
    if (status == STATUS_OK && settings->system)
        status = chat_set_system(chat, settings->system, error);
    if (status != STATUS_OK)
        chat_close(chat);
    return status;
}

void chat_close(struct chat *chat)
{
    keep_evaluated(chat);
    store_close(chat->store);
    conversation_deinit(&chat->conversation);
    session_close(chat->session);
    engine_close(chat->engine);
    *chat = (struct chat){.context = chat->context};
}

/* ---- a question and its answer ---- */

void chat_print_dim(const struct chat *chat, const char *text)
{
    struct output *out = chat->context->out;
    struct buffer line = {0};
    if (out->is_colored)
        buffer_append_text(&line, "\x1b[2m");
    visible_append(&line, text, strlen(text), chat->is_ascii);
    if (out->is_colored)
        buffer_append_text(&line, "\x1b[0m");
    output_write(out, buffer_text(&line), line.size);
    output_text(out, "\n");
    output_flush(out);
    buffer_deinit(&line);
}

static void take_notice(void *context, const struct turn_notice *notice)
{
    const struct asking *asking = context;
    struct error why = {0};
    /* What follows is reading, which takes its time. */
    if (asking->chat->store && store_answer_flush(asking->chat->store, &why) != STATUS_OK)
        give_up_saving(asking->chat, &why);
    asking->listener->on_notice(asking->listener->context, notice->text);
}

static bool take_text(void *context, enum text_part part, const char *text, size_t size)
{
    const struct asking *asking = context;
    struct error why = {0};
    if (asking->chat->store && asking->chat->is_saving &&
        store_answer_push(asking->chat->store, part, text, size, &why) != STATUS_OK)
        give_up_saving(asking->chat, &why);
    return asking->listener->on_text(asking->listener->context, part, text, size);
}

static void print_notice(void *context, const char *text)
{
    struct printing *printing = context;
    const struct command_context *command = printing->chat->context;
    if (command->settings->quiet)
        return;
    progress_end(command->progress);
    if (printing->print.answer && printing->print.answer->is_terminal)
        chat_print_end_line(&printing->print);
    if (printing->is_dialogue && command->out->is_terminal && !command->settings->json)
        chat_print_dim(printing->chat, text);
    else
        command_notice(command, "%s", text);
}

static bool print_text(void *context, enum text_part part, const char *text, size_t size)
{
    struct printing *printing = context;
    progress_end(printing->chat->context->progress);
    return chat_print_push(&printing->print, part, text, size);
}

static void print_json(const struct chat *chat, const struct turn_result *result, size_t before)
{
    cJSON *object = cJSON_CreateObject();
    const struct conversation *conversation = &chat->conversation;
    const struct conversation_message *answer =
        conversation->n > before ? &conversation->messages[conversation->n - 1] : NULL;
    cJSON_AddItemToObject(object, "text",
                          json_text(answer ? buffer_text(&answer->text) : "", answer ? answer->text.size : 0));
    if (answer && answer->thought.size)
        cJSON_AddItemToObject(object, "thought", json_text(answer->thought.data, answer->thought.size));
    json_add_text(object, "stop", turn_stop_name(result->stop));
    json_add_integer(object, "tokens", (int64_t)result->n_tokens);
    json_add_integer(object, "prefilled", (int64_t)result->n_evaluated);
    json_add_integer(object, "cached", (int64_t)result->n_reused);
    json_add_integer(object, "drafted", (int64_t)result->n_drafted);
    json_add_integer(object, "accepted", (int64_t)result->n_accepted);
    json_add_real(object, "tok_s", turn_speed(result), 2);
    if (chat->is_saving && chat->id)
        json_add_integer(object, "conversation", chat->id);
    output_json(chat->context->out, object);
    output_flush(chat->context->out);
}

/* Stores the question and opens its answer. */
static void begin_saving(struct chat *chat)
{
    struct error why = {0};
    if (!chat->is_saving)
        return;
    enum status status = catch_up(chat, &why);
    if (status == STATUS_OK)
        status = store_answer_begin(chat->store, chat->id, &why);
    if (status != STATUS_OK)
        give_up_saving(chat, &why);
}

static void end_saving(struct chat *chat)
{
    struct error why = {0};
    if (!chat->is_saving)
        return;
    chat->n_messages = chat->conversation.n;
    if (store_answer_end(chat->store, &why) != STATUS_OK)
        give_up_saving(chat, &why);
}

static enum status answer(struct chat *chat, const struct turn_options *options, struct turn_result *result,
                          struct error *error)
{
    struct sampler_options sampling = settings_sampler(chat->context->settings);
    struct sampler *sampler;
    sampling.seed = chat->seed + chat->n_turns++;
    enum status status = sampler_new(&sampling, engine_n_vocab(chat->engine), &sampler, error);
    if (status != STATUS_OK)
        return status;
    status = turn_run(chat->engine, chat->session, sampler, &chat->conversation, options, result, error);
    sampler_free(sampler);
    return status;
}

enum status chat_answer(struct chat *chat, struct slice question, struct slice piped, bool keeps_evaluated,
                        const struct chat_listener *listener, struct turn_result *result, struct error *error)
{
    const struct settings *settings = chat->context->settings;
    struct asking asking = {chat, listener};
    struct turn_options options = {.n_predict = settings->max_tokens,
                                   .strict = settings->strict,
                                   .shift = settings->shift,
                                   .cancel = chat->context->cancel,
                                   .on_text = take_text,
                                   .on_notice = take_notice,
                                   .on_prompt = find_evaluated,
                                   .context = &asking};
    *result = (struct turn_result){0};
    enum status status = conversation_ask(&chat->conversation, question, piped, error);
    if (status != STATUS_OK)
        return status;
    begin_saving(chat);
    status = answer(chat, &options, result, error);
    end_saving(chat);
    chat->n_unsaved += result->n_evaluated + result->n_tokens;
    if (keeps_evaluated && chat->n_unsaved > MOST_UNSAVED)
        keep_evaluated(chat);
    return status;
}

enum status chat_ask(struct chat *chat, struct slice question, struct slice piped, bool is_dialogue,
                     struct turn_result *result, struct error *error)
{
    const struct command_context *context = chat->context;
    const struct settings *settings = context->settings;
    struct printing printing = {.chat = chat, .is_dialogue = is_dialogue};
    struct chat_listener listener = {print_text, print_notice, &printing};
    size_t before = chat->conversation.n + 1; /* the question */
    if (!settings->json)
        printing.print = chat_print_make(context->out, context->err, settings->quiet, chat->is_ascii);
    enum status status = chat_answer(chat, question, piped, is_dialogue, &listener, result, error);
    progress_end(context->progress);
    chat_print_end_line(&printing.print);
    if (settings->json && status == STATUS_OK)
        print_json(chat, result, before);
    chat_print_deinit(&printing.print);
    return status;
}
