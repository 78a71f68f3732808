/* test_chat: every template of the data folder is recognised and renders like its program, or is refused.
 *
 * The golden file (tests/make_chat_golden.py) names templates by the hash of their text; the texts come from the data
 * folder.  So a template that is missing there, or that the golden file doesn't know, is a failure. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "engine/chat.h"
#include "engine/chat_families.h"
#include "engine/chat_normal.h"
#include "engine/gguf.h"

enum { MAX_MESSAGES = 16 };

static cJSON *golden;

/* ---- what the tests need ---- */

static struct buffer file_read(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (!file)
        fail_msg("%s is missing", path);
    struct buffer text = {0};
    char block[65536];
    size_t n;
    while ((n = fread(block, 1, sizeof block, file)) > 0)
        buffer_append(&text, block, n);
    fclose(file);
    assert_false(text.failed);
    return text;
}

static const char *data_folder(void)
{
    const char *folder = getenv("FATHOM_TEST_DATA");
    if (!folder)
        fail_msg("FATHOM_TEST_DATA is not set");
    return folder;
}

static int golden_load(void **state)
{
    (void)state;
    FILE *file = fopen("tests/golden/chat.json", "rb");
    if (!file)
        return -1;
    struct buffer text = {0};
    char block[65536];
    size_t n;
    while ((n = fread(block, 1, sizeof block, file)) > 0)
        buffer_append(&text, block, n);
    fclose(file);
    golden = cJSON_Parse(buffer_text(&text));
    buffer_deinit(&text);
    return golden ? 0 : -1;
}

static int golden_free(void **state)
{
    (void)state;
    cJSON_Delete(golden);
    return 0;
}

static const char *field(const cJSON *row, const char *name)
{
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(row, name));
    if (!text)
        fail_msg("the golden file has no %s", name);
    return text;
}

enum { HASH_SIZE = 17 };

static void hash_write(const char *text, size_t size, char out[HASH_SIZE])
{
    uint64_t hash = 0xcbf29ce484222325u;
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ (unsigned char)text[i]) * 0x100000001b3u;
    snprintf(out, HASH_SIZE, "%016llx", (unsigned long long)hash);
}

static cJSON *golden_find(const char *text, size_t size)
{
    char name[HASH_SIZE];
    hash_write(text, size, name);
    cJSON *row;
    cJSON_ArrayForEach(row, cJSON_GetObjectItemCaseSensitive(golden, "templates"))
    {
        if (strcmp(field(row, "hash"), name) == 0)
            return row;
    }
    return NULL;
}

static size_t conversation_read(const cJSON *conversation, struct chat_message *messages)
{
    size_t n = 0;
    const cJSON *pair;
    cJSON_ArrayForEach(pair, conversation)
    {
        assert_true(n < MAX_MESSAGES);
        const char *role = cJSON_GetStringValue(cJSON_GetArrayItem(pair, 0));
        messages[n].role = *role == 's' ? CHAT_SYSTEM : *role == 'u' ? CHAT_USER : CHAT_ASSISTANT;
        messages[n++].content = slice_from(cJSON_GetStringValue(cJSON_GetArrayItem(pair, 1)));
    }
    return n;
}

/* Pieces follow one another without gap, none is empty, kinds take turns, and what is no control text lies in the messages
 * (two of them may stand side by side). */
static void assert_pieces(const struct chat_prompt *prompt, const struct chat_message *messages, size_t n)
{
    size_t at = 0;
    struct buffer contents = {0};
    for (size_t i = 0; i < n; i++)
        buffer_append(&contents, messages[i].content.data, messages[i].content.size);
    for (size_t i = 0; i < prompt->n_pieces; i++) {
        const struct chat_piece *piece = &prompt->pieces[i];
        assert_int_equal(piece->begin, at);
        assert_true(piece->size > 0);
        assert_true(i == 0 || piece->control != prompt->pieces[i - 1].control);
        at += piece->size;
        if (piece->control)
            continue;
        if (!memmem(contents.data, contents.size, prompt->text.data + piece->begin, piece->size))
            fail_msg("\"%.*s\" is in no message", (int)piece->size, prompt->text.data + piece->begin);
    }
    buffer_deinit(&contents);
    assert_int_equal(at, prompt->text.size);
}

/* Whether text is body and then opening; a long body is there as "fnv1a HASH". */
static bool text_is(const struct buffer *text, const char *body, const char *opening)
{
    size_t size = strlen(opening);
    if (text->size < size || memcmp(text->data + text->size - size, opening, size) != 0)
        return false;
    size = text->size - size;
    if (strncmp(body, "fnv1a ", 6) != 0)
        return strlen(body) == size && memcmp(text->data, body, size) == 0;
    char hash[HASH_SIZE];
    hash_write(text->data, size, hash);
    return strcmp(hash, body + 6) == 0;
}

/* All conversations, without and with what opens the assistant's turn. */
static void assert_renders(const struct chat_template *chat, const cJSON *row)
{
    struct chat_prompt prompt = {0};
    const cJSON *conversation;
    cJSON_ArrayForEach(conversation, cJSON_GetObjectItemCaseSensitive(golden, "conversations"))
    {
        struct chat_message messages[MAX_MESSAGES];
        size_t n = conversation_read(conversation, messages);
        const cJSON *expected =
            cJSON_GetObjectItemCaseSensitive(cJSON_GetObjectItemCaseSensitive(row, "renders"), conversation->string);
        assert_non_null(expected);
        for (int add_generation = 0; add_generation < 2; add_generation++) {
            struct chat_options options = {field(row, "bos"), field(row, "eos"), add_generation, 0};
            struct error error = {0};
            enum status status = chat_render(chat, messages, n, &options, &prompt, &error);
            if (cJSON_IsNull(expected)) {
                if (status != STATUS_ARGUMENT || !error.text[0])
                    fail_msg("%s, %s: no error where the program raises one", field(row, "name"), conversation->string);
                continue;
            }
            if (status)
                fail_msg("%s, %s: %s", field(row, "name"), conversation->string, error.text);
            int number = (int)cJSON_GetNumberValue(cJSON_GetArrayItem(expected, 0));
            const char *body =
                cJSON_GetStringValue(cJSON_GetArrayItem(cJSON_GetObjectItemCaseSensitive(golden, "texts"), number));
            const char *opening = add_generation ? cJSON_GetStringValue(cJSON_GetArrayItem(expected, 1)) : "";
            assert_non_null(body);
            assert_non_null(opening);
            if (!text_is(&prompt.text, body, opening))
                fail_msg("%s, %s:\n--- got\n%s\n--- expected\n%s%s", field(row, "name"), conversation->string,
                         buffer_text(&prompt.text), body, opening);
            assert_pieces(&prompt, messages, n);
        }
    }
    chat_prompt_deinit(&prompt);
}

/* One template's text: as the golden file says.  Returns whether it was recognised. */
static bool assert_template(const char *where, const char *text, size_t size)
{
    cJSON *row = golden_find(text, size);
    if (!row)
        fail_msg("%s: the golden file doesn't know this text", where);
    const char *family = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(row, "family"));
    struct chat_template *chat = NULL;
    struct error error = {0};
    enum status status = chat_template_new_recognised(text, size, &chat, &error);
    cJSON_DeleteItemFromObjectCaseSensitive(row, "seen");
    cJSON_AddTrueToObject(row, "seen");
    if (!family) {
        if (status != STATUS_UNSUPPORTED)
            fail_msg("%s was taken for %s", where, chat ? chat_template_name(chat) : "?");
        assert_null(chat);
        return false;
    }
    if (status)
        fail_msg("%s is not recognised: %s", where, error.text);
    assert_string_equal(chat_template_name(chat), family);
    assert_renders(chat, row);
    chat_template_free(chat);
    return true;
}

/* ---- the templates ---- */

static void test_template_files(void **state)
{
    (void)state;
    char path[4096];
    snprintf(path, sizeof path, "%s/templates", data_folder());
    DIR *folder = opendir(path);
    if (!folder)
        fail_msg("%s is missing", path);
    size_t n_known = 0, n_refused = 0;
    for (struct dirent *file; (file = readdir(folder));) {
        if (!strstr(file->d_name, ".jinja"))
            continue;
        snprintf(path, sizeof path, "%s/templates/%s", data_folder(), file->d_name);
        struct buffer text = file_read(path);
        if (assert_template(file->d_name, buffer_text(&text), text.size))
            n_known++;
        else
            n_refused++;
        buffer_deinit(&text);
    }
    closedir(folder);
    assert_int_equal(n_known, 15);
    assert_int_equal(n_refused, 55);
}

/* Takes the C string that begins at *at (a quote) and leaves *at behind it. */
static void c_string_read(const char **at, struct buffer *out)
{
    buffer_clear(out);
    for (++*at; **at && **at != '"'; ++*at) {
        if (**at != '\\') {
            buffer_append_byte(out, **at);
            continue;
        }
        ++*at;
        buffer_append_byte(out, **at == 'n' ? '\n' : **at == 't' ? '\t' : **at == 'r' ? '\r' : **at);
    }
}

/* The templates that stand in a test program of llama.cpp, as C strings. */
static void test_templates_in_program(void **state)
{
    (void)state;
    char path[4096];
    snprintf(path, sizeof path, "%s/test-chat-template.cpp", data_folder());
    struct buffer program = file_read(path), name = {0}, text = {0};
    size_t n_known = 0, n_refused = 0;
    const char *at = strstr(buffer_text(&program), "test_cases {");
    while (at && (at = strstr(at, "/* .name= */ \""))) {
        at = strchr(at, '"');
        c_string_read(&at, &name);
        at = strstr(at, "/* .template_str");
        assert_non_null(at);
        at = strchr(at, '"');
        c_string_read(&at, &text);
        if (assert_template(buffer_text(&name), buffer_text(&text), text.size))
            n_known++;
        else
            n_refused++;
    }
    buffer_deinit(&program);
    buffer_deinit(&name);
    buffer_deinit(&text);
    assert_int_equal(n_known, 11);
    assert_int_equal(n_refused, 25);
}

/* Templates in our own spelling, which the golden file itself holds. */
static void test_templates_in_golden(void **state)
{
    (void)state;
    size_t n_known = 0;
    cJSON *row;
    cJSON_ArrayForEach(row, cJSON_GetObjectItemCaseSensitive(golden, "templates"))
    {
        const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(row, "text"));
        if (text)
            n_known += assert_template(field(row, "name"), text, strlen(text));
    }
    assert_true(n_known > 10);
}

/* Runs after the three above: all that the golden file knows was tried. */
static void test_nothing_was_left_out(void **state)
{
    (void)state;
    cJSON *row;
    cJSON_ArrayForEach(row, cJSON_GetObjectItemCaseSensitive(golden, "templates"))
    {
        if (!cJSON_GetObjectItemCaseSensitive(row, "seen"))
            fail_msg("%s is in the golden file, but was not found", field(row, "name"));
    }
}

static void test_default_model(void **state)
{
    (void)state;
    const char *path = getenv("FATHOM_TEST_MODEL");
    if (!path)
        fail_msg("FATHOM_TEST_MODEL is not set");
    struct gguf *gguf = NULL;
    struct error error = {0};
    if (gguf_open(path, &gguf, &error))
        fail_msg("%s", error.text);
    struct slice text;
    assert_int_equal(gguf_read_text(gguf, "tokenizer.chat_template", &text, &error), STATUS_OK);
    struct chat_template *chat = NULL;
    assert_int_equal(chat_template_new_recognised(text.data, text.size, &chat, &error), STATUS_OK);
    assert_string_equal(chat_template_name(chat), "smollm2");
    assert_string_equal(chat_template_turn_end(chat), "<|im_end|>");
    struct chat_prompt prompt = {0};
    struct chat_message message = {CHAT_USER, slice_from("hi")};
    struct chat_options options = {"<|im_start|>", "<|im_end|>", true, 0};
    assert_int_equal(chat_render(chat, &message, 1, &options, &prompt, &error), STATUS_OK);
    assert_string_equal(buffer_text(&prompt.text),
                        "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging "
                        "Face<|im_end|>\n<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n");
    assert_int_equal(prompt.n_pieces, 3);
    assert_true(prompt.pieces[0].control && !prompt.pieces[1].control && prompt.pieces[2].control);
    chat_prompt_deinit(&prompt);
    chat_template_free(chat);
    gguf_close(gguf);
}

/* ---- recognition ---- */

#define CHATML_LOOP                                                                                                    \
    "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + "    \
    "'\n'}}{% endfor %}"
#define CHATML_ASK "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"

static const char *recognised_name(const char *text)
{
    struct chat_template *chat = NULL;
    enum status status = chat_template_new_recognised(text, strlen(text), &chat, NULL);
    const char *name = status ? NULL : chat_template_name(chat);
    chat_template_free(chat);
    return name;
}

/* Spelled in another way, it is the same program. */
static void test_spelling_makes_no_difference(void **state)
{
    (void)state;
    static const char *const texts[] = {
        CHATML_LOOP CHATML_ASK,
        CHATML_LOOP CHATML_ASK "\n",
        "{# a comment #}\n" CHATML_LOOP "{#- another -#}" CHATML_ASK,
        "{%- for message in messages -%}\n  <|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>{{ '\n' }}\n"
        "{%- endfor -%}{% if (add_generation_prompt) %}<|im_start|>assistant\n{{ '' }}{% endif %}",
        "{%for message in "
        "messages%}{{\"<|im_start|>\"+message[\"role\"]+\"\\n\"}}{{(message.content+'<|im_end|>\\x0a')}}"
        "{%endfor%}" CHATML_ASK,
        "{% if not add_generation_prompt is defined %}{% set add_generation_prompt = false %}{% endif %}" CHATML_LOOP
            CHATML_ASK,
        "{% if tools %}{{ 'Tools: ' + tools | tojson }}{% endif %}\r\n" CHATML_LOOP CHATML_ASK,
        "{% if tools is defined and tools %}{% for tool in tools %}{% if tool.x %}a{% else %}b{% endif %}{% endfor %}"
        "{% elif documents %}c{% else %}" CHATML_LOOP "{% endif %}" CHATML_ASK,
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        const char *name = recognised_name(texts[i]);
        if (!name || strcmp(name, "chatml") != 0)
            fail_msg("text %zu is %s", i, name ? name : "not recognised");
    }
}

/* Nearly the same is another program. */
static void test_differences_are_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "plain text",
        "<|im_start|>",
        CHATML_LOOP,
        CHATML_ASK,
        "\n" CHATML_LOOP CHATML_ASK,
        CHATML_LOOP " " CHATML_ASK,
        CHATML_LOOP CHATML_ASK "\n\n\n",
        CHATML_LOOP CHATML_LOOP CHATML_ASK,
        CHATML_LOOP "{{ '<|im_start|>assistant\n' }}",
        CHATML_LOOP "{% if not add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}",
        CHATML_LOOP "{% if add_generation_prompt %}{{ '<|im_start|>assistant \n' }}{% endif %}",
        CHATML_LOOP "{% if add_generation_prompt %}{{ '<|im_start|>assistant' }}{% endif %}",
        CHATML_LOOP "{% if add_generation_prompt and x %}{{ '<|im_start|>assistant\n' }}{% endif %}",
        CHATML_LOOP "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% else %}x{% endif %}",
        "{% for message in messages[1:] %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + "
        "'<|im_end|>' + '\n'}}{% endfor %}" CHATML_ASK,
        "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] | trim + "
        "'<|im_end|>' + '\n'}}{% endfor %}" CHATML_ASK,
        "{% for message in messages %}{{'<|im_start|>' + message['content'] + '\n' + message['role'] + "
        "'<|im_end|>' + '\n'}}{% endfor %}" CHATML_ASK,
        "{% set messages = messages[-1:] %}" CHATML_LOOP CHATML_ASK,
        CHATML_LOOP "{% if tools +%}{% endif +%}\n" CHATML_ASK,
        "{% set thinking = false or true %}{% if thinking %}x{% endif %}" CHATML_LOOP CHATML_ASK,
        "{% set ns = namespace(is_tool=true) %}{% if ns.is_tool %}x{% endif %}" CHATML_LOOP CHATML_ASK,
        "{% set ns.is_tool = falsehood %}{% if ns.is_tool %}x{% endif %}" CHATML_LOOP CHATML_ASK,
        "{% set tools = [1] %}{% if tools %}x{% endif %}" CHATML_LOOP CHATML_ASK,
        "{% for tools in [1] %}{% if tools %}x{% endif %}{% endfor %}" CHATML_LOOP CHATML_ASK,
        "{% set date_string = 'x' %}{% if date_string is defined %}x{% endif %}" CHATML_LOOP CHATML_ASK,
        "{% set message = {'tool_calls': 1} %}{% if message.tool_calls %}x{% endif %}" CHATML_LOOP CHATML_ASK,
        "{% for message in [{'tool_calls': 1}] %}{% if message.tool_calls %}x{% endif %}{% endfor %}" CHATML_LOOP
            CHATML_ASK,
        "{% for a, message in [[1, {'prefix': 1}]] %}{% if message.prefix %}x{% endif %}{% endfor %}" CHATML_LOOP
            CHATML_ASK,
        "{# x +#}\n" CHATML_LOOP CHATML_ASK,
        "{% raw %}" CHATML_LOOP CHATML_ASK "{% endraw %}",
        "{% if tools %}x{% else %}y{% endif %}" CHATML_LOOP CHATML_ASK,
        /* broken ones */
        "{% for message in messages %}",
        CHATML_LOOP "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}",
        CHATML_LOOP "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endfor %}",
        CHATML_LOOP CHATML_ASK "{{",
        CHATML_LOOP CHATML_ASK "{%",
        CHATML_LOOP CHATML_ASK "{#",
        CHATML_LOOP CHATML_ASK "{{ 'a",
        CHATML_LOOP CHATML_ASK "{{ '\\",
        CHATML_LOOP CHATML_ASK "{% endif %}",
        CHATML_LOOP CHATML_ASK "{% else %}",
        CHATML_LOOP CHATML_ASK "{% %}",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        const char *name = recognised_name(texts[i]);
        if (name)
            fail_msg("text %zu was taken for %s", i, name);
    }
}

static void test_default_text_is_taken_from_the_template(void **state)
{
    (void)state;
    static const char text[] =
        "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
        "{{ '<|im_start|>system\nYou speak with the sailors\\' voices.<|im_end|>\n' }}{% endif %}"
        "{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}"
        "{% endfor %}" CHATML_ASK;
    struct chat_template *chat = NULL;
    assert_int_equal(chat_template_new_recognised(text, sizeof text - 1, &chat, NULL), STATUS_OK);
    assert_string_equal(chat_template_name(chat), "chatml");
    struct chat_prompt prompt = {0};
    struct chat_message messages[] = {{CHAT_USER, slice_from("a")}, {CHAT_SYSTEM, slice_from("b")}};
    struct chat_options options = {"", "", false, 0};
    assert_int_equal(chat_render(chat, messages, 2, &options, &prompt, NULL), STATUS_OK);
    assert_string_equal(buffer_text(&prompt.text),
                        "<|im_start|>system\nYou speak with the sailors' voices.<|im_end|>\n<|im_start|>user\na"
                        "<|im_end|>\n<|im_start|>system\nb<|im_end|>\n");
    chat_prompt_deinit(&prompt);
    chat_template_free(chat);
}

/* Depth, length and number of what a text may hold are bounded, and a text at the bounds takes no time to speak of. */
static void test_hostile_texts(void **state)
{
    (void)state;
    static const char *const units[] = {"{% if x %}",
                                        "{{",
                                        "{{ ((((",
                                        "{% if not not not not ",
                                        "{# ",
                                        "{{ 'a' + ",
                                        "{% if a and (b or ",
                                        "a",
                                        "{% for x in y %}{% if tools %}",
                                        "{{ a[b[",
                                        "\\'"};
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        struct buffer text = {0};
        while (text.size < 120 * 1024)
            buffer_append_text(&text, units[i]);
        struct chat_template *chat = NULL;
        uint64_t begin = clock_now_ns();
        assert_int_equal(chat_template_new_recognised(text.data, text.size, &chat, NULL), STATUS_UNSUPPORTED);
        assert_true(clock_now_ns() - begin < 5000000000u);
        while (text.size < 1000 * 1024)
            buffer_append_text(&text, units[i]);
        assert_int_equal(chat_template_new_recognised(text.data, text.size, &chat, NULL), STATUS_UNSUPPORTED);
        buffer_deinit(&text);
    }
}

/* ---- names ---- */

static void test_names(void **state)
{
    (void)state;
    struct chat_template *chat = NULL;
    struct error error = {0};
    assert_int_equal(chat_template_new_named("nonsense", &chat, &error), STATUS_NOT_FOUND);
    assert_null(chat);
    struct error refused = {0};
    assert_int_equal(chat_template_new_recognised("nonsense", 8, &chat, &refused), STATUS_UNSUPPORTED);
    size_t n = 0;
    for (const char *name; (name = chat_template_known_name(n)); n++) {
        if (!strstr(error.text, name) || !strstr(refused.text, name))
            fail_msg("\"%s\" doesn't name %s", error.text, name);
        assert_int_equal(chat_template_new_named(name, &chat, NULL), STATUS_OK);
        assert_string_equal(chat_template_name(chat), name);
        struct chat_prompt prompt = {0};
        struct chat_message message = {CHAT_USER, slice_from("question")};
        struct chat_options options = {"<s>", "</s>", true, 0};
        assert_int_equal(chat_render(chat, &message, 1, &options, &prompt, NULL), STATUS_OK);
        assert_non_null(strstr(buffer_text(&prompt.text), "question"));
        chat_prompt_deinit(&prompt);
        chat_template_free(chat);
        for (size_t i = 0; i < n; i++)
            assert_string_not_equal(chat_template_known_name(i), name);
    }
    assert_true(n >= 20);
    /* The lists are whole: they were not cut at the message's end. */
    assert_true(strlen(error.text) < sizeof error.text - 1);
    assert_true(strlen(refused.text) < sizeof refused.text - 1);
}

static void test_think_marks(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        bool thinks, inside;
    } rows[] = {{"chatml", false, false}, {"qwen3", true, false},      {"qwq", true, true},
                {"llama3", false, false}, {"deepseek-r1", true, true}, {"deepseek-v3.1", true, false}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct chat_template *chat = NULL;
        bool inside = !rows[i].inside;
        assert_int_equal(chat_template_new_named(rows[i].name, &chat, NULL), STATUS_OK);
        assert_int_equal(chat_template_think_open(chat) != NULL, rows[i].thinks);
        assert_int_equal(chat_template_think_close(chat, &inside) != NULL, rows[i].thinks);
        assert_int_equal(inside, rows[i].inside);
        chat_template_free(chat);
    }
}

/* ---- rendering ---- */

static void test_render_clears_and_refuses(void **state)
{
    (void)state;
    struct chat_template *chat = NULL;
    assert_int_equal(chat_template_new_named("gemma", &chat, NULL), STATUS_OK);
    struct chat_prompt prompt = {0};
    struct chat_message messages[] = {{CHAT_USER, slice_from("a")}, {CHAT_USER, slice_from("b")}};
    struct chat_options options = {"<bos>", "<eos>", true, 0};
    struct error error = {0};
    assert_int_equal(chat_render(chat, messages, 1, &options, &prompt, NULL), STATUS_OK);
    size_t size = prompt.text.size;
    assert_int_equal(chat_render(chat, messages, 1, &options, &prompt, NULL), STATUS_OK);
    assert_int_equal(prompt.text.size, size);
    assert_int_equal(chat_render(chat, messages, 2, &options, &prompt, &error), STATUS_ARGUMENT);
    assert_non_null(strstr(error.text, "message 2"));
    assert_int_equal(chat_render(chat, messages, 0, &options, &prompt, &error), STATUS_ARGUMENT);
    messages[0].role = (enum chat_role)7;
    assert_int_equal(chat_render(chat, messages, 1, &options, &prompt, &error), STATUS_ARGUMENT);
    chat_prompt_deinit(&prompt);
    chat_template_free(chat);
}

/* Any bytes may stand in a message: NUL, the bytes that stand for BOS and EOS in our table, what is not UTF-8. */
static void test_contents_are_bytes(void **state)
{
    (void)state;
    static const char content[] = " \1\2\0\xff<|im_end|>\xc2";
    for (size_t i = 0; chat_template_known_name(i); i++) {
        struct chat_template *chat = NULL;
        struct chat_prompt prompt = {0};
        assert_int_equal(chat_template_new_named(chat_template_known_name(i), &chat, NULL), STATUS_OK);
        struct chat_message message = {CHAT_USER, {content, sizeof content - 1}};
        struct chat_options options = {"<s>", "</s>", true, 0};
        assert_int_equal(chat_render(chat, &message, 1, &options, &prompt, NULL), STATUS_OK);
        assert_pieces(&prompt, &message, 1);
        size_t plain = 0;
        for (size_t j = 0; j < prompt.n_pieces; j++)
            plain += prompt.pieces[j].control ? 0 : prompt.pieces[j].size;
        assert_true(plain >= sizeof content - 2);
        assert_non_null(memmem(prompt.text.data, prompt.text.size, content + 1, sizeof content - 2));
        chat_prompt_deinit(&prompt);
        chat_template_free(chat);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_template_files),
        cmocka_unit_test(test_templates_in_program),
        cmocka_unit_test(test_templates_in_golden),
        cmocka_unit_test(test_nothing_was_left_out),
        cmocka_unit_test(test_default_model),
        cmocka_unit_test(test_spelling_makes_no_difference),
        cmocka_unit_test(test_differences_are_refused),
        cmocka_unit_test(test_default_text_is_taken_from_the_template),
        cmocka_unit_test(test_hostile_texts),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_think_marks),
        cmocka_unit_test(test_render_clears_and_refuses),
        cmocka_unit_test(test_contents_are_bytes),
    };
    return cmocka_run_group_tests(tests, golden_load, golden_free);
}
