/* manual: see manual.h.  Here: help on a terminal, at most 80 columns wide. */
#include "app/manual.h"

#include <stdio.h>
#include <string.h>

enum { WIDTH = 80, COMMAND_COLUMN = 17, OPTION_COLUMN = 26 };

const struct manual_row manual_exit_statuses[] = {
    {"0", "Done."},
    {"1", "Done, and the answer is \"no\" or \"found something\"."},
    {"2", "The command line is wrong."},
    {"3", "It failed: a file, the model, memory, the network."},
    {"130", "Interrupted."},
    {NULL, NULL},
};

const struct manual_row manual_variables[] = {
    {"FATHOM_MODEL", "The model where --model doesn't name one; it goes before the configuration."},
    {"NO_COLOR", "Not empty: no colour, unless --color always is given."},
    {"XDG_CONFIG_HOME, XDG_DATA_HOME, XDG_STATE_HOME",
     "Where configuration, models and conversations lie; ~/.config, ~/.local/share and ~/.local/state where unset."},
    {NULL, NULL},
};

const struct manual_row manual_files[] = {
    {"$XDG_CONFIG_HOME/fathom/config", "The configuration; fathom help config says what it holds."},
    {"$XDG_DATA_HOME/fathom/models", "Models: GGUF files, known by their names without .gguf."},
    {"$XDG_STATE_HOME/fathom", "Conversations that were saved, and what of repositories is trusted."},
    {NULL, NULL},
};

/* ---- options ---- */

void manual_append_option_help(const struct option *option, struct buffer *out)
{
    buffer_append_text(out, option->help);
    size_t size = out->size;
    if (option->kind == OPTION_CHOICE && !strstr(option->help, option->choices)) {
        buffer_append_text(out, " One of ");
        for (const char *word = option->choices; *word;) {
            size_t length = strcspn(word, "|");
            const char *next = word + length + (word[length] == '|');
            buffer_printf(out, "%s%.*s", word == option->choices ? "" : *next ? ", " : " and ", (int)length, word);
            word = next;
        }
    }
    if (option->completes && strcmp(option->completes, "template") == 0) {
        buffer_append_text(out, " Known:");
        for (size_t i = 0; chat_template_known_name(i); i++)
            buffer_printf(out, "%s %s", i ? "," : "", chat_template_known_name(i));
        buffer_append_byte(out, '.');
    }
    if (option->kind == OPTION_CHOICE)
        buffer_printf(out, out->size == size ? " Default: %s." : "; default: %s.", option->initial);
    else if (option->initial_words)
        buffer_printf(out, " Default: %s.", option->initial_words);
    else if (option->initial && option->kind != OPTION_FLAG)
        buffer_printf(out, " Default: %s.", option->initial);
}

/* "  -n, --max-tokens N" */
static size_t print_option_name(struct output *out, const struct option *option)
{
    struct buffer name = {0};
    if (option->letter)
        buffer_printf(&name, "  -%c, --%s", option->letter, option->name);
    else
        buffer_printf(&name, "      --%s", option->name);
    if (option->kind == OPTION_OPTIONAL_TEXT)
        buffer_printf(&name, " [%s]", option->argument);
    else if (option->argument)
        buffer_printf(&name, " %s", option->argument);
    output_write(out, buffer_text(&name), name.size);
    size_t width = name.size;
    buffer_deinit(&name);
    return width;
}

static void print_option(struct output *out, enum option_id id)
{
    struct buffer help = {0};
    size_t width = print_option_name(out, option_row(id));
    if (width + 2 > OPTION_COLUMN) {
        output_text(out, "\n");
        width = 0;
    }
    manual_append_option_help(option_row(id), &help);
    output_wrapped(out, buffer_text(&help), OPTION_COLUMN, width, WIDTH);
    buffer_deinit(&help);
}

static void print_rows(struct output *out, const struct manual_row *rows, size_t column)
{
    for (; rows->name; rows++) {
        output_printf(out, "  %s", rows->name);
        size_t width = strlen(rows->name) + 2;
        if (width + 2 > column) {
            output_text(out, "\n");
            width = 0;
        }
        output_wrapped(out, rows->text, column, width, WIDTH);
    }
}

/* ---- pages ---- */

void manual_print_overview(struct output *out)
{
    output_text(out, "fathom: a code assistant that runs on this machine\n"
                     "\n"
                     "  fathom [PATH]            the terminal UI\n"
                     "  fathom -p 'a question'   one answer on stdout; what is piped in is appended\n"
                     "  fathom COMMAND ...       one of these:\n"
                     "\n");
    for (size_t i = 0; command_at(i); i++) {
        const struct command *command = command_at(i);
        output_printf(out, "  %s%s", command->name, *command->name == '-' ? " TEXT" : "");
        output_wrapped(out, command->summary, COMMAND_COLUMN,
                       2 + strlen(command->name) + (*command->name == '-' ? 5 : 0), WIDTH);
    }
    output_text(out, "\nOften used, with every command (fathom help options lists them all):\n\n");
    static const enum option_id often[] = {OPTION_MODEL,      OPTION_CONTEXT, OPTION_THREADS, OPTION_TEMP,
                                           OPTION_MAX_TOKENS, OPTION_JSON,    OPTION_QUIET};
    for (size_t i = 0; i < sizeof often / sizeof *often; i++)
        print_option(out, often[i]);
    output_text(out, "\n"
                     "  git diff | fathom -p 'what changed?'\n"
                     "  fathom help bench        what a command does, also: fathom bench --help\n");
}

void manual_print_command(struct output *out, const struct command *command)
{
    output_printf(out, "usage: fathom %s%s%s\n\n", command->name, *command->synopsis ? " " : "", command->synopsis);
    output_wrapped(out, command->help, 0, 0, WIDTH);
    if (command->n_options)
        output_text(out, "\nOptions:\n\n");
    for (size_t i = 0; i < command->n_options; i++)
        print_option(out, command->options[i]);
    output_text(out, "\nOptions that hold everywhere: fathom help options\n");
}

void manual_print_options(struct output *out)
{
    output_wrapped(
        out,
        "Options that hold everywhere, before or after the command's name. Words after -- are arguments even if "
        "they begin with a dash. A flag can be taken back: --quiet=no.",
        0, 0, WIDTH);
    for (int section = 0; section < SECTION_COMMAND; section++) {
        output_printf(out, "\n[%s]\n\n", option_section_name((enum option_section)section));
        for (int id = 0; id < OPTION_LIMIT; id++)
            if ((int)option_row((enum option_id)id)->section == section)
                print_option(out, (enum option_id)id);
    }
    output_text(out, "\nExit status:\n\n");
    print_rows(out, manual_exit_statuses, 8);
    output_text(out, "\nEnvironment:\n\n");
    print_rows(out, manual_variables, 18);
    output_text(out, "\nFiles:\n\n");
    print_rows(out, manual_files, 34);
}
