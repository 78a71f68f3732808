/* screen_mention: what a question names by @: completed from the repository's files, and its cost told before it is sent. */
#include <string.h>

#include "app/mention.h"
#include "app/screen.h"

enum { REST_MS = 250 };

/* The @word that ends at the cursor. */
static bool word_before(const struct input *input, size_t *begin)
{
    const char *text = buffer_text(&input->text);
    size_t at = input->cursor;
    while (at > 0 && !memchr(" \t\n(", text[at - 1], 4) && text[at - 1] != '@')
        at--;
    bool is_there = at > 0 && text[at - 1] == '@' && (at == 1 || memchr(" \t\n(", text[at - 2], 4));
    *begin = at;
    return is_there;
}

bool screen_mention_complete(struct screen *screen)
{
    size_t begin;
    const struct input *input = &screen->question;
    if (!word_before(input, &begin))
        return false;
    screen_pick_mention(screen, (struct slice){buffer_text(&input->text) + begin, input->cursor - begin});
    return true;
}

void screen_mention_insert(struct screen *screen, const char *name)
{
    size_t begin;
    struct input *input = &screen->question;
    if (!word_before(input, &begin))
        return;
    while (input->cursor > begin)
        input_act(input, INPUT_DELETE_LEFT);
    input_insert(input, name, strlen(name), false);
    input_insert(input, " ", 1, false);
}

/* ---- the cost ---- */

void screen_mention_tick(struct screen *screen)
{
    struct cost *cost = &screen->cost;
    const struct buffer *text = &screen->question.text;
    uint64_t now = clock_now_ns();
    bool is_same =
        text->size == cost->text.size && memcmp(buffer_text(text), buffer_text(&cost->text), text->size) == 0;
    if (!is_same) {
        struct mention first;
        size_t at = 0;
        bool names = mention_next((struct slice){buffer_text(text), text->size}, &at, &first);
        buffer_clear(&cost->text);
        buffer_append(&cost->text, buffer_text(text), text->size);
        cost->n_tokens = 0;
        cost->due_ns = names ? now + REST_MS * UINT64_C(1000000) : 0;
        if (cost->job)
            worker_cancel(screen->worker, cost->job);
        cost->job = 0;
    }
    if (!cost->due_ns || now < cost->due_ns)
        return;
    if (screen->running || !screen->is_open) { /* the thread that counts is busy */
        cost->due_ns = screen->is_unopened ? 0 : now + 2 * REST_MS * UINT64_C(1000000);
        return;
    }
    cost->due_ns = 0;
    cost->job = worker_submit(screen->worker, JOB_COST, buffer_text(text), text->size);
}

bool screen_mention_take(struct screen *screen, const struct worker_message *message)
{
    struct cost *cost = &screen->cost;
    bool is_ours = cost->job && message->id == cost->job;
    if (message->kind == MESSAGE_COST) {
        if (is_ours) {
            cost->n_tokens = message->n_done;
            cost->has_missing = message->more.size > 0;
        }
        return true;
    }
    if (!is_ours || (message->kind != MESSAGE_DONE && message->kind != MESSAGE_FAILED))
        return false;
    cost->job = 0;
    return true;
}
