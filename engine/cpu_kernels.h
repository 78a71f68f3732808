/* cpu_kernels: what an instruction set offers to the CPU backend: the inner loops, each run by one thread on its share.
 *
 * cpu_scalar.c is the plain truth, in float with double sums and no quantised activations.  The others are tested against
 * it.  Every kernel gives a number the same value whatever the tile or share that it was computed in: so results don't
 * depend on the number of threads, nor on the company of a token in a slice of at most few_tokens.  Longer slices take
 * another form of the input: so how a text is cut into them shows in the last bits. */
#ifndef FATHOM_ENGINE_CPU_KERNELS_H
#define FATHOM_ENGINE_CPU_KERNELS_H

#include "engine/base.h"
#include "engine/model.h"
#include "engine/quant.h"

enum { ACTIVATION_BLOCK = 32 };

/* In which form, besides floats, the input of a matmul was prepared: 16 bits for each number, */
enum input_form {
    INPUT_FLOATS,
    INPUT_WORDS, /* for few tokens */
    INPUT_SPLIT, /* for many: high and low bytes apart */
};

/* A block of 32 numbers of the input, (256 · high + low) · scale each, with sums of what they stand for: of all and of each
 * half. */
struct split_block {
    int8_t high[ACTIVATION_BLOCK], low[ACTIVATION_BLOCK];
    float scale, sum, half_sum[2];
};

/* The input of a matmul, prepared once for all weights it meets: n_tokens rows of n_cols numbers.  As floats, row t is at
 * x + t * x_stride.  The other forms have rows of their own, which may be shared: that of token t is activation_row(t).
 *
 * Words: block b of a row is q[32b..] · scale[b], in an order that the instruction set chose; sum[b] = scale[b] · Σq, and
 * second_sum[b] is the part of it that the block's numbers 16..31 make.
 * Split: n_cols / 32 blocks a row. */
struct activation {
    int32_t n_tokens;
    int64_t n_cols;
    enum input_form form;
    const float *x;
    int64_t x_stride;
    const int32_t *rows; /* (n_tokens); NULL: first_row + t */
    int64_t first_row;
    int16_t *q;                      /* (rows, activation_words(n_cols)) */
    float *scale, *sum, *second_sum; /* (rows, n_cols / 32) */
    struct split_block *blocks;      /* (rows, n_cols / 32) */
};

static inline int64_t activation_row(const struct activation *x, int32_t token)
{
    return x->rows ? x->rows[token] : x->first_row + token;
}

/* Room for a row's words: parts of the last eight blocks, by 4, 2 and 1, may each take that of eight. */
static inline int64_t activation_words(int64_t n_cols)
{
    enum { GROUP_WORDS = 8 * ACTIVATION_BLOCK };
    int64_t n_blocks = n_cols / ACTIVATION_BLOCK, n_parts = (n_blocks >> 2 & 1) + (n_blocks >> 1 & 1) + (n_blocks & 1);
    return (n_blocks / 8 + n_parts) * GROUP_WORDS;
}

/* Where a matmul's results go: out[t * stride + row] = value + bias[row], or += . */
struct matmul_out {
    float *out;
    int64_t stride;
    const float *bias; /* may be NULL */
    bool accumulate;
};

/* One tile of attention: queries of n_tokens tokens from position on and n_heads query heads, all on one KV head.
 * The query of token t and head h lies at q + t * q_stride + h * k_width, its result at out + t * out_stride + h * v_width. */
struct attention_tile {
    enum quant_type type;               /* of keys and values: F32, F16, Q8_0 or Q4_0 */
    const unsigned char *keys, *values; /* cell 0 of this KV head */
    size_t k_row_bytes, v_row_bytes;
    int32_t k_width, v_width;
    int32_t n_tokens, n_heads, position;
    int32_t window; /* a token sees so many last cells, its own included; 0: all */
    const float *q;
    float *out;
    int64_t q_stride, out_stride;
    float scale;
    /* For attention_block, at t * state_next + h: the greatest score so far and the sum of shares.  out has the sums of shares
     * times values. */
    float *greatest, *total;
    int64_t state_next;
};

/* What blocks left of one query in each of n spans of cells: span s's numbers stand s * next further. */
struct attention_spans {
    int32_t n;
    int64_t width, next;
    const float *sums, *greatest, *total;
};

enum {
    CPU_SCRATCH_FLOATS = 192 * 1024, /* of each thread, aligned to 64 bytes; more than MODEL_MAX_WIDTH */
    CPU_TILE_QUERIES = 96,           /* n_tokens * n_heads of a tile is at most this */
    CPU_BLOCK_CELLS = 64,
    CPU_FEW_TOKENS = 16, /* attention gives each token of up to so many the numbers that it would get alone */
};

struct cpu_kernels {
    const char *name;
    bool (*is_available)(void); /* on the CPU we run on */

    /* At most so many tokens may take words, and each then gets the very numbers that it would have had alone. */
    int32_t few_tokens;
    int32_t worth_words; /* from more tokens on the other form is faster */
    /* Whether weights of this type, with rows of n_cols numbers, read the input in that form. */
    bool (*takes)(enum quant_type type, int64_t n_cols, enum input_form form);
    /* One row of n numbers, n a multiple of 32. */
    void (*quantise_words)(const float *x, int64_t n, int16_t *q, float *scale, float *sum, float *second_sum);
    void (*quantise_split)(const float *x, int64_t n, struct split_block *blocks);

    /* Rows [begin, end) of matrix mat against all tokens of x. */
    void (*matmul)(const struct weight *weight, int64_t mat, int64_t begin, int64_t end, const struct activation *x,
                   const struct matmul_out *out, float *scratch);
    /* All cells that the tile's queries see. */
    void (*attention)(const struct attention_tile *tile, float *scratch);
    /* For few queries, or NULL: cells [cell, cell + n), a block or the beginning of one, into the tile's sums; and the sums of
     * spans of blocks as a result. */
    void (*attention_block)(const struct attention_tile *tile, int32_t cell, int32_t n, float *scratch);
    void (*attention_merge)(const struct attention_spans *spans, float *out, float *scratch);
    /* A row of the KV cache: F32, F16, or Q8_0 or Q4_0 where n is a multiple of 32. */
    void (*pack_cell)(enum quant_type type, unsigned char *to, const float *x, int64_t n);
    void (*silu_gate)(float *gate, const float *up, size_t n); /* gate = silu(gate) · up */
    void (*gelu)(float *x, size_t n);                          /* its tanh form (Hendrycks & Gimpel 2016) */
    /* Multiplies bytes that stand in registers and sums them up, by the fastest instructions it has for that, so many
     * times; gives the number of multiply-adds.  A yardstick for what the CPU can do at most (cpu_peak.c). */
    int64_t (*multiply_bytes)(int64_t n_rounds);
};

extern const struct cpu_kernels cpu_scalar_kernels;
#if defined(__x86_64__)
/* Asked from code that any CPU runs. */
bool cpu_has_avx2(void);
extern const struct cpu_kernels cpu_avx2_kernels;
bool cpu_has_avx512_vnni(void);
extern const struct cpu_kernels cpu_avx512_vnni_kernels;
/* Their multiply_bytes. */
int64_t cpu_multiply_bytes_avx2(int64_t n_rounds);
int64_t cpu_multiply_bytes_avx512_vnni(int64_t n_rounds);
#endif

/* The i-th set, best first; NULL at the end. */
const struct cpu_kernels *cpu_kernels_at(size_t i);

#endif
