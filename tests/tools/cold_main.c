/* cold_main: how fast a model is decoded that isn't in memory: what engine/residency.c is measured by.
 *
 *   cold MODEL MEMORY_MB N [PROFILE]     puts the file out of the page cache, opens it as if so much memory were there (0: as
 *                                        much as there is, so that nothing is done about it), generates N tokens greedily
 *
 * Prints the speed of the first half of them and of the second, and how much of the file was read. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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
static double read_so_far(void)
{
    unsigned long long bytes = 0;
    char line[128];
    FILE *file = fopen("/proc/self/io", "re");
    while (file && fgets(line, sizeof line, file))
        if (sscanf(line, "read_bytes: %llu", &bytes) == 1)
            break;
    if (file)
        fclose(file);
    return (double)bytes;
}

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

static int run(const char *path, uint64_t memory, int n, const char *profile)
{
    struct engine *engine = NULL;
    struct session *session = NULL;
    struct error error = {0};
    const struct engine_options options = {
        .model_path = path, .memory = memory, .force = true, .experts_profile = profile};
    const struct session_options settings = {.n_ctx = n + 2};
    const int32_t first = 1;
    if (engine_open(&options, &engine, &error) || session_open(engine, &settings, &session, &error) ||
        session_sync(session, &first, 1, NULL, &error)) {
        fprintf(stderr, "cold: %s\n", error.text);
        engine_close(engine);
        return 1;
    }
    double early = generate(session, engine_n_vocab(engine), n / 2, &error);
    double late = generate(session, engine_n_vocab(engine), n - n / 2, &error);
    printf("%.2f tok/s, then %.2f tok/s; %.0f MB read", n / 2 / early, (n - n / 2) / late, read_so_far() / 1e6);
    if (engine->residency) {
        struct residency_report report = residency_report(engine->residency);
        printf("; %llu of %llu experts asked for, %.0f MB hot, %.0f MB for experts", (unsigned long long)report.n_asked,
               (unsigned long long)report.n_chosen, (double)report.hot_bytes / 1e6, (double)report.budget / 1e6);
    }
    printf("\n");
    session_close(session);
    engine_close(engine);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc < 4 || argc > 5 || atoi(argv[3]) < 2) {
        fprintf(stderr, "usage: cold MODEL MEMORY_MB N [PROFILE]\n");
        return 2;
    }
    if (!drop_from_cache(argv[1])) {
        fprintf(stderr, "cold: %s: not put out of the cache\n", argv[1]);
        return 1;
    }
    return run(argv[1], strtoull(argv[2], NULL, 10) * 1000000, atoi(argv[3]), argc > 4 ? argv[4] : NULL);
}
