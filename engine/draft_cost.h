/* draft_cost: what evaluating drafts costs, and how long a draft pays.  For draft.c and tests.
 *
 * Times of slices are learnt as they are measured, each length by itself: kernels take some lengths better than others, and in
 * a mixture of experts a draft wakes experts that one token would not read. */
#ifndef FATHOM_ENGINE_DRAFT_COST_H
#define FATHOM_ENGINE_DRAFT_COST_H

#include "engine/base.h"
#include "engine/draft.h"

struct draft_cost {
    double time[DRAFT_MAX + 2]; /* of a slice of so many tokens, ns; 0: never measured */
    uint32_t n_measured[DRAFT_MAX + 2];
    size_t longest;      /* slice measured */
    double slope;        /* a further token's time, in times of one token, where nothing is known */
    double balance;      /* ns that drafts have saved; < 0: lost */
    double n_tokens;     /* that the sequence got since measuring began */
    size_t since_single; /* slices since one token was evaluated alone */
    size_t since_trial, trial_after;
};

void draft_cost_init(struct draft_cost *cost, bool is_sparse);

/* How many of n drafted tokens pay; reach[i] is the probability that the drafted tokens 0..i are all right. */
size_t draft_cost_choose(struct draft_cost *cost, const double *reach, size_t n);

void draft_cost_measured(struct draft_cost *cost, size_t n_drafted, uint64_t ns);
void draft_cost_accepted(struct draft_cost *cost); /* a token came without being evaluated */

/* Of a slice of n tokens, ns. */
double draft_cost_estimate(const struct draft_cost *cost, size_t n);

#endif
