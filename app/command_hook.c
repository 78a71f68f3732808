/* command_hook: git hooks that review what is committed and propose messages. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cjson/cJSON.h>

#include "app/command.h"
#include "app/hook.h"
#include "repo/hooks.h"
#include "ui/visible.h"

enum action { ACTION_INSTALL, ACTION_REMOVE, ACTION_STATUS };

struct work {
    const struct command_context *context;
    struct repo *repo;
    struct hooks_place place;
    bool is_wanted[HOOK_N_KINDS];
    char program[PATH_MAX];
};

static enum status read_words(struct work *work, enum action *action, struct error *error)
{
    static const char *const words[] = {"install", "remove", "status"};
    const struct command_context *context = work->context;
    int found = -1;
    for (int i = 0; context->n_arguments && i < 3; i++)
        if (strcmp(context->arguments[0], words[i]) == 0)
            found = i;
    if (found < 0)
        return error_set(error, STATUS_ARGUMENT, "hook: it takes install, remove or status");
    *action = (enum action)found;
    for (size_t i = 1; i < context->n_arguments; i++) {
        enum hook_kind kind;
        if (!hook_find(context->arguments[i], &kind))
            return error_set(error, STATUS_ARGUMENT, "hook: '%.60s' is none of pre-commit, prepare-commit-msg",
                             context->arguments[i]);
        work->is_wanted[kind] = true;
    }
    for (int i = 0; context->n_arguments == 1 && i < HOOK_N_KINDS; i++)
        work->is_wanted[i] = true;
    return STATUS_OK;
}

static void say(const struct work *work, enum hook_kind kind, const char *what)
{
    struct buffer line = {0};
    visible_append(&line, work->place.folder.data, work->place.folder.size, false);
    output_printf(work->context->out, "%s: %s (%s)\n", hook_name(kind), what, buffer_text(&line));
    buffer_deinit(&line);
}

static enum status install(struct work *work, struct error *error)
{
    static const char *const severities[] = {[FAIL_ON_NEVER] = "never",
                                             [FAIL_ON_CRITICAL] = "critical",
                                             [FAIL_ON_HIGH] = "high",
                                             [FAIL_ON_MEDIUM] = "medium",
                                             [FAIL_ON_LOW] = "low"};
    const struct settings *settings = work->context->settings;
    ssize_t size = readlink("/proc/self/exe", work->program, sizeof work->program - 1);
    struct hook_options options = {work->program, "high"};
    enum status status = STATUS_OK;
    work->program[size > 0 ? size : 0] = 0;
    if (settings_is_given(settings, OPTION_FAIL_ON))
        options.severity = severities[settings->fail_on];
    if (work->place.is_shared)
        return error_set(error, STATUS_UNSUPPORTED,
                         "core.hooksPath (%.120s) holds for all of your repositories: nothing was installed there",
                         work->place.folder.data);
    for (int i = 0; !status && i < HOOK_N_KINDS; i++) {
        struct hook_about about;
        if (!work->is_wanted[i])
            continue;
        status = hook_install(work->place.folder.data, (enum hook_kind)i, &options, error);
        if (!status)
            status = hook_look(work->place.folder.data, (enum hook_kind)i, &about, error);
        if (!status)
            say(work, (enum hook_kind)i,
                about.has_before ? "installed; what was there runs first, as its .before-fathom" : "installed");
    }
    return status;
}

static enum status take_away(struct work *work, struct error *error)
{
    enum status status = STATUS_OK;
    for (int i = 0; !status && i < HOOK_N_KINDS; i++) {
        if (!work->is_wanted[i])
            continue;
        status = hook_remove(work->place.folder.data, (enum hook_kind)i, error);
        if (!status)
            say(work, (enum hook_kind)i, "removed");
        else if (status == STATUS_NOT_FOUND) {
            say(work, (enum hook_kind)i, "not installed by fathom, left as it is");
            status = STATUS_OK;
        }
    }
    return status;
}

static enum status show(struct work *work, enum exit_status *exit, struct error *error)
{
    cJSON *object = cJSON_CreateObject(), *list = cJSON_CreateArray();
    enum status status = STATUS_OK;
    json_add(object, "folder", json_text(work->place.folder.data, work->place.folder.size));
    for (int i = 0; !status && i < HOOK_N_KINDS; i++) {
        struct hook_about about;
        if (!work->is_wanted[i])
            continue;
        status = hook_look(work->place.folder.data, (enum hook_kind)i, &about, error);
        if (status)
            break;
        bool is_ours = about.state == HOOK_OURS || about.state == HOOK_EDITED;
        *exit = is_ours ? *exit : EXIT_FOUND;
        cJSON *hook = cJSON_CreateObject();
        json_add_text(hook, "name", hook_name((enum hook_kind)i));
        json_add_text(hook, "state", hook_state_name(about.state));
        json_add(hook, "before", cJSON_CreateBool(about.has_before));
        if (!cJSON_AddItemToArray(list, hook))
            cJSON_Delete(hook);
        if (!work->context->settings->json)
            say(work, (enum hook_kind)i, hook_state_name(about.state));
    }
    json_add(object, "hooks", list);
    if (!status && work->context->settings->json)
        output_json(work->context->out, object);
    else
        cJSON_Delete(object);
    return status;
}

static enum exit_status run(const struct command_context *context)
{
    struct work work = {.context = context};
    struct error error = {0};
    enum action action = ACTION_STATUS;
    enum exit_status exit = EXIT_DONE;
    enum status status = read_words(&work, &action, &error);
    if (!status)
        status = repo_open(".", &work.repo, &error);
    if (!status)
        status = hooks_find(work.repo, &work.place, &error);
    if (!status)
        status = action == ACTION_INSTALL  ? install(&work, &error)
                 : action == ACTION_REMOVE ? take_away(&work, &error)
                                           : show(&work, &exit, &error);
    if (status)
        exit = command_fail(context, &error, NULL);
    if (status == STATUS_ARGUMENT && context->n_arguments && work.repo) /* the words were right */
        exit = EXIT_FAILED;
    hooks_place_deinit(&work.place);
    repo_free(work.repo);
    return exit;
}

static const enum option_id options[] = {OPTION_FAIL_ON};

const struct command command_hook = {
    .name = "hook",
    .synopsis = "install|remove|status [pre-commit] [prepare-commit-msg]",
    .summary = "git hooks that review what is committed and propose its message",
    .help =
        "pre-commit reviews what is staged and stops the commit where a finding is at least as severe as --fail-on "
        "says "
        "(high). A review that fails, as where there is no model, stops nobody. prepare-commit-msg proposes a message "
        "where none is given. Without a name both are meant.\n"
        "\n"
        "Hooks are written where git looks for them: in the repository, which all of its worktrees share, or where "
        "core.hooksPath says, unless that holds for all of your repositories. A hook that is there already stays: it "
        "runs first, as NAME.before-fathom, and remove puts it back. A hook that was edited is left as it is.\n"
        "\n"
        "Exit status 1 of status: not all of them are installed.\n"
        "\n"
        "  fathom hook install pre-commit --fail-on critical\n"
        "  fathom hook status",
    .options = options,
    .n_options = sizeof options / sizeof *options,
    .n_arguments_max = 1 + HOOK_N_KINDS,
    .run = run,
};
