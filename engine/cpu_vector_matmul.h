/* cpu_vector_matmul: matrix products in terms of a vector of floats: one text, compiled for each instruction set.
 *
 * Included once by cpu_avx2.c and cpu_avx512_vnni.c, after what they define: vec with LANES floats and its operations, the
 * sizes of a tile, and how a block of weights meets the input.
 *
 * Few tokens: quantised weights meet the input as 16-bit numbers (blocks of 32, one scale): pairs are multiplied and added
 * exactly, and 15 bits keep the input so well that the result is that of floats for any practical purpose.  (Bytes would be
 * a little faster, but their rounding moves log-probabilities by a tenth.)  Many tokens: some rows are unpacked to floats
 * that stay in the cache, and multiplied by the input as it is. */
#ifndef FATHOM_ENGINE_CPU_VECTOR_MATMUL_H
#define FATHOM_ENGINE_CPU_VECTOR_MATMUL_H

/* ---- few tokens: the weights as 16-bit numbers against the 16-bit input ---- */

/* Where the scales of a group's blocks wait; pairs of them where a block has two. */
struct ready_scales {
    float scale[2 * GROUP];
};

/* The place of block k's pair, as two unpackings of eight lanes leave them. */
INLINE int pair_place(int k)
{
    return 2 * ((k & 1) | (k & 2) << 1 | (k & 4) >> 1);
}

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
}

INLINE vec scale_of(const struct ready_scales *ready, int traits, int k)
{
    return traits & TWO_SCALES ? vec_halves(ready->scale + pair_place(k)) : vec_set(ready->scale[k]);
}

/* One row of the input's scales and sums. */
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

/* Adds n blocks, one group of a row. */
INLINE void add_group(struct type type, int n, const unsigned char *p, const int16_t *q, struct input_scales x,
                      struct row_sum *sum)
{
    UNROLL
    for (size_t i = 0; i < (size_t)(n / type.group_blocks) * type.group_bytes; i += 64)
        _mm_prefetch((const char *)p + AHEAD + i, _MM_HINT_T0);
    struct ready_scales ready;
    struct scales scales = type.scales(p, n);
    keep_scales(&ready, type.traits, scales, x.scale);
    sum->part[0] = add_minima(sum->part[0], type.traits, scales, x);
    /* To load and spread a number is one instruction.  A compiler that knows what the memory holds shuffles it out of
     * registers, which is two. */
    __asm__("" : "+m"(ready));
    UNROLL
    for (int k = 0; k < n; k++) {
        vec block = vec_multiply_block(type.bytes(p, k), type.traits, load_input(q + k * 32));
        sum->part[k % 2] = vec_fma(block, scale_of(&ready, type.traits, k), sum->part[k % 2]);
    }
}

/* One token's input. */
struct input_row {
    const int16_t *q;
    const float *scale, *sum, *second_sum;
    int64_t n_blocks;
};

INLINE __m256 first_lanes(const float *x, int n)
{
    float lanes[GROUP] = {0};
    memcpy(lanes, x, (size_t)n * sizeof *x);
    return _mm256_loadu_ps(lanes);
}

/* A row that is not whole groups ends with parts of 4, 2 and 1 blocks, those of them that it needs: where the part of n
 * begins. */
INLINE int64_t part_begin(int64_t n_blocks, int n)
{
    return n_blocks & ~(int64_t)(2 * n - 1);
}

/* Adds the part of n blocks, if there is one. */
INLINE void add_part(struct type type, int n, const unsigned char *row, const struct input_row *x, struct row_sum *sum)
{
    int64_t b = part_begin(x->n_blocks, n);
    if (!(x->n_blocks & n))
        return;
    struct input_scales scales = {first_lanes(x->scale + b, n), first_lanes(x->sum + b, n),
                                  first_lanes(x->second_sum + b, n)};
    add_group(type, n, row + (size_t)b * type.group_bytes, x->q + b * 32, scales, sum);
}

/* A group's bytes, be it one struct of the file or eight. */
INLINE size_t whole_group_bytes(struct type type)
{
    return (size_t)(GROUP / type.group_blocks) * type.group_bytes;
}

/* A row against one token's input. */
INLINE float dot_words(struct type type, const unsigned char *row, const struct input_row *x)
{
    struct row_sum sum = {{vec_zero(), vec_zero()}};
    const unsigned char *p = row;
    const int16_t *q = x->q;
    for (int64_t b = 0; b + GROUP <= x->n_blocks; b += GROUP, p += whole_group_bytes(type), q += GROUP * 32) {
        struct input_scales scales = {_mm256_loadu_ps(x->scale + b), _mm256_loadu_ps(x->sum + b),
                                      _mm256_loadu_ps(x->second_sum + b)};
        add_group(type, GROUP, p, q, scales, &sum);
    }
    /* What is left of a row, by parts whose sizes are known when this is compiled. */
    if (type.group_blocks == 1) {
        add_part(type, 4, row, x, &sum);
        add_part(type, 2, row, x, &sum);
        add_part(type, 1, row, x, &sum);
    }
    return vec_sum(vec_add(sum.part[0], sum.part[1]));
}

/* ---- many tokens: rows unpacked to floats, then tiles of rows and tokens ---- */

INLINE void unpack_group(struct type type, int n, const unsigned char *p, float *out)
{
    struct scales scales = type.scales(p, n);
    float scale[GROUP], second_scale[GROUP], min[GROUP] = {0}, second_min[GROUP];
    _mm256_storeu_ps(scale, scales.scale);
    _mm256_storeu_ps(second_scale, type.traits & TWO_SCALES ? scales.second_scale : scales.scale);
    if (type.traits & HAS_MIN)
        _mm256_storeu_ps(min, scales.min);
    memcpy(second_min, min, sizeof min);
    if (type.traits & TWO_MINS)
        _mm256_storeu_ps(second_min, scales.second_min);
    UNROLL
    for (int k = 0; k < n; k++, out += 32) {
        __m256i bytes = type.bytes(p, k);
        UNROLL
        for (int i = 0; i < 32; i += LANES)
            vec_store(out + i,
                      vec_fma(vec_of_bytes(bytes, i, type.traits), vec_set(i < 16 ? scale[k] : second_scale[k]),
                              vec_set(i < 16 ? min[k] : second_min[k])));
    }
}

INLINE void unpack_part(struct type type, int n, const unsigned char *row, int64_t n_blocks, float *out)
{
    int64_t b = part_begin(n_blocks, n);
    if (n_blocks & n)
        unpack_group(type, n, row + (size_t)b * type.group_bytes, out + b * 32);
}

INLINE void unpack_floats(struct type type, const unsigned char *row, int64_t n_blocks, float *out)
{
    for (int64_t b = 0; b + GROUP <= n_blocks; b += GROUP)
        unpack_group(type, GROUP, row + (size_t)(b / GROUP) * whole_group_bytes(type), out + b * 32);
    if (type.group_blocks == 1) {
        unpack_part(type, 4, row, n_blocks, out);
        unpack_part(type, 2, row, n_blocks, out);
        unpack_part(type, 1, row, n_blocks, out);
    }
}

/* LANES plain weights from place i. */
typedef vec load_fn(const unsigned char *row, int64_t i);

INLINE vec load_f32(const unsigned char *row, int64_t i)
{
    return vec_load((const float *)(const void *)row + i);
}

INLINE vec load_f16(const unsigned char *row, int64_t i)
{
    return vec_of_f16(row + 2 * i);
}

INLINE vec load_bf16(const unsigned char *row, int64_t i)
{
    return vec_of_bf16(row + 2 * i);
}

INLINE vec load_q8_0(const unsigned char *row, int64_t i)
{
    const unsigned char *p = row + i / 32 * 34;
    return vec_mul(vec_of_i8(p + 2 + i % 32), vec_set(half_at(p)));
}

/* out[r + t * stride] for a tile of rows and tokens.  Each sum is one accumulator over the columns in order. */
INLINE void dot_floats(load_fn *load, int n_rows, int n_tokens, const unsigned char *rows, size_t row_bytes,
                       const float *x, int64_t x_stride, int64_t n, float *out, int64_t stride)
{
    vec total[TILE_TOKENS][ROWS];
    UNROLL
    for (int t = 0; t < n_tokens; t++)
        UNROLL
    for (int r = 0; r < ROWS; r++)
        total[t][r] = vec_zero();
    for (int64_t i = 0; i + LANES <= n; i += LANES) {
        vec input[TILE_TOKENS];
        UNROLL
        for (int t = 0; t < n_tokens; t++)
            input[t] = vec_load(x + t * x_stride + i);
        UNROLL
        for (int r = 0; r < n_rows; r++) {
            vec w = load(rows + (size_t)r * row_bytes, i);
            UNROLL
            for (int t = 0; t < n_tokens; t++)
                total[t][r] = vec_fma(w, input[t], total[t][r]);
        }
    }
    UNROLL
    for (int t = 0; t < n_tokens; t++) {
        float sums[4];
        _mm_storeu_ps(sums, vec_sums4(total[t]));
        memcpy(out + t * stride, sums, (size_t)n_rows * sizeof *out);
    }
}

/* The columns beyond the last multiple of LANES: only plain types have rows of such widths. */
static void add_rest(enum quant_type type, int64_t n_rows, int32_t n_tokens, const unsigned char *rows,
                     size_t row_bytes, const float *x, int64_t x_stride, int64_t n, float *out, int64_t stride)
{
    int64_t begin = n / LANES * LANES;
    float w[LANES];
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
    for (; t + TILE_TOKENS <= n_tokens; t += TILE_TOKENS)
        dot_floats(load, n_rows, TILE_TOKENS, rows, row_bytes, x + t * x_stride, x_stride, n, out + t * stride, stride);
    for (; t < n_tokens; t++)
        dot_floats(load, n_rows, 1, rows, row_bytes, x + t * x_stride, x_stride, n, out + t * stride, stride);
}

/* n_rows rows against n_tokens tokens, by tiles of at most ROWS × TILE_TOKENS. */
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
    for (int64_t row = begin; row < end; row++)
        for (int32_t t = 0; t < x->n_tokens; t++) {
            const struct input_row input = {x->q + t * x->n_cols, x->scale + t * n_blocks, x->sum + t * n_blocks,
                                            x->second_sum + t * n_blocks, n_blocks};
            put(out, row, t, dot_words(type, data + (size_t)row * weight->row_bytes, &input));
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
        float results[PANEL_ROWS * PANEL_TOKENS]; /* there are few, but a tile has its size */
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

#define QUANTISED_TYPE(name, group_blocks, group_bytes, traits)                                                        \
    static const struct type type_##name = {scales_##name, bytes_##name, group_blocks, group_bytes, traits};           \
    static void few_##name(const struct weight *weight, const unsigned char *data, int64_t begin, int64_t end,         \
                           const struct activation *x, const struct matmul_out *out)                                   \
    {                                                                                                                  \
        matmul_few(type_##name, weight, data, begin, end, x, out);                                                     \
    }                                                                                                                  \
    static void rows_##name(const struct weight *weight, const unsigned char *rows, int64_t n_rows, float *out)        \
    {                                                                                                                  \
        for (int64_t r = 0; r < n_rows; r++)                                                                           \
            unpack_floats(type_##name, rows + (size_t)r * weight->row_bytes, weight->n_cols / 32,                      \
                          out + r * weight->n_cols);                                                                   \
    }

#define PLAIN_TYPE(name)                                                                                               \
    static void few_##name(const struct weight *weight, const unsigned char *data, int64_t begin, int64_t end,         \
                           const struct activation *x, const struct matmul_out *out)                                   \
    {                                                                                                                  \
        matmul_few_floats(load_##name, weight, data, begin, end, x, out);                                              \
    }

QUANTISED_TYPE(q8_0, 1, 34, SIGNED_BYTES)
QUANTISED_TYPE(q4_0, 1, 18, HAS_MIN)
QUANTISED_TYPE(q4_1, 1, 20, HAS_MIN)
QUANTISED_TYPE(q5_0, 1, 22, HAS_MIN)
QUANTISED_TYPE(q5_1, 1, 24, HAS_MIN)
QUANTISED_TYPE(iq4_nl, 1, 18, SIGNED_BYTES)
QUANTISED_TYPE(mxfp4, 1, 17, SIGNED_BYTES)
QUANTISED_TYPE(q2_k, GROUP, 84, HAS_MIN | TWO_SCALES | TWO_MINS)
QUANTISED_TYPE(q3_k, GROUP, 110, HAS_MIN | TWO_SCALES | TWO_MINS)
QUANTISED_TYPE(q4_k, GROUP, 144, HAS_MIN)
QUANTISED_TYPE(q5_k, GROUP, 176, HAS_MIN)
QUANTISED_TYPE(q6_k, GROUP, 210, HAS_MIN | TWO_SCALES | TWO_MINS)
QUANTISED_TYPE(iq4_xs, GROUP, 136, SIGNED_BYTES)
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
    {QUANT_Q8_0, few_q8_0, rows_q8_0, true},       {QUANT_Q4_0, few_q4_0, rows_q4_0, true},
    {QUANT_Q4_1, few_q4_1, rows_q4_1, true},       {QUANT_Q5_0, few_q5_0, rows_q5_0, true},
    {QUANT_Q5_1, few_q5_1, rows_q5_1, true},       {QUANT_Q2_K, few_q2_k, rows_q2_k, true},
    {QUANT_Q3_K, few_q3_k, rows_q3_k, true},       {QUANT_Q4_K, few_q4_k, rows_q4_k, true},
    {QUANT_Q5_K, few_q5_k, rows_q5_k, true},       {QUANT_Q6_K, few_q6_k, rows_q6_k, true},
    {QUANT_IQ4_NL, few_iq4_nl, rows_iq4_nl, true}, {QUANT_IQ4_XS, few_iq4_xs, rows_iq4_xs, true},
    {QUANT_MXFP4, few_mxfp4, rows_mxfp4, true},    {QUANT_F32, few_f32, rows_any, false},
    {QUANT_F16, few_f16, rows_any, false},         {QUANT_BF16, few_bf16, rows_any, false},
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

INLINE int32_t sum_whole(__m256i v)
{
    __m128i t = _mm_add_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
    t = _mm_add_epi32(t, _mm_shuffle_epi32(t, 0x4e));
    return _mm_cvtsi128_si32(_mm_add_epi32(t, _mm_shuffle_epi32(t, 0xb1)));
}

static void quantise(const float *x, int64_t n, int16_t *q, float *scale, float *sum, float *second_sum)
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
        put_input(q, whole);
        scale[b] = s;
        sum[b] = s * (float)sum_whole(
                         _mm256_add_epi32(_mm256_add_epi32(whole[0], whole[1]), _mm256_add_epi32(whole[2], whole[3])));
        second_sum[b] = s * (float)sum_whole(_mm256_add_epi32(whole[2], whole[3]));
    }
}

#endif
