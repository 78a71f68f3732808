/* wide_on_avx2: the kernels of cpu_avx512_vnni.c on a CPU that has AVX2 alone, so that their text is tested anywhere.
 *
 * Each AVX-512 instruction that they use is written here by what Intel's manual says it does: on two halves of 256 bits, or
 * lane by lane. */
#include "tests/wide_on_avx2.h"

#if defined(__AVX2__) && defined(__FMA__) && defined(__F16C__)

#include <immintrin.h>
#include <stdint.h>
#include <string.h>

#define __AVX512F__             1
#define __AVX512BW__            1
#define __AVX512VL__            1
#define __AVX512DQ__            1
#define __AVX512VNNI__          1
#define cpu_avx512_vnni_kernels cpu_wide_kernels
#define cpu_has_avx512_vnni     cpu_has_avx2

struct wide_floats {
    __m256 half[2];
};

struct wide_ints {
    __m256i half[2];
};

#define EMULATED static inline __attribute__((always_inline))

/* What goes lane by lane: called, or compiling takes minutes. */
#define BY_LANES static __attribute__((noinline))

#define __m512  struct wide_floats
#define __m512i struct wide_ints

#define FLOATS_OF_TWO(name, narrow)                                                                                    \
    EMULATED __m512 wide_##name(__m512 a, __m512 b)                                                                    \
    {                                                                                                                  \
        return (__m512){{narrow(a.half[0], b.half[0]), narrow(a.half[1], b.half[1])}};                                 \
    }
FLOATS_OF_TWO(add_ps, _mm256_add_ps)
FLOATS_OF_TWO(sub_ps, _mm256_sub_ps)
FLOATS_OF_TWO(mul_ps, _mm256_mul_ps)
FLOATS_OF_TWO(div_ps, _mm256_div_ps)
FLOATS_OF_TWO(max_ps, _mm256_max_ps)
FLOATS_OF_TWO(min_ps, _mm256_min_ps)
#define _mm512_add_ps wide_add_ps
#define _mm512_sub_ps wide_sub_ps
#define _mm512_mul_ps wide_mul_ps
#define _mm512_div_ps wide_div_ps
#define _mm512_max_ps wide_max_ps
#define _mm512_min_ps wide_min_ps

EMULATED __m512 wide_set1_ps(float x)
{
    return (__m512){{_mm256_set1_ps(x), _mm256_set1_ps(x)}};
}
#define _mm512_set1_ps      wide_set1_ps
#define _mm512_setzero_ps() wide_set1_ps(0)

EMULATED __m512 wide_loadu_ps(const float *p)
{
    return (__m512){{_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}};
}
#define _mm512_loadu_ps wide_loadu_ps

EMULATED void wide_storeu_ps(float *p, __m512 v)
{
    _mm256_storeu_ps(p, v.half[0]);
    _mm256_storeu_ps(p + 8, v.half[1]);
}
#define _mm512_storeu_ps wide_storeu_ps

EMULATED __m512 wide_fmadd_ps(__m512 a, __m512 b, __m512 c)
{
    return (__m512){
        {_mm256_fmadd_ps(a.half[0], b.half[0], c.half[0]), _mm256_fmadd_ps(a.half[1], b.half[1], c.half[1])}};
}
#define _mm512_fmadd_ps wide_fmadd_ps

/* The immediate's upper four bits are the number of binary places to keep, its lower four the way to round: here none and
 * to the nearest, without exceptions. */
#undef _mm512_roundscale_ps
#define _mm512_roundscale_ps(v, immediate)                                                                             \
    ((__m512){{_mm256_round_ps((v).half[0], immediate), _mm256_round_ps((v).half[1], immediate)}})

/* Bit i is the comparison of lane i. */
#undef _mm512_cmp_ps_mask
#define _mm512_cmp_ps_mask(a, b, predicate)                                                                            \
    ((unsigned)_mm256_movemask_ps(_mm256_cmp_ps((a).half[0], (b).half[0], predicate)) |                                \
     (unsigned)_mm256_movemask_ps(_mm256_cmp_ps((a).half[1], (b).half[1], predicate)) << 8)

BY_LANES __m512 wide_maskz_mov_ps(unsigned mask, __m512 v)
{
    float lanes[16];
    wide_storeu_ps(lanes, v);
    for (int i = 0; i < 16; i++)
        lanes[i] = mask >> i & 1 ? lanes[i] : 0;
    return wide_loadu_ps(lanes);
}
#define _mm512_maskz_mov_ps wide_maskz_mov_ps

#define _mm512_castps512_ps256(v) ((v).half[0])
#undef _mm512_extractf32x8_ps
#define _mm512_extractf32x8_ps(v, i) ((v).half[i])
#define _mm512_zextps256_ps512(v)    ((__m512){{v, _mm256_setzero_ps()}})

/* ---- whole numbers ---- */

EMULATED __m512i wide_of_ints(__m256i low, __m256i high)
{
    return (__m512i){{low, high}};
}

EMULATED __m128i low_bytes(__m256i v)
{
    return _mm256_castsi256_si128(v);
}

EMULATED __m128i high_bytes(__m256i v)
{
    return _mm256_extracti128_si256(v, 1);
}

#define _mm512_setzero_si512()  wide_of_ints(_mm256_setzero_si256(), _mm256_setzero_si256())
#define _mm512_set1_epi32(x)    wide_of_ints(_mm256_set1_epi32(x), _mm256_set1_epi32(x))
#define _mm512_castsi512_ps(v)  ((__m512){{_mm256_castsi256_ps((v).half[0]), _mm256_castsi256_ps((v).half[1])}})
#define _mm512_slli_epi32(v, n) wide_of_ints(_mm256_slli_epi32((v).half[0], n), _mm256_slli_epi32((v).half[1], n))

EMULATED __m512i wide_add_epi32(__m512i a, __m512i b)
{
    return wide_of_ints(_mm256_add_epi32(a.half[0], b.half[0]), _mm256_add_epi32(a.half[1], b.half[1]));
}
#define _mm512_add_epi32 wide_add_epi32

EMULATED __m512i wide_cvtps_epi32(__m512 v)
{
    return wide_of_ints(_mm256_cvtps_epi32(v.half[0]), _mm256_cvtps_epi32(v.half[1]));
}
#define _mm512_cvtps_epi32 wide_cvtps_epi32

EMULATED __m512 wide_cvtepi32_ps(__m512i v)
{
    return (__m512){{_mm256_cvtepi32_ps(v.half[0]), _mm256_cvtepi32_ps(v.half[1])}};
}
#define _mm512_cvtepi32_ps wide_cvtepi32_ps

EMULATED __m512i wide_loadu_si512(const void *p)
{
    return wide_of_ints(_mm256_loadu_si256((const __m256i *)p), _mm256_loadu_si256((const __m256i *)p + 1));
}
#define _mm512_loadu_si512 wide_loadu_si512

EMULATED __m512 wide_cvtph_ps(__m256i v)
{
    return (__m512){{_mm256_cvtph_ps(low_bytes(v)), _mm256_cvtph_ps(high_bytes(v))}};
}
#define _mm512_cvtph_ps wide_cvtph_ps

/* Each lane of v, made wider: the low half of the result from the low half of v. */
#define WIDENED(name, narrow)                                                                                          \
    EMULATED __m512i wide_##name(__m256i v)                                                                            \
    {                                                                                                                  \
        return wide_of_ints(narrow(low_bytes(v)), narrow(high_bytes(v)));                                              \
    }
WIDENED(cvtepu16_epi32, _mm256_cvtepu16_epi32)
#define _mm512_cvtepu16_epi32 wide_cvtepu16_epi32

#define WIDENED_TWICE(name, narrow)                                                                                    \
    EMULATED __m512i wide_##name(__m128i v)                                                                            \
    {                                                                                                                  \
        return wide_of_ints(narrow(v), narrow(_mm_srli_si128(v, 8)));                                                  \
    }
WIDENED_TWICE(cvtepi8_epi32, _mm256_cvtepi8_epi32)
WIDENED_TWICE(cvtepu8_epi32, _mm256_cvtepu8_epi32)
#define _mm512_cvtepi8_epi32 wide_cvtepi8_epi32
#define _mm512_cvtepu8_epi32 wide_cvtepu8_epi32

/* ---- bytes ---- */

#define INTS_OF_TWO(name, narrow)                                                                                      \
    EMULATED __m512i wide_##name(__m512i a, __m512i b)                                                                 \
    {                                                                                                                  \
        return wide_of_ints(narrow(a.half[0], b.half[0]), narrow(a.half[1], b.half[1]));                               \
    }
INTS_OF_TWO(and_si512, _mm256_and_si256)
INTS_OF_TWO(or_si512, _mm256_or_si256)
INTS_OF_TWO(xor_si512, _mm256_xor_si256)
INTS_OF_TWO(srlv_epi32, _mm256_srlv_epi32)
INTS_OF_TWO(shuffle_epi8, _mm256_shuffle_epi8)
INTS_OF_TWO(unpacklo_epi32, _mm256_unpacklo_epi32)
INTS_OF_TWO(unpackhi_epi32, _mm256_unpackhi_epi32)
INTS_OF_TWO(unpacklo_epi64, _mm256_unpacklo_epi64)
INTS_OF_TWO(unpackhi_epi64, _mm256_unpackhi_epi64)
#define _mm512_and_si512      wide_and_si512
#define _mm512_or_si512       wide_or_si512
#define _mm512_xor_si512      wide_xor_si512
#define _mm512_srlv_epi32     wide_srlv_epi32
#define _mm512_shuffle_epi8   wide_shuffle_epi8
#define _mm512_unpacklo_epi32 wide_unpacklo_epi32
#define _mm512_unpackhi_epi32 wide_unpackhi_epi32
#define _mm512_unpacklo_epi64 wide_unpacklo_epi64
#define _mm512_unpackhi_epi64 wide_unpackhi_epi64

#define _mm512_set1_epi8(x)       wide_of_ints(_mm256_set1_epi8(x), _mm256_set1_epi8(x))
#define _mm512_broadcast_i64x4(v) wide_of_ints(v, v)
#define _mm512_castsi256_si512(v) wide_of_ints(v, _mm256_setzero_si256())
#define _mm512_zextsi256_si512(v) wide_of_ints(v, _mm256_setzero_si256())
#define _mm512_castps256_ps512(v) _mm512_zextps256_ps512(v)
#undef _mm512_setr_epi32
#define _mm512_setr_epi32(...) wide_setr_epi32((const int32_t[16]){__VA_ARGS__})
#undef _mm512_srli_epi16
#define _mm512_srli_epi16(v, n) wide_of_ints(_mm256_srli_epi16((v).half[0], n), _mm256_srli_epi16((v).half[1], n))

EMULATED __m512i wide_setr_epi32(const int32_t lanes[16])
{
    return wide_loadu_si512(lanes);
}

#undef _mm512_srli_epi32
#define _mm512_srli_epi32(v, n)                                                                                        \
    wide_of_ints(_mm256_srli_epi32((v).half[0], (int)(n)), _mm256_srli_epi32((v).half[1], (int)(n)))

/* The low 16 bits of each lane. */
EMULATED __m256i wide_cvtepi32_epi16(__m512i v)
{
    const __m256i low = _mm256_set1_epi32(0xffff);
    __m256i packed = _mm256_packus_epi32(_mm256_and_si256(v.half[0], low), _mm256_and_si256(v.half[1], low));
    return _mm256_permute4x64_epi64(packed, 0xd8);
}
#define _mm512_cvtepi32_epi16 wide_cvtepi32_epi16

EMULATED void wide_storeu_si512(void *p, __m512i v)
{
    _mm256_storeu_si256((__m256i *)p, v.half[0]);
    _mm256_storeu_si256((__m256i *)p + 1, v.half[1]);
}
#define _mm512_storeu_si512 wide_storeu_si512

EMULATED __m512i wide_inserti64x4(__m512i v, __m256i half, int i)
{
    v.half[i] = half;
    return v;
}
#undef _mm512_inserti64x4
#define _mm512_inserti64x4 wide_inserti64x4

/* Each lane of v turned round to the right by that of n. */
BY_LANES __m512i wide_rorv_epi32(__m512i v, __m512i n)
{
    uint32_t lanes[16], by[16];
    wide_storeu_si512(lanes, v);
    wide_storeu_si512(by, n);
    for (int i = 0; i < 16; i++)
        lanes[i] = lanes[i] >> by[i] % 32 | lanes[i] << (32 - by[i] % 32) % 32;
    return wide_loadu_si512(lanes);
}
#define _mm512_rorv_epi32 wide_rorv_epi32

BY_LANES __m512i wide_mask_add_epi8(__m512i other, uint64_t mask, __m512i a, __m512i b)
{
    uint8_t lanes[64], more[64], result[64];
    wide_storeu_si512(lanes, a);
    wide_storeu_si512(more, b);
    wide_storeu_si512(result, other);
    for (int i = 0; i < 64; i++)
        result[i] = mask >> i & 1 ? (uint8_t)(lanes[i] + more[i]) : result[i];
    return wide_loadu_si512(result);
}
#define _mm512_mask_add_epi8 wide_mask_add_epi8

/* Lane i of the result is that lane of v which `from` names. */
BY_LANES __m512 wide_permutexvar_ps(__m512i from, __m512 v)
{
    int32_t index[16];
    float lanes[16], result[16];
    wide_storeu_si512(index, from);
    wide_storeu_ps(lanes, v);
    for (int i = 0; i < 16; i++)
        result[i] = lanes[index[i] & 15];
    return wide_loadu_ps(result);
}
#define _mm512_permutexvar_ps wide_permutexvar_ps

/* ---- quadwords ---- */

#undef _mm512_setr_epi64
#define _mm512_setr_epi64(...) wide_loadu_si512((const int64_t[8]){__VA_ARGS__})
#define _mm512_set1_epi64(x)   wide_of_ints(_mm256_set1_epi64x(x), _mm256_set1_epi64x(x))
INTS_OF_TWO(srlv_epi64, _mm256_srlv_epi64)
#define _mm512_srlv_epi64 wide_srlv_epi64

/* Each quadword of v turned round to the right by that of n. */
BY_LANES __m512i wide_rorv_epi64(__m512i v, __m512i n)
{
    uint64_t lanes[8], by[8];
    wide_storeu_si512(lanes, v);
    wide_storeu_si512(by, n);
    for (int i = 0; i < 8; i++)
        lanes[i] = lanes[i] >> by[i] % 64 | lanes[i] << (64 - by[i] % 64) % 64;
    return wide_loadu_si512(lanes);
}
#define _mm512_rorv_epi64 wide_rorv_epi64

/* Quadword i of the result is that which `from` names, of a and of b behind it. */
BY_LANES __m512i wide_permutex2var_epi64(__m512i a, __m512i from, __m512i b)
{
    uint64_t lanes[16], index[8], result[8];
    wide_storeu_si512(lanes, a);
    wide_storeu_si512(lanes + 8, b);
    wide_storeu_si512(index, from);
    for (int i = 0; i < 8; i++)
        result[i] = lanes[index[i] & 15];
    return wide_loadu_si512(result);
}
#define _mm512_permutex2var_epi64         wide_permutex2var_epi64
#define _mm512_permutexvar_epi64(from, v) wide_permutex2var_epi64(v, from, v)

/* Quarters of 128 bits: two of a, then two of b, each named by two bits. */
BY_LANES __m512i wide_shuffle_i32x4(__m512i a, __m512i b, int which)
{
    __m128i of_a[4], of_b[4], to[4];
    wide_storeu_si512(of_a, a);
    wide_storeu_si512(of_b, b);
    for (int i = 0; i < 4; i++)
        to[i] = (i < 2 ? of_a : of_b)[which >> 2 * i & 3];
    return wide_loadu_si512(to);
}
#undef _mm512_shuffle_i32x4
#undef _mm512_shuffle_i64x2
#define _mm512_shuffle_i32x4 wide_shuffle_i32x4
#define _mm512_shuffle_i64x2 wide_shuffle_i32x4

/* Four products of an unsigned and a signed byte for each 32-bit lane, without saturation: those of even places, then those
 * of odd ones. */
EMULATED __m256i products_of_bytes(__m256i a, __m256i b)
{
    __m256i even =
        _mm256_madd_epi16(_mm256_and_si256(a, _mm256_set1_epi16(255)), _mm256_srai_epi16(_mm256_slli_epi16(b, 8), 8));
    __m256i odd = _mm256_madd_epi16(_mm256_srli_epi16(a, 8), _mm256_srai_epi16(b, 8));
    return _mm256_add_epi32(even, odd);
}

EMULATED __m512i wide_dpbusd_epi32(__m512i sum, __m512i a, __m512i b)
{
    return wide_add_epi32(
        sum, wide_of_ints(products_of_bytes(a.half[0], b.half[0]), products_of_bytes(a.half[1], b.half[1])));
}
#define _mm512_dpbusd_epi32 wide_dpbusd_epi32

/* NOLINTNEXTLINE(bugprone-suspicious-include) */
#include "engine/cpu_avx512_vnni.c"

#endif
