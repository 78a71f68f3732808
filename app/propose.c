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

static bool has_secret(const struct diff *diff, const struct diff_file *file)
{
    for (size_t i = 0; i < file->n_hunks; i++) {
        const struct diff_hunk *hunk = &diff->hunks[file->first_hunk + i];
        for (size_t k = 0; k < hunk->n_lines; k++) {
            struct slice text = diff->lines[hunk->first_line + k].text;
            if (repo_skip_of_text("", 0, text.data, text.size) == REPO_SKIP_SECRET)
                return true;
        }
    }
    return false;
}

static bool is_shown(const struct diff *diff, const struct diff_file *file)
{
    const char *path = diff_path(file);
    return file->n_hunks && !file->is_binary && !file->is_large && !file->is_submodule &&
           repo_skip_of_text(path, strlen(path), "", 0) == REPO_KEEP && !has_secret(diff, file);
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

/* "Subject: x", "Commit message: x", "**Commit message:** x". */
static struct slice without_label(struct slice line)
{
    static const char *const labels[] = {"commit message:", "commit subject:", "subject:", "message:", "title:"};
    line = trim(line, " \t\r*#");
    for (size_t i = 0; i < sizeof labels / sizeof *labels; i++) {
        size_t n = strlen(labels[i]);
        if (line.size >= n && strncasecmp(line.data, labels[i], n) == 0)
            return trim((struct slice){line.data + n, line.size - n}, " \t\r*#");
    }
    return line;
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

/* As many words as a line of that width takes; one at least, and if that is too wide, as much of it as there is room for. */
static void append_words(struct buffer *out, struct slice *rest, size_t width)
{
    size_t used = 0;
    for (;;) {
        struct slice ahead = *rest, word = next_word(&ahead);
        size_t n = n_characters(word);
        if (!word.size || (used && used + 1 + n > width))
            return;
        if (!used && n > width) {
            size_t size = 0;
            for (n = 0; size < word.size && (n < width || ((unsigned char)word.data[size] & 0xc0) == 0x80); size++)
                n += ((unsigned char)word.data[size] & 0xc0) != 0x80;
            ahead = (struct slice){word.data + size, (size_t)(rest->data + rest->size - (word.data + size))};
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
            subject = trim(without_label(line), " \t\r\"'`");
        if (subject.size > 2 && (subject.data[0] == '-' || subject.data[0] == '*') && subject.data[1] == ' ')
            subject = trim((struct slice){subject.data + 2, subject.size - 2}, " \t\r\"'`");
    }
    append_words(&made, &subject, PROPOSE_SUBJECT);
    bool wants_apart = true;
    for (size_t n_lines = 0; made.size && rest.size && n_lines < BODY_LINES;) {
        struct slice line = trim(next_line(&rest), " \t\r");
        if (is_fence(line) || (line.size > 10 && memcmp(line.data, "diff --git", 10) == 0))
            break;
        line = trim(line, "#");
        line = trim(line, " \t\r");
        wants_apart = wants_apart || !line.size;
        for (; line.size && n_lines < BODY_LINES; n_lines++) {
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
