/* session_private: what the files of a session share.  For session*.c alone. */
#ifndef FATHOM_ENGINE_SESSION_PRIVATE_H
#define FATHOM_ENGINE_SESSION_PRIVATE_H

#include "engine/engine_private.h"
#include "engine/forward.h"

struct session {
    struct engine *engine;
    struct session_options options;
    struct kvcache cache;
    struct workspace workspace;
    struct tokens tokens;
    float *logits; /* (n_vocab) */
    bool has_logits;
};

#endif
