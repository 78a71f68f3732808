/* command_config: what is in force, and where each value comes from. */
#include <string.h>

#include <cjson/cJSON.h>

#include "app/command.h"
#include "app/models.h"

static const char *const origins[] = {[ORIGIN_DEFAULT] = "default",
                                      [ORIGIN_CONFIG] = "config",
                                      [ORIGIN_ENVIRONMENT] = "environment",
                                      [ORIGIN_COMMAND_LINE] = "command line"};

/* Where nobody gave a value and it is found out at run time, the text says how. */
static bool is_open(const struct settings *settings, enum option_id id)
{
    return !settings_is_given(settings, id) && option_row(id)->initial_words && id != OPTION_MODEL;
}

static void append_value(const struct settings *settings, enum option_id id, struct buffer *out)
{
    if (id == OPTION_MODEL && !settings->model)
        buffer_append_text(out, models_default_name);
    else
        settings_print(settings, id, out);
}

/* ---- text ---- */

static void append_source(const struct settings *settings, enum option_id id, struct buffer *out)
{
    const struct setting_source *source = &settings->sources[id];
    if (source->origin == ORIGIN_CONFIG)
        buffer_printf(out, "line %d", source->line);
    else
        buffer_append_text(out, source->origin == ORIGIN_ENVIRONMENT ? "$FATHOM_MODEL" : origins[source->origin]);
}

/* A key and its value as the configuration file takes them: further lines of a text are indented. */
static void print_value(struct output *out, const char *key, const char *value, const char *source)
{
    struct buffer line = {0}, safe = {0};
    for (const char *at = value; *at; at++) {
        buffer_append_byte(&line, *at);
        if (*at == '\n')
            buffer_append_text(&line, "    ");
    }
    output_visible(&safe, buffer_text(&line));
    if (strchr(value, '\n')) /* a comment behind such a text would be taken for a part of it */
        output_printf(out, "; %s: %s\n%s = %s\n", key, source, key, buffer_text(&safe));
    else
        output_printf(out, "%s = %-*s ; %s\n", key, 36 - (int)strlen(key), buffer_text(&safe), source);
    buffer_deinit(&line);
    buffer_deinit(&safe);
}

static void print_line(struct output *out, const struct settings *settings, enum option_id id)
{
    const struct option *row = option_row(id);
    struct buffer value = {0}, source = {0};
    append_source(settings, id, &source);
    append_value(settings, id, &value);
    if (is_open(settings, id))
        output_printf(out, "; %s: %s\n", row->name, row->initial_words);
    else if (!value.size)
        output_printf(out, "; %s: none\n", row->name);
    else if (id == OPTION_LORA)
        for (size_t i = 0; i < settings->lora.n; i++)
            print_value(out, row->name, settings->lora.items[i], buffer_text(&source));
    else
        print_value(out, row->name, value.data, buffer_text(&source));
    buffer_deinit(&value);
    buffer_deinit(&source);
}

static void print_all(const struct command_context *context)
{
    const struct settings *settings = context->settings;
    struct output *out = context->out;
    struct buffer path = {0};
    output_visible(&path, settings->config_path ? settings->config_path : "no configuration: there is no home folder");
    output_printf(out, "; %s%s\n", buffer_text(&path), settings->config_exists ? "" : " (not there)");
    buffer_deinit(&path);
    for (int section = 0; section < SECTION_COMMAND; section++) {
        output_printf(out, "\n[%s]\n", option_section_name((enum option_section)section));
        for (int id = 0; id < OPTION_LIMIT; id++)
            if (option_row((enum option_id)id)->is_configurable &&
                (int)option_row((enum option_id)id)->section == section)
                print_line(out, settings, (enum option_id)id);
    }
}

/* ---- JSON ---- */

static cJSON *list_node(const struct text_list *list)
{
    cJSON *node = cJSON_CreateArray();
    for (size_t i = 0; i < list->n; i++) {
        cJSON *item = json_text(list->items[i], strlen(list->items[i]));
        if (!cJSON_AddItemToArray(node, item))
            cJSON_Delete(item);
    }
    return node;
}

static cJSON *value_node(const struct settings *settings, enum option_id id)
{
    const struct option *row = option_row(id);
    struct buffer text = {0};
    cJSON *node;
    append_value(settings, id, &text);
    if (id == OPTION_LORA)
        node = list_node(&settings->lora);
    else if (is_open(settings, id) || (row->kind == OPTION_TEXT && !text.size))
        node = cJSON_CreateNull();
    else if (row->kind == OPTION_FLAG)
        node = cJSON_CreateBool(strcmp(text.data, "yes") == 0);
    else if (row->kind == OPTION_INTEGER || row->kind == OPTION_REAL)
        node = cJSON_CreateRaw(buffer_text(&text));
    else
        node = json_text(buffer_text(&text), text.size);
    buffer_deinit(&text);
    return node;
}

static void print_json(const struct command_context *context)
{
    const struct settings *settings = context->settings;
    cJSON *object = cJSON_CreateObject(), *all = cJSON_CreateObject();
    json_add_text(object, "path", settings->config_path);
    json_add(object, "exists", cJSON_CreateBool(settings->config_exists));
    for (int i = 0; i < OPTION_LIMIT; i++) {
        enum option_id id = (enum option_id)i;
        if (!option_row(id)->is_configurable)
            continue;
        cJSON *entry = cJSON_CreateObject();
        json_add(entry, "value", value_node(settings, id));
        json_add_text(entry, "from", origins[settings->sources[id].origin]);
        if (settings->sources[id].origin == ORIGIN_CONFIG)
            json_add_integer(entry, "line", settings->sources[id].line);
        json_add(all, option_row(id)->name, entry);
    }
    json_add(object, "settings", all);
    output_json(context->out, object);
}

/* ---- one value ---- */

static enum exit_status print_one(const struct command_context *context, const char *key)
{
    enum option_id id;
    struct buffer text = {0};
    if (!option_find(key, strlen(key), NULL, 0, &id) || !option_row(id)->is_configurable)
        return command_fail_with(context, STATUS_ARGUMENT, "%.60s: no such key (fathom config lists them)", key);
    if (is_open(context->settings, id))
        buffer_append_text(&text, option_row(id)->initial_words);
    else
        append_value(context->settings, id, &text);
    output_printf(context->out, "%s\n", buffer_text(&text));
    buffer_deinit(&text);
    return EXIT_DONE;
}

static enum exit_status run(const struct command_context *context)
{
    if (context->n_arguments && !context->settings->json)
        return print_one(context, context->arguments[0]);
    if (context->settings->json)
        print_json(context);
    else
        print_all(context);
    return EXIT_DONE;
}

const struct command command_config = {
    .name = "config",
    .synopsis = "[KEY]",
    .summary = "print what is in force and where each value comes from",
    .help =
        "Prints every setting that a configuration can hold: its value and where it comes from, the command line, "
        "the environment ($FATHOM_MODEL), the configuration file or the program's default, in this order of strength. "
        "With KEY, that value alone. What it prints is itself a configuration:\n"
        "\n"
        "  fathom config --temp 0.3 > ~/.config/fathom/config\n"
        "\n"
        "The file is $XDG_CONFIG_HOME/fathom/config (~/.config/fathom/config): `key = value` under [sections], a key "
        "is a "
        "long option's name. A line that begins with ; or #, and what follows a blank and ; on a key's line, is a "
        "comment. "
        "A text goes on over lines that are indented.",
    .n_arguments_max = 1,
    .completes = "key",
    .run = run,
};
