/* worker: the thread that owns the engine's session and the conversation, so that the screen never waits for either.
 *
 *      screen's thread                                       worker's thread
 *   worker_submit(job, text) ──► queue of jobs ──────────► chat_open, then one job after another
 *   worker_next  ◄── poll(worker_fd) ◄── queue of messages ◄── text as it comes, progress, how it ended
 *   worker_cancel(id) ──► a flag that the engine reads between tokens and between the slices of a prompt
 *
 * 1. A job has an id; every message carries the id of the job that it is about (0: of none).  After its last message
 *    (MESSAGE_DONE or MESSAGE_FAILED) nothing comes of it any more.
 * 2. A job that is cancelled before it began says MESSAGE_DONE with TURN_CANCELLED; one that is done already, nothing.
 * 3. Text that comes faster than it is fetched gathers in one message.
 * 4. Conversations are kept as chat.h says, by this thread alone. */
#ifndef FATHOM_APP_WORKER_H
#define FATHOM_APP_WORKER_H

#include "app/changes.h"
#include "app/chat.h"
#include "app/review.h"

enum job_kind {
    JOB_ASK,      /* text: the question */
    JOB_LOAD,     /* a saved conversation's name or number; its messages come */
    JOB_RESET,    /* a new conversation */
    JOB_SAVE,     /* a name for this one */
    JOB_DELETE,   /* a saved conversation's name or number */
    JOB_LIST,     /* the saved conversations, as lines (MESSAGE_SAID) */
    JOB_MODEL,    /* another model's name */
    JOB_SYSTEM,   /* the system text; "-": the model's own; "": say what it is */
    JOB_COST,     /* what a question costs with all that it names: MESSAGE_COST */
    JOB_COMPLETE, /* worker_complete: what may stand at a place of a file */
    JOB_REVIEW,   /* worker_review: what the model says of a diff; n_done and n_total are hunks */
};

enum message_kind {
    MESSAGE_OPENED,   /* a model is there: text is its name, n_context its room */
    MESSAGE_UNOPENED, /* it could not be opened: text says why.  Jobs fail until JOB_MODEL names one that can */
    MESSAGE_READING,  /* n_done of n_total tokens of the prompt */
    MESSAGE_TEXT,     /* of the answer */
    MESSAGE_THOUGHT,
    MESSAGE_NOTICE,   /* a line about what was left out, or not saved */
    MESSAGE_QUESTION, /* of a conversation that was loaded */
    MESSAGE_ANSWER,
    MESSAGE_ANSWER_THOUGHT, /* before its answer */
    MESSAGE_CLEARED,        /* another conversation: what was shown of the last one goes */
    MESSAGE_SAID,           /* a line in reply to a job */
    MESSAGE_COST,           /* n_done tokens; more: what the question names and isn't there, by lines */
    MESSAGE_WAYS,   /* of JOB_COMPLETE: text holds the ways, best first, each ended by a NUL; more says why, by lines */
    MESSAGE_REVIEW, /* of JOB_REVIEW: review is what was found, also where it was stopped */
    MESSAGE_DONE,   /* result holds for JOB_ASK */
    MESSAGE_FAILED, /* text says why */
};

/* A review, and the diff that it is of; freed with its message, unless somebody took it out. */
struct worker_review {
    struct shared_diff *shared;
    struct review_result *result;
};

struct worker_message {
    struct worker_message *next;
    uint64_t id;
    enum message_kind kind;
    struct buffer text, more;
    uint64_t n_done, n_total;
    int32_t n_past, n_context; /* tokens in the session, and those that it has room for */
    struct turn_result result;
    struct worker_review review; /* of MESSAGE_REVIEW */
};

struct worker;

/* Starts the thread, which opens the model at once.  context must outlive the worker. */
enum status worker_open(const struct command_context *context, struct worker **out, struct error *error);
/* Stops what runs, keeps what is to be kept, and waits for it.  NULL is fine. */
void worker_close(struct worker *worker);

int worker_fd(const struct worker *worker); /* readable while there are messages */

/* Returns the job's id, or 0 where memory ran out.  Copies text. */
uint64_t worker_submit(struct worker *worker, enum job_kind kind, const char *text, size_t size);
/* What may stand at byte `at` of text, which is what a file's editor holds; path: the file's, absolute. */
uint64_t worker_complete(struct worker *worker, const char *path, struct slice text, size_t at);
/* The index is another one now: what was kept of it for completions is forgotten.  From any thread. */
void worker_index_changed(struct worker *worker);
/* What the model says of a diff, hunk by hunk, and how unusual its lines are to it. */
uint64_t worker_review(struct worker *worker, struct shared_diff *shared);
void worker_review_deinit(struct worker_review *review);
void worker_cancel(struct worker *worker, uint64_t id);

/* The next message, which is the caller's to free; NULL where there is none. */
struct worker_message *worker_next(struct worker *worker);
void worker_message_free(struct worker_message *message);

#endif
