/* mapping: see mapping.h.
 *
 * A signal handler takes no context, so what it must know lies in one static table: the exception to the rule that
 * nothing mutable is global.  The signal's disposition is one for the whole process as well.
 *
 * What always holds:
 *   1. Slots are changed under the lock alone.  The handler takes no lock: it reads a slot by its sequence number, which
 *      is odd while the slot changes, and skips a slot that changes.  The slot of the page that faulted can't be one of
 *      those: whoever reads a mapping has opened it and not yet closed it.
 *   2. [begin, end) of a slot that is in use is mapped by us, whole pages.  It is published after mmap, taken back before
 *      munmap, so the handler never puts pages where somebody else may have mapped something.
 *   3. Our handler stays installed while a slot is in use, and afterwards where somebody installed theirs over it
 *      (theirs may call ours); else the last close puts back what was there.
 *
 * The handler makes system calls only (mmap, sigaction, raise), and keeps errno. */
#include "engine/mapping.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

struct mapping_slot {
    atomic_uint sequence;
    atomic_uintptr_t begin, end; /* both 0: free */
    atomic_bool broken;
};

struct mapping {
    struct mapping_slot *slot; /* NULL for an empty file */
    unsigned char *data;
    size_t size, mapped; /* mapped: whole pages */
    int descriptor;      /* kept open to ask for the file's size */
};

static struct {
    pthread_mutex_t lock;
    struct mapping_slot slots[MAPPING_LIMIT];
    size_t n_used;
    atomic_uintptr_t page; /* bytes of one */
    bool installed;
    struct sigaction previous;
} table = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* ---- the signal ---- */

static bool map_zeros(void *begin, size_t size)
{
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE;
#ifdef __LP64__
    /* The bare system call: what a library or a sanitizer puts around mmap isn't made to run in a signal handler. */
    return syscall(SYS_mmap, begin, size, PROT_READ, flags, -1, 0L) != -1;
#else
    return mmap(begin, size, PROT_READ, flags, -1, 0) != MAP_FAILED;
#endif
}

/* Puts zero pages from the faulting page to the end of the mapping that it lies in.  False: it lies in none. */
static bool replace_vanished(uintptr_t address)
{
    for (size_t i = 0; i < MAPPING_LIMIT; i++) {
        struct mapping_slot *slot = &table.slots[i];
        unsigned sequence = atomic_load(&slot->sequence);
        uintptr_t begin = atomic_load(&slot->begin), end = atomic_load(&slot->end);
        if (sequence % 2 || sequence != atomic_load(&slot->sequence) || address < begin || address >= end)
            continue;
        uintptr_t page = address & ~(atomic_load(&table.page) - 1);
        atomic_store(&slot->broken, true);
        return map_zeros((void *)page, end - page);
    }
    return false;
}

/* Does what would have happened without us. */
static void pass_on(int number, siginfo_t *info, void *context)
{
    const struct sigaction *previous = &table.previous;
    if (previous->sa_flags & SA_SIGINFO) {
        previous->sa_sigaction(number, info, context);
        return;
    }
    if (previous->sa_handler != SIG_DFL && previous->sa_handler != SIG_IGN) {
        previous->sa_handler(number);
        return;
    }
    bool is_fault = info->si_code == BUS_ADRALN || info->si_code == BUS_ADRERR || info->si_code == BUS_OBJERR;
    if (previous->sa_handler == SIG_IGN && !is_fault)
        return;
    /* A fault comes again as soon as we return, and nobody can ignore it; a signal that was sent must be sent again.
     * It stays pending until we return. */
    struct sigaction deadly = {.sa_handler = SIG_DFL};
    sigemptyset(&deadly.sa_mask);
    sigaction(number, &deadly, NULL);
    if (!is_fault)
        raise(number);
}

static void bus_handler(int number, siginfo_t *info, void *context)
{
    int saved = errno;
    /* Only the kernel's own signals (si_code > 0) carry an address. */
    if (info->si_code <= 0 || !replace_vanished((uintptr_t)info->si_addr))
        pass_on(number, info, context);
    errno = saved;
}

static bool handler_is_ours(void)
{
    struct sigaction now;
    return sigaction(SIGBUS, NULL, &now) == 0 && (now.sa_flags & SA_SIGINFO) && now.sa_sigaction == bus_handler;
}

static bool handler_install(void)
{
    if (table.installed)
        return true;
    struct sigaction ours = {.sa_sigaction = bus_handler, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    sigemptyset(&ours.sa_mask);
    /* previous must be in place before the handler that reads it. */
    if (sigaction(SIGBUS, NULL, &table.previous) || sigaction(SIGBUS, &ours, NULL))
        return false;
    table.installed = true;
    return true;
}

static void handler_uninstall(void)
{
    if (table.installed && handler_is_ours() && sigaction(SIGBUS, &table.previous, NULL) == 0)
        table.installed = false;
}

/* ---- slots ---- */

static void slot_set(struct mapping_slot *slot, uintptr_t begin, uintptr_t end)
{
    atomic_fetch_add(&slot->sequence, 1);
    atomic_store(&slot->begin, begin);
    atomic_store(&slot->end, end);
    if (begin)
        atomic_store(&slot->broken, false);
    atomic_fetch_add(&slot->sequence, 1);
}

/* NULL where all are in use or the handler can't be installed. */
static struct mapping_slot *slot_take(const unsigned char *data, size_t mapped)
{
    struct mapping_slot *slot = NULL;
    pthread_mutex_lock(&table.lock);
    atomic_store(&table.page, (uintptr_t)sysconf(_SC_PAGESIZE));
    for (size_t i = 0; i < MAPPING_LIMIT && !slot; i++)
        if (atomic_load(&table.slots[i].end) == 0)
            slot = &table.slots[i];
    if (slot && handler_install()) {
        slot_set(slot, (uintptr_t)data, (uintptr_t)data + mapped);
        table.n_used++;
    } else {
        slot = NULL;
    }
    pthread_mutex_unlock(&table.lock);
    return slot;
}

static void slot_give_back(struct mapping_slot *slot)
{
    pthread_mutex_lock(&table.lock);
    slot_set(slot, 0, 0);
    if (--table.n_used == 0)
        handler_uninstall();
    pthread_mutex_unlock(&table.lock);
}

/* ---- the contract ---- */

const char *path_end_shown(const char *path)
{
    enum { SHOWN = 120 };
    size_t size = strlen(path);
    if (size <= SHOWN)
        return path;
    const char *end = path + size - SHOWN;
    while (((unsigned char)*end & 0xc0) == 0x80) /* not from the middle of a code point */
        end++;
    return end;
}

static enum status open_regular(const char *path, int *descriptor, struct stat *about, struct error *error)
{
    const char *shown = path_end_shown(path);
    /* Without O_NONBLOCK opening a FIFO waits for its writer. */
    *descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (*descriptor < 0 && (errno == ENOENT || errno == ENOTDIR))
        return error_set(error, STATUS_NOT_FOUND, "%s: no such file", shown);
    if (*descriptor < 0)
        return error_set(error, STATUS_IO, "%s: can't open: %s", shown, strerror(errno));
    if (fstat(*descriptor, about))
        return error_set(error, STATUS_IO, "%s: can't read its size: %s", shown, strerror(errno));
    if (S_ISDIR(about->st_mode))
        return error_set(error, STATUS_IO, "%s: is a directory", shown);
    if (!S_ISREG(about->st_mode))
        return error_set(error, STATUS_IO, "%s: not a regular file", shown);
    return STATUS_OK;
}

static enum status map_whole(struct mapping *mapping, const char *path, const struct stat *about, struct error *error)
{
    uint64_t rounded, page = (uint64_t)sysconf(_SC_PAGESIZE);
    if (about->st_size == 0)
        return STATUS_OK;
    if (about->st_size < 0 || !checked_add((uint64_t)about->st_size, page - 1, &rounded) || rounded > SIZE_MAX / 2)
        return error_set(error, STATUS_MEMORY, "%s: too large to map", path_end_shown(path));
    mapping->size = (size_t)about->st_size;
    mapping->mapped = (size_t)(rounded - rounded % page);
    void *data = mmap(NULL, mapping->size, PROT_READ, MAP_SHARED, mapping->descriptor, 0);
    if (data == MAP_FAILED)
        return error_set(error, errno == ENOMEM ? STATUS_MEMORY : STATUS_IO, "%s: can't map: %s", path_end_shown(path),
                         strerror(errno));
    mapping->data = data;
    mapping->slot = slot_take(mapping->data, mapping->mapped);
    if (!mapping->slot)
        return error_set(error, STATUS_MEMORY, "%s: more than %d files mapped at a time", path_end_shown(path),
                         MAPPING_LIMIT);
    return STATUS_OK;
}

enum status mapping_open(const char *path, struct mapping **out, struct error *error)
{
    *out = NULL;
    struct mapping *mapping = calloc(1, sizeof *mapping);
    if (!mapping)
        return error_set(error, STATUS_MEMORY, "out of memory");
    mapping->descriptor = -1;
    struct stat about;
    enum status status = open_regular(path, &mapping->descriptor, &about, error);
    if (status == STATUS_OK)
        status = map_whole(mapping, path, &about, error);
    if (status != STATUS_OK)
        mapping_close(mapping);
    else
        *out = mapping;
    return status;
}

void mapping_close(struct mapping *mapping)
{
    if (!mapping)
        return;
    if (mapping->slot)
        slot_give_back(mapping->slot);
    if (mapping->data)
        munmap(mapping->data, mapping->mapped);
    if (mapping->descriptor >= 0)
        close(mapping->descriptor);
    free(mapping);
}

const unsigned char *mapping_data(const struct mapping *mapping)
{
    return mapping->data;
}

size_t mapping_size(const struct mapping *mapping)
{
    return mapping->size;
}

bool mapping_is_broken(const struct mapping *mapping)
{
    if (!mapping->slot)
        return false;
    if (atomic_load(&mapping->slot->broken))
        return true;
    /* A file cut off within its last page gives zeros and no signal. */
    struct stat about;
    return fstat(mapping->descriptor, &about) == 0 && (uint64_t)about.st_size < mapping->size;
}

void mapping_forget(const unsigned char *begin, size_t size)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t skipped = (page - (uintptr_t)begin % page) % page, left = (uintptr_t)(begin + size) % page;
    if (skipped + left < size)
        madvise((void *)(begin + skipped), size - skipped - left, MADV_DONTNEED);
}
