#!/usr/bin/env python3
"""Prints a table of what `fathom quantize` makes beside what llama.cpp's own quantiser makes of the same models.

    make_quantize_table.py FATHOM MODEL.gguf TEXT FOLDER [SOURCE ...] [TYPE ...]

Three sources are written into FOLDER (some 1.7 GB), all in F32:

    dequantised  MODEL, which must be SmolLM2-135M or of its shape
    padded       the same with zeros put into all matrices, so that every row divides by 256; it computes the same
    gaussian     a small model of the llama family with seeded Gaussian weights, which borrows MODEL's vocabulary

For each source and type (all, or those that are named), both quantisers write a file; then the table says, for each pair:

    size         of ours and theirs, in MB
    types        whether every tensor has the same type in both
    RMSE         root of the mean squared error over all quantised weights, ours and theirs
    worst        the greatest ratio of ours to theirs among single tensors, and which
    ppl          of TEXT by `fathom perplexity`, ours and theirs

The last line names what is worse by more than one percent.  What was measured of a file is kept in FOLDER/measured.json by
the file's hash: a run that was stopped goes on where it was, and a new quantiser is compared without measuring the other
one again.  Needs: numpy, gguf, llama-cpp-python.  No part of the test run.
"""
import hashlib
import json
import os
import subprocess
import sys

import numpy as np

# Numbers of enum llama_ftype in llama.h.  What we call Q4_K and Q5_K are its Q4_K_S and Q5_K_S.
FILE_TYPES = {"Q8_0": 7, "Q4_0": 2, "Q4_1": 3, "Q5_0": 8, "Q5_1": 9, "Q4_K": 14, "Q4_K_M": 15, "Q5_K": 16, "Q5_K_M": 17,
              "Q6_K": 18, "F16": 1, "BF16": 32}
LAYERS, WIDTH, FEED, HEADS, HEADS_KV = 4, 512, 1536, 8, 4


def copy_keys(reader, writer, replaced):
    import gguf

    for name, field in reader.fields.items():
        if name.startswith("GGUF.") or name in replaced or name in ("general.architecture", "general.file_type"):
            continue
        sub_type = field.types[-1] if field.types[0] == gguf.GGUFValueType.ARRAY else None
        writer.add_key_value(name, field.contents(), field.types[0], sub_type=sub_type)


def finish(writer):
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def write_dequantised(path, out):
    import gguf

    reader = gguf.GGUFReader(path)
    writer = gguf.GGUFWriter(out, reader.fields["general.architecture"].contents())
    copy_keys(reader, writer, ())
    for tensor in reader.tensors:
        writer.add_tensor(tensor.name, gguf.quants.dequantize(tensor.data, tensor.tensor_type).astype(np.float32))
    finish(writer)


def write_padded(path, out):
    """Zeros make 768 of the width 576, and 12 heads of 9.  The mean in a norm is then over more numbers: its weights and
    epsilon make up for that."""
    import gguf

    reader = gguf.GGUFReader(path)
    field = lambda key: reader.fields["llama." + key].contents()
    old, new = field("embedding_length"), 768
    epsilon = "attention.layer_norm_rms_epsilon"
    numbers = {"embedding_length": new, "attention.head_count": 12, "attention.head_count_kv": 4, "attention.key_length": 64,
               "attention.value_length": 64, "rope.dimension_count": 64}
    writer = gguf.GGUFWriter(out, "llama")
    copy_keys(reader, writer, ["llama." + key for key in (*numbers, epsilon)])
    for key, value in numbers.items():
        writer.add_uint32("llama." + key, value)
    writer.add_float32("llama." + epsilon, field(epsilon) * old / new)
    for tensor in reader.tensors:
        x = gguf.quants.dequantize(tensor.data, tensor.tensor_type).astype(np.float32)
        if x.ndim == 1:
            x = np.pad(x * np.sqrt(old / new), (0, new - old))
        else:
            rows = {"attn_q": 768, "attn_k": 256, "attn_v": 256, "attn_output": new, "ffn_down": new}
            wanted = next((n for name, n in rows.items() if name in tensor.name), x.shape[0])
            x = np.pad(x, ((0, wanted - x.shape[0]), (0, -x.shape[1] % 256)))
        writer.add_tensor(tensor.name, x.astype(np.float32))
    finish(writer)


def write_gaussian(path, out):
    import gguf

    reader = gguf.GGUFReader(path)
    n_vocab = len(reader.fields["tokenizer.ggml.tokens"].contents())
    numbers = {"context_length": 2048, "embedding_length": WIDTH, "block_count": LAYERS, "feed_forward_length": FEED,
               "attention.head_count": HEADS, "attention.head_count_kv": HEADS_KV, "vocab_size": n_vocab,
               "rope.dimension_count": WIDTH // HEADS}
    writer = gguf.GGUFWriter(out, "llama")
    copy_keys(reader, writer, ["llama." + key for key in numbers])
    for key, value in numbers.items():
        writer.add_uint32("llama." + key, value)
    random = np.random.default_rng(1)
    add = lambda name, *shape: writer.add_tensor(
        name + ".weight", (random.standard_normal(shape) * 0.02).astype(np.float32))
    ones = lambda name: writer.add_tensor(name + ".weight", np.ones(WIDTH, np.float32))
    add("token_embd", n_vocab, WIDTH)
    for i in range(LAYERS):
        ones(f"blk.{i}.attn_norm")
        ones(f"blk.{i}.ffn_norm")
        for name, rows, cols in (("attn_q", WIDTH, WIDTH), ("attn_k", WIDTH // HEADS * HEADS_KV, WIDTH),
                                 ("attn_v", WIDTH // HEADS * HEADS_KV, WIDTH), ("attn_output", WIDTH, WIDTH),
                                 ("ffn_gate", FEED, WIDTH), ("ffn_up", FEED, WIDTH), ("ffn_down", WIDTH, FEED)):
            add(f"blk.{i}.{name}", rows, cols)
    ones("output_norm")
    add("output", n_vocab, WIDTH)
    finish(writer)


def quantise_theirs(source, out, kind):
    import ctypes

    import llama_cpp

    quiet = llama_cpp.llama_log_callback(lambda *_: None)
    llama_cpp.llama_log_set(quiet, ctypes.c_void_p(0))
    params = llama_cpp.llama_model_quantize_default_params()
    params.ftype = FILE_TYPES[kind]
    if llama_cpp.llama_model_quantize(source.encode(), out.encode(), ctypes.byref(params)) != 0:
        sys.exit(f"llama.cpp doesn't quantise {source} to {kind}")


def tensors_of(path):
    import gguf

    return {tensor.name: tensor for tensor in gguf.GGUFReader(path).tensors}


def squared_errors(source, path):
    """By name: type, sum of squared differences to the source, number of weights.  Only of tensors that were changed."""
    import gguf

    result = {}
    for name, tensor in tensors_of(path).items():
        if tensor.tensor_type == source[name].tensor_type:
            continue
        truth, total = np.asarray(source[name].data).reshape(-1), 0.0
        data, step = tensor.data.reshape(-1, tensor.data.shape[-1]), 4096
        width = truth.size // data.shape[0]
        for row in range(0, data.shape[0], step):
            part = gguf.quants.dequantize(data[row:row + step], tensor.tensor_type).reshape(-1).astype(np.float64)
            total += float(((part - truth[row * width:row * width + part.size]) ** 2).sum())
        result[name] = (tensor.tensor_type.name, total, truth.size)
    return result


def digest(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class Measured:
    """What is known of files by what they hold."""

    def __init__(self, folder):
        self.path = os.path.join(folder, "measured.json")
        self.known = {}
        if os.path.exists(self.path):
            with open(self.path) as file:
                self.known = json.load(file)

    def get(self, what, paths, measure):
        key = " ".join([what, *map(digest, paths)])
        if key not in self.known:
            self.known[key] = measure()
            with open(self.path + ".new", "w") as file:
                json.dump(self.known, file)
            os.replace(self.path + ".new", self.path)
        return self.known[key]


def perplexity(fathom, path, text):
    command = [fathom, "perplexity", "-f", text, "--json", "--quiet", "-m", path]
    return json.loads(subprocess.run(command, check=True, capture_output=True).stdout)["ppl"]


def compare(fathom, source, text, kind, folder, measured):
    ours, theirs = os.path.join(folder, "ours.gguf"), os.path.join(folder, "theirs.gguf")
    subprocess.run([fathom, "quantize", "--force", "--quiet", source, ours, kind], check=True, capture_output=True)
    quantise_theirs(source, theirs, kind)
    truth = tensors_of(source)
    a, b = (measured.get("errors", [p, source], lambda: squared_errors(truth, p)) for p in (ours, theirs))
    root = lambda errors: np.sqrt(sum(e for _, e, _ in errors.values()) / sum(n for _, _, n in errors.values()))
    # An error that is nothing beside the weights themselves (rounding of a float) is none.
    nothing = {name: 1e-14 * float((np.asarray(truth[name].data, np.float64) ** 2).sum()) for name in a}
    ratios = {name: np.sqrt((a[name][1] + nothing[name]) / (b[name][1] + nothing[name])) for name in a if name in b}
    worst = max(ratios, key=ratios.get)
    same = a.keys() == b.keys() and all(a[name][0] == b[name][0] for name in a)
    row = {"type": kind, "size": [os.path.getsize(p) / 1e6 for p in (ours, theirs)], "same": same,
           "rmse": [root(a), root(b)], "worst": float(ratios[worst]), "which": worst,
           "ppl": [measured.get("ppl", [p, text], lambda: perplexity(fathom, p, text)) for p in (ours, theirs)]}
    os.remove(ours)
    os.remove(theirs)
    return row


def main():
    fathom, model, text, folder = sys.argv[1:5]
    writers = {"dequantised": write_dequantised, "padded": write_padded, "gaussian": write_gaussian}
    names = [name for name in writers if name in sys.argv[5:]] or list(writers)
    kinds = [kind for kind in FILE_TYPES if kind in sys.argv[5:]] or list(FILE_TYPES)
    worse, measured = [], Measured(folder)
    for name in names:
        source = os.path.join(folder, name + ".gguf")
        if not os.path.exists(source):
            writers[name](model, source)
        ppl = measured.get("ppl", [source, text], lambda: perplexity(fathom, source, text))
        print(f"\n{name}: perplexity of the F32 source {ppl:.4f}\n")
        print("| type | MB ours / theirs | types | RMSE ours / theirs | ratio | worst tensor | ppl ours / theirs | ratio |")
        print("|---|---|---|---|---|---|---|---|")
        for kind in kinds:
            row = compare(fathom, source, text, kind, folder, measured)
            rmse, ppl, size = row["rmse"], row["ppl"], row["size"]
            ratio = rmse[0] / rmse[1] if rmse[1] else 1.0
            print(f"| {kind} | {size[0]:.1f} / {size[1]:.1f} | {'same' if row['same'] else 'differ'} | {rmse[0]:.4e} / {rmse[1]:.4e} "
                  f"| {ratio:.4f} | {row['worst']:.4f} {row['which']} | {ppl[0]:.4f} / {ppl[1]:.4f} | {ppl[0] / ppl[1]:.4f} |",
                  flush=True)
            if row["worst"] > 1.01 or ppl[0] > 1.01 * ppl[1] or not row["same"]:
                worse.append(f"{name} {kind}")
    print("\nworse by more than 1 % or of other types:", ", ".join(worse) or "none")
    return 1 if worse else 0


if __name__ == "__main__":
    sys.exit(main())
