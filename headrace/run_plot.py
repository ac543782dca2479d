"""Runs as bars, for people who would rather look than read (SPEC R1)."""

from __future__ import annotations

from collections.abc import Sequence

WIDTH = 24
FULL, REJECTED = "█", "▒"
EIGHTHS = " ▏▎▍▌▋▊▉"
LEVELS = "▁▂▃▄▅▆▇█"


def bars(rows: Sequence[tuple[int, int]], width: int = WIDTH) -> list[str]:
    """Of each (rows, rejected of them), on one scale: the longest is `width` characters. Whatever is more than nothing is seen."""
    most = max((count for count, _ in rows), default=0)
    return [_bar(count, rejected, most, width) for count, rejected in rows]


def sparkline(values: Sequence[float]) -> str:
    """One character for each, from the first to the last; the highest is the greatest."""
    most = max(values, default=0.0)
    return "".join(LEVELS[round(value / most * (len(LEVELS) - 1))] if most > 0 else LEVELS[0] for value in values)


def _bar(count: int, rejected: int, most: int, width: int) -> str:
    if not count:
        return ""
    eighths = max(1, round(count / most * width * 8))
    grey = -(-rejected * eighths // (count * 8)) if rejected else 0
    full, rest = divmod(max(eighths - grey * 8, 0), 8)
    return FULL * full + (EIGHTHS[rest] if rest else "") + REJECTED * grey
