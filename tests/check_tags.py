"""Compares the definitions that the program finds with those of programs that nobody here wrote.

    check_tags.py c TAGS FOLDER N       C files below FOLDER, N of them, with universal-ctags
    check_tags.py python TAGS FOLDER N  Python files below FOLDER, with this Python's ast module

TAGS is the command that prints our definitions ("build/tests/tools/tags GRAMMARS QUERIES").  Prints a row for each kind
(how many each side has, recall, precision) and, with -v, every difference as a line "+" (ours alone) or "-" (theirs
alone).  Status 1 where a kind's recall or precision is below the bound.

Two definitions are the same when file, kind, name and line agree.
"""

import ast
import collections
import os
import random
import re
import subprocess
import sys
import warnings

C_KINDS = {"function": "function", "struct": "struct", "enum": "enum", "typedef": "type", "macro": "macro", "union": "union"}
EXTRA = {"enumerator": "enumerator", "member": "field", "variable": "variable", "prototype": "prototype"}
BOUND = {"c": 0.99, "python": 0.995}


def files_below(folder, suffix, n):
    found = []
    for place, folders, names in os.walk(folder):
        folders.sort()
        found += [os.path.join(place, name) for name in sorted(names) if name.endswith(suffix)]
    found = [path for path in found if os.path.isfile(path) and os.path.getsize(path) <= 1 << 20]
    if n and n < len(found):
        found = sorted(random.Random(6).sample(found, n))
    return found


def ours(command, files):
    listed = "".join(path + "\n" for path in files).encode()
    result = subprocess.run(command.split(), input=listed, stdout=subprocess.PIPE, check=True)
    rows = set()
    for line in result.stdout.decode("utf-8", "replace").splitlines():
        path, kind, name, at = line.rsplit("\t", 3)
        rows.add((path, kind, name, int(at)))
    return rows


class Lines:
    """The lines of files, and which of them the preprocessor leaves out by #if 0."""

    def __init__(self):
        self.files = {}

    def of(self, path):
        if path not in self.files:
            with open(path, encoding="utf-8", errors="replace") as file:
                lines = file.read().split("\n")
            never, stack = set(), []
            for at, line in enumerate(lines, 1):
                directive = re.match(r"\s*#\s*(if|ifdef|ifndef|else|elif|endif)\b\s*(\S*)", line)
                if directive and directive[1].startswith("if"):
                    stack.append(directive[1] == "if" and directive[2] == "0")
                elif directive and stack:
                    stack[-1:] = [] if directive[1] == "endif" else [False]
                elif any(stack):
                    never.add(at)
            self.files[path] = lines, never
        return self.files[path]


def explain(row, other, lines):
    """Why one side alone has this row, where the reason is known not to be our mistake; else None."""
    path, kind, name, at = row
    text, never = lines.of(path)
    line = text[at - 1]
    if at in never:
        return "within #if 0"
    if kind in ("enum", "enumerator"):
        statement = " ".join(text[max(0, at - 400) : at])
        if re.search(r"\benum\s+\w+\s+(\w+\s+)*\w+(\[[^]]*\])*\s*(\w+\s*)?=\s*\{[^}]*$", statement + ("{" if kind == "enum" else "")) or (
            kind == "enum" and re.search(rf"\benum\s+\w+\s+{name}\[\]\s*=", line)
        ):
            return "ctags takes `enum type name[] = {` for an enum called name"
    if kind == "type":
        behind = {there for there in other | {row} if there[:2] == row[:2] and there[2].startswith("__") and 0 <= there[3] - at <= 2}
        if behind:
            return "ctags takes an attribute behind a typedef for its name"
        if re.search(rf"^(static|extern)\b", line):
            return "ctags takes a variable for a typedef"
    wrapped = re.search(r"\b(\w*(?:DEFINE|_CALL_)\w*)\s*\(\s*(\w+)", line)
    if kind == "function" and wrapped and name in wrapped.groups():
        there = wrapped[2] if name == wrapped[1] else wrapped[1]
        if (path, kind, there, at) in other:
            return "SYSCALL_DEFINE3(read, ...) is called read here, SYSCALL_DEFINE3 by ctags"
    return None


def by_ctags(files):
    kinds = dict(C_KINDS, **EXTRA)
    command = ["ctags", "-f", "-", "--languages=C", "--langmap=C:.c.h", "--kinds-C=+px", "--fields=nKzt", "--excmd=number", "--sort=no", "-L", "-"]
    listed = "".join(path + "\n" for path in files).encode()
    result = subprocess.run(command, input=listed, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True)
    rows = set()
    for line in result.stdout.decode("utf-8", "replace").splitlines():
        fields = line.split("\t")
        about = dict(field.split(":", 1) for field in fields[3:] if ":" in field)
        if about.get("kind") in kinds and not fields[0].startswith("__anon"):
            rows.add((fields[1], kinds[about["kind"]], fields[0], int(about["line"])))
    return rows


class Definitions(ast.NodeVisitor):
    """Classes and functions, those within classes as methods, and names assigned at the top or in a class."""

    def __init__(self, path, lines):
        self.path, self.lines, self.rows, self.inside = path, lines, set(), None

    def visit_FunctionDef(self, node):
        self.add("method" if self.inside == "class" else "function", node.name, node, r"def\s+")
        self.descend(node, "function")

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_ClassDef(self, node):
        self.add("class", node.name, node, r"class\s+")
        self.descend(node, "class")

    def descend(self, node, inside):
        before, self.inside = self.inside, inside
        self.generic_visit(node)
        self.inside = before

    def add(self, kind, name, node, _):
        self.rows.add((self.path, kind, name, node.lineno))


def by_ast(files):
    rows, read = set(), []
    for path in files:
        try:
            with open(path, "rb") as file:
                text = file.read()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                tree = ast.parse(text)
        except (SyntaxError, ValueError):
            continue  # not what this Python takes for Python
        visitor = Definitions(path, text.splitlines())
        visitor.visit(tree)
        rows |= visitor.rows
        read.append(path)
    return rows, read


def share(part, whole):
    return part / whole if whole else 1.0


def main(arguments):
    verbose = "-v" in arguments
    language, command, folder, n = [each for each in arguments if each != "-v"][:4]
    files = files_below(folder, (".c", ".h") if language == "c" else ".py", int(n))
    if language == "c":
        theirs, judged = by_ctags(files), list(C_KINDS.values())
        kinds = judged + list(EXTRA.values())
    else:
        theirs, files = by_ast(files)
        kinds = judged = ["class", "function", "method"]
    mine = ours(command, files)
    broken, lines, reasons = False, Lines(), collections.Counter()
    print(f"{len(files)} files; the last two columns leave out what is explained below")
    for kind in kinds:
        a, b = {row for row in mine if row[1] == kind}, {row for row in theirs if row[1] == kind}
        known = {}
        if language == "c" and kind in judged:
            known = {row: explain(row, b if row in a else a, lines) for row in a ^ b}
        reasons.update(reason for reason in known.values() if reason)
        left_a, left_b = ({row for row in rows if not known.get(row)} for rows in (a, b))
        raw = share(len(a & b), len(b)), share(len(a & b), len(a))
        recall, precision = share(len(a & b), len(left_b)), share(len(a & b), len(left_a))
        verdict = "" if kind in judged else "(not judged)"
        if kind in judged and min(recall, precision) < BOUND[language]:
            verdict, broken = "BELOW", True
        print(
            f"{kind:12} ours {len(a):7} theirs {len(b):7} recall {raw[0]:8.4%} precision {raw[1]:8.4%}"
            f"   {recall:8.4%} {precision:8.4%} {verdict}"
        )
        if verbose:
            for row in sorted(a ^ b):
                print(f"{'+' if row in a else '-'} {kind} {row[2]} {row[0]}:{row[3]} {known.get(row) or ''}")
    for reason, n in reasons.most_common():
        print(f"{n:7} {reason}")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
