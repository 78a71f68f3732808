/* coloring: see coloring.h. */
#include "app/coloring.h"

#include <stdlib.h>
#include <string.h>

struct block {
    int language;
    struct buffer text; /* that the spans are of; empty: unused */
    struct document *document;
    struct highlight_span *spans;
    size_t n_spans;
    uint64_t used; /* when it was asked for last */
};

struct coloring {
    struct languages *languages;
    struct block blocks[COLORING_BLOCKS];
    uint64_t clock;
};

enum status coloring_new(struct languages *languages, struct coloring **out, struct error *error)
{
    struct coloring *coloring = calloc(1, sizeof *coloring);
    if (!coloring)
        return error_set(error, STATUS_MEMORY, "out of memory");
    coloring->languages = languages;
    *out = coloring;
    return STATUS_OK;
}

static void block_clear(struct block *block)
{
    if (block->document)
        document_free(block->document);
    buffer_deinit(&block->text);
    free(block->spans);
    *block = (struct block){0};
}

void coloring_free(struct coloring *coloring)
{
    for (size_t i = 0; coloring && i < COLORING_BLOCKS; i++)
        block_clear(&coloring->blocks[i]);
    free(coloring);
}

enum style coloring_style(enum highlight kind)
{
    static const uint8_t styles[HL_N] = {
        [HL_PLAIN] = STYLE_TEXT,         [HL_KEYWORD] = STYLE_HL_KEYWORD,
        [HL_TYPE] = STYLE_HL_TYPE,       [HL_FUNCTION] = STYLE_HL_FUNCTION,
        [HL_STRING] = STYLE_HL_STRING,   [HL_NUMBER] = STYLE_HL_NUMBER,
        [HL_COMMENT] = STYLE_HL_COMMENT, [HL_CONSTANT] = STYLE_HL_CONSTANT,
        [HL_OPERATOR] = STYLE_TEXT,      [HL_PREPROCESSOR] = STYLE_HL_PREPROCESSOR,
        [HL_HEADING] = STYLE_HEADING,
    };
    return (enum style)styles[kind < HL_N ? kind : HL_PLAIN];
}

/* ---- blocks ---- */

/* The block that holds the code, or the longest beginning of it, else one that nobody asked for in a while. */
static struct block *find(struct coloring *coloring, int language, struct slice code)
{
    struct block *oldest = &coloring->blocks[0], *best = NULL;
    for (size_t i = 0; i < COLORING_BLOCKS; i++) {
        struct block *block = &coloring->blocks[i];
        if (block->used < oldest->used)
            oldest = block;
        bool begins = block->text.size && block->language == language && block->text.size <= code.size &&
                      memcmp(block->text.data, code.data, block->text.size) == 0;
        if (begins && (!best || block->text.size > best->text.size))
            best = block;
    }
    if (!best) {
        block_clear(oldest);
        best = oldest;
        best->language = language;
    }
    best->used = ++coloring->clock;
    return best;
}

static enum status read_spans(struct block *block)
{
    const struct highlight_span *spans;
    size_t n = 0;
    enum status status = document_highlight(block->document, 0, (uint32_t)block->text.size, &spans, &n, NULL);
    free(block->spans);
    block->spans = status == STATUS_OK && n ? malloc(n * sizeof *spans) : NULL;
    block->n_spans = block->spans ? n : 0;
    if (block->spans)
        memcpy(block->spans, spans, n * sizeof *spans);
    return status;
}

/* Brings a block's text to code, of which it holds the beginning. */
static enum status update(struct coloring *coloring, struct block *block, struct slice code)
{
    size_t before = block->text.size;
    enum status status = STATUS_OK;
    if (before == code.size && block->document)
        return STATUS_OK;
    if (!block->document)
        status = document_new(coloring->languages, block->language, &block->document, NULL);
    if (status != STATUS_OK)
        return status;
    buffer_append(&block->text, code.data + before, code.size - before);
    struct document_edit edit = {(uint32_t)before, (uint32_t)before, (uint32_t)code.size};
    status = buffer_status(&block->text, NULL);
    if (status == STATUS_OK)
        status = document_update(block->document, before ? &edit : NULL, block->text.data, block->text.size, NULL);
    return status == STATUS_OK ? read_spans(block) : status;
}

static int language_of_fence(struct slice word)
{
    char name[128];
    if (word.size == 0 || word.size >= sizeof name)
        return -1;
    memcpy(name, word.data, word.size);
    name[word.size] = 0;
    int language = language_by_name(name);
    return language >= 0 ? language : language_of(name, "", 0);
}

void coloring_color(void *context, struct slice language, struct slice code, markdown_span_fn *add, void *out)
{
    struct coloring *coloring = context;
    int number = language_of_fence(language);
    if (number < 0 || code.size == 0 || code.size > COLORING_MOST)
        return;
    struct block *block = find(coloring, number, code);
    if (update(coloring, block, code) != STATUS_OK) {
        block_clear(block);
        return;
    }
    for (size_t i = 0; i < block->n_spans; i++) {
        enum style style = coloring_style(block->spans[i].kind);
        if (style != STYLE_TEXT)
            add(out, block->spans[i].text.begin, block->spans[i].text.end, style);
    }
}
