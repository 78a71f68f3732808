/* Tests of engine/quant: block sizes, half floats and dequantisation, bit for bit against tests/golden/quant.txt, which
 * tests/make_quant_golden.py made from the `gguf` Python package; there stands what the lines mean. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/quant.h"

/* ---- the golden file ---- */

static FILE *golden_open(void)
{
    FILE *file = fopen("tests/golden/quant.txt", "r");
    if (!file)
        fail_msg("tests/golden/quant.txt: can't open");
    return file;
}

/* The rest of the line that begins with this word. */
static void golden_line(const char *word, char *rest, size_t size)
{
    FILE *file = golden_open();
    char line[1024];
    size_t length = strlen(word);
    bool found = false;
    while (!found && fgets(line, sizeof line, file))
        if (strncmp(line, word, length) == 0 && line[length] == ' ') {
            snprintf(rest, size, "%s", line + length + 1);
            found = true;
        }
    fclose(file);
    if (!found)
        fail_msg("no line \"%s\" in the golden file", word);
}

static uint64_t hash_more(uint64_t hash, uint64_t value, int size)
{
    for (int i = 0; i < size; i++)
        hash = (hash ^ (value >> (8 * i) & 0xff)) * 0x100000001b3;
    return hash;
}

static const uint64_t hash_start = 0xcbf29ce484222325;

static uint64_t random_next(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

static unsigned char *random_bytes(uint64_t seed, size_t n)
{
    unsigned char *bytes = malloc(n + 8);
    assert_non_null(bytes);
    for (size_t i = 0; i < n; i += 8) {
        uint64_t z = random_next(&seed);
        for (size_t k = 0; k < 8; k++)
            bytes[i + k] = (unsigned char)(z >> (8 * k));
    }
    return bytes;
}

static uint32_t bits_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static float float_of(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* ---- the table ---- */

static void every_type_has_its_size(void **state)
{
    (void)state;
    FILE *file = golden_open();
    char line[1024], name[32];
    unsigned number, elements, bytes, n = 0, known = 0;
    while (fgets(line, sizeof line, file)) {
        if (sscanf(line, "size %u %31s %u %u", &number, name, &elements, &bytes) != 4)
            continue;
        const struct quant_info *info = quant_info((enum quant_type)number);
        if (!info)
            fail_msg("no type %s", name);
        assert_string_equal(info->name, name);
        assert_int_equal(info->block_elements, elements);
        assert_int_equal(info->block_bytes, bytes);
        n++;
    }
    fclose(file);
    assert_true(n >= 30);
    for (unsigned i = 0; i < 2 * QUANT_LIMIT; i++)
        known += quant_info((enum quant_type)i) != NULL;
    assert_int_equal(known, n);
    assert_null(quant_info((enum quant_type) - 1));
    assert_null(quant_info((enum quant_type)0x7fffffff));
}

static void types_are_found_by_name(void **state)
{
    (void)state;
    enum quant_type type;
    for (unsigned i = 0; i < QUANT_LIMIT; i++) {
        const struct quant_info *info = quant_info((enum quant_type)i);
        if (!info)
            continue;
        assert_true(quant_find(info->name, &type));
        assert_int_equal(type, i);
    }
    assert_true(quant_find("q4_k", &type));
    assert_int_equal(type, QUANT_Q4_K);
    assert_true(quant_find("bf16", &type));
    assert_int_equal(type, QUANT_BF16);
    assert_false(quant_find("", &type));
    assert_false(quant_find("Q4", &type));
    assert_false(quant_find("Q4_KK", &type));
}

/* ---- half floats ---- */

static void halves_become_the_right_floats(void **state)
{
    (void)state;
    uint64_t hash = hash_start, expected;
    char rest[256];
    for (uint32_t half = 0; half < 65536; half++) {
        float value = float_from_half((uint16_t)half);
        if ((half & 0x7fff) > 0x7c00) {
            assert_true(isnan(value));
            assert_int_equal(bits_of(value) >> 31, half >> 15);
        } else {
            hash = hash_more(hash, bits_of(value), 4);
            assert_int_equal(half_from_float(value), half);
        }
    }
    golden_line("half", rest, sizeof rest);
    assert_int_equal(sscanf(rest, "%" SCNx64, &expected), 1);
    assert_true(hash == expected);
}

/* By the definition: of two neighbours the nearer one, halfway between them the even one. */
static void floats_are_rounded_to_the_nearest_half(void **state)
{
    (void)state;
    for (uint32_t half = 0; half < 0x7c00; half++) {
        float low = float_from_half((uint16_t)half);
        float high = half + 1 == 0x7c00 ? 65536.0f : float_from_half((uint16_t)(half + 1));
        float middle = (low + high) / 2; /* exact */
        uint32_t even = half % 2 ? half + 1 : half;
        assert_int_equal(half_from_float(middle), even);
        assert_int_equal(half_from_float(nextafterf(middle, 0)), half);
        assert_int_equal(half_from_float(nextafterf(middle, INFINITY)), half + 1);
        assert_int_equal(half_from_float(-middle), even | 0x8000);
        assert_int_equal(half_from_float(nextafterf(high, 0)), half + 1);
        assert_int_equal(half_from_float(nextafterf(low, INFINITY)), half);
    }
}

static void special_floats_stay_special(void **state)
{
    (void)state;
    assert_int_equal(half_from_float(INFINITY), 0x7c00);
    assert_int_equal(half_from_float(-INFINITY), 0xfc00);
    assert_int_equal(half_from_float(3.4e38f), 0x7c00);
    assert_int_equal(half_from_float(-0.0f), 0x8000);
    assert_int_equal(half_from_float(1e-45f), 0);
    for (uint32_t payload = 1; payload < 0x800000; payload += 4093) {
        uint16_t half = half_from_float(float_of(0x7f800000 | payload));
        assert_true((half & 0x7fff) > 0x7c00);
        assert_true((half_from_float(float_of(0xff800000 | payload)) & 0x7fff) > 0x7c00);
    }
}

static void random_floats_are_rounded_as_the_reference_rounds(void **state)
{
    (void)state;
    enum { N = 1 << 18 };
    unsigned char *bytes = random_bytes(1000, 4 * N);
    uint64_t hash = hash_start, expected;
    char rest[256];
    for (uint32_t i = 0; i < N; i++) {
        uint32_t bits = (uint32_t)bytes[4 * i] | (uint32_t)bytes[4 * i + 1] << 8 | (uint32_t)bytes[4 * i + 2] << 16 |
                        (uint32_t)bytes[4 * i + 3] << 24;
        if (i % 2)
            bits = (bits & 0x807fffff) | (97 + (bits >> 23 & 0xff) % 49) << 23;
        if (!isnan(float_of(bits)))
            hash = hash_more(hash, half_from_float(float_of(bits)), 2);
    }
    free(bytes);
    golden_line("round", rest, sizeof rest);
    assert_int_equal(sscanf(rest, "%" SCNx64, &expected), 1);
    assert_true(hash == expected);
}

/* ---- dequantisation ---- */

struct scales {
    enum quant_type type;
    int n, places[2]; /* of the high bytes of half floats in a block */
};

static const struct scales scales[] = {
    {QUANT_F32, 0, {0}},       {QUANT_F16, 1, {1}},     {QUANT_BF16, 0, {0}},    {QUANT_Q8_0, 1, {1}},
    {QUANT_Q4_0, 1, {1}},      {QUANT_Q4_1, 2, {1, 3}}, {QUANT_Q5_0, 1, {1}},    {QUANT_Q5_1, 2, {1, 3}},
    {QUANT_Q2_K, 2, {81, 83}}, {QUANT_Q3_K, 1, {109}},  {QUANT_Q4_K, 2, {1, 3}}, {QUANT_Q5_K, 2, {1, 3}},
    {QUANT_Q6_K, 1, {209}},    {QUANT_IQ4_NL, 1, {1}},  {QUANT_IQ4_XS, 1, {1}},  {QUANT_MXFP4, 0, {0}},
    {QUANT_IQ2_XXS, 1, {1}},   {QUANT_IQ2_XS, 1, {1}},  {QUANT_IQ2_S, 1, {1}},   {QUANT_IQ3_XXS, 1, {1}},
    {QUANT_IQ3_S, 1, {1}},
};

enum { N_SCALES = sizeof scales / sizeof *scales };

static void unpack_as_reference(const struct scales *row)
{
    const struct quant_info *info = quant_info(row->type);
    char word[64], rest[1024], *at = rest;
    snprintf(word, sizeof word, "unpack %s", info->name);
    golden_line(word, rest, sizeof rest);
    size_t n_blocks = (size_t)strtoull(at, &at, 10);
    uint64_t expected = strtoull(at, &at, 16), hash = hash_start;
    size_t n = n_blocks * info->block_elements, size = n_blocks * info->block_bytes;
    assert_true(n >= 1024);

    unsigned char *random = random_bytes(row->type, size);
    for (size_t block = 0; block < n_blocks; block++)
        for (int i = 0; i < row->n; i++)
            random[block * info->block_bytes + (size_t)row->places[i]] &= 0xbf;
    /* At an odd address, and in exactly as many bytes as there are: a read beyond them shows under AddressSanitizer. */
    unsigned char *bytes = malloc(size + 1);
    float *out = malloc((n + 1) * sizeof *out);
    assert_non_null(bytes);
    assert_non_null(out);
    memcpy(bytes + 1, random, size);
    out[n] = 12345.0f;
    info->unpack(bytes + 1, out, n);
    assert_true(out[n] == 12345.0f);
    for (size_t i = 0; i < 16; i++) {
        uint32_t first = (uint32_t)strtoul(at, &at, 16);
        if (bits_of(out[i]) != first)
            fail_msg("%s: element %zu is %a, should be %a", info->name, i, (double)out[i], (double)float_of(first));
    }
    for (size_t i = 0; i < n; i++)
        hash = hash_more(hash, bits_of(out[i]), 4);
    if (hash != expected)
        fail_msg("%s: the first 16 elements are right, others aren't", info->name);
    /* A part of a row gives the same as the whole. */
    float part[256];
    info->unpack(bytes + 1 + info->block_bytes, part, info->block_elements);
    assert_memory_equal(part, out + info->block_elements, info->block_elements * sizeof *part);
    free(random);
    free(bytes);
    free(out);
}

static void blocks_unpack_bit_for_bit_as_the_reference(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_SCALES; i++)
        unpack_as_reference(&scales[i]);
}

/* The least scales are subnormal floats; random bytes seldom hit them. */
static void every_power_of_two_scales_mxfp4(void **state)
{
    (void)state;
    static const float values[8] = {0, 0.5f, 1, 1.5f, 2, 3, 4, 6};
    for (int e = 0; e < 256; e++) {
        unsigned char block[17] = {(unsigned char)e};
        float out[32];
        for (int i = 0; i < 16; i++)
            block[1 + i] = (unsigned char)(i | (15 - i) << 4);
        quant_info(QUANT_MXFP4)->unpack(block, out, 32);
        for (int i = 0; i < 16; i++) {
            float expected = ldexpf(i < 8 ? values[i] : -values[i - 8], e - 127);
            assert_true(out[i] == expected);
            assert_true(out[31 - i] == expected);
        }
    }
}

static void every_type_that_unpacks_was_compared(void **state)
{
    (void)state;
    size_t n = 0;
    for (unsigned i = 0; i < QUANT_LIMIT; i++) {
        const struct quant_info *info = quant_info((enum quant_type)i);
        n += info && info->unpack;
    }
    assert_int_equal(n, N_SCALES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_has_its_size),
        cmocka_unit_test(types_are_found_by_name),
        cmocka_unit_test(halves_become_the_right_floats),
        cmocka_unit_test(floats_are_rounded_to_the_nearest_half),
        cmocka_unit_test(special_floats_stay_special),
        cmocka_unit_test(random_floats_are_rounded_as_the_reference_rounds),
        cmocka_unit_test(blocks_unpack_bit_for_bit_as_the_reference),
        cmocka_unit_test(every_power_of_two_scales_mxfp4),
        cmocka_unit_test(every_type_that_unpacks_was_compared),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
