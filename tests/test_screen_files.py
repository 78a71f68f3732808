"""Files in panes of the terminal UI: opened, jumped to, edited with proposals, saved; by a scripted model."""

import os
import re
import signal
import subprocess
import sys

from screen_terminal import FOLDER, Terminal, check, end

REPOSITORY = os.path.join(FOLDER, "lantern")
LEASE_C = b"""#include "lease.h"

int lease_due(int at)
{
    return at + LEASE_SPAN;
}

int lease_try(int now)
{
    int due = lease_due(now);

    return due;
}
"""
ODD = b"one\r\ntwo\xff\xfe \x1b]0;title\x07 \xe2\x80\xae\r\nthree, without an end"


def make_repository():
    os.makedirs(os.path.join(REPOSITORY, "src"))
    for name, data in [("src/lease.c", LEASE_C), ("src/lease.h", b"#define LEASE_SPAN 30\nint lease_due(int at);\n"), ("odd.txt", ODD),
                       ("src/sweep.c", b"#include \"lease.h\"\n\nint sweep(int now)\n{\n    return lease_due(now);\n}\n")]:
        with open(os.path.join(REPOSITORY, name), "wb") as file:
            file.write(data)
    git = ["git", "-C", REPOSITORY, "-c", "user.name=n", "-c", "user.email=e@e"]
    for words in [["init", "-q", "-b", "trunk"], ["add", "."], ["commit", "-q", "-m", "all"]]:
        subprocess.run(git + words, check=True)


def content(name):
    with open(os.path.join(REPOSITORY, name), "rb") as file:
        return file.read()


def files():
    terminal = Terminal("--no-save", script=["It is in `src/lease.c:10`, see ../outside.c and src/none.c.", "alpha + beta * gamma;"], columns=120)
    terminal.opened()
    check("trunk" in terminal.text().split("\n")[0], "the branch is told", terminal.text())
    terminal.ask("where?", "none.c")
    terminal.type("\t")
    terminal.wait(lambda text: "i ask" in text)
    terminal.type("o")
    check(terminal.wait(lambda text: "\u2502 src/lease.c" in text and "c 10:1" in text), "o opens the file that an answer names, at its line", terminal.text())
    check(terminal.color("return at") == "magenta" and terminal.color("int due") != terminal.color("due ="),
          "with its language's colours", terminal.color("return at"))
    terminal.type("www")
    terminal.wait(lambda text: "c 10:24" in text)
    terminal.type("d")
    check(terminal.wait(lambda text: "c 3:1" in text), "d goes to the definition", terminal.text())
    terminal.type("\x7f")
    check(terminal.wait(lambda text: "c 10:1" in text), "and Backspace back", terminal.text())
    terminal.type("wwwr")
    check(terminal.wait(lambda text: "references  2 of 2" in text and "src/sweep.c:5" in text), "r lists what uses it", terminal.text())
    terminal.type("sweep\r")
    check(terminal.wait(lambda text: "\u2502 src/sweep.c" in text and "c 5:1" in text), "letters choose, Enter opens", terminal.text())
    terminal.type("\x0f")
    check(terminal.wait(lambda text: "files  4 of 4" in text), "Ctrl-O lists the files", terminal.text())
    terminal.type("odd\r")
    check(terminal.wait(lambda text: "three, without an end" in text and "<U+202E>" in text), "a file that is no clean text is shown", terminal.text())
    terminal.type("jjiX\x13")
    check(terminal.wait(lambda text: "saved odd.txt, %d bytes" % (len(ODD) + 1) in text), "it is edited and saved", terminal.text())
    check(content("odd.txt") == ODD.replace(b"three", b"Xthree"), "with every byte of it", content("odd.txt"))
    terminal.type("\x1b")
    terminal.wait(lambda text: "i edit" in text)
    terminal.type("us")
    check(terminal.wait(lambda text: "saved odd.txt, %d bytes" % len(ODD) in text) and content("odd.txt") == ODD, "u undoes", content("odd.txt"))
    terminal.type("\x1bxopn")
    check(terminal.wait(lambda text: "open [PATH[:LINE]]" in text and "choose: opn" in text), "Alt-X lists the commands", terminal.text())
    terminal.type("\rsrc/lease.h:2\r")
    check(terminal.wait(lambda text: "src/lease.h" in text and "2:1" in text), "one that takes an argument waits for it", terminal.text())
    mentions(terminal)
    editing(terminal)
    terminal.type("\x03\x03")
    check(terminal.wait(lambda text: "is not saved; Ctrl-C once more" in text), "what isn't saved isn't left by two Ctrl-C", terminal.text())
    terminal.type("\x03")
    check(terminal.status() == 0 and content("src/lease.c") == b"theirs\n", "but by three")
    check(terminal.is_clean() is True, "no byte of a file was sent as it is", terminal.is_clean())


def mentions(terminal):
    """What a question names by @, chosen and counted.  The scripted model's tokens are bytes."""
    cost = lambda text: int((re.findall(r"this question (\d+) tokens", text) or ["0"])[0])
    terminal.type("a")
    terminal.wait(lambda text: "Enter sends" in text)
    terminal.type("what is @swe\t")
    check(terminal.wait(lambda text: "choose: swe" in text and "src/sweep.c" in text), "Tab behind @ lists files", terminal.text())
    terminal.type("\r")
    check(terminal.wait(lambda text: "> what is @src/sweep.c" in text), "Enter puts one into the question", terminal.text())
    sweep = len(content("src/sweep.c"))
    check(terminal.wait(lambda text: cost(text) > sweep + 20), "and its cost is told", terminal.text())
    whole = cost(terminal.text())
    terminal.type("\x7f:3-4 ")
    check(terminal.wait(lambda text: 20 < cost(text) < whole), "lines of it cost less", terminal.text())
    lines = cost(terminal.text())
    terminal.type("@lease_try ")
    check(terminal.wait(lambda text: cost(text) > lines + 60), "a definition is named by its name", terminal.text())
    terminal.type("@map @../../etc/passwd")
    check(terminal.wait(lambda text: "stands for nothing" in text), "what is above the root stands for nothing", terminal.text())
    terminal.type("\r")
    check(terminal.wait(lambda text: "@../../etc/passwd: it stands for nothing here" in text), "and that is said beside the answer", terminal.text())
    terminal.wait(lambda text: "reused" in text)
    terminal.type("\t")
    terminal.wait(lambda text: "> \n" in text or "Enter sends" not in text)


def editing(terminal):
    terminal.type(":open src/lease.c:11\r")
    terminal.wait(lambda text: "c 11:1" in text)
    terminal.type("i    int y = foo")
    row = lambda text: (re.findall(r"int y = (foo.*)", text) or [""])[0].rstrip()
    check(terminal.wait(lambda text: len(row(text)) > 7 and "Tab all" in text), "a pause brings a proposal", terminal.text())
    whole = row(terminal.text())  # a scripted model's way isn't known beforehand
    terminal.type(whole[3])
    check(terminal.wait(lambda text: "c 11:17" in text) and row(terminal.text()) == whole, "typing what it says leaves the rest", terminal.text())
    terminal.type("\x1b[1;5C")
    check(terminal.wait(lambda text: re.search(r"c 11:(1[89]|2\d)", text)) and row(terminal.text()) == whole, "Ctrl-Right takes a word of it",
          terminal.text())
    terminal.type("\t")
    check(terminal.wait(lambda text: "c 11:%d" % (13 + len(whole)) in text and row(text).startswith(whole)), "Tab takes the rest", terminal.text())
    terminal.type("\x1bw")
    check(terminal.wait(lambda text: "what was read for it" in text and "tokens before the model" in text), "Alt-W tells why", terminal.text())
    terminal.type("\x1bw")
    check(terminal.wait(lambda text: "what was read for it" not in text), "and closes that", terminal.text())
    terminal.type("\x1f\x1f\x1f")
    check(terminal.wait(lambda text: whole[:4] not in text), "what was taken is undone", terminal.text())
    terminal.type("baz")
    with open(os.path.join(REPOSITORY, "src/lease.c"), "wb") as file:
        file.write(b"theirs\n")
    terminal.type("\x13")
    check(terminal.wait(lambda text: "has changed on the disk" in text) and content("src/lease.c") == b"theirs\n",
          "a file that somebody else changed isn't replaced", terminal.text())
    while "editing" in terminal.text():
        terminal.type("\x1b")
        terminal.settle(0.1)
    terminal.type("q")
    check(terminal.wait(lambda text: "is not saved: s saves" in text), "nor is its pane closed", terminal.text())
    for rows, columns in [(5, 20), (1, 1), (24, 80), (3, 30)]:
        terminal.size(rows, columns)
        terminal.settle(0.05)
        terminal.type("i\x1b[B\x1b[Cx\x7f\x1b")
        terminal.settle(0.1)
    terminal.size(24, 120)
    terminal.type("\x1b")
    streamed = terminal.settle()
    terminal.type("\x0c")
    check(terminal.settle() == streamed, "resizes end in what a fresh screen is", streamed)


def leaving():
    """What isn't saved is lost by no way of leaving but the one that says so."""
    terminal = Terminal("--no-save", "src/sweep.c", script=["hello"], columns=120)
    terminal.wait(lambda text: "int sweep" in text)
    terminal.type("i// kept\r")
    terminal.settle(0.2)
    while "i edit" not in terminal.text():
        terminal.type("\x1b")
        terminal.settle(0.2)
    terminal.type(":q\r")
    check(terminal.wait(lambda text: "is not saved; :quit!" in text, 5), ":q doesn't leave it unsaved", terminal.text())
    terminal.type("\t")
    terminal.wait(lambda text: "Enter sends" in text, 5)
    terminal.type("\x04")
    check(terminal.wait(lambda text: "is not saved; :quit!" in text, 5), "nor does Ctrl-D", terminal.text())
    os.kill(terminal.child, signal.SIGTERM)
    terminal.status()
    kept = re.search(rb"sweep\.c was not saved: its text lies in (\S+)", terminal.raw)
    check(bool(kept), "after a signal it is said where its text lies", terminal.raw[-400:])
    if kept:
        with open(kept.group(1), "rb") as file:
            check(file.read().startswith(b"// kept\n") and content("src/sweep.c").startswith(b"#include"), "and there it is")


make_repository()
os.chdir(REPOSITORY)
files()
leaving()
sys.exit(end())
