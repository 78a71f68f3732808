#!/bin/bash
# Runs the program for `make run`: tools/run.sh PROGRAM [ARGUMENT...]
#
# On a terminal the program gets a process group of its own in the foreground.  Otherwise Ctrl-C would reach make too,
# and the second one would end make while the program still reads the terminal.  Ctrl-Z stops make along with it.
[ -t 0 ] || exec "$@"
set -m
"$@"
status=$?
while [ -n "$(jobs -s)" ]; do
    kill -STOP 0 # continues here when the shell that make was started from says fg
    fg >/dev/null
    status=$?
done
exit "$status"
