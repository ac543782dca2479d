"""A small simulation of the commit protocol (DESIGN §2): what lies in Redis, and the scripts that change it.

It is the protocol's executable description, and finds in seconds what schedules on real processes find once in a thousand. Names are the product's.
A state never changes: a script makes another one, so that a server that comes back without its last second is an earlier element of a list.

    model    what lies in a partition, and its scripts       worker   choose, merge, commit, wait for the disk, tell neighbours
    merge    a group of messages, merged                     flow     register, publish, await, close; erasures; failing imports
    cluster  servers, topics, schedules and faults           check    what must be true at the end        broken   the rules, left out
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from tests.protocol.broken import Broken

Address = int
SUPPRESSED = "suppressed"


class Row(NamedTuple):
    """`address`: where it goes next, `link`: the value it is linked by; `mail`: an identifier to set, bound already where it is the link."""

    line: int
    address: Address
    link: Address
    amount: int
    mail: Address | None


class Erasure(NamedTuple):
    """The profile at `address` where both are the same; else an address of a profile that is being erased."""

    address: Address
    profile: Address
    suppress: bool


class Claim(NamedTuple):
    address: Address
    profile: Address


class Telling(NamedTuple):
    """What one partition tells another. `settled`: how many claims it answers, those in `denied` among them."""

    claims: tuple[Claim, ...] = ()
    settled: int = 0
    denied: tuple[Claim, ...] = ()
    rows: tuple[Row, ...] = ()
    erasures: tuple[Erasure, ...] = ()


class Message(NamedTuple):
    """`source` None: a row batch or an order to erase; else from that partition. `number`: of the import's batches here, or from there to here."""

    seq: int
    token: int
    source: int | None
    number: int
    body: Telling


class Cell(NamedTuple):
    """`state`: claimed, bound (before) or denied. `doubt`: the row's outcome hangs on such cells alone."""

    state: str
    line: int
    value: Address
    doubt: bool


class Notes(NamedTuple):
    """How a record came to its mail in import `seq`: the value before, and the cells since."""

    seq: int
    base: Address | None
    cells: tuple[Cell, ...]


class Profile(NamedTuple):
    """`former`: bound addresses other than its own and its mail. `story`: (seq, import's token, row), for the checker alone."""

    total: int = 0
    mail: Address | None = None
    former: frozenset[Address] = frozenset()
    notes: Notes | None = None
    story: tuple[tuple[int, int, Row], ...] = ()

    def bound(self, own: Address) -> frozenset[Address]:
        return self.former | {own} | ({self.mail} if self.mail is not None else set())


class Grave(NamedTuple):
    """For the checker alone: a profile that was erased by number `seq`."""

    seq: int
    address: Address
    profile: Profile
    suppress: bool


@dataclass(frozen=True)
class Partition:
    """`keys`: address → record, pointer (the profile's identifier) or suppression. `fence`: `rows`, `from`, `to` + which → the last number.

    `verdicts` ((import's token, claim) → granted) and `graves` are for the checker alone.
    """

    token: int = 0
    floor: int = 0
    closing: int = 0
    keys: dict[Address, Profile | int | str] = field(default_factory=dict)
    fence: dict[tuple[str, int], int] = field(default_factory=dict)
    outbox: dict[tuple[int, int], Message] = field(default_factory=dict)
    tally: dict[int, dict[str, int]] = field(default_factory=dict)
    verdicts: dict[tuple[int, Claim], bool] = field(default_factory=dict)
    graves: tuple[Grave, ...] = ()

    def last(self, kind: str, which: int) -> int:
        return self.fence.get((kind, which), -1)


@dataclass
class Change:
    """What one group of messages changes. `heard`: neighbour → (first, last) of its messages in the group; `told`: (target, number) → message.

    `impossible`: what can't be, unless this comes from a zombie whose commit is refused.
    """

    seq: int
    batch_no: int | None = None
    heard: dict[int, tuple[int, int]] = field(default_factory=dict)
    keys: dict[Address, Profile | int | str | None] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    told: dict[tuple[int, int], Message] = field(default_factory=dict)
    verdicts: dict[tuple[int, Claim], bool] = field(default_factory=dict)
    graves: list[Grave] = field(default_factory=list)
    offset: int = -1
    impossible: str = ""


class Node:
    """A Redis server. `versions`: what is on disk, and all that was acknowledged since; the last is what it answers with. `life`: how often it came back;
    a connection lives in one of them."""

    def __init__(self, state: Any) -> None:
        self.versions = [state]
        self.life = 0

    @property
    def live(self) -> Any:
        return self.versions[-1]

    def write(self, state: Any) -> None:
        self.versions.append(state)

    def sync(self) -> Any:
        """Everything acknowledged is on disk; what that is."""
        self.versions = self.versions[-1:]
        return self.versions[0]

    def come_back(self, at: int) -> None:
        """Started again, at some version of its last second."""
        self.versions = [self.versions[at]]
        self.life += 1


def commit(store: Partition, expected: int, token: int, change: Change, broken: Broken | None) -> tuple[str, Partition]:
    """commit.lua: it validates everything first."""
    if store.token != expected and broken is not Broken.NO_TOKEN:
        return "TOKEN", store
    if change.seq <= store.floor and broken is not Broken.NO_FLOOR:
        return "FLOOR", store
    if change.seq > store.floor + 1 and broken is not Broken.NO_FLOOR:
        return "GAP", store
    if change.batch_no is not None:
        fenced = broken not in (Broken.NO_FENCE, Broken.GAPS_ACCEPTED, Broken.OFFSET_FENCE)
        if fenced and change.batch_no != store.last("rows", change.seq) + 1:
            return "APPLIED", store
        if store.closing == change.seq:
            return "CLOSED", store
    for source, (first, _) in change.heard.items():
        if first != store.last("from", source) + 1 and broken not in (Broken.NEIGHBOUR_GAPS, Broken.NEIGHBOURS_TWICE):
            return "APPLIED", store
    assert not change.impossible, change.impossible
    keys = {**store.keys, **change.keys}
    return "OK", replace(
        store,
        token=token,
        keys={address: value for address, value in keys.items() if value is not None},
        fence={**store.fence, **_passed(store, change)},
        outbox={**store.outbox, **change.told},
        tally={**store.tally, change.seq: added(store.tally.get(change.seq, {}), change.counts)},
        verdicts={**store.verdicts, **change.verdicts},
        graves=(*store.graves, *change.graves),
    )


def added(one: dict[str, int], other: dict[str, int]) -> dict[str, int]:
    return {name: one.get(name, 0) + other.get(name, 0) for name in {**one, **other}}


def _passed(store: Partition, change: Change) -> dict[tuple[str, int], int]:
    passed = {("from", source): last for source, (_, last) in change.heard.items()}
    for target, number in change.told:
        passed["to", target] = max(number, passed.get(("to", target), -1))
    if change.batch_no is not None:
        passed["rows", change.seq] = change.batch_no
        passed["offset", 0] = max(change.offset, store.last("offset", 0))
    return passed


def close_rows(store: Partition, seq: int) -> Partition:
    return replace(store, closing=seq) if seq > store.floor else store


def raise_floor(store: Partition, seq: int) -> Partition:
    return store if seq <= store.floor else replace(store, floor=seq)


def drop_import(store: Partition, seq: int) -> Partition:
    fence = {one: number for one, number in store.fence.items() if one != ("rows", seq)}
    return replace(store, fence=fence, tally={one: counts for one, counts in store.tally.items() if one != seq})
