/* cpu_avx512_types: two blocks of 32 weights as one vector of 64 unsigned bytes, in their order: how each type is unpacked
 * with AVX-512.  pair_NAME takes blocks k and k + 1 (k even) of the group at p.  Types whose bytes are signed become unsigned
 * by 128 more, which their minimum takes back.  Layouts: cpu_avx2_types.h. */
#ifndef FATHOM_ENGINE_CPU_AVX512_TYPES_H
#define FATHOM_ENGINE_CPU_AVX512_TYPES_H

#include "engine/cpu_avx2_types.h"

INLINE __m512i two_halves(__m256i low, __m256i high)
{
    return _mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1);
}

/* `low` in the first half of the 32-bit lanes, `high` in the other. */
INLINE __m512i two_counts(int low, int high)
{
    return two_halves(_mm256_set1_epi32(low), _mm256_set1_epi32(high));
}

INLINE __m512i twice(__m256i v)
{
    return _mm512_broadcast_i64x4(v);
}

INLINE __m512i low_nibbles(__m512i v)
{
    return _mm512_and_si512(v, _mm512_set1_epi8(15));
}

/* Two blocks of 16 bytes of nibbles: low ones first. */
INLINE __m512i pair_of_nibbles(const unsigned char *first, const unsigned char *second)
{
    __m512i both = two_halves(_mm256_broadcastsi128_si256(load16(first)), _mm256_broadcastsi128_si256(load16(second)));
    const __m512i by = _mm512_setr_epi32(0, 0, 0, 0, 4, 4, 4, 4, 0, 0, 0, 0, 4, 4, 4, 4);
    return low_nibbles(_mm512_srlv_epi32(both, by));
}

/* Adds 16 where a block's bit is set. */
INLINE __m512i with_fifth_bits(__m512i v, uint32_t first, uint32_t second)
{
    return _mm512_mask_add_epi8(v, (uint64_t)second << 32 | first, v, _mm512_set1_epi8(16));
}

INLINE __m512i pair_q8_0(const unsigned char *p, int k)
{
    return _mm512_xor_si512(two_halves(load32(p + k * 34 + 2), load32(p + k * 34 + 36)), _mm512_set1_epi8(-128));
}

INLINE __m512i pair_q4_0(const unsigned char *p, int k)
{
    return pair_of_nibbles(p + k * 18 + 2, p + k * 18 + 20);
}

INLINE __m512i pair_q4_1(const unsigned char *p, int k)
{
    return pair_of_nibbles(p + k * 20 + 4, p + k * 20 + 24);
}

INLINE __m512i pair_q5_0(const unsigned char *p, int k)
{
    p += k * 22;
    return with_fifth_bits(pair_of_nibbles(p + 6, p + 28), load_u32(p + 2), load_u32(p + 24));
}

INLINE __m512i pair_q5_1(const unsigned char *p, int k)
{
    p += k * 24;
    return with_fifth_bits(pair_of_nibbles(p + 8, p + 32), load_u32(p + 4), load_u32(p + 28));
}

/* What the nibbles of table, signed, stand for; 128 more. */
INLINE __m512i pair_looked_up(__m128i table, __m512i nibble)
{
    __m128i unsigned_table = _mm_xor_si128(table, _mm_set1_epi8(-128));
    return _mm512_shuffle_epi8(twice(_mm256_broadcastsi128_si256(unsigned_table)), nibble);
}

INLINE __m512i pair_iq4_nl(const unsigned char *p, int k)
{
    return pair_looked_up(values_iq4_nl(), pair_q4_0(p, k));
}

INLINE __m512i pair_mxfp4(const unsigned char *p, int k)
{
    return pair_looked_up(values_mxfp4(), pair_of_nibbles(p + k * 17 + 1, p + k * 17 + 18));
}

INLINE __m512i pair_iq4_xs(const unsigned char *p, int k)
{
    return pair_looked_up(values_iq4_nl(), pair_of_nibbles(p + 8 + k * 16, p + 24 + k * 16));
}

/* Of 32 bytes: bit `first` of each byte, moved to bit `to`, for the first block; bit `second` for the other.  To turn each
 * lane round moves the bits of other bytes, too, but none of them to where the mask looks. */
INLINE __m512i pair_moved_bits(__m256i bytes, int first, int second, int to, char mask)
{
    __m512i turned = _mm512_rorv_epi32(twice(bytes), two_counts((first - to) & 31, (second - to) & 31));
    return _mm512_and_si512(turned, _mm512_set1_epi8(mask));
}

INLINE __m512i pair_q4_k(const unsigned char *p, int k)
{
    return low_nibbles(_mm512_srlv_epi32(twice(load32(p + 16 + k / 2 * 32)), two_counts(0, 4)));
}

INLINE __m512i pair_q5_k(const unsigned char *p, int k)
{
    __m512i nibble = low_nibbles(_mm512_srlv_epi32(twice(load32(p + 48 + k / 2 * 32)), two_counts(0, 4)));
    return _mm512_or_si512(nibble, pair_moved_bits(load32(p + 16), k, k + 1, 4, 16));
}

INLINE __m512i pair_q6_k(const unsigned char *p, int k)
{
    __m512i nibble = _mm512_loadu_si512(p + k / 4 * 64);
    nibble = low_nibbles(k % 4 < 2 ? nibble : _mm512_srli_epi16(nibble, 4));
    int from = k % 4 * 2;
    return _mm512_or_si512(nibble, pair_moved_bits(load32(p + 128 + k / 4 * 32), from, from + 2, 4, 0x30));
}

INLINE __m512i pair_q2_k(const unsigned char *p, int k)
{
    int from = k % 4 * 2;
    return pair_moved_bits(load32(p + 16 + k / 4 * 32), from, from + 2, 0, 3);
}

INLINE __m512i pair_q3_k(const unsigned char *p, int k)
{
    int from = k % 4 * 2;
    __m512i low = pair_moved_bits(load32(p + 32 + k / 4 * 32), from, from + 2, 0, 3);
    return _mm512_or_si512(low, pair_moved_bits(load32(p), k, k + 1, 2, 4));
}

#endif
