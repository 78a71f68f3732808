/* config: see config.h. */
#include "app/config.h"

#include <ini.h>
#include <stdlib.h>
#include <string.h>

#include "app/models.h"
#include "app/output.h"

enum { MAX_CONFIG = 1 << 20 };

struct parse {
    struct settings *settings;
    const char *path;
    const char *rest; /* text not read yet */
    size_t rest_size;
    int line;         /* of what was read last */
    bool is_indented; /* that line begins with a blank */
    int last_id;      /* option of the key before, -1: none */
    struct error *error;
    enum status status;
};

static int fail(struct parse *parse, const char *what, const char *name, const char *more)
{
    parse->status =
        error_set(parse->error, STATUS_FORMAT, "%s:%d: %s%.60s%s", parse->path, parse->line, what, name, more);
    return 0;
}

/* What fgets would give.  inih cuts a line that is longer than its own buffer in two; we refuse it. */
static char *read_line(char *out, int size, void *stream)
{
    struct parse *parse = stream;
    if (parse->status != STATUS_OK || parse->rest_size == 0)
        return NULL;
    const char *end = memchr(parse->rest, '\n', parse->rest_size);
    size_t length = end ? (size_t)(end - parse->rest) + 1 : parse->rest_size;
    parse->line++;
    if (length >= (size_t)size - 1) {
        fail(parse, "the line is too long (go on with a text on the next line, indented)", "", "");
        return NULL;
    }
    if (memchr(parse->rest, 0, length)) {
        fail(parse, "there is a NUL byte: this is no text file", "", "");
        return NULL;
    }
    memcpy(out, parse->rest, length);
    out[length] = 0;
    parse->is_indented = *out == ' ' || *out == '\t';
    parse->rest += length;
    parse->rest_size -= length;
    return out;
}

static bool section_find(const char *name, enum option_section *section)
{
    for (int i = 0; i < SECTION_COMMAND; i++)
        if (strcmp(option_section_name((enum option_section)i), name) == 0) {
            *section = (enum option_section)i;
            return true;
        }
    return false;
}

static int unknown_key(struct parse *parse, const char *key)
{
    unsigned best = 99;
    const char *nearest = NULL;
    for (int i = 0; i < OPTION_LIMIT; i++) {
        const struct option *row = option_row((enum option_id)i);
        unsigned distance = words_distance(key, row->name);
        if (row->is_configurable && distance < best) {
            best = distance;
            nearest = row->name;
        }
    }
    struct buffer hint = {0};
    if (nearest && words_are_near(best, key))
        buffer_printf(&hint, ": no such key (did you mean %s?)", nearest);
    else
        buffer_append_text(&hint, ": no such key (fathom config lists them)");
    fail(parse, "", key, buffer_text(&hint));
    buffer_deinit(&hint);
    return 0;
}

/* A further line of the text before. */
static int add_line(struct parse *parse, enum option_id id, const char *value)
{
    struct buffer text = {0};
    if (option_row(id)->kind != OPTION_TEXT)
        return fail(parse, "", option_row(id)->name, ": its value takes one line");
    settings_print(parse->settings, id, &text);
    buffer_printf(&text, "\n%s", value);
    struct setting_source source = parse->settings->sources[id];
    parse->status = buffer_status(&text, parse->error);
    if (parse->status == STATUS_OK)
        parse->status = settings_store(parse->settings, id, text.data, source, parse->error);
    buffer_deinit(&text);
    return parse->status == STATUS_OK;
}

static int take_key(void *context, const char *section_name, const char *key, const char *value)
{
    struct parse *parse = context;
    enum option_id id;
    enum option_section section = SECTION_COMMAND;
    if (parse->status != STATUS_OK)
        return 0;
    if (*section_name && !section_find(section_name, &section))
        return fail(parse, "[", section_name,
                    "]: no such section (there are model, sampling, chat, output, index,"
                    " completion and server)");
    if (!option_find(key, strlen(key), NULL, 0, &id) || !option_row(id)->is_configurable)
        return unknown_key(parse, key);
    if (*section_name && option_row(id)->section != section) {
        struct buffer where = {0};
        buffer_printf(&where, ": it belongs under [%s]", option_section_name(option_row(id)->section));
        fail(parse, "", key, buffer_text(&where));
        buffer_deinit(&where);
        return 0;
    }
    if (parse->is_indented && (int)id == parse->last_id)
        return add_line(parse, id, value);
    struct error inner;
    struct setting_source source = {ORIGIN_CONFIG, parse->line};
    enum status status = settings_store(parse->settings, id, value, source, &inner);
    parse->last_id = (int)id;
    return status == STATUS_OK ? 1 : fail(parse, inner.text, "", "");
}

enum status config_parse(struct settings *settings, const char *path, const char *text, size_t size,
                         struct error *error)
{
    struct parse parse = {
        .settings = settings, .path = path, .rest = text, .rest_size = size, .last_id = -1, .error = error};
    int line = ini_parse_stream(read_line, &parse, take_key, &parse);
    if (parse.status == STATUS_OK && line != 0) {
        parse.line = line;
        fail(&parse, "neither `key = value` nor [section]", "", "");
    }
    return parse.status;
}

enum status config_load(struct settings *settings, struct error *error)
{
    struct buffer path = {0}, text = {0};
    struct error inner;
    enum status status = STATUS_OK;
    if (xdg_folder("XDG_CONFIG_HOME", ".config", &path, NULL) == STATUS_OK) {
        buffer_append_text(&path, "/fathom/config");
        settings->config_path = arena_copy_text(&settings->arena, buffer_text(&path), path.size);
        status = input_read_file(buffer_text(&path), NULL, MAX_CONFIG, &text, &inner);
        settings->config_exists = status == STATUS_OK;
        if (status == STATUS_OK)
            status = config_parse(settings, buffer_text(&path), buffer_text(&text), text.size, error);
        else if (status == STATUS_NOT_FOUND)
            status = STATUS_OK;
        else
            error_set(error, status, "%s", inner.text);
    }
    const char *model = getenv("FATHOM_MODEL");
    if (status == STATUS_OK && model && *model)
        status = settings_store(settings, OPTION_MODEL, model, (struct setting_source){ORIGIN_ENVIRONMENT, 0}, error);
    buffer_deinit(&path);
    buffer_deinit(&text);
    return status;
}
