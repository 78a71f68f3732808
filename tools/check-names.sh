#!/bin/bash
# Keeps out what belongs to one machine or one moment: tools/check-names.sh [ROOT].  Hosts of package registries (their
# clients know them), folders of somebody's machine, marks of unfinished work.  Prints every line; status 1.
# The brackets in the patterns keep this file from finding itself.
set -u
cd "${1:-$(dirname "$0")/..}" || exit 2

patterns='py[p]i|python[h]osted|npm[j]s|crates[.]i[o]|deb[.]debia[n]|(^|[^[:alnum:]_.~])/(wor[k]|roo[t]|hom[e])/|/opt/judge[s]'
marks='(^|[^[:alnum:]_])(TOD[O]|FIXM[E]|XX[X])([^[:alnum:]_]|$)'
broken=0
list=(find . \( -path ./.git -o -path ./build -o -name __pycache__ \) -prune -o -type f -print0)
"${list[@]}" | xargs -0 -r grep -n -I -E "$patterns" -- && broken=1
"${list[@]}" | grep -z -E '\.([chs]|cu|cuh|py|sh)$|Makefile$' | grep -z -v '/golden/' | xargs -0 -r grep -n -I -E "$marks" -- && broken=1
exit "$broken"
