/* Tests of ui/visible: every class of code point, every chunking, hostile sequences, the locale question. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <locale.h>
#include <string.h>

#include "ui/visible.h"

static void expect(const char *text, size_t size, const char *shown)
{
    struct buffer out = {0};
    visible_append(&out, text, size, false);
    assert_string_equal(buffer_text(&out), shown);
    assert_int_equal(out.size, strlen(shown));
    buffer_deinit(&out);
}

static void test_text_passes_unchanged(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "plain\ttext\nand more\n",
        "Grüße, 你好, العربية, हिन्दी, \xf0\x9f\x98\x80",
        "e\xcc\x81 combining",                                                  /* e + U+0301 */
        "\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x92\xbb",                         /* woman + ZWJ + laptop */
        "\xd9\x85\xdb\x8c\xe2\x80\x8c\xd8\xae\xd9\x88\xd8\xa7\xd9\x87\xd9\x85", /* Persian with ZWNJ */
        "\xe2\x9d\xa4\xef\xb8\x8f",                                             /* heart + VS16 */
        "\xee\x82\xb0 \xef\xbf\xbd",                                            /* private use; U+FFFD itself */
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        expect(texts[i], strlen(texts[i]), texts[i]);
}

static void test_controls_become_marks(void **state)
{
    (void)state;
    expect("\0", 1, "^@");
    expect("a\x1b[31mb", 7, "a^[[31mb");
    expect("\r\n", 2, "^M\n");
    expect("\a\b\v\f\x0e\x0f\x7f", 7, "^G^H^K^L^N^O^?");
    expect("\x1b]0;title\a", 10, "^[]0;title^G");
    expect("\x1b]8;;http://x\x1b\\", 15, "^[]8;;http://x^[\\");
    expect("\x1b]52;c;aGk=\a", 12, "^[]52;c;aGk=^G");
    expect("\xc2\x9b"
           "31m",
           5, "<U+009B>31m"); /* CSI as C1 */
    expect("\xc2\x9d"
           "0;x\xc2\x9c",
           7, "<U+009D>0;x<U+009C>");
    expect("\xc2\x85", 2, "<U+0085>");
    for (unsigned char c = 0; c < 0x20; c++) {
        if (c == '\n' || c == '\t')
            continue;
        char mark[3] = {'^', (char)(c + 0x40), 0};
        expect((char *)&c, 1, mark);
    }
}

static void test_invisible_and_bidirectional(void **state)
{
    (void)state;
    expect("\xe2\x80\xae"
           "evil",
           7, "<U+202E>evil");
    expect("\xe2\x81\xa6\xe2\x81\xa9", 6, "<U+2066><U+2069>");
    expect("\xe2\x80\xa8\xe2\x80\xa9", 6, "<U+2028><U+2029>");
    expect("a\xe2\x80\x8b"
           "b",
           5, "a<U+200B>b");
    expect("\xef\xbb\xbf#!", 5, "<U+FEFF>#!");
    expect("\xf3\xa0\x81\x81", 4, "<U+E0041>"); /* a tag letter */
    expect("\xe3\x85\xa4", 3, "<U+3164>");
    expect("\xef\xbf\xb0", 3, "<U+FFF0>"); /* unassigned, default ignorable */
    expect("\xf0\x9f\xbf\xbe", 4, "<U+1FFFE>");
}

static void test_ranges(void **state)
{
    (void)state;
    static const uint32_t hidden[] = {0,      8,      0xb,    0x1f,    0x7f,    0x80,    0x9f,    0xad,
                                      0x61c,  0x200b, 0x200e, 0x2028,  0x202a,  0x202e,  0x2060,  0x2065,
                                      0x206f, 0xfeff, 0xfff9, 0xe0001, 0xe007f, 0xe0fff, 0x10ffff};
    static const uint32_t shown[] = {9,      0xa,    0x20,   0x7e,   0xa0,    0xac,   0xae,   0x600,
                                     0x200a, 0x200c, 0x200d, 0x2010, 0x2027,  0x202f, 0x205f, 0x2070,
                                     0xfe0f, 0xfffc, 0xfffd, 0xe000, 0xe0100, 0x1f600};
    for (size_t i = 0; i < sizeof hidden / sizeof *hidden; i++)
        assert_true(visible_is_hidden(hidden[i]));
    for (size_t i = 0; i < sizeof shown / sizeof *shown; i++)
        assert_false(visible_is_hidden(shown[i]));
}

static void test_invalid_utf8(void **state)
{
    (void)state;
    expect("\xff", 1, "\xef\xbf\xbd");
    expect("a\xc3", 2, "a\xef\xbf\xbd");
    expect("\xf0\x9f\x98", 3, "\xef\xbf\xbd");
    expect("\x9b[0m", 4, "\xef\xbf\xbd[0m"); /* a raw C1 byte */
    expect("\xc0\x9b", 2, "\xef\xbf\xbd\xef\xbf\xbd");
    expect("\xed\xa0\x80", 3, "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
    expect("\xe2\x80"
           "A",
           3,
           "\xef\xbf\xbd"
           "A");
}

static void test_every_chunking_gives_the_same(void **state)
{
    (void)state;
    static const char text[] = "a\x1b[1m\xc2\x9b"
                               "K\xe2\x80\xae\xf0\x9f\x98\x80\xff\xe2\x80"
                               "x\xf0\x9f\xc3\xa9\xf3\xa0\x81";
    size_t size = sizeof text - 1;
    struct buffer whole = {0}, cut = {0};
    visible_append(&whole, text, size, false);
    for (size_t a = 0; a <= size; a++)
        for (size_t b = a; b <= size; b++) {
            struct visible visible = {0};
            buffer_clear(&cut);
            visible_push(&visible, text, a, &cut);
            visible_push(&visible, text + a, b - a, &cut);
            visible_push(&visible, text + b, size - b, &cut);
            visible_finish(&visible, &cut);
            assert_string_equal(buffer_text(&cut), buffer_text(&whole));
        }
    struct visible visible = {0};
    buffer_clear(&cut);
    for (size_t i = 0; i < size; i++)
        visible_push(&visible, text + i, 1, &cut);
    visible_finish(&visible, &cut);
    assert_string_equal(buffer_text(&cut), buffer_text(&whole));
    buffer_deinit(&whole);
    buffer_deinit(&cut);
}

static void test_again_changes_nothing(void **state)
{
    (void)state;
    static const char text[] = "\x1b]0;x\a \xc2\x9b \xe2\x80\xae \xff ok";
    struct buffer once = {0}, twice = {0};
    visible_append(&once, text, sizeof text - 1, false);
    visible_append(&twice, once.data, once.size, false);
    assert_string_equal(buffer_text(&once), buffer_text(&twice));
    buffer_deinit(&once);
    buffer_deinit(&twice);
}

static void test_ascii_only(void **state)
{
    (void)state;
    struct buffer out = {0};
    static const char text[] = "Gr\xc3\xbc\xc3\x9b \x1b \xff \xf0\x9f\x98\x80\t\n";
    visible_append(&out, text, sizeof text - 1, true);
    assert_string_equal(buffer_text(&out), "Gr<U+00FC><U+00DB> ^[ ? <U+1F600>\t\n");
    buffer_deinit(&out);
}

static void test_locale(void **state)
{
    (void)state;
    assert_non_null(setlocale(LC_CTYPE, "C"));
    assert_true(visible_locale_is_utf8());
    if (setlocale(LC_CTYPE, "C.UTF-8"))
        assert_true(visible_locale_is_utf8());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text_passes_unchanged),
        cmocka_unit_test(test_controls_become_marks),
        cmocka_unit_test(test_invisible_and_bidirectional),
        cmocka_unit_test(test_ranges),
        cmocka_unit_test(test_invalid_utf8),
        cmocka_unit_test(test_every_chunking_gives_the_same),
        cmocka_unit_test(test_again_changes_nothing),
        cmocka_unit_test(test_ascii_only),
        cmocka_unit_test(test_locale),
    };
    return cmocka_run_group_tests_name("visible", tests, NULL, NULL);
}
