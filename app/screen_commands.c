/* screen_commands: what can be said behind a colon (or a slash in the entry): a const table, and its completion. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/models.h"
#include "app/screen_actions.h"

struct screen_command {
    const char *name, *argument, *help;
    bool needs_argument;
    void (*run)(struct screen *screen, const char *argument);
    void (*complete)(struct buffer *out); /* what there is, each ended by a NUL; or NULL */
};

static void submit(struct screen *screen, enum job_kind kind, const char *text)
{
    if (!worker_submit(screen->worker, kind, text, strlen(text)))
        screen_note(screen, "out of memory");
    screen_chat_view(screen)->follows = true;
}

static void run_help(struct screen *screen, const char *argument)
{
    (void)argument;
    screen_toggle_help(screen);
}

static void run_new(struct screen *screen, const char *argument)
{
    submit(screen, JOB_RESET, argument);
}

static void run_load(struct screen *screen, const char *argument)
{
    submit(screen, *argument ? JOB_LOAD : JOB_LIST, argument);
}

static void run_save(struct screen *screen, const char *argument)
{
    submit(screen, JOB_SAVE, argument);
}

static void run_delete(struct screen *screen, const char *argument)
{
    submit(screen, JOB_DELETE, argument);
}

static void say(struct screen *screen, const char *text)
{
    const struct entry *entry = transcript_add(&screen->transcript, ENTRY_NOTE, 0, text, strlen(text));
    if (entry)
        transcript_touch(&screen->transcript, entry);
    screen_chat_view(screen)->follows = true;
}

static void run_model(struct screen *screen, const char *argument)
{
    struct model_list list = {0};
    struct error error = {0};
    if (*argument) {
        screen->is_open = screen->is_unopened = false;
        snprintf(screen->model, sizeof screen->model, "%.100s", argument);
        submit(screen, JOB_MODEL, argument);
        return;
    }
    if (models_list(&list, &error) != STATUS_OK) {
        screen_note(screen, "%.200s", error.text);
        return;
    }
    for (size_t i = 0; i < list.n; i++)
        say(screen, list.items[i].name);
    if (list.n == 0)
        say(screen, "no model is here");
    model_list_deinit(&list);
}

static void run_system(struct screen *screen, const char *argument)
{
    submit(screen, JOB_SYSTEM, argument);
}

static void run_copy(struct screen *screen, const char *argument)
{
    screen_copy(screen, strcmp(argument, "answer") == 0);
}

static void run_diff(struct screen *screen, const char *argument)
{
    screen_show_diff(screen, argument);
}

static void run_open(struct screen *screen, const char *argument)
{
    const char *colon = strrchr(argument, ':');
    size_t digits = colon ? strspn(colon + 1, "0123456789") : 0;
    bool has_line = digits && digits < 9 && !colon[1 + digits];
    struct buffer path = {0};
    if (!*argument) {
        screen_pick_files(screen);
        return;
    }
    buffer_append(&path, argument, has_line ? (size_t)(colon - argument) : strlen(argument));
    if (!path.failed)
        screen_open_file(screen, path.data, has_line ? (uint32_t)strtoul(colon + 1, NULL, 10) : 0);
    buffer_deinit(&path);
}

static void run_find(struct screen *screen, const char *argument)
{
    screen_pick_places(screen, LOOKUP_SEARCH, argument);
}

static void run_definition(struct screen *screen, const char *argument)
{
    screen_pick_places(screen, LOOKUP_DEFINITIONS, argument);
}

static void run_references(struct screen *screen, const char *argument)
{
    screen_pick_places(screen, LOOKUP_REFERENCES, argument);
}

static void run_write(struct screen *screen, const char *argument)
{
    (void)argument;
    screen_save_file(screen, false);
}

static void run_write_anyway(struct screen *screen, const char *argument)
{
    (void)argument;
    screen_save_file(screen, true);
}

static void run_reload(struct screen *screen, const char *argument)
{
    (void)argument;
    screen_reload_file(screen);
}

static void run_close(struct screen *screen, const char *argument)
{
    (void)argument;
    screen_close_pane(screen, false);
}

static void run_close_anyway(struct screen *screen, const char *argument)
{
    (void)argument;
    screen_close_pane(screen, true);
}

void screen_leave(struct screen *screen)
{
    const struct file *unsaved = screen_unsaved(screen);
    screen->is_over = !unsaved;
    if (unsaved)
        screen_note(screen, "%.100s is not saved; :quit! leaves without it", unsaved->name);
}

static void run_quit(struct screen *screen, const char *argument)
{
    (void)argument;
    screen_leave(screen);
}

static void run_quit_anyway(struct screen *screen, const char *argument)
{
    (void)argument;
    screen->is_over = true;
}

static void complete_models(struct buffer *out)
{
    struct model_list list = {0};
    if (models_list(&list, NULL) != STATUS_OK)
        return;
    for (size_t i = 0; i < list.n; i++)
        buffer_append(out, list.items[i].name, strlen(list.items[i].name) + 1);
    model_list_deinit(&list);
}

static const struct screen_command commands[] = {
    {"help", "", "the keys, and these commands", false, run_help, NULL},
    {"new", "", "a new conversation", false, run_new, NULL},
    {"load", "[NAME|ID]", "the saved conversations, or go on with one", false, run_load, NULL},
    {"save", "NAME", "give this conversation a name", true, run_save, NULL},
    {"delete", "NAME|ID", "delete a saved conversation", true, run_delete, NULL},
    {"model", "[NAME]", "the models that are here, or another model for this conversation", false, run_model,
     complete_models},
    {"system", "[TEXT|-]", "what the model is told beforehand; - is its own", false, run_system, NULL},
    {"copy", "[answer]", "the last code block above, or the answer, to the clipboard", false, run_copy, NULL},
    {"diff", "[--staged|REV|A..B]", "what changed: the worktree, what is staged, a commit, a range", false, run_diff,
     NULL},
    {"commit", "[amend]", "commit what is staged, its message in $VISUAL or $EDITOR", false, screen_commit, NULL},
    {"open", "[PATH[:LINE]]", "open a file, or choose one", false, run_open, NULL},
    {"find", "WORDS", "search the repository, as fathom search does; choose a place", true, run_find, NULL},
    {"definition", "NAME", "where a name is defined", true, run_definition, NULL},
    {"references", "NAME", "where it is used", true, run_references, NULL},
    {"write", "", "save the file of this pane", false, run_write, NULL},
    {"write!", "", "the same though it has changed on the disk", false, run_write_anyway, NULL},
    {"reload", "", "take the file as it is on the disk", false, run_reload, NULL},
    {"close", "", "close this pane", false, run_close, NULL},
    {"close!", "", "the same though its file isn't saved", false, run_close_anyway, NULL},
    {"quit", "", "leave", false, run_quit, NULL},
    {"quit!", "", "leave though a file isn't saved", false, run_quit_anyway, NULL},
};
enum { N_COMMANDS = sizeof commands / sizeof *commands };

/* A whole name, or the beginning of a single one. */
static const struct screen_command *find(const char *word, size_t size)
{
    const struct screen_command *found = NULL;
    size_t n = 0;
    for (size_t i = 0; i < N_COMMANDS; i++)
        if (strncmp(commands[i].name, word, size) == 0) {
            if (strlen(commands[i].name) == size)
                return &commands[i];
            if (strchr(commands[i].name, '!') && !memchr(word, '!', size))
                continue; /* the careful one is meant */
            found = &commands[i];
            n++;
        }
    return n == 1 ? found : NULL;
}

bool screen_is_command(const char *line, size_t *size)
{
    *size = line[0] == '/' ? strspn(line + 1, "abcdefghijklmnopqrstuvwxyz") : 0;
    char after = line[0] ? line[1 + *size] : 0;
    return *size > 0 && (after == 0 || after == ' ' || after == '\n' || after == '\t');
}

void screen_run_command(struct screen *screen, const char *line)
{
    line += strspn(line, " \t");
    size_t size = strcspn(line, " \t\n");
    if (size == 0)
        return;
    const struct screen_command *command = find(line, size);
    struct file *file = screen_file(screen);
    if (file && size < 9 && strspn(line, "0123456789") == size) {
        editor_go_line(&file->editor, strtoul(line, NULL, 10) > 0 ? strtoul(line, NULL, 10) - 1 : 0);
        return;
    }
    struct buffer argument = {0};
    buffer_append_text(&argument, line + size + strspn(line + size, " \t\n"));
    while (argument.size && strchr(" \t\n", argument.data[argument.size - 1]))
        argument.data[--argument.size] = 0;
    if (!command)
        screen_note(screen, "there is no command %.*s (:help lists them)", (int)(size < 60 ? size : 60), line);
    else if (command->needs_argument && !argument.size)
        screen_note(screen, ":%s %s: %s", command->name, command->argument, command->help);
    else
        command->run(screen, buffer_text(&argument));
    buffer_deinit(&argument);
}

/* ---- completion ---- */

static size_t common_prefix(const char *a, const char *b)
{
    size_t n = 0;
    while (a[n] && a[n] == b[n])
        n++;
    return n;
}

/* Puts what the candidates that begin with `typed` have in common into the input; lists them where there are several. */
static void offer(struct screen *screen, struct input *input, const struct buffer *all, const char *typed, size_t size)
{
    const char *first = NULL;
    size_t common = 0, n = 0;
    for (size_t at = 0; at < all->size; at += strlen(all->data + at) + 1) {
        const char *candidate = all->data + at;
        if (strncmp(candidate, typed, size) != 0)
            continue;
        common = first ? common_prefix(first, candidate) < common ? common_prefix(first, candidate) : common
                       : strlen(candidate);
        first = first ? first : candidate;
        if (n++ < 40)
            buffer_printf(&screen->offers, "%s%s", n > 1 ? "  " : "", candidate);
    }
    if (!first)
        screen_note(screen, "nothing begins with %.*s", (int)(size < 60 ? size : 60), typed);
    else if (common > size)
        input_insert(input, first + size, common - size, false);
    if (n == 1) {
        buffer_clear(&screen->offers);
        input_insert(input, " ", 1, false);
    }
}

void screen_complete(struct screen *screen, struct input *input, size_t prefix)
{
    struct buffer all = {0}, line = {0};
    buffer_append(&line, buffer_text(&input->text) + prefix, input->text.size - prefix);
    const char *text = buffer_text(&line), *space = strchr(text, ' ');
    input->cursor = input->text.size;
    if (!space) {
        for (size_t i = 0; i < N_COMMANDS; i++)
            buffer_append(&all, commands[i].name, strlen(commands[i].name) + 1);
        offer(screen, input, &all, text, strlen(text));
    } else {
        const struct screen_command *command = find(text, (size_t)(space - text));
        if (command && command->complete) {
            command->complete(&all);
            offer(screen, input, &all, space + 1, strlen(space + 1));
        }
    }
    buffer_deinit(&all);
    buffer_deinit(&line);
}

bool screen_add_commands(struct picker *picker)
{
    char text[80];
    for (size_t i = 0; i < N_COMMANDS; i++) {
        snprintf(text, sizeof text, "%s%s%s", commands[i].name, *commands[i].argument ? " " : "", commands[i].argument);
        if (!picker_add(picker, &(struct picker_item){.text = text, .more = commands[i].help, .id = (int)i + 1}))
            return false;
    }
    return true;
}

void screen_choose_command(struct screen *screen, int id)
{
    if (id < 1 || id > N_COMMANDS)
        return;
    const struct screen_command *command = &commands[id - 1];
    if (!*command->argument) {
        screen_run_command(screen, command->name);
        return;
    }
    screen_begin_line(screen, TYPING_COMMAND);
    input_insert(&screen->line, command->name, strlen(command->name), false);
    input_insert(&screen->line, " ", 1, false);
}

void screen_explain_commands(struct doc *doc)
{
    enum { COLUMN = 20 };
    doc_blank(doc, 0);
    doc_begin(doc, (struct doc_format){0});
    doc_add_text(doc, STYLE_HEADING, "Commands, behind : in a pane or / in the entry");
    for (size_t i = 0; i < N_COMMANDS; i++) {
        doc_begin(doc, (struct doc_format){.indent = 2, .hang = COLUMN});
        doc_add_text(doc, STYLE_KEY, commands[i].name);
        doc_add_text(doc, STYLE_TEXT, " ");
        doc_add_text(doc, STYLE_TEXT, commands[i].argument);
        doc_pad(doc, COLUMN - 2);
        doc_add_text(doc, STYLE_TEXT, commands[i].help);
    }
}
