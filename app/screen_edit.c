/* screen_edit: text in the user's own editor, on the terminal that the screen gives back for so long. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "app/screen.h"

static const char *editor(void)
{
    const char *visual = getenv("VISUAL"), *name = visual && *visual ? visual : getenv("EDITOR");
    return name && *name ? name : "vi";
}

/* The editor's exit status, or -1. */
static int run_editor(const char *path)
{
    int status;
    pid_t child = fork();
    if (child == 0) {
        static const int usual[] = {SIGINT, SIGTSTP, SIGTERM, SIGHUP, SIGPIPE, SIGWINCH};
        for (size_t i = 0; i < sizeof usual / sizeof *usual; i++)
            signal(usual[i], SIG_DFL);
        char script[] = "exec $0 \"$1\"";
        execl("/bin/sh", "sh", "-c", script, editor(), path, (char *)NULL);
        _exit(127);
    }
    if (child < 0)
        return -1;
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR)
            return -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static bool write_all(int fd, const char *bytes, size_t size)
{
    while (size) {
        ssize_t n = write(fd, bytes, size);
        if (n < 0 && errno != EINTR)
            return false;
        bytes += n > 0 ? n : 0;
        size -= n > 0 ? (size_t)n : 0;
    }
    return true;
}

bool screen_edit_text(struct screen *screen, const char *name, struct buffer *text)
{
    const char *folder = getenv("TMPDIR");
    struct buffer path = {0};
    struct error error = {0};
    bool is_edited = false;
    buffer_printf(&path, "%s/fathom-XXXXXX-%s", folder && *folder ? folder : "/tmp", name);
    int fd = path.failed ? -1 : mkostemps(path.data, (int)strlen(name) + 1, O_CLOEXEC);
    bool is_written = fd >= 0 && write_all(fd, buffer_text(text), text->size);
    int failed = errno;
    if (fd >= 0)
        close(fd);
    if (!is_written) {
        screen_note(screen, "a file for the editor: %s", strerror(failed));
    } else {
        terminal_release(screen->terminal);
        int status = run_editor(path.data);
        terminal_resume(screen->terminal);
        buffer_clear(text);
        if (status != 0)
            screen_note(screen, "%.60s failed: nothing was changed", editor());
        else if (input_read_file(path.data, NULL, INPUT_LIMIT, text, &error) != STATUS_OK)
            screen_note(screen, "%.150s; it still lies in %.100s", error.text, path.data);
        else
            is_edited = true;
    }
    if (fd >= 0 && !error.text[0])
        unlink(path.data);
    buffer_deinit(&path);
    return is_edited;
}

void screen_edit(struct screen *screen)
{
    struct buffer text = {0};
    buffer_append(&text, buffer_text(&screen->question.text), screen->question.text.size);
    if (screen_edit_text(screen, "question.md", &text)) {
        while (text.size && text.data[text.size - 1] == '\n') /* which editors put there */
            text.data[--text.size] = 0;
        input_set(&screen->question, buffer_text(&text), text.size);
    }
    buffer_deinit(&text);
}
