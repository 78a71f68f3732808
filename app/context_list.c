/* context_list: see context_list.h. */
#include "app/context_list.h"

#include <stdio.h>
#include <string.h>

#include "ui/visible.h"

static cJSON *make_list(const struct fim_prompt *prompt, bool has_texts)
{
    cJSON *list = cJSON_CreateArray();
    if (!prompt)
        return list;
    for (size_t i = 0; i < prompt->n_list; i++) {
        const struct fim_part *part = &prompt->list[i];
        cJSON *entry = cJSON_CreateObject(), *lines = cJSON_CreateArray();
        json_add(entry, "path", json_text(part->path.data, part->path.size));
        cJSON_AddItemToArray(lines, cJSON_CreateNumber(part->line));
        cJSON_AddItemToArray(lines, cJSON_CreateNumber(part->end_line));
        json_add(entry, "lines", cJSON_GetArraySize(lines) == 2 ? lines : NULL);
        json_add_integer(entry, "tokens", (int64_t)part->n_tokens);
        json_add(entry, "why", json_text(part->why, strlen(part->why)));
        json_add_text(entry, "source", part->piece ? part->piece->source : "window");
        if (has_texts)
            json_add(entry, "text", json_text(part->text.data, part->text.size));
        if (!cJSON_AddItemToArray(list, entry))
            cJSON_Delete(entry);
    }
    if (cJSON_GetArraySize(list) == (int)prompt->n_list)
        return list;
    cJSON_Delete(list);
    return NULL;
}

cJSON *context_list_json(const struct fim_prompt *prompt)
{
    return make_list(prompt, false);
}

cJSON *context_list_json_texts(const struct fim_prompt *prompt)
{
    return make_list(prompt, true);
}

/* A name that holds a line's end still makes one line. */
static void append_line(const struct command_context *context, const char *text, size_t size, struct buffer *out)
{
    size_t begin = out->size;
    if (context->out->is_terminal)
        visible_append(out, text, size, false);
    else
        buffer_append(out, text, size);
    for (size_t i = begin; i < out->size; i++)
        if (out->data[i] == '\n')
            out->data[i] = '?';
}

static void append_place(const struct command_context *context, const struct fim_part *part, struct buffer *out)
{
    append_line(context, part->path.data, part->path.size, out);
    if (part->line && part->end_line > part->line)
        buffer_printf(out, ":%u-%u", part->line, part->end_line);
    else if (part->line)
        buffer_printf(out, ":%u", part->line);
}

void context_list_print(const struct command_context *context, const struct fim_prompt *prompt, size_t budget)
{
    enum { PLACE_MOST = 48 };
    bool is_colored = context->out->is_colored;
    size_t width = 0;
    struct buffer place = {0};
    for (size_t i = 0; i < prompt->n_list; i++) {
        buffer_clear(&place);
        append_place(context, &prompt->list[i], &place);
        width = place.size > width ? place.size : width;
    }
    width = width < PLACE_MOST ? width : PLACE_MOST;
    for (size_t i = 0; i < prompt->n_list; i++) {
        const struct fim_part *part = &prompt->list[i];
        buffer_clear(&place);
        append_place(context, part, &place);
        output_printf(context->out, is_colored ? "\x1b[32m%6zu\x1b[0m  " : "%6zu  ", part->n_tokens);
        output_printf(context->out, "%-*s  ", (int)width, buffer_text(&place));
        buffer_clear(&place);
        append_line(context, part->why, strlen(part->why), &place);
        output_write(context->out, buffer_text(&place), place.size);
        output_text(context->out, "\n");
    }
    output_printf(context->out, "%6zu  of %zu tokens", prompt->tokens.n, budget);
    if (prompt->n_left_out)
        output_printf(context->out, "; %zu more piece%s found no room, or stand there already", prompt->n_left_out,
                      prompt->n_left_out == 1 ? "" : "s");
    output_text(context->out, "\n");
    buffer_deinit(&place);
}
