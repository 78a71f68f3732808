/* command_help: help on everything, one command or the options; and the same as a man page or completions. */
#include <string.h>

#include "app/command.h"
#include "app/manual.h"

static enum exit_status print_topic(const struct command_context *context, const char *topic)
{
    const struct command *command = command_find(topic);
    if (strcmp(topic, "prompt") == 0 || strcmp(topic, command_prompt.name) == 0)
        command = &command_prompt;
    if (command) {
        manual_print_command(context->out, command);
    } else if (strcmp(topic, "options") == 0) {
        manual_print_options(context->out);
    } else {
        const char *nearest = command_nearest(topic);
        if (nearest)
            return command_fail_with(context, STATUS_ARGUMENT, "help: there is no command %.60s (did you mean %s?)",
                                     topic, nearest);
        return command_fail_with(context, STATUS_ARGUMENT, "help: there is no command %.60s (fathom help lists them)",
                                 topic);
    }
    return EXIT_DONE;
}

static enum exit_status run(const struct command_context *context)
{
    switch ((enum setting_format)context->settings->format) {
    case FORMAT_MAN:
        manual_print_man(context->out);
        return EXIT_DONE;
    case FORMAT_BASH:
        manual_print_bash(context->out);
        return EXIT_DONE;
    case FORMAT_ZSH:
        manual_print_zsh(context->out);
        return EXIT_DONE;
    case FORMAT_FISH:
        manual_print_fish(context->out);
        return EXIT_DONE;
    case FORMAT_TEXT:
        break;
    }
    if (context->n_arguments)
        return print_topic(context, context->arguments[0]);
    manual_print_overview(context->out);
    return EXIT_DONE;
}

static const enum option_id options[] = {OPTION_FORMAT};

const struct command command_help = {
    .name = "help",
    .synopsis = "[COMMAND | options | prompt]",
    .summary = "explain a command, or list them all",
    .help = "Explains a command; options: what holds everywhere, exit statuses, environment, files; prompt: fathom -p. "
            "With "
            "--format, prints the man page or the completions of a shell, made from the same tables:\n"
            "\n"
            "  fathom help --format man | man -l -\n"
            "  source <(fathom help --format bash)",
    .options = options,
    .n_options = sizeof options / sizeof *options,
    .n_arguments_max = 1,
    .completes = "command",
    .run = run,
};
