/* complete_kept: results that were given before, by what they were given for. */
#ifndef FATHOM_APP_COMPLETE_KEPT_H
#define FATHOM_APP_COMPLETE_KEPT_H

#include "app/complete.h"

struct complete_kept;

enum status complete_kept_new(size_t n, struct complete_kept **out, struct error *error);
void complete_kept_free(struct complete_kept *kept); /* NULL is fine */

/* Remembers copies, and forgets the oldest.  What there is no memory for isn't remembered. */
void complete_kept_add(struct complete_kept *kept, const struct complete_request *request,
                       const struct complete_result *result);

/* The result that was given for this very request, or for one whose completion has since been typed in part: then what is
 * left of it.  Pieces from elsewhere don't count: they change how good an answer is, not whether it fits. */
bool complete_kept_find(struct complete_kept *kept, const struct complete_request *request,
                        struct complete_result *out);

#endif
