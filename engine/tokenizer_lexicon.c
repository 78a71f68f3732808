/* tokenizer_lexicon: see tokenizer_lexicon.h. */
#include "engine/tokenizer_lexicon.h"
#include "engine/tokenizer_roles.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_TOKEN_SIZE = 1 << 16, MAX_MARK_SIZE = 1 << 10 };

struct text_slot {
    uint32_t hash;
    int32_t id; /* plus one; 0: free */
};

/* ---- hashing ---- */

uint32_t hash_slots_for(uint64_t n)
{
    uint64_t slots = 16;
    while (slots - slots / 3 < n)
        slots *= 2;
    return slots > 1u << 31 ? 0 : (uint32_t)slots;
}

static uint64_t load_bytes(const char *text, size_t size)
{
    uint64_t value = 0;
    if (size >= 8) {
        memcpy(&value, text, 8);
    } else if (size >= 4) { /* two halves that overlap */
        uint32_t low, high;
        memcpy(&low, text, 4);
        memcpy(&high, text + size - 4, 4);
        value = low | (uint64_t)high << 32;
    } else {
        for (size_t i = 0; i < size; i++)
            value |= (uint64_t)(unsigned char)text[i] << 8 * i;
    }
    return value;
}

static uint32_t text_hash(const char *text, size_t size)
{
    uint64_t hash = size * UINT64_C(0x9e3779b97f4a7c15);
    for (; size > 8; text += 8, size -= 8) {
        hash = (hash ^ load_bytes(text, 8)) * UINT64_C(0xff51afd7ed558ccd);
        hash ^= hash >> 32;
    }
    hash = (hash ^ load_bytes(text, size)) * UINT64_C(0xc4ceb9fe1a85ec53);
    hash ^= hash >> 32;
    hash *= UINT64_C(0x9e3779b97f4a7c15);
    return (uint32_t)(hash >> 32);
}

struct slice lexicon_text(const struct lexicon *lexicon, int32_t id)
{
    uint32_t begin = lexicon->offsets[id];
    return (struct slice){lexicon->text + begin, lexicon->offsets[id + 1] - begin};
}

/* The slot that holds text, or the free one where it would go.  Adds to *probes how many were looked at. */
static struct text_slot *map_slot(const struct lexicon *lexicon, const struct text_map *map, const char *text,
                                  size_t size, uint32_t hash, uint64_t *probes)
{
    for (uint32_t i = hash & map->mask;; i = (i + 1) & map->mask) {
        struct text_slot *slot = &map->slots[i];
        ++*probes;
        if (!slot->id)
            return slot;
        if (slot->hash != hash)
            continue;
        struct slice found = lexicon_text(lexicon, slot->id - 1);
        if (found.size == size && memcmp(found.data, text, size) == 0)
            return slot;
    }
}

static int32_t map_find(const struct lexicon *lexicon, const struct text_map *map, const char *text, size_t size)
{
    uint64_t probes = 0;
    return size ? map_slot(lexicon, map, text, size, text_hash(text, size), &probes)->id - 1 : -1;
}

static bool is_mark(enum token_kind kind)
{
    return kind == TOKEN_CONTROL || kind == TOKEN_USER_DEFINED || kind == TOKEN_UNKNOWN;
}

/* Among tokens of the same text the first one is found. */
static enum status map_init(struct lexicon *lexicon, struct text_map *map, bool marks, struct error *error)
{
    uint64_t n = 0, probes = 0;
    for (int32_t id = 0; id < lexicon->n; id++)
        n += is_mark(lexicon->kinds[id]) == marks;
    uint32_t slots = hash_slots_for(n);
    map->slots = slots ? calloc(slots, sizeof *map->slots) : NULL;
    if (!map->slots)
        return error_set(error, STATUS_MEMORY, "not enough memory for the vocabulary's %llu tokens",
                         (unsigned long long)n);
    map->mask = slots - 1;
    for (int32_t id = 0; id < lexicon->n; id++) {
        struct slice text = lexicon_text(lexicon, id);
        enum token_kind kind = lexicon->kinds[id];
        if (!text.size || kind == TOKEN_BYTE || is_mark(kind) != marks)
            continue;
        uint32_t hash = text_hash(text.data, text.size);
        struct text_slot *slot = map_slot(lexicon, map, text.data, text.size, hash, &probes);
        if (!slot->id)
            *slot = (struct text_slot){hash, id + 1};
        /* Texts can be made to collide; a real vocabulary needs about two probes a token. */
        if (probes > 64 * n + 4096)
            return error_set(error, STATUS_FORMAT, "tokenizer.ggml.tokens: too many texts of the same hash");
    }
    return STATUS_OK;
}

int32_t lexicon_find_word(const struct lexicon *lexicon, const char *text, size_t size)
{
    return map_find(lexicon, &lexicon->words, text, size);
}

int32_t lexicon_find_mark(const struct lexicon *lexicon, const char *text, size_t size)
{
    return map_find(lexicon, &lexicon->marks, text, size);
}

/* ---- marks in text ---- */

struct mark_order {
    struct slice text;
    int32_t id;
};

static int mark_compare(const void *a, const void *b)
{
    const struct mark_order *x = a, *y = b;
    size_t size = x->text.size < y->text.size ? x->text.size : y->text.size;
    int order = memcmp(x->text.data, y->text.data, size);
    if (order)
        return order;
    if (x->text.size != y->text.size)
        return x->text.size < y->text.size ? -1 : 1;
    return x->id < y->id ? -1 : x->id > y->id;
}

static bool in_brackets(struct slice text)
{
    if (text.size < 2)
        return false;
    char first = text.data[0], last = text.data[text.size - 1];
    return (first == '<' && last == '>') || (first == '[' && last == ']');
}

static enum status mark_set_init(struct lexicon *lexicon, struct mark_set *set, bool plain, struct error *error)
{
    uint32_t n = 0;
    for (int32_t id = 0; id < lexicon->n; id++)
        n += is_mark(lexicon->kinds[id]);
    struct mark_order *order = malloc((n + 1u) * sizeof *order);
    set->ids = malloc((n + 1u) * sizeof *set->ids);
    if (!order || !set->ids) {
        free(order);
        return error_set(error, STATUS_MEMORY, "not enough memory for the vocabulary's %u special tokens", n);
    }
    n = 0;
    for (int32_t id = 0; id < lexicon->n; id++) {
        struct slice text = lexicon_text(lexicon, id);
        enum token_kind kind = lexicon->kinds[id];
        if (!is_mark(kind) || !text.size || text.size > MAX_MARK_SIZE)
            continue;
        if (plain && (kind != TOKEN_USER_DEFINED || in_brackets(text)))
            continue;
        order[n++] = (struct mark_order){text, id};
    }
    qsort(order, n, sizeof *order, mark_compare);
    for (uint32_t i = 0; i < n; i++) {
        set->ids[i] = order[i].id;
        set->first[(unsigned char)order[i].text.data[0] + 1]++;
    }
    for (size_t byte = 0; byte < 256; byte++)
        set->first[byte + 1] += set->first[byte];
    free(order);
    return STATUS_OK;
}

/* Byte at of mark i, or -1 where it is shorter: as the order of the set has it. */
static int mark_byte(const struct lexicon *lexicon, const struct mark_set *set, uint32_t i, size_t at)
{
    struct slice text = lexicon_text(lexicon, set->ids[i]);
    return at < text.size ? (unsigned char)text.data[at] : -1;
}

int32_t lexicon_match_mark(const struct lexicon *lexicon, const struct mark_set *set, const char *text, size_t size)
{
    uint32_t begin = set->first[(unsigned char)text[0]], end = set->first[(unsigned char)text[0] + 1];
    int32_t longest = -1;
    for (size_t depth = 1; begin < end; depth++) {
        /* All of [begin, end) agree with text in the first depth bytes; one that ends here comes first. */
        if (mark_byte(lexicon, set, begin, depth) < 0) {
            longest = set->ids[begin];
            while (begin < end && mark_byte(lexicon, set, begin, depth) < 0)
                begin++;
        }
        if (depth == size)
            break;
        int wanted = (unsigned char)text[depth];
        uint32_t low = begin, high = end;
        while (low < high) { /* the first that isn't less */
            uint32_t middle = low + (high - low) / 2;
            if (mark_byte(lexicon, set, middle, depth) < wanted)
                low = middle + 1;
            else
                high = middle;
        }
        begin = low;
        high = end;
        while (low < high) { /* the first that is greater */
            uint32_t middle = low + (high - low) / 2;
            if (mark_byte(lexicon, set, middle, depth) <= wanted)
                low = middle + 1;
            else
                high = middle;
        }
        end = low;
    }
    return longest;
}

/* ---- reading the tokens ---- */

/* The byte that the letter c stands for by GPT-2's bytes_to_unicode, or -1: printable Latin-1 stands for itself, the other
 * 68 bytes for U+0100 and up in order. */
static int byte_letter_value(uint32_t c)
{
    if ((c >= 0xa1 && c <= 0xac) || (c >= 0xae && c <= 0xff))
        return (int)c;
    if (c >= 0x100 && c < 0x100 + 33)
        return (int)c - 0x100;
    if (c >= 0x100 + 33 && c < 0x100 + 67)
        return (int)c - 0x100 - 33 + 0x7f;
    return c == 0x100 + 67 ? 0xad : -1;
}

bool byte_letters_decode(struct slice text, char *out, size_t *out_size)
{
    size_t n = 0;
    for (size_t i = 0; i < text.size;) {
        unsigned char lead = (unsigned char)text.data[i], next;
        if (lead >= 0x21 && lead <= 0x7e) {
            out[n++] = text.data[i++];
            continue;
        }
        /* All others are two bytes of UTF-8. */
        if (lead < 0xc2 || lead > 0xc5 || i + 1 == text.size)
            return false;
        next = (unsigned char)text.data[i + 1];
        int value = (next & 0xc0) == 0x80 ? byte_letter_value((lead & 0x1fu) << 6 | (next & 0x3fu)) : -1;
        if (value < 0)
            return false;
        out[n++] = (char)value;
        i += 2;
    }
    *out_size = n;
    return true;
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
                                  : -1;
}

/* The byte that "<0x41>" names, or -1. */
static int byte_token_value(struct slice text)
{
    if (text.size != 6 || memcmp(text.data, "<0x", 3) != 0 || text.data[5] != '>')
        return -1;
    int high = hex_digit(text.data[3]), low = hex_digit(text.data[4]);
    return high < 0 || low < 0 ? -1 : high * 16 + low;
}

/* Writes what a word stands for, at most text.size bytes; returns how many. */
static size_t word_decode(bool byte_level, struct slice text, char *out)
{
    size_t n = 0;
    if (byte_level && byte_letters_decode(text, out, &n))
        return n;
    if (byte_level) { /* no byte-level text at all: it stands for itself */
        memcpy(out, text.data, text.size);
        return text.size;
    }
    for (size_t i = 0; i < text.size;) {
        if (text.size - i >= 3 && memcmp(text.data + i, "\xe2\x96\x81", 3) == 0) {
            out[n++] = ' ';
            i += 3;
        } else {
            out[n++] = text.data[i++];
        }
    }
    return n;
}

static enum status array_check(const struct gguf *gguf, const char *key, uint64_t n, const struct gguf_value **out,
                               struct error *error)
{
    const struct gguf_value *value = gguf_find_key(gguf, key);
    *out = value;
    if (value && !value->is_array)
        return error_set(error, STATUS_FORMAT, "%s: an array was expected", key);
    if (value && value->n < n)
        return error_set(error, STATUS_FORMAT, "%s: %llu values for %llu tokens", key, (unsigned long long)value->n,
                         (unsigned long long)n);
    return STATUS_OK;
}

static enum token_kind kind_read(const struct gguf_value *types, int32_t id)
{
    int64_t type = 0;
    if (!types || !gguf_array_i64(types, (uint64_t)id, &type) || type < TOKEN_NORMAL || type > TOKEN_BYTE)
        return TOKEN_NORMAL;
    return (enum token_kind)type;
}

/* Fills offsets, text, kinds and bytes; known holds the token of each known mark. */
static enum status texts_read(struct lexicon *lexicon, const struct gguf_value *tokens, const struct gguf_value *types,
                              int32_t *known, struct error *error)
{
    size_t position = 0, used = 0;
    for (int32_t id = 0; id < lexicon->n; id++) {
        struct slice written;
        if (!gguf_array_next_text(tokens, &position, &written))
            return error_set(error, STATUS_FORMAT, "tokenizer.ggml.tokens: ends before token %d", (int)id);
        if (written.size > MAX_TOKEN_SIZE)
            return error_set(error, STATUS_FORMAT, "tokenizer.ggml.tokens: token %d has %zu bytes, more than %d",
                             (int)id, written.size, (int)MAX_TOKEN_SIZE);
        enum token_kind kind = roles_sort(written, kind_read(types, id), id, known);
        char *out = lexicon->text + used;
        int value = kind == TOKEN_BYTE ? byte_token_value(written) : -1;
        if (value >= 0) {
            *out = (char)value;
            used++;
            if (lexicon->bytes[value] < 0)
                lexicon->bytes[value] = id;
        } else if (is_mark(kind)) {
            memcpy(out, written.data, written.size);
            used += written.size;
        } else {
            kind = kind == TOKEN_BYTE ? TOKEN_NORMAL : kind;
            used += word_decode(lexicon->byte_level, written, out);
        }
        lexicon->kinds[id] = (uint8_t)kind;
        lexicon->offsets[id + 1] = (uint32_t)used;
    }
    return STATUS_OK;
}

/* No text stands for more bytes than it has, so the array's own size is enough. */
static enum status texts_allocate(struct lexicon *lexicon, const struct gguf_value *tokens, struct error *error)
{
    if (!tokens->n || tokens->n > INT32_MAX / 2)
        return error_set(error, STATUS_FORMAT, "tokenizer.ggml.tokens: %llu tokens", (unsigned long long)tokens->n);
    if (tokens->data.size > UINT32_MAX)
        return error_set(error, STATUS_FORMAT, "tokenizer.ggml.tokens: %zu bytes of text", tokens->data.size);
    lexicon->n = (int32_t)tokens->n;
    size_t n = (size_t)tokens->n;
    lexicon->text = malloc(tokens->data.size + 1);
    lexicon->offsets = calloc(n + 1, sizeof *lexicon->offsets);
    lexicon->kinds = calloc(n, sizeof *lexicon->kinds);
    lexicon->ends = calloc(n, sizeof *lexicon->ends);
    if (!lexicon->text || !lexicon->offsets || !lexicon->kinds || !lexicon->ends)
        return error_set(error, STATUS_MEMORY, "not enough memory for the vocabulary's %zu tokens", n);
    return STATUS_OK;
}

/* Byte-level: the word of each byte.  Some vocabularies lack the bytes that never occur in UTF-8; those become U+FFFD. */
static void bytes_find(struct lexicon *lexicon)
{
    int32_t replacement = lexicon_find_word(lexicon, "\xef\xbf\xbd", 3);
    for (int byte = 0; byte < 256; byte++) {
        char text = (char)byte;
        int32_t id = lexicon_find_word(lexicon, &text, 1);
        if (id >= 0)
            lexicon->bytes[byte] = id;
        if (lexicon->bytes[byte] < 0 && (byte == 0xc0 || byte == 0xc1 || byte >= 0xf5))
            lexicon->bytes[byte] = replacement;
    }
}

static bool spaces_lead(const struct lexicon *lexicon)
{
    for (int32_t id = 0; id < lexicon->n; id++) {
        struct slice text = lexicon_text(lexicon, id);
        if (is_mark(lexicon->kinds[id]))
            continue;
        for (size_t i = 1; i < text.size; i++)
            if (text.data[i] == ' ' && text.data[i - 1] != ' ')
                return false;
    }
    return true;
}

enum status lexicon_init(struct lexicon *lexicon, const struct gguf *gguf, bool byte_level, struct error *error)
{
    const char *key = "tokenizer.ggml.tokens";
    const struct gguf_value *tokens, *types;
    enum status status = array_check(gguf, key, 0, &tokens, error);
    if (status)
        return status;
    if (!tokens)
        return error_set(error, STATUS_NOT_FOUND, "%s: the file has no vocabulary", key);
    if (tokens->type != GGUF_STRING)
        return error_set(error, STATUS_FORMAT, "%s: an array of strings was expected", key);
    *lexicon = (struct lexicon){.byte_level = byte_level};
    for (int byte = 0; byte < 256; byte++)
        lexicon->bytes[byte] = -1;

    int64_t type;
    status = array_check(gguf, "tokenizer.ggml.token_type", tokens->n, &types, error);
    if (!status && types && tokens->n && !gguf_array_i64(types, 0, &type))
        status = error_set(error, STATUS_FORMAT, "tokenizer.ggml.token_type: an array of whole numbers was expected");
    if (!status)
        status = texts_allocate(lexicon, tokens, error);
    int32_t known[KNOWN_MARKS_MAX];
    if (!status)
        status = texts_read(lexicon, tokens, types, roles_clear(known), error);
    if (!status)
        status = map_init(lexicon, &lexicon->words, false, error);
    if (!status)
        status = map_init(lexicon, &lexicon->marks, true, error);
    if (!status)
        status = mark_set_init(lexicon, &lexicon->all_marks, false, error);
    if (!status)
        status = mark_set_init(lexicon, &lexicon->plain_marks, true, error);
    if (!status)
        status = roles_read(gguf, known, lexicon, error);
    if (status)
        return status;
    if (byte_level)
        bytes_find(lexicon);
    lexicon->spaces_lead = spaces_lead(lexicon);
    return STATUS_OK;
}

void lexicon_deinit(struct lexicon *lexicon)
{
    free(lexicon->text);
    free(lexicon->offsets);
    free(lexicon->kinds);
    free(lexicon->ends);
    free(lexicon->words.slots);
    free(lexicon->marks.slots);
    free(lexicon->all_marks.ids);
    free(lexicon->plain_marks.ids);
    *lexicon = (struct lexicon){0};
}
