/* clipboard: see clipboard.h. */
#include "app/clipboard.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

/* What xterm takes: 100,000 bytes of base64 less the frame; others take as much or more. */
enum { OSC52_LIMIT = 74994, TOOL_WAIT_MS = 2000 };

bool clipboard_append_osc52(struct buffer *out, const char *text, size_t size)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    if (size > OSC52_LIMIT)
        return false;
    buffer_append_text(out, "\x1b]52;c;");
    for (size_t i = 0; i < size; i += 3) {
        uint32_t three = 0;
        for (size_t k = 0; k < 3; k++)
            three = three << 8 | (i + k < size ? (unsigned char)text[i + k] : 0);
        for (size_t k = 0; k < 4; k++)
            buffer_append_byte(out, i + k > size ? '=' : digits[three >> (18 - 6 * k) & 63]);
    }
    buffer_append_text(out, "\x07");
    return !out->failed;
}

/* ---- the desktop's tool ---- */

static const struct tool {
    const char *variable; /* set where its desktop runs */
    const char *arguments[4];
} tools[] = {
    {"WAYLAND_DISPLAY", {"wl-copy", NULL}},
    {"DISPLAY", {"xclip", "-selection", "clipboard", NULL}},
    {"DISPLAY", {"xsel", "-i", "-b", NULL}},
};

/* Writes text to the tool; it may well stop reading. */
static bool feed(int fd, const char *text, size_t size, uint64_t until_ns)
{
    while (size) {
        uint64_t now = clock_now_ns();
        struct pollfd ready = {fd, POLLOUT, 0};
        if (now >= until_ns || poll(&ready, 1, (int)((until_ns - now) / 1000000)) <= 0)
            return false;
        ssize_t n = write(fd, text, size);
        if (n < 0 && errno != EINTR && errno != EAGAIN)
            return false;
        if (n > 0) {
            text += n;
            size -= (size_t)n;
        }
    }
    return true;
}

/* xclip and wl-copy go to the background by themselves, so their end comes at once. */
static bool wait_for(pid_t child, uint64_t until_ns)
{
    int status;
    while (waitpid(child, &status, WNOHANG) == 0) {
        if (clock_now_ns() > until_ns) {
            kill(child, SIGTERM);
            waitpid(child, &status, 0);
            return false;
        }
        poll(NULL, 0, 5);
    }
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static bool run_tool(const struct tool *tool, const char *text, size_t size)
{
    int ends[2];
    pid_t child;
    posix_spawn_file_actions_t actions;
    if (pipe2(ends, O_CLOEXEC) != 0)
        return false;
    fcntl(ends[1], F_SETFL, O_NONBLOCK);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[0], STDIN_FILENO);
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    /* posix_spawn takes char *const[], which it doesn't change. */
    char *arguments[4];
    memcpy(arguments, tool->arguments, sizeof arguments);
    int failed = posix_spawnp(&child, tool->arguments[0], &actions, NULL, arguments, environ);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[0]);
    uint64_t until = clock_now_ns() + (uint64_t)TOOL_WAIT_MS * 1000000u;
    bool is_fed = !failed && feed(ends[1], text, size, until);
    close(ends[1]);
    return !failed && wait_for(child, until) && is_fed;
}

enum status clipboard_run_tool(const char *text, size_t size, const char **used, struct error *error)
{
    *used = NULL;
    const char *tried = NULL;
    for (size_t i = 0; i < sizeof tools / sizeof *tools && !*used; i++) {
        const char *value = getenv(tools[i].variable);
        if (!value || !*value)
            continue;
        tried = tools[i].arguments[0];
        if (run_tool(&tools[i], text, size))
            *used = tried;
    }
    if (!*used && tried)
        return error_set(error, STATUS_NOT_FOUND, "no clipboard tool worked (wl-copy, xclip or xsel)");
    return STATUS_OK;
}

/* ---- code blocks ---- */

/* The length of the fence that a line begins with, or 0; *mark is its character (CommonMark 0.31, section 4.5). */
static size_t fence_length(const char *line, size_t size, char *mark)
{
    size_t indent = 0, n = 0;
    while (indent < size && indent < 3 && line[indent] == ' ')
        indent++;
    if (indent == size || (line[indent] != '`' && line[indent] != '~'))
        return 0;
    *mark = line[indent];
    while (indent + n < size && line[indent + n] == *mark)
        n++;
    /* What follows backticks on their line holds none, else it is code inside a line. */
    if (*mark == '`' && memchr(line + indent + n, '`', size - indent - n))
        return 0;
    return n >= 3 ? n : 0;
}

static bool is_closing(const char *line, size_t size, char mark, size_t length)
{
    char found;
    if (fence_length(line, size, &found) < length || found != mark)
        return false;
    size_t at = 0;
    while (at < size && line[at] == ' ')
        at++;
    while (at < size && line[at] == mark)
        at++;
    while (at < size && (line[at] == ' ' || line[at] == '\t' || line[at] == '\r'))
        at++;
    return at == size;
}

bool clipboard_last_code_block(const char *text, size_t size, struct slice *code)
{
    bool is_open = false, is_found = false;
    char mark = 0;
    size_t length = 0, begin = 0;
    for (size_t at = 0; at < size;) {
        const char *line = text + at, *end = memchr(line, '\n', size - at);
        size_t line_size = end ? (size_t)(end - line) : size - at, next = at + line_size + (end != NULL);
        char found;
        size_t fence = fence_length(line, line_size, &found);
        if (!is_open && fence) {
            is_open = true;
            mark = found;
            length = fence;
            begin = next;
        } else if (is_open && is_closing(line, line_size, mark, length)) {
            is_open = false;
            is_found = true;
            *code = (struct slice){text + begin, at - begin};
        }
        at = next;
    }
    if (is_open && begin < size) {
        is_found = true;
        *code = (struct slice){text + begin, size - begin};
    }
    return is_found;
}
