/* memory: see memory.h. */
#include "engine/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t first_number_in(const char *path, const char *label, uint64_t unit)
{
    FILE *file = fopen(path, "re");
    if (!file)
        return 0;
    char line[256];
    unsigned long long number = 0;
    bool found = false;
    while (!found && fgets(line, sizeof line, file))
        found = strncmp(line, label, strlen(label)) == 0 && sscanf(line + strlen(label), "%llu", &number) == 1;
    fclose(file);
    uint64_t bytes;
    return found && checked_mul(number, unit, &bytes) ? bytes : 0;
}

uint64_t memory_available(void)
{
    uint64_t available = first_number_in("/proc/meminfo", "MemAvailable:", 1024);
    uint64_t limit = first_number_in("/sys/fs/cgroup/memory.max", "", 1);
    uint64_t used = first_number_in("/sys/fs/cgroup/memory.current", "", 1);
    uint64_t cached = first_number_in("/sys/fs/cgroup/memory.stat", "file ", 1);
    if (limit) {
        uint64_t firm = used > cached ? used - cached : 0;
        uint64_t left = limit > firm ? limit - firm : 0;
        if (!available || left < available)
            available = left;
    }
    return available;
}

enum { BUFFER_BYTES = 256 << 20, PASSES = 5, STREAMS = 4 };

struct read_job {
    const uint64_t *words;
    size_t n_words;
    uint64_t sums[THREADS_MAX];
};

/* Several sums at a time from places far apart, so that the loads don't wait for each other. */
static void read_share(void *context, int thread, int n_threads)
{
    struct read_job *job = context;
    int64_t begin, end;
    thread_share((int64_t)job->n_words, 512, thread, n_threads, &begin, &end);
    size_t n = (size_t)(end - begin) / STREAMS;
    const uint64_t *words = job->words + begin;
    uint64_t sum[STREAMS] = {0};
    for (size_t i = 0; i + 8 <= n; i += 8)
        for (size_t s = 0; s < STREAMS; s++)
            for (size_t k = 0; k < 8; k++)
                sum[s] += words[s * n + i + k];
    job->sums[thread] = sum[0] + sum[1] + sum[2] + sum[3];
}

enum status memory_measure_bandwidth(struct thread_pool *pool, double *bytes_per_second, struct error *error)
{
    struct read_job job = {.n_words = BUFFER_BYTES / sizeof(uint64_t)};
    uint64_t *words = aligned_alloc(4096, BUFFER_BYTES);
    if (!words)
        return error_set(error, STATUS_MEMORY, "no memory to measure the bandwidth with");
    memset(words, 1, BUFFER_BYTES);
    job.words = words;
    uint64_t best = UINT64_MAX, check = 0;
    for (int i = 0; i < PASSES; i++) {
        uint64_t begin = clock_now_ns();
        thread_pool_run(pool, read_share, &job);
        uint64_t elapsed = clock_now_ns() - begin;
        best = elapsed < best ? elapsed : best;
        check += job.sums[0];
    }
    free(words);
    if (best == 0 || check == 0)
        return error_set(error, STATUS_NUMERIC, "the clock stood still while the bandwidth was measured");
    *bytes_per_second = (double)BUFFER_BYTES / ((double)best / 1e9);
    return STATUS_OK;
}
