/* command_models: the models that are here. */
#include <string.h>

#include <cjson/cJSON.h>

#include "app/command.h"
#include "app/machine.h"
#include "app/models.h"

/* What the header says of the architecture; false with the reason where it can't be read or run. */
static bool read_arch(const char *path, char *arch, size_t size, struct error *error)
{
    struct model_info *info;
    if (model_info_read(path, KV_F16, &info, error) != STATUS_OK) {
        *arch = 0;
        return false;
    }
    size_t length = strlen(info->arch) < size ? strlen(info->arch) : size - 1;
    memcpy(arch, info->arch, length);
    arch[length] = 0;
    bool is_supported = info->is_supported;
    if (!is_supported)
        error_set(error, STATUS_UNSUPPORTED, "%s", info->why);
    model_info_free(info);
    return is_supported;
}

static void print_json(const struct command_context *context, const struct model_list *list, const char *in_force)
{
    cJSON *object = cJSON_CreateObject(), *models = cJSON_CreateArray();
    for (size_t i = 0; i < list->n; i++) {
        char arch[64];
        struct error error;
        cJSON *entry = cJSON_CreateObject();
        bool is_usable = read_arch(list->items[i].path, arch, sizeof arch, &error);
        json_add_text(entry, "name", list->items[i].name);
        json_add_text(entry, "path", list->items[i].path);
        json_add_integer(entry, "bytes", (int64_t)list->items[i].n_bytes);
        json_add_text(entry, "arch", arch);
        json_add(entry, "in_force", cJSON_CreateBool(strcmp(list->items[i].path, in_force) == 0));
        if (!is_usable)
            json_add_text(entry, "why", error.text);
        if (!cJSON_AddItemToArray(models, entry))
            cJSON_Delete(entry);
    }
    json_add(object, "models", cJSON_GetArraySize(models) == (int)list->n ? models : NULL);
    output_json(context->out, object);
}

static void print_table(const struct command_context *context, const struct model_list *list, const char *in_force)
{
    struct buffer name = {0};
    size_t width = 4;
    for (size_t i = 0; i < list->n; i++)
        if (strlen(list->items[i].name) > width)
            width = strlen(list->items[i].name);
    for (size_t i = 0; i < list->n; i++) {
        char arch[64], bytes[32];
        struct error error;
        bool is_usable = read_arch(list->items[i].path, arch, sizeof arch, &error);
        size_format(list->items[i].n_bytes, bytes, sizeof bytes);
        buffer_clear(&name);
        output_visible(&name, list->items[i].name);
        output_printf(context->out, "%c %-*s  %8s  ", strcmp(list->items[i].path, in_force) == 0 ? '*' : ' ',
                      (int)width, buffer_text(&name), bytes);
        buffer_clear(&name);
        output_visible(&name, is_usable ? arch : error.text);
        output_printf(context->out, is_usable ? "%s\n" : "can't run: %s\n", buffer_text(&name));
    }
    buffer_deinit(&name);
}

static enum exit_status run(const struct command_context *context)
{
    struct model_list list;
    struct error error;
    struct buffer in_force = {0}, folder = {0};
    enum status status = models_list(&list, &error);
    if (status != STATUS_OK)
        return command_fail(context, &error, NULL);
    if (models_resolve(context->settings->model, &in_force, NULL) != STATUS_OK)
        buffer_clear(&in_force);
    if (context->settings->json)
        print_json(context, &list, buffer_text(&in_force));
    else
        print_table(context, &list, buffer_text(&in_force));
    if (!list.n && !context->settings->json && models_folder(&folder, NULL) == STATUS_OK)
        command_notice(context, "no models are here yet (put GGUF files into %s)", buffer_text(&folder));
    model_list_deinit(&list);
    buffer_deinit(&in_force);
    buffer_deinit(&folder);
    return EXIT_DONE;
}

const struct command command_models = {
    .name = "models",
    .synopsis = "",
    .summary = "list the models that are here",
    .help = "Lists the models in $XDG_DATA_HOME/fathom/models (~/.local/share/fathom/models) and those that were "
            "installed with "
            "the program: name, size, architecture. A star marks the model in force. Put GGUF files into that folder "
            "to see "
            "them here; a name is a file's without .gguf.",
    .run = run,
};
