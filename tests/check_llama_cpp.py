#!/usr/bin/env python3
"""Holds the program against llama.cpp on models, sizes and texts that no golden file knows: `make peer PEER=PYTHON`.

    check_llama_cpp.py [SEED=N] families [SHAPE ...]     random sizes of every family, all log-probabilities
    check_llama_cpp.py [SEED=N] files                    the same models, as other tools lay files out and quantise them
    check_llama_cpp.py perplexity MODEL.gguf TEXT ...    of whole texts

families    tests/tools/synth writes models of F32 weights, whose seed and sizes come out of SEED; both programs evaluate the
            same tokens with an F32 cache.  Compared are the log-probabilities of the whole vocabulary after 1, 2, 17 and 300
            of them, and between slices of 1, 7, 32 and 512.
files       A model as the package `gguf` writes it (keys and tensors in another order, another alignment, in parts, every type
            that it can quantise to) and as llama.cpp's own quantiser does, and LoRA adapters by `gguf`.  llama.cpp evaluates the
            same weights in F32, as it rounds what it multiplies with others.
perplexity  By the definition of `fathom perplexity`.  The figure of llama.cpp on the file as it is, and on the same weights in
            F32, where it rounds no inputs: the second is what we are held to.

Where llama.cpp does otherwise than the models' authors (make_family_golden.py says where), that case is left out here and its
neighbour, on which both agree, is taken.  FATHOM_PROGRAM and FATHOM_SYNTH name the programs.  Needs: numpy, gguf,
llama-cpp-python.  No part of the test run, which needs none of them.  The last line counts."""

import contextlib
import json
import math
import os
import random
import subprocess
import sys
import tempfile

import numpy as np

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from make_engine_golden import write_as_f32

PROGRAM = os.environ.get("FATHOM_PROGRAM", "build/fathom")
SYNTH = os.environ.get("FATHOM_SYNTH", "build/tests/tools/synth")
POINTS, SLICES = (1, 2, 17, 300), (1, 7, 32, 512)
TOLERANCE, SLICE_TOLERANCE = 2e-3, 1e-4
STRICT = (TOLERANCE, SLICE_TOLERANCE, None)
PERPLEXITY_TOLERANCE = 0.003
passed = failed = 0


def verdict(good, name, told):
    global passed, failed
    passed, failed = passed + bool(good), failed + (not good)
    print("ok" if good else "not ok", f"{name}: {told}", flush=True)


# ---- what both programs say ----


def ours(path, ids, *words):
    """Log-probabilities of the whole vocabulary after the ids."""
    done = subprocess.run([PROGRAM, "eval", "-m", path, "--kv", "f32", "--tokens", "-", "--top", "1000000", "--json", "-c", "512", *words],
                          input=",".join(map(str, ids)), capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr.strip())
    result = json.loads(done.stdout)
    logprobs = np.full(result["n_vocab"], np.nan)
    for each in result["top"]:
        logprobs[each["id"]] = each["logprob"]
    return logprobs


def theirs(path, ids, **more):
    """The same of llama.cpp, after every one of the ids: (ids, vocabulary)."""
    from llama_cpp import Llama

    model = Llama(path, n_ctx=512, n_batch=512, logits_all=True, n_threads=1, flash_attn=False, type_k=0, type_v=0, verbose=False, **more)
    model.eval(ids)
    logits = np.array(model.scores[:len(ids)], dtype=np.float64)
    model.close()
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def one_bit(path, ids, base):
    """How far the log-probabilities move when every number of the embeddings gets a random last bit: the greatest of three times."""
    import gguf

    with open(path, "rb") as file:
        data = file.read()
    tensor = next(each for each in gguf.GGUFReader(path).tensors if each.name == "token_embd.weight")
    begin, end = int(tensor.data_offset), int(tensor.data_offset + tensor.n_bytes)
    moved = []
    for seed in range(3):
        bits = np.frombuffer(data[begin:end], dtype=np.uint32)
        bits = bits ^ np.random.default_rng(seed).integers(0, 2, bits.shape, dtype=np.uint32)
        with open(path + ".moved", "wb") as file:
            file.write(data[:begin] + bits.tobytes() + data[end:])
        moved.append(np.abs(ours(path + ".moved", ids) - base).max())
    os.unlink(path + ".moved")
    return max(moved)


def compare(name, path, judge, ids, slices, words=(), tolerances=STRICT, told="", **more):
    """Holds what we say of the file path against what llama.cpp says of the file judge; the third tolerance is for both after
    all the ids, where it is another one."""
    try:
        reference, good, figures = theirs(judge, ids, **more), True, []
        for n in POINTS:
            all_slices = [ours(path, ids[:n], *words, *(("--slice", str(size)) if size else ())) for size in (0, *slices)]
            figures.append((np.abs(all_slices[0] - reference[n - 1]).max(), max(np.abs(each - all_slices[0]).max() for each in all_slices)))
            last = tolerances[2] if n == POINTS[-1] else None
            if last:
                told = f"; the last bit of the embeddings moves them by {one_bit(path, ids, all_slices[0]):.1e}" + told
            good &= all(figure <= (last or tolerance) for figure, tolerance in zip(figures[-1], tolerances))
        worst, worst_slice = np.max(figures, axis=0)
        if tolerances[2]:
            told = "; after 17 tokens %.1e, %.1e" % figures[-2] + told
        verdict(good, name, f"{worst:.1e}{f', {worst_slice:.1e} between slices' if slices else ''}{told}")
    except (RuntimeError, ValueError) as problem:
        verdict(False, name, problem)


def synth(path, shape, seed, fields):
    subprocess.run([SYNTH, shape, path, f"seed={seed}", *(f"{field}={value}" for field, value in fields.items())], check=True)


# ---- families ----


def even(rng, low, high, step=2):
    return rng.randrange(low, high + 1, step)


def heads(rng, fixed_width):
    """n_head_kv divides n_head; the width is n_embd / n_head where the family has no key for it."""
    n_head_kv, group = rng.randint(1, 3), rng.randint(1, 4)
    width = even(rng, 8, 40, 4)
    fields = {"n_head": n_head_kv * group, "n_head_kv": n_head_kv}
    if fixed_width:
        return {**fields, "n_head_width": width, "n_embd": even(rng, 36, 130, 2)}
    return {**fields, "n_embd": n_head_kv * group * width}


def dense(rng, fixed_width=False):
    return {**heads(rng, fixed_width), "n_layer": rng.randint(1, 5), "n_ff": rng.randint(20, 300), "n_vocab": rng.randint(288, 600)}


def experts(rng, fixed_width):
    n = rng.randint(3, 40)
    return {**dense(rng, fixed_width), "n_expert": n, "n_expert_used": rng.randint(1, min(n, 8)), "n_ff_exp": rng.randint(8, 90)}


def mixtral(rng):
    fields = experts(rng, False)
    del fields["n_ff_exp"]
    return fields


def latent(rng, **more):
    n_expert = rng.randint(4, 40)
    fields = {"n_embd": even(rng, 40, 160, 2), "n_head": rng.randint(1, 6), "kv_lora_rank": even(rng, 16, 72, 4), "n_nope": even(rng, 8, 40, 4),
              "n_rot": even(rng, 8, 24, 4), "n_value": even(rng, 8, 40, 4), "n_vocab": rng.randint(288, 600), "n_ff": rng.randint(20, 300),
              "n_expert": n_expert, "n_expert_used": rng.randint(1, min(n_expert, 8)), "n_expert_shared": rng.randint(1, 3),
              "n_ff_exp": rng.randint(8, 60), "n_layer": rng.randint(2, 5), "n_dense_lead": 1}
    return {**fields, **more}


def old_form(rng, **more):
    """Files from before latent attention was absorbed count a key for each head."""
    fields = latent(rng, **more)
    return {**fields, "n_head_kv": fields["n_head"]}


def grouped(rng):
    """As V3 groups its experts; one of several groups has two experts at least."""
    n_group, size = rng.randint(2, 6), rng.randint(2, 6)
    n_used = rng.randint(1, n_group)
    return latent(rng, n_expert=n_group * size, n_group=n_group, n_group_used=n_used, q_lora_rank=even(rng, 16, 64, 4),
                  n_expert_used=rng.randint(1, min(8, n_used * size)))


# How a family's sizes are drawn.  llama.cpp takes deepseek2 without q_lora for Lite, at 27 layers alone.
FAMILIES = {
    "llama": dense, "llama-3.1": dense, "llama-linear": dense, "llama-gqa": dense, "mixtral": mixtral, "qwen2": dense, "qwen2-yarn": dense,
    "qwen3": lambda rng: dense(rng, True), "qwen3moe": lambda rng: experts(rng, True), "starcoder2": dense,
    "lite-old": lambda rng: old_form(rng, n_layer=27), "lite-new": lambda rng: latent(rng, n_layer=27),
    "lite-fused": lambda rng: latent(rng, n_layer=27),
    "v2": lambda rng: old_form(rng, n_group=1, n_group_used=1, q_lora_rank=even(rng, 16, 64, 4)),
    "v3": grouped, "v3-plain": lambda rng: old_form(rng, n_group=1, n_group_used=1, q_lora_rank=even(rng, 16, 64, 4)), "v3-nextn": grouped,
}
# What else than TOLERANCE and SLICE_TOLERANCE holds.  starcoder2: llama.cpp looks GELU up in a table of half floats.  lite-*:
# 27 layers of random weights make much of the last bits, and somewhere among 300 tokens two experts score so nearly the same
# that the choice falls out otherwise: the last bit of the embeddings alone moves these as far (it is told beside the figures).
# The first 17 are held tight.
OWN_TOLERANCE = {"starcoder2": (0.02, SLICE_TOLERANCE, None), **dict.fromkeys(("lite-old", "lite-new", "lite-fused"), (*STRICT[:2], 0.1))}


def check_families(seed, names):
    with tempfile.TemporaryDirectory() as folder:
        for name in names or FAMILIES:
            rng = random.Random(f"{name} {seed}")
            fields = FAMILIES[name](rng)
            path = os.path.join(folder, "model.gguf")
            synth(path, name, rng.randrange(1 << 30), fields)
            ids = [rng.randrange(256) for _ in range(POINTS[-1])]
            sizes = " ".join(f"{field}={value}" for field, value in fields.items())
            compare(name, path, path, ids, SLICES, tolerances=OWN_TOLERANCE.get(name, STRICT), told=f" ({sizes})")


# ---- files of other tools ----


def rewrite(path, out, backwards=False, alignment=None, kind=None, **more):
    """The same model by the package gguf."""
    import gguf

    reader = gguf.GGUFReader(path)
    writer = gguf.GGUFWriter(out, reader.fields["general.architecture"].contents(), **more)
    if alignment:
        writer.add_custom_alignment(alignment)
    fields = [item for item in reader.fields.items() if not item[0].startswith("GGUF.") and item[0] not in
              ("general.architecture", "general.alignment", "general.file_type")]
    for name, field in reversed(fields) if backwards else fields:
        sub_type = field.types[-1] if field.types[0] == gguf.GGUFValueType.ARRAY else None
        writer.add_key_value(name, field.contents(), field.types[0], sub_type=sub_type)
    for tensor in reversed(reader.tensors) if backwards else reader.tensors:
        if kind and len(tensor.shape) > 1 and "ffn_gate_inp" not in tensor.name:
            writer.add_tensor(tensor.name, gguf.quants.quantize(np.array(tensor.data), kind), raw_dtype=kind)
        else:
            writer.add_tensor(tensor.name, np.array(tensor.data))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def write_adapter(path, out, rng):
    """LoRA of rank 4 on every matrix of the layers that llama.cpp takes one for."""
    import gguf

    reader = gguf.GGUFReader(path)
    writer = gguf.GGUFWriter(out, reader.fields["general.architecture"].contents())
    writer.add_type("adapter")
    writer.add_key_value("adapter.type", "lora", gguf.GGUFValueType.STRING)
    writer.add_key_value("adapter.lora.alpha", 8.0, gguf.GGUFValueType.FLOAT32)
    generator = np.random.default_rng(rng.randrange(1 << 30))
    for tensor in reader.tensors:
        if tensor.name.startswith("blk.") and len(tensor.shape) == 2:
            cols, rows = (int(size) for size in tensor.shape)
            writer.add_tensor(tensor.name + ".lora_a", generator.normal(0, 0.2, (4, cols)).astype(np.float32))
            writer.add_tensor(tensor.name + ".lora_b", generator.normal(0, 0.05, (rows, 4)).astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@contextlib.contextmanager
def silence():
    """llama.cpp's quantiser prints to the terminal itself."""
    kept, null = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(null)


def quantise_by_llama_cpp(path, out, number):
    import ctypes
    import llama_cpp

    parameters = llama_cpp.llama_model_quantize_default_params()
    parameters.ftype, parameters.nthread = number, 2
    with silence():
        if llama_cpp.llama_model_quantize(path.encode(), out.encode(), ctypes.byref(parameters)):
            raise RuntimeError("llama.cpp does not quantise it")


# By the numbers of enum llama_ftype; those left out ask for a matrix of importance.
FILE_TYPES = {"F16": 1, "BF16": 32, "Q4_0": 2, "Q4_1": 3, "Q8_0": 7, "Q5_0": 8, "Q5_1": 9, "Q2_K": 10, "Q3_K_S": 11, "Q3_K_M": 12, "Q3_K_L": 13,
              "Q4_K_S": 14, "Q4_K_M": 15, "Q5_K_S": 16, "Q5_K_M": 17, "Q6_K": 18, "IQ4_NL": 25, "IQ3_S": 26, "IQ3_M": 27, "IQ4_XS": 30,
              "MXFP4_MOE": 38}


def check_layouts(folder, model, ids):
    variants = {"keys and tensors backwards": {"backwards": True}, "alignment 8": {"alignment": 8}, "alignment 4096": {"alignment": 4096},
                "in parts of 5 tensors": {"split_max_tensors": 5}, "in parts of 40 kB, keys alone in the first":
                {"split_max_size": 40000, "small_first_shard": True}}
    for name, options in variants.items():
        out = os.path.join(folder, "layout.gguf")
        rewrite(model, out, **options)
        parts = sorted(each for each in os.listdir(folder) if each.startswith("layout"))
        compare(name, os.path.join(folder, parts[0]), model, ids, (7,), told=f" ({len(parts)} file{'s'[:len(parts) > 1]})")
        for each in parts:
            os.unlink(os.path.join(folder, each))


def check_types(folder, model, ids, label):
    import gguf

    out, exact = os.path.join(folder, "typed.gguf"), os.path.join(folder, "exact.gguf")
    ways = [(f"gguf, {kind.name}", lambda kind=kind: rewrite(model, out, kind=kind)) for kind in
            (gguf.GGMLQuantizationType[name] for name in ("F16", "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0"))]
    ways += [(f"llama.cpp, {name}", lambda number=number: quantise_by_llama_cpp(model, out, number)) for name, number in FILE_TYPES.items()]
    for name, write in ways:
        try:
            write()
            write_as_f32(out, exact)
        except (RuntimeError, NotImplementedError) as problem:
            verdict(False, f"{label}, by {name}", repr(problem))
            continue
        kinds = ", ".join(sorted({tensor.tensor_type.name for tensor in gguf.GGUFReader(out).tensors} - {"F32"}))
        compare(f"{label}, by {name}", out, exact, ids, (), ("--cpu", "scalar"), told=f" ({kinds})")


def check_files(seed):
    rng = random.Random(f"files {seed}")
    with tempfile.TemporaryDirectory() as folder:
        model, adapter = os.path.join(folder, "model.gguf"), os.path.join(folder, "adapter.gguf")
        ids = [rng.randrange(256) for _ in range(POINTS[-1])]
        synth(model, "qwen3moe", rng.randrange(1 << 30), {})
        check_layouts(folder, model, ids)
        wide = {"n_embd": 256, "n_head": 4, "n_head_kv": 2, "n_ff": 512, "n_layer": 2}
        synth(model, "llama", rng.randrange(1 << 30), wide)
        check_types(folder, model, ids, "llama")
        synth(model, "qwen3moe", rng.randrange(1 << 30), {**wide, "n_head_width": 64, "n_ff_exp": 256})
        check_types(folder, model, ids, "qwen3moe")
        for shape in ("llama", "qwen2", "qwen3", "starcoder2"):
            synth(model, shape, rng.randrange(1 << 30), {})
            write_adapter(model, adapter, rng)
            plain = theirs(model, ids[:17])[-1]
            moved = np.abs(plain - theirs(model, ids[:17], lora_path=adapter)[-1]).max()
            compare(f"{shape} with an adapter", model, model, ids, (7,), ("--lora", adapter), lora_path=adapter,
                    tolerances=OWN_TOLERANCE.get(shape, STRICT), told=f" (which changes {moved:.1f})")


# ---- perplexity ----


def perplexity_by_llama_cpp(llama, name):
    """And how many tokens were scored.  One thread: its threads wait for each other by spinning, which a busy machine punishes."""
    n_chunk = llama.n_ctx()
    adds_bos = llama.metadata.get("tokenizer.ggml.add_bos_token", "false") == "true"
    with open(name, "rb") as file:
        ids = llama.tokenize(file.read(), add_bos=adds_bos, special=False)
    nll, n_scored = 0.0, 0
    for begin in range(0, len(ids) - n_chunk + 1, n_chunk):
        chunk = ids[begin:begin + n_chunk]
        if adds_bos:
            chunk[0] = llama.token_bos()
        llama.reset()
        llama.eval(chunk)
        logits = llama.scores[n_chunk // 2:n_chunk - 1].astype(np.float64)
        logits -= logits.max(axis=1, keepdims=True)
        logprobs = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
        targets = chunk[n_chunk // 2 + 1:]
        nll -= logprobs[np.arange(len(targets)), targets].sum()
        n_scored += len(targets)
    return math.exp(nll / n_scored), n_scored


def check_perplexity(model, texts):
    from llama_cpp import Llama

    apart = []
    with tempfile.TemporaryDirectory() as folder:
        exact = os.path.join(folder, "exact.gguf")
        write_as_f32(model, exact)
        judges = [Llama(path, n_ctx=512, n_batch=512, logits_all=True, n_threads=1, n_threads_batch=1, verbose=False) for path in (model, exact)]
        for name in texts:
            (rounded, _), (true, n_scored) = (perplexity_by_llama_cpp(judge, name) for judge in judges)
            done = subprocess.run([PROGRAM, "perplexity", "-m", model, "-f", name, "--json"], capture_output=True, check=True)
            result = json.loads(done.stdout)
            mine = result["ppl"]
            apart.append((mine / rounded - 1, mine / true - 1, rounded / true - 1))
            verdict(result["n_scored"] == n_scored and abs(apart[-1][1]) <= PERPLEXITY_TOLERANCE, os.path.basename(name),
                    f"{mine:.4f}; llama.cpp {rounded:.4f} ({100 * apart[-1][0]:+.3f} %), in F32 {true:.4f} ({100 * apart[-1][1]:+.3f} %; it is "
                    f"itself {100 * apart[-1][2]:+.3f} % off); {n_scored} tokens")
    for title, figures in zip(("to llama.cpp", "to llama.cpp in F32", "llama.cpp to itself in F32"), zip(*apart)):
        figures = 100 * np.array(figures)
        print(f"{title}: mean {figures.mean():+.3f} %, from {figures.min():+.3f} to {figures.max():+.3f} %")


def main():
    words, seed = sys.argv[1:], "1"
    if words and words[0].startswith("SEED="):
        seed = words.pop(0)[len("SEED="):]
    part = words.pop(0) if words else ""
    if part == "families":
        check_families(seed, words)
    elif part == "files":
        check_files(seed)
    elif part == "perplexity" and len(words) > 1:
        check_perplexity(words[0], words[1:])
    else:
        sys.exit(__doc__)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
