/* terminal: the terminal as a device: taken over, given back as it was found, and what it can do.
 *
 *   terminal_open ──► poll(terminal_signals, its input) ──► terminal_show(cells) ... ──► terminal_close
 *
 * Whatever ends the program, the terminal is as it was found: closing, SIGTERM and SIGHUP (the caller is told, and closes),
 * Ctrl-Z and back (terminal_suspend; also SIGTSTP and SIGCONT from outside), and a crash: then the handler gives the terminal
 * back, writes a report and says where it is.  kill -9 alone leaves it; `reset` helps.
 *
 * ncurses is used for what it knows of terminals (terminfo).  It doesn't draw: its colours are pairs from a table, its widths
 * the C library's, and its way back isn't safe in a crash's signal handler.  Cells are painted by paint.h.
 *
 * One terminal is open at a time, by one thread. */
#ifndef FATHOM_UI_TERMINAL_H
#define FATHOM_UI_TERMINAL_H

#include "ui/paint.h"

enum terminal_color { TERMINAL_COLOR_AUTO, TERMINAL_COLOR_NONE };

struct terminal_options {
    int in, out;              /* descriptors of the terminal */
    bool is_colorless;        /* NO_COLOR, --color never */
    int theme;                /* enum style_theme; -1: by the terminal */
    const char *crash_report; /* the file that a crash's report goes to; NULL: none is written */
};

struct terminal;

/* Whether there is a terminal that a screen can be drawn on: a terminal description with cursor addressing.  why says what
 * is missing. */
bool terminal_is_usable(int out, const char **why);

/* Saves how the terminal is set, and takes it.  STATUS_UNSUPPORTED as terminal_is_usable says, STATUS_IO, STATUS_MEMORY. */
enum status terminal_open(const struct terminal_options *options, struct terminal **out, struct error *error);
void terminal_close(struct terminal *terminal);

/* Rows and columns as they are now. */
void terminal_size(const struct terminal *terminal, int *rows, int *columns);

/* Draws what has changed.  STATUS_IO where the terminal has gone. */
enum status terminal_show(struct terminal *terminal, const struct cells *cells, struct error *error);

/* Everything is drawn again the next time. */
void terminal_forget(struct terminal *terminal);

/* Bytes that are no cells: the clipboard's sequence (app/clipboard.h), nothing else. */
enum status terminal_send(struct terminal *terminal, const char *bytes, size_t size, struct error *error);

/* Gives the terminal back until terminal_resume: for another program that runs on it. */
void terminal_release(struct terminal *terminal);
void terminal_resume(struct terminal *terminal);

/* Stops the program as Ctrl-Z does, and goes on when it is continued. */
void terminal_suspend(struct terminal *terminal);

/* A descriptor that is readable when a signal came; what came since the last call. */
int terminal_signals(const struct terminal *terminal);
struct terminal_event {
    bool was_resized, was_continued, is_to_stop;
    int ended_by; /* SIGHUP, SIGTERM, SIGINT, or 0 */
};
struct terminal_event terminal_read_signals(struct terminal *terminal);

#endif
