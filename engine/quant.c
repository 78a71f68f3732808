/* quant: see quant.h.
 *
 * In the drawings a block is read from left to right as it lies in the file; a number after a name is its size in bytes.
 * d and m are half floats, low nibble means bits 0..3 of a byte.  All sums are done in float in the order that the
 * reference implementation of the `gguf` Python package has, so that results agree bit for bit: this file must be compiled
 * without fused multiply-adds (-ffp-contract=off), as the Makefile does. */
#include "engine/quant.h"

#include <string.h>

#include "engine/quant_grids.h"

/* ---- half floats: IEEE 754 binary16, 1 sign bit, 5 exponent bits biased by 15, 10 bits of fraction ---- */

static float float_from_bits(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static uint32_t bits_from_float(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

float float_from_half(uint16_t half)
{
    uint32_t sign = (uint32_t)(half & 0x8000) << 16;
    uint32_t exponent = half >> 10 & 0x1f, fraction = half & 0x3ff;
    if (exponent == 0x1f)
        return float_from_bits(sign | 0x7f800000 | fraction << 13);
    if (exponent)
        return float_from_bits(sign | (exponent + 127 - 15) << 23 | fraction << 13);
    /* Subnormal: fraction units of 2^-24, which float holds as a normal number. */
    float value = (float)fraction * 0x1p-24f;
    return float_from_bits(sign | bits_from_float(value));
}

uint16_t half_from_float(float value)
{
    uint32_t bits = bits_from_float(value);
    uint32_t sign = bits >> 16 & 0x8000, magnitude = bits & 0x7fffffff;
    if (magnitude > 0x7f800000) /* NaN: made quiet, the top of its payload kept */
        return (uint16_t)(sign | 0x7e00 | (magnitude >> 13 & 0x3ff));
    if (magnitude >= 0x477ff000) /* 65520, halfway between the greatest half and what would follow, and beyond */
        return (uint16_t)(sign | 0x7c00);
    if (magnitude >= 0x38800000) { /* 2^-14: normal.  A carry out of the fraction rightly raises the exponent. */
        uint32_t rounded = magnitude + 0xfff + (magnitude >> 13 & 1);
        return (uint16_t)(sign | ((rounded >> 13) - ((127 - 15) << 10)));
    }
    if (magnitude < 0x33000000) /* below 2^-25, half of the least subnormal */
        return (uint16_t)sign;
    uint32_t shift = 126 - (magnitude >> 23);
    uint32_t fraction = (magnitude & 0x7fffff) | 0x800000;
    uint32_t kept = fraction >> shift, lost = fraction & ((1u << shift) - 1), tie = 1u << (shift - 1);
    kept += lost > tie || (lost == tie && (kept & 1));
    return (uint16_t)(sign | kept);
}

/* ---- reading little-endian numbers at any address ---- */

static uint16_t load_u16(const unsigned char *p)
{
    return (uint16_t)(p[0] | p[1] << 8);
}

static uint32_t load_u32(const unsigned char *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static float load_half(const unsigned char *p)
{
    return float_from_half(load_u16(p));
}

/* ---- plain types ---- */

static void unpack_f32(const void *row, float *out, size_t n)
{
    const unsigned char *p = row;
    for (size_t i = 0; i < n; i++)
        out[i] = float_from_bits(load_u32(p + 4 * i));
}

static void unpack_f16(const void *row, float *out, size_t n)
{
    const unsigned char *p = row;
    for (size_t i = 0; i < n; i++)
        out[i] = load_half(p + 2 * i);
}

/* The upper half of a float. */
static void unpack_bf16(const void *row, float *out, size_t n)
{
    const unsigned char *p = row;
    for (size_t i = 0; i < n; i++)
        out[i] = float_from_bits((uint32_t)load_u16(p + 2 * i) << 16);
}

/* ---- blocks of 32 ---- */

enum { BLOCK = 32, SUPER = 256 };

/* | d 2 | q 32 |                 x[i] = q[i] * d, q signed */
static void unpack_q8_0(const void *row, float *out, size_t n)
{
    const unsigned char *block = row;
    for (size_t b = 0; b < n / BLOCK; b++, block += 34, out += BLOCK) {
        float d = load_half(block);
        for (int i = 0; i < BLOCK; i++)
            out[i] = (float)(int8_t)block[2 + i] * d;
    }
}

/* | d 2 | q 16 |                 low nibbles are elements 0..15, high ones 16..31; x = d * (q - 8) */
static void unpack_q4_0(const void *row, float *out, size_t n)
{
    const unsigned char *block = row;
    for (size_t b = 0; b < n / BLOCK; b++, block += 18, out += BLOCK) {
        float d = load_half(block);
        for (int i = 0; i < BLOCK / 2; i++) {
            out[i] = d * (float)((block[2 + i] & 15) - 8);
            out[i + BLOCK / 2] = d * (float)((block[2 + i] >> 4) - 8);
        }
    }
}

/* | d 2 | m 2 | q 16 |           nibbles as in Q4_0; x = d * q + m */
static void unpack_q4_1(const void *row, float *out, size_t n)
{
    const unsigned char *block = row;
    for (size_t b = 0; b < n / BLOCK; b++, block += 20, out += BLOCK) {
        float d = load_half(block), m = load_half(block + 2);
        for (int i = 0; i < BLOCK / 2; i++) {
            out[i] = d * (float)(block[4 + i] & 15) + m;
            out[i + BLOCK / 2] = d * (float)(block[4 + i] >> 4) + m;
        }
    }
}

/* Five bits: bit 4 of element i is bit i of h, bits 0..3 are nibbles as in Q4_0. */
static int five_bits(const unsigned char *q, uint32_t h, int i)
{
    int low = i < BLOCK / 2 ? q[i] & 15 : q[i - BLOCK / 2] >> 4;
    return low | (int)(h >> i & 1) << 4;
}

/* | d 2 | h 4 | q 16 |           x = d * (q - 16) */
static void unpack_q5_0(const void *row, float *out, size_t n)
{
    const unsigned char *block = row;
    for (size_t b = 0; b < n / BLOCK; b++, block += 22, out += BLOCK) {
        float d = load_half(block);
        uint32_t h = load_u32(block + 2);
        for (int i = 0; i < BLOCK; i++)
            out[i] = d * (float)(five_bits(block + 6, h, i) - 16);
    }
}

/* | d 2 | m 2 | h 4 | q 16 |     x = d * q + m */
static void unpack_q5_1(const void *row, float *out, size_t n)
{
    const unsigned char *block = row;
    for (size_t b = 0; b < n / BLOCK; b++, block += 24, out += BLOCK) {
        float d = load_half(block), m = load_half(block + 2);
        uint32_t h = load_u32(block + 4);
        for (int i = 0; i < BLOCK; i++)
            out[i] = d * (float)five_bits(block + 8, h, i) + m;
    }
}

/* The values a nibble stands for in IQ4_NL and IQ4_XS (kvalues_iq4nl of ggml-common.h). */
static const int8_t nonlinear_values[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};

/* Twice the values of E2M1, the 4-bit float of the OCP Microscaling Formats (MX) specification 1.0, section 5.3.3. */
static const int8_t doubled_e2m1[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

/* 32 values by their nibbles, which lie as in Q4_0. */
static void unpack_nibbles(const unsigned char *q, const int8_t values[16], float d, float *out)
{
    for (int i = 0; i < BLOCK / 2; i++) {
        out[i] = d * (float)values[q[i] & 15];
        out[i + BLOCK / 2] = d * (float)values[q[i] >> 4];
    }
}

/* | d 2 | q 16 |                 x = d * values[q] */
static void unpack_iq4_nl(const void *row, float *out, size_t n)
{
    const unsigned char *block = row;
    for (size_t b = 0; b < n / BLOCK; b++, block += 18, out += BLOCK)
        unpack_nibbles(block + 2, nonlinear_values, load_half(block), out);
}

/* | e 1 | q 16 |                 x = 2^(e - 128) * doubled[q]; the scale is halved, since the values are doubled */
static void unpack_mxfp4(const void *row, float *out, size_t n)
{
    const unsigned char *block = row;
    for (size_t b = 0; b < n / BLOCK; b++, block += 17, out += BLOCK) {
        uint32_t e = block[0];
        /* 2^-128 and 2^-127 are subnormal floats.  255, a NaN by the specification, is 2^127 in the reference too. */
        float d = float_from_bits(e < 2 ? 0x00200000u << e : (e - 1) << 23);
        unpack_nibbles(block + 1, doubled_e2m1, d, out);
    }
}

/* ---- super-blocks of 256, the K types ---- */

/* | scales 16 | q 64 | d 2 | m 2 |
 * scales[i], for elements 16i..16i+15: low nibble scale, high nibble minimum.
 * q: two runs of 32 bytes for 128 elements each; element 32j+l of a run is bits 2j..2j+1 of its byte l.
 * x = (d * scale) * q - m * minimum */
static void unpack_q2_k(const void *row, float *out, size_t n)
{
    const unsigned char *block = row;
    for (size_t b = 0; b < n / SUPER; b++, block += 84, out += SUPER) {
        const unsigned char *scales = block, *q = block + 16;
        float d = load_half(block + 80), m = load_half(block + 82);
        for (int i = 0; i < SUPER; i++) {
            float scale = d * (float)(scales[i / 16] & 15), minimum = m * (float)(scales[i / 16] >> 4);
            int value = q[i / 128 * 32 + i % 32] >> (2 * (i / 32 % 4)) & 3;
            out[i] = scale * (float)value - minimum;
        }
    }
}

/* | h 32 | q 64 | scales 12 | d 2 |
 * q as in Q2_K; bit i/32 of h[i%32] is element i's third bit, and 4 is taken away where it is not set.
 * Sixteen 6-bit scales: the low nibbles of scales[0..7] are bits 0..3 of scales 0..7, the high ones of scales 8..15;
 * bits 4..5 of scale s are bits 2(s/4).. of scales[8 + s%4].   x = (d * (scale - 32)) * q */
static void unpack_q3_k(const void *row, float *out, size_t n)
{
    const unsigned char *block = row;
    for (size_t b = 0; b < n / SUPER; b++, block += 110, out += SUPER) {
        const unsigned char *h = block, *q = block + 32, *scales = block + 96;
        float d = load_half(block + 108);
        for (int i = 0; i < SUPER; i++) {
            int s = i / 16;
            int low = s < 8 ? scales[s] & 15 : scales[s - 8] >> 4;
            int high = scales[8 + s % 4] >> (2 * (s / 4)) & 3;
            int value = (q[i / 128 * 32 + i % 32] >> (2 * (i / 32 % 4)) & 3) - (h[i % 32] >> (i / 32) & 1 ? 0 : 4);
            out[i] = d * (float)((low | high << 4) - 32) * (float)value;
        }
    }
}

/* The twelve bytes of eight 6-bit scales S and minima M in Q4_K and Q5_K:
 *
 *   byte 0..3    S4..S7 bits 4..5 | S0..S3      (bits 7..6 | 5..0)
 *   byte 4..7    M4..M7 bits 4..5 | M0..M3
 *   byte 8..11   M4..M7 bits 0..3 | S4..S7 bits 0..3 */
static void scale_and_minimum(const unsigned char *packed, int i, int *scale, int *minimum)
{
    if (i < 4) {
        *scale = packed[i] & 63;
        *minimum = packed[i + 4] & 63;
    } else {
        *scale = (packed[i + 4] & 15) | (packed[i - 4] >> 6) << 4;
        *minimum = packed[i + 4] >> 4 | (packed[i] >> 6) << 4;
    }
}

/* | d 2 | m 2 | scales 12 | q 128 |
 * Eight runs of 32 elements; runs 2k and 2k+1 are the low and the high nibbles of q[32k..32k+31].
 * x = (d * scale) * q - m * minimum */
static void unpack_q4_k(const void *row, float *out, size_t n)
{
    const unsigned char *block = row;
    for (size_t b = 0; b < n / SUPER; b++, block += 144) {
        float d = load_half(block), m = load_half(block + 2);
        for (int run = 0; run < 8; run++, out += 32) {
            const unsigned char *q = block + 16 + run / 2 * 32;
            int scale, minimum;
            scale_and_minimum(block + 4, run, &scale, &minimum);
            float ds = d * (float)scale, dm = m * (float)minimum;
            for (int i = 0; i < 32; i++)
                out[i] = ds * (float)(run % 2 ? q[i] >> 4 : q[i] & 15) - dm;
        }
    }
}

/* | d 2 | m 2 | scales 12 | h 32 | q 128 |
 * As Q4_K; bit `run` of h[i] is bit 4 of element i of that run. */
static void unpack_q5_k(const void *row, float *out, size_t n)
{
    const unsigned char *block = row;
    for (size_t b = 0; b < n / SUPER; b++, block += 176) {
        const unsigned char *h = block + 16;
        float d = load_half(block), m = load_half(block + 2);
        for (int run = 0; run < 8; run++, out += 32) {
            const unsigned char *q = block + 48 + run / 2 * 32;
            int scale, minimum;
            scale_and_minimum(block + 4, run, &scale, &minimum);
            float ds = d * (float)scale, dm = m * (float)minimum;
            for (int i = 0; i < 32; i++) {
                int low = run % 2 ? q[i] >> 4 : q[i] & 15;
                out[i] = ds * (float)(low | (h[i] >> run & 1) << 4) - dm;
            }
        }
    }
}

/* | q 128 | h 64 | scales 16 | d 2 |
 * Two halves of 128 elements, each four runs of 32: run r of a half takes bits 0..3 from the low (r < 2) or high nibbles
 * of the half's q[32 (r%2)..], and bits 4..5 from bits 2r.. of its h[0..31].  scales are signed, one for 16 elements.
 * x = (d * scale) * (q - 32) */
static void unpack_q6_k(const void *row, float *out, size_t n)
{
    const unsigned char *block = row;
    for (size_t b = 0; b < n / SUPER; b++, block += 210, out += SUPER) {
        const unsigned char *scales = block + 192;
        float d = load_half(block + 208);
        for (int i = 0; i < SUPER; i++) {
            int half = i / 128, run = i / 32 % 4, byte = block[half * 64 + run % 2 * 32 + i % 32];
            int low = run < 2 ? byte & 15 : byte >> 4;
            int high = block[128 + half * 32 + i % 32] >> (2 * run) & 3;
            out[i] = d * (float)(int8_t)scales[i / 16] * (float)((low | high << 4) - 32);
        }
    }
}

/* | d 2 | high 2 | low 4 | q 128 |
 * Eight runs of 32 with 6-bit scales: bits 0..3 of scale r are the low (r even) or high nibble of low[r/2], bits 4..5 are
 * bits 2r.. of high.  q[16r..] holds run r's nibbles as in Q4_0.   x = (d * (scale - 32)) * values[q] */
static void unpack_iq4_xs(const void *row, float *out, size_t n)
{
    const unsigned char *block = row;
    for (size_t b = 0; b < n / SUPER; b++, block += 136) {
        float d = load_half(block);
        uint16_t high = load_u16(block + 2);
        for (int run = 0; run < 8; run++, out += 32) {
            int low = block[4 + run / 2] >> (run % 2 ? 4 : 0) & 15;
            int scale = (low | (high >> (2 * run) & 3) << 4) - 32;
            unpack_nibbles(block + 8 + 16 * run, nonlinear_values, d * (float)scale, out);
        }
    }
}

/* ---- super-blocks of 256 by codebook: the IQ2 and IQ3 types ----
 *
 * A few elements at once are a row of a grid (quant_grids.h) with their signs and a scale d that several rows share. */

/* What codes of two bits stand for in the grids of the IQ2 types, and nibbles in those of IQ3_XXS and IQ3_S. */
static const uint8_t iq2_values[4] = {8, 25, 43};
static const uint8_t iq3_xxs_values[8] = {4, 12, 20, 28, 36, 44, 52, 62};
static const uint8_t iq3_s_values[8] = {1, 3, 5, 7, 9, 11, 13, 15};

/* One element; bit i of signs is set where it is negative. */
static float signed_element(float d, uint8_t value, unsigned signs, int i)
{
    float magnitude = d * (float)value;
    return signs >> i & 1 ? -magnitude : magnitude;
}

static void unpack_eight(unsigned row, unsigned signs, float d, float *out)
{
    for (int i = 0; i < 8; i++)
        out[i] = signed_element(d, iq2_values[row >> (2 * i) & 3], signs, i);
}

static void unpack_four(const uint8_t values[8], unsigned row, unsigned signs, float d, float *out)
{
    for (int i = 0; i < 4; i++)
        out[i] = signed_element(d, values[row >> (4 * i) & 7], signs, i);
}

/* Seven signs are stored for eight elements: those that are negative are always even in number. */
static unsigned eight_signs(uint32_t stored)
{
    unsigned seven = stored & 127, parity = seven ^ seven >> 4;
    parity ^= parity >> 2;
    parity ^= parity >> 1;
    return seven | (parity & 1) << 7;
}

/* Scale i of those that lie in nibbles, the lower one first. */
static float nibble_scale(const unsigned char *scales, int i)
{
    return (float)(scales[i / 2] >> (i % 2 ? 4 : 0) & 15);
}

/* | d 2 | eight runs of 32 elements: q 4, word 4 |
 * q are numbers of rows; bits 7k..7k+6 of word are the signs of row k, bits 28..31 the scale of the run.
 * x = (d * (0.5 + scale) * 0.25) * value */
static void unpack_iq2_xxs(const void *row, float *out, size_t n)
{
    const unsigned char *block = row;
    for (size_t b = 0; b < n / SUPER; b++, block += 66) {
        float d = load_half(block);
        for (int run = 0; run < 8; run++) {
            const unsigned char *q = block + 2 + 8 * run;
            uint32_t word = load_u32(q + 4);
            float scale = d * (0.5f + (float)(word >> 28)) * 0.25f;
            for (int k = 0; k < 4; k++, out += 8)
                unpack_eight(quant_grid_iq2_xxs[q[k]], eight_signs(word >> (7 * k)), scale, out);
        }
    }
}

/* | d 2 | q 64 | scales 8 |
 * Bits 0..8 of the 16-bit number k of q are the number of row k, bits 9..15 its signs; two rows share a scale.
 * x as in IQ2_XXS */
static void unpack_iq2_xs(const void *row, float *out, size_t n)
{
    const unsigned char *block = row;
    for (size_t b = 0; b < n / SUPER; b++, block += 74) {
        float d = load_half(block);
        for (int k = 0; k < 32; k++, out += 8) {
            unsigned q = load_u16(block + 2 + 2 * k);
            float scale = d * (0.5f + nibble_scale(block + 66, k / 2)) * 0.25f;
            unpack_eight(quant_grid_iq2_xs[q & 511], eight_signs(q >> 9), scale, out);
        }
    }
}

/* | d 2 | q 32 | signs 32 | h 8 | scales 8 |
 * Row k's number: bits 0..7 are q[k], bits 8..9 are bits 2(k%4).. of h[k/4].  x as in IQ2_XS */
static void unpack_iq2_s(const void *row, float *out, size_t n)
{
    const unsigned char *block = row;
    for (size_t b = 0; b < n / SUPER; b++, block += 82) {
        const unsigned char *q = block + 2, *signs = block + 34, *h = block + 66;
        float d = load_half(block);
        for (int k = 0; k < 32; k++, out += 8) {
            unsigned number = q[k] | (unsigned)(h[k / 4] >> (2 * (k % 4)) & 3) << 8;
            float scale = d * (0.5f + nibble_scale(block + 74, k / 2)) * 0.25f;
            unpack_eight(quant_grid_iq2_s[number], signs[k], scale, out);
        }
    }
}

/* | d 2 | q 64 | words 32 |
 * q are numbers of rows of four; word r serves elements 32r..32r+31 as the one of IQ2_XXS does, with signs of two rows each.
 * x = (d * (0.5 + scale) * 0.5) * value */
static void unpack_iq3_xxs(const void *row, float *out, size_t n)
{
    const unsigned char *block = row;
    for (size_t b = 0; b < n / SUPER; b++, block += 98) {
        float d = load_half(block);
        for (int k = 0; k < 64; k++, out += 4) {
            uint32_t word = load_u32(block + 66 + k / 8 * 4);
            unsigned signs = eight_signs(word >> (7 * (k / 2 % 4))) >> (k % 2 * 4);
            float scale = d * (0.5f + (float)(word >> 28)) * 0.5f;
            unpack_four(iq3_xxs_values, quant_grid_iq3_xxs[block[2 + k]], signs, scale, out);
        }
    }
}

/* | d 2 | q 64 | h 8 | signs 32 | scales 4 |
 * Row k's number: bits 0..7 are q[k], bit 8 is bit k%8 of h[k/8]; eight rows share a scale.
 * x = (d * (1 + 2 scale)) * value */
static void unpack_iq3_s(const void *row, float *out, size_t n)
{
    const unsigned char *block = row;
    for (size_t b = 0; b < n / SUPER; b++, block += 110) {
        const unsigned char *q = block + 2, *h = block + 66, *signs = block + 74;
        float d = load_half(block);
        for (int k = 0; k < 64; k++, out += 4) {
            unsigned number = q[k] | (unsigned)(h[k / 8] >> (k % 8) & 1) << 8;
            float scale = d * (1 + 2 * nibble_scale(block + 106, k / 8));
            unpack_four(iq3_s_values, quant_grid_iq3_s[number], signs[k / 2] >> (k % 2 * 4), scale, out);
        }
    }
}

/* ---- the table ---- */

static const struct quant_info quant_table[QUANT_LIMIT] = {
    [QUANT_F32] = {"F32", 1, 4, unpack_f32},
    [QUANT_F16] = {"F16", 1, 2, unpack_f16},
    [QUANT_Q4_0] = {"Q4_0", 32, 18, unpack_q4_0},
    [QUANT_Q4_1] = {"Q4_1", 32, 20, unpack_q4_1},
    [QUANT_Q5_0] = {"Q5_0", 32, 22, unpack_q5_0},
    [QUANT_Q5_1] = {"Q5_1", 32, 24, unpack_q5_1},
    [QUANT_Q8_0] = {"Q8_0", 32, 34, unpack_q8_0},
    [QUANT_Q2_K] = {"Q2_K", 256, 84, unpack_q2_k},
    [QUANT_Q3_K] = {"Q3_K", 256, 110, unpack_q3_k},
    [QUANT_Q4_K] = {"Q4_K", 256, 144, unpack_q4_k},
    [QUANT_Q5_K] = {"Q5_K", 256, 176, unpack_q5_k},
    [QUANT_Q6_K] = {"Q6_K", 256, 210, unpack_q6_k},
    [QUANT_IQ2_XXS] = {"IQ2_XXS", 256, 66, unpack_iq2_xxs},
    [QUANT_IQ2_XS] = {"IQ2_XS", 256, 74, unpack_iq2_xs},
    [QUANT_IQ3_XXS] = {"IQ3_XXS", 256, 98, unpack_iq3_xxs},
    [QUANT_IQ1_S] = {"IQ1_S", 256, 50, NULL},
    [QUANT_IQ4_NL] = {"IQ4_NL", 32, 18, unpack_iq4_nl},
    [QUANT_IQ3_S] = {"IQ3_S", 256, 110, unpack_iq3_s},
    [QUANT_IQ2_S] = {"IQ2_S", 256, 82, unpack_iq2_s},
    [QUANT_IQ4_XS] = {"IQ4_XS", 256, 136, unpack_iq4_xs},
    [QUANT_I8] = {"I8", 1, 1, NULL},
    [QUANT_I16] = {"I16", 1, 2, NULL},
    [QUANT_I32] = {"I32", 1, 4, NULL},
    [QUANT_I64] = {"I64", 1, 8, NULL},
    [QUANT_F64] = {"F64", 1, 8, NULL},
    [QUANT_IQ1_M] = {"IQ1_M", 256, 56, NULL},
    [QUANT_BF16] = {"BF16", 1, 2, unpack_bf16},
    [QUANT_TQ1_0] = {"TQ1_0", 256, 54, NULL},
    [QUANT_TQ2_0] = {"TQ2_0", 256, 66, NULL},
    [QUANT_MXFP4] = {"MXFP4", 32, 17, unpack_mxfp4},
    [QUANT_NVFP4] = {"NVFP4", 64, 36, NULL},
    [QUANT_Q1_0] = {"Q1_0", 128, 18, NULL},
};

const struct quant_info *quant_info(enum quant_type type)
{
    unsigned number = (unsigned)type; /* a type may come straight from a file */
    return number < QUANT_LIMIT && quant_table[number].name ? &quant_table[number] : NULL;
}

static bool same_name(const char *a, const char *b)
{
    /* Not strcasecmp, which follows the user's locale. */
    while (*a && *b) {
        int x = *a >= 'a' && *a <= 'z' ? *a - 32 : *a;
        if (x != *b)
            return false;
        a++;
        b++;
    }
    return *a == *b;
}

bool quant_find(const char *name, enum quant_type *out)
{
    for (unsigned i = 0; i < QUANT_LIMIT; i++) {
        if (quant_table[i].name && same_name(name, quant_table[i].name)) {
            *out = (enum quant_type)i;
            return true;
        }
    }
    return false;
}
