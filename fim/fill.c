/* fill: see fill.h.  This file opens and follows the ways; fill_rank.c asks the suffix and ranks them. */
#include "fim/fill_private.h"
#include "fim/trim.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- branches ---- */

static void branch_close(struct branch *branch)
{
    if (branch->is_fork)
        session_close(branch->session);
    tokens_deinit(&branch->ids);
    buffer_deinit(&branch->text);
    free(branch->logprobs);
    *branch = (struct branch){0};
}

/* What branch has so far, once more. */
static enum status branch_fork(const struct branch *from, size_t n_most, struct branch *out, struct error *error)
{
    *out = (struct branch){.heal = from->heal, .own = from->own};
    out->logprobs = calloc(n_most + 1, sizeof *out->logprobs);
    tokens_append_all(&out->ids, from->ids.ids, from->ids.n);
    buffer_append(&out->text, from->text.data, from->text.size);
    enum status status =
        out->logprobs ? tokens_status(&out->ids, error) : error_set(error, STATUS_MEMORY, "out of memory");
    if (!status)
        status = buffer_status(&out->text, error);
    if (!status)
        status = session_fork(from->session, &out->session, error);
    out->is_fork = !status;
    if (!status && from->ids.n)
        memcpy(out->logprobs, from->logprobs, from->ids.n * sizeof *out->logprobs);
    if (status)
        branch_close(out);
    return status;
}

/* A text that shall end it. */
static void find_stops(const struct fill *fill, struct branch *branch)
{
    for (size_t i = 0; i < fill->options->n_stops; i++) {
        const char *stop = fill->options->stops[i];
        const char *found = *stop ? memmem(buffer_text(&branch->text), branch->text.size, stop, strlen(stop)) : NULL;
        size_t at = found ? (size_t)(found - branch->text.data) : branch->end;
        if (found && (!branch->stop || at < branch->end)) {
            branch->stop = FIM_STOP_END;
            branch->end = at;
        }
    }
}

/* Token id is the branch's next: its text grows, and may be at its end. */
static void branch_take(struct fill *fill, struct branch *branch, int32_t id, double logprob)
{
    if (heal_is_done(&branch->heal) && fim_format_ends(fill->engine, fill->format, id)) {
        branch->stop = fim_stop_find(fill->place, buffer_text(&branch->text), branch->text.size, true, &branch->end);
        if (branch->stop == FIM_GOES_ON || branch->stop == FIM_STOP_LINE)
            branch->stop = FIM_STOP_END;
        return;
    }
    struct slice piece = heal_take(fill->engine, &branch->heal, id);
    buffer_append(&branch->text, piece.data, piece.size);
    branch->logprobs[branch->ids.n] = logprob;
    tokens_append(&branch->ids, id);
    branch->own += logprob;
    branch->next = id;
    branch->stop = fim_stop_find(fill->place, buffer_text(&branch->text), branch->text.size, false, &branch->end);
    const struct fim_syntax *syntax = fill->options->syntax;
    size_t end = 0;
    bool is_line_end = memchr(piece.data, '\n', piece.size) != NULL;
    if (!branch->stop && is_line_end && fill->place->extent != FIM_LINE && syntax && syntax->closes &&
        syntax->closes(syntax->context, buffer_text(&branch->text), branch->text.size, &end) &&
        end <= branch->text.size) {
        branch->stop = FIM_STOP_BLOCK;
        branch->end = end;
    }
    find_stops(fill, branch);
    if (!branch->stop && branch->ids.n >= fill->n_predict) {
        branch->stop = FIM_STOP_LIMIT;
        branch->end = branch->text.size;
    }
}

/* ---- one step ---- */

/* Another token than the one that a branch took. */
struct other {
    size_t from; /* index of the branch */
    int32_t id;
    double logprob, path;
};

enum { OTHERS_OF_ONE = 3 };
#define GIVE_UP_BELOW 8.0 /* nats */

static int compare_others(const void *a, const void *b)
{
    const struct other *x = a, *y = b;
    if (x->path != y->path)
        return x->path < y->path ? 1 : -1;
    return (x->from > y->from) - (x->from < y->from);
}

/* The tokens that are nearly as likely as the one that was chosen, where that is unsure. */
static size_t find_others(const struct fill *fill, size_t from, int32_t chosen, const float *logits,
                          const struct token_probability *top, size_t n_top, struct other *out)
{
    double least = (double)logits[chosen] + log(fill->options->branch_from), own = fill->branches[from].own;
    size_t n_out = 0;
    for (size_t i = 0; i < n_top && n_out < OTHERS_OF_ONE; i++)
        if (top[i].id != chosen && (double)logits[top[i].id] >= least)
            out[n_out++] = (struct other){from, top[i].id, (double)top[i].logprob, own + (double)top[i].logprob};
    return n_out;
}

/* The next token of branch i, its log-probability, and others in its place. */
static enum status choose(struct fill *fill, size_t i, int32_t *id, double *logprob, struct other *others,
                          size_t *n_others, struct error *error)
{
    struct token_probability top[OTHERS_OF_ONE + 1];
    struct branch *branch = &fill->branches[i];
    const float *logits = session_logits(branch->session);
    if (!logits)
        return error_set(error, STATUS_ARGUMENT, "there is nothing to go on from");
    size_t n_top = logits_top(logits, fill->n_vocab, top, OTHERS_OF_ONE + 1);
    double log_sum = n_top ? (double)logits[top[0].id] - (double)top[0].logprob : 0;
    if (fill->healer && !heal_is_done(&branch->heal) && heal_mask(fill->healer, &branch->heal, logits, fill->masked)) {
        logits = fill->masked;
        n_top = logits_top(logits, fill->n_vocab, top, OTHERS_OF_ONE + 1);
        for (size_t k = 0; k < n_top; k++)
            top[k].logprob = (float)((double)logits[top[k].id] - log_sum);
    }
    enum status status = STATUS_OK;
    if (i == 0 && fill->options->sampling.temperature > 0)
        status = sampler_pick(fill->sampler, logits, id, error);
    else if (n_top && isfinite(top[0].logprob))
        *id = top[0].id;
    else
        status = error_set(error, STATUS_NUMERIC, "no token has a finite logit");
    if (status)
        return status;
    *logprob = (double)logits[*id] - log_sum;
    if (fill->n_branches < fill->options->n_ways)
        *n_others += find_others(fill, i, *id, logits, top, n_top, others + *n_others);
    return STATUS_OK;
}

/* A way that got so much less likely than another one that ended is given up. */
static void give_up(struct fill *fill)
{
    double best = -INFINITY;
    for (size_t i = 0; i < fill->n_branches; i++)
        if (fill->branches[i].stop && !fill->branches[i].is_given_up && fill->branches[i].own > best)
            best = fill->branches[i].own;
    for (size_t i = 1; i < fill->n_branches; i++) {
        struct branch *branch = &fill->branches[i];
        if (branch->stop || branch->own > best - GIVE_UP_BELOW)
            continue;
        branch->is_given_up = true;
        branch->stop = FIM_STOP_LIMIT;
        branch->end = 0;
    }
}

/* Chooses the next token of every branch that goes on, and opens new ones beside them. */
static enum status step_choose(struct fill *fill, struct error *error)
{
    struct other others[FIM_WAYS_MOST * OTHERS_OF_ONE] = {{0}};
    int32_t ids[FIM_WAYS_MOST] = {0};
    double logprobs[FIM_WAYS_MOST] = {0};
    size_t n_others = 0, n = fill->n_branches;
    for (size_t i = 0; i < n; i++) {
        if (fill->branches[i].stop)
            continue;
        enum status status = choose(fill, i, &ids[i], &logprobs[i], others, &n_others, error);
        if (status)
            return status;
    }
    if (n_others)
        qsort(others, n_others, sizeof *others, compare_others);
    for (size_t k = 0; k < n_others && fill->n_branches < fill->options->n_ways; k++) {
        struct branch *new = &fill->branches[fill->n_branches];
        enum status status = branch_fork(&fill->branches[others[k].from], fill->n_predict, new, error);
        if (status)
            return status;
        fill->n_branches++;
        branch_take(fill, new, others[k].id, others[k].logprob);
    }
    for (size_t i = 0; i < n; i++)
        if (!fill->branches[i].stop) {
            branch_take(fill, &fill->branches[i], ids[i], logprobs[i]);
            if (i == 0)
                sampler_accept(fill->sampler, ids[i]);
        }
    give_up(fill);
    return STATUS_OK;
}

enum status fill_append(struct fill *fill, struct session *const *sessions, const int32_t *ids, size_t n,
                        struct error *error)
{
    fill->n_decoded += n;
    if (n == 1)
        return session_append(sessions[0], ids[0], error);
    return session_append_many(sessions, ids, n, fill->options->cancel, error);
}

static enum status step_append(struct fill *fill, struct error *error)
{
    struct session *sessions[FIM_WAYS_MOST];
    int32_t ids[FIM_WAYS_MOST];
    size_t n = 0, n_tokens;
    for (size_t i = 0; i < fill->n_branches; i++) {
        struct branch *branch = &fill->branches[i];
        if (branch->stop)
            continue;
        session_tokens(branch->session, &n_tokens);
        if (n_tokens + 1 >= (size_t)session_n_ctx(branch->session)) {
            branch->stop = FIM_STOP_LIMIT;
            branch->end = branch->text.size;
            continue;
        }
        branch->n_appended++;
        sessions[n] = branch->session;
        ids[n++] = branch->next;
    }
    return n ? fill_append(fill, sessions, ids, n, error) : STATUS_OK;
}

static bool is_going_on(const struct fill *fill)
{
    for (size_t i = 0; i < fill->n_branches; i++)
        if (!fill->branches[i].stop)
            return true;
    return false;
}

static void stop_all(struct fill *fill, enum fim_stop stop)
{
    for (size_t i = 0; i < fill->n_branches; i++)
        if (!fill->branches[i].stop) {
            fill->branches[i].stop = stop;
            fill->branches[i].end = fill->branches[i].text.size;
        }
}

bool fill_is_late(const struct fill *fill)
{
    return fill->options->deadline_ns && clock_now_ns() >= fill->options->deadline_ns;
}

/* How much of the text's end may be the beginning of a stop. */
static size_t stop_begun(const struct fill *fill, const struct buffer *text)
{
    size_t most = 0;
    for (size_t i = 0; i < fill->options->n_stops; i++) {
        struct slice stop = slice_from(fill->options->stops[i]), all = {buffer_text(text), text->size};
        size_t n = stop.size < all.size ? stop.size : all.size;
        while (n > most && !slice_ends(all, (struct slice){stop.data, n}))
            n--;
        most = n > most ? n : most;
    }
    return most;
}

static void tell(struct fill *fill)
{
    const struct branch *branch = &fill->branches[0];
    struct buffer text = {0};
    if (!fill->options->on_text || fill->options->n_ways > 1 || branch->stop)
        return;
    size_t size = branch->text.size - stop_begun(fill, &branch->text);
    fim_preview(fill->place, fill->suffix, (struct slice){buffer_text(&branch->text), size}, &text);
    struct slice told = {buffer_text(&fill->told), fill->told.size};
    if (!text.failed && text.size > told.size && slice_begins((struct slice){text.data, text.size}, told)) {
        buffer_append(&fill->told, text.data + told.size, text.size - told.size);
        fill->options->on_text(fill->options->context, text.data, text.size);
    }
    buffer_deinit(&text);
}

static enum status follow(struct fill *fill, struct error *error)
{
    enum status status = STATUS_OK;
    for (size_t step = 0; !status && is_going_on(fill); step++) {
        if ((fill->options->cancel && atomic_load(fill->options->cancel)) ||
            (fill->options->between && !fill->options->between(fill->options->context)))
            return error_set(error, STATUS_CANCELLED, "cancelled");
        if (fill_is_late(fill)) {
            stop_all(fill, FIM_STOP_DEADLINE);
            break;
        }
        status = step_choose(fill, error);
        if (!status && step == 0 && fill->options->on_first)
            fill->options->on_first(fill->options->context);
        if (!status)
            tell(fill);
        if (!status)
            status = step_append(fill, error);
    }
    for (size_t i = 0; !status && i < fill->n_branches; i++)
        status = buffer_status(&fill->branches[i].text, error);
    return status;
}

/* ---- all of it ---- */

static enum status start(struct fill *fill, struct session *session, struct slice heal, struct error *error)
{
    const struct fim_fill_options *options = fill->options;
    struct branch *first = &fill->branches[0];
    if (options->n_ways < 1 || options->n_ways > FIM_WAYS_MOST || options->n_predict < 1)
        return error_set(error, STATUS_ARGUMENT, "ways of going on: 1 to %d, each of a token or more", FIM_WAYS_MOST);
    *first = (struct branch){.session = session};
    fill->n_branches = 1;
    heal_start(&first->heal, heal.data, heal.size);
    session_tokens(session, &fill->n_prompt);
    size_t n_ctx = (size_t)session_n_ctx(session);
    fill->n_predict = options->n_predict < n_ctx ? options->n_predict : n_ctx;
    fill->masked = calloc((size_t)fill->n_vocab, sizeof *fill->masked);
    first->logprobs = calloc(fill->n_predict + 1, sizeof *first->logprobs);
    if (!fill->masked || !first->logprobs)
        return error_set(error, STATUS_MEMORY, "out of memory");
    return sampler_new(&options->sampling, fill->n_vocab, &fill->sampler, error);
}

/* What was told can't be taken back. */
static enum status keep_told(const struct fill *fill, struct fim_ways *out, struct error *error)
{
    struct slice told = {buffer_text(&fill->told), fill->told.size};
    if (!told.size || !out->n)
        return STATUS_OK;
    struct buffer *text = &out->ways[0].text;
    if (slice_begins((struct slice){buffer_text(text), text->size}, told))
        return STATUS_OK;
    buffer_clear(text);
    buffer_append(text, told.data, told.size);
    return buffer_status(text, error);
}

enum status fim_fill(const struct engine *engine, struct session *session, const struct fim_format *format,
                     const struct healer *healer, struct slice heal, const struct fim_place *place, struct slice suffix,
                     const struct fim_fill_options *options, struct fim_ways *out, struct error *error)
{
    struct fill fill = {.engine = engine,
                        .format = format,
                        .healer = healer,
                        .heal = heal,
                        .place = place,
                        .suffix = suffix,
                        .options = options,
                        .n_vocab = engine_n_vocab(engine)};
    *out = (struct fim_ways){0};
    enum status status = start(&fill, session, heal, error);
    if (!status)
        status = follow(&fill, error);
    if (!status)
        status = fill_rank(&fill, out, error);
    if (!status)
        status = keep_told(&fill, out, error);
    out->n_decoded = fill.n_decoded;
    for (size_t i = 0; i < FIM_WAYS_MOST; i++)
        branch_close(&fill.branches[i]);
    buffer_deinit(&fill.told);
    sampler_free(fill.sampler);
    free(fill.masked);
    if (status)
        fim_ways_deinit(out);
    return status;
}

void fim_ways_deinit(struct fim_ways *ways)
{
    for (size_t i = 0; i < ways->n; i++)
        buffer_deinit(&ways->ways[i].text);
    ways->n = 0;
}
