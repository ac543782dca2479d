"""Markdown for artifacts, of texts that may hold anything."""

from __future__ import annotations

from collections.abc import Sequence


def as_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns of numbers stand to the right."""
    right = [bool(rows) and all(row[column].replace(",", "").isdigit() for row in rows) for column in range(len(header))]
    rule = ["--:" if is_right else ":--" for is_right in right]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (header, rule, *rows))


def as_code(text: str | None) -> str:
    """Object keys may hold anything: nothing of it may end the cell or the code."""
    plain = (text or "").replace("`", "'").replace("|", "¦")
    return f"`{''.join(character if character.isprintable() else '?' for character in plain)}`"


def as_text(text: str) -> str:
    """On one line, and nothing in it is markup."""
    line = " ".join(text.split())
    return "".join(f"\\{character}" if character in "\\`*_[]<>|#~" else character for character in line)
