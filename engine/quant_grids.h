/* quant_grids: the codebooks of the IQ2 and IQ3 types.
 *
 * A row of a grid is a few elements at once, without their signs: eight codes of two bits in the IQ2 types, four codes of
 * a nibble in the IQ3 types, the first element in the lowest bits.  A file's block holds numbers of rows.  What a code
 * stands for, and how signs and scales lie, is in quant.c. */
#ifndef FATHOM_ENGINE_QUANT_GRIDS_H
#define FATHOM_ENGINE_QUANT_GRIDS_H

#include <stdint.h>

extern const uint16_t quant_grid_iq2_xxs[256]; /* codes 0..2 */
extern const uint16_t quant_grid_iq2_xs[512];
extern const uint16_t quant_grid_iq2_s[1024];
extern const uint16_t quant_grid_iq3_xxs[256]; /* codes 0..7 */
extern const uint16_t quant_grid_iq3_s[512];

#endif
