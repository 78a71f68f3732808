/* command_repl: a chat by lines, without ncurses: the loop from a question to its answer. */
#include <langinfo.h>
#include <locale.h>
#include <stdio.h>
#include <string.h>

#include "app/command.h"
#include "app/repl.h"

/* Three lines at most: what runs, on what, and how to get on. */
static void greet(const struct repl *repl)
{
    const struct chat *chat = &repl->chat;
    char text[320];
    snprintf(text, sizeof text, "%.160s, context %d, %s %s, %d thread%s", engine_info(chat->engine)->name,
             session_n_ctx(chat->session), engine_backend_name(chat->engine), engine_cpu_name(chat->engine),
             engine_n_threads(chat->engine), engine_n_threads(chat->engine) == 1 ? "" : "s");
    chat_print_dim(chat, text);
    chat_print_dim(chat, "/help shows the commands, Ctrl-C stops an answer, Ctrl-D leaves");
    if (repl->context->settings->resume)
        repl_say_loaded(repl);
}

static void say_result(const struct repl *repl, const struct turn_result *result)
{
    static const char *const ends[] = {
        [TURN_END] = "",
        [TURN_LIMIT] = "; the limit of -n",
        [TURN_STRING] = "",
        [TURN_CONTEXT] = "; the context is full",
        [TURN_CANCELLED] = "; stopped",
    };
    char text[200];
    if (repl->context->settings->quiet || repl->context->settings->json)
        return;
    snprintf(text, sizeof text, "%zu tokens, %.1f a second; read %zu, reused %zu%s", result->n_tokens,
             turn_speed(result), result->n_evaluated, result->n_reused, ends[result->stop]);
    chat_print_dim(&repl->chat, text);
}

/* EXIT_DONE: go on. */
static enum exit_status ask(struct repl *repl, struct slice question)
{
    const struct command_context *context = repl->context;
    bool is_dialogue = repl_input_is_dialogue(repl->input);
    struct turn_result result;
    struct error error = {0};
    enum status status = chat_ask(&repl->chat, question, (struct slice){0}, is_dialogue, &result, &error);
    bool is_stopped = atomic_load(context->cancel);
    if (context->out->failure) {
        repl->is_over = true;
        return EXIT_DONE;
    }
    if (!is_dialogue)
        return status != STATUS_OK ? command_fail(context, &error, NULL) : is_stopped ? EXIT_INTERRUPTED : EXIT_DONE;
    if (status == STATUS_OK)
        say_result(repl, &result);
    else
        command_fail(context, &error, NULL);
    output_text(context->out, "\n");
    output_flush(context->out);
    atomic_store(context->cancel, false);
    return EXIT_DONE;
}

static bool is_blank(const struct buffer *line)
{
    return strspn(buffer_text(line), " \t\n") == line->size;
}

static enum exit_status loop(struct repl *repl)
{
    const struct command_context *context = repl->context;
    struct buffer line = {0};
    enum exit_status result = EXIT_DONE;
    while (!repl->is_over && result == EXIT_DONE) {
        struct error error = {0};
        enum repl_line kind = repl_input_read(repl->input, &line, &error);
        if (error.status != STATUS_OK)
            command_notice(context, "the history is not kept: %s", error.text);
        if (kind == REPL_END)
            break;
        if (kind == REPL_INTERRUPTED && !repl_input_is_dialogue(repl->input))
            result = EXIT_INTERRUPTED;
        if (kind == REPL_INTERRUPTED || is_blank(&line))
            continue;
        if (!repl_run_command(repl, buffer_text(&line)))
            result = ask(repl, (struct slice){line.data, line.size});
        if (context->out->failure)
            break;
    }
    buffer_deinit(&line);
    return result;
}

/* In the "C" locale libedit takes no letter beyond ASCII; such a locale is nearly always one that nobody set. */
static void widen_locale(void)
{
    if (strcmp(nl_langinfo(CODESET), "ANSI_X3.4-1968") == 0)
        setlocale(LC_CTYPE, "C.UTF-8");
}

static enum exit_status run(const struct command_context *context)
{
    struct repl repl = {.context = context};
    struct error error = {0};
    struct buffer history = {0};
    widen_locale();
    enum status status = chat_open(context, &repl.chat, &error);
    if (status != STATUS_OK)
        return command_fail(context, &error, chat_advice(&error));
    if (!context->settings->no_save && store_make_folder(&history, NULL) == STATUS_OK)
        buffer_append_text(&history, "/history");
    else
        buffer_deinit(&history);
    status = repl_input_open(context, history.size && !history.failed ? history.data : NULL, repl_complete, &repl,
                             &repl.input, &error);
    enum exit_status result;
    if (status == STATUS_OK) {
        if (repl_input_is_dialogue(repl.input) && !context->settings->quiet)
            greet(&repl);
        result = loop(&repl);
        repl_input_close(repl.input);
    } else {
        result = command_fail(context, &error, NULL);
    }
    chat_close(&repl.chat);
    buffer_deinit(&repl.model);
    buffer_deinit(&history);
    return result;
}

const struct command command_repl = {
    .name = "repl",
    .synopsis = "",
    .summary = "chat by lines",
    .help =
        "Asks and answers by lines, without a full-screen interface. ~/.editrc chooses vi or emacs keys; the arrow "
        "keys "
        "bring back what was asked before, in earlier sessions too. A line that ends with a backslash goes on in the "
        "next one, and what is pasted is one question, however many lines it has. A line that begins with a slash is a "
        "command: /help lists them.\n"
        "\n"
        "Ctrl-C stops an answer, or clears the line; Ctrl-D leaves. Where stdin is no terminal each of its lines is a "
        "question.\n"
        "\n"
        "Conversations are kept as they go; --resume goes on with the latest, --no-save keeps nothing. What the model "
        "has "
        "read is kept, too, so that going on takes no second reading: in $XDG_STATE_HOME/fathom/kv, at most a tenth of "
        "the free disk and 20 GB, those that weren't used for the longest time go first.\n",
    .run = run,
};
