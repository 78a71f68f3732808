/* model_hparams: reads the hyper-parameters of every family.  For model.c alone. */
#ifndef FATHOM_ENGINE_MODEL_HPARAMS_H
#define FATHOM_ENGINE_MODEL_HPARAMS_H

#include "engine/model.h"

/* Fills model->hparams from the keys of model->gguf.  Every number is checked for itself and against the others, so that
 * sizes made of them fit their types.  Errors name the key. */
enum status model_read_hparams(struct model *model, struct error *error);

#endif
