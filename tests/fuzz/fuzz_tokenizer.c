/* fuzz_tokenizer: any text through a small vocabulary of each kind and back; any vocabulary, by any bytes.
 *
 * The first byte of the input chooses: 0..N-1 one of the pre-tokenizers (or SentencePiece) with a vocabulary built here, the
 * rest is text; above that the input describes a vocabulary, whose lists may be of any length and hold anything, and a
 * text.  What must hold:
 *  - a vocabulary that has a token for every byte gives every text back, by whole and by its pieces;
 *  - no token outside the vocabulary, no control token out of plain text;
 *  - encoding the same text again gives the same ids, also with what the first call left behind;
 *  - a vocabulary that is refused is refused with a message of one line.
 *
 * With FATHOM_PLANT_BUG a decoder stands behind the real one that holds back the beginning of a code point of two bytes and
 * forgets it at the end of the text. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "engine/tokenizer.h"

static void require(bool condition)
{
    if (!condition)
        abort();
}

/* ---- writing a GGUF file ---- */

struct writer {
    struct buffer keys;
    uint64_t n_keys;
};

static void write_u32(struct buffer *out, uint32_t value)
{
    buffer_append(out, &value, sizeof value);
}

static void write_u64(struct buffer *out, uint64_t value)
{
    buffer_append(out, &value, sizeof value);
}

static void write_text(struct buffer *out, const char *text, size_t size)
{
    write_u64(out, size);
    buffer_append(out, text, size);
}

static void key_begin(struct writer *writer, const char *key, enum gguf_type type)
{
    write_text(&writer->keys, key, strlen(key));
    write_u32(&writer->keys, type);
    writer->n_keys++;
}

static void key_text(struct writer *writer, const char *key, const char *text)
{
    key_begin(writer, key, GGUF_STRING);
    write_text(&writer->keys, text, strlen(text));
}

static void key_u32(struct writer *writer, const char *key, uint32_t value)
{
    key_begin(writer, key, GGUF_U32);
    write_u32(&writer->keys, value);
}

/* An array of n elements, which elements already holds as a file does. */
static void key_array(struct writer *writer, const char *key, enum gguf_type type, uint64_t n,
                      const struct buffer *elements)
{
    key_begin(writer, key, GGUF_ARRAY);
    write_u32(&writer->keys, type);
    write_u64(&writer->keys, n);
    buffer_append(&writer->keys, buffer_text(elements), elements->size);
}

/* The tokenizer of the file, or NULL where it was refused. */
static struct tokenizer *writer_open(struct writer *writer)
{
    struct buffer file = {0};
    buffer_append(&file, "GGUF", 4);
    write_u32(&file, 3);
    write_u64(&file, 0);
    write_u64(&file, writer->n_keys);
    buffer_append(&file, writer->keys.data, writer->keys.size);
    buffer_deinit(&writer->keys);
    struct gguf *gguf = NULL;
    struct tokenizer *tokenizer = NULL;
    struct error error = {0};
    require(gguf_open_memory(file.data, file.size, &gguf, &error) == STATUS_OK);
    enum status status = tokenizer_new(gguf, &tokenizer, &error);
    require((status == STATUS_OK) == (tokenizer != NULL));
    require(status == STATUS_OK || (error.status == status && error.text[0]));
    for (const char *c = error.text; *c; c++)
        require((unsigned char)*c >= 0x20 && *c != 0x7f);
    gguf_close(gguf);
    buffer_deinit(&file);
    return tokenizer;
}

/* ---- the vocabularies built here ---- */

static const char *const pre_tokenizers[] = {"deepseek-llm", "deepseek-coder", "deepseek-v3", "qwen2",
                                             "qwen35",       "llama-bpe",      "starcoder",   "smollm",
                                             "gpt-2",        "falcon",         "default"};
enum {
    N_BYTE_LEVEL = sizeof pre_tokenizers / sizeof *pre_tokenizers,
    N_BUILT = N_BYTE_LEVEL + 1,
    N_KINDS = N_BUILT + 4
};

struct lists {
    struct buffer texts, kinds, scores, merges;
    uint64_t n, n_merges;
};

static void list_token(struct lists *lists, const char *text, size_t size, int32_t kind, float score)
{
    write_text(&lists->texts, text, size);
    write_u32(&lists->kinds, (uint32_t)kind);
    buffer_append(&lists->scores, &score, sizeof score);
    lists->n++;
}

static void list_marks(struct lists *lists)
{
    list_token(lists, "<s>", 3, TOKEN_CONTROL, 0);
    list_token(lists, "</s>", 4, TOKEN_CONTROL, 0);
    list_token(lists, "<|im_end|>", 10, TOKEN_CONTROL, 0);
    list_token(lists, "<s><s>", 6, TOKEN_CONTROL, 0);
    list_token(lists, "~~", 2, TOKEN_USER_DEFINED, 0);
}

/* GPT-2's letters of the 256 bytes, a few merges. */
static void list_byte_level(struct lists *lists)
{
    uint32_t above = 0x100;
    for (uint32_t byte = 0; byte < 256; byte++) {
        bool printable = (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte != 0xad);
        struct buffer letter = {0};
        buffer_append_code_point(&letter, printable ? byte : above++);
        list_token(lists, letter.data, letter.size, TOKEN_NORMAL, 0);
        buffer_deinit(&letter);
    }
    static const char *const merges[] = {"t h",
                                         "th e",
                                         "\xc4\xa0 t",
                                         "\xc4\xa0t he",
                                         "\xc4\xa0 \xc4\xa0",
                                         "h e",
                                         "a a",
                                         "aa aa",
                                         "\xc3\xa4 \xc2\xb8",
                                         "1 1",
                                         "\xc4\x8a \xc4\x8a",
                                         "' s",
                                         "a s",
                                         "\xc3\x83 \xc2\xa9"};
    for (size_t i = 0; i < sizeof merges / sizeof *merges; i++) {
        struct buffer whole = {0};
        const char *space = strchr(merges[i], ' ');
        buffer_append(&whole, merges[i], (size_t)(space - merges[i]));
        buffer_append_text(&whole, space + 1);
        list_token(lists, whole.data, whole.size, TOKEN_NORMAL, 0);
        write_text(&lists->merges, merges[i], strlen(merges[i]));
        lists->n_merges++;
        buffer_deinit(&whole);
    }
}

static void list_pieces(struct lists *lists)
{
    static const char digits[] = "0123456789ABCDEF";
    for (int byte = 0; byte < 256; byte++) {
        char text[] = {'<', '0', 'x', digits[byte >> 4], digits[byte & 15], '>'};
        list_token(lists, text, sizeof text, TOKEN_BYTE, 0);
    }
    static const char *const words[] = {"\xe2\x96\x81",
                                        "\xe2\x96\x81\xe2\x96\x81",
                                        "t",
                                        "h",
                                        "e",
                                        "th",
                                        "the",
                                        "\xe2\x96\x81the",
                                        "\xe2\x96\x81t",
                                        "a",
                                        "aa",
                                        "aaa",
                                        "\xc3\xa9",
                                        "1",
                                        "\xe4\xb8\xad",
                                        "as"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        list_token(lists, words[i], strlen(words[i]), TOKEN_NORMAL, -(float)(i % 7));
}

static struct tokenizer *lists_open(struct lists *lists, const char *model, const char *pre)
{
    struct writer writer = {0};
    key_text(&writer, "tokenizer.ggml.model", model);
    key_text(&writer, "tokenizer.ggml.pre", pre);
    key_array(&writer, "tokenizer.ggml.tokens", GGUF_STRING, lists->n, &lists->texts);
    key_array(&writer, "tokenizer.ggml.token_type", GGUF_I32, lists->kinds.size / 4, &lists->kinds);
    key_array(&writer, "tokenizer.ggml.scores", GGUF_F32, lists->scores.size / 4, &lists->scores);
    key_array(&writer, "tokenizer.ggml.merges", GGUF_STRING, lists->n_merges, &lists->merges);
    if (lists->n > 2)
        key_u32(&writer, "tokenizer.ggml.eos_token_id", (uint32_t)lists->n - 2);
    buffer_deinit(&lists->texts);
    buffer_deinit(&lists->kinds);
    buffer_deinit(&lists->scores);
    buffer_deinit(&lists->merges);
    return writer_open(&writer);
}

/* Kept from input to input: building one costs far more than encoding a text. */
static struct tokenizer *built(size_t which)
{
    static struct tokenizer *tokenizers[N_BUILT];
    if (!tokenizers[which]) {
        struct lists lists = {0};
        if (which < N_BYTE_LEVEL)
            list_byte_level(&lists);
        else
            list_pieces(&lists);
        list_marks(&lists);
        tokenizers[which] = which < N_BYTE_LEVEL ? lists_open(&lists, "gpt2", pre_tokenizers[which])
                                                 : lists_open(&lists, "llama", "default");
        require(tokenizers[which] != NULL);
    }
    return tokenizers[which];
}

/* ---- what must hold ---- */

static void decode(const struct tokenizer *tokenizer, const struct tokens *tokens, struct buffer *out)
{
    tokenizer_decode(tokenizer, tokens->ids, tokens->n, false, out);
#ifdef FATHOM_PLANT_BUG
    if (out->size && ((unsigned char)out->data[out->size - 1] & 0xe0) == 0xc0)
        out->size--;
#endif
}

static struct tokens encode(const struct tokenizer *tokenizer, const char *text, size_t size, unsigned flags)
{
    struct tokens tokens = {0}, again = {0};
    require(tokenizer_encode(tokenizer, text, size, flags, &tokens, NULL) == STATUS_OK);
    require(tokenizer_encode(tokenizer, text, size, flags, &again, NULL) == STATUS_OK);
    require(tokens.n == again.n);
    for (size_t i = 0; i < tokens.n; i++) {
        require(tokens.ids[i] == again.ids[i]);
        require(tokens.ids[i] >= 0 && tokens.ids[i] < tokenizer_n_vocab(tokenizer));
        require(flags & (TOKENIZE_SPECIAL | TOKENIZE_BEGIN) ||
                tokenizer_kind(tokenizer, tokens.ids[i]) != TOKEN_CONTROL);
    }
    tokens_deinit(&again);
    return tokens;
}

static void check_text(const struct tokenizer *tokenizer, const char *text, size_t size, bool complete)
{
    for (unsigned flags = 0; flags < 8; flags++) {
        struct tokens tokens = encode(tokenizer, text, size, flags);
        struct buffer out = {0};
        decode(tokenizer, &tokens, &out);
        if (complete && !(flags & (TOKENIZE_SPECIAL | TOKENIZE_NO_PREFIX)))
            require(out.size == size && (!size || memcmp(out.data, text, size) == 0));
        buffer_clear(&out);
        for (size_t i = 0; i < tokens.n;
             i++) { /* with its marks a text comes back as well, but for spaces put before */
            struct slice piece = tokenizer_piece(tokenizer, tokens.ids[i], true);
            buffer_append(&out, piece.data, piece.size);
        }
        if (complete && (flags & ~(unsigned)TOKENIZE_SPECIAL) == TOKENIZE_NO_PREFIX)
            require(out.size == size && (!size || memcmp(out.data, text, size) == 0));
        buffer_deinit(&out);
        tokens_deinit(&tokens);
    }
}

/* ---- any vocabulary ---- */

/* Takes a length of up to 31 and that many bytes, or what is left. */
static struct slice take(const char **data, size_t *size)
{
    size_t n = 0;
    if (*size) {
        n = (unsigned char)**data & 31;
        ++*data;
        --*size;
    }
    n = n < *size ? n : *size;
    struct slice taken = {*data, n};
    *data += n;
    *size -= n;
    return taken;
}

static void check_vocabulary(const char *data, size_t size, bool byte_level, bool own_bytes)
{
    struct lists lists = {0};
    struct slice counts = take(&data, &size);
    unsigned n_tokens = counts.size > 0 ? (unsigned char)counts.data[0] & 63 : 3;
    unsigned n_merges = counts.size > 1 ? (unsigned char)counts.data[1] & 63 : 3;
    if (own_bytes && byte_level)
        list_byte_level(&lists);
    else if (own_bytes)
        list_pieces(&lists);
    for (unsigned i = 0; i < n_tokens; i++) {
        struct slice text = take(&data, &size), kind = take(&data, &size);
        list_token(&lists, text.data, text.size, kind.size ? kind.data[0] % 8 : TOKEN_NORMAL,
                   kind.size > 1 ? (float)kind.data[1] : 0);
    }
    for (unsigned i = 0; i < n_merges; i++) {
        struct slice line = take(&data, &size);
        write_text(&lists.merges, line.data, line.size);
        lists.n_merges++;
    }
    if (counts.size > 2 && lists.kinds.size > 4 && counts.data[2] & 1)
        lists.kinds.size -= 4;
    if (counts.size > 2 && lists.scores.size > 4 && counts.data[2] & 2)
        lists.scores.size -= 4;
    const char *pre = pre_tokenizers[counts.size > 3 ? (unsigned char)counts.data[3] % N_BYTE_LEVEL : 0];
    struct tokenizer *tokenizer = lists_open(&lists, byte_level ? "gpt2" : "llama", pre);
    if (tokenizer)
        check_text(tokenizer, data, size, false);
    tokenizer_free(tokenizer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size)
        return 0;
    size_t kind = data[0] % N_KINDS;
    char *text = malloc(size);
    require(text != NULL);
    memcpy(text, data + 1, size - 1);
    if (kind < N_BUILT)
        check_text(built(kind), text, size - 1, true);
    else
        check_vocabulary(text, size - 1, (kind - N_BUILT) & 1, (kind - N_BUILT) & 2);
    free(text);
    return 0;
}
