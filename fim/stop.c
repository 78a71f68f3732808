/* stop: see stop.h. */
#include "fim/stop.h"

#include <string.h>

#include "fim/format.h"
#include "fim/scan.h"

const char *fim_stop_name(enum fim_stop stop)
{
    static const char *const names[] = {
        [FIM_GOES_ON] = "limit",         [FIM_STOP_END] = "eot",       [FIM_STOP_LINE] = "line",
        [FIM_STOP_BLOCK] = "block",      [FIM_STOP_SUFFIX] = "suffix", [FIM_STOP_LIMIT] = "limit",
        [FIM_STOP_DEADLINE] = "deadline"};
    return names[stop];
}

/* ---- the place ---- */

/* The last line, and the last one before it with something on it. */
static void last_lines(struct slice prefix, struct slice *last, struct slice *above)
{
    enum { LOOK_BACK = 65536 }; /* bytes; a line is at most so long here */
    size_t least = prefix.size > LOOK_BACK ? prefix.size - LOOK_BACK : 0, at = prefix.size;
    while (at > least && prefix.data[at - 1] != '\n')
        at--;
    *last = (struct slice){prefix.data + at, prefix.size - at};
    *above = (struct slice){prefix.data, 0};
    while (at > least && !slice_trim(*above).size) {
        size_t end = at - 1;
        for (at = end; at > least && prefix.data[at - 1] != '\n';)
            at--;
        *above = slice_trim_end((struct slice){prefix.data + at, end - at});
    }
}

static bool opens_block(struct slice line, bool has_hash_comments)
{
    struct scan scan = {.has_hash_comments = has_hash_comments};
    char last = 0;
    for (size_t i = 0; i < line.size;) {
        size_t n = scan_step(&scan, line.data, line.size, i);
        if (scan_is_code(&scan) && !byte_is_space(line.data[i]))
            last = line.data[i];
        i += n;
    }
    return byte_opens(last) || (last == ':' && has_hash_comments);
}

static bool has_suffix(struct slice path, const char *const *words)
{
    for (; *words; words++)
        if (slice_ends(path, slice_from(*words)))
            return true;
    return false;
}

void fim_place_of(struct slice path, struct slice prefix, struct slice suffix, struct fim_place *out)
{
    static const char *const by_indent[] = {".py", ".pyi", ".pyx", ".yaml", ".yml", ".nim", ".coffee", NULL};
    struct slice above;
    size_t next;
    *out = (struct fim_place){.extent = FIM_LINE, .ends_by_indent = has_suffix(path, by_indent)};
    out->has_hash_comments = *fim_line_comment(path) == '#';
    last_lines(prefix, &out->before, &above);
    out->rest = slice_trim_end(line_at(suffix, 0, &next));
    for (size_t i = next; i < suffix.size && !out->next_line.size; i = next)
        out->next_line = slice_trim(line_at(suffix, i, &next));
    for (size_t i = 0; i < suffix.size && !out->next; i++)
        out->next = byte_is_space(suffix.data[i]) ? 0 : suffix.data[i];
    out->indent = line_indent(out->before);
    out->has_crlf =
        above.data != out->before.data && out->before.data - prefix.data >= 2 && out->before.data[-2] == '\r';
    bool is_empty = !slice_trim(out->before).size;
    if (slice_trim(out->rest).size)
        return;
    if (!is_empty && opens_block(out->before, out->has_hash_comments)) {
        out->extent = FIM_BLOCK;
        out->is_inner = true;
    } else if (is_empty && opens_block(above, out->has_hash_comments)) {
        /* Where the cursor stands deeper than the opener already, that is the block's own indentation. */
        size_t opener = line_indent(above);
        out->extent = FIM_BLOCK;
        out->is_inner = out->indent <= opener;
        out->indent = out->is_inner ? opener : out->indent;
    } else if (is_empty) {
        out->extent = FIM_STATEMENT;
    }
}

/* ---- where it ends ---- */

/* What is known while a middle is gone through. */
struct walk {
    const struct fim_place *place;
    struct slice text;
    struct scan scan;
    char quote;      /* of the string that the cursor stands in, or 0 */
    size_t line;     /* where the current line begins */
    size_t content;  /* behind the last byte so far that is no white space */
    size_t n_blank;  /* empty lines in a row */
    bool has_opened; /* the statement opened a bracket or a block that goes on behind its line */
    bool by_indent;  /* ... one that ends by indentation */
};

static enum fim_stop ended(struct walk *walk, enum fim_stop stop, size_t at, size_t *end)
{
    (void)walk;
    *end = at;
    return stop;
}

/* The rest of the cursor's line begins here, where brackets that were opened in the middle are closed. */
static bool rest_begins(const struct walk *walk, size_t at)
{
    struct slice rest = slice_trim(walk->place->rest), here = {walk->text.data + at, walk->text.size - at};
    if (!rest.size || !slice_begins(here, rest) || walk->scan.depth != 0 || walk->scan.quote != walk->quote)
        return false;
    /* A letter of a word is no beginning of another. */
    if (at > 0 && byte_is_word(*rest.data) && byte_is_word(here.data[-1]))
        return false;
    return rest.size > 1 || !byte_is_word(*rest.data);
}

/* A bracket that was not opened in the middle closes here. */
static enum fim_stop close_outer(struct walk *walk, size_t at, size_t *end)
{
    char byte = walk->text.data[at];
    const struct fim_place *place = walk->place;
    struct slice rest = slice_trim(place->rest);
    if (rest.size ? *rest.data == byte : place->next == byte)
        return ended(walk, FIM_STOP_SUFFIX, rest.size ? at : walk->content, end);
    if (place->extent == FIM_LINE || byte != '}')
        return FIM_GOES_ON;
    return ended(walk, FIM_STOP_BLOCK, at + 1, end);
}

/* The line [walk->line, at) is over, next is where the following one begins. */
static enum fim_stop end_line(struct walk *walk, size_t at, size_t *end)
{
    const struct fim_place *place = walk->place;
    struct slice line = {walk->text.data + walk->line, at - walk->line}, plain = slice_trim(line);
    bool is_first = walk->line == 0;
    if (!plain.size) {
        bool is_after_text = walk->content > 0 || slice_trim(place->before).size;
        if (slice_trim(place->rest).size)
            return ended(walk, FIM_STOP_LINE, 0, end);
        if (is_after_text && ++walk->n_blank >= 2)
            return ended(walk, FIM_STOP_BLOCK, walk->content, end);
        return FIM_GOES_ON;
    }
    walk->n_blank = 0;
    if (place->next_line.size >= 4 && !is_first && slice_same(plain, place->next_line)) {
        size_t before = walk->line;
        while (before > 0 && byte_is_space(walk->text.data[before - 1]))
            before--;
        return ended(walk, FIM_STOP_SUFFIX, before, end);
    }
    walk->content = walk->line + slice_trim_end(line).size;
    if (place->extent == FIM_LINE)
        return ended(walk, FIM_STOP_LINE, walk->content, end);
    if (place->extent == FIM_BLOCK)
        return FIM_GOES_ON;
    bool by_colon = place->ends_by_indent && scan_is_code(&walk->scan) && opens_block(line, true);
    if (walk->scan.depth > 0 || by_colon || walk->scan.is_block_comment || walk->scan.quote) {
        walk->has_opened = true;
        walk->by_indent = walk->by_indent || by_colon;
        return FIM_GOES_ON;
    }
    if (walk->by_indent)
        return FIM_GOES_ON;
    return ended(walk, walk->has_opened ? FIM_STOP_BLOCK : FIM_STOP_LINE, walk->content, end);
}

/* The first byte of a line that is no white space. */
static bool line_is_out(const struct walk *walk, size_t at)
{
    const struct fim_place *place = walk->place;
    char byte = walk->text.data[at];
    if (walk->line == 0 || walk->scan.depth > 0 || !scan_is_code(&walk->scan) || byte_closes(byte))
        return false;
    size_t indent = line_indent((struct slice){walk->text.data + walk->line, at - walk->line});
    if (place->extent == FIM_STATEMENT)
        return walk->by_indent ? indent <= place->indent : indent < place->indent;
    return place->extent == FIM_BLOCK && (place->is_inner ? indent <= place->indent : indent < place->indent);
}

enum fim_stop fim_stop_find(const struct fim_place *place, const char *text, size_t size, bool is_whole, size_t *end)
{
    struct walk walk = {.place = place, .text = {text, size}, .scan = {.has_hash_comments = place->has_hash_comments}};
    bool is_blank = true; /* the current line, so far */
    /* The cursor may stand in a string or a comment that began on its line. */
    for (size_t i = 0; i < place->before.size;)
        i += scan_step(&walk.scan, place->before.data, place->before.size, i);
    walk.scan.depth = 0;
    walk.quote = walk.scan.quote;
    enum fim_stop stop = FIM_GOES_ON;
    *end = size;
    for (size_t i = 0; i < size && !stop;) {
        if (rest_begins(&walk, i))
            return ended(&walk, FIM_STOP_SUFFIX, i, end);
        if (text[i] == '\n') {
            scan_step(&walk.scan, text, size, i);
            stop = end_line(&walk, i, end);
            walk.line = ++i;
            is_blank = true;
            continue;
        }
        if (is_blank && !byte_is_space(text[i])) {
            is_blank = false;
            if (line_is_out(&walk, i))
                return ended(&walk, FIM_STOP_BLOCK, walk.content, end);
        }
        int depth = walk.scan.depth;
        size_t n = scan_step(&walk.scan, text, size, i);
        if (walk.scan.depth < depth && walk.scan.depth < 0)
            stop = close_outer(&walk, i, end);
        if (!byte_is_space(text[i]))
            walk.content = i + n;
        i += n;
    }
    if (!stop && is_whole && walk.line < size)
        stop = end_line(&walk, size, end);
    return stop;
}
