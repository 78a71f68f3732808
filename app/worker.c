/* worker: see worker.h.  Here: the thread, its two queues, and cancelling; worker_jobs.c does the jobs. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "app/worker_private.h"

/* ---- messages: from the worker ---- */

void worker_message_free(struct worker_message *message)
{
    if (message) {
        buffer_deinit(&message->text);
        buffer_deinit(&message->more);
        worker_review_deinit(&message->review);
    }
    free(message);
}

/* The worker's own thread asks: nobody else changes the session. */
static void fill_in(const struct worker *worker, struct worker_message *message)
{
    size_t n_past = 0;
    if (!worker->chat.session)
        return;
    session_tokens(worker->chat.session, &n_past);
    message->n_past = (int32_t)n_past;
    message->n_context = session_n_ctx(worker->chat.session);
}

static bool joins(const struct worker_message *last, const struct worker_message *message)
{
    return last && last->kind == message->kind && last->id == message->id &&
           (message->kind == MESSAGE_TEXT || message->kind == MESSAGE_THOUGHT || message->kind == MESSAGE_READING);
}

void worker_tell(struct worker *worker, const struct worker_message *what, const char *text, size_t size)
{
    struct worker_message *message = calloc(1, sizeof *message);
    if (!message) {
        struct worker_review review = what->review;
        worker_review_deinit(&review);
        return;
    }
    *message = *what;
    message->id = worker->job_id;
    message->text = message->more = (struct buffer){0};
    buffer_append(&message->more, buffer_text(&what->more), what->more.size);
    buffer_append(&message->text, text, size);
    fill_in(worker, message);
    pthread_mutex_lock(&worker->lock);
    struct worker_message *last = worker->last_message;
    if (joins(last, message)) {
        buffer_append(&last->text, text, size);
        last->n_done = message->n_done;
        last->n_total = message->n_total;
        last->n_past = message->n_past;
    } else {
        *(last ? &last->next : &worker->first_message) = message;
        worker->last_message = message;
        message = NULL;
    }
    pthread_mutex_unlock(&worker->lock);
    worker_message_free(message);
    uint64_t one = 1;
    if (write(worker->event, &one, sizeof one) < 0)
        return; /* it is readable already */
}

struct worker_message *worker_next(struct worker *worker)
{
    uint64_t count;
    pthread_mutex_lock(&worker->lock);
    struct worker_message *message = worker->first_message;
    if (message) {
        worker->first_message = message->next;
        message->next = NULL;
        if (!worker->first_message)
            worker->last_message = NULL;
    }
    /* Under the lock, so that a message that comes now isn't slept over. */
    if (!worker->first_message && read(worker->event, &count, sizeof count) < 0)
        count = 0;
    pthread_mutex_unlock(&worker->lock);
    return message;
}

int worker_fd(const struct worker *worker)
{
    return worker->event;
}

/* ---- jobs: to the worker ---- */

static void job_free(struct worker_job *job)
{
    buffer_deinit(&job->text);
    buffer_deinit(&job->path);
    shared_diff_release(job->shared);
    free(job);
}

/* Takes the job. */
static uint64_t submit(struct worker *worker, struct worker_job *job)
{
    if (job->text.failed || job->path.failed) {
        job_free(job);
        return 0;
    }
    pthread_mutex_lock(&worker->lock);
    uint64_t id = job->id = ++worker->last_id;
    *(worker->last_job ? &worker->last_job->next : &worker->first_job) = job;
    worker->last_job = job;
    pthread_cond_signal(&worker->has_job);
    pthread_mutex_unlock(&worker->lock);
    return id;
}

uint64_t worker_submit(struct worker *worker, enum job_kind kind, const char *text, size_t size)
{
    struct worker_job *job = calloc(1, sizeof *job);
    if (!job)
        return 0;
    job->kind = kind;
    buffer_append(&job->text, text, size);
    return submit(worker, job);
}

uint64_t worker_complete(struct worker *worker, const char *path, struct slice text, size_t at)
{
    struct worker_job *job = calloc(1, sizeof *job);
    if (!job)
        return 0;
    job->kind = JOB_COMPLETE;
    job->at = at;
    buffer_append(&job->text, text.data, text.size);
    buffer_append_text(&job->path, path);
    return submit(worker, job);
}

uint64_t worker_review(struct worker *worker, struct shared_diff *shared)
{
    struct worker_job *job = calloc(1, sizeof *job);
    if (!job)
        return 0;
    job->kind = JOB_REVIEW;
    job->shared = shared_diff_hold(shared);
    return submit(worker, job);
}

void worker_index_changed(struct worker *worker)
{
    atomic_fetch_add(&worker->n_index_changes, 1);
}

void worker_cancel(struct worker *worker, uint64_t id)
{
    pthread_mutex_lock(&worker->lock);
    if (worker->running == id)
        atomic_store(&worker->cancel, true);
    for (struct worker_job *job = worker->first_job; job; job = job->next)
        job->is_cancelled = job->is_cancelled || job->id == id;
    pthread_mutex_unlock(&worker->lock);
}

/* The next job, or NULL when the worker is to end. */
static struct worker_job *wait_for_job(struct worker *worker)
{
    pthread_mutex_lock(&worker->lock);
    worker->running = 0;
    while (!worker->first_job && !worker->is_ending)
        pthread_cond_wait(&worker->has_job, &worker->lock);
    struct worker_job *job = worker->is_ending ? NULL : worker->first_job;
    if (job) {
        worker->first_job = job->next;
        if (!worker->first_job)
            worker->last_job = NULL;
        worker->running = job->id;
        atomic_store(&worker->cancel, job->is_cancelled);
    }
    pthread_mutex_unlock(&worker->lock);
    return job;
}

/* ---- the thread ---- */

static void *run(void *context)
{
    struct worker *worker = context;
    worker_open_chat(worker);
    for (struct worker_job *job; (job = wait_for_job(worker));) {
        worker->job_id = job->id;
        worker_do_job(worker, job);
        worker->job_id = 0;
        job_free(job);
    }
    worker_close_completer(worker);
    project_close(&worker->project);
    if (worker->is_open)
        chat_close(&worker->chat);
    return NULL;
}

/* All signals are the screen's business: terminal.c. */
static int start(struct worker *worker)
{
    sigset_t all, before;
    sigfillset(&all);
    static const int own[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT};
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        sigdelset(&all, own[i]);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    int failure = pthread_create(&worker->thread, NULL, run, worker);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return failure;
}

static void worker_free(struct worker *worker)
{
    for (struct worker_job *job = worker->first_job, *next; job; job = next) {
        next = job->next;
        job_free(job);
    }
    for (struct worker_message *message = worker->first_message, *next; message; message = next) {
        next = message->next;
        worker_message_free(message);
    }
    if (worker->event >= 0)
        close(worker->event);
    pthread_mutex_destroy(&worker->lock);
    pthread_cond_destroy(&worker->has_job);
    progress_deinit(&worker->progress);
    output_deinit(&worker->err);
    buffer_deinit(&worker->model);
    free(worker);
}

enum status worker_open(const struct command_context *context, struct worker **out, struct error *error)
{
    struct worker *worker = calloc(1, sizeof *worker);
    if (!worker)
        return error_set(error, STATUS_MEMORY, "out of memory");
    pthread_mutex_init(&worker->lock, NULL);
    pthread_cond_init(&worker->has_job, NULL);
    progress_init(&worker->progress, -1, PROGRESS_NONE);
    worker->err = (struct output){.fd = -1};
    worker->settings = *context->settings;
    worker->context = *context;
    worker->context.settings = &worker->settings;
    worker->context.out = worker->context.err = &worker->err;
    worker->context.cancel = &worker->cancel;
    worker->context.progress = &worker->progress;
    worker_set_progress(worker);
    worker->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    int failure = worker->event < 0 ? errno : start(worker);
    if (failure) {
        worker_free(worker);
        return error_set(error, STATUS_IO, "the engine's thread: %s", strerror(failure));
    }
    *out = worker;
    return STATUS_OK;
}

void worker_close(struct worker *worker)
{
    if (!worker)
        return;
    pthread_mutex_lock(&worker->lock);
    worker->is_ending = true;
    atomic_store(&worker->cancel, true);
    pthread_cond_signal(&worker->has_job);
    pthread_mutex_unlock(&worker->lock);
    pthread_join(worker->thread, NULL);
    worker_free(worker);
}
