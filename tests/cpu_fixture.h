/* cpu_fixture: what the tests of the CPU's kernels share: numbers and weights from a seed, every set of kernels on a
 * backend, and matrix products worked out plainly, with the errors that an input of 16 bits may bring. */
#ifndef FATHOM_TESTS_CPU_FIXTURE_H
#define FATHOM_TESTS_CPU_FIXTURE_H

#include "engine/backend.h"
#include "engine/cpu_kernels.h"
#include "engine/threads.h"

/* ---- numbers from a seed; memory is the caller's to free ---- */

float *new_floats(uint64_t seed, size_t n); /* -1..1 */

/* Random blocks of a type: any bytes are weights, but half-precision scales are finite and of usual size. */
unsigned char *new_weights(uint64_t seed, enum quant_type type, size_t n_bytes);

/* n_mats matrices of them, one behind another; free_weight frees the bytes. */
struct weight new_weight(uint64_t seed, enum quant_type type, int64_t n_cols, int64_t n_rows, int64_t n_mats);
void free_weight(const struct weight *weight);

/* ---- backends to compare ---- */

struct machine {
    struct thread_pool *pool;
    struct backend *backend;
};

struct machine open_machine(const char *cpu, int n_threads); /* fails the test where it can't */
struct machine open_machine_of(const struct cpu_kernels *kernels, int n_threads);
void close_machine(struct machine *machine);
const struct cpu_kernels *kernels_of(const struct machine *machine);

/* The i-th set of kernels to test; NULL at the end.  The widest runs in its emulated form wherever there is AVX2. */
const struct cpu_kernels *set_at(size_t i);

/* Calls check for each set of kernels that runs on this machine, with 1 thread and, as_alone, with 3, beside plain C.  The
 * widest runs in its emulated form, too, wherever there is AVX2. */
void on_every_set(void (*check)(const struct machine *truth, const struct machine *fast));

/* Whether n_bytes of memory are the same. */
bool is_same(const void *a, const void *b, size_t n_bytes);

/* Each number differs by at most tolerance times the sum of the magnitudes that went into it. */
void assert_near(const float *ours, const float *truth, const float *magnitude, size_t n, double tolerance,
                 const char *what);

/* ---- products, plainly ---- */

/* A sum of w · x. */
struct plain {
    double value;
    double magnitude; /* the sum of |w · x|, which is what rounding errors of floats grow with */
    double rounding;  /* the sum of |w| · half a step of 16 bits, 127 · 257 of which make the greatest of a block */
};

/* Matrix mat of a weight against n_tokens rows of input: (n_tokens, n_rows), the caller's to free. */
struct plain *new_plain(const struct weight *weight, int64_t mat, const float *x, int64_t x_stride, int32_t n_tokens);

/* Holds results, token t's at ours + t * stride, to what they should be: each to its bound, and all together to one that
 * is far tighter, since roundings don't all go one way. */
void assert_plain(const float *ours, int64_t stride, const struct plain *plain, int32_t n_tokens, int64_t n_rows,
                  const char *what);

#endif
