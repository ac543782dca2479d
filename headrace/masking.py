"""Values where they may not be read: artifacts lie in Prefect's database, which no erasure reaches (SPEC C6, P2)."""

from __future__ import annotations

from enum import Enum

LONGEST = 40
"""Characters of a masked value."""


class Values(Enum):
    """What becomes of values that are written down."""

    SHOWN = "shown"
    MASKED = "masked"

    def of(self, text: str) -> str:
        return text if self is Values.SHOWN else mask(text)


def mask(text: str) -> str:
    """Its shape alone: `Ana-1 31/01/2026` is `Aaa-9 99/99/9999`. So a wrong format is seen, and nobody is."""
    masked = "".join(_masked(character) for character in text[:LONGEST])
    return f"{masked}…" if len(text) > LONGEST else masked


def _masked(character: str) -> str:
    if character.isdecimal():
        return "9"
    if character.isascii() and not character.isalpha():
        return character
    return "A" if character.isupper() else "a"
