/* kvfile: cells of a KV cache and their tokens as a file.
 *
 *   header         what it is, of which model, how many tokens                     a sum of itself
 *   tokens         i32 each, up to a multiple of 8 bytes                           \ a sum of both,
 *   block sums     u64 each                                                        / in the header
 *   blocks         32 cells each, the last one fewer: layer after layer their keys, then their values
 *
 * Numbers lie as this machine has them: a file of another byte order is another machine's and doesn't fit.  Each block has a
 * sum of its own, so a beginning can be read without the rest.  A file is written under another name and renamed when it is
 * whole: what has the right name was whole once, and what was damaged since is found by its sum.
 *
 * What is read is not trusted: a count or size that doesn't fit the file, a token beyond the vocabulary, a wrong sum give
 * STATUS_FORMAT. */
#ifndef FATHOM_ENGINE_KVFILE_H
#define FATHOM_ENGINE_KVFILE_H

#include "engine/base.h"
#include "engine/kvcache.h"
#include "engine/threads.h"

enum { KVFILE_CELLS = 32 }; /* of a block */

/* What a file must agree with to be read. */
struct kvfile_fit {
    uint64_t model[2]; /* all that cells depend on beside the tokens */
    int32_t n_vocab;
};

/* Writes the first n cells and their tokens.  A file of that name is replaced when the new one is whole, or stays. */
enum status kvfile_write(const char *path, const struct kvfile_fit *fit, const struct kvcache *cache,
                         const int32_t *ids, size_t n, struct error *error);

struct kvfile;

/* Reads and checks all but the blocks.  cache says which shape they must have.  STATUS_NOT_FOUND, STATUS_IO; STATUS_UNSUPPORTED
 * where it is a file of another model, shape or version. */
enum status kvfile_open(const char *path, const struct kvfile_fit *fit, const struct kvcache *cache,
                        struct kvfile **out, struct error *error);
void kvfile_close(struct kvfile *file); /* takes NULL */

const int32_t *kvfile_tokens(const struct kvfile *file, size_t *n); /* borrowed */

/* Puts cells [first, n) into the cache, n at most its size; first is a multiple of KVFILE_CELLS.  *n_good: cells before it are
 * right, also after a failure. */
enum status kvfile_read(const struct kvfile *file, struct thread_pool *pool, struct kvcache *cache, size_t first,
                        size_t n, size_t *n_good, struct error *error);

#endif
