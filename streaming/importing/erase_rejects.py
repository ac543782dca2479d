"""What rejects hold of a person who is erased (SPEC P2): their lines leave the files of rejects, and sources of replays that name them are deleted.

Done in the erasure's turn, before its order goes out: nothing else is in flight, and the record still lists its addresses. A line that goes is marked as taken
by the erasure, so that a copy of it that somebody has at home can't be replayed.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import PurePosixPath

from headrace.address import partition_of
from headrace.errors import TerminalError
from headrace.named_persons import NamedPersons
from headrace.reject_ids import read_name
from object_store.held import HeldVersion
from object_store.store import ObjectStore
from object_store.versions import ObjectVersion
from profile_store import replays, sequence
from profile_store.partitions import read_profiles
from profile_store.records import SUPPRESSION, decode_record, pointed_at
from profile_store.registration import Registration
from profile_store.replays import RejectsNote
from profile_store.store import Store
from streaming.importing.context import ImportContext, ImportEndedError, Progress
from streaming.importing.reject_lines import NAME, OWN_COLUMNS, RAW
from streaming.merge.erase import addresses_of_record
from streaming.split.row_text import row_of
from streaming.split.rows import MAX_ROW_BYTES

_SHOWN = 3


def erase_from_rejects(context: ImportContext, registration: Registration) -> str:
    """Every file of rejects of the domain is read. Gives what could not be looked through, and why; empty where all was.

    Harmless to repeat. Raises TransientError: S3 does not answer; ImportEndedError.
    """
    domain = registration.domain
    person = _addresses(context.store, registration)
    waiting = frozenset(_waiting_sources(context.store, registration))
    notes = replays.rejects_notes(context.store, domain)
    problems = []
    for done, (number, note) in enumerate(notes.items()):
        context.report(Progress("rejects", done, len(notes), "looking for the profile's rejects"))
        first = sequence.load_needed(context.store, domain, note.of or number)
        erasing = _Erasing(context.store, registration.import_seq, first, note, person)
        try:
            objects = context.objects_of(note.connection)
            erasing.file(objects)
            if not note.of:
                erasing.replay_sources(objects, waiting)
        except TerminalError as error:
            if error.code == "REDIS_DENIED":
                raise
            problems.append(str(error))
    if not problems:
        return ""
    more = f" And {len(problems) - _SHOWN:,} more." if len(problems) > _SHOWN else ""
    return f"Rejects of the profile may be left in S3: {' '.join(problems[:_SHOWN])}{more}"


def _addresses(store: Store, registration: Registration) -> frozenset[bytes]:
    """All of the profile; where there is none any more, the one that was asked for."""
    plan, asked = registration.needed_plan, bytes.fromhex(registration.erased)
    lives_at = asked
    for _ in range(2):
        [blob] = read_profiles(store, plan.domain, partition_of(lives_at, plan.partitions), [lives_at])
        if blob is None or blob == SUPPRESSION:
            break
        pointed = pointed_at(blob)
        if pointed is None:
            return frozenset({lives_at, *addresses_of_record(plan, lives_at, decode_record(blob, frozenset()))})
        lives_at = pointed
    return frozenset({asked})


def _waiting_sources(store: Store, registration: Registration) -> Iterator[tuple[str, str]]:
    """Of replays that come behind the erasure: they are read yet, without the lines that the erasure has taken."""
    for number in range(registration.import_seq + 1, sequence.last_number(store, registration.domain) + 1):
        one = sequence.load_needed(store, registration.domain, number)
        if one.replay is not None:
            yield one.needed_source.bucket, one.needed_source.key


@dataclass(frozen=True, slots=True)
class _Erasing:
    """Of the rejects of import `first`, by the erasure that has the number `by`. `note`: of `first`, or of a replay of its rejects."""

    store: Store
    by: int
    first: Registration
    note: RejectsNote
    person: frozenset[bytes]

    def file(self, objects: ObjectStore) -> None:
        key = self.note.rejects_key
        for one in objects.held(self.note.bucket, key):
            if one.version.key != key or not self._take(objects, one.version):
                continue
            if not one.present:
                objects.remove(one)
                continue
            self._write_rest(objects, one.version)
            if not objects.remove_replaced(one):
                raise TerminalError(
                    f"The version of {one.version.location} that was replaced is still there.",
                    code="OLD_VERSIONS",
                    hint="Give the key s3:ListBucketVersions and s3:DeleteObjectVersion, and erase the profile again.",
                )

    def replay_sources(self, objects: ObjectStore, waiting: frozenset[tuple[str, str]]) -> None:
        place = PurePosixPath(self.note.key).parent / "_headrace" / "replays" / self.note.goal
        for one in objects.held(self.note.bucket, f"{place}/{self.first.import_seq}-"):
            if (one.version.bucket, one.version.key) not in waiting and self._is_named_in_source(objects, one):
                objects.remove(one)

    def _is_named_in_source(self, objects: ObjectStore, one: HeldVersion) -> bool:
        with _opened(objects, one.version) as lines:
            named = NamedPersons(self.first.needed_plan, self.person, lines.header)
            return any(self._is_about(named, cells[NAME]) or named.in_any(cells) for cells in lines.rest)

    def _take(self, objects: ObjectStore, version: ObjectVersion) -> bool:
        """Whether the person is in the file; then none of the lines can be replayed any more."""
        with _opened(objects, version) as lines:
            named = self._named(lines)
            found = [cells[NAME] for cells in lines.rest if self._names_person(named, cells)]
        marks = [mark for name in found if (mark := self._mark(name)) is not None]
        for start in range(0, len(marks), replays.MARKS_AT_ONCE):
            some = marks[start : start + replays.MARKS_AT_ONCE]
            if replays.take(self.store, self.first.domain, self.first.import_seq, self.by, some) is None:
                raise ImportEndedError(f"Import {self.by} of domain {self.first.domain} was ended by another run.")
        return bool(found)

    def _write_rest(self, objects: ObjectStore, version: ObjectVersion) -> None:
        with _opened(objects, version) as lines, objects.open_write(version.bucket, version.key) as out:
            named = self._named(lines)
            out.write(codecs.BOM_UTF8 + row_of(lines.header, lines.separator).encode())
            for cells in lines.rest:
                if not self._names_person(named, cells):
                    out.write(row_of(cells, lines.separator).encode())

    def _named(self, lines: _Lines) -> NamedPersons:
        return NamedPersons(self.first.needed_plan, self.person, lines.header[len(OWN_COLUMNS) :])

    def _names_person(self, named: NamedPersons, cells: list[str]) -> bool:
        raw = cells[RAW] if len(cells) > RAW else ""
        return self._is_about(named, cells[NAME]) or named.in_row(cells[len(OWN_COLUMNS) :]) or named.in_text(raw)

    def _is_about(self, named: NamedPersons, name: str) -> bool:
        found = read_name(name)
        return found is not None and named.is_address(found[0].detail)

    def _mark(self, name: str) -> str | None:
        """None for a name that somebody made up, or changed."""
        found = read_name(name)
        if found is None or not found[0].is_sealed_by(found[1], self.first.needed_plan.key, self.first.token):
            return None
        return found[0].mark


@dataclass(frozen=True, slots=True)
class _Lines:
    """Of a file that Headrace wrote, and a person may have saved anew. `rest`: all but the header, as cells."""

    separator: str
    header: list[str]
    rest: Iterator[list[str]]


@contextmanager
def _opened(objects: ObjectStore, version: ObjectVersion) -> Iterator[_Lines]:
    """Raises TerminalError where it can't be read as such a file."""
    try:
        with io.TextIOWrapper(io.BufferedReader(objects.open_text_bytes(version)), encoding="utf-8-sig", newline="") as text:
            first = text.readline(2 * MAX_ROW_BYTES)
            reader = csv.reader(chain([first], text), delimiter=_separator_of(first))
            yield _Lines(reader.dialect.delimiter, next(reader), filter(None, reader))
    except (csv.Error, UnicodeDecodeError) as error:
        raise TerminalError(
            f"{version.location} is no file of rejects any more: {error}.", code="NOT_A_REJECTS_FILE", hint="Look through it yourself."
        ) from None


def _separator_of(first: str) -> str:
    found = re.match(rf'"?{OWN_COLUMNS[NAME]}_*"?([^\r\n"])', first)
    if found is None:
        raise csv.Error(f"its first column is not {OWN_COLUMNS[NAME]}")
    return found[1]
