/* model_tensors: which tensors a model has.  For model.c and lora.c alone. */
#ifndef FATHOM_ENGINE_MODEL_TENSORS_H
#define FATHOM_ENGINE_MODEL_TENSORS_H

#include "engine/model.h"

/* Fills every struct weight of model, whose hyper-parameters are set.  Errors name the tensor: missing, of another shape,
 * of a type that is not computed with, or not known of this architecture. */
enum status model_bind_tensors(struct model *model, struct error *error);

/* The matrix of this name to which an adapter may add: one that stands in a product by itself.  NULL for others. */
struct weight *model_find_adaptable(struct model *model, const char *name);

/* Sets n_params, n_active, bytes_per_token and made_bytes by what is bound: before weights are made or shared. */
void model_count(struct model *model);

#endif
