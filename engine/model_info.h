/* model_info: what a model file is, told in the public struct of engine.h. */
#ifndef FATHOM_ENGINE_MODEL_INFO_H
#define FATHOM_ENGINE_MODEL_INFO_H

#include "engine/engine.h"
#include "engine/gguf.h"
#include "engine/model.h"
#include "engine/tokenizer.h"

/* model, tokenizer and chat may be NULL: then why (may be NULL) says what is in the way. */
enum status model_info_new(const char *path, const struct gguf *gguf, const struct model *model,
                           const struct tokenizer *tokenizer, const struct chat_template *chat, enum kv_type kv,
                           const char *why, struct model_info **out, struct error *error);

#endif
