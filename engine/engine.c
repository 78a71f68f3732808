/* engine: puts a loaded model together: weights, vocabulary, chat template, threads, backend.  The contract is in engine.h. */
#include "engine/engine_private.h"
#include "engine/cpu.h"
#include "engine/kvcache.h"
#include "engine/lora.h"
#include "engine/mapping.h"
#include "engine/memory.h"
#include "engine/model_info.h"
#include "engine/residency.h"

#include <stdlib.h>
#include <string.h>

/* ---- pieces of opening ---- */

static enum status find_chat(const struct gguf *gguf, const char *name, struct chat_template **out, struct error *error)
{
    if (name)
        return chat_template_new_named(name, out, error);
    struct slice text;
    if (gguf_read_text(gguf, "tokenizer.chat_template", &text, NULL) != STATUS_OK)
        return error_set(error, STATUS_UNSUPPORTED,
                         "the model has no chat template: it is a base model (--chat-template NAME overrides)");
    return chat_template_new_recognised(text.data, text.size, out, error);
}

static enum status check_vocabulary(const struct model *model, const struct tokenizer *tokenizer, struct error *error)
{
    if (tokenizer_n_vocab(tokenizer) == model->hparams.n_vocab)
        return STATUS_OK;
    return error_set(error, STATUS_FORMAT, "tensor token_embd.weight has %d rows, but tokenizer.ggml.tokens %d",
                     model->hparams.n_vocab, tokenizer_n_vocab(tokenizer));
}

static uint64_t memory_for(const struct engine_options *options)
{
    return options->memory ? options->memory : memory_available();
}

static enum status check_memory(const struct gguf *gguf, const struct engine_options *options, struct error *error)
{
    uint64_t needed = gguf_n_bytes(gguf), available = memory_for(options);
    if (!available || needed <= available)
        return STATUS_OK;
    return error_set(error, STATUS_MEMORY,
                     "the model takes %.1f GB, but only %.1f GB of memory are free (--force tries)",
                     (double)needed / 1e9, (double)available / 1e9);
}

static enum status open_backend(struct engine *engine, const struct engine_options *options, struct error *error)
{
    const char *name = options->backend ? options->backend : "auto";
    if (strcmp(name, "cuda") == 0)
        return error_set(error, STATUS_UNSUPPORTED, "this build has no CUDA backend (--backend cpu works everywhere)");
    if (strcmp(name, "auto") != 0 && strcmp(name, "cpu") != 0)
        return error_set(error, STATUS_ARGUMENT, "unknown backend %s: known are auto, cpu, cuda", name);
    int n_threads = options->n_threads ? options->n_threads : threads_physical_cores();
    enum status status = thread_pool_new(n_threads, &engine->pool, error);
    const char *forced = getenv("FATHOM_CPU"); /* a switch for tests: each path that a machine has is run there */
    const char *cpu = options->cpu ? options->cpu : forced && *forced ? forced : NULL;
    return status ? status : cpu_backend_new(engine->pool, cpu, &engine->backend, error);
}

static char *copy_piece(const struct tokenizer *tokenizer, int32_t id)
{
    struct slice piece = id >= 0 ? tokenizer_piece(tokenizer, id, true) : (struct slice){"", 0};
    char *copy = malloc(piece.size + 1);
    if (copy) {
        if (piece.size)
            memcpy(copy, piece.data, piece.size);
        copy[piece.size] = 0;
    }
    return copy;
}

/* Failures of what stands in the file name it, once. */
static enum status name_file(const char *path, enum status status, struct error *error)
{
    path = path_end_shown(path);
    if (!status || !error || strstr(error->text, path))
        return status;
    struct error inner = *error;
    return error_set(error, status, "%s: %s", path, inner.text);
}

/* Weights and vocabulary.  Takes gguf. */
static enum status load_file(struct engine *engine, struct gguf *gguf, const struct engine_options *options,
                             struct error *error)
{
    enum status status;
    if (!options->force && (status = check_memory(gguf, options, error))) {
        gguf_close(gguf);
        return status;
    }
    if ((status = model_open(gguf, MODEL_TO_RUN, &engine->model, error)) ||
        (status = tokenizer_new(engine->model->gguf, &engine->tokenizer, error)) ||
        (status = check_vocabulary(engine->model, engine->tokenizer, error)))
        return status;
    const struct special_tokens *special = tokenizer_special(engine->tokenizer);
    engine->bos = copy_piece(engine->tokenizer, special->bos);
    engine->eos = copy_piece(engine->tokenizer, special->eos);
    engine->fim_marks = (struct fim_marks){.begin = tokenizer_adds_bos(engine->tokenizer) ? special->bos : -1,
                                           .prefix = special->fim_prefix,
                                           .suffix = special->fim_suffix,
                                           .middle = special->fim_middle,
                                           .pad = special->fim_pad,
                                           .repository = special->fim_repository,
                                           .separator = special->fim_separator};
    return engine->bos && engine->eos ? STATUS_OK : error_set(error, STATUS_MEMORY, "out of memory");
}

/* What results depend on beside the model's file. */
static enum status identify_rest(struct engine *engine, const struct engine_options *options, struct error *error)
{
    struct model_identity *rest = &engine->identity;
    const char *kernels = cpu_backend_kernels(engine->backend);
    enum status status = STATUS_OK;
    model_identity_add(rest, FATHOM_VERSION, strlen(FATHOM_VERSION));
    model_identity_add(rest, kernels, strlen(kernels));
    for (size_t i = 0; !status && i < options->n_loras; i++) {
        model_identity_add(rest, &options->loras[i].scale, sizeof options->loras[i].scale);
        status = model_identity_add_file(rest, options->loras[i].path, error);
    }
    return status;
}

struct model_identity engine_identity(struct engine *engine)
{
    if (!engine->is_identified) {
        struct model_identity all = model_identity_of(engine->model->gguf);
        model_identity_add(&all, &engine->identity, sizeof engine->identity);
        engine->identity = all;
        engine->is_identified = true;
    }
    return engine->identity;
}

static enum status load(struct engine *engine, struct gguf *gguf, const struct engine_options *options,
                        struct error *error)
{
    enum status status = name_file(options->model_path, load_file(engine, gguf, options, error), error);
    if (status || (status = open_backend(engine, options, error)))
        return status;
    status = residency_new(engine->model, memory_for(options), options->experts_profile, &engine->residency, error);
    if (status)
        return status;
    cpu_backend_set_residency(engine->backend, engine->residency);
    for (size_t i = 0; i < options->n_loras; i++)
        if ((status = lora_add(engine->model, options->loras[i].path, options->loras[i].scale, error)))
            return status;
    if ((status = identify_rest(engine, options, error)))
        return status;
    status = find_chat(engine->model->gguf, options->chat_template, &engine->chat, &engine->chat_error);
    if (status && options->chat_template)
        return error_set(error, status, "%s", engine->chat_error.text);
    return model_info_new(options->model_path, engine->model->gguf, engine->model, engine->tokenizer, engine->chat,
                          KV_F16, NULL, &engine->info, error);
}

enum status engine_open_gguf(struct gguf *gguf, const struct engine_options *options, struct engine **out,
                             struct error *error)
{
    struct engine *engine = calloc(1, sizeof *engine);
    if (!engine) {
        gguf_close(gguf);
        return error_set(error, STATUS_MEMORY, "out of memory");
    }
    enum status status = load(engine, gguf, options, error);
    if (status)
        engine_close(engine);
    else
        *out = engine;
    return status;
}

enum status engine_open(const struct engine_options *options, struct engine **out, struct error *error)
{
    if (!options->model_path)
        return error_set(error, STATUS_ARGUMENT, "no model was named");
    uint64_t begin = clock_now_ns();
    struct gguf *gguf;
    enum status status = name_file(options->model_path, gguf_open(options->model_path, &gguf, error), error);
    if (!status)
        status = engine_open_gguf(gguf, options, out, error);
    if (!status)
        (*out)->load_ms = (double)(clock_now_ns() - begin) / 1e6;
    return status;
}

void engine_close(struct engine *engine)
{
    if (!engine)
        return;
    if (engine->backend)
        engine->backend->ops->free(engine->backend);
    residency_free(engine->residency);
    thread_pool_free(engine->pool);
    model_info_free(engine->info);
    chat_template_free(engine->chat);
    piece_order_free(engine->pieces);
    tokenizer_free(engine->tokenizer);
    model_close(engine->model);
    free(engine->bos);
    free(engine->eos);
    free(engine);
}

/* ---- what it is ---- */

const struct model_info *engine_info(const struct engine *engine)
{
    return engine->info;
}

const char *engine_backend_name(const struct engine *engine)
{
    return engine->backend->ops->name;
}

const char *engine_cpu_name(const struct engine *engine)
{
    return cpu_backend_kernels(engine->backend);
}

int engine_n_threads(const struct engine *engine)
{
    return thread_pool_size(engine->pool);
}

int32_t engine_n_vocab(const struct engine *engine)
{
    return engine->model->hparams.n_vocab;
}

bool engine_reads_experts(const struct engine *engine)
{
    return engine->residency != NULL;
}

double engine_load_ms(const struct engine *engine)
{
    return engine->load_ms;
}

int32_t engine_default_context(const struct engine *engine, enum kv_type kv)
{
    enum { USUAL_CONTEXT = 16384, LEAST_CONTEXT = 512 };
    const struct hparams *h = &engine->model->hparams;
    int32_t n = h->n_ctx_train < USUAL_CONTEXT ? h->n_ctx_train : USUAL_CONTEXT;
    uint64_t available = memory_available(), weights = gguf_n_bytes(engine->model->gguf);
    uint64_t per_token = kv_bytes_per_token(kv, h->n_layer, h->cache_k, h->cache_v);
    if (!available || !per_token)
        return n;
    uint64_t fitting = available > weights ? (available - weights) / per_token : 0;
    if (fitting >= (uint64_t)n)
        return n;
    int32_t least = n < LEAST_CONTEXT ? n : LEAST_CONTEXT;
    return fitting > (uint64_t)least ? (int32_t)fitting : least;
}

enum status engine_measure_bandwidth(struct engine *engine, double *bytes_per_second, struct error *error)
{
    return memory_measure_bandwidth(engine->pool, bytes_per_second, error);
}

enum status engine_measure_compute(struct engine *engine, double *multiply_adds_per_second, struct error *error)
{
    return cpu_measure_compute(engine->backend, multiply_adds_per_second, error);
}

uint64_t engine_memory_available(void)
{
    return memory_available();
}

enum status model_info_read(const char *path, enum kv_type kv, struct model_info **out, struct error *error)
{
    struct gguf *gguf, *second;
    enum status status = gguf_open(path, &gguf, error);
    if (status)
        return name_file(path, status, error);
    /* Not being able to run it is part of the answer, not an error. */
    struct model *model = NULL;
    struct tokenizer *tokenizer = NULL;
    struct chat_template *chat = NULL;
    struct error why = {0};
    status = gguf_open(path, &second, &why);
    if (!status)
        status = model_open(second, MODEL_TO_DESCRIBE, &model, &why);
    if (!status)
        status = tokenizer_new(gguf, &tokenizer, &why);
    if (!status)
        status = check_vocabulary(model, tokenizer, &why);
    if (status) {
        tokenizer_free(tokenizer);
        tokenizer = NULL;
    }
    find_chat(gguf, NULL, &chat, NULL);
    status = gguf_is_broken(gguf) ? error_set(error, STATUS_IO, "%s: cut short while it was read", path_end_shown(path))
                                  : model_info_new(path, gguf, model, tokenizer, chat, kv, why.text, out, error);
    chat_template_free(chat);
    tokenizer_free(tokenizer);
    model_close(model);
    gguf_close(gguf);
    return status;
}

/* ---- vocabulary ---- */

enum status engine_tokenize(const struct engine *engine, const char *text, size_t size, unsigned flags,
                            struct tokens *out, struct error *error)
{
    return tokenizer_encode(engine->tokenizer, text, size, flags, out, error);
}

void engine_decode(const struct engine *engine, const int32_t *ids, size_t n, bool special, struct buffer *out)
{
    tokenizer_decode(engine->tokenizer, ids, n, special, out);
}

struct slice engine_piece(const struct engine *engine, int32_t id, bool special)
{
    return tokenizer_piece(engine->tokenizer, id, special);
}

enum status engine_piece_order(struct engine *engine, const struct piece_order **out, struct error *error)
{
    enum status status = engine->pieces ? STATUS_OK : piece_order_new(engine, &engine->pieces, error);
    *out = engine->pieces;
    return status;
}

bool engine_token_is_end(const struct engine *engine, int32_t id)
{
    return tokenizer_is_end(engine->tokenizer, id);
}

const struct fim_marks *engine_fim_marks(const struct engine *engine)
{
    return &engine->fim_marks;
}

struct vocabulary {
    struct tokenizer *tokenizer;
};

enum status vocabulary_open(const char *model_path, struct vocabulary **out, struct error *error)
{
    struct gguf *gguf;
    enum status status = gguf_open(model_path, &gguf, error);
    if (status)
        return name_file(model_path, status, error);
    struct vocabulary *vocabulary = calloc(1, sizeof *vocabulary);
    status = vocabulary ? tokenizer_new(gguf, &vocabulary->tokenizer, error)
                        : error_set(error, STATUS_MEMORY, "out of memory");
    if (!status && gguf_is_broken(gguf))
        status = error_set(error, STATUS_IO, "cut short while it was read");
    gguf_close(gguf);
    if (status) {
        if (vocabulary)
            tokenizer_free(vocabulary->tokenizer);
        free(vocabulary);
        return name_file(model_path, status, error);
    }
    *out = vocabulary;
    return STATUS_OK;
}

void vocabulary_close(struct vocabulary *vocabulary)
{
    if (!vocabulary)
        return;
    tokenizer_free(vocabulary->tokenizer);
    free(vocabulary);
}

int32_t vocabulary_n(const struct vocabulary *vocabulary)
{
    return tokenizer_n_vocab(vocabulary->tokenizer);
}

enum status vocabulary_tokenize(const struct vocabulary *vocabulary, const char *text, size_t size, unsigned flags,
                                struct tokens *out, struct error *error)
{
    return tokenizer_encode(vocabulary->tokenizer, text, size, flags, out, error);
}

struct slice vocabulary_piece(const struct vocabulary *vocabulary, int32_t id, bool special)
{
    return tokenizer_piece(vocabulary->tokenizer, id, special);
}

void vocabulary_decode(const struct vocabulary *vocabulary, const int32_t *ids, size_t n, bool special,
                       struct buffer *out)
{
    tokenizer_decode(vocabulary->tokenizer, ids, n, special, out);
}

/* ---- chat ---- */

const struct chat_template *engine_chat(const struct engine *engine, struct error *error)
{
    if (!engine->chat && error)
        *error = engine->chat_error;
    return engine->chat;
}

/* Pieces are tokenised one by one: those of the template with its control tokens, the user's without. */
static enum status tokenize_pieces(const struct engine *engine, const struct chat_prompt *prompt, struct tokens *out,
                                   struct error *error)
{
    for (size_t i = 0; i < prompt->n_pieces; i++) {
        const struct chat_piece *piece = &prompt->pieces[i];
        unsigned flags = (piece->control ? TOKENIZE_SPECIAL : 0) | (i ? TOKENIZE_NO_PREFIX : 0);
        enum status status =
            tokenizer_encode(engine->tokenizer, prompt->text.data + piece->begin, piece->size, flags, out, error);
        if (status)
            return status;
    }
    return tokens_status(out, error);
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
    if (!engine->chat)
        return error_set(error, engine->chat_error.status, "%s", engine->chat_error.text);
    const struct chat_options options = {engine->bos, engine->eos, add_generation, mark};
    struct chat_prompt prompt = {0};
    struct tokens tokens = {0};
    int32_t bos = tokenizer_special(engine->tokenizer)->bos;
    enum status status = chat_render(engine->chat, messages, n_messages, &options, &prompt, error);
    if (!status)
        status = tokenize_pieces(engine, &prompt, &tokens, error);
    /* A template that writes BOS itself gets no second one. */
    if (!status && tokenizer_adds_bos(engine->tokenizer) && bos >= 0 && (tokens.n == 0 || tokens.ids[0] != bos))
        tokens_append(out, bos);
    if (!status) {
        tokens_append_all(out, tokens.ids, tokens.n);
        status = tokens_status(out, error);
    }
    tokens_deinit(&tokens);
    chat_prompt_deinit(&prompt);
    return status;
}
