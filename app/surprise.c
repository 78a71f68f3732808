/* surprise: see surprise.h. */
#include "app/surprise.h"

#include <stdlib.h>
#include <string.h>

enum { BYTES_BEFORE = 16 * SURPRISE_BEFORE, LINES_MOST = 1 << 22 };

struct surprise {
    struct engine *engine;
    struct session *session;
    int32_t bos; /* -1: none */
};

enum status surprise_open(struct engine *engine, const struct session_options *options, struct surprise **out,
                          struct error *error)
{
    struct surprise *surprise = calloc(1, sizeof *surprise);
    if (!surprise)
        return error_set(error, STATUS_MEMORY, "out of memory");
    struct session_options own = *options;
    own.n_ctx = 1 + SURPRISE_BEFORE + SURPRISE_AT_ONCE;
    own.drafts = false;
    own.progress = NULL;
    surprise->engine = engine;
    surprise->bos = engine_fim_marks(engine)->begin;
    enum status status = session_open(engine, &own, &surprise->session, error);
    if (status) {
        free(surprise);
        return status;
    }
    *out = surprise;
    return STATUS_OK;
}

void surprise_close(struct surprise *surprise)
{
    if (!surprise)
        return;
    session_close(surprise->session);
    free(surprise);
}

void surprise_text_deinit(struct surprise_text *text)
{
    tokens_deinit(&text->ids);
    free(text->tokens);
    free(text->lines);
    *text = (struct surprise_text){0};
}

double surprise_of(const struct surprise_line *line)
{
    return line->n_tokens ? line->nats / line->n_tokens : 0;
}

const struct surprise_token *surprise_peak(const struct surprise_text *text, const struct surprise_line *line)
{
    const struct surprise_token *peak = NULL;
    for (uint32_t i = 0; i < line->n_tokens; i++) {
        const struct surprise_token *token = &text->tokens[line->first_token + i];
        if (!peak || token->logprob < peak->logprob)
            peak = token;
    }
    return peak;
}

/* ---- which tokens ---- */

/* The byte where a line (from 0) begins; the text's end beyond its last. */
static size_t begin_of(struct slice text, uint64_t line)
{
    const char *at = text.data, *end = text.data + text.size;
    for (; line && at < end; line--) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        at = newline ? newline + 1 : end;
    }
    return (size_t)(at - text.data);
}

/* A beginning of a line up to BYTES_BEFORE before a byte that begins one; where lines are longer, a place within one. */
static size_t begin_before(struct slice text, size_t at)
{
    if (at <= BYTES_BEFORE)
        return 0;
    size_t from = at - BYTES_BEFORE;
    const char *newline = memchr(text.data + from, '\n', at - from);
    if (newline && newline + 1 < text.data + at)
        return (size_t)(newline + 1 - text.data);
    while (from < at && ((unsigned char)text.data[from] & 0xc0) == 0x80) /* not within a character */
        from++;
    return from;
}

/* Adds the token to its line. */
static enum status add_token(struct surprise_text *out, const struct surprise_token *token, struct error *error)
{
    if (out->n_tokens == out->tokens_capacity) {
        size_t capacity = out->tokens_capacity ? 2 * out->tokens_capacity : 256;
        struct surprise_token *tokens = realloc(out->tokens, capacity * sizeof *tokens);
        if (!tokens)
            return error_set(error, STATUS_MEMORY, "out of memory");
        out->tokens = tokens;
        out->tokens_capacity = capacity;
    }
    struct surprise_line *line = &out->lines[token->line];
    if (!line->n_tokens)
        line->first_token = (uint32_t)out->n_tokens;
    line->n_tokens++;
    out->tokens[out->n_tokens++] = *token;
    return STATUS_OK;
}

/* Finds the tokens that begin within the lines: lines are told by the newlines in tokens, which holds where these don't give the
 * text's bytes, too. */
static enum status place_tokens(const struct engine *engine, struct surprise_text *out, uint64_t lines_before,
                                struct error *error)
{
    uint64_t line = 0;
    for (size_t i = 0; i < out->ids.n; i++) {
        struct slice piece = engine_piece(engine, out->ids.ids[i], false);
        if (line >= lines_before) {
            struct surprise_token token = {.id = out->ids.ids[i], .line = (uint32_t)(line - lines_before), .at = i};
            if (token.line >= out->n_lines)
                break;
            enum status status = add_token(out, &token, error);
            if (status)
                return status;
        }
        for (size_t k = 0; k < piece.size; k++)
            line += piece.data[k] == '\n';
    }
    return STATUS_OK;
}

static enum status find_tokens(const struct engine *engine, struct slice text, uint32_t first,
                               struct surprise_text *out, struct error *error)
{
    size_t begin = begin_of(text, first), from = begin_before(text, begin);
    struct slice rest = {text.data + begin, text.size - begin};
    size_t end = begin + begin_of(rest, out->n_lines);
    uint64_t lines_before = 0;
    if (end - begin > SURPRISE_BYTES)
        end = begin + SURPRISE_BYTES;
    for (size_t i = from; i < begin; i++)
        lines_before += text.data[i] == '\n';
    if (end == begin)
        return STATUS_OK;
    enum status status =
        engine_tokenize(engine, text.data + from, end - from, from ? ENGINE_NO_PREFIX : 0, &out->ids, error);
    return status ? status : place_tokens(engine, out, lines_before, error);
}

/* ---- what the model says of them ---- */

struct scoring {
    struct surprise_text *out;
    int32_t n_vocab;
    size_t next, last; /* of out->tokens */
};

static bool take(void *context, size_t position, const float *logits)
{
    struct scoring *scoring = context;
    struct surprise_token *token = &scoring->out->tokens[scoring->next++];
    (void)position;
    token->logprob = (float)logits_logprob(logits, scoring->n_vocab, token->id);
    size_t n = logits_top(logits, scoring->n_vocab, token->top, SURPRISE_TOP);
    for (; n < SURPRISE_TOP; n++)
        token->top[n] = (struct token_probability){.id = -1};
    scoring->out->lines[token->line].nats -= token->logprob;
    return scoring->next < scoring->last;
}

/* Up to SURPRISE_AT_ONCE tokens from *at on, behind those before them. */
static enum status score_window(struct surprise *surprise, struct surprise_text *out, size_t *at, struct error *error)
{
    struct tokens window = {0};
    size_t first = out->tokens[*at].at, last = *at + SURPRISE_AT_ONCE, begin;
    if (last > out->n_tokens)
        last = out->n_tokens;
    if (first == 0 && surprise->bos < 0) { /* nothing foretells the first token of a text */
        struct surprise_token *token = &out->tokens[(*at)++];
        out->lines[token->line].first_token++;
        out->lines[token->line].n_tokens--;
        return STATUS_OK;
    }
    begin = first > SURPRISE_BEFORE ? first - SURPRISE_BEFORE : 0;
    if (surprise->bos >= 0)
        tokens_append(&window, surprise->bos);
    size_t n_bos = window.n;
    /* The last token's own logits foretell what isn't asked for. */
    tokens_append_all(&window, out->ids.ids + begin, out->tokens[last - 1].at - begin);
    struct scoring scoring = {out, engine_n_vocab(surprise->engine), *at, last};
    enum status status = tokens_status(&window, error);
    for (size_t i = *at; i < last; i++)
        out->tokens[i].window = begin;
    if (!status)
        status =
            session_score(surprise->session, window.ids, window.n, n_bos + (first - begin) - 1, take, &scoring, error);
    tokens_deinit(&window);
    *at = last;
    return status;
}

enum status surprise_read(struct surprise *surprise, struct slice text, uint32_t first, uint32_t n,
                          struct surprise_text *out, struct error *error)
{
    *out = (struct surprise_text){0};
    if (n > LINES_MOST)
        n = LINES_MOST;
    out->lines = calloc(n ? n : 1, sizeof *out->lines);
    if (!out->lines)
        return error_set(error, STATUS_MEMORY, "out of memory");
    out->n_lines = n;
    enum status status = find_tokens(surprise->engine, text, first, out, error);
    for (size_t at = 0; !status && at < out->n_tokens;)
        status = score_window(surprise, out, &at, error);
    if (status)
        surprise_text_deinit(out);
    return status;
}
