/* command_quantize: a model to another type of weights. */
#include <cjson/cJSON.h>

#include "app/command.h"
#include "app/machine.h"
#include "app/models.h"

static void print_json(const struct command_context *context, const char *in, const char *out,
                       const struct quantize_report *report, double seconds)
{
    cJSON *object = cJSON_CreateObject(), *counts = cJSON_CreateObject(), *sizes = cJSON_CreateObject();
    json_add_text(object, "in", in);
    json_add_text(object, "out", out);
    json_add_integer(object, "bytes_in", (int64_t)report->n_bytes_in);
    json_add_integer(object, "bytes", (int64_t)report->n_bytes_out);
    json_add_integer(object, "tensors", (int64_t)report->n_tensors);
    json_add_integer(object, "fallbacks", (int64_t)report->n_fallbacks);
    for (size_t i = 0; i < report->n_types; i++) {
        json_add_integer(counts, report->types[i].name, report->types[i].n);
        json_add_integer(sizes, report->types[i].name, (int64_t)report->types[i].n_bytes);
    }
    json_add(object, "quants", counts);
    json_add(object, "quant_bytes", sizes);
    json_add_real(object, "ms", seconds * 1000, 0);
    output_json(context->out, object);
}

static void print_table(const struct command_context *context, const char *path, const struct quantize_report *report,
                        double seconds)
{
    char size[32], before[32];
    struct buffer safe = {0};
    output_visible(&safe, path);
    for (size_t i = 0; i < report->n_types; i++) {
        const struct quantize_count *count = &report->types[i];
        size_format(count->n_bytes, size, sizeof size);
        output_printf(context->out, "%-8s%6u tensors  %9s\n", count->name, count->n, size);
    }
    size_format(report->n_bytes_out, size, sizeof size);
    size_format(report->n_bytes_in, before, sizeof before);
    output_printf(context->out, "%s: %s (%s before), %.1f s\n", buffer_text(&safe), size, before, seconds);
    if (report->n_fallbacks)
        command_notice(context, "%zu of %zu tensors got another type, since their rows don't divide into its blocks",
                       report->n_fallbacks, report->n_tensors);
    buffer_deinit(&safe);
}

static enum exit_status run(const struct command_context *context)
{
    struct error error = {0};
    struct buffer in = {0}, known = {0};
    struct quantize_report report = {0};
    if (context->n_arguments < 3) {
        model_quantize_types(&known, " ");
        enum exit_status result = command_fail_with(
            context, STATUS_ARGUMENT, "quantize: it takes IN, OUT and TYPE, one of %s", buffer_text(&known));
        buffer_deinit(&known);
        return result;
    }
    const char *out = context->arguments[1];
    uint64_t begin = clock_now_ns();
    enum status status = model_quantize_check_type(context->arguments[2], &error);
    if (status == STATUS_OK)
        status = models_resolve(context->arguments[0], &in, &error);
    if (status == STATUS_OK) {
        struct quantize_options options = {.in = buffer_text(&in),
                                           .out = out,
                                           .type = context->arguments[2],
                                           .n_threads = (int)context->settings->threads,
                                           .replace = context->settings->force,
                                           .cancel = context->cancel,
                                           .progress = progress_update_bytes,
                                           .progress_context = context->progress};
        status = model_quantize(&options, &report, &error);
    }
    double seconds = (double)(clock_now_ns() - begin) / 1e9;
    enum exit_status result = EXIT_DONE;
    if (status != STATUS_OK)
        result = command_fail(context, &error, report.is_there ? "--force replaces it" : NULL);
    else if (context->settings->json)
        print_json(context, buffer_text(&in), out, &report, seconds);
    else
        print_table(context, out, &report, seconds);
    buffer_deinit(&in);
    return result;
}

const struct command command_quantize = {
    .name = "quantize",
    .synopsis = "IN OUT TYPE",
    .summary = "write a model with another type of weights",
    .help =
        "Writes the model IN (a path or a name), whose weights are F32, F16 or BF16, to the file OUT with weights of "
        "TYPE. OUT comes into being when it is whole; one that is there already is replaced with --force alone.\n"
        "\n"
        "Types: F32, F16, BF16, Q8_0, Q6_K, Q5_K_M, Q5_K, Q5_1, Q5_0, Q4_K_M, Q4_K, Q4_1, Q4_0. The number is that of "
        "bits a weight; Q4_K_M and Q5_K_M give more of them to the weights that need them most, and Q4_K_M is a good "
        "choice for most models. Q4_K and Q5_K are what others call Q4_K_S and Q5_K_S. Norms and router gates keep "
        "their type, the output layer gets Q6_K or better. Rows that don't divide by 256 can't be of a K type: Q4_K "
        "becomes Q5_0 there, Q5_K Q5_1, Q6_K Q8_0.\n"
        "\n"
        "A model that is quantised already can only be turned into F32, F16 or BF16.\n"
        "\n"
        "  fathom quantize model-f16.gguf model-q4_k_m.gguf Q4_K_M",
    .n_arguments_max = 3,
    .completes = "file",
    .run = run,
};
