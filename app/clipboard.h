/* clipboard: text to the system's clipboard, by the terminal (OSC 52) and by the desktop's tool. */
#ifndef FATHOM_APP_CLIPBOARD_H
#define FATHOM_APP_CLIPBOARD_H

#include "engine/base.h"

/* Appends the sequence that asks a terminal to take text into the clipboard: its base64 alone, so nothing of the text can
 * act on the terminal.  Terminals take limited lengths: false, and nothing is appended, beyond 74,994 bytes of text. */
bool clipboard_append_osc52(struct buffer *out, const char *text, size_t size);

/* Runs wl-copy, xclip or xsel, whichever is there for the desktop that the environment names.  *used is its name, or NULL
 * where there is none; that isn't an error.  Doesn't wait longer than two seconds. */
enum status clipboard_run_tool(const char *text, size_t size, const char **used, struct error *error);

/* The code in the last fenced block of a markdown text, without the fences; false where there is none.  A fence left open
 * at the end counts. */
bool clipboard_last_code_block(const char *text, size_t size, struct slice *code);

#endif
