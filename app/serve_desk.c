/* serve_desk: see serve_desk.h. */
#include "app/serve_desk.h"

#include <stdlib.h>

#include "app/json_read.h"

struct serve_desk {
    struct serve *serve;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t more;
    struct serve_job *first, *last;
    bool is_stopping;
};

static void handle(struct serve *serve, struct serve_job *job)
{
    struct error error = {0};
    cJSON *body = NULL;
    bool for_engine = false;
    if (serve_job_is_gone(job)) {
        serve_job_fail(job, 499, "cancelled", "the client went away");
        return;
    }
    enum status status = json_read(buffer_text(&job->body), job->body.size, &body, &error);
    if (status == STATUS_OK && !cJSON_IsObject(body))
        status = error_set(&error, STATUS_ARGUMENT, "the request must be a JSON object");
    if (status == STATUS_OK)
        status = job->route->read(serve, body, job, &for_engine, &error);
    cJSON_Delete(body);
    buffer_deinit(&job->body);
    if (status != STATUS_OK)
        serve_job_fail_with(job, &error);
    else if (for_engine)
        serve_engine_submit(serve->slots, job);
}

static struct serve_job *take(struct serve_desk *desk)
{
    struct serve_job *job = desk->first;
    desk->first = job->next;
    desk->last = desk->first ? desk->last : NULL;
    return job;
}

static void *run(void *context)
{
    struct serve_desk *desk = context;
    pthread_mutex_lock(&desk->lock);
    while (!desk->is_stopping) {
        if (!desk->first) {
            pthread_cond_wait(&desk->more, &desk->lock);
            continue;
        }
        struct serve_job *job = take(desk);
        pthread_mutex_unlock(&desk->lock);
        handle(desk->serve, job);
        serve_job_release(job);
        pthread_mutex_lock(&desk->lock);
    }
    pthread_mutex_unlock(&desk->lock);
    return NULL;
}

enum status serve_desk_start(struct serve *serve, struct serve_desk **out, struct error *error)
{
    struct serve_desk *desk = calloc(1, sizeof *desk);
    if (!desk)
        return error_set(error, STATUS_MEMORY, "out of memory");
    desk->serve = serve;
    pthread_mutex_init(&desk->lock, NULL);
    pthread_cond_init(&desk->more, NULL);
    if (pthread_create(&desk->thread, NULL, run, desk) != 0) {
        pthread_mutex_destroy(&desk->lock);
        pthread_cond_destroy(&desk->more);
        free(desk);
        return error_set(error, STATUS_MEMORY, "no thread could be started");
    }
    *out = desk;
    return STATUS_OK;
}

static void refuse(struct serve_job *job)
{
    serve_job_fail(job, 503, "unavailable_error", "the server is stopping");
}

void serve_desk_stop(struct serve_desk *desk)
{
    if (!desk)
        return;
    pthread_mutex_lock(&desk->lock);
    desk->is_stopping = true;
    pthread_cond_signal(&desk->more);
    pthread_mutex_unlock(&desk->lock);
    pthread_join(desk->thread, NULL);
    pthread_mutex_lock(&desk->lock);
    struct serve_job *job = desk->first, *next;
    desk->first = desk->last = NULL;
    pthread_mutex_unlock(&desk->lock);
    for (; job; job = next) {
        next = job->next;
        refuse(job);
        serve_job_release(job);
    }
}

void serve_desk_free(struct serve_desk *desk)
{
    if (!desk)
        return;
    pthread_mutex_destroy(&desk->lock);
    pthread_cond_destroy(&desk->more);
    free(desk);
}

void serve_desk_submit(struct serve_desk *desk, struct serve_job *job)
{
    pthread_mutex_lock(&desk->lock);
    if (desk->is_stopping) {
        pthread_mutex_unlock(&desk->lock);
        refuse(job);
        return;
    }
    serve_job_hold(job);
    job->next = NULL;
    if (desk->last)
        desk->last->next = job;
    else
        desk->first = job;
    desk->last = job;
    pthread_cond_signal(&desk->more);
    pthread_mutex_unlock(&desk->lock);
}
