/* bench_plan: which lines `fathom bench` measures.
 *
 * Lengths and depths are those that were asked for, or with --compare those of the earlier run, or with --full the long
 * lists, or the short ones of a first look.  Of --full's, what the model wasn't trained to hold becomes what it was. */
#include <stdlib.h>

#include "app/bench.h"

const char *bench_kind_name(enum bench_kind kind)
{
    static const char *const names[BENCH_KINDS] = {"prefill", "decode", "first token", "alone", "restore"};
    return names[kind];
}

double bench_speed(const struct bench_line *line)
{
    return (double)line->n / line->seconds;
}

const struct bench_line *bench_find(const struct bench *bench, enum bench_kind kind, int64_t n, int64_t depth)
{
    for (size_t i = 0; i < bench->n_lines; i++)
        if (bench->lines[i].kind == kind && bench->lines[i].n == n && bench->lines[i].depth == depth)
            return &bench->lines[i];
    return NULL;
}

enum status bench_add_line(struct bench *bench, struct bench_line line, struct error *error)
{
    if (bench_find(bench, line.kind, line.n, line.depth))
        return STATUS_OK;
    if (bench->n_lines == bench->line_capacity) {
        size_t capacity = bench->line_capacity ? 2 * bench->line_capacity : 16;
        struct bench_line *lines = realloc(bench->lines, capacity * sizeof *lines);
        if (!lines)
            return error_set(error, STATUS_MEMORY, "bench: out of memory");
        bench->lines = lines;
        bench->line_capacity = capacity;
    }
    bench->lines[bench->n_lines++] = line;
    return STATUS_OK;
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t largest(const struct number_list *list)
{
    int64_t value = 0;
    for (size_t i = 0; i < list->n; i++)
        value = list->items[i] > value ? list->items[i] : value;
    return value;
}

static enum status add_all(struct bench *bench, const struct number_list *prefill, const struct number_list *decode,
                           const struct number_list *depth, struct error *error)
{
    enum status status = STATUS_OK;
    int64_t n_ctx = engine_info(bench->engine)->n_ctx_train;
    /* Behind the longest prompt, or as much of it as leaves room. */
    int64_t cached = least(largest(prefill), n_ctx - BENCH_NEW_TOKENS);
    for (size_t i = 0; !status && i < prefill->n; i++)
        status = bench_add_line(bench, (struct bench_line){.kind = BENCH_PREFILL, .n = prefill->items[i]}, error);
    if (!status && cached > 0) {
        struct bench_line first = {.kind = BENCH_FIRST, .n = BENCH_NEW_TOKENS, .depth = cached};
        status = bench_add_line(bench, first, error);
        if (!status)
            status = bench_add_line(bench, (struct bench_line){.kind = BENCH_ALONE, .n = BENCH_NEW_TOKENS}, error);
        if (!status)
            status = bench_add_line(bench, (struct bench_line){.kind = BENCH_RESTORE, .n = cached}, error);
    }
    for (size_t i = 0; !status && i < decode->n * depth->n; i++) {
        struct bench_line line = {
            .kind = BENCH_DECODE, .n = decode->items[i / depth->n], .depth = depth->items[i % depth->n]};
        status = bench_add_line(bench, line, error);
    }
    return status;
}

/* The long lists, cut to what the model's context holds. */
static enum status add_full(struct bench *bench, const struct settings *settings, struct error *error)
{
    int64_t lengths[] = {16, 128, 512, 2048}, depths[] = {0, 4096, 16384}, one[] = {64};
    struct number_list prefill = {lengths, 4}, depth = {depths, 3}, decode = {one, 1};
    int64_t n_ctx = engine_info(bench->engine)->n_ctx_train;
    if (settings_is_given(settings, OPTION_PREFILL))
        prefill = settings->prefill;
    if (settings_is_given(settings, OPTION_DECODE))
        decode = settings->decode;
    if (settings_is_given(settings, OPTION_DEPTH))
        depth = settings->depth;
    struct bench_line long_restore = {.kind = BENCH_RESTORE, .n = least(4096, n_ctx)};
    for (size_t i = 0; i < 4; i++)
        lengths[i] = least(lengths[i], n_ctx);
    for (size_t i = 0; i < 3; i++) {
        int64_t room = n_ctx - largest(&decode);
        depths[i] = least(depths[i], room > 0 ? room : 0);
    }
    enum status status = add_all(bench, &prefill, &decode, &depth, error);
    return status ? status : bench_add_line(bench, long_restore, error);
}

enum status bench_plan(struct bench *bench, const struct bench_record *record, struct error *error)
{
    const struct settings *settings = bench->context->settings;
    bool is_asked = settings->full || settings_is_given(settings, OPTION_PREFILL) ||
                    settings_is_given(settings, OPTION_DECODE) || settings_is_given(settings, OPTION_DEPTH);
    size_t n_old = 0;
    const struct bench_line *old = record && !is_asked ? bench_record_lines(record, &n_old) : NULL;
    enum status status = STATUS_OK;
    for (size_t i = 0; !status && i < n_old; i++)
        status = bench_add_line(bench, (struct bench_line){.kind = old[i].kind, .n = old[i].n, .depth = old[i].depth},
                                error);
    if (!status && !n_old)
        status = settings->full ? add_full(bench, settings, error)
                                : add_all(bench, &settings->prefill, &settings->decode, &settings->depth, error);
    if (!status && !bench->n_lines)
        status = error_set(error, STATUS_ARGUMENT, "bench: there is nothing to measure");
    return status;
}

int64_t bench_most_tokens(const struct bench *bench)
{
    int64_t most = 0;
    for (size_t i = 0; i < bench->n_lines; i++) {
        int64_t n = bench->lines[i].n + bench->lines[i].depth + 1; /* a decode at depth 0 begins with a token */
        most = n > most ? n : most;
    }
    return most;
}
