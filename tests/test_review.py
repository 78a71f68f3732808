#!/usr/bin/env python3
"""`fathom review` and `fathom hook` as a user has them: what a scripted model says in every form that is printed, the default model's
surprise against `fathom eval`, what is read and what isn't, interruptions, hooks run by git itself, and that a repository's
configuration runs nothing.

Needs FATHOM_PROGRAM (and fathom-scripted beside it), FATHOM_TEST_MODEL, git, strace and jsonschema."""

import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import jsonschema

PROGRAM = os.path.abspath(os.environ.get("FATHOM_PROGRAM", "build/fathom"))
SCRIPTED = PROGRAM + "-scripted"
MODEL = os.path.abspath(os.environ.get("FATHOM_TEST_MODEL", "build/test-data/models/SmolLM2-135M-Instruct.Q4_1.gguf"))
TOOL = os.path.join(os.path.dirname(PROGRAM), "tests", "tools", "surprise")
ROOT = tempfile.mkdtemp(prefix="fathom-review-")
IS_SLOW = float(os.environ.get("TEST_SLOWNESS", "1")) > 1
TESTS = []

OLD = """import os

def average(values):
    if not values:
        return 0
    return sum(values) / len(values)

def report(values):
    print(average(values))
"""
NEW = OLD.replace("    if not values:\n        return 0\n    return sum(values) / len(values)\n",
                  "    total = 0\n    for value in values:\n        total =+ value\n    return total / len(values)\n")
FINDING = ('{"severity":"%s","line":%d,"end_line":%d,"title":"%s","detail":"`total` is set anew","symbols":["total"]}')
GOOD = FINDING % ("high", 6, 6, "the sum isn't added up")


def test(function):
    TESTS.append(function)
    return function


def environment(**more):
    return {**os.environ, "HOME": ROOT, "GIT_CONFIG_SYSTEM": "/dev/null", "GIT_AUTHOR_NAME": "a",
            "GIT_AUTHOR_EMAIL": "a@b", "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@b", "FATHOM_MODEL": MODEL,
            "FATHOM_SCRIPT": os.path.join(ROOT, "script"), "XDG_STATE_HOME": os.path.join(ROOT, "state"),
            "XDG_CACHE_HOME": os.path.join(ROOT, "cache"), "XDG_CONFIG_HOME": os.path.join(ROOT, "config"), **more}


def git(folder, *words, check=True, **more):
    return subprocess.run(["git", *words], cwd=folder, env=environment(**more), capture_output=True, check=check, stdin=subprocess.DEVNULL)


def write(*path, text):
    path = os.path.join(*path)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    return path


def script(*answers, decode_us=0):
    write(ROOT, "script", text=f"prefill_us=0 decode_us={decode_us}\n" + "\n\f\n".join(answers))


class Place:
    """A repository with one commit, and a change of it that is staged."""
    number = 0

    def __init__(self, old=OLD, new=NEW, name="calc.py"):
        Place.number += 1
        self.folder = os.path.join(ROOT, f"place{Place.number}")
        os.mkdir(self.folder)
        git(self.folder, "init", "-q", "-b", "main")
        write(self.folder, name, text=old)
        git(self.folder, "add", ".")
        git(self.folder, "commit", "-q", "-m", "old")
        write(self.folder, name, text=new)
        git(self.folder, "add", ".")

    def run(self, *words, program=SCRIPTED, status=0, text=None, cwd=None, **more):
        done = subprocess.run([program, *words], cwd=cwd or self.folder, env=environment(**more), input=text, capture_output=True, timeout=250)
        assert done.returncode == status, (words, done.returncode, done.stdout[-2000:], done.stderr[-2000:])
        return done

    def json(self, *words, **more):
        return json.loads(self.run("review", "--json", *words, **more).stdout)


# ---- what is printed ----

TEXT = {"type": "object", "required": ["text"], "properties": {"text": {"type": "string", "minLength": 1}}, "additionalProperties": False}
LEVEL = {"enum": ["none", "note", "warning", "error"]}


def closed(required, **properties):
    return {"type": "object", "required": required, "properties": properties, "additionalProperties": False}


def some(schema, least=0):
    return {"type": "array", "items": schema, "minItems": least}


# The parts of SARIF 2.1.0's schema that are used, with what it requires of them.
RULE = closed(["id"], id={"type": "string"}, shortDescription=TEXT, defaultConfiguration=closed([], level=LEVEL))
DRIVER = closed(["name"], name={"type": "string"}, semanticVersion={"type": "string", "pattern": r"^\d+\.\d+\.\d+"}, rules=some(RULE))
REGION = closed(["startLine"], startLine={"type": "integer", "minimum": 1}, endLine={"type": "integer", "minimum": 1})
ARTIFACT = closed([], uri={"type": "string", "pattern": "^[A-Za-z0-9._~/%-]+$"}, uriBaseId={"type": "string"})
LOCATION = closed([], physicalLocation=closed(["artifactLocation"], artifactLocation=ARTIFACT, region=REGION))
RESULT = closed(["message"], message=TEXT, ruleId={"enum": ["critical", "high", "medium", "low"]}, level=LEVEL,
                ruleIndex={"type": "integer", "minimum": 0, "maximum": 3}, rank={"type": "number", "minimum": 0, "maximum": 100},
                partialFingerprints={"type": "object", "additionalProperties": {"type": "string"}}, properties={"type": "object"},
                locations=some(LOCATION))
INVOCATION = closed(["executionSuccessful"], executionSuccessful={"type": "boolean"},
                    toolExecutionNotifications=some(closed(["message"], message=TEXT, level=LEVEL)))
RUN = closed(["tool"], tool=closed(["driver"], driver=DRIVER), invocations=some(INVOCATION), results=some(RESULT))
SARIF = closed(["version", "runs"], **{"$schema": {"type": "string"}, "version": {"const": "2.1.0"}, "runs": some(RUN, 1)})

FOUND = {"type": "object", "required": ["base", "head", "findings", "hunks", "summary"], "properties": {
    "base": {"type": "string"}, "head": {"type": "string"}, "summary": {"type": "string"},
    "findings": some({"type": "object", "required": ["id", "path", "lines", "severity", "title", "detail", "confidence", "hunk"], "properties": {
        "id": {"type": "string", "pattern": "^[0-9a-f]{16}$"}, "lines": {"type": "array", "minItems": 2, "maxItems": 2, "items": {"type": "integer"}},
        "severity": {"enum": ["critical", "high", "medium", "low"]}, "title": {"type": "string", "maxLength": 80},
        "confidence": {"type": "number", "minimum": 0, "maximum": 1}}}),
    "hunks": some({"type": "object", "required": ["id", "path", "header", "surprise"], "properties": {
        "header": {"type": "string", "pattern": "^@@ "}, "surprise": {"type": ["number", "null"]}}})}}


@test
def findings_come_in_all_forms():
    place = Place(name="a folder/na\u00efve.py")
    script(GOOD + "," + FINDING % ("low", 5, 5, "unknown() is called") + "]")
    found = place.json("--no-save")
    jsonschema.validate(found, FOUND)
    (finding,) = found["findings"]
    assert (finding["path"], finding["lines"], finding["severity"]) == ("a folder/na\u00efve.py", [6, 6], "high"), finding
    assert found["dropped"] == {"malformed": 0, "range": 0, "duplicate": 0, "symbol": 1}, found
    assert finding["hunk"] == found["hunks"][0]["id"] and found["head"] == "index" and len(found["base"]) == 40
    text = place.run("review", "--no-save").stdout.decode()
    assert "a folder/na\u00efve.py:6: high: the sum isn't added up" in text and finding["id"] in text, text
    assert "dropped 1 that can't be (1 unknown symbol)" in text, text
    log = json.loads(place.run("review", "--sarif", "--no-save").stdout)
    jsonschema.Draft7Validator.check_schema(SARIF)
    jsonschema.validate(log, SARIF)
    (result,) = log["runs"][0]["results"]
    where = result["locations"][0]["physicalLocation"]
    assert (result["level"], where["region"], where["artifactLocation"]["uri"]) == (
        "error", {"startLine": 6, "endLine": 6}, "a%20folder/na%C3%AFve.py"), result
    assert result["partialFingerprints"]["fathomFinding/v1"] == finding["id"]


@test
def a_path_may_stand_alone():
    place = Place()
    script(GOOD + "]")
    write(place.folder, "main", text="a file that is called as a branch is\n")
    assert len(place.json("--no-save", "calc.py")["findings"]) == 1
    assert place.json("--no-save", "main")["head"] != "index"
    os.mkdir(os.path.join(place.folder, "below"))
    assert len(place.json("--no-save", "../calc.py", cwd=os.path.join(place.folder, "below"))["findings"]) == 1
    assert b"nowhere.py" in place.run("review", "nowhere.py", status=3).stderr


@test
def a_long_hunk_is_read_as_far_as_it_was_shown():
    long = "def added(total):\n" + "".join("    total = total + %d\n" % i for i in range(400))
    place = Place(old="total = 0\n", new="total = 0\n" + long)
    script(FINDING % ("high", 390, 390, "total is wrong at the end") + "," + FINDING % ("low", 3, 3, "total is wrong here") + "]")
    found = place.json("--no-save", "--budget", "2048")
    seen = 402 - found["hunks"][0]["unseen"]
    assert found["findings"] and all(each["lines"][1] <= seen for each in found["findings"]), found # 390 can't even be said
    assert 0 < seen < 100 and "1 of them only in its first lines" in found["summary"], found
    script(FINDING % ("low", 3, 3, "total is wrong here") + "]")
    found = place.json("--budget", "2048")
    kept = place.json("--budget", "2048")
    assert kept["hunks"][0]["state"] == "kept" and kept["hunks"][0]["unseen"] == found["hunks"][0]["unseen"], kept
    place = Place(old="total = 0\n", new="total = '" + "x" * 5000 + "'\n")
    found = place.json("--no-save", "--budget", "512", "calc.py") # named: so it is not left out as minified
    assert found["hunks"][0]["why"] == "longer than --budget" and not found["findings"], found


@test
def severity_decides_the_status():
    place = Place()
    script(GOOD + "]")
    for words, status in ((["--fail-on", "critical"], 0), (["--fail-on", "high"], 1), (["--fail-on", "low"], 1), ([], 0), (["--fail-on", "never"], 0),
                          (["--fail-on", "worst"], 2), (["--staged", "--worktree"], 2), (["main...HEAD"], 2), (["nowhere"], 3), (["--budget", "100"], 2), (["-m", "/none.gguf"], 3)):
        done = place.run("review", *words, status=status)
        if status > 1:
            assert not done.stdout and done.stderr.count(b"\n") == 1, done
    script("]")
    place.run("review", "--no-save", "--fail-on", "low")


@test
def what_is_reviewed_can_be_chosen():
    place = Place()
    script("]")
    write(place.folder, "other/new.py", text="x = 1\n")
    paths = lambda *words, **more: [hunk["path"] for hunk in place.json("--no-save", *words, **more)["hunks"]]
    assert paths() == paths("--staged") == ["calc.py"]
    assert paths("--worktree") == ["other/new.py"]
    assert paths("--staged", "other") == [] and paths("--staged", "calc.py", "other") == ["calc.py"]
    assert paths("--staged", ".", cwd=os.path.join(place.folder, "other")) == [], "a folder limits"
    assert "nothing changed in these paths" in place.json("--staged", "other")["summary"]
    git(place.folder, "commit", "-q", "-m", "new")
    for words in (["HEAD"], ["HEAD~..HEAD"], ["HEAD~.."], ["main", "calc.py"]):
        assert paths(*words) == ["calc.py"], words
    empty = place.run("review")
    assert empty.stdout == b"nothing to review: nothing is staged\n", empty
    assert json.loads(place.run("review", "--sarif").stdout)["runs"][0]["results"] == []
    # A diff on stdin, within its repository and outside of any.
    patch = git(place.folder, "diff", "HEAD~", "HEAD").stdout
    within, outside = place.json("-", text=patch), place.json("-", text=patch, cwd=ROOT)
    assert [hunk["id"] for hunk in within["hunks"]] == [hunk["id"] for hunk in outside["hunks"]] != []
    assert "nothing to review" in place.json("-", text=b"")["summary"]
    place.run("review", "-", text=b"@@ -1,5 +1,5 @@\n broken\n", status=3)


@test
def only_what_changed_is_read_again():
    filler = "".join(f"# line {i}\n" for i in range(30))
    place = Place(OLD + filler + "end = 1\n", NEW + filler + "end = 2\n")
    script("", GOOD + "]", "]")
    first = place.json()
    assert [hunk["state"] for hunk in first["hunks"]] == ["read", "read"], first
    # One hunk moves, the other changes.
    write(place.folder, "calc.py", text="# above\n" + NEW + filler + "end = 3\n")
    git(place.folder, "add", ".")
    script("", "]")
    second = place.json()
    states = {hunk["header"].split()[1]: hunk["state"] for hunk in second["hunks"]}
    assert len(states) == 2 and "kept" not in states.values(), "what stands around the first is part of it: a line came before it"
    write(place.folder, "calc.py", text=NEW + filler + "end = 4\n")
    git(place.folder, "add", ".")
    third = place.json()
    assert [hunk["state"] for hunk in third["hunks"]] == ["kept", "read"] and third["findings"] == first["findings"], third
    assert [hunk["state"] for hunk in place.json()["hunks"]] == ["kept", "kept"]
    assert not os.path.exists(os.path.join(place.folder, ".fathom"))
    place = Place()
    script(GOOD + "]")
    found = place.json()["findings"]
    place.run("review", "--dismiss", found[0]["id"])
    place.run("review", "--dismiss", "x", status=2)
    again = place.json()
    assert again["findings"] == [] and again["dismissed"] == 1 and again["hunks"][0]["state"] == "kept", again


@test
def secrets_and_generated_files_are_left_out():
    place = Place(name="app/.env")
    write(place.folder, "package-lock.json", text="{}\n")
    git(place.folder, "add", ".")
    script("]")
    found = place.json("--no-save")
    assert {hunk["path"]: hunk.get("why") for hunk in found["hunks"]} == {"app/.env": "secret", "package-lock.json": "generated"}, found
    assert found["prompt_tokens"] == 0 and found["unusual"] == [], found
    assert place.json("--no-save", "--staged", "app/.env")["hunks"][0]["state"] == "read", "asked for by name"


@test
def an_interruption_prints_what_there_is():
    place = Place()
    script(GOOD + "," + FINDING % ("low", 5, 5, "another title of some length") + "]", decode_us=20000)
    process = subprocess.Popen([SCRIPTED, "review", "--json", "--no-save", "--no-refresh"], cwd=place.folder, env=environment(), stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, stdin=subprocess.DEVNULL,
                               preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler))
    for _ in range(6000):  # until it has a handler; before, a signal would just end it
        with open(f"/proc/{process.pid}/status", encoding="ascii") as file:
            if int(re.search(r"^SigCgt:\s*(\w+)$", file.read(), re.M)[1], 16) >> (signal.SIGINT - 1) & 1:
                break
        time.sleep(0.01)
    time.sleep(3)  # the first finding takes 2.6 s, both of them 5.2
    process.send_signal(signal.SIGINT)
    began = time.monotonic()
    out, err = process.communicate(timeout=60)
    found = json.loads(out)
    assert process.returncode == 130 and time.monotonic() - began < 5, (process.returncode, err)
    assert found["interrupted"] and found["hunks"][0]["state"] == "unread" and len(found["findings"]) <= 1, found


# ---- the default model ----


@test
def surprise_is_what_eval_says():
    path = write(ROOT, "eval.py", text=NEW)
    listed = json.loads(subprocess.run([TOOL, MODEL, "ids"], input=f"6 2 {path}\n", capture_output=True, check=True, encoding="ascii").stdout)
    assert len(listed) > 10
    for token, logprob, before in listed[::3] if not IS_SLOW else listed[:1]:
        words = ["eval", "--tokens", ",".join(map(str, before)), "--top", "49152", "--json"]
        top = json.loads(subprocess.run([PROGRAM, *words], env=environment(), capture_output=True, check=True).stdout)["top"]
        (own,) = [each["logprob"] for each in top if each["id"] == token]
        assert abs(own - logprob) < 1e-3, (token, own, logprob)


@test
def the_default_model_reads_a_diff():
    place = Place()
    found = place.json("--no-save", program=PROGRAM)
    jsonschema.validate(found, FOUND)
    assert found["hunks"][0]["state"] == "read" and found["hunks"][0]["surprise"] > 0
    for finding in found["findings"]:
        assert 2 <= finding["lines"][0] <= finding["lines"][1] <= 11 and finding["path"] == "calc.py", finding
    lines = found["unusual"]
    assert [line["rank"] for line in lines] == list(range(1, len(lines) + 1)) and len(lines) == 4
    assert lines[0]["text"] == "        total =+ value\n" and lines[0]["token"]["piece"] == "+", lines[0]
    assert len(lines[0]["alternatives"]) == 4 and lines[0]["deleted"] > 0
    own = json.loads(subprocess.run([TOOL, MODEL], input=f"4 4 {place.folder}/calc.py\n", capture_output=True, check=True, encoding="ascii").stdout)
    for line in lines:
        nats, n, _ = own[line["line"] - 4]
        assert n == line["tokens"] and math.isclose(nats / n, line["surprise"], abs_tol=1e-4), (own, line)
    if IS_SLOW:
        return
    assert place.json("--no-save", program=PROGRAM) == found, "the same diff, the same answer"
    # Of a diff on stdin the file in the worktree tells what stands around.
    patch = git(place.folder, "diff", "--cached").stdout
    piped = place.json("--no-save", "-", "--only", "unusual", program=PROGRAM, text=patch)
    assert piped["unusual"] == lines and piped["findings"] == [], piped


# ---- hooks ----


def commit(place, *words, status=0, **more):
    done = git(place.folder, "commit", "-q", *words, check=False, **more)
    assert (done.returncode != 0) == (status != 0), done
    return done.stderr.decode()


def hook_path(place, name="pre-commit"):
    return os.path.join(place.folder, ".git", "hooks", name)


@test
def a_hook_stops_a_commit():
    place = Place()
    place.run("hook", "status", status=1)
    place.run("hook", "install", "pre-commit")
    place.run("hook", "status", "pre-commit")
    script(GOOD + "]")
    said = commit(place, "-m", "new", status=1)
    assert "the sum isn't added up" in said and "--no-verify" in said, said
    place.run("hook", "install", "pre-commit", "--fail-on", "critical")
    said = commit(place, "-m", "new")
    assert "the sum isn't added up" in said, said
    # Of `git commit -a` git hands another index to the hook.
    write(place.folder, "calc.py", text=NEW + "\nprint('more')\n")
    script((FINDING % ("critical", 12, 12, "it prints")).replace("total", "print") + "]")
    assert "it prints" in commit(place, "-a", "-m", "more", status=1)
    # A review that fails stops nobody.
    commit(place, "-a", "-m", "more", FATHOM_MODEL="/nowhere.gguf")
    place.run("hook", "remove", "pre-commit")
    assert not os.path.exists(hook_path(place))


@test
def a_hook_proposes_a_message():
    place = Place()
    editor = write(ROOT, "editor", text='#!/bin/sh\ncp "$1" "$SEEN"\n')
    os.chmod(editor, 0o755)
    seen = os.path.join(ROOT, "seen")
    place.run("hook", "install", "prepare-commit-msg")
    script("Add totals by hand")
    git(place.folder, "commit", GIT_EDITOR=editor, SEEN=seen)
    with open(seen, encoding="utf-8") as file:
        proposed = file.read()
    assert proposed.startswith("Add totals by hand\n") and "# Please enter the commit message" in proposed, proposed
    assert git(place.folder, "log", "-1", "--format=%B").stdout.strip() == b"Add totals by hand"
    # Whoever says something is not spoken for, and without a model there is no message, and no failure.
    for words, model, expected in ((["-m", "mine"], MODEL, b"mine"), (["--amend", "--no-edit"], MODEL, b"mine")):
        write(place.folder, "calc.py", text=NEW + f"\nx = '{words}'\n")
        git(place.folder, "add", ".")
        git(place.folder, "commit", *words, FATHOM_MODEL=model)
        assert git(place.folder, "log", "-1", "--format=%B").stdout.strip() == expected
    write(place.folder, "calc.py", text=OLD)
    done = git(place.folder, "commit", "-a", check=False, GIT_EDITOR=editor, SEEN=seen, FATHOM_MODEL="/nowhere.gguf")
    assert done.returncode == 1 and b"empty commit message" in done.stderr, done
    git(place.folder, "commit", "-q", "-a", GIT_EDITOR=editor, SEEN=seen)


@test
def others_hooks_stay():
    place = Place()
    theirs = write(place.folder, ".git", "hooks", "pre-commit", text="#!/bin/sh\necho theirs $# >&2\nexit $THEIR_STATUS\n")
    os.chmod(theirs, 0o755)
    before = os.stat(theirs)
    said = place.run("hook", "install").stdout.decode()
    assert "runs first" in said, said
    place.run("hook", "install")  # once more changes nothing
    script("]")
    assert "theirs 0" in commit(place, "-m", "new", status=1, THEIR_STATUS="1")
    assert "theirs 0" in commit(place, "-m", "new", THEIR_STATUS="0")
    place.run("hook", "status")
    place.run("hook", "remove")
    after = os.stat(theirs)
    assert (before.st_ino, before.st_mode, before.st_mtime_ns) == (after.st_ino, after.st_mode, after.st_mtime_ns)
    assert sorted(name for name in os.listdir(os.path.dirname(theirs)) if not name.endswith(".sample")) == ["pre-commit"]
    # One that was edited is theirs now.
    place.run("hook", "install")
    with open(theirs, "a", encoding="utf-8") as file:
        file.write("echo mine\n")
    edited = open(theirs, encoding="utf-8").read()
    for action in ("install", "remove"):
        done = place.run("hook", action, "pre-commit", status=3)
        assert done.stderr.count(b"\n") == 1 and open(theirs, encoding="utf-8").read() == edited
    assert "edited" in place.run("hook", "status", status=0).stdout.decode()
    # Something in the way of what was there.
    place = Place()
    write(place.folder, ".git", "hooks", "pre-commit", text="#!/bin/sh\n")
    write(place.folder, ".git", "hooks", "pre-commit.before-fathom", text="x")
    place.run("hook", "install", "pre-commit", status=3)
    assert open(hook_path(place), encoding="utf-8").read() == "#!/bin/sh\n"


@test
def hooks_lie_where_git_looks():
    place = Place()
    script(GOOD + "]")
    other = os.path.join(ROOT, "worktree")
    git(place.folder, "worktree", "add", "-q", "-b", "side", other)
    place.run("hook", "install", "pre-commit", cwd=other)
    assert os.path.exists(hook_path(place))
    commit(place, "-m", "new", status=1)
    place.run("hook", "remove", cwd=other)
    git(place.folder, "config", "core.hooksPath", "my hooks")
    place.run("hook", "install", "pre-commit")
    assert os.path.exists(os.path.join(place.folder, "my hooks", "pre-commit")) and not os.path.exists(hook_path(place))
    commit(place, "-m", "new", status=1)
    git(place.folder, "config", "--unset", "core.hooksPath")
    shared = os.path.join(ROOT, "shared")
    write(ROOT, ".gitconfig", text=f"[core]\nhooksPath = {shared}\n")
    done = place.run("hook", "install", status=3)
    assert b"all of your repositories" in done.stderr and not os.path.exists(shared)
    os.unlink(os.path.join(ROOT, ".gitconfig"))
    place.run("hook", "install", cwd=ROOT, status=3)
    place.run("hook", "dance", status=2)
    place.run("hook", "install", "post-commit", status=2)
    git(place.folder, "config", "core.hooksPath", "/dev/null")
    place.run("hook", "install", status=3)


@test
def a_program_that_went_away_stops_nobody():
    place = Place()
    copy = os.path.join(ROOT, "it's gone")
    shutil.copy(SCRIPTED, copy)
    place.run("hook", "install", program=copy)
    os.unlink(copy)
    assert "does nothing" in commit(place, "-m", "new", PATH="/usr/bin:/bin")


# ---- hostile repositories ----


@test
def nothing_of_a_configuration_is_run():
    place = Place()
    canary = os.path.join(ROOT, "canary")
    program = write(ROOT, "program", text=f"#!/bin/sh\ntouch {canary}\nexit 1\n")
    os.chmod(program, 0o755)
    hooks = os.path.join(ROOT, "evil-hooks")
    for hook in ("pre-commit", "post-index-change", "post-checkout", "reference-transaction", "fsmonitor-watchman", "prepare-commit-msg"):
        os.chmod(write(hooks, hook, text=f"#!/bin/sh\ntouch {canary}\n"), 0o755)
    write(place.folder, ".gitattributes", text="*.py diff=mine filter=mine merge=mine\n")
    write(place.folder, ".fathomignore", text="*\n")
    for key in ("core.fsmonitor", "core.pager", "core.editor", "core.sshCommand", "core.gitProxy", "core.askPass", "diff.external", "diff.mine.command",
                "diff.mine.textconv", "filter.mine.clean", "filter.mine.smudge", "filter.mine.process", "merge.mine.driver", "gpg.program",
                "pager.diff", "pager.review", "credential.helper", "alias.review", "core.alternateRefsCommand", "interactive.diffFilter"):
        git(place.folder, "config", key, program)
    git(place.folder, "config", "core.hooksPath", hooks)
    write(place.folder, "calc.py", text=NEW + "\nx = 1\n")
    script("]")
    log = os.path.join(ROOT, "log")
    for words in (["review"], ["review", "--worktree"], ["review", "HEAD"], ["review", "HEAD..HEAD", "--sarif"], ["hook", "status"]):
        subprocess.run(["strace", "-f", "-qq", "-o", log, "-e", "trace=execve,execveat", SCRIPTED, *words], cwd=place.folder, env=environment(
            ASAN_OPTIONS="detect_leaks=0"), capture_output=True, check=False, timeout=100)
        with open(log, encoding="utf-8", errors="replace") as file:
            runs = [line for line in file if "execve" in line]
        assert len(runs) == 1 and SCRIPTED in runs[0], (words, runs)
    assert not os.path.exists(canary)


def main():
    failed = 0
    try:
        for function in TESTS:
            try:
                function()
                print("ok", function.__name__, flush=True)
            except Exception as error:  # pylint: disable=broad-except
                failed += 1
                print("not ok", function.__name__, repr(error)[:3000], flush=True)
                if "-v" in sys.argv:
                    raise
    finally:
        shutil.rmtree(ROOT, ignore_errors=True)
    return failed != 0


if __name__ == "__main__":
    sys.exit(main())
