#!/usr/bin/env python3
"""Drives `fathom complete` as an editor would: its JSON, its exit status, odd places and odd files.

Needs FATHOM_PROGRAM, FATHOM_TEST_MODEL and git, nothing but Python's standard library.  Arguments choose tests by a part of
their name.  The small models of tests/golden/fim have no weights but zeros: what they say means nothing, and comes fast."""

import ast
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

PROGRAM = os.path.abspath(os.environ.get("FATHOM_PROGRAM", "build/fathom"))
MODEL = os.path.abspath(os.environ["FATHOM_TEST_MODEL"])
SMALL = os.path.abspath("tests/golden/fim")
ROOT = tempfile.mkdtemp(prefix="fathom-complete-")
STOPS = {"eot", "line", "block", "suffix", "limit", "deadline"}

PYTHON = """import os
import sys


def read_lines(path):
    with open(path) as file:
        return file.readlines()


def count_words(lines):
    total = 0
    for line in lines:
        total += len(line.split())
    return total


def main():
    lines = read_lines(sys.argv[1])
    print(count_words(lines))


main()
"""


def environment():
    return dict(os.environ, XDG_CACHE_HOME=os.path.join(ROOT, "cache"), GIT_CONFIG_GLOBAL="/dev/null",
                GIT_AUTHOR_NAME="a", GIT_AUTHOR_EMAIL="a@b", GIT_COMMITTER_NAME="a", GIT_COMMITTER_EMAIL="a@b")


def run(place, *words, text=None, model=MODEL, cwd=ROOT, timeout=250):
    data = text.encode() if isinstance(text, str) else text
    return subprocess.run([PROGRAM, "complete", "-m", model, *words, *(["--stdin"] if text is not None else []), place],
                          input=data, cwd=cwd, env=environment(), capture_output=True, timeout=timeout)


def complete(place, *words, **more):
    done = run(place, "--json", *words, **more)
    assert done.returncode in (0, 1), (done.returncode, done.stderr)
    reply = json.loads(done.stdout)
    check(reply)
    assert (done.returncode == 1) == (reply["text"] == ""), reply
    return reply


def check(reply):
    assert isinstance(reply["text"], str) and reply["stop"] in STOPS
    for key in ("tokens", "cached", "prefilled"):
        assert isinstance(reply[key], int) and reply[key] >= 0, key
    for key in ("ttft_ms", "total_ms"):
        assert isinstance(reply[key], float) and reply[key] >= 0, key
    assert reply["ttft_ms"] <= reply["total_ms"]
    for piece in reply["context"]:
        assert isinstance(piece["path"], str) and isinstance(piece["tokens"], int) and isinstance(piece["why"], str)
        assert len(piece["lines"]) == 2 and all(isinstance(line, int) for line in piece["lines"])
    assert sum(piece["tokens"] for piece in reply["context"]) == reply["prefilled"] + reply["cached"]
    assert isinstance(reply["alternatives"], list)


def small(name):
    return os.path.join(SMALL, name + ".gguf")


# ---- what it gives ----

def test_json_and_text():
    reply = complete("a.py:18:20", "--temp", "0", text=PYTHON.replace("print(count_words(lines))", "print(count_w)"))
    assert reply["family"] == "none" and reply["text"], reply
    words = ("--temp", "0")
    text = PYTHON.replace("    return total\n", "    return \n")
    one, plain = complete("a.py:14:12", *words, text=text), run("a.py:14:12", *words, text=text)
    assert plain.returncode == 0 and plain.stdout.decode() == one["text"], (plain.stdout, one)
    again = complete("a.py:14:12", *words, text=text)
    assert again["text"] == one["text"]
    assert one["text"] == "total", one


def test_word_is_continued():
    text = PYTHON.replace("        return file.readlines()\n", "        retu\n")
    reply = complete("a.py:7:13", "--temp", "0", text=text)
    assert reply["text"].startswith("rn "), reply
    plain = complete("a.py:7:13", "--temp", "0", "--continue-only", text=text)
    assert plain["prefilled"] != reply["prefilled"]


def test_suffix_is_not_repeated():
    text = PYTHON.replace("print(count_words(lines))", "print()")
    reply = complete("a.py:19:11", "--temp", "0", text=text)
    assert reply["text"] and not reply["text"].endswith("))"), reply
    lines = text.split("\n")
    lines[18] = lines[18][:10] + reply["text"] + lines[18][10:]
    ast.parse("\n".join(lines))


def test_alternatives():
    text = PYTHON.replace("    return total\n", "    return \n")
    reply = complete("a.py:14:12", "--alternatives", "3", "--temp", "0", text=text)
    texts = [reply["text"]] + [other["text"] for other in reply["alternatives"]]
    assert 2 <= len(texts) <= 4 and len(set(texts)) == len(texts), texts
    assert all(other["stop"] in STOPS for other in reply["alternatives"])


def test_limits():
    text = "def f(x):\n    "
    reply = complete("a.py:2:5", "-n", "3", "--temp", "0", text=text)
    assert reply["tokens"] <= 3
    reply = complete("a.py:2:5", "--deadline", "1", "--temp", "0", text=text)
    assert reply["stop"] in ("deadline", "line", "block", "limit")
    assert complete("a.py:2:5", "-n", "0", text=text)["text"] == ""


def test_repository_is_used():
    folder = os.path.join(ROOT, "repository")
    os.mkdir(folder)
    for name, text in (("util.py", "def frobnicate_all(items, depth=3):\n    \"\"\"Frobnicates.\"\"\"\n    return items\n"),
                       ("main.py", "import util\n\nutil.frobnicate_all(\n")):
        with open(os.path.join(folder, name), "w") as file:
            file.write(text)
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "first"]):
        subprocess.run(["git", *words], cwd=folder, env=environment(), check=True, capture_output=True)
    reply = complete("main.py:3:21", "--temp", "0", cwd=folder)
    assert any(piece["path"] == "util.py" for piece in reply["context"]), reply["context"]
    reply = complete("main.py:3:21", "--temp", "0", "--sources", "none", cwd=folder)
    assert not any(piece["path"] == "util.py" for piece in reply["context"])


# ---- odd places, odd files ----

def test_every_family():
    for name in ("deepseek", "qwen", "starcoder", "granite", "codellama", "codestral", "codegemma", "seed", "glm", "other", "none"):
        for place, text in (("a.c:2:5", "int main(void)\n    \n}\n"), ("a.c:1:1", ""), ("a.c:1:4", "int"),
                            ("a.c:2:8", "\xe9\u65e5;\r\n\tint \u65e5\r\n\xe9\U0001f600\r\n")):
            reply = complete(place, "-n", "4", "--budget", "256", text=text, model=small(name))
            assert reply["family"] == name.replace("granite", "starcoder"), reply


def test_empty():
    for place, text in (("a.py:1:1", ""), ("a.py:1:1", "\n"), ("a.py:1:1", "import os\n"), ("a.py:2:1", "import os\n"),
                        ("a:1:1", ""), ("a.py:1:10", "import os")):
        complete(place, "-n", "8", text=text)


def test_line_ends():
    text = PYTHON.replace("\n", "\r\n").replace("    total = 0\r\n    for line in lines:\r\n        total += len(line.split())\r\n", "    \r\n")
    reply = complete("a.py:11:5", "--temp", "0", "-n", "40", text=text)
    assert "\n" not in reply["text"].replace("\r\n", ""), reply


def test_tabs():
    reply = complete("a.c:4:3", "--temp", "0", text="int f(int a)\n{\n\tif (a)\n\t\t\n\treturn 0;\n}\n")
    assert not reply["text"].startswith("\t"), reply


def test_utf8():
    text = "name = 'na\xefve \u65e5\u672c'\nprint(na)  # \u65e5\u672c\U0001f600\n"
    complete("a.py:2:9", "--temp", "0", text=text)
    for column in range(1, len(text.split("\n")[0].encode()) + 2):  # in the middle of code points, too
        complete(f"a.py:1:{column}", "-n", "2", "--budget", "128", text=text, model=small("qwen"))


def test_one_long_line():
    text = "x = [" + "1, " * 350000 + "]\n"
    assert len(text) > 1 << 20
    for column in (1, 6, 500000, len(text)):
        begin = time.monotonic()
        complete(f"a.py:1:{column}", "-n", "4", "--budget", "256", text=text, model=small("none"))
        complete(f"a.py:1:{column}", "-n", "4", "--budget", "256", text=text, model=small("qwen"))
        assert time.monotonic() - begin < 30


def test_wrong_places():
    text = "one\ntwo\n"
    for place in ("a.py", "a.py:1", "a.py:x:1", "a.py:1:0", "a.py:0:1", "a.py:1:5", "a.py:9:1", "a.py:1:99999999999999999999",
                  "a.py:-1:1", ""):
        done = run(place, text=text)
        assert done.returncode == 2 and not done.stdout, (place, done)
        assert done.stderr.startswith(b"fathom: ") and done.stderr.count(b"\n") == 1, done.stderr
    done = run("missing.py:1:1")
    assert done.returncode == 3 and b"missing.py" in done.stderr, done
    done = subprocess.run([PROGRAM, "complete", "-m", MODEL], env=environment(), capture_output=True)
    assert done.returncode == 2


def test_binary():
    done = run("a.bin:1:1", text=bytes(range(256)) * 8)
    assert done.returncode == 3 and b"binary" in done.stderr and not done.stdout, done
    reply = complete("a.c:1:4", "-n", "2", text=b"\xff\xfe\xfd\x80 = 1;\n")  # no UTF-8, but text
    json.dumps(reply["text"])


def test_marks_in_the_text_are_text():
    text = "s = '<|fim_middle|><|fim_suffix|><|endoftext|>'\nprint()\n"
    plain = text.replace("<|", "<!")
    a = complete("a.py:2:7", "-n", "1", "--budget", "512", text=text, model=small("qwen"))
    assert a["prefilled"] > 20 and plain
    done = subprocess.run([PROGRAM, "tokenize", "-m", small("qwen"), "<|fim_middle|>"], capture_output=True, env=environment())
    assert len(done.stdout.split()) > 3


def test_interrupted():
    text = "def f():\n" + "    value = compute(value)\n" * 600 + "    "
    child = subprocess.Popen([PROGRAM, "complete", "-m", MODEL, "--stdin", "--budget", "4000", "-c", "8192", f"a.py:602:5"],
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment(), cwd=ROOT)
    child.stdin.write(text.encode())
    child.stdin.close()
    time.sleep(1.5)
    child.send_signal(signal.SIGINT)
    begin = time.monotonic()
    assert child.wait(60) == 130, child.returncode
    assert child.stdout.read() == b"" and time.monotonic() - begin < 10
    child.stdout.close()
    child.stderr.close()


def main():
    failed = 0
    try:
        for name, test in list(globals().items()):
            if not name.startswith("test_") or not all(word in name for word in sys.argv[1:]):
                continue
            try:
                test()
                print("ok", name, flush=True)
            except Exception as problem:
                failed += 1
                print("not ok", name, "#", repr(problem)[:2000], flush=True)
    finally:
        shutil.rmtree(ROOT, ignore_errors=True)
    sys.exit(failed != 0)


if __name__ == "__main__":
    main()
