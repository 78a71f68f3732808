/* session_private: what the files of a session share.  For session*.c alone. */
#ifndef FATHOM_ENGINE_SESSION_PRIVATE_H
#define FATHOM_ENGINE_SESSION_PRIVATE_H

#include "engine/engine_private.h"
#include "engine/forward.h"

/* What is needed only while tokens are evaluated, which sessions that were forked from each other do by turns. */
struct shared_workspace {
    struct workspace workspace;
    size_t n_users;
};

struct session {
    struct engine *engine;
    struct session_options options;
    struct kvcache cache;
    struct shared_workspace *shared;
    struct tokens tokens;
    float *logits; /* (n_vocab) */
    bool has_logits;
};

#endif
