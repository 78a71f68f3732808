/* tokenizer: see tokenizer.h.  This file puts the parts together: marks are cut out of the text, what lies between them is
 * split into pieces (byte-level) or words (SentencePiece), and each of those is merged into tokens.
 *
 *   text -> marks and the stretches between -> pieces -> tokens
 *           tokenizer_lexicon.c             tokenizer_split.c -> tokenizer_merge.c */
#include "engine/tokenizer.h"
#include "engine/tokenizer_merge.h"
#include "engine/tokenizer_split.h"
#include "engine/tokenizer_lexicon.h"

#include <stdlib.h>
#include <string.h>

struct tokenizer {
    struct lexicon lexicon;
    struct merges merges;
    struct splitter *splitter; /* NULL: SentencePiece */
    bool adds_bos, adds_eos;
    bool adds_space; /* SentencePiece puts a space before the text */
};

/* ---- making ---- */

static enum status flag_read(const struct gguf *gguf, const char *key, bool *flag, struct error *error)
{
    return gguf_find_key(gguf, key) ? gguf_read_bool(gguf, key, flag, error) : STATUS_OK;
}

static enum status tokenizer_load(struct tokenizer *tokenizer, const struct gguf *gguf, struct error *error)
{
    struct slice model = {0}, pre = slice_from("default");
    enum status status = gguf_read_text(gguf, "tokenizer.ggml.model", &model, error);
    if (status)
        return status;
    bool byte_level = slice_equals(model, "gpt2");
    if (!byte_level && !slice_equals(model, "llama"))
        return error_set(error, STATUS_UNSUPPORTED, "tokenizer.ggml.model: unknown kind of tokenizer \"%.*s\"",
                         (int)(model.size < 64 ? model.size : 64), model.data ? model.data : "");
    if (byte_level) {
        if (gguf_find_key(gguf, "tokenizer.ggml.pre"))
            status = gguf_read_text(gguf, "tokenizer.ggml.pre", &pre, error);
        if (!status)
            status = splitter_new(pre, &tokenizer->splitter, error);
    }
    if (!status)
        status = lexicon_init(&tokenizer->lexicon, gguf, byte_level, error);
    if (!status)
        status = merges_init(&tokenizer->merges, gguf, &tokenizer->lexicon, error);
    tokenizer->adds_bos = !byte_level || (tokenizer->splitter && splitter_adds_bos(tokenizer->splitter));
    tokenizer->adds_space = !byte_level;
    if (!status)
        status = flag_read(gguf, "tokenizer.ggml.add_bos_token", &tokenizer->adds_bos, error);
    if (!status)
        status = flag_read(gguf, "tokenizer.ggml.add_eos_token", &tokenizer->adds_eos, error);
    if (!status && !byte_level)
        status = flag_read(gguf, "tokenizer.ggml.add_space_prefix", &tokenizer->adds_space, error);
    return status;
}

enum status tokenizer_new(const struct gguf *gguf, struct tokenizer **out, struct error *error)
{
    struct tokenizer *tokenizer = calloc(1, sizeof *tokenizer);
    if (!tokenizer)
        return error_set(error, STATUS_MEMORY, "out of memory");
    enum status status = tokenizer_load(tokenizer, gguf, error);
    struct tokens newline = {0};
    if (!status)
        status = tokenizer_encode(tokenizer, "\n", 1, TOKENIZE_NO_PREFIX, &newline, error);
    if (status) {
        tokenizer_free(tokenizer);
        return status;
    }
    if (newline.n == 1)
        tokenizer->lexicon.special.newline = newline.ids[0];
    tokens_deinit(&newline);
    *out = tokenizer;
    return STATUS_OK;
}

void tokenizer_free(struct tokenizer *tokenizer)
{
    if (!tokenizer)
        return;
    merges_deinit(&tokenizer->merges);
    lexicon_deinit(&tokenizer->lexicon);
    splitter_free(tokenizer->splitter);
    free(tokenizer);
}

/* ---- asking ---- */

int32_t tokenizer_n_vocab(const struct tokenizer *tokenizer)
{
    return tokenizer->lexicon.n;
}

const struct special_tokens *tokenizer_special(const struct tokenizer *tokenizer)
{
    return &tokenizer->lexicon.special;
}

bool tokenizer_adds_bos(const struct tokenizer *tokenizer)
{
    return tokenizer->adds_bos && tokenizer->lexicon.special.bos >= 0;
}

static bool is_inside(const struct tokenizer *tokenizer, int32_t id)
{
    return id >= 0 && id < tokenizer->lexicon.n;
}

enum token_kind tokenizer_kind(const struct tokenizer *tokenizer, int32_t id)
{
    return is_inside(tokenizer, id) ? (enum token_kind)tokenizer->lexicon.kinds[id] : TOKEN_UNUSED;
}

bool tokenizer_is_end(const struct tokenizer *tokenizer, int32_t id)
{
    return is_inside(tokenizer, id) && tokenizer->lexicon.ends[id];
}

int32_t tokenizer_find(const struct tokenizer *tokenizer, const char *text, size_t size)
{
    const struct lexicon *lexicon = &tokenizer->lexicon;
    int32_t id = lexicon_find_mark(lexicon, text, size);
    if (id < 0)
        id = lexicon_find_word(lexicon, text, size);
    if (id < 0 && size == 1 && !lexicon->byte_level)
        id = lexicon->bytes[(unsigned char)*text];
    return id;
}

/* ---- text to tokens ---- */

/* What one call of tokenizer_encode works with. */
struct encoding {
    const struct tokenizer *tokenizer;
    struct tokens *out;
    struct split_walk *walk; /* made when the first piece is met */
    struct merge_scratch scratch;
    struct buffer word; /* SentencePiece: the first word with its space */
};

static enum status pieces_encode(struct encoding *encoding, const char *text, size_t size, struct error *error)
{
    const struct tokenizer *tokenizer = encoding->tokenizer;
    enum status status = STATUS_OK;
    if (!encoding->walk)
        status = split_walk_new(tokenizer->splitter, &encoding->walk, error);
    if (!status)
        status = split_walk_start(encoding->walk, text, size, error);
    while (!status) {
        struct slice piece;
        bool done;
        status = split_walk_next(encoding->walk, &piece, &done, error);
        if (status || done)
            break;
        int32_t whole = -1;
        if (splitter_ignores_merges(tokenizer->splitter))
            whole = lexicon_find_word(&tokenizer->lexicon, piece.data, piece.size);
        if (whole >= 0)
            tokens_append(encoding->out, whole);
        else
            status = merges_encode(&tokenizer->merges, &tokenizer->lexicon, &encoding->scratch, piece.data, piece.size,
                                   encoding->out, error);
    }
    return status;
}

/* Where the word that text begins with ends: before the next space that follows something else.  Where a token may have
 * such a space inside, nothing may be cut. */
static size_t word_size(const struct lexicon *lexicon, const char *text, size_t size)
{
    if (!lexicon->spaces_lead)
        return size;
    size_t i = 0;
    while (i < size && text[i] == ' ')
        i++;
    const char *space = i < size ? memchr(text + i, ' ', size - i) : NULL;
    return space ? (size_t)(space - text) : size;
}

static enum status words_encode(struct encoding *encoding, const char *text, size_t size, bool add_space,
                                struct error *error)
{
    const struct tokenizer *tokenizer = encoding->tokenizer;
    enum status status = STATUS_OK;
    for (size_t i = 0, n; !status && i < size; i += n) {
        n = word_size(&tokenizer->lexicon, text + i, size - i);
        struct slice word = {text + i, n};
        if (i == 0 && add_space) {
            buffer_clear(&encoding->word);
            buffer_append_byte(&encoding->word, ' ');
            buffer_append(&encoding->word, text, n);
            status = buffer_status(&encoding->word, error);
            word = (struct slice){encoding->word.data, encoding->word.size};
        }
        if (!status)
            status = merges_encode(&tokenizer->merges, &tokenizer->lexicon, &encoding->scratch, word.data, word.size,
                                   encoding->out, error);
    }
    return status;
}

/* Cuts the marks out of text.  A space is put before text that begins or follows a control token. */
static enum status marks_encode(struct encoding *encoding, const char *text, size_t size, unsigned flags,
                                struct error *error)
{
    const struct tokenizer *tokenizer = encoding->tokenizer;
    const struct lexicon *lexicon = &tokenizer->lexicon;
    const struct mark_set *set = flags & TOKENIZE_SPECIAL ? &lexicon->all_marks : &lexicon->plain_marks;
    bool add_space = tokenizer->adds_space && !(flags & TOKENIZE_NO_PREFIX);
    bool follows_mark = true;
    enum status status = STATUS_OK;
    for (size_t begin = 0; !status && begin < size;) {
        size_t end = begin;
        int32_t mark = -1;
        while (end < size && (mark = lexicon_match_mark(lexicon, set, text + end, size - end)) < 0)
            end++;
        if (end > begin && lexicon->byte_level)
            status = pieces_encode(encoding, text + begin, end - begin, error);
        else if (end > begin)
            status = words_encode(encoding, text + begin, end - begin, add_space && follows_mark, error);
        begin = end;
        if (mark < 0)
            break;
        tokens_append(encoding->out, mark);
        follows_mark = lexicon->kinds[mark] != TOKEN_USER_DEFINED;
        begin += lexicon_text(lexicon, mark).size;
    }
    return status;
}

enum status tokenizer_encode(const struct tokenizer *tokenizer, const char *text, size_t size, unsigned flags,
                             struct tokens *out, struct error *error)
{
    const struct special_tokens *special = &tokenizer->lexicon.special;
    struct encoding encoding = {.tokenizer = tokenizer, .out = out};
    size_t n_before = out->n;
    if (flags & TOKENIZE_BEGIN && tokenizer_adds_bos(tokenizer))
        tokens_append(out, special->bos);
    enum status status = marks_encode(&encoding, text, size, flags, error);
    if (flags & TOKENIZE_BEGIN && tokenizer->adds_eos && special->eos >= 0)
        tokens_append(out, special->eos);
    split_walk_free(encoding.walk);
    merge_scratch_deinit(&encoding.scratch);
    buffer_deinit(&encoding.word);
    if (!status)
        status = tokens_status(out, error);
    if (status)
        out->n = n_before;
    return status;
}

/* ---- tokens to text ---- */

struct slice tokenizer_piece(const struct tokenizer *tokenizer, int32_t id, bool special)
{
    if (!is_inside(tokenizer, id))
        return (struct slice){"", 0};
    enum token_kind kind = tokenizer->lexicon.kinds[id];
    if (!special && (kind == TOKEN_CONTROL || kind == TOKEN_UNKNOWN))
        return (struct slice){"", 0};
    return lexicon_text(&tokenizer->lexicon, id);
}

void tokenizer_decode(const struct tokenizer *tokenizer, const int32_t *ids, size_t n, bool special, struct buffer *out)
{
    bool first = tokenizer->adds_space;
    for (size_t i = 0; i < n; i++) {
        struct slice piece = tokenizer_piece(tokenizer, ids[i], special);
        enum token_kind kind = tokenizer_kind(tokenizer, ids[i]);
        bool is_text = kind != TOKEN_CONTROL && kind != TOKEN_UNKNOWN;
        if (first && is_text && piece.size && *piece.data == ' ') {
            piece.data++;
            piece.size--;
        }
        first = first && !is_text;
        buffer_append(out, piece.data, piece.size);
    }
}
