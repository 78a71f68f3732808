/* keys: one table says what a key does, and explains it.
 *
 * The program gives const rows; a key is looked up among those of the places where it acts, in the table's order.  The help
 * pane and the key line are made from the same rows. */
#ifndef FATHOM_UI_KEYS_H
#define FATHOM_UI_KEYS_H

#include "ui/doc.h"
#include "ui/keyboard.h"

struct key_row {
    unsigned places;  /* bits: where the key acts; the program's own */
    uint32_t keys[3]; /* 0: no more */
    int action;
    const char *help; /* what it does; NULL: another row's help covers it */
};

/* The action of a key in a place; -1 where it has none. */
int keys_find(const struct key_row *rows, size_t n, unsigned place, uint32_t key);

/* Appends lines that explain the keys of a place. */
void keys_explain(const struct key_row *rows, size_t n, unsigned place, struct doc *doc);

#endif
