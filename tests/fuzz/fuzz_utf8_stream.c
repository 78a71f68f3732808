/* fuzz_utf8_stream: a text stream that is fed byte by byte gives what it gives in one push, valid UTF-8, and no stop.
 *
 * Input: number of stops (2 bits), their lengths (1 byte each), the stops, then the text.
 * With FATHOM_PLANT_BUG a reader stands before the stream that has the most usual fault of streaming decoders: it replaces
 * the beginning of a code point where a piece ends, instead of keeping it for the next.  The fuzzer must find it. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "engine/stream.h"

enum { MAX_STOPS = 3, MAX_STOP = 16 };

static void feed(struct text_stream *stream, const char *bytes, size_t size, struct buffer *out)
{
#ifdef FATHOM_PLANT_BUG
    uint32_t code_point;
    if (size && (unsigned char)bytes[size - 1] == 0xe2 && utf8_decode(bytes + size - 1, 1, &code_point) == 0) {
        text_stream_push(stream, bytes, size - 1, out);
        text_stream_push(stream, "?", 1, out);
        return;
    }
#endif
    text_stream_push(stream, bytes, size, out);
}

/* Aborts where text is not UTF-8. */
static void check_utf8(const struct buffer *text)
{
    uint32_t code_point;
    for (size_t i = 0; i < text->size;) {
        int n = utf8_decode(text->data + i, text->size - i, &code_point);
        if (n <= 0)
            abort();
        i += (size_t)n;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char words[MAX_STOPS][MAX_STOP + 1];
    const char *stops[MAX_STOPS];
    size_t n_stops = size ? data[0] & 3 : 0, used = size ? 1 : 0;
    for (size_t i = 0; i < n_stops; i++) {
        size_t n = used < size ? data[used++] % (MAX_STOP + 1) : 0;
        n = n < size - used ? n : size - used;
        if (n)
            memcpy(words[i], data + used, n);
        words[i][n] = 0;
        used += n;
        stops[i] = words[i];
    }
    const char *text = (const char *)data + used;
    size -= used;

    struct text_stream *whole = NULL, *single = NULL;
    if (text_stream_new(stops, n_stops, &whole, NULL) || text_stream_new(stops, n_stops, &single, NULL)) {
        text_stream_free(whole);
        return 0;
    }
    struct buffer at_once = {0}, by_bytes = {0};
    feed(whole, text, size, &at_once);
    text_stream_finish(whole, &at_once);
    for (size_t i = 0; i < size; i++)
        feed(single, text + i, 1, &by_bytes);
    text_stream_finish(single, &by_bytes);
    if (at_once.size != by_bytes.size || (at_once.size && memcmp(at_once.data, by_bytes.data, at_once.size) != 0))
        abort();
    check_utf8(&at_once);
    for (size_t i = 0; i < n_stops; i++)
        if (strstr(buffer_text(&at_once), stops[i]))
            abort();
    text_stream_free(whole);
    text_stream_free(single);
    buffer_deinit(&at_once);
    buffer_deinit(&by_bytes);
    return 0;
}
