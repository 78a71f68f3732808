"""Staging, unstaging and discarding of random selections, held against git: `git apply --cached` of the same selection makes the same index, `git
apply -R` the same worktree; and what was done is taken back.  An argument: how many selections (150), and the first seed (0)."""

import os
import random
import shutil
import sys
import tempfile

from stage_repository import (ENV, NAMES, Tool, change, choose, entries, git, is_whole, pair_of, patch_of, path_of, random_text, snapshot,
                              write)


def make_repository(chance, folder):
    git(folder, "init", "-q", "-b", "main")
    inner = os.path.join(folder, "sub")
    os.mkdir(inner)
    git(inner, "init", "-q", "-b", "main")
    commits = []
    for n in range(3):
        git(inner, "commit", "-q", "--allow-empty", "-m", str(n))
        commits.append(git(inner, "rev-parse", "HEAD").stdout)
    for name in chance.sample(NAMES, 10):
        write(folder, name, random_text(chance, name))
    git(folder, "-c", "advice.addEmbeddedRepo=false", "add", "-A")
    git(folder, "commit", "-q", "-m", "first")
    return commits


def move_submodule(chance, folder, commits):
    with open(os.path.join(folder, "sub", ".git", "HEAD"), "wb") as file:
        file.write(chance.choice(commits))


def other_index(folder):
    """An index of its own for git, which begins as the repository's."""
    path = os.path.join(folder, ".git", "other-index")
    shutil.copy2(os.path.join(folder, ".git", "index"), path)
    return {**ENV, "GIT_INDEX_FILE": path, "GIT_LITERAL_PATHSPECS": "1"}


def by_git(folder, files, chosen, modes, action, env):
    """What git makes of the selection: patches for lines, whole paths for the rest."""
    patch, paths = b"", []
    reverse = action != "add"
    for i, marked in chosen.items():
        file = files[i]
        pair = pair_of(files, i) or (i and pair_of(files, i - 1))
        everything = {(k, l) for k, hunk in enumerate(file["hunks"]) for l, (kind, _) in enumerate(hunk["lines"]) if kind != " "}
        if marked == "all" and (pair or is_whole(file) or file["status"] in ("renamed", "copied")):
            paths += [name for name in ((file["old"] if file["status"] != "copied" else b""), file["new"]) if name]
            continue
        with_mode = i in modes or (marked == "all" and file["old_mode"] and file["new_mode"] and file["old_mode"] != file["new_mode"])
        patch += patch_of(file, everything if marked == "all" else marked, with_mode, reverse)
    how = ["--cached"] if action == "add" else ["--cached", "-R"] if action == "remove" else ["-R"]
    if patch:
        result = git(folder, "apply", "--whitespace=nowarn", *how, "-", stdin=patch, env=env, check=False)
        assert result.returncode == 0, f"git apply {how}: {result.stderr[:400]}\n{patch.decode(errors='replace')[:3000]}"
    paths = sorted(set(paths))
    if paths and action == "add":
        git(folder, "-c", "advice.addEmbeddedRepo=false", "add", "-A", "--", *paths, env=env)
    elif paths and action == "remove":
        git(folder, "reset", "-q", "--", *paths, env=env)
    for name in paths if action == "discard" else []:
        if git(folder, "ls-files", "-s", "--", os.fsdecode(name), env=env).stdout:
            if os.path.lexists(path_of(folder, name)):
                os.remove(path_of(folder, name))
            git(folder, "checkout-index", "-f", "--", name, env=env)
        else:
            os.remove(path_of(folder, name))


def plain(found):
    """A snapshot without what a umask makes of permissions."""
    return {name: (facts[0] if facts[0] == "link" else facts[0] & 0o100, facts[1]) for name, facts in found.items()}


def check_index_action(chance, tool, folder, what, action):
    files = tool.diff(what, chance.choice([1, 3, 3, 3, 8]))
    chosen, modes = choose(chance, tool, files)
    before, worktree = entries(folder), snapshot(folder)
    if not chosen:
        tool.refused(action)
        return 0
    env = other_index(folder)
    by_git(folder, files, chosen, modes, action, env)
    patches = []
    for i in chosen:
        answer = tool.do(f"print {i}" + (" reverse" if action == "remove" else ""))
        patches.append(bytes.fromhex(answer))
    answer = tool.ask(action)
    expected = entries(folder, env)
    if answer.startswith("no 1 ") and expected == before:  # all that was chosen changes nothing
        return 0
    assert answer.startswith("ok"), f"{action}: {answer}\n{[(f['status'],f['old'],f['new'],f['old_mode'],f['new_mode'],f['whole']) for f in files]}"
    now = entries(folder)
    assert now == expected, (f"{action}: ours {set(now.items()) - set(expected.items())} git's {set(expected.items()) - set(now.items())}\n"
                             + b"\n".join(patches).decode(errors="replace"))
    assert snapshot(folder) == worktree, f"{action}: the worktree has changed"
    if chance.random() < 0.15:
        assert git(folder, "diff").stdout == git(folder, "diff", env=env).stdout, "another diff remains"
        assert git(folder, "status", "--porcelain", "-z").stdout == git(folder, "status", "--porcelain", "-z", env=env).stdout
    if chance.random() < 0.3:
        tool.do("undo")
        assert entries(folder) == before, "undo leaves another index"
        assert snapshot(folder) == worktree
        tool.diff(what)
    return 1


def check_printed(tool, folder):
    """The patch that is printed of all that can be printed makes the same index."""
    files = tool.diff("worktree")
    indices = [i for i, file in enumerate(files) if not is_whole(file) and file["status"] != "unmerged" and not pair_of(files, i)
               and not (i and pair_of(files, i - 1))]
    if not indices:
        return
    for i in indices:
        tool.do(f"file {i}")
    env = other_index(folder)
    patch = b"".join(bytes.fromhex(tool.do(f"print {i}")) for i in indices)
    git(folder, "apply", "--cached", "--whitespace=nowarn", "-", stdin=patch, env=env)
    tool.do("add")
    assert entries(folder) == entries(folder, env), "the printed patch makes another index"
    tool.do("undo")


def check_round_trip(tool, folder, chance):
    """Staged from a clean index and unstaged again."""
    git(folder, "reset", "-q")
    before = entries(folder)
    files = tool.diff("worktree")
    chosen, _ = choose(chance, tool, files)
    if not chosen:
        return 0
    if tool.ask("add").startswith("no "):
        return 0
    tool.diff("staged")
    tool.do("all")
    tool.do("remove")
    assert entries(folder) == before, "staged and unstaged is another index"
    assert git(folder, "diff", "--cached").stdout == b""
    return 1


def check_discard(chance, tool, folder, commits):
    files = tool.diff("worktree")
    for i, file in enumerate(files):
        assert file["old_mode"] != 0o160000 or file["whole"]
    keep = [i for i, file in enumerate(files) if file["old_mode"] == 0o160000]
    for i in keep:
        tool.do(f"file {i}")
        assert "submodule" in tool.refused("discard")
        tool.do("clear")
    if keep:
        with open(os.path.join(folder, "sub", ".git", "HEAD"), "wb") as file:
            file.write(entries(folder)[b"sub"][1] + b"\n")
        files = tool.diff("worktree")
    chosen, modes = choose(chance, tool, files)
    if not chosen:
        return 0
    before, index = snapshot(folder), entries(folder)
    copy = folder + "-copy"
    shutil.copytree(folder, copy, symlinks=True)
    try:
        by_git(copy, files, chosen, modes, "discard", {**ENV, "GIT_LITERAL_PATHSPECS": "1"})
        answer = tool.ask("discard")
        assert answer.startswith("ok"), answer
        now, expected = plain(snapshot(folder)), plain(snapshot(copy))
        assert now == expected, f"discard: ours {set(now.items()) - set(expected.items())} git's {set(expected.items()) - set(now.items())}"
        assert entries(folder) == index, "discard has changed the index"
        if chance.random() < 0.6:
            tool.do("undo")
            assert snapshot(folder) == before, "undo leaves another worktree"
    finally:
        shutil.rmtree(copy)
    return 1


def check_repository(seed, n_rounds):
    chance = random.Random(seed)
    base = tempfile.mkdtemp(prefix="stage-")
    folder = os.path.join(base, "repository")
    os.mkdir(folder)
    n = 0
    try:
        commits = make_repository(chance, folder)
        tool = Tool(folder, os.path.join(base, "state"))
        for turn in range(n_rounds):
            for _ in range(chance.randrange(3, 9)):
                change(chance, folder)
            if chance.random() < 0.3:
                move_submodule(chance, folder, commits)
            n += check_index_action(chance, tool, folder, "worktree", "add")
            n += check_index_action(chance, tool, folder, "staged", "remove")
            if turn % 3 == 0:
                n += check_round_trip(tool, folder, chance)
            if turn % 3 == 1:
                check_printed(tool, folder)
            n += check_discard(chance, tool, folder, commits)
            if turn % 4 == 3:
                git(folder, "-c", "advice.addEmbeddedRepo=false", "add", "-A")
                git(folder, "commit", "-q", "--allow-empty", "-m", "next")
        leftovers = [name for name in os.listdir(os.path.join(folder, ".git")) if "fathom" in name or name.endswith(".lock")]
        assert not leftovers, leftovers
        tool.close()
    finally:
        shutil.rmtree(base)
    return n


def main():
    wanted = int(sys.argv[1]) if len(sys.argv) > 1 else 40 if float(os.environ.get("TEST_SLOWNESS", "1")) > 1 else 150
    done = failed = n = 0
    first = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    while done < wanted and failed < 3:
        try:
            done += check_repository(first + n, 8)
        except AssertionError as problem:
            failed += 1
            print(f"# seed {first + n}: {str(problem)[:3000]}")
        n += 1
    print(("not ok" if failed else "ok") + f" stage: {done} random selections of {n} repositories are git's")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
