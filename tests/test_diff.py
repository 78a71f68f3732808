"""Diffs against git itself: what is staged, the worktree, commits and ranges of repositories changed at random: the same files and
counts, patches that `git apply` turns into the same tree, and git's own patches read and printed again to the byte."""

import os
import random
import shutil
import subprocess
import sys
import tempfile

TOOL = os.path.join(os.path.dirname(os.environ["FATHOM_PROGRAM"]), "tests", "tools", "diff")
ENV = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null", "GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b",
       "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@b", "LC_ALL": "C.UTF-8"}
NAMES = [b"plain.c", b"with blank.txt", b"na\xc3\xafve.py", b"quote\"d.md", b"new\nline", b"back\\slash", b"deep/er/file.go", b"\xff\xfe.bin",
         b"tab\there.c", b"crlf.txt", b"b/a.c", b"tool.sh", b"empty", b"long.txt"]
PATCH = ["--full-index", "--no-ext-diff", "--no-textconv", "--no-color", "-M", "-C", "--src-prefix=a/", "--dst-prefix=b/"]


def git(folder, *arguments, stdin=None, check=True, env=None):
    return subprocess.run(["git", *arguments], cwd=folder, input=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=check,
                          env=env or ENV)


def ours(*arguments, stdin=b""):
    return subprocess.run([TOOL, *arguments], input=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)


def random_text(chance, name):
    words = ["int", "return", "x", "y = f(x)", "}", "{", "", "# note", "\tif (a)", "\u00e9t\u00e9", "def f():"]
    end = "\r\n" if b"crlf" in name else "\n"
    n = 0 if b"empty" in name else chance.randrange(1, 900 if b"long" in name else 60)
    text = "".join(chance.choice(words) + end for _ in range(n))
    if text and chance.random() < 0.25:
        text = text[:-len(end)]
    return text.encode() + (b"\0\1\2" if name.endswith(b".bin") else b"")


def edit(chance, text, name):
    lines = text.split(b"\n")
    for _ in range(chance.randrange(1, 5)):
        at = chance.randrange(len(lines))
        what = chance.random()
        if what < 0.4:
            lines[at] = b"changed " + str(chance.random()).encode() + (b"\r" if b"crlf" in name else b"")
        elif what < 0.7:
            lines.insert(at, b"added" + (b"\r" if b"crlf" in name else b""))
        elif len(lines) > 1:
            del lines[at]
    return b"\n".join(lines)


def write(folder, name, text):
    path = os.path.join(os.fsencode(folder), name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    if os.path.lexists(path):
        os.remove(path)
    with open(path, "wb") as file:
        file.write(text)


def change(chance, folder):
    """A random change of a random file in the worktree."""
    name = chance.choice(NAMES)
    path = os.path.join(os.fsencode(folder), name)
    what = chance.random()
    if not os.path.lexists(path):
        write(folder, name, random_text(chance, name))
    elif what < 0.5 and not os.path.islink(path):
        with open(path, "rb") as file:
            text = file.read()
        write(folder, name, edit(chance, text, name))
    elif what < 0.6:
        os.remove(path)
    elif what < 0.75 and not os.path.islink(path):
        os.chmod(path, 0o755 if os.stat(path).st_mode & 0o100 == 0 else 0o644)
    elif what < 0.85:
        other = os.path.join(os.path.dirname(path), b"moved-" + os.path.basename(path))
        os.rename(path, other)
    elif what < 0.9:
        shutil.copy(path, path + b".copy", follow_symlinks=False)
    else:
        os.remove(path)
        os.symlink(b"target " + name.replace(b"/", b"_"), path)


def counts(patch_list):
    rows = {}
    for line in patch_list.splitlines():
        if line.startswith(b"  "):
            continue
        rows[line] = rows.get(line, 0) + 1
    return rows


def apply_to(folder, tree, patch):
    """The tree that the patch makes of a tree, by an index of its own."""
    env = {**ENV, "GIT_INDEX_FILE": os.path.join(folder, ".git", "other-index")}
    git(folder, "read-tree", tree, env=env)
    if patch:
        result = git(folder, "apply", "--cached", "--whitespace=nowarn", "-", stdin=patch, env=env, check=False)
        assert result.returncode == 0, f"git apply: {result.stderr[:500]}\n{patch[:1500]}"
    return git(folder, "write-tree", env=env).stdout.strip()


def without_binary(patch):
    """git can't apply a binary file's patch that doesn't hold it; parts by file."""
    parts = [b"diff --git " + part for part in patch.split(b"\ndiff --git ")] if patch else []
    parts[:1] = [part[len(b"diff --git "):] for part in parts[:1]]
    return [part if part.endswith(b"\n") else part + b"\n" for part in parts]


def check_patch(folder, what, base_tree, result_tree, patch):
    parts = without_binary(patch)
    if any(b"\nBinary files " in part for part in parts):
        return 0
    try:
        made = apply_to(folder, base_tree, patch)
    except AssertionError:
        # There are such states of which git can't apply its own patch either: copies of what became a link.
        own = git(folder, "diff", "-M", "-C", "--full-index", "--no-ext-diff", base_tree, result_tree.decode()).stdout
        try:
            apply_to(folder, base_tree, own)
        except AssertionError:
            return 0
        raise
    assert made == result_tree, f"{what}: the patch makes another tree"
    return 1


def numstat(folder, *arguments):
    rows = {}
    out = git(folder, "diff", "--numstat", "-z", "--no-renames", *arguments).stdout
    for row in out.split(b"\0"):
        if row:
            added, deleted, name = row.split(b"\t", 2)
            rows[name] = (added, deleted)
    return rows


def check_repository(seed):
    chance = random.Random(seed)
    folder = tempfile.mkdtemp(prefix="diff-")
    n_applied = n_same = n_patches = 0
    try:
        git(folder, "init", "-q", "-b", "main")
        empty = git(folder, "hash-object", "-t", "tree", "-w", "--stdin", stdin=b"").stdout.decode().strip()
        for name in chance.sample(NAMES, 8):
            write(folder, name, random_text(chance, name))
        git(folder, "add", "-A")
        staged = git(folder, "write-tree").stdout.strip()
        patch = ours(folder, "staged").stdout  # unborn
        n_applied += check_patch(folder, "unborn", empty, staged, patch)
        git(folder, "commit", "-q", "-m", "first")
        for _ in range(4):
            for _ in range(chance.randrange(1, 6)):
                change(chance, folder)
            git(folder, "add", "-A")
            base, staged = git(folder, "rev-parse", "HEAD^{tree}").stdout.decode().strip(), git(folder, "write-tree").stdout.strip()
            result = ours(folder, "staged")
            assert result.returncode == 0, result.stderr
            n_applied += check_patch(folder, "staged", base, staged, result.stdout)
            theirs = git(folder, "diff", "--cached", *PATCH).stdout
            plain, plain_theirs = ours(folder, "staged", "plain").stdout, git(folder, "diff", "--cached", *PATCH, "--no-renames").stdout
            n_patches, n_same = n_patches + 1, n_same + (plain == plain_theirs)
            again = ours("parse", stdin=theirs)
            assert again.returncode == 0, again.stderr
            assert again.stdout == theirs, f"read and printed again:\n{theirs[:3000]}\n----\n{again.stdout[:3000]}"
            git(folder, "commit", "-q", "--allow-empty", "-m", "next")
            commit = ours(folder, "commit", "HEAD").stdout
            assert commit == result.stdout, "a commit is what was staged"
            ranged = ours(folder, "range", "HEAD~1", "HEAD").stdout
            assert ranged == commit
            # The worktree: some staged, some not, some untracked.
            for _ in range(chance.randrange(1, 5)):
                change(chance, folder)
            if chance.random() < 0.5:
                git(folder, "add", "-A")
                change(chance, folder)
                change(chance, folder)
            check_worktree(folder)
            git(folder, "add", "-A")
            git(folder, "commit", "-q", "--allow-empty", "-m", "more")
    finally:
        shutil.rmtree(folder)
    return n_applied, n_patches, n_same


def check_worktree(folder):
    index_tree = git(folder, "write-tree").stdout.decode().strip()
    result = ours(folder, "worktree")
    assert result.returncode == 0, result.stderr
    env = {**ENV, "GIT_INDEX_FILE": os.path.join(folder, ".git", "all-index")}
    shutil.copy(os.path.join(folder, ".git", "index"), env["GIT_INDEX_FILE"])
    git(folder, "add", "-A", env=env)
    whole = git(folder, "write-tree", env=env).stdout.strip()
    check_patch(folder, "worktree", index_tree, whole, result.stdout)
    listed = ours(folder, "worktree", "list").stdout
    expected = numstat(folder, index_tree, whole.decode())
    n_files = sum(1 for line in listed.split(b"\n") if line and not line.startswith(b"  ") and b" -> " in line)
    assert n_files >= len(expected), f"{listed}\n{expected}"


def odd_texts():
    """Patches as people paste them, and broken ones: (text, exit status, what is listed or said)."""
    plain = b"--- old.c\t2020-01-01 00:00:00\n+++ new.c\t2020-01-02\n@@ -1,2 +1,2 @@ int f()\n a\n-b\n+c\n"
    return [
        (b"", 0, b""),
        (b"no diff at all\nbut lines\n", 0, b""),
        (plain, 0, b"modified +1 -1 old.c -> new.c"),
        (b"From: me\nSubject: x\n\n---\n file | 2 +-\n\n" + plain + b"-- \n2.39\n", 0, b"modified +1 -1 old.c -> new.c"),
        (plain.replace(b"\n", b"\r\n"), 0, b"modified +1 -1 old.c -> new.c"),
        (b"--- /dev/null\n+++ b/x\n@@ -0,0 +1 @@\n+a\n\\ No newline at end of file\n", 0, b"added +1 -0  -> x"),
        (b"--- a/x\n+++ /dev/null\n@@ -1 +0,0 @@\n-a\n", 0, b"deleted +0 -1 x -> "),
        (b"diff --git a/x b/x\nold mode 100644\nnew mode 100755\n", 0, b"modified +0 -0 x -> x"),
        (b"diff --git a/a b b/a b\nold mode 100644\nnew mode 100755\n", 0, b"modified +0 -0 a b -> a b"),
        (b"diff --git a/x b/y\nsimilarity index 100%\nrename from x\nrename to y\n", 0, b"renamed +0 -0 x -> y"),
        (b"diff --git a/x b/x\nindex 1234567..89abcde 100644\nBinary files a/x and b/x differ\n", 0, b"modified +0 -0 binary x -> x"),
        (b"* Unmerged path x.c\n", 0, b"unmerged +0 -0  -> x.c"),
        (b"--- a/x\n+++ b/x\n@@ -1,3 +1,3 @@\n a\n\n-b\n+c\n", 0, b"modified +1 -1 x -> x"),  # a blank that somebody stripped
        (b"--- a/x\n+++ b/x\n@@ -1,2 +1,2 @@\n a\n", 3, b"ends within a hunk"),
        (b"--- a/x\n+++ b/x\n@@ -1,2 +1,2 @@\n a\nxb\n", 3, b"line 5"),
        (b"--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n-b\n+c\n", 3, b"other lines"),
        (b"@@ -1 +1 @@\n-a\n+b\n", 3, b"without a file"),
        (b"--- a/x\n+++ b/x\n@@ -1,99999999999 +1 @@\n-a\n", 3, b"header is wrong"),
        (b"--- \"a/x\\400\"\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n", 3, b"quotes"),
        (b"--- \"a/x\\000y\"\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n", 3, b"quotes"),
    ]


def main():
    failed = 0
    applied = patches = same = 0
    for seed in range(25):
        try:
            counted = check_repository(seed)
            applied, patches, same = applied + counted[0], patches + counted[1], same + counted[2]
        except AssertionError as problem:
            failed += 1
            print(f"# seed {seed}: {str(problem)[:1200]}")
    print(("ok" if not failed else "not ok") + " diff: 25 repositories, changed at random")
    print(f"# {applied} patches applied, {same} of {patches} are git's to the byte")
    enough = applied > 50 and same * 100 >= patches * 98
    print(("ok" if enough else "not ok") + " diff: 98 of 100 patches are git's own")
    for text, status, said in odd_texts():
        result = ours("parse", "list", stdin=text)
        good = result.returncode == status and said in (result.stdout if status == 0 else result.stderr)
        failed += not good
        print(("ok" if good else "not ok") + f" diff: reads {text[:40]!r}")
        if not good:
            print(f"# {result.returncode} {result.stdout!r} {result.stderr!r}")
    return 1 if failed or not enough else 0


if __name__ == "__main__":
    sys.exit(main())
