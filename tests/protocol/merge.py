"""A group of messages of one import, merged: answers to claims, then rows, then the neighbours' claims; or an erasure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

from tests.protocol.broken import Broken
from tests.protocol.model import (
    SUPPRESSED,
    Address,
    Cell,
    Change,
    Claim,
    Erasure,
    Grave,
    Message,
    Notes,
    Partition,
    Profile,
    Row,
    Telling,
)

CLAIMED, BOUND, DENIED = "claimed", "bound", "denied"


def folded(notes: Notes) -> Address | None:
    """The value, with everything granted that is not denied."""
    kept = [cell.value for cell in notes.cells if cell.state != DENIED]
    return kept[-1] if kept else notes.base


def changing_rows(notes: Notes) -> int:
    """How many rows in doubt change a value, or bind an identifier, with everything granted that is not denied."""
    lines, bound, present = set(), set(), notes.base
    for cell in notes.cells:
        after = present if cell.state == DENIED else cell.value
        newly_bound = cell.state == CLAIMED and cell.value not in bound
        if newly_bound:
            bound.add(cell.value)
        if cell.doubt and (newly_bound or after != present):
            lines.add(cell.line)
        present = after
    return len(lines)


class Merge:
    """`store`: the partition as it was read; `change` is what becomes of the group. `terse`: messages to neighbours hold one thing each."""

    def __init__(
        self, store: Partition, place: int, partitions: int, token: int, change: Change, broken: Broken | None, *, terse: bool
    ) -> None:
        self.store, self.place, self.partitions, self.token, self.change, self.broken = store, place, partitions, token, change, broken
        self.terse = terse
        self.parts: dict[int, dict[str, list[object]]] = defaultdict(lambda: defaultdict(list))
        self.settled: dict[int, int] = defaultdict(int)

    def run(self, batch: Telling | None, tellings: Iterable[Telling]) -> None:
        tellings = list(tellings)
        for telling in tellings:
            self.change.counts["settled"] += telling.settled
            self.change.counts["arrived"] += len(telling.rows) + len(telling.erasures)
            for claim in telling.denied:
                self.deny(claim)
        for telling in [*tellings, *([] if batch is None else [batch])]:
            for row in telling.rows:
                self.row(row)
            for order in telling.erasures:
                self.erase(order)
        for telling in tellings:
            for claim in telling.claims:
                self.judge(claim)
        self.tell()

    def there(self, address: Address) -> Profile | int | str | None:
        return self.change.keys[address] if address in self.change.keys else self.store.keys.get(address)

    def send(self, address: Address, part: str, item: object) -> None:
        self.parts[address % self.partitions][part].append(item)

    def tell(self) -> None:
        for target in {**self.parts, **self.settled}:
            whole = Telling(settled=self.settled[target], **{name: tuple(items) for name, items in self.parts[target].items()})  # type: ignore[arg-type]
            bodies = self.split(whole) if self.terse else [whole]
            for number, body in enumerate(bodies, self.store.last("to", target) + 1):
                self.change.told[target, number] = Message(self.change.seq, self.token, self.place, number, body)

    def split(self, whole: Telling) -> Iterator[Telling]:
        """None of them empty, and a denial counted as settled by the message that has it (streaming/merge/changes.py)."""
        together = self.broken is Broken.SETTLED_TOGETHER
        first, later = whole.denied[:1], whole.denied[1:]
        yield from (Telling(rows=(row,)) for row in whole.rows)
        if whole.settled or whole.erasures:
            yield Telling(settled=whole.settled - (0 if together else len(later)), denied=first, erasures=whole.erasures)
        yield from (Telling(settled=0 if together else 1, denied=(claim,)) for claim in later)
        yield from (Telling(claims=(claim,)) for claim in whole.claims)

    # rows

    def row(self, row: Row) -> None:
        found, counts = self.there(row.address), self.change.counts
        if found == SUPPRESSED:
            counts["skipped"] += 1
        elif isinstance(found, int):
            counts["forwarded"] += 1
            self.send(found, "rows", row._replace(address=found))
        else:
            profile = found if isinstance(found, Profile) else Profile()
            changes = row.amount != 0
            doubt = found is not None and not changes
            profile = profile._replace(total=profile.total + row.amount, story=(*profile.story, (self.change.seq, self.token, row)))
            if row.mail is not None:
                profile, effect = self.put(profile, row, row.mail, doubt)
                changes |= effect
            counts["created" if found is None else "updated" if changes else "unchanged"] += 1
            self.change.keys[row.address] = profile

    def notes_of(self, profile: Profile) -> Notes:
        """Those of an earlier import are stale: everything was granted that is not denied."""
        notes = profile.notes
        current = notes is not None and notes.seq == self.change.seq and self.broken is not Broken.NOTES_IGNORED
        return notes if current and notes is not None else Notes(self.change.seq, profile.mail, ())

    def put(self, profile: Profile, row: Row, value: Address, doubt: bool) -> tuple[Profile, bool]:
        """A cell of the identifier: the value is shown at once. Also whether it changes anything, as far as we know."""
        notes, own = self.notes_of(profile), row.address
        states = {cell.state for cell in notes.cells if cell.value == value}
        known = DENIED if DENIED in states else CLAIMED if CLAIMED in states else None
        by_link = row.mail == row.link
        if value == profile.mail:
            if known == CLAIMED and not by_link:
                self.claim(Claim(value, own))
            return profile, False
        if not by_link and known == DENIED:
            return profile, False
        bound = profile.bound(own)
        state = BOUND if by_link or (known is None and value in bound) else CLAIMED
        if state == CLAIMED:
            self.claim(Claim(value, own))
        if state == BOUND and not notes.cells:
            return show(profile, own, value, bound | {value}), True
        notes = notes._replace(cells=(*notes.cells, Cell(state, row.line, value, doubt)))
        before = profile.mail
        after = show(profile, own, folded(notes), bound | {value})._replace(notes=notes)
        return after, (state == CLAIMED and known is None) or after.mail != before

    def claim(self, claim: Claim) -> None:
        self.change.counts["claimed"] += 1
        self.send(claim.address, "claims", claim)

    # claims and answers

    def judge(self, claim: Claim) -> None:
        found = self.there(claim.address)
        if found is None:
            self.change.keys[claim.address] = found = claim.profile
        granted = (claim.address if isinstance(found, Profile) else found) == claim.profile
        if self.store.verdicts.get((self.token, claim), granted) != granted:
            self.change.impossible = "a claim was answered both ways"
        self.change.verdicts[self.token, claim] = granted
        self.settled[claim.profile % self.partitions] += 1
        if not granted:
            self.send(claim.profile, "denied", claim)

    def deny(self, claim: Claim) -> None:
        profile = self.there(claim.profile)
        if not isinstance(profile, Profile):
            self.change.impossible = "an answer for a profile that is not there"
            return
        notes = self.notes_of(profile)
        if not any(cell.state == CLAIMED and cell.value == claim.address for cell in notes.cells):
            return
        before = changing_rows(notes)
        cells = tuple(cell._replace(state=DENIED) if (cell.state, cell.value) == (CLAIMED, claim.address) else cell for cell in notes.cells)
        notes = notes._replace(cells=cells)
        if self.broken is not Broken.OUTCOME_KEPT:
            unchanged = before - changing_rows(notes)
            self.change.counts["updated"] -= unchanged
            self.change.counts["unchanged"] += unchanged
        value = None if self.broken is Broken.DENIAL_WITHDRAWS else folded(notes)
        bound = profile.bound(claim.profile) - {claim.address}
        self.change.keys[claim.profile] = show(profile, claim.profile, value, bound)._replace(notes=notes)

    # erasure

    def erase(self, order: Erasure) -> None:
        address, profile_id, suppress = order
        found, gone = self.there(address), SUPPRESSED if suppress else None
        if address != profile_id:
            if found in (None, SUPPRESSED, profile_id):
                self.change.keys[address] = SUPPRESSED if found == SUPPRESSED else gone
        elif isinstance(found, Profile):
            for other in sorted(found.bound(address) - {address}):
                if self.broken is not Broken.UNBIND_NOT_TOLD:
                    self.change.counts["forwarded"] += 1
                    self.send(other, "erasures", Erasure(other, address, suppress))
            self.change.keys[address] = gone
            self.change.graves.append(Grave(self.change.seq, address, found, suppress))
            self.change.counts["updated"] += 1
        elif isinstance(found, int):
            self.change.counts["forwarded"] += 1
            self.send(found, "erasures", Erasure(found, found, suppress))
        else:
            self.change.keys[address] = SUPPRESSED if found == SUPPRESSED else gone
            self.change.counts["skipped"] += 1


def show(profile: Profile, own: Address, mail: Address | None, bound: frozenset[Address]) -> Profile:
    return profile._replace(mail=mail, former=bound - {own} - ({mail} if mail is not None else set()))
