/* serve_answer: see serve_answer.h. */
#include "app/serve_answer.h"

#include <stdlib.h>
#include <string.h>

#include "app/output.h"
#include "app/serve_tools.h"
#include "app/turn.h"

enum { STOPS_MAX = 17, LOGPROBS_MAX = 20 };

struct serve_answer {
    struct engine *engine;
    struct serve_choice *choice;
    const struct serve_task *task;
    struct sampler *sampler;
    struct text_stream *stream;
    struct thought_split *split; /* NULL: no thoughts */
    struct serve_calls *calls;   /* NULL: no tools are offered */
    struct grammar_match *match; /* NULL: bound to no grammar */
    const char *think_open, *think_close;
    struct buffer shown, item;
    size_t n, n_room;
    bool has_text, has_thought;
    bool is_called; /* the one call that may be made is complete */
    enum serve_finish finish;
};

static enum status open_text(struct serve_answer *answer, struct error *error)
{
    const struct serve_task *task = answer->task;
    const char *stops[STOPS_MAX];
    size_t n = 0;
    for (; n < task->n_stops && n < STOPS_MAX - 1; n++)
        stops[n] = task->stops[n];
    const struct chat_template *chat = task->is_turn ? engine_chat(answer->engine, NULL) : NULL;
    bool starts_inside = false;
    if (chat) {
        const char *turn_end = turn_unflagged_end(answer->engine, chat);
        if (turn_end)
            stops[n++] = turn_end;
    }
    if (chat && task->splits_thoughts) {
        answer->think_open = chat_template_think_open(chat);
        answer->think_close = chat_template_think_close(chat, &starts_inside);
    }
    enum status status = text_stream_new(stops, n, &answer->stream, error);
    if (status == STATUS_OK && answer->think_open && answer->think_close)
        status = thought_split_new(answer->think_open, answer->think_close, starts_inside, &answer->split, error);
    if (status == STATUS_OK && task->tools)
        status = serve_calls_new(task->tools, answer->choice, &answer->calls, error);
    if (status == STATUS_OK && task->grammar)
        status = grammar_match_new(task->grammar, answer->engine, &answer->match, error);
    return status;
}

enum status serve_answer_new(struct engine *engine, struct serve_choice *choice, size_t n_room,
                             struct serve_answer **out, struct error *error)
{
    struct sampler_options sampling = choice->job->task.sampling;
    struct serve_answer *answer = calloc(1, sizeof *answer);
    if (!answer)
        return error_set(error, STATUS_MEMORY, "out of memory");
    answer->engine = engine;
    answer->choice = choice;
    answer->task = &choice->job->task;
    sampling.seed += choice->n_before;
    answer->n_room = n_room;
    answer->finish = SERVE_LENGTH;
    enum status status = sampler_new(&sampling, engine_n_vocab(engine), &answer->sampler, error);
    if (status == STATUS_OK)
        status = open_text(answer, error);
    if (status != STATUS_OK) {
        serve_answer_free(answer);
        return status;
    }
    *out = answer;
    return STATUS_OK;
}

void serve_answer_free(struct serve_answer *answer)
{
    if (!answer)
        return;
    sampler_free(answer->sampler);
    text_stream_free(answer->stream);
    thought_split_free(answer->split);
    serve_calls_free(answer->calls);
    grammar_match_free(answer->match);
    buffer_deinit(&answer->shown);
    buffer_deinit(&answer->item);
    free(answer);
}

/* ---- text ---- */

static void take_part(void *context, enum text_part part, const char *text, size_t size)
{
    struct serve_answer *answer = context;
    if (part == TEXT_ANSWER && answer->has_thought && !answer->has_text)
        while (size && (*text == '\n' || *text == ' ')) { /* the empty lines that part it from its thought */
            text++;
            size--;
        }
    if (size == 0)
        return;
    *(part == TEXT_THOUGHT ? &answer->has_thought : &answer->has_text) = true;
    if (part == TEXT_ANSWER && answer->calls)
        answer->is_called = serve_calls_push(answer->calls, text, size);
    else
        serve_choice_text(answer->choice, part, text, size);
}

static void pass_on(struct serve_answer *answer)
{
    if (answer->shown.size && answer->split)
        thought_split_push(answer->split, answer->shown.data, answer->shown.size, take_part, answer);
    else if (answer->shown.size)
        take_part(answer, TEXT_ANSWER, answer->shown.data, answer->shown.size);
    buffer_clear(&answer->shown);
}

/* In some vocabularies the marks of thoughts and calls are control tokens, which have no text of their own. */
static struct slice shown_piece(const struct serve_answer *answer, int32_t id)
{
    struct slice piece = engine_piece(answer->engine, id, false);
    if (piece.size)
        return piece;
    struct slice mark = engine_piece(answer->engine, id, true);
    bool is_thought =
        answer->split && (slice_equals(mark, answer->think_open) || slice_equals(mark, answer->think_close));
    return is_thought || (answer->calls && serve_calls_is_mark(answer->calls, mark)) ? mark : piece;
}

static void end_text(struct serve_answer *answer, bool at_stop)
{
    if (!at_stop)
        text_stream_finish(answer->stream, &answer->shown);
    pass_on(answer);
    if (answer->split)
        thought_split_finish(answer->split, take_part, answer);
    if (answer->calls && serve_calls_finish(answer->calls) > 0)
        answer->finish = SERVE_CALLS;
}

/* ---- likelihoods ---- */

static void print_token(const struct serve_answer *answer, int32_t id, double logprob, struct buffer *out)
{
    struct slice piece = engine_piece(answer->engine, id, true);
    buffer_append_text(out, "{\"token\":");
    json_append_string(out, piece.data, piece.size);
    /* A likelihood of zero has no logarithm that JSON could tell. */
    buffer_printf(out, ",\"logprob\":%.6f,\"bytes\":[", logprob < -9999 ? -9999.0 : logprob);
    for (size_t i = 0; i < piece.size; i++)
        buffer_printf(out, i ? ",%u" : "%u", (unsigned)(unsigned char)piece.data[i]);
    buffer_append_text(out, "]");
}

static void tell_logprobs(struct serve_answer *answer, const float *logits, int32_t id)
{
    struct token_probability top[LOGPROBS_MAX];
    struct buffer *item = &answer->item;
    int32_t n_vocab = engine_n_vocab(answer->engine);
    size_t n_wanted = (size_t)answer->task->n_logprobs;
    size_t n = logits_top(logits, n_vocab, top, n_wanted < LOGPROBS_MAX ? n_wanted : LOGPROBS_MAX);
    buffer_clear(item);
    print_token(answer, id, logits_logprob(logits, n_vocab, id), item);
    buffer_append_text(item, ",\"top_logprobs\":[");
    for (size_t i = 0; i < n; i++) {
        if (i)
            buffer_append_byte(item, ',');
        print_token(answer, top[i].id, (double)top[i].logprob, item);
        buffer_append_byte(item, '}');
    }
    buffer_append_text(item, "]}");
    serve_choice_logprob(answer->choice, item->data, item->size);
}

/* ---- tokens ---- */

static enum status over(struct serve_answer *answer, enum serve_finish finish, bool at_stop)
{
    answer->finish = finish;
    end_text(answer, at_stop);
    return STATUS_OK;
}

enum status serve_answer_next(struct serve_answer *answer, const float *logits, int32_t *id, bool *goes_on,
                              struct error *error)
{
    const struct serve_task *task = answer->task;
    size_t most = answer->n_room;
    *goes_on = false;
    if (task->n_predict >= 0 && (uint64_t)task->n_predict < most)
        most = (size_t)task->n_predict;
    if (answer->n >= most)
        return over(answer, SERVE_LENGTH, false);
    enum status status = answer->match ? grammar_match_pick(answer->match, answer->sampler, logits, id, error)
                                       : sampler_pick(answer->sampler, logits, id, error);
    if (status != STATUS_OK)
        return status;
    if (engine_token_is_end(answer->engine, *id))
        return over(answer, SERVE_STOP, false);
    sampler_accept(answer->sampler, *id);
    if (answer->match)
        status = grammar_match_accept(answer->match, *id, error);
    if (status != STATUS_OK)
        return status;
    answer->n++;
    struct slice piece = shown_piece(answer, *id);
    bool at_stop = text_stream_push(answer->stream, piece.data, piece.size, &answer->shown);
    pass_on(answer);
    if (task->n_logprobs >= 0)
        tell_logprobs(answer, logits, *id);
    if (at_stop || answer->is_called)
        return over(answer, SERVE_STOP, true);
    if (answer->match && grammar_match_is_finished(answer->match))
        return over(answer, SERVE_STOP, false);
    if (answer->n >= most) /* nobody asks for what follows the last token */
        return over(answer, SERVE_LENGTH, false);
    *goes_on = true;
    return STATUS_OK;
}

size_t serve_answer_n(const struct serve_answer *answer)
{
    return answer->n;
}

enum serve_finish serve_answer_finish(const struct serve_answer *answer)
{
    return answer->finish;
}
