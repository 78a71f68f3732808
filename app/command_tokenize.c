/* command_tokenize: text to token ids and back, by the vocabulary alone: no weights are loaded. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "app/command.h"
#include "app/models.h"

enum { MAX_TEXT = 1 << 30 };

static bool is_utf8(struct slice text)
{
    for (size_t i = 0; i < text.size;) {
        uint32_t c;
        int length = utf8_decode(text.data + i, text.size - i, &c);
        if (length <= 0)
            return false;
        i += (size_t)length;
    }
    return true;
}

/* A list may hold millions of tokens, so the object is written as it goes. */
static void print_json(struct output *out, const struct vocabulary *vocabulary, const struct tokens *tokens)
{
    struct buffer text = {0};
    output_text(out, "{\"ids\":[");
    for (size_t i = 0; i < tokens->n; i++)
        output_printf(out, i ? ",%d" : "%d", tokens->ids[i]);
    output_text(out, "],\"pieces\":[");
    for (size_t i = 0; i < tokens->n; i++) {
        struct slice piece = vocabulary_piece(vocabulary, tokens->ids[i], true);
        buffer_clear(&text);
        json_append_string(&text, piece.data, piece.size);
        output_text(out, i ? "," : "");
        output_write(out, buffer_text(&text), text.size);
    }
    bool is_first = true;
    for (size_t i = 0; i < tokens->n; i++) {
        struct slice piece = vocabulary_piece(vocabulary, tokens->ids[i], true);
        if (is_utf8(piece))
            continue;
        output_printf(out, is_first ? "],\"bytes\":{\"%zu\":\"" : ",\"%zu\":\"", i);
        for (size_t k = 0; k < piece.size; k++)
            output_printf(out, "%02x", (unsigned char)piece.data[k]);
        output_text(out, "\"");
        is_first = false;
    }
    output_text(out, is_first ? "]}\n" : "}}\n");
    if (text.failed)
        out->failure = out->failure ? out->failure : ENOMEM;
    buffer_deinit(&text);
}

static enum exit_status encode(const struct command_context *context, const struct vocabulary *vocabulary)
{
    struct buffer text = {0};
    struct tokens tokens = {0};
    struct error error;
    bool is_piped = context->n_arguments == 0 || strcmp(context->arguments[0], "-") == 0;
    enum status status = STATUS_OK;
    if (is_piped)
        status = input_read_file("-", context->cancel, MAX_TEXT, &text, &error);
    struct slice source = is_piped ? (struct slice){buffer_text(&text), text.size} : slice_from(context->arguments[0]);
    if (status == STATUS_OK)
        status = vocabulary_tokenize(vocabulary, source.data, source.size,
                                     context->settings->special ? ENGINE_SPECIAL : 0, &tokens, &error);
    if (status == STATUS_OK && context->settings->json) {
        print_json(context->out, vocabulary, &tokens);
    } else if (status == STATUS_OK) {
        for (size_t i = 0; i < tokens.n; i++)
            output_printf(context->out, i ? " %d" : "%d", tokens.ids[i]);
        output_text(context->out, "\n");
    }
    buffer_deinit(&text);
    tokens_deinit(&tokens);
    return status == STATUS_OK ? EXIT_DONE : command_fail(context, &error, NULL);
}

static enum exit_status decode(const struct command_context *context, const struct vocabulary *vocabulary)
{
    struct buffer bytes = {0};
    struct tokens tokens = {0};
    struct error error;
    enum status status = command_read_ids(context, OPTION_DECODE_IDS, vocabulary_n(vocabulary), &tokens, &error);
    if (status == STATUS_OK) {
        vocabulary_decode(vocabulary, tokens.ids, tokens.n, context->settings->special, &bytes);
        status = buffer_status(&bytes, &error);
    }
    if (status == STATUS_OK && context->settings->json)
        print_json(context->out, vocabulary, &tokens);
    else if (status == STATUS_OK)
        output_write(context->out, buffer_text(&bytes), bytes.size);
    buffer_deinit(&bytes);
    tokens_deinit(&tokens);
    return status == STATUS_OK ? EXIT_DONE : command_fail(context, &error, NULL);
}

static enum exit_status run(const struct command_context *context)
{
    struct vocabulary *vocabulary;
    struct buffer path = {0};
    struct error error;
    bool is_decoding = settings_is_given(context->settings, OPTION_DECODE_IDS);
    if (is_decoding && context->n_arguments)
        return command_fail_with(context, STATUS_ARGUMENT, "tokenize: --decode takes no text beside the ids");
    enum status status = models_resolve(context->settings->model, &path, &error);
    if (status == STATUS_OK)
        status = vocabulary_open(buffer_text(&path), &vocabulary, &error);
    buffer_deinit(&path);
    if (status != STATUS_OK)
        return command_fail(context, &error, NULL);
    enum exit_status result = is_decoding ? decode(context, vocabulary) : encode(context, vocabulary);
    vocabulary_close(vocabulary);
    return result;
}

static const enum option_id options[] = {OPTION_SPECIAL, OPTION_DECODE_IDS};

const struct command command_tokenize = {
    .name = "tokenize",
    .synopsis = "[--special] [TEXT] | --decode IDS",
    .summary = "turn text into token ids, or ids into bytes",
    .help =
        "Prints the ids of TEXT's tokens on one line, without begin and end marks. Without TEXT, or with -, the text "
        "comes "
        "from stdin, every byte of it. Only the vocabulary is read, so a large model answers as fast as a small one.\n"
        "\n"
        "Text never becomes a control token unless --special is given.\n"
        "\n"
        "With --json: ids and pieces. A piece that isn't valid UTF-8 by itself is shown with U+FFFD; \"bytes\" then "
        "gives its "
        "bytes in hexadecimal, by its place in the list.\n"
        "\n"
        "  fathom tokenize 'int main(void)'\n"
        "  fathom tokenize --json < main.c\n"
        "  fathom tokenize hello | fathom tokenize --decode -",
    .options = options,
    .n_options = sizeof options / sizeof *options,
    .n_arguments_max = 1,
    .run = run,
};
