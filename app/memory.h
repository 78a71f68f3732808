/* memory: what this machine has of it, and sizes as people read them. */
#ifndef FATHOM_APP_MEMORY_H
#define FATHOM_APP_MEMORY_H

#include "engine/base.h"

/* Bytes that could be taken now without swapping: the kernel's own estimate, or less where a control group sets a limit.
 * 0 where nobody knows. */
uint64_t memory_available(void);

/* The most memory this process has had at a time, in bytes. */
uint64_t memory_peak(void);

/* "98.4 MB": decimal units, three digits. */
void memory_format(uint64_t bytes, char *out, size_t size);

#endif
