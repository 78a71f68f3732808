#!/bin/bash
# Holds the rule of who may include whom: tools/check-layers.sh [ROOT].  Prints every line that breaks it; status 1.
#
#   engine   nothing outside itself            ui, repo, plugins   engine/base.h
#   fim      engine/engine.h, engine/base.h    app                 everything, of engine only engine.h and base.h
#   tests    everything
#
# All includes of the project's own headers are root-relative, so the folder is the first word of the path.
set -u
cd "${1:-$(dirname "$0")/..}" || exit 2

find engine ui fim repo plugins app \( -name '*.[ch]' -o -name '*.cu' -o -name '*.cuh' \) 2>/dev/null | sort | xargs -r awk '
    BEGIN {
        allowed["ui"] = allowed["repo"] = allowed["plugins"] = " engine/base.h "
        allowed["fim"] = allowed["app"] = " engine/engine.h engine/base.h "
        mixes["app"] = 1
    }
    # What is included in angle brackets is the system, unless its first folder is one of ours.
    match($0, /^[ \t]*#[ \t]*include[ \t]*("[^"]*"|<(engine|ui|fim|repo|plugins|app|tests)\/[^>]*>)/) {
        split(substr($0, RSTART, RLENGTH), quoted, /["<>]/)
        header = quoted[2]
        from = FILENAME; sub(/\/.*/, "", from)
        to = header; sub(/\/.*/, "", to)
        if (header !~ /\//)
            problem = "not root-relative"
        else if (header ~ /(^|\/)\.\.?\//)
            problem = "a path with dots"
        else if (to == from || index(allowed[from], " " header " ") || (mixes[from] && to != "engine" && to != "tests"))
            next
        else
            problem = from "/ must not know " header
        printf "%s:%d: %s: %s\n", FILENAME, FNR, problem, $0
        broken = 1
    }
    END { exit broken }'
