/* fuzz_model: whatever is wrong with a model's keys and tensors, it is refused by one line that names what is at fault, or
 * runs without reading or writing what it must not.
 *
 * The input is a script by which tests/model_mutant.c changes a small model of the shape (tests/synth_shapes.c) that
 * FATHOM_FUZZ_VARIANT names, "llama" without it.  tools/fuzz.sh runs each of these:
 *
 * Variants: llama mixtral qwen2-yarn qwen3 qwen3moe lite-old lite-new v3-nextn starcoder2-window
 *
 * The file lies in memory of exactly its size, where AddressSanitizer is told that nothing but the tensors may be read
 * behind the header: so a kernel that leaves its tensor is seen, even when it ends up in another one.
 *
 * With FATHOM_PLANT_BUG a reader stands behind the model that takes the rows of a layer's weights for as long as those of the
 * first layer's, as a loader would that keeps one type for all layers.  It reads too far only in a model that is right in
 * everything and has a smaller type in a later layer.  The fuzzer must find it. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/engine_private.h"
#include "engine/gguf.h"
#include "tests/model_mutant.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#include <sanitizer/asan_interface.h>
#define HAS_ASAN 1
#endif
#endif

enum { CONTEXT = 12, SLICE = 5, PROMPT = 8 };

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed);
const char *__asan_default_options(void);
int LLVMFuzzerInitialize(int *n_arguments, char ***arguments);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct mutant_source source;

/* what: for the log. */
static void require_that(bool condition, const char *what)
{
    if (condition)
        return;
    fprintf(stderr, "not so: %s\n", what);
    abort();
}

#define require(condition) require_that(condition, #condition)

/* ---- the memory of a file ---- */

static void forbid_gaps(const struct gguf *gguf, const char *file, size_t size)
{
#ifdef HAS_ASAN
    uintptr_t first = UINTPTR_MAX;
    for (size_t i = 0; i < gguf_n_tensors(gguf); i++) {
        uintptr_t data = (uintptr_t)gguf_tensor_at(gguf, i)->data;
        first = data < first ? data : first;
    }
    if (first == UINTPTR_MAX)
        return;
    const char *begin = file + (first - (uintptr_t)file);
    __asan_poison_memory_region(begin, size - (size_t)(begin - file));
    for (size_t i = 0; i < gguf_n_tensors(gguf); i++)
        __asan_unpoison_memory_region(gguf_tensor_at(gguf, i)->data, gguf_tensor_at(gguf, i)->n_bytes);
#else
    (void)gguf, (void)file, (void)size;
#endif
}

static void allow_gaps(const char *file, size_t size)
{
#ifdef HAS_ASAN
    __asan_unpoison_memory_region(file, size);
#else
    (void)file, (void)size;
#endif
}

/* ---- what is asked of errors ---- */

static void check_error(enum status status, const struct error *error)
{
    require(error->status == status && error->text[0] != 0);
    for (const char *c = error->text; *c; c++)
        require_that((unsigned char)*c >= 0x20 && *c != 0x7f, error->text);
}

/* Model files that open but can't be loaded: which key, which tensor? */
static void check_named(enum status status, const struct error *error)
{
    check_error(status, error);
    require_that(status == STATUS_MEMORY || strstr(error->text, "tensor ") || strstr(error->text, "key ") ||
                     strstr(error->text, "architecture ") || strstr(error->text, "tokenizer."),
                 error->text);
}

/* ---- what is done with a model ---- */

#ifdef FATHOM_PLANT_BUG
static unsigned read_layers(const struct model *model)
{
    unsigned sum = 0;
    const struct weight *first = (const struct weight *)model->layers; /* a layer is nothing but weights */
    size_t n = sizeof *model->layers / sizeof *first;
    for (int32_t i = 1; i < model->hparams.n_layer; i++) {
        const struct weight *weights = (const struct weight *)&model->layers[i];
        for (size_t k = 0; k < n; k++)
            for (size_t at = 0; weights[k].data && at < first[k].row_bytes * (size_t)weights[k].n_rows; at++)
                sum += ((const volatile unsigned char *)weights[k].data)[at];
    }
    return sum;
}
#endif

static void check_logits(const struct session *session, int32_t n_vocab)
{
    const float *logits = session_logits(session);
    require(logits != NULL);
    for (int32_t i = 0; i < n_vocab; i++)
        require(logits[i] - logits[i] == 0); /* finite */
}

static void evaluate(struct engine *engine, enum kv_type kv)
{
    const struct session_options options = {.n_ctx = CONTEXT, .n_slice = SLICE, .kv = kv};
    struct session *session = NULL;
    struct error error = {0};
    enum status status = session_open(engine, &options, &session, &error);
    if (status) {
        require(status == STATUS_UNSUPPORTED || status == STATUS_MEMORY);
        check_error(status, &error);
        return;
    }
    int32_t ids[PROMPT], n_vocab = engine_n_vocab(engine);
    for (int32_t i = 0; i < PROMPT; i++)
        ids[i] = i * 37 % n_vocab;
    ids[PROMPT - 1] = n_vocab - 1;
    status = session_sync(session, ids, PROMPT, NULL, &error);
    for (int i = 0; !status && i < 2; i++) {
        check_logits(session, n_vocab);
        status = session_append(session, i % n_vocab, &error);
    }
    if (status) {
        check_error(status, &error);
        require_that(status == STATUS_NUMERIC && (strstr(error.text, "layer") || strstr(error.text, "embeddings")),
                     error.text);
    }
    session_close(session);
}

static void run(struct gguf *gguf, bool is_described, enum kv_type kv)
{
    const struct engine_options options = {.model_path = "FILE", .n_threads = 1, .force = true};
    struct engine *engine = NULL;
    struct error error = {0};
    enum status status = engine_open_gguf(gguf, &options, &engine, &error);
    if (status) {
        check_named(status, &error);
        return;
    }
    require(is_described);
#ifdef FATHOM_PLANT_BUG
    read_layers(engine->model);
#endif
    evaluate(engine, kv);
    engine_close(engine);
}

/* Opens the container again for each way of use, since a model takes it. */
static void check_file(const char *file, size_t size, enum kv_type kv)
{
    struct gguf *gguf = NULL;
    struct model *model = NULL;
    struct error error = {0};
    enum status status = gguf_open_memory(file, size, &gguf, &error);
    if (status) {
        check_error(status, &error);
        return;
    }
    struct gguf *second = NULL;
    require(gguf_open_memory(file, size, &second, &error) == STATUS_OK);
    forbid_gaps(gguf, file, size);
    status = model_open(gguf, MODEL_TO_DESCRIBE, &model, &error);
    if (status)
        check_named(status, &error);
    model_close(model);
    run(second, status == STATUS_OK, kv);
    allow_gaps(file, size);
}

/* With the usual 256 MB of freed memory kept aside, most of the time goes into fresh pages. */
const char *__asan_default_options(void)
{
    return "quarantine_size_mb=8";
}

int LLVMFuzzerInitialize(int *n_arguments, char ***arguments)
{
    (void)n_arguments, (void)arguments;
    const char *name = getenv("FATHOM_FUZZ_VARIANT");
    const struct synth_shape *shape = synth_shape_find(name && *name ? name : "llama");
    require(shape != NULL);
    source = mutant_source_make(shape);
    require(source.file.size && !source.file.failed);
    return 0;
}

/* One in four is a fresh script: all of a step's bytes have to fit together, which changing one of them seldom does. */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
    enum { FRESH = 24 };
    if (seed % 4 || max_size < FRESH)
        return LLVMFuzzerMutate(data, size, max_size < MUTANT_MAX_SCRIPT ? max_size : MUTANT_MAX_SCRIPT);
    uint64_t state = seed;
    for (size_t i = 0; i < FRESH; i++) {
        state = state * 6364136223846793005 + 1442695040888963407; /* Knuth's MMIX */
        data[i] = (uint8_t)(state >> 56);
    }
    return FRESH;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const enum kv_type types[] = {KV_F16, KV_Q4_0, KV_F32, KV_Q8_0};
    enum kv_type kv = types[size ? data[size - 1] % 4 : 0];
    struct buffer made = {0};
    mutant_write(&source, data, size, &made);
    char *file = made.size && !made.failed ? malloc(made.size) : NULL; /* a buffer has room beyond its end */
    size_t n = made.size;
    if (file)
        memcpy(file, made.data, n);
    buffer_deinit(&made);
    if (file)
        check_file(file, n, kv);
    free(file);
    return 0;
}
