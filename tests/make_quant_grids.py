#!/usr/bin/env python3
"""Makes engine/quant_grids.c: the codebooks of the IQ2 and IQ3 types, out of the `gguf` package (tried with 0.19.0).

    pip install gguf; python3 tests/make_quant_grids.py > engine/quant_grids.c

The package keeps a codebook as hexadecimal text of little-endian 16-bit numbers, one for a row of the grid: eight codes of
two bits, or four of a nibble.  They are taken as they are; what a code stands for is in engine/quant.c, and this script
holds it against the package's.
"""
import sys

from gguf import quants

VALUES = {2: (8, 25, 43), 3: (4, 12, 20, 28, 36, 44, 52, 62)}
TYPES = {"IQ2_XXS": VALUES[2], "IQ2_XS": VALUES[2], "IQ2_S": VALUES[2], "IQ3_XXS": VALUES[3],
         "IQ3_S": (1, 3, 5, 7, 9, 11, 13, 15)}

HEAD = """/* quant_grids: the numbers of the grids that quant_grids.h declares.
 *
 * Made by tests/make_quant_grids.py from the `gguf` Python package (gguf/quants.py), which has them from ggml-common.h of
 * https://github.com/ggml-org/llama.cpp. */
#include "engine/quant_grids.h"
"""


def main():
    print(HEAD, end="")
    for name, values in TYPES.items():
        source = getattr(quants, name)
        assert tuple(source.grid_map) == values, name
        data = bytes.fromhex(source.grid_hex.decode())
        rows = [data[i] | data[i + 1] << 8 for i in range(0, len(data), 2)]
        assert len(rows) == source.grid_shape[0], name
        # The format's grids have no row twice, and no code beyond the values.
        bits = 16 // source.grid_shape[1]
        assert len(set(rows)) == len(rows), name
        assert all(row >> shift & (1 << bits) - 1 < len(values) for row in rows for shift in range(0, 16, bits)), name
        print(f"\nconst uint16_t quant_grid_{name.lower()}[{len(rows)}] = {{")
        for i in range(0, len(rows), 14):
            print("    " + " ".join(f"0x{row:04x}," for row in rows[i:i + 14]))
        print("};")


if __name__ == "__main__":
    sys.exit(main())
