/* turn: see turn.h. */
#include "app/turn.h"

#include <stdio.h>
#include <string.h>

#include "app/turn_prompt.h"
#include "app/turn_shift.h"

struct turn {
    struct session *session;
    struct sampler *sampler;
    const struct turn_options *options;
    struct turn_result *result;
    struct turn_prompt prompt;
    struct tokens answer; /* the sampled ids that stand in the context after the prompt */
    struct text_stream *stream;
    struct thought_split *split; /* NULL where the template knows no thoughts */
    const char *think_open, *think_close;
    struct buffer text, thought, shown;
    bool is_refused; /* on_text said false */
};

const char *turn_stop_name(enum turn_stop stop)
{
    static const char *const names[] = {
        [TURN_END] = "eot",         [TURN_LIMIT] = "limit",         [TURN_STRING] = "string",
        [TURN_CONTEXT] = "context", [TURN_CANCELLED] = "cancelled",
    };
    return names[stop];
}

double turn_speed(const struct turn_result *result)
{
    /* The first token comes with the prompt; only those after it take decode_ms. */
    return result->n_tokens > 1 && result->decode_ms > 0 ? (double)(result->n_tokens - 1) * 1e3 / result->decode_ms : 0;
}

static bool is_cancelled(const struct turn *turn)
{
    return turn->is_refused || (turn->options->cancel && atomic_load(turn->options->cancel));
}

/* ---- text on its way out ---- */

static void take_part(void *context, enum text_part part, const char *text, size_t size)
{
    struct turn *turn = context;
    struct buffer *whole = part == TEXT_THOUGHT ? &turn->thought : &turn->text;
    if (part == TEXT_ANSWER && turn->text.size == 0 && turn->thought.size)
        while (size && (*text == '\n' || *text == ' ')) { /* the empty lines that part it from its thought */
            text++;
            size--;
        }
    if (size == 0)
        return;
    buffer_append(whole, text, size);
    if (turn->options->on_text && !turn->is_refused)
        turn->is_refused = !turn->options->on_text(turn->options->context, part, text, size);
}

static void pass_on(struct turn *turn)
{
    if (turn->shown.size == 0)
        return;
    if (turn->split)
        thought_split_push(turn->split, turn->shown.data, turn->shown.size, take_part, turn);
    else
        take_part(turn, TEXT_ANSWER, turn->shown.data, turn->shown.size);
    buffer_clear(&turn->shown);
}

/* True when a stop string is complete. */
static bool show_token(struct turn *turn, int32_t id)
{
    struct slice piece = engine_piece(turn->prompt.engine, id, false);
    if (piece.size == 0 && turn->split) {
        /* In some vocabularies the thinking marks are control tokens, which have no text of their own. */
        struct slice mark = engine_piece(turn->prompt.engine, id, true);
        if (slice_equals(mark, turn->think_open) || slice_equals(mark, turn->think_close))
            piece = mark;
    }
    bool is_stopped = text_stream_push(turn->stream, piece.data, piece.size, &turn->shown);
    pass_on(turn);
    return is_stopped;
}

static void finish_text(struct turn *turn)
{
    if (turn->result->stop != TURN_STRING)
        text_stream_finish(turn->stream, &turn->shown);
    pass_on(turn);
    if (turn->split)
        thought_split_finish(turn->split, take_part, turn);
}

const char *turn_unflagged_end(const struct engine *engine, const struct chat_template *chat)
{
    const char *turn_end = chat_template_turn_end(chat);
    if (!turn_end || !*turn_end)
        return NULL;
    struct tokens ids = {0};
    bool is_flagged = engine_tokenize(engine, turn_end, strlen(turn_end), ENGINE_SPECIAL | ENGINE_NO_PREFIX, &ids,
                                      NULL) == STATUS_OK &&
                      ids.n == 1 && engine_token_is_end(engine, ids.ids[0]);
    tokens_deinit(&ids);
    return is_flagged ? NULL : turn_end;
}

static enum status open_text(struct turn *turn, struct error *error)
{
    const struct chat_template *chat = engine_chat(turn->prompt.engine, error);
    if (!chat)
        return error && error->status != STATUS_OK ? error->status : STATUS_UNSUPPORTED;
    bool starts_inside = false;
    turn->think_open = chat_template_think_open(chat);
    turn->think_close = chat_template_think_close(chat, &starts_inside);
    const char *stops[17];
    size_t n = 0;
    const char *turn_end = turn_unflagged_end(turn->prompt.engine, chat);
    if (turn->options->n_stops > 16)
        return error_set(error, STATUS_ARGUMENT, "at most 16 stop strings");
    for (; n < turn->options->n_stops; n++)
        stops[n] = turn->options->stops[n];
    if (turn_end)
        stops[n++] = turn_end;
    enum status status = text_stream_new(stops, n, &turn->stream, error);
    if (status == STATUS_OK && turn->think_open && turn->think_close)
        status = thought_split_new(turn->think_open, turn->think_close, starts_inside, &turn->split, error);
    return status;
}

/* ---- the context ---- */

/* As far as the session holds the same text, its tokens are taken. */
static enum status reuse(struct turn *turn, struct tokens *all, struct error *error)
{
    const struct engine *engine = turn->prompt.engine;
    enum status status = turn->options->shift ? turn_shift(engine, turn->session, all, error) : STATUS_OK;
    size_t n;
    const int32_t *ids = session_tokens(turn->session, &n);
    turn_prompt_splice(engine, ids, n, all);
    return status;
}

/* Makes the session hold the prompt and what there is of the answer. */
static enum status read_prompt(struct turn *turn, struct error *error)
{
    struct tokens all = {0};
    struct sync_report report = {0};
    tokens_append_all(&all, turn->prompt.tokens.ids, turn->prompt.tokens.n);
    tokens_append_all(&all, turn->answer.ids, turn->answer.n);
    uint64_t began = clock_now_ns();
    enum status status = tokens_status(&all, error);
    if (status == STATUS_OK)
        status = reuse(turn, &all, error);
    if (status == STATUS_OK)
        status = session_sync(turn->session, all.ids, all.n, &report, error);
    tokens_deinit(&all);
    turn->result->n_reused += report.n_reused;
    turn->result->n_evaluated += report.n_evaluated;
    turn->result->read_ms += (double)(clock_now_ns() - began) / 1e6;
    return status;
}

/* Forgets the older half of the answer, a whole line more where one ends soon. */
static void halve_answer(struct turn *turn, struct turn_notice *notice)
{
    struct tokens *answer = &turn->answer;
    size_t cut = (answer->n + 1) / 2;
    for (size_t i = cut; i < cut + answer->n / 8; i++) {
        struct slice piece = engine_piece(turn->prompt.engine, answer->ids[i], false);
        if (piece.size && piece.data[piece.size - 1] == '\n') {
            cut = i + 1;
            break;
        }
    }
    memmove(answer->ids, answer->ids + cut, (answer->n - cut) * sizeof *answer->ids);
    answer->n -= cut;
    notice->n_tokens += cut;
}

/* The context is full in the middle of an answer: makes room and reads anew what stays.  *is_stuck where there is none. */
static enum status make_room(struct turn *turn, bool *is_stuck, struct error *error)
{
    struct turn_prompt *prompt = &turn->prompt;
    bool dropped;
    enum status status = turn_prompt_shrink(prompt, turn->answer.n, &dropped, error);
    if (status != STATUS_OK)
        return status;
    struct turn_notice notice = {.kind = TURN_CUT_ANSWER};
    size_t room = (prompt->reserve + 3) / 4;
    while (turn->answer.n && prompt->tokens.n + turn->answer.n + room > prompt->n_ctx)
        halve_answer(turn, &notice);
    *is_stuck = prompt->tokens.n + turn->answer.n >= prompt->n_ctx;
    if (notice.n_tokens && !*is_stuck) {
        snprintf(notice.text, sizeof notice.text,
                 "left out the beginning of this answer (%s tokens) for the model: the context holds %s",
                 grouped_number(notice.n_tokens).text, grouped_number(prompt->n_ctx).text);
        if (turn->options->on_notice)
            turn->options->on_notice(turn->options->context, &notice);
    }
    return *is_stuck ? STATUS_OK : read_prompt(turn, error);
}

/* ---- the answer ---- */

/* One token.  *goes_on false: the answer is over, result->stop says why. */
static enum status answer_token(struct turn *turn, bool *goes_on, struct error *error)
{
    int32_t id;
    enum status status = sampler_pick(turn->sampler, session_logits(turn->session), &id, error);
    if (status != STATUS_OK)
        return status;
    *goes_on = false;
    if (engine_token_is_end(turn->prompt.engine, id)) {
        turn->result->stop = TURN_END;
        return STATUS_OK;
    }
    size_t n_past;
    session_tokens(turn->session, &n_past);
    if (n_past >= turn->prompt.n_ctx) {
        bool is_stuck;
        status = make_room(turn, &is_stuck, error);
        if (status != STATUS_OK)
            return status;
        turn->result->stop = TURN_CONTEXT;
        *goes_on = !is_stuck;
        return STATUS_OK; /* the logits are new ones: pick again */
    }
    sampler_accept(turn->sampler, id);
    tokens_append(&turn->answer, id);
    turn->result->n_tokens++;
    if (show_token(turn, id)) {
        turn->result->stop = TURN_STRING;
        return STATUS_OK;
    }
    *goes_on = true;
    status = tokens_status(&turn->answer, error);
    if (status != STATUS_OK ||
        (turn->options->n_predict >= 0 && turn->result->n_tokens >= (uint64_t)turn->options->n_predict))
        return status; /* nobody asks for what follows the last token */
    return session_append(turn->session, id, error);
}

static enum status answer(struct turn *turn, struct error *error)
{
    enum status status = STATUS_OK;
    bool goes_on = true;
    uint64_t first = 0;
    while (status == STATUS_OK && goes_on) {
        if (turn->options->n_predict >= 0 && turn->result->n_tokens >= (uint64_t)turn->options->n_predict) {
            turn->result->stop = TURN_LIMIT;
            break;
        }
        if (is_cancelled(turn)) {
            turn->result->stop = TURN_CANCELLED;
            break;
        }
        size_t before = turn->result->n_tokens;
        status = answer_token(turn, &goes_on, error);
        uint64_t now = clock_now_ns();
        if (before == 0 && turn->result->n_tokens == 1)
            first = now;
        if (first)
            turn->result->decode_ms = (double)(now - first) / 1e6;
    }
    if (status == STATUS_CANCELLED) {
        turn->result->stop = TURN_CANCELLED;
        status = STATUS_OK;
    }
    return status;
}

static enum status keep_answer(struct turn *turn, struct error *error)
{
    if (turn->text.failed || turn->thought.failed || turn->shown.failed)
        return error_set(error, STATUS_MEMORY, "out of memory");
    struct conversation_message *message =
        conversation_add(turn->prompt.conversation, CHAT_ASSISTANT, buffer_text(&turn->text), turn->text.size);
    if (!message)
        return error_set(error, STATUS_MEMORY, "out of memory");
    message->thought = turn->thought;
    turn->thought = (struct buffer){0};
    return STATUS_OK;
}

static enum status run(struct turn *turn, struct error *error)
{
    enum status status = open_text(turn, error);
    if (status == STATUS_OK)
        status = turn_prompt_fit(&turn->prompt, error);
    if (status != STATUS_OK)
        return status;
    if (turn->options->on_prompt)
        turn->options->on_prompt(turn->options->context, &turn->prompt.tokens);
    status = read_prompt(turn, error);
    if (status == STATUS_CANCELLED) {
        turn->result->stop = TURN_CANCELLED;
        return STATUS_OK;
    }
    if (status != STATUS_OK)
        return status;
    struct draft_counts before = session_draft_counts(turn->session);
    status = answer(turn, error);
    struct draft_counts after = session_draft_counts(turn->session);
    turn->result->n_drafted = (size_t)(after.n_drafted - before.n_drafted);
    turn->result->n_accepted = (size_t)(after.n_accepted - before.n_accepted);
    finish_text(turn);
    bool is_empty = turn->text.size + turn->thought.size == 0;
    if (is_empty && (status != STATUS_OK || turn->result->stop == TURN_CANCELLED))
        return status;
    enum status kept = keep_answer(turn, status == STATUS_OK ? error : NULL);
    return status == STATUS_OK ? kept : status;
}

enum status turn_run(struct engine *engine, struct session *session, struct sampler *sampler,
                     struct conversation *conversation, const struct turn_options *options, struct turn_result *result,
                     struct error *error)
{
    size_t n_ctx = (size_t)session_n_ctx(session);
    *result = (struct turn_result){.stop = TURN_END};
    if (conversation->n == 0 || conversation->messages[conversation->n - 1].role != CHAT_USER)
        return error_set(error, STATUS_ARGUMENT, "there is no question to answer");
    struct turn turn = {.session = session,
                        .sampler = sampler,
                        .options = options,
                        .result = result,
                        .prompt = {.engine = engine,
                                   .conversation = conversation,
                                   .options = options,
                                   .n_ctx = n_ctx,
                                   .reserve = turn_prompt_reserve(n_ctx, options->n_predict)}};
    enum status status = run(&turn, error);
    tokens_deinit(&turn.prompt.tokens);
    tokens_deinit(&turn.answer);
    text_stream_free(turn.stream);
    thought_split_free(turn.split);
    buffer_deinit(&turn.text);
    buffer_deinit(&turn.thought);
    buffer_deinit(&turn.shown);
    return status;
}
