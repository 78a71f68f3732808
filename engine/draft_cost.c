/* draft_cost: see draft_cost.h.
 *
 * A draft of k tokens is worth it where more tokens come in a time than one by one:
 *
 *   (1 + reach[0] + … + reach[k-1]) / time(1 + k)  >  1 / time(1)
 *
 * and the best k is the one with the greatest quotient.  That rests on estimates, so there is an account besides: each accepted
 * token pays in the time of one token, each draft costs what its slice took longer than one token, and no draft is made that
 * could bring the account below a small share of all time so far.  So drafts lose no more than that share even where every
 * estimate is wrong. */
#include "engine/draft_cost.h"

enum {
    FIRST_SINGLE = 2, /* so many tokens are evaluated alone before the first draft */
    SINGLE_EVERY = 96,
    TRIAL_AFTER = 32,
    TRIAL_AFTER_MOST = 2048,
    TRIAL_TOKENS = 3,
};

static const double STEADY = 0.125;     /* weight of a new measurement among those before */
static const double OUTLIER = 1.5;      /* a measurement counts as at most so many times what was expected */
static const double LEAST_GAIN = 1.03;  /* drafts that promise less are within the noise */
static const double LOSS_SHARE = 0.01;  /* of all time */
static const double LOSS_AT_ONCE = 1.0; /* tokens' time, on top of that */
static const double BALANCE_MOST = 32;  /* tokens' time: what was saved long ago is no reason to lose now */
static const double TRIAL_REACH = 0.75; /* a draft as likely as this is tried now and then, whatever it cost before */
static const double DENSE_SLOPE = 0.15;
static const double SPARSE_SLOPE = 0.4;

void draft_cost_init(struct draft_cost *cost, bool is_sparse)
{
    *cost = (struct draft_cost){.slope = is_sparse ? SPARSE_SLOPE : DENSE_SLOPE, .trial_after = TRIAL_AFTER};
}

double draft_cost_estimate(const struct draft_cost *cost, size_t n)
{
    size_t below = n, above = n;
    while (below > 1 && !cost->n_measured[below])
        below--;
    while (above <= cost->longest && !cost->n_measured[above])
        above++;
    double from = cost->time[below];
    if (below == n)
        return from;
    if (above <= cost->longest)
        return from + (cost->time[above] - from) * (double)(n - below) / (double)(above - below);
    double slope = below > 1 ? (from - cost->time[1]) / (double)(below - 1) : cost->slope * from;
    return from + (slope > 0 ? slope : 0) * (double)(n - below);
}

/* How much of the account may be spent, ns. */
static double room(const struct draft_cost *cost)
{
    return cost->balance + cost->time[1] * (LOSS_AT_ONCE + LOSS_SHARE * cost->n_tokens);
}

/* As many of n tokens as the account bears, and at most twice the longest slice that is known. */
static size_t affordable(const struct draft_cost *cost, size_t n)
{
    size_t k = 0;
    while (k < n && k + 2 <= 2 * cost->longest + 1 && draft_cost_estimate(cost, k + 2) - cost->time[1] <= room(cost))
        k++;
    return k;
}

size_t draft_cost_choose(struct draft_cost *cost, const double *reach, size_t n)
{
    cost->since_trial++;
    if (n == 0 || cost->n_measured[1] < FIRST_SINGLE || cost->since_single >= SINGLE_EVERY)
        return 0;
    n = affordable(cost, n);
    size_t best = 0;
    double expected = 1, best_rate = LEAST_GAIN / cost->time[1];
    for (size_t k = 1; k <= n; k++) {
        expected += reach[k - 1];
        double rate = expected / draft_cost_estimate(cost, k + 1);
        if (rate > best_rate) {
            best = k;
            best_rate = rate;
        }
    }
    if (best) {
        cost->trial_after = TRIAL_AFTER;
        cost->since_trial = 0;
    } else if (n && reach[0] >= TRIAL_REACH && cost->since_trial >= cost->trial_after) {
        /* What was measured may have been a bad moment. */
        best = n < TRIAL_TOKENS ? n : TRIAL_TOKENS;
        cost->since_trial = 0;
        if (cost->trial_after < TRIAL_AFTER_MOST)
            cost->trial_after *= 2;
    }
    return best;
}

void draft_cost_measured(struct draft_cost *cost, size_t n_drafted, uint64_t ns)
{
    size_t n = n_drafted + 1;
    double now = (double)ns;
    if (cost->n_measured[1]) { /* the first measurement of all has nothing to be held against */
        double expected = draft_cost_estimate(cost, n);
        /* An estimate that nothing was measured for may be far too low; a slice never costs more than its tokens alone. */
        double most = (cost->n_measured[n] ? expected : (double)n * cost->time[1]) * OUTLIER;
        now = now > most ? most : now;
    }
    uint32_t count = ++cost->n_measured[n];
    double weight = 1.0 / count > STEADY ? 1.0 / count : STEADY;
    cost->time[n] += (now - cost->time[n]) * weight;
    cost->longest = n > cost->longest ? n : cost->longest;
    cost->n_tokens++;
    cost->since_single = n_drafted ? cost->since_single + 1 : 0;
    if (n_drafted)
        cost->balance -= now - cost->time[1];
}

void draft_cost_accepted(struct draft_cost *cost)
{
    double most = BALANCE_MOST * cost->time[1];
    cost->n_tokens++;
    cost->balance += cost->time[1];
    if (cost->balance > most)
        cost->balance = most;
}
