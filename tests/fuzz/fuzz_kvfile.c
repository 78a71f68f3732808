/* fuzz_kvfile: whatever bytes lie where a saved session should, what is accepted keeps the promises of kvfile.h: tokens of the
 * vocabulary, as many as the file has cells for, and cells that come out as they stand in the file.
 *
 * Sums would keep the fuzzer out: they are made right before the file is opened, but for inputs whose first byte is odd.
 * With FATHOM_PLANT_BUG whoever counts the tokens is off by a hundred from the second block on, which none of the seeds has a
 * token for that would show it.  The fuzzer must find it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "engine/checksum.h"
#include "engine/kvfile.h"

enum { N_CTX = 64, N_LAYER = 2, K = 4, V = 2, N_VOCAB = 300, HEADER = 80, CELL = N_LAYER * 2 * (K + V) };
/* Where the header has them. */
enum { N_TOKENS_AT = 40, INDEX_SUM_AT = 64, SUM_AT = 72 };

static const struct kvfile_fit fit = {.model = {0x1111, 0x2222}, .n_vocab = N_VOCAB};

static void require(bool condition)
{
    if (!condition)
        abort();
}

static void put_sum(unsigned char *at, uint64_t sum)
{
    memcpy(at, &sum, sizeof sum);
}

/* Where the blocks of a file of n tokens begin. */
static size_t blocks_at(size_t n)
{
    return HEADER + (n * 4 + 7) / 8 * 8 + (n + KVFILE_CELLS - 1) / KVFILE_CELLS * 8;
}

static void mend(unsigned char *file, size_t size)
{
    uint32_t n;
    if (size < HEADER)
        return;
    memcpy(&n, file + N_TOKENS_AT, sizeof n);
    if (n <= 1000 && blocks_at(n) <= size) {
        unsigned char *sums = file + HEADER + (n * 4 + 7) / 8 * 8;
        for (size_t i = 0, begin = 0; begin < n; i++, begin += KVFILE_CELLS) {
            size_t cells = n - begin < KVFILE_CELLS ? n - begin : KVFILE_CELLS, at = blocks_at(n) + begin * CELL;
            if (at + cells * CELL <= size)
                put_sum(sums + 8 * i, checksum_add(i, file + at, cells * CELL));
        }
        put_sum(file + INDEX_SUM_AT, checksum_add(0, file + HEADER, blocks_at(n) - HEADER));
    }
    put_sum(file + SUM_AT, checksum_add(0, file, SUM_AT));
}

static void count_tokens(const struct kvfile *file)
{
    size_t n;
    const int32_t *ids = kvfile_tokens(file, &n);
    unsigned *counts = calloc(N_VOCAB, sizeof *counts);
    require(counts && n > 0);
    for (size_t i = 0; i < n; i++) {
        int32_t id = ids[i];
#ifdef FATHOM_PLANT_BUG
        id += i < KVFILE_CELLS ? 0 : 100;
#endif
        ((volatile unsigned *)counts)[id]++;
    }
    free(counts);
}

/* Every row of the cells that were read, against the file's bytes. */
static void check_cells(const struct kvcache *cache, const unsigned char *data, size_t n_tokens, size_t n)
{
    const unsigned char *from = data + blocks_at(n_tokens);
    for (size_t begin = 0; begin < n_tokens; begin += KVFILE_CELLS) {
        size_t cells = n_tokens - begin < KVFILE_CELLS ? n_tokens - begin : KVFILE_CELLS;
        for (int32_t layer = 0; layer < N_LAYER; layer++)
            for (int is_value = 0; is_value < 2; is_value++) {
                size_t row = is_value ? cache->v_row_bytes : cache->k_row_bytes;
                const unsigned char *rows = is_value ? kvcache_values(cache, layer) : kvcache_keys(cache, layer);
                for (size_t i = begin; i < begin + cells; i++, from += row)
                    require(i >= n || memcmp(rows + i * row, from, row) == 0);
            }
    }
}

static void read_cells(const struct kvfile *file, struct thread_pool *pool, struct kvcache *cache,
                       const unsigned char *data)
{
    size_t n_tokens, n_good;
    kvfile_tokens(file, &n_tokens);
    size_t most = n_tokens < N_CTX ? n_tokens : N_CTX;
    require(kvfile_read(file, pool, cache, 0, N_CTX + 1, &n_good, NULL) != STATUS_OK);
    for (size_t n = 0; n <= most; n += n < most && most - n < 20 ? most - n : 20) {
        enum status status = kvfile_read(file, pool, cache, 0, n, &n_good, NULL);
        require(n_good <= n && (status == STATUS_OK) == (n_good == n));
        check_cells(cache, data, n_tokens, n_good);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct thread_pool *pool;
    require(pool || thread_pool_new(1, &pool, NULL) == STATUS_OK);
    if (size == 0)
        return 0;
    bool mends = data[0] % 2 == 0;
    size_t n_file = size - 1;
    unsigned char *bytes = malloc(n_file ? n_file : 1);
    require(bytes != NULL);
    memcpy(bytes, data + 1, n_file);
    if (mends)
        mend(bytes, n_file);
    int fd = memfd_create("saved", MFD_CLOEXEC);
    char path[40];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    require(fd >= 0 && write(fd, bytes, n_file) == (ssize_t)n_file);
    struct kvcache cache;
    require(kvcache_init(&cache, KV_F16, N_CTX, N_LAYER, 1, K, V, V, NULL) == STATUS_OK);
    struct kvfile *file = NULL;
    struct error error = {0};
    enum status status = kvfile_open(path, &fit, &cache, &file, &error);
    if (status == STATUS_OK) {
        count_tokens(file);
        read_cells(file, pool, &cache, bytes);
    } else {
        require(file == NULL && error.status == status && error.text[0] != 0);
    }
    kvfile_close(file);
    kvcache_deinit(&cache);
    close(fd);
    free(bytes);
    return 0;
}
