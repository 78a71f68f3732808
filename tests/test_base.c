/* Tests of engine/base and engine/names: errors, checked arithmetic, growing lists, arena, UTF-8, the name table. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base.h"
#include "engine/names.h"

/* ---- errors ---- */

static void an_error_is_one_line_that_fits(void **state)
{
    (void)state;
    struct error error;
    assert_int_equal(error_set(&error, STATUS_IO, "%s: %d", "x", 7), STATUS_IO);
    assert_int_equal(error.status, STATUS_IO);
    assert_string_equal(error.text, "x: 7");
    error_set(&error, STATUS_FORMAT, "a\nb\x1b[31m\x7f\tc");
    assert_string_equal(error.text, "a?b?[31m??c");
    char text[1000];
    memset(text, 'y', sizeof text);
    text[sizeof text - 1] = 0;
    error_set(&error, STATUS_FORMAT, "%s", text);
    assert_int_equal(strlen(error.text), sizeof error.text - 1);
    assert_int_equal(error_set(NULL, STATUS_MEMORY, "nobody listens"), STATUS_MEMORY);
}

static void an_error_may_quote_the_one_it_replaces(void **state)
{
    (void)state;
    struct error error;
    error_set(&error, STATUS_IO, "inner");
    error_set(&error, STATUS_FORMAT, "outer: %s", error.text);
    assert_string_equal(error.text, "outer: inner");
}

/* ---- checked arithmetic ---- */

static void arithmetic_tells_what_does_not_fit(void **state)
{
    (void)state;
    uint64_t out = 5;
    assert_true(checked_add(UINT64_MAX - 1, 1, &out));
    assert_true(out == UINT64_MAX);
    out = 5;
    assert_false(checked_add(UINT64_MAX, 1, &out));
    assert_false(checked_add(1, UINT64_MAX, &out));
    assert_false(checked_mul((uint64_t)1 << 32, (uint64_t)1 << 32, &out));
    assert_false(checked_mul(UINT64_MAX, 2, &out));
    assert_int_equal(out, 5);
    assert_true(checked_mul(UINT32_MAX, UINT32_MAX, &out));
    assert_true(out == 0xfffffffe00000001);
    assert_true(checked_mul(UINT64_MAX, 0, &out));
    assert_int_equal(out, 0);
    assert_true(checked_mul(0, UINT64_MAX, &out));
    assert_int_equal(out, 0);
}

/* ---- slice, buffer ---- */

static void slices_compare(void **state)
{
    (void)state;
    assert_int_equal(slice_from(NULL).size, 0);
    assert_true(slice_equals(slice_from("abc"), "abc"));
    assert_false(slice_equals(slice_from("abc"), "ab"));
    assert_false(slice_equals(slice_from("abd"), "abc"));
    assert_true(slice_equals((struct slice){NULL, 0}, ""));
    assert_false(slice_equals((struct slice){"a\0b", 3}, "a"));
}

static void a_buffer_grows_and_stays_terminated(void **state)
{
    (void)state;
    struct buffer buffer = {0};
    assert_string_equal(buffer_text(&buffer), "");
    buffer_append(&buffer, NULL, 0);
    assert_string_equal(buffer_text(&buffer), "");
    for (int i = 0; i < 10000; i++) {
        buffer_append_byte(&buffer, (char)('a' + i % 26));
        assert_int_equal(buffer.data[buffer.size], 0);
    }
    assert_int_equal(buffer.size, 10000);
    assert_int_equal(buffer.data[9999], 'a' + 9999 % 26);
    buffer_remove_front(&buffer, 9998);
    assert_int_equal(buffer.size, 2);
    assert_string_equal(buffer.data, "op");
    buffer_remove_front(&buffer, 2);
    assert_string_equal(buffer.data, "");
    buffer_printf(&buffer, "%d-%s", 42, "x");
    buffer_append_text(&buffer, "!");
    assert_string_equal(buffer.data, "42-x!");
    buffer_clear(&buffer);
    assert_int_equal(buffer.size, 0);
    assert_string_equal(buffer.data, "");
    assert_int_equal(buffer_status(&buffer, NULL), STATUS_OK);
    buffer_deinit(&buffer);
    assert_null(buffer.data);
    buffer_deinit(&buffer);
}

static void a_buffer_that_failed_takes_no_more(void **state)
{
    (void)state;
    struct error error;
    struct buffer buffer = {0};
    buffer_append_text(&buffer, "kept");
    buffer_append(&buffer, "x", SIZE_MAX); /* fails before it reads */
    assert_true(buffer.failed);
    buffer_append_text(&buffer, "more");
    assert_string_equal(buffer.data, "kept");
    assert_int_equal(buffer_status(&buffer, &error), STATUS_MEMORY);
    buffer_deinit(&buffer);
    assert_false(buffer.failed);
}

static void tokens_grow(void **state)
{
    (void)state;
    struct tokens tokens = {0};
    for (int32_t i = 0; i < 5000; i++)
        tokens_append(&tokens, i - 1);
    tokens_append_all(&tokens, (int32_t[]){7, 8}, 2);
    tokens_append_all(&tokens, NULL, 0);
    assert_int_equal(tokens.n, 5002);
    assert_int_equal(tokens.ids[0], -1);
    assert_int_equal(tokens.ids[4999], 4998);
    assert_int_equal(tokens.ids[5001], 8);
    tokens_clear(&tokens);
    assert_int_equal(tokens.n, 0);
    assert_int_equal(tokens_status(&tokens, NULL), STATUS_OK);
    int32_t one = 1;
    tokens_append_all(&tokens, &one, SIZE_MAX / 2); /* fails before it reads */
    assert_int_equal(tokens_status(&tokens, NULL), STATUS_MEMORY);
    tokens_deinit(&tokens);
}

/* ---- arena ---- */

static void an_arena_gives_zeroed_aligned_memory(void **state)
{
    (void)state;
    struct arena arena = {0};
    for (size_t size = 0; size < 3000; size += 7) {
        unsigned char *memory = arena_alloc(&arena, size);
        assert_non_null(memory);
        assert_int_equal((uintptr_t)memory % 64, 0);
        for (size_t i = 0; i < size; i++)
            assert_int_equal(memory[i], 0);
        memset(memory, 0xff, size); /* would show in what comes next if the two overlapped */
    }
    unsigned char *large = arena_alloc(&arena, 1 << 20);
    assert_non_null(large);
    assert_int_equal(large[(1 << 20) - 1], 0);
    assert_string_equal(arena_copy_text(&arena, "abcdef", 3), "abc");
    assert_string_equal(arena_copy_text(&arena, NULL, 0), "");
    assert_null(arena_alloc(&arena, SIZE_MAX));
    assert_null(arena_alloc(&arena, SIZE_MAX - 200));
    assert_null(arena_copy_text(&arena, "x", SIZE_MAX));
    arena_deinit(&arena);
    assert_null(arena.blocks);
}

/* ---- UTF-8 ---- */

static void every_code_point_comes_back(void **state)
{
    (void)state;
    struct buffer buffer = {0};
    for (uint32_t c = 0; c <= 0x10ffff; c++) {
        uint32_t decoded = 0xffffffff;
        if (c >= 0xd800 && c < 0xe000)
            continue;
        buffer_clear(&buffer);
        buffer_append_code_point(&buffer, c);
        int length = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
        if ((int)buffer.size != length || utf8_decode(buffer.data, buffer.size, &decoded) != length || decoded != c)
            fail_msg("U+%04X", c);
        for (int cut = 0; cut < length; cut++)
            assert_int_equal(utf8_decode(buffer.data, (size_t)cut, &decoded), 0);
    }
    buffer_deinit(&buffer);
}

struct invalid {
    const char *text;
    int result;
};

static void invalid_utf8_is_cut_into_maximal_subparts(void **state)
{
    (void)state;
    /* Unicode 15, section 3.9, tables 3-8 to 3-11, and the ends of every range of table 3-7. */
    static const struct invalid cases[] = {
        {"\x80", -1},
        {"\xbf", -1},
        {"\xc0\x80", -1},
        {"\xc1\xbf", -1},
        {"\xc2\x41", -1},
        {"\xc2\xc0", -1},
        {"\xe0\x80\x80", -1},
        {"\xe0\x9f\xbf", -1},
        {"\xe0\xa0\x41", -2},
        {"\xed\xa0\x80", -1},
        {"\xed\xbf\xbf", -1},
        {"\xe1\x80\xc0", -2},
        {"\xf0\x80\x80", -1},
        {"\xf0\x8f\xbf", -1},
        {"\xf0\x90\x80\x41", -3},
        {"\xf4\x90\x80\x80", -1},
        {"\xf1\x80\x41", -2},
        {"\xf5\x80", -1},
        {"\xff", -1},
        {"\xfe", -1},
        {"\xf0\x90", 0},
        {"\xf4\x8f\xbf", 0},
        {"\xe2\x82", 0},
        {"\xc3", 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint32_t c;
        int result = utf8_decode(cases[i].text, strlen(cases[i].text), &c);
        if (result != cases[i].result)
            fail_msg("case %zu gives %d", i, result);
    }
}

/* All sequences of up to three bytes: what is taken is exactly what encoding gives. */
static void no_other_bytes_are_taken(void **state)
{
    (void)state;
    struct buffer buffer = {0};
    for (uint32_t bits = 0; bits < 1u << 24; bits++) {
        char text[3] = {(char)(bits >> 16), (char)(bits >> 8), (char)bits};
        uint32_t c;
        int length = utf8_decode(text, 3, &c);
        if (length > 0) {
            buffer_clear(&buffer);
            buffer_append_code_point(&buffer, c);
            if ((int)buffer.size != length || memcmp(buffer.data, text, buffer.size) || (c >= 0xd800 && c < 0xe000))
                fail_msg("bytes %06x", bits);
        } else if (length < -2) {
            fail_msg("bytes %06x give %d", bits, length);
        }
        if (length == 1 || length == -1)
            bits |= (text[0] & 0x80) ? 0xff : 0xffff; /* what follows makes no difference */
    }
    buffer_deinit(&buffer);
}

/* ---- clock ---- */

static void the_clock_does_not_go_back(void **state)
{
    (void)state;
    uint64_t last = clock_now_ns();
    for (int i = 0; i < 1000; i++) {
        uint64_t now = clock_now_ns();
        assert_true(now >= last);
        last = now;
    }
}

/* ---- names ---- */

/* CPython 3.11 hashes by SipHash-1-3 with the key 0 where PYTHONHASHSEED=0: hash(bytes(range(n))). */
static void the_hash_is_siphash_1_3(void **state)
{
    (void)state;
    static const uint64_t key[2] = {0, 0}, other[2] = {0, 1};
    static const struct {
        size_t size;
        uint64_t hash;
    } expected[] = {
        {1, 0x68a914128e01e473}, {2, 0x010bac45c41e3669},  {7, 0x2f098ab0c751325a},  {8, 0xead411e67ebe2eea},
        {9, 0x75927f9d95124362}, {15, 0xf30eb725bb91c9ea}, {16, 0x8972188433a5c5b7}, {33, 0x7fb71d24dfa4c9f6},
    };
    unsigned char bytes[33];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (unsigned char)i;
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        assert_true(names_hash(key, bytes, expected[i].size) == expected[i].hash);
        assert_true(names_hash(other, bytes, expected[i].size) != expected[i].hash);
    }
}

static void names_are_found_again(void **state)
{
    (void)state;
    enum { N = 20000 };
    struct name_table table;
    struct arena arena = {0};
    size_t index = 99;
    assert_int_equal(name_table_init(&table, N, NULL), STATUS_OK);
    for (size_t i = 0; i < N; i++) {
        char name[32];
        int size = snprintf(name, sizeof name, "blk.%zu.weight", i);
        struct slice slice = {arena_copy_text(&arena, name, (size_t)size), (size_t)size};
        assert_int_equal(name_table_add(&table, slice, i), NAME_ADDED);
    }
    assert_int_equal(name_table_add(&table, slice_from("blk.5.weight"), 1), NAME_KNOWN);
    assert_int_equal(name_table_add(&table, slice_from("one more"), 1), NAME_TABLE_FULL);
    assert_true(name_table_find(&table, slice_from("blk.0.weight"), &index));
    assert_int_equal(index, 0);
    assert_true(name_table_find(&table, slice_from("blk.19999.weight"), &index));
    assert_int_equal(index, 19999);
    assert_false(name_table_find(&table, slice_from("blk.20000.weight"), &index));
    assert_false(name_table_find(&table, slice_from(""), &index));
    name_table_deinit(&table);
    arena_deinit(&arena);
}

static void an_empty_table_finds_nothing(void **state)
{
    (void)state;
    struct name_table table = {0};
    size_t index;
    assert_false(name_table_find(&table, slice_from("x"), &index));
    assert_int_equal(name_table_add(&table, slice_from("x"), 0), NAME_TABLE_FULL);
    name_table_deinit(&table);
    assert_int_equal(name_table_init(&table, 2, NULL), STATUS_OK);
    assert_int_equal(name_table_add(&table, (struct slice){"a\0b", 3}, 4), NAME_ADDED);
    assert_int_equal(name_table_add(&table, (struct slice){NULL, 0}, 5), NAME_ADDED);
    assert_false(name_table_find(&table, slice_from("a"), &index));
    assert_true(name_table_find(&table, slice_from(""), &index));
    assert_int_equal(index, 5);
    name_table_deinit(&table);
    assert_int_equal(name_table_init(&table, SIZE_MAX / 2, NULL), STATUS_MEMORY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_error_is_one_line_that_fits),
        cmocka_unit_test(an_error_may_quote_the_one_it_replaces),
        cmocka_unit_test(arithmetic_tells_what_does_not_fit),
        cmocka_unit_test(slices_compare),
        cmocka_unit_test(a_buffer_grows_and_stays_terminated),
        cmocka_unit_test(a_buffer_that_failed_takes_no_more),
        cmocka_unit_test(tokens_grow),
        cmocka_unit_test(an_arena_gives_zeroed_aligned_memory),
        cmocka_unit_test(every_code_point_comes_back),
        cmocka_unit_test(invalid_utf8_is_cut_into_maximal_subparts),
        cmocka_unit_test(no_other_bytes_are_taken),
        cmocka_unit_test(the_clock_does_not_go_back),
        cmocka_unit_test(the_hash_is_siphash_1_3),
        cmocka_unit_test(names_are_found_again),
        cmocka_unit_test(an_empty_table_finds_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
