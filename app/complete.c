/* complete: see complete.h. */
#include "app/complete.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "app/complete_kept.h"
#include "fim/heal.h"

enum { BUDGET_USUAL = 2048, LINE_TOKENS = 64, BLOCK_TOKENS = 256, WAYS_WITHOUT_MARKS = 6 };
#define BRANCH_FROM 0.05

struct completer {
    struct engine *engine;
    struct session *session;
    struct healer *healer; /* made when first needed */
    struct fim_format format;
    struct complete_kept *kept;
    atomic_bool own_cancel;
    const atomic_bool *cancel; /* the session's */
    size_t n_slice;
    /* Who is being served, and the newest who asked. */
    pthread_mutex_t lock;
    uint64_t running, newest;
    bool is_superseded;
};

/* ---- open, close, cancel ---- */

enum status completer_open(struct engine *engine, const struct completer_options *options, struct completer **out,
                           struct error *error)
{
    struct completer *completer = calloc(1, sizeof *completer);
    if (!completer)
        return error_set(error, STATUS_MEMORY, "out of memory");
    completer->engine = engine;
    completer->format = fim_format_of(engine);
    pthread_mutex_init(&completer->lock, NULL);
    atomic_init(&completer->own_cancel, false);
    struct session_options session = options->session;
    completer->cancel = session.cancel;
    if (!session.cancel)
        session.cancel = &completer->own_cancel;
    completer->n_slice = session.n_slice > 0 ? (size_t)session.n_slice : 256;
    enum status status = complete_kept_new(options->n_kept ? options->n_kept : 64, &completer->kept, error);
    if (!status)
        status = session_open(engine, &session, &completer->session, error);
    if (status) {
        completer_close(completer);
        return status;
    }
    *out = completer;
    return STATUS_OK;
}

void completer_close(struct completer *completer)
{
    if (!completer)
        return;
    session_close(completer->session);
    healer_free(completer->healer);
    complete_kept_free(completer->kept);
    pthread_mutex_destroy(&completer->lock);
    free(completer);
}

const struct fim_format *completer_format(const struct completer *completer)
{
    return &completer->format;
}

struct session *completer_session(struct completer *completer)
{
    return completer->session;
}

void complete_supersede(struct completer *completer, uint64_t id)
{
    pthread_mutex_lock(&completer->lock);
    if (id > completer->newest)
        completer->newest = id;
    if (completer->running && completer->running < completer->newest) {
        completer->is_superseded = true;
        atomic_store(&completer->own_cancel, true);
    }
    pthread_mutex_unlock(&completer->lock);
}

/* False where a newer request is known already. */
static bool begin(struct completer *completer, uint64_t id)
{
    pthread_mutex_lock(&completer->lock);
    if (id > completer->newest)
        completer->newest = id;
    bool is_newest = !id || id == completer->newest;
    completer->running = is_newest ? id : 0;
    completer->is_superseded = false;
    atomic_store(&completer->own_cancel, false);
    pthread_mutex_unlock(&completer->lock);
    return is_newest;
}

static void finish(struct completer *completer)
{
    pthread_mutex_lock(&completer->lock);
    completer->running = 0;
    pthread_mutex_unlock(&completer->lock);
}

/* ---- one request ---- */

struct run {
    struct completer *completer;
    const struct complete_request *request;
    struct complete_result *result;
    struct fim_place place;
    struct slice heal;
    struct error *error;
    uint64_t started, first;
};

static double ms_since(uint64_t from)
{
    return (double)(clock_now_ns() - from) / 1e6;
}

static bool is_cancelled(const struct run *run)
{
    const struct completer *completer = run->completer;
    return atomic_load(&completer->own_cancel) || (completer->cancel && atomic_load(completer->cancel));
}

static enum status between(const struct run *run, struct error *error)
{
    const struct complete_request *request = run->request;
    if (is_cancelled(run) || (request->between && !request->between(request->context)))
        return error_set(error, STATUS_CANCELLED, "cancelled");
    return STATUS_OK;
}

static bool goes_on(void *context)
{
    return between(context, NULL) == STATUS_OK;
}

static void pass_text(void *context, const char *text, size_t size)
{
    const struct run *run = context;
    run->request->on_text(run->request->context, text, size);
}

static void note_first(void *context)
{
    struct run *run = context;
    run->first = clock_now_ns();
}

static size_t n_predict_of(const struct run *run)
{
    if (run->request->n_predict >= 0)
        return (size_t)run->request->n_predict;
    return run->place.extent == FIM_LINE ? LINE_TOKENS : BLOCK_TOKENS;
}

static enum status build_prompt(struct run *run)
{
    struct completer *completer = run->completer;
    struct fim_request prompt = run->request->prompt;
    size_t n_cut = 0, n_ctx = (size_t)session_n_ctx(completer->session), n_answer = n_predict_of(run) + HEAL_MOST;
    enum status status = STATUS_OK;
    if (!run->request->plain)
        status = heal_cut(completer->engine, prompt.prefix.data, prompt.prefix.size, &n_cut, run->error);
    if (!status && n_cut && !completer->healer)
        status = healer_new(completer->engine, &completer->healer, run->error);
    if (status)
        return status;
    prompt.prefix.size -= n_cut;
    if (run->request->plain && !completer->format.has_marks)
        prompt.suffix = (struct slice){"", 0};
    run->heal = (struct slice){prompt.prefix.data + prompt.prefix.size, n_cut};
    size_t most = n_ctx > n_answer + FIM_BUDGET_LEAST ? n_ctx - n_answer : n_ctx / 2;
    if (!prompt.budget)
        prompt.budget = BUDGET_USUAL;
    prompt.budget = prompt.budget < most ? prompt.budget : most;
    return fim_prompt_build(completer->engine, &completer->format, &prompt, &run->result->prompt, run->error);
}

/* Reads the prompt, slice by slice, so that others may be served between. */
static enum status read_prompt(struct run *run)
{
    struct completer *completer = run->completer;
    const struct tokens *tokens = &run->result->prompt->tokens;
    struct complete_result *result = run->result;
    size_t n_have, at = 0;
    const int32_t *have = session_tokens(completer->session, &n_have);
    if (!tokens->n)
        return STATUS_OK;
    while (at < n_have && at < tokens->n && have[at] == tokens->ids[at])
        at++;
    bool is_first = true;
    for (enum status status = STATUS_OK; at < tokens->n || is_first; is_first = false) {
        struct sync_report report = {0};
        size_t end = tokens->n - at > completer->n_slice ? at + completer->n_slice : tokens->n;
        status = between(run, run->error);
        if (!status && run->request->prompt_ms > 0 && ms_since(run->started) > run->request->prompt_ms) {
            result->is_late = true;
            return STATUS_OK;
        }
        if (!status)
            status = session_sync(completer->session, tokens->ids, end, &report, run->error);
        result->n_prefilled += report.n_evaluated;
        if (is_first)
            result->n_cached = report.n_reused;
        if (status)
            return status;
        at = end;
    }
    return STATUS_OK;
}

static enum status fill(struct run *run, struct fim_ways *ways)
{
    struct completer *completer = run->completer;
    const struct complete_request *request = run->request;
    bool has_marks = completer->format.has_marks;
    size_t n_ways = request->plain ? 1 : has_marks ? 1 : WAYS_WITHOUT_MARKS;
    if (n_ways < request->n_alternatives + 1)
        n_ways = request->n_alternatives + 1;
    struct fim_fill_options options = {
        .sampling = request->sampling,
        .n_ways = n_ways < FIM_WAYS_MOST ? n_ways : FIM_WAYS_MOST,
        .n_predict = n_predict_of(run),
        .deadline_ns = request->answer_ms > 0 ? clock_now_ns() + (uint64_t)(request->answer_ms * 1e6) : 0,
        .branch_from = BRANCH_FROM,
        .asks_suffix = !has_marks && !request->plain,
        .syntax = request->plain ? NULL : request->syntax,
        .stops = request->stops,
        .n_stops = request->n_stops,
        .between = goes_on,
        .on_first = note_first,
        .on_text = request->on_text ? pass_text : NULL,
        .context = run,
    };
    /* Of the suffix only what the model may be asked about and what is compared: its first lines. */
    enum { SUFFIX_BYTES = 8192 };
    struct slice suffix = request->prompt.suffix;
    suffix.size = suffix.size < SUFFIX_BYTES ? suffix.size : SUFFIX_BYTES;
    return fim_fill(completer->engine, completer->session, &completer->format, completer->healer, run->heal,
                    &run->place, suffix, &options, ways, run->error);
}

static enum status take_ways(struct run *run, struct fim_ways *ways)
{
    struct complete_result *result = run->result;
    size_t most = run->request->n_alternatives + 1;
    result->ways = calloc(most, sizeof *result->ways);
    if (!result->ways)
        return error_set(run->error, STATUS_MEMORY, "out of memory");
    result->stop = ways->n ? ways->ways[0].stop : FIM_STOP_END;
    for (size_t i = 0; i < ways->n && result->n_ways < most; i++) {
        struct fim_way *way = &ways->ways[i];
        if (!way->text.size)
            continue;
        if (!result->n_ways)
            result->n_tokens = way->n_tokens;
        result->ways[result->n_ways++] = (struct complete_way){way->text, way->stop};
        way->text = (struct buffer){0};
    }
    result->n_decoded = ways->n_decoded;
    return STATUS_OK;
}

static enum status evaluate(struct run *run)
{
    struct fim_ways ways = {0};
    struct complete_result *result = run->result;
    enum status status = build_prompt(run);
    if (!status)
        status = read_prompt(run);
    result->prompt_ms = ms_since(run->started);
    result->stop = result->is_late ? FIM_STOP_DEADLINE : FIM_STOP_LIMIT;
    if (!status && !result->prompt->tokens.n) /* not even a mark to go on from */
        result->stop = FIM_STOP_END;
    if (status || result->is_late || !run->request->n_predict || !result->prompt->tokens.n)
        return status;
    status = fill(run, &ways);
    if (!status)
        status = take_ways(run, &ways);
    if (run->first)
        result->ttft_ms = (double)(run->first - run->started) / 1e6;
    fim_ways_deinit(&ways);
    if (!status && result->n_ways && !run->request->plain)
        complete_kept_add(run->completer->kept, run->request, result);
    return status;
}

enum status complete_run(struct completer *completer, const struct complete_request *request,
                         struct complete_result *out, struct error *error)
{
    struct run run = {.completer = completer, .request = request, .result = out, .error = error};
    *out = (struct complete_result){0};
    run.started = clock_now_ns();
    if (!begin(completer, request->id))
        return error_set(error, STATUS_CANCELLED, "a newer request came");
    enum status status = STATUS_OK;
    if (request->plain || request->afresh || !request->n_predict ||
        !complete_kept_find(completer->kept, request, out)) {
        fim_place_of(request->prompt.path, request->prompt.prefix, request->prompt.suffix, &run.place);
        status = evaluate(&run);
    }
    out->total_ms = ms_since(run.started);
    if (out->is_remembered)
        out->ttft_ms = out->total_ms;
    finish(completer);
    return status;
}

void complete_result_deinit(struct complete_result *result)
{
    for (size_t i = 0; i < result->n_ways; i++)
        buffer_deinit(&result->ways[i].text);
    free(result->ways);
    fim_prompt_free(result->prompt);
    *result = (struct complete_result){0};
}

void complete_split(struct slice text, size_t at, struct slice *prefix, struct slice *suffix)
{
    at = at < text.size ? at : text.size;
    size_t begin = at;
    for (int i = 0; i < 3 && begin > 0 && begin < text.size && ((unsigned char)text.data[begin] & 0xc0) == 0x80; i++)
        begin--;
    uint32_t code_point;
    int n = begin < at ? utf8_decode(text.data + begin, text.size - begin, &code_point) : 0;
    if (n > 0 && begin + (size_t)n > at)
        at = begin;
    *prefix = (struct slice){text.data, at};
    *suffix = (struct slice){text.data + at, text.size - at};
}
