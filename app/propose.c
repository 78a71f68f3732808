/* propose: see propose.h. */
#include "app/propose.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "app/turn.h"
#include "repo/repo_head.h"
#include "ui/visible.h"

enum { N_SUBJECTS = 12, BODY_LINES = 12 };

static const char system_text[] =
    "You write the message of a git commit from its diff. Answer with the message alone: one subject line in the "
    "imperative, at most 72 characters, that says what the change does; then, only where the reason isn't plain, an "
    "empty line and one or two sentences of why. No quotation marks, no code, no list of files.";
static const char style_text[] =
    "\n\nThe last messages in this repository; yours takes their language, length and prefixes:";
static const char question_text[] = "Write the commit message for this change.";

/* ---- what goes before the model ---- */

/* The question of a file, asked of the lines that would be shown, whatever the answer. */
static bool has_hidden_line(const struct diff *diff, const struct diff_file *file)
{
    for (size_t i = 0; i < file->n_hunks; i++) {
        const struct diff_hunk *hunk = &diff->hunks[file->first_hunk + i];
        for (size_t k = 0; k < hunk->n_lines; k++) {
            struct slice text = diff->lines[hunk->first_line + k].text;
            if (repo_skip_of_text("", 0, text.data, text.size) != REPO_KEEP)
                return true;
        }
    }
    return false;
}

static bool is_kept_path(const char *path)
{
    return !path || repo_skip_of_text(path, strlen(path), "", 0) == REPO_KEEP;
}

/* A file that is renamed shows lines of what it was. */
static bool is_shown(const struct diff *diff, const struct diff_file *file)
{
    return file->n_hunks && !file->is_binary && !file->is_large && !file->is_submodule &&
           is_kept_path(file->old.path) && is_kept_path(file->new.path) && !has_hidden_line(diff, file);
}

static void append_files(const struct diff *diff, struct buffer *out)
{
    enum { MOST = 40 };
    for (size_t i = 0; i < diff->n_files && i < MOST; i++) {
        const struct diff_file *file = &diff->files[i];
        buffer_printf(out, "%s ", diff_status_name(file->status));
        if (file->status == DIFF_RENAMED || file->status == DIFF_COPIED)
            buffer_printf(out, "%s -> ", file->old.path);
        buffer_printf(out, "%s +%u -%u\n", diff_path(file), file->n_added, file->n_deleted);
    }
    if (diff->n_files > MOST)
        buffer_printf(out, "and %zu more files\n", diff->n_files - MOST);
}

static enum status make_prompt(const struct propose_request *request, struct buffer *system, struct buffer *question,
                               struct buffer *patch, struct error *error)
{
    struct buffer subjects = {0};
    enum status status = repo_recent_subjects(request->repo, N_SUBJECTS, &subjects, error);
    buffer_append_text(system, system_text);
    if (subjects.size)
        buffer_printf(system, "%s\n%s", style_text, buffer_text(&subjects));
    buffer_printf(question, "%s\n\n", question_text);
    append_files(request->staged, question);
    for (size_t i = 0; i < request->staged->n_files; i++)
        if (is_shown(request->staged, &request->staged->files[i]))
            diff_print_file(request->staged, i, patch);
    buffer_deinit(&subjects);
    if (!status)
        status = buffer_status(system, error);
    if (!status)
        status = buffer_status(question, error);
    return status ? status : buffer_status(patch, error);
}

/* ---- the model ---- */

static void take_notice(void *context, const struct turn_notice *notice)
{
    const struct propose_request *request = context;
    if (request->on_notice)
        request->on_notice(request->context, notice->text);
}

static enum status ask(const struct propose_request *request, struct conversation *conversation, struct error *error)
{
    struct sampler *sampler = NULL;
    struct turn_result result = {0};
    struct turn_options options = {.n_predict = request->n_predict < 0 ? PROPOSE_TOKENS : request->n_predict,
                                   .strict = request->strict,
                                   .cancel = request->cancel,
                                   .on_notice = take_notice,
                                   .context = (void *)request};
    enum status status = sampler_new(&request->sampling, engine_n_vocab(request->engine), &sampler, error);
    if (!status)
        status = turn_run(request->engine, request->session, sampler, conversation, &options, &result, error);
    sampler_free(sampler);
    if (!status && result.stop == TURN_CANCELLED)
        return error_set(error, STATUS_CANCELLED, "interrupted");
    return status;
}

/* Small models say again what they were told. */
static bool is_echo(const struct buffer *answer)
{
    enum { FIRST = 24 };
    char first[FIRST + 1] = {0};
    const char *text = buffer_text(answer);
    memcpy(first, text + strspn(text, " \n\"*#-"), strnlen(text + strspn(text, " \n\"*#-"), FIRST));
    return strlen(first) == FIRST &&
           (strstr(system_text, first) || strstr(style_text, first) || strstr(question_text, first));
}

enum status propose_message(const struct propose_request *request, struct buffer *out, struct error *error)
{
    struct conversation conversation = {0};
    struct buffer system = {0}, question = {0}, patch = {0};
    enum status status = make_prompt(request, &system, &question, &patch, error);
    if (!status)
        status = conversation_set_system(&conversation, buffer_text(&system), system.size, error);
    if (!status)
        status = conversation_ask(&conversation, (struct slice){buffer_text(&question), question.size},
                                  (struct slice){buffer_text(&patch), patch.size}, error);
    if (!status)
        status = ask(request, &conversation, error);
    const struct conversation_message *answer = status ? NULL : conversation_last_answer(&conversation);
    if (answer && !is_echo(&answer->text))
        propose_clean(buffer_text(&answer->text), answer->text.size, out);
    if (!status)
        status = buffer_status(out, error);
    if (!status && !out->size)
        status = error_set(error, STATUS_NOT_FOUND, "the model proposed no message");
    buffer_deinit(&system);
    buffer_deinit(&question);
    buffer_deinit(&patch);
    conversation_deinit(&conversation);
    return status;
}

/* ---- what it said ---- */

static struct slice next_line(struct slice *rest)
{
    const char *end = rest->size ? memchr(rest->data, '\n', rest->size) : NULL;
    size_t size = end ? (size_t)(end - rest->data) : rest->size;
    struct slice line = {rest->data, size};
    size_t taken = size + (end != NULL);
    rest->data += taken;
    rest->size -= taken;
    return line;
}

static struct slice trim(struct slice text, const char *bytes)
{
    while (text.size && memchr(bytes, text.data[0], strlen(bytes)))
        text.data++, text.size--;
    while (text.size && memchr(bytes, text.data[text.size - 1], strlen(bytes)))
        text.size--;
    return text;
}

static struct slice without(struct slice text, size_t n_front, size_t n_end)
{
    return (struct slice){text.data + n_front, text.size - n_front - n_end};
}

/* Blanks at both ends, and '#' in front, where git would take the line for a comment; "C#" keeps its own. */
static struct slice trim_line(struct slice line)
{
    line = trim(line, " \t\r");
    while (line.size && strchr("# \t\r", *line.data))
        line = without(line, 1, 0);
    return line;
}

static size_t n_alike(struct slice text, char byte)
{
    size_t n = 0;
    while (n < text.size && text.data[n] == byte)
        n++;
    return n;
}

static bool is_blank(char byte)
{
    return byte == ' ' || byte == '\t';
}

static bool is_letter(char byte)
{
    return ((unsigned char)byte & 0x80) || (byte >= '0' && byte <= '9') ||
           ((byte | 0x20) >= 'a' && (byte | 0x20) <= 'z');
}

/* Whether what stands within a pair of marks is all of one quotation: 'foo' to 'bar' is not.  The next mark would have to open
 * another one; an apostrophe does neither. */
static bool is_one_quotation(struct slice inner, char mark)
{
    for (size_t i = 0; i < inner.size; i++) {
        if (inner.data[i] != mark)
            continue;
        bool is_behind = i > 0 && is_letter(inner.data[i - 1]);
        if (mark == '\'' && is_behind && i + 1 < inner.size && is_letter(inner.data[i + 1]))
            continue;
        return i > 0 && is_blank(inner.data[i - 1]) && i + 1 < inner.size && !is_blank(inner.data[i + 1]);
    }
    return true;
}

/* Quotes and emphasis, where they are a pair around all of it: '"x"', "**x**". */
static struct slice without_pair(struct slice line)
{
    char mark = line.size ? *line.data : 0;
    if (!mark || !strchr("\"'`*", mark))
        return line;
    size_t n = mark == '*' || mark == '`' ? n_alike(line, mark) : 1, n_end = 0;
    while (n_end < n && n_end < line.size && line.data[line.size - 1 - n_end] == mark)
        n_end++;
    if (n_end < n || line.size <= 2 * n)
        return line;
    struct slice inner = without(line, n, n);
    return is_blank(*inner.data) || !is_one_quotation(inner, mark) ? line : inner;
}

/* "Subject: x", "Commit message: x", "**Commit message:** x". */
static struct slice without_label(struct slice line)
{
    static const char *const labels[] = {"commit message:", "commit subject:", "subject:", "message:", "title:"};
    size_t n_marks = n_alike(line, '*');
    struct slice text = without(line, n_marks, 0);
    for (size_t i = 0; i < sizeof labels / sizeof *labels; i++) {
        size_t n = strlen(labels[i]);
        if (text.size < n || strncasecmp(text.data, labels[i], n) != 0)
            continue;
        text = without(text, n, 0);
        return n_alike(text, '*') >= n_marks ? without(text, n_marks, 0) : text;
    }
    return line;
}

/* A line as a subject: what stands around it goes, from without to within. */
static struct slice subject_of(struct slice line)
{
    size_t before;
    do {
        before = line.size;
        line = trim_line(line);
        if (line.size > 2 && (*line.data == '-' || *line.data == '*') && line.data[1] == ' ')
            line = without(line, 2, 0);
        line = without_label(without_pair(line));
    } while (line.size < before);
    return trim(line, " \t\r*#\"'`").size ? line : (struct slice){"", 0}; /* marks alone say nothing */
}

static bool is_fence(struct slice line)
{
    return line.size >= 3 && (memcmp(line.data, "```", 3) == 0 || memcmp(line.data, "~~~", 3) == 0);
}

static size_t n_characters(struct slice text)
{
    size_t n = 0;
    for (size_t i = 0; i < text.size; i++)
        n += ((unsigned char)text.data[i] & 0xc0) != 0x80;
    return n;
}

static struct slice next_word(struct slice *rest)
{
    *rest = trim(*rest, " \t\r");
    size_t n = 0;
    while (n < rest->size && rest->data[n] != ' ' && rest->data[n] != '\t')
        n++;
    struct slice word = {rest->data, n};
    rest->data += n;
    rest->size -= n;
    return word;
}

/* The next word, with those behind it that begin with '#': at the beginning of a line they would be comments to git. */
static size_t n_kept_together(struct slice rest)
{
    size_t n = n_characters(next_word(&rest));
    for (struct slice word = next_word(&rest); word.size && *word.data == '#'; word = next_word(&rest))
        n += 1 + n_characters(word);
    return n;
}

/* As many words as a line of that width takes; one at least, and if that is too wide, as much of it as there is room for. */
static void append_words(struct buffer *out, struct slice *rest, size_t width)
{
    size_t used = 0;
    for (;;) {
        struct slice ahead = *rest, word = next_word(&ahead);
        size_t n = n_characters(word);
        if (!word.size || (used && used + 1 + (*word.data == '#' ? n : n_kept_together(*rest)) > width))
            return;
        if (!used && n > width) {
            size_t size = 0;
            for (n = 0; size < word.size && (n < width || ((unsigned char)word.data[size] & 0xc0) == 0x80); size++)
                n += ((unsigned char)word.data[size] & 0xc0) != 0x80;
            ahead = without(*rest, (size_t)(word.data + size - rest->data), 0);
            word.size = size;
        }
        if (used)
            buffer_append_byte(out, ' ');
        buffer_append(out, word.data, word.size);
        used += n + (used != 0);
        *rest = ahead;
    }
}

void propose_clean(const char *text, size_t size, struct buffer *out)
{
    struct buffer plain = {0}, visible = {0}, made = {0};
    for (size_t i = 0; i < size; i++)
        if (text[i] != '\r')
            buffer_append_byte(&plain, text[i]);
    visible_append(&visible, buffer_text(&plain), plain.size, false);
    made.failed = plain.failed;
    buffer_deinit(&plain);
    struct slice rest = {buffer_text(&visible), visible.size}, subject = {"", 0};
    while (rest.size && !subject.size) {
        struct slice line = next_line(&rest);
        if (!is_fence(trim(line, " \t\r")))
            subject = subject_of(line);
    }
    append_words(&made, &subject, PROPOSE_SUBJECT);
    bool wants_apart = true;
    for (size_t n_lines = 0; made.size && rest.size && n_lines < BODY_LINES;) {
        struct slice line = trim(next_line(&rest), " \t\r");
        if (is_fence(line) || (line.size > 10 && memcmp(line.data, "diff --git", 10) == 0))
            break;
        line = trim_line(line);
        wants_apart = wants_apart || !line.size;
        /* Where what belongs together is wider than a line, the rest may begin with '#' all the same. */
        for (; line.size && n_lines < BODY_LINES; n_lines++, line = trim_line(line)) {
            buffer_append_text(&made, wants_apart ? "\n\n" : "\n");
            wants_apart = false;
            append_words(&made, &line, PROPOSE_LINE);
        }
    }
    if (made.size)
        buffer_append_byte(&made, '\n');
    buffer_append(out, buffer_text(&made), made.size);
    out->failed = out->failed || made.failed || visible.failed;
    buffer_deinit(&made);
    buffer_deinit(&visible);
}
