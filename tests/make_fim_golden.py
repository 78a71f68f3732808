#!/usr/bin/env python3
"""Makes small models of every family that fills in, and the exact tokens of requests in its form, by the `tokenizers` library.

    make_fim_golden.py FOLDER

Writes FOLDER/NAME.gguf (one layer of zeros with a vocabulary of its own) and FOLDER/forms.json: for each model its cases, each
with the request's parts and the ids.  The forms are written down here once more, as lists of marks and texts; what lies between
two marks is encoded by `tokenizers`, which knows nothing of marks.  Vocabularies are trained on the texts below.

Needs the packages tokenizers, gguf and numpy."""

import hashlib
import json
import os
import sys

import gguf
import numpy
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers

CORPUS = [
    "static int add(int a, int b)\n{\n    return a + b;\n}\n\nint main(void)\n{\n\tint total = add(1, 2);\n\treturn total;\n}\n",
    "def read_file(path):\n    with open(path) as file:\n        return file.read()\n\n\nfor name in names:\n    print(name)\n",
    "# src/reader.py\n// src/main.c\n#src/main.c\nimport os\nimport sys\n#include <stdio.h>\r\n\r\nreturn value;\r\n",
    "int main int main return return value value self self.path self.path path path",
]
NORMAL, UNKNOWN, CONTROL, BYTE = 1, 2, 3, 6
QWEN = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
PRE = {
    "starcoder": lambda: pre_tokenizers.Sequence([
        pre_tokenizers.Digits(individual_digits=True),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)]),
    "qwen2": lambda: pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(QWEN), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]),
}
BAR, LOW = "\uff5c", "\u2581"
# name, kind of tokenizer, its marks (role: text), how the file names them, whether it wants BOS
FAMILIES = [
    ("deepseek", "starcoder", dict(prefix=f"<{BAR}fim{LOW}begin{BAR}>", suffix=f"<{BAR}fim{LOW}hole{BAR}>", middle=f"<{BAR}fim{LOW}end{BAR}>"), None, True),
    ("qwen", "qwen2", dict(prefix="<|fim_prefix|>", suffix="<|fim_suffix|>", middle="<|fim_middle|>", pad="<|fim_pad|>", repository="<|repo_name|>", separator="<|file_sep|>"), "new", False),
    ("starcoder", "starcoder", dict(prefix="<fim_prefix>", suffix="<fim_suffix>", middle="<fim_middle>", pad="<fim_pad>", repository="<repo_name>", separator="<file_sep>"), None, False),
    ("granite", "starcoder", dict(prefix="<fim_prefix>", suffix="<fim_suffix>", middle="<fim_middle>", pad="<fim_pad>", repository="<reponame>", separator="<filename>"), None, False),
    ("codellama", "llama", dict(prefix=f"{LOW}<PRE>", suffix=f"{LOW}<SUF>", middle=f"{LOW}<MID>"), "old", True),
    ("codestral", "llama", dict(prefix="[PREFIX]", suffix="[SUFFIX]", middle="[MIDDLE]"), None, True),
    ("codestral-bare", "llama", dict(prefix="[PREFIX]", suffix="[SUFFIX]"), None, True),
    ("codegemma", "llama", dict(prefix="<|fim_prefix|>", suffix="<|fim_suffix|>", middle="<|fim_middle|>", separator="<|file_separator|>"), None, True),
    ("seed", "starcoder", dict(prefix="<[fim-prefix]>", suffix="<[fim-suffix]>", middle="<[fim-middle]>"), None, True),
    ("glm", "starcoder", dict(prefix="<|code_prefix|>", suffix="<|code_suffix|>", middle="<|code_middle|>"), None, False),
    ("other", "starcoder", dict(prefix="<hole-left>", suffix="<hole-right>", middle="<hole>"), "new", True),
    ("none", "starcoder", {}, None, True),
]
LONG = 1 << 20


# ---- vocabularies ----

def byte_level(pre):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = PRE[pre]()
    tokenizer.train_from_iterator(CORPUS, trainers.BpeTrainer(
        vocab_size=420, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False))
    data = json.loads(tokenizer.to_str())["model"]
    tokens = [text for text, _ in sorted(data["vocab"].items(), key=lambda item: item[1])]
    merges = [" ".join(pair) if isinstance(pair, list) else pair for pair in data["merges"]]
    return tokenizer, tokens, [NORMAL] * len(tokens), merges, None


def sentence_piece():
    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = pre_tokenizers.Metaspace(replacement=LOW, prepend_scheme="never")
    trained.train_from_iterator(CORPUS, trainers.BpeTrainer(vocab_size=160, show_progress=False))
    words = [text for text, _ in sorted(json.loads(trained.to_str())["model"]["vocab"].items(), key=lambda item: item[1])]
    words = [word for word in words if "\n" not in word and "\t" not in word and "\r" not in word]
    tokens = ["<unk>", "<s>", "</s>"] + [f"<0x{i:02X}>" for i in range(256)] + words
    kinds = [UNKNOWN, CONTROL, CONTROL] + [BYTE] * 256 + [NORMAL] * len(words)
    scores = [0.0] * 259 + [-float(i) for i in range(len(words))]
    ids = {text: i for i, text in enumerate(tokens)}
    # Any two neighbours whose whole is a token merge, the better score first.
    merges = [(text[:cut], text[cut:]) for text in sorted(words, key=lambda word: -scores[ids[word]])
              for cut in range(1, len(text)) if text[:cut] in ids and text[cut:] in ids]
    tokenizer = Tokenizer(models.BPE(vocab=ids, merges=merges, unk_token="<unk>", byte_fallback=True))
    tokenizer.normalizer = normalizers.Replace(" ", LOW)
    return tokenizer, tokens, kinds, [], scores


# ---- forms ----

def comment(family, path):
    if family == "deepseek":
        return "#" + path + "\n"
    return ("# " if path.endswith(".py") or "." not in path.split("/")[-1] else "// ") + path + "\n"


def ended(text):
    return text if not text or text.endswith("\n") else text + "\n"


def form(family, part, bos):
    """The request as a list of marks (strings in a tuple) and texts."""
    out = [("bos",)] if bos else []
    path, prefix, suffix = part["path"], part["prefix"], part["suffix"]
    if family in ("qwen", "starcoder", "granite", "codegemma"):
        if part["repository"] and family != "codegemma":
            out += [("repository",), part["repository"] + ("\n" if family == "qwen" else "")]
        for file in part["files"]:
            out += [("separator",), file[0] + "\n" + ended(file[1])]
        if path:
            out += [("separator",)]
        if family in ("starcoder", "granite"):
            out += [("prefix",), (path + "\n" if path else "") + prefix]
        else:
            out += ([path + "\n"] if path else []) + [("prefix",), prefix]
        return out + [("suffix",), suffix, ("middle",), part["middle"]]
    files = [comment(family, file[0]) + ended(file[1]) for file in part["files"]]
    before = files + [(comment(family, path) if path else "") + prefix]
    if family == "none":
        behind = suffix.split("\n", 1)[1] if "\n" in suffix else ""
        shown = [(comment(family, path) if path else "") + ended(behind)] if behind else []
        return out + shown + before + [part["middle"]]
    if family in ("codestral", "codestral-bare"):
        return out + [("suffix",), suffix, ("prefix",)] + before + [part["middle"]]
    if family == "seed":
        return out + [("suffix",), suffix, ("prefix",)] + before + [("middle",), part["middle"]]
    return out + [("prefix",)] + before + [("suffix",), suffix, ("middle",), part["middle"]]


def cases(has_pieces):
    whole = dict(repository="fathom", files=[["src/util.c", "int add(int a, int b);\n"], ["src/reader.py", "import os"]],
                 path="src/main.c", prefix="int main(void)\n{\n\treturn ", suffix=";\n}\n", middle="")
    plain = dict(whole, repository="", files=[], path="")
    yield "whole", whole
    yield "plain", plain
    yield "python", dict(whole, path="src/reader.py")
    yield "in a word", dict(plain, prefix="    retu", suffix="rn value;\n")
    yield "after a space", dict(plain, prefix="    return ", suffix="\n")
    yield "empty suffix", dict(whole, suffix="")
    yield "empty prefix", dict(whole, prefix="")
    yield "nothing", dict(plain, prefix="", suffix="")
    yield "line ends of two bytes", dict(plain, prefix="int main(void)\r\n{\r\n    return ", suffix="value;\r\n}\r\n")
    yield "tabs", dict(plain, prefix="\tif (a)\n\t\treturn\t", suffix="\t\t;\n")
    yield "utf-8", dict(plain, prefix="name = \"na\u00efve \u65e5\u672c\U0001f600", suffix="\u00e9\u4e2d\U0001f680\"\n")
    yield "spaces first", dict(plain, prefix="  value", suffix="  value")
    yield "seeded", dict(whole, middle="value + 1;\n\treturn ")
    marks = "".join(text for family in FAMILIES for text in family[2].values()) + "<s></s><|endoftext|>"
    if has_pieces:  # to that library a U+2581 of the text is a space; to the program it stays what it is
        marks = marks.replace(LOW, "")
    yield "marks in texts", dict(repository=marks, files=[[marks, marks]], path=marks, prefix=marks, suffix=marks, middle="")
    yield "a line of 1 MiB", dict(plain, prefix="value " * (LONG // 6), suffix=" value" * (LONG // 6))


def encode(tokenizer, marks, parts):
    ids = []
    for part in parts:
        if isinstance(part, tuple):
            ids.append(marks[part[0]])
        elif part:
            ids += tokenizer.encode(part, add_special_tokens=False).ids
    return ids


# ---- models ----

def write_model(path, tokens, kinds, merges, scores, pre, keys, bos, eos, add_bos):
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(4096)
    writer.add_embedding_length(32)
    writer.add_block_count(1)
    writer.add_feed_forward_length(32)
    writer.add_head_count(2)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("llama" if scores else "gpt2")
    if not scores:
        writer.add_tokenizer_pre(pre)
        writer.add_token_merges(merges)
    else:
        writer.add_token_scores(scores)
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    writer.add_bos_token_id(bos)
    writer.add_eos_token_id(eos)
    writer.add_add_bos_token(add_bos)
    for key, value in keys.items():
        writer.add_uint32(key, value)

    def zeros(name, *shape):
        writer.add_tensor(name, numpy.zeros(shape, dtype=numpy.float16 if len(shape) > 1 else numpy.float32))
    zeros("token_embd.weight", len(tokens), 32)
    zeros("output_norm.weight", 32)
    for name in ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"):
        zeros(f"blk.0.{name}.weight", 32, 32)
    zeros("blk.0.attn_norm.weight", 32)
    zeros("blk.0.ffn_norm.weight", 32)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main(folder):
    result = []
    for name, pre, marks, naming, wants_bos in FAMILIES:
        tokenizer, tokens, kinds, merges, scores = sentence_piece() if pre == "llama" else byte_level(pre)
        tokens, kinds = list(tokens), list(kinds)
        ids = {}

        def add(role, text):
            ids[role] = len(tokens)
            tokens.append(text)
            kinds.append(CONTROL)
            if scores:
                scores.append(0.0)
        if pre == "llama":
            ids["bos"], ids["eos"] = 1, 2
        else:
            add("eos", "<|endoftext|>")
            add("bos", "<|start|>")
        for role, text in marks.items():
            add(role, text)
        short = dict(prefix="pre", suffix="suf", middle="mid", pad="pad", repository="rep", separator="sep")
        keys = {}
        if naming == "new":
            keys = {f"tokenizer.ggml.fim_{short[role]}_token_id": ids[role] for role in marks}
        elif naming == "old":
            keys = {f"tokenizer.ggml.{role}_token_id": ids[role] for role in marks}
        write_model(os.path.join(folder, name + ".gguf"), tokens, kinds, merges, scores, pre, keys, ids["bos"], ids["eos"], wants_bos)
        entry = {"model": name, "marks": {role: ids[role] for role in marks}, "begin": ids["bos"] if wants_bos else -1, "cases": []}
        for title, part in cases(scores is not None):
            got = encode(tokenizer, ids, form(name, part, wants_bos))
            case = {"title": title}
            if len(got) > 5000:
                case.update(repeat=["value ", " value"], n=len(got), sha256=hashlib.sha256(numpy.array(got, dtype="<i4").tobytes()).hexdigest(),
                            sum=sum((i + 1) * (token + 1) for i, token in enumerate(got)) % (1 << 40))
            else:
                case.update(part, ids=got)
            entry["cases"].append(case)
        result.append(entry)
    with open(os.path.join(folder, "forms.json"), "w") as file:
        json.dump(result, file, ensure_ascii=True, separators=(",", ":"))
        file.write("\n")


main(sys.argv[1])
