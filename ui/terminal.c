/* terminal: see terminal.h. */
#include "ui/terminal.h"

#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

/* The terminfo level of ncurses; curses.h would bring the windows. */
#include <curses.h>
#include <term.h>
#undef lines
#undef columns
#undef move

enum { CRASHES = 5, SIGNALS = 6 };
static const int crashes[CRASHES] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT};
static const int signals[SIGNALS] = {SIGWINCH, SIGCONT, SIGTSTP, SIGTERM, SIGHUP, SIGINT};

struct terminal {
    int in, out;
    int pipe[2]; /* a signal's number, a byte each */
    struct painter painter;
    struct termios found, raw;
    struct buffer begin, end; /* what the terminal is sent when it is taken and given back */
    struct buffer bytes;
    struct sigaction old[SIGNALS], old_crashes[CRASHES];
};

/* What signal handlers need, who get no argument.  Set while a terminal is open. */
static struct {
    struct terminal *terminal;
    const char *report;
    volatile sig_atomic_t is_taken;
} held;

/* ---- giving it back ---- */

/* Also called in a crash: async-signal-safe. */
static void write_all(int fd, const char *bytes, size_t size)
{
    while (size) {
        ssize_t n = write(fd, bytes, size);
        if (n < 0 && errno != EINTR)
            return;
        bytes += n > 0 ? n : 0;
        size -= n > 0 ? (size_t)n : 0;
    }
}

static void give_back(const struct terminal *terminal)
{
    if (!held.is_taken)
        return;
    held.is_taken = false;
    write_all(terminal->out, terminal->end.data, terminal->end.size);
    tcsetattr(terminal->out, TCSANOW, &terminal->found);
}

static void take(const struct terminal *terminal)
{
    /* A process in the background would be stopped by this, and is then told to go on in the foreground. */
    tcsetattr(terminal->out, TCSANOW, &terminal->raw);
    write_all(terminal->out, terminal->begin.data, terminal->begin.size);
    held.is_taken = true;
}

static void write_text(int fd, const char *text)
{
    write_all(fd, text, strlen(text));
}

static void on_crash(int number)
{
    void *frames[64];
    if (held.terminal)
        give_back(held.terminal);
    const char *name = number == SIGSEGV  ? "SIGSEGV"
                       : number == SIGBUS ? "SIGBUS"
                       : number == SIGILL ? "SIGILL"
                       : number == SIGFPE ? "SIGFPE"
                                          : "SIGABRT";
    int fd = held.report ? open(held.report, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600) : -1;
    write_text(STDERR_FILENO, "fathom: it crashed: ");
    write_text(STDERR_FILENO, name);
    if (fd >= 0) {
        write_text(fd, "fathom " FATHOM_VERSION " crashed: ");
        write_text(fd, name);
        write_text(fd, "\n");
        backtrace_symbols_fd(frames, backtrace(frames, 64), fd);
        close(fd);
        write_text(STDERR_FILENO, " (the report is ");
        write_text(STDERR_FILENO, held.report);
        write_text(STDERR_FILENO, ")");
    }
    write_text(STDERR_FILENO, "\n");
    raise(number); /* once more, by the default action */
}

static void on_signal(int number)
{
    int before = errno;
    unsigned char byte = (unsigned char)number;
    /* While another program has the terminal, what it is told isn't for us; after terminal_suspend it is taken again anyway. */
    bool is_others = !held.is_taken && (number == SIGCONT || number == SIGINT);
    bool is_news = held.terminal && !is_others;
    if (is_news && write(held.terminal->pipe[1], &byte, 1) < 0)
        errno = 0; /* the pipe is full of such: they will be seen */
    errno = before;
}

static void set_signals(struct terminal *terminal)
{
    struct sigaction handle = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    struct sigaction crash = {.sa_handler = on_crash, .sa_flags = (int)(SA_RESETHAND | SA_NODEFER)};
    void *frame[1];
    backtrace(frame, 1); /* loads what it needs now, not in a crash */
    sigemptyset(&handle.sa_mask);
    sigemptyset(&crash.sa_mask);
    for (int i = 0; i < SIGNALS; i++)
        sigaction(signals[i], &handle, &terminal->old[i]);
    for (int i = 0; i < CRASHES; i++) {
        sigaction(crashes[i], NULL, &terminal->old_crashes[i]);
        /* A handler that is there (a sanitizer's, the engine's for mapped files) knows better. */
        if (terminal->old_crashes[i].sa_handler == SIG_DFL)
            sigaction(crashes[i], &crash, NULL);
    }
}

static void reset_signals(const struct terminal *terminal)
{
    for (int i = 0; i < SIGNALS; i++)
        sigaction(signals[i], &terminal->old[i], NULL);
    for (int i = 0; i < CRASHES; i++) {
        struct sigaction now;
        if (sigaction(crashes[i], NULL, &now) == 0 && now.sa_handler == on_crash)
            sigaction(crashes[i], &terminal->old_crashes[i], NULL);
    }
}

/* ---- what it can do ---- */

static const char *capability(const char *name)
{
    const char *text = tigetstr((char *)(uintptr_t)name);
    return text && text != (const char *)-1 ? text : NULL;
}

bool terminal_is_usable(int out, const char **why)
{
    int found = 0;
    const char *name = getenv("TERM");
    *why = NULL;
    if (!name || !*name || strcmp(name, "dumb") == 0)
        *why = "TERM names no terminal that a screen can be drawn on";
    else if (!cur_term &&
             (setupterm((char *)(uintptr_t)name, out, &found) != OK || found != 1)) /* which adds one each time */
        *why = "TERM names a terminal that is not known here";
    else if (!capability("cup") || strncmp(capability("cup"), "\x1b[", 2) != 0)
        *why = "this terminal can't address its cursor";
    return !*why;
}

/* Those that are known to show a frame at once.  Asking the terminal itself prints a letter on some that don't know it. */
static bool synchronizes(void)
{
    static const char *const names[] = {"kitty", "foot", "alacritty", "wezterm", "ghostty", "contour", "iTerm"};
    const char *term = getenv("TERM"), *program = getenv("TERM_PROGRAM"), *vte = getenv("VTE_VERSION");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if ((term && strstr(term, names[i])) || (program && strcasestr(program, names[i])))
            return true;
    return capability("Sync") || (vte && strtol(vte, NULL, 10) >= 6800);
}

static void append_capability(struct buffer *out, const char *name)
{
    const char *text = capability(name);
    /* Without the pauses that some descriptions ask for, "$<5>": no terminal of today needs them. */
    while (text && *text) {
        const char *pause = strstr(text, "$<"), *end = pause ? strchr(pause, '>') : NULL;
        buffer_append(out, text, end ? (size_t)(pause - text) : strlen(text));
        text = end ? end + 1 : NULL;
    }
}

/* Alternate screen, keypad, pastes told apart; and all of it back. */
static void make_sequences(struct terminal *terminal)
{
    append_capability(&terminal->begin, "smcup");
    append_capability(&terminal->begin, "smkx");
    buffer_append_text(&terminal->begin, "\x1b[?2004h");
    buffer_append_text(&terminal->end, "\x1b[?2004l\x1b[0m\x1b[r");
    if (terminal->painter.synchronizes)
        buffer_append_text(&terminal->end, "\x1b[?2026l");
    append_capability(&terminal->end, "rmkx");
    append_capability(&terminal->end, "cnorm");
    if (capability("rmcup"))
        append_capability(&terminal->end, "rmcup");
    else
        buffer_append_text(&terminal->end, "\x1b[H\x1b[2J");
}

/* ---- open and close ---- */

static enum status set_up(struct terminal *terminal, const struct terminal_options *options, struct error *error)
{
    const char *why;
    if (!isatty(options->in) || !isatty(options->out))
        return error_set(error, STATUS_UNSUPPORTED, "stdin or stdout is no terminal");
    if (!terminal_is_usable(options->out, &why))
        return error_set(error, STATUS_UNSUPPORTED, "%s", why);
    if (tcgetattr(options->out, &terminal->found) != 0 || pipe2(terminal->pipe, O_CLOEXEC | O_NONBLOCK) != 0)
        return error_set(error, STATUS_IO, "the terminal: %s", strerror(errno));
    terminal->raw = terminal->found;
    terminal->raw.c_iflag &= ~(tcflag_t)(BRKINT | ICRNL | INLCR | IGNCR | INPCK | ISTRIP | IXON | PARMRK);
    terminal->raw.c_oflag &= ~(tcflag_t)OPOST;
    terminal->raw.c_cflag |= CS8;
    terminal->raw.c_lflag &= ~(tcflag_t)(ECHO | ECHONL | ICANON | IEXTEN | ISIG);
    terminal->raw.c_cc[VMIN] = 1;
    terminal->raw.c_cc[VTIME] = 0;
    struct painter *painter = &terminal->painter;
    painter->depth = options->is_colorless
                         ? DEPTH_NONE
                         : style_depth_for(getenv("COLORTERM"), tigetnum((char *)(uintptr_t) "colors"));
    painter->theme = options->theme < 0 ? style_theme_for(getenv("COLORFGBG")) : (enum style_theme)options->theme;
    painter->synchronizes = synchronizes();
    painter->scrolls = capability("csr") && capability("ind");
    make_sequences(terminal);
    return terminal->begin.failed || terminal->end.failed ? error_set(error, STATUS_MEMORY, "out of memory")
                                                          : STATUS_OK;
}

static void deinit(struct terminal *terminal)
{
    if (cur_term)
        del_curterm(cur_term);
    for (int i = 0; i < 2; i++)
        if (terminal->pipe[i] >= 0)
            close(terminal->pipe[i]);
    painter_deinit(&terminal->painter);
    buffer_deinit(&terminal->begin);
    buffer_deinit(&terminal->end);
    buffer_deinit(&terminal->bytes);
    free(terminal);
}

enum status terminal_open(const struct terminal_options *options, struct terminal **out, struct error *error)
{
    struct terminal *terminal = calloc(1, sizeof *terminal);
    if (!terminal)
        return error_set(error, STATUS_MEMORY, "out of memory");
    terminal->in = options->in;
    terminal->out = options->out;
    terminal->pipe[0] = terminal->pipe[1] = -1;
    enum status status = set_up(terminal, options, error);
    if (status != STATUS_OK) {
        deinit(terminal);
        return status;
    }
    held.terminal = terminal;
    held.report = options->crash_report;
    set_signals(terminal);
    take(terminal);
    *out = terminal;
    return STATUS_OK;
}

void terminal_close(struct terminal *terminal)
{
    if (!terminal)
        return;
    give_back(terminal);
    reset_signals(terminal);
    held.terminal = NULL;
    held.report = NULL;
    deinit(terminal);
}

void terminal_size(const struct terminal *terminal, int *rows, int *columns)
{
    struct winsize size = {0};
    bool is_known = ioctl(terminal->out, TIOCGWINSZ, &size) == 0 && size.ws_row && size.ws_col;
    *rows = is_known ? size.ws_row : 24;
    *columns = is_known ? size.ws_col : 80;
}

/* ---- drawing ---- */

enum status terminal_send(struct terminal *terminal, const char *bytes, size_t size, struct error *error)
{
    while (size) {
        ssize_t n = write(terminal->out, bytes, size);
        if (n < 0 && errno != EINTR && errno != EAGAIN)
            return error_set(error, STATUS_IO, "the terminal: %s", strerror(errno));
        bytes += n > 0 ? n : 0;
        size -= n > 0 ? (size_t)n : 0;
    }
    return STATUS_OK;
}

enum status terminal_show(struct terminal *terminal, const struct cells *cells, struct error *error)
{
    buffer_clear(&terminal->bytes);
    enum status status = paint_frame(&terminal->painter, cells, &terminal->bytes, error);
    if (status == STATUS_OK)
        status = terminal_send(terminal, buffer_text(&terminal->bytes), terminal->bytes.size, error);
    return status;
}

void terminal_forget(struct terminal *terminal)
{
    terminal->painter.is_known = false;
}

/* ---- away and back ---- */

/* What Ctrl-Z does while another program has the terminal: stopped together, and continued together. */
static void stop_by_default(bool is_default)
{
    struct sigaction action = {.sa_handler = is_default ? SIG_DFL : on_signal, .sa_flags = is_default ? 0 : SA_RESTART};
    sigemptyset(&action.sa_mask);
    sigaction(SIGTSTP, &action, NULL);
}

void terminal_release(struct terminal *terminal)
{
    give_back(terminal);
    stop_by_default(true);
}

void terminal_resume(struct terminal *terminal)
{
    stop_by_default(false);
    take(terminal);
    terminal_forget(terminal);
}

void terminal_suspend(struct terminal *terminal)
{
    terminal_release(terminal);
    kill(0, SIGTSTP); /* a pipeline stops as a whole */
    terminal_resume(terminal);
}

/* ---- signals ---- */

int terminal_signals(const struct terminal *terminal)
{
    return terminal->pipe[0];
}

struct terminal_event terminal_read_signals(struct terminal *terminal)
{
    struct terminal_event event = {0};
    unsigned char bytes[256];
    ssize_t n;
    while ((n = read(terminal->pipe[0], bytes, sizeof bytes)) > 0)
        for (ssize_t i = 0; i < n; i++) {
            event.was_resized |= bytes[i] == SIGWINCH;
            event.was_continued |= bytes[i] == SIGCONT;
            event.is_to_stop |= bytes[i] == SIGTSTP;
            if (bytes[i] == SIGHUP || bytes[i] == SIGTERM || bytes[i] == SIGINT)
                event.ended_by = bytes[i];
        }
    return event;
}
