/* command_info: what a model file is, and what running it would take, from its header alone; with --check also whether its
 * weights are numbers. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "app/command.h"
#include "app/machine.h"
#include "app/models.h"

enum { DEFAULT_CONTEXT = 16384 };

struct needs {
    int64_t n_ctx;
    uint64_t weights, kv, work, total; /* bytes; kv and work at n_ctx */
    uint64_t available;                /* 0: nobody knows */
};

static struct needs find_needs(const struct settings *settings, const struct model_info *info)
{
    struct needs needs = {.n_ctx = settings->context, .weights = info->n_bytes, .available = engine_memory_available()};
    if (needs.n_ctx == 0) {
        needs.n_ctx = DEFAULT_CONTEXT;
        if (info->n_ctx_train > 0 && info->n_ctx_train < needs.n_ctx)
            needs.n_ctx = info->n_ctx_train;
    }
    if (needs.n_ctx <= INT32_MAX)
        needs.work = model_info_work_bytes(info, (int32_t)settings->slice, (int32_t)needs.n_ctx);
    if (!checked_mul((uint64_t)needs.n_ctx, info->kv_bytes_per_token, &needs.kv) ||
        !checked_add(needs.kv, needs.weights, &needs.total) || !checked_add(needs.total, needs.work, &needs.total))
        needs.kv = needs.total = UINT64_MAX;
    return needs;
}

static bool fits(const struct needs *needs)
{
    return needs->available == 0 || needs->total <= needs->available;
}

/* A file whose architecture is unknown here does not say what a cache would take. */
static bool are_known(const struct model_info *info)
{
    return info->is_supported && info->kv_bytes_per_token > 0;
}

/* Nothing but numbers, as far as all of it could be read. */
static bool is_sound(const struct weights_report *report)
{
    return report->n_faults == 0 && report->n_unread == 0;
}

/* ---- JSON ---- */

static void add_memory(cJSON *object, const struct model_info *info, const struct needs *needs)
{
    cJSON *memory = cJSON_CreateObject();
    json_add_integer(memory, "context", needs->n_ctx);
    json_add_integer(memory, "weights", (int64_t)needs->weights);
    json_add_integer(memory, "available", (int64_t)needs->available);
    if (are_known(info)) {
        json_add_integer(memory, "kv", (int64_t)needs->kv);
        json_add_integer(memory, "kv_per_token", (int64_t)info->kv_bytes_per_token);
        json_add_integer(memory, "work", (int64_t)needs->work);
        json_add(memory, "fits", cJSON_CreateBool(fits(needs)));
    }
    json_add(object, "memory", memory);
}

/* Numbers of a file are single precision: more digits than that would be noise. */
static void add_number(cJSON *object, const char *key, double value)
{
    char text[32];
    snprintf(text, sizeof text, "%.7g", value);
    json_add(object, key, isfinite(value) ? cJSON_CreateRaw(text) : cJSON_CreateNull());
}

static void add_check(cJSON *object, const struct weights_report *report)
{
    cJSON *check = cJSON_CreateObject(), *faults = cJSON_CreateArray();
    json_add(check, "finite", cJSON_CreateBool(is_sound(report)));
    json_add_integer(check, "weights", (int64_t)report->n_weights);
    json_add_integer(check, "tensors", (int64_t)report->n_tensors);
    json_add_integer(check, "unread", (int64_t)report->n_unread);
    json_add_integer(check, "unread_tensors", (int64_t)report->n_unread_tensors);
    for (size_t i = 0; i < report->n_faults; i++) {
        const struct weights_fault *fault = &report->faults[i];
        cJSON *item = cJSON_CreateObject();
        json_add_text(item, "tensor", fault->tensor);
        json_add_integer(item, "n", (int64_t)fault->n);
        json_add_integer(item, "of", (int64_t)fault->n_elements);
        json_add_integer(item, "row", (int64_t)fault->row);
        json_add_integer(item, "column", (int64_t)fault->column);
        cJSON_AddItemToArray(faults, item);
    }
    json_add(check, "faults", faults);
    json_add(object, "check", check);
}

/* report: NULL where nobody asked. */
static void print_json(struct output *out, const struct model_info *info, const struct needs *needs,
                       const struct weights_report *report)
{
    cJSON *object = cJSON_CreateObject(), *quants = cJSON_CreateObject();
    json_add_text(object, "path", info->path);
    json_add_text(object, "name", info->name);
    json_add_text(object, "title", info->title);
    json_add_text(object, "arch", info->arch);
    json_add_integer(object, "n_params", (int64_t)info->n_params);
    json_add_integer(object, "n_active", (int64_t)info->n_active);
    json_add_integer(object, "bytes", (int64_t)info->n_bytes);
    json_add_integer(object, "n_ctx_train", info->n_ctx_train);
    json_add_integer(object, "n_vocab", info->n_vocab);
    for (size_t i = 0; i < info->n_quants; i++)
        json_add_integer(quants, info->quants[i].name, info->quants[i].n);
    json_add(object, "quants", quants);
    json_add(object, "fim", cJSON_CreateBool(info->has_fim));
    json_add_text(object, "template", info->chat);
    json_add_text(object, "tokenizer", info->tokenizer);
    json_add_integer(object, "bytes_per_token", (int64_t)info->bytes_per_token_weights);
    json_add(object, "supported", cJSON_CreateBool(info->is_supported));
    if (!info->is_supported)
        json_add_text(object, "why", info->why);
    for (size_t i = 0; i < info->n_numbers; i++) {
        const struct model_number *number = &info->numbers[i];
        if (cJSON_HasObjectItem(object, number->name))
            continue;
        if (number->is_integer)
            json_add_integer(object, number->name, (int64_t)number->value);
        else
            add_number(object, number->name, number->value);
    }
    add_memory(object, info, needs);
    if (report)
        add_check(object, report);
    output_json(out, object);
}

/* ---- text ---- */

static void print_count(struct output *out, const char *label, uint64_t n)
{
    static const struct {
        double value;
        const char *name;
    } units[] = {{1e12, "trillion"}, {1e9, "billion"}, {1e6, "million"}};
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if ((double)n >= units[i].value) {
            output_printf(out, "%-14s%.4g %s\n", label, (double)n / units[i].value, units[i].name);
            return;
        }
    output_printf(out, "%-14s%llu\n", label, (unsigned long long)n);
}

static void print_text(struct output *out, const char *label, const char *text)
{
    struct buffer safe = {0};
    output_visible(&safe, text);
    output_printf(out, "%-14s%s\n", label, buffer_text(&safe));
    buffer_deinit(&safe);
}

static void print_quants(struct output *out, const struct model_info *info)
{
    struct buffer text = {0};
    for (size_t i = 0; i < info->n_quants; i++)
        buffer_printf(&text, "%s%s %u", i ? ", " : "", info->quants[i].name, info->quants[i].n);
    output_printf(out, "%-14s", "tensors");
    output_wrapped(out, buffer_text(&text), 14, 14, 80);
    buffer_deinit(&text);
}

static void print_numbers(struct output *out, const struct model_info *info)
{
    for (size_t i = 0; i < info->n_numbers; i++) {
        const struct model_number *number = &info->numbers[i];
        if (number->is_integer)
            output_printf(out, "  %-28s%.0f\n", number->name, number->value);
        else
            output_printf(out, "  %-28s%g\n", number->name, number->value);
    }
}

static void print_memory(struct output *out, const struct model_info *info, const struct needs *needs)
{
    char weights[32], kv[32], work[32], available[32];
    size_format(needs->weights, weights, sizeof weights);
    size_format(needs->kv, kv, sizeof kv);
    size_format(needs->work, work, sizeof work);
    size_format(needs->available, available, sizeof available);
    if (!are_known(info)) {
        output_printf(out, "%-14s%s weights; what else it would need is not known\n", "memory", weights);
        return;
    }
    output_printf(out, "%-14s%s weights + %s cache at a context of %lld (%llu bytes a token)\n", "memory", weights, kv,
                  (long long)needs->n_ctx, (unsigned long long)info->kv_bytes_per_token);
    output_printf(out, "%-14s+ %s to compute in\n", "", work);
    if (needs->available == 0)
        return;
    output_printf(out, "%-14s%s: %s is available now\n", "fits here", fits(needs) ? "yes" : "no", available);
}

static void print_check(struct output *out, const struct weights_report *report)
{
    struct buffer safe = {0};
    if (is_sound(report))
        output_printf(out, "%-14sall %llu are finite\n", "weights", (unsigned long long)report->n_weights);
    else if (report->n_faults)
        output_printf(out, "%-14snot all are finite, in %zu of %zu tensors\n", "weights", report->n_faults,
                      report->n_tensors);
    else
        output_printf(out, "%-14sthose that could be read are finite\n", "weights");
    for (size_t i = 0; i < report->n_faults; i++) {
        const struct weights_fault *fault = &report->faults[i];
        buffer_clear(&safe);
        output_visible(&safe, fault->tensor);
        output_printf(out, "  %s: %llu of %llu are not finite, first %g in row %llu at %llu\n", buffer_text(&safe),
                      (unsigned long long)fault->n, (unsigned long long)fault->n_elements, fault->value,
                      (unsigned long long)fault->row, (unsigned long long)fault->column);
    }
    if (report->n_unread)
        output_printf(out, "  %llu in %zu tensors were not looked at: their types are unknown here\n",
                      (unsigned long long)report->n_unread, report->n_unread_tensors);
    buffer_deinit(&safe);
}

static void print_table(struct output *out, const struct model_info *info, const struct needs *needs,
                        const struct weights_report *report)
{
    char bytes[32];
    size_format(info->n_bytes, bytes, sizeof bytes);
    print_text(out, "model", info->name);
    if (*info->title)
        print_text(out, "title", info->title);
    print_text(out, "path", info->path);
    print_text(out, "architecture", info->arch);
    print_count(out, "parameters", info->n_params);
    if (info->n_active != info->n_params)
        print_count(out, "  active", info->n_active);
    output_printf(out, "%-14s%s (%llu bytes)\n", "size", bytes, (unsigned long long)info->n_bytes);
    print_quants(out, info);
    output_printf(out, "%-14s%d tokens\n", "trained for", info->n_ctx_train);
    print_text(out, "tokenizer", info->tokenizer);
    output_printf(out, "%-14s%d\n", "vocabulary", info->n_vocab);
    print_text(out, "chat template", info->chat ? info->chat : "none recognised (--chat-template names one)");
    output_printf(out, "%-14s%s\n", "fill-in", info->has_fim ? "yes" : "no marks for it");
    print_memory(out, info, needs);
    output_printf(out, "%-14s%s\n", "runs", info->is_supported ? "yes" : "no");
    if (!info->is_supported)
        print_text(out, "  why not", info->why);
    if (report)
        print_check(out, report);
    output_text(out, "\nhyper-parameters\n");
    print_numbers(out, info);
}

static enum status check_weights(const struct command_context *context, const char *path,
                                 struct weights_report **report, struct error *error)
{
    const struct weights_check_options options = {.path = path,
                                                  .n_threads = (int)context->settings->threads,
                                                  .cancel = context->cancel,
                                                  .progress = progress_update_bytes,
                                                  .progress_context = context->progress};
    return context->settings->check ? model_check_weights(&options, report, error) : STATUS_OK;
}

static enum exit_status run(const struct command_context *context)
{
    struct model_info *info = NULL;
    struct weights_report *report = NULL;
    struct error error;
    struct buffer path = {0};
    const char *wanted = context->n_arguments ? context->arguments[0] : context->settings->model;
    enum status status = models_resolve(wanted, &path, &error);
    if (status == STATUS_OK)
        status = model_info_read(buffer_text(&path), settings_kv_type(context->settings), &info, &error);
    if (status == STATUS_OK)
        status = check_weights(context, buffer_text(&path), &report, &error);
    buffer_deinit(&path);
    enum exit_status result = report && !is_sound(report) ? EXIT_FOUND : EXIT_DONE;
    if (status == STATUS_OK) {
        struct needs needs = find_needs(context->settings, info);
        (context->settings->json ? print_json : print_table)(context->out, info, &needs, report);
    } else {
        result = command_fail(context, &error, NULL);
    }
    weights_report_free(report);
    model_info_free(info);
    return result;
}

static const enum option_id options[] = {OPTION_CHECK};

const struct command command_info = {
    .name = "info",
    .synopsis = "[--check] [MODEL]",
    .summary = "say what a model file is and what memory it needs",
    .help = "Prints a model's architecture, size, tensor types, tokenizer, chat template and hyper-parameters, the "
            "memory it needs at the context of -c, and whether this machine has that. MODEL is a path or a name; "
            "without it, the model in force. Only the file's header is read.\n"
            "\n"
            "With --check all of the file is read, and each tensor named that holds weights which are not finite "
            "numbers: how many, and where the first stands. Such a file was damaged or made wrongly. Exit status 1 "
            "where there are some.\n"
            "\n"
            "  fathom info\n"
            "  fathom info ./some-model.gguf -c 32768 --json\n"
            "  fathom info --check ./some-model.gguf",
    .options = options,
    .n_options = sizeof options / sizeof *options,
    .n_arguments_max = 1,
    .completes = "model",
    .run = run,
};
