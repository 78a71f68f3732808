/* engine_private: what engine.c and session*.c share, and tests may know. */
#ifndef FATHOM_ENGINE_ENGINE_PRIVATE_H
#define FATHOM_ENGINE_ENGINE_PRIVATE_H

#include "engine/backend.h"
#include "engine/engine.h"
#include "engine/model.h"
#include "engine/model_identity.h"
#include "engine/piece_order.h"
#include "engine/threads.h"
#include "engine/tokenizer.h"

struct engine {
    struct model *model;
    struct tokenizer *tokenizer;
    struct chat_template *chat; /* NULL: chat_error says why */
    struct error chat_error;
    struct thread_pool *pool;
    struct backend *backend;
    struct residency *residency; /* NULL: all of the model fits in memory */
    struct model_info *info;
    struct fim_marks fim_marks;
    char *bos, *eos;                /* texts for chat rendering */
    struct model_identity identity; /* of what cells depend on: before is_identified without the model */
    bool is_identified;
    struct piece_order *pieces; /* NULL until engine_piece_order */
    double load_ms;
};

/* Borrowed; made the first time, which takes 0.1 s for 150,000 tokens.  In the engine's thread. */
enum status engine_piece_order(struct engine *engine, const struct piece_order **out, struct error *error);

/* Which model, adapters, instruction set and version of the program this is.  Reads some pages of the model the first time. */
struct model_identity engine_identity(struct engine *engine);

/* engine_open on a container that is open already, in memory for instance.  Takes ownership of gguf, also on failure;
 * options->model_path only stands in messages. */
enum status engine_open_gguf(struct gguf *gguf, const struct engine_options *options, struct engine **out,
                             struct error *error);

#endif
