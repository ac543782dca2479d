"""A worker or a flow in a process that ends itself at a failpoint, as `kill -9` would end it; and, if asked for, with a bug in it."""

from __future__ import annotations

import importlib
import json
from dataclasses import dataclass
from typing import Any

from headrace import failpoints
from streaming.merge import group
from streaming.merge.columns import merge_rows


@dataclass(frozen=True)
class Doomed:
    """`module`, `arguments`: what runs. `failpoint`: where it ends, '' for nowhere; `buggy_line`: a row of that line can't be merged, 0 for none."""

    module: str
    arguments: tuple[str, ...]
    failpoint: str = ""
    buggy_line: int = 0


def main(arguments: tuple[str, ...]) -> int:
    [written] = arguments
    doomed = Doomed(**json.loads(written))
    failpoints.arm(doomed.failpoint)
    if doomed.buggy_line:
        _break_merge(doomed.buggy_line)
    code: int = importlib.import_module(doomed.module).main(tuple(doomed.arguments))
    return code


def _break_merge(line: int) -> None:
    def broken(rows: Any, *others: Any) -> Any:
        if line in rows.column("line").to_pylist():
            raise ZeroDivisionError
        return merge_rows(rows, *others)

    vars(group)["merge_rows"] = broken
