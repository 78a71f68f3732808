/* kvpages: see kvpages.h. */
#include "engine/kvpages.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Small chunks copy less when a fork is written to, large ones need fewer counts. */
enum { CHUNK_BYTES = 16 * 1024 };

struct sheet {
    int fd;
    size_t n_uses;     /* chunks that caches map, each time counted, and the cache whose own it is */
    uint32_t *n_users; /* (n_chunks) caches that map the chunk */
    bool *is_written;  /* (n_chunks) */
};

struct kvpages {
    size_t n_bands, band_bytes, n_chunks; /* chunks of a band */
    unsigned char *memory;
    struct sheet **sheets; /* (n_chunks) where each chunk lies */
    struct sheet *own;
};

size_t kvpages_chunk(void)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    return page > CHUNK_BYTES ? page : CHUNK_BYTES;
}

unsigned char *kvpages_memory(const struct kvpages *pages)
{
    return pages->memory;
}

static size_t all_bytes(const struct kvpages *pages)
{
    return pages->n_bands * pages->band_bytes;
}

/* ---- sheets ---- */

static void sheet_free(struct sheet *sheet)
{
    if (!sheet)
        return;
    if (sheet->fd >= 0)
        close(sheet->fd);
    free(sheet->n_users);
    free(sheet->is_written);
    free(sheet);
}

/* Its one use is that it is somebody's own. */
static enum status sheet_new(const struct kvpages *pages, struct sheet **out, struct error *error)
{
    struct sheet *sheet = calloc(1, sizeof *sheet);
    if (!sheet)
        return error_set(error, STATUS_MEMORY, "out of memory");
    sheet->n_uses = 1;
    sheet->n_users = calloc(pages->n_chunks, sizeof *sheet->n_users);
    sheet->is_written = calloc(pages->n_chunks, sizeof *sheet->is_written);
    sheet->fd = memfd_create("fathom-kv", MFD_CLOEXEC);
    bool is_sized = sheet->fd >= 0 && ftruncate(sheet->fd, (off_t)all_bytes(pages)) == 0;
    int failed = is_sized ? ENOMEM : errno;
    if (!is_sized || !sheet->n_users || !sheet->is_written) {
        sheet_free(sheet);
        return error_set(error, STATUS_MEMORY, "no memory for the KV cache: %s", strerror(failed));
    }
    *out = sheet;
    return STATUS_OK;
}

static void sheet_leave(struct sheet *sheet, size_t n_uses)
{
    sheet->n_uses -= n_uses;
    if (sheet->n_uses == 0)
        sheet_free(sheet);
}

/* Gives memory back.  Where the system can't, the memory is held until the sheet is closed: nothing else depends on it. */
static void sheet_punch(const struct kvpages *pages, struct sheet *sheet, size_t begin, size_t end)
{
    size_t chunk = kvpages_chunk();
    for (size_t band = 0; band < pages->n_bands; band++)
        (void)fallocate(sheet->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                        (off_t)(band * pages->band_bytes + begin * chunk), (off_t)((end - begin) * chunk));
}

/* Chunks [begin, end) are no longer mapped by this cache. */
static void leave_chunks(struct kvpages *pages, size_t begin, size_t end)
{
    while (begin < end) {
        struct sheet *sheet = pages->sheets[begin];
        bool was_last = sheet->n_users[begin] == 1 && sheet->is_written[begin];
        size_t n = 0;
        for (; begin + n < end && pages->sheets[begin + n] == sheet &&
               (sheet->n_users[begin + n] == 1 && sheet->is_written[begin + n]) == was_last;
             n++) {
            sheet->n_users[begin + n]--;
            sheet->is_written[begin + n] &= !was_last;
            pages->sheets[begin + n] = NULL;
        }
        if (was_last && sheet->n_uses > n)
            sheet_punch(pages, sheet, begin, begin + n);
        sheet_leave(sheet, n);
        begin += n;
    }
}

static void take_chunk(struct kvpages *pages, size_t i, struct sheet *sheet)
{
    pages->sheets[i] = sheet;
    sheet->n_users[i]++;
    sheet->n_uses++;
}

/* Maps chunks [begin, end) of every band. */
static bool map_chunks(const struct kvpages *pages, const struct sheet *sheet, size_t begin, size_t end)
{
    size_t chunk = kvpages_chunk(), size = (end - begin) * chunk;
    for (size_t band = 0; size && band < pages->n_bands; band++) {
        size_t at = band * pages->band_bytes + begin * chunk;
        if (mmap(pages->memory + at, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, sheet->fd, (off_t)at) ==
            MAP_FAILED)
            return false;
    }
    return true;
}

/* ---- coming and going ---- */

static void unmap(unsigned char *memory, size_t size)
{
    if (memory)
        munmap(memory, size);
}

enum status kvpages_new(size_t n_bands, size_t n_bytes, struct kvpages **out, struct error *error)
{
    struct kvpages *pages = calloc(1, sizeof *pages);
    size_t n_chunks = n_bytes / kvpages_chunk();
    struct sheet **sheets = calloc(n_chunks ? n_chunks : 1, sizeof *sheets);
    if (!pages || !sheets) {
        free(pages);
        free(sheets);
        return error_set(error, STATUS_MEMORY, "out of memory");
    }
    *pages = (struct kvpages){.n_bands = n_bands, .band_bytes = n_bytes, .n_chunks = n_chunks, .sheets = sheets};
    enum status status = sheet_new(pages, &pages->own, error);
    void *memory = MAP_FAILED;
    if (!status) {
        memory = mmap(NULL, all_bytes(pages), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, pages->own->fd, 0);
        if (memory == MAP_FAILED)
            status = error_set(error, STATUS_MEMORY, "no memory for the KV cache: %s", strerror(errno));
    }
    if (status) {
        kvpages_free(pages);
        return status;
    }
    pages->memory = memory;
    for (size_t i = 0; i < n_chunks; i++)
        take_chunk(pages, i, pages->own);
    *out = pages;
    return STATUS_OK;
}

void kvpages_free(struct kvpages *pages)
{
    if (!pages)
        return;
    unmap(pages->memory, all_bytes(pages));
    struct sheet *own = pages->own;
    if (pages->memory)
        leave_chunks(pages, 0, pages->n_chunks);
    if (own)
        sheet_leave(own, 1);
    free(pages->sheets);
    free(pages);
}

/* ---- sharing ---- */

/* Bytes of chunk i that are needed: those before a void that begins in it. */
static size_t needed_of(size_t i, const struct kvpages_span *voids, size_t n_voids)
{
    size_t chunk = kvpages_chunk(), at = i * chunk;
    for (size_t v = 0; v < n_voids; v++)
        if (at + chunk > voids[v].begin && at < voids[v].end)
            return at < voids[v].begin ? voids[v].begin - at : 0;
    return chunk;
}

/* The chunks from begin on that lie on one sheet. */
static size_t stretch(const struct kvpages *pages, size_t begin)
{
    size_t end = begin + 1;
    while (end < pages->n_chunks && pages->sheets[end] == pages->sheets[begin])
        end++;
    return end;
}

/* Puts what is needed of chunk i where the sheet has it.  The file grows by writing alone, so that a lack of memory is an
 * error and not a signal. */
static bool copy_chunk(const struct kvpages *pages, const struct sheet *sheet, size_t i, size_t n_needed)
{
    for (size_t band = 0; band < pages->n_bands; band++) {
        size_t at = band * pages->band_bytes + i * kvpages_chunk();
        for (size_t done = 0; done < n_needed;) {
            ssize_t n = pwrite(sheet->fd, pages->memory + at + done, n_needed - done, (off_t)(at + done));
            if (n < 0 && errno == EINTR)
                continue;
            if (n <= 0)
                return false;
            done += (size_t)n;
        }
    }
    return true;
}

/* A copy that shares nothing: where the system gives no more mappings. */
static enum status copy_all(const struct kvpages *pages, const struct kvpages_span *voids, size_t n_voids,
                            struct kvpages **out, struct error *error)
{
    struct kvpages *copy;
    enum status status = kvpages_new(pages->n_bands, pages->band_bytes, &copy, error);
    for (size_t i = 0; !status && i < pages->n_chunks; i++) {
        size_t n = pages->sheets[i]->is_written[i] ? needed_of(i, voids, n_voids) : 0;
        if (n && !copy_chunk(pages, copy->own, i, n)) {
            kvpages_free(copy);
            return error_set(error, STATUS_MEMORY, "no memory to copy the KV cache: %s", strerror(errno));
        }
        copy->own->is_written[i] = n > 0;
    }
    if (!status)
        *out = copy;
    return status;
}

/* In a new one all lies on its own sheet; chunks that are needed move to where pages has them. */
static bool share_chunks(const struct kvpages *pages, const struct kvpages_span *voids, size_t n_voids,
                         struct kvpages *fork)
{
    for (size_t i = 0, end; i < pages->n_chunks; i = end) {
        end = stretch(pages, i);
        size_t begin = i;
        while (begin < end) {
            size_t n = 0;
            while (begin + n < end && pages->sheets[i]->is_written[begin + n] && needed_of(begin + n, voids, n_voids))
                n++;
            if (!map_chunks(fork, pages->sheets[i], begin, begin + n))
                return false;
            leave_chunks(fork, begin, begin + n);
            for (size_t k = 0; k < n; k++)
                take_chunk(fork, begin + k, pages->sheets[i]);
            begin += n ? n : 1;
        }
    }
    return true;
}

enum status kvpages_fork(const struct kvpages *pages, const struct kvpages_span *voids, size_t n_voids,
                         struct kvpages **out, struct error *error)
{
    struct kvpages *fork;
    enum status status = kvpages_new(pages->n_bands, pages->band_bytes, &fork, error);
    if (status)
        return status;
    if (share_chunks(pages, voids, n_voids, fork)) {
        *out = fork;
        return STATUS_OK;
    }
    kvpages_free(fork);
    return copy_all(pages, voids, n_voids, out, error);
}

/* ---- writing ---- */

static bool is_alone(const struct kvpages *pages, size_t i)
{
    return pages->sheets[i]->n_users[i] == 1;
}

/* The first chunk of a void that must move, or its end.  All behind it moves along, so that stretches stay few. */
static size_t first_shared(const struct kvpages *pages, const struct kvpages_span *span, size_t n_writing)
{
    size_t chunk = kvpages_chunk(), end = (span->begin + n_writing + chunk - 1) / chunk;
    for (size_t i = span->begin / chunk; n_writing && i < end; i++)
        if (!is_alone(pages, i))
            return i;
    return span->end / chunk;
}

/* Whether nobody else holds chunks of the own sheet from begin on. */
static bool is_free(const struct kvpages *pages, size_t begin, size_t end)
{
    for (size_t i = begin; i < end; i++)
        if (pages->own->n_users[i] > (pages->sheets[i] == pages->own))
            return false;
    return true;
}

/* Chunks from begin on move to the own sheet, with what is needed of the first. */
static bool move_chunks(struct kvpages *pages, size_t begin, size_t end, size_t n_needed)
{
    struct sheet *own = pages->own, *from = pages->sheets[begin];
    bool has_old = n_needed && from->is_written[begin];
    if (has_old && from != own && !copy_chunk(pages, own, begin, n_needed))
        return false;
    if (!map_chunks(pages, own, begin, end))
        return false;
    for (size_t i = begin; i < end; i++)
        if (pages->sheets[i] != own) {
            size_t n = 1;
            while (i + n < end && pages->sheets[i + n] != own)
                n++;
            leave_chunks(pages, i, i + n);
            for (size_t k = 0; k < n; k++)
                take_chunk(pages, i + k, own);
            i += n - 1;
        }
    own->is_written[begin] |= has_old;
    return true;
}

static bool move_all(struct kvpages *pages, const struct kvpages_span *voids, size_t n_voids, const size_t *firsts)
{
    for (size_t v = 0; v < n_voids; v++)
        if (firsts[v] < voids[v].end / kvpages_chunk() &&
            !move_chunks(pages, firsts[v], voids[v].end / kvpages_chunk(), needed_of(firsts[v], voids, n_voids)))
            return false;
    return true;
}

/* In place of what pages is, what a copy is. */
static enum status become_copy(struct kvpages *pages, const struct kvpages_span *voids, size_t n_voids,
                               struct error *error)
{
    struct kvpages *copy;
    enum status status = copy_all(pages, voids, n_voids, &copy, error);
    if (status)
        return status;
    struct kvpages before = *pages;
    *pages = *copy;
    *copy = before;
    kvpages_free(copy);
    return STATUS_OK;
}

enum { MOST_VOIDS = 2 };

static enum status unshare(struct kvpages *pages, const struct kvpages_span *voids, size_t n_voids,
                           const size_t *n_writing, struct error *error)
{
    size_t firsts[MOST_VOIDS], chunk = kvpages_chunk();
    bool is_shared = false, fits = true;
    for (size_t v = 0; v < n_voids; v++) {
        firsts[v] = first_shared(pages, &voids[v], n_writing[v]);
        is_shared |= firsts[v] < voids[v].end / chunk;
        fits = fits && is_free(pages, firsts[v], voids[v].end / chunk);
    }
    if (!is_shared)
        return STATUS_OK;
    if (!fits) {
        struct sheet *sheet;
        enum status status = sheet_new(pages, &sheet, error);
        if (status)
            return status;
        sheet_leave(pages->own, 1);
        pages->own = sheet;
    }
    return move_all(pages, voids, n_voids, firsts) ? STATUS_OK : become_copy(pages, voids, n_voids, error);
}

enum status kvpages_own(struct kvpages *pages, const struct kvpages_span *voids, size_t n_voids,
                        const size_t *n_writing, struct error *error)
{
    size_t chunk = kvpages_chunk();
    enum status status = n_voids <= MOST_VOIDS ? unshare(pages, voids, n_voids, n_writing, error)
                                               : error_set(error, STATUS_ARGUMENT, "%zu spans at once", n_voids);
    for (size_t v = 0; !status && v < n_voids; v++)
        for (size_t i = voids[v].begin / chunk; n_writing[v] && i * chunk < voids[v].begin + n_writing[v]; i++)
            pages->sheets[i]->is_written[i] = true;
    return status;
}

/* ---- what it takes ---- */

size_t kvpages_held(const struct kvpages *pages, size_t *n_shared)
{
    size_t n = 0, shared = 0, each = kvpages_chunk() * pages->n_bands;
    for (size_t i = 0; i < pages->n_chunks; i++) {
        n += pages->sheets[i]->is_written[i] ? each : 0;
        shared += pages->sheets[i]->is_written[i] && !is_alone(pages, i) ? each : 0;
    }
    if (n_shared)
        *n_shared = shared;
    return n;
}
