/* cpu_scalar: the kernels in plain C: the truth that every fast kernel is held against, and what runs on any CPU. */
#include "engine/cpu_kernels.h"

#include <math.h>
#include <string.h>

static bool always(void)
{
    return true;
}

static bool takes_floats(enum quant_type type, int64_t n_cols, enum input_form form)
{
    (void)type;
    (void)n_cols;
    return form == INPUT_FLOATS;
}

static double dot(const float *a, const float *b, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += (double)a[i] * (double)b[i];
    return sum;
}

static void matmul(const struct weight *weight, int64_t mat, int64_t begin, int64_t end, const struct activation *x,
                   const struct matmul_out *out, float *scratch)
{
    for (int64_t row = begin; row < end; row++) {
        const unsigned char *data = weight->data + (size_t)mat * weight->mat_bytes + (size_t)row * weight->row_bytes;
        quant_info(weight->type)->unpack(data, scratch, (size_t)weight->n_cols);
        for (int32_t t = 0; t < x->n_tokens; t++) {
            float *to = out->out + t * out->stride + row;
            float value = (float)dot(scratch, x->x + t * x->x_stride, weight->n_cols);
            if (out->bias)
                value += out->bias[row];
            *to = out->accumulate ? *to + value : value;
        }
    }
}

/* softmax(scale · q · keysᵀ) · values over the cells up to last, in two passes over the cells: the greatest score first. */
static void attend(const struct attention_tile *tile, const float *q, int32_t last, float *out, float *row)
{
    const struct quant_info *info = quant_info(tile->type);
    int32_t first = tile->window && last >= tile->window ? last - tile->window + 1 : 0;
    double greatest = -INFINITY, total = 0;
    for (int32_t cell = first; cell <= last; cell++) {
        info->unpack(tile->keys + (size_t)cell * tile->k_row_bytes, row, (size_t)tile->k_width);
        greatest = fmax(greatest, dot(q, row, tile->k_width) * (double)tile->scale);
    }
    for (int32_t i = 0; i < tile->v_width; i++)
        out[i] = 0;
    for (int32_t cell = first; cell <= last; cell++) {
        info->unpack(tile->keys + (size_t)cell * tile->k_row_bytes, row, (size_t)tile->k_width);
        double share = exp(dot(q, row, tile->k_width) * (double)tile->scale - greatest);
        total += share;
        info->unpack(tile->values + (size_t)cell * tile->v_row_bytes, row, (size_t)tile->v_width);
        for (int32_t i = 0; i < tile->v_width; i++)
            out[i] += (float)share * row[i];
    }
    for (int32_t i = 0; i < tile->v_width; i++)
        out[i] = (float)((double)out[i] / total);
}

static void attention(const struct attention_tile *tile, float *scratch)
{
    for (int32_t t = 0; t < tile->n_tokens; t++)
        for (int32_t h = 0; h < tile->n_heads; h++)
            attend(tile, tile->q + t * tile->q_stride + h * tile->k_width, tile->position + t,
                   tile->out + t * tile->out_stride + h * tile->v_width, scratch);
}

/* Q8_0: blocks of 32 numbers: a half-precision scale, then 32 signed bytes. */
static void pack_q8_0(unsigned char *to, const float *x, int64_t n)
{
    for (int64_t i = 0; i < n; i += 32, to += 34) {
        float greatest = 0;
        bool is_finite = true;
        for (int32_t k = 0; k < 32; k++) {
            greatest = fmaxf(greatest, fabsf(x[i + k]));
            is_finite &= isfinite(x[i + k]) != 0;
        }
        float scale = is_finite ? greatest / 127.0f : NAN, inverse = scale > 1e-38f ? 1.0f / scale : 0;
        uint16_t half = half_from_float(scale);
        memcpy(to, &half, 2);
        for (int32_t k = 0; k < 32; k++)
            to[2 + k] = is_finite ? (unsigned char)(int8_t)lrintf(x[i + k] * inverse) : 1;
    }
}

/* Q4_0: blocks of 32 numbers: a half-precision scale d, then 16 bytes of two numbers, k and k + 16: d · (nibble - 8).  The one
 * of the greatest magnitude becomes -8. */
static void pack_q4_0(unsigned char *to, const float *x, int64_t n)
{
    for (int64_t i = 0; i < n; i += 32, to += 18) {
        float greatest = 0, extreme = 0;
        bool is_finite = true;
        for (int32_t k = 0; k < 32; k++) {
            if (fabsf(x[i + k]) > greatest) {
                greatest = fabsf(x[i + k]);
                extreme = x[i + k];
            }
            is_finite &= isfinite(x[i + k]) != 0;
        }
        float scale = is_finite ? extreme / -8.0f : NAN, inverse = fabsf(scale) > 1e-38f ? 1.0f / scale : 0;
        uint16_t half = half_from_float(scale);
        memcpy(to, &half, 2);
        for (int32_t k = 0; k < 16; k++) {
            long low = is_finite ? lrintf(x[i + k] * inverse) + 8 : 1;
            long high = is_finite ? lrintf(x[i + k + 16] * inverse) + 8 : 1;
            to[2 + k] = (unsigned char)((low < 15 ? low : 15) | (high < 15 ? high : 15) << 4);
        }
    }
}

static void pack_cell(enum quant_type type, unsigned char *to, const float *x, int64_t n)
{
    if (type == QUANT_F32) {
        memcpy(to, x, (size_t)n * sizeof *x);
    } else if (type == QUANT_Q8_0) {
        pack_q8_0(to, x, n);
    } else if (type == QUANT_Q4_0) {
        pack_q4_0(to, x, n);
    } else {
        for (int64_t i = 0; i < n; i++) {
            uint16_t half = half_from_float(x[i]);
            memcpy(to + 2 * (size_t)i, &half, 2);
        }
    }
}

static void silu_gate(float *gate, const float *up, size_t n)
{
    for (size_t i = 0; i < n; i++)
        gate[i] = gate[i] / (1.0f + expf(-gate[i])) * up[i];
}

static void gelu(float *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        x[i] = 0.5f * x[i] * (1.0f + tanhf(0.79788456f * x[i] * (1.0f + 0.044715f * x[i] * x[i])));
}

/* Four sums, so that a multiplication needn't wait for the one before. */
static int64_t multiply_bytes(int64_t n_rounds)
{
    enum { SUMS = 4 };
    int32_t sums[SUMS] = {0};
    for (int64_t round = 0; round < n_rounds; round++)
        for (int i = 0; i < SUMS; i++) {
            int8_t a = 1, b = 1;
            __asm__ volatile("" : "+r"(a), "+r"(b)); /* not known: else nothing is left to multiply */
            sums[i] += a * b;
        }
    for (int i = 0; i < SUMS; i++)
        __asm__ volatile("" : : "r"(sums[i]));
    return n_rounds * SUMS;
}

const struct cpu_kernels cpu_scalar_kernels = {
    .name = "scalar",
    .is_available = always,
    .few_tokens = INT32_MAX,
    .worth_words = INT32_MAX,
    .takes = takes_floats,
    .matmul = matmul,
    .attention = attention,
    .pack_cell = pack_cell,
    .silu_gate = silu_gate,
    .gelu = gelu,
    .multiply_bytes = multiply_bytes,
};
