#!/usr/bin/env python3
"""How well holes in others' code are filled, and what the context is worth:

    eval_fim.py TOOL MODEL CHANGES OUT.json [--holes N] [--budget N] [--variants LIST] [--kinds LIST] [--packages LIST] [--cold]

TOOL is tests/tools/complete with its folders of grammars and queries behind it, as one word.  CHANGES holds packages as
tools/fetch.py puts them there.  Of three of them, permissively licensed, the newer release lies in the worktree of a
repository whose last commit is the older one: what differs is the pending change.  The package "." is this repository, as its
last commit has it.

A hole is cut out of a file; the file is put there without it and indexed anew, so that what stood in the hole is known to
nobody.  Kinds, as many of each, drawn by a fixed seed:
  line        from somewhere in a line to its end         span   some 10 to 80 characters, anywhere
  statement   a whole line but its indentation            body   what a function holds
  control     what stands behind if, while, for           cross  in a line that uses a name which another file defines:
                                                                 from within the name, or from its bracket, to the end

Each is filled in each variant: with all sources of context, with none, and with all but one.  "seeded" is the other form
of the prompt, "greedy" the likeliest continuation of the whole context without healing, ways or syntax.  Given are means
with 95 % intervals (bootstrap over holes), and of the differences to "all" those of pairs.

  exact       the answer is the hole's text, white space at its end aside
  similarity  1 - edit distance / length of the longer
  names       F1 of identifiers
  errors      answers with more syntax errors than the truth; added: with more than the file has without an answer
  overrun     answers that hold the suffix's next line
  ttft        milliseconds to the first token; total: to the end; read: tokens evaluated for the prompt; next: for one more
              keystroke.  Variants find in the cache what those before them read, unless --cold: so it takes that to compare
              their times

Exit status 1 where, with the model that can do nothing but copy ("repeat"), context doesn't help lines of kind cross."""

import argparse
import ast
import collections
import json
import os
import random
import re
import shutil
import statistics
import subprocess
import sys
import tempfile

PACKAGES = ("click", "httpx", "multidict")  # BSD-3-Clause, BSD-3-Clause, Apache-2.0
KINDS = ("line", "statement", "control", "body", "span", "cross")
SOURCES = ("definition", "similar", "change", "map")
MEASURES = ("exact", "similarity", "names", "errors", "added", "overrun", "ttft", "total", "read", "next")
WHOLE = ("ttft", "total", "read", "next")  # shown without decimals
CODE = (".py", ".c", ".h")
WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
CONTROL = re.compile(r"^\s*(?:if|elif|while|for)\s+(?P<p>[^:#\"']{3,}):\s*$|^\s*(?:if|while|for|switch) \((?P<c>.{3,})\) ?\{?$")
DEFINED = re.compile(r"^\s*(?:async def|def|class)\s+([A-Za-z_]\w*)|^(?:[A-Za-z_][\w \*]*\s\**)?([a-z_]\w{3,})\(")
SEED = "fathom fim 1"

Hole = collections.namedtuple("Hole", "package path kind begin end")


# ---- holes ----

def list_code(root):
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if name != ".git"]
        for name in names:
            path = os.path.join(folder, name)
            if name.endswith(CODE) and 1000 < os.path.getsize(path) < 200000:
                yield os.path.relpath(path, root)


def read_files(root):
    files = {}
    for path in sorted(list_code(root)):
        with open(os.path.join(root, path), "rb") as file:
            data = file.read()
        if data.isascii() and b"\r" not in data and b"\0" not in data:  # so that bytes are characters
            files[path] = data.decode()
    return files


def list_lines(text):
    """(begin, end) of each line, without its newline."""
    at = 0
    for line in text.split("\n"):
        yield at, at + len(line)
        at += len(line) + 1


def is_code(line):
    stripped = line.strip()
    return len(stripped) >= 6 and not stripped.startswith(("#", "//", "/*", "*", '"""', "'''"))


def bodies(path, text):
    """Spans of what functions hold, from the first statement on."""
    starts = [begin for begin, _ in list_lines(text)]
    if path.endswith(".py"):
        try:
            tree = ast.parse(text)
        except SyntaxError:
            return
        for node in ast.walk(tree):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and 2 <= node.end_lineno - node.body[0].lineno + 1 <= 12:
                first = node.body[0]
                yield starts[first.lineno - 1] + first.col_offset, starts[node.end_lineno - 1] + node.end_col_offset
        return
    for match in re.finditer(r"^\{\n((?:[^}\n][^\n]*\n|\n){2,12}?)\}\n", text, re.M):
        begin = match.start(1) + len(match[1]) - len(match[1].lstrip())
        if begin < match.end(1) - 1:
            yield begin, match.end(1) - 1


def definitions(files):
    """{name: the files that define it}"""
    found = collections.defaultdict(set)
    for path, text in files.items():
        for line in text.split("\n"):
            match = DEFINED.match(line)
            if match:
                found[match[1] or match[2]].add(path)
    return found


def candidates(kind, path, text, defined, rng):
    if kind == "body":
        yield from bodies(path, text)
        return
    if kind == "span":
        for _ in range(8):
            begin = rng.randrange(len(text) // 10, len(text) - 90)
            end = begin + rng.randrange(10, 80)
            if text[begin:end].strip() and is_code(text[text.rfind("\n", 0, begin) + 1:end]):
                yield begin, end
        return
    for begin, end in list_lines(text):
        line = text[begin:end]
        if not is_code(line):
            continue
        indent = len(line) - len(line.lstrip())
        if kind == "line":
            yield begin + rng.randrange(indent, len(line) - 2), end
        elif kind == "statement" and (line.endswith((";", ")")) or re.match(r"\s+[\w.]+ = ", line)):
            yield begin + indent, end
        elif kind == "control" and CONTROL.match(line):
            match = CONTROL.match(line)
            yield (begin + match.start("p"), begin + match.end("p")) if match["p"] else (begin + match.start("c"), begin + match.end("c"))
        elif kind == "cross" and not re.match(r"\s*(from|import|#|def|class)\b", line):
            for match in WORD.finditer(line):
                where = defined.get(match[0])
                if where and path not in where and len(where) <= 2 and len(match[0]) >= 6 and not match[0].startswith("test"):
                    at = match.end() + 1 if line[match.end():match.end() + 1] == "(" and rng.random() < 0.5 else \
                        match.start() + max(2, len(match[0]) // 3)
                    if end - begin - at >= 4:
                        yield begin + at, end
                    break


def draw_holes(package, files, n_each):
    rng = random.Random(f"{SEED} {package}")
    defined = definitions(files)
    holes = []
    for kind in KINDS:
        found = [Hole(package, path, kind, begin, end) for path, text in files.items()
                 for begin, end in candidates(kind, path, text, defined, rng) if 3 <= len(text[begin:end].strip()) and end - begin <= 600]
        rng.shuffle(found)
        holes += found[:n_each]
    return holes


# ---- measures ----

def distance(a, b):
    a, b = a[:400], b[:400]
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        last, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            last, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, last + (x != y))
    return row[-1]


def names_f1(answer, truth):
    a, b = collections.Counter(WORD.findall(answer)), collections.Counter(WORD.findall(truth))
    common = sum((a & b).values())
    if not a and not b:
        return 1.0
    return 2 * common / (sum(a.values()) + sum(b.values()))


def next_line(suffix):
    lines = [line.strip() for line in suffix.split("\n")[1:]]
    return next((line for line in lines if len(line) >= 6 and re.search("[A-Za-z]", line)), None)


def judge(reply, truth, suffix):
    answer, following = reply["text"], next_line(suffix)
    a, b = answer.rstrip(), truth.rstrip()
    longest = max(len(a[:400]), len(b[:400]))
    return {
        "exact": float(a == b),
        "similarity": 1 - distance(a, b) / longest if longest else 1.0,
        "names": names_f1(answer, truth),
        "errors": float(reply["errors"] > 0),
        "added": float(reply["added"] > 0),
        "overrun": float(following is not None and following in [line.strip() for line in answer.split("\n")]
                         and following not in [line.strip() for line in truth.split("\n")]),
        "ttft": reply["ttft_ms"], "total": reply["total_ms"], "read": float(reply["prefilled"]), "next": float(reply["next"]),
    }


# ---- running ----

class Tool:
    def __init__(self, command, model, root, cache):
        program, *folders = command.split()
        os.makedirs(cache, exist_ok=True)
        self.process = subprocess.Popen([program, model, root, cache, *folders], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)

    def ask(self, request):
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            sys.exit("eval_fim: the tool ended")
        return json.loads(line)

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def make_repository(changes, package, root):
    """The older release is committed, the newer one lies there."""
    environment = {**os.environ, "HOME": root, "GIT_CONFIG_NOSYSTEM": "1"}
    if package == ".":
        subprocess.run(["git", "clone", "-q", "--no-hardlinks", os.path.dirname(os.path.dirname(os.path.abspath(__file__))), root],
                       check=True)
        return
    def git(*words):
        subprocess.run(["git", "-c", "user.name=x", "-c", "user.email=x@x", *words], cwd=root, env=environment, check=True,
                       capture_output=True)
    shutil.copytree(os.path.join(changes, package, "old"), root)
    git("init", "-q")
    git("add", "-A")
    git("commit", "-qm", "old")
    for name in os.listdir(root):
        if name != ".git":
            path = os.path.join(root, name)
            shutil.rmtree(path) if os.path.isdir(path) else os.remove(path)
    shutil.copytree(os.path.join(changes, package, "new"), root, dirs_exist_ok=True)


def variants_of(words):
    every = ",".join(SOURCES)
    known = {"all": {"sources": every}, "none": {"sources": ""}, "seeded": {"sources": every, "form": "seeded"},
             "greedy": {"sources": every, "plain": True}}
    for source in SOURCES:
        known["-" + source] = {"sources": ",".join(each for each in SOURCES if each != source)}
    wrong = [word for word in words if word not in known]
    if wrong:
        sys.exit(f"eval_fim: no such variant: {wrong[0]} (there are {', '.join(known)})")
    return {word: known[word] for word in words}


def run_package(options, package, work, variants, n_each, results):
    root = os.path.join(work, "this" if package == "." else package)
    make_repository(options.changes, package, root)
    files = read_files(root)
    holes = [hole for hole in draw_holes(package, files, n_each) if hole.kind in options.kinds]
    tool = Tool(options.tool, options.model, root, os.path.join(work, "cache"))
    for at, hole in enumerate(holes):
        text = files[hole.path]
        prefix, truth, suffix = text[:hole.begin], text[hole.begin:hole.end], text[hole.end:]
        file = os.path.join(root, hole.path)
        with open(file, "w", encoding="ascii") as out:
            out.write(prefix + suffix)
        for name, more in variants.items():
            reply = tool.ask({"path": hole.path, "text": prefix + suffix, "at": hole.begin, "truth": truth,
                              "typed": truth[:1], "budget": options.budget, "cold": options.cold, **more})
            results.append({"package": package, "path": hole.path, "kind": hole.kind, "begin": hole.begin, "truth": truth,
                            "variant": name, "text": reply["text"], "stop": reply["stop"],
                            "sources": sorted({piece["source"] for piece in reply["context"]}),
                            **judge(reply, truth, suffix)})
        with open(file, "w", encoding="ascii") as out:
            out.write(text)
        print(f"\r{package}: {at + 1} of {len(holes)}", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    tool.close()


# ---- figures ----

def interval(values, rng, rounds=1000):
    if not values:
        return 0.0, 0.0, 0.0
    n = len(values)
    means = sorted(sum(rng.choices(values, k=n)) / n for _ in range(rounds))
    return statistics.fmean(values), means[int(rounds * 0.025)], means[int(rounds * 0.975)]


def values_of(results, variant, measure, kind=None):
    return [each[measure] for each in results if each["variant"] == variant and kind in (None, each["kind"])]


def summarise(results, variants):
    rng = random.Random(SEED)
    summary = {"means": {}, "differences": {}, "kinds": {}}
    for variant in variants:
        summary["means"][variant] = {m: interval(values_of(results, variant, m), rng) for m in MEASURES}
        for kind in KINDS:
            values = values_of(results, variant, "similarity", kind)
            if values:
                summary["kinds"].setdefault(kind, {})[variant] = {
                    m: interval(values_of(results, variant, m, kind), rng) for m in ("exact", "similarity", "names")}
    if "all" in variants:
        for variant in variants:
            if variant == "all":
                continue
            summary["differences"][variant] = {}
            for kind in (None, "cross"):
                summary["differences"][variant][kind or "every kind"] = {
                    m: interval([a - b for a, b in zip(values_of(results, "all", m, kind), values_of(results, variant, m, kind))],
                                rng) for m in ("exact", "similarity", "names")}
    return summary


def print_summary(summary, variants, n):
    def cell(triple, digits=3):
        return f"{triple[0]:.{digits}f} ±{(triple[2] - triple[1]) / 2:.{digits}f}"
    print(f"\n{n} holes")
    print(f"{'':12}" + "".join(f"{m:>14}" for m in MEASURES))
    for variant in variants:
        print(f"{variant:12}" + "".join(f"{cell(summary['means'][variant][m], 0 if m in WHOLE else 3):>14}"
                                        for m in MEASURES))
    print("\nedit similarity by kind")
    print(f"{'':12}" + "".join(f"{variant:>15}" for variant in variants))
    for kind, means in summary["kinds"].items():
        print(f"{kind:12}" + "".join(f"{cell(means[variant]['similarity']):>15}" for variant in variants))
    for kind in ("every kind", "cross"):
        print(f"\nwhat \"all\" gains, {kind} (95 %)")
        for variant, differences in summary["differences"].items():
            parts = [f"{m} {mean:+.3f} [{low:+.3f}, {high:+.3f}]" for m, (mean, low, high) in differences[kind].items()]
            print(f"  over {variant:12}" + "   ".join(parts))


def main():
    parser = argparse.ArgumentParser()
    for name in ("tool", "model", "changes", "out"):
        parser.add_argument(name)
    parser.add_argument("--holes", type=int, default=300)
    parser.add_argument("--budget", type=int, default=2048)
    parser.add_argument("--variants", default="all,none," + ",".join("-" + source for source in SOURCES) + ",greedy")
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--packages", default=",".join(PACKAGES))
    parser.add_argument("--cold", action="store_true")
    options = parser.parse_args()
    options.tool = " ".join(os.path.abspath(word) for word in options.tool.split())
    options.model = os.path.abspath(options.model)
    options.kinds = options.kinds.split(",")
    options.packages = options.packages.split(",")
    variants = variants_of(options.variants.split(","))
    results = []
    n_each = -(-options.holes // (len(options.packages) * len(options.kinds)))
    with tempfile.TemporaryDirectory(prefix="fathom-fim-") as work:
        for package in options.packages:
            run_package(options, package, os.path.realpath(work), variants, n_each, results)
    summary = summarise(results, variants)
    with open(options.out, "w", encoding="utf-8") as file:
        json.dump({"model": os.path.basename(options.model), "budget": options.budget, "seed": SEED, "packages": options.packages,
                   **summary, "holes": results}, file, indent=1)
    print_summary(summary, variants, len(results) // len(variants))
    gains = summary["differences"].get("none", {}).get("cross")
    if os.path.basename(options.model) == "repeat.gguf" and gains:
        helped = gains["similarity"][1] > 0 and gains["names"][1] > 0
        print("\ncontext " + ("helps" if helped else "doesn't help") + " lines that use another file's names")
        return 0 if helped else 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
