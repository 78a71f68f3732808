#!/usr/bin/env python3
"""Drives `fathom trust` as a user would: what a repository asks for is in force once that exact content was accepted.

Needs FATHOM_PROGRAM and git, nothing but Python's standard library.  Arguments choose tests by a part of their name."""

import hashlib
import json
import os
import pty
import select
import shutil
import subprocess
import sys
import tempfile
import time

PROGRAM = os.path.abspath(os.environ.get("FATHOM_PROGRAM", "build/fathom"))
ROOT = os.path.realpath(tempfile.mkdtemp(prefix="fathom-trust-"))
ENVIRONMENT = dict(os.environ, XDG_CACHE_HOME=os.path.join(ROOT, "cache"), XDG_STATE_HOME=os.path.join(ROOT, "state"),
                   XDG_CONFIG_HOME=os.path.join(ROOT, "config"), GIT_CONFIG_GLOBAL="/dev/null")
TRUSTED = os.path.join(ROOT, "state", "fathom", "trust")
NOTICE = b"fathom: its .fathomignore is not in force (fathom trust shows it, and accepts it)\n"


def run(*words, cwd):
    return subprocess.run([PROGRAM, *words], cwd=cwd, env=ENVIRONMENT, stdin=subprocess.DEVNULL, capture_output=True, timeout=120)


def write(folder, name, text):
    path = os.path.join(folder, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(text if isinstance(text, bytes) else text.encode())


def make(name, ignore=None, git=True):
    folder = os.path.join(ROOT, name)
    os.mkdir(folder)
    if git:
        subprocess.run(["git", "init", "-q"], cwd=folder, check=True, env=ENVIRONMENT)
    write(folder, "kept.c", "int kept;\n")
    write(folder, "doc/left.c", "int left;\n")
    write(folder, "b.log.c", "int b_log;\n")
    if ignore is not None:
        write(folder, ".fathomignore", ignore)
    return folder


def listed(folder, *words):
    done = run("index", "--list", *words, cwd=folder)
    assert done.returncode == 0, done.stderr
    return done.stdout.decode().split("\n")[:-1]


ALL = [".fathomignore", "b.log.c", "doc/left.c", "kept.c"]
FEW = [".fathomignore", "b.log.c", "kept.c"]


def test_nothing_is_in_force_before():
    for git in (True, False):
        folder = make(f"before-{git}", "doc/\n", git)
        done = run("index", cwd=folder)
        assert done.returncode == 0 and done.stderr == NOTICE, done.stderr
        assert b"4 files" in done.stdout, done.stdout
        assert listed(folder) == ALL
        shown = run("trust", cwd=folder)
        assert shown.returncode == 1 and b"    doc/\n" in shown.stdout and b"isn't trusted yet" in shown.stdout
        assert b"--yes" in shown.stderr, shown.stderr
        assert listed(folder) == ALL
        assert run("trust", "--yes", cwd=folder).returncode == 0
        done = run("index", cwd=folder)
        assert done.stderr == b"" and b"1 changed" in done.stdout and b"1 ignored" in done.stdout, done
        assert listed(folder) == FEW
        assert run("trust", cwd=folder).returncode == 0
        assert run("search", "left", cwd=folder).returncode == 1


def test_only_this_content_here():
    folder, other = make("exact", "doc/\n"), make("exact-other", "doc/\n")
    assert run("trust", "--yes", cwd=os.path.join(folder, "doc")).returncode == 0
    assert listed(folder) == FEW and listed(other) == ALL
    for text in ("doc/\n\n", "doc\n", "", "doc/"):
        write(folder, ".fathomignore", text)
        assert listed(folder) == ALL, text
        assert run("index", cwd=folder).stderr == NOTICE
    write(folder, ".fathomignore", "doc/\n")  # as it was accepted
    assert listed(folder) == FEW
    done = run("trust", "--revoke", cwd=folder)
    assert done.returncode == 0 and b"any more" in done.stdout
    assert listed(folder) == ALL
    assert b"was trusted" in run("trust", "--revoke", cwd=folder).stdout
    assert run("trust", "--yes", cwd=other).returncode == 0
    run("trust", "--revoke", cwd=folder)
    assert listed(other) == FEW  # another's stays


def test_names_of_entries_are_hashes():
    folder = make("hashes")
    shutil.rmtree(TRUSTED, ignore_errors=True)
    for size in list(range(0, 140)) + [1000, 65535, 65536]:
        content = b"#" * size
        write(folder, ".fathomignore", content)
        assert run("trust", "--yes", cwd=folder).returncode == 0
        wanted = hashlib.sha256(os.fsencode(folder) + b"\0.fathomignore\0" + content).hexdigest()
        assert os.listdir(TRUSTED) == [wanted], size
        assert os.stat(TRUSTED).st_mode & 0o777 == 0o700
        os.unlink(os.path.join(TRUSTED, wanted))


def test_what_it_is_not():
    folder = make("odd")
    assert run("trust", cwd=folder).stdout == b"It asks for nothing.\n"
    write(folder, ".fathomignore", b"#" * 65537)
    done = run("trust", "--yes", cwd=folder)
    assert done.returncode == 3 and done.stderr.count(b"\n") == 1, done
    assert run("index", cwd=folder).stderr == NOTICE
    write(folder, ".fathomignore", b"doc/\0")
    assert run("trust", "--yes", cwd=folder).returncode == 3
    os.unlink(os.path.join(folder, ".fathomignore"))
    write(ROOT, "elsewhere", "doc/\n")
    os.symlink(os.path.join(ROOT, "elsewhere"), os.path.join(folder, ".fathomignore"))
    assert run("trust", "--yes", cwd=folder).returncode == 3
    assert "doc/left.c" in listed(folder)
    os.unlink(os.path.join(folder, ".fathomignore"))
    os.mkfifo(os.path.join(folder, ".fathomignore"))
    assert run("trust", "--yes", cwd=folder).returncode == 3
    assert "doc/left.c" in listed(folder)
    bare = os.path.join(ROOT, "bare")
    subprocess.run(["git", "init", "-q", "--bare", bare], check=True, env=ENVIRONMENT)
    assert run("trust", cwd=bare).stdout == b"It asks for nothing.\n"


def answer(folder, text):
    """What the terminal shows, and the exit status, when the question gets this answer."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(folder)
        os.execve(PROGRAM, [PROGRAM, "trust"], dict(ENVIRONMENT, TERM="xterm"))
    shown, asked = b"", False
    end = time.monotonic() + 60
    while time.monotonic() < end:
        if select.select([terminal], [], [], 1)[0]:
            try:
                data = os.read(terminal, 4096)
            except OSError:
                break
            if not data:
                break
            shown += data
        if b"[y/N] " in shown and not asked:
            asked = True
            os.write(terminal, text)
    os.close(terminal)
    return shown, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_it_is_shown_before_it_is_asked():
    folder = make("asked", "doc/\n\x1b[2J\u202e\n")
    for text in (b"n\n", b"\n", b"maybe\n", b"\x04"):
        shown, status = answer(folder, text)
        assert status == 1, (text, status, shown)
        assert b"doc/" in shown.split(b"Trust this content?")[0]
        assert b"\x1b[2J" not in shown and "\u202e".encode() not in shown, shown
        assert listed(folder) == ALL
    shown, status = answer(folder, b"y\n")
    assert status == 0 and listed(folder) == FEW
    shown, status = answer(folder, b"")
    assert status == 0 and b"[y/N]" not in shown


def test_json():
    folder = make("json", "doc/\n")
    done = run("trust", "--json", cwd=folder)
    assert done.returncode == 1
    assert json.loads(done.stdout) == {"root": folder, "files": [{"path": ".fathomignore", "text": "doc/\n", "trusted": False}]}
    done = run("trust", "--json", "--yes", cwd=folder)
    assert done.returncode == 0 and json.loads(done.stdout)["files"][0]["trusted"] is True


def test_the_user_s_own_patterns_and_limit():
    folder = make("own", "b.*\n")
    write(folder, "large.c", "int large;\n" + "/* some words */\n" * 200)
    assert listed(folder, "--ignore", "doc/") == [".fathomignore", "b.log.c", "kept.c", "large.c"]
    assert listed(folder, "--max-file", "2") == [".fathomignore", "b.log.c", "doc/left.c", "kept.c"]
    write(ROOT, "config/fathom/config", "[index]\nignore = large.c *.log.c\n")
    assert listed(folder) == [".fathomignore", "doc/left.c", "kept.c"]
    assert run("trust", "--yes", cwd=folder).returncode == 0
    write(ROOT, "config/fathom/config", "[index]\nignore = large.c\nmax-file = 1\n")
    assert listed(folder) == [".fathomignore", "doc/left.c", "kept.c"]
    os.unlink(os.path.join(ROOT, "config/fathom/config"))
    assert listed(folder) == [".fathomignore", "doc/left.c", "kept.c", "large.c"]
    assert run("index", "--max-file", "0", cwd=folder).returncode == 2


def main():
    failed = 0
    try:
        for name, test in list(globals().items()):
            if name.startswith("test_") and (len(sys.argv) < 2 or any(part in name for part in sys.argv[1:])):
                try:
                    test()
                    print(f"ok {name[5:]}", flush=True)
                except Exception as error:  # a test says by an exception what is wrong
                    failed += 1
                    print(f"not ok {name[5:]}: {type(error).__name__}: {error}", flush=True)
                    import traceback
                    traceback.print_exc()
    finally:
        shutil.rmtree(ROOT, ignore_errors=True)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
