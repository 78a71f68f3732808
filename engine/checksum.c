/* checksum: see checksum.h.  Four sums side by side, each a chain of steps that can be undone: so no step forgets anything
 * of what came before, and of two inputs that differ in one word the sums always differ. */
#include "engine/checksum.h"

#include <string.h>

enum { LANES = 4, WORD = 8 };

static const uint64_t odd = 0x9e3779b97f4a7c15u; /* 2^64 divided by the golden ratio */

static uint64_t step(uint64_t lane, uint64_t word)
{
    uint64_t mixed = (lane ^ word) * odd;
    return mixed ^ mixed >> 32;
}

uint64_t checksum_add(uint64_t sum, const void *bytes, size_t size)
{
    const unsigned char *from = bytes;
    uint64_t lanes[LANES], words[LANES];
    for (uint64_t i = 0; i < LANES; i++)
        lanes[i] = sum + i * odd;
    size_t left = size;
    for (; left >= sizeof words; left -= sizeof words, from += sizeof words) {
        memcpy(words, from, sizeof words);
        for (size_t i = 0; i < LANES; i++)
            lanes[i] = step(lanes[i], words[i]);
    }
    memset(words, 0, sizeof words);
    if (left)
        memcpy(words, from, left);
    for (size_t i = 0; i < LANES; i++)
        lanes[i] = step(lanes[i], words[i]);
    uint64_t out = size;
    for (size_t i = 0; i < LANES; i++)
        out = step(out, lanes[i]);
    out ^= out >> 32;
    return out * odd;
}
