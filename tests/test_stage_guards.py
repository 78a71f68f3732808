"""What staging refuses, survives and never runs: line ends as git's or refused, filters, locks, stale diffs, kill -9 at every system call that
changes something, full disks, canaries in every program that a repository's configuration can name; and commits."""

import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time

from stage_repository import ENV, LEAKING, TOOL, Tool, entries, git, patch_of, read, snapshot, write

TESTS = []
SLOW = float(os.environ.get("TEST_SLOWNESS", "1")) > 1


def test(function):
    TESTS.append(function)
    return function


class Place:
    """A repository, a state folder, and a tool that looks at it."""

    def __init__(self, base, *options):
        self.folder, self.state = os.path.join(base, "repository"), os.path.join(base, "state")
        os.mkdir(self.folder)
        os.mkdir(self.state)
        git(self.folder, "init", "-q", "-b", "main", *options)
        self.tool = None

    def commit(self, files, message="first"):
        for name, text in files.items():
            write(self.folder, name, text)
        git(self.folder, "add", "-A")
        git(self.folder, "commit", "-q", "--no-verify", "--allow-empty", "-m", message)

    def open(self, **options):
        self.close()
        self.tool = Tool(self.folder, self.state, **options)
        return self.tool

    def close(self):
        if self.tool:
            self.tool.close()
        self.tool = None

    def both(self):
        return entries(self.folder), snapshot(self.folder)


def lines(n, end=b"\n"):
    return b"".join(b"line %d" % i + end for i in range(n))


# ---- line ends ----


def stage_with_ends(base, config, attributes, committed, changed, refused):
    """Whole and in parts, staged and discarded: as git does it, or refused."""
    place = Place(base)
    place.commit({b".gitattributes": attributes, b"f.txt": committed})
    for key, value in config:
        git(place.folder, "config", key, value)
    write(place.folder, b"f.txt", changed)
    if git(place.folder, "diff", "--raw").stdout == b"":
        return 0
    tool, before = place.open(), place.both()
    env = {**ENV, "GIT_INDEX_FILE": os.path.join(place.folder, ".git", "other-index")}
    same = 0
    for way in ("whole", "part"):
        files = tool.diff("worktree")
        index = [i for i, file in enumerate(files) if file["new"] == b"f.txt"]
        if not index or not files[index[0]]["hunks"]:
            return same
        file, i = files[index[0]], index[0]
        shutil.copy2(os.path.join(place.folder, ".git", "index"), env["GIT_INDEX_FILE"])
        marked = {(0, l) for l, (kind, _) in enumerate(file["hunks"][0]["lines"]) if kind != " "}
        if way == "part":
            marked = {min(marked)}
            tool.do(f"lines {file['hunks'][0]['index']} {min(marked)[1]} 1")
            git(place.folder, "apply", "--cached", "--whitespace=nowarn", "-", stdin=patch_of(file, marked, False, False), env=env)
        else:
            tool.do(f"file {i}")
            added = git(place.folder, "add", "f.txt", env=env, check=False)
            if added.returncode:
                refused.append(tool.refused("add"))
                continue
        answer = tool.ask("add")
        if answer.startswith("no"):
            refused.append(answer)
        else:
            assert entries(place.folder) == entries(place.folder, env), f"{config} {attributes} {way}: another blob"
            same += 1
            tool.do("undo")
        assert place.both() == before
        # Thrown away.
        tool.diff("worktree")
        tool.do(f"file {i}" if way == "whole" else f"lines {file['hunks'][0]['index']} {min(marked)[1]} 1")
        answer = tool.ask("discard")
        if answer.startswith("no"):
            refused.append(answer)
            assert place.both() == before
            continue
        ours = read(place.folder, b"f.txt")
        tool.do("undo")
        assert place.both() == before
        if way == "whole":
            git(place.folder, "checkout", "--", "f.txt")
        else:
            git(place.folder, "apply", "-R", "--whitespace=nowarn", "-", stdin=patch_of(file, marked, False, True))
        theirs = read(place.folder, b"f.txt")
        # git apply gives every line of a file the ends that it would write; we keep those that stay as they are.
        assert ours == theirs or way == "part" and ours.replace(b"\r\n", b"\n") == theirs.replace(b"\r\n", b"\n"), \
            f"{config} {attributes} {way}: {ours!r} {theirs!r}"
        same += 1
        write(place.folder, b"f.txt", changed)
    place.close()
    return same


@test
def line_ends_are_gits_or_refused(base):
    texts = [lines(9), lines(9, b"\r\n"), lines(4) + lines(4, b"\r\n"), lines(9)[:-1], b"$Id$\n" + lines(5)]
    same, refused, n = 0, [], 0
    for config in ([], [("core.autocrlf", "true")], [("core.autocrlf", "input")], [("core.eol", "crlf")],
                   [("core.autocrlf", "true"), ("core.safecrlf", "true")]):
        for attributes in (b"", b"* text=auto\n", b"*.txt text\n", b"*.txt eol=crlf\n", b"*.txt -text\n", b"*.txt text=auto eol=crlf\n",
                           b"*.txt ident\n"):
            committed, changed = texts[n % 5], texts[n * 3 % 5]
            changed = changed.replace(b"line 2", b"changed\n" if n % 2 else b"changed\r\nmore").replace(b"line 7", b"also")
            folder = os.path.join(base, str(n))
            os.mkdir(folder)
            same += stage_with_ends(folder, config, attributes, committed, changed, refused)
            shutil.rmtree(folder)
            n += 1
    assert same >= 60, f"{same} as git's, {len(refused)} refused: {sorted(set(refused))}"
    print(f"# line ends: {same} as git's, {len(refused)} refused: {sorted({answer.split(': ', 1)[1] for answer in refused})}")


@test
def filters_are_never_run(base):
    place = Place(base)
    place.commit({b".gitattributes": b"*.big filter=lfs diff=lfs merge=lfs -text\n*.u16 working-tree-encoding=UTF-16\n", b"a.c": b"a\n"})
    git(place.folder, "config", "filter.lfs.clean", f"touch {base}/canary; cat")
    git(place.folder, "config", "filter.lfs.smudge", f"touch {base}/canary; cat")
    write(place.folder, b"x.big", b"big\n")
    write(place.folder, b"y.u16", "wide\n".encode("utf-16"))
    tool, before = place.open(), place.both()
    for i, file in enumerate(tool.diff("worktree")):
        tool.do("clear")
        tool.do(f"file {i}")
        answer = tool.refused("add")
        assert ("lfs" if file["new"] == b"x.big" else "encoding") in answer, answer
    assert place.both() == before and not os.path.exists(f"{base}/canary")
    place.close()


# ---- somebody else is at work ----


@test
def index_lock_is_respected(base):
    place = Place(base)
    place.commit({b"a": lines(5)})
    write(place.folder, b"a", lines(6))
    lock = os.path.join(place.folder, ".git", "index.lock")
    tool = place.open()
    tool.diff("worktree")
    tool.do("all")
    write(place.folder, b".git/index.lock", b"theirs")
    begin, before = time.monotonic(), place.both()
    answer = tool.refused("add")
    assert time.monotonic() - begin < 1 and "index.lock" in answer, answer
    assert read(place.folder, b".git/index.lock") == b"theirs" and place.both() == before
    os.remove(lock)
    tool.do("add")
    write(place.folder, b".git/index.lock", b"theirs")
    assert "index.lock" in tool.refused("undo")
    os.remove(lock)
    tool.do("undo")
    assert place.both() == before
    place.close()


@test
def stale_selections_are_refused(base):
    place = Place(base)
    place.commit({b"a": lines(9), b"b": lines(3), b"z.bin": b"\0\1"})
    changed = lines(9).replace(b"line 4", b"four")
    write(place.folder, b"a", changed)
    write(place.folder, b"z.bin", b"\0\2")
    tool = place.open()
    for action in ("add", "discard"):
        for name, text in ((b"a", changed + b"more\n"), (b"a", changed.replace(b"line 8", b"LINE 8")), (b"z.bin", b"\0\3")):
            old = read(place.folder, name)
            tool.diff("worktree")
            tool.do("all")
            write(place.folder, name, text)
            before = place.both()
            assert "changed" in tool.refused(action)
            assert place.both() == before
            write(place.folder, name, old)
    tool.diff("worktree")
    tool.do("all")
    git(place.folder, "add", "a")
    before = place.both()
    assert "changed" in tool.refused("add")
    assert place.both() == before
    tool.diff("staged")
    tool.do("all")
    git(place.folder, "commit", "-q", "-m", "moved")
    before = place.both()
    assert "changed" in tool.refused("remove")
    assert place.both() == before
    place.close()


@test
def undo_refuses_what_changed_since(base):
    place = Place(base)
    place.commit({b"a": lines(9)})
    write(place.folder, b"a", b"new\n" + lines(9))
    os.chmod(os.path.join(place.folder, "a"), 0o600)
    write(place.folder, b"fresh", b"not tracked\n")
    tool, before = place.open(), place.both()
    tool.diff("worktree")
    tool.do("all")
    tool.do("discard")
    assert snapshot(place.folder) == {b"a": (0o600, lines(9))}
    write(place.folder, b"a", b"somebody's\n")
    assert "changed since" in tool.refused("undo")
    assert snapshot(place.folder) == {b"a": (0o644, b"somebody's\n")}
    write(place.folder, b"a", lines(9))
    tool.do("undo")
    assert place.both() == before
    assert "nothing" in tool.refused("undo")
    place.close()


@test
def the_journal_has_a_limit(base):
    place = Place(base)
    place.commit({b"a": lines(9)})
    tool = place.open()
    tool.do("limit 6000")
    dropped = 0
    for i in range(12):
        write(place.folder, b"a", b"%d" % i * 1000)
        tool.diff("worktree")
        tool.do("all")
        dropped += int(tool.do("discard").split()[1])
    assert dropped > 4 and int(tool.do("count")) + dropped == 12
    write(place.folder, b"a", b"x" * 9000)
    tool.diff("worktree")
    tool.do("all")
    before = place.both()
    assert "larger" in tool.refused("discard")
    assert place.both() == before
    place.close()


# ---- ends at any moment ----


def prepare_for_death(base):
    place = Place(base)
    place.commit({b"a": lines(20), b"b/c": lines(5), b"gone": b"gone\n", b"d.bin": b"\0" * 100})
    write(place.folder, b"a", lines(20).replace(b"line 3", b"three"))
    write(place.folder, b"b/c", lines(6))
    write(place.folder, b"new", b"new\n")
    write(place.folder, b"d.bin", b"\0\1" * 100)
    os.remove(os.path.join(place.folder, "gone"))
    return place


def check_after_death(place, before, action):
    tool = place.open()
    n = int(tool.do("count"))
    answer = tool.ask("undo")
    assert answer.startswith("ok") or "nothing to take back" in answer, f"{action}: {answer}"
    assert place.both() == before, f"{action}, {n} records: {answer}"
    assert not os.path.exists(os.path.join(place.folder, ".git", "index.lock")), "a lock is left"
    place.close()
    return answer.startswith("ok")


@test
def death_at_every_call_leaves_all_or_what_undo_takes_back(base):
    place = prepare_for_death(base)
    before = place.both()
    undone = deaths = 0
    for action in ("add", "discard", "add, undo", "discard, undo"):
        for call, step in (("rename,renameat,renameat2", 1), ("link,linkat", 1), ("unlink,unlinkat", 1), ("fsync", 1), ("write", 3), ("openat", 8)):
            if step > 1 and ("undo" in action or SLOW):
                continue
            for n in range(step, 300, step):
                command = b"diff worktree\nall\n" + action.encode() + b"\n"
                if "undo" in action:  # what ends is the taking back
                    subprocess.run([TOOL, place.folder, place.state], input=command.replace(b", undo", b""), stdout=subprocess.PIPE, env=ENV,
                                   check=True)
                    command = b"undo\n"
                result = subprocess.run(["strace", "-qq", "-o", "/dev/null", "-e", f"trace={call}", "-e", f"inject={call}:signal=KILL:when={n}", TOOL,
                                         place.folder, place.state], input=command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=LEAKING,
                                        check=False)
                assert b"ptrace" not in result.stderr, result.stderr
                undone += check_after_death(place, before, f"{action} at {call} {n}")
                if result.returncode == 0:
                    break
                deaths += 1
    assert deaths > 30 and undone > 10, f"{deaths} deaths, {undone} undone"
    print(f"# {deaths} deaths, {undone} of them taken back")


def under_errors(place, action, *injections):
    """The answer to an action, while the file system refuses some of its calls."""
    calls = ",".join(injection.split(":")[0] for injection in injections)
    options = [part for injection in injections for part in ("-e", f"inject={injection}")]
    result = subprocess.run(["strace", "-qq", "-o", "/dev/null", "-e", f"trace={calls}", *options, TOOL, place.folder, place.state],
                            input=b"diff worktree\nall\n" + action + b"\n", stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=LEAKING, check=False)
    assert result.returncode == 0 and b"ptrace" not in result.stderr, result
    return result.stdout.decode().splitlines()[-1]


def git_folder_leftovers(place):
    return sorted(name for name in os.listdir(os.path.join(place.folder, ".git")) if "fathom" in name)


@test
def what_cannot_be_put_back_stays_in_the_journal(base):
    """File systems that exchange nothing, or stop half way: all is as before, or undo brings it back."""
    fallback = "renameat2:error=EINVAL"
    cases = (
        # Both files tracked: a renamed over without an exchange, b refused.
        ((b"a", b"b"), (fallback, "renameat:error=EIO:when=3"), True),
        ((b"a", b"b"), (fallback, "renameat:error=EIO:when=2+"), False),
        # The exchange of b fails, and then the one that would put a back.
        ((b"a", b"b"), ("renameat2:error=EIO:when=2+",), True),
        ((b"a", b"b"), ("renameat2:error=EIO:when=2",), False),
        # An untracked file went, and comes back by a second name; or neither way.
        ((b"b",), (fallback, "renameat:error=EIO:when=3"), False),
        ((b"b",), (fallback, "renameat:error=EIO:when=3", "linkat:error=EPERM"), True),
        ((b"b",), ("renameat2:error=EIO",), True),
    )
    for i, (tracked, injections, is_pending) in enumerate(cases):
        folder = os.path.join(base, str(i))
        os.mkdir(folder)
        place = Place(folder)
        place.commit({name: lines(9) for name in tracked})
        write(place.folder, b"a", b"precious a\n")
        write(place.folder, b"b", b"precious b\n")
        before = place.both()
        answer = under_errors(place, b"discard", *injections)
        assert answer.startswith("no "), f"{injections}: {answer}"
        if not is_pending:
            assert place.both() == before and "undo" not in answer, f"{injections}: {answer}"
            assert not git_folder_leftovers(place), git_folder_leftovers(place)
            continue
        assert place.both() != before and "undo can" in answer and "nothing was changed" not in answer, f"{injections}: {answer}"
        kept = git_folder_leftovers(place)
        for name in kept:
            assert name in answer and read(place.folder, b".git/" + name.encode()) == b"precious a\n", f"{answer}: {kept}"
            os.utime(os.path.join(place.folder, ".git", name), (0, 0))
        assert bool(kept) == (injections[0] != fallback or len(injections) == 3), f"{injections}: {kept}"
        tool = place.open()
        if i % 2 == 0:  # something else is done in between, which finds the record pending
            write(place.folder, b"other", b"other\n")
            tool.diff("worktree")
            tool.do("intend " + b"other".hex())
            tool.do("undo")
            os.remove(os.path.join(place.folder, "other"))
        tool.do("undo")
        assert place.both() == before, f"{injections}: {answer}"
        place.close()


@test
def only_damaged_records_are_dropped(base):
    place = Place(base)
    place.commit({b"a": lines(5)})
    before = place.both()
    write(place.folder, b"a", b"precious\n")
    changed = place.both()
    tool = place.open()
    tool.diff("worktree")
    tool.do("all")
    tool.do("discard")
    (above,) = os.listdir(os.path.join(place.state, "undo"))
    newer = os.path.join(place.state, "undo", above, "000000000002.undo")
    write(base, os.fsencode(newer), b"fathom-undo 2\nof another version, whatever that may be\n")
    for _ in range(2):
        assert "another version" in tool.refused("undo")
        assert tool.do("count") == "2" and place.both() == before
    write(base, os.fsencode(newer), b"fathom-undo 1\nwhich isn't one\n")
    assert "damaged" in tool.refused("undo")
    tool.do("undo")
    assert place.both() == changed
    place.close()


@test
def full_disks_change_nothing(base):
    place = prepare_for_death(base)
    write(place.folder, b"a", lines(3000))
    before = place.both()
    for action in ("add", "discard"):
        for limit in (0, 40, 150, 300, 2000, 8000):
            tool = place.open(preexec_fn=lambda limit=limit: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY)))
            tool.diff("worktree")
            tool.do("all")
            answer = tool.ask(action)
            place.close()
            if limit <= 300:
                assert answer.startswith("no"), f"{action} {limit}: {answer}"
            if answer.startswith("ok"):
                place.open().do("undo")
                place.close()
            assert place.both() == before, f"{action} {limit}: {answer}"
    leftovers = [name for name in os.listdir(os.path.join(place.folder, ".git")) if "fathom" in name or name.endswith(".lock")]
    assert not leftovers, leftovers


@test
def young_entries_stay_honest(base):
    """A file that changed in the moment it was staged, keeping its size, still shows as changed after the index was written anew."""
    place = Place(base)
    place.commit({b"a": b"one\n", b"b": lines(3)})
    tool = place.open()
    for i in range(8):
        write(place.folder, b"a", b"%03d\n" % i)
        git(place.folder, "add", "a")
        path = os.path.join(place.folder, "a")
        with open(path, "r+b") as file:  # the same file, its size and time
            file.write(b"%03d\n" % (i + 500))
        stamp = os.stat(os.path.join(place.folder, ".git", "index"))
        os.utime(path, ns=(stamp.st_mtime_ns, stamp.st_mtime_ns))
        write(place.folder, b"b", lines(4 + i))
        files = tool.diff("worktree")
        tool.do(f"file {[file['new'] for file in files].index(b'b')}")
        tool.do("add")
        assert b"a" in git(place.folder, "diff", "--name-only").stdout.split()
    place.close()


# ---- odd paths and repositories ----


@test
def odd_paths_are_refused_or_right(base):
    place = Place(base)
    place.commit({b"folder/x": b"x\n", b"a": b"a\n"})
    tool = place.open()
    # A folder becomes a file.
    shutil.rmtree(os.path.join(place.folder, "folder"))
    write(place.folder, b"folder", b"now a file\n")
    files = tool.diff("worktree")
    before = place.both()
    tool.do(f"file {[file['new'] for file in files].index(b'folder')}")
    assert "folder" in tool.refused("add")
    assert place.both() == before
    tool.do("all")
    tool.do("add")
    assert set(entries(place.folder)) == {b"a", b"folder"}
    tool.do("undo")
    assert place.both() == before
    os.remove(os.path.join(place.folder, "folder"))
    # A folder becomes a link that leads elsewhere: what lies behind it isn't the repository's.
    outside = os.path.join(base, "outside")
    os.mkdir(outside)
    write(outside, b"x", b"outside\n")
    os.symlink(outside, os.path.join(place.folder, "folder"))
    files = tool.diff("worktree")
    gone = [i for i, file in enumerate(files) if file["old"] == b"folder/x"]
    assert gone and files[gone[0]]["status"] == "deleted"
    tool.do(f"file {gone[0]}")
    tool.refused("discard")
    assert read(outside, b"x") == b"outside\n"
    os.remove(os.path.join(place.folder, "folder"))
    # Intent to add, as git add -N.
    write(place.folder, b"n", lines(4))
    tool.do("intend " + b"n".hex())
    assert b" A n" in git(place.folder, "status", "--porcelain", "-z").stdout
    files = tool.diff("worktree")
    i = [file["new"] for file in files].index(b"n")
    tool.do(f"lines {files[i]['hunks'][0]['index']} 1 2")
    tool.do("add")
    assert git(place.folder, "show", ":n").stdout == b"line 1\nline 2\n"
    tool.do("undo")
    assert b" A n" in git(place.folder, "status", "--porcelain", "-z").stdout
    assert "git" in tool.refused("intend " + b".git/hooks/x".hex()) and "git" in tool.refused("intend " + b"../x".hex())
    # A rule file that is a pipe must not be waited for.
    os.mkfifo(os.path.join(place.folder, ".gitattributes"))
    tool.diff("worktree")
    tool.do("all")
    assert "plain" in tool.refused("add")
    place.close()


@test
def modes_count_where_they_are_kept(base):
    place = Place(base)
    place.commit({b"a": lines(5), b"b": lines(5)})
    git(place.folder, "config", "core.fileMode", "false")
    for name in ("a", "b"):
        os.chmod(os.path.join(place.folder, name), 0o755)
    write(place.folder, b"a", lines(6))
    os.chmod(os.path.join(place.folder, "a"), 0o750)
    tool, before = place.open(), place.both()
    files = tool.diff("worktree")
    assert [file["new"] for file in files] == [b"a"] and files[0]["old_mode"] == files[0]["new_mode"] == 0o100644
    tool.do("hunk 0")
    tool.do("discard")
    assert snapshot(place.folder)[b"a"] == (0o750, lines(5))
    tool.do("undo")
    git(place.folder, "config", "core.fileMode", "true")
    place.open()
    tool = place.tool
    files = tool.diff("worktree")
    assert [file["new_mode"] for file in files] == [0o100755, 0o100755]
    tool.do("mode 1")
    tool.do("add")
    assert entries(place.folder)[b"b"][0] == b"100755" and entries(place.folder)[b"a"][0] == b"100644"
    tool.do("undo")
    tool.diff("worktree")
    tool.do("mode 0")
    tool.do("discard")
    assert snapshot(place.folder)[b"a"] == (0o640, lines(6))
    tool.do("undo")
    assert place.both() == before
    place.close()


@test
def large_files_go_as_a_whole(base):
    place = Place(base)
    place.commit({b"one": b"x" * (9 << 20)})
    write(place.folder, b"one", b"y" * (9 << 20))
    tool, before = place.open(), place.both()
    files = tool.diff("worktree")
    assert files[0]["whole"] and not files[0]["hunks"]
    tool.do("file 0")
    tool.do("add")
    id_ = git(place.folder, "hash-object", "one").stdout.strip()
    assert entries(place.folder)[b"one"][1] == id_
    tool.do("undo")
    tool.diff("worktree")
    tool.do("all")
    tool.do("discard")
    assert read(place.folder, b"one") == b"x" * (9 << 20)
    tool.do("undo")
    assert place.both() == before
    place.close()


def stage_all(folder, state):
    tool = Tool(folder, state)
    tool.diff("worktree")
    tool.do("all")
    answer = tool.ask("add")
    tool.close()
    return answer


@test
def odd_repositories_work_or_refuse(base):
    def make(name, *options):
        path = os.path.join(base, name)
        os.mkdir(path)
        place = Place(path, *options)
        return place

    unborn = make("unborn")
    write(unborn.folder, b"a", b"a\n")
    assert stage_all(unborn.folder, unborn.state).startswith("ok")
    tool = unborn.open()
    tool.diff("staged")
    tool.do("all")
    tool.do("remove")
    assert not entries(unborn.folder)
    unborn.close()
    unborn.commit({b"a": b"a\n"})
    git(unborn.folder, "worktree", "add", "-q", "--detach", "../linked")
    linked = os.path.join(base, "unborn", "linked")
    write(linked, b"a", b"b\n")
    before = entries(linked)
    assert stage_all(linked, unborn.state).startswith("ok") and entries(linked) != before
    assert entries(unborn.folder) == before  # each worktree has its own index and its own journal
    tool = Tool(linked, unborn.state)
    tool.do("undo")
    tool.close()
    assert entries(linked) == before
    conflict = make("conflict")
    conflict.commit({b"a": b"base\n"})
    git(conflict.folder, "checkout", "-q", "-b", "other")
    conflict.commit({b"a": b"other\n"})
    git(conflict.folder, "checkout", "-q", "main")
    conflict.commit({b"a": b"main\n"})
    git(conflict.folder, "merge", "-q", "other", check=False)
    assert "conflict" in stage_all(conflict.folder, conflict.state)
    wide = os.path.join(base, "wide")
    os.mkdir(wide)
    git(wide, "init", "-q", "--object-format=sha256")
    result = subprocess.run([TOOL, wide, unborn.state], input=b"", stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False, env=LEAKING)
    assert result.returncode == 3 and result.stderr.count(b"\n") == 1, result
    git(base, "init", "-q", "--bare", "bare")
    bare = Tool(os.path.join(base, "bare"), unborn.state)
    assert "bare" in bare.refused("diff staged") and "bare" in bare.refused("undo")
    bare.close()


# ---- hunks by hand ----


@test
def edited_hunks_apply_or_are_refused(base):
    place = Place(base)
    place.commit({b"a": lines(20)})
    write(place.folder, b"a", lines(20).replace(b"line 4\n", b"four\n").replace(b"line 12\n", b"twelve\nmore\n"))
    tool, before = place.open(), place.both()
    tool.diff("worktree")
    text = bytes.fromhex(tool.do("hunk-text 1"))
    assert b"+twelve\n+more\n" in text and b"#" in text
    edited = text.replace(b"+twelve\n", b"+by hand\n").replace(b"+more\n", b"").replace(b"@@ -10,7 +10,8", b"@@ -1 +1")
    tool.do("edit 1 forward " + edited.hex())
    patch = bytes.fromhex(tool.do("print 0"))
    assert b"@@ -10,7 +10,7 @@" in patch, patch
    tool.do("add")
    assert git(place.folder, "show", ":a").stdout == lines(20).replace(b"line 12\n", b"by hand\n")
    tool.do("undo")
    assert place.both() == before
    for bad, said in ((text.replace(b" line 10\n", b" line X\n"), "line"), (b"", "no change"), (b"what\n", "begins with"),
                      (text.replace(b"-line 12\n", b" line 12\n").replace(b"+twelve\n+more\n", b""), "no change"),
                      (b"+alone\n", "belongs")):
        tool.diff("worktree")
        answer = tool.refused("edit 1 forward " + bad.hex())
        assert said in answer, answer
    # Cut context, and in reverse: of what is staged.
    tool.diff("worktree")
    tool.do("edit 1 forward " + b"-line 12\n+cut\n line 13\n".hex())
    tool.do("add")
    assert git(place.folder, "show", ":a").stdout == lines(20).replace(b"line 12\n", b"cut\n")
    tool.diff("staged")
    tool.do("edit 0 reverse " + b" line 11\n-other\n+cut\n".hex())
    tool.do("remove")
    assert git(place.folder, "show", ":a").stdout == lines(20).replace(b"line 12\n", b"other\n")
    place.close()


# ---- programs ----


@test
def nothing_of_the_configuration_is_run(base):
    place = Place(base)
    canary = os.path.join(base, "canary")
    hooks = os.path.join(base, "hooks")
    os.mkdir(hooks)
    program = os.path.join(base, "program")
    write(base, b"program", b"#!/bin/sh\ntouch %s-program\nexit 1\n" % os.fsencode(canary))
    os.chmod(program, 0o755)
    for hook in ("pre-commit", "post-index-change", "post-checkout", "fsmonitor-watchman", "reference-transaction"):
        write(hooks, os.fsencode(hook), b"#!/bin/sh\ntouch %s-%s\n" % (os.fsencode(canary), os.fsencode(hook)))
        os.chmod(os.path.join(hooks, hook), 0o755)
    place.commit({b".gitattributes": b"*.c diff=mine\n*.big filter=mine\n*.m merge=mine\n", b"a.c": lines(9), b"b": lines(9)})
    for key in ("core.fsmonitor", "core.pager", "core.editor", "core.sshCommand", "core.gitProxy", "core.askPass", "diff.external", "diff.mine.command",
                "diff.mine.textconv", "filter.mine.clean", "filter.mine.smudge", "filter.mine.process", "merge.mine.driver", "gpg.program",
                "pager.diff", "sequence.editor", "interactive.diffFilter", "credential.helper", "alias.commit", "core.alternateRefsCommand",
                "uploadpack.packObjectsHook"):
        git(place.folder, "config", key, program)
    git(place.folder, "config", "core.hooksPath", hooks)
    write(place.folder, b"a.c", lines(12))
    write(place.folder, b"b", lines(5))
    write(place.folder, b"x.big", b"big\n")
    log = os.path.join(base, "log")
    script = (b"diff worktree\nfile 1\nadd\nundo\ndiff worktree\nfile 0\nfile 1\nadd\ndiff staged\nhunk 0\nremove\ndiff worktree\nhunk 0\ndiscard\nundo\n"
              b"diff worktree\nfile 1\nadd\nblame 1 3 b\nfind-fixup\n")
    result = subprocess.run(["strace", "-f", "-qq", "-o", log, "-e", "trace=execve,execveat", TOOL, place.folder, place.state], input=script,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=LEAKING, check=False)
    assert result.returncode == 0, result
    answers = result.stdout.decode().splitlines()
    refused = [answer for answer in answers if answer.startswith("no")]
    assert len(refused) == 1 and "filter" in refused[0], refused
    runs = [line for line in read(base, b"log").decode().splitlines() if "execve" in line]
    assert len(runs) == 1 and TOOL in runs[0], runs
    found = [name for name in os.listdir(base) if name.startswith("canary")]
    assert not found, found
    # Only a commit runs what is the commit's.
    tool = place.open()
    tool.do("commit - " + b"first message\n".hex())
    place.close()
    found = sorted(name for name in os.listdir(base) if name.startswith("canary"))
    assert "canary-pre-commit" in found, found


def committed(tool, flags, text):
    status, id_, path, said = (tool.do(f"commit {flags} {text.hex()}") + " ").split(" ")[:4]
    return int(status), id_, path, bytes.fromhex(said)


@test
def commits_are_gits_own(base):
    place = Place(base)
    place.commit({b"a": lines(9), b"b": lines(30)}, "begin")
    place.commit({b"b": lines(30).replace(b"line 20\n", b"twenty\n")}, "twenty it is")
    second = git(place.folder, "rev-parse", "HEAD").stdout.decode().strip()
    place.commit({b"a": lines(10)}, "ten")
    third = git(place.folder, "rev-parse", "HEAD").stdout.decode().strip()
    tool = place.open()

    def body():
        return git(place.folder, "log", "-1", "--format=%B").stdout.strip()

    write(place.folder, b"b", read(place.folder, b"b").replace(b"twenty\n", b"Twenty\n"))
    tool.diff("worktree")
    tool.do("all")
    tool.do("add")
    tool.diff("staged")
    assert tool.do("find-fixup") == second
    assert tool.do("blame 20 22 b").split()[1].startswith(second + ":21")
    status, id_, path, _ = committed(tool, "f" + second, b"")
    assert status == 0 and path == "-" and id_ == git(place.folder, "rev-parse", "HEAD").stdout.decode().strip() != third
    assert body() == b"fixup! twenty it is"
    status, _, _, _ = committed(tool, "a", b"Say it otherwise\n\n#hash lines stay\n")
    assert status == 0 and body() == b"Say it otherwise\n\n#hash lines stay"
    status, _, _, _ = committed(tool, "e", b"empty")
    assert status == 0
    status, _, path, said = committed(tool, "-", b"nothing is staged")
    assert status == 1 and b"nothing" in said and read(place.folder, b".git/FATHOM_EDITMSG") == b"nothing is staged"
    assert path.endswith("FATHOM_EDITMSG")
    # A hook that refuses: message and index stay, and what it said comes back without control bytes.
    hook = os.path.join(place.folder, ".git", "hooks", "pre-commit")
    os.makedirs(os.path.dirname(hook), exist_ok=True)
    write(place.folder, b".git/hooks/pre-commit", b"#!/bin/sh\nprintf 'not \\033[31mtoday\\033[0m\\n'; exit 1\n")
    os.chmod(hook, 0o755)
    write(place.folder, b"a", lines(11))
    git(place.folder, "add", "a")
    index = entries(place.folder)
    status, id_, path, said = committed(tool, "-", b"kept message")
    assert status == 1 and id_ == "-" and b"not ^[[31mtoday" in said, said
    assert read(place.folder, b".git/FATHOM_EDITMSG") == b"kept message" and entries(place.folder) == index
    # So does a signer.
    os.remove(hook)
    git(place.folder, "config", "commit.gpgSign", "true")
    git(place.folder, "config", "gpg.program", "/bin/false")
    status, _, path, said = committed(tool, "-", b"unsigned")
    assert status != 0 and said and read(place.folder, b".git/FATHOM_EDITMSG") == b"unsigned"
    git(place.folder, "config", "commit.gpgSign", "false")
    status, _, _, _ = committed(tool, "s", b"signed off")
    assert status == 0 and body() == b"signed off\n\nSigned-off-by: a <a@b>"
    assert not os.path.exists(os.path.join(place.folder, ".git", "FATHOM_EDITMSG"))
    assert "message" in tool.refused("commit - " + b" \n".hex())
    place.close()
    # Where there is no git.
    os.mkdir(os.path.join(base, "empty"))
    tool = Tool(place.folder, place.state)
    tool.close()
    result = subprocess.run([TOOL, place.folder, place.state], input=b"commit e 61\n", stdout=subprocess.PIPE, check=False,
                            env={**ENV, "PATH": os.path.join(base, "empty")})
    assert result.stdout.startswith(b"no ") and b"git" in result.stdout, result


def main():
    failed = 0
    for function in TESTS:
        if len(sys.argv) > 1 and sys.argv[1] not in function.__name__:
            continue
        base = tempfile.mkdtemp(prefix="guards-")
        begin = time.monotonic()
        try:
            function(base)
            good = True
        except AssertionError as problem:
            good = False
            print(f"# {str(problem)[:2500]}")
        print(("ok" if good else "not ok") + f" stage: {function.__name__.replace('_', ' ')}")
        print(f"# {time.monotonic() - begin:.1f} s")
        failed += not good
        shutil.rmtree(base, ignore_errors=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
