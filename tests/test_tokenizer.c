/* test_tokenizer: real vocabularies: the public vectors, golden tokens, special tokens, round trips, long lines. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "tests/tokenizer_fixture.h"

static const char *const vocabularies[] = {"deepseek-coder", "deepseek-llm", "qwen2",  "qwen35", "llama-bpe",
                                           "llama-spm",      "starcoder",    "refact", "gpt-2",  "falcon"};
enum { N_VOCABULARIES = sizeof vocabularies / sizeof *vocabularies };

/* ---- exactness ---- */

static void assert_ids(const struct tokenizer *tokenizer, struct slice text, struct slice expected, const char *name)
{
    struct tokens tokens = fixture_encode(tokenizer, text.data, text.size, 0);
    struct buffer ids = fixture_ids_text(&tokens);
    buffer_remove_front(&ids, ids.size > 0);
    if (!slice_equals(expected, buffer_text(&ids)))
        fail_msg("%s: \"%.*s\" gives %s, not %.*s", name, (int)text.size, text.data, buffer_text(&ids),
                 (int)expected.size, expected.data);
    buffer_deinit(&ids);
    tokens_deinit(&tokens);
}

/* The line that begins at *position, without the spaces around it; false at the end. */
static bool line_next(const struct buffer *lines, size_t *position, struct slice *line)
{
    if (*position >= lines->size)
        return false;
    const char *begin = lines->data + *position, *end = memchr(begin, '\n', lines->size - *position);
    if (!end)
        end = lines->data + lines->size;
    *position = (size_t)(end - lines->data) + 1;
    while (end > begin && (end[-1] == ' ' || end[-1] == '\r'))
        end--;
    while (begin < end && *begin == ' ')
        begin++;
    *line = (struct slice){begin, (size_t)(end - begin)};
    return true;
}

/* llama.cpp's vectors: texts with a line between them, and a line of ids for each. */
static void check_vectors(const char *name)
{
    static const char separator[] = "\n__ggml_vocab_test__\n";
    struct tokenizer *tokenizer = fixture_vocabulary(name, NULL);
    char *text_path = fixture_vocabulary_path(name, ".inp"), *ids_path = fixture_vocabulary_path(name, ".out");
    struct buffer texts = fixture_read(text_path), ids = fixture_read(ids_path);
    size_t at = 0, position = 0, n = 0;
    while (at < texts.size) {
        const char *begin = texts.data + at, *end = memmem(begin, texts.size - at, separator, sizeof separator - 1);
        struct slice text = {begin, end ? (size_t)(end - begin) : texts.size - at}, expected;
        assert_true(line_next(&ids, &position, &expected));
        assert_ids(tokenizer, text, expected, name);
        fixture_assert_round_trip(tokenizer, text.data, text.size, 0);
        at += text.size + sizeof separator - 1;
        n++;
    }
    assert_in_range(n, 46, 1000);
    assert_true(position >= ids.size);
    buffer_deinit(&texts);
    buffer_deinit(&ids);
    free(text_path);
    free(ids_path);
    tokenizer_free(tokenizer);
}

static void test_vectors(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_VOCABULARIES; i++)
        check_vectors(vocabularies[i]);
}

static void from_hexadecimal(struct slice line, struct buffer *out)
{
    for (size_t i = 0; line.data[0] != '-' && i + 1 < line.size; i += 2) {
        char pair[3] = {line.data[i], line.data[i + 1], 0};
        buffer_append_byte(out, (char)strtol(pair, NULL, 16));
    }
}

static void check_golden(const struct tokenizer *tokenizer, const char *path)
{
    struct buffer lines = fixture_read(path), text = {0};
    struct slice line;
    size_t position = 0, n = 0;
    for (; line_next(&lines, &position, &line); n++) {
        const char *colon = memchr(line.data, ':', line.size);
        assert_non_null(colon);
        const char *first = colon + 1 + (colon[1] == ' ');
        struct slice ids = {first, (size_t)(line.data + line.size - first)};
        buffer_clear(&text);
        from_hexadecimal((struct slice){line.data, (size_t)(colon - line.data)}, &text);
        assert_ids(tokenizer, (struct slice){buffer_text(&text), text.size}, ids, path);
    }
    assert_in_range(n, 500, 10000);
    buffer_deinit(&lines);
    buffer_deinit(&text);
}

static void test_golden(void **state)
{
    (void)state;
    struct tokenizer *smollm = fixture_model();
    check_golden(smollm, "tests/golden/tokenizer_smollm.txt");
    tokenizer_free(smollm);
    static const char *const names[] = {"deepseek-v3", "joyai-llm"};
    for (size_t i = 0; i < 2; i++) {
        struct tokenizer *v3 = fixture_vocabulary("deepseek-llm", names[i]);
        check_golden(v3, "tests/golden/tokenizer_deepseek-v3.txt");
        tokenizer_free(v3);
    }
}

/* ---- special tokens ---- */

static void assert_special(const char *vocabulary, struct special_tokens expected)
{
    struct tokenizer *tokenizer = vocabulary ? fixture_vocabulary(vocabulary, NULL) : fixture_model();
    const struct special_tokens *special = tokenizer_special(tokenizer);
    if (memcmp(special, &expected, sizeof expected) != 0)
        fail_msg("%s: %d %d %d %d %d %d %d, infill %d %d %d %d %d %d", vocabulary ? vocabulary : "the model",
                 special->bos, special->eos, special->eot, special->eom, special->unknown, special->pad,
                 special->newline, special->fim_prefix, special->fim_suffix, special->fim_middle, special->fim_pad,
                 special->fim_repository, special->fim_separator);
    tokenizer_free(tokenizer);
}

static void test_special_tokens(void **state)
{
    (void)state;
    assert_special(NULL, (struct special_tokens){1, 2, 2, -1, 0, 2, 198, -1, -1, -1, -1, 3, 5});
    assert_special("deepseek-coder",
                   (struct special_tokens){32013, 32014, 32021, -1, -1, 32014, 185, 32016, 32015, 32017, -1, -1, -1});
    assert_special("qwen2",
                   (struct special_tokens){151643, 151643, 151645, -1, -1, 151643, 198, -1, -1, -1, -1, -1, -1});
    assert_special("llama-bpe",
                   (struct special_tokens){128000, 128001, 128009, -1, -1, -1, 198, -1, -1, -1, -1, -1, -1});
    assert_special("llama-spm", (struct special_tokens){1, 2, -1, -1, 0, -1, 13, -1, -1, -1, -1, -1, -1});
    assert_special("starcoder", (struct special_tokens){0, 0, -1, -1, 0, -1, 222, 1, 3, 2, 4, 5, 6});
    assert_special("refact", (struct special_tokens){0, 0, -1, -1, 0, -1, 203, 1, 3, 2, 4, 18, 5});
}

static void test_ends(void **state)
{
    (void)state;
    struct tokenizer *model = fixture_model(), *qwen = fixture_vocabulary("qwen2", NULL);
    struct tokenizer *coder = fixture_vocabulary("deepseek-coder", NULL);
    for (int32_t id = -2; id < tokenizer_n_vocab(model) + 2; id++)
        assert_int_equal(tokenizer_is_end(model, id), id == 0 || id == 2 || id == 3 || id == 5);
    for (int32_t id = 0; id < tokenizer_n_vocab(qwen); id++)
        assert_int_equal(tokenizer_is_end(qwen, id), id == 151643 || id == 151645);
    /* The file calls <|EOT|> and the infill marks user-defined. */
    for (int32_t id = 0; id < tokenizer_n_vocab(coder); id++)
        assert_int_equal(tokenizer_is_end(coder, id), id == 32014 || id == 32021);
    assert_int_equal(tokenizer_kind(coder, 32021), TOKEN_CONTROL);
    assert_int_equal(tokenizer_kind(coder, 32016), TOKEN_CONTROL);
    assert_int_equal(tokenizer_kind(coder, 32019), TOKEN_USER_DEFINED);
    assert_int_equal(tokenizer_kind(coder, 77), TOKEN_NORMAL);
    tokenizer_free(model);
    tokenizer_free(qwen);
    tokenizer_free(coder);
}

static void assert_no_control(const struct tokenizer *tokenizer, const char *text, size_t size)
{
    struct tokens tokens = fixture_encode(tokenizer, text, size, 0);
    for (size_t i = 0; i < tokens.n; i++)
        if (tokenizer_kind(tokenizer, tokens.ids[i]) == TOKEN_CONTROL)
            fail_msg("\"%.*s\" became control token %d", (int)size, text, (int)tokens.ids[i]);
    tokens_deinit(&tokens);
}

/* Every control token: found with TOKENIZE_SPECIAL, never without, alone and inside of text. */
static void check_control(struct tokenizer *tokenizer)
{
    struct buffer text = {0};
    size_t n = 0;
    for (int32_t id = 0; id < tokenizer_n_vocab(tokenizer); id++) {
        if (tokenizer_kind(tokenizer, id) != TOKEN_CONTROL)
            continue;
        n++;
        struct slice mark = tokenizer_piece(tokenizer, id, true);
        assert_int_equal(tokenizer_piece(tokenizer, id, false).size, 0);
        assert_int_equal(tokenizer_find(tokenizer, mark.data, mark.size), id);
        buffer_clear(&text);
        buffer_append_text(&text, "a ");
        buffer_append(&text, mark.data, mark.size);
        buffer_append(&text, mark.data, mark.size);
        buffer_append_text(&text, " b");
        assert_no_control(tokenizer, mark.data, mark.size);
        assert_no_control(tokenizer, text.data, text.size);
        fixture_assert_round_trip(tokenizer, text.data, text.size, 0);

        struct tokens tokens = fixture_encode(tokenizer, text.data, text.size, TOKENIZE_SPECIAL);
        size_t found = 0;
        for (size_t i = 0; i < tokens.n; i++) {
            found += tokens.ids[i] == id;
            assert_true(tokens.ids[i] == id || tokenizer_kind(tokenizer, tokens.ids[i]) != TOKEN_CONTROL);
        }
        assert_int_equal(found, 2);
        tokens_deinit(&tokens);
    }
    assert_true(n > 0);
    buffer_deinit(&text);
    tokenizer_free(tokenizer);
}

static void test_control_tokens(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_VOCABULARIES; i++)
        check_control(fixture_vocabulary(vocabularies[i], NULL));
    check_control(fixture_model());
}

static void assert_encoded(const struct tokenizer *tokenizer, const char *text, unsigned flags, const char *expected)
{
    struct tokens tokens = fixture_encode(tokenizer, text, strlen(text), flags);
    struct buffer ids = fixture_ids_text(&tokens);
    assert_string_equal(buffer_text(&ids), expected);
    buffer_deinit(&ids);
    tokens_deinit(&tokens);
}

static void test_template_parts(void **state)
{
    (void)state;
    struct tokenizer *model = fixture_model();
    assert_encoded(model, "<|im_start|>user\nhi<|im_end|>\n", TOKENIZE_SPECIAL, " 1 4093 198 6004 2 198");
    assert_encoded(model, "<|im_end|>", 0, " 44 108 306 79 486 108 46");
    assert_encoded(model, "<|im_end", TOKENIZE_SPECIAL, " 44 108 306 79 486");
    assert_encoded(model, "hi", TOKENIZE_BEGIN, " 6004"); /* the file asks for no BOS */
    assert_encoded(model, "", TOKENIZE_BEGIN, "");
    assert_false(tokenizer_adds_bos(model));
    tokenizer_free(model);

    struct tokenizer *llama = fixture_vocabulary("llama-spm", NULL);
    assert_true(tokenizer_adds_bos(llama));
    assert_encoded(llama, "Hello", 0, " 15043");
    assert_encoded(llama, "Hello", TOKENIZE_NO_PREFIX, " 10994");
    assert_encoded(llama, "Hello", TOKENIZE_BEGIN, " 1 15043");
    assert_encoded(llama, "", TOKENIZE_BEGIN, " 1");
    assert_encoded(llama, "<s>Hello</s>Hello", TOKENIZE_SPECIAL, " 1 15043 2 15043");
    assert_encoded(llama, "<s>", 0, " 529 29879 29958");
    assert_encoded(llama, "<0x0A>", 0, " 529 29900 29916 29900 29909 29958"); /* the name of a byte is no byte */
    tokenizer_free(llama);

    struct tokenizer *deepseek = fixture_vocabulary("deepseek-llm", NULL);
    assert_encoded(deepseek, "\xc3\xb6", 0, " 100003"); /* user-defined, and nothing that steers */
    assert_encoded(deepseek, "[PAD100015]", TOKENIZE_SPECIAL, " 100015");
    tokenizer_free(deepseek);
}

/* ---- any bytes ---- */

/* What a text comes back as: the same, but for bytes that the vocabulary has no token for. */
static void expected_bytes(const struct tokenizer *tokenizer, const struct buffer *text, struct buffer *expected)
{
    bool has_replacement = tokenizer_find(tokenizer, "\xef\xbf\xbd", 3) >= 0;
    buffer_clear(expected);
    for (size_t i = 0; i < text->size; i++) {
        unsigned char byte = (unsigned char)text->data[i];
        if (tokenizer_find(tokenizer, &text->data[i], 1) >= 0)
            buffer_append_byte(expected, text->data[i]);
        else if ((byte == 0xc0 || byte == 0xc1 || byte >= 0xf5) && has_replacement)
            buffer_append_text(expected, "\xef\xbf\xbd");
    }
}

static void random_text(uint64_t *seed, struct buffer *text)
{
    static const char *const parts[] = {" ",  "\n",           "word",  "'s",           "12",           "\xc3\xb6",
                                        "  ", "\xe4\xb8\xad", "<|im_", "\xf0\x9f\x98", "\xef\xbf\xbd", "\xc3"};
    buffer_clear(text);
    bool noise = fixture_random(seed, 2);
    for (uint32_t n = fixture_random(seed, 64); n; n--) {
        if (noise || fixture_random(seed, 4) == 0)
            buffer_append_byte(text, (char)fixture_random(seed, 256));
        else
            buffer_append_text(text, parts[fixture_random(seed, sizeof parts / sizeof *parts)]);
    }
}

static void check_round_trips(struct tokenizer *tokenizer)
{
    uint64_t seed = 20250211;
    struct buffer text = {0}, expected = {0}, decoded = {0};
    for (int i = 0; i < 1000; i++) {
        random_text(&seed, &text);
        expected_bytes(tokenizer, &text, &expected);
        struct tokens tokens = fixture_encode(tokenizer, buffer_text(&text), text.size, 0);
        buffer_clear(&decoded);
        tokenizer_decode(tokenizer, tokens.ids, tokens.n, false, &decoded);
        assert_int_equal(decoded.size, expected.size);
        if (expected.size)
            assert_memory_equal(decoded.data, expected.data, expected.size);
        tokens_deinit(&tokens);
    }
    buffer_deinit(&text);
    buffer_deinit(&expected);
    buffer_deinit(&decoded);
    tokenizer_free(tokenizer);
}

static void test_round_trips(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_VOCABULARIES; i++)
        check_round_trips(fixture_vocabulary(vocabularies[i], NULL));
    check_round_trips(fixture_vocabulary("deepseek-llm", "deepseek-v3"));
    check_round_trips(fixture_vocabulary("falcon", "default"));
    check_round_trips(fixture_model());
}

/* These vocabularies have a token for every byte, so that nothing at all may be lost. */
static void test_all_bytes(void **state)
{
    (void)state;
    static const char *const complete[] = {"gpt-2", "qwen2", "llama-bpe", "llama-spm"};
    for (size_t i = 0; i < sizeof complete / sizeof *complete; i++) {
        struct tokenizer *tokenizer = fixture_vocabulary(complete[i], NULL);
        char bytes[256];
        for (int byte = 0; byte < 256; byte++) {
            bytes[byte] = (char)byte;
            assert_true(tokenizer_find(tokenizer, &bytes[byte], 1) >= 0);
        }
        fixture_assert_round_trip(tokenizer, bytes, sizeof bytes, 0);
        tokenizer_free(tokenizer);
    }
}

/* ---- long lines ---- */

static void check_long_lines(struct tokenizer *tokenizer, const char *letters)
{
    enum { LONG = 1000000 };
    char *line = malloc(LONG + 1);
    assert_non_null(line);
    for (; *letters; letters++) {
        memset(line, *letters, LONG);
        line[LONG] = 'x';
        fixture_assert_round_trip(tokenizer, line, LONG + 1, 0);
    }
    free(line);
    tokenizer_free(tokenizer);
}

/* A time that grew with the square of the length would not end: neither merging, nor what the expressions try at each
 * place, nor the walk over what is no UTF-8. */
static void test_long_lines(void **state)
{
    (void)state;
    check_long_lines(fixture_model(), "a\n");
    check_long_lines(fixture_vocabulary("deepseek-llm", NULL), " 1");
    check_long_lines(fixture_vocabulary("qwen2", NULL), " !\xff");
    check_long_lines(fixture_vocabulary("llama-spm", NULL), "a ");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors),        cmocka_unit_test(test_golden),
        cmocka_unit_test(test_special_tokens), cmocka_unit_test(test_ends),
        cmocka_unit_test(test_control_tokens), cmocka_unit_test(test_template_parts),
        cmocka_unit_test(test_round_trips),    cmocka_unit_test(test_all_bytes),
        cmocka_unit_test(test_long_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
