/* quantize_model: a whole model to another type (model_quantize of engine.h).
 *
 * Tensors are converted one after another, in pieces of at most CHUNK numbers: the threads share a chunk, then it is
 * written.  So memory is bounded whatever the model's size.  All blocks of a row lie behind one another, and rows behind
 * rows: a tensor is one long run of blocks, and chunks needn't know of rows. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "engine/engine.h"
#include "engine/gguf_write.h"
#include "engine/mapping.h"
#include "engine/quantize.h"
#include "engine/threads.h"

/* Numbers; multiples of every block's. */
enum { CHUNK = 1 << 20, PIECE = 1 << 11 };

enum { MAX_BYTES = 4 }; /* of a packed number: F32 */

enum { QUANTIZATION_VERSION = 2 }; /* GGML_QNT_VERSION of ggml.h: the present meaning of the block types */

/* What is wrong with a number. */
struct fault {
    bool is_found, is_range; /* is_range: too large for the type, else not finite */
    uint64_t position;       /* in the tensor */
    float value;
};

struct job {
    const struct quantize_options *options;
    const struct quantize_mix *mix;
    struct gguf *gguf;
    struct gguf_write *file;
    struct thread_pool *pool;
    enum quant_type *types;
    float *unpacked;       /* PIECE floats a thread */
    unsigned char *packed; /* a chunk of any type */
    struct fault *faults;  /* one a thread */
    uint64_t done, total;  /* bytes of the source's tensors */

    /* the chunk that is being converted */
    const struct gguf_tensor *tensor;
    enum quant_type type;
    uint64_t first, n;
};

void model_quantize_types(struct buffer *out, const char *between)
{
    quantize_mix_names(out, between);
}

/* ---- one chunk ---- */

static void convert_piece(struct job *job, uint64_t at, size_t n, float *x, struct fault *fault)
{
    const struct quant_info *from = quant_info(job->tensor->type), *to = quant_info(job->type);
    uint64_t position = job->first + at;
    from->unpack(job->tensor->data + position / from->block_elements * from->block_bytes, x, n);
    for (size_t i = 0; i < n; i++)
        if (!isfinite(x[i])) {
            *fault = (struct fault){true, false, position + i, x[i]};
            return;
        }
    if (quantize_pack(job->type, x, n, job->packed + at / to->block_elements * to->block_bytes))
        return;
    size_t greatest = 0;
    for (size_t i = 1; i < n; i++)
        greatest = fabsf(x[i]) > fabsf(x[greatest]) ? i : greatest;
    *fault = (struct fault){true, true, position + greatest, x[greatest]};
}

static void convert_share(void *context, int thread, int n_threads)
{
    struct job *job = context;
    struct fault *fault = &job->faults[thread];
    int64_t begin, end;
    thread_share((int64_t)job->n, PIECE, thread, n_threads, &begin, &end);
    fault->is_found = false;
    for (int64_t at = begin; at < end && !fault->is_found; at += PIECE) {
        size_t n = (size_t)(end - at < PIECE ? end - at : PIECE);
        convert_piece(job, (uint64_t)at, n, job->unpacked + (size_t)thread * PIECE, fault);
    }
}

/* The first fault of the chunk, whoever found it. */
static enum status check_faults(const struct job *job, struct error *error)
{
    const struct gguf_tensor *tensor = job->tensor;
    const char *path = path_end_shown(job->options->in);
    for (int i = 0; i < thread_pool_size(job->pool); i++) {
        const struct fault *fault = &job->faults[i];
        if (!fault->is_found)
            continue;
        uint64_t row = fault->position / tensor->shape[0], column = fault->position % tensor->shape[0];
        if (fault->is_range)
            return error_set(error, STATUS_RANGE,
                             "%s: tensor '%.*s', row %" PRIu64 ": %g at %" PRIu64 " is too large for %s", path,
                             (int)(tensor->name.size < 64 ? tensor->name.size : 64), tensor->name.data, row,
                             (double)fault->value, column, quant_info(job->type)->name);
        return error_set(error, STATUS_NUMERIC,
                         "%s: tensor '%.*s', row %" PRIu64 ": the number at %" PRIu64 " is not finite (%g)", path,
                         (int)(tensor->name.size < 64 ? tensor->name.size : 64), tensor->name.data, row, column,
                         (double)fault->value);
    }
    return STATUS_OK;
}

static enum status check_source(const struct job *job, struct error *error)
{
    if (job->options->cancel && atomic_load(job->options->cancel))
        return error_set(error, STATUS_CANCELLED, "cancelled");
    if (gguf_is_broken(job->gguf))
        return error_set(error, STATUS_IO, "%s: became shorter while it was read", path_end_shown(job->options->in));
    return STATUS_OK;
}

static void tell_progress(struct job *job, uint64_t n_bytes)
{
    job->done += n_bytes;
    if (job->options->progress)
        job->options->progress(job->options->progress_context, "quantising", job->done, job->total);
}

/* ---- tensors ---- */

static enum status convert_tensor(struct job *job, struct error *error)
{
    const struct quant_info *from = quant_info(job->tensor->type), *to = quant_info(job->type);
    enum status status = STATUS_OK;
    for (job->first = 0; job->first < job->tensor->n_elements && status == STATUS_OK; job->first += job->n) {
        uint64_t left = job->tensor->n_elements - job->first;
        job->n = left < CHUNK ? left : CHUNK;
        thread_pool_run(job->pool, convert_share, job);
        status = check_source(job, error);
        if (status == STATUS_OK)
            status = check_faults(job, error);
        if (status == STATUS_OK)
            status =
                gguf_write_data(job->file, job->packed, (size_t)(job->n / to->block_elements * to->block_bytes), error);
        uint64_t begin = job->first / from->block_elements * from->block_bytes;
        uint64_t n_bytes = job->n / from->block_elements * from->block_bytes;
        mapping_forget(job->tensor->data + begin, n_bytes);
        tell_progress(job, n_bytes);
    }
    return status;
}

/* What holds no floats stays as it is. */
static enum status copy_tensor(struct job *job, struct error *error)
{
    enum status status = STATUS_OK;
    for (size_t at = 0, n; at < job->tensor->n_bytes && status == STATUS_OK; at += n) {
        n = job->tensor->n_bytes - at < CHUNK ? job->tensor->n_bytes - at : CHUNK;
        status = gguf_write_data(job->file, job->tensor->data + at, n, error);
        if (status == STATUS_OK)
            status = check_source(job, error);
        mapping_forget(job->tensor->data + at, n);
        tell_progress(job, n);
    }
    return status;
}

static bool is_float(enum quant_type type)
{
    return type == QUANT_F32 || type == QUANT_F16 || type == QUANT_BF16;
}

static enum status write_tensors(struct job *job, struct error *error)
{
    enum status status = STATUS_OK;
    for (size_t i = 0; i < gguf_n_tensors(job->gguf) && status == STATUS_OK; i++) {
        job->tensor = gguf_tensor_at(job->gguf, i);
        job->type = job->types[i];
        bool is_same = job->type == job->tensor->type && !is_float(job->type);
        status = is_same ? copy_tensor(job, error) : convert_tensor(job, error);
    }
    return status;
}

/* ---- the plan ---- */

/* Everything that would end the work half way is told before it begins. */
static enum status check_types(const struct job *job, struct error *error)
{
    const char *path = path_end_shown(job->options->in);
    for (size_t i = 0; i < gguf_n_tensors(job->gguf); i++) {
        const struct gguf_tensor *tensor = gguf_tensor_at(job->gguf, i);
        const struct quant_info *from = quant_info(tensor->type);
        int size = (int)(tensor->name.size < 64 ? tensor->name.size : 64);
        if (from->block_elements > 1 && !quantize_mix_is_float(job->mix))
            return error_set(error, STATUS_UNSUPPORTED,
                             "%s: tensor '%.*s' is quantised already (%s): start from a model in F32, F16 or BF16",
                             path, size, tensor->name.data, from->name);
        if (job->types[i] != tensor->type && !from->unpack)
            return error_set(error, STATUS_UNSUPPORTED, "%s: tensor '%.*s': its type %s can't be converted", path, size,
                             tensor->name.data, from->name);
    }
    return STATUS_OK;
}

static bool is_of_split(struct slice key)
{
    return slice_equals(key, "split.no") || slice_equals(key, "split.count") ||
           slice_equals(key, "split.tensors.count");
}

/* The keys in their order, with the two that tell the type. */
static void plan_keys(const struct job *job)
{
    static const char file_type[] = "general.file_type", version[] = "general.quantization_version";
    bool has_type = false, has_version = false;
    for (size_t i = 0; i < gguf_n_keys(job->gguf); i++) {
        struct slice key;
        const struct gguf_value *value = gguf_value_at(job->gguf, i, &key);
        if (is_of_split(key))
            continue;
        if (slice_equals(key, file_type)) {
            gguf_write_key_u32(job->file, file_type, job->mix->file_type);
            has_type = true;
        } else if (slice_equals(key, version)) {
            gguf_write_key_u32(job->file, version, QUANTIZATION_VERSION);
            has_version = true;
        } else {
            gguf_write_key(job->file, key, value);
        }
    }
    if (!has_type)
        gguf_write_key_u32(job->file, file_type, job->mix->file_type);
    if (!has_version)
        gguf_write_key_u32(job->file, version, QUANTIZATION_VERSION);
}

static void count_type(struct quantize_report *report, enum quant_type type, uint64_t n_elements)
{
    const struct quant_info *info = quant_info(type);
    size_t i = 0;
    while (i < report->n_types && report->types[i].name != info->name)
        i++;
    if (i == sizeof report->types / sizeof *report->types)
        return;
    if (i == report->n_types)
        report->types[report->n_types++] = (struct quantize_count){.name = info->name};
    report->types[i].n++;
    report->types[i].n_bytes += n_elements / info->block_elements * info->block_bytes;
}

static enum status plan(struct job *job, struct quantize_report *report, struct error *error)
{
    uint32_t alignment = 0;
    size_t n_tensors = gguf_n_tensors(job->gguf);
    job->types = calloc(n_tensors + 1, sizeof *job->types);
    if (!job->types)
        return error_set(error, STATUS_MEMORY, "out of memory");
    enum status status = quantize_choose(job->gguf, job->mix, job->types, &report->n_fallbacks, error);
    if (status == STATUS_OK)
        status = check_types(job, error);
    if (status == STATUS_OK && gguf_find_key(job->gguf, "general.alignment"))
        status = gguf_read_u32(job->gguf, "general.alignment", &alignment, error);
    if (status == STATUS_OK)
        status = gguf_write_new(alignment, &job->file, error);
    if (status == STATUS_OK)
        plan_keys(job);
    report->n_tensors = n_tensors;
    report->n_bytes_in = gguf_n_bytes(job->gguf);
    for (size_t i = 0; i < n_tensors && status == STATUS_OK; i++) {
        const struct gguf_tensor *tensor = gguf_tensor_at(job->gguf, i);
        status = gguf_write_tensor(job->file, tensor->name, job->types[i], tensor->shape, error);
        count_type(report, job->types[i], tensor->n_elements);
        job->total += tensor->n_bytes;
    }
    return status;
}

/* ---- all of it ---- */

static enum status take_memory(struct job *job, struct error *error)
{
    int n_threads = job->options->n_threads > 0 ? job->options->n_threads : threads_physical_cores();
    if (n_threads > THREADS_MAX)
        n_threads = THREADS_MAX;
    enum status status = thread_pool_new(n_threads, &job->pool, error);
    if (status != STATUS_OK)
        return status;
    job->unpacked = calloc((size_t)n_threads, PIECE * sizeof *job->unpacked);
    job->packed = calloc(CHUNK, MAX_BYTES);
    job->faults = calloc((size_t)n_threads, sizeof *job->faults);
    if (!job->unpacked || !job->packed || !job->faults)
        return error_set(error, STATUS_MEMORY, "out of memory");
    return STATUS_OK;
}

static enum status check_names(const struct quantize_options *options, struct quantize_report *report,
                               struct error *error)
{
    struct stat in, out;
    if (stat(options->in, &in) != 0 || stat(options->out, &out) != 0)
        return STATUS_OK; /* opening them tells more */
    if (in.st_dev == out.st_dev && in.st_ino == out.st_ino)
        return error_set(error, STATUS_ARGUMENT, "%s: is the model itself: the result needs another name",
                         path_end_shown(options->out));
    report->is_there = S_ISREG(out.st_mode) && !options->replace;
    return report->is_there ? error_set(error, STATUS_ARGUMENT, "%s: is there already", path_end_shown(options->out))
                            : STATUS_OK;
}

enum status model_quantize_check_type(const char *type, struct error *error)
{
    struct buffer names = {0};
    if (quantize_mix_find(type))
        return STATUS_OK;
    quantize_mix_names(&names, " ");
    enum status status = buffer_status(&names, error);
    if (status == STATUS_OK)
        status = error_set(error, STATUS_ARGUMENT, "%.40s: no such type; there are %s", type, buffer_text(&names));
    buffer_deinit(&names);
    return status;
}

enum status model_quantize(const struct quantize_options *options, struct quantize_report *report, struct error *error)
{
    struct job job = {.options = options, .mix = quantize_mix_find(options->type)};
    *report = (struct quantize_report){0};
    enum status status = model_quantize_check_type(options->type, error);
    if (status == STATUS_OK)
        status = check_names(options, report, error);
    if (status == STATUS_OK)
        status = gguf_open(options->in, &job.gguf, error);
    if (status == STATUS_OK)
        status = plan(&job, report, error);
    if (status == STATUS_OK)
        status = take_memory(&job, error);
    if (status == STATUS_OK)
        status = gguf_write_begin(job.file, options->out, options->replace, error);
    if (status == STATUS_OK)
        status = write_tensors(&job, error);
    if (status == STATUS_OK)
        status = gguf_write_commit(job.file, error);
    if (status == STATUS_OK)
        report->n_bytes_out = gguf_write_n_bytes(job.file);
    gguf_write_free(job.file);
    if (job.pool)
        thread_pool_free(job.pool);
    if (job.gguf)
        gguf_close(job.gguf);
    free(job.types);
    free(job.unpacked);
    free(job.packed);
    free(job.faults);
    return status;
}
