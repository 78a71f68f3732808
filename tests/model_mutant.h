/* model_mutant: GGUF models that are wrong in ways that only knowing the format finds: a small model in parts (keys, tensors),
 * changed by a script of bytes, and written again.
 *
 * A script is a fuzzer's input.  Its first bytes may choose other widths and counts, and another type of weights, for a model
 * that is consistent; each step after them changes one thing: a key's value, type, length or name, a tensor's shape, type,
 * place, name or numbers, or it removes, repeats or adds one, or lies about counts, or cuts the file.  Every script means
 * something, the empty one the model as it is, and bytes that are left over mean nothing. */
#ifndef FATHOM_TESTS_MODEL_MUTANT_H
#define FATHOM_TESTS_MODEL_MUTANT_H

#include "engine/base.h"
#include "tests/synth_shapes.h"

enum {
    MUTANT_MAX_STEPS = 6,
    MUTANT_MAX_SCRIPT = 2 + 2 * 4 + 20 * MUTANT_MAX_STEPS, /* bytes beyond are never read */
};

/* A model as it is before anything is changed. */
struct mutant_source {
    struct synth_shape shape;
    struct buffer file;
};

/* The shape with so small widths and counts that its file has some tens of kilobytes.  All branches that it has stay.  The
 * file is the caller's to free; failed where memory runs out. */
struct mutant_source mutant_source_make(const struct synth_shape *shape);

/* The file that script makes of source, appended to out.  An empty out: the script asked for widths that no file of this
 * type of weights can have. */
void mutant_write(const struct mutant_source *source, const uint8_t *script, size_t size, struct buffer *out);

#endif
