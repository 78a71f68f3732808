/* cpu_vector_words: quantised weights against few tokens: one text, compiled for each instruction set.
 *
 * The input is 16-bit numbers in blocks of 32 with one scale, so exact that the result is that of floats for any practical
 * purpose.  (Bytes alone would be faster, but their rounding moves log-probabilities by a tenth.)  Weights are read once and
 * meet up to TILE_WORDS tokens in registers.
 *
 * Every token's numbers are computed by the same operations in the same order, however many tokens come with it: so a
 * token that is verified with others has the logits that it would have had alone.
 *
 * Included by cpu_avx2.c and cpu_avx512_vnni.c, after what they define: a step of STEP_BLOCKS blocks as registers
 * (struct step, step_unpack), how its products with the input are added up (step_add), where its scales wait (struct
 * ready_scales), and the order of the input in memory (words_at, put_input, clear_input). */
#ifndef FATHOM_ENGINE_CPU_VECTOR_WORDS_H
#define FATHOM_ENGINE_CPU_VECTOR_WORDS_H

/* One row of the input's scales and sums, of up to eight blocks. */
struct input_scales {
    __m256 scale, sum, second_sum;
};

INLINE vec add_minima(vec total, int traits, struct scales scales, struct input_scales x)
{
    if (traits & TWO_MINS) {
        __m256 first = _mm256_mul_ps(scales.min, _mm256_sub_ps(x.sum, x.second_sum));
        return vec_add8(total, _mm256_fmadd_ps(scales.second_min, x.second_sum, first));
    }
    return traits & HAS_MIN ? vec_add8(total, _mm256_mul_ps(scales.min, x.sum)) : total;
}

/* Short rows end before the hardware sees a stream in them, so that it is told what comes: so many bytes ahead. */
enum { AHEAD = 2048 };

/* A row's sum so far, in two parts: each addition need not wait for the one before. */
struct row_sum {
    vec part[2];
};

/* One token's input. */
struct token_input {
    const int16_t *q;
    const float *scale, *sum, *second_sum;
};

INLINE __m256 first_lanes(const float *x, int n)
{
    float lanes[GROUP] = {0};
    memcpy(lanes, x, (size_t)n * sizeof *x);
    return _mm256_loadu_ps(lanes);
}

INLINE struct input_scales input_scales_at(const struct token_input *x, int64_t b, int n)
{
    if (n == GROUP)
        return (struct input_scales){_mm256_loadu_ps(x->scale + b), _mm256_loadu_ps(x->sum + b),
                                     _mm256_loadu_ps(x->second_sum + b)};
    return (struct input_scales){first_lanes(x->scale + b, n), first_lanes(x->sum + b, n),
                                 first_lanes(x->second_sum + b, n)};
}

/* Adds blocks b.. b + n - 1, one group of a row, for n_tokens tokens. */
INLINE void add_group(struct type type, int n, int n_tokens, const unsigned char *p, int64_t b,
                      const struct token_input *x, struct row_sum *sum)
{
    UNROLL
    for (size_t i = 0; i < (size_t)(n / type.group_blocks) * type.group_bytes; i += 64)
        _mm_prefetch((const char *)p + AHEAD + i, _MM_HINT_T0);
    int traits = step_traits(type.traits);
    struct scales scales = step_scales(type, p, n);
    struct ready_scales ready[TILE_WORDS];
    UNROLL
    for (int t = 0; t < n_tokens; t++) {
        struct input_scales input = input_scales_at(&x[t], b, n);
        keep_scales(&ready[t], traits, scales, input.scale);
        sum[t].part[0] = add_minima(sum[t].part[0], traits, scales, input);
    }
    UNROLL
    for (int k = 0; k < n; k += STEP_BLOCKS) {
        struct step weights = step_unpack(type, p, k, n);
        UNROLL
        for (int t = 0; t < n_tokens; t++)
            step_add(weights, traits, k, x[t].q + words_at(b) + k * 32, &ready[t], sum[t].part);
    }
}

/* A row that is not whole groups ends with parts of 4, 2 and 1 blocks, those of them that it needs: where the part of n
 * begins. */
INLINE int64_t part_begin(int64_t n_blocks, int n)
{
    return n_blocks & ~(int64_t)(2 * n - 1);
}

/* Adds the part of n blocks, if there is one. */
INLINE void add_part(struct type type, int n, int n_tokens, const unsigned char *row, int64_t n_blocks,
                     const struct token_input *x, struct row_sum *sum)
{
    int64_t b = part_begin(n_blocks, n);
    if (n_blocks & n)
        add_group(type, n, n_tokens, row + (size_t)b * type.group_bytes, b, x, sum);
}

/* A group's bytes, be it one struct of the file or eight. */
INLINE size_t whole_group_bytes(struct type type)
{
    return (size_t)(GROUP / type.group_blocks) * type.group_bytes;
}

/* A row against some tokens' input: results (n_tokens). */
INLINE void dot_words(struct type type, int n_tokens, const unsigned char *row, int64_t n_blocks,
                      const struct token_input *x, float *results)
{
    struct row_sum sum[TILE_WORDS];
    UNROLL
    for (int t = 0; t < n_tokens; t++)
        sum[t].part[0] = sum[t].part[1] = vec_zero();
    const unsigned char *p = row;
    for (int64_t b = 0; b + GROUP <= n_blocks; b += GROUP, p += whole_group_bytes(type))
        add_group(type, GROUP, n_tokens, p, b, x, sum);
    /* What is left of a row, by parts whose sizes are known when this is compiled. */
    if (type.group_blocks == 1) {
        add_part(type, 4, n_tokens, row, n_blocks, x, sum);
        add_part(type, 2, n_tokens, row, n_blocks, x, sum);
        add_part(type, 1, n_tokens, row, n_blocks, x, sum);
    }
    UNROLL
    for (int t = 0; t < n_tokens; t++)
        results[t] = vec_sum(vec_add(sum[t].part[0], sum[t].part[1]));
}

INLINE void put(const struct matmul_out *out, int64_t row, int32_t token, float value)
{
    float *to = out->out + token * out->stride + row;
    if (out->bias)
        value += out->bias[row];
    *to = out->accumulate ? *to + value : value;
}

/* All rows against n_tokens tokens from token `first` on. */
INLINE void rows_of_words(struct type type, int n_tokens, const struct weight *weight, const unsigned char *data,
                          int64_t begin, int64_t end, const struct activation *x, int32_t first,
                          const struct matmul_out *out)
{
    int64_t n_blocks = x->n_cols / 32;
    struct token_input input[TILE_WORDS];
    for (int t = 0; t < n_tokens; t++) {
        int64_t row = activation_row(x, first + t), block = row * n_blocks;
        input[t] = (struct token_input){x->q + row * activation_words(x->n_cols), x->scale + block, x->sum + block,
                                        x->second_sum + block};
    }
    for (int64_t row = begin; row < end; row++) {
        float results[TILE_WORDS];
        dot_words(type, n_tokens, data + (size_t)row * weight->row_bytes, n_blocks, input, results);
        for (int t = 0; t < n_tokens; t++)
            put(out, row, first + t, results[t]);
    }
}

INLINE void matmul_words(struct type type, const struct weight *weight, const unsigned char *data, int64_t begin,
                         int64_t end, const struct activation *x, const struct matmul_out *out)
{
    int32_t t = 0;
    for (; t + TILE_WORDS <= x->n_tokens; t += TILE_WORDS)
        rows_of_words(type, TILE_WORDS, weight, data, begin, end, x, t, out);
    for (; TILE_WORDS > 2 && t + 2 <= x->n_tokens; t += 2)
        rows_of_words(type, 2, weight, data, begin, end, x, t, out);
    for (; t < x->n_tokens; t++)
        rows_of_words(type, 1, weight, data, begin, end, x, t, out);
}

/* ---- the input as 16-bit numbers ---- */

INLINE int32_t sum_whole(__m256i v)
{
    __m128i t = _mm_add_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
    t = _mm_add_epi32(t, _mm_shuffle_epi32(t, 0x4e));
    return _mm_cvtsi128_si32(_mm_add_epi32(t, _mm_shuffle_epi32(t, 0xb1)));
}

/* The greatest of eight lanes, as whole numbers. */
INLINE int32_t greatest_whole(__m256i v)
{
    __m128i m = _mm_max_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
    m = _mm_max_epi32(m, _mm_shuffle_epi32(m, 0x4e));
    return _mm_cvtsi128_si32(_mm_max_epi32(m, _mm_shuffle_epi32(m, 0xb1)));
}

/* 32 numbers as whole ones of 16 bits, eight in each of `whole`; gives the scale.  Magnitudes are compared as bits, whose
 * order is theirs, with NaN above all. */
INLINE float round_words(const float *x, __m256i whole[4])
{
    __m256 v[4];
    __m256i greatest = _mm256_setzero_si256();
    UNROLL
    for (int i = 0; i < 4; i++) {
        v[i] = _mm256_loadu_ps(x + 8 * i);
        greatest = _mm256_max_epi32(greatest, _mm256_castps_si256(_mm256_andnot_ps(_mm256_set1_ps(-0.0f), v[i])));
    }
    int32_t bits = greatest_whole(greatest);
    float scale;
    memcpy(&scale, &bits, sizeof scale);
    scale /= (float)INPUT_MAX;
    __m256 inverse = _mm256_set1_ps(scale > 0 ? 1.0f / scale : 0);
    UNROLL
    for (int i = 0; i < 4; i++)
        whole[i] = _mm256_cvtps_epi32(_mm256_mul_ps(v[i], inverse));
    return scale;
}

static void quantise_words(const float *x, int64_t n, int16_t *q, float *scale, float *sum, float *second_sum)
{
    clear_input(q, n / 32);
    for (int64_t b = 0; b < n / 32; b++, x += 32) {
        __m256i whole[4];
        scale[b] = round_words(x, whole);
        put_input(q, n / 32, b, whole);
        sum[b] = scale[b] * (float)sum_whole(_mm256_add_epi32(_mm256_add_epi32(whole[0], whole[1]),
                                                              _mm256_add_epi32(whole[2], whole[3])));
        second_sum[b] = scale[b] * (float)sum_whole(_mm256_add_epi32(whole[2], whole[3]));
    }
}

#endif
