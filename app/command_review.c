/* command_review: findings on a diff, before it is committed. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/review.h"
#include "app/review_print.h"
#include "repo/repo_head.h"

enum { INPUT_MOST = 256 << 20, ALL_LINES = 1 << 24, BUDGET_LEAST = 512 };

/* What one run of the command holds. */
struct work {
    const struct command_context *context;
    struct project project;
    struct diff *diff, *whole;
    struct engine *engine;
    struct buffer kept, range; /* range: the left side's name, a NUL behind it, and the right one's */
    struct arena paths;
    const char **asked;
    size_t n_asked;
    const char *what; /* "nothing is staged" */
};

/* ---- what is reviewed ---- */

/* A..B, A.. and ..B; an omitted side is HEAD. */
static enum status split_range(struct work *work, const char *text, struct diff_options *options, struct error *error)
{
    const char *dots = strstr(text, "..");
    if (dots[2] == '.')
        return error_set(error, STATUS_ARGUMENT,
                         "review: %.100s: take A..B (git diff A...B | fathom review - reviews what B added)", text);
    buffer_append(&work->range, text, (size_t)(dots - text));
    if (dots == text)
        buffer_append_text(&work->range, "HEAD");
    size_t second = work->range.size + 1;
    buffer_append(&work->range, "", 1);
    buffer_append_text(&work->range, dots[2] ? dots + 2 : "HEAD");
    options->of = DIFF_RANGE;
    options->from = buffer_text(&work->range);
    options->to = buffer_text(&work->range) + second;
    work->what = "the two are the same";
    return buffer_status(&work->range, error);
}

static enum status read_input(struct work *work, struct error *error)
{
    struct buffer text = {0};
    if (work->context->in_is_terminal)
        return error_set(error, STATUS_ARGUMENT,
                         "review: - reads a diff from stdin, which is a terminal (git diff | "
                         "fathom review -)");
    enum status status = input_read_all(work->context->in, work->context->cancel, INPUT_MOST, &text, error);
    if (!status)
        status = diff_parse(buffer_text(&text), text.size, &work->diff, error);
    work->what = "the diff on stdin is empty";
    buffer_deinit(&text);
    return status;
}

/* The diff, and the same with all lines around. */
static enum status read_diff(struct work *work, const char *what, struct error *error)
{
    const struct settings *settings = work->context->settings;
    const char *index =
        getenv("GIT_INDEX_FILE"); /* set by git where a hook runs: of `git commit -a` it is another one */
    struct diff_options options = {.of = settings->worktree ? DIFF_WORKTREE : DIFF_STAGED,
                                   .context = 3,
                                   .index_file = index && *index ? index : NULL,
                                   .cancel = work->context->cancel};
    enum status status = STATUS_OK;
    work->what = settings->worktree ? "the worktree is as the index says" : "nothing is staged";
    if (what && strcmp(what, "-") == 0)
        return read_input(work, error);
    if (what && strstr(what, "..")) {
        status = split_range(work, what, &options, error);
    } else if (what) {
        options.of = DIFF_COMMIT;
        options.to = what;
        work->what = "the commit changes no text";
    }
    if (!status)
        status = diff_of_repo(work->project.repo, &options, &work->diff, error);
    options.context = ALL_LINES;
    if (!status && work->diff->n_hunks)
        status = diff_of_repo(work->project.repo, &options, &work->whole, error);
    return status;
}

/* ---- paths ---- */

static enum status read_paths(struct work *work, const char *const *words, size_t n, struct error *error)
{
    enum status status = STATUS_OK;
    work->asked = arena_alloc(&work->paths, (n + 1) * sizeof *work->asked);
    if (!work->asked)
        return error_set(error, STATUS_MEMORY, "out of memory");
    for (size_t i = 0; !status && i < n; i++) {
        struct buffer path = {0}, word = {0};
        buffer_append_text(&word, words[i]);
        while (word.size > 1 && word.data[word.size - 1] == '/')
            word.data[--word.size] = 0;
        status = buffer_status(&word, error);
        if (!status && strcmp(buffer_text(&word), ".") == 0)
            buffer_append_text(&word, "/.");
        if (!status)
            status = project_relative(&work->project, buffer_text(&word), &path, error);
        if (!status && path.size >= 2 && strcmp(path.data + path.size - 2, "/.") == 0)
            path.data[path.size -= 2] = 0;
        if (!status && strcmp(buffer_text(&path), ".") == 0)
            path.data[path.size = 0] = 0;
        work->asked[work->n_asked] = status ? NULL : arena_copy_text(&work->paths, buffer_text(&path), path.size);
        if (!status && !work->asked[work->n_asked++])
            status = error_set(error, STATUS_MEMORY, "out of memory");
        buffer_deinit(&path);
        buffer_deinit(&word);
    }
    return status;
}

static bool is_asked(const struct work *work, const char *path)
{
    for (size_t i = 0; i < work->n_asked; i++) {
        size_t size = strlen(work->asked[i]);
        if (!size || (strncmp(path, work->asked[i], size) == 0 && (path[size] == 0 || path[size] == '/')))
            return true;
    }
    return work->n_asked == 0;
}

/* A diff of the files that were asked for: a patch of theirs, read again. */
static enum status keep_asked(struct work *work, struct diff **diff, struct error *error)
{
    struct buffer text = {0};
    struct diff *kept = NULL;
    if (!work->n_asked || !*diff)
        return STATUS_OK;
    for (size_t i = 0; i < (*diff)->n_files; i++)
        if (is_asked(work, diff_path(&(*diff)->files[i])))
            diff_print_file(*diff, i, &text);
    enum status status = buffer_status(&text, error);
    if (!status)
        status = diff_parse(buffer_text(&text), text.size, &kept, error);
    buffer_deinit(&text);
    if (status)
        return status;
    memcpy(kept->base, (*diff)->base, sizeof kept->base);
    memcpy(kept->head, (*diff)->head, sizeof kept->head);
    diff_free(*diff);
    *diff = kept;
    work->what = "nothing changed in these paths";
    return STATUS_OK;
}

/* ---- the review ---- */

static enum status review(struct work *work, struct review_result *result, struct error *error)
{
    const struct settings *settings = work->context->settings;
    struct review_request request = {.diff = work->diff,
                                     .whole = work->whole,
                                     .project = &work->project,
                                     .session = command_session_options(work->context),
                                     .sampling = settings_sampler(settings),
                                     .n_predict = settings->max_tokens,
                                     .asked = work->asked,
                                     .n_asked = work->n_asked,
                                     .no_findings = settings->only == REVIEW_ONLY_UNUSUAL,
                                     .no_surprise = settings->only == REVIEW_ONLY_FINDINGS,
                                     .cancel = work->context->cancel,
                                     .progress = progress_update,
                                     .progress_context = work->context->progress};
    if (!settings_is_given(settings, OPTION_TEMP))
        request.sampling.temperature = 0.2f;
    if (!settings_is_given(settings, OPTION_SEED))
        request.sampling.seed = 0; /* the same diff, the same findings */
    if (settings_is_given(settings, OPTION_BUDGET))
        request.budget = (size_t)settings->budget;
    enum status status = STATUS_OK;
    if (repo_git_folder(work->project.repo) && !settings->no_refresh)
        status = project_refresh(work->context, &work->project, NULL, error);
    if (!status && !settings->no_save)
        status = review_kept_folder(repo_root(work->project.repo), &work->kept, error);
    if (work->kept.size)
        request.kept_folder = buffer_text(&work->kept);
    if (!status)
        status = settings_open_engine(settings, &work->engine, error);
    if (status)
        return status;
    request.engine = work->engine;
    work->context->progress->unit = "hunks";
    return review_run(&request, result, error);
}

static enum exit_status judge(const struct command_context *context, const struct review_result *result)
{
    if (result->is_interrupted)
        return EXIT_INTERRUPTED;
    for (size_t i = 0; i < result->n_findings; i++)
        if (context->settings->fail_on && (int)result->findings[i].severity < context->settings->fail_on)
            return EXIT_FOUND;
    return EXIT_DONE;
}

/* Models below a billion weights answer in the form that is asked for, and know little of what they say. */
static void warn(const struct work *work, const struct review_result *result)
{
    const struct model_info *info = work->engine ? engine_info(work->engine) : NULL;
    if (info && result->n_findings && info->n_params < 1000000000)
        command_notice(work->context,
                       "%s is a small model: what it finds is mostly wrong (--only unusual leaves it out)", info->name);
}

static void print_result(struct work *work, const struct review_result *result)
{
    struct review_print print = {work->context, work->diff, result, work->engine,
                                 work->diff->n_hunks ? NULL : work->what};
    if (work->context->settings->sarif)
        review_print_sarif(&print);
    else if (work->context->settings->json)
        review_print_json(&print);
    else
        review_print_text(&print);
}

static enum status dismiss(struct work *work, struct error *error)
{
    enum status status = review_kept_folder(repo_root(work->project.repo), &work->kept, error);
    return status ? status : review_dismiss(buffer_text(&work->kept), work->context->settings->dismiss, error);
}

/* Whether the first word says what is reviewed; else it is a path of what is staged, as it would be for git: a file's name that
 * is no revision's. */
static bool names_diff(const struct work *work, const char *word)
{
    struct buffer subject = {0};
    if (strcmp(word, "-") == 0 || access(word, F_OK) != 0)
        return true;
    bool is_revision = repo_git_folder(work->project.repo) &&
                       repo_commit_subject(work->project.repo, word, &subject, NULL) == STATUS_OK;
    buffer_deinit(&subject);
    return is_revision;
}

static enum exit_status run(const struct command_context *context)
{
    struct work work = {.context = context};
    struct review_result result = {0};
    struct error error = {0};
    const struct settings *settings = context->settings;
    enum exit_status exit = EXIT_DONE;
    bool names_what = !settings->staged && !settings->worktree && context->n_arguments;
    if (settings->staged && settings->worktree)
        return command_fail_with(context, STATUS_ARGUMENT, "review: --staged and --worktree: take one of them");
    if (settings_is_given(settings, OPTION_BUDGET) && settings->budget < BUDGET_LEAST)
        return command_fail_with(context, STATUS_ARGUMENT, "--budget: a review takes at least %d tokens", BUDGET_LEAST);
    enum status status = project_open(context, NULL, &work.project, &error);
    names_what = names_what && !status && names_diff(&work, context->arguments[0]);
    if (!status && settings->dismiss) {
        status = dismiss(&work, &error);
    } else {
        if (!status)
            status = read_paths(&work, context->arguments + names_what, context->n_arguments - names_what, &error);
        if (!status)
            status = read_diff(&work, names_what ? context->arguments[0] : NULL, &error);
        if (!status)
            status = keep_asked(&work, &work.diff, &error);
        if (!status)
            status = keep_asked(&work, &work.whole, &error);
        if (!status && work.diff->n_hunks)
            status = review(&work, &result, &error);
        progress_end(context->progress);
        if (!status)
            warn(&work, &result);
        if (!status)
            print_result(&work, &result);
        if (!status)
            exit = judge(context, &result);
    }
    if (status)
        exit = command_fail(context, &error, NULL);
    review_result_deinit(&result);
    engine_close(work.engine);
    diff_free(work.diff);
    diff_free(work.whole);
    buffer_deinit(&work.kept);
    buffer_deinit(&work.range);
    arena_deinit(&work.paths);
    project_close(&work.project);
    return exit;
}

static const enum option_id options[] = {OPTION_STAGED,  OPTION_WORKTREE, OPTION_SARIF, OPTION_FAIL_ON,
                                         OPTION_DISMISS, OPTION_UNUSUAL,  OPTION_ONLY,  OPTION_NO_REFRESH};

const struct command command_review = {
    .name = "review",
    .synopsis = "[--staged|--worktree|REV|A..B|-] [PATH...]",
    .summary = "what a model finds in a diff before it is committed",
    .help =
        "Reads a diff hunk by hunk: what is staged, unless --worktree, a revision (its changes against its first "
        "parent), two revisions A..B, or - for a diff on stdin is named. Paths limit it to files and folders. Before "
        "the model stand the change as a whole, the hunk, the function around it before and after, who calls it and "
        "what it uses.\n"
        "\n"
        "A finding is shown only if its lines lie in the hunk and the names in it exist; what isn't shown is counted. "
        "Its confidence is the probability that the model gave to opening it and to its severity. Findings on hunks "
        "that didn't change are kept and not asked for again. Of a hunk that is longer than --budget leaves room for, "
        "the model sees the first lines. What small models find is often wrong, also where it is confident.\n"
        "\n"
        "Unusual lines are those that the model found the least likely where they stand, in nats a token; that says "
        "nothing of whether they are right.\n"
        "\n"
        "Exit status 1: a finding is at least as severe as --fail-on. An interruption prints what there is.\n"
        "\n"
        "  fathom review\n"
        "  fathom review --fail-on high main..HEAD src/\n"
        "  git diff | fathom review -",
    .options = options,
    .n_options = sizeof options / sizeof *options,
    .n_arguments_max = 1024,
    .completes = "file",
    .run = run,
};
