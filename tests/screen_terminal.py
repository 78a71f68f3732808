"""A program on a terminal whose screen is text: what the tests of the terminal UI (test_screen*.py) stand on."""

import atexit
import fcntl
import os
import pty
import re
import select
import shutil
import signal
import struct
import tempfile
import termios
import time

import pyte

PROGRAM = os.environ["FATHOM_PROGRAM"]
SCRIPTED = os.path.join(os.path.dirname(PROGRAM), "fathom-scripted")
MODEL = os.environ["FATHOM_TEST_MODEL"]
SLOW = float(os.environ.get("TEST_SLOWNESS", "1")) > 1
failed = False
FOLDER = tempfile.mkdtemp()
atexit.register(shutil.rmtree, FOLDER, True)

# All that the screen may send: what takes and leaves it, cursor, colours, erasing, a region that scrolls.
SENT = re.compile(rb"\x1b\[\?(?:1|7|12|25|1049|2004|2026|12;25)[hl]|\x1b[=>]|\x1b\[2[23];0;0t|\x1b\[[0-9;]*[HmrJK]|\x1b\[\?12l\x1b\[\?25h"
                  rb"|\x1b\(B|\r\n?|\n")


def check(good, name, seen=""):
    global failed
    print(("ok " if good else "not ok ") + name)
    if not good:
        print("    seen:", seen if isinstance(seen, str) else repr(seen))
        failed = True


class Terminal:
    """The program on a terminal whose screen is text.  script: answers of a scripted model."""

    def __init__(self, *words, rows=24, columns=100, script=None, speed=(0, 0), environment=None, is_job=False):
        self.screen = pyte.Screen(columns, rows)
        self.stream = pyte.ByteStream(self.screen)
        self.raw = b""
        self.fd, self.slave = pty.openpty()
        self.size(rows, columns)
        self.before = termios.tcgetattr(self.slave)
        variables = dict(os.environ, **(environment or {}))
        program = PROGRAM
        if script is not None:
            words = ("--temp", "0", *words)
            program = SCRIPTED
            path = os.path.join(FOLDER, "script")
            with open(path, "wb") as file:
                file.write(b"prefill_us=%d decode_us=%d\n" % speed + b"\n\f\n".join(
                    text if isinstance(text, bytes) else text.encode() for text in script))
            variables["FATHOM_SCRIPT"] = path
        self.begun = time.monotonic()
        self.child = os.fork()
        if self.child == 0:
            os.setsid()
            fcntl.ioctl(self.slave, termios.TIOCSCTTY, 0)
            for fd in range(3):
                os.dup2(self.slave, fd)
            if is_job:
                self.be_shell()
            os.closerange(3, 64)
            os.execve(program, [program, "-m", MODEL, *words], variables)

    def be_shell(self):
        """Goes on as a job in the foreground, of a shell that only waits: else it could not be stopped."""
        signal.signal(signal.SIGTTOU, signal.SIG_IGN)
        job = os.fork()
        if job == 0:
            os.setpgid(0, 0)
            os.tcsetpgrp(0, os.getpid())
            signal.signal(signal.SIGTTOU, signal.SIG_DFL)
            return
        for name in [signal.SIGHUP, signal.SIGTERM, signal.SIGINT]:
            signal.signal(name, signal.SIG_IGN)
        with open(os.path.join(FOLDER, "job"), "w") as file:
            file.write("%d\n" % job)
        while True:
            _, status = os.waitpid(job, 0)
            if os.WIFEXITED(status) or os.WIFSIGNALED(status):
                code = os.waitstatus_to_exitcode(status)
                os._exit(code if code >= 0 else 100 - code)

    def kill(self, name):
        """Sends a signal to the job; with SIGSTOP or None waits until it stands."""
        with open(os.path.join(FOLDER, "job")) as file:
            job = int(file.read())
        if name:
            os.kill(job, name)
        end = time.monotonic() + 10
        while name in (None, signal.SIGSTOP) and time.monotonic() < end:
            if open("/proc/%d/stat" % job).read().rsplit(")", 1)[1].split()[0] == "T":
                break
            self.read(0.02)

    def size(self, rows, columns):
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.screen.resize(rows, columns)

    def text(self):
        return "\n".join(line.rstrip() for line in self.screen.display).rstrip()

    def color(self, word):
        """The colour of the first letter of a word on the screen."""
        for row, line in enumerate(self.screen.display):
            if word in line:
                return self.screen.buffer[row][line.index(word)].fg
        return None

    def read(self, seconds):
        if not select.select([self.fd], [], [], max(0, seconds))[0]:
            return False
        try:
            data = os.read(self.fd, 65536)
        except OSError:
            return False
        self.raw += data
        self.stream.feed(data)
        return bool(data)

    def wait(self, good, seconds=20 if not SLOW else 120):
        """Whether good(text of the screen) comes true in time."""
        end = time.monotonic() + seconds
        while not good(self.text()):
            if time.monotonic() > end:
                return False
            self.read(min(0.1, end - time.monotonic()))
        return True

    def settle(self, seconds=0.3):
        """Until nothing more comes."""
        while self.read(seconds):
            pass
        return self.text()

    def type(self, keys):
        os.write(self.fd, keys if isinstance(keys, bytes) else keys.encode())

    def opened(self):
        return self.wait(lambda text: "Enter sends" in text and "opening" not in text)

    def ask(self, question, sign=None):
        self.type(question + "\r")
        return self.wait((lambda text: sign in text) if sign else lambda text: "reused" in text and "Esc" not in text)

    def status(self, seconds=60):
        """How it ended; None where it didn't."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            child, status = os.waitpid(self.child, os.WNOHANG)
            if child:
                self.settle(0.05)
                return os.waitstatus_to_exitcode(status)
            self.read(0.05)
        os.kill(self.child, signal.SIGKILL)
        os.waitpid(self.child, 0)
        return None

    def leave(self):
        self.type("\x03\x03")
        return self.status()

    def is_as_found(self):
        return termios.tcgetattr(self.slave) == self.before and b"\x1b[?1049l" in self.raw

    def is_clean(self):
        """Whether nothing but the screen's own sequences, and printable text, was sent."""
        rest = SENT.sub(b"", self.raw)
        try:
            text = rest.decode()
        except UnicodeDecodeError as error:
            return repr(error)
        bad = re.search("[\x00-\x1f\x7f-\x9f\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff]", text)
        return True if not bad else repr(text[max(0, bad.start() - 30):bad.end() + 30])


def end():
    """The exit status of a test."""
    return 1 if failed else 0
