/* manual_man: the man page, in the macros of man(7). */
#include <string.h>

#include "app/manual.h"

enum { WIDTH = 78 };

/* When what the page says last changed. */
#define PAGE_DATE "2026-11-22"

/* Text as roff: a dot that may come to stand at a line's beginning would be read as a command, "-" as a hyphen. */
static void append_text(struct buffer *out, const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if ((i == 0 || text[i - 1] == '\n' || text[i - 1] == ' ') && text[i] == '.')
            buffer_append_text(out, "\\&");
        if (text[i] == '\\')
            buffer_append_text(out, "\\e");
        else if (text[i] == '-')
            buffer_append_text(out, "\\-");
        else if (text[i] == '~')
            buffer_append_text(out, "\\(ti");
        else if (text[i] == '^')
            buffer_append_text(out, "\\(ha");
        else if (text[i] == '`')
            buffer_append_text(out, "\\(ga");
        else if (text[i] == '\'')
            buffer_append_text(out, "\\(aq");
        else
            buffer_append_byte(out, text[i]);
    }
}

static void print_text(struct output *out, const char *text)
{
    struct buffer roff = {0};
    append_text(&roff, text, strlen(text));
    output_wrapped(out, buffer_text(&roff), 0, 0, WIDTH);
    buffer_deinit(&roff);
}

/* Paragraphs and the examples between them. */
static void print_paragraphs(struct output *out, const char *text)
{
    bool in_example = false;
    while (*text) {
        size_t size = strcspn(text, "\n");
        bool is_example = *text == ' ';
        struct buffer roff = {0};
        if (is_example != in_example && size)
            output_text(out, is_example ? ".PP\n.nf\n.RS\n" : ".RE\n.fi\n.PP\n");
        else if (size == 0 && !in_example && text[1] != ' ')
            output_text(out, ".PP\n");
        if (size)
            in_example = is_example;
        append_text(&roff, text, size);
        if (is_example)
            output_printf(out, "%s\n", buffer_text(&roff) + strspn(buffer_text(&roff), " "));
        else if (size)
            output_wrapped(out, buffer_text(&roff), 0, 0, WIDTH);
        buffer_deinit(&roff);
        text += size + (text[size] == '\n');
    }
    if (in_example)
        output_text(out, ".RE\n.fi\n");
}

static void print_option(struct output *out, const struct option *option)
{
    struct buffer name = {0}, help = {0};
    append_text(&name, option->name, strlen(option->name));
    output_text(out, ".TP\n");
    if (option->letter)
        output_printf(out, ".BR \\-%c \", \" \\-\\-%s", option->letter, buffer_text(&name));
    else
        output_printf(out, ".BR \\-\\-%s", buffer_text(&name));
    if (option->argument) {
        struct buffer argument = {0};
        append_text(&argument, option->argument, strlen(option->argument));
        output_printf(out, option->kind == OPTION_OPTIONAL_TEXT ? " \" [\\fI%s\\fP]\"" : " \" \\fI%s\\fP\"",
                      buffer_text(&argument));
        buffer_deinit(&argument);
    }
    output_text(out, "\n");
    manual_append_option_help(option, &help);
    print_text(out, buffer_text(&help));
    buffer_deinit(&name);
    buffer_deinit(&help);
}

static void print_command(struct output *out, const struct command *command)
{
    struct buffer name = {0}, synopsis = {0};
    append_text(&name, command->name, strlen(command->name));
    append_text(&synopsis, command->synopsis, strlen(command->synopsis));
    output_printf(out, ".SS \"fathom %s%s%s\"\n", buffer_text(&name), synopsis.size ? " " : "", buffer_text(&synopsis));
    print_paragraphs(out, command->help);
    for (size_t i = 0; i < command->n_options; i++)
        print_option(out, option_row(command->options[i]));
    buffer_deinit(&name);
    buffer_deinit(&synopsis);
}

static void print_rows(struct output *out, const char *title, const struct manual_row *rows)
{
    output_printf(out, ".SH %s\n", title);
    for (; rows->name; rows++) {
        output_text(out, ".TP\n.B ");
        print_text(out, rows->name);
        print_text(out, rows->text);
    }
}

void manual_print_man(struct output *out)
{
    output_text(out, ".\\\" Made by fathom help \\-\\-format man; changes belong into the program's tables.\n"
                     ".TH FATHOM 1 " PAGE_DATE " \"fathom " FATHOM_VERSION "\" \"User Commands\"\n"
                     ".SH NAME\n"
                     "fathom \\- a code assistant for the terminal that runs on this machine\n"
                     ".SH SYNOPSIS\n"
                     ".nf\n"
                     "\\fBfathom\\fP [\\fIoptions\\fP] [\\fIPATH\\fP]\n"
                     "\\fBfathom\\fP [\\fIoptions\\fP] \\fB\\-p\\fP \\fITEXT\\fP\n"
                     "\\fBfathom\\fP [\\fIoptions\\fP] \\fICOMMAND\\fP [\\fIarguments\\fP]\n"
                     ".fi\n"
                     ".SH DESCRIPTION\n"
                     "fathom talks to a language model that it runs itself, out of a GGUF file,\n"
                     "on this machine.\n"
                     "Without a command it opens a chat; where its input is no terminal, all of it\n"
                     "is the question.\n"
                     "A failure is one line on stderr that says what to do about it.\n"
                     ".SH COMMANDS\n");
    for (size_t i = 0; command_at(i); i++)
        print_command(out, command_at(i));
    output_text(out, ".SH OPTIONS\n"
                     "These hold everywhere, before or after the command's name. Words after\n"
                     ".B \\-\\-\n"
                     "are arguments even if they begin with a dash.\n");
    for (int id = 0; id < OPTION_LIMIT; id++)
        if (option_is_global((enum option_id)id))
            print_option(out, option_row((enum option_id)id));
    print_rows(out, "\"EXIT STATUS\"", manual_exit_statuses);
    print_rows(out, "ENVIRONMENT", manual_variables);
    print_rows(out, "FILES", manual_files);
}
