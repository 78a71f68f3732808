/* serve_job: one request on its way through the server's threads, and its answer on the way back.
 *
 *   HTTP thread ──► body ──► desk thread: reads it ──► engine thread: answers it ──► pending ──► HTTP thread
 *
 * The HTTP thread holds a job from the request's end until the connection is done with it, the others while they work on it;
 * who lets go last frees it.  What is asked is written by the desk before the engine sees it, and never changes.  What has
 * come so far is behind the lock: text waits there as it is, and becomes bytes only when the connection can take some, so that
 * a slow reader's pieces flow together instead of piling up, and never hold up anybody else.
 *
 * A client that goes away is noticed in two ways: the HTTP thread is told (serve_job_abandon), or, while it lets a connection
 * rest until something comes, the socket's other end is looked at between steps of the engine (serve_job_is_gone). */
#ifndef FATHOM_APP_SERVE_JOB_H
#define FATHOM_APP_SERVE_JOB_H

#include <pthread.h>
#include <stdatomic.h>

#include "engine/engine.h"

enum serve_form {
    SERVE_WHOLE,      /* the desk or the engine writes the whole reply: /tokenize and the like */
    SERVE_CHAT,       /* /v1/chat/completions */
    SERVE_COMPLETION, /* /v1/completions */
    SERVE_INFILL,     /* /infill: the engine writes the whole reply, which may be an event */
};

enum serve_finish { SERVE_STOP, SERVE_LENGTH, SERVE_CALLS };

/* What the engine is to do. */
struct serve_task {
    struct tokens prompt;
    struct sampler_options sampling;
    struct logit_bias *biases; /* that sampling points to */
    int64_t n_predict;         /* at most so many tokens; < 0: as many as the context holds */
    struct arena texts;        /* holds stops, and whatever else of the request stays */
    const char **stops;        /* (n_stops) */
    size_t n_stops;
    int n_logprobs;       /* alternatives that are told beside each token's own; -1: nothing is told of likelihoods */
    bool is_turn;         /* of a chat: it ends where the template's turn ends */
    bool splits_thoughts; /* the template's thinking marks part a thought from the answer */
    struct serve_tools *tools;   /* NULL: none are offered */
    struct serve_infill *infill; /* of SERVE_INFILL */
    struct grammar *grammar;     /* NULL: the answer is bound to none */
};

struct serve_counts {
    size_t n_prompt, n_cached, n_answer;
    double wait_ms, prompt_ms, answer_ms; /* until a slot took it; reading; from the first token to the last */
};

/* Come, and not taken yet. */
struct serve_pending {
    struct buffer text, thought;
    struct buffer logprobs; /* JSON of tokens, parted by commas */
    struct buffer calls;    /* the same of tool calls */
};

struct serve_route;

struct serve_job {
    pthread_mutex_t lock;
    atomic_int n_holders;
    atomic_bool is_cancelled; /* nobody waits for the answer any more */
    struct serve_job *next;   /* in the queue it stands in */
    uint64_t arrived;         /* clock_now_ns */

    /* What is asked: the desk's to write until the engine has it; who waits looks at it once something has come. */
    const struct serve_route *route;
    struct buffer body;
    enum serve_form form;
    bool is_streamed, tells_usage;
    char id[48];
    int64_t created; /* seconds since 1970 */
    struct serve_task task;

    /* What has come so far: behind the lock. */
    struct serve_pending pending;
    struct buffer reply; /* of SERVE_WHOLE */
    size_t n_calls;
    bool is_begun; /* the first piece of an answer is there */
    bool is_ended;
    int code; /* 200, or the failure's */
    const char *type;
    char message[256];
    enum serve_finish finish;
    struct serve_counts counts;

    /* Who waits for it: behind the lock. */
    void (*wake)(void *context); /* called once, without the lock, and forgotten; NULL: nobody rests */
    void *wake_context;
    int fd; /* the connection's, while it rests; else -1 */
};

/* Held once. */
enum status serve_job_new(const struct serve_route *route, struct serve_job **out, struct error *error);
void serve_job_hold(struct serve_job *job);
void serve_job_release(struct serve_job *job); /* NULL is fine */

/* ---- who answers ---- */

void serve_job_text(struct serve_job *job, enum text_part part, const char *text, size_t size);
void serve_job_logprob(struct serve_job *job, const char *json, size_t size);
void serve_job_call(struct serve_job *job, const char *json, size_t size);
void serve_job_pass(struct serve_job *job); /* wakes who waits, where something came */
void serve_job_end(struct serve_job *job, enum serve_finish finish, const struct serve_counts *counts);
void serve_job_reply(struct serve_job *job, struct buffer *reply); /* takes the buffer's bytes, and ends the job */

/* Ends it with a failure: an HTTP code and OpenAI's word for the kind of it. */
void serve_job_fail(struct serve_job *job, int code, const char *type, const char *message);
void serve_job_fail_with(struct serve_job *job, const struct error *error);

/* Nobody waits any more: cancelled, or the other end of the resting connection is closed. */
bool serve_job_is_gone(struct serve_job *job);

/* ---- who waits ---- */

enum serve_wait {
    SERVE_ENDED,   /* all has come */
    SERVE_HAS,     /* there is something to pass on */
    SERVE_RESTING, /* nothing yet: wake will be called */
};

/* Looks at what there is; where there is nothing, leaves wake and the descriptor of the connection that rests.  before_rest
 * is called while nobody can wake it yet. */
enum serve_wait serve_job_wait(struct serve_job *job, bool only_end, int fd, void (*before_rest)(void *),
                               void (*wake)(void *), void *context);

/* The client went away. */
void serve_job_abandon(struct serve_job *job);

#endif
