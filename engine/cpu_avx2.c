/* cpu_avx2: kernels for x86-64 with AVX2, FMA and F16C.
 *
 * Few tokens: quantised weights meet the input as 16-bit numbers (blocks of 32, one scale): vpmaddwd multiplies and adds
 * pairs exactly, and 15 bits keep the input so well that the result is that of floats for any practical purpose.  (Bytes
 * would be a little faster, but their rounding moves log-probabilities by a tenth.)  Many tokens: some rows are unpacked to
 * floats that stay in the cache, and multiplied by the input as it is.
 *
 * One text per idea; a type is a few inlined lines in cpu_avx2_types.h. */
#include "engine/cpu_kernels.h"

#if defined(__AVX2__) && defined(__FMA__) && defined(__F16C__)

#include <immintrin.h>
#include <math.h>
#include <string.h>

#include "engine/cpu_avx2_types.h"

INLINE float sum_lanes(__m256 v)
{
    __m128 x = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    x = _mm_add_ps(x, _mm_movehl_ps(x, x));
    return _mm_cvtss_f32(_mm_add_ss(x, _mm_movehdup_ps(x)));
}

/* Four sums at once: lane i is that of v[i]. */
INLINE __m128 sum_lanes4(const __m256 v[4])
{
    __m256 pairs = _mm256_hadd_ps(_mm256_hadd_ps(v[0], v[1]), _mm256_hadd_ps(v[2], v[3]));
    return _mm_add_ps(_mm256_castps256_ps128(pairs), _mm256_extractf128_ps(pairs, 1));
}

/* ---- few tokens: 16-bit weights against the 16-bit input ---- */

enum { ROWS = 4 }; /* rows whose blocks are in flight at a time */

/* What a type is to a kernel, all of it known when it is compiled. */
struct type {
    group_fn *group;
    words_fn *words;
    int n_blocks; /* a group: 1 or 8 */
    size_t bytes; /* a group */
    int traits;
};

/* The scales of a group's blocks times those of the input, for each half of a block. */
struct scales {
    float first[8], second[8];
};

INLINE struct scales scale_group(struct type type, const unsigned char *p, const float *scale, const float *sum,
                                 __m256 *minima)
{
    struct group group = type.group(p);
    struct scales scales;
    if (type.n_blocks == 1) {
        scales.first[0] = _mm256_cvtss_f32(group.scale) * scale[0];
        if (type.traits & HAS_MIN)
            *minima = _mm256_add_ps(*minima, _mm256_set_ps(0, 0, 0, 0, 0, 0, 0, _mm256_cvtss_f32(group.min) * sum[0]));
        return scales;
    }
    __m256 input = _mm256_loadu_ps(scale);
    _mm256_storeu_ps(scales.first, _mm256_mul_ps(group.scale, input));
    if (type.traits & TWO_SCALES)
        _mm256_storeu_ps(scales.second, _mm256_mul_ps(group.second_scale, input));
    if (type.traits & HAS_MIN)
        *minima = _mm256_fmadd_ps(group.min, _mm256_loadu_ps(sum), *minima);
    return scales;
}

/* Sums of rows 0..n_rows-1 against one token's input.  Each is one accumulator over the blocks in order. */
INLINE void dot_words(struct type type, int n_rows, const unsigned char *rows, size_t row_bytes, const int16_t *q,
                      const float *scale, const float *sum, int64_t n_groups, float *out)
{
    __m256 total[ROWS], minima[ROWS];
    struct scales scales[ROWS];
    UNROLL
    for (int r = 0; r < n_rows; r++)
        total[r] = minima[r] = _mm256_setzero_ps();
    for (int64_t g = 0; g < n_groups; g++, q += 32 * type.n_blocks, scale += type.n_blocks, sum += type.n_blocks) {
        const unsigned char *p = rows + (size_t)g * type.bytes;
        UNROLL
        for (int r = 0; r < n_rows; r++)
            scales[r] = scale_group(type, p + (size_t)r * row_bytes, scale, sum, &minima[r]);
        UNROLL
        for (int k = 0; k < type.n_blocks; k++) {
            __m256i first = _mm256_loadu_si256((const __m256i *)(const void *)(q + k * 32));
            __m256i second = _mm256_loadu_si256((const __m256i *)(const void *)(q + k * 32 + 16));
            UNROLL
            for (int r = 0; r < n_rows; r++) {
                struct words32 w = type.words(p + (size_t)r * row_bytes, k);
                __m256i a = _mm256_madd_epi16(w.first, first), c = _mm256_madd_epi16(w.second, second);
                __m256 x = _mm256_broadcast_ss(&scales[r].first[k]);
                if (type.traits & TWO_SCALES) {
                    __m256 y = _mm256_broadcast_ss(&scales[r].second[k]);
                    total[r] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(a), x, total[r]);
                    total[r] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(c), y, total[r]);
                } else {
                    total[r] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(_mm256_add_epi32(a, c)), x, total[r]);
                }
            }
        }
    }
    UNROLL
    for (int r = 0; r < n_rows; r++)
        out[r] = sum_lanes(_mm256_add_ps(total[r], minima[r]));
}

/* ---- many tokens: rows unpacked to floats, then tiles of rows and tokens ---- */

INLINE void unpack_floats(struct type type, const unsigned char *row, int64_t n_groups, float *out)
{
    for (int64_t g = 0; g < n_groups; g++) {
        const unsigned char *p = row + (size_t)g * type.bytes;
        struct group group = type.group(p);
        float scale[8], second_scale[8], min[8] = {0};
        _mm256_storeu_ps(scale, group.scale);
        _mm256_storeu_ps(second_scale, type.traits & TWO_SCALES ? group.second_scale : group.scale);
        if (type.traits & HAS_MIN)
            _mm256_storeu_ps(min, group.min);
        UNROLL
        for (int k = 0; k < type.n_blocks; k++, out += 32) {
            struct words32 w = type.words(p, k);
            __m256 low = _mm256_set1_ps(min[k]), first = _mm256_set1_ps(scale[k]),
                   second = _mm256_set1_ps(second_scale[k]);
            __m128i q[4] = {_mm256_castsi256_si128(w.first), _mm256_extracti128_si256(w.first, 1),
                            _mm256_castsi256_si128(w.second), _mm256_extracti128_si256(w.second, 1)};
            UNROLL
            for (int i = 0; i < 4; i++)
                _mm256_storeu_ps(out + i * 8, _mm256_fmadd_ps(_mm256_cvtepi32_ps(_mm256_cvtepi16_epi32(q[i])),
                                                              i < 2 ? first : second, low));
        }
    }
}

/* Eight plain weights from place i. */
typedef __m256 load_fn(const unsigned char *row, int64_t i);

INLINE __m256 load_f32(const unsigned char *row, int64_t i)
{
    return _mm256_loadu_ps((const float *)(const void *)row + i);
}

INLINE __m256 load_f16(const unsigned char *row, int64_t i)
{
    return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)(row + 2 * i)));
}

INLINE __m256 load_bf16(const unsigned char *row, int64_t i)
{
    __m128i half = _mm_loadu_si128((const __m128i *)(const void *)(row + 2 * i));
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(half), 16));
}

INLINE __m256 load_q8_0(const unsigned char *row, int64_t i)
{
    const unsigned char *p = row + i / 32 * 34;
    __m128i q = _mm_loadl_epi64((const __m128i *)(const void *)(p + 2 + i % 32));
    return _mm256_mul_ps(_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(q)), _mm256_set1_ps(half_at(p)));
}

/* out[r + t * stride] for a tile of rows and tokens.  Each sum is one accumulator over the columns in order. */
INLINE void dot_floats(load_fn *load, int n_rows, int n_tokens, const unsigned char *rows, size_t row_bytes,
                       const float *x, int64_t x_stride, int64_t n, float *out, int64_t stride)
{
    __m256 total[3][ROWS];
    UNROLL
    for (int t = 0; t < n_tokens; t++)
        UNROLL
    for (int r = 0; r < ROWS; r++)
        total[t][r] = _mm256_setzero_ps();
    for (int64_t i = 0; i + 8 <= n; i += 8) {
        __m256 input[3];
        UNROLL
        for (int t = 0; t < n_tokens; t++)
            input[t] = _mm256_loadu_ps(x + t * x_stride + i);
        UNROLL
        for (int r = 0; r < n_rows; r++) {
            __m256 w = load(rows + (size_t)r * row_bytes, i);
            UNROLL
            for (int t = 0; t < n_tokens; t++)
                total[t][r] = _mm256_fmadd_ps(w, input[t], total[t][r]);
        }
    }
    UNROLL
    for (int t = 0; t < n_tokens; t++) {
        float sums[4];
        _mm_storeu_ps(sums, sum_lanes4(total[t]));
        memcpy(out + t * stride, sums, (size_t)n_rows * sizeof *out);
    }
}

/* The columns beyond the last multiple of eight: only plain types have rows of such widths. */
static void add_rest(enum quant_type type, int64_t n_rows, int32_t n_tokens, const unsigned char *rows,
                     size_t row_bytes, const float *x, int64_t x_stride, int64_t n, float *out, int64_t stride)
{
    int64_t begin = n / 8 * 8;
    float w[8];
    for (int64_t r = 0; begin < n && r < n_rows; r++) {
        const struct quant_info *info = quant_info(type);
        info->unpack(rows + (size_t)r * row_bytes + (size_t)begin * info->block_bytes, w, (size_t)(n - begin));
        for (int32_t t = 0; t < n_tokens; t++)
            for (int64_t i = begin; i < n; i++)
                out[r + t * stride] += w[i - begin] * x[t * x_stride + i];
    }
}

INLINE void multiply_rows(load_fn *load, int n_rows, int32_t n_tokens, const unsigned char *rows, size_t row_bytes,
                          const float *x, int64_t x_stride, int64_t n, float *out, int64_t stride)
{
    int32_t t = 0;
    for (; t + 3 <= n_tokens; t += 3)
        dot_floats(load, n_rows, 3, rows, row_bytes, x + t * x_stride, x_stride, n, out + t * stride, stride);
    for (; t < n_tokens; t++)
        dot_floats(load, n_rows, 1, rows, row_bytes, x + t * x_stride, x_stride, n, out + t * stride, stride);
}

/* n_rows rows against n_tokens tokens, by tiles of at most 4 × 3. */
INLINE void multiply_floats(load_fn *load, int64_t n_rows, int32_t n_tokens, const unsigned char *rows,
                            size_t row_bytes, const float *x, int64_t x_stride, int64_t n, float *out, int64_t stride)
{
    int64_t r = 0;
    for (; r + ROWS <= n_rows; r += ROWS)
        multiply_rows(load, ROWS, n_tokens, rows + (size_t)r * row_bytes, row_bytes, x, x_stride, n, out + r, stride);
    for (; r < n_rows; r++)
        multiply_rows(load, 1, n_tokens, rows + (size_t)r * row_bytes, row_bytes, x, x_stride, n, out + r, stride);
}

static void multiply_f32(int64_t n_rows, int32_t n_tokens, const unsigned char *rows, size_t row_bytes, const float *x,
                         int64_t x_stride, int64_t n, float *out, int64_t stride)
{
    multiply_floats(load_f32, n_rows, n_tokens, rows, row_bytes, x, x_stride, n, out, stride);
}

/* ---- matmul ---- */

enum { FEW_TOKENS = 3, PANEL_ROWS = 16, PANEL_TOKENS = 48 };

_Static_assert(MODEL_MAX_WIDTH + PANEL_ROWS * PANEL_TOKENS <= CPU_SCRATCH_FLOATS, "a row and its results fit");

/* vpmaddwd's sums of weight · input stay exact: 4 · 128 · 32767 fits 32 bits many times. */
enum { INPUT_MAX = 32767 };

INLINE void put(const struct matmul_out *out, int64_t row, int32_t token, float value)
{
    float *to = out->out + token * out->stride + row;
    if (out->bias)
        value += out->bias[row];
    *to = out->accumulate ? *to + value : value;
}

INLINE void matmul_few(struct type type, const struct weight *weight, const unsigned char *data, int64_t begin,
                       int64_t end, const struct activation *x, const struct matmul_out *out)
{
    int64_t n_blocks = x->n_cols / 32;
    for (int64_t row = begin; row < end; row += ROWS) {
        const unsigned char *rows = data + (size_t)row * weight->row_bytes;
        int n_rows = end - row < ROWS ? (int)(end - row) : ROWS;
        for (int32_t t = 0; t < x->n_tokens; t++) {
            const int16_t *q = x->q + t * x->n_cols;
            const float *scale = x->scale + t * n_blocks, *sum = x->sum + t * n_blocks;
            float value[ROWS];
            if (n_rows == ROWS)
                dot_words(type, ROWS, rows, weight->row_bytes, q, scale, sum, n_blocks / type.n_blocks, value);
            else
                for (int r = 0; r < n_rows; r++)
                    dot_words(type, 1, rows + (size_t)r * weight->row_bytes, weight->row_bytes, q, scale, sum,
                              n_blocks / type.n_blocks, value + r);
            for (int r = 0; r < n_rows; r++)
                put(out, row + r, t, value[r]);
        }
    }
}

/* Unpacks n_rows rows to floats, one after another. */
typedef void unpack_rows_fn(const struct weight *weight, const unsigned char *rows, int64_t n_rows, float *out);

/* Panels of rows, unpacked once for all tokens.  Scratch: the panel, then its results. */
INLINE void matmul_many(unpack_rows_fn *unpack_rows, const struct weight *weight, const unsigned char *data,
                        int64_t begin, int64_t end, const struct activation *x, const struct matmul_out *out,
                        float *scratch)
{
    float *results = scratch + (CPU_SCRATCH_FLOATS - PANEL_ROWS * PANEL_TOKENS);
    int64_t fitting = (CPU_SCRATCH_FLOATS - PANEL_ROWS * PANEL_TOKENS) / weight->n_cols;
    int64_t panel = fitting < PANEL_ROWS ? fitting : PANEL_ROWS;
    for (int64_t row = begin; row < end; row += panel) {
        int64_t n_rows = end - row < panel ? end - row : panel;
        unpack_rows(weight, data + (size_t)row * weight->row_bytes, n_rows, scratch);
        for (int32_t t = 0; t < x->n_tokens; t += PANEL_TOKENS) {
            int32_t n_tokens = x->n_tokens - t < PANEL_TOKENS ? x->n_tokens - t : PANEL_TOKENS;
            const float *from = x->x + t * x->x_stride;
            size_t row_bytes = (size_t)weight->n_cols * sizeof *scratch;
            const unsigned char *rows = (const unsigned char *)scratch;
            multiply_f32(n_rows, n_tokens, rows, row_bytes, from, x->x_stride, x->n_cols, results, PANEL_ROWS);
            add_rest(QUANT_F32, n_rows, n_tokens, rows, row_bytes, from, x->x_stride, x->n_cols, results, PANEL_ROWS);
            for (int32_t k = 0; k < n_tokens; k++)
                for (int64_t r = 0; r < n_rows; r++)
                    put(out, row + r, t + k, results[r + k * PANEL_ROWS]);
        }
    }
}

/* Plain weights and few tokens: straight from the file. */
INLINE void matmul_few_floats(load_fn *load, const struct weight *weight, const unsigned char *data, int64_t begin,
                              int64_t end, const struct activation *x, const struct matmul_out *out)
{
    for (int64_t row = begin; row < end; row += PANEL_ROWS) {
        float results[PANEL_ROWS * FEW_TOKENS];
        int64_t n_rows = end - row < PANEL_ROWS ? end - row : PANEL_ROWS;
        const unsigned char *rows = data + (size_t)row * weight->row_bytes;
        multiply_floats(load, n_rows, x->n_tokens, rows, weight->row_bytes, x->x, x->x_stride, x->n_cols, results,
                        PANEL_ROWS);
        add_rest(weight->type, n_rows, x->n_tokens, rows, weight->row_bytes, x->x, x->x_stride, x->n_cols, results,
                 PANEL_ROWS);
        for (int32_t t = 0; t < x->n_tokens; t++)
            for (int64_t r = 0; r < n_rows; r++)
                put(out, row + r, t, results[r + t * PANEL_ROWS]);
    }
}

/* ---- a row of the type table: the same two ideas, with a type's unpacker inlined ---- */

struct type_kernels {
    enum quant_type type;
    void (*few)(const struct weight *weight, const unsigned char *data, int64_t begin, int64_t end,
                const struct activation *x, const struct matmul_out *out);
    unpack_rows_fn *unpack_rows;
    bool takes_words;
};

#define QUANTISED_TYPE(name, n_blocks, bytes, traits)                                                                  \
    static void few_##name(const struct weight *weight, const unsigned char *data, int64_t begin, int64_t end,         \
                           const struct activation *x, const struct matmul_out *out)                                   \
    {                                                                                                                  \
        const struct type type = {group_##name, words_##name, n_blocks, bytes, traits};                                \
        matmul_few(type, weight, data, begin, end, x, out);                                                            \
    }                                                                                                                  \
    static void rows_##name(const struct weight *weight, const unsigned char *rows, int64_t n_rows, float *out)        \
    {                                                                                                                  \
        const struct type type = {group_##name, words_##name, n_blocks, bytes, traits};                                \
        for (int64_t r = 0; r < n_rows; r++)                                                                           \
            unpack_floats(type, rows + (size_t)r * weight->row_bytes, weight->n_cols / (32 * (n_blocks)),              \
                          out + r * weight->n_cols);                                                                   \
    }

#define PLAIN_TYPE(name)                                                                                               \
    static void few_##name(const struct weight *weight, const unsigned char *data, int64_t begin, int64_t end,         \
                           const struct activation *x, const struct matmul_out *out)                                   \
    {                                                                                                                  \
        matmul_few_floats(load_##name, weight, data, begin, end, x, out);                                              \
    }

QUANTISED_TYPE(q8_0, 1, 34, PLAIN_SCALE)
QUANTISED_TYPE(q4_0, 1, 18, HAS_MIN)
QUANTISED_TYPE(q4_1, 1, 20, HAS_MIN)
QUANTISED_TYPE(q5_0, 1, 22, HAS_MIN)
QUANTISED_TYPE(q5_1, 1, 24, HAS_MIN)
QUANTISED_TYPE(q4_k, 8, 144, HAS_MIN)
QUANTISED_TYPE(q5_k, 8, 176, HAS_MIN)
QUANTISED_TYPE(q6_k, 8, 210, TWO_SCALES)
PLAIN_TYPE(f32)
PLAIN_TYPE(f16)
PLAIN_TYPE(bf16)

/* Any other type, and plain ones: by its scalar unpacker. */
static void rows_any(const struct weight *weight, const unsigned char *rows, int64_t n_rows, float *out)
{
    for (int64_t r = 0; r < n_rows; r++)
        quant_info(weight->type)
            ->unpack(rows + (size_t)r * weight->row_bytes, out + r * weight->n_cols, (size_t)weight->n_cols);
}

static const struct type_kernels type_table[] = {
    {QUANT_Q8_0, few_q8_0, rows_q8_0, true}, {QUANT_Q4_0, few_q4_0, rows_q4_0, true},
    {QUANT_Q4_1, few_q4_1, rows_q4_1, true}, {QUANT_Q5_0, few_q5_0, rows_q5_0, true},
    {QUANT_Q5_1, few_q5_1, rows_q5_1, true}, {QUANT_Q4_K, few_q4_k, rows_q4_k, true},
    {QUANT_Q5_K, few_q5_k, rows_q5_k, true}, {QUANT_Q6_K, few_q6_k, rows_q6_k, true},
    {QUANT_F32, few_f32, rows_any, false},   {QUANT_F16, few_f16, rows_any, false},
    {QUANT_BF16, few_bf16, rows_any, false},
};
static const struct type_kernels other_type = {QUANT_LIMIT, NULL, rows_any, false};

static const struct type_kernels *find_type(enum quant_type type)
{
    for (size_t i = 0; i < sizeof type_table / sizeof *type_table; i++)
        if (type_table[i].type == type)
            return &type_table[i];
    return &other_type;
}

static bool takes_words(enum quant_type type)
{
    return find_type(type)->takes_words;
}

static void matmul(const struct weight *weight, int64_t mat, int64_t begin, int64_t end, const struct activation *x,
                   const struct matmul_out *out, float *scratch)
{
    const struct type_kernels *kernels = find_type(weight->type);
    const unsigned char *data = weight->data + (size_t)mat * weight->mat_bytes;
    if (x->n_tokens <= FEW_TOKENS && kernels->few)
        kernels->few(weight, data, begin, end, x, out);
    else
        matmul_many(kernels->unpack_rows, weight, data, begin, end, x, out, scratch);
}

/* ---- the input as 16-bit numbers ---- */

static void quantise(const float *x, int64_t n, int16_t *q, float *scale, float *sum)
{
    const __m256 sign = _mm256_set1_ps(-0.0f);
    for (int64_t b = 0; b < n / 32; b++, x += 32, q += 32) {
        __m256 v[4];
        __m256i greatest = _mm256_setzero_si256(); /* as bits, whose order is that of magnitudes, and NaN above all */
        UNROLL
        for (int i = 0; i < 4; i++) {
            v[i] = _mm256_loadu_ps(x + 8 * i);
            greatest = _mm256_max_epi32(greatest, _mm256_castps_si256(_mm256_andnot_ps(sign, v[i])));
        }
        __m128i m = _mm_max_epi32(_mm256_castsi256_si128(greatest), _mm256_extracti128_si256(greatest, 1));
        m = _mm_max_epi32(m, _mm_shuffle_epi32(m, 0x4e));
        m = _mm_max_epi32(m, _mm_shuffle_epi32(m, 0xb1));
        float s = _mm_cvtss_f32(_mm_castsi128_ps(m)) / (float)INPUT_MAX;
        __m256 inverse = _mm256_set1_ps(s > 0 ? 1.0f / s : 0);
        __m256i whole[4];
        UNROLL
        for (int i = 0; i < 4; i++)
            whole[i] = _mm256_cvtps_epi32(_mm256_mul_ps(v[i], inverse));
        /* Packing works in each 128-bit half: the permutation puts the quarters back in order. */
        UNROLL
        for (int i = 0; i < 2; i++)
            _mm256_storeu_si256((__m256i *)(void *)(q + 16 * i),
                                _mm256_permute4x64_epi64(_mm256_packs_epi32(whole[2 * i], whole[2 * i + 1]), 0xd8));
        __m256i total = _mm256_add_epi32(_mm256_add_epi32(whole[0], whole[1]), _mm256_add_epi32(whole[2], whole[3]));
        __m128i t = _mm_add_epi32(_mm256_castsi256_si128(total), _mm256_extracti128_si256(total, 1));
        t = _mm_add_epi32(t, _mm_shuffle_epi32(t, 0x4e));
        t = _mm_add_epi32(t, _mm_shuffle_epi32(t, 0xb1));
        scale[b] = s;
        sum[b] = s * (float)_mm_cvtsi128_si32(t);
    }
}

/* ---- exp, silu ---- */

/* e^x = 2^k · e^r with |r| <= ln 2 / 2; e^r by its Taylor polynomial of degree 7 (error below 2e-8, relative).
 * Below -87 the result is 0, above 88 it is e^88; what is not a number stays so. */
INLINE __m256 exp8(__m256 x)
{
    const __m256 low = _mm256_set1_ps(-87.0f);
    __m256 is_zero = _mm256_cmp_ps(x, low, _CMP_LT_OQ);
    x = _mm256_min_ps(_mm256_set1_ps(88.0f), _mm256_max_ps(low, x));
    __m256 k =
        _mm256_round_ps(_mm256_mul_ps(x, _mm256_set1_ps(1.44269504f)), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    __m256 r = _mm256_fnmadd_ps(k, _mm256_set1_ps(0.693359375f), x); /* ln 2 in two parts, the first exact */
    r = _mm256_fnmadd_ps(k, _mm256_set1_ps(-2.12194440e-4f), r);
    const float terms[] = {1.0f / 720, 1.0f / 120, 1.0f / 24, 1.0f / 6, 0.5f, 1.0f, 1.0f};
    __m256 p = _mm256_set1_ps(1.0f / 5040);
    for (size_t i = 0; i < sizeof terms / sizeof *terms; i++)
        p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(terms[i]));
    __m256i power = _mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(k), _mm256_set1_epi32(127)), 23);
    return _mm256_andnot_ps(is_zero, _mm256_mul_ps(p, _mm256_castsi256_ps(power)));
}

INLINE __m256 silu8(__m256 x)
{
    __m256 one = _mm256_set1_ps(1.0f);
    return _mm256_div_ps(x, _mm256_add_ps(one, exp8(_mm256_sub_ps(_mm256_setzero_ps(), x))));
}

/* x / (1 + e^(-2z)) is x · (1 + tanh z) / 2. */
INLINE __m256 gelu8(__m256 x)
{
    __m256 square = _mm256_mul_ps(x, x), one = _mm256_set1_ps(1.0f);
    __m256 z = _mm256_mul_ps(x, _mm256_fmadd_ps(square, _mm256_set1_ps(0.044715f), one));
    return _mm256_div_ps(x, _mm256_add_ps(one, exp8(_mm256_mul_ps(z, _mm256_set1_ps(-2 * 0.79788456f)))));
}

static void silu_gate(float *gate, const float *up, size_t n)
{
    size_t i = 0;
    for (; i + 8 <= n; i += 8)
        _mm256_storeu_ps(gate + i, _mm256_mul_ps(silu8(_mm256_loadu_ps(gate + i)), _mm256_loadu_ps(up + i)));
    if (i < n) {
        float g[8] = {0}, u[8] = {0};
        memcpy(g, gate + i, (n - i) * sizeof *g);
        memcpy(u, up + i, (n - i) * sizeof *u);
        _mm256_storeu_ps(g, _mm256_mul_ps(silu8(_mm256_loadu_ps(g)), _mm256_loadu_ps(u)));
        memcpy(gate + i, g, (n - i) * sizeof *g);
    }
}

static void gelu(float *x, size_t n)
{
    size_t i = 0;
    for (; i + 8 <= n; i += 8)
        _mm256_storeu_ps(x + i, gelu8(_mm256_loadu_ps(x + i)));
    if (i < n) {
        float rest[8] = {0};
        memcpy(rest, x + i, (n - i) * sizeof *rest);
        _mm256_storeu_ps(rest, gelu8(_mm256_loadu_ps(rest)));
        memcpy(x + i, rest, (n - i) * sizeof *rest);
    }
}

/* ---- attention ----
 *
 * Cells come in blocks of CELLS: keys are unpacked to floats, scores are a small matmul, the softmax is carried on from
 * block to block with a running greatest score (Milakov & Gimelshein 2018), values are unpacked and added up.
 * Scratch: keys or values of a block, scores, running maxima and totals. */

enum { CELLS = 32 };
_Static_assert(CELLS *(CPU_TILE_QUERIES + MODEL_MAX_HEAD_WIDTH) <= CPU_SCRATCH_FLOATS, "a block of cells fits");

INLINE void unpack_cells(load_fn *load, const unsigned char *rows, size_t row_bytes, int64_t n_cells, int64_t width,
                         float *out)
{
    for (int64_t c = 0; c < n_cells; c++)
        for (int64_t i = 0; i < width; i += 8)
            _mm256_storeu_ps(out + c * width + i, load(rows + (size_t)c * row_bytes, i));
}

static void unpack_rows_of(enum quant_type type, const unsigned char *rows, size_t row_bytes, int64_t n_cells,
                           int64_t width, float *out)
{
    if (width % 8) {
        const struct quant_info *info = quant_info(type);
        for (int64_t c = 0; c < n_cells; c++)
            info->unpack(rows + (size_t)c * row_bytes, out + c * width, (size_t)width);
    } else if (type == QUANT_F32) {
        unpack_cells(load_f32, rows, row_bytes, n_cells, width, out);
    } else if (type == QUANT_Q8_0) {
        unpack_cells(load_q8_0, rows, row_bytes, n_cells, width, out);
    } else {
        unpack_cells(load_f16, rows, row_bytes, n_cells, width, out);
    }
}

/* Takes one query's CELLS scores, of which [first, n) count, into its running softmax: scores become shares.  Returns what the
 * sums so far must be multiplied with. */
static float soften(float *scores, int32_t first, int32_t n, float scale, float *greatest, float *total)
{
    __m256 s = _mm256_set1_ps(scale), m = _mm256_set1_ps(*greatest);
    for (int32_t i = 0; i < first; i++)
        scores[i] = -INFINITY;
    for (int32_t i = n; i < CELLS; i++)
        scores[i] = -INFINITY;
    for (int32_t i = 0; i < CELLS; i += 8) {
        __m256 v = _mm256_mul_ps(_mm256_loadu_ps(scores + i), s);
        _mm256_storeu_ps(scores + i, v);
        m = _mm256_max_ps(m, v);
    }
    __m128 h = _mm_max_ps(_mm256_castps256_ps128(m), _mm256_extractf128_ps(m, 1));
    h = _mm_max_ps(h, _mm_movehl_ps(h, h));
    float now = _mm_cvtss_f32(_mm_max_ss(h, _mm_movehdup_ps(h)));
    float keep = *greatest == now ? 1.0f : expf(*greatest - now);
    __m256 sum = _mm256_setzero_ps(), base = _mm256_set1_ps(now);
    for (int32_t i = 0; i < CELLS; i += 8) {
        __m256 share = exp8(_mm256_sub_ps(_mm256_loadu_ps(scores + i), base));
        _mm256_storeu_ps(scores + i, share);
        sum = _mm256_add_ps(sum, share);
    }
    *greatest = now;
    *total = *total * keep + sum_lanes(sum);
    return keep;
}

/* out = out · keep + Σ shares[c] · values[c] over n cells. */
static void add_values(float *out, float keep, const float *shares, const float *values, int32_t n, int64_t width)
{
    int64_t i = 0;
    for (; i + 32 <= width; i += 32) {
        __m256 k = _mm256_set1_ps(keep), sum[4];
        UNROLL
        for (int j = 0; j < 4; j++)
            sum[j] = _mm256_mul_ps(_mm256_loadu_ps(out + i + 8 * j), k);
        for (int32_t c = 0; c < n; c++) {
            __m256 share = _mm256_broadcast_ss(shares + c);
            UNROLL
            for (int j = 0; j < 4; j++)
                sum[j] = _mm256_fmadd_ps(share, _mm256_loadu_ps(values + c * width + i + 8 * j), sum[j]);
        }
        UNROLL
        for (int j = 0; j < 4; j++)
            _mm256_storeu_ps(out + i + 8 * j, sum[j]);
    }
    for (; i < width; i++) {
        float sum = out[i] * keep;
        for (int32_t c = 0; c < n; c++)
            sum += shares[c] * values[c * width + i];
        out[i] = sum;
    }
}

/* The softmax of all queries of a tile, carried on from block to block. */
struct running {
    float greatest[CPU_TILE_QUERIES], total[CPU_TILE_QUERIES];
    float keep[CPU_TILE_QUERIES];   /* what the sums so far are to be multiplied with */
    int32_t seen[CPU_TILE_QUERIES]; /* cells of this block, from its first on, that have shares; 0: none */
};

static float *result_of(const struct attention_tile *tile, int32_t query)
{
    return tile->out + query / tile->n_heads * tile->out_stride + query % tile->n_heads * tile->v_width;
}

/* The first cell that the token at position sees. */
static int32_t first_seen(const struct attention_tile *tile, int32_t position)
{
    return tile->window && position >= tile->window ? position - tile->window + 1 : 0;
}

/* Scores of all queries with n cells from cell on, whose keys stand in block; then their shares. */
static void score_block(const struct attention_tile *tile, int32_t cell, int32_t n, const float *block, float *scores,
                        struct running *running)
{
    size_t bytes = (size_t)tile->k_width * sizeof *block;
    const unsigned char *rows = (const unsigned char *)block;
    for (int32_t t = 0; t < tile->n_tokens; t++) {
        float *row = scores + t * tile->n_heads * CELLS;
        const float *q = tile->q + t * tile->q_stride;
        multiply_f32(n, tile->n_heads, rows, bytes, q, tile->k_width, tile->k_width, row, CELLS);
        add_rest(QUANT_F32, n, tile->n_heads, rows, bytes, q, tile->k_width, tile->k_width, row, CELLS);
    }
    for (int32_t k = 0; k < tile->n_tokens * tile->n_heads; k++) {
        int32_t position = tile->position + k / tile->n_heads;
        int32_t end = position + 1 - cell < n ? position + 1 - cell : n;
        int32_t first = first_seen(tile, position) > cell ? first_seen(tile, position) - cell : 0;
        running->seen[k] = first < end ? end : 0;
        if (running->seen[k])
            running->keep[k] =
                soften(scores + k * CELLS, first, end, tile->scale, &running->greatest[k], &running->total[k]);
    }
}

static void attention(const struct attention_tile *tile, float *scratch)
{
    int32_t n_queries = tile->n_tokens * tile->n_heads, n_cells = tile->position + tile->n_tokens;
    float *scores = scratch, *block = scratch + CPU_TILE_QUERIES * CELLS;
    struct running running = {0};
    for (int32_t k = 0; k < n_queries; k++) {
        running.greatest[k] = -INFINITY;
        running.total[k] = 0;
        memset(result_of(tile, k), 0, (size_t)tile->v_width * sizeof(float));
    }
    for (int32_t cell = first_seen(tile, tile->position) / CELLS * CELLS; cell < n_cells; cell += CELLS) {
        int32_t n = n_cells - cell < CELLS ? n_cells - cell : CELLS;
        unpack_rows_of(tile->type, tile->keys + (size_t)cell * tile->k_row_bytes, tile->k_row_bytes, n, tile->k_width,
                       block);
        score_block(tile, cell, n, block, scores, &running);
        unpack_rows_of(tile->type, tile->values + (size_t)cell * tile->v_row_bytes, tile->v_row_bytes, n, tile->v_width,
                       block);
        for (int32_t k = 0; k < n_queries; k++)
            if (running.seen[k])
                add_values(result_of(tile, k), running.keep[k], scores + k * CELLS, block, running.seen[k],
                           tile->v_width);
    }
    for (int32_t k = 0; k < n_queries; k++)
        for (int32_t i = 0; i < tile->v_width; i++)
            result_of(tile, k)[i] /= running.total[k];
}

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
};

#endif
