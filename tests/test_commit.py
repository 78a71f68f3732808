"""fathom commit: a message for what is staged, printed; and on a terminal the commit, by git, through the user's editor."""

import os
import pty
import select
import signal
import subprocess
import sys
import tempfile

PROGRAM = os.environ["FATHOM_PROGRAM"]
MODEL = os.environ["FATHOM_TEST_MODEL"]
ENV = {**{key: value for key, value in os.environ.items() if not key.startswith("GIT_")}, "GIT_CONFIG_GLOBAL": "/dev/null",
       "GIT_CONFIG_SYSTEM": "/dev/null", "GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b", "GIT_COMMITTER_NAME": "a",
       "GIT_COMMITTER_EMAIL": "a@b", "FATHOM_MODEL": MODEL}
failures = 0


def check(name, good, detail=""):
    global failures
    failures += not good
    print(("ok" if good else "not ok") + f" commit: {name}")
    if not good:
        print(f"# {str(detail)[:1500]!r}")


def git(folder, *arguments):
    return subprocess.run(["git", *arguments], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=True, env=ENV).stdout.decode()


def fathom(folder, *arguments, env=None):
    return subprocess.run([PROGRAM, *arguments], cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          check=False, env=env or ENV)


def on_terminal(folder, env, ignores_children=False):
    child, fd = pty.fork()
    if child == 0:
        os.chdir(folder)
        if ignores_children:
            signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        os.execve(PROGRAM, [PROGRAM, "commit", "-n", "24", "-c", "2048"], env)
    said = b""
    while True:
        if not select.select([fd], [], [], 120)[0]:
            os.kill(child, signal.SIGKILL)
            break
        try:
            piece = os.read(fd, 4096)
        except OSError:
            break
        if not piece:
            break
        said += piece
    status = os.waitpid(child, 0)[1]
    os.close(fd)
    return os.waitstatus_to_exitcode(status), said


def write(path, text, mode=0o644):
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    os.chmod(path, mode)


def main():
    base = tempfile.mkdtemp(prefix="commit-")
    folder = os.path.join(base, "repository")
    git(base, "init", "-q", "-b", "main", folder)
    result = fathom(folder, "commit")
    check("nothing is staged", result.returncode == 1 and result.stdout == b"" and b"nothing is staged" in result.stderr, result)
    write(os.path.join(folder, "add.py"), "def add(a, b):\n    return a - b\n")
    write(os.path.join(folder, ".env"), "TOKEN=swordfish-of-mine\n")
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "Begin to add")
    write(os.path.join(folder, "add.py"), "def add(a, b):\n    return a + b\n")
    git(folder, "add", "add.py")
    before = git(folder, "rev-parse", "HEAD")
    result = fathom(folder, "commit", "-n", "24", "-c", "2048")
    lines = result.stdout.decode().split("\n")
    check("a message", result.returncode == 0 and 0 < len(lines[0]) <= 72 and (len(lines) < 2 or not lines[1]), result)
    again = fathom(folder, "commit", "-n", "24", "-c", "2048")
    check("the same change, the same message", again.stdout == result.stdout, (again, result))
    check("printed, nothing is committed", git(folder, "rev-parse", "HEAD") == before)
    # On a terminal: git opens the editor with it.
    write(os.path.join(base, "editor"), f"#!/bin/sh\ncp \"$1\" {base}/seen; echo 'By hand' > \"$1\"\n", 0o755)
    status, said = on_terminal(folder, {**ENV, "GIT_EDITOR": os.path.join(base, "editor"), "TERM": "xterm"})
    check("committed by git through the editor", status == 0 and git(folder, "log", "-1", "--format=%s") == "By hand\n", (status, said))
    with open(os.path.join(base, "seen"), encoding="utf-8") as file:
        check("the editor had the proposal", file.read().startswith(lines[0]))
    # Whatever the environment names, the commit is of the repository that was asked; and as a parent that ignores SIGCHLD starts it.
    other = os.path.join(base, "other")
    git(base, "init", "-q", "-b", "main", other)
    write(os.path.join(other, "o"), "other\n")
    git(other, "add", "o")
    git(other, "commit", "-q", "-m", "Other")
    write(os.path.join(folder, "add.py"), "def add(a, b):\n    return b + a\n")
    git(folder, "add", "add.py")
    status, said = on_terminal(folder, {**ENV, "GIT_EDITOR": os.path.join(base, "editor"), "TERM": "xterm", "GIT_DIR": os.path.join(other, ".git"),
                                        "GIT_WORK_TREE": other, "GIT_COMMON_DIR": os.path.join(other, ".git")})
    check("committed where it was asked, despite GIT_DIR", status == 0 and git(other, "log", "--format=%s") == "Other\n"
          and git(folder, "rev-list", "--count", "HEAD") == "3\n" and git(folder, "status", "--porcelain", "-uno") == "", (status, said))
    write(os.path.join(folder, "add.py"), "def add(b, a):\n    return b + a\n")
    env = {**ENV, "GIT_EDITOR": os.path.join(base, "editor"), "TERM": "xterm", "GIT_INDEX_FILE": os.path.join(base, "other-index")}
    subprocess.run(["git", "add", "add.py"], cwd=folder, env=env, check=True)
    status, said = on_terminal(folder, env, ignores_children=True)
    check("committed of GIT_INDEX_FILE, with SIGCHLD ignored", status == 0 and git(folder, "rev-list", "--count", "HEAD") == "4\n"
          and git(folder, "show", "HEAD:add.py").startswith("def add(b, a)"), (status, said))
    git(folder, "reset", "-q")
    # An emptied message commits nothing; exit status 3.
    write(os.path.join(folder, "add.py"), "def add(a, b, c):\n    return a + b + c\n")
    git(folder, "add", "add.py")
    write(os.path.join(base, "editor"), "#!/bin/sh\n: > \"$1\"\n", 0o755)
    status, said = on_terminal(folder, {**ENV, "GIT_EDITOR": os.path.join(base, "editor"), "TERM": "xterm"})
    check("an emptied message commits nothing", status == 3 and git(folder, "log", "-1", "--format=%s") == "By hand\n", (status, said))
    result = fathom(base, "commit")
    check("no repository: one line", result.returncode == 3 and result.stderr.count(b"\n") == 1, result)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
