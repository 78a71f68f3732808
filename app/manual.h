/* manual: help, the man page and the shells' completions, all out of the tables of commands and options. */
#ifndef FATHOM_APP_MANUAL_H
#define FATHOM_APP_MANUAL_H

#include "app/command.h"

void manual_print_overview(struct output *out);
void manual_print_command(struct output *out, const struct command *command);
void manual_print_options(struct output *out); /* those that hold everywhere, with the exit statuses */

void manual_print_man(struct output *out); /* fathom.1, in man(7)'s macros */
void manual_print_bash(struct output *out);
void manual_print_zsh(struct output *out);
void manual_print_fish(struct output *out);

/* Appends the option's help: sentences, then what it takes and its default. */
void manual_append_option_help(const struct option *option, struct buffer *out);

/* What the man page and help say in the same words. */
struct manual_row {
    const char *name, *text;
};

extern const struct manual_row manual_exit_statuses[]; /* ends with a NULL name */
extern const struct manual_row manual_variables[];
extern const struct manual_row manual_files[];

#endif
