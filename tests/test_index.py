#!/usr/bin/env python3
"""Drives `fathom index` and `fathom search` as a user would, and kills the index at random moments: it opens again, and a
refresh then ends equal to a fresh index.

Needs FATHOM_PROGRAM and git, nothing but Python's standard library.  Arguments choose tests by a part of their name.

What the index holds is read by a second reader of its format, which is written here by index_segment.h and index_facts.h."""

import json
import os
import pty
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time

PROGRAM = os.path.abspath(os.environ.get("FATHOM_PROGRAM", "build/fathom"))
ROOT = tempfile.mkdtemp(prefix="fathom-index-")


def environment(cache):
    return dict(os.environ, XDG_CACHE_HOME=os.path.join(ROOT, cache), GIT_CONFIG_GLOBAL="/dev/null",
                GIT_AUTHOR_NAME="a", GIT_AUTHOR_EMAIL="a@b", GIT_COMMITTER_NAME="a", GIT_COMMITTER_EMAIL="a@b")


def run(*words, cwd, cache="cache", **more):
    return subprocess.run([PROGRAM, *words], cwd=cwd, env=environment(cache), capture_output=True, timeout=300, **more)


def git(folder, *words):
    return subprocess.run(["git", *words], cwd=folder, env=environment("cache"), check=True, capture_output=True).stdout


def index(cwd, *words, **more):
    done = run("index", "--json", *words, cwd=cwd, **more)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def write(folder, name, text):
    path = os.path.join(folder, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(text if isinstance(text, bytes) else text.encode())


def make_repository(name, n_files=120):
    folder = os.path.join(ROOT, name)
    os.mkdir(folder)
    git(folder, "init", "-q", "-b", "main")
    source = random.Random(name)
    for i in range(n_files):
        write(folder, f"part{i % 7}/file{i}.{'c' if i % 3 else 'py'}", make_text(source, i))
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "first")
    return folder


def make_text(source, i):
    if i % 3 == 0:
        return "\n".join(f"def make_{source.randrange(200)}(value):\n    return use_{source.randrange(200)}(value)\n"
                         for _ in range(source.randrange(1, 30)))
    return '#include "file1.c"\n' + "\n".join(
        f"/* word{source.randrange(50)} */\nint call_{source.randrange(300)}(int x)\n{{\n    return call_"
        f"{source.randrange(300)}(x) + LIMIT_{source.randrange(9)};\n}}\n" for _ in range(source.randrange(1, 30)))


# ---- the second reader ----

def number(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7


def entries(block):
    at, key = 0, b""
    while at < len(block):
        shared, at = number(block, at)
        more, at = number(block, at)
        key = key[:shared] + block[at:at + more]
        at += more
        count, at = number(block, at)
        last, at = number(block, at)
        size, at = number(block, at)
        yield key, count, last, block[at:at + size]
        at += size


def postings(key, data):
    at = document = 0
    while at < len(data):
        value, at = number(data, at)
        document += value >> 2
        extra = None
        if key[:1] == b"d":
            extra, at = number(data, at)
        yield document, value & 3, extra


def read_index(cache):
    """Every fact about contents that a file names, without the index's own numbers."""
    folder = os.path.join(ROOT, cache, "fathom")
    files = [name for name in os.listdir(folder) if name.endswith(".index")]
    assert len(files) == 1, files
    database = sqlite3.connect(os.path.join(folder, files[0]))
    assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    contents = {row[0]: row for row in database.execute(
        "SELECT id, blob, language, bytes, contents.chunk, contents.chunks, contents.definitions, contents.refs, flags,"
        " facts.chunks, imports, facts.definitions, facts.refs FROM contents JOIN facts USING (id)")}
    names = {i: (row[1], row[2]) for i, row in contents.items()}
    facts, live = set(), set()
    for path, content, skip, symbols, refs, size, stem in database.execute(
            "SELECT path, content, skip, symbols, refs, bytes, stem FROM files"):
        facts.add(("file", path, names.get(content), skip, symbols, refs, size, stem))
        if content:
            live.add(content)
    of_chunk = {}
    for i in live:
        row = contents[i]
        facts.add(("content", row[1], row[2], row[3], *row[5:]))
        of_chunk.update((chunk, (i, chunk - row[4])) for chunk in range(row[4], row[4] + row[5]))
    for segment, first_chunk, lengths in database.execute("SELECT id, first_chunk, lengths FROM segments"):
        facts.update(("length", names[of_chunk[first_chunk + at][0]], of_chunk[first_chunk + at][1], length)
                     for at, length in enumerate(lengths) if first_chunk + at in of_chunk)
        for (block,) in database.execute("SELECT data FROM terms JOIN blocks ON blocks.id = block WHERE segment = ? "
                                         "ORDER BY first", (segment,)):
            for key, count, last, data in entries(block):
                found = list(postings(key, data))
                assert len(found) == count and found[-1][0] == last, (key, count, found)
                for document, low, extra in found:
                    content, chunk = of_chunk.get(document, (None, None)) if key[:1] == b"t" else (document, None)
                    if content in live:
                        facts.add((key, names[content], chunk, low, extra))
    database.close()
    return facts


def count_segments(cache):
    folder = os.path.join(ROOT, cache, "fathom")
    database = sqlite3.connect(next(os.path.join(folder, name) for name in os.listdir(folder) if name.endswith(".index")))
    (n,) = database.execute("SELECT count(*) FROM segments").fetchone()
    database.close()
    return n


def assert_fresh(folder, cache):
    index(folder, cache=cache)
    shutil.rmtree(os.path.join(ROOT, "fresh"), ignore_errors=True)
    index(folder, cache="fresh")
    is_there, wanted = read_index(cache), read_index("fresh")
    assert is_there == wanted, sorted(map(repr, is_there ^ wanted))[:5]
    assert len(wanted) > 1000


# ---- tests ----

def test_kill_at_random_moments():
    folder = make_repository("killed", 150)
    source = random.Random(5)
    started = time.monotonic()
    index(folder, cache="timed")
    whole = time.monotonic() - started
    n_killed = 0
    for turn in range(50):
        for _ in range(source.randrange(1, 60)):
            i = source.randrange(170)
            name = f"part{i % 7}/file{i}.{'c' if i % 3 else 'py'}"
            path = os.path.join(folder, name)
            if source.random() < 0.2 and os.path.exists(path):
                os.remove(path)
            else:
                write(folder, name, make_text(source, i))
        if turn % 10 == 0:
            shutil.rmtree(os.path.join(ROOT, "killed-cache"), ignore_errors=True)
        child = subprocess.Popen([PROGRAM, "index"], cwd=folder, env=environment("killed-cache"),
                                 stdout=subprocess.DEVNULL)
        time.sleep(source.random() * whole * (1 if turn % 10 == 0 else 0.6))
        n_killed += child.poll() is None
        child.kill()
        child.wait()
        assert_fresh(folder, "killed-cache")
        assert count_segments("killed-cache") <= 12
    assert n_killed >= 15, n_killed


def test_list_is_what_git_lists():
    folder = make_repository("listed", 20)
    write(folder, ".gitignore", "*.log\n")
    write(folder, "x.log", "no\n")
    write(folder, "untracked.c", "int x;\n")
    write(folder, "new\nline \x1b[31m.c", "int y;\n")
    write(folder, b"bytes\xff.c".decode("utf-8", "surrogateescape"), "int z;\n")
    os.remove(os.path.join(folder, "part0/file0.py"))
    listed = run("index", "--list", "-z", cwd=folder)
    assert listed.returncode == 0
    wanted = set(git(folder, "ls-files", "-z", "--cached", "--others", "--exclude-standard").split(b"\0")) - {b""}
    wanted.discard(b"part0/file0.py")
    got = listed.stdout.split(b"\0")[:-1]
    assert got == sorted(wanted), set(got) ^ wanted
    report = index(folder)
    assert (report["files"], report["skips"]["gone"]) == (len(wanted), 1), report


def test_blob_ids_are_gits():
    folder = make_repository("ids", 15)
    index(folder, cache="ids-cache")
    database = sqlite3.connect(next(os.path.join(ROOT, "ids-cache/fathom", name)
                                    for name in os.listdir(os.path.join(ROOT, "ids-cache/fathom"))
                                    if name.endswith(".index")))
    rows = dict(database.execute("SELECT path, blob FROM files JOIN contents ON contents.id = content"))
    for line in git(folder, "ls-files", "-s", "-z").split(b"\0")[:-1]:
        head, path = line.split(b"\t", 1)
        assert rows[path].hex() == head.split()[1].decode(), path


def test_renames_and_branches_cost_rows():
    folder = make_repository("branches", 60)
    first = index(folder, cache="branches-cache")
    assert (first["files"], first["changed"]) == (60, 60)
    git(folder, "checkout", "-q", "-b", "other")
    git(folder, "mv", "part1", "moved")
    write(folder, "part2/file2.c", "int changed_here(void);\n")
    git(folder, "commit", "-q", "-a", "-m", "second")
    second = index(folder, cache="branches-cache")
    n_moved = len([i for i in range(60) if i % 7 == 1])
    assert second["changed"] == 2 * n_moved + 1, second
    git(folder, "checkout", "-q", "main")
    back = index(folder, cache="branches-cache")
    assert back["changed"] == 2 * n_moved + 1 and back["parse_ms"] == 0, back
    assert_fresh(folder, "branches-cache")
    assert index(folder, cache="branches-cache")["changed"] == 0


def test_cache_is_private_and_outside():
    folder = make_repository("private", 5)
    old = os.umask(0)
    try:
        index(folder, cache="private-cache")
    finally:
        os.umask(old)
    assert git(folder, "status", "--porcelain", "--ignored") == b""
    cache = os.path.join(ROOT, "private-cache/fathom")
    assert os.stat(cache).st_mode & 0o777 == 0o700
    for name in os.listdir(cache):
        assert os.stat(os.path.join(cache, name)).st_mode & 0o077 == 0, name


def test_interrupt_keeps_what_was_done():
    folder = make_repository("interrupted", 600)
    child = subprocess.Popen([PROGRAM, "index"], cwd=folder, env=environment("interrupted-cache"),
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    time.sleep(0.15)
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=60)
    assert child.returncode in (0, 130), (child.returncode, err)
    if child.returncode == 130:
        assert (out, err) == (b"", b"")
    assert_fresh(folder, "interrupted-cache")


def test_plain_folders_and_failures():
    folder = os.path.join(ROOT, "plain")
    write(folder, "a.py", "def plain_function():\n    pass\n")
    assert index(folder)["files"] == 1
    done = run("search", "def:plain_function", cwd=folder)
    assert done.returncode == 0 and b"a.py:1" in done.stdout, done
    done = run("index", "missing", cwd=folder)
    assert done.returncode == 3 and done.stderr.count(b"\n") == 1 and not done.stdout, done
    done = run("index", "-z", cwd=folder)
    assert done.returncode == 2 and b"--list" in done.stderr, done
    blocked = os.path.join(ROOT, "blocked")
    write(blocked, "fathom", "a file where the folder should be")
    done = run("index", cwd=folder, cache="blocked")
    assert done.returncode == 3 and done.stderr.count(b"\n") == 1, done


def search(folder, *words):
    done = run("search", "--json", *words, cwd=folder)
    assert done.returncode in (0, 1), done.stderr
    results = json.loads(done.stdout)["results"]
    assert bool(results) == (done.returncode == 0)
    return results


def test_search_finds():
    folder = os.path.join(ROOT, "searched")
    write(folder, "mm/alloc.c", '#include "alloc.h"\n\nvoid *allocate_page_frame(int order)\n{\n    return take(order);\n'
          "}\n")
    write(folder, "mm/alloc.h", "void *allocate_page_frame(int order);\n#define FRAME_LIMIT 7\n")
    write(folder, "lib/other.py", "class PageFrameTable:\n    def lookup(self):\n        return 'needle in hay'\n")
    write(folder, "doc/notes.txt", "The page frame allocator hands out frames.\nIts limit is seven.\n")
    top = search(folder, "allocate_page_frame")[0]
    assert (top["path"], top["kind"], top["name"], top["lines"]) == ("mm/alloc.c", "function", "allocate_page_frame",
                                                                     [3, 6]), top
    assert top["text"].startswith("void *allocate_page_frame"), top
    assert search(folder, "ALLOCATE_page_Frame")[0]["path"] == "mm/alloc.c"
    assert search(folder, "allocate_pa")[0]["name"] == "allocate_page_frame"
    assert search(folder, "apf")[0]["name"] == "allocate_page_frame"
    assert search(folder, "allocate page frame")[0]["path"] == "mm/alloc.c"
    assert any(hit["path"] == "lib/other.py" for hit in search(folder, "frame table"))
    assert search(folder, "limit seven")[0]["path"] == "doc/notes.txt"
    assert [hit["lines"] for hit in search(folder, '"needle in h"')] == [[3, 3]]
    assert search(folder, '"needle in h "') == []
    assert [(hit["path"], hit["lines"]) for hit in search(folder, r"/FRAME_\w+ [0-9]/")] == [("mm/alloc.h", [2, 2])]
    assert [hit["path"] for hit in search(folder, "ref:take")] == ["mm/alloc.c"]
    assert {hit["path"] for hit in search(folder, "frame path:mm/")} == {"mm/alloc.c", "mm/alloc.h"}
    assert {hit["path"] for hit in search(folder, "frame path:*.h")} == {"mm/alloc.h"}
    assert {hit["path"] for hit in search(folder, "frame lang:python")} == {"lib/other.py"}
    assert {hit["kind"] for hit in search(folder, "frame kind:macro")} <= {"macro"}
    assert search(folder, "def:PageFrameTable")[0]["kind"] == "class"
    assert search(folder, "zzzyyyxxx") == []
    write(folder, "mm/alloc.c", "int replaced;\n")
    assert search(folder, "def:replaced")[0]["path"] == "mm/alloc.c", "a change shows at once"
    done = run("search", "/(/", cwd=folder)
    assert done.returncode == 2 and done.stderr.count(b"\n") == 1, done
    assert run("search", cwd=folder).returncode == 2
    assert run("search", "kind:nonsense", "x", cwd=folder).returncode == 2
    assert run("search", "--near", "/etc/passwd", "x", cwd=folder).returncode == 2


def test_search_near():
    folder = os.path.join(ROOT, "near")
    for part in "abcdef":
        write(folder, f"{part}/{part}.c", f'#include "{part}.h"\nstatic int setup_device(void)\n{{\n    return 0;\n}}\n')
        write(folder, f"{part}/{part}.h", "int nothing;\n")
    for part in "fbd":
        assert search(folder, "--near", f"{part}/{part}.c:3", "setup_device")[0]["path"] == f"{part}/{part}.c"
        assert search(folder, "--near", f"{part}/{part}.h", "setup_device")[0]["path"] == f"{part}/{part}.c"


def test_rankings_for_measuring():
    folder = os.path.join(ROOT, "rankings")
    for part in "abcdef":
        write(folder, f"{part}/{part}.c", "static int setup_device(void)\n{\n    return 0;\n}\n")
    write(folder, "a/words.txt", "setup_device " * 4 + "\n")
    near = ("--near", "f/f.c")
    assert search(folder, *near, "setup_device")[0]["path"] == "f/f.c"
    assert search(folder, *near, "--rank", "flat", "setup_device") == search(folder, "setup_device")
    assert search(folder, *near, "--rank", "flat", "setup_device")[0]["path"] == "a/a.c"
    text = search(folder, *near, "--rank", "text", "setup_device")
    assert text[0]["path"] == "a/words.txt" and {hit["kind"] for hit in text} == {"text"}
    assert run("search", "--rank", "best", "x", cwd=folder).returncode == 2


def test_many_words_ask_for_other_files():
    folder = os.path.join(ROOT, "around")
    body = "".join(f"    word_{i}();\n" for i in range(9))
    for part in "abc":
        write(folder, f"{part}/{part}.c", f"static int setup_device(void)\n{{\n{body}}}\n")
        write(folder, f"{part}/other.c", f"int begin_{part}(void)\n{{\n{body}}}\n")
    words = [f"word_{i}" for i in range(9)]
    assert search(folder, "--near", "b/b.c", *words)[0]["path"] == "b/other.c"
    assert search(folder, "--near", "b/b.c", *words[:6])[0]["path"] == "b/b.c"


def test_terminal_gets_no_control_bytes():
    folder = os.path.join(ROOT, "hostile")
    write(folder, "evil\x1b[2J\n.c", "int victim; /* \x1b]0;title\x07 \x9b31m \xe2\x80\xae */\n")
    parent, child = pty.openpty()
    done = subprocess.Popen([PROGRAM, "search", "--color", "never", "victim"], cwd=folder, env=environment("cache"),
                            stdout=child, stderr=child, stdin=subprocess.DEVNULL)
    os.close(child)
    got = b""
    while True:
        try:
            part = os.read(parent, 65536)
        except OSError:
            break
        if not part:
            break
        got += part
    assert done.wait(60) == 0
    assert b"victim" in got
    assert not [byte for byte in got.replace(b"\r\n", b"") if byte < 32 or byte == 127], got


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
