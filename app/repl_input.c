/* repl_input: see repl_input.h. */
#include "app/repl_input.h"

#include <errno.h>
#include <histedit.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <wchar.h>

#include "app/repl_history.h"
#include "ui/visible.h"

struct repl_input {
    const struct command_context *context;
    repl_complete_fn *complete;
    void *complete_context;
    EditLine *edit; /* NULL: plain lines */
    History *history;
    char *history_path;
    bool is_dialogue, is_continued, was_interrupted, is_at_end;
    struct buffer pending; /* plain lines: read, but not yet given */
};

enum { PASTE_LIMIT = 4 * 1024 * 1024, LINE_LIMIT = 64 * 1024 * 1024 };

/* ---- libedit: what its keys call ---- */

static struct repl_input *input_of(EditLine *edit)
{
    void *input = NULL;
    el_get(edit, EL_CLIENTDATA, &input);
    return input;
}

static char *give_prompt(EditLine *edit)
{
    static char first[] = "> ", next[] = "  ";
    return input_of(edit)->is_continued ? next : first;
}

/* Ctrl-C: the line is sent, and thrown away where it arrives.  Newline does all that the screen needs. */
static unsigned char on_interrupt(EditLine *edit, int key)
{
    (void)key;
    input_of(edit)->was_interrupted = true;
    el_push(edit, "\n");
    return CC_NORM;
}

/* The text between ESC[200~, which called this, and ESC[201~ goes in as it is. */
static void take_paste(EditLine *edit)
{
    static const wchar_t end[] = L"\033[201~";
    enum { END_SIZE = sizeof end / sizeof *end - 1 };
    wchar_t *text = NULL, c;
    size_t n = 0, capacity = 0;
    bool is_ended = false;
    while (!is_ended && el_wgetc(edit, &c) == 1) {
        if (n + 1 >= capacity) {
            wchar_t *moved =
                capacity >= PASTE_LIMIT ? NULL : realloc(text, (capacity ? capacity * 2 : 1024) * sizeof c);
            if (!moved)
                continue; /* swallowed up to the end of the paste */
            text = moved;
            capacity = capacity ? capacity * 2 : 1024;
        }
        text[n++] = c == L'\r' ? L'\n' : c;
        if (n >= END_SIZE && wmemcmp(text + n - END_SIZE, end, END_SIZE) == 0) {
            n -= END_SIZE;
            is_ended = true;
        }
    }
    if (n && text[n - 1] == L'\n')
        n--; /* the one that ends the last line pasted */
    if (n) {
        text[n] = 0;
        el_winsertstr(edit, text);
    }
    free(text);
}

static unsigned char on_paste(EditLine *edit, int key)
{
    (void)key;
    take_paste(edit);
    return CC_REFRESH;
}

/* With vi keys the ESC of ESC[200~ has left insert mode, one place to the left, where there is one.  The paste goes behind
 * the cursor, and insert mode comes back. */
static unsigned char on_vi_paste(EditLine *edit, int key)
{
    (void)key;
    const LineInfo *info = el_line(edit);
    if (info->cursor < info->lastchar)
        el_cursor(edit, 1);
    take_paste(edit);
    info = el_line(edit);
    el_push(edit, info->cursor == info->lastchar ? "a" : "i"); /* command mode stays off the line's end */
    return CC_REFRESH;
}

/* How much all of the candidates (count) begin with. */
static size_t common_size(const char *candidates, size_t count)
{
    const char *other = candidates;
    size_t common = strlen(candidates);
    for (size_t i = 1; i < count; i++) {
        other += strlen(other) + 1;
        size_t same = 0;
        while (same < common && other[same] == candidates[same])
            same++;
        common = same;
    }
    while (common && ((unsigned char)candidates[common] & 0xc0) == 0x80)
        common--;
    return common;
}

static void show_candidates(EditLine *edit, const char *candidates, size_t count)
{
    FILE *out = NULL;
    el_get(edit, EL_GETFP, 1, &out);
    struct buffer shown = {0};
    buffer_append_byte(&shown, '\n');
    for (size_t i = 0; i < count; i++) {
        if (i)
            buffer_append_text(&shown, "  ");
        visible_append(&shown, candidates, strlen(candidates), !visible_locale_is_utf8());
        candidates += strlen(candidates) + 1;
    }
    buffer_append_byte(&shown, '\n');
    fputs(buffer_text(&shown), out);
    buffer_deinit(&shown);
}

static unsigned char on_complete(EditLine *edit, int key)
{
    (void)key;
    struct repl_input *input = input_of(edit);
    const LineInfo *info = el_line(edit);
    struct buffer line = {0}, candidates = {0}, insert = {0};
    size_t word = 0, count = 0;
    unsigned char result = CC_REFRESH;
    buffer_append(&line, info->buffer, (size_t)(info->cursor - info->buffer));
    if (!line.failed)
        input->complete(input->complete_context, buffer_text(&line), &word, &candidates);
    for (size_t i = 0; i < candidates.size; i++)
        count += candidates.data[i] == 0;
    size_t typed = line.size - word;
    if (count == 0) {
        /* In a command there is nothing to offer; in a question it is a tab. */
        if (line.size && line.data[0] == '/')
            result = CC_ERROR;
        else
            el_insertstr(edit, "\t");
    } else {
        size_t common = common_size(candidates.data, count);
        buffer_append(&insert, candidates.data + (typed < common ? typed : common),
                      common > typed ? common - typed : 0);
        if (count == 1)
            buffer_append_byte(&insert, ' ');
        if (insert.size) {
            el_insertstr(edit, insert.data);
        } else {
            show_candidates(edit, candidates.data, count);
            result = CC_REDISPLAY;
        }
    }
    buffer_deinit(&line);
    buffer_deinit(&candidates);
    buffer_deinit(&insert);
    return result;
}

/* ---- opening ---- */

static void remember(void *context, const char *entry)
{
    struct repl_input *input = context;
    HistEvent event;
    history(input->history, &event, H_ENTER, entry);
}

/* The user's own key settings.  libedit would look for them in the present folder too, which is somebody else's. */
static void read_editrc(EditLine *edit)
{
    const char *named = getenv("EDITRC"), *home = getenv("HOME");
    struct buffer path = {0};
    if (named && *named)
        buffer_append_text(&path, named);
    else if (home && *home)
        buffer_printf(&path, "%s/.editrc", home);
    if (path.size && !path.failed)
        el_source(edit, path.data);
    buffer_deinit(&path);
}

static enum status open_edit(struct repl_input *input, struct error *error)
{
    HistEvent event;
    input->edit = el_init("fathom", stdin, stdout, stderr);
    input->history = history_init();
    if (!input->edit || !input->history)
        return error_set(error, STATUS_MEMORY, "out of memory");
    EditLine *edit = input->edit;
    history(input->history, &event, H_SETSIZE, REPL_HISTORY_LIMIT);
    history(input->history, &event, H_SETUNIQUE, 1);
    el_set(edit, EL_CLIENTDATA, input);
    el_set(edit, EL_PROMPT, give_prompt);
    el_set(edit, EL_HIST, history, input->history);
    el_set(edit, EL_SIGNAL, 1);
    el_set(edit, EL_EDITOR, "emacs");
    read_editrc(edit);
    el_wset(edit, EL_ADDFN, L"fathom-complete", L"complete a command", on_complete);
    el_wset(edit, EL_ADDFN, L"fathom-paste", L"take a paste as it is", on_paste);
    el_wset(edit, EL_ADDFN, L"fathom-vi-paste", L"take a paste as it is", on_vi_paste);
    el_wset(edit, EL_ADDFN, L"fathom-interrupt", L"throw the line away", on_interrupt);
    el_set(edit, EL_BIND, "^I", "fathom-complete", NULL);
    el_set(edit, EL_BIND, "^C", "fathom-interrupt", NULL);
    const char *editor = NULL;
    if (el_get(edit, EL_EDITOR, &editor) == 0 && editor && strcmp(editor, "vi") == 0) {
        /* A binding that begins with ESC would make ESC itself wait for what follows. */
        el_set(edit, EL_BIND, "-a", "[200~", "fathom-vi-paste", NULL);
        el_set(edit, EL_BIND, "-a", "^C", "fathom-interrupt", NULL);
    } else {
        el_set(edit, EL_BIND, "\033[200~", "fathom-paste", NULL);
    }
    /* While a line is edited Ctrl-C is a key like others, so that no signal comes between libedit and its screen. */
    el_set(edit, EL_SETTY, "-d", "-intr", NULL);
    return STATUS_OK;
}

enum status repl_input_open(const struct command_context *context, const char *history_path, repl_complete_fn *complete,
                            void *complete_context, struct repl_input **out, struct error *error)
{
    struct repl_input *input = calloc(1, sizeof *input);
    if (!input)
        return error_set(error, STATUS_MEMORY, "out of memory");
    *input = (struct repl_input){.context = context,
                                 .complete = complete,
                                 .complete_context = complete_context,
                                 .is_dialogue = context->in_is_terminal && context->out->is_terminal};
    enum status status = STATUS_OK;
    if (input->is_dialogue && !context->settings->plain)
        status = open_edit(input, error);
    if (status == STATUS_OK && input->edit && history_path) {
        input->history_path = strdup(history_path);
        if (!input->history_path)
            status = error_set(error, STATUS_MEMORY, "out of memory");
        else if (repl_history_load(history_path, remember, input, NULL) != STATUS_OK)
            status = STATUS_OK; /* told when an entry can't be added */
    }
    if (status != STATUS_OK) {
        repl_input_close(input);
        return status;
    }
    *out = input;
    return STATUS_OK;
}

void repl_input_close(struct repl_input *input)
{
    if (!input)
        return;
    if (input->edit)
        el_end(input->edit);
    if (input->history)
        history_end(input->history);
    buffer_deinit(&input->pending);
    free(input->history_path);
    free(input);
}

bool repl_input_is_dialogue(const struct repl_input *input)
{
    return input->is_dialogue;
}

/* ---- reading ---- */

static bool take_interrupt(const struct repl_input *input)
{
    return atomic_exchange(input->context->cancel, false);
}

/* One line by libedit, its newline included; REPL_END at Ctrl-D. */
static enum repl_line read_edited(struct repl_input *input, struct buffer *line)
{
    int size = 0;
    input->was_interrupted = false;
    take_interrupt(input);        /* one that came between two lines has nothing left to stop */
    fputs("\033[?2004h", stdout); /* pastes come bracketed */
    fflush(stdout);
    const char *text = el_gets(input->edit, &size);
    fputs("\033[?2004l", stdout);
    if (!text && !input->was_interrupted)
        fputs("\n", stdout);
    fflush(stdout);
    if (input->was_interrupted || take_interrupt(input))
        return REPL_INTERRUPTED;
    if (!text || size <= 0)
        return REPL_END;
    buffer_append(line, text, (size_t)size);
    return REPL_LINE;
}

/* Waits for input or SIGINT; one that came just before counts as well, so it is let in during the wait alone. */
static void wait_for_input(const struct repl_input *input)
{
    struct pollfd ready = {input->context->in, POLLIN, 0};
    sigset_t interrupt, before;
    sigemptyset(&interrupt);
    sigaddset(&interrupt, SIGINT);
    pthread_sigmask(SIG_BLOCK, &interrupt, &before);
    if (!atomic_load(input->context->cancel))
        ppoll(&ready, 1, NULL, &before);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static enum repl_line read_plain(struct repl_input *input, struct buffer *line)
{
    char chunk[4096], *end = NULL;
    if (input->is_dialogue) {
        output_text(input->context->out, input->is_continued ? "  " : "> ");
        output_flush(input->context->out);
    }
    while (!(input->pending.size && (end = memchr(input->pending.data, '\n', input->pending.size)))) {
        if (input->is_at_end || input->pending.size > LINE_LIMIT)
            break;
        wait_for_input(input);
        if (take_interrupt(input)) {
            buffer_clear(&input->pending);
            output_text(input->context->out, input->is_dialogue ? "\n" : "");
            output_flush(input->context->out);
            return REPL_INTERRUPTED;
        }
        ssize_t n = read(input->context->in, chunk, sizeof chunk);
        if (n == 0 || (n < 0 && errno != EINTR && errno != EAGAIN))
            input->is_at_end = true;
        if (n > 0)
            buffer_append(&input->pending, chunk, (size_t)n);
    }
    size_t size = end ? (size_t)(end - input->pending.data) + 1 : input->pending.size;
    if (size == 0) {
        output_text(input->context->out, input->is_dialogue ? "\n" : "");
        return REPL_END;
    }
    buffer_append(line, input->pending.data, size);
    buffer_remove_front(&input->pending, size);
    /* On a terminal Ctrl-D ends one line, and what follows may be read again. */
    input->is_at_end = input->is_at_end && !input->is_dialogue;
    return REPL_LINE;
}

/* Takes the newline away; true where a backslash before it says that the next line belongs to this one. */
static bool ends_open(struct buffer *line)
{
    size_t n = 0;
    if (line->size && line->data[line->size - 1] == '\n')
        line->data[--line->size] = 0;
    while (n < line->size && line->data[line->size - 1 - n] == '\\')
        n++;
    if (n % 2 == 0)
        return false;
    line->data[line->size - 1] = '\n';
    return true;
}

enum repl_line repl_input_read(struct repl_input *input, struct buffer *line, struct error *error)
{
    enum repl_line result;
    buffer_clear(line);
    input->is_continued = false;
    do {
        result = input->edit ? read_edited(input, line) : read_plain(input, line);
        if (result == REPL_END && input->is_continued) {
            line->data[--line->size] = 0; /* nothing follows the backslash */
            result = REPL_LINE;
            break;
        }
        input->is_continued = result == REPL_LINE && ends_open(line);
    } while (input->is_continued);
    if (result == REPL_LINE && input->history && line->size && !line->failed && strlen(line->data) == line->size) {
        remember(input, line->data);
        if (input->history_path && repl_history_append(input->history_path, line->data, error) != STATUS_OK) {
            free(input->history_path);
            input->history_path = NULL;
        }
    }
    return line->failed ? REPL_END : result;
}
