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

/* ---- a step: one block, its weights as words of even and of odd places, the order in which bytes become words at the
 * least cost.  The input has the same order. ---- */

enum { STEP_BLOCKS = 1, TILE_WORDS = 2 };

/* Sums of weight · input stay exact: 4 · 128 · 32767 fits 32 bits many times. */
enum { INPUT_MAX = 32767 };

struct step {
    __m256i even, odd;
};

INLINE int step_traits(int traits)
{
    return traits;
}

INLINE struct scales step_scales(struct type type, const unsigned char *p, int n)
{
    return type.scales(p, n);
}

INLINE struct step step_unpack(struct type type, const unsigned char *p, int k, int n)
{
    (void)n;
    __m256i bytes = type.bytes(p, k);
    if (type.traits & SIGNED_BYTES)
        return (struct step){_mm256_srai_epi16(_mm256_slli_epi16(bytes, 8), 8), _mm256_srai_epi16(bytes, 8)};
    return (struct step){_mm256_and_si256(bytes, _mm256_set1_epi16(255)), _mm256_srli_epi16(bytes, 8)};
}

/* Where the words of the part of a row are that begins with block b. */
INLINE int64_t words_at(int64_t b)
{
    return b * 32;
}

INLINE void clear_input(int16_t *row, int64_t n_blocks)
{
    (void)row;
    (void)n_blocks;
}

/* Eight numbers of block b in each of `whole`, of at most 16 bits. */
INLINE void put_input(int16_t *row, int64_t n_blocks, int64_t b, const __m256i whole[4])
{
    (void)n_blocks;
    int16_t *q = row + b * 32;
    __m256i sorted[4]; /* the four of even places, the four of odd ones */
    UNROLL
    for (int i = 0; i < 4; i++)
        sorted[i] = _mm256_permutevar8x32_epi32(whole[i], _mm256_setr_epi32(0, 2, 4, 6, 1, 3, 5, 7));
    __m256i first = _mm256_packs_epi32(sorted[0], sorted[1]), second = _mm256_packs_epi32(sorted[2], sorted[3]);
    _mm256_storeu_si256((__m256i *)(void *)q, _mm256_permute2x128_si256(first, second, 0x20));
    _mm256_storeu_si256((__m256i *)(void *)(q + 16), _mm256_permute2x128_si256(first, second, 0x31));
}

/* Where the scales of a group's blocks wait; pairs of them where a block has two. */
struct ready_scales {
    float scale[2 * GROUP];
};

INLINE void keep_scales(struct ready_scales *ready, int traits, struct scales scales, __m256 input)
{
    __m256 first = _mm256_mul_ps(scales.scale, input);
    if (traits & TWO_SCALES) {
        __m256 second = _mm256_mul_ps(scales.second_scale, input);
        _mm256_storeu_ps(ready->scale, _mm256_unpacklo_ps(first, second));
        _mm256_storeu_ps(ready->scale + GROUP, _mm256_unpackhi_ps(first, second));
    } else {
        _mm256_storeu_ps(ready->scale, first);
    }
    /* To load and spread a number is one instruction.  A compiler that knows what the memory holds shuffles it out of
     * registers, which is two. */
    __asm__("" : "+m"(*ready));
}

/* The place of block k's pair, as two unpackings of eight lanes leave them. */
INLINE int pair_place(int k)
{
    return 2 * ((k & 1) | (k & 2) << 1 | (k & 4) >> 1);
}

/* The first number in the first half of the lanes, the second in the other. */
INLINE vec vec_halves(const float *pair)
{
    double both;
    memcpy(&both, pair, sizeof both);
    return _mm256_permutevar_ps(_mm256_castpd_ps(_mm256_set1_pd(both)), _mm256_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1));
}

INLINE vec scale_of(const struct ready_scales *ready, int traits, int k)
{
    return traits & TWO_SCALES ? vec_halves(ready->scale + pair_place(k)) : vec_set(ready->scale[k]);
}

/* The first half of the lanes are sums of weights 0..15, the others of 16..31. */
INLINE void step_add(struct step weights, int traits, int k, const int16_t *q, const struct ready_scales *ready,
                     vec sum[2])
{
    __m256i even = _mm256_madd_epi16(weights.even, load32((const unsigned char *)q));
    __m256i odd = _mm256_madd_epi16(weights.odd, load32((const unsigned char *)(q + 16)));
    vec dot = _mm256_cvtepi32_ps(_mm256_add_epi32(even, odd));
    sum[k % 2] = vec_fma(dot, scale_of(ready, traits, k), sum[k % 2]);
}

INLINE vec vec_add8(vec v, __m256 eight)
{
    return _mm256_add_ps(v, eight);
}

/* Many tokens: by floats. */
enum { SPLIT_MAX_COLS = 0 };
#define MANY_TOKENS(name)
#define MANY_OF(name) NULL

/* The order matters: each builds on those before it. */
#include "engine/cpu_vector_words.h"

#include "engine/cpu_vector_matmul.h"
#include "engine/cpu_vector_rows.h"

#include "engine/cpu_vector_attention.h"

const struct cpu_kernels cpu_avx2_kernels = {
    .name = "avx2",
    .is_available = cpu_has_avx2,
    .few_tokens = FEW_TOKENS,
    .worth_words = 3,
    .takes = takes,
    .quantise_words = quantise_words,
    .matmul = matmul,
    .attention = attention,
    .attention_block = attention_block,
    .attention_merge = attention_merge,
    .pack_cell = pack_cell,
    .silu_gate = silu_gate,
    .gelu = gelu,
    .multiply_bytes = cpu_multiply_bytes_avx2,
};

#endif
