/* screen_open: the terminal UI as a whole, for the command that opens it. */
#ifndef FATHOM_APP_SCREEN_OPEN_H
#define FATHOM_APP_SCREEN_OPEN_H

#include "app/command.h"
#include "ui/terminal.h"

/* Runs until the user leaves, or a signal ends it (*ended_by, else 0).  The terminal is given back before it returns. */
enum status screen_open(const struct command_context *context, const struct terminal_options *options, int *ended_by,
                        struct error *error);

#endif
