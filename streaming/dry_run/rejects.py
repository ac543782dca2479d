"""The rejects of a dry run: all of them counted by column and reason, the first few kept."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from headrace.outcomes import Reason, Reject
from streaming.split.row_text import cells_of
from streaming.split.splitter import Splitter

SAMPLE = 20


@dataclass(frozen=True, slots=True)
class SampledReject:
    """`text`: the cell, or the row as it stands in the file where the row as a whole is rejected."""

    reject: Reject
    text: str


@dataclass(slots=True)
class RejectTally:
    """`counts`: (column, None for rows; reason) → how many."""

    counts: Counter[tuple[str | None, Reason]] = field(default_factory=Counter)
    _first: list[Reject] = field(default_factory=list)

    def add(self, rejects: Iterable[Reject]) -> None:
        """Of the merge, in any order."""
        found = list(rejects)
        self.counts.update((one.column, one.reason) for one in found)
        self._first = heapq.nsmallest(SAMPLE, [*self._first, *found], key=lambda one: one.offset)

    def sample(self, again: Splitter, separator: str, own: int) -> list[SampledReject]:
        """The first rejects of the file, read again by a splitter that is still at its beginning.

        `own`: how many rows the splitter rejects by itself; they are counted now, since it says why only then.
        """
        stored = set(map(id, self._first))
        sampled: list[SampledReject] = []
        last = len(self._first) + own
        for seen, (reject, raw) in enumerate(again.rejected(iter(self._first)), 1):
            if id(reject) not in stored:
                self.counts[reject.column, reject.reason] += 1
            if len(sampled) < SAMPLE:
                text = raw.decode("utf-8", "backslashreplace")
                cell = text if reject.column is None else cells_of(text, separator)[again.header.index(reject.column)]
                sampled.append(SampledReject(reject, cell))
            if seen == last:
                break
        return sampled
