"""A small simulation of the commit protocol (DESIGN §2): partitions, log, workers, zombies, rollback, wipe.

It is the protocol's executable description, and finds in seconds what schedules on real processes find once in a thousand. Names are the product's:
fence, floor, outbox, forward, claim, settle. Everything random comes from one seed. `Broken` turns single rules off, so that the checker is checked.

A row: (link address, number for a sum, other identifier's address or None). A profile has a total and a mail; the mail is an identifier property,
so a new value is claimed where its address lives, and stays undecided until it is settled.
"""

from __future__ import annotations

import copy
import enum
import random
from collections import Counter, defaultdict
from dataclasses import dataclass, field, replace

Address = int
Row = tuple[Address, int, Address | None]


class Broken(enum.Enum):
    """One rule of the protocol left out."""

    NO_FENCE = "a batch is applied whatever the fence says"
    GAPS_ACCEPTED = "a batch ahead of the fence is applied, and the fence jumps"
    FENCE_APART = "the fence is written in a call of its own, after the commit"
    OFFSET_FENCE = "a Kafka offset serves as the fence"
    EARLY_OFFSET = "the offset is committed before the commit is durable"
    OUTBOX_APART = "the outbox is written in a call of its own, after the commit"
    EARLY_OUTBOX = "outbox entries are published before the commit is durable"
    DELETE_ON_PUBLISH = "an outbox entry is deleted when it is published"
    NO_TOKEN = "a commit does not compare the version token"
    LAZY_TAKEOVER = "a worker that takes a partition over writes nothing first"
    EARLY_COMPLETION = "counts are believed before they are durable"
    NO_FLOOR = "the floor is not raised when an import is over"
    DENIAL_WITHDRAWS = "a denied claim removes the property's value"
    COUNTS_APART = "the counts are written in a call of their own, after the commit"


STEPS = ["read"] * 6 + ["commit"] * 9 + ["durable"] * 2 + ["flow"] * 2 + ["outbox", "prune"]
"""How often each happens: the timer of the outbox is slow, else the log would grow faster than it is read."""


@dataclass
class Profile:
    """`cells`: claims of the mail in order, [address, None undecided | True granted | False denied]. `base`: the value before them."""

    total: int = 0
    base: Address | None = None
    cells: list[list[object]] = field(default_factory=list)
    bound: set[Address] = field(default_factory=set)

    def mail(self) -> Address | None:
        value = self.base
        for address, granted in self.cells:
            if granted is True:
                assert isinstance(address, int)
                value = address
        return value


@dataclass
class Partition:
    """What one Redis partition holds; a change makes another one. `keys`: address → Profile, or the identifier of the profile pointed to."""

    keys: dict[Address, Profile | int] = field(default_factory=dict)
    fence: dict[object, int] = field(default_factory=dict)
    outbox: dict[int, list[tuple[int, list[object]]]] = field(default_factory=lambda: defaultdict(list))
    sent: Counter[int] = field(default_factory=Counter)
    tally: dict[int, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    floor: int = 0
    token: int = 0


@dataclass(frozen=True)
class Message:
    """`source` None: a row batch of import `seq`, numbered by `number`; else a message of that partition's outbox."""

    seq: int
    number: int
    source: int | None
    content: tuple[object, ...]


@dataclass
class Worker:
    """`held`: partition → (token, offset to read next). What it read and not yet committed lives in `pending`."""

    name: int
    held: dict[int, tuple[int, int]] = field(default_factory=dict)
    pending: dict[int, tuple[Message, int, Partition]] = field(default_factory=dict)


class Cluster:
    """The whole installation. `step()` does one random thing that may happen; `fault()` one that should not matter."""

    def __init__(self, seed: int, partitions: int, files: list[list[Row]], broken: Broken | None = None) -> None:
        self.random = random.Random(seed)
        self.broken = broken
        self.count = partitions
        self.files = files
        self.live = [Partition() for _ in range(partitions)]
        self.durable = list(self.live)
        self.log: list[list[Message]] = [[] for _ in range(partitions)]
        self.committed = [0] * partitions
        self.workers = [Worker(0), Worker(1)]
        self.owner = [0] * partitions
        self.tokens = 0
        self.current = 1
        self.published: set[int] = set()
        self.results: list[Counter[str]] = []
        self.sending: dict[int, list[tuple[int, Message]]] = {}
        self.wiped = False
        self.waiting: list[tuple[Worker, int]] = []

    # where things live

    def place(self, address: Address) -> int:
        return address % self.count

    def fresh_token(self) -> int:
        self.tokens += 1
        return self.tokens

    # the flow

    def batches(self, seq: int) -> list[list[list[Row]]]:
        """Partition → its row batches of two rows: by the link's address alone."""
        gathered: list[list[Row]] = [[] for _ in range(self.count)]
        for row in self.files[seq - 1]:
            gathered[self.place(row[0])].append(row)
        return [[rows[i : i + 2] for i in range(0, len(rows), 2)] for rows in gathered]

    def publish(self, seq: int) -> None:
        """All of an import's batches at once."""
        for partition, message in self.messages(seq):
            self.log[partition].append(message)

    def messages(self, seq: int) -> list[tuple[int, Message]]:
        return [
            (partition, Message(seq, number, None, tuple(rows)))
            for partition, batches in enumerate(self.batches(seq))
            for number, rows in enumerate(batches)
        ]

    def go_on_publishing(self) -> None:
        """The flow publishes little by little, and all over again once it finds that the topic was wiped."""
        if self.current > len(self.files) or self.current in self.published:
            return
        if self.current not in self.sending:
            self.sending = {self.current: self.messages(self.current)}
        waiting = self.sending[self.current]
        for partition, message in waiting[:2]:
            self.log[partition].append(message)
        del waiting[:2]
        if not waiting:
            self.sending.clear()
            if self.wiped:
                self.wiped = False
            else:
                self.published.add(self.current)

    def try_complete(self) -> None:
        """An import is over when its durable counts add up and no cell is undecided; then its floor is raised and its fence dropped."""
        seq = self.current
        if seq > len(self.files) or seq not in self.published:
            return
        view = self.live if self.broken is Broken.EARLY_COMPLETION else self.durable
        total: Counter[str] = Counter()
        for partition in view:
            total.update(partition.tally[seq])
        if total["rows"] != len(self.files[seq - 1]) or total["undecided"]:
            return
        if self.broken is not Broken.EARLY_COMPLETION:
            self.sync()
        self.results.append(total)
        for place, partition in enumerate(self.live):
            floor = partition.floor if self.broken is Broken.NO_FLOOR else seq
            fence = {key: value for key, value in partition.fence.items() if key != seq}
            tally = {key: value for key, value in partition.tally.items() if key != seq}
            self.live[place] = replace(partition, floor=floor, fence=fence, tally=defaultdict(Counter, tally))
        if self.broken is not Broken.EARLY_COMPLETION:
            self.sync()
        self.current += 1

    def sync(self) -> None:
        """Everything acknowledged is on disk."""
        self.durable = list(self.live)

    # the worker

    def take_over(self, worker: Worker, partition: int) -> None:
        token = self.live[partition].token
        if self.broken is not Broken.LAZY_TAKEOVER:
            token = self.fresh_token()
            self.live[partition] = replace(self.live[partition], token=token)
            self.sync()
        worker.held[partition] = (token, self.committed[partition])
        worker.pending.pop(partition, None)

    def read(self, worker: Worker, partition: int) -> None:
        """Take the next message up: read the partition as it is, and merge at the client."""
        if partition not in worker.held:
            self.take_over(worker, partition)
        token, offset = worker.held[partition]
        if offset >= len(self.log[partition]):
            return
        state = self.live[partition]
        if state.token != token and self.broken is not Broken.NO_TOKEN:
            worker.held.pop(partition)
            return
        worker.pending[partition] = (self.log[partition][offset], offset, state)

    def judge(self, state: Partition, message: Message, offset: int) -> str:
        """apply, skip or await."""
        if self.broken is Broken.NO_FENCE:
            return "apply"
        if self.broken is Broken.OFFSET_FENCE:
            return "apply" if offset > state.fence.get("offset", -1) else "skip"
        if message.source is None:
            if message.seq <= state.floor:
                return "skip"
            if message.seq > state.floor + 1 and self.broken is not Broken.NO_FLOOR:
                return "await"
            last, number = state.fence.get(message.seq, -1), message.number
        else:
            last, number = state.fence.get(("from", message.source), -1), message.number
        if number <= last:
            return "skip"
        return "apply" if number == last + 1 or self.broken is Broken.GAPS_ACCEPTED else "await"

    def commit(self, worker: Worker, partition: int) -> None:
        message, offset, read = worker.pending.pop(partition)
        token, _ = worker.held[partition]
        store = self.live[partition]
        if store.token != token and self.broken not in (Broken.NO_TOKEN, Broken.LAZY_TAKEOVER):
            worker.held.pop(partition)  # somebody else wrote, or Redis lost writes: take over, read again from the committed offset
            return
        verdict = self.judge(read, message, offset)
        if verdict == "apply":
            after = copy.deepcopy(read)
            if self.broken is Broken.OFFSET_FENCE:
                after.fence["offset"] = offset
            elif message.source is None:
                after.fence[message.seq] = message.number
            else:
                after.fence["from", message.source] = message.number
            Merge(self, partition, after, message).run()
            self.write(partition, read, after)
            token = self.live[partition].token
            if self.broken is Broken.EARLY_OUTBOX:
                self.publish_outbox(partition, durable=False)
        worker.held[partition] = (token, offset + 1)
        if self.broken is Broken.EARLY_OFFSET:
            self.committed[partition] = max(self.committed[partition], offset + 1)
        else:
            self.waiting.append((worker, partition))

    def write(self, partition: int, before: Partition, after: Partition) -> None:
        """The one atomic call; a broken variant writes a part of it later, or never if it dies in between."""
        dies = self.random.random() < 0.15
        if self.broken is Broken.FENCE_APART and dies:
            after.fence = before.fence
        if self.broken is Broken.OUTBOX_APART and dies:
            after.outbox, after.sent = before.outbox, before.sent
        if self.broken is Broken.COUNTS_APART and dies:
            after.tally = before.tally
        if self.broken is not Broken.LAZY_TAKEOVER:
            after.token = self.fresh_token()
        self.live[partition] = after

    def make_durable(self) -> None:
        """The disk has caught up: offsets follow, for partitions that are still held."""
        self.sync()
        for worker, partition in self.waiting:
            if partition in worker.held and self.owner[partition] == worker.name:
                self.committed[partition] = max(self.committed[partition], worker.held[partition][1])
        self.waiting.clear()

    def publish_outbox(self, partition: int, *, durable: bool = True) -> None:
        """In order; what is not durable is not sent. On a timer, after a takeover, after a commit."""
        source = (self.durable if durable else self.live)[partition]
        for target, entries in source.outbox.items():
            for number, content in entries:
                self.log[target].append(Message(self.current, number, partition, tuple(content)))
        if self.broken is Broken.DELETE_ON_PUBLISH:
            self.live[partition] = replace(self.live[partition], outbox=defaultdict(list))

    def prune_outbox(self, partition: int) -> None:
        """Delete what the receiver's durable fence has passed."""
        left: dict[int, list[tuple[int, list[object]]]] = defaultdict(list)
        for target, entries in self.live[partition].outbox.items():
            passed = self.durable[target].fence.get(("from", partition), -1)
            left[target] = [entry for entry in entries if entry[0] > passed]
        self.live[partition] = replace(self.live[partition], outbox=left)

    # what happens

    def step(self) -> None:
        partition = self.random.randrange(self.count)
        worker = self.workers[self.owner[partition]]
        match self.random.choice(STEPS):
            case "read":
                if partition not in worker.pending:
                    self.read(worker, partition)
            case "commit":
                for each in self.workers:  # zombies too
                    if partition in each.pending:
                        self.commit(each, partition)
            case "durable":
                self.make_durable()
            case "outbox":
                self.publish_outbox(partition)
            case "prune":
                self.prune_outbox(partition)
            case "flow":
                self.go_on_publishing()
                self.try_complete()

    def fault(self) -> None:
        partition = self.random.randrange(self.count)
        worker = self.random.choice(self.workers)
        match self.random.choice(["kill", "rebalance", "rollback", "rollback", "republish", "old", "wipe"]):
            case "kill":
                worker.held.clear()
                worker.pending.clear()
                self.waiting = [one for one in self.waiting if one[0] is not worker]
            case "rebalance":  # the former owner knows nothing of it: a zombie
                self.owner[partition] = 1 - self.owner[partition]
                self.workers[self.owner[partition]].held.pop(partition, None)
                self.workers[self.owner[partition]].pending.pop(partition, None)
            case "rollback":  # Redis loses what is not on disk; nobody is told
                self.live = list(self.durable)
                self.waiting.clear()
            case "republish":
                if self.current <= len(self.files):
                    self.publish(self.current)
            case "old":
                if self.current > 1:
                    self.publish(self.random.randrange(1, self.current))
            case "wipe":
                partition = self.random.randrange(self.count)
                self.log[partition].clear()
                self.committed[partition] = 0
                for each in self.workers:
                    each.held.pop(partition, None)
                    each.pending.pop(partition, None)
                self.published.discard(self.current)  # only a wiped topic makes the flow publish again
                self.wiped = True

    def finish(self, steps: int) -> bool:
        """Go on without faults; whether every import came to its end."""
        for _ in range(steps):
            if self.current > len(self.files):
                return True
            for partition in range(self.count):
                worker = self.workers[self.owner[partition]]
                if partition in worker.held and self.live[partition].token != worker.held[partition][0]:
                    worker.held.pop(partition)
                    worker.pending.pop(partition, None)
            self.step()
        return self.current > len(self.files)


class Merge:
    """One message merged into a partition's state: rows, and what the neighbours say."""

    def __init__(self, cluster: Cluster, partition: int, state: Partition, message: Message) -> None:
        self.cluster, self.partition, self.state, self.seq = cluster, partition, state, message.seq
        self.message = message
        self.out: dict[int, list[object]] = defaultdict(list)

    def run(self) -> None:
        for item in self.message.content:
            if self.message.source is None:
                assert isinstance(item, tuple)
                self.row(item)
            else:
                self.from_neighbour(item)
        for target, content in self.out.items():
            self.state.outbox[target].append((self.state.sent[target], content))
            self.state.sent[target] += 1

    def from_neighbour(self, item: object) -> None:
        assert isinstance(item, tuple)
        kind, *rest = item
        if kind == "forward":
            profile_id, row = rest
            self.into(profile_id, row)
        elif kind == "claim":
            self.claim(*rest)
        else:
            self.settle(*rest)

    def row(self, row: Row) -> None:
        found = self.state.keys.get(row[0])
        if isinstance(found, int):
            self.out[self.cluster.place(found)].append(("forward", found, row))
            return
        if found is None:
            self.state.keys[row[0]] = Profile(bound={row[0]})
        self.into(row[0], row)

    def into(self, profile_id: int, row: Row) -> None:
        profile = self.state.keys[profile_id]
        assert isinstance(profile, Profile)
        profile.total += row[1]
        tally = self.state.tally[self.seq]
        tally["rows"] += 1
        mail = row[2]
        if mail is None:
            return
        if mail in profile.bound:
            profile.cells.append([mail, True])
            self.fold(profile)
            return
        tally["undecided"] += 1
        profile.cells.append([mail, None])
        self.out[self.cluster.place(mail)].append(("claim", mail, profile_id))

    def claim(self, address: Address, profile_id: int) -> None:
        found = self.state.keys.get(address)
        if found is None:
            self.state.keys[address] = profile_id
        granted = found is None or found == profile_id or (isinstance(found, Profile) and address == profile_id)
        self.out[self.cluster.place(profile_id)].append(("settle", profile_id, address, granted))

    def settle(self, profile_id: int, address: Address, granted: bool) -> None:
        profile = self.state.keys[profile_id]
        assert isinstance(profile, Profile)
        tally = self.state.tally[self.seq]
        tally["undecided"] -= 1
        tally["granted" if granted else "conflicts"] += 1
        for cell in profile.cells:
            if cell[0] == address and cell[1] is None:
                cell[1] = granted
                break
        if granted:
            profile.bound.add(address)
        elif self.cluster.broken is Broken.DENIAL_WITHDRAWS:
            profile.base = None
        self.fold(profile)

    def fold(self, profile: Profile) -> None:
        """Decided cells before the first undecided one become the base."""
        while profile.cells and profile.cells[0][1] is not None:
            address, granted = profile.cells.pop(0)
            if granted:
                assert isinstance(address, int)
                profile.base = address
