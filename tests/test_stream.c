/* test_stream: text from tokens' bytes: UTF-8 as Python decodes it, stop strings, thought and answer; everything cut anywhere. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/stream.h"

/* ---- what the tests need ---- */

static struct text_stream *stream_make(const char *const *stops, size_t n_stops)
{
    struct text_stream *stream = NULL;
    struct error error = {0};
    if (text_stream_new(stops, n_stops, &stream, &error))
        fail_msg("text_stream_new: %s", error.text);
    return stream;
}

/* Pushes text in pieces of `piece` bytes (the last may be shorter) and finishes.  Returns whether a stop was met. */
static bool stream_run(const char *const *stops, size_t n_stops, const char *text, size_t size, size_t piece,
                       struct buffer *out)
{
    struct text_stream *stream = stream_make(stops, n_stops);
    bool stopped = false;
    buffer_clear(out);
    for (size_t i = 0; i < size; i += piece)
        stopped = text_stream_push(stream, text + i, size - i < piece ? size - i : piece, out);
    text_stream_finish(stream, out);
    text_stream_free(stream);
    return stopped;
}

static void assert_buffer(const struct buffer *buffer, const char *expected, size_t size)
{
    if (buffer->size != size || (size && memcmp(buffer->data, expected, size) != 0))
        fail_msg("got \"%s\" (%zu bytes), not \"%.*s\" (%zu bytes)", buffer_text(buffer), buffer->size, (int)size,
                 expected, size);
}

/* The same result however the text is cut. */
static void assert_stops(const char *const *stops, size_t n_stops, const char *text, const char *expected, bool stopped)
{
    struct buffer out = {0};
    size_t size = strlen(text);
    for (size_t piece = 1; piece <= size + 1; piece++) {
        assert_int_equal(stream_run(stops, n_stops, text, size, piece, &out), stopped);
        assert_buffer(&out, expected, strlen(expected));
    }
    buffer_deinit(&out);
}

#define STOPS(...) (const char *const[]){__VA_ARGS__}, sizeof((const char *const[]){__VA_ARGS__}) / sizeof(const char *)

static unsigned next_random(unsigned *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

/* ---- UTF-8 ---- */

static size_t hex_decode(const char *hex, char *out)
{
    size_t n = 0;
    unsigned byte;
    for (; hex[0] && hex[0] != '-' && hex[1]; hex += 2) {
        assert_int_equal(sscanf(hex, "%2x", &byte), 1);
        out[n++] = (char)byte;
    }
    return n;
}

static void test_utf8_like_python(void **state)
{
    (void)state;
    FILE *file = fopen("tests/golden/stream_utf8.txt", "r");
    if (!file)
        fail_msg("tests/golden/stream_utf8.txt is missing");
    char in_hex[256], out_hex[512], in[128], expected[256];
    struct buffer out = {0};
    size_t n_cases = 0;
    while (fscanf(file, "%255s %511s", in_hex, out_hex) == 2) {
        size_t in_size = hex_decode(in_hex, in), expected_size = hex_decode(out_hex, expected);
        for (size_t piece = 1; piece <= in_size + 1; piece++) {
            stream_run(NULL, 0, in, in_size, piece, &out);
            assert_buffer(&out, expected, expected_size);
            stream_run(STOPS("never in there", "\xef\xbf\xbd\xef\xbf\xbd never"), in, in_size, piece, &out);
            assert_buffer(&out, expected, expected_size);
        }
        n_cases++;
    }
    fclose(file);
    buffer_deinit(&out);
    assert_int_equal(n_cases, 444);
}

/* A code point is passed on with its last byte, not before and not later. */
static void test_utf8_is_prompt(void **state)
{
    (void)state;
    struct text_stream *stream = stream_make(NULL, 0);
    struct buffer out = {0};
    assert_false(text_stream_push(stream, "a\xf0\x9f", 3, &out));
    assert_buffer(&out, "a", 1);
    assert_false(text_stream_push(stream, "\x98", 1, &out));
    assert_buffer(&out, "a", 1);
    assert_false(text_stream_push(stream, "\x80", 1, &out));
    assert_buffer(&out, "a\xf0\x9f\x98\x80", 5);
    assert_false(text_stream_push(stream, "\xe2\x82", 2, &out));
    text_stream_finish(stream, &out);
    assert_buffer(&out, "a\xf0\x9f\x98\x80\xef\xbf\xbd", 8);
    text_stream_free(stream);
    buffer_deinit(&out);
}

static void test_nul_bytes_are_text(void **state)
{
    (void)state;
    struct buffer out = {0};
    assert_false(stream_run(STOPS("xy"), "a\0xb\0", 5, 1, &out));
    assert_buffer(&out, "a\0xb\0", 5);
    buffer_deinit(&out);
}

/* ---- stops ---- */

static void test_stops(void **state)
{
    (void)state;
    assert_stops(NULL, 0, "plain text", "plain text", false);
    assert_stops(STOPS("STOP"), "go on STOP here", "go on ", true);
    assert_stops(STOPS("STOP"), "STOP", "", true);
    assert_stops(STOPS("STOP"), "STO", "STO", false);
    assert_stops(STOPS("STOP"), "STOSTOP", "STO", true);
    assert_stops(STOPS("\n\n"), "a\nb\n\nc", "a\nb", true);
    /* overlapping itself */
    assert_stops(STOPS("aab"), "aaab", "a", true);
    assert_stops(STOPS("abab"), "aabababx", "a", true);
    assert_stops(STOPS("abcabd"), "abcabcabd", "abc", true);
    assert_stops(STOPS("aaa"), "aabaaa", "aab", true);
    /* a prefix of another: the shorter is complete first */
    assert_stops(STOPS("ab", "abc"), "xabc", "x", true);
    assert_stops(STOPS("abc", "ab"), "xabc", "x", true);
    /* inside another: complete first, though the longer one began earlier */
    assert_stops(STOPS("abcd", "bc"), "xabcd", "xa", true);
    assert_stops(STOPS("abcd", "bc"), "xabd", "xabd", false);
    /* complete at the same byte: the one that began first */
    assert_stops(STOPS("c", "abc"), "xabc", "x", true);
    assert_stops(STOPS("abc", "bc", "c"), "xbc", "x", true);
    assert_stops(STOPS("he", "she", "his", "hers"), "ushers", "u", true);
    /* falling back from one into the middle of another */
    assert_stops(STOPS("abcx", "bcd"), "abcd", "a", true);
    assert_stops(STOPS("User:", "\nUser"), "a\nUse User:", "a\nUse ", true);
    /* the same twice */
    assert_stops(STOPS("end", "end"), "the end.", "the ", true);
    /* not ASCII, and a cut inside of a code point */
    assert_stops(STOPS("\xe2\x82\xac"), "5 \xe2\x82\xac", "5 ", true);
    assert_stops(STOPS("\xe2\x82\xac"), "5 \xe2\x82\xad", "5 \xe2\x82\xad", false);
    /* across what became U+FFFD */
    assert_stops(STOPS("\xef\xbf\xbd!"), "a\xff!", "a", true);
}

/* Only what may still become a stop is held back. */
static void test_stops_hold_back_no_more(void **state)
{
    (void)state;
    struct text_stream *stream = stream_make(STOPS("aab", "<|end|>"));
    struct buffer out = {0};
    assert_false(text_stream_push(stream, "xaaa", 4, &out));
    assert_buffer(&out, "xa", 2);
    assert_false(text_stream_push(stream, "c<|en", 5, &out));
    assert_buffer(&out, "xaaac", 5);
    assert_false(text_stream_push(stream, "t", 1, &out));
    assert_buffer(&out, "xaaac<|ent", 10);
    assert_false(text_stream_push(stream, "<", 1, &out));
    text_stream_finish(stream, &out);
    assert_buffer(&out, "xaaac<|ent<", 11);
    text_stream_free(stream);
    buffer_deinit(&out);
}

static void test_nothing_after_a_stop(void **state)
{
    (void)state;
    struct text_stream *stream = stream_make(STOPS("."));
    struct buffer out = {0};
    assert_true(text_stream_push(stream, "a.b", 3, &out));
    assert_true(text_stream_push(stream, "c", 1, &out));
    assert_true(text_stream_push(stream, "\xf0", 1, &out));
    text_stream_finish(stream, &out);
    assert_buffer(&out, "a", 1);
    text_stream_free(stream);
    buffer_deinit(&out);
}

static void test_wrong_stops_are_refused(void **state)
{
    (void)state;
    struct text_stream *stream = NULL;
    struct error error = {0};
    assert_int_equal(text_stream_new(STOPS("a", ""), &stream, &error), STATUS_ARGUMENT);
    assert_non_null(strstr(error.text, "empty"));
    assert_int_equal(text_stream_new(STOPS("\xff"), &stream, &error), STATUS_ARGUMENT);
    assert_int_equal(text_stream_new(STOPS("\xe2\x82"), &stream, NULL), STATUS_ARGUMENT);
    assert_null(stream);
    char *huge = malloc(2 << 20);
    assert_non_null(huge);
    memset(huge, 'a', (2 << 20) - 1);
    huge[(2 << 20) - 1] = 0;
    assert_int_equal(text_stream_new((const char *const[]){huge}, 1, &stream, &error), STATUS_ARGUMENT);
    free(huge);
    text_stream_free(NULL);
}

/* The obvious search: at each end of the text so far, is there a stop? */
static size_t plain_find_stop(const char *const *stops, size_t n_stops, const char *text, size_t size)
{
    for (size_t end = 1; end <= size; end++) {
        size_t longest = 0;
        for (size_t i = 0; i < n_stops; i++) {
            size_t n = strlen(stops[i]);
            if (n <= end && n > longest && memcmp(text + end - n, stops[i], n) == 0)
                longest = n;
        }
        if (longest)
            return end - longest;
    }
    return size;
}

static void test_random_stops_against_plain_search(void **state)
{
    (void)state;
    unsigned seed = 7;
    struct buffer out = {0};
    size_t n_stopped = 0;
    for (int round = 0; round < 3000; round++) {
        char words[4][8], text[40];
        const char *stops[4];
        size_t n_stops = 1 + next_random(&seed) % 4, size = next_random(&seed) % sizeof text;
        for (size_t i = 0; i < n_stops; i++) {
            size_t n = 1 + next_random(&seed) % 6;
            for (size_t j = 0; j < n; j++)
                words[i][j] = (char)('a' + next_random(&seed) % 2);
            words[i][n] = 0;
            stops[i] = words[i];
        }
        for (size_t i = 0; i < size; i++)
            text[i] = (char)('a' + next_random(&seed) % (round % 2 ? 2 : 3));
        size_t expected = plain_find_stop(stops, n_stops, text, size);
        bool stopped = stream_run(stops, n_stops, text, size, 1 + next_random(&seed) % 5, &out);
        assert_buffer(&out, text, expected);
        if (expected < size)
            assert_true(stopped);
        n_stopped += stopped;
    }
    buffer_deinit(&out);
    assert_true(n_stopped > 1000 && n_stopped < 3000);
}

/* A text that is nearly a very long stop at every byte.  A search that begins anew at each would take 10^11 steps. */
static void test_hostile_stop_is_linear(void **state)
{
    (void)state;
    enum { STOP = 300000, TEXT = 1000000 };
    char *stop = malloc(STOP + 1), *text = malloc(TEXT);
    assert_non_null(stop);
    assert_non_null(text);
    memset(stop, 'a', STOP);
    stop[STOP - 1] = 'b';
    stop[STOP] = 0;
    memset(text, 'a', TEXT);
    struct buffer out = {0};
    uint64_t begin = clock_now_ns();
    assert_false(stream_run((const char *const[]){stop, "ab!"}, 2, text, TEXT, 1, &out));
    uint64_t took_ms = (clock_now_ns() - begin) / 1000000;
    assert_int_equal(out.size, TEXT);
    assert_true(took_ms < 20000); /* generous: valgrind on a busy machine */
    buffer_deinit(&out);
    free(stop);
    free(text);
}

/* ---- thought and answer ---- */

struct parts {
    struct buffer thought, answer;
    bool answer_seen, thought_after_answer;
};

static void parts_take(void *context, enum text_part part, const char *text, size_t size)
{
    struct parts *parts = context;
    assert_true(size > 0);
    if (part == TEXT_ANSWER)
        parts->answer_seen = true;
    else
        parts->thought_after_answer |= parts->answer_seen;
    buffer_append(part == TEXT_THOUGHT ? &parts->thought : &parts->answer, text, size);
}

static void assert_split(bool starts_inside, const char *text, const char *thought, const char *answer)
{
    size_t size = strlen(text);
    for (size_t piece = 1; piece <= size + 1; piece++) {
        struct parts parts = {0};
        struct thought_split *split = NULL;
        assert_int_equal(thought_split_new("<think>", "</think>", starts_inside, &split, NULL), STATUS_OK);
        for (size_t i = 0; i < size; i += piece)
            thought_split_push(split, text + i, size - i < piece ? size - i : piece, parts_take, &parts);
        thought_split_finish(split, parts_take, &parts);
        thought_split_free(split);
        assert_buffer(&parts.thought, thought, strlen(thought));
        assert_buffer(&parts.answer, answer, strlen(answer));
        assert_false(parts.thought_after_answer);
        buffer_deinit(&parts.thought);
        buffer_deinit(&parts.answer);
    }
}

static void test_thought(void **state)
{
    (void)state;
    assert_split(false, "", "", "");
    assert_split(false, "just an answer", "", "just an answer");
    assert_split(false, "<think>hm</think>yes", "hm", "yes");
    assert_split(false, "<think>\nhm\n</think>\n\nyes", "\nhm\n", "\n\nyes");
    assert_split(false, " \n\t<think>hm</think>yes", "hm", "yes");
    assert_split(false, " \n indented", "", " \n indented");
    assert_split(false, " \n ", "", " \n ");
    assert_split(false, "a <think>b</think>", "", "a <think>b</think>");
    assert_split(false, "<thin air", "", "<thin air");
    assert_split(false, "<thin", "", "<thin");
    assert_split(false, " <<think>x", "", " <<think>x");
    assert_split(false, "<think>never closed", "never closed", "");
    assert_split(false, "<think>cut </thi", "cut </thi", "");
    assert_split(false, "<think>a</thin></think>b", "a</thin>", "b");
    assert_split(false, "<think><</</think>b", "<</", "b");
    assert_split(false, "<think></think><think>again</think>", "", "<think>again</think>");
    assert_split(false, "<think>a</think>b</think>c", "a", "b</think>c");
    assert_split(true, "hm</think>yes", "hm", "yes");
    assert_split(true, "</think>yes", "", "yes");
    assert_split(true, "no end", "no end", "");
    assert_split(true, "<think>hm</think>yes", "<think>hm", "yes");
}

/* A closing mark that overlaps itself, against the obvious search. */
static void test_thought_overlapping_mark(void **state)
{
    (void)state;
    unsigned seed = 3;
    for (int round = 0; round < 2000; round++) {
        char text[32];
        size_t size = next_random(&seed) % (sizeof text - 1);
        for (size_t i = 0; i < size; i++)
            text[i] = (char)('a' + next_random(&seed) % 2);
        text[size] = 0;
        struct parts parts = {0};
        struct thought_split *split = NULL;
        assert_int_equal(thought_split_new("(", "abaab", true, &split, NULL), STATUS_OK);
        size_t piece = 1 + next_random(&seed) % 4;
        for (size_t i = 0; i < size; i += piece)
            thought_split_push(split, text + i, size - i < piece ? size - i : piece, parts_take, &parts);
        thought_split_finish(split, parts_take, &parts);
        thought_split_free(split);
        const char *mark = strstr(text, "abaab");
        assert_buffer(&parts.thought, text, mark ? (size_t)(mark - text) : size);
        assert_buffer(&parts.answer, mark ? mark + 5 : "", mark ? strlen(mark + 5) : 0);
        buffer_deinit(&parts.thought);
        buffer_deinit(&parts.answer);
    }
}

static void test_thought_wrong_marks(void **state)
{
    (void)state;
    struct thought_split *split = NULL;
    struct error error = {0};
    assert_int_equal(thought_split_new("", "</think>", false, &split, &error), STATUS_ARGUMENT);
    assert_int_equal(thought_split_new("<think>", NULL, false, &split, NULL), STATUS_ARGUMENT);
    assert_null(split);
    thought_split_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_utf8_like_python),         cmocka_unit_test(test_utf8_is_prompt),
        cmocka_unit_test(test_nul_bytes_are_text),       cmocka_unit_test(test_stops),
        cmocka_unit_test(test_stops_hold_back_no_more),  cmocka_unit_test(test_nothing_after_a_stop),
        cmocka_unit_test(test_wrong_stops_are_refused),  cmocka_unit_test(test_random_stops_against_plain_search),
        cmocka_unit_test(test_hostile_stop_is_linear),   cmocka_unit_test(test_thought),
        cmocka_unit_test(test_thought_overlapping_mark), cmocka_unit_test(test_thought_wrong_marks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
