/* review: see review.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/review_private.h"

/* ---- what isn't read ---- */

static bool is_asked(const struct review_request *request, const char *path)
{
    for (size_t i = 0; i < request->n_asked; i++)
        if (strcmp(request->asked[i], path) == 0)
            return true;
    return false;
}

/* By both names and by what is known of the new text. */
static enum repo_skip skip_of(const struct review *review, size_t hunk)
{
    const struct diff_hunk *about = &review->diff->hunks[hunk];
    const struct diff_file *file = &review->diff->files[about->file];
    const struct review_file *texts = &review->files[about->file];
    enum repo_skip skip = REPO_KEEP;
    if (is_asked(review->request, diff_path(file)))
        return REPO_KEEP;
    if (file->new.path_size)
        skip = repo_skip_of_text(file->new.path, file->new.path_size, buffer_text(&texts->new), texts->new.size);
    if (skip != REPO_SKIP_SECRET && file->old.path_size) {
        enum repo_skip old =
            repo_skip_of_text(file->old.path, file->old.path_size, buffer_text(&texts->old), texts->old.size);
        skip = old == REPO_SKIP_SECRET || !file->new.path_size ? old : skip;
    }
    for (uint32_t i = 0; skip == REPO_KEEP && !texts->is_whole && i < about->n_lines; i++) {
        struct slice text = review->diff->lines[about->first_line + i].text;
        if (repo_skip_of_text("", 0, text.data, text.size) == REPO_SKIP_SECRET)
            skip = REPO_SKIP_SECRET;
    }
    return file->is_submodule ? REPO_SKIP_SUBMODULE : skip;
}

static void skip(struct review *review, size_t hunk, const char *why)
{
    review->out->hunks[hunk].state = REVIEW_SKIPPED;
    review->out->hunks[hunk].why = why;
    review->out->n_skipped++;
}

static void skip_hunks(struct review *review)
{
    for (size_t i = 0; i < review->diff->n_hunks; i++) {
        enum repo_skip why = skip_of(review, i);
        review->out->hunks[i].why = "";
        if (why != REPO_KEEP)
            skip(review, i, repo_skip_name(why));
    }
}

/* ---- findings ---- */

static enum status open_base(struct review *review)
{
    struct session_options options = review->request->session;
    enum { ROOM_FOR_ANSWER = 512 };
    if (!options.n_ctx) {
        const struct model_info *info = engine_info(review->request->engine);
        size_t most = info->n_ctx_train > 0 ? (size_t)info->n_ctx_train : review->budget + ROOM_FOR_ANSWER;
        size_t wanted = review->budget + ROOM_FOR_ANSWER;
        options.n_ctx = (int32_t)(wanted < most ? wanted : most);
    }
    options.drafts = false; /* answers are decoded together, which drafts nothing */
    options.progress = NULL;
    enum status status = session_open(review->request->engine, &options, &review->base, review->error);
    if (status)
        return status;
    struct session_key key = session_key(review->base);
    const struct sampler_options *sampling = &review->request->sampling;
    size_t room = (size_t)session_n_ctx(review->base), answer = room / 3 < ROOM_FOR_ANSWER ? room / 3 : ROOM_FOR_ANSWER;
    if (review->budget > room - answer)
        review->budget = room - answer;
    snprintf(review->key, sizeof review->key, "%s %zu %lld %.3f %llu", key.text, review->budget,
             (long long)review->request->n_predict, (double)sampling->temperature, (unsigned long long)sampling->seed);
    return STATUS_OK;
}

/* What prompts have in common, once it is known that one is asked for. */
static enum status read_base(struct review *review)
{
    struct tokens prompt = {0};
    if (review->has_base || review->diff->n_hunks == 1)
        return STATUS_OK;
    review->has_base = true;
    enum status status = review_prompt(review, SIZE_MAX, &prompt);
    if (!status && prompt.n)
        status = session_sync(review->base, prompt.ids, prompt.n, NULL, review->error);
    tokens_deinit(&prompt);
    return status;
}

/* Checks what was answered, and keeps what was answered as a whole. */
static enum status take_answer(struct review *review, const struct review_answer *answer)
{
    enum status status = STATUS_OK;
    for (size_t i = 0; !status && i < answer->n_raw; i++)
        status = review_check(review, answer->hunk, buffer_text(&answer->raw[i].text), answer->raw[i].text.size,
                              answer->raw[i].confidence);
    if (answer->is_whole) {
        review->out->hunks[answer->hunk].state = REVIEW_READ;
        review->out->n_read++;
        review_kept_put(review, answer);
    }
    return status;
}

/* Whether the model was shown a line that changed. */
static bool shows_change(const struct review *review, size_t hunk)
{
    const struct diff_hunk *about = &review->diff->hunks[hunk];
    for (uint32_t i = 0; i < review->out->hunks[hunk].n_shown && i < about->n_lines; i++)
        if (review->diff->lines[about->first_line + i].kind != DIFF_CONTEXT)
            return true;
    return false;
}

static enum status read_together(struct review *review, const size_t *hunks, size_t n_hunks)
{
    struct review_answer answers[REVIEW_TOGETHER] = {0};
    struct tokens prompts[REVIEW_TOGETHER] = {0};
    enum status status = read_base(review), taken = STATUS_OK;
    size_t n = 0;
    for (size_t i = 0; !status && i < n_hunks; i++) {
        answers[n].hunk = hunks[i];
        status = review_prompt(review, hunks[i], &prompts[n]);
        if (!status && !shows_change(review, hunks[i])) { /* nothing of it fits: it isn't asked about */
            skip(review, hunks[i], "longer than --budget");
            tokens_deinit(&prompts[n]);
            prompts[n] = (struct tokens){0};
        } else {
            n++;
        }
    }
    if (!status && n)
        status = review_answer_run(review, prompts, answers, n);
    for (size_t i = 0; i < n; i++) {
        if (!taken && (!status || status == STATUS_CANCELLED))
            taken = take_answer(review, &answers[i]);
        review_answer_deinit(&answers[i]);
        tokens_deinit(&prompts[i]);
    }
    return status ? status : taken;
}

static bool is_cancelled(const struct review *review)
{
    return review->request->cancel && atomic_load(review->request->cancel);
}

static void tell(const struct review *review)
{
    const struct review_result *out = review->out;
    if (review->request->progress)
        review->request->progress(review->request->progress_context, "reviewing",
                                  out->n_read + out->n_kept + out->n_skipped, review->diff->n_hunks);
}

static enum status find(struct review *review)
{
    size_t hunks[REVIEW_TOGETHER], n = 0;
    review_kept_dismissed(review);
    enum status status = open_base(review);
    for (size_t i = 0; !status && i < review->diff->n_hunks; i++) {
        bool is_kept = false;
        if (is_cancelled(review))
            return error_set(review->error, STATUS_CANCELLED, "interrupted");
        if (review->out->hunks[i].state == REVIEW_SKIPPED)
            continue;
        status = review_kept_take(review, i, &is_kept);
        if (is_kept) {
            review->out->hunks[i].state = REVIEW_KEPT;
            review->out->n_kept++;
        } else if (!status) {
            hunks[n++] = i;
        }
        if (!status && n == REVIEW_TOGETHER) {
            tell(review);
            status = read_together(review, hunks, n);
            n = 0;
        }
    }
    tell(review);
    if (!status && n)
        status = read_together(review, hunks, n);
    tell(review);
    if (review->request->kept_folder)
        review_kept_make_room(review->request->kept_folder);
    return status;
}

static int by_place(const void *a, const void *b)
{
    const struct review_finding *x = a, *y = b;
    if (x->hunk != y->hunk)
        return x->hunk < y->hunk ? -1 : 1;
    if (x->line != y->line)
        return x->line < y->line ? -1 : 1;
    return strcmp(x->id, y->id);
}

/* ---- the whole ---- */

static enum status prepare(struct review *review)
{
    const struct review_request *request = review->request;
    struct review_result *out = review->out;
    out->n_hunks = review->diff->n_hunks;
    out->hunks = calloc(out->n_hunks + 1, sizeof *out->hunks);
    if (!out->hunks)
        return error_set(review->error, STATUS_MEMORY, "out of memory");
    enum status status = review_texts_read(review);
    if (!status && request->project) {
        status = gather_open(request->project, &review->gatherer, review->error);
        if (!status)
            status = syntax_new(request->project->languages, &review->syntax, review->error);
    }
    if (!status)
        skip_hunks(review);
    return status;
}

enum status review_run(const struct review_request *request, struct review_result *out, struct error *error)
{
    struct error own = {0};
    struct review review = {.request = request,
                            .diff = request->diff,
                            .out = out,
                            .budget = request->budget ? request->budget : REVIEW_BUDGET,
                            .error = error ? error : &own};
    *out = (struct review_result){0};
    enum status status = prepare(&review);
    bool has_work = !status && out->n_skipped < out->n_hunks;
    if (has_work && !request->no_findings)
        status = find(&review);
    session_close(review.base); /* the next part opens its own */
    review.base = NULL;
    if (has_work && !status && !request->no_surprise)
        status = review_unusual(&review);
    if (out->n_findings)
        qsort(out->findings, out->n_findings, sizeof *out->findings, by_place);
    if (status == STATUS_CANCELLED) {
        out->is_interrupted = true;
        status = STATUS_OK;
    }
    gather_close(review.gatherer);
    syntax_free(review.syntax);
    review_texts_free(&review);
    buffer_deinit(&review.dismissed);
    buffer_deinit(&review.change);
    if (status)
        review_result_deinit(out);
    return status;
}

void review_result_deinit(struct review_result *result)
{
    free(result->findings);
    free(result->hunks);
    free(result->lines);
    arena_deinit(&result->arena);
    *result = (struct review_result){0};
}
