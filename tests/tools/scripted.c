/* scripted: makes the program's model a scripted one (fake_engine.h), for tests of the program as a whole.  It is linked with
 * the program's own main; before that runs, the file that FATHOM_SCRIPT names is read:
 *
 *     prefill_us=100 decode_us=2000
 *     first answer, as many lines as it has
 *     \f                     a line of its own: the next answer
 *     ... */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/fake_engine.h"

enum { MOST_ANSWERS = 64, MOST_BYTES = 1 << 20 };

static char text[MOST_BYTES];
static const char *answers[MOST_ANSWERS];

__attribute__((constructor)) static void read_script(void)
{
    const char *path = getenv("FATHOM_SCRIPT");
    FILE *file = path ? fopen(path, "r") : NULL;
    if (!file)
        return;
    size_t size = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[size] = 0;
    char *at = strchr(text, '\n');
    if (sscanf(text, "prefill_us=%u decode_us=%u", &fake_engine.prefill_us, &fake_engine.decode_us) != 2 || !at)
        return;
    fake_engine.answers = answers;
    for (at++; at && fake_engine.n_answers < MOST_ANSWERS;) {
        char *end = strstr(at, "\n\f\n");
        answers[fake_engine.n_answers++] = at;
        if (end)
            *end = 0;
        at = end ? end + 3 : NULL;
    }
}
