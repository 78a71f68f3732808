/* chunk: cuts a text into pieces of at most SYNTAX_CHUNK bytes, at borders of its syntax.
 *
 * A definition of several lines that fits is a piece of its own, with the comment before it.  What lies between, and
 * what is too large, is cut where the outermost node of a line begins, as far down as the size allows; a text without
 * a tree is cut at blank lines.  Lines stay whole, unless one alone is longer than SYNTAX_CHUNK_LINE. */
#include "repo/syntax_private.h"

#include <stdlib.h>
#include <string.h>

struct cutter {
    const char *text;
    uint32_t size;
    uint32_t *lines; /* where each begins; one more for the end */
    uint32_t n_lines;
    const uint8_t *depth;
    size_t n_depth;
    struct list *chunks;
};

enum { OWN_LINES = 3 /* a definition of fewer lines goes along with its neighbours */ };

static bool find_lines(struct cutter *cutter)
{
    uint64_t n = 1;
    for (const char *at = cutter->text; (at = memchr(at, '\n', cutter->size - (size_t)(at - cutter->text))); at++)
        n++;
    if (n >= UINT32_MAX || !(cutter->lines = calloc((size_t)(n + 1), sizeof *cutter->lines)))
        return false;
    cutter->lines[cutter->n_lines++] = 0;
    for (const char *at = cutter->text; (at = memchr(at, '\n', cutter->size - (size_t)(at - cutter->text))); at++)
        cutter->lines[cutter->n_lines++] = (uint32_t)(at - cutter->text) + 1;
    if (cutter->lines[cutter->n_lines - 1] == cutter->size && cutter->n_lines > 1)
        cutter->n_lines--; /* nothing behind the last newline */
    cutter->lines[cutter->n_lines] = cutter->size;
    return true;
}

static bool is_blank(const struct cutter *cutter, uint32_t line)
{
    for (uint32_t i = cutter->lines[line]; i < cutter->lines[line + 1]; i++)
        if ((unsigned char)cutter->text[i] > ' ')
            return false;
    return true;
}

/* How bad it is to cut before this line; 0 is best. */
static uint32_t badness(const struct cutter *cutter, uint32_t line)
{
    uint32_t depth = line < cutter->n_depth ? cutter->depth[line] : ROW_NONE;
    bool after_blank = line > 0 && is_blank(cutter, line - 1);
    return depth * 2 + (after_blank ? 0 : 1);
}

static void add(struct cutter *cutter, uint32_t from, uint32_t to)
{
    while (from < to && is_blank(cutter, from))
        from++;
    while (from < to && is_blank(cutter, to - 1))
        to--;
    if (from == to)
        return;
    uint32_t begin = cutter->lines[from], end = cutter->lines[to];
    while (begin < end) {
        struct chunk *chunk = list_add(cutter->chunks);
        if (!chunk)
            return;
        uint32_t stop = to == from + 1 && end - begin > SYNTAX_CHUNK_LINE ? begin + SYNTAX_CHUNK_LINE : end;
        while (stop < end && stop > begin + 1 && ((unsigned char)cutter->text[stop] & 0xc0) == 0x80)
            stop--; /* not within a character */
        *chunk = (struct chunk){{begin, stop}, from + 1, to, -1};
        begin = stop;
    }
}

/* Cuts the lines [from, to) by size. */
static void cut(struct cutter *cutter, uint32_t from, uint32_t to)
{
    while (from < to) {
        uint32_t last = from + 1, best = 0, best_badness = UINT32_MAX;
        while (last < to && cutter->lines[last + 1] - cutter->lines[from] <= SYNTAX_CHUNK)
            last++;
        if (last < to) {
            for (uint32_t line = last; line > from; line--) {
                uint32_t is = badness(cutter, line);
                if (cutter->lines[line] - cutter->lines[from] < SYNTAX_CHUNK / 4 && best)
                    break;
                if (is < best_badness) {
                    best_badness = is;
                    best = line;
                }
            }
            last = best;
        }
        add(cutter, from, last);
        from = last;
    }
}

/* The first line of a definition, with its comment. */
static uint32_t first_line(const struct cutter *cutter, const struct definition *definition)
{
    uint32_t line = definition->line - 1;
    if (definition->doc.end > definition->doc.begin && definition->doc.begin < definition->whole.begin)
        while (line > 0 && cutter->lines[line] > definition->doc.begin)
            line--;
    return line;
}

/* Cuts up to the ends of those large definitions that end before the line. */
static uint32_t cut_ends(struct cutter *cutter, const struct definition *definitions, int32_t *open, uint32_t at,
                         uint32_t line)
{
    for (; *open >= 0 && definitions[*open].end_line <= line; *open = definitions[*open].parent) {
        if (definitions[*open].end_line > at) {
            cut(cutter, at, definitions[*open].end_line);
            at = definitions[*open].end_line;
        }
    }
    return at;
}

static void cut_all(struct cutter *cutter, const struct definition *definitions, size_t n)
{
    uint32_t at = 0;
    int32_t open = -1; /* the innermost definition that is too large for one chunk */
    for (size_t i = 0; i < n; i++) {
        const struct definition *definition = &definitions[i];
        if (definition->line == 0 || definition->end_line > cutter->n_lines ||
            definition->end_line < definition->line + OWN_LINES - 1)
            continue;
        uint32_t from = first_line(cutter, definition), to = definition->end_line;
        at = cut_ends(cutter, definitions, &open, at, from);
        if (from < at)
            continue;
        cut(cutter, at, from);
        at = from;
        if (cutter->lines[to] - cutter->lines[from] <= SYNTAX_CHUNK) {
            add(cutter, from, to);
            at = to;
        } else {
            open = (int32_t)i;
        }
    }
    at = cut_ends(cutter, definitions, &open, at, cutter->n_lines);
    cut(cutter, at, cutter->n_lines);
}

/* The definition that each chunk is or lies in; both lists are in order. */
static void find_scopes(struct cutter *cutter, const struct definition *definitions, size_t n)
{
    struct chunk *chunks = cutter->chunks->items;
    size_t next = 0;
    int32_t scope = -1;
    for (size_t i = 0; i < cutter->chunks->n; i++) {
        struct span span = chunks[i].text;
        while (span.begin < span.end && (unsigned char)cutter->text[span.end - 1] <= ' ')
            span.end--;
        int32_t inside = -1;
        for (; next < n && definitions[next].whole.begin < span.end; next++) {
            while (scope >= 0 && definitions[scope].whole.end <= definitions[next].whole.begin)
                scope = definitions[scope].parent;
            if (definitions[next].whole.begin >= span.begin && inside < 0 &&
                definitions[next].end_line >= chunks[i].end_line &&
                definitions[next].end_line >= definitions[next].line + OWN_LINES - 1)
                inside = (int32_t)next; /* it begins in this chunk and takes the rest of it */
            scope = (int32_t)next;
        }
        int32_t around = scope;
        while (around >= 0 &&
               (definitions[around].whole.begin > span.begin || definitions[around].whole.end < span.end))
            around = definitions[around].parent;
        chunks[i].scope = inside >= 0 ? inside : around;
    }
}

void chunk_text(const char *text, uint32_t size, const struct definition *definitions, size_t n,
                const uint8_t *row_depth, size_t n_rows, struct list *chunks)
{
    struct cutter cutter = {.text = text, .size = size, .depth = row_depth, .n_depth = n_rows, .chunks = chunks};
    if (size == 0)
        return;
    if (!find_lines(&cutter)) {
        chunks->failed = true;
        return;
    }
    cut_all(&cutter, definitions, n);
    find_scopes(&cutter, definitions, n);
    free(cutter.lines);
}
