/* picker: a list to choose from by typing some letters of what is meant: files, places, commands.
 *
 * The letters have to stand in an item in their order; those rank first where they begin words, follow each other, and stand
 * in the last part of a path.  100,000 paths take about 10 ms a letter. */
#ifndef FATHOM_APP_PICKER_H
#define FATHOM_APP_PICKER_H

#include "ui/doc.h"

enum { PICKER_SHOWN = 200 };

struct picker_item {
    const char *text; /* shown, and what letters are looked for in */
    const char *more; /* shown dim behind it; may be NULL */
    const char *path; /* what it stands for; NULL: nothing of the disk */
    uint32_t line;    /* 1-based; 0: none */
    int id;           /* the program's own */
};

struct picker {
    struct picker_item *items;
    size_t n, capacity;
    struct arena arena; /* their texts */
    uint32_t *matches;  /* at most PICKER_SHOWN items, best first */
    size_t n_matches, n_found;
    struct doc doc;
    struct view view;
    bool keeps_order; /* of the items, whatever the letters */
};

void picker_clear(struct picker *picker);
void picker_deinit(struct picker *picker);

/* Copies the item's texts.  False without memory. */
bool picker_add(struct picker *picker, const struct picker_item *item);

/* Chooses what fits the letters, and puts it into the document, the best one under the cursor. */
void picker_filter(struct picker *picker, struct slice letters);

const struct picker_item *picker_chosen(const struct picker *picker); /* NULL: none */

/* How well letters fit a text; < 0: not at all. */
int picker_score(struct slice text, struct slice letters);

#endif
