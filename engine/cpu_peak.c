/* cpu_peak: what this CPU can multiply at most, to hold a prefill's speed against.
 *
 * All threads run the kernels' multiply_bytes at once; the best of several short passes counts, as others may be using the
 * machine, too. */
#include "engine/cpu.h"
#include "engine/cpu_private.h"

struct peak_job {
    const struct cpu_kernels *kernels;
    int64_t n_rounds;
    int64_t n_done[THREADS_MAX]; /* multiply-adds */
};

static void multiply(void *context, int thread, int n_threads)
{
    (void)n_threads;
    struct peak_job *job = context;
    job->n_done[thread] = job->kernels->multiply_bytes(job->n_rounds);
}

/* Multiply-adds a second of one pass; 0 where the clock stood still. */
static double pass(struct cpu_backend *cpu, struct peak_job *job, uint64_t *elapsed)
{
    uint64_t begin = clock_now_ns();
    thread_pool_run(cpu->pool, multiply, job);
    *elapsed = clock_now_ns() - begin;
    double n = 0;
    for (int i = 0; i < thread_pool_size(cpu->pool); i++)
        n += (double)job->n_done[i];
    return *elapsed ? n / ((double)*elapsed / 1e9) : 0;
}

enum status cpu_measure_compute(struct backend *backend, double *multiply_adds, struct error *error)
{
    enum { PASSES = 5, PASS_NS = 5000000, MOST_ROUNDS = 1 << 30 };
    struct cpu_backend *cpu = cpu_of(backend);
    struct peak_job job = {.kernels = cpu->kernels, .n_rounds = 1024};
    uint64_t elapsed;
    double best = 0;
    /* How many rounds make a pass; the clock comes up to its speed meanwhile. */
    for (pass(cpu, &job, &elapsed); elapsed < PASS_NS && job.n_rounds < MOST_ROUNDS; pass(cpu, &job, &elapsed))
        job.n_rounds *= 2;
    for (int i = 0; i < PASSES; i++) {
        double speed = pass(cpu, &job, &elapsed);
        best = speed > best ? speed : best;
    }
    if (best <= 0)
        return error_set(error, STATUS_NUMERIC, "the clock stood still while multiplications were measured");
    *multiply_adds = best;
    return STATUS_OK;
}
