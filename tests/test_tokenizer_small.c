/* test_tokenizer_small: vocabularies made here: merging against a naive reference, SentencePiece's rules, marks, roles, and
 * files that are wrong in every way. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/gguf_writer.h"
#include "tests/tokenizer_fixture.h"

/* ---- a vocabulary to be written ---- */

enum { MAX_TOKENS = 512, MAX_MERGES = 512 };

struct draft {
    const char *model, *pre;
    char texts[MAX_TOKENS][32];
    int32_t kinds[MAX_TOKENS];
    float scores[MAX_TOKENS];
    size_t n;
    char merges[MAX_MERGES][64];
    size_t n_merges;
    bool no_merges, no_scores, no_kinds;
};

static int32_t draft_add(struct draft *draft, const char *text, int32_t kind, float score)
{
    assert_true(draft->n < MAX_TOKENS);
    snprintf(draft->texts[draft->n], sizeof draft->texts[0], "%s", text);
    draft->kinds[draft->n] = kind;
    draft->scores[draft->n] = score;
    return (int32_t)draft->n++;
}

static void draft_merge(struct draft *draft, const char *left, const char *right)
{
    assert_true(draft->n_merges < MAX_MERGES);
    struct buffer line = {0};
    buffer_printf(&line, "%s %s", left, right);
    assert_true(line.size < sizeof draft->merges[0]);
    memcpy(draft->merges[draft->n_merges++], line.data, line.size + 1);
    buffer_deinit(&line);
}

static int32_t draft_find(const struct draft *draft, const char *text)
{
    for (size_t i = 0; i < draft->n; i++)
        if (strcmp(draft->texts[i], text) == 0)
            return (int32_t)i;
    return -1;
}

static void draft_write(const struct draft *draft, struct gguf_writer *writer)
{
    const char *texts[MAX_TOKENS], *merges[MAX_MERGES];
    for (size_t i = 0; i < draft->n; i++)
        texts[i] = draft->texts[i];
    for (size_t i = 0; i < draft->n_merges; i++)
        merges[i] = draft->merges[i];
    gguf_writer_text(writer, "tokenizer.ggml.model", draft->model);
    if (draft->pre)
        gguf_writer_text(writer, "tokenizer.ggml.pre", draft->pre);
    gguf_writer_texts(writer, "tokenizer.ggml.tokens", texts, draft->n);
    if (!draft->no_kinds)
        gguf_writer_array(writer, "tokenizer.ggml.token_type", GGUF_I32, draft->kinds, draft->n);
    if (!draft->no_merges && strcmp(draft->model, "gpt2") == 0)
        gguf_writer_texts(writer, "tokenizer.ggml.merges", merges, draft->n_merges);
    if (!draft->no_scores && strcmp(draft->model, "llama") == 0)
        gguf_writer_array(writer, "tokenizer.ggml.scores", GGUF_F32, draft->scores, draft->n);
}

/* Opens what writer holds, which is freed. */
static enum status writer_open(struct gguf_writer *writer, struct tokenizer **out, struct error *error)
{
    struct buffer file = {0};
    struct gguf *gguf = NULL;
    gguf_writer_finish(writer, &file);
    gguf_writer_deinit(writer);
    *out = NULL;
    enum status status = gguf_open_memory(file.data, file.size, &gguf, error);
    if (!status)
        status = tokenizer_new(gguf, out, error);
    gguf_close(gguf);
    buffer_deinit(&file);
    return status;
}

static struct tokenizer *writer_tokenizer(struct gguf_writer *writer)
{
    struct tokenizer *tokenizer = NULL;
    struct error error = {0};
    if (writer_open(writer, &tokenizer, &error))
        fail_msg("%s", error.text);
    return tokenizer;
}

static struct tokenizer *draft_tokenizer(const struct draft *draft)
{
    struct gguf_writer writer = {0};
    draft_write(draft, &writer);
    return writer_tokenizer(&writer);
}

/* The bytes of printable ASCII and the space, as GPT-2 writes them. */
static void draft_begin_bytes(struct draft *draft)
{
    *draft = (struct draft){.model = "gpt2", .pre = "gpt-2"};
    draft_add(draft, "\xc4\xa0", TOKEN_NORMAL, 0); /* the space */
    for (int c = '!'; c <= '~'; c++)
        draft_add(draft, (char[]){(char)c, 0}, TOKEN_NORMAL, 0);
}

/* Unknown, begin, end and the 256 bytes of SentencePiece. */
static void draft_begin_pieces(struct draft *draft)
{
    *draft = (struct draft){.model = "llama"};
    draft_add(draft, "<unk>", TOKEN_UNKNOWN, 0);
    draft_add(draft, "<s>", TOKEN_CONTROL, 0);
    draft_add(draft, "</s>", TOKEN_CONTROL, 0);
    for (int byte = 0; byte < 256; byte++) {
        char text[8];
        snprintf(text, sizeof text, "<0x%02X>", (unsigned)byte);
        draft_add(draft, text, TOKEN_BYTE, 0);
    }
}

static void assert_encoded(const struct tokenizer *tokenizer, const char *text, unsigned flags, const char *expected)
{
    struct tokens tokens = fixture_encode(tokenizer, text, strlen(text), flags);
    struct buffer ids = fixture_ids_text(&tokens);
    assert_string_equal(buffer_text(&ids), expected);
    buffer_deinit(&ids);
    tokens_deinit(&tokens);
}

/* ---- against the naive way ---- */

struct naive {
    char symbols[64][64];
    size_t n;
};

static void naive_merge(struct naive *naive, size_t at)
{
    const char *right = naive->symbols[at + 1];
    memcpy(naive->symbols[at] + strlen(naive->symbols[at]), right, strlen(right) + 1);
    memmove(naive->symbols[at + 1], naive->symbols[at + 2], (naive->n - at - 2) * sizeof naive->symbols[0]);
    naive->n--;
}

/* How good it is to merge at and at + 1: the lower the better; INFINITY: not at all. */
static double naive_rank(const struct draft *draft, const struct naive *naive, size_t at)
{
    char text[130];
    if (strcmp(draft->model, "llama") == 0) {
        snprintf(text, sizeof text, "%s%s", naive->symbols[at], naive->symbols[at + 1]);
        int32_t id = draft_find(draft, text);
        return id < 0 ? (double)INFINITY : -(double)draft->scores[id];
    }
    snprintf(text, sizeof text, "%s %s", naive->symbols[at], naive->symbols[at + 1]);
    for (size_t i = 0; i < draft->n_merges; i++)
        if (strcmp(draft->merges[i], text) == 0)
            return (double)i;
    return (double)INFINITY;
}

static void naive_encode(const struct draft *draft, const char *word, struct buffer *ids)
{
    struct naive naive = {.n = strlen(word)};
    for (size_t i = 0; i < naive.n; i++)
        snprintf(naive.symbols[i], sizeof naive.symbols[i], "%c", word[i]);
    for (;;) {
        size_t best = 0;
        double rank = (double)INFINITY;
        for (size_t i = 0; i + 1 < naive.n; i++) {
            double here = naive_rank(draft, &naive, i);
            if (here < rank) {
                rank = here;
                best = i;
            }
        }
        if (rank == (double)INFINITY)
            break;
        naive_merge(&naive, best);
    }
    for (size_t i = 0; i < naive.n; i++)
        buffer_printf(ids, " %d", (int)draft_find(draft, naive.symbols[i]));
}

/* A vocabulary over four letters, in which most merges compete with one another. */
static void draft_random(struct draft *draft, uint64_t *seed, bool pieces)
{
    if (pieces)
        draft_begin_pieces(draft);
    else
        draft_begin_bytes(draft);
    for (char c = 'a'; pieces && c <= 'd'; c++)
        draft_add(draft, (char[]){c, 0}, TOKEN_NORMAL, -100);
    size_t first = (size_t)draft_find(draft, "a"), letters = draft->n;
    for (int i = 0; i < 60; i++) {
        char text[130];
        const char *pair[2];
        for (int side = 0; side < 2; side++) {
            uint32_t pick = fixture_random(seed, (uint32_t)(draft->n - letters) + 4);
            pair[side] = draft->texts[pick < 4 ? first + pick : letters + pick - 4];
        }
        snprintf(text, sizeof text, "%s%s", pair[0], pair[1]);
        if (strlen(text) > 8)
            continue;
        draft_merge(draft, pair[0], pair[1]);
        if (draft_find(draft, text) < 0) {
            float score = (float)fixture_random(seed, 3); /* many of the same, among them 0 and -0 */
            draft_add(draft, text, TOKEN_NORMAL, i % 2 ? -score : 0 - score);
        }
    }
}

static void check_naive(uint64_t *seed, bool pieces)
{
    struct draft draft;
    draft_random(&draft, seed, pieces);
    struct tokenizer *tokenizer = draft_tokenizer(&draft);
    for (int i = 0; i < 200; i++) {
        char word[33];
        size_t n = 1 + fixture_random(seed, 32);
        for (size_t k = 0; k < n; k++)
            word[k] = (char)('a' + (int)fixture_random(seed, 4));
        word[n] = 0;
        struct buffer expected = {0};
        naive_encode(&draft, word, &expected);
        assert_encoded(tokenizer, word, TOKENIZE_NO_PREFIX, buffer_text(&expected));
        fixture_assert_round_trip(tokenizer, word, n, 0);
        buffer_deinit(&expected);
    }
    tokenizer_free(tokenizer);
}

static void test_naive_reference(void **state)
{
    (void)state;
    uint64_t seed = 42;
    for (int i = 0; i < 20; i++) {
        check_naive(&seed, false);
        check_naive(&seed, true);
    }
}

/* ---- SentencePiece ---- */

#define SPACE "\xe2\x96\x81"

static void draft_pieces(struct draft *draft)
{
    draft_begin_pieces(draft);
    draft_add(draft, SPACE, TOKEN_NORMAL, -9);       /* 259 */
    draft_add(draft, "a", TOKEN_NORMAL, -9);         /* 260 */
    draft_add(draft, "b", TOKEN_NORMAL, -9);         /* 261 */
    draft_add(draft, SPACE "a", TOKEN_NORMAL, -1);   /* 262 */
    draft_add(draft, "ab", TOKEN_NORMAL, -2);        /* 263 */
    draft_add(draft, SPACE SPACE, TOKEN_NORMAL, -3); /* 264 */
    draft_add(draft, "\xc3\xa9", TOKEN_NORMAL, -4);  /* 265 */
    draft_add(draft, "<mark>", TOKEN_CONTROL, 0);    /* 266 */
    draft_add(draft, "b<", TOKEN_USER_DEFINED, 0);   /* 267 */
}

static void test_sentencepiece(void **state)
{
    (void)state;
    struct draft draft;
    draft_pieces(&draft);
    struct tokenizer *tokenizer = draft_tokenizer(&draft);
    assert_encoded(tokenizer, "", 0, "");
    assert_encoded(tokenizer, "a", 0, " 262");
    assert_encoded(tokenizer, "a", TOKENIZE_NO_PREFIX, " 260");
    assert_encoded(tokenizer, "ab", 0, " 262 261");
    assert_encoded(tokenizer, "ab", TOKENIZE_NO_PREFIX, " 263");
    assert_encoded(tokenizer, " a", 0, " 259 262"); /* the better score, not the first pair */
    assert_encoded(tokenizer, "  b", 0, " 264 259 261");
    assert_encoded(tokenizer, "a a", 0, " 262 262");
    assert_encoded(tokenizer, "\xc3\xa9\n\xc3", TOKENIZE_NO_PREFIX, " 265 13 198");
    assert_encoded(tokenizer, "\xe4\xb8\xad", TOKENIZE_NO_PREFIX, " 231 187 176"); /* no token: its bytes */
    assert_encoded(tokenizer, SPACE, TOKENIZE_NO_PREFIX, " 229 153 132");          /* the sign itself is no space */
    /* A space is put before what follows a control token, not a user-defined one. */
    assert_encoded(tokenizer, "<mark>a<mark>a", TOKENIZE_SPECIAL, " 266 262 266 262");
    assert_encoded(tokenizer, "<mark>a", TOKENIZE_SPECIAL | TOKENIZE_NO_PREFIX, " 266 260");
    assert_encoded(tokenizer, "ab<a", TOKENIZE_BEGIN, " 1 262 267 260");
    assert_int_equal(tokenizer_special(tokenizer)->newline, 13);
    assert_int_equal(tokenizer_find(tokenizer, " a", 2), 262);
    assert_int_equal(tokenizer_find(tokenizer, "\n", 1), 13);
    assert_int_equal(tokenizer_find(tokenizer, "<mark>", 6), 266);
    assert_int_equal(tokenizer_find(tokenizer, "zz", 2), -1);
    assert_int_equal(tokenizer_find(tokenizer, "", 0), -1);
    fixture_assert_round_trip(tokenizer, " a  b\0" SPACE "\xff", 10, 0);
    fixture_assert_round_trip(tokenizer, " a", 2, TOKENIZE_BEGIN);
    tokenizer_free(tokenizer);

    struct gguf_writer writer = {0};
    draft_write(&draft, &writer);
    gguf_writer_bool(&writer, "tokenizer.ggml.add_space_prefix", false);
    gguf_writer_bool(&writer, "tokenizer.ggml.add_bos_token", false);
    gguf_writer_bool(&writer, "tokenizer.ggml.add_eos_token", true);
    tokenizer = writer_tokenizer(&writer);
    assert_encoded(tokenizer, "a", TOKENIZE_BEGIN, " 260 2");
    fixture_assert_round_trip(tokenizer, " a", 2, 0);
    tokenizer_free(tokenizer);
}

/* A token with a space inside a word: then words may not be cut apart. */
static void test_spaces_inside(void **state)
{
    (void)state;
    struct draft draft;
    draft_pieces(&draft);
    int32_t id = draft_add(&draft, "b" SPACE, TOKEN_NORMAL, 0);
    struct tokenizer *tokenizer = draft_tokenizer(&draft);
    assert_int_equal(id, 268);
    assert_encoded(tokenizer, "b b a", TOKENIZE_NO_PREFIX, " 268 268 260");
    tokenizer_free(tokenizer);
}

/* Without tokens for bytes, what has no letter is the unknown token. */
static void test_no_bytes(void **state)
{
    (void)state;
    struct draft draft = {.model = "llama"};
    draft_add(&draft, "<unk>", TOKEN_UNKNOWN, 0);
    draft_add(&draft, "a", TOKEN_NORMAL, 0);
    struct tokenizer *tokenizer = draft_tokenizer(&draft);
    assert_encoded(tokenizer,
                   "a\xe4\xb8\xad"
                   "a\n",
                   TOKENIZE_NO_PREFIX, " 1 0 1 0");
    assert_int_equal(tokenizer_special(tokenizer)->newline, 0);
    assert_int_equal(tokenizer_special(tokenizer)->bos, -1);
    assert_false(tokenizer_adds_bos(tokenizer));
    assert_encoded(tokenizer, "a", TOKENIZE_BEGIN | TOKENIZE_NO_PREFIX, " 1");
    tokenizer_free(tokenizer);
}

/* ---- marks and roles ---- */

static void test_longest_mark(void **state)
{
    (void)state;
    struct draft draft;
    draft_begin_bytes(&draft);
    int32_t first = (int32_t)draft.n;
    draft_add(&draft, "<a>", TOKEN_CONTROL, 0);
    draft_add(&draft, "<a><b>", TOKEN_CONTROL, 0);
    draft_add(&draft, "<a>", TOKEN_CONTROL, 0); /* again: never found */
    draft_add(&draft, "<a><", TOKEN_CONTROL, 0);
    draft_add(&draft, "xy", TOKEN_USER_DEFINED, 0);
    draft_add(&draft, "[xy]", TOKEN_USER_DEFINED, 0);
    draft_add(&draft, "<", TOKEN_UNUSED, 0);
    struct tokenizer *tokenizer = draft_tokenizer(&draft);
    static const struct {
        const char *text;
        unsigned flags;
        int32_t ids[4]; /* counted from first; -1: none */
    } rows[] = {
        {"<a>", TOKENIZE_SPECIAL, {0, -1, -1, -1}},
        {"<a><b>", TOKENIZE_SPECIAL, {1, -1, -1, -1}},
        {"<a><a>", TOKENIZE_SPECIAL, {3, -1, -1, -1}},
        {"<a><a><b><a>", TOKENIZE_SPECIAL, {3, 0, -1, -1}},
        {"<a>xy<a>", TOKENIZE_SPECIAL, {0, 4, 0, -1}},
        {"[xy]", TOKENIZE_SPECIAL, {5, -1, -1, -1}},
        {"[xy]<a>", 0, {4, -1, -1, -1}},
        {"<a><b>", 0, {-1, -1, -1, -1}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct tokens tokens = fixture_encode(tokenizer, rows[i].text, strlen(rows[i].text), rows[i].flags);
        size_t found = 0;
        for (size_t k = 0; k < tokens.n; k++)
            if (tokens.ids[k] >= first) {
                assert_true(found < 4);
                assert_int_equal(tokens.ids[k] - first, rows[i].ids[found++]);
            }
        assert_true(found == 4 || rows[i].ids[found] < 0);
        tokens_deinit(&tokens);
    }
    tokenizer_free(tokenizer);
}

/* Texts known of the families, whatever kind the file gives them, and keys before texts. */
static void test_roles(void **state)
{
    (void)state;
    static const char *const families[][3] = {
        {"<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"},
        {"<fim_prefix>", "<fim_suffix>", "<fim_middle>"},
        {"<\xef\xbd\x9c"
         "fim" SPACE "begin\xef\xbd\x9c>",
         "<\xef\xbd\x9c"
         "fim" SPACE "hole\xef\xbd\x9c>",
         "<\xef\xbd\x9c"
         "fim" SPACE "end\xef\xbd\x9c>"},
        {SPACE "<PRE>", SPACE "<SUF>", SPACE "<MID>"},
        {"<|code_prefix|>", "<|code_suffix|>", "<|code_middle|>"},
        {"<[fim-prefix]>", "<[fim-suffix]>", "<[fim-middle]>"},
    };
    static const int32_t kinds[] = {TOKEN_NORMAL, TOKEN_USER_DEFINED, TOKEN_CONTROL};
    for (size_t i = 0; i < 3 * sizeof families / sizeof *families; i++) {
        struct draft draft;
        draft_begin_bytes(&draft);
        int32_t first = (int32_t)draft.n;
        for (int k = 0; k < 3; k++)
            draft_add(&draft, families[i / 3][k], kinds[i % 3], 0);
        struct tokenizer *tokenizer = draft_tokenizer(&draft);
        const struct special_tokens *special = tokenizer_special(tokenizer);
        assert_int_equal(special->fim_prefix, first);
        assert_int_equal(special->fim_suffix, first + 1);
        assert_int_equal(special->fim_middle, first + 2);
        assert_int_equal(special->fim_pad, -1);
        assert_int_equal(special->eos, -1);
        assert_int_equal(tokenizer_kind(tokenizer, first), TOKEN_CONTROL);
        tokenizer_free(tokenizer);
    }
}

static void test_role_keys(void **state)
{
    (void)state;
    struct draft draft;
    draft_begin_bytes(&draft);
    int32_t prefix = draft_add(&draft, "<fim_prefix>", TOKEN_CONTROL, 0);
    int32_t turn = draft_add(&draft, "<|im_end|>", TOKEN_NORMAL, 0);
    int32_t html = draft_add(&draft, "</s>", TOKEN_USER_DEFINED, 0);
    int32_t eos = draft_add(&draft, "<eos>", TOKEN_CONTROL, 0);
    int32_t file = draft_add(&draft, "<file_sep>", TOKEN_CONTROL, 0);
    struct gguf_writer writer = {0};
    draft_write(&draft, &writer);
    gguf_writer_u32(&writer, "tokenizer.ggml.fim_pre_token_id", 7);
    gguf_writer_u32(&writer, "tokenizer.ggml.prefix_token_id", 8);
    gguf_writer_u32(&writer, "tokenizer.ggml.suffix_token_id", 9);
    gguf_writer_u32(&writer, "tokenizer.ggml.eos_token_id", 10);
    gguf_writer_u32(&writer, "tokenizer.ggml.padding_token_id", 32000); /* beyond the vocabulary: none */
    gguf_writer_i32(&writer, "tokenizer.ggml.unknown_token_id", -1);
    struct tokenizer *tokenizer = writer_tokenizer(&writer);
    const struct special_tokens *special = tokenizer_special(tokenizer);
    assert_int_equal(special->fim_prefix, 7);
    assert_int_equal(special->fim_suffix, 9);
    assert_int_equal(special->eos, 10);
    assert_int_equal(special->eot, turn);
    assert_int_equal(special->pad, -1);
    assert_int_equal(special->unknown, -1);
    assert_int_equal(special->fim_separator, file);
    for (int32_t id = 0; id < tokenizer_n_vocab(tokenizer); id++)
        assert_int_equal(tokenizer_is_end(tokenizer, id), id == 10 || id == turn || id == eos || id == file);
    assert_int_equal(tokenizer_kind(tokenizer, turn), TOKEN_CONTROL);
    assert_int_equal(tokenizer_kind(tokenizer, html), TOKEN_USER_DEFINED);
    assert_int_equal(tokenizer_kind(tokenizer, prefix), TOKEN_CONTROL);
    assert_int_equal(tokenizer_kind(tokenizer, -1), TOKEN_UNUSED);
    assert_int_equal(tokenizer_piece(tokenizer, 100000, true).size, 0);
    tokenizer_free(tokenizer);
}

/* Merges may spell a control token's text; still no text becomes it. */
static void test_merges_to_control(void **state)
{
    (void)state;
    struct draft draft;
    draft_begin_bytes(&draft);
    int32_t control = draft_add(&draft, "ab", TOKEN_CONTROL, 0);
    draft_merge(&draft, "a", "b");
    for (int i = 0; i < 2; i++) {
        draft.pre = i ? "llama-bpe" : "gpt-2"; /* which takes whole words past the merges */
        struct tokenizer *tokenizer = draft_tokenizer(&draft);
        struct tokens tokens = fixture_encode(tokenizer, "ab", 2, 0);
        assert_int_equal(tokens.n, 2);
        tokens_deinit(&tokens);
        tokens = fixture_encode(tokenizer, "ab", 2, TOKENIZE_SPECIAL);
        assert_int_equal(tokens.n, 1);
        assert_int_equal(tokens.ids[0], control);
        tokens_deinit(&tokens);
        tokenizer_free(tokenizer);
    }
    draft_begin_pieces(&draft);
    draft_add(&draft, "a", TOKEN_NORMAL, 0);
    draft_add(&draft, "b", TOKEN_NORMAL, 0);
    draft_add(&draft, "ab", TOKEN_CONTROL, 0);
    struct tokenizer *tokenizer = draft_tokenizer(&draft);
    assert_encoded(tokenizer, "ab", TOKENIZE_NO_PREFIX, " 259 260");
    tokenizer_free(tokenizer);
}

static void test_whole_words(void **state)
{
    (void)state;
    struct draft draft;
    draft_begin_bytes(&draft);
    int32_t whole = draft_add(&draft, "abc", TOKEN_NORMAL, 0), pair = draft_add(&draft, "ab", TOKEN_NORMAL, 0);
    draft_merge(&draft, "a", "b");
    struct buffer expected = {0};
    for (int i = 0; i < 2; i++) {
        draft.pre = i ? "llama3" : "qwen2";
        struct tokenizer *tokenizer = draft_tokenizer(&draft);
        buffer_clear(&expected);
        if (i)
            buffer_printf(&expected, " %d", (int)whole);
        else
            buffer_printf(&expected, " %d %d", (int)pair, (int)draft_find(&draft, "c"));
        assert_encoded(tokenizer, "abc", 0, buffer_text(&expected));
        tokenizer_free(tokenizer);
    }
    buffer_deinit(&expected);
}

/* ---- wrong files ---- */

static void assert_refused(struct gguf_writer *writer, enum status status, const char *words)
{
    struct tokenizer *tokenizer = NULL;
    struct error error = {0};
    assert_int_equal(writer_open(writer, &tokenizer, &error), status);
    assert_null(tokenizer);
    if (!strstr(error.text, words))
        fail_msg("\"%s\" doesn't say \"%s\"", error.text, words);
}

/* draft, then what spoils it. */
static void draft_key(const struct draft *draft, struct gguf_writer *writer)
{
    *writer = (struct gguf_writer){0};
    draft_write(draft, writer);
}

static void test_refused(void **state)
{
    (void)state;
    struct gguf_writer writer = {0};
    struct draft bytes, pieces;
    draft_begin_bytes(&bytes);
    draft_pieces(&pieces);
    const float floats[MAX_TOKENS] = {0};
    assert_refused(&writer, STATUS_NOT_FOUND, "tokenizer.ggml.model");

    struct draft draft = bytes;
    draft.model = "bert";
    draft_key(&draft, &writer);
    assert_refused(&writer, STATUS_UNSUPPORTED, "bert");
    draft = bytes;
    draft.pre = "no-such\npre";
    draft_key(&draft, &writer);
    assert_refused(&writer, STATUS_UNSUPPORTED, "no-such?pre");
    draft = bytes;
    draft.no_merges = true;
    draft_key(&draft, &writer);
    assert_refused(&writer, STATUS_NOT_FOUND, "tokenizer.ggml.merges");
    draft = pieces;
    draft.no_scores = true;
    draft_key(&draft, &writer);
    assert_refused(&writer, STATUS_NOT_FOUND, "tokenizer.ggml.scores");
    draft_key(&draft, &writer);
    gguf_writer_array(&writer, "tokenizer.ggml.scores", GGUF_F32, floats, draft.n - 1);
    assert_refused(&writer, STATUS_FORMAT, "267 values for 268 tokens");
    draft_key(&draft, &writer);
    gguf_writer_texts(&writer, "tokenizer.ggml.scores", (const char *[MAX_TOKENS]){0}, 0);
    assert_refused(&writer, STATUS_FORMAT, "tokenizer.ggml.scores");
    draft_key(&draft, &writer);
    gguf_writer_f32(&writer, "tokenizer.ggml.scores", 1);
    assert_refused(&writer, STATUS_FORMAT, "tokenizer.ggml.scores");
    draft = bytes;
    draft.no_kinds = true;
    draft_key(&draft, &writer);
    gguf_writer_array(&writer, "tokenizer.ggml.token_type", GGUF_I32, draft.kinds, 3);
    assert_refused(&writer, STATUS_FORMAT, "3 values for");
    draft_key(&draft, &writer);
    gguf_writer_array(&writer, "tokenizer.ggml.token_type", GGUF_F32, floats, draft.n);
    assert_refused(&writer, STATUS_FORMAT, "tokenizer.ggml.token_type");
    draft_key(&draft, &writer);
    gguf_writer_text(&writer, "tokenizer.ggml.bos_token_id", "one");
    assert_refused(&writer, STATUS_FORMAT, "tokenizer.ggml.bos_token_id");
    draft_key(&draft, &writer);
    gguf_writer_text(&writer, "tokenizer.ggml.add_bos_token", "yes");
    assert_refused(&writer, STATUS_FORMAT, "tokenizer.ggml.add_bos_token");
}

static void test_refused_tokens(void **state)
{
    (void)state;
    for (int i = 0; i < 5; i++) {
        struct gguf_writer writer = {0};
        gguf_writer_text(&writer, "tokenizer.ggml.model", "gpt2");
        if (i == 1)
            gguf_writer_text(&writer, "tokenizer.ggml.tokens", "a");
        if (i == 2)
            gguf_writer_array(&writer, "tokenizer.ggml.tokens", GGUF_I32, (int32_t[]){1, 2}, 2);
        if (i == 3)
            gguf_writer_texts(&writer, "tokenizer.ggml.tokens", NULL, 0);
        char *text = calloc(1, 100000);
        assert_non_null(text);
        memset(text, 'a', 99999);
        if (i == 4)
            gguf_writer_texts(&writer, "tokenizer.ggml.tokens", (const char *[]){"b", text}, 2);
        free(text);
        assert_refused(&writer, i ? STATUS_FORMAT : STATUS_NOT_FOUND,
                       i == 4 ? "token 1 has 99999 bytes" : "ggml.tokens");
    }
}

/* What is odd but harms nothing. */
static void test_tolerated(void **state)
{
    (void)state;
    struct draft draft;
    draft_begin_bytes(&draft);
    draft.pre = NULL; /* "default" */
    draft_add(&draft, "", TOKEN_NORMAL, 0);
    draft_add(&draft, "", TOKEN_CONTROL, 0);
    draft_add(&draft, "a", TOKEN_NORMAL, 0);        /* again */
    draft_add(&draft, "\xff\xc3", TOKEN_NORMAL, 0); /* no UTF-8 */
    draft_add(&draft, "\xff\xc3", TOKEN_CONTROL, 0);
    draft_add(&draft, "<0x41>", TOKEN_BYTE, 0); /* 'A' once more */
    draft_add(&draft, "<0xZZ>", TOKEN_BYTE, 0);
    draft_add(&draft, "z", 77, 0); /* a kind that isn't */
    int32_t ab = draft_add(&draft, "ab", TOKEN_NORMAL, 0);
    static const char *const odd[] = {"", " ", "a", "a ", " b", "a b c", "q\xff r", "a zz", "zz a", "a \xe4\xb8\xad"};
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++)
        snprintf(draft.merges[draft.n_merges++], sizeof draft.merges[0], "%s", odd[i]);
    draft_merge(&draft, "a", "b");
    draft_merge(&draft, "a", "b");
    struct tokenizer *tokenizer = draft_tokenizer(&draft);
    struct buffer expected = {0};
    buffer_printf(&expected, " %d %d", (int)ab, (int)draft_find(&draft, "a"));
    assert_encoded(tokenizer, "aba", 0, buffer_text(&expected));
    assert_encoded(tokenizer, "aba", TOKENIZE_SPECIAL, buffer_text(&expected));
    fixture_assert_round_trip(tokenizer,
                              "Aa z\x7f"
                              "b",
                              4, 0);
    assert_encoded(tokenizer, "\n\xff", 0, ""); /* no tokens for these */
    assert_int_equal(tokenizer_special(tokenizer)->newline, -1);
    buffer_deinit(&expected);
    tokenizer_free(tokenizer);
}

/* Whatever byte of a file is wrong: an error or a tokenizer that works, never more. */
static void test_damaged(void **state)
{
    (void)state;
    uint64_t seed = 7;
    for (int kind = 0; kind < 2; kind++) {
        struct draft draft;
        if (kind)
            draft_pieces(&draft);
        else
            draft_random(&draft, &seed, false);
        struct gguf_writer writer = {0};
        struct buffer file = {0};
        draft_write(&draft, &writer);
        gguf_writer_finish(&writer, &file);
        gguf_writer_deinit(&writer);
        size_t refused = 0;
        for (int i = 0; i < 3000; i++) {
            struct buffer copy = {0};
            buffer_append(&copy, file.data, file.size);
            for (int k = 0; k < 3; k++)
                copy.data[fixture_random(&seed, (uint32_t)copy.size)] = (char)fixture_random(&seed, 256);
            struct gguf *gguf = NULL;
            struct tokenizer *tokenizer = NULL;
            struct error error = {0};
            if (gguf_open_memory(copy.data, copy.size, &gguf, &error) || tokenizer_new(gguf, &tokenizer, &error)) {
                refused++;
                assert_true(error.text[0] != 0);
            } else {
                struct tokens tokens = fixture_encode(tokenizer, "abc<s> ab\xff", 10, TOKENIZE_SPECIAL);
                for (size_t k = 0; k < tokens.n; k++)
                    assert_in_range(tokens.ids[k], 0, tokenizer_n_vocab(tokenizer) - 1);
                tokens_deinit(&tokens);
            }
            tokenizer_free(tokenizer);
            gguf_close(gguf);
            buffer_deinit(&copy);
        }
        assert_in_range(refused, 1, 2999);
        buffer_deinit(&file);
    }
}

/* A chain of tokens, each one letter longer, and a mark for each length: time must not grow with their squares. */
static void test_long_chains(void **state)
{
    (void)state;
    enum { CHAIN = 1500, TEXT = 100000 };
    struct slice *texts = calloc(2 * CHAIN, sizeof *texts), *merges = calloc(CHAIN, sizeof *merges);
    int32_t *kinds = calloc(2 * CHAIN, sizeof *kinds);
    char *letters = malloc(TEXT), *marks = malloc(CHAIN), (*lines)[CHAIN + 2] = calloc(CHAIN, sizeof *lines);
    assert_true(texts && merges && kinds && letters && marks && lines);
    memset(letters, 'a', TEXT);
    memset(marks, '<', CHAIN);
    for (size_t i = 0; i < CHAIN; i++) {
        texts[i] = (struct slice){letters, i + 1};
        texts[CHAIN + i] = (struct slice){marks, i + 1};
        kinds[i] = TOKEN_NORMAL;
        kinds[CHAIN + i] = TOKEN_CONTROL;
        memset(lines[i], 'a', i + 1); /* "aaa a" */
        lines[i][i + 1] = ' ';
        lines[i][i + 2 < CHAIN + 2 ? i + 2 : CHAIN + 1] = 'a';
        merges[i] = (struct slice){lines[i], i + 3};
    }
    struct gguf_writer writer = {0};
    gguf_writer_text(&writer, "tokenizer.ggml.model", "gpt2");
    gguf_writer_text(&writer, "tokenizer.ggml.pre", "gpt-2");
    gguf_writer_slices(&writer, "tokenizer.ggml.tokens", texts, 2 * CHAIN);
    gguf_writer_array(&writer, "tokenizer.ggml.token_type", GGUF_I32, kinds, 2 * CHAIN);
    gguf_writer_slices(&writer, "tokenizer.ggml.merges", merges, CHAIN - 1);
    struct tokenizer *tokenizer = writer_tokenizer(&writer);
    fixture_assert_round_trip(tokenizer, letters, TEXT, 0);
    memset(letters, '<', TEXT);
    struct tokens tokens = fixture_encode(tokenizer, letters, TEXT, TOKENIZE_SPECIAL);
    assert_int_equal(tokens.n, (TEXT + 1023) / 1024); /* marks of more than 1 KiB aren't looked for */
    tokens_deinit(&tokens);
    tokenizer_free(tokenizer);
    free(texts);
    free(merges);
    free(kinds);
    free(letters);
    free(marks);
    free(lines);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_naive_reference), cmocka_unit_test(test_sentencepiece),
        cmocka_unit_test(test_spaces_inside),   cmocka_unit_test(test_no_bytes),
        cmocka_unit_test(test_longest_mark),    cmocka_unit_test(test_roles),
        cmocka_unit_test(test_role_keys),       cmocka_unit_test(test_merges_to_control),
        cmocka_unit_test(test_whole_words),     cmocka_unit_test(test_refused),
        cmocka_unit_test(test_refused_tokens),  cmocka_unit_test(test_tolerated),
        cmocka_unit_test(test_damaged),         cmocka_unit_test(test_long_chains),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
