/* serve_engine: see serve_engine.h. */
#include "app/serve_engine.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "app/serve_infill.h"
#include "app/serve_slot.h"

/* While others answer, prompts are read in smaller pieces, so that the answers keep flowing. */
enum { SLICE_ALONE = 256, SLICE_SHARED = 64, LOOK_MS = 20, TRIM_AFTER = 32 };

struct queue {
    struct serve_job *first, *last;
    size_t n;
};

struct serve_engine {
    struct serve_engine_options options;
    int32_t n_ctx; /* of each slot */
    atomic_bool is_stopping;
    pthread_t thread;

    pthread_mutex_t lock; /* over inbox and what is shown */
    pthread_cond_t more;
    struct queue inbox;
    struct serve_slot_view views[SERVE_SLOTS_MAX];
    struct serve_totals totals;

    /* The thread's own. */
    struct serve_slot slots[SERVE_SLOTS_MAX];
    struct queue waiting, completions;
    struct completer *completer;
    bool is_completing;
    struct serve_totals counted;
    size_t next_reader;
    uint64_t n_requests, n_trimmed, looked;
};

/* ---- queues ---- */

static void queue_put(struct queue *queue, struct serve_job *job)
{
    job->next = NULL;
    if (queue->last)
        queue->last->next = job;
    else
        queue->first = job;
    queue->last = job;
    queue->n++;
}

static struct serve_job *queue_take(struct queue *queue)
{
    struct serve_job *job = queue->first;
    if (!job)
        return NULL;
    queue->first = job->next;
    queue->last = queue->first ? queue->last : NULL;
    queue->n--;
    return job;
}

void serve_engine_submit(struct serve_engine *engine, struct serve_job *job)
{
    serve_job_hold(job);
    pthread_mutex_lock(&engine->lock);
    queue_put(&engine->inbox, job);
    pthread_cond_signal(&engine->more);
    pthread_mutex_unlock(&engine->lock);
}

/* ---- a request's end ---- */

static void leave(struct serve_slot *slot)
{
    struct serve_job *job = slot->choice->job;
    serve_answer_free(slot->answer);
    slot->answer = NULL;
    slot->choice = NULL;
    serve_job_release(job);
    slot->state = SLOT_FREE;
}

static void count(struct serve_engine *engine, struct serve_slot *slot)
{
    struct serve_totals *counted = &engine->counted;
    counted->n_prompt += slot->counts.n_prompt - slot->counts.n_cached;
    counted->n_cached += slot->counts.n_cached;
    counted->n_answer += slot->counts.n_answer;
    counted->prompt_seconds += slot->counts.prompt_ms / 1e3;
    counted->answer_seconds += slot->counts.answer_ms / 1e3;
}

static void end(struct serve_engine *engine, struct serve_slot *slot)
{
    slot->counts.n_answer = serve_answer_n(slot->answer);
    if (slot->first)
        slot->counts.answer_ms = (double)(clock_now_ns() - slot->first) / 1e6;
    count(engine, slot);
    if (serve_choice_end(slot->choice, serve_answer_finish(slot->answer), &slot->counts))
        engine->counted.n_done++;
    leave(slot);
}

static void fail(struct serve_engine *engine, struct serve_slot *slot, const struct error *error)
{
    struct serve_job *job = slot->choice->job;
    bool is_stopping = error->status == STATUS_CANCELLED;
    if (is_stopping ? serve_job_fail(job, 503, "unavailable_error", "the server is stopping")
                    : serve_job_fail_with(job, error))
        engine->counted.n_failed++;
    leave(slot);
}

static void abandon(struct serve_engine *engine, struct serve_job *job)
{
    if (serve_job_fail(job, 499, "cancelled", "the client went away"))
        engine->counted.n_cancelled++;
}

static void drop(struct serve_engine *engine, struct serve_slot *slot)
{
    count(engine, slot);
    abandon(engine, slot->choice->job);
    leave(slot);
}

/* ---- a step ---- */

/* Those who left while they waited shouldn't make others wait; looking at hundreds of sockets takes time, though. */
static void drop_waiting(struct serve_engine *engine)
{
    struct queue kept = {0};
    struct serve_job *job;
    uint64_t now = clock_now_ns();
    if (!engine->waiting.n || now - engine->looked < (uint64_t)LOOK_MS * 1000000)
        return;
    engine->looked = now;
    while ((job = queue_take(&engine->waiting)) != NULL) {
        if (!serve_job_is_gone(job)) {
            queue_put(&kept, job);
            continue;
        }
        abandon(engine, job);
        serve_job_release(job);
    }
    engine->waiting = kept;
}

/* Its prompt is being read for another choice of the job: it will take it from there. */
static bool is_being_read(const struct serve_engine *engine, const struct serve_choice *choice)
{
    for (size_t i = 0; i < engine->options.n_slots && choice->n_before; i++)
        if (engine->slots[i].state == SLOT_READING && engine->slots[i].choice->prompt == choice->prompt)
            return true;
    return false;
}

/* False where no slot is free. */
static bool seat(struct serve_engine *engine, struct serve_choice *choice)
{
    struct error error = {0};
    struct serve_job *job = choice->job;
    size_t n_prompt = choice->prompt->n;
    struct serve_slot *slot = serve_slot_take(engine->slots, engine->options.n_slots, choice->prompt);
    if (!slot)
        return false;
    serve_job_hold(job);
    job->n_taken++;
    slot->choice = choice;
    slot->state = SLOT_READING;
    slot->last_used = ++engine->n_requests;
    slot->began = clock_now_ns();
    slot->first = 0;
    slot->counts = (struct serve_counts){.n_prompt = n_prompt, .wait_ms = (double)(slot->began - job->arrived) / 1e6};
    size_t same = serve_slot_common(slot, choice->prompt);
    slot->counts.n_cached = same < n_prompt ? same : n_prompt - 1;
    if (serve_answer_new(engine->options.engine, choice, (size_t)engine->n_ctx - n_prompt, &slot->answer, &error) !=
        STATUS_OK)
        fail(engine, slot, &error);
    return true;
}

/* Who waits takes the free slots, the oldest first.  A job with several choices stands at the end again after each. */
static void admit(struct serve_engine *engine)
{
    struct queue passed = {0};
    while (engine->waiting.n) {
        struct serve_job *job = engine->waiting.first;
        if (serve_job_is_gone(job)) {
            abandon(engine, job);
            serve_job_release(queue_take(&engine->waiting));
        } else if (is_being_read(engine, &job->choices[job->n_taken])) {
            queue_put(&passed, queue_take(&engine->waiting));
        } else if (!seat(engine, &job->choices[job->n_taken])) {
            break;
        } else {
            queue_take(&engine->waiting);
            if (job->n_taken < job->n_choices)
                queue_put(&engine->waiting, job);
            else
                serve_job_release(job);
        }
    }
    if (!passed.n)
        return;
    passed.last->next = engine->waiting.first;
    engine->waiting = (struct queue){passed.first, engine->waiting.last ? engine->waiting.last : passed.last,
                                     passed.n + engine->waiting.n};
}

/* Tokens that are to be appended, and to what. */
struct batch {
    struct serve_slot *slots[SERVE_SLOTS_MAX];
    struct session *sessions[SERVE_SLOTS_MAX];
    int32_t ids[SERVE_SLOTS_MAX];
    size_t n;
};

static void pick(struct serve_engine *engine, struct serve_slot *slot, struct batch *batch)
{
    struct error error = {0};
    int32_t id;
    bool goes_on;
    enum status status = serve_answer_next(slot->answer, session_logits(slot->session), &id, &goes_on, &error);
    if (!slot->first)
        slot->first = clock_now_ns();
    if (status != STATUS_OK) {
        fail(engine, slot, &error);
        return;
    }
    if (!goes_on) {
        end(engine, slot);
        return;
    }
    serve_job_pass(slot->choice->job);
    batch->slots[batch->n] = slot;
    batch->sessions[batch->n] = slot->session;
    batch->ids[batch->n++] = id;
}

/* The next token of every slot that answers. */
static bool answer_all(struct serve_engine *engine)
{
    struct batch batch = {.n = 0};
    struct error error = {0};
    enum status status = STATUS_OK;
    bool was_busy = false;
    for (size_t i = 0; i < engine->options.n_slots; i++) {
        struct serve_slot *slot = &engine->slots[i];
        if (slot->state != SLOT_ANSWERING)
            continue;
        was_busy = true;
        if (serve_job_is_gone(slot->choice->job))
            drop(engine, slot);
        else
            pick(engine, slot, &batch);
    }
    if (batch.n == 1) /* alone, drafts may help */
        status = session_append(batch.sessions[0], batch.ids[0], &error);
    else if (batch.n)
        status = session_append_many(batch.sessions, batch.ids, batch.n, &engine->is_stopping, &error);
    for (size_t i = 0; i < batch.n && status != STATUS_OK; i++)
        fail(engine, batch.slots[i], &error);
    return was_busy;
}

/* A slice of one slot's prompt, of each in turn. */
static void read_one(struct serve_engine *engine, bool others_answer)
{
    struct serve_slot *slot = NULL;
    struct error error = {0};
    bool is_read;
    for (size_t i = 0; i < engine->options.n_slots && !slot; i++) {
        struct serve_slot *each = &engine->slots[(engine->next_reader + i) % engine->options.n_slots];
        if (each->state == SLOT_READING) {
            slot = each;
            engine->next_reader = (engine->next_reader + i + 1) % engine->options.n_slots;
        }
    }
    if (!slot)
        return;
    if (serve_job_is_gone(slot->choice->job)) {
        drop(engine, slot);
        return;
    }
    size_t n = engine->options.session.n_slice > 0 ? (size_t)engine->options.session.n_slice : SLICE_ALONE;
    if (others_answer && n > SLICE_SHARED)
        n = SLICE_SHARED;
    enum status status = serve_slot_read(slot, n, &is_read, &error);
    slot->counts.prompt_ms = (double)(clock_now_ns() - slot->began) / 1e6;
    if (status != STATUS_OK)
        fail(engine, slot, &error);
    else if (is_read)
        slot->state = SLOT_ANSWERING;
}

static bool is_busy(const struct serve_engine *engine)
{
    for (size_t i = 0; i < engine->options.n_slots; i++)
        if (engine->slots[i].choice)
            return true;
    return engine->waiting.n > 0;
}

static void step(struct serve_engine *engine)
{
    drop_waiting(engine);
    admit(engine);
    bool others_answer = answer_all(engine);
    read_one(engine, others_answer || engine->is_completing);
}

/* ---- the thread ---- */

/* With the lock. */
static void publish(struct serve_engine *engine)
{
    size_t n_running = 0, n_kv_bytes = 0;
    for (size_t i = 0; i < engine->options.n_slots; i++) {
        const struct serve_slot *slot = &engine->slots[i];
        struct serve_slot_view *view = &engine->views[i];
        *view = (struct serve_slot_view){.state = slot->state};
        session_tokens(slot->session, &view->n_cached);
        n_kv_bytes += session_kv_bytes(slot->session);
        if (slot->choice) {
            memcpy(view->job, slot->choice->job->id, sizeof view->job);
            view->n_prompt = slot->counts.n_prompt;
            view->n_answer = serve_answer_n(slot->answer);
            n_running++;
        }
    }
    engine->totals = engine->counted;
    engine->totals.n_running = n_running;
    engine->totals.n_waiting = engine->waiting.n + engine->completions.n;
    engine->totals.n_kv_bytes = n_kv_bytes;
}

/* With the lock: what has come goes to where it waits for its turn. */
static void sort_inbox(struct serve_engine *engine)
{
    struct serve_job *job;
    while ((job = queue_take(&engine->inbox)) != NULL)
        queue_put(job->form == SERVE_INFILL ? &engine->completions : &engine->waiting, job);
    publish(engine);
}

/* ---- completions ---- */

struct completion {
    struct serve_engine *engine;
    struct serve_job *job;
};

/* Between two tokens or slices of a completion: the slots' turn.  False ends it. */
static bool between(void *context)
{
    struct completion *completion = context;
    struct serve_engine *engine = completion->engine;
    if (atomic_load(&engine->is_stopping) || serve_job_is_gone(completion->job))
        return false;
    pthread_mutex_lock(&engine->lock);
    sort_inbox(engine);
    pthread_mutex_unlock(&engine->lock);
    if (completion->job->task.infill->is_warm_up && engine->completions.n)
        return false;
    if (is_busy(engine))
        step(engine);
    return true;
}

static void pass_text(void *context, const char *text, size_t size)
{
    const struct completion *completion = context;
    serve_infill_text(completion->job, text, size);
}

static void complete(struct serve_engine *engine, struct serve_job *job)
{
    struct completion completion = {engine, job};
    struct complete_request *request = &job->task.infill->request;
    struct complete_result result = {0};
    struct error error = {0};
    request->between = between;
    request->on_text = job->task.infill->is_told ? pass_text : NULL;
    request->context = &completion;
    engine->is_completing = true;
    enum status status =
        serve_job_is_gone(job) ? STATUS_CANCELLED : complete_run(engine->completer, request, &result, &error);
    engine->is_completing = false;
    bool gave_way = status == STATUS_CANCELLED && job->task.infill->is_warm_up;
    engine->counted.n_prompt += result.n_prefilled;
    engine->counted.n_cached += result.n_cached;
    engine->counted.n_answer += result.n_tokens;
    engine->counted.prompt_seconds += result.prompt_ms / 1e3;
    engine->counted.answer_seconds += (result.total_ms - result.prompt_ms) / 1e3;
    if (serve_job_is_gone(job)) {
        abandon(engine, job);
    } else if (atomic_load(&engine->is_stopping)) {
        serve_job_fail(job, 503, "unavailable_error", "the server is stopping");
    } else if (status != STATUS_OK && !gave_way) {
        engine->counted.n_failed++;
        serve_job_fail_with(job, &error);
    } else {
        engine->counted.n_done++;
        serve_infill_reply(job, engine_info(engine->options.engine)->name, engine->n_ctx, &result);
    }
    complete_result_deinit(&result);
}

/* After a crowd the allocator keeps what hundreds of requests took: with nothing to do, it goes back to the system. */
static void give_back_memory(struct serve_engine *engine)
{
    if (engine->n_requests - engine->n_trimmed < TRIM_AFTER)
        return;
    engine->n_trimmed = engine->n_requests;
#ifdef __GLIBC__
    malloc_trim(0);
#endif
}

static void *run(void *context)
{
    struct serve_engine *engine = context;
    pthread_mutex_lock(&engine->lock);
    while (!atomic_load(&engine->is_stopping)) {
        sort_inbox(engine);
        if (!is_busy(engine) && !engine->completions.n) {
            give_back_memory(engine);
            pthread_cond_wait(&engine->more, &engine->lock);
            continue;
        }
        pthread_mutex_unlock(&engine->lock);
        if (is_busy(engine))
            step(engine);
        struct serve_job *job = queue_take(&engine->completions);
        if (job) {
            complete(engine, job);
            serve_job_release(job);
        }
        pthread_mutex_lock(&engine->lock);
    }
    pthread_mutex_unlock(&engine->lock);
    return NULL;
}

static enum status open_slots(struct serve_engine *engine, struct error *error)
{
    engine->options.session.cancel = &engine->is_stopping;
    enum status status =
        session_open(engine->options.engine, &engine->options.session, &engine->slots[0].session, error);
    engine->n_ctx = status == STATUS_OK ? session_n_ctx(engine->slots[0].session) : 0;
    for (size_t i = 1; i < engine->options.n_slots && status == STATUS_OK; i++)
        status = session_fork(engine->slots[0].session, &engine->slots[i].session, error);
    struct completer_options options = {.session = engine->options.session};
    options.session.n_ctx = engine->n_ctx;
    options.session.drafts = false; /* several ways go on in one batch, which drafts nothing */
    if (status == STATUS_OK)
        status = completer_open(engine->options.engine, &options, &engine->completer, error);
    return status;
}

static void close_slots(struct serve_engine *engine)
{
    completer_close(engine->completer);
    for (size_t i = engine->options.n_slots; i-- > 0;)
        session_close(engine->slots[i].session);
}

enum status serve_engine_start(const struct serve_engine_options *options, struct serve_engine **out,
                               struct error *error)
{
    struct serve_engine *engine = calloc(1, sizeof *engine);
    if (!engine)
        return error_set(error, STATUS_MEMORY, "out of memory");
    engine->options = *options;
    pthread_mutex_init(&engine->lock, NULL);
    pthread_cond_init(&engine->more, NULL);
    enum status status = open_slots(engine, error);
    if (status == STATUS_OK) {
        publish(engine);
        if (pthread_create(&engine->thread, NULL, run, engine) != 0)
            status = error_set(error, STATUS_MEMORY, "no thread could be started");
    }
    if (status != STATUS_OK) {
        close_slots(engine);
        pthread_mutex_destroy(&engine->lock);
        pthread_cond_destroy(&engine->more);
        free(engine);
        return status;
    }
    *out = engine;
    return STATUS_OK;
}

static void refuse_all(struct queue *queue)
{
    struct serve_job *job;
    while ((job = queue_take(queue)) != NULL) {
        serve_job_fail(job, 503, "unavailable_error", "the server is stopping");
        serve_job_release(job);
    }
}

void serve_engine_stop(struct serve_engine *engine)
{
    struct error stopping = {.status = STATUS_CANCELLED};
    if (!engine)
        return;
    pthread_mutex_lock(&engine->lock);
    atomic_store(&engine->is_stopping, true);
    pthread_cond_signal(&engine->more);
    pthread_mutex_unlock(&engine->lock);
    pthread_join(engine->thread, NULL);
    for (size_t i = 0; i < engine->options.n_slots; i++)
        if (engine->slots[i].choice)
            fail(engine, &engine->slots[i], &stopping);
    refuse_all(&engine->waiting);
    refuse_all(&engine->completions);
    refuse_all(&engine->inbox);
}

void serve_engine_free(struct serve_engine *engine)
{
    if (!engine)
        return;
    close_slots(engine);
    pthread_mutex_destroy(&engine->lock);
    pthread_cond_destroy(&engine->more);
    free(engine);
}

int32_t serve_engine_n_ctx(const struct serve_engine *engine)
{
    return engine->n_ctx;
}

size_t serve_engine_n_slots(const struct serve_engine *engine)
{
    return engine->options.n_slots;
}

void serve_engine_view(struct serve_engine *engine, struct serve_slot_view *slots, struct serve_totals *totals)
{
    pthread_mutex_lock(&engine->lock);
    if (slots)
        memcpy(slots, engine->views, engine->options.n_slots * sizeof *slots);
    *totals = engine->totals;
    totals->n_waiting += engine->inbox.n;
    pthread_mutex_unlock(&engine->lock);
}
