/* serve_slot: a session that requests take by turns, and which of them fits a prompt.  The inner half of serve_engine.c. */
#ifndef FATHOM_APP_SERVE_SLOT_H
#define FATHOM_APP_SERVE_SLOT_H

#include "app/serve_answer.h"
#include "app/serve_engine.h"

struct serve_slot {
    struct session *session;
    struct serve_choice *choice; /* NULL: free; its job is held */
    struct serve_answer *answer;
    enum serve_slot_state state;
    uint64_t last_used; /* counts requests, not time */
    struct serve_counts counts;
    uint64_t began, first; /* clock: taken; first token */
};

/* Tokens of the prompt, from its beginning, that the session has. */
size_t serve_slot_common(const struct serve_slot *slot, const struct tokens *prompt);

/* The free slot for the prompt, its session made to hold as much of the prompt's beginning as any has; NULL: none is free. */
struct serve_slot *serve_slot_take(struct serve_slot *slots, size_t n_slots, const struct tokens *prompt);

/* Reads at most n tokens more of the choice's prompt.  *is_read: that was the last of it. */
enum status serve_slot_read(struct serve_slot *slot, size_t n, bool *is_read, struct error *error);

#endif
