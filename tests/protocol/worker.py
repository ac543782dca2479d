"""A merge worker: it takes partitions over, applies groups of messages, and lets out what is durable."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from tests.protocol.broken import Broken
from tests.protocol.merge import Merge
from tests.protocol.model import Change, Message, Partition, commit

if TYPE_CHECKING:
    from tests.protocol.cluster import Cluster

TOLD_MESSAGES = 6
"""A full queue loses its oldest."""


@dataclass
class Owned:
    """A partition as its owner knows it. `known` None: to be taken over; `sure`: our token was seen on disk. `prepared`: a group, merged, of the messages
    `taken` from `told`.

    `durable` ≤ `last`: numbers of our commits; `tokens`: of those not known to be durable; `offsets`: (commit, offset) that wait for it.
    `lanes`: target → (commit, number, message); `published`: how many of each were sent.
    """

    position: int
    heard_upto: int
    known: Partition | None = None
    sure: bool = False
    next_token: int = 0
    told: deque[Message] = field(default_factory=lambda: deque(maxlen=TOLD_MESSAGES))
    prepared: tuple[Change, int, bool, bool] | None = None
    taken: list[Message] = field(default_factory=list)
    gap_at: tuple[int, int] | None = None
    last: int = 0
    durable: int = 0
    woken: bool = False
    tokens: dict[int, int] = field(default_factory=dict)
    offsets: list[tuple[int, int]] = field(default_factory=list)
    lanes: dict[int, list[tuple[int, int, Message]]] = field(default_factory=dict)
    published: dict[int, int] = field(default_factory=dict)


class Worker:
    def __init__(self, cluster: Cluster, name: int) -> None:
        self.cluster, self.name, self.broken = cluster, name, cluster.broken
        self.owned: dict[int, Owned] = {}
        self.gone: list[tuple[int, tuple[int, int]]] = []

    def own(self, place: int) -> None:
        """Row batches are read from the committed offset, neighbours' messages from their end."""
        log = self.cluster.rows[place]
        committed = self.cluster.committed[place]
        self.owned[place] = Owned(committed if committed <= len(log) else 0, len(self.cluster.told[place]))

    def start_again(self, place: int) -> None:
        """Somebody else wrote, or Redis is not as we knew it. One who is no owner any more hears of that sooner or later."""
        before = self.owned.pop(place)
        if self.cluster.owner[place] == self.name or self.cluster.random.random() < self.cluster.stubborn:
            self.own(place)
            self.owned[place].told, self.owned[place].gap_at = before.told, before.gap_at
            self.owned[place].heard_upto = before.heard_upto

    # what it does, each at some time

    def listen(self, place: int) -> None:
        one, said = self.owned[place], self.cluster.told[place]
        one.heard_upto = min(one.heard_upto, len(said))
        one.told.extend(said[one.heard_upto :])
        one.heard_upto = len(said)

    def prepare(self, place: int) -> None:
        """Take the partition over, or read what a group needs, and merge it."""
        one = self.owned[place]
        if one.known is None or not one.sure:
            self.take_over(place, one)
        elif one.prepared is None:
            self.merge(place, one)

    def take_over(self, place: int, one: Owned) -> None:
        node = self.cluster.nodes[place]
        if self.broken is Broken.LAZY_TAKEOVER:
            one.known, one.sure = node.live, True
        elif one.known is None:
            one.known = replace(node.live, token=self.cluster.fresh_token(node.live.token))
            node.write(one.known)
            return
        else:
            one.sure = node.sync().token == one.known.token or self.broken is Broken.BLIND_TAKEOVER
            if not one.sure:
                one.known = None
                return
        one.next_token = self.cluster.fresh_token(one.known.token)
        for (target, number), message in sorted(one.known.outbox.items()):
            one.lanes.setdefault(target, []).append((0, number, message))

    def merge(self, place: int, one: Owned) -> None:
        assert one.known is not None
        told = list(one.told)[: self.cluster.random.choice([1, 2, TOLD_MESSAGES])]
        log = self.cluster.rows[place]
        if one.position > len(log):
            one.position = 0
        batch = log[one.position] if one.position < len(log) and self.cluster.random.random() < 0.7 else None
        if not told and batch is None:
            return
        store: Partition = self.cluster.nodes[place].live
        messages = [*told, *([] if batch is None else [batch])]
        if any(message.seq > one.known.floor + 1 for message in messages):
            one.known = replace(one.known, floor=store.floor, closing=store.closing)
        change, chosen, ahead = self.choose(one, messages)
        if chosen and store.token != one.known.token and self.broken is not Broken.DIRTY_READ:
            self.start_again(place)
            return
        one.taken = [one.told.popleft() for _ in told]
        if chosen:
            # What lies at the addresses is read now, all else is as the owner knows it.
            rows = next((message.body for message in chosen if message.source is None), None)
            change.offset = one.position
            seen = replace(one.known, keys=store.keys, verdicts=store.verdicts)
            Merge(seen, place, self.cluster.partitions, chosen[0].token, change, self.broken, terse=self.cluster.terse).run(
                rows, [message.body for message in chosen if message.source is not None]
            )
            one.prepared = change, one.known.token, batch is not None, ahead
        elif batch is not None:
            self.dealt_with(place, one, ahead)

    def choose(self, one: Owned, messages: list[Message]) -> tuple[Change, list[Message], bool]:
        """The messages that are next in their turn; what was applied is skipped; whether a row batch is ahead of its turn."""
        known, broken = one.known, self.broken
        assert known is not None
        current = known.floor + 1
        change, ahead = Change(current), False
        chosen: list[Message] = []
        for message in messages:
            if broken is Broken.NO_FLOOR and not chosen:
                current = message.seq
            ours = message.seq == current
            if message.source is not None:
                first, last = change.heard.get(message.source, (message.number, known.last("from", message.source)))
                next_one = message.number == last + 1
                next_one |= broken is Broken.NEIGHBOUR_GAPS and message.number > last
                next_one |= broken is Broken.NEIGHBOURS_TWICE and message.number == last and message.source not in change.heard
                if ours and not next_one and message.number <= last and broken is Broken.GRANTS_TWICE:
                    change.counts["settled"] += message.body.settled
                if ours and next_one and self.registered(message):
                    change.heard[message.source] = first, message.number
                    chosen.append(message)
                continue
            fence = known.last("rows", message.seq)
            fresh = message.number > fence or broken is Broken.NO_FENCE
            if broken is Broken.OFFSET_FENCE:
                fresh = one.position > known.last("offset", 0)
            if message.seq < current or not fresh or message.seq == known.closing:
                continue
            next_one = message.number == fence + 1 or broken in (Broken.NO_FENCE, Broken.GAPS_ACCEPTED, Broken.OFFSET_FENCE)
            if ours and next_one and self.registered(message):
                change.batch_no = message.number
                chosen.append(message)
            else:
                ahead = True
        change.seq = chosen[0].seq if chosen else current
        return change, chosen, ahead

    def registered(self, message: Message) -> bool:
        found = self.cluster.domain.live.registrations.get(message.seq)
        return found is not None and (found.token == message.token or self.broken is Broken.NO_IMPORT_TOKEN)

    def commit(self, place: int) -> None:
        one, node = self.owned[place], self.cluster.nodes[place]
        if one.prepared is None:
            return
        change, expected, has_batch, ahead = one.prepared
        status, after = commit(node.live, expected, one.next_token, change, self.broken)
        one.prepared = None
        if status == "OK":
            node.write(self.torn(node.live, after, change))
            if self.broken in APART and node.live is not after:
                self.owned.pop(place)  # it died before its second call
                return
            if self.cluster.random.random() < self.cluster.cut:
                # The answer was lost: it is tried again, as it is or merged anew.
                if self.cluster.random.random() < 0.5:
                    one.prepared = change, expected, has_batch, ahead
                else:
                    one.told.extendleft(reversed(one.taken))
                return
            self.committed(one, after, change)
            if has_batch:
                self.dealt_with(place, one, ahead)
        elif status in ("FLOOR", "CLOSED"):
            assert one.known is not None
            one.known = replace(one.known, floor=node.live.floor, closing=node.live.closing)
        else:
            self.start_again(place)

    def committed(self, one: Owned, after: Partition, change: Change) -> None:
        one.known, one.woken = after, True
        one.last += 1
        one.tokens[after.token] = one.last
        one.next_token = self.cluster.fresh_token(after.token)
        for (target, number), message in change.told.items():
            one.lanes.setdefault(target, []).append((one.last, number, message))

    def torn(self, before: Partition, after: Partition, change: Change) -> Partition:
        """The commit, or what a broken variant writes of it when it dies between two calls."""
        if self.broken in APART and self.cluster.random.random() < 0.15:
            told = {one: number for one, number in after.fence.items() if one[0] == "to"}
            kept = {one: number for one, number in after.fence.items() if one[0] != "to"}
            match self.broken:
                case Broken.FENCE_APART:
                    return replace(after, fence={**before.fence, **told})
                case Broken.OUTBOX_APART if change.told:
                    return replace(after, outbox=before.outbox, fence={**kept, **{x: n for x, n in before.fence.items() if x[0] == "to"}})
                case Broken.COUNTS_APART:
                    return replace(after, tally=before.tally)
        return after

    def dealt_with(self, place: int, one: Owned, ahead: bool) -> None:
        """A row batch that was applied, now or before; or one ahead of its turn: once for each place of the fence the log is read again."""
        assert one.known is not None
        if ahead:
            at = one.known.floor, one.known.last("rows", one.known.floor + 1)
            if one.gap_at != at:
                one.gap_at = at
                self.start_again(place)
                return
        one.position += 1
        if one.last == one.durable or self.broken is Broken.EARLY_OFFSET:
            self.let_offset(place, one.position)
        else:
            one.offsets.append((one.last, one.position))

    def let_offset(self, place: int, offset: int) -> None:
        if self.cluster.owner[place] == self.name:  # Kafka refuses others
            self.cluster.committed[place] = offset

    def look(self, place: int) -> None:
        """What is on disk? Everything up to a token of ours; a token that is neither ours nor under way: Redis lost something."""
        one = self.owned[place]
        if not one.sure or one.last == one.durable or (self.broken is Broken.ONE_LOOK and not one.woken):
            return
        one.woken = False
        token = self.cluster.nodes[place].sync().token
        if token in one.tokens:
            one.durable = one.tokens[token]
            one.tokens = {known: number for known, number in one.tokens.items() if number > one.durable}
            for _, offset in [each for each in one.offsets if each[0] <= one.durable]:
                self.let_offset(place, offset)
            one.offsets = [each for each in one.offsets if each[0] > one.durable]
        elif token != one.next_token:
            self.start_again(place)

    def tell(self, place: int) -> None:
        """What is durable, in order; all of a lane again where nobody hears it."""
        one = self.owned[place]
        for target, lane in one.lanes.items():
            if self.cluster.random.random() < 0.2:
                one.published[target] = 0
            for number_of_commit, number, message in lane[one.published.get(target, 0) :]:
                if number_of_commit > one.durable and self.broken is not Broken.EARLY_OUTBOX:
                    break
                self.cluster.told[target].append(message)
                one.published[target] = one.published.get(target, 0) + 1
                if self.broken is Broken.DELETE_ON_PUBLISH:
                    self.gone.append((place, (target, number)))
        if self.broken is Broken.DELETE_ON_PUBLISH:
            self.delete(place)

    def prune(self, place: int) -> None:
        """Let go of what receivers have on disk. Redis is told later."""
        one = self.owned[place]
        for target, lane in one.lanes.items():
            if one.published.get(target, 0):
                node = self.cluster.nodes[target]
                heard = (node.live if self.broken is Broken.DELETE_UNDURABLE else node.sync()).last("from", place)
                self.gone += [(place, (target, number)) for _, number, _ in lane if number <= heard]
                left = [entry for entry in lane if entry[1] > heard]
                one.published[target] = max(0, one.published[target] - (len(lane) - len(left)))
                one.lanes[target] = left

    def delete(self, _: int) -> None:
        for place, entry in self.gone:
            node = self.cluster.nodes[place]
            if entry in node.live.outbox:
                node.write(replace(node.live, outbox={one: said for one, said in node.live.outbox.items() if one != entry}))
        self.gone.clear()


APART = (Broken.FENCE_APART, Broken.OUTBOX_APART, Broken.COUNTS_APART)
