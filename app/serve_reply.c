/* serve_reply: see serve_reply.h. */
#include "app/serve_reply.h"

#include <string.h>

#include "app/json_read.h"
#include "app/output.h"

static void append_text(struct buffer *out, const char *text)
{
    json_append_string(out, text, strlen(text));
}

void serve_reply_error(int code, const char *type, const char *message, struct buffer *out)
{
    buffer_printf(out, "{\"error\":{\"code\":%d,\"message\":", code);
    append_text(out, message);
    buffer_append_text(out, ",\"type\":");
    append_text(out, type);
    buffer_append_text(out, "}}");
}

/* What has come of a choice; *is_ended: nothing else will. */
static struct serve_pending take_pending(struct serve_choice *choice, bool *is_ended)
{
    pthread_mutex_lock(&choice->job->lock);
    struct serve_pending pending = choice->pending;
    choice->pending = (struct serve_pending){0};
    *is_ended = choice->is_ended;
    pthread_mutex_unlock(&choice->job->lock);
    return pending;
}

static bool is_empty(const struct serve_pending *pending)
{
    return !pending->text.size && !pending->thought.size && !pending->logprobs.size && !pending->calls.size;
}

static void pending_deinit(struct serve_pending *pending)
{
    buffer_deinit(&pending->text);
    buffer_deinit(&pending->thought);
    buffer_deinit(&pending->logprobs);
    buffer_deinit(&pending->calls);
}

static const char *finish_name(const struct serve_choice *choice)
{
    static const char *const names[] = {[SERVE_STOP] = "stop", [SERVE_LENGTH] = "length", [SERVE_CALLS] = "tool_calls"};
    return names[choice->finish];
}

/* ---- parts ---- */

static void append_head(const struct serve_job *job, const char *model, bool is_event, struct buffer *out)
{
    bool is_chat = job->form == SERVE_CHAT;
    const char *object = !is_chat ? "text_completion" : is_event ? "chat.completion.chunk" : "chat.completion";
    buffer_printf(out, "{\"id\":\"%s-%s\",\"object\":\"%s\",\"created\":%lld,\"model\":", is_chat ? "chatcmpl" : "cmpl",
                  job->id, object, (long long)job->created);
    append_text(out, model);
    buffer_append_text(out, ",\"system_fingerprint\":\"fathom-" FATHOM_VERSION "\",\"choices\":[");
}

/* A prompt counts once, however many answers there are to it. */
static struct serve_counts sum_counts(const struct serve_job *job)
{
    struct serve_counts sum = {0};
    for (size_t i = 0; i < job->n_choices; i++) {
        const struct serve_counts *counts = &job->choices[i].counts;
        if (job->choices[i].n_before == 0) {
            sum.n_prompt += counts->n_prompt;
            sum.n_cached += counts->n_cached;
            sum.prompt_ms += counts->prompt_ms;
        }
        sum.n_answer += counts->n_answer;
        sum.answer_ms += counts->answer_ms;
        sum.wait_ms = i == 0 || counts->wait_ms < sum.wait_ms ? counts->wait_ms : sum.wait_ms;
    }
    return sum;
}

static void append_usage(const struct serve_job *job, struct buffer *out)
{
    struct serve_counts sum = sum_counts(job), *counts = &sum;
    buffer_printf(out,
                  "\"usage\":{\"prompt_tokens\":%zu,\"completion_tokens\":%zu,\"total_tokens\":%zu,"
                  "\"prompt_tokens_details\":{\"cached_tokens\":%zu}}",
                  counts->n_prompt, counts->n_answer, counts->n_prompt + counts->n_answer, counts->n_cached);
    buffer_printf(out,
                  ",\"timings\":{\"cache_n\":%zu,\"prompt_n\":%zu,\"prompt_ms\":%.3f,\"predicted_n\":%zu,"
                  "\"predicted_ms\":%.3f,\"wait_ms\":%.3f}",
                  counts->n_cached, counts->n_prompt - counts->n_cached, counts->prompt_ms, counts->n_answer,
                  counts->answer_ms, counts->wait_ms);
}

/* The older form of likelihoods: lists side by side. */
static void append_lists(const struct buffer *items, struct buffer *out)
{
    struct buffer array = {0}, tokens = {0}, logprobs = {0}, tops = {0}, offsets = {0};
    const cJSON *item, *top;
    size_t offset = 0;
    buffer_printf(&array, "[%s]", buffer_text(items));
    cJSON *list = array.failed ? NULL : cJSON_ParseWithLength(array.data, array.size);
    cJSON_ArrayForEach(item, list)
    {
        const char *comma = item == list->child ? "" : ",";
        const char *text = cJSON_GetStringValue(json_field(item, "token"));
        buffer_append_text(&tokens, comma);
        append_text(&tokens, text ? text : "");
        buffer_printf(&logprobs, "%s%.6f", comma, cJSON_GetNumberValue(json_field(item, "logprob")));
        buffer_printf(&offsets, "%s%zu", comma, offset);
        buffer_printf(&tops, "%s{", comma);
        const cJSON *all = json_field(item, "top_logprobs");
        cJSON_ArrayForEach(top, all)
        {
            const char *name = cJSON_GetStringValue(json_field(top, "token"));
            buffer_append_text(&tops, top == all->child ? "" : ",");
            append_text(&tops, name ? name : "");
            buffer_printf(&tops, ":%.6f", cJSON_GetNumberValue(json_field(top, "logprob")));
        }
        buffer_append_byte(&tops, '}');
        offset += text ? strlen(text) : 0;
    }
    cJSON_Delete(list);
    buffer_printf(out, "{\"tokens\":[%s],\"token_logprobs\":[%s],\"top_logprobs\":[%s],\"text_offset\":[%s]}",
                  buffer_text(&tokens), buffer_text(&logprobs), buffer_text(&tops), buffer_text(&offsets));
    buffer_deinit(&array);
    buffer_deinit(&tokens);
    buffer_deinit(&logprobs);
    buffer_deinit(&tops);
    buffer_deinit(&offsets);
}

static void append_logprobs(const struct serve_job *job, const struct buffer *items, struct buffer *out)
{
    buffer_append_text(out, ",\"logprobs\":");
    if (job->task.n_logprobs < 0 || !items->size)
        buffer_append_text(out, "null");
    else if (job->form == SERVE_CHAT)
        buffer_printf(out, "{\"content\":[%s],\"refusal\":null}", items->data);
    else
        append_lists(items, out);
}

/* ---- events ---- */

static void begin_event(const struct serve_job *job, const char *model, struct buffer *out)
{
    buffer_append_text(out, "data: ");
    append_head(job, model, true, out);
}

static void append_delta(const struct serve_job *job, const struct serve_pending *pending, bool is_first,
                         struct buffer *out)
{
    const char *comma = "";
    buffer_append_text(out, "\"delta\":{");
    if (is_first) {
        buffer_append_text(out, "\"role\":\"assistant\"");
        comma = ",";
    }
    if (pending->thought.size) {
        buffer_printf(out, "%s\"reasoning_content\":", comma);
        json_append_string(out, pending->thought.data, pending->thought.size);
        comma = ",";
    }
    if (pending->text.size || (is_first && !pending->thought.size && !pending->calls.size)) {
        buffer_printf(out, "%s\"content\":", comma);
        json_append_string(out, buffer_text(&pending->text), pending->text.size);
        comma = ",";
    }
    if (pending->calls.size)
        buffer_printf(out, "%s\"tool_calls\":[%s]", comma, pending->calls.data);
    buffer_append_text(out, "}");
    append_logprobs(job, &pending->logprobs, out);
}

static void end_event(const struct serve_job *job, struct buffer *out)
{
    buffer_append_text(out, job->tells_usage ? ",\"usage\":null}\n\n" : "}\n\n");
}

static void append_piece(const struct serve_choice *choice, const char *model, const struct serve_pending *pending,
                         struct buffer *out)
{
    const struct serve_job *job = choice->job;
    begin_event(job, model, out);
    buffer_printf(out, "{\"index\":%zu,", choice->index);
    if (job->form == SERVE_CHAT) {
        append_delta(job, pending, !choice->has_begun, out);
    } else {
        buffer_append_text(out, "\"text\":");
        json_append_string(out, buffer_text(&pending->text), pending->text.size);
        append_logprobs(job, &pending->logprobs, out);
    }
    buffer_append_text(out, ",\"finish_reason\":null}]");
    end_event(job, out);
}

static void append_end(const struct serve_choice *choice, const char *model, struct buffer *out)
{
    begin_event(choice->job, model, out);
    buffer_printf(out, "{\"index\":%zu,%s,\"logprobs\":null,\"finish_reason\":\"%s\"}]", choice->index,
                  choice->job->form == SERVE_CHAT ? "\"delta\":{}" : "\"text\":\"\"", finish_name(choice));
    end_event(choice->job, out);
}

static void append_infill(const struct serve_pending *pending, struct buffer *out)
{
    if (!pending->text.size)
        return;
    buffer_append_text(out, "data: {\"content\":");
    json_append_string(out, pending->text.data, pending->text.size);
    buffer_append_text(out, ",\"stop\":false}\n\n");
}

void serve_reply_events(struct serve_job *job, const char *model, struct buffer *out)
{
    for (size_t i = 0; i < job->n_choices; i++) {
        struct serve_choice *choice = &job->choices[i];
        bool is_ended;
        struct serve_pending pending = take_pending(choice, &is_ended);
        if (job->form == SERVE_INFILL) {
            append_infill(&pending, out);
            pending_deinit(&pending);
            continue;
        }
        bool is_silent = is_ended && !choice->has_begun; /* an answer without a word still has a beginning */
        if (!is_empty(&pending) || is_silent) {
            append_piece(choice, model, &pending, out);
            choice->has_begun = true;
        }
        if (is_ended && !choice->is_told) {
            append_end(choice, model, out);
            choice->is_told = true;
        }
        pending_deinit(&pending);
    }
}

void serve_reply_last(struct serve_job *job, const char *model, struct buffer *out)
{
    if (job->code != 200) {
        buffer_append_text(out, "data: ");
        serve_reply_error(job->code, job->type, job->message, out);
        buffer_append_text(out, "\n\n");
        return;
    }
    serve_reply_events(job, model, out);
    if (job->form == SERVE_INFILL) {
        buffer_append(out, buffer_text(&job->reply), job->reply.size);
        return;
    }
    if (job->tells_usage) {
        begin_event(job, model, out);
        buffer_append_text(out, "],");
        append_usage(job, out);
        buffer_append_text(out, "}\n\n");
    }
    buffer_append_text(out, "data: [DONE]\n\n");
}

/* ---- the whole ---- */

static void append_message(const struct serve_pending *pending, struct buffer *out)
{
    buffer_append_text(out, "\"message\":{\"role\":\"assistant\",\"content\":");
    if (pending->text.size || !pending->calls.size)
        json_append_string(out, buffer_text(&pending->text), pending->text.size);
    else
        buffer_append_text(out, "null");
    if (pending->thought.size) {
        buffer_append_text(out, ",\"reasoning_content\":");
        json_append_string(out, pending->thought.data, pending->thought.size);
    }
    if (pending->calls.size)
        buffer_printf(out, ",\"tool_calls\":[%s]", pending->calls.data);
    buffer_append_text(out, "}");
}

void serve_reply_whole(struct serve_job *job, const char *model, struct buffer *out)
{
    if (job->form == SERVE_WHOLE || job->form == SERVE_INFILL) {
        buffer_append(out, buffer_text(&job->reply), job->reply.size);
        return;
    }
    append_head(job, model, false, out);
    for (size_t i = 0; i < job->n_choices; i++) {
        struct serve_choice *choice = &job->choices[i];
        bool is_ended;
        struct serve_pending pending = take_pending(choice, &is_ended);
        buffer_printf(out, "%s{\"index\":%zu,", i ? "," : "", i);
        if (job->form == SERVE_CHAT) {
            append_message(&pending, out);
        } else {
            buffer_append_text(out, "\"text\":");
            json_append_string(out, buffer_text(&pending.text), pending.text.size);
        }
        append_logprobs(job, &pending.logprobs, out);
        buffer_printf(out, ",\"finish_reason\":\"%s\"}", finish_name(choice));
        pending_deinit(&pending);
    }
    buffer_append_text(out, "],");
    append_usage(job, out);
    buffer_append_text(out, "}");
}
