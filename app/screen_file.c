/* screen_file: panes that show files: opened, jumped to, edited, saved. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/screen_actions.h"
#include "app/store.h"
#include "ui/visible.h"

enum { SIDE_BY_SIDE_FROM_COLUMNS = 100 };

struct file *screen_file(const struct screen *screen)
{
    const struct pane *pane = &screen->panes[layout_focused_pane(&screen->layout)];
    return pane->kind == PANE_FILE ? pane->file : NULL;
}

const struct file *screen_unsaved(const struct screen *screen)
{
    for (int i = 0; i < LAYOUT_PANES; i++)
        if (screen->panes[i].file && text_is_changed(&screen->panes[i].file->editor.text))
            return screen->panes[i].file;
    return NULL;
}

/* ---- opening ---- */

static int pane_of(const struct screen *screen, const char *path)
{
    for (int i = 0; i < LAYOUT_PANES; i++)
        if (screen->panes[i].file && strcmp(screen->panes[i].file->path, path) == 0)
            return i;
    return -1;
}

/* The focused pane where a file that is saved is in it, else any such pane. */
static int pane_to_reuse(const struct screen *screen)
{
    int best = -1;
    for (int i = 0; i < LAYOUT_PANES; i++) {
        const struct pane *pane = &screen->panes[i];
        bool is_free = pane->kind == PANE_FILE && pane->file && !text_is_changed(&pane->file->editor.text);
        if (is_free && (best < 0 || i == layout_focused_pane(&screen->layout)))
            best = i;
    }
    return best;
}

static void focus(struct screen *screen, int pane)
{
    int leaf = layout_find(&screen->layout, pane);
    if (leaf >= 0)
        screen->layout.focus = leaf;
    screen->typing = TYPING_NOTHING;
}

/* Takes the file. */
static bool show(struct screen *screen, struct file *file)
{
    int pane = pane_of(screen, file->path);
    if (pane >= 0) {
        file_close(file); /* it is open already, perhaps with changes */
        focus(screen, pane);
        return true;
    }
    pane = pane_to_reuse(screen);
    if (pane >= 0) {
        screen_ghost_clear(screen);
        file_close(screen->panes[pane].file);
        screen->panes[pane].file = file;
        focus(screen, pane);
        return true;
    }
    bool is_wide = screen->cells.columns >= SIDE_BY_SIDE_FROM_COLUMNS;
    if (!screen_split(screen, is_wide ? SPLIT_COLUMNS : SPLIT_ROWS, PANE_FILE)) {
        file_close(file);
        return false;
    }
    screen_focused(screen)->file = file;
    screen->typing = TYPING_NOTHING;
    return true;
}

static void full_path(const struct screen *screen, const char *path, struct buffer *out)
{
    if (*path != '/')
        buffer_printf(out, "%s/", screen->root);
    buffer_append_text(out, path);
}

void screen_open_file(struct screen *screen, const char *path, uint32_t line)
{
    struct buffer full = {0};
    struct error error = {0};
    struct file *file = NULL;
    char found[PATH_MAX];
    full_path(screen, path, &full);
    int pane = !full.failed && realpath(full.data, found) ? pane_of(screen, found) : -1;
    if (pane >= 0) { /* a jump within what is open reads nothing */
        focus(screen, pane);
        if (line > 0)
            editor_go_line(&screen_file(screen)->editor, line - 1);
    } else if (full.failed || file_open(screen->languages, full.data, screen->root, &file, &error) != STATUS_OK)
        screen_note(screen, "%.220s", full.failed ? "out of memory" : error.text);
    else if (show(screen, file) && line > 0)
        editor_go_line(&screen_file(screen)->editor, line - 1);
    buffer_deinit(&full);
}

/* ---- jumps ---- */

static uint32_t line_of(const struct file *file)
{
    return (uint32_t)text_line_of(&file->editor.text, file->editor.cursor) + 1;
}

static void push_jump(struct screen *screen)
{
    const struct file *file = screen_file(screen);
    char *path = file ? strdup(file->path) : NULL;
    if (!path)
        return;
    if (screen->n_jumps == JUMPS) {
        free(screen->jumps[0].path);
        memmove(screen->jumps, screen->jumps + 1, --screen->n_jumps * sizeof *screen->jumps);
    }
    screen->jumps[screen->n_jumps++] = (struct jump){path, line_of(file)};
}

static void jump_back(struct screen *screen)
{
    if (screen->n_jumps == 0) {
        screen_note(screen, "there was no jump before");
        return;
    }
    struct jump *jump = &screen->jumps[--screen->n_jumps];
    screen_open_file(screen, jump->path, jump->line);
    free(jump->path);
}

static void look_up(struct screen *screen, enum lookup_kind kind)
{
    const struct file *file = screen_file(screen);
    struct buffer name = {0};
    size_t at;
    struct slice word = editor_word(&file->editor, &at);
    if (word.size == 0 || word.size > 200) {
        screen_note(screen, "there is no name under the cursor");
        return;
    }
    buffer_append(&name, word.data, word.size);
    push_jump(screen);
    if (!name.failed)
        screen_pick_places(screen, kind, name.data);
    buffer_deinit(&name);
}

/* ---- saving ---- */

void screen_save_file(struct screen *screen, bool is_forced)
{
    struct file *file = screen_file(screen);
    struct error error = {0};
    if (!file) {
        screen_note(screen, "this pane shows no file");
        return;
    }
    enum status status = file_save(file, is_forced, &error);
    if (status == STATUS_OK)
        screen_note(screen, "saved %.100s, %zu bytes", file->name, file->editor.text.bytes.size);
    else if (status == STATUS_CANCELLED)
        screen_note(screen, "%.150s: :write! replaces it, :reload takes it", error.text);
    else
        screen_note(screen, "not saved: %.220s", error.text);
}

void screen_reload_file(struct screen *screen)
{
    struct file *file = screen_file(screen);
    struct error error = {0};
    screen_ghost_clear(screen);
    if (!file)
        screen_note(screen, "this pane shows no file");
    else if (file_reload(file, &error) != STATUS_OK)
        screen_note(screen, "%.220s", error.text);
    else
        screen_note(screen, "%.100s is as it is on the disk", file->name);
}

/* Appends a line that says where, or that it could not be. */
static void keep(const struct file *file, const char *folder, size_t number, struct buffer *said)
{
    struct buffer path = {0};
    const struct buffer *bytes = &file->editor.text.bytes;
    const char *slash = strrchr(file->path, '/');
    buffer_printf(&path, "%s/unsaved-%ld-%zu-%.100s", folder, (long)getpid(), number, slash ? slash + 1 : "file");
    FILE *out = path.failed ? NULL : fopen(path.data, "wxe");
    bool is_kept = out && fwrite(buffer_text(bytes), 1, bytes->size, out) == bytes->size;
    if (out)
        is_kept = fclose(out) == 0 && is_kept;
    buffer_append_text(said, "fathom: ");
    visible_append(said, file->name, strlen(file->name), false);
    buffer_append_text(said,
                       is_kept ? " was not saved: its text lies in " : " was not saved, and could not be kept in ");
    visible_append(said, buffer_text(&path), path.size, false);
    buffer_append_byte(said, '\n');
    buffer_deinit(&path);
}

void screen_keep_unsaved(struct screen *screen, struct buffer *said)
{
    struct buffer folder = {0};
    if (!screen_unsaved(screen))
        return;
    if (store_make_folder(&folder, NULL) != STATUS_OK)
        buffer_append_text(said, "fathom: files that were not saved could not be kept\n");
    else
        for (size_t i = 0; i < LAYOUT_PANES; i++)
            if (screen->panes[i].file && text_is_changed(&screen->panes[i].file->editor.text))
                keep(screen->panes[i].file, buffer_text(&folder), i, said);
    buffer_deinit(&folder);
}

/* ---- keys ---- */

static void toggle_why(struct screen *screen)
{
    for (int i = 0; i < LAYOUT_PANES; i++)
        if (screen->panes[i].is_used && screen->panes[i].kind == PANE_WHY) {
            int file = layout_focused_pane(&screen->layout);
            screen->layout.focus = layout_find(&screen->layout, i);
            screen_close_pane(screen, false);
            if (file != i)
                screen->layout.focus = layout_find(&screen->layout, file);
            return;
        }
    int file = layout_focused_pane(&screen->layout);
    if (screen->why.n_lines == 0)
        screen_note(screen, "nothing was proposed yet");
    else if (screen_split(screen, SPLIT_ROWS, PANE_WHY))
        screen->layout.focus = layout_find(&screen->layout, file);
}

/* How much of a ghost is its next word, or line. */
static size_t part_of(struct slice ghost, bool is_line)
{
    size_t at = 0;
    if (is_line) {
        const char *newline = memchr(ghost.data, '\n', ghost.size);
        return newline ? (size_t)(newline - ghost.data) + 1 : ghost.size;
    }
    while (at < ghost.size && memchr(" \t\r\n", ghost.data[at], 4))
        at++;
    bool is_name = false;
    for (size_t first = at; at < ghost.size; at++) {
        char c = ghost.data[at];
        bool is_letter =
            (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (c & 0x80);
        if (at == first)
            is_name = is_letter;
        if (at > first && (!is_name || !is_letter))
            break;
    }
    return at;
}

static void do_editor(struct screen *screen, struct file *file, enum editor_action action)
{
    bool is_change = action >= EDITOR_DELETE_LEFT;
    screen_ghost_clear(screen);
    bool is_done = editor_act(&file->editor, action);
    if (!is_done && (action == EDITOR_UNDO || action == EDITOR_REDO))
        screen_note(screen, action == EDITOR_UNDO ? "there is nothing to undo" : "there is nothing to do again");
    if (is_change && is_done && screen->typing == TYPING_FILE && action != EDITOR_UNDO && action != EDITOR_REDO)
        screen_ghost_wait(screen, false);
}

/* The keys that a proposal changes the meaning of. */
static void do_ghost(struct screen *screen, struct file *file, enum action action)
{
    struct slice ghost = screen_ghost(screen, file);
    if (ghost.size && action == ACT_FILE_NEXT_WAY)
        screen->ghost.chosen = (screen->ghost.chosen + 1) % screen->ghost.n_ways;
    else if (ghost.size)
        screen_ghost_accept(screen, action == ACT_FILE_TAB ? ghost.size : part_of(ghost, action == ACT_FILE_LINE));
    else if (action == ACT_FILE_TAB)
        do_editor(screen, file, EDITOR_INDENT);
    else if (action == ACT_FILE_WORD)
        do_editor(screen, file, EDITOR_WORD_RIGHT);
}

static void leave(struct screen *screen, const struct file *file)
{
    bool has_ghost = screen_ghost(screen, file).size > 0;
    screen_ghost_clear(screen);
    if (!has_ghost)
        screen->typing = TYPING_NOTHING;
}

void screen_file_act(struct screen *screen, enum action action)
{
    struct file *file = screen_file(screen);
    if (!file)
        return;
    if (action < ACT_SEND) {
        do_editor(screen, file, (enum editor_action)(action - ACT_EDITOR));
        return;
    }
    switch (action) {
    case ACT_FILE_EDIT:
        screen->typing = TYPING_FILE;
        break;
    case ACT_FILE_LEAVE:
        leave(screen, file);
        break;
    case ACT_FILE_SAVE:
        screen_save_file(screen, false);
        break;
    case ACT_FILE_DEFINITION:
        look_up(screen, LOOKUP_DEFINITIONS);
        break;
    case ACT_FILE_REFERENCES:
        look_up(screen, LOOKUP_REFERENCES);
        break;
    case ACT_FILE_BACK:
        jump_back(screen);
        break;
    case ACT_FILE_COMPLETE:
        screen_ghost_wait(screen, true);
        break;
    case ACT_FILE_WHY:
        toggle_why(screen);
        break;
    default:
        do_ghost(screen, file, action);
        break;
    }
}
