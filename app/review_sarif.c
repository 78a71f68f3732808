/* review_sarif: a review as SARIF 2.1.0 (OASIS), one run, a rule for each severity.  Sections named below are the standard's. */
#include "app/review_print.h"

#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

static void append(cJSON *list, cJSON *item)
{
    if (!cJSON_AddItemToArray(list, item))
        cJSON_Delete(item);
}

static const char *level_of(enum review_severity severity)
{
    return severity <= REVIEW_HIGH ? "error" : severity == REVIEW_MEDIUM ? "warning" : "note";
}

static cJSON *message(const char *text)
{
    cJSON *object = cJSON_CreateObject();
    json_add(object, "text", json_text(text, strlen(text)));
    return object;
}

/* A relative reference (RFC 3986): all bytes but unreserved ones and '/' are escaped. */
static void append_uri(struct buffer *out, const char *path)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~/";
    for (; *path; path++)
        if (strchr(plain, *path))
            buffer_append_byte(out, *path);
        else
            buffer_printf(out, "%%%02X", (unsigned)(unsigned char)*path);
}

static cJSON *rules(void)
{
    cJSON *list = cJSON_CreateArray();
    for (int i = 0; i < REVIEW_N_SEVERITIES; i++) {
        cJSON *rule = cJSON_CreateObject(), *configuration = cJSON_CreateObject();
        const char *name = review_severity_name((enum review_severity)i);
        struct buffer text = {0};
        json_add_text(rule, "id", name);
        buffer_printf(&text, "What a language model takes for a defect of %s severity; it may be wrong.", name);
        json_add(rule, "shortDescription", message(buffer_text(&text)));
        json_add_text(configuration, "level", level_of((enum review_severity)i));
        json_add(rule, "defaultConfiguration", configuration);
        append(list, rule);
        buffer_deinit(&text);
    }
    return list;
}

/* 3.28: physicalLocation.  What was removed lies in a file as it was, so that only the file is named. */
static cJSON *location(const struct review_print *print, const struct review_finding *finding)
{
    cJSON *object = cJSON_CreateObject(), *physical = cJSON_CreateObject(), *artifact = cJSON_CreateObject();
    struct buffer uri = {0};
    append_uri(&uri, diff_path(&print->diff->files[print->diff->hunks[finding->hunk].file]));
    json_add(artifact, "uri", json_text(buffer_text(&uri), uri.size));
    json_add_text(artifact, "uriBaseId", "%SRCROOT%");
    json_add(physical, "artifactLocation", artifact);
    if (!finding->is_old) {
        cJSON *region = cJSON_CreateObject();
        json_add_integer(region, "startLine", finding->line);
        json_add_integer(region, "endLine", finding->end_line);
        json_add(physical, "region", region);
    }
    json_add(object, "physicalLocation", physical);
    buffer_deinit(&uri);
    return object;
}

/* 3.27: result */
static cJSON *result_of(const struct review_print *print, const struct review_finding *finding)
{
    cJSON *object = cJSON_CreateObject(), *locations = cJSON_CreateArray(), *prints = cJSON_CreateObject();
    cJSON *properties = cJSON_CreateObject();
    struct buffer text = {0};
    buffer_printf(&text, "%s%s%s", finding->title, *finding->detail ? ": " : "", finding->detail);
    json_add_text(object, "ruleId", review_severity_name(finding->severity));
    json_add_integer(object, "ruleIndex", finding->severity);
    json_add_text(object, "level", level_of(finding->severity));
    json_add(object, "message", message(buffer_text(&text)));
    append(locations, location(print, finding));
    json_add(object, "locations", locations);
    json_add_text(prints, "fathomFinding/v1", finding->id);
    json_add(object, "partialFingerprints", prints);
    json_add_real(object, "rank", 100 * finding->confidence, 2);
    json_add_real(properties, "confidence", finding->confidence, 4);
    json_add_text(properties, "hunk", print->diff->hunks[finding->hunk].id);
    json_add(object, "properties", properties);
    buffer_deinit(&text);
    return object;
}

static cJSON *invocations(const struct review_print *print)
{
    cJSON *list = cJSON_CreateArray(), *invocation = cJSON_CreateObject();
    struct buffer summary = {0};
    review_summary(print, &summary);
    json_add(invocation, "executionSuccessful", cJSON_CreateBool(!print->result->is_interrupted));
    cJSON *notes = cJSON_CreateArray(), *note = cJSON_CreateObject();
    json_add_text(note, "level", print->result->is_interrupted ? "error" : "note");
    json_add(note, "message", message(buffer_text(&summary)));
    append(notes, note);
    json_add(invocation, "toolExecutionNotifications", notes);
    append(list, invocation);
    buffer_deinit(&summary);
    return list;
}

void review_print_sarif(const struct review_print *print)
{
    cJSON *log = cJSON_CreateObject(), *runs = cJSON_CreateArray(), *run = cJSON_CreateObject();
    cJSON *tool = cJSON_CreateObject(), *driver = cJSON_CreateObject(), *results = cJSON_CreateArray();
    json_add_text(log, "$schema", "https://json.schemastore.org/sarif-2.1.0.json");
    json_add_text(log, "version", "2.1.0");
    json_add_text(driver, "name", "fathom");
    json_add_text(driver, "semanticVersion", FATHOM_VERSION);
    json_add(driver, "rules", rules());
    json_add(tool, "driver", driver);
    json_add(run, "tool", tool);
    json_add(run, "invocations", invocations(print));
    for (size_t i = 0; i < print->result->n_findings; i++)
        append(results, result_of(print, &print->result->findings[i]));
    json_add(run, "results", results);
    append(runs, run);
    json_add(log, "runs", runs);
    output_json(print->context->out, log);
}
