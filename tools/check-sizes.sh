#!/bin/bash
# Holds the limits of length: 900 lines a file, 80 lines a function: tools/check-sizes.sh [ROOT].  Prints what is longer;
# status 1.  By the project's format a function's braces are the only ones that open and close in the first column.
set -u
cd "${1:-$(dirname "$0")/..}" || exit 2

find engine ui fim repo plugins app tests tools \( -name '*.[ch]' -o -name '*.cu' -o -name '*.cuh' -o -name '*.py' -o -name '*.sh' \) \
    ! -path 'tests/golden/*' 2>/dev/null | sort | xargs -r awk '
    FNR == 1 { start = 0 }
    FNR == 901 { printf "%s: more than 900 lines\n", FILENAME; broken = 1 }
    /^\{/ && FILENAME ~ /[.](c|h|cu|cuh)$/ { start = FNR }
    /^\}/ && start {
        if (FNR - start - 1 > 80) {
            printf "%s:%d: a function of %d lines (80 at most)\n", FILENAME, start, FNR - start - 1
            broken = 1
        }
        start = 0
    }
    END { exit broken }'
