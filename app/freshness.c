/* freshness: see freshness.h. */
#include "app/freshness.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "app/project.h"
#include "repo/watch.h"

enum {
    SETTLE_MS = 30,       /* between an event and the look at what changed: a save is several */
    LOOK_MS = 15000,      /* for trust, while all folders are watched */
    POLL_LEAST_MS = 2000, /* between walks where they aren't */
    POLL_SHARE = 20,      /* and at most this part of the time goes into walks */
    NEWS_MS = 100,        /* between reports of how far a refresh is */
};

struct freshness {
    struct freshness_options options;
    struct buffer root, cache_folder;
    atomic_bool is_stopping;
    int news, stop; /* eventfds */
    pthread_t thread;

    /* The thread's alone. */
    struct repo *repo;
    struct index *index;
    struct watch *watch;   /* NULL: none */
    struct buffer ignore;  /* in force */
    uint64_t told_ns;      /* when news were last given */
    uint64_t last_walk_ns; /* how long it took */

    pthread_mutex_t lock; /* what follows */
    struct freshness_state state;
};

/* ---- news ---- */

static void tell(struct freshness *freshness)
{
    uint64_t one = 1;
    freshness->told_ns = clock_now_ns();
    ssize_t n = write(freshness->news, &one, sizeof one);
    (void)n; /* it is readable already */
}

static void take_progress(void *context, const char *what, uint64_t done, uint64_t total)
{
    struct freshness *freshness = context;
    if (clock_now_ns() - freshness->told_ns < NEWS_MS * UINT64_C(1000000))
        return;
    pthread_mutex_lock(&freshness->lock);
    snprintf(freshness->state.what, sizeof freshness->state.what, "%s", what);
    freshness->state.done = done;
    freshness->state.total = total;
    pthread_mutex_unlock(&freshness->lock);
    tell(freshness);
}

static void begin(struct freshness *freshness)
{
    pthread_mutex_lock(&freshness->lock);
    freshness->state.is_refreshing = true;
    freshness->state.done = freshness->state.total = 0;
    pthread_mutex_unlock(&freshness->lock);
}

static void end(struct freshness *freshness, enum status status, const struct index_report *report, bool is_whole,
                const struct error *error)
{
    struct freshness_state *state = &freshness->state;
    bool is_whole_watch = false;
    if (freshness->watch)
        watch_count(freshness->watch, &is_whole_watch);
    pthread_mutex_lock(&freshness->lock);
    bool was_failed = state->error.status != STATUS_OK, was_watching = state->is_watching, was_whole = state->has_whole;
    state->is_refreshing = false;
    state->error = (struct error){0};
    if (status != STATUS_OK)
        state->error = *error;
    if (status == STATUS_OK && is_whole) {
        state->whole = *report;
        state->has_whole = true;
    }
    if (status == STATUS_OK && report->n_changed) {
        state->n_refreshes++;
        state->n_changed += report->n_changed;
        state->refresh_ns = report->total_ns;
    }
    state->is_watching = is_whole_watch;
    uint64_t poll_ms = freshness->last_walk_ns / 1000000 * POLL_SHARE;
    state->poll_ms = poll_ms < POLL_LEAST_MS ? POLL_LEAST_MS : poll_ms;
    bool is_news = status != STATUS_OK || was_failed || report->n_changed || was_watching != is_whole_watch ||
                   was_whole != state->has_whole;
    pthread_mutex_unlock(&freshness->lock);
    if (is_news)
        tell(freshness);
}

/* ---- refreshing ---- */

static void refresh(struct freshness *freshness, const char *const *paths, size_t n)
{
    struct index_report report = {0};
    struct error error = {0};
    struct index_options options = {.languages = freshness->options.languages,
                                    .n_threads = freshness->options.n_threads,
                                    .ignore = freshness->ignore.size ? freshness->ignore.data : NULL,
                                    .large = (uint64_t)freshness->options.settings->max_file << 10,
                                    .cancel = &freshness->is_stopping,
                                    .progress = take_progress,
                                    .context = freshness};
    begin(freshness);
    enum status status =
        paths ? index_refresh_paths(freshness->index, freshness->repo, paths, n, &options, &report, &error)
              : index_refresh(freshness->index, freshness->repo, &options, &report, &error);
    if (!paths)
        freshness->last_walk_ns = report.total_ns;
    end(freshness, status, &report, !paths, &error);
}

/* Reads what isn't to be indexed; whether it is another than before. */
static bool read_ignore(struct freshness *freshness)
{
    struct buffer ignore = {0};
    bool is_untrusted = false, is_other = false;
    if (project_read_ignore(freshness->options.settings, freshness->repo, &ignore, &is_untrusted, NULL) == STATUS_OK) {
        is_other = ignore.size != freshness->ignore.size ||
                   memcmp(buffer_text(&ignore), buffer_text(&freshness->ignore), ignore.size) != 0;
        struct buffer swap = freshness->ignore;
        freshness->ignore = ignore;
        ignore = swap;
        pthread_mutex_lock(&freshness->lock);
        freshness->state.is_untrusted = is_untrusted;
        pthread_mutex_unlock(&freshness->lock);
    }
    buffer_deinit(&ignore);
    return is_other;
}

/* The watch is there before the walk looks: nothing that comes in between is missed. */
static void look_at_all(struct freshness *freshness)
{
    bool is_other = read_ignore(freshness);
    if (is_other && freshness->watch) {
        watch_close(freshness->watch);
        freshness->watch = NULL;
    }
    if (!freshness->watch) {
        struct repo_walk_options options = {.large = (uint64_t)freshness->options.settings->max_file << 10,
                                            .ignore = freshness->ignore.size ? freshness->ignore.data : NULL,
                                            .cancel = &freshness->is_stopping};
        if (watch_open(freshness->repo, &options, &freshness->watch, NULL) != STATUS_OK)
            freshness->watch = NULL;
    }
    refresh(freshness, NULL, 0);
}

static void take_changes(struct freshness *freshness)
{
    struct watch_changes changes;
    if (watch_take(freshness->watch, &changes, NULL) != STATUS_OK) {
        watch_close(freshness->watch);
        freshness->watch = NULL;
        look_at_all(freshness);
        return;
    }
    bool is_ignore = false;
    for (size_t i = 0; i < changes.n; i++)
        is_ignore = is_ignore || strcmp(changes.paths[i], ".fathomignore") == 0;
    if (changes.is_partial || changes.git_changed || is_ignore)
        look_at_all(freshness);
    else if (changes.n)
        refresh(freshness, changes.paths, changes.n);
}

/* Waits for the watch, the end, or a time; whether the watch has something. */
static bool wait_for_change(struct freshness *freshness, int timeout_ms)
{
    struct pollfd fds[2] = {{.fd = freshness->stop, .events = POLLIN},
                            {.fd = freshness->watch ? watch_fd(freshness->watch) : -1, .events = POLLIN}};
    return poll(fds, 2, timeout_ms) > 0 && fds[1].revents != 0;
}

static bool is_stopping(const struct freshness *freshness)
{
    return atomic_load(&freshness->is_stopping);
}

static enum status open_all(struct freshness *freshness, struct error *error)
{
    enum status status = STATUS_OK;
    if (!freshness->repo)
        status = repo_open(freshness->root.data, &freshness->repo, error);
    if (status == STATUS_OK && !freshness->index)
        status = index_open(freshness->cache_folder.data, freshness->root.data, &freshness->index, error);
    return status;
}

static void *run(void *context)
{
    struct freshness *freshness = context;
    struct error error = {0};
    enum status status;
    while ((status = open_all(freshness, &error)) != STATUS_OK && !is_stopping(freshness)) {
        end(freshness, status, &(struct index_report){0}, false, &error);
        wait_for_change(freshness, POLL_LEAST_MS);
    }
    if (status == STATUS_OK)
        look_at_all(freshness);
    while (!is_stopping(freshness)) {
        bool is_whole = false;
        if (freshness->watch)
            watch_count(freshness->watch, &is_whole);
        pthread_mutex_lock(&freshness->lock);
        is_whole = is_whole && freshness->state.error.status == STATUS_OK;
        uint64_t poll_ms = is_whole ? LOOK_MS : freshness->state.poll_ms;
        pthread_mutex_unlock(&freshness->lock);
        if (wait_for_change(freshness, poll_ms < INT32_MAX ? (int)poll_ms : INT32_MAX)) {
            /* Events stay readable until they are taken: so what is waited for is the end alone. */
            struct pollfd stop = {.fd = freshness->stop, .events = POLLIN};
            poll(&stop, 1, SETTLE_MS);
            if (!is_stopping(freshness))
                take_changes(freshness);
        } else if (!is_stopping(freshness) && (!is_whole || read_ignore(freshness))) {
            if (is_whole && freshness->watch) { /* it was told the old list */
                watch_close(freshness->watch);
                freshness->watch = NULL;
            }
            look_at_all(freshness);
        }
    }
    if (freshness->watch)
        watch_close(freshness->watch);
    index_close(freshness->index);
    if (freshness->repo)
        repo_free(freshness->repo);
    return NULL;
}

/* ---- for the others ---- */

static void free_all(struct freshness *freshness)
{
    if (freshness->news >= 0)
        close(freshness->news);
    if (freshness->stop >= 0)
        close(freshness->stop);
    buffer_deinit(&freshness->root);
    buffer_deinit(&freshness->cache_folder);
    buffer_deinit(&freshness->ignore);
    pthread_mutex_destroy(&freshness->lock);
    free(freshness);
}

enum status freshness_start(const struct freshness_options *options, struct freshness **out, struct error *error)
{
    sigset_t all, old;
    struct freshness *freshness = calloc(1, sizeof *freshness);
    *out = NULL;
    if (!freshness)
        return error_set(error, STATUS_MEMORY, "out of memory");
    pthread_mutex_init(&freshness->lock, NULL);
    freshness->options = *options;
    buffer_append_text(&freshness->root, options->root);
    buffer_append_text(&freshness->cache_folder, options->cache_folder);
    freshness->news = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    freshness->stop = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    enum status status = freshness->root.failed || freshness->cache_folder.failed
                             ? error_set(error, STATUS_MEMORY, "out of memory")
                             : STATUS_OK;
    if (status == STATUS_OK && (freshness->news < 0 || freshness->stop < 0))
        status = error_set(error, STATUS_IO, "eventfd: %s", strerror(errno));
    /* Signals are for the thread that started it. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int failed = status == STATUS_OK ? pthread_create(&freshness->thread, NULL, run, freshness) : 0;
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (failed)
        status = error_set(error, STATUS_IO, "a thread: %s", strerror(failed));
    if (status != STATUS_OK) {
        free_all(freshness);
        return status;
    }
    *out = freshness;
    return STATUS_OK;
}

void freshness_stop(struct freshness *freshness)
{
    uint64_t one = 1;
    if (!freshness)
        return;
    atomic_store(&freshness->is_stopping, true);
    ssize_t n = write(freshness->stop, &one, sizeof one);
    (void)n;
    pthread_join(freshness->thread, NULL);
    free_all(freshness);
}

int freshness_fd(const struct freshness *freshness)
{
    return freshness->news;
}

void freshness_take(struct freshness *freshness, struct freshness_state *out)
{
    uint64_t count;
    ssize_t n = read(freshness->news, &count, sizeof count);
    (void)n;
    pthread_mutex_lock(&freshness->lock);
    *out = freshness->state;
    freshness->state.n_changed = 0;
    pthread_mutex_unlock(&freshness->lock);
}
