/* serve_job: one request on its way through the server's threads, and its answer on the way back.
 *
 *   HTTP thread ──► body ──► desk thread: reads it ──► engine thread: answers it ──► pending ──► HTTP thread
 *
 * The HTTP thread holds a job from the request's end until the connection is done with it, the others while they work on it;
 * who lets go last frees it.  What is asked is written by the desk before the engine sees it, and never changes.  What has
 * come so far is behind the lock: text waits there as it is, and becomes bytes only when the connection can take some, so that
 * a slow reader's pieces flow together instead of piling up, and never hold up anybody else.
 *
 * A job may ask for several answers: of each of its prompts so many.  Each is a choice, and stands beside the others in the
 * job's list; one that fails ends them all.
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
    SERVE_INFILL,     /* /infill: the engine writes the whole reply; streamed, texts come before it */
};

enum { SERVE_N_MAX = 16, SERVE_CHOICES_MAX = 8 * SERVE_N_MAX }; /* answers to a prompt; in all */

enum serve_finish { SERVE_STOP, SERVE_LENGTH, SERVE_CALLS };

/* What the engine is to do. */
struct serve_task {
    struct tokens *prompts; /* (n_prompts) */
    size_t n_prompts;
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
struct serve_job;

/* One of a job's answers. */
struct serve_choice {
    struct serve_job *job;
    size_t index;
    const struct tokens *prompt; /* of the task's */
    size_t n_before;             /* choices of the same prompt that come before it: a seed of its own for each */

    /* Behind the job's lock. */
    struct serve_pending pending;
    bool is_ended;
    enum serve_finish finish;
    struct serve_counts counts;

    bool has_begun, is_told; /* the HTTP thread's own: its beginning, its end went out */
};

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
    size_t n_taken; /* choices that slots took: the engine's own */

    /* What has come so far: behind the lock. */
    struct serve_choice *choices; /* (n_choices); none until the request was read */
    size_t n_choices, n_open;     /* open: not ended */
    struct buffer reply;          /* of SERVE_WHOLE and SERVE_INFILL */
    bool is_ended;
    int code; /* 200, or the failure's */
    const char *type;
    char message[256];

    /* Who waits for it: behind the lock. */
    void (*wake)(void *context); /* called once, without the lock, and forgotten; NULL: nobody rests */
    void *wake_context;
    int fd; /* the connection's, while it rests; else -1 */
};

/* Held once. */
enum status serve_job_new(const struct serve_route *route, struct serve_job **out, struct error *error);
void serve_job_hold(struct serve_job *job);
void serve_job_release(struct serve_job *job); /* NULL is fine */

/* Makes room for the prompts and for so many choices of each: n_prompts * n_each <= SERVE_CHOICES_MAX.  Once. */
enum status serve_job_open(struct serve_job *job, size_t n_prompts, size_t n_each, struct error *error);

/* ---- who answers ---- */

void serve_choice_text(struct serve_choice *choice, enum text_part part, const char *text, size_t size);
void serve_choice_logprob(struct serve_choice *choice, const char *json, size_t size);
void serve_choice_call(struct serve_choice *choice, const char *json, size_t size);
/* True: it was the last one, and the job has ended. */
bool serve_choice_end(struct serve_choice *choice, enum serve_finish finish, const struct serve_counts *counts);
void serve_job_pass(struct serve_job *job);                        /* wakes who waits, where something came */
void serve_job_reply(struct serve_job *job, struct buffer *reply); /* takes the buffer's bytes, and ends the job */

/* Ends it with a failure: an HTTP code and OpenAI's word for the kind of it.  False where it had ended already. */
bool serve_job_fail(struct serve_job *job, int code, const char *type, const char *message);
bool serve_job_fail_with(struct serve_job *job, const struct error *error);

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
