"""docs/spec.md numbers what the product does; tests carry those numbers. Neither may speak of what the other does not have."""

from __future__ import annotations

import ast
import re
from collections import defaultdict

from tests.fundamentals.sources import PROJECT, sources

NUMBER = re.compile(r"[CIMEGRPUSB]\d{1,2}")
STATEMENT = re.compile(rf"^- ({NUMBER.pattern}) ", re.MULTILINE)

PROVEN = frozenset(
    "I1 I2 I3 I6 I7 I8 I10 I11 I12 I13 M1 M2 M3 M4 M5 M6 M7 M11 M12 R4 B2".split()  # noqa: SIM905 - reads better
)
"""Statements that this release keeps: each needs a test. The rest of the numbers are announced, not there yet."""


def statements() -> list[str]:
    return STATEMENT.findall((PROJECT / "docs" / "spec.md").read_text())


def marked() -> dict[str, list[str]]:
    """Statement → where a test carries it: as a mark, or at the top of a broken configuration, of which marks are made."""
    found = defaultdict(list)
    for source in sources("tests"):
        for node in ast.walk(source.tree):
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("mark.spec"):
                for one in node.args:
                    if isinstance(one, ast.Constant):
                        found[str(one.value)].append(f"{source.name}:{node.lineno}")
    for path in (PROJECT / "tests" / "unit" / "broken_configuration").glob("*.yaml"):
        for numbers in re.findall(r"^# SPEC (.+)$", path.read_text(), re.MULTILINE):
            for number in numbers.split():
                found[number].append(str(path.relative_to(PROJECT)))
    return dict(found)


def test_numbers_are_unique() -> None:
    numbers = statements()
    assert len(numbers) > 80, "docs/spec.md was not understood"
    assert not {one for one in numbers if numbers.count(one) > 1}


def test_tests_carry_only_numbers_that_exist() -> None:
    strangers = {number: places for number, places in marked().items() if number not in statements()}
    assert not strangers, f"not in docs/spec.md: {strangers}"


def test_what_is_kept_is_proven() -> None:
    assert set(statements()) >= PROVEN
    unproven = sorted(PROVEN - marked().keys())
    assert not unproven, f'no test carries @pytest.mark.spec("…") for {unproven}'
