/* chat_print: see chat_print.h. */
#include "app/chat_print.h"

static const char dim[] = "\x1b[2m", plain[] = "\x1b[0m";

struct chat_print chat_print_make(struct output *out, struct output *err, bool is_quiet, bool ascii_only)
{
    struct chat_print print = {.answer = out, .visible = {.ascii_only = ascii_only}, .last = '\n'};
    if (out->is_terminal)
        print.thought = out;
    else if (err->is_terminal && !is_quiet)
        print.thought = err;
    return print;
}

static struct output *target(const struct chat_print *print, enum text_part part)
{
    return part == TEXT_THOUGHT ? print->thought : print->answer;
}

/* What the gate held back of the part before comes first, and an empty line parts the two. */
static void change_part(struct chat_print *print, enum text_part part)
{
    struct output *before = target(print, print->part), *after = target(print, part);
    if (print->is_begun && print->part != part && before && before->is_terminal) {
        buffer_clear(&print->scratch);
        visible_finish(&print->visible, &print->scratch);
        output_write(before, print->scratch.data, print->scratch.size);
        if (before->is_colored && print->part == TEXT_THOUGHT)
            output_text(before, plain);
        output_text(before, before == after ? "\n\n" : "\n");
        output_flush(before);
        print->last = '\n';
    }
    if (after && after->is_colored && part == TEXT_THOUGHT && (!print->is_begun || print->part != part))
        output_text(after, dim);
    print->part = part;
    print->is_begun = true;
}

bool chat_print_push(struct chat_print *print, enum text_part part, const char *text, size_t size)
{
    if (!print->answer || size == 0)
        return true;
    if (!print->is_begun || print->part != part)
        change_part(print, part);
    struct output *output = target(print, part);
    if (!output)
        return !print->answer->failure;
    if (output->is_terminal) {
        buffer_clear(&print->scratch);
        visible_push(&print->visible, text, size, &print->scratch);
        text = buffer_text(&print->scratch);
        size = print->scratch.size;
    }
    if (size && output == print->answer)
        print->last = text[size - 1];
    output_write(output, text, size);
    output_flush(output);
    return !print->answer->failure;
}

void chat_print_end_line(struct chat_print *print)
{
    struct output *output = print->answer ? target(print, print->part) : NULL;
    if (output && print->is_begun && output->is_terminal) {
        buffer_clear(&print->scratch);
        visible_finish(&print->visible, &print->scratch);
        if (print->scratch.size && output == print->answer)
            print->last = print->scratch.data[print->scratch.size - 1];
        output_write(output, print->scratch.data, print->scratch.size);
        if (output->is_colored && print->part == TEXT_THOUGHT)
            output_text(output, plain);
        if (output != print->answer)
            output_text(output, "\n");
        output_flush(output);
    }
    if (print->answer && print->last != '\n') {
        output_text(print->answer, "\n");
        output_flush(print->answer);
        print->last = '\n';
    }
    print->is_begun = false;
}

void chat_print_deinit(struct chat_print *print)
{
    buffer_deinit(&print->scratch);
}
