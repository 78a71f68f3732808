/* serve_job: see serve_job.h. */
#include "app/serve_job.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "app/serve_infill.h"
#include "app/serve_tools.h"

/* Likelihoods of many tokens are large; a reader who leaves more than this lying there is given up. */
enum { PENDING_MAX = 8 << 20 };

static void make_id(struct serve_job *job)
{
    unsigned char bytes[12];
    if (getrandom(bytes, sizeof bytes, GRND_NONBLOCK) != (ssize_t)sizeof bytes) {
        uint64_t now = clock_now_ns();
        memset(bytes, 0, sizeof bytes);
        memcpy(bytes, &now, sizeof now);
    }
    for (size_t i = 0; i < sizeof bytes; i++)
        snprintf(job->id + 2 * i, 3, "%02x", bytes[i]);
}

enum status serve_job_new(const struct serve_route *route, struct serve_job **out, struct error *error)
{
    struct serve_job *job = calloc(1, sizeof *job);
    if (!job || pthread_mutex_init(&job->lock, NULL) != 0) {
        free(job);
        return error_set(error, STATUS_MEMORY, "out of memory");
    }
    atomic_init(&job->n_holders, 1);
    job->route = route;
    job->code = 200;
    job->fd = -1;
    job->created = (int64_t)time(NULL);
    job->arrived = clock_now_ns();
    job->task.n_logprobs = -1;
    make_id(job);
    *out = job;
    return STATUS_OK;
}

enum status serve_job_open(struct serve_job *job, size_t n_prompts, size_t n_each, struct error *error)
{
    struct serve_task *task = &job->task;
    size_t n = n_prompts * n_each;
    struct serve_choice *choices = calloc(n, sizeof *choices);
    task->prompts = arena_alloc(&task->texts, n_prompts * sizeof *task->prompts);
    if (!choices || !task->prompts) {
        free(choices);
        return error_set(error, STATUS_MEMORY, "out of memory");
    }
    memset(task->prompts, 0, n_prompts * sizeof *task->prompts);
    task->n_prompts = n_prompts;
    for (size_t i = 0; i < n; i++)
        choices[i] =
            (struct serve_choice){.job = job, .index = i, .prompt = &task->prompts[i / n_each], .n_before = i % n_each};
    pthread_mutex_lock(&job->lock);
    job->choices = choices;
    job->n_choices = job->n_open = n;
    pthread_mutex_unlock(&job->lock);
    return STATUS_OK;
}

void serve_job_hold(struct serve_job *job)
{
    atomic_fetch_add(&job->n_holders, 1);
}

static void pending_deinit(struct serve_pending *pending)
{
    buffer_deinit(&pending->text);
    buffer_deinit(&pending->thought);
    buffer_deinit(&pending->logprobs);
    buffer_deinit(&pending->calls);
}

void serve_job_release(struct serve_job *job)
{
    if (!job || atomic_fetch_sub(&job->n_holders, 1) != 1)
        return;
    pthread_mutex_destroy(&job->lock);
    for (size_t i = 0; i < job->task.n_prompts; i++)
        tokens_deinit(&job->task.prompts[i]);
    for (size_t i = 0; i < job->n_choices; i++)
        pending_deinit(&job->choices[i].pending);
    free(job->choices);
    arena_deinit(&job->task.texts);
    serve_tools_free(job->task.tools);
    grammar_free(job->task.grammar);
    serve_infill_free(job->task.infill);
    buffer_deinit(&job->body);
    buffer_deinit(&job->reply);
    free(job);
}

/* ---- who answers ---- */

static size_t pending_size(const struct serve_pending *pending)
{
    return pending->text.size + pending->thought.size + pending->logprobs.size + pending->calls.size;
}

static size_t all_pending(const struct serve_job *job)
{
    size_t size = 0;
    for (size_t i = 0; i < job->n_choices; i++)
        size += pending_size(&job->choices[i].pending);
    return size;
}

/* Answers that ended, which who waits doesn't know yet. */
static bool has_untold(const struct serve_job *job)
{
    for (size_t i = 0; i < job->n_choices; i++)
        if (job->choices[i].is_ended && !job->choices[i].is_told)
            return true;
    return false;
}

void serve_choice_text(struct serve_choice *choice, enum text_part part, const char *text, size_t size)
{
    pthread_mutex_lock(&choice->job->lock);
    buffer_append(part == TEXT_THOUGHT ? &choice->pending.thought : &choice->pending.text, text, size);
    pthread_mutex_unlock(&choice->job->lock);
}

static void append_item(struct buffer *list, const char *json, size_t size)
{
    if (list->size)
        buffer_append_byte(list, ',');
    buffer_append(list, json, size);
}

void serve_choice_logprob(struct serve_choice *choice, const char *json, size_t size)
{
    pthread_mutex_lock(&choice->job->lock);
    append_item(&choice->pending.logprobs, json, size);
    pthread_mutex_unlock(&choice->job->lock);
}

void serve_choice_call(struct serve_choice *choice, const char *json, size_t size)
{
    pthread_mutex_lock(&choice->job->lock);
    append_item(&choice->pending.calls, json, size);
    pthread_mutex_unlock(&choice->job->lock);
}

/* Unlocks, and then wakes whoever rested. */
static void unlock_and_wake(struct serve_job *job)
{
    void (*wake)(void *) = job->wake;
    void *context = job->wake_context;
    job->wake = NULL;
    job->fd = -1;
    pthread_mutex_unlock(&job->lock);
    if (wake)
        wake(context);
}

void serve_job_pass(struct serve_job *job)
{
    pthread_mutex_lock(&job->lock);
    size_t n_pending = job->is_streamed ? all_pending(job) : 0;
    if (n_pending > PENDING_MAX)
        atomic_store(&job->is_cancelled, true);
    if (n_pending == 0) {
        pthread_mutex_unlock(&job->lock);
        return;
    }
    unlock_and_wake(job);
}

bool serve_choice_end(struct serve_choice *choice, enum serve_finish finish, const struct serve_counts *counts)
{
    struct serve_job *job = choice->job;
    pthread_mutex_lock(&job->lock);
    choice->finish = finish;
    choice->counts = *counts;
    choice->is_ended = true;
    bool is_last = --job->n_open == 0 && !job->is_ended;
    job->is_ended = job->is_ended || is_last;
    if (is_last || job->is_streamed)
        unlock_and_wake(job);
    else
        pthread_mutex_unlock(&job->lock);
    return is_last;
}

void serve_job_reply(struct serve_job *job, struct buffer *reply)
{
    if (reply->failed) {
        serve_job_fail(job, 503, "server_error", "out of memory");
        return;
    }
    pthread_mutex_lock(&job->lock);
    job->reply = *reply;
    *reply = (struct buffer){0};
    job->is_ended = true;
    unlock_and_wake(job);
}

bool serve_job_fail(struct serve_job *job, int code, const char *type, const char *message)
{
    pthread_mutex_lock(&job->lock);
    bool is_first = !job->is_ended;
    if (is_first) {
        job->code = code;
        job->type = type;
        snprintf(job->message, sizeof job->message, "%s", message);
    }
    job->is_ended = true;
    if (job->n_choices > 1) /* the others' work is of no use */
        atomic_store(&job->is_cancelled, true);
    unlock_and_wake(job);
    return is_first;
}

bool serve_job_fail_with(struct serve_job *job, const struct error *error)
{
    switch (error->status) {
    case STATUS_ARGUMENT:
    case STATUS_FORMAT:
    case STATUS_RANGE:
        return serve_job_fail(job, 400, "invalid_request_error", error->text);
    case STATUS_UNSUPPORTED:
    case STATUS_NOT_FOUND:
        return serve_job_fail(job, 501, "not_supported_error", error->text);
    case STATUS_MEMORY:
        return serve_job_fail(job, 503, "unavailable_error", error->text);
    default:
        return serve_job_fail(job, 500, "server_error", error->text);
    }
}

bool serve_job_is_gone(struct serve_job *job)
{
    if (atomic_load(&job->is_cancelled))
        return true;
    pthread_mutex_lock(&job->lock);
    struct pollfd end = {job->fd, POLLRDHUP, 0}; /* poll ignores -1 */
    bool is_gone = poll(&end, 1, 0) > 0 && (end.revents & (POLLRDHUP | POLLHUP | POLLERR));
    pthread_mutex_unlock(&job->lock);
    if (is_gone)
        atomic_store(&job->is_cancelled, true);
    return is_gone;
}

/* ---- who waits ---- */

enum serve_wait serve_job_wait(struct serve_job *job, bool only_end, int fd, void (*before_rest)(void *),
                               void (*wake)(void *), void *context)
{
    enum serve_wait result = SERVE_RESTING;
    pthread_mutex_lock(&job->lock);
    /* While the request is still being read, nothing is pending: is_streamed is not looked at then. */
    if (!only_end && job->code == 200 && (all_pending(job) || has_untold(job)) && job->is_streamed)
        result = SERVE_HAS;
    else if (job->is_ended)
        result = SERVE_ENDED;
    if (result == SERVE_RESTING) {
        before_rest(context);
        job->wake = wake;
        job->wake_context = context;
        job->fd = fd;
    }
    pthread_mutex_unlock(&job->lock);
    return result;
}

void serve_job_abandon(struct serve_job *job)
{
    pthread_mutex_lock(&job->lock);
    job->wake = NULL;
    job->fd = -1;
    atomic_store(&job->is_cancelled, true);
    pthread_mutex_unlock(&job->lock);
}
