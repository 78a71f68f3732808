/* command_prompt: -p, one question and its answer on stdout. */
#include "app/chat.h"

#include <sys/stat.h>

#include "app/command.h"

/* Beyond this nobody meant it as a question: even a large context holds a few megabytes. */
static const size_t input_limit = (size_t)1 << 30;

/* Something was piped or redirected into us.  A terminal or /dev/null is no input, and neither is a device: a program that
 * starts us may have left any there. */
static bool has_piped_input(const struct command_context *context)
{
    struct stat about;
    if (context->in_is_terminal || fstat(context->in, &about) != 0)
        return false;
    return S_ISFIFO(about.st_mode) || S_ISREG(about.st_mode) || S_ISSOCK(about.st_mode);
}

static enum status read_input(const struct command_context *context, struct buffer *piped, struct error *error)
{
    struct error inner = {0};
    progress_begin(context->progress, "reading standard input");
    enum status status = input_read_all(context->in, context->cancel, input_limit, piped, &inner);
    progress_end(context->progress);
    return status == STATUS_OK ? status : error_set(error, status, "standard input: %s", inner.text);
}

static bool is_blank(struct slice text)
{
    for (size_t i = 0; i < text.size; i++)
        if (text.data[i] != ' ' && text.data[i] != '\n' && text.data[i] != '\t' && text.data[i] != '\r')
            return false;
    return true;
}

static enum exit_status run(const struct command_context *context)
{
    const char *prompt = context->settings->prompt ? context->settings->prompt : "-";
    bool takes_all = slice_equals(slice_from(prompt), "-");
    struct buffer piped = {0};
    struct error error = {0};
    struct chat chat;
    enum status status = STATUS_OK;
    if (takes_all || has_piped_input(context))
        status = read_input(context, &piped, &error);
    struct slice question = slice_from(takes_all ? "" : prompt);
    if (status == STATUS_OK && is_blank(question) && is_blank((struct slice){buffer_text(&piped), piped.size}))
        status = error_set(&error, STATUS_ARGUMENT, "-p: the question is empty");
    if (status == STATUS_OK)
        status = chat_open(context, &chat, &error);
    enum exit_status result = EXIT_DONE;
    if (status == STATUS_OK) {
        struct turn_result turn;
        status = chat_ask(&chat, question, (struct slice){buffer_text(&piped), piped.size}, false, &turn, &error);
        /* A reader that went away stops the answer as well, and that is no interruption. */
        if (status == STATUS_OK && turn.stop == TURN_CANCELLED && !context->out->failure)
            result = EXIT_INTERRUPTED;
        chat_close(&chat);
    }
    buffer_deinit(&piped);
    return status == STATUS_OK ? result : command_fail(context, &error, chat_advice(&error));
}

static const enum option_id options[] = {OPTION_PROMPT};

const struct command command_prompt = {
    .name = "-p",
    .synopsis = "TEXT",
    .summary = "answer one question",
    .help =
        "Asks the model TEXT, prints the answer as it comes, and ends. What is piped in is put after the question; "
        "with "
        "- as TEXT it is the question. Where it doesn't fit the context its middle is left out, and a line on stderr "
        "says how much; with --strict that ends with status 2 instead.\n"
        "\n"
        "To a terminal, control characters in the answer are drawn as marks; to a file or pipe the answer goes as it "
        "is, "
        "without a reasoning model's thoughts (with --json they stand under \"thought\").\n"
        "\n"
        "The conversation is kept: --resume goes on with it, --no-save leaves no trace.\n"
        "\n"
        "  git diff | fathom -p \"what changed?\"\n"
        "  fathom -p - < question.txt\n"
        "  fathom -p \"and in C?\" --resume\n",
    .options = options,
    .n_options = sizeof options / sizeof *options,
    .run = run,
};
