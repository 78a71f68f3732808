#!/usr/bin/env python3
"""Drives the built program as a user would: what it prints, where, with which exit status, and how fast.

Needs FATHOM_PROGRAM (build/fathom) and FATHOM_TEST_MODEL (the default model's GGUF), nothing but Python's standard library.
The machine may be busy: what has to be fast is tried again before it counts as slow, and no test hopes to be in time.
Arguments choose tests by a part of their name.  The last line is `N passed, M failed`."""

import json
import os
import pty
import random
import re
import resource
import select
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
import traceback

import endless

PROGRAM = os.path.abspath(os.environ.get("FATHOM_PROGRAM", "build/fathom"))
MODEL = os.path.abspath(os.environ.get("FATHOM_TEST_MODEL", "missing.gguf"))
IS_SANITIZED = re.search("[at]san|valgrind", PROGRAM) is not None
ROOT = tempfile.mkdtemp(prefix="fathom-cli-")
COMMANDS = ["repl", "complete", "context", "index", "search", "map", "serve", "info", "models", "tokenize", "eval", "perplexity", "bench", "quantize",
            "config", "trust", "help", "screen", "review", "hook"]
TESTS = []


def test(function):
    TESTS.append(function)
    return function


# ---- running the program ----


def environment(**more):
    home = os.path.join(ROOT, "home")
    env = {"PATH": os.environ["PATH"], "HOME": home, "LC_ALL": "C.UTF-8", "TERM": "xterm", "FATHOM_MODEL": MODEL,
           "XDG_CONFIG_HOME": home + "/config", "XDG_DATA_HOME": home + "/data", "XDG_STATE_HOME": home + "/state",
           "XDG_CACHE_HOME": home + "/cache"}
    for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS", "LSAN_OPTIONS"):
        if name in os.environ:
            env[name] = os.environ[name]
    env.update(more)
    return {name: value for name, value in env.items() if value is not None}


class Result:
    def __init__(self, status, out, err, seconds, again=None):
        self.status, self.out, self.err, self.seconds, self.again = status, out, err, seconds, again

    def within(self, seconds):
        """That it was done in time, this once or in one of a few more tries."""
        if IS_SANITIZED:
            return
        taken = [self.seconds]
        while taken[-1] >= seconds and len(taken) < 4:
            taken.append(self.again().seconds)
        check(taken[-1] < seconds, f"took {taken} s")

    def json(self):
        check(self.status == 0, f"status {self.status}: {self.err!r}")
        check(self.out.endswith(b"\n") and self.out.count(b"\n") == 1, f"not one line: {self.out[:200]!r}")
        return json.loads(self.out.decode("utf-8"))


def run(*words, stdin=b"", env=None, timeout=600 if IS_SANITIZED else 120, **more):
    started = time.monotonic()
    done = subprocess.run([PROGRAM, *words], input=stdin, capture_output=True, timeout=timeout,
                          env=environment(**(env or {})), **more)
    return Result(done.returncode, done.stdout, done.stderr, time.monotonic() - started,
                  lambda: run(*words, stdin=stdin, env=env, timeout=timeout, **more))


def check(condition, message="it does not hold"):
    if not condition:
        raise AssertionError(message)


def equal(a, b):
    check(a == b, f"{a!r} is not {b!r}")


def fails(result, status, pattern=None, seconds=None):
    """One line on stderr that fits the pattern, nothing on stdout, the status, in time."""
    equal(result.status, status)
    equal(result.out, b"")
    check(re.fullmatch(rb"fathom: [^\n]+\n", result.err), f"not one line: {result.err!r}")
    check(not pattern or re.search(pattern, result.err.decode()), f"{result.err!r} has no {pattern!r}")
    if seconds:
        result.within(seconds)


def succeeds(result):
    equal((result.status, result.err), (0, b""))
    return result.out


def write(name, content):
    path = os.path.join(ROOT, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(content)
    return path


def is_integer(value):
    return isinstance(value, int) and not isinstance(value, bool)


# ---- help ----


@test
def version_is_one_line():
    check(re.fullmatch(rb"fathom \d+\.\d+\.\d+\n", succeeds(run("--version"))))
    equal(succeeds(run("tokenize", "--version")), succeeds(run("--version")))


@test
def help_is_the_same_by_every_way():
    overview = succeeds(run("help"))
    equal(succeeds(run("--help")), overview)
    equal(succeeds(run("-h")), overview)
    for command in COMMANDS:
        check(re.search(rb"^  %s\b" % command.encode(), overview, re.M), command)
        page = succeeds(run("help", command))
        check(page.startswith(b"usage: fathom " + command.encode()))
        equal(succeeds(run(command, "--help")), page)
        equal(succeeds(run("--help", command)), page)
    equal(succeeds(run("-p", "x", "--help")), succeeds(run("help", "prompt")))


@test
def help_fits_80_columns():
    for words in [["help"], ["help", "options"], ["help", "prompt"]] + [["help", command] for command in COMMANDS]:
        for line in succeeds(run(*words)).decode().splitlines():
            check(len(line) <= 80 and line == line.rstrip(), f"{words}: {line!r}")


@test
def help_needs_no_configuration_and_no_model():
    config = write("broken/fathom/config", b"nonsense\n")
    env = {"XDG_CONFIG_HOME": os.path.dirname(os.path.dirname(config)), "FATHOM_MODEL": "/nonexistent"}
    for words in (["help"], ["--version"], ["bench", "--help"]):
        succeeds(run(*words, env=env))


@test
def man_page_has_no_warnings():
    page = write("fathom.1", succeeds(run("help", "--format", "man")))
    if shutil.which("man"):
        done = subprocess.run(["man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z", page], capture_output=True,
                              env=environment())
        equal((done.returncode, done.stderr), (0, b""))
    if shutil.which("mandoc"):
        done = subprocess.run(["mandoc", "-Tlint", page], capture_output=True)
        equal((done.returncode, done.stdout), (0, b""))
    text = open(page).read()
    check(text.startswith('.\\"') and ".SH NAME" in text and ".SH OPTIONS" in text)
    for command in COMMANDS:
        check(f'.SS "fathom {command}' in text, command)


@test
def bash_completes():
    script = write("fathom.bash", succeeds(run("help", "--format", "bash")))
    bash = f"""source {script}
        complete_it() {{ COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _fathom; echo "${{COMPREPLY[*]}}"; }}
        cd {ROOT}/empty
        complete_it fathom to; complete_it fathom bench --pre; complete_it fathom --kv ''; complete_it fathom config te
        complete_it fathom help perp; complete_it fathom -q eval --tok; complete_it fathom --chat-template chat"""
    os.makedirs(ROOT + "/empty", exist_ok=True)
    done = subprocess.run(["bash", "-c", bash], capture_output=True, env=environment())
    equal(done.stderr, b"")
    lines = done.stdout.decode().split("\n")
    equal(lines[:6], ["tokenize", "--prefill", "f16 q8_0 q4_0 f32", "temp", "perplexity", "--tokens"])
    check("chatml" in lines[6].split())


@test
def bash_completes_names_of_models():
    script = write("fathom.bash", succeeds(run("help", "--format", "bash")))
    data = os.path.join(ROOT, "named")
    os.makedirs(data + "/fathom/models", exist_ok=True)
    os.symlink(MODEL, data + "/fathom/models/some-model.gguf")
    bash = f'source {script}; cd {ROOT}/named; COMP_WORDS=(fathom -m so); COMP_CWORD=2; _fathom; echo "${{COMPREPLY[*]}}"'
    env = environment(XDG_DATA_HOME=data, PATH=os.path.dirname(PROGRAM) + ":" + os.environ["PATH"])
    equal(subprocess.run(["bash", "-c", bash], capture_output=True, env=env).stdout, b"some-model\n")


@test
def zsh_and_fish_take_their_completions():
    for shell in ("zsh", "fish"):
        script = write("fathom." + shell, succeeds(run("help", "--format", shell)))
        if shutil.which(shell):
            done = subprocess.run([shell, "-n", script], capture_output=True, env=environment())
            equal((done.returncode, done.stderr), (0, b""))
    if shutil.which("fish"):
        done = subprocess.run(["fish", "-c", f"source {ROOT}/fathom.fish; complete -C 'fathom bench --pre'"],
                              capture_output=True, env=environment())
        check(done.stdout.startswith(b"--prefill\t"), done)


# ---- the command line ----


@test
def wrong_command_lines_are_status_2():
    cases = [(["toknize", "x"], "did you mean tokenize"), (["no-such-thing"], "no such command"),
             (["-n", "abc", "-p", "x"], "-n/--max-tokens"), (["--temp", "-1", "-p", "x"], "--temp"),
             (["-n", "99999999999999999999", "-p", "x"], "-n/--max-tokens"), (["--temp=nan", "-p", "x"], "--temp"),
             (["-c", "0x10", "-p", "x"], "-c/--context"), (["--backend", "gpu", "-p", "x"], "--backend"),
             (["--tmep", "1", "-p", "x"], "did you mean --temp"), (["-p"], "-p/--prompt"), (["-Z"], "-Z"),
             (["-p", "one", "two"], "quotes"), (["tokenize", "a", "b"], "quotes"), (["tokenize", "--top", "3"], "--top"),
             (["models", "x"], "no argument"), (["eval"], "--tokens"), (["perplexity"], "-f FILE"),
             (["help", "tokenise"], "did you mean tokenize"), (["config", "nothing"], "no such key"),
             (["-m", "", "tokenize", "x"], "--model"), (["-p", ""], "empty"), (["--json=perhaps", "models"], "--json"),
             (["eval", "--tokens", "1,x"], "--tokens"), (["eval", "--tokens", "1,49152"], "--tokens"),
             (["eval", "--tokens", "-1"], "--tokens"), (["tokenize", "--decode", "99999999999"], "--decode"),
             (["bench", "--depth", "1,-2"], "--depth"), (["--", "no-such-file"], "no such file")]
    for words, pattern in cases:
        fails(run(*words), 2, pattern, seconds=1)


@test
def options_stand_anywhere():
    want = succeeds(run("tokenize", "--json", "hi there"))
    for words in (["--json", "tokenize", "hi there"], ["tokenize", "hi there", "--json"], ["--json", "tokenize", "--", "hi there"],
                  ["-qm", MODEL, "tokenize", "--json=yes", "hi there"], ["-t1", "-m" + MODEL, "--json", "tokenize", "hi there"]):
        equal(succeeds(run(*words)), want)
    equal(succeeds(run("tokenize", "--", "--json")), succeeds(run("tokenize", stdin=b"--json")))


@test
def words_of_later_versions_are_unknown():
    for word in ("pull", "plugin"):
        fails(run(word), 2, "no such command")


# ---- models ----


def model_commands():
    return [["info"], ["tokenize", "x"], ["eval", "--tokens", "1"], ["-p", "hi", "-n", "1"], ["bench"]]


@test
def a_missing_model_is_one_line():
    for words in model_commands():
        fails(run("-m", "/nonexistent/model.gguf", *words), 3, r"/nonexistent/model.gguf: no such file \(", seconds=1)
        fails(run("-m", "some-name", *words), 3, "no model of that name", seconds=1)
        fails(run(*words, env={"FATHOM_MODEL": None, "XDG_DATA_HOME": ROOT + "/nowhere"}), 3,
              r"no default model: SmolLM2-135M-Instruct.Q4_1.gguf is not in .*nowhere/fathom/models \(.*make model", seconds=1)


@test
def what_is_no_model_is_one_line():
    os.makedirs(ROOT + "/folder.gguf", exist_ok=True)
    cases = [write("text.gguf", b"Once upon a time\n" * 1000), write("empty.gguf", b""), ROOT + "/folder.gguf", "/dev/null",
             write("magic.gguf", b"GGUF"), write("zeros.gguf", bytes(100000)), write("ones.gguf", b"GGUF\3\0\0\0" + b"\xff" * 100000)]
    for path in cases:
        for words in model_commands():
            fails(run("-m", path, *words), 3, re.escape(path), seconds=1)


@test
def a_model_cut_anywhere_is_one_line():
    path = os.path.join(ROOT, "cut.gguf")
    shutil.copyfile(MODEL, path)
    size = os.path.getsize(path)
    generator = random.Random(3)
    header = 2_000_000  # keys, vocabulary and the list of tensors end about there
    offsets = sorted([generator.randrange(header) for _ in range(100)] + [generator.randrange(size) for _ in range(100)],
                     reverse=True)
    words = [["info"], ["-p", "hi", "-n", "1"], ["eval", "--tokens", "1"], ["tokenize", "x"]]
    for i, offset in enumerate(offsets):
        os.truncate(path, offset)
        fails(run("-m", path, *words[i % len(words)]), 3, re.escape(path), seconds=1)


@test
def models_are_listed_and_found_by_name():
    data = os.path.join(ROOT, "models-test")
    os.makedirs(data + "/fathom/models", exist_ok=True)
    os.symlink(MODEL, data + "/fathom/models/Small.gguf")
    write("models-test/fathom/models/broken.gguf", b"not a model")
    write("models-test/fathom/models/readme.txt", b"no model either")
    env = {"XDG_DATA_HOME": data, "FATHOM_MODEL": "Small"}
    models = run("models", "--json", env=env).json()["models"]
    equal([model["name"] for model in models], ["Small", "broken"])
    equal(models[0]["arch"], "llama")
    equal(models[0]["bytes"], os.path.getsize(MODEL))
    equal(models[0]["path"], data + "/fathom/models/Small.gguf")
    check(models[0]["in_force"] and not models[1]["in_force"])
    text = succeeds(run("models", env=env)).decode().splitlines()
    check(re.match(r"\* Small +98.4 MB  llama$", text[0]) and "broken" in text[1])
    want = succeeds(run("tokenize", "hello"))
    equal(succeeds(run("tokenize", "hello", env=env)), want)
    equal(succeeds(run("tokenize", "hello", "-m", "small", env=env)), want)
    fails(run("tokenize", "hello", "-m", "Smal", env=env), 3, "did you mean Small")
    equal(run("models", "--json", env={"XDG_DATA_HOME": ROOT + "/nowhere"}).json()["models"], [])


# ---- tokenize, eval, perplexity, info, bench ----


@test
def tokenize_and_back():
    generator = random.Random(7)
    # This vocabulary has no token for some bytes: controls such as 04, and those that text in UTF-8 seldom or never has.
    known = [b for b in range(256) if b not in (4, 6, 0x13, 0x14, 0x16, 0x1d, 0xc0, 0xc1, 0xf1, 0xf2) and b < 0xf5]
    for size in (0, 1, 2, 10, 1000, 100000):
        text = bytes(generator.choices(known, k=size))
        ids = succeeds(run("tokenize", stdin=text))
        check(re.fullmatch(rb"(\d+( \d+)*)?\n", ids), ids[:100])
        equal(succeeds(run("tokenize", "--decode", "-", stdin=ids)), text)
    equal(succeeds(run("tokenize", "--decode", succeeds(run("tokenize", "héllo")).decode().replace(" ", ","))), "héllo".encode())


@test
def tokenize_json():
    result = run("tokenize", "--json", stdin=b'a\x00\x1b[31m"\xe9 \xf0\x9f\xa6\x86').json()
    check(len(result["ids"]) == len(result["pieces"]) and all(is_integer(i) for i in result["ids"]))
    pieces = [bytes.fromhex(result["bytes"][str(i)]) if str(i) in result.get("bytes", {}) else piece.encode()
              for i, piece in enumerate(result["pieces"])]
    equal(b"".join(pieces), b'a\x00\x1b[31m"\xe9 \xf0\x9f\xa6\x86')
    check(b"\x1b" not in run("tokenize", "--json", stdin=b"\x1b").out)


@test
def tokenize_makes_control_tokens_on_demand_alone():
    check(len(run("tokenize", "--json", "<|im_end|>").json()["ids"]) > 1)
    equal(run("tokenize", "--json", "--special", "<|im_end|>").json(), {"ids": [2], "pieces": ["<|im_end|>"]})


@test
def eval_gives_log_probabilities():
    ids = succeeds(run("tokenize", "The capital of France is")).decode().strip()
    result = run("eval", "--tokens", ids, "--top", "100000", "--json").json()
    equal(result["n_vocab"], 49152)
    equal(len(result["top"]), 49152)
    check(abs(sum(2.718281828459045 ** entry["logprob"] for entry in result["top"]) - 1) < 1e-3)
    check(all(a["logprob"] >= b["logprob"] for a, b in zip(result["top"], result["top"][1:])))
    check(is_integer(result["top"][0]["id"]))
    equal(result["top"][0]["piece"], " Paris")
    text = succeeds(run("eval", "--tokens", ids.replace(" ", ","), "--top", "3")).decode().splitlines()
    check(len(text) == 3 and text[0].endswith('" Paris"'))


@test
def perplexity_of_a_text():
    words = "the cat sat on the mat and looked at the dog that had come in from the garden ".encode()
    path = write("text.txt", b"Once upon a time " + words * 5)
    result = run("perplexity", "-f", path, "-c", "32", "--json").json()
    check(is_integer(result["n_scored"]) and result["n_scored"] > 0 and result["n_scored"] % 15 == 0)
    check(1 < result["ppl"] < 100 and abs(2.718281828459045 ** result["nll"] - result["ppl"]) < 1e-3 * result["ppl"])
    piped = run("perplexity", "-f", "-", "-c", "32", "--json", stdin=open(path, "rb").read()).json()
    equal(piped, result)
    text = succeeds(run("perplexity", "-f", path, "-c", "32")).decode()
    check(text.startswith(f"ppl {result['ppl']:.4f}"), text)
    fails(run("perplexity", "-f", write("short.txt", b"too short")), 3, "don't fill a chunk")
    fails(run("perplexity", "-f", ROOT + "/nothing"), 3, "No such file")


@test
def info_knows_the_model():
    result = run("info", "--json").json()
    for key in ("n_params", "n_active", "bytes", "n_ctx_train", "n_layer", "n_embd", "n_head", "n_vocab"):
        check(is_integer(result[key]), key)
    equal((result["path"], result["arch"], result["bytes"], result["n_layer"]), (MODEL, "llama", os.path.getsize(MODEL), 30))
    equal((result["fim"], result["template"], result["n_params"]), (False, "smollm2", 134515008))
    equal(result["quants"], {"Q8_0": 1, "F32": 61, "Q4_1": 210})
    equal(run("info", MODEL, "--json", env={"FATHOM_MODEL": "/nonexistent"}).json()["path"], MODEL)
    equal(run("info", "--json", "-c", "1000").json()["memory"]["kv"], 1000 * result["memory"]["kv_per_token"])
    work = [run("info", "--json", "-c", "1000", "--slice", str(n)).json()["memory"]["work"] for n in (64, 256)]
    check(49152 * 4 < work[0] < work[1] < 10 * work[0], work)
    text = succeeds(run("info")).decode()
    check(" to compute in\n" in text)
    check("architecture  llama\n" in text and "runs          yes\n" in text)


def gguf_of(rows, data):
    """A file with one F32 tensor, a name that acts on terminals, of rows of 1024 numbers; data is where they begin."""

    def text(word):
        return struct.pack("<Q", len(word)) + word

    head = b"GGUF" + struct.pack("<IQQ", 3, 1, 1) + text(b"general.architecture") + struct.pack("<I", 8) + text(b"none")
    head += text(b"w\x1b[2J") + struct.pack("<IQQIQ", 2, 1024, rows, 0, 0)
    return head + bytes(-len(head) % 32) + data


@test
def info_checks_the_weights():
    sound = run("info", "--check", "--json").json()["check"]
    equal((sound["finite"], sound["weights"], sound["faults"]), (True, 134515008, []))
    check("weights       all 134515008 are finite\n" in succeeds(run("info", "--check")).decode())
    numbers = [0.0] * 2048
    numbers[1030], numbers[2047] = float("nan"), float("inf")
    path = write("bad.gguf", gguf_of(2, struct.pack("<2048f", *numbers)))
    result = run("info", "--check", path)
    equal((result.status, result.err), (1, b""))
    check(b": 2 of 2048 are not finite, first nan in row 1 at 6\n" in result.out, result.out)
    check(b"\x1b" not in result.out, result.out)
    result = run("info", "--json", path, "--check")
    equal(result.status, 1)
    found = json.loads(result.out)["check"]
    equal((found["finite"], found["tensors"], len(found["faults"])), (False, 1, 1))
    equal(found["faults"][0], {"tensor": "w\x1b[2J", "n": 2, "of": 2048, "row": 1, "column": 6})
    check("check" not in run("info", "--json", path).json())
    fails(run("info", "--check", ROOT + "/nothing.gguf"), 3, "no such file")
    fails(run("bench", "--check"), 2, "--check")


@test
def info_does_not_guess_what_an_unknown_model_needs():
    path = write("unknown.gguf", gguf_of(1, bytes(4096)))
    result = run("info", "--json", path).json()
    equal((result["supported"], sorted(result["memory"])), (False, ["available", "context", "weights"]))
    text = succeeds(run("info", path)).decode()
    check(" weights; what else it would need is not known\n" in text, text)
    check("fits here" not in text and "compute" not in text, text)


@test
def a_check_can_be_interrupted():
    rows = 16 << 20
    path = write("large.gguf", gguf_of(rows, b""))
    os.truncate(path, os.path.getsize(path) + rows * 4096)  # 64 GiB of zeros, which take no space
    result = interrupted(["info", "--check", "-t", "1", path], False)
    equal((result.status, result.out, result.err), (130, b"", b""))
    result.within(1)
    os.unlink(path)


@test
def bench_measures():
    result = run("bench", "--prefill", "4,8", "--decode", "2", "--depth", "0,8", "-r", "1", "--json").json()
    equal((result["model"], result["backend"]), (os.path.basename(MODEL)[:-5], "cpu"))
    check(is_integer(result["threads"]) and is_integer(result["bytes_per_token"]))
    equal([entry["n"] for entry in result["prefill"]], [4, 8])
    equal([(entry["n"], entry["depth"]) for entry in result["decode"]], [(2, 0), (2, 8)])
    for key in ("bandwidth_gb_s", "bandwidth_share", "load_ms", "peak_rss_mb"):
        check(isinstance(result[key], float) and result[key] > 0, key)
    check(all(entry["tok_s"] > 0 for entry in result["prefill"] + result["decode"]))
    check(0 < result["bandwidth_share"] < 2)
    check(90e6 < result["bytes_per_token"] < 110e6)
    check(b"bandwidth" in succeeds(run("bench", "--prefill", "4", "--decode", "2", "-r", "1")))


@test
def bench_is_compared_with_an_earlier_run():
    small = ["bench", "--prefill", "4", "--decode", "2", "-r", "1"]
    old = succeeds(run(*small, "--json"))
    path = write("old.json", old)
    result = run("bench", "-r", "1", "--compare", path, "--tolerance", "100", "--json")
    check(not result.err, result.err)
    lines = result.json()["compared"]
    equal([(line["what"], line["n"], line["depth"]) for line in lines],
          [("prefill", 4, 0), ("first token", 20, 4), ("alone", 20, 0), ("restore", 4, 0), ("decode", 2, 0)])
    check(all(line["ratio"] > 0 and not line["slower"] for line in lines))
    faster = json.loads(old)
    faster["decode"][0]["tok_s"] *= 1e6
    result = run("bench", "-r", "1", "--compare", write("faster.json", json.dumps(faster).encode()))
    equal((result.status, result.err), (1, b""))
    check(b"  slower\n" in result.out, result.out)
    fails(run("bench", "--compare", write("none.json", b"{}")), 3, "none.json: no result of bench --json")


@test
def bench_runs_beside_a_peer():
    """assets/bench_peer.py itself, on a module that says of every call how long it takes."""
    fake = write("peer/llama_cpp.py", PEER_MODULE)
    env = {"PYTHON": sys.executable, "PYTHONPATH": os.path.dirname(fake)}
    words = ["bench", "--prefill", "8", "--decode", "2", "--depth", "5", "-r", "1", "--peer", "--json", "-t", "1"]
    done = run(*words, env=env)
    check(not done.err, done.err)
    result = done.json()
    equal((result["peer"]["name"], result["peer"]["version"]), ("llama.cpp", "0.fake"))
    # By its clock a call takes 20 ms without flash attention and 40 with it: the faster one counts.
    equal((result["prefill"][0]["peer_tok_s"], result["decode"][0]["peer_tok_s"]), (400, 50))
    equal(result["first_token"][0]["peer_ms"], 20)
    # More than a batch takes several calls.
    script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "assets", "bench_peer.py")
    done = subprocess.run([sys.executable, script, MODEL, "3100", "1", "f16"], input=b"batch 3000 0\nsingle 3 3000\nbatch 20 1000\n",
                          capture_output=True, env=environment(**env), timeout=60)
    lines = [line.split() for line in done.stdout.decode().splitlines()]
    equal([line[0] for line in lines], ["ready", "time", "time", "time"])
    equal([(float(line[1]), line[2]) for line in lines[1:]], [(0.04, "off"), (0.06, "off"), (0.02, "off")])
    fails(run("bench", "--peer", env={"PYTHON": sys.executable, "PYTHONPATH": ROOT + "/nowhere"}), 3, "No module named 'llama_cpp'.*pip")
    fails(run("bench", "--peer", env={**env, "FAKE_PEER": "fails"}), 3, "llama.cpp: llama_decode gave 7")
    fails(run("bench", "--peer", env={**env, "FAKE_PEER": "refuses"}), 3, "llama.cpp: it is refused")


PEER_MODULE = b'''
import os, time
__version__ = "0.fake"
clock = [1.0]
time.perf_counter = lambda: clock[0]
LLAMA_FLASH_ATTN_TYPE_ENABLED, LLAMA_FLASH_ATTN_TYPE_DISABLED = 1, 0
class Bag:
    pass
class Batch:
    def __init__(self, n):
        self.token, self.pos, self.n_seq_id, self.logits = [0] * n, [0] * n, [0] * n, [0] * n
        self.seq_id = [[None] for _ in range(n)]
class Context:
    def __init__(self, params):
        self.params, self.cells = params, []
log = [None]
def llama_log_callback(function): return function
def llama_log_set(callback, data): log[0] = callback
def llama_backend_init(): pass
def llama_model_default_params(): return Bag()
def llama_context_default_params(): return Bag()
def llama_model_load_from_file(path, params):
    assert isinstance(path, bytes) and params.use_mmap and params.n_gpu_layers == 0
    if os.environ.get("FAKE_PEER") != "refuses":
        return Bag()
    log[0](2, b"loading\\n", None)
    log[0](4, b"it is\\n refused\\n", None)
    log[0](4, b"so there\\n", None)
def llama_model_get_vocab(model): return model
def llama_vocab_n_tokens(vocab): return 49152
def llama_init_from_model(model, params):
    assert params.n_threads == params.n_threads_batch == 1 or os.environ.get("FAKE_PEER")
    assert params.type_k == params.type_v == 1
    return Context(params)
def llama_batch_init(n, embd, n_seq): return Batch(n)
def llama_get_memory(context): return context
def llama_memory_clear(context, data): context.cells = []
def llama_memory_seq_rm(context, seq, begin, end):
    assert (seq, end) == (0, -1)
    del context.cells[begin:]
    return True
def llama_synchronize(context): pass
def llama_decode(context, batch):
    n = batch.n_tokens
    assert batch.pos[:n] == list(range(len(context.cells), len(context.cells) + n)), "a gap in the positions"
    assert len(context.cells) + n <= context.params.n_ctx and all(0 <= id < 49152 for id in batch.token[:n])
    assert not any(batch.logits[: n - 1]) and all(ids == [0] for ids in batch.seq_id[:n])
    context.cells += batch.token[:n]
    clock[0] += 0.04 if context.params.flash_attn_type else 0.02
    return 7 if os.environ.get("FAKE_PEER") == "fails" else 0
'''


@test
def bench_tells_what_the_cache_costs():
    text = write("cost.txt", b"The quick brown fox jumps over the lazy dog, and the dog sleeps on. " * 12)
    result = run("bench", "--kv-cost", "-f", text, "-c", "64", "--json").json()
    costs = {entry["kv"]: entry for entry in result["kv_cost"]}
    plain = run("perplexity", "-f", text, "-c", "64", "--json").json()
    equal(costs["f16"]["ppl"], plain["ppl"])
    equal(costs["f16"]["ratio"], 1)
    check(abs(costs["q8_0"]["ratio"] - 1) < 0.05 and abs(costs["f32"]["ratio"] - 1) < 0.01, costs)
    check(costs["q8_0"]["bytes_per_token"] < costs["f16"]["bytes_per_token"] < costs["f32"]["bytes_per_token"], costs)


@test
def only_one_thread_or_two_the_same_answer():
    answers = [run("-p", "Name three colours.", "--temp", "0", "-n", "12", "--no-save", "-t", n, "--json").json()["text"]
               for n in ("1", "2")]
    check(len(answers[0]) > 5)
    equal(answers[0], answers[1])


@test
def drafts_change_the_speed_and_nothing_else():
    text = "def add(a, b):\n    return a + b\n\ndef main():\n    print(add(1, 2))\n    print(add(3, 4))\n" * 2
    for sampling in (["--temp", "0"], ["--temp", "0.6", "--seed", "5"]):
        results = [run("-p", "Print this file again: " + text, *sampling, "-n", "60", "--no-save", "--json", *draft).json()
                   for draft in ([], ["--draft", "off"])]
        equal(results[0]["text"], results[1]["text"])
        equal([results[1]["drafted"], results[1]["accepted"]], [0, 0])
        check(results[0]["accepted"] <= results[0]["drafted"], results[0])


# ---- questions ----


@test
def a_question_and_its_answer():
    for words, stdin in ((["-p", "Say hi."], b""), (["-p", "-"], b"Say hi."), ([], b"Say hi."),
                         (["-p", "what changed?"], b"-int a;\n+int b;\n")):
        out = succeeds(run(*words, "-n", "8", "--temp", "0", "--no-save", stdin=stdin))
        check(out.endswith(b"\n") and len(out) > 3, out)


@test
def an_answer_as_json():
    result = run("-p", "Say hi.", "-n", "5", "--temp", "0", "--json", "--no-save").json()
    check(isinstance(result["text"], str) and isinstance(result["stop"], str))
    check(all(is_integer(result[key]) for key in ("tokens", "prefilled", "cached")))
    check(0 < result["tokens"] <= 5 and result["prefilled"] > 5 and result["tok_s"] > 0)


@test
def adapters_and_cuda_are_refused_clearly():
    fails(run("-p", "hi", "--lora", "a.gguf"), 3, "a.gguf")
    fails(run("-p", "hi", "--lora", MODEL), 3, "LoRA")
    result = run("-p", "hi", "--backend", "cuda", "-n", "1", "--no-save")
    check(result.status == 0 or (result.status == 3 and b"cuda" in result.err.lower()))


# ---- ends of pipes, full disks, signals ----


@test
def a_reader_that_leaves_makes_no_noise():
    for words in (f"{PROGRAM} -p hi -n 40 --no-save", f"{PROGRAM} help options", f"yes hello | head -c 2000000 | {PROGRAM} tokenize"):
        done = subprocess.run(["bash", "-c", f"{words} | head -c 10; echo \" ${{PIPESTATUS[*]}}\""], capture_output=True,
                              env=environment(), timeout=60)
        equal(done.stderr, b"")
        statuses = [int(status) for status in done.stdout.decode().rsplit("\n", 2)[-2].split()[-2:]]
        equal(statuses, [0, 0])


@test
def a_full_disk_is_a_failure():
    for words in (["help"], ["tokenize", "hi"], ["--version"], ["config", "--json"], ["-p", "hi", "-n", "3", "--no-save"]):
        with open("/dev/full", "wb") as full:
            done = subprocess.run([PROGRAM, *words], stdout=full, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL,
                                  env=environment())
        equal(done.returncode, 3)
        check(re.fullmatch(rb"fathom: [^\n]*No space left on device[^\n]*\n", done.stderr), done.stderr)


@test
def closed_descriptors_do_no_harm():
    for closed in ("<&-", ">&-", "2>&-", "<&- >&- 2>&-"):
        done = subprocess.run(["bash", "-c", f"{PROGRAM} tokenize hi {closed}"], capture_output=True, env=environment())
        check(done.returncode in (0, 3), done)


def minds_interrupts(process):
    """Waits until the program has a handler of SIGINT, which before would just end it."""
    for _ in range(6000):
        with open(f"/proc/{process.pid}/status", encoding="ascii") as file:
            caught = int(re.search(r"^SigCgt:\s*(\w+)$", file.read(), re.M)[1], 16)
        if caught >> (signal.SIGINT - 1) & 1:
            return
        time.sleep(0.01)
    raise AssertionError("SIGINT is never handled")


def interrupted(words, wait_for, stdin=subprocess.DEVNULL):
    # A process started in the background by a shell ignores SIGINT, and so would we.
    process = subprocess.Popen([PROGRAM, *words], stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               env=environment(), preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler))
    if wait_for:
        select.select([process.stdout], [], [], 60)
    else:
        minds_interrupts(process)
        time.sleep(1)  # so that it is well into its work; at any moment the result must be the same
    started = time.monotonic()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=120)
    return Result(process.returncode, out, err, time.monotonic() - started, lambda: interrupted(words, wait_for, stdin))


@test
def an_interrupt_is_status_130():
    big = write("big.txt", b"hello world, " * 200000)
    model = endless.make(MODEL, os.path.join(ROOT, "endless.gguf"))
    for words, wait_for, stdin in ((["-p", "Tell me a story.", "-m", model, "--temp", "0", "--no-save"], True, subprocess.DEVNULL),
                                   (["perplexity", "-f", big], False, subprocess.DEVNULL),
                                   (["bench", "-r", "1000"], False, subprocess.DEVNULL), (["tokenize"], False, subprocess.PIPE)):
        result = interrupted(words, wait_for, stdin)
        equal(result.status, 130)
        check(b"fathom:" not in result.err, result.err)
        result.within(2)
    os.unlink(model)


@test
def little_memory_is_one_line():
    def limit():
        resource.setrlimit(resource.RLIMIT_AS, (60_000_000, 60_000_000))

    if IS_SANITIZED:
        return  # sanitizers reserve more address space than that
    fails(run("-p", "hi", "-n", "1", preexec_fn=limit), 3)


# ---- configuration ----


def configured(text, *words, **env):
    path = write("configured/fathom/config", text.encode())
    return run(*words, env={"XDG_CONFIG_HOME": os.path.dirname(os.path.dirname(path)), **env})


@test
def configuration_environment_command_line():
    def model(result):
        entry = result.json()["settings"]["model"]
        return entry["value"], entry["from"]

    text = "[model]\nmodel = from-config\n"
    equal(model(configured("", "config", "--json", FATHOM_MODEL=None)), ("SmolLM2-135M-Instruct.Q4_1", "default"))
    equal(model(configured(text, "config", "--json", FATHOM_MODEL=None)), ("from-config", "config"))
    equal(model(configured(text, "config", "--json", FATHOM_MODEL="")), ("from-config", "config"))
    equal(model(configured(text, "config", "--json", FATHOM_MODEL="from-env")), ("from-env", "environment"))
    equal(model(configured(text, "config", "--json", "-m", "from-line", FATHOM_MODEL="from-env")), ("from-line", "command line"))
    equal(configured(text, "config", "--json", FATHOM_MODEL=None).json()["settings"]["model"]["line"], 2)
    fails(configured(text, "info", FATHOM_MODEL=None), 3, "from-config")


@test
def configuration_takes_effect():
    equal(succeeds(configured("[sampling]\ntemp = 0.25\n", "config", "temp")), b"0.25\n")
    succeeds(configured("[output]\nquiet = yes\n", "models", XDG_DATA_HOME=ROOT + "/nowhere"))
    check(b"no models are here" in configured("", "models", XDG_DATA_HOME=ROOT + "/nowhere").err)


@test
def a_wrong_configuration_is_one_line():
    fails(configured("[model]\nthreds = 2\n", "tokenize", "x"), 3, r"config:2: threds: no such key \(did you mean threads\?\)")
    fails(configured("temp = hot\n", "tokenize", "x"), 3, "config:1: --temp")
    fails(configured("[nowhere]\nx = 1\n", "config"), 3, "no such section")
    fails(configured("\x00\x01\x02", "config"), 3, "config:1")


@test
def config_prints_what_a_configuration_takes():
    printed = configured("[chat]\nsystem = one\n  two\n[sampling]\ntemp = 0.3\n", "config", "--seed", "5").out.decode()
    again = configured(printed, "config", "--json").json()["settings"]
    equal((again["system"]["value"], again["temp"]["value"], again["seed"]["value"]), ("one\ntwo", 0.3, 5))


# ---- terminals ----


def on_terminal(words, seconds=60, **env):
    """stdin, stdout and stderr are a terminal; gives all that was written to it, and the status."""
    pid, fd = pty.fork()
    if pid == 0:
        os.execve(PROGRAM, [PROGRAM, *words], environment(**env))
    written, end = b"", time.monotonic() + seconds
    while time.monotonic() < end:
        ready, _, _ = select.select([fd], [], [], 0.1)
        try:
            chunk = os.read(fd, 65536) if ready else None
        except OSError:
            break
        if chunk == b"":
            break
        written += chunk or b""
    _, status = os.waitpid(pid, 0)
    os.close(fd)
    return written, os.waitstatus_to_exitcode(status)


@test
def names_reach_no_terminal_as_controls():
    path = write("evil\x1b[31m\u202e.gguf", b"nothing")
    written, status = on_terminal(["info", path])
    equal(status, 3)
    check(b"\x1b" not in written and "\u202e".encode() not in written, written)


@test
def plain_and_dumb_terminals_get_no_sequences():
    for words, env in ((["--plain"], {}), ([], {"TERM": "dumb"})):
        written, status = on_terminal(["-p", "hi", "-n", "4", "--no-save", *words], **env)
        equal(status, 0)
        check(b"\x1b" not in written and written.endswith(b"\r\n"), written)


# ---- nothing else was touched ----


@test
def the_home_folder_stays_clean():
    allowed = {"config", "data", "state", "cache"}
    home = os.path.join(ROOT, "home")
    check(set(os.listdir(home)) <= allowed, os.listdir(home))


def main():
    chosen = [function for function in TESTS if not sys.argv[1:] or any(word in function.__name__ for word in sys.argv[1:])]
    os.makedirs(os.path.join(ROOT, "home"))
    passed = failed = 0
    for function in chosen:
        started = time.monotonic()
        try:
            function()
            passed += 1
            print("ok", function.__name__)
        except Exception as problem:  # every test counts for itself
            failed += 1
            where = traceback.extract_tb(problem.__traceback__)
            line = next((frame.lineno for frame in where if frame.name == function.__name__), 0)
            print(f"not ok {function.__name__} # line {line}: {problem}")
        if time.monotonic() - started > 10:
            print(f"# {function.__name__} took {time.monotonic() - started:.1f} s")
    shutil.rmtree(ROOT, ignore_errors=True)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
