"""How many examples Hypothesis draws of what is dear: what `make test` has time for, or so many times more as HEADRACE_TESTS_EXAMPLES says."""

from __future__ import annotations

import os

_TIMES = int(os.environ.get("HEADRACE_TESTS_EXAMPLES", "1"))


def examples(usual: int) -> int:
    return usual * _TIMES
