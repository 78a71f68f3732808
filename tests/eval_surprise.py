#!/usr/bin/env python3
"""Whether lines that a fix removes are unusual to a model:  eval_surprise.py 'TOOL MODEL' FOLDER [--fixes N] [-v]

FOLDER holds packages as tools/fetch.py puts them there: PACKAGE/old and PACKAGE/new, two successive point releases.  A fix is
a hunk of the difference (without context) that removes lines of a code file which is no test, example, document or generated file.  Of the old file
60 unchanged lines that stand around the hunk are scored with it (tests/tools/surprise_main.c: as `fathom review` does), the hunk at
a random place among them; lines without a letter or digit, and those that another hunk removes, are left out.

Of each removed line counts the share of the unchanged lines that are less unusual (ties half): 50 % is what chance gives.  A fix
is the mean over its lines, the figure the mean over fixes; its interval holds 95 % of 10,000 means of files drawn anew
(bootstrap by file, as fixes of one file have lines in common).  Two other measures of a line stand beside the mean over its tokens: its
least likely token, and the sum; and, as what needs no model, its length.  Packages' hunks are drawn by a fixed seed."""

import collections
import json
import os
import random
import re
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from eval_search import ASIDE, list_code, read_lines  # pylint: disable=wrong-import-position

AROUND = 60
DRAWS = 10000
GENERATED = re.compile(r"generated (by|file)|do not edit|@generated", re.I)
MEASURES = {"mean of tokens": lambda line: line[0] / line[1], "least likely": lambda line: line[2], "sum": lambda line: line[0]}

Fix = collections.namedtuple("Fix", "package path first n others")


def list_hunks(old, new):
    """(first line, number of lines) of what the difference removes from old."""
    command = ["git", "diff", "--no-index", "--no-color", "--no-ext-diff", "-U0", "--", old, new]
    text = subprocess.run(command, capture_output=True, check=False).stdout.decode("utf-8", "replace")
    heads = re.findall(r"^@@ -(\d+)(?:,(\d+))? \+", text, re.M)
    return [(int(first), int(n or 1)) for first, n in heads if n != "0"]


def says_something(line):
    return re.search(r"\w", line) is not None


def list_fixes(folder, package):
    old, new = (os.path.join(folder, package, which) for which in ("old", "new"))
    fixes = []
    for path in sorted(set(list_code(old)) & set(list_code(new))):
        if ASIDE.search(path):
            continue
        lines = read_lines(os.path.join(old, path))
        if GENERATED.search("\n".join(lines[:5])):
            continue
        hunks = list_hunks(os.path.join(old, path), os.path.join(new, path))
        removed = {line for first, n in hunks for line in range(first, first + n)}
        for first, n in hunks:
            own = range(first, first + n)
            # What only says the release's number is no fix.
            if n <= 20 and any(says_something(lines[at - 1]) and "version" not in lines[at - 1].lower() for at in own):
                fixes.append(Fix(package, path, first, n, frozenset(removed - set(own))))
    return fixes


def score(tool, folder, fix, chance):
    """({measure: share of unchanged lines below}, number of unchanged lines), or None."""
    path = os.path.join(folder, fix.package, "old", fix.path)
    lines = read_lines(path)
    above = chance.randrange(AROUND + 1)
    first = max(1, fix.first - above)
    last = min(len(lines), fix.first + fix.n - 1 + AROUND - (fix.first - first))
    tool.stdin.write(f"{first} {last - first + 1} {os.path.abspath(path)}\n")
    tool.stdin.flush()
    scored = json.loads(tool.stdout.readline())
    groups = {True: [], False: []}
    for at, line in enumerate(scored, first):
        if line[1] and says_something(lines[at - 1]) and at not in fix.others:
            groups[fix.first <= at < fix.first + fix.n].append((line, len(lines[at - 1].strip())))
    if not groups[True] or len(groups[False]) < 10:
        return None
    shares = {}
    for name, measure in [*((name, lambda pair, m=m: m(pair[0])) for name, m in MEASURES.items()), ("length", lambda pair: pair[1])]:
        others = [measure(each) for each in groups[False]]
        ranks = [sum((value < own) + (value == own) / 2 for value in others) / len(others) for own in map(measure, groups[True])]
        shares[name] = (sum(ranks) / len(ranks), max(ranks))
    return shares, len(groups[False])


def interval(clusters, chance):
    """The 2.5th and 97.5th percentile of the mean over fixes, whose clusters are drawn anew."""
    sums = [(sum(values), len(values)) for values in clusters]
    means = []
    for _ in range(DRAWS):
        drawn = [chance.choice(sums) for _ in sums]
        means.append(sum(total for total, _ in drawn) / sum(n for _, n in drawn))
    means.sort()
    return means[int(DRAWS * 0.025)], means[int(DRAWS * 0.975)]


def print_row(name, results, index, chance):
    clusters = collections.defaultdict(list)
    for fix, shares in results:
        clusters[(fix.package, fix.path)].append(shares[name][index] if index < 2 else float(shares[name][1] >= 0.9))
    values = [value for cluster in clusters.values() for value in cluster]
    low, high = interval(list(clusters.values()), chance)
    return f"{100 * sum(values) / len(values):6.1f} % [{100 * low:.1f}, {100 * high:.1f}]"


def main(arguments):
    tool_words, folder = arguments[0].split(), arguments[1]
    n_wanted = int(arguments[arguments.index("--fixes") + 1]) if "--fixes" in arguments else 260
    chance = random.Random(1)
    by_package = {package: list_fixes(folder, package) for package in sorted(os.listdir(folder)) if not package.startswith(".")}
    for fixes in by_package.values():
        chance.shuffle(fixes)
    order = []  # one of each package in turn, so that none outweighs the others
    while len(order) < n_wanted and any(by_package.values()):
        order += [fixes.pop() for fixes in by_package.values() if fixes]
    results, n_lines = [], 0
    with subprocess.Popen(tool_words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8") as tool:
        for fix in order[:n_wanted]:
            scored = score(tool, folder, fix, chance)
            if scored:
                results.append((fix, scored[0]))
                n_lines += scored[1]
                if "-v" in arguments:
                    print(f"{100 * scored[0]['mean of tokens'][0]:5.1f} {fix.package} {fix.path}:{fix.first}", file=sys.stderr, flush=True)
        tool.stdin.close()
    files = {(fix.package, fix.path) for fix, _ in results}
    packages = {fix.package for fix, _ in results}
    print(f"{len(results)} fixes in {len(files)} files of {len(packages)} packages, {n_lines / len(results):.0f} unchanged lines beside each")
    print(f"{'':16}{'unchanged lines below':>26}{'its most unusual line':>26}{'among the top 10 %':>26}")
    for name in [*MEASURES, "length"]:
        print(f"{name:16}" + "".join(f"{print_row(name, results, index, chance):>26}" for index in range(3)))


if __name__ == "__main__":
    main(sys.argv[1:])
