/* serve_engine: the thread that owns the engine, and the slots that requests take on it.
 *
 * A slot is a session.  A request that comes takes the free slot that fits best; what the session has of the prompt's
 * beginning isn't read again, and where another session has more of it, it is forked: cells are shared, not copied.  All
 * sessions are forks of one, so they share one workspace.
 *
 * The thread works in steps.  A step gives every slot that answers its next token, all of them in one batch, and one slot
 * that reads its prompt a slice of it, in turn: nobody starves, whatever the others ask.  Between steps clients that went
 * away are looked for, and their slots are free again.  Requests that find no slot wait in the order in which they came.
 *
 * Completions (/infill) take no slot: one after another they run on a completer, which keeps a session of its own, and between
 * its tokens and slices the slots have their steps.  A warm-up gives way to whatever completion comes. */
#ifndef FATHOM_APP_SERVE_ENGINE_H
#define FATHOM_APP_SERVE_ENGINE_H

#include "app/serve_job.h"

enum { SERVE_SLOTS_MAX = 64 };

struct serve_engine;

struct serve_engine_options {
    struct engine *engine;
    struct session_options session; /* of each slot; cancel is the thread's own */
    size_t n_slots;                 /* 1 .. SERVE_SLOTS_MAX */
};

enum status serve_engine_start(const struct serve_engine_options *options, struct serve_engine **out,
                               struct error *error);
/* Ends what runs and waits (503), and the thread. */
void serve_engine_stop(struct serve_engine *engine);
/* After it was stopped, when nobody asks for figures of its slots any more. */
void serve_engine_free(struct serve_engine *engine);

int32_t serve_engine_n_ctx(const struct serve_engine *engine); /* of a slot */

/* The job's task is complete; it is held until it has ended. */
void serve_engine_submit(struct serve_engine *engine, struct serve_job *job);

/* ---- what may be seen from outside, at any time, without waiting for a step ---- */

enum serve_slot_state { SLOT_FREE, SLOT_READING, SLOT_ANSWERING };

struct serve_slot_view {
    enum serve_slot_state state;
    char job[48];    /* "" where it is free */
    size_t n_cached; /* tokens that the session holds */
    size_t n_prompt, n_answer;
};

struct serve_totals {
    uint64_t n_done, n_failed, n_cancelled; /* requests */
    uint64_t n_prompt, n_cached, n_answer;  /* tokens: read, taken from the cache, answered */
    double prompt_seconds, answer_seconds;
    size_t n_running, n_waiting;
    size_t n_kv_bytes;
};

size_t serve_engine_n_slots(const struct serve_engine *engine);
void serve_engine_view(struct serve_engine *engine, struct serve_slot_view *slots, struct serve_totals *totals);

#endif
