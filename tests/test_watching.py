#!/usr/bin/env python3
"""Drives `fathom index --watch` as a user would: what is saved is in the index soon after, a line tells of it, and Ctrl-C
ends it at any moment.

Needs FATHOM_PROGRAM and git, nothing but Python's standard library.  Arguments choose tests by a part of their name."""

import json
import os
import pty
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time

PROGRAM = os.path.abspath(os.environ.get("FATHOM_PROGRAM", "build/fathom"))
SLOWNESS = float(os.environ.get("TEST_SLOWNESS", "1"))
ROOT = os.path.realpath(tempfile.mkdtemp(prefix="fathom-watching-"))
ENVIRONMENT = dict(os.environ, XDG_CACHE_HOME=os.path.join(ROOT, "cache"), XDG_STATE_HOME=os.path.join(ROOT, "state"),
                   GIT_CONFIG_GLOBAL="/dev/null", GIT_AUTHOR_NAME="a", GIT_AUTHOR_EMAIL="a@b", GIT_COMMITTER_NAME="a",
                   GIT_COMMITTER_EMAIL="a@b")


def git(folder, *words):
    subprocess.run(["git", *words], cwd=folder, check=True, env=ENVIRONMENT, capture_output=True)


def write(folder, name, text):
    path = os.path.join(folder, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def make(name, n_files=30):
    folder = os.path.join(ROOT, name)
    os.mkdir(folder)
    git(folder, "init", "-q", "-b", "main")
    for i in range(n_files):
        write(folder, f"part{i % 5}/file{i}.c", f"int function_{i}(void)\n{{\n    return {i};\n}}\n")
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "first")
    return folder


def known(folder, name):
    """Whether the index, as it is, has a definition of the name."""
    done = subprocess.run([PROGRAM, "search", "--no-refresh", "--json", f"def:{name}"], cwd=folder, env=ENVIRONMENT,
                          capture_output=True, check=False)
    assert done.returncode in (0, 1), done.stderr
    return done.returncode == 0


class Watching:
    """`fathom index --watch` at work, with what it says by lines."""

    def __init__(self, folder, *words, before=()):
        self.process = subprocess.Popen([*before, PROGRAM, "index", "--watch", *words], cwd=folder, env=ENVIRONMENT,
                                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.text = {self.process.stdout: b"", self.process.stderr: b""}

    def line(self, of_errors=False, timeout=30):
        stream = self.process.stderr if of_errors else self.process.stdout
        end = time.monotonic() + timeout * SLOWNESS
        while b"\n" not in self.text[stream]:
            left = end - time.monotonic()
            if left <= 0 or not select.select([stream], [], [], left)[0]:
                raise AssertionError("no line")
            data = os.read(stream.fileno(), 4096)
            if not data:
                raise AssertionError("it ended")
            self.text[stream] += data
        line, self.text[stream] = self.text[stream].split(b"\n", 1)
        return line.decode()

    def is_silent(self, seconds):
        return not self.text[self.process.stdout] and not select.select([self.process.stdout], [], [], seconds)[0]

    def end(self):
        self.process.send_signal(signal.SIGINT)
        self.process.communicate(timeout=30 * SLOWNESS)
        return self.process.returncode


def changed_until(watching, n):
    """Lines until n files were told of as changed."""
    total = 0
    while total < n:
        total += int(watching.line().split(" changed")[0])
    return total


def test_saves_are_followed():
    folder = make("saves")
    watching = Watching(folder)
    assert watching.line().startswith("30 files"), "the whole first"
    write(folder, "part1/file1.c", "int edited_here(void)\n{\n    return 1;\n}\n")
    assert changed_until(watching, 1) == 1 and known(folder, "edited_here") and not known(folder, "function_1")
    write(folder, "fresh/deep/new.c", "int in_new_folder(void)\n{\n    return 1;\n}\n")
    assert changed_until(watching, 1) == 1 and known(folder, "in_new_folder")
    os.rename(os.path.join(folder, "fresh"), os.path.join(folder, "moved"))
    changed_until(watching, 1)
    while not os.path.exists(os.path.join(folder, "moved/deep/new.c")) or not known(folder, "in_new_folder"):
        watching.line()
    os.unlink(os.path.join(folder, "part2/file2.c"))
    changed_until(watching, 1)
    assert not known(folder, "function_2")
    git(folder, "checkout", "-q", "--", ".")  # another process, several files
    changed_until(watching, 2)
    assert known(folder, "function_1") and known(folder, "function_2") and not known(folder, "edited_here")
    write(folder, ".gitignore", "part3/\n")
    write(folder, "part4/file4.c", "int last_of_all(void)\n{\n    return 1;\n}\n")
    while not known(folder, "last_of_all"):
        watching.line()
    # What it did is what a fresh look finds.
    assert watching.end() == 130
    done = subprocess.run([PROGRAM, "index", "--json"], cwd=folder, env=ENVIRONMENT, capture_output=True, check=True)
    assert json.loads(done.stdout)["changed"] == 0, done.stdout


def test_nothing_is_said_of_nothing():
    folder = make("nothing")
    write(folder, ".git/info/exclude", "*.o\n")
    watching = Watching(folder)
    watching.line()
    write(folder, "part1/file1.c", "int function_1(void)\n{\n    return 1;\n}\n")  # as it was
    write(folder, "part1/ignored.o", "int ignored(void);\n")
    git(folder, "status")
    assert watching.is_silent(1.5)
    assert watching.process.poll() is None
    assert watching.end() == 130


def test_json_lines():
    folder = make("json")
    watching = Watching(folder, "--json")
    assert json.loads(watching.line())["files"] == 30
    write(folder, "part1/file1.c", "int other(void);\n")
    news = json.loads(watching.line())
    assert news["changed"] == 1 and news["ms"] > 0
    assert watching.end() == 130


def test_trust_takes_effect():
    folder = make("trust")
    write(folder, ".fathomignore", "part1/\n")
    watching = Watching(folder)
    watching.line()
    assert "not in force" in watching.line(of_errors=True)
    assert known(folder, "function_1")
    subprocess.run([PROGRAM, "trust", "--yes"], cwd=folder, env=ENVIRONMENT, capture_output=True, check=True)
    write(folder, ".fathomignore", "part1/\n")  # saved again; else it looks every 15 s
    changed_until(watching, 6)
    assert not known(folder, "function_1") and known(folder, "function_2")
    write(folder, ".fathomignore", "part2/\n")  # not this content
    changed_until(watching, 6)
    assert known(folder, "function_1") and known(folder, "function_2")
    assert watching.end() == 130


def test_without_watches_it_looks():
    limits = "echo 3 >/proc/sys/user/max_inotify_watches && exec \"$@\""
    before = ["unshare", "-Ur", "sh", "-c", limits, "sh"]
    if subprocess.run([*before, "true"], capture_output=True, check=False).returncode != 0:
        print("# watches run out: no namespace to try it in")
        return
    folder = make("few")
    watching = Watching(folder, before=before)
    watching.line()
    assert "not all folders can be watched" in watching.line(of_errors=True)
    for i in range(5):
        write(folder, f"part{i}/more{i}.c", f"int found_by_looking_{i}(void);\n")
    changed_until(watching, 5)
    assert all(known(folder, f"found_by_looking_{i}") for i in range(5))
    assert watching.end() == 130


def test_it_ends_at_any_moment():
    folder = make("ends", 300)
    for delay in (0, 0.005, 0.01, 0.02, 0.05, 0.1, 0.3):
        shutil.rmtree(os.path.join(ROOT, "cache"), ignore_errors=True)
        watching = Watching(folder)
        time.sleep(0.03 * SLOWNESS + delay)  # SIGINT is caught by then
        started = time.monotonic()
        assert watching.end() in (130, -signal.SIGINT)
        assert time.monotonic() - started < 3 * SLOWNESS
    done = subprocess.run([PROGRAM, "index", "--json"], cwd=folder, env=ENVIRONMENT, capture_output=True, check=True)
    assert json.loads(done.stdout)["files"] == 300


def test_on_a_terminal():
    folder = make("terminal")
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(folder)
        os.execve(PROGRAM, [PROGRAM, "index", "--watch"], dict(ENVIRONMENT, TERM="xterm"))
    shown, end, is_edited = b"", time.monotonic() + 60 * SLOWNESS, False
    while time.monotonic() < end and not (is_edited and b"1 changed" in shown):
        if select.select([terminal], [], [], 0.2)[0]:
            shown += os.read(terminal, 4096)
        if b"30 files" in shown and not is_edited:
            is_edited = True
            write(folder, "part1/file1.c", "int other(void);\n")
    os.write(terminal, b"\x03")
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 130
    os.close(terminal)
    assert b"1 changed" in shown, shown


def test_wrong_words():
    folder = make("wrong", 1)
    done = subprocess.run([PROGRAM, "index", "--watch", "--list"], cwd=folder, env=ENVIRONMENT, capture_output=True, check=False)
    assert done.returncode == 2 and b"--watch" in done.stderr


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
