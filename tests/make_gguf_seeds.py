#!/usr/bin/env python3
"""Writes small GGUF files by the `gguf` package's own writer (tried with 0.19.0): seeds of the fuzz target gguf, and files
that tests/test_gguf.c reads.

    pip install gguf; python3 tests/make_gguf_seeds.py tests/fuzz/seeds/gguf
"""

import sys
from pathlib import Path

import numpy as np
from gguf import GGMLQuantizationType as Type, GGUFValueType as Kind, GGUFWriter


def finish(writer):
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def keys(path):
    writer = GGUFWriter(path, "llama")
    writer.add_uint8("k.u8", 200)
    writer.add_int8("k.i8", -100)
    writer.add_uint16("k.u16", 60000)
    writer.add_int16("k.i16", -30000)
    writer.add_uint32("k.u32", 4000000000)
    writer.add_int32("k.i32", -2000000000)
    writer.add_uint64("k.u64", 18000000000000000000)
    writer.add_int64("k.i64", -9000000000000000000)
    writer.add_float32("k.f32", 1.5)
    writer.add_key_value("k.f64", -2.25, Kind.FLOAT64)
    writer.add_bool("k.bool", True)
    writer.add_string("k.text", "na\u00efve")
    writer.add_array("a.i32", [1, -2, 3])
    writer.add_array("a.f32", [0.5, -0.25])
    writer.add_array("a.bool", [True, False])
    writer.add_array("a.text", ["a", "", "\u20ac"])
    finish(writer)


def tensors(path):
    writer = GGUFWriter(path, "llama")
    writer.add_custom_alignment(64)
    writer.add_tensor("token_embd.weight", np.arange(24, dtype=np.float32).reshape(3, 8))
    writer.add_tensor("blk.0.ffn_up.weight", np.arange(68, dtype=np.uint8).reshape(1, 68), raw_dtype=Type.Q8_0)
    writer.add_tensor("blk.0.attn_q.weight", np.zeros((2, 144), dtype=np.uint8), raw_dtype=Type.Q4_K)
    writer.add_tensor("output_norm.weight", np.linspace(0, 1, 32, dtype=np.float16))
    finish(writer)


def vocabulary(path):
    writer = GGUFWriter(path, "llama")
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(["<|endoftext|>", "a", "b", "ab"])
    writer.add_token_types([3, 1, 1, 1])
    writer.add_token_merges(["a b"])
    writer.add_eos_token_id(0)
    finish(writer)


def main():
    folder = Path(sys.argv[1])
    for make in (keys, tensors, vocabulary):
        make(folder / f"{make.__name__}.gguf")


if __name__ == "__main__":
    main()
