/* serve_slot: see serve_slot.h. */
#include "app/serve_slot.h"

#include <string.h>

/* A shorter beginning isn't worth a fork: every prompt has some tokens in common. */
enum { FORK_LEAST = 16 };

size_t serve_slot_common(const struct serve_slot *slot, const struct tokens *prompt)
{
    size_t n, same = 0;
    const int32_t *ids = session_tokens(slot->session, &n);
    while (same < n && same < prompt->n && ids[same] == prompt->ids[same])
        same++;
    return same;
}

static size_t held(const struct serve_slot *slot)
{
    size_t n;
    session_tokens(slot->session, &n);
    return n;
}

struct serve_slot *serve_slot_take(struct serve_slot *slots, size_t n_slots, const struct tokens *prompt)
{
    struct serve_slot *best = NULL, *target = NULL;
    size_t n_best = 0;
    for (size_t i = 0; i < n_slots; i++) {
        struct serve_slot *slot = &slots[i];
        size_t n = serve_slot_common(slot, prompt);
        if (!best || n > n_best || (n == n_best && best->choice && !slot->choice)) {
            best = slot;
            n_best = n;
        }
        /* An empty one first, then the one that nobody came back to for the longest time. */
        if (!slot->choice && (!target || (held(slot) == 0 && held(target) > 0) ||
                              (slot->last_used < target->last_used && (held(slot) == 0) == (held(target) == 0))))
            target = slot;
    }
    if (!target)
        return NULL;
    /* Most of what it holds is of use: nothing is lost by going on in the same place. */
    if (!best->choice && n_best >= held(best) / 2)
        return best;
    if (n_best >= FORK_LEAST && best != target) {
        struct session *fork;
        if (session_fork(best->session, &fork, NULL) == STATUS_OK) {
            session_close(target->session);
            target->session = fork;
        }
    }
    return target;
}

enum status serve_slot_read(struct serve_slot *slot, size_t n, bool *is_read, struct error *error)
{
    const struct tokens *prompt = slot->choice->prompt;
    size_t end = serve_slot_common(slot, prompt) + n;
    struct sync_report report;
    if (end > prompt->n)
        end = prompt->n;
    enum status status = session_sync(slot->session, prompt->ids, end, &report, error);
    *is_read = status == STATUS_OK && end == prompt->n;
    return status;
}
