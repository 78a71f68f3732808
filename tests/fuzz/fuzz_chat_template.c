/* fuzz_chat_template: any bytes as a template's text are recognised or refused, and what is recognised renders soundly.
 *
 * Input: one byte that chooses a seed text (ours, of the kind that is recognised) or none, then either a whole template text
 * or a place in the seed and what replaces it.  Checked: pieces cover the prompt, contents are whole and never in a control piece.
 * With FATHOM_PLANT_BUG the user's text is looked for in the prompt instead of being taken from the pieces, which is right
 * for most texts and wrong for one that stands in the template too.  The fuzzer must find it. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "engine/chat.h"

static const char *const SEEDS[] = {
    "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + "
    "'\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}",
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}{{ '<|im_start|>system\n"
    "You are a fuzzed assistant<|im_end|>\n' }}{% endif %}{{'<|im_start|>' + message['role'] + '\n' + "
    "message['content'] + '<|im_end|>' + '\n'}}{% endfor %}{% if add_generation_prompt %}{{ "
    "'<|im_start|>assistant\n' }}{% endif %}",
    "{{ bos_token }}{% for message in messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ "
    "raise_exception('in turn') }}{% endif %}{% if message['role'] == 'user' %}{{ '[INST] ' + message['content'] + "
    "' [/INST]' }}{% elif message['role'] == 'assistant' %}{{ message['content'] + eos_token}}{% else %}{{ "
    "raise_exception('roles') }}{% endif %}{% endfor %}",
    "{% if not add_generation_prompt is defined %}{% set add_generation_prompt = false %}{% endif %}{% if tools %}"
    "{{ tools | tojson }}{% else %}{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + "
    "message['content'] + '<|im_end|>' + '\n'}}{% endfor %}{% endif %}{% if add_generation_prompt %}{{ "
    "'<|im_start|>assistant\n' }}{% endif %}",
};

/* The piece that holds the byte at place. */
static const struct chat_piece *piece_at(const struct chat_prompt *prompt, size_t place)
{
    size_t i = 0;
    while (i + 1 < prompt->n_pieces && place >= prompt->pieces[i].begin + prompt->pieces[i].size)
        i++;
    return &prompt->pieces[i];
}

/* Pieces follow one another; what is no control text is of the user's bytes, and his last message is in it. */
static void check_prompt(const struct chat_prompt *prompt, const struct chat_message *messages, size_t n)
{
    struct buffer plain = {0}, contents = {0};
    struct slice last = messages[n - 1].content;
    size_t at = 0;
    for (size_t i = 0; i < prompt->n_pieces; i++) {
        const struct chat_piece *piece = &prompt->pieces[i];
        if (piece->begin != at || piece->size == 0)
            abort();
        at += piece->size;
        if (!piece->control)
            buffer_append(&plain, prompt->text.data + piece->begin, piece->size);
    }
    for (size_t i = 0; i < n; i++)
        buffer_append(&contents, messages[i].content.data, messages[i].content.size);
    if (at != prompt->text.size || plain.size > contents.size)
        abort();
    /* Trimming takes white space away; bytes that are none of it stay in order. */
    if (last.size && (unsigned char)last.data[0] > ' ' && (unsigned char)last.data[0] < 0x80) {
        const char *found = memmem(plain.data ? plain.data : "", plain.size, last.data, 1);
#ifdef FATHOM_PLANT_BUG
        found = memmem(prompt->text.data, prompt->text.size, last.data, last.size);
        if (found && piece_at(prompt, (size_t)(found - prompt->text.data))->control)
            found = NULL;
#endif
        if (!found || prompt->n_pieces == 0 || piece_at(prompt, at - 1) != &prompt->pieces[prompt->n_pieces - 1])
            abort();
    }
    buffer_deinit(&plain);
    buffer_deinit(&contents);
}

static void check_template(const struct chat_template *chat, const uint8_t *data, size_t size)
{
    struct slice whole = {(const char *)data, size}, first = {(const char *)data, size / 2};
    struct slice empty = {"", 0};
    const struct chat_message talks[][4] = {
        {{CHAT_USER, whole}},
        {{CHAT_SYSTEM, first}, {CHAT_USER, empty}, {CHAT_ASSISTANT, whole}, {CHAT_USER, first}},
        {{CHAT_USER, whole}, {CHAT_ASSISTANT, first}, {CHAT_SYSTEM, whole}, {CHAT_USER, empty}},
    };
    static const size_t sizes[] = {1, 4, 4};
    struct chat_prompt prompt = {0};
    for (size_t i = 0; i < 3; i++) {
        struct chat_options options = {"<s>", "</s>", i != 1, 0};
        if (chat_render(chat, talks[i], sizes[i], &options, &prompt, NULL) == STATUS_OK)
            check_prompt(&prompt, talks[i], sizes[i]);
    }
    chat_prompt_deinit(&prompt);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    size_t choice = data[0] % (sizeof SEEDS / sizeof *SEEDS + 2);
    struct chat_template *chat = NULL;
    struct buffer text = {0};
    if (choice < sizeof SEEDS / sizeof *SEEDS) {
        const char *seed = SEEDS[choice];
        size_t place = data[1] * 2u % (strlen(seed) + 1);
        buffer_append(&text, seed, place);
        buffer_append(&text, data + 2, size - 2);
        buffer_append_text(&text, seed + place);
    } else {
        buffer_append(&text, data + 1, size - 1);
    }
    /* Any family by name, so that rendering is tried even where nothing is recognised. */
    size_t n_names = 0;
    while (chat_template_known_name(n_names))
        n_names++;
    if (chat_template_new_named(chat_template_known_name(data[1] % n_names), &chat, NULL) == STATUS_OK)
        check_template(chat, data + 2, size - 2);
    chat_template_free(chat);
    chat = NULL;
    if (chat_template_new_recognised(text.data, text.size, &chat, NULL) == STATUS_OK)
        check_template(chat, data + 2, size - 2);
    chat_template_free(chat);
    buffer_deinit(&text);
    return 0;
}
