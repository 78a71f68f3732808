/* progress: see progress.h. */
#include "app/progress.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "ui/visible.h"

static const uint64_t second_ns = 1000000000u;

enum progress_style progress_style_for(bool is_terminal, bool quiet, bool plain)
{
    if (!is_terminal || quiet)
        return PROGRESS_NONE;
    return plain ? PROGRESS_APPEND : PROGRESS_LINE;
}

void progress_init(struct progress *progress, int fd, enum progress_style style)
{
    *progress = (struct progress){.fd = fd, .style = style, .delay_ns = second_ns};
    pthread_mutex_init(&progress->lock, NULL);
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&progress->changed, &attributes);
    pthread_condattr_destroy(&attributes);
}

void progress_deinit(struct progress *progress)
{
    progress_end(progress);
    pthread_cond_destroy(&progress->changed);
    pthread_mutex_destroy(&progress->lock);
}

static void write_all(int fd, const char *text, size_t size)
{
    while (size) {
        ssize_t n = write(fd, text, size);
        if (n <= 0)
            return; /* progress that can't be shown harms nobody */
        text += n;
        size -= (size_t)n;
    }
}

/* 1234567 as 1,234,567. */
static void format_count(char *out, size_t size, uint64_t value)
{
    char digits[32];
    int n = snprintf(digits, sizeof digits, "%llu", (unsigned long long)value);
    size_t at = 0;
    for (int i = 0; i < n && at + 2 < size; i++) {
        if (i && (n - i) % 3 == 0)
            out[at++] = ',';
        out[at++] = digits[i];
    }
    out[at] = 0;
}

static void draw(struct progress *progress, uint64_t now)
{
    char line[256], done[40], total[40];
    if (progress->total) {
        format_count(done, sizeof done, progress->done);
        format_count(total, sizeof total, progress->total);
        snprintf(line, sizeof line, "%s %s of %s %s, %.0f %%", progress->what, done, total,
                 progress->unit ? progress->unit : "tokens", 100.0 * (double)progress->done / (double)progress->total);
    } else {
        snprintf(line, sizeof line, "%s, %llu s", progress->what,
                 (unsigned long long)((now - progress->started_ns) / second_ns));
    }
    char text[300];
    int size = progress->style == PROGRESS_LINE ? snprintf(text, sizeof text, "\r%s\x1b[K", line)
                                                : snprintf(text, sizeof text, "fathom: %s\n", line);
    write_all(progress->fd, text, (size_t)size);
    progress->was_drawn = true;
}

static void *draw_until_end(void *context)
{
    struct progress *progress = context;
    uint64_t step = progress->style == PROGRESS_LINE ? second_ns / 10 : second_ns * 10;
    pthread_mutex_lock(&progress->lock);
    uint64_t due = progress->started_ns + progress->delay_ns;
    while (!progress->is_ending) {
        struct timespec until = {(time_t)(due / second_ns), (long)(due % second_ns)};
        pthread_cond_timedwait(&progress->changed, &progress->lock, &until);
        uint64_t now = clock_now_ns();
        if (progress->is_ending || now < due)
            continue;
        draw(progress, now);
        due = now + step;
    }
    pthread_mutex_unlock(&progress->lock);
    return NULL;
}

static void set_what(struct progress *progress, const char *what)
{
    struct buffer shown = {0};
    visible_append(&shown, what, strlen(what), !visible_locale_is_utf8());
    snprintf(progress->what, sizeof progress->what, "%s", buffer_text(&shown));
    if (shown.size >= sizeof progress->what) {
        /* Cut at a border of code points. */
        size_t end = sizeof progress->what - 1;
        while (end && (shown.data[end] & 0xc0) == 0x80)
            end--;
        progress->what[end] = 0;
    }
    buffer_deinit(&shown);
}

static void start(struct progress *progress, const char *what, uint64_t done, uint64_t total)
{
    if (progress->style == PROGRESS_NONE)
        return;
    progress_end(progress);
    set_what(progress, what);
    progress->is_ending = progress->was_drawn = false;
    progress->done = done;
    progress->total = total;
    progress->started_ns = clock_now_ns();
    /* Signals are the main thread's: its system calls are the ones to interrupt. */
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    progress->is_running = pthread_create(&progress->thread, NULL, draw_until_end, progress) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

void progress_begin(struct progress *progress, const char *what)
{
    start(progress, what, 0, 0);
}

void progress_update(void *context, const char *what, uint64_t done, uint64_t total)
{
    struct progress *progress = context;
    if (progress->style == PROGRESS_NONE)
        return;
    if (!progress->is_running) {
        if (done < total)
            start(progress, what, done, total);
        return;
    }
    pthread_mutex_lock(&progress->lock);
    progress->done = done;
    progress->total = total;
    pthread_mutex_unlock(&progress->lock);
    if (done >= total)
        progress_end(progress);
}

void progress_update_bytes(void *context, const char *what, uint64_t done, uint64_t total)
{
    static const uint64_t megabyte = 1000000;
    struct progress *progress = context;
    if (!progress->is_running) /* then nobody else looks at it */
        progress->unit = "MB";
    /* The last, partial megabyte counts as one that isn't done before the end. */
    progress_update(context, what, done / megabyte, done < total ? total / megabyte + 1 : done / megabyte);
}

void progress_end(struct progress *progress)
{
    if (!progress->is_running)
        return;
    pthread_mutex_lock(&progress->lock);
    progress->is_ending = true;
    pthread_cond_signal(&progress->changed);
    pthread_mutex_unlock(&progress->lock);
    pthread_join(progress->thread, NULL);
    progress->is_running = false;
    if (progress->was_drawn && progress->style == PROGRESS_LINE)
        write_all(progress->fd, "\r\x1b[K", 4);
}
