/* cpu_avx2: the vector kernels for x86-64 with AVX2, FMA and F16C. */
#include "engine/cpu_kernels.h"

#if defined(__AVX2__) && defined(__FMA__) && defined(__F16C__)

#include <immintrin.h>
#include <math.h>
#include <string.h>

#include "engine/cpu_avx2_types.h"

/* ---- a vector of floats ---- */

typedef __m256 vec;
enum { LANES = 8, ROWS = 4, TILE_TOKENS = 3 }; /* 12 sums, 3 inputs and a weight fill the 16 registers */

INLINE vec vec_zero(void)
{
    return _mm256_setzero_ps();
}

INLINE vec vec_set(float x)
{
    return _mm256_set1_ps(x);
}

INLINE vec vec_load(const float *p)
{
    return _mm256_loadu_ps(p);
}

INLINE void vec_store(float *p, vec v)
{
    _mm256_storeu_ps(p, v);
}

INLINE vec vec_add(vec a, vec b)
{
    return _mm256_add_ps(a, b);
}

INLINE vec vec_sub(vec a, vec b)
{
    return _mm256_sub_ps(a, b);
}

INLINE vec vec_mul(vec a, vec b)
{
    return _mm256_mul_ps(a, b);
}

INLINE vec vec_div(vec a, vec b)
{
    return _mm256_div_ps(a, b);
}

/* a · b + c */
INLINE vec vec_fma(vec a, vec b, vec c)
{
    return _mm256_fmadd_ps(a, b, c);
}

/* The greater and the smaller of each pair; b where one is not a number. */
INLINE vec vec_max(vec a, vec b)
{
    return _mm256_max_ps(a, b);
}

INLINE vec vec_min(vec a, vec b)
{
    return _mm256_min_ps(a, b);
}

INLINE vec vec_round(vec v)
{
    return _mm256_round_ps(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}

/* 2^k for whole k in -126..127. */
INLINE vec vec_pow2(vec k)
{
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(k), _mm256_set1_epi32(127)), 23));
}

/* v, but 0 where x < limit. */
INLINE vec vec_zero_below(vec x, float limit, vec v)
{
    return _mm256_andnot_ps(_mm256_cmp_ps(x, vec_set(limit), _CMP_LT_OQ), v);
}

INLINE float vec_sum(vec v)
{
    __m128 x = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    x = _mm_add_ps(x, _mm_movehl_ps(x, x));
    return _mm_cvtss_f32(_mm_add_ss(x, _mm_movehdup_ps(x)));
}

/* Four sums at once: lane i is that of v[i]. */
INLINE __m128 vec_sums4(const vec v[4])
{
    __m256 pairs = _mm256_hadd_ps(_mm256_hadd_ps(v[0], v[1]), _mm256_hadd_ps(v[2], v[3]));
    return _mm_add_ps(_mm256_castps256_ps128(pairs), _mm256_extractf128_ps(pairs, 1));
}

INLINE float vec_greatest(vec v)
{
    __m128 x = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    x = _mm_max_ps(x, _mm_movehl_ps(x, x));
    return _mm_cvtss_f32(_mm_max_ss(x, _mm_movehdup_ps(x)));
}

INLINE vec vec_of_f16(const unsigned char *p)
{
    return _mm256_cvtph_ps(load16(p));
}

INLINE vec vec_of_bf16(const unsigned char *p)
{
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(load16(p)), 16));
}

INLINE vec vec_of_i8(const unsigned char *p)
{
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)p)));
}

/* ---- blocks of weights ---- */

/* Weights i.. of a block as floats. */
INLINE vec vec_of_bytes(__m256i bytes, int i, int traits)
{
    __m128i half = i < 16 ? _mm256_castsi256_si128(bytes) : _mm256_extracti128_si256(bytes, 1);
    __m128i eight = i % 16 ? _mm_srli_si128(half, 8) : half;
    return _mm256_cvtepi32_ps(traits & SIGNED_BYTES ? _mm256_cvtepi8_epi32(eight) : _mm256_cvtepu8_epi32(eight));
}

/* The input of a block: its numbers of even and of odd places, the order in which bytes become words at the least cost. */
struct input {
    __m256i even, odd;
};

INLINE struct input load_input(const int16_t *q)
{
    return (struct input){_mm256_loadu_si256((const __m256i *)(const void *)q),
                          _mm256_loadu_si256((const __m256i *)(const void *)(q + 16))};
}

/* Eight numbers of the input in each of `whole`, of at most 16 bits. */
INLINE void put_input(int16_t *q, const __m256i whole[4])
{
    __m256i sorted[4]; /* the four of even places, the four of odd ones */
    UNROLL
    for (int i = 0; i < 4; i++)
        sorted[i] = _mm256_permutevar8x32_epi32(whole[i], _mm256_setr_epi32(0, 2, 4, 6, 1, 3, 5, 7));
    __m256i first = _mm256_packs_epi32(sorted[0], sorted[1]), second = _mm256_packs_epi32(sorted[2], sorted[3]);
    _mm256_storeu_si256((__m256i *)(void *)q, _mm256_permute2x128_si256(first, second, 0x20));
    _mm256_storeu_si256((__m256i *)(void *)(q + 16), _mm256_permute2x128_si256(first, second, 0x31));
}

/* Sums of weight · input: the first half of the lanes of weights 0..15, the others of 16..31. */
INLINE vec vec_multiply_block(__m256i bytes, int traits, struct input x)
{
    __m256i even, odd;
    if (traits & SIGNED_BYTES) {
        even = _mm256_srai_epi16(_mm256_slli_epi16(bytes, 8), 8);
        odd = _mm256_srai_epi16(bytes, 8);
    } else {
        even = _mm256_and_si256(bytes, _mm256_set1_epi16(255));
        odd = _mm256_srli_epi16(bytes, 8);
    }
    return _mm256_cvtepi32_ps(_mm256_add_epi32(_mm256_madd_epi16(even, x.even), _mm256_madd_epi16(odd, x.odd)));
}

/* The first number in the first half of the lanes, the second in the other. */
INLINE vec vec_halves(const float *pair)
{
    double both;
    memcpy(&both, pair, sizeof both);
    return _mm256_permutevar_ps(_mm256_castpd_ps(_mm256_set1_pd(both)), _mm256_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1));
}

INLINE vec vec_add8(vec v, __m256 eight)
{
    return _mm256_add_ps(v, eight);
}

/* The order matters: attention multiplies, too. */
#include "engine/cpu_vector_matmul.h"

#include "engine/cpu_vector_attention.h"

const struct cpu_kernels cpu_avx2_kernels = {
    .name = "avx2",
    .is_available = cpu_has_avx2,
    .takes_words = takes_words,
    .quantise = quantise,
    .few_tokens = FEW_TOKENS,
    .matmul = matmul,
    .attention = attention,
    .silu_gate = silu_gate,
    .gelu = gelu,
    .multiply_bytes = cpu_multiply_bytes_avx2,
};

#endif
