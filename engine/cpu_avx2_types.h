/* cpu_avx2_types: how the blocks of each quantised type become bytes and scales, inlined into the kernels.
 *
 * Weights are read by groups of up to eight blocks of 32: a super-block, or as many blocks as there are.  scales_NAME gives
 * the scales of a group's first n blocks, bytes_NAME the weights of its block k.  Layouts: engine/quant.c. */
#ifndef FATHOM_ENGINE_CPU_AVX2_TYPES_H
#define FATHOM_ENGINE_CPU_AVX2_TYPES_H

#include <immintrin.h>
#include <stdint.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))

/* Loops over a tile's rows, tokens and blocks must vanish, or their accumulators live in memory.  clang does so by itself. */
#if defined(__clang__)
#define UNROLL
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif

enum { GROUP = 8 }; /* blocks */

/* weight = scale · q + min.  Lane k is of block k; lanes beyond the blocks that there are hold 0. */
struct scales {
    __m256 scale, second_scale; /* of weights 0..15 and 16..31 of a block, where they differ */
    __m256 min, second_min;
};

enum type_traits {
    UNSIGNED_BYTES = 0,
    SIGNED_BYTES = 1,
    HAS_MIN = 2,
    TWO_SCALES = 4,
    TWO_MINS = 8, /* else min is that of the whole block */
};

typedef struct scales scales_fn(const unsigned char *p, int n);
typedef __m256i bytes_fn(const unsigned char *p, int k);
#if defined(__AVX512F__)
typedef __m512i pair_fn(const unsigned char *p, int k);
typedef void eight_fn(const unsigned char *p, __m512i out[4]);
#endif

/* What a type is to a kernel, all of it known when it is compiled. */
struct type {
    scales_fn *scales;
    bytes_fn *bytes;
#if defined(__AVX512F__)
    pair_fn *pair;   /* cpu_avx512_types.h */
    eight_fn *eight; /* likewise, or NULL: by pairs */
#endif
    int group_blocks;   /* that one struct of the file holds: 1 or GROUP */
    size_t group_bytes; /* of such a struct */
    int traits;
};

INLINE __m128i load16(const unsigned char *p)
{
    return _mm_loadu_si128((const __m128i *)(const void *)p);
}

INLINE __m256i load32(const unsigned char *p)
{
    return _mm256_loadu_si256((const __m256i *)(const void *)p);
}

INLINE uint16_t load_u16(const unsigned char *p)
{
    uint16_t x;
    memcpy(&x, p, 2);
    return x;
}

INLINE uint32_t load_u32(const unsigned char *p)
{
    uint32_t x;
    memcpy(&x, p, 4);
    return x;
}

INLINE float half_at(const unsigned char *p)
{
    return _cvtsh_ss(load_u16(p));
}

/* ---- types whose blocks stand alone ---- */

/* The 16-bit numbers at p, p + stride, … of n blocks, n known when it is compiled. */
INLINE __m128i shorts(const unsigned char *p, size_t stride, int n)
{
    __m128i h = _mm_cvtsi32_si128(load_u16(p));
    h = n > 1 ? _mm_insert_epi16(h, load_u16(p + stride), 1) : h;
    h = n > 2 ? _mm_insert_epi16(h, load_u16(p + 2 * stride), 2) : h;
    h = n > 3 ? _mm_insert_epi16(h, load_u16(p + 3 * stride), 3) : h;
    h = n > 4 ? _mm_insert_epi16(h, load_u16(p + 4 * stride), 4) : h;
    h = n > 5 ? _mm_insert_epi16(h, load_u16(p + 5 * stride), 5) : h;
    h = n > 6 ? _mm_insert_epi16(h, load_u16(p + 6 * stride), 6) : h;
    return n > 7 ? _mm_insert_epi16(h, load_u16(p + 7 * stride), 7) : h;
}

INLINE __m256 halves(const unsigned char *p, size_t stride, int n)
{
    return _mm256_cvtph_ps(shorts(p, stride, n));
}

/* Four pairs of 16-bit numbers, or as many as there are. */
INLINE __m128i pairs_of_shorts(const unsigned char *p, size_t stride, int n)
{
    __m128i h = _mm_cvtsi32_si128((int)load_u32(p));
    h = n > 1 ? _mm_insert_epi32(h, (int)load_u32(p + stride), 1) : h;
    h = n > 2 ? _mm_insert_epi32(h, (int)load_u32(p + 2 * stride), 2) : h;
    return n > 3 ? _mm_insert_epi32(h, (int)load_u32(p + 3 * stride), 3) : h;
}

/* Types that begin with two halves: the scale and the minimum. */
INLINE struct scales scales_and_minima(const unsigned char *p, size_t stride, int n)
{
    const __m128i apart = _mm_setr_epi8(0, 1, 4, 5, 8, 9, 12, 13, 2, 3, 6, 7, 10, 11, 14, 15);
    __m128i low = _mm_shuffle_epi8(pairs_of_shorts(p, stride, n), apart), high = _mm_setzero_si128();
    if (n > 4)
        high = _mm_shuffle_epi8(pairs_of_shorts(p + 4 * stride, stride, n - 4), apart);
    return (struct scales){.scale = _mm256_cvtph_ps(_mm_unpacklo_epi64(low, high)),
                           .min = _mm256_cvtph_ps(_mm_unpackhi_epi64(low, high))};
}

/* 16 bytes of two nibbles each: the low ones are weights 0..15, the high ones 16..31. */
INLINE __m256i nibbles(const unsigned char *p)
{
    __m256i both = _mm256_broadcastsi128_si256(load16(p));
    __m256i shifted = _mm256_srlv_epi32(both, _mm256_setr_epi32(0, 0, 0, 0, 4, 4, 4, 4));
    return _mm256_and_si256(shifted, _mm256_set1_epi8(15));
}

/* Bit i of bits as bit 4 of byte i. */
INLINE __m256i fifth_bits(uint32_t bits)
{
    const __m256i byte_of = _mm256_setr_epi64x(0, 0x0101010101010101, 0x0202020202020202, 0x0303030303030303);
    const __m256i bit_of = _mm256_set1_epi64x((long long)0x8040201008040201);
    __m256i spread = _mm256_shuffle_epi8(_mm256_set1_epi32((int)bits), byte_of);
    __m256i set = _mm256_cmpeq_epi8(_mm256_and_si256(spread, bit_of), bit_of);
    return _mm256_and_si256(set, _mm256_set1_epi8(16));
}

INLINE struct scales scales_q8_0(const unsigned char *p, int n)
{
    return (struct scales){.scale = halves(p, 34, n)};
}

INLINE __m256i bytes_q8_0(const unsigned char *p, int k)
{
    return load32(p + k * 34 + 2);
}

INLINE struct scales scales_q4_0(const unsigned char *p, int n)
{
    __m256 scale = halves(p, 18, n);
    return (struct scales){.scale = scale, .min = _mm256_mul_ps(scale, _mm256_set1_ps(-8))};
}

INLINE __m256i bytes_q4_0(const unsigned char *p, int k)
{
    return nibbles(p + k * 18 + 2);
}

INLINE struct scales scales_q4_1(const unsigned char *p, int n)
{
    return scales_and_minima(p, 20, n);
}

INLINE __m256i bytes_q4_1(const unsigned char *p, int k)
{
    return nibbles(p + k * 20 + 4);
}

INLINE struct scales scales_q5_0(const unsigned char *p, int n)
{
    __m256 scale = halves(p, 22, n);
    return (struct scales){.scale = scale, .min = _mm256_mul_ps(scale, _mm256_set1_ps(-16))};
}

INLINE __m256i bytes_q5_0(const unsigned char *p, int k)
{
    return _mm256_or_si256(nibbles(p + k * 22 + 6), fifth_bits(load_u32(p + k * 22 + 2)));
}

INLINE struct scales scales_q5_1(const unsigned char *p, int n)
{
    return scales_and_minima(p, 24, n);
}

INLINE __m256i bytes_q5_1(const unsigned char *p, int k)
{
    return _mm256_or_si256(nibbles(p + k * 24 + 8), fifth_bits(load_u32(p + k * 24 + 4)));
}

/* What the nibbles of table stand for, in each half of a block. */
INLINE __m256i looked_up(__m128i table, __m256i nibble)
{
    return _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(table), nibble);
}

INLINE __m128i values_iq4_nl(void)
{
    return _mm_setr_epi8(-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113);
}

INLINE struct scales scales_iq4_nl(const unsigned char *p, int n)
{
    return (struct scales){.scale = halves(p, 18, n)};
}

INLINE __m256i bytes_iq4_nl(const unsigned char *p, int k)
{
    return looked_up(values_iq4_nl(), nibbles(p + k * 18 + 2));
}

/* The scale is a power of two, 2^(e - 127), and the values are halves of those in the table: 2^(e - 128), of which e = 0
 * and 1 are not normal. */
INLINE struct scales scales_mxfp4(const unsigned char *p, int n)
{
    uint32_t bits[GROUP] = {0};
    for (int k = 0; k < n; k++) {
        uint32_t e = p[k * 17];
        bits[k] = e < 2 ? (uint32_t)0x200000 << e : (e - 1) << 23;
    }
    return (struct scales){.scale = _mm256_loadu_ps((const float *)(const void *)bits)};
}

INLINE __m128i values_mxfp4(void)
{
    return _mm_setr_epi8(0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12);
}

INLINE __m256i bytes_mxfp4(const unsigned char *p, int k)
{
    return looked_up(values_mxfp4(), nibbles(p + k * 17 + 1));
}

/* ---- super-blocks of eight ---- */

/* 16 signed bytes, two for each block, times a factor.  zero: what q counts as 0. */
INLINE struct scales pairs_of_scales(__m128i bytes, float factor, float zero)
{
    const __m128i by_half = _mm_setr_epi8(0, 2, 4, 6, 8, 10, 12, 14, 1, 3, 5, 7, 9, 11, 13, 15);
    __m128i sorted = _mm_shuffle_epi8(bytes, by_half);
    __m256 all = _mm256_set1_ps(factor);
    __m256 first = _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(sorted));
    __m256 second = _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_srli_si128(sorted, 8)));
    first = _mm256_mul_ps(first, all);
    second = _mm256_mul_ps(second, all);
    return (struct scales){.scale = first,
                           .second_scale = second,
                           .min = _mm256_mul_ps(first, _mm256_set1_ps(-zero)),
                           .second_min = _mm256_mul_ps(second, _mm256_set1_ps(-zero))};
}

/* Two halves for all, then 6-bit scales and minima in 12 bytes: blocks 0..3 have them whole in the low bits of bytes 0..3
 * and 4..7; blocks 4..7 have their low nibbles in bytes 8..11 and their high pairs above those of blocks 0..3. */
INLINE struct scales scales_q4_k(const unsigned char *p, int n)
{
    (void)n;
    __m128i all = load16(p); /* 32 bits each: the halves, scales, minima, what blocks 4..7 have of their own */
    __m128i whole = _mm_and_si128(_mm_srli_si128(all, 4), _mm_set1_epi8(63));
    __m128i low = _mm_srlv_epi32(_mm_shuffle_epi32(all, 0xff), _mm_setr_epi32(0, 4, 0, 0));
    __m128i high = _mm_srli_epi16(_mm_srli_si128(all, 4), 2);
    __m128i split = _mm_or_si128(_mm_and_si128(low, _mm_set1_epi8(15)), _mm_and_si128(high, _mm_set1_epi8(0x30)));
    __m128i sorted = _mm_unpacklo_epi32(whole, split); /* eight scales, eight minima */
    __m128 factors = _mm_cvtph_ps(all);
    __m256 scale = _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(sorted));
    __m256 min = _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_srli_si128(sorted, 8)));
    return (struct scales){
        .scale = _mm256_mul_ps(scale, _mm256_broadcastss_ps(factors)),
        .min = _mm256_mul_ps(min, _mm256_broadcastss_ps(_mm_xor_ps(_mm_movehdup_ps(factors), _mm_set1_ps(-0.0f)))),
    };
}

/* Nibbles: blocks 2j and 2j + 1 are the low and the high ones of bytes 32j.. */
INLINE __m256i nibbles_of(const unsigned char *q, int k)
{
    __m256i both = load32(q + k / 2 * 32);
    return _mm256_and_si256(k % 2 ? _mm256_srli_epi16(both, 4) : both, _mm256_set1_epi8(15));
}

INLINE __m256i bytes_q4_k(const unsigned char *p, int k)
{
    return nibbles_of(p + 16, k);
}

INLINE struct scales scales_q5_k(const unsigned char *p, int n)
{
    return scales_q4_k(p, n);
}

/* Bit `from` of every byte, moved to bit `to`; both known when it is compiled. */
INLINE __m256i moved_bits(__m256i bytes, int from, int to, char mask)
{
    __m256i moved = from > to ? _mm256_srli_epi16(bytes, from - to) : _mm256_slli_epi16(bytes, to - from);
    return _mm256_and_si256(moved, _mm256_set1_epi8(mask));
}

/* 32 bytes before the nibbles: bit k of byte i is the fifth bit of weight i of block k. */
INLINE __m256i bytes_q5_k(const unsigned char *p, int k)
{
    return _mm256_or_si256(nibbles_of(p + 48, k), moved_bits(load32(p + 16), k, 4, 16));
}

/* 128 bytes of low nibbles, 64 of high pairs, 16 signed scales of 16 weights each, the scale of all. */
INLINE struct scales scales_q6_k(const unsigned char *p, int n)
{
    (void)n;
    return pairs_of_scales(load16(p + 192), half_at(p + 208), 32);
}

/* In each half of 128 weights, block k takes the low (k < 2) or high nibbles of bytes 32 · (k mod 2).. and bits 2k of the
 * half's 32 bytes of pairs.  All count from 32. */
INLINE __m256i bytes_q6_k(const unsigned char *p, int k)
{
    __m256i nibble = load32(p + k / 4 * 64 + k % 2 * 32);
    nibble = _mm256_and_si256(k % 4 < 2 ? nibble : _mm256_srli_epi16(nibble, 4), _mm256_set1_epi8(15));
    __m256i pair = moved_bits(load32(p + 128 + k / 4 * 32), k % 4 * 2, 4, 0x30);
    return _mm256_or_si256(nibble, pair);
}

/* 16 bytes of a nibble of scale and one of minimum for 16 weights each, 64 of pairs, two halves. */
INLINE struct scales scales_q2_k(const unsigned char *p, int n)
{
    (void)n;
    __m128i both = load16(p), nibble = _mm_set1_epi8(15);
    struct scales s = pairs_of_scales(_mm_and_si128(both, nibble), half_at(p + 80), 0);
    struct scales m = pairs_of_scales(_mm_and_si128(_mm_srli_epi16(both, 4), nibble), -half_at(p + 82), 0);
    s.min = m.scale;
    s.second_min = m.second_scale;
    return s;
}

/* In each half of 128 weights, block k is bits 2k of the half's 32 bytes. */
INLINE __m256i bytes_q2_k(const unsigned char *p, int k)
{
    return moved_bits(load32(p + 16 + k / 4 * 32), k % 4 * 2, 0, 3);
}

/* 6-bit scales less 32: nibbles in bytes 96..103, low ones of scales 0..7, high ones of 8..15; pairs in bytes 104..107, bits
 * 2j of byte i of scale 4j + i. */
INLINE struct scales scales_q3_k(const unsigned char *p, int n)
{
    (void)n;
    uint32_t a[3];
    memcpy(a, p + 96, 12);
    const uint32_t four = 0x0f0f0f0f, two = 0x03030303;
    __m128i packed = _mm_setr_epi32(
        (int)((a[0] & four) | (a[2] & two) << 4), (int)((a[1] & four) | (a[2] >> 2 & two) << 4),
        (int)((a[0] >> 4 & four) | (a[2] >> 4 & two) << 4), (int)((a[1] >> 4 & four) | (a[2] >> 6 & two) << 4));
    return pairs_of_scales(_mm_sub_epi8(packed, _mm_set1_epi8(32)), half_at(p + 108), 4);
}

/* Pairs as in Q2_K; bit k of byte i of the first 32 is the third bit of weight i of block k.  All count from 4. */
INLINE __m256i bytes_q3_k(const unsigned char *p, int k)
{
    __m256i pair = moved_bits(load32(p + 32 + k / 4 * 32), k % 4 * 2, 0, 3);
    return _mm256_or_si256(pair, moved_bits(load32(p), k, 2, 4));
}

/* A half for all, 16 bits of high pairs, four bytes of low nibbles of the 6-bit scales, which are less 32. */
INLINE struct scales scales_iq4_xs(const unsigned char *p, int n)
{
    (void)n;
    const __m256i low_at = _mm256_setr_epi32(0, 4, 8, 12, 16, 20, 24, 28);
    const __m256i high_at = _mm256_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14);
    __m256i low =
        _mm256_and_si256(_mm256_srlv_epi32(_mm256_set1_epi32((int)load_u32(p + 4)), low_at), _mm256_set1_epi32(15));
    __m256i high =
        _mm256_and_si256(_mm256_srlv_epi32(_mm256_set1_epi32(load_u16(p + 2)), high_at), _mm256_set1_epi32(3));
    __m256i whole = _mm256_sub_epi32(_mm256_or_si256(low, _mm256_slli_epi32(high, 4)), _mm256_set1_epi32(32));
    return (struct scales){.scale = _mm256_mul_ps(_mm256_cvtepi32_ps(whole), _mm256_set1_ps(half_at(p)))};
}

INLINE __m256i bytes_iq4_xs(const unsigned char *p, int k)
{
    return looked_up(values_iq4_nl(), nibbles(p + 8 + k * 16));
}

#endif
