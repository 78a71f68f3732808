/* cold_main: how fast a model is decoded that doesn't fit in memory: what engine/residency.c is measured by.
 *
 *   cold MODEL MEMORY_MB N [plain | PROFILE]
 *
 * puts the file out of the page cache, opens it as if so much memory were there, and generates N tokens; with `plain` the
 * system is left alone.  No more of the experts is let stay in memory than there would be: a thread takes them out again,
 * around and around through the file, once more was read than fits.  What every token reads it leaves alone.
 *
 * Prints the speed of the first half of the tokens and of the second, and what was read. */
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/engine_private.h"
#include "engine/residency.h"

static bool drop_from_cache(const char *path)
{
    int file = open(path, O_RDONLY | O_CLOEXEC);
    bool is_done = file >= 0 && fsync(file) == 0 && posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED) == 0;
    if (file >= 0)
        close(file);
    return is_done;
}

/* Bytes that this process had read from the device. */
static uint64_t read_so_far(void)
{
    unsigned long long bytes = 0;
    char line[128];
    FILE *file = fopen("/proc/self/io", "re");
    while (file && fgets(line, sizeof line, file))
        if (sscanf(line, "read_bytes: %llu", &bytes) == 1)
            break;
    if (file)
        fclose(file);
    return bytes;
}

/* ---- so much memory ---- */

enum { CHUNK = 1 << 20, MOST_RANGES = 1024 };

struct limiter {
    struct range {
        unsigned char *data;
        size_t size;
    } ranges[MOST_RANGES]; /* the experts' tensors */
    size_t n_ranges;
    uint64_t limit; /* bytes */
    atomic_bool stop;
    uint64_t taken_out;
};

static void add_range(struct limiter *limiter, const struct weight *weight)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), before = (page - (uintptr_t)weight->data % page) % page;
    if (weight->data && limiter->n_ranges < MOST_RANGES)
        limiter->ranges[limiter->n_ranges++] = (struct range){(unsigned char *)(uintptr_t)weight->data + before,
                                                              (size_t)weight->n_mats * weight->mat_bytes - before};
}

static uint64_t resident(unsigned char *data, size_t size)
{
    unsigned char pages[CHUNK / 4096];
    size_t page = (size_t)sysconf(_SC_PAGESIZE), n = (size + page - 1) / page, n_there = 0;
    if (mincore(data, size, pages) != 0)
        return 0;
    for (size_t i = 0; i < n; i++)
        n_there += pages[i] & 1;
    return n_there * page;
}

static void *keep_limit(void *context)
{
    struct limiter *limiter = context;
    size_t range = 0, at = 0;
    while (!atomic_load(&limiter->stop)) {
        if (read_so_far() < limiter->limit + limiter->taken_out) {
            usleep(500);
            continue;
        }
        const struct range *now = &limiter->ranges[range];
        size_t size = now->size - at < CHUNK ? now->size - at : CHUNK;
        uint64_t there = resident(now->data + at, size);
        if (there && madvise(now->data + at, size, MADV_PAGEOUT) == 0)
            limiter->taken_out += there - resident(now->data + at, size);
        at += CHUNK;
        if (at >= now->size) {
            at = 0;
            range = (range + 1) % limiter->n_ranges;
        }
    }
    return NULL;
}

/* ---- generating ---- */

/* Seconds that n tokens take. */
static double generate(struct session *session, int32_t n_vocab, int n, struct error *error)
{
    uint64_t began = clock_now_ns();
    for (int i = 0; i < n; i++) {
        struct token_probability best;
        logits_top(session_logits(session), n_vocab, &best, 1);
        /* Not the same token again and again, which models of random weights tend to. */
        if (session_append(session, (best.id + 7919 * i) % n_vocab, error))
            return 0;
    }
    return (double)(clock_now_ns() - began) / 1e9;
}

static void measure(struct engine *engine, struct session *session, int n, struct limiter *limiter)
{
    struct error error = {0};
    pthread_t thread;
    for (int32_t i = 0; i < engine->model->hparams.n_layer; i++) {
        add_range(limiter, &engine->model->layers[i].experts_gate);
        add_range(limiter, &engine->model->layers[i].experts_up);
        add_range(limiter, &engine->model->layers[i].experts_down);
    }
    bool is_limited = limiter->limit && limiter->n_ranges && !pthread_create(&thread, NULL, keep_limit, limiter);
    double early = generate(session, engine_n_vocab(engine), n / 2, &error);
    double late = generate(session, engine_n_vocab(engine), n - n / 2, &error);
    atomic_store(&limiter->stop, true);
    if (is_limited)
        pthread_join(thread, NULL);
    printf("%.2f tok/s, then %.2f tok/s; %.0f MB read", n / 2 / early, (n - n / 2) / late, (double)read_so_far() / 1e6);
    if (engine->residency) {
        struct residency_report report = residency_report(engine->residency);
        printf("; %llu of %llu matrices asked for, %.0f MB hot, %.0f MB for experts",
               (unsigned long long)report.n_asked, (unsigned long long)report.n_chosen, (double)report.hot_bytes / 1e6,
               (double)report.budget / 1e6);
    }
    printf("\n");
}

static int run(const char *path, uint64_t memory, int n, const char *how)
{
    static struct limiter limiter;
    struct engine *engine = NULL;
    struct session *session = NULL;
    struct error error = {0};
    bool is_plain = how && strcmp(how, "plain") == 0;
    const struct engine_options options = {.model_path = path,
                                           .memory = is_plain ? UINT64_MAX : memory,
                                           .force = true,
                                           .experts_profile = is_plain ? NULL : how};
    const struct session_options settings = {.n_ctx = n + 2};
    const int32_t first = 1;
    limiter.limit = memory;
    if (engine_open(&options, &engine, &error) || session_open(engine, &settings, &session, &error) ||
        session_sync(session, &first, 1, NULL, &error)) {
        fprintf(stderr, "cold: %s\n", error.text);
        engine_close(engine);
        return 1;
    }
    measure(engine, session, n, &limiter);
    session_close(session);
    engine_close(engine);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc < 4 || argc > 5 || atoi(argv[3]) < 2) {
        fprintf(stderr, "usage: cold MODEL MEMORY_MB N [plain | PROFILE]\n");
        return 2;
    }
    if (!drop_from_cache(argv[1])) {
        fprintf(stderr, "cold: %s: not put out of the cache\n", argv[1]);
        return 1;
    }
    return run(argv[1], strtoull(argv[2], NULL, 10) * 1000000, atoi(argv[3]), argc > 4 ? argv[4] : NULL);
}
