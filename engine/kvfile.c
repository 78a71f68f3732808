/* kvfile: see kvfile.h. */
#include "engine/kvfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/checksum.h"
#include "engine/mapping.h"

enum { VERSION = 1, BYTE_ORDER_MARK = 0x01020304, MOST_TOKENS = 1 << 24 };

static const char magic[8] = "fathomKV";

struct header {
    char magic[8];
    uint32_t version, byte_order;
    uint64_t model[2];
    uint32_t type, n_layer, n_tokens, n_block_cells;
    uint64_t k_row_bytes, v_row_bytes;
    uint64_t index_sum; /* of tokens and block sums */
    uint64_t sum;       /* of the header before it */
};

_Static_assert(sizeof(struct header) == 80, "no padding");

struct kvfile {
    int fd;
    struct header header;
    size_t block_bytes; /* of a whole block */
    uint64_t blocks_at;
    unsigned char *index; /* tokens, then block sums */
};

/* ---- sizes ---- */

static size_t n_blocks_of(size_t n_tokens)
{
    return (n_tokens + KVFILE_CELLS - 1) / KVFILE_CELLS;
}

static size_t tokens_bytes(size_t n_tokens)
{
    return (n_tokens * sizeof(int32_t) + 7) / 8 * 8;
}

static size_t index_bytes(size_t n_tokens)
{
    return tokens_bytes(n_tokens) + n_blocks_of(n_tokens) * sizeof(uint64_t);
}

static size_t cell_bytes(const struct kvcache *cache)
{
    return (cache->k_row_bytes + cache->v_row_bytes) * (size_t)cache->n_layer;
}

static struct header header_of(const struct kvfile_fit *fit, const struct kvcache *cache, size_t n)
{
    struct header header = {.version = VERSION,
                            .byte_order = BYTE_ORDER_MARK,
                            .model = {fit->model[0], fit->model[1]},
                            .type = (uint32_t)cache->type,
                            .n_layer = (uint32_t)cache->n_layer,
                            .n_tokens = (uint32_t)n,
                            .n_block_cells = KVFILE_CELLS,
                            .k_row_bytes = cache->k_row_bytes,
                            .v_row_bytes = cache->v_row_bytes};
    memcpy(header.magic, magic, sizeof magic);
    return header;
}

/* ---- bytes of a file ---- */

static bool write_all(int fd, const void *bytes, size_t size, uint64_t at)
{
    for (size_t done = 0; done < size;) {
        ssize_t n = pwrite(fd, (const char *)bytes + done, size - done, (off_t)(at + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            errno = n == 0 ? ENOSPC : errno;
            return false;
        }
        done += (size_t)n;
    }
    return true;
}

/* False with errno 0 where the file ends before. */
static bool read_all(int fd, void *bytes, size_t size, uint64_t at)
{
    for (size_t done = 0; done < size;) {
        ssize_t n = pread(fd, (char *)bytes + done, size - done, (off_t)(at + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            errno = n == 0 ? 0 : errno;
            return false;
        }
        done += (size_t)n;
    }
    return true;
}

/* ---- blocks ---- */

/* Cells [begin, begin + n) of the cache to or from a block of n_block cells. */
static void copy_cells(const struct kvcache *cache, unsigned char *block, size_t n_block, size_t begin, size_t n,
                       bool to_cache)
{
    for (int32_t layer = 0; layer < cache->n_layer; layer++)
        for (int is_value = 0; is_value < (cache->v_elements ? 2 : 1); is_value++) {
            size_t row = is_value ? cache->v_row_bytes : cache->k_row_bytes;
            unsigned char *rows = is_value ? kvcache_values(cache, layer) : kvcache_keys(cache, layer);
            if (to_cache)
                memcpy(rows + begin * row, block, n * row);
            else
                memcpy(block, rows + begin * row, n * row);
            block += n_block * row;
        }
}

/* ---- writing ---- */

static enum status fail_io(const char *path, struct error *error)
{
    return error_set(error, STATUS_IO, "%s: %s", path_end_shown(path), strerror(errno));
}

/* All of the file, header last. */
static bool write_file(int fd, const struct kvfile_fit *fit, const struct kvcache *cache, const int32_t *ids, size_t n,
                       unsigned char *block, unsigned char *index)
{
    struct header header = header_of(fit, cache, n);
    uint64_t at = sizeof header + index_bytes(n), *sums = (uint64_t *)(void *)(index + tokens_bytes(n));
    memcpy(index, ids, n * sizeof *ids);
    for (size_t begin = 0, i = 0; begin < n; begin += KVFILE_CELLS, i++) {
        size_t n_block = n - begin < KVFILE_CELLS ? n - begin : KVFILE_CELLS, size = n_block * cell_bytes(cache);
        copy_cells(cache, block, n_block, begin, n_block, false);
        sums[i] = checksum_add(i, block, size);
        if (!write_all(fd, block, size, at))
            return false;
        at += size;
    }
    header.index_sum = checksum_add(0, index, index_bytes(n));
    header.sum = checksum_add(0, &header, offsetof(struct header, sum));
    return write_all(fd, index, index_bytes(n), sizeof header) && write_all(fd, &header, sizeof header, 0);
}

enum status kvfile_write(const char *path, const struct kvfile_fit *fit, const struct kvcache *cache,
                         const int32_t *ids, size_t n, struct error *error)
{
    if (n == 0 || n > MOST_TOKENS || n > (size_t)cache->n_ctx)
        return error_set(error, STATUS_RANGE, "%zu cells can't be saved", n);
    struct buffer temporary = {0};
    buffer_printf(&temporary, "%s.%ld" SESSION_UNFINISHED, path, (long)getpid());
    unsigned char *block = malloc(KVFILE_CELLS * cell_bytes(cache)), *index = calloc(1, index_bytes(n));
    enum status status = STATUS_OK;
    if (temporary.failed || !block || !index)
        status = error_set(error, STATUS_MEMORY, "out of memory");
    int fd = status ? -1 : open(temporary.data, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (!status && fd < 0)
        status = fail_io(path, error);
    if (!status) {
        /* Whoever clears away what was never finished sees by the lock that this one will be. */
        (void)flock(fd, LOCK_EX | LOCK_NB);
        if (!write_file(fd, fit, cache, ids, n, block, index) || rename(temporary.data, path) != 0) {
            status = fail_io(path, error);
            unlink(temporary.data);
        }
    }
    if (fd >= 0)
        close(fd);
    free(block);
    free(index);
    buffer_deinit(&temporary);
    return status;
}

/* ---- opening ---- */

static bool header_is_ours(const struct header *header)
{
    return memcmp(header->magic, magic, sizeof magic) == 0 && header->version == VERSION &&
           header->byte_order == BYTE_ORDER_MARK && header->n_block_cells == KVFILE_CELLS;
}

static bool header_fits(const struct header *header, const struct kvfile_fit *fit, const struct kvcache *cache)
{
    struct header wanted = header_of(fit, cache, header->n_tokens);
    return memcmp(header, &wanted, offsetof(struct header, index_sum)) == 0;
}

static enum status read_header(struct kvfile *file, const char *path, const struct kvfile_fit *fit,
                               const struct kvcache *cache, struct error *error)
{
    struct header *header = &file->header;
    const char *shown = path_end_shown(path);
    struct stat about;
    if (fstat(file->fd, &about) != 0)
        return fail_io(path, error);
    if (!S_ISREG(about.st_mode) || about.st_size < (off_t)sizeof *header)
        return error_set(error, STATUS_FORMAT, "%s: no saved session", shown);
    if (!read_all(file->fd, header, sizeof *header, 0))
        return fail_io(path, error);
    if (!header_is_ours(header))
        return error_set(error, STATUS_UNSUPPORTED, "%s: no saved session, or one of another version", shown);
    if (header->sum != checksum_add(0, header, offsetof(struct header, sum)))
        return error_set(error, STATUS_FORMAT, "%s: its header is damaged", shown);
    if (!header_fits(header, fit, cache))
        return error_set(error, STATUS_UNSUPPORTED, "%s: of another model or KV type", shown);
    uint64_t blocks = 0, size = 0;
    file->blocks_at = sizeof *header + index_bytes(header->n_tokens);
    file->block_bytes = KVFILE_CELLS * cell_bytes(cache);
    if (header->n_tokens == 0 || header->n_tokens > MOST_TOKENS ||
        !checked_mul(header->n_tokens, cell_bytes(cache), &blocks) || !checked_add(blocks, file->blocks_at, &size) ||
        size != (uint64_t)about.st_size)
        return error_set(error, STATUS_FORMAT, "%s: its size is not what %u tokens make", shown, header->n_tokens);
    return STATUS_OK;
}

static enum status read_index(struct kvfile *file, const char *path, int32_t n_vocab, struct error *error)
{
    size_t n = file->header.n_tokens, size = index_bytes(n);
    file->index = malloc(size);
    if (!file->index)
        return error_set(error, STATUS_MEMORY, "out of memory");
    errno = 0;
    if (!read_all(file->fd, file->index, size, sizeof file->header))
        return fail_io(path, error);
    if (checksum_add(0, file->index, size) != file->header.index_sum)
        return error_set(error, STATUS_FORMAT, "%s: its tokens are damaged", path_end_shown(path));
    const int32_t *ids = kvfile_tokens(file, &n);
    for (size_t i = 0; i < n; i++)
        if (ids[i] < 0 || ids[i] >= n_vocab)
            return error_set(error, STATUS_FORMAT, "%s: token id %d: the vocabulary has 0 to %d", path_end_shown(path),
                             ids[i], n_vocab - 1);
    return STATUS_OK;
}

enum status kvfile_open(const char *path, const struct kvfile_fit *fit, const struct kvcache *cache,
                        struct kvfile **out, struct error *error)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return error_set(error, errno == ENOENT ? STATUS_NOT_FOUND : STATUS_IO, "%s: %s", path_end_shown(path),
                         strerror(errno));
    struct kvfile *file = calloc(1, sizeof *file);
    if (!file) {
        close(fd);
        return error_set(error, STATUS_MEMORY, "out of memory");
    }
    file->fd = fd;
    enum status status = read_header(file, path, fit, cache, error);
    if (!status)
        status = read_index(file, path, fit->n_vocab, error);
    if (status)
        kvfile_close(file);
    else
        *out = file;
    return status;
}

void kvfile_close(struct kvfile *file)
{
    if (!file)
        return;
    close(file->fd);
    free(file->index);
    free(file);
}

const int32_t *kvfile_tokens(const struct kvfile *file, size_t *n)
{
    *n = file->header.n_tokens;
    return (const int32_t *)(const void *)file->index;
}

/* ---- reading cells ---- */

struct read_job {
    const struct kvfile *file;
    const struct kvcache *cache;
    size_t n, n_blocks; /* cells wanted, and the blocks up to where they end */
    atomic_size_t next, first_bad;
    atomic_bool out_of_memory;
};

static bool read_block(const struct read_job *job, size_t i, unsigned char *block)
{
    const struct kvfile *file = job->file;
    size_t begin = i * KVFILE_CELLS, n_tokens = file->header.n_tokens;
    size_t n_block = n_tokens - begin < KVFILE_CELLS ? n_tokens - begin : KVFILE_CELLS;
    size_t size = n_block * cell_bytes(job->cache);
    uint64_t sum;
    memcpy(&sum, file->index + tokens_bytes(n_tokens) + i * sizeof sum, sizeof sum);
    if (!read_all(file->fd, block, size, file->blocks_at + (uint64_t)i * file->block_bytes) ||
        checksum_add(i, block, size) != sum)
        return false;
    copy_cells(job->cache, block, n_block, begin, job->n - begin < n_block ? job->n - begin : n_block, true);
    return true;
}

/* Blocks go by way of memory that stays in the core's cache, so that none is seen by anybody before its sum is right. */
static void read_blocks(void *context, int thread, int n_threads)
{
    struct read_job *job = context;
    (void)thread;
    (void)n_threads;
    unsigned char *block = malloc(job->file->block_bytes);
    if (!block) {
        atomic_store(&job->out_of_memory, true);
        return;
    }
    for (size_t i; (i = atomic_fetch_add(&job->next, 1)) < job->n_blocks;)
        if (!read_block(job, i, block)) {
            size_t bad = atomic_load(&job->first_bad);
            while (i < bad && !atomic_compare_exchange_weak(&job->first_bad, &bad, i))
                continue;
            break; /* of those that come after it none is of use; the other threads finish what they have begun */
        }
    free(block);
}

enum status kvfile_read(const struct kvfile *file, struct thread_pool *pool, struct kvcache *cache, size_t first,
                        size_t n, size_t *n_good, struct error *error)
{
    *n_good = first;
    if ((first % KVFILE_CELLS && first != n) || first > n || n > file->header.n_tokens || n > (size_t)cache->n_ctx)
        return error_set(error, STATUS_ARGUMENT, "cells %zu to %zu can't be read", first, n);
    if (first == n)
        return STATUS_OK;
    enum status status = kvcache_write(cache, (int32_t)first, (int32_t)(n - first), error);
    if (status)
        return status;
    struct read_job job = {.file = file, .cache = cache, .n = n, .n_blocks = n_blocks_of(n)};
    atomic_init(&job.next, first / KVFILE_CELLS);
    atomic_init(&job.first_bad, job.n_blocks);
    atomic_init(&job.out_of_memory, false);
    thread_pool_run(pool, read_blocks, &job);
    if (atomic_load(&job.out_of_memory))
        return error_set(error, STATUS_MEMORY, "out of memory");
    size_t bad = atomic_load(&job.first_bad);
    if (bad < job.n_blocks) {
        *n_good = bad * KVFILE_CELLS;
        return error_set(error, STATUS_FORMAT, "block %zu of a saved session is damaged", bad);
    }
    *n_good = n;
    return STATUS_OK;
}
