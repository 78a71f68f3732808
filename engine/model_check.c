/* model_check: looks through a model's weights for what is no finite number (model_check_weights of engine.h).
 *
 * Tensor after tensor, in chunks that the threads share.  Blocks are unpacked as computation does it, so that nothing
 * needs to be known here of where a type keeps its scales.  Memory taken doesn't grow with the model. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/engine.h"
#include "engine/gguf.h"
#include "engine/mapping.h"
#include "engine/threads.h"

/* Numbers; multiples of every block's. */
enum { CHUNK = 1 << 22, PIECE = 1 << 11 };

/* What a thread found in its share of a chunk. */
struct finding {
    uint64_t n;     /* numbers that are not finite */
    uint64_t first; /* position in the tensor */
    double value;
};

struct check {
    const struct weights_check_options *options;
    struct gguf *gguf;
    struct thread_pool *pool;
    float *unpacked;          /* PIECE floats a thread */
    struct finding *findings; /* one a thread */
    uint64_t done, total;     /* bytes */

    /* the chunk that is looked through */
    const struct gguf_tensor *tensor;
    uint64_t first, n;
};

/* The public struct, and the memory that its faults and names lie in. */
struct owned_report {
    struct weights_report report;
    struct arena arena;
};

/* ---- one chunk ---- */

static void note(struct finding *finding, uint64_t position, double value)
{
    if (finding->n++ == 0) {
        finding->first = position;
        finding->value = value;
    }
}

static void look_at_doubles(const unsigned char *data, uint64_t position, size_t n, struct finding *finding)
{
    for (size_t i = 0; i < n; i++) {
        double value;
        memcpy(&value, data + 8 * i, 8);
        if (!isfinite(value))
            note(finding, position + i, value);
    }
}

static void look_at_piece(const struct check *check, uint64_t at, size_t n, float *x, struct finding *finding)
{
    const struct quant_info *info = quant_info(check->tensor->type);
    uint64_t position = check->first + at;
    const unsigned char *data = check->tensor->data + position / info->block_elements * info->block_bytes;
    if (!info->unpack) {
        look_at_doubles(data, position, n, finding);
        return;
    }
    info->unpack(data, x, n);
    for (size_t i = 0; i < n; i++)
        if (!isfinite(x[i]))
            note(finding, position + i, (double)x[i]);
}

static void look_at_share(void *context, int thread, int n_threads)
{
    struct check *check = context;
    int64_t begin, end;
    thread_share((int64_t)check->n, PIECE, thread, n_threads, &begin, &end);
    check->findings[thread] = (struct finding){0};
    for (int64_t at = begin; at < end; at += PIECE) {
        size_t n = (size_t)(end - at < PIECE ? end - at : PIECE);
        look_at_piece(check, (uint64_t)at, n, check->unpacked + (size_t)thread * PIECE, &check->findings[thread]);
    }
}

/* ---- tensors ---- */

enum reading { READ_NUMBERS, ALWAYS_FINITE, UNREADABLE };

static enum reading reading_of(enum quant_type type)
{
    const struct quant_info *info = quant_info(type);
    switch (type) {
    case QUANT_I8:
    case QUANT_I16:
    case QUANT_I32:
    case QUANT_I64:
        return ALWAYS_FINITE;
    case QUANT_F64:
        return READ_NUMBERS;
    default:
        return info && info->unpack ? READ_NUMBERS : UNREADABLE;
    }
}

static enum status look_around(const struct check *check, struct error *error)
{
    if (check->options->cancel && atomic_load(check->options->cancel))
        return error_set(error, STATUS_CANCELLED, "cancelled");
    /* What vanished reads as zeros, which are finite. */
    if (gguf_is_broken(check->gguf))
        return error_set(error, STATUS_IO, "%s: became shorter while it was read",
                         path_end_shown(check->options->path));
    return STATUS_OK;
}

static void tell_progress(struct check *check, uint64_t n_bytes)
{
    check->done += n_bytes;
    if (check->options->progress)
        check->options->progress(check->options->progress_context, "checking", check->done, check->total);
}

static enum status read_tensor(struct check *check, struct finding *found, struct error *error)
{
    const struct gguf_tensor *tensor = check->tensor;
    const struct quant_info *info = quant_info(tensor->type);
    enum status status = STATUS_OK;
    for (check->first = 0; check->first < tensor->n_elements && status == STATUS_OK; check->first += check->n) {
        uint64_t left = tensor->n_elements - check->first;
        check->n = left < CHUNK ? left : CHUNK;
        thread_pool_run(check->pool, look_at_share, check);
        for (int i = 0; i < thread_pool_size(check->pool); i++) {
            const struct finding *part = &check->findings[i];
            if (found->n == 0 && part->n)
                *found = (struct finding){0, part->first, part->value};
            found->n += part->n;
        }
        uint64_t n_bytes = check->n / info->block_elements * info->block_bytes;
        mapping_forget(tensor->data + check->first / info->block_elements * info->block_bytes, (size_t)n_bytes);
        status = look_around(check, error);
        if (status == STATUS_OK)
            tell_progress(check, n_bytes);
    }
    return status;
}

static enum status add_fault(struct owned_report *owned, const struct gguf_tensor *tensor, const struct finding *found,
                             struct weights_fault *fault, struct error *error)
{
    *fault = (struct weights_fault){
        .tensor = arena_copy_text(&owned->arena, tensor->name.data, tensor->name.size),
        .n = found->n,
        .n_elements = tensor->n_elements,
        .row = found->first / tensor->shape[0],
        .column = found->first % tensor->shape[0],
        .value = found->value,
    };
    owned->report.n_faults++;
    return fault->tensor ? STATUS_OK : error_set(error, STATUS_MEMORY, "out of memory");
}

static enum status read_tensors(struct check *check, struct owned_report *owned, struct error *error)
{
    size_t n_tensors = gguf_n_tensors(check->gguf);
    struct weights_report *report = &owned->report;
    struct weights_fault *faults = arena_alloc(&owned->arena, (n_tensors + 1) * sizeof *faults);
    if (!faults)
        return error_set(error, STATUS_MEMORY, "out of memory");
    report->faults = faults;
    report->n_tensors = n_tensors;
    for (size_t i = 0; i < n_tensors; i++)
        check->total += gguf_tensor_at(check->gguf, i)->n_bytes;
    enum status status = look_around(check, error);
    for (size_t i = 0; i < n_tensors && status == STATUS_OK; i++) {
        const struct gguf_tensor *tensor = check->tensor = gguf_tensor_at(check->gguf, i);
        enum reading reading = reading_of(tensor->type);
        struct finding found = {0};
        report->n_weights += tensor->n_elements;
        if (reading == READ_NUMBERS) {
            status = read_tensor(check, &found, error);
        } else {
            report->n_unread += reading == UNREADABLE ? tensor->n_elements : 0;
            report->n_unread_tensors += reading == UNREADABLE;
            tell_progress(check, tensor->n_bytes);
        }
        if (found.n && status == STATUS_OK)
            status = add_fault(owned, tensor, &found, &faults[report->n_faults], error);
    }
    return status;
}

/* ---- all of it ---- */

static enum status take_memory(struct check *check, struct error *error)
{
    int n_threads = check->options->n_threads > 0 ? check->options->n_threads : threads_physical_cores();
    if (n_threads > THREADS_MAX)
        n_threads = THREADS_MAX;
    enum status status = thread_pool_new(n_threads, &check->pool, error);
    if (status != STATUS_OK)
        return status;
    check->unpacked = calloc((size_t)n_threads, PIECE * sizeof *check->unpacked);
    check->findings = calloc((size_t)n_threads, sizeof *check->findings);
    return check->unpacked && check->findings ? STATUS_OK : error_set(error, STATUS_MEMORY, "out of memory");
}

enum status model_check_weights(const struct weights_check_options *options, struct weights_report **out,
                                struct error *error)
{
    struct check check = {.options = options};
    struct owned_report *owned = calloc(1, sizeof *owned);
    if (!owned)
        return error_set(error, STATUS_MEMORY, "out of memory");
    enum status status = gguf_open(options->path, &check.gguf, error);
    if (status == STATUS_OK)
        status = take_memory(&check, error);
    if (status == STATUS_OK)
        status = read_tensors(&check, owned, error);
    thread_pool_free(check.pool);
    gguf_close(check.gguf);
    free(check.unpacked);
    free(check.findings);
    if (status != STATUS_OK)
        weights_report_free(&owned->report);
    else
        *out = &owned->report;
    return status;
}

void weights_report_free(struct weights_report *report)
{
    if (!report)
        return;
    struct owned_report *owned = (struct owned_report *)(void *)report;
    arena_deinit(&owned->arena);
    free(owned);
}
