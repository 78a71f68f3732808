/* review_answer: asks the model for the findings of several hunks at once, and bounds what it says.
 *
 *   prompt  {"findings":[                                                   ends the prompt
 *   choice  {  or  ]         by the probability of tokens that begin with them (later: , or ])
 *   given   {"severity":"
 *   choice  critical, high, medium or low, by that of tokens that begin one of them
 *   given   ","line":
 *   bound   2,"end_line":3,"title":"...","detail":"...","symbols":["..."]}  by the grammar of one finding, and sampling
 *   choice  ...
 *
 * Each hunk's session is a fork of the one before, which holds what prompts have in common; then every round gives one token to
 * each answer that isn't at its end, all in one batch.  The two choices are the model's confidence. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "app/review_private.h"

enum { TOKENS_MOST = 480 }; /* of an answer: three findings of the greatest length, nearly */

enum stage { STAGE_OPEN, STAGE_SEVERITY, STAGE_BODY, STAGE_DONE };

/* An answer in the making. */
struct making {
    struct review *review;
    struct review_answer *answer;
    struct session *session;
    struct sampler *sampler;
    struct grammar *grammar;
    struct grammar_match *match;
    struct tokens given; /* that come next, whatever the model says */
    size_t n_given;      /* of them, already */
    enum stage stage;
    size_t most; /* tokens */
    struct buffer object;
    double opened; /* probability of opening the finding */
    double confidence;
};

/* ---- what a finding looks like ---- */

static enum status make_grammar(const struct review *review, size_t hunk, struct grammar **out)
{
    struct buffer schema = {0};
    uint32_t first, last;
    review_shown_range(review, hunk, &first, &last);
    buffer_printf(
        &schema,
        "{\"type\":\"object\",\"properties\":{\"severity\":{\"enum\":[\"critical\",\"high\",\"medium\",\"low\"]},"
        "\"line\":{\"type\":\"integer\",\"minimum\":%u,\"maximum\":%u},"
        "\"end_line\":{\"type\":\"integer\",\"minimum\":%u,\"maximum\":%u},",
        first, last, first, last);
    buffer_printf(
        &schema,
        "\"title\":{\"type\":\"string\",\"minLength\":4,\"maxLength\":%d},"
        "\"detail\":{\"type\":\"string\",\"maxLength\":%d},"
        "\"symbols\":{\"type\":\"array\",\"minItems\":1,\"maxItems\":%d,\"items\":{\"type\":\"string\",\"minLength\":1,"
        "\"maxLength\":60}}},"
        "\"required\":[\"severity\",\"line\",\"end_line\",\"title\",\"detail\",\"symbols\"],"
        "\"additionalProperties\":false}",
        REVIEW_TITLE_MOST, REVIEW_DETAIL_MOST, REVIEW_SYMBOLS_MOST);
    enum status status = buffer_status(&schema, review->error);
    if (!status)
        status = grammar_from_schema(buffer_text(&schema), schema.size, out, review->error);
    buffer_deinit(&schema);
    return status;
}

static enum status give(struct making *making, const char *text)
{
    tokens_clear(&making->given);
    making->n_given = 0;
    return engine_tokenize(making->review->request->engine, text, strlen(text), ENGINE_NO_PREFIX, &making->given,
                           making->review->error);
}

/* ---- choices ---- */

/* How much of the probability of all tokens is that of those which begin, behind blanks, with the byte a, and with b. */
static void weigh_bytes(const struct engine *engine, const float *logits, char a, char b, double *weight_a,
                        double *weight_b)
{
    int32_t n = engine_n_vocab(engine);
    float greatest = logits[0];
    for (int32_t i = 1; i < n; i++)
        greatest = logits[i] > greatest ? logits[i] : greatest;
    *weight_a = *weight_b = 0;
    for (int32_t i = 0; i < n; i++) {
        struct slice piece = engine_piece(engine, i, false);
        while (piece.size && strchr(" \t\r\n", *piece.data))
            piece.data++, piece.size--;
        if (piece.size && *piece.data == a)
            *weight_a += exp((double)(logits[i] - greatest));
        else if (piece.size && *piece.data == b)
            *weight_b += exp((double)(logits[i] - greatest));
    }
}

/* The same of the words of severities: tokens that are the beginning of one, or begin with one. */
static enum review_severity weigh_severities(const struct engine *engine, const float *logits, double *share)
{
    double weights[REVIEW_N_SEVERITIES] = {0}, sum = 0;
    int32_t n = engine_n_vocab(engine);
    float greatest = logits[0];
    enum review_severity best = REVIEW_LOW;
    for (int32_t i = 1; i < n; i++)
        greatest = logits[i] > greatest ? logits[i] : greatest;
    for (int32_t i = 0; i < n; i++) {
        struct slice piece = engine_piece(engine, i, false);
        for (int k = 0; piece.size && k < REVIEW_N_SEVERITIES; k++) {
            const char *word = review_severity_name((enum review_severity)k);
            size_t same = strlen(word) < piece.size ? strlen(word) : piece.size;
            if (memcmp(word, piece.data, same) == 0)
                weights[k] += exp((double)(logits[i] - greatest));
        }
    }
    for (int k = REVIEW_N_SEVERITIES - 1; k >= 0; k--) {
        sum += weights[k];
        if (weights[k] > weights[best])
            best = (enum review_severity)k;
    }
    *share = sum > 0 ? weights[best] / sum : 0;
    return best;
}

/* Another finding, or the end of the list. */
static enum status choose_open(struct making *making, const float *logits)
{
    bool is_first = making->answer->n_raw == 0;
    double open, end;
    weigh_bytes(making->review->request->engine, logits, is_first ? '{' : ',', ']', &open, &end);
    making->opened = open + end > 0 ? open / (open + end) : 0;
    if (making->opened <= 0.5 || making->answer->n_raw == REVIEW_FINDINGS_MOST) {
        making->stage = STAGE_DONE;
        making->answer->is_whole = true;
        return STATUS_OK;
    }
    making->stage = STAGE_SEVERITY;
    return give(making, is_first ? "{\"severity\":\"" : ",{\"severity\":\"");
}

static enum status choose_severity(struct making *making, const float *logits)
{
    struct buffer rest = {0};
    double share;
    enum review_severity severity = weigh_severities(making->review->request->engine, logits, &share);
    making->confidence = making->opened * share;
    making->stage = STAGE_BODY;
    buffer_printf(&rest, "%s\",\"line\":", review_severity_name(severity));
    buffer_clear(&making->object);
    buffer_printf(&making->object, "{\"severity\":\"%s", buffer_text(&rest));
    grammar_match_reset(making->match);
    enum status status = buffer_status(&making->object, making->review->error);
    if (!status)
        status =
            grammar_match_accept_bytes(making->match, making->object.data, making->object.size, making->review->error);
    if (!status)
        status = give(making, buffer_text(&rest));
    buffer_deinit(&rest);
    return status;
}

/* ---- tokens ---- */

static enum status end_finding(struct making *making)
{
    struct review_raw *raw = &making->answer->raw[making->answer->n_raw++];
    *raw = (struct review_raw){making->object, making->confidence};
    making->object = (struct buffer){0};
    making->stage = STAGE_OPEN;
    return buffer_status(&raw->text, making->review->error);
}

static enum status pick(struct making *making, const float *logits, int32_t *id)
{
    struct review *review = making->review;
    enum status status = grammar_match_pick(making->match, making->sampler, logits, id, review->error);
    if (status)
        return status;
    sampler_accept(making->sampler, *id);
    status = grammar_match_accept(making->match, *id, review->error);
    if (status)
        return status;
    struct slice piece = engine_piece(review->request->engine, *id, false);
    buffer_append(&making->object, piece.data, piece.size);
    return grammar_match_is_finished(making->match) ? end_finding(making) : STATUS_OK;
}

/* The next token, or -1 where the answer is over. */
static enum status next_token(struct making *making, int32_t *id)
{
    const float *logits = session_logits(making->session);
    enum status status = STATUS_OK;
    *id = -1;
    if (making->n_given == making->given.n && making->stage == STAGE_OPEN)
        status = choose_open(making, logits);
    else if (making->n_given == making->given.n && making->stage == STAGE_SEVERITY)
        status = choose_severity(making, logits);
    if (status || making->stage == STAGE_DONE)
        return status;
    if (making->answer->n_tokens >= making->most) { /* what has begun is cut off, and counted as malformed */
        if (making->stage == STAGE_BODY)
            status = end_finding(making);
        making->stage = STAGE_DONE;
        making->answer->is_whole = true;
        return status;
    }
    making->answer->n_tokens++;
    if (making->n_given < making->given.n) {
        *id = making->given.ids[making->n_given++];
        return STATUS_OK;
    }
    return pick(making, logits, id);
}

/* ---- rounds ---- */

static enum status begin(struct making *making, struct review *review, const struct tokens *prompt,
                         struct review_answer *answer)
{
    const struct review_request *request = review->request;
    struct sync_report report;
    *making = (struct making){.review = review, .answer = answer};
    size_t room = (size_t)session_n_ctx(review->base);
    if (prompt->n >= room)
        return error_set(review->error, STATUS_RANGE,
                         "review: a prompt of %zu tokens leaves nothing of a context of %zu", prompt->n, room);
    room -= prompt->n;
    making->most = request->n_predict >= 0 ? (size_t)request->n_predict : TOKENS_MOST;
    making->most = making->most < room ? making->most : room;
    enum status status = make_grammar(review, answer->hunk, &making->grammar);
    if (!status)
        status = grammar_match_new(making->grammar, request->engine, &making->match, review->error);
    if (!status)
        status = sampler_new(&request->sampling, engine_n_vocab(request->engine), &making->sampler, review->error);
    if (!status)
        status = session_fork(review->base, &making->session, review->error);
    if (!status)
        status = session_sync(making->session, prompt->ids, prompt->n, &report, review->error);
    if (!status) {
        review->out->n_prompt += prompt->n;
        review->out->n_reused += report.n_reused;
    }
    return status;
}

static void deinit(struct making *making)
{
    session_close(making->session);
    sampler_free(making->sampler);
    grammar_match_free(making->match);
    grammar_free(making->grammar);
    tokens_deinit(&making->given);
    buffer_deinit(&making->object);
}

/* One token for each; *n_going the number of those that go on. */
static enum status run_round(struct review *review, struct making *makings, size_t n, size_t *n_going)
{
    struct session *sessions[REVIEW_TOGETHER];
    int32_t ids[REVIEW_TOGETHER];
    const atomic_bool *cancel = review->request->cancel;
    enum status status = STATUS_OK;
    *n_going = 0;
    if (cancel && atomic_load(cancel))
        return error_set(review->error, STATUS_CANCELLED, "interrupted");
    for (size_t i = 0; !status && i < n; i++) {
        int32_t id = -1;
        if (makings[i].stage != STAGE_DONE)
            status = next_token(&makings[i], &id);
        if (status || id < 0)
            continue;
        sessions[*n_going] = makings[i].session;
        ids[(*n_going)++] = id;
    }
    return status || !*n_going ? status : session_append_many(sessions, ids, *n_going, cancel, review->error);
}

enum status review_answer_run(struct review *review, const struct tokens *prompts, struct review_answer *answers,
                              size_t n)
{
    struct making makings[REVIEW_TOGETHER] = {0};
    enum status status = STATUS_OK;
    size_t n_going = 1;
    for (size_t i = 0; !status && i < n; i++)
        status = begin(&makings[i], review, &prompts[i], &answers[i]);
    while (!status && n_going)
        status = run_round(review, makings, n, &n_going);
    for (size_t i = 0; i < n; i++) {
        review->out->n_answered += answers[i].n_tokens;
        deinit(&makings[i]);
    }
    return status;
}

void review_answer_deinit(struct review_answer *answer)
{
    for (size_t i = 0; i < answer->n_raw; i++)
        buffer_deinit(&answer->raw[i].text);
    answer->n_raw = 0;
}
