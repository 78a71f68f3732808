/* session_private: what the files of a session share.  For session*.c alone. */
#ifndef FATHOM_ENGINE_SESSION_PRIVATE_H
#define FATHOM_ENGINE_SESSION_PRIVATE_H

#include "engine/draft.h"
#include "engine/engine_private.h"
#include "engine/forward.h"

/* A slice that was cancelled when some layers were done, whose numbers still stand in workspace and cells: if the same tokens
 * come next, it goes on from there. */
struct cut_slice {
    const struct session *session; /* NULL: there is none */
    int32_t *ids;                  /* (n_slice) */
    int32_t n, n_done;             /* tokens; layers */
    size_t first;                  /* where they stand */
};

/* What is needed only while tokens are evaluated, which sessions that were forked from each other do by turns. */
struct shared_workspace {
    struct workspace workspace;
    struct cut_slice cut;
    float *rows; /* (n_rows, n_vocab) logits of several sessions */
    size_t n_rows;
    size_t n_users;
};

/* Tokens that were evaluated before they are the session's: see session_ahead.c. */
struct ahead {
    struct draft *draft; /* NULL: nothing is drafted */
    int32_t ids[DRAFT_MAX];
    int32_t n, n_taken; /* evaluated, and those of them that have become the session's */
    int32_t n_most;     /* of a draft */
};

struct session {
    struct engine *engine;
    struct session_options options;
    struct kvcache cache;
    struct shared_workspace *shared;
    struct tokens tokens;
    float *logits_memory; /* (ahead.n_most + 1, n_vocab) */
    float *logits;        /* (n_vocab) the row of them that follows the last token */
    bool has_logits;
    struct ahead ahead;
};

/* Whatever touches workspace or cells behind the tokens leaves nothing to go on from. */
static inline void session_forget_cut(const struct session *session)
{
    session->shared->cut.session = NULL;
}

/* ---- session.c ---- */

/* Evaluates and appends n more tokens, at most a slice, of which the last n_logits rows are copied to logits.  What lay ahead
 * is void, and has_logits the caller's to set. */
enum status session_evaluate(struct session *session, const int32_t *ids, int32_t n, int32_t n_logits, float *logits,
                             struct error *error);
/* STATUS_RANGE where one is not in the vocabulary. */
enum status session_check_ids(const struct session *session, const int32_t *ids, size_t n, struct error *error);

/* ---- session_ahead.c ---- */

/* Memory for logits, and for drafts where the options want them. */
enum status ahead_init(struct session *session, struct error *error);
void ahead_deinit(struct session *session);
/* How many tokens, of one session or of several, a slice may have so that each gets the numbers that it would have alone. */
int32_t ahead_exact_tokens(const struct session *session);
/* Where the token is the one that was evaluated ahead, it becomes the session's. */
bool ahead_take(struct session *session, int32_t id);
/* What lies ahead counts no more; the session's own logits stay. */
void ahead_void(struct session *session);
/* Evaluates n tokens, at most ahead.n_most + 1, in one slice: the first is appended, the others lie ahead. */
enum status ahead_evaluate(struct session *session, const int32_t *ids, int32_t n, struct error *error);

#endif
