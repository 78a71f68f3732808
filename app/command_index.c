/* command_index: builds or refreshes the repository's index, or lists what is in it. */
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "app/freshness.h"
#include "app/project.h"

static const char not_in_force[] = "its .fathomignore is not in force (fathom trust shows it, and accepts it)";

static void print_json(const struct command_context *context, const struct index_report *report)
{
    cJSON *object = cJSON_CreateObject(), *skips = cJSON_CreateObject();
    json_add_integer(object, "files", (int64_t)report->n_files);
    json_add_integer(object, "skipped", (int64_t)report->n_skipped);
    json_add_integer(object, "symbols", (int64_t)report->n_symbols);
    json_add_integer(object, "refs", (int64_t)report->n_references);
    json_add_real(object, "ms", (double)report->total_ns / 1e6, 3);
    json_add_integer(object, "changed", (int64_t)report->n_changed);
    json_add_integer(object, "bytes", (int64_t)report->n_bytes);
    for (int i = REPO_KEEP + 1; i < REPO_N_SKIPS; i++)
        json_add_integer(skips, repo_skip_name((enum repo_skip)i), (int64_t)report->skipped[i]);
    json_add(object, "skips", skips);
    json_add_real(object, "parse_ms", (double)report->parse_ns / 1e6, 3);
    json_add_real(object, "query_ms", (double)report->query_ns / 1e6, 3);
    json_add_real(object, "store_ms", (double)report->store_ns / 1e6, 3);
    output_json(context->out, object);
}

/* 78,579 */
static const char *grouped(uint64_t n, char out[32])
{
    char digits[24];
    int size = snprintf(digits, sizeof digits, "%llu", (unsigned long long)n), k = 0;
    for (int i = 0; i < size; i++) {
        if (i && (size - i) % 3 == 0)
            out[k++] = ',';
        out[k++] = digits[i];
    }
    out[k] = 0;
    return out;
}

/* "1 file", "2,000 files": after what there is already. */
static void print_count(struct output *out, const char *before, uint64_t count, const char *what)
{
    char n[32];
    output_printf(out, "%s%s %s%s", before, grouped(count, n), what, count == 1 ? "" : "s");
}

static void print_text(const struct command_context *context, const struct index_report *report)
{
    char n[32];
    print_count(context->out, "", report->n_files, "file");
    print_count(context->out, ", ", report->n_symbols, "symbol");
    print_count(context->out, ", ", report->n_references, "reference");
    output_printf(context->out, "; %s changed, %.2f s\n", grouped(report->n_changed, n),
                  (double)report->total_ns / 1e9);
    if (!report->n_skipped)
        return;
    output_printf(context->out, "%s skipped:", grouped(report->n_skipped, n));
    bool is_first = true;
    for (int i = REPO_KEEP + 1; i < REPO_N_SKIPS; i++)
        if (report->skipped[i]) {
            output_printf(context->out, "%s %s %s", is_first ? "" : ",", grouped(report->skipped[i], n),
                          repo_skip_name((enum repo_skip)i));
            is_first = false;
        }
    output_text(context->out, "\n");
}

struct listing {
    const struct command_context *context;
    struct buffer line;
};

static bool list_path(void *context, const char *path, size_t size)
{
    struct listing *listing = context;
    struct output *out = listing->context->out;
    if (listing->context->settings->null) {
        output_write(out, path, size);
        return output_write(out, "", 1) && !atomic_load(listing->context->cancel);
    }
    buffer_clear(&listing->line);
    buffer_append(&listing->line, path, size);
    if (out->is_terminal) {
        size_t end = listing->line.size;
        output_visible(&listing->line, buffer_text(&listing->line));
        buffer_remove_front(&listing->line, end);
    }
    buffer_append_byte(&listing->line, '\n');
    return output_write(out, listing->line.data, listing->line.size) && !atomic_load(listing->context->cancel);
}

/* ---- staying ---- */

static void print_refresh(const struct command_context *context, const struct freshness_state *state)
{
    char n[32];
    if (context->settings->json) {
        cJSON *object = cJSON_CreateObject();
        json_add_integer(object, "changed", (int64_t)state->n_changed);
        json_add_real(object, "ms", (double)state->refresh_ns / 1e6, 3);
        output_json(context->out, object);
    } else {
        output_printf(context->out, "%s changed, %.3f s\n", grouped(state->n_changed, n),
                      (double)state->refresh_ns / 1e9);
    }
}

/* What is new, a line each; false once nothing can be written any more. */
static bool print_news(const struct command_context *context, const struct freshness_state *state,
                       struct freshness_state *before)
{
    bool is_first = state->has_whole && !before->has_whole;
    if (state->is_refreshing && state->total)
        progress_update(context->progress, state->what, state->done, state->total);
    else
        progress_end(context->progress);
    if (is_first && context->settings->json)
        print_json(context, &state->whole);
    else if (is_first)
        print_text(context, &state->whole);
    else if (state->n_changed && state->has_whole)
        print_refresh(context, state);
    if (state->has_whole && !state->is_watching && (is_first || before->is_watching))
        command_notice(context,
                       "not all folders can be watched, so it looks every %.0f s (fs.inotify.max_user_watches)",
                       (double)state->poll_ms / 1e3);
    if (state->is_untrusted && !before->is_untrusted)
        command_notice(context, "%s", not_in_force);
    if (state->error.status != STATUS_OK && strcmp(state->error.text, before->error.text) != 0)
        command_notice(context, "%s", state->error.text);
    *before = *state;
    return output_flush(context->out);
}

static enum status stay(const struct command_context *context, struct project *project, struct error *error)
{
    struct freshness *freshness = NULL;
    struct freshness_state state, before = {.is_untrusted = project->is_untrusted};
    struct buffer folder = {0};
    enum status status = project_cache_folder(&folder, error);
    if (status == STATUS_OK)
        status = freshness_start(&(struct freshness_options){.root = repo_root(project->repo),
                                                             .cache_folder = folder.data,
                                                             .settings = context->settings,
                                                             .languages = project->languages,
                                                             .n_threads = project->n_threads},
                                 &freshness, error);
    buffer_deinit(&folder);
    if (status != STATUS_OK)
        return status;
    bool goes_on = true;
    if (context->progress)
        context->progress->unit = "files";
    while (goes_on && !atomic_load(context->cancel)) {
        /* Ctrl-C ends the wait, but for one that came just before it. */
        struct pollfd fd = {.fd = freshness_fd(freshness), .events = POLLIN};
        if (poll(&fd, 1, 1000) <= 0)
            continue;
        freshness_take(freshness, &state);
        goes_on = print_news(context, &state, &before);
    }
    progress_end(context->progress);
    freshness_stop(freshness);
    return goes_on ? error_set(error, STATUS_CANCELLED, "interrupted") : STATUS_OK;
}

static enum exit_status run(const struct command_context *context)
{
    struct project project;
    struct index_report report;
    struct error error = {0};
    if (context->settings->null && !context->settings->list)
        return command_fail_with(context, STATUS_ARGUMENT, "index: -z/--null goes with --list");
    if (context->settings->watch && context->settings->list)
        return command_fail_with(context, STATUS_ARGUMENT, "index: --watch and --list don't go together");
    enum status status = project_open(context, context->n_arguments ? context->arguments[0] : NULL, &project, &error);
    if (status == STATUS_OK && project.is_untrusted)
        command_notice(context, "%s", not_in_force);
    bool stays = context->settings->watch;
    if (status == STATUS_OK && stays)
        status = stay(context, &project, &error);
    if (status == STATUS_OK && !stays)
        status = project_refresh(context, &project, &report, &error);
    if (status != STATUS_OK || stays) {
        project_close(&project);
        return status == STATUS_OK ? EXIT_DONE : command_fail(context, &error, NULL);
    }
    if (context->settings->list) {
        struct listing listing = {.context = context};
        status = index_each_path(project.index, list_path, &listing, &error);
        buffer_deinit(&listing.line);
    } else if (context->settings->json) {
        print_json(context, &report);
    } else {
        print_text(context, &report);
    }
    project_close(&project);
    return status == STATUS_OK ? EXIT_DONE : command_fail(context, &error, NULL);
}

static const enum option_id options[] = {OPTION_LIST, OPTION_NULL, OPTION_WATCH};

const struct command command_index = {
    .name = "index",
    .synopsis = "[--list [-z] | --watch] [PATH]",
    .summary = "build or refresh the repository's index",
    .help = "Brings the index of the repository (or plain folder) that PATH lies in up to date, and says what it "
            "holds. Only "
            "files that changed are read again, and content that is known already isn't parsed again, so a rename or "
            "another branch costs little. Ctrl-C keeps what was done. The index lies in $XDG_CACHE_HOME/fathom "
            "(~/.cache/fathom), one file for each repository; it may be deleted at any time.\n"
            "\n"
            "Files: those that are tracked, and those that are neither tracked nor ignored. Skipped, and counted by "
            "reason, "
            "are binary, generated, minified and vendored files, those larger than 1 MiB, links, and those that hold "
            "secrets, such as .env and keys. --ignore and --max-file change that, and so does a .fathomignore of the "
            "repository's once you have accepted it (fathom trust).\n"
            "\n"
            "With --watch it stays and keeps the index right as files change, by inotify where the system has watches "
            "enough for all folders, else by looking now and then.\n"
            "\n"
            "  fathom index\n"
            "  fathom index --list -z | xargs -0 wc -l",
    .options = options,
    .n_options = sizeof options / sizeof *options,
    .n_arguments_max = 1,
    .completes = "file",
    .run = run,
};
