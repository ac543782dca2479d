"""One command of the command line. `main` is called in a process of a nursery, which has imported what commands need once for all of them."""

from __future__ import annotations

import atexit
import importlib
import os
import pkgutil
import sys

import headrace.cli

for _found in pkgutil.iter_modules(headrace.cli.__path__, "headrace.cli."):
    importlib.import_module(_found.name)
assert "prefect" not in sys.modules, "Prefect reads its settings when it is imported: each command must do so itself"


def main(arguments: tuple[str, ...]) -> int:
    """`arguments`: the directory to be in, then those of `headrace`. Its exit code."""
    os.chdir(arguments[0])
    sys.argv = ["headrace", *arguments[1:]]
    try:
        headrace.cli.main()
    except SystemExit as ended:
        return int(ended.code or 0)
    finally:
        atexit._run_exitfuncs()
    return 0
