/* serve_status: what can be said of the server at a glance: /health, /props, /slots, /metrics, /v1/models, /openapi.json. */
#include <string.h>
#include <time.h>

#include "app/output.h"
#include "app/serve.h"
#include "fim/format.h"

static void append_text(struct buffer *out, const char *text)
{
    json_append_string(out, text, strlen(text));
}

void serve_show_health(struct serve *serve, struct buffer *out)
{
    (void)serve;
    buffer_append_text(out, "{\"status\":\"ok\"}");
}

void serve_show_props(struct serve *serve, struct buffer *out)
{
    const struct model_info *info = engine_info(serve->engine);
    const struct settings *settings = serve->context->settings;
    struct fim_format format = fim_format_of(serve->engine);
    buffer_append_text(out, "{\"model_alias\":");
    append_text(out, info->name);
    buffer_printf(out,
                  ",\"total_slots\":%zu,\"default_generation_settings\":{\"n_ctx\":%d,\"params\":{\"temperature\":%g,"
                  "\"top_k\":%lld,\"top_p\":%g,\"min_p\":%g,\"repeat_penalty\":%g}},\"chat_template\":",
                  serve_engine_n_slots(serve->slots), serve->n_ctx, settings->temp, (long long)settings->top_k,
                  settings->top_p, settings->min_p, settings->repeat_penalty);
    if (info->chat)
        append_text(out, info->chat);
    else
        buffer_append_text(out, "null");
    buffer_printf(out, ",\"fim\":{\"marks\":%s,\"form\":\"%s\",\"way\":\"%s\"}", format.has_marks ? "true" : "false",
                  format.name, format.has_marks ? "infill" : "continuation");
    buffer_printf(out, ",\"modalities\":{\"vision\":false,\"audio\":false},\"build_info\":\"fathom %s\"}",
                  FATHOM_VERSION);
}

void serve_show_slots(struct serve *serve, struct buffer *out)
{
    static const char *const states[] = {
        [SLOT_FREE] = "free", [SLOT_READING] = "reading", [SLOT_ANSWERING] = "answering"};
    struct serve_slot_view slots[SERVE_SLOTS_MAX];
    struct serve_totals totals;
    serve_engine_view(serve->slots, slots, &totals);
    buffer_append_byte(out, '[');
    for (size_t i = 0; i < serve_engine_n_slots(serve->slots); i++) {
        const struct serve_slot_view *slot = &slots[i];
        buffer_printf(out,
                      "%s{\"id\":%zu,\"is_processing\":%s,\"state\":\"%s\",\"n_ctx\":%d,\"n_cached\":%zu,"
                      "\"n_prompt\":%zu,\"n_answer\":%zu,\"job\":",
                      i ? "," : "", i, slot->state == SLOT_FREE ? "false" : "true", states[slot->state], serve->n_ctx,
                      slot->n_cached, slot->n_prompt, slot->n_answer);
        append_text(out, slot->job);
        buffer_append_byte(out, '}');
    }
    buffer_append_byte(out, ']');
}

static void metric(struct buffer *out, const char *name, const char *type, const char *help, double value)
{
    buffer_printf(out, "# HELP fathom_%s %s\n# TYPE fathom_%s %s\nfathom_%s %.17g\n", name, help, name, type, name,
                  value);
}

void serve_show_metrics(struct serve *serve, struct buffer *out)
{
    struct serve_totals totals;
    serve_engine_view(serve->slots, NULL, &totals);
    metric(out, "http_requests_total", "counter", "Requests that came.", (double)atomic_load(&serve->n_requests));
    metric(out, "http_refused_total", "counter", "Requests refused before they were read.",
           (double)atomic_load(&serve->n_refused));
    metric(out, "answers_total", "counter", "Answers that were given.", (double)totals.n_done);
    metric(out, "failures_total", "counter", "Answers that failed.", (double)totals.n_failed);
    metric(out, "cancelled_total", "counter", "Answers whose client went away.", (double)totals.n_cancelled);
    metric(out, "prompt_tokens_total", "counter", "Prompt tokens that were read.", (double)totals.n_prompt);
    metric(out, "cached_tokens_total", "counter", "Prompt tokens that were taken from the cache.",
           (double)totals.n_cached);
    metric(out, "answer_tokens_total", "counter", "Tokens that were answered.", (double)totals.n_answer);
    metric(out, "prompt_seconds_total", "counter", "Time spent on prompts.", totals.prompt_seconds);
    metric(out, "answer_seconds_total", "counter", "Time spent on answers, summed over slots.", totals.answer_seconds);
    metric(out, "requests_running", "gauge", "Requests in slots.", (double)totals.n_running);
    metric(out, "requests_waiting", "gauge", "Requests that wait for a slot.", (double)totals.n_waiting);
    metric(out, "kv_bytes", "gauge", "Memory of the slots' cells, shared ones counted for each.",
           (double)totals.n_kv_bytes);
    metric(out, "uptime_seconds", "gauge", "Since the server began.", (double)(clock_now_ns() - serve->began) / 1e9);
}

void serve_show_model(struct serve *serve, struct buffer *out)
{
    const struct model_info *info = engine_info(serve->engine);
    buffer_append_text(out, "{\"id\":");
    append_text(out, info->name);
    buffer_printf(out,
                  ",\"object\":\"model\",\"created\":%lld,\"owned_by\":\"fathom\",\"meta\":{\"n_params\":%llu,"
                  "\"n_vocab\":%d,\"n_ctx\":%d,\"n_ctx_train\":%d,\"size\":%llu}}",
                  (long long)time(NULL), (unsigned long long)info->n_params, info->n_vocab, serve->n_ctx,
                  info->n_ctx_train, (unsigned long long)info->n_bytes);
}

void serve_show_models(struct serve *serve, struct buffer *out)
{
    buffer_append_text(out, "{\"object\":\"list\",\"data\":[");
    serve_show_model(serve, out);
    buffer_append_text(out, "]}");
}

void serve_show_openapi(struct serve *serve, struct buffer *out)
{
    buffer_append(out, buffer_text(&serve->openapi), serve->openapi.size);
}
