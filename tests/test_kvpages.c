/* Tests the memory under KV caches: random trees of forks against plain arrays, what the system holds for them, and what
 * happens where it gives no more mappings. */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "engine/kvcache.h"
#include "tests/engine_fixture.h"

/* ---- plain caches to compare with ---- */

enum { N_CTX = 300, N_LAYER = 3, K = 192, V = 64, MOST = 12 };

/* A cache of cells, each with a mark that all its rows are filled by; and what its marks should be. */
struct pair {
    struct kvcache cache;
    int32_t n;
    unsigned char marks[N_CTX];
};

static void fill_row(unsigned char *row, size_t size, unsigned mark, int32_t layer, bool is_value)
{
    for (size_t i = 0; i < size; i++)
        row[i] = (unsigned char)(mark + (unsigned)layer * 7 + is_value * 3 + i);
}

static void visit(const struct pair *pair, int32_t cell, bool write)
{
    const struct kvcache *cache = &pair->cache;
    unsigned char expected[1024];
    for (int32_t layer = 0; layer < N_LAYER; layer++)
        for (int is_value = 0; is_value < (cache->v_elements ? 2 : 1); is_value++) {
            size_t size = is_value ? cache->v_row_bytes : cache->k_row_bytes;
            unsigned char *rows = is_value ? kvcache_values(cache, layer) : kvcache_keys(cache, layer);
            unsigned char *row = rows + (size_t)cell * size;
            if (write) {
                fill_row(row, size, pair->marks[cell], layer, is_value);
                continue;
            }
            fill_row(expected, size, pair->marks[cell], layer, is_value);
            if (memcmp(row, expected, size) != 0)
                fail_msg("cell %d of layer %d is not what was written", cell, layer);
        }
}

static void check(const struct pair *pair)
{
    for (int32_t cell = 0; cell < pair->n; cell++)
        visit(pair, cell, false);
}

static void append(struct pair *pair, int32_t n, unsigned char mark)
{
    assert_int_equal(kvcache_write(&pair->cache, pair->n, n, NULL), STATUS_OK);
    for (int32_t i = 0; i < n; i++) {
        pair->marks[pair->n + i] = (unsigned char)(mark + i);
        visit(pair, pair->n + i, true);
    }
    pair->n += n;
}

static void begin(struct pair *pair, enum kv_type kv, bool has_values)
{
    memset(pair, 0, sizeof *pair);
    assert_int_equal(
        kvcache_init(&pair->cache, kv, N_CTX, N_LAYER, 1, K, has_values ? V : 0, has_values ? V : 32, NULL), STATUS_OK);
}

static void fork_pair(const struct pair *from, struct pair *to)
{
    *to = *from;
    assert_int_equal(kvcache_fork(&from->cache, from->n, &to->cache, NULL), STATUS_OK);
}

/* ---- what the system holds ---- */

/* Bytes of all files in memory that this process has open. */
static size_t system_bytes(size_t *n_files)
{
    DIR *folder = opendir("/proc/self/fd");
    assert_non_null(folder);
    size_t n = 0;
    *n_files = 0;
    for (struct dirent *entry; (entry = readdir(folder));) {
        char target[128] = "";
        struct stat about;
        ssize_t size = readlinkat(dirfd(folder), entry->d_name, target, sizeof target - 1);
        if (size <= 0 || !strstr(target, "memfd:fathom-kv") || fstat(atoi(entry->d_name), &about) != 0)
            continue;
        n += (size_t)about.st_blocks * 512;
        ++*n_files;
    }
    closedir(folder);
    return n;
}

static unsigned next_random(unsigned *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

/* One random step on one of the caches. */
static void step(struct pair *pairs, bool *is_open, unsigned *random)
{
    unsigned what = next_random(random) % 10, at = next_random(random) % MOST, other = next_random(random) % MOST;
    if (!is_open[at])
        return;
    struct pair *pair = &pairs[at];
    if (what < 2 && !is_open[other]) {
        fork_pair(pair, &pairs[other]);
        is_open[other] = true;
    } else if (what == 2 && at) {
        kvcache_deinit(&pair->cache);
        is_open[at] = false;
    } else if (what == 3) {
        pair->n = (int32_t)(next_random(random) % (unsigned)(pair->n + 1));
    } else if (pair->n < N_CTX) {
        int32_t n = (int32_t)(1 + next_random(random) % (what == 4 ? 100 : 5));
        append(pair, n < N_CTX - pair->n ? n : N_CTX - pair->n, (unsigned char)next_random(random));
    }
}

static void random_trees_of_forks(enum kv_type kv, bool has_values)
{
    static struct pair pairs[MOST];
    bool is_open[MOST] = {true};
    unsigned random = 5 + (unsigned)kv;
    size_t n_files, most_open = 0;
    begin(&pairs[0], kv, has_values);
    for (int round = 0; round < 3000; round++) {
        step(pairs, is_open, &random);
        size_t n_open = 0, most = 0;
        for (int i = 0; i < MOST; i++)
            if (is_open[i]) {
                size_t shared, held = kvcache_held(&pairs[i].cache, &shared);
                assert_true(shared <= held);
                most += held;
                n_open++;
                if (round % 20 == 0)
                    check(&pairs[i]);
            }
        most_open = n_open > most_open ? n_open : most_open;
        /* Nothing is held but what some cache says. */
        if (round % 20 == 0)
            assert_true(system_bytes(&n_files) <= most);
    }
    assert_true(most_open > MOST / 2);
    for (int i = 0; i < MOST; i++)
        if (is_open[i]) {
            check(&pairs[i]);
            kvcache_deinit(&pairs[i].cache);
        }
    assert_int_equal(system_bytes(&n_files), 0);
    assert_int_equal(n_files, 0);
}

static void forks_are_right_whoever_writes(void **state)
{
    (void)state;
    random_trees_of_forks(KV_F16, true);
    random_trees_of_forks(KV_Q8_0, true);
    random_trees_of_forks(KV_F32, true);
    random_trees_of_forks(KV_F16, false);
}

/* ---- memory ---- */

static void a_fork_takes_memory_only_for_what_it_writes(void **state)
{
    (void)state;
    static struct pair a, b, c;
    size_t n_files, shared, chunks = kvpages_chunk() * N_LAYER;
    begin(&a, KV_F16, true);
    assert_int_equal(kvcache_held(&a.cache, &shared), 0);
    append(&a, 200, 1);
    size_t alone = system_bytes(&n_files), held = kvcache_held(&a.cache, &shared);
    assert_true(alone > 0 && alone <= held && held < alone + 2 * chunks && shared == 0);
    fork_pair(&a, &b);
    fork_pair(&b, &c);
    assert_int_equal(system_bytes(&n_files), alone);
    assert_int_equal(kvcache_held(&b.cache, &shared), held);
    assert_int_equal(shared, held);
    append(&b, 1, 77); /* the chunks that cell 200 lies in, of keys and of values */
    size_t both = system_bytes(&n_files);
    assert_true(both > alone && both <= alone + 2 * chunks);
    append(&a, 1, 99);
    append(&c, 1, 111); /* the last that has the old chunks: nothing is copied for it */
    assert_true(system_bytes(&n_files) <= alone + 4 * chunks);
    check(&a);
    check(&b);
    check(&c);
    kvcache_deinit(&a.cache);
    kvcache_deinit(&c.cache);
    check(&b);
    assert_true(system_bytes(&n_files) <= held);
    kvcache_deinit(&b.cache);
    assert_int_equal(system_bytes(&n_files), 0);
}

/* ---- no more mappings ---- */

/* Takes mappings until the system gives no more, then gives some back. */
static unsigned char *exhaust_mappings(size_t size, size_t left)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    unsigned char *memory = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    assert_true(memory != MAP_FAILED);
    size_t at = page;
    while (at + 2 * page < size && mprotect(memory + at, page, PROT_READ) == 0)
        at += 2 * page;
    assert_true(at + 2 * page < size);
    for (size_t i = 0; i < left; i++)
        assert_int_equal(mprotect(memory + page + 2 * i * page, page, PROT_NONE), 0);
    return memory;
}

static void without_mappings_a_fork_is_a_copy(void **state)
{
    (void)state;
    if (test_slowness() >= 50)
        return; /* valgrind ends itself before the system runs out of mappings */
    static struct pair a, b, c;
    enum { SPACE = 1 << 30 };
    begin(&a, KV_F16, true);
    append(&a, 100, 3);
    fork_pair(&a, &b);
    unsigned char *taken = exhaust_mappings(SPACE, 1);
    /* One mapping more at most: that is a cache of its own, but not one that shares in every layer. */
    fork_pair(&a, &c);
    size_t shared;
    kvcache_held(&c.cache, &shared);
    assert_int_equal(shared, 0);
    append(&b, 3, 50);
    append(&c, 3, 60);
    append(&a, 3, 70);
    check(&a);
    check(&b);
    check(&c);
    munmap(taken, SPACE);
    kvcache_deinit(&a.cache);
    kvcache_deinit(&b.cache);
    kvcache_deinit(&c.cache);
    size_t n_files;
    assert_int_equal(system_bytes(&n_files), 0);
    assert_int_equal(n_files, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forks_are_right_whoever_writes),
        cmocka_unit_test(a_fork_takes_memory_only_for_what_it_writes),
        cmocka_unit_test(without_mappings_a_fork_is_a_copy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
