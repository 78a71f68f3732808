/* cpu_vector_matmul: matrix products in terms of a vector of floats: one text, compiled for each instruction set.
 *
 * Included once by cpu_avx2.c and cpu_avx512_vnni.c, after what they define: vec with LANES floats and its operations, the
 * sizes of a tile, and how many tokens meet weights by bytes (MANY_TOKENS).
 *
 * Few tokens meet quantised weights as words (cpu_vector_words.h).  Many meet them as bytes where the instruction set has a
 * product of bytes; else some rows are unpacked to floats that stay in the cache, and multiplied by the input as it is. */
#ifndef FATHOM_ENGINE_CPU_VECTOR_MATMUL_H
#define FATHOM_ENGINE_CPU_VECTOR_MATMUL_H

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

enum { FEW_TOKENS = 16, PANEL_ROWS = 16, PANEL_TOKENS = 48 };

_Static_assert(MODEL_MAX_WIDTH + PANEL_ROWS * PANEL_TOKENS <= CPU_SCRATCH_FLOATS, "a row and its results fit");

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

/* ---- a row of the type table: the same ideas, with a type's unpacker inlined ---- */

struct type_kernels {
    enum quant_type type;
    bool is_plain; /* `few` reads floats */
    void (*few)(const struct weight *weight, const unsigned char *data, int64_t begin, int64_t end,
                const struct activation *x, const struct matmul_out *out);
    unpack_rows_fn *unpack_rows;
    void (*many)(const struct weight *weight, const unsigned char *data, int64_t begin, int64_t end,
                 const struct activation *x, const struct matmul_out *out, float *scratch); /* NULL: by floats */
};

#if defined(__AVX512F__)
#define PAIR_OF(name) pair_##name, eight_##name,
#else
#define PAIR_OF(name)
#endif

#define QUANTISED_TYPE(name, group_blocks, group_bytes, traits)                                                        \
    static const struct type type_##name = {scales_##name, bytes_##name, PAIR_OF(name)(group_blocks), (group_bytes),   \
                                            traits};                                                                   \
    static void few_##name(const struct weight *weight, const unsigned char *data, int64_t begin, int64_t end,         \
                           const struct activation *x, const struct matmul_out *out)                                   \
    {                                                                                                                  \
        matmul_words(type_##name, weight, data, begin, end, x, out);                                                   \
    }                                                                                                                  \
    static void rows_##name(const struct weight *weight, const unsigned char *rows, int64_t n_rows, float *out)        \
    {                                                                                                                  \
        for (int64_t r = 0; r < n_rows; r++)                                                                           \
            unpack_floats(type_##name, rows + (size_t)r * weight->row_bytes, weight->n_cols / 32,                      \
                          out + r * weight->n_cols);                                                                   \
    }                                                                                                                  \
    MANY_TOKENS(name)

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

#define QUANTISED_ROW(NAME, name)                                                                                      \
    {                                                                                                                  \
        QUANT_##NAME, false, few_##name, rows_##name, MANY_OF(name)                                                    \
    }

static const struct type_kernels type_table[] = {
    QUANTISED_ROW(Q8_0, q8_0),
    QUANTISED_ROW(Q4_0, q4_0),
    QUANTISED_ROW(Q4_1, q4_1),
    QUANTISED_ROW(Q5_0, q5_0),
    QUANTISED_ROW(Q5_1, q5_1),
    QUANTISED_ROW(Q2_K, q2_k),
    QUANTISED_ROW(Q3_K, q3_k),
    QUANTISED_ROW(Q4_K, q4_k),
    QUANTISED_ROW(Q5_K, q5_k),
    QUANTISED_ROW(Q6_K, q6_k),
    QUANTISED_ROW(IQ4_NL, iq4_nl),
    QUANTISED_ROW(IQ4_XS, iq4_xs),
    QUANTISED_ROW(MXFP4, mxfp4),
    {QUANT_F32, true, few_f32, rows_any, NULL},
    {QUANT_F16, true, few_f16, rows_any, NULL},
    {QUANT_BF16, true, few_bf16, rows_any, NULL},
};
static const struct type_kernels other_type = {QUANT_LIMIT, true, NULL, rows_any, NULL};

static const struct type_kernels *find_type(enum quant_type type)
{
    for (size_t i = 0; i < sizeof type_table / sizeof *type_table; i++)
        if (type_table[i].type == type)
            return &type_table[i];
    return &other_type;
}

static bool takes(enum quant_type type, int64_t n_cols, enum input_form form)
{
    const struct type_kernels *kernels = find_type(type);
    if (form == INPUT_SPLIT)
        return kernels->many && n_cols <= SPLIT_MAX_COLS;
    return kernels->is_plain == (form == INPUT_FLOATS);
}

static void matmul(const struct weight *weight, int64_t mat, int64_t begin, int64_t end, const struct activation *x,
                   const struct matmul_out *out, float *scratch)
{
    const struct type_kernels *kernels = find_type(weight->type);
    const unsigned char *data = weight->data + (size_t)mat * weight->mat_bytes;
    bool is_few = kernels->is_plain ? kernels->few && x->n_tokens <= FEW_TOKENS : x->form == INPUT_WORDS;
    if (is_few)
        kernels->few(weight, data, begin, end, x, out);
    else if (x->form == INPUT_SPLIT && takes(weight->type, x->n_cols, INPUT_SPLIT))
        kernels->many(weight, data, begin, end, x, out, scratch);
    else
        matmul_many(kernels->unpack_rows, weight, data, begin, end, x, out, scratch);
}

#endif
