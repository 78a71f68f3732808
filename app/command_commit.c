/* command_commit: a message for what is staged, and on a terminal the commit. */
#include <cjson/cJSON.h>
#include <signal.h>
#include <stdlib.h>

#include "app/command.h"
#include "app/commit.h"
#include "app/project.h"
#include "app/propose.h"

struct work {
    const struct command_context *context;
    struct project project;
    struct diff *staged;
    struct engine *engine;
    struct session *session;
    struct buffer message;
};

static void take_notice(void *context, const char *text)
{
    command_notice(context, "%s", text);
}

static enum status read_staged(struct work *work, struct error *error)
{
    const char *index = getenv("GIT_INDEX_FILE"); /* set by git where a hook runs */
    struct diff_options options = {
        .of = DIFF_STAGED, .context = 3, .index_file = index && *index ? index : NULL, .cancel = work->context->cancel};
    return diff_of_repo(work->project.repo, &options, &work->staged, error);
}

static enum status propose(struct work *work, struct error *error)
{
    const struct command_context *context = work->context;
    const struct settings *settings = context->settings;
    struct session_options options = command_session_options(context);
    struct propose_request request = {.repo = work->project.repo,
                                      .staged = work->staged,
                                      .sampling = settings_sampler(settings),
                                      .n_predict = settings->max_tokens,
                                      .strict = settings->strict,
                                      .cancel = context->cancel,
                                      .on_notice = take_notice,
                                      .context = (void *)context};
    if (!settings_is_given(settings, OPTION_TEMP))
        request.sampling.temperature = 0.2f;
    if (!settings_is_given(settings, OPTION_SEED))
        request.sampling.seed = 0; /* the same change, the same message */
    enum status status = settings_open_engine(settings, &work->engine, error);
    if (!status)
        status = session_open(work->engine, &options, &work->session, error);
    request.engine = work->engine;
    request.session = work->session;
    return status ? status : propose_message(&request, &work->message, error);
}

static void print(const struct work *work)
{
    const struct command_context *context = work->context;
    const struct buffer *message = &work->message;
    if (!context->settings->json) {
        output_write(context->out, buffer_text(message), message->size);
        return;
    }
    cJSON *object = cJSON_CreateObject();
    json_add(object, "message", json_text(buffer_text(message), message->size));
    json_add_text(object, "model", engine_info(work->engine)->name);
    output_json(context->out, object);
}

/* git opens the editor itself, as `git commit` does. */
static enum exit_status commit(const struct work *work)
{
    struct commit_request request = {
        .message = {buffer_text(&work->message), work->message.size}, .edit = true, .takes_index_file = true};
    struct commit_result result;
    struct error error = {0};
    struct sigaction ignore = {.sa_handler = SIG_IGN}, before;
    output_flush(work->context->out);
    sigaction(SIGINT, &ignore, &before); /* Ctrl-C is the editor's, as git has it */
    enum status status = commit_run(work->project.repo, &request, NULL, &result, &error);
    sigaction(SIGINT, &before, NULL);
    enum exit_status exit = EXIT_DONE;
    if (status)
        exit = command_fail(work->context, &error, NULL);
    else if (result.exit_status)
        exit = command_fail_with(work->context, STATUS_IO,
                                 "git commit ended with %d: nothing was committed (the proposal is in %s)",
                                 result.exit_status, result.message_path);
    commit_result_deinit(&result);
    return exit;
}

static void close_engine(struct work *work)
{
    session_close(work->session);
    engine_close(work->engine);
    work->session = NULL;
    work->engine = NULL;
}

static enum exit_status run(const struct command_context *context)
{
    struct work work = {.context = context};
    struct error error = {0};
    enum exit_status exit = EXIT_DONE;
    enum status status = project_open(context, NULL, &work.project, &error);
    if (!status)
        status = read_staged(&work, &error);
    if (!status && work.staged->n_files == 0) {
        command_notice(context, "nothing is staged");
        exit = EXIT_FOUND;
    } else if (!status) {
        status = propose(&work, &error);
        progress_end(context->progress);
        if (!status && engine_info(work.engine)->n_params < 1000000000)
            command_notice(context, "%s is a small model: what it proposes is mostly wrong",
                           engine_info(work.engine)->name);
        bool commits = context->in_is_terminal && context->out->is_terminal && !context->settings->json;
        if (!status && commits) {
            close_engine(&work); /* an editor may stay open for hours, and hooks want the memory */
            exit = commit(&work);
        } else if (!status) {
            print(&work);
        }
    }
    if (status)
        exit = command_fail(context, &error, NULL);
    buffer_deinit(&work.message);
    close_engine(&work);
    diff_free(work.staged);
    project_close(&work.project);
    return exit;
}

const struct command command_commit = {
    .name = "commit",
    .synopsis = "",
    .summary = "propose a message for what is staged, and commit",
    .help =
        "Proposes a message for what is staged, by the staged diff and the style of the log's last messages. On a "
        "terminal "
        "git then commits with it: it opens your editor with the proposal, and runs your hooks and signing as ever; an "
        "empty message commits nothing. Elsewhere the proposal is printed, as for the hook prepare-commit-msg "
        "(fathom help hook).\n"
        "\n"
        "Where the diff doesn't fit the context its middle is left out, and a line on stderr says so. Of secrets, "
        "binary and generated files only the names go before the model. What small models propose is often "
        "wrong: it is a beginning.\n"
        "\n"
        "Exit status 1: nothing is staged.\n"
        "\n"
        "  git add -p && fathom commit\n"
        "  fathom commit | cat",
    .n_arguments_max = 0,
    .run = run,
};
