/* commands: the table of commands (command.h), and what all of them share: failures, and the way from settings to the
 * engine. */
#include "app/command.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "app/models.h"
#include "ui/visible.h"

/* In the order that help shows them. */
static const struct command *const commands[] = {
    &command_screen, &command_prompt,     &command_repl,    &command_info,     &command_models, &command_tokenize,
    &command_eval,   &command_perplexity, &command_bench,   &command_quantize, &command_index,  &command_search,
    &command_map,    &command_complete,   &command_context, &command_review,   &command_commit, &command_hook,
    &command_trust,  &command_serve,      &command_config,  &command_help,
};

const struct command *command_at(size_t i)
{
    return i < sizeof commands / sizeof *commands ? commands[i] : NULL;
}

const struct command *command_find(const char *name)
{
    for (size_t i = 0; command_at(i); i++)
        if (strcmp(commands[i]->name, name) == 0 && *name != '-')
            return commands[i];
    return NULL;
}

const char *command_nearest(const char *name)
{
    unsigned best = 99;
    const char *nearest = NULL;
    for (size_t i = 0; command_at(i); i++) {
        unsigned distance = words_distance(name, commands[i]->name);
        if (distance < best && *commands[i]->name != '-') {
            best = distance;
            nearest = commands[i]->name;
        }
    }
    return nearest && words_are_near(best, name) ? nearest : NULL;
}

/* ---- failures and notices ---- */

static void write_line(const struct command_context *context, const char *text, const char *advice)
{
    struct buffer line = {0};
    progress_end(context->progress);
    visible_append(&line, text, strlen(text), false);
    output_printf(context->err, advice ? "fathom: %s (%s)\n" : "fathom: %s\n", buffer_text(&line), advice);
    output_flush(context->err);
    buffer_deinit(&line);
}

enum exit_status command_fail(const struct command_context *context, const struct error *error, const char *advice)
{
    if (error->status == STATUS_CANCELLED) {
        progress_end(context->progress);
        return EXIT_INTERRUPTED;
    }
    /* Whoever read our output has gone: nobody is left to tell, and it got what it wanted. */
    if (context->out->failure == EPIPE) {
        progress_end(context->progress);
        return EXIT_DONE;
    }
    write_line(context, error->text, advice);
    return error->status == STATUS_ARGUMENT ? EXIT_USAGE : EXIT_FAILED;
}

enum exit_status command_fail_with(const struct command_context *context, enum status status, const char *format, ...)
{
    struct error error = {.status = status};
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(error.text, sizeof error.text, format, arguments);
    va_end(arguments);
    error_set(&error, status, "%s", error.text); /* makes control bytes visible */
    return command_fail(context, &error, NULL);
}

void command_notice(const struct command_context *context, const char *format, ...)
{
    char text[1024];
    if (context->settings->quiet)
        return;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    write_line(context, text, NULL);
}

/* ---- ids ---- */

enum { MAX_IDS_TEXT = 64 << 20 };

enum status command_read_ids(const struct command_context *context, enum option_id id, int32_t n_vocab,
                             struct tokens *out, struct error *error)
{
    struct buffer name = {0}, text = {0};
    struct arena arena = {0};
    struct number_list list = {0};
    struct error inner = {0};
    enum status status = STATUS_OK;
    option_describe(id, &name);
    settings_print(context->settings, id, &text);
    if (strcmp(buffer_text(&text), "-") == 0) {
        buffer_clear(&text);
        status = input_read_file("-", context->cancel, MAX_IDS_TEXT, &text, &inner);
    }
    if (status == STATUS_OK && text.size != strlen(buffer_text(&text)))
        status = error_set(&inner, STATUS_ARGUMENT, "there is a NUL byte in the list");
    if (status == STATUS_OK)
        status = numbers_parse(buffer_text(&text), n_vocab - 1, &arena, &list, &inner);
    for (size_t i = 0; status == STATUS_OK && i < list.n; i++)
        tokens_append(out, (int32_t)list.items[i]);
    if (status == STATUS_OK)
        status = tokens_status(out, &inner);
    if (status != STATUS_OK)
        error_set(error, status, "%s: %s%s", buffer_text(&name), inner.text,
                  status == STATUS_ARGUMENT ? " (ids are those of this model's vocabulary)" : "");
    arena_deinit(&arena);
    buffer_deinit(&name);
    buffer_deinit(&text);
    return status;
}

/* ---- from settings to the engine ---- */

enum kv_type settings_kv_type(const struct settings *settings)
{
    static const enum kv_type types[] = {
        [SETTING_KV_F16] = KV_F16, [SETTING_KV_Q8_0] = KV_Q8_0, [SETTING_KV_Q4_0] = KV_Q4_0, [SETTING_KV_F32] = KV_F32};
    return types[settings->kv];
}

uint64_t settings_seed(const struct settings *settings)
{
    uint64_t seed;
    if (settings_is_given(settings, OPTION_SEED))
        return (uint64_t)settings->seed;
    return getrandom(&seed, sizeof seed, GRND_NONBLOCK) == (ssize_t)sizeof seed ? seed : clock_now_ns();
}

struct sampler_options settings_sampler(const struct settings *settings)
{
    struct sampler_options options = sampler_options_default();
    options.temperature = (float)settings->temp;
    options.top_k = (int32_t)settings->top_k;
    options.top_p = (float)settings->top_p;
    options.min_p = (float)settings->min_p;
    options.repeat_penalty = (float)settings->repeat_penalty;
    options.penalty_window = -1;
    options.seed = settings_seed(settings);
    return options;
}

enum { MAX_LORAS = 16 };

/* FILE[:SCALE]: a number behind the last colon is the scale, anything else belongs to the name. */
static enum status read_loras(const struct text_list *list, struct arena *texts, struct engine_lora loras[MAX_LORAS],
                              struct error *error)
{
    if (list->n > MAX_LORAS)
        return error_set(error, STATUS_ARGUMENT, "--lora: %zu adapters: at most %d", list->n, MAX_LORAS);
    for (size_t i = 0; i < list->n; i++) {
        const char *text = list->items[i], *colon = strrchr(text, ':');
        char *end = NULL;
        float scale = colon && colon[1] ? strtof(colon + 1, &end) : 1.0f;
        bool is_scaled = end && *end == 0 && end != colon + 1;
        if (is_scaled && !isfinite(scale))
            return error_set(error, STATUS_ARGUMENT, "--lora: %.120s: the scale is not a number", text);
        loras[i].scale = is_scaled ? scale : 1.0f;
        loras[i].path = arena_copy_text(texts, text, is_scaled ? (size_t)(colon - text) : strlen(text));
        if (!loras[i].path)
            return error_set(error, STATUS_MEMORY, "out of memory");
    }
    return STATUS_OK;
}

/* Where the use of a model's experts is kept; nothing is appended where there is no home. */
static void find_profile(const char *model, struct buffer *out)
{
    const char *slash = strrchr(model, '/');
    if (xdg_folder("XDG_CACHE_HOME", ".cache", out, NULL) == STATUS_OK)
        buffer_printf(out, "/fathom/experts/%s", slash ? slash + 1 : model);
    else
        buffer_clear(out);
}

enum status settings_open_engine(const struct settings *settings, struct engine **out, struct error *error)
{
    static const char *const backends[] = {[BACKEND_AUTO] = "auto", [BACKEND_CPU] = "cpu", [BACKEND_CUDA] = "cuda"};
    struct buffer path = {0}, profile = {0};
    struct engine_lora loras[MAX_LORAS];
    struct arena texts = {0};
    enum status status = models_resolve(settings->model, &path, error);
    if (status == STATUS_OK)
        status = read_loras(&settings->lora, &texts, loras, error);
    if (status == STATUS_OK) {
        find_profile(buffer_text(&path), &profile);
        struct engine_options options = {.model_path = buffer_text(&path),
                                         .backend = backends[settings->backend],
                                         .cpu = settings->cpu,
                                         .chat_template = settings->chat_template,
                                         .n_threads = (int)settings->threads,
                                         .loras = loras,
                                         .n_loras = settings->lora.n,
                                         .force = settings->force,
                                         .experts_profile = profile.size ? buffer_text(&profile) : NULL};
        status = engine_open(&options, out, error);
    }
    arena_deinit(&texts);
    buffer_deinit(&path);
    buffer_deinit(&profile);
    return status;
}

struct session_options command_session_options(const struct command_context *context)
{
    const struct settings *settings = context->settings;
    return (struct session_options){.n_ctx = (int32_t)settings->context,
                                    .n_slice = (int32_t)settings->slice,
                                    .kv = settings_kv_type(settings),
                                    .cancel = context->cancel,
                                    .progress = context->on_progress ? context->on_progress : progress_update,
                                    .progress_context =
                                        context->on_progress ? context->on_progress_context : context->progress};
}
