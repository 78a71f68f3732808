/* threads: see threads.h. */
#include "engine/threads.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#if defined(__x86_64__) || defined(__i386__)
#include <immintrin.h>
#define spin_pause() _mm_pause()
#else
#define spin_pause() sched_yield()
#endif

/* About 50 microseconds of pauses: longer than the serial gaps of a forward pass, far shorter than a person notices. */
enum { SPINS_BEFORE_SLEEP = 2000 };

struct thread_pool {
    int n_threads;
    thread_fn *run;
    void *context;
    atomic_uint generation; /* counts forks; a change wakes the others */
    atomic_int n_running;   /* threads other than 0 that have not returned from this fork */
    atomic_int n_sleeping;
    atomic_bool is_ending;
    pthread_mutex_t mutex; /* guards sleeping alone */
    pthread_cond_t wake;
    struct worker {
        struct thread_pool *pool;
        pthread_t thread;
        int index;
    } workers[]; /* n_threads; workers[0] is the caller and has no thread */
};

/* Waits until the generation differs from seen. */
static unsigned wait_for_fork(struct thread_pool *pool, unsigned seen)
{
    for (int i = 0; i < SPINS_BEFORE_SLEEP; i++) {
        unsigned now = atomic_load_explicit(&pool->generation, memory_order_acquire);
        if (now != seen)
            return now;
        spin_pause();
    }
    pthread_mutex_lock(&pool->mutex);
    atomic_fetch_add(&pool->n_sleeping, 1);
    unsigned now;
    while ((now = atomic_load(&pool->generation)) == seen)
        pthread_cond_wait(&pool->wake, &pool->mutex);
    atomic_fetch_sub(&pool->n_sleeping, 1);
    pthread_mutex_unlock(&pool->mutex);
    return now;
}

static void *worker_main(void *argument)
{
    struct worker *worker = argument;
    struct thread_pool *pool = worker->pool;
    unsigned seen = 0;
    for (;;) {
        seen = wait_for_fork(pool, seen);
        if (atomic_load(&pool->is_ending))
            return NULL;
        pool->run(pool->context, worker->index, pool->n_threads);
        atomic_fetch_sub_explicit(&pool->n_running, 1, memory_order_release);
    }
}

/* The sleepers check the generation under the mutex, so a wake between their check and their wait can't be lost. */
static void announce_fork(struct thread_pool *pool)
{
    atomic_fetch_add(&pool->generation, 1);
    if (atomic_load(&pool->n_sleeping) > 0) {
        pthread_mutex_lock(&pool->mutex);
        pthread_cond_broadcast(&pool->wake);
        pthread_mutex_unlock(&pool->mutex);
    }
}

void thread_pool_run(struct thread_pool *pool, thread_fn *run, void *context)
{
    if (pool->n_threads > 1) {
        pool->run = run;
        pool->context = context;
        atomic_store(&pool->n_running, pool->n_threads - 1);
        announce_fork(pool);
    }
    run(context, 0, pool->n_threads);
    int spins = 0;
    while (atomic_load_explicit(&pool->n_running, memory_order_acquire) > 0) {
        spin_pause();
        /* Where there are fewer free cores than threads, the one we wait for may need this core. */
        if (++spins > SPINS_BEFORE_SLEEP)
            sched_yield();
    }
}

int thread_pool_size(const struct thread_pool *pool)
{
    return pool->n_threads;
}

void thread_pool_free(struct thread_pool *pool)
{
    if (!pool)
        return;
    atomic_store(&pool->is_ending, true);
    announce_fork(pool);
    for (int i = 1; i < pool->n_threads; i++)
        pthread_join(pool->workers[i].thread, NULL);
    pthread_cond_destroy(&pool->wake);
    pthread_mutex_destroy(&pool->mutex);
    free(pool);
}

enum status thread_pool_new(int n_threads, struct thread_pool **out, struct error *error)
{
    if (n_threads < 1 || n_threads > THREADS_MAX)
        return error_set(error, STATUS_ARGUMENT, "%d threads: must be 1 to %d", n_threads, THREADS_MAX);
    struct thread_pool *pool = calloc(1, sizeof *pool + (size_t)n_threads * sizeof pool->workers[0]);
    if (!pool)
        return error_set(error, STATUS_MEMORY, "out of memory");
    pthread_mutex_init(&pool->mutex, NULL);
    pthread_cond_init(&pool->wake, NULL);
    pool->n_threads = 1;
    /* Signals that concern the whole program are for the thread that expects them, not for ours.  What a thread causes
     * itself still reaches it: the mapping of a file that was cut short depends on it. */
    sigset_t ours, before;
    sigfillset(&ours);
    const int own[] = {SIGBUS, SIGSEGV, SIGFPE, SIGILL, SIGTRAP, SIGABRT};
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        sigdelset(&ours, own[i]);
    pthread_sigmask(SIG_SETMASK, &ours, &before);
    enum status status = STATUS_OK;
    for (int i = 1; !status && i < n_threads; i++) {
        pool->workers[i] = (struct worker){.pool = pool, .index = i};
        if (pthread_create(&pool->workers[i].thread, NULL, worker_main, &pool->workers[i]) != 0)
            status = error_set(error, STATUS_MEMORY, "cannot start thread %d of %d", i + 1, n_threads);
        else
            pool->n_threads = i + 1;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (status)
        thread_pool_free(pool);
    else
        *out = pool;
    return status;
}

void thread_share(int64_t n, int64_t grain, int thread, int n_threads, int64_t *begin, int64_t *end)
{
    int64_t n_grains = (n + grain - 1) / grain;
    int64_t first = n_grains * thread / n_threads * grain, last = n_grains * (thread + 1) / n_threads * grain;
    *begin = first < n ? first : n;
    *end = last < n ? last : n;
}

/* The first of the hardware threads of cpu's core; cpu itself where the system doesn't say. */
static unsigned first_of_core(unsigned cpu)
{
    char path[96];
    snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%u/topology/thread_siblings_list", cpu);
    FILE *file = fopen(path, "re");
    unsigned first = cpu;
    if (file) {
        if (fscanf(file, "%u", &first) != 1)
            first = cpu;
        fclose(file);
    }
    return first < CPU_SETSIZE ? first : cpu;
}

int threads_physical_cores(void)
{
    cpu_set_t allowed, cores;
    long n_cores;
    CPU_ZERO(&cores);
    if (sched_getaffinity(0, sizeof allowed, &allowed) == 0) {
        for (unsigned cpu = 0; cpu < CPU_SETSIZE; cpu++)
            if (CPU_ISSET(cpu, &allowed))
                CPU_SET(first_of_core(cpu), &cores);
        n_cores = CPU_COUNT(&cores);
    } else {
        n_cores = sysconf(_SC_NPROCESSORS_ONLN); /* more processors than the set has room for */
    }
    if (n_cores < 1)
        return 1;
    return n_cores < THREADS_MAX ? (int)n_cores : THREADS_MAX;
}
