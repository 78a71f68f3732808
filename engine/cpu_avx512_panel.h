/* cpu_avx512_panel: quantised weights against many tokens, by bytes.
 *
 * A panel is 16 rows of weights, unpacked once for all tokens, with a lane for each row:
 *
 *   block of 32 columns:  8 quads of (16 rows, 4 columns) unsigned bytes, then the scales and the minima of the 16 rows;
 *                         where each half of a block has its own, those of the second half follow
 *
 * One instruction multiplies a quad by four bytes of a token's input, the same in all lanes, and adds the products in each
 * lane: first the high bytes, then, 256 times as much, the low ones.  After a block its whole sums become floats:
 * + scale · input's scale · sum + minimum · input's sum.
 *
 * The input's high bytes alone would be nearly twice as fast, but their rounding moves log-probabilities by a tenth. */
#ifndef FATHOM_ENGINE_CPU_AVX512_PANEL_H
#define FATHOM_ENGINE_CPU_AVX512_PANEL_H

enum {
    QUAD_BYTES = 64,
    QUADS = 8,                  /* of a block */
    LANE_BYTES = 64,            /* a float for each row */
    TILE_SPLIT = 16,            /* tokens whose sums are kept in registers */
    PANELS_AT_ONCE = 4,         /* so many meet a tile's input while it is in the nearest cache */
    SPLIT_MAX_COLS = 16 * 1024, /* of a row: so that such panels fit the scratch */
};

/* A panel's block, in bytes: of a type with one scale a block, or with two. */
INLINE size_t panel_block(int traits)
{
    return QUADS * QUAD_BYTES + (traits & TWO_SCALES ? 4 : 2) * LANE_BYTES;
}

/* ---- unpacking ---- */

/* Lane j of m[i] changes places with lane i of m[j]. */
static __attribute__((noinline)) void turn(__m512i m[16])
{
    __m512i t[16];
    UNROLL
    for (int i = 0; i < 16; i += 2) {
        t[i] = _mm512_unpacklo_epi32(m[i], m[i + 1]);
        t[i + 1] = _mm512_unpackhi_epi32(m[i], m[i + 1]);
    }
    UNROLL
    for (int i = 0; i < 16; i += 4) {
        m[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]);
        m[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
        m[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
        m[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
    }
    /* m[4a + b] has in its quarter q the lanes 4q + b of rows 4a.. + 3. */
    UNROLL
    for (int b = 0; b < 4; b++) {
        __m512i low = _mm512_shuffle_i32x4(m[b], m[4 + b], 0x88), high = _mm512_shuffle_i32x4(m[b], m[4 + b], 0xdd);
        __m512i low2 = _mm512_shuffle_i32x4(m[8 + b], m[12 + b], 0x88);
        __m512i high2 = _mm512_shuffle_i32x4(m[8 + b], m[12 + b], 0xdd);
        t[b] = _mm512_shuffle_i32x4(low, low2, 0x88);
        t[8 + b] = _mm512_shuffle_i32x4(low, low2, 0xdd);
        t[4 + b] = _mm512_shuffle_i32x4(high, high2, 0x88);
        t[12 + b] = _mm512_shuffle_i32x4(high, high2, 0xdd);
    }
    UNROLL
    for (int i = 0; i < 16; i++)
        m[i] = t[i];
}

/* Rows of a panel; beyond n_rows the last one again, so that no lane holds what isn't there. */
struct panel_rows {
    const unsigned char *first;
    size_t row_bytes;
    int n_rows;
};

INLINE const unsigned char *panel_row(const struct panel_rows *rows, int r)
{
    return rows->first + (size_t)(r < rows->n_rows ? r : rows->n_rows - 1) * rows->row_bytes;
}

/* Eight floats of block 0.. of each row, twice: turned into lanes. */
INLINE void fill_lanes(__m256 first[16], __m256 second[16], int n, size_t block, unsigned char *to)
{
    __m512i m[16];
    for (int r = 0; r < 16; r++)
        m[r] = two_halves(_mm256_castps_si256(first[r]), _mm256_castps_si256(second[r]));
    turn(m);
    UNROLL
    for (int k = 0; k < n; k++) {
        _mm512_storeu_si512(to + (size_t)k * block, m[k]);
        _mm512_storeu_si512(to + (size_t)k * block + LANE_BYTES, m[GROUP + k]);
    }
}

/* So many bytes ahead in each row, or in that row of the next panel, are asked for: sixteen streams are more than the
 * hardware follows. */
enum { PANEL_AHEAD = 512 };

INLINE void prefetch_group(const struct panel_rows *rows, size_t offset, size_t n_bytes)
{
    size_t ahead = offset + PANEL_AHEAD;
    if (ahead >= rows->row_bytes)
        ahead += 15 * rows->row_bytes;
    for (int r = 0; r < 16; r++)
        for (size_t i = 0; i < n_bytes; i += 64)
            _mm_prefetch((const char *)panel_row(rows, r) + ahead + i, _MM_HINT_T0);
}

/* Q4_K is turned as it is in the file, and unpacked with a lane for each row: half the turning, and one unpacking of scales
 * for all rows.  Layout: scales_q4_k, bytes_q4_k. */

/* 16 bytes of each row: lane r of words[i] is the i-th 32 bits of row r. */
INLINE void turn_headers(const struct panel_rows *rows, size_t offset, __m512i words[4])
{
    __m512i m[4];
    UNROLL
    for (int i = 0; i < 4; i++) {
        __m256i low = _mm256_setr_m128i(load16(panel_row(rows, i) + offset), load16(panel_row(rows, 4 + i) + offset));
        m[i] = two_halves(
            low, _mm256_setr_m128i(load16(panel_row(rows, 8 + i) + offset), load16(panel_row(rows, 12 + i) + offset)));
    }
    __m512i a = _mm512_unpacklo_epi32(m[0], m[1]), b = _mm512_unpackhi_epi32(m[0], m[1]);
    __m512i c = _mm512_unpacklo_epi32(m[2], m[3]), d = _mm512_unpackhi_epi32(m[2], m[3]);
    words[0] = _mm512_unpacklo_epi64(a, c);
    words[1] = _mm512_unpackhi_epi64(a, c);
    words[2] = _mm512_unpacklo_epi64(b, d);
    words[3] = _mm512_unpackhi_epi64(b, d);
}

/* `mask` of the bits from `at` on. */
INLINE __m512i bits_at(__m512i v, int at, int mask)
{
    return _mm512_and_si512(_mm512_srli_epi32(v, (unsigned)at), _mm512_set1_epi32(mask));
}

INLINE __m512 floats_of_halves(__m512i v)
{
    return _mm512_cvtph_ps(_mm512_cvtepi32_epi16(v));
}

INLINE void store_scaled(unsigned char *to, __m512i whole, __m512 factor)
{
    _mm512_storeu_ps((float *)(void *)to, _mm512_mul_ps(_mm512_cvtepi32_ps(whole), factor));
}

INLINE void fill_scales_q4_k(const struct panel_rows *rows, size_t offset, unsigned char *to)
{
    size_t block = panel_block(0);
    __m512i w[4];
    turn_headers(rows, offset, w);
    __m512 scale = floats_of_halves(w[0]);
    __m512 min = _mm512_sub_ps(_mm512_setzero_ps(), floats_of_halves(_mm512_srli_epi32(w[0], 16)));
    to += QUADS * QUAD_BYTES;
    UNROLL
    for (int k = 0; k < 4; k++, to += block) {
        store_scaled(to, bits_at(w[1], 8 * k, 63), scale);
        store_scaled(to + LANE_BYTES, bits_at(w[2], 8 * k, 63), min);
    }
    UNROLL
    for (int k = 0; k < 4; k++, to += block) {
        __m512i s = _mm512_or_si512(bits_at(w[3], 8 * k, 15), bits_at(w[1], 8 * k + 2, 0x30));
        __m512i m = _mm512_or_si512(bits_at(w[3], 8 * k + 4, 15), bits_at(w[2], 8 * k + 2, 0x30));
        store_scaled(to, s, scale);
        store_scaled(to + LANE_BYTES, m, min);
    }
}

INLINE void fill_q4_k(const struct panel_rows *rows, size_t offset, unsigned char *to)
{
    size_t block = panel_block(0);
    fill_scales_q4_k(rows, offset, to);
    UNROLL
    for (int half = 0; half < 2; half++) {
        __m512i m[16];
        for (int r = 0; r < 16; r++)
            m[r] = _mm512_loadu_si512(panel_row(rows, r) + offset + 16 + half * 64);
        turn(m);
        UNROLL
        for (int i = 0; i < 16; i++) {
            unsigned char *quad = to + (size_t)(half * 4 + i / QUADS * 2) * block + i % QUADS * QUAD_BYTES;
            _mm512_storeu_si512(quad, low_nibbles(m[i]));
            _mm512_storeu_si512(quad + block, low_nibbles(_mm512_srli_epi16(m[i], 4)));
        }
    }
}

/* n blocks, a group or a part of one, at `offset` in each row. */
INLINE void fill_group(struct type type, int n, const struct panel_rows *rows, size_t offset, unsigned char *to)
{
    prefetch_group(rows, offset, (size_t)(n / type.group_blocks) * type.group_bytes);
    if (type.pair == pair_q4_k) {
        fill_q4_k(rows, offset, to);
        return;
    }
    size_t block = panel_block(type.traits);
    __m256 scale[16], min[16], second_scale[16], second_min[16];
    for (int r = 0; r < 16; r++) {
        struct scales s = step_scales(type, panel_row(rows, r) + offset, n);
        scale[r] = s.scale;
        min[r] = s.min;
        second_scale[r] = type.traits & TWO_SCALES ? s.second_scale : s.scale;
        second_min[r] = type.traits & TWO_SCALES ? s.second_min : s.min;
    }
    fill_lanes(scale, min, n, block, to + QUADS * QUAD_BYTES);
    if (type.traits & TWO_SCALES)
        fill_lanes(second_scale, second_min, n, block, to + QUADS * QUAD_BYTES + 2 * LANE_BYTES);
    UNROLL
    for (int k = 0; k < n; k += 2) {
        __m512i m[16];
        for (int r = 0; r < 16; r++)
            m[r] = two_blocks(type, panel_row(rows, r) + offset, k, n);
        turn(m);
        UNROLL
        for (int i = 0; i < 16; i++)
            if (k + i / QUADS < n)
                _mm512_storeu_si512(to + (size_t)(k + i / QUADS) * block + i % QUADS * QUAD_BYTES, m[i]);
    }
}

INLINE void fill_part(struct type type, int n, const struct panel_rows *rows, int64_t n_blocks, unsigned char *panel)
{
    int64_t b = part_begin(n_blocks, n);
    if (n_blocks & n)
        fill_group(type, n, rows, (size_t)b * type.group_bytes, panel + (size_t)b * panel_block(type.traits));
}

INLINE void fill_panel(struct type type, const struct panel_rows *rows, int64_t n_blocks, unsigned char *panel)
{
    for (int64_t b = 0; b + GROUP <= n_blocks; b += GROUP)
        fill_group(type, GROUP, rows, (size_t)(b / GROUP) * whole_group_bytes(type),
                   panel + (size_t)b * panel_block(type.traits));
    if (type.group_blocks == 1) {
        fill_part(type, 4, rows, n_blocks, panel);
        fill_part(type, 2, rows, n_blocks, panel);
        fill_part(type, 1, rows, n_blocks, panel);
    }
}

/* ---- multiplying ---- */

INLINE __m512 lanes_at(const unsigned char *p)
{
    return _mm512_loadu_ps((const float *)(const void *)p);
}

INLINE __m512i four_bytes_at(const int8_t *q)
{
    int32_t four;
    memcpy(&four, q, sizeof four);
    return _mm512_set1_epi32(four);
}

/* The sums of weights and four times as many bytes. */
INLINE __m512i dot_quads(int n_quads, const __m512i *weights, const int8_t *q, __m512i dot)
{
    UNROLL
    for (int i = 0; i < n_quads; i++)
        dot = _mm512_dpbusd_epi32(dot, weights[i], four_bytes_at(q + 4 * i));
    return dot;
}

/* What a block, or half of one, is multiplied with: `first` is its first number, `half` its place, or -1 for a whole one. */
struct quads {
    int n, first, half;
    const unsigned char *bytes, *scales;
};

/* Adds what these quads make with each token's input. */
INLINE void add_quads(struct quads quads, int n_tokens, const struct split_block *const *input,
                      __m512 total[TILE_SPLIT])
{
    __m512i weights[QUADS];
    UNROLL
    for (int i = 0; i < quads.n; i++)
        weights[i] = _mm512_loadu_si512(quads.bytes + i * QUAD_BYTES);
    __m512 scale = lanes_at(quads.scales), min = lanes_at(quads.scales + LANE_BYTES);
    UNROLL
    for (int t = 0; t < n_tokens; t++) {
        const struct split_block *x = input[t];
        __m512i dot = dot_quads(quads.n, weights, x->high + quads.first, _mm512_setzero_si512());
        dot = dot_quads(quads.n, weights, x->low + quads.first, _mm512_slli_epi32(dot, 8));
        __m512 factor = _mm512_mul_ps(scale, _mm512_set1_ps(x->scale));
        total[t] = _mm512_fmadd_ps(min, _mm512_set1_ps(quads.half < 0 ? x->sum : x->half_sum[quads.half]), total[t]);
        total[t] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dot), factor, total[t]);
    }
}

INLINE void put_lanes(const struct matmul_out *out, int64_t row, int n_rows, int32_t token, __m512 value)
{
    float lanes[16];
    if (n_rows < 16) {
        _mm512_storeu_ps(lanes, value);
        for (int r = 0; r < n_rows; r++)
            put(out, row + r, token, lanes[r]);
        return;
    }
    float *to = out->out + token * out->stride + row;
    if (out->bias)
        value = _mm512_add_ps(value, _mm512_loadu_ps(out->bias + row));
    _mm512_storeu_ps(to, out->accumulate ? _mm512_add_ps(_mm512_loadu_ps(to), value) : value);
}

/* A panel against n_tokens tokens from token `first` on. */
INLINE void multiply_panel(int traits, int n_tokens, const unsigned char *panel, int64_t row, int n_rows,
                           const struct activation *x, int32_t first, const struct matmul_out *out)
{
    int64_t n_blocks = x->n_cols / 32;
    const struct split_block *input[TILE_SPLIT];
    __m512 total[TILE_SPLIT];
    UNROLL
    for (int t = 0; t < n_tokens; t++) {
        input[t] = x->blocks + activation_row(x, first + t) * n_blocks;
        total[t] = _mm512_setzero_ps();
    }
    for (int64_t b = 0; b < n_blocks; b++) {
        const unsigned char *block = panel + (size_t)b * panel_block(traits);
        const unsigned char *scales = block + QUADS * QUAD_BYTES;
        if (traits & TWO_SCALES) {
            const struct quads halves[] = {
                {QUADS / 2, 0, 0, block, scales},
                {QUADS / 2, 16, 1, block + QUADS / 2 * QUAD_BYTES, scales + 2 * LANE_BYTES},
            };
            add_quads(halves[0], n_tokens, input, total);
            add_quads(halves[1], n_tokens, input, total);
        } else {
            add_quads((struct quads){QUADS, 0, -1, block, scales}, n_tokens, input, total);
        }
        UNROLL
        for (int t = 0; t < n_tokens; t++)
            input[t]++;
    }
    UNROLL
    for (int t = 0; t < n_tokens; t++) {
        put_lanes(out, row, n_rows, first + t, total[t]);
    }
}

/* Panels from row to end against n_tokens tokens from token `first` on. */
INLINE void multiply_tile(int traits, int n_tokens, const unsigned char *panels, size_t panel_bytes, int64_t row,
                          int64_t end, const struct activation *x, int32_t first, const struct matmul_out *out)
{
    for (int64_t r = row; r < end; r += 16, panels += panel_bytes)
        multiply_panel(traits, n_tokens, panels, r, end - r < 16 ? (int)(end - r) : 16, x, first, out);
}

/* All tokens, by tiles of as many as there are. */
INLINE void multiply_panels(int traits, const unsigned char *panels, size_t panel_bytes, int64_t row, int64_t end,
                            const struct activation *x, const struct matmul_out *out)
{
    int32_t t = 0, n = x->n_tokens;
    for (; t + TILE_SPLIT <= n; t += TILE_SPLIT)
        multiply_tile(traits, TILE_SPLIT, panels, panel_bytes, row, end, x, t, out);
    if (t + 12 <= n) {
        multiply_tile(traits, 12, panels, panel_bytes, row, end, x, t, out);
        t += 12;
    }
    if (t + 8 <= n) {
        multiply_tile(traits, 8, panels, panel_bytes, row, end, x, t, out);
        t += 8;
    }
    if (t + 4 <= n) {
        multiply_tile(traits, 4, panels, panel_bytes, row, end, x, t, out);
        t += 4;
    }
    if (t + 2 <= n) {
        multiply_tile(traits, 2, panels, panel_bytes, row, end, x, t, out);
        t += 2;
    }
    if (t < n)
        multiply_tile(traits, 1, panels, panel_bytes, row, end, x, t, out);
}

/* One function for each kind of panel, whatever type it was made of. */
static void multiply_whole(const unsigned char *panels, size_t panel_bytes, int64_t row, int64_t end,
                           const struct activation *x, const struct matmul_out *out)
{
    multiply_panels(0, panels, panel_bytes, row, end, x, out);
}

static void multiply_halves(const unsigned char *panels, size_t panel_bytes, int64_t row, int64_t end,
                            const struct activation *x, const struct matmul_out *out)
{
    multiply_panels(TWO_SCALES, panels, panel_bytes, row, end, x, out);
}

INLINE void matmul_split(struct type type, const struct weight *weight, const unsigned char *data, int64_t begin,
                         int64_t end, const struct activation *x, const struct matmul_out *out, float *scratch)
{
    unsigned char *panels = (unsigned char *)scratch;
    int64_t n_blocks = x->n_cols / 32;
    size_t panel_bytes = (size_t)n_blocks * panel_block(type.traits);
    int64_t fitting = (int64_t)(CPU_SCRATCH_FLOATS * sizeof *scratch / panel_bytes);
    int64_t step = 16 * (fitting < PANELS_AT_ONCE ? fitting : PANELS_AT_ONCE);
    for (int64_t row = begin; row < end; row += step) {
        int64_t last = end - row < step ? end : row + step;
        for (int64_t r = row; r < last; r += 16) {
            const struct panel_rows rows = {data + (size_t)r * weight->row_bytes, weight->row_bytes,
                                            last - r < 16 ? (int)(last - r) : 16};
            fill_panel(type, &rows, n_blocks, panels + (size_t)((r - row) / 16) * panel_bytes);
        }
        if (type.traits & TWO_SCALES)
            multiply_halves(panels, panel_bytes, row, last, x, out);
        else
            multiply_whole(panels, panel_bytes, row, last, x, out);
    }
}

_Static_assert((size_t)SPLIT_MAX_COLS / 32 * (QUADS * QUAD_BYTES + 4 * LANE_BYTES) <=
                   CPU_SCRATCH_FLOATS * sizeof(float),
               "a panel fits the scratch");

#define MANY_TOKENS(name)                                                                                              \
    static void many_##name(const struct weight *weight, const unsigned char *data, int64_t begin, int64_t end,        \
                            const struct activation *x, const struct matmul_out *out, float *scratch)                  \
    {                                                                                                                  \
        matmul_split(type_##name, weight, data, begin, end, x, out, scratch);                                          \
    }
#define MANY_OF(name) many_##name

/* ---- the input, split ---- */

static void quantise_split(const float *x, int64_t n, struct split_block *blocks)
{
    for (struct split_block *block = blocks; block < blocks + n / 32; block++, x += 32) {
        __m256i whole[4], words[2], high[2], low[2];
        block->scale = round_words(x, whole);
        pack_words(whole, words);
        split_words(words, high, low);
        _mm256_storeu_si256((__m256i *)(void *)block->high, bytes_of_words(high[0], high[1]));
        _mm256_storeu_si256((__m256i *)(void *)block->low, bytes_of_words(low[0], low[1]));
        block->half_sum[0] = block->scale * (float)sum_whole(_mm256_add_epi32(whole[0], whole[1]));
        block->half_sum[1] = block->scale * (float)sum_whole(_mm256_add_epi32(whole[2], whole[3]));
        block->sum = block->half_sum[0] + block->half_sum[1];
    }
}

#endif
