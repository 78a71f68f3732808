/* worker_private: what worker.c (thread and queues) and worker_jobs.c (what a job does) share. */
#ifndef FATHOM_APP_WORKER_PRIVATE_H
#define FATHOM_APP_WORKER_PRIVATE_H

#include <pthread.h>

#include "app/project.h"
#include "app/worker.h"

struct worker_job {
    struct worker_job *next;
    uint64_t id;
    enum job_kind kind;
    struct buffer text, path;
    size_t at;                  /* of JOB_COMPLETE */
    struct shared_diff *shared; /* of JOB_REVIEW */
    bool is_cancelled;          /* before it began */
};

struct worker {
    pthread_t thread;
    int event; /* eventfd */
    atomic_bool cancel;
    atomic_uint n_index_changes;

    pthread_mutex_t lock; /* what follows, up to the empty line */
    pthread_cond_t has_job;
    struct worker_job *first_job, *last_job;
    struct worker_message *first_message, *last_message;
    uint64_t last_id, running; /* running: id of the job that is being done, or 0 */
    bool is_ending;

    /* The worker's thread alone. */
    struct command_context context; /* the caller's, but what is printed and cancelled is ours */
    struct settings settings;       /* shares every text with the caller's */
    struct output err;              /* notices gather here */
    struct progress progress;       /* shows nothing */
    struct chat chat;
    struct buffer model; /* named by JOB_MODEL; settings.model points here then */
    bool is_open;
    struct error unopened; /* why not */
    uint64_t job_id;
    struct worker_completer *completer; /* worker_complete.c; NULL: none was needed yet */
    struct project project;             /* worker_project opens it */
    bool was_project_tried;
};

/* Adds a message about the present job; text is copied, a review is taken. */
void worker_tell(struct worker *worker, const struct worker_message *what, const char *text, size_t size);

void worker_set_progress(struct worker *worker); /* of the context */
void worker_open_chat(struct worker *worker);
struct project *worker_project(struct worker *worker); /* NULL: there is none */
void worker_do_job(struct worker *worker, struct worker_job *job);

/* ---- worker_complete.c ---- */
enum status worker_do_complete(struct worker *worker, const struct worker_job *job, struct error *error);
void worker_close_completer(struct worker *worker); /* before the engine is closed */

/* ---- worker_review.c ---- */
enum status worker_do_review(struct worker *worker, const struct worker_job *job, struct error *error);

#endif
