/* threads: a fixed pool that runs one function on all of its threads at once (fork-join).
 *
 * The caller is thread 0.  A join is a barrier: thread_pool_run returns when every thread has returned.  Between runs the
 * others spin for some microseconds, since a decode forks several hundred times a token, and then sleep: an idle program
 * uses no CPU.  thread_share splits even work; large products are dealt in parts instead (cpu_private.h). */
#ifndef FATHOM_ENGINE_THREADS_H
#define FATHOM_ENGINE_THREADS_H

#include "engine/base.h"

struct thread_pool;

typedef void thread_fn(void *context, int thread, int n_threads);

enum { THREADS_MAX = 256 };

/* 1 <= n_threads <= THREADS_MAX.  STATUS_ARGUMENT, STATUS_MEMORY. */
enum status thread_pool_new(int n_threads, struct thread_pool **out, struct error *error);
void thread_pool_free(struct thread_pool *pool);
int thread_pool_size(const struct thread_pool *pool);

/* Not reentrant: run doesn't call run. */
void thread_pool_run(struct thread_pool *pool, thread_fn *run, void *context);

/* The share [*begin, *end) of n items that belongs to thread, cut at multiples of grain (>= 1). */
void thread_share(int64_t n, int64_t grain, int thread, int n_threads, int64_t *begin, int64_t *end);

/* Physical cores that this process may run on; at least 1. */
int threads_physical_cores(void);

#endif
