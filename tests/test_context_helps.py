#!/usr/bin/env python3
"""That context makes completions better with a model that can use it: one that copies (make_repeat_model.py) completes
lines that use another file's names, with what was gathered and without.

Needs FATHOM_PROGRAM, FATHOM_TEST_MODEL (for its vocabulary) and git, nothing but Python's standard library."""

import json
import os
import shutil
import subprocess
import sys
import tempfile

PROGRAM = os.path.abspath(os.environ.get("FATHOM_PROGRAM", "build/fathom"))
MODEL = os.path.abspath(os.environ.get("FATHOM_TEST_MODEL", "build/test-data/models/SmolLM2-135M-Instruct.Q4_1.gguf"))
HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = tempfile.mkdtemp(prefix="fathom-helps-")
FOLDER = os.path.join(ROOT, "code")
REPEAT = os.path.join(ROOT, "repeat.gguf")

LIBRARY = "".join(f'''def {name}({arguments}):
    """{doc}"""
    return prepare({arguments.split(",")[0]})


def use_{name}(first, second):
    value = first.settings
    result = {name}({call})
    return result


''' for name, arguments, doc, call in (
    ("fetch_archive", "address, folder, timeout=30", "Fetches an archive.", "value.address, second.folder, timeout=value.patience"),
    ("merge_columns", "table, columns, joiner", "Joins columns.", "first.table, second.columns, joiner=second.glue"),
    ("render_report", "rows, theme, width=80", "Draws a report.", "first.rows, theme=second.theme, width=first.terminal_width"),
    ("verify_signature", "message, key, digest", "Verifies.", "first.message, second.public_key, digest=value.digest_name"),
))
# (what stands before the hole, the hole): from where a call differs from the definition on
HOLES = [("    result = fetch_archive(value.", "address, second.folder, timeout=value.patience)"),
         ("    result = merge_columns(first.", "table, second.columns, joiner=second.glue)"),
         ("    result = render_report(first.", "rows, theme=second.theme, width=first.terminal_width)"),
         ("    result = verify_signature(first.", "message, second.public_key, digest=value.digest_name)")]
MAIN = "from library import fetch_archive, merge_columns, render_report, verify_signature\n\n\n" \
       "def work(first, second):\n    value = first.settings\n%s\n    return result\n"


def run(*words, text=None, cwd=FOLDER):
    environment = dict(os.environ, XDG_CACHE_HOME=os.path.join(ROOT, "cache"))
    return subprocess.run([PROGRAM, *words], cwd=cwd, env=environment, input=text, capture_output=True, timeout=120)


def complete(before, sources):
    done = run("complete", "-m", REPEAT, "--json", "--temp", "0", "--stdin", "--sources", sources,
               f"main.py:6:{len(before) + 1}", text=(MAIN % before).encode())
    assert done.returncode in (0, 1), done.stderr
    return json.loads(done.stdout)


def context_makes_it_right():
    """All four with, none without; the answer says what it was made from."""
    for before, hole in HOLES:
        answer = complete(before, "all")
        assert answer["text"].rstrip() == hole, (hole, answer)
        assert any(piece["path"] == "library.py" for piece in answer["context"]), answer
        assert complete(before, "none")["text"].rstrip() != hole, hole


def only_what_is_known_helps():
    """Nothing else of the repository makes up for the one file."""
    path = os.path.join(FOLDER, "library.py")
    os.rename(path, os.path.join(ROOT, "library.py"))
    for before, hole in HOLES[:2]:
        assert complete(before, "all")["text"].rstrip() != hole, hole


def main():
    os.mkdir(FOLDER)
    with open(os.path.join(FOLDER, "library.py"), "w", encoding="utf-8") as file:
        file.write(LIBRARY)
    with open(os.path.join(FOLDER, "main.py"), "w", encoding="utf-8") as file:
        file.write(MAIN % "    result = None")
    subprocess.run("git init -q && git add -A && git -c user.name=x -c user.email=x@x commit -qm x", shell=True, check=True,
                   cwd=FOLDER)
    subprocess.run([sys.executable, os.path.join(HERE, "make_repeat_model.py"), MODEL, REPEAT], check=True)
    failed = False
    for test in (context_makes_it_right, only_what_is_known_helps):
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
