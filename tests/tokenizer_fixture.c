/* tokenizer_fixture: see tokenizer_fixture.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/tokenizer_fixture.h"

struct buffer fixture_read(const char *path)
{
    struct buffer all = {0};
    FILE *file = fopen(path, "rb");
    if (!file)
        fail_msg("%s can't be read", path);
    char part[65536];
    size_t n;
    while ((n = fread(part, 1, sizeof part, file)) > 0)
        buffer_append(&all, part, n);
    fclose(file);
    assert_false(all.failed);
    return all;
}

char *fixture_vocabulary_path(const char *name, const char *ending)
{
    const char *folder = getenv("FATHOM_TEST_DATA");
    if (!folder || !*folder)
        fail_msg("FATHOM_TEST_DATA is not set: run the tests by `make test`");
    struct buffer path = {0};
    buffer_printf(&path, "%s/vocab/ggml-vocab-%s.gguf%s", folder, name, ending);
    return path.data;
}

struct tokenizer *fixture_tokenizer(const struct buffer *file)
{
    struct gguf *gguf = NULL;
    struct tokenizer *tokenizer = NULL;
    struct error error = {0};
    if (gguf_open_memory(file->data, file->size, &gguf, &error))
        fail_msg("gguf_open_memory: %s", error.text);
    if (tokenizer_new(gguf, &tokenizer, &error))
        fail_msg("tokenizer_new: %s", error.text);
    gguf_close(gguf);
    return tokenizer;
}

/* Puts another text in place of the value of tokenizer.ggml.pre. */
static void pre_replace(struct buffer *file, const char *pre)
{
    static const char key[] = "tokenizer.ggml.pre";
    char *found = memmem(file->data, file->size, key, sizeof key - 1);
    assert_non_null(found);
    size_t at = (size_t)(found - file->data) + sizeof key - 1 + 4; /* behind the type */
    uint64_t old_size, new_size = strlen(pre);
    memcpy(&old_size, file->data + at, sizeof old_size);
    struct buffer changed = {0};
    buffer_append(&changed, file->data, at);
    buffer_append(&changed, &new_size, sizeof new_size);
    buffer_append(&changed, pre, (size_t)new_size);
    at += sizeof old_size + (size_t)old_size;
    buffer_append(&changed, file->data + at, file->size - at);
    buffer_deinit(file);
    *file = changed;
}

struct tokenizer *fixture_vocabulary(const char *name, const char *pre)
{
    char *path = fixture_vocabulary_path(name, "");
    struct buffer file = fixture_read(path);
    if (pre)
        pre_replace(&file, pre);
    struct tokenizer *tokenizer = fixture_tokenizer(&file);
    buffer_deinit(&file);
    free(path);
    return tokenizer;
}

struct tokenizer *fixture_model(void)
{
    const char *path = getenv("FATHOM_TEST_MODEL");
    if (!path || !*path)
        fail_msg("FATHOM_TEST_MODEL is not set: run the tests by `make test`");
    struct gguf *gguf = NULL;
    struct tokenizer *tokenizer = NULL;
    struct error error = {0};
    if (gguf_open(path, &gguf, &error) || tokenizer_new(gguf, &tokenizer, &error))
        fail_msg("%s", error.text);
    gguf_close(gguf);
    return tokenizer;
}

struct tokens fixture_encode(const struct tokenizer *tokenizer, const char *text, size_t size, unsigned flags)
{
    struct tokens tokens = {0};
    struct error error = {0};
    if (tokenizer_encode(tokenizer, text, size, flags, &tokens, &error))
        fail_msg("tokenizer_encode: %s", error.text);
    return tokens;
}

void fixture_assert_round_trip(const struct tokenizer *tokenizer, const char *text, size_t size, unsigned flags)
{
    struct tokens tokens = fixture_encode(tokenizer, text, size, flags);
    struct buffer decoded = {0};
    tokenizer_decode(tokenizer, tokens.ids, tokens.n, false, &decoded);
    if (decoded.size != size || (size && memcmp(decoded.data, text, size) != 0))
        fail_msg("no round trip of \"%.*s\": got \"%s\"", (int)(size < 200 ? size : 200), text, buffer_text(&decoded));
    buffer_deinit(&decoded);
    tokens_deinit(&tokens);
}

struct buffer fixture_ids_text(const struct tokens *tokens)
{
    struct buffer text = {0};
    for (size_t i = 0; i < tokens->n; i++)
        buffer_printf(&text, " %d", (int)tokens->ids[i]);
    return text;
}

uint32_t fixture_random(uint64_t *state, uint32_t n)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return (uint32_t)((*state * UINT64_C(0x2545f4914f6cdd1d)) >> 33) % n;
}
