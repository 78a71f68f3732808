/* cpu_vector_attention: attention and the activation functions in terms of a vector of floats, as cpu_vector_matmul.h. */
#ifndef FATHOM_ENGINE_CPU_VECTOR_ATTENTION_H
#define FATHOM_ENGINE_CPU_VECTOR_ATTENTION_H

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
        for (int64_t i = 0; i < width; i += LANES)
            vec_store(out + c * width + i, load(rows + (size_t)c * row_bytes, i));
}

static void unpack_rows_of(enum quant_type type, const unsigned char *rows, size_t row_bytes, int64_t n_cells,
                           int64_t width, float *out)
{
    if (width % LANES) {
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
    vec m = vec_set(*greatest);
    for (int32_t i = 0; i < first; i++)
        scores[i] = -INFINITY;
    for (int32_t i = n; i < CELLS; i++)
        scores[i] = -INFINITY;
    for (int32_t i = 0; i < CELLS; i += LANES) {
        vec v = vec_mul(vec_load(scores + i), vec_set(scale));
        vec_store(scores + i, v);
        m = vec_max(m, v);
    }
    float now = vec_greatest(m);
    float keep = *greatest == now ? 1.0f : expf(*greatest - now);
    vec sum = vec_zero();
    for (int32_t i = 0; i < CELLS; i += LANES) {
        vec share = vec_exp(vec_sub(vec_load(scores + i), vec_set(now)));
        vec_store(scores + i, share);
        sum = vec_add(sum, share);
    }
    *greatest = now;
    *total = *total * keep + vec_sum(sum);
    return keep;
}

/* out = out · keep + Σ shares[c] · values[c] over n cells. */
static void add_values(float *out, float keep, const float *shares, const float *values, int32_t n, int64_t width)
{
    enum { STEP = 32 / LANES };
    int64_t i = 0;
    for (; i + 32 <= width; i += 32) {
        vec k = vec_set(keep), sum[STEP];
        UNROLL
        for (int j = 0; j < STEP; j++)
            sum[j] = vec_mul(vec_load(out + i + LANES * j), k);
        for (int32_t c = 0; c < n; c++) {
            vec share = vec_set(shares[c]);
            UNROLL
            for (int j = 0; j < STEP; j++)
                sum[j] = vec_fma(share, vec_load(values + c * width + i + LANES * j), sum[j]);
        }
        UNROLL
        for (int j = 0; j < STEP; j++)
            vec_store(out + i + LANES * j, sum[j]);
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
    /* Many queries at a time: of one head or of one token, whichever are more. */
    bool by_head = tile->n_tokens > tile->n_heads;
    int32_t n_runs = by_head ? tile->n_heads : tile->n_tokens, n_queries = by_head ? tile->n_tokens : tile->n_heads;
    int64_t q_run = by_head ? tile->k_width : tile->q_stride, q_next = by_head ? tile->q_stride : tile->k_width;
    int64_t out_run = by_head ? CELLS : tile->n_heads * CELLS, out_next = by_head ? tile->n_heads * CELLS : CELLS;
    for (int32_t i = 0; i < n_runs; i++) {
        float *row = scores + i * out_run;
        const float *q = tile->q + i * q_run;
        multiply_f32(n, n_queries, rows, bytes, q, q_next, tile->k_width, row, out_next);
        add_rest(QUANT_F32, n, n_queries, rows, bytes, q, q_next, tile->k_width, row, out_next);
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

#endif
