"""Whose rows a connection with objectives may process (SPEC P1, docs/adr/0015)."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from headrace.cells import BLANKS

CONSENTS = "consents"
"""The built-in property that lists the objectives a profile consented to."""


def has_consented(consents: Iterable[str], objectives: Collection[str]) -> bool:
    """To at least one of the objectives. Blanks around a consent say nothing: `newsletter | ads` are two consents."""
    return any(one.strip(BLANKS) in objectives for one in consents)
