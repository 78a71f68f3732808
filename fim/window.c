/* window: see window.h. */
#include "fim/window.h"

#include <string.h>

enum {
    BLOCK_LEAST = 64,
    BLOCK_MOST = 2048,
    BLOCKS = 8,          /* in a window of ordinary text, about */
    BYTES_PER_TOKEN = 4, /* of ordinary text, about */
    BYTES_MOST = 16,     /* a token has more on average only in texts that no window needs to show more of */
    ANCHOR_LINES = 16,
    ANCHOR_BYTES = 256,
};

enum status fim_count(const struct engine *engine, struct slice text, size_t *out, struct error *error)
{
    struct tokens tokens = {0};
    enum status status = STATUS_OK;
    if (text.size)
        status = engine_tokenize(engine, text.data, text.size, ENGINE_NO_PREFIX, &tokens, error);
    if (status == STATUS_OK)
        status = tokens_status(&tokens, error);
    *out = tokens.n;
    tokens_deinit(&tokens);
    return status;
}

static size_t block_size(size_t n_tokens)
{
    size_t wanted = n_tokens * BYTES_PER_TOKEN / BLOCKS, size = BLOCK_LEAST;
    while (size < BLOCK_MOST && size * 2 <= wanted)
        size *= 2;
    return size;
}

/* The next beginning of a character at or behind a place. */
static size_t character_at(struct slice text, size_t at)
{
    for (int i = 0; i < 3 && at < text.size && ((unsigned char)text.data[at] & 0xc0) == 0x80; i++)
        at++;
    return at;
}

/* The first border at or behind a place, or the text's end. */
static size_t border_from(const struct fim_window_text *text, size_t at)
{
    size_t low = 0, high = text->n_borders;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (text->borders[middle] < at)
            low = middle + 1;
        else
            high = middle;
    }
    return low < text->n_borders && text->borders[low] < text->text.size ? text->borders[low] : text->text.size;
}

struct cut {
    size_t at;
    bool is_border;
};

/* Where the block that begins at a place is cut. */
static struct cut cut_in(const struct fim_window_text *text, size_t block, size_t size)
{
    size_t end = text->text.size - block < size ? text->text.size : block + size;
    size_t border = block ? border_from(text, block) : 0;
    if (border < end)
        return (struct cut){border, true};
    /* The line that begins with the block's first byte counts, too. */
    const char *from = text->text.data + block - 1, *newline = memchr(from, '\n', end - block);
    if (newline)
        return (struct cut){(size_t)(newline - text->text.data) + 1, false};
    return (struct cut){character_at(text->text, block), false};
}

/* The last tokens of a text, or the first: the place where they begin, or end. */
static enum status cut_tokens(const struct engine *engine, struct slice text, size_t n_tokens, bool from_end,
                              size_t *out, struct error *error)
{
    struct tokens tokens = {0};
    enum status status = engine_tokenize(engine, text.data, text.size, ENGINE_NO_PREFIX, &tokens, error);
    if (status == STATUS_OK)
        status = tokens_status(&tokens, error);
    size_t n_bytes = 0;
    for (size_t i = 0; status == STATUS_OK && i < n_tokens && i < tokens.n; i++)
        n_bytes += engine_piece(engine, tokens.ids[from_end ? tokens.n - 1 - i : i], false).size;
    if (n_bytes > text.size || tokens.n <= n_tokens)
        n_bytes = text.size;
    size_t at = from_end ? character_at(text, text.size - n_bytes) : n_bytes;
    while (!from_end && at && at < text.size && ((unsigned char)text.data[at] & 0xc0) == 0x80 && n_bytes - at < 3)
        at--; /* a character that doesn't fit whole isn't begun */
    *out = at;
    tokens_deinit(&tokens);
    return status;
}

enum status fim_window_before(const struct engine *engine, const struct fim_window_text *text, size_t n_tokens,
                              struct fim_window *out, struct error *error)
{
    size_t size = block_size(n_tokens), end = text->text.size, n_total = 0, n;
    struct cut best = {end, true}, border = {end, true};
    size_t n_best = 0, n_border = 0;
    enum status status = STATUS_OK;
    *out = (struct fim_window){end, end, 0};
    for (size_t block = end ? (end - 1) / size * size : 0, last = end; end; block -= size) {
        struct cut cut = cut_in(text, block, size);
        if (cut.at < last) {
            struct slice part = {text->text.data + cut.at, last - cut.at};
            status = fim_count(engine, part, &n, error);
            if (status != STATUS_OK)
                return status;
            if (n_total + n > n_tokens)
                break;
            n_total += n;
            last = cut.at;
            best = cut;
            n_best = n_total;
            if (cut.is_border) {
                border = cut;
                n_border = n_total;
            }
        }
        if (!block || end - block > n_tokens * BYTES_MOST)
            break;
    }
    /* A border of syntax is worth a quarter of what else would be shown. */
    if (!best.is_border && n_border >= n_best - n_best / 4 && border.at < end) {
        best = border;
        n_best = n_border;
    }
    *out = (struct fim_window){best.at, end, n_best};
    if (best.at == end && end) {
        size_t from = end > n_tokens * BYTES_MOST ? character_at(text->text, end - n_tokens * BYTES_MOST) : 0, at;
        status = cut_tokens(engine, (struct slice){text->text.data + from, end - from}, n_tokens, true, &at, error);
        *out = (struct fim_window){from + at, end, n_tokens};
    }
    return status;
}

enum status fim_window_behind(const struct engine *engine, const struct fim_window_text *text, size_t n_tokens,
                              struct fim_window *out, struct error *error)
{
    size_t size = block_size(n_tokens), end = text->text.size, n_total = 0, n, last = 0;
    struct cut best = {0, true}, border = {0, true};
    size_t n_best = 0, n_border = 0;
    enum status status = STATUS_OK;
    for (size_t block = size; last < end; block += size) {
        struct cut cut = block < end ? cut_in(text, block, size) : (struct cut){end, true};
        if (cut.at > last) {
            struct slice part = {text->text.data + last, cut.at - last};
            status = fim_count(engine, part, &n, error);
            if (status != STATUS_OK)
                return status;
            if (n_total + n > n_tokens)
                break;
            n_total += n;
            last = cut.at;
            best = cut;
            n_best = n_total;
            if (cut.is_border) {
                border = cut;
                n_border = n_total;
            }
        }
        if (block >= end || last > n_tokens * BYTES_MOST)
            break;
    }
    if (!best.is_border && border.at && n_border >= n_best - n_best / 4) {
        best = border;
        n_best = n_border;
    }
    *out = (struct fim_window){0, best.at, n_best};
    if (!best.at && end) {
        size_t most = end < n_tokens * BYTES_MOST ? end : n_tokens * BYTES_MOST, at;
        status = cut_tokens(engine, (struct slice){text->text.data, most}, n_tokens, false, &at, error);
        *out = (struct fim_window){0, at, n_tokens};
    }
    return status;
}

enum status fim_window_anchor(const struct engine *engine, struct slice text, uint32_t first_line, size_t n_tokens,
                              size_t *out, struct error *error)
{
    size_t starts[ANCHOR_LINES] = {0}, n_starts = 0, n;
    /* The beginnings of the last lines, the cursor's first. */
    uint32_t line = first_line ? first_line : 1;
    for (const char *at = text.data, *end = text.data + text.size;
         at < end && (at = memchr(at, '\n', (size_t)(end - at))); at++)
        line++;
    size_t at = text.size;
    for (uint32_t back = line % ANCHOR_LINES; n_starts <= back && n_starts < ANCHOR_LINES;) {
        const char *newline = at ? memrchr(text.data, '\n', at) : NULL;
        starts[n_starts++] = newline ? (size_t)(newline - text.data) + 1 : 0;
        if (!newline)
            break;
        at = (size_t)(newline - text.data);
    }
    size_t cursor_line = starts[0], long_line = cursor_line + (text.size - cursor_line) / ANCHOR_BYTES * ANCHOR_BYTES;
    size_t places[] = {starts[n_starts - 1], cursor_line, character_at(text, long_line)};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        struct slice seed = {text.data + places[i], text.size - places[i]};
        *out = places[i];
        if (seed.size > n_tokens * BYTES_MOST)
            continue;
        enum status status = fim_count(engine, seed, &n, error);
        if (status != STATUS_OK || n <= n_tokens)
            return status;
    }
    *out = text.size;
    return STATUS_OK;
}
