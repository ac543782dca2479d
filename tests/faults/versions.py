"""The partitions of a domain, version by version: who is there, with which values, in which segments. See commit_log.py."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

from headrace.domains import Property
from headrace.merge import Profile
from headrace.segment_evaluation import is_member
from headrace.segments import Segment
from profile_store import keys, registry
from profile_store.records import decode_record
from profile_store.store import Store, text
from streaming.segments.definitions import segments_at
from tests.faults.commit_log import Keyspace

COMPLETE = b"complete"
_MEMBERS = re.compile(rb"segment-members:(\d+\.\d+)")
NOBODY = bytes(16)


@dataclass
class Meanings:
    """What records and bits say, as far as the store tells when all is over: schemas grow, and a generation means for ever what it meant."""

    store: Store
    domain: str
    _profiles: dict[bytes, tuple[int, Profile]] = field(default_factory=dict)
    _definitions: dict[str, tuple[Segment, dict[str, Segment], dict[str, Property]]] = field(default_factory=dict)
    _members: dict[tuple[str, bytes], bool] = field(default_factory=dict)

    @cached_property
    def _schema(self) -> tuple[dict[int, str], frozenset[int]]:
        properties = registry.get_domain(self.store, self.domain).schema.properties
        return {one.id: one.name for one in properties}, frozenset(one.id for one in properties if one.multiple)

    def profile(self, record: bytes) -> tuple[int, Profile]:
        """Its number, and its values."""
        if record not in self._profiles:
            names, multiple = self._schema
            found = decode_record(record, multiple)
            self._profiles[record] = found.number, {names[identity]: value for identity, value in found.values.items()}
        return self._profiles[record]

    def holds(self, pair: str, record: bytes) -> bool:
        """Whether the profile is a member by the definition of that generation."""
        known = self._members.get((pair, record))
        if known is None:
            definition, named, properties = self._definition(pair)
            known = self._members[pair, record] = is_member(definition, self.profile(record)[1], named, properties)
        return known

    def _definition(self, pair: str) -> tuple[Segment, dict[str, Segment], dict[str, Property]]:
        if pair not in self._definitions:
            identity, generation = map(int, pair.split("."))
            defined = segments_at(self.store, self.domain, generation)
            found = defined.with_id(identity)
            assert found is not None
            properties = {one.name: one.as_property() for one in defined.properties}
            self._definitions[pair] = found.definition, dict(defined.named.segments), properties
        return self._definitions[pair]


@dataclass
class PartitionVersion:
    """One partition as a keyspace has it now."""

    space: Keyspace
    meanings: Meanings
    partition: int

    def __post_init__(self) -> None:
        self._tag = keys.address_prefix(self.meanings.domain, self.partition)
        self._ids = keys.ids(self.meanings.domain, self.partition).encode()
        self._generations = keys.segment_generations(self.meanings.domain, self.partition).encode()

    @property
    def size(self) -> int:
        """Profile numbers given so far."""
        return len(self.space.strings.get(self._ids, b"")) // 16

    def record(self, number: int) -> bytes | None:
        """None where the number is nobody's any more."""
        identifier = self.identifier(number)
        found = self.space.strings.get(self._tag + identifier)
        if identifier == NOBODY or found is None or found[:1] != b"R":
            return None
        return found if self.meanings.profile(found)[0] == number else None

    def identifier(self, number: int) -> bytes:
        return self.space.strings.get(self._ids, b"")[16 * number : 16 * number + 16].ljust(16, b"\0")

    @property
    def whole_pairs(self) -> set[str]:
        """Generations whose bits say who is a member."""
        return {text(pair) for pair, state in self.space.hashes.get(self._generations, {}).items() if state == COMPLETE}

    def bits(self, pair: str) -> bytes:
        return self.space.strings.get(self._tag + b"segment-members:" + pair.encode(), b"")

    def members(self, pair: str) -> Iterator[int]:
        yield from numbers_in(self.bits(pair))


def numbers_in(bits: bytes) -> Iterator[int]:
    """The highest bit of the first byte is profile 0."""
    for place, byte in enumerate(bits):
        if byte:
            yield from (8 * place + bit for bit in range(8) if byte & 128 >> bit)


def has_bit(bits: bytes, number: int) -> bool:
    return number // 8 < len(bits) and bool(bits[number // 8] & 128 >> number % 8)


class MembershipWatch:
    """Every bit of every whole generation, at every version: membership is changed by the commit that changes the profile (SPEC B7)."""

    def __init__(self, space: Keyspace, meanings: Meanings) -> None:
        self._space, self._meanings = space, meanings
        self._numbers: dict[bytes, int] = {}
        self._bits: dict[bytes, bytes] = {}
        self._whole: defaultdict[int, set[str]] = defaultdict(set)
        self.checked = 0

    def look(self, partition: int, written: set[bytes]) -> None:
        """After a change of the partition. Raises AssertionError."""
        now = PartitionVersion(self._space, self._meanings, partition)
        touched: set[int] = set()
        for key in written:
            touched.update(self._numbers_of(key))
        whole = now.whole_pairs
        for pair in whole - self._whole[partition]:
            self._compare(now, pair, set(range(max(now.size, 8 * len(now.bits(pair))))))
        for pair in whole & self._whole[partition]:
            self._compare(now, pair, touched)
        self._whole[partition] = whole

    def _numbers_of(self, key: bytes) -> Iterator[int]:
        """The profiles that a change of this key can concern."""
        _, _, name = key.partition(b"}:")
        value = self._space.strings.get(key, b"")
        if len(name) == 16:
            if key in self._numbers:
                yield self._numbers.pop(key)
            if value[:1] == b"R":
                self._numbers[key] = self._meanings.profile(value)[0]
                yield self._numbers[key]
        elif _MEMBERS.fullmatch(name):
            before, self._bits[key] = self._bits.get(key, b""), value
            if before != value:
                size = max(len(before), len(value))
                differing = int.from_bytes(before.ljust(size, b"\0")) ^ int.from_bytes(value.ljust(size, b"\0"))
                yield from numbers_in(differing.to_bytes(size))

    def _compare(self, now: PartitionVersion, pair: str, numbers: set[int]) -> None:
        bits = now.bits(pair)
        for number in numbers:
            record = now.record(number)
            wanted = record is not None and self._meanings.holds(pair, record)
            self.checked += 1
            if has_bit(bits, number) is not wanted:
                profile = None if record is None else self._meanings.profile(record)[1]
                raise AssertionError(
                    f"segment {pair}, partition {now.partition}: profile {number} is {'no' if wanted else 'a'} member for a moment,"
                    f" and should {'' if wanted else 'not '}be: {profile}"
                )
