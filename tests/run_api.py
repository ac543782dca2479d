"""`headrace api` in a process that ends itself at a failpoint. `main` is called in a process of a nursery."""

from __future__ import annotations

import os

from headrace.cli.api import run_api
from headrace.cli.terminal import Form, Terminal
from headrace.failpoints import VARIABLE, arm


def main(_arguments: tuple[str, ...]) -> int:
    arm(os.environ.get(VARIABLE, ""))
    run_api(Terminal.of(Form.JSON))
    return 0
