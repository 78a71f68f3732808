/* cpu_avx512_vnni: the vector kernels for x86-64 with AVX-512 (F, BW, VL, DQ) and its VNNI. */
#include "engine/cpu_kernels.h"

#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512VL__) && defined(__AVX512DQ__) &&                 \
    defined(__AVX512VNNI__)

#include <immintrin.h>
#include <math.h>
#include <string.h>

#include "engine/cpu_avx512_types.h"

/* ---- a vector of floats ---- */

typedef __m512 vec;
enum { LANES = 16, ROWS = 4, TILE_TOKENS = 6 }; /* 24 sums, 6 inputs and a weight in 32 registers */

INLINE vec vec_zero(void)
{
    return _mm512_setzero_ps();
}

INLINE vec vec_set(float x)
{
    return _mm512_set1_ps(x);
}

INLINE vec vec_load(const float *p)
{
    return _mm512_loadu_ps(p);
}

INLINE void vec_store(float *p, vec v)
{
    _mm512_storeu_ps(p, v);
}

INLINE vec vec_add(vec a, vec b)
{
    return _mm512_add_ps(a, b);
}

INLINE vec vec_sub(vec a, vec b)
{
    return _mm512_sub_ps(a, b);
}

INLINE vec vec_mul(vec a, vec b)
{
    return _mm512_mul_ps(a, b);
}

INLINE vec vec_div(vec a, vec b)
{
    return _mm512_div_ps(a, b);
}

/* a · b + c */
INLINE vec vec_fma(vec a, vec b, vec c)
{
    return _mm512_fmadd_ps(a, b, c);
}

/* The greater and the smaller of each pair; b where one is not a number. */
INLINE vec vec_max(vec a, vec b)
{
    return _mm512_max_ps(a, b);
}

INLINE vec vec_min(vec a, vec b)
{
    return _mm512_min_ps(a, b);
}

INLINE vec vec_round(vec v)
{
    return _mm512_roundscale_ps(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}

/* 2^k for whole k in -126..127. */
INLINE vec vec_pow2(vec k)
{
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_add_epi32(_mm512_cvtps_epi32(k), _mm512_set1_epi32(127)), 23));
}

/* v, but 0 where x < limit. */
INLINE vec vec_zero_below(vec x, float limit, vec v)
{
    return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(x, vec_set(limit), _CMP_NLT_UQ), v);
}

INLINE __m256 low_half(vec v)
{
    return _mm512_castps512_ps256(v);
}

INLINE __m256 high_half(vec v)
{
    return _mm512_extractf32x8_ps(v, 1);
}

INLINE float vec_sum(vec v)
{
    __m256 h = _mm256_add_ps(low_half(v), high_half(v));
    __m128 x = _mm_add_ps(_mm256_castps256_ps128(h), _mm256_extractf128_ps(h, 1));
    x = _mm_add_ps(x, _mm_movehl_ps(x, x));
    return _mm_cvtss_f32(_mm_add_ss(x, _mm_movehdup_ps(x)));
}

/* Four sums at once: lane i is that of v[i]. */
INLINE __m128 vec_sums4(const vec v[4])
{
    __m256 h[4];
    UNROLL
    for (int i = 0; i < 4; i++)
        h[i] = _mm256_add_ps(low_half(v[i]), high_half(v[i]));
    __m256 pairs = _mm256_hadd_ps(_mm256_hadd_ps(h[0], h[1]), _mm256_hadd_ps(h[2], h[3]));
    return _mm_add_ps(_mm256_castps256_ps128(pairs), _mm256_extractf128_ps(pairs, 1));
}

INLINE float vec_greatest(vec v)
{
    __m256 h = _mm256_max_ps(low_half(v), high_half(v));
    __m128 x = _mm_max_ps(_mm256_castps256_ps128(h), _mm256_extractf128_ps(h, 1));
    x = _mm_max_ps(x, _mm_movehl_ps(x, x));
    return _mm_cvtss_f32(_mm_max_ss(x, _mm_movehdup_ps(x)));
}

INLINE vec vec_of_f16(const unsigned char *p)
{
    return _mm512_cvtph_ps(load32(p));
}

INLINE vec vec_of_bf16(const unsigned char *p)
{
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(load32(p)), 16));
}

INLINE vec vec_of_i8(const unsigned char *p)
{
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(load16(p)));
}

/* ---- blocks of weights ---- */

/* Weights i.. of a block as floats. */
INLINE vec vec_of_bytes(__m256i bytes, int i, int traits)
{
    __m128i half = i < 16 ? _mm256_castsi256_si128(bytes) : _mm256_extracti128_si256(bytes, 1);
    return _mm512_cvtepi32_ps(traits & SIGNED_BYTES ? _mm512_cvtepi8_epi32(half) : _mm512_cvtepu8_epi32(half));
}

/* ---- a step: eight blocks, or the part of them that there is, as unsigned bytes in four vectors.  Vector i has in its
 * quadword p the weights 8i.. + 7 of block p: so the sums of all four can be added before they are scaled.
 *
 * The input's 16 bits are 256 · high + low, both of them signed bytes, in the same order: four vectors of high ones, then
 * four of low ones, for each group of blocks and for each part of a group. ---- */

enum { STEP_BLOCKS = GROUP, TILE_WORDS = 4 };

/* So that the high byte is 127 at most. */
enum { INPUT_MAX = 127 * 256 + 127 };

struct step {
    __m512i bytes[4];
};

INLINE int step_traits(int traits)
{
    return traits & SIGNED_BYTES ? traits | HAS_MIN : traits;
}

INLINE struct scales step_scales(struct type type, const unsigned char *p, int n)
{
    struct scales scales = type.scales(p, n);
    if (type.traits & SIGNED_BYTES)
        scales.min = _mm256_mul_ps(scales.scale, _mm256_set1_ps(-128));
    return scales;
}

/* Blocks k and k + 1, or the last one alone, in their order. */
INLINE __m512i two_blocks(struct type type, const unsigned char *p, int k, int n)
{
    if (n - k > 1)
        return type.pair(p, k);
    __m256i bytes = type.bytes(p, k);
    if (type.traits & SIGNED_BYTES)
        bytes = _mm256_xor_si256(bytes, _mm256_set1_epi8(-128));
    return _mm512_zextsi256_si512(bytes);
}

INLINE struct step step_unpack(struct type type, const unsigned char *p, int k, int n)
{
    (void)k;
    struct step step;
    if (type.eight && n == GROUP) {
        type.eight(p, step.bytes);
        return step;
    }
    __m512i pair[4];
    UNROLL
    for (int i = 0; i < 4; i++)
        pair[i] = 2 * i < n ? two_blocks(type, p, 2 * i, n) : _mm512_setzero_si512();
    by_eights(pair, step.bytes);
    return step;
}

/* 32 words that are bytes, as bytes in their order. */
INLINE __m256i bytes_of_words(__m256i first, __m256i second)
{
    return _mm256_permute4x64_epi64(_mm256_packs_epi16(first, second), 0xd8);
}

/* Words as 256 · high + low, both of them signed bytes. */
INLINE void split_words(const __m256i words[2], __m256i high[2], __m256i low[2])
{
    UNROLL
    for (int i = 0; i < 2; i++) {
        high[i] = _mm256_srai_epi16(_mm256_add_epi16(words[i], _mm256_set1_epi16(128)), 8);
        low[i] = _mm256_sub_epi16(words[i], _mm256_slli_epi16(high[i], 8));
    }
}

/* Eight of a block's numbers in each of `whole`, of at most 16 bits: as words in their order. */
INLINE void pack_words(const __m256i whole[4], __m256i words[2])
{
    /* Packing works in each 128-bit half: the permutation puts the quarters back in order. */
    UNROLL
    for (int i = 0; i < 2; i++)
        words[i] = _mm256_permute4x64_epi64(_mm256_packs_epi32(whole[2 * i], whole[2 * i + 1]), 0xd8);
}

/* Where the words of the group, or of the part of one, are that begins with block b.  Before a part of the last group
 * stand the larger ones: as many as bits are set. */
INLINE int64_t words_at(int64_t b)
{
    return (b / GROUP + __builtin_popcountll((unsigned long long)b % GROUP)) * GROUP * 32;
}

/* The part of the last group that block b belongs to: its first block. */
INLINE int64_t part_of(int64_t n_blocks, int64_t b)
{
    int64_t first = n_blocks / GROUP * GROUP;
    for (int64_t n = GROUP / 2; n > 1; n /= 2)
        if ((n_blocks & n) && b >= first + n)
            first += n;
        else if (n_blocks & n)
            break;
    return first;
}

/* What has no block is zero. */
INLINE void clear_input(int16_t *row, int64_t n_blocks)
{
    int64_t first = words_at(n_blocks / GROUP * GROUP);
    memset(row + first, 0, (size_t)(activation_words(n_blocks * 32) - first) * sizeof *row);
}

INLINE void put_input(int16_t *row, int64_t n_blocks, int64_t b, const __m256i whole[4])
{
    __m256i words[2], high[2], low[2];
    pack_words(whole, words);
    split_words(words, high, low);
    unsigned char bytes[2][32];
    _mm256_storeu_si256((__m256i *)(void *)bytes[0], bytes_of_words(high[0], high[1]));
    _mm256_storeu_si256((__m256i *)(void *)bytes[1], bytes_of_words(low[0], low[1]));
    int64_t first = b < n_blocks / GROUP * GROUP ? b / GROUP * GROUP : part_of(n_blocks, b);
    unsigned char *to = (unsigned char *)(row + words_at(first)) + (b - first) * 8;
    for (int i = 0; i < 4; i++) {
        memcpy(to + i * 64, bytes[0] + i * 8, 8);
        memcpy(to + 256 + i * 64, bytes[1] + i * 8, 8);
    }
}

/* The scales of a group's blocks, or those of their first and of their second halves, as the sums lie. */
struct ready_scales {
    vec first, second;
};

INLINE vec twice_each(__m256 v)
{
    const __m512i from = _mm512_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7);
    return _mm512_permutexvar_ps(from, _mm512_castps256_ps512(v));
}

INLINE void keep_scales(struct ready_scales *ready, int traits, struct scales scales, __m256 input)
{
    ready->first = twice_each(_mm256_mul_ps(scales.scale, input));
    if (traits & TWO_SCALES)
        ready->second = twice_each(_mm256_mul_ps(scales.second_scale, input));
}

/* The sums of n vectors of weights with the input's, high and low. */
INLINE vec dot_vectors(const __m512i *weights, int n, const int8_t *high)
{
    __m512i h = _mm512_setzero_si512(), l = _mm512_setzero_si512();
    UNROLL
    for (int i = 0; i < n; i++) {
        h = _mm512_dpbusd_epi32(h, weights[i], _mm512_loadu_si512(high + i * 64));
        l = _mm512_dpbusd_epi32(l, weights[i], _mm512_loadu_si512(high + 256 + i * 64));
    }
    return _mm512_cvtepi32_ps(_mm512_add_epi32(_mm512_slli_epi32(h, 8), l));
}

INLINE void step_add(struct step weights, int traits, int k, const int16_t *q, const struct ready_scales *ready,
                     vec sum[2])
{
    (void)k;
    const int8_t *bytes = (const int8_t *)q;
    if (traits & TWO_SCALES) {
        sum[0] = vec_fma(dot_vectors(weights.bytes, 2, bytes), ready->first, sum[0]);
        sum[1] = vec_fma(dot_vectors(weights.bytes + 2, 2, bytes + 128), ready->second, sum[1]);
    } else {
        sum[1] = vec_fma(dot_vectors(weights.bytes, 4, bytes), ready->first, sum[1]);
    }
}

INLINE vec vec_add8(vec v, __m256 eight)
{
    return _mm512_add_ps(v, _mm512_zextps256_ps512(eight));
}

/* The order matters: each builds on those before it. */
#include "engine/cpu_vector_words.h"

#include "engine/cpu_avx512_panel.h"

#include "engine/cpu_vector_matmul.h"
#include "engine/cpu_vector_rows.h"

#include "engine/cpu_vector_attention.h"

const struct cpu_kernels cpu_avx512_vnni_kernels = {
    .name = "avx512",
    .is_available = cpu_has_avx512_vnni,
    .few_tokens = FEW_TOKENS,
    .worth_words = 4,
    .takes = takes,
    .quantise_words = quantise_words,
    .quantise_split = quantise_split,
    .matmul = matmul,
    .attention = attention,
    .attention_block = attention_block,
    .attention_merge = attention_merge,
    .pack_cell = pack_cell,
    .silu_gate = silu_gate,
    .gelu = gelu,
    .multiply_bytes = cpu_multiply_bytes_avx512_vnni,
};

#endif
