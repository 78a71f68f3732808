/* test_fim_heal: what is taken back, what is allowed then, and that any way of spelling it gives the text again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "fim/heal.h"
#include "tests/engine_fixture.h"

static struct engine *engine;
static struct healer *healer;
static float *logits, *masked;

static int set_up(void **state)
{
    (void)state;
    struct error error;
    engine = open_engine(NULL, 1);
    logits = calloc((size_t)engine_n_vocab(engine), sizeof *logits);
    masked = calloc((size_t)engine_n_vocab(engine), sizeof *masked);
    return !logits || !masked || healer_new(engine, &healer, &error);
}

static int tear_down(void **state)
{
    (void)state;
    healer_free(healer);
    free(logits);
    free(masked);
    engine_close(engine);
    return 0;
}

static size_t cut_of(const char *text, size_t size)
{
    size_t n = 99999;
    struct error error;
    if (heal_cut(engine, text, size, &n, &error))
        fail_msg("%s", error.text);
    assert_true(n <= size && n <= HEAL_MOST);
    return n;
}

static void expect_cut(const char *text, const char *taken)
{
    size_t n = cut_of(text, strlen(text));
    if (n != strlen(taken))
        fail_msg("\"%s\": %zu bytes were taken back, not \"%s\"", text, n, taken);
    assert_memory_equal(text + strlen(text) - n, taken, n);
}

static void test_cut(void **state)
{
    (void)state;
    expect_cut("", "");
    expect_cut("    return fo", " fo");
    expect_cut("    retu", " retu");        /* the spaces before belong to another token */
    expect_cut("int x = ", " ");            /* the space is the next word's */
    expect_cut("x.read_conf", "read_conf"); /* back to where the word begins */
    expect_cut("foo(", "(");
    expect_cut("return 1;", ";");
    expect_cut("void f(void)\n{\n    ", "\n    "); /* all of the white space is one token */
    expect_cut("r", "r");
}

/* The token sequences that may follow, by a plain search through the vocabulary. */
static bool fits(struct slice left, int32_t id)
{
    struct slice piece = engine_piece(engine, id, false);
    if (engine_token_is_end(engine, id) || !piece.size)
        return false;
    size_t n = piece.size < left.size ? piece.size : left.size;
    return memcmp(piece.data, left.data, n) == 0;
}

static void expect_mask(const char *bytes, size_t size)
{
    struct heal heal;
    struct slice left = {bytes, size};
    size_t n = 0;
    heal_start(&heal, bytes, size);
    for (int32_t id = 0; id < engine_n_vocab(engine); id++)
        logits[id] = (float)(id % 97);
    assert_true(heal_mask(healer, &heal, logits, masked));
    for (int32_t id = 0; id < engine_n_vocab(engine); id++) {
        bool allowed = masked[id] > -INFINITY;
        if (allowed != fits(left, id))
            fail_msg("token %d is %sallowed", id, allowed ? "" : "not ");
        if (allowed)
            assert_float_equal(masked[id], logits[id], 0);
        n += allowed;
    }
    assert_true(n > 0);
}

static void test_mask(void **state)
{
    (void)state;
    expect_mask(" fo", 3);
    expect_mask("r", 1);
    expect_mask("\n    ", 5);
    expect_mask("xqzj", 4);     /* no token begins with all of it */
    expect_mask("\xe6\x97", 2); /* two bytes of three */
    expect_mask(" \xf0\x9f", 3);
}

/* Whatever allowed tokens are taken, they spell the bytes, and what is beyond is told. */
static void test_take(void **state)
{
    static const char *const texts[] = {" foreach", "r",      " xqzj", "\n\t\t",
                                        "\xe6\x97", "______", "(\"",   "\xf0\x9f\x98"};
    (void)state;
    uint64_t seed = 88172645463325252u;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        for (int round = 0; round < 40; round++) {
            struct heal heal;
            struct buffer spelled = {0};
            size_t beyond = 0;
            heal_start(&heal, texts[i], strlen(texts[i]));
            while (!heal_is_done(&heal)) {
                int32_t id = -1, n = 0;
                assert_true(heal_mask(healer, &heal, logits, masked));
                for (int32_t k = 0; k < engine_n_vocab(engine); k++) {
                    seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
                    if (masked[k] > -INFINITY && seed % (uint64_t)++n == 0)
                        id = k;
                }
                struct slice piece = engine_piece(engine, id, false), rest = heal_take(engine, &heal, id);
                buffer_append(&spelled, piece.data, piece.size);
                beyond += rest.size;
                if (!heal_is_done(&heal))
                    assert_int_equal(rest.size, 0);
            }
            assert_int_equal(spelled.size - beyond, strlen(texts[i]));
            assert_memory_equal(spelled.data, texts[i], strlen(texts[i]));
            buffer_deinit(&spelled);
        }
}

/* Any bytes: never more than there are, and the text before is untouched. */
static void test_any_bytes(void **state)
{
    (void)state;
    uint64_t seed = 1234567;
    char text[700];
    for (int round = 0; round < 300; round++) {
        size_t size = (size_t)(round * 7 % (int)sizeof text);
        for (size_t i = 0; i < size; i++) {
            seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
            text[i] = round % 3 ? (char)(seed >> 20) : "ab _\t\n(\xe6\x97\xa5"[seed % 10];
        }
        cut_of(text, size);
    }
    struct buffer line = {0};
    for (int i = 0; i < 1 << 20; i++)
        buffer_append_byte(&line, "word "[i % 5]);
    assert_true(cut_of(line.data, line.size) > 0);
    buffer_deinit(&line);
    /* A byte that no token spells binds nothing. */
    struct heal heal;
    heal_start(&heal, "\xff\xff", 2);
    if (!heal_mask(healer, &heal, logits, masked)) {
        assert_true(heal_is_done(&heal));
        assert_memory_equal(masked, logits, sizeof *logits * 100);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cut),
        cmocka_unit_test(test_mask),
        cmocka_unit_test(test_take),
        cmocka_unit_test(test_any_bytes),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
