#!/bin/bash
. ./lib.sh
source "$HOME/other.sh"
LIMIT=10
export PATH_TO=/tmp
readonly FIXED=1
declare -A map
# Prints it.
say() {
    local word=$1
    printf '%s\n' "$word" "$LIMIT"
}
function other { say hello; helper "$(compute x)"; }
alias ll='ls -l'
say there
