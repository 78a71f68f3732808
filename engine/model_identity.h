/* model_identity: which model this is, told by what its file says and by samples of its weights. */
#ifndef FATHOM_ENGINE_MODEL_IDENTITY_H
#define FATHOM_ENGINE_MODEL_IDENTITY_H

#include "engine/gguf.h"

struct model_identity {
    uint64_t sums[2];
};

/* Of all keys and tensors, and some bytes of each tensor: a file that differs in weights alone differs in nearly all of
 * them.  The same for a copy of the file, whatever it is called.  Reads a few pages a tensor. */
struct model_identity model_identity_of(const struct gguf *gguf);

/* What else results depend on. */
void model_identity_add(struct model_identity *identity, const void *bytes, size_t size);

/* A whole file of any size, an adapter's. */
enum status model_identity_add_file(struct model_identity *identity, const char *path, struct error *error);

#endif
