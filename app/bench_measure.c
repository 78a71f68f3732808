/* bench_measure: the measuring of `fathom bench`.
 *
 * Every line is measured --repeat times after a time that doesn't count, and the median stands.  Where another program is
 * measured beside ours, they take turns for each of these times, so that what else the machine does meets both.  Prompts
 * are arbitrary tokens: the work doesn't depend on which they are, beyond the experts that they choose. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/bench.h"
#include "app/machine.h"

static int compare_reals(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double median(double *samples, size_t n)
{
    qsort(samples, n, sizeof *samples, compare_reals);
    return n % 2 ? samples[n / 2] : (samples[n / 2 - 1] + samples[n / 2]) / 2;
}

static double seconds_since(uint64_t began)
{
    double seconds = (double)(clock_now_ns() - began) / 1e9;
    return seconds > 0 ? seconds : 1e-9;
}

static void advance(struct bench *bench, int64_t n)
{
    bench->done += (uint64_t)n;
    progress_update(bench->context->progress, "measuring", bench->done, bench->total);
}

/* ---- once ---- */

/* Another first token, so that nothing of the prompt before is kept. */
static enum status read_afresh(struct bench *bench, const struct bench_line *line, double *seconds, struct error *error)
{
    bench->ids[0] = (bench->ids[0] + 1) % engine_n_vocab(bench->engine);
    bench->n_saved = 0;
    uint64_t began = clock_now_ns();
    enum status status = session_sync(bench->session, bench->ids, (size_t)line->n, NULL, error);
    *seconds = seconds_since(began);
    return status;
}

static enum status append_tokens(struct bench *bench, const struct bench_line *line, double *seconds,
                                 struct error *error)
{
    size_t depth = line->depth ? (size_t)line->depth : 1; /* a session begins with a token */
    enum status status = session_sync(bench->session, bench->ids, depth, NULL, error);
    uint64_t began = clock_now_ns();
    for (int64_t i = 0; status == STATUS_OK && i < line->n; i++) {
        if (atomic_load(bench->context->cancel))
            return error_set(error, STATUS_CANCELLED, "interrupted");
        status = session_append(bench->session, bench->ids[(size_t)i % bench->n_ids], error);
    }
    *seconds = seconds_since(began);
    return status;
}

/* A prompt of which all but the end is cached: as when a question is asked behind a conversation. */
static enum status answer_first(struct bench *bench, const struct bench_line *line, double *seconds,
                                struct error *error)
{
    size_t cached = (size_t)line->depth, n = cached + (size_t)line->n;
    struct token_probability best;
    memcpy(bench->changed, bench->ids, n * sizeof *bench->ids);
    for (size_t i = cached; i < n; i++)
        bench->changed[i] = (bench->changed[i] + 1) % engine_n_vocab(bench->engine);
    enum status status = session_sync(bench->session, bench->ids, cached, NULL, error);
    uint64_t began = clock_now_ns();
    if (status == STATUS_OK)
        status = session_sync(bench->session, bench->changed, n, NULL, error);
    if (status == STATUS_OK)
        logits_top(session_logits(bench->session), engine_n_vocab(bench->engine), &best, 1);
    *seconds = seconds_since(began);
    return status;
}

/* Writes what the session holds to a file of its own. */
static enum status save(struct bench *bench, int64_t n, struct error *error)
{
    const char *given = getenv("TMPDIR"), *folder = given && *given ? given : "/tmp";
    struct buffer path = {0};
    buffer_printf(&path, "%s/fathom-bench-XXXXXX", folder);
    enum status status = buffer_status(&path, error);
    if (status == STATUS_OK && !bench->saved) {
        int file = mkostemp(path.data, O_CLOEXEC);
        if (file < 0) {
            status = error_set(error, STATUS_IO, "%.120s: no file can be made there: %s", folder, strerror(errno));
        } else {
            close(file);
            bench->saved = path.data;
        }
    }
    if (bench->saved != path.data)
        buffer_deinit(&path);
    if (status == STATUS_OK)
        status = session_sync(bench->session, bench->ids, (size_t)n, NULL, error);
    if (status == STATUS_OK)
        status = session_save(bench->session, bench->saved, error);
    bench->n_saved = status == STATUS_OK ? n : 0;
    return status;
}

/* As a conversation is opened again: into a session that holds none of it. */
static enum status restore(struct bench *bench, const struct bench_line *line, double *seconds, struct error *error)
{
    enum status status = bench->n_saved == line->n ? STATUS_OK : save(bench, line->n, error);
    bench->changed[0] = (bench->ids[0] + 1) % engine_n_vocab(bench->engine);
    if (status == STATUS_OK)
        status = session_sync(bench->session, bench->changed, 1, NULL, error);
    uint64_t began = clock_now_ns();
    if (status == STATUS_OK)
        status = session_restore(bench->session, bench->saved, (size_t)line->n, error);
    *seconds = seconds_since(began);
    return status;
}

static enum status measure_once(struct bench *bench, const struct bench_line *line, double *seconds,
                                struct error *error)
{
    static enum status (*const ways[BENCH_KINDS])(struct bench *, const struct bench_line *, double *,
                                                  struct error *) = {
        [BENCH_PREFILL] = read_afresh, [BENCH_DECODE] = append_tokens, [BENCH_FIRST] = answer_first,
        [BENCH_ALONE] = read_afresh,   [BENCH_RESTORE] = restore,
    };
    enum status status = ways[line->kind](bench, line, seconds, error);
    advance(bench, line->n);
    return status;
}

/* ---- all of it ---- */

static enum status measure_line(struct bench *bench, struct bench_line *line, double *samples, struct error *error)
{
    /* Restoring is not the same thing elsewhere. */
    struct bench_peer *peer = line->kind == BENCH_RESTORE ? NULL : bench->peer;
    size_t n = (size_t)bench->context->settings->repeat;
    double *ours = samples, *theirs = samples + n, seconds = 0;
    enum status status = STATUS_OK;
    for (size_t i = 0; status == STATUS_OK && i <= n; i++) {
        status = measure_once(bench, line, &seconds, error);
        if (i > 0)
            ours[i - 1] = seconds;
        if (status == STATUS_OK && peer)
            status = bench_peer_measure(peer, line, &seconds, error);
        if (peer && i > 0)
            theirs[i - 1] = seconds;
    }
    if (status != STATUS_OK)
        return status;
    line->seconds = median(ours, n);
    line->peer_seconds = peer ? median(theirs, n) : 0;
    return status;
}

/* The most of all times counts: what else uses the machine takes from it for a while, and speeds are held against what there
 * is at best.  The buffer that this takes is not the model's memory. */
static enum status measure_limits(struct bench *bench, struct error *error)
{
    double bandwidth = 0, compute = 0;
    uint64_t taken = machine_own_memory();
    bench->peak = taken > bench->peak ? taken : bench->peak;
    enum status status = engine_measure_bandwidth(bench->engine, &bandwidth, error);
    if (status == STATUS_OK)
        status = engine_measure_compute(bench->engine, &compute, error);
    bench->bandwidth = bandwidth > bench->bandwidth ? bandwidth : bench->bandwidth;
    bench->compute = compute > bench->compute ? compute : bench->compute;
    return status;
}

static enum status open_session(struct bench *bench, struct error *error)
{
    struct session_options options = command_session_options(bench->context);
    options.n_ctx = (int32_t)bench->n_ids;
    options.progress = NULL; /* told per measurement */
    enum status status = session_open(bench->engine, &options, &bench->session, error);
    if (status == STATUS_OK)
        bench->kv_per_token = session_kv_bytes_per_token(bench->session);
    return status;
}

static enum status prepare(struct bench *bench, struct error *error)
{
    bench->n_ids = (size_t)bench_most_tokens(bench);
    bench->ids = calloc(bench->n_ids, sizeof *bench->ids);
    bench->changed = calloc(bench->n_ids, sizeof *bench->changed);
    if (!bench->ids || !bench->changed)
        return error_set(error, STATUS_MEMORY, "bench: out of memory");
    /* A linear congruential generator (Knuth, MMIX): the same tokens each time, and in assets/bench_peer.py. */
    uint64_t state = 1;
    for (size_t i = 0; i < bench->n_ids; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        bench->ids[i] = (int32_t)((state >> 33) % (uint64_t)engine_n_vocab(bench->engine));
    }
    for (size_t i = 0; i < bench->n_lines; i++)
        bench->total += (uint64_t)bench->lines[i].n;
    bench->total *= (uint64_t)bench->context->settings->repeat + 1;
    return open_session(bench, error);
}

enum status bench_measure(struct bench *bench, struct error *error)
{
    double *samples = calloc(2 * (size_t)bench->context->settings->repeat, sizeof *samples);
    enum status status = samples ? prepare(bench, error) : error_set(error, STATUS_MEMORY, "bench: out of memory");
    if (status == STATUS_OK)
        status = measure_limits(bench, error);
    for (size_t i = 0; status == STATUS_OK && i < bench->n_lines; i++) {
        status = measure_line(bench, &bench->lines[i], samples, error);
        if (status == STATUS_OK && (bench->lines[i].kind == BENCH_DECODE || i + 1 == bench->n_lines))
            status = measure_limits(bench, error);
    }
    free(samples);
    progress_end(bench->context->progress);
    return status;
}

/* ---- shares ---- */

uint64_t bench_bytes_per_token(const struct bench *bench, const struct bench_line *line)
{
    uint64_t middle = (uint64_t)line->depth + (uint64_t)line->n / 2;
    return engine_info(bench->engine)->bytes_per_token_weights + middle * bench->kv_per_token;
}

double bench_bandwidth_share(const struct bench *bench, const struct bench_line *line)
{
    return (double)bench_bytes_per_token(bench, line) * bench_speed(line) / bench->bandwidth;
}

/* By the weights alone: what attention multiplies comes on top, and logits are made of the last token. */
double bench_compute_share(const struct bench *bench, const struct bench_line *line)
{
    const struct model_info *info = engine_info(bench->engine);
    double n = (double)line->n * (double)info->multiply_adds_layers + (double)info->multiply_adds_logits;
    return n / line->seconds / bench->compute;
}
