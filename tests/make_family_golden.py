#!/usr/bin/env python3
"""Makes tests/golden/families/*.json: log-probabilities that HF transformers computes for models of random weights.

    make_family_golden.py build/tests/tools/synth tests/golden/families [CASE ...]

For each case the generator writes the model; the `gguf` package reads it; its weights go into the transformers class of the
family (float64 where that code allows it, eager attention); 300 fixed token ids are evaluated.  Stored after 1, 2, 17
and 300 of them:

    ids, logprobs   the 8 most likely tokens and 24 spread over the vocabulary
    mean            the mean log-probability over the vocabulary
    entropy         of the distribution

llama.cpp (llama-cpp-python, F32 cache) evaluates the same file as the second judge; "llama.cpp" keeps the greatest difference of
any log-probability between both, and the median over the 300 places of the greatest at each: a median far below the
greatest is a choice of experts that fell out otherwise somewhere.  Where it does otherwise than the model's authors,
"note" says what, "difference_by_its_rule" is the difference that remains when transformers is made to do the same, and
transformers as it is stays the reference.

Needs: torch, transformers, gguf, llama-cpp-python.  The test run needs none of them.
"""
import json
import os
import random
import subprocess
import sys
import tempfile

import numpy as np

POINTS = (1, 2, 17, 300)

# name: shape, seed, changed fields.  llama.cpp takes deepseek2 files without q_lora for Lite only at 27 layers.
CASES = {name: (name, 1, {}) for name in (
    "llama", "llama-3.1", "llama-linear", "llama-gqa", "mixtral", "qwen2", "qwen2-yarn", "qwen3", "qwen3moe", "starcoder2",
    "starcoder2-window", "lite-old", "lite-new", "lite-fused", "lite-f16", "lite-q8_0", "lite-q4_k_m", "v2", "v3", "v3-plain",
    "v3-nextn")}
CASES.update({
    "llama-seed-7": ("llama", 7, {"n_layer": 5, "n_embd": 80, "n_head": 5, "n_head_kv": 5, "n_vocab": 301}),
    "qwen3moe-seed-7": ("qwen3moe", 7, {"n_embd": 72, "n_head": 6, "n_head_kv": 3, "n_head_width": 20, "n_expert": 24,
                                        "n_expert_used": 7, "n_ff_exp": 28}),
    "lite-new-seed-7": ("lite-new", 7, {"n_embd": 108, "n_head": 3, "kv_lora_rank": 52, "n_nope": 20, "n_rot": 12, "n_value": 28,
                                        "n_expert": 10, "n_expert_used": 3, "n_expert_shared": 1, "n_dense_lead": 2}),
    "v2-seed-7": ("v2", 7, {"n_expert": 20, "n_group": 5, "n_group_used": 2, "n_expert_used": 4, "q_lora_rank": 52}),
    "v3-seed-7": ("v3", 7, {"n_embd": 160, "n_head": 5, "n_expert": 36, "n_group": 6, "n_group_used": 3, "n_expert_used": 8,
                            "n_layer": 5}),
})

ROUNDED = ("lite-f16", "lite-q8_0", "lite-q4_k_m")


class File:
    """A GGUF: keys without the architecture's prefix, tensors as float64."""

    def __init__(self, path):
        import gguf

        reader = gguf.GGUFReader(path)
        self.arch = reader.fields["general.architecture"].contents()
        self.keys = {name.removeprefix(self.arch + "."): field.contents() for name, field in reader.fields.items()
                     if name.startswith(self.arch + ".")}
        self.tensors = {t.name: gguf.quants.dequantize(t.data, t.tensor_type).astype(np.float64) for t in reader.tensors}
        self.n_vocab = self.tensors["token_embd.weight"].shape[0]
        self.n_layer = self.keys["block_count"] - self.keys.get("nextn_predict_layers", 0)

    def get(self, key, default=None):
        return self.keys.get(key, default)


# ---- configurations ----

def rope_parameters(f):
    parameters = {"rope_type": f.get("rope.scaling.type", "default"), "rope_theta": f.get("rope.freq_base")}
    if parameters["rope_type"] != "default":
        parameters["factor"] = f.get("rope.scaling.factor")
    if parameters["rope_type"] == "yarn":
        parameters.update(original_max_position_embeddings=f.get("rope.scaling.original_context_length"), beta_fast=32.0, beta_slow=1.0)
        if f.get("rope.scaling.yarn_log_multiplier"):
            scale = round(10 * f.get("rope.scaling.yarn_log_multiplier"), 6)  # stored times 0.1
            parameters.update(mscale=scale, mscale_all_dim=scale)
    return parameters


def common(f):
    return dict(
        vocab_size=f.n_vocab, hidden_size=f.get("embedding_length"), intermediate_size=f.get("feed_forward_length"),
        num_hidden_layers=f.n_layer, num_attention_heads=f.get("attention.head_count"),
        num_key_value_heads=f.get("attention.head_count_kv"), max_position_embeddings=f.get("context_length"),
        rms_norm_eps=f.get("attention.layer_norm_rms_epsilon"), rope_parameters=rope_parameters(f), tie_word_embeddings=False,
        attn_implementation="eager", experts_implementation="eager")


def deepseek(f):
    latent = f.get("attention.key_length_mla", f.get("attention.key_length"))
    return dict(
        common(f), num_key_value_heads=f.get("attention.head_count"), q_lora_rank=f.get("attention.q_lora_rank"),
        kv_lora_rank=f.get("attention.kv_lora_rank"), qk_rope_head_dim=f.get("rope.dimension_count"),
        qk_nope_head_dim=latent - f.get("rope.dimension_count"),
        v_head_dim=f.get("attention.value_length_mla", f.get("attention.value_length")),
        n_routed_experts=f.get("expert_count"), num_experts_per_tok=f.get("expert_used_count"),
        n_shared_experts=f.get("expert_shared_count"), moe_intermediate_size=f.get("expert_feed_forward_length"),
        first_k_dense_replace=f.get("leading_dense_block_count", 0), routed_scaling_factor=f.get("expert_weights_scale", 1.0),
        norm_topk_prob=f.get("expert_weights_norm", False))


def make_model(f):
    import transformers as t

    if f.arch == "llama" and f.get("expert_count"):
        return t.MixtralForCausalLM(t.MixtralConfig(**dict(
            common(f), num_local_experts=f.get("expert_count"), num_experts_per_tok=f.get("expert_used_count"))))
    if f.arch == "llama":
        return t.LlamaForCausalLM(t.LlamaConfig(**common(f)))
    if f.arch == "qwen2":
        return t.Qwen2ForCausalLM(t.Qwen2Config(**common(f)))
    if f.arch == "qwen3":
        return t.Qwen3ForCausalLM(t.Qwen3Config(**dict(common(f), head_dim=f.get("attention.key_length"))))
    if f.arch == "qwen3moe":
        return t.Qwen3MoeForCausalLM(t.Qwen3MoeConfig(**dict(
            common(f), head_dim=f.get("attention.key_length"), num_experts=f.get("expert_count"),
            num_experts_per_tok=f.get("expert_used_count"), moe_intermediate_size=f.get("expert_feed_forward_length"),
            norm_topk_prob=True, decoder_sparse_step=1, mlp_only_layers=[])))
    if f.arch == "starcoder2":
        config = common(f)
        del config["rms_norm_eps"]
        return t.Starcoder2ForCausalLM(t.Starcoder2Config(**dict(
            config, norm_epsilon=f.get("attention.layer_norm_epsilon"), use_bias=True, sliding_window=f.get("attention.sliding_window"))))
    assert f.arch == "deepseek2", f.arch
    if f.get("expert_gating_func", 1) == 2:
        return t.DeepseekV3ForCausalLM(t.DeepseekV3Config(**dict(
            deepseek(f), n_group=f.get("expert_group_count", 1), topk_group=f.get("expert_group_used_count", 1),
            rope_interleave=True, num_mtp_layers=0)))
    n_group = f.get("expert_group_count", 1)
    return t.DeepseekV2ForCausalLM(t.DeepseekV2Config(**dict(
        deepseek(f), n_group=n_group, topk_group=f.get("expert_group_used_count", 1),
        topk_method="group_limited_greedy" if n_group > 1 else "greedy")))


# ---- weights ----

def by_halves(weight, heads):
    """llama's GGUF keeps rotated pairs adjacent, transformers keeps them half a head apart."""
    rows, cols = weight.shape
    return weight.reshape(heads, rows // heads // 2, 2, cols).swapaxes(1, 2).reshape(rows, cols)


def layer_state(f, i):
    t = {name.removeprefix(f"blk.{i}."): value for name, value in f.tensors.items() if name.startswith(f"blk.{i}.")}
    names = {"attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm", "attn_q": "self_attn.q_proj",
             "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj",
             "attn_q_norm": "self_attn.q_norm", "attn_k_norm": "self_attn.k_norm", "attn_q_a": "self_attn.q_a_proj",
             "attn_q_a_norm": "self_attn.q_a_layernorm", "attn_q_b": "self_attn.q_b_proj",
             "attn_kv_a_mqa": "self_attn.kv_a_proj_with_mqa", "attn_kv_a_norm": "self_attn.kv_a_layernorm",
             "attn_kv_b": "self_attn.kv_b_proj", "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj",
             "ffn_gate_inp": "mlp.gate", "ffn_gate_shexp": "mlp.shared_experts.gate_proj",
             "ffn_up_shexp": "mlp.shared_experts.up_proj", "ffn_down_shexp": "mlp.shared_experts.down_proj"}
    if f.arch == "starcoder2":
        names.update(ffn_up="mlp.c_fc", ffn_down="mlp.c_proj")
    state = {}
    if f.arch == "llama":
        t["attn_q.weight"] = by_halves(t["attn_q.weight"], f.get("attention.head_count"))
        t["attn_k.weight"] = by_halves(t["attn_k.weight"], f.get("attention.head_count_kv"))
    if "attn_k_b.weight" in t:  # (head, kv_lora, nope) and (head, value, kv_lora) to rows of (nope, value) by head
        both = np.concatenate([t.pop("attn_k_b.weight").swapaxes(1, 2), t.pop("attn_v_b.weight")], axis=1)
        t["attn_kv_b.weight"] = both.reshape(-1, both.shape[-1])
    if "ffn_down_exps.weight" in t:
        state["mlp.experts.down_proj"] = t.pop("ffn_down_exps.weight")
        if "ffn_gate_up_exps.weight" in t:
            state["mlp.experts.gate_up_proj"] = t.pop("ffn_gate_up_exps.weight")
        else:
            state["mlp.experts.gate_up_proj"] = np.concatenate([t.pop("ffn_gate_exps.weight"), t.pop("ffn_up_exps.weight")], axis=1)
    if "exp_probs_b.bias" in t:
        state["mlp.gate.e_score_correction_bias"] = t.pop("exp_probs_b.bias")
    for name, value in t.items():
        base, kind = name.rsplit(".", 1)
        state[f"{names[base]}.{kind}"] = value
    return {f"model.layers.{i}.{name}": value for name, value in state.items()}


def load_weights(model, f):
    import torch

    state = {"model.embed_tokens.weight": f.tensors["token_embd.weight"], "model.norm.weight": f.tensors["output_norm.weight"],
             "lm_head.weight": f.tensors.get("output.weight", f.tensors["token_embd.weight"])}
    if "output_norm.bias" in f.tensors:
        state["model.norm.bias"] = f.tensors["output_norm.bias"]
    for i in range(f.n_layer):
        state.update(layer_state(f, i))
    state = {name: torch.from_numpy(np.ascontiguousarray(value)) for name, value in state.items()}
    model.load_state_dict(state, strict=True)
    if "rope_freqs.weight" in f.tensors:
        rotary = model.model.rotary_emb
        rotary.inv_freq = rotary.inv_freq / torch.from_numpy(f.tensors["rope_freqs.weight"])


# ---- the judges ----

def sum_of_two_router(self, hidden):
    """DeepseekV2TopkRouter with V3's rule for groups: what llama.cpp does."""
    import torch

    hidden = hidden.view(-1, self.hidden_dim)
    logits = torch.nn.functional.linear(hidden, self.weight)
    scores = logits.softmax(dim=-1)
    groups = scores.view(-1, self.num_group, self.num_experts // self.num_group)
    best = groups.topk(2, dim=-1)[0].sum(dim=-1).topk(self.topk_group, dim=-1)[1]
    mask = torch.zeros(groups.shape[:2], dtype=torch.bool).scatter_(1, best, True)
    chosen = groups.masked_fill(~mask.unsqueeze(-1), 0.0).reshape(-1, self.num_experts)
    weights, indices = chosen.topk(self.top_k, dim=-1)
    return logits, weights * self.routed_scaling_factor, indices


def gelu_in_halves(x):
    """The tanh form looked up by half floats: what llama.cpp does."""
    import torch

    return torch.nn.functional.gelu(x.half().double(), approximate="tanh").half().double()


def by_transformers(path, ids, router=None, activation=None):
    import torch
    import types

    torch.set_num_threads(2)
    f = File(path)
    model = make_model(f).to(torch.float64).eval()
    load_weights(model, f)
    if router:
        for layer in model.model.layers:
            if hasattr(layer.mlp, "gate") and hasattr(layer.mlp, "experts"):
                layer.mlp.gate.forward = types.MethodType(router, layer.mlp.gate)
    if activation:
        for layer in model.model.layers:
            layer.mlp.act.forward = activation
    with torch.no_grad():
        logits = model(torch.tensor([ids]), use_cache=False).logits[0].double()
    return torch.log_softmax(logits, dim=-1).numpy(), type(model).__name__


def by_llama_cpp(path, ids):
    from llama_cpp import Llama

    model = Llama(path, n_ctx=512, n_batch=512, logits_all=True, n_threads=2, flash_attn=False, type_k=0, type_v=0, verbose=False)
    model.eval(ids)
    logits = np.array(model.scores[:len(ids)], dtype=np.float64)
    model.close()
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def summary(logprobs):
    n = logprobs.shape[0]
    ids = [int(i) for i in np.argsort(-logprobs)[:8]] + [k * n // 24 for k in range(24)]
    return {"ids": ids, "logprobs": [round(float(logprobs[i]), 6) for i in ids], "mean": round(float(logprobs.mean()), 6),
            "entropy": round(float(-(np.exp(logprobs) * logprobs).sum()), 6)}


def judge(case, generate, ids, logprobs):
    """What llama.cpp says of the same file."""
    from make_engine_golden import write_as_f32

    shape, path, judged, result = case[0], generate(), logprobs, {}
    if shape.startswith("lite"):  # see CASES
        path = generate(n_layer=27)
        judged = by_transformers(path, ids)[0]
        result["n_layer"] = 27
    if shape in ROUNDED:
        write_as_f32(path, path + ".f32")
        path += ".f32"
        result["weights"] = "as F32: it rounds what it multiplies with others"
    other = by_llama_cpp(path, ids)

    def difference(mine, n=None):
        by_place = np.abs(other - mine)[:n].max(axis=-1)
        return [float(f"{figure:.2g}") for figure in (by_place.max(), np.median(by_place))]

    result["difference"] = difference(judged)
    if shape == "v2":
        result["note"] = "it scores groups of every model by their two best; the model's own rule is the maximum"
        result["difference_by_its_rule"] = difference(by_transformers(path, ids, router=sum_of_two_router)[0])
    if shape == "starcoder2":
        result["note"] = "it looks GELU up in a table of half floats"
        result["difference_by_its_rule"] = difference(by_transformers(path, ids, activation=gelu_in_halves)[0])
    if shape == "starcoder2-window":
        result["note"] = "it has no window for starcoder2, and looks GELU up in a table of half floats"
        result["difference_by_its_rule"] = difference(by_transformers(path, ids, activation=gelu_in_halves)[0], 8)
    return result


def make_case(synth, name, folder):
    import transformers

    shape, seed, changes = CASES[name]

    def generate(**more):
        path = os.path.join(folder, f"{name}.gguf")
        fields = [f"{field}={value}" for field, value in {**changes, **more}.items()]
        subprocess.run([synth, shape, path, f"seed={seed}", *fields], check=True)
        return path

    rng = random.Random(f"{shape} {seed}")
    ids = [rng.randrange(256) for _ in range(POINTS[-1])]
    logprobs, model = by_transformers(generate(), ids)
    return {"shape": shape, "seed": seed, "changes": changes, "reference": f"transformers {transformers.__version__} {model}",
            "llama.cpp": judge(CASES[name], generate, ids, logprobs), "ids": ids,
            "after": {str(n): summary(logprobs[n - 1]) for n in POINTS}}


def main():
    synth, out, names = sys.argv[1], sys.argv[2], sys.argv[3:] or list(CASES)
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            case = make_case(synth, name, folder)
            with open(os.path.join(out, name + ".json"), "w") as file:
                lines = [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in case.items() if key != "after"]
                points = [f"  {json.dumps(key)}: {json.dumps(value)}" for key, value in case["after"].items()]
                file.write("{" + ",\n".join(lines) + ",\n\"after\": {\n" + ",\n".join(points) + "\n}}\n")
            print(f"{name}: {case['reference']}, llama.cpp {case['llama.cpp']}", flush=True)


if __name__ == "__main__":
    main()
