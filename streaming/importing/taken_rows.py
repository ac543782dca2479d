"""The source of a replay without the rows that another replay has applied before (SPEC B2).

Which those are is settled in the replay's turn, and stays: so its source gives the same bytes, and the same batches, whenever it is read.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Generator, Iterator
from types import TracebackType
from typing import Protocol, Self

from headrace.failpoints import step
from headrace.reject_ids import read_name
from profile_store import replays
from profile_store.registration import Registration
from profile_store.store import Store
from streaming.importing.context import ImportEndedError
from streaming.split.row_text import row_of

SEPARATOR = ","
"""Of the source of every replay, which is UTF-8."""
_BYTES_AT_ONCE = 4 * 1024 * 1024


class Readable(Protocol):
    """What an import reads; a context manager that closes it."""

    def read(self, size: int, /) -> bytes | None: ...

    def __enter__(self) -> Self: ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /) -> bool | None: ...


class TakenRows:
    """The rows of `source` that the replay has taken, the header in front. Raises ImportEndedError where it is over, and TransientError."""

    def __init__(self, store: Store, registration: Registration, source: io.RawIOBase) -> None:
        self._store = store
        self._registration = registration
        self._source = source
        self._pieces = self._kept()

    def read(self, _size: int, /) -> bytes:
        """Some whole rows; b"" at the end."""
        return next(self._pieces, b"")

    def _kept(self) -> Generator[bytes]:
        with io.TextIOWrapper(io.BufferedReader(self._source), encoding="utf-8", newline="") as text:
            rows = csv.reader(text, delimiter=SEPARATOR)
            yield row_of(next(rows, []), SEPARATOR).encode()
            for marks, waiting in _gathered(rows):
                taken = self._take(marks)
                kept = b"".join(row for row, ours in zip(waiting, taken, strict=True) if ours)
                if kept:
                    yield kept

    def _take(self, marks: list[str]) -> list[bool]:
        registration, replay = self._registration, self._registration.replay
        if replay is None:
            raise ValueError(f"import {registration.import_seq} of {registration.domain} replays nothing")
        with step("take_rejects"):
            taken = replays.take(self._store, registration.domain, replay.of, registration.import_seq, marks)
        if taken is None:
            raise ImportEndedError(f"Import {registration.import_seq} of domain {registration.domain} was ended by another run.")
        return taken

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_raised: object) -> None:
        self._pieces.close()
        self._source.close()


def _gathered(rows: Iterator[list[str]]) -> Iterator[tuple[list[str], list[bytes]]]:
    """Marks and bytes of some rows at a time."""
    marks: list[str] = []
    waiting: list[bytes] = []
    size = 0
    for cells in rows:
        named = read_name(cells[0])
        if named is None:
            raise ValueError("a row of a replay's source names no reject")
        marks.append(named[0].mark)
        waiting.append(row_of(cells, SEPARATOR).encode())
        size += len(waiting[-1])
        if len(marks) == replays.MARKS_AT_ONCE or size >= _BYTES_AT_ONCE:
            yield marks, waiting
            marks, waiting, size = [], [], 0
    if marks:
        yield marks, waiting
