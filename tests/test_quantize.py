#!/usr/bin/env python3
"""Drives `fathom quantize` as a user would: results, refusals, Ctrl-C, progress, and that the result runs.

Needs FATHOM_PROGRAM and FATHOM_TEST_MODEL, nothing but Python's standard library.  Arguments choose tests by a part of
their name."""

import json
import os
import pty
import random
import resource
import select
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time

PROGRAM = os.path.abspath(os.environ.get("FATHOM_PROGRAM", "build/fathom"))
MODEL = os.path.abspath(os.environ.get("FATHOM_TEST_MODEL", "missing.gguf"))
TYPES = "F32 F16 BF16 Q8_0 Q6_K Q5_K_M Q5_K Q5_K_S Q5_1 Q5_0 Q4_K_M Q4_K Q4_K_S Q4_1 Q4_0"
ROOT = tempfile.mkdtemp(prefix="fathom-quantize-")


def run(*words, **more):
    return subprocess.run([PROGRAM, "quantize", *words], cwd=ROOT, capture_output=True, timeout=300, text=True, **more)


def fails(done, status, *parts):
    """One line on stderr with these parts, nothing on stdout."""
    assert (done.returncode, done.stdout) == (status, ""), (done.returncode, done.stdout, done.stderr)
    assert done.stderr.startswith("fathom: ") and done.stderr.count("\n") == 1, done.stderr
    for part in parts:
        assert part in done.stderr, (part, done.stderr)


def text(value):
    return struct.pack("<Q", len(value)) + value.encode()


def write_model(name, n_rows):
    """A model of which quantising alone can make use: two matrices with rows of 512, and a norm."""
    keys = [text("general.architecture") + struct.pack("<I", 8) + text("llama"),
            text("llama.block_count") + struct.pack("<II", 4, 1)]
    tensors, data = [], b""
    row = random.Random(1)
    piece = struct.pack("<8192f", *(row.gauss(0, 0.02) for _ in range(8192)))
    for tensor, shape in (("blk.0.ffn_up.weight", (512, n_rows)), ("blk.0.ffn_down.weight", (96, 32)),
                          ("blk.0.ffn_norm.weight", (512,))):
        n = 1
        for size in shape:
            n *= size
        tensors.append(text(tensor) + struct.pack("<I", len(shape)) + b"".join(struct.pack("<Q", s) for s in shape)
                       + struct.pack("<IQ", 0, len(data)))
        data += (piece * (n * 4 // len(piece) + 1))[:n * 4]
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(keys)) + b"".join(keys) + b"".join(tensors)
    with open(os.path.join(ROOT, name), "wb") as file:
        file.write(head + bytes(-len(head) % 32) + data)


def result_is_told():
    write_model("in.gguf", 64)
    done = run("in.gguf", "table.gguf", "q4_k_m")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert [line.split()[:2] for line in lines[:-1]] == [["Q4_K", "1"], ["Q8_0", "1"], ["F32", "1"]], done.stdout
    assert lines[-1].startswith("table.gguf: ") and "before" in lines[-1]
    assert done.stderr == "fathom: 1 of 3 tensors got another type, since their rows don't divide into its blocks\n"
    assert run("in.gguf", "quiet.gguf", "Q4_K_M", "-q").stderr == ""
    done = run("in.gguf", "out.gguf", "Q4_0", "--json")
    assert (done.returncode, done.stderr, done.stdout.count("\n")) == (0, "", 1)
    told = json.loads(done.stdout)
    assert told["quants"] == {"Q4_0": 2, "F32": 1} and told["tensors"] == 3 and told["fallbacks"] == 0
    assert told["quant_bytes"] == {"Q4_0": (512 * 64 + 96 * 32) // 32 * 18, "F32": 2048}
    assert told["bytes"] == os.path.getsize(os.path.join(ROOT, "out.gguf"))
    assert told["bytes_in"] == os.path.getsize(os.path.join(ROOT, "in.gguf"))
    assert isinstance(told["ms"], (int, float))


def mistakes_are_told():
    write_model("in.gguf", 64)
    fails(run(), 2, "IN, OUT and TYPE", TYPES)
    fails(run("in.gguf", "x.gguf"), 2, "IN, OUT and TYPE")
    fails(run("in.gguf", "x.gguf", "Q4_0", "more"), 2, "more")
    fails(run("none.gguf", "x.gguf", "Q3"), 2, "Q3: no such type; there are " + TYPES)
    fails(run("none.gguf", "x.gguf", "Q4_0"), 3, "none.gguf", "no such file")
    fails(run("in.gguf", "in.gguf", "Q4_0", "--force"), 2, "in.gguf", "another name")
    fails(run("in.gguf", "none/x.gguf", "Q4_0"), 3, "none/x.gguf", "No such file")
    fails(run(MODEL, "x.gguf", "Q4_0"), 3, "quantised already")
    assert run("in.gguf", "x.gguf", "Q4_0").returncode == 0
    before = os.stat(os.path.join(ROOT, "x.gguf"))
    fails(run("in.gguf", "x.gguf", "Q8_0"), 2, "x.gguf: is there already (--force replaces it)")
    assert os.stat(os.path.join(ROOT, "x.gguf")) == before
    assert run("in.gguf", "x.gguf", "Q8_0", "--force").returncode == 0
    assert os.path.getsize(os.path.join(ROOT, "x.gguf")) > before.st_size
    assert sorted(os.listdir(ROOT)) == ["in.gguf", "x.gguf"]


def full_disks_are_told():
    """A limit on the size of files stands for a disk; where a private mount is allowed, a small one is tried, too."""
    write_model("in.gguf", 4000)
    limit = lambda: (signal.signal(signal.SIGXFSZ, signal.SIG_IGN),
                     resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20)))
    fails(run("in.gguf", "x.gguf", "Q8_0", preexec_fn=limit), 3, "x.gguf: File too large")
    assert os.listdir(ROOT) == ["in.gguf"]
    own = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]
    mount = "mount -t tmpfs -o size=1m none ."
    os.mkdir(os.path.join(ROOT, "disk"))
    if subprocess.run([*own, mount], cwd=ROOT, capture_output=True).returncode == 0:
        steps = (f"cd disk && {mount} && cd ../disk && '{PROGRAM}' quantize ../in.gguf ./x.gguf Q8_0; code=$?; "
                 "ls -A .; exit $code")
        done = subprocess.run([*own, steps], cwd=ROOT, capture_output=True, timeout=300, text=True)
        fails(done, 3, "./x.gguf: No space left on device (the file takes 3 MB)")
    os.rmdir(os.path.join(ROOT, "disk"))


def has_nameless_files():
    try:
        os.close(os.open(ROOT, os.O_TMPFILE | os.O_WRONLY))
    except OSError:
        return False
    return True


def is_writing(child, ending=""):
    """Whether the child has a file open for its result, whose name has this ending."""
    folder = f"/proc/{child.pid}/fd/"
    try:
        opened = [os.readlink(folder + name) for name in os.listdir(folder)]
    except OSError:
        return False
    return any(path.startswith(ROOT) and not path.endswith("/in.gguf") and path.endswith(ending) for path in opened)


def end_while_it_writes(number, ending, *before):
    """Ends quantising by a signal when its file is open; gives what is in the folder then, and status, stdout and stderr."""
    for _ in range(5):  # a machine that stops us for a second lets it end before
        child = subprocess.Popen([*before, PROGRAM, "quantize", "in.gguf", "out.gguf", "Q4_K", "-t", "1"], cwd=ROOT,
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                 preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
        while not is_writing(child, ending) and child.poll() is None:
            time.sleep(0.01)
        seen = os.listdir(ROOT)
        child.send_signal(number)
        out, err = child.communicate(timeout=60)
        if child.returncode != 0:
            return seen, (child.returncode, out, err)
        os.remove(os.path.join(ROOT, "out.gguf"))
    raise AssertionError("it always ends before the signal comes")


def interrupted_work_leaves_nothing():
    write_model("in.gguf", 40000)
    if has_nameless_files():
        for number, status in ((signal.SIGINT, 130), (signal.SIGTERM, -signal.SIGTERM), (signal.SIGKILL, -signal.SIGKILL)):
            seen, result = end_while_it_writes(number, "")
            assert (seen, result) == (["in.gguf"], (status, b"", b"")), (seen, result)
            assert os.listdir(ROOT) == ["in.gguf"]
    # Without /proc/self/fd a file can't be named later: it has a name from the beginning, as where the file system wants one.
    own = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", 'mount -t tmpfs none /proc/$$/fd && exec "$@"', "sh"]
    if not has_nameless_files():
        own = []
    elif subprocess.run([*own, "true"], capture_output=True).returncode != 0:
        return
    seen, result = end_while_it_writes(signal.SIGINT, ".part", *own)
    assert result == (130, b"", b""), result
    assert len(seen) == 2 and any(name.endswith(".part") for name in seen), seen
    assert os.listdir(ROOT) == ["in.gguf"]
    for force in ([], ["--force"]):
        done = subprocess.run([*own, PROGRAM, "quantize", "in.gguf", "out.gguf", "Q8_0", *force], cwd=ROOT, capture_output=True)
        assert done.returncode == 0 and sorted(os.listdir(ROOT)) == ["in.gguf", "out.gguf"], done


def quantised_on_a_terminal():
    """What a terminal gets of work that takes longer than a second: it is made to, on however fast a machine."""
    leader, follower = pty.openpty()
    child = subprocess.Popen([PROGRAM, "quantize", "in.gguf", "out.gguf", "Q4_K", "-t", "1"], cwd=ROOT,
                             stdout=subprocess.PIPE, stderr=follower, env={**os.environ, "TERM": "xterm"})
    os.close(follower)
    while not is_writing(child) and child.poll() is None:
        time.sleep(0.01)
    child.send_signal(signal.SIGSTOP)
    time.sleep(1.2)
    child.send_signal(signal.SIGCONT)
    seen = b""
    while child.poll() is None or select.select([leader], [], [], 0)[0]:
        if select.select([leader], [], [], 0.1)[0]:
            try:
                seen += os.read(leader, 4096)
            except OSError:
                break
    os.close(leader)
    assert child.wait() == 0
    return seen


def progress_is_shown_on_a_terminal():
    for n_rows in (60000, 120000, 240000, 480000):
        write_model("in.gguf", n_rows)
        seen = quantised_on_a_terminal()
        os.remove(os.path.join(ROOT, "out.gguf"))
        if b"quantising" in seen:
            break  # else it had ended before it was stopped
    n_bytes = os.path.getsize(os.path.join(ROOT, "in.gguf"))
    assert b"quantising " in seen and b" of %d MB, " % round(n_bytes / 1e6) in seen, (n_bytes, seen[-200:])
    last = seen[:seen.index(b"fathom: ")] if b"fathom: " in seen else seen
    assert last.endswith(b"\r\x1b[K"), seen[-200:]


def result_runs():
    done = run(MODEL, "floats.gguf", "F16")
    assert done.returncode == 0, done.stderr
    done = run("floats.gguf", "bytes.gguf", "Q8_0")
    assert done.returncode == 0, done.stderr
    likely = []
    for path in (MODEL, "bytes.gguf"):
        words = [PROGRAM, "eval", "--tokens", "504,3575,282,4649,314", "--top", "5", "--json", "-m", path]
        done = subprocess.run(words, cwd=ROOT, capture_output=True, timeout=300)
        likely.append({each["id"]: each["logprob"] for each in json.loads(done.stdout)["top"]})
    common = likely[0].keys() & likely[1].keys()
    assert len(common) >= 4 and all(abs(likely[0][id] - likely[1][id]) < 0.2 for id in common), likely


TESTS = [result_is_told, mistakes_are_told, full_disks_are_told, interrupted_work_leaves_nothing,
         progress_is_shown_on_a_terminal, result_runs]


def main():
    failed = 0
    for test in TESTS:
        if sys.argv[1:] and not any(part in test.__name__ for part in sys.argv[1:]):
            continue
        for name in os.listdir(ROOT):
            os.remove(os.path.join(ROOT, name))
        try:
            test()
            print("ok", test.__name__, flush=True)
        except Exception as problem:  # a failed assertion too: the next test has to run
            failed += 1
            print("not ok", test.__name__, repr(problem), flush=True)
    shutil.rmtree(ROOT)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
