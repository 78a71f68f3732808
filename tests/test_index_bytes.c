/* Tests of what the index is made of: numbers and names in bytes, words, and inverted lists in segments that are merged. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "repo/index_store.h"

static char base[] = "/tmp/fathom-index-XXXXXX";

static int remove_one(const char *path, const struct stat *about, int kind, struct FTW *walk)
{
    (void)about;
    (void)kind;
    (void)walk;
    return remove(path);
}

static int set_up(void **state)
{
    (void)state;
    strcpy(base, "/tmp/fathom-index-XXXXXX");
    return mkdtemp(base) ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    return nftw(base, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* ---- bytes ---- */

static void numbers_and_names_come_back(void **state)
{
    (void)state;
    static const uint64_t numbers[] = {0, 1, 127, 128, 16383, 16384, UINT32_MAX, UINT64_MAX / 2, UINT64_MAX};
    static const int64_t signs[] = {0, -1, 1, INT64_MIN, INT64_MAX, -64, 64};
    static const char *const names[] = {"", "a", "abc", "abd", "ab", "xyz"};
    struct buffer out = {0};
    struct code_name last = {.size = 0};
    for (size_t i = 0; i < 9; i++)
        code_put(&out, numbers[i]);
    for (size_t i = 0; i < 7; i++)
        code_put_signed(&out, signs[i]);
    for (size_t i = 0; i < 6; i++)
        code_put_name(&out, &last, names[i], strlen(names[i]));
    for (size_t size = 0; size <= out.size; size++) { /* cut anywhere, it fails and never leaves its bytes */
        char *copy = malloc(size + 1);
        memcpy(copy, out.data, size);
        struct code_reader reader = code_reader_make(copy, size);
        struct code_name name = {.size = 0};
        for (size_t i = 0; i < 9; i++) {
            uint64_t value = code_get(&reader);
            assert_true(reader.failed ? value == 0 : value == numbers[i]);
        }
        for (size_t i = 0; i < 7; i++) {
            int64_t value = code_get_signed(&reader);
            assert_true(reader.failed ? value == 0 : value == signs[i]);
        }
        for (size_t i = 0; i < 6; i++)
            if (code_get_name(&reader, &name))
                assert_string_equal(name.bytes, names[i]);
        assert_int_equal(reader.failed, size < out.size);
        free(copy);
    }
    static const char hostile[][12] = {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", "\x05\x01z", "\x00\xff\x7fz"};
    struct code_reader reader = code_reader_make(hostile[0], 10);
    assert_int_equal(code_get(&reader), 0);
    assert_true(reader.failed);
    for (int i = 1; i < 3; i++) {
        struct code_name name = {.size = 0};
        reader = code_reader_make(hostile[i], 4);
        assert_false(code_get_name(&reader, &name));
    }
    buffer_deinit(&out);
}

static void identifiers_are_split(void **state)
{
    (void)state;
    static const struct {
        const char *word, *parts;
    } cases[] = {{"kmalloc", ""},
                 {"kmalloc_array", "kmalloc array "},
                 {"getUserPages", "get User Pages "},
                 {"HTTPServerError", "HTTP Server Error "},
                 {"__init__", "init "},
                 {"a_bc", "bc "},
                 {"utf8proc", ""},
                 {"PAGE_SIZE2", "PAGE SIZE2 "},
                 {"x86_64", "x86 64 "}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct slice parts[FACT_PARTS_MAX];
        struct buffer text = {0};
        size_t n = facts_split(slice_from(cases[i].word), parts);
        for (size_t k = 0; k < n; k++)
            buffer_printf(&text, "%.*s ", (int)parts[k].size, parts[k].data);
        assert_string_equal(buffer_text(&text), cases[i].parts);
        buffer_deinit(&text);
    }
    static const char text[] = "int main(void) { return x+0x1234567 12 caf\xc3\xa9; }";
    static const char *const words[] = {"int", "main", "void", "return", "x", "12", "caf\xc3\xa9"};
    struct slice word;
    size_t at = 0, n = 0;
    while (facts_next_word(text, strlen(text), &at, &word))
        assert_true(n < 7 && slice_equals(word, words[n++]));
    assert_int_equal(n, 7);
}

static uint32_t random_next(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 8;
}

/* Lists out of segments that were merged in several ways hold what was put in. */
static void segments_keep_their_lists(void **state)
{
    (void)state;
    enum { N_DOCUMENTS = 4000, N_KEYS = 300, N_SEGMENTS = 9 };
    static uint8_t truth[N_KEYS][N_DOCUMENTS], dropped[N_DOCUMENTS];
    uint32_t seed = 7;
    struct index *index = NULL;
    assert_int_equal(index_open(base, "/a/root", &index, NULL), STATUS_OK);
    struct postings *postings;
    memset(truth, 0, sizeof truth);
    memset(dropped, 1, sizeof dropped);
    assert_int_equal(postings_new(&postings, NULL), STATUS_OK);
    for (uint32_t s = 0; s < N_SEGMENTS; s++) {
        uint32_t first = 1 + s * N_DOCUMENTS / N_SEGMENTS, end = 1 + (s + 1) * N_DOCUMENTS / N_SEGMENTS;
        if (end > N_DOCUMENTS)
            end = N_DOCUMENTS;
        postings_clear(postings);
        for (uint32_t document = first; document < end; document++)
            for (uint32_t key = 0; key < N_KEYS; key++) {
                char name[16];
                if (random_next(&seed) % (key % 40 + 1))
                    continue;
                snprintf(name, sizeof name, "rkey%u", key);
                unsigned low = random_next(&seed) % 4;
                truth[key][document] = (uint8_t)(low + 1);
                postings_add(postings, postings_key(postings, name, strlen(name)), document, low);
            }
        struct segment segment = {
            .first_content = first, .last_content = end - 1, .first_chunk = s, .end_chunk = s + 1};
        assert_int_equal(segment_write(index->segments, postings, &segment, (const uint8_t *)"x", NULL), STATUS_OK);
    }
    static const size_t merges[][2] = {{0, 0}, {2, 3}, {0, 7}, {0, 1}};
    for (int turn = 0; turn < 5; turn++) {
        const struct segment *segments;
        size_t n;
        assert_int_equal(segment_list(index->segments, &segments, &n, NULL), STATUS_OK);
        if (turn == 4) { /* everything but every third document goes */
            struct segment_filter filter = {dropped, N_DOCUMENTS, dropped, N_DOCUMENTS};
            for (uint32_t i = 0; i < N_DOCUMENTS; i++)
                dropped[i] = i % 3 == 0;
            assert_int_equal(segment_merge(index->segments, 0, n, &filter, NULL, NULL), STATUS_OK);
        } else if (merges[turn][1]) {
            assert_int_equal(segment_merge(index->segments, merges[turn][0], merges[turn][1], NULL, NULL, NULL),
                             STATUS_OK);
        }
        assert_int_equal(segment_list(index->segments, &segments, &n, NULL), STATUS_OK);
        for (uint32_t key = 0; key < N_KEYS; key++) {
            uint32_t at = 0;
            char name[16];
            snprintf(name, sizeof name, "rkey%u", key);
            for (size_t s = 0; s < n; s++) {
                struct posting_list list;
                assert_int_equal(segment_find(index->segments, &segments[s], name, strlen(name), 1, &list, NULL),
                                 STATUS_OK);
                uint32_t count = 0, said = list.n;
                while (posting_next(&list)) {
                    for (at++; at < list.document; at++)
                        assert_true(!truth[key][at] || !dropped[at]);
                    assert_int_equal(truth[key][at], list.low + 1);
                    count++;
                }
                assert_int_equal(count, said);
            }
            for (at++; at < N_DOCUMENTS; at++)
                assert_true(!truth[key][at] || !dropped[at]);
        }
        struct posting_list none;
        assert_int_equal(segment_find(index->segments, &segments[0], "rkey", 4, 0, &none, NULL), STATUS_OK);
        assert_false(posting_next(&none));
    }
    postings_free(postings);
    index_close(index);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_and_names_come_back),
        cmocka_unit_test(identifiers_are_split),
        cmocka_unit_test_setup_teardown(segments_keep_their_lists, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
