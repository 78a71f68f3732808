/* kvpages: the memory under a KV cache, which caches that were forked from each other share until one of them writes.
 *
 *   address space of a cache            files in memory ("sheets"), each laid out as the address space is
 *
 *   band 0  |aaaaaaaabbbb............|     a  |########----############|   # held by somebody   - given back
 *   band 1  |aaaaaaaabbbb............|     b  |        ####............|   . not written yet
 *   ...                                    chunk   0      8   12
 *
 * A band is what one layer has: its keys, then its values.  All bands are cut into the same chunks, and a chunk of all bands
 * lies on one sheet, at its own place: so a cache is rows in a row for whoever reads it, and a fork is a few mappings a
 * layer for each stretch of chunks that lie on one sheet.
 *
 * What always holds:
 *
 * 1. A chunk of a sheet counts the caches that map it.  It is written only by a cache that is its only one.
 * 2. Chunks without a cache hold no memory; a sheet that no cache maps or calls its own is closed.
 * 3. A cache's own sheet is no other's own: what it will write next lies there.
 *
 * A cache and all its forks belong to one thread. */
#ifndef FATHOM_ENGINE_KVPAGES_H
#define FATHOM_ENGINE_KVPAGES_H

#include "engine/base.h"

struct kvpages;

/* Bytes of a chunk of one band: some pages.  What must begin or end with a chunk is a multiple of it. */
size_t kvpages_chunk(void);

/* n_bands of n_bytes each, a multiple of the chunk.  Nothing of it takes memory yet. */
enum status kvpages_new(size_t n_bands, size_t n_bytes, struct kvpages **out, struct error *error);
void kvpages_free(struct kvpages *pages); /* takes NULL */

/* Band after band.  Changes when pages are written that were shared. */
unsigned char *kvpages_memory(const struct kvpages *pages);

/* Bytes [begin, end) of every band; end is a multiple of the chunk. */
struct kvpages_span {
    size_t begin, end;
};

/* Another one with the same bytes, without copying; what the voids hold nobody needs. */
enum status kvpages_fork(const struct kvpages *pages, const struct kvpages_span *voids, size_t n_voids,
                         struct kvpages **out, struct error *error);

/* To be called before the first n_writing bytes of each of the voids (at most two, in order) are written: makes them this
 * one's alone.  What the voids hold is lost where it was shared.  After a failure all other bytes are as they were. */
enum status kvpages_own(struct kvpages *pages, const struct kvpages_span *voids, size_t n_voids,
                        const size_t *n_writing, struct error *error);

/* Bytes of memory that were written and are held, in whole chunks, and how many of them forks hold, too. */
size_t kvpages_held(const struct kvpages *pages, size_t *n_shared);

#endif
