/* quant: the block layouts of GGUF's tensor types, and their scalar dequantisation, the truth for every fast kernel.
 *
 * A row of n elements is n / block_elements blocks of block_bytes each.  Layouts: ggml-common.h and the reference
 * implementation of the `gguf` Python package. */
#ifndef FATHOM_ENGINE_QUANT_H
#define FATHOM_ENGINE_QUANT_H

#include "engine/base.h"

/* Numbers are those of the file format (ggml_type). */
enum quant_type {
    QUANT_F32 = 0,
    QUANT_F16 = 1,
    QUANT_Q4_0 = 2,
    QUANT_Q4_1 = 3,
    QUANT_Q5_0 = 6,
    QUANT_Q5_1 = 7,
    QUANT_Q8_0 = 8,
    QUANT_Q2_K = 10,
    QUANT_Q3_K = 11,
    QUANT_Q4_K = 12,
    QUANT_Q5_K = 13,
    QUANT_Q6_K = 14,
    QUANT_IQ2_XXS = 16,
    QUANT_IQ2_XS = 17,
    QUANT_IQ3_XXS = 18,
    QUANT_IQ1_S = 19,
    QUANT_IQ4_NL = 20,
    QUANT_IQ3_S = 21,
    QUANT_IQ2_S = 22,
    QUANT_IQ4_XS = 23,
    QUANT_I8 = 24,
    QUANT_I16 = 25,
    QUANT_I32 = 26,
    QUANT_I64 = 27,
    QUANT_F64 = 28,
    QUANT_IQ1_M = 29,
    QUANT_BF16 = 30,
    QUANT_TQ1_0 = 34,
    QUANT_TQ2_0 = 35,
    QUANT_MXFP4 = 39,
    QUANT_NVFP4 = 40,
    QUANT_Q1_0 = 41,
    QUANT_LIMIT = 64, /* no type number reaches this */
};

/* Writes n elements (a multiple of block_elements) from row to out.  row need not be aligned. */
typedef void quant_unpack_fn(const void *row, float *out, size_t n);

struct quant_info {
    const char *name;        /* as in file names: "Q4_K" */
    uint32_t block_elements; /* 1 for plain types */
    uint32_t block_bytes;
    quant_unpack_fn *unpack; /* NULL: the layout's size is known, but this program doesn't compute with it */
};

const struct quant_info *quant_info(enum quant_type type); /* NULL for a number that names no type */
bool quant_find(const char *name, enum quant_type *out);   /* by name, case ignored */

float float_from_half(uint16_t half);
uint16_t half_from_float(float value); /* round to nearest even */

#endif
