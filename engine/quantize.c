/* quantize: the way from floats to blocks; see quantize.h.  Which tensor gets which type is in quantize_choice.c.
 *
 * Two kinds of fit stand behind all types, for a run of numbers x with weights w that say how much an error there counts:
 *
 *   even    x = scale * q,            q in -half .. half - 1     Q8_0 Q4_0 Q5_0 Q6_K
 *   ranged  x = scale * q + minimum,  q in 0 .. top              Q4_1 Q5_1 Q4_K Q5_K
 *
 * Both try inverse scales around the one that spreads the range over all codes, a fifth of a code apart (half that takes
 * twice the time for errors that are less by a thousandth).  A candidate's codes given, the best scale (and minimum) for
 * them is a weighted least-squares problem with a closed solution; from the best candidate on, codes and solution are
 * refined in turn.  What is stored is coarser than a float (halves, 6-bit multiples of a half), so the last choice is made
 * among stored values, by the error that the reader of the block will see.
 *
 * The idea to search over inverse scales, and the weights of the K types, are those of llama.cpp's k-quants
 * (https://github.com/ggml-org/llama.cpp/pull/1684, make_qkx2_quants and make_qx_quants of ggml-quants.c).
 *
 * Codes are whole numbers kept in floats while they are looked for. */
#include "engine/quantize.h"

#include <math.h>
#include <string.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

enum { BLOCK = 32, SUPER = 256, SIXTEEN = 16 };

/* Beyond this no scale of any type is a half; below, squares of squares of numbers don't overflow. */
static const float too_large = 1e9f;

/* A spread below this rounds to a scale of 0 in every type: the least half is 2^-24. */
static const float too_small = 0x1p-40f;

/* ---- four numbers at once ----
 *
 * Vectors of the compiler's own: all machines have them in some form, and add up in the same order.  Runs are of 16 or 32. */

typedef float lanes __attribute__((vector_size(16)));
typedef int32_t lane_bits __attribute__((vector_size(16)));

enum { LANES = 4 };

static inline lanes lanes_load(const float *x)
{
    lanes result;
    memcpy(&result, x, sizeof result);
    return result;
}

static inline void lanes_store(float *out, lanes x)
{
    memcpy(out, &x, sizeof x);
}

static inline lanes lanes_of(float x)
{
    return (lanes){x, x, x, x};
}

static inline float lanes_sum(lanes x)
{
    return (x[0] + x[1]) + (x[2] + x[3]);
}

static inline lanes lanes_clamp(lanes x, lanes low, lanes high)
{
#ifdef __SSE2__ /* compilers don't see it in what stands below */
    return _mm_min_ps(_mm_max_ps(x, low), high);
#else
    lane_bits below = x < low;
    x = (lanes)((below & (lane_bits)low) | (~below & (lane_bits)x));
    lane_bits above = x > high;
    return (lanes)((above & (lane_bits)high) | (~above & (lane_bits)x));
#endif
}

/* To the nearest whole number, ties to even; |x| < 2^22. */
static inline lanes lanes_round(lanes x)
{
    const lanes shift = lanes_of(12582912.0f); /* 1.5 * 2^23: a float of that size has no fraction */
    return (x + shift) - shift;
}

/* The codes for four numbers. */
static inline lanes lanes_codes(const float *x, float low, float inverse, float least, float greatest)
{
    lanes steps = (lanes_load(x) - lanes_of(low)) * lanes_of(inverse);
    return lanes_round(lanes_clamp(steps, lanes_of(least), lanes_of(greatest)));
}

/* ---- rounding ---- */

static inline float round_near(float x)
{
    return lanes_round(lanes_of(x))[0];
}

static inline float clamp(float x, float low, float high)
{
    x = x < low ? low : x;
    return x > high ? high : x;
}

static inline float half_rounded(float x)
{
    return float_from_half(half_from_float(x));
}

static bool half_holds(float x)
{
    return (half_from_float(x) & 0x7c00) != 0x7c00;
}

/* A half (>= 0) for scales up to `greatest`, which is to be `steps` times it.  Where halves are coarse, near 0, the next
 * one up: with the nearest, the greatest scales might be out of reach. */
static uint16_t half_for_steps(float greatest, float steps)
{
    uint16_t half = half_from_float(greatest / steps);
    if (float_from_half(half) * (steps + 0.5f) < greatest)
        half++;
    return half;
}

static void store_u16(unsigned char *out, uint16_t value)
{
    out[0] = (unsigned char)value;
    out[1] = (unsigned char)(value >> 8);
}

static float greatest_magnitude(const float *x, int n)
{
    float greatest = 0;
    for (int i = 0; i < n; i++)
        greatest = fabsf(x[i]) > greatest ? fabsf(x[i]) : greatest;
    return greatest;
}

/* ---- weights ---- */

/* The weights of a run: large numbers count more, by the typical size of the run.  With all weights alike, the plain error
 * is less, but the model worse: the great weights are what it can't do without. */
static void weigh(const float *x, int n, float *w)
{
    float sum = 0;
    for (int i = 0; i < n; i++)
        sum += x[i] * x[i];
    float size = sqrtf(sum / (float)n);
    for (int i = 0; i < n; i++)
        w[i] = size + fabsf(x[i]);
}

/* ---- even: x = scale * q ---- */

/* Nearest codes; returns the weighted error. */
static float even_codes(const float *x, const float *w, int n, float scale, float half, float *q)
{
    float inverse = scale != 0 ? 1 / scale : 0;
    if (inverse - inverse != 0) /* a scale so small that its inverse is infinite */
        inverse = scale = 0;
    lanes error = lanes_of(0);
    for (int i = 0; i < n; i += LANES) {
        lanes codes = lanes_codes(x + i, 0, inverse, -half, half - 1);
        lanes off = lanes_of(scale) * codes - lanes_load(x + i);
        error += lanes_load(w + i) * off * off;
        lanes_store(q + i, codes);
    }
    return lanes_sum(error);
}

/* The best scale for given codes; 0 where all are 0. */
static float even_fit(const float *x, const float *w, int n, const float *q)
{
    lanes xq = lanes_of(0), qq = lanes_of(0);
    for (int i = 0; i < n; i += LANES) {
        lanes codes = lanes_load(q + i), weighted = lanes_load(w + i) * codes;
        xq += weighted * lanes_load(x + i);
        qq += weighted * codes;
    }
    float size = lanes_sum(qq);
    return size > 0 ? lanes_sum(xq) / size : 0;
}

/* Fits scale by turns with codes, while that helps. */
static float even_refine(const float *x, const float *w, int n, float half, float scale)
{
    float q[BLOCK], best = even_codes(x, w, n, scale, half, q);
    for (int turn = 0; turn < 3; turn++) {
        float next = even_fit(x, w, n, q), error = even_codes(x, w, n, next, half, q);
        if (error >= best)
            break;
        best = error;
        scale = next;
    }
    return scale;
}

/* n <= 32.  The scale may be negative: codes reach one further down than up, and the greatest number should have use of
 * that.  With few codes it may do better without. */
static float even_search(const float *x, const float *w, int n, float half)
{
    float extreme = 0, best = -1, scale = 0;
    for (int i = 0; i < n; i++)
        extreme = fabsf(x[i]) > fabsf(extreme) ? x[i] : extreme;
    if (fabsf(extreme) < too_small)
        return 0;
    for (int side = half > 16 ? 1 : 0; side < 2; side++)
        for (int step = -4; step <= 4; step++) {
            float inverse = (half + 0.2f * (float)step) / (side ? -extreme : extreme);
            lanes sum_xq = lanes_of(0), sum_qq = lanes_of(0);
            for (int i = 0; i < n; i += LANES) {
                lanes codes = lanes_codes(x + i, 0, inverse, -half, half - 1), weighted = lanes_load(w + i) * codes;
                sum_xq += weighted * lanes_load(x + i);
                sum_qq += weighted * codes;
            }
            /* By the best scale for these codes the error is that of zeros less xq² / qq. */
            float xq = lanes_sum(sum_xq), qq = lanes_sum(sum_qq);
            if (qq > 0 && xq * xq > best * qq) {
                best = xq * xq / qq;
                scale = xq / qq;
            }
        }
    return even_refine(x, w, n, half, scale);
}

/* ---- ranged: x = scale * q + minimum ---- */

struct ranged {
    float scale, minimum;
};

static float ranged_codes(const float *x, const float *w, int n, struct ranged fit, float top, float *q)
{
    float inverse = fit.scale > 0 ? 1 / fit.scale : 0;
    if (inverse - inverse != 0)
        inverse = fit.scale = 0;
    lanes error = lanes_of(0);
    for (int i = 0; i < n; i += LANES) {
        lanes codes = lanes_codes(x + i, fit.minimum, inverse, 0, top);
        lanes off = lanes_of(fit.scale) * codes + lanes_of(fit.minimum) - lanes_load(x + i);
        error += lanes_load(w + i) * off * off;
        lanes_store(q + i, codes);
    }
    return lanes_sum(error);
}

/* Weighted sums over a run, of ones, of the codes that a fit gives, of numbers, and of their products.  The numbers are
 * taken above the lowest of the run, so that a spread far smaller than the numbers themselves isn't lost. */
struct ranged_sums {
    float ones, q, qq, x, xq, xx;
};

static struct ranged_sums ranged_add_up(const float *x, const float *w, int n, struct ranged fit, float low, float top)
{
    float inverse = 1 / fit.scale;
    lanes ones = lanes_of(0), q = ones, qq = ones, sum = ones, xq = ones, xx = ones;
    for (int i = 0; i < n; i += LANES) {
        lanes codes = lanes_codes(x + i, fit.minimum, inverse, 0, top), weight = lanes_load(w + i);
        lanes weighted = weight * codes, above = lanes_load(x + i) - lanes_of(low);
        ones += weight;
        q += weighted;
        qq += weighted * codes;
        sum += weight * above;
        xq += weighted * above;
        xx += weight * above * above;
    }
    return (struct ranged_sums){lanes_sum(ones), lanes_sum(q),  lanes_sum(qq),
                                lanes_sum(sum),  lanes_sum(xq), lanes_sum(xx)};
}

/* The best scale and minimum for the codes behind the sums, and their weighted error.  The K types store no minimum above 0
 * (is_below). */
static struct ranged ranged_fit(const struct ranged_sums *sums, float low, bool is_below, float *error)
{
    float determinant = sums->ones * sums->qq - sums->q * sums->q, scale = 0, above = 0;
    if (determinant > 0) {
        scale = (sums->ones * sums->xq - sums->x * sums->q) / determinant;
        above = (sums->qq * sums->x - sums->q * sums->xq) / determinant;
        if (is_below && low + above > 0) {
            above = -low;
            scale = (sums->xq + low * sums->q) / sums->qq;
        }
    }
    *error = sums->xx + scale * (scale * sums->qq + 2 * (above * sums->q - sums->xq)) +
             above * (above * sums->ones - 2 * sums->x);
    return (struct ranged){scale, low + above};
}

/* n <= 32. */
static struct ranged ranged_search(const float *x, const float *w, int n, float top, bool is_below)
{
    float low = x[0], high = x[0], q[BLOCK];
    for (int i = 1; i < n; i++) {
        low = x[i] < low ? x[i] : low;
        high = x[i] > high ? x[i] : high;
    }
    low = is_below && low > 0 ? 0 : low;
    struct ranged best = {0, low};
    if (high - low < too_small)
        return best;
    best.scale = (high - low) / top;
    float least = ranged_codes(x, w, n, best, top, q);
    for (int step = -5; step <= 5; step++) {
        struct ranged fit = {(high - low) / (top + 0.2f * (float)step), low};
        struct ranged_sums sums = ranged_add_up(x, w, n, fit, low, top);
        float error;
        fit = ranged_fit(&sums, low, is_below, &error);
        if (error < least) {
            least = error;
            best = fit;
        }
    }
    /* Codes and fit by turns, while that helps. */
    least = ranged_codes(x, w, n, best, top, q);
    for (int turn = 0; turn < 3 && best.scale > 0x1p-100f; turn++) {
        float error;
        struct ranged_sums sums = ranged_add_up(x, w, n, best, low, top);
        struct ranged fit = ranged_fit(&sums, low, is_below, &error);
        error = ranged_codes(x, w, n, fit, top, q);
        if (error >= least)
            break;
        least = error;
        best = fit;
    }
    return best;
}

/* ---- plain types ---- */

typedef bool pack_fn(const float *x, unsigned char *block); /* one block */

static bool pack_f32(const float *x, unsigned char *block)
{
    uint32_t bits;
    memcpy(&bits, x, sizeof bits);
    for (int i = 0; i < 4; i++)
        block[i] = (unsigned char)(bits >> (8 * i));
    return true;
}

static bool pack_f16(const float *x, unsigned char *block)
{
    store_u16(block, half_from_float(*x));
    return half_holds(*x);
}

/* The upper half of a float, to the nearest, ties to even. */
static bool pack_bf16(const float *x, unsigned char *block)
{
    uint32_t bits;
    memcpy(&bits, x, sizeof bits);
    uint32_t rounded = (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
    store_u16(block, (uint16_t)rounded);
    return (rounded & 0x7f80) != 0x7f80;
}

/* ---- blocks of 32 ---- */

static const float ones[BLOCK] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
                                  1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};

static bool pack_q8_0(const float *x, unsigned char *block)
{
    float q[BLOCK];
    uint16_t stored = half_for_steps(greatest_magnitude(x, BLOCK), 127);
    float scale = float_from_half(stored);
    if (!half_holds(scale))
        return false;
    store_u16(block, stored);
    even_codes(x, ones, BLOCK, scale, 128, q);
    for (int i = 0; i < BLOCK; i++)
        block[2 + i] = (unsigned char)(int)q[i];
    return true;
}

/* Codes of Q4_0 and Q5_0 less the offset that makes them unsigned, and the scale as a half. */
static bool choose_even(const float *x, float half, float *q, uint16_t *stored)
{
    float extreme = 0, w[BLOCK], other[BLOCK];
    for (int i = 0; i < BLOCK; i++)
        extreme = greatest_magnitude(x + i, 1) > greatest_magnitude(&extreme, 1) ? x[i] : extreme;
    float simple = float_from_half(half_for_steps(greatest_magnitude(&extreme, 1), half));
    simple = extreme > 0 ? -simple : simple;
    if (greatest_magnitude(x, BLOCK) > too_large || !half_holds(simple))
        return false;
    weigh(x, BLOCK, w);
    float searched = half_rounded(even_search(x, w, BLOCK, half));
    float error = even_codes(x, w, BLOCK, simple, half, q);
    *stored = half_from_float(simple);
    if (half_holds(searched) && even_codes(x, w, BLOCK, searched, half, other) < error) {
        memcpy(q, other, sizeof other);
        *stored = half_from_float(searched);
    }
    return true;
}

/* Codes of Q4_1 and Q5_1, scale and minimum as halves. */
static bool choose_ranged(const float *x, float top, float *q, uint16_t stored[2])
{
    float low = x[0], high = x[0], w[BLOCK], other[BLOCK];
    for (int i = 1; i < BLOCK; i++) {
        low = x[i] < low ? x[i] : low;
        high = x[i] > high ? x[i] : high;
    }
    if (high > too_large || low < -too_large || !half_holds((high - low) / top) || !half_holds(low))
        return false;
    weigh(x, BLOCK, w);
    struct ranged simple = {float_from_half(half_for_steps(high - low, top)), half_rounded(low)};
    struct ranged searched = ranged_search(x, w, BLOCK, top, false);
    searched = (struct ranged){half_rounded(searched.scale), half_rounded(searched.minimum)};
    float error = ranged_codes(x, w, BLOCK, simple, top, q);
    if (half_holds(searched.scale) && half_holds(searched.minimum) &&
        ranged_codes(x, w, BLOCK, searched, top, other) < error) {
        memcpy(q, other, sizeof other);
        simple = searched;
    }
    stored[0] = half_from_float(simple.scale);
    stored[1] = half_from_float(simple.minimum);
    return true;
}

/* Low nibbles of 32 codes, and where high isn't NULL the fifth bits. */
static void store_codes(const float *q, int offset, unsigned char *low, unsigned char *high)
{
    uint32_t fifth = 0;
    for (int i = 0; i < BLOCK / 2; i++) {
        unsigned a = (unsigned)((int)q[i] + offset), b = (unsigned)((int)q[i + BLOCK / 2] + offset);
        low[i] = (unsigned char)((a & 15) | (b & 15) << 4);
        fifth |= (a >> 4 & 1) << i | (b >> 4 & 1) << (i + BLOCK / 2);
    }
    for (int i = 0; high && i < 4; i++)
        high[i] = (unsigned char)(fifth >> (8 * i));
}

static bool pack_q4_0(const float *x, unsigned char *block)
{
    float q[BLOCK];
    uint16_t scale;
    if (!choose_even(x, 8, q, &scale))
        return false;
    store_u16(block, scale);
    store_codes(q, 8, block + 2, NULL);
    return true;
}

static bool pack_q5_0(const float *x, unsigned char *block)
{
    float q[BLOCK];
    uint16_t scale;
    if (!choose_even(x, 16, q, &scale))
        return false;
    store_u16(block, scale);
    store_codes(q, 16, block + 6, block + 2);
    return true;
}

static bool pack_q4_1(const float *x, unsigned char *block)
{
    float q[BLOCK];
    uint16_t stored[2];
    if (!choose_ranged(x, 15, q, stored))
        return false;
    store_u16(block, stored[0]);
    store_u16(block + 2, stored[1]);
    store_codes(q, 0, block + 4, NULL);
    return true;
}

static bool pack_q5_1(const float *x, unsigned char *block)
{
    float q[BLOCK];
    uint16_t stored[2];
    if (!choose_ranged(x, 31, q, stored))
        return false;
    store_u16(block, stored[0]);
    store_u16(block + 2, stored[1]);
    store_codes(q, 0, block + 8, block + 4);
    return true;
}

/* ---- super-blocks of 256 ---- */

/* A super-block of Q4_K or Q5_K: scale d * s[r] and minimum -m * t[r] of its eight runs. */
struct super {
    uint16_t d, m; /* halves */
    unsigned char s[8], t[8];
    float q[SUPER];
};

/* The 6-bit scale and minimum of a run: the nearest to those wanted, or neighbours that do better. */
static void choose_run(const float *x, const float *w, struct ranged wanted, float top, struct super *super, int run)
{
    float d = float_from_half(super->d), m = float_from_half(super->m), q[BLOCK], least = -1;
    float s = d > 0 ? round_near(clamp(wanted.scale / d, 0, 63)) : 0;
    float t = m > 0 ? round_near(clamp(-wanted.minimum / m, 0, 63)) : 0;
    for (int i = -1; i <= 1; i++)
        for (int j = -1; j <= 1; j++) {
            if (s + (float)i < 0 || s + (float)i > 63 || t + (float)j < 0 || t + (float)j > 63)
                continue;
            struct ranged stored = {d * (s + (float)i), -m * (t + (float)j)};
            float error = ranged_codes(x, w, BLOCK, stored, top, q);
            if (least >= 0 && error >= least)
                continue;
            least = error;
            super->s[run] = (unsigned char)(int)(s + (float)i);
            super->t[run] = (unsigned char)(int)(t + (float)j);
            memcpy(super->q + run * BLOCK, q, sizeof q);
        }
}

static bool choose_super(const float *x, float top, struct super *super)
{
    struct ranged wanted[8];
    float w[SUPER], scale = 0, depth = 0;
    if (greatest_magnitude(x, SUPER) > too_large)
        return false;
    for (int run = 0; run < 8; run++) {
        weigh(x + run * BLOCK, BLOCK, w + run * BLOCK);
        wanted[run] = ranged_search(x + run * BLOCK, w + run * BLOCK, BLOCK, top, true);
        scale = wanted[run].scale > scale ? wanted[run].scale : scale;
        depth = -wanted[run].minimum > depth ? -wanted[run].minimum : depth;
    }
    super->d = half_for_steps(scale, 63);
    super->m = half_for_steps(depth, 63);
    if (!half_holds(float_from_half(super->d)) || !half_holds(float_from_half(super->m)))
        return false;
    for (int run = 0; run < 8; run++)
        choose_run(x + run * BLOCK, w + run * BLOCK, wanted[run], top, super, run);
    return true;
}

/* The first 16 bytes of a Q4_K or Q5_K block; see scale_and_minimum in quant.c. */
static void store_scales(const struct super *super, unsigned char *block)
{
    unsigned char *packed = block + 4;
    store_u16(block, super->d);
    store_u16(block + 2, super->m);
    for (int i = 0; i < 4; i++) {
        packed[i] = (unsigned char)(super->s[i] | (super->s[i + 4] >> 4) << 6);
        packed[i + 4] = (unsigned char)(super->t[i] | (super->t[i + 4] >> 4) << 6);
        packed[i + 8] = (unsigned char)((super->s[i + 4] & 15) | (super->t[i + 4] & 15) << 4);
    }
}

/* Low nibbles: those of runs 2k and 2k+1 share the bytes 32k.. */
static void store_runs(const struct super *super, unsigned char *low)
{
    for (int i = 0; i < SUPER / 2; i++) {
        const float *q = super->q + i / BLOCK * 2 * BLOCK + i % BLOCK;
        low[i] = (unsigned char)(((unsigned)(int)q[0] & 15) | ((unsigned)(int)q[BLOCK] & 15) << 4);
    }
}

static bool pack_q4_k(const float *x, unsigned char *block)
{
    struct super super;
    if (!choose_super(x, 15, &super))
        return false;
    store_scales(&super, block);
    store_runs(&super, block + 16);
    return true;
}

static bool pack_q5_k(const float *x, unsigned char *block)
{
    struct super super;
    if (!choose_super(x, 31, &super))
        return false;
    store_scales(&super, block);
    memset(block + 16, 0, BLOCK);
    for (int i = 0; i < SUPER; i++)
        block[16 + i % BLOCK] = (unsigned char)(block[16 + i % BLOCK] | ((int)super.q[i] >> 4) << (i / BLOCK));
    store_runs(&super, block + 48);
    return true;
}

/* The signed 8-bit scale of a run of 16: the nearest to the one wanted, or a neighbour that does better. */
static int choose_sixteen(const float *x, const float *w, float wanted, float d, float *codes)
{
    float q[SIXTEEN], least = -1, s = d > 0 ? round_near(clamp(wanted / d, -128, 127)) : 0;
    int best = 0;
    for (int i = -1; i <= 1; i++) {
        if (s + (float)i < -128 || s + (float)i > 127)
            continue;
        float error = even_codes(x, w, SIXTEEN, d * (s + (float)i), 32, q);
        if (least >= 0 && error >= least)
            continue;
        least = error;
        best = (int)s + i;
        memcpy(codes, q, sizeof q);
    }
    return best;
}

static bool pack_q6_k(const float *x, unsigned char *block)
{
    float w[SUPER], wanted[SIXTEEN], q[SUPER], greatest = 0;
    if (greatest_magnitude(x, SUPER) > too_large)
        return false;
    for (int run = 0; run < SUPER / SIXTEEN; run++) {
        weigh(x + run * SIXTEEN, SIXTEEN, w + run * SIXTEEN);
        wanted[run] = even_search(x + run * SIXTEEN, w + run * SIXTEEN, SIXTEEN, 32);
        float magnitude = greatest_magnitude(wanted + run, 1);
        greatest = magnitude > greatest ? magnitude : greatest;
    }
    uint16_t half = half_for_steps(greatest, 127);
    float d = float_from_half(half);
    if (!half_holds(d))
        return false;
    store_u16(block + 208, half);
    for (int run = 0; run < SUPER / SIXTEEN; run++)
        block[192 + run] =
            (unsigned char)choose_sixteen(x + run * SIXTEEN, w + run * SIXTEEN, wanted[run], d, q + run * SIXTEEN);
    memset(block, 0, 192);
    for (int i = 0; i < SUPER; i++) {
        int part = i / 128, run = i / 32 % 4, code = (int)q[i] + 32;
        unsigned char *low = block + part * 64 + run % 2 * 32 + i % 32, *high = block + 128 + part * 32 + i % 32;
        *low = (unsigned char)(*low | (code & 15) << (run < 2 ? 0 : 4));
        *high = (unsigned char)(*high | code >> 4 << (2 * run));
    }
    return true;
}

/* ---- the table ---- */

static pack_fn *const packs[QUANT_LIMIT] = {
    [QUANT_F32] = pack_f32,   [QUANT_F16] = pack_f16,   [QUANT_BF16] = pack_bf16, [QUANT_Q8_0] = pack_q8_0,
    [QUANT_Q4_0] = pack_q4_0, [QUANT_Q4_1] = pack_q4_1, [QUANT_Q5_0] = pack_q5_0, [QUANT_Q5_1] = pack_q5_1,
    [QUANT_Q4_K] = pack_q4_k, [QUANT_Q5_K] = pack_q5_k, [QUANT_Q6_K] = pack_q6_k,
};

bool quantize_has(enum quant_type type)
{
    return quant_info(type) && packs[type];
}

bool quantize_pack(enum quant_type type, const float *x, size_t n, void *out)
{
    const struct quant_info *info = quant_info(type);
    unsigned char *block = out;
    bool is_held = true;
    for (size_t i = 0; i < n; i += info->block_elements, block += info->block_bytes)
        is_held &= packs[type](x + i, block);
    return is_held;
}
