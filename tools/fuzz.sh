#!/bin/bash
# Fuzzes every target (tests/fuzz/fuzz_NAME.c) for SECONDS, as many at a time as there are cores: tools/fuzz.sh SECONDS [NAME[:VARIANT]...]
#
# A target may come in variants, which a line "Variants: A B ..." in its head lists and FATHOM_FUZZ_VARIANT tells it: each is
# a run of its own, for SECONDS.
#
# First the proof that the target can fail: the same target with -DFATHOM_PLANT_BUG has to crash within PLANT_SECONDS (30).  Only
# then does the clean run mean something.  Seeds: tests/fuzz/seeds/NAME/; what is found is kept in build/fuzz/corpus/NAME
# and makes the next run start from there, what crashes goes to build/fuzz/crashes.  The last line counts.
set -u
cd "$(dirname "$0")/.." || exit 2
seconds=$1
shift
plant_seconds=${PLANT_SECONDS:-30}
passed=0 failed=0
jobs=$(nproc)

build() { # the fuzz targets, with and without their bugs, and all they link to, instrumented
    make --no-print-directory -j"$(nproc)" BUILD=build/fuzz CC=clang CUDA=0 CFLAGS='-O1 -g -fno-omit-frame-pointer' \
        COVERAGE=-fsanitize=fuzzer-no-link SANITIZE='-fsanitize=address,undefined -fno-sanitize-recover=all' fuzzers </dev/null >&2
}

fuzz() { # PROGRAM NAME[:VARIANT] SECONDS CORPUS...
    local program=$1_${2%%:*} name=${2/:/-} limit=$3
    shift 3
    # The same seed every time: a run that fails can be repeated.
    timeout -k 10 $((limit + 60)) "build/fuzz/tests/fuzz/$program" -max_total_time="$limit" -seed=1 -timeout=10 -rss_limit_mb=2048 \
        -max_len=65536 -print_final_stats=1 -artifact_prefix="build/fuzz/crashes/$name-" "$@" >"build/fuzz/$name.log" 2>&1 </dev/null
}

verdict() { # ok|"not ok" TEXT
    echo "$1 - $2"
}

try() { # NAME[:VARIANT]
    local name=${1/:/-} corpus=build/fuzz/corpus/${1/:/-} seeds=() status=0 planted runs
    export FATHOM_FUZZ_VARIANT=
    if [ "${1%%:*}" != "$1" ]; then FATHOM_FUZZ_VARIANT=${1#*:}; fi
    mkdir -p "$corpus" build/fuzz/crashes
    [ ! -d "tests/fuzz/seeds/${1%%:*}" ] || seeds=("tests/fuzz/seeds/${1%%:*}")
    planted=$(mktemp -d)
    fuzz planted_fuzz "$1" "$plant_seconds" "$planted" "${seeds[@]}" || status=$?
    rm -rf "$planted"
    if [ "$status" != 0 ] && [ "$status" != 124 ] && grep -q 'SUMMARY: \|deadly signal' "build/fuzz/$name.log"; then
        verdict ok "$name: the planted bug is found"
        rm -f build/fuzz/crashes/"$name"-*
    else
        verdict 'not ok' "$name: the planted bug is not found in $plant_seconds s"
    fi
    status=0
    fuzz fuzz "$1" "$seconds" "$corpus" "${seeds[@]}" || status=$?
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "build/fuzz/$name.log")
    if [ "$status" = 0 ]; then
        verdict ok "$name: nothing found in ${runs:-0} runs, $seconds s"
    else
        verdict 'not ok' "$name: exit status $status (input in build/fuzz/crashes)"
        tail -n 40 "build/fuzz/$name.log" | sed 's/^/    /'
    fi
}

names=("$@")
if [ ${#names[@]} = 0 ]; then
    for source in tests/fuzz/fuzz_*.c; do
        [ ! -e "$source" ] || names+=("$(basename "$source" .c | sed 's/^fuzz_//')")
    done
fi
runs=()
for name in "${names[@]}"; do
    variants=$(sed -n 's/^ \* Variants: //p' "tests/fuzz/fuzz_${name%%:*}.c")
    if [ "${name%%:*}" != "$name" ] || [ -z "$variants" ]; then
        runs+=("$name")
    else
        for variant in $variants; do runs+=("$name:$variant"); done
    fi
done
build || exit 3
verdicts=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null; rm -rf "$verdicts"' EXIT
trap 'exit 130' INT TERM
for run in "${runs[@]}"; do
    while [ "$(jobs -rp | wc -l)" -ge "$jobs" ]; do wait -n; done
    { try "$run" >"$verdicts/$run.new"; mv "$verdicts/$run.new" "$verdicts/$run"; cat "$verdicts/$run"; } &
done
wait
# A run that told nothing failed: each tells two things.
for run in "${runs[@]}"; do
    good=$(grep -c '^ok - ' "$verdicts/$run" 2>/dev/null)
    good=${good:-0}
    passed=$((passed + good)) failed=$((failed + 2 - good))
done
echo "$passed passed, $failed failed"
[ "$failed" = 0 ] && [ "$passed" != 0 ]
