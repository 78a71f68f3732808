"""tools/run.sh on a terminal: Ctrl-C reaches the program alone, Ctrl-Z stops make with it, and its status comes back."""

import os
import pty
import select
import shutil
import sys
import tempfile
import time

PROGRAM = """
import os, signal, sys
count = 0
def interrupt(number, frame):
    global count
    count += 1
    os.write(1, b"interrupt %d\\n" % count)
signal.signal(signal.SIGINT, interrupt)
print("begun", sys.argv[1:], flush=True)
for line in sys.stdin:
    print("got", line.strip(), flush=True)
    if line.strip() == "leave":
        break
sys.exit(7)
"""

failed = False


def check(good, name, seen):
    global failed
    print(("ok " if good else "not ok ") + name)
    if not good:
        print("    seen:", repr(seen))
        failed = True


class Terminal:
    def __init__(self, *command):
        self.seen = ""
        self.child, self.fd = pty.fork()
        if self.child == 0:
            os.execvp(command[0], command)

    def wait_for(self, text, start=0):
        """Whether text appears behind position start of what was seen, within a minute."""
        end = time.monotonic() + 60
        while text not in self.seen[start:]:
            readable, _, _ = select.select([self.fd], [], [], max(0, end - time.monotonic()))
            if not readable:
                return False
            try:
                self.seen += os.read(self.fd, 4096).decode("utf-8", "replace")
            except OSError:
                return False
        return True

    def type(self, text, answer):
        start = len(self.seen)
        os.write(self.fd, text.encode())
        return self.wait_for(answer, start)


def main():
    folder = tempfile.mkdtemp()
    with open(os.path.join(folder, "program.py"), "w", encoding="utf-8") as file:
        file.write(PROGRAM)
    script = os.path.abspath("tools/run.sh")
    with open(os.path.join(folder, "Makefile"), "w", encoding="utf-8") as file:
        file.write(f"run:\n\t@{script} {sys.executable} program.py one 'two three'\n")
    os.environ.update(PS1="ready> ", HISTFILE="")
    terminal = Terminal("bash", "--norc", "--noediting", "-i")
    terminal.wait_for("ready> ")

    seen = terminal.type(f"cd {folder} && make run\n", "begun ['one', 'two three']")
    check(seen, "run: the program starts with its arguments", terminal.seen)
    check(terminal.type("hello\n", "got hello"), "run: it reads the terminal", terminal.seen)
    seen = terminal.type("\x03", "interrupt 1") and terminal.type("\x03", "interrupt 2")
    check(seen and terminal.type("still\n", "got still"), "run: Ctrl-C twice reaches the program, and only it", terminal.seen)
    seen = terminal.type("\x1a", "Stopped") and terminal.type("echo here $((6 * 7))\n", "here 42")
    check(seen, "run: Ctrl-Z gives the shell back", terminal.seen)
    check(terminal.type("fg\n", "make run") and terminal.type("again\n", "got again"), "run: fg goes on", terminal.seen)
    check(terminal.type("leave\n", "Error 7"), "run: make names the program's status", terminal.seen)
    os.write(terminal.fd, b"exit\n")
    os.waitpid(terminal.child, 0)

    with os.popen(f"cd {folder} && echo piped | make run; echo status $?") as piped:
        text = piped.read()
    check("got piped" in text and "status 2" in text, "run: what is piped reaches the program", text)
    shutil.rmtree(folder)
    return failed


sys.exit(main())
