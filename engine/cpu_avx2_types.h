/* cpu_avx2_types: how the blocks of each quantised type become 16-bit numbers and scales, inlined into the AVX2 kernels.
 *
 * Weights come in groups: one block of 32, or a super-block of eight of them.  group_NAME gives the scales of a group's
 * blocks, words_NAME the weights of its block k.  Layouts: engine/quant.c. */
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

/* weight = scale · q + min.  Lane k is of block k; a group of one block has lane 0 alone. */
struct group {
    __m256 scale, second_scale; /* of weights 0..15 and 16..31 of a block, where they differ */
    __m256 min;
};

struct words32 {
    __m256i first, second; /* weights 0..15 and 16..31 of a block in order, signed */
};

typedef struct group group_fn(const unsigned char *p);
typedef struct words32 words_fn(const unsigned char *p, int k);

enum type_traits { PLAIN_SCALE = 0, HAS_MIN = 1, TWO_SCALES = 2 };

INLINE float half_at(const unsigned char *p)
{
    uint16_t half;
    memcpy(&half, p, 2);
    return _cvtsh_ss(half);
}

INLINE __m128i load16(const unsigned char *p)
{
    return _mm_loadu_si128((const __m128i *)(const void *)p);
}

INLINE __m256 lane0(float x)
{
    return _mm256_castps128_ps256(_mm_set_ss(x));
}

/* ---- one block ---- */

INLINE struct group group_q8_0(const unsigned char *p)
{
    return (struct group){.scale = lane0(half_at(p))};
}

INLINE struct words32 words_q8_0(const unsigned char *p, int k)
{
    (void)k;
    return (struct words32){_mm256_cvtepi8_epi16(load16(p + 2)), _mm256_cvtepi8_epi16(load16(p + 18))};
}

/* 16 bytes of two nibbles each: the low ones are weights 0..15, the high ones 16..31. */
INLINE struct words32 nibbles(const unsigned char *p)
{
    __m256i both = _mm256_cvtepu8_epi16(load16(p));
    return (struct words32){_mm256_and_si256(both, _mm256_set1_epi16(15)), _mm256_srli_epi16(both, 4)};
}

INLINE struct group group_q4_0(const unsigned char *p)
{
    float scale = half_at(p);
    return (struct group){.scale = lane0(scale), .min = lane0(-8.0f * scale)};
}

INLINE struct words32 words_q4_0(const unsigned char *p, int k)
{
    (void)k;
    return nibbles(p + 2);
}

INLINE struct group group_q4_1(const unsigned char *p)
{
    return (struct group){.scale = lane0(half_at(p)), .min = lane0(half_at(p + 2))};
}

INLINE struct words32 words_q4_1(const unsigned char *p, int k)
{
    (void)k;
    return nibbles(p + 4);
}

/* 16 bits as the fifth bits of 16 weights. */
INLINE __m256i fifth_bits(uint32_t bits)
{
    const __m256i each =
        _mm256_setr_epi16(1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, -32768);
    __m256i set = _mm256_cmpeq_epi16(_mm256_and_si256(_mm256_set1_epi16((short)(uint16_t)bits), each), each);
    return _mm256_and_si256(set, _mm256_set1_epi16(16));
}

INLINE struct words32 fives(const unsigned char *bits, const unsigned char *p)
{
    uint32_t high;
    memcpy(&high, bits, 4);
    struct words32 w = nibbles(p);
    w.first = _mm256_or_si256(w.first, fifth_bits(high));
    w.second = _mm256_or_si256(w.second, fifth_bits(high >> 16));
    return w;
}

INLINE struct group group_q5_0(const unsigned char *p)
{
    float scale = half_at(p);
    return (struct group){.scale = lane0(scale), .min = lane0(-16.0f * scale)};
}

INLINE struct words32 words_q5_0(const unsigned char *p, int k)
{
    (void)k;
    return fives(p + 2, p + 6);
}

INLINE struct group group_q5_1(const unsigned char *p)
{
    return group_q4_1(p);
}

INLINE struct words32 words_q5_1(const unsigned char *p, int k)
{
    (void)k;
    return fives(p + 4, p + 8);
}

/* ---- super-blocks of eight ---- */

INLINE __m256 floats_of_bytes(uint32_t low, uint32_t high)
{
    return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_cvtsi64_si128((long long)((uint64_t)high << 32 | low))));
}

/* Two halves for all, then 6-bit scales and minima in 12 bytes: blocks 0..3 have them whole in the low bits of bytes 0..3
 * and 4..7; blocks 4..7 have their low nibbles in bytes 8..11 and their high pairs above those of blocks 0..3. */
INLINE struct group group_q4_k(const unsigned char *p)
{
    uint32_t a[3];
    memcpy(a, p + 4, 12);
    const uint32_t six = 0x3f3f3f3f, four = 0x0f0f0f0f, two = 0x03030303;
    __m256 scale = floats_of_bytes(a[0] & six, (a[2] & four) | (a[0] >> 6 & two) << 4);
    __m256 min = floats_of_bytes(a[1] & six, (a[2] >> 4 & four) | (a[1] >> 6 & two) << 4);
    return (struct group){.scale = _mm256_mul_ps(scale, _mm256_set1_ps(half_at(p))),
                          .min = _mm256_mul_ps(min, _mm256_set1_ps(-half_at(p + 2)))};
}

/* Nibbles: blocks 2j and 2j + 1 are the low and the high ones of bytes 32j.. */
INLINE struct words32 nibbles_of(const unsigned char *q, int k)
{
    __m256i first = _mm256_cvtepu8_epi16(load16(q + k / 2 * 32)),
            second = _mm256_cvtepu8_epi16(load16(q + k / 2 * 32 + 16));
    if (k % 2)
        return (struct words32){_mm256_srli_epi16(first, 4), _mm256_srli_epi16(second, 4)};
    const __m256i mask = _mm256_set1_epi16(15);
    return (struct words32){_mm256_and_si256(first, mask), _mm256_and_si256(second, mask)};
}

INLINE struct words32 words_q4_k(const unsigned char *p, int k)
{
    return nibbles_of(p + 16, k);
}

INLINE struct group group_q5_k(const unsigned char *p)
{
    return group_q4_k(p);
}

/* 32 bytes before the nibbles: bit k of byte i is the fifth bit of weight i of block k. */
INLINE struct words32 words_q5_k(const unsigned char *p, int k)
{
    struct words32 w = nibbles_of(p + 48, k);
    const __m256i bit = _mm256_set1_epi16((short)(1 << k)), sixteen = _mm256_set1_epi16(16);
    __m256i first = _mm256_and_si256(_mm256_cvtepu8_epi16(load16(p + 16)), bit);
    __m256i second = _mm256_and_si256(_mm256_cvtepu8_epi16(load16(p + 32)), bit);
    w.first = _mm256_or_si256(w.first, _mm256_and_si256(_mm256_cmpeq_epi16(first, bit), sixteen));
    w.second = _mm256_or_si256(w.second, _mm256_and_si256(_mm256_cmpeq_epi16(second, bit), sixteen));
    return w;
}

/* 128 bytes of low nibbles, 64 of high pairs, 16 signed scales of 16 weights each, the scale of all. */
INLINE struct group group_q6_k(const unsigned char *p)
{
    __m128i scales = load16(p + 192);
    const __m128i by_half = _mm_setr_epi8(0, 2, 4, 6, 8, 10, 12, 14, 1, 3, 5, 7, 9, 11, 13, 15);
    __m128i sorted = _mm_shuffle_epi8(scales, by_half);
    __m256 all = _mm256_set1_ps(half_at(p + 208));
    __m256 first = _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(sorted));
    __m256 second = _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_srli_si128(sorted, 8)));
    return (struct group){.scale = _mm256_mul_ps(first, all), .second_scale = _mm256_mul_ps(second, all)};
}

/* In each half of 128 weights, block k takes the low (k < 2) or high nibbles of bytes 32 · (k mod 2).. and bits 2k of the
 * half's 32 bytes of pairs. */
INLINE struct words32 words_q6_k(const unsigned char *p, int k)
{
    const unsigned char *low = p + k / 4 * 64 + k % 2 * 32, *high = p + 128 + k / 4 * 32;
    const __m256i four = _mm256_set1_epi8(15), two = _mm256_set1_epi8(0x30);
    __m256i nibble = _mm256_loadu_si256((const __m256i *)(const void *)low);
    __m256i pair = _mm256_loadu_si256((const __m256i *)(const void *)high);
    nibble = _mm256_and_si256(k % 4 < 2 ? nibble : _mm256_srli_epi16(nibble, 4), four);
    pair = k % 4 == 0   ? _mm256_slli_epi16(pair, 4)
           : k % 4 == 1 ? _mm256_slli_epi16(pair, 2)
           : k % 4 == 2 ? pair
                        : _mm256_srli_epi16(pair, 2);
    __m256i q = _mm256_sub_epi8(_mm256_or_si256(nibble, _mm256_and_si256(pair, two)), _mm256_set1_epi8(32));
    return (struct words32){_mm256_cvtepi8_epi16(_mm256_castsi256_si128(q)),
                            _mm256_cvtepi8_epi16(_mm256_extracti128_si256(q, 1))};
}

#endif
