#!/usr/bin/env python3
"""How well `fathom search` finds what a change needs, on changes that others made:  eval_search.py FOLDER [-v]

FOLDER holds packages as tools/fetch.py puts them there: PACKAGE/old and PACKAGE/new, two successive releases.  The old one
is indexed, as a plain folder.  A question is a hunk of the difference that replaces lines of a code file: it asks with the
identifiers of the old text up to ten lines around, the nearest lines' first, from that place (--near).  Nothing of the new
lines goes into it.  What should be found are, of the names that the new lines use and ctags finds defined in the old tree
(at most three times, so that it is clear which is meant):
  definition  the line where it is defined, outside of the lines that were asked with: the names that these hold are
              counted apart ("new": the question doesn't hold the name)
  file        the other files that the same release changed and that hold such a name
Results that lie in the lines asked with are left out of each ranking before its first 5 and 10 are looked at; results of the
same file never count for "file".  At most 60 questions a package, drawn by a fixed seed; every other package (by name) was
there to choose weights by, the others were not.

Three rankings are compared: all there is, the same without nearness (flat), and BM25 alone (text).  Exit status 1 where the
first doesn't win on the packages that weights were not chosen by.

Two more tables.  "pending": the same questions in a git repository in which all other files of the release are changed
already and not committed yet; what should be found are definitions in the files as they are then, by the whole ranking and
by that without edits (near).  "names": of each name that ctags finds defined both in a test, an example, a script and in
none of these, the search for that name alone: how often one that is in none of these is the first definition shown.

Needs FATHOM_PROGRAM, git and universal-ctags."""

import collections
import concurrent.futures
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile

PROGRAM = os.path.abspath(os.environ.get("FATHOM_PROGRAM", "build/fathom"))
RANKINGS = ("all", "flat", "text")
MEASURES = ("file@5", "file@10", "def@5", "def@10", "new@5", "new@10")
CODE = (".py", ".pyi", ".c", ".h", ".cc", ".cpp", ".hpp", ".rs", ".js", ".jsx", ".ts", ".tsx", ".go", ".java")
AROUND = 10
QUESTIONS = 60
WORDS = 32  # a query's limit
DEFINERS = 3
ASIDE = re.compile(r"(^|/)(tests?|testing|mocks?|fakes?|examples?|docs?|bench\w*|scripts?|conftest)(/|_|\.|$)"
                   r"|(^|/)test_|_test\.|fake_|mock_")
WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]{2,}")
# ctags' kinds that aren't definitions one looks up
NOT_LOOKED_UP = {"variable", "local", "parameter", "unknown", "namespace", "module", "label", "header", "id", "constant",
                 "property", "field", "externvar", "file", "script", "chapter", "section", "alias"}

Question = collections.namedtuple("Question", "path line first last words files definitions unseen")


def read_lines(path):
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read().split("\n")


def list_code(root):
    for folder, _, names in os.walk(root):
        for name in names:
            path = os.path.join(folder, name)
            if name.endswith(CODE) and not name.endswith((".min.js", ".d.ts")) and os.path.getsize(path) <= 1 << 20:
                yield os.path.relpath(path, root)


def list_definitions(root):
    """{name: [(path, line)]} by ctags."""
    command = ["ctags", "--output-format=json", "--fields=+nKl", "-R", "-f", "-", "."]
    found = collections.defaultdict(list)
    for line in subprocess.run(command, cwd=root, capture_output=True, check=True).stdout.splitlines():
        tag = json.loads(line)
        path = os.path.normpath(tag.get("path", ""))
        if tag.get("_type") == "tag" and tag.get("kind") not in NOT_LOOKED_UP and path.endswith(CODE):
            found[tag["name"]].append((path, tag["line"]))
    return found


def list_hunks(old, new):
    """(first line, number of lines, new lines) of what the difference replaces."""
    command = ["git", "diff", "--no-index", "--no-color", "--no-ext-diff", "-U0", "--", old, new]
    text = subprocess.run(command, capture_output=True, check=False).stdout.decode("utf-8", "replace")
    hunks = []
    for line in text.split("\n"):
        head = re.match(r"@@ -(\d+)(?:,(\d+))? \+", line)
        if head:
            hunks.append((int(head[1]), int(head[2] or 1), []))
        elif hunks and line.startswith("+"):
            hunks[-1][2].append(line[1:])
    return [hunk for hunk in hunks if hunk[1] and hunk[2]]


def words_around(lines, first, last):
    """The identifiers of lines first - AROUND to last + AROUND, those of the nearest lines first."""
    words = {}
    places = list(range(max(1, first - AROUND), min(len(lines), last + AROUND) + 1))
    for line in sorted(places, key=lambda at: max(first - at, at - last, 0)):
        for word in WORD.findall(lines[line - 1]):
            words.setdefault(word)
    return list(words)


def make_questions(package, old, new):
    before, after = set(list_code(old)), set(list_code(new))
    changed = {path: read_lines(os.path.join(new, path)) for path in sorted(before & after)
               if read_lines(os.path.join(old, path)) != read_lines(os.path.join(new, path))}
    held = {path: set(WORD.findall("\n".join(lines))) for path, lines in changed.items()}
    defined = {name: places for name, places in list_definitions(old).items() if len(places) <= DEFINERS}
    questions = []
    for path in changed:
        lines = read_lines(os.path.join(old, path))
        for at, n, added in list_hunks(os.path.join(old, path), os.path.join(new, path)):
            first, last = max(1, at - AROUND), at + n - 1 + AROUND
            words = words_around(lines, at, at + n - 1)
            names = {name for name in WORD.findall("\n".join(added)) if name in defined}
            # What the lines around define themselves needs no search.
            names = {name for name in names
                     if not any(place == path and first <= line <= last for place, line in defined[name])}
            files = {other for other in held if other != path and held[other] & names}
            definitions = {place for name in names for place in defined[name]}
            unseen = {place for name in names - set(words) for place in defined[name]}
            if words and definitions:
                questions.append(Question(path, at, first, last, words[:WORDS], files, definitions, unseen))
    random.Random(package).shuffle(questions)
    return questions[:QUESTIONS]


def ask(root, environment, question, ranking):
    command = [PROGRAM, "search", "--json", "--no-refresh", "--rank", ranking, "--near", f"{question.path}:{question.line}"]
    done = subprocess.run(command + ["-k", "40", "--", *question.words], cwd=root, env=environment, capture_output=True, check=False)
    if done.returncode not in (0, 1):
        sys.exit(f"eval_search: {done.stderr.decode(errors='replace')}")
    hits = [(hit["path"], *hit["lines"]) for hit in json.loads(done.stdout)["results"]]
    return [hit for hit in hits
            if not (hit[0] == question.path and hit[1] <= question.last and question.first <= hit[2])]


def judge(question, hits, counts):
    for depth in (5, 10):
        top = hits[:depth]
        if question.files:
            counts[f"file@{depth}"].append(any(path in question.files for path, _, _ in top))
        for measure, wanted in (("def", question.definitions), ("new", question.unseen)):
            if wanted:
                counts[f"{measure}@{depth}"].append(any(path == place and first <= line <= last
                                                        for path, first, last in top for place, line in wanted))


def make_pending_questions(package, old, new):
    """[(question, what should be found)]: definitions of the new tree, outside of the question's own file."""
    defined = {name: places for name, places in list_definitions(new).items() if len(places) <= DEFINERS}
    found = []
    for path in sorted(set(list_code(old)) & set(list_code(new))):
        lines = read_lines(os.path.join(old, path))
        for at, n, added in list_hunks(os.path.join(old, path), os.path.join(new, path)):
            names = {name for name in WORD.findall("\n".join(added)) if name in defined}
            wanted = {place for name in names for place in defined[name] if place[0] != path}
            words = words_around(lines, at, at + n - 1)
            if words and wanted:
                first, last = max(1, at - AROUND), at + n - 1 + AROUND
                found.append(Question(path, at, first, last, words[:WORDS], set(), wanted, set()))
    random.Random(package).shuffle(found)
    return sorted(found[:QUESTIONS], key=lambda question: question.path)


def evaluate_pending(package, folder):
    old, new = (os.path.join(folder, package, which) for which in ("old", "new"))
    results = {ranking: collections.defaultdict(list) for ranking in ("all", "near")}
    questions = make_pending_questions(package, old, new)
    with tempfile.TemporaryDirectory(prefix="fathom-eval-") as work:
        environment = dict(os.environ, XDG_CACHE_HOME=os.path.join(work, "cache"), GIT_CONFIG_GLOBAL="/dev/null")
        root = os.path.join(work, "root")
        shutil.copytree(old, root)
        author = ["-c", "user.name=a", "-c", "user.email=a@b"]
        for words in (["init", "-q"], ["add", "-Af", "."], [*author, "commit", "-q", "-m", "old"]):
            subprocess.run(["git", *words], cwd=root, env=environment, check=True, capture_output=True)
        index = [PROGRAM, "index", "--json"]
        subprocess.run(index, cwd=root, env=environment, check=True, capture_output=True)
        for path in set(list_code(old)) & set(list_code(new)):
            shutil.copyfile(os.path.join(new, path), os.path.join(root, path))
        last = None
        for question in questions:
            if question.path != last:  # its own file is as it was
                if last:
                    shutil.copyfile(os.path.join(new, last), os.path.join(root, last))
                last = question.path
                shutil.copyfile(os.path.join(old, last), os.path.join(root, last))
                subprocess.run(index, cwd=root, env=environment, check=True, capture_output=True)
            for ranking in results:
                judge(question, ask(root, environment, question, ranking), results[ranking])
    return results, len(questions)


def evaluate_names(package, folder):
    """(names, how often the first definition shown is a proper one)."""
    old = os.path.join(folder, package, "old")
    with tempfile.TemporaryDirectory(prefix="fathom-eval-") as work:
        environment = dict(os.environ, XDG_CACHE_HOME=os.path.join(work, "cache"))
        root = os.path.join(work, "root")
        shutil.copytree(old, root)
        subprocess.run([PROGRAM, "index", "--json"], cwd=root, env=environment, check=True, capture_output=True)
        defined = list_definitions(root)
        names = sorted(name for name, places in defined.items()
                       if len(name) > 3 and {bool(ASIDE.search(path)) for path, _ in places} == {True, False})
        random.Random(package).shuffle(names)
        n_first = 0
        for name in names[:QUESTIONS]:
            command = [PROGRAM, "search", "--json", "--no-refresh", "--", name]
            done = subprocess.run(command, cwd=root, env=environment, capture_output=True, check=False)
            hits = [hit for hit in json.loads(done.stdout)["results"] if hit["kind"] != "text" and hit["name"] == name]
            n_first += bool(hits) and not ASIDE.search(hits[0]["path"])
    return min(len(names), QUESTIONS), n_first


def evaluate(package, folder):
    """{ranking: {measure: [whether it was found, of each question]}} and the number of questions."""
    old, new = (os.path.join(folder, package, which) for which in ("old", "new"))
    questions = make_questions(package, old, new)
    results = {ranking: collections.defaultdict(list) for ranking in RANKINGS}
    with tempfile.TemporaryDirectory(prefix="fathom-eval-") as work:
        environment = dict(os.environ, XDG_CACHE_HOME=os.path.join(work, "cache"))
        root = os.path.join(work, "root")  # FOLDER may lie in a repository, which would be indexed
        shutil.copytree(old, root)
        subprocess.run([PROGRAM, "index", "--json"], cwd=root, env=environment, check=True, capture_output=True)
        for question in questions:
            for ranking in RANKINGS:
                judge(question, ask(root, environment, question, ranking), results[ranking])
    return results, len(questions)


def merge(all_results, packages):
    merged = {ranking: collections.defaultdict(list) for ranking in RANKINGS}
    for package in packages:
        for ranking, counts in all_results[package][0].items():
            for measure, found in counts.items():
                merged[ranking][measure] += found
    return merged


def share(found):
    return 100 * sum(found) / len(found) if found else 0.0


def print_table(title, results, n):
    print(f"\n{title}: {n} questions"
          + "".join(f", {len(results['all'][m + '@5'])} {m}" for m in ("file", "def", "new")))
    print(f"{'':8}" + "".join(f"{measure:>9}" for measure in MEASURES))
    for ranking in RANKINGS:
        print(f"{ranking:8}" + "".join(f"{share(results[ranking][measure]):8.1f}%" for measure in MEASURES))


def main(arguments):
    folder, is_verbose = arguments[0], "-v" in arguments
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tools", "downloads.txt"), encoding="utf-8") as file:
        packages = sorted(line.split()[1] for line in file if line.startswith("changes "))
    if not shutil.which("ctags") or not shutil.which("git"):
        sys.exit("eval_search: it needs git and universal-ctags")
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        all_results = dict(zip(packages, pool.map(lambda package: evaluate(package, folder), packages)))
    if is_verbose:
        for package in packages:
            print_table(package, *all_results[package])
    halves = {"weights chosen by": packages[::2], "held out": packages[1::2]}
    for title, half in halves.items():
        print_table(f"{title} ({', '.join(half)})", merge(all_results, half), sum(all_results[each][1] for each in half))
    held_out = merge(all_results, halves["held out"])
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        pending = list(pool.map(lambda package: evaluate_pending(package, folder), packages))
        names = list(pool.map(lambda package: evaluate_names(package, folder), packages))
    for title, part in (("weights chosen by", slice(0, None, 2)), ("held out", slice(1, None, 2))):
        print(f"\npending, {title}: {sum(n for _, n in pending[part])} questions")
        for ranking in ("all", "near"):
            found = {m: [each for results, _ in pending[part] for each in results[ranking][m]] for m in ("def@5", "def@10")}
            print(f"{ranking:8}" + "".join(f"  {measure} {share(found[measure]):5.1f}%" for measure in found))
        n, n_first = (sum(column) for column in zip(*names[part]))
        print(f"names, {title}: of {n} the proper definition is first for {100 * n_first / (n or 1):.1f}%")
    lost = [f"{measure} of {ranking}" for ranking in RANKINGS[1:] for measure in MEASURES[:4]
            if share(held_out["all"][measure]) <= share(held_out[ranking][measure])]
    print("\nthe whole ranking " + ("doesn't win against " + ", ".join(lost) if lost else "wins in all of file and def"))
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
