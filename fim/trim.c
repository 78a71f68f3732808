/* trim: see trim.h. */
#include "fim/trim.h"

#include <string.h>

#include "fim/scan.h"

enum { TELLING = 4 /* bytes that are no white space: fewer may stand twice by chance */ };

static struct slice text_of(const struct buffer *middle)
{
    return (struct slice){buffer_text(middle), middle->size};
}

static void cut_at(struct buffer *middle, size_t size)
{
    if (size >= middle->size)
        return;
    middle->size = size;
    middle->data[size] = 0;
}

/* Brackets open behind the text, counted from its beginning: the least that it came to on the way, too. */
static int least_depth(const struct fim_place *place, struct slice text)
{
    struct scan scan = {.has_hash_comments = place->has_hash_comments};
    int least = 0;
    for (size_t i = 0; i < text.size;) {
        i += scan_step(&scan, text.data, text.size, i);
        least = scan.depth < least ? scan.depth : least;
    }
    return least;
}

/* ---- the beginning ---- */

static void trim_head(const struct fim_place *place, struct buffer *middle)
{
    struct slice before = slice_trim(place->before), text = text_of(middle);
    size_t blank = 0;
    while (blank < text.size && byte_is_space(text.data[blank]))
        blank++;
    struct slice rest = {text.data + blank, text.size - blank};
    if (before.size >= TELLING && slice_begins(rest, before))
        buffer_remove_front(middle, blank + before.size);
}

/* ---- repeated lines ---- */

static void trim_repeated(struct buffer *middle)
{
    struct slice text = text_of(middle), last[3] = {{0}};
    size_t next, n = 0;
    for (size_t at = 0; at < text.size; at = next, n++) {
        struct slice line = slice_trim_end(line_at(text, at, &next));
        bool is_telling = slice_trim(line).size >= TELLING;
        /* The first one's indentation stands before the cursor. */
        bool is_same = n == 1 ? slice_same(slice_trim(line), slice_trim(last[0])) : slice_same(line, last[0]);
        bool is_twice = n > 0 && is_telling && is_same;
        bool is_pair = n > 3 && is_telling && slice_same(line, last[1]) && slice_same(last[0], last[2]);
        if (is_twice || is_pair) {
            /* a pair's first line stands right before */
            size_t end = is_twice ? at : (size_t)(last[0].data - text.data);
            cut_at(middle, end ? end - 1 : 0);
            return;
        }
        last[2] = last[1];
        last[1] = last[0];
        last[0] = line;
    }
}

/* ---- the end ---- */

/* The rest of the cursor's line stands at the end, too: all of it, or its beginning. */
static void trim_rest(const struct fim_place *place, struct buffer *middle)
{
    struct slice rest = slice_trim(place->rest), text = slice_trim_end(text_of(middle));
    size_t most = rest.size < text.size ? rest.size : text.size;
    for (size_t n = most; n > 0; n--) {
        struct slice head = {rest.data, n}, kept = {text.data, text.size - n};
        if (!slice_ends(text, head))
            continue;
        bool splits_word = kept.size && byte_is_word(kept.data[kept.size - 1]) && byte_is_word(*head.data);
        bool halves_word = n < rest.size && byte_is_word(rest.data[n]) && byte_is_word(rest.data[n - 1]);
        /* Brackets that the middle opened are its own to close. */
        bool is_own = byte_closes(*head.data) && least_depth(place, text) >= 0;
        if (splits_word || halves_word || is_own)
            continue;
        cut_at(middle, kept.size);
        return;
    }
}

/* text is how the suffix begins, line by line without their white space. */
static bool leads_suffix(struct slice text, struct slice suffix)
{
    size_t i = 0, k = 0, next;
    while (i < text.size) {
        struct slice line = slice_trim(line_at(text, i, &next)), other = {0};
        i = next;
        if (!line.size)
            continue;
        for (; k < suffix.size && !other.size; k = next)
            other = slice_trim(line_at(suffix, k, &next));
        if (!slice_same(line, other))
            return false;
    }
    return true;
}

static size_t n_telling(struct slice text)
{
    size_t n = 0;
    for (size_t i = 0; i < text.size; i++)
        n += !byte_is_space(text.data[i]);
    return n;
}

/* The suffix's first lines stand at the end, too. */
static void trim_lines(const struct fim_place *place, struct slice suffix, struct buffer *middle)
{
    struct slice text = slice_trim_end(text_of(middle));
    size_t next;
    bool has_text = slice_trim(place->before).size > 0;
    for (size_t at = 0; at < text.size; at = next) {
        line_at(text, at, &next);
        struct slice tail = {text.data + at, text.size - at};
        if ((at == 0 && has_text) || !leads_suffix(tail, suffix))
            continue;
        if (n_telling(tail) < TELLING && least_depth(place, text) >= 0)
            continue;
        cut_at(middle, at);
        return;
    }
}

static void use_crlf(struct buffer *middle)
{
    struct buffer out = {0};
    for (size_t i = 0; i < middle->size; i++) {
        if (middle->data[i] == '\n' && (i == 0 || middle->data[i - 1] != '\r'))
            buffer_append_byte(&out, '\r');
        buffer_append_byte(&out, middle->data[i]);
    }
    out.failed = out.failed || middle->failed;
    buffer_deinit(middle);
    *middle = out;
}

void fim_trim(const struct fim_place *place, struct slice suffix, struct buffer *middle)
{
    trim_head(place, middle);
    trim_repeated(middle);
    if (slice_trim(place->rest).size) {
        trim_rest(place, middle);
    } else {
        trim_lines(place, suffix, middle);
        cut_at(middle, slice_trim_end(text_of(middle)).size);
    }
    if (place->has_crlf)
        use_crlf(middle);
    if (!slice_trim(text_of(middle)).size)
        cut_at(middle, 0);
}

/* ---- while it is written ---- */

/* Of one line: what stands behind it may be beginning. */
static void preview_line(const struct fim_place *place, struct buffer *out)
{
    struct slice rest = slice_trim(place->rest), text;
    const char *newline = memchr(buffer_text(out), '\n', out->size);
    if (newline)
        cut_at(out, (size_t)(newline - out->data));
    text = slice_trim_end(text_of(out));
    for (size_t n = 1; n > 0;) { /* where it stood there twice, both may go */
        n = rest.size < text.size ? rest.size : text.size;
        while (n > 0 && !slice_ends(text, (struct slice){rest.data, n}))
            n--;
        text = slice_trim_end((struct slice){text.data, text.size - n});
    }
    cut_at(out, text.size);
    if (!slice_trim(place->before).size)
        cut_at(out, 0); /* it may turn out to be the suffix's own first line */
}

/* Of several: the last two whole ones may be said once more, or be how the suffix begins; the one that is being written, too. */
static void preview_lines(struct slice suffix, struct buffer *out)
{
    enum { HELD = 2 };
    size_t starts[HELD + 1] = {0}, next;
    trim_repeated(out); /* anywhere: what comes behind it doesn't count */
    const char *newline = out->size ? memrchr(out->data, '\n', out->size) : NULL;
    cut_at(out, newline ? (size_t)(newline + 1 - out->data) : 0);
    struct slice text = text_of(out);
    for (size_t at = 0; at < text.size; at = next) {
        line_at(text, at, &next);
        if (leads_suffix((struct slice){text.data + at, text.size - at}, suffix)) {
            text.size = at;
            break;
        }
    }
    for (size_t at = 0; at < text.size; at = next) {
        line_at(text, at, &next);
        memmove(starts, starts + 1, HELD * sizeof *starts);
        starts[HELD] = at;
    }
    cut_at(out, slice_trim_end((struct slice){text.data, starts[1]}).size);
}

void fim_preview(const struct fim_place *place, struct slice suffix, struct slice text, struct buffer *out)
{
    struct slice before = slice_trim(place->before);
    size_t blank = 0;
    buffer_clear(out);
    while (blank < text.size && byte_is_space(text.data[blank]))
        blank++;
    struct slice begun = {text.data + blank, text.size - blank};
    if (before.size >= TELLING && begun.size < before.size && slice_begins(before, begun))
        return; /* perhaps what stands before the cursor comes again */
    buffer_append(out, text.data, text.size);
    trim_head(place, out);
    if (place->extent == FIM_LINE)
        preview_line(place, out);
    else
        preview_lines(suffix, out);
    if (place->has_crlf)
        use_crlf(out);
}

/* ---- syntax ---- */

/* The next shorter beginning that may be good: without its last line, or its last word or mark. */
static size_t shorter(struct slice text, size_t size)
{
    size_t line = size;
    while (line > 0 && text.data[line - 1] != '\n')
        line--;
    if (line > 0)
        return slice_trim_end((struct slice){text.data, line}).size;
    if (size == 0)
        return 0;
    bool is_word = byte_is_word(text.data[--size]);
    while (is_word && size > 0 && byte_is_word(text.data[size - 1]))
        size--;
    return slice_trim_end((struct slice){text.data, size}).size;
}

long fim_cut_back(const struct fim_place *place, const struct fim_syntax *syntax, struct buffer *middle)
{
    enum { TRIES = 40 };
    (void)place;
    if (!syntax || !syntax->errors)
        return -1;
    long without = syntax->errors(syntax->context, "", 0);
    long errors = syntax->errors(syntax->context, buffer_text(middle), middle->size);
    struct slice text = text_of(middle);
    size_t size = text.size;
    if (without < 0 || errors < 0)
        return -1;
    for (int i = 0; i < TRIES && errors > without && size > 0; i++) {
        size = shorter(text, size);
        errors = syntax->errors(syntax->context, text.data, size);
    }
    if (errors > without) {
        size = 0;
        errors = without;
    }
    cut_at(middle, size);
    return errors;
}
