/* serve_sampling: see serve_sampling.h. */
#include "app/serve_sampling.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static enum status read_stops(const cJSON *body, struct serve_task *task, struct error *error)
{
    const cJSON *stop = json_field(body, "stop"), *node;
    size_t n = 0;
    if (!stop)
        return STATUS_OK;
    bool is_one = cJSON_IsString(stop);
    int n_items = is_one ? 1 : cJSON_IsArray(stop) ? cJSON_GetArraySize(stop) : -1;
    if (n_items < 0 || n_items > SERVE_STOPS_MAX)
        return error_set(error, STATUS_ARGUMENT, "stop: must be a text, or a list of at most %d", (int)SERVE_STOPS_MAX);
    task->stops = arena_alloc(&task->texts, ((size_t)n_items + 1) * sizeof *task->stops);
    if (!task->stops)
        return error_set(error, STATUS_MEMORY, "out of memory");
    for (node = is_one ? stop : stop->child; node; node = is_one ? NULL : node->next) {
        if (!cJSON_IsString(node) || !*node->valuestring)
            return error_set(error, STATUS_ARGUMENT, "stop: each is a text that is not empty");
        task->stops[n] = arena_copy_text(&task->texts, node->valuestring, strlen(node->valuestring));
        if (!task->stops[n++])
            return error_set(error, STATUS_MEMORY, "out of memory");
    }
    task->n_stops = n;
    return STATUS_OK;
}

static enum status read_biases(const cJSON *body, int32_t n_vocab, struct serve_task *task, struct error *error)
{
    const cJSON *biases = NULL, *node;
    size_t n = 0;
    enum status status = json_get_object(body, "logit_bias", &biases, error);
    if (status != STATUS_OK || !biases)
        return status;
    int n_items = cJSON_GetArraySize(biases);
    if (n_items > SERVE_BIASES_MAX)
        return error_set(error, STATUS_ARGUMENT, "logit_bias: at most %d tokens", (int)SERVE_BIASES_MAX);
    task->biases = arena_alloc(&task->texts, ((size_t)n_items + 1) * sizeof *task->biases);
    if (!task->biases)
        return error_set(error, STATUS_MEMORY, "out of memory");
    cJSON_ArrayForEach(node, biases)
    {
        char *end;
        long id = strtol(node->string, &end, 10);
        if (*node->string < '0' || *node->string > '9' || *end)
            return error_set(error, STATUS_ARGUMENT, "logit_bias: \"%.40s\" is no token", node->string);
        if (!cJSON_IsNumber(node) || fabs(node->valuedouble) > 100)
            return error_set(error, STATUS_ARGUMENT, "logit_bias: each is a number from -100 to 100");
        if (id >= n_vocab)
            continue; /* of another model: it can't come anyway */
        task->biases[n].id = (int32_t)id;
        task->biases[n++].bias = node->valuedouble <= -100 ? -INFINITY : (float)node->valuedouble;
    }
    task->sampling.biases = task->biases;
    task->sampling.n_biases = n;
    return STATUS_OK;
}

static enum status read_stream(const cJSON *body, struct serve_job *job, struct error *error)
{
    const cJSON *options = NULL;
    enum status status = json_get_flag(body, "stream", &job->is_streamed, error);
    if (status == STATUS_OK)
        status = json_get_object(body, "stream_options", &options, error);
    if (status == STATUS_OK && options)
        status = json_get_flag(options, "include_usage", &job->tells_usage, error);
    return status;
}

/* One field of the sampler's, which are floats. */
static enum status read_float(const cJSON *body, const char *key, double minimum, double maximum, float *out,
                              struct error *error)
{
    double value = (double)*out;
    enum status status = json_get_real(body, key, minimum, maximum, &value, error);
    *out = (float)value;
    return status;
}

enum status serve_read_sampling(struct serve *serve, const cJSON *body, struct serve_job *job, size_t *n_choices,
                                struct error *error)
{
    struct serve_task *task = &job->task;
    struct sampler_options *sampling = &task->sampling;
    int64_t seed = -1, n = 1, top_k;
    const char *model = NULL;
    *sampling = settings_sampler(serve->context->settings);
    top_k = sampling->top_k;
    enum status status = json_get_text(body, "model", &model, error); /* whatever it says: there is one */
    if (status == STATUS_OK)
        status = read_float(body, "temperature", 0, 100, &sampling->temperature, error);
    if (status == STATUS_OK)
        status = read_float(body, "top_p", 0, 1, &sampling->top_p, error);
    if (status == STATUS_OK)
        status = read_float(body, "min_p", 0, 1, &sampling->min_p, error);
    if (status == STATUS_OK)
        status = read_float(body, "frequency_penalty", -2, 2, &sampling->frequency_penalty, error);
    if (status == STATUS_OK)
        status = read_float(body, "presence_penalty", -2, 2, &sampling->presence_penalty, error);
    if (status == STATUS_OK)
        status = read_float(body, "repeat_penalty", 0.01, 100, &sampling->repeat_penalty, error);
    if (status == STATUS_OK)
        status = json_get_integer(body, "top_k", 0, 1 << 20, &top_k, error);
    if (status == STATUS_OK)
        status = json_get_integer(body, "seed", -1, ((int64_t)1 << 53) - 1, &seed, error);
    if (status == STATUS_OK)
        status = json_get_integer(body, "n", 1, SERVE_N_MAX, &n, error);
    *n_choices = (size_t)n;
    sampling->top_k = (int32_t)top_k;
    if (seed >= 0)
        sampling->seed = (uint64_t)seed;
    if (status == STATUS_OK)
        status = read_stops(body, task, error);
    if (status == STATUS_OK)
        status = read_biases(body, engine_n_vocab(serve->engine), task, error);
    if (status == STATUS_OK)
        status = read_stream(body, job, error);
    return status;
}

enum status serve_check_room(const struct serve *serve, const struct serve_job *job, struct error *error)
{
    size_t n_ctx = (size_t)serve->n_ctx;
    for (size_t i = 0; i < job->task.n_prompts; i++) {
        size_t n = job->task.prompts[i].n;
        if (n == 0)
            return error_set(error, STATUS_ARGUMENT, "the prompt is empty, and this model has no token to begin with");
        if (n >= n_ctx)
            return error_set(error, STATUS_RANGE, "the prompt has %zu tokens, the context holds %zu (fathom serve -c)",
                             n, n_ctx);
    }
    return STATUS_OK;
}

int64_t serve_limit_tokens(const struct serve *serve, int64_t n_asked)
{
    const struct settings *settings = serve->context->settings;
    int64_t most = settings->max_tokens;
    return most >= 0 && (n_asked < 0 || n_asked > most) ? most : n_asked;
}
