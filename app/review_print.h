/* review_print: what a review found, as text, JSON and SARIF. */
#ifndef FATHOM_APP_REVIEW_PRINT_H
#define FATHOM_APP_REVIEW_PRINT_H

#include "app/command.h"
#include "app/review.h"

struct review_print {
    const struct command_context *context;
    const struct diff *diff;
    const struct review_result *result;
    struct engine *engine; /* for tokens' texts; NULL where nothing was read */
    const char *nothing;   /* why there is nothing to review; NULL: there is */
};

void review_print_text(const struct review_print *print);
void review_print_json(const struct review_print *print);
void review_print_sarif(const struct review_print *print);

/* One line, for all three: what was read and what was left out. */
void review_summary(const struct review_print *print, struct buffer *out);

#endif
