/* perplexity: see perplexity.h. */
#include "app/perplexity.h"

enum { DEFAULT_CHUNK = 512, MIN_CHUNK = 4, MAX_TEXT = 1 << 30 };

struct score {
    const int32_t *ids; /* the chunk */
    int32_t n_vocab;
    double nll; /* sum over all chunks */
    size_t n_scored;
    const struct command_context *context;
    size_t done, total; /* tokens, for the progress line */
};

static bool take_logits(void *data, size_t position, const float *logits)
{
    struct score *score = data;
    score->nll -= logits_logprob(logits, score->n_vocab, score->ids[position + 1]);
    score->n_scored++;
    progress_update(score->context->progress, "scoring", score->done + position + 1, score->total);
    return true;
}

/* BOS, where the model puts one before a text, else -1: told by what tokenisation adds in front. */
static enum status find_bos(const struct engine *engine, int32_t *bos, struct error *error)
{
    struct tokens with = {0}, without = {0};
    enum status status = engine_tokenize(engine, "a", 1, ENGINE_BEGIN, &with, error);
    if (status == STATUS_OK)
        status = engine_tokenize(engine, "a", 1, 0, &without, error);
    *bos = -1;
    if (status == STATUS_OK && with.n > without.n && without.n && with.ids[0] != without.ids[0])
        *bos = with.ids[0];
    tokens_deinit(&with);
    tokens_deinit(&without);
    return status;
}

static enum status score_chunks(struct perplexity_text *text, struct session *session, struct score *score,
                                struct error *error)
{
    int32_t bos;
    enum status status = find_bos(text->engine, &bos, error);
    score->total = text->n_chunks * text->chunk;
    for (size_t i = 0; status == STATUS_OK && i < text->n_chunks; i++) {
        int32_t *ids = text->tokens.ids + i * text->chunk;
        progress_update(score->context->progress, "scoring", score->done, score->total);
        if (bos >= 0)
            ids[0] = bos;
        score->ids = ids;
        /* The logits after the last token would foretell what isn't in the chunk. */
        status = session_score(session, ids, text->chunk - 1, text->chunk / 2, take_logits, score, error);
        score->done += text->chunk;
    }
    progress_update(score->context->progress, "scoring", score->total, score->total);
    if (status == STATUS_OK && atomic_load(score->context->cancel))
        status = error_set(error, STATUS_CANCELLED, "interrupted");
    return status;
}

enum status perplexity_measure(struct perplexity_text *text, const struct command_context *context, enum kv_type kv,
                               struct perplexity *out, struct error *error)
{
    struct session *session;
    struct session_options options = command_session_options(context);
    options.n_ctx = (int32_t)text->chunk;
    options.kv = kv;
    options.progress = NULL; /* the whole text's progress is told here */
    enum status status = session_open(text->engine, &options, &session, error);
    if (status != STATUS_OK)
        return status;
    struct score score = {.n_vocab = engine_n_vocab(text->engine), .context = context};
    status = score_chunks(text, session, &score, error);
    *out = (struct perplexity){.nll = score.n_scored ? score.nll / (double)score.n_scored : 0,
                               .n_scored = score.n_scored,
                               .kv_per_token = session_kv_bytes_per_token(session)};
    session_close(session);
    return status;
}

/* ---- the text ---- */

static enum status cut(struct perplexity_text *text, const char *path, struct error *error)
{
    if (text->tokens.n < text->chunk)
        return error_set(error, STATUS_RANGE,
                         "%.80s: its %zu tokens don't fill a chunk of %zu (choose a smaller one by -c)", path,
                         text->tokens.n, text->chunk);
    text->n_chunks = text->tokens.n / text->chunk;
    return STATUS_OK;
}

enum status perplexity_text_init(struct perplexity_text *text, const struct command_context *context, const char *what,
                                 struct error *error)
{
    const struct settings *settings = context->settings;
    struct buffer bytes = {0};
    /* A configured context is meant for chats; a chunk is chosen on the command line. */
    bool is_chosen = settings->sources[OPTION_CONTEXT].origin == ORIGIN_COMMAND_LINE && settings->context;
    *text = (struct perplexity_text){.chunk = is_chosen ? (size_t)settings->context : DEFAULT_CHUNK};
    if (!settings->file)
        return error_set(error, STATUS_ARGUMENT, "%s: no text (name it: -f FILE, - is stdin)", what);
    if (text->chunk < MIN_CHUNK)
        return error_set(error, STATUS_ARGUMENT, "-c/--context: a chunk has at least %d tokens", MIN_CHUNK);
    enum status status = input_read_file(settings->file, context->cancel, MAX_TEXT, &bytes, error);
    if (status == STATUS_OK)
        status = settings_open_engine(settings, &text->engine, error);
    if (status == STATUS_OK)
        status = engine_tokenize(text->engine, buffer_text(&bytes), bytes.size, ENGINE_BEGIN, &text->tokens, error);
    buffer_deinit(&bytes);
    return status == STATUS_OK ? cut(text, settings->file, error) : status;
}

void perplexity_text_deinit(struct perplexity_text *text)
{
    tokens_deinit(&text->tokens);
    engine_close(text->engine);
    *text = (struct perplexity_text){0};
}
