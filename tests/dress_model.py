"""Writes a model again with other words around the same weights:

    dress_model.py MODEL.gguf OUT.gguf [--template FILE] [--token ID=TEXT]... [--id KEY=ID]... [--drop KEY]...

--template puts a chat template there, --token gives a token another text and makes it a control token, --id writes a whole
number under a key (tokenizer.ggml.fim_pre_token_id).  So the marks and templates of families that are too large to be tested
can be tried on a model that is at hand; what it answers is worth nothing then, what it is asked is."""

import argparse
import struct

SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
TEXT, ARRAY, U32, I32 = 8, 9, 4, 5
CONTROL = 3  # of tokenizer.ggml.token_type


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, size):
        self.at += size
        return self.data[self.at - size:self.at]

    def number(self, kind):
        return struct.unpack(kind, self.take(struct.calcsize(kind)))[0]

    def text(self):
        return self.take(self.number("<Q"))

    def value(self, kind):
        """The bytes of a value, as they stand there."""
        begin = self.at
        if kind == TEXT:
            self.text()
        elif kind == ARRAY:
            kind, n = self.number("<I"), self.number("<Q")
            if kind == TEXT:
                for _ in range(n):
                    self.text()
            else:
                self.take(n * SIZES[kind])
        else:
            self.take(SIZES[kind])
        return self.data[begin:self.at]


def text_of(text):
    return struct.pack("<Q", len(text)) + text


def rename(tokens, types, names):
    """The two arrays with other texts at some places."""
    reader = Reader(tokens)
    kind, n = reader.number("<I"), reader.number("<Q")
    texts = [reader.text() for _ in range(n)]
    flags = list(struct.unpack_from(f"<{n}i", types, 12))
    for at, text in names.items():
        texts[at], flags[at] = text.encode(), CONTROL
    return (struct.pack("<IQ", kind, n) + b"".join(map(text_of, texts)), struct.pack("<IQ", I32, n) + struct.pack(f"<{n}i", *flags))


def dress(source, target, template=None, tokens=(), ids=(), drop=()):
    """tokens: (id, text) pairs; ids: (key, id) pairs; drop: keys."""
    with open(source, "rb") as file:
        data = file.read()
    reader = Reader(data)
    magic, version, n_tensors, n_keys = reader.take(4), reader.number("<I"), reader.number("<Q"), reader.number("<Q")
    assert magic == b"GGUF", source
    keys = {}
    for _ in range(n_keys):
        key, kind = reader.text().decode(), reader.number("<I")
        keys[key] = (kind, reader.value(kind))
    begin = reader.at
    for _ in range(n_tensors):
        reader.text()
        reader.take(8 * reader.number("<I") + 12)
    tensors = data[begin:reader.at]
    alignment = struct.unpack("<I", keys["general.alignment"][1])[0] if "general.alignment" in keys else 32
    weights = data[-(-reader.at // alignment) * alignment:]
    for key in drop:
        keys.pop(key, None)
    if tokens:
        (_, words), (_, types) = keys["tokenizer.ggml.tokens"], keys["tokenizer.ggml.token_type"]
        words, types = rename(words, types, dict(tokens))
        keys["tokenizer.ggml.tokens"], keys["tokenizer.ggml.token_type"] = (ARRAY, words), (ARRAY, types)
    if template is not None:
        keys["tokenizer.chat_template"] = (TEXT, text_of(template.encode()))
    for key, number in ids:
        keys[key] = (U32, struct.pack("<I", number))
    head = magic + struct.pack("<IQQ", version, n_tensors, len(keys))
    head += b"".join(text_of(key.encode()) + struct.pack("<I", kind) + value for key, (kind, value) in keys.items()) + tensors
    with open(target, "wb") as file:
        file.write(head + b"\0" * (-len(head) % alignment) + weights)


# What SmolLM2's vocabulary calls by these names stands for nothing else: 3 to 5 become the marks of a middle.
def with_fim_marks(source, target):
    dress(source, target, tokens=((3, "<fim_prefix>"), (4, "<fim_suffix>"), (5, "<fim_middle>")))


def pair(text):
    left, _, right = text.partition("=")
    return left, right


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("out")
    parser.add_argument("--template", type=argparse.FileType(encoding="utf-8"))
    parser.add_argument("--token", type=pair, action="append", default=[])
    parser.add_argument("--id", type=pair, action="append", default=[])
    parser.add_argument("--drop", action="append", default=[])
    options = parser.parse_args()
    dress(options.model, options.out, options.template.read() if options.template else None,
          [(int(at), text) for at, text in options.token], [(key, int(number)) for key, number in options.id], options.drop)


if __name__ == "__main__":
    main()
