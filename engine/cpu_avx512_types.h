/* cpu_avx512_types: two blocks of 32 weights as one vector of 64 unsigned bytes, in their order: how each type is unpacked
 * with AVX-512.  pair_NAME takes blocks k and k + 1 (k even) of the group at p.  Types whose bytes are signed become unsigned
 * by 128 more, which their minimum takes back.  Layouts: cpu_avx2_types.h.
 *
 * eight_NAME takes a whole group as four vectors: quadword p of vector i has the weights 8i.. + 7 of block p. */
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

/* ---- eight blocks ---- */

/* Four pairs of blocks in their order, as four vectors of eights. */
INLINE void by_eights(const __m512i pair[4], __m512i out[4])
{
    const __m512i even = _mm512_setr_epi64(0, 4, 8, 12, 1, 5, 9, 13),
                  odd = _mm512_setr_epi64(2, 6, 10, 14, 3, 7, 11, 15);
    /* Blocks 0..3 and 4..7: their quadwords 0 and 1, 2 and 3. */
    __m512i a = _mm512_permutex2var_epi64(pair[0], even, pair[1]), b = _mm512_permutex2var_epi64(pair[0], odd, pair[1]);
    __m512i c = _mm512_permutex2var_epi64(pair[2], even, pair[3]), d = _mm512_permutex2var_epi64(pair[2], odd, pair[3]);
    out[0] = _mm512_shuffle_i64x2(a, c, 0x44);
    out[1] = _mm512_shuffle_i64x2(a, c, 0xee);
    out[2] = _mm512_shuffle_i64x2(b, d, 0x44);
    out[3] = _mm512_shuffle_i64x2(b, d, 0xee);
}

/* Q4_K, Q5_K: quadword i of 32 bytes j, twice for each j, its low and its high nibbles. */
INLINE void eight_nibbles(const unsigned char *q, __m512i out[4])
{
    __m512i low = _mm512_loadu_si512(q), high = _mm512_loadu_si512(q + 64);
    const __m512i by = _mm512_setr_epi64(0, 4, 0, 4, 0, 4, 0, 4);
    UNROLL
    for (int i = 0; i < 4; i++) {
        const __m512i from = _mm512_setr_epi64(i, i, 4 + i, 4 + i, 8 + i, 8 + i, 12 + i, 12 + i);
        out[i] = low_nibbles(_mm512_srlv_epi64(_mm512_permutex2var_epi64(low, from, high), by));
    }
}

INLINE void eight_q4_k(const unsigned char *p, __m512i out[4])
{
    eight_nibbles(p + 16, out);
}

INLINE void eight_q5_k(const unsigned char *p, __m512i out[4])
{
    const __m512i turns = _mm512_setr_epi64(60, 61, 62, 63, 0, 1, 2, 3); /* bit p to bit 4 */
    eight_nibbles(p + 48, out);
    UNROLL
    for (int i = 0; i < 4; i++) {
        long long bits;
        memcpy(&bits, p + 16 + i * 8, sizeof bits);
        __m512i fifth = _mm512_rorv_epi64(_mm512_set1_epi64(bits), turns);
        out[i] = _mm512_or_si512(out[i], _mm512_and_si512(fifth, _mm512_set1_epi8(16)));
    }
}

/* Blocks 4h + k: nibbles of bytes 64h + 32 · (k mod 2).., low ones where k < 2; bits 2k of the half's 32 bytes of pairs. */
INLINE void eight_q6_k(const unsigned char *p, __m512i out[4])
{
    __m512i low = _mm512_loadu_si512(p), high = _mm512_loadu_si512(p + 64), pairs = _mm512_loadu_si512(p + 128);
    const __m512i by = _mm512_setr_epi64(0, 0, 4, 4, 0, 0, 4, 4);
    const __m512i turns = _mm512_setr_epi64(60, 62, 0, 2, 60, 62, 0, 2); /* bits 2k to bits 4 and 5 */
    UNROLL
    for (int i = 0; i < 4; i++) {
        const __m512i from = _mm512_setr_epi64(i, 4 + i, i, 4 + i, 8 + i, 12 + i, 8 + i, 12 + i);
        const __m512i pair_from = _mm512_setr_epi64(i, i, i, i, 4 + i, 4 + i, 4 + i, 4 + i);
        __m512i nibble = low_nibbles(_mm512_srlv_epi64(_mm512_permutex2var_epi64(low, from, high), by));
        __m512i pair = _mm512_rorv_epi64(_mm512_permutexvar_epi64(pair_from, pairs), turns);
        out[i] = _mm512_or_si512(nibble, _mm512_and_si512(pair, _mm512_set1_epi8(0x30)));
    }
}

/* 16 bytes at p, p + stride, ... of four blocks. */
INLINE __m512i four_at(const unsigned char *p, size_t stride)
{
    __m256i low = _mm256_setr_m128i(load16(p), load16(p + stride));
    return two_halves(low, _mm256_setr_m128i(load16(p + 2 * stride), load16(p + 3 * stride)));
}

/* Eight blocks of 16 bytes of nibbles: the low ones are weights 0..15. */
INLINE void eight_blocks_of_nibbles(const unsigned char *p, size_t stride, __m512i out[4])
{
    __m512i a = four_at(p, stride), b = four_at(p + 4 * stride, stride);
    __m512i first = _mm512_permutex2var_epi64(a, _mm512_setr_epi64(0, 2, 4, 6, 8, 10, 12, 14), b);
    __m512i second = _mm512_permutex2var_epi64(a, _mm512_setr_epi64(1, 3, 5, 7, 9, 11, 13, 15), b);
    out[0] = low_nibbles(first);
    out[1] = low_nibbles(second);
    out[2] = low_nibbles(_mm512_srli_epi16(first, 4));
    out[3] = low_nibbles(_mm512_srli_epi16(second, 4));
}

INLINE void eight_q4_0(const unsigned char *p, __m512i out[4])
{
    eight_blocks_of_nibbles(p + 2, 18, out);
}

INLINE void eight_q4_1(const unsigned char *p, __m512i out[4])
{
    eight_blocks_of_nibbles(p + 4, 20, out);
}

INLINE void eight_iq4_nl(const unsigned char *p, __m512i out[4])
{
    eight_blocks_of_nibbles(p + 2, 18, out);
    UNROLL
    for (int i = 0; i < 4; i++)
        out[i] = pair_looked_up(values_iq4_nl(), out[i]);
}

/* The others go by pairs. */
#define eight_q8_0   NULL
#define eight_q5_0   NULL
#define eight_q5_1   NULL
#define eight_mxfp4  NULL
#define eight_q2_k   NULL
#define eight_q3_k   NULL
#define eight_iq4_xs NULL

#endif
