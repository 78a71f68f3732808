/* quantize: from floats to the blocks of quant.h, and which type a tensor of a model gets.
 *
 * For each block a set of scales is tried, the best fits are refined by least squares, and the one is kept whose blocks,
 * as quant.c will unpack them, have the least error.  What a block becomes depends on its own numbers alone. */
#ifndef FATHOM_ENGINE_QUANTIZE_H
#define FATHOM_ENGINE_QUANTIZE_H

#include "engine/gguf.h"
#include "engine/quant.h"

/* Whether there is a way from floats to this type. */
bool quantize_has(enum quant_type type);

/* Writes n floats (a multiple of the type's block_elements), all of them finite, as blocks to out.  False where numbers are
 * too large for the type: their scale would be beyond 65504, the greatest half. */
bool quantize_pack(enum quant_type type, const float *x, size_t n, void *out);

/* ---- which type a tensor gets ---- */

/* A type of model: the type of most of its tensors, and a rule for the others. */
struct quantize_mix {
    const char *name;       /* "Q4_K_M" */
    enum quant_type base;   /* of most tensors */
    uint32_t file_type;     /* general.file_type, llama_ftype of llama.h */
    uint8_t more_v, more_f; /* enum quantize_more: which attn_v and ffn_down get more bits */
};

const struct quantize_mix *quantize_mix_at(size_t i);             /* NULL at the end */
const struct quantize_mix *quantize_mix_find(const char *name);   /* case ignored; NULL: there is none */
bool quantize_mix_is_float(const struct quantize_mix *mix);       /* F32, F16, BF16 */
void quantize_mix_names(struct buffer *out, const char *between); /* all names */

/* Chooses a type for each tensor of the model: types[i] is that of gguf_tensor_at(gguf, i).  *n_fallbacks counts those whose
 * rows don't divide into the blocks that the mix wants.  STATUS_FORMAT, STATUS_NOT_FOUND: a key is wrong or missing. */
enum status quantize_choose(const struct gguf *gguf, const struct quantize_mix *mix, enum quant_type *types,
                            size_t *n_fallbacks, struct error *error);

#endif
