#!/usr/bin/env python3
"""Makes tests/golden/engine/*.json: what independent programs compute with the default model.

    make_engine_golden.py MODEL.gguf tests/golden/engine

likely.json      20 prompts (token ids) and the 20 most likely next tokens of each, with log-probabilities, by HF
                 transformers in float32 on the weights that the `gguf` package dequantises.
perplexity.json  the perplexity of english.txt and source.txt by llama.cpp (llama-cpp-python), in the definition of
                 `fathom perplexity`: chunks of 512 tokens that don't overlap, the first half of each unscored.
                 "ppl" is its figure on the same weights written as F32; "ppl_rounded" on the file as it is, where it
                 rounds every layer's input to 8 bits, which costs 0.35 to 0.5 % on this small model.

Needs: torch, transformers, gguf, llama-cpp-python.  The test run needs none of them.
"""
import json
import math
import sys
import tempfile

import numpy as np

PROMPTS = [
    "The capital of France is",
    "def fibonacci(n):\n    if n < 2:\n        return",
    "#include <stdio.h>\n\nint main(void)\n{\n    printf(",
    "Once upon a time, in a village by the sea,",
    "<|im_start|>user\nWhat is a hash table?<|im_end|>\n<|im_start|>assistant\n",
    "SELECT name, COUNT(*) FROM users WHERE",
    "The quick brown fox jumps over the lazy",
    "1, 1, 2, 3, 5, 8, 13,",
    "import numpy as np\n\nx = np.zeros((3, 4))\nprint(x.",
    "Die Hauptstadt von Deutschland ist",
    "for (size_t i = 0; i < n; i++)\n    sum +=",
    "Water boils at a temperature of",
    "git commit -m \"",
    "class Stack:\n    def __init__(self):\n        self.items = []\n\n    def push(self, item):\n        self.",
    "A binary search takes logarithmic time because",
    "日本の首都は",
    "{\"name\": \"fathom\", \"version\":",
    "struct node {\n    int value;\n    struct node *",
    "To be, or not to be, that is the",
    "Dear Sir or Madam,\n\nI am writing to",
]


def read_weights(path):
    """The tensors of a llama GGUF as float32, in the names and head order of transformers."""
    import gguf

    reader = gguf.GGUFReader(path)
    field = lambda key: reader.fields["llama." + key].contents()
    tensors = {t.name: gguf.quants.dequantize(t.data, t.tensor_type).astype(np.float32) for t in reader.tensors}
    n_head, n_head_kv = field("attention.head_count"), field("attention.head_count_kv")

    def by_halves(weight, heads):  # GGUF keeps rotated pairs adjacent, transformers keeps them half a head apart
        rows, cols = weight.shape
        return weight.reshape(heads, rows // heads // 2, 2, cols).swapaxes(1, 2).reshape(rows, cols)

    names = {"attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm", "attn_q": "self_attn.q_proj",
             "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj",
             "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj"}
    state = {"model.embed_tokens.weight": tensors["token_embd.weight"], "model.norm.weight": tensors["output_norm.weight"]}
    state["lm_head.weight"] = tensors.get("output.weight", tensors["token_embd.weight"])
    for i in range(field("block_count")):
        for ours, theirs in names.items():
            weight = tensors[f"blk.{i}.{ours}.weight"]
            if ours in ("attn_q", "attn_k"):
                weight = by_halves(weight, n_head if ours == "attn_q" else n_head_kv)
            state[f"model.layers.{i}.{theirs}.weight"] = weight
    return field, state, tensors["token_embd.weight"].shape[0]


def make_likely(path):
    import torch
    from llama_cpp import Llama
    from transformers import LlamaConfig, LlamaForCausalLM

    field, state, n_vocab = read_weights(path)
    config = LlamaConfig(
        vocab_size=n_vocab, hidden_size=field("embedding_length"), intermediate_size=field("feed_forward_length"),
        num_hidden_layers=field("block_count"), num_attention_heads=field("attention.head_count"),
        num_key_value_heads=field("attention.head_count_kv"), rms_norm_eps=field("attention.layer_norm_rms_epsilon"),
        rope_theta=field("rope.freq_base"), max_position_embeddings=field("context_length"), tie_word_embeddings=False,
        attn_implementation="eager")
    if getattr(config, "rope_parameters", None):
        config.rope_parameters["rope_theta"] = field("rope.freq_base")
    model = LlamaForCausalLM(config).to(torch.float32).eval()
    model.load_state_dict({k: torch.from_numpy(np.ascontiguousarray(v)) for k, v in state.items()}, strict=True)
    vocabulary = Llama(path, vocab_only=True, verbose=False)
    result = []
    for prompt in PROMPTS:
        ids = vocabulary.tokenize(prompt.encode(), add_bos=False, special=True)
        with torch.no_grad():
            logprobs = torch.log_softmax(model(torch.tensor([ids])).logits[0, -1].double(), dim=-1)
        top = torch.topk(logprobs, 20)
        result.append({"prompt": prompt, "ids": ids, "top": [{"id": int(i), "logprob": round(float(p), 6)}
                                                              for p, i in zip(top.values, top.indices)]})
    return result


def write_as_f32(path, out):
    """The same model with every weight dequantised."""
    import gguf

    reader = gguf.GGUFReader(path)
    writer = gguf.GGUFWriter(out, reader.fields["general.architecture"].contents())
    for name, field in reader.fields.items():
        if name.startswith("GGUF.") or name in ("general.architecture", "general.file_type"):
            continue
        sub_type = field.types[-1] if field.types[0] == gguf.GGUFValueType.ARRAY else None
        writer.add_key_value(name, field.contents(), field.types[0], sub_type=sub_type)
    for tensor in reader.tensors:
        writer.add_tensor(tensor.name, gguf.quants.dequantize(tensor.data, tensor.tensor_type).astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def measure_perplexity(path, folder):
    from llama_cpp import Llama

    n_chunk = 512
    llama = Llama(path, n_ctx=n_chunk, n_batch=n_chunk, logits_all=True, verbose=False)
    adds_bos = llama.metadata.get("tokenizer.ggml.add_bos_token", "false") == "true"
    result = {}
    for name in ("english.txt", "source.txt"):
        with open(f"{folder}/{name}", "rb") as file:
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
        result[name] = {"ppl": math.exp(nll / n_scored), "n_scored": n_scored, "n_tokens": len(ids)}
    return result


def make_perplexity(path, folder):
    with tempfile.NamedTemporaryFile(suffix=".gguf") as exact:
        write_as_f32(path, exact.name)
        result = measure_perplexity(exact.name, folder)
    for name, figures in measure_perplexity(path, folder).items():
        result[name]["ppl_rounded"] = figures["ppl"]
    return result


def main():
    path, folder = sys.argv[1:]
    for name, value in (("likely", make_likely(path)), ("perplexity", make_perplexity(path, folder))):
        with open(f"{folder}/{name}.json", "w", encoding="utf-8") as file:
            json.dump(value, file, ensure_ascii=False, indent=1 if name == "perplexity" else None,
                      separators=(",", ":") if name == "likely" else None)
            file.write("\n")


if __name__ == "__main__":
    main()
