/* heal: see heal.h. */
#include "fim/heal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct entry {
    struct slice bytes;
    int32_t id;
};

struct healer {
    struct entry *entries; /* in the order of their bytes */
    size_t n;
    int32_t n_vocab;
};

static int compare_bytes(struct slice a, struct slice b)
{
    int order = memcmp(a.data, b.data, a.size < b.size ? a.size : b.size);
    return order ? order : (a.size > b.size) - (a.size < b.size);
}

static int compare_entries(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    int order = compare_bytes(x->bytes, y->bytes);
    return order ? order : (x->id > y->id) - (x->id < y->id);
}

enum status healer_new(const struct engine *engine, struct healer **out, struct error *error)
{
    int32_t n_vocab = engine_n_vocab(engine);
    struct healer *healer = calloc(1, sizeof *healer);
    struct entry *entries = calloc((size_t)n_vocab + 1, sizeof *entries);
    if (!healer || !entries) {
        free(healer);
        free(entries);
        return error_set(error, STATUS_MEMORY, "out of memory");
    }
    *healer = (struct healer){.entries = entries, .n_vocab = n_vocab};
    for (int32_t id = 0; id < n_vocab; id++) {
        struct slice bytes = engine_piece(engine, id, false);
        if (bytes.size && !engine_token_is_end(engine, id))
            entries[healer->n++] = (struct entry){bytes, id};
    }
    qsort(entries, healer->n, sizeof *entries, compare_entries);
    *out = healer;
    return STATUS_OK;
}

void healer_free(struct healer *healer)
{
    if (!healer)
        return;
    free(healer->entries);
    free(healer);
}

/* ---- what to take back ---- */

static bool is_word(char byte)
{
    unsigned char c = (unsigned char)byte;
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c >= 0x80;
}

static bool is_space(char byte)
{
    return byte == ' ' || byte == '\t' || byte == '\n' || byte == '\r';
}

/* A token's end that stays one whatever the text goes on with: between a word and something else, not inside spaces.  A
 * space at the end of what stays would keep the next word from beginning with it. */
static bool is_border(const char *text, size_t size, size_t at)
{
    char before = text[at - 1], after = text[at];
    if (is_space(before) && is_space(after))
        return after == ' ' && at + 1 < size && !is_space(text[at + 1]);
    return is_space(before) ? before == '\n' : !(is_word(before) && is_word(after));
}

/* Where the text's last stretch begins that is enough to tokenise its end as in the whole: behind a line's end. */
static size_t stretch_begin(const char *text, size_t size)
{
    enum { STRETCH_LEAST = 96, STRETCH_MOST = 512 };
    size_t at = size > STRETCH_LEAST ? size - STRETCH_LEAST : 0, least = size > STRETCH_MOST ? size - STRETCH_MOST : 0;
    while (at > least && text[at - 1] != '\n')
        at--;
    while (at < size && at > 0 && ((unsigned char)text[at] & 0xc0) == 0x80)
        at++;
    return at;
}

enum status heal_cut(const struct engine *engine, const char *text, size_t size, size_t *n_bytes, struct error *error)
{
    enum { TOKENS_MOST = 4 };
    struct tokens tokens = {0};
    size_t begin = stretch_begin(text, size), taken = 0;
    *n_bytes = 0;
    enum status status = engine_tokenize(engine, text + begin, size - begin, ENGINE_NO_PREFIX, &tokens, error);
    size_t n_spelled = 0;
    for (size_t i = 0; !status && i < tokens.n; i++)
        n_spelled += engine_piece(engine, tokens.ids[i], false).size;
    /* A text that its tokens don't spell can't be healed. */
    for (size_t i = 0; !status && n_spelled == size - begin && i < tokens.n && i < TOKENS_MOST; i++) {
        size_t piece = engine_piece(engine, tokens.ids[tokens.n - 1 - i], false).size;
        if (!piece || taken + piece > HEAL_MOST)
            break;
        taken += piece;
        *n_bytes = taken;
        if (taken >= size || is_border(text, size, size - taken))
            break;
    }
    tokens_deinit(&tokens);
    return status;
}

/* ---- what is allowed ---- */

void heal_start(struct heal *heal, const char *bytes, size_t size)
{
    *heal = (struct heal){.size = size < HEAL_MOST ? size : HEAL_MOST};
    if (heal->size)
        memcpy(heal->bytes, bytes, heal->size);
}

/* The first entry that isn't before bytes. */
static size_t first_from(const struct healer *healer, struct slice bytes)
{
    size_t low = 0, high = healer->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (compare_bytes(healer->entries[middle].bytes, bytes) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

bool heal_mask(const struct healer *healer, struct heal *heal, const float *logits, float *out)
{
    struct slice left = {heal->bytes + heal->at, heal->size - heal->at};
    bool fits = false;
    for (int32_t id = 0; id < healer->n_vocab; id++)
        out[id] = left.size ? -INFINITY : logits[id];
    for (size_t n = 1; n <= left.size; n++) { /* tokens that what is left begins with */
        struct slice part = {left.data, n};
        for (size_t i = first_from(healer, part); i < healer->n; i++) {
            const struct entry *entry = &healer->entries[i];
            bool begins = entry->bytes.size >= n && memcmp(entry->bytes.data, part.data, n) == 0;
            /* ... and at the last step all that go on from it */
            if (!begins || (n < left.size && entry->bytes.size > n))
                break;
            out[entry->id] = logits[entry->id];
            fits = true;
        }
    }
    if (left.size && !fits) {
        heal->at = heal->size;
        memcpy(out, logits, (size_t)healer->n_vocab * sizeof *out);
    }
    return fits || !left.size;
}

struct slice heal_take(const struct engine *engine, struct heal *heal, int32_t id)
{
    struct slice piece = engine_piece(engine, id, false);
    size_t left = heal->size - heal->at, spelled = piece.size < left ? piece.size : left;
    heal->at += spelled;
    return (struct slice){piece.data + spelled, piece.size - spelled};
}
