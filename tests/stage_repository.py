"""What the tests of staging share: the tool that stages, a repository of files of every kind that is changed at random, and the patch of
a selection, written here once more so that git can be asked what it makes of it."""

import json
import os
import subprocess

TOOL = os.path.join(os.path.dirname(os.environ["FATHOM_PROGRAM"]), "tests", "tools", "stage")
ENV = {**{key: value for key, value in os.environ.items() if not key.startswith("GIT_")}, "GIT_CONFIG_GLOBAL": "/dev/null",
       "GIT_CONFIG_SYSTEM": "/dev/null", "GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b", "GIT_COMMITTER_NAME": "a",
       "GIT_COMMITTER_EMAIL": "a@b", "LC_ALL": "C.UTF-8", "GIT_ALLOW_PROTOCOL": "file"}
NAMES = [b"plain.c", b"with blank.txt", b"na\xc3\xafve.py", b"quote\"d.md", b"new\nline", b"back\\slash", b"deep/er/file.go", b"\xff\xfe.bin",
         b"tab\there.c", b"crlf.txt", b"b/a.c", b"tool.sh", b"empty", b"long.txt", b"cr.txt"]

# A program that is traced can't look for leaks, and libgit2 leaks a little where it refuses a repository.
LEAKING = {**ENV, "ASAN_OPTIONS": ENV.get("ASAN_OPTIONS", "") + ":detect_leaks=0"}


def git(folder, *arguments, stdin=None, check=True, env=None):
    return subprocess.run(["git", *arguments], cwd=folder, input=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=check,
                          env=env or ENV)


class Tool:
    """The tool, kept running."""

    def __init__(self, folder, state, **options):
        os.makedirs(state, exist_ok=True)
        self.process = subprocess.Popen([TOOL, folder, state], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=ENV, **options)

    def ask(self, line):
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise AssertionError(f"it ended at {line!r}: {self.process.wait()}")
        return answer.decode(errors="replace").rstrip("\n")

    def do(self, line):
        answer = self.ask(line)
        assert answer.startswith("ok"), f"{line}: {answer}"
        return answer[3:]

    def refused(self, line):
        answer = self.ask(line)
        assert answer.startswith("no "), f"{line}: {answer}"
        assert "\n" not in answer
        return answer

    def diff(self, what, context=3):
        files = json.loads(self.do(f"diff {what} {context}"))
        for file in files:
            file["old"], file["new"] = bytes.fromhex(file["old"]), bytes.fromhex(file["new"])
            for hunk in file["hunks"]:
                hunk["lines"] = [(kind, bytes.fromhex(text)) for kind, text in hunk["lines"]]
        return files

    def close(self):
        self.process.stdin.close()
        status = self.process.wait()
        self.process.stdout.close()
        assert status == 0, status

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


# ---- changes ----


def end_of(name):
    return b"\r\n" if b"crlf" in name else b"\n"


def random_text(chance, name):
    words = [b"int", b"return", b"x", b"y = f(x)", b"}", b"{", b"", b"# note", b"\tif (a)", "\u00e9t\u00e9".encode(), b"def f():"]
    if b"cr.txt" == name:
        words += [b"a\rb", b"\r"]
    n = 0 if b"empty" in name else chance.randrange(1, 400 if b"long" in name else 60)
    text = b"".join(chance.choice(words) + end_of(name) for _ in range(n))
    if text and chance.random() < 0.3:
        text = text[:-len(end_of(name))]
    return text + (b"\0\1\2" if name.endswith(b".bin") else b"")


def edit(chance, text, name):
    end = end_of(name)
    lines = text.split(end)
    for _ in range(chance.randrange(1, 6)):
        lines = lines or [b""]
        at = chance.randrange(len(lines))
        what = chance.random()
        if what < 0.4:
            lines[at] = b"changed " + str(chance.random()).encode()
        elif what < 0.7:
            lines.insert(at, b"added")
        elif what < 0.8:
            lines[at:at + 3] = [b"one", b"for", b"three"][:chance.randrange(4)]
        elif len(lines) > 1:
            del lines[at]
    return end.join(lines)


def path_of(folder, name):
    return os.path.join(os.fsencode(folder), name)


def write(folder, name, text):
    path = path_of(folder, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    if os.path.lexists(path):
        os.remove(path)
    with open(path, "wb") as file:
        file.write(text)


def read(folder, name):
    with open(path_of(folder, name), "rb") as file:
        return file.read()


def change(chance, folder):
    """A random change of a random file in the worktree."""
    name = chance.choice(NAMES)
    path = path_of(folder, name)
    what = chance.random()
    if not os.path.lexists(path):
        write(folder, name, random_text(chance, name))
    elif what < 0.65 and not os.path.islink(path):
        mode = os.stat(path).st_mode
        write(folder, name, edit(chance, read(folder, name), name))
        os.chmod(path, mode & 0o777)
    elif what < 0.72:
        os.remove(path)
    elif what < 0.82 and not os.path.islink(path):
        os.chmod(path, 0o755 if os.stat(path).st_mode & 0o100 == 0 else 0o644)
    elif what < 0.87:
        other = os.path.join(os.path.dirname(path), b"moved-" + os.path.basename(path))
        os.rename(path, other)
    elif what < 0.91:
        write(folder, name + b".copy", b"" if os.path.islink(path) else read(folder, name))
    else:
        os.remove(path)
        os.symlink(b"target " + name.replace(b"/", b"_") + str(chance.randrange(9)).encode(), path)


def snapshot(folder):
    """Names, types, permissions and contents of the worktree."""
    found = {}
    root = os.fsencode(folder)
    for above, folders, names in os.walk(root):
        folders[:] = [each for each in folders if each != b".git"]
        for name in names:
            path = os.path.join(above, name)
            if os.path.islink(path):
                found[os.path.relpath(path, root)] = ("link", os.readlink(path))
            elif name != b".git":
                with open(path, "rb") as file:
                    found[os.path.relpath(path, root)] = (os.lstat(path).st_mode & 0o777, file.read())
    return found


# ---- selections, and what git is told of them ----


def pair_of(files, i):
    """Whether file i and the next are one path that becomes another kind of file."""
    return i + 1 < len(files) and files[i]["status"] == "deleted" and files[i]["old"] == files[i + 1]["new"]


def is_whole(file):
    modes = (file["old_mode"], file["new_mode"])
    return file["whole"] or not file["hunks"] or any(mode & 0o170000 in (0o120000, 0o160000) for mode in modes)


def choose(chance, tool, files):
    """Marks something at random in the tool; {file: set of (hunk, line) or "all"}, and the modes that were marked."""
    chosen, modes = {}, set()
    i = 0
    while i < len(files):
        if pair_of(files, i):
            if chance.random() < 0.5:
                chosen[i] = chosen[i + 1] = "all"
                tool.do(f"file {i}")
                tool.do(f"file {i + 1}")
            i += 2
            continue
        file = files[i]
        way = chance.random()
        if file["status"] == "unmerged" or way < 0.25:
            pass
        elif is_whole(file) or way < 0.4:
            chosen[i] = "all"
            tool.do(f"file {i}")
        else:
            marked = set()
            for k, hunk in enumerate(file["hunks"]):
                lines = [l for l, (kind, _) in enumerate(hunk["lines"]) if kind != " "]
                how = chance.random()
                if how < 0.3:
                    continue
                if how < 0.5:
                    tool.do(f"hunk {hunk['index']}")
                    marked |= {(k, l) for l in lines}
                    continue
                for l in lines:
                    if chance.random() < 0.5:
                        tool.do(f"lines {hunk['index']} {l} 1")
                        marked.add((k, l))
            if file["old_mode"] and file["new_mode"] and file["old_mode"] != file["new_mode"] and chance.random() < 0.5:
                modes.add(i)
                tool.do(f"mode {i}")
            if marked or i in modes:
                chosen[i] = marked
        i += 1
    return chosen, modes


def quoted(prefix, name):
    text = b""
    names = {7: b"a", 8: b"b", 9: b"t", 10: b"n", 11: b"v", 12: b"f", 13: b"r", 34: b"\"", 92: b"\\"}
    for byte in name:
        text += b"\\" + names[byte] if byte in names else bytes([byte]) if 32 <= byte < 127 else b"\\%03o" % byte
    return b"\"" + prefix + text + b"\""


def hunk_lines(hunk, marked, reverse):
    """The lines of a hunk's patch, as (kind, text); what isn't marked is context or left out."""
    put, taken = ("-", "+") if reverse else ("+", "-")
    result = []
    for l, (kind, text) in enumerate(hunk["lines"]):
        if kind == put and l not in marked:
            continue
        result.append((" " if kind == taken and l not in marked else kind, text))
    # A line without an end that others come behind gets one.
    out = []
    for at, (kind, text) in enumerate(result):
        behind = [other for way, other in result[at + 1:] if way != taken]
        if text.endswith(b"\n") or not behind or kind == taken:
            out.append((kind, text))
            continue
        end = b"\r\n" if behind[0].endswith(b"\r\n") else b"\n"
        if kind == " ":
            out += [("-", text + end), ("+", text)] if reverse else [("-", text), ("+", text + end)]
        else:
            out.append((kind, text + end))
    return out


def patch_of(file, marked, with_mode, reverse):
    """A patch of a text file's marked lines, which git apply takes (with -R, if reverse)."""
    is_all = marked == {(k, l) for k, hunk in enumerate(file["hunks"]) for l, (kind, _) in enumerate(hunk["lines"]) if kind != " "}
    if file["status"] in ("renamed", "copied"):
        is_all = False
    comes = file["status"] == "added" and (is_all or not reverse)
    goes = file["status"] == "deleted" and (is_all or reverse)
    name = file["new"] if reverse and file["new"] else file["old"] or file["new"]
    out = b"diff --git " + quoted(b"a/", name) + b" " + quoted(b"b/", name) + b"\n"
    if comes:
        out += b"new file mode %06o\n" % file["new_mode"]
    elif goes:
        out += b"deleted file mode %06o\n" % file["old_mode"]
    elif with_mode:
        out += b"old mode %06o\nnew mode %06o\n" % (file["old_mode"], file["new_mode"])
    body, delta = b"", 0
    for k, hunk in enumerate(file["hunks"]):
        mine = {l for at, l in marked if at == k}
        if not mine:
            continue
        lines = hunk_lines(hunk, mine, reverse)
        n_old, n_new = sum(kind != "+" for kind, _ in lines), sum(kind != "-" for kind, _ in lines)
        start = hunk["new" if reverse else "old"][0]
        n_base, n_result = (n_new, n_old) if reverse else (n_old, n_new)
        other = max(start - (n_base > 0) + delta, 0) + (n_result > 0)
        delta += n_result - n_base
        old, new = (other, start) if reverse else (start, other)
        body += b"@@ -%d,%d +%d,%d @@\n" % (old, n_old, new, n_new)
        for kind, text in lines:
            body += kind.encode() + text + (b"" if text.endswith(b"\n") else b"\n\\ No newline at end of file\n")
    if body:
        body = (b"--- " + (b"/dev/null" if comes else quoted(b"a/", name)) + b"\n+++ "
                + (b"/dev/null" if goes else quoted(b"b/", name)) + b"\n" + body)
    return out + body


def entries(folder, env=None):
    """The index: {path: (mode, id, stage)}."""
    found = {}
    for row in git(folder, "ls-files", "-s", "-z", env=env).stdout.split(b"\0"):
        if row:
            facts, name = row.split(b"\t", 1)
            found[name] = tuple(facts.split(b" "))
    return found
