#!/usr/bin/env python3
"""Writes a model that copies:  make_repeat_model.py VOCABULARY.gguf OUT.gguf

It goes on as the text went on behind an earlier occurrence of its last four tokens, or of as many of them as ever stood
together: the induction head of Olsson and others (2022), with weights set by hand.  So it can use any context that repeats,
knows nothing else, and shows whether the right context was put before a model, without a large one.

The vocabulary is that of the given model.  Architecture llama, two layers without feed-forward, one key and value head:

  a token     96 random signs (its code), and a constant
  layer 1     head m looks m tokens back, by rotation alone, and puts that token's code into the m-th room beside the code
  layer 2     the codes of the last four tokens ask; of each place the four tokens before it answer.  The code of the token
              that stands there is added to the residual stream
  logits      by the same codes

Weights of the four matches are such that a nearer token counts more than all farther ones."""

import math
import random
import struct
import sys

CODE, BACK = 96, 4                       # signs of a code, tokens looked back at
ROTATED = 128                            # of a head's width, in layer 1 alone of use
WIDTH = ROTATED + BACK * CODE            # of a key
EMBEDDING = CODE * (1 + BACK) + 32       # code, rooms, constant
CONSTANT = 8.0
BASE = 10000.0
LOOK = 16.0                              # how strongly layer 1 looks at one place
MATCH = (1.0, 0.45, 0.3, 0.2)
SHARPNESS = 0.55                         # nats a sign that agrees
ADDED = 12.0                             # how much more what is copied counts than the token itself
OUTPUT = 0.15
N_FF = 32
N_CTX = 16384

SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
TEXT, ARRAY = 8, 9
F32, Q8_0 = 0, 8


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def number(self, kind):
        size = struct.calcsize(kind)
        value = struct.unpack_from(kind, self.data, self.at)[0]
        self.at += size
        return value

    def text(self):
        size = self.number("<Q")
        self.at += size
        return self.data[self.at - size:self.at]

    def skip(self, kind):
        if kind == TEXT:
            self.text()
        elif kind == ARRAY:
            kind, n = self.number("<I"), self.number("<Q")
            if kind == TEXT:
                for _ in range(n):
                    self.text()
            else:
                self.at += n * SIZES[kind]
        else:
            self.at += SIZES[kind]


def read_vocabulary(path):
    """The raw bytes of the keys tokenizer.*, and the number of tokens."""
    with open(path, "rb") as file:
        reader = Reader(file.read(64 << 20))
    if reader.data[:4] != b"GGUF":
        sys.exit(f"make_repeat_model: {path}: not a GGUF file")
    reader.at = 8
    reader.number("<Q")
    keys, n_tokens = [], 0
    for _ in range(reader.number("<Q")):
        begin = reader.at
        name = reader.text()
        kind = reader.number("<I")
        if name == b"tokenizer.ggml.tokens":
            n_tokens = struct.unpack_from("<Q", reader.data, reader.at + 4)[0]
        reader.skip(kind)
        # Chat templates say what this model can't do.
        if name.startswith(b"tokenizer.") and name != b"tokenizer.chat_template":
            keys.append(reader.data[begin:reader.at])
    return keys, n_tokens


def put_text(text):
    return struct.pack("<Q", len(text)) + text


def put_key(name, kind, value):
    head = put_text(name.encode()) + struct.pack("<I", kind)
    return head + (put_text(value.encode()) if kind == TEXT else struct.pack({4: "<I", 6: "<f"}[kind], value))


def matrix(n_rows, n_columns, cells):
    """Bytes of an F32 matrix that is zero but for cells {(row, column): value}."""
    rows = bytearray(4 * n_rows * n_columns)
    for (row, column), value in cells.items():
        struct.pack_into("<f", rows, 4 * (row * n_columns + column), value)
    return bytes(rows)


def embedding(n_tokens):
    """Q8_0: three blocks of signs, the rooms' zeros, and the constant."""
    unit = struct.pack("<e", 1 / 127)
    signs = [bytes((127 if byte >> bit & 1 else 129) for bit in range(8)) for byte in range(256)]  # 129: -127
    rest = (b"\0" * 34) * (BACK * CODE // 32) + struct.pack("<e", CONSTANT / 127) + b"\x7f" + b"\0" * 31
    bits = random.Random("repeat")
    rows = []
    for _ in range(n_tokens):
        code = b"".join(signs[byte] for byte in bits.randbytes(CODE // 8))
        rows += [unit, code[:32], unit, code[32:64], unit, code[64:], rest]
    return b"".join(rows)


def looking_back(scale):
    """Queries and keys of layer 1, out of the constant alone, and its output."""
    query, key = {}, {}
    constant = CODE * (1 + BACK)
    for pair in range(ROTATED // 2):
        turn = BASE ** (-2 * pair / ROTATED)
        key[2 * pair, constant] = LOOK / (CONSTANT * scale)
        for head in range(BACK):
            row = head * WIDTH + 2 * pair
            query[row, constant] = LOOK * math.cos((head + 1) * turn) / (CONSTANT * scale)
            query[row + 1, constant] = -LOOK * math.sin((head + 1) * turn) / (CONSTANT * scale)
    value = {(i, i): 1 / scale for i in range(CODE)}
    output = {(CODE * (1 + head) + i, head * CODE + i): 1.0 for head in range(BACK) for i in range(CODE)}
    return query, key, value, output


def matching(scale):
    query, key = {}, {}
    each = math.sqrt(SHARPNESS * math.sqrt(WIDTH)) / scale
    for back in range(BACK):
        for i in range(CODE):
            query[ROTATED + back * CODE + i, back * CODE + i] = each * MATCH[back]
            key[ROTATED + back * CODE + i, (1 + back) * CODE + i] = each
    value = {(i, i): 1 / scale for i in range(CODE)}
    output = {(i, i): ADDED for i in range(CODE)}
    return query, key, value, output


def tensors(n_tokens):
    """(name, type, (columns, rows), bytes)"""
    def ones(name, value=1.0):
        return name, F32, (EMBEDDING,), struct.pack("<f", value) * EMBEDDING

    yield "token_embd.weight", Q8_0, (EMBEDDING, n_tokens), embedding(n_tokens)
    norms = [math.sqrt(EMBEDDING / (CODE * n + CONSTANT ** 2)) for n in (1, 1 + BACK)]
    for layer, weights in enumerate((looking_back(norms[0]), matching(norms[1]))):
        query, key, value, output = weights
        block = f"blk.{layer}."
        yield ones(block + "attn_norm.weight")
        yield block + "attn_q.weight", F32, (EMBEDDING, BACK * WIDTH), matrix(BACK * WIDTH, EMBEDDING, query)
        yield block + "attn_k.weight", F32, (EMBEDDING, WIDTH), matrix(WIDTH, EMBEDDING, key)
        yield block + "attn_v.weight", F32, (EMBEDDING, CODE), matrix(CODE, EMBEDDING, value)
        yield block + "attn_output.weight", F32, (BACK * CODE, EMBEDDING), matrix(EMBEDDING, BACK * CODE, output)
        yield ones(block + "ffn_norm.weight")
        for name, shape in (("gate", (EMBEDDING, N_FF)), ("up", (EMBEDDING, N_FF)), ("down", (N_FF, EMBEDDING))):
            yield f"{block}ffn_{name}.weight", F32, shape, bytes(4 * shape[0] * shape[1])
    yield ones("output_norm.weight", OUTPUT)


def main(arguments):
    vocabulary, n_tokens = read_vocabulary(arguments[0])
    keys = [put_key("general.architecture", TEXT, "llama"), put_key("general.name", TEXT, "repeat")]
    for name, kind, value in (("context_length", 4, N_CTX), ("embedding_length", 4, EMBEDDING), ("block_count", 4, 2),
                              ("feed_forward_length", 4, N_FF), ("attention.head_count", 4, BACK),
                              ("attention.head_count_kv", 4, 1), ("attention.key_length", 4, WIDTH),
                              ("attention.value_length", 4, CODE), ("rope.dimension_count", 4, ROTATED),
                              ("attention.layer_norm_rms_epsilon", 6, 1e-6), ("rope.freq_base", 6, BASE),
                              ("vocab_size", 4, n_tokens)):
        keys.append(put_key("llama." + name, kind, value))
    keys += vocabulary
    heads, data, offset = [], [], 0
    for name, kind, shape, content in tensors(n_tokens):
        heads.append(put_text(name.encode()) + struct.pack("<I", len(shape)) + struct.pack(f"<{len(shape)}Q", *shape)
                     + struct.pack("<IQ", kind, offset))
        content += b"\0" * (-len(content) % 32)
        data.append(content)
        offset += len(content)
    head = b"GGUF" + struct.pack("<IQQ", 3, len(heads), len(keys)) + b"".join(keys) + b"".join(heads)
    with open(arguments[1], "wb") as file:
        file.write(head + b"\0" * (-len(head) % 32))
        file.writelines(data)


if __name__ == "__main__":
    main(sys.argv[1:])
