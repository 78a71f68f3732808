/* document: what the nodes of a grammar are coloured by. */
#include "repo/syntax_private.h"

#include <stdlib.h>

uint8_t *highlight_table_new(const TSLanguage *grammar)
{
    return calloc(ts_language_symbol_count(grammar), 1);
}
