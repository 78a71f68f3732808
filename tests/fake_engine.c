/* fake_engine: see fake_engine.h. */
#include "tests/fake_engine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "engine/piece_order.h"

struct fake_engine fake_engine;

struct engine {
    struct model_info info;
    char *path;
    struct chat_template *chat;
    struct piece_order *pieces;
    int n_threads;
};

struct vocabulary {
    int32_t n;
};

struct session {
    struct engine *engine;
    struct session_options options;
    struct tokens tokens;
    const char *answer;
    size_t n_appended;
    float logits[FAKE_N_VOCAB];
    bool has_logits;
    struct draft_counts counts;
};

void fake_engine_reset(void)
{
    tokens_deinit(&fake_engine.last_sync);
    fake_engine = (struct fake_engine){0};
}

static void wait_us(unsigned long us)
{
    struct timespec time = {(time_t)(us / 1000000), (long)(us % 1000000) * 1000};
    if (us)
        nanosleep(&time, NULL);
}

/* ---- vocabulary ---- */

static const char bytes_in_order[256] = {
#define ROW(n)                                                                                                         \
    (char)(n), (char)((n) + 1), (char)((n) + 2), (char)((n) + 3), (char)((n) + 4), (char)((n) + 5), (char)((n) + 6),   \
        (char)((n) + 7)
#define ROWS(n)                                                                                                        \
    ROW(n), ROW((n) + 8), ROW((n) + 16), ROW((n) + 24), ROW((n) + 32), ROW((n) + 40), ROW((n) + 48), ROW((n) + 56)
    ROWS(0),
    ROWS(64),
    ROWS(128),
    ROWS(192),
#undef ROWS
#undef ROW
};

static const char *const special_texts[] = {"<|bos|>", "<|im_start|>", "<|im_end|>"};

static struct slice piece(int32_t id, bool special)
{
    if (id >= 0 && id < 256)
        return (struct slice){&bytes_in_order[id], 1};
    if (id == FAKE_PAIR)
        return slice_from("he");
    if (special && id >= FAKE_BOS && id <= FAKE_END)
        return slice_from(special_texts[id - FAKE_BOS]);
    return (struct slice){"", 0};
}

static enum status tokenize(const char *text, size_t size, unsigned flags, struct tokens *out, struct error *error)
{
    if ((flags & ENGINE_BEGIN) && fake_engine.adds_bos)
        tokens_append(out, FAKE_BOS);
    for (size_t i = 0; i < size;) {
        bool found = false;
        for (int32_t s = 0; (flags & ENGINE_SPECIAL) && !found && s < 3; s++) {
            size_t length = strlen(special_texts[s]);
            if (size - i >= length && memcmp(text + i, special_texts[s], length) == 0) {
                tokens_append(out, FAKE_BOS + s);
                i += length;
                found = true;
            }
        }
        if (!found)
            tokens_append(out, (unsigned char)text[i++]);
    }
    return tokens_status(out, error);
}

static void decode(const int32_t *ids, size_t n, bool special, struct buffer *out)
{
    for (size_t i = 0; i < n; i++) {
        struct slice text = piece(ids[i], special);
        buffer_append(out, text.data, text.size);
    }
}

enum status vocabulary_open(const char *model_path, struct vocabulary **out, struct error *error)
{
    struct stat status;
    if (fake_engine.open_status != STATUS_OK)
        return error_set(error, fake_engine.open_status, "%s: scripted failure", model_path);
    if (stat(model_path, &status) != 0)
        return error_set(error, STATUS_NOT_FOUND, "%s: no such file", model_path);
    *out = malloc(sizeof **out);
    if (!*out)
        return error_set(error, STATUS_MEMORY, "out of memory");
    (*out)->n = FAKE_N_VOCAB;
    return STATUS_OK;
}

void vocabulary_close(struct vocabulary *vocabulary)
{
    free(vocabulary);
}

int32_t vocabulary_n(const struct vocabulary *vocabulary)
{
    return vocabulary->n;
}

enum status vocabulary_tokenize(const struct vocabulary *vocabulary, const char *text, size_t size, unsigned flags,
                                struct tokens *out, struct error *error)
{
    (void)vocabulary;
    return tokenize(text, size, flags, out, error);
}

struct slice vocabulary_piece(const struct vocabulary *vocabulary, int32_t id, bool special)
{
    (void)vocabulary;
    return piece(id, special);
}

void vocabulary_decode(const struct vocabulary *vocabulary, const int32_t *ids, size_t n, bool special,
                       struct buffer *out)
{
    (void)vocabulary;
    decode(ids, n, special, out);
}

/* ---- engine ---- */

static void fill_info(struct model_info *info, const char *path, enum kv_type kv)
{
    *info = (struct model_info){.path = path,
                                .name = "fake",
                                .arch = "llama",
                                .title = "A scripted model",
                                .chat = "chatml",
                                .tokenizer = "gpt2/fake",
                                .n_params = 1000000,
                                .n_active = 1000000,
                                .n_bytes = 2000000,
                                .bytes_per_token_weights = 2000000,
                                .multiply_adds_layers = 600000,
                                .multiply_adds_logits = 200000,
                                .kv_bytes_per_token = kv == KV_F32 ? 2048 : 1024,
                                .n_ctx_train = 8192,
                                .n_vocab = FAKE_N_VOCAB,
                                .is_supported = true,
                                .quants = {{"F16", 12}, {"F32", 3}},
                                .n_quants = 2,
                                .numbers = {{"n_layer", 2, true}, {"rope_theta", 10000.5, false}},
                                .n_numbers = 2};
}

enum status model_info_read(const char *path, enum kv_type kv, struct model_info **out, struct error *error)
{
    struct stat status;
    if (fake_engine.open_status != STATUS_OK)
        return error_set(error, fake_engine.open_status, "%s: scripted failure", path);
    if (stat(path, &status) != 0)
        return error_set(error, STATUS_NOT_FOUND, "%s: no such file", path);
    size_t size = strlen(path) + 1;
    struct model_info *info = malloc(sizeof *info + size);
    if (!info)
        return error_set(error, STATUS_MEMORY, "out of memory");
    char *copy = memcpy((char *)info + sizeof *info, path, size);
    fill_info(info, copy, kv);
    *out = info;
    return STATUS_OK;
}

uint64_t model_info_work_bytes(const struct model_info *info, int32_t n_slice, int32_t n_ctx)
{
    (void)info;
    return (uint64_t)(n_slice ? n_slice : 256) * 1000 + (uint64_t)n_ctx;
}

void model_info_free(struct model_info *info)
{
    free(info);
}

enum status engine_open(const struct engine_options *options, struct engine **out, struct error *error)
{
    struct stat status;
    if (fake_engine.open_status != STATUS_OK)
        return error_set(error, fake_engine.open_status, "%s: scripted failure", options->model_path);
    if (stat(options->model_path, &status) != 0)
        return error_set(error, STATUS_NOT_FOUND, "%s: no such file", options->model_path);
    if (options->backend && strcmp(options->backend, "cuda") == 0)
        return error_set(error, STATUS_UNSUPPORTED, "backend cuda: not in a scripted engine");
    struct chat_template *chat;
    enum status result =
        chat_template_new_named(options->chat_template ? options->chat_template : "chatml", &chat, error);
    if (result != STATUS_OK)
        return result;
    struct engine *engine = calloc(1, sizeof *engine);
    char *path = strdup(options->model_path);
    if (!engine || !path) {
        free(engine);
        free(path);
        chat_template_free(chat);
        return error_set(error, STATUS_MEMORY, "out of memory");
    }
    engine->path = path;
    engine->chat = chat;
    engine->n_threads = options->n_threads ? options->n_threads : 2;
    fill_info(&engine->info, path, KV_F16);
    fake_engine.n_opened++;
    *out = engine;
    return STATUS_OK;
}

void engine_close(struct engine *engine)
{
    if (!engine)
        return;
    chat_template_free(engine->chat);
    piece_order_free(engine->pieces);
    free(engine->path);
    free(engine);
}

const struct model_info *engine_info(const struct engine *engine)
{
    return &engine->info;
}

const char *engine_backend_name(const struct engine *engine)
{
    (void)engine;
    return "cpu";
}

const char *engine_cpu_name(const struct engine *engine)
{
    (void)engine;
    return "scalar";
}

int engine_n_threads(const struct engine *engine)
{
    return engine->n_threads;
}

int32_t engine_n_vocab(const struct engine *engine)
{
    return engine->info.n_vocab;
}

bool engine_reads_experts(const struct engine *engine)
{
    (void)engine;
    return false;
}

double engine_load_ms(const struct engine *engine)
{
    (void)engine;
    return 1.5;
}

int32_t engine_default_context(const struct engine *engine, enum kv_type kv)
{
    (void)engine;
    (void)kv;
    return fake_engine.default_context ? fake_engine.default_context : 4096;
}

enum status engine_measure_bandwidth(struct engine *engine, double *bytes_per_second, struct error *error)
{
    (void)engine;
    (void)error;
    *bytes_per_second = 10e9;
    return STATUS_OK;
}

enum status engine_measure_compute(struct engine *engine, double *multiply_adds_per_second, struct error *error)
{
    (void)engine;
    (void)error;
    *multiply_adds_per_second = 1e9;
    return STATUS_OK;
}

enum status engine_tokenize(const struct engine *engine, const char *text, size_t size, unsigned flags,
                            struct tokens *out, struct error *error)
{
    (void)engine;
    return tokenize(text, size, flags, out, error);
}

void engine_decode(const struct engine *engine, const int32_t *ids, size_t n, bool special, struct buffer *out)
{
    (void)engine;
    decode(ids, n, special, out);
}

struct slice engine_piece(const struct engine *engine, int32_t id, bool special)
{
    (void)engine;
    return piece(id, special);
}

enum status engine_piece_order(struct engine *engine, const struct piece_order **out, struct error *error);
enum status engine_piece_order(struct engine *engine, const struct piece_order **out, struct error *error)
{
    enum status status = engine->pieces ? STATUS_OK : piece_order_new(engine, &engine->pieces, error);
    *out = engine->pieces;
    return status;
}

bool engine_token_is_end(const struct engine *engine, int32_t id)
{
    (void)engine;
    return id == FAKE_END;
}

const struct fim_marks *engine_fim_marks(const struct engine *engine)
{
    static const struct fim_marks none = {-1, -1, -1, -1, -1, -1, -1};
    (void)engine;
    return &none;
}

const struct chat_template *engine_chat(const struct engine *engine, struct error *error)
{
    (void)error;
    return engine->chat;
}

enum status engine_chat_tokens(const struct engine *engine, const struct chat_message *messages, size_t n_messages,
                               bool add_generation, struct tokens *out, struct error *error)
{
    return engine_chat_tokens_marked(engine, messages, n_messages, add_generation, 0, out, error);
}

enum status engine_chat_tokens_marked(const struct engine *engine, const struct chat_message *messages,
                                      size_t n_messages, bool add_generation, char mark, struct tokens *out,
                                      struct error *error)
{
    struct chat_prompt prompt = {0};
    struct chat_options options = {.bos = fake_engine.adds_bos ? special_texts[0] : "",
                                   .eos = special_texts[2],
                                   .add_generation = add_generation,
                                   .mark = mark};
    enum status status = chat_render(engine->chat, messages, n_messages, &options, &prompt, error);
    for (size_t i = 0; status == STATUS_OK && i < prompt.n_pieces; i++) {
        const struct chat_piece *part = &prompt.pieces[i];
        status = tokenize(prompt.text.data + part->begin, part->size, part->control ? ENGINE_SPECIAL : 0, out, error);
    }
    chat_prompt_deinit(&prompt);
    return status;
}

uint64_t engine_memory_available(void)
{
    return 4000000000;
}

/* ---- session ---- */

enum status session_open(struct engine *engine, const struct session_options *options, struct session **out,
                         struct error *error)
{
    struct session *session = calloc(1, sizeof *session);
    if (!session)
        return error_set(error, STATUS_MEMORY, "out of memory");
    session->engine = engine;
    session->options = *options;
    if (session->options.n_ctx == 0)
        session->options.n_ctx = engine_default_context(engine, options->kv);
    if (session->options.n_slice == 0)
        session->options.n_slice = 256;
    session->answer = "ok";
    *out = session;
    return STATUS_OK;
}

void session_close(struct session *session)
{
    if (!session)
        return;
    tokens_deinit(&session->tokens);
    free(session);
}

int32_t session_n_ctx(const struct session *session)
{
    return session->options.n_ctx;
}

const int32_t *session_tokens(const struct session *session, size_t *n)
{
    *n = session->tokens.n;
    return session->tokens.ids;
}

size_t session_kv_bytes(const struct session *session)
{
    return session->tokens.n * session_kv_bytes_per_token(session);
}

size_t session_kv_bytes_per_token(const struct session *session)
{
    (void)session;
    return 1024;
}

static bool is_cancelled(const struct session *session)
{
    return session->options.cancel && atomic_load(session->options.cancel);
}

/* The logits after n_appended tokens of the answer. */
static void fill_logits(struct session *session)
{
    size_t length = strlen(session->answer);
    int32_t wanted =
        session->n_appended < length ? (unsigned char)session->answer[session->n_appended] : (int32_t)FAKE_END;
    memset(session->logits, 0, sizeof session->logits);
    session->logits[wanted] = 10;
    session->logits[(wanted + 1) % FAKE_N_VOCAB] = 9;
    session->has_logits = true;
}

enum status session_sync(struct session *session, const int32_t *ids, size_t n, struct sync_report *report,
                         struct error *error)
{
    if (fake_engine.sync_status != STATUS_OK)
        return error_set(error, fake_engine.sync_status, "scripted failure");
    if (n < 1 || n > (size_t)session->options.n_ctx)
        return error_set(error, STATUS_RANGE, "%zu tokens do not fit a context of %d", n, session->options.n_ctx);
    size_t same = 0;
    while (same < n && same < session->tokens.n && session->tokens.ids[same] == ids[same])
        same++;
    if (same == n)
        same--; /* the last one is evaluated for its logits */
    session->tokens.n = same;
    session->has_logits = false;
    tokens_clear(&fake_engine.last_sync);
    tokens_append_all(&fake_engine.last_sync, ids, n);
    for (size_t done = same; done < n;) {
        if (is_cancelled(session))
            return error_set(error, STATUS_CANCELLED, "cancelled");
        size_t step = n - done < (size_t)session->options.n_slice ? n - done : (size_t)session->options.n_slice;
        wait_us((unsigned long)fake_engine.prefill_us * step);
        tokens_append_all(&session->tokens, ids + done, step);
        done += step;
        if (fake_engine.on_slice)
            fake_engine.on_slice(done);
        if (session->options.progress)
            session->options.progress(session->options.progress_context, "reading", done - same, n - same);
    }
    size_t turn = fake_engine.n_syncs++;
    fake_engine.n_reused = same;
    fake_engine.n_evaluated = n - same;
    if (fake_engine.n_answers)
        session->answer = fake_engine.answers[turn < fake_engine.n_answers ? turn : fake_engine.n_answers - 1];
    session->n_appended = 0;
    fill_logits(session);
    if (report)
        *report = (struct sync_report){same, n - same};
    return tokens_status(&session->tokens, error);
}

enum status session_append(struct session *session, int32_t id, struct error *error)
{
    if (session->tokens.n >= (size_t)session->options.n_ctx)
        return error_set(error, STATUS_RANGE, "the context of %d tokens is full", session->options.n_ctx);
    if (fake_engine.append_fails_after && session->n_appended >= fake_engine.append_fails_after)
        return error_set(error, STATUS_NUMERIC, "layer 1: numbers stopped being finite");
    /* With drafts as if of every three tokens that are drafted the first two came. */
    if (session->options.drafts) {
        session->counts.n_drafted += session->n_appended % 3 == 0 ? 3 : 0;
        session->counts.n_accepted += session->n_appended % 3 != 0;
    }
    wait_us(fake_engine.decode_us);
    tokens_append(&session->tokens, id);
    session->n_appended++;
    fill_logits(session);
    if (fake_engine.on_append)
        fake_engine.on_append(session->n_appended);
    return tokens_status(&session->tokens, error);
}

enum status session_fork(const struct session *session, struct session **out, struct error *error)
{
    struct session *fork = calloc(1, sizeof *fork);
    if (!fork)
        return error_set(error, STATUS_MEMORY, "out of memory");
    *fork = *session;
    fork->tokens = (struct tokens){0};
    tokens_append_all(&fork->tokens, session->tokens.ids, session->tokens.n);
    *out = fork;
    return tokens_status(&fork->tokens, error);
}

enum status session_append_many(struct session *const *sessions, const int32_t *ids, size_t n, const atomic_bool *flag,
                                struct error *error)
{
    if (flag && atomic_load(flag))
        return error_set(error, STATUS_CANCELLED, "cancelled");
    for (size_t i = 0; i < n; i++) {
        enum status status = session_append(sessions[i], ids[i], error);
        if (status)
            return status;
    }
    return STATUS_OK;
}

struct draft_counts session_draft_counts(const struct session *session)
{
    return session->counts;
}

const float *session_logits(const struct session *session)
{
    return session->has_logits ? session->logits : NULL;
}

enum status session_shift(struct session *session, size_t from, size_t n, struct error *error)
{
    if (from > session->tokens.n || n > session->tokens.n - from)
        return error_set(error, STATUS_RANGE, "no such tokens");
    session->tokens.n -= n;
    memmove(session->tokens.ids + from, session->tokens.ids + from + n,
            (session->tokens.n - from) * sizeof *session->tokens.ids);
    fake_engine.n_shifts++;
    return STATUS_OK;
}

/* The score of a text is that of a model that gives the byte after the last one logit 10, the rest 0. */
enum status session_score(struct session *session, const int32_t *ids, size_t n, size_t first, score_fn *score,
                          void *context, struct error *error)
{
    session->tokens.n = 0;
    for (size_t i = 0; i < n; i++) {
        if (is_cancelled(session))
            return error_set(error, STATUS_CANCELLED, "cancelled");
        tokens_append(&session->tokens, ids[i]);
        memset(session->logits, 0, sizeof session->logits);
        session->logits[(ids[i] + 1) % FAKE_N_VOCAB] = 10;
        if (i >= first && !score(context, i, session->logits))
            break;
    }
    return tokens_status(&session->tokens, error);
}

/* ---- sessions on disk ---- */

struct session_key session_key(const struct session *session)
{
    (void)session;
    struct session_key key;
    snprintf(key.text, sizeof key.text, "%s", fake_engine.key ? fake_engine.key : "fake");
    return key;
}

enum status session_save(const struct session *session, const char *path, struct error *error)
{
    FILE *file = fopen(path, "we");
    if (!file)
        return error_set(error, STATUS_IO, "%s: can't be written", path);
    for (size_t i = 0; i < session->tokens.n; i++)
        fprintf(file, "%d\n", session->tokens.ids[i]);
    fake_engine.n_saves++;
    return fclose(file) == 0 ? STATUS_OK : error_set(error, STATUS_IO, "%s: can't be written", path);
}

enum status session_saved_tokens(const struct session *session, const char *path, struct tokens *out,
                                 struct error *error)
{
    (void)session;
    FILE *file = fopen(path, "re");
    char line[32];
    enum status status = file ? STATUS_OK : error_set(error, STATUS_NOT_FOUND, "%s: no such file", path);
    while (status == STATUS_OK && fgets(line, sizeof line, file)) {
        char *end;
        long id = strtol(line, &end, 10);
        if (end == line || *end != '\n')
            status = error_set(error, STATUS_FORMAT, "%s: damaged", path);
        else
            tokens_append(out, (int32_t)id);
    }
    if (file)
        fclose(file);
    return status == STATUS_OK ? tokens_status(out, error) : status;
}

enum status session_restore(struct session *session, const char *path, size_t n, struct error *error)
{
    tokens_clear(&session->tokens);
    session->has_logits = false;
    enum status status = session_saved_tokens(session, path, &session->tokens, error);
    session->tokens.n = session->tokens.n < n ? session->tokens.n : n;
    fake_engine.n_restores += status == STATUS_OK;
    return status;
}
