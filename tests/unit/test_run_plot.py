"""Bars and lines of runs."""

from __future__ import annotations

from headrace.run_plot import bars, sparkline


def test_bars_are_on_one_scale_and_rejects_are_grey() -> None:
    assert bars([(800, 0), (400, 0), (800, 400), (0, 0)], 8) == ["████████", "████", "████▒▒▒▒", ""]


def test_what_is_more_than_nothing_is_seen() -> None:
    assert bars([(1_000_000, 1), (1, 0)], 8) == ["███████▒", "▏"]


def test_a_line_rises_to_its_greatest() -> None:
    assert sparkline([0, 5, 10]) == "▁▅█"
    assert sparkline([0, 0]) == "▁▁"
    assert sparkline([]) == ""
