/* trim: what a middle says twice goes.
 *
 * What stands before the cursor already, at its beginning; what the suffix begins with, at its end; lines that it repeats; white
 * space before a line's end.  Line ends become the file's own. */
#ifndef FATHOM_FIM_TRIM_H
#define FATHOM_FIM_TRIM_H

#include "fim/stop.h"

void fim_trim(const struct fim_place *place, struct slice suffix, struct buffer *middle);

/* While a middle is still being written: its beginning that nothing which may follow will trim or end before, as it will read in
 * the end.  Of several lines all but the last ones; within one line, what can't be the beginning of what stands behind it. */
void fim_preview(const struct fim_place *place, struct slice suffix, struct slice text, struct buffer *out);

/* Cuts a middle that adds syntax errors back to the longest beginning that doesn't: of lines, of one line its words.  Returns
 * the errors with what is left (empty: nothing is good), or < 0 where syntax doesn't know. */
long fim_cut_back(const struct fim_place *place, const struct fim_syntax *syntax, struct buffer *middle);

#endif
