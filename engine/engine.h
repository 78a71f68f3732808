/* engine: a model that is loaded, and sessions on it.  With base.h this is all that the rest of the program knows of the engine.
 *
 *   engine_open ──► engine ──► session_open ──► session_sync(tokens) ──► session_logits ──► sampler_pick ──► session_append
 *                     │                              ▲                                                        │
 *                     └── engine_tokenize, engine_chat_tokens ──────────────────────────────────────────────────┘
 *
 * An engine holds the weights (mapped, shared, read-only), the vocabulary, the threads and the backend.  A session holds
 * one sequence of tokens and its KV cache; the cache's cells [0, n_past) always match the session's tokens.
 *
 * Threads: one thread at a time may compute on an engine, over all of its sessions.  What is const after opening
 * (engine_info, tokenisation, chat rendering) may be called from any thread.  Cancelling: the caller owns an atomic flag,
 * sets it from anywhere (a signal handler too) and clears it before the next job. */
#ifndef FATHOM_ENGINE_ENGINE_H
#define FATHOM_ENGINE_ENGINE_H

#include <stdatomic.h>

#include "engine/base.h"
#include "engine/chat.h"
#include "engine/grammar.h"
#include "engine/sampler.h"
#include "engine/stream.h"

/* ---- what a model file is, without loading it ---- */

enum kv_type { KV_F16, KV_F32, KV_Q8_0, KV_Q4_0 };

struct model_quant {
    const char *name; /* "Q4_K" */
    uint32_t n;       /* tensors of this type */
};

struct model_number {
    const char *name; /* "n_layer" */
    double value;     /* integers are exact */
    bool is_integer;
};

struct model_info {
    const char *path, *name; /* name: the file's without .gguf (and without the numbers of a split) */
    const char *arch;        /* general.architecture */
    const char *title;       /* general.name, or "" */
    const char *chat;        /* name of the recognised chat template, or NULL */
    const char *tokenizer;   /* "gpt2/smollm" */
    uint64_t n_params, n_active, n_bytes;
    uint64_t bytes_per_token_weights; /* read to decode one token */
    uint64_t kv_bytes_per_token;      /* with the KV type asked for */
    /* Weights that a token's activations are multiplied with: in the layers, and for its logits, which of a prompt only the
     * last token needs. */
    uint64_t multiply_adds_layers, multiply_adds_logits;
    int32_t n_ctx_train, n_vocab;
    bool has_fim;      /* its vocabulary marks the parts of an infill: engine_fim_marks */
    bool is_supported; /* false: why says what is in the way of running it */
    char why[256];
    struct model_quant quants[32];
    size_t n_quants;
    struct model_number numbers[48];
    size_t n_numbers;
};

/* Reads the header alone.  Free with model_info_free. */
enum status model_info_read(const char *path, enum kv_type kv, struct model_info **out, struct error *error);
void model_info_free(struct model_info *info);

/* Bytes that a session takes beside weights and cache: what a slice computes, at a full context of n_ctx.  n_slice 0: as
 * for a session.  0 where it isn't known. */
uint64_t model_info_work_bytes(const struct model_info *info, int32_t n_slice, int32_t n_ctx);

/* Bytes of memory that may still be taken without swapping; 0 where the system doesn't say. */
uint64_t engine_memory_available(void);

/* ---- engine ---- */

/* Called while something long runs; done of total units.  May be called often: the callee decides what to show. */
typedef void progress_fn(void *context, const char *what, uint64_t done, uint64_t total);

/* ---- another type for a model's weights ---- */

struct quantize_options {
    const char *in, *out;
    const char *type;          /* one of model_quantize_types, case ignored */
    int n_threads;             /* 0: the physical cores */
    bool replace;              /* where out is there already */
    const atomic_bool *cancel; /* may be NULL */
    progress_fn *progress;     /* may be NULL; "quantising", in bytes of the source */
    void *progress_context;
};

struct quantize_report {
    uint64_t n_bytes_in, n_bytes_out; /* of the files */
    size_t n_tensors;
    size_t n_fallbacks; /* tensors whose rows don't divide into the blocks of the type, and got another one */
    struct quantize_count {
        const char *name; /* "Q4_K" */
        uint32_t n;       /* tensors */
        uint64_t n_bytes;
    } types[32];
    size_t n_types;
    bool is_there; /* it failed since `out` is there already, and was not to be replaced */
};

/* Writes the model `in`, whose weights are F32, F16 or BF16, to `out` in another type; weights that are quantised already
 * can only become a float type.  `out` comes into being when it is whole, or not at all.  Memory taken doesn't grow with
 * the model.  The result is the same for any number of threads.  Errors name the file, and the tensor where it is one:
 * STATUS_ARGUMENT for an unknown type, for `out` that is there already or is `in`; STATUS_NUMERIC, STATUS_RANGE for weights
 * that are not finite or too large for the type. */
enum status model_quantize(const struct quantize_options *options, struct quantize_report *report, struct error *error);

/* STATUS_ARGUMENT, with the types that there are, where type is none of them. */
enum status model_quantize_check_type(const char *type, struct error *error);

/* Appends the types that there are, with `between` between them. */
void model_quantize_types(struct buffer *out, const char *between);

/* ---- whether a model's weights are numbers ---- */

struct weights_check_options {
    const char *path;
    int n_threads;             /* 0: the physical cores */
    const atomic_bool *cancel; /* may be NULL */
    progress_fn *progress;     /* may be NULL; "checking", in bytes */
    void *progress_context;
};

/* A tensor with weights that are not finite, as computation sees them: a block whose scale isn't has none that is. */
struct weights_fault {
    const char *tensor; /* as the file names it */
    uint64_t n, n_elements;
    uint64_t row, column; /* of the first of them; rows are counted through all of the tensor's matrices */
    double value;         /* of the first of them */
};

struct weights_report {
    uint64_t n_weights; /* all that the file holds */
    size_t n_tensors;
    const struct weights_fault *faults; /* in the order of the file */
    size_t n_faults;
    uint64_t n_unread; /* weights of types that this program doesn't compute with: nothing is said of them */
    size_t n_unread_tensors;
};

/* Reads every weight of a model file, of all its parts.  Weights that are not finite are no error but the report.  Errors
 * name the file.  Free with weights_report_free. */
enum status model_check_weights(const struct weights_check_options *options, struct weights_report **out,
                                struct error *error);
void weights_report_free(struct weights_report *report);

/* ---- opening a model ---- */

struct engine_lora {
    const char *path;
    float scale; /* 1: as trained */
};

struct engine_options {
    const char *model_path;
    const char *backend; /* "auto", "cpu", "cuda"; NULL is auto */
    const char *cpu; /* instruction set to force: "scalar", "avx2", ...; NULL: $FATHOM_CPU, else the best of this CPU */
    const char *chat_template;       /* name that overrides recognition; NULL: by the file */
    int n_threads;                   /* 0: the physical cores */
    const struct engine_lora *loras; /* adapters (n_loras) that are added to the weights' products */
    size_t n_loras;
    bool force;      /* load even where memory seems not to suffice: experts are then read as they are chosen */
    uint64_t memory; /* bytes that weights may take; 0: what the system has */
    const char *experts_profile; /* a file that keeps which experts are used most, read and written where the model is
                                    larger than memory; NULL: none */
};

struct engine;

/* Maps and checks the model.  Errors are one line: the file and what is wrong with it. */
enum status engine_open(const struct engine_options *options, struct engine **out, struct error *error);
void engine_close(struct engine *engine); /* every session must be closed before */

const struct model_info *engine_info(const struct engine *engine);
const char *engine_backend_name(const struct engine *engine); /* "cpu" */
const char *engine_cpu_name(const struct engine *engine);     /* "avx2" */
int engine_n_threads(const struct engine *engine);
int32_t engine_n_vocab(const struct engine *engine);
double engine_load_ms(const struct engine *engine);

/* The model is larger than memory, and its experts are read as they are chosen. */
bool engine_reads_experts(const struct engine *engine);

/* The context that --context means when nobody asks: what fits in memory up to 16k, at most what the model was trained on. */
int32_t engine_default_context(const struct engine *engine, enum kv_type kv);

/* Bytes a second that all threads together read from memory (the best of several passes over a buffer larger than caches). */
enum status engine_measure_bandwidth(struct engine *engine, double *bytes_per_second, struct error *error);

/* Multiply-adds of bytes a second that all threads together do at most, on registers alone: by the fastest such instructions
 * of the instruction set in force. */
enum status engine_measure_compute(struct engine *engine, double *multiply_adds_per_second, struct error *error);

/* ---- vocabulary ---- */

enum { ENGINE_SPECIAL = 1, ENGINE_BEGIN = 2, ENGINE_NO_PREFIX = 4 }; /* as TOKENIZE_* */

enum status engine_tokenize(const struct engine *engine, const char *text, size_t size, unsigned flags,
                            struct tokens *out, struct error *error);
void engine_decode(const struct engine *engine, const int32_t *ids, size_t n, bool special, struct buffer *out);
struct slice engine_piece(const struct engine *engine, int32_t id, bool special); /* borrowed */
bool engine_token_is_end(const struct engine *engine, int32_t id);

/* Tokens that mark the parts of an infill, -1 where the vocabulary has none; by the file's keys, else by the texts known of
 * the families.  engine_info's has_fim says whether they are enough for a form. */
struct fim_marks {
    int32_t begin; /* BOS, where the model wants one as the first token of all */
    int32_t prefix, suffix, middle, pad, repository, separator;
};
const struct fim_marks *engine_fim_marks(const struct engine *engine); /* borrowed */

/* The vocabulary alone, for tools that need no weights (fathom tokenize). */
struct vocabulary;
enum status vocabulary_open(const char *model_path, struct vocabulary **out, struct error *error);
void vocabulary_close(struct vocabulary *vocabulary);
int32_t vocabulary_n(const struct vocabulary *vocabulary);
enum status vocabulary_tokenize(const struct vocabulary *vocabulary, const char *text, size_t size, unsigned flags,
                                struct tokens *out, struct error *error);
struct slice vocabulary_piece(const struct vocabulary *vocabulary, int32_t id, bool special);
void vocabulary_decode(const struct vocabulary *vocabulary, const int32_t *ids, size_t n, bool special,
                       struct buffer *out);

/* The template in force; NULL with the reason in error where the file's was not recognised and none was named. */
const struct chat_template *engine_chat(const struct engine *engine, struct error *error);

/* Renders messages by the template in force and appends their tokens.  Only the template's own parts become control tokens. */
enum status engine_chat_tokens(const struct engine *engine, const struct chat_message *messages, size_t n_messages,
                               bool add_generation, struct tokens *out, struct error *error);

/* The same where contents may hold control text of the caller's own, between two bytes `mark` (chat_options). */
enum status engine_chat_tokens_marked(const struct engine *engine, const struct chat_message *messages,
                                      size_t n_messages, bool add_generation, char mark, struct tokens *out,
                                      struct error *error);

/* ---- session ---- */

struct session_options {
    int32_t n_ctx;   /* cells; 0: engine_default_context */
    int32_t n_slice; /* at most so many tokens are evaluated between two looks at cancel; 0: 256 */
    enum kv_type kv;
    int32_t
        expand_from; /* latent attention: slices of so many tokens or more compute keys and values by head, shorter ones
                            stay in the latent space; 0: what is less work */
    bool drafts; /* session_append evaluates guesses of what follows together with its token, where that saves time */
    const atomic_bool *cancel; /* may be NULL */
    progress_fn *progress;     /* may be NULL; "reading" while a prompt is evaluated */
    void *progress_context;
};

struct session;

enum status session_open(struct engine *engine, const struct session_options *options, struct session **out,
                         struct error *error);
void session_close(struct session *session);

/* Another session with the same tokens, cells, logits and options, at once: cells lie in the same memory until one of the
 * two overwrites or adds to them, and no token is evaluated again.  Both go their own ways, forks may be forked, and they
 * are closed in any order; all of them belong to the thread of the first. */
enum status session_fork(const struct session *session, struct session **out, struct error *error);

int32_t session_n_ctx(const struct session *session);
const int32_t *session_tokens(const struct session *session, size_t *n); /* borrowed; n is n_past */

/* Memory that cells take, in whole pieces of some pages: only those that were written do, and those of session_kv_shared_bytes
 * are held by forks, too. */
size_t session_kv_bytes(const struct session *session);
size_t session_kv_shared_bytes(const struct session *session);
size_t session_kv_bytes_per_token(const struct session *session);

/* ---- sessions on disk ---- */

/* Names all that cells depend on but the tokens: model, adapters, KV type, instruction set, version of this program. */
struct session_key {
    char text[40];
};
struct session_key session_key(const struct session *session);

/* What a file is called, behind its own name, until it is whole.  Unless somebody holds its lock (flock) nobody will finish it. */
#define SESSION_UNFINISHED ".tmp"

/* Writes tokens and cells to path, mode 0600; STATUS_RANGE without tokens.  A file that is there stays until the new one is
 * whole.  Not forced to disk: after a loss of power it may be damaged, which restoring finds. */
enum status session_save(const struct session *session, const char *path, struct error *error);

/* Appends the tokens of a saved session.  STATUS_UNSUPPORTED where its cells are not such as this session has (session_key),
 * STATUS_FORMAT where it is damaged, STATUS_NOT_FOUND, STATUS_IO. */
enum status session_saved_tokens(const struct session *session, const char *path, struct tokens *out,
                                 struct error *error);

/* Makes the session hold the first n tokens of a saved one, or all where there are fewer, without evaluating any; what it has
 * of them already stays.  There are no logits then: sync with a token more, or with the last one again.  Errors as above,
 * STATUS_RANGE beyond the context; the session then holds a beginning of the tokens it had, or of those that were asked for. */
enum status session_restore(struct session *session, const char *path, size_t n, struct error *error);

/* ---- evaluating ---- */

struct sync_report {
    size_t n_reused, n_evaluated;
};

/* Makes the session's tokens equal ids (n >= 1): keeps the longest common prefix, drops the rest, evaluates what is new
 * in slices.  Afterwards session_logits is what follows the last id.  STATUS_RANGE where n exceeds the context;
 * STATUS_CANCELLED keeps what was evaluated, and the layers
 * of the slice that it cut off, should its tokens come next; STATUS_NUMERIC names the layer where numbers stopped being finite. */
enum status session_sync(struct session *session, const int32_t *ids, size_t n, struct sync_report *report,
                         struct error *error);

/* One more token.  With drafts the logits are the same to the bit, and come sooner where the text repeats what the session has
 * or what it was referred to. */
enum status session_append(struct session *session, int32_t id, struct error *error);

/* One more token for each of n sessions of one engine, ids[i] for sessions[i], for which weights are read once.  Each gets the
 * logits that session_append would give it, to the bit.  Nothing is drafted.  STATUS_ARGUMENT where a session comes twice or
 * engines differ; STATUS_RANGE where one is full: nothing is done then.  After STATUS_CANCELLED (by cancel, which may be NULL:
 * the sessions' own flags count for what they do alone) and other failures some may have their token, as session_tokens says;
 * the others are as they were. */
enum status session_append_many(struct session *const *sessions, const int32_t *ids, size_t n,
                                const atomic_bool *cancel, struct error *error);

/* One more text that may be repeated without standing in the session: an open file, a diff.  Texts stay until they are
 * forgotten; of very long ones the beginning is looked at.  Nothing without drafts. */
enum status session_refer(struct session *session, const int32_t *ids, size_t n, struct error *error);
void session_forget_references(struct session *session);

struct draft_counts {
    uint64_t n_drafted, n_accepted; /* tokens that were guessed and evaluated in advance; those of them that came */
};
struct draft_counts session_draft_counts(const struct session *session); /* since it was opened */

/* Takes tokens [from, from + n) out of the session; those behind them move up without being evaluated again: their keys turn
 * to the new positions.  Their cells still carry what they saw of the tokens that went, so the logits that follow are near
 * those of a new evaluation, and not the same.  The last token's logits stay as they were where it stays.  STATUS_RANGE where
 * there are no such tokens; after STATUS_MEMORY the session holds a beginning of its tokens. */
enum status session_shift(struct session *session, size_t from, size_t n, struct error *error);

/* Logits (n_vocab) that follow the last token; valid until the session changes.  NULL before the first sync. */
const float *session_logits(const struct session *session);

/* Evaluates ids from an empty session and gives the logits (n_vocab) after each of them from position first on, in order.
 * The callback returns false to stop early. */
typedef bool score_fn(void *context, size_t position, const float *logits);
enum status session_score(struct session *session, const int32_t *ids, size_t n, size_t first, score_fn *score,
                          void *context, struct error *error);

#endif
