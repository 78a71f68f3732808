/* bench_compare: this run of `fathom bench` against an earlier one, by the JSON that it wrote.
 *
 * A line is compared with the line of the same kind, length and depth; what one of both runs lacks is left out.  All
 * figures are speeds here, and the ratio is the new one over the old one.  How long loading took is not judged: it depends
 * on what the system still held of the file. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "app/bench.h"
#include "app/machine.h"

enum { MAX_FILE = 16 << 20, MAX_TOKENS = 1048576 };

struct bench_record {
    cJSON *json;
    struct bench earlier; /* its lines alone */
    struct buffer label;
};

/* ---- reading ---- */

static double real_of(const cJSON *object, const char *key)
{
    const cJSON *node = cJSON_GetObjectItemCaseSensitive(object, key);
    return cJSON_IsNumber(node) ? node->valuedouble : NAN;
}

static const char *text_of(const cJSON *object, const char *key)
{
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, key));
    return text ? text : "";
}

/* A whole number of tokens in its range, else -1. */
static int64_t count_of(const cJSON *object, const char *key)
{
    double value = real_of(object, key);
    return value >= 0 && value <= MAX_TOKENS && value == floor(value) ? (int64_t)value : -1;
}

static enum status add(struct bench_record *record, enum bench_kind kind, int64_t n, int64_t depth, double seconds,
                       struct error *error)
{
    if (n < 1 || depth < 0 || !(seconds > 0 && seconds < 1e9))
        return error_set(error, STATUS_FORMAT, "a line of %s has no figures", bench_kind_name(kind));
    struct bench_line line = {.kind = kind, .n = n, .depth = depth, .seconds = seconds};
    return bench_add_line(&record->earlier, line, error);
}

static enum status read_first_token(struct bench_record *record, const cJSON *entry, struct error *error)
{
    int64_t n = count_of(entry, "n");
    double alone = real_of(entry, "alone_ms");
    enum status status = add(record, BENCH_FIRST, n, count_of(entry, "cached"), real_of(entry, "ms") / 1000, error);
    if (status == STATUS_OK && !isnan(alone))
        status = add(record, BENCH_ALONE, n, 0, alone / 1000, error);
    return status;
}

static enum status read_lines(struct bench_record *record, struct error *error)
{
    static const char *const keys[] = {"prefill", "first_token", "restore", "decode"};
    static const enum bench_kind kinds[] = {BENCH_PREFILL, BENCH_FIRST, BENCH_RESTORE, BENCH_DECODE};
    enum status status = STATUS_OK;
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        const cJSON *entry, *list = cJSON_GetObjectItemCaseSensitive(record->json, keys[i]);
        cJSON_ArrayForEach(entry, list)
        {
            int64_t n = count_of(entry, "n");
            if (status == STATUS_OK && kinds[i] == BENCH_FIRST)
                status = read_first_token(record, entry, error);
            else if (status == STATUS_OK && kinds[i] == BENCH_RESTORE)
                status = add(record, BENCH_RESTORE, n, 0, real_of(entry, "ms") / 1000, error);
            else if (status == STATUS_OK)
                status = add(record, kinds[i], n, kinds[i] == BENCH_DECODE ? count_of(entry, "depth") : 0,
                             (double)n / real_of(entry, "tok_s"), error);
        }
    }
    if (status == STATUS_OK && record->earlier.n_lines == 0)
        status = error_set(error, STATUS_FORMAT, "no result of bench --json");
    return status;
}

static void make_label(struct bench_record *record, const char *path)
{
    output_visible(&record->label, path);
    buffer_append_text(&record->label, ": ");
    output_visible(&record->label, text_of(record->json, "version"));
    buffer_append_text(&record->label, " of ");
    output_visible(&record->label, text_of(record->json, "date"));
}

enum status bench_record_read(const struct command_context *context, const char *path, struct bench_record **out,
                              struct error *error)
{
    struct buffer text = {0};
    struct error inner = {0};
    struct bench_record *record = calloc(1, sizeof *record);
    if (!record)
        return error_set(error, STATUS_MEMORY, "bench: out of memory");
    enum status status = input_read_file(path, context->cancel, MAX_FILE, &text, error);
    if (status == STATUS_OK) {
        record->json = cJSON_ParseWithLength(buffer_text(&text), text.size);
        status = cJSON_IsObject(record->json) ? read_lines(record, &inner)
                                              : error_set(&inner, STATUS_FORMAT, "it is no JSON object");
        if (status != STATUS_OK)
            error_set(error, status, "--compare: %.120s: %s", path, inner.text);
    }
    buffer_deinit(&text);
    if (status != STATUS_OK) {
        bench_record_free(record);
        return status;
    }
    make_label(record, path);
    *out = record;
    return STATUS_OK;
}

void bench_record_free(struct bench_record *record)
{
    if (!record)
        return;
    cJSON_Delete(record->json);
    free(record->earlier.lines);
    buffer_deinit(&record->label);
    free(record);
}

const struct bench_line *bench_record_lines(const struct bench_record *record, size_t *n)
{
    *n = record->earlier.n_lines;
    return record->earlier.lines;
}

const char *bench_record_label(const struct bench_record *record)
{
    return buffer_text(&record->label);
}

/* ---- comparing ---- */

static void notice_text(const struct bench *bench, const char *what, const char *old, const char *new)
{
    if (*old && strcmp(old, new) != 0)
        command_notice(bench->context, "--compare: the earlier run's %s was %.100s, this one's is %.100s", what, old,
                       new);
}

void bench_record_notice(const struct bench *bench, const struct bench_record *record)
{
    struct buffer cpu = {0}, kv = {0};
    double threads = real_of(record->json, "threads");
    machine_cpu_name(&cpu);
    settings_print(bench->context->settings, OPTION_KV, &kv);
    notice_text(bench, "model", text_of(record->json, "model"), engine_info(bench->engine)->name);
    notice_text(bench, "processor", text_of(cJSON_GetObjectItemCaseSensitive(record->json, "machine"), "cpu"),
                buffer_text(&cpu));
    notice_text(bench, "instruction set", text_of(record->json, "cpu"), engine_cpu_name(bench->engine));
    notice_text(bench, "attention cache", text_of(record->json, "kv"), buffer_text(&kv));
    if (!isnan(threads) && threads != engine_n_threads(bench->engine))
        command_notice(bench->context, "--compare: the earlier run had %.0f threads, this one has %d", threads,
                       engine_n_threads(bench->engine));
    buffer_deinit(&cpu);
    buffer_deinit(&kv);
}

bool bench_change_at(const struct bench *bench, const struct bench_record *record, size_t i,
                     struct bench_change *change)
{
    for (size_t k = 0; k < bench->n_lines; k++) {
        const struct bench_line *line = &bench->lines[k];
        const struct bench_line *old = bench_find(&record->earlier, line->kind, line->n, line->depth);
        if (!old || i-- > 0)
            continue;
        double ratio = bench_speed(line) / bench_speed(old);
        *change = (struct bench_change){old, line, ratio, ratio < 1 - bench->context->settings->tolerance / 100};
        return true;
    }
    return false;
}

bool bench_is_slower(const struct bench *bench, const struct bench_record *record)
{
    struct bench_change change;
    bool is_slower = false;
    for (size_t i = 0; !is_slower && bench_change_at(bench, record, i, &change); i++)
        is_slower = change.is_slower;
    return is_slower;
}
