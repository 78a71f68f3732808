/* draft: guesses how a sequence of tokens goes on, by looking up where it has been before, and says how many of the guessed
 * tokens are worth evaluating in advance.
 *
 *   draft_follow, draft_push ──► index of the last GRAM tokens ──► a place where the text stood like this ──► its next tokens
 *                                                                              │
 *   draft_measured ──► what slices cost ──► draft_propose: as many of them as pay ◄── how often such guesses were right
 *
 * A guess is made for every token and held against what came, whether or not it was evaluated: so how often guesses are right is
 * known without spending anything, and drafts begin as soon as a text repeats and end as soon as it doesn't.  Nothing here
 * knows of models: a wrong guess costs time and changes no result.
 *
 * Work: O(1) a token.  Memory: about 20 bytes a token of the sequence and of the references. */
#ifndef FATHOM_ENGINE_DRAFT_H
#define FATHOM_ENGINE_DRAFT_H

#include "engine/base.h"
#include "engine/engine.h"

enum {
    DRAFT_MAX = 15,               /* tokens of a draft at most */
    DRAFT_REFERENCES = 64 * 1024, /* tokens of all references at most: what is more is not looked at */
};

struct draft;

/* For sequences of up to n_tokens.  is_sparse: of a model with experts, where a slice of several tokens reads more weights
 * than one token; how many is measured, this is where it begins. */
enum status draft_new(size_t n_tokens, bool is_sparse, struct draft **out, struct error *error);
void draft_free(struct draft *draft);

/* Takes over what another one learnt of costs and of how often guesses are right: of a sequence on the same model. */
void draft_learn_from(struct draft *draft, const struct draft *other);

/* One more text that is not in the sequence and may be repeated by it: an open file, a diff.  The texts stay until
 * draft_forget.  STATUS_MEMORY leaves those before as they are. */
enum status draft_refer(struct draft *draft, const int32_t *ids, size_t n, struct error *error);
void draft_forget(struct draft *draft);

/* The sequence is now ids (at most n_tokens).  What of it is there already stays; looks at the last tokens alone where the
 * length is that of before. */
void draft_follow(struct draft *draft, const int32_t *ids, size_t n);

/* The sequence's next token; was_drafted: it stood where the last draft had it, and nothing more had to be evaluated. */
void draft_push(struct draft *draft, int32_t id, bool was_drafted);

/* What may follow the last token, as far as evaluating it beside that token pays: at most `most` ids, most <= DRAFT_MAX.
 * Returns how many. */
size_t draft_propose(struct draft *draft, int32_t *ids, size_t most);

/* The last token and n_drafted tokens behind it took so long in one slice. */
void draft_measured(struct draft *draft, size_t n_drafted, uint64_t ns);

struct draft_counts draft_counts(const struct draft *draft);

#endif
