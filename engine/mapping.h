/* mapping: a file mapped read-only that stays readable even when somebody truncates it.
 *
 * Reading a mapped page beyond the end of a file raises SIGBUS.  While at least one mapping is open, a process-wide handler
 * puts zero pages in place of what vanished and marks the mapping broken; signals that concern no mapping of ours go on to
 * the handler that was there before.  Whoever reads weights asks mapping_is_broken afterwards: the result is then void. */
#ifndef FATHOM_ENGINE_MAPPING_H
#define FATHOM_ENGINE_MAPPING_H

#include "engine/base.h"

struct mapping;

/* Mappings open at a time (STATUS_MEMORY beyond); the largest split models have some 50 parts. */
enum { MAPPING_LIMIT = 256 };

/* STATUS_IO, STATUS_NOT_FOUND with the path and reason.  Never waits: a FIFO is refused.  An empty file is fine. */
enum status mapping_open(const char *path, struct mapping **out, struct error *error);
void mapping_close(struct mapping *mapping); /* takes NULL */

const unsigned char *mapping_data(const struct mapping *mapping); /* page aligned; NULL for an empty file */
size_t mapping_size(const struct mapping *mapping);
bool mapping_is_broken(const struct mapping *mapping); /* the file shrank under us: what was read since may be zeros.
                                                           A system call: ask once a step, not once a row */

/* The pages that lie wholly in these bytes of a mapping are no longer this process's memory; the system may keep them in its
 * cache, and they can be read again.  For whoever reads a large file once. */
void mapping_forget(const unsigned char *begin, size_t size);

/* The end of a path that is too long for a message: at most 120 bytes of it. */
const char *path_end_shown(const char *path);

#endif
