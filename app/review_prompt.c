/* review_prompt: what the model is shown of a hunk, within a budget of tokens.
 *
 *   system   what to look for
 *   user     the change as a whole, as far as three eighths of the budget go   ┐ the same for all hunks: evaluated once
 *            the hunk, its lines with their numbers                            ┘ differs from here on
 *            the enclosing function after the change, and before it
 *            callers of what is changed · definitions of what is used
 *            the question
 *   answer   {"findings":[                                                       the model goes on here
 *
 * Pieces are taken in that order while they fit; what is too long for what is left is cut to its first lines, or left out. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/review_private.h"

static const char system_text[] =
    "You review changes to code before they are committed. You name defects that a change brings in: wrong results, "
    "crashes, leaks, races, security holes, broken callers. You say nothing about style. Most changes are fine: then "
    "the list of findings is empty.";

/* In words: a small model copies the texts of an example into its answer. */
static const char question_text[] =
    "\nWhich defects do the added or removed lines of this hunk bring in? Answer as JSON with a list of findings. Each "
    "has its severity (critical, high, medium or low), the numbers of its first and last line, a title of a few words, "
    "a detail that says why it is wrong and when that shows, and the symbols of the code that it is about. A hunk "
    "without defects gets an empty list: {\"findings\":[]}.";

static const char answer_text[] = "{\"findings\":[";

enum {
    CALLERS_MOST = 4,
    CALLER_NAMES_MOST = 3,
    DEFINITIONS_MOST = 6,
    LINE_MOST = 400, /* bytes of a line that are shown */
    FILE_BYTES = 1 << 20,
    PARSE_MS = 500,
};

struct prompt {
    struct review *review;
    size_t hunk;
    struct buffer text; /* of the user's message */
    size_t left;        /* tokens */
    size_t n_added;     /* bytes of the text that was added last */
    struct review_side old, new;
    struct arena arena;
};

/* ---- budget ---- */

static enum status count(const struct review *review, const char *text, size_t size, size_t *n)
{
    struct tokens tokens = {0};
    enum status status = engine_tokenize(review->request->engine, text, size, ENGINE_NO_PREFIX, &tokens, review->error);
    *n = tokens.n;
    tokens_deinit(&tokens);
    return status;
}

/* How much of a text whole lines of at most so many tokens are; *n what they cost. */
static enum status fit_lines(const struct review *review, struct slice text, size_t most, size_t *size, size_t *n)
{
    enum { TOKEN_MOST = 16 }; /* bytes of a token, mostly: what lies beyond needn't be counted */
    if (text.size / TOKEN_MOST > most) {
        const char *newline = memrchr(text.data, '\n', TOKEN_MOST * most);
        text.size = newline ? (size_t)(newline + 1 - text.data) : 0;
    }
    *size = text.size;
    enum status status = *size ? count(review, text.data, *size, n) : STATUS_OK;
    if (!*size)
        *n = 0;
    while (!status && *n > most && *size) {
        size_t wanted = *size * most / *n;
        const char *newline = wanted ? memrchr(text.data, '\n', wanted) : NULL;
        *size = newline ? (size_t)(newline + 1 - text.data) : 0;
        *n = 0;
        if (*size)
            status = count(review, text.data, *size, n);
    }
    return status;
}

/* Appends heading and text as far as they fit; nothing where less than least bytes of the text would. */
static enum status add(struct prompt *prompt, const char *heading, struct slice text, size_t most, size_t least)
{
    size_t n_heading, size, n;
    prompt->n_added = 0;
    enum status status = count(prompt->review, heading, strlen(heading), &n_heading);
    if (most > prompt->left)
        most = prompt->left;
    if (status || n_heading + 2 >= most || !text.size)
        return status;
    status = fit_lines(prompt->review, text, most - n_heading - 2, &size, &n);
    if (status || size < least || !size)
        return status;
    buffer_append_text(&prompt->text, heading);
    buffer_append(&prompt->text, text.data, size);
    if (text.data[size - 1] != '\n')
        buffer_append_byte(&prompt->text, '\n');
    if (size < text.size)
        buffer_append_text(&prompt->text, "...\n");
    prompt->n_added = size;
    n += n_heading + 2;
    prompt->left -= n < prompt->left ? n : prompt->left;
    return buffer_status(&prompt->text, prompt->review->error);
}

/* ---- the change ---- */

static void append_line(struct buffer *out, struct slice text)
{
    size_t size = text.size;
    while (size && (text.data[size - 1] == '\n' || text.data[size - 1] == '\r'))
        size--;
    if (size > LINE_MOST) {
        for (size = LINE_MOST; size && ((unsigned char)text.data[size] & 0xc0) == 0x80;)
            size--;
        buffer_append(out, text.data, size);
        buffer_append_text(out, "...\n");
        return;
    }
    buffer_append(out, text.data, size);
    buffer_append_byte(out, '\n');
}

static void write_change(const struct review *review, struct buffer *text)
{
    const struct diff *diff = review->diff;
    uint32_t last = UINT32_MAX;
    for (size_t i = 0; i < diff->n_hunks; i++) {
        const struct diff_hunk *hunk = &diff->hunks[i];
        if (review->out->hunks[i].state == REVIEW_SKIPPED)
            continue;
        if (hunk->file != last)
            buffer_printf(text, "--- %s\n", diff_path(&diff->files[hunk->file]));
        last = hunk->file;
        buffer_printf(text, "@@ -%u,%u +%u,%u @@\n", hunk->old_start, hunk->old_n, hunk->new_start, hunk->new_n);
        for (uint32_t k = 0; k < hunk->n_lines && text->size <= 64 * review->budget; k++) {
            const struct diff_line *line = &diff->lines[hunk->first_line + k];
            if (line->kind == DIFF_CONTEXT)
                continue;
            buffer_append_byte(text, (char)line->kind);
            append_line(text, line->text);
        }
        if (text->size > 64 * review->budget) /* more than will ever fit */
            break;
    }
}

/* The same for all hunks, so written and counted once. */
static enum status add_change(struct prompt *prompt)
{
    struct review *review = prompt->review;
    struct buffer text = {0};
    enum status status = STATUS_OK;
    if (!review->has_change) {
        size_t before = prompt->left;
        write_change(review, &text);
        status = buffer_status(&text, review->error);
        size_t most = review->budget * 3 / 8 < prompt->left / 3 ? review->budget * 3 / 8 : prompt->left / 3;
        if (!status) /* the hunk itself comes after it, and matters more */
            status = add(prompt, "The change as a whole:\n", (struct slice){buffer_text(&text), text.size}, most, 1);
        buffer_deinit(&text);
        review->change_cost = before - prompt->left;
        review->has_change = !status;
        buffer_append(&review->change, buffer_text(&prompt->text), prompt->text.size);
        return status ? status : buffer_status(&review->change, review->error);
    }
    buffer_append(&prompt->text, buffer_text(&review->change), review->change.size);
    prompt->left -= review->change_cost;
    return status;
}

static enum status add_hunk(struct prompt *prompt)
{
    const struct review *review = prompt->review;
    const struct diff_hunk *hunk = &review->diff->hunks[prompt->hunk];
    struct buffer text = {0}, heading = {0};
    uint32_t first, last;
    bool is_old = review_hunk_range(hunk, &first, &last);
    for (uint32_t i = 0; i < hunk->n_lines && text.size <= 64 * review->budget; i++) {
        const struct diff_line *line = &review->diff->lines[hunk->first_line + i];
        uint32_t number = is_old ? line->old_line : line->new_line;
        if (number)
            buffer_printf(&text, "%5u %c", number, (char)line->kind);
        else
            buffer_printf(&text, "      %c", (char)line->kind);
        append_line(&text, line->text);
    }
    buffer_printf(&heading, "\nA hunk of %s, its lines with their numbers in the %s file:\n",
                  diff_path(&review->diff->files[hunk->file]), is_old ? "old" : "new");
    struct slice slice = {buffer_text(&text), text.size};
    enum status status = buffer_status(&text, review->error);
    if (!status)
        status = add(prompt, buffer_text(&heading), slice, review->budget * 5 / 8, 1);
    uint32_t *n_shown = &review->out->hunks[prompt->hunk].n_shown;
    *n_shown = 0;
    for (size_t i = 0; !status && i < prompt->n_added; i++)
        *n_shown += slice.data[i] == '\n';
    buffer_deinit(&text);
    buffer_deinit(&heading);
    return status;
}

/* ---- what encloses it ---- */

static bool encloses(enum tag_kind kind)
{
    return kind == TAG_FUNCTION || kind == TAG_METHOD || kind == TAG_CLASS || kind == TAG_STRUCT || kind == TAG_MACRO;
}

/* The innermost function or type that holds a line of a side; is_there false where there is none. */
struct enclosing {
    bool is_there;
    uint32_t line, end_line; /* in the file */
    const char *name;
};

static enum status find_enclosing(struct prompt *prompt, const struct review_side *side, const char *path,
                                  uint32_t line, struct enclosing *out)
{
    struct review *review = prompt->review;
    struct syntax_result result;
    *out = (struct enclosing){0};
    if (!review->syntax || !side->text.size || side->text.size > FILE_BYTES || line < side->first_line)
        return STATUS_OK;
    int language = language_of(path, side->text.data, side->text.size);
    enum status status = syntax_read(review->syntax, language, side->text.data, side->text.size,
                                     (uint64_t)PARSE_MS * 1000000, &result, review->error);
    uint32_t at = line - side->first_line + 1;
    for (size_t i = 0; !status && i < result.n_definitions; i++) {
        const struct definition *definition = &result.definitions[i];
        if (!encloses(definition->kind) || at < definition->line || at > definition->end_line)
            continue;
        *out = (struct enclosing){true, definition->line + side->first_line - 1,
                                  definition->end_line + side->first_line - 1,
                                  arena_copy_text(&prompt->arena, side->text.data + definition->name.begin,
                                                  definition->name.end - definition->name.begin)};
        if (!out->name)
            status = error_set(review->error, STATUS_MEMORY, "out of memory");
    }
    return status;
}

/* The number of the first changed line of a side, or of what stands where it changed. */
static uint32_t changed_line(const struct review *review, size_t hunk, bool is_old)
{
    const struct diff_hunk *about = &review->diff->hunks[hunk];
    uint32_t last = is_old ? about->old_start : about->new_start;
    for (uint32_t i = 0; i < about->n_lines; i++) {
        const struct diff_line *line = &review->diff->lines[about->first_line + i];
        uint32_t number = is_old ? line->old_line : line->new_line;
        if (number)
            last = number;
        if (line->kind != DIFF_CONTEXT)
            break;
    }
    return last;
}

/* Only what the hunk doesn't show already. */
static enum status add_enclosing(struct prompt *prompt, bool is_old, struct enclosing *out)
{
    const struct diff_hunk *hunk = &prompt->review->diff->hunks[prompt->hunk];
    const struct diff_file *file = &prompt->review->diff->files[hunk->file];
    const struct review_side *side = is_old ? &prompt->old : &prompt->new;
    const char *path = is_old ? file->old.path : file->new.path;
    uint32_t first = is_old ? hunk->old_start : hunk->new_start, n = is_old ? hunk->old_n : hunk->new_n;
    enum status status = find_enclosing(prompt, side, path, changed_line(prompt->review, prompt->hunk, is_old), out);
    if (status || !out->is_there || (out->line >= first && out->end_line < first + n))
        return status;
    struct slice text = review_side_lines(side, out->line, out->end_line);
    const char *heading = is_old ? "\nBefore the change it stood in:\n" : "\nIt stands in:\n";
    return add(prompt, heading, text, prompt->left / (is_old ? 3 : 2), 40);
}

/* ---- who calls it ---- */

struct calls {
    struct prompt *prompt;
    struct buffer text;
    const char *path; /* of the hunk's file, whose own lines in the hunk are none */
    uint32_t first, last;
    size_t n;
};

static bool take_call(void *context, const struct index_reference *reference)
{
    struct calls *calls = context;
    struct project *project = calls->prompt->review->request->project;
    struct repo_file file = {.path = reference->path, .path_size = reference->path_size};
    struct buffer text = {0};
    struct repo_id id;
    enum repo_skip skip = REPO_KEEP;
    bool is_own =
        strlen(calls->path) == reference->path_size && memcmp(calls->path, reference->path, reference->path_size) == 0;
    file.stamp.mode = 0100000;
    if (!reference->is_call || (is_own && reference->line >= calls->first && reference->line <= calls->last))
        return true;
    if (repo_read(project->repo, &file, FILE_BYTES, &text, &id, &skip, NULL) == STATUS_OK && skip == REPO_KEEP) {
        struct slice all = {buffer_text(&text), text.size};
        struct slice line = gather_slice_lines(all, reference->line, reference->line);
        if (line.size) {
            buffer_printf(&calls->text, "%.*s:%u: ", (int)(reference->path_size < 200 ? reference->path_size : 200),
                          reference->path, reference->line);
            while (line.size && (*line.data == ' ' || *line.data == '\t'))
                line.data++, line.size--;
            append_line(&calls->text, line);
            calls->n++;
        }
    }
    buffer_deinit(&text);
    return calls->n < CALLERS_MOST;
}

static enum status add_callers(struct prompt *prompt, const struct enclosing *enclosing)
{
    const struct review *review = prompt->review;
    const struct diff_hunk *hunk = &review->diff->hunks[prompt->hunk];
    const char *path = diff_path(&review->diff->files[hunk->file]);
    struct index_place place = {path, hunk->new_start};
    struct calls calls = {.prompt = prompt, .path = path};
    review_hunk_range(hunk, &calls.first, &calls.last);
    if (!review->request->project || !enclosing->is_there || !*enclosing->name)
        return STATUS_OK;
    enum status status =
        index_references(review->request->project->index, enclosing->name, &place, take_call, &calls, review->error);
    struct slice text = {buffer_text(&calls.text), calls.text.size};
    if (status != STATUS_MEMORY && status != STATUS_CANCELLED) /* an index that fails leaves its part out */
        status = add(prompt, "\nCalled from:\n", text, prompt->left / 2, 1);
    buffer_deinit(&calls.text);
    return status;
}

/* ---- what it uses ---- */

static enum status add_definitions(struct prompt *prompt)
{
    struct review *review = prompt->review;
    const struct diff_hunk *hunk = &review->diff->hunks[prompt->hunk];
    struct gathered gathered;
    struct slice before =
        prompt->new.first_line == 1 || hunk->new_n
            ? review_side_lines(&prompt->new, prompt->new.first_line, changed_line(review, prompt->hunk, false))
            : (struct slice){"", 0};
    struct gather_request request = {.path = diff_path(&review->diff->files[hunk->file]),
                                     .text = prompt->new.text,
                                     .at = before.size,
                                     .sources = GATHER_DEFINITIONS,
                                     .cancel = review->request->cancel};
    if (!review->gatherer || !prompt->new.text.size)
        return STATUS_OK;
    enum status status = gather_run(review->gatherer, &request, &gathered, review->error);
    if (status)
        return status;
    for (size_t i = 0, n = 0; !status && i < gathered.n_pieces && n < DEFINITIONS_MOST; i++) {
        const struct fim_piece *piece = &gathered.pieces[i];
        char heading[300];
        snprintf(heading, sizeof heading, "\n%.*s:%u:\n", (int)(piece->path.size < 250 ? piece->path.size : 250),
                 piece->path.data, piece->line);
        size_t before_left = prompt->left;
        status = add(prompt, heading, piece->text, prompt->left / 2, piece->text.size < 80 ? piece->text.size : 80);
        n += prompt->left < before_left;
    }
    gathered_deinit(&gathered);
    return status;
}

/* ---- the whole ---- */

static enum status write_hunk(struct prompt *prompt)
{
    struct enclosing after, before;
    enum status status = review_sides(prompt->review, prompt->hunk, &prompt->arena, &prompt->old, &prompt->new);
    if (!status)
        status = add_hunk(prompt);
    if (!status)
        status = add_enclosing(prompt, false, &after);
    if (!status)
        status = add_enclosing(prompt, true, &before);
    if (!status)
        status = add_callers(prompt, after.is_there ? &after : &before);
    if (!status)
        status = add_definitions(prompt);
    return status;
}

/* Messages by the model's template; a model without one goes on from plain text. */
static enum status render(const struct review *review, const struct buffer *user, bool is_whole, struct tokens *out)
{
    struct engine *engine = review->request->engine;
    struct chat_message messages[2] = {{CHAT_SYSTEM, slice_from(system_text)},
                                       {CHAT_USER, {buffer_text(user), user->size}}};
    if (engine_chat(engine, NULL))
        return engine_chat_tokens(engine, messages, 2, is_whole, out, review->error);
    struct buffer text = {0};
    buffer_printf(&text, "%s\n\n", system_text);
    buffer_append(&text, buffer_text(user), user->size);
    buffer_append_text(&text, is_whole ? "\n\n" : "");
    enum status status = buffer_status(&text, review->error);
    if (!status)
        status = engine_tokenize(engine, buffer_text(&text), text.size, ENGINE_BEGIN, out, review->error);
    buffer_deinit(&text);
    return status;
}

enum status review_prompt(struct review *review, size_t hunk, struct tokens *out)
{
    struct prompt prompt = {.review = review, .hunk = hunk, .left = review->budget};
    struct engine *engine = review->request->engine;
    size_t n_fixed = 0, n_question = 0;
    enum status status = count(review, system_text, strlen(system_text), &n_fixed);
    if (!status)
        status = count(review, question_text, strlen(question_text), &n_question);
    n_fixed += n_question + 24; /* the template's own marks */
    prompt.left -= n_fixed < prompt.left ? n_fixed : prompt.left;
    if (!status && review->diff->n_hunks > 1)
        status = add_change(&prompt);
    if (!status && hunk != SIZE_MAX) {
        status = write_hunk(&prompt);
        buffer_append_text(&prompt.text, question_text);
    }
    if (!status)
        status = buffer_status(&prompt.text, review->error);
    if (!status)
        status = render(review, &prompt.text, hunk != SIZE_MAX, out);
    if (!status && hunk != SIZE_MAX)
        status = engine_tokenize(engine, answer_text, strlen(answer_text), ENGINE_NO_PREFIX, out, review->error);
    buffer_deinit(&prompt.text);
    arena_deinit(&prompt.arena);
    return status;
}
