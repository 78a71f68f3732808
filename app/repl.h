/* repl: what command_repl.c (the loop) and repl_commands.c (the slash commands) share. */
#ifndef FATHOM_APP_REPL_H
#define FATHOM_APP_REPL_H

#include "app/chat.h"
#include "app/repl_input.h"

struct repl {
    const struct command_context *context;
    struct chat chat;
    struct repl_input *input;
    struct buffer model; /* named by /model; empty: as the settings say */
    bool is_over;
};

/* Runs line where it is a command: a slash and a word, so that "/usr/bin holds what?" is a question.  False where it isn't. */
bool repl_run_command(struct repl *repl, const char *line);

/* A repl_complete_fn; context is the struct repl. */
void repl_complete(void *context, const char *line, size_t *word, struct buffer *out);

/* A line of the repl's own on out, through the gate. */
void repl_say(const struct repl *repl, const char *format, ...) PRINTF_LIKE(2, 3);

/* What the conversation is that has just been loaded. */
void repl_say_loaded(const struct repl *repl);

#endif
