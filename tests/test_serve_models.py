#!/usr/bin/env python3
"""`fathom serve` with other models than the default one, and in a repository: what stands before a model that knows tools, in
each family's own syntax (tests/golden/tools.json, by the published templates themselves); what typing costs a model with marks
of a middle; what --repo adds; samplers.

Needs FATHOM_PROGRAM, FATHOM_TEST_MODEL, FATHOM_TEST_DATA and git, nothing but Python's standard library.  Arguments choose tests
by a part of their name."""

import copy
import json
import os
import statistics
import subprocess
import sys
import time

import dress_model
import make_repeat_model
import test_serve

DATA = os.environ.get("FATHOM_TEST_DATA", "build/test-data")
KEYS = "    int limit = first + table->n;\n    if (limit > total) {\n    "


def model(name):
    return os.path.join(test_serve.ROOT, name + ".gguf")


def make_marked():
    """A small model that copies, with marks: quick, and its answers hang on all that stands before it."""
    plain, marked = model("repeat"), model("marked")
    if not os.path.exists(marked):
        subprocess.run([sys.executable, make_repeat_model.__file__, test_serve.MODEL, plain], check=True)
        dress_model.with_fim_marks(plain, marked)
    return marked


# ---- tools ----

# What a family's template and ours must both hold, beside the tools' own JSON.  The first two are the same as a whole.  Of the others
# ours differs, since messages are rendered without knowing of tools (app/serve_tools_styles.c).
CALL = '{"city": "Rome", "days": 2}'
FRAGMENTS = {
    "qwen2.5": None,
    "qwen3": None,
    "llama3.1": ["How is it in Rome?<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n"
                 '{"name": "weather", "parameters": ' + CALL + "}<|eot_id|>"],
    "mistral-nemo": ['[INST]How is it in Rome?[/INST][TOOL_CALLS][{"name": "weather", "arguments": ' + CALL,
                     '[AVAILABLE_TOOLS][{"type": "function", "function": {"name": "weather", "description": "Tells the weather", ',
                     '"parameters": {"type": "object", "properties": {}}}}][/AVAILABLE_TOOLS]', '[TOOL_RESULTS]{"content": '],
    "deepseek-v3.1": ["<｜Assistant｜><think></think><｜tool▁calls▁begin｜><｜tool▁call▁begin｜>weather<｜tool▁sep｜>" + CALL +
                      "<｜tool▁call▁end｜><｜tool▁calls▁end｜><｜end▁of▁sentence｜>", "<｜tool▁output▁begin｜>sunny, 31<｜tool▁output▁end｜>"],
    "deepseek-r1": ["<｜Assistant｜><｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>weather\n```json\n" + CALL +
                    "\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜><｜end▁of▁sentence｜>", "<｜tool▁output▁begin｜>sunny, 31<｜tool▁output▁end｜>"],
}


def ask_prompt(server, golden, messages):
    messages = copy.deepcopy(messages)
    for message in messages:
        for call in message.get("tool_calls", []):  # the wire has arguments as a text
            call["function"]["arguments"] = json.dumps(call["function"]["arguments"])
    return server.post("/apply-template", {"messages": messages, "tools": golden["tools"]})["prompt"]


def test_dialects():
    with open("tests/golden/tools.json", encoding="utf-8") as file:
        golden = json.load(file)
    for family in golden["families"]:
        with open(os.path.join(DATA, "templates", family["template"]), encoding="utf-8") as file:
            template = file.read()
        dress_model.dress(test_serve.MODEL, model("dressed"), template=template,
                          tokens=((1, family["bos"] or "<|unused|>"), (2, family["eos"])))
        server = test_serve.Server(model=model("dressed"))
        assert json.loads(server.ask("GET", "/props")[2])["chat_template"] == family["family"]
        for what, messages in golden["conversations"].items():
            ours, wanted = ask_prompt(server, golden, messages), family["prompts"][what]
            if FRAGMENTS[family["family"]] is None:
                assert ours == wanted, (family["family"], what, ours, wanted)
                continue
            assert all(tool["function"]["name"] in ours for tool in golden["tools"])
            if what != "asked":
                for fragment in FRAGMENTS[family["family"]]:
                    assert fragment in ours and fragment in wanted, (family["family"], fragment, ours, wanted)
        server.stop()


# ---- completions ----

def write_code(n):
    lines = ["#include \"table.h\"\n", "\n"]
    for i in range(n // 8):
        lines += [f"int sum_{i}(const struct table *table, int first)\n", "{\n", f"    int total = table->base + {i * 7};\n",
                  f"    for (int k = first; k < table->n_{i}; k++)\n", f"        total += table->items[k].weight_{i};\n",
                  "    return total;\n", "}\n", "\n"]
    return lines


def ask_typed(server, lines, at, extra, n_typed, n_predict):
    text = "".join(lines[:at]) + KEYS[:n_typed]
    cut = text.rfind("\n") + 1
    return server.post("/infill", {"input_prefix": text[:cut], "prompt": text[cut:], "input_suffix": "\n" + "".join(lines[at:]),
                                   "input_extra": extra, "n_predict": n_predict, "temperature": 0})


def read_typed(server, lines, at, extra, keys):
    """Prompt tokens read after each of so many keystrokes.  Nothing is generated: what was once shown would cost nothing at all.
    Within a word nothing is read either, as it is asked for anew (fim/heal.h)."""
    return [ask_typed(server, lines, at, extra, key, 0)["timings"]["prompt_n"] for key in keys]


def test_typing():
    """60 characters into a file of 400 lines, 120 and more behind the cursor, 2,000 tokens of the editor's context before it."""
    is_slow = test_serve.SLOWNESS > 1  # then less of it, as it is about numbers
    lines = write_code(160 if is_slow else 400)
    at = len(lines) * 3 // 5 // 8 * 8 + 5
    extra = [{"filename": f"other_{i}.h", "text": "".join(f"struct entry_{i}_{k} {{ int key_{k}; long value; }};\n" for k in range(25))}
             for i in range(5)]
    options = ("--budget", "9000", "-c", "12000")
    seeded, plain = [test_serve.Server(*options, *more, model=make_marked()) for more in (("--fim-form", "seeded"), ())]
    assert is_slow or (len(lines) >= 400 and len(lines) - at >= 120)
    assert sum(len(plain.post("/tokenize", {"content": each["text"]})["tokens"]) for each in extra) >= 2000
    read, plainly = read_typed(seeded, lines, at, extra, range(60)), read_typed(plain, lines, at, extra, (0, 20, 40))
    warm = ask_typed(seeded, lines, at, extra, 59, 4)
    for server in (seeded, plain):
        server.stop()
    median = statistics.median(read[1:])
    print(f"first {read[0]} tokens, then median {median:g}, mean {statistics.fmean(read[1:]):.1f}, most {max(read[1:])}; "
          f"the plain form: median {statistics.median(plainly[1:]):g}")
    assert read[0] > 4000 // (1 + is_slow) and median <= 16 and sum(read[1:]) > 10 and statistics.median(plainly[1:]) > 400
    cold = test_serve.Server(*options, "--fim-form", "seeded", model=make_marked())
    reply = ask_typed(cold, lines, at, extra, 59, 4)
    assert reply["content"] == warm["content"] and reply["timings"]["prompt_n"] >= read[0], (reply, warm)
    cold.stop()


def test_repository():
    """An editor that sends next to nothing: the index says the rest, as soon as it knows it."""
    folder = os.path.join(test_serve.ROOT, "code")
    os.makedirs(folder)
    library = "def fetch_archive(address, folder, timeout=30):\n    return open_archive(address, folder, timeout)\n\n\n" \
              "def use_archive(first, second):\n    value = first.settings\n" \
              "    result = fetch_archive(value.address, second.folder, timeout=value.patience)\n    return result\n"
    main = "from library import fetch_archive\n\n\ndef work_on_it(first, second):\n    value = first.settings\n" \
           "    result = fetch_archive(value."
    for name, text in (("library.py", library), ("main.py", main + "\n    return result\n"), ("other.py", "x = 1\n")):
        with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
            file.write(text)
    for words in (["init", "-q"], ["add", "-A"], ["-c", "user.name=x", "-c", "user.email=x@x", "commit", "-qm", "x"]):
        subprocess.run(["git", *words], cwd=folder, check=True, env=dict(os.environ, HOME=test_serve.ROOT))
    make_marked()
    head, line = main.rsplit("\n", 1)
    body = {"input_prefix": head + "\n", "prompt": line, "input_suffix": "\n    return result\n", "n_predict": 24, "temperature": 0}
    with_it, without = test_serve.Server("--repo", folder, model=model("repeat")), test_serve.Server(model=model("repeat"))
    wanted = "address, second.folder, timeout=value.patience)"
    deadline = time.monotonic() + 30 * test_serve.SLOWNESS
    reply = with_it.post("/infill", body)
    while wanted not in reply["content"] and time.monotonic() < deadline:
        time.sleep(0.1)
        body["seed"] = body.get("seed", 0) + 1
        reply = with_it.post("/infill", body)
    assert reply["content"] == wanted, reply
    alone = without.post("/infill", body)
    assert wanted not in alone["content"] and alone["tokens_evaluated"] < reply["tokens_evaluated"], alone
    with_it.stop()
    without.stop()


def test_stream():
    """The text comes as it is certain, and what came is how the whole one begins; a list, or a model without marks, in one event."""
    server, unmarked = test_serve.Server("--fim-form", "seeded", model=make_marked()), test_serve.Server(model=model("repeat"))
    block = "".join(f"    total += weigh(item_{i}, first_{i});\n    check(total, {i});\n" for i in range(6))
    body = {"input_prefix": "int first(void)\n{\n" + block + "    return total;\n}\n\nint second(void)\n{\n", "prompt": "    total +=",
            "input_suffix": "\n}\n", "n_predict": 60, "temperature": 0, "cache_prompt": True}
    place = dict(body, prompt="", n_predict=120)  # a whole body
    for one in (body, place):
        status, headers, data = server.ask("POST", "/infill", dict(one, stream=True))
        assert status == 200 and headers["Content-Type"] == "text/event-stream"
        parts = [json.loads(part[6:]) for part in data.decode().split("\n\n")[:-1]]
        text = "".join(part["content"] for part in parts)
        assert [part["stop"] for part in parts] == [False] * (len(parts) - 1) + [True] and "timings" in parts[-1], parts
        assert text == server.post("/infill", one)["content"] and text, parts
        assert len(parts) > 2, parts
        print(f"{len(parts)} events for {text!r}"[:200])
    for other, more in ((server, {"n_cmpl": 2}), (unmarked, {}), (server, {"n_predict": 0}), (server, {"response_fields": ["truncated"]})):
        data = other.ask("POST", "/infill", dict(body, stream=True, **more))[2].decode()
        assert data.count("data: ") == 1 and data.endswith("\n\n"), data
    server.stop()
    unmarked.stop()


def test_samplers():
    """Those that aren't listed are off; what there isn't here is refused by name."""
    server = test_serve.Server(model=make_marked())
    body = {"input_prefix": "int a;\n", "prompt": "int ", "input_suffix": "\nint c;\n", "n_predict": 6, "temperature": 5, "seed": 3}
    draw = lambda **more: server.post("/infill", dict(body, **more))["content"]
    certain = draw(temperature=0)
    assert draw(samplers=["top_k"], top_k=1) == certain and draw(top_k=1) == certain
    drawn = [draw(samplers=["top_p", "min_p", "temperature"], top_k=1, top_p=1, min_p=0, seed=seed) for seed in range(4)]
    assert any(each != certain for each in drawn), drawn
    for wrong in (["mirostat"], ["top_k", "dry"], [5], "top_k"):
        server.fails("/infill", dict(body, samplers=wrong), 400)
    server.stop()


def main():
    chosen, failed = sys.argv[1:], False
    for name, test in [(n, t) for n, t in globals().items() if n.startswith("test_") and callable(t)]:
        if chosen and not any(word in name for word in chosen):
            continue
        began = time.monotonic()
        try:
            test()
            print(f"ok {name}  ({time.monotonic() - began:.1f} s)", flush=True)
        except Exception as fault:  # pylint: disable=broad-except
            print(f"not ok {name}: {type(fault).__name__}: {fault}", flush=True)
            failed = True
    sys.exit(failed)


if __name__ == "__main__":
    main()
