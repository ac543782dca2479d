"""Rejected rows and cells as a CSV object beside the file (SPEC B2).

The store knows where a reject is, not what the row said: the rows are read again from the file, in one pass, in step with the splitter's
own rejects.
"""

from __future__ import annotations

import codecs
import heapq
import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from headrace.errors import TerminalError
from headrace.failpoints import step
from headrace.outcomes import Reject
from profile_store import counts, replays, sequence
from profile_store.registration import Registration
from profile_store.replays import RejectsNote
from streaming.importing.context import ImportContext, ImportEndedError, Progress
from streaming.importing.publish import open_rows
from streaming.importing.reject_lines import OWN_COLUMNS, RejectLine, lines_of_import, lines_of_replay
from streaming.merge.changes import decode_rejects, first_offset
from streaming.split.row_text import row_of
from streaming.split.splitter import Splitter

SAMPLE = 20
Rejected = Callable[[Splitter, Iterator[Reject]], Iterator[tuple[Reject, bytes]]]
"""(a splitter of the file, what the workers rejected) → rejects in file order, each with its row's bytes."""


@dataclass(frozen=True, slots=True)
class RejectsFile:
    """`rows`, `cells`: its lines of either kind. `key` None: nothing was rejected, or `problem` says why there is no file.

    `sample`: the first few rejects; no cell values.
    """

    key: str | None
    rows: int
    cells: int
    sample: tuple[Reject, ...]
    problem: str = ""


def rejects_key(registration: Registration, first: Registration) -> str:
    """`<directory>/_headrace/rejects/<goal>/<import_seq>-<file name>.csv`; `first`: the import that a replay is of, else the same."""
    place = PurePosixPath(first.needed_source.key)
    name = f"{registration.import_seq}-{place.name.split('.')[0]}.csv"
    return str(place.parent / "_headrace" / "rejects" / registration.goal / name)


def write_rejects(context: ImportContext, registration: Registration, expected: int) -> RejectsFile:
    """Write the rejects of an import; `expected`: how many rows and cells were counted (0: nothing is read, nothing is written).

    Every row is applied and counted by now: rejects that can't be written (`problem`) must not make the import fail, or it would be applied again.
    Raises ImportEndedError: another run has ended the import, and written them.
    """
    return _write(context, registration, expected, Splitter.rejected)


def write_rejects_of_failed(context: ImportContext, registration: Registration, expected: int) -> RejectsFile:
    """As `write_rejects`, of an import that can't be finished: of the rows that were applied before. Behind them nothing is read, since there the file
    may be what the import failed of. A replay's rejects stay with the import that it is of.
    """
    return _write(context, registration, 0 if registration.replay else expected, _of_workers)


def _of_workers(splitter: Splitter, stored: Iterator[Reject]) -> Iterator[tuple[Reject, bytes]]:
    """Of `Splitter.rejected` those that are `stored`, up to the last of them."""
    offsets, ended = deque[int](), False

    def noted() -> Iterator[Reject]:
        nonlocal ended
        for one in stored:
            offsets.append(one.offset)
            yield one
        ended = True

    for reject, raw in splitter.rejected(noted()):
        if offsets and offsets[0] == reject.offset:
            offsets.popleft()
            yield reject, raw
        if ended and not offsets:
            return


def _write(context: ImportContext, registration: Registration, expected: int, rejected: Rejected) -> RejectsFile:
    try:
        with step("write_rejects"):
            return _write_file(context, registration, expected, rejected) if expected else RejectsFile(None, 0, 0, ())
    except TerminalError as error:
        if error.code == "REDIS_DENIED":
            raise
        return RejectsFile(None, 0, 0, (), f"The rejects could not be written. {error}")


def _write_file(context: ImportContext, registration: Registration, expected: int, rejected: Rejected) -> RejectsFile:
    replay = registration.replay
    first = registration if replay is None else sequence.load_needed(context.store, registration.domain, replay.of)
    own = 0 if replay is None else replay.own_columns
    bucket, key = registration.needed_source.bucket, rejects_key(registration, first)
    separator, address_key = first.needed_plan.file_format.separator, registration.needed_plan.key
    rows = cells = 0
    sample: list[Reject] = []
    with open_rows(context, registration) as stream, context.objects_of(registration.connection).open_write(bucket, key) as out:
        splitter = Splitter(lambda size: stream.read(size) or b"", registration.needed_plan, registration.needed_source.key)
        found = rejected(splitter, _stored(context, registration))
        for line in _given_back(context, registration, _lines(found, registration, first, splitter)):
            if rows + cells == 0:
                # A mark in front, or spreadsheets take UTF-8 for something else, and save what they made of it.
                out.write(codecs.BOM_UTF8 + row_of([*OWN_COLUMNS, *splitter.header[own:]], separator).encode())
            rows, cells = rows + line.is_row, cells + (not line.is_row)
            sample += line.rejects[: SAMPLE - len(sample)]
            out.write(row_of(line.fields(address_key, first.token), separator).encode())
            context.report(Progress("rejects", rows + cells, expected))
        _refuse_ended(context, registration)
    source = first.needed_source
    note = RejectsNote(
        registration.connection, registration.goal, source.bucket, source.key, key, rows, cells, 0 if replay is None else replay.of
    )
    replays.note_rejects(context.store, registration.domain, registration.import_seq, note)
    return RejectsFile(key, rows, cells, tuple(sample))


def _refuse_ended(context: ImportContext, registration: Registration) -> None:
    """Behind the rejects, before their file becomes visible: whoever ended the import meanwhile has dropped them, and written a file with all of them."""
    result = sequence.read_result(context.store, registration.domain, registration.import_seq)
    if result is not None and result["state"] != sequence.FAILING:
        raise ImportEndedError(f"Import {registration.import_seq} of domain {registration.domain} was ended by another run.")


def _lines(
    rejected: Iterable[tuple[Reject, bytes]], registration: Registration, first: Registration, splitter: Splitter
) -> Iterator[RejectLine]:
    if registration.replay is None:
        return lines_of_import(rejected, registration, splitter)
    return lines_of_replay(rejected, registration, first, splitter)


def _given_back(context: ImportContext, registration: Registration, lines: Iterator[RejectLine]) -> Iterator[RejectLine]:
    """What a replay rejected again may be replayed again."""
    replay = registration.replay
    if replay is None:
        yield from lines
        return
    while some := list(itertools.islice(lines, replays.MARKS_AT_ONCE)):
        marks = [one.name.mark for one in some]
        with step("give_back_rejects"):
            still_open = replays.give_back(context.store, registration.domain, replay.of, registration.import_seq, marks)
        if not still_open:
            raise ImportEndedError(f"Import {registration.import_seq} of domain {registration.domain} was ended by another run.")
        yield from some


def _stored(context: ImportContext, registration: Registration) -> Iterator[Reject]:
    """What the workers rejected, in file order."""
    domain, import_seq = registration.domain, registration.import_seq
    payloads = (counts.read_rejects(context.store, domain, one, import_seq) for one in range(registration.needed_plan.partitions))
    return in_file_order(payload for found in payloads for payload in found)


def in_file_order(payloads: Iterable[bytes]) -> Iterator[Reject]:
    """The rejects of all payloads. Each is in file order, but they overlap: what other partitions decide comes later than the rows around it.

    A payload is read when the first of its rejects is next, so that few are in memory.
    """
    later = deque(sorted(payloads, key=first_offset))
    current: list[tuple[int, int, Reject, Iterator[Reject]]] = []  # by offset; the number only tells ties apart
    for number in itertools.count():
        while later and (not current or first_offset(later[0]) <= current[0][0]):
            rest = decode_rejects(later.popleft())
            reject = next(rest)
            heapq.heappush(current, (reject.offset, -len(later) - 1, reject, rest))
        if not current:
            return
        _, _, reject, rest = heapq.heappop(current)
        yield reject
        following = next(rest, None)
        if following is not None:
            heapq.heappush(current, (following.offset, number, following, rest))
