#!/usr/bin/env python3
"""Drives `fathom map` as a user would: its forms, its budget by the real tokenizer, and how it fails.

Needs FATHOM_PROGRAM, FATHOM_TEST_MODEL and git, nothing but Python's standard library."""

import json
import os
import shutil
import subprocess
import sys
import tempfile

PROGRAM = os.path.abspath(os.environ.get("FATHOM_PROGRAM", "build/fathom"))
MODEL = os.path.abspath(os.environ.get("FATHOM_TEST_MODEL", "build/test-data/models/SmolLM2-135M-Instruct.Q4_1.gguf"))
ROOT = tempfile.mkdtemp(prefix="fathom-map-")


def run(*words, cwd, text=None):
    environment = dict(os.environ, XDG_CACHE_HOME=os.path.join(ROOT, "cache"))
    return subprocess.run([PROGRAM, *words], cwd=cwd, env=environment, input=text, capture_output=True, timeout=120)


def make_repository():
    folder = os.path.join(ROOT, "code")
    os.mkdir(folder)
    subprocess.run(["git", "init", "-q", folder], check=True)
    for i in range(40):
        with open(os.path.join(folder, f"part{i}.py"), "w", encoding="utf-8") as file:
            file.write(f"import part{i // 2}\n\n\nclass Thing{i}:\n    def handle_request{i}(self, größe):\n"
                       f"        return part{i // 2}.compute_value{i // 2}(größe)\n\n\n"
                       f"def compute_value{i}(number):\n    return number + {i}\n")
    return folder


def tokens_of(folder, text):
    done = run("tokenize", "-m", MODEL, "-", cwd=folder, text=text)
    assert done.returncode == 0, done.stderr
    return len(done.stdout.split())


def keeps_its_budget(folder):
    for budget in (1, 2, 3, 7, 20, 50, 51, 52, 53, 200, 1000, 100000):
        done = run("map", "-m", MODEL, "--tokens", str(budget), cwd=folder)
        assert done.returncode == 0, done.stderr
        assert not done.stdout or tokens_of(folder, done.stdout) <= budget, budget
        same = run("map", "-m", MODEL, "--tokens", str(budget), "--no-refresh", cwd=folder)
        assert same.stdout == done.stdout


def speaks_json(folder):
    done = run("map", "-m", MODEL, "--tokens", "300", "--json", cwd=folder)
    map_ = json.loads(done.stdout)
    text = run("map", "-m", MODEL, "--tokens", "300", cwd=folder).stdout
    assert map_["tokens"] == tokens_of(folder, text) <= 300 and map_["tokens"] > 200
    assert isinstance(map_["ms"], (int, float))
    ranks = [file["rank"] for file in map_["files"]]
    assert ranks == sorted(ranks, reverse=True) and 0 < sum(ranks) <= 1.001
    for file in map_["files"]:
        with open(os.path.join(folder, file["path"]), encoding="utf-8") as source:
            lines = source.read().split("\n")
        for line in file["lines"]:
            assert line["text"] in lines[line["line"] - 1], line


def ranks_for_a_place(folder):
    near = json.loads(run("map", "-m", MODEL, "--tokens", "80", "--near", "part37.py:6", "--json", cwd=folder).stdout)
    assert {"part37.py", "part18.py"} & {file["path"] for file in near["files"][:2]}, near
    inside = os.path.join(folder, "sub")
    os.makedirs(inside, exist_ok=True)
    again = json.loads(run("map", "-m", MODEL, "--tokens", "80", "--near", "../part37.py:6", "--json", cwd=inside).stdout)
    assert again["files"] == near["files"]


def says_what_is_wrong(folder):
    for words, status, word in ((("map", "--tokens", "0"), 2, b"tokens"), (("map", "--tokens", "x"), 2, b"tokens"),
                                (("map", "-m", "/no/model.gguf"), 3, b"/no/model.gguf"),
                                (("map", "-m", MODEL, "/no/where"), 3, b"/no/where"),
                                (("map", "-m", MODEL, "--near", "/etc/passwd"), 2, b"/etc/passwd")):
        done = run(*words, cwd=folder)
        assert done.returncode == status and word in done.stderr and not done.stdout, (words, done)
        assert done.stderr.count(b"\n") == 1, done.stderr


def main():
    folder = make_repository()
    failed = False
    for test in (keeps_its_budget, speaks_json, ranks_for_a_place, says_what_is_wrong):
        try:
            test(folder)
            print("ok", test.__name__)
        except AssertionError as problem:
            failed = True
            print("not ok", test.__name__, problem)
    shutil.rmtree(ROOT)
    return failed


if __name__ == "__main__":
    sys.exit(main())
