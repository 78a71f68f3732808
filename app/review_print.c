/* review_print: see review_print.h.  SARIF: review_sarif.c. */
#include "app/review_print.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "ui/visible.h"

static const char *path_of(const struct review_print *print, uint32_t hunk)
{
    return diff_path(&print->diff->files[print->diff->hunks[hunk].file]);
}

static void count(struct buffer *out, size_t n, const char *one, const char *many)
{
    buffer_printf(out, "%zu %s", n, n == 1 ? one : many);
}

/* What of the diff the model did not see. */
static void append_limits(const struct review_print *print, struct buffer *out)
{
    const struct review_result *result = print->result;
    const char *why = NULL;
    size_t n_cut = 0;
    bool has_others = false;
    for (size_t i = 0; i < result->n_hunks; i++) {
        const struct review_hunk *hunk = &result->hunks[i];
        n_cut +=
            (hunk->state == REVIEW_READ || hunk->state == REVIEW_KEPT) && hunk->n_shown < print->diff->hunks[i].n_lines;
        if (hunk->state != REVIEW_SKIPPED)
            continue;
        has_others = has_others || (why && strcmp(why, hunk->why) != 0);
        why = why ? why : hunk->why;
    }
    if (n_cut)
        buffer_printf(out, ", %zu of them only in its first lines (--budget)", n_cut);
    if (why) {
        buffer_append_text(out, "; left out ");
        count(out, result->n_skipped, "hunk", "hunks");
        buffer_printf(out, " (%s%s)", why, has_others ? " and so on" : "");
    }
}

void review_summary(const struct review_print *print, struct buffer *out)
{
    const struct review_result *result = print->result;
    size_t n_dropped = 0;
    const char *between = "";
    if (print->nothing) {
        buffer_printf(out, "nothing to review: %s", print->nothing);
        return;
    }
    if (print->context->settings->only == REVIEW_ONLY_UNUSUAL) {
        count(out, result->n_lines, "added line", "added lines");
        buffer_append_text(out, " weighed");
    } else {
        count(out, result->n_findings, "finding", "findings");
        buffer_append_text(out, "; ");
        count(out, result->n_read, "hunk", "hunks");
        buffer_append_text(out, " read");
        if (result->n_kept)
            buffer_printf(out, ", %zu as before", result->n_kept);
    }
    append_limits(print, out);
    for (int i = 0; i < REVIEW_N_DROPS; i++)
        n_dropped += result->dropped[i];
    if (n_dropped) {
        buffer_printf(out, "; dropped %zu that can't be (", n_dropped);
        for (int i = 0; i < REVIEW_N_DROPS; i++) {
            if (result->dropped[i])
                buffer_printf(out, "%s%zu %s", between, result->dropped[i], review_drop_name((enum review_drop)i));
            between = result->dropped[i] ? ", " : between;
        }
        buffer_append_text(out, ")");
    }
    if (result->n_dismissed)
        buffer_printf(out, "; %zu dismissed", result->n_dismissed);
    if (result->is_interrupted)
        buffer_append_text(out, "; interrupted, this is what there is by now");
}

/* ---- text ---- */

static void append_visible(struct buffer *out, const char *text, size_t size)
{
    while (size && (text[size - 1] == '\n' || text[size - 1] == '\r'))
        size--;
    visible_append(out, text, size, false);
}

static void print_finding(const struct review_print *print, const struct review_finding *finding)
{
    struct buffer line = {0};
    append_visible(&line, path_of(print, finding->hunk), strlen(path_of(print, finding->hunk)));
    buffer_printf(&line, ":%u", finding->line);
    if (finding->end_line > finding->line)
        buffer_printf(&line, "-%u", finding->end_line);
    buffer_printf(&line, ": %s%s: ", finding->is_old ? "(removed) " : "", review_severity_name(finding->severity));
    append_visible(&line, finding->title, strlen(finding->title));
    buffer_printf(&line, "  (%.0f %%, %s)\n", 100 * finding->confidence, finding->id);
    output_write(print->context->out, buffer_text(&line), line.size);
    buffer_clear(&line);
    append_visible(&line, finding->detail, strlen(finding->detail));
    if (line.size) {
        output_text(print->context->out, "    ");
        output_wrapped(print->context->out, buffer_text(&line), 4, 4, 100);
        output_text(print->context->out, "\n");
    }
    buffer_deinit(&line);
}

static void print_unusual(const struct review_print *print, const struct review_line *line)
{
    struct buffer text = {0};
    append_visible(&text, path_of(print, line->hunk), strlen(path_of(print, line->hunk)));
    buffer_printf(&text, ":%u: %.2f nats a token, no. %u of %u added lines", line->line, line->surprise, line->rank,
                  line->n_rank);
    if (!isnan(line->deleted))
        buffer_printf(&text, " (deleted ones: %.2f)", line->deleted);
    buffer_append_text(&text, "\n    ");
    struct slice source = print->diff->lines[line->at].text;
    size_t size = source.size < 200 ? source.size : 200;
    while (size < source.size && size && ((unsigned char)source.data[size] & 0xc0) == 0x80)
        size--;
    append_visible(&text, source.data, size);
    buffer_append_text(&text, "\n");
    output_write(print->context->out, buffer_text(&text), text.size);
    buffer_deinit(&text);
}

void review_print_text(const struct review_print *print)
{
    const struct review_result *result = print->result;
    struct output *out = print->context->out;
    struct buffer summary = {0};
    size_t most = (size_t)print->context->settings->unusual;
    for (size_t i = 0; i < result->n_findings; i++)
        print_finding(print, &result->findings[i]);
    if (result->n_lines && most) {
        output_printf(out, "%sunusual to the model, which needn't mean anything:\n", result->n_findings ? "\n" : "");
        for (size_t i = 0; i < result->n_lines && i < most; i++)
            print_unusual(print, &result->lines[i]);
        output_text(out, "\n");
    }
    review_summary(print, &summary);
    output_printf(out, "%s\n", buffer_text(&summary));
    buffer_deinit(&summary);
}

/* ---- JSON ---- */

static void append(cJSON *list, cJSON *item)
{
    if (!cJSON_AddItemToArray(list, item))
        cJSON_Delete(item);
}

static void add_lines(cJSON *object, uint32_t line, uint32_t end_line)
{
    cJSON *lines = cJSON_CreateArray();
    append(lines, cJSON_CreateNumber(line));
    append(lines, cJSON_CreateNumber(end_line));
    json_add(object, "lines", lines);
}

static void add_path(cJSON *object, const char *path)
{
    json_add(object, "path", json_text(path, strlen(path)));
}

static cJSON *finding_json(const struct review_print *print, const struct review_finding *finding)
{
    cJSON *object = cJSON_CreateObject();
    json_add_text(object, "id", finding->id);
    add_path(object, path_of(print, finding->hunk));
    add_lines(object, finding->line, finding->end_line);
    json_add_text(object, "side", finding->is_old ? "old" : "new");
    json_add_text(object, "severity", review_severity_name(finding->severity));
    json_add_text(object, "title", finding->title);
    json_add_text(object, "detail", finding->detail);
    json_add_real(object, "confidence", finding->confidence, 4);
    json_add_text(object, "hunk", print->diff->hunks[finding->hunk].id);
    return object;
}

static cJSON *hunk_json(const struct review_print *print, size_t i)
{
    static const char *const states[] = {[REVIEW_UNREAD] = "unread",
                                         [REVIEW_READ] = "read",
                                         [REVIEW_KEPT] = "kept",
                                         [REVIEW_SKIPPED] = "skipped",
                                         [REVIEW_WEIGHED] = "weighed"};
    const struct diff_hunk *hunk = &print->diff->hunks[i];
    const struct review_hunk *about = &print->result->hunks[i];
    struct buffer header = {0};
    cJSON *object = cJSON_CreateObject();
    buffer_printf(&header, "@@ -%u,%u +%u,%u @@%s", hunk->old_start, hunk->old_n, hunk->new_start, hunk->new_n,
                  hunk->function.size ? " " : "");
    buffer_append(&header, hunk->function.data, hunk->function.size);
    json_add_text(object, "id", hunk->id);
    add_path(object, path_of(print, (uint32_t)i));
    json_add(object, "header", json_text(buffer_text(&header), header.size));
    json_add_real(object, "surprise", about->has_surprise ? about->surprise : NAN, 6);
    json_add_text(object, "state", states[about->state]);
    if (about->state == REVIEW_SKIPPED)
        json_add_text(object, "why", about->why);
    if (about->state == REVIEW_READ || about->state == REVIEW_KEPT)
        json_add_integer(object, "unseen", hunk->n_lines > about->n_shown ? hunk->n_lines - about->n_shown : 0);
    buffer_deinit(&header);
    return object;
}

static cJSON *token_json(const struct review_print *print, int32_t id, float logprob)
{
    struct slice piece = engine_piece(print->engine, id, true);
    cJSON *object = cJSON_CreateObject();
    json_add_integer(object, "id", id);
    json_add(object, "piece", json_text(piece.data, piece.size));
    json_add_real(object, "logprob", (double)logprob, 6);
    return object;
}

static cJSON *line_json(const struct review_print *print, const struct review_line *line)
{
    cJSON *object = cJSON_CreateObject(), *top = cJSON_CreateArray();
    struct slice text = print->diff->lines[line->at].text;
    add_path(object, path_of(print, line->hunk));
    json_add_integer(object, "line", line->line);
    json_add(object, "text", json_text(text.data, text.size));
    json_add_real(object, "surprise", line->surprise, 6);
    json_add_real(object, "deleted", line->deleted, 6);
    json_add_integer(object, "tokens", line->n_tokens);
    json_add_integer(object, "rank", line->rank);
    json_add_integer(object, "of", line->n_rank);
    json_add(object, "token", token_json(print, line->peak, line->peak_logprob));
    for (int i = 0; i < SURPRISE_TOP && line->top[i].id >= 0; i++)
        append(top, token_json(print, line->top[i].id, line->top[i].logprob));
    json_add(object, "alternatives", top);
    return object;
}

void review_print_json(const struct review_print *print)
{
    static const char *const drops[] = {[REVIEW_DROP_MALFORMED] = "malformed",
                                        [REVIEW_DROP_RANGE] = "range",
                                        [REVIEW_DROP_DUPLICATE] = "duplicate",
                                        [REVIEW_DROP_SYMBOL] = "symbol"};
    const struct review_result *result = print->result;
    cJSON *object = cJSON_CreateObject(), *findings = cJSON_CreateArray(), *hunks = cJSON_CreateArray();
    cJSON *lines = cJSON_CreateArray(), *dropped = cJSON_CreateObject();
    struct buffer summary = {0};
    json_add_text(object, "base", print->diff->base);
    json_add_text(object, "head", print->diff->head);
    for (size_t i = 0; i < result->n_findings; i++)
        append(findings, finding_json(print, &result->findings[i]));
    json_add(object, "findings", findings);
    for (size_t i = 0; i < result->n_hunks; i++)
        append(hunks, hunk_json(print, i));
    json_add(object, "hunks", hunks);
    for (size_t i = 0; i < result->n_lines && i < (size_t)print->context->settings->unusual; i++)
        append(lines, line_json(print, &result->lines[i]));
    json_add(object, "unusual", lines);
    for (int i = 0; i < REVIEW_N_DROPS; i++)
        json_add_integer(dropped, drops[i], (int64_t)result->dropped[i]);
    json_add(object, "dropped", dropped);
    json_add_integer(object, "dismissed", (int64_t)result->n_dismissed);
    json_add_integer(object, "prompt_tokens", (int64_t)result->n_prompt);
    json_add_integer(object, "reused_tokens", (int64_t)result->n_reused);
    json_add_integer(object, "answer_tokens", (int64_t)result->n_answered);
    json_add(object, "interrupted", cJSON_CreateBool(result->is_interrupted));
    review_summary(print, &summary);
    json_add(object, "summary", json_text(buffer_text(&summary), summary.size));
    buffer_deinit(&summary);
    output_json(print->context->out, object);
}
