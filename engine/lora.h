/* lora: adapters of low rank (Hu et al. 2021) in GGUF files, added to a model's products beside its weights. */
#ifndef FATHOM_ENGINE_LORA_H
#define FATHOM_ENGINE_LORA_H

#include "engine/model.h"

/* Reads the adapter at path and adds it, times scale, to whatever it was trained for; several may be added.  Numbers are copied
 * into the model's memory.  STATUS_UNSUPPORTED where it is no LoRA adapter, is one for another architecture, or names a
 * tensor that can't be adapted (embeddings, experts, the split matrices of latent attention); STATUS_FORMAT for shapes that
 * don't fit.  The model is void after a failure. */
enum status lora_add(struct model *model, const char *path, float scale, struct error *error);

#endif
