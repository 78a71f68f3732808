/* fuzz_review: any bytes as what a model says of a hunk, and as a file of what was said: refused, or a finding within its limits, whose
 * lines can be moved there and back.
 *
 * With FATHOM_PLANT_BUG a title that begins with an a is expected to be no longer than that, which the fuzzer must find wrong. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "app/json_read.h"
#include "app/review_private.h"

enum { FIRST = 10, LAST = 20 };

static void check_said(const struct review_said *said)
{
    if (said->line < FIRST || said->end_line > LAST || said->line > said->end_line ||
        (unsigned)said->severity >= REVIEW_N_SEVERITIES || said->n_symbols > REVIEW_SYMBOLS_MOST ||
        strlen(said->title) > 4 * REVIEW_TITLE_MOST || strlen(said->detail) > 4 * REVIEW_DETAIL_MOST)
        abort();
    for (const char *at = said->title; *at; at++)
        if (*at == '\n' || *at == '\r')
            abort();
#ifdef FATHOM_PLANT_BUG
    if (said->title[0] == 'a' && said->title[1])
        abort();
#endif
}

static enum status look(void *context, const char *text, size_t size, double confidence)
{
    struct arena arena = {0};
    struct review_said said;
    enum review_drop drop;
    size_t *n = context;
    if (++*n > REVIEW_FINDINGS_MOST || !(confidence >= 0 && confidence <= 1))
        abort();
    if (review_read_said(text, size, FIRST, LAST, &arena, &said, &drop) == STATUS_OK) {
        check_said(&said);
        char *moved = review_move_lines(text, size, 5),
             *back = moved ? review_move_lines(moved, strlen(moved), -5) : NULL;
        struct review_said again;
        if (!back || review_read_said(back, strlen(back), FIRST, LAST, &arena, &again, &drop) != STATUS_OK ||
            again.line != said.line || again.end_line != said.end_line)
            abort();
        cJSON_free(moved);
        cJSON_free(back);
    } else if ((unsigned)drop >= REVIEW_N_DROPS) {
        abort();
    }
    arena_deinit(&arena);
    return STATUS_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t n = 0;
    uint32_t n_shown;
    look(&n, (const char *)data, size, 0.5);
    n = 0;
    review_kept_read((const char *)data, size, &n_shown, look, &n, NULL);
    return 0;
}
