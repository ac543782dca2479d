"""The overlay of a dry run: what was written hides what is below, which is only read."""

from __future__ import annotations

import pytest

from headrace.errors import TerminalError
from streaming.dry_run import overlay as overlay_module
from streaming.dry_run.overlay import Overlay

BELOW = {bytes([n]) * 16: b"R below %d" % n for n in range(5)}


def below(_partition: int, addresses: list[bytes]) -> list[bytes | None]:
    return [BELOW.get(address) for address in addresses]


@pytest.mark.spec("B3")
def test_what_was_written_hides_what_is_below(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overlay_module, "ASKED_AT_ONCE", 2)
    overlay = Overlay(below)
    changed, new, pointer, nothing = (bytes([n]) * 16 for n in (1, 7, 8, 9))
    overlay.write([(changed, b"R once"), (new, b"R new"), (pointer, b"P1 to it")], frozenset([new]))
    overlay.write([(changed, b"R twice"), (new, b"R newer")])

    wanted = [nothing, pointer, changed, new, bytes(16)]
    assert overlay.read(0, wanted) == [None, b"P1 to it", b"R twice", b"R newer", b"R below 0"]
    assert list(overlay.created()) == [(new, b"R newer")]
    assert list(overlay.changed()) == [(changed, b"R twice")]
    assert overlay.count() == (1, 1)
    assert overlay.read(0, []) == []


def test_a_full_disk_is_told() -> None:
    """SQLite's own limit is as full a disk as a test can have."""
    overlay = Overlay(below)
    overlay._file.execute("PRAGMA max_page_count = 4")
    with pytest.raises(
        TerminalError, match=r"TEMPORARY_FILE: The temporary file of the dry run can't be written \(database or disk is full\)"
    ):
        overlay.write([(n.to_bytes(16), bytes(1_000)) for n in range(1_000)])
