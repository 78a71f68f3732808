"""Writes the seeds of tests/fuzz/fuzz_kvfile.c: saved sessions of a tiny cache, by the drawing at the head of
engine/kvfile.h.  Sums stay zero: the target makes them right.

    python3 tests/make_kvfile_seeds.py tests/fuzz/seeds/kvfile
"""

import os
import struct
import sys

N_LAYER, K_ROW, V_ROW, F16 = 2, 8, 4, 1


def saved(tokens, first=0):
    n = len(tokens)
    head = b"fathomKV" + struct.pack("<II2Q4I2Q2Q", 1, 0x01020304, 0x1111, 0x2222, F16, N_LAYER, n, 32, K_ROW, V_ROW, 0, 0)
    index = struct.pack("<%di" % n, *tokens)
    index += bytes(-len(index) % 8) + bytes((n + 31) // 32 * 8)
    cells = bytes(i * 7 % 256 for i in range(n * N_LAYER * (K_ROW + V_ROW)))
    return bytes([first]) + head + index + cells


def main(folder):
    os.makedirs(folder, exist_ok=True)
    seeds = {"one": saved([5]), "block": saved(range(32)), "more": saved(range(45)), "beyond": saved(range(100, 170)),
             "unmended": saved(range(33), 1), "last": saved([299] * 20)}
    for name, data in seeds.items():
        with open(os.path.join(folder, name), "wb") as out:
            out.write(data)


main(sys.argv[1])
