/* main: the program's frame: signals, settings, which command is meant, and how it ends. */
#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/command.h"
#include "app/config.h"

/* ---- signals ---- */

/* The one thing that changes behind everybody's back: a signal handler has no other way to say so. */
static atomic_bool interrupted;

static void on_interrupt(int number)
{
    (void)number;
    /* Nobody looked at the first one: what runs can't be stopped between two steps. */
    if (atomic_exchange(&interrupted, true))
        _exit(EXIT_INTERRUPTED);
}

static void signals_init(void)
{
    struct sigaction old, interrupt = {.sa_handler = on_interrupt}, ignore = {.sa_handler = SIG_IGN};
    sigemptyset(&interrupt.sa_mask);
    /* A shell starts what runs in the background with SIGINT ignored: so it stays. */
    if (sigaction(SIGINT, NULL, &old) == 0 && old.sa_handler != SIG_IGN)
        sigaction(SIGINT, &interrupt, NULL);
    sigaction(SIGPIPE, &ignore, NULL); /* a write to a closed pipe is an error like others: EPIPE */
}

/* With a standard descriptor closed, the next file opened would take its place and be written to. */
static bool descriptors_init(void)
{
    for (int fd = 0; fd <= 2; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", fd == 0 ? O_RDONLY : O_WRONLY) != fd)
            return false;
    return true;
}

/* ---- which command ---- */

struct call {
    const struct command *command;
    size_t word;     /* its place in the words, or their number */
    bool is_implied; /* nobody named it */
    struct command_line line;
};

static enum status unexpected_word(const char *word, bool has_prompt, struct error *error)
{
    const char *nearest = command_nearest(word);
    if (has_prompt)
        return error_set(error, STATUS_ARGUMENT, "%.80s: one word too many (put quotes around the question)", word);
    if (nearest && strcmp(nearest, word) != 0)
        return error_set(error, STATUS_ARGUMENT, "%.80s: no such command, and no such file (did you mean %s?)", word,
                         nearest);
    return error_set(error, STATUS_ARGUMENT,
                     "%.80s: no such command, and no such file (fathom help lists the commands)", word);
}

static enum status too_many(const struct command *command, const char *word, struct error *error)
{
    if (command->n_arguments_max == 0)
        return error_set(error, STATUS_ARGUMENT, "%s: it takes no argument, but there is \"%.80s\" (fathom help %s)",
                         command->name, word, command->name);
    return error_set(error, STATUS_ARGUMENT, "%s: \"%.80s\" is one argument too many (quotes keep words together)",
                     command->name, word);
}

/* Reads the words for the command they name, or for the one they imply. */
static enum status read_words(const char *const *words, size_t n, struct settings *settings, struct call *call,
                              struct error *error)
{
    struct stat status;
    *call = (struct call){0};
    command_line_find_word(words, n, &call->word);
    if (call->word < n)
        call->command = command_find(words[call->word]);
    if (call->command) {
        enum status result = command_line_parse(words, n, call->word, call->command->name, call->command->options,
                                                call->command->n_options, settings, &call->line, error);
        if (result == STATUS_OK && !settings->help && call->line.n_arguments > call->command->n_arguments_max)
            return too_many(call->command, call->line.arguments[call->command->n_arguments_max], error);
        return result;
    }
    enum status result = command_line_parse(words, n, n, NULL, command_prompt.options, command_prompt.n_options,
                                            settings, &call->line, error);
    if (result != STATUS_OK || settings->version)
        return result;
    if (settings->help) {
        call->command = settings->prompt ? &command_prompt : NULL;
        return result;
    }
    call->command = settings->prompt ? &command_prompt : &command_screen;
    call->is_implied = true;
    size_t n_allowed = settings->prompt ? 0 : 1;
    for (size_t i = 0; i < call->line.n_arguments; i++)
        if (i >= n_allowed || stat(call->line.arguments[i], &status) != 0)
            return unexpected_word(call->line.arguments[i], settings->prompt, error);
    return STATUS_OK;
}

/* The words once for their own mistakes, --help and --version; then again on top of configuration and environment. */
static enum status read_settings(const char *const *words, size_t n, struct settings *settings, struct call *call,
                                 struct error *error)
{
    enum status status = settings_init(settings, error);
    if (status == STATUS_OK)
        status = read_words(words, n, settings, call, error);
    if (status != STATUS_OK || settings->help || settings->version || call->command == &command_help)
        return status;
    settings_deinit(settings);
    status = settings_init(settings, error);
    if (status == STATUS_OK)
        status = config_load(settings, error);
    if (status == STATUS_OK)
        status = read_words(words, n, settings, call, error);
    return status;
}

/* ---- running it ---- */

static bool wants_color(const struct settings *settings, const struct output *output)
{
    const char *no_color = getenv("NO_COLOR");
    if (settings->plain || settings->color == COLOR_NEVER)
        return false;
    return settings->color == COLOR_ALWAYS || (output->is_terminal && !(no_color && *no_color));
}

/* Writes what is left and says how it went.  Some file systems tell of a full disk only when the file is closed. */
static enum exit_status finish(struct command_context *context, enum exit_status result)
{
    struct output *out = context->out;
    progress_end(context->progress);
    output_flush(out);
    if (!out->failure && close(out->fd) != 0 && errno != EBADF && errno != EINTR)
        out->failure = errno;
    if (result == EXIT_DONE && atomic_load(context->cancel))
        return EXIT_INTERRUPTED;
    if (out->failure == EPIPE && result == EXIT_FAILED)
        return EXIT_DONE;
    if (out->failure && out->failure != EPIPE && result != EXIT_FAILED && result != EXIT_INTERRUPTED)
        return command_fail_with(context, STATUS_IO, "standard output: %s", strerror(out->failure));
    return result;
}

static enum exit_status run(struct command_context *context, struct call *call, struct settings *settings)
{
    if (settings->version) {
        output_text(context->out, "fathom " FATHOM_VERSION "\n");
        return EXIT_DONE;
    }
    if (settings->help) {
        if (call->command != &command_help || context->n_arguments == 0) {
            context->arguments = call->command ? &call->command->name : NULL;
            context->n_arguments = call->command ? 1 : 0;
        }
        call->command = &command_help;
    } else if (call->is_implied && call->command == &command_screen && !context->in_is_terminal &&
               context->n_arguments == 0) {
        /* Bare fathom at the end of a pipe: what comes in is the question. */
        settings->prompt = "-";
        call->command = &command_prompt;
    }
    context->command = call->command;
    return call->command->run(context);
}

int main(int argc, char **argv)
{
    if (!descriptors_init())
        return EXIT_FAILED;
    setlocale(LC_CTYPE, "");
    signals_init();
    struct output out = {.fd = STDOUT_FILENO, .is_terminal = isatty(STDOUT_FILENO), .cancel = &interrupted};
    struct output err = {.fd = STDERR_FILENO, .is_terminal = isatty(STDERR_FILENO)};
    struct settings settings;
    struct progress progress;
    struct call call = {0};
    struct error error = {0};
    size_t n_words = argc > 0 ? (size_t)argc - 1 : 0;
    enum status status = read_settings((const char *const *)argv + (argc > 0), n_words, &settings, &call, &error);
    const char *term = getenv("TERM");
    if (out.is_terminal && (!term || strcmp(term, "dumb") == 0))
        settings.plain = true;
    out.is_colored = wants_color(&settings, &out);
    err.is_colored = wants_color(&settings, &err);
    progress_init(&progress, STDERR_FILENO, progress_style_for(err.is_terminal, settings.quiet, settings.plain));
    struct command_context context = {.command = call.command,
                                      .settings = &settings,
                                      .arguments = call.line.arguments,
                                      .n_arguments = call.line.n_arguments,
                                      .in = STDIN_FILENO,
                                      .in_is_terminal = isatty(STDIN_FILENO),
                                      .out = &out,
                                      .err = &err,
                                      .cancel = &interrupted,
                                      .progress = &progress};
    enum exit_status result =
        status == STATUS_OK ? run(&context, &call, &settings) : command_fail(&context, &error, NULL);
    result = finish(&context, result);
    progress_deinit(&progress);
    output_deinit(&out);
    output_deinit(&err);
    settings_deinit(&settings);
    return (int)result;
}
