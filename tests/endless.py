"""A model whose answers never end by themselves, so that what stops one is what a test wants to see: the default model
with zeros for the embeddings of its end tokens.  It ties its output to them, so these tokens' logits are 0, and with
--temp 0 a token is chosen whose logit is far above that, on any machine and by any kernel."""

import struct

SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}  # of GGUF's fixed types, in bytes
TEXT, ARRAY, Q8_0 = 8, 9, 8
EMBEDDING, ENDS = "token_embd.weight", ("<|endoftext|>", "<|im_end|>")


class Reader:
    def __init__(self, file):
        self.file = file

    def number(self, form):
        return struct.unpack("<" + form, self.file.read(struct.calcsize(form)))[0]

    def text(self):
        return self.file.read(self.number("Q")).decode("utf-8", "replace")

    def value(self, kind):
        if kind == TEXT:
            return self.text()
        if kind == ARRAY:
            kind, count = self.number("I"), self.number("Q")
            return [self.value(kind) for _ in range(count)]
        return self.file.read(SIZES[kind])


def make(source, target):
    """Writes to the path target what the model at source becomes without ends; gives target."""
    with open(source, "rb") as file:
        reader = Reader(file)
        assert file.read(8) == b"GGUF" + struct.pack("<I", 3)
        n_tensors, n_keys = reader.number("Q"), reader.number("Q")
        keys = {reader.text(): reader.value(reader.number("I")) for _ in range(n_keys)}
        tensors = {}
        for _ in range(n_tensors):
            name = reader.text()
            shape = [reader.number("Q") for _ in range(reader.number("I"))]
            tensors[name] = (shape, reader.number("I"), reader.number("Q"))
        start = -(-file.tell() // 32) * 32
        file.seek(0)
        data = bytearray(file.read())
    (width, _), kind, offset = tensors[EMBEDDING]
    assert kind == Q8_0 and "output.weight" not in tensors and "general.alignment" not in keys
    row = width // 32 * 34
    for token in ENDS:
        at = start + offset + keys["tokenizer.ggml.tokens"].index(token) * row
        data[at:at + row] = bytes(row)
    with open(target, "wb") as file:
        file.write(data)
    return target
