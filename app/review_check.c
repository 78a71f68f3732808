/* review_check: whether a finding may be shown: its form, its lines, the names that it holds, and that it is new. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/json_read.h"
#include "app/review_private.h"
#include "app/sha256.h"

enum { NAME_MOST = 200 };

const char *review_severity_name(enum review_severity severity)
{
    static const char *const names[] = {
        [REVIEW_CRITICAL] = "critical", [REVIEW_HIGH] = "high", [REVIEW_MEDIUM] = "medium", [REVIEW_LOW] = "low"};
    return names[severity];
}

const char *review_drop_name(enum review_drop drop)
{
    static const char *const names[] = {[REVIEW_DROP_MALFORMED] = "malformed",
                                        [REVIEW_DROP_RANGE] = "out of range",
                                        [REVIEW_DROP_DUPLICATE] = "duplicate",
                                        [REVIEW_DROP_SYMBOL] = "unknown symbol"};
    return names[drop];
}

/* ---- form and lines ---- */

static bool has_word(const char *text)
{
    for (; *text; text++)
        if (isalnum((unsigned char)*text) || (*text & 0x80))
            return true;
    return false;
}

static size_t n_characters(const char *text)
{
    size_t n = 0;
    for (; *text; text++)
        n += ((unsigned char)*text & 0xc0) != 0x80;
    return n;
}

/* A copy without line ends and blanks around. */
static const char *copy_line(struct arena *arena, const char *text)
{
    size_t size = strlen(text);
    while (size && isspace((unsigned char)*text))
        text++, size--;
    while (size && isspace((unsigned char)text[size - 1]))
        size--;
    char *copy = arena_copy_text(arena, text, size);
    for (char *at = copy; at && *at; at++)
        if (*at == '\n' || *at == '\r' || *at == '\t')
            *at = ' ';
    return copy;
}

static bool read_severity(const char *word, enum review_severity *out)
{
    for (int i = 0; i < REVIEW_N_SEVERITIES; i++)
        if (strcmp(word, review_severity_name((enum review_severity)i)) == 0) {
            *out = (enum review_severity)i;
            return true;
        }
    return false;
}

static bool read_symbols(const cJSON *object, struct arena *arena, struct review_said *out)
{
    const cJSON *list = NULL, *item;
    if (json_get_array(object, "symbols", &list, NULL) != STATUS_OK || !list || !list->child ||
        cJSON_GetArraySize(list) > REVIEW_SYMBOLS_MOST)
        return false;
    cJSON_ArrayForEach(item, list)
    {
        if (!cJSON_IsString(item) || !*item->valuestring || strlen(item->valuestring) > NAME_MOST)
            return false;
        out->symbols[out->n_symbols] = copy_line(arena, item->valuestring);
        if (!out->symbols[out->n_symbols++])
            return false;
    }
    return true;
}

static bool read_fields(const cJSON *object, struct arena *arena, struct review_said *out, int64_t *line,
                        int64_t *end_line)
{
    const char *severity = NULL, *title = NULL, *detail = "";
    if (!cJSON_IsObject(object) || json_get_text(object, "severity", &severity, NULL) != STATUS_OK || !severity ||
        json_get_text(object, "title", &title, NULL) != STATUS_OK || !title ||
        json_get_text(object, "detail", &detail, NULL) != STATUS_OK || !json_field(object, "line") ||
        json_get_integer(object, "line", INT64_MIN, INT64_MAX, line, NULL) != STATUS_OK)
        return false;
    *end_line = *line;
    if (json_get_integer(object, "end_line", INT64_MIN, INT64_MAX, end_line, NULL) != STATUS_OK ||
        !read_severity(severity, &out->severity) || !has_word(title) || n_characters(title) > REVIEW_TITLE_MOST ||
        n_characters(detail) > REVIEW_DETAIL_MOST || !read_symbols(object, arena, out))
        return false;
    out->title = copy_line(arena, title);
    out->detail = copy_line(arena, detail);
    return out->title && out->detail;
}

enum status review_read_said(const char *text, size_t size, uint32_t first, uint32_t last, struct arena *arena,
                             struct review_said *out, enum review_drop *drop)
{
    cJSON *object = NULL;
    int64_t line = 0, end_line = 0;
    *out = (struct review_said){0};
    *drop = REVIEW_DROP_MALFORMED;
    enum status status = json_read(text, size, &object, NULL);
    if (status == STATUS_MEMORY)
        return status;
    bool is_right = !status && read_fields(object, arena, out, &line, &end_line);
    cJSON_Delete(object);
    if (!is_right)
        return STATUS_FORMAT;
    *drop = REVIEW_DROP_RANGE;
    if (line < first || end_line > last || line > end_line)
        return STATUS_FORMAT;
    out->line = (uint32_t)line;
    out->end_line = (uint32_t)end_line;
    return STATUS_OK;
}

/* ---- names ---- */

static bool is_name_byte(char c)
{
    return isalnum((unsigned char)c) || c == '_' || (c & 0x80);
}

/* Whether the text has the name as a whole word. */
static bool text_has(struct slice text, const char *name, size_t size)
{
    for (const char *at = text.data, *end = text.data + text.size; at < end;) {
        const char *found = memmem(at, (size_t)(end - at), name, size);
        if (!found)
            return false;
        if ((found == text.data || !is_name_byte(found[-1])) && (found + size == end || !is_name_byte(found[size])))
            return true;
        at = found + 1;
    }
    return false;
}

static bool diff_has(const struct diff *diff, const char *name, size_t size)
{
    for (size_t i = 0; i < diff->n_lines; i++)
        if (text_has(diff->lines[i].text, name, size))
            return true;
    for (size_t i = 0; i < diff->n_hunks; i++)
        if (text_has(diff->hunks[i].function, name, size))
            return true;
    for (size_t i = 0; i < diff->n_files; i++)
        if (text_has(slice_from(diff_path(&diff->files[i])), name, size))
            return true;
    return false;
}

/* One name, without dots. */
static bool exists(const struct review *review, const char *name, size_t size)
{
    char word[NAME_MOST + 1];
    struct index_definitions found = {0};
    if (size > NAME_MOST)
        return false;
    if (diff_has(review->diff, name, size))
        return true;
    if (!review->request->project)
        return false;
    memcpy(word, name, size);
    word[size] = 0;
    bool is_there =
        index_definitions(review->request->project->index, word, NULL, 1, &found, NULL) == STATUS_OK && found.n > 0;
    index_definitions_deinit(&found);
    return is_there;
}

/* Every word of it: of "self.items.append()" all three.  What has no word but numbers is no name. */
static bool all_exist(const struct review *review, struct slice text)
{
    size_t n = 0;
    for (size_t at = 0; at < text.size;) {
        size_t begin = at;
        while (at < text.size && is_name_byte(text.data[at]))
            at++;
        if (at > begin) {
            bool is_number = isdigit((unsigned char)text.data[begin]);
            n += !is_number;
            if (!is_number && !exists(review, text.data + begin, at - begin))
                return false;
        }
        at += at == begin;
    }
    return n > 0;
}

/* Names in a sentence: what stands in backquotes without a blank, and what a call's bracket follows. */
static bool sentence_is_true(const struct review *review, const char *text)
{
    for (const char *at = text; *at; at++) {
        const char *begin = at;
        if (*at == '`') {
            size_t size = strcspn(at + 1, "`");
            struct slice quoted = {at + 1, size};
            if (!at[1 + size])
                return true;
            if (size && !memchr(quoted.data, ' ', size) && is_name_byte(*quoted.data) && !all_exist(review, quoted))
                return false;
            at += 1 + size;
            continue;
        }
        while (is_name_byte(*at))
            at++;
        if (at > begin && *at == '(' && at[1] == ')' && !all_exist(review, (struct slice){begin, (size_t)(at - begin)}))
            return false;
        at -= at > begin;
    }
    return true;
}

static bool names_exist(const struct review *review, const struct review_said *said)
{
    for (size_t i = 0; i < said->n_symbols; i++)
        if (!all_exist(review, slice_from(said->symbols[i])))
            return false;
    return sentence_is_true(review, said->title) && sentence_is_true(review, said->detail);
}

/* ---- identity ---- */

void review_hash(const char *const *texts, size_t n, char out[REVIEW_ID_SIZE + 1])
{
    struct sha256 hash;
    uint8_t bytes[SHA256_SIZE];
    sha256_init(&hash);
    for (size_t i = 0; i < n; i++)
        sha256_add(&hash, texts[i], strlen(texts[i]) + 1);
    sha256_end(&hash, bytes);
    for (size_t i = 0; i < REVIEW_ID_SIZE / 2; i++)
        snprintf(out + 2 * i, 3, "%02x", bytes[i]);
}

/* Letters and digits alone, in one case: what two titles have in common that say the same. */
static void normalise(const char *text, struct buffer *out)
{
    for (; *text; text++)
        if (is_name_byte(*text))
            buffer_append_byte(out, (char)tolower((unsigned char)*text));
}

static bool says_the_same(const char *a, const char *b)
{
    struct buffer x = {0}, y = {0};
    normalise(a, &x);
    normalise(b, &y);
    bool is_same = x.size == y.size && memcmp(buffer_text(&x), buffer_text(&y), x.size) == 0;
    buffer_deinit(&x);
    buffer_deinit(&y);
    return is_same;
}

/* The same title in the same file, or the same lines with the same explanation. */
static bool is_duplicate(const struct review *review, size_t hunk, const struct review_said *said)
{
    const struct diff *diff = review->diff;
    for (size_t i = 0; i < review->out->n_findings; i++) {
        const struct review_finding *other = &review->out->findings[i];
        if (diff->hunks[other->hunk].file != diff->hunks[hunk].file)
            continue;
        if (says_the_same(other->title, said->title) ||
            (other->hunk == hunk && other->line == said->line && other->end_line == said->end_line &&
             says_the_same(other->detail, said->detail)))
            return true;
    }
    return false;
}

static void make_id(const struct diff_hunk *hunk, const struct review_said *said, uint32_t first,
                    char out[REVIEW_ID_SIZE + 1])
{
    char lines[32];
    struct buffer title = {0};
    normalise(said->title, &title);
    snprintf(lines, sizeof lines, "%u %u", said->line - first, said->end_line - first);
    review_hash((const char *const[]){hunk->id, lines, buffer_text(&title)}, 3, out);
    buffer_deinit(&title);
}

/* ---- the whole ---- */

static bool is_dismissed(const struct review *review, const char *id)
{
    const char *at = buffer_text(&review->dismissed);
    while ((at = strstr(at, id)) != NULL) {
        if ((at == review->dismissed.data || at[-1] == '\n') && (!at[REVIEW_ID_SIZE] || at[REVIEW_ID_SIZE] == '\n'))
            return true;
        at++;
    }
    return false;
}

static enum status add_finding(struct review *review, const struct review_finding *finding)
{
    struct review_result *out = review->out;
    if (out->n_findings == review->n_findings_room) {
        size_t room = review->n_findings_room ? 2 * review->n_findings_room : 16;
        struct review_finding *findings = realloc(out->findings, room * sizeof *findings);
        if (!findings)
            return error_set(review->error, STATUS_MEMORY, "out of memory");
        out->findings = findings;
        review->n_findings_room = room;
    }
    out->findings[out->n_findings++] = *finding;
    return STATUS_OK;
}

enum status review_check(struct review *review, size_t hunk, const char *text, size_t size, double confidence)
{
    struct review_result *out = review->out;
    const struct diff_hunk *about = &review->diff->hunks[hunk];
    struct review_finding finding = {.hunk = (uint32_t)hunk, .confidence = confidence};
    struct review_said said;
    enum review_drop drop;
    uint32_t first, last;
    finding.is_old = review_shown_range(review, hunk, &first, &last);
    enum status status = review_read_said(text, size, first, last, &out->arena, &said, &drop);
    if (status == STATUS_MEMORY)
        return error_set(review->error, status, "out of memory");
    if (!status && is_duplicate(review, hunk, &said)) {
        drop = REVIEW_DROP_DUPLICATE;
        status = STATUS_FORMAT;
    } else if (!status && !names_exist(review, &said)) {
        drop = REVIEW_DROP_SYMBOL;
        status = STATUS_FORMAT;
    }
    if (status) {
        out->dropped[drop]++;
        return STATUS_OK;
    }
    make_id(about, &said, first, finding.id);
    if (is_dismissed(review, finding.id)) {
        out->n_dismissed++;
        return STATUS_OK;
    }
    finding.line = said.line;
    finding.end_line = said.end_line;
    finding.severity = said.severity;
    finding.title = said.title;
    finding.detail = said.detail;
    return add_finding(review, &finding);
}
