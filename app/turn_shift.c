/* turn_shift: see turn_shift.h. */
#include "app/turn_shift.h"

#include "app/turn_prompt.h"

/* Where ids may begin what is wanted next: cheap to tell, and wrong so seldom that looking closer costs nothing. */
static bool may_begin(const int32_t *ids, size_t n, const struct tokens *rest)
{
    enum { ALIKE = 3 };
    for (size_t i = 0; i < ALIKE; i++)
        if (i >= n || i >= rest->n || ids[i] != rest->ids[i])
            return false;
    return true;
}

/* One cut.  *is_done: none was worth it. */
static enum status cut_once(const struct engine *engine, struct session *session, const struct tokens *wanted,
                            bool *is_done, struct error *error)
{
    size_t n, covered, best = 0, best_covered = 0;
    const int32_t *ids = session_tokens(session, &n);
    size_t from = turn_prompt_match(engine, ids, n, wanted, &covered);
    struct tokens rest = {.ids = wanted->ids + covered, .n = wanted->n - covered};
    for (size_t i = from + 1; i < n; i++) {
        if (!may_begin(ids + i, n - i, &rest))
            continue;
        turn_prompt_match(engine, ids + i, n - i, &rest, &covered);
        if (covered > best_covered) {
            best = i;
            best_covered = covered;
        }
    }
    *is_done = best_covered < TURN_SHIFT_LEAST;
    return *is_done ? STATUS_OK : session_shift(session, from, best - from, error);
}

enum status turn_shift(const struct engine *engine, struct session *session, const struct tokens *wanted,
                       struct error *error)
{
    enum { MOST_CUTS = 4 }; /* turns at the beginning, and of an answer its older half */
    enum status status = STATUS_OK;
    bool is_done = false;
    for (int i = 0; i < MOST_CUTS && !is_done && status == STATUS_OK; i++)
        status = cut_once(engine, session, wanted, &is_done, error);
    return status;
}
