/* worker_review: what the model says of a diff that the screen shows, on the worker's thread.  Sessions of its own, so that the
 * conversation's cache stays. */
#include <stdlib.h>

#include "app/worker_private.h"

void worker_review_deinit(struct worker_review *review)
{
    shared_diff_release(review->shared);
    if (review->result)
        review_result_deinit(review->result);
    free(review->result);
    *review = (struct worker_review){0};
}

static void show_progress(void *context, const char *what, uint64_t done, uint64_t total)
{
    struct worker_message message = {.kind = MESSAGE_READING, .n_done = done, .n_total = total};
    (void)what;
    worker_tell(context, &message, "", 0);
}

static enum status run(struct worker *worker, struct project *project, const struct diff *diff,
                       struct review_result *result, struct error *error)
{
    const struct command_context *context = &worker->context;
    struct buffer kept = {0};
    struct review_request request = {.diff = diff,
                                     .project = project,
                                     .engine = worker->chat.engine,
                                     .session = command_session_options(context),
                                     .sampling = settings_sampler(context->settings),
                                     .n_predict = -1,
                                     .cancel = &worker->cancel,
                                     .progress = show_progress,
                                     .progress_context = worker};
    request.session.n_ctx = 0;
    request.session.progress = NULL;
    request.sampling.temperature = 0.2f; /* as `fathom review`, whose kept answers are the same ones */
    request.sampling.seed = 0;
    enum status status = STATUS_OK;
    if (!context->settings->no_save)
        status = review_kept_folder(repo_root(project->repo), &kept, error);
    if (kept.size)
        request.kept_folder = buffer_text(&kept);
    if (!status)
        status = review_run(&request, result, error);
    buffer_deinit(&kept);
    return status;
}

enum status worker_do_review(struct worker *worker, const struct worker_job *job, struct error *error)
{
    const struct command_context *context = &worker->context;
    struct worker_message message = {.kind = MESSAGE_REVIEW};
    struct project project = {0};
    message.review.result = calloc(1, sizeof *message.review.result);
    if (!message.review.result)
        return error_set(error, STATUS_MEMORY, "out of memory");
    message.review.shared = shared_diff_hold(job->shared);
    enum status status = project_open(context, context->n_arguments ? context->arguments[0] : ".", &project, error);
    if (!status)
        status = run(worker, &project, job->shared->diff, message.review.result, error);
    project_close(&project);
    if (status)
        worker_review_deinit(&message.review);
    else
        worker_tell(worker, &message, "", 0);
    return status;
}
