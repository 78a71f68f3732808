/* syntax_memory: memory for tree-sitter that survives a mistake of tree-sitter's.
 *
 * libtree-sitter 0.20.7 counts a node's children in 16 bits.  An error that takes up more than 65,535 tokens, or
 * as many comments in a row, wraps the count around; and when the node is freed, it frees an address in the middle of
 * the node's memory.  So each piece of memory has a word before it that tells it from such an address: its own
 * address, with marks that no child of a node (a pointer to 8 bytes, or an odd word) can have.  From an address in the
 * middle the way back leads over children alone, up to that word.  Children that were not counted stay allocated;
 * nothing else is lost. */
#include "repo/syntax_private.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { HEAD = 16 /* keeps the alignment that malloc gives */ };

static uint64_t mark_of(const char *memory)
{
    return (uint64_t)(uintptr_t)memory ^ UINT64_C(0xf47a000000000002);
}

static void *mark(char *block)
{
    if (!block)
        return NULL;
    uint64_t word = mark_of(block + HEAD);
    memcpy(block + HEAD - sizeof word, &word, sizeof word);
    return block + HEAD;
}

/* What malloc gave. */
static char *block_of(char *memory)
{
    for (;; memory -= sizeof(uint64_t)) {
        uint64_t word;
        memcpy(&word, memory - sizeof word, sizeof word);
        if (word == mark_of(memory))
            return memory - HEAD;
    }
}

static void *take(size_t size)
{
    return size <= SIZE_MAX - HEAD ? mark(malloc(size + HEAD)) : NULL;
}

static void *take_zeroed(size_t n, size_t size)
{
    uint64_t bytes;
    if (!checked_mul(n, size, &bytes) || bytes > SIZE_MAX - HEAD)
        return NULL;
    return mark(calloc(1, (size_t)bytes + HEAD));
}

static void give(void *memory)
{
    if (memory)
        free(block_of(memory));
}

static void *resize(void *memory, size_t size)
{
    if (!memory)
        return take(size);
    return size <= SIZE_MAX - HEAD ? mark(realloc(block_of(memory), size + HEAD)) : NULL;
}

static void set_allocator(void)
{
    ts_set_allocator(take, take_zeroed, resize, give);
}

void syntax_memory_guard(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, set_allocator);
}
