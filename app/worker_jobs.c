/* worker_jobs: what the worker's thread does for a job; see worker.h. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "app/mention.h"
#include "app/saved.h"
#include "app/worker_private.h"

static void tell(struct worker *worker, enum message_kind kind, const char *text)
{
    worker_tell(worker, &(struct worker_message){.kind = kind}, text, strlen(text));
}

static void say(struct worker *worker, const char *format, ...) PRINTF_LIKE(2, 3);
static void say(struct worker *worker, const char *format, ...)
{
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    tell(worker, MESSAGE_SAID, text);
}

/* What command_notice wrote: a line "fathom: text" each. */
static void tell_notices(struct worker *worker)
{
    static const char name[] = "fathom: ";
    struct buffer *pending = &worker->err.pending;
    for (size_t at = 0; at < pending->size;) {
        const char *line = pending->data + at, *end = memchr(line, '\n', pending->size - at);
        size_t size = end ? (size_t)(end - line) : pending->size - at;
        size_t skip = size >= sizeof name - 1 && memcmp(line, name, sizeof name - 1) == 0 ? sizeof name - 1 : 0;
        worker_tell(worker, &(struct worker_message){.kind = MESSAGE_NOTICE}, line + skip, size - skip);
        at += size + (end != NULL);
    }
    buffer_clear(pending);
}

static void on_progress(void *context, const char *what, uint64_t done, uint64_t total)
{
    (void)what;
    worker_tell(context, &(struct worker_message){.kind = MESSAGE_READING, .n_done = done, .n_total = total}, "", 0);
}

void worker_set_progress(struct worker *worker)
{
    worker->context.on_progress = on_progress;
    worker->context.on_progress_context = worker;
}

/* ---- the model ---- */

static void tell_conversation(struct worker *worker)
{
    const struct conversation *conversation = &worker->chat.conversation;
    tell(worker, MESSAGE_CLEARED, "");
    for (size_t i = 0; i < conversation->n; i++) {
        const struct conversation_message *message = &conversation->messages[i];
        bool is_question = message->role == CHAT_USER;
        if (message->thought.size)
            worker_tell(worker, &(struct worker_message){.kind = MESSAGE_ANSWER_THOUGHT}, message->thought.data,
                        message->thought.size);
        worker_tell(worker, &(struct worker_message){.kind = is_question ? MESSAGE_QUESTION : MESSAGE_ANSWER},
                    buffer_text(&message->text), message->text.size);
    }
}

void worker_open_chat(struct worker *worker)
{
    struct error *error = &worker->unopened;
    *error = (struct error){0};
    worker->is_open = chat_open(&worker->context, &worker->chat, error) == STATUS_OK;
    if (!worker->is_open) {
        const char *advice = chat_advice(error);
        char text[400];
        snprintf(text, sizeof text, "%s%s%s%s", error->text, advice ? " (" : "", advice ? advice : "",
                 advice ? ")" : "");
        tell(worker, MESSAGE_UNOPENED, text);
        return;
    }
    tell(worker, MESSAGE_OPENED, engine_info(worker->chat.engine)->name);
    if (worker->settings.resume)
        tell_conversation(worker);
    worker->settings.resume = NULL; /* where the model is opened once more */
    tell_notices(worker);
}

static enum status do_model(struct worker *worker, const char *name, struct error *error)
{
    struct buffer copy = {0};
    buffer_append_text(&copy, name);
    enum status status = buffer_status(&copy, error);
    worker_close_completer(worker); /* its session is the old engine's */
    if (status == STATUS_OK && worker->is_open)
        status = chat_switch_model(&worker->chat, buffer_text(&copy), error);
    if (status != STATUS_OK) {
        buffer_deinit(&copy);
        if (worker->is_open && worker->chat.session) { /* the one before goes on */
            tell(worker, MESSAGE_OPENED, engine_info(worker->chat.engine)->name);
        } else if (worker->is_open) { /* nor does it */
            chat_close(&worker->chat);
            worker->is_open = false;
            worker->unopened = *error;
            tell(worker, MESSAGE_UNOPENED, error->text);
        }
        return status;
    }
    buffer_deinit(&worker->model);
    worker->model = copy;
    worker->settings.model = buffer_text(&worker->model);
    if (worker->is_open)
        tell(worker, MESSAGE_OPENED, engine_info(worker->chat.engine)->name);
    else
        worker_open_chat(worker);
    return STATUS_OK;
}

/* ---- a question ---- */

static bool on_text(void *context, enum text_part part, const char *text, size_t size)
{
    worker_tell(context, &(struct worker_message){.kind = part == TEXT_THOUGHT ? MESSAGE_THOUGHT : MESSAGE_TEXT}, text,
                size);
    return true;
}

static void on_notice(void *context, const char *text)
{
    tell(context, MESSAGE_NOTICE, text);
}

struct project *worker_project(struct worker *worker)
{
    const struct command_context *context = &worker->context;
    const char *path = context->n_arguments ? context->arguments[0] : ".";
    if (!worker->was_project_tried && project_open(context, path, &worker->project, NULL) != STATUS_OK)
        worker->project = (struct project){0};
    worker->was_project_tried = true;
    return worker->project.repo ? &worker->project : NULL;
}

static size_t count_tokens(void *context, const char *text, size_t size)
{
    const struct worker *worker = context;
    struct tokens tokens = {0};
    enum status status = engine_tokenize(worker->chat.engine, text, size, 0, &tokens, NULL);
    size_t n = status == STATUS_OK && !tokens.failed ? tokens.n : SIZE_MAX;
    tokens_deinit(&tokens);
    return n;
}

/* What the question names by @. */
static enum status expand(struct worker *worker, const struct worker_job *job, struct buffer *out,
                          struct buffer *missing, struct error *error)
{
    struct slice question = {buffer_text(&job->text), job->text.size};
    struct mention first;
    size_t at = 0;
    if (!mention_next(question, &at, &first))
        return STATUS_OK;
    struct mention_request request = {.project = worker_project(worker),
                                      .question = question,
                                      .cancel = &worker->cancel,
                                      .count = count_tokens,
                                      .context = worker};
    return mention_expand(&request, out, missing, error);
}

static void tell_lines(struct worker *worker, const struct buffer *lines)
{
    for (size_t at = 0; at < lines->size;) {
        const char *newline = memchr(lines->data + at, '\n', lines->size - at);
        size_t end = newline ? (size_t)(newline - lines->data) : lines->size;
        worker_tell(worker, &(struct worker_message){.kind = MESSAGE_NOTICE}, lines->data + at, end - at);
        at = end + 1;
    }
}

static enum status do_cost(struct worker *worker, const struct worker_job *job, struct error *error)
{
    struct worker_message message = {.kind = MESSAGE_COST};
    struct buffer text = {0};
    enum status status = expand(worker, job, &text, &message.more, error);
    size_t n = status == STATUS_OK ? count_tokens(worker, buffer_text(&text), text.size) : 0;
    size_t own = status == STATUS_OK ? count_tokens(worker, buffer_text(&job->text), job->text.size) : 0;
    message.n_done = n == SIZE_MAX || own == SIZE_MAX ? 0 : n + own;
    if (status == STATUS_OK)
        worker_tell(worker, &message, "", 0);
    buffer_deinit(&text);
    buffer_deinit(&message.more);
    return status == STATUS_CANCELLED ? STATUS_OK : status;
}

static void do_ask(struct worker *worker, struct worker_job *job)
{
    struct worker_message done = {.kind = MESSAGE_DONE};
    struct chat_listener listener = {on_text, on_notice, worker};
    struct error error = {0};
    struct slice question = {buffer_text(&job->text), job->text.size};
    struct buffer named = {0}, missing = {0};
    enum status status = expand(worker, job, &named, &missing, &error);
    tell_lines(worker, &missing);
    done.result.stop = TURN_CANCELLED; /* where the expansion was stopped */
    if (status == STATUS_OK)
        status = chat_answer(&worker->chat, question, (struct slice){buffer_text(&named), named.size}, true, &listener,
                             &done.result, &error);
    else if (status == STATUS_CANCELLED)
        status = STATUS_OK;
    buffer_deinit(&named);
    buffer_deinit(&missing);
    tell_notices(worker);
    if (status != STATUS_OK)
        tell(worker, MESSAGE_FAILED, error.text);
    else
        worker_tell(worker, &done, "", 0);
}

/* ---- conversations ---- */

struct listing {
    struct worker *worker;
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
    say(listing->worker, "%5lld  %s  %s%s%.60s", (long long)entry->id, date, entry->name, *entry->name ? ": " : "",
        entry->title);
    return ++listing->n < 20;
}

static enum status do_list(struct worker *worker, struct error *error)
{
    struct listing listing = {worker, 0};
    enum status status = chat_need_store(&worker->chat, error);
    if (status == STATUS_OK)
        status = store_list(worker->chat.store, list_entry, &listing, error);
    if (status == STATUS_OK && listing.n == 0)
        say(worker, "no conversation is saved yet");
    return status;
}

static enum status do_load(struct worker *worker, const char *name, struct error *error)
{
    enum status status = chat_load(&worker->chat, name, error);
    if (status == STATUS_OK)
        tell_conversation(worker);
    return status;
}

static enum status do_save(struct worker *worker, const char *name, struct error *error)
{
    const struct chat *chat = &worker->chat;
    if (chat->conversation.n == 0)
        return error_set(error, STATUS_ARGUMENT, "there is nothing to save yet");
    enum status status = chat_save(&worker->chat, name, error);
    if (status == STATUS_OK)
        say(worker, "saved as %s", name);
    return status;
}

static enum status do_delete(struct worker *worker, const char *name, struct error *error)
{
    struct chat *chat = &worker->chat;
    int64_t id;
    enum status status = chat_need_store(chat, error);
    if (status == STATUS_OK)
        status = store_find(chat->store, name, &id, error);
    if (status == STATUS_OK)
        status = store_delete(chat->store, id, error);
    if (status != STATUS_OK)
        return status;
    saved_delete(id);
    if (id == chat->id) {
        chat->n_unsaved = 0;
        chat_reset(chat);
        tell(worker, MESSAGE_CLEARED, "");
    }
    say(worker, "deleted conversation %lld", (long long)id);
    return STATUS_OK;
}

static enum status do_system(struct worker *worker, const char *text, struct error *error)
{
    const struct buffer *system = &worker->chat.conversation.system;
    if (!*text) {
        say(worker, "%.400s", system->size ? system->data : "the model's own system text");
        return STATUS_OK;
    }
    enum status status = chat_set_system(&worker->chat, strcmp(text, "-") == 0 ? NULL : text, error);
    if (status == STATUS_OK)
        say(worker, "it holds from the next question on");
    return status;
}

/* ---- */

void worker_do_job(struct worker *worker, struct worker_job *job)
{
    struct error error = {0};
    const char *text = buffer_text(&job->text);
    enum status status = STATUS_OK;
    struct worker_message done = {.kind = MESSAGE_DONE, .result.stop = TURN_CANCELLED};
    if (atomic_load(&worker->cancel)) {
        worker_tell(worker, &done, "", 0);
        return;
    }
    if (!worker->is_open && job->kind != JOB_MODEL) {
        tell(worker, MESSAGE_FAILED, worker->unopened.text);
        return;
    }
    switch (job->kind) {
    case JOB_ASK:
        do_ask(worker, job);
        return;
    case JOB_LOAD:
        status = do_load(worker, text, &error);
        break;
    case JOB_RESET:
        chat_reset(&worker->chat);
        tell(worker, MESSAGE_CLEARED, "");
        break;
    case JOB_SAVE:
        status = do_save(worker, text, &error);
        break;
    case JOB_DELETE:
        status = do_delete(worker, text, &error);
        break;
    case JOB_LIST:
        status = do_list(worker, &error);
        break;
    case JOB_MODEL:
        status = do_model(worker, text, &error);
        break;
    case JOB_SYSTEM:
        status = do_system(worker, text, &error);
        break;
    case JOB_COST:
        status = do_cost(worker, job, &error);
        break;
    case JOB_COMPLETE:
        status = worker_do_complete(worker, job, &error);
        break;
    case JOB_REVIEW:
        status = worker_do_review(worker, job, &error);
        break;
    }
    tell_notices(worker);
    done.result.stop = TURN_END;
    if (status != STATUS_OK)
        tell(worker, MESSAGE_FAILED, error.text);
    else
        worker_tell(worker, &done, "", 0);
}
