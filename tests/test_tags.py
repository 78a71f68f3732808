"""Definitions against programs that nobody here wrote: Python's standard library by the ast module (check_tags.py; C
against ctags is `make check-tags CODE=FOLDER`, for which there has to be enough C)."""

import os
import subprocess
import sys
import sysconfig

HERE = os.path.dirname(os.path.abspath(__file__))


def main():
    program = os.environ["FATHOM_PROGRAM"]
    tags = os.path.join(os.path.dirname(program), "tests", "tools", "tags")
    command = f"{tags} build/lib assets/tags"
    check = [sys.executable, os.path.join(HERE, "check_tags.py"), "python", command, sysconfig.get_paths()["stdlib"], "400"]
    result = subprocess.run(check, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8", check=False)
    print("\n".join("# " + line for line in result.stdout.splitlines()))
    rows = [line.split() for line in result.stdout.splitlines() if " ours " in line]
    # A check that compared next to nothing would prove nothing.
    is_enough = len(rows) == 3 and all(int(row[2]) > 100 for row in rows)
    print(("ok" if result.returncode == 0 and is_enough else "not ok") + " tags: Python's definitions are those of the ast module")
    return 0 if result.returncode == 0 and is_enough else 1


if __name__ == "__main__":
    sys.exit(main())
