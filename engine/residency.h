/* residency: experts of a model that is larger than memory, and which of them are there.
 *
 * The file is mapped, so any weight can be read at any time; the question is how.  Left alone, the system reads a little ahead
 * of every page that is missing, and lets go of what it thinks is old.  But what comes next is known here:
 *
 *   what every token reads (all but the experts)     is asked for at once and held, where the system allows it
 *   the experts that the router has just chosen      are asked for whole, all of a layer at a time, before the first of
 *                                                    them is multiplied: large reads, many at a time
 *   other experts                                    are not touched: nothing is read ahead between them
 *   the experts used most in earlier runs            are asked for at load, up to the memory there is, by a thread that
 *                                                    gets out of the way
 *
 * How often each expert was chosen is the profile, a small file; older runs count half in each new one, so it follows what
 * a person works on.  The system tells which pages are there to whoever owns the file or may write it; what is there is not
 * asked for, as that would take longer than to multiply it.  To others it says that all is there.  Then it is estimated (an
 * expert is, when since its last use no more was read than memory holds), and reading ahead stays on, for estimates that
 * are wrong.
 */
#ifndef FATHOM_ENGINE_RESIDENCY_H
#define FATHOM_ENGINE_RESIDENCY_H

#include "engine/model.h"

struct residency;

/* memory: bytes that weights may take.  profile: a file, or NULL.  *out is NULL where all of the model fits, or it has no
 * experts.  The model is borrowed, and its weights stay where they are.  STATUS_MEMORY. */
enum status residency_new(const struct model *model, uint64_t memory, const char *profile, struct residency **out,
                          struct error *error);

/* Keeps the profile, in one step or not at all: a failure only costs the next run its head start.  NULL is fine. */
void residency_free(struct residency *residency);

/* A product with these experts' matrices comes next: begin (n_expert + 1) are the first pairs of each expert, as in a plan.
 * Counts them where weight is a layer's gate: its other matrices are expected with it.  True where it is; then residency_ask
 * is to be run, on as many threads as there are (a thread_fn): asking takes the system some time. */
bool residency_expect(struct residency *residency, const struct weight *weight, const int32_t *begin);
void residency_ask(void *residency, int thread, int n_threads);

struct residency_report {
    uint64_t n_chosen,
        n_asked;        /* matrices since the model was opened: of experts that were chosen, and asked for then */
    uint64_t hot_bytes; /* what every token reads */
    uint64_t budget;    /* bytes that are left for experts */
    bool sees_pages;    /* the system tells which pages are there */
};
struct residency_report residency_report(const struct residency *residency);

/* Waits until the load's own asking is done; for tests. */
void residency_settle(struct residency *residency);

#endif
