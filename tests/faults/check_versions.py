"""After a schedule: what was to hold at every moment of it, held against every version of every partition (see commit_log.py).

- Membership is what the definitions say at each version (SPEC B7): bits are changed by the commit that changes the profile.
- Each file that an export made visible holds each partition as of one version, all under the definitions of one moment, each member once; what was
  counted is what is in it (SPEC E1, R3).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from profile_store import keys
from profile_store.exchange import read_exchange
from profile_store.segment_registry import segments_of
from tests.contract.profile_stores import log_of_commands
from tests.faults.commit_log import Change, Keyspace, changes
from tests.faults.export_watch import ExportWatch, Matches
from tests.faults.exported_files import ExportedFile, exported_files
from tests.faults.shop_exports import OUT
from tests.faults.ticks import written_exports
from tests.faults.versions import Meanings, MembershipWatch, numbers_in
from tests.faults.world import Stage


@dataclass
class _Logs:
    """`moved`: partitions of which a slot has moved to another node: their history lies in two logs, and is left out."""

    nodes: list[list[Change]]
    tag: re.Pattern[bytes]
    moved: set[int] = field(default_factory=set)

    def partition_of(self, key: bytes) -> int | None:
        found = self.tag.match(key)
        return int(found[1]) if found else None


def check_versions(stage: Stage) -> str:
    """What was looked at, for a person. Raises AssertionError."""
    segments = {one.name: one.id for one in segments_of(stage.real.store, stage.domain)}
    if not segments:
        return "no segments"
    logs, meanings = _read_logs(stage), Meanings(stage.real.store, stage.domain)
    files = {one.export_id: one for one in exported_files(stage)} if stage.schedule.exports else {}
    matches = Matches(files, segments, stage.schedule.exports_for)
    if stage.schedule.cluster:
        _find_lives(logs, meanings, matches)
    bits, counted = 0, dict[int, set[int]]()
    for log in logs.nodes:
        space = Keyspace()
        members = MembershipWatch(space, meanings)
        exports = ExportWatch(space, meanings, matches, _queues(logs, log), one_node=not stage.schedule.cluster)
        for change in log:
            written = space.apply(change)
            partitions = {one for key in written if (one := logs.partition_of(key)) is not None} - logs.moved
            for partition in partitions:
                members.look(partition, written)
            exports.look(written, partitions)
        bits += members.checked
        for partition in range(stage.schedule.partitions):
            found = space.strings.get(keys.exported(stage.domain, partition, OUT).encode())
            counted.setdefault(partition, set()).update(numbers_in(found or b""))
    for file in files.values():
        _check_file(stage, logs, matches, file)
    if files and not logs.moved:
        _check_unique(stage, matches, counted)
    return f"{sum(map(len, logs.nodes))} changes, {bits} bits, {len(files)} exported files"


def _read_logs(stage: Stage) -> _Logs:
    """First the log in which the domain's own keys began; behind it those of the nodes to which they were moved, which is always the next one."""
    read = [list(changes(log_of_commands(node.server.options.data_directory).read_bytes())) for node in stage.nodes]
    own = keys.segments(stage.domain).encode()
    began = [next((command[0] for change in log for command in change if own in command), b"RESTORE") for log in read]
    first = next(place for place, name in enumerate(began) if not name.startswith(b"RESTORE"))
    read = read[first:] + read[:first]
    logs = _Logs(read, re.compile(rb"\{" + re.escape(stage.domain.encode()) + rb":(\d+)\}:"))
    restored = (command[1] for log in read for change in log for command in change if command[0].startswith(b"RESTORE"))
    logs.moved = {one for key in restored if (one := logs.partition_of(key)) is not None}
    return logs


def _find_lives(logs: _Logs, meanings: Meanings, matches: Matches) -> None:
    """What was live at any time: where the log that tells is another one than the partition's, or two of them, as the slot has moved."""
    own, left = keys.segments(meanings.domain).encode(), dict[bytes, dict[bytes, bytes]]()
    for log in logs.nodes:
        space = Keyspace(left)
        watch = ExportWatch(space, meanings, matches, {}, one_node=False)
        for change in log:
            watch.look(space.apply([command for command in change if own in command]), ())


def _queues(logs: _Logs, log: list[Change]) -> dict[int, list[str]]:
    """Partition → the exports that kept whom they had exported of it, in their order."""
    queues: dict[int, list[str]] = {}
    for name, key, *_ in (command for change in log for command in change if len(command) > 1):
        _, found, export_id = key.partition(b"}:exporting-profiles:")
        partition = logs.partition_of(key) if name == b"SET" and found else None
        if partition is not None and partition not in logs.moved:
            queues.setdefault(partition, []).append(export_id.decode())
    return queues


def _check_file(stage: Stage, logs: _Logs, matches: Matches, file: ExportedFile) -> None:
    """Each of its partitions as of one version, all under one moment's definitions; and as many as its run has counted."""
    partitions = set(range(stage.schedule.partitions)) - logs.moved
    own = {partition: matches.found.get((file.export_id, partition), {}) for partition in partitions}
    strange = [partition for partition, found in own.items() if not found]
    assert not strange, f"{file.key}: partitions {strange} are as they never were"
    common = matches.common(file.export_id, partitions)
    assert common or not own, f"{file.key}: partitions are under the definitions of different moments"
    told = written_exports(stage.directory).get(file.export_id)
    if told is not None and not logs.moved:
        members, available, exported = told
        possible = _sums(found[common[0]].counts for found in own.values())
        assert (members, available) in possible, f"{file.key}: its run counted {members} members, {available} available; it had {possible}"
        assert exported == file.exported, f"{file.key}: its run counted {exported} exported profiles, {file.exported} are there"


def _sums(partitions: Iterable[set[tuple[int, int]]]) -> set[tuple[int, int]]:
    """Of one choice for each."""
    found = {(0, 0)}
    for counts in partitions:
        found = {(members + more, available + others) for members, available in found for more, others in counts}
    return found


def _check_unique(stage: Stage, matches: Matches, counted: dict[int, set[int]]) -> None:
    """Who was in any file counts as exported by the connection, once."""
    for partition, found in counted.items():
        versions = (matches.found[one, partition][matches.common(one, counted)[0]] for one in matches.files)
        there = {number for version in versions for number in version.numbers}
        assert found == there, (
            f"partition {partition}: {len(found)} profiles count as exported, {len(there)} were: {sorted(found ^ there)[:5]} differ"
        )
    told = sum(one.exported for one in read_exchange(stage.real.store, [OUT]))
    assert told == sum(map(len, counted.values())), f"{told} profiles are said to be exported"
