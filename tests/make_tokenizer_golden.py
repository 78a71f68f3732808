#!/usr/bin/env python3
"""Makes the golden files of the pre-tokenizers for which no public vectors exist, by the `tokenizers` library.

    make_tokenizer_golden.py MODEL.gguf VOCABULARY.gguf FOLDER

MODEL is SmolLM2 (pre-tokenizer smollm), VOCABULARY is llama.cpp's ggml-vocab-deepseek-llm.gguf, whose tokens and merges
are used with the expressions of deepseek-v3.  Writes FOLDER/tokenizer_smollm.txt and FOLDER/tokenizer_deepseek-v3.txt:
a line a text, its bytes in hexadecimal ("-" for none), a colon, the ids.

Needs the packages tokenizers and gguf.
"""
import random
import sys

import gguf
from tokenizers import AddedToken, Regex, Tokenizer, models, pre_tokenizers

# The pre-tokenizers as the models' tokenizer.json files have them.
SMOLLM = pre_tokenizers.Sequence([
    pre_tokenizers.Digits(individual_digits=True),
    pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
])
DEEPSEEK_V3 = pre_tokenizers.Sequence([
    pre_tokenizers.Split(Regex(r"\p{N}{1,3}"), "isolated"),
    pre_tokenizers.Split(Regex("[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+"), "isolated"),
    pre_tokenizers.Split(Regex(
        r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*"""
        r"""|\s*[\r\n]+|\s+(?!\S)|\s+"""), "isolated"),
    pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
])

TEXTS = [
    "", " ", "  ", "   ", "\t", "\n", "\n\n", "\r\n", "\r\n\r\n", " \n", "\n ", "\t\t\n  \n", "a", " a", "a ", "a  b",
    "Hello, world!", "Hello world  ", "  leading", "trailing   \n", "one\ttwo\t\tthree", "x\u00a0y", "\u00a0\u00a0z",
    "0", "12", "123", "1234", "12345", "1234567890", "3.14159", "1,000,000", "0xdeadBEEF", "1e-10", "v1.2.3-rc4",
    "\u0661\u0662\u0663\u0664", "\u00bd \u00b2 \u2167 \u2460", "x86_64", "int32_t", "abc123def456",
    "it's we'll they've I'm you're he'd can't", "IT'S WE'LL THEY'VE I'M YOU'RE HE'D CAN'T", "'s 't 'RE ''s", "'\u017f",
    "don\u2019t \u201cquote\u201d \u2018single\u2019 \u00abguillemets\u00bb", "\u2026 \u2014 \u2013 \u2022",
    "\u6211\u60f3\u5728\u82f9\u679c\u5de5\u4f5c1314151\u5929\uff5e", "\u65e5\u672c\u8a9e\u306e\u30c6\u30ad\u30b9\u30c8\u3067\u3059\u3002", "\u3053\u3093\u306b\u3061\u306f world",
    "\uc548\ub155\ud558\uc138\uc694 \uc138\uacc4", "\u4e2d\u6587abc\u4e2d\u6587123\u4e2d\u6587", "\u3000\u3000\u5168\u89d2\u3000space", "\uff21\uff22\uff23\uff11\uff12\uff13\uff01\uff1f",
    "\U00020000\U0002a6df \U0001f600", "\U0001f680 (normal) \U0001f636\u200d\U0001f32b\ufe0f \u2705",
    "\U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466", "\U0001f1e9\U0001f1ea\U0001f1eb\U0001f1f7", "\U0001f44d\U0001f3fd", "e\u0301 n\u0303 a\u0308\u0323",
    "r\u00e9sum\u00e9 na\u00efve \u00c5ngstr\u00f6m \u00d8re", "\u0928\u092e\u0938\u094d\u0924\u0947 \u0926\u0941\u0928\u093f\u092f\u093e", "\u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35\u0e0a\u0e32\u0e27\u0e42\u0e25\u0e01", "\u05e9\u05dc\u05d5\u05dd \u05e2\u05d5\u05dc\u05dd", "\u0645\u0631\u062d\u0628\u0627 \u0628\u0627\u0644\u0639\u0627\u0644\u0645",
    "\u202eright to left\u202c", "\u200f\u05d0\u200e", "\u043d\u0435\u0449\u043e \u043d\u0430 \u0411\u044a\u043b\u0433\u0430\u0440\u0441\u043a\u0438", "\u0395\u03bb\u03bb\u03b7\u03bd\u03b9\u03ba\u03ac", "\u1780\u17b6\u1793\u17cb\u178f\u17c2",
    "\ufeffbom", "a\u200bb\u200cc\u200dd", "\u180e\u180e", "a\u180eb", "\u0085x\u0085", "\u2028\u2029", " \u2003\u2009 wide", "\u1680ogham",
    "\u0000", "a\u0000b", "\u0001\u0002\u0003", "\u001b[31mred\u001b[0m", "\u007f", "\u0080\u009f", "\ufffd", "\ufffd\ufffdx", "\uffff", "\U0010ffff",
    "int main(void)\n{\n\treturn 0;\n}\n", "\tif (x) {\r\n\t\ty();\r\n\t}\r\n", "def f(x):\n    return x ** 2  # square\n",
    "for (i = 0; i < n; i++) a[i] += b[i] * c;", "#include <stdio.h>\n#define X(a, b) a##b\n", "SELECT * FROM t WHERE a <> 'b';",
    "fn main() -> Result<(), Box<dyn Error>> {}", "<div class=\"x\">&nbsp;</div>", "https://example.org/a?b=c&d=%20#e", "C:\\Users\\x\\y",
    "a.b.c->d::e", "!!!", "??!!", "...", "....", "-----", "=====>", "/* c */ // c", "{{}}[[]](())", "$x @y #z %w ^v &u *t",
    "`code` ```block```", "~/.config/fathom", "snake_case camelCase PascalCase SCREAMING_CASE kebab-case",
    "<|endoftext|>", "<|im_start|>user\nhi<|im_end|>\n", "<\uff5cbegin\u2581of\u2581sentence\uff5c>", "\u2581", "a\u2581b",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", " " * 65, "\n" * 33, "\t" * 17, "0" * 40, "\u00e9" * 20,
    "\u00f6 \u00fc \u00f8 \u00fe \u00c0 \u00c1 \u00ff", "sch\u00f6n f\u00fcr \u00fcber",
]

# What random texts are put together from: the borders between these are where pre-tokenizers differ.
PARTS = [" ", "  ", "\n", "\r\n", "\r", "\t", "\u00a0", "\u3000", "\u0085", "\u2028", "a", "the", "Z", "word", "\u00e9", "e\u0301", "\u00df", "\u01c5", "\u02b0", "\u4e2d", "\u6587", "\u3042", "\u30ab", "\ud55c",
         "1", "22", "333", "4444", "\u0663", "\u00bd", "\u2167", "'", "'s", "'LL", "'t", "\u2019", "!", "?!", ".", ",", "-", "_", "(", ")", "[", "{", "#", "$", "+", "<", "=", "|", "~", "`",
         "\u00a9", "\u20ac", "\u2192", "\U0001f600", "\u200d", "\ufe0f", "\u0301", "\u0001", "\u00ad", "\ufffd", "/", "\\", "\"", "\u3002", "\uff0c", "\U0001f1e9", "\u0e01\u0e34", "\u0915\u094d", "\u200b"]


def read_vocabulary(path):
    fields = gguf.GGUFReader(path).fields
    array = lambda key: [bytes(fields[key].parts[i]) for i in fields[key].data]
    tokens = [t.decode("utf-8") for t in array("tokenizer.ggml.tokens")]
    kinds = [int(fields["tokenizer.ggml.token_type"].parts[i][0]) for i in fields["tokenizer.ggml.token_type"].data]
    merges = [tuple(m.decode("utf-8").split(" ", 1)) for m in array("tokenizer.ggml.merges")]
    return tokens, kinds, merges


def make(path, pre_tokenizer):
    tokens, kinds, merges = read_vocabulary(path)
    tokenizer = Tokenizer(models.BPE({t: i for i, t in enumerate(tokens)}, merges))
    tokenizer.pre_tokenizer = pre_tokenizer
    # User-defined tokens are found in any text; those in brackets only by the template, so they are not added here.
    tokenizer.add_tokens([AddedToken(t, normalized=False) for t, k in zip(tokens, kinds)
                          if k == 4 and not (t[0] + t[-1] in ("<>", "[]"))])
    return tokenizer


def write(path, tokenizer):
    chance = random.Random(20250211)
    texts = TEXTS + ["".join(chance.choices(PARTS, k=chance.randint(1, 24))) for _ in range(400)]
    with open(path, "w", encoding="ascii") as file:
        for text in texts:
            ids = tokenizer.encode(text, add_special_tokens=False).ids
            file.write(f"{text.encode('utf-8').hex() or '-'}:{''.join(f' {i}' for i in ids)}\n")


def main():
    model, vocabulary, folder = sys.argv[1:]
    write(f"{folder}/tokenizer_smollm.txt", make(model, SMOLLM))
    write(f"{folder}/tokenizer_deepseek-v3.txt", make(vocabulary, DEEPSEEK_V3))


main()
