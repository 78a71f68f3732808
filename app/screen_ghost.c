/* screen_ghost: what might stand at the cursor of the file that is edited, asked for after a pause and shown dim.
 *
 * The pause grows with how long answers took so far: where a completion takes a second, one that is thrown away at the next
 * letter costs more than waiting does.  What is typed as it was proposed leaves the rest of it standing. */
#include <string.h>

#include "app/screen.h"

enum { PAUSE_LEAST_MS = 120, PAUSE_MOST_MS = 800, AGAIN_MS = 400, TEXT_MOST = 4 << 20 };

struct slice screen_ghost(const struct screen *screen, const struct file *file)
{
    const struct ghost *ghost = &screen->ghost;
    bool is_there = file && ghost->n_ways && ghost->file == file && ghost->at == file->editor.cursor &&
                    ghost->version == file->editor.text.version && screen->typing == TYPING_FILE;
    if (!is_there)
        return (struct slice){"", 0};
    return (struct slice){buffer_text(&ghost->ways[ghost->chosen]), ghost->ways[ghost->chosen].size};
}

void screen_ghost_clear(struct screen *screen)
{
    struct ghost *ghost = &screen->ghost;
    if (ghost->job && screen->worker)
        worker_cancel(screen->worker, ghost->job);
    for (size_t i = 0; i < FILE_WAYS; i++)
        buffer_deinit(&ghost->ways[i]);
    *ghost = (struct ghost){.latency_ms = ghost->latency_ms};
}

/* Keeps the ways that begin with what was typed, without it; true where the one that was shown is among them. */
static bool take_typed(struct ghost *ghost, const char *bytes, size_t size)
{
    const struct buffer *shown = &ghost->ways[ghost->chosen];
    bool fits = shown->size > size && memcmp(shown->data, bytes, size) == 0;
    size_t n = 0;
    for (size_t i = 0; fits && i < ghost->n_ways; i++) {
        struct buffer *way = &ghost->ways[i];
        if (way->size <= size || memcmp(way->data, bytes, size) != 0)
            continue;
        buffer_remove_front(way, size);
        if (i == ghost->chosen)
            ghost->chosen = n;
        struct buffer moved = ghost->ways[n];
        ghost->ways[n++] = *way;
        *way = i == n - 1 ? *way : moved;
    }
    ghost->n_ways = fits ? n : ghost->n_ways;
    return fits;
}

void screen_ghost_typed(struct screen *screen, const char *bytes, size_t size)
{
    struct ghost *ghost = &screen->ghost;
    const struct file *file = screen_file(screen);
    bool was_shown = file && ghost->n_ways && ghost->file == file && ghost->at + size == file->editor.cursor &&
                     ghost->version + 1 == file->editor.text.version;
    if (was_shown && take_typed(ghost, bytes, size)) {
        ghost->at = file->editor.cursor;
        ghost->version = file->editor.text.version;
    } else {
        screen_ghost_clear(screen);
        screen_ghost_wait(screen, false);
    }
}

void screen_ghost_accept(struct screen *screen, size_t size)
{
    struct file *file = screen_file(screen);
    struct slice ghost = screen_ghost(screen, file);
    struct buffer copy = {0};
    if (size == 0 || size > ghost.size)
        return;
    buffer_append(&copy, ghost.data, size);
    if (!copy.failed && editor_insert(&file->editor, copy.data, copy.size, false))
        screen_ghost_typed(screen, copy.data, copy.size);
    buffer_deinit(&copy);
}

/* ---- asking ---- */

void screen_ghost_wait(struct screen *screen, bool is_wanted)
{
    struct ghost *ghost = &screen->ghost;
    const struct file *file = screen_file(screen);
    double pause = ghost->latency_ms / 4;
    if (!file)
        return;
    pause = pause < PAUSE_LEAST_MS ? PAUSE_LEAST_MS : pause > PAUSE_MOST_MS ? PAUSE_MOST_MS : pause;
    screen_ghost_clear(screen);
    ghost->file = file;
    ghost->at = file->editor.cursor;
    ghost->version = file->editor.text.version;
    ghost->is_wanted = is_wanted;
    ghost->due_ns = clock_now_ns() + (is_wanted ? 0 : (uint64_t)(pause * 1e6));
    if (is_wanted && screen->running)
        screen_note(screen, "the model answers a question; Esc in the entry stops that");
    else if (is_wanted && !screen->is_open)
        screen_note(screen,
                    screen->is_unopened ? "there is no model (:model NAME opens one)" : "the model is being opened");
    if (is_wanted)
        screen_ghost_tick(screen);
}

void screen_ghost_tick(struct screen *screen)
{
    struct ghost *ghost = &screen->ghost;
    const struct file *file = screen_file(screen);
    uint64_t now = clock_now_ns();
    if (!ghost->due_ns || now < ghost->due_ns)
        return;
    ghost->due_ns = 0;
    bool is_still = file && file == ghost->file && ghost->at == file->editor.cursor && screen->typing == TYPING_FILE &&
                    ghost->version == file->editor.text.version && file->editor.text.bytes.size <= TEXT_MOST;
    if (!is_still)
        return;
    if (screen->running || !screen->is_open) { /* a question comes first */
        ghost->due_ns = screen->is_unopened ? 0 : now + AGAIN_MS * UINT64_C(1000000);
        return;
    }
    struct slice text = {text_bytes(&file->editor.text), file->editor.text.bytes.size};
    if (memchr(text.data, 0, text.size)) {
        if (ghost->is_wanted)
            screen_note(screen, "there is a NUL byte in the file: nothing is proposed");
        return;
    }
    ghost->job = worker_complete(screen->worker, file->path, text, ghost->at);
}

/* ---- what comes ---- */

static void explain(struct screen *screen, const struct buffer *why)
{
    doc_cut(&screen->why, 0);
    doc_begin(&screen->why, (struct doc_format){.hang = 8});
    doc_add(&screen->why, STYLE_TEXT, buffer_text(why), why->size);
}

static void take_ways(struct screen *screen, const struct worker_message *message)
{
    struct ghost *ghost = &screen->ghost;
    const struct file *file = screen_file(screen);
    const char *text = buffer_text(&message->text);
    ghost->latency_ms =
        ghost->latency_ms > 0 ? ghost->latency_ms * 0.7 + (double)message->n_done * 0.3 : (double)message->n_done;
    explain(screen, &message->more);
    bool is_still =
        file && file == ghost->file && ghost->at == file->editor.cursor && ghost->version == file->editor.text.version;
    if (!is_still)
        return;
    for (size_t at = 0; at < message->text.size && ghost->n_ways < FILE_WAYS; at += strlen(text + at) + 1)
        buffer_append_text(&ghost->ways[ghost->n_ways++], text + at);
    if (ghost->n_ways == 0 && ghost->is_wanted)
        screen_note(screen, "there is nothing to propose here; Alt-W says what was looked at");
}

bool screen_ghost_take(struct screen *screen, const struct worker_message *message)
{
    struct ghost *ghost = &screen->ghost;
    bool is_ours = ghost->job && message->id == ghost->job;
    if (message->kind == MESSAGE_WAYS) {
        if (is_ours)
            take_ways(screen, message);
        return true;
    }
    if (!is_ours || (message->kind != MESSAGE_DONE && message->kind != MESSAGE_FAILED))
        return false;
    ghost->job = 0;
    if (message->kind == MESSAGE_FAILED && ghost->is_wanted)
        screen_note(screen, "%.220s", buffer_text(&message->text));
    return true;
}
