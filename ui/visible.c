/* visible: see visible.h.  The one place where control characters of foreign text are turned into marks. */
#include "ui/visible.h"

#include <langinfo.h>
#include <string.h>

/* What must not reach a terminal as it is.  Sources: Unicode 15 (general categories Cc, Cf, Zl, Zp; the property
 * Default_Ignorable_Code_Point, which covers the unassigned ones as well; noncharacters), and UAX 9 for the
 * bidirectional ones.  Left out on purpose: U+0009, U+000A, U+200C ZWNJ, U+200D ZWJ, the variation selectors
 * (FE00-FE0F, E0100-E01EF), and format characters that have a shape of their own (0600-0605, 06DD, 110BD ...). */
static const struct range {
    uint32_t first, last;
} hidden_ranges[] = {
    {0x0000, 0x0008},   {0x000b, 0x001f},   {0x007f, 0x009f},   {0x00ad, 0x00ad},   {0x034f, 0x034f}, {0x061c, 0x061c},
    {0x115f, 0x1160},   {0x17b4, 0x17b5},   {0x180b, 0x180f},   {0x200b, 0x200b},   {0x200e, 0x200f}, {0x2028, 0x202e},
    {0x2060, 0x206f},   {0x3164, 0x3164},   {0xfdd0, 0xfdef},   {0xfeff, 0xfeff},   {0xffa0, 0xffa0}, {0xfff0, 0xfffb},
    {0x1bca0, 0x1bca3}, {0x1d173, 0x1d17a}, {0xe0000, 0xe00ff}, {0xe01f0, 0xe0fff},
};

bool visible_is_hidden(uint32_t code_point)
{
    if ((code_point & 0xfffe) == 0xfffe)
        return true; /* the last two of every plane */
    size_t low = 0, high = sizeof hidden_ranges / sizeof *hidden_ranges;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (code_point > hidden_ranges[middle].last)
            low = middle + 1;
        else if (code_point < hidden_ranges[middle].first)
            high = middle;
        else
            return true;
    }
    return false;
}

static void append_mark(struct buffer *out, uint32_t code_point)
{
    if (code_point < 0x20 || code_point == 0x7f) {
        buffer_append_byte(out, '^');
        buffer_append_byte(out, (char)(code_point ^ 0x40));
    } else {
        buffer_printf(out, "<U+%04X>", (unsigned)code_point);
    }
}

static void append_bad(const struct visible *visible, struct buffer *out)
{
    buffer_append_text(out, visible->ascii_only ? "?" : "\xef\xbf\xbd");
}

/* Printable ASCII, newline and tab: the bulk of all text, passed on in runs. */
static bool is_plain(char c)
{
    return (c >= 0x20 && c < 0x7f) || c == '\n' || c == '\t';
}

/* Passes on the sequences that text begins with, whole ones alone; returns the bytes taken. */
static size_t take(const struct visible *visible, const char *text, size_t size, struct buffer *out)
{
    size_t i = 0;
    while (i < size) {
        size_t run = i;
        while (run < size && is_plain(text[run]))
            run++;
        if (run > i) {
            buffer_append(out, text + i, run - i);
            i = run;
            continue;
        }
        uint32_t code_point = 0;
        int length = utf8_decode(text + i, size - i, &code_point);
        if (length == 0)
            break;
        if (length < 0) {
            append_bad(visible, out);
            i += (size_t)-length;
            continue;
        }
        if (visible_is_hidden(code_point) || (visible->ascii_only && code_point > 0x7e))
            append_mark(out, code_point);
        else
            buffer_append(out, text + i, (size_t)length);
        i += (size_t)length;
    }
    return i;
}

void visible_push(struct visible *visible, const char *text, size_t size, struct buffer *out)
{
    /* A held beginning is completed byte by byte: at most three more decide what it is. */
    while (visible->n_held && size) {
        visible->held[visible->n_held++] = *text++;
        size--;
        size_t taken = take(visible, visible->held, visible->n_held, out);
        visible->n_held -= taken;
        memmove(visible->held, visible->held + taken, visible->n_held);
    }
    size_t taken = take(visible, text, size, out);
    if (taken < size) {
        visible->n_held = size - taken; /* 1..3: an unfinished sequence is never longer */
        memcpy(visible->held, text + taken, visible->n_held);
    }
}

void visible_finish(struct visible *visible, struct buffer *out)
{
    if (visible->n_held)
        append_bad(visible, out);
    visible->n_held = 0;
}

void visible_append(struct buffer *out, const char *text, size_t size, bool ascii_only)
{
    struct visible visible = {.ascii_only = ascii_only};
    visible_push(&visible, text, size, out);
    visible_finish(&visible, out);
}

bool visible_locale_is_utf8(void)
{
    const char *codeset = nl_langinfo(CODESET);
    return strcmp(codeset, "UTF-8") == 0 || strcmp(codeset, "utf8") == 0 || strcmp(codeset, "ANSI_X3.4-1968") == 0;
}
