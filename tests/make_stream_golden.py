#!/usr/bin/env python3
"""Writes tests/golden/stream_utf8.txt: byte strings and what Python's decode("utf-8", "replace") makes of them.

One case a line: the bytes in hexadecimal, a space, the UTF-8 of the decoded text in hexadecimal ("-" for nothing).
Usage: tests/make_stream_golden.py > tests/golden/stream_utf8.txt
"""
import random


def hexadecimal(data):
    return data.hex() or "-"


def cases():
    # The edges of every range in RFC 3629, section 4, then cut-off forms of them.
    edges = ["", "00", "7f", "80", "bf", "c0", "c080", "c1bf", "c280", "dfbf", "e0", "e080", "e09fbf", "e0a080", "e0a0",
             "ecbfbf", "ed9fbf", "eda080", "edbfbf", "ee8080", "efbfbd", "efbfbf", "f0", "f08080", "f08fbfbf", "f0908080",
             "f09080", "f3bfbfbf", "f48fbfbf", "f4908080", "f5808080", "f7bfbfbf", "f8888080", "fe", "ff", "fffe",
             "e28261", "f0908f61", "f09f98", "f09f9880", "c2c2a9", "e2e282ac", "f0f09f9880", "61ff62ed61f09f6263"]
    for edge in edges:
        yield bytes.fromhex(edge)
    generator = random.Random(20240607)
    leads = [0x61, 0x0a, 0x80, 0xbf, 0xc2, 0xdf, 0xe0, 0xe2, 0xed, 0xef, 0xf0, 0xf3, 0xf4, 0xff, 0xa0, 0x9f, 0x90, 0x8f]
    for _ in range(300):
        yield bytes(generator.choice(leads) for _ in range(generator.randrange(1, 20)))
    for _ in range(100):
        text = "".join(chr(generator.choice([0x41, 0xe9, 0x20ac, 0x1f600, 0x10ffff])) for _ in range(6)).encode()
        data = bytearray(text)
        del data[generator.randrange(len(data))]
        data[generator.randrange(len(data))] = generator.randrange(256)
        yield bytes(data)


for case in cases():
    print(hexadecimal(case), hexadecimal(case.decode("utf-8", "replace").encode("utf-8")))
