/* screen: see screen.h.  Here: opening, the loop, panes, and the question on its way to the worker. */
#include "app/screen.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/clipboard.h"
#include "app/models.h"
#include "app/project.h"
#include "app/repl_history.h"
#include "app/screen_open.h"
#include "app/store.h"
#include "ui/visible.h"

/* ---- what others ask for ---- */

void screen_note(struct screen *screen, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(screen->note, sizeof screen->note, format, arguments);
    va_end(arguments);
}

struct pane *screen_focused(struct screen *screen)
{
    return &screen->panes[layout_focused_pane(&screen->layout)];
}

const struct doc *screen_doc(const struct screen *screen, const struct pane *pane)
{
    return pane->kind == PANE_CHAT ? &screen->transcript.doc : pane->kind == PANE_WHY ? &screen->why : &screen->help;
}

struct view *screen_chat_view(struct screen *screen)
{
    if (screen_focused(screen)->kind == PANE_CHAT)
        return &screen_focused(screen)->view;
    for (int i = 0; i < LAYOUT_PANES; i++)
        if (screen->panes[i].is_used && screen->panes[i].kind == PANE_CHAT)
            return &screen->panes[i].view;
    return &screen_focused(screen)->view;
}

int screen_new_pane(struct screen *screen, enum pane_kind kind)
{
    for (int i = 0; i < LAYOUT_PANES; i++)
        if (!screen->panes[i].is_used) {
            screen->panes[i] = (struct pane){.is_used = true, .kind = kind, .view.follows = kind == PANE_CHAT};
            return i;
        }
    screen_note(screen, "there are %d panes already", LAYOUT_PANES);
    return -1;
}

bool screen_split(struct screen *screen, enum layout_split split, enum pane_kind kind)
{
    int pane = screen_new_pane(screen, kind);
    if (pane >= 0 && !layout_split_focus(&screen->layout, split, pane)) {
        screen->panes[pane].is_used = false;
        pane = -1;
    }
    return pane >= 0;
}

static void pane_deinit(struct pane *pane)
{
    view_deinit(&pane->view);
    file_close(pane->file);
    *pane = (struct pane){0};
}

bool screen_close_pane(struct screen *screen, bool is_forced)
{
    struct pane *pane = screen_focused(screen);
    if (!is_forced && pane->file && text_is_changed(&pane->file->editor.text)) {
        screen_note(screen, "%.100s is not saved: s saves, :close! closes without", pane->file->name);
        return false;
    }
    if (!layout_close_focus(&screen->layout)) {
        screen_note(screen, "this is the only pane; Ctrl-C twice leaves");
        return false;
    }
    if (pane->file)
        screen_ghost_clear(screen);
    pane_deinit(pane);
    for (int i = 0; i < LAYOUT_PANES; i++)
        if (screen->panes[i].is_used && screen->panes[i].kind == PANE_CHAT)
            return true;
    for (int i = 0; i < LAYOUT_PANES; i++) {
        /* The conversation is always somewhere: where no file would be lost by it. */
        struct pane *other = &screen->panes[i];
        if (!other->is_used || (other->file && text_is_changed(&other->file->editor.text)))
            continue;
        pane_deinit(other);
        *other = (struct pane){.is_used = true, .kind = PANE_CHAT, .view.follows = true};
        return true;
    }
    return true;
}

/* ---- a question ---- */

static void remember(struct screen *screen, const char *text)
{
    struct error error = {0};
    input_remember(&screen->question, text);
    if (screen->history_path && repl_history_append(screen->history_path, text, &error) != STATUS_OK) {
        screen_note(screen, "the history is not kept: %.200s", error.text);
        free(screen->history_path);
        screen->history_path = NULL;
    }
}

void screen_ask(struct screen *screen)
{
    const char *text = buffer_text(&screen->question.text);
    size_t size = screen->question.text.size, word;
    if (strspn(text, " \t\n") == size)
        return;
    if (strlen(text) == size)
        remember(screen, text);
    if (screen_is_command(text, &word)) {
        struct buffer command = {0};
        buffer_append_text(&command, text + 1);
        input_clear(&screen->question);
        screen_run_command(screen, buffer_text(&command));
        buffer_deinit(&command);
        return;
    }
    uint64_t job = worker_submit(screen->worker, JOB_ASK, text, size);
    struct entry *question = job ? transcript_add(&screen->transcript, ENTRY_QUESTION, 0, text, size) : NULL;
    struct entry *answer = question ? transcript_add(&screen->transcript, ENTRY_ANSWER, job, "", 0) : NULL;
    if (!answer) {
        screen_note(screen, "out of memory");
        return;
    }
    buffer_append_text(&answer->waiting, screen->is_unopened ? ""
                                         : !screen->is_open  ? "waiting for the model"
                                         : screen->running   ? "waiting for the answer before"
                                                             : "reading");
    screen->asked = job;
    if (!screen->running)
        screen->running = job;
    input_clear(&screen->question);
    struct view *view = screen_chat_view(screen);
    view->follows = true;
}

/* ---- the clipboard ---- */

void screen_copy(struct screen *screen, bool is_answer)
{
    struct buffer text = {0}, sequence = {0};
    struct error error = {0};
    const char *tool = NULL;
    const struct view *view = screen_chat_view(screen);
    size_t bottom = view->top + (view->height > 0 ? (size_t)view->height - 1 : 0);
    size_t line = bottom < view->n_rows ? view->rows[bottom].line : SIZE_MAX;
    bool is_found = !is_answer && transcript_code(&screen->transcript, line, &text);
    for (size_t i = screen->transcript.n; is_answer && !is_found && i-- > 0;) {
        const struct entry *entry = &screen->transcript.entries[i];
        is_found = entry->kind == ENTRY_ANSWER && entry->text.size;
        if (is_found)
            buffer_append(&text, entry->text.data, entry->text.size);
    }
    if (!is_found || text.failed) {
        screen_note(screen, is_answer ? "there is no answer to copy yet" : "there is no code block above the last row");
        buffer_deinit(&text);
        return;
    }
    bool is_sent = clipboard_append_osc52(&sequence, buffer_text(&text), text.size) &&
                   terminal_send(screen->terminal, sequence.data, sequence.size, NULL) == STATUS_OK;
    clipboard_run_tool(buffer_text(&text), text.size, &tool, &error);
    if (is_sent || tool)
        screen_note(screen, "copied %zu bytes%s%s", text.size, tool ? " by " : "", tool ? tool : "");
    else
        screen_note(screen, "not copied: %.200s", error.status ? error.text : "there is no clipboard here");
    buffer_deinit(&text);
    buffer_deinit(&sequence);
}

/* ---- the loop ---- */

enum { FRAME_NS = 33000000 };

static void take_signals(struct screen *screen)
{
    struct terminal_event event = terminal_read_signals(screen->terminal);
    if (event.ended_by) {
        screen->is_over = true;
        screen->ended_by = event.ended_by;
    } else if (event.is_to_stop) {
        terminal_suspend(screen->terminal);
    } else if (event.was_continued) {
        terminal_resume(screen->terminal);
    }
    if (event.was_resized)
        terminal_forget(screen->terminal); /* terminals differ on what they keep */
}

/* False where the terminal has gone. */
static bool take_keys(struct screen *screen, bool is_over)
{
    char bytes[16384];
    uint32_t key;
    if (!is_over) {
        ssize_t n = read(screen->context->in, bytes, sizeof bytes);
        if (n == 0 || (n < 0 && errno != EINTR && errno != EAGAIN))
            return false;
        if (n > 0)
            keyboard_push(&screen->keyboard, bytes, (size_t)n);
        screen->escape_due_ns = clock_now_ns() + KEYBOARD_ESCAPE_MS * UINT64_C(1000000);
    }
    while (!screen->is_over && keyboard_next(&screen->keyboard, is_over, &key))
        screen_key(screen, key);
    return true;
}

/* Whichever is sooner; -1 is never. */
static int sooner(int a, int b)
{
    return a < 0 ? b : b < 0 ? a : a < b ? a : b;
}

static int due_ms(uint64_t due)
{
    uint64_t now = clock_now_ns();
    return !due ? -1 : due <= now ? 0 : (int)((due - now) / 1000000) + 1;
}

/* Frames for the sake of messages alone come at most thirty times a second: each costs bytes beside its text. */
static int timeout_ms(const struct screen *screen, bool needs_frame, uint64_t last_frame_ns)
{
    uint64_t since = clock_now_ns() - last_frame_ns;
    int ms = -1;
    if (needs_frame)
        ms = since >= FRAME_NS ? 0 : (int)((FRAME_NS - since) / 1000000) + 1;
    if (keyboard_is_waiting(&screen->keyboard))
        ms = sooner(ms, due_ms(screen->escape_due_ns));
    return sooner(ms, sooner(due_ms(screen->ghost.due_ns), due_ms(screen->cost.due_ns)));
}

/* What isn't urgent: messages, what was looked up, news of the index.  True where something came. */
static bool take_news(struct screen *screen, const struct pollfd *fds)
{
    bool has_news = false;
    if (fds[2].revents) {
        screen_take_messages(screen);
        has_news = true;
    }
    if (fds[3].revents) {
        screen_pick_take(screen);
        has_news = true;
    }
    if (fds[4].revents) {
        uint64_t n = screen->fresh.n_refreshes;
        freshness_take(screen->freshness, &screen->fresh);
        if (n != screen->fresh.n_refreshes)
            worker_index_changed(screen->worker);
        screen_pick_again(screen);
        has_news = true;
    }
    return has_news;
}

static enum status loop(struct screen *screen, struct error *error)
{
    bool needs_frame = false;
    uint64_t last_frame_ns = clock_now_ns();
    while (!screen->is_over) {
        int changes = screen->diff.is_open ? changes_fd(screen->diff.changes) : -1;
        struct pollfd fds[] = {{screen->context->in, POLLIN, 0},
                               {terminal_signals(screen->terminal), POLLIN, 0},
                               {worker_fd(screen->worker), POLLIN, 0},
                               {screen->lookup ? lookup_fd(screen->lookup) : -1, POLLIN, 0},
                               {screen->freshness ? freshness_fd(screen->freshness) : -1, POLLIN, 0},
                               {changes, POLLIN, 0}};
        int n = poll(fds, sizeof fds / sizeof *fds, timeout_ms(screen, needs_frame, last_frame_ns));
        if (n < 0 && errno != EINTR)
            return error_set(error, STATUS_IO, "poll: %s", strerror(errno));
        bool is_urgent = false;
        if (n > 0 && fds[1].revents) {
            take_signals(screen);
            is_urgent = true;
        }
        if (n > 0 && fds[5].revents) {
            screen_take_diff(screen);
            is_urgent = true;
        }
        needs_frame = (n > 0 && take_news(screen, fds)) || needs_frame;
        screen_ghost_tick(screen);
        bool has_keys = n > 0 && fds[0].revents;
        bool is_escape = keyboard_is_waiting(&screen->keyboard) && clock_now_ns() >= screen->escape_due_ns;
        if (has_keys || is_escape) {
            if (!take_keys(screen, !has_keys)) {
                screen->is_over = true;
                screen->ended_by = SIGHUP;
            }
            is_urgent = true;
        }
        screen_mention_tick(screen);
        if (screen->is_over || (!is_urgent && !(needs_frame && clock_now_ns() - last_frame_ns >= FRAME_NS)))
            continue;
        enum status status = screen_draw(screen, error);
        if (status != STATUS_OK)
            return status;
        needs_frame = false;
        last_frame_ns = clock_now_ns();
    }
    return STATUS_OK;
}

/* ---- opening and closing ---- */

static void add_history(void *context, const char *entry)
{
    input_remember(context, entry);
}

static void load_history(struct screen *screen)
{
    struct buffer path = {0};
    if (screen->context->settings->no_save || store_make_folder(&path, NULL) != STATUS_OK) {
        buffer_deinit(&path);
        return;
    }
    buffer_append_text(&path, "/history");
    if (!path.failed && repl_history_load(path.data, add_history, &screen->question, NULL) == STATUS_OK)
        screen->history_path = path.data;
    else
        buffer_deinit(&path);
}

/* "~/src/lantern" */
static void find_place(struct screen *screen)
{
    const char *home = getenv("HOME");
    char path[4096];
    const char *wanted = screen->context->n_arguments ? screen->context->arguments[0] : ".";
    if (!realpath(wanted, path))
        snprintf(path, sizeof path, "%s", wanted);
    struct stat about;
    char *slash = strrchr(path, '/');
    if (slash && slash != path && stat(path, &about) == 0 && S_ISREG(about.st_mode))
        *slash = 0;
    size_t size = home ? strlen(home) : 0;
    bool is_home = size > 1 && strncmp(path, home, size) == 0 && (path[size] == '/' || !path[size]);
    snprintf(screen->place, sizeof screen->place, "%s%.240s", is_home ? "~" : "", path + (is_home ? size : 0));
}

/* What will be opened, as far as one can tell without looking. */
static void name_model(struct screen *screen)
{
    const char *model = screen->context->settings->model ? screen->context->settings->model : models_default_name;
    const char *slash = strrchr(model, '/');
    snprintf(screen->model, sizeof screen->model, "%.120s", slash && slash[1] ? slash + 1 : model);
}

/* Code is plain where this fails. */
static void open_coloring(struct screen *screen)
{
    if (project_open_languages(&screen->languages, NULL) != STATUS_OK ||
        coloring_new(screen->languages, &screen->coloring, NULL) != STATUS_OK)
        return;
    screen->transcript.color = coloring_color;
    screen->transcript.color_context = screen->coloring;
}

/* What is kept right and can be asked, where there is a repository; a plain folder can be asked for its files. */
static void open_repository(struct screen *screen)
{
    const struct command_context *context = screen->context;
    const char *path = context->n_arguments ? context->arguments[0] : ".";
    struct repo *repo = NULL;
    struct buffer folder = {0};
    if (repo_open(path, &repo, NULL) != STATUS_OK) {
        if (!realpath(".", screen->root))
            snprintf(screen->root, sizeof screen->root, ".");
        return;
    }
    bool is_git = repo_git_folder(repo) && !repo_is_bare(repo);
    snprintf(screen->root, sizeof screen->root, "%.4095s", repo_root(repo));
    if (is_git)
        repo_branch_name(repo, screen->branch, sizeof screen->branch);
    repo_free(repo);
    if (lookup_open(context, path, &screen->lookup, NULL) != STATUS_OK)
        screen->lookup = NULL;
    if (is_git && !context->settings->no_refresh && screen->languages &&
        project_cache_folder(&folder, NULL) == STATUS_OK) {
        struct freshness_options options = {.root = screen->root,
                                            .cache_folder = buffer_text(&folder),
                                            .settings = context->settings,
                                            .languages = screen->languages,
                                            .n_threads = 1};
        if (freshness_start(&options, &screen->freshness, NULL) != STATUS_OK)
            screen->freshness = NULL;
    }
    buffer_deinit(&folder);
}

/* `fathom FILE` shows it. */
static void open_argument(struct screen *screen)
{
    char path[4096];
    struct stat about;
    const struct command_context *context = screen->context;
    bool is_file = context->n_arguments && realpath(context->arguments[0], path) && stat(path, &about) == 0 &&
                   S_ISREG(about.st_mode);
    if (is_file)
        screen_open_file(screen, path, 0);
}

/* is_lost: nobody chose to leave. */
static void deinit(struct screen *screen, bool is_lost)
{
    struct buffer said = {0};
    if (is_lost)
        screen_keep_unsaved(screen, &said);
    terminal_close(screen->terminal);
    output_write(screen->context->err, buffer_text(&said), said.size);
    buffer_deinit(&said);
    lookup_close(screen->lookup);
    freshness_stop(screen->freshness);
    screen_ghost_clear(screen);
    worker_close(screen->worker);
    screen_close_diff(screen);
    for (int i = 0; i < LAYOUT_PANES; i++)
        pane_deinit(&screen->panes[i]);
    for (size_t i = 0; i < screen->n_jumps; i++)
        free(screen->jumps[i].path);
    picker_deinit(&screen->picker);
    buffer_deinit(&screen->picked);
    buffer_deinit(&screen->looked_up_text);
    buffer_deinit(&screen->cost.text);
    doc_deinit(&screen->why);
    transcript_deinit(&screen->transcript);
    coloring_free(screen->coloring);
    if (screen->languages)
        languages_free(screen->languages);
    doc_deinit(&screen->help);
    input_deinit(&screen->question);
    input_deinit(&screen->line);
    keyboard_deinit(&screen->keyboard);
    cells_deinit(&screen->cells);
    buffer_deinit(&screen->offers);
    free(screen->history_path);
    free(screen);
}

static enum status run(struct screen *screen, const struct terminal_options *options, struct error *error)
{
    enum status status = terminal_open(options, &screen->terminal, error);
    if (status != STATUS_OK)
        return status;
    find_place(screen);
    name_model(screen);
    status = screen_draw(screen, error); /* the first frame: nothing of the model has been touched yet */
    if (status == STATUS_OK)
        status = worker_open(screen->context, &screen->worker, error);
    if (status == STATUS_OK) {
        load_history(screen);
        open_coloring(screen);
        open_repository(screen);
        open_argument(screen);
        status = loop(screen, error);
    }
    return status;
}

enum status screen_open(const struct command_context *context, const struct terminal_options *options, int *ended_by,
                        struct error *error)
{
    struct screen *screen = calloc(1, sizeof *screen);
    if (!screen)
        return error_set(error, STATUS_MEMORY, "out of memory");
    screen->context = context;
    screen->typing = TYPING_QUESTION;
    screen->cells.ascii_only = !visible_locale_is_utf8();
    screen->transcript.doc.ascii_only = screen->help.ascii_only = screen->cells.ascii_only;
    screen->why.ascii_only = screen->picker.doc.ascii_only = screen->cells.ascii_only;
    layout_init(&screen->layout, screen_new_pane(screen, PANE_CHAT));
    enum status status = run(screen, options, error);
    *ended_by = screen->ended_by;
    deinit(screen, screen->ended_by || status != STATUS_OK);
    return status;
}
