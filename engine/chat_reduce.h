/* chat_reduce: takes out of a template's normal form what has no effect: values that nothing reads, macros that nothing
 * calls, blocks with nothing in them.  They are what is left of branches that our calls never take. */
#ifndef FATHOM_ENGINE_CHAT_REDUCE_H
#define FATHOM_ENGINE_CHAT_REDUCE_H

#include "engine/base.h"

/* form: one statement a line.  A form of unusual size is left as it is.  Failing memory shows in form->failed. */
void chat_form_reduce(struct buffer *form);

#endif
