/* screen_pick: lists to choose from, in the place of the focused pane: files, files that an answer names, places that the
 * index knows. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "app/screen.h"

enum { NAMED_MOST = 60 };

static void begin(struct screen *screen, const char *what)
{
    picker_clear(&screen->picker);
    buffer_clear(&screen->picked);
    screen->looks_for = what;
    screen->picks_mention = false;
    screen_begin_line(screen, TYPING_PICK);
    picker_filter(&screen->picker, (struct slice){"", 0});
}

static void ask(struct screen *screen, enum lookup_kind kind, const char *text)
{
    const struct file *file = screen_file(screen);
    uint32_t line = file ? (uint32_t)text_line_of(&file->editor.text, file->editor.cursor) + 1 : 0;
    bool is_below = file && *file->name != '/';
    if (text != buffer_text(&screen->looked_up_text)) {
        buffer_clear(&screen->looked_up_text);
        buffer_append_text(&screen->looked_up_text, text);
    }
    screen->looked_up = kind;
    screen->awaits_index = false;
    screen->was_early = screen->freshness && !screen->fresh.has_whole;
    screen->looking = screen->lookup ? lookup_ask(screen->lookup, kind, text, is_below ? file->name : "", line) : 0;
    if (!screen->looking)
        screen_note(screen, "the repository can't be asked");
}

void screen_pick_again(struct screen *screen)
{
    if (screen->awaits_index && screen->fresh.has_whole && screen->typing == TYPING_PICK)
        ask(screen, screen->looked_up, buffer_text(&screen->looked_up_text));
}

void screen_pick_files(struct screen *screen)
{
    begin(screen, "files");
    ask(screen, LOOKUP_PATHS, "");
}

void screen_pick_commands(struct screen *screen)
{
    begin(screen, "commands");
    screen->looking = 0;
    if (!screen_add_commands(&screen->picker))
        screen_note(screen, "out of memory");
    picker_filter(&screen->picker, (struct slice){"", 0});
}

void screen_pick_mention(struct screen *screen, struct slice letters)
{
    begin(screen, "files to add to the question");
    screen->picks_mention = true;
    input_insert(&screen->line, letters.data, letters.size, false);
    ask(screen, LOOKUP_PATHS, "");
}

void screen_pick_places(struct screen *screen, enum lookup_kind kind, const char *text)
{
    static const char *const names[LOOKUP_KINDS] = {[LOOKUP_PATHS] = "files",
                                                    [LOOKUP_DEFINITIONS] = "definitions",
                                                    [LOOKUP_REFERENCES] = "references",
                                                    [LOOKUP_SEARCH] = "found"};
    begin(screen, names[kind]);
    screen->picker.keeps_order = true;
    ask(screen, kind, text);
}

/* ---- what is chosen ---- */

void screen_pick_filter(struct screen *screen)
{
    const struct buffer *letters = &screen->line.text;
    bool is_same = letters->size == screen->picked.size &&
                   memcmp(buffer_text(letters), buffer_text(&screen->picked), letters->size) == 0;
    if (is_same)
        return;
    buffer_clear(&screen->picked);
    buffer_append(&screen->picked, buffer_text(letters), letters->size);
    picker_filter(&screen->picker, (struct slice){buffer_text(letters), letters->size});
}

void screen_pick_done(struct screen *screen)
{
    const struct picker_item *item = picker_chosen(&screen->picker);
    struct buffer path = {0};
    uint32_t line = item ? item->line : 0;
    int id = item ? item->id : 0;
    if (!item && screen->looking)
        return; /* it is still to come */
    screen->typing = screen->typing_before;
    if (item && item->path)
        buffer_append_text(&path, item->path);
    picker_clear(&screen->picker);
    if (id)
        screen_choose_command(screen, id);
    else if (path.size && !path.failed && screen->picks_mention)
        screen_mention_insert(screen, path.data);
    else if (path.size && !path.failed)
        screen_open_file(screen, path.data, line);
    buffer_deinit(&path);
}

/* ---- what was looked up ---- */

static void take(struct screen *screen, const struct lookup_result *result)
{
    struct picker *picker = &screen->picker;
    char place[4200];
    if (screen->typing != TYPING_PICK) {
        screen->looking = 0;
        return;
    }
    /* Before the first look at the repository is over, nothing is known to be nowhere. */
    screen->awaits_index =
        result->error.status == STATUS_OK && result->n == 0 && result->kind != LOOKUP_PATHS && screen->was_early;
    if (screen->awaits_index) {
        screen_pick_again(screen);
        return;
    }
    screen->looking = 0;
    if (result->error.status != STATUS_OK || result->n == 0) {
        screen->typing = screen->typing_before;
        screen_note(screen, "%.200s",
                    result->error.status != STATUS_OK ? result->error.text
                    : result->kind == LOOKUP_PATHS    ? "there are no files here"
                    : !screen->freshness              ? "nothing is known of it: fathom index reads a plain folder"
                                                      : "nothing is known of it");
        return;
    }
    if (screen->picks_mention) {
        static const struct picker_item more[] = {
            {.text = "diff", .more = "what is staged and changed", .path = "diff"},
            {.text = "map", .more = "the outline that matters most", .path = "map"}};
        (void)(picker_add(picker, &more[0]) && picker_add(picker, &more[1]));
    }
    for (size_t i = 0; i < result->n; i++) {
        const struct lookup_place *from = &result->places[i];
        struct picker_item item = {.text = from->path, .more = from->text, .path = from->path, .line = from->line};
        if (from->line) {
            snprintf(place, sizeof place, "%.4096s:%u", from->path, (unsigned)from->line);
            item.text = place;
        }
        if (!picker_add(picker, &item))
            break;
    }
    buffer_clear(&screen->picked);
    buffer_append(&screen->picked, buffer_text(&screen->line.text), screen->line.text.size);
    picker_filter(picker, (struct slice){buffer_text(&screen->line.text), screen->line.text.size});
    /* A single definition is where one wants to go. */
    if (result->kind == LOOKUP_DEFINITIONS && result->n == 1) {
        screen->typing = screen->typing_before;
        screen_open_file(screen, result->places[0].path, result->places[0].line);
        picker_clear(picker);
    }
}

void screen_pick_take(struct screen *screen)
{
    for (struct lookup_result *result; (result = lookup_next(screen->lookup));) {
        if (result->id == screen->looking)
            take(screen, result);
        lookup_result_free(result);
    }
}

/* ---- files that are named in a text ---- */

static bool is_of_path(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c & 0x80) ||
           (c && strchr("_-./+@", c));
}

/* A plain file below the root.  Nothing above it, whatever an answer says. */
static bool is_file(const struct screen *screen, const char *path)
{
    char full[8300], resolved[4096];
    struct stat about;
    size_t n = strlen(screen->root);
    snprintf(full, sizeof full, "%.4095s/%.4095s", screen->root, path);
    return realpath(full, resolved) && strncmp(resolved, screen->root, n) == 0 && (n == 1 || resolved[n] == '/') &&
           stat(resolved, &about) == 0 && S_ISREG(about.st_mode);
}

static bool is_listed(const struct picker *picker, const char *text)
{
    for (size_t i = 0; i < picker->n; i++)
        if (strcmp(picker->items[i].text, text) == 0)
            return true;
    return false;
}

/* One word of a line: PATH or PATH:LINE. */
static void add_named(struct screen *screen, const char *text, size_t size, uint32_t line)
{
    char path[1024], shown[1100];
    while (size && memchr(".-", text[size - 1], 2))
        size--; /* the end of a sentence */
    if (size < 3 || size >= sizeof path || screen->picker.n >= NAMED_MOST)
        return;
    memcpy(path, text, size);
    path[size] = 0;
    if (!strpbrk(path, "./") || strspn(path, ".0123456789") == size || *path == '/' || !is_file(screen, path))
        return;
    snprintf(shown, sizeof shown, line ? "%s:%u" : "%s", path, (unsigned)line);
    if (!is_listed(&screen->picker, shown))
        picker_add(&screen->picker, &(struct picker_item){.text = shown, .path = path, .line = line});
}

static void add_line(struct screen *screen, struct slice text)
{
    for (size_t at = 0; at < text.size;) {
        size_t end = at, line = 0;
        while (end < text.size && is_of_path(text.data[end]))
            end++;
        size_t after = end;
        if (end > at && after + 1 < text.size && text.data[after] == ':')
            for (after++; after < text.size && text.data[after] >= '0' && text.data[after] <= '9' && line < 100000000;
                 after++)
                line = line * 10 + (size_t)(text.data[after] - '0');
        if (end > at)
            add_named(screen, text.data + at, end - at, (uint32_t)line);
        at = after > at ? after : at + 1;
    }
}

void screen_pick_named(struct screen *screen)
{
    const struct view *view = screen_chat_view(screen);
    const struct doc *doc = &screen->transcript.doc;
    size_t last = SIZE_MAX;
    begin(screen, "named here");
    screen->picker.keeps_order = true;
    for (int row = view->height; row-- > 0;) { /* the lowest first */
        size_t index = view->top + (size_t)row;
        if (index >= view->n_rows || view->rows[index].line >= doc->n_lines || view->rows[index].line == last)
            continue;
        last = view->rows[index].line;
        add_line(screen, doc_line_text(doc, last));
    }
    picker_filter(&screen->picker, (struct slice){"", 0});
    if (screen->picker.n == 0) {
        screen->typing = screen->typing_before;
        screen_note(screen, "no file of this folder is named here");
    } else if (screen->picker.n == 1) {
        struct buffer path = {0};
        uint32_t line = screen->picker.items[0].line;
        buffer_append_text(&path, screen->picker.items[0].path);
        screen->typing = screen->typing_before;
        if (!path.failed)
            screen_open_file(screen, path.data, line);
        buffer_deinit(&path);
    }
}
