"""Exports held against the versions of each partition: a file holds each partition as of one of them, and the definitions of one moment.

An export reads between two of its writes: its note, and in each partition the numbers of whom it has exported. What the partition was at any version
between them the file may say, and nothing else: not the members of one version with the values of another, nor half of them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from headrace.consent import CONSENTS, has_consented
from profile_store import keys
from profile_store.store import text
from tests.faults.commit_log import Keyspace
from tests.faults.exported_files import ExportedFile, Lines
from tests.faults.shop_exports import IN, OUT, PROPERTIES, SEGMENT_OF
from tests.faults.versions import Meanings, PartitionVersion, has_bit

Live = tuple[tuple[int, int], ...]
"""(segment id, generation) of the segments that people read: what they mean at one moment."""


@dataclass(frozen=True)
class Reading:
    """What a file may say of a partition. `numbers`: of those that have a line; `counts`: members, and available ones, as `WrittenExport` counts them."""

    lines: Lines
    numbers: frozenset[int]
    counts: tuple[int, int]


@dataclass
class Match:
    """The versions of a partition of which a file says the same: who consents to nothing is in none of its lines, but counted as a member."""

    numbers: frozenset[int]
    counts: set[tuple[int, int]] = field(default_factory=set)


@dataclass
class Matches:
    """What all partitions share, wherever their logs are. `files`: by the id of the export; `segments`: name → id; `objectives`: of the connection.

    `lives`: what was ever live. `found`: (export, partition) → what was live → the versions that the file holds.
    """

    files: Mapping[str, ExportedFile]
    segments: Mapping[str, int]
    objectives: tuple[str, ...]
    lives: list[Live] = field(default_factory=list)
    found: dict[tuple[str, int], dict[Live, Match]] = field(default_factory=dict)

    def common(self, export_id: str, partitions: Collection[int]) -> list[Live]:
        """What was live for all these partitions of a file."""
        return [live for live in self.lives if all(live in self.found.get((export_id, one), {}) for one in partitions)]


@dataclass
class ExportWatch:
    """One log. `queues`: partition → the exports that are to come, in the order in which they kept whom they had exported.

    `one_node`: notes and partitions are in this log, which tells when an export began. Elsewhere it began behind the one before it.
    """

    space: Keyspace
    meanings: Meanings
    matches: Matches
    queues: Mapping[int, list[str]]
    one_node: bool
    _begun: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._notes = keys.exports(self.meanings.domain, OUT).encode()
        self._live = keys.segments(self.meanings.domain).encode()

    def look(self, written: set[bytes], partitions: Collection[int]) -> None:
        """After a change, of these keys and partitions. Raises AssertionError."""
        wanted = set(partitions)
        if self._notes in written:
            self._begun |= {text(export_id) for export_id in self.space.hashes.get(self._notes, {})}
            wanted = set(self.queues)
        if self._live in written:
            self._note_live()
            wanted = set(self.queues)
        for partition in wanted & self.queues.keys():
            self._look_at(partition)
            self._end(partition, written)

    def _note_live(self) -> None:
        fields = self.space.hashes.get(self._live, {})
        found = {int(name.removeprefix(b"live:")): int(value) for name, value in fields.items() if name.startswith(b"live:")}
        live = tuple((self.matches.segments[name], found.get(self.matches.segments[name], 0)) for name in IN)
        if live not in self.matches.lives:
            self.matches.lives.append(live)

    def _end(self, partition: int, written: set[bytes]) -> None:
        queue = self.queues[partition]
        if queue and keys.exporting(self.meanings.domain, partition, queue[0]).encode() in written:
            queue.pop(0)

    def _look_at(self, partition: int) -> None:
        """Of those exports that may be reading the partition at this moment."""
        queue = self.queues[partition]
        reading = [one for one in queue if one in self._begun] if self.one_node else queue[:1]
        if not any(one in self.matches.files for one in reading):
            return
        now = PartitionVersion(self.space, self.meanings, partition)
        found: dict[tuple[str, Live], Reading | None] = {}
        for export_id in reading:
            file = self.matches.files.get(export_id)
            if file is None:
                continue
            for live in self.matches.lives:
                if (file.goal, live) not in found:
                    found[file.goal, live] = self._reading_of(now, file.goal, dict(live))
                version = found[file.goal, live]
                if version is not None and version.lines == file.lines.get(partition, {}):
                    matching = self.matches.found.setdefault((export_id, partition), {}).setdefault(live, Match(version.numbers))
                    matching.counts.add(version.counts)

    def _reading_of(self, now: PartitionVersion, goal: str, live: Mapping[int, int]) -> Reading | None:
        """None where the partition has not got these generations, whole."""
        pairs = {name: f"{self.matches.segments[name]}.{live[self.matches.segments[name]]}" for name in IN}
        if not now.whole_pairs.issuperset(pairs.values()):
            return None
        bits = {name: now.bits(pair) for name, pair in pairs.items()}
        lines: Lines = {}
        numbers, members, available = set[int](), 0, 0
        for number in now.members(pairs[SEGMENT_OF[goal]]):
            record = now.record(number)
            assert record is not None, f"member {number} of partition {now.partition} is nobody"
            _, profile = self.meanings.profile(record)
            members += 1
            if self.matches.objectives and not has_consented(profile.get(CONSENTS, ()), self.matches.objectives):
                continue
            available += 1
            cells = {name: _cell(profile.get(name, "")) for name in PROPERTIES}
            if not any(cells.values()):
                continue
            identifier = now.identifier(number)
            spelled = "|".join(name for name in IN if has_bit(bits[name], number))
            lines[identifier] = {"pid": identifier.hex(), **cells, "in": spelled}
            numbers.add(number)
        return Reading(lines, frozenset(numbers), (members, available))


def _cell(value: str | tuple[str, ...]) -> str:
    return value if isinstance(value, str) else "|".join(value)
