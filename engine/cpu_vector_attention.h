/* cpu_vector_attention: attention in terms of a vector of floats, as cpu_vector_matmul.h.
 *
 * Cells come in blocks of CPU_BLOCK_CELLS.  Scores of all queries of a tile with a block's keys become shares, by a softmax
 * that is carried on from block to block with a running greatest score (Milakov & Gimelshein 2018); then shares times
 * values are added to the running sums.  Scores are made in one of two ways:
 *
 *   few queries    the memory is what takes time: keys become floats in registers as they are read, LANES numbers of a key
 *                  at a time, and a score is the sum of a vector's lanes
 *   many queries   a block's keys are turned round first, so that a vector has one number of each of LANES keys, and a
 *                  score is a lane: no sums across lanes, each number of a key is converted once
 *
 * A query's numbers don't depend on the other queries of its tile: each sum has an order of its own. */
#ifndef FATHOM_ENGINE_CPU_VECTOR_ATTENTION_H
#define FATHOM_ENGINE_CPU_VECTOR_ATTENTION_H

#include "engine/kvcache.h"

enum {
    QUERIES = LANES == 16 ? 6 : 3, /* at a time: with 4 vectors of keys or values they fill the registers */
    KEYS = 4,                      /* at a time, few queries */
    WIDE = 4,                      /* vectors of values, or of scores, at a time */
    KEYS_AHEAD = 32,               /* to be fetched while others are read */
    KEY_PART = 128,                /* numbers of a key that are turned round at a time */
};

_Static_assert((int)FEW_TOKENS <= (int)CPU_FEW_TOKENS, "what products keep to, attention does, too");

/* ---- cells as floats ---- */

/* LANES numbers of a row from place i + j on; i is a multiple of 32 and j known when this is compiled, or the type is plain
 * and j is 0. */
typedef vec cell_fn(const unsigned char *row, int64_t i, int j);

INLINE vec cell_f32(const unsigned char *row, int64_t i, int j)
{
    return vec_load((const float *)(const void *)row + i + j);
}

INLINE vec cell_f16(const unsigned char *row, int64_t i, int j)
{
    return vec_of_f16(row + 2 * (i + j));
}

INLINE vec cell_q8_0(const unsigned char *row, int64_t i, int j)
{
    const unsigned char *p = row + i / 32 * 34;
    return vec_mul(vec_of_i8(p + 2 + j), vec_set(half_at(p)));
}

INLINE vec cell_q4_0(const unsigned char *row, int64_t i, int j)
{
    const unsigned char *p = row + i / 32 * 18;
    vec scale = vec_set(half_at(p));
    return vec_mul(scale, vec_sub(vec_of_bytes(nibbles(p + 2), j, UNSIGNED_BYTES), vec_set(8)));
}

/* Rows of one KV head's keys or values. */
struct cells {
    const unsigned char *rows;
    size_t row_bytes;
    enum quant_type type;
    int32_t n;
    int64_t width;
    const unsigned char *values; /* of keys that aren't values, too */
    size_t values_row_bytes;
};

/* Number i of a row, of the types that may end anywhere. */
INLINE float plain_number(const struct cells *cells, int32_t row, int64_t i)
{
    const unsigned char *p = cells->rows + (size_t)row * cells->row_bytes;
    float x;
    if (cells->type == QUANT_F16)
        return half_at(p + 2 * i);
    memcpy(&x, p + 4 * i, sizeof x);
    return x;
}

/* Queries that lie evenly: one head's of some tokens, or one token's of some heads. */
struct run {
    int32_t n;
    const float *q;      /* the next one's at q + q_next */
    float *scores;       /* the next one's at scores + state_next * CPU_BLOCK_CELLS */
    float *out;          /* sums of values; the next one's at out + out_next */
    const float *keep;   /* what the sums so far are to be multiplied with; at keep + state_next */
    const int32_t *seen; /* cells of the block, from its first on, that have shares; likewise */
    int64_t q_next, out_next, state_next;
};

/* ---- scores, few queries ---- */

INLINE void dot_step(cell_fn *load, int n_keys, int n, const struct cells *keys, int32_t first_key, const float *q,
                     int64_t q_next, int64_t i, int j, vec total[QUERIES][KEYS])
{
    vec input[QUERIES];
    UNROLL
    for (int t = 0; t < n; t++)
        input[t] = vec_load(q + t * q_next + i + j);
    UNROLL
    for (int r = 0; r < n_keys; r++) {
        vec key = load(keys->rows + (size_t)(first_key + r) * keys->row_bytes, i, j);
        UNROLL
        for (int t = 0; t < n; t++)
            total[t][r] = vec_fma(key, input[t], total[t][r]);
    }
}

/* Scores of n queries of the run, from k on, with n_keys keys.  Each is one accumulator over the key's numbers in order. */
INLINE void dot_keys(cell_fn *load, int n_keys, int n, const struct cells *keys, int32_t first_key,
                     const struct run *run, int32_t k)
{
    vec total[QUERIES][KEYS];
    const float *q = run->q + k * run->q_next;
    UNROLL
    for (int t = 0; t < n; t++)
        UNROLL
    for (int r = 0; r < KEYS; r++)
        total[t][r] = vec_zero();
    int64_t i = 0;
    for (; i + 32 <= keys->width; i += 32)
        UNROLL
    for (int j = 0; j < 32; j += LANES)
        dot_step(load, n_keys, n, keys, first_key, q, run->q_next, i, j, total);
    for (; i + LANES <= keys->width; i += LANES)
        dot_step(load, n_keys, n, keys, first_key, q, run->q_next, i, 0, total);
    UNROLL
    for (int t = 0; t < n; t++) {
        float sums[KEYS];
        _mm_storeu_ps(sums, vec_sums4(total[t]));
        for (int64_t rest = i; rest < keys->width; rest++)
            for (int r = 0; r < n_keys; r++)
                sums[r] += plain_number(keys, first_key + r, rest) * q[t * run->q_next + rest];
        memcpy(run->scores + (k + t) * run->state_next * CPU_BLOCK_CELLS + first_key, sums,
               (size_t)n_keys * sizeof *sums);
    }
}

/* Scores of all queries of the run with n_keys keys. */
INLINE void dot_queries(cell_fn *load, int n_keys, const struct cells *keys, int32_t first_key, const struct run *run)
{
    int32_t k = 0;
    for (; k + QUERIES <= run->n; k += QUERIES)
        dot_keys(load, n_keys, QUERIES, keys, first_key, run, k);
    int32_t left = run->n - k;
    if (QUERIES > 5 && left == 5)
        dot_keys(load, n_keys, 5, keys, first_key, run, k);
    else if (QUERIES > 4 && left == 4)
        dot_keys(load, n_keys, 4, keys, first_key, run, k);
    else if (QUERIES > 3 && left == 3)
        dot_keys(load, n_keys, 3, keys, first_key, run, k);
    else if (left == 2)
        dot_keys(load, n_keys, 2, keys, first_key, run, k);
    else if (left == 1)
        dot_keys(load, n_keys, 1, keys, first_key, run, k);
}

/* The hardware sees no stream where a head's rows have those of others between them, so it is told what comes: keys some
 * rows further, and the values of these cells, which are wanted next. */
INLINE void prefetch_rows(const unsigned char *rows, size_t row_bytes, size_t n_bytes)
{
    for (int r = 0; r < KEYS; r++, rows += row_bytes)
        for (size_t i = 0; i < n_bytes; i += 64)
            _mm_prefetch((const char *)rows + i, _MM_HINT_T0);
}

INLINE void score_cells(cell_fn *load, const struct cells *keys, const struct run *run)
{
    size_t head_bytes = kv_row_bytes(keys->type, (int32_t)keys->width);
    int32_t c = 0;
    for (; c + KEYS <= keys->n; c += KEYS) {
        prefetch_rows(keys->rows + (size_t)(c + KEYS_AHEAD) * keys->row_bytes, keys->row_bytes, head_bytes);
        if (keys->values)
            prefetch_rows(keys->values + (size_t)c * keys->values_row_bytes, keys->values_row_bytes, head_bytes);
        dot_queries(load, KEYS, keys, c, run);
    }
    for (; c < keys->n; c++)
        dot_queries(load, 1, keys, c, run);
}

/* ---- sums of values ---- */

/* sum = sum · keep + Σ shares[c] · values[c], for n queries of the run from k on, n_vecs vectors of numbers from place i. */
INLINE void add_values(cell_fn *load, int n_vecs, int n, const struct cells *values, int64_t i, const struct run *run,
                       int32_t k)
{
    vec sum[QUERIES][WIDE];
    float *out = run->out + k * run->out_next + i;
    int64_t shares_next = run->state_next * CPU_BLOCK_CELLS;
    const float *shares = run->scores + k * shares_next;
    int32_t n_cells = 0; /* that some of the queries see; other shares are 0 */
    UNROLL
    for (int t = 0; t < n; t++) {
        int32_t seen = run->seen[(k + t) * run->state_next];
        n_cells = seen > n_cells ? seen : n_cells;
        vec keep = vec_set(run->keep[(k + t) * run->state_next]);
        UNROLL
        for (int v = 0; v < n_vecs; v++)
            sum[t][v] = vec_mul(vec_load(out + t * run->out_next + v * LANES), keep);
    }
    const unsigned char *row = values->rows;
    for (int32_t c = 0; c < n_cells; c++, row += values->row_bytes) {
        vec value[WIDE];
        UNROLL
        for (int v = 0; v < n_vecs; v++)
            value[v] = load(row, i + v * LANES / 32 * 32, v * LANES % 32);
        UNROLL
        for (int t = 0; t < n; t++) {
            vec share = vec_set(shares[t * shares_next + c]);
            UNROLL
            for (int v = 0; v < n_vecs; v++)
                sum[t][v] = vec_fma(share, value[v], sum[t][v]);
        }
    }
    UNROLL
    for (int t = 0; t < n; t++)
        UNROLL
    for (int v = 0; v < n_vecs; v++)
        vec_store(out + t * run->out_next + v * LANES, sum[t][v]);
}

INLINE void add_to_queries(cell_fn *load, int n_vecs, const struct cells *values, int64_t i, const struct run *run)
{
    int32_t k = 0;
    for (; k + QUERIES <= run->n; k += QUERIES)
        add_values(load, n_vecs, QUERIES, values, i, run, k);
    int32_t left = run->n - k;
    if (QUERIES > 5 && left == 5)
        add_values(load, n_vecs, 5, values, i, run, k);
    else if (QUERIES > 4 && left == 4)
        add_values(load, n_vecs, 4, values, i, run, k);
    else if (QUERIES > 3 && left == 3)
        add_values(load, n_vecs, 3, values, i, run, k);
    else if (left == 2)
        add_values(load, n_vecs, 2, values, i, run, k);
    else if (left == 1)
        add_values(load, n_vecs, 1, values, i, run, k);
}

/* The last numbers of values that are no whole vectors. */
static void add_last_values(const struct cells *values, int64_t begin, const struct run *run)
{
    for (int32_t k = 0; k < run->n; k++)
        for (int64_t i = begin; i < values->width; i++) {
            const float *shares = run->scores + k * run->state_next * CPU_BLOCK_CELLS;
            float sum = run->out[k * run->out_next + i] * run->keep[k * run->state_next];
            for (int32_t c = 0; c < run->seen[k * run->state_next]; c++)
                sum += shares[c] * plain_number(values, c, i);
            run->out[k * run->out_next + i] = sum;
        }
}

INLINE void sum_cells(cell_fn *load, const struct cells *values, const struct run *run)
{
    int64_t i = 0;
    for (; i + WIDE * LANES <= values->width; i += WIDE * LANES)
        add_to_queries(load, WIDE, values, i, run);
    for (; i + 32 <= values->width; i += 32)
        add_to_queries(load, 32 / LANES, values, i, run);
    for (; i + LANES <= values->width; i += LANES)
        add_to_queries(load, 1, values, i, run);
    if (i < values->width)
        add_last_values(values, i, run);
}

/* ---- a row of the table of types ---- */

struct cell_kernels {
    enum quant_type type;
    void (*score)(const struct cells *keys, const struct run *run);
    void (*sum)(const struct cells *values, const struct run *run);
    /* Numbers [begin, end) of n rows, each to out + out_next more: whole vectors, and what a row has left after them. */
    void (*unpack)(const struct cells *cells, int32_t row, int32_t n, int64_t begin, int64_t end, float *out,
                   int64_t out_next);
};

INLINE void unpack_cells(cell_fn *load, const struct cells *cells, int32_t row, int32_t n, int64_t begin, int64_t end,
                         float *out, int64_t out_next)
{
    for (int32_t r = row; r < row + n; r++, out += out_next) {
        const unsigned char *p = cells->rows + (size_t)r * cells->row_bytes;
        int64_t i = begin;
        for (; i + 32 <= end; i += 32)
            UNROLL
        for (int j = 0; j < 32; j += LANES)
            vec_store(out + i - begin + j, load(p, i, j));
        for (; i + LANES <= end; i += LANES)
            vec_store(out + i - begin, load(p, i, 0));
        for (; i < end; i++)
            out[i - begin] = plain_number(cells, r, i);
    }
}

#define CELL_TYPE(name)                                                                                                \
    static void score_##name(const struct cells *keys, const struct run *run)                                          \
    {                                                                                                                  \
        score_cells(cell_##name, keys, run);                                                                           \
    }                                                                                                                  \
    static void sum_##name(const struct cells *values, const struct run *run)                                          \
    {                                                                                                                  \
        sum_cells(cell_##name, values, run);                                                                           \
    }                                                                                                                  \
    static void unpack_##name(const struct cells *cells, int32_t row, int32_t n, int64_t begin, int64_t end,           \
                              float *out, int64_t out_next)                                                            \
    {                                                                                                                  \
        unpack_cells(cell_##name, cells, row, n, begin, end, out, out_next);                                           \
    }

CELL_TYPE(f32)
CELL_TYPE(f16)
CELL_TYPE(q8_0)
CELL_TYPE(q4_0)

static const struct cell_kernels *find_cells(enum quant_type type)
{
    static const struct cell_kernels table[] = {
        {QUANT_F32, score_f32, sum_f32, unpack_f32},
        {QUANT_Q8_0, score_q8_0, sum_q8_0, unpack_q8_0},
        {QUANT_Q4_0, score_q4_0, sum_q4_0, unpack_q4_0},
        {QUANT_F16, score_f16, sum_f16, unpack_f16},
    };
    size_t i = 0;
    while (i + 1 < sizeof table / sizeof *table && table[i].type != type)
        i++;
    return &table[i];
}

/* ---- scores become shares ---- */

/* A tile's queries in a block of cells. */
struct block {
    float scores[CPU_TILE_QUERIES * CPU_BLOCK_CELLS]; /* then shares */
    float now[CPU_TILE_QUERIES + LANES];              /* the greatest score so far, this block included */
    float keep[CPU_TILE_QUERIES + LANES];
    int32_t seen[CPU_TILE_QUERIES];
};

static float *state_of(const struct attention_tile *tile, float *state, int32_t k)
{
    return state + k / tile->n_heads * tile->state_next + k % tile->n_heads;
}

/* The first cell that the token at position sees. */
static int32_t first_seen(const struct attention_tile *tile, int32_t position)
{
    return tile->window && position >= tile->window ? position - tile->window + 1 : 0;
}

/* Scales one query's scores with the n cells from cell on, those out of its sight made least; gives their greatest. */
static float scale_scores(const struct attention_tile *tile, int32_t position, int32_t cell, int32_t n, float *scores,
                          float greatest, int32_t *seen)
{
    int32_t end = position + 1 - cell < n ? position + 1 - cell : n;
    int32_t first = first_seen(tile, position) > cell ? first_seen(tile, position) - cell : 0;
    *seen = first < end ? end : 0;
    if (!*seen)
        return greatest;
    for (int32_t i = 0; i < first; i++)
        scores[i] = -INFINITY;
    for (int32_t i = end; i < CPU_BLOCK_CELLS; i++)
        scores[i] = -INFINITY;
    vec m = vec_set(greatest);
    for (int32_t i = 0; i < n; i += LANES) {
        vec v = vec_mul(vec_load(scores + i), vec_set(tile->scale));
        vec_store(scores + i, v);
        m = vec_max(m, v);
    }
    return vec_greatest(m);
}

/* Scores with n cells from cell on become shares of the running softmax of each query. */
static void soften(const struct attention_tile *tile, int32_t cell, int32_t n, struct block *b)
{
    int32_t n_queries = tile->n_tokens * tile->n_heads;
    for (int32_t k = 0; k < n_queries; k++) {
        float greatest = *state_of(tile, tile->greatest, k);
        b->now[k] = scale_scores(tile, tile->position + k / tile->n_heads, cell, n, b->scores + k * CPU_BLOCK_CELLS,
                                 greatest, &b->seen[k]);
        b->keep[k] = greatest - b->now[k];
    }
    for (int32_t k = 0; k < n_queries; k += LANES)
        vec_store(b->keep + k, vec_exp(vec_load(b->keep + k)));
    for (int32_t k = 0; k < n_queries; k++) {
        float *scores = b->scores + k * CPU_BLOCK_CELLS, *total = state_of(tile, tile->total, k);
        if (!b->seen[k]) {
            b->keep[k] = 1;
            memset(scores, 0, CPU_BLOCK_CELLS * sizeof *scores);
            continue;
        }
        vec sum = vec_zero(), now = vec_set(b->now[k]);
        for (int32_t i = 0; i < n; i += LANES) {
            vec share = vec_exp(vec_sub(vec_load(scores + i), now));
            vec_store(scores + i, share);
            sum = vec_add(sum, share);
        }
        *total = *total * b->keep[k] + vec_sum(sum);
        *state_of(tile, tile->greatest, k) = b->now[k];
    }
}

/* ---- blocks ---- */

/* Run i of a tile's: of one head or of one token, whichever are more. */
static struct run run_at(const struct attention_tile *tile, struct block *b, int32_t i)
{
    bool by_head = tile->n_tokens > tile->n_heads;
    int32_t k = by_head ? i : i * tile->n_heads;
    return (struct run){.n = by_head ? tile->n_tokens : tile->n_heads,
                        .q = tile->q + (by_head ? i * tile->k_width : i * tile->q_stride),
                        .scores = b->scores + k * CPU_BLOCK_CELLS,
                        .out = tile->out + (by_head ? i * tile->v_width : i * tile->out_stride),
                        .keep = b->keep + k,
                        .seen = b->seen + k,
                        .q_next = by_head ? tile->q_stride : tile->k_width,
                        .out_next = by_head ? tile->out_stride : tile->v_width,
                        .state_next = by_head ? tile->n_heads : 1};
}

static int32_t n_runs(const struct attention_tile *tile)
{
    return tile->n_tokens > tile->n_heads ? tile->n_heads : tile->n_tokens;
}

static struct cells keys_of(const struct attention_tile *tile, int32_t cell, int32_t n)
{
    return (struct cells){.rows = tile->keys + (size_t)cell * tile->k_row_bytes,
                          .row_bytes = tile->k_row_bytes,
                          .type = tile->type,
                          .n = n,
                          .width = tile->k_width,
                          .values = tile->values == tile->keys ? NULL : tile->values + (size_t)cell * tile->v_row_bytes,
                          .values_row_bytes = tile->v_row_bytes};
}

static struct cells values_of(const struct attention_tile *tile, int32_t cell, int32_t n)
{
    return (struct cells){.rows = tile->values + (size_t)cell * tile->v_row_bytes,
                          .row_bytes = tile->v_row_bytes,
                          .type = tile->type,
                          .n = n,
                          .width = tile->v_width};
}

static void attention_block(const struct attention_tile *tile, int32_t cell, int32_t n, float *scratch)
{
    struct block *b = (struct block *)(void *)scratch;
    const struct cell_kernels *kernels = find_cells(tile->type);
    struct cells keys = keys_of(tile, cell, n), values = values_of(tile, cell, n);
    for (int32_t i = 0; i < n_runs(tile); i++) {
        struct run run = run_at(tile, b, i);
        kernels->score(&keys, &run);
    }
    soften(tile, cell, n, b);
    for (int32_t i = 0; i < n_runs(tile); i++) {
        struct run run = run_at(tile, b, i);
        kernels->sum(&values, &run);
    }
}

/* ---- many queries ---- */

/* Eight rows of eight numbers, row r at p + r * next, to columns: number i of all rows at out + i * CPU_BLOCK_CELLS. */
INLINE void turn_eight(const float *p, int64_t next, float *out)
{
    __m256 r[8], s[8];
    UNROLL
    for (int i = 0; i < 8; i++)
        r[i] = _mm256_loadu_ps(p + i * next);
    UNROLL
    for (int i = 0; i < 4; i++) {
        s[2 * i] = _mm256_unpacklo_ps(r[2 * i], r[2 * i + 1]);
        s[2 * i + 1] = _mm256_unpackhi_ps(r[2 * i], r[2 * i + 1]);
    }
    UNROLL
    for (int i = 0; i < 2; i++) {
        r[4 * i] = _mm256_shuffle_ps(s[4 * i], s[4 * i + 2], 0x44);
        r[4 * i + 1] = _mm256_shuffle_ps(s[4 * i], s[4 * i + 2], 0xee);
        r[4 * i + 2] = _mm256_shuffle_ps(s[4 * i + 1], s[4 * i + 3], 0x44);
        r[4 * i + 3] = _mm256_shuffle_ps(s[4 * i + 1], s[4 * i + 3], 0xee);
    }
    UNROLL
    for (int i = 0; i < 4; i++) {
        _mm256_storeu_ps(out + i * CPU_BLOCK_CELLS, _mm256_permute2f128_ps(r[i], r[i + 4], 0x20));
        _mm256_storeu_ps(out + (i + 4) * CPU_BLOCK_CELLS, _mm256_permute2f128_ps(r[i], r[i + 4], 0x31));
    }
}

/* Scratch of many queries: a block, a part of its keys turned round (KEY_PART, CPU_BLOCK_CELLS), and rows unpacked: eight of
 * KEY_PART numbers of a key, or CPU_BLOCK_CELLS of some vectors of a value. */
struct turned {
    struct block block;
    float keys[KEY_PART * CPU_BLOCK_CELLS];
    float rows[CPU_BLOCK_CELLS * WIDE * LANES];
};
_Static_assert(sizeof(struct turned) <= CPU_SCRATCH_FLOATS * sizeof(float), "scratch holds it");
_Static_assert(8 * KEY_PART <= CPU_BLOCK_CELLS * WIDE * LANES, "eight rows fit");

/* Numbers [begin, end) of all keys.  Cells beyond the last are zeros. */
static void turn_keys(const struct cell_kernels *kernels, const struct cells *keys, int64_t begin, int64_t end,
                      struct turned *t)
{
    for (int32_t c = 0; c < CPU_BLOCK_CELLS; c += 8) {
        int32_t n = keys->n - c < 8 ? keys->n - c : 8;
        if (n < 8)
            memset(t->rows, 0, sizeof t->rows);
        if (n > 0)
            kernels->unpack(keys, c, n, begin, end, t->rows, KEY_PART);
        int64_t i = 0;
        for (; i + 8 <= end - begin; i += 8)
            turn_eight(t->rows + i, KEY_PART, t->keys + i * CPU_BLOCK_CELLS + c);
        for (; i < end - begin; i++)
            for (int32_t r = 0; r < 8; r++)
                t->keys[i * CPU_BLOCK_CELLS + c + r] = t->rows[r * KEY_PART + i];
    }
}

/* scores (+)= q · keys for n queries of the run from k on and n_vecs vectors of cells from cell c on. */
INLINE void score_turned(int n_vecs, int n, const float *keys, int64_t n_numbers, bool is_first, int32_t c,
                         const float *q, int64_t q_next, float *scores, int64_t scores_next)
{
    vec sum[QUERIES][WIDE];
    UNROLL
    for (int t = 0; t < n; t++)
        UNROLL
    for (int v = 0; v < n_vecs; v++)
        sum[t][v] = is_first ? vec_zero() : vec_load(scores + t * scores_next + c + v * LANES);
    for (int64_t i = 0; i < n_numbers; i++) {
        vec key[WIDE];
        UNROLL
        for (int v = 0; v < n_vecs; v++)
            key[v] = vec_load(keys + i * CPU_BLOCK_CELLS + c + v * LANES);
        UNROLL
        for (int t = 0; t < n; t++) {
            vec input = vec_set(q[t * q_next + i]);
            UNROLL
            for (int v = 0; v < n_vecs; v++)
                sum[t][v] = vec_fma(input, key[v], sum[t][v]);
        }
    }
    UNROLL
    for (int t = 0; t < n; t++)
        UNROLL
    for (int v = 0; v < n_vecs; v++)
        vec_store(scores + t * scores_next + c + v * LANES, sum[t][v]);
}

/* Numbers [begin, end) of the keys, which stand turned round, into the scores of a run with n_cells cells. */
static void score_run_turned(const float *keys, int64_t begin, int64_t end, int32_t n_cells, const struct run *run)
{
    int64_t scores_next = run->state_next * CPU_BLOCK_CELLS;
    for (int32_t c = 0; c < n_cells; c += WIDE * LANES) {
        int32_t k = 0;
        for (; k + QUERIES <= run->n; k += QUERIES)
            score_turned(WIDE, QUERIES, keys, end - begin, begin == 0, c, run->q + k * run->q_next + begin, run->q_next,
                         run->scores + k * scores_next, scores_next);
        for (; k < run->n; k++)
            score_turned(WIDE, 1, keys, end - begin, begin == 0, c, run->q + k * run->q_next + begin, run->q_next,
                         run->scores + k * scores_next, scores_next);
    }
}

static void score_many(const struct attention_tile *tile, const struct cells *keys, struct turned *t)
{
    const struct cell_kernels *kernels = find_cells(tile->type);
    for (int64_t begin = 0; begin < keys->width; begin += KEY_PART) {
        int64_t end = keys->width - begin < KEY_PART ? keys->width : begin + KEY_PART;
        turn_keys(kernels, keys, begin, end, t);
        for (int32_t i = 0; i < n_runs(tile); i++) {
            struct run run = run_at(tile, &t->block, i);
            score_run_turned(t->keys, begin, end, keys->n, &run);
        }
    }
}

/* Some vectors of the values at a time, as floats: they stay near for all queries. */
static void sum_many(const struct attention_tile *tile, const struct cells *values, struct turned *t)
{
    enum { PART = WIDE * LANES };
    const struct cell_kernels *kernels = find_cells(tile->type);
    for (int64_t begin = 0; begin < values->width; begin += PART) {
        int64_t end = values->width - begin < PART ? values->width : begin + PART;
        kernels->unpack(values, 0, values->n, begin, end, t->rows, PART);
        const struct cells part = {.rows = (const unsigned char *)t->rows,
                                   .row_bytes = PART * sizeof *t->rows,
                                   .type = QUANT_F32,
                                   .n = values->n,
                                   .width = end - begin};
        for (int32_t i = 0; i < n_runs(tile); i++) {
            struct run run = run_at(tile, &t->block, i);
            run.out += begin;
            sum_f32(&part, &run);
        }
    }
}

static void attention(const struct attention_tile *whole, float *scratch)
{
    struct turned *t = (struct turned *)(void *)scratch;
    float greatest[CPU_TILE_QUERIES], total[CPU_TILE_QUERIES];
    struct attention_tile tile = *whole;
    tile.greatest = greatest;
    tile.total = total;
    tile.state_next = tile.n_heads;
    int32_t n_queries = tile.n_tokens * tile.n_heads, n_cells = tile.position + tile.n_tokens;
    for (int32_t k = 0; k < n_queries; k++) {
        greatest[k] = -INFINITY;
        total[k] = 0;
        memset(tile.out + k / tile.n_heads * tile.out_stride + k % tile.n_heads * tile.v_width, 0,
               (size_t)tile.v_width * sizeof *tile.out);
    }
    int32_t cell = first_seen(&tile, tile.position) / CPU_BLOCK_CELLS * CPU_BLOCK_CELLS;
    for (; cell < n_cells; cell += CPU_BLOCK_CELLS) {
        int32_t n = n_cells - cell < CPU_BLOCK_CELLS ? n_cells - cell : CPU_BLOCK_CELLS;
        struct cells keys = keys_of(&tile, cell, n), values = values_of(&tile, cell, n);
        score_many(&tile, &keys, t);
        soften(&tile, cell, n, &t->block);
        sum_many(&tile, &values, t);
    }
    for (int32_t k = 0; k < n_queries; k++)
        for (int32_t i = 0; i < tile.v_width; i++)
            tile.out[k / tile.n_heads * tile.out_stride + k % tile.n_heads * tile.v_width + i] /= total[k];
}

/* ---- spans ---- */

/* One query's sums of all spans become its result, in the order of the spans. */
static void attention_merge(const struct attention_spans *spans, float *out, float *scratch)
{
    float *weight = scratch, total = 0, greatest = -INFINITY;
    for (int32_t s = 0; s < spans->n; s++)
        if (!(spans->greatest[s * spans->next] <= greatest))
            greatest = spans->greatest[s * spans->next];
    for (int32_t s = 0; s < spans->n; s++)
        weight[s] = spans->greatest[s * spans->next] - greatest;
    for (int32_t s = 0; s < spans->n; s += LANES)
        vec_store(weight + s, vec_exp(vec_load(weight + s)));
    for (int32_t s = 0; s < spans->n; s++)
        total += weight[s] * spans->total[s * spans->next];
    int64_t i = 0;
    for (; i + LANES <= spans->width; i += LANES) {
        vec sum = vec_zero();
        for (int32_t s = 0; s < spans->n; s++)
            sum = vec_fma(vec_set(weight[s]), vec_load(spans->sums + s * spans->next + i), sum);
        vec_store(out + i, vec_div(sum, vec_set(total)));
    }
    for (; i < spans->width; i++) {
        float sum = 0;
        for (int32_t s = 0; s < spans->n; s++)
            sum += weight[s] * spans->sums[s * spans->next + i];
        out[i] = sum / total;
    }
}

#endif
