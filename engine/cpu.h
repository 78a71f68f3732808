/* cpu: the backend that computes on the CPU. */
#ifndef FATHOM_ENGINE_CPU_H
#define FATHOM_ENGINE_CPU_H

#include "engine/backend.h"
#include "engine/threads.h"

/* cpu names an instruction set ("scalar", "avx2", "avx512") or is NULL for the best one here.  The pool is borrowed.
 * STATUS_UNSUPPORTED where this CPU lacks what was named, STATUS_ARGUMENT for an unknown name; both list what there is. */
enum status cpu_backend_new(struct thread_pool *pool, const char *cpu, struct backend **out, struct error *error);
const char *cpu_backend_kernels(const struct backend *backend);

/* Experts are asked for before they are multiplied (residency.h).  Borrowed; NULL: all weights are in memory. */
struct residency;
void cpu_backend_set_residency(struct backend *backend, struct residency *residency);

/* Multiply-adds of bytes a second that all threads together do at most, with nothing read from memory. */
enum status cpu_measure_compute(struct backend *backend, double *multiply_adds, struct error *error);

#endif
