"""The diff pane of the terminal UI: what it shows, and that what it stages is what git then has."""

import os
import subprocess
import sys

from screen_terminal import FOLDER, Terminal, check, end

GIT = {"GIT_AUTHOR_NAME": "A", "GIT_AUTHOR_EMAIL": "a@example.org", "GIT_COMMITTER_NAME": "A",
       "GIT_COMMITTER_EMAIL": "a@example.org", "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1"}
CODE = ["static int limit = %d;" % 7, ""]
for name in "abcdefgh":
    CODE += ["int part_%s(int value)" % name, "{", "    int twice = value + value;", "    return twice + limit;", "}", ""]


def git(*words, text=None):
    return subprocess.run(["git", "-C", HOME, *words], check=True, input=text, capture_output=True, text=True,
                          env=dict(os.environ, **GIT)).stdout


def write(name, text):
    path = os.path.join(HOME, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(text if isinstance(text, bytes) else text.encode())


def lines(changed=None):
    code = list(CODE)
    for at, text in (changed or {}).items():
        code[at] = text
    return "\n".join(code) + "\n"


def make_repository():
    git("init", "-q", "-b", "main")
    write("src/code.c", lines())
    write("src/moved.c", lines().replace("part_", "other_"))
    write("old name.txt", "one\ntwo\nthree\nfour\nfive\n")
    write("gone.txt", "gone\n")
    write("data.bin", b"\0\1\2\3")
    write("ends.txt", b"first\r\nsecond\r\nthird")
    write("long.txt", "x" * 400 + "\n")
    git("add", "-A")
    git("commit", "-qm", "first")
    write("src/code.c", lines({0: "static int limit = 8;", 5: "    return twice + limit + 1;", 40: "    int twice = 2 * value;"}))
    moved = lines().replace("part_", "other_").split("\n")
    write("src/moved.c", "\n".join(moved[:2] + moved[8:] + ["    " + line for line in moved[2:8]]) + "\n")
    os.remove(os.path.join(HOME, "gone.txt"))
    write("data.bin", b"\0\1\2\4")
    write("ends.txt", b"first\r\n2nd\r\nthird\r\n")
    write("long.txt", "x" * 390 + "changed\n")
    write("new.py", "def f():\n    return '\x1b]52;c;aGVsbG8=\x07 \u202e \x9b2J'\n")


def start(rows=40, columns=110, words=(), depth="truecolor", environment=None):
    terminal = Terminal("--no-save", *words, HOME, rows=rows, columns=columns, script=["hello"],
                        environment=dict({"COLORTERM": depth}, **(environment or {})))
    terminal.opened()
    return terminal


def shown(terminal, *signs):
    """Waits until all signs are on the screen."""
    return terminal.wait(lambda text: all(sign in text for sign in signs), 10)


def row_of(terminal, sign):
    for line in terminal.text().split("\n"):
        if sign in line:
            return line
    return ""


def reading():
    terminal = start()
    terminal.type(":diff\r")
    check(shown(terminal, "diff \u00b7 worktree  7 files", "v data.bin", "binary", "v ends.txt"), "the worktree's changes are shown",
          terminal.text())
    check(shown(terminal, "+ 2nd") and "third" in terminal.text(), "lines that differ in their ends too", terminal.text())
    terminal.type("}" * 2)
    check(shown(terminal, "gone.txt  deleted"), "} goes to the next file", terminal.text())
    terminal.type("}" * 2)
    check(shown(terminal, "new.py  added") and "^[" in terminal.text() and terminal.is_clean() is True,
          "hostile text is made visible", terminal.text())
    terminal.type("}")
    check(shown(terminal, "v src/code.c", "+ static int limit = 8;"), "and to a file of code", terminal.text())
    check(shown(terminal, "hunk 1/2", "hunk 2/2"), "hunks are counted", terminal.text())
    terminal.type("]" * 2)
    check(terminal.wait(lambda text: row_of(terminal, "hunk 2/2").startswith(">"), 5), "] goes to the next hunk", terminal.text())
    terminal.type("/twice = 2\r")
    check(terminal.wait(lambda text: row_of(terminal, "+     int twice = 2 * value;").startswith(">"), 5), "/ searches",
          terminal.text())
    terminal.type("/nothing like it\r")
    check(shown(terminal, "nothing like it: not found"), "and says when there is nothing", terminal.text())
    terminal.type("|")
    check(shown(terminal, "\u2502 32 +     int twice = 2") or "int twice = value + value;" in row_of(terminal, "2 * value"),
          "| puts it side by side", terminal.text())
    terminal.type("|z")
    check(shown(terminal, "> data.bin", "> src/moved.c") and "@@" not in terminal.text(), "z folds all files", terminal.text())
    terminal.type("gjjjj\r")
    check(shown(terminal, "v new.py", "def f"), "Enter unfolds one", terminal.text())
    terminal.type("zz")
    terminal.type("g}}}}}}")
    check(shown(terminal, "> "), "z unfolds and folds", terminal.text())
    terminal.type("z" if "> src/moved.c" in terminal.text() else "")
    terminal.type("?")
    check(shown(terminal, "In a diff", "stage the hunk, file or chosen"), "? explains the pane's keys", terminal.text())
    terminal.type("?")
    terminal.leave()


def looking():
    terminal = start(words=("--theme", "dark"))
    terminal.type(":diff\r")
    shown(terminal, "7 files")
    terminal.type("/moved.c\r")
    check(shown(terminal, "src/moved.c") and "> " in terminal.text() and "<" in terminal.text(), "moved lines have signs of their own",
          terminal.text())
    terminal.type("G")
    shown(terminal, "> ", "other_a")
    row = [i for i, line in enumerate(terminal.screen.display) if "int other_a" in line and " > " in line]
    background = {cell.bg for i in row for cell in terminal.screen.buffer[i].values()}
    check("15303a" in background, "and a ground of their own", (row, background))
    terminal.type("/8;\r")
    terminal.settle(0.2)
    for i, line in enumerate(terminal.screen.display):
        if "+ static int limit = 8;" in line and not line.startswith(">"):
            cells = terminal.screen.buffer[i]
            check(cells[line.index("static")].fg != "default" and cells[line.index("8;")].bg == "1f5c33" and
                  cells[line.index("limit")].bg == "14301d", "code has its colours, words that differ their ground",
                  [cells[line.index(word)] for word in ["static", "limit", "8;"]])
            break
    else:
        terminal.type("j")
        terminal.settle(0.2)
        line = row_of(terminal, "+ static int limit = 8;")
        cells = terminal.screen.buffer[[i for i, l in enumerate(terminal.screen.display) if "+ static int limit = 8;" in l][0]]
        check(cells[line.index("static")].fg != "default" and cells[line.index("8;")].bg == "1f5c33" and
              cells[line.index("limit")].bg == "14301d", "code has its colours, words that differ their ground",
              [cells[line.index(word)] for word in ["static", "limit", "8;"]])
    terminal.type("w")
    terminal.settle(0.2)
    at = [i for i, l in enumerate(terminal.screen.display) if "+ static int limit = 8;" in l][0]
    check(terminal.screen.buffer[at][terminal.screen.display[at].index("8;")].bg == "14301d", "w hides the words", terminal.text())
    terminal.type("gW")
    check(shown(terminal, "white space ignored", "6 files") or shown(terminal, "white space ignored"), "W ignores white space", terminal.text())
    terminal.type("s")
    check(shown(terminal, "nothing can be staged"), "and then nothing is staged", terminal.text())
    terminal.type("W")
    shown(terminal, "7 files")
    terminal.type("/xxx\r")
    terminal.type("\x1b[C" * 48)
    check(shown(terminal, "changed"), "arrows move along long lines", terminal.text())
    terminal.type("\x1b[D" * 48)
    terminal.type("-" * 3)
    check(shown(terminal, "@@ -1,1 +1,1 @@"), "- takes the lines around away", terminal.text())
    terminal.type("F/return twice + limit + 1\r")
    check(shown(terminal, "@@ -1,50 +1,50 @@"), "F shows whole files", terminal.text())
    terminal.leave()


def staging():
    terminal = start()
    terminal.type(":diff\r")
    shown(terminal, "7 files")
    terminal.type("/limit = 8\r")
    terminal.type("s")
    check(shown(terminal, "done: stage"), "s stages a hunk", terminal.text())
    staged = git("diff", "--cached")
    check("+static int limit = 8;" in staged and "2 * value" not in staged, "git has that hunk alone", staged)
    terminal.type("/2 * value\rks")
    check(shown(terminal, "done: stage") and terminal.wait(lambda text: "2 * value" in git("diff", "--cached"), 10),
          "and the next", git("diff", "--cached"))
    terminal.type("u")
    check(shown(terminal, "taken back: ") and "2 * value" not in git("diff", "--cached"), "u takes the last one back",
          git("diff", "--cached"))
    terminal.type("t")
    check(shown(terminal, "diff \u00b7 staged  1 file"), "t shows what is staged", terminal.text())
    terminal.type("s")
    check(shown(terminal, "Nothing is staged") and git("diff", "--cached") == "", "there s unstages", terminal.text())
    terminal.type("t")
    shown(terminal, "7 files")
    terminal.type("/+ 1;\r")
    terminal.type("vs")
    check(terminal.wait(lambda text: "done: " in text, 10), "v chooses lines", terminal.text())
    staged = git("diff", "--cached", "-U0")
    check("+    return twice + limit + 1;" in staged and "-    return" not in staged, "git has that line alone", staged)
    git("reset", "-q")
    terminal.type("r")
    terminal.settle(0.3)
    terminal.type("/moved.c\rkvj")
    terminal.type("s")
    check(shown(terminal, "no changed line is chosen") and git("diff", "--cached") == "",
          "chosen lines that end on a file's header are not the file", terminal.text())
    terminal.type("vr")
    terminal.settle(0.3)
    terminal.type("/gone.txt\rs")
    check(terminal.wait(lambda text: git("diff", "--cached", "--name-status") == "D\tgone.txt\n", 10), "a deleted file",
          git("diff", "--cached", "--name-status"))
    terminal.type("/data.bin\rS/new.py\rs")
    check(terminal.wait(lambda text: git("diff", "--cached", "--name-status") == "M\tdata.bin\nD\tgone.txt\nA\tnew.py\n", 10),
          "a binary one, a new one", git("diff", "--cached", "--name-status") + terminal.text())
    terminal.type("uuu")
    check(terminal.wait(lambda text: git("diff", "--cached", "--name-status") == "", 10), "all taken back",
          git("diff", "--cached", "--name-status") + terminal.text())
    terminal.leave()


def discarding():
    terminal = start()
    path = os.path.join(HOME, "ends.txt")
    before = open(path, "rb").read()
    terminal.type(":diff\r")
    shown(terminal, "7 files")
    terminal.type("/2nd\rx")
    check(shown(terminal, "x again discards it") and open(path, "rb").read() == before, "x asks first", terminal.text())
    terminal.type("j")
    terminal.type("x")
    terminal.settle(0.2)
    check(open(path, "rb").read() == before, "another key is no answer", terminal.text())
    terminal.type("x")
    check(terminal.wait(lambda text: open(path, "rb").read() == b"first\r\nsecond\r\nthird", 10), "x again discards, line ends and all",
          open(path, "rb").read())
    shown(terminal, "done: discard")
    terminal.type("u")
    check(shown(terminal, "taken back: ") and open(path, "rb").read() == before, "u brings it back to the byte",
          open(path, "rb").read())
    lock = os.path.join(HOME, ".git", "index.lock")
    open(lock, "w").close()
    terminal.type("/2nd\rs")
    check(shown(terminal, "index.lock") and os.path.exists(lock), "a locked index is left alone", terminal.text())
    os.remove(lock)
    terminal.leave()


def committing():
    """The editor of the message is a script; git's own hook refuses the first try."""
    editor, hook = os.path.join(FOLDER, "editor"), os.path.join(HOME, ".git/hooks/commit-msg")
    with open(editor, "w") as file:
        file.write('#!/bin/sh\ncp "$1" %s/seen\n[ -e %s/quiet ] || echo "Raise the limit" > "$1"\n' % (FOLDER, FOLDER))
    with open(hook, "w") as file:
        file.write("#!/bin/sh\nprintf 'the hook \\033[31msays no\\n'\nexit 1\n")
    os.chmod(editor, 0o755)
    os.chmod(hook, 0o755)
    git("config", "user.name", "A")
    git("config", "user.email", "a@example.org")
    terminal = start(environment={"EDITOR": editor, "VISUAL": "", "GIT_CONFIG_GLOBAL": "/dev/null"})
    terminal.type(":diff\r")
    shown(terminal, "7 files")
    terminal.type("/limit = 8\rs")
    shown(terminal, "done: stage")
    terminal.type("t")
    shown(terminal, "staged  1 file")
    before = git("rev-parse", "HEAD")
    terminal.type("c")
    check(shown(terminal, "git commit ended with 1") and git("rev-parse", "HEAD") == before, "a hook refuses a commit", terminal.text())
    with open(os.path.join(FOLDER, "seen")) as file:
        check("modified  src/code.c" in file.read(), "the editor sees what is staged")
    check(terminal.wait(lambda text: git("diff", "--cached", "--stat") != "", 5), "the index is kept", git("diff", "--cached", "--stat"))
    terminal.type("\x17z")
    check(shown(terminal, "the hook ^[[31msays no") or shown(terminal, "says no"), "what it said is in the conversation", terminal.text())
    check(terminal.is_clean() is True, "made visible", terminal.is_clean())
    os.remove(hook)
    open(os.path.join(FOLDER, "quiet"), "w").close()
    terminal.type("c")
    check(shown(terminal, "committed ") and git("log", "-1", "--format=%B").strip() == "Raise the limit",
          "and then the kept message is the editor's, and git commits", git("log", "-1", "--format=%B") + terminal.text())
    check(shown(terminal, "Nothing is staged"), "what is staged is read again", terminal.text())
    with open(editor, "w") as file:
        file.write('#!/bin/sh\ncp "$1" %s/seen\necho "Raise it again" > "$1"\n' % FOLDER)
    terminal.type(":commit amend\r")
    terminal.wait(lambda text: git("log", "-1", "--format=%B").strip() == "Raise it again", 10)
    check(shown(terminal, "committed " + git("rev-parse", "HEAD")[:10]) and git("rev-list", "--count", "HEAD").strip() == "2", "amend makes the last one anew",
          git("log") + terminal.text())
    with open(os.path.join(FOLDER, "seen")) as file:
        check(file.read().startswith("Raise the limit\n"), "from its message")
    terminal.type(":commit --all\r")
    check(shown(terminal, ":commit takes nothing, or amend"), "other words are refused", terminal.text())
    terminal.leave()


FINDING = '{"severity":"%s","line":%d,"end_line":%d,"title":"%s","detail":"%s","symbols":["total"]}'


def reviewing():
    """A model that says one thing of the one hunk."""
    home = os.path.join(FOLDER, "reviewed")
    subprocess.run(["git", "init", "-q", "-b", "main", home], check=True)
    old = "def total(rows):\n    n = 0\n    for row in rows:\n        n += row\n    return n\n\n\ndef other():\n    return 1\n"
    with open(os.path.join(home, "sum.py"), "w") as file:
        file.write(old)
    run = lambda *words: subprocess.run(["git", "-C", home, *words], check=True, env=dict(os.environ, **GIT))
    run("add", "-A")
    run("commit", "-qm", "first")
    with open(os.path.join(home, "sum.py"), "w") as file:
        file.write(old.replace("        n += row\n", "        n = row\n        print(n)\n"))
    detail = "total() keeps the last row alone, since the sum is set and not added to; what calls it expects all of the rows."
    script = [FINDING % ("high", 4, 4, "total() no longer adds", detail) + "]"]
    terminal = Terminal(home, rows=40, columns=110, script=script)
    terminal.opened()
    terminal.type(":diff\r")
    shown(terminal, "1 file")
    terminal.type("f")
    check(shown(terminal, "the model has read nothing yet"), "without a review there are no findings", terminal.text())
    terminal.type("R")
    check(shown(terminal, "! high  total() no longer adds", "confidence", "expects all of the rows."),
          "R lets the model read it: the finding stands behind its line", terminal.text())
    lines = terminal.text().split("\n")
    at = [i for i, line in enumerate(lines) if "! high" in line]
    check(bool(at) and "n = row" in lines[at[0] - 1], "which is the one that it names", terminal.text())
    terminal.type("of")
    check(terminal.wait(lambda text: row_of(terminal, "! high").startswith(">"), 5), "f goes to it", terminal.text())
    terminal.type("o")
    check(shown(terminal, "unusual ", "nats a token", "in its file"), "o goes to what is unusual", terminal.text())
    terminal.type("|")
    check(shown(terminal, "\u2502", "! high  total() no longer adds"), "side by side too", terminal.text())
    terminal.type("|s")
    check(shown(terminal, "done: stage", "Nothing changed"), "its hunk is staged", terminal.text())
    terminal.type("t")
    check(shown(terminal, "staged  1 file", "! high  total() no longer adds"), "and takes the finding with it", terminal.text())
    terminal.type("d")
    check(shown(terminal, "there is no finding here"), "d wants a finding", terminal.text())
    terminal.type("fd")
    check(shown(terminal, "dismissed") and terminal.wait(lambda text: "! high" not in text, 5), "d dismisses it", terminal.text())
    terminal.type("R")
    check(shown(terminal, "0 findings") and "! high" not in terminal.text(), "for good", terminal.text())
    terminal.leave()


def many_files():
    for i in range(60):
        write("many/%02d.txt" % i, "new\n")
    terminal = start()
    terminal.type(":diff\r")
    check(shown(terminal, "67 files", "data.bin"), "of many files the first are shown, then all", terminal.text())
    terminal.type("/many/59\r")
    check(shown(terminal, "v many/59.txt"), "down to the last", terminal.text())
    terminal.leave()
    subprocess.run(["rm", "-r", os.path.join(HOME, "many")], check=True)


def others():
    git("commit", "-qam", "second")
    terminal = start(rows=24, columns=80)
    terminal.type(":diff HEAD\r")
    check(shown(terminal, "diff \u00b7 HEAD"), "a commit", terminal.text())
    terminal.type("s")
    check(shown(terminal, "can't be staged"), "which can't be staged", terminal.text())
    terminal.type(":diff HEAD~1..HEAD\r")
    check(shown(terminal, "diff \u00b7 HEAD~1..HEAD"), "a range", terminal.text())
    terminal.type(":diff nothing\r")
    check(shown(terminal, "nothing") and terminal.wait(lambda text: "@@" not in text, 5), "no such revision: a line says so", terminal.text())
    terminal.type(":diff --wrong\r")
    check(shown(terminal, "what to show: --worktree"), "what it takes is told", terminal.text())
    terminal.type(":diff\r")
    check(shown(terminal, "diff \u00b7 worktree"), "the worktree again", terminal.text())
    for rows, columns in [(5, 20), (1, 1), (3, 200), (60, 30), (24, 80)]:
        terminal.size(rows, columns)
        terminal.settle(0.1)
    resized = terminal.text()
    terminal.type("\x0c")
    terminal.settle(0.2)
    check(terminal.text() == resized and "diff" in resized, "after resizing it is what it is when drawn anew", resized)
    terminal.type("q")
    check(shown(terminal, "Ask about") or shown(terminal, "chat"), "q closes the pane", terminal.text())
    check(terminal.leave() == 0 and terminal.is_clean() is True and terminal.is_as_found(), "and the terminal is as it was", terminal.is_clean())


HOME = os.path.join(FOLDER, "repository")
os.makedirs(HOME)
make_repository()
for part in [reading, looking, many_files, staging, discarding, committing, reviewing, others]:
    part()
sys.exit(end())
