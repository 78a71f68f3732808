/* checksum: whether bytes are the ones that were written.  Finds every change within eight bytes and any accident beyond with
 * all but certainty; it keeps nobody from forging.  As fast as memory is read. */
#ifndef FATHOM_ENGINE_CHECKSUM_H
#define FATHOM_ENGINE_CHECKSUM_H

#include "engine/base.h"

/* Goes on from the sum of what came before (any number to begin with).  Where bytes are cut into parts matters. */
uint64_t checksum_add(uint64_t sum, const void *bytes, size_t size);

#endif
