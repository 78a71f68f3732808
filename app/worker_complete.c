/* worker_complete: a completion for a file that is open on the screen, on the worker's thread: what the repository adds to
 * it, the request, and what is told of it. */
#include <stdlib.h>
#include <string.h>

#include "app/complete.h"
#include "app/complete_syntax.h"
#include "app/place.h"
#include "app/worker_private.h"

enum { CONTEXT_MOST = 4096, ALTERNATIVES = 2, ANSWER_MS = 3000, READING_MS = 10000 };

struct worker_completer {
    struct completer *completer;
    struct gatherer *gatherer; /* NULL: there is no repository to ask */
    unsigned n_index_changes;
};

void worker_close_completer(struct worker *worker)
{
    struct worker_completer *ours = worker->completer;
    worker->completer = NULL;
    if (!ours)
        return;
    completer_close(ours->completer);
    gather_close(ours->gatherer);
    free(ours);
}

/* With a smaller context than the conversation's: a place needs no more. */
static enum status open_completer(struct worker *worker, struct error *error)
{
    struct completer_options options = {.session = command_session_options(&worker->context)};
    struct project *project = worker_project(worker);
    struct worker_completer *ours = worker->completer = calloc(1, sizeof *ours);
    if (!ours)
        return error_set(error, STATUS_MEMORY, "out of memory");
    options.session.drafts = false;
    options.session.cancel = &worker->cancel;
    options.session.progress = NULL;
    int32_t most = engine_default_context(worker->chat.engine, options.session.kv);
    if (options.session.n_ctx <= 0 || options.session.n_ctx > CONTEXT_MOST)
        options.session.n_ctx = most < CONTEXT_MOST ? most : CONTEXT_MOST;
    enum status status = completer_open(worker->chat.engine, &options, &ours->completer, error);
    if (status != STATUS_OK) {
        worker_close_completer(worker);
        return status;
    }
    if (project && gather_open(project, &ours->gatherer, NULL) != STATUS_OK)
        ours->gatherer = NULL;
    return STATUS_OK;
}

/* What the repository says of the place; the text alone where it says nothing. */
static enum status gather(struct worker *worker, const struct worker_job *job, struct buffer *path,
                          struct gathered *gathered, struct fim_request *out, struct error *error)
{
    struct worker_completer *ours = worker->completer;
    struct slice text = {buffer_text(&job->text), job->text.size};
    complete_split(text, job->at, &out->prefix, &out->suffix);
    struct gather_request request = {
        .text = text, .at = out->prefix.size, .engine = worker->chat.engine, .cancel = &worker->cancel};
    unsigned n = atomic_load(&worker->n_index_changes);
    bool is_inside =
        ours->gatherer && project_relative(&worker->project, buffer_text(&job->path), path, NULL) == STATUS_OK;
    const char *slash = strrchr(buffer_text(&job->path), '/');
    out->path = is_inside ? slice_from(buffer_text(path)) : slice_from(slash ? slash + 1 : "");
    if (!is_inside)
        return STATUS_OK;
    if (n != ours->n_index_changes)
        gather_forget(ours->gatherer);
    ours->n_index_changes = n;
    request.path = buffer_text(path);
    enum status status = place_sources(&worker->settings, &request.sources, error);
    if (status == STATUS_OK)
        status = gather_run(ours->gatherer, &request, gathered, error);
    if (status != STATUS_OK)
        return status;
    gathered_request(gathered, &request, out);
    slash = strrchr(repo_root(worker->project.repo), '/');
    out->repository = slice_from(slash ? slash + 1 : "");
    return STATUS_OK;
}

/* ---- what is told ---- */

/* "  412  src/lease.c 96-140  the text before the cursor" */
static void explain(const struct complete_result *result, struct buffer *out)
{
    const struct fim_prompt *prompt = result->prompt;
    size_t n_all = result->n_cached + result->n_prefilled;
    if (result->is_remembered || !prompt) {
        buffer_append_text(out, "It is the rest of what was shown before: nothing was read for it.\n");
        return;
    }
    buffer_printf(out, "%zu tokens before the model, %zu of them read before; %.0f ms\n", n_all, result->n_cached,
                  result->total_ms);
    for (size_t i = 0; i < prompt->n_list; i++) {
        const struct fim_part *part = &prompt->list[i];
        buffer_printf(out, "%6zu  %.*s", part->n_tokens, (int)part->path.size, part->path.data);
        if (part->line)
            buffer_printf(out, " %u-%u", (unsigned)part->line, (unsigned)part->end_line);
        buffer_printf(out, "  %s\n", part->why);
    }
}

static void tell(struct worker *worker, const struct complete_result *result)
{
    struct worker_message message = {.kind = MESSAGE_WAYS};
    struct buffer ways = {0};
    for (size_t i = 0; i < result->n_ways; i++) {
        const struct buffer *text = &result->ways[i].text;
        if (text->size && !memchr(text->data, 0, text->size))
            buffer_append(&ways, text->data, text->size + 1);
    }
    explain(result, &message.more);
    message.n_done = (uint64_t)(result->total_ms > 0 ? result->total_ms : 0);
    if (!ways.failed)
        worker_tell(worker, &message, buffer_text(&ways), ways.size);
    buffer_deinit(&message.more);
    buffer_deinit(&ways);
}

enum status worker_do_complete(struct worker *worker, const struct worker_job *job, struct error *error)
{
    const struct settings *settings = &worker->settings;
    struct complete_request request = {.sampling = settings_sampler(settings),
                                       .n_predict = settings->max_tokens,
                                       .n_alternatives = ALTERNATIVES,
                                       .prompt_ms = READING_MS,
                                       .answer_ms = settings->deadline > 0 ? (double)settings->deadline : ANSWER_MS};
    struct complete_syntax *syntax = NULL;
    struct complete_result result = {0};
    struct gathered gathered = {0};
    struct buffer path = {0};
    if (!settings_is_given(settings, OPTION_TEMP))
        request.sampling.temperature = 0.2f;
    enum status status = worker->completer ? STATUS_OK : open_completer(worker, error);
    if (status == STATUS_OK)
        status = gather(worker, job, &path, &gathered, &request.prompt, error);
    if (settings_is_given(settings, OPTION_BUDGET))
        request.prompt.budget = (size_t)settings->budget;
    request.prompt.form = settings->fim_form == FIM_FORM_SEEDED ? FIM_SEEDED : FIM_PLAIN;
    if (status == STATUS_OK && worker->project.languages)
        status = complete_syntax_new(worker->project.languages, request.prompt.path, request.prompt.prefix,
                                     request.prompt.suffix, &syntax, error);
    request.syntax = complete_syntax_asked(syntax);
    if (status == STATUS_OK)
        status = complete_run(worker->completer->completer, &request, &result, error);
    if (status == STATUS_OK)
        tell(worker, &result);
    complete_result_deinit(&result);
    complete_syntax_free(syntax);
    gathered_deinit(&gathered);
    buffer_deinit(&path);
    return status == STATUS_CANCELLED ? STATUS_OK : status;
}
