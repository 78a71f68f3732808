/* turn_shift: what dropped out of the context is taken out of the session, too, so that what stays isn't evaluated again.
 *
 *   session   system | turn 1 | turn 2 | turn 3 | turn 4
 *   wanted    system | turn 3 | turn 4 | question
 *                    ^ from   ^ from + n: taken out, the rest moves up
 *
 * Cells of what stays still carry what they saw of the rest (session_shift): answers are near those of a new evaluation, but
 * not the same.  So it is done only when asked for (--shift). */
#ifndef FATHOM_APP_TURN_SHIFT_H
#define FATHOM_APP_TURN_SHIFT_H

#include "engine/engine.h"

/* Fewer tokens that could stay are not worth it. */
enum { TURN_SHIFT_LEAST = 32 };

/* Takes tokens out of the session where it then has more of what is wanted. */
enum status turn_shift(const struct engine *engine, struct session *session, const struct tokens *wanted,
                       struct error *error);

#endif
