/* command_bench: prefill and decode speed, and the share of the memory bandwidth that decoding uses.
 *
 * Every measurement is made --repeat times after one that doesn't count, and the median is printed.  Prompts are made of
 * arbitrary tokens: the work doesn't depend on which they are.  Decoding one token reads every active weight and the KV
 * cache of the depth it stands at once; that many bytes a token, times tokens a second, over the bandwidth that the same
 * threads reach in the same run, is the share. */
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "app/command.h"
#include "app/machine.h"

struct timing {
    int64_t n, depth;
    double tok_s; /* median */
};

struct bench {
    const struct command_context *context;
    struct engine *engine;
    struct session *session;
    int32_t *ids; /* as many as the longest prompt has */
    size_t n_ids;
    double *samples; /* one per repetition */
    struct timing *prefill, *decode;
    uint64_t kv_per_token;
    double bandwidth;     /* bytes a second */
    uint64_t peak;        /* memory before the bandwidth's own buffer */
    uint64_t done, total; /* tokens, for the progress line */
};

/* ---- measuring ---- */

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
    return (double)(clock_now_ns() - began) / 1e9;
}

static void advance(struct bench *bench, int64_t n)
{
    bench->done += (uint64_t)n;
    progress_update(bench->context->progress, "measuring", bench->done, bench->total);
}

/* Another first token, so that nothing of the prompt before is kept. */
static enum status measure_prefill(struct bench *bench, struct timing *timing, size_t n_samples, struct error *error)
{
    enum status status = STATUS_OK;
    for (size_t i = 0; status == STATUS_OK && i <= n_samples; i++) {
        bench->ids[0] = (bench->ids[0] + 1) % engine_n_vocab(bench->engine);
        uint64_t began = clock_now_ns();
        status = session_sync(bench->session, bench->ids, (size_t)timing->n, NULL, error);
        if (i > 0)
            bench->samples[i - 1] = (double)timing->n / seconds_since(began);
        advance(bench, timing->n);
    }
    if (status == STATUS_OK)
        timing->tok_s = median(bench->samples, n_samples);
    return status;
}

static enum status append_tokens(struct bench *bench, int64_t n, struct error *error)
{
    enum status status = STATUS_OK;
    for (int64_t i = 0; status == STATUS_OK && i < n; i++) {
        if (atomic_load(bench->context->cancel))
            return error_set(error, STATUS_CANCELLED, "interrupted");
        status = session_append(bench->session, bench->ids[(size_t)i % bench->n_ids], error);
    }
    return status;
}

static enum status measure_decode(struct bench *bench, struct timing *timing, size_t n_samples, struct error *error)
{
    enum status status = STATUS_OK;
    size_t depth = timing->depth ? (size_t)timing->depth : 1; /* a session begins with a token */
    for (size_t i = 0; status == STATUS_OK && i <= n_samples; i++) {
        status = session_sync(bench->session, bench->ids, depth, NULL, error);
        uint64_t began = clock_now_ns();
        if (status == STATUS_OK)
            status = append_tokens(bench, timing->n, error);
        if (i > 0)
            bench->samples[i - 1] = (double)timing->n / seconds_since(began);
        advance(bench, timing->n);
    }
    if (status == STATUS_OK)
        timing->tok_s = median(bench->samples, n_samples);
    return status;
}

/* ---- the work to do ---- */

static int64_t largest(const struct number_list *list)
{
    int64_t value = 0;
    for (size_t i = 0; i < list->n; i++)
        value = list->items[i] > value ? list->items[i] : value;
    return value;
}

static enum status prepare(struct bench *bench, struct error *error)
{
    const struct settings *settings = bench->context->settings;
    int64_t prompt = largest(&settings->prefill), depth = largest(&settings->depth) + 1;
    int64_t n_ctx = depth + largest(&settings->decode);
    bench->n_ids = (size_t)(prompt > depth ? prompt : depth);
    n_ctx = prompt > n_ctx ? prompt : n_ctx;
    size_t n_decode = settings->decode.n * settings->depth.n;
    if (!bench->n_ids || !settings->prefill.n || !n_decode)
        return error_set(error, STATUS_ARGUMENT, "bench: there is nothing to measure");
    bench->ids = calloc(bench->n_ids, sizeof *bench->ids);
    bench->samples = calloc((size_t)settings->repeat, sizeof *bench->samples);
    bench->prefill = calloc(settings->prefill.n, sizeof *bench->prefill);
    bench->decode = calloc(n_decode, sizeof *bench->decode);
    if (!bench->ids || !bench->samples || !bench->prefill || !bench->decode)
        return error_set(error, STATUS_MEMORY, "bench: out of memory");
    /* A linear congruential generator (Knuth, MMIX): the same tokens each time. */
    uint64_t state = 1;
    for (size_t i = 0; i < bench->n_ids; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        bench->ids[i] = (int32_t)((state >> 33) % (uint64_t)engine_n_vocab(bench->engine));
    }
    for (size_t i = 0; i < settings->prefill.n; i++)
        bench->prefill[i] = (struct timing){.n = settings->prefill.items[i]};
    for (size_t i = 0; i < n_decode; i++)
        bench->decode[i] = (struct timing){.n = settings->decode.items[i / settings->depth.n],
                                           .depth = settings->depth.items[i % settings->depth.n]};
    for (size_t i = 0; i < settings->prefill.n + n_decode; i++)
        bench->total +=
            (uint64_t)(i < settings->prefill.n ? bench->prefill[i] : bench->decode[i - settings->prefill.n]).n;
    bench->total *= (uint64_t)settings->repeat + 1;
    struct session_options options = command_session_options(bench->context);
    options.n_ctx = (int32_t)n_ctx;
    options.progress = NULL; /* told per measurement */
    enum status status = session_open(bench->engine, &options, &bench->session, error);
    if (status == STATUS_OK)
        bench->kv_per_token = session_kv_bytes_per_token(bench->session);
    return status;
}

static enum status measure(struct bench *bench, struct error *error)
{
    const struct settings *settings = bench->context->settings;
    size_t n_samples = (size_t)settings->repeat;
    enum status status = STATUS_OK;
    for (size_t i = 0; status == STATUS_OK && i < settings->prefill.n; i++)
        status = measure_prefill(bench, &bench->prefill[i], n_samples, error);
    for (size_t i = 0; status == STATUS_OK && i < settings->decode.n * settings->depth.n; i++)
        status = measure_decode(bench, &bench->decode[i], n_samples, error);
    progress_end(bench->context->progress);
    bench->peak = machine_peak_memory();
    if (status == STATUS_OK)
        status = engine_measure_bandwidth(bench->engine, &bench->bandwidth, error);
    return status;
}

/* ---- results ---- */

/* Weights, and the KV cache at the middle of the tokens generated. */
static uint64_t bytes_per_token(const struct bench *bench, const struct timing *timing)
{
    uint64_t middle = (uint64_t)timing->depth + (uint64_t)timing->n / 2;
    return engine_info(bench->engine)->bytes_per_token_weights + middle * bench->kv_per_token;
}

static double share(const struct bench *bench, const struct timing *timing)
{
    return (double)bytes_per_token(bench, timing) * timing->tok_s / bench->bandwidth;
}

static void add_timings(cJSON *object, const struct bench *bench, const char *key, const struct timing *timings,
                        size_t n)
{
    cJSON *list = cJSON_CreateArray();
    bool is_decode = timings == bench->decode;
    for (size_t i = 0; i < n; i++) {
        cJSON *entry = cJSON_CreateObject();
        json_add_integer(entry, "n", timings[i].n);
        if (is_decode)
            json_add_integer(entry, "depth", timings[i].depth);
        json_add_real(entry, "tok_s", timings[i].tok_s, 2);
        if (is_decode) {
            json_add_integer(entry, "bytes_per_token", (int64_t)bytes_per_token(bench, &timings[i]));
            json_add_real(entry, "bandwidth_share", share(bench, &timings[i]), 4);
        }
        if (!cJSON_AddItemToArray(list, entry))
            cJSON_Delete(entry);
    }
    json_add(object, key, cJSON_GetArraySize(list) == (int)n ? list : NULL);
}

static void print_json(const struct bench *bench)
{
    const struct settings *settings = bench->context->settings;
    cJSON *object = cJSON_CreateObject();
    json_add_text(object, "model", engine_info(bench->engine)->name);
    json_add_text(object, "backend", engine_backend_name(bench->engine));
    json_add_text(object, "cpu", engine_cpu_name(bench->engine));
    json_add_integer(object, "threads", engine_n_threads(bench->engine));
    add_timings(object, bench, "prefill", bench->prefill, settings->prefill.n);
    add_timings(object, bench, "decode", bench->decode, settings->decode.n * settings->depth.n);
    json_add_integer(object, "bytes_per_token", (int64_t)bytes_per_token(bench, &bench->decode[0]));
    json_add_real(object, "bandwidth_gb_s", bench->bandwidth / 1e9, 2);
    json_add_real(object, "bandwidth_share", share(bench, &bench->decode[0]), 4);
    json_add_real(object, "load_ms", engine_load_ms(bench->engine), 2);
    json_add_real(object, "peak_rss_mb", (double)bench->peak / 1e6, 1);
    output_json(bench->context->out, object);
}

static void print_table(const struct bench *bench)
{
    const struct settings *settings = bench->context->settings;
    struct output *out = bench->context->out;
    struct buffer name = {0};
    char bytes[32], peak[32];
    output_visible(&name, engine_info(bench->engine)->name);
    output_printf(out, "%s, %s (%s), %d thread%s\n\n", buffer_text(&name), engine_backend_name(bench->engine),
                  engine_cpu_name(bench->engine), engine_n_threads(bench->engine),
                  engine_n_threads(bench->engine) == 1 ? "" : "s");
    output_text(out, "            n    depth      tok/s    read a token   of bandwidth\n");
    for (size_t i = 0; i < settings->prefill.n; i++)
        output_printf(out, "prefill %5lld %8s %10.1f\n", (long long)bench->prefill[i].n, "0", bench->prefill[i].tok_s);
    for (size_t i = 0; i < settings->decode.n * settings->depth.n; i++) {
        const struct timing *timing = &bench->decode[i];
        size_format(bytes_per_token(bench, timing), bytes, sizeof bytes);
        output_printf(out, "decode  %5lld %8lld %10.1f %15s %12.0f %%\n", (long long)timing->n,
                      (long long)timing->depth, timing->tok_s, bytes, 100 * share(bench, timing));
    }
    size_format(bench->peak, peak, sizeof peak);
    output_printf(out, "\nbandwidth %.1f GB/s, measured in this run; loaded in %.1f ms; %s of memory at most\n",
                  bench->bandwidth / 1e9, engine_load_ms(bench->engine), peak);
    buffer_deinit(&name);
}

static enum exit_status run(const struct command_context *context)
{
    struct bench bench = {.context = context};
    struct error error;
    enum status status = settings_open_engine(context->settings, &bench.engine, &error);
    if (status == STATUS_OK)
        status = prepare(&bench, &error);
    if (status == STATUS_OK)
        status = measure(&bench, &error);
    if (status == STATUS_OK && context->settings->json)
        print_json(&bench);
    else if (status == STATUS_OK)
        print_table(&bench);
    session_close(bench.session);
    engine_close(bench.engine);
    free(bench.ids);
    free(bench.samples);
    free(bench.prefill);
    free(bench.decode);
    return status == STATUS_OK ? EXIT_DONE : command_fail(context, &error, NULL);
}

static const enum option_id options[] = {OPTION_PREFILL, OPTION_DECODE, OPTION_DEPTH, OPTION_REPEAT};

const struct command command_bench = {
    .name = "bench",
    .synopsis = "[--prefill N,...] [--decode N,...] [--depth N,...]",
    .summary = "measure prefill and decode speed",
    .help = "Prints tokens a second of reading prompts (prefill) and of generating (decode), the bytes that one "
            "generated token "
            "reads from memory, and which share that is of the memory bandwidth measured in the same run by the same "
            "threads. "
            "The defaults are a quick look. Every length of --decode is measured at every --depth.\n"
            "\n"
            "  fathom bench\n"
            "  fathom bench --prefill 128,512 --decode 128 --depth 0,4096 --json",
    .options = options,
    .n_options = sizeof options / sizeof *options,
    .run = run,
};
