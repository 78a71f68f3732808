#!/bin/bash
# All that can be found without running anything: tools/lint.sh [SINCE].  Every check runs, whatever the others say, and
# each names its time; with a commit SINCE, clang-tidy looks only at the sources that changed since.
set -u
cd "$(dirname "$0")/.." || exit 2
tools/deps.sh build/stamps build test check || exit 1
since=${1:-}
jobs=$(nproc)
broken=0

step() { # NAME COMMAND...
    local name=$1 start=$SECONDS verdict=clean
    shift
    "$@" || { verdict=BROKEN; broken=1; }
    printf '%-14s %s, %d s\n' "$name" "$verdict" $((SECONDS - start))
}

sources() { # PATTERN: the project's sources, NUL-separated; golden files of code are data
    find engine ui fim repo plugins app tests -name "$1" ! -path 'tests/golden/*' -print0 2>/dev/null
}

run_format() {
    sources '*.[ch]' | xargs -0 -r clang-format-14 --dry-run -Werror
}

# clang-tidy follows values better than cppcheck, whose two checks of them are left out.
run_cppcheck() {
    sources '*.c' | xargs -0 -r cppcheck --quiet --std=c11 --language=c -j "$jobs" --inline-suppr --error-exitcode=1 \
        --enable=warning,performance,portability --suppress=missingIncludeSystem --suppress=uninitStructMember --suppress=invalidFunctionArg \
        --suppress=negativeIndex:tests/* -D__x86_64__ -D_GNU_SOURCE -I. \
        --library=tools/cppcheck.cfg \
        --template='{file}:{line}: {severity}: {message} [{id}]'
}

tidy_one() { # FILE: under the flags it is compiled with
    local flags=()
    case $1 in
    *_avx2* | *_avx512* | *_vnni* | *_amx*) flags+=(-mavx2 -mfma -mf16c) ;;&
    *_avx512* | *_vnni* | *_amx*) flags+=(-mavx512f -mavx512bw -mavx512vl -mavx512dq) ;;&
    *_vnni* | *_amx*) flags+=(-mavx512vnni) ;;&
    *_amx*) flags+=(-mamx-tile -mamx-int8 -mamx-bf16) ;;
    esac
    [ "$1" = engine/base.c ] || flags+=(-include tools/tidy.h)
    clang-tidy-14 --quiet "$1" -- -std=c11 -D_GNU_SOURCE -I. "${flags[@]}" 2>/dev/null
}

run_tidy() {
    export -f tidy_one
    if [ -n "$since" ]; then
        git diff -z --name-only --diff-filter=d "$since" -- '*.c' ':!tests/golden'
    else
        sources '*.c'
    fi | xargs -0 -r -n 1 -P "$jobs" bash -c 'tidy_one "$1"' bash
}

step format run_format
step layers tools/check-layers.sh
step sizes tools/check-sizes.sh
step names tools/check-names.sh
step cppcheck run_cppcheck
step clang-tidy run_tidy
exit "$broken"
