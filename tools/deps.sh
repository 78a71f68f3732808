#!/bin/sh
# Makes sure that the system packages of the named sets (tools/packages.txt) are there: tools/deps.sh STAMPS SET...
# Installs what is missing on Debian and its relatives; elsewhere, or without the right to, says what is missing.
# A stamp in the folder STAMPS, keyed by the list's hash, saves the second look.  Prints to stderr alone.
set -eu
exec >&2
list=$(dirname "$0")/packages.txt
stamps=$1
shift

stamp="$stamps/.packages-$(echo "$@" | tr ' ' -)"
key=$(cksum <"$list")
[ "$(cat "$stamp" 2>/dev/null)" = "$key" ] && exit 0

has() { # PACKAGE PROBE
    if [ -n "$debian" ]; then
        [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
        return
    fi
    case $2 in
    cmd:*) command -v "${2#cmd:}" >/dev/null 2>&1 ;;
    pkg:*) pkg-config --exists "${2#pkg:}" 2>/dev/null ;;
    py:*) python3 -c "import ${2#py:}" 2>/dev/null ;;
    esac
}

find_missing() {
    missing=
    for set in "$@"; do
        while read -r of package probe; do
            [ "$of" = "$set" ] || continue
            has "$package" "$probe" || missing="$missing $package"
        done <"$list"
    done
}

install_missing() {
    # An image without package lists needs them first; lists that are too old show when the installation fails.
    log="$stamps/packages.log"
    apt="$sudo env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300"
    # shellcheck disable=SC2086
    {
        ls /var/lib/apt/lists/*_Packages* >/dev/null 2>&1 || $apt update
        $apt install --no-install-recommends $missing || { $apt update && $apt install --no-install-recommends $missing; }
    } >"$log" 2>&1 </dev/null || {
        grep '^[EW]: ' "$log" | head -n 5
        echo "fathom: the packages could not be installed (see $log; try: apt-get install --no-install-recommends$missing)"
        exit 1
    }
}

debian=$(command -v dpkg-query && command -v apt-get) || debian=
find_missing "$@"
mkdir -p "$stamps"
if [ -n "$missing" ]; then
    sudo=
    [ "$(id -u)" = 0 ] || sudo=$(command -v sudo) || sudo=none
    if [ -z "$debian" ]; then
        echo "fathom: missing here (by Debian's names):$missing (install them with this system's package manager)"
        exit 1
    elif [ "$sudo" = none ]; then
        echo "fathom: missing packages:$missing (as root: apt-get install --no-install-recommends$missing)"
        exit 1
    fi
    echo "fathom: installing Debian packages:$missing"
    [ -z "$sudo" ] || echo "fathom: (by sudo, which may ask for your password)"
    install_missing
fi
echo "$key" >"$stamp"
