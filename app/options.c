/* options: see options.h.  How a value's text becomes a setting. */
#include "app/options.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the table ---- */

const char *option_section_name(enum option_section section)
{
    static const char *const names[SECTION_LIMIT] = {"model", "sampling",   "chat",   "output",
                                                     "index", "completion", "server", "command"};
    return names[section];
}

bool option_is_global(enum option_id id)
{
    return option_row(id)->section != SECTION_COMMAND;
}

static bool is_accepted(enum option_id id, const enum option_id *listed, size_t n_listed)
{
    bool found = option_is_global(id);
    for (size_t i = 0; !found && i < n_listed; i++)
        found = listed[i] == id;
    return found;
}

bool option_find(const char *name, size_t size, const enum option_id *listed, size_t n_listed, enum option_id *id)
{
    struct slice wanted = {name, size};
    for (enum option_id i = 0; i < OPTION_LIMIT; i++)
        if (slice_equals(wanted, option_row(i)->name) && is_accepted(i, listed, n_listed)) {
            *id = i;
            return true;
        }
    return false;
}

bool option_find_letter(char letter, const enum option_id *listed, size_t n_listed, enum option_id *id)
{
    for (enum option_id i = 0; letter && i < OPTION_LIMIT; i++)
        if (option_row(i)->letter == letter && is_accepted(i, listed, n_listed)) {
            *id = i;
            return true;
        }
    return false;
}

void option_describe(enum option_id id, struct buffer *out)
{
    if (option_row(id)->letter)
        buffer_printf(out, "-%c/", option_row(id)->letter);
    buffer_printf(out, "--%s", option_row(id)->name);
}

/* ---- settings ---- */

static void *field(struct settings *settings, enum option_id id)
{
    return (char *)settings + option_row(id)->offset;
}

static const void *field_const(const struct settings *settings, enum option_id id)
{
    return (const char *)settings + option_row(id)->offset;
}

enum status settings_init(struct settings *settings, struct error *error)
{
    *settings = (struct settings){0};
    for (enum option_id i = 0; i < OPTION_LIMIT; i++) {
        if (!option_row(i)->initial)
            continue;
        enum status status = settings_store(settings, i, option_row(i)->initial, (struct setting_source){0}, error);
        if (status != STATUS_OK)
            return status;
    }
    return STATUS_OK;
}

void settings_deinit(struct settings *settings)
{
    arena_deinit(&settings->arena);
    *settings = (struct settings){0};
}

bool settings_is_given(const struct settings *settings, enum option_id id)
{
    return settings->sources[id].origin != ORIGIN_DEFAULT;
}

static enum status value_wrong(enum option_id id, const char *text, struct error *error)
{
    struct buffer name = {0}, takes = {0};
    const struct option *row = option_row(id);
    option_describe(id, &name);
    if (row->kind == OPTION_FLAG) {
        buffer_append_text(&takes, "it takes yes or no");
    } else if (row->kind == OPTION_CHOICE) {
        buffer_append_text(&takes, "it is one of");
        for (const char *word = row->choices; *word;) {
            size_t size = strcspn(word, "|");
            buffer_printf(&takes, "%s %.*s", word == row->choices ? "" : ",", (int)size, word);
            word += size + (word[size] == '|');
        }
    } else if (row->kind == OPTION_REAL) {
        buffer_printf(&takes, "it takes a number from %g to %g", row->minimum, row->maximum);
    } else {
        buffer_printf(&takes, "it takes %s from %.0f to %.0f",
                      row->kind == OPTION_NUMBERS ? "whole numbers parted by commas," : "a whole number", row->minimum,
                      row->maximum);
    }
    enum status status =
        error_set(error, STATUS_ARGUMENT, "%s: \"%.60s\" won't do (%s)", buffer_text(&name), text, buffer_text(&takes));
    buffer_deinit(&name);
    buffer_deinit(&takes);
    return status;
}

static bool parse_integer(const char *text, double minimum, double maximum, int64_t *out)
{
    char *end;
    errno = 0;
    /* strtoll skips white space and takes a plus; a value has neither. */
    if (!((*text >= '0' && *text <= '9') || *text == '-'))
        return false;
    long long value = strtoll(text, &end, 10);
    if (errno || end == text || *end || (double)value < minimum || (double)value > maximum)
        return false;
    *out = value;
    return true;
}

static bool parse_real(const char *text, double minimum, double maximum, double *out)
{
    if (!*text || strspn(text, "0123456789.eE+-") != strlen(text)) /* no hexadecimal, no inf, no nan */
        return false;
    char *end;
    double value = strtod(text, &end);
    if (end == text || *end || !isfinite(value) || value < minimum || value > maximum)
        return false;
    *out = value;
    return true;
}

static bool parse_flag(const char *text, bool *out)
{
    static const char *const words[] = {"yes", "no", "true", "false", "on", "off", "1", "0"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcmp(text, words[i]) == 0) {
            *out = i % 2 == 0;
            return true;
        }
    return false;
}

static bool parse_choice(const char *text, const char *choices, int *out)
{
    size_t size = strlen(text);
    int index = 0;
    for (const char *word = choices;; index++) {
        size_t length = strcspn(word, "|");
        if (length == size && memcmp(word, text, size) == 0) {
            *out = index;
            return true;
        }
        if (!word[length])
            return false;
        word += length + 1;
    }
}

enum status numbers_parse(const char *text, int64_t maximum, struct arena *arena, struct number_list *out,
                          struct error *error)
{
    static const char separators[] = ", \t\r\n\v\f";
    size_t capacity = strlen(text) / 2 + 1; /* every number is followed by a separator */
    struct number_list list = {arena_alloc(arena, capacity * sizeof *list.items), 0};
    if (!list.items)
        return error_set(error, STATUS_MEMORY, "out of memory");
    for (const char *at = text + strspn(text, separators); *at;) {
        size_t size = strcspn(at, separators);
        int64_t value = 0;
        bool is_right = true;
        for (size_t i = 0; is_right && i < size; i++) {
            is_right = at[i] >= '0' && at[i] <= '9' && value <= (maximum - (at[i] - '0')) / 10;
            value = is_right ? value * 10 + (at[i] - '0') : value;
        }
        if (!is_right)
            return error_set(error, STATUS_ARGUMENT, "\"%.*s\" is no number from 0 to %lld", size > 40 ? 40 : (int)size,
                             at, (long long)maximum);
        list.items[list.n++] = value;
        at += size;
        at += strspn(at, separators);
    }
    *out = list;
    return STATUS_OK;
}

static enum status store_numbers(struct settings *settings, enum option_id id, const char *text, struct error *error)
{
    struct number_list list = {0};
    enum status status = numbers_parse(text, (int64_t)option_row(id)->maximum, &settings->arena, &list, error);
    bool is_right = status == STATUS_OK && list.n > 0;
    for (size_t i = 0; is_right && i < list.n; i++)
        is_right = (double)list.items[i] >= option_row(id)->minimum;
    if (status == STATUS_MEMORY)
        return status;
    if (!is_right)
        return value_wrong(id, text, error);
    *(struct number_list *)field(settings, id) = list;
    return STATUS_OK;
}

static enum status store_text(struct settings *settings, enum option_id id, const char *text,
                              struct setting_source source, struct error *error)
{
    char *copy = arena_copy_text(&settings->arena, text, strlen(text));
    if (!copy)
        return error_set(error, STATUS_MEMORY, "out of memory");
    if (option_row(id)->kind != OPTION_TEXTS) {
        *(const char **)field(settings, id) = copy;
        return STATUS_OK;
    }
    struct text_list *list = field(settings, id);
    /* What comes from a stronger place replaces the list, what comes from the same place adds to it. */
    size_t n = settings->sources[id].origin == source.origin ? list->n : 0;
    const char **items = arena_alloc(&settings->arena, (n + 1) * sizeof *items);
    if (!items)
        return error_set(error, STATUS_MEMORY, "out of memory");
    if (n)
        memcpy(items, list->items, n * sizeof *items);
    items[n] = copy;
    *list = (struct text_list){items, n + 1};
    return STATUS_OK;
}

enum status settings_store(struct settings *settings, enum option_id id, const char *text, struct setting_source source,
                           struct error *error)
{
    const struct option *row = option_row(id);
    void *target = field(settings, id);
    enum status status = STATUS_OK;
    bool is_right = true;
    switch (row->kind) {
    case OPTION_FLAG:
        is_right = parse_flag(text ? text : "yes", target);
        break;
    case OPTION_INTEGER:
        is_right = parse_integer(text, row->minimum, row->maximum, target);
        break;
    case OPTION_REAL:
        is_right = parse_real(text, row->minimum, row->maximum, target);
        break;
    case OPTION_CHOICE:
        is_right = parse_choice(text, row->choices, target);
        break;
    case OPTION_NUMBERS:
        status = store_numbers(settings, id, text, error);
        break;
    case OPTION_TEXT:
    case OPTION_OPTIONAL_TEXT:
    case OPTION_TEXTS:
        status = store_text(settings, id, text ? text : "", source, error);
        break;
    }
    if (!is_right)
        return value_wrong(id, text, error);
    if (status == STATUS_OK)
        settings->sources[id] = source;
    return status;
}

void settings_print(const struct settings *settings, enum option_id id, struct buffer *out)
{
    const void *source = field_const(settings, id);
    const struct text_list *texts = source;
    const struct number_list *numbers = source;
    const char *word;
    switch (option_row(id)->kind) {
    case OPTION_FLAG:
        buffer_append_text(out, *(const bool *)source ? "yes" : "no");
        break;
    case OPTION_INTEGER:
        buffer_printf(out, "%lld", (long long)*(const int64_t *)source);
        break;
    case OPTION_REAL:
        buffer_printf(out, "%g", *(const double *)source);
        break;
    case OPTION_CHOICE:
        word = option_row(id)->choices;
        for (int i = 0; i < *(const int *)source; i++)
            word = strchr(word, '|') + 1;
        buffer_append(out, word, strcspn(word, "|"));
        break;
    case OPTION_TEXT:
    case OPTION_OPTIONAL_TEXT:
        if (*(const char *const *)source)
            buffer_append_text(out, *(const char *const *)source);
        break;
    case OPTION_TEXTS:
        for (size_t i = 0; i < texts->n; i++)
            buffer_printf(out, "%s%s", i ? "," : "", texts->items[i]);
        break;
    case OPTION_NUMBERS:
        for (size_t i = 0; i < numbers->n; i++)
            buffer_printf(out, "%s%lld", i ? "," : "", (long long)numbers->items[i]);
        break;
    }
}
