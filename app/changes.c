/* changes: see changes.h. */
#include "app/changes.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "repo/diff_detail.h"

enum { FIRST_FILES = 40 /* that a large diff begins with */ };

struct job {
    bool is_there, is_new, is_action;
    enum changes_action action;
    struct shared_diff *shared;
    struct selection *selection;
};

struct changes {
    char *path, *state_folder;
    int event;
    pthread_t thread;

    /* The thread's alone. */
    struct repo *repo;
    struct journal *journal;

    pthread_mutex_t lock; /* what follows */
    pthread_cond_t wake;
    bool is_ending, has_reply, is_acting;
    struct job next;
    struct diff_options options; /* what is shown; from and to are ours */
    char *from, *to;
    struct changes_reply reply;
    atomic_bool cancel; /* the diff that is being read */
};

/* ---- a diff that is shared ---- */

struct shared_diff *shared_diff_hold(struct shared_diff *shared)
{
    atomic_fetch_add(&shared->n_users, 1);
    return shared;
}

void shared_diff_release(struct shared_diff *shared)
{
    if (!shared || atomic_fetch_sub(&shared->n_users, 1) > 1)
        return;
    diff_free(shared->diff);
    free(shared->moved);
    free(shared);
}

static void job_deinit(struct job *job)
{
    selection_free(job->selection);
    shared_diff_release(job->shared);
    *job = (struct job){0};
}

/* ---- the thread ---- */

static enum status open_all(struct changes *changes, struct error *error)
{
    if (!changes->repo) {
        enum status status = repo_open(changes->path, &changes->repo, error);
        if (status)
            return status;
    }
    return STATUS_OK;
}

static enum status read_diff(struct changes *changes, size_t max_files, struct shared_diff **out, struct error *error)
{
    struct diff_options options;
    char *from, *to;
    pthread_mutex_lock(&changes->lock);
    options = changes->options;
    from = changes->from ? strdup(changes->from) : NULL;
    to = changes->to ? strdup(changes->to) : NULL;
    bool is_copied = (!changes->from || from) && (!changes->to || to);
    pthread_mutex_unlock(&changes->lock);
    options.from = from;
    options.to = to;
    options.max_files = max_files;
    options.cancel = &changes->cancel;
    struct shared_diff *shared = calloc(1, sizeof *shared);
    enum status status =
        shared && is_copied ? open_all(changes, error) : error_set(error, STATUS_MEMORY, "out of memory");
    if (!status)
        status = diff_of_repo(changes->repo, &options, &shared->diff, error);
    if (!status)
        status = diff_find_moved(shared->diff, &changes->cancel, &shared->moved, error);
    free(from);
    free(to);
    if (status) {
        if (shared && shared->diff)
            diff_free(shared->diff);
        free(shared);
        return status;
    }
    shared->ignores_space = options.ignores_space;
    atomic_store(&shared->n_users, 1);
    *out = shared;
    return STATUS_OK;
}

static void act(struct changes *changes, struct job *job, struct changes_reply *reply)
{
    static const enum stage_action actions[] = {
        [CHANGES_STAGE] = STAGE_ADD, [CHANGES_UNSTAGE] = STAGE_REMOVE, [CHANGES_DISCARD] = STAGE_DISCARD};
    struct error *error = &reply->action_error;
    reply->was_action = true;
    reply->action = job->action;
    reply->action_status = open_all(changes, error);
    if (!reply->action_status && !changes->journal)
        reply->action_status = journal_open(changes->state_folder, changes->repo, 0, &changes->journal, error);
    if (reply->action_status)
        return;
    if (job->action == CHANGES_UNDO)
        reply->action_status = stage_undo(changes->repo, changes->journal, &reply->report, error);
    else
        reply->action_status =
            stage_run(changes->repo, changes->journal, actions[job->action], job->selection, &reply->report, error);
}

static void give(struct changes *changes, struct changes_reply *reply)
{
    pthread_mutex_lock(&changes->lock);
    struct changes_reply *waiting = &changes->reply;
    if (changes->has_reply) { /* nobody has fetched it yet: what it says of an action is kept */
        shared_diff_release(waiting->shared);
        if (waiting->was_action && !reply->was_action) {
            reply->was_action = true;
            reply->action = waiting->action;
            reply->action_status = waiting->action_status;
            reply->action_error = waiting->action_error;
            reply->report = waiting->report;
        }
    }
    *waiting = *reply;
    changes->has_reply = true;
    pthread_mutex_unlock(&changes->lock);
    uint64_t one = 1;
    ssize_t n = write(changes->event, &one, sizeof one);
    (void)n; /* it is readable already */
}

static void give_all(struct changes *changes, struct changes_reply *reply)
{
    reply->status = read_diff(changes, 0, &reply->shared, &reply->error);
    if (reply->was_action || reply->status != STATUS_CANCELLED)
        give(changes, reply);
}

/* The first files; false where these are all, or reading is to go on with them at once. */
static bool give_first(struct changes *changes)
{
    struct changes_reply reply = {0};
    reply.status = read_diff(changes, FIRST_FILES, &reply.shared, &reply.error);
    if (reply.status)
        return false; /* all of it will fail as well, or was cancelled */
    bool is_partial = reply.is_partial = reply.shared->diff->is_partial;
    give(changes, &reply);
    return !is_partial;
}

static void *run(void *context)
{
    struct changes *changes = context;
    for (;;) {
        pthread_mutex_lock(&changes->lock);
        while (!changes->next.is_there && !changes->is_ending)
            pthread_cond_wait(&changes->wake, &changes->lock);
        struct job job = changes->next;
        changes->next = (struct job){0};
        bool is_new = job.is_new && !job.is_action;
        bool is_over = !job.is_there || (changes->is_ending && !job.is_action);
        changes->is_acting = job.is_action;
        atomic_store(&changes->cancel, changes->is_ending);
        pthread_mutex_unlock(&changes->lock);
        if (is_over)
            break;
        struct changes_reply reply = {0};
        if (job.is_action)
            act(changes, &job, &reply);
        job_deinit(&job);
        pthread_mutex_lock(&changes->lock);
        changes->is_acting = false;
        pthread_mutex_unlock(&changes->lock);
        if (!is_new || !give_first(changes))
            give_all(changes, &reply);
    }
    return NULL;
}

/* ---- the screen's side ---- */

static void free_all(struct changes *changes)
{
    job_deinit(&changes->next);
    if (changes->has_reply)
        shared_diff_release(changes->reply.shared);
    journal_close(changes->journal);
    if (changes->repo)
        repo_free(changes->repo);
    if (changes->event >= 0)
        close(changes->event);
    pthread_cond_destroy(&changes->wake);
    pthread_mutex_destroy(&changes->lock);
    free(changes->path);
    free(changes->state_folder);
    free(changes->from);
    free(changes->to);
    free(changes);
}

enum status changes_open(const char *path, const char *state_folder, struct changes **out, struct error *error)
{
    struct changes *changes = calloc(1, sizeof *changes);
    if (!changes)
        return error_set(error, STATUS_MEMORY, "out of memory");
    pthread_mutex_init(&changes->lock, NULL);
    pthread_cond_init(&changes->wake, NULL);
    changes->path = strdup(path);
    changes->state_folder = strdup(state_folder);
    changes->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    /* Signals are for the screen's thread. */
    sigset_t all, before;
    sigfillset(&all);
    sigdelset(&all, SIGBUS);
    sigdelset(&all, SIGSEGV);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    bool is_started = changes->path && changes->state_folder && changes->event >= 0 &&
                      pthread_create(&changes->thread, NULL, run, changes) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (!is_started) {
        free_all(changes);
        return error_set(error, STATUS_MEMORY, "the thread that reads changes could not be started");
    }
    *out = changes;
    return STATUS_OK;
}

void changes_close(struct changes *changes)
{
    if (!changes)
        return;
    pthread_mutex_lock(&changes->lock);
    changes->is_ending = true;
    atomic_store(&changes->cancel, true);
    pthread_cond_signal(&changes->wake);
    pthread_mutex_unlock(&changes->lock);
    pthread_join(changes->thread, NULL);
    free_all(changes);
}

int changes_fd(const struct changes *changes)
{
    return changes->event;
}

static bool copy_text(char **to, const char *text)
{
    char *copy = text ? strdup(text) : NULL;
    if (text && !copy)
        return false;
    free(*to);
    *to = copy;
    return true;
}

bool changes_show(struct changes *changes, const struct diff_options *options, bool is_new)
{
    pthread_mutex_lock(&changes->lock);
    bool is_fine = copy_text(&changes->from, options->from) && copy_text(&changes->to, options->to);
    if (is_fine) {
        changes->options = *options;
        if (!changes->is_acting)
            atomic_store(&changes->cancel, true);
        changes->next.is_new = is_new || changes->next.is_new;
        changes->next.is_there = true; /* an action that waits reads the diff anew, too */
        pthread_cond_signal(&changes->wake);
    }
    pthread_mutex_unlock(&changes->lock);
    return is_fine;
}

bool changes_do(struct changes *changes, enum changes_action action, struct shared_diff *shared,
                struct selection *selection)
{
    pthread_mutex_lock(&changes->lock);
    bool is_free = !changes->is_acting && !changes->next.is_action;
    if (is_free) {
        changes->next = (struct job){.is_there = true,
                                     .is_action = true,
                                     .action = action,
                                     .selection = selection,
                                     .shared = shared ? shared_diff_hold(shared) : NULL};
        atomic_store(&changes->cancel, true);
        pthread_cond_signal(&changes->wake);
    }
    pthread_mutex_unlock(&changes->lock);
    return is_free;
}

bool changes_take(struct changes *changes, struct changes_reply *out)
{
    uint64_t count;
    pthread_mutex_lock(&changes->lock);
    bool has_reply = changes->has_reply;
    if (has_reply) {
        *out = changes->reply;
        changes->reply = (struct changes_reply){0};
        changes->has_reply = false;
    }
    if (read(changes->event, &count, sizeof count) < 0)
        count = 0;
    pthread_mutex_unlock(&changes->lock);
    return has_reply;
}
