#!/bin/bash
# Runs the tests that were built in the folder BUILD, from the root of the repository, one on each core that is allowed:
#     tests/run.sh BUILD [valgrind]
#
# Each is held on its core, so that the programs in it take one thread and no two tests wait for each other's.  Those
# that are about threads (ALONE) come last, one after another, on all cores.
#
# Unit tests (BUILD/tests/test_NAME) report by TAP, which cmocka writes.  Scripts (tests/test_NAME.py, .sh) may print
# lines "ok NAME" and "not ok NAME"; one that prints none counts as one test, by its exit status.  ONLY="NAME ..." runs
# only these.  Every test gets an environment, home, XDG folders and TMPDIR of its own.  It fails when it
# writes into the home, when it crashes, takes longer than TEST_TIMEOUT seconds, or skips something: what was not tried
# was not proved.  The last line counts.
#
# Tests named test_*_figures compare many numbers of whole texts with those of other programs.  Slow builds (asan, tsan)
# and valgrind leave them out: they take no path that the other tests don't.  TEST_SLOWNESS tells a test how many times as long
# a computation may take; above 1 it may leave out numbers in the same way.
set -u
build=$1 tool=${2:-}
limit=${TEST_TIMEOUT:-300}
slow=
slowness=1 # how many times as long a computation may take
wrap=()
case $build in */asan | */tsan) slow=yes slowness=20 limit=$((limit * 3)) ;; esac
if [ "$tool" = valgrind ]; then
    slow=yes slowness=100
    # A test may go on behind a signal of memory that vanished (mapping.c): so all registers must be right at a read.
    wrap=(valgrind -q --suppressions=tests/valgrind.suppressions --vex-iropt-register-updates=allregs-at-mem-access --error-exitcode=99 --leak-check=full --show-leak-kinds=definite --errors-for-leak-kinds=definite)
    limit=$((limit * 6))
fi
root=$PWD
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'kill $(jobs -p) 2>/dev/null; wait; exit 130' INT TERM
passed=0 failed=0

ALONE=" app_commands attention cpu cpu_experts cpu_matmul engine_figures freshness index latent search session_batch threads watch "
cores=()
for ((core = 0; core < $(getconf _NPROCESSORS_CONF); core++)); do
    ! taskset -c "$core" true 2>/dev/null || cores+=("$core")
done

count_tap() { # LOG: passed, failed, skipped, planned
    awk '/^ok /{g++} /^not ok .*# SKIP/{s++; next} /^not ok /{b++} /^1[.][.][0-9]+$/{p += substr($0, 4)}
         END{print g + 0, b + 0, s + 0, p + 0}' "$1"
}

run_one() { # NAME CORES COMMAND...
    local name=$1 where=$2 allowed=$limit status=0 start=$EPOCHREALTIME good bad skipped planned spent problem= own=$work/$1 child
    shift 2
    case $name in *_figures) allowed=$((limit * 3)) ;; esac # whole texts through a model take their time on a busy machine
    mkdir -p "$own/home" "$own/tmp" "$own/xdg"
    # In the background, so that Ctrl-C ends the test, which timeout has put into a process group of its own; such commands
    # would ignore SIGINT.
    { env -i --default-signal=INT,QUIT PATH="$PATH" HOME="$own/home" TMPDIR="$own/tmp" TERM=xterm-256color LC_ALL=C.UTF-8 \
        XDG_CONFIG_HOME="$own/xdg/config" XDG_DATA_HOME="$own/xdg/data" \
        XDG_CACHE_HOME="$own/xdg/cache" XDG_STATE_HOME="$own/xdg/state" \
        FATHOM_PROGRAM="$root/$build/fathom" FATHOM_TEST_DATA="$root/build/test-data" \
        FATHOM_TEST_MODEL="$root/build/test-data/models/SmolLM2-135M-Instruct.Q4_1.gguf" \
        TEST_SLOWNESS="$slowness" ${FATHOM_CPU:+FATHOM_CPU="$FATHOM_CPU"} ${LSAN_OPTIONS:+LSAN_OPTIONS="$LSAN_OPTIONS"} \
        ASAN_OPTIONS="${ASAN_OPTIONS:-detect_stack_use_after_return=1:allow_addr2line=1}" UBSAN_OPTIONS=print_stacktrace=1:allow_addr2line=1 \
        TSAN_OPTIONS="${TSAN_OPTIONS:-halt_on_error=1:allow_addr2line=1:suppressions=$root/tests/tsan.suppressions}" PYTHON="${PYTHON:-python3}" CMOCKA_MESSAGE_OUTPUT=TAP PYTHONDONTWRITEBYTECODE=1 \
        timeout -k 10 "$allowed" taskset -c "$where" "$@" </dev/null &
        child=$!
        trap 'kill $child 2>/dev/null; exit 130' INT TERM
        wait "$child" || status=$?; } >"$own.log" 2>&1

    read -r good bad skipped planned < <(count_tap "$own.log")
    [ "$planned" = 0 ] || [ $((good + bad + skipped)) = "$planned" ] || problem="not every test reported"
    [ "$skipped" = 0 ] || problem="a test was skipped"
    [ "$status" = 0 ] || [ "$bad" != 0 ] || problem="exit status $status"
    [ "$status" != 124 ] || problem="not done after $allowed seconds"
    [ -z "$(ls -A "$own/home")" ] || problem="wrote into the home: $(ls -A "$own/home")"
    if [ -z "$problem" ] && [ $((good + bad)) = 0 ]; then
        case $name in
        *.py | *.sh) good=1 ;;
        *) problem="no test in it ran" ;;
        esac
    fi
    [ -z "$problem" ] || bad=$((bad + 1))
    spent=$(((${EPOCHREALTIME/./} - ${start/./}) / 100000))
    echo "$good $bad" >"$own.count"
    printf '%-28s %4d passed  %3d failed  %3d.%d s\n' "$name" "$good" "$bad" $((spent / 10)) $((spent % 10))
    if [ "$bad" != 0 ]; then
        tail -n 60 "$own.log" | sed 's/^/    /'
        [ -z "$problem" ] || echo "    $name: $problem"
    fi
    rm -rf "$own"
}

wanted() { # NAME
    case $slow$1 in yes*_figures) return 1 ;; esac
    [ -z "${ONLY:-}" ] || [[ " $ONLY " == *" $1 "* ]]
}

queue() { # NAME COMMAND...: on a core that is free, when there is one
    local name=$1 core
    shift
    while [ "$(jobs -rp | wc -l)" -ge ${#cores[@]} ]; do wait -n; done
    for core in "${!cores[@]}"; do
        if [ -z "${busy[core]:-}" ] || ! kill -0 "${busy[core]}" 2>/dev/null; then break; fi
    done
    run_one "$name" "${cores[core]}" "$@" &
    busy[core]=$! started=$((started + 1))
}
busy=() started=0

# The scripts first: the longest are among them.
for script in tests/test_*.py tests/test_*.sh; do
    name=$(basename "$script")
    [ -e "$script" ] && [ -z "$tool" ] && wanted "${name#test_}" || continue
    case $script in
    *.py) queue "${name#test_}" "${PYTHON:-python3}" "$script" ;;
    *.sh) queue "${name#test_}" bash "$script" ;;
    esac
done
alone=()
for source in tests/test_*.c; do
    name=$(basename "$source" .c)
    [ -e "$source" ] && wanted "${name#test_}" || continue
    case $ALONE in
    *" ${name#test_} "*) alone+=("$name") ;;
    *) queue "${name#test_}" "${wrap[@]}" "$build/tests/$name" ;;
    esac
done
wait
for name in "${alone[@]}"; do
    run_one "${name#test_}" "$(IFS=,; echo "${cores[*]}")" "${wrap[@]}" "$build/tests/$name" &
    started=$((started + 1))
    wait $!
done
while read -r good bad; do
    passed=$((passed + good)) failed=$((failed + bad)) started=$((started - 1))
done < <(cat "$work"/*.count 2>/dev/null)
failed=$((failed + started)) # those that did not come to their end
echo "$passed passed, $failed failed"
[ "$failed" = 0 ] && [ "$passed" != 0 ]
