/* serve_desk: the thread that reads requests: JSON, limits, text into tokens.  One by one, so that a hundred large requests
 * need the memory of one tree. */
#ifndef FATHOM_APP_SERVE_DESK_H
#define FATHOM_APP_SERVE_DESK_H

#include "app/serve.h"

enum status serve_desk_start(struct serve *serve, struct serve_desk **out, struct error *error);
void serve_desk_stop(struct serve_desk *desk); /* what waits is refused, and what still comes; NULL is fine */
void serve_desk_free(struct serve_desk *desk); /* after it was stopped, when nothing can come any more */

/* The job's body is complete; it is held until it has been passed on or has ended. */
void serve_desk_submit(struct serve_desk *desk, struct serve_job *job);

#endif
