#!/usr/bin/env python3
"""Makes tests/golden/quantize.txt: how near llama.cpp's own quantiser comes to seeded random numbers.

    pip install numpy gguf llama-cpp-python (tried with 0.3.36); python3 tests/make_quantize_golden.py > tests/golden/quantize.txt

Lines: `KIND TYPE RMSE`, the root of the mean squared error over 2^16 numbers of one kind, packed by ggml_quantize_chunk and
unpacked by the `gguf` package.  Kinds, from u = the upper 24 bits of splitmix64 (seed 1) over 2^24:

    gaussian   the sum of twelve u less 6
    heavy      the cube of that: a few numbers are far larger than the rest
    shifted    gaussian + 2: mostly of one sign

tests/test_quantize.c makes the same numbers.
"""
import ctypes
import os

import numpy as np
from gguf import GGMLQuantizationType as Type
from gguf.quants import dequantize

TYPES = ["Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q4_K", "Q5_K", "Q6_K", "F16", "BF16"]
COUNT = 1 << 16


def random_u(n):
    with np.errstate(over="ignore"):
        state = np.uint64(1) + np.uint64(0x9E3779B97F4A7C15) * np.arange(1, n + 1, dtype=np.uint64)
        z = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return ((z ^ (z >> np.uint64(31))) >> np.uint64(40)).astype(np.float64) / 2.0**24


def main():
    import llama_cpp

    folder = os.path.join(os.path.dirname(llama_cpp.__file__), "lib")
    ctypes.CDLL(os.path.join(folder, "libggml-base.so")).ggml_quantize_chunk.restype = ctypes.c_size_t
    pack = ctypes.CDLL(os.path.join(folder, "libggml-base.so")).ggml_quantize_chunk
    gaussian = random_u(12 * COUNT).reshape(COUNT, 12).sum(axis=1) - 6
    for kind, numbers in (("gaussian", gaussian), ("heavy", gaussian**3), ("shifted", gaussian + 2)):
        x = np.ascontiguousarray(numbers, dtype=np.float32)
        for name in TYPES:
            out = np.zeros(4 * COUNT, np.uint8)
            size = pack(ctypes.c_int(Type[name].value), x.ctypes.data_as(ctypes.c_void_p), out.ctypes.data_as(ctypes.c_void_p),
                        ctypes.c_int64(0), ctypes.c_int64(COUNT // 1024), ctypes.c_int64(1024), None)
            back = dequantize(out[:size].reshape(COUNT // 1024, -1), Type[name]).reshape(-1)
            rmse = np.sqrt(((back.astype(np.float64) - x) ** 2).mean())
            print(f"{kind} {name} {rmse:.6e}")


if __name__ == "__main__":
    main()
