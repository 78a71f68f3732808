/* transcript: the conversation as it is shown: questions, answers, notes, and the document that they make.
 *
 * Entries are the truth; the document is rendered from them, from the first that has changed on.  A line's tag says what it
 * is: the entry's index + 1 in the upper bits, in the lower 16 which of its code blocks (0: none). */
#ifndef FATHOM_APP_TRANSCRIPT_H
#define FATHOM_APP_TRANSCRIPT_H

#include "ui/doc.h"
#include "ui/markdown.h"

enum entry_kind {
    ENTRY_QUESTION,
    ENTRY_ANSWER,
    ENTRY_NOTE,  /* of the program: what was left out, what a command says */
    ENTRY_ERROR, /* stands where the result would have */
};

struct entry {
    enum entry_kind kind;
    uint64_t job; /* of an answer: who gives it; 0: it is over, or nobody's */
    struct buffer text, thought;
    struct buffer waiting;                     /* shown while there is no text: how far it is */
    uint64_t thought_begin_ns, thought_end_ns; /* 0: not known */
    size_t line;                               /* its first in the document, once rendered */
};

struct transcript {
    struct entry *entries;
    size_t n, capacity;
    size_t n_rendered; /* entries before it are in the document as they are */
    int columns;       /* that it was rendered for */
    bool shows_thoughts;
    char model[128];
    markdown_color_fn *color;
    void *color_context;
    struct doc doc;
};

void transcript_deinit(struct transcript *transcript);
void transcript_clear(struct transcript *transcript, size_t n); /* the first n entries go */

/* Adds an entry; NULL where memory ran out.  Valid until the next one. */
struct entry *transcript_add(struct transcript *transcript, enum entry_kind kind, uint64_t job, const char *text,
                             size_t size);
/* The same at a place among the others. */
struct entry *transcript_insert(struct transcript *transcript, size_t index, enum entry_kind kind, uint64_t job,
                                const char *text, size_t size);

/* Where the entries of jobs begin that were given after job: the question of the first one.  n where there are none. */
size_t transcript_pending(const struct transcript *transcript, uint64_t job);

/* The answer that a job gives, or NULL. */
struct entry *transcript_find(struct transcript *transcript, uint64_t job);

/* An entry has changed, or (NULL) all of them look different. */
void transcript_touch(struct transcript *transcript, const struct entry *entry);

/* Brings the document up to date; tables take so many columns at most. */
void transcript_render(struct transcript *transcript, int columns);

/* What a line is part of: the entry's index, or SIZE_MAX; and which code block, or 0. */
size_t transcript_entry_at(const struct transcript *transcript, size_t line, size_t *code_block);

/* The first line of the next entry (not a note), or of the next code block, after or before a line; SIZE_MAX: none. */
size_t transcript_next_entry(const struct transcript *transcript, size_t line, int direction);
size_t transcript_next_code(const struct transcript *transcript, size_t line, int direction);

/* Appends the source of a line's code block; of the last one before it where it has none.  False where there is none. */
bool transcript_code(const struct transcript *transcript, size_t line, struct buffer *out);

#endif
