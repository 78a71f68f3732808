/* memory: how much there is on this machine, and how fast it is read. */
#ifndef FATHOM_ENGINE_MEMORY_H
#define FATHOM_ENGINE_MEMORY_H

#include "engine/base.h"
#include "engine/threads.h"

/* Bytes that may still be taken without swapping, the page cache counted as free; bounded by the control group's limit.
 * 0 where the system doesn't say. */
uint64_t memory_available(void);

/* The best of several passes of all threads over a buffer far larger than caches, in bytes a second. */
enum status memory_measure_bandwidth(struct thread_pool *pool, double *bytes_per_second, struct error *error);

#endif
