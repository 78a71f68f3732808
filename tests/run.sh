#!/bin/bash
failed=0; passed=0
for test in "$1"/tests/test_*; do
    case $test in *.o|*.d) continue ;; esac
    home=$(mktemp -d)
    if HOME=$home XDG_CONFIG_HOME=$home/config XDG_DATA_HOME=$home/data XDG_CACHE_HOME=$home/cache XDG_STATE_HOME=$home/state timeout 300 "$test"; then passed=$((passed + 1)); else failed=$((failed + 1)); fi
    rm -rf "$home"
done
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
