#!/bin/bash
# The checks of the tree themselves: what they must find is planted in a small tree of its own, one fault at a time.
set -u
tree=$(mktemp -d)
failed=0

expect() { # WANTED-STATUS CHECK NAME PATTERN: the check's status on the tree, and a line of its output
    local output status=0
    output=$("tools/$2" "$tree" 2>&1) || status=$?
    if [ "$((status != 0))" = "$1" ] && grep -q -F -- "$4" <<<"$output"; then
        echo "ok $3"
    else
        echo "not ok $3"
        echo "    status $status, output: $output"
        failed=1
    fi
}

fresh() {
    rm -rf "$tree"
    mkdir -p "$tree"/{engine,ui,fim,repo,plugins,app,tests}
    echo '#include <stdio.h>' >"$tree/engine/base.h"
}

# WHO WHAT: includes that each folder may have
fresh
while read -r file header; do
    echo "#include \"$header\"" >>"$tree/$file"
done <<'LIST'
engine/a.c engine/model.h
engine/cuda_a.cu engine/cuda.cuh
ui/a.c engine/base.h
ui/a.c ui/ui.h
repo/a.c engine/base.h
plugins/a.c engine/base.h
fim/a.c engine/engine.h
fim/a.c engine/base.h
app/a.c ui/ui.h
app/a.c engine/engine.h
app/a.c repo/repo.h
tests/test_a.c engine/model.h
LIST
expect 0 check-layers.sh "layers: what is allowed passes" ""

# WHO WHAT: includes that none may have
while read -r file header; do
    fresh
    printf '/* a */\n  #  include %s\n' "$header" >"$tree/$file"
    expect 1 check-layers.sh "layers: $file must not include $header" "$file:2:"
done <<'LIST'
engine/a.c "ui/ui.h"
engine/cuda_a.cu "app/app.h"
engine/a.h "repo/repo.h"
ui/a.c "engine/engine.h"
ui/a.c "repo/repo.h"
ui/a.h "engine/model.h"
repo/a.c "engine/engine.h"
repo/a.c <ui/ui.h>
fim/a.c "repo/repo.h"
fim/a.c "engine/model.h"
plugins/a.c "app/app.h"
app/a.c "engine/model.h"
app/a.c "tests/fake.h"
app/a.c "app.h"
app/a.c "../engine/model.h"
app/a.c "app/../engine/model.h"
LIST

fresh
{ echo 'int f(void)'; echo '{'; yes '    ;' | head -n 80; echo '}'; } >"$tree/app/a.c"
expect 0 check-sizes.sh "sizes: a function of 80 lines passes" ""
{ echo 'int g(void)'; echo '{'; yes '    ;' | head -n 81; echo '}'; } >>"$tree/app/a.c"
expect 1 check-sizes.sh "sizes: a function of 81 lines is found" "app/a.c:85: a function of 81 lines"
fresh
yes '/* */' | head -n 900 >"$tree/ui/a.h"
expect 0 check-sizes.sh "sizes: a file of 900 lines passes" ""
echo '/* */' >>"$tree/ui/a.h"
expect 1 check-sizes.sh "sizes: a file of 901 lines is found" "ui/a.h: more than 900 lines"

fresh
echo 'see https://example.org/simple and ~/work/x and framework/a, $HOME/x' >"$tree/README.md"
expect 0 check-names.sh "names: what is nobody's own passes" ""
# Put together here, so that this file holds none of them.
for text in "https://py""pi.org/simple" "files.python""hosted.org" "cd /wor""k/main" "/roo""t/.ssh" "/hom""e/somebody" "/* TO""DO */"; do
    fresh
    echo "$text" >"$tree/app/a.c"
    expect 1 check-names.sh "names: $text is found" "app/a.c:1:"
done

rm -rf "$tree"
exit "$failed"
