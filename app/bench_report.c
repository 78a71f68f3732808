/* bench_report: what `fathom bench` measured: as a table with bars below it, or as JSON.
 *
 * Bars are drawn of block elements, to an eighth of a column; of plain ASCII where the terminal takes no UTF-8 or --plain asks
 * for it.  The JSON holds everything that a later run is compared by (bench_compare.c). */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cjson/cJSON.h>

#include "app/bench.h"
#include "app/machine.h"
#include "ui/visible.h"

/* ---- the table ---- */

static bool is_time(enum bench_kind kind)
{
    return kind == BENCH_FIRST || kind == BENCH_ALONE || kind == BENCH_RESTORE;
}

/* "123.4", or for what takes its time "12.3 ms". */
static void format_figure(const struct bench_line *line, double seconds, char *out, size_t size)
{
    if (is_time(line->kind))
        snprintf(out, size, "%.1f ms", seconds * 1000);
    else
        snprintf(out, size, "%.1f", (double)line->n / seconds);
}

/* What the figure is to be held against. */
static void format_share(const struct bench *bench, const struct bench_line *line, char *out, size_t size)
{
    const struct bench_line *alone = bench_find(bench, BENCH_ALONE, line->n, 0);
    const struct bench_line *prefill = bench_find(bench, BENCH_PREFILL, line->n, 0);
    *out = 0;
    if (line->kind == BENCH_RESTORE && prefill)
        snprintf(out, size, "%.0f x as fast as reading", prefill->seconds / line->seconds);
    else if (line->kind == BENCH_PREFILL)
        snprintf(out, size, "%.0f %% of the int8 peak", 100 * bench_compute_share(bench, line));
    else if (line->kind == BENCH_DECODE)
        snprintf(out, size, "%.0f %% of the bandwidth", 100 * bench_bandwidth_share(bench, line));
    else if (line->kind == BENCH_FIRST && alone)
        snprintf(out, size, "%.2f x the %lld alone", line->seconds / alone->seconds, (long long)line->n);
}

static void print_lines(const struct bench *bench)
{
    struct output *out = bench->context->out;
    char ours[32], theirs[32], share[48];
    output_printf(out, "                 n   depth       tok/s%s\n",
                  bench->peer ? "                             llama.cpp  ratio" : "");
    for (size_t i = 0; i < bench->n_lines; i++) {
        const struct bench_line *line = &bench->lines[i];
        format_figure(line, line->seconds, ours, sizeof ours);
        format_share(bench, line, share, sizeof share);
        output_printf(out, "%-11s %6lld %7lld %11s", bench_kind_name(line->kind), (long long)line->n,
                      (long long)line->depth, ours);
        if (line->peer_seconds > 0) {
            format_figure(line, line->peer_seconds, theirs, sizeof theirs);
            output_printf(out, "  %-24s %11s %6.2f\n", share, theirs, line->peer_seconds / line->seconds);
        } else {
            output_printf(out, "%s%s\n", *share ? "  " : "", share);
        }
    }
}

static void print_footnotes(const struct bench *bench)
{
    struct output *out = bench->context->out;
    char bytes[32], peak[32];
    const struct bench_line *decode = NULL;
    for (size_t i = 0; !decode && i < bench->n_lines; i++)
        decode = bench->lines[i].kind == BENCH_DECODE ? &bench->lines[i] : NULL;
    output_printf(out, "\nmeasured in this run: bandwidth %.1f GB/s, int8 peak %.0f G multiply-adds/s\n",
                  bench->bandwidth / 1e9, bench->compute / 1e9);
    if (decode) {
        size_format(bench_bytes_per_token(bench, decode), bytes, sizeof bytes);
        output_printf(out, "a token generated at depth %lld reads %s\n", (long long)decode->depth, bytes);
    }
    size_format(bench->peak, peak, sizeof peak);
    output_printf(out, "loaded in %.1f ms", engine_load_ms(bench->engine));
    if (bench->peer)
        output_printf(out, " (llama.cpp in %.1f ms)", bench_peer_load_ms(bench->peer));
    output_printf(out, "; %s of memory at most\n", peak);
    if (engine_reads_experts(bench->engine))
        output_text(out, "the model is larger than memory: experts are read as they are chosen\n");
}

/* ---- bars ---- */

enum { BAR_COLUMNS = 40 };

/* Appends a bar of share * BAR_COLUMNS columns. */
static void append_bar(struct buffer *out, double share, bool is_ascii, bool is_second)
{
    static const char *const eighths[8] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
    int n = (int)(share * BAR_COLUMNS * 8 + 0.5), column = 0;
    n = n > 0 ? n : 1; /* whatever is slow is still there */
    if (is_ascii || is_second) {
        const char *mark = is_ascii ? is_second ? "-" : "#" : "░";
        for (n = (n + 4) / 8, n = n ? n : 1; column < n; column++)
            buffer_append_text(out, mark);
    } else {
        for (; column < n / 8; column++)
            buffer_append_text(out, "█");
        buffer_append_text(out, eighths[n % 8]);
        column += n % 8 != 0;
    }
    for (; column < BAR_COLUMNS; column++)
        buffer_append_text(out, " ");
}

static void print_bar(const struct bench *bench, const char *label, double share, double figure, bool is_second)
{
    struct output *out = bench->context->out;
    struct buffer bar = {0};
    append_bar(&bar, share, bench->context->settings->plain || !visible_locale_is_utf8(), is_second);
    output_printf(out, "%11s  %s%s%s %10.1f\n", label, out->is_colored ? is_second ? "\x1b[2m" : "\x1b[32m" : "",
                  buffer_text(&bar), out->is_colored ? "\x1b[0m" : "", figure);
    buffer_deinit(&bar);
}

/* One kind's speeds, by length or by depth.  A single bar would say nothing. */
static void print_bars(const struct bench *bench, enum bench_kind kind)
{
    double greatest = 0;
    size_t n = 0;
    for (size_t i = 0; i < bench->n_lines; i++) {
        const struct bench_line *line = &bench->lines[i];
        if (line->kind != kind)
            continue;
        double fastest =
            line->peer_seconds > 0 && line->peer_seconds < line->seconds ? line->peer_seconds : line->seconds;
        greatest = (double)line->n / fastest > greatest ? (double)line->n / fastest : greatest;
        n += line->peer_seconds > 0 ? 2 : 1;
    }
    if (n < 2)
        return;
    output_printf(bench->context->out, "\n%s, tok/s by %s\n", bench_kind_name(kind),
                  kind == BENCH_DECODE ? "depth" : "length");
    for (size_t i = 0; i < bench->n_lines; i++) {
        const struct bench_line *line = &bench->lines[i];
        char label[32];
        if (line->kind != kind)
            continue;
        snprintf(label, sizeof label, "%lld", (long long)(kind == BENCH_DECODE ? line->depth : line->n));
        print_bar(bench, label, bench_speed(line) / greatest, bench_speed(line), false);
        if (line->peer_seconds > 0) {
            double theirs = (double)line->n / line->peer_seconds;
            print_bar(bench, "llama.cpp", theirs / greatest, theirs, true);
        }
    }
}

/* ---- against an earlier run ---- */

static void print_changes(const struct bench *bench, const struct bench_record *record)
{
    struct output *out = bench->context->out;
    struct bench_change change;
    char old[32], new[32];
    output_printf(out, "\nagainst %s\n                 n   depth         old         new  ratio\n",
                  bench_record_label(record));
    for (size_t i = 0; bench_change_at(bench, record, i, &change); i++) {
        format_figure(change.old, change.old->seconds, old, sizeof old);
        format_figure(change.new, change.new->seconds, new, sizeof new);
        output_printf(out, "%-11s %6lld %7lld %11s %11s %6.2f%s\n", bench_kind_name(change.new->kind),
                      (long long)change.new->n, (long long)change.new->depth, old, new, change.ratio,
                      change.is_slower ? "  slower" : "");
    }
}

static void print_text(const struct bench *bench, const struct bench_record *record)
{
    struct output *out = bench->context->out;
    struct buffer name = {0}, cpu = {0};
    output_visible(&name, engine_info(bench->engine)->name);
    machine_cpu_name(&cpu);
    output_printf(out, "%s, %s (%s), %d thread%s%s", buffer_text(&name), engine_backend_name(bench->engine),
                  engine_cpu_name(bench->engine), engine_n_threads(bench->engine),
                  engine_n_threads(bench->engine) == 1 ? "" : "s", cpu.size ? ", " : "");
    buffer_clear(&name);
    output_visible(&name, buffer_text(&cpu));
    output_printf(out, "%s\n\n", buffer_text(&name));
    print_lines(bench);
    print_footnotes(bench);
    print_bars(bench, BENCH_PREFILL);
    print_bars(bench, BENCH_DECODE);
    if (record)
        print_changes(bench, record);
    buffer_deinit(&name);
    buffer_deinit(&cpu);
}

/* ---- JSON ---- */

static void add_peer_figures(const struct bench_line *line, cJSON *entry)
{
    if (line->peer_seconds <= 0)
        return;
    if (is_time(line->kind))
        json_add_real(entry, "peer_ms", line->peer_seconds * 1000, 3);
    else
        json_add_real(entry, "peer_tok_s", (double)line->n / line->peer_seconds, 2);
    json_add_real(entry, "ratio", line->peer_seconds / line->seconds, 4);
}

static cJSON *line_json(const struct bench *bench, const struct bench_line *line)
{
    cJSON *entry = cJSON_CreateObject();
    const struct bench_line *alone = bench_find(bench, BENCH_ALONE, line->n, 0);
    json_add_integer(entry, "n", line->n);
    if (line->kind == BENCH_FIRST) {
        json_add_integer(entry, "cached", line->depth);
        json_add_real(entry, "ms", line->seconds * 1000, 3);
        if (alone)
            json_add_real(entry, "alone_ms", alone->seconds * 1000, 3);
    } else if (line->kind == BENCH_RESTORE) {
        json_add_real(entry, "ms", line->seconds * 1000, 3);
    } else if (line->kind == BENCH_DECODE) {
        json_add_integer(entry, "depth", line->depth);
        json_add_real(entry, "tok_s", bench_speed(line), 2);
        json_add_integer(entry, "bytes_per_token", (int64_t)bench_bytes_per_token(bench, line));
        json_add_real(entry, "bandwidth_share", bench_bandwidth_share(bench, line), 4);
    } else {
        json_add_real(entry, "tok_s", bench_speed(line), 2);
        json_add_real(entry, "compute_share", bench_compute_share(bench, line), 4);
    }
    add_peer_figures(line, entry);
    return entry;
}

/* Takes the entry; *list becomes NULL where memory runs out. */
static void append(cJSON **list, cJSON *entry)
{
    if (*list && cJSON_AddItemToArray(*list, entry))
        return;
    cJSON_Delete(entry);
    cJSON_Delete(*list);
    *list = NULL;
}

static void add_lines(cJSON *object, const struct bench *bench, const char *key, enum bench_kind kind)
{
    cJSON *list = cJSON_CreateArray();
    for (size_t i = 0; i < bench->n_lines; i++)
        if (bench->lines[i].kind == kind)
            append(&list, line_json(bench, &bench->lines[i]));
    json_add(object, key, list);
}

static void add_machine(cJSON *object)
{
    cJSON *machine = cJSON_CreateObject();
    struct buffer cpu = {0};
    machine_cpu_name(&cpu);
    json_add_text(machine, "cpu", buffer_text(&cpu));
    json_add_integer(machine, "processors", machine_processors());
    json_add_integer(machine, "memory", (int64_t)machine_memory());
    json_add(object, "machine", machine);
    buffer_deinit(&cpu);
}

static void add_header(cJSON *object, const struct bench *bench)
{
    struct buffer kv = {0};
    char date[32] = "";
    time_t now = time(NULL);
    struct tm utc;
    if (gmtime_r(&now, &utc))
        strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%SZ", &utc);
    settings_print(bench->context->settings, OPTION_KV, &kv);
    json_add_text(object, "version", FATHOM_VERSION);
    json_add_text(object, "date", date);
    add_machine(object);
    json_add_text(object, "model", engine_info(bench->engine)->name);
    json_add_text(object, "backend", engine_backend_name(bench->engine));
    json_add_text(object, "cpu", engine_cpu_name(bench->engine));
    json_add_integer(object, "threads", engine_n_threads(bench->engine));
    json_add_text(object, "kv", buffer_text(&kv));
    json_add(object, "reads_experts", cJSON_CreateBool(engine_reads_experts(bench->engine)));
    json_add_integer(object, "repeat", bench->context->settings->repeat);
    buffer_deinit(&kv);
}

static void add_peer(cJSON *object, const struct bench *bench)
{
    cJSON *peer = cJSON_CreateObject();
    json_add_text(peer, "name", "llama.cpp");
    json_add_text(peer, "version", bench_peer_version(bench->peer));
    json_add_real(peer, "load_ms", bench_peer_load_ms(bench->peer), 2);
    json_add(object, "peer", peer);
}

static void add_changes(cJSON *object, const struct bench *bench, const struct bench_record *record)
{
    cJSON *list = cJSON_CreateArray();
    struct bench_change change;
    for (size_t i = 0; bench_change_at(bench, record, i, &change); i++) {
        cJSON *entry = cJSON_CreateObject();
        json_add_text(entry, "what", bench_kind_name(change.new->kind));
        json_add_integer(entry, "n", change.new->n);
        json_add_integer(entry, "depth", change.new->depth);
        json_add_real(entry, "old_tok_s", bench_speed(change.old), 2);
        json_add_real(entry, "new_tok_s", bench_speed(change.new), 2);
        json_add_real(entry, "ratio", change.ratio, 4);
        json_add(entry, "slower", cJSON_CreateBool(change.is_slower));
        append(&list, entry);
    }
    json_add(object, "compared", list);
}

static void print_json(const struct bench *bench, const struct bench_record *record)
{
    cJSON *object = cJSON_CreateObject();
    add_header(object, bench);
    add_lines(object, bench, "prefill", BENCH_PREFILL);
    add_lines(object, bench, "decode", BENCH_DECODE);
    add_lines(object, bench, "first_token", BENCH_FIRST);
    add_lines(object, bench, "restore", BENCH_RESTORE);
    for (size_t i = 0; i < bench->n_lines; i++)
        if (bench->lines[i].kind == BENCH_DECODE) {
            json_add_integer(object, "bytes_per_token", (int64_t)bench_bytes_per_token(bench, &bench->lines[i]));
            json_add_real(object, "bandwidth_share", bench_bandwidth_share(bench, &bench->lines[i]), 4);
            break;
        }
    json_add_real(object, "bandwidth_gb_s", bench->bandwidth / 1e9, 2);
    json_add_real(object, "int8_peak_g_s", bench->compute / 1e9, 2);
    json_add_real(object, "load_ms", engine_load_ms(bench->engine), 2);
    json_add_real(object, "peak_rss_mb", (double)bench->peak / 1e6, 1);
    if (bench->peer)
        add_peer(object, bench);
    if (record)
        add_changes(object, bench, record);
    output_json(bench->context->out, object);
}

void bench_print(const struct bench *bench, const struct bench_record *record)
{
    if (bench->context->settings->json)
        print_json(bench, record);
    else
        print_text(bench, record);
}
