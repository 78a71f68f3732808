/* command_trust: shows what a repository asks for by files of its own, and accepts it. */
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include <cjson/cJSON.h>

#include "app/command.h"
#include "app/trust.h"
#include "ui/visible.h"

struct asking {
    const struct command_context *context;
    struct repo *repo;
    struct trust_file files[TRUST_FILES];
    bool is_refused; /* something isn't in force after all */
};

static enum status read_files(struct asking *asking, struct error *error)
{
    enum status status = STATUS_OK;
    for (int i = 0; status == STATUS_OK && i < TRUST_FILES; i++)
        status = trust_read(asking->repo, i, &asking->files[i], error);
    return status;
}

/* Lines of the repository's, indented, with whatever they hold made visible. */
static void print_file(const struct command_context *context, const struct trust_file *file, const char *root)
{
    struct buffer safe = {0};
    visible_append(&safe, root, strlen(root), false);
    output_printf(context->out, "%s/%s asks for %s, %s:\n", buffer_text(&safe), file->name, file->meaning,
                  file->is_trusted ? "and is trusted" : "and isn't trusted yet");
    const char *at = buffer_text(&file->text), *end = at + file->text.size;
    while (at < end) {
        const char *newline = memchr(at, '\n', (size_t)(end - at)), *stop = newline ? newline : end;
        buffer_clear(&safe);
        visible_append(&safe, at, (size_t)(stop - at), false);
        output_printf(context->out, "    %s\n", buffer_text(&safe));
        at = newline ? newline + 1 : end;
    }
    buffer_deinit(&safe);
}

/* Only an answer that says yes is one. */
static bool says_yes(const struct command_context *context)
{
    char answer[64];
    size_t n = 0;
    char c;
    output_text(context->err, "Trust this content? [y/N] ");
    output_flush(context->out);
    output_flush(context->err);
    while (read(context->in, &c, 1) == 1 && c != '\n')
        if (n < sizeof answer - 1)
            answer[n++] = c;
    answer[n] = 0;
    return strcasecmp(answer, "y") == 0 || strcasecmp(answer, "yes") == 0;
}

static enum status ask(struct asking *asking, struct error *error)
{
    const struct command_context *context = asking->context;
    const struct settings *settings = context->settings;
    enum status status = STATUS_OK;
    for (int i = 0; status == STATUS_OK && i < TRUST_FILES; i++) {
        struct trust_file *file = &asking->files[i];
        if (file->is_there && !settings->json)
            print_file(context, file, repo_root(asking->repo));
        if (!file->is_there || file->is_trusted)
            continue;
        bool can_ask = context->in_is_terminal && context->err->is_terminal && !settings->json;
        if (!settings->yes && !(can_ask && says_yes(context))) {
            asking->is_refused = true;
            continue;
        }
        status = trust_accept(asking->repo, file, error);
        file->is_trusted = status == STATUS_OK;
    }
    return status;
}

static void print_json(const struct asking *asking)
{
    cJSON *object = cJSON_CreateObject(), *list = cJSON_CreateArray();
    const char *root = repo_root(asking->repo);
    size_t n = 0;
    json_add(object, "root", json_text(root, strlen(root)));
    for (int i = 0; i < TRUST_FILES; i++) {
        const struct trust_file *file = &asking->files[i];
        if (!file->is_there)
            continue;
        cJSON *entry = cJSON_CreateObject();
        json_add_text(entry, "path", file->name);
        json_add(entry, "text", json_text(buffer_text(&file->text), file->text.size));
        json_add(entry, "trusted", cJSON_CreateBool(file->is_trusted));
        n++;
        if (!cJSON_AddItemToArray(list, entry))
            cJSON_Delete(entry);
    }
    json_add(object, "files", cJSON_GetArraySize(list) == (int)n ? list : NULL);
    output_json(asking->context->out, object);
}

static void print_end(const struct asking *asking)
{
    bool is_any = false;
    for (int i = 0; i < TRUST_FILES; i++)
        is_any = is_any || asking->files[i].is_there;
    if (!is_any)
        output_text(asking->context->out, "It asks for nothing.\n");
    else if (asking->is_refused)
        command_notice(asking->context, "not trusted, and so not in force (--yes accepts it)");
}

static enum exit_status run(const struct command_context *context)
{
    struct asking asking = {.context = context};
    struct error error = {0};
    size_t n_revoked = 0;
    enum status status = repo_open(context->n_arguments ? context->arguments[0] : ".", &asking.repo, &error);
    if (status == STATUS_OK && context->settings->revoke)
        status = trust_revoke(asking.repo, &n_revoked, &error);
    if (status == STATUS_OK)
        status = read_files(&asking, &error);
    if (status == STATUS_OK && !context->settings->revoke)
        status = ask(&asking, &error);
    if (status == STATUS_OK && context->settings->json)
        print_json(&asking);
    else if (status == STATUS_OK && context->settings->revoke)
        output_text(context->out, n_revoked ? "Nothing of it is trusted any more.\n" : "Nothing of it was trusted.\n");
    else if (status == STATUS_OK)
        print_end(&asking);
    for (int i = 0; i < TRUST_FILES; i++)
        trust_file_deinit(&asking.files[i]);
    if (asking.repo)
        repo_free(asking.repo);
    if (status != STATUS_OK)
        return command_fail(context, &error, NULL);
    return asking.is_refused ? EXIT_FOUND : EXIT_DONE;
}

static const enum option_id options[] = {OPTION_YES, OPTION_REVOKE};

const struct command command_trust = {
    .name = "trust",
    .synopsis = "[--yes | --revoke] [PATH]",
    .summary = "what a repository asks for, and accept it",
    .help =
        "Shows the files by which the repository (or plain folder) that PATH lies in asks for something, and accepts "
        "them once you say so. Before that none of them takes effect, and when one byte of it changes it is asked for "
        "again. For now there is one such file: .fathomignore, which names paths that are not to be indexed, in "
        ".gitignore's syntax.\n"
        "\n"
        "What was accepted is kept in $XDG_STATE_HOME/fathom/trust as a hash of root, name and content. Without a "
        "terminal nothing is asked and nothing accepted: exit status 1 says that something is not in force.\n"
        "\n"
        "  fathom trust\n"
        "  fathom trust --yes && fathom index",
    .options = options,
    .n_options = sizeof options / sizeof *options,
    .n_arguments_max = 1,
    .completes = "file",
    .run = run,
};
