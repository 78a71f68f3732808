/* synth: writes a GGUF model of random weights in any shape of tests/synth_shapes.c, in the keys, names and shapes of
 * llama.cpp's converter (conversion/ and gguf-py/gguf/constants.py of llama.cpp).
 *
 * A number of an F32 or F16 tensor depends on the seed, the tensor's name and its place alone: shapes that say the same model
 * in different forms get the same weights.  Quantised tensors get random blocks.  Sizes are such that activations stay
 * about 1 and the logits spread over a few units.  Data goes to the file as it is made, so that a file may be of any size. */
#ifndef FATHOM_TESTS_SYNTH_H
#define FATHOM_TESTS_SYNTH_H

#include <stdio.h>

#include "engine/base.h"
#include "tests/synth_shapes.h"

/* What to do differently from a right file. */
struct synth_fault {
    const char *skip_key, *skip_tensor; /* leave out */
    const char *key;                    /* write this key as the u32 value, in place of its own or in addition */
    uint32_t value;
    const char *tensor; /* give this tensor this shape */
    uint64_t shape[3];
    const char *extra_tensor; /* an F32 vector of n_embd more */
};

struct synth_options {
    uint64_t seed;
    const struct synth_fault *fault; /* NULL: none */
    bool no_data;                    /* end where the tensors' bytes begin */
};

enum status synth_write(FILE *out, const struct synth_shape *shape, const struct synth_options *options,
                        struct error *error);
enum status synth_save(const char *path, const struct synth_shape *shape, const struct synth_options *options,
                       struct error *error);

#endif
