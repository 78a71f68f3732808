#!/usr/bin/env python3
"""Makes tests/golden/quant.txt: what the `gguf` package (tried with 0.19.0) makes of seeded random blocks.

    pip install gguf; python3 tests/make_quant_golden.py > tests/golden/quant.txt

Lines:
    size NUMBER NAME ELEMENTS BYTES        of a block, for every type a file may hold
    half HASH                              of the floats that the 63488 finite halves and infinities are, in order
    round HASH                             of the halves that 2^18 random floats without NaN become
    unpack NAME BLOCKS HASH FIRST...       of the floats that BLOCKS random blocks become, and the first 16 of them

A hash is FNV-1a, 64 bits, over little-endian bytes.  Floats are printed as their bits.  Random bytes are splitmix64 with
the type's number as its seed; of every half float among the scales bit 14 is cleared, so that it is finite.
tests/test_quant.c makes the same bytes and hashes.
"""

import sys

import numpy as np
from gguf import GGMLQuantizationType as Type, GGML_QUANT_SIZES
from gguf.quants import dequantize

BLOCKS = 96
NOT_IN_FILES = {"Q8_1", "Q8_K"}  # only used for activations while computing
# Where in a block the high bytes of its half floats are.
HALVES = {
    "F32": [], "F16": [1], "BF16": [], "Q8_0": [1], "Q4_0": [1], "Q4_1": [1, 3], "Q5_0": [1], "Q5_1": [1, 3],
    "Q2_K": [81, 83], "Q3_K": [109], "Q4_K": [1, 3], "Q5_K": [1, 3], "Q6_K": [209], "IQ4_NL": [1], "IQ4_XS": [1],
    "MXFP4": [], "IQ2_XXS": [1], "IQ2_XS": [1], "IQ2_S": [1], "IQ3_XXS": [1], "IQ3_S": [1],
}


def fnv(data):
    value = 0xCBF29CE484222325
    for byte in data:
        value = (value ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return f"{value:016x}"


def random_bytes(seed, n):
    steps = np.arange(1, (n + 7) // 8 + 1, dtype=np.uint64)
    with np.errstate(over="ignore"):
        z = np.uint64(seed) + steps * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    return z.astype("<u8").view(np.uint8)[:n].copy()


def main():
    for kind in Type:
        if kind.name not in NOT_IN_FILES:
            elements, size = GGML_QUANT_SIZES[kind]
            print("size", int(kind), kind.name, elements, size)

    halves = np.arange(65536, dtype=np.uint16)
    halves = halves[(halves & 0x7FFF) <= 0x7C00]
    print("half", fnv(halves.view(np.float16).astype(np.float32).astype("<f4").tobytes()))

    floats = random_bytes(1000, 1 << 20).view("<u4")
    # Half of them between 2^-30 and 2^18, where rounding, subnormals and overflow lie.
    near = (floats & np.uint32(0x807FFFFF)) | ((np.uint32(97) + ((floats >> np.uint32(23)) & 0xFF) % 49) << np.uint32(23))
    floats = np.where(np.arange(floats.size) % 2 == 0, floats, near).astype(np.uint32).view(np.float32)
    floats = floats[~np.isnan(floats)]
    with np.errstate(over="ignore"):
        print("round", fnv(floats.astype(np.float16).astype("<f2").tobytes()))

    for name, places in HALVES.items():
        kind = Type[name]
        elements, size = GGML_QUANT_SIZES[kind]
        # As many as use every row of a codebook.
        n = 512 if name[:3] in ("IQ2", "IQ3") else max(BLOCKS, 1024 // elements)
        data = random_bytes(int(kind), n * size).reshape(n, size)
        data[:, places] &= 0xBF
        with np.errstate(over="ignore"):
            out = np.asarray(dequantize(data.reshape(1, -1), kind), dtype=np.float32).reshape(-1)
        bits = out.view(np.uint32)
        print("unpack", name, n, fnv(bits.astype("<u4").tobytes()), *(f"{b:08x}" for b in bits[:16]))


if __name__ == "__main__":
    sys.exit(main())
