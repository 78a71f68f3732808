"""The repl and -p as a user has them: the built program, the default model, a terminal, and what stands on its screen."""

import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import fcntl
import time

import pyte

import endless

PROGRAM = os.environ["FATHOM_PROGRAM"]
MODEL = os.environ["FATHOM_TEST_MODEL"]
COMMON = ["-m", MODEL, "--temp", "0"]
ROWS, COLUMNS = 30, 80
failed = False


def check(good, name, seen=""):
    global failed
    print(("ok " if good else "not ok ") + name)
    if not good:
        print("    seen:", seen)
        failed = True


class Terminal:
    """The program on a terminal of ROWS x COLUMNS; its screen is text."""

    def __init__(self, *words):
        self.screen = pyte.Screen(COLUMNS, ROWS)
        self.stream = pyte.ByteStream(self.screen)
        self.raw = b""
        self.child, self.fd = pty.fork()
        if self.child == 0:
            os.execv(PROGRAM, [PROGRAM, *words])
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))

    def text(self):
        return "\n".join(line.rstrip() for line in self.screen.display).rstrip()

    def wait(self, good, seconds=60):
        """Whether good(text of the screen) comes true in time."""
        end = time.monotonic() + seconds
        while not good(self.text()):
            readable, _, _ = select.select([self.fd], [], [], max(0, end - time.monotonic()))
            if not readable:
                return False
            try:
                data = os.read(self.fd, 65536)
            except OSError:
                return good(self.text())
            self.raw += data
            self.stream.feed(data)
        return True

    def at_prompt(self):
        """An empty prompt is the last line, and keys go to the program and not to the kernel's line."""
        if not self.wait(lambda text: text.endswith("\n>")):
            return False
        end = time.monotonic() + 5
        while termios.tcgetattr(self.fd)[3] & termios.ECHO and time.monotonic() < end:
            time.sleep(0.01)
        return True

    def type(self, keys):
        os.write(self.fd, keys.encode())

    def status(self):
        while True:
            try:
                if not os.read(self.fd, 65536):
                    break
            except OSError:
                break
        return os.waitstatus_to_exitcode(os.waitpid(self.child, 0)[1])


def run(*words, text="", **options):
    return subprocess.run([PROGRAM, *words], input=text, capture_output=True, text=True, timeout=120, **options)


def starting():
    """How long it takes until the first prompt is there."""
    begun = time.monotonic()
    terminal = Terminal("repl", *COMMON, "--no-save")
    terminal.at_prompt()
    taken = time.monotonic() - begun
    terminal.type("\x04")
    return taken if terminal.status() == 0 else float("inf")


def repl():
    taken = []
    while len(taken) < 4 and (not taken or taken[-1] >= 5):  # again, where something else took the machine
        taken.append(starting())
    check(taken[-1] < 5, "it starts soon", taken)

    terminal = Terminal("repl", *COMMON, "-n", "12")
    check(terminal.at_prompt(), "a prompt appears", terminal.text())
    lines = terminal.text().split("\n")
    check(len(lines) <= 4 and "SmolLM2" in lines[0] and "/help" in lines[1], "three lines at most before it", lines)

    terminal.type("What is the capital of France?\r")
    check(terminal.wait(lambda text: "a second; read" in text), "the answer ends", terminal.text())
    check("Paris" in terminal.text(), "and is an answer", terminal.text())
    check(terminal.at_prompt(), "the prompt comes back", terminal.text())

    terminal.type("\x1b[200~Say \"one\".\rThen say \"two\".\x1b[201~")
    check(terminal.wait(lambda text: text.endswith('> Say "one".\nThen say "two".')), "a paste shows its lines",
          terminal.text())
    terminal.type("\r")
    check(terminal.wait(lambda text: text.count("a second; read") == 2), "and is one question", terminal.text())
    reused = re.findall(r"read (\d+), reused (\d+)", terminal.text())
    check(len(reused) == 2 and int(reused[1][1]) > int(reused[0][0]), "the turn before is not read again", reused)

    terminal.at_prompt()
    terminal.type("\x1b[A\x1b[A")
    check(terminal.wait(lambda text: text.endswith("> What is the capital of France?")), "the arrow brings questions back",
          terminal.text())
    terminal.type("\x03")
    check(terminal.at_prompt(), "Ctrl-C clears the line", terminal.text())
    terminal.type("/res\t")
    check(terminal.wait(lambda text: text.endswith("> /reset")), "Tab completes", terminal.text())
    terminal.type("\r")
    check(terminal.wait(lambda text: "a new conversation" in text), "/reset", terminal.text())
    terminal.at_prompt()
    terminal.type("\x04")
    check(terminal.status() == 0, "Ctrl-D leaves")


def interrupt(model):
    """On a model that doesn't end its answers by itself, however slow the machine or different its kernels."""
    endless.make(MODEL, model)
    terminal = Terminal("repl", "-m", model, "--temp", "0", "--resume")
    terminal.at_prompt()
    check("conversation 1, 2 questions" in terminal.text(), "--resume says where it goes on", terminal.text())
    terminal.type("Count from one to one thousand, in words.\r")
    check(terminal.wait(lambda text: re.search(r"in words\.\s+\S", text)), "an answer begins", terminal.text())
    terminal.type("\x03")
    check(terminal.wait(lambda text: "; stopped" in text), "Ctrl-C stops the answer", terminal.text())
    check(terminal.at_prompt(), "and not the program", terminal.text())
    terminal.type("/quit\r")
    check(terminal.status() == 0, "/quit leaves")


def prompt():
    done = run("-p", "What is the capital of France?", *COMMON, "-n", "8")
    check(done.returncode == 0 and "Paris" in done.stdout and done.stdout.endswith("\n") and not done.stderr, "-p", done)
    done = run(*COMMON, "-n", "4", text="hi")
    check(done.returncode == 0 and done.stdout.strip() and not done.stderr, "bare, with a question piped in", done)
    done = run("repl", *COMMON, "-n", "4", "--no-save", text="hi\n/quit\nnever\n")
    check(done.returncode == 0 and len(done.stdout.strip().split("\n")) >= 1 and ">" not in done.stdout,
          "repl from a pipe has no prompts", done)
    text = "".join("line %d of a long file\n" % i for i in range(5000))
    done = run("-p", "What is this?", *COMMON, "-c", "512", "-n", "4", text=text)
    check(done.returncode == 0 and re.match(r"fathom: left out the middle of the piped text \(4,\d+ lines, about [\d,]+ "
                                            r"tokens\): the context holds 512\n$", done.stderr), "what doesn't fit is told",
          done)
    done = run("-p", "What is this?", *COMMON, "-c", "512", "--strict", text=text)
    check(done.returncode == 2 and not done.stdout, "--strict refuses it", done)
    pipe = subprocess.run(f"'{PROGRAM}' -p 'Count to a hundred.' -m '{MODEL}' --temp 0 -n 60 | head -c 10", shell=True,
                          capture_output=True, text=True, timeout=120)
    check(len(pipe.stdout) == 10 and not pipe.stderr, "a reader that leaves makes no noise", pipe)


def interrupt_prompt(model):
    child = subprocess.Popen([PROGRAM, "-p", "Count from one to one thousand, in words.", "-m", model, "--temp", "0"],
                             stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    first = os.read(child.stdout.fileno(), 1)
    child.send_signal(signal.SIGINT)
    rest, error = child.communicate(timeout=60)
    check(child.returncode == 130 and first and rest.endswith(b"\n") and not error, "SIGINT ends -p with 130",
          (child.returncode, first + rest, error))


def saved_files():
    folder = os.path.join(os.environ["XDG_STATE_HOME"], "fathom", "kv")
    return sorted(os.listdir(folder)) if os.path.isdir(folder) else []


def numbers(terminal):
    return [tuple(map(int, pair)) for pair in re.findall(r"read (\d+), reused (\d+)", terminal.text())]


def resumed():
    """A conversation that is opened again is read from its saved cells; where there are none, it is evaluated."""
    text = "Remember these words: " + " ".join("word%d" % i for i in range(60)) + ". Say yes."
    terminal = Terminal("repl", *COMMON, "-n", "4")
    terminal.at_prompt()
    terminal.type(text + "\r")
    check(terminal.wait(lambda text: "a second; read" in text), "a long question is answered", terminal.text())
    first = numbers(terminal)
    terminal.at_prompt()
    terminal.type("/quit\r")
    check(terminal.status() == 0 and first and first[0][0] > 150, "and the program left", first)
    check(len(saved_files()) >= 1 and all(name.endswith(".kv") for name in saved_files()), "its cells are saved", saved_files())

    def go_on(name, reused, words=("--resume",)):
        again = Terminal("repl", *COMMON, "-n", "4", *words)
        again.at_prompt()
        again.type("Go on.\r")
        again.wait(lambda text: "a second; read" in text)
        seen = numbers(again)
        check(len(seen) == 1 and (seen[0][1] > 150 and seen[0][0] < 40) == reused, name, seen)
        again.at_prompt()
        return again

    again = go_on("--resume reads what is saved", True)
    again.type("/reset\r")
    again.at_prompt()
    again.type("/load\r")
    again.wait(lambda text: re.search(r"\d+  20\d\d-", text))
    last = max(int(number) for number in re.findall(r"(\d+)  20\d\d-", again.text()))
    again.at_prompt()
    again.type("/load %d\r" % last)
    again.at_prompt()
    again.type("Once more.\r")
    again.wait(lambda text: len(numbers(again)) == 2)
    check(numbers(again)[-1][1] > 180, "and so does /load", numbers(again))
    again.at_prompt()
    again.type("\x04")
    again.status()

    state = os.path.join(os.environ["XDG_STATE_HOME"], "fathom", "kv")
    for name in saved_files():
        with open(os.path.join(state, name), "r+b") as file:
            file.seek(200)
            file.write(b"\xff" * 8)
    again = go_on("a damaged file is passed over", False)
    again.type("\x04")
    again.status()
    check(len(saved_files()) >= 1, "and replaced", saved_files())
    again = go_on("another KV type is evaluated anew", False, ("--resume", "--kv", "q8_0"))
    again.type("/delete %d\r" % last)
    again.wait(lambda text: "deleted conversation" in text)
    again.at_prompt()
    again.type("\x04")
    again.status()
    check(not [name for name in saved_files() if name.endswith("-%d.kv" % last)], "/delete deletes the cells, too",
          saved_files())
    before = saved_files()
    run("-p", text, *COMMON, "-n", "4", "--no-save")
    check(saved_files() == before, "--no-save keeps none", saved_files())


with tempfile.TemporaryDirectory() as folder:
    repl()
    interrupt(os.path.join(folder, "endless.gguf"))
    prompt()
    interrupt_prompt(os.path.join(folder, "endless.gguf"))
    resumed()
sys.exit(failed)
