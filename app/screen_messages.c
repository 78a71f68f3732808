/* screen_messages: what the worker says, taken into the transcript and the meters. */
#include <stdio.h>
#include <string.h>

#include "app/screen.h"

static void add_line(struct screen *screen, enum entry_kind kind, const struct buffer *text)
{
    transcript_add(&screen->transcript, kind, 0, buffer_text(text), text->size);
}

/* "reading 512 of 2,048 tokens, 3 s left" */
static void show_reading(struct screen *screen, const struct worker_message *message)
{
    struct entry *entry = transcript_find(&screen->transcript, message->id);
    uint64_t now = clock_now_ns();
    if (!screen->read_begin_ns || message->n_done < screen->n_read)
        screen->read_begin_ns = now;
    screen->n_read = message->n_done;
    screen->n_to_read = message->n_total;
    if (!entry || message->n_total == 0)
        return;
    double spent = (double)(now - screen->read_begin_ns) / 1e9;
    buffer_clear(&entry->waiting);
    buffer_printf(&entry->waiting, "reading %llu of %llu tokens", (unsigned long long)message->n_done,
                  (unsigned long long)message->n_total);
    if (spent > 0.5 && message->n_done)
        buffer_printf(&entry->waiting, ", %.0f s left; Esc stops",
                      spent * (double)(message->n_total - message->n_done) / (double)message->n_done + 0.5);
    transcript_touch(&screen->transcript, entry);
}

/* Tokens a second so far; reckoned twice a second, so that the number can be read. */
static void reckon_rate(struct screen *screen, const struct worker_message *message)
{
    enum { EVERY_NS = 500000000 };
    uint64_t now = clock_now_ns();
    if (!screen->first_text_ns) {
        screen->first_text_ns = screen->rate_ns = now;
        screen->n_past_at_first = message->n_past;
        screen->n_past = message->n_past;
        screen->rate = 0;
    }
    if (now - screen->rate_ns < EVERY_NS)
        return;
    screen->rate_ns = now;
    screen->n_past = message->n_past;
    double seconds = (double)(now - screen->first_text_ns) / 1e9;
    if (message->n_past > screen->n_past_at_first)
        screen->rate = (double)(message->n_past - screen->n_past_at_first) / seconds;
}

static void add_text(struct screen *screen, const struct worker_message *message)
{
    struct entry *entry = transcript_find(&screen->transcript, message->id);
    bool is_thought = message->kind == MESSAGE_THOUGHT;
    if (!entry)
        return;
    uint64_t now = clock_now_ns();
    if (is_thought) {
        entry->thought_begin_ns = entry->thought_begin_ns ? entry->thought_begin_ns : now;
        entry->thought_end_ns = now;
    }
    buffer_append(is_thought ? &entry->thought : &entry->text, buffer_text(&message->text), message->text.size);
    buffer_clear(&entry->waiting);
    transcript_touch(&screen->transcript, entry);
    screen->running = message->id;
    reckon_rate(screen, message);
}

/* A part of a loaded conversation: before what was asked since. */
static void add_loaded(struct screen *screen, const struct worker_message *message)
{
    struct transcript *transcript = &screen->transcript;
    size_t index = transcript_pending(transcript, message->id);
    struct entry *last = index ? &transcript->entries[index - 1] : NULL;
    const char *text = buffer_text(&message->text);
    if (message->kind == MESSAGE_ANSWER_THOUGHT) {
        struct entry *entry = transcript_insert(transcript, index, ENTRY_ANSWER, 0, "", 0);
        if (entry)
            buffer_append(&entry->thought, text, message->text.size);
    } else if (message->kind == MESSAGE_ANSWER && last && last->kind == ENTRY_ANSWER && last->thought.size &&
               !last->text.size) {
        buffer_append(&last->text, text, message->text.size);
        transcript_touch(transcript, last);
    } else {
        transcript_insert(transcript, index, message->kind == MESSAGE_ANSWER ? ENTRY_ANSWER : ENTRY_QUESTION, 0, text,
                          message->text.size);
    }
}

static void end_job(struct screen *screen, const struct worker_message *message)
{
    struct entry *entry = transcript_find(&screen->transcript, message->id);
    bool has_failed = message->kind == MESSAGE_FAILED;
    if (entry) {
        const char *end = has_failed                               ? buffer_text(&message->text)
                          : message->result.stop == TURN_CANCELLED ? "stopped"
                          : message->result.stop == TURN_LIMIT     ? "the limit of --max-tokens"
                          : message->result.stop == TURN_CONTEXT   ? "the context is full"
                                                                   : NULL;
        size_t index = (size_t)(entry - screen->transcript.entries);
        entry->job = 0;
        buffer_clear(&entry->waiting);
        /* Where the result is, or would have been. */
        if (end && !entry->text.size)
            buffer_printf(&entry->waiting, "%s", end);
        else if (end)
            transcript_insert(&screen->transcript, index + 1, has_failed ? ENTRY_ERROR : ENTRY_NOTE, 0, end,
                              strlen(end));
        transcript_touch(&screen->transcript, &screen->transcript.entries[index]);
        screen->has_result = !has_failed;
        screen->result = message->result;
        screen->n_past = message->n_past;
        *screen->note = 0;
    } else if (has_failed) {
        add_line(screen, ENTRY_ERROR, &message->text);
    }
    if (message->id != screen->running)
        return;
    /* Whichever answer is waited for now. */
    screen->running = 0;
    for (size_t i = 0; i < screen->transcript.n && !screen->running; i++)
        screen->running = screen->transcript.entries[i].job;
    screen->first_text_ns = screen->read_begin_ns = screen->n_read = screen->n_to_read = 0;
}

static void take_opened(struct screen *screen, const struct worker_message *message)
{
    bool is_there = message->kind == MESSAGE_OPENED;
    screen->is_open = is_there;
    screen->is_unopened = !is_there;
    screen->n_past = message->n_past;
    screen->n_context = message->n_context;
    if (!is_there) {
        add_line(screen, ENTRY_ERROR, &message->text);
        return;
    }
    snprintf(screen->model, sizeof screen->model, "%.120s", buffer_text(&message->text));
    memcpy(screen->transcript.model, screen->model, sizeof screen->model);
    transcript_touch(&screen->transcript, NULL);
}

static void take(struct screen *screen, const struct worker_message *message)
{
    if (screen_ghost_take(screen, message) || screen_mention_take(screen, message))
        return;
    switch (message->kind) {
    case MESSAGE_COST:
    case MESSAGE_WAYS:
    case MESSAGE_REVIEW:
        break;
    case MESSAGE_OPENED:
    case MESSAGE_UNOPENED:
        take_opened(screen, message);
        break;
    case MESSAGE_READING:
        show_reading(screen, message);
        break;
    case MESSAGE_TEXT:
    case MESSAGE_THOUGHT:
        add_text(screen, message);
        break;
    case MESSAGE_NOTICE:
    case MESSAGE_SAID:
        add_line(screen, ENTRY_NOTE, &message->text);
        break;
    case MESSAGE_QUESTION:
    case MESSAGE_ANSWER:
    case MESSAGE_ANSWER_THOUGHT:
        add_loaded(screen, message);
        break;
    case MESSAGE_CLEARED:
        transcript_clear(&screen->transcript, transcript_pending(&screen->transcript, message->id));
        screen->has_result = false;
        screen->n_past = 0;
        break;
    case MESSAGE_DONE:
    case MESSAGE_FAILED:
        end_job(screen, message);
        break;
    }
}

void screen_take_messages(struct screen *screen)
{
    for (struct worker_message *message; (message = worker_next(screen->worker));) {
        if (!screen_take_review(screen, message))
            take(screen, message);
        worker_message_free(message);
    }
}
