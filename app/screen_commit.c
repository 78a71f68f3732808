/* screen_commit: what is staged becomes a commit: its message in the user's editor, then git (commit.h). */
#include <stdio.h>
#include <string.h>

#include "app/commit.h"
#include "app/output.h"
#include "app/screen.h"
#include "repo/repo_head.h"

enum { MESSAGE_LIMIT = 1 << 20 };

/* What the editor begins with: the message that a hook or signer refused, else of an amended commit its own. */
static void begin_message(struct repo *repo, const char *argument, struct buffer *text)
{
    struct buffer path = {0};
    buffer_printf(&path, "%s/FATHOM_EDITMSG", repo_git_folder(repo));
    if (!path.failed && input_read_file(path.data, NULL, MESSAGE_LIMIT, text, NULL) != STATUS_OK)
        buffer_clear(text);
    buffer_deinit(&path);
    if (!text->size && strcmp(argument, "amend") == 0 && repo_commit_message(repo, "HEAD", text, NULL) != STATUS_OK)
        buffer_clear(text);
    buffer_append_text(text, text->size && text->data[text->size - 1] == '\n' ? "" : "\n");
    buffer_append_text(text, "# Lines that begin with # are left out; without any other, nothing is committed.\n"
                             "# The first line: up to 50 characters; then a blank one; the rest up to 72 each.\n");
}

/* Adds what the diff pane shows as staged. */
static void list_files(const struct screen *screen, struct buffer *text)
{
    const struct diff_pane *pane = &screen->diff;
    if (!pane->is_open || !pane->shared || pane->options.of != DIFF_STAGED || pane->is_reading)
        return;
    buffer_append_text(text, "#\n");
    for (size_t i = 0; i < pane->shared->diff->n_files; i++) {
        const struct diff_file *file = &pane->shared->diff->files[i];
        buffer_printf(text, "# %-9s ", diff_status_name(file->status));
        for (const char *at = diff_path(file); *at; at++) /* a name is one line, whatever is in it */
            buffer_append_byte(text, (unsigned char)*at < 0x20 || *at == 0x7f ? '?' : *at);
        buffer_append_byte(text, '\n');
    }
}

static void strip_comments(struct buffer *text)
{
    size_t to = 0;
    for (size_t at = 0; at < text->size;) {
        const char *line = text->data + at, *end = memchr(line, '\n', text->size - at);
        size_t size = end ? (size_t)(end - line) + 1 : text->size - at;
        if (*line != '#') {
            memmove(text->data + to, line, size);
            to += size;
        }
        at += size;
    }
    while (to && strchr(" \t\r\n", text->data[to - 1]))
        to--;
    text->size = to;
    buffer_append_byte(text, '\n');
}

static void say_output(struct screen *screen, const struct commit_result *result)
{
    const struct buffer *output = &result->output;
    const struct entry *entry =
        output->size ? transcript_add(&screen->transcript, ENTRY_NOTE, 0, output->data, output->size) : NULL;
    if (entry)
        transcript_touch(&screen->transcript, entry);
    screen_chat_view(screen)->follows = true;
    screen_note(screen, "git commit ended with %d: the message is kept, and what it said stands in the conversation",
                result->exit_status);
}

static void commit(struct screen *screen, struct repo *repo, const char *argument, const struct buffer *text)
{
    struct commit_request request = {.message = {text->data, text->size}, .amend = strcmp(argument, "amend") == 0};
    struct commit_result result = {0};
    struct error error = {0};
    terminal_release(screen->terminal); /* a signer may ask on it */
    enum status status = commit_run(repo, &request, NULL, &result, &error);
    terminal_resume(screen->terminal);
    if (status)
        screen_note(screen, "%.200s", error.text);
    else if (result.exit_status)
        say_output(screen, &result);
    else
        screen_note(screen, "committed %.10s", result.id);
    commit_result_deinit(&result);
    if (screen->diff.is_open)
        screen_act_on_diff(screen, DIFF_AGAIN);
}

void screen_commit(struct screen *screen, const char *argument)
{
    struct buffer text = {0};
    struct repo *repo = NULL;
    struct error error = {0};
    const char *path = screen->context->n_arguments ? screen->context->arguments[0] : ".";
    if (*argument && strcmp(argument, "amend") != 0) {
        screen_note(screen, ":commit takes nothing, or amend");
        return;
    }
    if (repo_open(path, &repo, &error) != STATUS_OK) {
        screen_note(screen, "%.200s", error.text);
        return;
    }
    if (!repo_git_folder(repo)) {
        screen_note(screen, "%.200s is no git repository", path);
    } else {
        begin_message(repo, argument, &text);
        list_files(screen, &text);
        if (screen_edit_text(screen, "commit.txt", &text)) {
            strip_comments(&text);
            if (text.size > 1)
                commit(screen, repo, argument, &text);
            else
                screen_note(screen, "no message: nothing was committed");
        }
    }
    buffer_deinit(&text);
    repo_free(repo);
}
