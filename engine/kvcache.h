/* kvcache: the memory of keys and values, one row a cell and layer.
 *
 *   keys of layer l:   n_ctx rows of k_elements numbers (all KV heads of one token, one after another), likewise values;
 *                      with v_elements 0 the values are the first numbers of the keys (latent attention)
 *
 * Rows are F16, F32, Q8_0 or Q4_0 (blocks of 32 with a half-precision scale).  The memory is reserved at once and used page by
 * page as cells are written, so a long context that nobody fills costs nothing.  A fork shares what is written until one of
 * the two writes there (kvpages.h): kvcache_write comes before any cell is written. */
#ifndef FATHOM_ENGINE_KVCACHE_H
#define FATHOM_ENGINE_KVCACHE_H

#include "engine/base.h"
#include "engine/engine.h"
#include "engine/kvpages.h"
#include "engine/quant.h"

struct kvcache {
    enum quant_type type;
    int32_t n_ctx, n_layer;
    int32_t k_elements, v_elements; /* of one cell in one layer */
    size_t k_row_bytes, v_row_bytes;
    size_t k_bytes, v_bytes; /* of all cells in one layer, with room up to where the next begin */
    unsigned char *memory;   /* layer after layer: keys, then values */
    struct kvpages *pages;   /* where memory is mapped; NULL: it is the caller's */
};

enum quant_type kv_quant_type(enum kv_type kv);
/* Bytes of a row of n numbers; 0 where n is no multiple of the type's block. */
size_t kv_row_bytes(enum quant_type type, int32_t n);

/* Bytes of one cell in all layers; 0 where the widths don't fit the type. */
uint64_t kv_bytes_per_token(enum kv_type kv, int32_t n_layer, int32_t k_elements, int32_t v_elements);

/* STATUS_MEMORY with the figures; STATUS_UNSUPPORTED where the head width doesn't fit the type's blocks. */
/* n_head heads share k_elements and v_elements evenly; of each head v_width numbers are read as its value. */
enum status kvcache_init(struct kvcache *cache, enum kv_type kv, int32_t n_ctx, int32_t n_layer, int32_t n_head,
                         int32_t k_elements, int32_t v_elements, int32_t v_width, struct error *error);
void kvcache_deinit(struct kvcache *cache);

/* Another cache with the same n_cells first cells, which takes no memory for them. */
enum status kvcache_fork(const struct kvcache *cache, int32_t n_cells, struct kvcache *out, struct error *error);

/* Must come before cells [first, first + n) are written.  Cells from first on are void afterwards, those before it stay,
 * also where it fails (STATUS_MEMORY). */
enum status kvcache_write(struct kvcache *cache, int32_t first, int32_t n, struct error *error);

/* Memory of the cells that were written, in whole chunks, and how much of it forks hold, too (may be NULL). */
size_t kvcache_held(const struct kvcache *cache, size_t *n_shared);

/* One layer of F32 cells in memory that is the caller's: n_cells * (k_elements + v_elements) numbers. */
struct kvcache kvcache_of_floats(float *memory, int32_t n_cells, int32_t k_elements, int32_t v_elements);

unsigned char *kvcache_keys(const struct kvcache *cache, int32_t layer);   /* row 0 */
unsigned char *kvcache_values(const struct kvcache *cache, int32_t layer); /* row 0 */

#endif
