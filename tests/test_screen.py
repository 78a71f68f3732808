"""The terminal UI as a user has it: the built program on a terminal, by the default model and by a scripted one."""

import os
import re
import signal
import sys
import termios
import time

from screen_terminal import FOLDER, SLOW, Terminal, check, end


def first_frame():
    taken = []
    for _ in range(1 if SLOW else 5):
        terminal = Terminal("--no-save")
        terminal.wait(lambda text: "Enter sends" in text)
        taken.append(time.monotonic() - terminal.begun)
        first = terminal.text()
        if len(taken) == 1:
            check("opening SmolLM2" in first or "/8.2k" in first, "the first frame says what is being opened", first)
            check("press ? in a pane" in first, "and how to begin", first)
        check(terminal.leave() == 0, "it leaves at once, whatever is being opened", terminal.text())
    check(min(taken) < (5 if SLOW else 0.3), "the first frame comes soon", taken)


def answer():
    terminal = Terminal("--temp", "0", "-n", "40")
    check(terminal.opened(), "the model is opened", terminal.text())
    check(terminal.ask("What is the capital of France?"), "an answer is given", terminal.text())
    check("Paris" in terminal.text() and "You\n" in terminal.text(), "under the question", terminal.text())
    check(re.search(r"\d+ tok/s", terminal.text()), "the status line tells the speed", terminal.text())
    check(terminal.ask("Thanks.", "7 % reused") or re.search(r"[1-9]\d* % reused", terminal.text()),
          "and what was reused", terminal.text())
    check(terminal.leave() == 0 and terminal.is_as_found(), "the terminal is as it was found", terminal.raw[-200:])
    check(terminal.is_clean() is True, "nothing but text and the screen's own sequences was sent", terminal.is_clean())

    again = Terminal("--temp", "0", "--resume")
    check(again.wait(lambda text: "Paris" in text and "Thanks." in text), "--resume shows the conversation", again.text())
    again.type(":new\r")
    check(again.wait(lambda text: "Paris" not in text), ":new begins another", again.text())
    again.type(":load\r")
    check(again.wait(lambda text: re.search(r"\d+  20\d\d-.*France", text)), ":load lists it", again.text())
    number = re.search(r"(\d+)  20\d\d-.*France", again.text()).group(1)
    again.type("/load %s\r" % number)
    check(again.wait(lambda text: "Thanks." in text), "/load goes on with it", again.text())
    again.type("\x04")
    check(again.status() == 0, "Ctrl-D leaves an empty entry")


HOSTILE = (b"before \x1b]0;title\x07 \x1b]8;;http://evil/\x07link\x1b]8;;\x07 \x1b]52;c;ZXZpbA==\x07 \x1b[21t \x1b[2J \x1b[?1049l "
           b"\xc2\x9b31m \xe2\x80\xaeright\xe2\x80\xac \x9b bad \xff\xfe \r over \x08\x08 \x7f \x0b \x1bP1;1|x\x1b\\ &#27;[31m "
           b"`\x1b[5m` **\x1b[7m**\n\n```c\n\x1b[31mint x;\x1b]0;y\x07\n```\n\n| a\x1b[1m | b |\n|---|---|\n| \x1b[2J | \xe2\x80\xae |\n\n"
           b"[t\x1b[3m](http://x/\x1b[4m) after \x1b]0;never ends")


def hostile():
    terminal = Terminal("--no-save", script=[HOSTILE, "fine"], speed=(0, 200))
    terminal.opened()
    check(terminal.ask("x", "never ends"), "a hostile answer is shown", terminal.text())
    check(terminal.is_clean() is True, "and sends no sequence", terminal.is_clean())
    check("^[]0;title^G" in terminal.text() and "<U+202E>right" in terminal.text() and "<U+009B>31m" in terminal.text(),
          "its controls are marks", terminal.text())
    terminal.type(b"\x1b[200~one \x1b[31m\x9b \x07 \x1b]0;t\x07\rtwo\xe2\x80\xae\x1b[201~")
    check(terminal.wait(lambda text: "two<U+202E>" in text), "a hostile paste is shown", terminal.text())
    check("^[[31m" in terminal.text() and terminal.is_clean() is True, "as marks", terminal.is_clean())
    terminal.type("\r")
    check(terminal.wait(lambda text: "\n fine" in text), "and is one question", terminal.text())
    check(terminal.leave() == 0 and terminal.is_clean() is True, "all is well at the end", terminal.is_clean())


MARKDOWN = """# Title

A *word*, a **strong** one, `code` and [a link](http://example.org/).

1. one
2. two
   - inner

> quoted

| name | n |
|------|--:|
| x    | 1 |
| long | 12345 |

```python
def f():
\treturn 1
```
End."""


def markdown():
    terminal = Terminal("--no-save", rows=40, columns=80, script=[MARKDOWN, "\n".join("line %d  " % i for i in range(1, 100))])
    terminal.opened()
    terminal.ask("show")
    text = terminal.text()
    for part in ["Title\n", "A word, a strong one, code and a link (http://example.org/).", "1. one\n", "2. two\n", "   - inner",
                 "│ quoted", "name      n\n", "x         1\n", "long  12345", "python ───", "   def f():\n       return 1\n", "End."]:
        check(part in text, "markdown: %r" % part, text)
    check(terminal.color("def") == "magenta" and terminal.color("f():") == "blue", "code has its language's colours",
          (terminal.color("def"), terminal.color("f():")))
    terminal.ask("more", "line 99")
    terminal.type("\x1b\x1b")
    terminal.type("gg")
    check(terminal.wait(lambda text: "Title" in text), "g goes to the beginning", terminal.text())
    terminal.type("/line 5\r")
    check(terminal.wait(lambda text: "line 5\n" in text), "/ finds", terminal.text())
    terminal.type("[")
    check(terminal.wait(lambda text: "\n You\n more" in text), "[ goes to the question", terminal.text())
    terminal.type("y")
    check(terminal.wait(lambda text: "no code block" in text or "copied" in text), "y copies or says why not", terminal.text())
    terminal.type("G{y")
    check(terminal.wait(lambda text: "copied" in text), "a code block is copied", terminal.text())
    check(b"\x1b]52;c;ZGVmIGYoKToKCXJldHVybiAxCg==" in terminal.raw, "its source, by OSC 52", terminal.raw[-300:])
    terminal.type("?")
    check(terminal.wait(lambda text: "In the conversation" in text and "a line down" in text), "? explains the keys", terminal.text())
    terminal.type("?")
    check(terminal.wait(lambda text: "In the conversation" not in text), "and closes them", terminal.text())
    terminal.type("\x17v")
    check(terminal.wait(lambda text: " chat " in text and "│" in text), "Ctrl-W v splits", terminal.text())
    terminal.type("\x17z")
    check(terminal.wait(lambda text: "│ chat" not in text), "z zooms", terminal.text())
    terminal.type("\x17z\x17q")
    check(terminal.wait(lambda text: "│ chat" not in text), "q closes", terminal.text())
    check(terminal.leave() == 0, "it leaves")


def typing():
    editor = os.path.join(FOLDER, "editor")
    with open(editor, "w") as file:
        file.write("#!/bin/sh\nprintf ' from the editor\\n' >> \"$1\"\n")
    os.chmod(editor, 0o755)
    terminal = Terminal("--no-save", script=["one", "two", "three"], environment={"EDITOR": editor, "VISUAL": ""})
    terminal.opened()
    terminal.type("alpha beta\x1b\x7fgamma")
    check(terminal.wait(lambda text: "> alpha gamma" in text), "Alt-Backspace takes a word", terminal.text())
    terminal.type("\x1f\x1f")
    check(terminal.wait(lambda text: "> alpha beta" in text), "Ctrl-_ undoes", terminal.text())
    terminal.type("\x1b\rsecond line")
    check(terminal.wait(lambda text: "> alpha beta\n  second line" in text), "Alt-Enter begins a line", terminal.text())
    terminal.type("\x1be")
    check(terminal.wait(lambda text: "second line from the editor" in text), "Alt-E edits in $EDITOR", terminal.text())
    terminal.type("\r")
    check(terminal.wait(lambda text: "\n one" in text), "Enter sends", terminal.text())
    terminal.type("\x1b[A")
    check(terminal.wait(lambda text: text.count("second line from the editor") == 2), "the arrow brings it back", terminal.text())
    terminal.type("\x03")
    check(terminal.wait(lambda text: text.count("second line from the editor") == 1), "Ctrl-C clears", terminal.text())
    terminal.type("/mo\t")
    check(terminal.wait(lambda text: "> /model" in text), "Tab completes a command", terminal.text())
    terminal.type("\x15/nonsense\r")
    check(terminal.wait(lambda text: "there is no command nonsense" in text), "an unknown command is told", terminal.text())
    terminal.type("h\xe9\xa0llo w\u00f6rld \u65e5\u672c \U0001f600e\u0301")
    check(terminal.wait(lambda text: "w\u00f6rld" in text), "letters beyond ASCII", terminal.text())
    check(terminal.leave() == 0 and terminal.is_clean() is True, "it leaves", terminal.is_clean())


def coloring():
    """While it comes: the fence isn't closed yet, and what is there has its colours."""
    body = "int first(void)\n{\n    return 1; /* one */\n}\n"
    text = "Look:\n\n```c\n" + body + "static char *name = \"text\";\n" + "// more\n" * 400
    terminal = Terminal("--no-save", script=[text, "```nonsense\nint x;\n```\n\n```\nint y;\n```"], speed=(0, 1500))
    terminal.opened()
    check(terminal.ask("go", "\"text\";"), "code comes", terminal.text())
    check(terminal.wait(lambda text: terminal.color("static") == "magenta" and terminal.color("\"text\"") == "green"),
          "and has its colours while it does", (terminal.color("static"), terminal.color("\"text\"")))
    terminal.type("\x1b")
    terminal.wait(lambda text: "Esc stops" not in text and "stopping" not in text)
    terminal.ask("plain", "int y;")
    check(terminal.color("int x") == terminal.color("int y") == "cyan", "a language that nobody knows is plain", terminal.text())
    check(terminal.leave() == 0, "it leaves")


LONG = " ".join("word%d" % i for i in range(400))


def other_model():
    terminal = Terminal("--no-save", script=["hello"])
    terminal.opened()
    terminal.type("/model nothing-of-that-name\r")
    check(terminal.wait(lambda text: "nothing-of-that-name" in text and "fake" in text.split("\n")[-1] and "opening" not in text),
          "where another model can't be opened, the one before goes on", terminal.text())
    check(terminal.ask("x", "hello"), "and answers", terminal.text())
    terminal.leave()


def stopping():
    terminal = Terminal("--no-save", script=[LONG, "second answer", "third"], speed=(0, 3000))
    terminal.opened()
    terminal.type("go\r")
    check(terminal.wait(lambda text: "word3" in text and "Esc stops" in text), "an answer streams", terminal.text())
    terminal.type("queued\r")
    check(terminal.wait(lambda text: "waiting for the answer before" in text), "a second question waits", terminal.text())
    terminal.type("\x1b")
    check(terminal.wait(lambda text: "second answer" in text), "Esc stops the first, the second is answered", terminal.text())
    check("word399" not in terminal.text(), "which was not whole", terminal.text())
    check(terminal.leave() == 0, "it leaves")

    terminal = Terminal("--no-save", script=[LONG], speed=(0, 3000))
    terminal.opened()
    terminal.type("go\r")
    terminal.wait(lambda text: "word3" in text)
    check(terminal.leave() == 0 and terminal.is_as_found(), "Ctrl-C twice leaves while an answer streams", terminal.raw[-200:])


def traffic():
    text = "\n\n".join("This is paragraph %d of a long answer that goes on for a while, as answers of a model do, and "
                       "wraps at the edge." % i for i in range(20))
    terminal = Terminal("--no-save", script=[text], speed=(0, 500))
    terminal.opened()
    terminal.settle()
    before = len(terminal.raw)
    terminal.ask("go")
    sent = len(terminal.raw) - before
    check("paragraph 19" in terminal.text(), "a long answer scrolls", terminal.text())
    check(sent < 3 * len(text) + 1500, "few bytes are sent for it", (sent, len(text)))
    streamed = terminal.settle()
    terminal.type("\x0c")
    check(terminal.settle() == streamed, "the screen is what a fresh one is", terminal.text())
    check(terminal.leave() == 0, "it leaves")


def resizing():
    terminal = Terminal("--no-save", script=[MARKDOWN + "\n" + LONG], speed=(0, 300))
    terminal.opened()
    terminal.type("go\r")
    sizes = [(1, 1), (5, 20), (2, 3), (200, 500), (24, 80), (3, 200), (60, 9)]
    for i in range(40 if SLOW else 150):
        terminal.size(*sizes[i % len(sizes)])
        if i % 3 == 0:
            terminal.read(0.002)
    terminal.size(24, 80)
    check(terminal.wait(lambda text: "reused" in text and "word399" in text), "it lives through a storm of resizes", terminal.text())
    after = terminal.settle()
    terminal.type("\x0c")
    check(terminal.settle() == after, "and ends in the screen that a fresh one is", after)
    for rows, columns in [(5, 20), (1, 1), (3, 2)]:
        terminal.size(rows, columns)
        terminal.settle(0.1)
        terminal.type("\x17v\x17s?\x17q:\x03")
        terminal.settle(0.1)
    terminal.size(5, 20)
    terminal.type("i")
    small = terminal.settle()
    check(len(small.split("\n")) <= 5 and " fake" in small and "word399" in small and "\n>" in small, "20 x 5 works", small)
    check(terminal.leave() == 0 and terminal.is_clean() is True, "it leaves", terminal.is_clean())


def signals():
    terminal = Terminal("--no-save", script=["hello there"], is_job=True)
    terminal.opened()
    terminal.ask("x", "hello there")
    terminal.settle()
    terminal.type("\x1a")
    terminal.kill(None)
    terminal.settle(0.1)
    check(terminal.is_as_found(), "Ctrl-Z gives the terminal back", terminal.raw[-100:])
    terminal.screen.reset()
    terminal.kill(signal.SIGCONT)
    check(terminal.wait(lambda text: "hello there" in text and "\n>" in text), "and it comes back", terminal.text())
    terminal.kill(signal.SIGSTOP)
    termios.tcsetattr(terminal.slave, termios.TCSANOW, terminal.before)
    terminal.screen.reset()
    terminal.kill(signal.SIGCONT)
    check(terminal.wait(lambda text: "hello there" in text), "also from a stop that it could not see", terminal.text())
    check(terminal.ask("y", "reused"), "and goes on", terminal.text())
    terminal.kill(signal.SIGTERM)
    check(terminal.status() == 130 and terminal.is_as_found(), "SIGTERM leaves the terminal as it was", terminal.raw[-100:])
    for name in [signal.SIGHUP, signal.SIGINT]:
        terminal = Terminal("--no-save", script=["hello"], is_job=True)
        terminal.opened()
        terminal.kill(name)
        check(terminal.status() == 130 and terminal.is_as_found(), name.name + " too", terminal.raw[-100:])
    if SLOW:
        return  # a sanitizer's own handler tells of crashes there
    terminal = Terminal(script=["hello"], is_job=True)
    terminal.opened()
    terminal.kill(signal.SIGSEGV)
    check(terminal.status() == 100 + signal.SIGSEGV and terminal.is_as_found(), "a crash, too", terminal.raw[-300:])
    report = re.search(rb"it crashed: SIGSEGV \(the report is (.*)\)", terminal.raw)
    check(report and b"SIGSEGV" in open(report.group(1), "rb").read(), "and its report is where it says", terminal.raw[-300:])


def colors():
    terminal = Terminal("--no-save", script=["`code` **bold**"], environment={"NO_COLOR": "1"})
    terminal.opened()
    terminal.ask("x", "bold")
    check(terminal.leave() == 0, "NO_COLOR")
    check(not re.search(rb"\x1b\[[0-9;]*[;\[](3[0-9]|9[0-7]|38|48)[;m]", terminal.raw) and b"\x1b[0;1m" in terminal.raw,
          "sends no colour, but bold", terminal.raw[:400])
    terminal = Terminal("--no-save", "--theme", "dark", script=["`code`"], environment={"COLORTERM": "truecolor"})
    terminal.opened()
    terminal.ask("x", "code")
    terminal.leave()
    check(b";38;2;" in terminal.raw, "truecolour where the terminal has it", terminal.raw[:400])
    terminal = Terminal("--no-save", "--theme", "light", script=["`code`"], environment={"COLORTERM": ""})
    terminal.opened()
    terminal.ask("x", "code")
    terminal.leave()
    check(b";38;5;" in terminal.raw and b";38;2;" not in terminal.raw, "256 colours where it has those", terminal.raw[:400])
    terminal = Terminal("--no-save", script=["caf\u00e9"], environment={"LC_ALL": "en_US.ISO-8859-1", "LANG": ""})
    terminal.opened()
    terminal.ask("x", "reused")
    terminal.leave()
    if not re.search(rb"[\x80-\xff]", terminal.raw):
        check(b"caf<U+00E9>" in terminal.raw and b"----" in terminal.raw, "ASCII where the locale isn't UTF-8", terminal.raw[:400])


def elsewhere():
    terminal = Terminal("--no-save", script=["hello"], environment={"TERM": "dumb"})
    check(terminal.wait(lambda text: "here is the chat by lines" in text and text.endswith("\n>")), "a dumb terminal gets lines",
          terminal.text())
    terminal.type("\x04")
    check(terminal.status() == 0 and b"\x1b" not in terminal.raw, "and no sequence", terminal.raw)
    terminal = Terminal("--no-save", "--plain", script=["hello"])
    check(terminal.wait(lambda text: text.endswith("\n>")), "so does --plain", terminal.text())
    terminal.type("\x04")
    terminal.status()


os.chdir(FOLDER)
for part in [first_frame, answer, hostile, markdown, coloring, typing, other_model, stopping, traffic, resizing, signals, colors, elsewhere]:
    part()
sys.exit(end())
