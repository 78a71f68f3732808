/* cpu_vector_rows: the small operations in terms of a vector of floats, as cpu_vector_matmul.h: activation functions, and what
 * goes into a cell of the KV cache. */
#ifndef FATHOM_ENGINE_CPU_VECTOR_ROWS_H
#define FATHOM_ENGINE_CPU_VECTOR_ROWS_H

/* ---- exp, silu ---- */

/* e^x = 2^k · e^r with |r| <= ln 2 / 2; e^r by its Taylor polynomial of degree 7 (error below 2e-8, relative).
 * Below -87 the result is 0, above 88 it is e^88; what is not a number stays so. */
INLINE vec vec_exp(vec x)
{
    const float low = -87.0f;
    vec y = vec_min(vec_set(88.0f), vec_max(vec_set(low), x));
    vec k = vec_round(vec_mul(y, vec_set(1.44269504f)));
    vec r = vec_fma(k, vec_set(-0.693359375f), y); /* ln 2 in two parts, the first exact */
    r = vec_fma(k, vec_set(2.12194440e-4f), r);
    const float terms[] = {1.0f / 720, 1.0f / 120, 1.0f / 24, 1.0f / 6, 0.5f, 1.0f, 1.0f};
    vec p = vec_set(1.0f / 5040);
    UNROLL
    for (size_t i = 0; i < sizeof terms / sizeof *terms; i++)
        p = vec_fma(p, r, vec_set(terms[i]));
    return vec_zero_below(x, low, vec_mul(p, vec_pow2(k)));
}

INLINE vec vec_silu(vec x)
{
    return vec_div(x, vec_add(vec_set(1.0f), vec_exp(vec_sub(vec_zero(), x))));
}

/* x / (1 + e^(-2z)) is x · (1 + tanh z) / 2. */
INLINE vec vec_gelu(vec x)
{
    vec z = vec_mul(x, vec_fma(vec_mul(x, x), vec_set(0.044715f), vec_set(1.0f)));
    return vec_div(x, vec_add(vec_set(1.0f), vec_exp(vec_mul(z, vec_set(-2 * 0.79788456f)))));
}

static void silu_gate(float *gate, const float *up, size_t n)
{
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        vec_store(gate + i, vec_mul(vec_silu(vec_load(gate + i)), vec_load(up + i)));
    if (i < n) {
        float g[LANES] = {0}, u[LANES] = {0};
        memcpy(g, gate + i, (n - i) * sizeof *g);
        memcpy(u, up + i, (n - i) * sizeof *u);
        vec_store(g, vec_mul(vec_silu(vec_load(g)), vec_load(u)));
        memcpy(gate + i, g, (n - i) * sizeof *g);
    }
}

static void gelu(float *x, size_t n)
{
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        vec_store(x + i, vec_gelu(vec_load(x + i)));
    if (i < n) {
        float rest[LANES] = {0};
        memcpy(rest, x + i, (n - i) * sizeof *rest);
        vec_store(rest, vec_gelu(vec_load(rest)));
        memcpy(x + i, rest, (n - i) * sizeof *rest);
    }
}

/* ---- cells ----
 *
 * Eight numbers at a time, whatever a vector is: to store a cell is little work.  The bytes are those of the plain text in
 * cpu_scalar.c. */

INLINE void store_halves(unsigned char *to, __m256 x)
{
    _mm_storeu_si128((__m128i *)(void *)to, _mm256_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT));
}

static void pack_f16(unsigned char *to, const float *x, int64_t n)
{
    int64_t i = 0;
    for (; i + 8 <= n; i += 8)
        store_halves(to + 2 * i, _mm256_loadu_ps(x + i));
    for (; i < n; i++) {
        uint16_t half = half_from_float(x[i]);
        memcpy(to + 2 * i, &half, 2);
    }
}

/* 32 numbers, and the greatest of their magnitudes as bits, whose order is that of magnitudes, and NaN above all. */
struct cell_block {
    __m256 x[4];
    uint32_t greatest;
};

INLINE struct cell_block load_cell_block(const float *x)
{
    struct cell_block block;
    const __m256i magnitude = _mm256_set1_epi32(0x7fffffff);
    __m256i greatest = _mm256_setzero_si256();
    UNROLL
    for (int i = 0; i < 4; i++) {
        block.x[i] = _mm256_loadu_ps(x + 8 * i);
        greatest = _mm256_max_epi32(greatest, _mm256_and_si256(_mm256_castps_si256(block.x[i]), magnitude));
    }
    __m128i m = _mm_max_epi32(_mm256_castsi256_si128(greatest), _mm256_extracti128_si256(greatest, 1));
    m = _mm_max_epi32(m, _mm_shuffle_epi32(m, 0x4e));
    m = _mm_max_epi32(m, _mm_shuffle_epi32(m, 0xb1));
    block.greatest = (uint32_t)_mm_cvtsi128_si32(m);
    return block;
}

/* 32 whole numbers of -128..127 as bytes, in order. */
INLINE __m256i bytes_of_whole(const __m256i whole[4])
{
    __m256i words[2] = {_mm256_packs_epi32(whole[0], whole[1]), _mm256_packs_epi32(whole[2], whole[3])};
    /* Packing works in each 128-bit half: the permutation puts four bytes after four back in order. */
    return _mm256_permutevar8x32_epi32(_mm256_packs_epi16(words[0], words[1]),
                                       _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
}

INLINE void pack_block_q8_0(unsigned char *to, struct cell_block block)
{
    float greatest;
    memcpy(&greatest, &block.greatest, sizeof greatest);
    bool is_finite = isfinite(greatest) != 0;
    float scale = is_finite ? greatest / 127.0f : NAN, inverse = scale > 1e-38f ? 1.0f / scale : 0;
    uint16_t half = half_from_float(scale);
    memcpy(to, &half, 2);
    __m256i whole[4];
    UNROLL
    for (int i = 0; i < 4; i++)
        whole[i] = _mm256_cvtps_epi32(_mm256_mul_ps(block.x[i], _mm256_set1_ps(inverse)));
    __m256i bytes = is_finite ? bytes_of_whole(whole) : _mm256_set1_epi8(1);
    _mm256_storeu_si256((__m256i *)(void *)(to + 2), bytes);
}

/* The first number of the greatest magnitude becomes -8. */
INLINE void pack_block_q4_0(unsigned char *to, struct cell_block block, const float *x)
{
    float greatest, extreme = 0;
    memcpy(&greatest, &block.greatest, sizeof greatest);
    bool is_finite = isfinite(greatest) != 0;
    for (int k = 31; k >= 0; k--)
        extreme = greatest > 0 && fabsf(x[k]) == greatest ? x[k] : extreme;
    float scale = is_finite ? extreme / -8.0f : NAN, inverse = fabsf(scale) > 1e-38f ? 1.0f / scale : 0;
    uint16_t half = half_from_float(scale);
    memcpy(to, &half, 2);
    __m256i whole[4];
    UNROLL
    for (int i = 0; i < 4; i++)
        whole[i] = _mm256_cvtps_epi32(_mm256_mul_ps(block.x[i], _mm256_set1_ps(inverse)));
    __m256i nibbles_of =
        _mm256_min_epi8(_mm256_add_epi8(bytes_of_whole(whole), _mm256_set1_epi8(8)), _mm256_set1_epi8(15));
    if (!is_finite)
        nibbles_of = _mm256_set1_epi8(1);
    __m128i high = _mm_slli_epi16(_mm256_extracti128_si256(nibbles_of, 1), 4);
    _mm_storeu_si128((__m128i *)(void *)(to + 2), _mm_or_si128(_mm256_castsi256_si128(nibbles_of), high));
}

static void pack_cell(enum quant_type type, unsigned char *to, const float *x, int64_t n)
{
    if (type == QUANT_F16)
        pack_f16(to, x, n);
    else if (type == QUANT_Q8_0)
        for (int64_t i = 0; i < n; i += 32)
            pack_block_q8_0(to + i / 32 * 34, load_cell_block(x + i));
    else if (type == QUANT_Q4_0)
        for (int64_t i = 0; i < n; i += 32)
            pack_block_q4_0(to + i / 32 * 18, load_cell_block(x + i), x + i);
    else
        memcpy(to, x, (size_t)n * sizeof *x);
}

#endif
