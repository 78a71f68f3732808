/* command_perplexity: how well a model foretells a text.
 *
 * The text's tokens, BOS first where the model adds one, are cut into chunks of n tokens that don't overlap; a last chunk
 * that is incomplete is dropped.  In each chunk the first token is replaced by BOS (again: where the model adds one) and the
 * tokens n/2 + 1 .. n - 1 are scored, each by the logits after the one before it.  nll is the mean of their negative
 * log-probabilities, ppl is exp(nll).  So does llama.cpp's llama-perplexity, and figures for the same text compare. */
#include <math.h>

#include <cjson/cJSON.h>

#include "app/command.h"

enum { DEFAULT_CHUNK = 512, MIN_CHUNK = 4, MAX_TEXT = 1 << 30 };

struct score {
    const int32_t *ids; /* the chunk */
    size_t n;
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

static enum status score_chunks(struct engine *engine, struct session *session, struct tokens *tokens, size_t chunk,
                                struct score *score, struct error *error)
{
    int32_t bos;
    enum status status = find_bos(engine, &bos, error);
    size_t n_chunks = tokens->n / chunk;
    score->total = n_chunks * chunk;
    for (size_t i = 0; status == STATUS_OK && i < n_chunks; i++) {
        int32_t *ids = tokens->ids + i * chunk;
        progress_update(score->context->progress, "scoring", score->done, score->total);
        if (bos >= 0)
            ids[0] = bos;
        score->ids = ids;
        score->n = chunk;
        /* The logits after the last token would foretell what isn't in the chunk. */
        status = session_score(session, ids, chunk - 1, chunk / 2, take_logits, score, error);
        score->done += chunk;
    }
    progress_update(score->context->progress, "scoring", score->total, score->total);
    if (status == STATUS_OK && atomic_load(score->context->cancel))
        status = error_set(error, STATUS_CANCELLED, "interrupted");
    return status;
}

static void print(const struct command_context *context, const struct score *score, size_t n_chunks, size_t chunk)
{
    double nll = score->nll / (double)score->n_scored;
    if (!context->settings->json) {
        output_printf(context->out, "ppl %.4f  nll %.6f  (%zu tokens scored, in %zu chunk%s of %zu)\n", exp(nll), nll,
                      score->n_scored, n_chunks, n_chunks == 1 ? "" : "s", chunk);
        return;
    }
    cJSON *object = cJSON_CreateObject();
    json_add_real(object, "ppl", exp(nll), 6);
    json_add_real(object, "nll", nll, 8);
    json_add_integer(object, "n_scored", (int64_t)score->n_scored);
    json_add_integer(object, "n_chunks", (int64_t)n_chunks);
    json_add_integer(object, "chunk", (int64_t)chunk);
    output_json(context->out, object);
}

static enum exit_status measure(const struct command_context *context, struct engine *engine, const char *path,
                                struct tokens *tokens, size_t chunk)
{
    struct error error;
    struct session *session;
    if (tokens->n < chunk)
        return command_fail_with(context, STATUS_RANGE,
                                 "%.80s: its %zu tokens don't fill a chunk of %zu (choose a smaller one by -c)", path,
                                 tokens->n, chunk);
    struct session_options options = command_session_options(context);
    options.n_ctx = (int32_t)chunk;
    options.progress = NULL; /* the whole text's progress is told here */
    enum status status = session_open(engine, &options, &session, &error);
    if (status != STATUS_OK)
        return command_fail(context, &error, NULL);
    struct score score = {.n_vocab = engine_n_vocab(engine), .context = context};
    status = score_chunks(engine, session, tokens, chunk, &score, &error);
    session_close(session);
    if (status != STATUS_OK)
        return command_fail(context, &error, NULL);
    print(context, &score, tokens->n / chunk, chunk);
    return EXIT_DONE;
}

static enum exit_status run(const struct command_context *context)
{
    const struct settings *settings = context->settings;
    struct engine *engine = NULL;
    struct error error;
    struct buffer text = {0};
    struct tokens tokens = {0};
    /* A configured context is meant for chats; a chunk is chosen on the command line. */
    bool is_chosen = settings->sources[OPTION_CONTEXT].origin == ORIGIN_COMMAND_LINE && settings->context;
    size_t chunk = is_chosen ? (size_t)settings->context : DEFAULT_CHUNK;
    if (!settings->file)
        return command_fail_with(context, STATUS_ARGUMENT, "perplexity: no text (name it: -f FILE, - is stdin)");
    if (chunk < MIN_CHUNK)
        return command_fail_with(context, STATUS_ARGUMENT, "-c/--context: a chunk has at least %d tokens", MIN_CHUNK);
    enum status status = input_read_file(settings->file, context->cancel, MAX_TEXT, &text, &error);
    if (status == STATUS_OK)
        status = settings_open_engine(settings, &engine, &error);
    if (status == STATUS_OK)
        status = engine_tokenize(engine, buffer_text(&text), text.size, ENGINE_BEGIN, &tokens, &error);
    enum exit_status result = status == STATUS_OK ? measure(context, engine, settings->file, &tokens, chunk)
                                                  : command_fail(context, &error, NULL);
    buffer_deinit(&text);
    tokens_deinit(&tokens);
    engine_close(engine);
    return result;
}

static const enum option_id options[] = {OPTION_FILE};

const struct command command_perplexity = {
    .name = "perplexity",
    .synopsis = "-f FILE [-c N]",
    .summary = "measure how well a model foretells a text",
    .help =
        "Prints the perplexity of a text: e to the mean negative log-probability (nll) of its tokens. The text is cut "
        "into chunks of -c tokens (512) that don't overlap; each begins with BOS where the model adds one, and its "
        "first "
        "half is read but not scored. What is left over at the end and fills no chunk is dropped.\n"
        "\n"
        "  fathom perplexity -f README.md\n"
        "  git show HEAD:main.c | fathom perplexity -f - -c 1024",
    .options = options,
    .n_options = sizeof options / sizeof *options,
    .run = run,
};
