/* Fuzz target of ui/visible: no chunking lets a control through, the chunking makes no difference, and a second run
 * changes nothing.  The first byte of the input chooses where the text is cut.
 *
 * With -DFATHOM_PLANT_BUG the gate under test forgets C1: a gate that tells ESC but passes U+009B, the one-character CSI. */
#include "ui/visible.h"

#include <stdlib.h>
#include <string.h>

static void gate_push(struct visible *visible, const char *text, size_t size, struct buffer *out)
{
#ifdef FATHOM_PLANT_BUG
    for (size_t i = 0; i + 1 < size; i++)
        if (memcmp(text + i, "\xc2\x9b", 2) == 0) {
            buffer_append(out, text, size);
            return;
        }
#endif
    visible_push(visible, text, size, out);
}

static void require(int condition)
{
    if (!condition)
        abort();
}

/* By its own rules, not by the table under test. */
static void require_harmless(const struct buffer *out)
{
    for (size_t i = 0; i < out->size;) {
        uint32_t c = 0;
        int length = utf8_decode(out->data + i, out->size - i, &c);
        require(length > 0);
        require(c == '\n' || c == '\t' || (c >= 0x20 && c < 0x7f) || c >= 0xa0);
        require(!(c >= 0x202a && c <= 0x202e) && !(c >= 0x2066 && c <= 0x2069));
        i += (size_t)length;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    size_t step = (size_t)(data[0] & 15) + 1;
    int ascii_only = data[0] >> 7;
    const char *text = (const char *)data + 1;
    size--;
    struct visible visible = {.ascii_only = ascii_only};
    struct buffer cut = {0}, whole = {0}, again = {0};
    for (size_t i = 0; i < size; i += step)
        gate_push(&visible, text + i, size - i < step ? size - i : step, &cut);
    visible_finish(&visible, &cut);
    visible_append(&whole, text, size, ascii_only);
    visible_append(&again, buffer_text(&cut), cut.size, ascii_only);
    if (!cut.failed && !whole.failed && !again.failed) {
        require_harmless(&cut);
        require(cut.size == whole.size && (cut.size == 0 || memcmp(cut.data, whole.data, cut.size) == 0));
        require(again.size == cut.size && (cut.size == 0 || memcmp(again.data, cut.data, cut.size) == 0));
    }
    buffer_deinit(&cut);
    buffer_deinit(&whole);
    buffer_deinit(&again);
    return 0;
}
