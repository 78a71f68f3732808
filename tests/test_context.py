#!/usr/bin/env python3
"""Drives `fathom context` as a user would: where pieces come from and where they never come from, the budget, how it fails.

Needs FATHOM_PROGRAM, FATHOM_TEST_MODEL and git, nothing but Python's standard library."""

import json
import os
import shutil
import subprocess
import sys
import tempfile

PROGRAM = os.path.abspath(os.environ.get("FATHOM_PROGRAM", "build/fathom"))
MODEL = os.path.abspath(os.environ.get("FATHOM_TEST_MODEL", "build/test-data/models/SmolLM2-135M-Instruct.Q4_1.gguf"))
ROOT = tempfile.mkdtemp(prefix="fathom-context-")
FOLDER = os.path.join(ROOT, "code")

MAIN = '''"""Reads tables."""
from table import open_table, Row

LIMIT = 12


class Reader:
    """Reads rows of a table."""

    def read_all(self, path, wanted_row_count):
%s        rows = []
        table = open_table(path, "r")
        while len(rows) < wanted_row_count:
            row = table.next_row()
            HOLE
        return rows


def count_rows(path):
    table = open_table(path, "r")
    total_row_count = 0
    while table.next_row():
        total_row_count += 1
    return total_row_count
'''
FILES = {
    "table.py": '"""Tables."""\n\n\nclass Row:\n    def __init__(self, cells):\n        self.cells = cells\n\n\n'
                'def open_table(path, mode, encoding="utf-8", buffer_size=4096):\n    """Opens a table."""\n'
                + "".join(f"    step_{i}(path, mode)\n" for i in range(30)) + "    return path\n",
    "similar.py": "def read_some(path, wanted_row_count):\n    rows = []\n    table = make_table(path)\n"
                  "    while len(rows) < wanted_row_count:\n        row = table.next_row()\n        rows.append(row)\n    return rows\n",
    "hidden.py": "def hidden_helper(first, second):\n    return first + second\n",
    "edited.py": "".join(f"def old_{i}():\n    return {i}\n\n\n" for i in range(40)),
    ".env": "OPEN_TABLE_KEY=very-secret-key open_table next_row wanted_row_count\n",
    "server.pem": "-----BEGIN PRIVATE KEY-----\nopen_table next_row wanted_row_count\n-----END PRIVATE KEY-----\n",
    "ignored.py": "def open_table(ignored_path):\n    rows = wanted_row_count\n    return next_row\n",
    ".gitignore": "ignored.py\n",
}


def write(path, text):
    with open(os.path.join(FOLDER, path), "w", encoding="utf-8") as file:
        file.write(text)


def run(*words, text=None, cwd=FOLDER):
    environment = dict(os.environ, XDG_CACHE_HOME=os.path.join(ROOT, "cache"))
    return subprocess.run([PROGRAM, *words], cwd=cwd, env=environment, input=text, capture_output=True, timeout=120)


def context(place, *words, text=None):
    done = run("context", "-m", MODEL, "--json", *words, *(["--stdin"] if text is not None else []), place,
               text=None if text is None else text.encode())
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["tokens"] == sum(piece["tokens"] for piece in found["pieces"]) <= found["budget"], found
    return found


def editor_text(line="", long_body=""):
    return (MAIN % long_body).replace("HOLE", line)


def place_of(text, what):
    at = text.index(what) + len(what)
    return f"main.py:{text.count(chr(10), 0, at) + 1}:{at - text.rfind(chr(10), 0, at)}"


def make_repository():
    os.mkdir(FOLDER)
    for path, text in FILES.items():
        write(path, text)
    # What stands on disk at the hole must not be looked at.
    write("main.py", editor_text("rows.append(hidden_helper(row, 1))"))
    subprocess.run("git init -q && git add -A && git -c user.name=x -c user.email=x@x commit -qm x", shell=True, check=True,
                   cwd=FOLDER)
    write("edited.py", FILES["edited.py"].replace("return 20\n", "return wanted_row_count  # as edited\n"))


def comes_from_everywhere():
    text = editor_text()
    found = context(place_of(text, "next_row()\n            "), text=text)
    pieces = {source: [piece for piece in found["pieces"] if piece["source"] == source]
              for source in ("definition", "similar", "change", "map", "window")}
    opened = [piece for piece in pieces["definition"] if "def open_table(" in piece["text"]]
    assert len(opened) == 1 and opened[0]["path"] == "table.py" and "open_table" in opened[0]["why"], found
    assert "buffer_size=4096" in opened[0]["text"] and "step_20" not in opened[0]["text"], opened
    assert any(piece["path"] == "table.py" and "class Row" in piece["text"] for piece in pieces["definition"]), found
    assert any(piece["path"] == "similar.py" and "rows.append(row)" in piece["text"] for piece in pieces["similar"]), found
    assert any("as edited" in piece["text"] and "old_39" not in piece["text"] for piece in pieces["change"]), found
    assert found["pieces"][-1]["source"] == "window"
    for piece in found["pieces"]:
        lines = (text if piece["path"] == "main.py" else open(os.path.join(FOLDER, piece["path"])).read()).split("\n")
        if piece["source"] in ("similar", "change"):
            assert piece["text"].split("\n")[:1] == lines[piece["lines"][0] - 1:piece["lines"][0]], piece


def leaves_out_what_is_secret_and_what_is_at_the_hole():
    text = editor_text()
    for words in ((), ("--budget", "8000")):
        found = context(place_of(text, "next_row()\n            "), "--sources", "definition,similar,change", *words, text=text)
        for piece in found["pieces"]:
            assert piece["path"] not in (".env", "server.pem", "ignored.py"), piece
            assert "hidden_helper" not in piece["text"] and "very-secret" not in piece["text"], piece
            assert piece["path"] != "main.py" or piece["source"] == "window" or "def read_all" not in piece["text"], piece


def switches_sources():
    text = editor_text()
    place = place_of(text, "next_row()\n            ")
    assert {piece["source"] for piece in context(place, "--sources", "none", text=text)["pieces"]} == {"window"}
    for source in ("definition", "similar", "change", "map"):
        found = {piece["source"] for piece in context(place, "--sources", source, text=text)["pieces"]}
        assert found == {source, "window"}, (source, found)


def stays_while_a_word_is_typed():
    def pieces(typed):
        text = editor_text(typed)
        found = context(place_of(text, "next_row()\n            " + typed), text=text)["pieces"]
        return [piece for piece in found if piece["source"] != "window"]
    before = pieces("ro")
    assert before and all(pieces("rows.append"[:n]) == before for n in (1, 3, 4))


def keeps_its_budget_and_the_signature():
    body = "".join(f"        self.step_{i}(path)\n" for i in range(300))
    text = editor_text(long_body=body)
    place = place_of(text, "next_row()\n            ")
    for budget in (64, 65, 70, 99, 128, 200, 333, 512, 1000, 1500, 3000, 5000):
        found = context(place, "--budget", str(budget), text=text)
        window = [piece for piece in found["pieces"] if piece["why"] == "before the cursor"][0]
        assert window["text"].endswith("row = table.next_row()\n            "), window
        if budget >= 512:
            assert "class Reader:" in window["text"] and "def read_all(self, path, wanted_row_count):" in window["text"], window


def shows_a_table():
    done = run("context", "-m", MODEL, "main.py:15:1")
    lines = done.stdout.decode().rstrip("\n").split("\n")
    assert done.returncode == 0 and not done.stderr, done
    assert lines[-1].split()[1:4] == ["of", "2048", "tokens"] or lines[-1].split()[1:4] == ["of", "2048", "tokens;"], lines
    assert int(lines[-1].split()[0]) == sum(int(line.split()[0]) for line in lines[:-1])
    assert "main.py:1-15" in lines[-2] and "before the cursor" in lines[-2], lines


def works_in_a_plain_folder():
    plain = os.path.join(ROOT, "plain")
    shutil.copytree(FOLDER, plain, ignore=shutil.ignore_patterns(".git"))
    def sources():
        done = run("context", "-m", MODEL, "--json", "main.py:15:1", cwd=plain)
        assert done.returncode == 0, done.stderr
        return {piece["source"] for piece in json.loads(done.stdout)["pieces"]}
    assert sources() <= {"window", "similar"}  # nobody asked for all of that folder to be read
    assert run("index", cwd=plain).returncode == 0
    assert "definition" in sources()


def says_what_is_wrong():
    for words, status, word in ((("main.py:1:1", "--budget", "63"), 2, b"budget"), (("main.py",), 2, b"FILE:LINE:COL"),
                                (("main.py:3",), 2, b"FILE:LINE:COL"), (("main.py:0:1",), 2, b"FILE:LINE:COL"),
                                (("main.py:999:1",), 2, b"999"), (("main.py:2:99",), 2, b"column"),
                                (("no.py:1:1",), 3, b"no.py"), ((), 2, b"FILE:LINE:COL"),
                                (("main.py:1:1", "--sources", "map,sky"), 2, b"sky"),
                                (("main.py:99999999999999999999:1",), 2, b"FILE:LINE:COL"),
                                (("-m", "/no/model.gguf", "main.py:1:1"), 3, b"/no/model.gguf")):
        done = run("context", *([] if "-m" in words else ["-m", MODEL]), *words)
        assert done.returncode == status and word in done.stderr and not done.stdout, (words, done)
        assert done.stderr.count(b"\n") == 1, done.stderr


def main():
    make_repository()
    failed = False
    for test in (comes_from_everywhere, leaves_out_what_is_secret_and_what_is_at_the_hole, switches_sources,
                 stays_while_a_word_is_typed, keeps_its_budget_and_the_signature, shows_a_table, works_in_a_plain_folder,
                 says_what_is_wrong):
        try:
            test()
            print("ok", test.__name__)
        except AssertionError as problem:
            failed = True
            print("not ok", test.__name__, problem)
    shutil.rmtree(ROOT)
    return failed


if __name__ == "__main__":
    sys.exit(main())
